package evaluate

import (
	"math"
	"math/rand/v2"
	"slices"
)

// Interval holds a figure with a probability of 95%.
type Interval struct {
	Low  float64 `json:"low"`
	High float64 `json:"high"`
}

// Intervals are the 95% intervals of the figures of a Quality.
type Intervals struct {
	Draws           int      `json:"draws"`
	Seed            uint64   `json:"seed"`
	Precision       Interval `json:"precision"`
	Recall          Interval `json:"recall"`
	F1              Interval `json:"f1"`
	BCubedPrecision Interval `json:"b_cubed_precision"`
	BCubedRecall    Interval `json:"b_cubed_recall"`
	BCubed          Interval `json:"b_cubed"`
	FalsePerMillion Interval `json:"false_pairs_per_million_records"`
}

// Bootstrap estimates how far the figures would differ on another sample of entities: percentile intervals over draws
// resamples of the true entities. The same seed gives the same intervals.
//
// It is the Poisson bootstrap: in each draw every entity comes w ~ Poisson(1) times, independently of the others, which
// for many entities is the same as drawing as many as there are with replacement. Copies of an entity never meet each
// other. So in one draw, where c is the number of records that entity e and cluster k share,
//
//	true pairs    = sum over e of w(e) * (its true pairs), and missed pairs likewise
//	false pairs   = sum over k, and e < f in it, of w(e) * w(f) * c(e,k) * c(f,k)
//	B-cubed       = averages over records, weighted by w, where a record of e finds
//	                c(e,k) + sum over f != e of w(f) * c(f,k) records in its cluster
//
// and with every w = 1 all are what Scores says. A false pair has the weights of both its entities, so its variance
// counts twice: the intervals are rather too wide than too narrow. Where a partition has no error at all there is
// nothing to resample, and the interval is a point.
//
// Entities that are exactly one cluster differ in their size alone. The sum of the weights of n of them is
// Poisson(n), drawn at once, so that a draw costs as much as there are entities with an error.
func Bootstrap(predicted, truth []int32, draws int, seed uint64) Intervals {
	s := newSampler(cross(predicted, truth))
	out := Intervals{Draws: draws, Seed: seed}
	figures := []struct {
		interval *Interval
		of       func(*draw) float64
	}{
		{&out.Precision, (*draw).precision},
		{&out.Recall, (*draw).recall},
		{&out.F1, func(d *draw) float64 { return harmonic(d.precision(), d.recall()) }},
		{&out.BCubedPrecision, (*draw).bCubedPrecision},
		{&out.BCubedRecall, (*draw).bCubedRecall},
		{&out.BCubed, func(d *draw) float64 { return harmonic(d.bCubedPrecision(), d.bCubedRecall()) }},
		{&out.FalsePerMillion, func(d *draw) float64 { return d.falsePairs / d.records * 1e6 }},
	}
	values := make([][]float64, len(figures))
	for i := range draws {
		r := rand.New(rand.NewPCG(seed, uint64(i)))
		for k := range s.weights {
			s.weights[k] = poisson(r, 1)
		}
		for k, g := range s.exact {
			s.drawn[k] = poisson(r, float64(g.entities))
		}
		d := s.draw()
		if d.records == 0 {
			continue // a few entities may all be left out; there is nothing to measure then
		}
		for k, f := range figures {
			values[k] = append(values[k], f.of(&d))
		}
	}
	for k, f := range figures {
		if v := values[k]; len(v) > 0 {
			slices.Sort(v)
			*f.interval = Interval{quantile(v, .025), quantile(v, .975)}
		}
	}
	return out
}

// sampler is what a draw needs of two partitions.
type sampler struct {
	exact    []sized    // entities that are one cluster, by size
	entities []entity   // the others
	clusters [][]within // and what they have in each cluster

	drawn   []float64 // times that entities of a size come
	weights []float64 // times that each of the others comes
}

type sized struct {
	size     int32
	entities int
}

// entity is what one entity adds to a draw for each time that it comes.
type entity struct{ records, together, missed, recalled float64 }

