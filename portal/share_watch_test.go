package portal

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/shirecounty/shire/pipeline/disclosure"
	"github.com/shirecounty/shire/schemas/county"
	"github.com/shirecounty/shire/schemas/pseudonym"
)

type (
	readerOfDesk = disclosure.Reader
	personID     = pseudonym.ID
	shownPerson  = disclosure.Person
)

// clockOf is a clock that a test sets.
type clockOf struct{ at atomic.Int64 }

func newClockOf(at time.Time) *clockOf {
	c := &clockOf{}
	c.at.Store(at.UnixNano())
	return c
}
func (c *clockOf) now() time.Time       { return time.Unix(0, c.at.Load()) }
func (c *clockOf) pass(d time.Duration) { c.at.Add(int64(d)) }

func TestPaceOfAClient(t *testing.T) {
	clock := newClockOf(time.Now())
	limits := wide
	limits.Rate, limits.Burst = 2, 3
	w := newShareWorld(t, limits, func(o *Options) { o.now = clock.now })
	path := "/api/v1/persons/" + w.node.person(zhang).String()
	ask := func(client string) answer { return w.do(asks(client, http.MethodGet, path, "")) }
	for range 3 {
		if a := ask("civil"); a.status != 200 {
			t.Fatal(a.status, a.text)
		}
	}
	a := ask("civil")
	if a.status != 429 || a.code != codeTooManyRequests || a.header.Get("Retry-After") != "1" {
		t.Errorf("%d %s %v", a.status, a.code, a.header)
	}
	if a := ask("mad"); a.status != 200 {
		t.Errorf("another client pays for it: %d", a.status)
	}
	clock.pass(500 * time.Millisecond)
	if a, b := ask("civil"), ask("civil"); a.status != 200 || b.status != 429 {
		t.Errorf("after half a second: %d %d", a.status, b.status)
	}
}

// Whoever goes through people, records, numbers or cases one after the other is stopped, by whatever way; others go on.
func TestEnumeration(t *testing.T) {
	clock := newClockOf(time.Now())
	limits := county.SharingLimits{Rate: 1e5, Burst: 1e5, Window: county.Duration(10 * time.Minute), Persons: 20, Misses: 8}
	for name, c := range map[string]struct {
		ask    func(n int) call
		most   int // calls until it is stopped
		reason string
	}{
		"people that there are not": {func(n int) call {
			return asks("mad", http.MethodGet, fmt.Sprintf("/api/v1/persons/01234567-89ab-8def-8123-%012x", n), "")
		}, 9, reasonMisses},
		"numbers": {func(n int) call {
			return asks("mad", http.MethodPost, "/api/v1/persons/lookup", `{"number":"`+withDigit(fmt.Sprintf("330127198503%05d", 7000+n))+`"}`)
		}, 9, reasonMisses},
		"keys": {func(n int) call {
			return asks("mad", http.MethodGet, fmt.Sprintf("/api/v1/departments/social_security/datasets/insured_persons/records/S-%d", 100+n), "")
		}, 9, reasonMisses},
		"cases": {func(n int) call {
			return asks("mad", http.MethodGet, "/api/v1/persons/01234567-89ab-8def-8123-456789abcdef", "", caseHeader, fmt.Sprint("C-", 100+n))
		}, 9, reasonMisses},
		"prefills": {func(n int) call {
			return asks("mad", http.MethodPost, fmt.Sprintf("/api/v1/cases/C-%d/prefill", 100+n), "{}", caseHeader, "")
		}, 9, reasonMisses},
		"records that policy refuses": {func(n int) call {
			return asks("mad", http.MethodGet, fmt.Sprintf("/api/v1/departments/civil_affairs/datasets/marriages/records/M-%d", n), "")
		}, 21, reasonPersons},
	} {
		t.Run(name, func(t *testing.T) {
			w := newShareWorld(t, limits, func(o *Options) { o.now = clock.now })
			id := w.node.person(zhang).String()
			before := w.entries()
			stopped := 0
			for n := range 60 {
				if a := w.do(c.ask(n)); a.status == 429 {
					if a.code != codeEnumeration || a.header.Get("Retry-After") == "" {
						t.Fatalf("%s %v", a.code, a.header)
					}
					if stopped++; stopped == 1 && n+1 != c.most {
						t.Errorf("it was stopped at call %d and not %d", n+1, c.most)
					}
				} else if stopped > 0 || a.status == 200 {
					t.Fatalf("call %d: %d", n, a.status)
				}
			}
			if stopped != 60-c.most+1 {
				t.Errorf("%d calls were refused", stopped)
			}
			// The stop is in the log once; what was stopped was not read. A miss that stops has an entry of its own.
			want := uint64(c.most) + 1
			if c.reason == reasonPersons {
				want = uint64(c.most)
			}
			if n := w.entries() - before; n != want {
				t.Errorf("%d entries are new in the access log, and not %d", n, want)
			}
			// Also what it may see otherwise.
			if a := w.do(asks("mad", http.MethodGet, "/api/v1/persons/"+id, "")); a.code != codeEnumeration {
				t.Errorf("it may read what it has a case for: %d", a.status)
			}
			if a := w.do(asks("civil", http.MethodGet, "/api/v1/persons/"+id, "")); a.status != 200 {
				t.Errorf("another client of the department: %d %s", a.status, a.text)
			}
			for _, s := range w.Clients() {
				if (s.StoppedUntil != nil) != (s.Client == "mad") || s.Client == "mad" && s.Reason != c.reason {
					t.Errorf("%+v", s)
				}
			}
			metrics := w.get("/metrics").Body.String()
			for _, line := range []string{`shire_sharing_client_stopped{client="mad"} 1`, `shire_sharing_client_stopped{client="civil"} 0`, `shire_sharing_stops_total{client="mad",reason="` + c.reason + `"} 1`} {
				if !strings.Contains(metrics, line) {
					t.Errorf("/metrics does not show %s", line)
				}
			}
			if !strings.Contains(w.logged.String(), "shire clients lift") {
				t.Error("the log does not say what to do")
			}
			// An operator lets it go on, which is in the log; or the window ends.
			before = w.entries()
			if err := w.Lift(t.Context(), "mad", "某人"); err != nil || w.entries() != before+1 {
				t.Fatalf("%v, %d entries are new", err, w.entries()-before)
			}
			if w.Lift(t.Context(), "mad", "某人") == nil || w.Lift(t.Context(), "nobody", "某人") == nil {
				t.Error("what is not stopped was lifted")
			}
			if a := w.do(asks("mad", http.MethodGet, "/api/v1/persons/"+id, "")); a.status != 200 {
				t.Errorf("lifted: %d %s", a.status, a.text)
			}
			for n := range 60 {
				w.do(c.ask(1000 + n))
			}
			if a := w.do(asks("mad", http.MethodGet, "/api/v1/persons/"+id, "")); a.code != codeEnumeration {
				t.Errorf("again: %d %s", a.status, a.code)
			}
			clock.pass(time.Duration(limits.Window) + time.Second)
			if a := w.do(asks("mad", http.MethodGet, "/api/v1/persons/"+id, "")); a.status != 200 {
				t.Errorf("after the window: %d %s", a.status, a.text)
			}
		})
	}
}

