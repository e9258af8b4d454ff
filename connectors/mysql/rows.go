package mysql

import (
	"context"
	"slices"
	"strings"

	"github.com/shirecounty/shire/connectors"
	"github.com/shirecounty/shire/schemas/change"
)

// put says a row as it now is.
func (r *run) put(ctx context.Context, d *dataset, op change.Op, row *row) error {
	return r.say(ctx, d, record(d.keyer, op, row))
}

// remove says that a row is gone. One without a key was never a record.
func (r *run) remove(ctx context.Context, d *dataset, row *row) error {
	key, problem := d.keyer.Key(row.values)
	if problem != "" {
		return nil
	}
	return r.say(ctx, d, change.Change{Op: change.Delete, Key: key})
}

// update says the row that was d.before and is d.after; under another key it is another record.
func (r *run) update(ctx context.Context, d *dataset) error {
	was, missing := d.keyer.Key(d.before.values)
	next := record(d.keyer, change.Update, &d.after)
	if missing == "" && (next.Op == change.Malformed || next.Key != was) {
		if err := r.say(ctx, d, change.Change{Op: change.Delete, Key: was}); err != nil {
			return err
		}
	}
	if next.Op == change.Update && (missing != "" || next.Key != was) {
		next.Op = change.Create
	}
	return r.say(ctx, d, next)
}

// record is the change that says a row, or says that it cannot be used (I4).
func record(keyer *connectors.Keyer, op change.Op, row *row) change.Change {
	key, problem := keyer.Key(row.values)
	if problem != "" {
		return change.Change{Op: change.Malformed, Problem: problem, Raw: strings.Join(row.values, "\t")}
	}
	c := change.Change{Op: op, Key: key, Values: row.values}
	if slices.Contains(row.null, true) {
		c.Null = row.null
	}
	return c
}
