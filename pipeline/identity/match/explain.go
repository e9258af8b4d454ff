package match

// Explanation tells how a score came about: the waterfall from the prior to the sum.
type Explanation struct {
	Model    string   `json:"model"`
	Prior    Weight   `json:"prior"`
	Steps    []Step   `json:"steps"`
	Doubts   []string `json:"doubts,omitempty"`   // that hold
	Weight   Weight   `json:"weight"`             // the score
	Conflict bool     `json:"conflict,omitempty"` // two different valid numbers
}

// Step is what one comparison contributes.
type Step struct {
	Comparison string `json:"comparison"`
	Level      string `json:"level"` // "missing" and "disagrees" are levels too
	Weight     Weight `json:"weight"`
	Rarity     Weight `json:"rarity,omitempty"` // the part of Weight that comes from how rare the value is
	Source     Weight `json:"source,omitempty"` // the part of Weight that comes from how reliable the sources are
}

// Explain is Score, told step by step. No value of the records stands in it (I7).
func (m *Model) Explain(a, b Record) Explanation {
	e := Explanation{Model: m.Version(), Prior: m.prior, Weight: m.Score(a, b), Conflict: m.Conflict(a, b)}
	pair := m.sources.pair(a, b)
	for i := range m.comparisons {
		c := &m.comparisons[i]
		s := Step{Comparison: c.name, Level: "missing"}
		if l := c.level(a, b); l >= 0 {
			s.Level = "disagrees"
			if l < len(c.levels) {
				s.Level = m.spec.Comparisons[i].Levels[l].Name
			}
			weight := c.weight(l, a, b)
			s.Rarity, s.Source = weight-c.weights[l], c.trusted(l, pair)
			s.Weight = weight + s.Source
		}
		e.Steps = append(e.Steps, s)
	}
	e.Doubts = m.Doubts(a, b)
	return e
}

// Doubts lists the doubts that hold between two records.
func (m *Model) Doubts(a, b Record) (names []string) {
	for _, d := range m.doubts {
		if d.holds(a, b) {
			names = append(names, d.name)
		}
	}
	return names
}
