package county

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/shirecounty/shire/schemas/document"
)

// jobsCounty is a county.yaml with the given jobs, from line 5 on, and a folder of more.
func jobsCounty(t testing.TB, jobs string, files map[string]string) (*Config, string, error) {
	t.Helper()
	dir := t.TempDir()
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "examples", "receipt", "contracts", "receipt_events.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "contracts"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "contracts", "receipt_events.yaml"), text, 0o644); err != nil {
		t.Fatal(err)
	}
	yaml := `county: {division: "000000", name_zh: 示例, time_zone: Asia/Shanghai}
sources:
  - {name: log, kind: file, datasets: [receipt_events], schedule: "30 2 * * *"}
jobs:
` + jobs
	if files != nil {
		if err := os.Mkdir(filepath.Join(dir, "more"), 0o755); err != nil {
			t.Fatal(err)
		}
		yaml += "\njobs_folder: more\n"
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, "more", name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	file := filepath.Join(dir, "county.yaml")
	if err := os.WriteFile(file, []byte(yaml), 0o644); err != nil {
		t.Fatal(err)
	}
	c, _, err := load(file, []string{"file"}, func(name string) (string, bool) { return "https://hooks.example/" + name, name == "HOOK" })
	return c, dir, err
}

func TestJobsAreRead(t *testing.T) {
	c, _, err := jobsCounty(t, `  - name: report
    after: [read-log]
    do: {sql: {file: report.sql}}
    parameters: {month: "{{from.month}}", days: 7, where: "{{month}}/{{ days }}"}
    retries: {most: 3}
    alert: {webhook: "${HOOK}", late_after: 2h}
  - {name: by_hand, do: retention}
`, map[string]string{
		"list.yaml": "- {name: one, every: 48h, do: {reconcile: {source: log, repair: true}}}\n- name: two\n  schedule: \"0 9 * * 1\"\n  time_zone: Europe/Amsterdam\n  days: first_workday_of_month\n  do: {train: }\n",
		"one.yaml":  "name: three\ndo: {review: {}}\nmissed: all\nmissed_within: 24h\n", "ignored.txt": "x",
	})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	byName := map[string]*Job{}
	for i := range c.Jobs {
		names = append(names, c.Jobs[i].Name)
		byName[c.Jobs[i].Name] = &c.Jobs[i]
	}
	if got := strings.Join(names, " "); got != "report by_hand one two three read-log" {
		t.Errorf("the jobs are %s", got)
	}
	r := byName["report"]
	if r.Missed != MissedOnce || r.Overlap != OverlapQueue || r.MissedMost != 100 || r.Timeout != Duration(24*time.Hour) || r.Retries != (Retries{3, Duration(time.Minute), Duration(time.Hour)}) ||
		r.Zone.String() != "Asia/Shanghai" || !r.Alert.Failures() || r.Alert.Webhook != "https://hooks.example/HOOK" {
		t.Errorf("%+v", r)
	}
	if read := byName["read-log"]; !read.Implicit || read.Do.Kind != "read" || read.Do.Text() != "log" || read.Times == nil {
		t.Errorf("%+v", read)
	}
	if !c.Sources[0].Timed {
		t.Error("the source that a job reads is followed")
	}
	if two := byName["two"]; two.Zone.String() != "Europe/Amsterdam" || !two.Do.Empty() || two.Do.Kind != "train" {
		t.Errorf("%+v", two)
	}
	var settings struct {
		Source string
		Repair bool
	}
	if err := byName["one"].Decode(&settings); err != nil || settings.Source != "log" || !settings.Repair {
		t.Errorf("%+v, %v", settings, err)
	}
	if m, err := byName["report"].Settings(); err != nil || m["file"] != "report.sql" {
		t.Errorf("%v, %v", m, err)
	}
	if m, err := byName["two"].Settings(); err != nil || m != nil {
		t.Errorf("%v, %v", m, err)
	}
	at := time.Date(2026, 3, 1, 0, 0, 0, 0, r.Zone)
	filled, err := Fill(r.Parameters, at.AddDate(0, -1, 0), at, at, r.Zone)
	if err != nil || filled["where"] != "2026-02/7" {
		t.Errorf("%v, %v", filled, err)
	}
}

