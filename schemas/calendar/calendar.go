// Package calendar is the working calendar of a jurisdiction: which days are worked, with the holidays and the make-up
// workdays (调休) of each year.
//
// Each year is a YAML file that restates one notice. Files come in layers, the nation first, then the province and the county: a
// later layer overrides single days. Which years exist is for the first layer to say: a year without its national notice is not
// published, and whatever needs a day of it fails with an UnpublishedError rather than guess.
package calendar

import (
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"slices"
	"sort"
	"time"
)

// Name is the name of a holiday in both languages; empty for days that follow the week.
type Name struct{ Zh, En string }

// Day is one day of the calendar.
type Day struct {
	Date    Date
	Working bool
	Holiday Name // of the holiday, and of the one that a make-up workday (调休) pays for
	// Index counts the working days from the calendar's first day up to and including this one, so that the working days in
	// (a, b] are the difference of two indexes. The years have no gaps.
	Index int32
}

// Notice is the source of one year in one layer.
type Notice struct {
	Layer     int    // 0 is the nation
	Name      string // whose calendar
	Year      int
	Published Date
	Source    string
	Path      string // of the file: within its layer, or within the folder of the county's calendars
}

// Calendar holds the days of consecutive years. It does not change and is safe for concurrent use.
type Calendar struct {
	first   Date // 1 January of the first year
	days    []Day
	notices []Notice
	blank   []int // years that have a national file which names no holiday
}

// UnpublishedError says that a calculation needs a day of a year whose notice the calendar does not hold.
type UnpublishedError struct {
	Year        int
	First, Last int  // the years that are published
	Blank       bool // the year has a national file, which names no holiday
}

func (e *UnpublishedError) Error() string {
	if e.Blank {
		return fmt.Sprintf("the working days of %d are not in the calendar, which holds %d to %d: the file %d.yaml of the nation's calendar names no holiday; "+
			"once the State Council General Office has published them, write them into it", e.Year, e.First, e.Last, e.Year)
	}
	return fmt.Sprintf("the working days of %d are not in the calendar, which holds %d to %d: "+
		"once the State Council General Office has published them, put the file %d.yaml into the folder national of the county's calendars (calendars: in county.yaml)",
		e.Year, e.First, e.Last, e.Year)
}

// Load reads the layers in their order, the nation first; files are the *.yaml at the top of each. A year of the first layer whose
// file names no holiday is not published: there is no year without any. Errors name file and line.
func Load(layers ...fs.FS) (*Calendar, error) {
	if len(layers) == 0 {
		return nil, errors.New("calendar: at least one layer is needed; the first is usually National()")
	}
	c := &Calendar{}
	for i, layer := range layers {
		files, err := readLayer(layer)
		if err != nil {
			return nil, err
		}
		if i == 0 {
			files = slices.DeleteFunc(files, func(f *file) bool {
				if len(f.Holidays) == 0 {
					c.blank = append(c.blank, f.Year.value)
				}
				return len(f.Holidays) == 0
			})
			if err := c.span(files); err != nil {
				return nil, err
			}
		}
		for _, f := range files {
			if err := c.apply(i, f); err != nil {
				return nil, err
			}
		}
	}
	c.count()
	return c, nil
}

// span lays out the weeks of the years that the first layer publishes.
func (c *Calendar) span(files []*file) error {
	if len(files) == 0 {
		return errors.New("calendar: the first layer holds no file such as 2024.yaml")
	}
	for i := 1; i < len(files); i++ {
		// Indexes of days on both sides of a gap would differ by too little, without a word.
		if before, f := files[i-1].Year.value, files[i]; f.Year.value != before+1 {
			return f.errorf(f.Year.line, "the years must follow each other: %d.yaml is missing, or names no holiday, between %d and %d", before+1, before, f.Year.value)
		}
	}
	c.first = NewDate(files[0].Year.value, time.January, 1)
	end := NewDate(files[len(files)-1].Year.value+1, time.January, 1)
	c.days = make([]Day, end-c.first)
	for i := range c.days {
		d := c.first + Date(i)
		c.days[i] = Day{Date: d, Working: !weekend(d)}
	}
	return nil
}

func weekend(d Date) bool { return d.Weekday() == time.Saturday || d.Weekday() == time.Sunday }

