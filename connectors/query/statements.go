package query

import (
	"strconv"
	"strings"
)

// statements puts together what is asked of one table. Every value is a placeholder; every name is quoted.
type statements struct {
	dialect
	table   string // quoted
	mark    *column
	key     []*column
	columns []column
	seconds int // the wall clock ahead of UTC
}

// statement is text with placeholders and what they stand for.
type statement struct {
	text string
	args []any
}

// values collects what placeholders stand for. Each use has a placeholder of its own: MySQL knows no others.
type values struct {
	dialect
	args []any
}

func (v *values) add(c *column, text string) string {
	v.args = append(v.args, text)
	return v.typed(c, len(v.args))
}

// ordered is the column as rows are ordered and compared by it. An enum of MySQL is ordered by its number and compared by
// its text.
func (s *statements) ordered(c *column) string {
	if c.kind == other {
		return s.text(c, s.quote(c.name))
	}
	return s.quote(c.name)
}

// newest asks where the poll after the one that begins now has to begin. A watermark ahead of the clock is no measure: a
// year that was mistyped would have all that follows passed over.
func (s *statements) newest(by overlap) statement {
	if s.mark.kind == rowversion {
		// What is not committed has a version from here on.
		return statement{text: "SELECT " + s.text(s.mark, "MIN_ACTIVE_ROWVERSION()")}
	}
	w := s.quote(s.mark.name)
	inner := "SELECT MAX(" + w + ") AS m FROM " + s.table
	if now := s.now(s.mark, s.seconds); now != "" {
		inner += " WHERE " + w + " <= " + now
	}
	return statement{text: "SELECT " + s.text(s.mark, s.back(s.mark, "q.m", by)) + " FROM (" + inner + ") q"}
}

// ahead counts the rows whose watermark the clock has not reached; "" for a watermark without a clock.
func (s *statements) ahead() statement {
	now := s.now(s.mark, s.seconds)
	if now == "" {
		return statement{}
	}
	return statement{text: "SELECT " + s.counted() + " FROM " + s.table + " WHERE " + s.quote(s.mark.name) + " > " + now}
}

// withoutKey counts the rows that have no key; "" when the table allows none.
func (s *statements) withoutKey() statement {
	if s.keyed() == "" {
		return statement{}
	}
	return statement{text: "SELECT " + s.counted() + " FROM " + s.table + " WHERE NOT (" + s.keyed() + ")"}
}

func (s *statements) counted() string {
	return s.text(&column{kind: integer, base: "bigint"}, "COUNT(*)")
}

// keyed leaves out the rows without a key, which no order would find again.
func (s *statements) keyed() string {
	var parts []string
	for _, c := range s.key {
		if c.nullable {
			parts = append(parts, s.quote(c.name)+" IS NOT NULL")
		}
	}
	return strings.Join(parts, " AND ")
}

// cursor is where a reading in order stands. What follows a row is asked for in steps, the last column of the order first:
// (a, b, c) is followed by the rows with a and b and more than c, then by those with a and more than b, then by those with
// more than a. Each step is one range of an index. All at once it would take row values, which Oracle and SQL Server do
// not have, or an OR, of which they and others make a walk over every row with the same a.
type cursor struct {
	after []string // the ordered columns of the last row; nil: at the beginning
	level int      // how many of them the step is about
	done  bool
}

func behind(row []string) cursor { return cursor{after: row, level: len(row)} }

// advance goes on after an answer: behind its last row when it was cut off, else with the next step.
func (c *cursor) advance(last []string, more bool) {
	switch {
	case more:
		*c = behind(last)
	case c.level <= 1:
		c.done = true
	default:
		c.level--
	}
}

// step is the predicate of the cursor's step.
func (s *statements) step(v *values, order []*column, c cursor) (where []string) {
	for i := range c.level {
		sign := " = "
		if i == c.level-1 {
			sign = " > "
		}
		where = append(where, s.ordered(order[i])+sign+v.add(order[i], c.after[i]))
	}
	return where
}

// changed asks for the next n rows in the order of watermark and key: of those from a watermark on, when the cursor is at
// the beginning, and of those below another. "" is no bound.
func (s *statements) changed(from, below string, c cursor, n int) statement {
	v := &values{dialect: s.dialect}
	w := s.quote(s.mark.name)
	order := append([]*column{s.mark}, s.key...)
	where := s.step(v, order, c)
	switch {
	case c.level > 0:
	case from == "":
		where = append(where, w+" IS NOT NULL")
	default:
		where = append(where, w+" >= "+v.add(s.mark, from))
	}
	if below != "" {
		where = append(where, w+" < "+v.add(s.mark, below))
	}
	return statement{s.page(s.selected(), s.from(where, order), n), v.args}
}

// from is the table with the conditions, in order.
func (s *statements) from(where []string, order []*column) string {
	if keyed := s.keyed(); keyed != "" {
		where = append(where, keyed)
	}
	text := s.table
	if len(where) > 0 {
		text += " WHERE " + strings.Join(where, " AND ")
	}
	by := make([]string, len(order))
	for i, c := range order {
		by[i] = s.ordered(c)
	}
	return text + " ORDER BY " + strings.Join(by, ", ")
}

// selected are all columns as texts.
func (s *statements) selected() string {
	list := make([]*column, len(s.columns))
	for i := range s.columns {
		list[i] = &s.columns[i]
	}
	return s.texts(list)
}

func (s *statements) texts(list []*column) string {
	var b strings.Builder
	for i, c := range list {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(s.text(c, s.quote(c.name)) + " AS " + s.quote("shire_"+strconv.Itoa(i)))
	}
	return b.String()
}

// keys asks for the next n keys with the given further columns, in the order of the key; without the rows that have a
// watermark when only the others are meant.
func (s *statements) keys(further []*column, withoutMark bool, c cursor, n int) statement {
	v := &values{dialect: s.dialect}
	where := s.step(v, s.key, c)
	if withoutMark {
		where = append(where, s.quote(s.mark.name)+" IS NULL")
	}
	list := append(append([]*column(nil), s.key...), further...)
	return statement{s.page(s.texts(list), s.from(where, s.key), n), v.args}
}

// all asks for the next n rows in the order of the key.
func (s *statements) all(c cursor, n int) statement {
	v := &values{dialect: s.dialect}
	return statement{s.page(s.selected(), s.from(s.step(v, s.key, c), s.key), n), v.args}
}

// lookup asks for the rows with these keys.
func (s *statements) lookup(keys [][]string) statement {
	v := &values{dialect: s.dialect}
	var either []string
	for _, key := range keys {
		var all []string
		for i, c := range s.key {
			all = append(all, s.ordered(c)+" = "+v.add(c, key[i]))
		}
		either = append(either, "("+strings.Join(all, " AND ")+")")
	}
	return statement{"SELECT " + s.selected() + " FROM " + s.table + " WHERE " + strings.Join(either, " OR "), v.args}
}
