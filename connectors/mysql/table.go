package mysql

import (
	"context"
	"database/sql"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/shirecounty/shire/connectors"
)

// table is what the server's catalogue says of a table now.
type table struct {
	columns []column
	defined []bool     // columns whose old rows got a value when they were added
	unique  [][]string // columns of each unique index that has no NULL
	indexes [][]string // columns of each index
	cascade string     // name of a foreign key that changes rows without a word in the binlog
}

// errNoTable is a table that the user cannot see.
var errNoTable = fmt.Errorf("%w: there is no such table, or the user may not read it", errServer)

// table reads the catalogue.
func (v *server) table(ctx context.Context, schema, name string) (*table, error) {
	var kind string
	err := v.conn.QueryRowContext(ctx, "SELECT TABLE_TYPE FROM information_schema.TABLES WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ?", schema, name).Scan(&kind)
	if err == sql.ErrNoRows {
		return nil, fmt.Errorf("%w; if there is one of exactly this name, run %s", errNoTable, v.grant(ctx, "SELECT", quote(schema)+"."+quote(name)))
	}
	if err != nil {
		return nil, err
	}
	if kind != "BASE TABLE" {
		return nil, fmt.Errorf("%w: it is a %s, of which the binlog does not tell what is read; name a table that holds the rows itself", errServer, strings.ToLower(kind))
	}
	t := &table{}
	if err := v.columns(ctx, schema, name, t); err != nil {
		return nil, err
	}
	if len(t.columns) == 0 {
		return nil, fmt.Errorf("%w; run %s", errNoTable, v.grant(ctx, "SELECT", quote(schema)+"."+quote(name)))
	}
	if err := v.indexes(ctx, schema, name, t); err != nil {
		return nil, err
	}
	err = v.conn.QueryRowContext(ctx, `SELECT CONSTRAINT_NAME FROM information_schema.REFERENTIAL_CONSTRAINTS
		WHERE CONSTRAINT_SCHEMA = ? AND TABLE_NAME = ? AND (UPDATE_RULE IN ('CASCADE', 'SET NULL') OR DELETE_RULE IN ('CASCADE', 'SET NULL')) LIMIT 1`, schema, name).Scan(&t.cascade)
	if err != nil && err != sql.ErrNoRows {
		return nil, err
	}
	return t, nil
}

func (v *server) columns(ctx context.Context, schema, name string, t *table) error {
	rows, err := v.conn.QueryContext(ctx, `SELECT COLUMN_NAME, DATA_TYPE, COLUMN_TYPE, IS_NULLABLE, CHARACTER_SET_NAME, DATETIME_PRECISION, NUMERIC_SCALE,
		CHARACTER_OCTET_LENGTH, COLUMN_DEFAULT, EXTRA FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ? ORDER BY ORDINAL_POSITION`, schema, name)
	if err != nil {
		return err
	}
	defer rows.Close()
	type declared struct {
		data, set string
		length    int
	}
	var all []declared
	for rows.Next() {
		var c column
		var data, nullable, extra string
		var set, preset sql.NullString
		var seconds, scale, length sql.NullInt64
		if err := rows.Scan(&c.name, &data, &c.declared, &nullable, &set, &seconds, &scale, &length, &preset, &extra); err != nil {
			return err
		}
		c.nullable = nullable == "YES"
		c.scale = int(max(seconds.Int64, scale.Int64))
		t.columns, all = append(t.columns, c), append(all, declared{data, set.String, int(length.Int64)})
		t.defined = append(t.defined, preset.Valid && !strings.EqualFold(preset.String, "NULL") || !c.nullable || strings.Contains(strings.ToUpper(extra), "GENERATED"))
	}
	if err := rows.Err(); err != nil {
		return err
	}
	rows.Close() // the connection is asked about character sets
	for i := range t.columns {
		c := &t.columns[i]
		if err := v.declare(ctx, c, all[i].data, all[i].set, all[i].length); err != nil {
			return fmt.Errorf("%w: the column %s: %w", errServer, c.name, err)
		}
	}
	return nil
}

