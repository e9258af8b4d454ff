package postgres_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/shirecounty/shire/connectors/conformance"
	_ "github.com/shirecounty/shire/connectors/postgres"
	"github.com/shirecounty/shire/schemas/county"
)

// One server serves all tests; each has a database of its own.
var (
	once   sync.Once
	server *conformance.Postgres
	number atomic.Int64
)

// holder lets the server live as long as the test binary.
type holder struct {
	testing.TB
	cleanups []func()
}

func (h *holder) Cleanup(f func()) { h.cleanups = append(h.cleanups, f) }
func (h *holder) Helper()          {}

var held = &holder{}

func TestMain(m *testing.M) {
	code := m.Run()
	for i := len(held.cleanups) - 1; i >= 0; i-- {
		held.cleanups[i]()
	}
	os.Exit(code)
}

func start(t testing.TB) *conformance.Postgres {
	t.Helper()
	once.Do(func() {
		held.TB = t
		server = conformance.StartPostgres(held, "max_replication_slots=200", "max_wal_senders=100", "max_connections=200", "wal_writer_delay=10ms")
	})
	if server == nil {
		conformance.Unavailable(t)
	}
	return server
}

// system is a database with a table of records.
type system struct {
	server *conformance.Postgres
	name   string
	conn   *pgx.Conn
	typed  bool
	with   map[string]any
}

func newSystem(t testing.TB, s *conformance.Postgres) *system {
	t.Helper()
	name := fmt.Sprintf("county_%d", number.Add(1))
	admin := connect(t, s, "postgres")
	exec(t, admin, "CREATE DATABASE "+name)
	sys := &system{server: s, name: name, conn: connect(t, s, name), with: map[string]any{}}
	t.Cleanup(func() {
		ctx := context.Background()
		admin, err := pgx.Connect(ctx, s.URL("postgres"))
		if err != nil {
			return
		}
		defer admin.Close(ctx)
		admin.Exec(ctx, "SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE database = $1 AND active", name)
		for range 100 {
			if _, err := admin.Exec(ctx, "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE database = $1", name); err == nil {
				break
			}
			time.Sleep(20 * time.Millisecond)
		}
		admin.Exec(ctx, "DROP DATABASE "+name+" WITH (FORCE)")
	})
	return sys
}

func newRecords(t testing.TB, s *conformance.Postgres) *system {
	sys := newSystem(t, s)
	exec(t, sys.conn, "CREATE TABLE records (id text PRIMARY KEY, name text, note text)")
	return sys
}

func connect(t testing.TB, s *conformance.Postgres, database string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), s.URL(database))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(context.Background()) })
	return conn
}

