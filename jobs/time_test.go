package jobs_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shirecounty/shire/jobs"
	"github.com/shirecounty/shire/jobs/ledger"
	"github.com/shirecounty/shire/schemas/county"
)

// onWall runs a scheduler on a clock that can be set, from a time on.
func onWall(t *testing.T, begin string, s jobs.Set, l jobs.Ledger, do func(ctx context.Context, clock *wall, up func() (down func()))) *jobs.Desk {
	t.Helper()
	from, err := time.Parse(time.RFC3339, begin)
	must(t, err)
	clock := newWall()
	clock.Set(from.Sub(clock.Now()))
	up := func() func() {
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() {
			ended <- jobs.New(jobs.Options{Ledger: l, Jobs: s, Clock: clock, Log: slog.New(slog.DiscardHandler)}).Run(ctx)
		}()
		synctest.Wait()
		return func() {
			cancel()
			must(t, <-ended)
		}
	}
	do(t.Context(), clock, up)
	return &jobs.Desk{Ledger: l, Jobs: s, Clock: clock}
}

// ids are the runs of a job, the oldest first, with their causes and outcomes.
func ids(t testing.TB, desk *jobs.Desk, job string) (list []string) {
	t.Helper()
	runs, err := desk.History(t.Context(), job, 1000)
	must(t, err)
	for i := range runs {
		r := runs[len(runs)-1-i]
		list = append(list, strings.TrimPrefix(r.ID, job+"@")+" "+r.Cause+" "+r.Outcome)
	}
	return list
}

// The traps of the cron library that ENGINES.md names, and what becomes of each here.
func TestKnownTrapsOfCron(t *testing.T) {
	for _, c := range []struct{ schedule, want string }{
		{`"CRON_TZ=Asia/Tokyo"`, "names a time zone"}, // panics there
		{`"TZ=Asia/Tokyo"`, "names a time zone"},
		{`"0 0 31 2 *"`, "never comes"}, // parses there and never fires
		{`"@every -5m"`, "every"},       // is one second there
		{`"*/90 * * * *"`, "a step of 90"},
	} {
		_, err := load(t, "  - name: a\n    do: {read: log}\n    schedule: "+c.schedule+"\n")
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "county.yaml:7: ") {
			t.Errorf("%s: got %v, want line 7: %s", c.schedule, err, c.want)
		}
	}
	t.Run("a job that panics ends its run, not the process", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := set(t, "  - {name: a, every: 10m, do: {read: log}}\n  - {name: b, every: 10m, do: {read: log}}\n", func(_ context.Context, task jobs.Task, _ io.Writer) (jobs.Result, error) {
				if task.Job == "a" {
					var none []int
					none[task.Attempt]++
				}
				return jobs.Result{}, nil
			})
			desk := onWall(t, "2026-05-11T08:01:00+08:00", s, &ledger.Memory{}, func(_ context.Context, _ *wall, up func() func()) {
				down := up()
				time.Sleep(25 * time.Minute)
				down()
			})
			same(t, "a", ids(t, desk, "a"), "2026-05-11T08:10:00+08:00 schedule failed", "2026-05-11T08:20:00+08:00 schedule failed")
			same(t, "b", ids(t, desk, "b"), "2026-05-11T08:10:00+08:00 schedule ok", "2026-05-11T08:20:00+08:00 schedule ok")
			if r, err := desk.Run(t.Context(), "a@2026-05-11T08:10:00+08:00"); err != nil || !strings.Contains(r.Message, "index out of range") {
				t.Errorf("%+v, %v", r, err)
			}
		})
	})
	t.Run("skipping while it runs does not jam", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := set(t, "  - {name: a, every: 10m, timeout: 25m, overlap: skip, do: {read: log}}\n", func(ctx context.Context, task jobs.Task, _ io.Writer) (jobs.Result, error) {
				if task.Due.Minute() == 10 {
					<-ctx.Done() // hangs
				}
				return jobs.Result{}, ctx.Err()
			})
			desk := onWall(t, "2026-05-11T08:01:00+08:00", s, &ledger.Memory{}, func(_ context.Context, _ *wall, up func() func()) {
				down := up()
				time.Sleep(45 * time.Minute)
				down()
			})
			same(t, "a", ids(t, desk, "a"), "2026-05-11T08:10:00+08:00 schedule failed", "2026-05-11T08:20:00+08:00 schedule skipped", "2026-05-11T08:30:00+08:00 schedule skipped", "2026-05-11T08:40:00+08:00 schedule ok")
		})
	})
	t.Run("summer time swallows nothing and doubles nothing", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := set(t, "  - {name: a, schedule: \"30 2 * * *\", time_zone: Europe/Amsterdam, do: {read: log}}\n", quick)
			desk := onWall(t, "2026-03-28T12:00:00+01:00", s, &ledger.Memory{}, func(_ context.Context, clock *wall, up func() func()) {
				down := up()
				time.Sleep(36 * time.Hour)
				down()
				clock.Set(209 * 24 * time.Hour) // to October
				down = up()
				time.Sleep(48 * time.Hour)
				down()
			})
			got := ids(t, desk, "a")
			same(t, "a", got, "2026-03-29T03:00:00+02:00 schedule ok", "2026-10-24T02:30:00+02:00 missed ok", "2026-10-25T02:30:00+02:00 schedule ok", "2026-10-26T02:30:00+01:00 schedule ok")
		})
	})
}

