package jobs_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shirecounty/shire/jobs"
	"github.com/shirecounty/shire/jobs/ledger"
	"github.com/shirecounty/shire/schemas/calendar"
	"github.com/shirecounty/shire/schemas/county"
)

// define reads the jobs of a county whose jobs: are the given text.
func define(t testing.TB, text string) []county.Job {
	t.Helper()
	c, err := load(t, text)
	if err != nil {
		t.Fatal(err)
	}
	return c.Jobs
}

func load(t testing.TB, text string) (*county.Config, error) {
	t.Helper()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "contracts"), 0o755); err != nil {
		t.Fatal(err)
	}
	contract, err := os.ReadFile(filepath.Join("..", "docs", "examples", "receipt", "contracts", "receipt_events.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "contracts", "receipt_events.yaml"), contract, 0o644); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "county.yaml")
	yaml := "county: {division: \"000000\", name_zh: 示例, time_zone: Asia/Shanghai}\nsources:\n  - {name: log, kind: file, datasets: [receipt_events]}\njobs:\n" + text
	if err := os.WriteFile(file, []byte(yaml), 0o644); err != nil {
		t.Fatal(err)
	}
	c, _, err := county.Load(file, []string{"file"})
	return c, err
}

var days = sync.OnceValues(func() (*calendar.Calendar, error) { return calendar.Load(calendar.National()) })

func national(t testing.TB) *calendar.Calendar {
	t.Helper()
	c, err := days()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// set readies jobs that all do the same.
func set(t testing.TB, text string, w jobs.WorkerFunc) jobs.Set {
	t.Helper()
	s, err := jobs.NewSet(define(t, text), national(t), func(*county.Job) (jobs.Worker, string, error) { return w, "", nil })
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// journal is what workers were asked to do.
type journal struct {
	mu    sync.Mutex
	lines []string
}

func (j *journal) add(format string, args ...any) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines = append(j.lines, fmt.Sprintf(format, args...))
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return strings.Join(j.lines, "\n")
}

// runFor runs schedulers on a ledger for a while of the bubble's time.
func runFor(t *testing.T, l jobs.Ledger, s jobs.Set, d time.Duration, during func(ctx context.Context)) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- jobs.New(jobs.Options{Ledger: l, Jobs: s, Clock: jobs.System{}, Log: slog.New(slog.DiscardHandler)}).Run(ctx)
	}()
	synctest.Wait()
	if during != nil {
		during(ctx)
	}
	time.Sleep(d)
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// The bubble's time begins at midnight, 2000-01-01 UTC: eight in the morning in Shanghai.
func TestJobsRunAtTheirTimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var did journal
		s := set(t, `
  - {name: hourly, schedule: "30 * * * *", do: {read: log}}
  - {name: often, every: 20m, do: {read: log}, parameters: {span: "{{from.time}} to {{to.time}}"}}
  - {name: report, after: [often], do: {read: log}}
`, func(_ context.Context, task jobs.Task, out io.Writer) (jobs.Result, error) {
			did.add("%s %d %s", task.Run, task.Attempt, task.Parameters["span"])
			fmt.Fprintln(out, "did", task.Run)
			return jobs.Result{Message: "done", Counts: map[string]uint64{"rows": 2}}, nil
		})
		l := &ledger.Memory{}
		runFor(t, l, s, 65*time.Minute, nil)
		want := `often@2000-01-01T08:20:00+08:00 1 2000-01-01 08:00:00 to 2000-01-01 08:20:00
report@2000-01-01T08:20:00+08:00 1 
hourly@2000-01-01T08:30:00+08:00 1 
often@2000-01-01T08:40:00+08:00 1 2000-01-01 08:20:00 to 2000-01-01 08:40:00
report@2000-01-01T08:40:00+08:00 1 
often@2000-01-01T09:00:00+08:00 1 2000-01-01 08:40:00 to 2000-01-01 09:00:00
report@2000-01-01T09:00:00+08:00 1 `
		if got := did.String(); got != want {
			t.Errorf("got\n%s\nwant\n%s", got, want)
		}
		desk := jobs.Desk{Ledger: l, Jobs: s, Clock: jobs.System{}}
		runs, err := desk.History(t.Context(), "", 100)
		if err != nil || len(runs) != 7 {
			t.Fatalf("%d runs: %v", len(runs), err)
		}
		for _, r := range runs {
			if r.Outcome != jobs.OK || r.Attempt != 1 || r.Message != "done" || r.Counts["rows"] != 2 || r.Finished.IsZero() {
				t.Errorf("%+v", r)
			}
		}
		var lines []string
		if err := desk.Logs(t.Context(), runs[0].ID, true, func(l jobs.Line) error { lines = append(lines, l.Text); return nil }); err != nil || len(lines) != 1 || lines[0] != "did "+runs[0].ID {
			t.Errorf("%q, %v", lines, err)
		}
	})
}

var errAway = errors.New("the folder is away")

func TestRetriesTimeoutsPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var did journal
		s := set(t, `
  - {name: flaky, schedule: "0 9 * * *", do: {read: log}, retries: {most: 3, wait: 1m, longest: 3m}}
  - {name: hopeless, schedule: "0 9 * * *", do: {read: log}, retries: {most: 3}}
  - {name: hangs, schedule: "0 9 * * *", do: {read: log}, timeout: 10m}
  - {name: panics, schedule: "0 9 * * *", do: {read: log}}
`, func(ctx context.Context, task jobs.Task, _ io.Writer) (jobs.Result, error) {
			did.add("%s %d", task.Job, task.Attempt)
			switch {
			case task.Job == "flaky" && task.Attempt < 4:
				return jobs.Result{}, errAway
			case task.Job == "hopeless":
				return jobs.Result{}, fmt.Errorf("%w: %w", errAway, jobs.ErrPermanent)
			case task.Job == "hangs":
				if at, dated := ctx.Deadline(); dated { // the driver of ClickHouse would make it each query's bound
					t.Errorf("the work is told that it has until %s", at)
				}
				<-ctx.Done()
				if cause := context.Cause(ctx); !errors.Is(cause, context.DeadlineExceeded) {
					t.Errorf("the work was ended by %v", cause)
				}
				return jobs.Result{}, ctx.Err()
			case task.Job == "panics":
				panic("this text is nobody's business")
			}
			return jobs.Result{}, nil
		})
		l := &ledger.Memory{}
		runFor(t, l, s, 2*time.Hour, nil)
		desk := jobs.Desk{Ledger: l, Jobs: s, Clock: jobs.System{}}
		for job, want := range map[string]string{
			"flaky": "4 ok ", "hopeless": "1 failed the folder is away: trying again does not help",
			"hangs": "1 failed it was stopped after 10m0s (timeout)", "panics": "1 failed it stopped with a defect of the program (string); the log shows where",
		} {
			runs, err := desk.History(t.Context(), job, 10)
			if err != nil || len(runs) != 1 {
				t.Fatalf("%s: %v %v", job, runs, err)
			}
			if got := fmt.Sprint(runs[0].Attempt, " ", runs[0].Outcome, " ", runs[0].Message); got != want {
				t.Errorf("%s: got %s, want %s", job, got, want)
			}
			took := runs[0].Finished.Sub(runs[0].Due)
			// Waits of about 1, 2 and 3 minutes, give or take a fifth, the longest cut off.
			if low, high := 4*time.Minute+30*time.Second, 6*time.Minute+40*time.Second; job == "flaky" && (took < low || took > high) {
				t.Errorf("flaky was tried for %s", took)
			}
		}
	})
}

func dateOf(t time.Time) calendar.Date { return calendar.DateOf(t) }
