package main

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/shirecounty/shire/jobs"
)

// What a county writes itself: a file of SQL and a program, proven before, run by hand on a running platform.
func TestTheCountysOwnJobs(t *testing.T) {
	t.Parallel()
	needEngine(t)
	d := newDesk(t)
	d.write("county.yaml", deskCounty+`jobs:
  - {name: pull, do: {read: desk}}
  - {name: count, do: {sql: {file: sql/count.sql, to: out}}, parameters: {department: hall}}
  - {name: keep, do: {sql: {file: sql/keep.sql, write: true}}}
  - {name: hello, do: {command: [sh, -c, "echo hello $SHIRE_PARAM_WHO; pwd >&2"]}, parameters: {who: county}}
  - {name: save, do: {backup: {to: backups, keep: 2}}}
  - {name: fails, do: {command: [sh, -c, "exit 3"]}}
  - {name: lacks, do: {command: [no-such-program]}}
`)
	d.write("sql/count.sql", "SELECT count() AS cases FROM mart.cases WHERE department != {department:String};\n")
	d.write("sql/keep.sql", "CREATE TABLE IF NOT EXISTS own.counts (n UInt64) ENGINE = MergeTree ORDER BY n; INSERT INTO own.counts SELECT count() FROM mart.cases;\n")
	d.write("drop/visits-1.csv", deskHeader+"A1,,即办,2026-03-02,\n")
	d.shire("check").fails(t, exitInput, "no-such-program") // which keeps nothing else from running
	up := start(t, "up", "-c", d.dir+"/county.yaml", "--data", d.data)
	up.WaitFor("Shire serves")
	run := func(job string) jobs.Run {
		t.Helper()
		d.shire("jobs", "run", job, "--watch")
		var r []jobs.Run
		envelopeOf(t, d.shire("jobs", "history", job, "--json").ok(t), &r)
		return r[0]
	}
	up.waitUntil("what the department has is loaded", func() bool { return run("pull").Outcome == jobs.OK && d.cases() == "A1" })
	for _, job := range []string{"count", "keep", "hello", "save"} {
		if r := run(job); r.Outcome != jobs.OK {
			t.Errorf("%s: %+v", job, r)
		}
	}
	if r := run("fails"); r.Outcome != jobs.Failed || !strings.Contains(r.Message, "3") {
		t.Errorf("%+v", r)
	}
	if r := run("lacks"); r.Outcome != jobs.Failed || !strings.Contains(r.Message, "no-such-program") || r.Attempt != 1 {
		t.Errorf("%+v", r)
	}
	var hello []jobs.Run
	envelopeOf(t, d.shire("jobs", "history", "hello", "--json").ok(t), &hello)
	if r := d.shire("jobs", "logs", hello[0].ID).ok(t); !strings.Contains(r.Stdout, "hello county") {
		t.Errorf("%v", r)
	}
	if got := fmt.Sprint(query(t, d.data, "SELECT n FROM own.counts")); got != "[[1]]" {
		t.Errorf("own.counts holds %v", got)
	}
	up.Stop()
	whole, err := filepath.Glob(filepath.Join(d.dir, "backups", "*", "manifest.json"))
	if err != nil || len(whole) != 1 {
		t.Fatalf("%v, %v", whole, err)
	}
	d.shire("backup", "verify", filepath.Dir(whole[0])).ok(t)

	d.change("county.yaml", "command: [no-such-program]", "command: [sh]")
	d.shire("check", "--quick").ok(t)
	d.change("sql/count.sql", "{department:String}", "{departmnt:String}")
	d.shire("check").fails(t, exitInput, "departmnt")
	d.change("sql/count.sql", "{departmnt:String}", "{department:String}")
	d.change("county.yaml", "{to: backups, keep: 2}", "{keep: 2}")
	d.shire("check").fails(t, exitInput, "job save: to is missing")
	d.change("county.yaml", "{keep: 2}", "{to: backups}")
	d.change("county.yaml", "command: [sh]", "command: {run: [sh], secrets: {KEY: plain-text-1}}")
	d.shire("check").fails(t, exitInput, "a secret stands in the file in the clear")
}
