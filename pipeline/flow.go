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
	"maps"
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

// New makes a flow. Beside the county's contracts it knows Shire's own.
func New(o Options) *Flow {
	all := contract.Own()
	maps.Copy(all, o.Contracts)
	o.Contracts = all
	return &Flow{opt: o, moved: make(chan struct{}), status: Status{Noted: map[string]uint64{}}}
}

// Run takes everything from the bus to the warehouse until ctx ends. First it finishes what an earlier process
// recorded and did not finish. The error is nil when ctx ended, and only then.
func (f *Flow) Run(ctx context.Context) (err error) {
	defer func() {
		if ctx.Err() != nil {
			err = nil // what failed because of that is not worth telling
		}
		f.end(err)
	}()
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
	recorded := through
	if len(pending) > 0 {
		recorded = pending[len(pending)-1].Last
	}
	if f.opt.Resolver.Beyond(recorded) {
		// The machine lost its power: what the ledger lost will be decided again, and must not meet its own traces.
		f.opt.Log.Warn("the state of identities knows of ranges that the ledger does not have; it is made again from the bus")
		if err := f.opt.Resolver.Reset(); err != nil {
			return err
		}
	}
	if err := f.remember(ctx, through); err != nil {
		return err
	}
	f.advance(through)
	for i := range pending {
		if err := f.replay(ctx, &pending[i]); err != nil {
			return fmt.Errorf("finish the load of messages %d to %d: %w", pending[i].First, pending[i].Last, err)
		}
		through = pending[i].Last
	}
	return f.follow(ctx, through+1)
}

// remember resolves again what was loaded after the last moment that the resolver knows of: its state was lost, or is that
// of a backup. Nothing is loaded.
func (f *Flow) remember(ctx context.Context, through uint64) error {
	known := f.opt.Resolver.Position()
	if known >= through {
		return nil
	}
	f.opt.Log.Warn("the state of identities is behind the warehouse and is made again from the bus", "known", known, "loaded", through)
	return f.loads.Each(ctx, known, through, func(r *bus.Range) error {
		s, err := f.again(ctx, r)
		if err == nil {
			err = s.resolve(ctx, f.opt.Resolver, s.Decisions)
		}
		if err == nil {
			err = f.opt.Resolver.Keep(s.Last)
		}
		if err != nil {
			return fmt.Errorf("make the identities of messages %d to %d again: %w", r.First, r.Last, err)
		}
		return nil
	})
}

// parallelLoads is how many ranges are on their way into the warehouse at once: while the server sorts and writes
// one, the next is encoded and sent.
const parallelLoads = 2

// follow reads on from a sequence. One goroutine collects and normalises a range, this one decides what the range
// before it becomes, and up to parallelLoads bring decided ranges into the warehouse. The channel between the first
// two holds none, so at most two ranges more than are being loaded are in memory (I10).
func (f *Flow) follow(ctx context.Context, from uint64) error {
	asked := ctx // ends when the caller asks; ctx also when a part fails
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
			if err := f.collect(ctx, reader, plans, ranges); err != nil {
				cancel(err)
				return
			}
		}
	}()
	var loading sync.WaitGroup
	slots := make(chan struct{}, parallelLoads)
	before := make(chan struct{})
	close(before)
	for s := range ranges {
		if err := f.decide(ctx, s); err != nil {
			cancel(err)
			break
		}
		slots <- struct{}{}
		turn, after := before, make(chan struct{})
		loading.Go(func() {
			if err := f.load(ctx, s, turn); err != nil {
				cancel(err) // before the turn goes on, so that no later range is finished over this gap
			}
			close(after)
			<-slots
		})
		before = after
	}
	loading.Wait()
	for range ranges { // let the collector see that ctx has ended
	}
	if asked.Err() != nil {
		return nil
	}
	return context.Cause(ctx)
}

// decide settles what a range becomes, and writes it down. Ranges are decided one after the other, in order.
func (f *Flow) decide(ctx context.Context, s *span) error {
	if err := s.resolve(ctx, f.opt.Resolver, nil); err != nil {
		return err
	}
	s.Calendar = f.opt.Calendar.Years()
	// I3: the range, and what was decided for it, is on the bus before anything is loaded.
	if err := f.loads.Record(ctx, &s.Range); err != nil {
		return err
	}
	return f.settle(ctx, s)
}

