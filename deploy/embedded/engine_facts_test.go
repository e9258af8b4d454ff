//go:build unix

package embedded

import (
	"context"
	"testing"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

// These tests hold what the warehouse relies on in this engine. A new version of the library must pass them.

// insertWithToken inserts n rows, beginning with first, in one block under a deduplication token.
func insertWithToken(t *testing.T, conn driver.Conn, token string, first, n uint64) {
	t.Helper()
	ctx := clickhouse.Context(t.Context(), clickhouse.WithSettings(clickhouse.Settings{
		"insert_deduplication_token":                         token,
		"deduplicate_blocks_in_dependent_materialized_views": 1,
		"async_insert": 0,
	}))
	batch, err := conn.PrepareBatch(ctx, "INSERT INTO d.source (a)")
	if err != nil {
		t.Fatal(err)
	}
	defer batch.Close()
	values := make([]uint64, n)
	for i := range values {
		values[i] = first + uint64(i)
	}
	if err := batch.Column(0).Append(values); err != nil {
		t.Fatal(err)
	}
	if err := batch.Send(); err != nil {
		t.Fatal(err)
	}
}

func TestDeduplicationToken(t *testing.T) {
	needLibrary(t)
	o := testOptions(t, t.TempDir())
	o.NATS.Disabled = true
	changes := make(chan Component, 100)
	o.OnChange = func(c Component) { changes <- c }
	e := start(t, o)
	conn := connect(t, e.ClickHouse().Native, admin.Name, admin.Password)
	mustExec(t, conn,
		"CREATE DATABASE d",
		"CREATE TABLE d.source (a UInt64) ENGINE = MergeTree ORDER BY a SETTINGS non_replicated_deduplication_window = 1000",
		"CREATE TABLE d.target (n UInt64) ENGINE = MergeTree ORDER BY n SETTINGS non_replicated_deduplication_window = 1000",
		"CREATE MATERIALIZED VIEW d.mv TO d.target AS SELECT count() AS n FROM d.source",
	)
	check := func(when string, rows, blocks uint64) {
		t.Helper()
		if got := queryOne[uint64](t, conn, "SELECT count() FROM d.source"); got != rows {
			t.Errorf("%s: %d rows in the source table, want %d", when, got, rows)
		}
		if got := queryOne[uint64](t, conn, "SELECT count() FROM d.target"); got != blocks {
			t.Errorf("%s: %d rows in the view's target, want %d", when, got, blocks)
		}
		if got := queryOne[uint64](t, conn, "SELECT sum(n) FROM d.target"); got != rows {
			t.Errorf("%s: the view counted %d rows, want %d", when, got, rows)
		}
	}
	insertWithToken(t, conn, "one", 0, 1000)
	check("first insert", 1000, 1)
	insertWithToken(t, conn, "one", 0, 1000)
	check("same token, same rows", 1000, 1)
	insertWithToken(t, conn, "one", 5000, 7)
	check("same token, other rows", 1000, 1) // dropped in silence: hence ranges are recorded before they are loaded
	insertWithToken(t, conn, "two", 0, 1000)
	check("other token, same rows", 2000, 2)

	insertWithToken(t, conn, "three", 2000, 10)
	if err := e.KillClickHouse(); err != nil {
		t.Fatal(err)
	}
	await(t, changes, Restarting)
	await(t, changes, Running)
	conn = connect(t, e.ClickHouse().Native, admin.Name, admin.Password)
	check("killed right after an insert", 2010, 3)
	for _, token := range []string{"one", "two", "three"} {
		insertWithToken(t, conn, token, 2000, 10)
	}
	check("tokens of before the kill", 2010, 3)
}

func TestViewsAndDictionaries(t *testing.T) {
	needLibrary(t)
	o := testOptions(t, t.TempDir())
	o.NATS.Disabled = true
	o.ClickHouse.DictionaryGrants = []string{"SELECT ON d.t"}
	e := start(t, o)
	conn := connect(t, e.ClickHouse().Native, admin.Name, admin.Password)
	mustExec(t, conn,
		"CREATE DATABASE d",
		"CREATE TABLE d.t (k UInt64, a String) ENGINE = MergeTree ORDER BY k",
		"INSERT INTO d.t SELECT number, toString(number) FROM numbers(10)",
		"CREATE VIEW d.v (k UInt64 COMMENT 'the key', a String COMMENT 'the value') AS SELECT k, a FROM d.t",
		"CREATE MATERIALIZED VIEW d.r REFRESH EVERY 1 HOUR (k UInt64 COMMENT 'the key') ENGINE = MergeTree ORDER BY k AS SELECT k FROM d.t",
		"SYSTEM WAIT VIEW d.r",
		"CREATE DICTIONARY d.dict (k UInt64, a String) PRIMARY KEY k SOURCE(CLICKHOUSE(DB 'd' TABLE 't')) LAYOUT(HASHED()) LIFETIME(0)",
		"CREATE DICTIONARY d.dict_query (k UInt64, a String) PRIMARY KEY k SOURCE(CLICKHOUSE(USER 'admin' PASSWORD 'admin-password' QUERY 'SELECT k, a FROM d.t WHERE k < 5')) LAYOUT(HASHED()) LIFETIME(0)",
	)
	check := func(when string) {
		t.Helper()
		if got := queryOne[string](t, conn, "SELECT arrayStringConcat(groupArray(comment), ',') FROM (SELECT comment FROM system.columns WHERE database = 'd' AND table = 'v' ORDER BY position)"); got != "the key,the value" {
			t.Errorf("%s: comments of a view's columns: %q", when, got)
		}
		if got := queryOne[string](t, conn, "SELECT comment FROM system.columns WHERE database = 'd' AND table = 'r'"); got != "the key" {
			t.Errorf("%s: comment of a refreshable view's column: %q", when, got)
		}
		if got := queryOne[uint64](t, conn, "SELECT count() FROM d.r"); got != 10 {
			t.Errorf("%s: %d rows in the refreshable view, want 10", when, got)
		}
		if got := queryOne[string](t, conn, "SELECT dictGet('d.dict', 'a', 7) || dictGetOrDefault('d.dict_query', 'a', 7, 'none')"); got != "7none" {
			t.Errorf("%s: from the dictionaries: %q", when, got)
		}
	}
	check("at first")
	mustExec(t, conn, "INSERT INTO d.t SELECT 10, '10'", "SYSTEM REFRESH VIEW d.r", "SYSTEM WAIT VIEW d.r")
	if got := queryOne[uint64](t, conn, "SELECT count() FROM d.r"); got != 11 {
		t.Errorf("%d rows after a refresh, want 11", got)
	}
	mustExec(t, conn, "ALTER TABLE d.t DELETE WHERE k = 10 SETTINGS mutations_sync = 2", "SYSTEM REFRESH VIEW d.r", "SYSTEM WAIT VIEW d.r")
	check("after a mutation")
	stop(t, e)
	e = start(t, o)
	conn = connect(t, e.ClickHouse().Native, admin.Name, admin.Password)
	check("after a restart")
}

// BenchmarkStart measures from Start to the first answer over the native protocol.
func BenchmarkStart(b *testing.B) {
	if _, err := FindLibrary(); err != nil {
		b.Skip(err)
	}
	dir := b.TempDir()
	for b.Loop() {
		e, err := Start(context.Background(), Options{
			Dir: dir, Version: "1.0.0", ClickHouse: ClickHouseOptions{Users: []User{admin}},
		})
		if err != nil {
			b.Fatal(err)
		}
		conn, err := clickhouse.Open(&clickhouse.Options{
			Addr: []string{e.ClickHouse().Native}, Auth: clickhouse.Auth{Username: admin.Name, Password: admin.Password},
		})
		if err != nil {
			b.Fatal(err)
		}
		if err := conn.Exec(context.Background(), "SELECT 1"); err != nil {
			b.Fatal(err)
		}
		conn.Close()
		b.StopTimer()
		if err := e.Stop(context.Background()); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}
