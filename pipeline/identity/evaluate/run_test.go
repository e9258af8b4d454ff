package evaluate

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/shirecounty/shire/pipeline/identity/match"
	"github.com/shirecounty/shire/schemas/identity"
)

const runModel = `
model: test
version: 1
about: person
fields:
- {name: name, kind: text}
- {name: number, kind: organisation_code, unique: true}
- {name: phone, kind: text}
- {name: town, kind: text}
comparisons:
- {name: name, levels: [{name: exact, when: {is: exact, of: name}}]}
- {name: number, levels: [{name: exact, when: {is: exact, of: number}}]}
- {name: phone, levels: [{name: exact, when: {is: exact, of: phone}}]}
- {name: town, levels: [{name: exact, when: {is: exact, of: town}}]}
blocking:
- {keys: [name]}
- {keys: [number]}
- {keys: [phone]}
- {keys: [town], at_most: 3}
thresholds: {link: 0.9, review: 0.3}
`

const runParameters = `
parameters:
  records: 10
  pairs: 10
  prior: 0.1
  comparisons:
    name: [{m: 0.9, u: 0.01, support: 1}, {m: 0.1, u: 0.99, support: 1}]
    number: [{m: 0.99, u: 0.001, support: 1}, {m: 0.01, u: 0.999, support: 1}]
    phone: [{m: 0.9, u: 0.1, support: 1}, {m: 0.1, u: 0.9, support: 1}]
    town: [{m: 0.6, u: 0.5, support: 1}, {m: 0.4, u: 0.5, support: 1}]
`

// Two valid codes.
const (
	oneCode   = "91350100M000100Y43"
	otherCode = "91110000600037341L"
)

func TestRun(t *testing.T) {
	m, err := identity.Parse("model.yaml", []byte(runModel+runParameters))
	if err != nil {
		t.Fatal(err)
	}
	rows := []string{
		"a1,anna," + oneCode + ",1,here,a", "a2,anna," + oneCode + ",1,,a", // right
		"b1,bert,,,,b", "b2,bert,,,,c", // linked, and two
		"d1,dora," + oneCode + "x,,,d", "d2,dorothea,,77,,d", // nothing in common
		"e1,emil," + otherCode + ",,,e", "e2,emil," + strings.Replace(otherCode, "91", "92", 1) + ",,,e", // the second is not valid
		"f1,,,5,,f", "f2,,,5,,f", // a phone is enough to ask
		"g1,gina,,6,,", "g2,gina,,6,,", // nobody knows
		"h1,hans,,8,,h", "h2,hugo,,8,,h", // a phone and two names
	}
	l, err := NewLayout(m, map[string]string{"town": "where"})
	if err != nil {
		t.Fatal(err)
	}
	l.Truth, l.ID = "ent", "id"
	file := write(t, []byte("id,name,number,phone,where,ent\n"+strings.Join(rows, "\n")+"\n"))
	var stages []string
	e, err := Run(t.Context(), m, file, l, Options{Draws: 50, Seed: 1, Errors: 9}, func(stage string, done, total int) {
		if !slices.Contains(stages, stage) {
			stages = append(stages, stage)
		}
		if done > total {
			t.Errorf("%s: %d of %d", stage, done, total)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(stages); got != "[read prepare block compare cluster]" {
		t.Errorf("stages %s", got)
	}
	var errors []string
	for _, x := range e.Errors {
		errors = append(errors, fmt.Sprintf("%s %s-%s %s", x.Kind, x.A, x.B, x.Reason))
	}
	want := "false b1-b2 linked; missed d1-d2 not_compared; missed e1-e2 weak; missed f1-f2 undecided; missed h1-h2 weak"
	if got := strings.Join(errors, "; "); got != want {
		t.Errorf("errors %s\nwant   %s", got, want)
	}
	q := e.Quality
	if e.Records != 14 || q.Records != 12 || q.TruePairs != 1 || q.FalsePairs != 1 || q.MissedPairs != 4 || e.Pairs != 5 || e.Trained != nil || e.Late.Records != 1 || e.Single.Sample != 14 {
		t.Errorf("%+v", e)
	}
	if e.Calibration.Pairs != 3 || e.Intervals == nil || e.Intervals.Draws != 50 {
		t.Errorf("calibration %+v, intervals %+v", e.Calibration, e.Intervals)
	}
	if size, ok := PeakMemory(); ok && (size < 1<<20 || e.PeakMemory == 0) {
		t.Errorf("peak memory %d, %d", size, e.PeakMemory)
	}
}

// A reason is given for every way in which two records can be together or apart.
func TestReasons(t *testing.T) {
	s, err := identity.Parse("model.yaml", []byte(runModel+runParameters))
	if err != nil {
		t.Fatal(err)
	}
	m, err := match.Compile(s)
	if err != nil {
		t.Fatal(err)
	}
	strong, some, little := m.Link(), m.Review(), m.Review()-1
	for _, c := range []struct {
		weight                       match.Weight
		conflict, together, compared bool
		want                         Reason
	}{
		{strong, false, true, true, Linked}, {strong, false, true, false, Chained}, {little, true, true, true, Chained},
		{strong, true, false, true, Conflict}, {strong, false, false, false, NotCompared}, {strong, false, false, true, Outvoted},
		{some, false, false, true, Undecided}, {little, false, false, true, Weak},
	} {
		e := &match.Explanation{Weight: c.weight, Conflict: c.conflict}
		if got := reason(m, e, c.together, c.compared); got != c.want {
			t.Errorf("%+v: %s", c, got)
		}
	}
}
