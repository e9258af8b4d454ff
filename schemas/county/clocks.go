package county

import (
	"time"

	"github.com/shirecounty/shire/schemas/calendar/clock"
)

// Clocks is how the county counts legal time (docs/clocks.md).
type Clocks struct {
	Unit string `yaml:"unit,omitempty" json:"unit,omitempty" jsonschema:"enum=day,enum=half_day,default=day,description=What legal time is counted in: whole working days or halves of them"`
	Noon string `yaml:"noon,omitempty" json:"noon,omitempty" jsonschema:"pattern=^[0-2][0-9]:[0-5][0-9]$,default=12:00,description=Local time at which the second half of a day begins; with unit: half_day"`
}

// The units of legal time.
const (
	wholeDays = "day"
	halfDays  = "half_day"
)

// noonLayout is how a time of day is written.
const noonLayout = "15:04"

func (c *Config) proveClocks(fail func(path, do, format string, args ...any)) {
	switch c.Clocks.Unit {
	case halfDays:
		orDefault(&c.Clocks.Noon, "12:00")
	case "", wholeDays:
		if c.Clocks.Noon != "" {
			fail("$.clocks.noon", "write unit: half_day beside it, or leave noon out", "noon parts the halves of a day, and whole days are counted")
		}
		return
	default:
		fail("$.clocks.unit", "write day or half_day", "legal time is not counted in %q", c.Clocks.Unit)
		return
	}
	noon, err := time.Parse(noonLayout, c.Clocks.Noon)
	if len(c.Clocks.Noon) != len(noonLayout) || err != nil || noon.Hour() == 0 && noon.Minute() == 0 {
		fail("$.clocks.noon", `write hours and minutes in quotes, such as "12:00"`, "%q is not a time of day that has a morning", c.Clocks.Noon)
	}
}

// Rules are the clocks as the calendar's clock and the warehouse's views take them.
func (c Clocks) Rules() clock.Rules {
	if c.Unit != halfDays {
		return clock.Rules{}
	}
	noon, err := time.Parse(noonLayout, c.Noon)
	if err != nil {
		panic("county: the clocks were not proved") // Load proves them and fills in what is left out
	}
	return clock.Rules{HalfDays: true, Noon: time.Duration(noon.Hour())*time.Hour + time.Duration(noon.Minute())*time.Minute}
}
