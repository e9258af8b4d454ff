package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/shirecounty/shire/jobs"
	"github.com/shirecounty/shire/jobs/ledger"
	"github.com/shirecounty/shire/portal/browsertest"
)

// A data engineer operates jobs on the portal, in both languages: sees one fail, runs one and reads what it prints while it
// goes on, sees it end, pauses and resumes, and fills a week of the past.
func TestJobsInTheBrowser(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ language, failed, runNow string }{{"zh-CN", "失败", "立即运行"}, {"en", "failed", "Run now"}} {
		t.Run(c.language, func(t *testing.T) {
			h := newHall(t, &ledger.Memory{})
			h.signIn()
			h.until(h.trigger("broken", `{}`).ID, is("failed"))
			b := h.browse(t, "/jobs?lang="+c.language)
			b.Wait("six jobs are listed", `document.querySelectorAll("[data-job]").length === 6`)
			b.Wait("the one that failed says so, and why", fmt.Sprintf(`["%s", "no header"].every((x) => document.querySelector('[data-job="broken"]').innerText.includes(x))`, c.failed))
			b.Wait("its run has a bar", `document.querySelector('[data-job="broken"] .bars .run-failed')`)
			b.Wait("what is next is told", `document.querySelectorAll(".coming li").length > 3`)
			b.Picture("list")
			b.Click(`[data-job="slow"] .job-link`)
			b.Wait("the job opens and its title takes the focus", `document.activeElement.id === "job-title" && document.querySelector(".facts")`)

			// Who has not signed in is asked to; then what was wanted can be done.
			b.Click(".job-actions .primary")
			b.Wait("the name is asked for", `document.activeElement?.name === "name"`)
			b.Picture("signin")
			b.Write(h.operator.name)
			b.Press(browsertest.Tab)
			b.Write(h.operator.password)
			b.Press(browsertest.Enter)
			b.Wait("signed in", `document.querySelector(".who")`)
			b.TabTo(".job-actions .primary")
			b.Press(browsertest.Enter)
			b.Wait("it is asked before anything is done", `document.querySelector("dialog[open]")?.innerText.includes("`+c.runNow+`")`)
			b.Picture("confirm")
			b.Press(browsertest.Escape)
			b.Wait("Esc leaves it, and the focus comes back", `!document.querySelector("dialog[open]") && document.activeElement.matches(".job-actions .primary")`)
			b.Press(browsertest.Enter)
			b.Wait("the dialog is open again", `document.querySelector("dialog[open]")`)
			b.Click("dialog .primary")
			b.Wait("the run opens with the end of its log", `document.querySelector(".log-box")?.innerText.includes("line 1199")`)
			b.Reload()
			b.Wait("read anew, the end of the log is here", `document.querySelector(".log-box")?.innerText.includes("line 1199")`)
			b.Wait("not all of it", `!document.querySelector(".log-box")?.innerText.includes("line 10\n") && document.querySelector(".log-box button")`)
			b.Wait("the run is in the address", `location.search.includes("run=slow@")`)
			b.Click(".log-box button")
			b.Wait("what was before comes on request", `document.querySelectorAll(".log-line").length === 1000`)
			b.Picture("running")
			h.release()
			b.Wait("what is printed now comes by itself", `document.querySelector(".log-box").innerText.includes("the last line")`)
			b.Wait("the run is seen to end", `document.querySelector(".run .dot-good") && document.querySelector("[data-run] .dot-good")`)
			b.Picture("ended")

			// Pause, with a reason, and resume.
			b.Click(".job-actions button:nth-child(2)")
			b.Wait("it is asked why", `document.querySelector("dialog[open] input[name=reason]")`)
			b.TabTo("dialog input[name=reason]")
			b.Write("the hall moves house")
			b.Press(browsertest.Enter)
			b.Wait("the job is paused, and says why", `document.querySelector(".facts q")?.innerText === "the hall moves house"`)
			b.Picture("paused")
			b.Click(".job-actions button:nth-child(2)")
			b.Wait("it is resumed", `!document.querySelector(".facts q")`)

			// A backfill: the plan first, then the work.
			b.Click(".trail button")
			b.Click(`[data-job="daily"] .job-link`)
			b.Wait("another job opens", `document.querySelector("#job-title").innerText === "daily"`)
			b.Wait("its parameters are shown to an operator", `document.querySelector(".parameters")?.innerText.includes("district")`)
			b.Click(".job-actions button:nth-child(3)")
			b.Wait("the form takes the focus", `document.activeElement.name === "from"`)
			b.Text(`(() => { for (const [name, value] of [["from", "2026-03-01T00:00"], ["to", "2026-03-08T00:00"], ["most", "2"]]) { const i = document.querySelector(".backfill-form [name=" + name + "]"); i.value = value; i.dispatchEvent(new Event("input", { bubbles: true })) } })()`)
			b.TabTo(".backfill-form button")
			b.Press(browsertest.Enter)
			b.Wait("the plan is shown before anything is done", `document.querySelectorAll(".plan li").length === 7 && !document.querySelector("[data-backfill]")`)
			b.Picture("plan")
			b.Click(".plan .primary")
			b.Wait("the backfill is seen to its end", `document.querySelector("[data-backfill] .dot-good") && document.querySelector("[data-backfill] progress").value === 7`)
			b.Wait("its runs are in the history", `document.querySelectorAll(".run-table [data-run]").length === 7`)
			b.Picture("filled")
			b.Text(`document.querySelector(".history").scrollIntoView()`)
			b.Picture("history")
		})
	}
}

