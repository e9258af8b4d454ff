package gains

import (
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"github.com/shirecounty/shire/schemas/metrics"
)

// design is what of a simulated county the estimators depend on.
type design struct {
	name        string
	departments [2]int // from, to
	treated     func(random *rand.Rand, departments int) int
	staggered   bool       // starts are spread over half a year
	midmonth    bool       // some start in the middle of a month
	busy        float64    // cases of a department in a month
	persists    [2]float64 // from, to: how alike the county's shocks are from month to month
}

var designs = []design{
	{name: "compared", departments: [2]int{12, 30}, treated: func(r *rand.Rand, n int) int { return n/3 + r.IntN(n/3) }, staggered: true, midmonth: true, busy: 5, persists: [2]float64{0, .8}},
	{name: "alone", departments: [2]int{8, 24}, treated: func(_ *rand.Rand, n int) int { return n }, busy: 7, persists: [2]float64{0, .8}},
	{name: "few", departments: [2]int{8, 16}, treated: func(r *rand.Rand, _ int) int { return 1 + r.IntN(3) }, busy: 20, persists: [2]float64{0, .8}},
	{name: "sticky", departments: [2]int{8, 24}, treated: func(_ *rand.Rand, n int) int { return n }, busy: 7, persists: [2]float64{.6, .9}},
}

const (
	simulatedBefore = 24
	simulatedAfter  = 12
	simulatedMonths = simulatedBefore + simulatedAfter
)

// simulated is a county whose truth is known: what a case takes is a product of its department's level, its kind's, the season, a
// trend, shocks that last (of the county and of each department), chance, and for cases that the measure has reached, the effect.
type simulated struct {
	random     *rand.Rand
	start      []int // month in which each department starts; simulatedMonths when never
	county     []float64
	shocks     [][]float64
	level      []float64
	size       []float64
	mix        [][4]float64 // of the four strata of each department: level
	drift      []float64    // of the mix over the months
	noise      func() float64
	season     func(month int) float64
	begin      time.Time
	startDates map[string]string
	scope      []string
}

func department(d int) string { return fmt.Sprintf("department %02d", d) }

// wander is a stationary autocorrelated series.
func wander(random *rand.Rand, rho, deviation float64) []float64 {
	series := make([]float64, simulatedMonths)
	at := random.NormFloat64() * deviation
	for m := range series {
		series[m] = at
		at = rho*at + math.Sqrt(1-rho*rho)*deviation*random.NormFloat64()
	}
	return series
}

func simulate(d design, seed uint64) *simulated {
	random := rand.New(rand.NewPCG(seed, 2026))
	between := func(low, high float64) float64 { return low + (high-low)*random.Float64() }
	n := d.departments[0] + random.IntN(d.departments[1]-d.departments[0]+1)
	s := &simulated{random: random, begin: time.Date(2023, 1, 1, 0, 0, 0, 0, time.UTC), startDates: map[string]string{}}
	treated := d.treated(random, n)
	s.county = wander(random, between(d.persists[0], d.persists[1]), .06)
	trend := between(-.01, .01)
	for m := range s.county {
		s.county[m] += trend * float64(m)
	}
	rho := between(0, .7)
	for i := range n {
		s.level = append(s.level, math.Log(12)+.5*random.NormFloat64())
		s.size = append(s.size, d.busy*math.Exp(.5*random.NormFloat64()))
		s.shocks = append(s.shocks, wander(random, rho, .12))
		var mix [4]float64
		for k := range mix {
			mix[k] = .5 * random.NormFloat64()
		}
		s.mix = append(s.mix, mix)
		s.drift = append(s.drift, between(-.04, .04))
		start := simulatedMonths
		if i < treated {
			start = simulatedBefore
			day := 1
			if d.staggered {
				start -= random.IntN(7)
				if d.midmonth && random.IntN(4) == 0 {
					day = 15
				}
			}
			s.scope = append(s.scope, department(i))
			s.startDates[department(i)] = s.begin.AddDate(0, start, day-1).Format(time.DateOnly)
			if day > 1 {
				start++ // cases of the half month are left out, and untouched
			}
		}
		s.start = append(s.start, start)
	}
	amplitude, phase, festival := between(0, .15), between(0, 2*math.Pi), between(0, .15)
	s.season = func(month int) float64 {
		season := amplitude * math.Cos(2*math.Pi*float64(month)/12+phase)
		if month%12 == 1 {
			season += festival
		}
		return season
	}
	spread := between(.6, .9)
	switch random.IntN(3) { // three shapes, of which the evaluator knows none
	case 0:
		s.noise = func() float64 { return spread * random.NormFloat64() }
	case 1: // Weibull
		s.noise = func() float64 { return .8 * spread * math.Log(random.ExpFloat64()) }
	default: // most are quick, some drag on
		s.noise = func() float64 {
			if random.IntN(6) == 0 {
				return 1 + spread*random.NormFloat64()
			}
			return .7 * spread * random.NormFloat64()
		}
	}
	return s
}