// Off on Monday evening, on again a week later.
func TestPowerOffForAWeek(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := set(t, `
  - {name: skip, schedule: "0 3 * * *", missed: skip, do: {read: log}}
  - {name: once, schedule: "0 3 * * *", missed: once, do: {read: log}}
  - {name: all, schedule: "0 3 * * *", missed: all, do: {read: log}}
  - {name: within, schedule: "0 3 * * *", missed: all, missed_within: 66h, do: {read: log}}
  - {name: most, schedule: "0 3 * * *", missed: all, missed_most: 2, do: {read: log}}
  - {name: minute, schedule: "* * * * *", missed: once, do: {read: log}}
  - {name: second, every: 1s, missed: skip, do: {read: log}}
  - {name: workdays, schedule: "0 3 * * *", days: workday, missed: all, do: {read: log}}
  - {name: then, after: [all], do: {read: log}}
  - {name: waits, schedule: "0 19 * * *", missed: skip, retries: {most: 1, wait: 2h, longest: 2h}, do: {read: log}}
`, func(_ context.Context, task jobs.Task, _ io.Writer) (jobs.Result, error) {
			if task.Job == "waits" && task.Attempt == 1 {
				return jobs.Result{}, errAway
			}
			return jobs.Result{}, nil
		})
		l := &ledger.Memory{}
		desk := onWall(t, "2026-05-11T18:59:30+08:00", s, l, func(_ context.Context, clock *wall, up func() func()) {
			down := up()
			time.Sleep(40 * time.Second) // 19:00:10: waits waits for another attempt
			down()
			clock.Set(7 * 24 * time.Hour)
			down = up()
			time.Sleep(5 * time.Second)
			down()
		})
		day := func(d int, rest string) string { return fmt.Sprintf("2026-05-%02dT03:00:00+08:00 %s", d, rest) }
		same(t, "skip", ids(t, desk, "skip"), day(18, "missed skipped"))
		same(t, "once", ids(t, desk, "once"), day(18, "missed ok"))
		same(t, "all", ids(t, desk, "all"), day(12, "missed ok"), day(13, "missed ok"), day(14, "missed ok"), day(15, "missed ok"), day(16, "missed ok"), day(17, "missed ok"), day(18, "missed ok"))
		same(t, "within", ids(t, desk, "within"), day(15, "missed skipped"), day(16, "missed ok"), day(17, "missed ok"), day(18, "missed ok"))
		same(t, "most", ids(t, desk, "most"), day(16, "missed skipped"), day(17, "missed ok"), day(18, "missed ok"))
		same(t, "workdays", ids(t, desk, "workdays"), day(12, "missed ok"), day(13, "missed ok"), day(14, "missed ok"), day(15, "missed ok"), day(18, "missed ok"))
		same(t, "then", ids(t, desk, "then"), day(12, "after ok"), day(13, "after ok"), day(14, "after ok"), day(15, "after ok"), day(16, "after ok"), day(17, "after ok"), day(18, "after ok"))
		// The run that waited for its second attempt has not been forgotten.
		same(t, "waits", ids(t, desk, "waits"), "2026-05-11T19:00:00+08:00 schedule ok", "2026-05-17T19:00:00+08:00 missed skipped", "2026-05-18T19:00:00+08:00 schedule skipped")
		got := ids(t, desk, "minute")
		if len(got) != 2 || !strings.HasPrefix(got[1], "2026-05-18T19:00:00+08:00 missed ok") {
			t.Errorf("minute: %v", got)
		}
		r, err := desk.Run(t.Context(), "once@2026-05-18T03:00:00+08:00")
		if err != nil || r.Missed != 6 || r.To.Sub(r.From) != 7*24*time.Hour {
			t.Errorf("%+v, %v", r, err)
		}
		if r, err := desk.Run(t.Context(), "second@2026-05-18T19:00:09+08:00"); err != nil || r.Outcome != jobs.Skipped || !strings.Contains(r.Message, "more than 10000 due times") {
			t.Errorf("%+v, %v", r, err)
		}
	})
}

