package disclosure_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/shirecounty/shire/pipeline/disclosure"
	"github.com/shirecounty/shire/pipeline/serving"
	"github.com/shirecounty/shire/schemas/pseudonym"
	"github.com/shirecounty/shire/schemas/sharing"
)

// oracle says in the simplest words what may be shown. It keeps its own account of grants, cases and records, and asks the product
// for nothing but who people are today, which the test itself rules.
type oracle struct {
	*town
	grants  map[string]*given
	cases   map[string]filed
	records map[pseudonym.ID]entry
}

// given is a request as its acts left it.
type given struct {
	from   string
	terms  sharing.Terms
	state  sharing.Act // the act that put it where it is
	before sharing.Act // of a suspended one
}

type filed struct {
	department, item string
	applicant        pseudonym.ID
	closed           time.Time
}

// entry is a record: its values, whom it mentions, and by which mention a field speaks of somebody.
type entry struct {
	dataset, division string
	values            map[string]string
	speaks            map[string]pseudonym.ID
	mentions          []pseudonym.ID
}

func (o *oracle) acted(e sharing.Event) {
	g := o.grants[e.Request]
	switch e.Act {
	case sharing.Submit:
		o.grants[e.Request] = &given{from: e.Department, terms: *e.Terms, state: e.Act}
	case sharing.Suspend:
		g.state, g.before = e.Act, g.state
	case sharing.Resume:
		g.state = g.before
	default:
		g.state = e.Act
	}
}

func (o *oracle) today(p pseudonym.ID) pseudonym.ID { p, _ = o.Resolve(p); return p }

// covered are the fields of a dataset that live grants show to a reader of a record of a division, or of any record; and by which mask.
func (o *oracle) covered(r disclosure.Reader, dataset, division string, any bool) map[string]sharing.Mask {
	out := map[string]sharing.Mask{}
	for _, g := range o.grants {
		t := g.terms
		inside := any || len(t.Rows.Divisions) == 0 || slices.ContainsFunc(t.Rows.Divisions, func(d string) bool { return strings.HasPrefix(division, d) })
		if g.state != sharing.Deliver || g.from != r.Department || t.Dataset != dataset || t.Purpose != r.Purpose || !slices.Contains(t.Items, r.Item) || !inside || o.now.Before(t.From) || !o.now.Before(t.Until) {
			continue
		}
		for name, m := range t.Fields {
			if name != "note" && slices.Index(sharing.Masks, m) >= slices.Index(sharing.Masks, out[name]) {
				out[name] = m
			}
		}
	}
	return out
}

// of is whose open case of the reader it is; zero when it is none.
func (o *oracle) of(r disclosure.Reader) pseudonym.ID {
	c, ok := o.cases[r.Case]
	if !ok || c.department != r.Department || c.item != r.Item || !c.closed.IsZero() && !o.now.Before(c.closed) {
		return pseudonym.ID{}
	}
	return o.today(c.applicant)
}

// shows are the values that a reader is shown of a record for a person's case, as dataset.field=mask:text.
func (o *oracle) shows(r disclosure.Reader, id, person pseudonym.ID, wanted []string) (out []string) {
	e := o.records[id]
	for name, m := range o.covered(r, e.dataset, e.division, false) {
		mention, speaks := e.speaks[name]
		value, brought := e.values[name], r.Brought[e.dataset+"."+name]
		stranger := speaks && (o.whose[mention] != person || !slices.Contains(e.mentions, mention)) // or nobody: there is no agent
		if len(wanted) > 0 && !slices.Contains(wanted, name) || stranger || m == sharing.Equals && r.Brought[e.dataset+"."+name] == "" {
			continue
		}
		text, runes := value, []rune(value)
		switch m {
		case sharing.Exists:
			text = map[bool]string{true: "yes", false: "no"}[value != ""]
		case sharing.Equals:
			text = map[bool]string{true: "yes", false: "no"}[value == brought]
		case sharing.Hashed:
			if value != "" {
				text = o.hasher.Text("shared/"+r.Department, value)
			}
		case sharing.Partial:
			head, tail := 1, 0
			switch n := len(runes); {
			case n == 0 || n == 1:
				head = 0
			case n >= 15:
				head, tail = 3, 4
			case n >= 10:
				head, tail = 3, 2
			case n >= 8:
				head, tail = 2, 2
			}
			text = string(runes[:head]) + strings.Repeat("*", len(runes)-head-tail) + string(runes[len(runes)-tail:])
		}
		if text != "" {
			out = append(out, fmt.Sprintf("%s.%s=%s:%s", e.dataset, name, m, text))
		}
	}
	return out
}

