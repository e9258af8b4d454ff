package gains

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/shirecounty/shire/schemas/metrics"
)

// receipt reads the cases of a public log of building permits (J. Buijs, 4TU), open ones censored at the log's last event. The
// official responsible for a case stands for its department. Counts are of the cases whose deadline is kept or missed for certain,
// and of those that missed it.
func receipt(t *testing.T) Data {
	t.Helper()
	dir := os.Getenv("SHIRE_DATA")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "shared", "data")
	}
	file, err := os.Open(filepath.Join(dir, "receipt.csv"))
	if errors.Is(err, fs.ErrNotExist) && os.Getenv("CI") != "true" {
		t.Skip("no receipt.csv: set SHIRE_DATA to the folder of test data")
	}
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	lines, err := csv.NewReader(file).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	at := func(line []string, name string) string { return line[slices.Index(lines[0], name)] }
	moment := func(s string) time.Time {
		m, err := time.Parse("2006-01-02 15:04:05.999999-07:00", s)
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	zone, err := time.LoadLocation("Europe/Amsterdam")
	if err != nil {
		t.Fatal(err)
	}
	d := Data{Metric: Metric{Name: "citizen_time", Version: 1, Unit: Days}, Zone: zone}
	for _, line := range lines[1:] {
		// The marts' last moment: of events, and of the ends of cases.
		for _, name := range []string{"time:timestamp", "case:enddate"} {
			if s := at(line, name); s != "" && moment(s).After(d.AsOf) {
				d.AsOf = moment(s)
			}
		}
	}
	seen := map[string]bool{}
	for _, line := range lines[1:] {
		if seen[at(line, "case:concept:name")] {
			continue
		}
		seen[at(line, "case:concept:name")] = true
		u := Unit{Applied: moment(at(line, "case:startdate")), Department: at(line, "case:responsible"), Item: at(line, "case:department"),
			Kind: "permit", Channel: at(line, "case:channel")}
		end := at(line, "case:enddate")
		u.Ended = end != ""
		last := d.AsOf
		if u.Ended {
			last = moment(end)
		}
		u.Duration = last.Sub(u.Applied).Hours() / 24
		d.Units = append(d.Units, u)
		if deadline := at(line, "case:deadline"); deadline != "" && (u.Ended || last.After(moment(deadline))) {
			c := Count{Month: metrics.MonthOf(u.Applied.In(zone)), Denominator: 1, Department: u.Department, Item: u.Item, Kind: u.Kind, Channel: u.Channel}
			if last.After(moment(deadline)) {
				c.Numerator = 1
			}
			d.Counts = append(d.Counts, c)
		}
	}
	return d
}

// The golden trap: the median of closed cases falls by 88%, and nothing has become faster.
func TestReceiptTrap(t *testing.T) {
	d := receipt(t)
	d.Metric.setDefaults()
	figures := func(name string) (units int, median, closed float64) {
		var observations []Observation
		var ended []float64
		for _, u := range d.Units {
			if name != "" && monthOf(u.Applied.In(d.Zone)).String() != name {
				continue
			}
			observations = append(observations, Observation{u.Duration, u.Ended})
			if u.Ended {
				ended = append(ended, u.Duration)
			}
		}
		median = math.NaN()
		curve := KaplanMeier(observations)
		if q := d.Metric.median(curve); q != nil {
			median = q.Value
		}
		return curve.Units, math.Round(100*median) / 100, math.Round(100**closedOnly(ended)) / 100
	}
	for _, want := range []struct {
		month          string
		units          int
		median, closed float64 // NaN: not estimable
	}{
		{"", 1434, 52.50, 50.64},
		{"2010-10", 85, 59.59, 59.58},
		{"2011-11", 86, 43.59, 36.37},
		{"2011-12", 47, math.NaN(), 31.57},
		{"2012-01", 11, math.NaN(), 7.39},
	} {
		units, median, closed := figures(want.month)
		if units != want.units || closed != want.closed || median != want.median && !(math.IsNaN(median) && math.IsNaN(want.median)) {
			t.Errorf("%q: %d cases, Kaplan-Meier %v, closed only %v; want %+v", want.month, units, median, closed, want)
		}
	}
}

