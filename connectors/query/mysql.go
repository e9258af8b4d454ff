package query

import (
	"crypto/tls"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	driver "github.com/go-sql-driver/mysql"
)

// mySQL is MySQL and MariaDB.
type mySQL struct{}

func (mySQL) port() int { return 3306 }

func (mySQL) open(s settings, password string, encryption *tls.Config) (*sql.DB, error) {
	c := driver.NewConfig()
	c.Net, c.Addr = "tcp", net.JoinHostPort(s.host, strconv.Itoa(s.port))
	c.DBName, c.User, c.Passwd = s.database, s.user, password
	c.TLS, c.Timeout, c.InterpolateParams = encryption, connectTimeout, true
	c.Logger = &driver.NopLogger{}
	if err := c.Apply(driver.Charset("utf8mb4", "")); err != nil {
		return nil, err
	}
	connector, err := driver.NewConnector(c)
	if err != nil {
		return nil, err
	}
	return sql.OpenDB(connector), nil
}

func (mySQL) offset() string { return "SELECT TIMESTAMPDIFF(SECOND, UTC_TIMESTAMP(), NOW())" }

func (mySQL) session(time.Duration) []string {
	return []string{"SET SESSION time_zone = '+00:00'", "SET SESSION TRANSACTION READ ONLY", "SET SESSION sql_mode = ''"}
}

func (mySQL) quote(name string) string { return doubled(name, "`", "`") }

func (mySQL) catalog(t tableName) (string, []any) {
	return "SELECT column_name, column_type, data_type, is_nullable, numeric_scale FROM information_schema.columns" +
		" WHERE table_schema = ? AND table_name = ? ORDER BY ordinal_position", []any{t.schema, t.name}
}

func (mySQL) column(f []string) column {
	c := column{name: f[0], declared: f[1], base: strings.ToLower(f[2]), nullable: f[3] != "NO", scale: atoi(f[4])}
	c.kind = map[string]kind{
		"tinyint": integer, "smallint": integer, "mediumint": integer, "int": integer, "bigint": integer, "bit": integer, "year": integer,
		"decimal": decimal, "float": float, "double": float, "timestamp": instant, "datetime": wallTime, "date": date,
		"binary": octets, "varbinary": octets, "tinyblob": octets, "blob": octets, "mediumblob": octets, "longblob": octets,
		"enum": other, "set": other, "json": other,
		"geometry": octets, "point": octets, "linestring": octets, "polygon": octets, "multipoint": octets, "multilinestring": octets,
		"multipolygon": octets, "geometrycollection": octets,
	}[c.base]
	if c.base == "float" {
		c.fix = shortest(32) // the server itself shows six digits of it
	}
	return c
}

func (mySQL) indexed(t tableName, name string) (string, []any) {
	return "SELECT '1' FROM information_schema.statistics WHERE table_schema = ? AND table_name = ? AND column_name = ? AND seq_in_index = 1 LIMIT 1",
		[]any{t.schema, t.name, name}
}

func (mySQL) text(c *column, e string) string {
	switch {
	case c.kind == instant: // a zero date is no instant
		return "CONCAT(CAST(" + e + " AS CHAR), IF(" + e + " = 0, '', '+00:00'))"
	case c.kind == octets:
		return "LOWER(HEX(" + e + "))"
	case c.base == "bit":
		return "CAST(" + e + " + 0 AS CHAR)"
	case c.base == "float":
		return "CAST(CAST(" + e + " AS DOUBLE) AS CHAR)"
	case strings.HasSuffix(c.base, "char") || strings.HasSuffix(c.base, "text"):
		return e
	}
	return "CAST(" + e + " AS CHAR)"
}

func (mySQL) typed(c *column, _ int) string {
	switch c.kind {
	case integer:
		if strings.Contains(c.declared, "unsigned") || c.base == "bit" {
			return "CAST(? AS UNSIGNED)"
		}
		return "CAST(? AS SIGNED)"
	case decimal:
		return "CAST(? AS DECIMAL(65, " + strconv.Itoa(max(c.scale, 0)) + "))"
	case float:
		return "CAST(? AS DOUBLE)"
	case instant:
		return "CAST(REPLACE(?, '+00:00', '') AS DATETIME(6))"
	case wallTime:
		return "CAST(? AS DATETIME(6))"
	case date:
		return "CAST(? AS DATE)"
	case octets:
		return "UNHEX(?)"
	}
	if c.base == "time" {
		return "CAST(? AS TIME(6))"
	}
	return "?"
}

func (mySQL) now(c *column, seconds int) string {
	wall := fmt.Sprintf("UTC_TIMESTAMP(6) + INTERVAL %d SECOND", seconds)
	switch c.kind {
	case instant:
		return "UTC_TIMESTAMP(6)"
	case wallTime:
		return wall
	case date:
		return "DATE(" + wall + ")"
	}
	return ""
}

func (mySQL) back(c *column, e string, by overlap) string {
	switch c.kind {
	case instant, wallTime:
		return "CAST(" + e + " - INTERVAL " + strconv.FormatInt(by.duration.Microseconds(), 10) + " MICROSECOND AS DATETIME(6))"
	case date:
		return e + " - INTERVAL " + strconv.FormatInt(by.days(), 10) + " DAY"
	case integer: // an unsigned number cannot fall below zero
		least := "-9223372036854775808"
		if strings.Contains(c.declared, "unsigned") {
			least = "0"
		}
		return "GREATEST(CAST(" + e + " AS DECIMAL(65, 0)) - " + strconv.FormatInt(by.number, 10) + ", " + least + ")"
	}
	return e + " - " + strconv.FormatInt(by.number, 10)
}

func (mySQL) page(columns, rest string, n int) string {
	return "SELECT " + columns + " FROM " + rest + " LIMIT " + strconv.Itoa(n)
}

func (mySQL) failure(err error) (code, problem string, ok bool) {
	var e *driver.MySQLError
	if !errors.As(err, &e) {
		return "", "", false
	}
	return "error " + strconv.Itoa(int(e.Number)), map[uint16]string{
		1045: "login_failed", 1698: "login_failed", 1044: "no_such_database", 1049: "no_such_database", 1142: "no_right_to_read", 1143: "no_right_to_read",
		1146: "no_such_table", 1054: "no_such_column", 3024: "slow_query", 1969: "slow_query", 1205: "locked",
	}[e.Number], true
}

func (m mySQL) grant(t tableName, user string) string {
	return fmt.Sprintf("GRANT SELECT ON %s TO '%s'@'%%'", t.quoted(m), user)
}
