package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/shirecounty/shire/connectors"
	"github.com/shirecounty/shire/deploy/embedded"
	"github.com/shirecounty/shire/pipeline/identity"
	"github.com/shirecounty/shire/pipeline/normalise"
	"github.com/shirecounty/shire/pipeline/warehouse"
	"github.com/shirecounty/shire/schemas/clickhouse"
	"github.com/shirecounty/shire/schemas/contract"
	"github.com/shirecounty/shire/schemas/document"
	"github.com/shirecounty/shire/schemas/pseudonym"
)

func (a *app) checkCommand() *cobra.Command {
	var quick bool
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Check county.yaml, contracts, calendars, material rules and metrics, without touching the county's data",
		Args:  exactly(0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := a.readSetup()
			if err != nil {
				return err
			}
			return a.check(cmd.Context(), s, quick)
		},
	}
	cmd.Flags().BoolVar(&quick, "quick", false, "only read the metrics, instead of having an empty engine of its own compute them")
	return cmd
}

type checked struct {
	Config    string   `json:"config"`
	Sources   int      `json:"sources"`
	Jobs      int      `json:"jobs"`
	Contracts []string `json:"contracts"`
	Metrics   []string `json:"metrics"`

	Interventions []string `json:"interventions,omitempty"`
	Calendar      []int    `json:"calendar_years"`
	Proven        bool     `json:"metrics_proven"`  // an engine computed every metric; else they were only read
	Notes         []string `json:"notes,omitempty"` // what is allowed, and worth a look
}

func (a *app) check(ctx context.Context, s *setup, quick bool) error {
	// Whether the parts fit together shows only when they are put together.
	hasher, err := pseudonym.New(make([]byte, pseudonym.MinKey))
	if err != nil {
		return err
	}
	for _, name := range s.contracts.Names() {
		if _, err := normalise.Compile(s.contracts[name], hasher, s.calendar); err != nil {
			return inputf("%v", err)
		}
	}
	if err := s.checkJobs(); err != nil {
		return err
	}
	proven, err := a.proveMetrics(ctx, s, quick)
	if err != nil {
		return err
	}
	a.result = checked{Config: s.config.File, Sources: len(s.config.Sources), Jobs: len(s.config.Jobs), Contracts: s.contracts.Names(), Metrics: s.metrics.Names(), Calendar: s.calendar.Years(), Proven: proven,
		Interventions: s.interventionNames(), Notes: identity.Unmatched(s.contracts)}
	a.say("%s is right: %d sources, %d jobs, %d contracts, %d metrics; the working calendar is published for %s",
		s.config.File, len(s.config.Sources), len(s.config.Jobs), len(s.contracts), len(s.metrics.Names()), years(s.calendar.Years()))
	if n := len(s.interventions); n > 0 {
		a.say("Interventions: %s", strings.Join(s.interventionNames(), ", "))
	}
	if !proven {
		a.say("Note: the metrics were read and not computed, since %s", map[bool]string{true: "--quick says so", false: "there is no embedded engine here"}[quick])
	}
	for _, note := range identity.Unmatched(s.contracts) {
		a.say("Note: %s", note)
	}
	return nil
}

// proveMetrics reads the metrics and, where the embedded engine is at hand, has an empty one compute each in every way that it can be asked
// for. The engine lives in a folder of its own for as long as that takes.
func (a *app) proveMetrics(ctx context.Context, s *setup, quick bool) (proven bool, err error) {
	if err := clickhouse.ReadMetrics(s.metrics); err != nil {
		return false, inputf("%v", err)
	}
	if _, err := embedded.FindLibrary(); err != nil || quick {
		return false, nil
	}
	zone, err := time.LoadLocation(s.config.County.TimeZone)
	if err != nil {
		return false, inputf("county.time_zone: %v", err)
	}
	dir, err := os.MkdirTemp("", "shire-check-")
	if err != nil {
		return false, fmt.Errorf("the metrics cannot be proven: no folder for an engine: %w", err)
	}
	defer os.RemoveAll(dir)
	secrets, err := embedded.LoadOrCreateSecrets(dir, secretNames()...)
	if err != nil {
		return false, err
	}
	var users []embedded.User
	for _, u := range clickhouse.Access() {
		users = append(users, embedded.User{Name: u.Name, Password: secrets[u.Name], Settings: u.Settings, Readonly: u.Readonly, Grants: u.Grants})
	}
	engine, err := embedded.Start(ctx, embedded.Options{Dir: dir, Version: layoutVersion, NATS: embedded.NATSOptions{Disabled: true},
		ClickHouse: embedded.ClickHouseOptions{Users: users}, Log: a.log})
	if err != nil {
		return false, fmt.Errorf("the metrics cannot be proven, only read; shire check --quick leaves it at that: %w", err)
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
		defer cancel()
		err = errors.Join(err, engine.Stop(ctx))
	}()
	w, err := warehouse.Connect(ctx, warehouse.Address{Native: engine.ClickHouse().Native, User: clickhouse.Loader, Password: secrets[clickhouse.Loader]}, "check", a.log)
	if err != nil {
		return false, err
	}
	defer w.Close()
	if err := errors.Join(clickhouse.LoadReference(ctx, w.Conn(), s.calendar, nil, maps.Values(s.contracts)), clickhouse.LoadMaterials(ctx, w.Conn(), s.materials),
		clickhouse.ApplyViews(ctx, w.Conn(), s.config.County.TimeZone, clickhouse.Loader, s.metrics)); err != nil {
		return false, err
	}
	if err := clickhouse.ProveMetrics(ctx, w.Conn(), zone, s.metrics); err != nil {
		return false, inputf("%v", err)
	}
	return true, nil
}

// proveSources makes every connector, which opens nothing before it runs and knows best what its settings may be.
func (s *setup) proveSources() error {
	var problems document.Problems
	for _, src := range s.config.Sources {
		own := contract.Set{}
		for _, name := range src.Datasets {
			own[name] = s.contracts[name]
		}
		_, err := connectors.New(connectors.Settings{Source: src, Contracts: own, Resolve: s.config.Resolve, Notify: func(connectors.Event) {}, Log: slog.New(slog.DiscardHandler)})
		var found document.Problems
		switch {
		case errors.As(err, &found):
			for _, p := range found {
				// The settings reach the connector without their lines. Its message begins with the setting's path.
				setting, _, _ := strings.Cut(p.Message, " ")
				problems = append(problems, s.config.At(src.Path+"."+setting, "source "+src.Name+": "+p.Message, p.Do))
			}
		case err != nil:
			problems = append(problems, s.config.At(src.Path, err.Error(), ""))
		}
	}
	return problems.OrNil()
}

func years(list []int) string {
	if len(list) == 0 {
		return "no year"
	}
	return fmt.Sprintf("%d to %d", slices.Min(list), slices.Max(list))
}
