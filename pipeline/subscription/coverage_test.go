package subscription

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/shirecounty/shire/pipeline/audit"
	"github.com/shirecounty/shire/pipeline/serving"
	"github.com/shirecounty/shire/schemas/change"
	"github.com/shirecounty/shire/schemas/contract"
	"github.com/shirecounty/shire/schemas/county"
	"github.com/shirecounty/shire/schemas/pseudonym"
	"github.com/shirecounty/shire/schemas/sharing"
)

// held are records and whom they mention, as a test draws them; it is Records and Identities at once.
type held struct {
	Records
	list  []*serving.Record
	whose map[pseudonym.ID]pseudonym.ID
}

func (h *held) ByMentions(mentions []pseudonym.ID) (out []*serving.Record, err error) {
	for _, r := range h.list {
		if slices.ContainsFunc(r.Mentions, func(m serving.Mention) bool { return slices.Contains(mentions, m.Record) }) {
			out = append(out, r)
		}
	}
	return out, nil
}

func (h *held) Of(person bool, id pseudonym.ID) (party pseudonym.ID, mentions []pseudonym.ID, ok bool) {
	party, ok = h.whose[id]
	for m, p := range h.whose {
		if p == party {
			mentions = append(mentions, m)
		}
	}
	return party, mentions, ok && person
}

// What may be sent of a record, against the rule in its simplest words: for each open case that a person of the record has applied for
// at the department, what live grants to it cover for that case's item; nothing of what may only be compared; and one access for
// each such case. A record about nobody needs no case, and gives no access.
func TestCover(t *testing.T) {
	contracts := contract.Set{}
	for _, text := range []string{welfare, halls, roads} {
		d, err := contract.Parse("c.yaml", []byte(text), "Asia/Shanghai")
		if err != nil {
			t.Fatal(err)
		}
		contracts[d.Name] = d
	}
	now := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	shown, silent, looks := 0, 0, 0
	rapid.Check(t, func(t *rapid.T) {
		for range 6 {
			of := rapid.SampledFrom([]string{"welfare", "welfare", "roads"}).Draw(t, "of")
			departments, items := rapid.SampledFrom([]string{"hall", "hall", "civil"}), rapid.SampledFrom([]string{"birth", "death"})
			var grants []*sharing.Request
			for i := range rapid.IntRange(1, 4).Draw(t, "grants") {
				g := &sharing.Request{ID: fmt.Sprint(i), From: rapid.SampledFrom([]string{"hall", "hall", "hall", "police"}).Draw(t, "to"), Owner: "civil",
					State: rapid.SampledFrom([]sharing.State{sharing.Live, sharing.Live, sharing.Live, sharing.Suspended}).Draw(t, "state"),
					Terms: sharing.Terms{Dataset: rapid.SampledFrom([]string{of, of, of, "hall_cases"}).Draw(t, "dataset"), Purpose: rapid.SampledFrom([]string{"eligibility", "eligibility", "review"}).Draw(t, "purpose"),
						Fields: map[string]sharing.Mask{}, Items: rapid.SampledFrom([][]string{{"birth"}, {"death"}, {"birth", "death"}}).Draw(t, "items"), From: now.Add(-time.Hour), Until: now.Add(time.Hour)}}
				for _, f := range contracts[of].Fields {
					if rapid.Bool().Draw(t, f.Name) {
						g.Terms.Fields[f.Name] = rapid.SampledFrom(sharing.Masks).Draw(t, "mask")
					}
				}
				if rapid.Bool().Draw(t, "rows") {
					g.Terms.Rows.Divisions = []string{rapid.SampledFrom([]string{"330001", "44"}).Draw(t, "in")}
				}
				grants = append(grants, g)
			}
			purpose, division := rapid.SampledFrom([]string{"eligibility", "eligibility", "review"}).Draw(t, "for"), rapid.SampledFrom([]string{"330001001", "44", ""}).Draw(t, "division")
			wanted := rapid.SampledFrom([][]string{nil, nil, {"level", "state"}}).Draw(t, "wanted")
			h := &held{whose: map[pseudonym.ID]pseudonym.ID{}}
			mention := func(n int, person byte) pseudonym.ID {
				id := pseudonym.ID{0: 1, 1: byte(n)}
				h.whose[id] = pseudonym.ID{0: 2, 1: person}
				return id
			}
			person := rapid.SampledFrom([]byte{1, 2})
			record := []serving.Mention{{Person: true, Role: "holder", Record: mention(0, 1)}}
			if rapid.Bool().Draw(t, "twice the same") {
				record = append(record, serving.Mention{Person: true, Role: "holder", Record: mention(1, 1)})
			}
			record = append(record, serving.Mention{Person: false, Role: "holder", Record: mention(2, 1)}, serving.Mention{Person: true, Role: "holder", Record: pseudonym.ID{0: 9}}) // no person; nobody
			covers := func(item string) map[string]sharing.Mask {
				out := map[string]sharing.Mask{}
				for _, g := range grants {
					in := len(g.Terms.Rows.Divisions) == 0 || division != "" && strings.HasPrefix(division, g.Terms.Rows.Divisions[0])
					if g.From != "hall" || g.State != sharing.Live || g.Terms.Dataset != of || g.Terms.Purpose != purpose || !in || item != "" && !slices.Contains(g.Terms.Items, item) {
						continue
					}
					for name, m := range g.Terms.Fields {
						if (wanted == nil || slices.Contains(wanted, name)) && slices.Index(sharing.Masks, m) >= slices.Index(sharing.Masks, out[name]) {
							out[name] = m
						}
					}
				}
				maps.DeleteFunc(out, func(_ string, m sharing.Mask) bool { return m == sharing.Equals })
				return out
			}
			want, cases := map[string]sharing.Mask{}, []string{}
			for n := range rapid.IntRange(0, 4).Draw(t, "cases") {
				c := serving.Case{Number: fmt.Sprint("C", n), Department: departments.Draw(t, "at"), Item: items.Draw(t, "item"), Opened: now.Add(-time.Hour)}
				if rapid.IntRange(0, 3).Draw(t, "closed") == 3 {
					c.Closed = now
				}
				applicant, agent := person.Draw(t, "applicant"), person.Draw(t, "agent")
				r := &serving.Record{Dataset: "hall_cases", Case: &c, Mentions: []serving.Mention{{Person: true, Role: "agent", Record: mention(10+2*n, agent)}, {Person: true, Role: "applicant", Record: mention(11+2*n, applicant)}}}
				h.list = append(h.list, r, &serving.Record{Dataset: "welfare", Mentions: r.Mentions})
				if of == "roads" || c.Department != "hall" || !c.Closed.IsZero() || applicant != 1 || len(covers(c.Item)) == 0 {
					continue
				}
				cases = append(cases, c.Number+" "+c.Item)
				for name, m := range covers(c.Item) {
					if slices.Index(sharing.Masks, m) >= slices.Index(sharing.Masks, want[name]) {
						want[name] = m
					}
				}
			}
			if of == "roads" {
				want = covers("")
			}
			s := &Service{Options: Options{Clock: func() time.Time { return now }, Contracts: contracts, Identities: h, Records: h}}
			w := &worker{s: s, dataset: contracts[of], personal: contracts[of].AboutSomebody(), config: county.Subscription{Name: "n", Department: "hall", Dataset: of, Purpose: purpose, Fields: wanted}}
			got, err := w.covered(record, division, grants)
			if err != nil || len(got.fields)+len(want) > 0 && !maps.Equal(got.fields, want) {
				t.Fatalf("covered is %v, want %v, %v", got.fields, want, err)
			}
			var seen []string
			for _, a := range got.accesses {
				seen = append(seen, a.CaseNumber+" "+a.ItemCode)
				item := a.ItemCode
				if !slices.Equal(a.Fields, slices.Sorted(maps.Keys(covers(item)))) || len(a.Persons) != 1 || a.Persons[0] != (pseudonym.ID{0: 2, 1: 1}) || a.Caller != "subscription/n" || a.Purpose != purpose || a.Decision != "granted" || !a.At.Equal(now) {
					t.Fatalf("%+v", a)
				}
			}
			if slices.Sort(seen); !slices.Equal(seen, cases) {
				t.Fatalf("accesses for %v, want %v", seen, cases)
			}
			if looks += len(seen); len(want) > 0 {
				shown++
			} else {
				silent++
			}
		}
	})
	if shown < 10 || silent < 10 || looks < 5 {
		t.Fatalf("%d times something is covered, %d times nothing, %d accesses: this proved little", shown, silent, looks)
	}
}