func (s *simulated) stratum(d, month int) int {
	heavy := 1 / (1 + math.Exp(-s.drift[d]*float64(month-simulatedMonths/2)))
	k := 0
	if s.random.Float64() < heavy {
		k = 1
	}
	if s.random.Float64() < .4 {
		k += 2
	}
	return k
}

func (s *simulated) cases(d int) int { return poisson(s.random, s.size[d]) }

func poisson(random *rand.Rand, mean float64) int {
	if mean > 50 {
		return max(0, int(math.Round(mean+math.Sqrt(mean)*random.NormFloat64())))
	}
	n := 0
	for p := random.ExpFloat64(); p < mean; p += random.ExpFloat64() {
		n++
	}
	return n
}

// times are the county's cases, with what the measure has reached taking ratio times as long.
func (s *simulated) times(ratio float64) Data {
	asOf := s.begin.AddDate(0, simulatedMonths, 0)
	d := Data{Metric: Metric{Name: "citizen_time", Version: 1, Unit: Days}, AsOf: asOf}
	for dep := range s.level {
		name := department(dep)
		for m := range simulatedMonths {
			from := s.begin.AddDate(0, m, 0)
			days := s.begin.AddDate(0, m+1, 0).Sub(from).Hours() / 24
			for range s.cases(dep) {
				k := s.stratum(dep, m)
				log := s.level[dep] + s.mix[dep][k] + s.season(m) + s.county[m] + s.shocks[dep][m] + s.noise()
				if m >= s.start[dep] {
					log += math.Log(ratio)
				}
				u := Unit{Applied: from.Add(time.Duration(s.random.Float64() * days * 24 * float64(time.Hour))), Duration: math.Exp(log), Ended: true,
					Department: name, Item: [2]string{"light", "heavy"}[k%2], Kind: "promised", Channel: [2]string{"window", "online"}[k/2]}
				if watched := asOf.Sub(u.Applied).Hours() / 24; u.Duration > watched {
					u.Duration, u.Ended = watched, false
				}
				d.Units = append(d.Units, u)
			}
		}
	}
	return d
}

// counts are a ratio of the county by month and stratum.
func (s *simulated) counts(ratio float64) Data {
	d := Data{Metric: Metric{Name: "repeat_rate", Version: 1, Unit: "share"}, AsOf: s.begin.AddDate(0, simulatedMonths, 0)}
	for dep := range s.level {
		for m := range simulatedMonths {
			var num, den [4]float64
			for range poisson(s.random, 4*s.size[dep]) {
				k := s.stratum(dep, m)
				chance := .25 * math.Exp(.4*(s.level[dep]-math.Log(12))+.4*s.mix[dep][k]+.5*s.season(m)+s.county[m]+s.shocks[dep][m])
				if m >= s.start[dep] {
					chance *= ratio
				}
				den[k]++
				if s.random.Float64() < chance {
					num[k]++
				}
			}
			for k := range den {
				if den[k] > 0 {
					d.Counts = append(d.Counts, Count{Month: metrics.MonthOf(s.begin.AddDate(0, m, 0)), Numerator: num[k], Denominator: den[k],
						Department: department(dep), Item: [2]string{"light", "heavy"}[k%2], Kind: "promised", Channel: [2]string{"window", "online"}[k/2]})
				}
			}
		}
	}
	return d
}

func (s *simulated) intervention(claim Claim) Intervention {
	return Intervention{Name: "simulated", Scope: Where{Departments: s.scope}, Since: s.begin.AddDate(0, simulatedBefore, 0).Format(time.DateOnly),
		Starts: s.startDates, Claim: claim, Metric: "citizen_time", MetricVersion: 1, Windows: Windows{Before: simulatedBefore, After: simulatedAfter}}
}
