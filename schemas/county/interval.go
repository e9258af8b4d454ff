package county

import "time"

// Interval is times at equal distances, the same whoever reckons them: parts of a day count from each midnight of a time
// zone, and whole days from 1970-01-01. Where summer time makes a day longer or shorter, the day's last interval is.
type Interval struct {
	every time.Duration
	zone  *time.Location
}

// NewInterval makes an interval that [ProveEvery] finds no fault with.
func NewInterval(every time.Duration, zone *time.Location) *Interval {
	return &Interval{every: every, zone: zone}
}

const day = 24 * time.Hour

// Next is the first time after t.
func (i *Interval) Next(t time.Time) time.Time {
	y, m, d := t.In(i.zone).Date()
	today := time.Date(y, m, d, 0, 0, 0, 0, time.UTC) // the date, on a clock without summer time
	if i.every > day {
		step := int64(i.every / day)
		for n := today.Unix() / 86400 / step * step; ; n += step {
			if at := moment(time.Unix(n*86400, 0).UTC(), i.zone); at.After(t) {
				return at
			}
		}
	}
	start, end := moment(today, i.zone), moment(today.AddDate(0, 0, 1), i.zone)
	for !end.After(t) { // a zone that goes back over midnight shows yesterday's date once more
		today = today.AddDate(0, 0, 1)
		start, end = end, moment(today.AddDate(0, 0, 1), i.zone)
	}
	since := t.Sub(start)/i.every*i.every + i.every
	at := start.Add(since)
	// A longer day has room for more of the short intervals, and none for one that would be cut off.
	if at.Before(end) && (since < day || !at.Add(i.every).After(end)) {
		return at
	}
	return end
}

// DayStart is the first moment of the day on which t falls in a zone, or of the day that comes so many days after it.
func DayStart(t time.Time, zone *time.Location, days int) time.Time {
	y, m, d := t.In(zone).Date()
	return moment(time.Date(y, m, d+days, 0, 0, 0, 0, time.UTC), zone)
}
