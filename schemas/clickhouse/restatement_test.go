package clickhouse_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/shirecounty/shire/pipeline/warehouse"
	"github.com/shirecounty/shire/schemas/calendar"
	"github.com/shirecounty/shire/schemas/calendar/clock"
	"github.com/shirecounty/shire/schemas/clickhouse"
	"github.com/shirecounty/shire/schemas/material"
	"github.com/shirecounty/shire/schemas/metrics"
)

// town is what departments have told by a moment, as Go values: the side of the comparison that knows nothing of the views.
type town struct {
	cases  map[int]townCase
	papers map[int]townPaper
	held   map[int]townHolding
	merged map[int]int // person -> whom they turned out to be
}

type townCase struct {
	person     int
	department string
	applied    time.Time
	life       clock.Case
	version    uint64
}

type townPaper struct {
	of       int // case
	handed   handed
	version  uint64
	takenOff bool
}

type townHolding struct {
	person        int
	kind, dataset string
	since         time.Time
}

func (w *town) copy() *town {
	return &town{maps.Clone(w.cases), maps.Clone(w.papers), maps.Clone(w.held), maps.Clone(w.merged)}
}

func (w *town) owner(person int) int {
	if to, ok := w.merged[person]; ok {
		return to
	}
	return person
}

const (
	townCases   = 20_000
	townPeople  = 6_000
	townMerged  = 100
	townChanged = townCases / 100
)

var townDepartments = []string{"hall", "housing", "police", "health"}

// build makes a town: two people out of three share the papers of a household, so that a merge makes repeats.
func build(r *rand.Rand) *town {
	w := &town{cases: map[int]townCase{}, papers: map[int]townPaper{}, held: map[int]townHolding{}, merged: map[int]int{}}
	start := local("2025-01-01 00:00")
	hours := func(n int) time.Duration { return time.Duration(r.IntN(n)) * time.Hour }
	for i := range townCases {
		c := townCase{person: r.IntN(townPeople), department: townDepartments[r.IntN(4)], applied: start.Add(hours(360 * 24)), version: 1}
		if r.IntN(20) > 0 {
			c.life.Accepted = c.applied.Add(hours(72))
			if r.IntN(10) > 0 {
				c.life.Closed = c.life.Accepted.Add(hours(30 * 24))
			}
		}
		if r.IntN(5) == 0 {
			began := c.applied.Add(hours(10 * 24))
			s := clock.Step{Kind: []string{clock.Supplement, clock.Special}[r.IntN(2)], Started: began}
			if r.IntN(4) > 0 {
				s.Ended = began.Add(hours(8 * 24))
			}
			c.life.Steps = []clock.Step{s}
		}
		w.cases[i] = c
	}
	for i := range townCases * 5 / 4 {
		of := r.IntN(townCases)
		w.papers[i] = townPaper{of: of, version: 1, handed: w.paper(r, of)}
	}
	for i := range townPeople / 2 {
		w.held[i] = townHolding{person: r.IntN(townPeople), kind: []string{"register", "deed"}[r.IntN(2)], dataset: []string{"free", "granted", "closed"}[r.IntN(3)], since: date("2025-01-01").AddDate(0, 0, r.IntN(330))}
	}
	return w
}

func (w *town) paper(r *rand.Rand, of int) handed {
	c := w.cases[of]
	p := handed{department: c.department, kind: []string{"register", "deed", "photo"}[r.IntN(3)], at: c.applied.Add(time.Duration(r.IntN(50)) * time.Hour), shared: r.IntN(10) == 0}
	p.document = fmt.Sprintf("%d-%d", c.person/2, r.IntN(3))
	if p.kind == "photo" {
		p.document, p.issuer = "", []string{"studio", "booth"}[r.IntN(2)]
	}
	if p.kind == "deed" && r.IntN(2) == 0 {
		p.until = date(p.at.AddDate(0, 2, 0).Format(time.DateOnly))
	}
	return p
}

