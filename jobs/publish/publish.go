// Package publish gives the county's figures out month by month and keeps them as they were given out. When a figure comes out
// otherwise later, because records came late, were corrected or removed, persons were merged or split, or the metric was defined
// anew, it is restated: the new figure becomes another edition, with what had changed since, and the old one stays.
package publish

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/shirecounty/shire/jobs"
	"github.com/shirecounty/shire/pipeline/warehouse"
	"github.com/shirecounty/shire/schemas/document"
	"github.com/shirecounty/shire/schemas/metrics"
)

// Figures answers as the portal does, so that what is published is what the dashboard shows (I9).
type Figures interface {
	Extent(ctx context.Context) (metrics.Extent, error)
	Metric(ctx context.Context, q metrics.Query) (metrics.Result, error)
}

// Settings of a job. Zero values stand for the defaults that [Settings.Prove] fills in.
type Settings struct {
	Metrics []string `yaml:"metrics"` // all when empty
	Months  int      `yaml:"months"`  // the last complete ones
}

// Prove fills in the defaults and finds what is wrong: the key, what is wrong with it, what to write.
func (s *Settings) Prove(set metrics.Set) (key, message, do string) {
	if s.Months == 0 {
		s.Months = 12
	}
	if s.Months < 1 || s.Months > 60 {
		return "months", fmt.Sprintf("months is %d", s.Months), "write a number from 1 to 60"
	}
	for i, name := range s.Metrics {
		if set[name] == nil {
			return fmt.Sprintf("metrics[%d]", i), fmt.Sprintf("there is no metric %q", name), document.DidYouMean(name, set.Names())
		}
	}
	if len(s.Metrics) == 0 {
		s.Metrics = set.Names()
	}
	return "", "", ""
}

// Publish publishes figures.
type Publish struct {
	Settings  Settings
	Set       metrics.Set
	Zone      *time.Location
	Figures   Figures
	Published func(ctx context.Context, from, to metrics.Month) ([]warehouse.Published, error) // the editions in force
	Changes   func(ctx context.Context, since time.Time) ([]metrics.Restated, error)
	Keep      func(ctx context.Context, run, part string, figures []warehouse.Published) error
	Now       func() time.Time
}

var _ jobs.Worker = (*Publish)(nil)

// place is what a figure is of.
type place struct{ metric, month, department string }

// Do publishes the last complete months before the run was due, metric by metric. The same run again publishes what is missing. A
// metric that cannot be told does not keep the others from it.
func (p *Publish) Do(ctx context.Context, t jobs.Task, output io.Writer) (jobs.Result, error) {
	r := jobs.Result{Counts: map[string]uint64{"new": 0, "restated": 0, "unchanged": 0}}
	extent, err := p.Figures.Extent(ctx)
	if err != nil {
		return r, err
	}
	to := metrics.MonthOf(t.Due.In(p.Zone)).Add(-1)
	if extent.Last.Before(to) {
		to = extent.Last
	}
	from := to.Add(1 - p.Settings.Months)
	if from.Before(extent.First) {
		from = extent.First
	}
	if extent.Empty || to.Before(from) {
		r.Message = "no month is complete yet, so there is nothing to publish"
		return r, nil
	}
	at := p.Now().UTC().Truncate(time.Microsecond) // before anything is read: what comes in meanwhile has come since
	given, err := p.Published(ctx, from, to)
	if err != nil {
		return r, err
	}
	inForce := map[place]warehouse.Published{}
	for _, g := range given {
		inForce[place{g.Metric, g.Month, g.Department}] = g
	}
	reasons := map[int64]string{} // by when the edition before was published
	var failed []error
	for _, name := range p.Settings.Metrics {
		figures, err := p.figures(ctx, p.Set[name], from, to)
		if input := (*metrics.InputError)(nil); errors.As(err, &input) {
			fmt.Fprintf(output, "%s: %v\n", name, err)
			failed = append(failed, err)
			continue
		}
		if err != nil {
			return r, err
		}
		figures = append(figures, p.gone(p.Set[name], figures, given)...)
		var fresh []warehouse.Published
		for _, f := range figures {
			before, known := inForce[place{f.Metric, f.Month, f.Department}]
			switch {
			case !known:
				f.Edition = 1
				r.Counts["new"]++
			case same(before, f):
				r.Counts["unchanged"]++
				continue
			default:
				f.Edition = before.Edition + 1
				if f.Reason, err = p.reason(ctx, before, f, reasons); err != nil {
					return r, err
				}
				r.Counts["restated"]++
				if f.Department == "" {
					fmt.Fprintf(output, "%s of %s is restated: %s, published %s, is now %s. %s\n", name, f.Month, said(before), before.At.In(p.Zone).Format(time.DateOnly), said(f), f.Reason)
				}
			}
			f.Run, f.At = t.Run, at
			fresh = append(fresh, f)
		}
		// One metric is one insert: a run that is killed between two goes on with the next.
		if err := p.Keep(ctx, t.Run, fmt.Sprintf("%d/%s", t.Attempt, name), fresh); err != nil {
			return r, err
		}
	}
	r.Message = fmt.Sprintf("figures of %s to %s: %d were published first, %d restated, %d stand as they were", from, to, r.Counts["new"], r.Counts["restated"], r.Counts["unchanged"])
	if len(failed) > 0 {
		return r, fmt.Errorf("%d of %d metrics could not be told: %w", len(failed), len(p.Settings.Metrics), errors.Join(failed...))
	}
	return r, nil
}

