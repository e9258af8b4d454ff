package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/shirecounty/shire/deploy/embedded"
	"github.com/shirecounty/shire/pipeline/ingest"
	"github.com/shirecounty/shire/pipeline/warehouse"
	"github.com/shirecounty/shire/portal"
)

// health tells the portal and `shire status` how a running node is doing.
type health struct {
	node *node
	gate *ingest.Gate // closed while the disk is low
	jobs lateJobs
	desk portalJobs

	portal *portal.Portal                  // nil before the node serves
	pulse  atomic.Pointer[warehouse.Pulse] // nil before, and where the county shares no records

	dead chan error // why an engine will not come back by itself; holds one

	mu     sync.Mutex
	failed error // why the flow ended, when it did
}

var _ portal.Flow = (*health)(nil)

// engineChanged is told of every change of the embedded engines' state.
func (h *health) engineChanged(c embedded.Component) {
	closeOnLowDisk(h.gate, c)
	if p := h.pulse.Load(); p != nil && c.Name == embedded.ComponentClickHouse {
		p.Doubt()
	}
	if c.State == embedded.Failed {
		select {
		case h.dead <- c.Err:
		default: // one reason to end is enough
		}
	}
}

// engineDied returns when an engine failed for good: the process ends, and whoever keeps it running starts it anew.
func (h *health) engineDied(ctx context.Context) error {
	select {
	case err := <-h.dead:
		return err
	case <-ctx.Done():
		return nil
	}
}

// Generation changes with every completed load, and when figures were prepared.
func (h *health) Generation() uint64 { return h.node.flow.Status().Through + h.node.prepared.Load() }

// Ready is nil when everything works.
func (h *health) Ready(ctx context.Context) error {
	h.mu.Lock()
	problems := []error{h.failed}
	h.mu.Unlock()
	if h.node.engines.own != nil {
		for _, c := range h.node.engines.own.Health() {
			if c.State != embedded.Running {
				problems = append(problems, fmt.Errorf("%s is %s", c.Name, c.State))
			}
		}
	}
	if !h.node.engines.nc.IsConnected() {
		problems = append(problems, errors.New("NATS is not connected"))
	}
	if err := h.node.analyst.Ping(ctx); err != nil {
		problems = append(problems, errors.New("ClickHouse does not answer"))
	}
	return errors.Join(problems...)
}

// Status is the whole picture.
func (h *health) Status(ctx context.Context) (portal.Status, error) {
	st := portal.Status{State: portal.Running}
	flow := h.node.flow.Status()
	lag, err := h.node.bus.Lag(ctx, flow.Through)
	if err != nil {
		return st, err
	}
	st.LagMessages, st.LagRows = lag.Messages, lag.Rows
	if !lag.Oldest.IsZero() {
		st.OldestUnloadedSeconds = time.Since(lag.Oldest).Seconds()
	}
	h.warehouse(ctx, &st)
	for _, c := range h.node.counts.Counts() {
		st.Identities = append(st.Identities, portal.IdentityStatus(c))
	}
	if r := h.node.sharing; r != nil {
		st.Share = r.status()
	}
	h.engineStates(&st)
	for _, s := range h.node.sources {
		status := s.Status()
		line := portal.SourceStatus{Name: status.Name, Kind: status.Kind, State: portal.Running, Problem: status.Message}
		if !status.LastSent.IsZero() {
			line.LastChangeAt = &status.LastSent
		}
		switch {
		case status.State == "failed":
			line.State = portal.Failed
		default:
			for _, p := range status.Problems {
				if !p.Notice {
					line.State, line.Problem = portal.Degraded, p.Message
					break
				}
			}
		}
		if line.State != portal.Running && st.State == portal.Running {
			st.State, st.Problem = portal.Degraded, fmt.Sprintf("source %s: %s", line.Name, line.Problem)
		}
		st.Sources = append(st.Sources, line)
	}
	if err := h.drift(ctx, &st); err != nil {
		return st, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.failed != nil {
		st.State, st.Problem = portal.Failed, h.failed.Error()
	}
	return st, nil
}

// drift tells how the sources' columns have changed, as it stands on the bus: also while nothing is read.
func (h *health) drift(ctx context.Context, st *portal.Status) error {
	for _, source := range h.node.config.Sources {
		for _, dataset := range source.Datasets {
			shape, err := h.node.bus.Shape(ctx, dataset)
			if err != nil {
				return err
			}
			for _, d := range shape.Drift {
				st.Drift = append(st.Drift, portal.DriftStatus{
					Source: source.Name, Dataset: dataset, Column: d.Column, Code: d.Code, Reaction: d.Reaction, Since: d.Since, Message: ingest.DriftMessage(d),
				})
			}
		}
	}
	return nil
}

// warehouse asks what was loaded and what waits; while ClickHouse is away the rest of the picture is still worth
// showing.
func (h *health) warehouse(ctx context.Context, st *portal.Status) {
	if loads, err := warehouse.SumLoads(ctx, h.node.analyst); err == nil {
		st.LoadedRows, st.LastLoadAt = loads.Rows, loads.Last
	}
	owners, err := warehouse.CountQuarantine(ctx, h.node.analyst)
	if err != nil {
		return
	}
	for _, o := range owners {
		st.Quarantined += o.Rows
		st.ByOwner = append(st.ByOwner, portal.OwnerStatus{Department: o.Department, OwnerZh: o.OwnerZh, OwnerEn: o.OwnerEn, Rows: o.Rows})
	}
}

func (h *health) engineStates(st *portal.Status) {
	if h.node.engines.own == nil {
		return
	}
	for _, c := range h.node.engines.own.Health() {
		line := portal.EngineStatus{Name: c.Name, State: string(c.State)}
		if c.Err != nil {
			line.Problem = c.Err.Error()
		}
		if c.State != embedded.Running && st.State == portal.Running {
			st.State, st.Problem = portal.Degraded, line.Problem
			if c.State == embedded.Low {
				st.State = portal.Paused
			}
		}
		st.Engines = append(st.Engines, line)
	}
}

func (h *health) fail(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.failed = err
}
