package postgres_test

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/shirecounty/shire/connectors"
	"github.com/shirecounty/shire/connectors/conformance"
	"github.com/shirecounty/shire/connectors/postgres"
	"github.com/shirecounty/shire/schemas/change"
	"github.com/shirecounty/shire/schemas/contract"
	"github.com/shirecounty/shire/schemas/county"
)

// source is a database with tables, each the dataset of its name, and the bus that they go to.
type source struct {
	*system
	bus     *conformance.Bus
	state   string
	keys    map[string][]string // columns of the key, by table
	labels  map[string]string
	look    time.Duration
	confirm time.Duration

	mu     sync.Mutex
	events []connectors.Event
}

func newSource(t testing.TB, s *conformance.Postgres, keys map[string][]string, ddl ...string) *source {
	t.Helper()
	src := &source{system: newSystem(t, s), bus: conformance.NewBus(), state: t.TempDir(), keys: keys, labels: map[string]string{}, look: 10 * time.Second, confirm: 50 * time.Millisecond}
	for _, sql := range ddl {
		exec(t, src.conn, sql)
	}
	return src
}

func contractOf(t testing.TB, name string, keys []string) *contract.Dataset {
	t.Helper()
	fields := ""
	for _, k := range keys {
		fields += fmt.Sprintf("  - {name: %s, type: text, sensitivity: internal}\n", k)
	}
	d, err := contract.Parse(name+".yaml", fmt.Appendf(nil, `
dataset: %s
department: bureau
owner: {zh: 局, en: Bureau}
title: {zh: 表, en: Records}
version: 1
key: [%s]
sharing: {type: unconditional}
fields:
%s
emits:
  - table: cases
    columns: {case_number: %s, department: {value: bureau}, item_code: {value: item}, item_name: {value: item}}
`, name, strings.Join(keys, ", "), fields, keys[0]), "Asia/Shanghai")
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func (s *source) settings(t testing.TB) connectors.Settings {
	t.Helper()
	set, tables := contract.Set{}, []any{}
	for _, table := range slices.Sorted(maps.Keys(s.keys)) {
		set[table] = contractOf(t, table, s.keys[table])
		entry := map[string]any{"table": table, "dataset": table}
		if label := s.labels[table]; label != "" {
			entry["snapshot"] = label
		}
		tables = append(tables, entry)
	}
	with := map[string]any{
		"address": s.server.Address, "database": s.name, "user": "postgres", "tls": "disable", "slot": s.name, "chunk_rows": 7, "tables": tables,
	}
	for k, v := range s.with {
		with[k] = v
	}
	return connectors.Settings{
		Source: county.Source{Name: "hall", Kind: "postgres", Datasets: set.Names(), With: with}, Contracts: set, StateDir: s.state,
		Resolve: func(p string) string { return p }, Log: slog.New(slog.DiscardHandler),
		Notify: func(e connectors.Event) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.events = append(s.events, e)
		},
	}
}

func (s *source) connector(t testing.TB) connectors.Connector {
	t.Helper()
	c, err := connectors.New(s.settings(t))
	if err != nil {
		t.Fatal(err)
	}
	postgres.Hasten(c, s.look, s.confirm)
	return c
}

// run reads to the present end.
func (s *source) run(t testing.TB) error {
	t.Helper()
	err := s.connector(t).Run(t.Context(), s.bus, false)
	if err == nil {
		s.bus.Linger()
	}
	return err
}

func (s *source) load(t testing.TB) {
	t.Helper()
	if err := s.run(t); err != nil {
		t.Fatal(err)
	}
}

// follow returns the connector that follows, and a function that ends it.
func (s *source) follow(t testing.TB) (connectors.Connector, func()) {
	t.Helper()
	c := s.connector(t)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx, s.bus, true) }()
	ended := false
	stop := func() {
		t.Helper()
		if ended {
			return
		}
		ended = true
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Error("following ended with", err)
			}
		case <-time.After(30 * time.Second):
			t.Error("the connector does not end with its context")
		}
		s.bus.Forget()
	}
	t.Cleanup(stop)
	return c, stop
}

func (s *source) until(t testing.TB, differs func() string) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		s.bus.Linger()
		d := differs()
		if d == "" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s; events %+v", d, s.told())
		}
	}
}

func (s *source) told() []connectors.Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.events)
}

// problem waits for a problem to be told, or to be taken back.
func (s *source) problem(t testing.TB, code string, solved bool) connectors.Event {
	t.Helper()
	var found connectors.Event
	s.until(t, func() string {
		for _, e := range slices.Backward(s.told()) {
			if e.Problem == code {
				if found = e; e.Solved == solved {
					return ""
				}
				break
			}
		}
		return fmt.Sprintf("%s (solved: %v) is not told", code, solved)
	})
	return found
}

// differs compares a table with what the bus holds.
func (s *source) differs(t testing.TB, table string) string {
	t.Helper()
	want := map[string]map[string]string{}
	result := s.conn.PgConn().ExecParams(t.Context(), "SELECT * FROM "+table, nil, nil, nil, nil)
	for result.NextRow() {
		row := map[string]string{}
		for i, f := range result.FieldDescriptions() {
			if v := result.Values()[i]; v == nil {
				row[f.Name] = conformance.Null
			} else {
				row[f.Name] = string(v)
			}
		}
		var key []string
		for _, k := range s.keys[table] {
			key = append(key, strings.TrimSpace(row[k]))
		}
		want[strings.Join(key, change.KeySeparator)] = row
	}
	if _, err := result.Close(); err != nil {
		t.Fatal(err)
	}
	got := s.bus.Records(table)
	for key, row := range want {
		if !maps.Equal(got[key], row) {
			return fmt.Sprintf("%s %q is %.200v, not %.200v", table, key, got[key], row)
		}
	}
	for key := range got {
		if want[key] == nil {
			return fmt.Sprintf("%s %q is there and should not be", table, key)
		}
	}
	return ""
}

func (s *source) settled(t testing.TB) {
	t.Helper()
	for _, table := range slices.Sorted(maps.Keys(s.keys)) {
		s.until(t, func() string { return s.differs(t, table) })
	}
}

// equal compares without waiting.
func (s *source) equal(t testing.TB) {
	t.Helper()
	for _, table := range slices.Sorted(maps.Keys(s.keys)) {
		if d := s.differs(t, table); d != "" {
			t.Fatal(d)
		}
	}
}

// active waits until a run reads the slot.
func (s *source) active(t testing.TB) {
	t.Helper()
	s.until(t, func() string {
		return strings.TrimPrefix(s.scalar(t, "SELECT coalesce(max(active::text), 'none') FROM pg_replication_slots WHERE slot_name = $1", s.name), "true")
	})
}

func (s *source) scalar(t testing.TB, sql string, args ...any) string {
	t.Helper()
	var out string
	if err := s.conn.QueryRow(t.Context(), sql, args...).Scan(&out); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return out
}

// sql is the SQL that a message tells somebody to run.
func sqlIn(t testing.TB, message string) string {
	t.Helper()
	_, sql, found := strings.Cut(message, "run ")
	end := strings.LastIndex(sql, ";")
	if !found || end < 0 {
		t.Fatalf("there is no SQL in %q", message)
	}
	return sql[:end+1]
}
