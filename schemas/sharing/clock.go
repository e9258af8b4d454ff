package sharing

import (
	"errors"
	"time"

	"github.com/shirecounty/shire/schemas/calendar"
)

// Clock is how long a request has been waiting for somebody, and for how long it may.
type Clock struct {
	Deadline          // Due is zero when the calendar does not reach so far: see Unknown
	Department string // for whom it waits
	Since      calendar.Date
	Left       int  // working days until Due; below zero once that has passed
	Overdue    bool // the day it was due has passed
	Unknown    int  // the year whose working calendar is not published, which the clock would need; 0 when it needs none
}

// Clock is the clock of a request at a moment, by days of a time zone; nil when it waits for nobody. Where the calendar of a
// year is missing the clock says so instead of guessing. The error is that of rules that do not reach back so far.
func (r *Rules) Clock(q *Request, now time.Time, zone *time.Location, c *calendar.Calendar) (*Clock, error) {
	limit, since, department, ok := q.Waits()
	if !ok {
		return nil, nil
	}
	clock := &Clock{Department: department, Since: calendar.DateOf(since.In(zone))}
	var err error
	clock.Deadline, err = r.Due(limit, clock.Since, c)
	today := calendar.DateOf(now.In(zone))
	if err == nil {
		clock.Overdue = today > clock.Due
		clock.Left, err = c.Workdays(today, clock.Due)
	}
	if missing := (*calendar.UnpublishedError)(nil); errors.As(err, &missing) {
		clock.Unknown = missing.Year
		return clock, nil
	}
	return clock, err
}
