package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/shirecounty/shire/jobs"
)

const upkeepJobs = `
jobs:
  - {name: compare, do: {reconcile: grid}}
  - {name: repair, do: {reconcile: {source: grid, dataset: calls, repair: true}}}
  - {name: anew, do: {snapshot: grid}}
  - {name: again, do: {retry_quarantine: {owner: grid, reason: missing}}}
  - {name: learn, do: {train: person}}
  - {name: years, do: calendar_check}
  - {name: look-back, do: {review: {months: 1, folder: reviews}}}
  - {name: tidy, do: {retention: {runs_days: 400, accesses_days: 400, waiting_days: 90, dry_run: true}}}
`

// The built-in jobs do beside a running platform what the commands do: they find differences and fail, repair them, have a
// table said anew, and tell what they did without a word of what a record says.
func TestBuiltInJobs(t *testing.T) {
	d := newDatabase(t, 300)
	file, err := os.OpenFile(d.file, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := file.WriteString(upkeepJobs); err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	up := start(t, "up", "-c", d.file, "--data", d.data)
	up.WaitFor("Shire serves")
	run := func(job string, code int) (r jobs.Run, said string) {
		t.Helper()
		done := shire(t, "jobs", "run", job, "--watch", "--json", "--data", d.data)
		if done.Code != code {
			t.Fatalf("job %s: the exit code is not %d: %v", job, code, done)
		}
		envelopeOf(t, done, &r)
		said = shire(t, "jobs", "logs", r.ID, "--data", d.data).ok(t).Stdout
		for _, secret := range []string{d.certainWords, "N1"} {
			if strings.Contains(said+r.Message, secret) {
				t.Errorf("job %s quotes %q: %s\n%s", job, secret, r.Message, said)
			}
		}
		return r, said
	}
	if r, said := run("compare", exitOK); r.Counts["records"] != 300 || !strings.Contains(r.Message, "are equal") || !strings.Contains(said, "calls: equal, 300 records") {
		t.Errorf("%+v\n%s", r, said)
	}
	d.damage(someDamage...)
	if r, _ := run("compare", exitFailed); r.Counts["missing"] != 3 || r.Counts["stale"] != 2 || !strings.Contains(r.Message, "3 records missing") {
		t.Errorf("%+v", r)
	}
	if r, said := run("repair", exitOK); r.Counts["repaired"] != 5 || r.Counts["missing"] != 0 || !strings.Contains(said, "compared once more") {
		t.Errorf("%+v\n%s", r, said)
	}
	// Every record is said again, also one that only the department has changed; one that only the warehouse has goes.
	d.damage("ALTER TABLE store.incidents UPDATE category = 'never said' WHERE incident_number IN ('N4', 'N5') SETTINGS mutations_sync = 2",
		"ALTER TABLE store.incidents DELETE WHERE incident_number IN ('N6') SETTINGS mutations_sync = 2")
	if r, said := run("anew", exitOK); r.Counts["records"] != 300 || r.Counts["repaired"] != 0 {
		t.Errorf("%+v\n%s", r, said)
	}
	if got := d.calls(); got != "300 300" {
		t.Errorf("after the snapshot %s", got)
	}
	if left, err := os.ReadDir(filepath.Join(d.data, "sources", "grid", "snapshot")); err != nil || len(left) > 0 {
		t.Errorf("keys are left behind: %v, %v", left, err)
	}
	d.exec(fmt.Sprintf("ALTER TABLE calls ALTER reported_at DROP NOT NULL; INSERT INTO calls VALUES ('X1', '%s', NULL)", d.certainWords))
	up.waitUntil("a row is refused", func() bool {
		return fmt.Sprint(query(t, d.data, "SELECT count() FROM ops.quarantine WHERE state = 'waiting'")[0][0]) == "1"
	})
	if r, _ := run("again", exitOK); r.Counts["rows"] != 1 || r.Counts["waiting"] != 1 || !strings.Contains(r.Message, "refused still") {
		t.Errorf("%+v", r)
	}
	if r, _ := run("learn", exitFailed); !strings.Contains(r.Message, "fewer than two records") || r.Attempt != 1 {
		t.Errorf("%+v", r)
	}
	// Whether a calendar is missing depends on the day on which this runs; that it is told by its year does not.
	done := shire(t, "jobs", "run", "years", "--watch", "--json", "--data", d.data)
	var years jobs.Run
	if envelopeOf(t, done, &years); !strings.Contains(years.Message, "the working calendar") {
		t.Errorf("%v", done)
	}
	if r, _ := run("look-back", exitOK); !strings.Contains(r.Message, "nothing to review") {
		t.Errorf("%+v", r)
	}
	if r, _ := run("tidy", exitOK); !strings.Contains(r.Message, "dry run") {
		t.Errorf("%+v", r)
	}
	if r := up.Stop(); r.Code != exitOK {
		t.Errorf("the platform did not stop well: %v", r)
	}
}

// What is wrong with the settings of a built-in job is told with its line and what to write instead.
func TestSettingsOfBuiltInJobs(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	text, err := os.ReadFile(filepath.Join(d.dir, "county.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	source := regexpFirst(t, string(text), `- name: (\w+)`)
	for do, want := range map[string]string{
		"{snapshot: " + source + "}":                      "cannot be asked what it holds now",
		"{reconcile: nobody}":                             "is not known",
		"{reconcile: {sorce: x}}":                         `did you mean "source"?`,
		"{retry_quarantine: {dataset: visit}}":            `did you mean "visits"?`,
		"{train: persons}":                                `did you mean "person"?`,
		"{publish_metrics: {metrics: [visit]}}":           `did you mean "visits"?`,
		"{publish_metrics: {months: 99}}":                 "write a number from 1 to 60",
		"{evaluate: data_link}":                           `there is no intervention "data_link"`,
		"{evaluate: }":                                    "the county has no interventions",
		"{calendar_check: {from: November}}":              "write month and day, such as 11-01",
		"{review: {months: 99}}":                          "write a number from 1 to 24",
		"{retention: {}}":                                 "no rule says what is to be deleted",
		"{retention: {accesses_days: 30}}":                "six months",
		"{retention: {deleted_days: 30}}":                 "write changes_days too",
		"{retention: {changes_days: 400}}":                "no job makes a backup",
		"{retention: {runs_days: 1, keep_forever: true}}": `is not a key here`,
	} {
		d.write("county.yaml", string(text)+"\njobs:\n  - {name: x, do: "+do+"}\n")
		r := d.shire("check")
		if r.Code != exitInput || !strings.Contains(r.Stderr, want) || !strings.Contains(r.Stderr, fmt.Sprintf("county.yaml:%d", strings.Count(string(text), "\n")+3)) {
			t.Errorf("%s: %v", do, r)
		}
	}
}

// regexpFirst is the first group of a pattern in a text.
func regexpFirst(t *testing.T, text, pattern string) string {
	t.Helper()
	m := regexp.MustCompile(pattern).FindStringSubmatch(text)
	if m == nil {
		t.Fatalf("%s is not in\n%s", pattern, text)
	}
	return m[1]
}

// The example of a night's work is one that shire check accepts.
func TestNightlyExample(t *testing.T) {
	t.Parallel()
	folder, err := filepath.Abs(filepath.Join("..", "..", "docs", "examples", "nightly"))
	if err != nil {
		t.Fatal(err)
	}
	d := newDesk(t)
	d.write("contracts/calls.yaml", strings.NewReplacer("%s", "calls").Replace(strings.Replace(followedContract, "%s\nsharing", "sharing", 1)))
	text := fmt.Sprintf(databaseCounty, "127.0.0.1:1", "u", "127.0.0.1:1")
	text = strings.Replace(strings.ReplaceAll(text, "name: grid", "name: hall"), "  - name: drop", "X", 1)
	text, _, _ = strings.Cut(text, "X")
	d.write("county.yaml", text+"jobs_folder: "+folder+"\n")
	if r := startWith(t, []string{"TEST_LOADER_PASSWORD=x", "TEST_ANALYST_PASSWORD=x"}, "check", "-c", filepath.Join(d.dir, "county.yaml"), "--data", d.data).Wait(); r.Code != exitOK {
		t.Errorf("%v", r)
	}
}

// A model is trained beside the flow, written for its owner alone, and not chosen; a review of the simulated county is saved
// and names nobody.
func TestTrainingAndReview(t *testing.T) {
	t.Parallel() // it waits more than it works
	needEngine(t)
	data := filepath.Join(t.TempDir(), "data")
	county := countyYAML(t, demoCounty(t, 600, 90), func(settings map[string]any) {
		settings["jobs"] = []any{
			map[string]any{"name": "learn", "do": map[string]any{"train": "person"}},
			map[string]any{"name": "look-back", "do": map[string]any{"review": map[string]any{"months": 1}}},
			map[string]any{"name": "years", "do": "calendar_check"},
		}
	})
	shire(t, "load", "-c", county, "--data", data).ok(t)
	models := func() string { return fmt.Sprint(query(t, data, "SELECT model FROM mart.models ORDER BY 1")) }
	up := start(t, "up", "-c", county, "--data", data)
	up.WaitFor("Shire serves")
	before := models()
	run := func(job string) (r jobs.Run) {
		t.Helper()
		envelopeOf(t, shire(t, "jobs", "run", job, "--watch", "--json", "--data", data).ok(t), &r)
		return r
	}
	for range 2 { // a second time does no harm
		if r := run("learn"); r.Counts["records"] == 0 || !strings.Contains(r.Message, "It is not in use") {
			t.Errorf("%+v", r)
		}
	}
	files, err := filepath.Glob(filepath.Join(data, "models", "*"))
	if err != nil || len(files) != 1 {
		t.Fatalf("the models are %v: %v", files, err)
	}
	if info, err := os.Stat(files[0]); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the model is not its owner's alone: %v, %v", info.Mode(), err)
	}
	if after := models(); after != before {
		t.Errorf("the models in use were %s and are %s", before, after)
	}
	if r := run("look-back"); r.Counts["figures"] == 0 {
		t.Errorf("%+v", r)
	}
	text, err := os.ReadFile(filepath.Join(data, "reviews", "index.html"))
	if err != nil || strings.Count(string(text), "<a href") != 4 {
		t.Errorf("the list of reviews: %v\n%s", err, text)
	}
	done := shire(t, "jobs", "run", "years", "--watch", "--json", "--data", data)
	var years jobs.Run
	if envelopeOf(t, done, &years); !strings.Contains(years.Message, "the working calendar") {
		t.Errorf("%v", done)
	}
	if r := up.Stop(); r.Code != exitOK {
		t.Errorf("the platform did not stop well: %v", r)
	}
}
