package file

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/shirecounty/shire/connectors/conformance"
	"github.com/shirecounty/shire/schemas/change"
)

// runKilled loads again and again, killed at drawn points and with the ledger lost at drawn times, a few times at
// most.
func (f *folder) runKilled(rt *rapid.T, b *conformance.Bus) {
	for range rapid.IntRange(0, 3).Draw(rt, "kills") {
		if rapid.IntRange(0, 4).Draw(rt, "ledger lost") == 0 {
			os.RemoveAll(f.state)
		}
		b.Budget = rapid.IntRange(0, 12).Draw(rt, "calls")
		b.Lose = rapid.IntRange(0, 4).Draw(rt, "sent while dying")
		err := f.load(b)
		b.Budget = -1
		if err != nil && !errors.Is(err, conformance.ErrKilled) {
			rt.Fatal(err)
		}
	}
}

func TestFullFilesAndCrashesLeaveTheLastFile(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		f, b := newFolder(t, "snapshot"), conformance.NewBus()
		f.with["max_deletions"] = "100%"
		name, files, want := "", 0, map[string]string{}
		for range rapid.IntRange(1, 6).Draw(rt, "drops") {
			if name == "" || rapid.IntRange(0, 3).Draw(rt, "new name") > 0 {
				files++
				name = fmt.Sprintf("full-%d.csv", files)
			}
			want = map[string]string{}
			text := "number,name\n"
			for _, k := range rapid.SliceOfN(rapid.IntRange(0, 6), 1, 12).Draw(rt, "keys") {
				row := fmt.Sprintf("%d|%c", k, 'a'+rapid.IntRange(0, 1).Draw(rt, "value"))
				want[fmt.Sprint(k)] = row
				text += strings.Replace(row, "|", ",", 1) + "\n"
			}
			f.write(name, text)
			f.runKilled(rt, b)
			if rapid.Bool().Draw(rt, "finish") {
				if err := f.load(b); err != nil {
					rt.Fatal(err)
				}
			}
		}
		if err := f.load(b); err != nil {
			rt.Fatal(err)
		}
		got := b.Folded("things")
		if fmt.Sprint(got) != fmt.Sprint(want) {
			rt.Fatalf("the bus holds %v\nthe last file %v", got, want)
		}
		// Nothing is published that changes nothing.
		state := map[string]string{}
		for _, s := range b.Said("things") {
			old, known := state[s.Key]
			switch s.Op {
			case change.Create:
				if known {
					rt.Fatalf("%s was created twice", s.Key)
				}
			case change.Update:
				if !known || old == s.Values {
					rt.Fatalf("%s was updated from %q to %q", s.Key, old, s.Values)
				}
			case change.Delete:
				if !known {
					rt.Fatalf("%s was deleted and not there", s.Key)
				}
				delete(state, s.Key)
				continue
			}
			state[s.Key] = s.Values
		}
		n := b.Len()
		if err := f.load(b); err != nil {
			rt.Fatal(err)
		}
		if b.Len() != n {
			rt.Fatal("a load with nothing new published something")
		}
	})
}

// TestEveryRowOnce: however often a run is killed, each row is on the bus once, in the order of the files.
func TestEveryRowOnce(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		f, b := newFolder(t, "changes"), conformance.NewBus()
		var want []string
		next := 0
		for i := range rapid.IntRange(1, 4).Draw(rt, "files") {
			text := "number,name\n"
			for range rapid.IntRange(0, 14).Draw(rt, "rows") {
				next++
				switch rapid.IntRange(0, 5).Draw(rt, "kind") {
				case 0:
					text += fmt.Sprintf("%d\n", next)
					want = append(want, fmt.Sprint(next))
				case 1:
					text += fmt.Sprintf("%d,\"two\nlines\"\n\n", next)
					want = append(want, fmt.Sprintf("%d|two\nlines", next))
				default:
					text += fmt.Sprintf("%d,x\n", next)
					want = append(want, fmt.Sprintf("%d|x", next))
				}
			}
			f.write(fmt.Sprintf("%d.csv", i), text)
			f.runKilled(rt, b)
		}
		if err := f.load(b); err != nil {
			rt.Fatal(err)
		}
		var got []string
		for _, s := range b.Said("things") {
			if s.Op == change.Malformed {
				got = append(got, s.Raw)
			} else {
				got = append(got, s.Values)
			}
		}
		// Files dropped while an earlier one was interrupted do not change the order: names rise.
		if !slices.Equal(got, want) {
			rt.Fatalf("got %q\nwant %q", got, want)
		}
	})
}

