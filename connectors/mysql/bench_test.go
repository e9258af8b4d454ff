package mysql

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
	"github.com/shirecounty/shire/schemas/change"
	"github.com/shirecounty/shire/schemas/contract"
	"github.com/shirecounty/shire/schemas/county"
)

// bench is a connector with several tables and the bus that it fills.
type bench struct {
	*conformance.Bus
	system    *system
	state     string
	contracts contract.Set
	with      map[string]any
	tables    []any

	mu     sync.Mutex
	events []connectors.Event
}

func newBench(t testing.TB, server *conformance.MariaDB) *bench {
	t.Helper()
	s := newSystem(t, server)
	b := &bench{Bus: conformance.NewBus(), system: s, state: t.TempDir(), contracts: contract.Set{}}
	b.with = maps.Clone(s.with)
	delete(b.with, "tables")
	return b
}

// dataset adds a table, with the contract's fields as name:header,header; the first are the key.
func (b *bench) dataset(t testing.TB, table, dataset string, keys int, fields ...string) {
	t.Helper()
	text := "dataset: " + dataset + "\ndepartment: bureau\nowner: {zh: 局, en: Bureau}\ntitle: {zh: 表, en: Table}\nversion: 1\nsharing: {type: unconditional}\nfields:\n"
	var names []string
	for _, f := range fields {
		name, headers, _ := strings.Cut(f, ":")
		names = append(names, name)
		if headers == "" {
			headers = name
		}
		text += fmt.Sprintf("  - {name: %s, headers: [%s], type: text, sensitivity: internal}\n", name, headers)
	}
	text += "key: [" + strings.Join(names[:keys], ", ") + "]\nemits:\n  - table: cases\n    columns: {case_number: " + names[0] + ", department: {value: bureau}, item_code: {value: item}, item_name: " + names[len(names)-1] + "}\n"
	d, err := contract.Parse(dataset+".yaml", []byte(text), "Asia/Shanghai")
	if err != nil {
		t.Fatal(err)
	}
	b.contracts[dataset] = d
	b.tables = append(b.tables, map[string]any{"table": b.system.name + "." + table, "dataset": dataset})
}

func (b *bench) label(i int, label string) { b.tables[i].(map[string]any)["snapshot"] = label }

func (b *bench) connector(t testing.TB) *Connector {
	t.Helper()
	b.with["tables"] = b.tables
	c, err := New(connectors.Settings{
		Source: county.Source{Name: b.system.name, Kind: "mysql", With: b.with}, Contracts: b.contracts, StateDir: b.state,
		Resolve: func(p string) string { return p }, Log: slog.New(slog.DiscardHandler),
		Notify: func(e connectors.Event) {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.events = append(b.events, e)
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return c.(*Connector)
}

// problems are those that were told and not solved since.
func (b *bench) problems() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	open := map[string]bool{}
	for _, e := range b.events {
		open[e.Problem] = !e.Solved
	}
	var out []string
	for _, code := range slices.Sorted(maps.Keys(open)) {
		if open[code] && code != "key_without_index" {
			out = append(out, code)
		}
	}
	return out
}

func (b *bench) told(code string) (n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, e := range b.events {
		if e.Problem == code && !e.Solved {
			n++
		}
	}
	return n
}

func (b *bench) load(t testing.TB) {
	t.Helper()
	if err := b.run(t); err != nil {
		t.Fatal(err)
	}
}

func (b *bench) run(t testing.TB) error {
	t.Helper()
	err := b.connector(t).Run(t.Context(), b, false)
	b.Linger()
	return err
}

// follow runs the connector, again and again as ingest does, until the returned function is called.
func (b *bench) follow(t testing.TB) (c *Connector, stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	c = b.connector(t)
	c.safeEvery = 50 * time.Millisecond
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			b.Forget()
			if err := c.Run(ctx, b, true); err != nil && ctx.Err() == nil {
				time.Sleep(20 * time.Millisecond)
			}
		}
	}()
	var once sync.Once
	stop = func() {
		once.Do(func() {
			cancel()
			select {
			case <-done:
			case <-time.After(30 * time.Second):
				t.Error("the connector does not end with its context")
			}
			b.Linger()
		})
	}
	t.Cleanup(stop)
	return c, stop
}

// until waits for a condition.
func (b *bench) until(t testing.TB, differs func() string) {
	t.Helper()
	for deadline := time.Now().Add(60 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		b.Linger()
		d := differs()
		if d == "" {
			return
		}
		if time.Now().After(deadline) {
			b.mu.Lock()
			defer b.mu.Unlock()
			t.Fatalf("%s; events %+v", d, b.events)
		}
	}
}

// differs compares what the bus holds of a dataset with what its table holds.
func (b *bench) differs(t testing.TB, i int) string {
	t.Helper()
	dataset := b.tables[i].(map[string]any)["dataset"].(string)
	want := map[string]string{}
	c := b.connector(t)
	if err := c.Survey(t.Context(), dataset, nil, func(columns []string, r change.Change) error {
		want[r.Key] = textOf(columns, r)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for key, r := range b.Records(dataset) {
		var parts []string
		for _, name := range slices.Sorted(maps.Keys(r)) {
			parts = append(parts, name+"="+r[name])
		}
		got[key] = strings.Join(parts, "|")
	}
	for _, key := range slices.Sorted(maps.Keys(want)) {
		if got[key] != want[key] {
			return fmt.Sprintf("%s: record %.40q is %.300q, not %.300q", dataset, key, got[key], want[key])
		}
	}
	for _, key := range slices.Sorted(maps.Keys(got)) {
		if _, there := want[key]; !there {
			return fmt.Sprintf("%s: record %.40q is there and should not be", dataset, key)
		}
	}
	return ""
}

func textOf(columns []string, r change.Change) string {
	parts := make([]string, len(columns))
	for i, name := range columns {
		value := r.Values[i]
		if r.Null != nil && r.Null[i] {
			value = conformance.Null
		}
		parts[i] = name + "=" + value
	}
	slices.Sort(parts)
	return strings.Join(parts, "|")
}

func (b *bench) settled(t testing.TB) {
	t.Helper()
	b.until(t, func() string {
		for i := range b.tables {
			if d := b.differs(t, i); d != "" {
				return d
			}
		}
		return ""
	})
}

func (b *bench) count(dataset string, op change.Op) (n int) {
	for _, s := range b.Said(dataset) {
		if s.Op == op {
			n++
		}
	}
	return n
}
