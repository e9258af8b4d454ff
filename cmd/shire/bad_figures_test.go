package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/shirecounty/shire/portal"
	"github.com/shirecounty/shire/schemas/metrics"
)

const hallContract = `dataset: visits
department: desk
owner: {zh: 窗口数据员, en: Data clerk of the front desk}
title: {zh: 窗口办件, en: Cases at the front desk}
version: 1
key: [case]
sharing: {type: conditional}
fields:
  - {name: case, headers: [办件编号], type: case_number, required: true, sensitivity: internal}
  - {name: department, headers: [部门], type: code, with: {table: {甲: hall, 乙: housing, 丙: tiny}}, required: true, sensitivity: internal}
  - {name: applied, headers: [申请时间], type: timestamp, required: true, sensitivity: internal}
  - {name: closed, headers: [办结时间], type: timestamp, sensitivity: internal}
emits:
  - table: cases
    columns: {case_number: case, department: department, item_code: {value: visit}, kind: {value: promised}, applied_at: applied, accepted_at: applied, closed_at: closed, delivered_at: closed}
`

const reportsContract = `dataset: reports
department: desk
owner: {zh: 窗口数据员, en: Data clerk of the front desk}
title: {zh: 部门报送数, en: Departments' reports}
version: 1
key: [report]
sharing: {type: unconditional}
fields:
  - {name: report, headers: [报送编号], type: identifier, required: true, sensitivity: internal}
  - {name: department, headers: [部门], type: code, with: {table: {甲: hall, 乙: housing, 丙: tiny}}, required: true, sensitivity: internal}
  - {name: month, headers: [月份], type: date, required: true, sensitivity: internal}
  - {name: reported, headers: [报送数], type: integer, required: true, sensitivity: internal}
emits:
  - table: department_reports
    columns: {department: department, subject: {value: cases}, month: month, reported: reported}
`

const councilContract = `dataset: councils
department: desk
owner: {zh: 窗口数据员, en: Data clerk of the front desk}
title: {zh: 议事会决议, en: Decisions of the councils}
version: 1
key: [decision]
sharing: {type: unconditional}
fields:
  - {name: decision, headers: [决议编号], type: identifier, required: true, sensitivity: open}
  - {name: decided, headers: [决议日期], type: date, required: true, sensitivity: open}
  - {name: entitled, headers: [应到], type: integer, required: true, sensitivity: open}
  - {name: attended, headers: [实到], type: integer, required: true, sensitivity: open}
emits:
  - table: council_decisions
    columns: {decision: decision, department: {value: hall}, decided_at: decided, entitled: entitled, attended: attended}
`

