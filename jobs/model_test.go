package jobs_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/shirecounty/shire/jobs"
	"github.com/shirecounty/shire/jobs/ledger"
	"github.com/shirecounty/shire/schemas/county"
)

// The histories below drive several schedulers at once on one ledger: processes start, stop, and are killed at any write;
// jobs are paused; the clock is set. Beside them a model does what the policies say, one due time after the other. Afterwards
// both must know the same runs.

// expected is what the model knows of a run.
type expected struct {
	cause    string
	from, to time.Time
	missed   int
	outcome  string
}

// model is a job as its policies say: no ledger, no processes, one due time after the other.
type model struct {
	job          *county.Job
	times        *jobs.Times
	known        bool
	cursor, high time.Time
	paused       bool
	runs         map[string]expected
	again        map[string][]expected // what a run is if an overlap skipped it before the clock was set back
	set          *jobs.Job
}

// observe is a moment at which somebody looks.
func (m *model) observe(now time.Time) {
	if m.times == nil {
		return
	}
	if !m.known {
		m.known, m.cursor = true, now
	}
	if m.paused {
		return
	}
	if m.cursor.Sub(now) > time.Hour {
		if m.cursor.After(m.high) {
			m.high = m.cursor
		}
		m.cursor = now.Add(-time.Minute)
	}
	var due []time.Time
	problems := map[time.Time]bool{}
	for d, ok := m.times.Next(m.cursor); ok && !d.At.After(now); d, ok = m.times.Next(d.At) {
		due = append(due, d.At)
		problems[d.At] = d.Problem != nil
	}
	if len(due) == 0 {
		return
	}
	last := due[len(due)-1]
	onTime := now.Sub(last) <= time.Minute
	m.cursor = last
	within := func(d time.Time) bool {
		return m.job.MissedWithin == 0 || !d.Before(now.Add(-time.Duration(m.job.MissedWithin)))
	}
	var takesPlace, stoodFor, skipped []time.Time
	for i, d := range due {
		newest := i == len(due)-1
		switch {
		case newest && onTime:
			takesPlace = append(takesPlace, d)
		case m.job.Missed == county.MissedSkip || !within(d):
			skipped = append(skipped, d)
		case m.job.Missed == county.MissedAll:
			takesPlace = append(takesPlace, d)
		case newest:
			takesPlace = append(takesPlace, d)
		default:
			stoodFor = append(stoodFor, d)
		}
	}
	if m.job.Missed == county.MissedAll {
		most := m.job.MissedMost
		if onTime {
			most++
		}
		if more := len(takesPlace) - most; more > 0 {
			skipped, takesPlace = append(skipped, takesPlace[:more]...), takesPlace[more:]
		}
	}
	if len(skipped) > 0 {
		d := slices.MaxFunc(skipped, time.Time.Compare)
		m.note(d, expected{cause: jobs.CauseMissed, from: m.times.Prev(d), to: d, missed: len(skipped) - 1, outcome: jobs.Skipped})
	}
	for i, d := range takesPlace {
		e := expected{cause: jobs.CauseMissed, from: m.times.Prev(d), to: d, outcome: jobs.OK}
		if onTime && (len(due) == 1 || m.job.Missed == county.MissedSkip) {
			e.cause = jobs.CauseSchedule
		}
		if problems[d] {
			e.outcome = jobs.Failed
		}
		if i == 0 && len(stoodFor) > 0 {
			e.missed, e.from = len(stoodFor), m.times.Prev(stoodFor[0])
		}
		m.note(d, e)
	}
}

func (m *model) note(due time.Time, e expected) {
	id := m.set.RunID(due)
	if old, there := m.runs[id]; there && (old.outcome != jobs.Skipped || e.outcome == jobs.Skipped) {
		// It has run, before the clock was set back; unless another run went on then, of which the model knows nothing.
		if m.job.Overlap == county.OverlapSkip && e.outcome != jobs.Skipped {
			m.again[id] = append(m.again[id], e)
		}
		return
	}
	m.runs[id] = e
}

// step is one thing that happens, after some time.
type step struct {
	after time.Duration
	do    string
	job   int
	arg   int
}

var schedules = []string{"every: 5m", "every: 30m", "every: 6h", `schedule: "*/15 * * * *"`, `schedule: "20 */2 * * *"`, `schedule: "30 2 * * *"`,
	`schedule: "0 9 * * *", days: workday`, `schedule: "*/20 8,9 * * *", days: holiday`, `schedule: "10 3 * * *", time_zone: Europe/Amsterdam`}

