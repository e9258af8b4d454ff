package main

import (
	"context"
	"crypto/sha256"
	"database/sql"
	sqldriver "database/sql/driver"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/nats-io/nats.go"

	"github.com/shirecounty/shire/connectors"
	"github.com/shirecounty/shire/deploy/embedded"
	"github.com/shirecounty/shire/jobs/backup"
	"github.com/shirecounty/shire/pipeline"
	"github.com/shirecounty/shire/pipeline/bus"
	"github.com/shirecounty/shire/pipeline/columnar"
	"github.com/shirecounty/shire/pipeline/identity"
	"github.com/shirecounty/shire/pipeline/ingest"
	"github.com/shirecounty/shire/pipeline/registry"
	"github.com/shirecounty/shire/pipeline/seal"
	"github.com/shirecounty/shire/pipeline/warehouse"
	"github.com/shirecounty/shire/schemas/calendar"
	"github.com/shirecounty/shire/schemas/catalogue"
	"github.com/shirecounty/shire/schemas/clickhouse"
	"github.com/shirecounty/shire/schemas/contract"
	"github.com/shirecounty/shire/schemas/county"
	schema "github.com/shirecounty/shire/schemas/identity"
	"github.com/shirecounty/shire/schemas/material"
	"github.com/shirecounty/shire/schemas/metrics"
	"github.com/shirecounty/shire/schemas/pseudonym"
	"github.com/shirecounty/shire/schemas/sharing"
)

// layoutVersion is the version of the data directory's layout that this binary writes.
const layoutVersion = "1.0.0"

// pseudonymSecret names the key of the pseudonyms among the generated secrets.
const pseudonymSecret = "pseudonym_key"

// setup is what every command reads first.
type setup struct {
	config    *county.Config
	contracts contract.Set
	calendar  *calendar.Calendar
	materials material.Rules
	metrics   metrics.Set
	zone      *time.Location
	works     map[string]work // of the jobs, by their names
	items     sharing.Items
	labels    sharing.Materials // names of materials
	rules     *sharing.Rules    // deadlines of requests for data

	interventions []registry.Definition
}

// load reads county.yaml, the contracts, the calendar and the metric definitions.
func (a *app) readSetup() (*setup, error) {
	file, err := a.configFile()
	if err != nil {
		return nil, err
	}
	s := &setup{}
	if s.config, s.contracts, err = county.Load(file, connectors.Kinds()); err != nil {
		return nil, err
	}
	if err := s.proveSources(); err != nil {
		return nil, err
	}
	var calendars fs.FS
	if dir := s.config.Calendars; dir != "" {
		calendars = os.DirFS(dir)
	}
	if s.calendar, err = calendar.LoadCounty(calendars); err != nil {
		return nil, inputf("calendars of %s: %v", file, err)
	}
	if s.materials, err = material.Load(s.config.Materials); err != nil {
		return nil, err
	}
	if s.metrics, err = metrics.Load(); err != nil {
		return nil, err
	}
	if err := s.readInterventions(); err != nil {
		return nil, err
	}
	if err := s.readItems(); err != nil {
		return nil, err
	}
	if err := s.readRules(); err != nil {
		return nil, err
	}
	if err := s.proveJobs(); err != nil {
		return nil, err
	}
	if s.zone, err = time.LoadLocation(s.config.County.TimeZone); err != nil {
		return nil, err
	}
	return s, nil
}

// remembered is what the data directory knows of the configuration it was last used with.
type remembered struct {
	Config string `json:"config"`
}

func (a *app) configFile() (string, error) {
	if a.config != "" {
		return a.config, nil
	}
	var r remembered
	if data, err := os.ReadFile(filepath.Join(a.data, "node.json")); err == nil && json.Unmarshal(data, &r) == nil && r.Config != "" {
		return r.Config, nil
	}
	if _, err := os.Stat("county.yaml"); err == nil {
		return "county.yaml", nil
	}
	return "", inputf("there is no county.yaml here and the data directory %s was not used before; give the path with -c, or try shire demo", a.data)
}

func (a *app) remember(config string) error {
	path, err := filepath.Abs(config)
	if err != nil {
		return err
	}
	data, err := json.Marshal(remembered{Config: path})
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(a.data, "node.json"), append(data, '\n'), 0o600)
}

// engines are the two engines as this process reaches them, however they run.
type engines struct {
	own     *embedded.Engines // nil when another process or a server elsewhere runs both
	nc      *nats.Conn
	loader  warehouse.Address
	analyst warehouse.Address
	jobs    warehouse.Address // for SQL of the county's own that writes
	key     []byte            // of the pseudonyms
}

// start runs the embedded engines (where county.yaml names no address) and connects to both.
func (a *app) start(ctx context.Context, s *setup, onChange func(embedded.Component)) (*engines, error) {
	if backup.Unfinished(a.data) {
		return nil, inputf("a restore into %s was not finished: run shire restore again, which begins anew", a.data)
	}
	return a.startUnfinished(ctx, s, onChange)
}

