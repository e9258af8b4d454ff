package query

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"

	"github.com/shirecounty/shire/connectors"
	"github.com/shirecounty/shire/schemas/contract"
)

// shape is a table as its database's catalog describes it, with what is asked of it.
type shape struct {
	*statements
	names []string // of the columns that are said, in order
	keyer *connectors.Keyer
	mark  int // place of the watermark among the columns
	soft  int // place of the column that marks deletions; -1
	hash  *rowHasher
}

// catalog reads the columns of a table.
func (s *session) catalog(ctx context.Context, t *tableSettings) ([]column, error) {
	name := s.settings.named(*t)
	text, args := s.settings.dialect.catalog(name)
	var columns []column
	err := s.rows(ctx, statement{text, args}, t, func(values []sql.NullString) (bool, error) {
		fields := make([]string, len(values))
		for i, v := range values {
			fields[i] = strings.Clone(v.String)
		}
		columns = append(columns, s.settings.dialect.column(fields))
		return true, nil
	})
	if err != nil {
		return nil, err
	}
	if len(columns) == 0 {
		no := refuse("no_such_table", "%s", s.settings.sentence("no_such_table", "", "", t))
		return nil, no
	}
	return columns, nil
}

// look reads the table's columns and makes its statements.
func (s *session) look(ctx context.Context, t *tableSettings, d *contract.Dataset) (*shape, error) {
	all, err := s.catalog(ctx, t)
	if err != nil {
		return nil, err
	}
	need := func(what, name string) error {
		if name != "" && !slices.ContainsFunc(all, func(c column) bool { return c.name == name }) {
			return refuse("no_such_column", "the table %s has no column %s, which %s names; write it as the database's catalog does: %s", t.name, name, what, namesOf(all))
		}
		return nil
	}
	for _, c := range append([][2]string{{"watermark:", t.watermark}, {"deletions:", t.deleted.column}}, pairs("columns:", t.columns)...) {
		if err := need(c[0], c[1]); err != nil {
			return nil, err
		}
	}
	keyer, err := connectors.NewKeyer(d, columnNames(all))
	if err != nil {
		return nil, refuse("unfit_key", "the table %s cannot be read: %v; add the column's name to headers: of the field in the contract", t.name, err)
	}
	wanted := map[string]bool{}
	for _, name := range append([]string{t.watermark, t.deleted.column}, t.columns...) {
		wanted[name] = true
	}
	for _, at := range keyer.Columns() {
		wanted[all[at].name] = true
	}
	x := &shape{statements: &statements{dialect: s.settings.dialect, table: s.settings.named(*t).quoted(s.settings.dialect), seconds: s.seconds}, soft: -1}
	for _, c := range all {
		if t.columns == nil || wanted[c.name] {
			x.columns = append(x.columns, c)
		}
	}
	x.names = columnNames(x.columns)
	if x.keyer, err = connectors.NewKeyer(d, x.names); err != nil {
		return nil, fmt.Errorf("dataset %s: %w", d.Name, err)
	}
	for _, at := range x.keyer.Columns() {
		x.statements.key = append(x.statements.key, &x.columns[at])
	}
	x.mark = slices.Index(x.names, t.watermark)
	x.statements.mark = &x.columns[x.mark]
	x.soft = slices.Index(x.names, t.deleted.column)
	x.hash = newRowHasher(x.names)
	return x, x.fit(t)
}

// fit proves that the watermark can be one.
func (x *shape) fit(t *tableSettings) error {
	c := x.statements.mark
	switch c.kind {
	case integer, decimal:
		if t.overlap.given && !t.overlap.isNumber {
			return refuse("unfit_watermark", "the watermark %s of the table %s is a number (%s), so its overlap is one too: write overlap: 1000", c.name, t.name, c.declared)
		}
	case instant, wallTime, date:
		if t.overlap.isNumber && t.overlap.number != 0 {
			return refuse("unfit_watermark", "the watermark %s of the table %s is a time (%s), so its overlap is a duration: write overlap: 5m", c.name, t.name, c.declared)
		}
	case rowversion:
	default:
		return refuse("unfit_watermark", "the column %s of the table %s is of type %s, which cannot be a watermark; name a column of times or of numbers, or have a view that makes it one", c.name, t.name, c.declared)
	}
	return nil
}

func namesOf(columns []column) string { return strings.Join(columnNames(columns), ", ") }

func columnNames(columns []column) []string {
	names := make([]string, len(columns))
	for i, c := range columns {
		names[i] = c.name
	}
	return names
}

func pairs(what string, names []string) (out [][2]string) {
	for _, name := range names {
		out = append(out, [2]string{what, name})
	}
	return out
}

// row is a row as texts.
type row struct {
	values []string
	null   []bool
}

func (x *shape) take(from []sql.NullString) row {
	r := row{make([]string, len(from)), make([]bool, len(from))}
	for i, v := range from {
		r.values[i], r.null[i] = textOf(&x.columns[i], v)
	}
	return r
}

func textOf(c *column, v sql.NullString) (string, bool) {
	if !v.Valid {
		return "", true
	}
	if c.fix != nil {
		return c.fix(v.String), false
	}
	return strings.Clone(v.String), false
}

func (r row) size() (n int) {
	for _, v := range r.values {
		n += len(v) + 16
	}
	return n
}

// chunkBytes bounds the rows that are held at once (I10); rowLimit is the largest row that goes on at all, since a change
// has to fit into one message of the bus.
const (
	chunkBytes = 8 << 20
	rowLimit   = 4 << 20
)

// chunk is how many rows are asked for at once: as many as the settings say, fewer while the rows are large.
type chunk struct{ rows, most int }

// read asks for the next rows. whole tells that more may follow.
func (k *chunk) read(ctx context.Context, s *session, t *tableSettings, x *shape, ask func(n int) statement) (rows []row, more bool, err error) {
	if k.rows == 0 {
		k.rows = min(k.most, 100) // until it is known how large they are
	}
	asked, bytes := k.rows, 0
	err = s.rows(ctx, ask(asked), t, func(values []sql.NullString) (bool, error) {
		r := x.take(values)
		rows = append(rows, r)
		bytes += r.size()
		return bytes < chunkBytes, nil
	})
	if err != nil {
		return nil, false, err
	}
	switch {
	case bytes >= chunkBytes:
		k.rows = max(1, len(rows)/2)
		return rows, true, nil
	case bytes < chunkBytes/4:
		k.rows = min(k.most, k.rows*4)
	}
	return rows, len(rows) == asked, nil
}
