package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/shirecounty/shire/portal"
)

// Beside a running platform, load, sql, status and quarantine work as without one; a second platform is refused.
func TestBesideRunningPlatform(t *testing.T) {
	t.Parallel() // it waits more than it works
	needEngine(t)
	u := loadUndisturbed(t, 2000, 180, usual)
	sources := len(sourcesOf(t, u.file))
	asked := func(data string) map[string]string {
		t.Helper()
		var st portal.Status
		envelopeOf(t, shire(t, "status", "--json", "--data", data).ok(t), &st)
		if st.LagMessages != 0 || st.Quarantined == 0 || len(st.Sources) != sources {
			t.Errorf("status, with %d sources: %+v", sources, st)
		}
		return map[string]string{
			"state":      st.State,
			"sql":        shire(t, "sql", "--csv", "--data", data, "SELECT department, count() FROM mart.cases GROUP BY 1 ORDER BY 1").ok(t).Stdout,
			"quarantine": withoutVersions(shire(t, "quarantine", "list", "--data", data).ok(t).Stdout),
		}
	}
	atRest := asked(copyNode(t, u.data))

	// The running platform follows nothing of its own here, so that what is loaded was loaded by the attached load.
	file := countyYAML(t, u.county, func(settings map[string]any) {
		for _, s := range settings["sources"].([]any) {
			s.(map[string]any)["with"].(map[string]any)["settle"] = "1h"
		}
	})
	data := filepath.Join(t.TempDir(), "data")
	up := start(t, "up", "-c", file, "--data", data)
	up.WaitFor("Shire serves")
	r := shire(t, "load", "--data", data)
	// How many rows tell of merges and splits depends on the order in which the sources were read; samePeople counts the rest.
	if got := counts(t, r); got.changes != u.load.changes || !strings.Contains(r.Stdout, "a node runs on "+data) {
		t.Errorf("a load beside a running platform, undisturbed %+v: %v", u.load, r)
	}
	samePeople(t, u.people, data)
	running := asked(data)
	if atRest["state"] != portal.Stopped || running["state"] != portal.Running {
		t.Errorf("state at rest %q, running %q", atRest["state"], running["state"])
	}
	for _, what := range []string{"sql", "quarantine"} {
		if running[what] != atRest[what] {
			t.Errorf("%s beside a running platform:\n%s\nat rest:\n%s", what, running[what], atRest[what])
		}
	}

	second := shire(t, "up", "-c", file, "--data", data)
	if second.Code != exitEnvironment || !strings.Contains(second.Stderr, "already runs on this data directory") {
		t.Errorf("a second platform on one data directory: %v", second)
	}
	if up.Ended() {
		t.Fatalf("the second platform ended the first: %v", up.Wait())
	}
	if r := up.Stop(); r.Code != exitOK || !strings.Contains(r.Stdout, "stopped") {
		t.Errorf("the platform did not stop well: %v", r)
	}
	samePeople(t, u.people, data)
}

// sourcesOf are the sources of a county.yaml.
func sourcesOf(t *testing.T, file string) []any {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var settings struct{ Sources []any }
	if err := yaml.Unmarshal(text, &settings); err != nil || len(settings.Sources) == 0 {
		t.Fatalf("%s has no sources: %v", file, err)
	}
	return settings.Sources
}

// withoutVersions takes the second column off quarantine list: a row's version is its place on the bus, which depends on
// how the changes were packed. The order follows it too.
func withoutVersions(list string) string {
	var out []string
	for _, line := range strings.Split(list, "\n") {
		fields := strings.Fields(line)
		if len(fields) > 2 {
			out = append(out, strings.Join(append(fields[:1:1], fields[2:]...), " "))
		}
	}
	return strings.Join(out, "\n")
}

// SIGTERM in the middle of a load ends it with a sentence; the next load completes it.
func TestStopLoad(t *testing.T) {
	t.Parallel() // it waits more than it works
	needEngine(t)
	u := loadUndisturbed(t, 2000, 180, small)
	data := filepath.Join(t.TempDir(), "data")
	p := start(t, "load", "-c", u.file, "--data", data)
	p.waitUntil("the load is under way", func() bool { return streamBytes(t, data, "LEDGER") > 3000 }) // some ranges are done
	began := time.Now()
	r := p.Stop()
	t.Logf("ended %v after SIGTERM: %s", time.Since(began), r.Stderr)
	if r.Code != exitFailed || !strings.Contains(r.Stderr, "the load was stopped; the next one goes on where it was") {
		t.Errorf("a load that was stopped: %v", r)
	}
	left := counts(t, shire(t, "load", "-c", u.file, "--data", data))
	if left.rows == 0 {
		t.Error("the load had ended before it was stopped: this proved nothing")
	}
	t.Logf("the next load had %d of %d changes and %d of %d rows left", left.changes, u.load.changes, left.rows, u.load.rows)
	sameMarts(t, u.marts, u.data, data)
}

// A platform that is killed while it loads leaves nothing in the way of the next one.
func TestKillPlatform(t *testing.T) {
	t.Parallel() // it waits more than it works
	needEngine(t)
	u := loadUndisturbed(t, 2000, 180, small)
	data := filepath.Join(t.TempDir(), "data")
	up := start(t, "up", "-c", u.file, "--data", data)
	up.waitUntil("the load is under way", func() bool { return streamBytes(t, data, "LEDGER") > 3000 })
	up.Kill()
	up = start(t, "up", "-c", u.file, "--data", data)
	up.WaitFor("Shire serves")
	shire(t, "load", "--data", data).ok(t) // waits until what the platform reads is loaded
	samePeople(t, u.people, data)
	if r := up.Stop(); r.Code != exitOK {
		t.Errorf("the platform did not stop well: %v", r)
	}
}

