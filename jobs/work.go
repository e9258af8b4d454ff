package jobs

import (
	"context"
	"errors"
	"io"
	"time"
)

// Task is one run of a job, as its worker sees it.
type Task struct {
	Run        string // id of the run: the job's name @ the time it was due, RFC 3339
	Job        string
	Attempt    int               // 1, 2 ...: of this run
	Due        time.Time         // when it was due
	From, To   time.Time         // the data interval [From, To) that the run is about; equal when it has none
	Parameters map[string]string // of the job, and those that this run was given
}

// Result is what a run did. Nothing in it is personal (I7).
type Result struct {
	Message string            // one sentence for people; may be empty
	Counts  map[string]uint64 // such as changes, rows or bytes
}

// Worker does what a job is for. What it writes to output is kept with the run, line by line and up to a bound. When ctx ends it
// stops soon and leaves nothing behind. An error that wraps [ErrPermanent] is not tried again.
type Worker interface {
	Do(ctx context.Context, t Task, output io.Writer) (Result, error)
}

// ErrPermanent marks a failure that trying again cannot mend.
var ErrPermanent = errors.New("trying again does not help")