// change corrects one case in a hundred and as many papers, adds some and takes some off, and finds people to be one.
func (w *town) change(r *rand.Rand) (after *town) {
	after = w.copy()
	for i := range townChanged {
		n := i * 100
		c := after.cases[n]
		c.version++
		switch {
		case c.life.Accepted.IsZero():
			c.life.Accepted = c.applied.Add(time.Hour)
		case c.life.Closed.IsZero() || i%3 == 0:
			c.life.Closed = c.life.Accepted.AddDate(0, 0, 1+r.IntN(50))
		default:
			c.life.Closed = time.Time{} // it was never closed
		}
		if i%7 == 0 {
			c.department = "police"
		}
		after.cases[n] = c

		p := after.papers[n+1]
		p.version++
		if p.handed.document = "corrected"; i%10 == 0 {
			p.takenOff = true
		}
		after.papers[n+1] = p
		late := len(after.papers)
		after.papers[late] = townPaper{of: n, version: 1, handed: after.paper(r, n)}
	}
	for i := range townMerged {
		after.merged[2*i+1] = 2 * i
	}
	return after
}

// tables are the rows by which a town is told; of before, only what has changed since it.
func (w *town) tables(before *town, received time.Time) history {
	h := history{}
	for i, c := range w.cases {
		if before != nil && before.cases[i].version == c.version {
			continue
		}
		h["store.cases"] = append(h["store.cases"], row{"record": fmt.Sprint("case ", i), "case_number": fmt.Sprint(i), "department": c.department, "item_code": "item", "version": c.version, "received_at": received,
			"applied_at": c.applied, "accepted_at": orNull(c.life.Accepted), "closed_at": orNull(c.life.Closed), "person_id": id(fmt.Sprint("person ", c.person)), "person_record": id(fmt.Sprint("applicant ", i))})
		for k, s := range c.life.Steps {
			if before == nil {
				h["store.case_steps"] = append(h["store.case_steps"], row{"record": fmt.Sprint("step ", i, " ", k), "case_number": fmt.Sprint(i), "kind": s.Kind, "version": uint64(1), "received_at": received,
					"started_at": s.Started, "ended_at": orNull(s.Ended)})
			}
		}
	}
	for i, p := range w.papers {
		if before != nil && before.papers[i].version == p.version {
			continue
		}
		deleted := uint8(0)
		if p.takenOff {
			deleted = 1
		}
		h["store.submissions"] = append(h["store.submissions"], row{"record": fmt.Sprint("paper ", i), "case_number": fmt.Sprint(p.of), "department": p.handed.department, "material_code": p.handed.kind, "document": p.handed.document,
			"issuer": p.handed.issuer, "submitted_at": p.handed.at, "valid_until": orNull(p.handed.until), "method": map[bool]string{true: "shared", false: "paper"}[p.handed.shared],
			"version": p.version, "received_at": received, "deleted": deleted})
	}
	if before == nil {
		for i, x := range w.held {
			h["store.holdings"] = append(h["store.holdings"], row{"record": fmt.Sprint("holding ", i), "dataset": x.dataset, "material_code": x.kind, "valid_from": x.since, "status": "valid", "version": uint64(1), "received_at": received,
				"person_id": id(fmt.Sprint("person ", x.person)), "person_record": id(fmt.Sprint("holder ", i))})
		}
		return h
	}
	link := func(record string, person int) {
		if to, ok := w.merged[person]; ok {
			h["store.links"] = append(h["store.links"], row{"record": record, "party": "person", "kind": "merge", "previous_id": id(fmt.Sprint("person ", person)), "party_id": id(fmt.Sprint("person ", to)),
				"version": uint64(1000), "effective_at": received})
		}
	}
	for i, c := range w.cases {
		link(fmt.Sprint("applicant ", i), c.person)
	}
	for i, x := range w.held {
		link(fmt.Sprint("holder ", i), x.person)
	}
	return h
}

// figure is what is compared: the sums of a rate, or how many cases, how many of them closed, and their median.
type figure struct{ a, b, median float64 }

