package gains

import (
	"fmt"
	"hash/fnv"
	"os"
	"testing"

	"gonum.org/v1/gonum/stat/distuv"
)

// trial is one line of the table in docs/evaluation.md.
type trial struct {
	design design
	ratio  bool // of counts, else of times
	change float64
	n      int
}

type outcome struct {
	covered, shown, estimable int
	robust, bootstrap         [2]int // of the intervals that are shown beside: covered, all
	by                        map[Estimator]int
}

func (t trial) run() outcome {
	o := outcome{by: map[Estimator]int{}}
	truth := 1 + t.change
	// Other counties on every line: lines are independent of each other.
	first := fnv.New64a()
	fmt.Fprintf(first, "%s %v %.2f", t.design.name, t.ratio, t.change)
	for k := range t.n {
		s := simulate(t.design, first.Sum64()+uint64(k))
		var r *Result
		if t.ratio {
			r = Evaluate(s.intervention(RatioDown), s.counts(truth))
		} else {
			r = Evaluate(s.intervention(TimeDown), s.times(truth))
		}
		o.by[r.Estimator]++
		if r.Verdict == Shown {
			o.shown++
		}
		if r.Ratio == nil {
			continue
		}
		covers := func(i Interval) int {
			if i.Low <= truth && truth <= i.High {
				return 1
			}
			return 0
		}
		o.estimable++
		o.covered += covers(*r.Ratio)
		if d := r.Differences; d != nil && d.Bootstrap != nil {
			o.bootstrap[0] += covers(*d.Bootstrap)
			o.bootstrap[1]++
		}
		if ts := r.TimeSeries; ts != nil {
			o.robust[0] += covers(ts.NeweyWest)
			o.robust[1]++
		}
	}
	return o
}

// tails are the chances of so few and of so many out of n, where each has the chance p.
func tails(count, n int, p float64) (few, many float64) {
	b := distuv.Binomial{N: float64(n), P: p}
	return b.CDF(float64(count)), 1 - b.CDF(float64(count-1))
}

// In simulated counties of a known truth the interval covers it as often as it says, and "at least 50%, shown" is said of less
// no more often than it may.
func TestCoverage(t *testing.T) {
	n := 20 // 500 are a matter of minutes
	if os.Getenv("SHIRE_LONG") == "1" {
		n = 500
	}
	for _, of := range []struct {
		design design
		ratio  bool
		n      int
	}{{designs[0], false, n}, {designs[1], false, n}, {designs[2], false, n * 2 / 5}, {designs[0], true, n * 2 / 5}, {designs[1], true, n * 2 / 5}, {designs[3], false, n * 2 / 5}} {
		for _, change := range []float64{0, -.3, -.49, -.5, -.6} {
			name := map[bool]string{false: "time", true: "ratio"}[of.ratio]
			t.Run(fmt.Sprintf("%s/%s/%.0f%%", of.design.name, name, 100*change), func(t *testing.T) {
				n := of.n
				o := trial{of.design, of.ratio, change, n}.run()
				few, many := tails(o.covered, o.estimable, .95)
				t.Logf("%3d counties, %3d estimable by %v: covered %.1f%% (p %.3f), shown %.1f%%; Newey-West %.1f%%, bootstrap %.1f%%", n, o.estimable, o.by,
					percent(o.covered, o.estimable), min(1, 2*min(few, many)), percent(o.shown, n), percent(o.robust[0], o.robust[1]), percent(o.bootstrap[0], o.bootstrap[1]))
				// Shocks that last longer than a series of three years can tell: what that costs is reported, and is no secret.
				if 2*min(few, many) < .01 && of.design.name != "sticky" {
					t.Errorf("the interval covers the truth in %d of %d: not compatible with 95%%", o.covered, o.estimable)
				}
				if _, many := tails(o.shown, n, .025); change > -.5 && many < .01 {
					t.Errorf("%q is said in %d of %d: more than 2.5%%", Shown.Text().En, o.shown, n)
				}
				if o.estimable < n*9/10 {
					t.Errorf("only %d of %d are estimable", o.estimable, n)
				}
			})
		}
	}
}

func percent(part, whole int) float64 { return 100 * float64(part) / float64(max(whole, 1)) }
