package sharing_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/shirecounty/shire/schemas/contract"
	"github.com/shirecounty/shire/schemas/sharing"
)

// cars are about nobody, and so are roads, which another department has.
const cars = `
dataset: cars
department: social_security
owner: {zh: 社保, en: Insurance}
title: {zh: 车辆, en: Cars}
version: 1
key: [plate]
sharing: {type: unconditional}
fields:
  - {name: plate, type: identifier, required: true, sensitivity: open}
  - {name: state, type: text, sensitivity: internal}
  - {name: price, type: text, sensitivity: internal, sharing: none}
  - {name: seen, type: date, sensitivity: open}
emits:
  - table: incidents
    columns: {incident_number: plate, department: {value: social_security}, reported_at: seen}
`

// set are the contracts of these tests: one of people, and two of nobody.
func set(t testing.TB) contract.Set {
	t.Helper()
	out := contract.Set{}
	for _, text := range []string{insured, cars, strings.NewReplacer("dataset: cars", "dataset: roads", "department: social_security", "department: health").Replace(cars)} {
		c, err := contract.Parse("c.yaml", []byte(text), "Asia/Shanghai")
		if err != nil {
			t.Fatal(err)
		}
		out[c.Name] = c
	}
	return out
}

// liveGrant is a grant of cars' state to civil affairs that fits the call of these tests.
func liveGrant(change func(*sharing.Request)) *sharing.Request {
	r := &sharing.Request{ID: "g", From: "civil_affairs", Owner: "social_security", State: sharing.Live, Terms: sharing.Terms{Dataset: "cars",
		Fields: map[string]sharing.Mask{"state": sharing.Partial, "price": sharing.Full, "wheels": sharing.Full}, Purpose: "eligibility", Items: []string{"ITEM-1"},
		Rows: sharing.Rows{Divisions: []string{"331099"}}, From: begin, Until: begin.AddDate(1, 0, 0)}}
	if change != nil {
		change(r)
	}
	return r
}

