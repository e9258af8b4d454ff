package evaluate

import (
	"math"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"
)

// weigh gives every entity of the truth a weight and adds up one draw.
func weigh(predicted, truth []int32, weights map[int32]int) draw {
	t := cross(predicted, truth)
	s := newSampler(t)
	// Which entity is where: newSampler goes through the cells in their order.
	label := make([]int32, len(t.entities))
	at := int32(0)
	seen := map[int32]bool{}
	for _, e := range truth {
		if !seen[e] {
			seen[e] = true
			label[at] = e
			at++
		}
	}
	placed := map[int32]bool{}
	k := 0
	for _, c := range t.cells {
		w := float64(weights[label[c.entity]])
		if t.exact(c) {
			for i, g := range s.exact {
				if g.size == c.records {
					s.drawn[i] += w
				}
			}
		} else if !placed[c.entity] {
			placed[c.entity] = true
			s.weights[k] = w
			k++
		}
	}
	return s.draw()
}

// A draw is what the definitions give for a file in which every entity stands as often as it was drawn, and in which the
// copies of an entity do not see each other.
func TestDrawAgainstCopies(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(0, 20).Draw(t, "records")
		predicted, truth := partition(t, "predicted", n), partition(t, "truth", n)
		weights := map[int32]int{}
		for _, e := range truth {
			if _, ok := weights[e]; !ok {
				weights[e] = rapid.IntRange(0, 3).Draw(t, "weight")
			}
		}
		type record struct {
			cluster, entity int32
			copy            int
		}
		var records []record
		for i := range n {
			for c := range weights[truth[i]] {
				records = append(records, record{predicted[i], truth[i], c})
			}
		}
		var want draw
		for i, a := range records {
			cluster, entity, both := 0., 0., 0.
			for j, b := range records {
				if a.entity == b.entity && a.copy != b.copy {
					continue
				}
				p, e := a.cluster == b.cluster, a.entity == b.entity
				if p {
					cluster++
				}
				if e {
					entity++
				}
				if p && e {
					both++
				}
				if i < j {
					switch {
					case p && e:
						want.together++
					case p:
						want.falsePairs++
					case e:
						want.missed++
					}
				}
			}
			want.records++
			want.precise += both / cluster
			want.recalled += both / entity
		}
		got := weigh(predicted, truth, weights)
		if got.records != want.records || got.together != want.together || got.missed != want.missed || got.falsePairs != want.falsePairs ||
			!near(got.precise, want.precise) || !near(got.recalled, want.recalled) {
			t.Fatalf("got %+v, want %+v", got, want)
		}
	})
}

// When every entity comes once, a draw is the file itself.
func TestDrawOfOnesIsTheScore(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 60).Draw(t, "records")
		predicted, truth := partition(t, "predicted", n), partition(t, "truth", n)
		ones := map[int32]int{}
		for _, e := range truth {
			ones[e] = 1
		}
		d, q := weigh(predicted, truth, ones), Scores(predicted, truth)
		if !near(d.precision(), q.Precision) || !near(d.recall(), q.Recall) || !near(d.bCubedPrecision(), q.BCubedPrecision) || !near(d.bCubedRecall(), q.BCubedRecall) {
			t.Fatalf("draw %+v, scores %+v", d, q)
		}
	})
}

// Pairs of which half are found: the standard error of the recall is known in closed form.
func TestBootstrapWidth(t *testing.T) {
	const entities = 4000
	var predicted, truth []int32
	for e := range int32(entities) {
		truth = append(truth, e, e)
		predicted = append(predicted, 2*e, 2*e+e%2) // every second pair is apart
	}
	b := Bootstrap(predicted, truth, 2000, 1)
	want := 2 * 1.96 * math.Sqrt(.25/entities)
	if width := b.Recall.High - b.Recall.Low; math.Abs(width/want-1) > .1 {
		t.Errorf("the interval of the recall is %v wide, want about %v", width, want)
	}
	if b.Recall.Low > .5 || b.Recall.High < .5 || b.Precision != (Interval{1, 1}) {
		t.Errorf("%+v", b)
	}
	if again := Bootstrap(predicted, truth, 2000, 1); again != b {
		t.Errorf("the same seed gives %+v, then %+v", b, again)
	}
	if other := Bootstrap(predicted, truth, 2000, 2); other == b {
		t.Error("another seed gives the same intervals")
	}
}

