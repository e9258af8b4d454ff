package docs_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/shirecounty/shire/connectors"
	"github.com/shirecounty/shire/portal/signon"
	"github.com/shirecounty/shire/schemas/county"
)

// Both languages mention all that may be written of the provider and every code of a refusal; the example is one that is accepted, and
// says the same in both.
func TestSignInMentionsAll(t *testing.T) {
	var examples []string
	for _, file := range []string{"sign-in.md", "sign-in.zh-CN.md"} {
		text := read(t, file)
		for _, word := range slices.Concat(keys(county.OIDC{}), keys(county.Rights{}), county.PortalRights, signon.Codes) {
			if !strings.Contains(text, "`"+word+"`") {
				t.Errorf("docs/%s: %s is not mentioned", file, word)
			}
		}
		example := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindStringSubmatch(text)
		if example == nil {
			t.Fatalf("docs/%s has no example", file)
		}
		examples = append(examples, example[1])
	}
	if examples[0] != examples[1] {
		t.Error("the examples differ")
	}
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "contracts"), 0o755); err != nil {
		t.Fatal(err)
	}
	contract := read(t, "examples/receipt/contracts/"+firstContract(t))
	if err := os.WriteFile(filepath.Join(dir, "contracts", "a.yaml"), []byte(contract), 0o600); err != nil {
		t.Fatal(err)
	}
	text := "county: {division: \"350100\", name_zh: 某县}\ncontracts: contracts\nsources: []\ndepartments: {civil_affairs: {zh: 民政局, en: Civil affairs}}\n" + examples[0]
	file := filepath.Join(dir, "county.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("SHIRE_OIDC_SECRET", "only-for-tests")
	if _, _, err := county.Load(file, connectors.Kinds()); err != nil {
		t.Errorf("the example is not accepted: %v", err)
	}
}

func firstContract(t *testing.T) string {
	t.Helper()
	files, err := filepath.Glob("examples/receipt/contracts/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("the examples have no contract: %v", err)
	}
	return filepath.Base(files[0])
}
