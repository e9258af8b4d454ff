package semantic_test

import (
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/shirecounty/shire/schemas/semantic"
)

// field is how a contract holds a type with its parameters.
type field struct {
	Type   string          `yaml:"type"`
	Params semantic.Params `yaml:"params"`
}

func TestParamsKeepCodesAsTheyAreWritten(t *testing.T) {
	var f field
	text := "type: code\nparams:\n  table:\n    1: male\n    02: female\n    男: male\n    \"03\": 007\n    true: 1.50\n    0x1F: x\n    4: 5\n    6: 7.5\n"
	if err := yaml.Unmarshal([]byte(text), &f); err != nil {
		t.Fatal(err)
	}
	runTable(t, mustNew(t, f.Type, f.Params), []row{
		{"1", "male"}, {"01", "!unknown_code"}, {"02", "female"}, {"2", "!unknown_code"}, {"03", "007"}, {"true", "1.50"}, {"0x1F", "x"}, {"31", "!unknown_code"},
		{"4", "5"}, {"6", "7.5"},
	})

	f = field{}
	if err := yaml.Unmarshal([]byte("type: boolean\nparams: {true: [01, 有, y], false: [00, 无]}\n"), &f); err != nil {
		t.Fatal(err)
	}
	runTable(t, mustNew(t, f.Type, f.Params), []row{{"01", "true"}, {"1", "!unknown_code"}, {"00", "false"}, {"Y", "true"}})

	f = field{}
	if err := yaml.Unmarshal([]byte("type: text\nparams: {max: 20}\n"), &f); err != nil {
		t.Fatal(err)
	}
	mustNew(t, f.Type, f.Params)
}

func TestParamsExplainMistakes(t *testing.T) {
	for text, want := range map[string]string{
		"params: [a]":                                "a map of names",
		"params:\n  table: {a: b, a: c}":             "",
		"params:\n  table:\n    ? [a]\n    : b":      "",
		"params:\n  table: &t {a: b}\n  other: *t\n": "line 3: write the value out",
		"params:\n  max: !!str 3\n":                  "line 2: write the value out",
	} {
		var f field
		err := yaml.Unmarshal([]byte(text), &f)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: have %v, want an error with %q", text, err, want)
		}
	}
}
