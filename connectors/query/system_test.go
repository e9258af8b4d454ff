package query

import (
	"database/sql"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	mysqldriver "github.com/go-sql-driver/mysql"

	"github.com/shirecounty/shire/connectors/conformance"
	"github.com/shirecounty/shire/schemas/county"
)

// server is a database that tests write to as its administrator and that the connector reads with the rights that
// docs/connectors/query.md asks for.
type server struct {
	driver  string
	address string
	admin   *sql.DB
	kill    func()
	restart func(testing.TB)
	schemas atomic.Int64
}

const readerPassword = "only reads"

func startPostgres(t testing.TB) *server {
	p := conformance.StartPostgres(t)
	s := &server{driver: "postgres", address: p.Address, admin: open(t, "pgx", p.URL("postgres")), kill: p.Kill, restart: p.Restart}
	s.exec(t, "CREATE ROLE shire LOGIN PASSWORD '"+readerPassword+"'")
	return s
}

func startMariaDB(t testing.TB) *server {
	m := conformance.StartMariaDB(t)
	s := &server{driver: "mysql", address: m.Address, admin: open(t, "mysql", m.DSN("mysql")), kill: m.Kill, restart: m.Restart}
	s.exec(t, "CREATE USER shire@'127.0.0.1' IDENTIFIED BY '"+readerPassword+"'")
	return s
}

