package warehouse_test

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/google/uuid"

	"github.com/shirecounty/shire/pipeline/warehouse"
	"github.com/shirecounty/shire/schemas/metrics"
)

// What is said beside a figure: how much it is counted over, what it was before, and what of it may not be shown.
func TestFiguresAreJudged(t *testing.T) {
	c, figures := county(t)
	delivered := func(department string, months ...time.Month) {
		for _, m := range months {
			for i := range 6 {
				end := at(m, 10, 9+i)
				addCase(t, c, fmt.Sprint(department, m, i), department, at(m, 10, 9), &end)
			}
		}
	}
	report := func(department string, m time.Month, reported int) {
		exec(t, c, `INSERT INTO store.department_reports (record_id, dataset, department, subject, month, reported) VALUES (?, 'd', ?, 'cases', ?, ?)`,
			uuid.NewSHA1(uuid.NameSpaceOID, fmt.Append(nil, department, m)), department, at(m, 1, 0), reported)
	}
	delivered("hall", 1, 2, 3, 4, 5, 6)
	delivered("housing", 1, 2, 3) // and nothing since
	for _, m := range []time.Month{1, 2, 3, 4, 5, 6} {
		report("hall", m, 6)
		report("housing", m, 6)
	}
	delivered("surplus", 2)
	report("surplus", 2, 4) // two more than it says: they make up for nobody's lack
	addCase(t, c, "last", "tiny", at(6, 30, 23), nil)
	t.Run("a department that stopped", func(t *testing.T) { stopped(t, figures) })
	t.Run("an earlier period", func(t *testing.T) { compared(t, figures) })
	t.Run("small cells", func(t *testing.T) { smallCells(t, c, figures) })
	t.Run("events", func(t *testing.T) { listedEvents(t, figures) })
	t.Run("processes", func(t *testing.T) { processes(t, c, figures) })
}

func ask(t *testing.T, f *warehouse.Figures, q metrics.Query) metrics.Result {
	t.Helper()
	r, err := f.Metric(t.Context(), q)
	if err != nil {
		t.Fatalf("%+v: %v", q, err)
	}
	return r
}

func near(v *float64, want float64) bool { return v != nil && math.Abs(*v-want) < 1e-12 }

func stopped(t *testing.T, f *warehouse.Figures) {
	// While all deliver, all is well.
	r := ask(t, f, metrics.Query{Metric: "citizen_time", From: month(1), To: month(3)})
	if c := r.Coverage; c == nil || c.State != metrics.CoverageOK || c.Captured != 40 || c.Reported != 40 || !near(c.Value, 1) || len(c.Stopped) > 0 || len(r.Rows[0].Warnings) > 0 {
		t.Errorf("January to March: %+v, %+v", c, r.Rows)
	}
	// Then one stops, and the figure over the others says so.
	r = ask(t, f, metrics.Query{Metric: "citizen_time", From: month(4), To: month(6)})
	if c := r.Coverage; c.State != metrics.CoverageStopped || c.Captured != 18 || c.Reported != 36 || !near(c.Value, .5) || !slices.Equal(c.Stopped, []string{"housing"}) {
		t.Errorf("April to June: %+v", c)
	}
	if row := r.Rows[0]; row.State != "ok" || !near(row.Coverage, .5) || !slices.Equal(row.Warnings, []string{metrics.WarningLowCoverage, metrics.WarningStopped}) {
		t.Errorf("April to June: %+v", row)
	}
	r = ask(t, f, metrics.Query{Metric: "supplement_rate", By: "department", From: month(4), To: month(6)})
	byKey := map[string]metrics.Row{}
	for _, row := range r.Rows {
		byKey[row.Key] = row
	}
	// It is missed, and not just away.
	if row := byKey["housing"]; row.State != metrics.StateEmpty || !near(row.Coverage, 0) || len(row.Warnings) != 2 {
		t.Errorf("housing: %+v", row)
	}
	if row := byKey["hall"]; !near(row.Coverage, 1) || len(row.Warnings) > 0 {
		t.Errorf("the hall: %+v", row)
	}
	r = ask(t, f, metrics.Query{Metric: "citizen_time", By: "month", From: month(3), To: month(4)})
	if a, b := r.Rows[0], r.Rows[1]; !near(a.Coverage, 1) || !near(b.Coverage, .5) || len(a.Warnings) > 0 || len(b.Warnings) != 2 {
		t.Errorf("by month: %+v", r.Rows)
	}
	// Of what nobody counts, nothing is known, which is not the same as good.
	r = ask(t, f, metrics.Query{Metric: "incident_time", From: month(4), To: month(6)})
	if c := r.Coverage; c.State != metrics.CoverageUnknown || c.Value != nil {
		t.Errorf("incidents: %+v", c)
	}
	r = ask(t, f, metrics.Query{Metric: "citizen_time", From: month(4), To: month(6), Filters: map[string]string{"department": "tiny"}})
	if c := r.Coverage; c.State != metrics.CoverageUnknown || !slices.Equal(c.Unreported, []string{"tiny"}) {
		t.Errorf("who does not report: %+v", c)
	}
	r = ask(t, f, metrics.Query{Metric: "coverage", By: "month", From: month(3), To: month(4)})
	if !near(r.Rows[0].Value, 1) || !near(r.Rows[1].Value, .5) || r.Coverage != nil {
		t.Errorf("coverage as a metric: %+v", r.Rows)
	}
}

