package registry_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/shirecounty/shire/pipeline/registry"
	"github.com/shirecounty/shire/schemas/metrics"
)

const good = `intervention: data_link
title: {zh: 数据直连, en: Data link}
what: {zh: 不再发函核实, en: No letters are written any more}
since: 2026-02-01
claim: time_down
metric: legal_time
scope:
  departments: [civil_affairs]
  items: [MZ1, MZ2]
cohort:
  kinds: [promised]
exclusions:
  - where: {channels: [terminal]}
    from: 2025-03
    to: 2025-04
    why: the terminals were broken
windows: {before: 12, after: 6, settling: 1}
`

func county(t testing.TB) registry.County {
	t.Helper()
	set, err := metrics.Load()
	if err != nil {
		t.Fatal(err)
	}
	return registry.County{Metrics: set, Departments: []string{"civil_affairs", "health"}}
}

func write(t testing.TB, folder, name, text string) string {
	t.Helper()
	path := filepath.Join(folder, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestDefinition(t *testing.T) {
	folder := t.TempDir()
	write(t, folder, "data_link.yaml", good)
	write(t, folder, "notes.txt", "no definition")
	all, err := registry.Load(folder, county(t))
	if err != nil || len(all) != 1 {
		t.Fatalf("%d definitions: %v", len(all), err)
	}
	d := all[0]
	if d.Name != "data_link" || d.Scope.Items[1] != "MZ2" || d.Exclusions[0].Where.Channels[0] != "terminal" || d.Windows.Settling != 1 || !d.RegisteredAt.IsZero() {
		t.Errorf("the definition is %+v", d.Intervention)
	}
	if _, err := registry.Load(filepath.Join(folder, "absent"), county(t)); err == nil || !strings.Contains(err.Error(), "cannot be read") {
		t.Errorf("a folder that is not there: %v", err)
	}
}

// Each mistake is told with its line and what to write instead.
func TestWrongDefinitions(t *testing.T) {
	for name, test := range map[string]struct{ old, new, want string }{
		"name":                   {"intervention: data_link", "intervention: Data-Link", `:1: the intervention is called "Data-Link"; use lower-case`},
		"other file":             {"intervention: data_link", "intervention: another", `:1: the intervention is called "another"; use lower-case letters, digits and _, and name the file after it`},
		"one language":           {"en: Data link}", "en: ''}", ":2: title is not said in both languages; write title: {zh: ..., en: ...}"},
		"no what":                {"what: {zh: 不再发函核实, en: No letters are written any more}\n", "", "what is not said in both languages"},
		"no since":               {"since: 2026-02-01\n", "", "since is missing; write since: 2026-03-01"},
		"no day":                 {"since: 2026-02-01", "since: 2026-02-30", ":4: "},
		"claim":                  {"claim: time_down", "claim: time_dwn", `:5: the claim is "time_dwn"; did you mean "time_down"?`},
		"claim of a ratio":       {"claim: time_down", "claim: ratio_down", ":5: the claim is ratio_down, and legal_time is of the kind survival"},
		"metric":                 {"metric: legal_time", "metric: legal_tme", `:6: there is no metric "legal_tme"; did you mean "legal_time"?`},
		"number":                 {"metric: legal_time", "metric: overdue", ":6: overdue is of the kind simple, of which no gain can be told"},
		"wrong direction":        {"claim: time_down\nmetric: legal_time", "claim: ratio_up\nmetric: repeat_rate", ":5: the claim is ratio_up, and repeat_rate is better when it goes down"},
		"metric version":         {"metric: legal_time", "metric: legal_time\nmetric_version: 99", ":7: legal_time has no version 99"},
		"department":             {"[civil_affairs]", "[civil_afairs]", `:8: there is no department "civil_afairs"; did you mean "civil_affairs"?`},
		"empty code":             {"[MZ1, MZ2]", "[MZ1, '']", ":9: an empty item stands among them"},
		"group":                  {"metric: legal_time", "metric: satisfaction_rate", "satisfaction_rate cannot be told by kind"},
		"cohort without scope":   {"kinds: [promised]", "departments: [health]", ":11: no case of the scope is in the cohort: they have no department in common"},
		"exclusion without why":  {"    why: the terminals were broken\n", "", "an exclusion gives no reason; write why: ..."},
		"exclusion of no month":  {"from: 2025-03", "from: 2025-13", `:14: "2025-13" is no month; write it as 2026-02`},
		"windows":                {"settling: 1}", "settling: 6}", ":17: "},
		"cluster":                {"windows:", "cluster: village\nwindows:", ":17: "},
		"clusters of the metric": {"claim: time_down\nmetric: legal_time", "claim: ratio_down\nmetric: repeat_rate\ncluster: division", "repeat_rate cannot be told by division"},
		"time of registration":   {"windows:", "registered_at: 2020-01-01T00:00:00Z\nwindows:", `:17: `},
		"no YAML":                {"title: {", "title: {{", "data_link.yaml:"},
	} {
		t.Run(name, func(t *testing.T) {
			if !strings.Contains(good, test.old) {
				t.Fatal("the test changes nothing")
			}
			path := write(t, t.TempDir(), "data_link.yaml", strings.Replace(good, test.old, test.new, 1))
			_, err := registry.Load(filepath.Dir(path), county(t))
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v\nwant %s", err, test.want)
			}
		})
	}
}

// Whatever stands in a file, it is read or refused with a sentence.
func FuzzDefinition(f *testing.F) {
	f.Add(good)
	f.Add("intervention: data_link")
	f.Add("intervention: !!binary x\nscope: [1]\nwindows: {before: 1e99}")
	set := county(f)
	f.Fuzz(func(t *testing.T, text string) {
		d, err := registry.Read(write(t, t.TempDir(), "data_link.yaml", text), set)
		if err == nil && d.Check() != nil {
			t.Errorf("it was taken and cannot be evaluated: %v", d.Check())
		}
	})
}
