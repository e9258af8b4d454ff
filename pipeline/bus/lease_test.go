package bus_test

import (
	"context"
	"errors"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/shirecounty/shire/pipeline/bus"
)

// A lease that is to expire is short; one that is to hold is not, because a busy machine may renew it late.
const (
	length = 300 * time.Millisecond
	long   = 3 * time.Second
)

func take(t testing.TB, b *bus.Bus, name string, length time.Duration) *bus.Lease {
	t.Helper()
	l, err := b.TakeLease(t.Context(), name, length)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestLeaseIsHeldRenewedAndReleased(t *testing.T) {
	b := open(t)
	first := take(t, b, "source.a", long)
	held := &bus.HeldError{}
	if _, err := b.TakeLease(t.Context(), "source.a", long); !errors.As(err, &held) {
		t.Fatalf("taken twice: %v", err)
	}
	if held.By.PID != os.Getpid() || held.By.Host == "" || held.By.Since.IsZero() || !strings.Contains(held.Error(), held.By.Host) {
		t.Errorf("the holder is %+v: %v", held.By, held)
	}
	take(t, b, "source.b", long).Release() // another name is another lease
	take(t, openAs(t, "999999"), "source.a", long).Release()

	waits := make(chan bus.Holder, 9)
	got := make(chan *bus.Lease, 1)
	go func() {
		l, err := b.WaitLease(t.Context(), "source.a", long, func(h bus.Holder) { waits <- h })
		if err != nil {
			t.Error(err)
		}
		got <- l
	}()
	if h := <-waits; h.ID != held.By.ID {
		t.Errorf("it waits for %+v", h)
	}
	select {
	case <-got:
		t.Fatal("a lease that is renewed was taken")
	case <-time.After(long + long/2):
	}
	first.Release()
	second := <-got
	if h, err := b.LeaseHolder(t.Context(), "source.a"); err != nil || h == nil || h.ID == held.By.ID {
		t.Errorf("%+v, %v", h, err)
	}
	second.Release()
	if h, err := b.LeaseHolder(t.Context(), "source.a"); err != nil || h != nil {
		t.Errorf("a released lease is held by %+v, %v", h, err)
	}
	if len(waits) != 0 {
		t.Error("the same holder was told twice")
	}
}

// A holder that is gone without a word renews nothing: its lease is taken, by one of those who want it.
func TestLeaseOfTheDeadExpires(t *testing.T) {
	b := open(t)
	dead := connect(t)
	d, err := bus.Open(t.Context(), dead, bus.Options{County: countyOf(b), Replicas: 1})
	if err != nil {
		t.Fatal(err)
	}
	l := take(t, d, "source.a", length)
	dead.Close() // as kill -9 does
	taken := make(chan *bus.Lease, 5)
	var others sync.WaitGroup
	for range 5 {
		others.Go(func() {
			l, err := b.TakeLease(t.Context(), "source.a", long)
			if err == nil {
				taken <- l
			} else if held := (&bus.HeldError{}); !errors.As(err, &held) {
				t.Error(err)
			}
		})
	}
	others.Wait()
	if len(taken) != 1 {
		t.Fatalf("%d processes took the lease", len(taken))
	}
	(<-taken).Release()
	if err := l.Err(); err != nil {
		t.Errorf("who cannot ask cannot know: %v", err)
	}
}

// Whoever was held up for too long finds out that another took over, and stops.
func TestLeaseIsLost(t *testing.T) {
	b := open(t)
	l := take(t, b, "source.a", length)
	ctx, cancel := l.During(t.Context())
	defer cancel()
	// What a waiter does that saw no renewal.
	bucket := leases(t)
	key := countyOf(b) + ".source.a"
	if _, err := bucket.Put(t.Context(), key, []byte(`{"id": "another", "host": "elsewhere", "pid": 7, "length": 60000000000}`)); err != nil {
		t.Fatal(err)
	}
	<-ctx.Done()
	if cause := context.Cause(ctx); !errors.Is(cause, bus.ErrLeaseLost) || !strings.Contains(cause.Error(), "process 7 on elsewhere") || !errors.Is(l.Err(), bus.ErrLeaseLost) {
		t.Errorf("%v; %v", cause, l.Err())
	}
	l.Release()
	if h, err := b.LeaseHolder(t.Context(), "source.a"); err != nil || h == nil || h.ID != "another" {
		t.Errorf("releasing a lost lease took it from its holder: %+v, %v", h, err)
	}
}

// A bus that was started anew has forgotten the leases; their holders write them again.
func TestLeaseOutlivesItsBucket(t *testing.T) {
	b := open(t)
	l := take(t, b, "source.a", length)
	defer l.Release()
	if err := stream(t).DeleteKeyValue(t.Context(), "LEASES"); err != nil {
		t.Fatal(err)
	}
	for {
		h, err := b.LeaseHolder(t.Context(), "source.a")
		if err != nil {
			t.Fatal(err)
		}
		if h != nil {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if err := l.Err(); err != nil {
		t.Error(err)
	}
	// What nobody can read expires like any other.
	if _, err := leases(t).Put(t.Context(), countyOf(b)+".source.b", []byte("?")); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	if _, err := b.WaitLease(ctx, "source.b", length, func(bus.Holder) { cancel() }); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func countyOf(b *bus.Bus) string { return strings.Split(b.LinksSubject(), ".")[1] }

func stream(t testing.TB) jetstream.JetStream {
	t.Helper()
	js, err := jetstream.New(connect(t))
	if err != nil {
		t.Fatal(err)
	}
	return js
}

func leases(t testing.TB) jetstream.KeyValue {
	t.Helper()
	kv, err := stream(t).KeyValue(t.Context(), "LEASES")
	if err != nil {
		t.Fatal(err)
	}
	return kv
}
