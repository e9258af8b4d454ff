package portal

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

const (
	fewJobs    = 50
	mostJobs   = 200 // on a page, and looked at for a timeline
	fewDue     = 10
	mostDue    = 200
	mostRuns   = 1000 // of a job that the ledger is asked for; years back they are in ops.runs
	mostActive = 20   // that a job is shown with
	mostSearch = 64   // characters
	mostOffset = 99_999
)

// What a list of jobs can be asked for.
var (
	jobFilters  = []string{"running", "waiting", "failed", "paused", "silent"}
	jobSorts    = []string{"name", "next", "last"}
	runOutcomes = []string{RunWaiting, RunRunning, RunOK, RunFailed, RunCancelled, RunSkipped}
)

// jobsDesk answers about jobs.
type jobsDesk struct {
	p         *Portal
	o         *JobsOptions
	door      *door
	all       *kept[[]Job]
	coming    *kept[[]JobDue]
	histories *histories
	followers chan struct{} // I10: how many follow a log at a time
}

func newJobsDesk(p *Portal, d *door) *jobsDesk {
	o := p.o.Jobs
	return &jobsDesk{
		p: p, o: o, door: d, all: newKept[[]Job](p.o.now, keepJobs, 1), coming: newKept[[]JobDue](p.o.now, keepComing, mostComing),
		histories: newHistories(o.Runs), followers: make(chan struct{}, mostFollowers),
	}
}

// is tells whether a job is what a filter asks for.
func (j *Job) is(filter string) bool {
	switch filter {
	case "running":
		return j.Running > 0
	case "waiting":
		return j.Waiting > 0
	case "failed":
		return j.Last != nil && j.Last.Outcome == RunFailed
	case "paused":
		return j.Paused != nil
	case "silent":
		return j.Silent != nil
	}
	return true
}

// settle works out what follows from the rest of a job, and bounds what it is shown with (I10).
func (j *Job) settle() {
	for _, r := range j.Active {
		if r.Outcome == RunRunning {
			j.Running++
		} else {
			j.Waiting++
		}
	}
	j.Active = orEmpty(j.Active[:min(len(j.Active), mostActive)])
	switch {
	case j.Running > 0:
		j.State = RunRunning
	case j.Waiting > 0:
		j.State = RunWaiting
	case j.Paused != nil:
		j.State = Paused
	case j.Last != nil:
		j.State = j.Last.Outcome
	default:
		j.State = "never"
	}
}

// public takes away what is not for everybody.
func (j *Job) public() {
	j.Parameters = nil
	j.Active = slices.Clone(j.Active) // others may be looking at it
	for i := range j.Active {
		j.Active[i].Parameters = nil
	}
	if j.Last != nil {
		last := *j.Last
		last.Parameters = nil
		j.Last = &last
	}
	j.Backfills = slices.Clone(j.Backfills)
	for i := range j.Backfills {
		j.Backfills[i].Parameters = nil
	}
}

func (j *Job) matches(q string) bool {
	for _, text := range []string{j.Name, j.Kind, j.Source, j.Owner} {
		if strings.Contains(strings.ToLower(text), q) {
			return true
		}
	}
	return false
}

// jobSort compares by what a list is sorted by; jobs without it come last.
func jobSort(by string) func(a, b Job) int {
	return func(a, b Job) int {
		switch {
		case by == "next" && (a.Next == nil) != (b.Next == nil), by == "last" && (a.Last == nil) != (b.Last == nil):
			if (by == "next" && a.Next == nil) || (by == "last" && a.Last == nil) {
				return 1
			}
			return -1
		case by == "next" && a.Next != nil:
			return cmp.Or(a.Next.Compare(*b.Next), strings.Compare(a.Name, b.Name))
		case by == "last" && a.Last != nil:
			return cmp.Or(b.Last.Due.Compare(a.Last.Due), strings.Compare(a.Name, b.Name))
		}
		return strings.Compare(a.Name, b.Name)
	}
}

