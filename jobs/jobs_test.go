package jobs_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/shirecounty/shire/jobs"
	"github.com/shirecounty/shire/schemas/county"
)

var start = time.Date(2026, 11, 23, 8, 30, 0, 0, time.FixedZone("", 8*60*60))

// leaping is a clock that is at once where a sleeper wants it.
type leaping struct{ now time.Time }

func (c *leaping) Now() time.Time { return c.now }

func (c *leaping) Sleep(ctx context.Context, t time.Time) error {
	if t.After(c.now) {
		c.now = t
	}
	return ctx.Err()
}

type every time.Duration

func (d every) Next(t time.Time) time.Time {
	return t.Truncate(time.Duration(d)).Add(time.Duration(d))
}

var errAway = errors.New("the folder is away")

// What a run may do: take its time, fail, panic, or have the clock set back under it.
type step struct {
	takes      time.Duration
	fails      bool
	panics     bool
	unrecorded bool
}

func TestRunner(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		steps := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) step {
			return step{
				takes: time.Duration(rapid.IntRange(-90, 400).Draw(t, "seconds")) * time.Second,
				fails: rapid.Bool().Draw(t, "fails"), panics: rapid.Bool().Draw(t, "panics"), unrecorded: rapid.Bool().Draw(t, "unrecorded"),
			}
		}), 1, 20).Draw(t, "steps")
		period := time.Duration(rapid.IntRange(1, 300).Draw(t, "period")) * time.Second

		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		clock := &leaping{now: start}
		var mu sync.Mutex
		var reports []jobs.Run
		done := 0
		r := jobs.Runner{
			Clock: clock, Jobs: []jobs.Job{{Name: "read", Source: "hall", Schedule: every(period)}}, Log: slog.New(slog.DiscardHandler),
			Do: func(_ context.Context, source string) (uint64, error) {
				s := steps[done]
				done++
				clock.now = clock.now.Add(s.takes)
				if done == len(steps) {
					cancel()
				}
				if s.panics {
					panic("this text is nobody's business")
				}
				if s.fails {
					return 3, errAway
				}
				return uint64(done), nil
			},
			Record: func(_ context.Context, run jobs.Run) error {
				mu.Lock()
				defer mu.Unlock()
				reports = append(reports, run)
				if run.Outcome == jobs.Running && steps[done].unrecorded {
					return errAway
				}
				return nil
			},
		}
		r.Run(ctx)
		if done != len(steps) || len(reports) != 2*done {
			t.Fatalf("%d runs and %d reports for %d steps", done, len(reports), len(steps))
		}
		slices.SortFunc(reports, func(a, b jobs.Run) int { return cmp.Or(strings.Compare(a.ID, b.ID), cmp.Compare(a.Event, b.Event)) })
		var last time.Time
		for i, s := range steps {
			begin, end := reports[2*i], reports[2*i+1]
			due, err := time.Parse(time.RFC3339, strings.TrimPrefix(begin.ID, "hall@"))
			if err != nil || begin.Source != "hall" || begin.Job != "read" {
				t.Fatalf("run %+v: %v", begin, err)
			}
			// Each time once, in order, whatever the clock does, and not before it has come.
			if !due.After(last) || begin.Started.Before(due) || due.Sub(due.Truncate(period)) != 0 {
				t.Fatalf("run %d, due %s, began %s, after the one due %s", i, due, begin.Started, last)
			}
			last = due
			if begin.Outcome != jobs.Running || begin.Event != 0 || !begin.Finished.IsZero() {
				t.Errorf("the first report is %+v", begin)
			}
			want := jobs.OK
			switch stopped := i == len(steps)-1; {
			case (s.fails || s.panics) && stopped:
				want = jobs.Cancelled
			case s.fails || s.panics:
				want = jobs.Failed
			}
			if end.Outcome != want || end.ID != begin.ID || end.Event != 1 || !end.Started.Equal(begin.Started) || end.Finished.IsZero() {
				t.Errorf("run %d, %+v: the last report is %+v, want %s", i, s, end, want)
			}
			if strings.Contains(end.Message, "nobody's business") {
				t.Errorf("the report repeats the panic's text: %s", end.Message)
			}
			if (end.Message == "") != (end.Outcome == jobs.OK) {
				t.Errorf("the report of a run that is %s says %q", end.Outcome, end.Message)
			}
		}
	})
}

