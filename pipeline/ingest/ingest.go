// Package ingest is the first stage of the flow: it runs the connectors, packs what they yield, and publishes
// it to the bus.
package ingest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/shirecounty/shire/connectors"
	"github.com/shirecounty/shire/pipeline/bus"
	"github.com/shirecounty/shire/schemas/change"
	"github.com/shirecounty/shire/schemas/contract"
	"github.com/shirecounty/shire/schemas/county"
)

// publishBatch sends one packed message: CloudEvents attributes and the position range in its headers.
func publishBatch(ctx context.Context, w *bus.Writer, b *bus.Bus, batch *change.Batch) error {
	data, err := batch.Encode()
	if err != nil {
		return err
	}
	sequence, _ := w.Last()
	h := nats.Header{}
	h.Set(bus.HeaderFirst, string(batch.First))
	h.Set(bus.HeaderLast, string(batch.Last))
	h.Set(bus.HeaderRows, strconv.Itoa(batch.Len()))
	h.Set(bus.HeaderCESpec, "1.0")
	h.Set(bus.HeaderCEID, fmt.Sprintf("%s/%d", batch.Dataset, sequence+1))
	h.Set(bus.HeaderCESource, "shire/"+batch.Source)
	h.Set(bus.HeaderCEType, "shire.changes."+batch.Dataset)
	h.Set(bus.HeaderCETime, time.Now().UTC().Format(time.RFC3339Nano))
	h.Set(bus.HeaderCEData, "application/vnd.apache.arrow.stream")
	h.Set(bus.HeaderEncoding, change.Encoding)
	_, err = w.Publish(ctx, h, data)
	return err
}

// Status is how a source is doing.
type Status struct {
	Name     string             `json:"name"`
	Kind     string             `json:"kind"`
	State    string             `json:"state"` // idle, running, waiting, failed
	Message  string             `json:"message,omitempty"`
	Changes  uint64             `json:"changes"` // published since the process started
	LastSent time.Time          `json:"last_sent,omitzero"`
	Problems []connectors.Event `json:"problems,omitempty"` // what an operator has to see, until it is solved
}

// Source runs one connector.
type Source struct {
	config    county.Source
	datasets  []*contract.Dataset
	connector connectors.Connector
	bus       *bus.Bus
	limits    Limits
	length    time.Duration // of the lease
	log       *slog.Logger

	running sync.Mutex // one run at a time: a connector has one position
	lease   *bus.Lease // nil while this process has none; guarded by running

	mu       sync.Mutex         // guards what follows
	follows  bool               // Follow keeps the lease between its runs
	bounded  int                // runs to the present end that go on, or wait for Follow to make room
	none     *sync.Cond         // bounded fell to 0
	out      *outlet            // of the run that goes on; nil between runs
	pause    context.CancelFunc // ends the run that follows, if there is one
	status   Status
	problems map[string]connectors.Event
}

// Options of NewSource.
type Options struct {
	Bus       *bus.Bus
	Config    county.Source
	Contracts contract.Set
	StateDir  string
	Resolve   func(string) string
	Limits    Limits
	Lease     time.Duration // how long another copy waits for one that says nothing any more; 0: bus.DefaultLease
	Log       *slog.Logger
}

// NewSource makes the connector of a source. The error is an input error of its settings.
func NewSource(o Options) (*Source, error) {
	s := &Source{config: o.Config, bus: o.Bus, limits: o.Limits, log: o.Log.With("source", o.Config.Name), problems: map[string]connectors.Event{}}
	s.status = Status{Name: o.Config.Name, Kind: o.Config.Kind, State: "idle"}
	s.none = sync.NewCond(&s.mu)
	if s.length = o.Lease; s.length == 0 {
		s.length = bus.DefaultLease
	}
	own := contract.Set{}
	for _, name := range o.Config.Datasets {
		own[name] = o.Contracts[name]
		s.datasets = append(s.datasets, o.Contracts[name])
	}
	var inbox connectors.Inbox
	if len(s.datasets) > 0 {
		inbox = o.Bus.Inbox(s.datasets[0].Department)
	}
	var err error
	s.connector, err = connectors.New(connectors.Settings{
		Source: o.Config, Contracts: own, StateDir: o.StateDir, Resolve: o.Resolve, Inbox: inbox, Notify: s.notify, Log: s.log,
	})
	return s, err
}

// Name is the source's name in county.yaml.
func (s *Source) Name() string { return s.config.Name }

// Connector is the connector itself, for those who know more of it (its progress).
func (s *Source) Connector() connectors.Connector { return s.connector }

