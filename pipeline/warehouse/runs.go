package warehouse

import (
	"context"
	"fmt"
	"time"
)

// Run is a report on one run of a job.
type Run struct {
	ID       string // identifies the run
	Job      string
	Source   string // empty when it works on none
	Owner    string
	Cause    string    // schedule, missed, after, hand or backfill
	Due      time.Time // when it was due
	From, To time.Time // the data interval; equal when it has none
	Attempt  int       // from 1; 0 when none was made
	Node     string    // process that ran it
	Started  time.Time
	Finished time.Time // zero while it runs
	Outcome  string    // running, waiting, ok, failed, cancelled or skipped
	Changes  uint64    // changes that were read
	Rows     uint64    // rows that were written
	Message  string    // what a person should know of it; never quotes a value (I7)
	Event    uint64    // counts the reports on this run, from 0: the highest is how it stands
}

// RecordRun writes down a report on a run. The same report again does nothing.
func (w *Warehouse) RecordRun(ctx context.Context, r Run) error {
	given := func(t time.Time) *time.Time {
		if t.IsZero() {
			return nil
		}
		at := t.UTC()
		return &at
	}
	var from, to *time.Time
	if r.From.Before(r.To) {
		from, to = given(r.From), given(r.To)
	}
	return w.insert(ctx, &block{table: "store.run_log", token: fmt.Sprintf("run/%s/%d", r.ID, r.Event), place: place{row: []string{"run_id"}, age: []string{"event"}}, columns: []cells{
		oneCell("run_id", r.ID),
		oneCell("job", r.Job),
		oneCell("source", r.Source),
		oneCell("started_at", r.Started.UTC()),
		oneCell("finished_at", given(r.Finished)),
		oneCell("outcome", r.Outcome),
		oneCell("changes", r.Changes),
		oneCell("rows", r.Rows),
		oneCell("message", r.Message),
		oneCell("event", r.Event),
		oneCell("attempt", uint32(max(r.Attempt, 0))),
		oneCell("cause", r.Cause),
		oneCell("due_at", given(r.Due)),
		oneCell("interval_from", from),
		oneCell("interval_to", to),
		oneCell("node", r.Node),
		oneCell("owner", r.Owner),
	}})
}
