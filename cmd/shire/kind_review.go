package main

import (
	"cmp"
	"fmt"
	"path/filepath"
	"time"

	"github.com/shirecounty/shire/jobs"
	"github.com/shirecounty/shire/jobs/review"
	"github.com/shirecounty/shire/schemas/county"
	"github.com/shirecounty/shire/schemas/document"
	"github.com/shirecounty/shire/schemas/metrics"
)

func init() { kinds["review"] = reviewKind }

// reviewKind writes the periodic review (定期复盘): "review:", or with months, topics, minimum_cell, silent_days and folder.
func reviewKind(s *setup, j *county.Job) (work, error) {
	var x review.Settings
	if err := j.Decode(&x); err != nil {
		return work{}, err
	}
	if key, message, do := x.Prove(); key != "" {
		return work{}, document.Problems{j.At(j.Do.SettingsPath()+"."+key, fmt.Sprintf("job %s: %s", j.Name, message), do)}
	}
	if x.Folder != "" {
		x.Folder = s.config.Resolve(x.Folder)
	}
	return work{worker: func(n *node, _ *health) jobs.Worker {
		settings := x
		settings.Folder = cmp.Or(x.Folder, filepath.Join(n.data, "reviews"))
		return &review.Review{Settings: settings, County: metrics.Text{Zh: n.config.County.NameZh, En: cmp.Or(n.config.County.NameEn, n.config.County.NameZh)},
			Zone: n.zone, Set: n.metrics, Figures: n.figures, Conn: n.analyst, Now: time.Now,
			Department: func(dataset string) string {
				if c := n.contracts[dataset]; c != nil {
					return c.Department
				}
				return ""
			}}
	}}, nil
}
