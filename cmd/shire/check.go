package main

import (
	"fmt"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"github.com/shirecounty/shire/connectors"
	"github.com/shirecounty/shire/pipeline/normalise"
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
	Contracts []string `json:"contracts"`
	Metrics   []string `json:"metrics"`
	Calendar  []int    `json:"calendar_years"`
}

func (a *app) check(s *setup) error {
	// Whether the parts fit together shows only when they are put together: compile every contract, and make
	// every connector, which opens nothing before it runs.
	hasher, err := pseudonym.New(make([]byte, pseudonym.MinKey))
	if err != nil {
		return err
	}
	for _, name := range s.contracts.Names() {
		if _, err := normalise.Compile(s.contracts[name], hasher, s.calendar); err != nil {
			return inputf("%v", err)
		}
	}
	for _, src := range s.config.Sources {
		if _, err := connectors.New(connectors.Settings{
			Source: src, Contracts: s.contracts, StateDir: filepath.Join(a.data, "sources", src.Name), Resolve: s.config.Resolve,
			Notify: func(connectors.Event) {}, Log: a.log,
		}); err != nil {
			return inputf("%s: %v", s.config.File, err)
		}
	}
	a.result = checked{Config: s.config.File, Sources: len(s.config.Sources), Contracts: s.contracts.Names(), Metrics: s.metrics.Names(), Calendar: s.calendar.Years()}
	a.say("%s is right: %d sources, %d contracts, %d metrics; the working calendar is published for %s",
		s.config.File, len(s.config.Sources), len(s.contracts), len(s.metrics.Names()), years(s.calendar.Years()))
	return nil
}

func years(list []int) string {
	if len(list) == 0 {
		return "no year"
	}
	return fmt.Sprintf("%d to %d", slices.Min(list), slices.Max(list))
}
