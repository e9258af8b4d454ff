package jobs_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shirecounty/shire/jobs"
	"github.com/shirecounty/shire/jobs/ledger"
)

// at is a time of the bubble's first day, 2000-01-01, in Shanghai.
func at(t testing.TB, clock string) time.Time {
	t.Helper()
	zone, err := time.LoadLocation("Asia/Shanghai")
	if err != nil {
		t.Fatal(err)
	}
	d, err := time.ParseInLocation("2006-01-02 15:04", "2000-01-01 "+clock, zone)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// outcomes are the runs of a job, the oldest first, as due time, cause, outcome and attempt.
func outcomes(t testing.TB, desk *jobs.Desk, job string) (list []string) {
	t.Helper()
	runs, err := desk.History(t.Context(), job, 1000)
	if err != nil {
		t.Fatal(err)
	}
	slices.Reverse(runs)
	for _, r := range runs {
		list = append(list, fmt.Sprintf("%s %s %s %d", r.Due.In(at(t, "00:00").Location()).Format("02 15:04"), r.Cause, r.Outcome, r.Attempt))
	}
	return list
}

func same(t testing.TB, what string, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: got\n  %s\nwant\n  %s", what, strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

func quick(context.Context, jobs.Task, io.Writer) (jobs.Result, error) { return jobs.Result{}, nil }

// slow takes nearly an hour, or until it is told to stop.
func slow(ctx context.Context, _ jobs.Task, _ io.Writer) (jobs.Result, error) {
	select {
	case <-ctx.Done():
		return jobs.Result{}, ctx.Err()
	case <-time.After(59 * time.Minute):
		return jobs.Result{}, nil
	}
}

func newDesk(l jobs.Ledger, s jobs.Set) *jobs.Desk {
	return &jobs.Desk{Ledger: l, Jobs: s, Clock: jobs.System{}}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestPauseIsMissed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		text := "\n"
		for _, missed := range []string{"skip", "once", "all"} {
			text += fmt.Sprintf("  - {name: %s, schedule: \"0 * * * *\", missed: %s, do: {read: log}}\n", missed, missed)
		}
		s, l := set(t, text, quick), &ledger.Memory{}
		desk := newDesk(l, s)
		runFor(t, l, s, 31*time.Minute, func(ctx context.Context) {
			time.Sleep(90 * time.Minute) // to 9:30
			for name := range s {
				must(t, desk.Pause(ctx, name, "repairs"))
				if err := desk.Pause(ctx, name, ""); err == nil {
					t.Error("paused twice")
				}
			}
			time.Sleep(3 * time.Hour) // 10:00, 11:00, 12:00
			if st, err := desk.Show(ctx, "all"); err != nil || st.Paused == nil || st.Paused.Reason != "repairs" || st.Next != nil {
				t.Errorf("%+v, %v", st, err)
			}
			for name := range s {
				must(t, desk.Resume(ctx, name))
			}
		})
		same(t, "skip", outcomes(t, desk, "skip"), "01 09:00 schedule ok 1", "01 12:00 missed skipped 0", "01 13:00 schedule ok 1")
		same(t, "once", outcomes(t, desk, "once"), "01 09:00 schedule ok 1", "01 12:00 missed ok 1", "01 13:00 schedule ok 1")
		same(t, "all", outcomes(t, desk, "all"), "01 09:00 schedule ok 1", "01 10:00 missed ok 1", "01 11:00 missed ok 1", "01 12:00 missed ok 1", "01 13:00 schedule ok 1")
		r, err := desk.Run(t.Context(), s["once"].RunID(at(t, "12:00")))
		if err != nil || r.Missed != 2 || !r.From.Equal(at(t, "09:00")) || !r.To.Equal(at(t, "12:00")) {
			t.Errorf("the run that makes up for three is about %s to %s: %+v, %v", r.From, r.To, r, err)
		}
		if r, err = desk.Run(t.Context(), s["skip"].RunID(at(t, "12:00"))); err != nil || !strings.Contains(r.Message, "3 due times passed") {
			t.Errorf("%+v, %v", r, err)
		}
	})
}

