package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/shirecounty/shire/jobs"
	"github.com/shirecounty/shire/jobs/upkeep"
	"github.com/shirecounty/shire/pipeline/registry"
	"github.com/shirecounty/shire/schemas/county"
	"github.com/shirecounty/shire/schemas/document"
)

func init() { kinds["evaluate"] = evaluateKind }

// evaluateKind judges interventions: "evaluate:" all of them, "evaluate: INTERVENTION", or
// "evaluate: {interventions: [INTERVENTION, ...]}".
func evaluateKind(s *setup, j *county.Job) (work, error) {
	var x struct {
		Interventions []string `yaml:"interventions"`
	}
	path := ".interventions"
	if one := j.Do.Text(); one != "" {
		x.Interventions, path = []string{one}, ""
	} else if err := j.Decode(&x); err != nil {
		return work{}, err
	}
	known := s.interventionNames()
	for i, name := range x.Interventions {
		at := path
		if path != "" {
			at = fmt.Sprintf("%s[%d]", path, i)
		}
		if !slices.Contains(known, name) {
			return work{}, document.Problems{j.At(j.Do.SettingsPath()+at, fmt.Sprintf("job %s: there is no intervention %q", j.Name, name), document.DidYouMean(name, known))}
		}
	}
	if len(known) == 0 {
		return work{}, document.Problems{j.At(j.Do.SettingsPath(), fmt.Sprintf("job %s: the county has no interventions", j.Name), "write interventions: FOLDER into county.yaml and put their files there")}
	}
	return work{worker: func(n *node, _ *health) jobs.Worker {
		register := n.engines.registerOver(n.warehouse.Conn(), n.metrics, "job "+j.Name)
		return &upkeep.Evaluate{
			Register: func(ctx context.Context) ([]registry.Registration, error) {
				definitions, err := n.defined(x.Interventions...)
				if err != nil {
					return nil, err
				}
				all, _, err := register.Register(ctx, definitions)
				if errors.As(err, new(*registry.BrokenError)) {
					err = fmt.Errorf("%w: %w", jobs.ErrPermanent, err)
				}
				return all, err
			},
			Evaluate: func(ctx context.Context, name string) (registry.Evaluation, error) {
				return register.Evaluate(ctx, name, time.Time{}, n.figures, nil)
			},
		}
	}}, nil
}
