package portal

import (
	"context"
	"errors"
	"net/http"

	"github.com/shirecounty/shire/schemas/county"
)

// How jobs stand, when they ran and when they are due next is open to everybody who reaches the portal, as the health of the
// flow is: nothing in it is personal. What people wrote freely or programs printed freely is not known to be so (I7):
// parameters and logs are for operators who have signed in. So is everything that makes a job do something.

// Jobs tells how jobs stand.
type Jobs interface {
	// Jobs are all jobs by name.
	Jobs(ctx context.Context) ([]Job, error)
	// Job is one of them. The error is ErrUnknown when there is none of that name.
	Job(ctx context.Context, name string) (*Job, error)
	// Coming are the next n due times, of one job, or of all when job is empty.
	Coming(ctx context.Context, job string, n int) ([]JobDue, error)
}

// JobRuns tells of runs.
type JobRuns interface {
	// Runs are the newest runs of a job, the newest first.
	Runs(ctx context.Context, job string, most int) ([]JobRun, error)
	// Run is one run. The error is ErrUnknown when there is none of that id.
	Run(ctx context.Context, id string) (*JobRun, error)
	// Log tells what a run printed, in its order. With follow it goes on until the run is over.
	Log(ctx context.Context, id string, follow bool, fn func(LogLine) error) error
}

// JobOrders is what operators do. What cannot be done is a *Refusal.
type JobOrders interface {
	// Trigger asks for a run now.
	Trigger(ctx context.Context, job string, parameters map[string]string) (*JobRun, error)
	// Retry asks for another attempt of a run that is over.
	Retry(ctx context.Context, run string) (*JobRun, error)
	// Cancel ends a run that waits and stops one that goes on.
	Cancel(ctx context.Context, run, reason string) error
	// Pause lets a job start nothing by itself; Resume takes that back.
	Pause(ctx context.Context, job, reason string) error
	Resume(ctx context.Context, job string) error
}

// JobBackfills runs jobs for the past. What cannot be done is a *Refusal.
type JobBackfills interface {
	// Plan tells what Start would do.
	Plan(ctx context.Context, r BackfillRequest) (*BackfillPlan, error)
	Start(ctx context.Context, r BackfillRequest) (*JobBackfill, error)
	// Change does pause, resume or cancel with a backfill.
	Change(ctx context.Context, job, backfill, do string) error
}

// JobsOptions are what the pages of jobs are made from; all of them are required.
type JobsOptions struct {
	Jobs      Jobs
	Runs      JobRuns
	Orders    JobOrders
	Backfills JobBackfills
	Operators Accounts
}

// ErrUnknown says that there is no job or no run of that name.
var ErrUnknown = errors.New("there is no such job or run")

// Refusal says why something cannot be done, and what to do instead.
type Refusal struct{ Message string }

func (e *Refusal) Error() string { return e.Message }

const (
	jobsHeader = "X-Shire-Jobs"
	jobsCookie = "shire_jobs"
	jobsPath   = "/api/v1/" // jobs and runs

	jobPattern   = `^[a-z][\p{L}\p{N}_.:-]{0,127}$`
	countPattern = `^[0-9]{1,9}$`
)

// operatorsDoor is where operators sign in.
func (p *Portal) operatorsDoor() *door {
	return p.door(door{
		to: "the jobs", accounts: p.o.Jobs.Operators, cookie: jobsCookie, path: jobsPath, header: jobsHeader, session: "/api/v1/operators/session", page: "/jobs", right: county.MayOperate,
		closed: sentence{"Sign in first: logs, parameters and whatever makes a job do something are for named operators.", "请先登录：日志、参数以及对作业的操作只对具名的操作员开放。"},
		unknown: sentence{"It cannot be told who may operate jobs: the file of operators cannot be read. The log of the node says why.",
			"读不到操作员名单，无法确认身份。节点日志中有原因。"},
	})
}

