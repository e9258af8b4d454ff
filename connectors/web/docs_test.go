package web_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"github.com/shirecounty/shire/connectors"
	"github.com/shirecounty/shire/schemas/contract"
	"github.com/shirecounty/shire/schemas/county"
)

var pages = []string{"../../docs/connectors/http-pull.md", "../../docs/connectors/http-pull.zh-CN.md"}

func TestDocumentedSettingsAreSettings(t *testing.T) {
	for _, page := range pages {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		_, example, _ := strings.Cut(string(text), "```yaml\n")
		example, _, _ = strings.Cut(example, "```")
		var file struct{ Sources []county.Source }
		if err := yaml.Unmarshal([]byte(example), &file); err != nil {
			t.Fatal(page, err)
		}
		s := newRig(t, nil).settings()
		s.Source = file.Sources[0]
		s.Contracts = contract.Set{}
		for _, name := range s.Source.Datasets {
			d, err := contract.Parse(name, fmt.Appendf(nil, "%s", strings.NewReplacer("dataset: records", "dataset: "+name, "id", "number").Replace(recordsContract)), "Asia/Shanghai")
			if err != nil {
				t.Fatal(err)
			}
			s.Contracts[name] = d
		}
		if _, err := connectors.New(s); err != nil {
			t.Errorf("%s: %v", page, err)
		}
	}
}

func TestDocumentedProblems(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	code := regexp.MustCompile(`(?:refuse|notice|tell)\("([a-z_]+)"`)
	for _, page := range pages {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			source, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, found := range code.FindAllSubmatch(source, -1) {
				if !strings.Contains(string(text), "`"+string(found[1])+"`") {
					t.Errorf("%s does not say what %s means", page, found[1])
				}
			}
		}
	}
}
