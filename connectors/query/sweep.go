package query

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/cockroachdb/pebble"

	"github.com/shirecounty/shire/connectors"
)

// nullsEvery is how often rows without a watermark are read when the keys are not compared.
const nullsEvery = 24 * time.Hour

func (t *tableReader) sweepEvery() time.Duration {
	if t.spec.every == 0 {
		return nullsEvery
	}
	return t.spec.every
}

// lookupKeys is how many records are looked up at once.
const lookupKeys = 50

// sweep compares the table's keys and watermarks with the ledger's. It finds what no watermark tells: rows that are gone,
// rows without a watermark, and rows that came later than the overlap allows for. When deletions are not found in this
// way it reads the rows without a watermark alone.
//
// The keys are staged on disk and then walked beside the ledger's, both in the order of their bytes, so that neither is
// held in memory (I10). What the two disagree on is looked up in the table before anything is said of it: the table has
// gone on meanwhile.
func (t *tableReader) sweep(ctx context.Context) error {
	if _, err := t.settle(ctx); err != nil {
		return err
	}
	whole := t.spec.every > 0
	n, err := t.stage(ctx, !whole)
	if err != nil {
		return err
	}
	t.tellSwept(n, whole)
	if err := t.tellAhead(ctx); err != nil {
		return err
	}
	missing, records := 0, 0
	differing := &lookups{t: t, say: true}
	err = t.walk(func(key, staged, record []byte) error {
		if record != nil {
			records++
		}
		if staged == nil {
			missing++
			return nil
		}
		s, err := decodeEntry(string(key), staged)
		if err != nil {
			return err
		}
		if record != nil && s.mark != 0 {
			r, err := decodeEntry(string(key), record)
			if err != nil || r.mark == s.mark {
				return err
			}
		}
		return differing.add(ctx, string(key), s.raw)
	})
	if err == nil {
		err = differing.flush(ctx)
	}
	if err != nil || !whole {
		return err
	}
	if share := t.settings.maxDeletions; float64(missing) > share*float64(records) {
		t.tell(t.spec.dataset, t.spec.name, "too_many_deletions", fmt.Sprintf("the table lacks %d of the %d records of the dataset, more than max_deletions (%.0f%%) allows, so none was deleted; if they are really gone, raise max_deletions", missing, records, 100*share))
		return nil
	}
	t.solved(t.spec.dataset, t.spec.name, "too_many_deletions")
	gone := &lookups{t: t}
	err = t.walk(func(key, staged, record []byte) error {
		if staged != nil {
			return nil
		}
		r, err := decodeEntry(string(key), record)
		if err != nil {
			return err
		}
		return gone.add(ctx, string(key), r.raw)
	})
	if err != nil {
		return err
	}
	return gone.flush(ctx)
}

// staged counts what the table showed.
type staged struct{ keys, twice, nulls, keyless int }

// stage puts the keys of the table beside the ledger's.
func (t *tableReader) stage(ctx context.Context, withoutMark bool) (n staged, err error) {
	db, from := t.ledger.db, space('t', t.dataset.Name)
	b := db.NewBatch()
	defer func() { b.Close() }()
	commit := func() error {
		err := b.Commit(pebble.NoSync)
		b.Reset()
		return written(err)
	}
	if err := b.DeleteRange(from, after(from), nil); err != nil {
		return n, written(err)
	}
	x := t.shape
	further := []*column{x.statements.mark}
	if x.soft >= 0 {
		further = append(further, &x.columns[x.soft])
	}
	names := make([]string, len(x.statements.key))
	for i, c := range x.statements.key {
		names[i] = c.name
	}
	keyer, err := connectors.NewKeyer(t.dataset, names)
	if err != nil {
		return n, err
	}
	before := ""
	for c := (cursor{}); !c.done; {
		asked, got := t.settings.chunkRows, 0
		var last []string
		err := t.db.rows(ctx, x.keys(further, withoutMark, c, asked), &t.spec, func(values []sql.NullString) (bool, error) {
			got++
			raw := make([]string, len(names))
			for i := range names {
				raw[i], _ = textOf(x.statements.key[i], values[i])
			}
			last = raw
			mark, null := textOf(x.statements.mark, values[len(names)])
			e := entry{raw: raw}
			if null {
				n.nulls++
			} else {
				e.mark = markHash(mark)
			}
			if x.soft >= 0 {
				if v, null := textOf(&x.columns[x.soft], values[len(names)+1]); t.spec.deleted.holds(v, null) {
					return true, nil
				}
			}
			key, problem := keyer.Key(raw)
			if problem != "" {
				n.keyless++
				return true, nil
			}
			if n.keys++; n.keys > 1 && key == before {
				n.twice++
			}
			before = key
			if err := b.Set(append(from[:len(from):len(from)], key...), e.encode(key), nil); err != nil {
				return false, written(err)
			}
			return true, nil
		})
		if err != nil {
			return n, err
		}
		if b.Len() >= commitBytes {
			if err := commit(); err != nil {
				return n, err
			}
		}
		c.advance(last, got == asked)
		if err := t.serveBetween(ctx); err != nil {
			return n, err
		}
	}
	if q := x.withoutKey(); q.text != "" {
		without, err := t.db.number(ctx, q)
		if err != nil {
			return n, err
		}
		n.keyless += without
	}
	return n, commit()
}

