package mysql

import (
	"context"
	"errors"
	"fmt"

	gomysql "github.com/go-mysql-org/go-mysql/mysql"
	"github.com/go-mysql-org/go-mysql/replication"
)

// errLayout is a table map whose rows cannot be read for sure.
var errLayout = errors.New("the columns of a table at the time of a change are not known")

// layout says how the rows of a table map are read. The map itself says how the columns were called and typed when the rows
// were written, if the server writes binlog_row_metadata=FULL; else the catalogue of now has to do, and where it does not
// fit, the rows are not guessed at.
func (v *server) layout(ctx context.Context, m *replication.TableMapEvent, now *table) ([]field, error) {
	named := len(m.ColumnName) == int(m.ColumnCount) && m.ColumnCount > 0
	if !named && now == nil {
		return nil, fmt.Errorf("%w: the table is gone, and the binlog does not name its columns; run SET GLOBAL binlog_row_metadata=FULL", errLayout)
	}
	if !named && len(now.columns) != int(m.ColumnCount) {
		return nil, fmt.Errorf("%w: the binlog has %d columns, the table now has %d; run SET GLOBAL binlog_row_metadata=FULL (MariaDB 10.5, MySQL 8.0) so that the binlog names them, and give the table another snapshot label",
			errLayout, m.ColumnCount, len(now.columns))
	}
	fields := make([]field, m.ColumnCount)
	unsigned, collations, ofLabels := m.UnsignedMap(), m.CollationMap(), m.EnumSetCollationMap()
	enums, sets := m.EnumStrValueMap(), m.SetStrValueMap()
	for i := range fields {
		f := &fields[i]
		f.wire, f.meta = m.ColumnType[i], m.ColumnMeta[i]
		found := kindOf(f.wire, f.meta)
		if found == unknown {
			return nil, fmt.Errorf("%w: column %d has a type in the binlog (%d) that is not understood; a time in the form of before MySQL 5.6 becomes one of today by ALTER TABLE ... FORCE, and a COMPRESSED column has to lose that", errLayout, i+1, f.wire)
		}
		if !named {
			f.column = &now.columns[i]
			if !fits(found, f.column.kind) {
				return nil, fmt.Errorf("%w: column %d, now %s %s, was of another type; run SET GLOBAL binlog_row_metadata=FULL so that the binlog names them, and give the table another snapshot label", errLayout, i+1, f.name, f.declared)
			}
			continue
		}
		c := &column{name: string(m.ColumnName[i]), kind: found, unsigned: unsigned[i]}
		f.column = c
		if now != nil {
			for _, known := range now.columns {
				if known.name == c.name && fits(found, known.kind) {
					c.declared, c.zerofill, c.length = known.declared, known.zerofill, known.length
					if found == text { // bytes that the binlog calls text: UUID and addresses
						c.kind = known.kind
					}
				}
			}
		}
		var err error
		switch found {
		case text:
			err = v.character(ctx, c, f, collations[i])
		case enum, set:
			if c.charset, err = v.charset(ctx, v.charsets[ofLabels[i]]); err == nil {
				err = c.label(append(enums[i], sets[i]...))
			}
		}
		if err != nil {
			return nil, fmt.Errorf("%w: the column %s: %w", errLayout, c.name, err)
		}
	}
	return fields, nil
}

// character settles what a column of the binlog's character types holds.
func (v *server) character(ctx context.Context, c *column, f *field, collation uint64) (err error) {
	if c.charset, err = v.charset(ctx, v.charsets[collation]); err != nil {
		return err
	}
	switch {
	case c.kind == uniqueID || c.kind == inet4 || c.kind == inet6:
	case c.charset.decode != nil:
		c.kind = text
	default:
		c.kind, c.length = octets, 0
		if f.wire == gomysql.MYSQL_TYPE_STRING {
			_, c.length = stringType(f.meta)
		}
	}
	return nil
}

// label takes the labels over; they stand in the column's character set.
func (c *column) label(raw []string) error {
	if len(raw) == 0 {
		return errors.New("the binlog does not name the labels of an ENUM or SET")
	}
	c.labels = nil
	for _, l := range raw {
		if c.charset.decode == nil {
			c.labels = append(c.labels, hexadecimal([]byte(l)))
			continue
		}
		c.labels = append(c.labels, c.charset.decode([]byte(l)))
	}
	return nil
}

// kindOf is what can be told from the binlog's type alone; all that is kept as bytes is text.
func kindOf(wire byte, meta uint16) kind {
	switch wire {
	case gomysql.MYSQL_TYPE_TINY, gomysql.MYSQL_TYPE_SHORT, gomysql.MYSQL_TYPE_INT24, gomysql.MYSQL_TYPE_LONG, gomysql.MYSQL_TYPE_LONGLONG:
		return integer
	case gomysql.MYSQL_TYPE_NEWDECIMAL:
		return decimal
	case gomysql.MYSQL_TYPE_FLOAT:
		return float
	case gomysql.MYSQL_TYPE_DOUBLE:
		return double
	case gomysql.MYSQL_TYPE_BIT:
		return bits
	case gomysql.MYSQL_TYPE_YEAR:
		return year
	case gomysql.MYSQL_TYPE_DATE, gomysql.MYSQL_TYPE_NEWDATE:
		return date
	case gomysql.MYSQL_TYPE_DATETIME2:
		return datetime
	case gomysql.MYSQL_TYPE_TIMESTAMP2:
		return timestamp
	case gomysql.MYSQL_TYPE_TIME2:
		return clock
	case gomysql.MYSQL_TYPE_GEOMETRY:
		return geometry
	case gomysql.MYSQL_TYPE_JSON:
		return jsonValue
	case gomysql.MYSQL_TYPE_VECTOR:
		return octets
	case gomysql.MYSQL_TYPE_VARCHAR, gomysql.MYSQL_TYPE_VAR_STRING, gomysql.MYSQL_TYPE_BLOB:
		return text
	case gomysql.MYSQL_TYPE_STRING:
		switch real, _ := stringType(meta); real {
		case gomysql.MYSQL_TYPE_ENUM:
			return enum
		case gomysql.MYSQL_TYPE_SET:
			return set
		case gomysql.MYSQL_TYPE_STRING:
			return text
		}
	}
	return unknown
}

// fits tells whether a column of the catalogue can be one of the binlog.
func fits(found, declared kind) bool {
	if found == text {
		return declared == text || declared == octets || declared == uniqueID || declared == inet4 || declared == inet6
	}
	return found == declared
}
