// Package conformance is the one suite that every connector passes against the real system that it reads: what the
// department's system holds is what the bus holds, whatever happens in between. It is imported by tests alone.
package conformance

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/shirecounty/shire/connectors"
	"github.com/shirecounty/shire/schemas/contract"
	"github.com/shirecounty/shire/schemas/county"
)

// Dataset is the one dataset of the suite. Its records have the columns id (the key), name and note.
const Dataset = "records"

// Row is a record; nil is NULL.
type Row struct {
	ID         string
	Name, Note *string
}

// Text makes a value that is not NULL.
func Text(s string) *string { return &s }

// Kind of an operation.
type Kind int

// Operations of a department on its records.
const (
	Insert Kind = iota
	Update      // of the record Row.ID
	Delete      // of the record Row.ID
	Rekey       // the record Row.ID becomes NewID and keeps its values
)

// Operation is one write.
type Operation struct {
	Kind
	Row
	NewID string
}

// System is a department's real system with an empty table of records, as a test writes to it.
type System interface {
	// Source says how county.yaml names it; name and datasets are filled in by the suite.
	Source() county.Source
	// Apply does the operations in one transaction, where the system has such.
	Apply(t testing.TB, ops ...Operation)
}

// Furnishing gives the connector what the platform gives it beside the settings that all have.
type Furnishing interface{ Furnish(s *connectors.Settings) }

// Nullless is a system that knows no NULL: what is NULL elsewhere is empty there.
type Nullless interface{ Nullless() }

// Further abilities of a System. A check that needs one the system has not must be declared in Skips.
type (
	// RollsBack can begin a transaction and take it back.
	RollsBack interface {
		RollBack(t testing.TB, ops ...Operation)
	}
	// Typed has column types.
	Typed interface {
		// Types gives the table a column for each type of the system (when it has not got them yet), writes a record with
		// the given key and values in all of them, and returns the text that each column has to have on the bus.
		Types(t testing.TB, key string) map[string]string
	}
	// Zoned has a time zone of its own.
	Zoned interface {
		// InZone sets the zone of the server and of the sessions that write, such as America/New_York. Times puts the record
		// key with the local time (a time without a zone) and the instant (with one, where the system has such) into
		// columns that it names; "" for the latter when the system has no such type.
		InZone(t testing.TB, zone string)
		Times(t testing.TB, key string, local string, instant time.Time) (localColumn, instantColumn string)
	}
	// Changing has a table whose columns change.
	Changing interface {
		AddColumn(t testing.TB, name, value string) // a text column; value is given to the record "1"
		DropColumn(t testing.TB, name string)
		RenameColumn(t testing.TB, from, to string)
		WidenColumn(t testing.TB, name string) // to a larger type
	}
)

// Checks, by the names that Skips uses.
const (
	Snapshot           = "snapshot"
	SnapshotWithWrites = "snapshot with writes"
	EveryStep          = "restart at every step"
	Operations         = "operations"
	Rollback           = "rollback"
	KeyChange          = "key change"
	EveryType          = "every type"
	NullAndEmpty       = "null and empty"
	Zones              = "zones"
	SummerTime         = "summer time"
	Characters         = "characters"
	LargeValue         = "large value"
	Columns            = "columns change"
)

// Suite says what to run.
type Suite struct {
	// New makes a system of its own for one check.
	New func(t *testing.T) System
	// Skips are the checks that the system cannot pass by its nature, each with the reason.
	Skips map[string]string
	// Every runs the restarts at every n-th step only; 1 when 0.
	Every int
}

// Run runs the suite.
func Run(t *testing.T, s Suite) {
	for _, c := range []struct {
		name  string
		check func(*testing.T, *bench)
	}{
		{Snapshot, snapshot}, {SnapshotWithWrites, snapshotWithWrites}, {Operations, operations}, {Rollback, rollback}, {KeyChange, keyChange},
		{EveryType, everyType}, {NullAndEmpty, nullAndEmpty}, {Zones, zones}, {SummerTime, summerTime}, {Characters, characters},
		{LargeValue, largeValue}, {Columns, columns},
	} {
		t.Run(c.name, func(t *testing.T) {
			if reason := s.Skips[c.name]; reason != "" {
				t.Skip(reason)
			}
			c.check(t, newBench(t, s.New(t)))
		})
	}
	t.Run(EveryStep, func(t *testing.T) {
		if reason := s.Skips[EveryStep]; reason != "" {
			t.Skip(reason)
		}
		everyStep(t, s)
	})
}

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
  - {name: note, type: text, sensitivity: internal}
