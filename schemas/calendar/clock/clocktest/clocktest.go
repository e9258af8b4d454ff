// Package clocktest makes random cases for tests of legal time: times that meet at midnight, noon and the edges of the calendar,
// stops that overlap, lack an end or have the wrong one.
package clocktest

import (
	"math/rand/v2"
	"time"

	"github.com/shirecounty/shire/schemas/calendar/clock"
)

// Cases makes the cases of one seed. Every time stands between From and To, a step's at most Days before or after acceptance.
type Cases struct {
	Rand     *rand.Rand
	Zone     *time.Location
	From, To time.Time
	Days     int
}

// Next makes a case. One in twenty is not accepted, one in four is open, and few are without contradictions.
func (c *Cases) Next() clock.Case {
	around := c.From.Add(time.Duration(c.Rand.Int64N(int64(c.To.Sub(c.From)))))
	k := clock.Case{Accepted: c.near(around, 1), Closed: c.near(around, c.Days)}
	if k.Closed.Before(k.Accepted) && c.Rand.IntN(20) > 0 {
		k.Accepted, k.Closed = k.Closed, k.Accepted
	}
	if c.Rand.IntN(20) == 0 {
		k.Accepted = time.Time{}
	}
	if c.Rand.IntN(4) == 0 {
		k.Closed = time.Time{}
	}
	kinds := [...]string{"", "step", clock.Supplement, clock.Special, clock.Supplement, clock.Special, clock.Reopened}
	for range c.Rand.IntN(6) {
		s := clock.Step{Kind: kinds[c.Rand.IntN(len(kinds))], Started: c.near(around, c.Days), EndsFilled: c.Rand.IntN(3) == 0}
		s.Ended = c.near(s.Started, c.Days/2)
		if s.Ended.Before(s.Started) && c.Rand.IntN(20) > 0 {
			s.Started, s.Ended = s.Ended, s.Started
		}
		if s.Kind == clock.Reopened && !k.Closed.IsZero() && s.Ended.After(k.Closed) && c.Rand.IntN(20) > 0 {
			s.Ended = k.Closed
		}
		switch c.Rand.IntN(12) {
		case 0, 1:
			s.Ended = time.Time{}
		case 2, 3:
			s.Ended = s.Started
		case 4:
			s.Started = k.Accepted // zero if there is none
		case 5:
			s.Started = time.Time{}
		}
		k.Steps = append(k.Steps, s)
	}
	return k
}

// near is a time at most days before or after t, often one at which something changes: a day or its second half begins.
func (c *Cases) near(t time.Time, days int) time.Time {
	year, month, day := t.In(c.Zone).Date()
	at := time.Date(year, month, day+c.Rand.IntN(2*days+1)-days, 0, 0, 0, 0, c.Zone)
	switch c.Rand.IntN(6) {
	case 0:
	case 1:
		at = at.Add(-time.Microsecond)
	case 2:
		at = at.Add(12 * time.Hour)
	case 3:
		at = at.Add(12*time.Hour - time.Microsecond)
	default:
		at = at.Add(time.Duration(c.Rand.Int64N(24*int64(time.Hour/time.Microsecond))) * time.Microsecond)
	}
	switch {
	case at.Before(c.From):
		return c.From
	case at.After(c.To):
		return c.To
	}
	return at
}
