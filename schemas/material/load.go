package material

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/shirecounty/shire/schemas/document"
	"github.com/shirecounty/shire/schemas/semantic"
)

//go:embed rules/*.yaml
var national embed.FS

// National are the rules that come with the program.
func National() (Rules, error) { return Load("") }

// Load reads the nation's rules, then those of the province (the files *.yaml in folder/province), then the county's own (folder/*.yaml): a
// rule replaces that of the same material in the layer before. An empty folder name is a county without rules of its own. The error is
// document.Problems.
func Load(folder string) (Rules, error) {
	rules := Rules{}
	if err := rules.layer(national, "rules", ""); err != nil {
		return nil, err
	}
	if folder == "" {
		return rules, nil
	}
	if _, err := os.ReadDir(folder); err != nil { // fs.Glob would take a folder that cannot be read for an empty one
		return nil, document.Problems{{File: folder, Message: "the folder of the material rules cannot be read: " + errors.Unwrap(err).Error(), Do: "check materials: in county.yaml"}}
	}
	for _, part := range []string{"province", "."} {
		if err := rules.layer(os.DirFS(folder), part, folder); err != nil {
			return nil, err
		}
	}
	return rules, nil
}

// layer reads the files of one jurisdiction; shown is the folder under which people know them.
func (r Rules) layer(from fs.FS, folder, shown string) error {
	names, err := fs.Glob(from, folder+"/*.yaml")
	if err != nil {
		return fmt.Errorf("list the material rules: %w", err)
	}
	var problems document.Problems
	own := Rules{}
	for _, name := range names {
		data, err := fs.ReadFile(from, filepath.ToSlash(filepath.Clean(name)))
		if err != nil {
			return fmt.Errorf("read the material rules %s: %w", filepath.Join(shown, name), err)
		}
		if err := own.add(filepath.Join(shown, name), data); err != nil {
			var found document.Problems
			if !errors.As(err, &found) {
				return err
			}
			problems = append(problems, found...)
		}
	}
	if len(problems) > 0 {
		return problems
	}
	for name, rule := range own {
		r[name] = rule
	}
	return nil
}

// add reads one file of a layer.
func (r Rules) add(name string, data []byte) error {
	var f file
	doc, err := document.Parse(name, data, &f)
	if err != nil {
		return err
	}
	codes, err := semantic.New("material_code", nil)
	if err != nil {
		return err
	}
	var problems document.Problems
	fail := func(path, do, format string, args ...any) {
		problems = append(problems, doc.At(path, fmt.Sprintf(format, args...), do))
	}
	if f.Jurisdiction.Zh == "" || f.Jurisdiction.En == "" {
		fail("$.jurisdiction", "write jurisdiction: {zh: …, en: …}", "the jurisdiction needs its name in both languages")
	}
	if len(f.Materials) == 0 {
		fail("$.materials", "list the rules, or take the file away", "there is no rule in this file")
	}
	for i, rule := range f.Materials {
		at := fmt.Sprintf("$.materials[%d]", i)
		before := len(problems)
		code, problem := codes.(semantic.TextType).ParseText(rule.Material)
		switch {
		case rule.Material == "":
			fail(at, "write material: and the code, as mart.submissions.material_code has it", "a rule does not say for which material it is")
		case problem != nil:
			fail(at+".material", "write letters, digits and -_. only", "%q is not the code of a material", rule.Material)
		}
		if _, twice := r[code]; twice && problem == nil {
			fail(at+".material", "keep one of them", "the material %s has two rules in this layer", code)
		}
		rule.prove(at, fail)
		if len(problems) > before {
			continue
		}
		rule.Material, rule.Jurisdiction = code, f.Jurisdiction
		if rule.Change == "" {
			rule.Change = Document
		}
		r[code] = rule
	}
	return problems.OrNil()
}

func (r *Rule) prove(at string, fail func(path, do, format string, args ...any)) {
	if r.Change != "" && !slices.Contains(changes, string(r.Change)) {
		fail(at+".change", document.DidYouMean(string(r.Change), changes), "%q is no kind of change", r.Change)
	}
	switch {
	case r.Change == Fields && len(r.Fields) == 0:
		fail(at, "write fields: with one or more of document, issuer, valid_from and valid_until", "the change is one of fields, and none is named")
	case r.Change != Fields && len(r.Fields) > 0:
		fail(at+".fields", "write change: fields, or leave fields out", "fields are compared only where the change is one of fields")
	}
	for i, field := range r.Fields {
		path := fmt.Sprintf("%s.fields[%d]", at, i)
		switch {
		case !slices.Contains(columns, field):
			fail(path, document.DidYouMean(field, columns), "papers are not told apart by %q", field)
		case slices.Contains(r.Fields[:i], field):
			fail(path, "keep one of them", "%s is named twice", field)
		}
	}
	if r.Source == "" {
		fail(at, "name the rule or practice in source:", "a rule needs its source")
	}
}