func open(t testing.TB, driver, dsn string) *sql.DB {
	t.Helper()
	mysqldriver.SetLogger(&mysqldriver.NopLogger{}) // the server is killed on purpose
	db, err := sql.Open(driver, dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func (s *server) exec(t testing.TB, statements ...string) {
	t.Helper()
	for _, text := range statements {
		if _, err := s.admin.Exec(text); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
	}
}

// table is a table of records in a schema of its own.
type table struct {
	*server
	schema, name string
	zone         *time.Location
	wide         bool // has the columns of Types
	timed        bool // has the columns of Times
	with         map[string]any
	settings     map[string]any // of the table
}

// newTable makes an empty table of records whose updated_at the database itself keeps.
func (s *server) newTable(t testing.TB) *table {
	b := &table{server: s, schema: fmt.Sprintf("s%d", s.schemas.Add(1)), name: "records", zone: time.UTC, with: map[string]any{}, settings: map[string]any{}}
	q := b.full()
	if s.driver == "postgres" {
		s.exec(t, "CREATE SCHEMA "+b.schema,
			"CREATE TABLE "+q+" (id varchar(100) PRIMARY KEY, name text, note text, updated_at timestamptz NOT NULL DEFAULT clock_timestamp())",
			"CREATE INDEX ON "+q+" (updated_at, id)",
			"CREATE FUNCTION "+b.schema+".touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.updated_at = clock_timestamp(); RETURN NEW; END'",
			"CREATE TRIGGER touch BEFORE UPDATE ON "+q+" FOR EACH ROW EXECUTE FUNCTION "+b.schema+".touch()")
	} else {
		s.exec(t, "CREATE DATABASE "+b.schema,
			"CREATE TABLE "+q+" (id varchar(100) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin PRIMARY KEY, name text, note longtext,"+
				" updated_at timestamp(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6) ON UPDATE CURRENT_TIMESTAMP(6), INDEX (updated_at, id)) CHARACTER SET utf8mb4")
	}
	b.grant(t)
	return b
}

// grant gives the connector's user what it needs, by the statement that its messages name.
func (b *table) grant(t testing.TB) {
	text := dialects[b.driver].grant(tableName{b.schema, b.name}, "shire")
	text = strings.ReplaceAll(text, "'%'", "'127.0.0.1'")
	b.exec(t, strings.Split(text, "; ")...)
}

func (b *table) full() string { return b.schema + "." + b.name }

// Source implements conformance.System.
func (b *table) Source() county.Source {
	item := map[string]any{"table": b.full(), "dataset": conformance.Dataset, "watermark": "updated_at", "deletions": "every 1ns"}
	maps.Copy(item, b.settings)
	maps.DeleteFunc(item, func(_ string, v any) bool { return v == nil })
	database := "postgres"
	if b.driver == "mysql" {
		database = b.schema
	}
	with := map[string]any{
		"driver": b.driver, "address": b.address, "database": database, "user": "shire", "password": readerPassword, "tls": "off",
		"poll": "20ms", "tables": []any{item},
	}
	maps.Copy(with, b.with)
	return county.Source{Kind: "query", With: with}
}

type execer interface {
	Exec(string, ...any) (sql.Result, error)
}

// bind makes the placeholders of the database out of question marks.
func (b *table) bind(text string) string {
	if b.driver != "postgres" {
		return text
	}
	for n := 1; strings.Contains(text, "?"); n++ {
		text = strings.Replace(text, "?", fmt.Sprint("$", n), 1)
	}
	return text
}

func (b *table) do(t testing.TB, on execer, o conformance.Operation) {
	t.Helper()
	var text string
	var args []any
	switch o.Kind {
	case conformance.Insert:
		text, args = "INSERT INTO "+b.full()+" (id, name, note) VALUES (?, ?, ?)", []any{o.ID, o.Name, o.Note}
	case conformance.Update:
		text, args = "UPDATE "+b.full()+" SET name = ?, note = ? WHERE id = ?", []any{o.Name, o.Note, o.ID}
	case conformance.Delete:
		text, args = "DELETE FROM "+b.full()+" WHERE id = ?", []any{o.ID}
	case conformance.Rekey:
		text, args = "UPDATE "+b.full()+" SET id = ? WHERE id = ?", []any{o.NewID, o.ID}
	}
	if _, err := on.Exec(b.bind(text), args...); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
}

func (b *table) transaction(t testing.TB, ops []conformance.Operation) *sql.Tx {
	t.Helper()
	tx, err := b.admin.Begin()
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range ops {
		b.do(t, tx, o)
	}
	return tx
}

func (b *table) Apply(t testing.TB, ops ...conformance.Operation) {
	t.Helper()
	if err := b.transaction(t, ops).Commit(); err != nil {
		t.Fatal(err)
	}
}

func (b *table) RollBack(t testing.TB, ops ...conformance.Operation) {
	t.Helper()
	tx := b.transaction(t, ops)
	time.Sleep(100 * time.Millisecond) // a few polls while it is open
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
}

// typed is a type of the database, a value as it is written in SQL, and the text that has to come.
type typed struct{ declared, value, want string }

var postgresTypes = []typed{
	{"smallint", "-32768", "-32768"}, {"integer", "2147483647", "2147483647"}, {"bigint", "-9223372036854775808", "-9223372036854775808"},
	{"numeric(38,10)", "1234567890123456789012345678.0123456789", "1234567890123456789012345678.0123456789"},
	{"numeric", "'NaN'", "NaN"}, {"real", "0.1", "0.1"}, {"double precision", "0.1", "0.1"}, {"double precision", "1e300", "1e+300"},
	{"money", "12345.67", "12345.67"}, {"char(5)", "'ab'", "ab"}, {"varchar(20)", "' a '", " a "}, {"text", "'王小明'", "王小明"},
	{"boolean", "true", "true"}, {"date", "'2026-11-25'", "2026-11-25"}, {"time", "'23:59:59.123456'", "23:59:59.123456"},
	{"timetz", "'08:00:00+08'", "08:00:00+08"}, {"timestamp", "'2026-11-25 08:00:00.5'", "2026-11-25 08:00:00.5"},
	{"timestamptz", "'2026-11-25 08:00:00.000001+08'", "2026-11-25 00:00:00.000001+00:00"}, {"timestamptz", "'infinity'", "infinity"},
	{"interval", "'1 day 2 hours'", "1 day 02:00:00"}, {"bytea", `'\x00ff10'`, "00ff10"}, {"uuid", "'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"},
	{"json", `'{"a": 1}'`, `{"a": 1}`}, {"jsonb", `'{"b":1,"a":"x"}'`, `{"a": "x", "b": 1}`}, {"inet", "'10.0.0.1/8'", "10.0.0.1/8"}, {"cidr", "'10.0.0.0/8'", "10.0.0.0/8"},
	{"macaddr", "'08:00:2b:01:02:03'", "08:00:2b:01:02:03"}, {"bit(4)", "B'0101'", "0101"}, {"varbit", "B'01'", "01"}, {"xml", "'<a>1</a>'", "<a>1</a>"},
	{"int[]", "'{1,NULL,3}'", "{1,NULL,3}"}, {"text[]", `'{"a,b",c}'`, `{"a,b",c}`}, {"point", "'(1,2)'", "(1,2)"}, {"int4range", "'[1,5)'", "[1,5)"},
	{"tsvector", "'a b'", "'a' 'b'"}, {"mood", "'calm'", "calm"}, {"plate", "'闽A12345'", "闽A12345"}, {"text", "NULL", conformance.Null},
}

var mariaTypes = []typed{
	{"tinyint", "-128", "-128"}, {"tinyint unsigned", "255", "255"}, {"boolean", "true", "1"}, {"smallint", "32767", "32767"}, {"mediumint unsigned", "16777215", "16777215"},
	{"int", "-2147483648", "-2147483648"}, {"bigint", "-9223372036854775808", "-9223372036854775808"}, {"bigint unsigned", "18446744073709551615", "18446744073709551615"},
	{"int(6) zerofill", "42", "000042"}, {"decimal(38,10)", "1234567890123456789012345678.0123456789", "1234567890123456789012345678.0123456789"},
	{"float", "0.1", "0.1"}, {"float", "16777216", "1.6777216e+07"}, {"double", "0.1", "0.1"}, {"bit(8)", "b'101'", "5"},
	{"char(5)", "'ab'", "ab"}, {"varchar(20)", "' a '", " a "}, {"text", "'王小明'", "王小明"}, {"varchar(20) character set gbk", "'王小明'", "王小明"},
	{"longtext", "'𠮷'", "𠮷"}, {"date", "'2026-11-25'", "2026-11-25"}, {"date", "'0000-00-00'", "0000-00-00"}, {"time(6)", "'-838:59:58.999999'", "-838:59:58.999999"},
	{"datetime", "'2026-11-25 08:00:00'", "2026-11-25 08:00:00"}, {"datetime(6)", "'2026-11-25 08:00:00.000001'", "2026-11-25 08:00:00.000001"},
	{"datetime null", "'0000-00-00 00:00:00'", "0000-00-00 00:00:00"}, {"timestamp null", "'0000-00-00 00:00:00'", "0000-00-00 00:00:00"},
	{"year", "2026", "2026"}, {"binary(3)", "x'00ff10'", "00ff10"}, {"varbinary(9)", "x'00ff10'", "00ff10"}, {"blob", "x'00ff10'", "00ff10"},
	{"enum('low','high')", "'high'", "high"}, {"set('a','b','c')", "'a,c'", "a,c"}, {"json", `'{"a": 1}'`, `{"a": 1}`}, {"uuid", "'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"},
	{"inet6", "'2001:db8::1'", "2001:db8::1"}, {"point null", "ST_GeomFromText('POINT(1 2)')", "000000000101000000000000000000f03f0000000000000040"}, {"text", "NULL", conformance.Null},
}

// Types implements conformance.Typed.
func (b *table) Types(t testing.TB, key string) map[string]string {
	t.Helper()
	types := mariaTypes
	if b.driver == "postgres" {
		types = postgresTypes
	}
	var definitions, names, values []string
	want := map[string]string{}
	for i, c := range types {
		name := fmt.Sprint("t", i)
		declared := c.declared
		if declared == "mood" || declared == "plate" {
			declared = b.schema + "." + declared
		}
		definitions = append(definitions, "ADD COLUMN "+name+" "+declared)
		names, values = append(names, name), append(values, c.value)
		want[name] = c.want
	}
	if !b.wide {
		b.wide = true
		if b.driver == "postgres" {
			b.exec(t, "CREATE TYPE "+b.schema+".mood AS ENUM ('calm', 'angry')", "CREATE DOMAIN "+b.schema+".plate AS varchar(10)")
		}
		b.exec(t, "ALTER TABLE "+b.full()+" "+strings.Join(definitions, ", "))
	}
	insert := "INSERT INTO " + b.full() + " (id, " + strings.Join(names, ", ") + ") VALUES ('" + key + "', " + strings.Join(values, ", ") + ")"
	if b.driver == "postgres" {
		b.exec(t, insert)
	} else { // zero dates and values that a strict server would not take
		b.onConn(t, "SET SESSION sql_mode = ''", insert)
	}
	return want
}

func (b *table) onConn(t testing.TB, statements ...string) {
	t.Helper()
	c, err := b.admin.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, text := range statements {
		if _, err := c.ExecContext(t.Context(), text); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
	}
}

// InZone implements conformance.Zoned.
func (b *table) InZone(t testing.TB, zone string) {
	t.Helper()
	loc, err := time.LoadLocation(zone)
	if err != nil {
		t.Fatal(err)
	}
	b.zone = loc
	if b.driver == "postgres" {
		b.exec(t, "ALTER DATABASE postgres SET TimeZone = '"+zone+"'")
		t.Cleanup(func() { b.admin.Exec("ALTER DATABASE postgres RESET TimeZone") })
		return
	}
	b.exec(t, "SET GLOBAL time_zone = '"+time.Now().In(loc).Format("-07:00")+"'")
	t.Cleanup(func() { b.admin.Exec("SET GLOBAL time_zone = 'SYSTEM'") })
}

// Times implements conformance.Zoned.
func (b *table) Times(t testing.TB, key, local string, at time.Time) (string, string) {
	t.Helper()
	if !b.timed {
		b.timed = true
		instantType := "timestamptz"
		if b.driver == "mysql" {
			instantType = "timestamp NULL"
		}
		b.exec(t, "ALTER TABLE "+b.full()+" ADD COLUMN at_local "+map[string]string{"postgres": "timestamp", "mysql": "datetime"}[b.driver]+", ADD COLUMN at_instant "+instantType)
	}
	zone := "SET TimeZone = '" + b.zone.String() + "'"
	if b.driver == "mysql" { // a server without the tables of zones knows offsets
		zone = "SET SESSION time_zone = '" + at.In(b.zone).Format("-07:00") + "'"
	}
	written := at.In(b.zone).Format(time.DateTime)
	if b.driver == "postgres" {
		written = at.In(b.zone).Format("2006-01-02 15:04:05-07:00")
	}
	b.onConn(t, zone, "INSERT INTO "+b.full()+" (id, at_local, at_instant) VALUES ('"+key+"', '"+local+"', '"+written+"')")
	return "at_local", "at_instant"
}

// AddColumn implements conformance.Changing, and so do those that follow.
func (b *table) AddColumn(t testing.TB, name, value string) {
	t.Helper()
	b.exec(t, "ALTER TABLE "+b.full()+" ADD COLUMN "+name+" varchar(20)")
	if _, err := b.admin.Exec(b.bind("UPDATE "+b.full()+" SET "+name+" = ? WHERE id = '1'"), value); err != nil {
		t.Fatal(err)
	}
}

func (b *table) DropColumn(t testing.TB, name string) {
	t.Helper()
	b.exec(t, "ALTER TABLE "+b.full()+" DROP COLUMN "+name)
}

func (b *table) RenameColumn(t testing.TB, from, to string) {
	t.Helper()
	b.exec(t, "ALTER TABLE "+b.full()+" RENAME COLUMN "+from+" TO "+to)
}

func (b *table) WidenColumn(t testing.TB, name string) {
	t.Helper()
	if b.driver == "postgres" {
		b.exec(t, "ALTER TABLE "+b.full()+" ALTER COLUMN "+name+" TYPE text")
	} else {
		b.exec(t, "ALTER TABLE "+b.full()+" MODIFY COLUMN "+name+" text")
	}
}

var (
	_ conformance.RollsBack = (*table)(nil)
	_ conformance.Typed     = (*table)(nil)
	_ conformance.Zoned     = (*table)(nil)
	_ conformance.Changing  = (*table)(nil)
)

// onEach runs a test on each database that is installed.
func onEach(t *testing.T, test func(t *testing.T, s *server)) {
	for _, name := range slices.Sorted(maps.Keys(servers)) {
		t.Run(name, func(t *testing.T) { test(t, servers[name](t)) })
	}
}
