package pipeline

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/shirecounty/shire/schemas/sharing"
)

// Asking is terms that a department asks for, under the number that the request gets.
type Asking struct {
	Request string
	From    string // the department that asks
	Terms   sharing.Terms
	At      time.Time // of the submission; the acts that follow are dated by After
}

// Grant sees to it that each of the askings is a live grant: submitted by who asks, approved and delivered by the owner. What was done
// already, by an earlier call or by people, is not done again; a request that has ended otherwise stays as it is. After is how
// long each step takes.
func (x *Exchange) Grant(ctx context.Context, by string, after time.Duration, askings ...Asking) error {
	for _, a := range askings {
		if _, err := x.Bring(ctx, by, a, Step{Act: sharing.Approve, After: after}, Step{Act: sharing.Deliver, After: after}); err != nil {
			return err
		}
	}
	return nil
}

// Step is an act that follows another.
type Step struct {
	Act    sharing.Act
	After  time.Duration // the act before
	Reason string
	Ground string
	Lead   bool // done by the lead department instead of the owner
}

// Bring submits an asking and does the steps about it, in their order: each in the name of the department whose act it is. Where
// some of them have been done already it goes on behind them, and where something else was done it stops.
func (x *Exchange) Bring(ctx context.Context, by string, a Asking, steps ...Step) (*sharing.Request, error) {
	at := a.At
	plan := []sharing.Event{{Request: a.Request, Act: sharing.Submit, At: at, Department: a.From, Terms: &a.Terms}}
	c := x.world().Contracts[a.Terms.Dataset]
	if c == nil {
		return nil, fmt.Errorf("bring the request %s about: the catalogue has no dataset %s", a.Request, a.Terms.Dataset)
	}
	for _, s := range steps {
		at = at.Add(s.After)
		e := sharing.Event{Request: a.Request, Act: s.Act, At: at, Department: c.Department, Reason: s.Reason, Ground: s.Ground}
		switch {
		case s.Act == sharing.Resubmit || s.Act == sharing.Withdraw:
			e.Department = a.From
		case s.Lead:
			e.Department = x.world().Lead
		}
		if s.Act == sharing.Resubmit || s.Act == sharing.Approve {
			e.Terms = &a.Terms
		}
		plan = append(plan, e)
	}
	done, err := x.Acts(ctx, a.Request)
	if err != nil {
		return nil, err
	}
	for i, e := range plan {
		if i < len(done) {
			if done[i].Act == e.Act {
				continue
			}
			break // people have gone another way
		}
		if _, err := x.Do(ctx, e, by); err != nil {
			return nil, fmt.Errorf("bring the request %s about: %w", a.Request, err)
		}
	}
	all, err := x.Requests(ctx)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(all, func(r *sharing.Request) bool { return r.ID == a.Request })
	return all[i], nil
}
