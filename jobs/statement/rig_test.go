package statement

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	ch "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/shirecounty/shire/deploy/embedded"
	"github.com/shirecounty/shire/jobs"
	"github.com/shirecounty/shire/pipeline/warehouse"
	"github.com/shirecounty/shire/schemas/clickhouse"
)

// engine is started once for all tests.
var engine struct {
	address string
	failed  error
}

// watcher sees what runs on the server.
const watcher = "watcher"

func TestMain(m *testing.M) {
	embedded.RunChildIfAsked()
	if file := os.Getenv(helperMarker); file != "" {
		runFile(file)
		os.Exit(0)
	}
	os.Exit(withEngine(m))
}

// helperMarker has this binary run a file of SQL on the server whose address is in helperAddress, to be killed meanwhile.
const (
	helperMarker  = "STATEMENT_TEST_FILE"
	helperAddress = "STATEMENT_TEST_ADDRESS"
)

func runFile(file string) {
	engine.address = os.Getenv(helperAddress)
	s, _ := Read("do.sql", map[string]any{"file": file, "write": true}, nil, func(p string) string { return p })
	_, err := New(s, at(clickhouse.Analyst), at(clickhouse.Jobs)).Do(context.Background(), task(nil), os.Stdout)
	fmt.Println(err)
}

func withEngine(m *testing.M) int {
	dir, err := os.MkdirTemp("", "shire-statement-")
	if err != nil {
		slog.Error("no directory for the engine", "error", err)
		return 1
	}
	defer os.RemoveAll(dir)
	users := []embedded.User{{Name: watcher, Password: "of-" + watcher, Grants: []string{"SELECT ON system.*", "CREATE DATABASE, CREATE TABLE, INSERT, SELECT ON mart.*", "TABLE ENGINE ON *"}}}
	for _, u := range clickhouse.Access() {
		users = append(users, embedded.User{Name: u.Name, Password: "of-" + u.Name, Settings: u.Settings, Readonly: u.Readonly, Grants: u.Grants})
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	engines, err := embedded.Start(ctx, embedded.Options{Dir: dir, Version: "1.0.0", Log: slog.New(slog.DiscardHandler),
		NATS: embedded.NATSOptions{Disabled: true}, ClickHouse: embedded.ClickHouseOptions{Users: users}})
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

func at(user string) warehouse.Address {
	return warehouse.Address{Native: engine.address, User: user, Password: "of-" + user}
}

// as is a connection as one of the users; without the engine the test is skipped, and fails in continuous integration.
func as(t testing.TB, user string) driver.Conn {
	t.Helper()
	needEngine(t)
	conn, err := warehouse.Open(at(user))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

func needEngine(t testing.TB) {
	t.Helper()
	if engine.failed == nil {
		return
	}
	if os.Getenv("CI") == "true" || !errors.Is(engine.failed, embedded.ErrNoLibrary) {
		t.Fatal(engine.failed)
	}
	t.Skip(engine.failed)
}

// worker makes the worker of a file with the text.
func worker(t testing.TB, text string, parameters []string, with map[string]any) *Worker {
	t.Helper()
	needEngine(t)
	file := filepath.Join(t.TempDir(), "monthly.sql")
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	m := map[string]any{"file": file}
	for k, v := range with {
		m[k] = v
	}
	s, problems := Read("do.sql", m, parameters, func(p string) string { return p })
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	return New(s, at(clickhouse.Analyst), at(clickhouse.Jobs))
}

var writing = map[string]any{"write": true}

func task(parameters map[string]string) jobs.Task {
	zone := time.FixedZone("", 8*60*60)
	due := time.Date(2026, 12, 1, 2, 30, 0, 0, zone)
	return jobs.Task{Run: "monthly@2026-12-01T02:30:00+08:00", Job: "monthly", Attempt: 2, Due: due,
		From: time.Date(2026, 11, 1, 0, 0, 0, 0, zone), To: time.Date(2026, 12, 1, 0, 0, 0, 0, zone), Parameters: parameters}
}

// answer is the single text that a statement gives.
func answer(t testing.TB, text string, parameters map[string]string) string {
	t.Helper()
	w := worker(t, text, names(parameters), nil)
	w.settings.To = t.TempDir()
	var out strings.Builder
	if _, err := w.Do(t.Context(), task(parameters), &out); err != nil {
		t.Fatalf("%s\n%v", text, err)
	}
	files, err := filepath.Glob(w.settings.To + "/*")
	if err != nil || len(files) != 1 {
		t.Fatalf("files %v, %v", files, err)
	}
	content, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	_, rows, _ := strings.Cut(string(content), "\r\n")
	return strings.TrimSuffix(rows, "\r\n")
}

func names(m map[string]string) (out []string) {
	for name := range m {
		out = append(out, name)
	}
	return out
}

// running counts the queries that have the mark in their text.
func running(t testing.TB, conn driver.Conn, mark string) (n uint64) {
	t.Helper()
	ctx := ch.Context(t.Context(), ch.WithParameters(ch.Parameters{"mark": mark}))
	if err := conn.QueryRow(ctx, "SELECT count() FROM system.processes WHERE query LIKE concat('%', {mark:String}, '%') AND query_id != queryID()").Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !holds(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("it did not come about that %s", what)
		}
	}
}
