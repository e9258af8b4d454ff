package mysql

import (
	"context"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/shirecounty/shire/connectors"
	"github.com/shirecounty/shire/schemas/change"
)

// scan reads rows of a table.
type scan struct {
	statement *sql.Stmt
	rows      *sql.Rows
	columns   []column
	raw, into []any
	row       row
	err       error
}

// scan asks by a prepared statement: its answers come in binary form, in which floating numbers lose nothing.
func (v *server) scan(ctx context.Context, of connectors.Table, t *table, rest string) (*scan, error) {
	var names []string
	for _, c := range t.columns {
		names = append(names, quote(c.name))
	}
	statement, err := v.conn.PrepareContext(ctx, "SELECT "+strings.Join(names, ", ")+" FROM "+quote(of.Schema)+"."+quote(of.Name)+rest)
	if code(err) == tableDenied {
		return nil, fmt.Errorf("%w: the user may not read the table %s; run %s", errServer, of, v.grant(ctx, "SELECT", quote(of.Schema)+"."+quote(of.Name)))
	}
	if err != nil {
		return nil, err
	}
	rows, err := statement.QueryContext(ctx)
	if err != nil {
		statement.Close()
		return nil, err
	}
	s := &scan{statement: statement, rows: rows, columns: t.columns, raw: make([]any, len(t.columns)), into: make([]any, len(t.columns))}
	for i := range s.raw {
		s.into[i] = &s.raw[i]
	}
	return s, nil
}

func (s *scan) next() bool {
	if !s.rows.Next() {
		s.err = s.rows.Err()
		return false
	}
	if s.err = s.rows.Scan(s.into...); s.err != nil {
		return false
	}
	s.row.clear(len(s.columns))
	for i := range s.columns {
		if s.row.null[i] = s.raw[i] == nil; s.row.null[i] {
			s.row.values[i] = ""
		} else {
			s.row.values[i] = s.columns[i].fromQuery(s.raw[i])
		}
	}
	return true
}

func (s *scan) close() error {
	return errors.Join(s.err, s.rows.Close(), s.statement.Close())
}

// keyset is how a table is read in pieces: in the order of its key.
type keyset struct {
	columns []int
	of      []column
	unique  bool
}

func (rel *relation) keyset() (keyset, error) {
	k := keyset{columns: rel.nowKeyer.Columns(), of: rel.now.columns, unique: rel.now.identifies(rel.keyColumns())}
	for _, i := range k.columns {
		switch c := rel.now.columns[i]; c.kind {
		case integer, decimal, year, date, datetime, timestamp, clock, text, octets, uniqueID, inet4, inet6:
		default:
			return k, fmt.Errorf("%w: the key column %s is of the type %s, which has no order that a snapshot can follow; name another column in the contract's key", errServer, c.name, c.declared)
		}
	}
	return k, nil
}

// literals are the key of a row, each part as digits and letters that say exactly the value (position.Key).
func (k keyset) literals(raw []any) []string {
	out := make([]string, len(k.columns))
	for i, at := range k.columns {
		switch v := raw[at].(type) {
		case int64:
			out[i] = strconv.FormatInt(v, 10)
		case []byte:
			out[i] = k.literal(at, v)
		case string:
			out[i] = k.literal(at, []byte(v))
		}
	}
	return out
}

func (k keyset) literal(at int, raw []byte) string {
	if kind := k.of[at].kind; kind == text || kind == octets {
		return hex.EncodeToString(raw)
	}
	return string(raw)
}

// safeLiteral is what may stand in a position: it goes into a statement.
var safeLiteral = regexp.MustCompile(`^[0-9A-Fa-f:. +-]*$`)

// value is a literal in SQL.
func (c *column) value(literal string) string {
	switch c.kind {
	case text:
		return "_" + c.charset.name + " X'" + literal + "'"
	case octets:
		return "X'" + literal + "'"
	case integer, decimal, year:
		return literal
	}
	return "'" + literal + "'"
}

// behind is the condition for the rows behind a key. The first column alone comes first: that an index can use.
func (k keyset) behind(key []string) string {
	name := func(i int) string { return quote(k.of[k.columns[i]].name) }
	value := func(i int) string { return k.of[k.columns[i]].value(key[i]) }
	var any []string
	for i := range key {
		var all []string
		for j := range i {
			all = append(all, name(j)+" = "+value(j))
		}
		any = append(any, strings.Join(append(all, name(i)+" > "+value(i)), " AND "))
	}
	return name(0) + " >= " + value(0) + " AND ((" + strings.Join(any, ") OR (") + "))"
}

