package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/spf13/cobra"

	"github.com/shirecounty/shire/deploy/embedded"
	"github.com/shirecounty/shire/jobs"
	"github.com/shirecounty/shire/jobs/ledger"
)

func (a *app) jobsCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "jobs", Short: "What runs by itself: list jobs, look ahead and back, run, pause, cancel, retry and backfill", Args: cobra.ArbitraryArgs, RunE: group}
	cmd.AddCommand(a.jobsList(), a.jobsNext(), a.jobsHistory(), a.jobsLogs(), a.jobsRun(), a.jobsPause(), a.jobsResume(), a.jobsCancel(), a.jobsRetry(), a.jobsBackfill(), a.operatorsCommand())
	return cmd
}

// office is what the commands on jobs work with.
type office struct {
	*setup
	*jobs.Desk
	running bool // somebody runs jobs
}

// withJobs opens the ledger of jobs: on the bus of the platform that runs, or on the engine at rest, of which only the bus is
// started.
func (a *app) withJobs(ctx context.Context, fn func(context.Context, *office) error) error {
	s, err := a.readSetup()
	if err != nil {
		return err
	}
	set, err := s.jobSet(nil, nil)
	if err != nil {
		return err
	}
	nc, stop, served, err := a.bus(ctx, s)
	if err != nil {
		return err
	}
	defer stop()
	l, err := ledger.Open(ctx, nc, ledger.Options{County: s.config.County.Division, Replicas: s.config.Engines.NATS.Replicas})
	if err != nil {
		return err
	}
	o := &office{setup: s, Desk: &jobs.Desk{Ledger: l, Jobs: set, Clock: jobs.System{}}}
	if served {
		nodes, err := o.Nodes(ctx)
		if err != nil {
			return err
		}
		o.running = len(nodes) > 0
	}
	return fn(ctx, o)
}

// bus connects to the county's bus. served tells whether it may be that somebody else is on it.
func (a *app) bus(ctx context.Context, s *setup) (nc *nats.Conn, stop func(), served bool, err error) {
	if s.config.Engines.NATS.Address != "" {
		nc, err = connectNATS(s.config, "")
		if err != nil {
			return nil, nil, false, err
		}
		return nc, nc.Close, true, nil
	}
	e, _, err := a.attach(s)
	if err == nil {
		return e.nc, e.stop, true, nil
	}
	if !errors.Is(err, embedded.ErrNotRunning) {
		return nil, nil, false, err
	}
	secrets, err := embedded.LoadOrCreateSecrets(a.data, secretNames()...)
	if err != nil {
		return nil, nil, false, err
	}
	options := embeddedOptions(a.data, s.config, secrets, nil, a.log)
	options.ClickHouse.Disabled = true
	own, err := embedded.Start(ctx, options)
	if err != nil {
		return nil, nil, false, err
	}
	e = &engines{own: own}
	if e.nc, err = connectNATS(s.config, own.NATS().URL, own.NATS().InProcess()...); err != nil {
		e.stop()
		return nil, nil, false, err
	}
	if err := a.remember(s.config.File); err != nil {
		e.stop()
		return nil, nil, false, err
	}
	return e.nc, e.stop, false, nil
}

// table prints rows of columns.
func (a *app) table(head string, rows func(row func(columns ...any))) error {
	w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, strings.ReplaceAll(head, " ", "\t"))
	rows(func(columns ...any) {
		for i, c := range columns {
			if i > 0 {
				fmt.Fprint(w, "\t")
			}
			fmt.Fprint(w, c)
		}
		fmt.Fprintln(w)
	})
	return w.Flush()
}

// when is a time for people, in the county's zone.
func (o *office) when(t *time.Time) string {
	if t == nil || t.IsZero() {
		return "-"
	}
	return t.In(o.zone).Format(time.DateTime)
}

// due says in words when a job is due.
func due(s *jobs.Status) string {
	text := "by hand"
	switch {
	case s.Schedule != "":
		text = s.Schedule
	case s.Every != "":
		text = "every " + s.Every
	case len(s.After) > 0:
		text = "after " + strings.Join(s.After, ", ")
	}
	if s.Days != "any" {
		text += " (" + s.Days + ")"
	}
	return text
}

// state says in a word how a job stands.
func state(s *jobs.Status) string {
	word := "idle"
	for _, r := range s.Active {
		if word = r.Outcome; word == jobs.Running {
			break
		}
	}
	if s.Paused != nil {
		word += ", paused"
	}
	if s.Kind == jobs.KindUnknown {
		word += ", not in this county.yaml"
	}
	return word
}

func (a *app) jobsList() *cobra.Command {
	return &cobra.Command{
		Use: "list [JOB]", Short: "List the jobs, or show one with its runs and backfills under way", Args: atMost(1, "one job at most"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withJobs(cmd.Context(), func(ctx context.Context, o *office) error {
				if len(args) == 1 {
					return a.showJob(ctx, o, args[0])
				}
				list, err := o.List(ctx)
				if err != nil {
					return err
				}
				a.result = list
				if a.json {
					return nil
				}
				if len(list) == 0 {
					a.say("there are no jobs; write them in %s under jobs:", o.config.File)
					return nil
				}
				err = a.table("JOB DOES DUE NEXT STATE LAST OWNER", func(row func(...any)) {
					for i := range list {
						s := &list[i]
						last := "-"
						if s.Last != nil {
							last = s.Last.Outcome + ", " + o.when(&s.Last.Finished)
						}
						row(s.Name, strings.TrimSpace(s.Kind+" "+s.Source), due(s), o.when(s.Next), state(s), last, cmp.Or(s.Owner, "-"))
					}
				})
				for _, s := range list {
					for _, r := range s.Active {
						if r.Outcome == jobs.Waiting && r.Attempt == 0 && r.Message != "" { // nobody has started it, for a reason
							a.say("%s: %s", r.ID, r.Message)
						}
					}
				}
				return err
			})
		},
	}
}

