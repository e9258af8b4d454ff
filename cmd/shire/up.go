package main

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/spf13/cobra"

	"github.com/shirecounty/shire/deploy/embedded"
	"github.com/shirecounty/shire/jobs"
	"github.com/shirecounty/shire/pipeline/ingest"
	"github.com/shirecounty/shire/portal"
	"github.com/shirecounty/shire/portal/accounts"
	"github.com/shirecounty/shire/schemas/metrics"
)

func (a *app) upCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "up",
		Short: "Run the platform: engines, sources, flow and portal, until it is stopped",
		Args:  exactly(0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := a.readSetup()
			if err != nil {
				return err
			}
			return a.up(cmd.Context(), s, nil)
		},
	}
}

// up runs the platform until ctx ends. beside runs next to it, when given, and is told the node.
func (a *app) up(ctx context.Context, s *setup, beside func(context.Context, *node) error) error {
	h := &health{gate: ingest.NewGate(), dead: make(chan error, 1)}
	// The portal's address first: a taken one is better told before the engines start.
	figures, desk, accesses, inboxes, register := &lateFigures{}, &lateDesk{}, &lateAccesses{}, &lateInboxes{}, &lateRegister{}
	exchange := &lateExchange{}
	door, err := a.door(s, h.gate, inboxes)
	if err != nil {
		return err
	}
	share := &lateSharing{}
	sharing, err := share.options(a, s, accesses)
	if err != nil {
		return err
	}
	var window *portal.WindowOptions
	if sharing != nil {
		window = share.window(a, s)
	}
	p, err := portal.New(portal.Options{
		County: s.config.County, Version: version, Figures: figures, Flow: h, Definitions: s.metrics,
		Registry: prometheusRegistry(h), Log: a.log, Listen: s.config.Portal.Listen,
		Review: desk, Reviewers: accounts.Reviewers(a.data), Accesses: accesses, Models: h.models,
		Jobs: h.desk.options(accounts.Operators(a.data)),
		Push: door, Register: register, Sharing: sharing, Window: window, TLS: s.config.Portal.TLS, OIDC: s.config.Portal.OIDC,
		Catalogue: exchange, Requests: exchange.pages(s, a.data), Supervision: &portal.SupervisionOptions{Log: exchange, Supervisors: accounts.Supervisors(a.data)},
	})
	if err != nil {
		return err
	}
	address, err := p.Listen()
	if err != nil {
		return err
	}
	url := "http://" + address.String()
	if s.config.Portal.TLS != nil {
		url = "https://" + address.String()
	}
	e, err := a.start(ctx, s, h.engineChanged)
	if err != nil {
		return err
	}
	defer e.stop()
	lease, err := a.waitForCounty(ctx, s, e)
	if err != nil && ctx.Err() != nil {
		a.say("stopped")
		return nil
	}
	if err != nil {
		return err
	}
	defer lease.Release()
	ctx, cancel := lease.During(ctx)
	defer cancel()
	n, err := a.assemble(ctx, s, e)
	if err != nil {
		return err
	}
	defer n.close()
	if err := n.writeViews(ctx); err != nil {
		return err
	}
	ring, err := a.keyring(s)
	if err != nil {
		return err
	}
	if n.sharing, err = n.openSharing(ctx, ring); err != nil {
		return err
	}
	if n.keys, err = n.keeper(a.keySource(s)); err != nil {
		return err
	}
	if n.sharing != nil {
		share.Desk, share.corrections.Corrections = n.sharing.Desk, n.sharing.corrections
		h.pulse.Store(n.sharing.pulse)
	}
	a.registerAtStart(ctx, n)
	if _, err := n.tellModels(ctx); err != nil {
		return err
	}
	h.portal, h.node, figures.Figures, desk.Desk, accesses.log, inboxes.bus, register.conn = p, n, n.figures, n.desk, n.accesses, n.bus, n.analyst
	exchange.node.Store(n)
	if e.own != nil {
		if err := e.own.SetExtra(map[string]string{"portal": url}); err != nil {
			return err
		}
	}
	stopControl, err := serveControl(n, h)
	if err != nil {
		return err
	}
	defer stopControl()
	if err := a.runAll(ctx, n, h, p, url, beside); err != nil {
		return err
	}
	return lease.Err()
}

