package batch

import (
	"cmp"
	"math"
	"slices"

	"github.com/shirecounty/shire/pipeline/identity/match"
)

// em estimates m, u and the prior over all pairs of a file. Pairs that no blocking rule gives are taken for no match,
// so that only candidates need an expectation; what chance does is known from random pairs, less the matches that are
// among these too.
type em struct {
	levels  []int
	total   float64 // pairs in the file
	chance  [][]float64
	found   []weighed
	prior   float64
	m, u    [][]float64
	support [][]float64 // expected matches by level
	seen    [][]float64 // candidates by level
	trust   trust
}

type weighed struct {
	sighting
	n float64
}

func table(levels []int) [][]float64 {
	t := make([][]float64, len(levels))
	for i, n := range levels {
		t[i] = make([]float64, n)
	}
	return t
}

func (e *em) tally(into [][]float64, v match.Vector, n float64) {
	for c := range into {
		if l := v.Level(c); l >= 0 {
			into[c][l] += n
		}
	}
}

func newEM(levels []int, records int, chance, found, impossible counts, from *sources) *em {
	e := &em{levels: levels, total: float64(records) * float64(records-1) / 2, chance: table(levels), seen: table(levels)}
	for s, n := range chance {
		e.tally(e.chance, s.v, n)
	}
	for s, n := range found {
		e.found = append(e.found, weighed{s, n})
		e.tally(e.seen, s.v, n)
	}
	// Sums must not depend on the order in which a map gives its entries.
	slices.SortFunc(e.found, func(a, b weighed) int {
		return cmp.Or(cmp.Compare(a.v, b.v), cmp.Compare(a.pair, b.pair))
	})
	for s, n := range impossible {
		e.tally(e.seen, s.v, n)
	}
	if n := len(from.names); n > 2 { // of a single source there is nothing to tell
		e.trust = newTrust(len(levels), n)
	}
	e.prior = 1 / float64(records) // every second record has one other, to begin with
	e.m = table(levels)
	for c, n := range levels {
		for l := range n {
			e.m[c][l] = .5 / float64(n)
		}
		e.m[c][0] += .45
		e.m[c][n-1] += .05
	}
	e.estimateU(table(levels))
	return e
}

// estimateU is what chance does: random pairs less the matches among them. A level that chance was not seen to reach
// gets half a pair of the sample.
func (e *em) estimateU(matched [][]float64) {
	e.u = table(e.levels)
	for c := range e.u {
		sum := 0.0
		for l := range e.u[c] {
			// A candidate that is no match is a pair of two parties too, and rare levels are seen among candidates first.
			e.u[c][l] = max(e.chance[c][l]-matched[c][l], 0)
			e.u[c][l] = max(e.u[c][l], e.seen[c][l]-matched[c][l], e.total/randomPairs*.5, .5)
			sum += e.u[c][l]
		}
		for l := range e.u[c] {
			e.u[c][l] /= sum
		}
	}
}

func (e *em) run(rep *Report) {
	for rep.Iterations = 1; rep.Iterations <= mostRounds; rep.Iterations++ {
		weights := table(e.levels)
		for c := range weights {
			for l := range weights[c] {
				weights[c][l] = math.Log(e.m[c][l] / e.u[c][l])
			}
		}
		odds := math.Log(e.prior / (1 - e.prior))
		matched := table(e.levels)
		matches := 0.0
		e.trust.begin()
		for _, f := range e.found {
			w := odds
			for c := range weights {
				if l := f.v.Level(c); l >= 0 {
					w += weights[c][l] + e.trust.adds(c, l, f.pair)
				}
			}
			n := f.n / (1 + math.Exp(-w))
			matches += n
			e.tally(matched, f.v, n)
			e.trust.tally(f.sighting, n)
		}
		moved := math.Abs(math.Log(max(matches, .5) / e.total / e.prior))
		e.prior = max(matches, .5) / e.total
		for c := range e.m {
			sum := 0.0
			for l := range e.m[c] {
				sum += matched[c][l] + .1
			}
			for l := range e.m[c] {
				next := (matched[c][l] + .1) / sum
				moved = max(moved, math.Abs(next-e.m[c][l]))
				e.m[c][l] = next
			}
		}
		e.estimateU(matched)
		moved = max(moved, e.trust.estimate(e.m, e.u))
		e.support, rep.Matches = matched, matches
		if moved < 1e-4 {
			rep.Converged = true
			break
		}
	}
}
