package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"log/slog"
	"maps"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/shirecounty/shire/deploy/embedded"
	"github.com/shirecounty/shire/pipeline"
	"github.com/shirecounty/shire/pipeline/bus"
	"github.com/shirecounty/shire/pipeline/columnar"
	"github.com/shirecounty/shire/pipeline/identity"
	"github.com/shirecounty/shire/pipeline/ingest"
	"github.com/shirecounty/shire/pipeline/registry"
	"github.com/shirecounty/shire/pipeline/seal"
	"github.com/shirecounty/shire/pipeline/warehouse"
	"github.com/shirecounty/shire/schemas/catalogue"
	"github.com/shirecounty/shire/schemas/clickhouse"
	schema "github.com/shirecounty/shire/schemas/identity"
	"github.com/shirecounty/shire/schemas/pseudonym"
)

// node is a running county node: bus, warehouse, flow and sources.
type node struct {
	*setup
	engines    *engines
	data       string // the data directory
	bus        *bus.Bus
	warehouse  *warehouse.Warehouse
	analyst    driver.Conn
	figures    *warehouse.Figures
	register   *registry.Register
	identities *identity.Matching
	counts     *identity.Counter
	desk       *pipeline.Desk
	exchange   *pipeline.Exchange
	catalogue  catalogue.Version // in use
	accesses   *auditLog
	flow       *pipeline.Flow
	sources    []*ingest.Source
	sharing    *sharingRoom // of a running node; nil when the county shares no records
	keys       *seal.Keeper // of a running node
	log        *slog.Logger

	preparer  *warehouse.Preparer
	preparing sync.Mutex    // held by who prepares
	prepared  atomic.Uint64 // preparations by this process
}

// assemble opens the bus, migrates the warehouse and makes the flow and the sources.
func (a *app) assemble(ctx context.Context, s *setup, e *engines) (*node, error) {
	n := &node{setup: s, engines: e, data: a.data, log: a.log}
	var err error
	if n.bus, err = openBus(ctx, s, e); err != nil {
		return nil, err
	}
	hasher, err := pseudonym.New(e.key)
	if err != nil {
		return nil, inputf("%v", err)
	}
	id := n.bus.ID() + "/" + fingerprint(e.key)
	if err := n.persist(ctx, func(ctx context.Context) error { return n.openWarehouse(ctx, id) }); err != nil {
		return nil, err
	}
	sealer, err := a.sealer(s, e)
	if err != nil {
		return nil, err
	}
	n.warehouse.Seal(sealer)
	loaded, err := n.warehouse.LoadedThrough(ctx)
	if err != nil {
		return nil, err
	}
	lost, err := n.bus.MakeUp(ctx, loaded)
	if err != nil {
		return nil, err
	}
	if lost > 0 {
		n.log.Error("the bus has lost messages that it had acknowledged (a power failure without sync: always?); sources that still have the changes send them again, shire reconcile finds the others", "messages", lost)
	}
	if n.identities, err = identity.Open(identity.Options{Dir: a.identityDir(), Hasher: hasher, Log: a.log}); err != nil {
		return nil, err
	}
	n.flow = pipeline.New(pipeline.Options{
		Bus: n.bus, Warehouse: n.warehouse, Contracts: s.contracts, Calendar: s.calendar, Hasher: hasher,
		Resolver: n.identities, Log: a.log,
		Limits: columnar.Limits{Rows: s.config.Flow.LoadRows, Bytes: int(s.config.Flow.LoadBytes), Age: time.Duration(s.config.Flow.LoadAge)},
	})
	n.counts = identity.NewCounter(n.identities)
	n.exchange = pipeline.NewExchange(n.bus, s.sharingWorld)
	n.desk = pipeline.NewDesk(pipeline.DeskOptions{Bus: n.bus, Identities: pipeline.Always(n.identities), Loaded: n.flow.Drain})
	if n.accesses, err = a.openAudit(ctx, s, e, n.warehouse.Conn()); err != nil {
		return nil, err
	}
	if err := n.mendAudit(ctx); err != nil {
		return nil, err
	}
	if err := n.openInboxes(ctx); err != nil {
		return nil, err
	}
	if err := n.openOutboxes(ctx); err != nil {
		return nil, err
	}
	for _, src := range s.config.Sources {
		source, err := ingest.NewSource(ingest.Options{
			Bus: n.bus, Config: src, Contracts: s.contracts, Resolve: s.config.Resolve, Log: a.log,
			StateDir: filepath.Join(a.data, "sources", src.Name),
			Lease:    time.Duration(s.config.Flow.Lease),
			Limits:   ingest.Limits{Rows: s.config.Flow.PackRows, Bytes: int(s.config.Flow.PackBytes), Linger: time.Duration(s.config.Flow.PackLinger)},
		})
		if err != nil {
			return nil, inputf("%s: %v", s.config.File, err)
		}
		n.sources = append(n.sources, source)
	}
	return n, nil
}

