package query

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/zeebo/xxh3"

	"github.com/shirecounty/shire/connectors"
	"github.com/shirecounty/shire/schemas/change"
	"github.com/shirecounty/shire/schemas/contract"
)

// tableReader polls a table by its watermark.
type tableReader struct {
	*run
	spec    tableSettings
	dataset *contract.Dataset

	begun    bool // what follows stands as it was left
	at       position
	key      []string // of the row where a poll was broken off; nil: go on at the first row of at.Mark
	columns  []string // of the rows that were said; nil: not known
	swept    int64
	chunk    chunk
	shape    *shape
	shaped   []connectors.Column
	proven   bool                 // the ledger is of this bus
	checked  bool                 // whether the watermark has an index
	said     map[string]saidEntry // since the ledger was brought up to the bus
	appended bool                 // something may not be safe
}

type saidEntry struct {
	entry
	deleted bool
}

// saidLimit bounds what is remembered of a poll beside the ledger (I10).
const saidLimit = 50_000

// defaultOverlap of times, and of numbers.
const (
	defaultOverlap       = 5 * time.Minute
	defaultNumberOverlap = 1000
)

func (t *tableReader) table() tableSettings { return t.spec }
func (t *tableReader) again()               { t.begun = false }

// begin makes safe what was appended, brings the ledger up to the bus, and finds where to go on.
func (t *tableReader) begin(ctx context.Context) error {
	if !t.proven {
		if err := t.ledger.prove(ctx, t.out, t.dataset.Name); err != nil {
			return fmt.Errorf("read back what is on the bus: %w", err)
		}
		t.proven = true
	}
	f, err := t.settle(ctx)
	if err != nil {
		return err
	}
	resume, err := t.out.Resume(ctx, t.dataset.Name)
	if err != nil {
		return fmt.Errorf("find where to resume: %w", err)
	}
	saved, err := t.ledger.local(t.dataset.Name)
	if err != nil {
		return err
	}
	t.swept, t.key = saved.Swept, nil
	at, ours := parsePosition(resume)
	switch {
	case saved.Read && saved.Base == resume:
		t.at, t.columns = saved.At, saved.Columns
	case !ours:
		t.at, t.columns = position{Phase: first}, nil
	default:
		// I2: the last change on the bus says how far the table was read; its row says the key.
		t.at, t.columns = at, f.Columns
		if !at.Aside {
			t.key = f.Key
		}
	}
	t.chunk = chunk{most: t.settings.chunkRows}
	t.begun = true
	return nil
}

// settle makes what was appended safe and has the ledger follow.
func (t *tableReader) settle(ctx context.Context) (folded, error) {
	if t.appended {
		// I1: the ledger and what is kept beside it move only when the changes are safe.
		if err := t.out.Flush(ctx); err != nil {
			return folded{}, err
		}
	}
	f, err := t.ledger.catchUp(ctx, t.out, t.dataset, t.spec.watermark)
	if err != nil {
		return f, fmt.Errorf("read back what is on the bus: %w", err)
	}
	t.appended, t.said = false, map[string]saidEntry{}
	return f, nil
}

// save notes where the next poll begins.
func (t *tableReader) save() error {
	return t.ledger.setLocal(t.dataset.Name, local{Read: true, Base: t.out.Safe(t.dataset.Name), At: t.at, Columns: t.columns, Swept: t.swept})
}

// look has the shape of the table as it is now.
func (t *tableReader) look(ctx context.Context) (err error) {
	if t.shape, err = t.db.look(ctx, &t.spec, t.dataset); err != nil {
		return err
	}
	var columns []connectors.Column
	for _, c := range t.shape.columns {
		columns = append(columns, connectors.Column{Name: c.name, Type: c.declared})
	}
	if slices.Equal(columns, t.shaped) {
		return nil
	}
	if err := t.out.Shape(ctx, t.dataset.Name, columns); err != nil {
		return err
	}
	t.shaped = columns
	return nil
}

