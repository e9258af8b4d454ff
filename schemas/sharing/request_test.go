package sharing_test

import (
	"errors"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/shirecounty/shire/schemas/calendar"
	"github.com/shirecounty/shire/schemas/contract"
	"github.com/shirecounty/shire/schemas/sharing"
)

const insured = `
dataset: insured
department: social_security
owner: {zh: 社保, en: Insurance}
title: {zh: 参保, en: Insured}
version: 1
key: [number]
sharing: {type: conditional}
fields:
  - {name: number, type: identifier, required: true, sensitivity: internal}
  - {name: status, type: text, sensitivity: internal, sharing: unconditional}
  - {name: name, type: chinese_name, sensitivity: personal}
  - {name: wage, type: text, sensitivity: sensitive, sharing: none}
emits:
  - table: person_records
    role: insured
    columns: {name: name}
`

func world(t testing.TB) sharing.World {
	c, err := contract.Parse("insured.yaml", []byte(insured), "Asia/Shanghai")
	if err != nil {
		t.Fatal(err)
	}
	return sharing.World{Contracts: contract.Set{"insured": c}, Purposes: []string{"eligibility", "review"}, Lead: "data_bureau"}
}

var begin = time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)

func terms() *sharing.Terms {
	return &sharing.Terms{Dataset: "insured", Fields: map[string]sharing.Mask{"status": sharing.Full, "name": sharing.Partial}, Purpose: "eligibility",
		Items: []string{"ITEM-1", "ITEM-2"}, Rows: sharing.Rows{Divisions: []string{"331099"}}, From: begin, Until: begin.AddDate(1, 0, 0)}
}

func submit() sharing.Event {
	return sharing.Event{Request: "r1", Act: sharing.Submit, At: begin, Department: "civil_affairs", Terms: terms()}
}

// do accepts an act and gives the request after it.
func do(t interface {
	Helper()
	Fatal(...any)
}, w sharing.World, r *sharing.Request, e sharing.Event) *sharing.Request {
	t.Helper()
	accepted, err := w.Accept(r, e)
	if err != nil {
		t.Fatal(err)
	}
	return sharing.Fold(r, accepted)
}

func TestARequestOnItsWay(t *testing.T) {
	w := world(t)
	r := do(t, w, nil, submit())
	at := begin
	act := func(department string, e sharing.Event, want string) {
		t.Helper()
		at = at.Add(time.Hour)
		e.Request, e.At, e.Department = "r1", at, department
		accepted, err := w.Accept(r, e)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Fatalf("%s by %s: %v; want %q", e.Act, department, err, want)
		}
		var refused *sharing.Refusal
		if err == nil {
			r = sharing.Fold(r, accepted)
		} else if !errors.As(err, &refused) {
			t.Fatalf("%s fails with %T", e.Act, err)
		}
	}
	waits := func(limit sharing.Limit, since time.Time) {
		t.Helper()
		if l, s, who, ok := r.Waits(); !ok || l != limit || !s.Equal(since) || who != "social_security" {
			t.Fatalf("waits for %s since %s by %s, %t", l, s, who, ok)
		}
	}
	waits(sharing.ReplyConditional, begin)
	act("civil_affairs", sharing.Event{Act: sharing.Approve}, "only its owner")
	act("data_bureau", sharing.Event{Act: sharing.Approve}, "only its owner")
	act("social_security", sharing.Event{Act: sharing.Deliver}, "the request is asked")
	act("social_security", sharing.Event{Act: sharing.Refuse, Reason: "no"}, "legal ground")
	act("social_security", sharing.Event{Act: sharing.GiveBack}, "needs a reason")
	act("social_security", sharing.Event{Act: sharing.GiveBack, Reason: "which cases?"}, "")
	if _, _, _, ok := r.Waits(); ok {
		t.Fatal("a request that was given back keeps its owner's clock running")
	}
	more := terms()
	more.Fields["wage"] = sharing.Exists
	act("civil_affairs", sharing.Event{Act: sharing.Resubmit, Terms: more}, "is not shared")
	act("civil_affairs", sharing.Event{Act: sharing.Resubmit, Terms: terms()}, "")
	waits(sharing.ReplyConditional, at)
	act("social_security", sharing.Event{Act: sharing.GiveBack, Reason: "and why?"}, "given back once already")
	wider := terms()
	wider.Fields["name"] = sharing.Full
	act("social_security", sharing.Event{Act: sharing.Approve, Terms: wider}, "shows more")
	less := terms()
	less.Items = []string{"ITEM-2"}
	act("social_security", sharing.Event{Act: sharing.Approve, Terms: less}, "")
	waits(sharing.Delivery, at)
	if r.Covers(at) {
		t.Fatal("what is approved and not delivered can be read")
	}
	act("social_security", sharing.Event{Act: sharing.Deliver}, "")
	if !r.Covers(at) || r.Covers(r.Terms.Until) || r.Covers(r.Terms.From.Add(-1)) {
		t.Fatal("a grant is in force within its time, and not outside")
	}
	act("civil_affairs", sharing.Event{Act: sharing.Suspend, Reason: "x"}, "only its owner or the lead")
	act("data_bureau", sharing.Event{Act: sharing.Suspend, Reason: "an audit"}, "")
	if r.Covers(at) {
		t.Fatal("a suspended grant is in force")
	}
	act("social_security", sharing.Event{Act: sharing.Resume}, "")
	act("social_security", sharing.Event{Act: sharing.Review}, "")
	act("data_bureau", sharing.Event{Act: sharing.Revoke, Reason: "misuse"}, "")
	act("social_security", sharing.Event{Act: sharing.Resume}, "the request is revoked")
	act("civil_affairs", sharing.Event{Act: sharing.Withdraw}, "the request is revoked")
}

