package docs_test

import (
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/shirecounty/shire/jobs"
	"github.com/shirecounty/shire/jobs/command"
	"github.com/shirecounty/shire/jobs/statement"
	"github.com/shirecounty/shire/pipeline/warehouse"
	"github.com/shirecounty/shire/schemas/clickhouse"
)

var jobDocuments = []string{"jobs-commands.md", "jobs-commands.zh-CN.md"}

// Every setting is told of, and the examples are settings.
func TestJobSettingsAreDocumented(t *testing.T) {
	for _, file := range jobDocuments {
		text := read(t, file)
		for _, v := range []any{command.Settings{}, statement.Settings{}} {
			for i := range reflect.TypeOf(v).NumField() {
				name, _, _ := strings.Cut(reflect.TypeOf(v).Field(i).Tag.Get("json"), ",")
				if name != "" && !strings.Contains(text, "`"+name+"`") && !strings.Contains(text, "    "+name+": ") {
					t.Errorf("%s: the setting %s is not mentioned", file, name)
				}
			}
		}
		examples := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(text, -1)
		if len(examples) != 2 {
			t.Fatalf("%s: %d examples", file, len(examples))
		}
		for _, e := range examples {
			var job struct{ Do map[string]any }
			if err := yaml.Unmarshal([]byte(e[1]), &job); err != nil {
				t.Fatal(err)
			}
			resolve := func(p string) string { return p }
			if with, ok := job.Do["command"]; ok {
				if _, problems := command.Read("do.command", with, []string{"district"}, resolve); len(problems) > 0 {
					t.Errorf("%s: %v", file, problems)
				}
			} else if _, problems := statement.Read("do.sql", job.Do["sql"], []string{"district"}, resolve); len(problems) > 0 {
				t.Errorf("%s: %v", file, problems)
			}
		}
	}
}

// runJobStatements runs the SQL files of the documents as jobs, twice: another attempt gives the same.
func runJobStatements(t *testing.T, address func(user string) warehouse.Address) {
	for _, file := range jobDocuments {
		path := filepath.Join(t.TempDir(), "monthly.sql")
		if err := os.WriteFile(path, []byte(sqlBlock.FindStringSubmatch(read(t, file))[1]), 0o644); err != nil {
			t.Fatal(err)
		}
		s, problems := statement.Read("do.sql", map[string]any{"file": path, "write": true}, []string{"district"}, func(p string) string { return p })
		if problems = append(problems, s.Check("do.sql")...); len(problems) > 0 {
			t.Fatal(problems)
		}
		due := time.Date(2026, 12, 1, 2, 30, 0, 0, time.UTC)
		for range 2 {
			_, err := statement.New(s, address(clickhouse.Analyst), address(clickhouse.Jobs)).Do(t.Context(),
				jobs.Task{Run: "monthly@x", Job: "monthly", Attempt: 1, Due: due, From: due.AddDate(0, -1, 0), To: due, Parameters: map[string]string{"district": "370481"}}, new(strings.Builder))
			if err != nil {
				t.Errorf("%s: %v", file, err)
			}
		}
	}
}
