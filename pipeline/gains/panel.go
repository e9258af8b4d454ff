package gains

import (
	"math"
	"math/rand/v2"
	"slices"

	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat/distuv"
)

// Difference-in-differences by imputation (Borusyak, Jaravel and Spiess 2024): from the months of every group that the measure
// had not reached, a level of each group and of each month are fitted; they say what a group that it has reached would have been
// like. The mean difference is the effect. Groups may start at different times, and the effect may grow: a group that
// has started is never what another is compared with.
//
// The interval allows for everything that is common to the rows of a cluster, whatever its shape: each cluster is left out once
// (the jackknife, CV3 of MacKinnon, Nielsen and Webb 2023), and the t distribution has the degrees of freedom that
// clusters of these sizes leave (Satterthwaite, after Bell and McCaffrey 2002).

// cell is one month of one group.
type cell struct {
	group, cluster int
	month          int     // 0 is the first
	y              float64 // logarithm of the level, case mix held constant
	w              float64 // how many cases it rests on
	treated        bool    // the measure has reached it
	scope          bool    // the measure reaches its group sooner or later
	start          int     // the month in which it does, of the scope
}

type panel struct {
	cells    []cell // by group and month
	groups   int
	months   int
	clusters int
	variance float64 // of y where w is 1
}

// functional is a linear estimate: one weight for each cell. nil where the cells do not tell it.
type functional []float64

// fits is a weighted fit of levels of groups and of months to the cells that take part.
type fits struct {
	cells        []*cell
	group, month []float64 // sums of weights; 0: not in the fit
	chol         mat.Cholesky
	at           []int // month -> row of the reduced equations, -1 for none
	size         int
}

// fit prepares a fit. It is false where the cells that take part do not hang together.
func (p *panel) fit(takesPart func(*cell) bool) (*fits, bool) {
	f := &fits{cells: make([]*cell, 0, len(p.cells)), group: make([]float64, p.groups), month: make([]float64, p.months), at: make([]int, p.months)}
	for i := range p.cells {
		if c := &p.cells[i]; takesPart(c) {
			f.cells = append(f.cells, c)
			f.group[c.group] += c.w
			f.month[c.month] += c.w
		}
	}
	first := -1
	for m, w := range f.month {
		f.at[m] = -1
		if w > 0 && first >= 0 { // the first month's level is 0
			f.at[m] = f.size
			f.size++
		} else if w > 0 {
			first = m
		}
	}
	if f.size == 0 {
		return f, first >= 0
	}
	// The levels of groups are eliminated; what is left are equations of the months alone.
	reduced := make([]float64, f.size*f.size)
	for m, at := range f.at {
		if at >= 0 {
			reduced[at*f.size+at] = f.month[m]
		}
	}
	for from := 0; from < len(f.cells); {
		to := from // the cells of a group stand together, by month
		for ; to < len(f.cells) && f.cells[to].group == f.cells[from].group; to++ {
		}
		for i, a := range f.cells[from:to] {
			row, less := f.at[a.month], a.w/f.group[a.group]
			if row < 0 {
				continue
			}
			for _, b := range f.cells[from+i : to] {
				reduced[row*f.size+f.at[b.month]] -= less * b.w
			}
		}
		from = to
	}
	if !f.chol.Factorize(mat.NewSymDense(f.size, reduced)) || f.chol.Cond() > 1e10 {
		return nil, false
	}
	return f, true
}

// solve gives the multipliers of the normal equations for the right-hand sides of groups and of months.
func (f *fits) solve(group, month []float64) (g, m []float64) {
	g, m = make([]float64, len(group)), make([]float64, len(month))
	if f.size > 0 {
		right := mat.NewVecDense(f.size, nil)
		for i, at := range f.at {
			if at >= 0 {
				right.SetVec(at, month[i])
			}
		}
		for _, c := range f.cells {
			if at := f.at[c.month]; at >= 0 {
				right.SetVec(at, right.AtVec(at)-c.w*group[c.group]/f.group[c.group])
			}
		}
		var solved mat.VecDense
		if err := f.chol.SolveVecTo(&solved, right); err != nil {
			return nil, nil
		}
		for i, at := range f.at {
			if at >= 0 {
				m[i] = solved.AtVec(at)
			}
		}
	}
	for i := range g {
		if f.group[i] > 0 {
			g[i] = group[i] / f.group[i]
		}
	}
	for _, c := range f.cells {
		g[c.group] -= c.w * m[c.month] / f.group[c.group]
	}
	return g, m
}

