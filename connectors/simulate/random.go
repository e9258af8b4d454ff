package simulate

import (
	"math"
	"math/rand/v2"
)

// Streams of random numbers. Every entity draws from a stream of its own, named by one of these and its ids, so
// that neither the order of generation nor the number of goroutines changes what comes out.
const (
	ofHousehold = iota + 1
	ofPerson
	ofOrganisation
	ofShuffle
	ofDemand
	ofCase
	ofApplicant
	ofDocument
	ofIncident
	ofBadRow
	ofRecord // the datasets of the departments count on from here
)

// dice is a random number generator that can be set to the stream of an entity. One goroutine owns it.
type dice struct {
	*rand.Rand
	pcg  *rand.PCG
	seed uint64
}

func newDice(seed uint64) *dice {
	pcg := rand.NewPCG(seed, 0)
	return &dice{rand.New(pcg), pcg, seed}
}

// at sets the dice to the beginning of a stream.
func (d *dice) at(stream, a, b uint64) *dice {
	d.pcg.Seed(mix(d.seed, stream, a, b), mix(b, a, stream, d.seed))
	return d
}

// mix hashes a few integers into one (the finaliser of SplitMix64 over a running sum).
func mix(values ...uint64) uint64 {
	h := uint64(0x9E3779B97F4A7C15)
	for _, v := range values {
		h += v + 0x9E3779B97F4A7C15
		h = (h ^ h>>30) * 0xBF58476D1CE4E5B9
		h = (h ^ h>>27) * 0x94D049BB133111EB
		h ^= h >> 31
	}
	return h
}

func (d *dice) chance(p float64) bool { return p > 0 && d.Float64() < p }

// between draws an integer in [low, high].
func (d *dice) between(low, high int) int { return low + d.IntN(high-low+1) }

// lognormal draws a positive number with the given median.
func (d *dice) lognormal(median, sigma float64) float64 {
	return median * math.Exp(sigma*d.NormFloat64())
}

// poisson draws a count. Means above 60 use the normal approximation, whose error does not matter here.
func (d *dice) poisson(mean float64) int {
	if mean <= 0 {
		return 0
	}
	if mean > 60 {
		return max(0, int(math.Round(mean+math.Sqrt(mean)*d.NormFloat64())))
	}
	n, p, limit := 0, 1.0, math.Exp(-mean)
	for {
		if p *= d.Float64(); p <= limit {
			return n
		}
		n++
	}
}

// pick returns an index with a probability proportional to its weight.
func (d *dice) pick(weights ...float64) int {
	sum := 0.0
	for _, w := range weights {
		sum += w
	}
	u := d.Float64() * sum
	for i, w := range weights {
		if u -= w; u < 0 {
			return i
		}
	}
	return len(weights) - 1
}

// skewed draws an index of n things of which the first are drawn far more often.
func (d *dice) skewed(n int) int { return min(n-1, int(float64(n)*math.Pow(d.Float64(), 1.7))) }
