package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"strings"
	"time"

	"github.com/shirecounty/shire/connectors"
	"github.com/shirecounty/shire/jobs"
	"github.com/shirecounty/shire/jobs/upkeep"
	"github.com/shirecounty/shire/pipeline"
	"github.com/shirecounty/shire/pipeline/identity"
	"github.com/shirecounty/shire/pipeline/identity/batch"
	"github.com/shirecounty/shire/pipeline/identity/partition"
	"github.com/shirecounty/shire/pipeline/reconcile"
	"github.com/shirecounty/shire/pipeline/warehouse"
	"github.com/shirecounty/shire/schemas/contract"
	"github.com/shirecounty/shire/schemas/county"
	"github.com/shirecounty/shire/schemas/document"
	schema "github.com/shirecounty/shire/schemas/identity"
)

func init() {
	kinds["snapshot"] = snapshotKind
	kinds["retry_quarantine"] = retryKind
	kinds["train"] = trainKind
}

// connectorOf makes the connector of a source to look at it, which opens nothing.
func (s *setup) connectorOf(source string) (connectors.Connector, county.Source, error) {
	for _, src := range s.config.Sources {
		if src.Name != source {
			continue
		}
		own := contract.Set{}
		for _, name := range src.Datasets {
			own[name] = s.contracts[name]
		}
		c, err := connectors.New(connectors.Settings{Source: src, Contracts: own, Resolve: s.config.Resolve, Notify: func(connectors.Event) {}, Log: slog.New(slog.DiscardHandler)})
		return c, src, err
	}
	return nil, county.Source{}, fmt.Errorf("there is no source %s", source)
}

// sourceSettings are those of the kinds that work on a source: "KIND: SOURCE", or a mapping.
type sourceSettings struct {
	Source  string `yaml:"source"`
	Dataset string `yaml:"dataset"`
	Repair  bool   `yaml:"repair"`
}

// read proves the settings, and that the source can say what it holds, and again where that is needed.
func (x *sourceSettings) read(s *setup, j *county.Job, again bool) (datasets []string, err error) {
	path := ".source"
	if name := j.Do.Text(); name != "" {
		x.Source, path = name, ""
	} else if err := j.Decode(x); err != nil {
		return nil, err
	}
	if err := sourceSetting(s, j, path, x.Source); err != nil {
		return nil, err
	}
	if datasets, err = datasetsOf(s, x.Source, x.Dataset); err != nil {
		return nil, document.Problems{j.At(j.Do.SettingsPath()+".dataset", fmt.Sprintf("job %s: %v", j.Name, err), "")}
	}
	c, src, err := s.connectorOf(x.Source)
	if err != nil {
		return nil, err
	}
	fail := func(what string) error {
		return document.Problems{j.At(j.Do.SettingsPath()+path, fmt.Sprintf("job %s: source %s is of kind %s, which %s", j.Name, x.Source, src.Kind, what),
			"name a source that is a database or a web service; what a file or a pushed event said stands on the bus, and shire replay loads it again")}
	}
	if _, surveys := c.(connectors.Surveyor); !surveys {
		return nil, fail("cannot be asked what it holds now")
	}
	if _, resends := c.(connectors.Resender); again && !resends {
		return nil, fail("cannot say single records again")
	}
	return datasets, nil
}

// compare compares one dataset of a source, and repairs it when asked.
func (n *node) compare(ctx context.Context, source, dataset string, repair bool) (*reconcile.Report, error) {
	reports, err := n.reconcile(ctx, reconcileRequest{Source: source, Dataset: dataset, Repair: repair})
	if err != nil {
		return nil, err
	}
	return reports[0], nil
}

// gated is a worker that writes to the bus: it waits while the disk is low, as a source does.
func gated(h *health, w jobs.Worker) jobs.Worker {
	return jobs.WorkerFunc(func(ctx context.Context, t jobs.Task, output io.Writer) (r jobs.Result, err error) {
		failed := h.gate.Through(ctx, func(ctx context.Context) error {
			r, err = w.Do(ctx, t, output)
			return err
		})
		return r, failed
	})
}

// reconcileKind compares a source with the warehouse, and repairs when asked:
// "reconcile: SOURCE" or "reconcile: {source: SOURCE, dataset: DATASET, repair: true}".
func reconcileKind(s *setup, j *county.Job) (work, error) {
	var x sourceSettings
	repairs := j.Do.Text() == ""
	datasets, err := x.read(s, j, false)
	if err == nil && repairs && x.Repair {
		datasets, err = x.read(s, j, true)
	}
	if err != nil {
		return work{}, err
	}
	return work{source: x.Source, worker: func(n *node, h *health) jobs.Worker {
		return gated(h, &upkeep.Reconcile{Source: x.Source, Datasets: datasets, Repair: x.Repair,
			Compare: func(ctx context.Context, dataset string, repair bool) (*reconcile.Report, error) {
				return n.compare(ctx, x.Source, dataset, repair)
			}})
	}}, nil
}

