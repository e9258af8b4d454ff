package web_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/shirecounty/shire/connectors"
	"github.com/shirecounty/shire/connectors/conformance"
	"github.com/shirecounty/shire/schemas/change"
)

// Records that are written while pages are read move others over the edge of a page.
func TestPagesShift(t *testing.T) {
	for _, mode := range []string{"all", "counted", "linked"} {
		t.Run(mode, func(t *testing.T) {
			a := newAPI(t, mode)
			want := map[string]string{}
			for i := range 40 {
				insert(a, fmt.Sprint(100+i))
				want[fmt.Sprint(100+i)] = fmt.Sprint("name ", 100+i)
			}
			r := rigOf(t, a)
			r.load()
			r.holds(want)
			// From now on a record of the first page goes, or comes, after each page that was read.
			step := 0
			a.answering(func(_ http.ResponseWriter, req *http.Request) bool {
				if req.URL.Path != "/all" && req.URL.Path != "/linked" {
					return false
				}
				switch step++; {
				case step > 8:
				case step%2 == 0:
					remove(a, fmt.Sprint(100+step))
					delete(want, fmt.Sprint(100+step))
				default:
					id := fmt.Sprint(10 + step)
					insert(a, id)
					want[id] = "name " + id
				}
				return false
			})
			r.load()
			a.answering(nil)
			deletions := map[string]bool{}
			for _, s := range r.bus.Said("records") {
				if s.Op == change.Delete {
					deletions[s.Key] = true
				}
			}
			for key := range want {
				if deletions[key] {
					t.Errorf("%s was only moved, and said to be deleted", key)
				}
			}
			r.load()
			r.holds(want)
		})
	}
}

// What lost its place between two pages is found although its time is past.
func TestSincePagesThatMove(t *testing.T) {
	a := newAPI(t, "linked")
	for i := range 30 {
		insert(a, fmt.Sprint(i))
	}
	r := rigOf(t, a, func(d map[string]any) { d["since"].(map[string]any)["overlap"] = "0" })
	hidden := false
	a.answering(func(w http.ResponseWriter, req *http.Request) bool {
		if hidden || number(req, "p", 1) != 3 {
			return false
		}
		hidden = true
		w.Header().Set("Link", fmt.Sprintf(`<%s/linked?limit=7&p=4>; rel="next"`, a.URL)) // the records of the third page were on the second by then
		w.Write([]byte("[]"))
		return true
	})
	r.load()
	if n := len(r.bus.Records("records")); n != 30 {
		t.Errorf("%d records of 30", n)
	}
	r.load()
	if r.said() != 30 {
		t.Errorf("%d changes", r.said())
	}
}

func TestRecordsOfOneTime(t *testing.T) {
	a := newAPI(t, "since")
	same := func(n, first int) {
		a.mu.Lock()
		defer a.mu.Unlock()
		base := (a.changes + 3) / 3 * 3
		for i := range n {
			id := fmt.Sprint(first + i)
			a.put(id, map[string]json.RawMessage{"id": json.RawMessage(id), "name": json.RawMessage(`"tie"`)})
			a.rows[id].change = base // all at one time
		}
		a.changes = base + 3
	}
	same(3, 100)
	same(9, 200)
	same(4, 300)
	smaller := func(size int, param bool) func(map[string]any) {
		return func(d map[string]any) {
			p := map[string]any{"kind": "since", "size": size}
			if param {
				p["size_param"] = "limit"
			}
			d["pagination"] = p
		}
	}
	// Larger pages are asked for where a page has one time from beginning to end.
	r := rigOf(t, a, smaller(2, true))
	r.load()
	if n := len(r.bus.Records("records")); n != 16 {
		t.Errorf("%d records of 16", n)
	}
	same(2, 400)
	r.load()
	if n := len(r.bus.Records("records")); n != 18 || r.said() != 18 {
		t.Errorf("%d records of 18 in %d changes", n, r.said())
	}
	// Where that is not possible, it is said that later ones are not read.
	same(30, 500)
	same(1, 600)
	r = rigOf(t, a, smaller(20, false))
	r.load()
	if !slices.Contains(r.problems(), "one_time") {
		t.Errorf("problems %v with %d records", r.problems(), len(r.bus.Records("records")))
	}
}

func TestUnsortedTimes(t *testing.T) {
	r := serving(t, map[string]any{
		"since": map[string]any{"param": "s", "field": "at"}, "pagination": map[string]any{"kind": "since", "size": 10},
	}, func(w http.ResponseWriter, _ *http.Request) {
		w.Write([]byte(`[{"id": 1, "at": "2026-01-02T00:00:00Z"}, {"id": 2, "at": "2026-01-01T00:00:00Z"}]`))
	})
	r.refused("not_sorted")
}

