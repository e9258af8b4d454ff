package main

import (
	"context"
	"fmt"
	"time"

	"github.com/shirecounty/shire/jobs"
	"github.com/shirecounty/shire/jobs/publish"
	"github.com/shirecounty/shire/pipeline/warehouse"
	"github.com/shirecounty/shire/schemas/county"
	"github.com/shirecounty/shire/schemas/document"
	"github.com/shirecounty/shire/schemas/metrics"
)

func init() { kinds["publish_metrics"] = publishKind }

// publishKind publishes the county's figures and restates those that came out otherwise: "publish_metrics:", or with metrics and
// months.
func publishKind(s *setup, j *county.Job) (work, error) {
	var x publish.Settings
	if err := j.Decode(&x); err != nil {
		return work{}, err
	}
	if key, message, do := x.Prove(s.metrics); key != "" {
		return work{}, document.Problems{j.At(j.Do.SettingsPath()+"."+key, fmt.Sprintf("job %s: %s", j.Name, message), do)}
	}
	return work{worker: func(n *node, _ *health) jobs.Worker {
		return &publish.Publish{Settings: x, Set: n.metrics, Zone: n.zone, Figures: n.figures, Now: time.Now, Keep: n.warehouse.Publish,
			Published: func(ctx context.Context, from, to metrics.Month) ([]warehouse.Published, error) {
				return warehouse.PublishedFigures(ctx, n.analyst, from, to)
			},
			Changes: func(ctx context.Context, since time.Time) ([]metrics.Restated, error) {
				return warehouse.Changes(ctx, n.analyst, since)
			}}
	}}, nil
}
