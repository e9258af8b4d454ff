package disclosure_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/shirecounty/shire/pipeline/disclosure"
	"github.com/shirecounty/shire/pipeline/serving"
	"github.com/shirecounty/shire/schemas/pseudonym"
	"github.com/shirecounty/shire/schemas/sharing"
)

// papers puts a record of a case under a key of its own, with so many applicants.
func (w *town) papers(key, number, department string, closed time.Time, applicants ...pseudonym.ID) {
	r := serving.Record{Case: &serving.Case{Number: number, Department: department, Item: "ITEM-1", Opened: noon.Add(-time.Hour), Closed: closed}}
	for i, p := range applicants {
		m := w.mention("cases", key+string(rune('a'+i)), "applicant", p, numberOf(p))
		m.Role = "applicant"
		r.Mentions = append(r.Mentions, m)
	}
	w.put("cases", key, r, "number", number, "item", "ITEM-1", "department", department, "name", nameOf(applicants[0]))
}

// Two departments may give their cases one number: each has its own. Of several records of a case the newest counts.
func TestCasesOfOneNumber(t *testing.T) {
	for name, first := range map[string]string{"ours first": "welfare", "theirs first": "health"} {
		w := simple(t)
		second := map[string]string{"welfare": "health", "health": "welfare"}[first]
		who := map[string]pseudonym.ID{"welfare": person(1), "health": person(3)}
		w.papers("X1", "N", first, time.Time{}, who[first])
		w.papers("X2", "N", second, time.Time{}, who[second])
		if _, err := w.Person(t.Context(), reader("N"), person(1)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := w.Person(t.Context(), reader("N"), person(3)); denied(err) != sharing.NotOfCase {
			t.Errorf("%s: the applicant of the other department's case: %v", name, err)
		}
		r := reader("N")
		r.Department = "health"
		if _, err := w.Person(t.Context(), r, person(3)); denied(err) != sharing.NoGrant {
			t.Errorf("%s: the other department: %v", name, err)
		}
		w.papers("X3", "N", "welfare", noon.Add(-time.Minute), person(1))
		if _, err := w.Person(t.Context(), reader("N"), person(1)); denied(err) != sharing.CaseNotOpen {
			t.Errorf("%s: closed by a later record: %v", name, err)
		}
	}
}

// What stands in the way of a person's view stands in the way of every other look at them.
func TestEveryLookNeedsAnOpenCase(t *testing.T) {
	for name, test := range map[string]struct {
		spoil func(w *town, r *disclosure.Reader)
		told  sharing.Code
	}{
		"no clerk":                  {func(_ *town, r *disclosure.Reader) { r.Clerk = "" }, sharing.NoClerk},
		"no purpose":                {func(_ *town, r *disclosure.Reader) { r.Purpose = "curiosity" }, sharing.NoPurpose},
		"no such case":              {func(_ *town, r *disclosure.Reader) { r.Case = "C9" }, sharing.NoCase},
		"another department's case": {func(_ *town, r *disclosure.Reader) { r.Case = "C2" }, sharing.NoCase},
		"a closed case":             {func(_ *town, r *disclosure.Reader) { r.Case = "C3" }, sharing.CaseNotOpen},
		"not open yet":              {func(w *town, _ *disclosure.Reader) { w.now = noon.Add(-2 * time.Hour) }, sharing.CaseNotOpen},
		"another item":              {func(_ *town, r *disclosure.Reader) { r.Item = "ITEM-2" }, sharing.OtherItem},
		"the case of somebody else": {func(w *town, _ *disclosure.Reader) {
			w.openCase("C1", "welfare", "ITEM-1", person(3), person(1), time.Time{})
		}, sharing.NotOfCase},
	} {
		w, r := simple(t), reader("C1")
		prefill := must(w.Prefill(t.Context(), r, person(1), nil)).ID
		test.spoil(w, &r)
		for look, err := range map[string]error{
			"person":   second(w.Person(t.Context(), r, person(1))),
			"lookup":   second(w.Lookup(t.Context(), r, disclosure.Attributes{Number: numberOf(person(1))})),
			"record":   second(w.Desk.Record(t.Context(), r, "police", "residents", numberOf(person(1)), nil)),
			"accesses": second(w.Accesses(t.Context(), r, person(1))),
			"prefill":  second(w.Prefill(t.Context(), r, person(1), []string{"REGISTER"})),
			"use":      w.Use(t.Context(), r, prefill, "REGISTER"),
			"decline":  w.Decline(t.Context(), r, prefill, "REGISTER", "wrong"),
		} {
			if denied(err) != test.told {
				t.Errorf("%s: %s: %v", name, look, err)
			}
		}
		for _, a := range w.log[1:] {
			if a.Decision != disclosure.Refused {
				t.Errorf("%s: the log has %+v", name, a)
			}
		}
		if len(w.log) != 8 || len(w.taken) != 0 {
			t.Errorf("%s: %d entries, %v taken", name, len(w.log), w.taken)
		}
	}
}

// A case of two: each is told apart, by the number where the name does not do, and what is said of the one is not said of the other.
func TestTwoApplicants(t *testing.T) {
	w := simple(t)
	w.resident(person(6), "331099001", "2027-01-01") // has the name and the birthday of person 1
	w.papers("X", "N", "welfare", time.Time{}, person(1), person(6))
	if _, err := w.Lookup(t.Context(), reader("N"), disclosure.Attributes{Name: nameOf(person(1)), BirthDate: "1949-12-31"}); denied(err) != sharing.NotOfCase {
		t.Errorf("two who are alike: %v", err)
	}
	for _, p := range []pseudonym.ID{person(1), person(6)} {
		if found, err := w.Lookup(t.Context(), reader("N"), disclosure.Attributes{Number: numberOf(p)}); err != nil || found.ID != p || len(found.Records) != 1 {
			t.Errorf("by number: %+v, %v", found, err)
		}
	}
	if _, err := w.Prefill(t.Context(), reader("N"), pseudonym.ID{}, nil); denied(err) != sharing.NotOfCase {
		t.Errorf("a prefill of either: %v", err)
	}
	w.marry("M1", person(3), person(1))
	w.papers("Y", "O", "welfare", time.Time{}, person(1), person(3))
	w.grant("m", "marriages", map[string]sharing.Mask{"husband": sharing.Full, "wife": sharing.Full})
	p := must(w.Person(t.Context(), reader("O"), person(1)))
	i := slices.IndexFunc(p.Facts, func(f disclosure.Fact) bool { return f.Means == "name" })
	if i < 0 || p.Facts[i].Conflicting || len(p.Facts[i].Said) != 2 || len(p.Records) != 2 || len(p.Records[0].Values) != 2 {
		t.Errorf("%+v", p)
	}
	// A record of two is found by the one of the case, whichever role they have in it.
	r, err := w.Desk.Record(t.Context(), reader("C1"), "civil", "marriages", "M1", nil)
	if err != nil || len(r.Values) != 1 || r.Values[0].Field != "wife" {
		t.Errorf("%+v, %v", r, err)
	}
}

// An applicant may be looked up by the number that the case itself says, also where no grant shows any; and an empty name is
// nobody's.
func TestLookupByThePapers(t *testing.T) {
	w := simple(t)
	w.act(sharing.Event{Request: "g", Act: sharing.Revoke, Department: "data", Reason: "x"})
	w.grant("s", "residents", map[string]sharing.Mask{"status": sharing.Full})
	w.papers("X", "N", "welfare", time.Time{}, person(1))
	if p, err := w.Lookup(t.Context(), reader("N"), disclosure.Attributes{Number: numberOf(person(1))}); err != nil || p.ID != person(1) {
		t.Errorf("%+v, %v", p, err)
	}
	if _, err := w.Lookup(t.Context(), reader("N"), disclosure.Attributes{Number: numberOf(person(3))}); denied(err) != sharing.NotOfCase {
		t.Error(err)
	}
	w.grant("n", "residents", map[string]sharing.Mask{"name": sharing.Full, "card": sharing.Full})
	number := numberOf(person(1))
	w.put("residents", number, serving.Record{Division: "331099001", Mentions: []serving.Mention{w.mention("residents", number, "resident", person(1), number)}}, "card", number)
	for _, other := range []pseudonym.ID{person(3), person(77)} {
		if _, err := w.Lookup(t.Context(), reader("C1"), disclosure.Attributes{Number: numberOf(other)}); denied(err) != sharing.NotOfCase {
			t.Errorf("somebody else's number, on whom no name is held: %v", err)
		}
	}
	// Nor can a number be tried out that stands in a record outside the granted rows.
	w.grant("r", "marriages", map[string]sharing.Mask{"number": sharing.Full})
	w.act(sharing.Event{Request: "n", Act: sharing.Revoke, Department: "data", Reason: "x"})
	w.grant("e", "residents", map[string]sharing.Mask{"card": sharing.Full}, "331099")
	w.resident(person(1), "440100001", "2027-01-01")
	if _, err := w.Lookup(t.Context(), reader("C1"), disclosure.Attributes{Number: number}); denied(err) != sharing.NotOfCase {
		t.Errorf("a number outside the rows: %v", err)
	}
	var m *disclosure.Mistake
	if _, err := w.Lookup(t.Context(), reader("C1"), disclosure.Attributes{Number: number, Name: "钱双喜", BirthDate: "1949-12-31"}); !errors.As(err, &m) {
		t.Errorf("both at once: %v", err)
	}
}

// Values are held against each other only where both are shown in the same way; the newest stands first.
func TestWhatIsNoConflict(t *testing.T) {
	for name, test := range map[string]struct {
		residents, cases sharing.Mask
		conflict         bool
	}{
		"both in full":              {sharing.Full, sharing.Full, true},
		"both in part":              {sharing.Partial, sharing.Partial, true},
		"both hashed":               {sharing.Hashed, sharing.Hashed, true},
		"one in part":               {sharing.Full, sharing.Partial, false},
		"whether there is one":      {sharing.Exists, sharing.Exists, false},
		"whether it is that one":    {sharing.Equals, sharing.Equals, false},
		"that there is one, and it": {sharing.Exists, sharing.Full, false},
	} {
		w := simple(t)
		w.act(sharing.Event{Request: "g", Act: sharing.Revoke, Department: "data", Reason: "x"})
		w.grant("r", "residents", map[string]sharing.Mask{"name": test.residents})
		w.grant("c", "cases", map[string]sharing.Mask{"name": test.cases})
		name2 := "孙小三"
		if test.cases == sharing.Exists {
			name2 = ""
		}
		for _, key := range []string{"C1", "C2", "C3"} { // all say so
			w.put("cases", key, *must(w.store.ByCase(key))[0], "name", name2)
		}
		r := reader("C1")
		r.Brought = map[string]string{"residents.name": nameOf(person(1)), "cases.name": nameOf(person(1))}
		p := must(w.Person(t.Context(), r, person(1)))
		if len(p.Facts) != 1 || len(p.Facts[0].Said) != 4 || p.Facts[0].Conflicting != test.conflict {
			t.Errorf("%s: %+v", name, p.Facts)
			continue
		}
		if !slices.IsSortedFunc(p.Facts[0].Said, func(a, b disclosure.Said) int { return b.ReceivedAt.Compare(a.ReceivedAt) }) || p.Facts[0].Said[3].Dataset != "residents" {
			t.Errorf("%s: the newest is not the first: %+v", name, p.Facts[0].Said)
		}
	}
}

// What others asked for is nobody's business, and what is written into the log as an item is one.
func TestWhatIsToldBesides(t *testing.T) {
	w := simple(t)
	if !w.act(sharing.Event{Request: "h", Act: sharing.Submit, Department: "health", Terms: &sharing.Terms{Dataset: "marriages", Fields: map[string]sharing.Mask{"number": sharing.Full}, Purpose: "eligibility",
		Items: []string{"ITEM-1"}, From: noon, Until: noon.AddDate(1, 0, 0)}}) {
		t.Fatal("health may ask")
	}
	if p := must(w.Person(t.Context(), reader("C1"), person(1))); len(p.Refused) != 0 {
		t.Errorf("told of others' requests: %v", p.Refused)
	}
	r := reader("C1")
	r.Item = numberOf(person(1))
	if _, err := w.Person(t.Context(), r, person(1)); denied(err) != sharing.OtherItem {
		t.Error(err)
	}
	if last := w.log[len(w.log)-1]; !strings.HasPrefix(last.ItemCode, "unknown:") || last.CaseNumber != "C1" {
		t.Errorf("%+v", last)
	}
	// Ids from before a merge lead to whom they mean today.
	w.merge(person(1), person(4))
	for _, id := range []pseudonym.ID{person(1), person(4)} {
		if p, err := w.Person(t.Context(), reader("C1"), id); err != nil || p.ID != person(4) {
			t.Errorf("%v: %+v, %v", id, p, err)
		}
	}
	var m *disclosure.Mistake
	if _, err := w.Desk.Record(t.Context(), reader("C1"), "police", "residents", strings.Repeat("9", 1001), nil); !errors.As(err, &m) || m.Field != "key" {
		t.Error(err)
	}
	if _, err := w.Prefill(t.Context(), reader("C1"), person(4), slices.Repeat([]string{"REGISTER"}, 51)); !errors.As(err, &m) || m.Field != "materials" {
		t.Error(err)
	}
}