// A record from the future does not keep later ones from being read.
func TestTimesInTheFuture(t *testing.T) {
	records := `[{"id": 1, "name": "a", "at": "2099-01-01T00:00:00Z"}, {"id": 2, "name": "b", "at": "2026-01-01T00:00:00Z"}, {"id": 3, "name": "c"}]`
	var asked []string
	r := serving(t, map[string]any{"since": map[string]any{"param": "s", "field": "at", "overlap": "1h"}}, func(w http.ResponseWriter, req *http.Request) {
		asked = append(asked, req.URL.Query().Get("s"))
		w.Header().Set("Date", "Wed, 25 Nov 2026 08:00:00 GMT")
		w.Write([]byte(records))
	})
	r.load()
	records = `[]`
	r.load()
	if want := []string{"", "2026-11-25T14:59:59+08:00"}; !slices.Equal(asked, want) {
		t.Errorf("asked for %q, not %q", asked, want)
	}
	if !slices.Contains(r.problems(), "time_missing") {
		t.Error("the record without a time was not told of")
	}
}

func TestMaxDeletions(t *testing.T) {
	a := newAPI(t, "all")
	ids := []string{"1", "2", "3", "4", "5", "6", "7", "8", "9", "10"}
	insert(a, ids...)
	r := rigOf(t, a)
	r.with["max_deletions"] = "30%"
	r.process = r.connector()
	r.load()
	remove(a, "1", "2", "3", "4")
	insert(a, "11")
	r.load()
	if n := len(r.bus.Records("records")); n != 11 || !slices.Contains(r.problems(), "too_many_deletions") {
		t.Fatalf("%d records, %v", n, r.problems())
	}
	insert(a, "4", "3")
	r.load()
	if n := len(r.bus.Records("records")); n != 9 || len(r.problems()) != 0 {
		t.Fatalf("%d records, %v", n, r.problems())
	}
}

// A pass that held deletions back is no reason to take the next one for unchanged.
func TestHeldDeletionsAreLookedAtAgain(t *testing.T) {
	a := newAPI(t, "all")
	insert(a, "1", "2", "3", "4", "5", "6", "7", "8", "9")
	r := rigOf(t, a, func(d map[string]any) { d["conditional"] = true })
	r.with["max_deletions"] = "10%"
	r.load()
	remove(a, "9", "8")
	r.load()
	r.load()
	if n := len(r.bus.Records("records")); n != 9 {
		t.Errorf("%d records", n)
	}
	r.with["max_deletions"] = "50%"
	r.load()
	if n := len(r.bus.Records("records")); n != 7 {
		t.Errorf("%d records", n)
	}
	a.requests()
	r.load() // and a pass without doubt is
	if asked := a.requests(); len(asked) != 1 {
		t.Errorf("%v", asked)
	}
}

func TestMalformedRecords(t *testing.T) {
	records := `[{"id": 1, "name": "a"}, {"name": "lost"}, 17, null, {"id": "", "name": "blank"}, {"id": 2, "name": "b", "name": "c"}, {"id": 3, "name": "c"}]`
	r := serving(t, map[string]any{"full": true}, func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte(records)) })
	r.with["max_deletions"] = "100%"
	r.load()
	r.holds(map[string]string{"1": "a", "3": "c"})
	malformed := map[string]string{}
	for _, s := range r.bus.Said("records") {
		if s.Op == change.Malformed {
			malformed[s.Raw] = s.Problem
		}
	}
	if len(malformed) != 5 || malformed[`{"name":"lost"}`] == "" || malformed["17"] == "" || malformed["null"] == "" {
		t.Errorf("%v", malformed)
	}
	said := r.said()
	r.load()
	r.load()
	if r.said() != said {
		t.Errorf("malformed records are said with every pass: %+v", r.bus.Said("records"))
	}
	// One that cannot be read may be any: nothing is deleted.
	records = `[{"id": 1, "name": "a"}, {"name": "lost"}]`
	r.load()
	r.holds(map[string]string{"1": "a", "3": "c"})
	if !slices.Contains(r.problems(), "deletions_held") {
		t.Errorf("%v", r.problems())
	}
	records = `[{"id": 1, "name": "a"}]`
	r.load()
	r.holds(map[string]string{"1": "a"})
	// Mended and broken again is news.
	records, said = `[{"id": 1, "name": "a"}, {"name": "lost"}]`, r.said()
	r.load()
	if r.said() != said+1 {
		t.Errorf("%d changes", r.said()-said)
	}
}

