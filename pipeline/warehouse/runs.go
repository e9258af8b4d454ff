package warehouse

import (
	"context"
	"crypto/sha256"
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

// RecordRun writes down reports on runs, in one insert. The same report again does nothing.
func (w *Warehouse) RecordRun(ctx context.Context, runs ...Run) error {
	given := func(t time.Time) *time.Time {
		if t.IsZero() {
			return nil
		}
		at := t.UTC()
		return &at
	}
	ordered := func(r Run, t time.Time) *time.Time {
		if !r.From.Before(r.To) {
			return nil // no interval
		}
		return given(t)
	}
	// What was told twice, in whatever company, FINAL takes once; the token spares the same insert a second part.
	token := sha256.New()
	for _, r := range runs {
		fmt.Fprintf(token, "%s/%d\n", r.ID, r.Event)
	}
	return w.insert(ctx, &block{table: "store.run_log", token: fmt.Sprintf("runs/%x", token.Sum(nil)), place: place{row: []string{"run_id"}, age: []string{"event"}}, columns: []cells{
		cellsOf("run_id", runs, func(r Run) string { return r.ID }),
		cellsOf("job", runs, func(r Run) string { return r.Job }),
		cellsOf("source", runs, func(r Run) string { return r.Source }),
		cellsOf("started_at", runs, func(r Run) time.Time { return r.Started.UTC() }),
		cellsOf("finished_at", runs, func(r Run) *time.Time { return given(r.Finished) }),
		cellsOf("outcome", runs, func(r Run) string { return r.Outcome }),
		cellsOf("changes", runs, func(r Run) uint64 { return r.Changes }),
		cellsOf("rows", runs, func(r Run) uint64 { return r.Rows }),
		cellsOf("message", runs, func(r Run) string { return r.Message }),
		cellsOf("event", runs, func(r Run) uint64 { return r.Event }),
		cellsOf("attempt", runs, func(r Run) uint32 { return uint32(max(r.Attempt, 0)) }),
		cellsOf("cause", runs, func(r Run) string { return r.Cause }),
		cellsOf("due_at", runs, func(r Run) *time.Time { return given(r.Due) }),
		cellsOf("interval_from", runs, func(r Run) *time.Time { return ordered(r, r.From) }),
		cellsOf("interval_to", runs, func(r Run) *time.Time { return ordered(r, r.To) }),
		cellsOf("node", runs, func(r Run) string { return r.Node }),
		cellsOf("owner", runs, func(r Run) string { return r.Owner }),
	}})
}
