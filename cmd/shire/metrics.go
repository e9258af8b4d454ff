package main

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/shirecounty/shire/pipeline/warehouse"
	"github.com/shirecounty/shire/schemas/metrics"
)

func (a *app) metricsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "metrics",
		Short: "The county's figures: how they are defined, and what they are",
		RunE:  group,
	}
	cmd.AddCommand(a.metricsListCommand(), a.metricsShowCommand(), a.metricsQueryCommand(), a.metricsProcessCommand(), a.metricsRegisterCommand(), a.metricsEvaluateCommand())
	return cmd
}

func (a *app) metricsListCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the metrics",
		Args:  exactly(0, "no arguments"),
		RunE: func(*cobra.Command, []string) error {
			set, err := metrics.Load()
			if err != nil {
				return err
			}
			a.result = set.All()
			if a.json {
				return nil
			}
			w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
			for _, d := range set.All() {
				fmt.Fprintf(w, "%s\t%s\t%s\t%s\tbetter %s\n", d.Name, d.Label.Zh, d.Label.En, d.Kind, d.Better)
			}
			return w.Flush()
		},
	}
}

func (a *app) metricsShowCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "show NAME",
		Short: "Show how a metric is defined",
		Args:  exactly(1, "the name of a metric"),
		RunE: func(_ *cobra.Command, args []string) error {
			set, err := metrics.Load()
			if err != nil {
				return err
			}
			d, err := set.Get(args[0])
			if err != nil {
				return inputf("%v", err)
			}
			a.result = d
			if !a.json {
				a.show(d)
			}
			return nil
		},
	}
}

func (a *app) show(d *metrics.Definition) {
	a.say("%s  %s  %s  (version %d)\n%s\n%s\n", d.Name, d.Label.Zh, d.Label.En, d.Version, d.Description.Zh, d.Description.En)
	open, refused := "", ""
	if d.Open != "" {
		open = fmt.Sprintf("%s; not estimable with more than %g of all", d.Open, d.MaximumOpen)
	}
	if d.Refuse != nil {
		refused = d.Refuse.When
	}
	for _, line := range [][2]string{
		{"kind", d.Kind}, {"from", d.From}, {"where", d.Where}, {"time", d.Time}, {"numerator", d.Numerator}, {"denominator", d.Denominator},
		{"units", d.Units}, {"open", open}, {"formula", d.Formula}, {"duration", d.Duration}, {"event", d.Event}, {"refused when", refused},
		{"dimensions", strings.Join(d.DimensionNames(), ", ")}, {"unit", d.Unit}, {"better", d.Better}, {"beside", d.Beside},
		{"coverage of", d.Coverage}, {"grade", d.Grade}, {"minimum cell", strconv.Itoa(d.MinimumCell)}, {"view", "metrics." + d.Name},
	} {
		if line[1] != "" {
			a.say("%-13s %s", line[0], line[1])
		}
	}
}

// metricsQuery is what the flags of shire metrics query say.
type metricsQuery struct {
	by, from, to, compare, known string
	where                        []string
	quantile                     float64
	csv                          bool
}

