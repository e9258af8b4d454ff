package review

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/shirecounty/shire/pipeline/warehouse"
	"github.com/shirecounty/shire/schemas/change"
	"github.com/shirecounty/shire/schemas/metrics"
)

// findings is all that a review knows.
type findings struct {
	empty       bool
	from, to    metrics.Month // the period
	fromBefore  metrics.Month // the period before ends where this one begins
	asOf        time.Time
	departments map[string]metrics.Text
	changes     []changed
	gaps        []gap
	open        []open
	stopped     []string // departments with cases before and none in the period
	silent      []silent
	owners      []warehouse.Owner
	drift       []drift
	failed      []failed
}

// changed is a figure of the whole county, now and in the period before.
type changed struct {
	definition  *metrics.Definition
	now, before metrics.Row
	refused     bool // the definition itself refuses to tell it
}

// worse is by how much a figure is worse than another, relative to it; negative when it is better.
func worse(d *metrics.Definition, value, than float64) float64 {
	difference := value - than
	if d.Better == "up" {
		difference = -difference
	}
	if than == 0 {
		if difference == 0 {
			return 0
		}
		return math.Inf(int(math.Copysign(1, difference)))
	}
	return difference / math.Abs(than)
}

func (c *changed) known() bool { return c.now.Value != nil && c.before.Value != nil }

func (c *changed) worse() float64 {
	if !c.known() {
		return 0
	}
	return worse(c.definition, *c.now.Value, *c.before.Value)
}

// notable is the smallest relative change that is told as one: less is noise.
const notable = 0.05

func (c *changed) worsened() bool { return c.worse() >= notable }
func (c *changed) improved() bool { return c.worse() <= -notable }

// gap is how far a department is from the whole county.
type gap struct {
	definition *metrics.Definition
	department string
	row        metrics.Row
	county     float64
	worse      float64
}

// open is what a department has not closed.
type open struct {
	Department string `ch:"department"`
	Open       uint64 `ch:"all"`
	Long       uint64 `ch:"long"`
	Longer     uint64 `ch:"longer"`
	Untold     uint64 `ch:"untold"`
}

// Working days after which an open case is told to be long, or longer, on its way.
const (
	longDays   = 20
	longerDays = 60
)

type silent struct {
	Dataset    string    `ch:"dataset"`
	Last       time.Time `ch:"last_loaded_at"`
	department string
}

type drift struct {
	Dataset string `ch:"dataset"`
	Code    string `ch:"code"`
	Rows    uint64 `ch:"rows"`
}

type failed struct {
	Job    string `ch:"job"`
	Runs   uint64 `ch:"runs"`
	Failed uint64 `ch:"failed"`
}

func (r *Review) gather(ctx context.Context, due time.Time) (*findings, error) {
	extent, err := r.Figures.Extent(ctx)
	if err != nil || extent.Empty {
		return &findings{empty: true}, err
	}
	f := &findings{to: metrics.MonthOf(due).Add(-1), asOf: extent.AsOf.In(r.Zone), departments: map[string]metrics.Text{}}
	if extent.Last.Before(f.to) {
		f.to = extent.Last
	}
	f.from = f.to.Add(1 - r.Settings.Months)
	f.fromBefore = f.from.Add(-r.Settings.Months)
	labels, _, err := r.Figures.Labels(ctx)
	if err != nil {
		return nil, err
	}
	for _, l := range labels {
		f.departments[l.Key] = metrics.Text{Zh: l.Zh, En: l.En}
	}
	for _, d := range r.Set.All() {
		if err := r.measure(ctx, f, d); err != nil {
			return nil, err
		}
	}
	slices.SortStableFunc(f.changes, func(a, b changed) int { return descending(a.worse(), b.worse()) })
	slices.SortStableFunc(f.gaps, func(a, b gap) int { return descending(a.worse, b.worse) })
	return f, r.operations(ctx, f)
}

func descending(a, b float64) int {
	switch {
	case a > b:
		return -1
	case a < b:
		return 1
	}
	return 0
}

