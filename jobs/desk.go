package jobs

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/shirecounty/shire/schemas/county"
	"github.com/shirecounty/shire/schemas/document"
)

// Desk is what people do with jobs. It works from any process that reaches the ledger: it writes down what is asked, and
// whichever process runs a [Scheduler] sees it at once. Wrong input is a [*RequestError].
type Desk struct {
	Ledger Ledger
	Jobs   Set // workers are not needed
	Clock  Clock
}

// RequestError says what is wrong with what a person asked for, and what to ask instead.
type RequestError struct{ Message string }

func (e *RequestError) Error() string { return e.Message }

func requestf(format string, args ...any) error { return &RequestError{fmt.Sprintf(format, args...)} }

// Job is a job by its name.
func (d *Desk) Job(name string) (*Job, error) {
	if j, ok := d.Jobs[name]; ok {
		return j, nil
	}
	if len(d.Jobs) == 0 {
		return nil, requestf("there is no job %q; county.yaml has none at all: write them under jobs:", name)
	}
	return nil, requestf("there is no job %q; %s", name, document.DidYouMean(name, slices.Collect(maps.Keys(d.Jobs))))
}

// Trigger asks for a run now, with parameters that take the place of the job's own, and tells its id. The run waits for its
// turn where runs of the job may not overlap.
func (d *Desk) Trigger(ctx context.Context, name string, parameters map[string]string) (*Run, error) {
	j, err := d.Job(name)
	if err != nil {
		return nil, err
	}
	if err := j.proveParameters(parameters); err != nil {
		return nil, err
	}
	var run Run
	err = d.change(ctx, j, func(s *State, now time.Time) error {
		due := now.Truncate(time.Millisecond)
		for s.find(j.RunID(due)) != nil || slices.ContainsFunc(s.Ended, func(r Run) bool { return r.ID == j.RunID(due) }) || s.Last != nil && s.Last.Due.Equal(due) {
			due = due.Add(time.Millisecond)
		}
		if len(s.Active) >= mostActive {
			return requestf("%d runs of job %s wait already", len(s.Active), name)
		}
		run = j.newRun(due, CauseHand, now)
		run.From, run.To, run.Parameters = due, due, parameters
		s.Active = append(s.Active, run)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &run, nil
}

func (j *Job) proveParameters(parameters map[string]string) error {
	for _, name := range slices.Sorted(maps.Keys(parameters)) {
		if err := county.ProveParameter(name); err != nil {
			return requestf("%v; use lower-case letters, digits and _", err)
		}
		if len(j.Parameters) > 0 && j.Parameters[name] == "" {
			if _, known := j.Parameters[name]; !known {
				return requestf("job %s has no parameter %q; %s", j.Name, name, document.DidYouMean(name, slices.Collect(maps.Keys(j.Parameters))))
			}
		}
	}
	all := maps.Clone(j.Parameters)
	if all == nil {
		all = map[string]string{}
	}
	maps.Copy(all, parameters)
	if _, err := county.Fill(all, time.Time{}, time.Time{}, time.Time{}, j.Zone); err != nil {
		return requestf("%v", err)
	}
	return nil
}

// History are the newest runs, of a job, or of all when name is empty, the newest first: those that wait or go on, and those
// that are over.
func (d *Desk) History(ctx context.Context, name string, most int) ([]Run, error) {
	chosen := d.Jobs
	if name != "" {
		j, err := d.Job(name)
		if err != nil {
			return nil, err
		}
		chosen = Set{name: j}
	}
	runs, err := d.Ledger.Runs(ctx, name, most)
	if err != nil {
		return nil, err
	}
	at := map[string]int{}
	for i, r := range runs {
		at[r.ID] = i
	}
	states, err := d.states(ctx, name)
	if err != nil {
		return nil, err
	}
	for _, j := range chosen {
		s := states[j.Name]
		for _, r := range slices.Concat(s.Ended, s.Active) {
			if i, told := at[r.ID]; !told {
				runs = append(runs, r)
			} else if r.Event >= runs[i].Event {
				runs[i] = r
			}
		}
	}
	slices.SortFunc(runs, func(a, b Run) int { return cmp.Or(b.Due.Compare(a.Due), strings.Compare(a.Job, b.Job)) })
	return runs[:min(most, len(runs))], nil
}

// Run tells how a run stands.
func (d *Desk) Run(ctx context.Context, id string) (*Run, error) {
	j, err := d.jobOf(id)
	if err != nil {
		return nil, err
	}
	s, _, err := read(ctx, d.Ledger, j.Name)
	if err != nil {
		return nil, err
	}
	if r := s.find(id); r != nil {
		return r, nil
	}
	for _, r := range s.Ended {
		if r.ID == id {
			return &r, nil
		}
	}
	r, err := d.Ledger.Last(ctx, j.Name, id)
	if err == nil && r == nil {
		err = requestf("there is no run %s; see shire jobs history %s", id, j.Name)
	}
	return r, err
}

func (d *Desk) jobOf(id string) (*Job, error) {
	name, _, ok := strings.Cut(id, "@")
	if !ok {
		return nil, requestf("%q is no run; a run is named job@time, see shire jobs history", id)
	}
	return d.Job(name)
}

// Logs tells what a run printed. With follow it goes on until the run is over.
func (d *Desk) Logs(ctx context.Context, id string, follow bool, fn func(Line) error) error {
	r, err := d.Run(ctx, id)
	if err != nil {
		return err
	}
	if !follow || r.Over() {
		return d.Ledger.Lines(ctx, r.Job, id, false, fn)
	}
	following, stop := context.WithCancel(ctx)
	defer stop()
	over := make(chan error, 1)
	told := 0
	go func() {
		err := d.Wait(following, id, nil)
		if err == nil { // what it printed last may be on its way still
			stop()
		}
		over <- err
	}()
	count := func(l Line) error { told++; return fn(l) }
	err = d.Ledger.Lines(following, r.Job, id, true, count)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil && following.Err() == nil {
		return err
	}
	if err := <-over; err != nil {
		return err
	}
	seen := 0
	return d.Ledger.Lines(ctx, r.Job, id, false, func(l Line) error {
		if seen++; seen <= told {
			return nil
		}
		return fn(l)
	})
}

// Wait waits until a run is over. changed, when given, is told each time that it stands differently.
func (d *Desk) Wait(ctx context.Context, id string, changed func(Run)) error {
	j, err := d.jobOf(id)
	if err != nil {
		return err
	}
	watching, stop := context.WithCancel(ctx)
	defer stop()
	var event uint64
	var failed error
	first := true
	look := func(Entry) {
		if watching.Err() != nil {
			return
		}
		r, err := d.Run(watching, id)
		if err != nil {
			failed = err
			stop()
			return
		}
		if changed != nil && (first || r.Event != event) {
			changed(*r)
		}
		first, event = false, r.Event
		if r.Over() {
			stop()
		}
	}
	err = d.Ledger.Watch(watching, func(e Entry) {
		if e.Key == jobPrefix+j.Name || e.Key == "" {
			look(e)
		}
	})
	switch {
	case failed != nil:
		return failed
	case ctx.Err() != nil:
		return ctx.Err()
	case watching.Err() != nil:
		return nil
	}
	return err
}

// Pause lets a job start nothing by itself. What comes due meanwhile is missed; what becomes of it at the resume, the job's
// policy says.
func (d *Desk) Pause(ctx context.Context, name, reason string) error {
	j, err := d.Job(name)
	if err != nil {
		return err
	}
	return d.change(ctx, j, func(s *State, now time.Time) error {
		if s.Paused != nil {
			return requestf("job %s is paused already, since %s", name, s.Paused.At.In(j.Zone).Format(time.DateTime))
		}
		s.Paused = &Pause{At: now, Reason: reason}
		return nil
	})
}

// Resume takes a pause back.
func (d *Desk) Resume(ctx context.Context, name string) error {
	j, err := d.Job(name)
	if err != nil {
		return err
	}
	return d.change(ctx, j, func(s *State, _ time.Time) error {
		if s.Paused == nil {
			return requestf("job %s is not paused", name)
		}
		s.Paused = nil
		return nil
	})
}

// Cancel ends a run that waits, and stops one that goes on.
func (d *Desk) Cancel(ctx context.Context, id, reason string) error {
	j, err := d.jobOf(id)
	if err != nil {
		return err
	}
	return d.change(ctx, j, func(s *State, now time.Time) error {
		r := s.find(id)
		if r == nil {
			return requestf("run %s neither waits nor goes on", id)
		}
		if r.Cancel != "" {
			return requestf("run %s is being stopped already", id)
		}
		s.cancel(id, cmp.Or(reason, "a person stopped it"), "", now)
		return nil
	})
}

// Retry runs again what failed, was cancelled or was skipped: another attempt of the same run.
func (d *Desk) Retry(ctx context.Context, id string) (*Run, error) {
	j, err := d.jobOf(id)
	if err != nil {
		return nil, err
	}
	old, err := d.Run(ctx, id)
	if err != nil {
		return nil, err
	}
	var run Run
	err = d.change(ctx, j, func(s *State, now time.Time) error {
		if s.find(id) != nil || !old.Over() {
			return requestf("run %s is not over", id)
		}
		if slices.ContainsFunc(s.Ended, func(r Run) bool { return r.ID == id }) {
			return errAgain
		}
		if old.Outcome == OK {
			return requestf("run %s ended well; to run it again use shire jobs backfill %s --only completed", id, j.Name)
		}
		run = *old
		run.Outcome, run.Created, run.Finished, run.NotBefore, run.Cancel, run.Failures, run.Lost, run.LateTold = Waiting, now, time.Time{}, time.Time{}, "", 0, 0, false
		run.Message, run.Node = "a person asked for another attempt", ""
		run.Event++
		s.Active = append(s.Active, run)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &run, nil
}

// errAgain asks for the same change a moment later.
var errAgain = errors.New("the end of a run is being told; try again in a moment")

// change does a step on the state of a job, as often as others are quicker.
func (d *Desk) change(ctx context.Context, j *Job, step func(s *State, now time.Time) error) error {
	for {
		s, revision, err := read(ctx, d.Ledger, j.Name)
		if err != nil {
			return err
		}
		now := d.Clock.Now()
		j.begin(s, now)
		err = step(s, now)
		if err == nil {
			_, err = write(ctx, d.Ledger, j.Name, s, revision)
		}
		if !errors.Is(err, ErrConflict) && !errors.Is(err, errAgain) {
			return err
		}
		if err := d.Clock.Sleep(ctx, now.Add(10*time.Millisecond)); err != nil {
			return err
		}
	}
}

// read reads the state of a job; an empty one when there is none.
func read(ctx context.Context, e Entries, job string) (*State, uint64, error) {
	entry, err := e.Get(ctx, jobPrefix+job)
	if err != nil {
		return nil, 0, fmt.Errorf("the state of job %s cannot be read: %w", job, err)
	}
	s, err := decode(entry)
	return s, entry.Revision, err
}

func decode(e Entry) (*State, error) {
	s := &State{}
	if len(e.Value) == 0 {
		return s, nil
	}
	if err := json.Unmarshal(e.Value, s); err != nil {
		return nil, fmt.Errorf("the entry %s of the ledger of jobs is damaged: %w", e.Key, err)
	}
	return s, nil
}

func write(ctx context.Context, e Entries, job string, s *State, revision uint64) (uint64, error) {
	value, err := json.Marshal(s)
	if err != nil {
		return 0, fmt.Errorf("the state of job %s cannot be written: %w", job, err)
	}
	revision, err = e.Put(ctx, jobPrefix+job, value, revision)
	if err != nil {
		return 0, fmt.Errorf("the state of job %s cannot be written: %w", job, err)
	}
	return revision, nil
}
