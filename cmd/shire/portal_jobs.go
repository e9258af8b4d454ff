package main

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"time"

	"github.com/shirecounty/shire/jobs"
	"github.com/shirecounty/shire/portal"
)

// portalJobs shows the desk of jobs in the portal's words. The portal is made before there is a desk; until then it is told
// that the jobs cannot be reached.
type portalJobs struct {
	desk atomic.Pointer[jobs.Desk]
}

var (
	_ portal.Jobs         = (*portalJobs)(nil)
	_ portal.JobRuns      = (*portalJobs)(nil)
	_ portal.JobOrders    = (*portalJobs)(nil)
	_ portal.JobBackfills = (*portalJobs)(nil)
)

func (p *portalJobs) show(d *jobs.Desk) { p.desk.Store(d) }

// options are the parts of the portal that are about jobs.
func (p *portalJobs) options(operators portal.Accounts) *portal.JobsOptions {
	return &portal.JobsOptions{Jobs: p, Runs: p, Orders: p, Backfills: p, Operators: operators}
}

var errNoDesk = errors.New("the ledger of jobs is not open yet")

func (p *portalJobs) open() (*jobs.Desk, error) {
	if d := p.desk.Load(); d != nil {
		return d, nil
	}
	return nil, errNoDesk
}

// known is the desk, when it has a job of that name.
func (p *portalJobs) known(job string) (*jobs.Desk, error) {
	d, err := p.open()
	if err == nil && d.Jobs[job] == nil {
		err = portal.ErrUnknown
	}
	return d, err
}

// ofRun is known for the job of a run.
func (p *portalJobs) ofRun(id string) (*jobs.Desk, error) {
	job, _, _ := strings.Cut(id, "@")
	return p.known(job)
}

// refusal tells what a person cannot have from what went wrong.
func refusal(err error) error {
	var mistake *jobs.RequestError
	if errors.As(err, &mistake) {
		return &portal.Refusal{Message: mistake.Message}
	}
	return err
}

// Jobs are all jobs by name.
func (p *portalJobs) Jobs(ctx context.Context) ([]portal.Job, error) {
	d, err := p.open()
	if err != nil {
		return nil, err
	}
	list, err := d.List(ctx)
	shown := make([]portal.Job, len(list))
	for i := range list {
		shown[i] = shownJob(&list[i])
	}
	return shown, err
}

// Job is one of them.
func (p *portalJobs) Job(ctx context.Context, name string) (*portal.Job, error) {
	d, err := p.known(name)
	if err != nil {
		return nil, err
	}
	status, err := d.Show(ctx, name)
	if err != nil {
		return nil, err
	}
	j := shownJob(status)
	return &j, nil
}

// Coming are the next n due times.
func (p *portalJobs) Coming(ctx context.Context, job string, n int) ([]portal.JobDue, error) {
	d, err := p.open()
	if err != nil {
		return nil, err
	}
	list, err := d.Next(ctx, job, n)
	due := make([]portal.JobDue, len(list))
	for i, c := range list {
		due[i] = portal.JobDue(c)
	}
	return due, err
}

// Runs are the newest runs of a job.
func (p *portalJobs) Runs(ctx context.Context, job string, most int) ([]portal.JobRun, error) {
	d, err := p.known(job)
	if err != nil {
		return nil, err
	}
	list, err := d.History(ctx, job, most)
	runs := make([]portal.JobRun, len(list))
	for i := range list {
		runs[i] = shownRun(&list[i])
	}
	return runs, err
}

// Run is one run.
func (p *portalJobs) Run(ctx context.Context, id string) (*portal.JobRun, error) {
	d, err := p.ofRun(id)
	if err != nil {
		return nil, err
	}
	r, err := d.Run(ctx, id)
	var none *jobs.RequestError
	if errors.As(err, &none) {
		return nil, portal.ErrUnknown
	}
	return oneRun(r, err)
}

// Log tells what a run printed.
func (p *portalJobs) Log(ctx context.Context, id string, follow bool, fn func(portal.LogLine) error) error {
	d, err := p.ofRun(id)
	if err != nil {
		return err
	}
	return d.Logs(ctx, id, follow, func(l jobs.Line) error { return fn(portal.LogLine(l)) })
}

// Trigger asks for a run now.
func (p *portalJobs) Trigger(ctx context.Context, job string, parameters map[string]string) (*portal.JobRun, error) {
	d, err := p.known(job)
	if err != nil {
		return nil, err
	}
	return oneRun(d.Trigger(ctx, job, parameters))
}

