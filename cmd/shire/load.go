package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/shirecounty/shire/connectors"
	"github.com/shirecounty/shire/deploy/embedded"
	"github.com/shirecounty/shire/pipeline/ingest"
	"github.com/shirecounty/shire/schemas/document"
)

func (a *app) loadCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "load [SOURCE...]",
		Short: "Load sources to their present end and exit; all of county.yaml when none is named",
		RunE: func(cmd *cobra.Command, args []string) error {
			s, err := a.readSetup()
			if err != nil {
				return err
			}
			if err := knownSources(s, args); err != nil {
				return err
			}
			return a.load(cmd.Context(), s, args)
		},
	}
}

func knownSources(s *setup, names []string) error {
	var all []string
	known := map[string]bool{}
	for _, src := range s.config.Sources {
		all, known[src.Name] = append(all, src.Name), true
	}
	for _, n := range names {
		if !known[n] {
			return inputf("%s has no source %q; %s", s.config.File, n, document.DidYouMean(n, all))
		}
	}
	return nil
}

// loaded is what a load did.
type loaded struct {
	Changes     uint64             `json:"changes"`     // published to the bus
	Rows        uint64             `json:"rows"`        // canonical rows in the warehouse
	Quarantined uint64             `json:"quarantined"` // changes that wait for a person
	Seconds     float64            `json:"seconds"`
	Problems    []connectors.Event `json:"problems,omitempty"` // what the sources could not read
	Notices     []connectors.Event `json:"notices,omitempty"`  // what is worth a look
}

// errNotRead marks a load that left something unread: the rest was loaded.
var errNotRead = errors.New("not everything could be read")

func (a *app) load(ctx context.Context, s *setup, names []string) error {
	began := time.Now()
	gate := ingest.NewGate()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	e, err := a.start(ctx, s, func(c embedded.Component) {
		closeOnLowDisk(gate, c)
		if c.State == embedded.Failed {
			cancel(c.Err) // what waits for that engine would wait for ever
		}
	})
	if errors.Is(err, embedded.ErrLocked) {
		return a.loadByRunning(ctx, s, names)
	}
	if err != nil {
		return err
	}
	defer e.stop()
	lease, err := a.takeCounty(ctx, s, e)
	if err != nil {
		return err
	}
	defer lease.Release()
	ctx, done := lease.During(ctx)
	defer done()
	n, err := a.assemble(ctx, s, e)
	if err != nil {
		return err
	}
	defer n.close()
	flowCtx, stopFlow := context.WithCancel(ctx)
	flowEnded := make(chan error, 1)
	go func() { flowEnded <- n.flow.Run(flowCtx) }()
	viewsWritten := make(chan error, 1)
	go func() { viewsWritten <- n.writeViews(ctx) }()
	bar := a.progress("loading")
	var result *loaded
	err = gate.Through(ctx, func(ctx context.Context) (err error) {
		told, err := n.tellModels(ctx)
		if err == nil {
			err = n.flow.Drain(ctx, told) // so that it is not counted among what the sources brought
		}
		if err != nil {
			return err
		}
		result, err = n.loadSources(ctx, n.chosen(names), bar)
		return err
	})
	bar.done()
	err = errors.Join(<-viewsWritten, err)
	if err == nil {
		err = n.prepare(ctx)
	}
	stopFlow()
	flowErr := <-flowEnded
	switch {
	case flowErr != nil && ctx.Err() == nil:
		return flowErr
	case err != nil && ctx.Err() != nil:
		return fmt.Errorf("the load was stopped; the next one goes on where it was: %w", context.Cause(ctx))
	case err != nil:
		return err
	}
	result.Seconds = time.Since(began).Seconds()
	return a.reportLoad(result)
}

func (a *app) reportLoad(l *loaded) error {
	a.result = l
	a.say("%d changes read, %d rows loaded, %d changes in quarantine, %.1f s", l.Changes, l.Rows, l.Quarantined, l.Seconds)
	if l.Quarantined > 0 {
		a.say("see what waits: shire quarantine list")
	}
	for _, p := range l.Notices {
		a.say("note: %s: %s: %s", p.Source, orDefault(p.Unit, p.Dataset), p.Message)
	}
	if len(l.Problems) > 0 {
		lines := make([]string, len(l.Problems))
		for i, p := range l.Problems {
			lines[i] = fmt.Sprintf("  %s: %s: %s", p.Source, orDefault(p.Unit, p.Dataset), p.Message)
		}
		return fmt.Errorf("%w, the rest was loaded:\n%s", errNotRead, strings.Join(lines, "\n"))
	}
	return nil
}

func orDefault(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

// chosen are the named sources, or all.
func (n *node) chosen(names []string) []*ingest.Source {
	if len(names) == 0 {
		return n.sources
	}
	var out []*ingest.Source
	for _, s := range n.sources {
		for _, name := range names {
			if s.Name() == name {
				out = append(out, s)
			}
		}
	}
	return out
}

// loadSources reads the sources to their present end, one after the other, and waits until all is in the warehouse.
func (n *node) loadSources(ctx context.Context, sources []*ingest.Source, bar *progress) (*loaded, error) {
	before := n.flow.Status()
	l := &loaded{}
	for _, s := range sources {
		bar.watch(s)
		changes, err := s.Run(ctx)
		if err != nil {
			return nil, fmt.Errorf("source %s: %w", s.Name(), err)
		}
		l.Changes += changes
		for _, p := range s.Status().Problems {
			if p.Notice {
				l.Notices = append(l.Notices, p)
			} else {
				l.Problems = append(l.Problems, p)
			}
		}
	}
	last, err := n.bus.LastSequence(ctx)
	if err != nil {
		return nil, err
	}
	if err := n.flow.Drain(ctx, last); err != nil {
		return nil, err
	}
	after := n.flow.Status()
	l.Rows, l.Quarantined = after.Rows-before.Rows, after.Quarantined-before.Quarantined
	return l, nil
}

// closeOnLowDisk stops reading before the engines fail to write.
func closeOnLowDisk(g *ingest.Gate, c embedded.Component) {
	switch {
	case c.Name != embedded.ComponentDisk:
	case c.State == embedded.Low:
		g.Set(c.Err)
	case c.State == embedded.Running:
		g.Set(nil)
	}
}