func compared(t *testing.T, f *warehouse.Figures) {
	r := ask(t, f, metrics.Query{Metric: "overdue", By: "department", From: month(4), To: month(5), Compare: metrics.ComparePrevious})
	if r.Compared == nil || r.Compared.From != "2025-02" || r.Compared.To != "2025-03" || r.Compared.Coverage.State != metrics.CoverageOK || r.Coverage.State != metrics.CoverageStopped {
		t.Errorf("compared with %+v", r.Compared)
	}
	for _, row := range r.Rows {
		if row.Key == "housing" && (row.State != metrics.StateEmpty || row.Before == nil || row.Before.Count != 12 || row.Difference != nil) {
			t.Errorf("housing: %+v", row)
		}
		if row.Key == "hall" && (!near(row.Difference, 0) || row.Before.Count != 12) {
			t.Errorf("the hall: %+v", row)
		}
	}
	r = ask(t, f, metrics.Query{Metric: "citizen_time", From: month(4), To: month(5), Compare: metrics.CompareYear, Quantile: 0.9})
	if row := r.Rows[0]; row.Before == nil || row.Before.State != metrics.StateEmpty || row.Difference != nil || r.Compared.From != "2024-04" || r.Quantile != .9 || *row.Value != 5*3600 {
		t.Errorf("%+v", r)
	}
	var input *metrics.InputError
	for _, q := range []metrics.Query{
		{Metric: "citizen_time", From: month(4), To: month(5), Compare: "last"},
		{Metric: "overdue", From: month(4), To: month(5), Quantile: 0.9},
		{Metric: "citizen_time", From: month(4), To: month(5), Quantile: 1},
		{Metric: "citizen_time", From: month(4), To: month(5), Quantile: math.NaN()},
	} {
		if _, err := f.Metric(t.Context(), q); !errors.As(err, &input) {
			t.Errorf("%+v: %v", q, err)
		}
	}
}

// June has the hall's six and one of tiny; the whole minus the hall would be tiny.
func smallCells(t *testing.T, c driver.Conn, f *warehouse.Figures) {
	q := metrics.Query{Metric: "supplement_rate", By: "department", From: month(6), To: month(6)}
	for _, row := range ask(t, f, q).Rows {
		if row.Key != "housing" && (row.State != metrics.StateSuppressed || row.Value != nil || row.Numerator != nil) {
			t.Errorf("%+v", row)
		}
	}
	// A second small one protects the first, together with the next larger.
	addCase(t, c, "small", "small", at(6, 30, 22), nil)
	states := map[string]string{}
	for _, row := range ask(t, f, q).Rows {
		states[row.Key] = row.State
	}
	if states["tiny"] != "suppressed" || states["small"] != "suppressed" || states["hall"] != "suppressed" {
		t.Errorf("one and one are less than five: %v", states)
	}
	for i := range 3 {
		addCase(t, c, fmt.Sprint("small", i), "small", at(6, 30, 22), nil)
	}
	for _, row := range ask(t, f, q).Rows {
		states[row.Key] = row.State
	}
	if states["tiny"] != "suppressed" || states["small"] != "suppressed" || states["hall"] != "ok" {
		t.Errorf("one and four are five: %v", states)
	}
	if r := ask(t, f, metrics.Query{Metric: "supplement_rate", From: month(6), To: month(6)}); r.Rows[0].State != "ok" {
		t.Errorf("the whole: %+v", r.Rows)
	}
	// An empty period, and below the cell as a whole.
	if r := ask(t, f, metrics.Query{Metric: "supplement_rate", From: month(7), To: month(9)}); r.Rows[0].State != metrics.StateEmpty {
		t.Errorf("an empty period: %+v", r.Rows)
	}
	if r := ask(t, f, metrics.Query{Metric: "supplement_rate", From: month(6), To: month(6), Filters: map[string]string{"department": "tiny"}}); r.Rows[0].State != metrics.StateSuppressed {
		t.Errorf("one case: %+v", r.Rows)
	}
}

