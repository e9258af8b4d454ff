package portal

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	briefRuns       = 20  // that a job's bars show
	mostHistories   = 128 // I10: jobs whose newest runs are kept; some 150 kB each at most
	historiesAtOnce = 4
	blocksPerLane   = 480 // what is closer together than a part of this size of the window cannot be told apart
)

// briefRun is what is kept of a run.
type briefRun struct {
	id, outcome            string
	due, started, finished time.Time
}

// histories keeps the newest runs of the jobs that people look at. What is kept of a job holds until one of its runs stands
// differently: so a page that asks every few seconds costs the ledger what has changed.
type histories struct {
	runs JobRuns
	turn chan struct{}

	mu    sync.Mutex
	kept  map[string]history
	order []string // least recently used first
}

type history struct {
	stamp string
	most  int // runs that were asked for
	runs  []briefRun
}

func newHistories(runs JobRuns) *histories {
	return &histories{runs: runs, turn: make(chan struct{}, historiesAtOnce), kept: map[string]history{}}
}

// stamp changes whenever a run of the job stands differently.
func (j *Job) stamp() string {
	var b strings.Builder
	note := func(r *JobRun) {
		b.WriteString(r.ID + " " + r.Outcome + " " + strconv.FormatUint(r.Event, 10) + "/" + strconv.Itoa(r.Attempt) + "\n")
	}
	if j.Last != nil {
		note(j.Last)
	}
	b.WriteString(strconv.Itoa(j.Running) + " " + strconv.Itoa(j.Waiting) + "\n")
	for i := range j.Active {
		note(&j.Active[i])
	}
	return b.String()
}

// of are the newest runs of a job, the newest first; all that there are when they are fewer than most.
func (h *histories) of(ctx context.Context, j *Job, most int) ([]briefRun, error) {
	stamp := j.stamp()
	if runs, ok := h.get(j.Name, stamp, most); ok {
		return runs, nil
	}
	select {
	case h.turn <- struct{}{}:
		defer func() { <-h.turn }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	if runs, ok := h.get(j.Name, stamp, most); ok { // another has asked meanwhile
		return runs, nil
	}
	all, err := h.runs.Runs(ctx, j.Name, most)
	if err != nil {
		return nil, err
	}
	brief := make([]briefRun, len(all))
	for i, r := range all {
		brief[i] = briefRun{id: r.ID, outcome: r.Outcome, due: r.Due, started: orZero(r.Started), finished: orZero(r.Finished)}
	}
	h.put(j.Name, history{stamp, most, brief})
	return brief, nil
}

func orZero(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return *t
}

func (h *histories) get(name, stamp string, most int) ([]briefRun, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	kept, ok := h.kept[name]
	if !ok || kept.stamp != stamp || kept.most < most {
		return nil, false
	}
	h.used(name)
	return kept.runs[:min(most, len(kept.runs))], true
}

func (h *histories) put(name string, of history) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.kept[name] = of
	h.used(name)
	if len(h.order) > mostHistories {
		delete(h.kept, h.order[0])
		h.order = slices.Delete(h.order, 0, 1)
	}
}

// used notes that a job was looked at. h.mu is held.
func (h *histories) used(name string) {
	if i := slices.Index(h.order, name); i >= 0 {
		h.order = slices.Delete(h.order, i, i+1)
	}
	h.order = append(h.order, name)
}

