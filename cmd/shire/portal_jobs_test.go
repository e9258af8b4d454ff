package main

import (
	"bytes"
	"encoding/json"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/shirecounty/shire/jobs/ledger"
	"github.com/shirecounty/shire/portal"
)

// onLedgers runs a test on the ledger in memory and on the real one.
func onLedgers(t *testing.T, test func(t *testing.T, h *hall)) {
	t.Run("memory", func(t *testing.T) { test(t, newHall(t, &ledger.Memory{})) })
	t.Run("streams", func(t *testing.T) { test(t, newHall(t, streams(t))) })
}

func TestJobsOnThePortal(t *testing.T) {
	t.Parallel()
	onLedgers(t, func(t *testing.T, h *hall) {
		var list portal.JobList
		h.do("GET", "/api/v1/jobs", "").into(t, 200, &list)
		var names []string
		for _, j := range list.Items {
			names = append(names, j.Name+" "+j.State)
		}
		if got := strings.Join(names, ", "); list.Total != 6 || list.Matching != 6 || got != "after-daily never, alone never, broken never, daily never, night-report never, slow never" {
			t.Errorf("%d, %d: %s", list.Total, list.Matching, got)
		}
		h.signIn()

		// A run that ends well, with parameters.
		run := h.trigger("daily", `{"parameters":{"district":"east"}}`)
		ended := h.until(run.ID, (*portal.JobRun).Over)
		if ended.Outcome != portal.RunOK || ended.Attempt != 1 || ended.Cause != "hand" || ended.Counts["rows"] != 7 || ended.Parameters["district"] != "east" || ended.Started == nil || ended.Finished == nil {
			t.Errorf("%+v", ended)
		}
		var page portal.LogPage
		h.do("GET", "/api/v1/runs/"+url.PathEscape(run.ID)+"/log", "").into(t, 200, &page)
		if page.Total != 1 || page.Lines[0].Text != "district east" {
			t.Errorf("%+v", page)
		}

		// One that fails, and again after a person asked for another attempt.
		failed := h.until(h.trigger("broken", `{}`).ID, is(portal.RunFailed))
		if !strings.Contains(failed.Message, "no header") {
			t.Errorf("%+v", failed)
		}
		h.do("POST", "/api/v1/runs/"+url.PathEscape(failed.ID)+"/retry", `{}`).into(t, 200, nil)
		h.until(failed.ID, func(r *portal.JobRun) bool { return r.Outcome == portal.RunFailed && r.Attempt == 2 })

		// One that is stopped.
		slow := h.trigger("slow", `{}`)
		h.until(slow.ID, is(portal.RunRunning))
		h.do("GET", "/api/v1/jobs?state=running", "").into(t, 200, &list)
		if list.Matching != 1 || list.Items[0].Name != "slow" || list.Counts["running"] != 1 || list.Counts["failed"] != 1 || list.Items[0].State != "running" || list.Total != 6 {
			t.Errorf("%+v", list)
		}
		h.do("POST", "/api/v1/runs/"+url.PathEscape(slow.ID)+"/cancel", `{"reason":"not now"}`).into(t, 204, nil)
		h.until(slow.ID, is(portal.RunCancelled))

		// Pause, with the reason for everybody to see, and resume.
		h.do("POST", "/api/v1/jobs/night-report/pause", `{"reason":"moving house"}`).into(t, 204, nil)
		h.do("GET", "/api/v1/jobs?state=paused", "").into(t, 200, &list)
		if list.Matching != 1 || list.Items[0].Paused == nil || list.Items[0].Paused.Reason != "moving house" || list.Items[0].Next != nil || list.Items[0].State != portal.Paused {
			t.Errorf("%+v", list)
		}
		if a := h.do("POST", "/api/v1/jobs/night-report/pause", `{}`); a.Code != 409 {
			t.Errorf("paused twice: %d %s", a.Code, a.Body)
		}
		h.do("POST", "/api/v1/jobs/night-report/resume", `{}`).into(t, 204, nil)
		var j portal.Job
		h.do("GET", "/api/v1/jobs/night-report", "").into(t, 200, &j)
		if j.Paused != nil || j.Next == nil || j.Owner != "数据科 Data bureau" || j.Days != "workday" {
			t.Errorf("%+v", j)
		}

		// What is due next, of one and of all.
		var due []portal.JobDue
		h.do("GET", "/api/v1/jobs/next?job=daily&n=10", "").into(t, 200, &due)
		if len(due) != 10 || due[9].Due.Sub(due[0].Due) != 9*24*time.Hour {
			t.Errorf("%+v", due)
		}
		h.do("GET", "/api/v1/jobs/next?n=3", "").into(t, 200, &due)
		if len(due) != 3 || due[0].Due.After(due[1].Due) {
			t.Errorf("%+v", due)
		}

		// Histories, in full and in short.
		var runs portal.RunList
		h.do("GET", "/api/v1/jobs/broken/runs", "").into(t, 200, &runs)
		if len(runs.Items) != 1 || runs.Items[0].Attempt != 2 || runs.More {
			t.Errorf("%+v", runs)
		}
		h.do("GET", "/api/v1/jobs/broken/runs?outcome=ok", "").into(t, 200, &runs)
		if len(runs.Items) != 0 {
			t.Errorf("%+v", runs)
		}
		var recent []portal.RecentRuns
		h.do("GET", "/api/v1/runs/recent?job=broken&job=daily&job=gone", "").into(t, 200, &recent)
		if len(recent) != 2 || len(recent[0].Runs) != 1 || recent[0].Runs[0].Outcome != portal.RunFailed {
			t.Errorf("%+v", recent)
		}
		var line portal.Timeline
		h.do("GET", "/api/v1/runs/timeline?job=broken&job=slow&hours=168", "").into(t, 200, &line)
		if len(line.Lanes) != 2 || len(line.Lanes[0].Blocks) != 1 || line.Lanes[0].Blocks[0].Failed != 1 || line.Lanes[1].Blocks[0].Outcome != portal.RunCancelled || line.Lanes[1].Blocks[0].Run != slow.ID {
			t.Errorf("%+v", line)
		}
	})
}

