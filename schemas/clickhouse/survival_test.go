package clickhouse_test

import (
	"encoding/csv"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
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

// The curve in SQL is that of another implementation, on the 200 data sets of pipeline/gains/testdata/README.md, whose durations are
// taken as thousands of seconds: a figure counts whole ones.
func TestSurvivalAgreesWithLifelines(t *testing.T) {
	file, err := os.Open(filepath.Join("..", "..", "pipeline", "gains", "testdata", "kaplanmeier.csv"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	lines, err := csv.NewReader(file).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	c := ready(t)
	now := local("2025-06-30 10:00")
	insert(t, c, "store.case_steps", row{"record": "now", "case_number": "x", "activity": "x", "started_at": now})
	batch, err := c.PrepareBatch(t.Context(), "INSERT INTO store.cases (record_id, dataset, case_number, item_code, applied_at, delivered_at)")
	if err != nil {
		t.Fatal(err)
	}
	number := func(s string) float64 {
		f, err := strconv.ParseFloat(s, 64)
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	units, ends, longest := map[string]int{}, map[string]int{}, map[string]float64{}
	for _, line := range lines[1:] {
		for i, unit := range strings.Fields(line[1]) {
			duration, open := strings.CutSuffix(unit, "+")
			thousands := number(duration)
			units[line[0]]++
			applied := now.Add(-time.Duration(math.Round(thousands*1000)) * time.Second)
			var delivered *time.Time
			if longest[line[0]] = max(longest[line[0]], thousands); !open {
				delivered = &now
				ends[line[0]]++
			}
			number := fmt.Sprint(line[0], "-", i)
			if err := batch.Append(id(number), "d", number, line[0], applied, delivered); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := batch.Send(); err != nil {
		t.Fatal(err)
	}
	d := definition(t, "citizen_time")
	found := map[string]map[string]metrics.Row{}
	reached, bounded := 0, 0
	for _, line := range lines[1:] {
		set, quantile := line[0], line[2]
		if found[quantile] == nil {
			q := months("2015-01", "2025-06")
			q.By, q.Quantile = "item", number(quantile)
			found[quantile] = answered(t, as(t, clickhouse.Analyst), d, q)
		}
		row, ok := found[quantile][set]
		want, low, high := number(line[3]), number(line[4]), number(line[5])
		if !ok || math.IsInf(want, 1) || ends[set] < d.MinimumEvents {
			state := metrics.StateNotEstimable
			if units[set] < d.MinimumCell {
				state = metrics.StateSuppressed
			}
			if !ok || row.State != state || row.Value != nil {
				t.Errorf("set %s of %d at %s: %+v, want %s", set, units[set], quantile, row, state)
			}
			continue
		}
		near := func(got *float64, thousands float64) bool {
			return got != nil && math.Abs(*got/1000-thousands) <= 1e-9*max(1, thousands)
		}
		reached++
		// lifelines gives an upper end where nothing is left; the variance has no value there.
		open := row.Upper == nil && (math.IsInf(high, 1) || high == longest[set])
		if !open {
			bounded++
		}
		if !near(row.Value, want) || !near(row.Lower, low) || !open && !near(row.Upper, high) {
			t.Errorf("set %s at %s: got %v in %v to %v seconds, want %v in %v to %v thousands", set, quantile, deref(row.Value), deref(row.Lower), deref(row.Upper), want, low, high)
		}
	}
	if len(ends) < 180 || reached < 300 || bounded < 200 {
		t.Errorf("only %d sets, %d quantiles and %d intervals could be compared", len(ends), reached, bounded)
	}
	t.Logf("%d quantiles are the same, %d of them with both ends of their intervals", reached, bounded)
}