// snapshotKind has a source say all its records again while it goes on: "snapshot: SOURCE", or
// "snapshot: {source: SOURCE, dataset: DATASET}".
func snapshotKind(s *setup, j *county.Job) (work, error) {
	var x sourceSettings
	datasets, err := x.read(s, j, true)
	if err != nil {
		return work{}, err
	}
	if x.Repair {
		return work{}, document.Problems{j.At(j.Do.SettingsPath()+".repair", fmt.Sprintf("job %s: a snapshot repairs always", j.Name), "leave repair out")}
	}
	return work{source: x.Source, worker: func(n *node, h *health) jobs.Worker {
		source := n.chosen([]string{x.Source})[0]
		return gated(h, &upkeep.Snapshot{Name: x.Source, Datasets: datasets, Source: source, Surveyor: source.Connector().(connectors.Surveyor),
			Dir: filepath.Join(n.data, "sources", x.Source, "snapshot"),
			Check: func(ctx context.Context, dataset string) (*reconcile.Report, error) {
				return n.compare(ctx, x.Source, dataset, true)
			}})
	}}, nil
}

// retryKind sends what waits in quarantine through the flow again: "retry_quarantine:", or with owner, reason and dataset.
func retryKind(s *setup, j *county.Job) (work, error) {
	var x struct {
		Owner   string `yaml:"owner"`
		Reason  string `yaml:"reason"`
		Dataset string `yaml:"dataset"`
	}
	if err := j.Decode(&x); err != nil {
		return work{}, err
	}
	if x.Dataset != "" && s.contracts[x.Dataset] == nil {
		return work{}, document.Problems{j.At(j.Do.SettingsPath()+".dataset", fmt.Sprintf("job %s: there is no dataset %q", j.Name, x.Dataset), document.DidYouMean(x.Dataset, s.contracts.Names()))}
	}
	return work{worker: func(n *node, h *health) jobs.Worker {
		return gated(h, &upkeep.RetryQuarantine{
			Filter: warehouse.Filter{Department: x.Owner, Code: x.Reason, Dataset: x.Dataset},
			List: func(ctx context.Context, f warehouse.Filter) ([]warehouse.Waiting, error) {
				return warehouse.ListQuarantine(ctx, n.analyst, f)
			},
			Send: func(ctx context.Context, rows []warehouse.Waiting) (uint64, error) {
				return pipeline.Requeue(ctx, n.bus, rows, "")
			},
			Loaded: n.flow.Drain,
		})
	}}, nil
}

// trainKind trains a model anew and tells what it would change: "train: person", "train: organisation", or
// "train: {about: person, seed: 1}". It never chooses it.
func trainKind(_ *setup, j *county.Job) (work, error) {
	x := struct {
		About string `yaml:"about"`
		Seed  uint64 `yaml:"seed"`
	}{identity.Person, 1}
	path := ".about"
	if about := j.Do.Text(); about != "" {
		x.About, path = about, ""
	} else if err := j.Decode(&x); err != nil {
		return work{}, err
	}
	if x.About != identity.Person && x.About != identity.Organisation {
		return work{}, document.Problems{j.At(j.Do.SettingsPath()+path, fmt.Sprintf("job %s: identities are not of %q", j.Name, x.About), document.DidYouMean(x.About, []string{identity.Person, identity.Organisation}))}
	}
	return work{worker: func(n *node, _ *health) jobs.Worker {
		dir := filepath.Join(n.data, "models")
		return &upkeep.Train{About: x.About, Seed: x.Seed, Dir: dir,
			Model: func() (*schema.Model, error) { return n.identities.InUse(x.About) },
			Learn: func(ctx context.Context, m *schema.Model, seed uint64, progress batch.Progress) (*schema.Model, batch.Report, error) {
				return n.identities.Train(ctx, m, seed, progress)
			},
			Try: func(ctx context.Context, m *schema.Model) (*partition.Effect, error) {
				return n.identities.Partition(x.About).Trial(ctx, m, dir)
			}}
	}}, nil
}

// calendarCheckKind fails while a year's working calendar is missing that is needed: "calendar_check:", by default from the
// first of November on, or "calendar_check: {from: 12-01}".
func calendarCheckKind(s *setup, j *county.Job) (work, error) {
	x := struct {
		From string `yaml:"from"`
	}{"11-01"}
	if err := j.Decode(&x); err != nil {
		return work{}, err
	}
	from, err := time.Parse("01-02", strings.TrimSpace(x.From))
	if err != nil {
		return work{}, document.Problems{j.At(j.Do.SettingsPath()+".from", fmt.Sprintf("job %s: %q is no day of the year", j.Name, x.From), "write month and day, such as 11-01")}
	}
	folder := ""
	if s.config.Calendars != "" {
		folder = filepath.Join(s.config.Calendars, "national")
	}
	return work{worker: func(n *node, _ *health) jobs.Worker {
		return &upkeep.CalendarCheck{FromMonth: from.Month(), FromDay: from.Day(), Zone: n.zone, Folder: folder, Published: n.calendar.Published,
			Open: func(ctx context.Context, year int) (upkeep.Reach, error) {
				return upkeep.OpenReach(ctx, n.analyst, n.zone, year)
			}}
	}}, nil
}
