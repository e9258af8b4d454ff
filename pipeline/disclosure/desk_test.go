package disclosure_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/shirecounty/shire/pipeline/disclosure"
	"github.com/shirecounty/shire/schemas/pseudonym"
	"github.com/shirecounty/shire/schemas/sharing"
)

// all that anybody could be given of the residents' register.
var everything = map[string]sharing.Mask{"card": sharing.Partial, "name": sharing.Full, "born": sharing.Full, "status": sharing.Exists, "register": sharing.Exists, "register_until": sharing.Full}

// simple is a town with a case of person 1, whose agent is person 2, and a grant of the register.
func simple(t *testing.T) *town {
	w := newTown(t, t.TempDir())
	t.Cleanup(func() { w.store.Close() })
	for n := range byte(3) {
		w.resident(person(n+1), "331099001", "2027-01-01")
	}
	w.openCase("C1", "welfare", "ITEM-1", person(1), person(2), time.Time{})
	w.openCase("C2", "health", "ITEM-1", person(1), pseudonym.ID{}, time.Time{})
	w.openCase("C3", "welfare", "ITEM-1", person(1), pseudonym.ID{}, noon.Add(-time.Minute))
	w.grant("g", "residents", everything, "331099")
	return w
}

func TestPersonIsShown(t *testing.T) {
	w := simple(t)
	p, err := w.Person(t.Context(), reader("C1"), person(1))
	if err != nil {
		t.Fatal(err)
	}
	if len(p.Records) != 1 || fmt.Sprint(p.Records[0].Values) != "[{card id_number partial 110***********"+numberOf(person(1))[14:]+"} {name name full 钱双喜} {born birth_date full 1949-12-31} {status  exists yes} {register  exists yes} {register_until  full 2027-01-01}]" {
		t.Fatalf("%+v", p.Records)
	}
	if len(p.Facts) != 3 || p.Facts[0].Means != "name" || p.Facts[0].Conflicting {
		t.Fatalf("%+v", p.Facts)
	}
	last := w.log[len(w.log)-1]
	if last.Decision != "granted" || last.Caller != "welfare/gateway" || last.CaseNumber != "C1" || !slices.Equal(last.Persons, []pseudonym.ID{person(1)}) || !slices.Contains(last.Fields, "residents.name") {
		t.Fatalf("%+v", last)
	}
}

// What is held against whoever asks: the code that they are told, and that the log has.
func TestRefusals(t *testing.T) {
	for name, test := range map[string]struct {
		change       func(w *town, r *disclosure.Reader)
		of           pseudonym.ID
		told, logged sharing.Code
	}{
		"no clerk":                    {func(_ *town, r *disclosure.Reader) { r.Clerk = " " }, person(1), sharing.NoClerk, sharing.NoClerk},
		"a purpose that there is not": {func(_ *town, r *disclosure.Reader) { r.Purpose = "curiosity" }, person(1), sharing.NoPurpose, sharing.NoPurpose},
		"no such case":                {func(_ *town, r *disclosure.Reader) { r.Case = "C9" }, person(1), sharing.NoCase, sharing.NoCase},
		"a case of somebody else's":   {func(_ *town, r *disclosure.Reader) { r.Case = "C2" }, person(1), sharing.NoCase, sharing.OtherDepartmentsCase},
		"a closed case":               {func(_ *town, r *disclosure.Reader) { r.Case = "C3" }, person(1), sharing.CaseNotOpen, sharing.CaseNotOpen},
		"another item":                {func(_ *town, r *disclosure.Reader) { r.Item = "ITEM-2" }, person(1), sharing.OtherItem, sharing.OtherItem},
		"the agent":                   {nil, person(2), sharing.NotOfCase, sharing.NotOfCase},
		"a stranger":                  {nil, person(3), sharing.NotOfCase, sharing.NotOfCase},
		"nobody":                      {nil, person(99), sharing.NotOfCase, sharing.NotOfCase},
		"a grant that was suspended": {func(w *town, _ *disclosure.Reader) {
			w.act(sharing.Event{Request: "g", Act: sharing.Suspend, Department: "data", Reason: "x"})
		}, person(1), sharing.GrantNotLive, sharing.GrantNotLive},
		"a grant that has ended":         {func(w *town, _ *disclosure.Reader) { w.now = noon.AddDate(1, 0, 0) }, person(1), sharing.GrantNotLive, sharing.GrantNotLive},
		"a department without any grant": {func(w *town, r *disclosure.Reader) { r.Case, r.Department = "C2", "health" }, person(1), sharing.NoGrant, sharing.NoGrant},
	} {
		t.Run(name, func(t *testing.T) {
			w := simple(t)
			r := reader("C1")
			if test.change != nil {
				test.change(w, &r)
			}
			before := len(w.log)
			p, err := w.Person(t.Context(), r, test.of)
			if p != nil || denied(err) != test.told {
				t.Fatalf("%v, %v; want %s", p, err, test.told)
			}
			if len(w.log) != before+1 || w.log[before].Decision != "refused" || w.log[before].Reason != string(test.logged) {
				t.Fatalf("the log has %+v", w.log[before:])
			}
			w.private(err.Error())
		})
	}
}