// at is the condition for the rows that the server takes for equal to a key.
func (k keyset) at(key []string) string {
	var all []string
	for i, c := range k.columns {
		all = append(all, quote(k.of[c].name)+" = "+k.of[c].value(key[i]))
	}
	return strings.Join(all, " AND ")
}

func (k keyset) order() string {
	var names []string
	for _, c := range k.columns {
		names = append(names, quote(k.of[c].name))
	}
	return " ORDER BY " + strings.Join(names, ", ")
}

// null is the condition for rows that lack a part of the key; "" when there can be none.
func (k keyset) null(is string) string {
	var parts []string
	for _, c := range k.columns {
		if k.of[c].nullable {
			parts = append(parts, quote(k.of[c].name)+" "+is)
		}
	}
	if is == "IS NULL" {
		return strings.Join(parts, " OR ")
	}
	return strings.Join(parts, " AND ")
}

// held is a row that was read and is to be said.
type held struct {
	change.Change
	key []string // where the snapshot stands with it
}

// page is some rows of a table in the order of its key. They are held in memory, so that the server is let go before they
// are said: a statement that changes the table waits for whoever reads it, and everybody else behind that statement.
type page struct {
	v     *server
	rel   *relation
	k     keyset
	rows  []held
	size  int
	key   []string // of the last row
	end   bool     // there are no more
	spill func([]held) error
}

// pageBytes bounds a page (I10), whatever chunk_rows says.
const pageBytes = 8 << 20

// page reads the rows behind a key, at most so many. Those without a key come first; if there are too many to be held,
// spill says them while they are read, and so with rows whose keys the server takes for equal: those stand on one page. When
// the process ended on a page, they are read again.
func (v *server) page(ctx context.Context, rel *relation, k keyset, behind []string, resumed bool, limit int, spill func([]held) error) (*page, error) {
	p := &page{v: v, rel: rel, k: k, key: behind, spill: spill}
	var where []string
	if is := k.null("IS NULL"); is != "" {
		if len(behind) == 0 {
			if err := p.all(ctx, " WHERE "+is, nil); err != nil {
				return nil, err
			}
		}
		where = append(where, k.null("IS NOT NULL"))
	}
	if len(behind) > 0 {
		if !k.unique && resumed {
			if err := p.all(ctx, " WHERE "+k.at(behind), nil); err != nil {
				return nil, err
			}
		}
		where = append(where, k.behind(behind))
	}
	condition := ""
	if len(where) > 0 {
		condition = " WHERE " + strings.Join(where, " AND ")
	}
	if err := p.some(ctx, condition+k.order(), limit); err != nil {
		return nil, err
	}
	if p.end || k.unique || len(p.key) == 0 {
		return p, nil
	}
	said := map[string]bool{}
	for _, h := range p.rows {
		said[h.Key] = true
	}
	return p, p.all(ctx, " WHERE "+k.at(p.key), said)
}

// hold keeps the row that the scan stands at.
func (p *page) hold(s *scan, but map[string]bool) {
	row := row{slices.Clone(s.row.values), slices.Clone(s.row.null)}
	c := record(p.rel.nowKeyer, change.Snapshot, &row)
	if c.Op != change.Malformed && but[c.Key] {
		return
	}
	p.rows = append(p.rows, held{c, p.key})
	for _, v := range row.values {
		p.size += len(v) + 32
	}
}

// all reads whatever the condition holds for.
func (p *page) all(ctx context.Context, rest string, but map[string]bool) (err error) {
	s, err := p.v.scan(ctx, p.rel.table, p.rel.now, rest)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	for s.next() {
		if p.hold(s, but); p.size > pageBytes {
			if err := p.spill(p.rows); err != nil {
				return err
			}
			p.rows, p.size = nil, 0
		}
	}
	return nil
}

// some reads rows until there are enough.
func (p *page) some(ctx context.Context, rest string, limit int) (err error) {
	s, err := p.v.scan(ctx, p.rel.table, p.rel.now, rest+" LIMIT "+strconv.Itoa(limit+1))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	for n := 0; s.next(); n++ {
		if n == limit || n > 0 && p.size > pageBytes {
			return nil
		}
		p.key = p.k.literals(s.raw) // also of a row whose key is empty: the next page begins behind it
		p.hold(s, nil)
	}
	p.end = s.err == nil
	return nil
}
