package warehouse

import (
	"context"
	"crypto/sha256"
	"fmt"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
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
	columns := []string{"run_id", "job", "source", "started_at", "finished_at", "outcome", "changes", "rows", "message", "event",
		"attempt", "cause", "due_at", "interval_from", "interval_to", "node", "owner"}
	// What was told twice, in whatever company, FINAL takes once; the token spares the same insert a second part.
	token := sha256.New()
	for _, r := range runs {
		fmt.Fprintf(token, "%s/%d\n", r.ID, r.Event)
	}
	return w.insert(ctx, "store.run_log", fmt.Sprintf("runs/%x", token.Sum(nil)), columns, func(b driver.Batch) error {
		for _, r := range runs {
			var from, to *time.Time
			if r.From.Before(r.To) {
				from, to = given(r.From), given(r.To)
			}
			err := b.Append(r.ID, r.Job, r.Source, r.Started.UTC(), given(r.Finished), r.Outcome, r.Changes, r.Rows, r.Message, r.Event,
				uint32(max(r.Attempt, 0)), r.Cause, given(r.Due), from, to, r.Node, r.Owner)
			if err != nil {
				return err
			}
		}
		return nil
	})
}
