package web_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/shirecounty/shire/connectors"
	"github.com/shirecounty/shire/connectors/conformance"
	"github.com/shirecounty/shire/schemas/change"
)

func (r *rig) survey(keys ...string) map[string]string {
	r.t.Helper()
	got := map[string]string{}
	err := r.connector().(connectors.Surveyor).Survey(r.t.Context(), "records", keys, func(columns []string, c change.Change) error {
		if _, twice := got[c.Key]; twice || c.Position != "" || len(columns) != len(c.Values) {
			return fmt.Errorf("%+v under %v", c, columns)
		}
		got[strings.Clone(c.Key)] = c.Values[slices.Index(columns, "name")]
		return nil
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return got
}

func TestSurvey(t *testing.T) {
	for _, mode := range slices.Sorted(maps.Keys(modes)) {
		t.Run(mode, func(t *testing.T) {
			a := newAPI(t, mode)
			want := map[string]string{}
			for i := range 30 {
				insert(a, fmt.Sprint(i))
				want[fmt.Sprint(i)] = fmt.Sprint("name ", i)
			}
			remove(a, "3", "4")
			delete(want, "3")
			delete(want, "4")
			a.Apply(t, conformance.Operation{Kind: conformance.Update, Row: conformance.Row{ID: "5", Name: conformance.Text("changed")}})
			want["5"] = "changed"
			r := rigOf(t, a)
			stop := r.follow(r.connector()) // beside a run
			if got := r.survey(); !maps.Equal(got, want) {
				t.Errorf("%v", got)
			}
			stop()
			if got := r.survey("3", "5", "77"); !maps.Equal(got, map[string]string{"5": "changed"}) {
				t.Errorf("%v", got)
			}
			if left, err := os.ReadDir(r.state); err != nil || len(left) != 1 {
				t.Errorf("left behind: %v, %v", left, err)
			}
		})
	}
}

func TestResend(t *testing.T) {
	for _, mode := range slices.Sorted(maps.Keys(modes)) {
		t.Run(mode, func(t *testing.T) {
			a := newAPI(t, mode)
			for i := range 20 {
				insert(a, fmt.Sprint(i))
			}
			r := rigOf(t, a)
			r.load()
			c := r.connector()
			// Without a run it waits for one, and gives up with its context.
			ended, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
			defer cancel()
			if err := c.(connectors.Resender).Resend(ended, "records", []string{"1"}); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%v", err)
			}
			before := r.said()
			done := make(chan error, 1)
			go func() { done <- c.(connectors.Resender).Resend(t.Context(), "records", []string{"7", "99", "8", "7"}) }()
			stop := r.follow(c)
			if err := <-done; err != nil {
				t.Fatal(err)
			}
			stop()
			r.bus.Linger()
			got := map[string]change.Op{}
			for _, s := range r.bus.Said("records")[before:] {
				got[s.Key] = s.Op
			}
			if !maps.Equal(got, map[string]change.Op{"7": change.Snapshot, "8": change.Snapshot, "99": change.Delete}) {
				t.Errorf("%v", got)
			}
			before = r.said()
			r.load()
			if r.said() != before {
				t.Errorf("said again: %+v", r.bus.Said("records")[before:])
			}
		})
	}
}

// What was sent again is known, and is not found anew by the passes that follow.
func TestResendIsRemembered(t *testing.T) {
	for _, mode := range slices.Sorted(maps.Keys(modes)) {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			a := newAPI(t, mode)
			insert(a, "1", "2", "3")
			r := rigOf(t, a)
			r.with["poll"] = "50ms"
			c := r.connector()
			stop := r.follow(c)
			r.until("the first pass", func() bool { return len(r.bus.Records("records")) == 3 })
			for i := range 5 {
				a.Apply(t, conformance.Operation{Kind: conformance.Update, Row: conformance.Row{ID: "2", Name: conformance.Text(fmt.Sprint("changed ", i))}})
				if err := c.(connectors.Resender).Resend(t.Context(), "records", []string{"2"}); err != nil {
					t.Fatal(err)
				}
			}
			a.requests()
			r.until("further passes", func() bool { a.mu.Lock(); defer a.mu.Unlock(); return len(a.asked) > 6 })
			stop()
			r.holds(map[string]string{"1": "name 1", "2": "changed 4", "3": "name 3"})
			state := map[string]string{}
			for _, s := range r.bus.Said("records") {
				if s.Op != change.Snapshot && state[s.Key] == s.Values {
					t.Errorf("%s was said again: %s", s.Key, s.Values)
				}
				state[s.Key] = s.Values
			}
		})
	}
}

func TestResendGetsTheErrorOfTheRun(t *testing.T) {
	r := serving(t, nil, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) })
	c := r.connector()
	done := make(chan error, 1)
	go func() { done <- c.(connectors.Resender).Resend(t.Context(), "records", []string{"1"}) }()
	for {
		if err := c.Run(t.Context(), r.bus, true); err == nil {
			t.Fatal("the run ended well")
		}
		select {
		case err := <-done:
			if err == nil {
				t.Error("what was not sent was reported as sent")
			}
			return
		case <-time.After(time.Millisecond): // the wish may have come too late for that run
		}
	}
}

// The order of what is sent again and of what changes leaves the newest as the last.
func TestResendBesideChanges(t *testing.T) {
	for _, mode := range slices.Sorted(maps.Keys(modes)) {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			a := newAPI(t, mode)
			for i := range 30 {
				insert(a, fmt.Sprint(i))
			}
			r := rigOf(t, a)
			c := r.connector()
			stop := r.follow(c)
			var wg sync.WaitGroup
			var over atomic.Bool
			wg.Go(func() {
				random := rand.New(rand.NewPCG(3, 4))
				for !over.Load() {
					key := fmt.Sprint(random.IntN(35))
					if err := c.(connectors.Resender).Resend(t.Context(), "records", []string{key}); err != nil {
						t.Error(err)
						return
					}
				}
			})
			random := rand.New(rand.NewPCG(5, 6))
			for i := range 150 {
				id := fmt.Sprint(random.IntN(35))
				op := conformance.Operation{Kind: conformance.Update, Row: conformance.Row{ID: id, Name: conformance.Text(fmt.Sprint("change ", i))}}
				if random.IntN(4) == 0 {
					op.Kind = conformance.Delete
				}
				a.Apply(t, op)
				if i%10 == 0 {
					time.Sleep(time.Millisecond)
				}
			}
			want := map[string]string{}
			for id, row := range a.rows {
				if !row.deleted {
					want[id] = strings.Trim(string(row.values["name"]), `"`)
				}
			}
			same := func() bool {
				got := map[string]string{}
				for key, record := range r.bus.Records("records") {
					got[key] = record["name"]
				}
				return maps.Equal(got, want)
			}
			r.until("the newest", same)
			over.Store(true)
			wg.Wait()
			r.until("the newest", same)
			stop()
			r.load()
			if !same() {
				t.Error("the last run made another of it")
			}
		})
	}
}
