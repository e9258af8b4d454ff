package jobs

import (
	"context"
	"crypto/rand"
	"slices"
	"strings"
	"time"

	"github.com/shirecounty/shire/schemas/county"
)

// BackfillRequest says for which due times a job is to be run.
type BackfillRequest struct {
	Job        string
	From, To   time.Time // due times in [From, To)
	Reverse    bool      // the newest first
	Only       string    // none, failed or completed; empty for all
	Most       int       // runs at a time; 0 is 1. More than 1 only where runs may overlap
	Parameters map[string]string
}

// Planned is what a backfill would do.
type Planned struct {
	Total int         `json:"total"` // due times
	Runs  int         `json:"runs"`  // of them, those that Only wants
	First []time.Time `json:"first"` // the first of these, in their order
}

// mostPlanned bounds what a backfill may hold: a mistyped year is better told at once.
const mostPlanned = 100_000

func (d *Desk) plan(ctx context.Context, r BackfillRequest, looks bool) (*Job, *Backfill, *Planned, error) {
	j, err := d.Job(r.Job)
	if err != nil {
		return nil, nil, nil, err
	}
	switch {
	case j.root == nil:
		return nil, nil, nil, requestf("job %s is not due at any times, so there is nothing to fill; run it by hand: shire jobs run %s", j.Name, j.Name)
	case !r.From.Before(r.To):
		return nil, nil, nil, requestf("the backfill ends before it begins; exchange --from and --to")
	case r.To.After(d.Clock.Now().Add(time.Second)):
		return nil, nil, nil, requestf("the backfill reaches into the future; end it at the present")
	case !slices.Contains([]string{"", OnlyNone, OnlyFailed, OnlyCompleted}, r.Only):
		return nil, nil, nil, requestf("--only %s is not known; write none, failed or completed", r.Only)
	case r.Most < 0 || r.Most > 100:
		return nil, nil, nil, requestf("write 1 to 100 runs at a time, not %d", r.Most)
	case r.Most > 1 && j.Overlap != county.OverlapAllow:
		return nil, nil, nil, requestf("runs of job %s may not overlap (overlap: %s), so a backfill runs one at a time; write overlap: allow if they may", j.Name, j.Overlap)
	}
	if err := j.proveParameters(r.Parameters); err != nil {
		return nil, nil, nil, err
	}
	now := d.Clock.Now()
	b := &Backfill{ID: strings.ToLower(rand.Text()[:8]), From: r.From, To: r.To, Reverse: r.Reverse, Only: r.Only, Most: max(r.Most, 1), Parameters: r.Parameters, Created: now, Outcome: Running}
	b.Cursor = r.From.Add(-time.Nanosecond)
	if r.Reverse {
		b.Cursor = r.To
	}
	p := &Planned{}
	walk := *b
	for due, more := walk.next(j.root); more; due, more = walk.next(j.root) {
		walk.Cursor = due.At
		if p.Total++; p.Total > mostPlanned {
			return nil, nil, nil, requestf("there are more than %d due times from %s to %s; choose a shorter stretch", mostPlanned, r.From.In(j.Zone).Format(time.DateTime), r.To.In(j.Zone).Format(time.DateTime))
		}
		if looks && r.Only != "" {
			last, err := d.Ledger.Last(ctx, j.Name, j.RunID(due.At))
			if err != nil {
				return nil, nil, nil, err
			}
			if !b.wants(last) {
				continue
			}
		}
		p.Runs++
		if len(p.First) < 100 {
			p.First = append(p.First, due.At)
		}
	}
	b.Total = p.Total
	if p.Total == 0 {
		return nil, nil, nil, requestf("job %s is not due between %s and %s", j.Name, r.From.In(j.Zone).Format(time.DateTime), r.To.In(j.Zone).Format(time.DateTime))
	}
	return j, b, p, nil
}

// PlanBackfill tells what a backfill would do, and does nothing.
func (d *Desk) PlanBackfill(ctx context.Context, r BackfillRequest) (*Planned, error) {
	_, _, p, err := d.plan(ctx, r, true)
	return p, err
}

// Backfill runs a job for due times of the past. Show tells how far it is.
func (d *Desk) Backfill(ctx context.Context, r BackfillRequest) (*Backfill, error) {
	j, b, _, err := d.plan(ctx, r, false)
	if err != nil {
		return nil, err
	}
	err = d.change(ctx, j, func(s *State, _ time.Time) error {
		for len(s.Backfills) >= mostBackfills {
			i := slices.IndexFunc(s.Backfills, func(b Backfill) bool { return b.Outcome != Running })
			if i < 0 {
				return requestf("%d backfills of job %s are under way; wait for them, or cancel one", len(s.Backfills), j.Name)
			}
			s.Backfills = slices.Delete(s.Backfills, i, i+1)
		}
		s.Backfills = append(s.Backfills, *b)
		return nil
	})
	return b, err
}

// ChangeBackfill pauses, resumes or cancels a backfill of a job. Its runs that go on are left to end by a pause, and stopped
// by a cancel.
func (d *Desk) ChangeBackfill(ctx context.Context, name, id, do string) error {
	j, err := d.Job(name)
	if err != nil {
		return err
	}
	return d.change(ctx, j, func(s *State, now time.Time) error {
		b := s.backfill(id)
		if b == nil || b.Outcome != Running {
			return requestf("job %s has no backfill %q under way; see shire jobs list %s", name, id, name)
		}
		switch do {
		case "pause":
			b.Paused = true
		case "resume":
			b.Paused = false
		case "cancel":
			b.Outcome, b.Finished = Cancelled, now
			for _, r := range slices.Clone(s.Active) {
				if r.Backfill == id {
					s.cancel(r.ID, "the backfill was cancelled", "", now)
				}
			}
		default:
			return requestf("a backfill is paused, resumed or cancelled, not %q", do)
		}
		return nil
	})
}
