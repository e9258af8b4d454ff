package batch

import (
	"math"

	"github.com/shirecounty/shire/schemas/identity"
)

// Report tells how well a file supports the parameters that were estimated from it.
type Report struct {
	Records    int         `json:"records"`
	Random     int         `json:"random_pairs"`     // compared to learn what chance does
	Candidates int64       `json:"candidate_pairs"`  // that the blocking rules give
	Matches    float64     `json:"expected_matches"` // expected number of matching pairs among them
	Iterations int         `json:"iterations"`
	Converged  bool        `json:"converged"`
	Parameters []Parameter `json:"parameters"`

	Reliability []Reliability `json:"reliability,omitempty"` // where records have sources
}

// Parameter is what is known of one level of a comparison, and how well.
type Parameter struct {
	Comparison string  `json:"comparison"`
	Level      string  `json:"level"`   // "disagrees" for the last
	M          float64 `json:"m"`       // its probability for two records of one party
	U          float64 `json:"u"`       // and of two parties
	Bits       float64 `json:"bits"`    // what it weighs: log2(m/u)
	Support    float64 `json:"support"` // expected number of matching pairs behind m
	Weak       bool    `json:"weak"`    // that is too few to rely on
}

// Reliability is what is known of a source by one comparison.
type Reliability struct {
	Comparison  string  `json:"comparison"`
	Source      string  `json:"source"`
	Reliability float64 `json:"reliability"` // two records of a party agree at the first level with the product of both sources' for probability
	Support     float64 `json:"support"`     // expected number of matching pairs behind it
	Weak        bool    `json:"weak"`        // that is too few: the model takes the source for average
}

// leastSupport is how many matching pairs an estimate of m should rest on. Thirty give it a relative error of a fifth.
const leastSupport = 30

// Parameters lists what a trained model knows.
func Parameters(m *identity.Model) (out []Parameter) {
	for _, c := range m.Comparisons {
		for l, e := range m.Parameters.Comparisons[c.Name] {
			level := "disagrees"
			if l < len(c.Levels) {
				level = c.Levels[l].Name
			}
			out = append(out, Parameter{c.Name, level, e.M, e.U, math.Log2(e.M / e.U), e.Support, e.Support < leastSupport})
		}
	}
	return out
}
