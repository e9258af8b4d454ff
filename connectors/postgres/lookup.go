package postgres

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/shirecounty/shire/schemas/change"
)

// lookupKeys is how many records are looked up by one query.
const lookupKeys = 200

// lookup calls fn with the rows that have the given keys, and returns the keys that no row has. It runs in a transaction.
//
// A record's key is the text of its key columns without the blanks around. An index finds almost all; the
// rest are looked for by their text, so that no record counts as gone because of a blank.
func (t *table) lookup(ctx context.Context, conn *pgconn.PgConn, keys []string, utf8 bool, fn func(key string, row *tuple) error) (missing []string, err error) {
	for part := range slices.Chunk(keys, lookupKeys) {
		if err := do(ctx, conn, "SAVEPOINT typed"); err != nil {
			return nil, err
		}
		left, err := t.find(ctx, conn, part, "", fn)
		switch code := codeOf(err); {
		case strings.HasPrefix(code, "22") || code == "42883": // a key from before a change of the column's type
			if err := do(ctx, conn, "ROLLBACK TO typed"); err != nil {
				return nil, err
			}
			left = part
		case err != nil:
			return nil, err
		case t.exact():
			missing = append(missing, left...)
			continue
		}
		if len(left) > 0 {
			blanks := " \t\n\v\f\r\u3000"
			if utf8 {
				blanks = " \t\n\v\f\r\u0085\u00A0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200A\u2028\u2029\u202F\u205F\u3000"
			}
			if left, err = t.find(ctx, conn, left, blanks, fn); err != nil {
				return nil, err
			}
		}
		missing = append(missing, left...)
	}
	return missing, nil
}

// find looks for keys by their values, or by their text when blanks are given.
func (t *table) find(ctx context.Context, conn *pgconn.PgConn, keys []string, blanks string, fn func(key string, row *tuple) error) (missing []string, err error) {
	var columns, args, tuples []string
	if blanks != "" {
		args = append(args, blanks)
	}
	for _, i := range t.keyer.Columns() {
		name := quote(t.names[i])
		if blanks != "" {
			name = fmt.Sprintf("btrim(%s::text, $1)", name)
		}
		columns = append(columns, name)
	}
	wanted := map[string]bool{}
	for _, key := range keys {
		parts := strings.Split(key, change.KeySeparator)
		if len(parts) != len(columns) {
			missing = append(missing, key)
			continue
		}
		wanted[key] = true
		tuples = append(tuples, "("+placeholders(len(args)+1, len(parts))+")")
		args = append(args, parts...)
	}
	if len(tuples) == 0 {
		return missing, nil
	}
	sql := fmt.Sprintf("SELECT %s FROM %s WHERE (%s) IN (%s)", list(t.names), t.from(), strings.Join(columns, ", "), strings.Join(tuples, ", "))
	err = query(ctx, conn, sql, args, func(row *tuple) error {
		key, problem := t.keyer.Key(row.values)
		if problem != "" || !wanted[key] {
			return nil
		}
		wanted[key] = false
		return fn(key, row)
	})
	for _, key := range keys {
		if wanted[key] {
			missing = append(missing, key)
		}
	}
	return missing, err
}

// exactTypes have one text for a value, and no blanks in it.
var exactTypes = []uint32{int2OID, int4OID, int8OID, 2950 /* uuid */, 1082 /* date */, 1114 /* timestamp */, 1184 /* timestamptz */}

func (t *table) exact() bool {
	return !slices.ContainsFunc(t.key, func(i int) bool { return !slices.Contains(exactTypes, t.columns[i].Type) })
}