func drawJob(t *rapid.T, i int) (text string, takes time.Duration, fails int) {
	missed := rapid.SampledFrom([]string{"skip", "once", "all"}).Draw(t, "missed")
	overlap := rapid.SampledFrom([]string{"skip", "queue", "cancel", "allow"}).Draw(t, "overlap")
	schedule := rapid.SampledFrom(schedules).Draw(t, "schedule")
	text = fmt.Sprintf("  - {name: job%d, %s, do: {read: log}, missed: %s, overlap: %s", i, schedule, missed, overlap)
	if rapid.Bool().Draw(t, "bounded") {
		text += fmt.Sprintf(", missed_within: %s, missed_most: %d", rapid.SampledFrom([]string{"30m", "6h", "50h"}).Draw(t, "within"), rapid.IntRange(1, 12).Draw(t, "most"))
	}
	takes = rapid.SampledFrom([]time.Duration{0, 0, 3 * time.Second, 4 * time.Minute, 20 * time.Minute}).Draw(t, "takes")
	fails = rapid.SampledFrom([]int{0, 0, 0, 2}).Draw(t, "fails")
	if overlap == "queue" && (schedule == "every: 5m" || strings.Contains(schedule, "*/15")) { // a queue that only grows proves nothing
		takes, fails = min(takes, time.Minute), 0
	}
	return text + ", retries: {most: 2, wait: 10s, longest: 1m}}\n", takes, fails
}

func TestHistoriesAgainstTheModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		s := drawStory(rt, 12)
		var problem error
		synctest.Test(t, func(t *testing.T) { problem = history(t, s, &ledger.Memory{}, 0) })
		if problem != nil {
			rt.Fatalf("%s\n%v", s, problem)
		}
	})
}

// story is what happens in a history: to which jobs, and from when.
type story struct {
	begin time.Time
	text  string // of the jobs
	takes map[string]time.Duration
	fails map[string]int
	steps []step
}

func (s story) String() string {
	return fmt.Sprintf("from %s, jobs:\n%s\ntakes %v, fails %v, steps %+v", s.begin, s.text, s.takes, s.fails, s.steps)
}

func drawStory(rt *rapid.T, mostSteps int) story {
	n := rapid.IntRange(1, 3).Draw(rt, "jobs")
	s := story{takes: map[string]time.Duration{}, fails: map[string]int{}}
	for i := range n {
		one, took, failed := drawJob(rt, i)
		s.text += one
		s.takes[fmt.Sprintf("job%d", i)], s.fails[fmt.Sprintf("job%d", i)] = took, failed
	}
	s.text += "  - {name: then, after: [job0], do: {read: log}, overlap: queue}\n"
	s.steps = rapid.SliceOfN(rapid.Custom(func(t *rapid.T) step {
		return step{
			after: time.Duration(rapid.SampledFrom([]int{1, 67, 601, 3607, 4 * 3611, 9*3600 + 7}).Draw(t, "after")) * time.Second,
			do:    rapid.SampledFrom([]string{"start", "start", "kill", "kill", "stop", "break", "pause", "resume", "forward", "back", "run", "cancel"}).Draw(t, "do"),
			job:   rapid.IntRange(0, n-1).Draw(t, "job"), arg: rapid.IntRange(0, 30).Draw(t, "arg"),
		}
	}), 1, mostSteps).Draw(rt, "steps")
	// A usual day, summer time that begins and ends in Amsterdam, a leap day, and a year that is not published.
	var err error
	if s.begin, err = time.Parse(time.RFC3339, rapid.SampledFrom([]string{"2026-05-11T07:00:03+08:00", "2026-03-28T20:00:03+08:00", "2026-10-24T20:00:03+08:00",
		"2024-02-28T12:00:03+08:00", "2026-12-30T22:00:03+08:00"}).Draw(rt, "begin")); err != nil {
		rt.Fatal(err)
	}
	return s
}

