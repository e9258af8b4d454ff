package identity_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/shirecounty/shire/pipeline/identity/match"
	"github.com/shirecounty/shire/schemas/identity"
)

const good = `model: person
version: 1
about: person
fields:
- {name: name, kind: text}
- {name: born, kind: date}
comparisons:
- name: name
  levels:
  - {name: exact, when: {is: exact, of: name}, term_frequency: [name]}
  - {name: similar, when: {is: jaro_winkler, of: name, at_least: 0.9}}
- name: born
  levels:
  - {name: near, when: {is: years, of: born, at_most: 1}}
blocking:
- {keys: [name.prefix(3), born.year]}
thresholds: {link: 0.95, review: 0.05}
`

// A mistake is told with its file and line, with what is wrong and what to write instead.
func TestMistakesInModels(t *testing.T) {
	for _, c := range []struct{ from, to, want string }{
		{"version: 1", "version: 1\ncolour: red", `model.yaml:3: "colour" is not a key here; did you mean "column"?`},
		{"kind: text", "kind: txet", `model.yaml:5: there is no kind of evidence "txet"; did you mean "text"?`},
		{"is: exact, of: name", "is: exakt, of: name", `model.yaml:10: a text cannot be compared by "exakt"; did you mean "exact"?`},
		{"is: exact, of: name", "is: exact, of: nam", `model.yaml:10: there is no field "nam"; did you mean "name"?`},
		{"term_frequency: [name]", "term_frequency: [nam]", `there is no field "nam"; did you mean "name"?`},
		{", at_least: 0.9", "", `the comparator jaro_winkler is a similarity; write at_least: with a number from 0 to 1`},
		{"at_most: 1", "at_least: 1", `the comparator years is a distance; write at_most: with a number`},
		{"{is: exact, of: name}", "{is: exact, of: name, at_most: 1}", `the comparator exact takes no at_least or at_most; leave it out`},
		{"{is: exact, of: name}", "{is: exact, of: name, missing: born}", `a condition has exactly one of is, swapped, missing, all, any and not`},
		{"{is: exact, of: name}", "{is: exact, of: name, with: born}", `name is a text and born is a date; compare fields of one kind`},
		{"{is: exact, of: name}", "{swapped: [name]}", `swapped names two fields; write for instance swapped: [first_name, surname]`},
		{"born.year", "born.yaer", `model.yaml:16: a date has no key "yaer"; did you mean "year"?`},
		{"name.prefix(3)", "name.prefix", `the key "name.prefix" is not written so; write a number in brackets, for instance name.prefix(3)`},
		{"name.prefix(3)", "name prefix", `there is no field "name prefix"`},
		{"born.year]", "born.year], damp: true", `only a rule of a single field can be damped; leave damp out, or the other keys`},
		{"born.year]", "born.year], at_most: 1", `a block of at most 1 gives no pairs; write 2 or more, or leave it out`},
		{"link: 0.95", "link: 0.01", `write probabilities: 0 < review <= link < 1`},
		{"about: person", "about: dog", `a model cannot be about "dog"; write person or organisation`},
	} {
		text := strings.Replace(good, c.from, c.to, 1)
		s, err := identity.Parse("model.yaml", []byte(text))
		if err == nil {
			_, err = match.Compile(s)
		}
		if err == nil {
			t.Errorf("with %q for %q the model is taken", c.to, c.from)
			continue
		}
		if !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "model.yaml:") {
			t.Errorf("with %q for %q the model is refused with\n%v\nand not with\n%s", c.to, c.from, err, c.want)
		}
	}
	s, err := identity.Parse("model.yaml", []byte(good))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := match.Compile(s); err != nil {
		t.Fatal(err)
	}
}

func TestParametersMustFitTheModel(t *testing.T) {
	const parameters = `parameters:
  records: 2
  pairs: 1
  prior: 0.01
  comparisons:
    name: [{m: 0.9, u: 0.1, support: 1}, {m: 0.05, u: 0.1, support: 1}, {m: 0.05, u: 0.8, support: 1}]
    born: [{m: 0.9, u: 0.1, support: 1}, {m: 0.1, u: 0.9, support: 1}]
  frequencies:
    name: {unlisted: 0.1, values: {ann: 0.5}}
  reliability:
    born: {school: 0.7, police: 0.99}
`
	good := strings.Replace(good, "fields:", "source: office\nfields:", 1)
	many := ""
	for i := range identity.MaxSources {
		many += fmt.Sprintf("s%d: 0.9, ", i)
	}
	if _, err := identity.Parse("model.yaml", []byte(good+parameters)); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ from, to, want string }{
		{"prior: 0.01", "prior: 1", "the prior 1 is no probability"},
		{"born: [{m: 0.9, u: 0.1, support: 1}, ", "born: [", "the comparison born has 1 levels and disagreement, and parameters for 1"},
		{"m: 0.05", "m: 0", "are no probabilities above 0"},
		{"    born:", "    bron:", `there is no comparison "bron"`},
		{"    name: {", "    nmae: {", `there is no field "nmae"; did you mean "name"?`},
		{"ann: 0.5", "ann: 2", "a value's share is no probability above 0"},
		{"born: {", "bron: {", `model.yaml:29: there is no comparison "bron"; train the model again`},
		{"school: 0.7", "school: 1", `model.yaml:29: the reliability 1 of the source "school" is not between 0 and 1`},
		{"born: {", "born: {" + many, `model.yaml:29: 66 sources are named, and a model may name 64; leave out those with the fewest records`},
		{"source: office\n", "", `sources are named, and the model does not say where a record comes from; write source: with the name of the column`},
	} {
		_, err := identity.Parse("model.yaml", []byte(strings.Replace(good+parameters, c.from, c.to, 1)))
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "model.yaml:") {
			t.Errorf("with %q for %q: %v; it should say %s", c.to, c.from, err, c.want)
		}
	}
}
