package ingest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/shirecounty/shire/connectors"
	"github.com/shirecounty/shire/deploy/embedded"
	"github.com/shirecounty/shire/pipeline/bus"
	"github.com/shirecounty/shire/schemas/change"
	"github.com/shirecounty/shire/schemas/contract"
	"github.com/shirecounty/shire/schemas/county"
)

var engine *embedded.NATS

func TestMain(m *testing.M) {
	embedded.RunChildIfAsked()
	connectors.Register("scripted", func(s connectors.Settings) (connectors.Connector, error) {
		return &scripted{settings: s, run: s.Source.With["run"].(func(context.Context, connectors.Settings, connectors.Outlet, bool) error)}, nil
	})
	runCopyIfAsked()
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "shire-ingest-")
	if err != nil {
		slog.Error("no directory for the engine", "error", err)
		return 1
	}
	defer os.RemoveAll(dir)
	e, err := embedded.Start(context.Background(), embedded.Options{Dir: dir, Version: "1.0.0", Log: slog.New(slog.DiscardHandler),
		ClickHouse: embedded.ClickHouseOptions{Disabled: true}})
	if err != nil {
		slog.Error("the engine did not start", "error", err)
		return 1
	}
	defer e.Stop(context.Background())
	engine = e.NATS()
	return m.Run()
}

// scripted is a connector that does what a test says.
type scripted struct {
	settings connectors.Settings
	run      func(context.Context, connectors.Settings, connectors.Outlet, bool) error
}

func (s *scripted) Run(ctx context.Context, out connectors.Outlet, follow bool) error {
	return s.run(ctx, s.settings, out, follow)
}

var counties atomic.Int64

