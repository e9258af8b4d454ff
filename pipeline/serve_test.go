package pipeline_test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/shirecounty/shire/pipeline"
	"github.com/shirecounty/shire/pipeline/seal"
	"github.com/shirecounty/shire/pipeline/serving"
	"github.com/shirecounty/shire/schemas/change"
	"github.com/shirecounty/shire/schemas/pseudonym"
)

func (r *rig) servingStore(dir string) *serving.Store {
	r.t.Helper()
	keys, err := seal.NewKeyring(seal.Key{ID: 1, Cipher: seal.AES256GCM, Secret: bytes.Repeat([]byte{1}, 32)})
	if err != nil {
		r.t.Fatal(err)
	}
	s, err := serving.Open(dir, serving.Options{Keys: keys, Cache: 1 << 20})
	if err != nil {
		r.t.Fatal(err)
	}
	return s
}

// served is what the store holds of the keys, written as rig.cases writes the warehouse.
func (r *rig) served(s *serving.Store, keys []string) string {
	r.t.Helper()
	var out []string
	for _, key := range keys {
		record, err := s.Get(serving.RecordID(r.hasher, r.dataset, key))
		if err != nil {
			r.t.Fatal(err)
		}
		if record == nil {
			continue
		}
		visits := record.Value("visits")
		if visits == "" {
			visits = "NULL"
		}
		out = append(out, fmt.Sprintf("%s=%s/%s/%s", record.Case.Number, record.Case.Item, record.Case.Department, visits))
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}

// What is served is what the warehouse shows: after random changes under changing contracts, with stores that stop and go on,
// that are lost, and messages that retention took.
func TestWhatIsServedIsWhatIsLoaded(t *testing.T) {
	r := newRig(t)
	random := rand.New(rand.NewPCG(3, 4))
	dir := t.TempDir()
	var keys []string
	for n := range 12 {
		keys = append(keys, fmt.Sprint("K", n))
	}
	var first uint64
	for round := range 6 {
		set := r.contract(1 + round%2)
		f, stop := r.start(set, small)
		store := r.servingStore(dir)
		ctx, cancel := context.WithCancel(t.Context())
		served := make(chan error, 1)
		go func() { served <- f.Serve(ctx, store) }()
		var last uint64
		for range 15 {
			var rows []change.Change
			for range 1 + random.IntN(4) {
				op := []change.Op{change.Create, change.Update, change.Update, change.Snapshot, change.Delete}[random.IntN(5)]
				rows = append(rows, row(op, keys[random.IntN(len(keys))], fmt.Sprint("item", random.IntN(9)), []string{"1", "2", "", "many"}[random.IntN(4)]))
			}
			last = r.publish(rows...)
			if first == 0 {
				first = last
			}
		}
		if err := f.Drain(t.Context(), last); err != nil {
			t.Fatal(err)
		}
		if round != 3 { // else it is stopped wherever it is
			r.waitServed(store, last)
			if got, want := r.served(store, keys), r.cases(); got != want {
				t.Fatalf("round %d: served\n%s\nand not\n%s", round, got, want)
			}
		}
		cancel()
		if err := <-served; err != nil {
			t.Fatal(err)
		}
		if err := store.Close(); err != nil {
			t.Fatal(err)
		}
		if err := stop(); err != nil {
			t.Fatal(err)
		}
	}
	want := r.cases()
	for name, prepare := range map[string]func() uint64{
		"a store that is lost": func() uint64 { return 0 },
		"and messages that were taken off the bus, with what followed them": func() uint64 {
			at := r.publish(row(change.Update, "K0", "gone", "1"))
			r.loadThrough(r.contract(1), at)
			last := r.publish(row(change.Update, "K0", "item0", "1"))
			r.loadThrough(r.contract(1), last)
			r.expire(at)
			want = r.cases()
			return last
		},
	} {
		through := prepare()
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
		f, stop := r.start(r.contract(1), small)
		store := r.servingStore(dir)
		ctx, cancel := context.WithCancel(t.Context())
		served := make(chan error, 1)
		go func() { served <- f.Serve(ctx, store) }()
		r.waitServed(store, max(through, first))
		for deadline := time.Now().Add(time.Minute); r.served(store, keys) != want; time.Sleep(20 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("%s: served\n%s\nand not\n%s", name, r.served(store, keys), want)
			}
		}
		cancel()
		if err := <-served; err != nil {
			t.Fatal(err)
		}
		store.Close()
		if err := stop(); err != nil {
			t.Fatal(err)
		}
	}
}

// A case is found by its number and by who it is about: the mention that identity resolves.
func TestServedCasesAndPeopleAreFound(t *testing.T) {
	r := newRig(t)
	f, stop := r.start(r.contract(1), small)
	defer stop()
	store := r.servingStore(t.TempDir())
	defer store.Close()
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- f.Serve(ctx, store) }()
	defer func() { cancel(); <-served }()
	last := r.publish(row(change.Create, "A1", "item1", "1"), row(change.Create, "A2", "item2", "1"))
	r.waitServed(store, last)
	records, err := store.ByCase("A1")
	if err != nil || len(records) != 1 || records[0].Case.Item != "item1" || len(records[0].Mentions) != 1 || !records[0].Mentions[0].Person {
		t.Fatalf("%+v, %v", records, err)
	}
	mention := records[0].Mentions[0]
	if stored := r.strings("SELECT toString(record_id) FROM restricted.person_records FINAL WHERE dataset = ? AND record_id = ?", r.dataset, mention.Record.String()); len(stored) != 1 {
		t.Fatal("the warehouse knows the mention by another id")
	}
	byNumber, err := store.ByNumber(serving.NumberID(r.hasher, true, "11010519491231002X"))
	if err != nil || len(byNumber) != 2 {
		t.Fatalf("%d records, %v", len(byNumber), err)
	}
	byMention, err := store.ByMentions([]pseudonym.ID{byNumber[0].Mentions[0].Record, byNumber[1].Mentions[0].Record})
	if err != nil || len(byMention) != 2 {
		t.Fatalf("%d records, %v", len(byMention), err)
	}
}

func (r *rig) waitServed(s pipeline.Served, sequence uint64) {
	r.t.Helper()
	for deadline := time.Now().Add(time.Minute); s.Position() < sequence; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			r.t.Fatalf("the store stays at %d and does not reach %d", s.Position(), sequence)
		}
	}
}
