package warehouse

import (
	"context"
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
	columns := []string{"run_id", "job", "source", "started_at", "finished_at", "outcome", "changes", "rows", "message", "event",
		"attempt", "cause", "due_at", "interval_from", "interval_to", "node", "owner"}
	return w.insert(ctx, "store.run_log", fmt.Sprintf("run/%s/%d", r.ID, r.Event), columns, func(b driver.Batch) error {
		return appendColumns(b, []string{r.ID}, []string{r.Job}, []string{r.Source}, []time.Time{r.Started.UTC()}, []*time.Time{given(r.Finished)},
			[]string{r.Outcome}, []uint64{r.Changes}, []uint64{r.Rows}, []string{r.Message}, []uint64{r.Event},
			[]uint32{uint32(max(r.Attempt, 0))}, []string{r.Cause}, []*time.Time{given(r.Due)}, []*time.Time{from}, []*time.Time{to}, []string{r.Node}, []string{r.Owner})
	})
}
