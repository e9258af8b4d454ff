package jobs_test

import (
	"context"
	"flag"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"pgregory.net/rapid"

	"github.com/shirecounty/shire/jobs"
	"github.com/shirecounty/shire/jobs/ledger"
)

// bridge is a ledger on a real JetStream for schedulers whose time is simulated. The server and its client live outside the
// simulation, where nothing may wait for the simulated clock and nothing of it may be touched: every call crosses over to a
// goroutine there. While it is there, simulated time stands still; and a watcher is woken by a write alone, and then waits
// for the server to tell it. So nothing in a history depends on how quick the server is.
type bridge struct {
	jobs.Ledger
	newest func(key string) (uint64, error) // revision of an entry or of the marker that it was deleted
	idle   chan *helper

	mu       sync.Mutex
	watchers map[*watcher]bool
}

// helper is a goroutine outside.
type helper struct {
	do   chan func(context.Context)
	done chan struct{}
}

type watcher struct {
	told  chan jobs.Entry // from outside
	woken chan struct{}
	until uint64 // revision that has to be told; guarded by bridge.mu
}

const (
	helpers = 16
	within  = 2 * time.Minute // bounds each call; no measure
)

func newBridge(t *testing.T, nc *nats.Conn, county string) *bridge {
	t.Helper()
	l, err := ledger.Open(t.Context(), nc, ledger.Options{County: county, Replicas: 1})
	if err != nil {
		t.Fatal(err)
	}
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	stream, err := js.Stream(t.Context(), "KV_"+ledger.Bucket)
	if err != nil {
		t.Fatal(err)
	}
	b := &bridge{Ledger: l, idle: make(chan *helper, helpers), watchers: map[*watcher]bool{}, newest: func(key string) (uint64, error) {
		msg, err := stream.GetLastMsgForSubject(t.Context(), "$KV."+ledger.Bucket+"."+county+"."+key)
		if err != nil {
			return 0, err
		}
		return msg.Sequence, nil
	}}
	for range helpers {
		h := &helper{do: make(chan func(context.Context)), done: make(chan struct{})}
		b.idle <- h
		go func() {
			for fn := range h.do {
				ctx, cancel := context.WithTimeout(context.Background(), within)
				fn(ctx)
				cancel()
				h.done <- struct{}{}
			}
		}()
	}
	t.Cleanup(func() {
		for range helpers {
			close((<-b.idle).do)
		}
	})
	return b
}

// outside does something outside and waits for it.
func (b *bridge) outside(fn func(context.Context)) {
	h := <-b.idle
	h.do <- fn
	<-h.done
	b.idle <- h
}

// written has the watchers wait for a revision.
func (b *bridge) written(revision uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for w := range b.watchers {
		w.until = max(w.until, revision)
		select {
		case w.woken <- struct{}{}:
		default:
		}
	}
}

func (b *bridge) Get(_ context.Context, key string) (e jobs.Entry, err error) {
	b.outside(func(ctx context.Context) { e, err = b.Ledger.Get(ctx, key) })
	return e, err
}

func (b *bridge) Put(ctx context.Context, key string, value []byte, revision uint64) (written uint64, err error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	b.outside(func(ctx context.Context) { written, err = b.Ledger.Put(ctx, key, value, revision) })
	if err == nil {
		b.written(written)
	}
	return written, err
}

func (b *bridge) Delete(_ context.Context, key string) (err error) {
	var revision uint64
	b.outside(func(ctx context.Context) {
		if err = b.Ledger.Delete(ctx, key); err == nil {
			revision, err = b.newest(key)
		}
	})
	b.written(revision)
	return err
}

func (b *bridge) Watch(ctx context.Context, fn func(jobs.Entry)) error {
	w := &watcher{woken: make(chan struct{}, 1)}
	b.mu.Lock()
	b.watchers[w] = true
	b.mu.Unlock()
	var stop context.CancelFunc
	var failed error
	b.outside(func(context.Context) {
		told, ended := make(chan jobs.Entry), make(chan struct{})
		watching, cancel := context.WithCancel(context.Background())
		go func() {
			defer close(ended)
			failed = b.Ledger.Watch(watching, func(e jobs.Entry) {
				select {
				case told <- e:
				case <-watching.Done():
				}
			})
			close(told)
		}()
		w.told, stop = told, func() { cancel(); <-ended }
	})
	defer stop()
	defer func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		delete(b.watchers, w)
	}()
	seen := uint64(0)
	hear := func() (e jobs.Entry, ok bool) {
		if e, ok = <-w.told; ok {
			seen = max(seen, e.Revision)
			fn(e)
		}
		return e, ok
	}
	for ctx.Err() == nil { // what is there at first
		if e, ok := hear(); !ok {
			return failed
		} else if e.Key == "" {
			break
		}
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-w.woken:
		}
		b.mu.Lock()
		until := w.until
		b.mu.Unlock()
		for seen < until {
			if _, ok := hear(); !ok {
				return failed
			}
		}
	}
}

func (b *bridge) Report(ctx context.Context, r jobs.Run) (err error) {
	if err := ctx.Err(); err != nil {
		return err
	}
	b.outside(func(ctx context.Context) { err = b.Ledger.Report(ctx, r) })
	return err
}

func (b *bridge) Last(_ context.Context, job, id string) (r *jobs.Run, err error) {
	b.outside(func(ctx context.Context) { r, err = b.Ledger.Last(ctx, job, id) })
	return r, err
}

func (b *bridge) Runs(_ context.Context, job string, most int) (list []jobs.Run, err error) {
	b.outside(func(ctx context.Context) { list, err = b.Ledger.Runs(ctx, job, most) })
	return list, err
}

func (b *bridge) Append(ctx context.Context, job, id string, lines []jobs.Line) (err error) {
	b.outside(func(ctx context.Context) { err = b.Ledger.Append(ctx, job, id, lines) })
	return err
}

// The same histories as on the ledger in memory, on the real one. Processes are silent for long before they are taken for
// dead, because each sign of life is a write to the server's disk.
func TestHistoriesOnJetStream(t *testing.T) {
	const histories, lease = "24", 20 * time.Minute
	checks := flag.Lookup("rapid.checks")
	if checks.Value.String() == checks.DefValue { // a person who asks for more gets them
		if err := checks.Value.Set(histories); err != nil {
			t.Fatal(err)
		}
		defer checks.Value.Set(checks.DefValue)
	}
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, JetStream: true, StoreDir: t.TempDir(), NoLog: true, NoSigs: true})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	defer func() { s.Shutdown(); s.WaitForShutdown() }()
	if !s.ReadyForConnections(within) {
		t.Fatal("the NATS server did not start")
	}
	nc, err := nats.Connect(s.ClientURL())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	counties := 0
	rapid.Check(t, func(rt *rapid.T) {
		s := drawStory(rt, 5)
		counties++
		b := newBridge(t, nc, fmt.Sprintf("%06d", counties))
		var problem error
		synctest.Test(t, func(t *testing.T) { problem = history(t, s, b, lease) })
		if problem != nil {
			rt.Fatalf("%s\n%v", s, problem)
		}
	})
}