const followedCounty = `
county: {division: "339921", name_zh: 澄溪县, name_en: Chengxi County}
contracts: contracts
departments:
  grid: {zh: 网格化服务中心, en: Grid Service Centre}
sources:
  - name: grid
    kind: file
    datasets: [calls, patrols]
    with:
      directory: drop
      settle: 100ms
      poll: 50ms
      files:
        - {match: "calls*.csv", dataset: calls}
        - {match: "patrols*.csv", dataset: patrols}
flow: {pack_linger: 50ms, load_age: 100ms}
portal: {listen: "127.0.0.1:0"}
`

const followedContract = `
dataset: %s
department: grid
owner: {zh: 网格化服务中心, en: Grid Service Centre}
title: {zh: 事件, en: Incidents}
version: 1
key: [number]
%s
sharing: {type: unconditional}
fields:
  - {name: number, type: identifier, required: true, sensitivity: internal}
  - {name: category, type: text, sensitivity: internal}
  - {name: reported_at, type: timestamp, required: true, sensitivity: internal}
emits:
  - table: incidents
    columns: {incident_number: number, origin: {value: grid}, category: category, reported_at: reported_at}
`

// A running platform follows its drop folder: new files, corrected rows, and rows that a full file no longer has.
func TestFollowDropFolder(t *testing.T) {
	t.Parallel() // it waits more than it works
	needEngine(t)
	county := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		path := filepath.Join(county, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("county.yaml", followedCounty)
	write("contracts/calls.yaml", strings.NewReplacer("%s", "calls").Replace(strings.Replace(followedContract, "%s\nsharing", "sharing", 1)))
	write("contracts/patrols.yaml", strings.NewReplacer("%s", "patrols").Replace(strings.Replace(followedContract, "%s\nsharing", "delivery: snapshot\nsharing", 1)))
	if err := os.Mkdir(filepath.Join(county, "drop"), 0o755); err != nil {
		t.Fatal(err)
	}
	data := filepath.Join(t.TempDir(), "data")
	up := start(t, "up", "-c", filepath.Join(county, "county.yaml"), "--data", data)
	up.WaitFor("Shire serves")

	const head = "number,category,reported_at\n"
	steps := []struct{ what, file, text, want string }{
		{"a new file", "calls-1.csv", "A1,noise,2026-03-02 09:00:00\nA2,waste,2026-03-02 10:00:00\n", "calls A1 noise, calls A2 waste"},
		{"another file", "calls-2.csv", "A3,parking,2026-03-03 09:00:00\n", "calls A1 noise, calls A2 waste, calls A3 parking"},
		{"a corrected row in a later file", "calls-3.csv", "A1,street trading,2026-03-02 09:00:00\n", "calls A1 street trading, calls A2 waste, calls A3 parking"},
		{"a full file", "patrols-1.csv", "P1,noise,2026-03-02 09:00:00\nP2,waste,2026-03-02 10:00:00\nP3,parking,2026-03-02 11:00:00\n",
			"calls A1 street trading, calls A2 waste, calls A3 parking, patrols P1 noise, patrols P2 waste, patrols P3 parking"},
		{"a full file without a row, and with another corrected", "patrols-2.csv", "P1,noise,2026-03-02 09:00:00\nP3,litter,2026-03-02 11:00:00\n",
			"calls A1 street trading, calls A2 waste, calls A3 parking, patrols P1 noise, patrols P3 litter"},
		{"the row comes back", "patrols-3.csv", "P1,noise,2026-03-02 09:00:00\nP2,waste,2026-03-02 10:00:00\nP3,litter,2026-03-02 11:00:00\n",
			"calls A1 street trading, calls A2 waste, calls A3 parking, patrols P1 noise, patrols P2 waste, patrols P3 litter"},
	}
	for _, step := range steps {
		write("drop/"+step.file, head+step.text)
		var got string
		up.waitUntil(step.what+" is in the mart", func() bool {
			row := query(t, data, "SELECT arrayStringConcat(arraySort(groupArray(concat(dataset, ' ', incident_number, ' ', category))), ', ') FROM mart.incidents")
			if now := row[0][0].(string); now != got {
				got = now
				t.Logf("%s: %s", step.what, got)
			}
			return got == step.want
		})
	}
	// Held, not applied: a full file that would delete most of what there is.
	write("drop/patrols-4.csv", head+"P9,noise,2026-03-02 09:00:00\n")
	up.waitUntil("the hold is shown", func() bool {
		return strings.Contains(shire(t, "status", "--data", data).ok(t).Stdout, "degraded")
	})
	if row := query(t, data, "SELECT count() FROM mart.incidents WHERE dataset = 'patrols'"); row[0][0] != 3.0 {
		t.Errorf("a full file that would delete nearly everything was applied: %v rows are left", row[0][0])
	}
	if r := up.Stop(); r.Code != exitOK {
		t.Errorf("the platform did not stop well: %v", r)
	}
	if row := query(t, data, "SELECT count() FROM mart.incidents"); row[0][0] != 6.0 {
		t.Errorf("%v incidents after the stop", row[0][0])
	}
}
