package main

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/shirecounty/shire/connectors"
	"github.com/shirecounty/shire/deploy/embedded"
	"github.com/shirecounty/shire/pipeline"
	"github.com/shirecounty/shire/pipeline/bus"
	"github.com/shirecounty/shire/pipeline/columnar"
	"github.com/shirecounty/shire/pipeline/identity"
	"github.com/shirecounty/shire/pipeline/ingest"
	"github.com/shirecounty/shire/pipeline/warehouse"
	"github.com/shirecounty/shire/schemas/calendar"
	"github.com/shirecounty/shire/schemas/change"
	"github.com/shirecounty/shire/schemas/clickhouse"
	"github.com/shirecounty/shire/schemas/contract"
	"github.com/shirecounty/shire/schemas/county"
	"github.com/shirecounty/shire/schemas/pseudonym"
)

// streamFigures is small changes, one after the other, through the whole flow.
type streamFigures struct {
	changes      int
	flow         []float64 // changes a second from a connector's Append to the warehouse
	bare         []float64 // messages of one change each a second, published to JetStream and fetched again
	packed       []float64 // changes a second when bare JetStream carries the flow's own packed messages
	ratio, noise []float64
	packedRatio  []float64
}

const streamContract = `dataset: steps
department: service_hall
owner: {zh: 大厅, en: Hall}
title: {zh: 环节, en: Steps}
version: 1
key: [number]
delivery: changes
sharing: {type: conditional}
fields:
  - {name: number, type: identifier, required: true, sensitivity: internal}
  - {name: case, type: case_number, required: true, sensitivity: internal}
  - {name: activity, type: text, required: true, sensitivity: open}
  - {name: started, type: timestamp, required: true, sensitivity: open}
  - {name: ended, type: timestamp, sensitivity: open}
emits:
  - table: case_steps
    columns: {case_number: case, step: number, activity: activity, started_at: started, ended_at: ended}
`

var streamColumns = []string{"number", "case", "activity", "started", "ended"}

func streamValues(i int) []string {
	at := time.Date(2026, 1, 5, 8, 0, 0, 0, time.UTC).Add(time.Duration(i) * time.Second)
	return []string{"S" + strconv.Itoa(i), "33012720260105" + strconv.Itoa(i/4), "受理审查", at.Format(time.DateTime), at.Add(time.Hour).Format(time.DateTime)}
}

// stepper is a connector that yields small changes as fast as it is let.
type stepper struct{ from, to int }

func (s *stepper) Run(ctx context.Context, out connectors.Outlet, _ bool) error {
	for i := s.from; i < s.to; i++ {
		c := change.Change{Op: change.Create, Key: "S" + strconv.Itoa(i), Row: int64(i), Values: streamValues(i), Position: change.Position(strconv.Itoa(i))}
		if err := out.Append(ctx, "steps", "bench", streamColumns, c); err != nil {
			return err
		}
	}
	return out.Flush(ctx)
}

// stream is a whole flow with one source.
type stream struct {
	engines   *embedded.Engines
	nc        *nats.Conn
	js        jetstream.JetStream
	bus       *bus.Bus
	warehouse *warehouse.Warehouse
	flow      *pipeline.Flow
	source    *ingest.Source
	stepper   *stepper
}

func measureStream(ctx context.Context, o options, dir string) (*streamFigures, error) {
	d, err := contract.Parse("steps.yaml", []byte(streamContract), "Asia/Shanghai")
	if err != nil {
		return nil, err
	}
	stepper := &stepper{}
	connectors.Register("bench", func(connectors.Settings) (connectors.Connector, error) { return stepper, nil })
	s, stop, err := startStream(ctx, filepath.Join(dir, "stream"), contract.Set{d.Name: d}, county.Source{Name: "bench", Kind: "bench", Datasets: []string{"steps"}},
		columnar.Limits{Rows: 100_000, Bytes: 32 << 20, Age: time.Second})
	if err != nil {
		return nil, err
	}
	defer stop()
	s.stepper = stepper
	f := &streamFigures{changes: o.changes}
	for round := range o.rounds + 1 {
		flow, err := s.measureFlow(ctx, round*o.changes, o.changes)
		if err != nil {
			return nil, err
		}
		bare, err := s.measureBare(ctx, o.changes, 1)
		if err != nil {
			return nil, err
		}
		again, err := s.measureBare(ctx, o.changes, 1)
		if err != nil {
			return nil, err
		}
		packed, err := s.measureBare(ctx, o.changes, 4096)
		if err != nil {
			return nil, err
		}
		fmt.Printf("stream, round %d: flow %.0f/s, bare %.0f/s and %.0f/s, packed %.0f/s\n", round, flow, bare, again, packed)
		if round == 0 {
			continue
		}
		f.flow, f.bare, f.packed = append(f.flow, flow), append(f.bare, bare), append(f.packed, packed)
		f.ratio, f.noise, f.packedRatio = append(f.ratio, flow/bare), append(f.noise, again/bare), append(f.packedRatio, flow/packed)
	}
	return f, nil
}