func TestBackfillOnThePortal(t *testing.T) {
	t.Parallel()
	onLedgers(t, func(t *testing.T, h *hall) {
		h.signIn()
		const order = `{"from":"2026-03-01","to":"2026-03-08T06:00","most":3,"parameters":{"district":"west"}}`
		var plan portal.BackfillPlan
		h.do("POST", "/api/v1/jobs/daily/backfills/plan", order).into(t, 200, &plan)
		first := time.Date(2026, 2, 28, 22, 0, 0, 0, time.UTC) // six in the morning of the first of March
		if plan.Total != 7 || plan.Runs != 7 || len(plan.First) != 7 || !plan.First[0].Equal(first) || !plan.From.Equal(first.Add(-6*time.Hour)) {
			t.Errorf("%+v", plan)
		}
		var j portal.Job
		h.do("GET", "/api/v1/jobs/daily", "").into(t, 200, &j)
		if len(j.Backfills) != 0 || len(j.Active) != 0 {
			t.Errorf("a plan has done something: %+v", j)
		}
		var b portal.JobBackfill
		h.do("POST", "/api/v1/jobs/daily/backfills", order).into(t, 200, &b)
		for end := time.Now().Add(patience); j.Backfills == nil || j.Backfills[0].Outcome == portal.RunRunning; time.Sleep(20 * time.Millisecond) {
			if h.do("GET", "/api/v1/jobs/daily", "").into(t, 200, &j); time.Now().After(end) {
				t.Fatalf("%+v", j.Backfills)
			}
		}
		if got := j.Backfills[0]; got.ID != b.ID || got.Outcome != portal.RunOK || got.Outcomes["ok"] != 7 || got.Passed != 7 || got.Most != 3 || got.Parameters["district"] != "west" {
			t.Errorf("%+v", got)
		}
		h.do("POST", "/api/v1/jobs/daily/backfills/plan", `{"from":"2026-03-01","to":"2026-03-09","only":"none"}`).into(t, 200, &plan)
		if plan.Total != 8 || plan.Runs != 1 {
			t.Errorf("%+v", plan)
		}
		if a := h.do("POST", "/api/v1/jobs/daily/backfills/"+b.ID+"/pause", `{}`); a.Code != 409 {
			t.Errorf("one that has ended is paused: %d %s", a.Code, a.Body)
		}
		// One at a time, paused and cancelled.
		h.do("POST", "/api/v1/jobs/alone/backfills", `{"from":"2025-01-01","to":"2026-01-01"}`).into(t, 200, &b)
		for _, do := range []string{"pause", "resume", "cancel"} {
			h.do("POST", "/api/v1/jobs/alone/backfills/"+b.ID+"/"+do, `{}`).into(t, 204, nil)
			h.do("GET", "/api/v1/jobs/alone", "").into(t, 200, &j)
			if got := j.Backfills[0]; got.Paused != (do == "pause") || (got.Outcome == portal.RunCancelled) != (do == "cancel") || got.Total != 365 {
				t.Errorf("after %s: %+v", do, got)
			}
		}
	})
}

