// Package jobs decides when things run, and sees to it that each does: once, whichever processes come and go.
//
// A [Job] is a definition of county.yaml that is ready to run. What is known of it stands in one entry of the ledger, its
// [State]: up to when its due times are decided, which runs wait or go on and in which process, and which ends are still to
// be told. Every step is a function from a state to the next one (plan.go, after.go, backfill.go), written down by
// compare-and-set. So any number of processes may do the same at once: one of them is first, the others see that it was.
//
// What holds:
//   - A due time is decided once: the cursor passes it in the same write that makes its run.
//   - A run is started by the process whose write says so, and by no other: each attempt of a run starts once.
//   - A process that is silent for longer than its lease has died: its runs are tried again, as new attempts. A process that
//     cannot reach the ledger for so long gives its runs up by itself.
//   - The end of an attempt counts only while the entry still says that this attempt runs in this process. One whose run was
//     taken away cannot write over the newer attempt.
//   - An end stays in the entry until it is reported to the history and to the jobs that come after: both may be told
//     twice, and take it once.
//
// The [Scheduler] does the steps and the work; the [Desk] is for people and works from any process.
package jobs

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/shirecounty/shire/schemas/county"
)

// Job is a definition that is ready to run.
type Job struct {
	*county.Job
	Source string // the source it works on; empty when none
	Worker Worker // nil where nothing is run, such as for a Desk

	times *Times   // when it is due by itself; nil when it is not
	root  *Times   // when the jobs that it comes after are due; its own times otherwise
	then  []string // jobs that come after it
}

// WorkerFunc is a function as a [Worker].
type WorkerFunc func(ctx context.Context, t Task, output io.Writer) (Result, error)

// Do calls the function.
func (f WorkerFunc) Do(ctx context.Context, t Task, output io.Writer) (Result, error) {
	return f(ctx, t, output)
}

// Set is the jobs of a county by their names.
type Set map[string]*Job

// NewSet readies definitions that county.Load has proven. work makes the worker of a job and tells the source that it works
// on; it may be nil where nothing is run.
func NewSet(definitions []county.Job, c Calendar, work func(*county.Job) (w Worker, source string, err error)) (Set, error) {
	set := Set{}
	for i := range definitions {
		d := &definitions[i]
		j := &Job{Job: d, times: NewTimes(d, c)}
		if work != nil {
			var err error
			if j.Worker, j.Source, err = work(d); err != nil {
				return nil, err
			}
		}
		set[d.Name] = j
	}
	for _, j := range set {
		for _, name := range j.After {
			before, ok := set[name]
			if !ok {
				return nil, fmt.Errorf("job %s comes after %s, which is no job", j.Name, name)
			}
			before.then = append(before.then, j.Name)
		}
		j.root = set.rootOf(j, 0)
	}
	return set, nil
}

func (s Set) rootOf(j *Job, depth int) *Times {
	if len(j.After) == 0 || depth > len(s) {
		return j.times
	}
	return s.rootOf(s[j.After[0]], depth+1)
}

// Times are when the job is due, by itself or after others; nil when it runs by hand only.
func (j *Job) DueTimes() *Times { return j.root }

// RunID is the name of the run of a job for a time: the same whoever runs it, and for each of its attempts.
func (j *Job) RunID(due time.Time) string {
	return j.Name + "@" + due.In(j.Zone).Format(time.RFC3339Nano)
}

// interval is what a run that is due is about: from the due time before up to this one.
func (j *Job) interval(due time.Time) (from, to time.Time) {
	if j.root == nil {
		return due, due
	}
	if from = j.root.Prev(due); from.IsZero() {
		return due, due
	}
	return from, due
}