const nobody = -1

// effect is the mean difference between the cells that the measure has reached and what they would have been like. The cluster
// without is left out.
func (p *panel) effect(without int) functional {
	f, ok := p.fit(func(c *cell) bool { return !c.treated && c.cluster != without })
	if !ok {
		return nil
	}
	told := func(c *cell) bool {
		return c.treated && c.cluster != without && f.group[c.group] > 0 && f.month[c.month] > 0
	}
	group, month, whole := make([]float64, p.groups), make([]float64, p.months), 0.0
	for i := range p.cells {
		if c := &p.cells[i]; told(c) {
			group[c.group] += c.w
			month[c.month] += c.w
			whole += c.w
		}
	}
	if whole == 0 {
		return nil
	}
	g, m := f.solve(group, month)
	if g == nil {
		return nil
	}
	weights := make(functional, len(p.cells))
	for i := range p.cells {
		switch c := &p.cells[i]; {
		case told(c):
			weights[i] = c.w / whole
		case !c.treated && c.cluster != without:
			weights[i] = -c.w * (g[c.group] + m[c.month]) / whole
		}
	}
	return weights
}

// trend is how much faster per month the groups of the scope rose before the start than those that compare.
func (p *panel) trend(without int) functional {
	takesPart := func(c *cell) bool { return !c.treated && c.cluster != without }
	f, ok := p.fit(takesPart)
	if !ok {
		return nil
	}
	slope := func(c *cell) float64 {
		if c.scope {
			return float64(c.month)
		}
		return 0
	}
	group, month := make([]float64, p.groups), make([]float64, p.months)
	for i := range p.cells {
		if c := &p.cells[i]; takesPart(c) {
			group[c.group] += c.w * slope(c)
			month[c.month] += c.w * slope(c)
		}
	}
	g, m := f.solve(group, month)
	if g == nil {
		return nil
	}
	weights, information := make(functional, len(p.cells)), 0.0
	for i := range p.cells {
		if c := &p.cells[i]; takesPart(c) {
			rest := slope(c) - g[c.group] - m[c.month]
			weights[i] = c.w * rest
			information += c.w * rest * rest
		}
	}
	if information < 1e-9 {
		return nil
	}
	for i := range weights {
		weights[i] /= information
	}
	return weights
}

// clustered is an estimate with what its clusters say of its error.
type clustered struct {
	value, error, df float64
	// each[h] are the weights with the cluster h left out.
	whole functional
	each  []functional
}

// jackknife leaves every cluster out once. It is false where one cluster alone carries the estimate.
func (p *panel) jackknife(of func(without int) functional) (clustered, bool) {
	c := clustered{whole: of(nobody)}
	if c.whole == nil {
		return c, false
	}
	c.value = p.apply(c.whole)
	present := make([]bool, p.clusters)
	for i := range p.cells {
		present[p.cells[i].cluster] = true
	}
	var sum float64
	for h := range p.clusters {
		if !present[h] {
			continue
		}
		without := of(h)
		if without == nil {
			return c, false
		}
		d := p.apply(without) - c.value
		sum += d * d
		c.each = append(c.each, without)
	}
	n := float64(len(c.each))
	if n < 2 {
		return c, false
	}
	c.error = math.Sqrt((n - 1) / n * sum)
	c.df = p.freedom(c)
	return c, c.error > 1e-9 // else nothing varies, and nothing can be told of an error
}

func (p *panel) apply(f functional) (sum float64) {
	for i, w := range f {
		if w != 0 {
			sum += w * p.cells[i].y
		}
	}
	return sum
}

// freedom is Satterthwaite's degrees of freedom of the jackknife's variance, where cells vary as their sizes let expect.
func (p *panel) freedom(c clustered) float64 {
	n := len(c.each)
	differences := mat.NewDense(n, len(p.cells), nil)
	for h, each := range c.each {
		for i := range p.cells {
			differences.Set(h, i, (each[i]-c.whole[i])/math.Sqrt(p.cells[i].w))
		}
	}
	var b mat.SymDense
	b.SymOuterK(1, differences)
	var trace, squares float64
	for i := range n {
		trace += b.At(i, i)
		for j := range n {
			squares += b.At(i, j) * b.At(i, j)
		}
	}
	return max(1, trace*trace/squares)
}