// settle makes durable what was decided for a recorded range, beside the load itself.
func (f *Flow) settle(ctx context.Context, s *span) error {
	// I3: not before the range is recorded, or a crash would leave identities that no range speaks of.
	if err := f.opt.Resolver.Keep(s.Last); err != nil {
		return err
	}
	if err := f.announce(ctx, s); err != nil {
		return err
	}
	return f.quarantine(ctx, s)
}

// replay makes the load of a recorded range again: the same messages, contracts and decisions give the same
// rows under the same tokens, and what had arrived already does nothing.
func (f *Flow) replay(ctx context.Context, r *bus.Range) error {
	f.opt.Log.Info("a load that was not finished is made again", "first", r.First, "last", r.Last, "rows", r.Rows)
	s, err := f.again(ctx, r)
	if err != nil {
		return err
	}
	if err := s.resolve(ctx, f.opt.Resolver, s.Decisions); err != nil {
		return err
	}
	if err := f.settle(ctx, s); err != nil {
		return err
	}
	at := make(chan struct{})
	close(at)
	return f.load(ctx, s, at)
}

// again takes the messages of a recorded range from the bus once more, with the contracts and the calendar of then.
func (f *Flow) again(ctx context.Context, r *bus.Range) (*span, error) {
	reader, err := f.opt.Bus.Read(ctx, r.First)
	if err != nil {
		return nil, err
	}
	defer reader.Close()
	plans := f.planner(r)
	s := newSpan()
	lost := false
	for s.Last < r.Last {
		msg, err := reader.Next(ctx, 30*time.Second)
		if errors.Is(err, bus.ErrIdle) {
			return nil, fmt.Errorf("message %d does not come: %w", r.Last, err)
		}
		if err != nil {
			return nil, err
		}
		lost = lost || msg.IsLost()
		if msg.Sequence > r.Last {
			break
		}
		if err := s.take(ctx, msg, plans, f.opt.Log); err != nil {
			return nil, err
		}
	}
	if lost {
		// The bus lost its end, as a machine that loses its power may; what is gone, the sources send again. What is left of
		// the range is decided anew and takes its place: where all of it has arrived, its token lets nothing more in.
		f.opt.Log.Warn("the bus has lost messages that were recorded for a load", "first", r.First, "last", r.Last)
		s.Range = *r
		s.Decisions = nil
		return s, nil
	}
	// I3: fewer messages than were recorded would be other rows under the same token.
	if s.First != r.First || s.Messages != r.Messages || s.Rows != r.Rows {
		return nil, fmt.Errorf("%d messages with %d changes were recorded, and the bus now holds %d with %d: %w", r.Messages, r.Rows, s.Messages, s.Rows, bus.ErrExpired)
	}
	s.Range = *r
	return s, nil
}

// load brings a recorded range into the warehouse, and finishes it when its turn comes: ranges may arrive there in
// any order, because a version says which of two rows is newer, but they are finished in the order of the bus.
func (f *Flow) load(ctx context.Context, s *span, turn <-chan struct{}) error {
	tables := s.gather()
	defer func() {
		for _, t := range tables {
			t.Record.Release()
		}
	}()
	lines := s.lines(tables)
	s.parts = nil // the tables hold all that is needed; the messages need not stay in memory while they load
	for i, t := range tables {
		lines[i].Started = time.Now().UTC()
		if err := f.opt.Warehouse.Load(ctx, t.Table, t.Record, lines[i].Token); err != nil {
			return err
		}
		lines[i].Finished = time.Now().UTC()
	}
	if err := f.opt.Warehouse.Quarantine(ctx, s.token("quarantine_log"), s.held); err != nil {
		return err
	}
	if err := f.opt.Warehouse.Log(ctx, s.token("load_log"), lines); err != nil {
		return err
	}
	<-turn
	if err := ctx.Err(); err != nil {
		return err // the range before this one may not have arrived
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