// Whatever is pretended to have started in 2011, for whomever, is never shown to have halved anything.
func TestReceiptFakes(t *testing.T) {
	d := receipt(t)
	verdicts, trapped, chance := map[Verdict]int{}, 0, 0
	for name, scope := range fakeScopes(d) {
		for m := range 24 { // of each month of 2011, with a year before and after, and with a quarter, in which chance has its way
			for _, claim := range []Claim{TimeDown, SpeedUp} {
				since, window := fmt.Sprintf("2011-%02d-01", 1+m%12), []int{12, 3}[m/12]
				r := Evaluate(Intervention{Name: "fake", Scope: scope, Since: since, Claim: claim, Metric: "citizen_time", Windows: Windows{Before: window, After: window}}, d)
				verdicts[r.Verdict]++
				if r.Verdict == Shown {
					t.Errorf("%s since %s, %d months: %s: %s", name, since, window, claim, r.Because.En)
				}
				if r.Ratio != nil && claim.Gain(r.Ratio.Value) >= .5 {
					chance++
				}
				if r.Closed != nil && claim.Gain(*r.Closed) >= .5 {
					trapped++
				}
				for _, month := range r.Months {
					if name == "all" && (month.Month == "2011-12" || month.Month == "2012-01") && month.State != MonthNotEstimable {
						t.Errorf("%s is called %s", month.Month, month.State)
					}
				}
			}
		}
	}
	t.Log(verdicts, "closed cases alone would have shown", trapped, "and estimates without their intervals", chance)
	if chance == 0 {
		t.Error("no estimate comes to a half: it is not tested that the interval has to")
	}
	if verdicts[NoChange]+verdicts[Better]+verdicts[Worse] < 20 {
		t.Error("hardly any fake is estimable: nothing is tested")
	}
	if trapped == 0 {
		t.Error("closed cases alone show nothing either: nothing is tested")
	}
}

func fakeScopes(d Data) map[string]Where {
	var officials []string
	for _, u := range d.Units {
		if !slices.Contains(officials, u.Department) {
			officials = append(officials, u.Department)
		}
	}
	slices.Sort(officials)
	scopes := map[string]Where{"all": {}, "internet": {Channels: []string{"Internet"}}}
	for k := range 4 { // one in two, in three ... of the officials
		var some []string
		for i, name := range officials {
			if i%(k+2) == 0 {
				some = append(some, name)
			}
		}
		scopes[fmt.Sprintf("one in %d", k+2)] = Where{Departments: some}
	}
	return scopes
}

// Neither is it shown to have halved the missed deadlines, or to have kept half as many again. A ratio has the same trap: of the last
// months only what is quick is decided.
func TestReceiptFakesOfRatios(t *testing.T) {
	d := receipt(t)
	missed, kept := d, d
	missed.Metric = Metric{Name: "overdue", Unit: "share", Settles: 60}
	kept.Metric = Metric{Name: "on_time", Unit: "share", Settles: 60}
	kept.Counts = slices.Clone(d.Counts)
	for i := range kept.Counts {
		kept.Counts[i].Numerator = 1 - kept.Counts[i].Numerator
	}
	verdicts := map[Verdict]int{}
	for name, scope := range fakeScopes(d) {
		for m := 1; m <= 12; m++ {
			for claim, data := range map[Claim]Data{RatioDown: missed, RatioUp: kept} {
				since := fmt.Sprintf("2011-%02d-01", m)
				v := Intervention{Name: "fake", Scope: scope, Since: since, Claim: claim, Metric: data.Metric.Name, Windows: Windows{Before: 12, After: 12}}
				r := Evaluate(v, data)
				verdicts[r.Verdict]++
				if r.Verdict == Shown {
					t.Errorf("%s since %s: %s: %s", name, since, claim, r.Because.En)
				}
				for _, month := range r.Months {
					if young := month.Month >= "2011-11" && month.Cases > 0; young != (month.State == MonthYoung) {
						t.Errorf("%s, %s since %s: %s is called %s", name, claim, since, month.Month, month.State)
					}
				}
			}
		}
	}
	t.Log(verdicts)
	if verdicts[NoChange]+verdicts[Better]+verdicts[Worse] < 20 {
		t.Error("hardly any fake is estimable: nothing is tested")
	}
}
