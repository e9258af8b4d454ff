package gains

import (
	"math"

	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat/distuv"
)

// An interrupted time series: the scope's monthly level on a trend, a yearly season, a step at the start and a change of the trend
// after it. What is asked for is the mean difference, over the months after, from where trend and season alone would have led.
//
// Months that follow each other are alike beyond that, and a series of three years does not tell how much. Newey-West's errors,
// which estimate it, are too small then: docs/evaluation.md has their coverage. So every strength of autocorrelation is tried, and
// with it every share of the variance that is chance of small months; each counts as much as the series makes it
// likely (Zellner and Tiao 1964: regression with autocorrelated errors, flat in both). The interval is that of the mixture.

// point is one month of a series.
type point struct {
	month    int
	y        float64 // logarithm of the level, case mix held constant
	variance float64 // of its chance error, up to a common factor
	level    float64 // share of the cases that the measure has reached
	slope    float64 // mean months since the start, over all cases, 0 for those that it has not reached
	base     float64 // what was taken off y: the comparison group's level
}

// regression is a series with its regressors.
type regression struct {
	x         *mat.Dense
	y         *mat.VecDense
	contrast  *mat.VecDense // what of the coefficients the effect is
	effect    []int         // the columns that are the measure's: the rest is what would have been
	points    []point
	slope     bool // the trend may change; about meanSlope months after the start, which make the step the mean effect
	meanSlope float64
}

// The fewest months that an interrupted time series needs. A season has to have been seen once before the start.
const (
	seasonal      = 12
	fewestBefore  = 12
	fewestAfter   = 3
	fewestToSlope = 6
	fewestSpare   = 4 // months more than there are coefficients
)

// regress sets up the regression. It is false where there are too few months.
func regress(points []point) (*regression, bool) {
	var before, after int
	var meanSlope, whole, middle float64
	for _, p := range points {
		middle += float64(p.month) / float64(len(points))
		if p.level > 0 {
			after++
			meanSlope += p.slope
			whole += p.level
		} else {
			before++
		}
	}
	if before < fewestBefore || after < fewestAfter {
		return nil, false
	}
	r := &regression{points: points, slope: after >= fewestToSlope, meanSlope: meanSlope / whole}
	columns := 4
	r.effect = []int{columns}
	columns++
	if r.slope {
		r.effect = append(r.effect, columns)
		columns++
	}
	if len(points) < columns+fewestSpare {
		return nil, false
	}
	r.x, r.y = mat.NewDense(len(points), columns, nil), mat.NewVecDense(len(points), nil)
	for i, p := range points {
		angle := 2 * math.Pi * float64(p.month) / seasonal
		row := []float64{1, (float64(p.month) - middle) / seasonal, math.Cos(angle), math.Sin(angle), p.level}
		if r.slope {
			row = append(row, (p.slope-p.level*r.meanSlope)/seasonal)
		}
		r.x.SetRow(i, row)
		r.y.SetVec(i, p.y)
	}
	r.contrast = mat.NewVecDense(columns, nil)
	r.contrast.SetVec(r.effect[0], 1)
	return r, true
}

// least is a generalised least squares fit.
type least struct {
	coefficients *mat.VecDense
	inverse      *mat.SymDense // (X' V^-1 X)^-1
	rss          float64
	logDet       float64 // of V and of X' V^-1 X
}

// generalised fits with the errors' covariance v up to a factor; false where it is singular.
func (r *regression) generalised(v *mat.Cholesky) (least, bool) {
	n, k := r.x.Dims()
	// Whitened by the lower triangle of v.
	var lower mat.TriDense
	v.LTo(&lower)
	wx, wy := mat.DenseCopyOf(r.x), mat.VecDenseCopyOf(r.y)
	for i := range n {
		for j := range i {
			l := lower.At(i, j)
			if l == 0 {
				continue
			}
			for c := range k {
				wx.Set(i, c, wx.At(i, c)-l*wx.At(j, c))
			}
			wy.SetVec(i, wy.AtVec(i)-l*wy.AtVec(j))
		}
		d := lower.At(i, i)
		for c := range k {
			wx.Set(i, c, wx.At(i, c)/d)
		}
		wy.SetVec(i, wy.AtVec(i)/d)
	}
	var information mat.SymDense
	information.SymOuterK(1, wx.T())
	var chol mat.Cholesky
	if !chol.Factorize(&information) || chol.Cond() > 1e12 {
		return least{}, false
	}
	f := least{coefficients: mat.NewVecDense(k, nil), inverse: mat.NewSymDense(k, nil), logDet: v.LogDet() + chol.LogDet()}
	var right mat.VecDense
	right.MulVec(wx.T(), wy)
	if chol.SolveVecTo(f.coefficients, &right) != nil || chol.InverseTo(f.inverse) != nil {
		return least{}, false
	}
	var fitted mat.VecDense
	fitted.MulVec(wx, f.coefficients)
	for i := range n {
		e := wy.AtVec(i) - fitted.AtVec(i)
		f.rss += e * e
	}
	return f, true
}

func identity(n int) *mat.Cholesky {
	one := mat.NewSymDense(n, nil)
	for i := range n {
		one.SetSym(i, i, 1)
	}
	var c mat.Cholesky
	c.Factorize(one)
	return &c
}

