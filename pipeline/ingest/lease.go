package ingest

import (
	"context"
	"fmt"

	"github.com/shirecounty/shire/pipeline/bus"
)

// hold takes the source's lease unless this process has it already. A run that follows waits for it; a bounded one says at
// once who has it. s.running is held.
func (s *Source) hold(ctx context.Context, wait bool) (err error) {
	if s.lease != nil && s.lease.Err() == nil {
		return nil
	}
	name := "source." + s.config.Name
	if !wait {
		if s.lease, err = s.bus.TakeLease(ctx, name, s.length); err != nil {
			err = fmt.Errorf("another process reads this source, and two would only get in each other's way: %w", err)
		}
		return err
	}
	s.lease, err = s.bus.WaitLease(ctx, name, s.length, func(h bus.Holder) {
		s.setState("waiting", fmt.Sprintf("another process reads this source: %s; this one goes on when that one ends", h))
		s.log.Warn("another process reads this source; this one waits until it ends", "holder", h.String())
	})
	return err
}

// leave gives the lease up after a run, unless Follow keeps it for the next. s.running is held.
func (s *Source) leave() {
	s.mu.Lock()
	keeps := s.follows
	s.mu.Unlock()
	if s.lease != nil && (!keeps || s.lease.Err() != nil) {
		s.lease.Release()
		s.lease = nil
	}
}

// keepLease says whether the lease is kept between runs: while the source is followed, another process must not step in
// because a bounded run had its turn.
func (s *Source) keepLease(keep bool) {
	s.mu.Lock()
	s.follows = keep
	s.mu.Unlock()
	if !keep {
		s.running.Lock()
		defer s.running.Unlock()
		s.leave()
	}
}