// fingerprint is by what a key of pseudonyms is known again.
func fingerprint(key []byte) string {
	sum := sha256.Sum256(append([]byte("shire pseudonym key\n"), key...))
	return hex.EncodeToString(sum[:8])
}

func openBus(ctx context.Context, s *setup, e *engines) (*bus.Bus, error) {
	return bus.Open(ctx, e.nc, bus.Options{County: s.config.County.Division, Replicas: s.config.Engines.NATS.Replicas})
}

// tellModels says in the stream by which models records are matched, before any source runs. It returns the sequence to
// be loaded, 0 when the stream has said so already.
func (n *node) tellModels(ctx context.Context) (uint64, error) {
	used := func(about string) *schema.Model {
		if m := n.identities.Partition(about).Model(); m != nil {
			return m.Spec()
		}
		return nil
	}
	return pipeline.PublishFirstModels(ctx, n.bus, used, time.Now())
}

// waitLoaded waits until another process's flow has loaded up to a sequence.
func waitLoaded(ctx context.Context, b *bus.Bus, sequence uint64) error {
	for {
		through, err := b.LoadedThrough(ctx)
		if err != nil || through >= sequence {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// persist runs a step that makes the warehouse ready. An embedded ClickHouse that dies meanwhile is started again by
// its supervisor, for as long as that has not given up, and every step can be repeated; an external one that does not answer is
// better told at once.
func (n *node) persist(ctx context.Context, step func(context.Context) error) error {
	const pause, patience = 500 * time.Millisecond, 5 * time.Minute
	began := time.Now()
	for {
		err := step(ctx)
		if err == nil || !n.supervised() || !away(err) || time.Since(began) > patience {
			return reachable(err, n.engines.loader.Native)
		}
		n.log.Warn("the warehouse could not be made ready; it is tried again", "error", err)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
	}
}

// supervised tells whether a ClickHouse that is away comes back by itself.
func (n *node) supervised() bool {
	if n.engines.own == nil || n.engines.own.ClickHouse() == nil {
		return false
	}
	return !slices.ContainsFunc(n.engines.own.Health(), func(c embedded.Component) bool {
		return c.Name == embedded.ComponentClickHouse && c.State == embedded.Failed
	})
}

// openWarehouse connects and migrates: afterwards the warehouse can be loaded.
func (n *node) openWarehouse(ctx context.Context, bus string) (err error) {
	if n.warehouse, err = warehouse.Connect(ctx, n.engines.loader, bus, n.log); err != nil {
		return err
	}
	if n.analyst, err = warehouse.Open(n.engines.analyst); err != nil {
		return err
	}
	n.figures = warehouse.NewFigures(n.analyst, n.metrics, n.zone)
	n.register = n.engines.registerOver(n.warehouse.Conn(), n.metrics, "shire up")
	n.figures.Noting(noteIn(n.register, n.log))
	return nil
}

// writeViews writes what the program knows from its files: calendar, departments, views. Afterwards the warehouse can
// be asked. Loading does not wait for it.
func (n *node) writeViews(ctx context.Context) error {
	var err error
	if n.preparer, err = n.newPreparer(); err != nil {
		return err
	}
	return n.persist(ctx, func(ctx context.Context) error {
		if err := clickhouse.LoadReference(ctx, n.warehouse.Conn(), n.calendar, n.config.Departments, maps.Values(n.contracts)); err != nil {
			return err
		}
		if err := clickhouse.LoadMaterials(ctx, n.warehouse.Conn(), n.materials); err != nil {
			return err
		}
		if err := n.writeSharing(ctx); err != nil {
			return err
		}
		if err := n.views().Apply(ctx, n.warehouse.Conn()); err != nil {
			return err
		}
		return n.preparer.Forget(ctx)
	})
}

func (n *node) views() clickhouse.Views {
	return clickhouse.Views{
		Zone: n.config.County.TimeZone, Definer: n.engines.loader.User, Clock: n.config.Clocks.Rules(), EndsFilled: n.contracts.EndsFilled(), Metrics: n.metrics,
	}
}

func (n *node) close() {
	if n.sharing != nil {
		n.sharing.close()
	}
	if n.identities != nil {
		if err := n.identities.Close(); err != nil {
			n.log.Warn("the state of identities was not closed cleanly", "error", err)
		}
	}
	if n.analyst != nil {
		n.analyst.Close()
	}
	if n.warehouse != nil {
		n.warehouse.Close()
	}
}
