package simulate

import (
	"fmt"
	"time"

	"github.com/shirecounty/shire/schemas/calendar"
)

// Local times are seconds since 1970-01-01T00:00:00 on the county's clock; days are days since 1970-01-01. The county
// is on China Standard Time, which has had one offset since 1991, so no zone table is needed to write its files.
const (
	second  = int64(1)
	minute  = 60 * second
	hour    = 60 * minute
	dayLong = 24 * hour

	never = int64(1) << 60 // the time of what never happens
)

// The offices' hours: 08:30 to 12:00 and 13:30 to 17:30.
const (
	opens     = 8*hour + 30*minute
	noon      = 12 * hour
	afternoon = 13*hour + 30*minute
	closes    = 17*hour + 30*minute
	workday   = noon - opens + closes - afternoon // 7.5 hours
)

// clock counts working time by the official calendar, make-up workdays (调休) included.
type clock struct {
	first   int32   // the first day it knows
	until   int32   // the last day with a published calendar
	count   []int32 // working days from first to each day, inclusive
	working []int32 // the working days
}

// newClock knows the days from first to last and the half year after, for what is planned but never happens within
// the simulation. Of years that are not published yet it takes Monday to Friday as working days; nothing that is
// written as having happened lies there.
func newClock(cal *calendar.Calendar, first, last int32) (*clock, error) {
	c := &clock{first: first}
	for d := first; d <= last+400; d++ {
		works, err := cal.IsWorkday(calendar.Date(d))
		if err != nil {
			if d <= last {
				return nil, fmt.Errorf("the county can only be simulated in years whose working calendar is published: %w", err)
			}
			wd := calendar.Date(d).Weekday()
			works = wd != time.Saturday && wd != time.Sunday
		} else {
			c.until = d
		}
		if works {
			c.working = append(c.working, d)
		}
		c.count = append(c.count, int32(len(c.working)))
	}
	return c, nil
}

func (c *clock) isWorking(day int32) bool {
	i := day - c.first
	return i >= 0 && int(i) < len(c.count) && c.count[i] > 0 && c.working[c.count[i]-1] == day
}

// worked is the working time from the first day to t.
func (c *clock) worked(t int64) int64 {
	day := int32(t / dayLong)
	i := min(int(day-c.first), len(c.count)-1)
	full := int64(c.count[i])
	if !c.isWorking(day) {
		return full * workday
	}
	s := t % dayLong
	part := min(max(s-opens, 0), noon-opens) + min(max(s-afternoon, 0), closes-afternoon)
	return (full-1)*workday + part
}

// moment is the inverse of worked; it never lies outside working hours. Beyond the last known day it is never.
func (c *clock) moment(worked int64) int64 {
	i := worked / workday
	if i >= int64(len(c.working)) {
		return never
	}
	s := worked % workday
	t := int64(c.working[i])*dayLong + opens + s
	if s >= noon-opens {
		t += afternoon - noon
	}
	return t
}

// after adds working time.
func (c *clock) after(t, work int64) int64 {
	if t >= never {
		return never
	}
	return c.moment(c.worked(t) + work)
}

// deadline is the end of the n-th working day after the day of t.
func (c *clock) deadline(t int64, n int) int64 {
	i := int(c.count[min(int(t/dayLong)-int(c.first), len(c.count)-1)]) + n - 1
	if i >= len(c.working) {
		return never
	}
	return int64(c.working[max(i, 0)])*dayLong + closes
}

// monthEnds returns the last day of each month from first to last; the last one is cut to last.
func monthEnds(first, last int32) []int32 {
	var ends []int32
	for d := first; d <= last; {
		t := calendar.Date(d).Time()
		end := min(last, int32(calendar.NewDate(t.Year(), t.Month()+1, 0)))
		ends = append(ends, end)
		d = end + 1
	}
	return ends
}