// chosen are the jobs that a query names, with what of them is kept or asked for.
func (d *jobsDesk) chosen(w http.ResponseWriter, r *http.Request, most int, with func(j *Job, runs []briefRun)) bool {
	names := r.URL.Query()["job"]
	if len(names) > mostJobs {
		badParameter("At most " + strconv.Itoa(mostJobs) + " jobs can be asked for at a time.").zh("一次最多查询 " + strconv.Itoa(mostJobs) + " 个作业。").write(w)
		return false
	}
	all, err := d.jobs(r)
	if err != nil {
		d.fault(w, r, err)
		return false
	}
	jobs := make([]*Job, len(names))
	runs := make([][]briefRun, len(names))
	group, ctx := errgroup.WithContext(r.Context())
	group.SetLimit(historiesAtOnce)
	for i, name := range names {
		at, there := slices.BinarySearchFunc(all, name, func(j Job, name string) int { return strings.Compare(j.Name, name) })
		if !there {
			continue // it is gone since the page was made
		}
		jobs[i] = &all[at]
		group.Go(func() (err error) {
			runs[i], err = d.histories.of(ctx, jobs[i], most)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		if errors.Is(err, context.Canceled) && r.Context().Err() != nil {
			return false
		}
		d.fault(w, r, err)
		return false
	}
	for i, j := range jobs {
		if j != nil {
			with(j, runs[i])
		}
	}
	return true
}

func (d *jobsDesk) recent(w http.ResponseWriter, r *http.Request) {
	list := []RecentRuns{}
	now := d.p.o.now()
	ok := d.chosen(w, r, briefRuns, func(j *Job, runs []briefRun) {
		recent := RecentRuns{Job: j.Name, Runs: []RunBrief{}}
		for _, run := range slices.Backward(runs) {
			from, to := run.stretch(now)
			recent.Runs = append(recent.Runs, RunBrief{ID: run.id, Due: run.due, Outcome: run.outcome, Seconds: to.Sub(from).Seconds()})
		}
		list = append(list, recent)
	})
	if ok {
		reply(w, r, list)
	}
}

// stretch is from when to when a run was at work; a moment for one that made no attempt.
func (r *briefRun) stretch(now time.Time) (from, to time.Time) {
	switch {
	case r.started.IsZero() && !r.finished.IsZero():
		return r.finished, r.finished
	case r.started.IsZero():
		return r.due, r.due
	case r.outcome == RunRunning:
		return r.started, now
	case r.finished.Before(r.started): // it waits for another attempt
		return r.started, r.started
	}
	return r.started, r.finished
}

func (d *jobsDesk) timeline(w http.ResponseWriter, r *http.Request) {
	hours := 24
	switch r.URL.Query().Get("hours") {
	case "", "24":
	case "168":
		hours = 168
	default:
		oneOf("hours", []string{"24", "168"}).write(w)
		return
	}
	now := d.p.o.now()
	t := Timeline{From: now.Add(-time.Duration(hours) * time.Hour), To: now, Lanes: []Lane{}}
	ok := d.chosen(w, r, mostRuns, func(j *Job, runs []briefRun) { t.Lanes = append(t.Lanes, lane(j.Name, runs, t.From, t.To)) })
	if ok {
		reply(w, r, t)
	}
}

// severity orders outcomes by how much they want to be seen.
var severity = map[string]int{RunSkipped: 1, RunOK: 2, RunCancelled: 3, RunWaiting: 4, RunRunning: 5, RunFailed: 6}

// lane puts the runs of a job, the newest first, into a window. It has at most two blocks for each part that can be told
// apart, however many runs there are.
func lane(job string, runs []briefRun, from, to time.Time) Lane {
	l := Lane{Job: job, Blocks: []Block{}}
	if len(runs) == mostRuns {
		if oldest := runs[len(runs)-1].due; oldest.After(from) {
			l.Since = &oldest
		}
	}
	var blocks []Block
	for _, r := range runs {
		a, b := r.stretch(to)
		if b.Before(from) || a.After(to) {
			continue
		}
		block := Block{From: later(a, from), To: earlier(b, to), Outcome: r.outcome, Runs: 1, Run: r.id}
		if r.outcome == RunFailed {
			block.Failed = 1
		}
		blocks = append(blocks, block)
	}
	slices.SortStableFunc(blocks, func(a, b Block) int { return a.From.Compare(b.From) })
	part := to.Sub(from) / blocksPerLane
	for _, b := range blocks {
		last := len(l.Blocks) - 1
		if last >= 0 && b.From.Sub(l.Blocks[last].To) < part && (b.Outcome == l.Blocks[last].Outcome || b.To.Sub(l.Blocks[last].From) < part) {
			l.Blocks[last].join(b)
			continue
		}
		l.Blocks = append(l.Blocks, b)
	}
	return l
}

func (b *Block) join(next Block) {
	b.To = later(b.To, next.To)
	b.Runs += next.Runs
	b.Failed += next.Failed
	if severity[next.Outcome] >= severity[b.Outcome] {
		b.Outcome, b.Run = next.Outcome, next.Run
	}
}

func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}