func history(t *testing.T, story story, l jobs.Ledger, lease time.Duration) error {
	clock := newWall()
	clock.Set(story.begin.Sub(clock.Now()))
	w := &world{t: t, clock: clock, ledger: l, lease: lease, county: define(t, story.text), takes: story.takes, fails: story.fails}
	set, err := jobs.NewSet(w.county, national(t), nil)
	if err != nil {
		return err
	}
	desk := &jobs.Desk{Ledger: w.ledger, Jobs: set, Clock: w.clock}
	var models []*model
	for i := range w.county {
		j := &w.county[i]
		models = append(models, &model{job: j, times: jobs.NewTimes(j, national(t)), runs: map[string]expected{}, again: map[string][]expected{}, set: set[j.Name]})
	}
	// observe is told whether anybody was up until a moment ago.
	observe := func(up bool) {
		for _, m := range models {
			if up && w.looked(m) {
				m.observe(w.clock.Now())
			}
		}
	}
	byHand, killed, steady := map[string]bool{}, false, true
	pass := func(d time.Duration) {
		// While somebody is up, each due time is seen when it comes; a process that breaks by itself is noticed here, at its write.
		for end := time.Now().Add(d); ; {
			next := end
			for _, m := range models {
				if m.times == nil {
					continue
				}
				if due, ok := m.times.Next(w.clock.Now()); ok {
					if at := time.Now().Add(due.At.Sub(w.clock.Now())); at.Before(next) {
						next = at
					}
				}
			}
			up := len(w.alive()) > 0
			time.Sleep(time.Until(next))
			synctest.Wait()
			observe(up)
			if !time.Now().Before(end) {
				return
			}
		}
	}
	ctx := context.Background()
	for _, s := range story.steps {
		pass(s.after)
		name := fmt.Sprintf("job%d", s.job)
		switch s.do {
		case "start", "break":
			after := -1
			if s.do == "break" {
				killed, after = true, s.arg+2 // past the write by which it enters
			}
			if len(w.alive()) < 3 {
				w.start(after)
				observe(true)
			}
		case "kill", "stop":
			if list := w.alive(); len(list) > 0 {
				p := list[s.arg%len(list)]
				if s.do == "kill" {
					killed = true
					p.kill()
				} else {
					p.cancel()
				}
				<-p.ended
			}
		case "pause":
			if desk.Pause(ctx, name, "a person asked") == nil {
				models[s.job].paused = true
				models[s.job].know(w.clock.Now())
			}
		case "resume":
			up := len(w.alive()) > 0
			if desk.Resume(ctx, name) == nil {
				models[s.job].paused = false
				synctest.Wait()
				observe(up)
			}
		case "forward", "back":
			by := []time.Duration{7 * time.Second, 20 * time.Minute, 3 * time.Hour, 31 * time.Hour}[s.arg%4]
			if s.do == "back" {
				by, steady = -by, false
			}
			// In the half minute in which it is noticed, nothing is due that was not due before.
			now := w.clock.Now()
			pass(now.Truncate(time.Minute).Add(70 * time.Second).Sub(now))
			up := len(w.alive()) > 0
			w.clock.Set(by)
			if s.do == "back" && s.arg >= 20 { // nobody lives to notice it
				for _, p := range w.alive() {
					killed = true
					p.kill()
					<-p.ended
				}
				break
			}
			synctest.Wait()
			observe(up)
			if s.do == "back" {
				pass(31 * time.Second)
			}
		case "run":
			r, err := desk.Trigger(ctx, name, nil)
			if err != nil {
				return err
			}
			byHand[r.ID] = true
			models[s.job].know(w.clock.Now())
		case "cancel":
			if st, err := desk.Show(ctx, name); err == nil && len(st.Active) > 0 {
				if desk.Cancel(ctx, st.Active[0].ID, "") == nil {
					byHand[st.Active[0].ID] = true // whatever it was: its outcome is a person's
				}
			}
		}
		synctest.Wait()
	}
	// Whatever was, in the end somebody is up and nothing is paused.
	w.start(-1)
	observe(true)
	for i, m := range models {
		if desk.Resume(ctx, w.county[i].Name) == nil {
			m.paused = false
		}
	}
	synctest.Wait()
	observe(true)
	pass(3 * time.Hour)
	over := w.clock.Now() // what was due up to here has to be over at some time
	for hours := 0; ; hours++ {
		going, err := unfinished(desk, over)
		if err != nil {
			return err
		}
		if going == "" {
			break
		}
		if hours > 2000 {
			return fmt.Errorf("it never ends: %s", going)
		}
		pass(time.Hour)
	}
	for _, p := range w.alive() {
		p.cancel()
		<-p.ended
	}
	for _, p := range w.procs {
		<-p.ended
	}
	synctest.Wait()
	if err := w.judge(killed); err != nil {
		return err
	}
	for _, m := range models {
		runs, err := w.ledger.Runs(ctx, m.job.Name, 1<<20)
		if err != nil {
			return err
		}
		late := func(r jobs.Run) bool { return r.Due.After(over) }
		runs = slices.DeleteFunc(runs, late)
		if err := m.compare(runs, byHand, over, steady); err != nil && m.times != nil {
			return fmt.Errorf("%s (missed %s, overlap %s): %w", m.job.Name, m.job.Missed, m.job.Overlap, err)
		}
		if m.job.Name == "then" {
			before, err := w.ledger.Runs(ctx, "job0", 1<<20)
			if err != nil {
				return err
			}
			if err := compareAfter(slices.DeleteFunc(before, late), runs); err != nil {
				return fmt.Errorf("after: %w", err)
			}
		}
	}
	return nil
}

// know is what a desk does to a job that nobody knew: it begins there.
func (m *model) know(now time.Time) {
	if !m.known {
		m.known, m.cursor = true, now
	}
}