emits:
  - table: cases
    columns: {case_number: id, department: {value: bureau}, item_code: {value: item}, item_name: name}
`

// bench is a system, the bus that its connector fills, and what the bus has to hold in the end.
type bench struct {
	system System
	bus    *Bus
	state  string // the connector's folder
	want   map[string]Row

	mu     sync.Mutex
	events []connectors.Event
}

func newBench(t *testing.T, s System) *bench {
	return &bench{system: s, bus: NewBus(), state: t.TempDir(), want: map[string]Row{}}
}

// connector makes the connector anew, as a process that starts does.
func (b *bench) connector(t testing.TB) connectors.Connector {
	t.Helper()
	d, err := contract.Parse("records.yaml", []byte(recordsContract), "Asia/Shanghai")
	if err != nil {
		t.Fatal(err)
	}
	source := b.system.Source()
	source.Name, source.Datasets = "records", []string{Dataset}
	settings := connectors.Settings{
		Source: source, Contracts: contract.Set{Dataset: d}, StateDir: b.state,
		Resolve: func(p string) string { return p }, Log: slog.New(slog.DiscardHandler),
		Notify: func(e connectors.Event) {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.events = append(b.events, e)
		},
	}
	if s, ok := b.system.(Furnishing); ok {
		s.Furnish(&settings)
	}
	c, err := connectors.New(settings)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// apply does the operations, and remembers what has to come of them.
func (b *bench) apply(t testing.TB, ops ...Operation) {
	t.Helper()
	b.system.Apply(t, ops...)
	for _, o := range ops {
		switch o.Kind {
		case Insert, Update:
			b.want[o.ID] = o.Row
		case Delete:
			delete(b.want, o.ID)
		case Rekey:
			moved := b.want[o.ID]
			delete(b.want, o.ID)
			moved.ID = o.NewID
			b.want[o.NewID] = moved
		}
	}
}

// load runs the connector to the source's present end.
func (b *bench) load(t testing.TB) {
	t.Helper()
	if err := b.connector(t).Run(t.Context(), b.bus, false); err != nil {
		t.Fatal(err)
	}
	b.bus.Linger()
}

// follow runs the connector until the returned function is called.
func (b *bench) follow(t testing.TB) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	c := b.connector(t)
	go func() { done <- c.Run(ctx, b.bus, true) }()
	return func() {
		t.Helper()
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Error("following ended with", err)
			}
		case <-time.After(30 * time.Second):
			t.Error("the connector does not end with its context")
		}
		b.bus.Forget()
	}
}

// differs says how the bus differs from what it has to hold, "" when it does not.
func (b *bench) differs() string {
	got := b.bus.Records(Dataset)
	for _, id := range slices.Sorted(maps.Keys(b.want)) {
		r, there := got[id]
		if !there {
			return fmt.Sprintf("%s is lost", id)
		}
		w := b.want[id]
		for column, value := range map[string]*string{"id": &w.ID, "name": w.Name, "note": w.Note} {
			text := Null
			if _, ok := b.system.(Nullless); ok {
				text = ""
			}
			if value != nil {
				text = *value
			}
			if have, there := r[column]; !there || have != text {
				return fmt.Sprintf("%s of %s is %.60q, not %.60q", column, id, have, text)
			}
		}
	}
	for _, id := range slices.Sorted(maps.Keys(got)) {
		if _, there := b.want[id]; !there {
			return fmt.Sprintf("%s is there and should not be", id)
		}
	}
	return ""
}

func (b *bench) settled(t testing.TB) {
	t.Helper()
	b.until(t, b.differs)
}

// until waits until nothing differs any more.
func (b *bench) until(t testing.TB, differs func() string) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		b.bus.Linger()
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
