package pipeline_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/shirecounty/shire/pipeline/bus"
	"github.com/shirecounty/shire/pipeline/columnar"
	"github.com/shirecounty/shire/schemas/change"
)

func TestRowsArrive(t *testing.T) {
	r := newRig(t)
	r.publish(row(change.Create, "1", "a", "1"), row(change.Create, "2", "b", "x"), row(change.Create, "3", "c", ""))
	last := r.publish(row(change.Update, "1", "a2", "2"), row(change.Delete, "3", "", ""))
	status := r.loadThrough(r.contract(1), last)
	if got := r.cases(); got != "1=a2/v1/2" {
		t.Errorf("the cases are %q", got)
	}
	if got := r.held(); got != "waiting:format:visits" {
		t.Errorf("in quarantine %q", got)
	}
	if status.Through != last || status.Changes != 5 || status.Quarantined != 1 || status.LastLoad.IsZero() {
		t.Errorf("%+v", status)
	}
	person := r.strings("SELECT toString(uniqExact(person_id)) FROM restricted.person_records FINAL WHERE dataset = ?", r.dataset)
	refers := r.strings("SELECT toString(person_id = (SELECT any(person_id) FROM restricted.person_records FINAL WHERE dataset = ?)) FROM store.cases FINAL WHERE dataset = ?", r.dataset, r.dataset)
	if person[0] != "1" || refers[0] != "1" {
		t.Errorf("%s persons, the case refers to it: %s", person, refers)
	}
	if got := r.strings("SELECT DISTINCT concat(toString(length(contracts)), contracts[?]) FROM store.load_log WHERE has(mapKeys(contracts), ?)", r.dataset, r.dataset); len(got) != 1 || !strings.HasPrefix(got[0], "11/") {
		t.Errorf("the load log names the contracts %q", got)
	}
}

// history is messages to be published, and what they come to: the reference that every run is compared with.
type history struct {
	messages [][]change.Change
	cases    map[string]string
	refused  int
}

func newHistory(rng *rand.Rand, messages int) *history {
	h := &history{cases: map[string]string{}}
	for m := range messages {
		var rows []change.Change
		for range 1 + rng.IntN(6) {
			key, item, visits := fmt.Sprint(rng.IntN(12)), fmt.Sprintf("i%d-%d", m, len(rows)), fmt.Sprint(rng.IntN(9))
			switch rng.IntN(8) {
			case 0:
				rows = append(rows, row(change.Create, key, item, "x"))
				h.refused++
				continue
			case 1:
				rows = append(rows, row(change.Delete, key, item, ""))
				delete(h.cases, key)
				continue
			}
			rows = append(rows, row(change.Update, key, item, visits))
			h.cases[key] = fmt.Sprintf("%s=%s/v1/%s", key, item, visits)
		}
		h.messages = append(h.messages, rows)
	}
	return h
}

// compare holds the warehouse and the quarantine against the reference.
func (r *rig) compare(h *history) {
	r.t.Helper()
	want := strings.Join(slices.Sorted(maps.Values(h.cases)), " ")
	if got := r.cases(); got != want {
		r.t.Errorf("the cases are\n%s\nwant\n%s", got, want)
	}
	for _, table := range []string{"store.cases", "restricted.person_records"} {
		if n := r.twice(table); n != "0" {
			r.t.Errorf("%s rows of %s stand twice", n, table)
		}
	}
	if got := r.strings("SELECT concat(toString(count()), '/', toString(uniqExact(version))) FROM store.quarantine_log WHERE dataset = ?", r.dataset)[0]; got != fmt.Sprintf("%d/%d", h.refused, h.refused) {
		r.t.Errorf("rows in quarantine, and distinct ones: %s, want %d", got, h.refused)
	}
	refused := r.refused()
	if len(refused) != h.refused {
		r.t.Errorf("the bytes of %d rows wait, want %d", len(refused), h.refused)
	}
	for version, n := range refused {
		if n != 1 {
			r.t.Errorf("the bytes of version %d wait %d times", version, n)
		}
	}
}

// I3: whatever is ended at whatever instant, the warehouse is as if nothing had happened.
func TestEndedAtAnyInstant(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	for round := range 10 {
		t.Run(fmt.Sprint(round), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, uint64(round)))
			r := newRig(t)
			h := newHistory(rng, 30)
			var last uint64
			for i, rows := range h.messages {
				last = r.publish(rows...)
				if i%5 != 4 {
					continue
				}
				_, stop := r.start(r.contract(1), small)
				time.Sleep(time.Duration(rng.IntN(60_000)) * time.Microsecond)
				if err := stop(); err != nil {
					t.Fatal(err)
				}
			}
			r.loadThrough(r.contract(1), last)
			r.compare(h)
		})
	}
}