// view is all that a reader is shown of a person; not allowed when the read is refused.
func (o *oracle) view(r disclosure.Reader, person pseudonym.ID) (out []string, allowed bool) {
	if person.IsZero() || o.of(r) != person {
		return nil, false
	}
	for name := range o.contracts {
		allowed = allowed || len(o.covered(r, name, "", true)) > 0
	}
	if !allowed {
		return nil, false
	}
	for id, e := range o.records {
		if slices.ContainsFunc(e.mentions, func(m pseudonym.ID) bool { return o.whose[m] == person }) {
			out = append(out, o.shows(r, id, person, nil)...)
		}
	}
	slices.Sort(out)
	return out, true
}

func valuesOf(records []disclosure.Record) (out []string) {
	for _, r := range records {
		for _, v := range r.Values {
			out = append(out, fmt.Sprintf("%s.%s=%s:%s", r.Dataset, v.Field, v.Mask, v.Text))
		}
	}
	slices.Sort(out)
	return out
}

// Whatever sequence of acts, reads, merges, moves, closings and deletions, and whatever time it takes: what is shown is what live
// grants cover at that moment, no field more and none less; it is in the log; and no error says anything of anybody.
func TestOnlyWhatLiveGrantsCover(t *testing.T) {
	dir := t.TempDir()
	runs, telling, shown, refused, met := 0, 0, 0, 0, 0
	rapid.Check(t, func(t *rapid.T) {
		runs++
		w := newTown(t, fmt.Sprint(dir, "/", runs))
		defer w.store.Close()
		o := &oracle{w, map[string]*given{}, map[string]filed{}, map[pseudonym.ID]entry{}}
		before := shown
		defer func() {
			if shown > before {
				telling++
			}
		}()
		someone := rapid.SampledFrom([]pseudonym.ID{person(1), person(2), person(3)})
		numbers, departments := rapid.SampledFrom([]string{"C1", "C1", "C2"}), rapid.SampledFrom([]string{"welfare", "welfare", "welfare", "health", "police"})
		items, purposes := rapid.SampledFrom([]string{"ITEM-1", "ITEM-1", "ITEM-1", "ITEM-2"}), rapid.SampledFrom([]string{"eligibility", "eligibility", "eligibility", "review"})

		open := func(number, department, item string, of, agent pseudonym.ID, end time.Time) {
			w.openCase(number, department, item, of, agent, end)
			o.cases[number] = filed{department, item, of, end}
			e := entry{dataset: "cases", values: map[string]string{"number": number, "item": item, "department": department, "name": nameOf(of)}, speaks: map[string]pseudonym.ID{}}
			for role, p := range map[string]pseudonym.ID{"applicant": of, "agent": agent} {
				field := map[string]string{"applicant": "name", "agent": "agent"}[role]
				mention := w.hasher.ID("mention/cases/"+role, number)
				e.speaks[field] = mention
				if !p.IsZero() {
					e.mentions, e.values[field] = append(e.mentions, mention), nameOf(p)
				}
			}
			e.speaks["card"] = e.speaks["name"]
			o.records[serving.RecordID(w.hasher, "cases", number)] = e
		}
		move := func(p pseudonym.ID, division, until string) {
			r := w.resident(p, division, until)
			mention := r.Mentions[0].Record
			w.whose[mention] = o.today(p)
			e := entry{dataset: "residents", division: division, values: map[string]string{}, mentions: []pseudonym.ID{mention},
				speaks: map[string]pseudonym.ID{"card": mention, "name": mention, "born": mention, "division": mention}}
			for _, f := range r.Fields {
				e.values[f.Name] = f.Value
			}
			o.records[r.ID] = e
		}
		act := func(e sharing.Event) {
			if w.act(e) {
				o.acted(e)
			}
		}
		reader := func(t *rapid.T) disclosure.Reader { // mostly one who may read
			r := reader(numbers.Draw(t, "case"))
			c := o.cases[r.Case]
			if r.Department, r.Item = c.department, c.item; seldom(t, "as another") || c.department == "" {
				r.Department, r.Item = departments.Draw(t, "caller"), items.Draw(t, "item")
			}
			r.Purpose = purposes.Draw(t, "purpose")
			if rapid.Bool().Draw(t, "brings a name") {
				r.Brought = map[string]string{"residents.name": nameOf(someone.Draw(t, "of"))}
			}
			return r
		}
		// prove holds an answer against the oracle's.
		prove := func(t *rapid.T, got, want []string, allowed bool, err error, entries int) {
			if len(w.log) != entries+1 {
				t.Fatalf("the log has %d new entries", len(w.log)-entries)
			}
			last := w.log[entries]
			if err != nil {
				refused++
				w.private(err.Error())
				if denied(err) == "" || allowed || last.Decision != disclosure.Refused {
					t.Fatalf("%v, %+v; shown should be %v", err, last, want)
				}
				return
			}
			if shown += len(got); !allowed || !slices.Equal(got, want) {
				t.Fatalf("shown is\n%v\nwhat live grants cover is (%t)\n%v", got, allowed, want)
			}
			var fields []string
			for _, v := range got {
				fields = append(fields, v[:strings.IndexByte(v, '=')])
			}
			slices.Sort(fields)
			if last.Decision != disclosure.Granted || !slices.Equal(last.Fields, slices.Compact(fields)) {
				t.Fatalf("shown is %v, in the log is %+v", got, last)
			}
		}

		view := func(t *rapid.T, r disclosure.Reader, id pseudonym.ID) {
			entries := len(w.log)
			want, allowed := o.view(r, o.today(id))
			p, err := w.Person(context.Background(), r, id)
			if err != nil {
				prove(t, nil, want, allowed, err, entries)
				return
			}
			prove(t, valuesOf(p.Records), want, allowed, nil, entries)
		}

		open("C1", "welfare", "ITEM-1", person(1), person(2), time.Time{})
		move(person(1), "331099001", "2027-01-01")
		if !seldom(t, "nothing granted to begin with") {
			w.grant("g0", "residents", everything)
			o.grants["g0"] = &given{from: "welfare", terms: w.requests["g0"].Terms, state: sharing.Deliver}
		}
		view(t, reader(t), person(1))
		t.Repeat(map[string]func(*rapid.T){
			"act": func(t *rapid.T) {
				e := sharing.Event{Request: rapid.SampledFrom([]string{"g0", "g1", "g2"}).Draw(t, "request"), Reason: "x", Ground: "y",
					Act:        rapid.SampledFrom([]sharing.Act{sharing.Submit, sharing.Approve, sharing.Deliver, sharing.Suspend, sharing.Resume, sharing.Revoke, sharing.Withdraw}).Draw(t, "act"),
					Department: rapid.SampledFrom([]string{"welfare", "police", "civil", "hall", "data"}).Draw(t, "who")}
				if e.Act == sharing.Submit {
					e.Terms = drawTerms(t, w)
				}
				act(e)
			},
			"grant": func(t *rapid.T) {
				id, terms := rapid.SampledFrom([]string{"g3", "g4", "g5"}).Draw(t, "request"), drawTerms(t, w)
				owner := w.contracts[terms.Dataset].Department
				act(sharing.Event{Request: id, Act: sharing.Submit, Department: rapid.SampledFrom([]string{"welfare", "welfare", "health"}).Draw(t, "to"), Terms: terms})
				act(sharing.Event{Request: id, Act: sharing.Approve, Department: owner})
				act(sharing.Event{Request: id, Act: sharing.Deliver, Department: owner})
			},
			"time": func(t *rapid.T) {
				w.now = w.now.Add(time.Duration(rapid.IntRange(0, 10).Draw(t, "minutes")) * time.Minute)
			},
			"move": func(t *rapid.T) {
				move(someone.Draw(t, "who"), rapid.SampledFrom([]string{"331099001", "440100001", ""}).Draw(t, "division"), rapid.SampledFrom([]string{"", "2020-01-01", "2027-01-01"}).Draw(t, "until"))
			},
			"marry": func(t *rapid.T) {
				husband, wife := o.today(someone.Draw(t, "husband")), o.today(someone.Draw(t, "wife"))
				w.marry("M1", husband, wife)
				a, b := w.hasher.ID("mention/marriages/husband", "M1"), w.hasher.ID("mention/marriages/wife", "M1")
				o.records[serving.RecordID(w.hasher, "marriages", "M1")] = entry{"marriages", "", map[string]string{"number": "M1", "husband": nameOf(husband), "wife": nameOf(wife)},
					map[string]pseudonym.ID{"husband": a, "wife": b}, []pseudonym.ID{a, b}}
			},
			"delete": func(t *rapid.T) {
				ids := slices.SortedFunc(maps.Keys(o.records), func(a, b pseudonym.ID) int { return slices.Compare(a[:], b[:]) })
				if len(ids) == 0 || !seldom(t, "for good") {
					return
				}
				id := rapid.SampledFrom(ids).Draw(t, "record")
				w.version++
				if err := w.store.Apply(w.version, []serving.Change{{Record: &serving.Record{ID: id, Version: w.version, Dataset: o.records[id].dataset}, Gone: true}}); err != nil {
					t.Fatal(err)
				}
				if e := o.records[id]; e.dataset == "cases" {
					delete(o.cases, e.values["number"])
				}
				delete(o.records, id)
			},
			"merge": func(t *rapid.T) {
				a, b := o.today(someone.Draw(t, "from")), o.today(someone.Draw(t, "to"))
				if seldom(t, "the same") {
					w.merge(a, b)
				}
			},
			"case": func(t *rapid.T) {
				end := rapid.SampledFrom([]time.Time{{}, {}, {}, w.now, w.now.Add(5 * time.Minute)}).Draw(t, "end")
				agent := rapid.SampledFrom([]pseudonym.ID{{}, o.today(person(2))}).Draw(t, "agent")
				open(numbers.Draw(t, "case"), departments.Draw(t, "department"), items.Draw(t, "of"), o.today(someone.Draw(t, "applicant")), agent, end)
			},
			"person": func(t *rapid.T) {
				r, id := reader(t), someone.Draw(t, "who")
				if c, ok := o.cases[r.Case]; ok && rapid.Bool().Draw(t, "the applicant") {
					id = c.applicant
				}
				view(t, r, id)
			},
			"applicant": func(t *rapid.T) { // with all that stands in the way but for grants and closings out of it
				for _, number := range []string{"C1", "C2"} {
					if c, ok := o.cases[number]; ok {
						r := reader(t)
						r.Case, r.Department, r.Item = number, c.department, c.item
						view(t, r, c.applicant)
					}
				}
			},
			"lookup": func(t *rapid.T) {
				r, entries := reader(t), len(w.log)
				number, person := numberOf(someone.Draw(t, "whose number")), o.of(r)
				want, allowed := o.view(r, person)
				fits := false
				for id, e := range o.records {
					m := o.covered(r, e.dataset, e.division, false)["card"]
					fits = fits || e.dataset == "residents" && e.values["card"] == number && o.whose[e.mentions[0]] == person && m != "" && m != sharing.Exists && !id.IsZero()
				}
				p, err := w.Lookup(context.Background(), r, disclosure.Attributes{Number: number})
				if err != nil {
					prove(t, nil, want, allowed && fits, err, entries)
					return
				}
				prove(t, valuesOf(p.Records), want, allowed && fits, nil, entries)
			},
			"record": func(t *rapid.T) {
				r, number, entries := reader(t), numberOf(someone.Draw(t, "whose")), len(w.log)
				wanted := rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"card", "name", "status", "note"}), 0, 2, rapid.ID).Draw(t, "fields")
				id, person := serving.RecordID(w.hasher, "residents", number), o.of(r)
				e, there := o.records[id]
				allowed := false
				for name := range o.covered(r, "residents", e.division, false) {
					allowed = allowed || there && !person.IsZero() && o.whose[e.mentions[0]] == person && (len(wanted) == 0 || slices.Contains(wanted, name))
				}
				var want []string
				if allowed {
					want = o.shows(r, id, person, wanted)
					slices.Sort(want)
				}
				rec, err := w.Desk.Record(context.Background(), r, "police", "residents", number, wanted)
				if err != nil {
					prove(t, nil, want, allowed, err, entries)
					return
				}
				prove(t, valuesOf([]disclosure.Record{*rec}), want, allowed, nil, entries)
			},
			"prefill": func(t *rapid.T) {
				r, entries := reader(t), len(w.log)
				p, err := w.Prefill(context.Background(), r, pseudonym.ID{}, []string{"REGISTER", "PHOTO"})
				if len(w.log) != entries+1 {
					t.Fatal("a prefill is not in the log")
				}
				person := o.of(r)
				if err != nil {
					refused++
					w.private(err.Error())
					if denied(err) == "" || !person.IsZero() {
						t.Fatal(err)
					}
					return
				}
				if person.IsZero() || p.Person != person {
					t.Fatalf("a prefill of %v for the case of %v", p.Person, person)
				}
				for _, m := range p.Materials {
					if !m.Met {
						continue
					}
					e := o.records[m.Proof.Record]
					covered := o.covered(r, "residents", e.division, false)
					if m.Code != "REGISTER" || e.dataset != "residents" || o.whose[e.mentions[0]] != person || covered["register"] == "" || covered["register_until"] == "" || e.values["register_until"] == "2020-01-01" {
						t.Fatalf("%s is met by %+v, of which %v is covered", m.Code, e, covered)
					}
					if covered["register_until"] == sharing.Full && m.Proof.ValidUntil != e.values["register_until"] || covered["register_until"] != sharing.Full && m.Proof.ValidUntil != "" {
						t.Fatalf("%+v", m.Proof)
					}
					met++
				}
			},
		})
	})
	t.Logf("%d runs, of which %d showed something: %d values, %d materials; %d reads were refused", runs, telling, shown, met, refused)
	if !t.Failed() && (3*telling < runs || shown < 300 || refused < 100 || met < 3) {
		t.Fatal("this proved little")
	}
}

