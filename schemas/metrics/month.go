package metrics

import (
	"fmt"
	"time"
)

// MonthOf is the month in which t falls, in t's own location.
func MonthOf(t time.Time) Month { return Month{t.Year(), int(t.Month())} }

// ParseMonth reads 2026-07. The error is an [InputError].
func ParseMonth(s string) (Month, error) {
	t, err := time.Parse("2006-01", s)
	if err != nil {
		return Month{}, &InputError{Message: fmt.Sprintf("%q is not a month", s), Do: "write it as 2026-07"}
	}
	return MonthOf(t), nil
}

// String writes 2026-07.
func (m Month) String() string { return fmt.Sprintf("%04d-%02d", m.Year, m.Month) }

// Add gives the month n months later.
func (m Month) Add(n int) Month {
	return MonthOf(time.Date(m.Year, time.Month(m.Month+n), 1, 0, 0, 0, 0, time.UTC))
}

// Before tells whether m is earlier than other.
func (m Month) Before(other Month) bool {
	return m.Year < other.Year || m.Year == other.Year && m.Month < other.Month
}

// Start is the first instant of the month in a time zone.
func (m Month) Start(zone *time.Location) time.Time {
	return time.Date(m.Year, time.Month(m.Month), 1, 0, 0, 0, 0, zone)
}

func (m Month) valid() bool { return m.Year >= 1900 && m.Year <= 2200 && m.Month >= 1 && m.Month <= 12 }

// number is the month as the warehouse's toYYYYMM has it: 202607.
func (m Month) number() uint32 { return uint32(m.Year*100 + m.Month) }