func (d *jobsDesk) list(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	filter, sort, search := q.Get("state"), cmp.Or(q.Get("sort"), jobSorts[0]), strings.ToLower(strings.TrimSpace(q.Get("q")))
	if filter != "" && !slices.Contains(jobFilters, filter) {
		oneOf("state", jobFilters).write(w)
		return
	}
	if !slices.Contains(jobSorts, sort) {
		oneOf("sort", jobSorts).write(w)
		return
	}
	if utf8.RuneCountInString(search) > mostSearch {
		badParameter(fmt.Sprintf("q is longer than %d characters.", mostSearch)).zh(fmt.Sprintf("q 超过了 %d 个字。", mostSearch)).write(w)
		return
	}
	offset, ok := numberOf(w, q.Get("offset"), "offset", 0, 0, mostOffset)
	if !ok {
		return
	}
	limit, ok := numberOf(w, q.Get("limit"), "limit", fewJobs, 1, mostJobs)
	if !ok {
		return
	}
	all, err := d.jobs(r)
	if err != nil {
		d.fault(w, r, err)
		return
	}
	list := JobList{Total: len(all), Counts: map[string]int{}, Items: []Job{}}
	for _, f := range jobFilters {
		list.Counts[f] = 0
	}
	var matching []Job
	for i := range all {
		j := &all[i]
		for _, f := range jobFilters {
			if j.is(f) {
				list.Counts[f]++
			}
		}
		if j.is(filter) && (search == "" || j.matches(search)) {
			matching = append(matching, *j)
		}
	}
	list.Matching = len(matching)
	slices.SortFunc(matching, jobSort(sort))
	for _, j := range matching[min(offset, len(matching)):min(offset+limit, len(matching))] {
		j.public()
		list.Items = append(list.Items, j)
	}
	reply(w, r, list)
}

// jobs are all jobs as they stood a moment ago at the most.
func (d *jobsDesk) jobs(r *http.Request) ([]Job, error) {
	return d.all.get(r.Context(), "", func(ctx context.Context) ([]Job, error) {
		list, err := d.o.Jobs.Jobs(ctx)
		for i := range list {
			list[i].settle()
		}
		return list, err
	})
}

func (d *jobsDesk) next(w http.ResponseWriter, r *http.Request) {
	name := r.URL.Query().Get("job")
	n, ok := numberOf(w, r.URL.Query().Get("n"), "n", fewDue, 1, mostDue)
	if !ok {
		return
	}
	if name != "" {
		if _, ok := d.find(w, r, name); !ok {
			return
		}
	}
	list, err := d.coming.get(r.Context(), name+"\x00"+strconv.Itoa(n), func(ctx context.Context) ([]JobDue, error) { return d.o.Jobs.Coming(ctx, name, n) })
	if err != nil {
		d.fault(w, r, err)
		return
	}
	reply(w, r, orEmpty(list))
}

// find is a job as it stands now.
func (d *jobsDesk) find(w http.ResponseWriter, r *http.Request, name string) (*Job, bool) {
	j, err := d.o.Jobs.Job(r.Context(), name)
	if err != nil {
		d.fault(w, r, err)
		return nil, false
	}
	j.settle()
	return j, true
}

func (d *jobsDesk) job(w http.ResponseWriter, r *http.Request) {
	j, ok := d.find(w, r, r.PathValue("name"))
	if !ok {
		return
	}
	if d.signedIn(r) {
		replyPrivately(w, j)
		return
	}
	j.public()
	reply(w, r, j)
}

// signedIn tells whether an operator asks, where everybody may.
func (d *jobsDesk) signedIn(r *http.Request) bool {
	_, ok, err := d.door.who(r, passive)
	return ok && err == nil
}