// poll reads what changed since the last one, and compares the keys when it is time.
func (t *tableReader) poll(ctx context.Context) error {
	if !t.begun {
		if err := t.begin(ctx); err != nil {
			return err
		}
	}
	if err := t.look(ctx); err != nil {
		return err
	}
	if err := t.checkIndex(ctx); err != nil {
		return err
	}
	gained := t.columns != nil && slices.ContainsFunc(t.shape.names, func(n string) bool { return !slices.Contains(t.columns, n) })
	resumed := t.at.Mark != ""
	if gained {
		// The new column may have a value in rows whose watermark did not move: a default, or another name.
		phase := again
		if t.at.Phase == first {
			phase = first
		}
		t.at, t.key, resumed = position{Phase: phase}, nil, false
	}
	if err := t.pass(ctx, resumed); err != nil {
		return err
	}
	if resumed { // a poll that was broken off has only read what was left of it
		if err := t.pass(ctx, false); err != nil {
			return err
		}
	}
	if every := t.sweepEvery(); t.now().Sub(time.Unix(0, t.swept)) >= every {
		if err := t.sweep(ctx); err != nil {
			return err
		}
		t.swept = t.now().UnixNano()
	}
	if _, err := t.settle(ctx); err != nil {
		return err
	}
	return t.save()
}

// pass reads the rows from one place on to the end of the table.
func (t *tableReader) pass(ctx context.Context, resumed bool) error {
	from, below, c := t.at.Mark, "", cursor{}
	if t.key != nil {
		c = behind(append([]string{t.at.Mark}, t.key...))
	}
	if !resumed {
		next, err := t.db.one(ctx, t.shape.newest(t.overlap()), &t.spec)
		if err != nil {
			return err
		}
		if from, c = t.at.Next, (cursor{}); t.at.Phase != "" {
			from = ""
		}
		t.at = position{Next: next, Phase: t.at.Phase}
	}
	if t.shape.statements.mark.kind == rowversion {
		below = t.at.Next
	}
	for !c.done {
		rows, more, err := t.chunk.read(ctx, t.db, &t.spec, t.shape, func(n int) statement { return t.shape.changed(from, below, c, n) })
		if err != nil {
			return err
		}
		var last []string
		for _, r := range rows {
			t.at.Mark = r.values[t.shape.mark]
			if err := t.say(ctx, r, t.at); err != nil {
				return err
			}
		}
		if n := len(rows); n > 0 {
			last = append([]string{t.at.Mark}, rawKey(t.shape.keyer, rows[n-1].values)...)
		}
		c.advance(last, more)
		if err := t.serveBetween(ctx); err != nil {
			return err
		}
	}
	t.at, t.key, t.columns = position{Next: t.at.Next}, nil, t.shape.names
	if _, err := t.settle(ctx); err != nil {
		return err
	}
	return t.save()
}

func (t *tableReader) overlap() overlap {
	o := t.spec.overlap
	if !o.given {
		o.duration, o.number = defaultOverlap, defaultNumberOverlap
	}
	return o
}

// known is what was said of a record last.
func (t *tableReader) known(key string) (entry, bool, error) {
	if s, ok := t.said[key]; ok {
		return s.entry, !s.deleted, nil
	}
	return t.ledger.record(t.dataset.Name, key)
}

// say appends a row, unless it was said before and has not changed.
func (t *tableReader) say(ctx context.Context, r row, at position) error {
	key, problem := t.shape.keyer.Key(r.values)
	if problem == "" {
		problem = unusable(r)
	}
	if problem != "" {
		return t.sayMalformed(ctx, r, key, problem, at)
	}
	before, known, err := t.known(key)
	if err != nil {
		return err
	}
	if t.shape.soft >= 0 && t.spec.deleted.holds(r.values[t.shape.soft], r.null[t.shape.soft]) {
		if !known {
			return nil
		}
		return t.delete(ctx, key, at)
	}
	now := t.entry(r)
	switch {
	case known && before.content == now.content:
		return nil
	case known:
		return t.append(ctx, change.Update, key, r, now, at)
	case t.at.Phase == first || t.swept == 0: // rows without a watermark are first read by the first comparison
		return t.append(ctx, change.Snapshot, key, r, now, at)
	}
	return t.append(ctx, change.Create, key, r, now, at)
}

