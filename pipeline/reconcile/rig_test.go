package reconcile

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/shirecounty/shire/connectors"
	"github.com/shirecounty/shire/deploy/embedded"
	"github.com/shirecounty/shire/pipeline"
	"github.com/shirecounty/shire/pipeline/bus"
	"github.com/shirecounty/shire/pipeline/columnar"
	"github.com/shirecounty/shire/pipeline/identity"
	"github.com/shirecounty/shire/pipeline/normalise"
	"github.com/shirecounty/shire/pipeline/seal"
	"github.com/shirecounty/shire/pipeline/warehouse"
	"github.com/shirecounty/shire/schemas/calendar"
	"github.com/shirecounty/shire/schemas/change"
	"github.com/shirecounty/shire/schemas/clickhouse"
	"github.com/shirecounty/shire/schemas/contract"
	"github.com/shirecounty/shire/schemas/metrics"
	"github.com/shirecounty/shire/schemas/pseudonym"
)

// The engines are started once; each test has a county and a dataset that no other has.
var engines struct {
	*embedded.Engines
	loader warehouse.Address
	failed error
}

func TestMain(m *testing.M) {
	embedded.RunChildIfAsked()
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "shire-reconcile-")
	if err != nil {
		slog.Error("no directory for the engines", "error", err)
		return 1
	}
	defer os.RemoveAll(dir)
	var users []embedded.User
	for _, u := range clickhouse.Access() {
		users = append(users, embedded.User{Name: u.Name, Password: "of-" + u.Name, Settings: u.Settings, Readonly: u.Readonly, Grants: u.Grants})
	}
	engines.Engines, engines.failed = embedded.Start(context.Background(), embedded.Options{Dir: dir, Version: "1.0.0",
		ClickHouse: embedded.ClickHouseOptions{Users: users}, Log: slog.New(slog.DiscardHandler)})
	if engines.failed != nil {
		return m.Run()
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := engines.Stop(ctx); err != nil {
			slog.Error("the engines did not stop", "error", err)
		}
	}()
	engines.loader = warehouse.Address{Native: engines.ClickHouse().Native, User: clickhouse.Loader, Password: "of-" + clickhouse.Loader}
	return m.Run()
}

var counties atomic.Int64

// rig is a department's table, the flow of a county, and a warehouse.
type rig struct {
	t        testing.TB
	dataset  *contract.Dataset
	bus      *bus.Bus
	loads    *warehouse.Warehouse
	calendar *calendar.Calendar
	hasher   *pseudonym.Hasher
	sealed   Sealed
	flow     *pipeline.Flow
	writer   *bus.Writer
	table    *table
}

const casesContract = `dataset: %s
department: hall
owner: {zh: 甲, en: A}
title: {zh: 甲, en: A}
version: 1
key: [number]
sharing: {type: conditional}
fields:
  - {name: number, type: identifier, required: true, sensitivity: internal}
  - {name: card, type: citizen_number, lenient: true, sensitivity: sensitive}
  - {name: item, type: text, required: true, sensitivity: open}
  - {name: closed, type: date, sensitivity: internal}
  - {name: visits, type: integer, sensitivity: open}
emits:
  - {table: person_records, role: applicant, columns: {id_number: card, name: item}}
  - table: cases
    person: applicant
    columns: {case_number: number, department: {value: "hall"}, item_code: item, closed_at: closed, visits: visits}
`

func newRig(t testing.TB, text string) *rig {
	t.Helper()
	if engines.failed != nil {
		if os.Getenv("CI") == "true" || !errors.Is(engines.failed, embedded.ErrNoLibrary) {
			t.Fatal(engines.failed)
		}
		t.Skip(engines.failed)
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	n := counties.Add(1)
	r := &rig{t: t}
	var err error
	r.dataset, err = contract.Parse("c.yaml", fmt.Appendf(nil, text, fmt.Sprint("cases_", n)), "Asia/Shanghai")
	must(err)
	nc, err := nats.Connect(engines.NATS().URL, engines.NATS().InProcess()...)
	must(err)
	t.Cleanup(nc.Close)
	r.bus, err = bus.Open(t.Context(), nc, bus.Options{County: fmt.Sprintf("%06d", n), Replicas: 1})
	must(err)
	r.loads, err = warehouse.Connect(t.Context(), engines.loader, r.bus.ID(), slog.New(slog.DiscardHandler))
	must(err)
	t.Cleanup(func() { r.loads.Close() })
	set, err := metrics.Load()
	must(err)
	must(clickhouse.ApplyViews(t.Context(), r.loads.Conn(), "Asia/Shanghai", clickhouse.Loader, set))
	r.calendar, err = calendar.Load(calendar.National())
	must(err)
	r.hasher, err = pseudonym.New([]byte(strings.Repeat("k", 32)))
	must(err)
	keys, err := seal.NewKeyring(seal.Key{ID: 1, Cipher: seal.SM4GCM, Secret: []byte("0123456789abcdef")})
	must(err)
	sealer := warehouse.NewSealer(keys, r.hasher)
	r.sealed = sealer
	if n%2 == 1 {
		r.loads.Seal(sealer) // else the rows are from before
	}
	people, err := identity.Open(identity.Options{Dir: t.TempDir(), Hasher: r.hasher.Clone(), Log: slog.New(slog.DiscardHandler)})
	must(err)
	r.flow = pipeline.New(pipeline.Options{Bus: r.bus, Warehouse: r.loads, Contracts: contract.Set{r.dataset.Name: r.dataset}, Calendar: r.calendar, Hasher: r.hasher,
		Resolver: people, Limits: columnar.Limits{Rows: 50_000, Bytes: 64 << 20, Age: 20 * time.Millisecond}, Log: slog.New(slog.DiscardHandler)})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- r.flow.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		people.Close()
	})
	r.writer, err = r.bus.ChangesWriter(t.Context(), r.bus.ChangesSubject("hall", r.dataset.Name))
	must(err)
	r.table = &table{rig: r, rows: map[string][]string{}}
	return r
}