// Retry asks for another attempt of a run.
func (p *portalJobs) Retry(ctx context.Context, run string) (*portal.JobRun, error) {
	d, err := p.ofRun(run)
	if err != nil {
		return nil, err
	}
	return oneRun(d.Retry(ctx, run))
}

// Cancel ends a run.
func (p *portalJobs) Cancel(ctx context.Context, run, reason string) error {
	d, err := p.ofRun(run)
	if err != nil {
		return err
	}
	return refusal(d.Cancel(ctx, run, reason))
}

// Pause lets a job start nothing by itself.
func (p *portalJobs) Pause(ctx context.Context, job, reason string) error {
	d, err := p.known(job)
	if err != nil {
		return err
	}
	return refusal(d.Pause(ctx, job, reason))
}

// Resume takes a pause back.
func (p *portalJobs) Resume(ctx context.Context, job string) error {
	d, err := p.known(job)
	if err != nil {
		return err
	}
	return refusal(d.Resume(ctx, job))
}

// Plan tells what a backfill would do.
func (p *portalJobs) Plan(ctx context.Context, r portal.BackfillRequest) (*portal.BackfillPlan, error) {
	d, err := p.known(r.Job)
	if err != nil {
		return nil, err
	}
	plan, err := d.PlanBackfill(ctx, jobs.BackfillRequest(r))
	if err != nil {
		return nil, refusal(err)
	}
	return &portal.BackfillPlan{From: r.From, To: r.To, Total: plan.Total, Runs: plan.Runs, First: plan.First}, nil
}

// Start starts a backfill.
func (p *portalJobs) Start(ctx context.Context, r portal.BackfillRequest) (*portal.JobBackfill, error) {
	d, err := p.known(r.Job)
	if err != nil {
		return nil, err
	}
	b, err := d.Backfill(ctx, jobs.BackfillRequest(r))
	if err != nil {
		return nil, refusal(err)
	}
	shown := shownBackfill(b)
	return &shown, nil
}

// Change pauses, resumes or cancels a backfill.
func (p *portalJobs) Change(ctx context.Context, job, backfill, do string) error {
	d, err := p.known(job)
	if err != nil {
		return err
	}
	return refusal(d.ChangeBackfill(ctx, job, backfill, do))
}

func oneRun(r *jobs.Run, err error) (*portal.JobRun, error) {
	if err != nil {
		return nil, refusal(err)
	}
	shown := shownRun(r)
	return &shown, nil
}

func shownJob(s *jobs.Status) portal.Job {
	j := portal.Job{
		Name: s.Name, Kind: s.Kind, Source: s.Source, Owner: s.Owner, Schedule: s.Schedule, Every: s.Every, After: s.After, TimeZone: s.TimeZone, Days: s.Days,
		Missed: s.Missed, Overlap: s.Overlap, Next: s.Next, LastOK: s.LastOK, Silent: s.Silent, Parameters: s.Parameters,
	}
	if s.Paused != nil {
		j.Paused = &portal.JobPause{At: s.Paused.At, Reason: s.Paused.Reason}
	}
	if s.Last != nil {
		last := shownRun(s.Last)
		j.Last = &last
	}
	for i := range s.Active {
		j.Active = append(j.Active, shownRun(&s.Active[i]))
	}
	for i := range s.Backfills {
		j.Backfills = append(j.Backfills, shownBackfill(&s.Backfills[i]))
	}
	return j
}

func shownRun(r *jobs.Run) portal.JobRun {
	return portal.JobRun{
		ID: r.ID, Job: r.Job, Due: r.Due, From: r.From, To: r.To, Cause: r.Cause, Outcome: r.Outcome, Attempt: r.Attempt, NotBefore: given(r.NotBefore),
		Started: given(r.Started), Finished: given(r.Finished), Message: r.Message, Counts: r.Counts, Cancelling: r.Cancel != "" && !r.Over(),
		Backfill: r.Backfill, Missed: r.Missed, Event: r.Event, Parameters: r.Parameters,
	}
}

func shownBackfill(b *jobs.Backfill) portal.JobBackfill {
	return portal.JobBackfill{
		ID: b.ID, From: b.From, To: b.To, Reverse: b.Reverse, Only: b.Only, Most: b.Most, Total: b.Total, Passed: b.Passed, Left: b.Left, Outcomes: b.Outcomes,
		Paused: b.Paused, Created: b.Created, Finished: given(b.Finished), Outcome: b.Outcome, Parameters: b.Parameters,
	}
}

func given(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}
