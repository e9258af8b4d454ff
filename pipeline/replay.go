package pipeline

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/shirecounty/shire/pipeline/bus"
	"github.com/shirecounty/shire/pipeline/warehouse"
	"github.com/shirecounty/shire/schemas/change"
)

// Replay is a stretch of a dataset's changes that is to go through the flow again, as they stand on the bus. Each keeps
// the version that it first had, so that what the warehouse has already is written over by its like (I3) and nothing
// overtakes what is newer.
type Replay struct {
	Bus                 *bus.Bus
	Department, Dataset string
	From, To            uint64 // sequences of CHANGES, both included
	// Held are the rows of the dataset that were refused: those that wait come back as from quarantine, and those that a
	// person gave up stay so.
	Held []warehouse.Waiting
}

// Replayed is what a replay sent.
type Replayed struct {
	Messages int    `json:"messages"`
	Changes  int    `json:"changes"`
	Dropped  int    `json:"dropped"`  // rows that were given up, and were not sent
	Sequence uint64 `json:"sequence"` // behind which all is settled; 0 when nothing was sent
}

// Run sends the changes. They are loaded when the flow has passed Sequence.
func (r *Replay) Run(ctx context.Context) (Replayed, error) {
	var out Replayed
	subject := r.Bus.ChangesSubject(r.Department, r.Dataset)
	w, err := r.Bus.ChangesWriter(ctx, subject)
	if err != nil {
		return out, err
	}
	newest, _ := w.Last()
	end := min(r.To, newest)
	if end < r.From {
		return out, nil
	}
	states := make(map[uint64]string, len(r.Held))
	for _, h := range r.Held {
		states[h.Version] = h.State
	}
	reader, err := r.Bus.ReadSubject(ctx, subject, r.From)
	if err != nil {
		return out, err
	}
	defer reader.Close()
	for at := uint64(0); at < end; {
		msg, err := reader.Next(ctx, 30*time.Second)
		if err != nil {
			return out, fmt.Errorf("the changes of %s cannot be read on: %w", r.Dataset, err)
		}
		if at = msg.Sequence; at > end {
			break // the newest of the stretch has expired meanwhile
		}
		if err := r.again(ctx, msg, states, &out); err != nil {
			return out, err
		}
		out.Messages++
	}
	return out, nil
}

// again sends the changes of one message: what waits in quarantine as a retry, the rest as a replay.
func (r *Replay) again(ctx context.Context, msg *bus.Message, states map[uint64]string, out *Replayed) error {
	batch := read(msg)
	if batch == nil {
		batch = unreadable(msg)
	}
	defer batch.Record.Release()
	waiting := change.NewBuilderLike(batch)
	defer waiting.Release()
	rest := change.NewBuilderLike(batch)
	defer rest.Release()
	for i := range batch.Len() {
		version := batch.Version(msg.Sequence, i)
		switch states[version] {
		case "dropped":
			out.Dropped++
		case "waiting":
			waiting.AppendFrom(changeAt(batch, i), version)
		default:
			rest.AppendFrom(changeAt(batch, i), version)
		}
	}
	for _, b := range []*change.Builder{waiting, rest} {
		if b.Rows() == 0 {
			continue
		}
		out.Changes += b.Rows()
		header := nats.Header{}
		if b == rest {
			header.Set(bus.HeaderReplay, strconv.FormatUint(msg.Sequence, 10))
		}
		var err error
		if out.Sequence, err = publishAgain(ctx, r.Bus, b.Build(), header); err != nil {
			return err
		}
	}
	return nil
}