// A run that takes long swallows the times it covers.
func TestRunnerSkipsWhatPassedMeanwhile(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	clock := &leaping{now: start}
	var ids []string
	r := jobs.Runner{Clock: clock, Jobs: []jobs.Job{{Source: "hall", Schedule: every(time.Minute)}}, Log: slog.New(slog.DiscardHandler),
		Do: func(context.Context, string) (uint64, error) {
			clock.now = clock.now.Add(150 * time.Second)
			if len(ids) == 3 {
				cancel()
			}
			return 0, nil
		},
		Record: func(_ context.Context, run jobs.Run) error {
			if run.Outcome == jobs.Running {
				ids = append(ids, run.ID)
			}
			return nil
		}}
	r.Run(ctx)
	want := "hall@2026-11-23T08:31:00+08:00 hall@2026-11-23T08:34:00+08:00 hall@2026-11-23T08:37:00+08:00"
	if got := strings.Join(ids, " "); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// A run that another process has taken is left to it.
func TestRunnerLeavesWhatIsTaken(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	reports := 0
	r := jobs.Runner{Clock: &leaping{now: start}, Jobs: []jobs.Job{{Source: "hall", Schedule: every(time.Minute)}}, Log: slog.New(slog.DiscardHandler),
		Do: func(context.Context, string) (uint64, error) { t.Error("it ran"); return 0, nil },
		Record: func(context.Context, jobs.Run) error {
			if reports++; reports == 3 {
				cancel()
			}
			return fmt.Errorf("the ledger: %w", jobs.ErrTaken)
		}}
	r.Run(ctx)
	if reports != 3 {
		t.Errorf("%d times came, want 3", reports)
	}
}

// The system's clock, two sources beside each other, and a stop in the middle of a run.
func TestRunnerOnTheSystemClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		schedule := func(text string) *county.Schedule {
			s, err := county.ParseSchedule(text, time.UTC)
			if err != nil {
				t.Fatal(err)
			}
			return s
		}
		ctx, cancel := context.WithCancel(t.Context())
		var mu sync.Mutex
		outcomes := map[string][]string{}
		r := jobs.Runner{
			Clock: jobs.System{}, Log: slog.New(slog.DiscardHandler),
			Jobs: []jobs.Job{{Source: "quick", Schedule: schedule("*/10 * * * *")}, {Source: "slow", Schedule: schedule("0 * * * *")}},
			Do: func(ctx context.Context, source string) (uint64, error) {
				if source == "quick" {
					return 1, nil
				}
				<-ctx.Done()
				return 7, ctx.Err()
			},
			Record: func(ctx context.Context, run jobs.Run) error {
				mu.Lock()
				defer mu.Unlock()
				outcomes[run.Source] = append(outcomes[run.Source], fmt.Sprintf("%s %s %d", run.Started.UTC().Format("15:04"), run.Outcome, run.Changes))
				return ctx.Err() // of the context that a report has, also after the stop
			},
		}
		ended := make(chan struct{})
		go func() { // synctest begins at midnight, 2000-01-01 UTC
			defer close(ended)
			r.Run(ctx)
		}()
		time.Sleep(75 * time.Minute)
		cancel()
		<-ended
		slices.Sort(outcomes["quick"]) // ok stands before running
		if got, want := fmt.Sprint(outcomes["slow"]), "[01:00 running 0 01:00 cancelled 7]"; got != want {
			t.Errorf("slow: got %s, want %s", got, want)
		}
		if got := outcomes["quick"]; len(got) != 14 || got[1] != "00:10 running 0" || got[12] != "01:10 ok 1" {
			t.Errorf("quick: got %v", got)
		}
	})
}

// Reports that nobody takes keep no run from coming, and hold up the stop for a moment only.
func TestRunnerWithoutItsLedger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		runs := 0
		r := jobs.Runner{Clock: jobs.System{}, Log: slog.New(slog.DiscardHandler), Jobs: []jobs.Job{{Source: "hall", Schedule: every(time.Minute)}},
			Do: func(context.Context, string) (uint64, error) { runs++; return 1, nil },
			Record: func(ctx context.Context, _ jobs.Run) error {
				<-ctx.Done()
				return ctx.Err()
			}}
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			r.Run(ctx)
		}()
		time.Sleep(time.Hour - 20*time.Second) // between two runs: the sixtieth is due on the hour
		cancel()
		at := time.Now()
		<-ended
		if took := time.Since(at); took > 2*time.Second {
			t.Errorf("the stop took %s", took)
		}
		if runs != 59 {
			t.Errorf("%d runs before the hour, want 59", runs)
		}
	})
}