// Every order and every log is for operators alone, from the portal's own page alone; what people and programs wrote
// freely is shown to nobody else.
func TestWhoMayOperateJobs(t *testing.T) {
	t.Parallel()
	h := newHall(t, &ledger.Memory{})
	h.signIn()
	failed := h.until(h.trigger("broken", `{"parameters":{"for":"`+secretWord+`"}}`).ID, is(portal.RunFailed))
	id := "/api/v1/runs/" + url.PathEscape(failed.ID)
	orders := map[string]string{
		"/api/v1/jobs/daily/run": `{}`, "/api/v1/jobs/daily/pause": `{}`, "/api/v1/jobs/daily/resume": `{}`, "/api/v1/jobs/daily/backfills": `{"from":"2026-03-01","to":"2026-03-03"}`,
		"/api/v1/jobs/daily/backfills/plan": `{"from":"2026-03-01","to":"2026-03-03"}`, "/api/v1/jobs/daily/backfills/abc/cancel": `{}`, id + "/cancel": `{}`, id + "/retry": `{}`,
	}
	standing := func() string { // without what only operators see
		var list portal.JobList
		h.do("GET", "/api/v1/jobs", "").into(t, 200, &list)
		text, _ := json.Marshal(list)
		return string(text)
	}
	before := standing()
	for path, body := range orders {
		for what, headers := range map[string][]string{
			"without the header":         {"X-Shire-Jobs", ""},
			"from another site":          {"Sec-Fetch-Site", "cross-site"},
			"with a foreign origin":      {"Sec-Fetch-Site", "", "Origin", "http://evil.example"},
			"with no origin at all":      {"Sec-Fetch-Site", ""},
			"with the reviewers' header": {"X-Shire-Jobs", "", "X-Shire-Review", "1"},
		} {
			if a := h.do("POST", path, body, headers...); a.Code != 403 {
				t.Errorf("%s %s: %d %s", path, what, a.Code, a.Body)
			}
		}
		if a := h.do("GET", path, ""); a.Code != 405 {
			t.Errorf("GET %s: %d", path, a.Code)
		}
	}
	h.signOut()
	closed := []*answer{h.do("GET", id+"/log", ""), h.do("GET", id+"/log/stream", ""), h.do("GET", "/api/v1/operators/session", "")}
	for path, body := range orders {
		closed = append(closed, h.do("POST", path, body), h.do("POST", path, body, "Cookie", "shire_jobs=abc"), h.do("POST", path, body, "Cookie", "shire_review=abc"))
	}
	for i, a := range closed {
		var p portal.Problem
		if a.into(t, 401, &p); p.Code != "signed_out" || p.DetailZh == "" {
			t.Errorf("%d: %s", i, a.Body)
		}
	}
	if after := standing(); after != before {
		t.Errorf("something was done all the same:\n%s\n%s", before, after)
	}
	for _, path := range []string{"/api/v1/jobs", "/api/v1/jobs/broken", "/api/v1/jobs/daily", "/api/v1/jobs/broken/runs", id, "/api/v1/runs/recent?job=broken", "/api/v1/runs/timeline?job=broken"} {
		a := h.do("GET", path, "").into(t, 200, nil)
		if bytes.Contains(a.Body, []byte(secretWord)) || bytes.Contains(a.Body, []byte("district")) || bytes.Contains(a.Body, []byte(`"parameters"`)) {
			t.Errorf("%s shows parameters to everybody: %s", path, a.Body)
		}
	}
	// Whoever is removed is out at once.
	h.signIn()
	h.do("GET", id+"/log", "").into(t, 200, nil)
	if err := h.accounts.Remove(h.operator.name); err != nil {
		t.Fatal(err)
	}
	if a := h.do("POST", "/api/v1/jobs/daily/run", `{}`); a.Code != 401 {
		t.Errorf("%d %s", a.Code, a.Body)
	}
	for _, personal := range []string{secretWord, h.operator.name, h.operator.password} {
		if strings.Contains(h.log.String(), personal) {
			t.Errorf("the log says %q: %s", personal, h.log)
		}
	}
}

