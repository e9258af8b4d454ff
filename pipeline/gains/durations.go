package gains

import (
	"cmp"
	"math"
	"slices"
)

// Times are compared on a logarithmic scale, so that an effect is a ratio of times: what halves a time of ten days halves one of
// forty. An open case counts with the time that cases like it, having lasted as long, went on to take: expected from the
// Kaplan-Meier curve of the residuals, which assumes no shape of their distribution (Buckley and James 1979).

// sides are the groups whose months have a level of their own.
const (
	comparing = iota
	scopeBefore
	scopeAfter
	sides
)

func (r *row) side() int {
	switch {
	case !r.scope:
		return comparing
	case r.after:
		return scopeAfter
	default:
		return scopeBefore
	}
}

// shortest is what a shorter duration counts as: the logarithm of nothing is no number, and a minute is no gain over two.
func shortest(unit string) float64 {
	if unit == WorkingDays {
		return .5
	}
	return 1. / 24
}

// adjusted is the logarithm of each row's duration less what is typical of its stratum, with an expected value for those that are
// open.
type adjusted struct {
	value    []float64 // by row
	variance float64   // of one row about its stratum and its month
	typical  float64   // mean of the strata over the scope before: value + typical is the logarithm of a time
	// settled is false when the expected values still move after many rounds.
	settled bool
}

// adjust fits level(side, month) + level(stratum) + residual by turns.
func (s *selection) adjust(rows []row, floor float64) adjusted {
	n := len(rows)
	logs, full := make([]float64, n), make([]float64, n)
	cells, strata := make([]float64, s.months()*sides), make([]float64, len(s.strata))
	cellSize, stratumSize := make([]float64, len(cells)), make([]float64, len(strata))
	cellOf := make([]int, n)
	open := 0
	for i := range rows {
		r := &rows[i]
		logs[i] = math.Log(max(r.duration, floor))
		cellOf[i] = int(r.month-s.first)*sides + r.side()
		cellSize[cellOf[i]]++
		stratumSize[r.stratum]++
		if !r.ended {
			open++
		}
	}
	copy(full, logs)
	a := adjusted{value: make([]float64, n)}
	residual := make([]float64, n)
	order := make([]int, n)
	for i := range order {
		order[i] = i
	}
	fit := func() (moved float64) {
		moved = relevel(strata, stratumSize, func(i int) (int, float64) { return rows[i].stratum, full[i] - cells[cellOf[i]] }, n)
		return max(moved, relevel(cells, cellSize, func(i int) (int, float64) { return cellOf[i], full[i] - strata[rows[i].stratum] }, n))
	}
	const rounds, close = 60, 5e-4
	for range rounds {
		moved := fit()
		if open > 0 {
			for i := range rows {
				residual[i] = logs[i] - cells[cellOf[i]] - strata[rows[i].stratum]
			}
			expected := expectations(residual, rows, order)
			for i := range rows {
				if !rows[i].ended {
					full[i] = cells[cellOf[i]] + strata[rows[i].stratum] + expected[i]
				}
			}
		}
		if moved < close {
			a.settled = true
			break
		}
	}
	var before float64
	for i := range rows {
		r := &rows[i]
		a.value[i] = full[i] - strata[r.stratum]
		if r.ended {
			e := full[i] - cells[cellOf[i]] - strata[r.stratum]
			a.variance += e * e
		}
		if r.side() == scopeBefore {
			a.typical += strata[r.stratum]
			before++
		}
	}
	a.variance /= max(float64(n-open), 1)
	if before > 0 {
		a.typical /= before
	}
	return a
}

// relevel sets each level to the mean of what is in it, and gives the largest move.
func relevel(levels, sizes []float64, of func(i int) (int, float64), n int) (moved float64) {
	sums := make([]float64, len(levels))
	for i := range n {
		at, value := of(i)
		sums[at] += value
	}
	for at := range levels {
		if sizes[at] > 0 {
			mean := sums[at] / sizes[at]
			moved = max(moved, math.Abs(mean-levels[at]))
			levels[at] = mean
		}
	}
	return moved
}

// expectations gives for each open row the mean of the residuals above its own, by the Kaplan-Meier curve of all. The largest counts as
// ended, so that the curve comes down to 0 (Efron 1967). order is kept from round to round, being nearly right.
func expectations(residual []float64, rows []row, order []int) []float64 {
	slices.SortFunc(order, func(a, b int) int {
		if c := cmp.Compare(residual[a], residual[b]); c != 0 {
			return c
		}
		if rows[a].ended != rows[b].ended { // ends come first
			if rows[a].ended {
				return -1
			}
			return 1
		}
		return cmp.Compare(a, b)
	})
	n := len(order)
	mass := make([]float64, n) // of the curve's fall at each place
	left := 1.0
	for k, i := range order {
		if rows[i].ended || k == n-1 {
			mass[k] = left / float64(n-k)
			left -= mass[k]
		}
	}
	expected := make([]float64, n)
	var sum, above float64
	for k := n - 1; k >= 0; k-- {
		i := order[k]
		if mass[k] > 0 {
			sum += mass[k] * residual[i]
			above += mass[k]
		}
		if !rows[i].ended {
			expected[i] = sum / above // the largest has a mass, so that there is one above
		}
	}
	return expected
}