func TestKilledWarehouse(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	r := newRig(t)
	h := newHistory(rng, 60)
	f, stop := r.start(r.contract(1), small)
	var last uint64
	for i, rows := range h.messages {
		last = r.publish(rows...)
		if i%20 == 10 {
			time.Sleep(time.Duration(rng.IntN(20_000)) * time.Microsecond)
			if err := engines.KillClickHouse(); err != nil {
				t.Fatal(err)
			}
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	if err := f.Drain(ctx, last); err != nil {
		t.Fatal(err)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	r.compare(h)
}

// recorded writes a range down as a process does that is killed right afterwards.
func (r *rig) recorded(version int, years []int, first, last uint64, messages, rows int) {
	r.t.Helper()
	loads, _, _, err := r.bus.OpenLoads(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	c := r.contract(version)[r.dataset]
	if err := r.bus.PutContract(r.t.Context(), c.Hash, c.Zone, c.Text); err != nil {
		r.t.Fatal(err)
	}
	if err := loads.Record(r.t.Context(), &bus.Range{First: first, Last: last, Messages: messages, Rows: rows, Reason: "age",
		Contracts: map[string]string{r.dataset: c.Hash}, Calendar: years}); err != nil {
		r.t.Fatal(err)
	}
}

// I3: a range is read again with what it was recorded with, whatever has become of it since.
func TestReplayUsesTheRecordedContract(t *testing.T) {
	r := newRig(t)
	first := r.publish(row(change.Create, "1", "a", "1"), row(change.Create, "2", "b", "x"))
	r.recorded(1, r.calendar.Years(), first, first, 1, 2)
	last := r.publish(row(change.Create, "3", "c", "x"))
	r.loadThrough(r.contract(2), last)
	if got := r.cases(); got != "1=a/v1/1 3=c/v2/NULL" {
		t.Errorf("the cases are %q", got)
	}
	if got := r.held(); got != "waiting:format:visits" {
		t.Errorf("in quarantine %q", got)
	}
}

func TestReplayUsesTheRecordedCalendar(t *testing.T) {
	r := newRig(t)
	first := r.publish(row(change.Create, "1", "a", "1")) // closed in 2026
	r.recorded(1, []int{2024, 2025}, first, first, 1, 1)
	last := r.publish(row(change.Create, "2", "b", "1"))
	r.loadThrough(r.contract(1), last)
	if got := r.cases() + " " + r.held(); got != "2=b/v1/1 waiting:calendar_unpublished:closed" {
		t.Error(got)
	}
}

func TestReplayKnowsThatThereWasNoContract(t *testing.T) {
	r := newRig(t)
	first := r.publish(row(change.Create, "1", "a", "1"))
	loads, _, _, err := r.bus.OpenLoads(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := loads.Record(t.Context(), &bus.Range{First: first, Last: first, Messages: 1, Rows: 1, Contracts: map[string]string{}, Calendar: r.calendar.Years()}); err != nil {
		t.Fatal(err)
	}
	r.loadThrough(r.contract(1), first)
	if got := r.cases() + r.held(); got != "waiting:no_contract:" {
		t.Error(got)
	}
}

// I3: fewer messages than were recorded are other rows; they must not be loaded under the same token.
func TestReplayRefusesWhatHasExpired(t *testing.T) {
	r := newRig(t)
	first := r.publish(row(change.Create, "1", "a", "1"))
	last := r.publish(row(change.Create, "2", "b", "1"))
	r.recorded(1, r.calendar.Years(), first, last, 2, 2)
	r.expire(first)
	f, stop := r.start(r.contract(1), small)
	if err := f.Drain(t.Context(), last); !errors.Is(err, bus.ErrExpired) {
		t.Errorf("got %v", err)
	}
	if err := stop(); !errors.Is(err, bus.ErrExpired) && err != nil {
		t.Errorf("the flow ended with %v", err)
	}
	if got := r.cases(); got != "" {
		t.Errorf("loaded were %q", got)
	}
}

// The ledger is the lease: of two flows one is fenced, and nothing is loaded twice.
func TestSecondFlowIsFenced(t *testing.T) {
	r := newRig(t)
	h := newHistory(rand.New(rand.NewPCG(1, 2)), 20)
	ended := make(chan int, 2)
	errs := make([]error, 2)
	ctx, cancel := context.WithCancel(t.Context())
	flows := []interface {
		Run(context.Context) error
		Drain(context.Context, uint64) error
	}{r.elsewhere(r.contract(1), small), r.elsewhere(r.contract(1), small)}
	for i, f := range flows {
		go func() {
			errs[i] = f.Run(ctx)
			ended <- i
		}()
	}
	var last uint64
	for _, rows := range h.messages {
		last = r.publish(rows...)
	}
	loser := <-ended
	if !errors.Is(errs[loser], bus.ErrFenced) {
		t.Fatalf("one ended with %v", errs[loser])
	}
	// Both may be fenced when they begin at once; whoever comes next goes on.
	if err := flows[1-loser].Drain(t.Context(), last); err != nil && !errors.Is(err, bus.ErrFenced) {
		t.Fatal(err)
	}
	cancel()
	<-ended
	r.loadThrough(r.contract(1), last)
	r.compare(h)
}

// I3: a range is written down before it is loaded. A flow that has lost the ledger to another cannot write it down, and
// so loads nothing; nor does it publish to quarantine.
func TestNothingIsLoadedThatIsNotRecorded(t *testing.T) {
	r := newRig(t)
	f, stop := r.start(r.contract(1), small)
	first := r.publish(row(change.Create, "1", "a", "1"))
	if err := f.Drain(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	r.recorded(1, r.calendar.Years(), first+1, first+1, 1, 2)
	last := r.publish(row(change.Create, "2", "b", "1"), row(change.Create, "3", "c", "x"))
	if err := f.Drain(t.Context(), last); !errors.Is(err, bus.ErrFenced) {
		t.Fatalf("the flow that lost the ledger: %v", err)
	}
	if got := r.cases() + r.held(); got != "1=a/v1/1" || len(r.refused()) != 0 {
		t.Errorf("it loaded %q, and quarantined the bytes of %d rows", got, len(r.refused()))
	}
	if err := stop(); err != nil && !errors.Is(err, bus.ErrFenced) {
		t.Fatal(err)
	}
}

// Ranges are finished in the order of the bus, though a small one is loaded sooner than the large one before it.
func TestSmallRangeDoesNotOvertake(t *testing.T) {
	r := newRig(t)
	rows := make([]change.Change, 50_000)
	for i := range rows {
		rows[i] = row(change.Create, fmt.Sprint("large", i), "a", "1")
	}
	r.publish(rows...)
	last := r.publish(row(change.Create, "small", "a", "1"))
	f, stop := r.start(r.contract(1), columnar.Limits{Rows: 1000, Bytes: 64 << 20, Age: time.Millisecond})
	if err := f.Drain(t.Context(), last); err != nil {
		t.Fatal(err)
	}
	if got := r.strings("SELECT toString(count()) FROM store.cases WHERE dataset = ?", r.dataset)[0]; got != "50001" {
		t.Errorf("everything is said to be loaded, and %s rows of 50001 are there", got)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
}

// After a Drain, ranges are as large as before it.
func TestDrainIsForOneRange(t *testing.T) {
	r := newRig(t)
	f, stop := r.start(r.contract(1), columnar.Limits{Rows: 1000, Bytes: 1 << 20, Age: 2 * time.Second})
	if err := f.Drain(t.Context(), r.publish(row(change.Create, "0", "a", "1"))); err != nil {
		t.Fatal(err)
	}
	var last uint64
	for i := range 40 {
		last = r.publish(row(change.Create, fmt.Sprint(i+1), "a", "1"))
	}
	if err := f.Drain(t.Context(), last); err != nil {
		t.Fatal(err)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	ranges := r.strings("SELECT toString(uniqExact(first_sequence)) FROM store.load_log WHERE has(mapKeys(contracts), ?)", r.dataset)[0]
	if ranges != "2" && ranges != "3" {
		t.Errorf("41 messages and two Drains became %s ranges", ranges)
	}
}

func TestDrainHearsOfTheEnd(t *testing.T) {
	r := newRig(t)
	f, stop := r.start(r.contract(1), small)
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if err := f.Drain(t.Context(), 1<<40); err == nil {
		t.Error("a flow that ended has loaded what is to come")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := r.flow(r.contract(1), small).Drain(ctx, 1<<40); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}
