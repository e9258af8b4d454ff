package ingest

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/shirecounty/shire/connectors"
)

func TestRunWhileFollow(t *testing.T) {
	b := open(t)
	started := make(chan bool, 100)
	s := source(t, b, never, func(ctx context.Context, _ connectors.Settings, out connectors.Outlet, follow bool) error {
		started <- follow
		if !follow {
			return out.Append(ctx, "a", "u", []string{"c"}, row(1, "v"))
		}
		<-ctx.Done()
		return nil
	})
	ctx, cancel := context.WithCancel(t.Context())
	followed := make(chan error, 1)
	go func() { followed <- s.Follow(ctx) }()
	<-started
	var runs sync.WaitGroup
	for range 20 { // at whatever moment it comes, a bounded run gets its turn
		runs.Go(func() {
			if n, err := s.Run(t.Context()); err != nil || n != 1 {
				t.Errorf("%d changes, %v", n, err)
			}
		})
	}
	runs.Wait()
	for follow := range started { // and the following goes on
		if follow && s.Status().Changes == 20 && len(started) == 0 {
			break
		}
	}
	cancel()
	if err := <-followed; err != nil {
		t.Error(err)
	}
}

func TestFollowTriesAgain(t *testing.T) {
	b := open(t)
	var runs atomic.Int64
	s := source(t, b, never, func(ctx context.Context, _ connectors.Settings, out connectors.Outlet, follow bool) error {
		if runs.Add(1) == 1 {
			return errors.New("the department's server is away")
		}
		if err := errors.Join(out.Append(ctx, "a", "u", []string{"c"}, row(1, "v")), out.Flush(ctx)); err != nil {
			return err
		}
		<-ctx.Done()
		return nil
	})
	ctx, cancel := context.WithCancel(t.Context())
	followed := make(chan error, 1)
	go func() { followed <- s.Follow(ctx) }()
	r, err := b.ReadSubject(t.Context(), b.ChangesSubject("hall", "a"), 0)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := r.Next(t.Context(), time.Minute); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := <-followed; err != nil || runs.Load() != 2 {
		t.Errorf("%d runs, %v", runs.Load(), err)
	}
}

func TestProblemsStayUntilSolved(t *testing.T) {
	b := open(t)
	s := source(t, b, never, func(_ context.Context, settings connectors.Settings, _ connectors.Outlet, _ bool) error {
		for _, e := range []connectors.Event{
			{Dataset: "a", Unit: "f.csv", Problem: "header_without_key", Message: "m"}, {Dataset: "a", Unit: "f.csv", Problem: "header_without_key", Message: "m2"},
			{Dataset: "a", Unit: "g.csv", Problem: "unknown_encoding", Message: "m"}, {Dataset: "a", Unit: "g.csv", Problem: "unknown_encoding", Solved: true},
		} {
			settings.Notify(e)
		}
		return nil
	})
	if _, err := s.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	p := s.Status().Problems
	if len(p) != 1 || p[0].Unit != "f.csv" || p[0].Message != "m2" || p[0].Source != "test" {
		t.Errorf("%+v", p)
	}
}

func TestGate(t *testing.T) {
	low := errors.New("the disk is nearly full")
	g := NewGate()
	if err := g.Through(t.Context(), func(context.Context) error { return nil }); err != nil {
		t.Fatal(err)
	}
	err := g.Through(t.Context(), func(ctx context.Context) error {
		g.Set(low)
		<-ctx.Done()
		return nil
	})
	if !errors.Is(err, low) {
		t.Fatalf("closed while it ran: %v", err)
	}
	if err := g.Through(t.Context(), func(context.Context) error { t.Error("ran through a closed gate"); return nil }); !errors.Is(err, low) {
		t.Fatalf("closed before: %v", err)
	}
	g.Set(nil)
	other := errors.New("something else")
	if err := g.Through(t.Context(), func(context.Context) error { return other }); !errors.Is(err, other) {
		t.Fatalf("got %v", err)
	}
}

func TestGateHoldsAFollowedSource(t *testing.T) {
	b := open(t)
	started := make(chan struct{}, 10)
	s := source(t, b, never, func(ctx context.Context, _ connectors.Settings, _ connectors.Outlet, _ bool) error {
		started <- struct{}{}
		<-ctx.Done()
		return nil
	})
	g := NewGate()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- g.Follow(ctx, s) }()
	<-started
	g.Set(errors.New("the disk is nearly full"))
	for s.Status().State != "waiting" {
		time.Sleep(time.Millisecond)
	}
	if s.Status().Message != "the disk is nearly full" {
		t.Errorf("it waits for %q", s.Status().Message)
	}
	g.Set(nil)
	<-started
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
