package batch

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sync"

	"github.com/shirecounty/shire/pipeline/identity/match"
	"github.com/shirecounty/shire/schemas/identity"
)

const (
	randomPairs   = 1_500_000
	mostSampled   = 2_000_000 // candidate pairs that EM looks at
	mostRounds    = 200
	listedAtLeast = 5      // records that must share a value before a model names it (I7)
	mostListed    = 20_000 // values of a field that a model names
)

// Train estimates a model's parameters from a file without knowing who is who: what chance does from random pairs, what
// is the same party from the pairs that the blocking rules give, by expectation maximisation.
func Train(ctx context.Context, s *identity.Model, in *Input, seed uint64, progress Progress) (*identity.Model, Report, error) {
	m, err := match.Compile(s)
	if err != nil {
		return nil, Report{}, err
	}
	p, err := Prepare(ctx, m, in, progress)
	if err != nil {
		return nil, Report{}, err
	}
	return p.Train(ctx, seed, progress)
}

// counts are how many pairs there are of each sort.
type counts map[sighting]float64

// sighting is what training knows of a pair: the levels of all comparisons, and where it is told the two sources.
type sighting struct {
	v    match.Vector
	pair uint64 // sources.pair
}

// Train estimates the parameters of the model that the records were prepared for, from these. The model that comes back
// is the next version of one that had parameters.
func (p *Prepared) Train(ctx context.Context, seed uint64, progress Progress) (*identity.Model, Report, error) {
	s, rep := p.m.Spec(), Report{Records: p.Len()}
	if p.Len() < 2 {
		return nil, rep, fmt.Errorf("the file has %d records; at least two are needed to train a model", p.Len())
	}
	chance, err := p.chance(ctx, seed, &rep)
	if err != nil {
		return nil, rep, err
	}
	progress("train", 1, 3)
	from := p.sources()
	found, impossible, err := p.sample(ctx, seed, &from, &rep)
	if err != nil {
		return nil, rep, err
	}
	progress("train", 2, 3)
	e := newEM(p.m.Levels(), p.Len(), chance, found, impossible, &from)
	e.run(&rep)
	out := *s
	if s.Parameters != nil {
		out.Version++
	}
	out.Parameters = &identity.Parameters{Records: rep.Records, Pairs: int(rep.Candidates), Prior: e.prior, Comparisons: map[string][]identity.Estimate{}, Frequencies: map[string]identity.Frequencies{}}
	for c, spec := range s.Comparisons {
		for l := range e.m[c] {
			out.Parameters.Comparisons[spec.Name] = append(out.Parameters.Comparisons[spec.Name], identity.Estimate{M: round(e.m[c][l]), U: round(e.u[c][l]), Support: math.Round(e.support[c][l]*10) / 10})
		}
	}
	out.Parameters.Reliability, rep.Reliability = e.trust.learned(s, from.names)
	for _, f := range p.m.FrequencyFields() {
		out.Parameters.Frequencies[s.Fields[f].Name] = p.frequencies(f)
	}
	rep.Parameters = Parameters(&out)
	progress("train", 3, 3)
	return &out, rep, nil
}

// round keeps six digits: more would only look exact.
func round(x float64) float64 {
	if x == 0 {
		return 0
	}
	scale := math.Pow(10, 6-math.Ceil(math.Log10(math.Abs(x))))
	return math.Round(x*scale) / scale
}

// crowd is how many records are drawn together and compared with each other. Two of them are a pair at random like any
// other, and what was fetched from memory once is compared often.
const crowd = 16