// neweyWest is the interval by ordinary least squares with errors robust to autocorrelation and unequal variances (Newey and West
// 1987), by Student's t.
func (r *regression) neweyWest() (Interval, bool) {
	n, k := r.x.Dims()
	f, ok := r.generalised(identity(n))
	if !ok {
		return Interval{}, false
	}
	var weights, fitted mat.VecDense // the effect's weight in each month's score
	weights.MulVec(f.inverse, r.contrast)
	fitted.MulVec(r.x, f.coefficients)
	score := make([]float64, n)
	for i := range n {
		score[i] = mat.Dot(r.x.RowView(i), &weights) * (r.y.AtVec(i) - fitted.AtVec(i))
	}
	lags := int(4 * math.Pow(float64(n)/100, 2./9))
	var variance float64
	for lag := 0; lag <= lags; lag++ {
		var sum float64
		for i := lag; i < n; i++ {
			sum += score[i] * score[i-lag]
		}
		if lag > 0 {
			sum *= 2 * (1 - float64(lag)/float64(lags+1))
		}
		variance += sum
	}
	variance *= float64(n) / float64(n-k)
	value := mat.Dot(f.coefficients, r.contrast)
	wide := math.Sqrt(variance) * distuv.StudentsT{Mu: 0, Sigma: 1, Nu: float64(n - k)}.Quantile(.975)
	return Interval{value, value - wide, value + wide}, true
}

// component is the effect under one strength of autocorrelation and one share of chance.
type component struct {
	value, error, weight float64
	autocorrelation      float64
	coefficients         *mat.VecDense
}

// mixture is the effect under all of them.
type mixture struct {
	components []component
	df         float64
}

func (r *regression) mixture() (mixture, bool) {
	n, k := r.x.Dims()
	var mean float64
	for _, p := range r.points {
		mean += p.variance / float64(n)
	}
	m := mixture{df: float64(n - k)}
	var logs []float64
	for _, rho := range []float64{-.3, -.15, 0, .15, .3, .45, .6, .75, .9} {
		for _, chance := range []float64{0, .3, .6, .9} {
			v := mat.NewSymDense(n, nil)
			for i := range n {
				for j := i; j < n; j++ {
					gap := r.points[j].month - r.points[i].month
					v.SetSym(i, j, (1-chance)*power(rho, gap))
				}
				v.SetSym(i, i, v.At(i, i)+chance*r.points[i].variance/mean)
			}
			var chol mat.Cholesky
			if !chol.Factorize(v) {
				continue
			}
			f, ok := r.generalised(&chol)
			if !ok {
				continue
			}
			var c mat.VecDense
			c.MulVec(f.inverse, r.contrast)
			m.components = append(m.components, component{
				value: mat.Dot(f.coefficients, r.contrast), error: math.Sqrt(f.rss / m.df * mat.Dot(&c, r.contrast)),
				autocorrelation: rho, coefficients: f.coefficients,
			})
			logs = append(logs, -.5*f.logDet-.5*m.df*math.Log(f.rss))
		}
	}
	if len(logs) == 0 {
		return m, false
	}
	most, whole := math.Inf(-1), 0.0
	for _, l := range logs {
		most = max(most, l)
	}
	for i := range logs {
		m.components[i].weight = math.Exp(logs[i] - most)
		whole += m.components[i].weight
	}
	for i := range m.components {
		m.components[i].weight /= whole
	}
	return m, !math.IsNaN(whole) && !math.IsInf(whole, 0)
}

func power(rho float64, gap int) float64 {
	if gap == 0 {
		return 1
	}
	return math.Pow(rho, float64(gap))
}

// quantile is a quantile of the mixture, by bisection.
func (m mixture) quantile(q float64) float64 {
	t := distuv.StudentsT{Mu: 0, Sigma: 1, Nu: m.df}
	low, high := math.Inf(1), math.Inf(-1)
	wide := math.Abs(t.Quantile(.0005))
	for _, c := range m.components {
		low, high = min(low, c.value-wide*c.error), max(high, c.value+wide*c.error)
	}
	for range 32 {
		middle := (low + high) / 2
		var below float64
		for _, c := range m.components {
			if c.weight > 1e-5 {
				below += c.weight * t.CDF((middle-c.value)/c.error)
			}
		}
		if below < q {
			low = middle
		} else {
			high = middle
		}
	}
	return (low + high) / 2
}

func (m mixture) interval() Interval {
	i := Interval{0, m.quantile(.025), m.quantile(.975)}
	for _, c := range m.components {
		i.Value += c.weight * c.value
	}
	return i
}

// mean is the coefficients and the autocorrelation, over the mixture.
func (m mixture) mean() (coefficients []float64, autocorrelation float64) {
	for _, c := range m.components {
		if coefficients == nil {
			coefficients = make([]float64, c.coefficients.Len())
		}
		for i := range coefficients {
			coefficients[i] += c.weight * c.coefficients.AtVec(i)
		}
		autocorrelation += c.weight * c.autocorrelation
	}
	return coefficients, autocorrelation
}