// figures are those of a metric: of the whole county, and of each department where it can be told apart.
func (p *Publish) figures(ctx context.Context, d *metrics.Definition, from, to metrics.Month) (all []warehouse.Published, err error) {
	add := func(r metrics.Result, row metrics.Row, month, department string) {
		f := warehouse.Published{Metric: d.Name, Month: month, Department: department, Version: uint32(r.Version), Value: row.Value, State: row.State, Units: row.Count, AsOf: r.AsOf}
		if row.State == metrics.StateSuppressed {
			f.Units = 0
		}
		all = append(all, f)
	}
	whole, err := p.Figures.Metric(ctx, metrics.Query{Metric: d.Name, By: "month", From: from, To: to})
	if err != nil {
		return nil, err
	}
	for _, row := range whole.Rows {
		add(whole, row, row.Key, "")
	}
	if !slices.Contains(d.DimensionNames(), "department") {
		return all, nil
	}
	for m := from; !to.Before(m); m = m.Add(1) {
		by, err := p.Figures.Metric(ctx, metrics.Query{Metric: d.Name, By: "department", From: m, To: m})
		if err != nil {
			return nil, err
		}
		for _, row := range by.Rows {
			if row.Key != "" {
				add(by, row, m.String(), row.Key)
			}
		}
	}
	return all, nil
}

// gone are the places of which a figure was published and none comes out now: all of a department's records were removed.
func (p *Publish) gone(d *metrics.Definition, figures, given []warehouse.Published) (all []warehouse.Published) {
	here := map[place]bool{}
	for _, f := range figures {
		here[place{f.Metric, f.Month, f.Department}] = true
	}
	for _, g := range given {
		if len(figures) > 0 && g.Metric == d.Name && !here[place{g.Metric, g.Month, g.Department}] {
			all = append(all, warehouse.Published{Metric: d.Name, Month: g.Month, Department: g.Department, Version: uint32(d.Version), State: metrics.StateEmpty, AsOf: figures[0].AsOf})
		}
	}
	return all
}

// same tells whether a figure stands as it was published. What only the order of a sum moves is no restatement.
func same(a, b warehouse.Published) bool {
	if a.State != b.State || a.Version != b.Version || a.Units != b.Units || (a.Value == nil) != (b.Value == nil) {
		return false
	}
	return a.Value == nil || math.Abs(*a.Value-*b.Value) <= 1e-12*max(math.Abs(*a.Value), math.Abs(*b.Value))
}

// reason is what has changed since the edition before, in words. It is asked once for all that were published together.
func (p *Publish) reason(ctx context.Context, before, now warehouse.Published, asked map[int64]string) (string, error) {
	if before.Version != now.Version {
		return fmt.Sprintf("The metric is defined anew: it was version %d and is version %d.", before.Version, now.Version), nil
	}
	day := before.At.UnixMicro()
	if text, ok := asked[day]; ok {
		return text, nil
	}
	const lag = 10 * time.Minute // a record has come in when the bus has it, and is in the figures a little later
	changes, err := p.Changes(ctx, before.At.Add(-lag))
	if err != nil {
		return "", err
	}
	parts := make([]string, 0, len(changes))
	for _, c := range changes {
		parts = append(parts, fmt.Sprintf("%d of %s %s", c.Records, cmp.Or(c.Dataset, "persons and organisations"), cmp.Or(words[c.Change], c.Change)))
	}
	text := "Since then, of all the county's records: " + strings.Join(parts, ", ") + "."
	if len(parts) == 0 {
		text = "No record has changed since; reference data have, such as the calendar or the catalogue."
	}
	asked[day] = text
	return text, nil
}

var words = map[string]string{"added": "were added", "corrected": "were corrected", "removed": "were removed", "merge": "were merged", "split": "were split"}

func said(f warehouse.Published) string {
	if f.Value == nil {
		return f.State
	}
	return fmt.Sprintf("%.4g", *f.Value)
}
