package ledger_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/shirecounty/shire/jobs"
	"github.com/shirecounty/shire/jobs/ledger"
)

// patience bounds every wait of a test. It is no measure: a test that waits so long hangs.
const patience = 2 * time.Minute

var natsURL string

func TestMain(m *testing.M) {
	if url := os.Getenv(processOf); url != "" {
		os.Exit(runProcess(url))
	}
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "shire-ledger-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: -1, JetStream: true, StoreDir: dir, NoLog: true, NoSigs: true})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	s.Start()
	defer s.Shutdown()
	if !s.ReadyForConnections(patience) {
		fmt.Fprintln(os.Stderr, "the NATS server did not start")
		return 1
	}
	natsURL = s.ClientURL()
	return m.Run()
}

var counties atomic.Int64

func newCounty() string { return fmt.Sprintf("%06d", counties.Add(1)) }

func connect(t testing.TB) *nats.Conn {
	t.Helper()
	nc, err := nats.Connect(natsURL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

func open(t testing.TB, county string) *ledger.Ledger {
	t.Helper()
	l, err := ledger.Open(t.Context(), connect(t), ledger.Options{County: county, Replicas: 1})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// Whoever has read leaves nothing on the server, which bears with a thousand readers of a stream.
func TestReadersAreGone(t *testing.T) {
	county := newCounty()
	l := open(t, county)
	if err := l.Report(t.Context(), jobs.Run{ID: "a@1", Job: "a", Outcome: jobs.OK, Event: 1}); err != nil {
		t.Fatal(err)
	}
	if err := l.Append(t.Context(), "a", "a@1", []jobs.Line{{Text: "x"}}); err != nil {
		t.Fatal(err)
	}
	js, err := jetstream.New(connect(t))
	if err != nil {
		t.Fatal(err)
	}
	for name, read := range map[string]func() error{
		ledger.Runs: func() error { _, err := l.Runs(t.Context(), "a", 10); return err },
		ledger.Output: func() error {
			return l.Lines(t.Context(), "a", "a@1", false, func(jobs.Line) error { return nil })
		},
	} {
		s, err := js.Stream(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		before := s.CachedInfo().State.Consumers
		for range 10 {
			if err := read(); err != nil {
				t.Fatal(err)
			}
		}
		if info, err := s.Info(t.Context()); err != nil || info.State.Consumers > before {
			t.Errorf("%s had %d readers and has %d, %v", name, before, info.State.Consumers, err)
		}
	}
}

// every ledger has to do the same.
func each(t *testing.T, test func(t *testing.T, l jobs.Ledger)) {
	t.Run("memory", func(t *testing.T) { test(t, &ledger.Memory{}) })
	t.Run("JetStream", func(t *testing.T) {
		county := newCounty()
		// What another county writes is no concern of this one.
		other := open(t, "9"+county)
		for _, key := range []string{"job.a", "node.x"} {
			if _, err := other.Put(t.Context(), key, []byte("other"), 0); err != nil {
				t.Fatal(err)
			}
		}
		if err := other.Report(t.Context(), jobs.Run{ID: "a@1", Job: "a", Event: 9}); err != nil {
			t.Fatal(err)
		}
		test(t, open(t, county))
	})
}

func TestEntriesAreComparedAndSet(t *testing.T) {
	each(t, func(t *testing.T, l jobs.Ledger) {
		ctx := t.Context()
		if e, err := l.Get(ctx, "job.a"); err != nil || e.Revision != 0 || e.Value != nil {
			t.Fatalf("%+v, %v", e, err)
		}
		first, err := l.Put(ctx, "job.a", []byte("1"), 0)
		if err != nil || first == 0 {
			t.Fatal(first, err)
		}
		if _, err := l.Put(ctx, "job.a", []byte("x"), 0); !errors.Is(err, jobs.ErrConflict) {
			t.Errorf("written over: %v", err)
		}
		second, err := l.Put(ctx, "job.a", []byte("2"), first)
		if err != nil || second <= first {
			t.Fatal(second, err)
		}
		if _, err := l.Put(ctx, "job.a", []byte("x"), first); !errors.Is(err, jobs.ErrConflict) {
			t.Errorf("written over: %v", err)
		}
		if e, err := l.Get(ctx, "job.a"); err != nil || string(e.Value) != "2" || e.Revision != second {
			t.Errorf("%+v, %v", e, err)
		}
		if err := l.Delete(ctx, "job.a"); err != nil {
			t.Fatal(err)
		}
		if e, err := l.Get(ctx, "job.a"); err != nil || e.Revision != 0 {
			t.Errorf("%+v, %v", e, err)
		}
		if third, err := l.Put(ctx, "job.a", []byte("3"), 0); err != nil || third <= second {
			t.Errorf("after the removal: %d, %v", third, err)
		}
	})
}

func TestWatchTellsAllAndThenEveryChange(t *testing.T) {
	each(t, func(t *testing.T, l jobs.Ledger) {
		put := func(key, value string, at uint64) uint64 {
			t.Helper()
			r, err := l.Put(t.Context(), key, []byte(value), at)
			if err != nil {
				t.Fatal(err)
			}
			return r
		}
		first := put("job.a", "1", 0)
		put("job.b", "1", 0)
		ctx, stop := context.WithCancel(t.Context())
		told := make(chan jobs.Entry, 100)
		ended := make(chan error, 1)
		go func() { ended <- l.Watch(ctx, func(e jobs.Entry) { told <- e }) }()
		next := func() string {
			t.Helper()
			select {
			case e := <-told:
				return e.Key + "=" + string(e.Value)
			case <-time.After(patience):
				t.Fatal("nothing is told")
				return ""
			}
		}
		before := []string{next(), next()}
		slices.Sort(before)
		if got := strings.Join(before, " ") + " " + next(); got != "job.a=1 job.b=1 =" {
			t.Fatalf("at first: %q", got)
		}
		put("job.a", "2", first)
		if got := next(); got != "job.a=2" {
			t.Errorf("a change: %q", got)
		}
		if err := l.Delete(t.Context(), "job.b"); err != nil {
			t.Fatal(err)
		}
		if got := next(); got != "job.b=" {
			t.Errorf("a removal: %q", got)
		}
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

func TestHistoryKeepsTheNewestReport(t *testing.T) {
	each(t, func(t *testing.T, l jobs.Ledger) {
		ctx := t.Context()
		due := time.Date(2026, 11, 23, 2, 30, 0, 0, time.FixedZone("", 8*3600))
		report := func(job string, day int, event uint64, outcome string) jobs.Run {
			at := due.AddDate(0, 0, day)
			return jobs.Run{ID: job + "@" + at.Format(time.RFC3339), Job: job, Due: at, Event: event, Outcome: outcome}
		}
		for _, r := range []jobs.Run{report("a", 0, 1, jobs.Running), report("a", 0, 3, jobs.OK), report("a", 0, 3, "again"), report("a", 0, 2, jobs.Running), report("b", 0, 1, jobs.Failed),
			report("a", 2, 1, jobs.OK), report("a", 1, 1, jobs.OK)} {
			if err := l.Report(ctx, r); err != nil {
				t.Fatal(err)
			}
		}
		r, err := l.Last(ctx, "a", report("a", 0, 0, "").ID)
		if err != nil || r == nil || r.Event != 3 || r.Outcome != jobs.OK {
			t.Fatalf("%+v, %v", r, err)
		}
		if !r.Due.Equal(due) {
			t.Errorf("due %s", r.Due)
		}
		if r, err := l.Last(ctx, "a", "a@never"); err != nil || r != nil {
			t.Errorf("%+v, %v", r, err)
		}
		list := func(job string, most int) (ids []string) {
			runs, err := l.Runs(ctx, job, most)
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range runs {
				ids = append(ids, r.Job+r.Due.Format("02"))
			}
			return ids
		}
		if got := fmt.Sprint(list("a", 10), list("b", 10), list("", 10), list("c", 10)); got != "[a25 a24 a23] [b23] [a25 a24 a23 b23] []" {
			t.Error(got)
		}
		if got := list("a", 2); len(got) != 2 {
			t.Error(got)
		}
	})
}

func TestOutputIsFollowed(t *testing.T) {
	each(t, func(t *testing.T, l jobs.Ledger) {
		lines := func(from, n int) (list []jobs.Line) {
			for i := range n {
				list = append(list, jobs.Line{At: time.Now(), Attempt: 1, Text: strconv.Itoa(from + i)})
			}
			return list
		}
		read := func(id string) (texts []string) {
			if err := l.Lines(t.Context(), "a", id, false, func(l jobs.Line) error { texts = append(texts, l.Text); return nil }); err != nil {
				t.Fatal(err)
			}
			return texts
		}
		if got := read("a@1"); len(got) != 0 {
			t.Errorf("of nothing: %v", got)
		}
		if err := l.Append(t.Context(), "a", "a@1", lines(0, 3)); err != nil {
			t.Fatal(err)
		}
		if err := l.Append(t.Context(), "a", "a@2", lines(100, 1)); err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		told := make(chan string, 100)
		ended := make(chan error, 1)
		go func() {
			ended <- l.Lines(ctx, "a", "a@1", true, func(l jobs.Line) error { told <- l.Text; return nil })
		}()
		next := func(want string) {
			t.Helper()
			select {
			case got := <-told:
				if got != want {
					t.Errorf("got %s, want %s", got, want)
				}
			case <-time.After(patience):
				t.Fatal("nothing is told")
			}
		}
		next("0")
		if err := l.Append(t.Context(), "a", "a@1", lines(3, 2)); err != nil {
			t.Fatal(err)
		}
		for i := 1; i < 5; i++ {
			next(strconv.Itoa(i))
		}
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if got := fmt.Sprint(read("a@1"), read("a@2")); got != "[0 1 2 3 4] [100]" {
			t.Error(got)
		}
		enough := errors.New("enough")
		if err := l.Lines(t.Context(), "a", "a@1", false, func(jobs.Line) error { return enough }); !errors.Is(err, enough) {
			t.Errorf("the reader's error is %v", err)
		}
	})
}

// The runs of one job are bounded, and those of others are none of its business.
func TestRunsOfAJobAreBounded(t *testing.T) {
	l := open(t, newCounty())
	due := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	report := func(job string, i int) {
		t.Helper()
		at := due.Add(time.Duration(i) * time.Minute)
		if err := l.Report(t.Context(), jobs.Run{ID: job + "@" + at.Format(time.RFC3339), Job: job, Due: at, Outcome: jobs.OK, Event: 1}); err != nil {
			t.Fatal(err)
		}
	}
	report("rare", 0)
	const n = 1500
	for i := range n {
		report("often", i)
	}
	runs, err := l.Runs(t.Context(), "often", 10_000)
	if err != nil || len(runs) < 1000 || len(runs) > 1400 {
		t.Errorf("%d runs are kept of %d: %v", len(runs), n, err)
	}
	if want := due.Add((n - 1) * time.Minute); !runs[0].Due.Equal(want) {
		t.Errorf("the newest is %s, want %s", runs[0].Due, want)
	}
	if runs, err := l.Runs(t.Context(), "rare", 10); err != nil || len(runs) != 1 {
		t.Errorf("%d, %v", len(runs), err)
	}
}

// Whoever keeps the runs for good is told each, also what it could not take at first, and what came while it was away.
func TestFollowTellsAgainWhatWasNotTaken(t *testing.T) {
	county := newCounty()
	l := open(t, county)
	report := func(i int) {
		t.Helper()
		if err := l.Report(t.Context(), jobs.Run{ID: fmt.Sprintf("a@%d", i), Job: "a", Outcome: jobs.OK, Event: 1}); err != nil {
			t.Fatal(err)
		}
	}
	report(1)
	follow := func(l *ledger.Ledger, refuse string, want ...string) {
		t.Helper()
		ctx, stop := context.WithTimeout(t.Context(), patience)
		defer stop()
		left, refused := map[string]bool{}, false
		for _, id := range want {
			left[id] = true
		}
		err := l.Follow(ctx, "test", func(runs []jobs.Run) error {
			for _, r := range runs {
				if r.ID == refuse && !refused {
					refused = true
					return errors.New("the warehouse is away")
				}
				delete(left, r.ID)
			}
			if len(left) == 0 {
				time.AfterFunc(50*time.Millisecond, stop)
			}
			return nil
		})
		if err != nil || len(left) > 0 {
			t.Fatalf("not told: %v, %v", left, err)
		}
	}
	follow(l, "a@1", "a@1")
	report(2)
	report(3)
	follow(open(t, county), "", "a@2", "a@3")
}