// What is sent without a case: of datasets about nobody what a live grant covers, of people nothing whatever is granted.
func TestUnasked(t *testing.T) {
	contracts := set(t)
	if contracts["cars"].AboutSomebody() || contracts["roads"].AboutSomebody() || !contracts["insured"].AboutSomebody() {
		t.Fatal("the contracts are not what the test needs")
	}
	for name, test := range map[string]struct {
		grant func(*sharing.Request)
		call  func(*sharing.Unasked)
		code  sharing.Code
	}{
		"as granted":    {nil, nil, sharing.Allowed},
		"the last day":  {nil, func(s *sharing.Unasked) { s.At = begin.AddDate(1, 0, 0).Add(-1) }, sharing.Allowed},
		"a field of it": {nil, func(s *sharing.Unasked) { s.Fields = []string{"state", "plate"} }, sharing.Allowed},
		"about people": {func(r *sharing.Request) {
			r.Terms.Dataset, r.Terms.Fields = "insured", map[string]sharing.Mask{"status": sharing.Full}
		}, func(s *sharing.Unasked) { s.Dataset = "insured" }, sharing.NoCase},
		"no dataset":                     {func(r *sharing.Request) { r.Terms.Dataset = "ships" }, func(s *sharing.Unasked) { s.Dataset = "ships" }, sharing.NoCase},
		"of nobody":                      {nil, func(s *sharing.Unasked) { s.Department = "health" }, sharing.NoGrant},
		"another's":                      {nil, func(s *sharing.Unasked) { s.Dataset = "roads" }, sharing.NoGrant},
		"a former owner":                 {func(r *sharing.Request) { r.Owner = "health" }, nil, sharing.NoGrant},
		"of an owner who has it no more": {func(r *sharing.Request) { r.Terms.Dataset = "roads" }, func(s *sharing.Unasked) { s.Dataset = "roads" }, sharing.NoGrant},
		"not delivered":                  {func(r *sharing.Request) { r.State = sharing.Approved }, nil, sharing.GrantNotLive},
		"suspended":                      {func(r *sharing.Request) { r.State = sharing.Suspended }, nil, sharing.GrantNotLive},
		"revoked":                        {func(r *sharing.Request) { r.State = sharing.Revoked }, nil, sharing.GrantNotLive},
		"not yet":                        {nil, func(s *sharing.Unasked) { s.At = begin.Add(-1) }, sharing.GrantNotLive},
		"ended":                          {nil, func(s *sharing.Unasked) { s.At = begin.AddDate(1, 0, 0) }, sharing.GrantNotLive},
		"another purpose":                {nil, func(s *sharing.Unasked) { s.Purpose = "review" }, sharing.OtherPurpose},
		"another region":                 {nil, func(s *sharing.Unasked) { s.Division = "44" }, sharing.RowsNotGranted},
		"no region":                      {nil, func(s *sharing.Unasked) { s.Division = "" }, sharing.RowsNotGranted},
		"rows of its own cases":          {func(r *sharing.Request) { r.Terms.Rows = sharing.Rows{Own: true} }, nil, sharing.RowsNotGranted},
		"own cases of a nameless":        {func(r *sharing.Request) { r.From, r.Terms.Rows = "", sharing.Rows{Own: true} }, func(s *sharing.Unasked) { s.Department = "" }, sharing.RowsNotGranted},
		"a field that is not":            {nil, func(s *sharing.Unasked) { s.Fields = []string{"wheels"} }, sharing.FieldsNotGranted},
		"a field that is withheld":       {nil, func(s *sharing.Unasked) { s.Fields = []string{"price"} }, sharing.FieldsNotGranted},
		"a field not granted":            {nil, func(s *sharing.Unasked) { s.Fields = []string{"plate"} }, sharing.FieldsNotGranted},
	} {
		call := sharing.Unasked{At: begin.AddDate(0, 1, 0), Department: "civil_affairs", Purpose: "eligibility", Dataset: "cars", Division: "331099001"}
		if test.call != nil {
			test.call(&call)
		}
		d := sharing.DecideUnasked(call, []*sharing.Request{liveGrant(test.grant)}, contracts)
		want := map[string]sharing.Mask{}
		if test.code == sharing.Allowed {
			want["state"] = sharing.Partial
		}
		if d.Code != test.code || d.Allowed != (test.code == sharing.Allowed) || !maps.Equal(d.Fields, want) {
			t.Errorf("%s: %+v, want %s", name, d, test.code)
		}
	}
}

// Of several grants the reason is that of the one that came furthest, whatever their order, and the mask the one that shows most.
func TestUnaskedOfSeveralGrants(t *testing.T) {
	contracts := set(t)
	call := sharing.Unasked{At: begin, Department: "civil_affairs", Purpose: "eligibility", Dataset: "cars", Division: "331099001"}
	with := func(change func(*sharing.Request)) *sharing.Request { return liveGrant(change) }
	revoked, elsewhere := with(func(r *sharing.Request) { r.State = sharing.Revoked }), with(func(r *sharing.Request) { r.Terms.Rows.Divisions = []string{"44"} })
	more := with(func(r *sharing.Request) {
		r.Terms.Fields = map[string]sharing.Mask{"state": sharing.Full, "plate": sharing.Exists}
	})
	for _, list := range [][]*sharing.Request{{revoked, elsewhere}, {elsewhere, revoked}} {
		if d := sharing.DecideUnasked(call, list, contracts); d.Code != sharing.RowsNotGranted {
			t.Errorf("%s", d.Code)
		}
	}
	for _, list := range [][]*sharing.Request{{liveGrant(nil), more, revoked}, {elsewhere, more, liveGrant(nil)}} {
		if d := sharing.DecideUnasked(call, list, contracts); !d.Allowed || !maps.Equal(d.Fields, map[string]sharing.Mask{"state": sharing.Full, "plate": sharing.Exists}) {
			t.Errorf("%+v", d)
		}
	}
}

