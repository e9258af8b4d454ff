package main

import (
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/shirecounty/shire/connectors"
	"github.com/shirecounty/shire/pipeline/registry"
	"github.com/shirecounty/shire/schemas/calendar"
	"github.com/shirecounty/shire/schemas/contract"
	"github.com/shirecounty/shire/schemas/county"
	"github.com/shirecounty/shire/schemas/material"
	"github.com/shirecounty/shire/schemas/metrics"
	"github.com/shirecounty/shire/schemas/sharing"
)

// setup is what every command reads first.
type setup struct {
	config    *county.Config
	contracts contract.Set
	calendar  *calendar.Calendar
	materials material.Rules
	metrics   metrics.Set
	zone      *time.Location
	works     map[string]work // of the jobs, by their names
	items     sharing.Items
	labels    sharing.Materials // names of materials
	rules     *sharing.Rules    // deadlines of requests for data

	interventions []registry.Definition
}

// readSetup reads county.yaml, the contracts, the calendar and the metric definitions.
func (a *app) readSetup() (*setup, error) {
	file, err := a.configFile()
	if err != nil {
		return nil, err
	}
	s := &setup{}
	if s.config, s.contracts, err = county.Load(file, connectors.Kinds()); err != nil {
		return nil, err
	}
	if err := s.proveSources(); err != nil {
		return nil, err
	}
	var calendars fs.FS
	if dir := s.config.Calendars; dir != "" {
		calendars = os.DirFS(dir)
	}
	if s.calendar, err = calendar.LoadCounty(calendars); err != nil {
		return nil, inputf("calendars of %s: %v", file, err)
	}
	if s.materials, err = material.Load(s.config.Materials); err != nil {
		return nil, err
	}
	if s.metrics, err = metrics.Load(); err != nil {
		return nil, err
	}
	if err := s.readInterventions(); err != nil {
		return nil, err
	}
	if err := s.readItems(); err != nil {
		return nil, err
	}
	if err := s.readRules(); err != nil {
		return nil, err
	}
	if err := s.proveJobs(); err != nil {
		return nil, err
	}
	if s.zone, err = time.LoadLocation(s.config.County.TimeZone); err != nil {
		return nil, err
	}
	return s, nil
}

// remembered is what the data directory knows of the configuration it was last used with.
type remembered struct {
	Config string `json:"config"`
}

func (a *app) configFile() (string, error) {
	if a.config != "" {
		return a.config, nil
	}
	var r remembered
	if data, err := os.ReadFile(filepath.Join(a.data, "node.json")); err == nil && json.Unmarshal(data, &r) == nil && r.Config != "" {
		return r.Config, nil
	}
	if _, err := os.Stat("county.yaml"); err == nil {
		return "county.yaml", nil
	}
	return "", inputf("there is no county.yaml here and the data directory %s was not used before; give the path with -c, or try shire demo", a.data)
}

func (a *app) remember(config string) error {
	path, err := filepath.Abs(config)
	if err != nil {
		return err
	}
	data, err := json.Marshal(remembered{Config: path})
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(a.data, "node.json"), append(data, '\n'), 0o600)
}