// drainTimeout bounds how long a stopping node goes on loading what is on the bus; the rest is loaded at the next start.
const drainTimeout = 4 * time.Second

// runAll runs the parts until ctx ends or one of them fails for good. Then it drains: the sources stop first, the flow
// when it has loaded what they brought.
func (a *app) runAll(ctx context.Context, n *node, h *health, p *portal.Portal, url string, beside func(context.Context, *node) error) error {
	asked := ctx // ends when the user asks; ctx also when a part fails
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	flowCtx, stopFlow := context.WithCancel(context.WithoutCancel(ctx))
	defer stopFlow()
	var parts, flow sync.WaitGroup
	part := func(group *sync.WaitGroup, ctx context.Context, run func(context.Context) error) {
		group.Go(func() {
			if err := run(ctx); err != nil && ctx.Err() == nil {
				h.fail(err)
				cancel(err)
			}
		})
	}
	part(&flow, flowCtx, n.flow.Run)
	part(&flow, flowCtx, n.accesses.Run) // until the portal has said its last, which the last checkpoint signs
	part(&flow, flowCtx, n.accesses.projection.Run)
	if r := n.sharing; r != nil {
		part(&flow, flowCtx, func(ctx context.Context) error { return r.serve(ctx, n.flow) })
		part(&flow, flowCtx, r.fresh.Run)
		part(&flow, flowCtx, r.pulse.Run)
		part(&parts, ctx, n.follow)
		part(&parts, ctx, r.corrections.Run)
	}
	part(&parts, ctx, p.Serve)
	part(&parts, ctx, h.engineDied)
	l, err := openLedger(ctx, n.setup, n.engines)
	if err != nil {
		return err
	}
	scheduler, err := newScheduler(n, h, l)
	if err != nil {
		return err
	}
	h.jobs.show(scheduler)
	h.desk.show(&jobs.Desk{Ledger: l, Jobs: scheduler.Jobs, Clock: jobs.System{}})
	for i, s := range n.sources {
		if !n.config.Sources[i].Timed {
			part(&parts, ctx, func(ctx context.Context) error { return h.gate.Follow(ctx, s) })
		}
	}
	part(&parts, ctx, scheduler.Run)
	part(&parts, ctx, n.keepPrepared)
	part(&parts, ctx, n.keepGranted)
	part(&parts, ctx, func(ctx context.Context) error { return n.keys.Keep(ctx, sealedEvery, n.log) })
	part(&flow, flowCtx, func(ctx context.Context) error { return recordRuns(ctx, n, l) }) // also the ends that the stop brings
	if beside != nil {
		part(&parts, ctx, func(ctx context.Context) error { return beside(ctx, n) })
	}
	a.say("Shire serves %s at %s", n.config.County.NameZh, url)
	<-ctx.Done()
	parts.Wait()
	a.drain(n)
	stopFlow()
	flow.Wait()
	if asked.Err() == nil {
		return context.Cause(ctx)
	}
	a.say("stopped")
	return nil
}

func (a *app) drain(n *node) {
	ctx, cancel := context.WithTimeout(context.Background(), drainTimeout)
	defer cancel()
	last, err := n.bus.LastSequence(ctx)
	if err == nil {
		err = n.flow.Drain(ctx, last)
	}
	if err != nil {
		a.log.Info("not everything on the bus was loaded before the stop; the rest is loaded at the next start", "error", err)
	}
}