// seldom is true one time in four.
func seldom(t *rapid.T, what string) bool {
	return rapid.Bool().Draw(t, what) && rapid.Bool().Draw(t, what+", really")
}

func drawTerms(t *rapid.T, w *town) *sharing.Terms {
	dataset := rapid.SampledFrom([]string{"residents", "residents", "marriages", "cases"}).Draw(t, "dataset")
	fields := map[string]sharing.Mask{}
	for _, f := range w.contracts[dataset].Fields {
		if f.Sharing != "none" && rapid.Bool().Draw(t, f.Name) {
			fields[f.Name] = rapid.SampledFrom(sharing.Masks).Draw(t, "mask")
		}
	}
	out := &sharing.Terms{Dataset: dataset, Fields: fields, Purpose: rapid.SampledFrom([]string{"eligibility", "eligibility", "review"}).Draw(t, "purpose"), From: w.now.Add(-time.Minute), Until: w.now.Add(30 * time.Minute),
		Items: rapid.SampledFrom([][]string{{"ITEM-1"}, {"ITEM-1", "ITEM-2"}, {"ITEM-2"}}).Draw(t, "items")}
	switch rapid.IntRange(0, 3).Draw(t, "time") {
	case 2:
		out.From = w.now.Add(5 * time.Minute)
	case 3:
		out.Until = w.now.Add(3 * time.Minute)
	}
	if rapid.Bool().Draw(t, "rows") {
		out.Rows.Divisions = []string{rapid.SampledFrom([]string{"331099", "440100001"}).Draw(t, "division")}
	}
	return out
}