func TestTooLargeForAMessage(t *testing.T) {
	r := serving(t, nil, func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `[{"id": 1, "name": %q}, {"id": 2, "name": "b"}]`, strings.Repeat("x", 3<<20))
	})
	r.load()
	r.load()
	r.holds(map[string]string{"2": "b"})
	if r.said() != 2 {
		t.Errorf("%d changes", r.said())
	}
}

func TestDuplicateKeys(t *testing.T) {
	r := serving(t, nil, func(w http.ResponseWriter, _ *http.Request) {
		w.Write([]byte(`[{"id": 1, "name": "a"}, {"id": 1, "name": "b"}]`))
	})
	r.load()
	r.load()
	r.holds(map[string]string{"1": "a"})
	if r.said() != 1 || !slices.Contains(r.problems(), "duplicate_keys") {
		t.Errorf("%d changes, %v", r.said(), r.problems())
	}
}

// A record that changes while pages are read may stand on two of them: the younger one counts.
func TestYoungerOfTwo(t *testing.T) {
	r := serving(t, map[string]any{"since": map[string]any{"param": "s", "field": "at"}}, func(w http.ResponseWriter, _ *http.Request) {
		w.Write([]byte(`[{"id": 1, "name": "a", "at": "2026-01-01"}, {"id": 2, "name": "x", "at": "2026-01-02"}, {"id": 1, "name": "b", "at": "2026-01-03"}, {"id": 2, "name": "y", "at": "2026-01-01"}]`))
	})
	r.load()
	r.holds(map[string]string{"1": "b", "2": "x"})
}

func TestLedgerAndBusMayBeLost(t *testing.T) {
	for mode := range modes {
		t.Run(mode, func(t *testing.T) {
			a := newAPI(t, mode)
			insert(a, "1", "2", "3")
			r := rigOf(t, a)
			r.load()
			// The ledger is lost.
			r.state = t.TempDir()
			r.load()
			if r.said() != 3 {
				t.Errorf("%d changes after the ledger was lost", r.said())
			}
			insert(a, "4")
			remove(a, "1")
			r.load()
			r.holds(map[string]string{"2": "name 2", "3": "name 3", "4": "name 4"})
			// The bus is lost, and the ledger remembers it.
			r.bus = conformance.NewBus()
			r.load()
			r.holds(map[string]string{"2": "name 2", "3": "name 3", "4": "name 4"})
		})
	}
}

func TestOtherSettingsReadAnew(t *testing.T) {
	records := map[string][]string{
		"/old": {`{"id": 1, "name": "a", "at": "2026-01-02T00:00:00Z"}`},
		"/new": {`{"id": 1, "name": "a", "at": "2026-01-02T00:00:00Z"}`, `{"id": 2, "name": "b", "at": "2020-01-01T00:00:00Z"}`, `{"id": 3, "name": "c", "at": "2026-01-03T00:00:00Z"}`},
	}
	dataset := map[string]any{"path": "/old", "since": map[string]any{"param": "s", "field": "at"}}
	r := serving(t, dataset, func(w http.ResponseWriter, req *http.Request) {
		var list []string
		for _, text := range records[req.URL.Path] {
			if !req.URL.Query().Has("s") || !strings.Contains(text, "2020") {
				list = append(list, text)
			}
		}
		w.Write([]byte("[" + strings.Join(list, ",") + "]"))
	})
	r.load()
	records["/old"] = append(records["/old"], records["/new"][2])
	r.load() // what it says carries the time from which it was read
	dataset["path"] = "/new"
	r.load()
	r.holds(map[string]string{"1": "a", "2": "b", "3": "c"})
	if r.said() != 3 {
		t.Errorf("%d changes", r.said())
	}
}

// A pass that is taken up at a later page does not say that what stands on the earlier ones was deleted.
func TestTakenUpPassDeletesNothing(t *testing.T) {
	a := newAPI(t, "keyed")
	want := map[string]string{}
	for i := range 20 {
		insert(a, fmt.Sprint(i))
		want[fmt.Sprint(i)] = fmt.Sprint("name ", i)
	}
	r := rigOf(t, a)
	r.bus.Budget = 16
	if err := r.run(); !errors.Is(err, conformance.ErrKilled) {
		t.Fatal(err)
	}
	r.bus.Restart()
	a.requests()
	remove(a, "19")
	delete(want, "19")
	insert(a, "0") // on a page that was read
	a.Apply(t, conformance.Operation{Kind: conformance.Update, Row: conformance.Row{ID: "1", Name: conformance.Text("changed")}})
	want["1"] = "changed"
	r.load()
	r.holds(want)
	if first := a.requests()[0]; !strings.Contains(first, "behind=") {
		t.Errorf("it began again with %s", first)
	}
	for _, s := range r.bus.Said("records") {
		if s.Op == change.Delete && s.Key != "19" {
			t.Errorf("%s was said to be deleted", s.Key)
		}
	}
}

