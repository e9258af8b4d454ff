package pipeline

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/shirecounty/shire/pipeline/bus"
	"github.com/shirecounty/shire/pipeline/normalise"
	"github.com/shirecounty/shire/pipeline/warehouse"
	"github.com/shirecounty/shire/schemas/change"
)

// hold writes down what a message means for the quarantine: rows that are refused wait in it, rows that come
// back and are good are released, rows that are given up are dropped (I5).
func (s *span) hold(p *part) {
	if p.drops() {
		reason := p.message.Header.Get(bus.HeaderDrop)
		for i := range p.batch.Len() {
			s.held = append(s.held, heldRow(p, i, normalise.Rejection{Row: i, Code: "dropped"}, "dropped", reason))
		}
		return
	}
	refused := map[int]bool{}
	for _, r := range p.result.Rejected {
		refused[r.Row] = true
		s.held = append(s.held, heldRow(p, r.Row, r, "waiting", ""))
	}
	if !p.message.IsRetry() || p.replayed() {
		return
	}
	for i := range p.batch.Len() {
		if !refused[i] {
			s.held = append(s.held, heldRow(p, i, normalise.Rejection{Row: i}, "released", "the contract accepts it now"))
		}
	}
}

func heldRow(p *part, i int, r normalise.Rejection, state, reason string) warehouse.Held {
	version := p.batch.Version(p.message.Sequence, i)
	h := warehouse.Held{
		Dataset: p.batch.Dataset, Department: p.batch.Department, Source: p.batch.Source, Unit: p.batch.Unit, Row: p.batch.Row(i),
		Field: r.Field, Code: r.Code, Message: r.Message, Sequence: change.SequenceOf(version), Version: version,
		At: p.message.Time.UTC(), Event: p.message.Sequence, State: state, StateReason: reason,
	}
	if c := p.contract; c != nil {
		h.OwnerZh, h.OwnerEn, h.ContractVersion, h.ContractHash = c.Owner.Zh, c.Owner.En, int64(c.Version), c.Hash
	}
	return h
}

// waiting counts the rows of the span that were put into quarantine.
func (s *span) waiting() int {
	n := 0
	for _, h := range s.held {
		if h.State == "waiting" {
			n++
		}
	}
	return n
}

// quarantine publishes the bytes of refused rows to the quarantine's own stream, one message for each dataset
// of the range. The message names the range, so that a replay knows that it was published (I2, I3).
func (f *Flow) quarantine(ctx context.Context, s *span) error {
	for n, p := range s.parts {
		if p.batch.Retried() && !p.replayed() {
			continue // its bytes are waiting there already
		}
		var b *change.Builder // of the part: another may have other columns
		for _, r := range p.result.Rejected {
			if b == nil {
				b = change.NewBuilderLike(p.batch)
				defer b.Release()
			}
			b.AppendFrom(changeAt(p.batch, r.Row), p.batch.Version(p.message.Sequence, r.Row))
		}
		if b != nil {
			if err := f.publishRefused(ctx, s, n, b.Build()); err != nil {
				return err
			}
		}
	}
	return nil
}

// publishRefused publishes the refused rows of one part. Parts come in the order of their messages, so the newest
// message of a subject says which of them are there.
func (f *Flow) publishRefused(ctx context.Context, s *span, part int, b *change.Batch) error {
	defer b.Record.Release()
	w, err := f.opt.Bus.QuarantineWriter(ctx, f.opt.Bus.QuarantineSubject(b.Department, b.Dataset))
	if err != nil {
		return err
	}
	mark := fmt.Sprintf("%020d-%020d/%06d", s.First, s.Last, part)
	if _, header := w.Last(); header.Get(bus.HeaderRange) >= mark {
		return nil // published before the process was stopped
	}
	data, err := b.Encode()
	if err != nil {
		return err
	}
	h := nats.Header{}
	h.Set(bus.HeaderRange, mark)
	h.Set(bus.HeaderLast, mark)
	h.Set(bus.HeaderRows, strconv.Itoa(b.Len()))
	_, err = w.Publish(ctx, h, data)
	return err
}

// changeAt is a row of a batch as the change it was made from.
func changeAt(b *change.Batch, i int) change.Change {
	c := change.Change{Op: b.Op(i), Key: b.Key(i), Row: b.Row(i), Time: b.Time(i), Problem: b.Problem(i), Raw: b.Raw(i), Position: b.Last}
	for k := range b.Columns() {
		col := b.Values(k)
		c.Values = append(c.Values, col.Value(i))
		c.Null = append(c.Null, col.IsNull(i))
	}
	return c
}