func TestRequestsThatCannotBe(t *testing.T) {
	w := world(t)
	for want, change := range map[string]func(*sharing.Event){
		"the catalogue has no dataset": func(e *sharing.Event) { e.Terms.Dataset = "secrets" },
		"is your own":                  func(e *sharing.Event) { e.Department = "social_security" },
		"knows no purpose":             func(e *sharing.Event) { e.Terms.Purpose = "curiosity" },
		"has no field":                 func(e *sharing.Event) { e.Terms.Fields["shoe"] = sharing.Full },
		"is not shared":                func(e *sharing.Event) { e.Terms.Fields["wage"] = sharing.Hashed },
		"there is no mask":             func(e *sharing.Event) { e.Terms.Fields["name"] = "all" },
		"name no field":                func(e *sharing.Event) { e.Terms.Fields = nil },
		"no service item":              func(e *sharing.Event) { e.Terms.Items = nil },
		"not after their beginning":    func(e *sharing.Event) { e.Terms.Until = e.Terms.From },
		"longer than three years":      func(e *sharing.Event) { e.Terms.Until = e.Terms.From.AddDate(30, 0, 0) },
		"does not exist":               func(e *sharing.Event) { e.Act = sharing.Approve },
	} {
		e := submit()
		change(&e)
		if _, err := w.Accept(nil, e); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v; want %q", err, want)
		}
	}
}

func TestTypeOfARequestIsTheStrictest(t *testing.T) {
	w, e := world(t), submit()
	e.Terms.Fields = map[string]sharing.Mask{"status": sharing.Full}
	r := do(t, w, nil, e)
	if r.Type != "unconditional" {
		t.Fatal(r.Type)
	}
	if l, _, _, _ := r.Waits(); l != sharing.ReplyUnconditional {
		t.Fatal(l)
	}
}

var acts = []sharing.Act{sharing.Submit, sharing.GiveBack, sharing.Resubmit, sharing.Approve, sharing.Refuse, sharing.Withdraw, sharing.Deliver, sharing.Suspend, sharing.Resume, sharing.Revoke, sharing.Review}

var parties = []string{"civil_affairs", "social_security", "data_bureau", "health"}