func (h *hall) browse(t *testing.T, path string) *browsertest.Browser {
	t.Helper()
	if body := string(h.do("GET", "/", "").Body); strings.Contains(body, "make web") {
		absent(t, "the web application has not been built: run make web")
	}
	b, err := browsertest.Open(t, h.url+path)
	if errors.Is(err, browsertest.ErrNoBrowser) {
		absent(t, "%v", err)
	}
	return b
}

// crowd is a hall of many jobs with a past, of which none runs.
func crowd(t *testing.T, n int) *hall {
	t.Helper()
	var definitions strings.Builder
	kinds := []string{"read-civil-affairs", "reconcile-health", "report-hall", "backup-night", "evaluate-gains"}
	when := []string{`every: 15m`, `schedule: "0 * * * *"`, `schedule: "30 2 * * *", days: workday`, `schedule: "10 1 * * *"`, `every: 6h`}
	owners := []string{"数据科 Data bureau", "民政局", "卫健局", "政务服务中心 Service hall", "运维 Operations"}
	for i := range n {
		fmt.Fprintf(&definitions, "  - {name: %s-%05d, %s, do: {read: log}, owner: %s}\n", kinds[i%5], i, when[i%5], owners[i%5])
	}
	set := hallSet(t, definitions.String(), func(string) jobs.WorkerFunc {
		return func(context.Context, jobs.Task, io.Writer) (jobs.Result, error) { return jobs.Result{}, nil }
	})
	h := &hall{t: t, ledger: &ledger.Memory{}, log: &transcript{}}
	now := time.Now()
	for i := range n {
		name := fmt.Sprintf("%s-%05d", kinds[i%5], i)
		j := set[name]
		state := jobs.State{}
		at, past := now.Add(-8*24*time.Hour), 0
		if i >= 200 {
			at = now.Add(-time.Hour)
		}
		for due, ok := j.DueTimes().Next(at); ok && due.At.Before(now); due, ok = j.DueTimes().Next(due.At) {
			took := time.Duration(20+(past*37+i*53)%240) * time.Second
			r := jobs.Run{ID: j.RunID(due.At), Job: name, Due: due.At, From: due.At.Add(-time.Hour), To: due.At, Cause: jobs.CauseSchedule, Outcome: jobs.OK, Attempt: 1, Created: due.At, Started: due.At, Finished: due.At.Add(took), Counts: map[string]uint64{"rows": uint64(past * 311)}, Event: 3}
			switch {
			case (past+i)%29 == 7:
				r.Outcome, r.Attempt, r.Message = jobs.Failed, 3, "the file 2026-11-25.csv has no header; ask the department for a new one"
			case (past+i)%41 == 9:
				r.Outcome, r.Message = jobs.Skipped, "the run before still goes on"
				r.Started, r.Finished = time.Time{}, due.At
			case (past+i)%53 == 3:
				r.Outcome, r.Message = jobs.Cancelled, "a person stopped it"
			}
			if err := h.ledger.Report(t.Context(), r); err != nil {
				t.Fatal(err)
			}
			past++
			state.Last = &r
			if r.Outcome == jobs.OK {
				state.LastOK = r.Finished
			}
		}
		switch i % 17 {
		case 5:
			state.Paused = &jobs.Pause{At: now.Add(-3 * time.Hour), Reason: "the department moves its server"}
		case 11:
			state.Active = []jobs.Run{{ID: j.RunID(now.Add(-4 * time.Minute)), Job: name, Due: now.Add(-4 * time.Minute), Cause: jobs.CauseSchedule, Outcome: jobs.Running, Attempt: 1, Started: now.Add(-4 * time.Minute)}}
		case 14:
			state.Silent = now.Add(-5 * time.Hour)
		}
		value, err := json.Marshal(state)
		if err == nil {
			_, err = h.ledger.Put(t.Context(), "job."+name, value, 0)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	h.open(set)
	return h
}

// Ten thousand jobs come page by page: the browser never holds more than one page of them.
func TestManyJobsInTheBrowser(t *testing.T) {
	t.Parallel()
	h := crowd(t, 10_000)
	b := h.browse(t, "/jobs?lang=en")
	rows := func(n int) string { return fmt.Sprintf(`document.querySelectorAll("[data-job]").length === %d`, n) }
	b.Wait("one page is shown", rows(50)+` && document.querySelector(".pager").innerText.includes("10,000")`)
	b.Wait("bars are drawn", `document.querySelectorAll(".bars rect").length > 100`)
	b.Picture("list")
	b.Text(`window.shift = 0, new PerformanceObserver((list) => { for (const e of list.getEntries()) window.shift += e.value }).observe({ type: "layout-shift", buffered: true })`)
	b.Wait("the page is read anew by itself", `performance.getEntriesByType("resource").filter((r) => r.name.includes("/api/v1/jobs?")).length > 1`)
	if shift := b.Text("window.shift < 0.05"); shift != "true" {
		t.Errorf("the page moves under the reader's eyes by %s", b.Text("window.shift"))
	}
	b.Click(".pager button:last-child")
	b.Wait("the second page", `location.search.includes("page=2") && document.querySelector(".pager").innerText.includes("51–100")`)
	b.Click(".jobs-controls .segments button:nth-child(5)")
	b.Wait("those that are paused", `location.search.includes("state=paused") && !location.search.includes("page") && [...document.querySelectorAll("[data-job]")].every((x) => x.innerText.includes("moves its server"))`)
	b.Picture("paused")
	b.Text(`document.querySelector(".jobs-controls input").focus()`)
	b.Write("health-00056")
	b.Wait("a search finds one", rows(1)+` && location.search.includes("q=health-00056")`)
	b.Text(`history.back()`)
	b.Wait("back goes to all that there were", rows(50))
	b.Click(".jobs-controls .segments button:first-child")
	b.Click(".jobs-controls .segments:last-child button:last-child")
	b.Wait("a timeline of the same page", `document.querySelectorAll("[data-lane]").length === 50 && document.querySelectorAll(".block").length > 20`)
	b.Picture("timeline_day")
	b.Click(".timeline .segments button:last-child")
	b.Wait("a week", `location.search.includes("hours=168") && document.querySelectorAll(".tick-day").length >= 6`)
	b.Picture("timeline_week")
	b.Click(".panel-tools button")
	b.Wait("the timeline as a table", `document.querySelectorAll(".timeline tbody tr").length === 50`)
	for _, language := range []string{"zh-CN", "en"} {
		for _, width := range []int64{1440, 390} {
			p := h.browse(t, "/jobs?lang="+language)
			p.Size(width, 1000)
			p.Wait("a page", rows(50))
			wide := func(what string) {
				p.Wait(what+" is no wider than the window", `document.documentElement.scrollWidth <= innerWidth`)
				p.Picture(fmt.Sprintf("%s_%d_%s", language, width, what))
			}
			p.Wait("bars are drawn", `document.querySelectorAll(".bars rect").length > 100`)
			wide("list")
			p.Dark(true)
			p.Wait("dark", `document.documentElement.dataset.palette === "dark"`)
			wide("dark")
			p.Dark(false)
			p.Click(".jobs-controls .segments:last-child button:last-child")
			p.Wait("lanes", `document.querySelectorAll(".block").length > 20`)
			wide("timeline")
			p.Click("[data-lane] .job-link")
			p.Wait("a job", `document.querySelectorAll("[data-run]").length > 3`)
			wide("job")
			p.Click("[data-run] .link")
			p.Wait("a run", `document.querySelector(".run-facts")`)
			wide("run")
		}
	}
}

// A county without jobs is told how to write one; one whose ledger cannot be read is told so, and what was read stays.
func TestSeldomStatesOfTheJobsPage(t *testing.T) {
	t.Parallel()
	h := &hall{t: t, ledger: &ledger.Memory{}, log: &transcript{}}
	h.open(jobs.Set{})
	b := h.browse(t, "/jobs?lang=en")
	b.Wait("what to write is said", `document.querySelector("pre.example")?.innerText.includes("schedule:")`)
	b.Picture("none")

	h = crowd(t, 3)
	away := &absentLedger{Ledger: h.ledger}
	h.desk.Ledger = away
	b = h.browse(t, "/jobs?lang=en&job=nothing")
	b.Wait("a job that is gone is said to be", `document.querySelector(".message h2")?.innerText.includes("nothing")`)
	b.Picture("gone")
	b.Click(".message .primary")
	b.Wait("the list", `document.querySelectorAll("[data-job]").length === 3`)
	away.away.Store(true)
	b.Wait("what cannot be read anew stays, and says since when", `document.querySelector(".stale") && document.querySelectorAll("[data-job]").length === 3`)
	b.Picture("stale")
	b.Reload()
	b.Wait("what cannot be read at all is a sentence", `document.querySelector(".message[role=alert]")?.innerText.includes("cannot be reached")`)
	b.Picture("failed")
	away.away.Store(false)
	b.Click(".message .primary")
	b.Wait("it comes back", `document.querySelectorAll("[data-job]").length === 3`)
}
