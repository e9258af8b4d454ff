package document_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"github.com/shirecounty/shire/schemas/contract"
	"github.com/shirecounty/shire/schemas/county"
	"github.com/shirecounty/shire/schemas/identity"
	"github.com/shirecounty/shire/schemas/material"
)

var update = flag.Bool("update", false, "write the generated JSON Schemas anew")

var schemas = map[string]struct {
	generate func() ([]byte, error)
	examples []string // patterns
}{
	"../contract/contract.schema.json": {contract.JSONSchema, []string{"../../docs/examples/*/contracts/*.yaml"}},
	"../county/county.schema.json":     {county.JSONSchema, []string{"../../docs/examples/receipt/county.yaml"}},
	"../material/rules.schema.json":    {material.JSONSchema, []string{"../material/rules/*.yaml"}},
	"../identity/model.schema.json":    {identity.JSONSchema, []string{"../../docs/examples/identity/*.yaml"}},
}

func TestCommittedSchemasAreCurrent(t *testing.T) {
	for file, s := range schemas {
		want, err := s.generate()
		if err != nil {
			t.Fatal(err)
		}
		if *update {
			if err := os.WriteFile(file, want, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		got, err := os.ReadFile(file)
		if err != nil || string(got) != string(want) {
			t.Errorf("%s is not what the types say (%v): go test ./schemas/document -update", file, err)
		}
	}
}

func load(t *testing.T, generate func() ([]byte, error)) *validator {
	t.Helper()
	data, err := generate()
	if err != nil {
		t.Fatal(err)
	}
	v := &validator{}
	if err := json.Unmarshal(data, &v.root); err != nil {
		t.Fatal(err)
	}
	return v
}

func readYAML(t *testing.T, text []byte) any {
	t.Helper()
	var v any
	if err := yaml.Unmarshal(text, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

func TestSchemasAcceptTheExamples(t *testing.T) {
	for file, s := range schemas {
		v := load(t, s.generate)
		for _, pattern := range s.examples {
			examples, err := filepath.Glob(pattern)
			if err != nil || len(examples) == 0 {
				t.Fatalf("no example fits %s", pattern)
			}
			for _, example := range examples {
				text, err := os.ReadFile(example)
				if err != nil {
					t.Fatal(err)
				}
				if problems := v.check(readYAML(t, text)); len(problems) > 0 {
					t.Errorf("%s refuses %s:\n%s", file, example, strings.Join(problems, "\n"))
				}
			}
		}
	}
}

func TestSchemasRefuseMistakes(t *testing.T) {
	contractText := `{dataset: d, department: p, owner: {zh: a, en: b}, title: {zh: a, en: b}, version: 1, key: [k], sharing: {type: unconditional},
  fields: [{name: k, type: identifier, sensitivity: open}], emits: [{table: cases, columns: {case_number: k, item_code: {value: x}, document: [k, k]}}]}`
	countyText := `{county: {division: "350100", name_zh: 某县, name_en: X}, contracts: contracts, sources: [{name: s, kind: file, datasets: [d]}],
  jobs: [{name: a, do: {read: s}, every: 5m, missed: once, retries: {most: 3}}, {name: b, after: [a], do: review}],
  flow: {pack_rows: 10, pack_bytes: 1MiB, load_bytes: 1048576, load_age: "${AGE:-5s}"}, pseudonyms: {key: "${KEY}"}}`
	materialText := `{jurisdiction: {zh: 某县, en: X}, materials: [{material: LEASE, valid_days: 365, change: fields, fields: [issuer, valid_from], source: a rule}]}`
	for _, c := range []struct {
		name, text, wrong, right string
		generate                 func() ([]byte, error)
	}{
		{"typo in a key", contractText, "depratment: p", "department: p", contract.JSONSchema},
		{"typo in a field", contractText, "sensitvity: open", "sensitivity: open", contract.JSONSchema},
		{"unknown sharing", contractText, "type: uncondicional", "type: unconditional", contract.JSONSchema},
		{"no version", contractText, "update_cycle: daily", "version: 1", contract.JSONSchema},
		{"version 0", contractText, "version: 0", "version: 1", contract.JSONSchema},
		{"constant misspelt", contractText, "{valeu: x}", "{value: x}", contract.JSONSchema},
		{"number for a column", contractText, "case_number: 7", "case_number: k", contract.JSONSchema},
		{"typo in county.yaml", countyText, "contracs: contracts", "contracts: contracts", county.JSONSchema},
		{"typo in a job", countyText, "evry: 5m", "every: 5m", county.JSONSchema},
		{"unknown policy of a job", countyText, "missed: twice", "missed: once", county.JSONSchema},
		{"a job without work", countyText, "name: a}, {name: b", "name: a, do: {read: s}, every: 5m, missed: once, retries: {most: 3}}, {name: b", county.JSONSchema},
		{"a job's work is a list", countyText, "do: [review]", "do: review", county.JSONSchema},
		{"division too short", countyText, `division: "3501"`, `division: "350100"`, county.JSONSchema},
		{"no size", countyText, "pack_bytes: much", "pack_bytes: 1MiB", county.JSONSchema},
		{"no duration", countyText, `load_age: soon`, `load_age: "${AGE:-5s}"`, county.JSONSchema},
		{"secret in the clear", countyText, `key: open sesame`, `key: "${KEY}"`, county.JSONSchema},
		{"secret with a default in the clear", countyText, `key: "${KEY:-sesame}"`, `key: "${KEY}"`, county.JSONSchema},
		{"typo in a material rule", materialText, "valid_day: 365", "valid_days: 365", material.JSONSchema},
		{"unknown change of a paper", materialText, "change: field,", "change: fields,", material.JSONSchema},
		{"unknown column of a paper", materialText, "[issuer, from]", "[issuer, valid_from]", material.JSONSchema},
		{"a material rule without its source", materialText, "", ", source: a rule", material.JSONSchema},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := load(t, c.generate)
			if problems := v.check(readYAML(t, []byte(c.text))); len(problems) > 0 {
				t.Fatalf("the right text is refused: %s", strings.Join(problems, "\n"))
			}
			text := strings.Replace(c.text, c.right, c.wrong, 1)
			if text == c.text {
				t.Fatalf("%q does not stand in the text", c.right)
			}
			if problems := v.check(readYAML(t, []byte(text))); len(problems) == 0 {
				t.Fatalf("%q is accepted", c.wrong)
			}
		})
	}
}

// validator knows the words of JSON Schema that our schemas use; any other fails the test.
type validator struct{ root map[string]any }

func (v *validator) check(value any) []string { return v.node("$", v.root, value) }

func (v *validator) node(path string, schema map[string]any, value any) (problems []string) {
	fail := func(format string, args ...any) {
		problems = append(problems, path+": "+fmt.Sprintf(format, args...))
	}
	for _, word := range sortedKeys(schema) {
		argument := schema[word]
		switch word {
		case "$schema", "$id", "$defs", "title", "description", "examples", "default", "required", "properties", "additionalProperties":
		case "$ref":
			name := strings.TrimPrefix(argument.(string), "#/$defs/")
			problems = append(problems, v.node(path, v.root["$defs"].(map[string]any)[name].(map[string]any), value)...)
		case "type":
			if kind := kindOf(value); kind != argument && !(argument == "number" && kind == "integer") {
				fail("is %s, not %s", kind, argument)
			}
		case "enum":
			if !slices.Contains(argument.([]any), value) {
				fail("is none of %v", argument)
			}
		case "pattern":
			if s, ok := value.(string); ok && !regexp.MustCompile(argument.(string)).MatchString(s) {
				fail("does not fit %s", argument)
			}
		case "minimum", "maximum":
			if n, ok := number(value); ok && (word == "minimum" && n < argument.(float64) || word == "maximum" && n > argument.(float64)) {
				fail("is beyond the %s of %v", word, argument)
			}
		case "minItems", "maxItems":
			if list, ok := value.([]any); ok && (word == "minItems" && len(list) < int(argument.(float64)) || word == "maxItems" && len(list) > int(argument.(float64))) {
				fail("has %d items", len(list))
			}
		case "items":
			if list, ok := value.([]any); ok {
				for i, item := range list {
					problems = append(problems, v.node(fmt.Sprintf("%s[%d]", path, i), argument.(map[string]any), item)...)
				}
			}
		case "oneOf":
			fits := 0
			for _, choice := range argument.([]any) {
				if len(v.node(path, choice.(map[string]any), value)) == 0 {
					fits++
				}
			}
			if fits != 1 {
				fail("fits %d of the choices, not one", fits)
			}
		default:
			fail("the test does not know the word %s", word)
		}
	}
	if m, ok := value.(map[string]any); ok {
		problems = append(problems, v.object(path, schema, m)...)
	}
	return problems
}

func (v *validator) object(path string, schema map[string]any, m map[string]any) (problems []string) {
	required, _ := schema["required"].([]any)
	for _, name := range required {
		if _, given := m[name.(string)]; !given {
			problems = append(problems, fmt.Sprintf("%s: %s is missing", path, name))
		}
	}
	properties, _ := schema["properties"].(map[string]any)
	for _, name := range sortedKeys(m) {
		at := path + "." + name
		if property, ok := properties[name].(map[string]any); ok {
			problems = append(problems, v.node(at, property, m[name])...)
			continue
		}
		switch more := schema["additionalProperties"].(type) {
		case bool:
			if !more && properties[name] != true {
				problems = append(problems, at+": is not a key here")
			}
		case map[string]any:
			problems = append(problems, v.node(at, more, m[name])...)
		}
	}
	return problems
}

func kindOf(value any) string {
	switch n := value.(type) {
	case nil:
		return "null"
	case bool:
		return "boolean"
	case string:
		return "string"
	case []any:
		return "array"
	case map[string]any:
		return "object"
	case float64:
		if n == math.Trunc(n) {
			return "integer"
		}
		return "number"
	}
	return "integer"
}

func number(value any) (float64, bool) {
	switch n := value.(type) {
	case uint64:
		return float64(n), true
	case int64:
		return float64(n), true
	case float64:
		return n, true
	}
	return 0, false
}

func sortedKeys(m map[string]any) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
