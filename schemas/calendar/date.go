package calendar

import (
	"fmt"
	"time"
)

// Date is a day of the Gregorian calendar: days since 1970-01-01, as Arrow's date32.
type Date int32

const secondsPerDay = 24 * 60 * 60

// NewDate returns the day; a day or month out of range carries over, as in time.Date.
func NewDate(year int, month time.Month, day int) Date {
	return DateOf(time.Date(year, month, day, 0, 0, 0, 0, time.UTC))
}

// DateOf returns the day on which t falls in t's own location.
func DateOf(t time.Time) Date {
	_, offset := t.Zone()
	seconds := t.Unix() + int64(offset)
	days := seconds / secondsPerDay
	if seconds%secondsPerDay < 0 {
		days--
	}
	return Date(days)
}

// ParseDate reads 2024-01-05.
func ParseDate(s string) (Date, error) {
	t, err := time.Parse(time.DateOnly, s)
	if err != nil {
		return 0, fmt.Errorf("%q is not a date that exists; write it as 2024-01-05", s)
	}
	return DateOf(t), nil
}

// Time returns the start of the day in UTC.
func (d Date) Time() time.Time { return time.Unix(int64(d)*secondsPerDay, 0).UTC() }

// Year returns the year of the day.
func (d Date) Year() int { return d.Time().Year() }

// Weekday returns the day of the week. 1970-01-01 was a Thursday.
func (d Date) Weekday() time.Weekday { return time.Weekday(((int64(d)+4)%7 + 7) % 7) }

// String returns the day as 2024-01-05.
func (d Date) String() string { return d.Time().Format(time.DateOnly) }
