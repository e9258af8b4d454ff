package bus_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/shirecounty/shire/deploy/embedded"
	"github.com/shirecounty/shire/pipeline/bus"
)

// another is a server of the test's own.
func another(t *testing.T) *nats.Conn {
	t.Helper()
	e, err := embedded.Start(t.Context(), embedded.Options{Dir: t.TempDir(), Version: "1.0.0", Log: slog.New(slog.DiscardHandler),
		ClickHouse: embedded.ClickHouseOptions{Disabled: true}})
	if err != nil {
		t.Fatal(err)
	}
	nc, err := nats.Connect(e.NATS().URL, e.NATS().InProcess()...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		nc.Close()
		if err := e.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return nc
}

func into(b *bytes.Buffer) func() (io.Writer, error) {
	return func() (io.Writer, error) { b.Reset(); return b, nil }
}

// A stream comes back with every message at its place and of its time, gaps and an emptied beginning included, and with
// nothing of what was published after its snapshot began.
func TestSnapshot(t *testing.T) {
	from, to := another(t), another(t)
	options := bus.Options{County: "330001", Replicas: 1}
	b, err := bus.Open(t.Context(), from, options)
	if err != nil {
		t.Fatal(err)
	}
	js, err := jetstream.New(from)
	if err != nil {
		t.Fatal(err)
	}
	w := writer(t, b, "cases")
	for i := range 300 {
		if _, err := w.Publish(t.Context(), nats.Header{"N": {fmt.Sprint(i)}}, bytes.Repeat([]byte{byte(i)}, 5000)); err != nil {
			t.Fatal(err)
		}
	}
	changes, err := js.Stream(t.Context(), bus.Changes)
	if err != nil {
		t.Fatal(err)
	}
	if err := changes.Purge(t.Context(), jetstream.WithPurgeSequence(11)); err != nil {
		t.Fatal(err)
	}
	for _, gone := range []uint64{40, 41, 42, 290} {
		if err := changes.DeleteMsg(t.Context(), gone); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.PutContract(t.Context(), "h", "Asia/Shanghai", []byte("text")); err != nil {
		t.Fatal(err)
	}

	quit := make(chan struct{})
	var others sync.WaitGroup
	others.Go(func() { // somebody goes on writing meanwhile
		for {
			select {
			case <-quit:
				return
			default:
			}
			if _, err := w.Publish(context.Background(), nats.Header{}, []byte("later")); err != nil {
				t.Error(err)
				return
			}
		}
	})
	names, err := b.Streams(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got, want := strings.Join(names, " "), "QUARANTINE IDENTITY LEDGER CHANGES KV_CONTRACTS KV_SHAPES"; got != want {
		t.Errorf("the streams are taken as %s, want %s", got, want)
	}
	taken := map[string]*bus.Snapshot{}
	data := map[string]*bytes.Buffer{}
	for _, name := range names {
		data[name] = &bytes.Buffer{}
		if taken[name], err = b.TakeSnapshot(t.Context(), name, into(data[name])); err != nil {
			t.Fatal(err)
		}
	}
	close(quit)
	others.Wait()
	for _, name := range names {
		if err := bus.PutSnapshot(t.Context(), to, taken[name], 1, data[name]); err != nil {
			t.Fatal(err)
		}
	}
	restored, err := bus.Open(t.Context(), to, options)
	if err != nil {
		t.Fatal(err)
	}
	if restored.ID() != b.ID() || b.ID() == "" {
		t.Errorf("the bus %q came back as %q", b.ID(), restored.ID())
	}
	if _, text, err := restored.Contract(t.Context(), "h"); err != nil || string(text) != "text" {
		t.Errorf("the contract is %q, %v", text, err)
	}
	kept, err := restored.Kept(t.Context())
	if err != nil || kept.First != 11 || kept.Last != taken[bus.Changes].Last {
		t.Errorf("it keeps %+v of %+v, %v", kept, taken[bus.Changes], err)
	}
	for seq := uint64(1); seq <= kept.Last; seq++ {
		want, wantErr := b.Get(t.Context(), seq)
		got, gotErr := restored.Get(t.Context(), seq)
		if !errors.Is(gotErr, wantErr) {
			t.Fatalf("message %d: %v, want %v", seq, gotErr, wantErr)
		}
		if wantErr == nil && (got.Subject != want.Subject || !got.Time.Equal(want.Time) || !bytes.Equal(got.Data, want.Data) || got.Header.Get("N") != want.Header.Get("N")) {
			t.Fatalf("message %d came back as %v of %v", seq, got, want)
		}
	}
	if again, _ := restored.Get(t.Context(), kept.Last+1); again != nil {
		t.Error("there is a message from after the snapshot")
	}
	// The next message takes the next place, not one that was given before.
	next, err := restored.ChangesWriter(t.Context(), restored.ChangesSubject("hall", "cases"))
	if err != nil {
		t.Fatal(err)
	}
	if seq, err := next.Publish(t.Context(), nats.Header{}, nil); err != nil || seq != kept.Last+1 {
		t.Errorf("the next message is number %d, want %d: %v", seq, kept.Last+1, err)
	}
	if err := bus.PutSnapshot(t.Context(), to, taken[bus.Ledger], 1, bytes.NewReader(nil)); err == nil {
		t.Error("a stream that exists was restored over")
	}
}

// A snapshot that ends early, or that somebody changed, makes no stream.
func TestDamagedSnapshotIsRefused(t *testing.T) {
	from, to := another(t), another(t)
	b, err := bus.Open(t.Context(), from, bus.Options{County: "330001", Replicas: 1})
	if err != nil {
		t.Fatal(err)
	}
	w := writer(t, b, "cases")
	for range 50 {
		if _, err := w.Publish(t.Context(), nats.Header{}, make([]byte, 1000)); err != nil {
			t.Fatal(err)
		}
	}
	var data bytes.Buffer
	s, err := b.TakeSnapshot(t.Context(), bus.Changes, into(&data))
	if err != nil {
		t.Fatal(err)
	}
	for _, cut := range []int{0, 1, data.Len() / 2, data.Len() - 1} {
		if err := bus.PutSnapshot(t.Context(), to, s, 1, bytes.NewReader(data.Bytes()[:cut])); err == nil {
			t.Errorf("%d of %d bytes made a stream", cut, data.Len())
		}
		if err := bus.DropStream(t.Context(), to, bus.Changes); err != nil {
			t.Fatal(err)
		}
	}
}

// No value is missing from the snapshot of a bucket that is written while it is taken: a value that is replaced is
// removed at its old place, which the snapshot may not have come to.
func TestSnapshotOfABusyBucket(t *testing.T) {
	from, to := another(t), another(t)
	b, err := bus.Open(t.Context(), from, bus.Options{County: "330001", Replicas: 1})
	if err != nil {
		t.Fatal(err)
	}
	js, err := jetstream.New(from)
	if err != nil {
		t.Fatal(err)
	}
	kv, err := js.CreateKeyValue(t.Context(), jetstream.KeyValueConfig{Bucket: "RUNS"})
	if err != nil {
		t.Fatal(err)
	}
	const keys = 3000
	for i := range keys {
		if _, err := kv.Put(t.Context(), fmt.Sprint("k", i), bytes.Repeat([]byte("x"), 500)); err != nil {
			t.Fatal(err)
		}
	}
	quit := make(chan struct{})
	var busy sync.WaitGroup
	var begun atomic.Int64
	busy.Go(func() {
		for i := keys - 1; ; i-- {
			select {
			case <-quit:
				return
			default:
			}
			if begun.Load() > 3 {
				return // a moment of rest, in which the snapshot can be had
			}
			if _, err := kv.Put(context.Background(), fmt.Sprint("k", (i%keys+keys)%keys), []byte("new")); err != nil {
				t.Error(err)
				return
			}
		}
	})
	var data bytes.Buffer
	s, err := b.TakeSnapshot(t.Context(), "KV_RUNS", func() (io.Writer, error) {
		begun.Add(1)
		return into(&data)()
	})
	close(quit)
	busy.Wait()
	if err != nil {
		t.Fatal(err)
	}
	if err := bus.PutSnapshot(t.Context(), to, s, 1, &data); err != nil {
		t.Fatal(err)
	}
	there, err := jetstream.New(to)
	if err != nil {
		t.Fatal(err)
	}
	back, err := there.KeyValue(t.Context(), "RUNS")
	if err != nil {
		t.Fatal(err)
	}
	list, err := back.Keys(t.Context())
	if err != nil || len(list) != keys {
		t.Errorf("%d keys came back of %d: %v", len(list), keys, err)
	}
}

// The ledger goes back to where a warehouse is, and every range that was recorded since is to be loaded again.
func TestRewind(t *testing.T) {
	b := open(t)
	loads, _, _, err := b.OpenLoads(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var marks []bus.Mark
	for i := range uint64(5) {
		m, err := b.Done(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		marks = append(marks, m)
		r := &bus.Range{First: 10*i + 1, Last: 10*i + 10}
		if err := loads.Record(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		if err := loads.Done(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	for i, m := range slices.Backward(marks) {
		if err := b.Rewind(t.Context(), m); err != nil {
			t.Fatal(err)
		}
		_, through, pending, err := b.OpenLoads(t.Context())
		if err != nil || through != 10*uint64(i) || len(pending) != 5-i || pending[0].First != 10*uint64(i)+1 {
			t.Errorf("rewound to %+v: through %d, %d ranges pending, %v", m, through, len(pending), err)
		}
	}
	if err := b.Rewind(t.Context(), bus.Mark{Through: 99, Entry: 9}); err == nil {
		t.Error("the ledger was put forward")
	}
}