// Whatever is written as case, item or purpose is not read by analysts when it may be somebody's number (I7).
func TestWhatIsSaidIsVeiled(t *testing.T) {
	w := simple(t)
	number := numberOf(person(1))
	r := reader(number)
	r.Item, r.Purpose = number, number
	if _, err := w.Person(t.Context(), r, person(1)); denied(err) != sharing.NoPurpose {
		t.Fatal(err)
	}
	r.Purpose = "eligibility"
	if _, err := w.Person(t.Context(), r, person(1)); denied(err) != sharing.NoCase {
		t.Fatal(err)
	}
	w.private(fmt.Sprint(w.log))
	if !strings.HasPrefix(w.log[1].CaseNumber, "unknown:") || !strings.HasPrefix(w.log[1].ItemCode, "unknown:") {
		t.Fatalf("%+v", w.log[1])
	}
}

func TestLookup(t *testing.T) {
	w := simple(t)
	number := numberOf(person(1))
	for name, test := range map[string]struct {
		a    disclosure.Attributes
		code sharing.Code
	}{
		"by number":                 {disclosure.Attributes{Number: number}, ""},
		"by number, lower case":     {disclosure.Attributes{Number: " " + strings.ToLower(number) + " "}, ""},
		"by name and date":          {disclosure.Attributes{Name: "钱双喜", BirthDate: "1949-12-31"}, ""},
		"a name of somebody else":   {disclosure.Attributes{Name: "孙三省", BirthDate: "1949-12-31"}, sharing.NotOfCase},
		"another day":               {disclosure.Attributes{Name: "钱双喜", BirthDate: "1949-12-30"}, sharing.NotOfCase},
		"the agent's number":        {disclosure.Attributes{Number: numberOf(person(2))}, sharing.NotOfCase},
		"a number that nobody has":  {disclosure.Attributes{Number: numberOf(person(77))}, sharing.NotOfCase},
		"of somebody without cases": {disclosure.Attributes{Number: numberOf(person(3))}, sharing.NotOfCase},
	} {
		before := len(w.log)
		p, err := w.Lookup(t.Context(), reader("C1"), test.a)
		if denied(err) != test.code || (err == nil) != (p != nil) || test.code == "" && (err != nil || p.ID != person(1)) {
			t.Errorf("%s: %v, %v", name, p, err)
		}
		if len(w.log) != before+1 {
			t.Errorf("%s: %d entries", name, len(w.log)-before)
		}
		if err != nil {
			w.private(err.Error())
		}
	}
	for _, a := range []disclosure.Attributes{{}, {Number: "110105194912310021"}, {Number: number, Name: "钱双喜"}, {Name: "钱双喜"}, {Name: "钱双喜", BirthDate: "31.12.1949"}, {BirthDate: "1949-12-31"}} {
		var m *disclosure.Mistake
		if _, err := w.Lookup(t.Context(), reader("C1"), a); !errors.As(err, &m) {
			t.Errorf("%+v: %v", a, err)
		} else {
			w.private(err.Error())
		}
	}
	// What no grant covers cannot be tried out: of the register nothing but the status may be seen now.
	w.act(sharing.Event{Request: "g", Act: sharing.Revoke, Department: "data", Reason: "x"})
	w.grant("narrow", "residents", map[string]sharing.Mask{"status": sharing.Full, "card": sharing.Exists, "born": sharing.Exists})
	for _, a := range []disclosure.Attributes{{Number: number}, {Name: "钱双喜", BirthDate: "1949-12-31"}} {
		if _, err := w.Lookup(t.Context(), reader("C1"), a); denied(err) != sharing.NotOfCase {
			t.Errorf("%+v: %v", a, err)
		}
	}
}

