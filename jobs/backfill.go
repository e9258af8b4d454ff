package jobs

import (
	"slices"
	"time"
)

// Backfill runs a job for due times of the past. It stands in the job's entry, so that it survives every restart.
type Backfill struct {
	ID         string            `json:"id"`
	From       time.Time         `json:"from"` // due times from here on
	To         time.Time         `json:"to"`   // and before here
	Reverse    bool              `json:"reverse,omitempty"`
	Only       string            `json:"only,omitempty"` // none, failed or completed: runs that are so in the history; empty for all
	Most       int               `json:"most"`           // runs at a time
	Parameters map[string]string `json:"parameters,omitempty"`
	Cursor     time.Time         `json:"cursor"` // due times up to here, or from here on when reversed, have had their turn
	Total      int               `json:"total"`  // due times in all
	Passed     int               `json:"passed"` // due times that have had their turn
	Left       int               `json:"left"`   // of them, those that Only leaves alone
	Outcomes   map[string]int    `json:"outcomes,omitempty"`
	Paused     bool              `json:"paused,omitempty"`
	Created    time.Time         `json:"created"`
	Finished   time.Time         `json:"finished,omitzero"`
	Outcome    string            `json:"outcome"` // running, ok, failed (some runs did) or cancelled
}

// What Only may be.
const (
	OnlyNone      = "none"
	OnlyFailed    = "failed"
	OnlyCompleted = "completed"
)

func (b *Backfill) count(outcome string) {
	if b.Outcomes == nil {
		b.Outcomes = map[string]int{}
	}
	b.Outcomes[outcome]++
}

// wants tells whether a due time is one for the backfill. last is the run in the history, nil when there is none.
func (b *Backfill) wants(last *Run) bool {
	switch b.Only {
	case OnlyNone:
		return last == nil
	case OnlyFailed:
		return last != nil && last.Outcome == Failed
	case OnlyCompleted:
		return last != nil && last.Outcome == OK
	}
	return true
}

// next is the due time whose turn it is; false when all have had theirs.
func (b *Backfill) next(t *Times) (Due, bool) {
	if !b.Reverse {
		due, ok := t.Next(b.Cursor)
		return due, ok && due.At.Before(b.To)
	}
	at := t.Prev(b.Cursor)
	if at.IsZero() || at.Before(b.From) {
		return Due{}, false
	}
	due, ok := t.Next(at.Add(-time.Nanosecond))
	return due, ok
}

func (s *State) backfill(id string) *Backfill {
	if i := slices.IndexFunc(s.Backfills, func(b Backfill) bool { return b.ID == id }); i >= 0 {
		return &s.Backfills[i]
	}
	return nil
}

// atWork is how many runs of a backfill wait or go on.
func (s *State) atWork(id string) (n int) {
	for _, r := range s.Active {
		if r.Backfill == id {
			n++
		}
	}
	return n
}

// backfilling tells whether a backfill has something to do now.
func (j *Job) backfilling(s *State) bool {
	if s.Paused != nil || j.root == nil || len(s.Ended) > mostEnded {
		return false
	}
	for i := range s.Backfills {
		b := &s.Backfills[i]
		if b.Outcome == Running && !b.Paused && s.atWork(b.ID) < b.Most {
			if _, more := b.next(j.root); more || s.atWork(b.ID) == 0 {
				return true
			}
		}
	}
	return false
}

// mostLooked bounds how many due times one step of a backfill looks at.
const mostLooked = 200

// fill adds runs of backfills up to as many as they may have at a time.
func (j *Job) fill(s *State, now time.Time, node string, seen known) (changed bool, err error) {
	if s.Paused != nil || j.root == nil || len(s.Ended) > mostEnded {
		return false, nil
	}
	for i := range s.Backfills {
		b := &s.Backfills[i]
		if b.Outcome != Running || b.Paused {
			continue
		}
		for looked := 0; looked < mostLooked && s.atWork(b.ID) < b.Most && len(s.Active) < mostActive; looked++ {
			due, more := b.next(j.root)
			if !more {
				if s.atWork(b.ID) == 0 {
					b.Finished, b.Outcome, changed = now, OK, true
					if b.Outcomes[Failed] > 0 {
						b.Outcome = Failed
					}
				}
				break
			}
			b.Cursor, changed = due.At, true
			b.Passed++
			before, err := j.before(s, due.At, seen)
			if err != nil {
				return false, err
			}
			if s.find(j.RunID(due.At)) != nil || !b.wants(before) {
				b.Left++
				continue
			}
			r := j.newRun(due.At, CauseBackfill, now)
			r.Backfill, r.Parameters = b.ID, b.Parameters
			r.succeed(before)
			if due.Problem != nil {
				r.Outcome, r.Message, r.Node, r.Finished = Failed, due.Problem.Error(), node, now
				s.ended(r)
				continue
			}
			s.Active = append(s.Active, r)
		}
	}
	return changed, nil
}