func (a *app) metricsQueryCommand() *cobra.Command {
	var f metricsQuery
	cmd := &cobra.Command{
		Use:   "query NAME",
		Short: "Ask for a metric, over months of application",
		Args:  exactly(1, "the name of a metric"),
		RunE: func(cmd *cobra.Command, args []string) error {
			q, err := f.query(args[0])
			if err != nil {
				return inputf("%v", err)
			}
			set, err := metrics.Load()
			if err != nil {
				return err
			}
			d, err := set.Get(q.Metric)
			if err != nil {
				return inputf("%v", err)
			}
			return a.withWarehouse(cmd.Context(), func(ctx context.Context, s *setup, e *engines) error {
				return a.metric(ctx, s, e, d, q, f)
			})
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.by, "by", "", "one row for each value of this: month, or a dimension that shire metrics show names")
	flags.StringVar(&f.from, "from", "", "first month, such as 2026-01 (default: two months before the last one)")
	flags.StringVar(&f.to, "to", "", "last month (default: the last complete month of the data)")
	flags.StringVar(&f.compare, "compare", "", "the figures of an earlier period beside: previous or year; or known: what was known at --known")
	flags.StringVar(&f.known, "known", "", "what was known at the end of this day, such as 2026-11-01, or at this time")
	flags.StringArrayVar(&f.where, "where", nil, "only this value of a dimension, such as item=339921MZ0001; may be given several times")
	flags.Float64Var(&f.quantile, "quantile", 0, "of a time: which quantile, such as 0.75 (default: the median)")
	flags.BoolVar(&f.csv, "csv", false, "print CSV")
	return cmd
}

func (f metricsQuery) query(name string) (q metrics.Query, err error) {
	q = metrics.Query{Metric: name, By: f.by, Compare: f.compare, Quantile: f.quantile, Filters: map[string]string{}}
	if f.from != "" {
		if q.From, err = metrics.ParseMonth(f.from); err != nil {
			return q, fmt.Errorf("--from: %w", err)
		}
	}
	if f.to != "" {
		if q.To, err = metrics.ParseMonth(f.to); err != nil {
			return q, fmt.Errorf("--to: %w", err)
		}
	}
	for _, condition := range f.where {
		dimension, value, ok := strings.Cut(condition, "=")
		if _, twice := q.Filters[dimension]; !ok || dimension == "" || twice {
			return q, fmt.Errorf("--where %s is not understood; write dimension=value, such as department=health, each dimension once", condition)
		}
		q.Filters[dimension] = value
	}
	return q, nil
}

func (a *app) metric(ctx context.Context, s *setup, e *engines, d *metrics.Definition, q metrics.Query, f metricsQuery) error {
	zone, err := time.LoadLocation(s.config.County.TimeZone)
	if err != nil {
		return err
	}
	conn, err := warehouse.Open(e.analyst)
	if err != nil {
		return err
	}
	defer conn.Close()
	figures := warehouse.NewFigures(conn, s.metrics, zone)
	loader, err := warehouse.Open(e.loader)
	if err != nil {
		return err
	}
	defer loader.Close()
	figures.Noting(noteIn(e.registerOver(loader, s.metrics, "shire metrics query"), a.log))
	if f.known != "" {
		if q.Known, err = metrics.ParseKnown(f.known, zone); err != nil {
			return inputf("--known: %v", err)
		}
	}
	q, err = q.Complete(func() (metrics.Extent, error) { return figures.Extent(ctx) })
	var result metrics.Result
	if err == nil {
		result, err = figures.Metric(ctx, q)
	}
	if input := (*metrics.InputError)(nil); errors.As(err, &input) {
		return inputf("%v", input)
	}
	if err != nil {
		return err
	}
	a.result = result
	if a.json {
		return nil
	}
	header, rows := result.Table(d)
	if f.csv {
		return csv.NewWriter(a.out).WriteAll(append([][]string{header}, rows...))
	}
	return a.showFigures(d, result)
}

func (a *app) showFigures(d *metrics.Definition, r metrics.Result) error {
	a.say("%s  %s (%s, version %d), %s to %s, data up to %s", d.Label.Zh, d.Label.En, d.Name, r.Version, r.From, r.To, r.AsOf)
	w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	header := []string{r.By, "value", "interval", "count", "open", "coverage", ""}
	if r.Compared != nil {
		before := r.Compared.From + " to " + r.Compared.To
		if r.Compared.Known != "" {
			before = "known " + r.Compared.Known
		}
		header = append(header, before, "difference")
	}
	fmt.Fprintln(w, strings.TrimRight(strings.Join(header, "\t"), "\t"))
	for _, row := range r.Rows {
		interval := ""
		if row.Lower != nil || row.Upper != nil {
			interval = said(d, row.Lower, "…") + " – " + said(d, row.Upper, "…")
		}
		line := []string{row.Key, said(d, row.Value, row.State), interval, strconv.FormatInt(row.Count, 10), strconv.FormatInt(row.Open, 10),
			percent(row.Coverage), strings.Join(row.Warnings, " ")}
		if r.Compared != nil {
			before := metrics.Row{State: metrics.StateEmpty}
			if row.Before != nil {
				before = *row.Before
			}
			line = append(line, said(d, before.Value, before.State), said(d, row.Difference, ""))
		}
		fmt.Fprintln(w, strings.Join(line, "\t"))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if c := r.Coverage; c != nil {
		a.say("Coverage: %s (%s): %d captured of %d reported%s%s", c.State, percent(c.Value), c.Captured, c.Reported,
			among("; stopped delivering: ", c.Stopped), among("; not reported by ", c.Unreported))
	}
	if r.Compared != nil && r.Compared.Known != "" {
		a.sayRestated(r.Restated)
	}
	if r.Compared != nil && r.Compared.Known == "" {
		a.say("The difference is as it is. It says nothing of chance, and proves no effect.")
	}
	return nil
}

var changeWords = map[string]string{"added": "were added", "corrected": "were corrected", "removed": "were removed",
	"merge": "belong to a party that was merged", "split": "belong to a party that was split"}

// said is a figure in the metric's unit, or what stands for it.
func said(d *metrics.Definition, v *float64, instead string) string {
	switch {
	case v == nil:
		return instead
	case d.Unit == "share":
		return percent(v)
	case d.Unit == "seconds":
		return hours(*v)
	}
	return strings.TrimSuffix(strconv.FormatFloat(*v, 'f', 2, 64), ".00") + " " + strings.ReplaceAll(d.Unit, "_", " ")
}

func percent(v *float64) string {
	if v == nil {
		return ""
	}
	return strconv.FormatFloat(100**v, 'f', 1, 64) + "%"
}

func among(what string, names []string) string {
	if len(names) == 0 {
		return ""
	}
	return what + strings.Join(names, ", ")
}
