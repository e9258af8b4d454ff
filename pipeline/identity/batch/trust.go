package batch

import (
	"cmp"
	"math"
	"slices"

	"github.com/shirecounty/shire/schemas/identity"
)

// sources are where the records come from. The commonest are numbered from 1 on; 0 is all others, and what is not known.
type sources struct {
	names []string // by number; that of 0 is empty
	of    []uint8  // by record; nil where the model or the file does not tell
}

// sources numbers the sources of the records.
func (p *Prepared) sources() (s sources) {
	place, told := p.m.Source()
	if !told || p.values[place] == nil {
		return s
	}
	of := p.in.columns[place].of
	records := map[string]int{}
	texts := make([]int, len(p.values[place])) // records by number of text
	for _, i := range p.records {
		texts[of[i]]++
	}
	for k, v := range p.values[place] {
		if v != nil {
			records[v.Text] += texts[k]
		}
	}
	for name := range records {
		s.names = append(s.names, name)
	}
	slices.SortFunc(s.names, func(a, b string) int {
		return cmp.Or(cmp.Compare(records[b], records[a]), cmp.Compare(a, b))
	})
	s.names = append([]string{""}, s.names[:min(len(s.names), identity.MaxSources)]...)
	number := map[string]uint8{}
	for k, name := range s.names {
		number[name] = uint8(k)
	}
	s.of = make([]uint8, p.Len())
	for i, at := range p.records {
		if v := p.values[place][of[at]]; v != nil {
			s.of[i] = number[v.Text]
		}
	}
	return s
}

// pair is the number of two records' sources, whichever comes first.
func (s *sources) pair(a, b int32) uint64 {
	if s.of == nil {
		return 0
	}
	x, y := s.of[a], s.of[b]
	return uint64(min(x, y))*uint64(len(s.names)) + uint64(max(x, y))
}

// trust estimates the sources' reliability as part of EM, from the expected matches by pair of sources. The zero trust
// takes all sources for average.
type trust struct {
	sources      int         // numbers of them
	r            [][]float64 // by comparison and source
	first, other [][]float64 // by comparison and pair: what the sources add to the logarithm of a level's m
	agreed, said [][]float64 // by comparison and pair: expected matches that agree at the first level, and all that say something
}

func newTrust(comparisons, sources int) trust {
	t := trust{sources: sources}
	for range comparisons {
		t.r = append(t.r, make([]float64, sources))
		t.first, t.other = append(t.first, make([]float64, sources*sources)), append(t.other, make([]float64, sources*sources))
		t.agreed, t.said = append(t.agreed, make([]float64, sources*sources)), append(t.said, make([]float64, sources*sources))
	}
	return t
}

// begin begins a round.
func (t *trust) begin() {
	for c := range t.r {
		clear(t.agreed[c])
		clear(t.said[c])
	}
}

// adds is what two sources add to the logarithm of a level's m.
func (t *trust) adds(c, level int, pair uint64) float64 {
	switch {
	case t.r == nil:
		return 0
	case level == 0:
		return t.first[c][pair]
	default:
		return t.other[c][pair]
	}
}

// tally counts n expected matches.
func (t *trust) tally(s sighting, n float64) {
	for c := range t.r {
		l := s.v.Level(c)
		if l >= 0 {
			t.said[c][s.pair] += n
		}
		if l == 0 {
			t.agreed[c][s.pair] += n
		}
	}
}

const (
	assumed      = leastSupport // matching pairs with an average source that every source is taken to have beside its own
	fittings     = 5            // of r in a round of EM
	mostReliable = .9999        // what was never wrong may be
	certain      = 1 - 1e-6     // the next below 1 in the digits that a model keeps
)

// estimate ends a round: it estimates the reliabilities anew, and tells how far they moved.
func (t *trust) estimate(m, u [][]float64) (moved float64) {
	for c, r := range t.r {
		average := math.Sqrt(m[c][0])
		if r[0] == 0 { // the first round
			for s := range r {
				r[s] = average
			}
		}
		before := slices.Clone(r)
		r[0] = average
		// A source that is worse than chance is of no use either way.
		t.fit(c, min(math.Sqrt(u[c][0]), average), min(max(average, mostReliable), certain))
		for s := range r {
			moved = max(moved, math.Abs(r[s]-before[s]))
			for o := s; o < t.sources; o++ {
				agree := r[s] * r[o]
				t.first[c][t.pair(s, o)] = math.Log(agree / m[c][0])
				t.other[c][t.pair(s, o)] = math.Log((1 - agree) / (1 - m[c][0]))
			}
		}
	}
	return moved
}

// fit finds reliabilities by which each source agrees with the others as often as expected. It goes half the way at a time,
// in logarithms: in a pair of one source both sides move.
func (t *trust) fit(c int, least, most float64) {
	r := t.r[c]
	for range fittings {
		for s := 1; s < t.sources; s++ {
			agreed, expected := assumed*r[0]*r[0], assumed*r[0]
			for o := range t.sources {
				pair, sides := t.pair(s, o), 1.
				if o == s {
					sides = 2
				}
				agreed += sides * t.agreed[c][pair]
				expected += sides * t.said[c][pair] * r[o]
			}
			r[s] = min(max(math.Sqrt(r[s]*agreed/expected), least), most)
		}
	}
}

func (t *trust) pair(s, o int) int { return min(s, o)*t.sources + max(s, o) }

// learned gives the reliabilities that enough matching pairs support, and a report of all.
func (t *trust) learned(spec *identity.Model, names []string) (known map[string]map[string]float64, report []Reliability) {
	for c, r := range t.r {
		name := spec.Comparisons[c].Name
		for s := 1; s < t.sources; s++ {
			support := 0.0
			for o := range t.sources {
				support += t.said[c][t.pair(s, o)]
			}
			weak := support < leastSupport
			report = append(report, Reliability{name, names[s], round(r[s]), math.Round(support*10) / 10, weak})
			if weak {
				continue
			}
			if known == nil {
				known = map[string]map[string]float64{}
			}
			if known[name] == nil {
				known[name] = map[string]float64{}
			}
			known[name][names[s]] = round(r[s])
		}
	}
	return known, report
}
