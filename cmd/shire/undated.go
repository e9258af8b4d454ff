package main

import (
	"context"
	"io"
	"time"

	"github.com/shirecounty/shire/jobs"
)

// undated is a context that ends when another does and does not tell when that will be. The driver of ClickHouse makes a
// deadline the query's max_execution_time, and the analyst may not raise that over a minute: the day that a run may take
// would have each of its queries refused.
type undated struct{ context.Context }

// Deadline tells of none.
func (undated) Deadline() (at time.Time, ok bool) { return at, false }

// asking is a worker that asks the warehouse.
func asking(w jobs.Worker) jobs.Worker {
	return jobs.WorkerFunc(func(ctx context.Context, t jobs.Task, output io.Writer) (jobs.Result, error) {
		return w.Do(undated{ctx}, t, output)
	})
}
