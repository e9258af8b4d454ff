package main

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/shirecounty/shire/connectors"
	"github.com/shirecounty/shire/pipeline/identity"
	"github.com/shirecounty/shire/pipeline/normalise"
	"github.com/shirecounty/shire/schemas/contract"
	"github.com/shirecounty/shire/schemas/document"
	"github.com/shirecounty/shire/schemas/pseudonym"
)

func (a *app) checkCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "check",
		Short: "Check county.yaml, contracts, calendars and metrics, without starting anything",
		Args:  exactly(0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := a.readSetup()
			if err != nil {
				return err
			}
			return a.check(s)
		},
	}
}

type checked struct {
	Config    string   `json:"config"`
	Sources   int      `json:"sources"`
	Jobs      int      `json:"jobs"`
	Contracts []string `json:"contracts"`
	Metrics   []string `json:"metrics"`
	Calendar  []int    `json:"calendar_years"`
	Notes     []string `json:"notes,omitempty"` // what is allowed, and worth a look
}

func (a *app) check(s *setup) error {
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
	a.result = checked{Config: s.config.File, Sources: len(s.config.Sources), Jobs: len(s.config.Jobs), Contracts: s.contracts.Names(), Metrics: s.metrics.Names(), Calendar: s.calendar.Years(),
		Notes: identity.Unmatched(s.contracts)}
	a.say("%s is right: %d sources, %d jobs, %d contracts, %d metrics; the working calendar is published for %s",
		s.config.File, len(s.config.Sources), len(s.config.Jobs), len(s.contracts), len(s.metrics.Names()), years(s.calendar.Years()))
	for _, note := range identity.Unmatched(s.contracts) {
		a.say("Note: %s", note)
	}
	return nil
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
