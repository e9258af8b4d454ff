package main

import (
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/shirecounty/shire/jobs"
)

// newJobsDesk is the county of one dataset, with jobs.
func newJobsDesk(t *testing.T) *desk {
	t.Helper()
	d := newDesk(t)
	d.write("county.yaml", deskCounty+`jobs:
  - {name: pull, do: {read: desk}, parameters: {why: nothing}}
  - {name: proof, after: [pull], do: {train: organisation}, owner: data bureau}
  - {name: nightly, schedule: "30 2 * * *", do: {read: desk}}
jobs_folder: more
`)
	d.write("more/calendar.yaml", "name: calendar\nevery: 6h\nmissed: skip\ndo: calendar_check\n")
	return d
}

// Without a platform that runs, jobs are looked at and asked for; nothing runs, and only the bus is started.
func TestJobsAtRest(t *testing.T) {
	t.Parallel()
	d := newJobsDesk(t)
	if r := d.shire("check", "--quick").ok(t); !strings.Contains(r.Stdout, "4 jobs") {
		t.Errorf("%v", r)
	}
	r := d.shire("jobs", "list").ok(t)
	for _, line := range []string{"calendar  calendar_check  every 6h0m0s", "proof     train           after pull    -", "nightly   read desk       30 2 * * *"} {
		if !strings.Contains(r.Stdout, line) {
			t.Errorf("list does not print %q: %v", line, r)
		}
	}
	if r := d.shire("jobs", "next", "nightly", "--n", "3").ok(t); strings.Count(r.Stdout, "02:30:00  nightly") != 3 {
		t.Errorf("next: %v", r)
	}
	d.shire("jobs", "pause", "nightly", "--reason", "the department moves").ok(t)
	if r := d.shire("jobs", "list", "nightly").ok(t); !strings.Contains(r.Stdout, "the department moves") {
		t.Errorf("%v", r)
	}
	d.shire("jobs", "resume", "nightly").ok(t)
	run := strings.Fields(d.shire("jobs", "run", "pull").ok(t).Stdout)[0]
	var st jobs.Status
	envelopeOf(t, d.shire("jobs", "list", "pull", "--json").ok(t), &st)
	if len(st.Active) != 1 || st.Active[0].ID != run || st.Active[0].Outcome != jobs.Waiting {
		t.Errorf("%+v", st)
	}
	d.shire("jobs", "cancel", run, "--reason", "not today").ok(t)
	if r := d.shire("jobs", "history", "pull").ok(t); !strings.Contains(r.Stdout, "cancelled") || !strings.Contains(r.Stdout, "not today") {
		t.Errorf("%v", r)
	}
	var planned jobs.Planned
	envelopeOf(t, d.shire("jobs", "backfill", "nightly", "--from", "2026-03-01", "--to", "2026-03-08", "--reverse", "--dry-run", "--json").ok(t), &planned)
	if planned.Total != 7 || planned.Runs != 7 || planned.First[0].Day() != 7 {
		t.Errorf("%+v", planned)
	}
	for _, c := range []struct{ args, says string }{
		{"run pul", `there is no job "pul"; did you mean "pull"?`},
		{"run", "takes a job"},
		{"run pull -p why", "write name=value"},
		{"run pull -p whi=x", `has no parameter "whi"; did you mean "why"?`},
		{"run pull --watch", "so there is nothing to watch"},
		{"list a b", "takes one job at most"},
		{"next --n 0", "ask for 1 to 10000"},
		{"history --n 5000", "ask for 1 to 1000"},
		{"history nothing", "there is no job"},
		{"logs pull", "is no run"},
		{"logs pull@never", "there is no run pull@never"},
		{"cancel " + run, "neither waits nor goes on"},
		{"retry nightly@2026-03-01T02:30:00+08:00", "there is no run"},
		{"resume nightly", "is not paused"},
		{"backfill pull --from 2026-03-01", "is not due at any times"},
		{"backfill nightly --from soon", `"soon" is not a time`},
		{"backfill nightly --from 2026-03-01 --only some", "write none, failed or completed"},
		{"backfill nightly --from 2026-03-01 --max-active 3", "overlap: allow"},
		{"backfill nightly --from 2026-03-01 --to 2126-03-01", "reaches into the future"},
		{"backfill nightly --pause xyz", `no backfill "xyz"`},
		{"lsit", `did you mean "list"?`},
	} {
		d.shire(append([]string{"jobs"}, strings.Fields(c.args)...)...).fails(t, exitInput, c.says)
	}
	// What is wrong in the jobs, with file and line.
	d.change("more/calendar.yaml", "calendar_check", "calendarcheck")
	d.shire("check").fails(t, exitInput, "more/calendar.yaml:4: job calendar is to do \"calendarcheck\", which is not known; did you mean \"calendar_check\"?")
	d.change("more/calendar.yaml", "calendarcheck", "{calendar_check: {from: 13-01}}")
	d.shire("check").fails(t, exitInput, "more/calendar.yaml:4: job calendar: \"13-01\" is no day of the year; write month and day, such as 11-01")
	d.change("more/calendar.yaml", "from: 13-01", "month: 12")
	d.shire("check").fails(t, exitInput, "more/calendar.yaml:4: \"month\" is not a key here")
	d.change("county.yaml", "train: organisation", "reconcile: {source: dsk}")
	d.shire("check").fails(t, exitInput, `job proof: source "dsk" is not known; did you mean "desk"?`)
}