// measure asks for one metric: of the county in both periods, and of its departments in this one.
func (r *Review) measure(ctx context.Context, f *findings, d *metrics.Definition) error {
	c := changed{definition: d}
	ask := func(by string, from, to metrics.Month) (metrics.Result, error) {
		result, err := r.Figures.Metric(ctx, metrics.Query{Metric: d.Name, By: by, From: from, To: to})
		if refusal := (*metrics.InputError)(nil); errors.As(err, &refusal) {
			c.refused = true
			return metrics.Result{}, nil
		}
		return result, err
	}
	for _, of := range []struct {
		row      *metrics.Row
		from, to metrics.Month
	}{{&c.now, f.from, f.to}, {&c.before, f.fromBefore, f.from.Add(-1)}} {
		result, err := ask("", of.from, of.to)
		if err != nil {
			return err
		}
		if len(result.Rows) == 1 {
			*of.row = result.Rows[0]
		}
	}
	f.changes = append(f.changes, c)
	if c.now.Value == nil || !slices.Contains(d.DimensionNames(), "department") {
		return nil
	}
	result, err := ask("department", f.from, f.to)
	if err != nil {
		return err
	}
	for _, row := range result.Rows {
		if row.State != metrics.StateOK || row.Value == nil || row.Key == "" {
			continue
		}
		g := gap{d, row.Key, row, *c.now.Value, worse(d, *row.Value, *c.now.Value)}
		if g.worse > notable {
			f.gaps = append(f.gaps, g)
		}
	}
	return nil
}

// operations asks for what the figures do not say.
func (r *Review) operations(ctx context.Context, f *findings) error {
	since := f.from.Start(r.Zone).UTC()
	ask := func(what string, into any, query string, args ...any) error {
		if err := r.Conn.Select(ctx, into, query, args...); err != nil {
			return fmt.Errorf("ask for %s: %w", what, err)
		}
		return nil
	}
	err := ask("the open cases", &f.open, `SELECT department, count() AS all, countIf(legal_days > ?) AS long, countIf(legal_days > ?) AS longer, countIf(calendar_missing = 1) AS untold
		FROM mart.cases WHERE open = 1 AND department != '' GROUP BY department HAVING long > 0 ORDER BY longer DESC, long DESC, department`, longDays, longerDays)
	if err != nil {
		return err
	}
	f.open = slices.DeleteFunc(f.open, func(o open) bool { return o.Open < uint64(r.Settings.MinimumCell) })
	var stopped []struct {
		Department string `ch:"department"`
	}
	err = ask("departments without new cases", &stopped, `SELECT department FROM mart.cases WHERE department != '' GROUP BY department
		HAVING countIf(applied_at >= ? AND applied_at < ?) >= ? AND countIf(applied_at >= ? AND applied_at < ?) = 0 ORDER BY department`,
		f.fromBefore.Start(r.Zone).UTC(), since, max(enough, r.Settings.MinimumCell), since, f.to.Add(1).Start(r.Zone).UTC())
	if err != nil {
		return err
	}
	for _, s := range stopped {
		f.stopped = append(f.stopped, s.Department)
	}
	err = ask("datasets without loads", &f.silent, "SELECT toString(dataset) AS dataset, last_loaded_at FROM ops.lag WHERE last_loaded_at < ? ORDER BY last_loaded_at, dataset",
		r.Now().AddDate(0, 0, -r.Settings.SilentDays).UTC())
	if err != nil {
		return err
	}
	f.silent = slices.DeleteFunc(f.silent, func(s silent) bool { return r.Department(s.Dataset) == "" }) // Shire's own, and former ones
	for i := range f.silent {
		f.silent[i].department = r.Department(f.silent[i].Dataset)
	}
	if f.owners, err = warehouse.CountQuarantine(ctx, r.Conn); err != nil {
		return err
	}
	err = ask("changed columns", &f.drift, "SELECT toString(dataset) AS dataset, toString(code) AS code, count() AS rows FROM ops.quarantine WHERE code IN (?) AND quarantined_at >= ? GROUP BY ALL ORDER BY dataset, code",
		[]string{change.NewColumn, change.LostColumn, change.ChangedType}, since)
	if err != nil {
		return err
	}
	return ask("jobs that failed", &f.failed, `SELECT toString(job) AS job, count() AS runs, countIf(outcome = 'failed') AS failed FROM ops.runs
		WHERE started_at >= ? GROUP BY job HAVING failed > 0 ORDER BY failed DESC, job`, since)
}
