package docs_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/shirecounty/shire/connectors"
	"github.com/shirecounty/shire/schemas/county"
)

// Both languages mention all that may be written of a job, and the example is one that is accepted.
func TestJobsMentionsAllThatMayBeWritten(t *testing.T) {
	for file, heading := range map[string]string{"jobs.md": "## What a job says", "jobs.zh-CN.md": "## 一个作业说明什么"} {
		text := read(t, file)
		table := part(t, text, heading)
		for _, v := range []any{county.Job{}, county.Retries{}, county.Alert{}} {
			for _, key := range keys(v) {
				if !regexp.MustCompile("[`{ ]" + key + "[`:]").MatchString(table) {
					t.Errorf("docs/%s: the key %s of %T is not mentioned", file, key, v)
				}
			}
		}
		for _, word := range []string{county.MissedSkip, county.MissedOnce, county.MissedAll, county.OverlapQueue, county.OverlapCancel, county.OverlapAllow, county.DaysAny, county.DaysWorkday, county.DaysHoliday, county.DaysFirstWorkdays} {
			if !strings.Contains(table, "`"+word+"`") {
				t.Errorf("docs/%s: the word %s is not mentioned", file, word)
			}
		}
		example := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindStringSubmatch(text)
		if example == nil {
			t.Fatalf("docs/%s has no example", file)
		}
		dir := t.TempDir()
		for _, folder := range []string{"contracts", "jobs"} {
			if err := os.Mkdir(filepath.Join(dir, folder), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		contract := read(t, filepath.Join("examples", "receipt", "contracts", "receipt_events.yaml"))
		if err := os.WriteFile(filepath.Join(dir, "contracts", "receipt_events.yaml"), []byte(contract), 0o644); err != nil {
			t.Fatal(err)
		}
		yaml := "county: {division: \"000000\", name_zh: 示例, name_en: Example}\nsources:\n  - {name: registry, kind: file, datasets: [receipt_events], with: {directory: ., files: [{match: x, dataset: receipt_events}]}}\n" + example[1]
		if err := os.WriteFile(filepath.Join(dir, "county.yaml"), []byte(yaml), 0o644); err != nil {
			t.Fatal(err)
		}
		t.Setenv("JOBS_WEBHOOK", "https://hooks.example/x")
		c, _, err := county.Load(filepath.Join(dir, "county.yaml"), connectors.Kinds())
		if err != nil || len(c.Jobs) != 3 {
			t.Errorf("docs/%s: the example is not accepted: %v", file, err)
		}
	}
}
