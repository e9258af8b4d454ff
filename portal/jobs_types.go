package portal

import "time"

// Outcomes of a run. The first two are of one that is not over.
const (
	RunWaiting   = "waiting" // for its turn, for a process, or for another attempt
	RunRunning   = "running"
	RunOK        = "ok"
	RunFailed    = "failed"
	RunCancelled = "cancelled"
	RunSkipped   = "skipped"
)

// Job is a job as it stands.
type Job struct {
	Name       string            `json:"name"`
	Kind       string            `json:"kind" jsonschema:"description=Of work: read\\, reconcile\\, sql\\, command ..."`
	Source     string            `json:"source,omitempty" jsonschema:"description=That it works on"`
	Owner      string            `json:"owner,omitempty" jsonschema:"description=Who looks after it"`
	Schedule   string            `json:"schedule,omitempty" jsonschema:"description=Minute\\, hour\\, day of month\\, month\\, day of week"`
	Every      string            `json:"every,omitempty" jsonschema:"description=An interval\\, such as 15m0s"`
	After      []string          `json:"after,omitempty" jsonschema:"description=Jobs that it comes after"`
	TimeZone   string            `json:"time_zone"`
	Days       string            `json:"days"`
	Missed     string            `json:"missed" jsonschema:"description=What becomes of due times that passed while nothing ran"`
	Overlap    string            `json:"overlap" jsonschema:"description=What becomes of a due time while a run goes on"`
	State      string            `json:"state" jsonschema:"enum=running,enum=waiting,enum=paused,enum=ok,enum=failed,enum=cancelled,enum=skipped,enum=never,description=What it does now; otherwise how its last run ended"`
	Next       *time.Time        `json:"next" jsonschema:"description=When it is due next by itself"`
	Paused     *JobPause         `json:"paused,omitempty"`
	Active     []JobRun          `json:"active" jsonschema:"description=Runs that wait or go on\\, at most 20 of them"`
	Waiting    int               `json:"waiting" jsonschema:"description=How many runs wait"`
	Running    int               `json:"running" jsonschema:"description=How many runs go on"`
	Last       *JobRun           `json:"last,omitempty" jsonschema:"description=The last run that ended"`
	LastOK     *time.Time        `json:"last_ok" jsonschema:"description=When a run last ended well"`
	Silent     *time.Time        `json:"silent_since,omitempty" jsonschema:"description=Since when it has not ended well for longer than its definition allows"`
	Backfills  []JobBackfill     `json:"backfills,omitempty"`
	Parameters map[string]string `json:"parameters,omitempty" jsonschema:"description=For operators who have signed in"`
}

// JobPause says since when and why a job starts nothing by itself.
type JobPause struct {
	At     time.Time `json:"at"`
	Reason string    `json:"reason,omitempty"`
}

// JobRun is one run of a job.
type JobRun struct {
	ID         string            `json:"id" jsonschema:"description=job@the time it was due"`
	Job        string            `json:"job"`
	Due        time.Time         `json:"due"`
	From       time.Time         `json:"from" jsonschema:"description=The data interval that it is about\\, from here"`
	To         time.Time         `json:"to" jsonschema:"description=And before here; equal when it has none"`
	Cause      string            `json:"cause" jsonschema:"enum=schedule,enum=missed,enum=after,enum=hand,enum=backfill"`
	Outcome    string            `json:"outcome" jsonschema:"enum=waiting,enum=running,enum=ok,enum=failed,enum=cancelled,enum=skipped"`
	Attempt    int               `json:"attempt" jsonschema:"description=The present or last one; 0 before the first"`
	NotBefore  *time.Time        `json:"not_before,omitempty" jsonschema:"description=When it is tried again"`
	Started    *time.Time        `json:"started" jsonschema:"description=The present or last attempt"`
	Finished   *time.Time        `json:"finished"`
	Message    string            `json:"message,omitempty" jsonschema:"description=What a person should know of it; in English"`
	Counts     map[string]uint64 `json:"counts,omitempty"`
	Cancelling bool              `json:"cancelling,omitempty" jsonschema:"description=It has been told to stop"`
	Backfill   string            `json:"backfill,omitempty" jsonschema:"description=Id of the backfill that it belongs to"`
	Missed     int               `json:"missed,omitempty" jsonschema:"description=Due times that it stands for\\, beyond its own"`
	Event      uint64            `json:"event" jsonschema:"description=Grows whenever it stands differently"`
	Parameters map[string]string `json:"parameters,omitempty" jsonschema:"description=Those that this run was given; for operators who have signed in"`
}

// Over tells whether nothing more will happen to the run by itself.
func (r *JobRun) Over() bool { return r.Outcome != RunWaiting && r.Outcome != RunRunning }