func (a *app) demoCommand() *cobra.Command {
	var d demo
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Run the platform on a simulated county",
		Long: "Run the platform on a simulated county: departments with files of their own shapes, cases, papers handed in again\n" +
			"and again, and a data link between departments whose true effect is known.",
		Args: exactly(0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error { return a.demo(cmd, d) },
	}
	flags := cmd.Flags()
	flags.IntVar(&d.people, "people", 50_000, "how many people live in the county")
	flags.IntVar(&d.days, "days", 730, "how many days are simulated")
	flags.Uint64Var(&d.seed, "seed", 1, "the same seed gives the same county")
	flags.BoolVar(&d.live, "live", false, "go on changing in real time")
	flags.StringVar(&d.listen, "listen", "", "address of the portal (default: as county.yaml says)")
	cmd.AddCommand(a.tourCommand(), a.demoWindowCommand())
	return cmd
}

// demoData is the data directory of demos that are given none.
var demoData = filepath.Join("data", "demo")

type demo struct {
	people, days int
	seed         uint64
	live         bool
	listen       string
}

func (a *app) demo(cmd *cobra.Command, d demo) error {
	if d.people < 100 || d.days < 30 {
		return inputf("a county of %d people and %d days is too small to show anything; give at least --people 100 --days 30", d.people, d.days)
	}
	if !cmd.Flag("data").Changed {
		a.data = demoData
	}
	ctx := cmd.Context()
	began := time.Now()
	// First of all the data directory: it is readable by its owner alone, and one that cannot be written to is better told
	// before the county is made.
	if _, err := embedded.LoadOrCreateSecrets(a.data, secretNames()...); err != nil {
		return err
	}
	dir := filepath.Join(a.data, "county")
	if err := a.simulate(ctx, dir, d); err != nil {
		return err
	}
	a.config = filepath.Join(dir, "county.yaml")
	s, err := a.readSetup()
	if err != nil {
		return err
	}
	if d.listen != "" {
		s.config.Portal.Listen = d.listen
	}
	return a.up(ctx, s, func(ctx context.Context, n *node) error { return a.fillAndGoOn(ctx, n, d, dir, began) })
}

// fillAndGoOn waits until the county's files are loaded, says so, and with --live keeps the county changing.
func (a *app) fillAndGoOn(ctx context.Context, n *node, d demo, dir string, began time.Time) error {
	bar := a.progress("loading the county")
	if _, err := n.loadSources(ctx, n.sources, bar); err != nil {
		return err
	}
	if err := n.prepare(ctx); err != nil {
		return err
	}
	bar.done()
	extent, err := n.figures.Extent(ctx)
	if err != nil {
		return fmt.Errorf("the county is loaded, but its figures cannot be read: %w", err)
	}
	// Before anybody is told to go on: what they do makes requests too, and a county that has some is left as it is.
	if err := n.demoRequests(ctx, time.Now()); err != nil {
		return err
	}
	a.say("The county is loaded: months %s to %s, %s after the start. Stop with Ctrl-C.",
		monthText(extent.First), monthText(extent.Last), time.Since(began).Round(100*time.Millisecond))
	a.evaluateAll(ctx, n)
	if list, err := accounts.Reviewers(a.data).List(); err == nil && len(list) == 0 {
		a.say("To review who is who at /review, add a reviewer: bin/shire identity reviewers add NAME --data %s", a.data)
	}
	a.say("To look at a case as a window clerk at /window: bin/shire demo window --data %s", a.data)
	if d.live {
		return a.simulateLive(ctx, dir, d)
	}
	<-ctx.Done()
	return nil
}

func monthText(m metrics.Month) string { return fmt.Sprintf("%04d-%02d", m.Year, m.Month) }

// prometheusRegistry is what /metrics shows: the process, and the flow.
func prometheusRegistry(h *health) *prometheus.Registry {
	r := prometheus.NewRegistry()
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), &flowCollector{h}, &h.jobs)
	return r
}
