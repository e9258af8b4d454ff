package clickhouse_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/shirecounty/shire/schemas/clickhouse"
	"github.com/shirecounty/shire/schemas/metrics"
)

type life struct {
	seconds int64
	ended   bool
}

// kaplanMeier is the textbook: over the different times of ends, n at risk and d ends, S = prod(1 - d/n), Greenwood's
// v = sum(d / (n (n - d))), and the interval exp(log(S) exp(+-1.96 sqrt(v) / log(S))). It gives the first times at which S, the lower and
// the upper curve are at most 1 - q; NaN where they never are.
func kaplanMeier(lives []life, q float64) (at, lower, upper float64) {
	at, lower, upper = math.NaN(), math.NaN(), math.NaN()
	var times []int64
	for _, l := range lives {
		if l.ended && !slices.Contains(times, l.seconds) {
			times = append(times, l.seconds)
		}
	}
	slices.Sort(times)
	s, v := 1.0, 0.0
	first := func(t *float64, value float64, time int64) {
		if math.IsNaN(*t) && value <= 1-q+1e-9 {
			*t = float64(time)
		}
	}
	for _, time := range times {
		n, d := 0.0, 0.0
		for _, l := range lives {
			if l.seconds >= time {
				n++
			}
			if l.seconds == time && l.ended {
				d++
			}
		}
		s *= 1 - d/n
		first(&at, s, time)
		if s == 0 {
			first(&lower, 0, time) // where nobody is left the interval has a lower end and no upper one
			break
		}
		v += d / (n * (n - d))
		half := 1.959963984540054 * math.Sqrt(v) / math.Log(s)
		first(&lower, math.Exp(math.Log(s)*math.Exp(-half)), time)
		first(&upper, math.Exp(math.Log(s)*math.Exp(half)), time)
	}
	return at, lower, upper
}

// The intervals in SQL are the textbook's, on 80 samples with ties, censorings and any quantile.
func TestSurvivalIntervals(t *testing.T) {
	c := ready(t)
	dice := rand.New(rand.NewPCG(5, 5))
	now := local("2025-06-30 10:00")
	insert(t, c, "store.case_steps", row{"record": "now", "case_number": "x", "activity": "x", "started_at": now})
	samples := map[string][]life{}
	batch, err := c.PrepareBatch(t.Context(), "INSERT INTO store.cases (record_id, dataset, case_number, item_code, applied_at, delivered_at)")
	if err != nil {
		t.Fatal(err)
	}
	for i := range 80 {
		item := fmt.Sprintf("item%02d", i)
		for j := range 5 + dice.IntN(40) {
			l := life{int64(1+dice.IntN(1+i)) * 3600, dice.Float64() < float64(i%5+1)/5}
			samples[item] = append(samples[item], l)
			applied := now.Add(-time.Duration(l.seconds) * time.Second)
			var delivered *time.Time
			if l.ended {
				applied = applied.Add(-100 * time.Hour)
				end := now.Add(-100 * time.Hour)
				delivered = &end
			}
			number := fmt.Sprint(item, "-", j)
			if err := batch.Append(id(number), "d", number, item, applied, delivered); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := batch.Send(); err != nil {
		t.Fatal(err)
	}
	d := definition(t, "citizen_time")
	reached := 0
	for _, quantile := range []float64{0, 0.1, 0.75, 0.9} {
		q := months("2025-05", "2025-06")
		q.By, q.Quantile = "item", quantile
		rows := answered(t, as(t, clickhouse.Analyst), d, q)
		if len(rows) != len(samples) {
			t.Fatalf("%d of %d samples", len(rows), len(samples))
		}
		for item, lives := range samples {
			row := rows[item]
			want := quantile
			if want == 0 {
				want = 0.5
			}
			ends := 0
			for _, l := range lives {
				if l.ended {
					ends++
				}
			}
			at, lower, upper := kaplanMeier(lives, want)
			if math.IsNaN(at) || ends < d.MinimumEvents {
				if row.State != metrics.StateNotEstimable {
					t.Errorf("%s at %v: %+v, and the curve does not come down to it", item, want, row)
				}
				continue
			}
			if !sameNumber(row.Value, at) || !sameNumber(row.Lower, lower) || !sameNumber(row.Upper, upper) {
				t.Errorf("%s at %v: got %v in %v to %v, want %v in %v to %v", item, want, deref(row.Value), deref(row.Lower), deref(row.Upper), at, lower, upper)
			}
			if at, lower, upper := kaplanMeier(lives, 0.9); row.P90 != nil && (!sameNumber(row.P90, at) || !sameNumber(row.P90Lower, lower) || !sameNumber(row.P90Upper, upper)) {
				t.Errorf("%s: p90 %v in %v to %v, want %v in %v to %v", item, deref(row.P90), deref(row.P90Lower), deref(row.P90Upper), at, lower, upper)
			}
			reached++
		}
	}
	if reached < 150 {
		t.Errorf("only %d curves came down far enough to be compared", reached)
	}
}

func sameNumber(got *float64, want float64) bool {
	if got == nil {
		return math.IsNaN(want)
	}
	return *got == want
}
