package ingest

import (
	"context"
	"errors"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/shirecounty/shire/connectors"
	"github.com/shirecounty/shire/pipeline/bus"
)

// stands is a script that works until its context ends, and says so.
func stands(working chan<- string, name string) func(context.Context, connectors.Settings, connectors.Outlet, bool) error {
	return func(ctx context.Context, _ connectors.Settings, _ connectors.Outlet, follow bool) error {
		working <- name
		if follow {
			<-ctx.Done()
		}
		return nil
	}
}

func waitFor(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s does not come", what)
		}
	}
}

// Two copies of a source: one works, the other waits and says for whom.
func TestTwoCopies(t *testing.T) {
	b := open(t)
	working := make(chan string, 10)
	first, second := source(t, b, never, stands(working, "first")), source(t, b, never, stands(working, "second"))
	first.length, second.length = 4*time.Second, 4*time.Second // a busy machine must not make it lose its lease
	stop, ended := follow(t, first)
	if got := <-working; got != "first" {
		t.Fatal(got)
	}
	stopSecond, secondEnded := follow(t, second)
	waitFor(t, "the waiting of the second", func() bool { return second.Status().State == "waiting" })
	host, _ := os.Hostname()
	if m := second.Status().Message; !strings.Contains(m, host) || !strings.Contains(m, strconv.Itoa(os.Getpid())) {
		t.Errorf("it waits for %q", m)
	}
	held := &bus.HeldError{}
	if _, err := second.Run(t.Context()); !errors.As(err, &held) || held.By.PID != os.Getpid() {
		t.Errorf("a bounded run beside another copy: %v", err)
	}
	// The first copy's own bounded runs do not give the second one its chance.
	for range 3 {
		if _, err := first.Run(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	waitFor(t, "the first again", func() bool { return first.Status().State == "running" })
	if s := second.Status().State; s == "running" {
		t.Error("both copies work")
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	waitFor(t, "the second", func() bool { return second.Status().State == "running" })
	stopSecond()
	if err := <-secondEnded; err != nil {
		t.Error(err)
	}
	if _, err := first.Run(t.Context()); err != nil {
		t.Errorf("after both ended: %v", err)
	}
}

func follow(t *testing.T, s *Source) (stop func(), ended chan error) {
	ctx, cancel := context.WithCancel(t.Context())
	ended = make(chan error, 1)
	go func() { ended <- s.Follow(ctx) }()
	return cancel, ended
}

// A lease that is lost while the source publishes ends the run; what was not safe is said by whoever resumes.
func TestLeaseLostWhilePublishing(t *testing.T) {
	b := open(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	const rows = 3000
	runs := 0
	s := source(t, b, Limits{Rows: 7, Bytes: 1 << 20, Linger: time.Millisecond}, func(ctx context.Context, _ connectors.Settings, out connectors.Outlet, _ bool) error {
		runs++
		at, err := out.Resume(ctx, "a")
		if err != nil {
			return err
		}
		from, _ := strconv.Atoi(strings.TrimPrefix(string(at), "p"))
		for i := from + 1; i <= rows; i++ {
			if runs == 1 && i == rows/3 {
				steal(t, b)
				<-ctx.Done() // the renewal finds out
			}
			if err := out.Append(ctx, "a", "u", []string{"c"}, row(i, "v")); err != nil {
				return err
			}
		}
		if err := out.Flush(ctx); err != nil {
			return err
		}
		cancel()
		return nil
	})
	s.length = 300 * time.Millisecond
	if err := s.Follow(ctx); err != nil || runs != 2 {
		t.Fatalf("%d runs, %v", runs, err)
	}
	said(t, b, rows)
}

// steal puts another holder into the lease, who is never seen again.
func steal(t *testing.T, b *bus.Bus) {
	t.Helper()
	kv := leases(t)
	key := strings.Split(b.LinksSubject(), ".")[1] + ".source.test"
	if _, err := kv.Put(t.Context(), key, []byte(`{"id": "another", "host": "elsewhere", "pid": 7, "length": 300000000}`)); err != nil {
		t.Error(err)
	}
}

// said fails the test unless exactly the rows 1 to n are on the bus, each once and in order.
func said(t *testing.T, b *bus.Bus, n int) {
	t.Helper()
	batches, _ := messages(t, b, "a")
	next := 1
	for _, batch := range batches {
		for i := range batch.Len() {
			if key := batch.Key(i); key != strconv.Itoa(next) {
				t.Fatalf("after row %d comes row %s: doubled, lost or out of order", next-1, key)
			}
			next++
		}
	}
	if next != n+1 {
		t.Fatalf("%d of %d rows are on the bus", next-1, n)
	}
}
