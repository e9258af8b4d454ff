package postgres

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/shirecounty/shire/connectors"
	"github.com/shirecounty/shire/schemas/change"
)

// keyed makes the change of a row. One without a key, or in a wrong encoding, ends in quarantine (I4).
func keyed(keyer *connectors.Keyer, op change.Op, row *tuple, n int64, at time.Time) change.Change {
	key, problem := keyer.Key(row.values)
	if problem == "" && !valid(row) {
		problem = "the database sent bytes that are not UTF-8; its encoding is SQL_ASCII or wrong"
	}
	if problem != "" {
		return change.Change{Op: change.Malformed, Row: n, Time: at, Problem: problem, Raw: row.raw()}
	}
	return change.Change{Op: op, Key: key, Row: n, Time: at, Values: row.values, Null: row.nulls()}
}

// deleted is the change that says that a record is gone of which only the key is known.
func deleted(keyer *connectors.Keyer, columns int, key string) change.Change {
	c := change.Change{Op: change.Delete, Key: key, Values: make([]string, columns), Null: make([]bool, columns)}
	for i := range c.Null {
		c.Null[i] = true
	}
	for i, part := range strings.Split(key, change.KeySeparator) {
		if at := keyer.Columns(); i < len(at) {
			c.Values[at[i]], c.Null[at[i]] = part, false
		}
	}
	return c
}

func valid(row *tuple) bool {
	for _, v := range row.values {
		if !utf8.ValidString(v) {
			return false
		}
	}
	return true
}

// query reads rows as text, in the same form as the stream has them. The tuple is valid during the call only.
func query(ctx context.Context, conn *pgconn.PgConn, sql string, args []string, fn func(*tuple) error) error {
	params := make([][]byte, len(args))
	for i, a := range args {
		params[i] = []byte(a)
	}
	rows := conn.ExecParams(ctx, sql, params, nil, nil, nil) // the server finds the types of the parameters
	var t tuple
	var texts block
	var line []byte
	for rows.NextRow() {
		t.reset()
		line = line[:0]
		for _, v := range rows.Values() {
			line = append(line, v...)
		}
		rest := texts.add(line)
		for _, v := range rows.Values() {
			t.add(rest[:len(v)], v == nil, false)
			rest = rest[len(v):]
		}
		if err := fn(&t); err != nil {
			rows.Close()
			return err
		}
	}
	_, err := rows.Close()
	return err
}

// placeholders are $first to $first+n-1.
func placeholders(first, n int) string {
	var b strings.Builder
	for i := range n {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteByte('$')
		b.WriteString(strconv.Itoa(first + i))
	}
	return b.String()
}

// chunkSQL selects the rows behind a key in the order of the keys.
func (t *table) chunkSQL(after []string, limit int) string {
	keys := list(t.keyNames())
	var conditions []string
	if len(after) > 0 {
		conditions = append(conditions, fmt.Sprintf("(%s) > (%s)", keys, placeholders(1, len(after))))
	}
	if t.nullableKey() {
		conditions = append(conditions, t.keyless("IS NOT NULL", " AND "))
	}
	where := ""
	if len(conditions) > 0 {
		where = " WHERE " + strings.Join(conditions, " AND ")
	}
	return fmt.Sprintf("SELECT %s FROM %s%s ORDER BY %s LIMIT %d", list(t.names), t.from(), where, keys, limit)
}

// keylessSQL selects the rows that have no key. They end in quarantine, and are not said again one by one.
func (t *table) keylessSQL() string {
	return fmt.Sprintf("SELECT %s FROM %s WHERE %s", list(t.names), t.from(), t.keyless("IS NULL", " OR "))
}

func (t *table) keyless(is, join string) string {
	var parts []string
	for _, name := range t.keyNames() {
		parts = append(parts, quote(name)+" "+is)
	}
	return strings.Join(parts, join)
}

// cursor is the key of a row as the next chunk's WHERE wants it.
func (t *table) cursor(row *tuple) []string {
	key := make([]string, len(t.key))
	for i, at := range t.key {
		key[i] = row.values[at]
	}
	return key
}

// do runs statements that return nothing.
func do(ctx context.Context, conn *pgconn.PgConn, sql string) error {
	_, err := conn.Exec(ctx, sql).ReadAll()
	return err
}
