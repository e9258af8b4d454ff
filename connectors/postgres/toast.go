package postgres

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/shirecounty/shire/schemas/change"
)

// complete says an updated row of which large values did not change and were not sent (TOAST): they are read from the table.
// They may be newer than the change; then a later change says so too. A row that is gone by now is not said: a later change
// tells what became of it.
func (r *run) complete(ctx context.Context, rel *relation, op change.Op, n int64) error {
	if err := r.see(ctx); err != nil {
		return err
	}
	found, err := r.fetch(ctx, rel)
	if codeOf(err) == "42703" { // a column was renamed or dropped since
		if err := r.renamed(ctx, rel); err != nil {
			return err
		}
		found, err = r.fetch(ctx, rel)
	}
	if err != nil {
		return fmt.Errorf("the large values of a record of table %s cannot be read: %w", rel.feed.unit, plain(err))
	}
	if !found {
		rel.feed.at = place{r.tx.commit, n}
		return nil
	}
	if r.row.new.gaps == 0 {
		return r.say(ctx, rel, op, &r.row.new, n)
	}
	return r.sayWithout(ctx, rel, op, n)
}

// see returns when all that was handed on is seen by other sessions: what is read then is not older.
func (r *run) see(ctx context.Context) error {
	for waited := time.Duration(0); ; waited += 10 * time.Second {
		seen, err := r.unseen.wait(ctx, r.side, 10*time.Second)
		if seen || err != nil {
			return err
		}
		r.Log.Warn("a committed transaction is not seen by other sessions yet; does it wait for a standby that is gone?", "waited", waited+10*time.Second)
	}
}

// fetch fills the gaps of the new row. It says whether the table has the row.
func (r *run) fetch(ctx context.Context, rel *relation) (found bool, err error) {
	row := r.row.new.padded(len(rel.names))
	var gaps []int
	var names []string
	for i := range rel.names {
		if today := rel.today(i); row.absent[i] && today != "" {
			gaps, names = append(gaps, i), append(names, today)
		}
	}
	keys := rel.identifying(row)
	var where, args []string
	for _, i := range keys {
		today := rel.today(i)
		if today == "" {
			return false, fmt.Errorf("the key column %s is gone", rel.names[i])
		}
		where, args = append(where, today), append(args, row.values[i])
	}
	if len(gaps) == 0 {
		names = where // the row's being there is all that is asked
	}
	t := table{schema: rel.schema, name: rel.name, kind: rel.feed.table.kind}
	sql := fmt.Sprintf("SELECT %s FROM %s WHERE (%s) = (%s) LIMIT 1", list(names), t.from(), list(where), placeholders(1, len(args)))
	err = query(ctx, r.side.PgConn(), sql, args, func(now *tuple) error {
		found = true
		for j, i := range gaps {
			row.set(i, now.values[j], now.null[j])
		}
		return nil
	})
	return found, err
}

// identifying are the columns that name the row in the table: the replica identity, unless that is all of them.
func (rel *relation) identifying(row *tuple) []int {
	var columns []int
	for i, c := range rel.columns {
		if c.key && !row.absent[i] && !row.null[i] {
			columns = append(columns, i)
		}
	}
	if rel.identity == 'f' || len(columns) == 0 {
		return rel.keyer.Columns()
	}
	return columns
}

// today is what a column of the relation is called in the table now, "" when it is gone.
func (rel *relation) today(i int) string {
	if rel.now != nil {
		return rel.now[i]
	}
	return rel.names[i]
}

// renamed finds what the relation's columns are called now. Where one of a type went and one of that type came, it has another
// name; any other that went is gone.
func (r *run) renamed(ctx context.Context, rel *relation) error {
	t, err := rel.feed.describe(ctx, r.side, r.settings.Publication)
	if t == nil && err != nil {
		return err
	}
	if t == nil {
		return refuse("no_table", "there is no table %s any more; mend with.tables", rel.feed.unit).of(rel.feed)
	}
	went, came := map[uint32][]int{}, map[uint32][]string{}
	rel.now = slices.Clone(rel.names)
	for i, c := range rel.columns {
		if !slices.Contains(t.names, c.Name) {
			rel.now[i] = ""
			went[c.Type] = append(went[c.Type], i)
		}
	}
	for _, c := range t.columns {
		if !slices.Contains(rel.names, c.Name) {
			came[c.Type] = append(came[c.Type], c.Name)
		}
	}
	for of, columns := range went {
		if len(columns) == 1 && len(came[of]) == 1 {
			rel.now[columns[0]] = came[of][0]
		}
	}
	return nil
}

// sayWithout says a row without the columns whose values are nowhere any more.
func (r *run) sayWithout(ctx context.Context, rel *relation, op change.Op, n int64) error {
	row := &r.row.new
	var names []string
	var rest tuple
	for i, name := range rel.names {
		if !row.absent[i] {
			names = append(names, name)
			rest.add(row.values[i], row.null[i], false)
		}
	}
	c := keyed(rel.keyer, op, row, n, r.tx.at)
	if c.Op != change.Malformed {
		c.Values, c.Null = rest.values, rest.nulls()
	}
	return r.append(ctx, rel.feed, names, c, place{r.tx.commit, n})
}
