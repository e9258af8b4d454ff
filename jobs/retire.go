package jobs

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// A job that is no longer in county.yaml leaves an entry, and perhaps runs that wait or whose process died. A process that is
// alone, so that no other may know the job, ends these runs and removes the entry: a job that comes back begins anew.

// retireAll removes what is left of jobs that are gone, if this process is alone. s.mu is held.
func (s *Scheduler) retireAll(life context.Context) {
	if !s.ready || s.stops || len(s.strays) == 0 {
		return
	}
	for id := range s.nodes {
		if !s.dead(id) {
			return
		}
	}
	for name := range s.strays {
		delete(s.strays, name)
		s.work.Go(func() {
			if err := s.retire(life, name); err != nil {
				s.Log.Warn("what is left of a job that is not in county.yaml any more could not be removed", "job", name, "error", err)
			}
		})
	}
}

// retire ends the runs of a job that is gone, tells their ends, and removes its entry.
func (s *Scheduler) retire(life context.Context, name string) error {
	ctx, cancel := context.WithTimeout(life, stepWithin)
	defer cancel()
	for {
		state, revision, err := read(ctx, s.Ledger, name)
		if err != nil || revision == 0 {
			return err
		}
		for _, r := range slices.Clone(state.Active) {
			state.end(r.ID, Cancelled, "its job is not in county.yaml any more", s.id, s.Clock.Now())
		}
		// Written down before it is told, as every end is.
		if _, err = write(ctx, s.Ledger, name, state, revision); errors.Is(err, ErrConflict) {
			continue
		} else if err != nil {
			return err
		}
		for _, r := range state.Ended {
			if err := s.Ledger.Report(ctx, r); err != nil {
				return err
			}
			s.Log.Warn("a run was ended, because its job is not in county.yaml any more", "run", r.ID)
		}
		return s.Ledger.Delete(ctx, jobPrefix+name)
	}
}

// A run may also be asked for with a county.yaml that is newer than the one of the process that is up, which does not know the
// job. That process may not run it and may not end it. It says so, in the run, in the history and in the log.

// wonder looks at a job without a definition when another process has had time to start what waits there. s.mu is held.
func (s *Scheduler) wonder(life context.Context, name string, there bool) {
	if !there || s.stops || s.wonders[name] {
		return
	}
	s.wonders[name] = true
	s.work.Go(func() {
		timer := time.NewTimer(s.Lease)
		defer timer.Stop()
		select {
		case <-life.Done():
			return
		case <-s.over:
			return
		case <-timer.C:
		}
		s.mu.Lock()
		delete(s.wonders, name)
		s.mu.Unlock()
		if err := s.sayUnknown(life, name); err != nil {
			s.Log.Warn("whether runs wait of a job that this process does not know could not be seen", "job", name, "error", err)
		}
	})
}

// sayUnknown tells of every run of a job without a definition that nobody has started why it waits.
func (s *Scheduler) sayUnknown(life context.Context, name string) error {
	ctx, cancel := context.WithTimeout(life, stepWithin)
	defer cancel()
	message := fmt.Sprintf("nobody has started it yet: the process that is up (%s) does not have the job in its county.yaml; start shire up again with the one that has it", cmp.Or(s.Node, s.id))
	for {
		state, revision, err := read(ctx, s.Ledger, name)
		if err != nil || revision == 0 {
			return err
		}
		var told []Run
		for i := range state.Active {
			if r := &state.Active[i]; r.Outcome == Waiting && r.Attempt == 0 && r.Message == "" && (state.Paused == nil || r.Cause == CauseHand) {
				r.Message = message
				r.Event++
				told = append(told, *r)
			}
		}
		if len(told) == 0 {
			return nil
		}
		if _, err = write(ctx, s.Ledger, name, state, revision); errors.Is(err, ErrConflict) {
			continue
		} else if err != nil {
			return err
		}
		for _, r := range told {
			s.Log.Warn("a run waits, because its job is not in this process's county.yaml", "run", r.ID)
			if err := s.Ledger.Report(ctx, r); err != nil {
				return err
			}
		}
		return nil
	}
}
