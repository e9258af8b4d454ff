package conformance

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/shirecounty/shire/schemas/change"
)

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
