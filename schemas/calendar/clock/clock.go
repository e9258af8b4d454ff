// Package clock counts the legal time (法定办理时长) of a case: the working days from acceptance to closing without those in
// which the clock stood still. docs/clocks.md defines it; the view mart.cases counts the same in SQL.
package clock

import (
	"cmp"
	"errors"
	"slices"
	"time"

	"github.com/shirecounty/shire/schemas/calendar"
)

// Rules is how a county counts. The zero value counts whole days.
type Rules struct {
	HalfDays bool
	Noon     time.Duration // with HalfDays: the time of day, in whole minutes, at which the second half of a day begins
}

// Parts is how many parts of a working day are counted: 1 or 2.
func (r Rules) Parts() int {
	if r.HalfDays {
		return 2
	}
	return 1
}

// The kinds of steps that stop the clock. Any other step shows that the case was worked on.
const (
	Supplement = "supplement" // 补正: from the notice of what is missing until it was handed in
	Special    = "special"    // 特别程序: hearing, inspection, appraisal, extension
	Reopened   = "reopened"   // 重新办理: from a closing until the case was taken up again
)

// Step is one step of a case. A time that is not known is zero.
type Step struct {
	Kind           string
	Started, Ended time.Time
	EndsFilled     bool // its source writes the start where it knows no end
}

// Case is what the clock needs to know of a case. A time that is not known, or not yet, is zero.
type Case struct {
	Accepted, Closed time.Time
	Steps            []Step
}

// Legal is the legal time of a case, with what the steps that stop its clock lack.
type Legal struct {
	Days    float64 // working days that count; a multiple of 1/Parts
	Stopped float64 // working days that do not, since the clock stood still

	Unended  int // supplements and special procedures whose end is not known
	Zero     int // stops whose end is their start, in a source that is not known to fill missing ends
	Unusable int // stops that count for nothing: no start, an end before it, or a reopening without its end
}

// Why there is no legal time. Where it needs a year that is not published the error is a [calendar.UnpublishedError].
var (
	ErrNotAccepted          = errors.New("the case is not accepted, so that its legal time has not begun")
	ErrClosedBeforeAccepted = errors.New("the case is closed before it is accepted: one of the two times is wrong")
	ErrReopenedAfterClosed  = errors.New("the case was taken up again after its closing: the time of closing has to be that of the last")
)

// Clock counts by the calendar and the rules of a county. It is safe for concurrent use.
type Clock struct {
	calendar *calendar.Calendar
	zone     *time.Location
	rules    Rules
}

// New makes the clock of a county in its time zone.
func New(cal *calendar.Calendar, zone *time.Location, rules Rules) *Clock {
	return &Clock{calendar: cal, zone: zone, rules: rules}
}

// part is a day, or half a day, numbered from 1970-01-01.
type part int64

// span is the parts in (from, to].
type span struct{ from, to part }

// Legal counts the legal time of a case up to its closing, or up to asOf while it is open. With an error the counts of what its
// stops lack are right all the same.
func (c *Clock) Legal(k Case, asOf time.Time) (Legal, error) {
	until := k.Closed
	if until.IsZero() {
		until = later(asOf, k.Accepted) // a case that is accepted after asOf has not used any of its time
	}
	l := Legal{}
	stops := l.examine(k, until)
	switch {
	case k.Accepted.IsZero():
		return l, ErrNotAccepted
	case !k.Closed.IsZero() && slices.ContainsFunc(k.Steps, func(s Step) bool { return s.Kind == Reopened && s.Ended.After(k.Closed) }):
		return l, ErrReopenedAfterClosed
	}
	whole := span{c.part(k.Accepted), c.part(until)}
	if whole.to < whole.from {
		return l, ErrClosedBeforeAccepted
	}
	all, err := c.worked(whole)
	if err != nil {
		return l, err
	}
	still := make([]span, len(stops))
	for i, s := range stops {
		still[i] = span{c.part(s.Started), min(c.part(s.Ended), whole.to)}
	}
	slices.SortFunc(still, func(a, b span) int { return cmp.Compare(a.from, b.from) })
	// What is before acceptance, and what an earlier stop took, is done: it is not taken again.
	stopped, done := 0, whole.from
	for _, s := range still {
		if s.from = max(s.from, done); s.from >= s.to {
			continue
		}
		n, err := c.worked(s)
		if err != nil {
			return l, err
		}
		stopped, done = stopped+n, s.to
	}
	parts := float64(c.rules.Parts())
	l.Days, l.Stopped = float64(all-stopped)/parts, float64(stopped)/parts
	return l, nil
}

func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

// examine gives the stops that count, each with an end, and counts what the others lack.
func (l *Legal) examine(k Case, until time.Time) (stops []Step) {
	for _, s := range k.Steps {
		limited := s.Kind == Supplement || s.Kind == Special
		if !limited && s.Kind != Reopened {
			continue
		}
		zero := !s.Started.IsZero() && s.Ended.Equal(s.Started)
		filled := zero && s.EndsFilled && limited
		switch {
		case s.Started.IsZero(), s.Ended.IsZero() && !limited, !s.Ended.IsZero() && s.Ended.Before(s.Started):
			l.Unusable++
		case s.Ended.IsZero() || filled:
			l.Unended++
			if s.Started.Before(k.Accepted) {
				continue // acceptance ended it
			}
			s.Ended = until
			if next := resumed(k.Steps, s.Started); filled && !next.IsZero() {
				s.Ended = next
			}
			stops = append(stops, s)
		case zero:
			l.Zero++
		default:
			stops = append(stops, s)
		}
	}
	return stops
}

// resumed is when the first step after t began that shows that the case was worked on; zero when there is none.
func resumed(steps []Step, t time.Time) (at time.Time) {
	for _, s := range steps {
		switch s.Kind {
		case Supplement, Special, Reopened:
		default:
			if s.Started.After(t) && (at.IsZero() || s.Started.Before(at)) {
				at = s.Started
			}
		}
	}
	return at
}

// part is the part of the county's calendar in which t stands.
func (c *Clock) part(t time.Time) part {
	local := t.In(c.zone)
	day := part(calendar.DateOf(local))
	if !c.rules.HalfDays {
		return day
	}
	hour, minute, _ := local.Clock()
	if time.Duration(hour)*time.Hour+time.Duration(minute)*time.Minute >= c.rules.Noon {
		return 2*day + 1
	}
	return 2 * day
}

// worked counts the parts of working days in s. An empty span needs no calendar.
func (c *Clock) worked(s span) (int, error) {
	if !c.rules.HalfDays || s.from == s.to {
		return c.calendar.Workdays(calendar.Date(s.from), calendar.Date(s.to))
	}
	// Halves of whole days after the day of from, up to and with the day of to; then the rest of the first, without the rest of the last.
	first, last := calendar.Date(s.from>>1), calendar.Date(s.to>>1)
	halves := 0
	if s.from&1 == 0 {
		working, err := c.calendar.IsWorkday(first)
		if err != nil {
			return 0, err
		}
		if working {
			halves++
		}
	}
	days, err := c.calendar.Workdays(first, last)
	if err != nil {
		return 0, err
	}
	halves += 2 * days
	if s.to&1 == 0 {
		working, err := c.calendar.IsWorkday(last)
		if err != nil {
			return 0, err
		}
		if working {
			halves--
		}
	}
	return halves, nil
}
