package jobs

import (
	"fmt"
	"time"

	"github.com/shirecounty/shire/schemas/calendar"
	"github.com/shirecounty/shire/schemas/county"
)

// Calendar tells which days are worked.
type Calendar interface {
	// IsWorkday fails for a year that is not published.
	IsWorkday(calendar.Date) (bool, error)
}

// Due is a time at which a job is due.
type Due struct {
	At      time.Time
	Problem error // why nothing can be done at this time; the run fails with it
}

// Times are when a job is due: a pure function of its definition and of the working calendar, in every process the same.
type Times struct {
	schedule interface{ Next(time.Time) time.Time }
	days     string
	calendar Calendar
	zone     *time.Location
}

// NewTimes reads when a job is due by itself; nil when it is not.
func NewTimes(j *county.Job, c Calendar) *Times {
	t := &Times{days: j.Days, calendar: c, zone: j.Zone}
	switch {
	case j.Times != nil:
		t.schedule = j.Times
	case j.Every > 0:
		t.schedule = county.NewInterval(time.Duration(j.Every), j.Zone)
	default:
		return nil
	}
	return t
}

// Next is the first time after t; false when there is none within many years.
//
// A day whose year is not published might be one or none: it comes once, with the reason why nothing is done on it.
func (t *Times) Next(after time.Time) (Due, bool) {
	for {
		at := t.schedule.Next(after)
		if at.IsZero() {
			return Due{}, false
		}
		date := calendar.DateOf(at.In(t.zone))
		on, err := t.on(date)
		switch {
		case err == nil && on:
			return Due{At: at}, true
		case err != nil && t.schedule.Next(county.DayStart(at, t.zone, 0).Add(-time.Nanosecond)).Equal(at):
			return Due{At: at, Problem: fmt.Errorf("whether it is due on %s (days: %s) nobody can say: %w", date, t.days, err)}, true
		}
		// The rest of the day is not looked through.
		if after = county.DayStart(at, t.zone, 1).Add(-time.Nanosecond); after.Before(at) {
			after = at
		}
	}
}

func (t *Times) on(date calendar.Date) (bool, error) {
	switch t.days {
	case county.DaysWorkday:
		return t.calendar.IsWorkday(date)
	case county.DaysHoliday:
		worked, err := t.calendar.IsWorkday(date)
		return !worked, err
	case county.DaysFirstWorkdays:
		worked, err := t.calendar.IsWorkday(date)
		if err != nil || !worked {
			return false, err
		}
		first := date - calendar.Date(date.Time().Day()-1)
		for d := first; d < date; d++ {
			if worked, err := t.calendar.IsWorkday(d); err != nil || worked {
				return false, err
			}
		}
		return true, nil
	}
	return true, nil
}

// lookBack are the stretches in which Prev looks, from the nearest: most jobs are due within the first few.
var lookBack = []time.Duration{time.Minute, 10 * time.Minute, time.Hour, 6 * time.Hour, 24 * time.Hour, 8 * 24 * time.Hour, 32 * 24 * time.Hour,
	100 * 24 * time.Hour, 367 * 24 * time.Hour, 3 * 366 * 24 * time.Hour, 9 * 366 * 24 * time.Hour}

// Prev is the last time before t; zero when there is none within nine years.
func (t *Times) Prev(before time.Time) time.Time {
	for _, back := range lookBack {
		due, ok := t.Next(before.Add(-back).Add(-time.Nanosecond))
		if !ok || !due.At.Before(before) {
			continue
		}
		for {
			next, ok := t.Next(due.At)
			if !ok || !next.At.Before(before) {
				return due.At
			}
			due = next
		}
	}
	return time.Time{}
}
