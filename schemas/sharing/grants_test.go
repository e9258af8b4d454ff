package sharing_test

import (
	"maps"
	"slices"
	"testing"

	"github.com/shirecounty/shire/schemas/pseudonym"
	"github.com/shirecounty/shire/schemas/sharing"
)

// Which of several grants decide a call, and what is told of those that do not: cars of region 331099, for ITEM-1.
func TestWhichGrantsDecide(t *testing.T) {
	contracts := set(t)
	whole := func(change func(*sharing.Request)) *sharing.Request { return liveGrant(change) }
	full := whole(func(r *sharing.Request) {
		r.ID, r.Terms.Fields, r.Terms.Rows = "f", map[string]sharing.Mask{"state": sharing.Full, "plate": sharing.Exists}, sharing.Rows{}
	})
	later := whole(func(r *sharing.Request) { r.Terms.From = begin.AddDate(0, 0, 1) })
	elsewhere := whole(func(r *sharing.Request) { r.Terms.Rows.Divisions = []string{"44"} })
	partial, more := map[string]sharing.Mask{"state": sharing.Partial}, map[string]sharing.Mask{"state": sharing.Full, "plate": sharing.Exists}
	for name, test := range map[string]struct {
		grants []*sharing.Request
		fields []string
		code   sharing.Code
		shown  map[string]sharing.Mask
		by     []string
	}{
		"one":                       {[]*sharing.Request{whole(nil)}, nil, sharing.Allowed, partial, []string{"g"}},
		"none":                      {nil, nil, sharing.NoGrant, nil, nil},
		"of another dataset":        {[]*sharing.Request{whole(func(r *sharing.Request) { r.Terms.Dataset = "roads" })}, nil, sharing.NoGrant, nil, nil},
		"to another department":     {[]*sharing.Request{whole(func(r *sharing.Request) { r.From = "health" })}, nil, sharing.NoGrant, nil, nil},
		"of a former owner":         {[]*sharing.Request{whole(func(r *sharing.Request) { r.Owner = "health" })}, nil, sharing.NoGrant, nil, nil},
		"a field that is gone":      {[]*sharing.Request{whole(nil)}, []string{"wheels"}, sharing.FieldsNotGranted, nil, nil},
		"a field that is withheld":  {[]*sharing.Request{whole(nil)}, []string{"price"}, sharing.FieldsNotGranted, nil, nil},
		"a wider one behind":        {[]*sharing.Request{whole(nil), full}, nil, sharing.Allowed, more, []string{"f", "g"}},
		"a wider one before":        {[]*sharing.Request{full, whole(nil)}, nil, sharing.Allowed, more, []string{"f", "g"}},
		"one that gives nothing":    {[]*sharing.Request{full, whole(nil)}, []string{"plate"}, sharing.Allowed, map[string]sharing.Mask{"plate": sharing.Exists}, []string{"f"}},
		"one that is not in force":  {[]*sharing.Request{later, full}, nil, sharing.Allowed, more, []string{"f"}},
		"the furthest is told":      {[]*sharing.Request{elsewhere, later}, nil, sharing.RowsNotGranted, nil, nil},
		"the furthest, other order": {[]*sharing.Request{later, elsewhere}, nil, sharing.RowsNotGranted, nil, nil},
	} {
		call := sharing.Call{At: begin, Department: "civil_affairs", Clerk: "clerk", Purpose: "eligibility", Item: "ITEM-1", Case: "C1", Dataset: "cars", Fields: test.fields, Person: person(1)}
		c := &sharing.Case{Department: "civil_affairs", Item: "ITEM-1", Opened: begin, Persons: []pseudonym.ID{person(1)}}
		d := sharing.Decide(call, c, test.grants, contracts, "331099001")
		if d.Code != test.code || d.Allowed != (test.code == sharing.Allowed) || !maps.Equal(d.Fields, test.shown) || !slices.Equal(d.Grants, test.by) {
			t.Errorf("%s: %+v", name, d)
		}
		// What could be read of a dataset at all, wherever its records are from.
		want := test.code
		if want == sharing.RowsNotGranted {
			want = sharing.Allowed
		}
		if d := sharing.Open(call, c, test.grants, contracts); d.Code != want || d.Allowed != (want == sharing.Allowed) {
			t.Errorf("%s: open: %+v", name, d)
		}
		// Nobody's case is no case of nobody.
		c.Persons, call.Person = append(c.Persons, pseudonym.ID{}), pseudonym.ID{}
		if d := sharing.Decide(call, c, test.grants, contracts, "331099001"); d.Code != sharing.NotOfCase || len(d.Fields) > 0 {
			t.Errorf("%s: about nobody: %+v", name, d)
		}
	}
	// A grant outlives the contract, and shows nothing without it.
	call := sharing.Call{At: begin, Department: "civil_affairs", Clerk: "clerk", Purpose: "eligibility", Item: "ITEM-1", Case: "C1", Dataset: "ships", Person: person(1)}
	gone := whole(func(r *sharing.Request) { r.Terms.Dataset = "ships" })
	if d := sharing.Decide(call, &sharing.Case{Department: "civil_affairs", Item: "ITEM-1", Opened: begin, Persons: []pseudonym.ID{person(1)}}, []*sharing.Request{gone}, contracts, "331099001"); d.Code != sharing.NoGrant || d.Allowed {
		t.Errorf("%+v", d)
	}
	for want, codes := range map[sharing.Code][]sharing.Code{
		sharing.NoGrant:          {},
		sharing.GrantNotLive:     {sharing.NoGrant, sharing.GrantNotLive, sharing.NoGrant},
		sharing.FieldsNotGranted: {sharing.FieldsNotGranted, sharing.RowsNotGranted},
		sharing.ItemNotGranted:   {sharing.OtherPurpose, sharing.ItemNotGranted},
	} {
		if got := sharing.Furthest(codes...); got != want {
			t.Errorf("of %v the furthest is %s", codes, got)
		}
	}
}