func processes(t *testing.T, c driver.Conn, f *warehouse.Figures) {
	for m := range 6 {
		for i := range 6 {
			number := fmt.Sprint("hall", time.Month(m+1), i)
			activities := []string{"受理", "审核", "办结"}
			if i == 5 {
				activities = []string{"受理", "审核", "审核", "办结"}
			}
			for j, activity := range activities {
				exec(t, c, `INSERT INTO store.case_steps (record_id, dataset, case_number, step, activity, started_at, ended_at) VALUES (generateUUIDv4(), 'd', ?, ?, ?, ?, ?)`,
					number, fmt.Sprint(j), activity, at(time.Month(m+1), 11+j, 9), at(time.Month(m+1), 11+j, 10))
			}
		}
	}
	p, err := f.Process(t.Context(), metrics.ProcessQuery{Department: "hall", Item: "birth", From: month(1), To: month(6)})
	if err != nil {
		t.Fatal(err)
	}
	// 30 cases of three steps and 6 of four, an hour each and 23 hours between them.
	if p.Cases != 36 || p.Steps != 30*3+6*4 || p.Variants != 2 || p.Repeating != 6 || p.ExtraSteps != 6 || p.WorkingSeconds != (30*3+6*4)*3600 ||
		p.WaitingSeconds != (30*2+6*3)*23*3600 || p.UntoldSeconds != 0 || p.AsOf == "" || p.MeanSeconds != (30*49+6*73)*3600/36. {
		t.Errorf("%+v", p)
	}
	if v := p.ListedVariants; len(v) != 2 || v[0].Cases != 30 || v[0].Share != 30/36. || v[0].MedianSeconds != 49*3600 || v[1].ExtraSteps != 1 || !slices.Equal(v[1].Trace, []string{"受理", "审核", "审核", "办结"}) {
		t.Errorf("variants: %+v", v)
	}
	if r := p.Rework; len(r) != 1 || r[0] != (metrics.ProcessRework{Activity: "审核", Cases: 6, ExtraSteps: 6, Directly: 6}) {
		t.Errorf("rework: %+v", r)
	}
	if len(p.Follows) != 5 || p.Follows[0].Count != 36 || len(p.Activities) != 3 || p.Activities[0].Activity != "审核" || p.Activities[0].Steps != 42 {
		t.Errorf("follows %+v, activities %+v", p.Follows, p.Activities)
	}
	// One month has one case of the second way: it is counted, and not listed.
	p, err = f.Process(t.Context(), metrics.ProcessQuery{From: month(3), To: month(3), Limit: 1})
	if err != nil || p.Variants != 2 || len(p.ListedVariants) != 1 || len(p.Rework) != 0 || len(p.Follows) != 1 {
		t.Errorf("March: %+v, %v", p, err)
	}
	if p, err := f.Process(t.Context(), metrics.ProcessQuery{Item: "nothing", From: month(1), To: month(6)}); err != nil || p.Cases != 0 || p.MeanSeconds != 0 || p.Follows == nil {
		t.Errorf("nothing: %+v, %v", p, err)
	}
	var input *metrics.InputError
	for _, q := range []metrics.ProcessQuery{{From: month(4), To: month(3)}, {From: month(1), To: month(3), Limit: -1}, {From: month(1), To: month(3), Limit: 100_000}} {
		if _, err := f.Process(t.Context(), q); !errors.As(err, &input) {
			t.Errorf("%+v: %v", q, err)
		}
	}
}