func (t *tableReader) entry(r row) entry {
	e := entry{content: t.shape.hash.sum(r.values, r.null), raw: rawKey(t.shape.keyer, r.values)}
	if !r.null[t.shape.mark] {
		e.mark = markHash(r.values[t.shape.mark])
	}
	return e
}

func (t *tableReader) append(ctx context.Context, op change.Op, key string, r row, e entry, at position) error {
	c := change.Change{Op: op, Key: key, Time: t.time(r), Values: r.values, Position: at.text()}
	if slices.Contains(r.null, true) {
		c.Null = r.null
	}
	return t.put(ctx, key, c, saidEntry{entry: e})
}

// time is when the row says that it changed. A time without a zone says nothing to those who do not know its zone.
func (t *tableReader) time(r row) time.Time {
	if t.shape.statements.mark.kind != instant || r.null[t.shape.mark] {
		return time.Time{}
	}
	at, err := time.Parse("2006-01-02 15:04:05.999999999Z07:00", r.values[t.shape.mark])
	if err != nil {
		return time.Time{}
	}
	return at.UTC()
}

func (t *tableReader) delete(ctx context.Context, key string, at position) error {
	at.Aside = at.Mark != ""
	return t.put(ctx, key, change.Change{Op: change.Delete, Key: key, Position: at.text()}, saidEntry{deleted: true})
}

func (t *tableReader) put(ctx context.Context, key string, c change.Change, s saidEntry) error {
	if len(t.said) >= saidLimit {
		if _, err := t.settle(ctx); err != nil {
			return err
		}
	}
	t.appended = true
	if err := t.out.Append(ctx, t.dataset.Name, t.spec.name, t.shape.names, c); err != nil {
		return err
	}
	t.said[key] = s
	return nil
}

// sayMalformed sends a row that cannot be used to quarantine, once.
func (t *tableReader) sayMalformed(ctx context.Context, r row, key, problem string, at position) error {
	raw := printable(r.values)
	hash := hashOf(raw)
	mine := "\x00" + hash // no record has such a key
	if _, ok := t.said[mine]; ok {
		return nil
	}
	if known, err := t.ledger.malformed(t.dataset.Name, hash); err != nil || known {
		return err
	}
	at.Aside = at.Mark != ""
	return t.put(ctx, mine, change.Change{Op: change.Malformed, Key: key, Problem: problem, Raw: raw, Position: at.text()}, saidEntry{entry: entry{content: xxh3.Uint128{}}})
}

// unusable says why a row cannot go on, or "".
func unusable(r row) string {
	n := 0
	for _, v := range r.values {
		n += len(v)
		if !utf8.ValidString(v) {
			return "the row holds bytes that are not UTF-8"
		}
	}
	if n > rowLimit {
		return fmt.Sprintf("the row has %d bytes, more than the %d that one change may have", n, rowLimit)
	}
	return ""
}

// printable is a row's text for quarantine.
func printable(values []string) string {
	const limit = 64 << 10
	var out strings.Builder
	for i, v := range values {
		if i > 0 {
			out.WriteByte('\t')
		}
		if out.Len()+len(v) > limit {
			out.WriteString(strings.ToValidUTF8(v[:max(0, limit-out.Len())], ""))
			// What is cut off still tells this row from others.
			fmt.Fprintf(&out, "… (%016x)", xxh3.HashString(strings.Join(values, "\t")))
			break
		}
		out.WriteString(strings.ToValidUTF8(v, "\uFFFD"))
	}
	return out.String()
}

// checkIndex has a look at whether the watermark has an index, once.
func (t *tableReader) checkIndex(ctx context.Context) error {
	if t.checked {
		return nil
	}
	text, args := t.settings.dialect.indexed(t.settings.named(t.spec), t.spec.watermark)
	found, err := t.db.one(ctx, statement{text, args}, &t.spec)
	if err != nil {
		return err
	}
	t.checked = true
	if found == "" {
		t.tell(t.spec.dataset, t.spec.name, "watermark_not_indexed", fmt.Sprintf("no index of %s that the user may see begins with %s, so each poll reads the whole table (of a view, its tables' indexes count and are not looked at); have one made on (%s, key), or poll less often", t.spec.name, t.spec.watermark, t.spec.watermark))
	}
	return nil
}
