package main

import (
	"fmt"
	"time"

	"github.com/shirecounty/shire/pipeline"
	"github.com/shirecounty/shire/schemas/calendar"
	"github.com/shirecounty/shire/schemas/pseudonym"
	"github.com/shirecounty/shire/schemas/sharing"
)

// openCorrections makes what departments report errors to.
func (n *node) openCorrections(room *sharingRoom) (*pipeline.Corrections, error) {
	hasher, err := pseudonym.New(n.engines.key)
	if err != nil {
		return nil, inputf("%v", err)
	}
	return pipeline.NewCorrections(pipeline.CorrectionsOptions{
		Bus: n.bus, World: n.sharingWorld, Requests: n.exchange.Requests, Records: room.store, Accesses: room.seen(n.accesses),
		Due: func(reported time.Time) (sharing.Deadline, error) {
			day, err := calendar.ParseDate(reported.In(n.zone).Format(time.DateOnly))
			if err != nil {
				return sharing.Deadline{}, fmt.Errorf("the day of a report: %w", err)
			}
			return n.rules.Due(sharing.Correction, day, n.calendar)
		},
		Key: n.engines.key, Hasher: hasher, Log: n.log,
	})
}

// lateCorrections is lateFigures for reports of errors.
type lateCorrections struct{ *pipeline.Corrections }
