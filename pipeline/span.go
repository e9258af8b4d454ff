package pipeline

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/shirecounty/shire/pipeline/bus"
	"github.com/shirecounty/shire/pipeline/columnar"
	"github.com/shirecounty/shire/pipeline/identity"
	"github.com/shirecounty/shire/pipeline/normalise"
	"github.com/shirecounty/shire/pipeline/warehouse"
	"github.com/shirecounty/shire/schemas/canonical"
	"github.com/shirecounty/shire/schemas/change"
	"github.com/shirecounty/shire/schemas/contract"
)

// span is a range of messages on its way: what it became, and what was refused.
type span struct {
	bus.Range
	parts []*part
	links []identity.Link
	held  []warehouse.Held
	noted map[string]int
	began time.Time
}

// part is one message of a span.
type part struct {
	message  *bus.Message
	batch    *change.Batch
	contract *contract.Dataset // nil when the dataset has none
	result   *normalise.Result
}

func newSpan() *span {
	return &span{Range: bus.Range{Contracts: map[string]string{}}, noted: map[string]int{}, began: time.Now()}
}

// collect reads messages until a limit closes the range, says which limit it was, and hands the range to the loader.
// A full range waits for the loader. One that is only old enough goes when the loader is free and fills on until
// then: a busy warehouse gets fewer and larger loads.
func (f *Flow) collect(ctx context.Context, reader *bus.Reader, plans *planner, loader chan<- *span) error {
	s := newSpan()
	for {
		wait := time.Minute
		if s.Messages > 0 {
			// Short, so that Drain does not have to wait for the age.
			wait = min(max(f.opt.Limits.Age-time.Since(s.began), 10*time.Millisecond), 50*time.Millisecond)
		}
		msg, err := reader.Next(ctx, wait)
		switch {
		case errors.Is(err, bus.ErrIdle):
			if s.Messages == 0 {
				continue
			}
		case err != nil:
			return err
		default:
			if s.Messages == 0 {
				s.began = time.Now()
			}
			if err := s.take(ctx, msg, plans, f.opt.Log); err != nil {
				return err
			}
			f.opt.Resolver.Ahead(s.parts[len(s.parts)-1].mentions())
		}
		reason, full := f.opt.Limits.Full(s.Rows, s.Bytes, time.Since(s.began))
		// The range that holds the target, and no later one: else every message after a Drain would be a load.
		if t := f.target.Load(); reason != columnar.ByRows && reason != columnar.ByBytes && s.First <= t && t <= s.Last {
			reason, full = columnar.ByEnd, true
		}
		s.Reason = string(reason)
		switch {
		case reason == columnar.ByAge:
			select {
			case loader <- s:
				return nil
			default:
			}
		case full:
			select {
			case loader <- s:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}
}

// take adds one message to the span: decoded and normalised.
func (s *span) take(ctx context.Context, msg *bus.Message, plans *planner, log *slog.Logger) error {
	if s.Messages == 0 {
		s.First = msg.Sequence
	}
	s.Messages++
	s.Last = msg.Sequence
	batch := read(msg)
	foreign := batch == nil
	if foreign {
		// Somebody published what is no change batch of this subject. It waits where a person can look at it (I4).
		log.Warn("a message is not a change batch of its subject and goes to quarantine", "sequence", msg.Sequence, "subject", msg.Subject)
		batch = unreadable(msg)
	}
	p := &part{message: msg, batch: batch}
	s.parts = append(s.parts, p)
	s.Rows += batch.Len()
	s.Bytes += columnar.Size(batch)
	plan, c, err := plans.plan(ctx, batch.Dataset)
	if err != nil {
		return err
	}
	if c != nil {
		p.contract = c
		s.Contracts[c.Name] = c.Hash
	}
	switch {
	case foreign:
		p.refuse("malformed", batch.Problem(0))
	case p.drops():
		p.result = &normalise.Result{}
	case plan == nil:
		p.refuse("no_contract", "the dataset has no contract; write one, then retry")
	case c.Department != batch.Department:
		// Who may publish for one department must not write the records of another.
		p.refuse("other_department", fmt.Sprintf("the contract says that the dataset belongs to %s; publish it there, or mend the contract", c.Department))
	default:
		p.result = plan.Apply(batch, msg.Sequence, msg.Time)
		for note, n := range p.result.Noted {
			s.noted[c.Name+"/"+note.Field+"/"+note.Code] += n
		}
	}
	s.hold(p)
	return nil
}

// mentions are the rows that speak of identity.
func (p *part) mentions() []*normalise.Rows {
	var mentions []*normalise.Rows
	for _, t := range p.result.Tables {
		if t.Table.Mention != canonical.NoMention {
			mentions = append(mentions, t)
		}
	}
	return mentions
}

// drops tells whether the message gives its rows up.
func (p *part) drops() bool { return p.message.IsRetry() && p.message.Header.Get(bus.HeaderDrop) != "" }

// replayed tells whether the message brings changes again that were not refused when they came first.
func (p *part) replayed() bool {
	return p.message.IsRetry() && p.message.Header.Get(bus.HeaderReplay) != ""
}

func (p *part) refuse(code, message string) {
	p.result = &normalise.Result{}
	for i := range p.batch.Len() {
		p.result.Rejected = append(p.result.Rejected, normalise.Rejection{Row: i, Code: code, Message: message})
	}
}

// read is the change batch in a message; nil when there is none, or none that may stand on this subject: of another
// dataset, or with versions of its own choosing.
func read(msg *bus.Message) *change.Batch {
	batch, err := change.Decode(msg.Data)
	if err != nil {
		return nil
	}
	department, dataset := bus.Place(msg.Subject)
	if batch.Department != department || batch.Dataset != dataset || batch.Retried() != msg.IsRetry() {
		batch.Record.Release()
		return nil
	}
	return batch
}

// maxRaw is how much of an unreadable message is kept as a row: all of it would not fit in a message again.
const maxRaw = 4 << 20

// unreadable keeps a message that is no change batch as one malformed row.
func unreadable(msg *bus.Message) *change.Batch {
	department, dataset := bus.Place(msg.Subject)
	if dataset == "" {
		department, dataset = "unknown", "unknown"
	}
	b := change.NewBuilder("", department, dataset, msg.Subject, nil)
	defer b.Release()
	b.Append(change.Change{Op: change.Malformed, Row: int64(msg.Sequence), Raw: string(msg.Data[:min(len(msg.Data), maxRaw)]), Problem: "the message is not a change batch of Shire; whoever may publish to this subject has to be found"})
	return b.Build()
}

// resolve gives every row of the span its person and organisation.
func (s *span) resolve(ctx context.Context, r identity.Resolver, recorded []byte) error {
	var mentions []*normalise.Rows
	for _, p := range s.parts {
		mentions = append(mentions, p.mentions()...)
	}
	outcome, err := r.Resolve(ctx, mentions, recorded)
	if err != nil {
		return fmt.Errorf("resolve identities: %w", err)
	}
	s.Decisions, s.links = outcome.Decisions, outcome.Links
	for _, p := range s.parts {
		identity.Refer(p.result)
	}
	return nil
}

// gather makes the tables of the load.
func (s *span) gather() []columnar.Table {
	g := columnar.NewGatherer()
	for _, p := range s.parts {
		for _, t := range p.result.Tables {
			g.Add(t)
		}
	}
	tables := g.Finish()
	if len(s.links) > 0 {
		tables = append(tables, columnar.Links(s.links))
	}
	return tables
}

// token is what ClickHouse knows a load by: table, range, contracts (I3).
func (s *span) token(table string) string {
	h := sha256.New()
	for _, dataset := range slices.Sorted(maps.Keys(s.Contracts)) {
		fmt.Fprintf(h, "%s=%s\n", dataset, s.Contracts[dataset])
	}
	return fmt.Sprintf("%s:%d-%d:%s", table, s.First, s.Last, hex.EncodeToString(h.Sum(nil)[:8]))
}

// lines are the tables' lines of the load log, but for the times.
func (s *span) lines(tables []columnar.Table) []warehouse.Loaded {
	lines := make([]warehouse.Loaded, len(tables))
	for i, t := range tables {
		l := warehouse.Loaded{
			Table: t.Table.Database + "." + t.Table.Name, First: s.First, Last: s.Last, Rows: uint64(t.Record.NumRows()), Reason: s.Reason,
			Contracts: map[string]string{}, DatasetRows: map[string]uint64{}, DatasetLast: map[string]uint64{}, Token: s.token(t.Table.Name),
		}
		for _, col := range t.Record.Columns() {
			for _, buf := range col.Data().Buffers() {
				if buf != nil {
					l.Bytes += uint64(buf.Len())
				}
			}
		}
		for _, p := range s.parts {
			for _, r := range p.result.Tables {
				if r.Table == t.Table && p.contract != nil {
					l.Contracts[p.contract.Name] = fmt.Sprintf("%d/%s", p.contract.Version, p.contract.Hash)
					l.DatasetRows[p.contract.Name] += uint64(len(r.Source))
					l.DatasetLast[p.contract.Name] = p.message.Sequence
				}
			}
		}
		lines[i] = l
	}
	return lines
}