func TestJobsOfARunningPlatform(t *testing.T) {
	t.Parallel() // it waits more than it works
	needEngine(t)
	d := newJobsDesk(t)
	// The drop folder can be read, and there is no organisation in it to learn from: proof fails, and says why.
	d.write("drop/visits-1.csv", deskHeader+"A1,,即办,2026-03-02,\n")
	waiting := strings.Fields(d.shire("jobs", "run", "pull").ok(t).Stdout)[0]
	up := start(t, "up", "-c", d.dir+"/county.yaml", "--data", d.data)
	up.WaitFor("Shire serves")
	up.waitUntil("the run that waited is over", func() bool {
		var r []jobs.Run
		envelopeOf(t, d.shire("jobs", "history", "pull", "--json").ok(t), &r)
		return len(r) == 1 && r[0].ID == waiting && r[0].Outcome == jobs.OK
	})
	if got := d.cases(); got != "A1" {
		t.Errorf("the mart holds %q", got)
	}
	if r := d.shire("jobs", "logs", waiting).ok(t); !strings.Contains(r.Stdout, "1 changes were read") {
		t.Errorf("%v", r)
	}
	d.write("drop/visits-2.csv", deskHeader+"A2,,即办,2026-03-02,\n")
	if r := d.shire("jobs", "run", "pull", "--watch").ok(t); !strings.Contains(r.Stdout, "changes were read") || !strings.Contains(r.Stdout, "\nok") {
		t.Errorf("%v", r)
	}
	var proof []jobs.Run
	up.waitUntil("the runs after it are over", func() bool {
		envelopeOf(t, d.shire("jobs", "history", "proof", "--json").ok(t), &proof)
		return len(proof) == 2 && proof[0].Over() && proof[1].Over()
	})
	if r := proof[0]; r.Outcome != jobs.Failed || r.Cause != jobs.CauseAfter || !strings.Contains(r.Message, "there are fewer than two records") || r.Owner != "data bureau" {
		t.Errorf("%+v", r)
	}
	d.shire("jobs", "retry", proof[0].ID, "--watch").fails(t, exitFailed, "the run did not end well: it was failed")
	day := time.Now().AddDate(0, 0, -2).Format(time.DateOnly)
	if r := d.shire("jobs", "backfill", "nightly", "--from", day, "--watch").ok(t); !regexp.MustCompile(`: ok, [23] of [23] due times .* [23] ok`).MatchString(r.Stdout) {
		t.Errorf("%v", r)
	}
	var rows [][]any
	up.waitUntil("ops.runs knows them", func() bool {
		rows = query(t, d.data, "SELECT job, outcome, cause, attempt, changes, source FROM ops.runs WHERE job IN ('pull', 'proof') ORDER BY due_at, job")
		return len(rows) == 4 && rows[2][3] == 2.0 && rows[2][1] == jobs.Failed
	})
	if got := fmt.Sprint(rows); got != "[[proof failed after 1 0 ] [pull ok hand 1 1 desk] [proof failed after 2 0 ] [pull ok hand 1 1 desk]]" {
		t.Errorf("ops.runs: %s", got)
	}
	address := regexp.MustCompile(`http://\S+`).FindString(up.Output())
	response, err := http.Get(address + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	metrics, err := io.ReadAll(response.Body)
	if err != nil || !strings.Contains(string(metrics), `shire_job_runs_total{job="pull",outcome="ok"} 2`) || !strings.Contains(string(metrics), `shire_job_last_success_timestamp_seconds{job="nightly"}`) {
		t.Errorf("/metrics: %s, %v", metrics, err)
	}
	up.Stop()
}
