package jobs

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Join is what is known, for one due time, of the jobs that a job comes after.
type Join struct {
	Due    time.Time         `json:"due"`
	From   time.Time         `json:"from"`
	To     time.Time         `json:"to"`
	Before map[string]string `json:"before"`          // outcome by job
	State  string            `json:"state,omitempty"` // Skipped when its run was, which a retry before it may mend
}

// chained tells whether the jobs that come after this one are told of a run: of those that were due, and of those by hand
// where the job is due in no other way. What a person runs, or a backfill, is for itself.
func (j *Job) chained(r *Run) bool {
	return r.Cause == CauseSchedule || r.Cause == CauseMissed || r.Cause == CauseAfter || r.Cause == CauseHand && j.root == nil && len(j.After) == 0
}

// join notes how a run of a job before this one ended. When all have ended, the run of this job is made, or skipped with
// the reason. Told again, it does nothing; told anew after a retry, it decides anew.
func (j *Job) join(s *State, before *Run, node string, now time.Time, seen known) (bool, error) {
	i := slices.IndexFunc(s.Joins, func(q Join) bool { return q.Due.Equal(before.Due) })
	if i < 0 {
		told, err := j.before(s, before.Due, seen)
		if err != nil {
			return false, err
		}
		q := Join{Due: before.Due, From: before.From, To: before.To, Before: map[string]string{}}
		switch {
		case told == nil:
		case told.Outcome == Skipped && told.Unmet && before.Outcome == OK:
			q.State = Skipped // long ago: the join was given up meanwhile
		default:
			return false, nil // the join was given up, or the run is a backfill's
		}
		s.Joins = append(s.Joins, q)
		j.boundJoins(s, node, now)
		i = len(s.Joins) - 1
	}
	q := &s.Joins[i]
	if q.Before[before.Job] == before.Outcome {
		return false, nil
	}
	q.Before[before.Job] = before.Outcome
	if len(q.Before) < len(j.After) {
		return true, nil
	}
	var reasons []string
	for _, name := range j.After {
		if outcome := q.Before[name]; outcome != OK {
			reasons = append(reasons, fmt.Sprintf("%s was not ok, but %s", name, outcome))
		}
	}
	if len(reasons) > 0 && q.State == Skipped {
		return true, nil
	}
	r := j.newRun(q.Due, CauseAfter, now)
	r.From, r.To = q.From, q.To
	if len(reasons) > 0 {
		q.State = Skipped
		r.Outcome, r.Node, r.Finished, r.Message, r.Unmet = Skipped, node, now, strings.Join(reasons, "; "), true
		s.ended(r)
		return true, nil
	}
	if q.State == Skipped { // one before it was tried again, and ended well
		skipped, err := j.before(s, q.Due, seen)
		if err != nil {
			return false, err
		}
		r.succeed(skipped)
	}
	s.Joins = slices.Delete(s.Joins, i, i+1) // told again, the run is known by itself
	busy := slices.ContainsFunc(s.Active, func(r Run) bool { return r.Backfill == "" })
	j.admit(s, r, nil, node, now, busy)
	return true, nil
}

// boundJoins gives up the oldest join: a job before this one did not come to that due time.
func (j *Job) boundJoins(s *State, node string, now time.Time) {
	if len(s.Joins) <= mostJoins {
		return
	}
	q := s.Joins[0]
	s.Joins = slices.Delete(s.Joins, 0, 1)
	if q.State != "" {
		return
	}
	var absent []string
	for _, name := range j.After {
		if q.Before[name] == "" {
			absent = append(absent, name)
		}
	}
	r := j.newRun(q.Due, CauseAfter, now)
	r.From, r.To, r.Outcome, r.Node, r.Finished = q.From, q.To, Skipped, node, now
	r.Message = strings.Join(absent, ", ") + " did not run for this time"
	s.ended(r)
}