// Requeue sends rows from quarantine through the flow again, or, with a reason to drop them, gives them up. It
// returns the bus sequence behind which both is settled. versions are grouped by dataset.
func Requeue(ctx context.Context, b *bus.Bus, rows []warehouse.Waiting, drop string) (uint64, error) {
	given := drop != ""
	if drop = strings.Join(strings.Fields(drop), " "); given && drop == "" {
		// A header keeps neither line breaks nor outer blanks: without a reason, the rows would be retried.
		return 0, errors.New("rows are given up for a reason: write it in words")
	}
	var last uint64
	for _, group := range bySequence(rows) {
		batch, err := original(ctx, b, group[0])
		if err != nil {
			return 0, err
		}
		again, err := choose(batch, group)
		batch.Record.Release()
		if err != nil {
			return 0, err
		}
		header := nats.Header{}
		if given {
			header.Set(bus.HeaderDrop, drop)
		}
		if last, err = publishAgain(ctx, b, again, header); err != nil {
			return 0, err
		}
	}
	return last, nil
}

// choose is a batch with the given rows of another, each with the version that it first had.
func choose(batch *change.Batch, rows []warehouse.Waiting) (*change.Batch, error) {
	builder := change.NewBuilderLike(batch)
	defer builder.Release()
	for _, r := range rows {
		i, err := rowIn(batch, r)
		if err != nil {
			return nil, err
		}
		builder.AppendFrom(changeAt(batch, i), r.Version)
	}
	return builder.Build(), nil
}

// publishAgain sends changes that keep their versions.
func publishAgain(ctx context.Context, b *bus.Bus, batch *change.Batch, header nats.Header) (uint64, error) {
	defer batch.Record.Release()
	w, err := b.ChangesWriter(ctx, b.RetrySubject(batch.Department, batch.Dataset))
	if err != nil {
		return 0, err
	}
	data, err := batch.Encode()
	if err != nil {
		return 0, err
	}
	header.Set(bus.HeaderRows, strconv.Itoa(batch.Len()))
	return w.Publish(ctx, header, data)
}

func bySequence(rows []warehouse.Waiting) [][]warehouse.Waiting {
	slices.SortFunc(rows, func(a, b warehouse.Waiting) int {
		if c := strings.Compare(a.Dataset, b.Dataset); c != 0 {
			return c
		}
		switch {
		case a.Version < b.Version:
			return -1
		case a.Version > b.Version:
			return 1
		}
		return 0
	})
	var groups [][]warehouse.Waiting
	for i, r := range rows {
		if i == 0 || rows[i-1].Dataset != r.Dataset || change.SequenceOf(rows[i-1].Version) != change.SequenceOf(r.Version) {
			groups = append(groups, nil)
		}
		groups[len(groups)-1] = append(groups[len(groups)-1], r)
	}
	return groups
}

// Original reads a quarantined row as its source wrote it: from the changes, or, when they have expired, from the
// quarantine's own stream. It is personal data: who shows it answers for it.
func Original(ctx context.Context, b *bus.Bus, r warehouse.Waiting) (change.Change, []string, error) {
	batch, err := original(ctx, b, r)
	if err != nil {
		return change.Change{}, nil, err
	}
	defer batch.Record.Release()
	i, err := rowIn(batch, r)
	if err != nil {
		return change.Change{}, nil, err
	}
	c := changeAt(batch, i)
	for i := range c.Values { // the batch is released, its memory may go
		c.Values[i] = strings.Clone(c.Values[i])
	}
	return c, batch.Columns(), nil
}

func original(ctx context.Context, b *bus.Bus, r warehouse.Waiting) (*change.Batch, error) {
	msg, err := b.Get(ctx, change.SequenceOf(r.Version))
	if err == nil {
		if batch := read(msg); batch != nil {
			return batch, nil
		}
		return unreadable(msg), nil
	}
	if !errors.Is(err, bus.ErrExpired) {
		return nil, err
	}
	return findRefused(ctx, b, r)
}

// findRefused looks a row up in the quarantine's own stream, which is kept longer than the changes.
func findRefused(ctx context.Context, b *bus.Bus, r warehouse.Waiting) (*change.Batch, error) {
	subject := b.QuarantineSubject(r.Department, r.Dataset)
	w, err := b.QuarantineWriter(ctx, subject)
	if err != nil {
		return nil, err
	}
	end, _ := w.Last()
	reader, err := b.ReadQuarantine(ctx, subject, 1)
	if err != nil {
		return nil, err
	}
	defer reader.Close()
	for at := uint64(0); at < end; {
		msg, err := reader.Next(ctx, 10*time.Second)
		if err != nil {
			return nil, err
		}
		at = msg.Sequence
		batch, err := change.Decode(msg.Data)
		if err != nil {
			return nil, err
		}
		for i := range batch.Len() {
			if batch.Version(0, i) == r.Version {
				return batch, nil
			}
		}
		batch.Record.Release()
	}
	return nil, fmt.Errorf("row %d of %s, version %d: %w", r.Row, r.Dataset, r.Version, bus.ErrExpired)
}

// rowIn is the place of a quarantined row in the batch that original found.
func rowIn(batch *change.Batch, r warehouse.Waiting) (int, error) {
	if batch.Dataset == r.Dataset {
		for i := range batch.Len() {
			if batch.Version(change.SequenceOf(r.Version), i) == r.Version {
				return i, nil
			}
		}
	}
	return 0, fmt.Errorf("message %d does not hold row %d of %s that quarantine speaks of; is this the bus that the warehouse was loaded from?", change.SequenceOf(r.Version), r.Row, r.Dataset)
}
