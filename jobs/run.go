package jobs

import (
	"maps"
	"slices"
	"time"
)

// Outcomes of a run.
const (
	Waiting   = "waiting" // for its turn, for a process, or for another attempt
	Running   = "running"
	OK        = "ok"
	Failed    = "failed"
	Cancelled = "cancelled" // by a person, or by a newer run
	Skipped   = "skipped"   // a policy says that it does not take place
)

// Causes of a run.
const (
	CauseSchedule = "schedule"
	CauseMissed   = "missed" // it makes up for due times that passed while nothing ran
	CauseAfter    = "after"  // the jobs before it have ended
	CauseHand     = "hand"   // a person asked
	CauseBackfill = "backfill"
)

// Run is one run of a job, as the ledger and the history know it. Nothing in it is personal (I7).
type Run struct {
	ID         string            `json:"id"` // job@the time it was due, RFC 3339 in the job's zone
	Job        string            `json:"job"`
	Source     string            `json:"source,omitempty"`
	Owner      string            `json:"owner,omitempty"`
	Due        time.Time         `json:"due"`
	From       time.Time         `json:"from"` // the data interval [From, To); equal when it has none
	To         time.Time         `json:"to"`
	Cause      string            `json:"cause"`
	Parameters map[string]string `json:"parameters,omitempty"` // those that this run was given, beyond the job's own
	Outcome    string            `json:"outcome"`
	Attempt    int               `json:"attempt"`             // the present or last one; 0 before the first
	Node       string            `json:"node,omitempty"`      // process that runs it, or that has to tell its end
	NotBefore  time.Time         `json:"not_before,omitzero"` // waiting: when it is tried again
	Created    time.Time         `json:"created"`
	Started    time.Time         `json:"started,omitzero"` // the present or last attempt
	Finished   time.Time         `json:"finished,omitzero"`
	Message    string            `json:"message,omitempty"` // what a person should know of it
	Counts     map[string]uint64 `json:"counts,omitempty"`
	Cancel     string            `json:"cancel,omitempty"`   // why it has to stop, when it has
	Backfill   string            `json:"backfill,omitempty"` // the backfill that it belongs to
	Failures   int               `json:"failures,omitempty"` // attempts that failed
	Lost       int               `json:"lost,omitempty"`     // attempts whose process died
	Missed     int               `json:"missed,omitempty"`   // due times that it stands for, beyond its own
	LateTold   bool              `json:"late_told,omitempty"`
	Unmet      bool              `json:"unmet,omitempty"` // skipped because a run before it was not ok, which may yet be mended
	Event      uint64            `json:"event"`           // counts the reports on this run: the highest is how it stands
}

// Over tells whether nothing more will happen to the run by itself.
func (r *Run) Over() bool { return r.Outcome != Waiting && r.Outcome != Running }

// State is what the ledger knows of a job: one entry, changed by compare-and-set.
type State struct {
	Times     string     `json:"times"`            // names when it is due; another name means another schedule
	Since     time.Time  `json:"since"`            // the job is known since then
	Cursor    time.Time  `json:"cursor"`           // due times up to here are decided
	High      time.Time  `json:"high"`             // the highest the cursor ever was: it goes back when the clock does
	Paused    *Pause     `json:"paused,omitempty"` // nothing starts by itself
	Active    []Run      `json:"active,omitempty"` // that wait or go on, in the order of their turns
	Ended     []Run      `json:"ended,omitempty"`  // whose end is still to be told
	Joins     []Join     `json:"joins,omitempty"`  // what is known of the jobs before it, by due time
	Backfills []Backfill `json:"backfills,omitempty"`
	Alerts    []Alert    `json:"alerts,omitempty"` // to be sent
	Last      *Run       `json:"last,omitempty"`   // the last that ended
	LastOK    time.Time  `json:"last_ok,omitzero"` // when the last one ended well
	Silent    time.Time  `json:"silent,omitzero"`  // since when it is silent, as was told; zero when it is not
}

// Pause says since when and why nothing starts by itself.
type Pause struct {
	At     time.Time `json:"at"`
	Reason string    `json:"reason,omitempty"`
}

// bounds of a state (I10): what comes beyond them is skipped, and says so.
const (
	mostActive    = 300
	mostJoins     = 100
	mostBackfills = 10
	mostAlerts    = 20
)

func (s *State) clone() *State {
	c := *s
	c.Active, c.Ended, c.Alerts = slices.Clone(s.Active), slices.Clone(s.Ended), slices.Clone(s.Alerts)
	c.Joins = slices.Clone(s.Joins)
	for i := range c.Joins {
		c.Joins[i].Before = maps.Clone(c.Joins[i].Before)
	}
	c.Backfills = slices.Clone(s.Backfills)
	for i := range c.Backfills {
		c.Backfills[i].Outcomes = maps.Clone(c.Backfills[i].Outcomes)
	}
	return &c
}

// find is the active run of an id; nil when there is none.
func (s *State) find(id string) *Run {
	if i := slices.IndexFunc(s.Active, func(r Run) bool { return r.ID == id }); i >= 0 {
		return &s.Active[i]
	}
	return nil
}

// end moves a run from the active ones to those whose end is to be told, by the given process.
func (s *State) end(id, outcome, message, node string, now time.Time) {
	i := slices.IndexFunc(s.Active, func(r Run) bool { return r.ID == id })
	if i < 0 {
		return
	}
	r := s.Active[i]
	s.Active = slices.Delete(s.Active, i, i+1)
	r.Outcome, r.Message, r.Node, r.Finished, r.NotBefore = outcome, message, node, now, time.Time{}
	s.ended(r)
}

// ended notes a run that is over.
func (s *State) ended(r Run) {
	r.Event++
	s.Ended = append(s.Ended, r)
	s.Last = &r
	if r.Outcome == OK {
		s.LastOK, s.Silent = r.Finished, time.Time{}
	}
	if i := slices.IndexFunc(s.Backfills, func(b Backfill) bool { return b.ID == r.Backfill }); r.Backfill != "" && i >= 0 {
		s.Backfills[i].count(r.Outcome)
	}
}
