package postgres

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/shirecounty/shire/connectors"
)

// table is what the catalogue says of a table.
type table struct {
	schema, name string
	oid          uint32
	kind         string // r, p as in pg_class.relkind
	identity     byte   // d, n, f, i as in pg_class.relreplident
	persistence  string
	readable     bool // by this user
	columns      []tableColumn

	names []string // of the columns
	keyer *connectors.Keyer
	key   []int // the key's columns in the order in which the table is read
}

type tableColumn struct {
	column
	typeName string
	typeHome string // schema of the type, when its operators may stand outside of pg_catalog
	nullable bool
	filled   bool // rows that were there before the column was may hold a value in it
	ordinal  *int // in the index that is the replica identity
}

// The columns are those that the stream has: no generated ones, and with a column list of the publication only its own.
const describeSQL = `
SELECT c.oid::int8, c.relkind::text, c.relreplident::text, c.relpersistence::text, has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT'),
  coalesce(a.attname::text, ''), coalesce(a.atttypid::int8, 0), coalesce(a.atttypmod, -1), coalesce(format_type(a.atttypid, a.atttypmod), ''),
  CASE WHEN t.typtype = 'b' AND tn.nspname <> 'pg_catalog' THEN tn.nspname::text ELSE '' END,
  coalesce(NOT a.attnotnull, true),
  coalesce(a.atthasdef OR a.atthasmissing OR a.attnotnull, false),
  array_position(i.indkey::int2[], a.attnum)
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
CROSS JOIN (SELECT max(to_jsonb(p)->>'attnames')::jsonb AS names FROM pg_publication_tables p WHERE p.pubname = $3 AND p.schemaname = $1 AND p.tablename = $2) pub
LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
  AND (a.attgenerated = '' OR current_setting('server_version_num')::int >= 180000)
  AND (pub.names IS NULL OR jsonb_exists(pub.names, a.attname::text))
LEFT JOIN pg_type t ON t.oid = a.atttypid
LEFT JOIN pg_namespace tn ON tn.oid = t.typnamespace
LEFT JOIN pg_index i ON i.indrelid = c.oid AND i.indimmediate AND CASE c.relreplident WHEN 'd' THEN i.indisprimary WHEN 'i' THEN i.indisreplident ELSE false END
WHERE n.nspname = $1 AND c.relname = $2
ORDER BY a.attnum`

// describe reads a table's description; it is nil when there is no such table.
func (f *feed) describe(ctx context.Context, conn *pgx.Conn, publication string) (*table, error) {
	rows, err := conn.Query(ctx, describeSQL, f.Schema, f.Name, publication)
	if err != nil {
		return nil, fmt.Errorf("the description of %s cannot be read: %w", f.unit, plain(err))
	}
	defer rows.Close()
	var t *table
	for rows.Next() {
		if t == nil {
			t = &table{schema: f.Schema, name: f.Name}
		}
		var oid, typeOID int64
		var identity string
		var c tableColumn
		err := rows.Scan(&oid, &t.kind, &identity, &t.persistence, &t.readable, &c.Name, &typeOID, &c.Mod, &c.typeName, &c.typeHome, &c.nullable, &c.filled, &c.ordinal)
		if err != nil {
			return nil, fmt.Errorf("the description of %s cannot be read: %w", f.unit, plain(err))
		}
		t.oid, c.Type = uint32(oid), uint32(typeOID)
		if identity != "" {
			t.identity = identity[0]
		}
		if c.Name != "" {
			c.key = c.ordinal != nil || t.identity == 'f'
			t.columns = append(t.columns, c)
			t.names = append(t.names, c.Name)
		}
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("the description of %s cannot be read: %w", f.unit, plain(err))
	}
	if t == nil {
		return nil, nil
	}
	return t, t.findKey(f)
}

// findKey finds the columns of the contract's key, in the order of the index that leads with them when there is one.
func (t *table) findKey(f *feed) error {
	var err error
	if t.keyer, err = connectors.NewKeyer(f.dataset, t.names); err != nil {
		return refuse("no_key_column", "table %s has no key as the contract of %s wants it: %v; mend the contract's key or headers", f.unit, f.dataset.Name, err).of(f)
	}
	t.key = slices.Clone(t.keyer.Columns())
	if !slices.ContainsFunc(t.key, func(i int) bool { return t.columns[i].ordinal == nil }) {
		slices.SortFunc(t.key, func(a, b int) int { return *t.columns[a].ordinal - *t.columns[b].ordinal })
	}
	return nil
}

// identified says why the stream cannot tell which record was changed or deleted.
func (t *table) identified(f *feed) error {
	var missing []string
	for _, i := range t.key {
		if !t.columns[i].key {
			missing = append(missing, t.columns[i].Name)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	return refuse("replica_identity",
		"table %s does not say which record was changed or deleted: %s, of the key in the contract of %s, is not in its replica identity; run ALTER TABLE %s REPLICA IDENTITY FULL; or give the table a primary key with these columns",
		f.unit, strings.Join(missing, ", "), f.dataset.Name, t.sql()).of(f)
}

func (t *table) sql() string { return quote(t.schema) + "." + quote(t.name) }

// from is the table in a FROM clause: the rows of tables that inherit from it are in the stream under their own names.
func (t *table) from() string {
	if t.kind == "p" {
		return t.sql()
	}
	return "ONLY " + t.sql()
}

// shape is what the outlet is told of the columns.
func (t *table) shape() []connectors.Column {
	out := make([]connectors.Column, len(t.columns))
	for i, c := range t.columns {
		out[i] = connectors.Column{Name: c.Name, Type: c.typeName}
	}
	return out
}

func (t *table) streamColumns() []column {
	out := make([]column, len(t.columns))
	for i, c := range t.columns {
		out[i] = c.column
	}
	return out
}

// keyNames are the key's columns in the order of reading.
func (t *table) keyNames() []string {
	names := make([]string, len(t.key))
	for i, at := range t.key {
		names[i] = t.names[at]
	}
	return names
}

// nullableKey tells whether rows may have no key.
func (t *table) nullableKey() bool {
	return slices.ContainsFunc(t.key, func(i int) bool { return t.columns[i].nullable })
}

// searchPath is where the operators of the key's types are found: an order by one operator and a comparison by another
// would leave rows out.
func (t *table) searchPath() string {
	path := "pg_catalog"
	for _, i := range t.key {
		if home := t.columns[i].typeHome; home != "" {
			path += ", " + quote(home)
		}
	}
	return path
}
