package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/shirecounty/shire/jobs"
)

// errRunNotOK marks a run that was watched and did not end well.
var errRunNotOK = errors.New("the run did not end well")

func (a *app) jobsRun() *cobra.Command {
	var watch bool
	var given []string
	cmd := &cobra.Command{
		Use: "run JOB", Short: "Run a job now", Args: exactly(1, "a job"),
		Long: "Run a job now, with parameters that take the place of its own. Where runs of the job may not overlap it waits for its turn.",
		RunE: func(cmd *cobra.Command, args []string) error {
			parameters, err := parseParameters(given)
			if err != nil {
				return err
			}
			return a.withJobs(cmd.Context(), func(ctx context.Context, o *office) error {
				if watch && !o.running {
					return inputf("no platform runs jobs on %s, so there is nothing to watch; start shire up, or leave out --watch", a.data)
				}
				r, err := o.Trigger(ctx, args[0], parameters)
				if err != nil {
					return err
				}
				return a.begun(ctx, o, r, watch)
			})
		},
	}
	cmd.Flags().BoolVarP(&watch, "watch", "w", false, "print what it prints and wait until it is over")
	cmd.Flags().StringArrayVarP(&given, "parameter", "p", nil, "name=value, as often as there are parameters")
	return cmd
}

func parseParameters(given []string) (map[string]string, error) {
	parameters := map[string]string{}
	for _, p := range given {
		name, value, ok := strings.Cut(p, "=")
		if !ok {
			return nil, inputf("%q is not a parameter; write name=value", p)
		}
		parameters[name] = value
	}
	return parameters, nil
}

// begun tells of a run that was asked for, and watches it when asked.
func (a *app) begun(ctx context.Context, o *office, r *jobs.Run, watch bool) error {
	a.result = r
	if !watch {
		a.say("%s", r.ID)
		if !o.running {
			a.say("no platform runs jobs on %s now; it starts with the next shire up", a.data)
		}
		return nil
	}
	a.say("%s", r.ID)
	if err := o.Logs(ctx, r.ID, true, func(l jobs.Line) error { a.sayLine(o, l); return nil }); err != nil {
		return err
	}
	last, err := o.Run(ctx, r.ID)
	if err != nil {
		return err
	}
	a.result = last
	if last.Outcome != jobs.OK {
		return fmt.Errorf("%w: it was %s", errRunNotOK, word(last))
	}
	a.say("%s", word(last))
	return nil
}

func (a *app) jobsPause() *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use: "pause JOB", Short: "Let a job start nothing by itself", Args: exactly(1, "a job"),
		Long: "Let a job start nothing by itself until it is resumed. What comes due meanwhile is missed; what becomes of it then,\nthe job's missed: says. Runs that go on are left alone: see shire jobs cancel.",
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withJobs(cmd.Context(), func(ctx context.Context, o *office) error {
				if err := o.Pause(ctx, args[0], reason); err != nil {
					return err
				}
				return a.stands(ctx, o, args[0])
			})
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why, for those who wonder")
	return cmd
}

func (a *app) jobsResume() *cobra.Command {
	return &cobra.Command{
		Use: "resume JOB", Short: "Take a pause back", Args: exactly(1, "a job"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withJobs(cmd.Context(), func(ctx context.Context, o *office) error {
				if err := o.Resume(ctx, args[0]); err != nil {
					return err
				}
				return a.stands(ctx, o, args[0])
			})
		},
	}
}

func (a *app) stands(ctx context.Context, o *office, name string) error {
	s, err := o.Show(ctx, name)
	if err != nil {
		return err
	}
	a.result = s
	a.say("%s is %s; next %s", s.Name, state(s), o.when(s.Next))
	return nil
}

func (a *app) jobsCancel() *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use: "cancel RUN", Short: "End a run that waits, or stop one that goes on", Args: exactly(1, "a run, as history prints it"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withJobs(cmd.Context(), func(ctx context.Context, o *office) error {
				if err := o.Cancel(ctx, args[0], reason); err != nil {
					return err
				}
				r, err := o.Run(ctx, args[0])
				if err != nil {
					return err
				}
				a.result = r
				if r.Over() {
					a.say("%s is cancelled", r.ID)
				} else {
					a.say("%s is being stopped", r.ID)
				}
				return nil
			})
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why, for those who wonder")
	return cmd
}

func (a *app) jobsRetry() *cobra.Command {
	var watch bool
	cmd := &cobra.Command{
		Use: "retry RUN", Short: "Run again what failed, was cancelled or was skipped", Args: exactly(1, "a run, as history prints it"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withJobs(cmd.Context(), func(ctx context.Context, o *office) error {
				if watch && !o.running {
					return inputf("no platform runs jobs on %s, so there is nothing to watch; start shire up, or leave out --watch", a.data)
				}
				r, err := o.Retry(ctx, args[0])
				if err != nil {
					return err
				}
				return a.begun(ctx, o, r, watch)
			})
		},
	}
	cmd.Flags().BoolVarP(&watch, "watch", "w", false, "print what it prints and wait until it is over")
	return cmd
}

type backfillFlags struct {
	from, to, only        string
	reverse, dryRun       bool
	most                  int
	pause, resume, cancel string
	given                 []string
	watch                 bool
}