// apply overrides the days that the file names. Days outside the published years wait for their own year.
func (c *Calendar) apply(layer int, f *file) error {
	set := func(d Date, working bool, name Name) {
		if c.has(d) {
			day := &c.days[d-c.first]
			day.Working, day.Holiday = working, name
		}
	}
	for _, h := range f.Holidays {
		name := Name{h.Zh, h.En}
		for d := range h.daysOff() {
			set(d, false, name)
		}
		for _, w := range h.Workdays {
			if layer == 0 && !weekend(w.Date) {
				return f.errorf(w.line, "the make-up workday %s is a %s, which is worked anyway", w, w.Weekday())
			}
			set(w.Date, true, name)
		}
	}
	c.notices = append(c.notices, Notice{layer, f.Name, f.Year.value, f.Published.Date, f.Source, f.path})
	return nil
}

// count fills the cumulative index.
func (c *Calendar) count() {
	n := int32(0)
	for i := range c.days {
		if c.days[i].Working {
			n++
		}
		c.days[i].Index = n
	}
}

func (c *Calendar) last() Date { return c.first + Date(len(c.days)) - 1 }

func (c *Calendar) has(d Date) bool { return d >= c.first && d <= c.last() }

// index returns the number of working days up to and including d; the day before the calendar's first has index 0.
func (c *Calendar) index(d Date) int32 {
	if d < c.first {
		return 0
	}
	return c.days[d-c.first].Index
}

func (c *Calendar) unpublished(year int) error {
	return &UnpublishedError{Year: year, First: c.first.Year(), Last: c.last().Year(), Blank: slices.Contains(c.blank, year)}
}

// Published reports whether the calendar holds the year.
func (c *Calendar) Published(year int) bool {
	return year >= c.first.Year() && year <= c.last().Year()
}

// Years returns the published years, ascending and without gaps.
func (c *Calendar) Years() []int {
	var years []int
	for y := c.first.Year(); y <= c.last().Year(); y++ {
		years = append(years, y)
	}
	return years
}

// Notices returns the source of every file that was read, layer by layer.
func (c *Calendar) Notices() []Notice { return slices.Clone(c.notices) }

// IsWorkday reports whether d is worked.
func (c *Calendar) IsWorkday(d Date) (bool, error) {
	if !c.has(d) {
		return false, c.unpublished(d.Year())
	}
	return c.days[d-c.first].Working, nil
}

// Workdays counts the working days in (from, to]: legal clocks start on the day after the event. If to is before from the count
// of (to, from] comes back negative. It takes constant time.
func (c *Calendar) Workdays(from, to Date) (int, error) {
	switch {
	case from == to:
		return 0, nil
	case to < from:
		n, err := c.Workdays(to, from)
		return -n, err
	case !c.has(from + 1):
		return 0, c.unpublished((from + 1).Year())
	case !c.has(to):
		// Some day between them is the first without a year, unless from is past the end itself.
		return 0, c.unpublished((c.last() + 1).Year())
	}
	return int(c.index(to) - c.index(from)), nil
}

// AddWorkdays returns the n-th working day after from: the last day of a legal limit of n working days that starts to run on the day
// after from. A negative n counts working days before from; 0 returns from itself, worked or not.
func (c *Calendar) AddWorkdays(from Date, n int) (Date, error) {
	switch {
	case n == 0:
		return from, nil
	case n > 0:
		if !c.has(from + 1) {
			return 0, c.unpublished((from + 1).Year())
		}
		want := int64(c.index(from)) + int64(n)
		i := sort.Search(len(c.days), func(i int) bool { return int64(c.days[i].Index) >= want })
		if i == len(c.days) {
			return 0, c.unpublished(c.last().Year() + 1)
		}
		return c.days[i].Date, nil
	}
	if !c.has(from - 1) {
		return 0, c.unpublished((from - 1).Year())
	}
	want := int64(c.index(from-1)) + int64(n) + 1
	if want < 1 {
		return 0, c.unpublished(c.first.Year() - 1)
	}
	i := sort.Search(len(c.days), func(i int) bool { return int64(c.days[i].Index) >= want })
	return c.days[i].Date, nil
}

// Days ranges over all days of the published years in order.
func (c *Calendar) Days() iter.Seq[Day] { return slices.Values(c.days) }
