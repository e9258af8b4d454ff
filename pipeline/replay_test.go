package pipeline_test

import (
	"strings"
	"testing"

	"github.com/shirecounty/shire/pipeline"
	"github.com/shirecounty/shire/pipeline/warehouse"
	"github.com/shirecounty/shire/schemas/change"
	"github.com/shirecounty/shire/schemas/contract"
)

// replay sends a stretch again and loads it.
func (r *rig) replay(set contract.Set, from, to uint64) pipeline.Replayed {
	r.t.Helper()
	held := r.waiting()
	dropped, err := warehouse.ListQuarantine(r.t.Context(), r.loads.Conn(), warehouse.Filter{Dataset: r.dataset, State: "dropped"})
	if err != nil {
		r.t.Fatal(err)
	}
	p := pipeline.Replay{Bus: r.bus, Department: "hall", Dataset: r.dataset, From: from, To: to, Held: append(held, dropped...)}
	done, err := p.Run(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	if done.Sequence > 0 {
		r.loadThrough(set, done.Sequence)
	}
	return done
}

// lose takes rows out of the warehouse, as a careless hand does.
func (r *rig) lose(where string) {
	r.t.Helper()
	for _, table := range []string{"store.cases", "restricted.person_records"} {
		if table != "store.cases" && where != "1" {
			continue
		}
		// A rig has stopped the merges, and with them the deletions.
		for _, statement := range []string{"SYSTEM START MERGES " + table, "DELETE FROM " + table + " WHERE dataset = '" + r.dataset + "' AND " + where, "SYSTEM STOP MERGES " + table} {
			if err := r.loads.Conn().Exec(r.t.Context(), statement); err != nil {
				r.t.Fatal(err)
			}
		}
	}
}

func TestReplayRestoresWhatTheWarehouseLost(t *testing.T) {
	r := newRig(t)
	first := r.publish(row(change.Create, "1", "old", "1"), row(change.Create, "2", "kept", "1"), row(change.Create, "3", "gone", "1"))
	r.publish(row(change.Update, "1", "new", "2"), change.Change{Op: change.Delete, Key: "3"})
	last := r.publish(row(change.Create, "4", "late", "1"))
	r.loadThrough(r.contract(1), last)
	want := r.cases()
	if want != "1=new/v1/2 2=kept/v1/1 4=late/v1/1" {
		t.Fatal(want)
	}
	people := func() string {
		return strings.Join(r.strings("SELECT concat(toString(record_id), toString(person_id)) AS p FROM restricted.person_records FINAL WHERE dataset = ? ORDER BY p", r.dataset), " ")
	}
	before := people()
	r.lose("1")
	if got := r.cases(); got != "" {
		t.Fatalf("still there: %q", got)
	}
	if done := r.replay(r.contract(1), first, last); done.Messages != 3 || done.Changes != 6 {
		t.Errorf("%+v", done)
	}
	if got := r.cases(); got != want {
		t.Errorf("after the replay %q", got)
	}
	// An old stretch does not overtake what is newer, however often it comes.
	for range 2 {
		if done := r.replay(r.contract(1), first, first); done.Messages != 1 || done.Changes != 3 {
			t.Errorf("%+v", done)
		}
	}
	if got := r.cases(); got != want {
		t.Errorf("after an old stretch %q", got)
	}
	if got := r.held(); got != "" {
		t.Errorf("a replay of good rows wrote into the quarantine: %q", got)
	}
	if done := r.replay(r.contract(1), last+1, last+9); done.Messages != 0 || done.Sequence != 0 {
		t.Errorf("beyond the end: %+v", done)
	}
	if now := people(); now != before {
		t.Errorf("the people were %q and are %q", before, now)
	}
}

// After a contract was mended a replay reads everything with it: what was loaded, and what waits; what was given up stays so.
func TestReplayAfterAMendedContract(t *testing.T) {
	r := newRig(t)
	first := r.publish(row(change.Create, "1", "good", "1"), row(change.Create, "2", "bad", "two"), row(change.Create, "3", "hopeless", "three"))
	r.loadThrough(r.contract(1), first)
	var hopeless []warehouse.Waiting
	for _, w := range r.waiting() {
		if change.RowOf(w.Version) == 2 {
			hopeless = append(hopeless, w)
		}
	}
	dropped, err := pipeline.Requeue(t.Context(), r.bus, hopeless, "typed by the cat")
	if err != nil {
		t.Fatal(err)
	}
	r.loadThrough(r.contract(1), dropped)
	if done := r.replay(r.contract(2), first, first); done.Changes != 2 || done.Dropped != 1 {
		t.Errorf("%+v", done)
	}
	if got := r.cases(); got != "1=good/v2/1 2=bad/v2/NULL" {
		t.Errorf("cases %q", got)
	}
	if got := r.held(); got != "released:::the contract accepts it now dropped:dropped::typed by the cat" {
		t.Errorf("quarantine %q", got)
	}
	// Back to the stricter one: what was loaded and is refused now waits, with its bytes.
	r.replay(r.contract(1), first, first)
	if got := r.held(); got != "waiting:not_a_number:visits dropped:dropped::typed by the cat" && len(r.waiting()) != 1 {
		t.Errorf("quarantine %q", got)
	}
	for _, w := range r.waiting() {
		if n := r.refused()[w.Version]; n < 1 {
			t.Errorf("the bytes of version %d do not wait", w.Version)
		}
		r.expire(change.SequenceOf(w.Version))
		if c, _, err := pipeline.Original(t.Context(), r.bus, w); err != nil || c.Key != "2" {
			t.Errorf("%q, %v", c.Key, err)
		}
	}
}