// What may be wrong, and what the person is told. LINE is where the mistake stands.
func TestJobsRefuse(t *testing.T) {
	for _, c := range []struct {
		text string
		line int
		want string
	}{
		{"  - {do: {read: log}}", 5, `job "" is not a name`},
		{"  - {name: Nightly, do: {read: log}}", 5, "use lower-case letters"},
		{"  - {name: a, do: {read: log}}\n  - {name: a, do: {read: log}}", 6, "job a stands twice"},
		{"  - {name: read-log, do: {read: log}}", 3, "the job that a source's schedule stands for"},
		{"  - name: a", 5, "does nothing"},
		{"  - name: a\n    do: {read: log, sql: {}}", 6, "exactly one thing"},
		{"  - name: a\n    do: [read]", 6, "exactly one thing"},
		{"  - name: a\n    doo: {read: log}", 6, `did you mean "do"?`},
		{"  - name: a\n    do: {read: log}\n    schedule: \"0 3 * *\"", 7, "has 4 fields"},
		{"  - name: a\n    do: {read: log}\n    schedule: \"CRON_TZ=Asia/Tokyo\"", 7, "time_zone:"},
		{"  - name: a\n    do: {read: log}\n    schedule: \"TZ=Asia/Tokyo 0 3 * * *\"", 7, "time_zone:"},
		{"  - name: a\n    do: {read: log}\n    schedule: \"@every -5m\"", 7, "nobody knows when it comes"},
		{"  - name: a\n    do: {read: log}\n    schedule: \"0 0 31 2 *\"", 7, "never comes"},
		{"  - name: a\n    do: {read: log}\n    every: -5m", 7, "write a duration"},
		{"  - name: a\n    do: {read: log}\n    every: 0s", 7, "write a duration"},
		{"  - name: a\n    do: {read: log}\n    every: 7m", 7, "does not divide a day"},
		{"  - name: a\n    do: {read: log}\n    every: 36h", 7, "does not divide a day"},
		{"  - name: a\n    do: {read: log}\n    every: 10ms", 7, "less than a second"},
		{"  - name: a\n    do: {read: log}\n    every: 999999h", 7, "ten years"},
		{"  - name: a\n    do: {read: log}\n    every: 5m\n    schedule: \"0 3 * * *\"", 8, "every and schedule at once"},
		{"  - name: a\n    do: {read: log}\n    every: 5m\n    after: [read-log]", 7, "after and every at once"},
		{"  - name: a\n    do: {read: log}\n    time_zone: Asia/Shangai", 7, "not known"},
		{"  - name: a\n    do: {read: log}\n    time_zone: Local", 7, "not known"},
		{"  - name: a\n    do: {read: log}\n    every: 5m\n    days: workdays", 8, `did you mean "workday"?`},
		{"  - name: a\n    do: {read: log}\n    days: workday", 7, "no times of its own"},
		{"  - name: a\n    do: {read: log}\n    after: [read-log]\n    days: workday", 8, "no times of its own"},
		{"  - name: a\n    do: {read: log}\n    missed: twice", 7, "not known"},
		{"  - name: a\n    do: {read: log}\n    missed_most: 5000", 7, "1 to 200"},
		{"  - name: a\n    do: {read: log}\n    missed_within: a week", 7, "write a duration"},
		{"  - name: a\n    do: {read: log}\n    overlap: alow", 7, `did you mean "allow"?`},
		{"  - name: a\n    do: {read: log}\n    retries: {most: -1}", 7, "0 to 100"},
		{"  - name: a\n    do: {read: log}\n    retries: {most: 1, wait: 2h, longest: 1h}", 7, "shorter than the first"},
		{"  - name: a\n    do: {read: log}\n    timeout: soon", 7, "write a duration"},
		{"  - name: a\n    do: {read: log}\n    after: [nightly]", 7, `"nightly", which is no job`},
		{"  - name: a\n    do: {read: log}\n    after: [read-logs]", 7, `did you mean "read-log"?`},
		{"  - name: a\n    do: {read: log}\n    after: [read-log, read-log]", 7, "twice"},
		{"  - name: a\n    do: {read: log}\n    after: [a]", 7, "a -> a wait for each other"},
		{"  - {name: a, do: {read: log}, after: [b]}\n  - {name: b, do: {read: log}, after: [c]}\n  - name: c\n    do: {read: log}\n    after: [b]", 6, "b -> c -> b wait for each other"},
		{"  - {name: a, do: {read: log}, every: 5m}\n  - name: b\n    do: {read: log}\n    after: [a, read-log]", 8, "never due at the same time"},
		{"  - {name: a, do: {read: log}}\n  - {name: c, do: {read: log}}\n  - name: b\n    do: {read: log}\n    after: [a, c]", 9, "never due at the same time"},
		{"  - name: a\n    do: {read: log}\n    parameters: {Day: x}", 7, "not the name of a parameter"},
		{"  - name: a\n    do: {read: log}\n    parameters: {from: x}", 7, "filled in by the run itself"},
		{"  - name: a\n    do: {read: log}\n    parameters:\n      day: \"{{form}}\"", 8, `did you mean "from"?`},
		{"  - name: a\n    do: {read: log}\n    parameters:\n      day: \"{{from.day}}\"", 8, "{{from.date}}"},
		{"  - name: a\n    do: {read: log}\n    parameters:\n      x: \"{{y}}\"\n      y: \"{{x}}\"", 8, "within itself"},
		{"  - name: a\n    do: {read: log}\n    alert: {late_after: 1h}", 7, "nobody to tell"},
		{"  - name: a\n    do: {read: log}\n    alert: {webhook: \"ftp://x\"}", 7, "not an address"},
		{"  - name: a\n    do: {read: log}\n    alert: {webhook: \"https://x\", late_after: -1h}", 7, "write a duration"},
		{"  - name: a\n    do: {read: log}\n    owner: \"a\\nb\"", 7, "not a name"},
		{"  - name: a\n    do:\n      command:\n        env:\n          password: open sesame", 9, "in the clear"},
	} {
		_, _, err := jobsCounty(t, c.text, nil)
		var problems document.Problems
		if !errors.As(err, &problems) {
			t.Errorf("%s\nwas accepted: %v", c.text, err)
			continue
		}
		found := false
		for _, p := range problems {
			found = found || p.Line == c.line && strings.Contains(p.Error(), c.want) && p.Do+p.Message != ""
		}
		if !found {
			t.Errorf("%s\ngot %v; want line %d: %s", c.text, problems, c.line, c.want)
		}
		if strings.Contains(problems.Error(), "sesame") {
			t.Errorf("the secret is repeated: %v", problems)
		}
	}
}