func (t *tableReader) tellSwept(n staged, whole bool) {
	say := func(count int, problem, format string) {
		if count == 0 {
			t.solved(t.spec.dataset, t.spec.name, problem)
			return
		}
		t.tell(t.spec.dataset, t.spec.name, problem, fmt.Sprintf(format, count, t.spec.name))
	}
	say(n.nulls, "null_watermark", "%d rows of %s have no value in "+t.spec.watermark+"; they are read every "+t.sweepEvery().String()+" and not at each poll")
	say(n.keyless, "no_key", "%d rows of %s have no value in a column of the key and are not read; have the values filled in")
	if whole {
		say(n.twice, "key_not_unique", "%d rows of %s have the key of another row, so one of them hides the other; make the contract's key the table's own")
	}
}

// tellAhead counts the rows that the clock has not reached.
func (t *tableReader) tellAhead(ctx context.Context) error {
	q := t.shape.ahead()
	if q.text == "" {
		return nil
	}
	n, err := t.db.number(ctx, q)
	if err != nil {
		return err
	}
	if n == 0 {
		t.solved(t.spec.dataset, t.spec.name, "watermark_ahead")
		return nil
	}
	t.tell(t.spec.dataset, t.spec.name, "watermark_ahead", fmt.Sprintf("%d rows of %s have a %s that the database's clock has not reached, so they are read again at every poll; if it is written in another zone than the server's, name it in with.time_zone", n, t.spec.name, t.spec.watermark))
	return nil
}

// walk calls fn with the staged keys and the records in the order of their bytes; staged or record is nil where there is
// none. What is committed meanwhile is not seen.
func (t *tableReader) walk(fn func(key, staged, record []byte) error) error {
	iterate := func(letter byte) (*pebble.Iterator, int, error) {
		from := space(letter, t.dataset.Name)
		it, err := t.ledger.db.NewIter(&pebble.IterOptions{LowerBound: from, UpperBound: after(from)})
		if err != nil {
			return nil, 0, fmt.Errorf("read the ledger of records: %w", err)
		}
		it.First()
		return it, len(from), nil
	}
	table, prefix, err := iterate('t')
	if err != nil {
		return err
	}
	defer table.Close()
	records, _, err := iterate('k')
	if err != nil {
		return err
	}
	defer records.Close()
	for table.Valid() || records.Valid() {
		order := 0
		switch {
		case !records.Valid():
			order = -1
		case !table.Valid():
			order = 1
		default:
			order = bytes.Compare(table.Key()[prefix:], records.Key()[prefix:])
		}
		var key, s, r []byte
		if order <= 0 {
			key, s = table.Key()[prefix:], table.Value()
		}
		if order >= 0 {
			key, r = records.Key()[prefix:], records.Value()
		}
		if err := fn(key, s, r); err != nil {
			return err
		}
		if order <= 0 {
			table.Next()
		}
		if order >= 0 {
			records.Next()
		}
	}
	for _, it := range []*pebble.Iterator{table, records} {
		if err := it.Error(); err != nil {
			return fmt.Errorf("read the ledger of records: %w", err)
		}
	}
	return nil
}

// lookups gathers records to look up. Those that are there are said as they now are; those that are not are deleted,
// unless only the others are meant (say).
type lookups struct {
	t    *tableReader
	say  bool
	keys []string
	raw  [][]string
}

func (l *lookups) add(ctx context.Context, key string, raw []string) error {
	l.keys, l.raw = append(l.keys, key), append(l.raw, raw)
	if len(l.keys) < lookupKeys {
		return nil
	}
	return l.flush(ctx)
}

func (l *lookups) flush(ctx context.Context) error {
	found, err := l.t.find(ctx, l.raw)
	if err != nil {
		return err
	}
	for _, key := range l.keys {
		r, there := found[key]
		switch {
		case there:
			err = l.t.say(ctx, r, l.t.aside())
		case !l.say:
			// What is missing was looked for just now: a row that came while the keys were read is not taken for gone.
			err = l.t.delete(ctx, key, l.t.aside())
		}
		if err != nil {
			return err
		}
	}
	l.keys, l.raw = l.keys[:0], l.raw[:0]
	return nil
}

// aside is the position of a change that is said beside the order of a poll.
func (t *tableReader) aside() position {
	at := t.at
	at.Aside = at.Mark != ""
	return at
}

// find has the rows with these keys by their record keys. Large rows are found one at a time (I10).
func (t *tableReader) find(ctx context.Context, keys [][]string) (map[string]row, error) {
	found := map[string]row{}
	if len(keys) == 0 {
		return found, nil
	}
	bytes, cut := 0, false
	err := t.db.rows(ctx, t.shape.lookup(keys), &t.spec, func(values []sql.NullString) (bool, error) {
		r := t.shape.take(values)
		if key, problem := t.shape.keyer.Key(r.values); problem == "" {
			found[key] = r
		}
		bytes += r.size()
		cut = bytes >= chunkBytes && len(keys) > 1
		return !cut, nil
	})
	if err != nil || !cut {
		return found, err
	}
	clear(found)
	for _, half := range [][][]string{keys[:len(keys)/2], keys[len(keys)/2:]} {
		part, err := t.find(ctx, half)
		if err != nil {
			return nil, err
		}
		for key, r := range part {
			found[key] = r
		}
	}
	return found, nil
}