// open is the bus of a county that no other test has.
func open(t testing.TB) *bus.Bus {
	t.Helper()
	nc, err := nats.Connect(engine.URL, engine.InProcess()...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return openOn(t, nc)
}

func openOn(t testing.TB, nc *nats.Conn) *bus.Bus {
	t.Helper()
	b, err := bus.Open(t.Context(), nc, bus.Options{County: fmt.Sprintf("%06d", counties.Add(1)), Replicas: 1})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

var never = Limits{Rows: 1000, Bytes: 1 << 20, Linger: time.Hour}

// source runs a script as a source with the datasets a and b.
func source(t testing.TB, b *bus.Bus, limits Limits, script func(context.Context, connectors.Settings, connectors.Outlet, bool) error) *Source {
	t.Helper()
	set := contract.Set{}
	for _, name := range []string{"a", "b"} {
		set[name] = &contract.Dataset{Name: name, Department: "hall"}
	}
	s, err := NewSource(Options{Bus: b, Contracts: set, Limits: limits, Log: slog.New(slog.DiscardHandler),
		Config: county.Source{Name: "test", Kind: "scripted", Datasets: []string{"a", "b"}, With: map[string]any{"run": script}}})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func row(i int, values ...string) change.Change {
	return change.Change{Op: change.Create, Key: fmt.Sprint(i), Row: int64(i), Values: values, Position: change.Position(fmt.Sprint("p", i))}
}

// messages reads what is on a dataset's subject: batches, and the headers of each.
func messages(t testing.TB, b *bus.Bus, dataset string) (batches []*change.Batch, headers []nats.Header) {
	t.Helper()
	w, err := b.ChangesWriter(t.Context(), b.ChangesSubject("hall", dataset))
	if err != nil {
		t.Fatal(err)
	}
	last, _ := w.Last()
	if last == 0 {
		return nil, nil
	}
	r, err := b.ReadSubject(t.Context(), b.ChangesSubject("hall", dataset), 0)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for {
		msg, err := r.Next(t.Context(), 10*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		batch, err := change.Decode(msg.Data)
		if err != nil {
			t.Fatal(err)
		}
		batches, headers = append(batches, batch), append(headers, msg.Header)
		if msg.Sequence == last {
			return batches, headers
		}
	}
}

// shape is the keys of each message.
func shape(batches []*change.Batch) string {
	var parts []string
	for _, b := range batches {
		var keys []string
		for i := range b.Len() {
			keys = append(keys, b.Key(i))
		}
		parts = append(parts, strings.Join(keys, ","))
	}
	return strings.Join(parts, " ")
}

func TestPacking(t *testing.T) {
	value := strings.Repeat("x", 1000)
	for _, c := range []struct {
		name   string
		limits Limits
		script func(ctx context.Context, out connectors.Outlet) error
		want   string
	}{
		{"by rows", Limits{Rows: 3, Bytes: 1 << 20, Linger: time.Hour}, func(ctx context.Context, out connectors.Outlet) error {
			for i := range 7 {
				if err := out.Append(ctx, "a", "u", []string{"c"}, row(i, "v")); err != nil {
					return err
				}
			}
			return nil
		}, "0,1,2 3,4,5 6"},
		{"by bytes, before it is too much", Limits{Rows: 1000, Bytes: 3000, Linger: time.Hour}, func(ctx context.Context, out connectors.Outlet) error {
			for i := range 5 {
				if err := out.Append(ctx, "a", "u", []string{"c"}, row(i, value)); err != nil {
					return err
				}
			}
			return nil
		}, "0,1 2,3 4"},
		{"another unit", never, func(ctx context.Context, out connectors.Outlet) error {
			return errors.Join(out.Append(ctx, "a", "u1", []string{"c"}, row(0, "v")), out.Append(ctx, "a", "u1", []string{"c"}, row(1, "v")),
				out.Append(ctx, "a", "u2", []string{"c"}, row(2, "v")))
		}, "0,1 2"},
		{"other columns", never, func(ctx context.Context, out connectors.Outlet) error {
			return errors.Join(out.Append(ctx, "a", "u", []string{"c"}, row(0, "v")), out.Append(ctx, "a", "u", []string{"c"}, row(1, "v")),
				out.Append(ctx, "a", "u", []string{"d"}, row(2, "v")), out.Append(ctx, "a", "u", []string{"d", "e"}, row(3, "v", "w")))
		}, "0,1 2 3"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := open(t)
			s := source(t, b, c.limits, func(ctx context.Context, _ connectors.Settings, out connectors.Outlet, _ bool) error {
				return c.script(ctx, out)
			})
			n, err := s.Run(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			batches, headers := messages(t, b, "a")
			if got := shape(batches); got != c.want || int(n) != strings.Count(strings.ReplaceAll(got, " ", ","), ",")+1 {
				t.Fatalf("%d changes as %q, want %q", n, got, c.want)
			}
			for i, batch := range batches { // I2: the position travels with the data
				h := headers[i]
				if h.Get(bus.HeaderFirst) != "p"+batch.Key(0) || h.Get(bus.HeaderLast) != "p"+batch.Key(batch.Len()-1) || h.Get(bus.HeaderRows) != fmt.Sprint(batch.Len()) ||
					batch.Source != "test" || batch.Department != "hall" || batch.Dataset != "a" || h.Get(bus.HeaderCESpec) != "1.0" {
					t.Errorf("message %d: %v, %+v", i, h, batch)
				}
			}
		})
	}
}

func TestLinger(t *testing.T) {
	b := open(t)
	reader, err := b.ReadSubject(t.Context(), b.ChangesSubject("hall", "a"), 0)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	s := source(t, b, Limits{Rows: 1000, Bytes: 1 << 20, Linger: 5 * time.Millisecond}, func(ctx context.Context, _ connectors.Settings, out connectors.Outlet, _ bool) error {
		if err := out.Append(ctx, "a", "u", []string{"c"}, row(0, "v")); err != nil {
			return err
		}
		_, err := reader.Next(ctx, time.Minute) // neither full nor flushed, and yet it comes
		return err
	})
	if _, err := s.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestOversizeChangeIsSetAside(t *testing.T) {
	b := open(t)
	s := source(t, b, Limits{Rows: 1000, Bytes: 4 << 20, Linger: time.Hour}, func(ctx context.Context, _ connectors.Settings, out connectors.Outlet, _ bool) error {
		large := strings.Repeat("大", maxChange/3-100)
		return errors.Join(
			out.Append(ctx, "a", "u", []string{"c", "d"}, row(0, large)), // as large as may be
			out.Append(ctx, "a", "u", []string{"c", "d"}, row(1, large, "beyond"+strings.Repeat("d", 400))),
			out.Append(ctx, "a", "u", []string{"c", "d"}, row(2, large)))
	})
	if _, err := s.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	batches, headers := messages(t, b, "a")
	var ops []string
	for _, batch := range batches {
		for i := range batch.Len() {
			ops = append(ops, batch.Op(i).String())
			if batch.Op(i) == change.Malformed && (len(batch.Raw(i)) > 64<<10 || batch.Row(i) != 1 || !strings.Contains(batch.Problem(i), "bytes")) {
				t.Errorf("set aside with %d bytes: %q", len(batch.Raw(i)), batch.Problem(i))
			}
		}
	}
	if strings.Join(ops, " ") != "create malformed create" {
		t.Errorf("the changes are %q", ops)
	}
	if headers[len(headers)-1].Get(bus.HeaderLast) != "p2" {
		t.Error("the position did not move past it")
	}
}

func TestConnectorDefectsAreTold(t *testing.T) {
	b := open(t)
	for want, script := range map[string]func(context.Context, connectors.Settings, connectors.Outlet, bool) error{
		"county.yaml does not list": func(ctx context.Context, _ connectors.Settings, out connectors.Outlet, _ bool) error {
			return out.Append(ctx, "stranger", "u", nil, row(0))
		},
		"2 values for the 1 columns": func(ctx context.Context, _ connectors.Settings, out connectors.Outlet, _ bool) error {
			return out.Append(ctx, "a", "u", []string{"c"}, row(0, "v", "lost"))
		},
	} {
		s := source(t, b, never, script)
		if _, err := s.Run(t.Context()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
		if s.Status().State != "failed" {
			t.Errorf("the state is %q", s.Status().State)
		}
	}
}

// I1: nothing is safe before JetStream has said so.
func TestFlushWaitsForTheAcknowledgement(t *testing.T) {
	b, _, wire := openOverWire(t)
	s := source(t, b, never, func(ctx context.Context, _ connectors.Settings, out connectors.Outlet, _ bool) error {
		defer wire.hold(false) // also when it fails
		if err := errors.Join(out.Append(ctx, "a", "u", []string{"c"}, row(1, "v")), out.Flush(ctx)); err != nil {
			return err
		}
		if position, err := out.Resume(ctx, "a"); err != nil || position != "p1" || out.Safe("a") != "p1" {
			return fmt.Errorf("after Flush safe is %q, Resume says %q, %w", out.Safe("a"), position, err)
		}
		wire.hold(true)
		if err := out.Append(ctx, "a", "u", []string{"c"}, row(2, "v")); err != nil {
			return err
		}
		short, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
		defer cancel()
		if err := out.Flush(short); !errors.Is(err, context.DeadlineExceeded) {
			return fmt.Errorf("Flush without an acknowledgement: %w", err)
		}
		if got := out.Safe("a"); got != "p1" {
			return fmt.Errorf("without an acknowledgement safe is %q", got)
		}
		flushed := make(chan error, 1)
		go func() { flushed <- out.Flush(ctx) }()
		wire.hold(false)
		if err := <-flushed; err != nil {
			return err
		}
		if got := out.Safe("a"); got != "p2" {
			return fmt.Errorf("with the acknowledgement safe is %q", got)
		}
		return nil
	})
	if n, err := s.Run(t.Context()); err != nil || n != 2 {
		t.Fatalf("%d changes, %v", n, err)
	}
	if batches, _ := messages(t, b, "a"); shape(batches) != "1 2" {
		t.Errorf("on the bus: %q", shape(batches))
	}
}

func TestErrorOfTheBusReachesTheConnector(t *testing.T) {
	b, nc, _ := openOverWire(t)
	appended := 0
	s := source(t, b, Limits{Rows: 1, Bytes: 1 << 20, Linger: time.Hour}, func(ctx context.Context, _ connectors.Settings, out connectors.Outlet, _ bool) error {
		nc.Close()
		for {
			if err := out.Append(ctx, "a", "u", []string{"c"}, row(appended, "v")); err != nil {
				if flush := out.Flush(ctx); !errors.Is(flush, nats.ErrConnectionClosed) {
					t.Errorf("Flush after an error: %v", flush)
				}
				return err
			}
			appended++
		}
	})
	if _, err := s.Run(t.Context()); !errors.Is(err, nats.ErrConnectionClosed) {
		t.Fatalf("got %v", err)
	}
	if appended > 4 {
		t.Errorf("%d changes were taken by a bus that takes none (I10)", appended)
	}
}

// I10: a bus that does not take messages holds the connector back.
func TestFullBufferBlocksAndEndsWithItsContext(t *testing.T) {
	b, _, wire := openOverWire(t)
	ctx, cancel := context.WithCancel(t.Context())
	var appended atomic.Int64
	s := source(t, b, Limits{Rows: 1, Bytes: 1 << 20, Linger: time.Hour}, func(ctx context.Context, _ connectors.Settings, out connectors.Outlet, _ bool) error {
		if err := out.Shape(ctx, "a", []connectors.Column{{Name: "c"}}); err != nil { // else the first change waits to keep it
			return err
		}
		wire.hold(true)
		for i := 0; ; i++ {
			if i == 2 { // one is being published, one waits in the queue: the next append blocks
				time.AfterFunc(50*time.Millisecond, cancel)
			}
			if err := out.Append(ctx, "a", "u", []string{"c"}, row(i, "v")); err != nil {
				return err
			}
			appended.Add(1)
		}
	})
	if _, err := s.Run(ctx); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v", err)
	}
	if n := appended.Load(); n > 3 {
		t.Errorf("%d changes were taken by a bus that takes none", n)
	}
}

func TestResumeAndHistory(t *testing.T) {
	b := open(t)
	var resumed []change.Position
	var history []string
	var sequences []uint64
	s := source(t, b, Limits{Rows: 2, Bytes: 1 << 20, Linger: time.Hour}, func(ctx context.Context, _ connectors.Settings, out connectors.Outlet, _ bool) error {
		at, err := out.Resume(ctx, "a")
		if err != nil {
			return err
		}
		resumed = append(resumed, at, out.Safe("a"))
		history = nil
		after := uint64(0)
		if len(sequences) > 0 {
			after = sequences[0]
		}
		if err := out.History(ctx, "a", after, func(sequence uint64, batch *change.Batch) error {
			history, sequences = append(history, shape([]*change.Batch{batch})), append(sequences, sequence)
			return nil
		}); err != nil {
			return err
		}
		base := 10 * len(resumed)
		for i := range 3 {
			if err := out.Append(ctx, "a", "u", []string{"c"}, row(base+i, "v")); err != nil {
				return err
			}
		}
		return out.Append(ctx, "b", "u", []string{"c"}, row(0, "v"))
	})
	for range 3 {
		if _, err := s.Run(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if got := fmt.Sprint(resumed); got != "[  p22 p22 p42 p42]" {
		t.Errorf("resumed at %v", got)
	}
	if got := strings.Join(history, " "); got != "22 40,41 42" { // after the first message
		t.Errorf("history %q", got)
	}
	stop := errors.New("enough")
	s = source(t, b, never, func(ctx context.Context, _ connectors.Settings, out connectors.Outlet, _ bool) error {
		return out.History(ctx, "a", 0, func(uint64, *change.Batch) error { return stop })
	})
	if _, err := s.Run(t.Context()); !errors.Is(err, stop) {
		t.Errorf("got %v", err)
	}
}

// I2: a second copy of a source is fenced, though it says the very same, and whatever the leases say; then it goes on
// from what the other has written.
func TestSecondCopyIsFenced(t *testing.T) {
	b := open(t)
	ready, proceed := make(chan struct{}), make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	script := func(wait bool) func(context.Context, connectors.Settings, connectors.Outlet, bool) error {
		return func(ctx context.Context, _ connectors.Settings, out connectors.Outlet, _ bool) error {
			if at, err := out.Resume(ctx, "a"); err != nil || at != "" {
				cancel()
				return err // what there is to say stands on the bus
			}
			if wait {
				ready <- struct{}{}
				<-proceed
			}
			return errors.Join(out.Append(ctx, "a", "u", []string{"c"}, row(1, "the very same")), out.Flush(ctx))
		}
	}
	first, second := source(t, b, never, script(false)), source(t, b, never, script(true))
	second.config.Name = "another" // and so has another lease
	fenced := make(chan error, 1)
	go func() { fenced <- second.Follow(ctx) }()
	<-ready // the second stands at the subject's beginning
	if _, err := first.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	close(proceed)
	if err := <-fenced; err != nil {
		t.Fatalf("the second copy: %v", err)
	}
	if batches, _ := messages(t, b, "a"); shape(batches) != "1" {
		t.Errorf("on the bus: %q", shape(batches))
	}
}
