package web

import (
	"math"
	"strconv"
	"strings"
	"time"
)

// timeFormat is how the service writes and reads times.
type timeFormat struct {
	layout
	zone *time.Location
}

// layout is empty for numbers.
type layout struct {
	text string
	unit time.Duration // what cannot be written more finely
}

var layouts = map[string]layout{
	"rfc3339":    {"2006-01-02T15:04:05Z07:00", time.Second},
	"rfc3339_ms": {"2006-01-02T15:04:05.000Z07:00", time.Millisecond},
	"datetime":   {time.DateTime, time.Second},
	"compact":    {"20060102150405", time.Second},
	"date":       {time.DateOnly, 24 * time.Hour},
	"unix":       {"", time.Second},
	"unix_ms":    {"", time.Millisecond},
}

// before writes a time that is not later than t. A service that leaves out what has exactly the time that it was given
// gets a time one unit earlier, so that nothing written at t is left out.
func (f timeFormat) before(t time.Time, inclusive bool) string {
	if !inclusive {
		t = t.Add(-f.unit)
	}
	switch {
	case f.text == "" && f.unit == time.Second:
		return strconv.FormatInt(t.Unix(), 10)
	case f.text == "":
		return strconv.FormatInt(t.UnixMilli(), 10)
	}
	return t.In(f.zone).Format(f.text) // Format cuts off, it does not round
}

var readable = []string{
	time.RFC3339Nano, "2006-01-02 15:04:05.999999999Z07:00", "2006-01-02T15:04:05.999999999Z0700",
	"2006-01-02T15:04:05.999999999", "2006-01-02 15:04:05.999999999", "2006/01/02 15:04:05", "2006-01-02 15:04", time.DateOnly, "2006/01/02",
}

// parse reads a time that stands in a record, in whatever of the usual ways it is written.
func (f timeFormat) parse(text string) (time.Time, bool) {
	text = strings.TrimSpace(text)
	if n, err := strconv.ParseFloat(text, 64); err == nil {
		return f.number(text, n)
	}
	for _, l := range readable {
		if t, err := time.ParseInLocation(l, text, f.zone); err == nil {
			return t, !t.IsZero() && t.Year() < 10_000
		}
	}
	return time.Time{}, false
}

func (f timeFormat) number(text string, n float64) (time.Time, bool) {
	if f.text != "" && (len(text) == len("20060102150405") || len(text) == len("20060102")) {
		t, err := time.ParseInLocation("20060102150405"[:len(text)], text, f.zone)
		return t, err == nil
	}
	if f.text == "" && f.unit == time.Millisecond || f.text != "" && math.Abs(n) >= 1e11 {
		n /= 1000
	}
	if math.IsNaN(n) || n <= 0 || n > 1e11 {
		return time.Time{}, false // 0 is how some say that they do not know
	}
	seconds, fraction := math.Modf(n)
	return time.Unix(int64(seconds), int64(math.Round(fraction*1e6))*1e3), true
}
