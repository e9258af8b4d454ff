package match

import (
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/cespare/xxhash/v2"

	"github.com/shirecounty/shire/pipeline/identity/evidence"
	"github.com/shirecounty/shire/schemas/identity"
)

// Two records of one party agree at a comparison's first level with the probability m where their sources are average, and
// with the product of their sources' reliabilities where these are known. A school that types dates of birth carelessly
// is often wrong about them: that its date is another speaks less against two records than if the police had typed both.

// sources are those whose reliability a model knows, numbered from 1 on; 0 is any other.
type sources struct {
	place  int            // of a record's source among its values; 0 where the model does not tell sources apart
	number map[uint64]int // by the hash of the name; nil where none is known
}

// trust is what two sources add to the weight of a comparison's first level, and to that of every other.
type trust struct{ first, other Weight }

// mostAgreement is how often two sources agree at most: what was never seen to differ may.
const mostAgreement = .9999

// sourceKind prepares the name of a source.
var sourceKind = evidence.Kind{
	Name: "source",
	Prepare: func(raw string) (evidence.Value, bool) {
		name := strings.TrimSpace(raw)
		return evidence.Value{Text: name, Hash: xxhash.Sum64String(name)}, name != ""
	},
}

// Width is how many values a record has: one for each field and, where the model tells sources apart, its source.
func (m *Model) Width() int { return len(m.kinds) }

// Source is the place of a record's source among its values; false where the model does not tell sources apart.
func (m *Model) Source() (place int, ok bool) { return m.sources.place, m.sources.place > 0 }

// pair is the place of two records' sources in the tables of comparisons.
func (s *sources) pair(a, b Record) int {
	if s.number == nil {
		return 0
	}
	return s.of(a)*(len(s.number)+1) + s.of(b)
}

func (s *sources) of(r Record) int {
	if v := r[s.place]; v != nil {
		return s.number[v.Hash]
	}
	return 0
}

// rely makes the tables of reliability.
func (m *Model) rely(p *identity.Parameters) {
	named := map[string]bool{}
	for _, r := range p.Reliability {
		for name := range r {
			named[name] = true
		}
	}
	if _, told := m.Source(); !told || len(named) == 0 {
		return
	}
	names := slices.Sorted(maps.Keys(named))
	m.sources.number = make(map[uint64]int, len(names))
	for i, name := range names {
		m.sources.number[xxhash.Sum64String(name)] = i + 1
	}
	for i := range m.comparisons {
		c := &m.comparisons[i]
		if known := p.Reliability[c.name]; len(known) > 0 {
			c.rely(known, names, p.Comparisons[c.name][0])
		}
	}
}

func (c *comparison) rely(known map[string]float64, names []string, first identity.Estimate) {
	if first.M <= first.U || first.M >= 1 {
		return // agreement tells nothing, or no record ever differs
	}
	r := make([]float64, len(names)+1)
	for i := range r {
		r[i] = math.Sqrt(first.M)
		if i > 0 {
			if of, ok := known[names[i-1]]; ok {
				r[i] = of
			}
		}
	}
	last := len(c.levels)
	for _, x := range r {
		for _, y := range r {
			// Sources that agree no more often than chance does say nothing.
			agree := min(max(x*y, first.U), max(first.M, mostAgreement))
			t := trust{bits(math.Log2(agree / first.M)), bits(math.Log2((1 - agree) / (1 - first.M)))}
			// To agree speaks against two records no more than to disagree.
			t.first = max(t.first, c.weights[last]+t.other-c.weights[0])
			c.trust = append(c.trust, t)
		}
	}
}

// trusted is what the sources' reliability adds to a level.
func (c *comparison) trusted(l, pair int) Weight {
	switch {
	case c.trust == nil:
		return 0
	case l == 0:
		return c.trust[pair].first
	default:
		return c.trust[pair].other
	}
}
