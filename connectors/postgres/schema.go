package postgres

import (
	"context"
	"fmt"
	"slices"

	"github.com/shirecounty/shire/connectors"
)

// prepare makes a relation's rows ready to be handed on: its key, its types, and what its new columns mean for the records
// that are on the bus already.
func (r *run) prepare(ctx context.Context, rel *relation) (err error) {
	if rel.ready {
		return nil
	}
	f := rel.feed
	if rel.keyer, err = connectors.NewKeyer(f.dataset, rel.names); err != nil {
		return refuse("no_key_column", "table %s has no key as the contract of %s wants it: %v; mend the contract's key or headers", f.unit, f.dataset.Name, err).of(f)
	}
	if !rel.identityCovers() {
		return refuse("replica_identity", "table %s does not say which record was changed or deleted: its replica identity lacks a column of the key in the contract of %s; run ALTER TABLE %s.%s REPLICA IDENTITY FULL;",
			f.unit, f.dataset.Name, quote(rel.schema), quote(rel.name)).of(f)
	}
	shape, err := r.shape(ctx, rel.columns)
	if err != nil {
		return err
	}
	if err := r.reshape(ctx, f, shape); err != nil {
		return err
	}
	if err := r.columns(ctx, f, rel.columns); err != nil {
		return err
	}
	// The older description of the same table is of no use any more.
	for _, other := range r.relations {
		if other != rel && other.feed == f {
			other.ready = false
		}
	}
	rel.ready = true
	return nil
}

// reshape tells the outlet the columns of a dataset when they differ from those it was told last.
func (r *run) reshape(ctx context.Context, f *feed, shape []connectors.Column) error {
	if slices.Equal(shape, f.shaped) {
		return nil
	}
	if err := r.out.Shape(ctx, f.dataset.Name, shape); err != nil {
		return err
	}
	f.shaped = shape
	return nil
}

// columns takes note of a table's columns as the stream has them now. What the records hold in a column that is new is not
// in the stream: a default, what a renamed column held, what a change of type made of the values. Then the table is
// snapshotted again.
func (r *run) columns(ctx context.Context, f *feed, now []column) error {
	before := f.columns
	if slices.EqualFunc(before, now, sameColumn) {
		return nil
	}
	f.columns = slices.Clone(now)
	t := r.state.table(f.dataset.Name)
	t.Columns = f.columns
	if len(before) > 0 {
		retold, err := r.retold(ctx, f, before, now)
		if err != nil {
			return err
		}
		if retold {
			r.Log.Info("the columns of a table changed so that it is read again", "table", f.unit)
			r.again(f)
		}
	}
	return r.state.save()
}

// again has a table snapshotted from the start while the stream goes on.
func (r *run) again(f *feed) {
	f.snap.round++
	f.snap.key, f.snap.done = nil, false
	f.tail = f.snap.tail(nil)
	f.rows, f.wait = 0, nil
	r.state.table(f.dataset.Name).Round = f.snap.round
}

func sameColumn(a, b column) bool { return a.Name == b.Name && a.Type == b.Type && a.Mod == b.Mod }

// retold tells whether records hold something under the present columns that no change has said.
func (r *run) retold(ctx context.Context, f *feed, before, now []column) (bool, error) {
	old := map[string]column{}
	for _, c := range before {
		old[c.Name] = c
	}
	var added []string
	for _, c := range now {
		was, known := old[c.Name]
		switch {
		case !known:
			added = append(added, c.Name)
		case !readsTheSame(was, c):
			return true, nil
		}
		delete(old, c.Name)
	}
	if len(added) == 0 {
		return false, nil
	}
	if len(old) > 0 {
		return true, nil // one went and one came: it may have been renamed
	}
	t, err := f.describe(ctx, r.side, r.settings.Publication)
	if err != nil || t == nil {
		return true, nil // the snapshot says what is wrong
	}
	for _, name := range added {
		i := slices.Index(t.names, name)
		if i < 0 || t.columns[i].filled {
			return true, nil
		}
	}
	return false, nil
}

// OIDs of types that never change.
const (
	int8OID, int2OID, int4OID      = 20, 21, 23
	textOID, varcharOID, numericID = 25, 1043, 1700
)

// readsTheSame tells whether a change of type leaves every value's text as it was.
func readsTheSame(a, b column) bool {
	if a.Type == b.Type && a.Mod == b.Mod {
		return true
	}
	width := map[uint32]int{int2OID: 2, int4OID: 4, int8OID: 8}
	text := func(t uint32) bool { return t == textOID || t == varcharOID }
	scale := func(mod int32) int32 { return (mod - 4) & 0x7ff }
	switch {
	case text(a.Type) && text(b.Type):
		// A narrower one would have been refused, or cut trailing blanks off.
		return b.Mod < 0 || a.Mod >= 0 && a.Mod <= b.Mod
	case width[a.Type] > 0 && width[b.Type] > 0:
		return true
	case a.Type == numericID && b.Type == numericID:
		return b.Mod < 0 || a.Mod >= 0 && scale(a.Mod) == scale(b.Mod)
	}
	return false
}

type typeKey struct {
	oid uint32
	mod int32
}

// shape names the types of columns.
func (r *run) shape(ctx context.Context, columns []column) ([]connectors.Column, error) {
	var oids []int64
	var mods []int32
	for _, c := range columns {
		if _, known := r.named[typeKey{c.Type, c.Mod}]; !known {
			oids, mods = append(oids, int64(c.Type)), append(mods, c.Mod)
		}
	}
	if len(oids) > 0 {
		rows, err := r.side.Query(ctx, "SELECT t, m, format_type(t::oid, m) FROM unnest($1::int8[], $2::int4[]) u(t, m)", oids, mods)
		if err != nil {
			return nil, fmt.Errorf("the names of types cannot be read: %w", plain(err))
		}
		defer rows.Close()
		for rows.Next() {
			var oid int64
			var mod int32
			var name string
			if err := rows.Scan(&oid, &mod, &name); err != nil {
				return nil, fmt.Errorf("the names of types cannot be read: %w", plain(err))
			}
			r.named[typeKey{uint32(oid), mod}] = name
		}
		if err := rows.Err(); err != nil {
			return nil, fmt.Errorf("the names of types cannot be read: %w", plain(err))
		}
	}
	out := make([]connectors.Column, len(columns))
	for i, c := range columns {
		out[i] = connectors.Column{Name: c.Name, Type: r.named[typeKey{c.Type, c.Mod}]}
	}
	return out, nil
}
