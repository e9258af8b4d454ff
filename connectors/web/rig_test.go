package web_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/shirecounty/shire/connectors"
	"github.com/shirecounty/shire/connectors/conformance"
	"github.com/shirecounty/shire/connectors/web"
	"github.com/shirecounty/shire/schemas/contract"
	"github.com/shirecounty/shire/schemas/county"
)

const recordsContract = `
dataset: records
department: bureau
owner: {zh: 局, en: Bureau}
title: {zh: 表, en: Records}
version: 1
key: [id]
sharing: {type: unconditional}
fields:
  - {name: id, type: text, sensitivity: internal}
  - {name: name, type: text, sensitivity: internal}
emits:
  - table: cases
    columns: {case_number: id, department: {value: bureau}, item_code: {value: item}, item_name: name}
`

// rig is a connector and the bus that it fills.
type rig struct {
	t        testing.TB
	with     map[string]any
	contract string
	state    string
	process  connectors.Connector // runs again, where a test sets it
	bus      *conformance.Bus

	mu     sync.Mutex
	events []connectors.Event
	waited []time.Duration
}

func newRig(t testing.TB, with map[string]any) *rig {
	return &rig{t: t, with: with, contract: recordsContract, state: t.TempDir(), bus: conformance.NewBus()}
}

// rigOf reads the suite's own table.
func rigOf(t testing.TB, a *api, change ...func(dataset map[string]any)) *rig {
	with := a.with()
	for _, fn := range change {
		fn(with["datasets"].([]any)[0].(map[string]any))
	}
	return newRig(t, with)
}

// serving reads a service that is nothing but a function.
func serving(t testing.TB, dataset map[string]any, h http.HandlerFunc) *rig {
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	if dataset == nil {
		dataset = map[string]any{}
	}
	dataset["dataset"] = "records"
	return newRig(t, map[string]any{"url": s.URL, "poll": "10ms", "datasets": []any{dataset}})
}

func (r *rig) settings() connectors.Settings {
	d, err := contract.Parse("records.yaml", []byte(r.contract), "Asia/Shanghai")
	if err != nil {
		r.t.Fatal(err)
	}
	return connectors.Settings{
		Source:    county.Source{Name: "hospital", Kind: "http", Datasets: []string{"records"}, With: r.with},
		Contracts: contract.Set{"records": d}, StateDir: r.state,
		Resolve: func(p string) string { return p }, Log: slog.New(slog.DiscardHandler),
		Notify: func(e connectors.Event) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.events = append(r.events, e)
		},
	}
}

func (r *rig) connector() connectors.Connector {
	r.t.Helper()
	c, err := connectors.New(r.settings())
	if err != nil {
		r.t.Fatal(err)
	}
	return c
}

// run reads to the present end. Waits are noted and not waited for.
func (r *rig) run() error {
	c := r.process
	if c == nil {
		c = r.connector()
	}
	web.Waiting(c, func(_ context.Context, d time.Duration) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.waited = append(r.waited, d)
	})
	err := c.Run(r.t.Context(), r.bus, false)
	if err == nil || !errors.Is(err, conformance.ErrKilled) {
		r.bus.Linger()
	}
	return err
}

func (r *rig) load() {
	r.t.Helper()
	if err := r.run(); err != nil {
		r.t.Fatal(err)
	}
}

// refused loads and expects a problem.
func (r *rig) refused(problem string) string {
	r.t.Helper()
	err := r.run()
	if err == nil || !strings.Contains(err.Error(), problem) {
		r.t.Fatalf("%v, not %s", err, problem)
	}
	if !slices.Contains(r.problems(), problem) {
		r.t.Errorf("%s is not told: %v", problem, r.problems())
	}
	return err.Error()
}

// problems are those that stand.
func (r *rig) problems() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	stand := map[string]bool{}
	for _, e := range r.events {
		stand[e.Problem] = !e.Solved
	}
	var out []string
	for problem, stands := range stand {
		if stands {
			out = append(out, problem)
		}
	}
	slices.Sort(out)
	return out
}

func (r *rig) said() int { return len(r.bus.Said("records")) }

// holds compares the bus with keys and names.
func (r *rig) holds(want map[string]string) {
	r.t.Helper()
	got := map[string]string{}
	for key, record := range r.bus.Records("records") {
		got[key] = record["name"]
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		r.t.Fatalf("the bus holds %v, not %v", got, want)
	}
}

// follow runs the connector until the returned function is called.
func (r *rig) follow(c connectors.Connector) (stop func()) {
	ctx, cancel := context.WithCancel(r.t.Context())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx, r.bus, true) }()
	return func() {
		r.t.Helper()
		cancel()
		if err := <-done; err != nil {
			r.t.Error(err)
		}
	}
}

func (r *rig) until(what string, holds func() bool) {
	r.t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.t.Fatalf("waited in vain for %s; events %+v", what, r.events)
		}
		r.bus.Linger()
	}
}

func insert(a *api, ids ...string) {
	for _, id := range ids {
		a.Apply(nil, conformance.Operation{Kind: conformance.Insert, Row: conformance.Row{ID: id, Name: conformance.Text("name " + id)}})
	}
}

func remove(a *api, ids ...string) {
	for _, id := range ids {
		a.Apply(nil, conformance.Operation{Kind: conformance.Delete, Row: conformance.Row{ID: id}})
	}
}