// within is the records that an entity has in a cluster.
type within struct {
	entity  int32
	records float64
}

func newSampler(t *contingency) *sampler {
	s := &sampler{}
	sizes := map[int32]int{}
	place := make([]int32, len(t.entities)) // among those that are not exact; one more, so that 0 is none yet
	var last int32 = -1
	for _, c := range t.cells {
		if t.exact(c) {
			sizes[c.records]++
			continue
		}
		if place[c.entity] == 0 {
			n := t.entities[c.entity]
			s.entities = append(s.entities, entity{records: float64(n), missed: float64(pairs(n))})
			place[c.entity] = int32(len(s.entities))
		}
		e := &s.entities[place[c.entity]-1]
		e.together += float64(pairs(c.records))
		e.missed -= float64(pairs(c.records))
		e.recalled += square(c.records) / e.records
		if c.cluster != last {
			s.clusters, last = append(s.clusters, nil), c.cluster
		}
		k := len(s.clusters) - 1
		s.clusters[k] = append(s.clusters[k], within{place[c.entity] - 1, float64(c.records)})
	}
	for size, n := range sizes {
		s.exact = append(s.exact, sized{size, n})
	}
	slices.SortFunc(s.exact, func(a, b sized) int { return int(a.size - b.size) }) // a map has no order, and a seed must say all
	s.drawn, s.weights = make([]float64, len(s.exact)), make([]float64, len(s.entities))
	return s
}

// draw is the sums of one resample.
type draw struct{ records, together, missed, falsePairs, precise, recalled float64 }

// draw adds up under the weights at hand.
func (s *sampler) draw() (d draw) {
	for k, g := range s.exact {
		n := s.drawn[k] * float64(g.size)
		d.records += n
		d.precise += n
		d.recalled += n
		d.together += s.drawn[k] * float64(pairs(g.size))
	}
	for k, e := range s.entities {
		w := s.weights[k]
		d.records += w * e.records
		d.together += w * e.together
		d.missed += w * e.missed
		d.recalled += w * e.recalled
	}
	for _, cluster := range s.clusters {
		all, squares := 0.0, 0.0
		for _, c := range cluster {
			n := s.weights[c.entity] * c.records
			all += n
			squares += n * n
		}
		d.falsePairs += (all*all - squares) / 2
		for _, c := range cluster {
			if n := s.weights[c.entity] * c.records; n > 0 {
				d.precise += n * c.records / (c.records + all - n)
			}
		}
	}
	return d
}

func (d *draw) precision() float64       { return share(d.together, d.together+d.falsePairs) }
func (d *draw) recall() float64          { return share(d.together, d.together+d.missed) }
func (d *draw) bCubedPrecision() float64 { return share(d.precise, d.records) }
func (d *draw) bCubedRecall() float64    { return share(d.recalled, d.records) }

// poisson draws from the Poisson distribution: for a small mean by multiplying uniform numbers (Knuth), for a large one
// by the transformed rejection of W. Hörmann, "The transformed rejection method for generating Poisson random
// variables", Insurance: Mathematics and Economics 12 (1993), algorithm PTRS.
func poisson(r *rand.Rand, mean float64) float64 {
	if mean < 10 {
		least, n := math.Exp(-mean), 0.0
		for p := r.Float64(); p > least; p *= r.Float64() {
			n++
		}
		return n
	}
	b := .931 + 2.53*math.Sqrt(mean)
	a := -.059 + .02483*b
	inverse := 1.1239 + 1.1328/(b-3.4)
	fast := .9277 - 3.6224/(b-2)
	for {
		u, v := r.Float64()-.5, r.Float64()
		us := .5 - math.Abs(u)
		k := math.Floor((2*a/us+b)*u + mean + .43)
		if us >= .07 && v <= fast {
			return k
		}
		if k < 0 || us < .013 && v > us {
			continue
		}
		factorial, _ := math.Lgamma(k + 1)
		if math.Log(v*inverse/(a/(us*us)+b)) <= k*math.Log(mean)-mean-factorial {
			return k
		}
	}
}
