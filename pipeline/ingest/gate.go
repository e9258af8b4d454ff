package ingest

import (
	"context"
	"errors"
	"sync"
)

// Gate keeps sources from reading while there is no room for what they would bring.
type Gate struct {
	mu      sync.Mutex
	reason  error
	changed chan struct{} // closed and replaced when the gate opens or closes
}

// NewGate makes an open gate.
func NewGate() *Gate { return &Gate{changed: make(chan struct{})} }

// Set closes the gate for a reason, or opens it with nil.
func (g *Gate) Set(reason error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if (g.reason == nil) == (reason == nil) {
		g.reason = reason
		return
	}
	g.reason = reason
	close(g.changed)
	g.changed = make(chan struct{})
}

func (g *Gate) state() (changed <-chan struct{}, reason error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.changed, g.reason
}

// Closed is the reason why the gate is closed, nil while it is open.
func (g *Gate) Closed() error {
	_, reason := g.state()
	return reason
}

// Through runs fn while the gate is open. When it closes, fn's context ends and the reason is returned.
func (g *Gate) Through(ctx context.Context, fn func(context.Context) error) error {
	changed, reason := g.state()
	if reason != nil {
		return reason
	}
	asked := ctx
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		select {
		case <-changed:
			_, closed := g.state()
			cancel(closed)
		case <-ctx.Done():
		}
	}()
	err := fn(ctx)
	if ctx.Err() != nil && asked.Err() == nil {
		return context.Cause(ctx)
	}
	return err
}

// Follow follows a source whenever the gate is open, until ctx ends.
func (g *Gate) Follow(ctx context.Context, s *Source) error {
	for {
		err := g.Through(ctx, s.Follow)
		if ctx.Err() != nil {
			return nil
		}
		changed, reason := g.state()
		if reason == nil {
			if err != nil && !errors.Is(err, context.Canceled) {
				return err
			}
			continue
		}
		s.setState("waiting", reason.Error())
		select {
		case <-changed:
		case <-ctx.Done():
			return nil
		}
	}
}
