package portal

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// The routes are tested against a scheduler that runs, beside the command that puts the two together (cmd/shire). Here is
// what can be told without one.

// unasked has the parts of JobsOptions and answers nothing.
type unasked struct {
	listing
	JobRuns
	JobOrders
	JobBackfills
}

type listing interface{ Jobs } // its own method is called Jobs too

func withJobs(o *Options) {
	var u unasked
	o.Jobs = &JobsOptions{Jobs: u, Runs: u, Orders: u, Backfills: u, Operators: newReviewers()}
}

func TestNoJobsUnlessShown(t *testing.T) {
	w := newWorld(t)
	for _, target := range []string{"/api/v1/jobs", "/api/v1/jobs/x", "/api/v1/jobs/next", "/api/v1/runs/x", "/api/v1/operators/session"} {
		if p := decode[Problem](t, w.get(target)); p.Status != 404 || p.Code != codeJobsOff && strings.HasPrefix(target, "/api/v1/jobs") {
			t.Errorf("%s: %+v", target, p)
		}
	}
	if r := w.get("/jobs"); r.Code != 404 || decode[County](t, w.get("/api/v1/county")).Jobs {
		t.Error("the county says that there are jobs")
	}
	w = newWorld(t, withJobs)
	if r := w.get("/jobs"); r.Code != 200 || !strings.HasPrefix(r.Header().Get("Content-Type"), "text/html") || !decode[County](t, w.get("/api/v1/county")).Jobs {
		t.Errorf("%d %v", r.Code, r.Header())
	}
	o := Options{County: testCounty, Figures: &fakeFigures{}, Flow: &fakeFlow{}, Definitions: definitions(), Jobs: &JobsOptions{Jobs: unasked{}, Runs: unasked{}, Orders: unasked{}, Backfills: unasked{}}}
	if _, err := New(o); err == nil {
		t.Error("jobs without operators: everybody could operate them")
	}
}

// Each operation is described; whatever changes something is behind the door and asks for the header.
func TestOpenAPIOfJobs(t *testing.T) {
	w := newWorld(t, withJobs)
	paths := w.OpenAPI()["paths"].(map[string]any)
	closed := []string{"/api/v1/runs/{id}/log", "/api/v1/runs/{id}/log/stream", "/api/v1/operators/session"}
	orders := 0
	for _, r := range w.routes {
		operation, ok := paths[r.Path].(map[string]any)[strings.ToLower(r.method())].(map[string]any)
		if !ok || operation["operationId"] != r.ID {
			t.Errorf("%s %s is not described", r.method(), r.Path)
		}
		if r.method() == http.MethodGet {
			if slices.Contains(closed, r.Path) != (r.Door == jobsCookie) {
				t.Errorf("%s is behind the wrong door %q", r.Path, r.Door)
			}
			continue
		}
		orders++
		if !slices.ContainsFunc(r.Parameters, func(p parameter) bool { return p.Name == jobsHeader }) {
			t.Errorf("%s %s changes something and does not ask for %s", r.method(), r.Path, jobsHeader)
		}
		if !strings.HasSuffix(r.Path, "/session") && (r.Door != jobsCookie || operation["security"] == nil) {
			t.Errorf("%s %s is open to everybody", r.method(), r.Path)
		}
	}
	if orders != 10 {
		t.Errorf("%d operations change something", orders)
	}
	body := w.get("/openapi.json").Body.String()
	for reference := range strings.SplitSeq(body, `"$ref":"`) {
		name, found := strings.CutPrefix(reference, "#/components/schemas/")
		if name, _, _ = strings.Cut(name, `"`); found && !strings.Contains(body, `"`+name+`":{`) {
			t.Errorf("the schema %s is missing", name)
		}
	}
	if !strings.Contains(body, `"`+jobsCookie+`":{"in":"cookie"`) {
		t.Error("the cookie is not described")
	}
}

