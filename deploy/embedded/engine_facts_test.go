//go:build unix

package embedded

import (
	"context"
	"os"
	"testing"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

// These tests hold what the warehouse relies on in this engine. A new version of the library must pass them.

// insertWithToken inserts n rows, beginning with first, in one block under a deduplication token. It returns how many blocks,
// the view's included, the server says that it took for duplicates.
func insertWithToken(t *testing.T, conn driver.Conn, token string, first, n uint64) (duplicates int64) {
	t.Helper()
	told := false
	ctx := clickhouse.Context(t.Context(), clickhouse.WithSettings(clickhouse.Settings{
		"insert_deduplication_token":                         token,
		"deduplicate_blocks_in_dependent_materialized_views": 1,
		"async_insert": 0,
	}), clickhouse.WithProfileEvents(func(events []clickhouse.ProfileEvent) {
		for _, e := range events {
			told = true
			if e.Name == "DuplicatedInsertedBlocks" {
				duplicates += e.Value
			}
		}
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
	if !told {
		t.Errorf("the server did not tell what became of the insert under token %s", token)
	}
	return duplicates
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
		"CREATE TABLE d.source (a UInt64) ENGINE = MergeTree ORDER BY a SETTINGS non_replicated_deduplication_window = 1000, max_bytes_to_merge_at_max_space_in_pool = 1",
		"CREATE TABLE d.target (n UInt64) ENGINE = MergeTree ORDER BY n SETTINGS non_replicated_deduplication_window = 1000, max_bytes_to_merge_at_max_space_in_pool = 1",
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
	insert := func(token string, first, n uint64, known bool) {
		t.Helper()
		if duplicates := insertWithToken(t, conn, token, first, n); known != (duplicates > 0) {
			t.Errorf("token %s: the server says that %d blocks are duplicates, want some: %v", token, duplicates, known)
		}
	}
	insert("one", 0, 1000, false)
	check("first insert", 1000, 1)
	insert("one", 0, 1000, true)
	check("same token, same rows", 1000, 1)
	insert("one", 5000, 7, true)
	check("same token, other rows", 1000, 1) // dropped in silence: hence ranges are recorded before they are loaded
	insert("two", 0, 1000, false)
	check("other token, same rows", 2000, 2)

	insert("three", 2000, 10, false)
	if err := e.KillClickHouse(); err != nil {
		t.Fatal(err)
	}
	await(t, changes, Restarting)
	await(t, changes, Running)
	conn = connect(t, e.ClickHouse().Native, admin.Name, admin.Password)
	check("killed right after an insert", 2010, 3)
	for _, token := range []string{"one", "two", "three"} {
		insert(token, 2000, 10, true)
	}
	check("tokens of before the kill", 2010, 3)

	// A token is written down before the part gets its place. A server that dies in between is left as one that has lost
	// the part: it knows the token, and swallows the rows. Hence the warehouse asks for rows that were taken for known.
	insert("four", 3000, 10, false)
	part := queryOne[string](t, conn, "SELECT argMax(path, max_block_number) FROM system.parts WHERE active AND database = 'd' AND table = 'source'")
	insert("five", 4000, 10, false)
	target := queryOne[string](t, conn, "SELECT argMax(path, max_block_number) FROM system.parts WHERE active AND database = 'd' AND table = 'target'")
	stop(t, e)
	for _, lost := range []string{part, target} {
		if err := os.RemoveAll(lost); err != nil {
			t.Fatal(err)
		}
	}
	conn = connect(t, start(t, o).ClickHouse().Native, admin.Name, admin.Password)
	for _, token := range []string{"four", "five"} {
		insert(token, 3000, 10, true)
	}
	if got := queryOne[string](t, conn, "SELECT concat((SELECT count() FROM d.source), ' and ', (SELECT sum(n) FROM d.target))"); got != "2020 and 2020" {
		t.Errorf("the source table and the view's target hold %s rows; if that is 2030 and 2030, the server has become better than the warehouse believes", got)
	}
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
