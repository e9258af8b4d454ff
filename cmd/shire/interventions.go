package main

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"os/user"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/spf13/cobra"

	"github.com/shirecounty/shire/pipeline/registry"
	"github.com/shirecounty/shire/pipeline/warehouse"
	"github.com/shirecounty/shire/schemas/document"
	"github.com/shirecounty/shire/schemas/metrics"
	"github.com/shirecounty/shire/schemas/pseudonym"
)

// readInterventions reads what the county did, with its claims.
func (s *setup) readInterventions() (err error) {
	if s.config.Interventions == "" {
		return nil
	}
	departments := slices.Sorted(maps.Keys(s.config.Departments))
	if len(departments) > 0 {
		for _, c := range s.contracts {
			departments = append(departments, c.Department)
		}
		slices.Sort(departments)
		departments = slices.Compact(departments)
	}
	s.interventions, err = registry.Load(s.config.Interventions, registry.County{Metrics: s.metrics, Departments: departments})
	return err
}

func (s *setup) interventionNames() (names []string) {
	for _, d := range s.interventions {
		names = append(names, d.Name)
	}
	return names
}

// defined finds interventions by their names; all when none is named.
func (s *setup) defined(names ...string) (found []registry.Definition, err error) {
	if len(names) == 0 {
		return s.interventions, nil
	}
	for _, name := range names {
		at := slices.IndexFunc(s.interventions, func(d registry.Definition) bool { return d.Name == name })
		switch {
		case at >= 0:
			found = append(found, s.interventions[at])
		case s.config.Interventions == "":
			return nil, inputf("there is no intervention %q: county.yaml names no folder of them; write interventions: interventions and put a file into it (docs/evaluation.md)", name)
		default:
			return nil, inputf("there is no intervention %q in %s; %s", name, s.config.Interventions, document.DidYouMean(name, s.interventionNames()))
		}
	}
	return found, nil
}

// registerOver is the register of interventions over the loading user's connection.
func (e *engines) registerOver(conn driver.Conn, set metrics.Set, caller string) *registry.Register {
	o := registry.Options{Conn: conn, Metrics: set, Caller: caller}
	// I7: analysts read the register, so that it holds a pseudonym of the account's name, as the log of accesses does.
	if u, err := user.Current(); err == nil {
		if h, err := pseudonym.New(e.key); err == nil {
			o.Clerk = h.Text("clerk", u.Username)
		}
	}
	return registry.Open(o)
}

// noteIn notes in the register which figures were shown. A figure is shown all the same when that cannot be written now: it is tried
// again with the next.
func noteIn(r *registry.Register, log *slog.Logger) func(ctx context.Context, metric string, from, to metrics.Month, asOf time.Time) {
	return func(ctx context.Context, metric string, from, to metrics.Month, asOf time.Time) {
		if err := r.Asked(ctx, metric, from, to, asOf); err != nil && ctx.Err() == nil {
			log.Warn("the register of interventions does not yet say that a figure was shown; it is tried again with the next", "metric", metric, "error", err)
		}
	}
}

// registerAtStart registers what a starting platform finds new or changed. What cannot be registered now is when it is evaluated, so
// that the platform runs all the same.
func (a *app) registerAtStart(ctx context.Context, n *node) {
	all, fresh, err := n.register.Register(ctx, n.interventions)
	if err != nil {
		a.log.Error("the interventions could not be registered; shire metrics register tries again", "error", err)
		return
	}
	for _, r := range all {
		if slices.Contains(fresh, r.Name) {
			a.say("Registered: the intervention %s, version %d, SHA-256 %s%s", r.Name, r.Version, r.Hash[:12], lateWords(r))
		}
	}
}

// evaluateAll judges what is registered, so that a county that was just filled has verdicts to look at. What cannot be judged is
// not why a demo ends.
func (a *app) evaluateAll(ctx context.Context, n *node) {
	for _, d := range n.interventions {
		e, err := n.register.Evaluate(ctx, d.Name, time.Time{}, n.figures, nil)
		if err != nil {
			a.log.Warn("an intervention could not be evaluated; shire metrics evaluate tries again", "intervention", d.Name, "error", err)
			continue
		}
		a.say("Evaluated: the intervention %s: %s (/evaluation)", d.Name, e.Result.Verdict.Text().En)
	}
}

func lateWords(r registry.Registration) string {
	if r.Late() {
		return ", after its result had been seen"
	}
	return ""
}