// startStream starts a whole flow with one source.
func startStream(ctx context.Context, dir string, set contract.Set, source county.Source, limits columnar.Limits) (*stream, func(), error) {
	o := embedded.Options{Dir: dir, Version: "1.0.0", Log: slog.New(slog.DiscardHandler)}
	for _, u := range clickhouse.Access() {
		o.ClickHouse.Users = append(o.ClickHouse.Users, embedded.User{Name: u.Name, Password: "bench of " + u.Name, Readonly: u.Readonly, Settings: u.Settings, Grants: u.Grants})
	}
	engines, err := embedded.Start(ctx, o)
	if err != nil {
		return nil, nil, err
	}
	s := &stream{engines: engines}
	flowCtx, cancel := context.WithCancel(ctx)
	stop := func() {
		cancel()
		if s.nc != nil {
			s.nc.Close()
		}
		late, done := context.WithTimeout(context.Background(), 10*time.Second)
		defer done()
		if err := engines.Stop(late); err != nil {
			fmt.Println("bench: the engines did not stop cleanly:", err)
		}
	}
	if err := s.assemble(flowCtx, dir, set, source, limits); err != nil {
		stop()
		return nil, nil, err
	}
	go func() {
		if err := s.flow.Run(flowCtx); err != nil && flowCtx.Err() == nil {
			fmt.Println("bench: the flow ended:", err)
		}
	}()
	return s, stop, nil
}

func (s *stream) assemble(ctx context.Context, dir string, set contract.Set, source county.Source, limits columnar.Limits) (err error) {
	log := slog.New(slog.DiscardHandler)
	at := s.engines.NATS()
	if s.nc, err = nats.Connect(at.URL, at.InProcess()...); err != nil {
		return err
	}
	if s.js, err = jetstream.New(s.nc, jetstream.WithPublishAsyncMaxPending(4096)); err != nil {
		return err
	}
	if s.bus, err = bus.Open(ctx, s.nc, bus.Options{County: "330127", Replicas: 1}); err != nil {
		return err
	}
	loader := warehouse.Address{Native: s.engines.ClickHouse().Native, User: clickhouse.Loader, Password: "bench of " + clickhouse.Loader}
	w, err := warehouse.Connect(ctx, loader, s.bus.ID(), log)
	if err != nil {
		return err
	}
	s.warehouse = w
	cal, err := calendar.Load(calendar.National())
	if err != nil {
		return err
	}
	hasher, err := pseudonym.New(make([]byte, pseudonym.MinKey))
	if err != nil {
		return err
	}
	resolver, err := identity.Open(identity.Options{Dir: filepath.Join(dir, "identity"), Hasher: hasher, Log: log})
	if err != nil {
		return err
	}
	s.flow = pipeline.New(pipeline.Options{
		Bus: s.bus, Warehouse: w, Contracts: set, Calendar: cal, Hasher: hasher, Resolver: resolver, Log: log,
		Limits: limits,
	})
	s.source, err = ingest.NewSource(ingest.Options{
		Bus: s.bus, Config: source, Contracts: set,
		StateDir: filepath.Join(dir, "state"), Resolve: func(p string) string { return p }, Log: log,
		Limits: ingest.Limits{Rows: 4096, Bytes: 1 << 20, Linger: 50 * time.Millisecond},
	})
	return err
}

// measureFlow is changes a second from the connector to the warehouse.
func (s *stream) measureFlow(ctx context.Context, from, n int) (float64, error) {
	s.stepper.from, s.stepper.to = from, from+n
	began := time.Now()
	if _, err := s.source.Run(ctx); err != nil {
		return 0, err
	}
	last, err := s.bus.LastSequence(ctx)
	if err != nil {
		return 0, err
	}
	if err := s.flow.Drain(ctx, last); err != nil {
		return 0, err
	}
	return float64(n) / time.Since(began).Seconds(), nil
}

// measureBare publishes n changes to a file stream, pack of them in a message, asynchronously, and fetches them
// again at the same time. It is what JetStream alone does with the same bytes.
func (s *stream) measureBare(ctx context.Context, n, pack int) (float64, error) {
	js, err := s.js.CreateStream(ctx, jetstream.StreamConfig{Name: "BARE", Subjects: []string{"bare"}, Storage: jetstream.FileStorage})
	if err != nil {
		return 0, err
	}
	defer s.js.DeleteStream(ctx, "BARE")
	consumer, err := js.OrderedConsumer(ctx, jetstream.OrderedConsumerConfig{})
	if err != nil {
		return 0, err
	}
	messages := (n + pack - 1) / pack
	began := time.Now()
	fetched := make(chan error, 1)
	go func() { fetched <- fetch(consumer, messages) }()
	for sent := 0; sent < n; sent += pack {
		data := payload(sent, min(pack, n-sent))
		for {
			_, err := s.js.PublishAsync("bare", data)
			if err == nil {
				break
			}
			// Too many are in flight; what is refused here was not sent.
			select {
			case <-s.js.PublishAsyncComplete():
			case <-ctx.Done():
				return 0, ctx.Err()
			}
		}
	}
	select {
	case <-s.js.PublishAsyncComplete():
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	if err := <-fetched; err != nil {
		return 0, err
	}
	return float64(n) / time.Since(began).Seconds(), nil
}

func fetch(consumer jetstream.Consumer, n int) error {
	it, err := consumer.Messages(jetstream.PullMaxMessages(4096))
	if err != nil {
		return err
	}
	defer it.Stop()
	for range n {
		if _, err := it.Next(); err != nil {
			return err
		}
	}
	return nil
}

// payload is changes as bytes: one as a line of its values, many packed the way the flow packs them.
func payload(from, n int) []byte {
	if n == 1 {
		var line []byte
		for _, v := range streamValues(from) {
			line = append(append(line, v...), ',')
		}
		return line
	}
	b := change.NewBuilder("bench", "service_hall", "steps", "bench", streamColumns)
	defer b.Release()
	for i := from; i < from+n; i++ {
		b.Append(change.Change{Op: change.Create, Key: "S" + strconv.Itoa(i), Row: int64(i), Values: streamValues(i)})
	}
	batch := b.Build()
	defer batch.Record.Release()
	data, err := batch.Encode()
	if err != nil {
		panic(err) // our own builder's batch
	}
	return data
}
