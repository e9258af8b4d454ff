package bus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

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

	entry uint64 // sequence of this entry in LEDGER
}

// Loads keeps the ledger of one county's loads. Its fenced writers are the lease: of two normalisers, the one
// that records second is refused.
type Loads struct {
	ranges *Writer
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
	if l.done, err = b.writer(ctx, b.ledger, prefix+".done"); err != nil {
		return nil, 0, nil, err
	}
	d, err := b.lastDone(ctx)
	if err != nil {
		return nil, 0, nil, err
	}
	for entry := d.Entry + 1; entry <= l.ranges.last; entry++ {
		msg, err := b.ledger.GetMsg(ctx, entry, jetstream.WithGetMsgSubject(prefix+".range"))
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			break
		}
		if err != nil {
			return nil, 0, nil, fmt.Errorf("the ledger cannot be read: %w", err)
		}
		var r Range
		if err := json.Unmarshal(msg.Data, &r); err != nil {
			return nil, 0, nil, fmt.Errorf("entry %d of the ledger is damaged: %w", msg.Sequence, err)
		}
		r.entry = msg.Sequence
		entry = msg.Sequence // WithGetMsgSubject gives the next one on the subject
		pending = append(pending, r)
	}
	return l, d.Through, pending, nil
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
func (l *Loads) Record(ctx context.Context, r *Range) error {
	data, err := json.Marshal(r)
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