// While a job is paused nothing of it starts but what a person asks for: no due time, no other attempt, no backfill.
func TestPausedJobStartsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, l := set(t, "  - {name: a, schedule: \"0 * * * *\", missed: once, retries: {most: 1, wait: 30m, longest: 30m}, do: {read: log}}\n", func(_ context.Context, task jobs.Task, _ io.Writer) (jobs.Result, error) {
			if task.Due.Equal(at(t, "09:00")) && task.Attempt == 1 {
				return jobs.Result{}, errAway
			}
			return jobs.Result{}, nil
		}), &ledger.Memory{}
		desk := newDesk(l, s)
		runFor(t, l, s, time.Minute, func(ctx context.Context) {
			time.Sleep(70 * time.Minute) // 9:10: the run waits for its second attempt
			must(t, desk.Pause(ctx, "a", ""))
			must(t, errorOf(desk.Backfill(ctx, jobs.BackfillRequest{Job: "a", From: at(t, "05:00"), To: at(t, "06:00")})))
			time.Sleep(100 * time.Minute) // 10:50
			must(t, errorOf(desk.Trigger(ctx, "a", nil)))
			time.Sleep(time.Minute)
			same(t, "paused", outcomes(t, desk, "a"), "01 09:00 schedule waiting 1", "01 10:50 hand ok 1")
			must(t, desk.Resume(ctx, "a"))
		})
		same(t, "resumed", outcomes(t, desk, "a"), "01 05:00 backfill ok 1", "01 09:00 schedule ok 2", "01 10:00 missed ok 1", "01 10:50 hand ok 1")
	})
}

func TestOverlap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		text := "\n"
		for _, overlap := range []string{"skip", "queue", "cancel", "allow"} {
			text += fmt.Sprintf("  - {name: %s, schedule: \"*/40 * * * *\", overlap: %s, do: {read: log}}\n", overlap, overlap)
		}
		s, l := set(t, text, slow), &ledger.Memory{}
		desk := newDesk(l, s)
		runFor(t, l, s, 150*time.Minute, nil) // 8:40 9:00 9:40 10:00 of an hour each, until 10:30
		same(t, "skip", outcomes(t, desk, "skip"), "01 08:40 schedule ok 1", "01 09:00 schedule skipped 0", "01 09:40 schedule waiting 1", "01 10:00 schedule skipped 0")
		same(t, "queue", outcomes(t, desk, "queue"), "01 08:40 schedule ok 1", "01 09:00 schedule waiting 1", "01 09:40 schedule waiting 0", "01 10:00 schedule waiting 0")
		same(t, "cancel", outcomes(t, desk, "cancel"), "01 08:40 schedule cancelled 1", "01 09:00 schedule cancelled 1", "01 09:40 schedule cancelled 1", "01 10:00 schedule waiting 1")
		same(t, "allow", outcomes(t, desk, "allow"), "01 08:40 schedule ok 1", "01 09:00 schedule ok 1", "01 09:40 schedule waiting 1", "01 10:00 schedule waiting 1")
	})
}