// What cannot be told is not told, and what is missing is said: on the command line and over HTTP alike.
func TestBadFigures(t *testing.T) {
	t.Parallel()
	needEngine(t)
	d := newDesk(t)
	d.write("contracts/visits.yaml", hallContract)
	d.write("contracts/reports.yaml", reportsContract)
	d.write("contracts/councils.yaml", councilContract)
	d.change("county.yaml", "  desk: {zh: 综合窗口, en: Front desk}", "  desk: {zh: 综合窗口, en: Front desk}\n  hall: {zh: 大厅, en: Hall}")
	d.change("county.yaml", "datasets: [visits]", "datasets: [visits, reports, councils]")
	d.change("county.yaml", `{match: "visits-*.csv", dataset: visits}`,
		`{match: "visits-*.csv", dataset: visits}`+"\n        - {match: \"reports-*.csv\", dataset: reports}\n        - {match: \"councils-*.csv\", dataset: councils}")
	cases, reports, councils := "办件编号,部门,申请时间,办结时间\n", "报送编号,部门,月份,报送数\n", "决议编号,决议日期,应到,实到\n"
	for month := 1; month <= 6; month++ {
		for i := range 6 {
			cases += fmt.Sprintf("H%d%d,甲,2025-%02d-10 09:00:00,2025-%02d-1%d 09:00:00\n", month, i, month, month, 1+i)
			if month <= 3 { // and nothing since
				cases += fmt.Sprintf("S%d%d,乙,2025-%02d-10 09:00:00,2025-%02d-12 09:00:00\n", month, i, month, month)
			}
		}
		reports += fmt.Sprintf("H%d,甲,2025-%02d-01,6\nS%d,乙,2025-%02d-01,6\n", month, month, month, month)
		councils += fmt.Sprintf("D%d,2025-05-0%d,0,0\n", month, month) // nobody was to come
	}
	cases += "T1,丙,2025-06-02 09:00:00,2025-06-03 09:00:00\nT2,丙,2025-06-02 09:00:00,2025-06-03 09:00:00\n" +
		"N1,甲,2026-12-30 09:00:00,2027-01-05 09:00:00\n" // nobody knows which days are worked in 2027
	d.write("drop/visits-1.csv", cases)
	d.write("drop/reports-1.csv", reports)
	d.write("drop/councils-1.csv", councils)
	d.shire("load").ok(t)
	up := start(t, "up", "-c", filepath.Join(d.dir, "county.yaml"), "--data", d.data)
	up.WaitFor("Shire serves")
	at := servesAt.FindStringSubmatch(up.Output())[1]
	get := func(path string) (int, string) {
		t.Helper()
		answer, err := http.Get(at + path)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		body, err := io.ReadAll(answer.Body)
		if err != nil {
			t.Fatal(err)
		}
		return answer.StatusCode, string(body)
	}
	// asked gives the same question to both.
	asked := func(metric, from, to, by string) map[string]metrics.Result {
		t.Helper()
		both := map[string]metrics.Result{}
		var cli, web metrics.Result
		args, path := []string{"metrics", "query", metric, "--from", from, "--to", to, "--json"}, fmt.Sprintf("/api/v1/metrics/%s?from=%s&to=%s", metric, from, to)
		if by != "" {
			args, path = append(args, "--by", by), path+"&by="+by
		}
		envelopeOf(t, d.shire(args...).ok(t), &cli)
		code, body := get(path)
		if err := json.Unmarshal([]byte(body), &web); err != nil || code != http.StatusOK {
			t.Fatalf("%d %s: %v", code, body, err)
		}
		both["the command line"], both["HTTP"] = cli, web
		return both
	}
	row := func(r metrics.Result, key string) metrics.Row {
		i := slices.IndexFunc(r.Rows, func(row metrics.Row) bool { return row.Key == key })
		if i < 0 {
			t.Fatalf("%s has no row %q: %+v", r.Metric, key, r.Rows)
		}
		return r.Rows[i]
	}
	for who, r := range asked("council_turnout", "2025-05", "2025-05", "") {
		if x := row(r, ""); x.State != metrics.StateUndefined || x.Value != nil || x.Count != 6 {
			t.Errorf("%s, a division by zero: %+v", who, x)
		}
	}
	for _, metric := range []string{"citizen_time", "supplement_rate", "overdue", "promised_compression"} {
		for who, r := range asked(metric, "2024-01", "2024-02", "") {
			if x := row(r, ""); x.State != metrics.StateEmpty || x.Value != nil || x.Count != 0 {
				t.Errorf("%s, %s of an empty period: %+v", who, metric, x)
			}
		}
	}
	for who, r := range asked("citizen_time", "2025-04", "2025-06", "department") {
		if x := row(r, "housing"); x.State != metrics.StateEmpty || x.Coverage == nil || *x.Coverage != 0 || !slices.Contains(x.Warnings, metrics.WarningStopped) {
			t.Errorf("%s, a department that stopped: %+v", who, x)
		}
		if c := r.Coverage; c == nil || c.State != metrics.CoverageStopped || !slices.Equal(c.Stopped, []string{"housing"}) {
			t.Errorf("%s, the coverage: %+v", who, c)
		}
		if x := row(r, "tiny"); x.State != metrics.StateSuppressed || x.Value != nil || x.ClosedOnly != nil {
			t.Errorf("%s, a cohort below the minimum cell: %+v", who, x)
		}
	}
	for who, r := range asked("supplement_rate", "2025-04", "2025-06", "department") {
		if x := row(r, "tiny"); x.State != metrics.StateSuppressed || x.Value != nil {
			t.Errorf("%s, a cohort below the minimum cell: %+v", who, x)
		}
		if x := row(r, "hall"); x.State != metrics.StateSuppressed || x.Value != nil { // subtracted from the whole it would tell of the small one
			t.Errorf("%s, the group that would betray it: %+v", who, x)
		}
	}
	said := d.shire("metrics", "query", "citizen_time", "--from", "2025-04", "--to", "2025-06", "--by", "department").ok(t).Stdout
	if !strings.Contains(said, "housing") || !strings.Contains(said, "stopped") {
		t.Errorf("a person is not told who stopped:\n%s", said)
	}

	const missing = "put its file, such as 2027.yaml, into the folder national of the county's calendars"
	d.shire("metrics", "query", "legal_time", "--from", "2026-12", "--to", "2026-12").fails(t, exitInput, missing)
	if code, body := get("/api/v1/metrics/legal_time?from=2026-12&to=2026-12"); code < 400 || code >= 500 || !strings.Contains(body, missing) {
		t.Errorf("over HTTP, a year that is not published: %d %s", code, body)
	}

	// Its result was given out above; then it is registered, which is allowed and marked for ever.
	d.change("county.yaml", "contracts: contracts", "contracts: contracts\ninterventions: interventions")
	late := "intervention: coaching\ntitle: {zh: 辅导, en: Coaching}\nwhat: {zh: 每周辅导。, en: Coached every week.}\nsince: 2025-04-01\nclaim: time_down\nmetric: citizen_time\nscope: {departments: [hall]}\nwindows: {before: 3, after: 3, settling: 0}\n"
	d.write("interventions/coaching.yaml", late)
	// One surface is enough for a result to have been seen.
	if code, body := get("/api/v1/metrics/on_time_rate?from=2025-04&to=2025-06"); code != http.StatusOK {
		t.Errorf("%d %s", code, body)
	}
	d.shire("metrics", "query", "rating_rate", "--from", "2025-04", "--to", "2025-06").ok(t)
	for name, metric := range map[string]string{"over_http": "on_time_rate", "by_command": "rating_rate"} {
		d.write("interventions/"+name+".yaml", strings.NewReplacer("coaching", name, "time_down", "ratio_up", "citizen_time", metric).Replace(late))
	}
	marked := func(versions int) {
		t.Helper()
		var lines []registrationLine
		envelopeOf(t, d.shire("metrics", "register", "--versions", "--json").ok(t), &lines)
		if len(lines) != versions+2 || slices.ContainsFunc(lines, func(l registrationLine) bool { return !l.Late || l.SeenAt == nil }) {
			t.Errorf("the command line, registered after its result was seen: %+v", lines)
		}
		code, body := get("/api/v1/interventions/coaching")
		var reply portal.InterventionDetail
		if err := json.Unmarshal([]byte(body), &reply); err != nil || code != http.StatusOK || len(reply.Versions) != versions ||
			slices.ContainsFunc(reply.Versions, func(v portal.Registered) bool { return !v.Late || v.SeenAt == nil }) {
			t.Errorf("HTTP, registered after its result was seen: %d %s: %v", code, body, err)
		}
	}
	marked(1)
	d.change("interventions/coaching.yaml", "Coached every week.", "Coached every day.") // a new version does not wash it clean
	marked(2)
	if r := up.Stop(); r.Code != exitOK {
		t.Error(r)
	}
}
