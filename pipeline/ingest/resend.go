package ingest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/shirecounty/shire/connectors"
)

// Followed tells whether the source is followed in this process.
func (s *Source) Followed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.follows
}

// WhileFollowed runs fn while the source is followed: by who does so already, or else for that long.
func (s *Source) WhileFollowed(ctx context.Context, fn func(context.Context) error) error {
	if s.Followed() {
		return fn(ctx)
	}
	following, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- s.Follow(following) }()
	err := fn(ctx)
	cancel()
	return errors.Join(err, <-ended)
}

// How often a run that ended is waited out: a bounded run may have had its turn.
const (
	resendAttempts = 5
	resendPause    = 500 * time.Millisecond
)

// Resend has the connector say records again and returns when they are safe on the bus. The source has to be followed.
func (s *Source) Resend(ctx context.Context, dataset string, keys []string) error {
	r, ok := s.connector.(connectors.Resender)
	if !ok {
		return fmt.Errorf("source %s is of kind %s, which cannot say single records again", s.config.Name, s.config.Kind)
	}
	for attempt := 1; ; attempt++ {
		err := r.Resend(ctx, dataset, keys)
		if err == nil {
			err = s.flush(ctx)
		}
		if err == nil || ctx.Err() != nil || attempt == resendAttempts {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(resendPause):
		}
	}
}

// flush returns when everything that the present run has appended is safe.
func (s *Source) flush(ctx context.Context) error {
	s.mu.Lock()
	out := s.out
	s.mu.Unlock()
	if out == nil {
		return errors.New("the run ended before what was said again was safe")
	}
	return out.Flush(ctx)
}

func (s *Source) setOutlet(out *outlet) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.out = out
}