func TestJobsInFilesNameTheirFile(t *testing.T) {
	for _, c := range []struct {
		text string
		line int
		want string
	}{
		{"- {name: a, do: {read: log}}\n- name: b\n  every: 7m\n  do: {read: log}\n", 3, "does not divide"},
		{"name: a\nevery: 7m\ndo: {read: log}\n", 2, "does not divide"},
		{"name: a\neveri: 5m\n", 2, `did you mean "every"?`},
		{"- 7\n", 1, "a number stands here"},
		{"7\n", 1, "a number stands here"},
		{"", 1, "empty"},
		{"name: a\ndo:\n  command: {env: {token: abc}}\n", 3, "in the clear"},
		{"- name: a\n  do:\n    command: {env: {token: abc}}\n", 3, "in the clear"},
	} {
		_, dir, err := jobsCounty(t, "  []", map[string]string{"x.yaml": c.text})
		var problems document.Problems
		if !errors.As(err, &problems) || problems[0].File != filepath.Join(dir, "more", "x.yaml") || problems[0].Line != c.line || !strings.Contains(problems[0].Error(), c.want) {
			t.Errorf("%q: got %v; want line %d: %s", c.text, err, c.line, c.want)
		}
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "county.yaml")
	if err := os.WriteFile(file, []byte("county: {division: \"000000\", name_zh: x}\nsources: []\njobs_folder: nowhere\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, _, err := Load(file, nil); err == nil || !strings.Contains(err.Error(), file+":3: the folder") {
		t.Errorf("a folder that does not exist: %v", err)
	}
}

// Whatever stands there, the answer is jobs or problems with places.
func FuzzJobs(f *testing.F) {
	for _, seed := range []string{"  - {name: a, do: {read: log}}", "  - {name: a, after: [a], do: x}", "  - &a {name: a, do: {x: *a}}", "  - name: a\n    do:\n      ? [x]\n      : y", "  - {name: a, do: !}",
		"  - {name: a, do: {read: log}, parameters: {x: \"{{{{x}}}}\"}}", "  - {name: a, do: {read: log}, every: 1e9h}"} {
		f.Add(seed)
	}
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, text string) {
		file := filepath.Join(dir, "x.yaml")
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		jobs, err := readJobs(file, func(string) (string, bool) { return "", false })
		var problems document.Problems
		if err != nil && !errors.As(err, &problems) {
			t.Fatalf("%T is no list of problems", err)
		}
		c := &Config{Jobs: jobs}
		for _, p := range c.proveJobs() {
			if p.Line < 1 || p.Message == "" {
				t.Fatalf("a problem without a place: %+v", p)
			}
		}
	})
}

