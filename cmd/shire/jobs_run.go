package main

import (
	"context"
	"fmt"
	"os"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/shirecounty/shire/jobs"
	"github.com/shirecounty/shire/jobs/ledger"
	"github.com/shirecounty/shire/pipeline/warehouse"
)

func openLedger(ctx context.Context, s *setup, e *engines) (*ledger.Ledger, error) {
	return ledger.Open(ctx, e.nc, ledger.Options{County: s.config.County.Division, Replicas: s.config.Engines.NATS.Replicas})
}

// newScheduler makes the scheduler of a running node.
func newScheduler(n *node, h *health, l *ledger.Ledger) (*jobs.Scheduler, error) {
	set, err := n.jobSet(n, h)
	if err != nil {
		return nil, err
	}
	host, err := os.Hostname()
	if err != nil {
		host = "an unknown host"
	}
	return jobs.New(jobs.Options{Ledger: l, Jobs: set, Clock: jobs.System{}, Log: n.log, Node: fmt.Sprintf("process %d on %s", os.Getpid(), host),
		Lease: time.Duration(n.config.Flow.Lease)}), nil
}

// recordRuns brings the history of runs into the warehouse, as often as it is away.
func recordRuns(ctx context.Context, n *node, l *ledger.Ledger) error {
	return l.Follow(ctx, "ops-runs", func(told []jobs.Run) error {
		runs := make([]warehouse.Run, len(told))
		for i, r := range told {
			started := r.Started
			if started.IsZero() {
				started = r.Created
			}
			runs[i] = warehouse.Run{ID: r.ID, Job: r.Job, Source: r.Source, Owner: r.Owner, Cause: r.Cause, Due: r.Due, From: r.From, To: r.To,
				Attempt: r.Attempt, Node: r.Node, Started: started, Finished: r.Finished, Outcome: r.Outcome, Changes: r.Counts["changes"], Rows: r.Counts["rows"],
				Message: r.Message, Event: r.Event}
		}
		err := n.warehouse.RecordRun(ctx, runs...)
		if err != nil && ctx.Err() == nil {
			n.log.Warn("runs could not be written into ops.runs; it is tried again", "runs", len(runs), "first", runs[0].ID, "error", err)
		}
		return err
	})
}

// lateJobs lets the registry be made before there are jobs to show.
type lateJobs struct {
	scheduler atomic.Pointer[jobs.Scheduler]
}

func (l *lateJobs) show(s *jobs.Scheduler) { l.scheduler.Store(s) }

// Describe sends nothing: what there is depends on county.yaml.
func (l *lateJobs) Describe(chan<- *prometheus.Desc) {}

// Collect shows the runs of this process, and how the jobs stand.
func (l *lateJobs) Collect(out chan<- prometheus.Metric) {
	if s := l.scheduler.Load(); s != nil {
		s.Collect(out)
	}
}
