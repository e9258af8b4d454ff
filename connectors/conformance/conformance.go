// Package conformance is the one suite that every connector passes against the real system that it reads: what the
// department's system holds is what the bus holds, whatever happens in between. It is imported by tests alone.
package conformance

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/shirecounty/shire/connectors"
	"github.com/shirecounty/shire/schemas/change"
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

func rows(from, to int) []Operation {
	var ops []Operation
	for i := from; i < to; i++ {
		ops = append(ops, Operation{Kind: Insert, Row: Row{fmt.Sprint(i), Text(fmt.Sprint("name ", i)), nil}})
	}
	return ops
}

// quiet proves that a run with nothing new publishes nothing.
func (b *bench) quiet(t testing.TB) {
	t.Helper()
	before := len(b.bus.Said(Dataset))
	b.load(t)
	if after := len(b.bus.Said(Dataset)); after != before {
		t.Errorf("a run with nothing new published %d changes: %+v", after-before, b.bus.Said(Dataset)[before:])
	}
}

func snapshot(t *testing.T, b *bench) {
	b.apply(t, rows(1, 30)...)
	b.load(t)
	b.settled(t)
	for _, s := range b.bus.Said(Dataset) {
		if s.Op == change.Malformed {
			t.Errorf("%+v", s)
		}
	}
	b.quiet(t)
}

func snapshotWithWrites(t *testing.T, b *bench) {
	b.apply(t, rows(1, 400)...)
	random := rand.New(rand.NewPCG(1, 2))
	next, began := 1000, make(chan struct{})
	var once sync.Once
	b.bus.AtAppend = func() { once.Do(func() { close(began) }) }
	stop := b.follow(t)
	select {
	case <-began:
	case <-time.After(30 * time.Second):
		t.Fatal("nothing came")
	}
	for range 120 {
		ids := slices.Sorted(maps.Keys(b.want))
		id := ids[random.IntN(len(ids))]
		next++
		switch random.IntN(4) {
		case 0:
			b.apply(t, Operation{Kind: Insert, Row: Row{fmt.Sprint(next), Text("new"), nil}})
		case 1:
			b.apply(t, Operation{Kind: Delete, Row: Row{ID: id}})
		default:
			b.apply(t, Operation{Kind: Update, Row: Row{id, Text(fmt.Sprint("changed ", next)), Text("")}})
		}
	}
	b.settled(t)
	stop()
	b.quiet(t)
	b.settled(t)
}

// operations: corrections, deletions, and the same again, each said once, also over a restart.
func operations(t *testing.T, b *bench) {
	b.apply(t, rows(1, 5)...)
	b.load(t)
	b.settled(t)
	before := len(b.bus.Said(Dataset))
	steps := [][]Operation{
		{{Kind: Update, Row: Row{"1", Text("corrected"), Text("once")}}},
		{{Kind: Update, Row: Row{"1", Text("corrected"), Text("twice")}}, {Kind: Delete, Row: Row{ID: "2"}}},
		{{Kind: Insert, Row: Row{"2", Text("back again"), nil}}},
		{{Kind: Delete, Row: Row{ID: "3"}}, {Kind: Insert, Row: Row{"9", nil, nil}}},
	}
	count := 0
	for _, ops := range steps {
		count += len(ops)
		b.apply(t, ops...)
		b.load(t) // a process of its own
		b.settled(t)
	}
	if said := len(b.bus.Said(Dataset)) - before; said != count {
		t.Errorf("%d operations became %d changes: %+v", count, said, b.bus.Said(Dataset)[before:])
	}
	b.quiet(t)
}

func rollback(t *testing.T, b *bench) {
	s, ok := b.system.(RollsBack)
	if !ok {
		t.Fatal("the system does not roll back; declare the skip")
	}
	b.apply(t, rows(1, 5)...)
	stop := b.follow(t)
	b.settled(t)
	s.RollBack(t, append(rows(10, 20), Operation{Kind: Delete, Row: Row{ID: "1"}})...)
	b.apply(t, Operation{Kind: Update, Row: Row{"2", Text("after"), nil}})
	b.settled(t)
	stop()
	for _, said := range b.bus.Said(Dataset) {
		if len(said.Key) == 2 {
			t.Errorf("what was taken back was said: %+v", said)
		}
	}
}

func keyChange(t *testing.T, b *bench) {
	b.apply(t, rows(1, 4)...)
	b.load(t)
	b.apply(t, Operation{Kind: Rekey, Row: Row{ID: "1"}, NewID: "11"})
	b.apply(t, Operation{Kind: Rekey, Row: Row{ID: "2"}, NewID: "1"}, Operation{Kind: Update, Row: Row{"1", Text("two"), Text("was 2")}})
	b.load(t)
	b.settled(t)
	b.quiet(t)
}

