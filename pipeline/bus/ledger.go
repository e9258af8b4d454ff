package bus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Range is a load that was decided: which messages it holds and with what they are to be read. It is recorded
// before the load begins, so that whoever comes after a crash makes the very same load again (I3).
type Range struct {
	First     uint64            `json:"first"` // sequence of the first message in CHANGES
	Last      uint64            `json:"last"`
	Messages  int               `json:"messages"`
	Rows      int               `json:"rows"`
	Bytes     int               `json:"bytes"`
	Reason    string            `json:"reason"`              // what closed it: rows, bytes, age or end
	Contracts map[string]string `json:"contracts"`           // dataset -> hash of the contract's text
	Calendar  []int             `json:"calendar,omitempty"`  // years of the working calendar that checks used
	Decisions []byte            `json:"decisions,omitempty"` // what identity decided, in its own words
	Parts     []uint64          `json:"parts,omitempty"`     // entries of LEDGER that hold the decisions, in order, when they are too many for this one

	entry uint64 // sequence of this entry in LEDGER
}

// A range of many mentions, or the choice of another model for a whole county, comes to more decisions than one message
// may hold. Both stay below MinPayload; in the entry itself they are written as base64, a third longer.
const (
	mostWithin = 2 << 20 // decisions within the range's own entry
	mostInPart = 4 << 20 // decisions in an entry of their own
)

// Loads keeps the ledger of one county's loads. Its fenced writers are the lease: of two normalisers, the one
// that records second is refused.
type Loads struct {
	ranges *Writer
	parts  *Writer // of decisions that are too many for their range's entry
	done   *Writer
	bus    *Bus
}

type doneEntry struct {
	Through uint64 `json:"through"` // every message of CHANGES up to here is loaded
	Entry   uint64 `json:"entry"`   // the range entry that was finished
}

// OpenLoads opens the ledger and tells up to which sequence everything is loaded, and which ranges were
// recorded after that but not finished.
func (b *Bus) OpenLoads(ctx context.Context) (loads *Loads, through uint64, pending []Range, err error) {
	l := &Loads{bus: b}
	prefix := "ledger." + b.opt.County
	if l.ranges, err = b.writer(ctx, b.ledger, prefix+".range"); err != nil {
		return nil, 0, nil, err
	}
	if l.parts, err = b.writer(ctx, b.ledger, prefix+".decisions"); err != nil {
		return nil, 0, nil, err
	}
	if l.done, err = b.writer(ctx, b.ledger, prefix+".done"); err != nil {
		return nil, 0, nil, err
	}
	d, err := b.lastDone(ctx)
	if err != nil {
		return nil, 0, nil, err
	}
	for entry := d.Entry + 1; entry <= l.ranges.last; entry++ {
		r, err := b.rangeAt(ctx, prefix+".range", entry) // the next one on the subject
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			break
		}
		if err != nil {
			return nil, 0, nil, err
		}
		entry = r.entry
		pending = append(pending, *r)
	}
	return l, d.Through, pending, nil
}

// Each gives the recorded ranges that end after one sequence and not after another, in order.
func (l *Loads) Each(ctx context.Context, after, through uint64, fn func(*Range) error) error {
	subject := "ledger." + l.bus.opt.County + ".range"
	for entry := uint64(1); entry <= l.ranges.last; entry++ {
		r, err := l.bus.rangeAt(ctx, subject, entry)
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		entry = r.entry
		if r.Last > through {
			return nil
		}
		if r.Last > after {
			if err := fn(r); err != nil {
				return err
			}
		}
	}
	return nil
}