func (v *server) indexes(ctx context.Context, schema, name string, t *table) error {
	rows, err := v.conn.QueryContext(ctx, `SELECT INDEX_NAME, NON_UNIQUE, COLUMN_NAME, SUB_PART, NULLABLE FROM information_schema.STATISTICS
		WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ? ORDER BY INDEX_NAME, SEQ_IN_INDEX`, schema, name)
	if err != nil {
		return err
	}
	defer rows.Close()
	last, unique, whole := "", true, true
	var columns []string
	finish := func() {
		if len(columns) > 0 {
			if whole {
				t.indexes = append(t.indexes, columns)
			}
			if unique {
				t.unique = append(t.unique, columns)
			}
		}
	}
	for rows.Next() {
		var index, nullable string
		var column, part sql.NullString
		var many bool
		if err := rows.Scan(&index, &many, &column, &part, &nullable); err != nil {
			return err
		}
		if index != last {
			finish()
			last, unique, whole, columns = index, true, true, nil
		}
		columns = append(columns, column.String)
		unique = unique && !many && nullable != "YES" && column.Valid
		whole = whole && !part.Valid // an index of beginnings does not sort
	}
	finish()
	return rows.Err()
}

var (
	displayWidth = regexp.MustCompile(`\((\d+)\)`)
	kinds        = map[string]kind{
		"tinyint": integer, "smallint": integer, "mediumint": integer, "int": integer, "bigint": integer, "decimal": decimal, "float": float, "double": double,
		"bit": bits, "year": year, "date": date, "datetime": datetime, "timestamp": timestamp, "time": clock, "char": text, "varchar": text,
		"tinytext": text, "text": text, "mediumtext": text, "longtext": text, "enum": enum, "set": set, "binary": octets, "varbinary": octets,
		"tinyblob": octets, "blob": octets, "mediumblob": octets, "longblob": octets, "vector": octets, "geometry": geometry, "point": geometry,
		"linestring": geometry, "polygon": geometry, "multipoint": geometry, "multilinestring": geometry, "multipolygon": geometry,
		"geometrycollection": geometry, "geomcollection": geometry, "json": jsonValue, "uuid": uniqueID, "inet4": inet4, "inet6": inet6,
	}
)

// declare takes over what the catalogue says of a type.
func (v *server) declare(ctx context.Context, c *column, data, charsetName string, octetLength int) error {
	c.kind = kinds[strings.ToLower(data)]
	declared := strings.ToLower(c.declared)
	if strings.Contains(declared, "/*m!100301 compressed*/") || strings.Contains(declared, " compressed") {
		return fmt.Errorf("it is COMPRESSED, which the binlog does not tell how to read; take that off the column")
	}
	switch c.kind {
	case unknown:
		return fmt.Errorf("its type %s is not known", c.declared)
	case integer:
		c.unsigned = strings.Contains(declared, "unsigned")
		if width := displayWidth.FindStringSubmatch(declared); width != nil && strings.Contains(declared, "zerofill") {
			c.zerofill, _ = strconv.Atoi(width[1])
		}
	case text, enum, set:
		var err error
		if c.charset, err = v.charset(ctx, charsetName); err != nil {
			return err
		}
		if c.kind != text {
			c.labels = labelsOf(c.declared)
		}
	case octets:
		if strings.EqualFold(data, "binary") {
			c.length = octetLength
		}
	case uniqueID, inet6:
		c.length = 16
	case inet4:
		c.length = 4
	}
	return nil
}

// labelsOf takes enum('a','b') apart; a quote in a label is doubled.
func labelsOf(declared string) (labels []string) {
	rest := declared[strings.IndexByte(declared, '(')+1:]
	for {
		start := strings.IndexByte(rest, '\'')
		if start < 0 {
			return labels
		}
		rest = rest[start+1:]
		var label strings.Builder
		for {
			end := strings.IndexByte(rest, '\'')
			if end < 0 {
				return labels
			}
			label.WriteString(rest[:end])
			rest = rest[end+1:]
			if !strings.HasPrefix(rest, "'") {
				break
			}
			label.WriteByte('\'')
			rest = rest[1:]
		}
		labels = append(labels, label.String())
	}
}

func (t *table) names() []string {
	names := make([]string, len(t.columns))
	for i, c := range t.columns {
		names[i] = c.name
	}
	return names
}

func (t *table) shape() []connectors.Column {
	shape := make([]connectors.Column, len(t.columns))
	for i, c := range t.columns {
		shape[i] = connectors.Column{Name: c.name, Type: c.declared}
	}
	return shape
}

// identifies tells whether no two rows can have the same values in these columns.
func (t *table) identifies(columns []string) bool {
	return slices.ContainsFunc(t.unique, func(index []string) bool {
		return !slices.ContainsFunc(index, func(c string) bool { return !slices.Contains(columns, c) })
	})
}

// sorts tells whether an index brings the rows in the order of these columns.
func (t *table) sorts(columns []string) bool {
	return slices.ContainsFunc(t.indexes, func(index []string) bool {
		return len(index) >= len(columns) && slices.Equal(index[:len(columns)], columns)
	})
}

func quote(name string) string { return "`" + strings.ReplaceAll(name, "`", "``") + "`" }