func drawTerms(t *rapid.T) *sharing.Terms {
	out := terms()
	out.Fields = map[string]sharing.Mask{}
	for _, name := range rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"number", "status", "name", "wage", "shoe"}), 0, 3, rapid.ID).Draw(t, "fields") {
		out.Fields[name] = rapid.SampledFrom(append(slices.Clone(sharing.Masks), "all")).Draw(t, "mask")
	}
	out.Purpose = rapid.SampledFrom([]string{"eligibility", "review", "curiosity"}).Draw(t, "purpose")
	out.Items = rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"ITEM-1", "ITEM-2", "ITEM-3"}), 0, 2, rapid.ID).Draw(t, "items")
	out.Rows = sharing.Rows{Divisions: rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"331099", "331099001", "44"}), 0, 2, rapid.ID).Draw(t, "divisions"), Own: rapid.Bool().Draw(t, "own")}
	out.From = begin.AddDate(0, 0, rapid.IntRange(0, 5).Draw(t, "from"))
	out.Until = out.From.AddDate(0, 0, rapid.IntRange(0, 30).Draw(t, "days"))
	return out
}

// history draws requests that came about by acts of anybody, most of which are refused, and their events that were not.
func history(t *rapid.T, w sharing.World) (map[string]*sharing.Request, []sharing.Event) {
	requests := map[string]*sharing.Request{}
	var done []sharing.Event
	for i := range rapid.IntRange(0, 40).Draw(t, "acts") {
		e := sharing.Event{Request: rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "request"), Act: rapid.SampledFrom(acts).Draw(t, "act"),
			At: begin.Add(time.Duration(i) * 3 * time.Hour), Department: rapid.SampledFrom(parties).Draw(t, "who"), Reason: "because", Ground: "law"}
		if rapid.IntRange(0, 2).Draw(t, "with terms") > 0 || e.Act == sharing.Submit {
			e.Terms = drawTerms(t)
		}
		if accepted, err := w.Accept(requests[e.Request], e); err == nil {
			requests[e.Request] = sharing.Fold(requests[e.Request], accepted)
			done = append(done, accepted)
		}
	}
	return requests, done
}

// What is granted was asked for by one department and approved by the owner; the fold of the accepted events gives the same
// requests again; and who approved never gave more than was asked.
func TestNothingIsGrantedThatWasNotAskedForAndApproved(t *testing.T) {
	w := world(t)
	rapid.Check(t, func(t *rapid.T) {
		requests, events := history(t, w)
		again := map[string]*sharing.Request{}
		for _, e := range events {
			again[e.Request] = sharing.Fold(again[e.Request], e)
		}
		if !reflect.DeepEqual(requests, again) {
			t.Fatalf("the accepted events give other requests")
		}
		for id, r := range requests {
			var asked *sharing.Terms
			approved, stopped := false, false
			for _, e := range events {
				if e.Request != id {
					continue
				}
				switch e.Act {
				case sharing.Submit, sharing.Resubmit:
					asked = e.Terms
				case sharing.Approve:
					approved = e.Department == r.Owner
				case sharing.Suspend, sharing.Revoke, sharing.Withdraw, sharing.Refuse:
					stopped = true
				case sharing.Resume:
					stopped = false
				}
			}
			if r.State != sharing.Live {
				continue
			}
			if !approved || stopped {
				t.Fatalf("%s is live without the owner's approval, or after it was stopped", id)
			}
			if err := r.Terms.Within(*asked); err != nil {
				t.Fatalf("%s gives more than was asked for: %v", id, err)
			}
		}
	})
}

func TestTermsAreNotShared(t *testing.T) {
	w, e := world(t), submit()
	r := do(t, w, nil, e)
	had := maps.Clone(r.Terms.Fields)
	e.Terms.Fields["name"] = sharing.Full
	if !maps.Equal(had, r.Terms.Fields) {
		t.Fatal("whoever keeps the event can change the request")
	}
}

