package main

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	_ "github.com/go-sql-driver/mysql"

	"github.com/shirecounty/shire/connectors/conformance"
	"github.com/shirecounty/shire/jobs"
)

const sourcesCounty = `county: {division: "339921", name_zh: 澄溪县, name_en: Chengxi County}
contracts: contracts
portal: {listen: "127.0.0.1:0"}
sources:
  - {name: log, kind: mysql, datasets: [residents], with: {address: %[1]q, user: root, tables: [{table: hall.residents, dataset: residents}]}}
  - {name: polled, kind: query, datasets: [permits], with: {driver: mysql, address: %[1]q, database: hall, user: root, tls: "off", poll: 200ms,
      tables: [{table: permits, dataset: permits, watermark: seq, deletions: every 24h}]}}
  - {name: service, kind: http, datasets: [wards], with: {url: %[2]q, poll: 200ms, datasets: [{dataset: wards, path: /wards, full: true}]}}
jobs:
  - {name: pull, do: {read: service}}
  - {name: log-anew, do: {snapshot: log}}
  - {name: polled-anew, do: {snapshot: polled}}
  - {name: service-anew, do: {snapshot: service}}
  - {name: save, do: {backup: {to: backups}}}
  - {name: tidy, do: {retention: {changes_days: 7, say_again: 1000}}}
`

// What the built-in jobs do with PostgreSQL they do with sources of the other kinds on a running platform: a server's log, a
// table that is polled, and a web service that is read by a job alone and so followed by nobody. Retention asks the platform's
// own history for the backup without which it erases nothing.
func TestBuiltInJobsOfOtherSources(t *testing.T) {
	t.Parallel() // it waits more than it works
	needEngine(t)
	const rows = 40
	server := conformance.StartMariaDB(t)
	db, err := sql.Open("mysql", server.DSN(""))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	exec := func(statement string, args ...any) {
		t.Helper()
		if _, err := db.Exec(statement, args...); err != nil {
			t.Fatal(err)
		}
	}
	exec("CREATE DATABASE hall")
	exec("CREATE TABLE hall.residents (id varchar(20) PRIMARY KEY, name varchar(200) NOT NULL)")
	exec("CREATE TABLE hall.permits (id varchar(20) PRIMARY KEY, name varchar(200) NOT NULL, seq bigint NOT NULL)")
	var wards []map[string]string
	for i := range rows {
		exec("INSERT INTO hall.residents VALUES (?, 'a word')", fmt.Sprint("R", i))
		exec("INSERT INTO hall.permits VALUES (?, 'a word', ?)", fmt.Sprint("P", i), i)
		wards = append(wards, map[string]string{"id": fmt.Sprint("W", i), "name": "a word"})
	}
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if err := json.NewEncoder(w).Encode(wards); err != nil {
			t.Error(err)
		}
	}))
	defer service.Close()
	d := newDesk(t)
	d.write("county.yaml", fmt.Sprintf(sourcesCounty, server.Address, service.URL))
	for _, dataset := range []string{"residents", "permits", "wards"} {
		d.write("contracts/"+dataset+".yaml", fmt.Sprintf(tortureContract, dataset))
	}
	up := start(t, "up", "-c", filepath.Join(d.dir, "county.yaml"), "--data", d.data)
	up.WaitFor("Shire serves")
	run := func(job string, outcome string) jobs.Run {
		t.Helper()
		var r jobs.Run
		done := d.shire("jobs", "run", job, "--watch", "--json")
		if envelopeOf(t, done, &r); r.Outcome != outcome {
			t.Fatalf("job %s: %v\n%v", job, done, d.shire("jobs", "logs", r.ID))
		}
		return r
	}
	run("pull", jobs.OK)
	loaded := func() string {
		return fmt.Sprint(query(t, d.data, "SELECT dataset, count() FROM mart.cases GROUP BY dataset ORDER BY dataset"))
	}
	whole := fmt.Sprintf("[[permits %[1]d] [residents %[1]d] [wards %[1]d]]", rows)
	up.waitUntil("everything is loaded", func() bool { return loaded() == whole })

	if r := run("tidy", jobs.Failed); !strings.Contains(r.Message, "no backup has ended well yet") {
		t.Errorf("%+v", r)
	}
	run("save", jobs.OK)
	up.waitUntil("the backup is in the history", func() bool {
		return fmt.Sprint(query(t, d.data, "SELECT count() FROM ops.runs WHERE job = 'save' AND outcome = 'ok'")) == "[[1]]"
	})
	if r := run("tidy", jobs.OK); r.Counts["messages"] != 0 || r.Counts["said_again"] != 0 { // all is younger than a week
		t.Errorf("%+v", r)
	}
	for _, source := range []string{"log", "polled", "service"} {
		if r := run(source+"-anew", jobs.OK); r.Counts["records"] != rows || r.Counts["repaired"] != 0 {
			t.Errorf("%s: %+v", source, r)
		}
	}
	if got := loaded(); got != whole {
		t.Errorf("after the snapshots the mart has %s", got)
	}
	if r := up.Stop(); r.Code != exitOK {
		t.Errorf("the platform did not stop well: %v", r)
	}
}
