package query

import (
	"crypto/tls"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
)

// postgres is PostgreSQL, and what speaks its protocol: Kingbase, openGauss.
type postgres struct{}

func (postgres) port() int { return 5432 }

func (postgres) open(s settings, password string, encryption *tls.Config) (*sql.DB, error) {
	// The environment of the process has no say: everything is set here.
	c, err := pgx.ParseConfig("host=localhost port=1 user=x dbname=x sslmode=disable passfile=''")
	if err != nil {
		return nil, err
	}
	c.Host, c.Port, c.Database, c.User, c.Password = s.host, uint16(s.port), s.database, s.user, password
	c.TLSConfig, c.Fallbacks, c.ConnectTimeout = encryption, nil, connectTimeout
	c.RuntimeParams = map[string]string{"application_name": "shire", "client_encoding": "UTF8"}
	// A statement that the server has prepared fails when the table's columns change.
	c.DefaultQueryExecMode = pgx.QueryExecModeExec
	return stdlib.OpenDB(*c), nil
}

func (postgres) offset() string { return "SELECT EXTRACT(TIMEZONE FROM now())::int::text" }

func (postgres) session(timeout time.Duration) []string {
	return []string{
		"SET default_transaction_read_only = on",
		"SET TimeZone = 'UTC'",
		"SET DateStyle = 'ISO, YMD'",
		"SET IntervalStyle = 'postgres'",
		"SET extra_float_digits = 1",
		fmt.Sprintf("SET statement_timeout = %d", timeout.Milliseconds()),
	}
}

func (postgres) quote(name string) string { return doubled(name, `"`, `"`) }

func (p postgres) catalog(t tableName) (string, []any) {
	return "SELECT a.attname::text, format_type(a.atttypid, a.atttypmod), COALESCE(b.typname, t.typname)::text, (NOT a.attnotnull)::text, a.atttypmod::text" +
		" FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid LEFT JOIN pg_type b ON b.oid = t.typbasetype" +
		" WHERE a.attrelid = to_regclass($1) AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum", []any{t.quoted(p)}
}

func (postgres) column(f []string) column {
	c := column{name: f[0], declared: f[1], base: f[2], nullable: f[3] == "true", scale: -1}
	c.kind = map[string]kind{
		"int2": integer, "int4": integer, "int8": integer, "numeric": decimal, "float4": float, "float8": float,
		"timestamptz": instant, "timestamp": wallTime, "date": date, "bytea": octets,
	}[c.base]
	return c
}

func (p postgres) indexed(t tableName, name string) (string, []any) {
	return "SELECT '1' FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]" +
		" WHERE i.indrelid = to_regclass($1) AND a.attname = $2 AND i.indisvalid LIMIT 1", []any{t.quoted(p), name}
}

func (postgres) text(c *column, e string) string {
	switch {
	case c.kind == instant:
		return "replace((" + e + ")::text, '+00', '+00:00')"
	case c.kind == octets:
		return "encode(" + e + ", 'hex')"
	case c.base == "money":
		return "(" + e + ")::numeric::text" // its text depends on the server's locale
	}
	return "(" + e + ")::text"
}

func (postgres) typed(c *column, n int) string {
	if c.kind == octets {
		return "decode($" + strconv.Itoa(n) + "::text, 'hex')"
	}
	return "$" + strconv.Itoa(n) + "::text::" + c.declared
}

func (postgres) now(c *column, seconds int) string {
	wall := fmt.Sprintf("now() AT TIME ZONE 'UTC' + interval '%d seconds'", seconds)
	switch c.kind {
	case instant:
		return "now()"
	case wallTime:
		return wall
	case date:
		return "(" + wall + ")::date"
	}
	return ""
}

func (postgres) back(c *column, e string, by overlap) string {
	switch c.kind {
	case instant, wallTime:
		return e + " - interval '" + by.seconds() + " seconds'"
	case date:
		return e + " - " + strconv.FormatInt(by.days(), 10)
	}
	return e + " - " + strconv.FormatInt(by.number, 10)
}

func (postgres) page(columns, rest string, n int) string {
	return "SELECT " + columns + " FROM " + rest + " LIMIT " + strconv.Itoa(n)
}

func (postgres) failure(err error) (code, problem string, ok bool) {
	var e *pgconn.PgError
	if !errors.As(err, &e) {
		return "", "", false
	}
	return "SQLSTATE " + e.Code, map[string]string{
		"28P01": "login_failed", "28000": "login_failed", "3D000": "no_such_database", "42501": "no_right_to_read", "42P01": "no_such_table",
		"42703": "no_such_column", "57014": "slow_query", "55P03": "locked",
	}[e.Code], true
}

func (p postgres) grant(t tableName, user string) string {
	schema := t.schema
	if schema == "" {
		schema = "public"
	}
	return fmt.Sprintf("GRANT USAGE ON SCHEMA %s TO %s; GRANT SELECT ON %s TO %s", p.quote(schema), p.quote(user), t.quoted(p), p.quote(user))
}
