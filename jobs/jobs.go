// Package jobs decides when things run: sources that are read at set times.
//
// A job runs in one process and not twice at once. Times that pass while it runs, or while no process is up, are
// skipped and not made up for: a read to the source's end brings whatever the skipped ones would have brought. Every
// run is reported when it begins and when it ends. Between deciding that a time has come and the work stands only
// [Runner.Record], so whoever keeps the reports may refuse the first one with [ErrTaken]: the place for a lease between
// processes. Where a job starts to count from is [Job.After]: the place for making up for what was missed.
package jobs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"runtime/debug"
	"sync"
	"time"
)

// Schedule says when a job runs.
type Schedule interface {
	// Next is the first time after t; zero when there is none.
	Next(t time.Time) time.Time
}

// Clock is the time of day, and a way to wait for it.
type Clock interface {
	Now() time.Time
	// Sleep returns when the clock shows t or later, or with ctx's error when ctx ends before.
	Sleep(ctx context.Context, t time.Time) error
}

// Job is one thing that runs at set times.
type Job struct {
	Name     string // what is done
	Source   string // the source it is done to
	Schedule Schedule
	After    time.Time // times up to here are past; zero: up to the start of the runner
}

// Outcomes of a run.
const (
	Running   = "running"
	OK        = "ok"
	Failed    = "failed"
	Cancelled = "cancelled" // the process was stopped meanwhile; the next run goes on where it was
)

// Run is a report on one run of a job.
type Run struct {
	ID       string // source@the time it was due, RFC 3339: the same whoever runs it
	Job      string
	Source   string
	Started  time.Time
	Finished time.Time // zero while it runs
	Outcome  string
	Changes  uint64 // changes that were read
	Message  string // what a person should know of it
	Event    uint64 // counts the reports on this run, from 0
}

// ErrTaken is Record's answer to the first report of a run that somebody else has taken.
var ErrTaken = errors.New("another process runs it")

// Runner runs jobs at their times.
type Runner struct {
	Clock  Clock
	Jobs   []Job
	Do     func(ctx context.Context, source string) (changes uint64, err error)
	Record func(ctx context.Context, r Run) error // called from several goroutines; a report with a higher Event replaces the run's others
	Log    *slog.Logger
}

// Run runs the jobs until ctx ends and every run has been reported. A job that fails, or panics, runs again at its
// next time.
func (r *Runner) Run(ctx context.Context) {
	var running sync.WaitGroup
	for _, j := range r.Jobs {
		running.Go(func() { r.follow(ctx, j) })
	}
	running.Wait()
}

// follow runs one job at its times: one goroutine for a job, so that no two of its runs overlap.
func (r *Runner) follow(ctx context.Context, j Job) {
	var reports sync.WaitGroup
	defer reports.Wait()
	past := j.After
	if past.IsZero() {
		past = r.Clock.Now()
	}
	for {
		due := j.Schedule.Next(past)
		if due.IsZero() || r.Clock.Sleep(ctx, due) != nil {
			return
		}
		if ended := r.run(ctx, j, due); ended != nil {
			reports.Go(func() { r.reportEnd(ctx, *ended) })
		}
		if ctx.Err() != nil {
			return
		}
		// A clock that was set back must not bring the same time again.
		past = due
		if now := r.Clock.Now(); now.After(past) {
			past = now
		}
		if n := passed(j.Schedule, due, past); n > 0 {
			r.Log.Warn("times of a job passed while it ran and are skipped", "job", j.Name, "source", j.Source, "skipped", n)
		}
	}
}

// manyPassed bounds the counting: a process may sleep for a year.
const manyPassed = 1000

// passed counts the times after due, up to now.
func passed(s Schedule, due, now time.Time) (n int) {
	for next := s.Next(due); n < manyPassed && !next.IsZero() && !next.After(now); next = s.Next(next) {
		n++
	}
	return n
}

// Who keeps the reports may be away, and a source is read all the same. A run does not wait long until its beginning is
// known; its end is told beside the runs that follow, as long as the process lives and a moment longer.
const (
	beginWithin = 5 * time.Second
	endWithin   = time.Second
)

// run does the work of one time, and gives the report of its end; nil when somebody else does the work.
func (r *Runner) run(ctx context.Context, j Job, due time.Time) *Run {
	report := Run{ID: j.Source + "@" + due.Format(time.RFC3339), Job: j.Name, Source: j.Source, Started: r.Clock.Now(), Outcome: Running}
	begin, cancel := context.WithTimeout(ctx, beginWithin)
	err := r.Record(begin, report)
	cancel()
	if errors.Is(err, ErrTaken) {
		return nil
	}
	if err != nil {
		r.Log.Warn("the beginning of a run could not be reported; it runs all the same", "run", report.ID, "error", err)
	}
	report.Changes, err = r.do(ctx, j.Source)
	report.Event++
	report.Finished = r.Clock.Now()
	switch {
	case err == nil:
		report.Outcome = OK
	case ctx.Err() != nil:
		report.Outcome, report.Message = Cancelled, "the process was stopped; the next run goes on where this one was"
	default:
		report.Outcome, report.Message = Failed, err.Error()
		r.Log.Error("a job failed and runs again at its next time", "run", report.ID, "error", err)
	}
	return &report
}

func (r *Runner) reportEnd(ctx context.Context, report Run) {
	ctx, stop := outlive(ctx, endWithin)
	defer stop()
	if err := r.Record(ctx, report); err != nil {
		r.Log.Error("the end of a run could not be reported", "run", report.ID, "outcome", report.Outcome, "error", err)
	}
}

// do keeps a panic of one source from ending the process, and with it all the others.
func (r *Runner) do(ctx context.Context, source string) (changes uint64, err error) {
	defer func() {
		p := recover()
		if p == nil {
			return
		}
		// I7: a panic's own text may hold a value of a record; only the runtime's is known not to.
		what := fmt.Sprintf("%T", p)
		if e, ok := p.(runtime.Error); ok {
			what = e.Error()
		}
		err = fmt.Errorf("reading the source stopped with a defect of the program (%s); the log shows where", what)
		r.Log.Error("a job panicked", "source", source, "panic", what, "stack", string(debug.Stack()))
	}()
	return r.Do(ctx, source)
}

// outlive is a context that ends a little later than ctx.
func outlive(ctx context.Context, by time.Duration) (context.Context, context.CancelFunc) {
	longer, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		grace, done := context.WithTimeout(longer, by)
		defer done()
		<-grace.Done()
		cancel()
	})
	return longer, func() {
		stop()
		cancel()
	}
}