// Recorded gives the ranges of the ledger that end after one sequence and begin not after another, in order, for those who
// only watch. Ranges that retention has taken off the ledger are left out.
func (b *Bus) Recorded(ctx context.Context, after, through uint64, fn func(*Range) error) error {
	subject := "ledger." + b.opt.County + ".range"
	info, err := b.ledger.Info(ctx)
	if err != nil {
		return fmt.Errorf("the ledger cannot be read: %w", err)
	}
	// Ranges stand in the order of their sequences, so that the first one is found by halving.
	low, high := info.State.FirstSeq, info.State.LastSeq+1
	for low < high {
		middle := low + (high-low)/2
		r, err := b.rangeAt(ctx, subject, middle)
		switch {
		case errors.Is(err, jetstream.ErrMsgNotFound):
			high = middle
		case err != nil && !errors.Is(err, ErrExpired):
			return err
		case err == nil && r.Last > after:
			high = middle
		default:
			low = middle + 1
		}
	}
	for entry := low; entry <= info.State.LastSeq; entry++ {
		r, err := b.rangeAt(ctx, subject, entry)
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		entry = r.entry
		if r.First > through {
			return nil
		}
		if err := fn(r); err != nil {
			return err
		}
	}
	return nil
}

// rangeAt is the first recorded range whose entry is at least the given one.
func (b *Bus) rangeAt(ctx context.Context, subject string, entry uint64) (*Range, error) {
	msg, err := b.ledger.GetMsg(ctx, entry, jetstream.WithGetMsgSubject(subject))
	if err != nil {
		return nil, fmt.Errorf("the ledger cannot be read: %w", err)
	}
	r := &Range{entry: msg.Sequence}
	if err := json.Unmarshal(msg.Data, r); err != nil {
		return nil, fmt.Errorf("entry %d of the ledger is damaged: %w", msg.Sequence, err)
	}
	for _, part := range r.Parts {
		msg, err := b.ledger.GetMsg(ctx, part)
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			err = ErrExpired // to our callers, a message that is not found is the ledger's end
		}
		if err != nil {
			return nil, fmt.Errorf("entry %d of the ledger, which belongs to entry %d, cannot be read: %w", part, r.entry, err)
		}
		r.Decisions = append(r.Decisions, msg.Data...)
	}
	return r, nil
}

// LoadedThrough is the sequence up to which everything is loaded, for those who only watch.
func (b *Bus) LoadedThrough(ctx context.Context) (uint64, error) {
	d, err := b.lastDone(ctx)
	return d.Through, err
}

func (b *Bus) lastDone(ctx context.Context) (doneEntry, error) {
	var d doneEntry
	msg, err := b.ledger.GetLastMsgForSubject(ctx, "ledger."+b.opt.County+".done")
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return d, nil
	}
	if err != nil {
		return d, fmt.Errorf("the ledger cannot be read: %w", err)
	}
	if err := json.Unmarshal(msg.Data, &d); err != nil {
		return d, fmt.Errorf("entry %d of the ledger is damaged: %w", msg.Sequence, err)
	}
	return d, nil
}

// Record writes a range down. Only after it returns may the range be loaded.
//
// Many decisions go before it, in parts. They count for nothing until the range's own entry names them, so that what was
// decided and the range are still written down in one commit (I3): a process that is killed in between leaves parts that
// nobody names.
func (l *Loads) Record(ctx context.Context, r *Range) error {
	written := *r
	if len(r.Decisions) > mostWithin {
		written.Decisions, written.Parts = nil, nil
		for part := range slices.Chunk(r.Decisions, mostInPart) {
			header := nats.Header{}
			header.Set(HeaderLast, fmt.Sprint(r.Last))
			entry, err := l.parts.Publish(ctx, header, part)
			if err != nil {
				return err
			}
			written.Parts = append(written.Parts, entry)
		}
	}
	data, err := json.Marshal(&written)
	if err != nil {
		return fmt.Errorf("record a range: %w", err)
	}
	header := nats.Header{}
	header.Set(HeaderLast, fmt.Sprint(r.Last))
	r.entry, err = l.ranges.Publish(ctx, header, data)
	return err
}

// Done writes down that a range is loaded. Ranges are finished in the order in which they were recorded.
func (l *Loads) Done(ctx context.Context, r *Range) error {
	data, err := json.Marshal(doneEntry{Through: r.Last, Entry: r.entry})
	if err != nil {
		return fmt.Errorf("finish a range: %w", err)
	}
	header := nats.Header{}
	header.Set(HeaderLast, fmt.Sprint(r.Last))
	_, err = l.done.Publish(ctx, header, data)
	return err
}
