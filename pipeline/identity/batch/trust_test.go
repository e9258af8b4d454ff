package batch

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/shirecounty/shire/pipeline/identity/match"
	"github.com/shirecounty/shire/schemas/identity"
)

const townText = `
model: town
version: 1
about: person
source: source
fields:
- {name: name, kind: text}
- {name: born, kind: date}
- {name: phone, kind: text}
- {name: street, kind: text}
comparisons:
- {name: name, levels: [{name: exact, when: {is: exact, of: name}}]}
- {name: born, levels: [{name: exact, when: {is: exact, of: born}}, {name: year, when: {is: years, of: born, at_most: 1}}]}
- {name: phone, levels: [{name: exact, when: {is: exact, of: phone}}]}
- {name: street, levels: [{name: exact, when: {is: exact, of: street}}]}
blocking:
- {keys: [name], at_most: 100}
- {keys: [phone], at_most: 100}
thresholds: {link: .99, review: 0.05}
`

// careless is how often the school is wrong about a date of birth. All others are right.
const careless = .3

// town is the records of a town's people by its police, hospital, town hall and, fewest of all, its school, and whom each
// record is about. It tells how often the school was wrong.
func town(people int) (in *Input, truth []int, wrong float64) {
	random := rand.New(rand.NewPCG(9, 7))
	date := func() string {
		return fmt.Sprintf("%d-%02d-%02d", 1940+random.IntN(70), 1+random.IntN(12), 1+random.IntN(28))
	}
	in = &Input{}
	pupils := 0.
	for person := range people {
		name, born, phone := fmt.Sprint("name ", random.IntN(people)), date(), fmt.Sprint(13900000000+person)
		street := func() string { return fmt.Sprint("street ", random.IntN(1000)) }
		lives := street()
		for _, source := range []string{"police", "hospital", "hall", "school"} {
			if source == "school" && random.IntN(5) > 0 {
				continue
			}
			said := []string{name, born, phone, lives, source}
			if source == "school" {
				pupils++
				if random.Float64() < careless {
					said[1] = date()
					wrong++
				}
			}
			if random.IntN(100) == 0 {
				said[0] = fmt.Sprint("name ", random.IntN(people))
			}
			if random.IntN(2) == 0 {
				said[2] = ""
			}
			if random.IntN(10) == 0 {
				said[3] = street()
			}
			in.Add(said)
			truth = append(truth, person)
		}
	}
	return in, truth, wrong / pupils
}

// trained trains a model on records and resolves them by it: it gives the pairs that were missed, and those that are false.
func trained(t *testing.T, text string, in *Input, truth []int) (report Report, spec *identity.Model, missed, wrong int) {
	t.Helper()
	p, err := Prepare(t.Context(), load(t, text), in, quiet)
	if err != nil {
		t.Fatal(err)
	}
	spec, report, err = p.Train(t.Context(), 1, quiet)
	if err != nil || !report.Converged {
		t.Fatalf("training came to %+v (%v)", report, err)
	}
	m, err := match.Compile(spec)
	if err != nil {
		t.Fatal(err)
	}
	res, err := p.Resolve(t.Context(), m, quiet)
	if err != nil {
		t.Fatal(err)
	}
	found := map[int]map[int32]int{} // by person: records in each party
	party := map[int32]int{}
	for i, person := range truth {
		if found[person] == nil {
			found[person] = map[int32]int{}
		}
		found[person][res.Cluster[i]]++
		party[res.Cluster[i]]++
	}
	pairs := func(n int) int { return n * (n - 1) / 2 }
	for _, n := range party {
		wrong += pairs(n)
	}
	for _, parts := range found {
		all := 0
		for _, n := range parts {
			all += n
			missed -= pairs(n)
			wrong -= pairs(n)
		}
		missed += pairs(all)
	}
	return report, spec, missed, wrong
}

// That a careless source says otherwise speaks less against two records: what was missed is found, and careful sources are
// believed the more.
func TestSourcesThatAreCareless(t *testing.T) {
	in, truth, careless := town(5000)
	_, plain, missed, wrong := trained(t, strings.Replace(townText, "source: source\n", "", 1), in, truth)
	if plain.Parameters.Reliability != nil {
		t.Errorf("a model that does not tell sources apart knows %v", plain.Parameters.Reliability)
	}
	report, spec, missedBy, wrongBy := trained(t, townText, in, truth)
	t.Logf("sources alike: %d pairs missed, %d false; told apart: %d and %d", missed, wrong, missedBy, wrongBy)
	if missedBy >= missed || wrongBy > wrong {
		t.Errorf("telling sources apart misses %d pairs and not %d, and makes %d false ones and not %d", missedBy, missed, wrongBy, wrong)
	}
	for _, r := range report.Reliability {
		t.Logf("%s %s: %.4f by %.0f pairs", r.Comparison, r.Source, r.Reliability, r.Support)
		if r.Comparison != "born" {
			continue
		}
		want := 1.
		if r.Source == "school" {
			want = 1 - careless
		}
		if math.Abs(r.Reliability-want) > .04 || r.Weak || spec.Parameters.Reliability["born"][r.Source] != r.Reliability {
			t.Errorf("the %s's dates of birth are taken to be right in %v of its records, by %v matching pairs", r.Source, r.Reliability, r.Support)
		}
	}
	if len(report.Reliability) != 4*4 {
		t.Errorf("%d reliabilities are reported, of four comparisons and four sources", len(report.Reliability))
	}
	text, err := spec.Text()
	if err != nil {
		t.Fatal(err)
	}
	load(t, string(text)) // what is written can be read
}

// However many sources a file has, those with the most records are told apart, and the rest is average.
func TestManySources(t *testing.T) {
	in, truth, _ := town(1000)
	many := &Input{}
	in.Complete()
	for i := range truth {
		values := in.Values(i, nil)
		many.Add(append(values[:4], fmt.Sprint("source ", i%(i%100+1)))) // the first numbers most often
	}
	report, spec, _, _ := trained(t, townText, many, truth)
	if n := len(report.Reliability); n != 4*identity.MaxSources {
		t.Errorf("%d reliabilities are reported", n)
	}
	born := spec.Parameters.Reliability["born"]
	if len(born) == 0 || len(born) > identity.MaxSources || born["source 0"] == 0 {
		t.Errorf("the model knows %v", born)
	}
	weak := 0
	for _, r := range report.Reliability {
		if _, listed := spec.Parameters.Reliability[r.Comparison][r.Source]; listed == r.Weak {
			t.Errorf("%+v, and it is listed: %v", r, listed)
		}
		if r.Weak {
			weak++
		}
	}
	if weak == 0 {
		t.Error("no source has too few pairs")
	}
}
