package document_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/shirecounty/shire/schemas/document"
)

type inner struct {
	Title string `yaml:"title"`
	Count int    `yaml:"count"`
}

type outer struct {
	Name  string            `yaml:"name"`
	Items []inner           `yaml:"items"`
	Map   map[string]inner  `yaml:"map"`
	With  map[string]any    `yaml:"with"`
	Words map[string]string `yaml:"words"`
}

func TestMistakesNameTheLineAndWhatToWrite(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"empty", "", "f.yaml:1: the file is empty; start from an example under docs/examples"},
		{"comment only", "# nothing\n", "f.yaml:1: the file is empty; start from an example under docs/examples"},
		{"typo in a key", "\n\nnam: x\n", `f.yaml:3: "nam" is not a key here; did you mean "name"?`},
		{"typo below", "name: x\nitems:\n  - title: a\n  - tittle: b\n", `f.yaml:4: "tittle" is not a key here; did you mean "title"?`},
		{"nothing near", "zzzzzzzz: x\n", `f.yaml:1: "zzzzzzzz" is not a key here; valid are: count, items, map, name, title, with, words`},
		{"twice", "name: a\nname: b\n", `f.yaml:2: mapping key "name" already defined at [1:1]`},
		{"text for a number", "items:\n  - count: twelve\n", "f.yaml:2: a text stands here; write a number"},
		{"list for a text", "name: [a]\n", "f.yaml:1: a list stands here; write a text"},
		{"not closed", "items: [a\n", "f.yaml:1: sequence end token ']' not found"},
		{"two documents", "name: a\n---\nname: b\n", "f.yaml:2: the file holds more than one YAML document; keep one document in a file"},
		{"tab", "\tname: x\n", "f.yaml:1: tab character cannot use as a map key directly"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := document.Parse("f.yaml", []byte(c.text), &outer{})
			var problems document.Problems
			if !errors.As(err, &problems) {
				t.Fatalf("got %v, want Problems", err)
			}
			if err.Error() != c.want {
				t.Errorf("got  %v\nwant %s", err, c.want)
			}
		})
	}
}

func TestAtFindsTheLineOrTheNearestParent(t *testing.T) {
	doc, err := document.Parse("f.yaml", []byte("name: x\nitems:\n  - title: a\n    count: 1\n  - title: b\nmap:\n  k:\n    title: c\n"), &outer{})
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]int{
		"$.name": 1, "$.items[0].count": 4, "$.items[1]": 5, "$.items[1].count": 5, "$.map.k.title": 8, "$.map.k.count": 8, "$.nowhere": 1, "$": 1,
		"$.map.a b[": 7, "": 1,
	} {
		if got := doc.At(path, "m", "").Line; got != want {
			t.Errorf("%s is on line %d, want %d", path, got, want)
		}
	}
	if p := doc.At("$.name", "message", "do"); p.Error() != "f.yaml:1: message; do" {
		t.Errorf("the sentence is %q", p)
	}
}

func TestEnvironment(t *testing.T) {
	lookup := func(name string) (string, bool) {
		v, ok := map[string]string{"A": "va: [lue # x", "N": "12", "EMPTY": ""}[name]
		return v, ok
	}
	text := "name: ${A}/${MISSING:-by default}${EMPTY}\nitems:\n  - title: ${EMPTY:-not used}\n    count: ${N}\nwith:\n  deep: [{x: \"${N}\"}]\nwords:\n  k: ${A:-}\n"
	var o outer
	if _, err := document.ParseWithEnv("f.yaml", []byte(text), &o, lookup); err != nil {
		t.Fatal(err)
	}
	deep := o.With["deep"].([]any)[0].(map[string]any)["x"]
	if o.Name != "va: [lue # x/by default" || o.Items[0].Title != "" || o.Items[0].Count != 12 || deep != "12" || o.Words["k"] != "va: [lue # x" {
		t.Errorf("%+v", o)
	}
	_, err := document.ParseWithEnv("f.yaml", []byte("name: ${B}\nitems:\n  - title: ${C}\n"), &o, lookup)
	want := "f.yaml:1: the environment variable B is not set; export B=... before you start shire\n" +
		"f.yaml:3: the environment variable C is not set; export C=... before you start shire"
	if err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
	if _, err := document.Parse("f.yaml", []byte("name: ${B}\n"), &o); err != nil || o.Name != "${B}" {
		t.Errorf("Parse touched a placeholder: %q, %v", o.Name, err)
	}
}

func TestRead(t *testing.T) {
	var problems document.Problems
	if _, err := document.Read(filepath.Join(t.TempDir(), "none.yaml"), &outer{}); !errors.As(err, &problems) || !strings.Contains(err.Error(), "cannot be read") {
		t.Errorf("a missing file: %v", err)
	}
	file := filepath.Join(t.TempDir(), "f.yaml")
	if err := os.WriteFile(file, []byte("name: x"), 0o600); err != nil {
		t.Fatal(err)
	}
	var o outer
	if _, err := document.Read(file, &o); err != nil || o.Name != "x" {
		t.Errorf("%+v, %v", o, err)
	}
}

func TestNearest(t *testing.T) {
	valid := []string{"person_records", "cases", "case_steps"}
	for name, want := range map[string]string{"person_record": "person_records", "CASES": "cases", "casesteps": "case_steps", "qqqqqqqq": ""} {
		if got := document.Nearest(name, valid); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if document.Problems(nil).OrNil() != nil {
		t.Error("no problem is an error")
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{"name: x\nitems:\n  - title: ${A:-b}\n", "a: &x [*x]", "- !", "? [a]\n: b", "<<: {a: b}", "name: |\n  ${A}\n", "\xff", "---\n...\n---\n"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		doc, err := document.ParseWithEnv("f.yaml", []byte(text), &outer{}, func(string) (string, bool) { return "", false })
		var problems document.Problems
		if err != nil && !errors.As(err, &problems) {
			t.Fatalf("%T is no list of problems", err)
		}
		if err == nil && doc.At("$.items[0].title", "m", "").Line < 1 {
			t.Fatal("a problem without a line")
		}
	})
}
