package metrics

import (
	"fmt"
	"strings"
)

// confidence is the quantile of the normal distribution for an interval of 95%.
const confidence = 1.959963984540054

// survival selects groups, cases, closed (UInt64), ended_median and, for each of the quantiles, q<n>, q<n>_lower, q<n>_upper
// (Nullable(Float64)), one row for each group; n counts the quantiles from 0.
//
// Ends come before censorings of the same duration, and each end leaves 1 - 1/(at risk) of the curve; the curve is kept as
// its logarithm, and with it Greenwood's sum of 1/(at risk * (at risk - 1)). A quantile is the first duration at which the curve is
// down to what it leaves over; the tolerance covers the rounding of the sum. Its interval is where the curve's own pointwise interval,
// symmetric for log(-log S) (Brookmeyer and Crowley 1982), comes down to the same: with s = log S and v Greenwood's sum,
// the interval's ends are s * exp(+-z * sqrt(v) / -s). They are looked for at the last end of each duration only, as
// between ends of the same duration there is no curve. Where the curve has come to 0 the interval has no upper end.
func (d *Definition) survival(keys, where, groups string, quantiles []float64) string {
	return survivalOf(lifetable{
		units:    fmt.Sprintf("arraySort(groupArrayIf((toFloat64(assumeNotNull(%[1]s)), toUInt8(NOT (%[2]s))), (%[1]s) IS NOT NULL))", d.Duration, d.Event),
		duration: func(x string) string { return x + ".1" },
		censored: func(x string) string { return x + ".2" },
		none:     "(toFloat64(0), toUInt8(1))",
		from:     d.From, where: d.filter(where), having: d.refusal(),
	}, keys, groups, quantiles)
}

// lifetable is where survivalOf gets the units of a group from: an aggregate that is their sorted array, and how a unit tells its duration and
// whether it is censored (0 or 1).
type lifetable struct {
	units              string
	duration, censored func(unit string) string
	from, where        string
	none               string // a censored unit: it is no end's equal
	having, more, as   string // more are further aggregates
}

// No function over the units may name an array of them beside its arguments: the engine would copy the whole array for each unit.
func survivalOf(of lifetable, keys, groups string, quantiles []float64) string {
	var columns string
	for i, q := range quantiles {
		columns += fmt.Sprintf(`,
    arrayFirstIndex(s -> s <= log(1 - %[2]v) + 1e-9, curve) AS at%[1]d,
    arrayFirstIndex((s, x, last) -> last AND x <= log(1 - %[2]v) + 1e-9, curve, lower_curve, last_ends) AS lower%[1]d,
    arrayFirstIndex((x, last) -> last AND x <= log(1 - %[2]v) + 1e-9, upper_curve, last_ends) AS upper%[1]d,
    if(at%[1]d = 0, NULL, %[3]s) AS q%[1]d,
    if(lower%[1]d = 0, NULL, %[4]s) AS q%[1]d_lower,
    if(upper%[1]d = 0, NULL, %[5]s) AS q%[1]d_upper`, i, q, of.duration(fmt.Sprintf("units[at%d]", i)), of.duration(fmt.Sprintf("units[lower%d]", i)), of.duration(fmt.Sprintf("units[upper%d]", i)))
	}
	further := ""
	for _, part := range strings.Split(of.more, " AS ")[1:] {
		further += ", " + part
	}
	return fmt.Sprintf(`SELECT %[1]s, cases, closed, ended_median%[12]s,
    arrayMap((x, i) -> toFloat64(if(%[3]s = 1, 0, cases - i + 1)), units, arrayEnumerate(units)) AS at_risk,
    arrayCumSum(arrayMap(n -> if(n = 0, 0, log(1 - 1 / n)), at_risk)) AS curve,
    arrayCumSum(arrayMap(n -> if(n = 0, 0, 1 / (n * (n - 1))), at_risk)) AS greenwood,
    arrayMap((x, next) -> %[3]s = 0 AND next != x, units, arrayPopFront(arrayPushBack(units, %[13]s))) AS last_ends,
    arrayMap((s, v) -> multiIf(s = 0, 0, isInfinite(s), s, s * exp(%[6]v * sqrt(v) / -s)), curve, greenwood) AS lower_curve,
    arrayMap((s, v) -> multiIf(s = 0, 0, isInfinite(s), 0, s * exp(-%[6]v * sqrt(v) / -s)), curve, greenwood) AS upper_curve%[7]s
FROM
(
    SELECT %[2]s,
        %[4]s AS units,
        length(units) AS cases,
        arrayMap(x -> %[10]s, arrayFilter(x -> %[3]s = 0, units)) AS ended,
        length(ended) AS closed,
        if(closed = 0, NULL, arrayReduce('quantileExactInclusive(0.5)', ended)) AS ended_median%[11]s
    FROM %[5]s
    WHERE %[8]s
    GROUP BY %[1]s%[9]s
)`, groups, keys, of.censored("x"), of.units, of.from+of.as, confidence, columns, of.where, of.having, of.duration("x"), of.more, further, of.none)
}
