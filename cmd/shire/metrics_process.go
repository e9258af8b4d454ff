package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/shirecounty/shire/pipeline/warehouse"
	"github.com/shirecounty/shire/schemas/metrics"
)

// processFlags are what the flags of shire metrics process say.
type processFlags struct {
	item, department, channel, from, to, known string
	limit                                      int
}

func (a *app) metricsProcessCommand() *cobra.Command {
	var f processFlags
	cmd := &cobra.Command{
		Use:   "process",
		Short: "Tell how cases went: the ways they took, what followed what, what was done again, and where the time went",
		Args:  exactly(0, "no arguments; --item, --department and --channel choose the cases"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			months, err := metricsQuery{from: f.from, to: f.to}.query("")
			if err != nil {
				return inputf("%v", err)
			}
			if f.limit < 1 || f.limit > metrics.MostProcess {
				return inputf("--limit %d is not between 1 and %d", f.limit, metrics.MostProcess)
			}
			return a.withWarehouse(cmd.Context(), func(ctx context.Context, s *setup, e *engines) error {
				return a.process(ctx, s, e, months, f)
			})
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.item, "item", "", "only cases of this service item")
	flags.StringVar(&f.department, "department", "", "only cases of this department")
	flags.StringVar(&f.channel, "channel", "", "only cases of this channel")
	flags.StringVar(&f.from, "from", "", "first month of application, such as 2026-01 (default: two months before the last one)")
	flags.StringVar(&f.to, "to", "", "last month (default: the last complete month of the data)")
	flags.StringVar(&f.known, "known", "", "what was known at the end of this day, such as 2026-11-01, or at this time, and what has changed since")
	flags.IntVar(&f.limit, "limit", metrics.ProcessLimit, "at most so many ways and transitions")
	return cmd
}

func (a *app) process(ctx context.Context, s *setup, e *engines, months metrics.Query, f processFlags) error {
	q := metrics.ProcessQuery{Item: f.item, Department: f.department, Channel: f.channel, Limit: f.limit}
	var err error
	if f.known != "" {
		if q.Known, err = metrics.ParseKnown(f.known, s.zone); err != nil {
			return inputf("--known: %v", err)
		}
	}
	conn, err := warehouse.Open(e.analyst)
	if err != nil {
		return err
	}
	defer conn.Close()
	figures := warehouse.NewFigures(conn, s.metrics, s.zone)
	var p metrics.Process
	if months, err = months.Complete(func() (metrics.Extent, error) { return figures.Extent(ctx) }); err == nil {
		q.From, q.To = months.From, months.To
		p, err = figures.Process(ctx, q)
	}
	if input := (*metrics.InputError)(nil); errors.As(err, &input) {
		return inputf("%v", input)
	}
	if err == nil && !q.Known.IsZero() {
		p.Restated, err = figures.Changes(ctx, q.Known) // I9: what was known then says why it is another now
	}
	if err != nil {
		return err
	}
	a.result = p
	if a.json {
		return nil
	}
	return a.showProcess(p)
}

func (a *app) showProcess(p metrics.Process) error {
	up := "data up to " + cmp.Or(p.AsOf, "–")
	if p.Known != "" {
		up = "as known " + p.Known + ", " + up
	}
	a.say("How cases went that were applied for from %s to %s (%s)", p.From, p.To, up)
	if p.Cases == 0 {
		a.say("There are no such cases.")
	} else if err := a.showWays(p); err != nil {
		return err
	}
	if p.Known != "" {
		a.sayRestated(p.Restated)
	}
	return nil
}

func (a *app) showWays(p metrics.Process) error {
	a.say("%d cases of %d steps went %d ways, in %s on average; %d of them repeat an activity, in %d steps",
		p.Cases, p.Steps, p.Variants, hours(p.MeanSeconds), p.Repeating, p.ExtraSteps)
	if all := p.WorkingSeconds + p.WaitingSeconds + p.UntoldSeconds; all > 0 {
		part := func(seconds float64) string { share := seconds / all; return percent(&share) }
		a.say("Of the time %s was work, %s was waiting, and of %s nobody can tell", part(p.WorkingSeconds), part(p.WaitingSeconds), part(p.UntoldSeconds))
	}
	tables := [][][]string{{{"cases", "share", "median", "way"}}, {{"from", "to", "times", "cases", "mean", "median", "waiting"}},
		{{"done again", "cases", "extra steps", "directly"}}, {{"activity", "steps", "cases", "working", "waiting", "untold"}}}
	whole := func(n int64) string { return strconv.FormatInt(n, 10) }
	for _, v := range p.ListedVariants {
		tables[0] = append(tables[0], []string{whole(v.Cases), percent(&v.Share), hours(v.MedianSeconds), strings.Join(v.Trace, " → ")})
	}
	for _, f := range p.Follows {
		tables[1] = append(tables[1], []string{cmp.Or(f.From, "(begin)"), cmp.Or(f.To, "(end)"), whole(f.Count), whole(f.Cases), hours(f.MeanSeconds), hours(f.MedianSeconds), hours(f.WaitingSeconds)})
	}
	for _, r := range p.Rework {
		tables[2] = append(tables[2], []string{r.Activity, whole(r.Cases), whole(r.ExtraSteps), whole(r.Directly)})
	}
	for _, t := range p.Activities {
		tables[3] = append(tables[3], []string{t.Activity, whole(t.Steps), whole(t.Cases), hours(t.WorkingSeconds), hours(t.WaitingSeconds), hours(t.UntoldSeconds)})
	}
	for _, table := range tables {
		if len(table) == 1 {
			continue
		}
		a.say("")
		w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
		for _, row := range table {
			fmt.Fprintln(w, strings.Join(row, "\t"))
		}
		if err := w.Flush(); err != nil {
			return err
		}
	}
	a.say("\nWhat fewer than %d cases did is counted and not listed.", metrics.ProcessCell)
	return nil
}

func hours(seconds float64) string { return strconv.FormatFloat(seconds/3600, 'f', 2, 64) + " h" }

// sayRestated tells what has changed since what was known then.
func (a *app) sayRestated(changes []metrics.Restated) {
	for _, c := range changes {
		a.say("Since then: %d records of %s %s", c.Records, cmp.Or(c.Dataset, "persons and organisations"), changeWords[c.Change])
	}
	if len(changes) == 0 {
		a.say("Since then nothing has changed in the county's records.")
	}
}