// What is asked for wrongly is told in a sentence of both languages, and never repeated (I7).
func TestWrongQuestionsAboutJobs(t *testing.T) {
	t.Parallel()
	h := newHall(t, &ledger.Memory{})
	h.signIn()
	const wrong = secretWord
	many := "/api/v1/runs/recent?job=x" + strings.Repeat("&job=x", 200)
	for _, c := range []struct {
		method, path, body string
		code               int
	}{
		{"GET", "/api/v1/jobs?state=" + wrong, "", 400}, {"GET", "/api/v1/jobs?sort=" + wrong, "", 400}, {"GET", "/api/v1/jobs?limit=0", "", 400}, {"GET", "/api/v1/jobs?limit=201", "", 400},
		{"GET", "/api/v1/jobs?offset=-1", "", 400}, {"GET", "/api/v1/jobs?q=" + strings.Repeat("x", 65), "", 400}, {"GET", "/api/v1/jobs/" + wrong, "", 404},
		{"GET", "/api/v1/jobs/next?n=0", "", 400}, {"GET", "/api/v1/jobs/next?job=" + wrong, "", 404}, {"GET", "/api/v1/jobs/daily/runs?outcome=" + wrong, "", 400},
		{"GET", "/api/v1/jobs/" + wrong + "/runs", "", 404}, {"GET", "/api/v1/runs/" + wrong, "", 404}, {"GET", "/api/v1/runs/daily@" + wrong, "", 404}, {"GET", "/api/v1/runs/daily@" + wrong + "/log", "", 404},
		{"GET", "/api/v1/runs/daily@" + wrong + "/log/stream", "", 404}, {"GET", "/api/v1/runs/timeline?job=daily&hours=" + wrong, "", 400}, {"GET", many, "", 400},
		{"POST", "/api/v1/jobs/" + wrong + "/run", `{}`, 404}, {"POST", "/api/v1/jobs/daily/run", ``, 400}, {"POST", "/api/v1/jobs/daily/run", `{"parametres":{}}`, 400},
		{"POST", "/api/v1/jobs/daily/run", `{"parameters":{"` + wrong + `":"x"}}`, 400}, {"POST", "/api/v1/jobs/daily/run", `{"parameters":{"county":"x"}}`, 400},
		{"POST", "/api/v1/jobs/daily/run", `{"parameters":{"district":"a\nb"}}`, 400}, {"POST", "/api/v1/jobs/daily/run", `{"parameters":{"district":"` + strings.Repeat("x", 1001) + `"}}`, 400},
		{"POST", "/api/v1/jobs/daily/run", `{"parameters":{"district":"{{nothing}}"}}`, 409},
		{"POST", "/api/v1/jobs/daily/pause", `{"reason":"` + strings.Repeat("长", 201) + `"}`, 400}, {"POST", "/api/v1/jobs/daily/pause", `{"reason":"a\u001b[31mb"}`, 400}, {"POST", "/api/v1/jobs/daily/resume", `{}`, 409},
		{"POST", "/api/v1/runs/daily@" + wrong + "/cancel", `{}`, 404}, {"POST", "/api/v1/runs/daily@" + wrong + "/retry", `{}`, 404},
		{"POST", "/api/v1/jobs/slow/backfills", `{"from":"2026-03-01"}`, 409}, {"POST", "/api/v1/jobs/daily/backfills", `{"from":"` + wrong + `"}`, 400}, {"POST", "/api/v1/jobs/daily/backfills", `{}`, 400},
		{"POST", "/api/v1/jobs/daily/backfills", `{"from":"2026-03-02","to":"2026-03-01"}`, 400}, {"POST", "/api/v1/jobs/daily/backfills", `{"from":"2026-03-01","to":"2999-03-02"}`, 400},
		{"POST", "/api/v1/jobs/daily/backfills", `{"from":"2026-03-01","to":"2026-03-05","only":"` + wrong + `"}`, 400}, {"POST", "/api/v1/jobs/daily/backfills", `{"from":"2026-03-01","to":"2026-03-05","most":101}`, 400},
		{"POST", "/api/v1/jobs/alone/backfills", `{"from":"2026-03-01","to":"2026-03-05","most":2}`, 409}, {"POST", "/api/v1/jobs/daily/backfills/plan", `{"from":"0001-01-01","to":"2026-03-05"}`, 409},
		{"POST", "/api/v1/jobs/daily/backfills", `{"from":"2026-03-01T07:00","to":"2026-03-01T08:00"}`, 409}, {"POST", "/api/v1/jobs/daily/backfills/abc/" + wrong, `{}`, 404}, {"POST", "/api/v1/jobs/daily/backfills/" + wrong + "/pause", `{}`, 409},
	} {
		var p portal.Problem
		a := h.do(c.method, c.path, c.body)
		if a.Code != c.code {
			t.Errorf("%s %.80s %.80s: %d, want %d: %s", c.method, c.path, c.body, a.Code, c.code, a.Body)
			continue
		}
		a.into(t, c.code, &p)
		if !strings.HasSuffix(p.Detail, ".") || p.DetailZh == "" || a.Header.Get("Content-Type") != "application/problem+json" || bytes.Contains(a.Body, []byte(wrong)) {
			t.Errorf("%s %s: %s", c.method, c.path, a.Body)
		}
	}
	var list portal.JobList
	h.do("GET", "/api/v1/jobs", "").into(t, 200, &list)
	for _, j := range list.Items {
		if j.State != "never" || len(j.Backfills) > 0 {
			t.Errorf("something was done all the same: %+v", j)
		}
	}
}