// A year whose working days are not published is told every day, once, and does not pass in silence.
func TestUnpublishedYear(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := set(t, `
  - {name: often, schedule: "0 */6 * * *", days: workday, do: {read: log}}
  - {name: monthly, schedule: "0 9 * * *", days: first_workday_of_month, do: {read: log}}
`, quick)
		desk := onWall(t, "2026-12-30T20:00:00+08:00", s, &ledger.Memory{}, func(_ context.Context, _ *wall, up func() func()) {
			down := up()
			time.Sleep(60 * time.Hour)
			down()
		})
		same(t, "often", ids(t, desk, "often"), "2026-12-31T00:00:00+08:00 schedule ok", "2026-12-31T06:00:00+08:00 schedule ok", "2026-12-31T12:00:00+08:00 schedule ok", "2026-12-31T18:00:00+08:00 schedule ok",
			"2027-01-01T00:00:00+08:00 schedule failed", "2027-01-02T00:00:00+08:00 schedule failed")
		same(t, "monthly", ids(t, desk, "monthly"), "2027-01-01T09:00:00+08:00 schedule failed")
		r, err := desk.Run(t.Context(), "often@2027-01-01T00:00:00+08:00")
		if err != nil || !strings.Contains(r.Message, "2027") || !strings.Contains(r.Message, "workday") || r.Attempt != 0 {
			t.Errorf("%+v, %v", r, err)
		}
	})
}

// The days of the working calendar, against a walk through a year.
func TestDays(t *testing.T) {
	c := national(t)
	zone := time.FixedZone("", 8*3600)
	times := map[string]*jobs.Times{}
	for _, days := range []string{county.DaysAny, county.DaysWorkday, county.DaysHoliday, county.DaysFirstWorkdays} {
		s, err := county.ParseSchedule("15 8,20 * * *", zone)
		must(t, err)
		times[days] = jobs.NewTimes(&county.Job{Days: days, Zone: zone, Times: s}, c)
	}
	next := map[string]time.Time{}
	begin := time.Date(2024, 12, 31, 23, 0, 0, 0, zone)
	step := func(days string, after time.Time) {
		d, ok := times[days].Next(after)
		if !ok || d.Problem != nil {
			t.Fatalf("%s after %s: %+v", days, after, d)
		}
		if prev := times[days].Prev(d.At.Add(time.Second)); !prev.Equal(d.At) {
			t.Fatalf("%s: before %s comes %s", days, d.At.Add(time.Second), prev)
		}
		next[days] = d.At
	}
	for days := range times {
		step(days, begin)
	}
	month := time.Month(0)
	for day := begin.AddDate(0, 0, 1); day.Year() == 2025; day = day.AddDate(0, 0, 1) {
		worked, err := c.IsWorkday(dateOf(day))
		must(t, err)
		first := worked && day.Month() != month
		if first {
			month = day.Month()
		}
		for days, on := range map[string]bool{county.DaysAny: true, county.DaysWorkday: worked, county.DaysHoliday: !worked, county.DaysFirstWorkdays: first} {
			for _, hour := range []int{8, 20} {
				at := time.Date(day.Year(), day.Month(), day.Day(), hour, 15, 0, 0, zone)
				if due := next[days].Equal(at); due != on {
					t.Fatalf("%s: %s is due: %v, want %v; next is %s", days, at, due, on, next[days])
				}
				if on {
					step(days, at)
				}
			}
		}
	}
}

// A clock that was set far ahead, and corrected: what ran does not run again, and nothing waits for the wrong time to come.
func TestClockSetAheadAndBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := set(t, "  - {name: a, schedule: \"0 * * * *\", missed: once, do: {read: log}}\n", quick)
		desk := onWall(t, "2026-05-11T08:30:00+08:00", s, &ledger.Memory{}, func(_ context.Context, clock *wall, up func() func()) {
			down := up()
			time.Sleep(time.Hour) // 9:00
			clock.Set(365 * 24 * time.Hour)
			time.Sleep(time.Minute)
			clock.Set(-365 * 24 * time.Hour)
			time.Sleep(90 * time.Minute) // 10:00 and 11:00
			clock.Set(-2 * time.Hour)    // 9:01: 10:00 and 11:00 come again
			time.Sleep(3 * time.Hour)
			down()
		})
		same(t, "a", ids(t, desk, "a"), "2026-05-11T09:00:00+08:00 schedule ok", "2026-05-11T10:00:00+08:00 schedule ok", "2026-05-11T11:00:00+08:00 schedule ok", "2026-05-11T12:00:00+08:00 schedule ok",
			"2027-05-11T09:00:00+08:00 missed ok")
	})
}

// Another schedule begins anew: what it would have brought before does not count as missed. Anything else may change.
func TestAnotherSchedule(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &ledger.Memory{}
		var desk *jobs.Desk
		for i, text := range []string{
			"  - {name: a, schedule: \"0 3 * * *\", missed: all, do: {read: log}}\n",
			"  - {name: a, schedule: \"0 3 * * *\", missed: once, owner: somebody, do: {read: log}}\n",
			"  - {name: a, schedule: \"*/30 * * * *\", missed: all, do: {read: log}}\n",
		} {
			s := set(t, text, quick)
			desk = onWall(t, fmt.Sprintf("2026-05-%02dT12:10:00+08:00", 11+2*i), s, l, func(_ context.Context, clock *wall, up func() func()) {
				down := up()
				time.Sleep(30 * time.Minute)
				down()
			})
		}
		same(t, "a", ids(t, desk, "a"), "2026-05-13T03:00:00+08:00 missed ok", "2026-05-15T12:30:00+08:00 schedule ok")
	})
}