// figures computes the three metrics of all of 2025, as a whole ("") and by department, from the definitions.
func (w *town) figures(t *testing.T, by *clock.Clock, rules material.Rules) map[string]map[string]figure {
	t.Helper()
	var asOf time.Time
	for _, c := range w.cases {
		for _, at := range []time.Time{c.applied, c.life.Accepted, c.life.Closed} {
			asOf = later(asOf, at)
		}
		for _, s := range c.life.Steps {
			asOf = later(later(asOf, s.Started), s.Ended)
		}
	}
	end := local("2026-01-01 00:00")
	repeat, avoidable, legal := map[string]figure{}, map[string]figure{}, map[string]figure{}
	lives := map[string][]life{}
	for _, c := range w.cases {
		if c.life.Accepted.IsZero() || !c.applied.Before(end) {
			continue
		}
		l, err := by.Legal(c.life, asOf)
		if err != nil {
			t.Fatal(err)
		}
		for _, of := range []string{"", c.department} {
			lives[of] = append(lives[of], life{int64(l.Days), !c.life.Closed.IsZero()})
		}
	}
	for of, all := range lives {
		closed := 0
		for _, l := range all {
			if l.ended {
				closed++
			}
		}
		median, _, _ := kaplanMeier(all, .5)
		legal[of] = figure{float64(len(all)), float64(closed), median}
	}
	held := map[string][]townHolding{}
	for _, x := range w.held {
		of := fmt.Sprint(w.owner(x.person), x.kind)
		held[of] = append(held[of], x)
	}
	groups := map[string][]handed{}
	for i, p := range w.papers {
		if p.takenOff {
			continue
		}
		h := p.handed
		h.record, h.party = fmt.Sprint("paper ", i), fmt.Sprint(w.owner(w.cases[p.of].person))
		groups[h.party+" "+h.kind] = append(groups[h.party+" "+h.kind], h)
	}
	for _, papers := range groups {
		scopes := scopesOf(papers, rules)
		for _, h := range papers {
			if !h.at.Before(end) {
				continue
			}
			spared := !h.shared && slices.ContainsFunc(held[h.party+h.kind], func(x townHolding) bool {
				return x.dataset == "free" && x.since.Format(time.DateOnly) <= h.at.Format(time.DateOnly)
			})
			for _, of := range []string{"", h.department} {
				add := func(m map[string]figure, counts bool) {
					f := m[of]
					if f.b++; counts {
						f.a++
					}
					m[of] = f
				}
				add(repeat, scopes[h.record] != "")
				add(avoidable, spared)
			}
		}
	}
	return map[string]map[string]figure{"repeat_rate": repeat, "avoidable_rate": avoidable, "legal_time": legal}
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// A county of 20,000 cases, of which one in a hundred is corrected and of whose people a hundred turn out to be another: what was known before and
// what is known now are both what the definitions give for them, of rates and times, as a whole and by department, prepared or not.
func TestRestatement(t *testing.T) {
	c, a := ready(t), as(t, clickhouse.Analyst)
	random := rand.New(rand.NewPCG(2025, 5))
	rules := judge(t, c, material.Rule{Material: "photo", ValidDays: 90, Change: material.Fields, Fields: []string{"issuer"}}, material.Rule{Material: "deed", ValidDays: 60, Change: material.Document})
	where := local("2025-01-01 00:00").Location()
	cal, err := calendar.Load(calendar.National())
	if err != nil {
		t.Fatal(err)
	}
	set, err := metrics.Load()
	if err != nil {
		t.Fatal(err)
	}
	by := clock.New(cal, where, clock.Rules{})
	defer exec(t, c, "TRUNCATE TABLE prepared.state") // the other tests ask the views
	figures := warehouse.NewFigures(a, set, where)
	preparer := &warehouse.Preparer{Conn: c, Set: set, Zone: where, Views: "these", Large: 1, Definer: clickhouse.Loader}
	known := metrics.Query{}
	ask := func(name string, more metrics.Query) (metrics.Result, map[string]figure) {
		t.Helper()
		found, all := map[string]figure{}, metrics.Result{}
		for _, of := range []string{"department", ""} {
			q := months("2025-01", "2025-12")
			q.Metric, q.By, q.Known, q.Compare = name, of, more.Known, more.Compare
			r, err := figures.Metric(t.Context(), q)
			if err != nil {
				t.Fatal(err)
			}
			for _, line := range r.Rows {
				switch {
				case line.Value == nil:
					t.Errorf("%s of %q: %+v", name, line.Key, line)
				case set[name].Kind == metrics.Survival:
					found[line.Key] = figure{float64(line.Count), float64(line.Count - line.Open), *line.Value}
				default:
					found[line.Key] = figure{a: *line.Numerator, b: *line.Denominator}
				}
			}
			all = r
		}
		return all, found
	}
	expect := func(what string, want map[string]map[string]figure, more metrics.Query, prepared bool) {
		t.Helper()
		for name, figures := range want {
			r, got := ask(name, more)
			if !maps.Equal(got, figures) {
				t.Errorf("%s, %s:\ngot  %v\nwant %v", what, name, got, figures)
			}
			if (r.Prepared != "") != prepared {
				t.Errorf("%s, %s: prepared %q", what, name, r.Prepared)
			}
		}
	}
	prepare := func(load uint64) {
		t.Helper()
		exec(t, c, fmt.Sprintf("INSERT INTO store.load_log (table_name, first_sequence, last_sequence, finished_at) VALUES ('store.cases', %d, %d, now64(6))", load, load))
		if done, err := preparer.Prepare(t.Context()); err != nil || !done {
			t.Fatal(done, err)
		}
	}
	defer exec(t, c, "TRUNCATE TABLE store.load_log")

	first, second := local("2026-03-01 09:00"), local("2026-03-05 09:00")
	before := build(random)
	before.tables(nil, first).load(t, c)
	was := before.figures(t, by, rules)
	expect("as loaded", was, known, false)
	prepare(1)
	expect("as loaded, prepared", was, known, true)

	after := before.change(random)
	after.tables(before, second).load(t, c)
	is := after.figures(t, by, rules)
	for name := range is {
		if maps.Equal(is[name], was[name]) {
			t.Fatalf("%s has not changed: this shows nothing", name)
		}
	}
	expect("corrected, prepared before", was, known, true)
	prepare(2)
	expect("corrected, prepared", is, known, true)
	exec(t, c, "TRUNCATE TABLE prepared.state")
	expect("corrected", is, known, false)
	for day, want := range map[string]map[string]map[string]figure{"2026-03-01": was, "2026-03-04": was, "2026-03-05": is} {
		q := metrics.Query{}
		if q.Known, err = metrics.ParseKnown(day, where); err != nil {
			t.Fatal(err)
		}
		expect("as known on "+day, want, q, false)
	}

	// What has changed is said.
	q := metrics.Query{Compare: metrics.CompareKnown}
	if q.Known, err = metrics.ParseKnown("2026-03-04", where); err != nil {
		t.Fatal(err)
	}
	links := int64(0)
	for _, h := range after.tables(before, second)["store.links"] {
		if h["kind"] == "merge" {
			links++
		}
	}
	r, _ := ask("repeat_rate", q)
	want := []metrics.Restated{{Change: "merge", Records: links}, {Dataset: "d", Change: "added", Records: townChanged}, {Dataset: "d", Change: "corrected", Records: 2*townChanged - townChanged/10},
		{Dataset: "d", Change: "removed", Records: townChanged / 10}}
	if !slices.Equal(r.Restated, want) || r.Rows[0].Before == nil || *r.Rows[0].Before.Numerator != was["repeat_rate"][""].a || *r.Rows[0].Numerator != is["repeat_rate"][""].a {
		t.Errorf("restated by %+v, want %+v; %+v", r.Restated, want, r.Rows[0])
	}
	t.Logf("before %v\nafter %v", was, is)
}
