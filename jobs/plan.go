package jobs

import (
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"time"

	"github.com/shirecounty/shire/schemas/county"
)

// The steps below know neither clock nor ledger: they turn a state into the next one. Each tells whether it changed it.

const (
	// missedAfter is how late a due time may be seen and still be no missed one.
	missedAfter = time.Minute
	// setBack is how far the clock may go back before the cursor goes with it.
	setBack = time.Hour
	// mostLost is how many processes may die under one run before it is given up: it may be what kills them.
	mostLost = 3
	// mostEnded is how many ends may be still to be told.
	mostEnded = 200
	// mostCounted bounds the counting of due times that passed.
	mostCounted = 10_000
)

// begin takes up a job that the ledger did not know, or knew with another schedule: what was due before is not made up for.
func (j *Job) begin(s *State, now time.Time) bool {
	key := j.TimesKey()
	if s.Times == key {
		return false
	}
	if s.Since.IsZero() {
		s.Since = now
	}
	s.Times, s.High, s.Cursor = key, later(s.High, s.Cursor), now
	return true
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// known reads the run of a job for a due time from the history; nil when there is none. It is asked only for due times that
// may have been decided before.
type known func(due time.Time) (*Run, error)

// before is how the run for a due time stands that was decided before; nil when there is none.
func (j *Job) before(s *State, due time.Time, seen known) (*Run, error) {
	id := j.RunID(due)
	if r := s.find(id); r != nil {
		return r, nil
	}
	for i := range s.Ended {
		if s.Ended[i].ID == id {
			return &s.Ended[i], nil
		}
	}
	return seen(due)
}

// succeed makes a run another attempt of the one that was before it.
func (r *Run) succeed(before *Run) {
	if before != nil {
		r.Attempt, r.Event = before.Attempt, before.Event+1
	}
}

// decide makes runs of the due times that have come, as the policies say, and moves the cursor over them.
func (j *Job) decide(s *State, now time.Time, node string, seen known) (_ bool, err error) {
	if s.Paused != nil || j.times == nil || len(s.Ended) > mostEnded { // I10: the next ends wait until these are told
		return false, nil
	}
	changed := false
	if s.Cursor.Sub(now) > setBack {
		// A little before now: it is not noticed at once that the clock was set.
		s.High, s.Cursor, changed = later(s.High, s.Cursor), now.Add(-missedAfter), true
	}
	due, ok := j.times.Next(s.Cursor)
	if !ok || due.At.After(now) {
		return changed, nil
	}
	p := j.passed(s.Cursor, due, now)
	high := s.High
	s.Cursor, s.High = p.last.At, later(s.High, p.last.At)
	if p.skipped > 0 {
		r := j.newRun(p.lastSkipped, CauseMissed, now)
		r.Outcome, r.Node, r.Finished, r.Missed = Skipped, node, now, p.skipped-1
		r.Message = fmt.Sprintf("%s passed while nothing ran, and %s not made up for (missed: %s)", times(p.skipped), are(p.skipped), j.Missed)
		s.ended(r)
	}
	busy := slices.ContainsFunc(s.Active, func(r Run) bool { return r.Backfill == "" })
	for i, d := range p.runs {
		var before *Run
		if !d.At.After(high) { // the clock was set back: what has run does not run again, what was skipped may
			if before, err = j.before(s, d.At, seen); err != nil {
				return false, err
			}
			if before != nil && before.Outcome != Skipped {
				continue
			}
		}
		cause := CauseSchedule
		if p.missed(d, now) {
			cause = CauseMissed
		}
		r := j.newRun(d.At, cause, now)
		r.succeed(before)
		if i == 0 && p.covers > 0 {
			r.Missed, r.From = p.covers, p.from
		}
		j.admit(s, r, d.Problem, node, now, busy && cause == CauseSchedule)
	}
	return true, nil
}

func times(n int) string {
	switch {
	case n == 1:
		return "one due time"
	case n >= mostCounted:
		return fmt.Sprintf("more than %d due times", mostCounted)
	}
	return fmt.Sprintf("%d due times", n)
}

func are(n int) string {
	if n == 1 {
		return "is"
	}
	return "are"
}

// passage is what has come due since the cursor.
type passage struct {
	last        Due       // the newest: the cursor goes there
	runs        []Due     // that take place, in their order
	covers      int       // due times that the first run stands for, beyond its own
	begin, from time.Time // the first of them, and where the interval begins then
	skipped     int       // due times that do not take place
	lastSkipped time.Time
	overlaps    bool // the newest is on time and nothing is made up for: overlap is asked
}

func (p *passage) missed(d Due, now time.Time) bool {
	return !p.overlaps || now.Sub(d.At) > missedAfter
}

// passed chooses among the due times after the cursor and up to now, of which first is the first.
func (j *Job) passed(cursor time.Time, first Due, now time.Time) *passage {
	p := &passage{last: first}
	next, ok := j.times.Next(first.At)
	if (!ok || next.At.After(now)) && now.Sub(first.At) <= missedAfter {
		p.runs, p.overlaps = []Due{first}, true // as nearly always
		return p
	}
	oldest := time.Time{}
	if j.MissedWithin > 0 {
		oldest = now.Add(-time.Duration(j.MissedWithin))
	}
	// The newest ones: all that any policy can want. There may be millions of older ones.
	newest := j.newest(cursor, now, j.MissedMost+1)
	p.last = newest[len(newest)-1]
	onTime := now.Sub(p.last.At) <= missedAfter
	switch j.Missed {
	case county.MissedAll:
		most := j.MissedMost
		if onTime {
			most++
		}
		newest = newest[max(len(newest)-most, 0):]
		for _, d := range newest {
			if !d.At.Before(oldest) {
				p.runs = append(p.runs, d)
			}
		}
	case county.MissedOnce:
		if onTime || !p.last.At.Before(oldest) {
			p.runs = []Due{p.last}
			begin := first
			if first.At.Before(oldest) {
				begin, _ = j.times.Next(oldest.Add(-time.Nanosecond))
			}
			if begin.At.Before(p.last.At) {
				p.begin = begin.At
				p.from, _ = j.interval(begin.At)
				p.covers, _ = j.count(begin, p.last.At)
			}
		}
	default:
		if onTime {
			p.runs, p.overlaps = []Due{p.last}, true
		}
	}
	// What is before those that take place, or are stood for, does not.
	end := p.last.At.Add(time.Nanosecond)
	if len(p.runs) > 0 {
		end = p.runs[0].At
		if p.covers > 0 {
			end = p.begin
		}
	}
	p.skipped, p.lastSkipped = j.count(first, end)
	return p
}

// newest are the newest due times after the cursor and up to now, n at most, in their order.
func (j *Job) newest(cursor, now time.Time, n int) []Due {
	var list []Due
	before := now.Add(time.Nanosecond)
	for range n {
		at := j.times.Prev(before)
		if at.IsZero() || !at.After(cursor) {
			break
		}
		due, _ := j.times.Next(at.Add(-time.Nanosecond))
		list = append(list, due)
		before = at
	}
	slices.Reverse(list)
	return list
}

// count counts the due times from one on and before another, up to a bound, and tells the last.
func (j *Job) count(from Due, before time.Time) (n int, last time.Time) {
	for d, ok := from, true; ok && d.At.Before(before); d, ok = j.times.Next(d.At) {
		last = d.At
		if n++; n == mostCounted {
			return n, j.times.Prev(before)
		}
	}
	return n, last
}

func (j *Job) newRun(due time.Time, cause string, now time.Time) Run {
	r := Run{ID: j.RunID(due), Job: j.Name, Source: j.Source, Owner: j.Owner, Due: due, Cause: cause, Outcome: Waiting, Created: now}
	r.From, r.To = j.interval(due)
	return r
}

// admit adds a run that is due: it waits for its turn, unless there is a problem with it or a run of before that it may not
// overlap.
func (j *Job) admit(s *State, r Run, problem error, node string, now time.Time, busy bool) {
	refuse := func(outcome, message string) {
		r.Outcome, r.Message, r.Node, r.Finished = outcome, message, node, now
		if outcome == Failed {
			s.alert(j, KindFailed, &r, now)
		}
		s.ended(r)
	}
	switch {
	case problem != nil:
		refuse(Failed, problem.Error())
		return
	case busy && j.Overlap == county.OverlapSkip:
		refuse(Skipped, "a run of before still went on (overlap: skip)")
		return
	case busy && j.Overlap == county.OverlapCancel:
		for _, old := range slices.Clone(s.Active) {
			if old.Backfill == "" {
				s.cancel(old.ID, "a newer run takes its place (overlap: cancel)", node, now)
			}
		}
	}
	if len(s.Active) >= mostActive {
		refuse(Skipped, fmt.Sprintf("%d runs of before still wait", len(s.Active)))
		return
	}
	s.Active = append(s.Active, r)
}

// cancel ends a run that waits, and asks the process of one that goes on to stop it.
func (s *State) cancel(id, reason, node string, now time.Time) bool {
	r := s.find(id)
	if r == nil || r.Cancel != "" {
		return false
	}
	if r.Outcome == Waiting {
		s.end(id, Cancelled, reason, node, now)
		return true
	}
	r.Cancel = reason
	return true
}

// claim starts runs whose turn has come, in a process that has room for so many. The runs it returns are this process's to
// do, once the state is written.
func (j *Job) claim(s *State, now time.Time, node string, room int) (claimed []Run) {
	for len(claimed) < room {
		r := j.turn(s, now)
		if r == nil {
			return claimed
		}
		r.Outcome, r.Node, r.Started, r.NotBefore, r.Message = Running, node, now, time.Time{}, ""
		r.Finished, r.Counts = time.Time{}, nil
		r.Attempt++
		r.Event++
		claimed = append(claimed, *r)
	}
	return claimed
}

// turn is the run that may start now; nil when none may.
//
// Where runs may not overlap, one goes on at a time: what a person asked for is first, then the others in their order, where
// one that waits for another attempt holds up those behind it. A backfill takes what time is left.
func (j *Job) turn(s *State, now time.Time) *Run {
	var usual, backfill *Run
	held := false // an earlier run waits for another attempt
	for i := range s.Active {
		r := &s.Active[i]
		ready := r.Outcome == Waiting && !r.NotBefore.After(now)
		switch {
		case r.Outcome == Running && j.Overlap != county.OverlapAllow:
			return nil
		case r.Outcome == Running, s.Paused != nil && r.Cause != CauseHand:
		case r.Cause == CauseHand && ready && (usual == nil || usual.Cause != CauseHand):
			usual = r
		case r.Backfill != "":
			if ready && backfill == nil {
				backfill = r
			}
		case j.Overlap == county.OverlapAllow || r.Cause == CauseHand:
			if ready && usual == nil {
				usual = r
			}
		case !held && usual == nil && ready:
			usual = r
		default:
			held = true
		}
	}
	if usual == nil {
		return backfill
	}
	return usual
}

// errInterrupted says that an attempt ended because its process stops, or cannot reach the ledger: no fault of its own.
var errInterrupted = errors.New("interrupted")

// errFenced says that an attempt was taken away.
var errFenced = errors.New("the run was taken by another process, because this one was silent for longer than its lease")

// finish writes down how an attempt ended: the run is over, or waits for the next attempt. The error is errFenced when the
// attempt does not run here any more.
func (j *Job) finish(s *State, run *Run, result Result, failed error, node string, now time.Time) error {
	r := s.find(run.ID)
	if r == nil || r.Outcome != Running || r.Attempt != run.Attempt || r.Node != node {
		return errFenced
	}
	r.Counts = result.Counts
	switch {
	case failed == nil: // also when it was asked to stop: it was quicker
		s.end(r.ID, OK, result.Message, node, now)
	case r.Cancel != "":
		s.end(r.ID, Cancelled, r.Cancel, node, now)
	case errors.Is(failed, errInterrupted):
		r.Outcome, r.Node, r.Message = Waiting, "", failed.Error()+"; it is taken up again"
		r.Event++
	default:
		r.Failures++
		if r.Failures > j.Retries.Most || errors.Is(failed, ErrPermanent) {
			r.Message = failed.Error()
			s.alert(j, KindFailed, r, now)
			s.end(r.ID, Failed, failed.Error(), node, now)
			break
		}
		r.Outcome, r.Node, r.Message = Waiting, "", failed.Error()
		r.NotBefore = now.Add(j.backoff(r))
		r.Event++
	}
	return nil
}

// backoff is how long a run waits after its failures, the same whoever reckons it. The jitter keeps jobs that failed together
// from coming back together.
func (j *Job) backoff(r *Run) time.Duration {
	wait, longest := time.Duration(j.Retries.Wait), time.Duration(j.Retries.Longest)
	for range r.Failures - 1 {
		if wait *= 2; wait >= longest {
			break
		}
	}
	wait = min(wait, longest)
	h := fnv.New32a()
	fmt.Fprintf(h, "%s/%d", r.ID, r.Failures)
	return min(wait-wait/5+time.Duration(float64(wait)*0.4*float64(h.Sum32())/float64(1<<32)), longest)
}

// takeOver takes the runs of processes that died: they are tried again. What a dead process had to tell, this one tells.
func (j *Job) takeOver(s *State, dead func(node string) bool, node string, now time.Time) (changed bool) {
	for _, old := range slices.Clone(s.Active) {
		if old.Outcome != Running || !dead(old.Node) {
			continue
		}
		changed = true
		r := s.find(old.ID)
		r.Lost++
		switch {
		case r.Cancel != "":
			s.end(r.ID, Cancelled, r.Cancel, node, now)
		case r.Lost > mostLost:
			r.Message = fmt.Sprintf("the process that ran it died, %d times in all; it is given up, because it may be what they die of", r.Lost)
			s.alert(j, KindFailed, r, now)
			s.end(r.ID, Failed, r.Message, node, now)
		default:
			r.Outcome, r.Node, r.Message = Waiting, "", "the process that ran it died; it is tried again"
			r.Event++
		}
	}
	for i := range s.Ended {
		if r := &s.Ended[i]; r.Node != node && dead(r.Node) {
			r.Node, changed = node, true
		}
	}
	for i := range s.Alerts {
		if a := &s.Alerts[i]; a.Node != node && dead(a.Node) {
			a.Node, changed = node, true
		}
	}
	return changed
}

// wake is when a job has to be looked at again if nothing changes meanwhile; zero for never. Without room in this process,
// runs whose turn has come are left to wait.
func (j *Job) wake(s *State, now time.Time, node string, dead func(node string) bool, room bool) time.Time {
	var at time.Time
	sooner := func(t time.Time) {
		if !t.IsZero() && (at.IsZero() || t.Before(at)) {
			at = t
		}
	}
	ours := func(owner string) bool { return owner == node || dead(owner) }
	switch {
	case s.Times != j.TimesKey(),
		slices.ContainsFunc(s.Ended, func(r Run) bool { return ours(r.Node) }),
		slices.ContainsFunc(s.Active, func(r Run) bool { return r.Outcome == Running && dead(r.Node) }),
		room && j.turn(s, now) != nil, j.backfilling(s):
		return now
	}
	if s.Paused == nil && j.times != nil && len(s.Ended) <= mostEnded {
		if s.Cursor.Sub(now) > setBack {
			return now
		}
		if due, ok := j.times.Next(s.Cursor); ok {
			sooner(due.At)
		}
	}
	for i := range s.Active {
		r := &s.Active[i]
		if r.Outcome == Waiting && r.NotBefore.After(now) {
			sooner(r.NotBefore)
		}
		sooner(j.lateAt(r))
	}
	sooner(j.silentAt(s))
	return at
}