// t is the interval by Student's t.
func (c clustered) t() Interval {
	wide := c.error * distuv.StudentsT{Mu: 0, Sigma: 1, Nu: c.df}.Quantile(.975)
	return Interval{c.value, c.value - wide, c.value + wide}
}

// p is the chance of so large a value where there is nothing.
func (c clustered) p() float64 {
	return 2 * distuv.StudentsT{Mu: 0, Sigma: 1, Nu: c.df}.CDF(-math.Abs(c.value/c.error))
}

// draws of the bootstrap, and its seed: the same data give the same interval.
const (
	draws = 999
	seed  = 50
)

// bootstrap is the interval by the wild cluster bootstrap of t (Cameron, Gelbach and Miller 2008): the residuals of each cluster keep
// their pattern and have their signs drawn anew, with the six weights of Webb (2023), and t is what those data give, by the jackknife.
func (p *panel) bootstrap(c clustered) Interval {
	residuals := p.residuals(c.value)
	// The estimate is linear, so that it is enough to know what each cluster's residuals add to each of the estimates.
	n := len(c.each)
	index := make(map[int]int, n)
	for i := range p.cells {
		if h := p.cells[i].cluster; !has(index, h) {
			index[h] = len(index)
		}
	}
	whole, each := make([]float64, n), mat.NewDense(n, n, nil)
	for i := range p.cells {
		g := index[p.cells[i].cluster]
		whole[g] += c.whole[i] * residuals[i]
		for h := range c.each {
			each.Set(h, g, each.At(h, g)+c.each[h][i]*residuals[i])
		}
	}
	webb := []float64{-math.Sqrt(1.5), -1, -math.Sqrt(.5), math.Sqrt(.5), 1, math.Sqrt(1.5)}
	random := rand.New(rand.NewPCG(seed, seed))
	sign, without := mat.NewVecDense(n, nil), mat.NewVecDense(n, nil)
	ts := make([]float64, 0, draws)
	for range draws {
		var value float64
		for g := range n {
			v := webb[random.IntN(len(webb))]
			sign.SetVec(g, v)
			value += v * whole[g]
		}
		without.MulVec(each, sign)
		var sum float64
		for h := range n {
			d := without.AtVec(h) - value
			sum += d * d
		}
		if e := math.Sqrt(float64(n-1) / float64(n) * sum); e > 0 {
			ts = append(ts, math.Abs(value)/e)
		}
	}
	if len(ts) < draws/2 {
		return Interval{c.value, math.Inf(-1), math.Inf(1)}
	}
	slices.Sort(ts)
	wide := c.error * ts[int(math.Ceil(.95*float64(len(ts)+1)))-1]
	return Interval{c.value, c.value - wide, c.value + wide}
}

// levels fits the levels of groups and of months to the cells that the measure has not reached.
func (p *panel) levels() (f *fits, group, month []float64) {
	f, ok := p.fit(func(c *cell) bool { return !c.treated })
	if !ok {
		return nil, nil, nil
	}
	group, month = make([]float64, p.groups), make([]float64, p.months)
	for i := range p.cells {
		if c := &p.cells[i]; !c.treated {
			group[c.group] += c.w * c.y
			month[c.month] += c.w * c.y
		}
	}
	group, month = f.solve(group, month)
	return f, group, month
}

// residuals are what the two-way fit and the mean effect leave of the cells.
func (p *panel) residuals(effect float64) []float64 {
	residuals := make([]float64, len(p.cells))
	f, group, month := p.levels()
	if group == nil {
		return residuals
	}
	for i := range p.cells {
		c := &p.cells[i]
		if f.group[c.group] == 0 || f.month[c.month] == 0 {
			continue
		}
		residuals[i] = c.y - group[c.group] - month[c.month]
		if c.treated {
			residuals[i] -= effect
		}
	}
	return residuals
}

// without is the mean level of the scope by month, as it would have been by the comparison.
func (p *panel) without() map[int]float64 {
	f, group, month := p.levels()
	means := map[int]float64{}
	if group == nil {
		return means
	}
	weights := map[int]float64{}
	for i := range p.cells {
		if c := &p.cells[i]; c.scope && f.group[c.group] > 0 && f.month[c.month] > 0 {
			weights[c.month] += c.w
			means[c.month] += c.w / weights[c.month] * (group[c.group] + month[c.month] - means[c.month])
		}
	}
	return means
}