// withRegister runs with the register and the figures of the warehouse, whether or not a platform runs.
func (a *app) withRegister(ctx context.Context, caller string, fn func(context.Context, *setup, *registry.Register, *warehouse.Figures) error) error {
	return a.withWarehouse(ctx, func(ctx context.Context, s *setup, e *engines) error {
		if err := reachable(warehouse.Migrate(ctx, e.loader), e.loader.Native); err != nil {
			return err
		}
		loader, err := warehouse.Open(e.loader)
		if err != nil {
			return err
		}
		defer loader.Close()
		analyst, err := warehouse.Open(e.analyst)
		if err != nil {
			return err
		}
		defer analyst.Close()
		return fn(ctx, s, e.registerOver(loader, s.metrics, caller), warehouse.NewFigures(analyst, s.metrics, s.zone))
	})
}

// registrationLine is a version of an intervention as --json shows it.
type registrationLine struct {
	Name         string       `json:"name"`
	Title        metrics.Text `json:"title"`
	Version      uint32       `json:"version"`
	RegisteredAt time.Time    `json:"registered_at"`
	SeenAt       *time.Time   `json:"seen_at,omitempty"`
	Hash         string       `json:"hash"`
	Late         bool         `json:"late"` // registered after its result had been seen
	New          bool         `json:"new"`  // by this command
}

func (a *app) metricsRegisterCommand() *cobra.Command {
	var versions bool
	cmd := &cobra.Command{
		Use:   "register [INTERVENTION...]",
		Short: "Register interventions, all of the county's when none is named, before their result is seen",
		Long: "Register what the county did: the definitions of the folder that county.yaml names as interventions, with the time and a hash, in a chain\n" +
			"that shows every later change. What is registered already stays as it is; a changed definition becomes another version. shire up does\n" +
			"so when it starts. The chain is proven each time.",
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withRegister(cmd.Context(), "shire metrics register", func(ctx context.Context, s *setup, r *registry.Register, _ *warehouse.Figures) error {
				definitions, err := s.defined(args...)
				if err != nil {
					return err
				}
				all, fresh, err := r.Register(ctx, definitions)
				if err != nil {
					return err
				}
				if versions {
					if all, err = r.Versions(ctx); err != nil {
						return err
					}
				}
				return a.showRegistrations(s, all, fresh)
			})
		},
	}
	cmd.Flags().BoolVar(&versions, "versions", false, "show every version that was ever registered")
	return cmd
}

func (a *app) showRegistrations(s *setup, all []registry.Registration, fresh []string) error {
	lines := []registrationLine{}
	newest := map[string]uint32{}
	for _, r := range all {
		newest[r.Name] = max(newest[r.Name], r.Version)
	}
	for _, r := range all {
		lines = append(lines, registrationLine{r.Name, r.Title, r.Version, r.RegisteredAt, r.SeenAt, r.Hash, r.Late(), slices.Contains(fresh, r.Name) && r.Version == newest[r.Name]})
	}
	a.result = lines
	if a.json {
		return nil
	}
	if len(lines) == 0 {
		a.say("There are no interventions: county.yaml names no folder of them, or it is empty (docs/evaluation.md)")
		return nil
	}
	w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "intervention\tversion\tregistered\tSHA-256\t")
	for _, l := range lines {
		var notes []string
		if l.New {
			notes = append(notes, "new")
		}
		if l.Late {
			notes = append(notes, "registered after its result had been seen ("+l.SeenAt.In(s.zone).Format(time.DateTime)+")")
		}
		fmt.Fprintf(w, "%s\t%d\t%s\t%s\t%s\n", l.Name, l.Version, l.RegisteredAt.In(s.zone).Format("2006-01-02 15:04:05 -07:00"), l.Hash, strings.Join(notes, ", "))
	}
	return w.Flush()
}

// lateRegister is lateFigures for the register: the portal reads it as an analyst does.
type lateRegister struct{ conn driver.Conn }

func (l *lateRegister) Versions(ctx context.Context) ([]registry.Registration, error) {
	return registry.Versions(ctx, l.conn)
}

func (l *lateRegister) Verdicts(ctx context.Context) (map[string]registry.Verdict, error) {
	return registry.Verdicts(ctx, l.conn)
}

func (l *lateRegister) Evaluation(ctx context.Context, name string) (*registry.Evaluation, error) {
	return registry.Newest(ctx, l.conn, name)
}
