// Package pipeline is the flow: changes from the bus, normalised, resolved, gathered and loaded.
//
// The folders below are its stages, in the order in which data meets them: ingest, bus, normalise, identity,
// columnar, warehouse. This file is the path through them.
package pipeline

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/shirecounty/shire/pipeline/bus"
	"github.com/shirecounty/shire/pipeline/columnar"
	"github.com/shirecounty/shire/pipeline/identity"
	"github.com/shirecounty/shire/pipeline/warehouse"
	"github.com/shirecounty/shire/schemas/calendar"
	"github.com/shirecounty/shire/schemas/contract"
	"github.com/shirecounty/shire/schemas/pseudonym"
)

// Options of a flow.
type Options struct {
	Bus       *bus.Bus
	Warehouse *warehouse.Warehouse
	Contracts contract.Set
	Calendar  *calendar.Calendar
	Hasher    *pseudonym.Hasher
	Resolver  identity.Resolver
	Limits    columnar.Limits
	Log       *slog.Logger
}

// Flow is the one active normaliser of a county.
type Flow struct {
	opt    Options
	loads  *bus.Loads
	target atomic.Uint64 // Drain: a range that reaches this sequence is closed at once

	mu     sync.Mutex
	status Status
	moved  chan struct{} // closed and replaced when Through moves or the flow ends
	ended  error
}

// Status is how far the flow is.
type Status struct {
	Through     uint64            // every message of the bus up to here is loaded
	Rows        uint64            // canonical rows loaded since the process started
	Changes     uint64            // changes taken from the bus since the process started
	Quarantined uint64            // of them, put into quarantine
	LastLoad    time.Time         // zero before the first
	Noted       map[string]uint64 // dataset/field/code -> values of lenient fields taken as absent
}

// New makes a flow.
func New(o Options) *Flow {
	return &Flow{opt: o, moved: make(chan struct{}), status: Status{Noted: map[string]uint64{}}}
}

// Run takes everything from the bus to the warehouse until ctx ends. First it finishes what an earlier process
// recorded and did not finish. The error is never nil unless ctx ended.
func (f *Flow) Run(ctx context.Context) (err error) {
	defer func() { f.end(err) }()
	for hash, c := range byHash(f.opt.Contracts) {
		if err := f.opt.Bus.PutContract(ctx, hash, c.Zone, c.Text); err != nil {
			return err
		}
	}
	loads, through, pending, err := f.opt.Bus.OpenLoads(ctx)
	if err != nil {
		return err
	}
	f.loads = loads
	f.advance(through)
	for i := range pending {
		if err := f.replay(ctx, &pending[i]); err != nil {
			return fmt.Errorf("finish the load of messages %d to %d: %w", pending[i].First, pending[i].Last, err)
		}
		through = pending[i].Last
	}
	return f.follow(ctx, through+1)
}

// follow reads on from a sequence. One goroutine collects and normalises a range while the other loads the one
// before; the channel between them holds none, so at most two ranges are in memory (I10).
func (f *Flow) follow(ctx context.Context, from uint64) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	reader, err := f.opt.Bus.Read(ctx, from)
	if err != nil {
		return err
	}
	defer reader.Close()
	ranges := make(chan *span)
	go func() {
		defer close(ranges)
		plans := f.planner(nil)
		for {
			s, err := f.collect(ctx, reader, plans)
			if err != nil {
				cancel(err)
				return
			}
			select {
			case ranges <- s:
			case <-ctx.Done():
				return
			}
		}
	}()
	for s := range ranges {
		if err := f.decideAndLoad(ctx, s); err != nil {
			cancel(err)
			break
		}
	}
	for range ranges { // let the collector see that ctx has ended
	}
	if err := context.Cause(ctx); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// decideAndLoad is the heart: decide, record, load, finish.
func (f *Flow) decideAndLoad(ctx context.Context, s *span) error {
	if err := s.resolve(ctx, f.opt.Resolver, nil); err != nil {
		return err
	}
	s.Calendar = f.opt.Calendar.Years()
	// I3: the range, and what was decided for it, is on the bus before anything is loaded.
	if err := f.loads.Record(ctx, &s.Range); err != nil {
		return err
	}
	return f.load(ctx, s)
}

