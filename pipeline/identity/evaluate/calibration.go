package evaluate

import "math"

// Scored is a pair of records, how likely a model holds it to be one entity, and whether it is.
type Scored struct {
	Probability float64
	Same        bool
}

// Calibration tells whether pairs that a model gives a probability of p are one entity in a share p of the cases. It
// speaks of the pairs that it was given alone: of candidates, not of all pairs.
type Calibration struct {
	Pairs int     `json:"pairs"`
	Brier float64 `json:"brier_score"`                // mean squared difference of probability and outcome; 0 is best
	Error float64 `json:"expected_calibration_error"` // mean difference of predicted and observed share over bins, weighted by their pairs
	Bins  []Bin   `json:"bins"`                       // those with pairs
}

// Bin is one line of the reliability table: pairs with a probability from From up to To.
type Bin struct {
	From      float64 `json:"from"`
	To        float64 `json:"to"`
	Pairs     int     `json:"pairs"`
	Predicted float64 `json:"predicted"` // mean probability
	Observed  float64 `json:"observed"`  // share that is one entity
}

const mostBins = 1000

// Calibrate sorts scored pairs into bins of equal width. A probability that is none counts as the nearest that is.
func Calibrate(pairs []Scored, bins int) Calibration {
	bins = min(max(bins, 1), mostBins)
	c := Calibration{Pairs: len(pairs)}
	all := make([]Bin, bins)
	for _, p := range pairs {
		probability := p.Probability
		if !(probability > 0) { // NaN too
			probability = 0
		}
		probability = min(probability, 1)
		b := &all[min(int(probability*float64(bins)), bins-1)]
		b.Pairs++
		b.Predicted += probability
		outcome := 0.0
		if p.Same {
			outcome = 1
		}
		b.Observed += outcome
		c.Brier += (probability - outcome) * (probability - outcome)
	}
	for i, b := range all {
		if b.Pairs == 0 {
			continue
		}
		n := float64(b.Pairs)
		b.From, b.To = float64(i)/float64(bins), float64(i+1)/float64(bins)
		b.Predicted, b.Observed = b.Predicted/n, b.Observed/n
		c.Error += math.Abs(b.Predicted-b.Observed) * n / float64(len(pairs))
		c.Bins = append(c.Bins, b)
	}
	if len(pairs) > 0 {
		c.Brier /= float64(len(pairs))
	}
	return c
}
