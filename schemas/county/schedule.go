package county

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/robfig/cron/v3"
)

// Schedule is a cron expression of five fields (minute, hour, day of month, month, day of week) in a time zone.
//
// It speaks of the clock on the wall. A time that the clock skips is met once, at the first moment after the gap; a
// time that the clock shows twice is met once, at its first showing.
type Schedule struct {
	text string
	zone *time.Location
	spec cron.Schedule
}

// fiveFields takes no seconds and no descriptors: "@every -5m" would become one second.
var fiveFields = cron.NewParser(cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow)

// ScheduleError says what is wrong with a schedule and what to write instead.
type ScheduleError struct{ Message, Do string }

func (e *ScheduleError) Error() string { return e.Message + "; " + e.Do }

const writeFields = `write minute, hour, day of month, month and day of week in quotes, such as "30 2 * * *" for half past two every night`

// descriptors are the words that other crons know, as five fields.
var descriptors = map[string]string{
	"@yearly": "0 0 1 1 *", "@annually": "0 0 1 1 *", "@monthly": "0 0 1 * *", "@weekly": "0 0 * * 0",
	"@daily": "0 0 * * *", "@midnight": "0 0 * * *", "@hourly": "0 * * * *",
}

// ParseSchedule reads a schedule. The error is a [ScheduleError].
func ParseSchedule(text string, zone *time.Location) (*Schedule, error) {
	text = strings.Join(strings.Fields(text), " ")
	switch {
	case strings.Contains(text, "TZ="):
		return nil, &ScheduleError{fmt.Sprintf("schedule %q names a time zone", text), "leave it out: a schedule is in the county's, " + zone.String()}
	case strings.HasPrefix(text, "@every"):
		return nil, &ScheduleError{fmt.Sprintf("schedule %q counts from the start of the process, so that nobody knows when it comes", text),
			`write the minutes and hours, such as "*/15 * * * *" for every quarter of an hour`}
	case strings.HasPrefix(text, "@"):
		do := writeFields
		if fields, ok := descriptors[strings.ToLower(text)]; ok {
			do = fmt.Sprintf("write %q", fields)
		}
		return nil, &ScheduleError{fmt.Sprintf("schedule %q is a word, not five fields", text), do}
	}
	fields := strings.Fields(text)
	if len(fields) != 5 {
		return nil, &ScheduleError{fmt.Sprintf("schedule %q has %d fields, not five", text, len(fields)), writeFields}
	}
	if err := stepsFit(text, fields); err != nil {
		return nil, err
	}
	spec, err := parseFields(text)
	if err != nil {
		return nil, &ScheduleError{fmt.Sprintf("schedule %q is not understood: %v", text, err), writeFields + "; Sunday is 0"}
	}
	s := &Schedule{text: text, zone: zone, spec: spec}
	if s.onWall(time.Date(2001, 1, 1, 0, 0, 0, 0, time.UTC)).IsZero() {
		return nil, &ScheduleError{fmt.Sprintf("schedule %q never comes: no year has such a day", text), `choose a day that the month has; "0 0 28 2 *" is in every year`}
	}
	return s, nil
}

// parseFields keeps a panic of the library from ending the process: a schedule is input.
func parseFields(text string) (spec cron.Schedule, err error) {
	defer func() {
		if recover() != nil {
			err = errors.New("it cannot be read")
		}
	}()
	return fiveFields.Parse(text)
}

// stepsFit refuses a step that its field cannot hold: "*/90" in the minutes does not mean every 90 minutes, but at
// minute 0 of every hour.
func stepsFit(text string, fields []string) error {
	for i, f := range [...]struct {
		name string
		size int
	}{{"minute", 60}, {"hour", 24}, {"day of month", 31}, {"month", 12}, {"day of week", 7}} {
		for _, part := range strings.Split(fields[i], ",") {
			_, step, ok := strings.Cut(part, "/")
			if n, err := strconv.Atoi(step); ok && err == nil && n >= f.size {
				return &ScheduleError{fmt.Sprintf("schedule %q has a step of %d in the field %s, which holds %d", text, n, f.name, f.size),
					"a step begins anew with every hour, day, month, year or week: write the larger field instead"}
			}
		}
	}
	return nil
}

// String is the expression.
func (s *Schedule) String() string { return s.text }

// Next is the first time after t, in the schedule's zone; zero if there is none within eight years of t, which only
// the 29th of February around a year such as 2100 comes near.
func (s *Schedule) Next(t time.Time) time.Time {
	y, month, d := t.In(s.zone).Date()
	h, m, sec := t.In(s.zone).Clock()
	// On a clock without summer time, which is what the library reckons well with.
	for wall := time.Date(y, month, d, h, m, sec, 0, time.UTC); ; {
		if wall = s.onWall(wall); wall.IsZero() {
			return time.Time{}
		}
		// In the second showing of an hour the wall is behind: what has been met is passed over.
		if at := moment(wall, s.zone); at.After(t) {
			return at
		}
	}
}

// onWall is the next time on a clock without summer time. The library looks five years ahead, and a leap day can be
// eight years away.
func (s *Schedule) onWall(wall time.Time) time.Time {
	if next := s.spec.Next(wall); !next.IsZero() {
		return next
	}
	return s.spec.Next(wall.AddDate(4, 0, 0))
}

// moment is when the wall shows a time: the first time where it does twice, the end of the gap where it never does.
func moment(wall time.Time, zone *time.Location) time.Time {
	at := time.Date(wall.Year(), wall.Month(), wall.Day(), wall.Hour(), wall.Minute(), 0, 0, zone)
	start, end := at.ZoneBounds()
	_, offset := at.Zone()
	// In a gap time.Date takes one of the two offsets around it, and so lands behind the gap or before it.
	switch shown := at.Add(time.Duration(offset) * time.Second).UTC(); {
	case shown.After(wall):
		return start
	case shown.Before(wall):
		return end
	}
	if start.IsZero() {
		return at
	}
	// The same reading under the offset before, where that is earlier than the change.
	_, before := start.Add(-time.Second).Zone()
	if first := at.Add(time.Duration(offset-before) * time.Second); offset < before && first.Before(start) {
		return first
	}
	return at
}
