package gains

import (
	"encoding/csv"
	"math"
	"math/big"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// exact is Kaplan-Meier as its definition reads: at each time at which units ended, the share of those still at risk that did not.
func exact(observations []Observation, at float64) *big.Rat {
	var times []float64
	for _, o := range observations {
		if o.Ended && o.Duration <= at && !slices.Contains(times, o.Duration) {
			times = append(times, o.Duration)
		}
	}
	survival := big.NewRat(1, 1)
	for _, t := range times {
		var atRisk, ended int64
		for _, o := range observations {
			if o.Duration >= t {
				atRisk++
				if o.Ended && o.Duration == t {
					ended++
				}
			}
		}
		survival.Mul(survival, big.NewRat(atRisk-ended, atRisk))
	}
	return survival
}

var someObservations = rapid.Custom(func(t *rapid.T) Observation {
	return Observation{float64(rapid.IntRange(0, 12).Draw(t, "duration")), rapid.Bool().Draw(t, "ended")}
})

func TestCurveIsExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		observations := rapid.SliceOfN(someObservations, 1, 40).Draw(t, "observations")
		curve := KaplanMeier(observations)
		for at := -1.; at <= 13; at += .5 {
			want, _ := exact(observations, at).Float64()
			if got := curve.At(at); math.Abs(got-want) > 1e-12 {
				t.Fatalf("at %v: %v, want %v", at, got, want)
			}
		}
		for _, q := range []float64{.1, .25, .5, .75, .9} {
			rest := new(big.Rat).Sub(big.NewRat(1, 1), new(big.Rat).SetFrac64(int64(q*100), 100))
			want := -1.
			for at := 0.; at <= 12 && want < 0; at++ {
				if exact(observations, at).Cmp(rest) <= 0 {
					want = at
				}
			}
			got, reached := curve.Quantile(q)
			if reached != (want >= 0) || reached && got.Value != want {
				t.Fatalf("quantile %v: %v %v, want %v", q, got, reached, want)
			}
			if reached && (got.Low > got.Value || got.High != nil && *got.High < got.Value) {
				t.Fatalf("quantile %v: the interval %v to %v does not hold it", q, got.Low, got.High)
			}
		}
	})
}

// A weight of two is the unit twice, and the order of units says nothing.
func TestWeightsAreRepetitions(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		observations := rapid.SliceOfN(someObservations, 1, 30).Draw(t, "observations")
		var twice []Observation
		var heavy []weighted
		for i, o := range observations {
			n := 1 + i%3
			heavy = append(heavy, weighted{o, float64(n)})
			for range n {
				twice = append(twice, o)
			}
		}
		slices.Reverse(twice)
		a, b := KaplanMeier(twice), weightedCurve(heavy)
		if len(a.Steps) != len(b.Steps) {
			t.Fatalf("%d and %d steps", len(a.Steps), len(b.Steps))
		}
		for i := range a.Steps {
			if math.Abs(a.Steps[i].Survival-b.Steps[i].Survival) > 1e-12 || math.Abs(a.Steps[i].High-b.Steps[i].High) > 1e-9 {
				t.Fatalf("%+v and %+v", a.Steps[i], b.Steps[i])
			}
		}
	})
}

// The same as another implementation on 200 data sets: see testdata/README.md.
func TestAgreesWithLifelines(t *testing.T) {
	file, err := os.Open("testdata/kaplanmeier.csv")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	rows, err := csv.NewReader(file).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	number := func(s string) float64 {
		if s == "" {
			return math.NaN()
		}
		f, err := strconv.ParseFloat(s, 64)
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	var curve Curve
	sets, bounded, quantiles := 0, 0, 0
	for _, row := range rows[1:] {
		same := func(what string, got float64, want string) {
			t.Helper()
			w := number(want)
			if got != w && !(math.Abs(got-w) <= 1e-9*max(1, math.Abs(w))) {
				t.Errorf("set %s, %s (%s): %v, want %s", row[0], what, row[2], got, want)
			}
		}
		if row[1] != "" {
			sets++
			var observations []Observation
			for unit := range strings.FieldsSeq(row[1]) {
				duration, open := strings.CutSuffix(unit, "+")
				observations = append(observations, Observation{number(duration), !open})
			}
			curve = KaplanMeier(observations)
		}
		at := number(row[6])
		same("curve", curve.At(at), row[7])
		low, high := 1., 1.
		for _, s := range curve.Steps {
			if s.Duration <= at {
				low, high = s.Low, s.High
			}
		}
		if curve.At(at) > 0 {
			same("lower limit", low, row[8])
			same("upper limit", high, row[9])
			if low < high {
				bounded++
			}
		}
		q, reached := curve.Quantile(number(row[2]))
		if !reached {
			same("quantile", math.Inf(1), row[3])
			continue
		}
		quantiles++
		same("quantile", q.Value, row[3])
		same("low", q.Low, row[4])
		switch last := curve.Steps[len(curve.Steps)-1]; {
		case q.High != nil:
			same("high", *q.High, row[5])
		case last.Survival == 0: // lifelines calls the error 0 where nothing is left; Greenwood's variance has no value there
			same("high at the curve's end", last.Duration, row[5])
		default:
			same("high", math.Inf(1), row[5])
		}
	}
	if sets != 200 || bounded < 300 || quantiles < 300 {
		t.Errorf("%d data sets, want 200; %d places on a curve have an interval, and %d quantiles are reached", sets, bounded, quantiles)
	}
	t.Logf("%d data sets, %d places on their curves, %d with an interval, %d quantiles", sets, len(rows)-1, bounded, quantiles)
}

func TestUnusableDurationsAreLeftOut(t *testing.T) {
	curve := KaplanMeier([]Observation{{-1, true}, {math.NaN(), true}, {math.Inf(1), false}, {math.Inf(-1), true}, {3, true}})
	if curve.Units != 2 || curve.At(0) != .5 || curve.At(3) != 0 {
		t.Errorf("%+v", curve)
	}
	if _, reached := (Curve{}).Quantile(.5); reached {
		t.Error("a curve of nothing has a median")
	}
}
