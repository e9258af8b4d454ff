package jobs

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/shirecounty/shire/schemas/county"
)

// execution is an attempt that runs in this process.
type execution struct {
	entry   *entry
	run     Run
	cancel  context.CancelCauseFunc
	settled bool // its end is written, or it has been taken away: nothing can happen to it any more
}

var (
	errCancelled  = errors.New("it was asked to stop")
	errTimeout    = fmt.Errorf("its time is over: %w", context.DeadlineExceeded)
	errStops      = fmt.Errorf("its process stops (%w)", errInterrupted)
	errOutOfTouch = fmt.Errorf("its process has been out of touch with the ledger of jobs for as long as a lease (%w)", errInterrupted)
)

// start begins an attempt that the ledger says is this process's. s.mu is held.
func (s *Scheduler) start(life context.Context, e *entry, r Run) {
	if s.stops && !e.busy {
		return // nobody would wait for its end; it is tried again when this process is known to be gone
	}
	ctx, cancel := context.WithCancelCause(life)
	x := &execution{entry: e, run: r, cancel: cancel}
	s.running[r.ID] = x
	s.room--
	s.stats.started(&r)
	if s.stops { // it was claimed while the stop began
		cancel(errStops)
	}
	s.work.Go(func() {
		defer cancel(nil)
		result, err := s.do(ctx, life, x)
		s.settle(life, x, result, err)
	})
}

// do does the work of an attempt.
func (s *Scheduler) do(ctx, life context.Context, x *execution) (Result, error) {
	j, r := x.entry.job, &x.run
	if j.Timeout > 0 {
		// A timer, and no deadline that the work could read: the driver of ClickHouse makes a deadline the max_execution_time
		// of each query, which a user that only reads may not raise over its own bound.
		timer := time.AfterFunc(time.Duration(j.Timeout), func() { x.cancel(errTimeout) })
		defer timer.Stop()
	}
	s.work.Go(func() { // the beginning is told beside the work, which does not wait for it
		telling, done := context.WithTimeout(life, stepWithin)
		defer done()
		if err := s.Ledger.Report(telling, *r); err != nil {
			s.Log.Warn("the beginning of a run could not be reported; its end will be", "run", r.ID, "error", err)
		}
	})
	all := maps.Clone(j.Parameters)
	if all == nil {
		all = map[string]string{}
	}
	maps.Copy(all, r.Parameters)
	parameters, err := county.Fill(all, r.From, r.To, r.Due, j.Zone)
	if err != nil {
		return Result{}, fmt.Errorf("%w: %w", err, ErrPermanent)
	}
	if j.Worker == nil {
		return Result{}, fmt.Errorf("this process does not know how to %s: %w", j.Do.Kind, ErrPermanent)
	}
	out := newOutput(ctx, s.Ledger, r, s.Clock)
	task := Task{Run: r.ID, Job: r.Job, Attempt: r.Attempt, Due: r.Due.In(j.Zone), From: r.From.In(j.Zone), To: r.To.In(j.Zone), Parameters: parameters}
	result, err := s.guarded(ctx, j, task, out)
	out.Close(life)
	if err != nil && errors.Is(context.Cause(ctx), errTimeout) {
		err = fmt.Errorf("it was stopped after %s (timeout)", time.Duration(j.Timeout))
	} else if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		s.Log.Warn("an attempt of a run did not end well", "run", r.ID, "attempt", r.Attempt, "error", err)
	}
	return result, err
}

// guarded keeps a panic of one job from ending the process, and with it all the others.
func (s *Scheduler) guarded(ctx context.Context, j *Job, t Task, out *output) (result Result, err error) {
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
		err = fmt.Errorf("it stopped with a defect of the program (%s); the log shows where", what)
		s.Log.Error("a job panicked", "job", j.Name, "panic", what, "stack", string(debug.Stack()))
	}()
	return j.Worker.Do(ctx, t, out)
}

// settle writes down how an attempt ended, however long the ledger is away, unless it was taken away.
func (s *Scheduler) settle(life context.Context, x *execution, result Result, failed error) {
	e := x.entry
	unknown := false // whether a write arrived
	for pause := 10 * time.Millisecond; ; pause = min(2*pause, 5*time.Second) {
		s.mu.Lock()
		state, revision := e.state, e.revision
		s.mu.Unlock()
		next := state.clone()
		err := e.job.finish(next, &x.run, result, failed, s.id, s.Clock.Now())
		if errors.Is(err, errFenced) {
			if !unknown {
				s.Log.Warn("a run was taken by another process; what it did here does not count", "run", x.run.ID, "attempt", x.run.Attempt)
			}
			break
		}
		ctx, cancel := context.WithTimeout(life, stepWithin)
		revision, err = write(ctx, s.Ledger, e.job.Name, next, revision)
		if err == nil {
			cancel()
			s.mu.Lock()
			x.settled = true
			s.mu.Unlock()
			s.adopt(life, e, next, revision)
			break
		}
		if errors.Is(err, ErrConflict) {
			err = s.refresh(ctx, life, e)
		} else {
			unknown = true
		}
		cancel()
		if err != nil {
			s.Log.Warn("the end of a run could not be written down; it is tried again", "run", x.run.ID, "error", err)
		} else {
			pause = 5 * time.Millisecond
		}
		select {
		case <-life.Done():
			return
		case <-time.After(pause):
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	x.settled = true
	if s.running[x.run.ID] == x {
		delete(s.running, x.run.ID)
	}
	s.room++
	s.stats.ended(&x.run)
	s.feed()
}

// interrupt stops every run of this process.
func (s *Scheduler) interrupt(cause error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, x := range s.running {
		x.cancel(cause)
	}
}
