// Package docs_test keeps the documentation true to the code that it describes.
package docs_test

import (
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/shirecounty/shire/connectors"
	_ "github.com/shirecounty/shire/connectors/file"
	"github.com/shirecounty/shire/schemas/canonical"
	"github.com/shirecounty/shire/schemas/contract"
	"github.com/shirecounty/shire/schemas/county"
	"github.com/shirecounty/shire/schemas/material"
	"github.com/shirecounty/shire/schemas/metrics"
	"github.com/shirecounty/shire/schemas/semantic"
)

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// part is what stands under a heading, up to the next of the same depth or above.
func part(t *testing.T, text, heading string) string {
	t.Helper()
	_, after, found := strings.Cut(text, "\n"+heading+"\n")
	if !found {
		t.Fatalf("there is no %q", heading)
	}
	depth := strings.Index(heading, " ")
	if at := regexp.MustCompile(`(?m)^#{1,` + string(rune('0'+depth)) + `} `).FindStringIndex(after); at != nil {
		after = after[:at[0]]
	}
	return after
}

func mentions(t *testing.T, where, text, name string) {
	t.Helper()
	if !strings.Contains(text, "`"+name+"`") {
		t.Errorf("docs/contracts.md, %s: %s is not mentioned", where, name)
	}
}

func TestContractsMentionsAllThatMayBeWritten(t *testing.T) {
	text := read(t, "contracts.md")
	types := part(t, text, "## Semantic types")
	for _, d := range semantic.Definitions() {
		mentions(t, "semantic types", types, d.Name)
		for _, p := range d.Params {
			mentions(t, "parameters of "+d.Name, types, p.Name)
		}
		row, _, _ := strings.Cut(types[max(strings.Index(types, "| `"+d.Name+"`"), 0):], "\n")
		if strings.Contains(row, "**Personal.**") != d.Personal {
			t.Errorf("docs/contracts.md: whether %s is personal differs from the code, which says %v", d.Name, d.Personal)
		}
	}
	model := part(t, text, "## The county's model")
	for _, table := range canonical.Tables {
		if table.Own {
			continue // no contract of a department fills it: docs/identity.md tells of these
		}
		columns := part(t, model, "### `"+table.Name+"`")
		for _, name := range table.Mappable() {
			mentions(t, table.Name, columns, name)
			_, c := table.Column(name)
			row, _, _ := strings.Cut(columns[max(strings.Index(columns, "| `"+name+"`"), 0):], "\n")
			if strings.Contains(row, ", required |") != c.Required || strings.Contains(row, "| pseudonym") != (c.Origin == canonical.Pseudonym) {
				t.Errorf("docs/contracts.md, %s.%s: %q differs from the code", table.Name, name, row)
			}
		}
	}
	for _, v := range []any{contract.Dataset{}, contract.Field{}, contract.Emit{}, contract.When{}, contract.Between{}, contract.Check{}, contract.Owner{}, contract.Sharing{}, contract.Drift{}} {
		for _, key := range keys(v) {
			if !regexp.MustCompile("[`{ ]" + key + "[`:]").MatchString(text) {
				t.Errorf("docs/contracts.md: the key %s of %T is not mentioned", key, v)
			}
		}
	}
	for _, code := range semantic.Codes() {
		mentions(t, "why a row is refused", part(t, text, "## Why a row is refused"), code)
	}
}

func keys(v any) (names []string) {
	t := reflect.TypeOf(v)
	for i := range t.NumField() {
		if name, _, _ := strings.Cut(t.Field(i).Tag.Get("yaml"), ","); name != "" && name != "-" {
			names = append(names, name)
		}
	}
	return names
}