// Run reads the source to its present end. The result counts the changes that were published. While the source
// is followed, the following pauses for it. The error is a *[bus.HeldError] when another process reads the source.
func (s *Source) Run(ctx context.Context) (uint64, error) {
	s.mu.Lock()
	s.bounded++
	if s.pause != nil {
		s.pause()
	}
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.bounded--; s.bounded == 0 {
			s.none.Broadcast()
		}
	}()
	return s.run(ctx, false)
}

// mayFollow waits until no bounded run wants the connector, and makes the context of the run that follows. A bounded
// run that begins afterwards finds its pause: both stand under one lock.
func (s *Source) mayFollow(ctx context.Context) (context.Context, context.CancelFunc) {
	stop := context.AfterFunc(ctx, func() { // a wait on a condition does not hear ctx
		s.mu.Lock()
		defer s.mu.Unlock()
		s.none.Broadcast()
	})
	defer stop()
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.bounded > 0 && ctx.Err() == nil {
		s.none.Wait()
	}
	following, cancel := context.WithCancel(ctx)
	s.pause = cancel
	return following, cancel
}

// Follow reads the source until ctx ends, or waits while another process does. A run that fails is tried again after a
// pause that grows to a minute.
func (s *Source) Follow(ctx context.Context) error {
	s.keepLease(true)
	defer s.keepLease(false)
	for pause := time.Second; ; pause = min(2*pause, time.Minute) {
		following, cancel := s.mayFollow(ctx)
		began := time.Now()
		_, err := s.run(following, true)
		paused := following.Err() != nil
		cancel()
		if ctx.Err() != nil {
			return nil
		}
		if paused {
			continue
		}
		if time.Since(began) > time.Minute || elsewhere(err) {
			pause = time.Second
		}
		if elsewhere(err) {
			s.log.Warn("another process has read the source meanwhile; this one goes on from what stands on the bus, when its turn comes", "error", err)
		} else {
			s.log.Error("the source stopped and is tried again", "error", err, "pause", pause)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
	}
}

// elsewhere tells whether a run ended because another process reads the source too.
func elsewhere(err error) bool {
	return errors.Is(err, bus.ErrFenced) || errors.Is(err, bus.ErrLeaseLost)
}

// run counts the changes that were published.
func (s *Source) run(ctx context.Context, follow bool) (changes uint64, err error) {
	s.running.Lock()
	defer s.running.Unlock()
	before := s.Status().Changes
	defer func() {
		changes = s.Status().Changes - before
		switch {
		case err == nil || ctx.Err() != nil:
			s.setState("idle", "")
		case follow && elsewhere(err):
			s.setState("waiting", err.Error())
		default:
			s.setState("failed", err.Error())
		}
	}()
	if err := s.hold(ctx, follow); err != nil {
		return 0, err
	}
	defer s.leave()
	leased, cancel := s.lease.During(ctx)
	defer cancel()
	s.setState("running", "")
	err = s.connect(leased, follow)
	if lost := s.lease.Err(); lost != nil {
		err = lost
	}
	return 0, err // the deferred function counts
}

// connect makes the outlet, which resumes from what is on the bus, and runs the connector on it.
func (s *Source) connect(ctx context.Context, follow bool) error {
	out, err := newOutlet(ctx, s.bus, s.config.Name, s.datasets, s.limits, s.sent, s.notify)
	if err != nil {
		return err
	}
	s.setOutlet(out)
	defer s.setOutlet(nil)
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		out.run(ctx, stop)
	}()
	err = s.connector.Run(ctx, out, follow)
	if err == nil && ctx.Err() == nil {
		err = out.Flush(ctx)
	}
	close(stop)
	<-stopped
	return err
}

func (s *Source) sent(_ string, rows int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.status.Changes += uint64(rows)
	s.status.LastSent = time.Now().UTC()
}

func (s *Source) setState(state, message string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.status.State, s.status.Message = state, message
}

// notify keeps what an operator has to see until the connector says that it is solved.
func (s *Source) notify(e connectors.Event) {
	e.Source = s.config.Name
	id := e.Dataset + "\x1f" + e.Unit + "\x1f" + e.Problem
	s.mu.Lock()
	_, known := s.problems[id]
	if e.Solved {
		delete(s.problems, id)
	} else {
		s.problems[id] = e
	}
	s.mu.Unlock()
	if !known && !e.Solved {
		level := slog.LevelWarn
		if e.Notice {
			level = slog.LevelInfo
		}
		s.log.Log(context.Background(), level, e.Message, "dataset", e.Dataset, "unit", e.Unit, "problem", e.Problem)
	}
}

// Status tells how the source is doing.
func (s *Source) Status() Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.status
	for _, id := range slices.Sorted(maps.Keys(s.problems)) {
		st.Problems = append(st.Problems, s.problems[id])
	}
	return st
}
