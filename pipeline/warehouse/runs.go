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
	Started  time.Time
	Finished time.Time // zero while it runs
	Outcome  string    // running, ok, failed or cancelled
	Changes  uint64    // changes that were read
	Message  string    // what a person should know of it; never quotes a value (I7)
	Event    uint64    // counts the reports on this run, from 0: the highest is how it stands
}

// RecordRun writes down a report on a run. The same report again does nothing.
func (w *Warehouse) RecordRun(ctx context.Context, r Run) error {
	var finished *time.Time
	if !r.Finished.IsZero() {
		at := r.Finished.UTC()
		finished = &at
	}
	columns := []string{"run_id", "job", "source", "started_at", "finished_at", "outcome", "changes", "message", "event"}
	return w.insert(ctx, "store.run_log", fmt.Sprintf("run/%s/%d", r.ID, r.Event), columns, func(b driver.Batch) error {
		return appendColumns(b, []string{r.ID}, []string{r.Job}, []string{r.Source}, []time.Time{r.Started.UTC()}, []*time.Time{finished},
			[]string{r.Outcome}, []uint64{r.Changes}, []string{r.Message}, []uint64{r.Event})
	})
}