func (d *jobsDesk) runs(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	outcome := q.Get("outcome")
	if outcome != "" && !slices.Contains(runOutcomes, outcome) {
		oneOf("outcome", runOutcomes).write(w)
		return
	}
	offset, ok := numberOf(w, q.Get("offset"), "offset", 0, 0, mostRuns)
	if !ok {
		return
	}
	limit, ok := numberOf(w, q.Get("limit"), "limit", fewJobs, 1, mostJobs)
	if !ok {
		return
	}
	j, ok := d.find(w, r, r.PathValue("name"))
	if !ok {
		return
	}
	most := min(offset+limit+1, mostRuns)
	if outcome != "" {
		most = mostRuns
	}
	runs, err := d.o.Runs.Runs(r.Context(), j.Name, most)
	if err != nil {
		d.fault(w, r, err)
		return
	}
	runs = slices.DeleteFunc(runs, func(run JobRun) bool { return outcome != "" && run.Outcome != outcome })
	list := RunList{Items: runs[min(offset, len(runs)):min(offset+limit, len(runs))], More: len(runs) > offset+limit}
	if d.signedIn(r) {
		replyPrivately(w, RunList{orEmpty(list.Items), list.More})
		return
	}
	for i := range list.Items {
		list.Items[i].Parameters = nil
	}
	reply(w, r, RunList{orEmpty(list.Items), list.More})
}

func (d *jobsDesk) run(w http.ResponseWriter, r *http.Request) {
	run, ok := d.findRun(w, r)
	if !ok {
		return
	}
	if d.signedIn(r) {
		replyPrivately(w, run)
		return
	}
	run.Parameters = nil
	reply(w, r, run)
}

func (d *jobsDesk) findRun(w http.ResponseWriter, r *http.Request) (*JobRun, bool) {
	run, err := d.o.Runs.Run(r.Context(), r.PathValue("id"))
	if err != nil {
		d.fault(w, r, err)
		return nil, false
	}
	return run, true
}

// fault is the answer to what went wrong behind the portal. What was asked for is not repeated: it may be anything (I7).
func (d *jobsDesk) fault(w http.ResponseWriter, r *http.Request, err error) {
	var refusal *Refusal
	switch {
	case r.Context().Err() != nil: // the client went away
	case errors.Is(err, ErrUnknown):
		problem(http.StatusNotFound, codeUnknownJob, "There is no such job, or no such run of it. /api/v1/jobs lists the jobs.").
			zh("没有这个作业，或者它没有这次运行。作业列表见 /api/v1/jobs。").write(w)
	case errors.As(err, &refusal):
		problem(http.StatusConflict, codeRefusedOrder, asSentence(refusal.Message)).zh("未予执行：" + asSentence(refusal.Message)).write(w)
	default:
		d.p.log.Error("the jobs cannot be read or changed", "route", routeOf(r), "error", err)
		problem(http.StatusServiceUnavailable, codeUnavailable, "The jobs cannot be reached at the moment. Try again shortly; /readyz says what is missing.").
			zh("暂时无法访问作业，请稍后再试；/readyz 会说明缺什么。").write(w)
	}
}

// asSentence is a message with a capital and a full stop.
func asSentence(message string) string {
	first, size := utf8.DecodeRuneInString(message)
	message = strings.ToUpper(string(first)) + message[size:]
	if strings.HasSuffix(message, ".") {
		return message
	}
	return message + "."
}

// oneOf answers a parameter that is none of what it may be.
func oneOf(name string, valid []string) *Problem {
	p := badParameter(name + " is one of " + strings.Join(valid, ", ") + ".").zh(name + " 须为以下之一：" + strings.Join(valid, "、") + "。")
	p.Names = valid
	return p
}

// numberOf reads a number of a query.
func numberOf(w http.ResponseWriter, text, name string, otherwise, least, most int) (int, bool) {
	if text == "" {
		return otherwise, true
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < least || n > most {
		badParameter(fmt.Sprintf("%s is a number from %d to %d.", name, least, most)).zh(fmt.Sprintf("%s 须为 %d 到 %d 之间的整数。", name, least, most)).write(w)
		return 0, false
	}
	return n, true
}