// A record of two people shows of each what it says of them when they are of the case, and nothing of the other.
func TestOthersAreNotShown(t *testing.T) {
	w := simple(t)
	w.marry("M1", person(1), person(3))
	w.grant("m", "marriages", map[string]sharing.Mask{"number": sharing.Full, "husband": sharing.Full, "wife": sharing.Full})
	p, err := w.Person(t.Context(), reader("C1"), person(1))
	if err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf("%+v", p)
	if strings.Contains(text, nameOf(person(3))) || !slices.Equal(p.Records[0].Refused, []string{"wife"}) {
		t.Fatal(text)
	}
	r, err := w.Desk.Record(t.Context(), reader("C1"), "civil", "marriages", "M1", []string{"wife", "number"})
	if err != nil || len(r.Values) != 1 || r.Values[0].Text != "M1" || !slices.Equal(r.Refused, []string{"wife"}) {
		t.Fatalf("%+v, %v", r, err)
	}
}

func TestConflictsAreShown(t *testing.T) {
	w := simple(t)
	w.grant("c", "cases", map[string]sharing.Mask{"name": sharing.Full})
	w.openCase("C7", "health", "ITEM-1", person(1), pseudonym.ID{}, time.Time{})
	w.put("cases", "C7", *must(w.store.ByCase("C7"))[0], "name", "钱双禧")
	p, err := w.Person(t.Context(), reader("C1"), person(1))
	if err != nil || len(p.Facts) == 0 || p.Facts[0].Means != "name" || !p.Facts[0].Conflicting || len(p.Facts[0].Said) < 3 {
		t.Fatalf("%+v, %v", p, err)
	}
	if p.Facts[1].Conflicting {
		t.Fatal("one source alone disagrees with itself")
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// A record that there is not, one of somebody else, and one outside the granted rows look alike; and where nothing is granted it does
// not matter whether there is one.
func TestRecordsDoNotShowThatTheyExist(t *testing.T) {
	w := simple(t)
	w.resident(person(1), "440100001", "2027-01-01") // moved out of what is granted
	for name, key := range map[string]string{"outside": numberOf(person(1)), "of somebody else": numberOf(person(3)), "none": numberOf(person(88))} {
		r, err := w.Desk.Record(t.Context(), reader("C1"), "police", "residents", key, nil)
		if r != nil || denied(err) != sharing.NotOfCase {
			t.Errorf("%s: %v, %v", name, r, err)
		}
	}
	w.marry("M1", person(1), person(3))
	for _, key := range []string{"M1", "M2"} {
		if _, err := w.Desk.Record(t.Context(), reader("C1"), "civil", "marriages", key, nil); denied(err) != sharing.NoGrant {
			t.Errorf("%s: %v", key, err)
		}
	}
	// Nor does the person's view tell of datasets that are not granted.
	w.resident(person(1), "331099001", "2027-01-01")
	with := must(w.Person(t.Context(), reader("C1"), person(1)))
	if len(with.Refused) != 0 || len(with.Records) != 1 {
		t.Fatalf("%+v", with)
	}
	for want, call := range map[string]func() error{
		"catalogue": func() error { return second(w.Desk.Record(t.Context(), reader("C1"), "civil", "residents", "x", nil)) },
		"no field": func() error {
			return second(w.Desk.Record(t.Context(), reader("C1"), "police", "residents", "x", []string{"shoe"}))
		},
		"key":       func() error { return second(w.Desk.Record(t.Context(), reader("C1"), "police", "residents", "", nil)) },
		"100 bytes": func() error { return second(w.Person(t.Context(), reader(strings.Repeat("9", 101)), person(1))) },
	} {
		var m *disclosure.Mistake
		if err := call(); !errors.As(err, &m) || !strings.Contains(err.Error(), want) {
			t.Errorf("%v; want %q", err, want)
		}
	}
}

func second[T any](_ T, err error) error { return err }

// What was brought is compared, and nothing is said about what was not.
func TestEquals(t *testing.T) {
	w := simple(t)
	w.act(sharing.Event{Request: "g", Act: sharing.Revoke, Department: "data", Reason: "x"})
	w.grant("e", "residents", map[string]sharing.Mask{"name": sharing.Equals, "card": sharing.Hashed})
	r := reader("C1")
	for brought, want := range map[string]string{"钱双喜": "yes", "钱": "no"} {
		r.Brought = map[string]string{"residents.name": brought}
		p := must(w.Person(t.Context(), r, person(1)))
		if v := p.Records[0].Values; len(v) != 2 || v[1].Text != want || len(v[0].Text) != 24 || v[0].Text != w.hasher.Text("shared/welfare", numberOf(person(1))) {
			t.Errorf("%+v", v)
		}
	}
	r.Brought = nil
	if p := must(w.Person(t.Context(), r, person(1))); len(p.Records[0].Values) != 1 || !slices.Equal(p.Records[0].Refused, []string{"name"}) {
		t.Errorf("%+v", p)
	}
}

// Nothing is shown when it cannot be written down, when the grants are not known, or when what is held is too old.
func TestNothingWithoutTheLog(t *testing.T) {
	w := simple(t)
	prefill := must(w.Prefill(t.Context(), reader("C1"), person(1), nil))
	down := errors.New("away")
	for name, break_ := range map[string]func(error){"log": func(e error) { w.logDown = e }, "bus": func(e error) { w.busDown = e }, "store": func(e error) { w.stale = e }, "warehouse": func(e error) { w.away = e }} {
		break_(down)
		before := len(w.taken)
		var errs []error
		p, err := w.Person(t.Context(), reader("C1"), person(1))
		l, err2 := w.Lookup(t.Context(), reader("C1"), disclosure.Attributes{Number: numberOf(person(1))})
		r, err3 := w.Desk.Record(t.Context(), reader("C1"), "police", "residents", numberOf(person(1)), nil)
		a, err4 := w.Accesses(t.Context(), reader("C1"), person(1))
		f, err5 := w.Prefill(t.Context(), reader("C1"), person(1), nil)
		_, err6 := w.Person(t.Context(), reader("C1"), person(3)) // a refusal that cannot be written down is none
		g, err7 := w.PrefillFor(t.Context(), reader("C1"), disclosure.Attributes{Number: numberOf(person(1))}, nil)
		errs = append(errs, err, err2, err3, err4, err5, err6, err7, w.Use(t.Context(), reader("C1"), prefill.ID, "REGISTER"), w.Decline(t.Context(), reader("C1"), prefill.ID, "REGISTER", "wrong"))
		for i, err := range errs {
			var u *disclosure.Unavailable
			if !errors.As(err, &u) || !errors.Is(err, down) {
				t.Errorf("%s is down, call %d: %v", name, i, err)
			}
		}
		if p != nil || l != nil || r != nil || a != nil || f != nil || g != nil || len(w.taken) != before {
			t.Errorf("%s is down and something is shown", name)
		}
		break_(nil)
	}
	if _, err := w.Person(t.Context(), reader("C1"), person(1)); err != nil {
		t.Fatal(err)
	}
}

func TestAccesses(t *testing.T) {
	w := simple(t)
	must(w.Person(t.Context(), reader("C1"), person(1)))
	if _, err := w.Person(t.Context(), reader("C9"), person(1)); denied(err) != sharing.NoCase {
		t.Fatal(err)
	}
	w.merge(person(1), person(4))
	w.openCase("C5", "counter", "ITEM-9", person(4), pseudonym.ID{}, time.Time{})
	r := reader("C5")
	r.Department, r.Item = "counter", "ITEM-9"
	list := must(w.Accesses(t.Context(), r, person(1))) // by an id from before the merge
	if len(list) != 2 || list[0].Decision != "refused" || list[1].Decision != "granted" || list[1].Caller != "welfare/gateway" {
		t.Fatalf("%+v", list)
	}
	if list = must(w.Accesses(t.Context(), r, person(4))); len(list) != 3 || list[0].Fields[0] != "audit.accesses" {
		t.Fatalf("%+v", list)
	}
	if _, err := w.Accesses(t.Context(), r, person(3)); denied(err) != sharing.NotOfCase {
		t.Fatal(err)
	}
}

func TestRevokedGrantStopsTheNextCall(t *testing.T) {
	w := simple(t)
	must(w.Person(t.Context(), reader("C1"), person(1)))
	if !w.act(sharing.Event{Request: "g", Act: sharing.Revoke, Department: "police", Reason: "x"}) {
		t.Fatal("the owner may revoke")
	}
	if _, err := w.Person(t.Context(), reader("C1"), person(1)); denied(err) != sharing.GrantNotLive {
		t.Fatal(err)
	}
}