// looked tells whether a job has been looked at just now: by somebody who is up; or by one who broke at this moment, before or
// after it wrote what it decided, which only the ledger knows. What it decided the model knows by itself.
func (w *world) looked(m *model) bool {
	if len(w.alive()) > 0 {
		return true
	}
	var state jobs.State
	e, err := w.ledger.Get(context.Background(), "job."+m.job.Name)
	if err != nil || len(e.Value) == 0 || json.Unmarshal(e.Value, &state) != nil {
		return false
	}
	if !m.known || m.times == nil {
		return true
	}
	// Who noticed that the clock was set back begins a little later than the model does: the cursors differ before anything was decided.
	now, last := w.clock.Now(), time.Time{}
	for d, ok := m.times.Next(m.cursor); ok && !d.At.After(now); d, ok = m.times.Next(d.At) {
		last = d.At
	}
	if !last.IsZero() {
		return state.Cursor.Equal(last)
	}
	return !state.Cursor.Equal(m.cursor)
}

// unfinished is a run that was due and is not over; empty when there is none.
func unfinished(desk *jobs.Desk, until time.Time) (string, error) {
	list, err := desk.List(context.Background())
	if err != nil {
		return "", err
	}
	for _, s := range list {
		for _, r := range s.Active {
			if !r.Due.After(until) {
				return fmt.Sprintf("%+v", r), nil
			}
		}
	}
	return "", nil
}

// compare proves that the history knows the runs that the model knows, as it knows them.
func (m *model) compare(runs []jobs.Run, byHand map[string]bool, until time.Time, steady bool) error {
	known := map[string]bool{}
	for _, r := range runs {
		known[r.ID] = true
		if !r.Over() {
			return fmt.Errorf("run %s is still %s", r.ID, r.Outcome)
		}
		if byHand[r.ID] {
			continue
		}
		e, there := m.runs[r.ID]
		if !there {
			return fmt.Errorf("run %s (%s, %s, %s) should not be there", r.ID, r.Cause, r.Outcome, r.Message)
		}
		overlaps := r.Outcome == jobs.Skipped && strings.Contains(r.Message, "overlap") || r.Outcome == jobs.Cancelled && strings.Contains(r.Message, "overlap")
		if !slices.ContainsFunc(append([]expected{e}, m.again[r.ID]...), func(e expected) bool {
			return r.Cause == e.cause && r.From.Equal(e.from) && r.To.Equal(e.to) && r.Missed == e.missed && (r.Outcome == e.outcome || overlaps)
		}) {
			return fmt.Errorf("run %s is %s %s, %s to %s, for %d more (%s); the model has %+v", r.ID, r.Cause, r.Outcome, r.From, r.To, r.Missed, r.Message, e)
		}
		if overlaps && m.job.Overlap != county.OverlapSkip && m.job.Overlap != county.OverlapCancel {
			return fmt.Errorf("run %s met an overlap: %s", r.ID, r.Message)
		}
		if !steady { // a clock that was set back tells of no two runs which was first
			continue
		}
		others := slices.ContainsFunc(runs, func(o jobs.Run) bool {
			return o.ID != r.ID && !o.Created.After(r.Created) && o.Finished.After(r.Created) && o.Outcome != jobs.Skipped
		})
		if m.job.Overlap == county.OverlapSkip && overlaps && !slices.ContainsFunc(runs, func(o jobs.Run) bool {
			return o.ID != r.ID && !o.Created.After(r.Created) && !o.Finished.Before(r.Created) && o.Outcome != jobs.Skipped
		}) {
			return fmt.Errorf("run %s was skipped, and no other went on", r.ID)
		}
		if m.job.Overlap == county.OverlapSkip && r.Cause == jobs.CauseSchedule && !overlaps && others && r.Outcome != jobs.Skipped {
			return fmt.Errorf("run %s took place although another went on", r.ID)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(m.runs)) {
		if !known[id] && !m.runs[id].to.After(until) {
			return fmt.Errorf("run %s (%+v) is missing", id, m.runs[id])
		}
	}
	return nil
}

// compareAfter proves that a job that comes after another has a run for each of its runs that was due.
func compareAfter(before, after []jobs.Run) error {
	outcomes := map[int64]string{}
	for _, r := range after {
		outcomes[r.Due.Unix()] = r.Outcome
	}
	chained := 0
	for _, r := range before {
		if r.Cause != jobs.CauseSchedule && r.Cause != jobs.CauseMissed {
			continue
		}
		chained++
		want := jobs.OK
		if r.Outcome != jobs.OK {
			want = jobs.Skipped
		}
		if outcomes[r.Due.Unix()] != want {
			return fmt.Errorf("after %s, which was %s, the run is %q", r.ID, r.Outcome, outcomes[r.Due.Unix()])
		}
	}
	if len(after) != chained {
		return fmt.Errorf("%d runs after %d", len(after), chained)
	}
	return nil
}