// JobBackfill runs a job for due times of the past.
type JobBackfill struct {
	ID         string            `json:"id"`
	From       time.Time         `json:"from"`
	To         time.Time         `json:"to"`
	Reverse    bool              `json:"reverse,omitempty"`
	Only       string            `json:"only,omitempty" jsonschema:"enum=none,enum=failed,enum=completed"`
	Most       int               `json:"most" jsonschema:"description=Runs at a time"`
	Total      int               `json:"total" jsonschema:"description=Due times in all"`
	Passed     int               `json:"passed" jsonschema:"description=Due times that have had their turn"`
	Left       int               `json:"left" jsonschema:"description=Of them\\, those that only leaves alone"`
	Outcomes   map[string]int    `json:"outcomes,omitempty" jsonschema:"description=How many runs ended how"`
	Paused     bool              `json:"paused,omitempty"`
	Created    time.Time         `json:"created"`
	Finished   *time.Time        `json:"finished"`
	Outcome    string            `json:"outcome" jsonschema:"enum=running,enum=ok,enum=failed,enum=cancelled"`
	Parameters map[string]string `json:"parameters,omitempty" jsonschema:"description=For operators who have signed in"`
}

// JobDue is a due time of a job.
type JobDue struct {
	Job     string    `json:"job"`
	Due     time.Time `json:"due"`
	Problem string    `json:"problem,omitempty" jsonschema:"description=Why it will fail\\, as far as is known now; in English"`
	Paused  bool      `json:"paused,omitempty"`
}

// JobList is a page of the jobs.
type JobList struct {
	Total    int            `json:"total" jsonschema:"description=Jobs in all"`
	Matching int            `json:"matching" jsonschema:"description=Jobs that were asked for\\, on all pages"`
	Counts   map[string]int `json:"counts" jsonschema:"description=How many jobs are running\\, waiting\\, failed\\, paused\\, silent; one may be several"`
	Items    []Job          `json:"items"`
}

// RunList is a page of the runs of a job, the newest first.
type RunList struct {
	Items []JobRun `json:"items"`
	More  bool     `json:"more" jsonschema:"description=There are older ones"`
}

// RecentRuns are the newest runs of a job, in short.
type RecentRuns struct {
	Job  string     `json:"job"`
	Runs []RunBrief `json:"runs" jsonschema:"description=The oldest first"`
}

// RunBrief is a run in short.
type RunBrief struct {
	ID      string    `json:"id"`
	Due     time.Time `json:"due"`
	Outcome string    `json:"outcome"`
	Seconds float64   `json:"seconds" jsonschema:"description=That its last attempt took; 0 when none was made"`
}

// Timeline is when jobs ran.
type Timeline struct {
	From  time.Time `json:"from"`
	To    time.Time `json:"to"`
	Lanes []Lane    `json:"lanes"`
}

// Lane is when one job ran.
type Lane struct {
	Job    string     `json:"job"`
	Blocks []Block    `json:"blocks" jsonschema:"description=In their order"`
	Since  *time.Time `json:"since" jsonschema:"description=Earlier runs are not looked at; null when all of the window are"`
}

// Block is a stretch of a lane: one run, or several that are too close to be told apart.
type Block struct {
	From    time.Time `json:"from"`
	To      time.Time `json:"to"`
	Outcome string    `json:"outcome" jsonschema:"description=The worst of them"`
	Runs    int       `json:"runs"`
	Failed  int       `json:"failed"`
	Run     string    `json:"run" jsonschema:"description=Id of the last one; of the last that failed when one did"`
}

// LogLine is one line of a run's output.
type LogLine struct {
	At      time.Time `json:"at"`
	Attempt int       `json:"attempt"`
	Text    string    `json:"text"`
}

// LogPage is a stretch of what a run printed.
type LogPage struct {
	First int       `json:"first" jsonschema:"description=Number of the first of the lines; 0 is the first that the run printed"`
	Lines []LogLine `json:"lines"`
	Total int       `json:"total" jsonschema:"description=Lines that are kept of the run"`
}

// Trigger asks for a run now.
type Trigger struct {
	Parameters map[string]string `json:"parameters,omitempty" jsonschema:"description=Take the place of the job's own"`
}

// Because says why something is done.
type Because struct {
	Reason string `json:"reason,omitempty" jsonschema:"description=One line of at most 200 characters that everybody may read; name nobody in it"`
}

// BackfillOrder says for which due times a job is to be run.
type BackfillOrder struct {
	From       string            `json:"from" jsonschema:"description=Due times from here on: RFC 3339\\, or 2026-11-01 or 2026-11-01T06:00 on the clock of the job's time zone"`
	To         string            `json:"to,omitempty" jsonschema:"description=And before here; now when left out"`
	Reverse    bool              `json:"reverse,omitempty" jsonschema:"description=The newest first"`
	Only       string            `json:"only,omitempty" jsonschema:"enum=none,enum=failed,enum=completed,description=Only due times whose run is so: there is none\\, it failed\\, it ended well"`
	Most       int               `json:"most,omitempty" jsonschema:"description=Runs at a time; 1 when left out"`
	Parameters map[string]string `json:"parameters,omitempty"`
}

// BackfillPlan is what a backfill would do.
type BackfillPlan struct {
	From  time.Time   `json:"from"`
	To    time.Time   `json:"to"`
	Total int         `json:"total" jsonschema:"description=Due times"`
	Runs  int         `json:"runs" jsonschema:"description=Of them\\, those that would run"`
	First []time.Time `json:"first" jsonschema:"description=The first of these\\, in their order; at most 100"`
}

// BackfillRequest is a BackfillOrder whose times are known.
type BackfillRequest struct {
	Job        string
	From, To   time.Time // due times in [From, To)
	Reverse    bool
	Only       string
	Most       int
	Parameters map[string]string
}