// replay makes the load of a recorded range again: the same messages, contracts and decisions give the same
// rows under the same tokens, and what had arrived already does nothing.
func (f *Flow) replay(ctx context.Context, r *bus.Range) error {
	f.opt.Log.Info("a load that was not finished is made again", "first", r.First, "last", r.Last, "rows", r.Rows)
	reader, err := f.opt.Bus.Read(ctx, r.First)
	if err != nil {
		return err
	}
	defer reader.Close()
	plans := f.planner(r)
	s := newSpan()
	for s.Last < r.Last {
		msg, err := reader.Next(ctx, 30*time.Second)
		if errors.Is(err, bus.ErrIdle) {
			return fmt.Errorf("message %d does not come: %w", r.Last, err)
		}
		if err != nil {
			return err
		}
		if msg.Sequence > r.Last {
			return fmt.Errorf("the bus no longer holds message %d: %w", r.Last, bus.ErrExpired)
		}
		if err := s.take(ctx, msg, plans, f.opt.Log); err != nil {
			return err
		}
	}
	// I3: fewer messages than were recorded would be other rows under the same token.
	if s.First != r.First || s.Messages != r.Messages || s.Rows != r.Rows {
		return fmt.Errorf("%d messages with %d changes were recorded, and the bus now holds %d with %d: %w", r.Messages, r.Rows, s.Messages, s.Rows, bus.ErrExpired)
	}
	s.Range = *r
	if err := s.resolve(ctx, f.opt.Resolver, r.Decisions); err != nil {
		return err
	}
	return f.load(ctx, s)
}

// load brings a recorded range into the warehouse.
func (f *Flow) load(ctx context.Context, s *span) error {
	tables := s.gather()
	defer func() {
		for _, t := range tables {
			t.Record.Release()
		}
	}()
	if err := f.quarantine(ctx, s); err != nil {
		return err
	}
	var lines []warehouse.Loaded
	for _, t := range tables {
		token := s.token(t.Table.Name)
		started := time.Now().UTC()
		if err := f.opt.Warehouse.Load(ctx, t.Table, t.Record, token); err != nil {
			return err
		}
		lines = append(lines, s.line(t, token, started))
	}
	if err := f.opt.Warehouse.Quarantine(ctx, s.token("quarantine_log"), s.held); err != nil {
		return err
	}
	if err := f.opt.Warehouse.Log(ctx, s.token("load_log"), lines); err != nil {
		return err
	}
	if err := f.loads.Done(ctx, &s.Range); err != nil {
		return err
	}
	f.account(s, lines)
	return nil
}

func (f *Flow) account(s *span, lines []warehouse.Loaded) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, l := range lines {
		f.status.Rows += l.Rows
	}
	f.status.Changes += uint64(s.Rows)
	f.status.Quarantined += uint64(s.waiting())
	for key, n := range s.noted {
		f.status.Noted[key] += uint64(n)
	}
	f.status.LastLoad = time.Now().UTC()
	f.status.Through = s.Last
	f.wake()
}

func (f *Flow) advance(through uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.status.Through = through
	f.wake()
}

func (f *Flow) end(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err == nil {
		err = errStopped
	}
	f.ended = err
	f.wake()
}

var errStopped = errors.New("the flow was stopped")

// wake tells the waiters of Drain; f.mu is held.
func (f *Flow) wake() {
	close(f.moved)
	f.moved = make(chan struct{})
}

// Status tells how far the flow is.
func (f *Flow) Status() Status {
	f.mu.Lock()
	defer f.mu.Unlock()
	st := f.status
	st.Noted = make(map[string]uint64, len(f.status.Noted))
	for k, v := range f.status.Noted {
		st.Noted[k] = v
	}
	return st
}

// Drain waits until every message up to the sequence is loaded; the range that holds it does not wait for more.
func (f *Flow) Drain(ctx context.Context, sequence uint64) error {
	for {
		if t := f.target.Load(); t >= sequence || f.target.CompareAndSwap(t, sequence) {
			break
		}
	}
	for {
		f.mu.Lock()
		through, moved, ended := f.status.Through, f.moved, f.ended
		f.mu.Unlock()
		if through >= sequence {
			return nil
		}
		if ended != nil {
			return ended
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
