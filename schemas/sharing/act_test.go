package sharing_test

import (
	"slices"
	"testing"
	"time"

	"github.com/shirecounty/shire/schemas/sharing"
)

// way is how a request comes to a state.
type way struct {
	by  string
	act sharing.Act
}

// Who may do what in which state, and to what it leads: all that is not named is refused.
func TestWhoMayDoWhat(t *testing.T) {
	const asker, owner, lead, stranger = "civil_affairs", "social_security", "data_bureau", "health"
	approved, live := []way{{owner, sharing.Approve}}, []way{{owner, sharing.Approve}, {lead, sharing.Deliver}}
	grants := map[sharing.Act]sharing.State{sharing.Suspend: sharing.Suspended, sharing.Revoke: sharing.Revoked}
	plus := func(more map[sharing.Act]sharing.State) map[sharing.Act]sharing.State {
		out := map[sharing.Act]sharing.State{}
		for _, m := range []map[sharing.Act]sharing.State{grants, more} {
			for act, state := range m {
				out[act] = state
			}
		}
		return out
	}
	withdraw := map[sharing.Act]sharing.State{sharing.Withdraw: sharing.Withdrawn}
	for name, test := range map[string]struct {
		way    []way
		state  sharing.State
		may    map[string]map[sharing.Act]sharing.State // by department
		ground string
	}{
		"asked": {nil, sharing.Asked, map[string]map[sharing.Act]sharing.State{asker: withdraw,
			owner: {sharing.GiveBack: sharing.GivenBack, sharing.Approve: sharing.Approved, sharing.Refuse: sharing.Refused}}, ""},
		"given back": {[]way{{owner, sharing.GiveBack}}, sharing.GivenBack, map[string]map[sharing.Act]sharing.State{
			asker: {sharing.Resubmit: sharing.Asked, sharing.Withdraw: sharing.Withdrawn}}, ""},
		"asked anew": {[]way{{owner, sharing.GiveBack}, {asker, sharing.Resubmit}}, sharing.Asked, map[string]map[sharing.Act]sharing.State{asker: withdraw,
			owner: {sharing.Approve: sharing.Approved, sharing.Refuse: sharing.Refused}}, ""},
		"approved": {approved, sharing.Approved, map[string]map[sharing.Act]sharing.State{asker: withdraw,
			owner: plus(map[sharing.Act]sharing.State{sharing.Deliver: sharing.Live, sharing.Review: sharing.Approved}),
			lead:  plus(map[sharing.Act]sharing.State{sharing.Deliver: sharing.Live, sharing.Review: sharing.Approved})}, ""},
		"live": {live, sharing.Live, map[string]map[sharing.Act]sharing.State{asker: withdraw,
			owner: plus(map[sharing.Act]sharing.State{sharing.Review: sharing.Live}), lead: plus(map[sharing.Act]sharing.State{sharing.Review: sharing.Live})}, ""},
		"suspended": {append(slices.Clone(live), way{lead, sharing.Suspend}), sharing.Suspended, map[string]map[sharing.Act]sharing.State{asker: withdraw,
			owner: {sharing.Resume: sharing.Live, sharing.Revoke: sharing.Revoked, sharing.Review: sharing.Suspended},
			lead:  {sharing.Resume: sharing.Live, sharing.Revoke: sharing.Revoked, sharing.Review: sharing.Suspended}}, ""},
		// What was not delivered yet is not delivered by having been suspended.
		"suspended before it was delivered": {append(slices.Clone(approved), way{owner, sharing.Suspend}), sharing.Suspended, map[string]map[sharing.Act]sharing.State{asker: withdraw,
			owner: {sharing.Resume: sharing.Approved, sharing.Revoke: sharing.Revoked, sharing.Review: sharing.Suspended},
			lead:  {sharing.Resume: sharing.Approved, sharing.Revoke: sharing.Revoked, sharing.Review: sharing.Suspended}}, ""},
		"refused":   {[]way{{owner, sharing.Refuse}}, sharing.Refused, nil, "law"},
		"withdrawn": {append(slices.Clone(live), way{asker, sharing.Withdraw}), sharing.Withdrawn, nil, ""},
		"revoked":   {append(slices.Clone(live), way{lead, sharing.Revoke}), sharing.Revoked, nil, ""},
	} {
		w := world(t)
		event := func(act sharing.Act, by string, at time.Time) sharing.Event {
			e := sharing.Event{Request: "r1", Act: act, At: at, Department: by, Reason: "why", Ground: "law", Owner: stranger, Type: "none"}
			if act == sharing.Resubmit {
				e.Terms = terms()
			}
			return e
		}
		r := do(t, w, nil, submit())
		for i, step := range test.way {
			r = do(t, w, r, event(step.act, step.by, begin.Add(time.Duration(i+1)*time.Hour)))
		}
		if r.State != test.state || r.Ground != test.ground || r.Owner != owner || r.Type != "conditional" {
			t.Fatalf("%s: %+v", name, r)
		}
		now := r.Since.Add(time.Hour)
		for _, by := range []string{asker, owner, lead, stranger, ""} {
			for _, act := range append(slices.Clone(sharing.Acts), "seize") {
				want, may := test.may[by][act]
				accepted, err := w.Accept(r, event(act, by, now))
				if (err == nil) != may {
					t.Errorf("%s: %s by %q: %v", name, act, by, err)
					continue
				}
				if err != nil {
					if code(err) == "" {
						t.Errorf("%s: %s by %q fails with %T", name, act, by, err)
					}
					continue
				}
				if act != sharing.Resubmit && (accepted.Owner != "" || accepted.Type != "") {
					t.Errorf("%s: %s by %q is taken with the owner that it says itself", name, act, by)
				}
				next := sharing.Fold(r, accepted)
				if next.State != want || next.Owner != owner || next.Type != "conditional" || !next.Since.Equal(now) {
					t.Errorf("%s: after %s by %q it is %+v", name, act, by, next)
				}
				if next.Covers(now) != (want == sharing.Live) {
					t.Errorf("%s: after %s by %q it is in force: %t", name, act, by, next.Covers(now))
				}
				if _, err := w.Accept(r, event(act, by, r.Since.Add(-1))); code(err) != "dated_before" {
					t.Errorf("%s: %s dated before the last act: %v", name, act, err)
				}
			}
		}
		// A county without a lead department is led by nobody, also by nobody's name.
		w.Lead = ""
		for _, act := range sharing.Acts {
			if _, err := w.Accept(r, event(act, "", now)); err == nil {
				t.Errorf("%s: %s by nobody is accepted where there is no lead department", name, act)
			}
		}
	}
}

