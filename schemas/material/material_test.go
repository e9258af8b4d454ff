package material

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/shirecounty/shire/schemas/document"
)

func write(t *testing.T, folder, name, text string) string {
	t.Helper()
	path := filepath.Join(folder, name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)); err != nil {
		t.Fatal(err)
	}
	return path
}

const head = "jurisdiction: {zh: 某县, en: A County}\nmaterials:\n"

// A layer replaces the rules of the one before, kind by kind.
func TestLayers(t *testing.T) {
	national, err := National()
	if err != nil || len(national) == 0 {
		t.Fatal(len(national), err)
	}
	for _, r := range national.All() {
		if r.Change != Document || !slices.Equal(r.Compared(), []string{"document"}) || r.Source == "" || r.Jurisdiction.En == "" {
			t.Errorf("%+v", r)
		}
	}
	folder := t.TempDir()
	write(t, folder, "province/p.yaml", strings.ReplaceAll(head, "A County", "A Province")+
		"  - {material: photograph, valid_days: 90, source: p}\n  - {material: LEASE, change: newer_issue, source: p}\n  - {material: DEED, valid_days: 7, source: p}\n")
	write(t, folder, "a.yaml", head+"  - {material: Lease, change: fields, fields: [issuer, valid_from], source: c}\n")
	write(t, folder, "b.yaml", head+"  - {material: DEED, source: c}\n")
	write(t, folder, "notes.txt", "no YAML: [")
	rules, err := Load(folder)
	if err != nil {
		t.Fatal(err)
	}
	if r := rules["PHOTOGRAPH"]; r.ValidDays != 90 || r.Jurisdiction.En != "A Province" {
		t.Errorf("the province's rule: %+v", r)
	}
	if r := rules["LEASE"]; r.Change != Fields || !slices.Equal(r.Compared(), []string{"issuer", "valid_from"}) || r.Jurisdiction.En != "A County" {
		t.Errorf("the county's rule: %+v", r)
	}
	if r, ok := rules["DEED"]; !ok || r.ValidDays != 0 { // the whole rule is replaced
		t.Errorf("the county takes the validity away: %+v", r)
	}
	if r := rules["MEDICAL-REPORT"]; r.ValidDays != national["MEDICAL-REPORT"].ValidDays || r.ValidDays == 0 {
		t.Errorf("the nation's rule: %+v", r)
	}
	if rules.Hash() == national.Hash() || rules.Hash() != func() string { again, _ := Load(folder); return again.Hash() }() {
		t.Error("the hash does not tell tables apart")
	}
	var names []string
	for _, r := range rules.All() {
		names = append(names, r.Material)
	}
	if !slices.IsSorted(names) || len(names) != len(rules) {
		t.Errorf("all rules: %v", names)
	}
}

// Every mistake is answered with its file, its line and what to write.
func TestMistakes(t *testing.T) {
	for _, x := range []struct{ text, line, message, do string }{
		{"materials:\n  - {material: A, source: s}\n", ":1", "name in both languages", "jurisdiction:"},
		{head, ":2", "no rule", "take the file away"},
		{head + "  - {valid_days: 3, source: s}\n", ":3", "for which material", "write material:"},
		{head + "  - material: A/B\n    source: s\n", ":3", `"A/B" is not the code`, "letters, digits"},
		{head + "  - {material: A, source: s}\n  - {material: a, source: s}\n", ":4", "A has two rules", "keep one"},
		{head + "  - material: A\n    source: s\n    valid_days: -1\n", ":5", "whole days", "leave valid_days out"},
		{head + "  - material: A\n    source: s\n    valid_days: 0\n", ":5", "whole days", "leave valid_days out"},
		{head + "  - material: A\n    source: s\n    valid_days: 40000\n", ":5", "whole days", "leave valid_days out"},
		{head + "  - material: A\n    source: s\n    change: newer\n", ":5", `"newer" is no kind`, `newer_issue`},
		{head + "  - material: A\n    source: s\n    change: fields\n", ":3", "none is named", "write fields:"},
		{head + "  - material: A\n    source: s\n    fields: [issuer]\n", ":5", "only where the change", "change: fields"},
		{head + "  - material: A\n    source: s\n    change: fields\n    fields:\n      - issuer\n      - isuer\n", ":8", `"isuer"`, `"issuer"`},
		{head + "  - material: A\n    source: s\n    change: fields\n    fields:\n      - issuer\n      - issuer\n", ":8", "twice", "keep one"},
		{head + "  - {material: A}\n", ":3", "needs its source", "source:"},
		{head + "  - {material: A, source: s, validdays: 3}\n", ":3", "validdays", "valid_days"},
		{head + "  - {material: A, source: s, valid_days: soon}\n", ":3", "whole days", ""},
		{"", ":1", "empty", ""},
	} {
		folder := t.TempDir()
		path := write(t, folder, "mine.yaml", x.text)
		rules, err := Load(folder)
		var problems document.Problems
		if !errors.As(err, &problems) || rules != nil || len(problems) != 1 {
			t.Errorf("%q: %v", x.text, err)
			continue
		}
		if got := err.Error(); !strings.HasPrefix(got, path+x.line+": ") || !strings.Contains(got, x.message) || !strings.Contains(problems[0].Do+got, x.do) {
			t.Errorf("%q: %v", x.text, err)
		}
	}
	if _, err := Load(filepath.Join(t.TempDir(), "nowhere")); err == nil || !strings.Contains(err.Error(), "materials:") {
		t.Error(err)
	}
}

// Whatever the bytes: an answer, and rules that the warehouse can take.
func FuzzRules(f *testing.F) {
	f.Add([]byte(head + "  - {material: A, valid_days: 3, change: fields, fields: [issuer], source: s}\n"))
	f.Add([]byte(head + "  - {material: A, change: newer_issue, source: s}\n"))
	f.Add([]byte("materials: [!x"))
	f.Fuzz(func(t *testing.T, data []byte) {
		rules := Rules{}
		if err := rules.add("x.yaml", data); err != nil {
			var problems document.Problems
			if !errors.As(err, &problems) || len(problems) == 0 {
				t.Fatal(err)
			}
			return
		}
		for name, r := range rules {
			if name == "" || name != r.Material || r.ValidDays < 0 || r.ValidDays > mostDays || !slices.Contains(changes, string(r.Change)) || (r.Change == NewerIssue) != (len(r.Compared()) == 0) {
				t.Errorf("%q: %+v", name, r)
			}
		}
	})
}