// May says of every act what Accept says of it when all that it needs besides is there; and every refusal speaks both languages.
func TestMayIsWhatIsAccepted(t *testing.T) {
	w := world(t)
	rapid.Check(t, func(t *rapid.T) {
		r := do(t, w, nil, submit())
		for range rapid.IntRange(0, 12).Draw(t, "acts") {
			department := rapid.SampledFrom([]string{"civil_affairs", "social_security", "data_bureau", "tax"}).Draw(t, "department")
			may := w.May(r, department)
			var next *sharing.Request
			for _, act := range sharing.Acts {
				e := sharing.Event{Request: r.ID, Act: act, At: r.Since.Add(time.Hour), Department: department, Reason: "why", Ground: "law"}
				if act == sharing.Resubmit || act == sharing.Approve {
					terms := r.Terms
					e.Terms = &terms
				}
				accepted, err := w.Accept(r, e)
				if (err == nil) != slices.Contains(may, act) {
					t.Fatalf("%s by %s of a request that is %s: %v, and May says %v", act, department, r.State, err, may)
				}
				var no *sharing.Refusal
				if err != nil && (!errors.As(err, &no) || no.Code == "" || no.Zh == "" || no.Zh == no.Text || strings.Contains(no.Zh, "%!")) {
					t.Fatalf("%#v", err)
				}
				if err == nil && (next == nil || rapid.Bool().Draw(t, "this")) {
					next = sharing.Fold(r, accepted)
				}
			}
			if next != nil {
				r = next
			}
		}
	})
}

// A review in between does not start the clock of the delivery anew, and without next year's calendar the clock says so.
func TestClock(t *testing.T) {
	rules, err := sharing.LoadRules(sharing.National())
	if err != nil {
		t.Fatal(err)
	}
	cal, err := calendar.Load(calendar.National())
	if err != nil {
		t.Fatal(err)
	}
	w, zone := world(t), time.FixedZone("", 8*3600)
	r := do(t, w, nil, submit())
	for i, want := range []struct {
		act    sharing.Act
		after  time.Duration
		limit  sharing.Limit
		due    string
		left   int
		passed bool
	}{ // begin is Monday, 2 March 2026
		{"", 0, sharing.ReplyConditional, "2026-03-16", 10, false},
		{sharing.Approve, 48 * time.Hour, sharing.Delivery, "2026-04-01", 20, false},
		{sharing.Review, 300 * time.Hour, sharing.Delivery, "2026-04-01", 13, false},
		{sharing.Review, 24 * 30 * time.Hour, sharing.Delivery, "2026-04-01", 0, false},
		{sharing.Review, 24*30*time.Hour + 8*time.Hour, sharing.Delivery, "2026-04-01", -1, true}, // the next day has begun where the county is
		{sharing.Review, 24 * 60 * time.Hour, sharing.Delivery, "2026-04-01", -20, true},
	} {
		now := begin.Add(want.after)
		if want.act != "" {
			r = do(t, w, r, sharing.Event{Request: r.ID, Act: want.act, At: now, Department: "social_security"})
		}
		c, err := rules.Clock(r, now, zone, cal)
		if err != nil || c.Limit != want.limit || c.Due.String() != want.due || c.Left != want.left || c.Overdue != want.passed || c.Department != "social_security" || c.Unknown != 0 {
			t.Errorf("%d: %v %+v", i, err, c)
		}
	}
	evening := *r
	evening.State, evening.Asked = sharing.Asked, begin.Add(8*time.Hour)
	if c, err := rules.Clock(&evening, evening.Asked, zone, cal); err != nil || c.Since.String() != "2026-03-03" || c.Due.String() != "2026-03-17" {
		t.Errorf("asked at one in the morning: %v %+v", err, c)
	}
	late := *r
	late.Granted = time.Date(cal.Years()[len(cal.Years())-1], 12, 30, 0, 0, 0, 0, time.UTC)
	if c, err := rules.Clock(&late, late.Granted, zone, cal); err != nil || c.Unknown != late.Granted.Year()+1 || c.Overdue {
		t.Errorf("%v %+v", err, c)
	}
	if c, err := rules.Clock(do(t, w, r, sharing.Event{Request: r.ID, Act: sharing.Deliver, At: r.Since, Department: "data_bureau"}), r.Since, zone, cal); err != nil || c != nil {
		t.Errorf("a live grant waits: %v %+v", err, c)
	}
}