func everyType(t *testing.T, b *bench) {
	s, ok := b.system.(Typed)
	if !ok {
		t.Fatal("the system has no types; declare the skip")
	}
	want := map[string]map[string]string{"s": s.Types(t, "s")}
	stop := b.follow(t)
	defer stop()
	differs := func() string {
		got := b.bus.Records(Dataset)
		for key, columns := range want {
			for _, c := range slices.Sorted(maps.Keys(columns)) {
				if have, there := got[key][c]; !there || have != columns[c] {
					return fmt.Sprintf("%s of record %s is %q, not %q", c, key, have, columns[c])
				}
			}
		}
		return ""
	}
	b.until(t, differs)
	want["c"] = s.Types(t, "c")
	b.until(t, differs)
}

func nullAndEmpty(t *testing.T, b *bench) {
	b.apply(t, Operation{Kind: Insert, Row: Row{"1", nil, Text("")}}, Operation{Kind: Insert, Row: Row{"2", Text(""), nil}})
	b.load(t)
	b.settled(t)
	b.apply(t, Operation{Kind: Update, Row: Row{"1", Text(""), nil}}, Operation{Kind: Insert, Row: Row{"3", nil, Text("")}})
	b.load(t)
	b.settled(t)
}

// zones: a server in New York and a county in Shanghai agree on what was written, in the snapshot and in the stream.
func zones(t *testing.T, b *bench) {
	times(t, b, []string{"2026-03-08 02:30:00", "2026-11-01 01:30:00", "2026-11-25 08:00:00"})
}

// summerTime: China had it from 1986 to 1991; the clocks of these times are doubtful or do not exist.
func summerTime(t *testing.T, b *bench) {
	times(t, b, []string{"1986-05-04 02:30:00", "1986-09-14 01:30:00", "1988-07-01 12:00:00", "1991-09-15 00:30:00"})
}

func times(t *testing.T, b *bench, locals []string) {
	s, ok := b.system.(Zoned)
	if !ok {
		t.Fatal("the system has no time zone; declare the skip")
	}
	shanghai, err := time.LoadLocation("Asia/Shanghai")
	if err != nil {
		t.Fatal(err)
	}
	type written struct{ localColumn, instantColumn, local, instant string }
	want := map[string]written{}
	write := func(prefix, zone string) {
		s.InZone(t, zone)
		for i, local := range locals {
			instant, err := time.ParseInLocation(time.DateTime, local, shanghai)
			if err != nil {
				t.Fatal(err)
			}
			key := fmt.Sprint(prefix, i)
			w := written{local: local, instant: instant.UTC().Format(time.RFC3339)}
			w.localColumn, w.instantColumn = s.Times(t, key, local, instant)
			want[key] = w
		}
	}
	write("s", "America/New_York")
	stop := b.follow(t)
	defer stop()
	differs := func() string {
		got := b.bus.Records(Dataset)
		for key, w := range want {
			if have := got[key][w.localColumn]; have != w.local {
				return fmt.Sprintf("the time without zone of %s is %q, not %q", key, have, w.local)
			}
			if w.instantColumn == "" {
				continue
			}
			have, err := instantOf(got[key][w.instantColumn])
			if err != nil || have != w.instant {
				return fmt.Sprintf("the instant of %s is %q (%s), not %s", key, got[key][w.instantColumn], have, w.instant)
			}
		}
		return ""
	}
	b.until(t, differs)
	write("c", "America/New_York")
	write("d", "Asia/Shanghai")
	b.until(t, differs)
}

// instantOf reads a time with an offset as the semantic types do.
func instantOf(text string) (string, error) {
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02 15:04:05.999999999Z07:00", "2006-01-02 15:04:05.999999999-07"} {
		if at, err := time.Parse(layout, text); err == nil {
			return at.UTC().Format(time.RFC3339), nil
		}
	}
	return "", errors.New("no time with an offset")
}

func characters(t *testing.T, b *bench) {
	texts := []string{"王小明", "𠮷田・㐂", "䶮", "𬎆", "👩‍👩‍👧‍👦", "a\tb\nc\\N", `"quoted", 'and' \ back`, "\u3000全角　空格\u3000", "Ω≈ç√∫˜µ≤≥÷", "۱۲۳", "ʼn", "·阿依古丽·买买提·"}
	var ops []Operation
	for i, s := range texts {
		ops = append(ops, Operation{Kind: Insert, Row: Row{fmt.Sprint("k", i), Text(s), Text(s)}}, Operation{Kind: Insert, Row: Row{"键" + fmt.Sprint(i), Text(s), nil}})
	}
	b.apply(t, ops[:len(ops)/2]...)
	b.load(t)
	b.apply(t, ops[len(ops)/2:]...)
	b.load(t)
	b.settled(t)
}