// reconcile compares, and repairs when asked.
func (r *rig) reconcile(repair bool, change func(*Options)) *Report {
	r.t.Helper()
	plan, err := normalise.Compile(r.dataset, r.hasher.Clone(), r.calendar)
	if err != nil {
		r.t.Fatal(err)
	}
	o := Options{Source: "source", Dataset: r.dataset, Plan: plan, Surveyor: r.table, Bus: r.bus, Warehouse: r.loads.Conn(), Loaded: r.flow.Drain, Sealed: r.sealed,
		Pauses: []time.Duration{10 * time.Millisecond, 100 * time.Millisecond}}
	if repair {
		o.Resend = r.table.resend
	}
	if change != nil {
		change(&o)
	}
	report, err := Run(r.t.Context(), o)
	if err != nil {
		r.t.Fatal(err)
	}
	return report
}

// lose takes rows out of the warehouse, as a careless hand does.
func (r *rig) lose(table, where string) {
	r.t.Helper()
	if err := r.loads.Conn().Exec(r.t.Context(), "DELETE FROM "+table+" WHERE dataset = '"+r.dataset.Name+"' AND "+where); err != nil {
		r.t.Fatal(err)
	}
}

// table is what the department has: number, card, item, closed, visits. What is done to it by say arrives on the bus, what
// is done in silence does not.
type table struct {
	*rig
	drift []change.Drift // of its columns, as the outlet finds it
	mu    sync.Mutex
	rows  map[string][]string
}

var _ connectors.Surveyor = (*table)(nil)

var columns = []string{"number", "card", "item", "closed", "visits"}

func values(key, item, visits string) []string {
	return []string{key, "11010519491231002X", item, "2026-03-02", visits}
}

// Survey implements connectors.Surveyor.
func (d *table) Survey(_ context.Context, dataset string, keys []string, fn func([]string, change.Change) error) error {
	if dataset != d.dataset.Name {
		return fmt.Errorf("there is no dataset %s", dataset)
	}
	if len(keys) == 0 {
		d.mu.Lock()
		keys = slices.Collect(maps.Keys(d.rows))
		d.mu.Unlock()
	}
	for _, key := range keys {
		d.mu.Lock()
		row, there := d.rows[key]
		d.mu.Unlock()
		if there {
			if err := fn(columns, change.Change{Op: change.Snapshot, Key: key, Values: row}); err != nil {
				return err
			}
		}
	}
	return nil
}

// silently changes rows without anybody being told; nil takes one away.
func (d *table) silently(rows map[string][]string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for key, row := range rows {
		if row == nil {
			delete(d.rows, key)
		} else {
			d.rows[key] = row
		}
	}
}

// say changes rows, and tells the bus.
func (d *table) say(rows map[string][]string) {
	d.t.Helper()
	d.silently(rows)
	if err := d.publish(d.t.Context(), slices.Sorted(maps.Keys(rows)), change.Update); err != nil {
		d.t.Fatal(err)
	}
}

// resend says rows as they now stand.
func (d *table) resend(ctx context.Context, keys []string) error {
	return d.publish(ctx, keys, change.Snapshot)
}

func (d *table) publish(ctx context.Context, keys []string, op change.Op) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	for part := range slices.Chunk(keys, 4000) {
		b := change.NewBuilder("source", "hall", d.dataset.Name, "t", columns)
		b.Drift = d.drift
		for _, key := range part {
			if row, there := d.rows[key]; there {
				b.Append(change.Change{Op: op, Key: key, Values: row})
			} else {
				b.Append(change.Change{Op: change.Delete, Key: key})
			}
		}
		batch := b.Build()
		data, err := batch.Encode()
		batch.Record.Release()
		b.Release()
		if err == nil {
			_, err = d.writer.Publish(ctx, nats.Header{bus.HeaderRows: {fmt.Sprint(len(part))}}, data)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// changes is the stream itself.
func (r *rig) changes() jetstream.Stream {
	r.t.Helper()
	nc, err := nats.Connect(engines.NATS().URL, engines.NATS().InProcess()...)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		r.t.Fatal(err)
	}
	s, err := js.Stream(r.t.Context(), bus.Changes)
	if err != nil {
		r.t.Fatal(err)
	}
	return s
}