func TestRunByHandCancelAndRetry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := set(t, `
  - {name: long, do: {read: log}, parameters: {day: "{{due.date}}", who: nobody}}
  - {name: never, schedule: "0 0 1 1 *", do: {read: log}}
`, func(ctx context.Context, task jobs.Task, out io.Writer) (jobs.Result, error) {
			fmt.Fprintf(out, "for %s on %s\n", task.Parameters["who"], task.Parameters["day"])
			return slow(ctx, task, out)
		})
		l := &ledger.Memory{}
		desk := newDesk(l, s)
		runFor(t, l, s, 2*time.Hour, func(ctx context.Context) {
			var wrong *jobs.RequestError
			for _, err := range []error{
				errorOf(desk.Trigger(ctx, "lomg", nil)), errorOf(desk.Trigger(ctx, "long", map[string]string{"whom": "x"})), errorOf(desk.Trigger(ctx, "long", map[string]string{"who": "{{nothing}}"})),
				desk.Cancel(ctx, "long@2000", ""), desk.Cancel(ctx, "long", ""), errorOf(desk.Retry(ctx, "long@2000")), desk.Resume(ctx, "long"),
				errorOf(desk.Backfill(ctx, jobs.BackfillRequest{Job: "long", From: at(t, "07:00"), To: at(t, "08:00")})),
			} {
				if !errors.As(err, &wrong) || wrong.Message == "" {
					t.Errorf("got %v, want a sentence for who asked", err)
				}
			}
			first, err := desk.Trigger(ctx, "long", map[string]string{"who": "a person"})
			must(t, err)
			second, err := desk.Trigger(ctx, "long", nil)
			must(t, err)
			third, err := desk.Trigger(ctx, "never", nil)
			must(t, err)
			if first.ID == second.ID {
				t.Error("two runs have one name")
			}
			synctest.Wait()
			time.Sleep(time.Minute)
			if r, err := desk.Run(ctx, second.ID); err != nil || r.Outcome != jobs.Waiting {
				t.Errorf("the second does not wait: %+v, %v", r, err)
			}
			if r, err := desk.Run(ctx, third.ID); err != nil || r.Outcome != jobs.Running {
				t.Errorf("of another job: %+v, %v", r, err)
			}
			must(t, desk.Cancel(ctx, first.ID, "wrong month"))
			time.Sleep(time.Second)
			if r, err := desk.Run(ctx, first.ID); err != nil || r.Outcome != jobs.Cancelled || r.Message != "wrong month" {
				t.Errorf("%+v, %v", r, err)
			}
			must(t, desk.Cancel(ctx, third.ID, ""))
			again, err := desk.Retry(ctx, first.ID)
			must(t, err)
			if again.ID != first.ID {
				t.Errorf("the retry is %s", again.ID)
			}
			var seen []string
			must(t, desk.Wait(ctx, first.ID, func(r jobs.Run) { seen = append(seen, r.Outcome) }))
			if got := strings.Join(seen, " "); got != "waiting running ok" {
				t.Errorf("watched: %s", got)
			}
			var lines []string
			must(t, desk.Logs(ctx, first.ID, false, func(l jobs.Line) error {
				lines = append(lines, fmt.Sprint(l.Attempt, " ", l.Text))
				return nil
			}))
			same(t, "log", lines, "1 for a person on 2000-01-01", "2 for a person on 2000-01-01")
			if err := errorOf(desk.Retry(ctx, first.ID)); !errors.As(err, &wrong) {
				t.Errorf("what ended well was tried again: %v", err)
			}
		})
		if runs, err := desk.History(t.Context(), "", 10); err != nil || len(runs) != 3 {
			t.Errorf("%d runs, %v", len(runs), err)
		}
	})
}

func errorOf(_ any, err error) error { return err }

// When a run that failed is tried again and ends well, what comes after it, and was skipped, runs.
func TestRetryLetsTheNextRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken := true
		s := set(t, `
  - {name: a, schedule: "0 9 * * *", do: {read: log}}
  - {name: b, schedule: "0 9 * * *", do: {read: log}}
  - {name: c, after: [a, b], do: {read: log}}
  - {name: d, after: [c], do: {read: log}}
`, func(_ context.Context, task jobs.Task, _ io.Writer) (jobs.Result, error) {
			if task.Job == "a" && broken {
				return jobs.Result{}, errAway
			}
			return jobs.Result{}, nil
		})
		l := &ledger.Memory{}
		desk := newDesk(l, s)
		runFor(t, l, s, time.Hour, func(ctx context.Context) {
			time.Sleep(90 * time.Minute)
			same(t, "c", outcomes(t, desk, "c"), "01 09:00 after skipped 0")
			same(t, "d", outcomes(t, desk, "d"), "01 09:00 after skipped 0")
			r, err := desk.Run(ctx, s["c"].RunID(at(t, "09:00")))
			if err != nil || r.Message != "a was not ok, but failed" {
				t.Errorf("%+v, %v", r, err)
			}
			broken = false
			must(t, errorOf(desk.Retry(ctx, s["a"].RunID(at(t, "09:00")))))
		})
		same(t, "a", outcomes(t, desk, "a"), "01 09:00 schedule ok 2")
		same(t, "c", outcomes(t, desk, "c"), "01 09:00 after ok 1")
		same(t, "d", outcomes(t, desk, "d"), "01 09:00 after ok 1")
	})
}

