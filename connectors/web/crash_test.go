package web_test

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/shirecounty/shire/connectors/conformance"
	"github.com/shirecounty/shire/schemas/change"
)

// Whatever is killed, lost or answered wrongly on the way: in the end the bus holds what the table holds, and nothing was
// said that changed nothing.
func TestCrashesLeaveTheTable(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		a := newAPI(t, rapid.SampledFrom(slices.Sorted(maps.Keys(modes))).Draw(rt, "mode"))
		defer a.Close()
		r := rigOf(t, a)
		want := map[string]string{}
		for range rapid.IntRange(1, 4).Draw(rt, "rounds") {
			for range rapid.IntRange(0, 25).Draw(rt, "operations") {
				id := fmt.Sprint(rapid.IntRange(1, 25).Draw(rt, "id"))
				if _, there := want[id]; there && rapid.IntRange(0, 3).Draw(rt, "delete") == 0 {
					remove(a, id)
					delete(want, id)
					continue
				}
				name := rapid.SampledFrom([]string{"", "x", "y"}).Draw(rt, "name")
				a.Apply(t, conformance.Operation{Kind: conformance.Update, Row: conformance.Row{ID: id, Name: &name}})
				want[id] = name
			}
			for range rapid.IntRange(0, 3).Draw(rt, "kills") {
				if rapid.IntRange(0, 4).Draw(rt, "ledger lost") == 0 {
					os.RemoveAll(r.state)
				}
				fault, after := rapid.IntRange(0, 3).Draw(rt, "fault"), rapid.IntRange(0, 4).Draw(rt, "after requests")
				a.answering(func(w http.ResponseWriter, _ *http.Request) bool {
					if after--; after >= 0 || fault == 0 {
						return false
					}
					switch fault {
					case 1:
						w.WriteHeader(http.StatusInternalServerError)
					case 2:
						w.Write([]byte(`{"items": [`))
					case 3:
						w.WriteHeader(http.StatusBadRequest)
					}
					return true
				})
				r.bus.Restart()
				r.bus.Budget, r.bus.Lose = rapid.IntRange(0, 12).Draw(rt, "calls"), rapid.IntRange(0, 4).Draw(rt, "sent while dying")
				if err := r.run(); err != nil && fault == 0 && !errors.Is(err, conformance.ErrKilled) {
					rt.Fatal(err)
				}
				a.answering(nil)
				r.bus.Restart()
			}
			if err := r.run(); err != nil {
				rt.Fatal(err)
			}
			got := map[string]string{}
			for key, record := range r.bus.Records("records") {
				got[key] = record["name"]
			}
			if !maps.Equal(got, want) {
				rt.Fatalf("%s: the bus holds %v\nthe table %v", a.mode, got, want)
			}
		}
		state := map[string]string{}
		for _, s := range r.bus.Said("records") {
			old, known := state[s.Key]
			switch {
			case s.Op == change.Create && known, s.Op == change.Update && (!known || old == s.Values), s.Op == change.Delete && !known, s.Op == change.Snapshot:
				rt.Fatalf("%s of %q to %q, known %v", s.Op, s.Key, s.Values, known)
			case s.Op == change.Delete:
				delete(state, s.Key)
			default:
				state[s.Key] = s.Values
			}
		}
	})
}