func largeValue(t *testing.T, b *bench) {
	large := strings.Repeat("一兆字节", 1<<20/12)
	b.apply(t, Operation{Kind: Insert, Row: Row{"1", Text("large"), Text(large)}})
	b.load(t)
	b.settled(t)
	b.apply(t, Operation{Kind: Insert, Row: Row{"2", Text("large"), Text(large + "。")}})
	b.load(t)
	// The large value of the record itself does not change.
	b.apply(t, Operation{Kind: Update, Row: Row{"1", Text("still large"), Text(large)}})
	b.load(t)
	b.settled(t)
}

// columns: what the table gains, loses and renames while it is followed arrives under its new name.
func columns(t *testing.T, b *bench) {
	s, ok := b.system.(Changing)
	if !ok {
		t.Fatal("the system's columns do not change; declare the skip")
	}
	b.apply(t, rows(1, 4)...)
	stop := b.follow(t)
	defer stop()
	b.settled(t)
	has := func(column, value string) {
		t.Helper()
		b.until(t, func() string {
			if have, there := b.bus.Records(Dataset)["1"][column]; !there || have != value {
				return fmt.Sprintf("column %s of record 1 is %q, not %q", column, have, value)
			}
			return ""
		})
	}
	lacks := func(column string) {
		t.Helper()
		if have, there := b.bus.Records(Dataset)["1"][column]; there {
			t.Errorf("column %s is still there: %q", column, have)
		}
	}
	s.AddColumn(t, "added", "first")
	has("added", "first")
	b.settled(t)
	s.WidenColumn(t, "added")
	b.apply(t, Operation{Kind: Update, Row: Row{"1", Text("after widening"), nil}})
	b.settled(t)
	has("added", "first")
	s.RenameColumn(t, "added", "renamed")
	b.apply(t, Operation{Kind: Update, Row: Row{"1", Text("after renaming"), nil}})
	b.settled(t)
	has("renamed", "first")
	lacks("added")
	s.DropColumn(t, "renamed")
	b.apply(t, Operation{Kind: Update, Row: Row{"1", Text("after dropping"), nil}})
	b.settled(t)
	lacks("renamed")
}

// everyStep kills the connector at every call that it makes, loses some of what was buffered, and starts it again.
func everyStep(t *testing.T, s Suite) {
	every := max(s.Every, 1)
	for budget := 0; ; budget += every {
		b := newBench(t, s.New(t))
		b.bus.PackRows = 3
		killed := false
		run := func() {
			t.Helper()
			for attempt := 0; ; attempt++ {
				b.bus.Restart()
				b.bus.Lose = attempt % 3
				if attempt < 3 { // then it may end
					b.bus.Budget = budget
				}
				err := b.connector(t).Run(t.Context(), b.bus, false)
				switch {
				case err == nil:
					b.bus.Budget = -1
					b.bus.Linger()
					return
				case !errors.Is(err, ErrKilled):
					t.Fatalf("killed after %d calls: %v", budget, err)
				}
				killed = true
			}
		}
		b.apply(t, rows(1, 8)...)
		run()
		if d := b.differs(); d != "" {
			t.Fatalf("killed after %d calls of the snapshot: %s", budget, d)
		}
		before := len(b.bus.Said(Dataset))
		ops := []Operation{
			{Kind: Update, Row: Row{"1", Text("x"), nil}}, {Kind: Delete, Row: Row{ID: "2"}},
			{Kind: Insert, Row: Row{"20", Text("y"), Text("")}}, {Kind: Update, Row: Row{"3", nil, Text("z")}}, {Kind: Delete, Row: Row{ID: "4"}},
		}
		b.apply(t, ops[:3]...)
		b.apply(t, ops[3:]...)
		run()
		if d := b.differs(); d != "" {
			t.Fatalf("killed after %d calls of the changes: %s", budget, d)
		}
		if said := len(b.bus.Said(Dataset)) - before; said != len(ops) {
			t.Fatalf("killed after %d calls: %d operations became %d changes: %+v", budget, len(ops), said, b.bus.Said(Dataset)[before:])
		}
		if !killed {
			return
		}
	}
}
