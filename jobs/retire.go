package jobs

import (
	"context"
	"errors"
	"slices"
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
