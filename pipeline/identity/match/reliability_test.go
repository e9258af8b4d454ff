package match_test

import (
	"math"
	"strings"
	"testing"

	"github.com/shirecounty/shire/pipeline/identity/match"
	"github.com/shirecounty/shire/schemas/identity"
)

const modelText = `model: town
version: 1
about: person
source: office
fields:
- {name: name, kind: text}
- {name: born, kind: date}
- {name: sex, kind: category}
comparisons:
- {name: name, levels: [{name: exact, when: {is: exact, of: name}, term_frequency: [name]}]}
- {name: born, levels: [{name: exact, when: {is: exact, of: born}}, {name: year, when: {is: year, of: born}}]}
- {name: sex, levels: [{name: exact, when: {is: exact, of: sex}}]}
blocking:
- {keys: [name]}
thresholds: {link: 0.9, review: 0.1}
parameters:
  records: 1000
  pairs: 1000
  prior: 0.001
  comparisons:
    name: [{m: 0.9, u: 0.001, support: 1}, {m: 0.1, u: 0.999, support: 1}]
    born: [{m: 0.9025, u: 0.001, support: 1}, {m: 0.05, u: 0.02, support: 1}, {m: 0.0475, u: 0.979, support: 1}]
    sex: [{m: 0.99, u: 0.5, support: 1}, {m: 0.01, u: 0.5, support: 1}]
  frequencies:
    name: {unlisted: 0.0001, values: {ann: 0.01}}
`

const reliabilityText = `  reliability:
    born: {school: 0.7, police: 0.99}
    sex: {school: 0.5}
`

func compile(t testing.TB, text string) *match.Model {
	t.Helper()
	s, err := identity.Parse("model.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	m, err := match.Compile(s)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// What two sources add to a weight is what their reliabilities make of the level's probability.
func TestReliability(t *testing.T) {
	m, plain := compile(t, modelText+reliabilityText), compile(t, modelText)
	record := func(born, sex, source string) match.Record { return m.Prepare([]string{"ann", born, sex, source}) }
	bits := func(x float64) match.Weight { return match.Weight(math.Round(math.Log2(x) * match.Bit)) }
	for _, c := range []struct {
		what      string
		a, b      match.Record
		born, sex match.Weight
	}{
		{"a school's other date", record("2001-02-03", "f", "school"), record("1999-04-05", "f", "police"), bits((1 - .693) / (1 - .9025)), bits(.5 / .99)},
		{"a year that is the same", record("2001-02-03", "", "school"), record("2001-04-05", "f", "police"), bits((1 - .693) / (1 - .9025)), 0},
		{"dates that agree", record("2001-02-03", "", "school"), record("2001-02-03", "f", "police"), bits(.693 / .9025), 0},
		{"careful sources", record("2001-02-03", "f", "police"), record("1999-04-05", "f", "police"), bits((1 - .9801) / (1 - .9025)), 0},
		{"one is not listed", record("2001-02-03", "f", "hall"), record("2001-02-03", "f", "police"), bits(.99 / .95), 0},
		{"none is known", record("2001-02-03", "f", "hall"), record("1999-04-05", "m", ""), 0, 0},
		{"two that agree no more often than chance does say nothing", record("", "f", "school"), record("", "m", " school "), 0, bits(.5 / .01)},
	} {
		for _, p := range [][2]match.Record{{c.a, c.b}, {c.b, c.a}} {
			e, usual := m.Explain(p[0], p[1]), plain.Explain(p[0], p[1])
			sum := e.Prior
			for i, s := range e.Steps {
				want := map[string]match.Weight{"born": c.born, "sex": c.sex}[s.Comparison]
				if s.Source != want || s.Weight != usual.Steps[i].Weight+want || s.Rarity != usual.Steps[i].Rarity || s.Level != usual.Steps[i].Level {
					t.Errorf("%s: %+v; the usual is %+v, and the sources add %d", c.what, s, usual.Steps[i], want)
				}
				sum += s.Weight
			}
			if sum != e.Weight || e.Weight != m.Score(p[0], p[1]) {
				t.Errorf("%s: the steps come to %d and the weight is %d", c.what, sum, e.Weight)
			}
		}
	}
	if e := m.Explain(record("", "f", "school"), record("", "m", "school")); e.Steps[2].Weight != 0 {
		t.Errorf("sources that agree by chance say %+v", e.Steps[2])
	}
}

// A record's source is no evidence: it gives no key, and a model that does not tell sources apart leaves it out.
func TestSourceIsNoEvidence(t *testing.T) {
	m := compile(t, strings.Replace(modelText, "source: office\n", "", 1))
	values := []string{"ann", "2001-02-03", "f", "school"}
	if r := m.Prepare(values); len(r) != 3 || m.Width() != 3 {
		t.Errorf("a record has %d values", len(r))
	}
	n := compile(t, modelText+reliabilityText)
	a, b := n.Prepare(values), n.Prepare(append(values[:3:3], "police"))
	keys, others := n.Keys(a, nil), n.Keys(b, nil)
	if len(keys) != 1 || len(others) != 1 || keys[0] != others[0] {
		t.Errorf("by the source, the keys are %v and %v", keys, others)
	}
	v, _ := n.Vector(a, b)
	w, _ := m.Vector(m.Prepare(values), m.Prepare(values))
	if v != w || n.Conflict(a, b) {
		t.Errorf("by the source, the levels are %x and not %x", v, w)
	}
}