// The two doors are two: a cookie of one opens nothing of the other.
func TestDoorsAreApart(t *testing.T) {
	v := newReview(t, withJobs)
	v.signIn(testReviewer, "only-for-tests")
	if r := v.do("GET", "/api/v1/operators/session", "", "Cookie", jobsCookie+"="+v.cookie); r.Code != 401 {
		t.Errorf("a reviewer's session operates jobs: %d", r.Code)
	}
	r := v.do("POST", "/api/v1/operators/session", fmt.Sprintf(`{"name":%q,"password":"only-for-tests"}`, testReviewer), jobsHeader, "1")
	if r.Code != 200 || len(r.Result().Cookies()) != 1 {
		t.Fatalf("%d %s", r.Code, r.Body)
	}
	cookie := r.Result().Cookies()[0]
	if cookie.Name != "shire_jobs" || cookie.Path != "/api/v1/" || !cookie.HttpOnly || cookie.SameSite != http.SameSiteStrictMode {
		t.Errorf("%+v", cookie)
	}
	if r := v.do("GET", "/api/v1/review/queue", "", "Cookie", reviewCookie+"="+cookie.Value); r.Code != 401 {
		t.Errorf("an operator's session shows personal data: %d", r.Code)
	}
	if r := v.do("POST", "/api/v1/operators/session", `{}`); r.Code != 403 {
		t.Errorf("the reviewers' header is taken for the operators': %d", r.Code)
	}
}

// However the runs of a job lie, its lane has each of them in the window in one block, blocks in their order and apart, and
// no more of them than can be told apart.
func TestLane(t *testing.T) {
	to := time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)
	rapid.Check(t, func(t *rapid.T) {
		hours := rapid.SampledFrom([]int{24, 168}).Draw(t, "hours")
		from := to.Add(-time.Duration(hours) * time.Hour)
		n := rapid.IntRange(0, mostRuns).Draw(t, "n")
		step := rapid.IntRange(1, 2000).Draw(t, "step") // seconds
		runs := make([]briefRun, 0, n)
		in, failed := 0, 0
		for i := range n { // the newest first
			r := briefRun{id: fmt.Sprint(i), outcome: rapid.SampledFrom(runOutcomes).Draw(t, "outcome"), due: to.Add(-time.Duration(i*step) * time.Second)}
			if r.outcome != RunWaiting && r.outcome != RunSkipped {
				r.started = r.due.Add(time.Duration(rapid.IntRange(0, 100).Draw(t, "late")) * time.Second)
			}
			if r.outcome != RunWaiting && r.outcome != RunRunning {
				r.finished = r.due.Add(time.Duration(100+rapid.IntRange(0, 4000).Draw(t, "took")) * time.Second)
			}
			runs = append(runs, r)
			if a, b := r.stretch(to); !b.Before(from) && !a.After(to) {
				in++
				if r.outcome == RunFailed {
					failed++
				}
			}
		}
		l := lane("j", runs, from, to)
		if len(l.Blocks) > 2*blocksPerLane+2 {
			t.Fatalf("%d blocks", len(l.Blocks))
		}
		for i, b := range l.Blocks {
			in, failed = in-b.Runs, failed-b.Failed
			if b.From.Before(from) || b.To.After(to) || b.To.Before(b.From) || b.Runs < 1 || b.Failed > b.Runs || b.Run == "" {
				t.Fatalf("%+v", b)
			}
			if (b.Outcome == RunFailed) != (b.Failed > 0) {
				t.Fatalf("a failure is hidden: %+v", b)
			}
			if i > 0 && b.From.Before(l.Blocks[i-1].From) {
				t.Fatalf("%+v before %+v", b, l.Blocks[i-1])
			}
		}
		if in != 0 || failed != 0 {
			t.Fatalf("%d runs and %d failures are in no block, or in two", in, failed)
		}
		if oldest := len(runs) - 1; (l.Since != nil) != (n == mostRuns && runs[oldest].due.After(from)) {
			t.Fatalf("since %v", l.Since)
		}
	})
}

// Runs that alternate as quickly as can be make no more blocks than can be told apart (I10).
func TestLaneIsBounded(t *testing.T) {
	to := time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)
	runs := make([]briefRun, mostRuns)
	for i := range runs {
		at := to.Add(-time.Duration(i*86) * time.Second)
		runs[i] = briefRun{id: fmt.Sprint(i), outcome: runOutcomes[2+i%2], due: at, started: at, finished: at.Add(time.Second)}
	}
	if n := len(lane("j", runs, to.Add(-24*time.Hour), to).Blocks); n > blocksPerLane {
		t.Errorf("%d blocks", n)
	}
}

