package query

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/shirecounty/shire/connectors"
	"github.com/shirecounty/shire/connectors/conformance"
	"github.com/shirecounty/shire/schemas/change"
	"github.com/shirecounty/shire/schemas/contract"
)

const testContract = `
dataset: records
department: bureau
owner: {zh: 局, en: Bureau}
title: {zh: 表, en: Records}
version: 1
key: [KEY]
sharing: {type: unconditional}
fields:
  - {name: id, type: text, sensitivity: internal}
  - {name: region, type: text, sensitivity: internal}
  - {name: name, type: text, sensitivity: internal}
emits:
  - table: cases
    columns: {case_number: id, department: {value: bureau}, item_code: {value: item}, item_name: name}
`

// desk is a table with its connector's surroundings.
type desk struct {
	*table
	t     testing.TB
	key   string
	bus   *conformance.Bus
	state string
	now   func() time.Time
	told  func(connectors.Event) // called when an event is told

	mu     sync.Mutex
	events []connectors.Event
}

func newDesk(t testing.TB, b *table) *desk {
	return &desk{table: b, t: t, key: "id", bus: conformance.NewBus(), state: t.TempDir()}
}

// on makes a table of one's own: the columns as they stand between the brackets of CREATE TABLE.
func (s *server) on(t testing.TB, columns string) *desk {
	b := s.newTable(t)
	s.exec(t, "DROP TABLE "+b.full(), "CREATE TABLE "+b.full()+" ("+columns+")")
	b.grant(t)
	return newDesk(t, b)
}

func (d *desk) connector() *Connector {
	d.t.Helper()
	c, err := contract.Parse("records.yaml", []byte(strings.Replace(testContract, "KEY", d.key, 1)), "Asia/Shanghai")
	if err != nil {
		d.t.Fatal(err)
	}
	source := d.Source()
	source.Name, source.Datasets = "records", []string{conformance.Dataset}
	made, err := connectors.New(connectors.Settings{
		Source: source, Contracts: contract.Set{conformance.Dataset: c}, StateDir: d.state,
		Resolve: func(p string) string { return p }, Log: slog.New(slog.DiscardHandler),
		Notify: func(e connectors.Event) {
			if d.told != nil {
				d.told(e)
			}
			d.mu.Lock()
			defer d.mu.Unlock()
			d.events = append(d.events, e)
		},
	})
	if err != nil {
		d.t.Fatal(err)
	}
	q := made.(*Connector)
	if d.now != nil {
		q.now = d.now
	}
	return q
}

func (d *desk) run() error {
	d.bus.Forget()
	err := d.connector().Run(d.t.Context(), d.bus, false)
	if err == nil {
		d.bus.Linger()
	}
	return err
}

func (d *desk) load() {
	d.t.Helper()
	if err := d.run(); err != nil {
		d.t.Fatal(err)
	}
}

func (d *desk) follow(c *Connector) (stop func()) {
	ctx, cancel := context.WithCancel(d.t.Context())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx, d.bus, true) }()
	return func() {
		d.t.Helper()
		cancel()
		if err := <-done; err != nil {
			d.t.Error("following ended with", err)
		}
	}
}

func (d *desk) until(what string, ok func() bool) {
	d.t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !ok(); time.Sleep(10 * time.Millisecond) {
		d.bus.Linger()
		if time.Now().After(deadline) {
			d.t.Fatalf("%s did not come; said %q, events %q", what, d.said(0), d.problems())
		}
	}
}

// said are the changes after the first n, as "op key".
func (d *desk) said(n int) []string {
	var out []string
	for _, s := range d.bus.Said(conformance.Dataset)[n:] {
		out = append(out, s.Op.String()+" "+strings.ReplaceAll(s.Key, change.KeySeparator, "+"))
	}
	return out
}

// problems are the codes of the events so far, which are then forgotten.
func (d *desk) problems() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	var out []string
	for _, e := range d.events {
		code := e.Problem
		if e.Solved {
			code = "solved " + code
		}
		out = append(out, code)
	}
	d.events = nil
	return out
}

// holds are the keys on the bus after all that was said.
func (d *desk) holds() []string {
	return slices.Sorted(maps.Keys(d.bus.Folded(conformance.Dataset)))
}

func (d *desk) lose() {
	if err := os.RemoveAll(d.state); err != nil {
		d.t.Fatal(err)
	}
}

func equal(t testing.TB, what string, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: got %q\nwant %q", what, got, want)
	}
}

// stamped is the type of a time with a zone in each database.
func (s *server) stamped() string {
	return map[string]string{"postgres": "timestamptz", "mysql": "timestamp(6)"}[s.driver]
}

// ago is a time before now, in SQL.
func (s *server) ago(d time.Duration) string {
	if s.driver == "postgres" {
		return fmt.Sprintf("now() - interval '%f seconds'", d.Seconds())
	}
	return fmt.Sprintf("UTC_TIMESTAMP(6) - INTERVAL %d MICROSECOND", d.Microseconds())
}

func refusalOf(t testing.TB, err error) *refusal {
	t.Helper()
	var no *refusal
	if !errors.As(err, &no) {
		t.Fatalf("%v is no refusal", err)
	}
	return no
}