// What an act needs beside the right department and state.
func TestWhatActsNeed(t *testing.T) {
	w := world(t)
	asked := do(t, w, nil, submit())
	back := do(t, w, asked, sharing.Event{Act: sharing.GiveBack, At: begin, Department: "social_security", Reason: "which cases?"})
	live := grant(t, w, "r1", "civil_affairs", terms())
	other := terms()
	other.Dataset, other.Fields = "cars", map[string]sharing.Mask{"state": sharing.Full}
	for name, test := range map[string]struct {
		r    *sharing.Request
		e    sharing.Event
		code string
	}{
		"a second submission":             {asked, sharing.Event{Act: sharing.Submit, Department: "civil_affairs", Terms: terms()}, "exists"},
		"a submission without terms":      {nil, sharing.Event{Act: sharing.Submit, Department: "civil_affairs"}, "unknown_request"},
		"an act on nothing":               {nil, sharing.Event{Act: sharing.Approve, Department: "social_security", Terms: terms()}, "unknown_request"},
		"given back without a reason":     {asked, sharing.Event{Act: sharing.GiveBack, Department: "social_security"}, "reason_missing"},
		"refused without a reason":        {asked, sharing.Event{Act: sharing.Refuse, Department: "social_security", Ground: "law"}, "reason_missing"},
		"refused without a ground":        {asked, sharing.Event{Act: sharing.Refuse, Department: "social_security", Reason: "no"}, "ground_missing"},
		"suspended without a reason":      {live, sharing.Event{Act: sharing.Suspend, Department: "data_bureau"}, "reason_missing"},
		"revoked without a reason":        {live, sharing.Event{Act: sharing.Revoke, Department: "social_security"}, "reason_missing"},
		"resubmitted without terms":       {back, sharing.Event{Act: sharing.Resubmit, Department: "civil_affairs"}, "terms_missing"},
		"resubmitted for another dataset": {back, sharing.Event{Act: sharing.Resubmit, Department: "civil_affairs", Terms: other}, "other_dataset"},
		"an act that there is not":        {live, sharing.Event{Act: "seize", Department: "data_bureau"}, "unknown_act"},
	} {
		w := w
		w.Contracts = set(t)
		test.e.Request, test.e.At = "r1", begin
		if _, err := w.Accept(test.r, test.e); code(err) != test.code {
			t.Errorf("%s: %v, want %s", name, err, test.code)
		}
	}
}