// What is kept is asked for once, holds for its time, and is forgotten when something was changed, also while it is asked for.
func TestKept(t *testing.T) {
	now := time.Unix(0, 0)
	k := newKept[int](func() time.Time { return now }, 2*time.Second, 3)
	var asked atomic.Int64
	begun := make(chan struct{}, 8)
	gates := []chan struct{}{1: make(chan struct{}), make(chan struct{}), make(chan struct{}), make(chan struct{})}
	ask := func(context.Context) (int, error) {
		n := asked.Add(1)
		begun <- struct{}{}
		<-gates[n]
		return int(n), nil
	}
	get := func() int {
		v, err := k.get(t.Context(), "", ask)
		if err != nil {
			t.Error(err)
		}
		return v
	}
	var first, second sync.WaitGroup
	isAsked := func() {
		select {
		case <-begun:
		case <-time.After(20 * time.Second):
			t.Error("nobody asks")
		}
	}
	first.Go(func() { get() })
	isAsked()
	k.forget() // something was changed after the question
	second.Go(func() { get() })
	isAsked()
	close(gates[2])
	second.Wait()
	close(gates[1]) // the answer from before the change comes last
	first.Wait()
	close(gates[3])
	close(gates[4])
	if v := get(); v != 2 || asked.Load() != 2 {
		t.Errorf("what was asked for before the change is told after it: %d of %d", v, asked.Load())
	}
	if now = now.Add(3 * time.Second); get() != 3 {
		t.Error("it is kept too long")
	}
	if now = now.Add(-time.Hour); get() != 4 {
		t.Error("a clock that went back keeps it for an hour")
	}
	for i := range 100 {
		k.get(t.Context(), fmt.Sprint(i), func(context.Context) (int, error) { return i, nil })
	}
	if len(k.entries) > 3 {
		t.Errorf("%d are kept (I10)", len(k.entries))
	}
}

// countedRuns counts what it is asked.
type countedRuns struct {
	JobRuns
	asked int
}

func (c *countedRuns) Runs(_ context.Context, job string, most int) ([]JobRun, error) {
	c.asked++
	return make([]JobRun, min(most, 30)), nil
}

// The ledger is asked again for a job when one of its runs stands differently, and only then.
func TestHistories(t *testing.T) {
	c := &countedRuns{}
	h := newHistories(c)
	j := &Job{Name: "a", Last: &JobRun{ID: "a@1", Outcome: RunOK, Event: 3}}
	ask := func(most, want int) {
		t.Helper()
		if runs, err := h.of(t.Context(), j, most); err != nil || len(runs) != min(most, 30) || c.asked != want {
			t.Errorf("%d runs, asked %d times, want %d: %v", len(runs), c.asked, want, err)
		}
	}
	ask(20, 1)
	ask(20, 1)
	ask(mostRuns, 2)
	ask(20, 2)
	j.Active = []JobRun{{ID: "a@2", Outcome: RunWaiting, Event: 1}}
	ask(20, 3)
	j.Active[0].Outcome, j.Active[0].Attempt = RunRunning, 1
	ask(20, 4)
	j.Last, j.Active = &JobRun{ID: "a@2", Outcome: RunFailed, Event: 2}, nil
	ask(20, 5)
	for i := range 3 * mostHistories {
		if _, err := h.of(t.Context(), &Job{Name: fmt.Sprint(i)}, 20); err != nil {
			t.Fatal(err)
		}
	}
	if len(h.kept) != mostHistories || len(h.order) != mostHistories {
		t.Errorf("%d are kept (I10)", len(h.kept))
	}
}

// A job is listed by what it does, and has no more runs with it than can be looked at (I10).
func TestJobState(t *testing.T) {
	paused, failed := &JobPause{}, &JobRun{Outcome: RunFailed}
	for _, c := range []struct {
		job   Job
		state string
		is    string
	}{
		{Job{}, "never", ""}, {Job{Last: failed}, RunFailed, "failed"}, {Job{Last: failed, Paused: paused}, Paused, "failed paused"},
		{Job{Paused: paused, Active: []JobRun{{Outcome: RunWaiting}}}, RunWaiting, "waiting paused"},
		{Job{Last: failed, Active: []JobRun{{Outcome: RunWaiting}, {Outcome: RunRunning}}}, RunRunning, "running waiting failed"},
		{Job{Active: make([]JobRun, 500), Silent: &time.Time{}}, RunWaiting, "waiting silent"},
	} {
		n := len(c.job.Active)
		c.job.settle()
		var is []string
		for _, f := range jobFilters {
			if c.job.is(f) {
				is = append(is, f)
			}
		}
		if got := strings.Join(is, " "); c.job.State != c.state || got != c.is || c.job.Running+c.job.Waiting != n || len(c.job.Active) > mostActive {
			t.Errorf("%s (%s), want %s (%s)", c.job.State, got, c.state, c.is)
		}
	}
}