// chance compares records at random; of a small file, all.
func (p *Prepared) chance(ctx context.Context, seed uint64, rep *Report) (counts, error) {
	n := p.Len()
	all := n * (n - 1) / 2
	size, crowds := crowd, randomPairs/(crowd*(crowd-1)/2)
	if all <= randomPairs {
		size, crowds = n, 1
	}
	rep.Random = crowds * (size * (size - 1) / 2)
	total := counts{}
	var mu sync.Mutex
	err := parallel(ctx, crowds, 1<<7, always(func(from, to int) {
		mine := counts{}
		r := rand.New(rand.NewPCG(seed, uint64(from)))
		for range to - from {
			members := p.draw(r, size)
			for i, a := range members {
				for _, b := range members[i+1:] {
					v, _ := p.m.Vector(p.Record(a), p.Record(b))
					mine[sighting{v: v}]++
				}
			}
		}
		mu.Lock()
		defer mu.Unlock()
		for v, c := range mine {
			total[v] += c
		}
	}), untold)
	scale := float64(all) / float64(rep.Random)
	for v := range total {
		total[v] *= scale
	}
	return total, err
}

// draw draws records, each at most once.
func (p *Prepared) draw(r *rand.Rand, size int) []int32 {
	if size == p.Len() {
		all := make([]int32, size)
		for i := range all {
			all[i] = int32(i)
		}
		return all
	}
	members := make([]int32, 0, size)
	for len(members) < size {
		if i := int32(r.IntN(p.Len())); !slices.Contains(members, i) {
			members = append(members, i)
		}
	}
	return members
}

// sample compares candidate pairs: all, or so many that they are enough to learn from.
func (p *Prepared) sample(ctx context.Context, seed uint64, from *sources, rep *Report) (found, impossible counts, err error) {
	possible := p.blocks.pairs()
	keep := uint64(math.MaxUint64)
	if possible > mostSampled {
		keep = uint64(float64(math.MaxUint64) * (mostSampled / possible))
	}
	found, impossible = counts{}, counts{}
	var mu sync.Mutex
	var seen, taken int64
	err = p.candidates(ctx, func(int) (func(a, b int32), func()) {
		mine, not := counts{}, counts{}
		var mySeen, myTaken int64
		give := func(a, b int32) {
			mySeen++
			if keep != math.MaxUint64 && scramble(uint64(a)<<32|uint64(b), seed) > keep {
				return
			}
			myTaken++
			v, never := p.m.Vector(p.Record(a), p.Record(b))
			if never {
				not[sighting{v: v}]++
			} else {
				mine[sighting{v, from.pair(a, b)}]++
			}
		}
		return give, func() {
			mu.Lock()
			defer mu.Unlock()
			seen, taken = seen+mySeen, taken+myTaken
			for v, c := range mine {
				found[v] += c
			}
			for v, c := range not {
				impossible[v] += c
			}
		}
	}, func(string, int, int) {})
	rep.Candidates = seen
	if taken > 0 {
		scale := float64(seen) / float64(taken)
		for v := range found {
			found[v] *= scale
		}
		for v := range impossible {
			impossible[v] *= scale
		}
	}
	return found, impossible, err
}

func scramble(x, seed uint64) uint64 {
	x ^= seed*0x9e3779b97f4a7c15 + 0x2545f4914f6cdd1d
	x *= 0xff51afd7ed558ccd
	x ^= x >> 33
	x *= 0xc4ceb9fe1a85ec53
	return x ^ x>>33
}

// frequencies counts the values of a field.
func (p *Prepared) frequencies(f int) identity.Frequencies {
	seen := map[string]int{}
	total := 0
	for i := range p.records {
		if v := p.Record(int32(i))[f]; v != nil {
			seen[v.Text]++
			total++
		}
	}
	out := identity.Frequencies{Unlisted: 1, Values: map[string]float64{}}
	if total == 0 {
		return out
	}
	least := listedAtLeast
	for len(seen) > mostListed {
		n := 0
		for _, c := range seen {
			if c >= least {
				n++
			}
		}
		if n <= mostListed {
			break
		}
		least *= 2
	}
	rest, kinds := 0, 0
	for v, c := range seen {
		if c >= least {
			out.Values[v] = round(float64(c) / float64(total))
		} else {
			rest += c
			kinds++
		}
	}
	if kinds > 0 {
		out.Unlisted = round(float64(rest) / float64(kinds) / float64(total))
	} else {
		out.Unlisted = round(1 / float64(total))
	}
	return out
}