func (p *Portal) jobsTable() []route {
	d := p.operators
	name := parameter{Name: "name", In: "path", Pattern: jobPattern, Description: "Of a job"}
	id := parameter{Name: "id", In: "path", Description: "Of a run: job@the time it was due"}
	mark := parameter{Name: jobsHeader, In: "header", Enum: []string{"1"}, Description: "No other site can make a browser send it"}
	query := func(name, pattern, description string, enum ...string) parameter {
		return parameter{Name: name, In: "query", Pattern: pattern, Description: description, Enum: enum}
	}
	chosen := query("job", jobPattern, "Of which job; may be there up to 200 times")
	table := []route{
		{
			Path: "/api/v1/jobs", ID: "jobs", Summary: "The jobs of the county, page by page",
			Parameters: []parameter{
				query("state", "", "Only jobs that are so", jobFilters...), query("q", "", "Only jobs whose name, kind, source or owner has this in it; up to 64 characters"),
				query("sort", "", "By name when left out", jobSorts...), query("offset", countPattern, "How many to pass over"), query("limit", countPattern, "At most this many, 1 to 200; 50 when left out"),
			},
			Result: JobList{}, Problems: []int{400, 503}, handle: p.jobs.list,
		},
		{
			Path: "/api/v1/jobs/next", ID: "jobsNext", Summary: "When jobs are due next",
			Parameters: []parameter{query("job", jobPattern, "Of one job; of all when left out"), query("n", countPattern, "How many due times, 1 to 200; 10 when left out")},
			Result:     []JobDue{}, Problems: []int{400, 404, 503}, handle: p.jobs.next,
		},
		{
			Path: "/api/v1/jobs/{name}", ID: "job", Summary: "One job; with its parameters for operators who have signed in",
			Parameters: []parameter{name}, Result: Job{}, Problems: []int{404, 503}, handle: p.jobs.job,
		},
		{
			Path: "/api/v1/jobs/{name}/runs", ID: "jobRuns", Summary: "The runs of a job, the newest first; years back they are in ops.runs",
			Parameters: []parameter{name, query("outcome", "", "Only runs that ended so", runOutcomes...), query("offset", countPattern, "How many to pass over"), query("limit", countPattern, "At most this many, 1 to 200; 50 when left out")},
			Result:     RunList{}, Problems: []int{400, 404, 503}, handle: p.jobs.runs,
		},
		{
			Path: "/api/v1/runs/recent", ID: "recentRuns", Summary: "The newest 20 runs of each of some jobs, in short",
			Parameters: []parameter{chosen}, Result: []RecentRuns{}, Problems: []int{400, 503}, handle: p.jobs.recent,
		},
		{
			Path: "/api/v1/runs/timeline", ID: "timeline", Summary: "When some jobs ran: runs that are too close to be told apart come as one block",
			Parameters: []parameter{chosen, query("hours", "", "How far back; 24 when left out", "24", "168")},
			Result:     Timeline{}, Problems: []int{400, 503}, handle: p.jobs.timeline,
		},
		{
			Path: "/api/v1/runs/{id}", ID: "run", Summary: "One run; with its parameters for operators who have signed in",
			Parameters: []parameter{id}, Result: JobRun{}, Problems: []int{404, 503}, handle: p.jobs.run,
		},
		{
			Path: "/api/v1/runs/{id}/log", ID: "runLog", Summary: "What a run printed, page by page",
			Parameters: []parameter{id, query("after", countPattern, "How many lines to pass over"), query("tail", countPattern, "Instead: the last ones, this many"), query("limit", countPattern, "At most this many lines, 1 to 2000; 500 when left out")},
			Result:     LogPage{}, Problems: []int{400, 401, 404, 503}, Door: d.cookie, handle: d.signedIn(passive, p.jobs.log),
		},
		{
			Path: "/api/v1/runs/{id}/log/stream", ID: "runLogStream",
			Summary:    "What a run prints, as it prints it (server-sent events: lines with a JSON list of LogLine, whose id is the number of the line after them; over with the JobRun; signed_out)",
			Parameters: []parameter{id, query("after", countPattern, "How many lines to pass over; the header Last-Event-ID goes before it")},
			MediaTypes: []string{"text/event-stream"}, Problems: []int{400, 401, 404, 429, 503}, Door: d.cookie, handle: d.signedIn(passive, p.jobs.follow),
		},
		{
			Path: "/api/v1/operators/session", ID: "operator", Summary: "Who has signed in to operate jobs",
			Result: Session{}, Problems: []int{401, 503}, Door: d.cookie, handle: d.signedIn(passive, d.whoIsIn),
		},
		{
			Method: http.MethodPost, Path: "/api/v1/operators/session", ID: "operatorSignIn", Summary: "Sign in as an operator; the session comes as a cookie",
			Parameters: []parameter{mark}, Body: Credentials{}, Result: Session{}, Problems: []int{400, 401, 403, 415, 429, 503}, handle: d.fromOwnPage(d.signIn),
		},
		{
			Method: http.MethodDelete, Path: "/api/v1/operators/session", ID: "operatorSignOut", Summary: "Signed out",
			Parameters: []parameter{mark}, NoContent: true, Problems: []int{403}, handle: d.fromOwnPage(d.signOut),
		},
	}
	order := func(path, id, summary string, parameters []parameter, body, result any, handle func(http.ResponseWriter, *http.Request, string)) {
		table = append(table, route{
			Method: http.MethodPost, Path: path, ID: id, Summary: summary, Parameters: append(parameters, mark), Body: body, Result: result, NoContent: result == nil,
			Problems: []int{400, 401, 403, 404, 409, 415, 503}, Door: d.cookie, handle: d.fromOwnPage(d.signedIn(active, handle)),
		})
	}
	backfill := parameter{Name: "backfill", In: "path", Pattern: `^[a-z0-9]{1,32}$`, Description: "Id of a backfill"}
	what := parameter{Name: "do", In: "path", Enum: backfillOrders, Description: "What to do with it"}
	order("/api/v1/jobs/{name}/run", "triggerJob", "The run is asked for", []parameter{name}, Trigger{}, JobRun{}, p.jobs.trigger)
	order("/api/v1/jobs/{name}/pause", "pauseJob", "The job starts nothing by itself", []parameter{name}, Because{}, nil, p.jobs.pause)
	order("/api/v1/jobs/{name}/resume", "resumeJob", "The job starts by itself again", []parameter{name}, Because{}, nil, p.jobs.resume)
	order("/api/v1/jobs/{name}/backfills/plan", "planBackfill", "What a backfill would do; nothing is done", []parameter{name}, BackfillOrder{}, BackfillPlan{}, p.jobs.planBackfill)
	order("/api/v1/jobs/{name}/backfills", "startBackfill", "The backfill is under way", []parameter{name}, BackfillOrder{}, JobBackfill{}, p.jobs.startBackfill)
	order("/api/v1/jobs/{name}/backfills/{backfill}/{do}", "changeBackfill", "It is done", []parameter{name, backfill, what}, Because{}, nil, p.jobs.changeBackfill)
	order("/api/v1/runs/{id}/cancel", "cancelRun", "The run is being stopped", []parameter{id}, Because{}, nil, p.jobs.cancel)
	order("/api/v1/runs/{id}/retry", "retryRun", "Another attempt is asked for", []parameter{id}, Because{}, JobRun{}, p.jobs.retry)
	return table
}

// noJobs answers where no jobs are shown.
func noJobs(w http.ResponseWriter, _ *http.Request) {
	problem(http.StatusNotFound, codeJobsOff, "This portal shows no jobs.").zh("本门户不显示作业。").write(w)
}