// emptied is a store that is made anew: it has nothing yet.
type emptied struct {
	*serving.Store
	empty atomic.Bool
}

func (e *emptied) Get(id pseudonym.ID) (*serving.Record, error) {
	if e.empty.Load() {
		return nil, nil
	}
	return e.Store.Get(id)
}

func (e *emptied) Version(id pseudonym.ID) (uint64, error) {
	if e.empty.Load() {
		return 0, nil
	}
	return e.Store.Version(id)
}

// A deletion is told of what was told, when it is one; the log then says that no field was seen.
func TestDeletions(t *testing.T) {
	r := newRig(t)
	store, accesses := &emptied{Store: r.store}, counted{r.log, make(chan audit.Access, 100)}
	s := r.service(func(o *Options) { o.Records, o.Accesses = store, accesses })
	r.grant("G1", "welfare", masks, "birth", "death")
	r.grant("G2", "roads", map[string]sharing.Mask{"state": sharing.Full}, "birth")
	r.open("C1", anna, "death")
	r.publish("roads", row(change.Create, "R1", "open", "9", "2026-03-02")) // before the subscription began
	people, streets := r.config("welfare"), r.config("roads")
	r.serve(s, people, streets)
	r.publish("roads", row(change.Delete, "R1", "", "", ""))
	r.done(s, streets)
	if list := r.receiver.events(); len(list) > 0 {
		t.Fatalf("the end of a road of which nobody was told: %v", list)
	}
	r.welfare("W1", anna, "a", money)
	r.done(s, people)
	if a := <-accesses.list; a.ItemCode != "death" || a.CaseNumber != "C1" {
		t.Fatalf("%+v", a)
	}
	store.empty.Store(true)
	r.welfare("W1", anna, "b", money)
	r.done(s, people)
	if got := short(r.receiver.events()); got != "created:a" {
		t.Fatalf("a store that has nothing yet was taken for a deletion: %s", got)
	}
	store.empty.Store(false)
	r.publish("welfare", row(change.Delete, "W1", anna, "", "", ""))
	r.done(s, people)
	if got := short(r.receiver.events()); got != "created:a deleted:<nil>" {
		t.Fatal(got)
	}
	if a := <-accesses.list; len(accesses.list) > 0 || !slices.Equal(a.Fields, []string{RecordMember}) {
		t.Fatalf("%+v", a)
	}
}
