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

// Both pages name every column of legal time that mart.cases has and every reason why it cannot be told, and what they say to write
// into county.yaml is taken.
func TestClocks(t *testing.T) {
	view := read(t, "../schemas/clickhouse/views/03_mart.cases.sql")
	names := regexp.MustCompile(`(?m)^    (legal_days|calendar_\w+|statutory_days|promised_days|stopped_days|clock_problem|supplements|special_procedures|reopened|stops_\w+) .* COMMENT|'((?:calendar|closed|reopened)_\w+)'`).FindAllStringSubmatch(view, -1)
	if len(names) < 13+3 {
		t.Fatalf("the view has %d such columns and problems", len(names))
	}
	for _, file := range []string{"clocks.md", "clocks.zh-CN.md"} {
		text := read(t, file)
		for _, m := range names {
			if name := m[1] + m[2]; !strings.Contains(text, "`"+name+"`") {
				t.Errorf("%s does not mention %s", file, name)
			}
		}
		line := regexp.MustCompile(`(?m)^    (clocks: .*)$`).FindStringSubmatch(text)
		if line == nil {
			t.Fatalf("%s shows no clocks:", file)
		}
		dir := t.TempDir()
		contract, err := os.ReadFile("examples/receipt/contracts/receipt_events.yaml")
		if err != nil {
			t.Fatal(err)
		}
		config := "county: {division: \"339921\", name_zh: 澄溪县}\ncontracts: .\nsources: []\n" + line[1] + "\n"
		for name, text := range map[string]string{"events.yaml": string(contract), "county/county.yaml": strings.Replace(config, "contracts: .", "contracts: ..", 1)} {
			path := filepath.Join(dir, name)
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		c, _, err := county.Load(filepath.Join(dir, "county/county.yaml"), connectors.Kinds())
		if err != nil || !c.Clocks.Rules().HalfDays {
			t.Errorf("%s: %q: %v", file, line[1], err)
		}
	}
}
