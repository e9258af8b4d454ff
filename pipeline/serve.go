package pipeline

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/shirecounty/shire/pipeline/bus"
	"github.com/shirecounty/shire/pipeline/serving"
	"github.com/shirecounty/shire/schemas/pseudonym"
)

// Served is where records lie for the sharing interface.
type Served interface {
	// Position is the sequence up to which the bus is there.
	Position() uint64
	// Apply takes the changes of the messages up to a sequence, all or none.
	Apply(position uint64, changes []serving.Change) error
}

// servedRows bounds how much is applied at once while a store catches up (I10).
const servedRows = 20_000

// Serve keeps a store up with the warehouse until ctx ends. It reads the bus by itself, range by range with the contracts that
// each was loaded with: a store that was lost is made anew, and one that lags holds up no load.
func (f *Flow) Serve(ctx context.Context, store Served) error {
	for {
		f.mu.Lock()
		through, moved, ended := f.status.Through, f.moved, f.ended
		f.mu.Unlock()
		if store.Position() < through {
			if err := f.serveUpTo(ctx, store, through); err != nil {
				if ctx.Err() != nil {
					return nil
				}
				return fmt.Errorf("bring the records to share up to message %d: %w", through, err)
			}
			continue
		}
		if ended != nil {
			return nil
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return nil
		}
	}
}

func (f *Flow) serveUpTo(ctx context.Context, store Served, through uint64) error {
	reader, err := f.opt.Bus.Read(ctx, store.Position()+1)
	if err != nil {
		return err
	}
	defer reader.Close()
	s := &server{flow: f, store: store, reader: reader, through: through, hasher: f.opt.Hasher.Clone()}
	if err := f.opt.Bus.Recorded(ctx, store.Position(), through, func(r *bus.Range) error { return s.take(ctx, r) }); err != nil {
		return err
	}
	// What lies behind the last range, if anything, belongs to none: retention takes ranges off the ledger.
	return s.take(ctx, &bus.Range{Last: through})
}

// server brings a stretch of the bus into a store.
type server struct {
	flow    *Flow
	store   Served
	reader  *bus.Reader
	next    *bus.Message // read, and of a later range
	through uint64
	hasher  *pseudonym.Hasher
}

// take brings in the messages up to the end of a range.
func (s *server) take(ctx context.Context, r *bus.Range) error {
	last := min(r.Last, s.through)
	plans := s.flow.planner(nil)
	if len(r.Contracts) > 0 {
		plans = s.flow.planner(r)
	}
	var changes []serving.Change
	for at := s.store.Position(); at < last; {
		msg := s.next
		s.next = nil
		if msg == nil {
			var err error
			msg, err = s.reader.Next(ctx, time.Second)
			if errors.Is(err, bus.ErrIdle) {
				// Retention may have taken what is missing, or the bus is slow. Only the bus can tell (I4).
				next, found, err := s.flow.opt.Bus.NextSequence(ctx, at+1)
				if err != nil {
					return err
				}
				if found && next <= last {
					continue
				}
				return s.store.Apply(last, changes)
			}
			if err != nil {
				return err
			}
		}
		if at = msg.Sequence; at > last {
			s.next = msg
			return s.store.Apply(last, changes)
		}
		part := newSpan()
		if err := part.take(ctx, msg, plans, s.flow.opt.Log); err != nil {
			return err
		}
		p := part.parts[0]
		if p.contract != nil && p.result.Fields != nil {
			changes = append(changes, serving.Changes(s.hasher, p.contract, p.batch, p.result, msg.Sequence, msg.Time)...)
		}
		p.batch.Record.Release()
		if msg.Sequence == last || len(changes) >= servedRows {
			if err := s.store.Apply(msg.Sequence, changes); err != nil {
				return err
			}
			changes = changes[:0]
		}
	}
	return nil
}
