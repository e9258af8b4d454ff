package pipeline_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/shirecounty/shire/pipeline"
	"github.com/shirecounty/shire/schemas/change"
	"github.com/shirecounty/shire/schemas/contract"
	"github.com/shirecounty/shire/schemas/sharing"
)

func stateOf(t *testing.T, c *pipeline.Corrections, id string) sharing.State {
	t.Helper()
	list, err := c.List(t.Context(), "hall", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(list, func(l pipeline.Listed) bool { return l.ID == id })
	if i < 0 {
		t.Fatalf("the report %s is not listed", id)
	}
	return list[i].State
}

// A report is closed by a later version of the record that says something else, or by the record's end, and by nothing else: not by a
// store that was made anew and reads the same version otherwise.
func TestALaterVersionCorrects(t *testing.T) {
	r := newRig(t)
	store, anew := r.servingStore(t.TempDir()), r.servingStore(t.TempDir())
	defer store.Close()
	defer anew.Close()
	x := r.exchange()
	r.grantItem(x)
	first, second := r.corrections(store, x, &looks{}), r.corrections(anew, x, &looks{})
	report := func(key string) string {
		t.Helper()
		id := r.put(store, 1, key, "wrong", false)
		one, err := first.Report(t.Context(), pipeline.Report{Department: "civil_affairs", Clerk: "李梅", Dataset: r.dataset, Field: "item", Record: id, Said: pipeline.Said{Note: "it is another one"}})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := second.Answer(t.Context(), one.ID, "hall", "王五", true, ""); err != nil {
			t.Fatal(err)
		}
		return one.ID
	}
	changed := report("K")
	for i, step := range []struct {
		version uint64
		item    string
		want    sharing.State
	}{{1, "read otherwise", sharing.Accepted}, {2, "wrong", sharing.Accepted}, {3, "right", sharing.Corrected}} {
		r.put(anew, step.version, "K", step.item, false)
		if err := second.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := stateOf(t, first, changed); got != step.want {
			t.Errorf("%d: version %d says %q: the report is %s", i, step.version, step.item, got)
		}
	}
	// Where the store has nothing of the record yet, nothing was corrected; where it ended, the error is gone.
	store2 := r.servingStore(t.TempDir())
	defer store2.Close()
	third := r.corrections(store2, x, &looks{})
	ended := report("L")
	if err := third.Close(t.Context()); err != nil || stateOf(t, first, ended) != sharing.Accepted {
		t.Errorf("an empty store corrects: %v", err)
	}
	r.put(store2, 4, "L", "wrong", true)
	if err := third.Close(t.Context()); err != nil || stateOf(t, first, ended) != sharing.Corrected {
		t.Errorf("a record that ended: %v", err)
	}
}

// What was said is for the two departments, by name; each look is in the log before; to everybody else there is no such report.
func TestWhoMayReadAReport(t *testing.T) {
	r := newRig(t)
	store := r.servingStore(t.TempDir())
	defer store.Close()
	x, l := r.exchange(), &looks{}
	r.grantItem(x)
	c, other := r.corrections(store, x, l), r.corrections(store, x, l)
	id := r.put(store, 1, "K", "wrong", false)
	report := pipeline.Report{Department: "civil_affairs", Clerk: "李梅", Dataset: r.dataset, Field: "item", Record: id, Said: pipeline.Said{Proposed: "right", Note: "as he says"}}
	if list, err := other.List(t.Context(), "hall", time.Now()); err != nil || len(list) != 0 {
		t.Fatal(list, err)
	}
	one, err := c.Report(t.Context(), report)
	if err != nil {
		t.Fatal(err)
	}
	two, err := c.Report(t.Context(), report)
	if err != nil || two.Seen == one.Seen {
		t.Fatalf("two reports tell that they saw the same: %v", err)
	}
	for _, department := range []string{"civil_affairs", "hall"} {
		before := len(l.list)
		said, err := other.Read(t.Context(), one.ID, department, "王五")
		if err != nil || len(said) != 1 || said[0] != report.Said {
			t.Fatalf("%s: %v, %v", department, said, err)
		}
		if len(l.list) != before+1 {
			t.Fatalf("%s: %d looks are in the log", department, len(l.list)-before)
		}
		if a := l.list[before]; a.Caller != department || a.Clerk != "王五" || a.CaseNumber != one.ID || !slices.Equal(a.Fields, []string{"item"}) || a.Decision != "granted" || !strings.Contains(a.Reason, id.String()) {
			t.Fatalf("%+v", a)
		}
	}
	before := len(l.list)
	_, unknown := other.Read(t.Context(), "there-is-none", "hall", "王五")
	for _, department := range []string{"data_bureau", "stranger", "", contract.OwnDepartment} {
		said, err := other.Read(t.Context(), one.ID, department, "王五")
		var no *sharing.Refusal
		if said != nil || !errors.As(err, &no) || no.Code != "unknown_report" || unknown == nil || err.Error() != unknown.Error() {
			t.Errorf("%q reads %v, %v; of none it is told %v", department, said, err, unknown)
		}
	}
	for _, clerk := range []string{"", "  ", strings.Repeat("字", 101)} {
		if said, err := other.Read(t.Context(), one.ID, "hall", clerk); err == nil || said != nil {
			t.Errorf("%q reads: %v", clerk, said)
		}
	}
	if len(l.list) != before {
		t.Errorf("what was not read is in the log: %v", l.list[before:])
	}
	// Whose list it is, and until when the owner's clock runs: the 16th of March is the last day.
	for day, overdue := range map[int]bool{16: false, 17: true} {
		list, err := other.List(t.Context(), "hall", time.Date(2026, 3, day, 23, 0, 0, 0, time.UTC))
		if err != nil || len(list) != 2 || list[0].Deadline == nil || list[0].Deadline.Due.String() != "2026-03-16" || list[0].Overdue != overdue {
			t.Errorf("on the %dth: %+v, %v", day, list, err)
		}
	}
	if list, err := r.correctionsOf(store, x, l, "").List(t.Context(), "", time.Now()); err != nil || len(list) != 0 {
		t.Errorf("where nobody leads, nobody's list holds %v, %v", list, err)
	}
}

// Several report at once: each report is there, with what was said.
func TestReportsAtOnce(t *testing.T) {
	r := newRig(t)
	store := r.servingStore(t.TempDir())
	defer store.Close()
	x := r.exchange()
	r.grantItem(x)
	id := r.put(store, 1, "K", "wrong", false)
	var all sync.WaitGroup
	for range 3 {
		c := r.corrections(store, x, &looks{})
		all.Go(func() {
			for range 4 {
				if _, err := c.Report(t.Context(), pipeline.Report{Department: "civil_affairs", Clerk: "李梅", Dataset: r.dataset, Field: "item", Record: id, Said: pipeline.Said{Proposed: "right"}}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	if list, err := r.corrections(store, x, &looks{}).List(t.Context(), "hall", time.Now()); err != nil || len(list) != 12 {
		t.Fatalf("%d reports, %v", len(list), err)
	}
}

// What somebody else writes on the subject is told, and what was said elsewhere is not read here: it is sealed to its place.
func TestCorrectionActsOfSomebodyElse(t *testing.T) {
	r := newRig(t)
	store := r.servingStore(t.TempDir())
	defer store.Close()
	x := r.exchange()
	r.grantItem(x)
	id := r.put(store, 1, "K", "wrong", false)
	c := r.corrections(store, x, &looks{})
	one, err := c.Report(t.Context(), pipeline.Report{Department: "civil_affairs", Clerk: "李梅", Dataset: r.dataset, Field: "item", Record: id, Said: pipeline.Said{Proposed: "right"}})
	if err != nil {
		t.Fatal(err)
	}
	subject := r.bus.ChangesSubject(contract.OwnDepartment, contract.Corrections)
	read, err := r.bus.ReadSubject(t.Context(), subject, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close()
	msg, err := read.Next(t.Context(), time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	batch, err := change.Decode(msg.Data)
	if err != nil {
		t.Fatal(err)
	}
	defer batch.Record.Release()
	columns := batch.Columns()
	write := func(op change.Op, set map[string]string) {
		t.Helper()
		values := make([]string, len(columns))
		for i, name := range columns {
			values[i] = strings.Clone(batch.Values(i).Value(0))
			if v, ok := set[name]; ok {
				values[i] = v
			}
		}
		b := change.NewBuilder("source", contract.OwnDepartment, contract.Corrections, "u", columns)
		defer b.Release()
		b.Append(change.Change{Op: op, Key: "k", Row: 1, Values: values, Null: make([]bool, len(values))})
		data, err := b.Build().Encode()
		if err != nil {
			t.Fatal(err)
		}
		r.raw(subject, data)
	}
	for other, sealed := range map[string]string{"moved": "", "short": "AAAA", "garbled": "no base64"} {
		set := map[string]string{"correction": other}
		if sealed != "" {
			set["sealed"] = sealed
		}
		write(change.Create, set)
		if said, err := c.Read(t.Context(), other, "hall", "王五"); err == nil || said != nil || !strings.Contains(err.Error(), "cannot be opened") {
			t.Errorf("%s: %v, %v", other, said, err)
		}
	}
	if said, err := c.Read(t.Context(), one.ID, "hall", "王五"); err != nil || said[0].Proposed != "right" {
		t.Fatal(said, err)
	}
	fails := func(what string) {
		t.Helper()
		fresh := r.corrections(store, x, &looks{})
		if list, err := fresh.List(context.Background(), "hall", time.Now()); err == nil || list != nil || !strings.Contains(err.Error(), "somebody else writes to") {
			t.Errorf("%s: %v, %v", what, list, err)
		}
		// It is taken off the bus, as the message says.
		if err := r.takeBack(subject); err != nil {
			t.Fatal(err)
		}
		if _, err := r.corrections(store, x, &looks{}).List(context.Background(), "hall", time.Now()); err != nil {
			t.Fatalf("%s was taken off the bus: %v", what, err)
		}
	}
	write(change.Update, map[string]string{"number": "2", "act": "accept"})
	fails("an update")
	write(change.Create, map[string]string{"number": "3", "act": "accept"})
	fails("a number that was left out")
	write(change.Create, map[string]string{"number": "1", "act": "accept"})
	fails("a number that was there")
	write(change.Create, map[string]string{"correction": "new", "act": "accept"})
	fails("an answer to nothing")
	write(change.Create, map[string]string{"number": "2"})
	fails("a report of what was reported")
	write(change.Create, map[string]string{"number": "2", "act": "accept", "acted_at": "yesterday"})
	fails("no time")
	write(change.Create, map[string]string{"correction": "new", "record_version": "-1"})
	fails("no version")
}

// takeBack takes the last message of a subject off the bus.
func (r *rig) takeBack(subject string) error {
	js, err := r.nc.JetStream()
	if err != nil {
		return err
	}
	last, err := js.GetLastMsg("CHANGES", subject)
	if err != nil {
		return err
	}
	return js.DeleteMsg("CHANGES", last.Sequence)
}