// The watch against a naive model: whatever is asked in whatever order, a client is stopped exactly when more distinct people or
// more misses than it may have lie within the window.
func TestWatchAgainstAModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		clock := newClockOf(time.Unix(1_800_000_000, 0))
		window := time.Minute
		l := county.SharingLimits{Rate: 1e9, Burst: 1e9, Window: county.Duration(window), Persons: rapid.IntRange(1, 6).Draw(rt, "persons"), Misses: rapid.IntRange(1, 4).Draw(rt, "misses")}
		w := newWatch(l, []string{"a", "b"}, clock.now)
		type model struct {
			persons map[int]time.Time
			misses  []time.Time
			until   time.Time
		}
		models := map[string]*model{"a": {persons: map[int]time.Time{}}, "b": {persons: map[int]time.Time{}}}
		for range rapid.IntRange(1, 60).Draw(rt, "steps") {
			clock.pass(time.Duration(rapid.IntRange(0, 20_000).Draw(rt, "ms")) * time.Millisecond)
			name := rapid.SampledFrom([]string{"a", "b"}).Draw(rt, "client")
			m, now := models[name], clock.now()
			if !m.until.IsZero() && !now.Before(m.until) {
				*m = model{persons: map[int]time.Time{}}
			}
			open := m.until.IsZero()
			leave, err := w.enter(name)
			if (err == nil) != open {
				rt.Fatalf("entered: %v, stopped until %v at %v", err, m.until, now)
			}
			if err != nil {
				continue
			}
			if rapid.Bool().Draw(rt, "miss") {
				m.misses = append(m.misses, now)
				n := 0
				for _, at := range m.misses {
					if now.Sub(at) < window {
						n++
					}
				}
				if err = w.missed(name); (err != nil) != (n > l.Misses) {
					rt.Fatalf("%d misses of %d: %v", n, l.Misses, err)
				}
			} else {
				who := rapid.IntRange(0, 12).Draw(rt, "who")
				m.persons[who] = now
				n := 0
				for _, at := range m.persons {
					if now.Sub(at) < window {
						n++
					}
				}
				if err = w.about(name, fmt.Sprint(who)); (err != nil) != (n > l.Persons) {
					rt.Fatalf("%d persons of %d: %v", n, l.Persons, err)
				}
			}
			if err != nil {
				m.until = now.Add(window)
			}
			leave()
			if c := w.clients[name]; len(c.persons) > l.Persons+1 || len(c.misses) > l.Misses+1 { // I10
				rt.Fatalf("%d persons and %d misses are remembered", len(c.persons), len(c.misses))
			}
		}
	})
}

// I10: a client that does not wait for its answers is not let in without end.
func TestCallsAtOnceAreBounded(t *testing.T) {
	w := newWatch(wide, []string{"a"}, time.Now)
	var group sync.WaitGroup
	var in atomic.Int64
	for range 500 {
		group.Go(func() {
			if _, err := w.enter("a"); err == nil {
				in.Add(1)
			}
		})
	}
	group.Wait()
	if in.Load() != mostInside {
		t.Errorf("%d are inside", in.Load())
	}
}