func (a *app) jobsBackfill() *cobra.Command {
	var f backfillFlags
	cmd := &cobra.Command{
		Use: "backfill JOB", Short: "Run a job for due times of the past", Args: exactly(1, "a job"),
		Long: "Run a job for its due times from one day up to another, each with the data interval that it had. Without --from, the\n" +
			"backfills of the job and how far they are. A backfill goes on over restarts until it is done or cancelled.",
		Example: "  shire jobs backfill nightly --from 2026-01-01 --to 2026-03-01 --only none\n  shire jobs backfill nightly --pause k3x9q2mf",
		RunE: func(cmd *cobra.Command, args []string) error {
			parameters, err := parseParameters(f.given)
			if err != nil {
				return err
			}
			return a.withJobs(cmd.Context(), func(ctx context.Context, o *office) error { return a.backfill(ctx, o, args[0], f, parameters) })
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.from, "from", "", "due times from this day or time on")
	flags.StringVar(&f.to, "to", "", "and before this one (default: now)")
	flags.StringVar(&f.only, "only", "", "those alone that were not run (none), that failed, or that completed")
	flags.BoolVar(&f.reverse, "reverse", false, "the newest first")
	flags.IntVar(&f.most, "max-active", 1, "how many at a time; more than one only where runs may overlap")
	flags.BoolVar(&f.dryRun, "dry-run", false, "say what would run, and run nothing")
	flags.BoolVarP(&f.watch, "watch", "w", false, "wait until it is done")
	flags.StringVar(&f.pause, "pause", "", "pause this backfill of the job")
	flags.StringVar(&f.resume, "resume", "", "resume this backfill of the job")
	flags.StringVar(&f.cancel, "cancel", "", "cancel this backfill of the job")
	flags.StringArrayVarP(&f.given, "parameter", "p", nil, "name=value, as often as there are parameters")
	return cmd
}

func (a *app) backfill(ctx context.Context, o *office, name string, f backfillFlags, parameters map[string]string) error {
	for do, id := range map[string]string{"pause": f.pause, "resume": f.resume, "cancel": f.cancel} {
		if id == "" {
			continue
		}
		if err := o.ChangeBackfill(ctx, name, id, do); err != nil {
			return err
		}
		return a.backfills(ctx, o, name)
	}
	if f.from == "" {
		return a.backfills(ctx, o, name)
	}
	r := jobs.BackfillRequest{Job: name, Only: f.only, Reverse: f.reverse, Most: f.most, Parameters: parameters, To: o.Clock.Now()}
	var err error
	if r.From, err = parseTime(f.from, o.zone); err == nil && f.to != "" {
		r.To, err = parseTime(f.to, o.zone)
	}
	if err != nil {
		return err
	}
	if f.dryRun {
		p, err := o.PlanBackfill(ctx, r)
		if err != nil {
			return err
		}
		a.result = p
		a.say("%d of %d due times would run", p.Runs, p.Total)
		for _, due := range p.First {
			a.say("  %s", o.when(&due))
		}
		if more := p.Runs - len(p.First); more > 0 {
			a.say("  and %d more", more)
		}
		return nil
	}
	if f.watch && !o.running {
		return inputf("no platform runs jobs on %s, so there is nothing to watch; start shire up, or leave out --watch", a.data)
	}
	b, err := o.Backfill(ctx, r)
	if err != nil {
		return err
	}
	a.result = b
	a.say("backfill %s", progressOf(o, b))
	if !o.running {
		a.say("no platform runs jobs on %s now; it starts with the next shire up", a.data)
	}
	if !f.watch {
		return nil
	}
	return a.watchBackfill(ctx, o, name, b.ID)
}

// watchBackfill prints how far a backfill is, when it is further, until it is done.
func (a *app) watchBackfill(ctx context.Context, o *office, name, id string) error {
	for told := ""; ; {
		s, err := o.Show(ctx, name)
		if err != nil {
			return err
		}
		i := slices.IndexFunc(s.Backfills, func(b jobs.Backfill) bool { return b.ID == id })
		if i < 0 {
			return fmt.Errorf("the backfill %s is not known any more", id)
		}
		b := &s.Backfills[i]
		a.result = b
		if line := progressOf(o, b); line != told {
			told = line
			a.say("backfill %s", line)
		}
		switch b.Outcome {
		case jobs.Running:
		case jobs.OK:
			return nil
		default:
			return fmt.Errorf("the backfill was %s; see shire jobs history %s", b.Outcome, name)
		}
		if err := o.Clock.Sleep(ctx, o.Clock.Now().Add(500*time.Millisecond)); err != nil {
			return err
		}
	}
}

func (a *app) backfills(ctx context.Context, o *office, name string) error {
	s, err := o.Show(ctx, name)
	if err != nil {
		return err
	}
	a.result = s.Backfills
	if len(s.Backfills) == 0 {
		a.say("job %s has no backfills; begin one with --from", name)
	}
	for i := range s.Backfills {
		a.say("backfill %s", progressOf(o, &s.Backfills[i]))
	}
	return nil
}

// parseTime reads a day or a time in a zone.
func parseTime(text string, zone *time.Location) (time.Time, error) {
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02 15:04:05", "2006-01-02 15:04", time.DateOnly} {
		if t, err := time.ParseInLocation(layout, text, zone); err == nil {
			return t, nil
		}
	}
	return time.Time{}, inputf("%q is not a time; write 2026-03-02, \"2026-03-02 12:00\" or 2026-03-02T12:00:00+08:00", text)
}