// On a node that runs, an operator whom the command line let in runs a job on the portal; the command line and the warehouse
// know the same run.
func TestPortalJobsOfANode(t *testing.T) {
	t.Parallel()
	needEngine(t)
	d := newJobsDesk(t)
	d.write("drop/visits-1.csv", deskHeader)
	var added struct{ Password string }
	envelopeOf(t, d.shire("jobs", "operators", "add", "李梅", "--json").ok(t), &added)
	up := start(t, "up", "-c", filepath.Join(d.dir, "county.yaml"), "--data", d.data)
	up.WaitFor("Shire serves")
	h := &hall{t: t, url: served.FindStringSubmatch(up.Output())[1]}
	h.operator.name, h.operator.password = "李梅", added.Password
	h.signOut()
	if a := h.do("POST", "/api/v1/jobs/pull/run", `{}`); a.Code != 401 {
		t.Errorf("%d %s", a.Code, a.Body)
	}
	h.signIn()
	h.eventually("the ledger is open", func() bool { return h.do("GET", "/api/v1/jobs", "").Code == 200 })
	run := h.until(h.trigger("pull", `{}`).ID, (*portal.JobRun).Over)
	if run.Outcome != portal.RunOK || run.Cause != "hand" {
		t.Errorf("%+v", run)
	}
	var page portal.LogPage
	if h.do("GET", "/api/v1/runs/"+url.PathEscape(run.ID)+"/log", "").into(t, 200, &page); page.Total == 0 {
		t.Errorf("%+v", page)
	}
	if r := d.shire("jobs", "history", "pull").ok(t); !strings.Contains(r.Stdout, run.ID) {
		t.Errorf("%v", r)
	}
	h.do("POST", "/api/v1/jobs/nightly/pause", `{"reason":"the department moves"}`).into(t, 204, nil)
	if r := d.shire("jobs", "list", "nightly").ok(t); !strings.Contains(r.Stdout, "the department moves") {
		t.Errorf("%v", r)
	}
	h.eventually("ops.runs has the run", func() bool {
		return query(t, d.data, "SELECT count() FROM ops.runs WHERE outcome = 'ok' AND run_id = '"+run.ID+"'")[0][0] == float64(1)
	})
	if out := up.Output(); strings.Contains(out, h.operator.name) {
		t.Errorf("the node says who operates: %s", out)
	}
	if stopped := up.Stop(); stopped.Code != exitOK {
		t.Errorf("%v", stopped)
	}
}