// Intervals against a clock that goes second by second: parts of a day count from each midnight of the zone.
func TestIntervalProperties(t *testing.T) {
	zones := []*time.Location{time.UTC}
	for _, name := range []string{"Asia/Shanghai", "Europe/Amsterdam", "America/New_York", "Australia/Lord_Howe", "America/Sao_Paulo", "Pacific/Apia"} {
		zones = append(zones, location(t, name))
	}
	rapid.Check(t, func(t *rapid.T) {
		zone := rapid.SampledFrom(zones).Draw(t, "zone")
		every := rapid.SampledFrom([]time.Duration{time.Minute, 5 * time.Minute, 30 * time.Minute, time.Hour, 6 * time.Hour, 12 * time.Hour, 24 * time.Hour, 48 * time.Hour}).Draw(t, "every")
		i := NewInterval(every, zone)
		after := time.Date(rapid.IntRange(1985, 2030).Draw(t, "year"), 1, 1, 0, 0, 0, 0, zone).Add(time.Duration(rapid.IntRange(0, 365*24*60*60).Draw(t, "second")) * time.Second)
		if _, change := after.ZoneBounds(); !change.IsZero() && rapid.Bool().Draw(t, "near a change") {
			after = change.Add(time.Duration(rapid.IntRange(-30*3600, 30*3600).Draw(t, "around")) * time.Second)
		}
		next := i.Next(after)
		if !next.After(after) {
			t.Fatalf("every %s after %s: %s is not later", every, after, next)
		}
		// The same whoever reckons, from wherever between.
		between := after.Add(time.Duration(rapid.Float64Range(0, 1).Draw(t, "between") * float64(next.Sub(after)-1)))
		if again := i.Next(between); !again.Equal(next) {
			t.Fatalf("every %s: after %s comes %s, and after %s comes %s", every, after, next, between, again)
		}
		start := DayStart(next, zone, 0)
		if every >= 24*time.Hour {
			if !next.Equal(start) {
				t.Fatalf("every %s: %s is no midnight", every, next)
			}
			return
		}
		if next.Sub(start)%every != 0 {
			t.Fatalf("every %s: %s is %s after its midnight %s", every, next, next.Sub(start), start)
		}
		// No stretch is longer than an interval and what a change of the clock adds, or shorter than one, but for the day's last.
		if gap := i.Next(next).Sub(next); gap > every+time.Hour || gap < every && !i.Next(next).Equal(DayStart(i.Next(next), zone, 0)) {
			t.Fatalf("every %s: %s after %s", every, gap, next)
		}
	})
}

func TestIntervalsOnLongAndShortDays(t *testing.T) {
	for _, c := range []struct {
		every time.Duration
		after string
		want  string
	}{
		{6 * time.Hour, "2026-10-24T20:00:00+02:00", "2026-10-25T00:00:00+02:00 2026-10-25T05:00:00+01:00 2026-10-25T11:00:00+01:00 2026-10-25T17:00:00+01:00 2026-10-26T00:00:00+01:00"},
		{6 * time.Hour, "2026-03-28T20:00:00+01:00", "2026-03-29T00:00:00+01:00 2026-03-29T07:00:00+02:00 2026-03-29T13:00:00+02:00 2026-03-29T19:00:00+02:00 2026-03-30T00:00:00+02:00"},
		{24 * time.Hour, "2026-10-24T20:00:00+02:00", "2026-10-25T00:00:00+02:00 2026-10-26T00:00:00+01:00"},
		{48 * time.Hour, "2026-10-24T20:00:00+02:00", "2026-10-26T00:00:00+01:00 2026-10-28T00:00:00+01:00"},
		{30 * time.Minute, "2026-10-25T02:10:00+02:00", "2026-10-25T02:30:00+02:00 2026-10-25T02:00:00+01:00 2026-10-25T02:30:00+01:00"},
	} {
		i := NewInterval(c.every, location(t, "Europe/Amsterdam"))
		at, err := time.Parse(time.RFC3339, c.after)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for range strings.Fields(c.want) {
			at = i.Next(at)
			got = append(got, at.In(location(t, "Europe/Amsterdam")).Format(time.RFC3339))
		}
		if fmt.Sprint(got) != "["+c.want+"]" {
			t.Errorf("every %s after %s: got %s, want %s", c.every, c.after, got, c.want)
		}
	}
}

// Whatever parameters say, they are filled in or refused, and never grow without bound.
func FuzzFill(f *testing.F) {
	for _, seed := range []string{"{{from}}", "{{b}}{{b}}", "{{ due.date }} x {{to.month}}", "{{{{b}}}}", "{{a}}", "}}{{", "{{from.x}}"} {
		f.Add(seed, seed)
	}
	at := time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, a, b string) {
		filled, err := Fill(map[string]string{"a": a, "b": b}, at, at, at, time.UTC)
		if err == nil && (len(filled["a"]) > longestParameter || len(filled["b"]) > longestParameter || template.MatchString(a) && filled["a"] == a) {
			t.Errorf("%q and %q are %q", a, b, filled)
		}
		if err == nil && !template.MatchString(a) && filled["a"] != a {
			t.Errorf("%q became %q", a, filled["a"])
		}
	})
}
