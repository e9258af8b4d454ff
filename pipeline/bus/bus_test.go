package bus_test

import (
	"bytes"
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
	"github.com/nats-io/nats.go/jetstream"

	"github.com/shirecounty/shire/deploy/embedded"
	"github.com/shirecounty/shire/pipeline/bus"
)

var engine *embedded.NATS

func TestMain(m *testing.M) {
	embedded.RunChildIfAsked()
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "shire-bus-")
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

func connect(t testing.TB) *nats.Conn {
	t.Helper()
	nc, err := nats.Connect(engine.URL, engine.InProcess()...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

var counties atomic.Int64

// open is the bus of a county that no other test has.
func open(t testing.TB) *bus.Bus {
	t.Helper()
	return openAs(t, fmt.Sprintf("%06d", counties.Add(1)))
}

func openAs(t testing.TB, county string) *bus.Bus {
	t.Helper()
	b, err := bus.Open(t.Context(), connect(t), bus.Options{County: county, Replicas: 1})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func writer(t testing.TB, b *bus.Bus, dataset string) *bus.Writer {
	t.Helper()
	w, err := b.ChangesWriter(t.Context(), b.ChangesSubject("hall", dataset))
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func at(position string) nats.Header {
	return nats.Header{bus.HeaderLast: {position}, bus.HeaderRows: {"3"}}
}

func publish(t testing.TB, w *bus.Writer, position string) uint64 {
	t.Helper()
	sequence, err := w.Publish(t.Context(), at(position), []byte(position))
	if err != nil {
		t.Fatal(err)
	}
	return sequence
}

func TestOpenTwiceIsOneBus(t *testing.T) {
	a, b := open(t), open(t)
	if a.ID() == "" || a.ID() != b.ID() {
		t.Errorf("ids %q and %q", a.ID(), b.ID())
	}
}

// I2: where a connector resumes is what its newest message says.
func TestWriterResumes(t *testing.T) {
	b := open(t)
	w := writer(t, b, "d")
	if sequence, header := w.Last(); sequence != 0 || header.Get(bus.HeaderLast) != "" {
		t.Fatalf("an empty subject stands at %d %v", sequence, header)
	}
	publish(t, w, "one")
	last := publish(t, w, `{"name":"十一月 .csv","row":2}`)
	sequence, header := writer(t, b, "d").Last()
	if sequence != last || header.Get(bus.HeaderLast) != `{"name":"十一月 .csv","row":2}` {
		t.Errorf("resumed at %d %v", sequence, header)
	}
	publish(t, writer(t, b, "d"), "three")
}

// I2: of two writers the second is refused, also when both say the very same.
func TestSecondWriterIsFenced(t *testing.T) {
	for name, position := range map[string]string{"same position": "p2", "other position": "p2'", "no position": ""} {
		t.Run(name, func(t *testing.T) {
			b := open(t)
			first, second := writer(t, b, "d"), writer(t, b, "d")
			publish(t, first, "p1")
			if err := second.Reload(t.Context()); err != nil {
				t.Fatal(err)
			}
			publish(t, first, "p2")
			for range 2 { // fenced, it stays fenced
				if _, err := second.Publish(t.Context(), at(position), []byte("p2")); !errors.Is(err, bus.ErrFenced) {
					t.Fatalf("the second writer: %v", err)
				}
			}
			publish(t, first, "p3")
			if sequence, _ := first.Last(); sequence == 0 {
				t.Fatal("the first writer lost its place")
			}
			reload := writer(t, b, "d")
			publish(t, reload, "p4")
			if _, err := first.Publish(t.Context(), at("p4"), nil); !errors.Is(err, bus.ErrFenced) {
				t.Fatalf("the first writer after another took over: %v", err)
			}
		})
	}
}

// deaf loses the acknowledgement of what it passes on, once.
type deaf struct {
	jetstream.JetStream
	lose *atomic.Bool
}

func (d deaf) PublishMsg(ctx context.Context, msg *nats.Msg, o ...jetstream.PublishOpt) (*jetstream.PubAck, error) {
	ack, err := d.JetStream.PublishMsg(ctx, msg, o...)
	if err == nil && d.lose.CompareAndSwap(true, false) {
		return nil, nats.ErrTimeout
	}
	return ack, err
}

func TestLostAcknowledgementIsRecognised(t *testing.T) {
	b := open(t)
	var lose atomic.Bool
	bus.Wrap(b, func(js jetstream.JetStream) jetstream.JetStream { return deaf{js, &lose} })
	w := writer(t, b, "d")
	first := publish(t, w, "p1")
	lose.Store(true)
	second := publish(t, w, "p2")
	third := publish(t, w, "p3")
	if second != first+1 || third != second+1 {
		t.Errorf("sequences %d, %d, %d: a message was published twice", first, second, third)
	}
	if lose.Load() {
		t.Fatal("no acknowledgement was lost")
	}
}

// A subject whose newest message has expired is not one that another process writes to.
func TestQuietSubjectIsNotFenced(t *testing.T) {
	b := open(t)
	w := writer(t, b, "quiet")
	publish(t, w, "p1")
	js, err := jetstream.New(connect(t))
	if err != nil {
		t.Fatal(err)
	}
	stream, err := js.Stream(t.Context(), bus.Changes)
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Purge(t.Context(), jetstream.WithPurgeSubject(b.ChangesSubject("hall", "quiet"))); err != nil {
		t.Fatal(err)
	}
	publish(t, w, "p2")
}

func TestPublishEndsWithItsContext(t *testing.T) {
	b := open(t)
	w := writer(t, b, "d")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := w.Publish(ctx, at("p"), nil); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if _, err := w.Publish(t.Context(), at("p"), make([]byte, 9<<20)); !errors.Is(err, nats.ErrMaxPayload) {
		t.Errorf("a message beyond every limit: %v", err)
	}
}

func TestReaderFollowsInOrder(t *testing.T) {
	b := open(t)
	w, other := writer(t, b, "a"), writer(t, b, "b")
	stranger := writer(t, open(t), "a") // of another county
	var want []uint64
	for i := range 50 {
		want = append(want, publish(t, w, fmt.Sprint("a", i)), publish(t, other, fmt.Sprint("b", i)))
		publish(t, stranger, "s")
	}
	read := func(from uint64, want []uint64) {
		t.Helper()
		r, err := b.Read(t.Context(), from)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		for i, sequence := range want {
			msg, err := r.Next(t.Context(), 10*time.Second)
			if err != nil {
				t.Fatal(err)
			}
			if msg.Sequence != sequence || string(msg.Data) != msg.Header.Get(bus.HeaderLast) || msg.Time.IsZero() {
				t.Fatalf("message %d of %d is %d with %q, want %d", i, len(want), msg.Sequence, msg.Data, sequence)
			}
		}
		if _, err := r.Next(t.Context(), 20*time.Millisecond); !errors.Is(err, bus.ErrIdle) {
			t.Fatalf("after the last message: %v", err)
		}
	}
	read(0, want)
	read(want[33], want[33:])
	read(want[33]+1, want[34:])

	r, err := b.ReadSubject(t.Context(), b.ChangesSubject("hall", "b"), want[2])
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if msg, err := r.Next(t.Context(), 10*time.Second); err != nil || msg.Sequence != want[3] {
		t.Fatalf("one subject alone: %v, %v", msg, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := r.Next(ctx, time.Minute); !errors.Is(err, context.Canceled) {
		t.Fatalf("with an ended context: %v", err)
	}
}

func TestReaderWaitsForWhatComes(t *testing.T) {
	b := open(t)
	r, err := b.Read(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	got := make(chan error, 1)
	go func() {
		_, err := r.Next(t.Context(), time.Minute)
		got <- err
	}()
	publish(t, writer(t, b, "d"), "p")
	if err := <-got; err != nil {
		t.Fatal(err)
	}
}

func TestGetAndPlace(t *testing.T) {
	b := open(t)
	sequence := publish(t, writer(t, b, "d"), "p")
	msg, err := b.Get(t.Context(), sequence)
	if err != nil || string(msg.Data) != "p" || msg.IsRetry() {
		t.Fatalf("%+v, %v", msg, err)
	}
	if department, dataset := bus.Place(msg.Subject); department != "hall" || dataset != "d" {
		t.Errorf("%s speaks of %q, %q", msg.Subject, department, dataset)
	}
	if department, dataset := bus.Place("changes.1.2"); department != "" || dataset != "" {
		t.Error("a strange subject speaks of something")
	}
	if _, err := b.Get(t.Context(), sequence+1_000_000); !errors.Is(err, bus.ErrExpired) {
		t.Errorf("a message that is not there: %v", err)
	}
	if !(&bus.Message{Subject: b.RetrySubject("hall", "d")}).IsRetry() {
		t.Error("a retry is none")
	}
}

func TestContracts(t *testing.T) {
	b := open(t)
	for range 2 {
		if err := b.PutContract(t.Context(), "abc1", "Asia/Shanghai", []byte("dataset: x\n")); err != nil {
			t.Fatal(err)
		}
	}
	zone, text, err := b.Contract(t.Context(), "abc1")
	if err != nil || zone != "Asia/Shanghai" || string(text) != "dataset: x\n" {
		t.Errorf("%q %q %v", zone, text, err)
	}
	if _, _, err := b.Contract(t.Context(), "none"); err == nil {
		t.Error("a contract that was never kept")
	}
}

func TestLag(t *testing.T) {
	b := open(t)
	through, err := b.LastSequence(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if lag, err := b.Lag(t.Context(), through); err != nil || lag != (bus.Lag{}) {
		t.Fatalf("nothing is behind: %+v, %v", lag, err)
	}
	w := writer(t, b, "d")
	for i := range 70 {
		publish(t, w, fmt.Sprint(i))
	}
	lag, err := b.Lag(t.Context(), through)
	if err != nil || lag.Messages != 70 || lag.Rows != 210 || lag.Oldest.IsZero() {
		t.Errorf("%+v, %v", lag, err)
	}
	last, _ := w.Last()
	if lag, err := b.Lag(t.Context(), last-1); err != nil || lag.Messages != 1 || lag.Rows != 3 {
		t.Errorf("%+v, %v", lag, err)
	}
}

func TestLedger(t *testing.T) {
	b := open(t)
	open := func(through uint64, pending ...uint64) *bus.Loads {
		t.Helper()
		l, gotThrough, gotPending, err := b.OpenLoads(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var lasts []uint64
		for _, r := range gotPending {
			lasts = append(lasts, r.Last)
		}
		if gotThrough != through || fmt.Sprint(lasts) != fmt.Sprint(pending) {
			t.Fatalf("through %d, pending %v; want %d, %v", gotThrough, lasts, through, pending)
		}
		if watched, err := b.LoadedThrough(t.Context()); err != nil || watched != through {
			t.Fatalf("a watcher sees %d, %v", watched, err)
		}
		return l
	}
	record := func(l *bus.Loads, first, last uint64) *bus.Range {
		t.Helper()
		r := &bus.Range{First: first, Last: last, Messages: 2, Rows: 7, Bytes: 70, Reason: "age", Contracts: map[string]string{"d": "abc"},
			Calendar: []int{2025, 2026}, Decisions: []byte{0, 255}}
		if err := l.Record(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		return r
	}
	// The process is killed at each step; the next one opens the ledger.
	l := open(0)
	first := record(l, 1, 5)
	l = open(0, 5)
	second := record(l, 6, 9)
	l = open(0, 5, 9)
	if err := l.Done(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	l = open(5, 9)
	if err := l.Done(t.Context(), second); err != nil {
		t.Fatal(err)
	}
	l = open(9)
	record(l, 10, 12)
	_, _, pending, err := b.OpenLoads(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	r := pending[0]
	if r.First != 10 || r.Last != 12 || r.Messages != 2 || r.Rows != 7 || r.Reason != "age" || r.Contracts["d"] != "abc" || fmt.Sprint(r.Calendar) != "[2025 2026]" || string(r.Decisions) != "\x00\xff" {
		t.Errorf("what was recorded comes back as %+v", r)
	}
	if err := l.Done(t.Context(), &r); err != nil {
		t.Fatal(err)
	}
	open(12)
}

// The ledger is the lease: the second of two that record is refused, also when both record the same range.
func TestSecondNormaliserIsFenced(t *testing.T) {
	b := open(t)
	first, _, _, err := b.OpenLoads(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	second, _, _, err := b.OpenLoads(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	r := bus.Range{First: 1, Last: 5}
	if err := first.Record(t.Context(), &r); err != nil {
		t.Fatal(err)
	}
	same := bus.Range{First: 1, Last: 5}
	if err := second.Record(t.Context(), &same); !errors.Is(err, bus.ErrFenced) {
		t.Fatalf("the second normaliser recorded: %v", err)
	}
	if err := first.Done(t.Context(), &r); err != nil {
		t.Fatal(err)
	}
	if err := second.Done(t.Context(), &r); !errors.Is(err, bus.ErrFenced) {
		t.Fatalf("the second normaliser finished: %v", err)
	}
}

// What was decided for a range may be far more than a message holds: a range of many mentions, or another model for the
// whole county. Still it is written down in one commit.
func TestDecisionsLargerThanAMessage(t *testing.T) {
	b := open(t)
	loads, _, _, err := b.OpenLoads(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	other, _, _, err := b.OpenLoads(t.Context()) // of a second normaliser
	if err != nil {
		t.Fatal(err)
	}
	decisions := func(n int, seed byte) []byte {
		out := make([]byte, n)
		for i := range out {
			out[i] = byte(i*i>>3) + seed
		}
		return out
	}
	sizes := []int{0, 100, 2 << 20, 2<<20 + 1, 8 << 20, 21<<20 + 5}
	for i, n := range sizes {
		r := &bus.Range{First: uint64(i + 1), Last: uint64(i + 1), Decisions: decisions(n, byte(i))}
		if err := loads.Record(t.Context(), r); err != nil {
			t.Fatalf("%d bytes: %v", n, err)
		}
		if len(r.Decisions) != n {
			t.Fatalf("the range lost its decisions when it was recorded")
		}
	}
	// The other one writes its parts and then is refused, and whoever comes next does not see them.
	if err := other.Record(t.Context(), &bus.Range{First: 1, Last: 1, Decisions: decisions(5<<20, 99)}); !errors.Is(err, bus.ErrFenced) {
		t.Fatalf("the second normaliser recorded: %v", err)
	}
	same := func(what string, i int, r *bus.Range) {
		t.Helper()
		if r.First != uint64(i+1) || !bytes.Equal(r.Decisions, decisions(sizes[i], byte(i))) {
			t.Errorf("%s: the decisions of range %d came back otherwise: %d bytes of %d", what, i, len(r.Decisions), sizes[i])
		}
	}
	again, _, pending, err := b.OpenLoads(t.Context())
	if err != nil || len(pending) != len(sizes) {
		t.Fatalf("%d ranges are not finished, %v", len(pending), err)
	}
	i := 0
	if err := again.Each(t.Context(), 0, uint64(len(sizes)), func(r *bus.Range) error {
		same("in order", i, r)
		same("after a restart", i, &pending[i])
		i++
		return nil
	}); err != nil || i != len(sizes) {
		t.Fatalf("%d ranges, %v", i, err)
	}
	// A part that the ledger lost is told, and nothing is taken for all.
	if len(pending[5].Parts) < 5 {
		t.Fatalf("%d bytes stand in %d parts", sizes[5], len(pending[5].Parts))
	}
	js, err := jetstream.New(connect(t))
	if err != nil {
		t.Fatal(err)
	}
	ledger, err := js.Stream(t.Context(), bus.Ledger)
	if err != nil {
		t.Fatal(err)
	}
	if err := ledger.DeleteMsg(t.Context(), pending[5].Parts[2]); err != nil {
		t.Fatal(err)
	}
	if _, _, _, err := b.OpenLoads(t.Context()); !errors.Is(err, bus.ErrExpired) || !strings.Contains(err.Error(), "belongs to entry") {
		t.Errorf("a part is gone: %v", err)
	}
}

func TestQuarantineReader(t *testing.T) {
	b := open(t)
	subject := b.QuarantineSubject("hall", "d")
	w, err := b.QuarantineWriter(t.Context(), subject)
	if err != nil {
		t.Fatal(err)
	}
	publish(t, w, "q1")
	publish(t, w, "q2")
	r, err := b.ReadQuarantine(t.Context(), subject, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for _, want := range []string{"q1", "q2"} {
		if msg, err := r.Next(t.Context(), 10*time.Second); err != nil || string(msg.Data) != want {
			t.Fatalf("%v, %v, want %s", msg, err, want)
		}
	}
}