// So many runs were skipped since that the job's entry no longer knows why the first one was: the history does.
func TestRetryLongAfterLetsTheNextRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken := true
		s := set(t, `
  - {name: a, schedule: "* * * * *", do: {read: log}}
  - {name: b, after: [a], do: {read: log}}
`, func(_ context.Context, task jobs.Task, _ io.Writer) (jobs.Result, error) {
			if task.Job == "a" && broken {
				return jobs.Result{}, errAway
			}
			return jobs.Result{}, nil
		})
		l := &ledger.Memory{}
		desk := newDesk(l, s)
		runFor(t, l, s, 3*time.Hour, func(ctx context.Context) {
			time.Sleep(170 * time.Minute)
			broken = false
			must(t, errorOf(desk.Retry(ctx, s["a"].RunID(at(t, "08:31")))))
			time.Sleep(30 * time.Second)
			for job, want := range map[string]string{"a": jobs.OK, "b": jobs.OK} {
				if r, err := desk.Run(ctx, s[job].RunID(at(t, "08:31"))); err != nil || r.Outcome != want {
					t.Errorf("%s: %+v, %v", job, r, err)
				}
			}
		})
	})
}

func TestBackfill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var did journal
		broken := map[string]bool{"01 02:00": true}
		s := set(t, `
  - {name: hourly, schedule: "0 * * * *", do: {read: log}, overlap: allow, parameters: {who: all}}
  - {name: alone, schedule: "0 * * * *", do: {read: log}}
  - {name: later, after: [hourly], do: {read: log}}
`, func(ctx context.Context, task jobs.Task, _ io.Writer) (jobs.Result, error) {
			due := task.Due.Format("02 15:04")
			if task.Job == "hourly" {
				did.add("%s %s %s-%s", due, task.Parameters["who"], task.From.Format("15"), task.To.Format("15"))
			}
			select {
			case <-ctx.Done():
				return jobs.Result{}, ctx.Err()
			case <-time.After(time.Minute):
			}
			if broken[due] {
				return jobs.Result{}, errAway
			}
			return jobs.Result{}, nil
		})
		l := &ledger.Memory{}
		desk := newDesk(l, s)
		request := jobs.BackfillRequest{Job: "hourly", From: at(t, "01:00"), To: at(t, "04:00"), Reverse: true, Parameters: map[string]string{"who": "some"}}
		for _, c := range []struct {
			change func(*jobs.BackfillRequest)
			want   string
		}{
			{func(r *jobs.BackfillRequest) { r.To = at(t, "12:00") }, "future"},
			{func(r *jobs.BackfillRequest) { r.From = r.To }, "exchange"},
			{func(r *jobs.BackfillRequest) { r.Only = "some" }, "none, failed or completed"},
			{func(r *jobs.BackfillRequest) { r.Job, r.Most = "alone", 2 }, "overlap: allow"},
			{func(r *jobs.BackfillRequest) { r.From, r.To = at(t, "01:10"), at(t, "01:50") }, "not due between"},
			{func(r *jobs.BackfillRequest) { r.From = at(t, "01:00").AddDate(-20, 0, 0) }, "shorter stretch"},
			{func(r *jobs.BackfillRequest) { r.Parameters = map[string]string{"whom": "x"} }, "no parameter"},
		} {
			r := request
			c.change(&r)
			var wrong *jobs.RequestError
			if _, err := desk.Backfill(t.Context(), r); !errors.As(err, &wrong) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %s", err, c.want)
			}
		}
		if st, err := desk.Show(t.Context(), "hourly"); err != nil || len(st.Backfills) != 0 {
			t.Fatalf("%+v, %v", st, err)
		}
		show := func() jobs.Backfill {
			t.Helper()
			st, err := desk.Show(t.Context(), "hourly")
			if err != nil || len(st.Backfills) == 0 {
				t.Fatal(st, err)
			}
			return st.Backfills[len(st.Backfills)-1]
		}
		p, err := desk.PlanBackfill(t.Context(), request)
		if err != nil || p.Total != 3 || p.Runs != 3 || !p.First[0].Equal(at(t, "03:00")) {
			t.Errorf("%+v, %v", p, err)
		}
		// Begun while nothing runs, and interrupted by a stop.
		b, err := desk.Backfill(t.Context(), request)
		must(t, err)
		runFor(t, l, s, 70*time.Second, nil)
		if b := show(); b.Outcome != jobs.Running || b.Outcomes[jobs.OK] != 1 {
			t.Errorf("in the middle: %+v", b)
		}
		runFor(t, l, s, 10*time.Minute, nil)
		if b := show(); b.Outcome != jobs.Failed || b.Total != 3 || b.Passed != 3 || b.Outcomes[jobs.OK] != 2 || b.Outcomes[jobs.Failed] != 1 || b.Finished.IsZero() {
			t.Errorf("at the end: %+v", b)
		}
		same(t, "done", strings.Split(did.String(), "\n"), "01 03:00 some 02-03", "01 02:00 some 01-02", "01 02:00 some 01-02", "01 01:00 some 00-01")
		same(t, "runs", outcomes(t, desk, "hourly"), "01 01:00 backfill ok 1", "01 02:00 backfill failed 2", "01 03:00 backfill ok 1")
		same(t, "what comes after is for itself", outcomes(t, desk, "later"))

		// What Only wants.
		broken = nil
		request.From, request.Reverse = at(t, "00:00"), false
		for only, want := range map[string]int{"": 4, jobs.OnlyNone: 1, jobs.OnlyFailed: 1, jobs.OnlyCompleted: 2} {
			request.Only = only
			if p, err := desk.PlanBackfill(t.Context(), request); err != nil || p.Total != 4 || p.Runs != want {
				t.Errorf("only %q: %+v, %v", only, p, err)
			}
		}
		request.Only, request.Most = jobs.OnlyFailed, 4
		must(t, errorOf(desk.Backfill(t.Context(), request)))
		runFor(t, l, s, 10*time.Minute, nil)
		if b := show(); b.Outcome != jobs.OK || b.Left != 3 || b.Outcomes[jobs.OK] != 1 {
			t.Errorf("only failed: %+v", b)
		}

		// Four at a time, paused, resumed and cancelled.
		request.Only, request.From, request.To = "", at(t, "00:00").AddDate(0, 0, -1), at(t, "00:00")
		b, err = desk.Backfill(t.Context(), request)
		must(t, err)
		runFor(t, l, s, time.Minute, func(ctx context.Context) {
			time.Sleep(30 * time.Second)
			if st, err := desk.Show(ctx, "hourly"); err != nil || len(st.Active) != 4 {
				t.Errorf("%d at a time, want 4: %v", len(st.Active), err)
			}
			must(t, desk.ChangeBackfill(ctx, "hourly", b.ID, "pause"))
			time.Sleep(5 * time.Minute)
			if b := show(); b.Outcomes[jobs.OK] != 4 || !b.Paused {
				t.Errorf("paused: %+v", b)
			}
			must(t, desk.ChangeBackfill(ctx, "hourly", b.ID, "resume"))
			time.Sleep(90 * time.Second)
			must(t, desk.ChangeBackfill(ctx, "hourly", b.ID, "cancel"))
		})
		if b := show(); b.Outcome != jobs.Cancelled || b.Outcomes[jobs.OK] != 8 || b.Outcomes[jobs.Cancelled] != 4 || b.Passed != 12 {
			t.Errorf("cancelled: %+v", b)
		}
		if err := desk.ChangeBackfill(t.Context(), "hourly", b.ID, "resume"); err == nil {
			t.Error("a cancelled backfill was resumed")
		}
	})
}

func TestNextIsAList(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := set(t, `
  - {name: a, schedule: "30 * * * *", do: {read: log}}
  - {name: b, after: [a], do: {read: log}}
  - {name: c, every: 1h, do: {read: log}}
  - {name: d, do: {read: log}}
  - {name: e, schedule: "15 8 * * *", days: workday, do: {read: log}}
`, quick)
		desk := newDesk(&ledger.Memory{}, s)
		list, err := desk.Next(t.Context(), "", 5)
		must(t, err)
		var got []string
		for _, c := range list {
			got = append(got, c.Due.In(at(t, "00:00").Location()).Format("15:04 ")+c.Job+" "+strings.SplitN(c.Problem, ":", 2)[0])
		}
		same(t, "next", got, "08:15 e whether it is due on 2000-01-01 (days", "08:30 a ", "08:30 b ", "09:00 c ", "09:30 a ")
		if _, err := desk.Next(t.Context(), "", 0); err == nil {
			t.Error("nothing was asked for")
		}
	})
}
