package clickhouse_test

import (
	"context"
	"database/sql"
	"errors"
	"flag"
	"log/slog"
	"os"
	"testing"
	"time"

	driver "github.com/ClickHouse/clickhouse-go/v2"
	conn "github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/shirecounty/shire/deploy/embedded"
	"github.com/shirecounty/shire/schemas/canonical"
	"github.com/shirecounty/shire/schemas/clickhouse"
)

// The engine is started once for all tests: each works in a data directory of its own only where it has to.
var engine struct {
	address   string
	passwords map[string]string
	failed    error
}

func TestMain(m *testing.M) {
	embedded.RunChildIfAsked()
	flag.Parse()
	if checks := flag.Lookup("rapid.checks"); checks.Value.String() == checks.DefValue {
		flag.Set("rapid.checks", "8") // each fills the warehouse twice
	}
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "shire-clickhouse-")
	if err != nil {
		slog.Error("no directory for the engine", "error", err)
		return 1
	}
	defer os.RemoveAll(dir)
	engine.passwords = map[string]string{}
	var users []embedded.User
	for _, u := range append(clickhouse.Access(), clickhouse.DepartmentUsers([]string{"tax", "social"})...) {
		engine.passwords[u.Name] = u.Name + "-password"
		if u.Name == clickhouse.Loader {
			u.Grants = append(u.Grants, "SYSTEM MERGES ON store.*", "SYSTEM MERGES ON restricted.*") // a merge would hide that an older version is read
		}
		users = append(users, embedded.User{Name: u.Name, Password: engine.passwords[u.Name],
			Settings: u.Settings, Readonly: u.Readonly, Grants: u.Grants})
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	engines, err := embedded.Start(ctx, embedded.Options{Dir: dir, Version: "1.0.0",
		NATS:       embedded.NATSOptions{Disabled: true},
		ClickHouse: embedded.ClickHouseOptions{Users: users},
		Log:        slog.New(slog.DiscardHandler)})
	if err != nil {
		engine.failed = err
		return m.Run()
	}
	engine.address = engines.ClickHouse().Native
	defer func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := engines.Stop(ctx); err != nil {
			slog.Error("stop the engine", "error", err)
		}
	}()
	return m.Run()
}

// needEngine skips the test without the real engine, and fails it in continuous integration.
func needEngine(t *testing.T) {
	t.Helper()
	if engine.failed == nil {
		return
	}
	if os.Getenv("CI") == "true" || !errors.Is(engine.failed, embedded.ErrNoLibrary) {
		t.Fatal(engine.failed)
	}
	t.Skip(engine.failed)
}

func options(user string) *driver.Options {
	return &driver.Options{Addr: []string{engine.address},
		Auth: driver.Auth{Username: user, Password: engine.passwords[user]}}
}

// as is a connection of one of the users of Access.
func as(t *testing.T, user string) conn.Conn {
	t.Helper()
	needEngine(t)
	c, err := driver.Open(options(user))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func database(t *testing.T) *sql.DB {
	t.Helper()
	needEngine(t)
	db := driver.OpenDB(options(clickhouse.Loader))
	t.Cleanup(func() { db.Close() })
	return db
}

func migrate(t *testing.T) conn.Conn {
	t.Helper()
	if err := clickhouse.Migrate(t.Context(), database(t)); err != nil {
		t.Fatal(err)
	}
	return as(t, clickhouse.Loader)
}

func exec(t *testing.T, c conn.Conn, query string, args ...any) {
	t.Helper()
	if err := c.Exec(t.Context(), query, args...); err != nil {
		t.Fatalf("%s\n%v", query, err)
	}
}

var columnTypes = map[canonical.Type]string{
	canonical.Text: "String", canonical.Code: "LowCardinality(String)", canonical.ID: "UUID",
	canonical.Date: "Nullable(Date32)", canonical.Timestamp: "Nullable(DateTime64(6, 'UTC'))",
	canonical.Integer: "Nullable(Int64)", canonical.Money: "Nullable(Int64)",
	canonical.Flag: "UInt8", canonical.Version: "UInt64",
}

func TestMigrationsAndCanonicalTablesAgree(t *testing.T) {
	c := migrate(t)
	type column struct{ Name, Type, Comment string }
	for _, table := range append([]*canonical.Table{canonical.Links}, canonical.Tables...) {
		var want []column
		for _, col := range table.Columns {
			want = append(want, column{col.Name, columnTypes[col.Type], col.Doc})
		}
		var got []column
		if err := c.Select(t.Context(), &got, `SELECT name AS Name, type AS Type, comment AS Comment
			FROM system.columns WHERE database = ? AND table = ? AND name NOT IN ('sealed', 'sealed_key', 'content_hash', 'number_sex', 'number_year')
			ORDER BY position`, table.Database, table.Name); err != nil {
			t.Fatal(err)
		}
		for i := range max(len(want), len(got)) {
			switch {
			case i >= len(got):
				t.Errorf("%s.%s lacks %v", table.Database, table.Name, want[i])
			case i >= len(want):
				t.Errorf("%s.%s has %v, which schemas/canonical has not", table.Database, table.Name, got[i])
			case got[i] != want[i]:
				t.Errorf("%s.%s column %d: got %v, want %v", table.Database, table.Name, i, got[i], want[i])
			}
		}
		var engine, key, doc string
		if err := c.QueryRow(t.Context(), `SELECT engine_full, sorting_key, comment FROM system.tables
			WHERE database = ? AND name = ?`, table.Database, table.Name).Scan(&engine, &key, &doc); err != nil {
			t.Fatal(err)
		}
		wantKey := "dataset, record_id"
		if table == canonical.Links {
			wantKey = "record_id, version"
		}
		if key != wantKey || doc != table.Doc {
			t.Errorf("%s.%s: ordered by %q, comment %q", table.Database, table.Name, key, doc)
		}
	}
}

func TestMigrateTwiceAndRefuseANewerWarehouse(t *testing.T) {
	c := migrate(t)
	db := database(t)
	if err := clickhouse.Migrate(t.Context(), db); err != nil {
		t.Fatalf("a second time: %v", err)
	}
	newer := clickhouse.Version() + 1
	exec(t, c, "INSERT INTO store.schema_migrations (version_id, is_applied) VALUES (?, 1)", newer)
	defer exec(t, c, "ALTER TABLE store.schema_migrations DELETE WHERE version_id = ? SETTINGS mutations_sync = 2", newer)
	var refused *clickhouse.NewerError
	if err := clickhouse.Migrate(t.Context(), db); !errors.As(err, &refused) || refused.Warehouse != newer {
		t.Fatalf("got %v, want a refusal", err)
	}
}