// TestRenamedWhileDown: the interrupted file is found by its content, before others that sort first.
func TestRenamedWhileDown(t *testing.T) {
	f, b := newFolder(t, "changes"), conformance.NewBus()
	f.write("m.csv", "number,name\n1,a\n2,b\n3,c\n4,d\n5,e\n6,f\n")
	b.Budget = 5
	if err := f.load(b); !errors.Is(err, conformance.ErrKilled) {
		t.Fatal(err)
	}
	b.Budget = -1
	f.write("a.csv", "number,name\n7,g\n")
	if err := os.Rename(f.dir+"/m.csv", f.dir+"/z.csv"); err != nil {
		t.Fatal(err)
	}
	f.mustLoad(b)
	expect(t, "changes", show(b.Said("things")), []string{"snapshot 1 2 1|a", "snapshot 2 3 2|b", "snapshot 3 4 3|c", "snapshot 4 5 4|d", "snapshot 5 6 5|e", "snapshot 6 7 6|f", "snapshot 7 2 7|g"})
	expect(t, "events", f.problems(), nil)
}

// TestInterruptedFileGoes: what was published of a full file that then vanished is taken back by the file before it.
func TestInterruptedFileGoes(t *testing.T) {
	f, b := newFolder(t, "snapshot"), conformance.NewBus()
	f.with["max_deletions"] = 1
	f.write("1.csv", "number,name\n1,a\n")
	f.mustLoad(b)
	f.write("2.csv", "number,name\n1,b\n2,b\n3,b\n4,b\n5,b\n")
	b.Budget = 4
	if err := f.load(b); !errors.Is(err, conformance.ErrKilled) {
		t.Fatal(err)
	}
	b.Budget = -1
	f.write("2.csv", "number,name\n1,a\n")
	f.mustLoad(b)
	if got := fmt.Sprint(b.Folded("things")); got != "map[1:1|a]" {
		t.Errorf("the bus holds %s", got)
	}
	expect(t, "events", f.problems(), []string{"interrupted_file_gone"})
}

// TestMalformedRowsOfAFullFileOnce: malformed rows are not in the state, so it is the position that keeps them from
// coming twice.
func TestMalformedRowsOfAFullFileOnce(t *testing.T) {
	for calls := range 12 {
		f, b := newFolder(t, "snapshot"), conformance.NewBus()
		f.write("1.csv", "number,name\n1,a\n2\n3,c\n4\n5,e\n6\n7,g\n8\n")
		b.Budget, b.Lose = calls, calls%3
		if err := f.load(b); err != nil && !errors.Is(err, conformance.ErrKilled) {
			t.Fatal(err)
		}
		b.Budget = -1
		f.mustLoad(b)
		times := map[string]int{}
		for _, s := range b.Said("things") {
			times[s.Key+s.Raw]++
		}
		if fmt.Sprint(times) != "map[1:1 2:1 3:1 4:1 5:1 6:1 7:1 8:1]" {
			t.Errorf("killed after %d calls: %v", calls, times)
		}
	}
}

// TestRowBackFromQuarantine: it keeps the version it first had, so the later row stays what the record is.
func TestRowBackFromQuarantine(t *testing.T) {
	f, b := newFolder(t, "snapshot"), conformance.NewBus()
	f.write("1.csv", "number,name\n1,a\n")
	f.mustLoad(b)
	f.write("2.csv", "number,name\n1,b\n")
	f.mustLoad(b)
	builder := change.NewBuilder("test", "bureau", "things", "1.csv", []string{"number", "name"})
	builder.AppendFrom(change.Change{Op: change.Create, Key: "1", Values: []string{"1", "a"}, Position: b.Safe("things")}, change.Version(1, 0))
	if err := b.Put(builder.Build()); err != nil {
		t.Fatal(err)
	}
	f.write("3.csv", "name,number\nb,1\n")
	f.mustLoad(b)
	if b.Len() != 3 {
		t.Error("a record that did not change was published")
	}
}