// startUnfinished is start on a data directory that may be half restored.
func (a *app) startUnfinished(ctx context.Context, s *setup, onChange func(embedded.Component)) (*engines, error) {
	accesses := s.accesses()
	secrets, err := embedded.LoadOrCreateSecrets(a.data, append(secretNames(), accessSecrets(accesses)...)...)
	if err != nil {
		return nil, err
	}
	options := embeddedOptions(a.data, s.config, secrets, onChange, a.log)
	departments, err := a.departmentUsers(s)
	if err != nil {
		return nil, err
	}
	options.ClickHouse.Users = append(options.ClickHouse.Users, departments...)
	options.NATS.Users = natsUsers(accesses, secrets)
	own, err := embedded.Start(ctx, options)
	if err != nil {
		return nil, err
	}
	e := &engines{own: own}
	var url string
	var reach []nats.Option
	if at := own.NATS(); at != nil {
		url, reach = at.URL, at.InProcess()
	}
	if err := e.connect(s.config, secrets, own.ClickHouse(), url, reach...); err != nil {
		e.stop()
		return nil, err
	}
	if err := a.remember(s.config.File); err != nil {
		e.stop()
		return nil, err
	}
	return e, nil
}

// attach connects to the engines that another process runs on the data directory.
func (a *app) attach(s *setup) (*engines, *embedded.Runtime, error) {
	runtime, err := embedded.ReadRuntime(a.data)
	if err != nil {
		return nil, nil, err
	}
	secrets, err := embedded.LoadOrCreateSecrets(a.data, secretNames()...)
	if err != nil {
		return nil, nil, err
	}
	e := &engines{}
	at := &embedded.ClickHouse{Native: runtime.ClickHouseNative, HTTP: runtime.ClickHouseHTTP}
	login := nats.UserInfo(embedded.SystemUser, secrets[embedded.SystemSecret])
	if err := e.connect(s.config, secrets, at, runtime.NATSURL, login); err != nil {
		return nil, nil, err
	}
	return e, runtime, nil
}

func secretNames() []string {
	names := []string{pseudonymSecret, embedded.SystemSecret}
	for _, u := range clickhouse.Access() {
		names = append(names, u.Name)
	}
	return names
}

func embeddedOptions(dir string, c *county.Config, secrets map[string]string, onChange func(embedded.Component), log *slog.Logger) embedded.Options {
	o := embedded.Options{
		Dir: dir, Version: layoutVersion, MinFreeBytes: uint64(c.Engines.MinFree), OnChange: onChange, Log: log,
		NATS: embedded.NATSOptions{
			Disabled: c.Engines.NATS.Address != "", Port: c.Engines.NATS.Port, StoreMaxBytes: 0,
			SyncAlways: c.Engines.NATS.Sync == "always",
		},
		ClickHouse: embedded.ClickHouseOptions{
			Disabled: c.Engines.ClickHouse.Address != "", NativePort: c.Engines.ClickHouse.NativePort, HTTPPort: c.Engines.ClickHouse.HTTPPort,
			MaxMemoryBytes: uint64(c.Engines.ClickHouse.MaxMemory),
		},
	}
	if d, err := time.ParseDuration(c.Engines.NATS.Sync); err == nil {
		o.NATS.SyncInterval = d
	}
	for _, u := range clickhouse.Access() {
		o.ClickHouse.Users = append(o.ClickHouse.Users, embedded.User{
			Name: u.Name, Password: secrets[u.Name], Readonly: u.Readonly, Settings: u.Settings, Grants: u.Grants,
		})
	}
	return o
}

func (e *engines) connect(c *county.Config, secrets map[string]string, clickhouseAt *embedded.ClickHouse, natsURL string, reach ...nats.Option) error {
	key, err := c.Pseudonyms.Key.Reveal()
	if err != nil {
		return inputf("the key of the pseudonyms cannot be read: %v", err)
	}
	if key == "" {
		key = secrets[pseudonymSecret]
	}
	e.key = []byte(key)
	if e.nc, err = connectNATS(c, natsURL, reach...); err != nil {
		return err
	}
	if e.loader, e.analyst, err = clickhouseAddresses(c, secrets, clickhouseAt); err != nil {
		return err
	}
	e.jobs, err = jobsAddress(c, secrets, clickhouseAt)
	return err
}

// stopTimeout bounds how long the engines may take to stop; with drainTimeout it stays under the 10 s that a
// service manager waits.
const stopTimeout = 5 * time.Second

func (e *engines) stop() {
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	if e.nc != nil {
		e.nc.Close()
	}
	if e.own != nil {
		if err := e.own.Stop(ctx); err != nil {
			slog.Warn("the engines did not stop cleanly", "error", err)
		}
	}
}

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

func reachable(err error, address string) error {
	if err == nil || !away(err) {
		return err
	}
	return fmt.Errorf("ClickHouse at %s: %w; check the address, and that the server runs: %w", address, errUnreachable, err)
}

// away tells errors of the connection from answers of the server.
func away(err error) bool {
	var network net.Error
	return errors.As(err, &network) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, sqldriver.ErrBadConn) || errors.Is(err, sql.ErrConnDone)
}
