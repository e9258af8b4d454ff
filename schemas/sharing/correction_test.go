package sharing_test

import (
	"testing"
	"time"

	"github.com/shirecounty/shire/schemas/contract"
	"github.com/shirecounty/shire/schemas/sharing"
)

// Who may do what about an error: the first report, by whom a live grant shows the field.
func TestWhoMayReportAnError(t *testing.T) {
	w := world(t)
	w.Contracts = set(t)
	for name, test := range map[string]struct {
		grant func(*sharing.Request)
		event func(*sharing.CorrectionEvent)
		code  string
	}{
		"as granted":              {nil, nil, ""},
		"another department":      {nil, func(e *sharing.CorrectionEvent) { e.Department = "health" }, "not_granted"},
		"the owner itself":        {func(r *sharing.Request) { r.From = "social_security" }, func(e *sharing.CorrectionEvent) { e.Department = "social_security" }, "not_granted"},
		"no such dataset":         {func(r *sharing.Request) { r.Terms.Dataset = "ships" }, func(e *sharing.CorrectionEvent) { e.Dataset = "ships" }, "not_granted"},
		"of another dataset":      {func(r *sharing.Request) { r.Terms.Dataset = "insured" }, nil, "not_granted"},
		"of a former owner":       {func(r *sharing.Request) { r.Owner = "health" }, nil, "not_granted"},
		"a field not granted":     {nil, func(e *sharing.CorrectionEvent) { e.Field = "plate" }, "not_granted"},
		"a field that is none":    {nil, func(e *sharing.CorrectionEvent) { e.Field = "wheels" }, "not_granted"},
		"a field not shared":      {nil, func(e *sharing.CorrectionEvent) { e.Field = "price" }, "not_granted"},
		"suspended":               {func(r *sharing.Request) { r.State = sharing.Suspended }, nil, "not_granted"},
		"ended":                   {nil, func(e *sharing.CorrectionEvent) { e.At = begin.AddDate(1, 0, 0) }, "not_granted"},
		"not begun":               {nil, func(e *sharing.CorrectionEvent) { e.At = begin.Add(-1) }, "not_granted"},
		"an answer before it":     {nil, func(e *sharing.CorrectionEvent) { e.Act, e.Department = sharing.Accept, "social_security" }, "unknown_report"},
		"a correction before it":  {nil, func(e *sharing.CorrectionEvent) { e.Act, e.Department = sharing.Correct, contract.OwnDepartment }, "unknown_report"},
		"an act that is none":     {nil, func(e *sharing.CorrectionEvent) { e.Act = "seize" }, "unknown_report"},
		"in the name of an owner": {nil, func(e *sharing.CorrectionEvent) { e.Owner = "health" }, ""},
	} {
		e := sharing.CorrectionEvent{Correction: "c", Act: sharing.Report, At: begin, Department: "civil_affairs", Dataset: "cars", Field: "state", Record: "r", Seen: "s", Version: 7}
		if test.event != nil {
			test.event(&e)
		}
		accepted, err := w.AcceptCorrection(nil, e, []*sharing.Request{liveGrant(test.grant)})
		if code(err) != test.code || (err == nil) != (test.code == "") {
			t.Errorf("%s: %v, want %q", name, err, test.code)
		}
		if err != nil {
			continue
		}
		c := sharing.FoldCorrection(nil, accepted)
		if want := (sharing.ErrorReport{ID: "c", From: "civil_affairs", Owner: "social_security", Dataset: "cars", Field: "state", Record: "r", Seen: "s", Version: 7, State: sharing.Reported, Reported: begin, Since: begin, Acts: 1}); *c != want {
			t.Errorf("%s: %+v", name, c)
		}
	}
}

// The acts that may follow, in each state by each department: all that is not named is refused.
func TestWhoMayAnswerAReport(t *testing.T) {
	w := world(t)
	w.Contracts = set(t)
	node := contract.OwnDepartment
	first := sharing.CorrectionEvent{Correction: "c", Act: sharing.Report, At: begin, Department: "civil_affairs", Owner: "social_security", Dataset: "cars", Field: "state"}
	then := func(acts ...sharing.Act) *sharing.ErrorReport {
		c := sharing.FoldCorrection(nil, first)
		for _, act := range acts {
			c = sharing.FoldCorrection(c, sharing.CorrectionEvent{Correction: "c", Act: act, At: begin})
		}
		return c
	}
	type key struct {
		by  string
		act sharing.Act
	}
	for name, test := range map[string]struct {
		c   *sharing.ErrorReport
		may map[key]sharing.State
	}{
		"reported":  {then(), map[key]sharing.State{{"social_security", sharing.Accept}: sharing.Accepted, {"social_security", sharing.Refuse}: sharing.Refused}},
		"accepted":  {then(sharing.Accept), map[key]sharing.State{{node, sharing.Correct}: sharing.Corrected}},
		"refused":   {then(sharing.Refuse), nil},
		"corrected": {then(sharing.Accept, sharing.Correct), nil},
	} {
		for _, by := range []string{"civil_affairs", "social_security", "data_bureau", "health", node, ""} {
			for _, act := range []sharing.Act{sharing.Report, sharing.Accept, sharing.Refuse, sharing.Correct, sharing.Withdraw, ""} {
				want, may := test.may[key{by, act}]
				e := sharing.CorrectionEvent{Correction: "c", Act: act, At: begin.Add(time.Hour), Department: by, Dataset: "cars", Field: "state"}
				accepted, err := w.AcceptCorrection(test.c, e, []*sharing.Request{liveGrant(nil)})
				if (err == nil) != may || err != nil && code(err) == "" || act == sharing.Report && code(err) != "exists" {
					t.Errorf("%s: %q by %q: %v", name, act, by, err)
				}
				if err != nil {
					continue
				}
				before := *test.c
				next := sharing.FoldCorrection(test.c, accepted)
				if next.State != want || !next.Since.Equal(e.At) || !next.Reported.Equal(begin) || next.Acts != before.Acts+1 || next.Owner != before.Owner || *test.c != before {
					t.Errorf("%s: after %s it is %+v", name, act, next)
				}
			}
		}
	}
}
