package main

import (
	"context"
	"errors"

	"github.com/shirecounty/shire/jobs"
	"github.com/shirecounty/shire/jobs/backup"
	"github.com/shirecounty/shire/schemas/county"
	"github.com/shirecounty/shire/schemas/document"
)

func init() { kinds["backup"] = backupKind }

// backupKind copies the county into a folder: "backup: {to: FOLDER, keep: 14, key: ${BACKUP_KEY}}".
func backupKind(s *setup, j *county.Job) (work, error) {
	var settings backup.Settings
	if err := j.Decode(&settings); err != nil {
		return work{}, err
	}
	var problems, found document.Problems
	if err := settings.Check(); errors.As(err, &found) {
		for _, p := range found {
			problems = append(problems, placed(j, p))
		}
	} else if err != nil {
		return work{}, err
	}
	settings.To = s.config.Resolve(settings.To)
	return work{worker: func(n *node, _ *health) jobs.Worker {
		return &backup.Worker{Settings: settings, County: func(context.Context) (backup.County, error) {
			return backedUpCounty(n.setup, n.engines, n.bus, n.data)
		}}
	}}, problems.OrNil()
}
