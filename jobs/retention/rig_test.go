package retention

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/shirecounty/shire/deploy/embedded"
	"github.com/shirecounty/shire/pipeline"
	"github.com/shirecounty/shire/pipeline/bus"
	"github.com/shirecounty/shire/pipeline/columnar"
	"github.com/shirecounty/shire/pipeline/identity"
	"github.com/shirecounty/shire/pipeline/warehouse"
	"github.com/shirecounty/shire/schemas/calendar"
	"github.com/shirecounty/shire/schemas/change"
	"github.com/shirecounty/shire/schemas/clickhouse"
	"github.com/shirecounty/shire/schemas/contract"
	schema "github.com/shirecounty/shire/schemas/identity"
	"github.com/shirecounty/shire/schemas/metrics"
	"github.com/shirecounty/shire/schemas/pseudonym"
)

// The engines are started once; each test has a county of its own.
var engines struct {
	*embedded.Engines
	dir    string
	loader warehouse.Address
	failed error
}

func TestMain(m *testing.M) {
	embedded.RunChildIfAsked()
	os.Exit(runTests(m))
}

func runTests(m *testing.M) int {
	dir, err := os.MkdirTemp("", "shire-retention-")
	if err != nil {
		slog.Error("no directory for the engines", "error", err)
		return 1
	}
	defer os.RemoveAll(dir)
	engines.dir = dir
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

func newBus(t *testing.T) (*bus.Bus, *nats.Conn) {
	t.Helper()
	if engines.failed != nil {
		if os.Getenv("CI") == "true" || !errors.Is(engines.failed, embedded.ErrNoLibrary) {
			t.Fatal(engines.failed)
		}
		t.Skip(engines.failed)
	}
	nc, err := nats.Connect(engines.NATS().URL, engines.NATS().InProcess()...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	b, err := bus.Open(t.Context(), nc, bus.Options{County: fmt.Sprintf("%06d", counties.Add(1)), Replicas: 1})
	if err != nil {
		t.Fatal(err)
	}
	return b, nc
}

// rig is a county whose flow runs, with one dataset of people.
type rig struct {
	t          *testing.T
	bus        *bus.Bus
	house      *warehouse.Warehouse
	identities *identity.Matching
	dir        string // of the identities
	flow       *pipeline.Flow
	writer     *bus.Writer
	dataset    string
	last       uint64

	// What a record says of a person, in this test alone; compression leaves such words as they are.
	name, address string
}

const contractText = `dataset: %s
department: police
owner: {zh: 甲, en: A}
title: {zh: 甲, en: A}
version: 1
key: [number]
sharing: {type: conditional}
fields:
  - {name: number, type: identifier, required: true, sensitivity: internal}
  - {name: card, type: citizen_number, sensitivity: sensitive}
  - {name: name, type: text, required: true, sensitivity: sensitive}
  - {name: address, type: text, sensitivity: sensitive}
emits:
  - {table: person_records, role: resident, columns: {id_number: card, name: name, address: address}}
`

func newRig(t *testing.T) *rig {
	t.Helper()
	b, _ := newBus(t)
	r := &rig{t: t, bus: b, dir: t.TempDir(), dataset: fmt.Sprintf("residents_%d", counties.Load())}
	var err error
	r.house, err = warehouse.Connect(t.Context(), engines.loader, b.ID(), slog.New(slog.DiscardHandler))
	r.must(err)
	t.Cleanup(func() { r.house.Close() })
	r.name, r.address = fmt.Sprintf("Xqz%dJvkWy", counties.Load()), fmt.Sprintf("QjxZ%dwvKb", counties.Load())
	set, err := metrics.Load()
	r.must(err)
	r.must(clickhouse.ApplyViews(t.Context(), r.house.Conn(), "Asia/Shanghai", clickhouse.Loader, set))
	days, err := calendar.Load(calendar.National())
	r.must(err)
	hasher, err := pseudonym.New([]byte(strings.Repeat("k", 32)))
	r.must(err)
	r.identities, err = identity.Open(identity.Options{Dir: r.dir, Hasher: hasher.Clone(), Log: slog.New(slog.DiscardHandler)})
	r.must(err)
	d, err := contract.Parse("c.yaml", fmt.Appendf(nil, contractText, r.dataset), "Asia/Shanghai")
	r.must(err)
	r.flow = pipeline.New(pipeline.Options{Bus: b, Warehouse: r.house, Contracts: contract.Set{r.dataset: d}, Calendar: days, Hasher: hasher,
		Resolver: r.identities, Limits: columnar.Limits{Rows: 50, Bytes: 1 << 20, Age: 10 * time.Millisecond}, Log: slog.New(slog.DiscardHandler)})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- r.flow.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		r.identities.Close()
	})
	_, err = pipeline.PublishFirstModels(t.Context(), b, func(string) *schema.Model { return nil }, time.Now())
	r.must(err)
	r.writer, err = b.ChangesWriter(t.Context(), b.ChangesSubject("police", r.dataset))
	r.must(err)
	return r
}

func (r *rig) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

var columns = []string{"number", "card", "name", "address"}

func person(op change.Op, number, card, name, address string) change.Change {
	return change.Change{Op: op, Key: number, Values: []string{number, card, name, address}, Position: change.Position(number)}
}

func gone(number string) change.Change {
	return change.Change{Op: change.Delete, Key: number, Values: make([]string, len(columns)), Null: []bool{true, true, true, true}, Position: change.Position(number)}
}

// say publishes a message and waits until it is loaded.
func (r *rig) say(rows ...change.Change) {
	r.t.Helper()
	b := change.NewBuilder("police", "police", r.dataset, "unit", columns)
	defer b.Release()
	for _, c := range rows {
		b.Append(c)
	}
	batch := b.Build()
	defer batch.Record.Release()
	data, err := batch.Encode()
	r.must(err)
	header := nats.Header{}
	header.Set(bus.HeaderRows, fmt.Sprint(len(rows)))
	r.last, err = r.writer.Publish(r.t.Context(), header, data)
	r.must(err)
	ctx, cancel := context.WithTimeout(r.t.Context(), time.Minute)
	defer cancel()
	r.must(r.flow.Drain(ctx, r.last))
}

func (r *rig) count(query string, args ...any) (n uint64) {
	r.t.Helper()
	r.must(r.house.Conn().QueryRow(r.t.Context(), query, args...).Scan(&n))
	return n
}

// days after all that was said.
func (r *rig) after(days int) func() time.Time {
	return func() time.Time { return time.Now().AddDate(0, 0, days) }
}

func (r *rig) worker(rules Rules, days int) *Retention {
	return &Retention{
		Rules: rules, Bus: r.bus, Warehouse: r.house, Identities: r.identities, Loaded: r.flow.Drain, Dir: r.t.TempDir(), Now: r.after(days),
		Source: func(string) Source { return Source{} },
		Backed: func(context.Context) (time.Time, error) { return time.Now().AddDate(0, 0, days), nil },
	}
}

// holds tells whether a file below a folder contains a text.
func holds(t *testing.T, dir, text string) bool {
	t.Helper()
	found := false
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		found = found || bytes.Contains(data, []byte(text))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}
