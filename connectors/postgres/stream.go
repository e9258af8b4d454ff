package postgres

import (
	"context"
	"fmt"
	"strings"

	"github.com/shirecounty/shire/connectors"
	"github.com/shirecounty/shire/schemas/change"
)

// relation is a table as the stream describes it: its columns are those of the rows that follow.
type relation struct {
	relationMessage
	feed  *feed // nil: none of this source's tables
	names []string
	keyer *connectors.Keyer
	ready bool     // the outlet knows its columns
	now   []string // what the columns are called today, where that was asked
}

// hand hands one message of the stream on.
func (r *run) hand(ctx context.Context, m message) error {
	if m.body == "" {
		if !r.tx.open && m.end > r.lsn {
			r.lsn = m.end // nothing before it is to come any more
		}
		return nil
	}
	kind, body := m.body[0], m.body[1:]
	switch kind {
	case 'B':
		begin, err := parseBegin(body)
		if err != nil {
			return err
		}
		r.tx.beginMessage, r.tx.open, r.tx.n, r.tx.used = begin, true, 0, false
	case 'C':
		end, err := parseCommit(body)
		if err != nil {
			return err
		}
		r.lsn, r.tx.open = max(r.lsn, end), false
		if len(r.unseen.transactions) >= most {
			return r.unseen.look(ctx, r.side)
		}
	case 'R':
		return r.relate(body)
	case 'I', 'U', 'D':
		return r.rowChange(ctx, kind, body)
	case 'T':
		return r.truncate(ctx, body)
	case 'Y', 'O', 'M': // types are looked up when they are met; origins and messages say nothing of records
	default:
		return fmt.Errorf("the server sent a message of the unknown kind %q; is it newer than this connector?", kind)
	}
	return nil
}

// use notes that the transaction has to do with this source's tables.
func (r *run) use() {
	if !r.tx.used {
		r.tx.used = true
		r.unseen.add(r.tx.xid, r.tx.commit)
	}
}

func (r *run) relate(body string) error {
	m, err := parseRelation(body)
	if err != nil {
		return err
	}
	rel := &relation{relationMessage: m, feed: r.byName[m.schema+"."+m.name]}
	if rel.feed == nil {
		for _, f := range r.feeds {
			if f.table.oid == m.oid {
				return refuse("no_table", "table %s is now called %s.%s; mend with.tables", f.unit, m.schema, m.name).of(f)
			}
		}
	}
	for _, c := range m.columns {
		rel.names = append(rel.names, c.Name)
	}
	r.relations[m.oid] = rel
	return nil
}

func (r *run) rowChange(ctx context.Context, kind byte, body string) error {
	if err := r.row.parse(kind, body); err != nil {
		return err
	}
	// An ordinal depends on the stream alone: an update takes two, as a changed key makes two changes of it.
	first := r.tx.n + 1
	r.tx.n = first
	if kind == 'U' {
		r.tx.n++
	}
	rel := r.relations[r.row.oid]
	if rel == nil {
		return fmt.Errorf("the server sent a row of table %d without its description", r.row.oid)
	}
	f := rel.feed
	if f == nil {
		return nil
	}
	r.use()
	if !(place{r.tx.commit, r.tx.n}).after(f.at) {
		return nil // said before this run began
	}
	if err := r.prepare(ctx, rel); err != nil {
		return err
	}
	for _, t := range []*tuple{&r.row.old, &r.row.new} {
		if len(t.values) > len(rel.names) {
			return fmt.Errorf("the server sent a row of %s with %d values for its %d columns", f.unit, len(t.values), len(rel.names))
		}
	}
	switch kind {
	case 'I':
		return r.say(ctx, rel, change.Create, &r.row.new, first)
	case 'D':
		return r.sayDelete(ctx, rel, first)
	}
	return r.update(ctx, rel, first)
}

