package gains

import (
	"fmt"
	"math"

	"github.com/shirecounty/shire/schemas/metrics"
)

// Verdict is the one word on a claim.
type Verdict string

// The verdicts.
const (
	Shown        Verdict = "at_least_half_shown" // the interval's weaker end is at least 50%
	Better       Verdict = "better"              // the whole interval is on the better side of no change
	NoChange     Verdict = "no_change_shown"     // the interval holds no change
	Worse        Verdict = "worse"               // the whole interval is on the worse side
	NotEstimable Verdict = "not_estimable"       // there is no honest interval
)

// Verdicts are all of them, best first.
var Verdicts = []Verdict{Shown, Better, NoChange, Worse, NotEstimable}

var verdictTexts = map[Verdict]metrics.Text{
	Shown:        {Zh: "改善至少 50%，已证实", En: "at least 50%, shown"},
	Better:       {Zh: "有改善，未证实达到 50%", En: "better, 50% not shown"},
	NoChange:     {Zh: "未证实有变化", En: "no change shown"},
	Worse:        {Zh: "变差", En: "worse"},
	NotEstimable: {Zh: "无法估计", En: "not estimable"},
}

// Text is the verdict as it stands in reports.
func (v Verdict) Text() metrics.Text { return verdictTexts[v] }

// Claim is what is claimed to have changed by at least half. "Efficiency up by half" can mean two things, and which one it is has
// to be registered.
type Claim string

// The claims.
const (
	TimeDown  Claim = "time_down"  // the time falls to half or less
	SpeedUp   Claim = "speed_up"   // half as much again is done in the same time: the time falls to two thirds or less
	RatioDown Claim = "ratio_down" // the ratio falls to half or less
	RatioUp   Claim = "ratio_up"   // the ratio rises to one and a half times or more
)

// Claims are all of them.
var Claims = []Claim{TimeDown, SpeedUp, RatioDown, RatioUp}

var claimTexts = map[Claim]metrics.Text{
	TimeDown:  {Zh: "用时至少缩短 50%（用时降到原来的一半以下）", En: "time down by at least 50% (to half of what it was)"},
	SpeedUp:   {Zh: "速度至少提高 50%（用时降到原来的三分之二以下）", En: "speed up by at least 50% (the time falls to two thirds of what it was)"},
	RatioDown: {Zh: "比率至少下降 50%", En: "the ratio down by at least 50%"},
	RatioUp:   {Zh: "比率至少提高 50%", En: "the ratio up by at least 50%"},
}

// Text is the claim in words.
func (c Claim) Text() metrics.Text { return claimTexts[c] }

// OfTime tells whether the claim is about a time rather than a ratio.
func (c Claim) OfTime() bool { return c == TimeDown || c == SpeedUp }

// Interval is an estimate with its 95% interval.
type Interval struct {
	Value float64 `json:"value"`
	Low   float64 `json:"low"`
	High  float64 `json:"high"`
}

func (i Interval) finite() bool {
	return !math.IsNaN(i.Value+i.Low+i.High) && !math.IsInf(i.Value, 0) && !math.IsInf(i.Low, 0) && !math.IsInf(i.High, 0)
}

// exp takes an interval of a logarithm to one of a ratio.
func (i Interval) exp() Interval {
	return Interval{math.Exp(i.Value), math.Exp(i.Low), math.Exp(i.High)}
}

// Gain is the change in the words of the claim: .5 is "better by 50%". ratio is after / before of the metric.
func (c Claim) Gain(ratio float64) float64 {
	switch c {
	case SpeedUp:
		return 1/ratio - 1
	case RatioUp:
		return ratio - 1
	default:
		return 1 - ratio
	}
}

// gains is the interval of the gain. A fall of the ratio turns its ends around.
func (c Claim) gains(ratio Interval) Interval {
	if c == RatioUp {
		return Interval{c.Gain(ratio.Value), c.Gain(ratio.Low), c.Gain(ratio.High)}
	}
	return Interval{c.Gain(ratio.Value), c.Gain(ratio.High), c.Gain(ratio.Low)}
}

// Judge says what an interval of the gain shows.
func Judge(gain Interval) Verdict {
	switch {
	case !gain.finite():
		return NotEstimable
	case gain.Low >= .5:
		return Shown
	case gain.Low > 0:
		return Better
	case gain.High < 0:
		return Worse
	default:
		return NoChange
	}
}

// say makes a sentence of both languages with the same values.
func say(zh, en string, values ...any) metrics.Text {
	return metrics.Text{Zh: fmt.Sprintf(zh, values...), En: fmt.Sprintf(en, values...)}
}
