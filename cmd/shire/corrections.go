package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/shirecounty/shire/pipeline"
	"github.com/shirecounty/shire/schemas/calendar"
	"github.com/shirecounty/shire/schemas/pseudonym"
	"github.com/shirecounty/shire/schemas/sharing"
)

// sharingRules are the deadlines of sharing: the nation's, the province's and the county's.
func (s *setup) sharingRules() (*sharing.Rules, error) {
	layers := []fs.FS{sharing.National()}
	if dir := s.config.Sharing.Rules; dir != "" {
		layers = append(layers, os.DirFS(filepath.Join(dir, "province")), os.DirFS(dir))
	}
	return sharing.LoadRules(layers...)
}

// openCorrections makes what departments report errors to.
func (n *node) openCorrections(room *sharingRoom) (*pipeline.Corrections, error) {
	rules, err := n.sharingRules()
	if err != nil {
		return nil, err
	}
	hasher, err := pseudonym.New(n.engines.key)
	if err != nil {
		return nil, inputf("%v", err)
	}
	return pipeline.NewCorrections(pipeline.CorrectionsOptions{
		Bus: n.bus, World: n.world, Requests: room.exchange.Requests, Records: room.store, Accesses: n.accesses.Log,
		Due: func(reported time.Time) (sharing.Deadline, error) {
			day, err := calendar.ParseDate(reported.In(n.zone).Format(time.DateOnly))
			if err != nil {
				return sharing.Deadline{}, fmt.Errorf("the day of a report: %w", err)
			}
			return rules.Due(sharing.Correction, day, n.calendar)
		},
		Key: n.engines.key, Hasher: hasher, Log: n.log,
	})
}

// lateCorrections is lateFigures for reports of errors.
type lateCorrections struct{ *pipeline.Corrections }