func (r *run) update(ctx context.Context, rel *relation, first int64) error {
	row := &r.row
	if row.had == 'O' && row.new.gaps > 0 {
		row.new.fill(&row.old)
	}
	op := change.Update
	if row.had != 0 {
		for _, i := range rel.keyer.Columns() {
			if row.new.absentAt(i) && i < len(row.old.values) {
				row.new.set(i, row.old.values[i], row.old.null[i])
			}
		}
		old, problem := rel.keyer.Key(row.old.padded(len(rel.names)).values)
		now, other := rel.keyer.Key(row.new.padded(len(rel.names)).values)
		if problem == "" && (other != "" || old != now) {
			op = change.Create
			if err := r.sayDelete(ctx, rel, first); err != nil {
				return err
			}
		}
	}
	for _, i := range rel.keyer.Columns() {
		if row.new.absentAt(i) {
			return refuse("replica_identity", "the key of a changed record of table %s is so large that the stream does not have it; run ALTER TABLE %s.%s REPLICA IDENTITY FULL;",
				rel.feed.unit, quote(rel.schema), quote(rel.name)).of(rel.feed)
		}
	}
	if row.new.gaps > 0 {
		return r.complete(ctx, rel, op, first+1)
	}
	return r.say(ctx, rel, op, &row.new, first+1)
}

// sayDelete says that the record which the old row names is gone.
func (r *run) sayDelete(ctx context.Context, rel *relation, n int64) error {
	at := place{r.tx.commit, n}
	if !at.after(rel.feed.at) {
		return nil // of an update's two changes, the one that was said before this run began
	}
	old := r.row.old.padded(len(rel.names))
	if key, problem := rel.keyer.Key(old.values); problem == "" {
		return r.append(ctx, rel.feed, rel.names, change.Change{Op: change.Delete, Key: key, Row: n, Time: r.tx.at, Values: old.values, Null: old.nulls()}, at)
	}
	if r.row.had == 'O' || r.row.had == 'K' && rel.identity != 'f' && rel.identityCovers() {
		// A record without a key was never said, so there is none to take back.
		rel.feed.at = at
		return nil
	}
	return refuse("replica_identity", "table %s did not say which record was deleted; run ALTER TABLE %s.%s REPLICA IDENTITY FULL; (for a partitioned table, each partition)",
		rel.feed.unit, quote(rel.schema), quote(rel.name)).of(rel.feed)
}

// say appends a row, or says why it has no key.
func (r *run) say(ctx context.Context, rel *relation, op change.Op, row *tuple, n int64) error {
	row.padded(len(rel.names))
	at := place{r.tx.commit, n}
	return r.append(ctx, rel.feed, rel.names, keyed(rel.keyer, op, row, n, r.tx.at), at)
}

func (r *run) append(ctx context.Context, f *feed, columns []string, c change.Change, at place) error {
	c.Position = r.texts.write(at, f.tail)
	if err := r.out.Append(ctx, f.dataset.Name, f.unit, columns, c); err != nil {
		return err
	}
	f.at, f.last = at, c.Position
	return nil
}

// fill takes the values that were not sent from the old row.
func (t *tuple) fill(old *tuple) {
	for i, absent := range t.absent {
		if absent && i < len(old.values) && !old.absent[i] {
			t.set(i, old.values[i], old.null[i])
		}
	}
}

func (t *tuple) set(i int, value string, null bool) {
	if t.absent[i] {
		t.gaps--
	}
	t.values[i], t.null[i], t.absent[i] = value, null, false
}

func (t *tuple) absentAt(i int) bool { return i < len(t.absent) && t.absent[i] }

// padded has n values; those that the server did not send are NULL.
func (t *tuple) padded(n int) *tuple {
	for len(t.values) < n {
		t.add("", true, false)
	}
	return t
}

func (rel *relation) identityCovers() bool {
	for _, i := range rel.keyer.Columns() {
		if !rel.columns[i].key {
			return false
		}
	}
	return true
}

// nulls returns nil when no value is NULL.
func (t *tuple) nulls() []bool {
	for _, n := range t.null {
		if n {
			return t.null
		}
	}
	return nil
}

// raw is a row for the quarantine.
func (t *tuple) raw() string { return strings.ToValidUTF8(strings.Join(t.values, "\t"), "\uFFFD") }