func TestCursorThatIsForgotten(t *testing.T) {
	a := newAPI(t, "feed")
	for i := range 20 {
		insert(a, fmt.Sprint(i))
	}
	r := rigOf(t, a)
	r.load()
	insert(a, "20")
	forgotten := false
	a.answering(func(w http.ResponseWriter, req *http.Request) bool {
		if !forgotten && req.URL.Query().Has("after") {
			forgotten = true
			w.WriteHeader(http.StatusGone)
			return true
		}
		return false
	})
	r.load()
	if n := len(r.bus.Records("records")); n != 21 || r.said() != 21 || !slices.ContainsFunc(r.events, func(e connectors.Event) bool { return e.Problem == "cursor_expired" }) {
		t.Errorf("%d records, %d changes, events %+v", n, r.said(), r.events)
	}
}

func TestEndlessPages(t *testing.T) {
	n := 0
	r := serving(t, map[string]any{"records": "r", "pagination": map[string]any{"kind": "cursor", "param": "c", "next": "n"}}, func(w http.ResponseWriter, _ *http.Request) {
		n++
		fmt.Fprintf(w, `{"r": [{"id": 1}], "n": %d}`, n%5)
	})
	r.refused("endless")
	// A service that answers with its last page for ever has an end, but not one to delete by.
	r = serving(t, map[string]any{"full": true, "pagination": map[string]any{"kind": "page", "param": "p"}}, func(w http.ResponseWriter, req *http.Request) {
		fmt.Fprintf(w, `[{"id": %d, "name": "a"}]`, min(number(req, "p", 1), 3))
	})
	r.load()
	if n := len(r.bus.Records("records")); n != 3 || !slices.Equal(r.problems(), []string{"page_repeated"}) {
		t.Errorf("%d records, %v", n, r.problems())
	}
}

func TestSparseRecords(t *testing.T) {
	text := ""
	r := serving(t, nil, func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte(text)) })
	r.process = r.connector()
	for _, step := range []struct{ text, columns string }{
		{`[{"id": 1, "name": "a", "note": "x", "office": {"name": "p"}}, {"id": 2}]`, "id|name|note|office.name"},
		{`[{"note": "x", "office": {"name": "p"}, "name": "a", "id": 1}, {"id": 2, "name": "b"}]`, "id|name|note|office.name"},
		{`[{"id": 1, "name": "c"}, {"id": 2, "name": "b"}]`, "id|name|note|office.name"},
		{`[{"id": 1, "name": "c"}, {"name": "d", "id": 2, "phone": 3}]`, "id|name|note|office.name|phone"},
	} {
		text = step.text
		r.load()
		said := r.bus.Said("records")
		if got := said[len(said)-1].Columns; got != step.columns {
			t.Errorf("columns %s, not %s", got, step.columns)
		}
	}
	if r.said() != 5 {
		t.Errorf("%d changes", r.said())
	}
}

// A column that no record of a whole pass had is lost.
func TestColumnsThatNoRecordHas(t *testing.T) {
	var text atomic.Value
	text.Store(`[{"id": 1, "name": "a", "note": "x"}]`)
	r := serving(t, nil, func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte(text.Load().(string))) })
	stop := r.follow(r.connector())
	defer stop()
	for i, step := range []struct{ text, columns string }{
		{`[{"id": 1, "name": "a", "note": "x"}]`, "id|name|note"},
		{`[{"id": 1, "name": "b"}]`, "id|name|note"},
		{`[{"id": 1, "name": "c"}]`, "id|name"},
		{`[{"id": 1, "name": "d", "phone": 3}]`, "id|name|phone"},
	} {
		text.Store(step.text)
		r.until(step.columns, func() bool {
			said := r.bus.Said("records")
			return len(said) == i+1 && said[i].Columns == step.columns
		})
	}
}

func TestStateFolderInUse(t *testing.T) {
	r := serving(t, nil, func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("[]")) })
	r.state = "/dev/null/x"
	if err := r.run(); err == nil || !strings.Contains(err.Error(), "ledger") {
		t.Errorf("%v", err)
	}
	if _, err := os.Stat(r.state); err == nil {
		t.Error("it was made")
	}
}