// The interval has the true value about as often as it says, false pairs between entities included.
func TestBootstrapCovers(t *testing.T) {
	const files, entities = 200, 300
	covered := 0
	for f := range files {
		r := rand.New(rand.NewPCG(7, uint64(f)))
		var predicted, truth []int32
		for e := range int32(entities) {
			for range 3 {
				truth, predicted = append(truth, e), append(predicted, e)
			}
			if e%2 == 1 && r.Float64() < .1 { // it falls together with its neighbour
				for k := range 3 {
					predicted[len(predicted)-1-k] = e - 1
				}
			}
		}
		// Of 150 couples of entities, a tenth makes 9 false pairs; 900 pairs are true.
		if b := Bootstrap(predicted, truth, 300, uint64(f)); b.Precision.Low <= 900./(900+135) && 900./(900+135) <= b.Precision.High {
			covered++
		}
	}
	if covered < files*90/100 {
		t.Errorf("%d of %d intervals hold the true precision, want about 95%% or more", covered, files)
	}
}

func TestBootstrapOfLittle(t *testing.T) {
	if b := Bootstrap(nil, nil, 10, 1); b.F1 != (Interval{}) {
		t.Errorf("nothing: %+v", b)
	}
	if b := Bootstrap([]int32{1}, []int32{1}, 50, 1); b.F1 != (Interval{1, 1}) {
		t.Errorf("one record: %+v", b)
	}
	if b := Bootstrap([]int32{1, 1}, []int32{1, 2}, 0, 1); b.F1 != (Interval{}) {
		t.Errorf("no draws: %+v", b)
	}
}

func TestPoisson(t *testing.T) {
	const n = 200_000
	for _, mean := range []float64{1, 9.5, 10, 37, 5000} {
		r := rand.New(rand.NewPCG(1, 2))
		sum, squares := 0., 0.
		for range n {
			x := poisson(r, mean)
			sum += x - mean
			squares += (x - mean) * (x - mean)
		}
		// Mean and variance are both the parameter; five standard errors.
		if off := sum / n; math.Abs(off) > 5*math.Sqrt(mean/n) {
			t.Errorf("mean %v: off by %v", mean, off)
		}
		if v := squares / n; math.Abs(v/mean-1) > 5*math.Sqrt((2+1/mean)/n) {
			t.Errorf("mean %v: variance %v", mean, v)
		}
	}
}

func TestCalibrate(t *testing.T) {
	c := Calibrate([]Scored{{.95, true}, {.95, true}, {.95, true}, {.85, false}, {.05, false}, {1, true}, {math.NaN(), false}, {7, true}}, 10)
	if c.Pairs != 8 || len(c.Bins) != 3 {
		t.Fatalf("%+v", c)
	}
	if b := c.Bins[0]; b.From != 0 || b.To != .1 || b.Pairs != 2 || !near(b.Predicted, .025) || b.Observed != 0 {
		t.Errorf("first bin %+v", b)
	}
	if b := c.Bins[2]; b.Pairs != 5 || !near(b.Predicted, .97) || b.Observed != 1 {
		t.Errorf("last bin %+v", b)
	}
	if want := (3*.05*.05 + .85*.85 + .05*.05) / 8; !near(c.Brier, want) {
		t.Errorf("Brier %v, want %v", c.Brier, want)
	}
	if want := (2*.025 + .85 + 5*.03) / 8; !near(c.Error, want) {
		t.Errorf("calibration error %v, want %v", c.Error, want)
	}
	if c := Calibrate(nil, 0); c.Pairs != 0 || c.Brier != 0 || c.Error != 0 {
		t.Errorf("nothing: %+v", c)
	}
	// Outcomes that come as often as they are predicted leave an error that goes to nothing.
	r := rand.New(rand.NewPCG(3, 4))
	var pairs []Scored
	for range 100_000 {
		p := r.Float64()
		pairs = append(pairs, Scored{p, r.Float64() < p})
	}
	if c := Calibrate(pairs, 10); c.Error > .01 || math.Abs(c.Brier-1./6) > .005 {
		t.Errorf("well calibrated: error %v, Brier %v", c.Error, c.Brier)
	}
}