func (a *app) showJob(ctx context.Context, o *office, name string) error {
	s, err := o.Show(ctx, name)
	if err != nil {
		return err
	}
	a.result = s
	if a.json {
		return nil
	}
	a.say("%s: %s, due %s in %s; missed: %s, overlap: %s", s.Name, strings.TrimSpace(s.Kind+" "+s.Source), due(s), s.TimeZone, s.Missed, s.Overlap)
	a.say("next %s; last ended well %s", o.when(s.Next), o.when(s.LastOK))
	if s.Paused != nil {
		a.say("paused since %s: %s", o.when(&s.Paused.At), cmp.Or(s.Paused.Reason, "no reason was given"))
	}
	if s.Last != nil {
		a.say("last run: %s %s", s.Last.ID, word(s.Last))
	}
	for _, r := range s.Active {
		a.say("under way: %s %s, attempt %d %s", r.ID, r.Outcome, r.Attempt, r.Message)
	}
	for i := range s.Backfills {
		a.say("backfill %s", progressOf(o, &s.Backfills[i]))
	}
	return nil
}

func word(r *jobs.Run) string {
	if r.Message == "" {
		return r.Outcome
	}
	return r.Outcome + ": " + r.Message
}

func progressOf(o *office, b *jobs.Backfill) string {
	state := b.Outcome
	if b.Paused {
		state = "paused"
	}
	text := fmt.Sprintf("%s: %s, %d of %d due times from %s to %s", b.ID, state, b.Passed, b.Total, o.when(&b.From), o.when(&b.To))
	for _, outcome := range []string{jobs.OK, jobs.Failed, jobs.Cancelled} {
		if n := b.Outcomes[outcome]; n > 0 {
			text += fmt.Sprintf(", %d %s", n, outcome)
		}
	}
	if b.Left > 0 {
		text += fmt.Sprintf(", %d left alone", b.Left)
	}
	return text
}

func (a *app) jobsNext() *cobra.Command {
	var n int
	cmd := &cobra.Command{
		Use: "next [JOB]", Short: "What comes due next", Args: atMost(1, "one job at most"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withJobs(cmd.Context(), func(ctx context.Context, o *office) error {
				list, err := o.Next(ctx, first(args), n)
				if err != nil {
					return err
				}
				a.result = list
				if a.json {
					return nil
				}
				if len(list) == 0 {
					a.say("nothing comes due by itself")
					return nil
				}
				return a.table("DUE JOB NOTE", func(row func(...any)) {
					for _, c := range list {
						note := c.Problem
						if c.Paused {
							note = strings.TrimSpace("paused " + note)
						}
						row(o.when(&c.Due), c.Job, note)
					}
				})
			})
		},
	}
	cmd.Flags().IntVar(&n, "n", 10, "how many")
	return cmd
}

func (a *app) jobsHistory() *cobra.Command {
	var n int
	cmd := &cobra.Command{
		Use: "history [JOB]", Short: "The newest runs; years of them are in ops.runs (shire sql)", Args: atMost(1, "one job at most"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withJobs(cmd.Context(), func(ctx context.Context, o *office) error {
				if n < 1 || n > 1000 {
					return inputf("ask for 1 to 1000 runs, not %d; there are more in ops.runs", n)
				}
				runs, err := o.History(ctx, first(args), n)
				if err != nil {
					return err
				}
				a.result = runs
				if a.json {
					return nil
				}
				if len(runs) == 0 {
					a.say("nothing has run yet")
					return nil
				}
				return a.table("RUN CAUSE OUTCOME ATTEMPT TOOK MESSAGE", func(row func(...any)) {
					for _, r := range runs {
						took := "-"
						if !r.Started.IsZero() && !r.Finished.IsZero() && r.Attempt > 0 {
							took = r.Finished.Sub(r.Started).Round(time.Millisecond).String()
						}
						row(r.ID, r.Cause, r.Outcome, r.Attempt, took, r.Message)
					}
				})
			})
		},
	}
	cmd.Flags().IntVar(&n, "n", 20, "how many")
	return cmd
}

func (a *app) jobsLogs() *cobra.Command {
	var follow bool
	cmd := &cobra.Command{
		Use: "logs RUN", Short: "What a run printed", Args: exactly(1, "a run, as history prints it"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withJobs(cmd.Context(), func(ctx context.Context, o *office) error {
				lines := []jobs.Line{}
				err := o.Logs(ctx, args[0], follow, func(l jobs.Line) error {
					if a.json {
						lines = append(lines, l)
					}
					a.sayLine(o, l)
					return nil
				})
				a.result = lines
				return err
			})
		},
	}
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "go on until the run is over")
	return cmd
}

func (a *app) sayLine(o *office, l jobs.Line) {
	a.say("%s  %s", l.At.In(o.zone).Format("15:04:05.000"), l.Text)
}

func first(args []string) string {
	if len(args) == 0 {
		return ""
	}
	return args[0]
}

// atMost is exactly for commands that can do without.
func atMost(n int, what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) > n {
			return inputf("%s takes %s; see %s --help", cmd.CommandPath(), what, cmd.CommandPath())
		}
		return nil
	}
}