// Every metric stands in the table, with its label and which way is better; and the example is a metric.
func TestMetricsAreToldOf(t *testing.T) {
	set, err := metrics.Load()
	if err != nil {
		t.Fatal(err)
	}
	for file, words := range map[string]map[string]string{
		"metrics.md":       {"heading": "## The metrics", "own": "## A metric of your own", "papers": "## When a paper is a repeat", "up": "| up |", "down": "| down |"},
		"metrics.zh-CN.md": {"heading": "## 有哪些指标", "own": "## 自己的指标", "papers": "## 怎样算重复提交", "up": "| 升 |", "down": "| 降 |"},
	} {
		text := read(t, file)
		rows := strings.Split(part(t, text, words["heading"]), "\n")
		for _, d := range set.All() {
			at := slices.IndexFunc(rows, func(row string) bool { return strings.HasPrefix(row, "| `") && strings.Contains(row, "`"+d.Name+"`") })
			if at < 0 || !strings.HasSuffix(rows[at], words[d.Better]) || !strings.Contains(rows[at], strings.TrimLeft(d.Label.Zh, "同跨部门")) {
				t.Errorf("docs/%s: %s (%s, better %s) is not in the table", file, d.Name, d.Label.Zh, d.Better)
			}
		}
		for _, name := range slices.Concat(metrics.States, metrics.CoverageStates, metrics.Warnings, []string{metrics.Simple, metrics.Ratio, metrics.Derived, metrics.Survival}) {
			if !strings.Contains(text, "`"+name+"`") {
				t.Errorf("docs/%s: %s is not mentioned", file, name)
			}
		}
		yaml := regexp.MustCompile("(?s)```yaml\n(.*?)```")
		rules := t.TempDir()
		if err := os.WriteFile(filepath.Join(rules, "ours.yaml"), []byte(yaml.FindStringSubmatch(part(t, text, words["papers"]))[1]), 0o644); err != nil {
			t.Fatal(err)
		}
		if found, err := material.Load(rules); err != nil || found["MEDICAL-REPORT"].Change != material.NewerIssue {
			t.Errorf("docs/%s: %v: %v", file, found, err)
		}
		example := yaml.FindStringSubmatch(part(t, text, words["own"]))
		if _, err := metrics.LoadFS(fstest.MapFS{"on_time_rate.yaml": {Data: []byte(example[1])}}); err != nil {
			t.Errorf("docs/%s: %v", file, err)
		}
	}
}

// The worked example is a county that `shire check` accepts.
func TestWorkedExample(t *testing.T) {
	blocks := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(part(t, read(t, "contracts.md"), "## A worked example"), -1)
	if len(blocks) != 2 {
		t.Fatalf("%d blocks of YAML, want county.yaml and a contract", len(blocks))
	}
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "contracts"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"county.yaml": blocks[0][1], "contracts/felling_permits.yaml": blocks[1][1]} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := county.Load(filepath.Join(dir, "county.yaml"), connectors.Kinds()); err != nil {
		t.Error(err)
	}
}

var link = regexp.MustCompile(`\]\(([^)#\s]+)(#[^)\s]*)?\)`)

// What the documents point to is there.
func TestLinks(t *testing.T) {
	files := []string{"../README.md", "../README.zh-CN.md"}
	for _, pattern := range []string{"*.md", "decisions/*.md"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, found...)
	}
	for _, file := range files {
		for _, m := range link.FindAllStringSubmatch(read(t, file), -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			if _, err := os.Stat(filepath.Join(filepath.Dir(file), m[1])); err != nil {
				t.Errorf("%s points to %s, which is not there", file, m[1])
			}
		}
	}
}

var source = regexp.MustCompile("`((?:cmd|connectors|deploy|jobs|pipeline|portal|schemas)/[\\w./-]+\\.(?:go|sql|yaml|tsx?|css))`")

// Files of the program that the documents name are there.
func TestNamedFiles(t *testing.T) {
	files, err := filepath.Glob("decisions/*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range append(files, "architecture.md", "contracts.md", "../README.md", "../README.zh-CN.md") {
		for _, m := range source.FindAllStringSubmatch(read(t, file), -1) {
			if _, err := os.Stat(filepath.Join("..", m[1])); err != nil {
				t.Errorf("%s names %s, which is not there", file, m[1])
			}
		}
	}
}