func exec(t testing.TB, conn *pgx.Conn, sql string, args ...any) {
	t.Helper()
	if _, err := conn.Exec(t.Context(), sql, args...); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

func (s *system) Source() county.Source {
	with := map[string]any{
		"address": s.server.Address, "database": s.name, "user": "postgres", "tls": "disable", "slot": s.name, "chunk_rows": 7,
		"tables": []any{map[string]any{"table": "public.records", "dataset": conformance.Dataset}},
	}
	for k, v := range s.with {
		with[k] = v
	}
	return county.Source{Kind: "postgres", With: with}
}

func (s *system) Apply(t testing.TB, ops ...conformance.Operation) {
	t.Helper()
	s.transaction(t, "COMMIT", ops)
}

func (s *system) RollBack(t testing.TB, ops ...conformance.Operation) {
	t.Helper()
	s.transaction(t, "ROLLBACK", ops)
}

func (s *system) transaction(t testing.TB, end string, ops []conformance.Operation) {
	t.Helper()
	exec(t, s.conn, "BEGIN")
	for _, o := range ops {
		switch o.Kind {
		case conformance.Insert:
			exec(t, s.conn, "INSERT INTO records (id, name, note) VALUES ($1, $2, $3)", o.ID, o.Name, o.Note)
		case conformance.Update:
			exec(t, s.conn, "UPDATE records SET name = $2, note = $3 WHERE id = $1", o.ID, o.Name, o.Note)
		case conformance.Delete:
			exec(t, s.conn, "DELETE FROM records WHERE id = $1", o.ID)
		case conformance.Rekey:
			exec(t, s.conn, "UPDATE records SET id = $2 WHERE id = $1", o.ID, o.NewID)
		}
	}
	exec(t, s.conn, end)
}

// typeCases are a type, a value as SQL, and its text on the bus.
var typeCases = []struct{ column, sqlType, value, text string }{
	{"c_bool", "boolean", "true", "t"},
	{"c_int2", "smallint", "-32768", "-32768"},
	{"c_int4", "integer", "2147483647", "2147483647"},
	{"c_int8", "bigint", "-9223372036854775808", "-9223372036854775808"},
	{"c_numeric", "numeric(12,2)", "1234567890.5", "1234567890.50"},
	{"c_numeric_large", "numeric", "1e30", "1000000000000000000000000000000"},
	{"c_numeric_nan", "numeric", "'NaN'", "NaN"},
	{"c_numeric_inf", "numeric", "'-Infinity'", "-Infinity"},
	{"c_float4", "real", "0.1", "0.1"},
	{"c_float8", "double precision", "1.0/3.0::float8", "0.3333333333333333"},
	{"c_float8_inf", "double precision", "'Infinity'", "Infinity"},
	{"c_float8_nan", "double precision", "'NaN'", "NaN"},
	{"c_money", "money", "12.34", "$12.34"},
	{"c_text", "text", "'王小明'", "王小明"},
	{"c_varchar", "varchar(20)", "'a b '", "a b "},
	{"c_char", "char(5)", "'ab'", "ab   "},
	{"c_name", "name", "'name'", "name"},
	{"c_onechar", `"char"`, "'x'", "x"},
	{"c_bytea", "bytea", `'\x00ff10'`, `\x00ff10`},
	{"c_date", "date", "'1986-05-04'", "1986-05-04"},
	{"c_date_bc", "date", "'0044-03-15 BC'", "0044-03-15 BC"},
	{"c_date_inf", "date", "'infinity'", "infinity"},
	{"c_time", "time", "'23:59:59.123456'", "23:59:59.123456"},
	{"c_timetz", "timetz", "'12:00:00+08'", "12:00:00+08"},
	{"c_timestamp", "timestamp", "'2026-11-25 08:00:00.5'", "2026-11-25 08:00:00.5"},
	{"c_timestamptz", "timestamptz", "'2026-11-25 08:00:00+08'", "2026-11-25 00:00:00+00"},
	{"c_timestamptz_inf", "timestamptz", "'-infinity'", "-infinity"},
	{"c_interval", "interval", "'1 year 2 months 3 days 04:05:06.7'", "P1Y2M3DT4H5M6.7S"},
	{"c_interval_negative", "interval", "'-1 day +2 hours'", "P-1DT2H"},
	{"c_uuid", "uuid", "'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"},
	{"c_json", "json", `'{"b": 1,  "a": "王"}'`, `{"b": 1,  "a": "王"}`},
	{"c_jsonb", "jsonb", `'{"b": 1,  "a": "王"}'`, `{"a": "王", "b": 1}`},
	{"c_xml", "xml", "'<a>1</a>'", "<a>1</a>"},
	{"c_inet", "inet", "'10.8.1.20/24'", "10.8.1.20/24"},
	{"c_cidr", "cidr", "'10.8.0.0/16'", "10.8.0.0/16"},
	{"c_macaddr", "macaddr", "'08:00:2b:01:02:03'", "08:00:2b:01:02:03"},
	{"c_macaddr8", "macaddr8", "'08:00:2b:01:02:03:04:05'", "08:00:2b:01:02:03:04:05"},
	{"c_bit", "bit(4)", "B'1010'", "1010"},
	{"c_varbit", "varbit(8)", "B'101'", "101"},
	{"c_point", "point", "'(1.5,2)'", "(1.5,2)"},
	{"c_line", "line", "'{1,2,3}'", "{1,2,3}"},
	{"c_lseg", "lseg", "'[(0,0),(1,1)]'", "[(0,0),(1,1)]"},
	{"c_box", "box", "'(1,1),(0,0)'", "(1,1),(0,0)"},
	{"c_path", "path", "'[(0,0),(1,1)]'", "[(0,0),(1,1)]"},
	{"c_polygon", "polygon", "'((0,0),(1,1),(1,0))'", "((0,0),(1,1),(1,0))"},
	{"c_circle", "circle", "'<(0,0),2>'", "<(0,0),2>"},
	{"c_tsvector", "tsvector", "'a:1 b:2'", "'a':1 'b':2"},
	{"c_tsquery", "tsquery", "'a & b'", "'a' & 'b'"},
	{"c_oid", "oid", "4294967295", "4294967295"},
	{"c_regclass", "regclass", "'public.records'", "public.records"},
	{"c_pg_lsn", "pg_lsn", "'16/B374D848'", "16/B374D848"},
	{"c_int4range", "int4range", "'[1,5]'", "[1,6)"},
	{"c_numrange", "numrange", "'(1.5,)'", "(1.5,)"},
	{"c_tstzrange", "tstzrange", "'[2026-11-25 08:00+08,2026-11-26 08:00+08)'", `["2026-11-25 00:00:00+00","2026-11-26 00:00:00+00")`},
	{"c_int4s", "integer[]", "'{1,NULL,3}'", "{1,NULL,3}"},
	{"c_texts", "text[]", `'{a,"b,c","","NULL",王}'`, `{a,"b,c","","NULL",王}`},
	{"c_matrix", "integer[]", "'{{1,2},{3,4}}'", "{{1,2},{3,4}}"},
	{"c_stamps", "timestamptz[]", "'{2026-11-25 08:00+08}'", `{"2026-11-25 00:00:00+00"}`},
	{"c_mood", "mood", "'满意'", "满意"},
	{"c_postcode", "postcode", "'310000'", "310000"},
	{"c_pair", "pair", "ROW(1,'b c')", `(1,"b c")`},
	{"c_empty", "text", "''", ""},
	{"c_null", "text", "NULL", conformance.Null},
}

func (s *system) Types(t testing.TB, key string) map[string]string {
	t.Helper()
	if !s.typed {
		exec(t, s.conn, `CREATE TYPE mood AS ENUM ('满意', '不满意'); CREATE DOMAIN postcode AS text CHECK (length(VALUE) = 6); CREATE TYPE pair AS (a int, b text);`)
		for _, c := range typeCases {
			exec(t, s.conn, fmt.Sprintf("ALTER TABLE records ADD %s %s", c.column, c.sqlType))
		}
		exec(t, s.conn, "ALTER TABLE records ADD computed text GENERATED ALWAYS AS (name || '!') STORED")
		s.typed = true
	}
	var columns, values []string
	want := map[string]string{"id": key}
	for _, c := range typeCases {
		columns, values = append(columns, c.column), append(values, c.value)
		want[c.column] = c.text
	}
	exec(t, s.conn, fmt.Sprintf("INSERT INTO records (id, %s) VALUES ('%s', %s)", strings.Join(columns, ", "), key, strings.Join(values, ", ")))
	return want
}

func (s *system) InZone(t testing.TB, zone string) {
	t.Helper()
	exec(t, s.conn, fmt.Sprintf("ALTER DATABASE %s SET timezone = '%s'", s.name, zone))
	exec(t, s.conn, fmt.Sprintf("SET timezone = '%s'", zone))
}

func (s *system) Times(t testing.TB, key string, local string, instant time.Time) (string, string) {
	t.Helper()
	exec(t, s.conn, "ALTER TABLE records ADD IF NOT EXISTS at_local timestamp, ADD IF NOT EXISTS at_instant timestamptz")
	exec(t, s.conn, fmt.Sprintf("INSERT INTO records (id, at_local, at_instant) VALUES ('%s', '%s', '%s')", key, local, instant.Format(time.RFC3339)))
	return "at_local", "at_instant"
}

func (s *system) AddColumn(t testing.TB, name, value string) {
	t.Helper()
	exec(t, s.conn, fmt.Sprintf("ALTER TABLE records ADD %s varchar(10)", name))
	exec(t, s.conn, fmt.Sprintf("UPDATE records SET %s = $1 WHERE id = '1'", name), value)
}

func (s *system) DropColumn(t testing.TB, name string) {
	t.Helper()
	exec(t, s.conn, "ALTER TABLE records DROP "+name)
}

func (s *system) RenameColumn(t testing.TB, from, to string) {
	t.Helper()
	exec(t, s.conn, fmt.Sprintf("ALTER TABLE records RENAME %s TO %s", from, to))
}

func (s *system) WidenColumn(t testing.TB, name string) {
	t.Helper()
	exec(t, s.conn, fmt.Sprintf("ALTER TABLE records ALTER %s TYPE text", name))
}

func TestConformance(t *testing.T) {
	t.Parallel()
	s := start(t)
	conformance.Run(t, conformance.Suite{New: func(t *testing.T) conformance.System { return newRecords(t, s) }})
}