// Whatever is granted: nothing of people, and of the rest each field as the widest live grant of this department has it.
func TestUnaskedAgainstTheRule(t *testing.T) {
	contracts := set(t)
	shown, people := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		var list []*sharing.Request
		for range rapid.IntRange(2, 8).Draw(t, "grants") {
			list = append(list, liveGrant(func(r *sharing.Request) {
				r.Terms.Dataset = rapid.SampledFrom([]string{"cars", "cars", "cars", "insured", "roads"}).Draw(t, "dataset")
				r.From = rapid.SampledFrom([]string{"civil_affairs", "civil_affairs", "health"}).Draw(t, "to")
				r.State = rapid.SampledFrom([]sharing.State{sharing.Live, sharing.Live, sharing.Live, sharing.Live, sharing.Approved, sharing.Suspended, sharing.Revoked}).Draw(t, "state")
				r.Terms.Purpose = rapid.SampledFrom([]string{"eligibility", "eligibility", "review"}).Draw(t, "purpose")
				r.Terms.Rows = sharing.Rows{Own: rapid.IntRange(0, 3).Draw(t, "own") == 3, Divisions: rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"331099", "331099001", "44"}), 0, 2, rapid.ID).Draw(t, "divisions")}
				r.Terms.From = begin.AddDate(0, 0, rapid.IntRange(0, 4).Draw(t, "from"))
				r.Terms.Until = r.Terms.From.AddDate(0, 0, rapid.IntRange(1, 12).Draw(t, "days"))
				r.Terms.Fields = map[string]sharing.Mask{}
				for _, name := range []string{"plate", "state", "price", "status", "wheels"} {
					if rapid.Bool().Draw(t, name) {
						r.Terms.Fields[name] = rapid.SampledFrom(sharing.Masks).Draw(t, "mask")
					}
				}
			}))
		}
		for range 10 {
			call := sharing.Unasked{At: begin.AddDate(0, 0, rapid.IntRange(0, 12).Draw(t, "day")), Department: "civil_affairs", Purpose: "eligibility",
				Dataset: rapid.SampledFrom([]string{"cars", "cars", "insured"}).Draw(t, "of"), Division: rapid.SampledFrom([]string{"", "331099001", "44"}).Draw(t, "division"),
				Fields: rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"plate", "state", "price"}), 0, 2, rapid.ID).Draw(t, "asked")}
			want := map[string]sharing.Mask{}
			for _, r := range list {
				g := r.Terms
				inside := len(g.Rows.Divisions) == 0 || slices.ContainsFunc(g.Rows.Divisions, func(d string) bool { return strings.HasPrefix(call.Division, d) && call.Division != "" })
				if call.Dataset != "cars" || g.Dataset != "cars" || r.From != "civil_affairs" || r.State != sharing.Live || g.Purpose != "eligibility" || g.Rows.Own || !inside || call.At.Before(g.From) || !call.At.Before(g.Until) {
					continue
				}
				for _, name := range []string{"plate", "state"} {
					if m, ok := g.Fields[name]; ok && (len(call.Fields) == 0 || slices.Contains(call.Fields, name)) && slices.Index(sharing.Masks, m) >= slices.Index(sharing.Masks, want[name]) {
						want[name] = m
					}
				}
			}
			d := sharing.DecideUnasked(call, list, contracts)
			if !maps.Equal(d.Fields, want) || d.Allowed != (len(want) > 0) || d.Allowed != (d.Code == sharing.Allowed) {
				t.Fatalf("%+v, want %v", d, want)
			}
			shown += len(want)
			if call.Dataset == "insured" {
				people++
			}
		}
	})
	if shown < 10 || people < 100 {
		t.Fatalf("%d fields shown, %d calls about people: this proved little", shown, people)
	}
}
