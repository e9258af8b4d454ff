package main

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/shirecounty/shire/connectors"
	"github.com/shirecounty/shire/jobs"
	"github.com/shirecounty/shire/jobs/retention"
	"github.com/shirecounty/shire/schemas/county"
	"github.com/shirecounty/shire/schemas/document"
)

func init() { kinds["retention"] = retentionKind }

// retentionKind deletes by rule what need not be kept: see docs/retention.md.
func retentionKind(s *setup, j *county.Job) (work, error) {
	var rules retention.Rules
	if err := j.Decode(&rules); err != nil {
		return work{}, err
	}
	var problems document.Problems
	for _, m := range rules.Prove() {
		path := j.Do.SettingsPath()
		if m.Key != "" {
			path += "." + m.Key
		}
		problems = append(problems, j.At(path, fmt.Sprintf("job %s: %s", j.Name, m.Message), m.Do))
	}
	var backups []string
	for _, other := range s.config.Jobs {
		if other.Do.Kind == "backup" {
			backups = append(backups, other.Name)
		}
	}
	if rules.ChangesDays > 0 && len(backups) == 0 {
		problems = append(problems, j.At(j.Do.SettingsPath()+".changes_days",
			fmt.Sprintf("job %s is to erase old messages of the bus, and no job makes a backup: after the loss of a disk, who is who could not be worked out again", j.Name),
			"add a job that does backup, or leave changes_days out"))
	}
	if err := problems.OrNil(); err != nil {
		return work{}, err
	}
	return work{worker: func(n *node, h *health) jobs.Worker {
		r := &retention.Retention{Rules: rules, Bus: n.bus, Warehouse: n.warehouse, Identities: n.identities, Loaded: n.flow.Drain, Accesses: n.accesses, Source: n.retained, Now: time.Now,
			Dir:    filepath.Join(n.data, "retention"),
			Backed: func(ctx context.Context) (time.Time, error) { return n.lastGood(ctx, backups) }}
		return gated(h, r)
	}}, nil
}

// retained is what retention has to know of the source of a dataset.
func (n *node) retained(dataset string) (out retention.Source) {
	for i, src := range n.config.Sources {
		for _, d := range src.Datasets {
			if d != dataset {
				continue
			}
			c := n.sources[i].Connector()
			if k, ok := c.(connectors.Keeper); ok {
				out.Keeps = k.Keeps
			}
			if _, ok := c.(connectors.Resender); ok {
				out.Speaker = n.sources[i]
			}
		}
	}
	return out
}

// lastGood is when the newest run of the jobs began that ended well; zero when there is none.
func (n *node) lastGood(ctx context.Context, names []string) (at time.Time, err error) {
	if len(names) == 0 {
		return at, nil
	}
	var runs uint64
	query := "SELECT count(), max(started_at) FROM ops.runs WHERE outcome = 'ok' AND job IN (?" + strings.Repeat(", ?", len(names)-1) + ")"
	args := make([]any, len(names))
	for i, name := range names {
		args[i] = name
	}
	if err := n.analyst.QueryRow(ctx, query, args...).Scan(&runs, &at); err != nil {
		return time.Time{}, fmt.Errorf("ask for the newest backup: %w", err)
	}
	if runs == 0 {
		at = time.Time{}
	}
	return at, nil
}
