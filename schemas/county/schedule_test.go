package county

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/shirecounty/shire/schemas/document"
)

func location(t testing.TB, name string) *time.Location {
	t.Helper()
	zone, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return zone
}

// What the cron library takes or panics on, and a person did not mean.
func TestParseScheduleRefuses(t *testing.T) {
	tests := []struct{ text, want string }{
		{"", "has 0 fields"},
		{"0 3 * *", "has 4 fields"},
		{"0 0 3 * * *", "has 6 fields"},
		{"CRON_TZ=Asia/Tokyo", "names a time zone"},
		{"TZ=Asia/Tokyo 0 3 * * *", "names a time zone"},
		{"@every -5m", "counts from the start"},
		{"@daily", `write "0 0 * * *"`},
		{"@reboot", "is a word"},
		{"0 0 31 2 *", "never comes"},
		{"0 0 30 2 *", "never comes"},
		{"0 0 31 4,6,9,11 *", "never comes"},
		{"*/90 * * * *", "a step of 90 in the field minute"},
		{"0 0,1/24 * * *", "a step of 24 in the field hour"},
		{"*/0 * * * *", "not understood"},
		{"60 * * * *", "not understood"},
		{"0 24 * * *", "not understood"},
		{"0 0 * * 7", "Sunday is 0"},
		{"5-1 * * * *", "not understood"},
		{"a b c d e", "not understood"},
		{"- - - - -", "not understood"},
		{"/ , / , /", "not understood"},
	}
	for _, test := range tests {
		s, err := ParseSchedule(test.text, time.UTC)
		var problem *ScheduleError
		if !errors.As(err, &problem) || !strings.Contains(err.Error(), test.want) || problem.Do == "" {
			t.Errorf("%q: got %v, %v; want %q", test.text, s, err, test.want)
		}
	}
}

func TestScheduleInCountyYAML(t *testing.T) {
	dir := t.TempDir()
	contract := filepath.Join("..", "..", "docs", "examples", "receipt", "contracts", "receipt_events.yaml")
	text, err := os.ReadFile(contract)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "contracts"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "contracts", "receipt_events.yaml"), text, 0o644); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "county.yaml")
	load := func(schedule string) (*Config, error) {
		yaml := `county: {division: "000000", name_zh: 示例, time_zone: Asia/Shanghai}
sources:
  - name: log
    kind: file
    datasets: [receipt_events]
` + schedule
		if err := os.WriteFile(file, []byte(yaml), 0o644); err != nil {
			t.Fatal(err)
		}
		c, _, err := Load(file, []string{"file"})
		return c, err
	}
	c, err := load(`    schedule: "30 2 * * *"`)
	if err != nil {
		t.Fatal(err)
	}
	from := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	if got, want := c.Sources[0].Times.Next(from).Format(time.RFC3339), "2026-11-24T02:30:00+08:00"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if c, err = load(""); err != nil || c.Sources[0].Times != nil {
		t.Errorf("without a schedule: %v, %v", c.Sources[0].Times, err)
	}
	for _, schedule := range []string{`"0 0 31 2 *"`, `"CRON_TZ=X"`, `"@every -5m"`, "0 3 * *", `"  "`} {
		_, err := load("    schedule: " + schedule)
		var problems document.Problems
		if !errors.As(err, &problems) || len(problems) != 1 || problems[0].Line != 6 || problems[0].Do == "" || problems[0].File != file {
			t.Errorf("schedule: %s: got %v, want one problem in line 6", schedule, err)
		}
	}
}

func TestScheduleOverSummerTime(t *testing.T) {
	tests := []struct {
		zone, text, after string
		want              []string
	}{
		// The clock goes from 02:00 to 03:00 in Amsterdam on 2026-03-29, and from 03:00 back to 02:00 on 2026-10-25.
		{"Europe/Amsterdam", "30 2 * * *", "2026-03-28T12:00:00+01:00", []string{"2026-03-29T03:00:00+02:00", "2026-03-30T02:30:00+02:00"}},
		{"Europe/Amsterdam", "*/20 2,3 * * *", "2026-03-29T01:50:00+01:00", []string{"2026-03-29T03:00:00+02:00", "2026-03-29T03:20:00+02:00"}},
		{"Europe/Amsterdam", "30 2 * * *", "2026-10-24T12:00:00+02:00", []string{"2026-10-25T02:30:00+02:00", "2026-10-26T02:30:00+01:00"}},
		{"Europe/Amsterdam", "*/30 * * * *", "2026-10-25T02:10:00+02:00", []string{"2026-10-25T02:30:00+02:00", "2026-10-25T03:00:00+01:00"}},
		{"Europe/Amsterdam", "*/30 * * * *", "2026-10-25T02:10:00+01:00", []string{"2026-10-25T03:00:00+01:00"}},
		// Half an hour, on Lord Howe Island.
		{"Australia/Lord_Howe", "15 2 * * *", "2026-10-03T12:00:00+10:30", []string{"2026-10-04T02:30:00+11:00", "2026-10-05T02:15:00+11:00"}},
		{"Australia/Lord_Howe", "45 1 * * *", "2026-04-04T12:00:00+11:00", []string{"2026-04-05T01:45:00+11:00", "2026-04-06T01:45:00+10:30"}},
		// A day that Samoa left out.
		{"Pacific/Apia", "0 9 * * *", "2011-12-29T10:00:00-10:00", []string{"2011-12-31T00:00:00+14:00", "2011-12-31T09:00:00+14:00"}},
		// China had summer time from 1986 to 1991.
		{"Asia/Shanghai", "30 2 * * *", "1986-05-03T12:00:00+08:00", []string{"1986-05-04T03:00:00+09:00", "1986-05-05T02:30:00+09:00"}},
		// 2100 is no leap year.
		{"Asia/Shanghai", "0 0 29 2 *", "2096-03-01T00:00:00+08:00", []string{"2104-02-29T00:00:00+08:00"}},
		// Sub-second times lie after the second that they begin with.
		{"Asia/Shanghai", "0 0 1 1 *", "2025-12-31T23:59:59.999+08:00", []string{"2026-01-01T00:00:00+08:00", "2027-01-01T00:00:00+08:00"}},
	}
	for _, test := range tests {
		s, err := ParseSchedule(test.text, location(t, test.zone))
		if err != nil {
			t.Fatal(err)
		}
		at, err := time.Parse(time.RFC3339, test.after)
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range test.want {
			at = s.Next(at)
			if got := at.Format(time.RFC3339); got != want {
				t.Errorf("%s, %s after %s: got %s, want %s", test.zone, test.text, test.after, got, want)
			}
		}
	}
}

// met tells by brute force whether the minute that begins at a moment is one of the schedule's: the wall shows one of
// its times for the first time, or the moment ends a gap that held one.
func met(s *Schedule, at time.Time) bool {
	at = at.In(s.zone)
	if shows(s, at) && !shownBefore(at) {
		return true
	}
	before := at.Add(-time.Minute)
	for wall := onUTC(before).Add(time.Minute); wall.Before(onUTC(at)); wall = wall.Add(time.Minute) {
		if shows(s, wall) {
			return true
		}
	}
	return false
}

func onUTC(t time.Time) time.Time {
	return time.Date(t.Year(), t.Month(), t.Day(), t.Hour(), t.Minute(), 0, 0, time.UTC)
}

// shows reckons the five fields of the texts that the property draws: lists of numbers, steps and stars.
func shows(s *Schedule, t time.Time) bool {
	f := strings.Fields(s.text)
	day, weekday := holds(f[2], t.Day(), 1), holds(f[4], int(t.Weekday()), 0)
	onDay := day && weekday
	if f[2] != "*" && f[4] != "*" && !strings.HasPrefix(f[2], "*/") {
		onDay = day || weekday
	}
	return holds(f[0], t.Minute(), 0) && holds(f[1], t.Hour(), 0) && holds(f[3], int(t.Month()), 1) && onDay
}

func holds(field string, value, first int) bool {
	for _, part := range strings.Split(field, ",") {
		var n int
		switch {
		case part == "*":
			return true
		case strings.HasPrefix(part, "*/"):
			fmt.Sscan(part[2:], &n)
			if (value-first)%n == 0 {
				return true
			}
		default:
			if fmt.Sscan(part, &n); n == value {
				return true
			}
		}
	}
	return false
}

// shownBefore tells whether the wall showed the same minute up to three hours earlier.
func shownBefore(t time.Time) bool {
	for back := time.Minute; back <= 3*time.Hour; back += time.Minute {
		if onUTC(t.Add(-back)).Equal(onUTC(t)) {
			return true
		}
	}
	return false
}

func TestScheduleProperties(t *testing.T) {
	zones := []*time.Location{time.UTC}
	for _, name := range []string{"Asia/Shanghai", "Europe/Amsterdam", "America/New_York", "Australia/Lord_Howe", "Africa/Casablanca"} {
		zones = append(zones, location(t, name))
	}
	rapid.Check(t, func(t *rapid.T) {
		zone := rapid.SampledFrom(zones).Draw(t, "zone")
		number := func(name string, low, high int) string {
			return rapid.OneOf(rapid.Just("*"), rapid.Map(rapid.IntRange(low, high), func(n int) string { return fmt.Sprint(n) }),
				rapid.Map(rapid.IntRange(2, 6), func(n int) string { return fmt.Sprintf("*/%d", n) })).Draw(t, name)
		}
		text := strings.Join([]string{number("minute", 0, 59), number("hour", 0, 4), "*", "*", rapid.SampledFrom([]string{"*", "0", "1,2,3"}).Draw(t, "weekday")}, " ")
		s, err := ParseSchedule(text, zone)
		if err != nil {
			t.Fatal(err)
		}
		// Around the changes of a year as often as anywhere.
		year := rapid.IntRange(1985, 2027).Draw(t, "year")
		after := time.Date(year, 1, 1, 0, 0, 0, 0, zone).Add(time.Duration(rapid.IntRange(0, 365*24*60*60).Draw(t, "second")) * time.Second)
		if _, change := after.ZoneBounds(); !change.IsZero() && rapid.Bool().Draw(t, "near a change") {
			after = change.Add(time.Duration(rapid.IntRange(-3*3600, 3*3600).Draw(t, "around")) * time.Second)
		}
		next := s.Next(after)
		if !next.After(after) {
			t.Fatalf("%s after %s: %s is not later", text, after, next)
		}
		if !met(s, next) {
			t.Fatalf("%s after %s: %s is none of its times", text, after, next)
		}
		end := next
		if limit := after.Add(36 * time.Hour); limit.Before(end) {
			end = limit
		}
		for at := after.Truncate(time.Minute).Add(time.Minute); at.Before(end); at = at.Add(time.Minute) {
			if met(s, at) {
				t.Fatalf("%s after %s: %s was passed over for %s", text, after, at.In(zone), next)
			}
		}
	})
}

func FuzzParseSchedule(f *testing.F) {
	for _, text := range []string{"* * * * *", "CRON_TZ=X", "TZ= ", "@every -5m", "0 0 31 2 *", "1-2/3,4 5 6 JAN MON", "*/5 ? * * ?"} {
		f.Add(text)
	}
	from := time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, text string) {
		s, err := ParseSchedule(text, time.UTC)
		if err == nil && !s.Next(from).After(from) {
			t.Errorf("%q was accepted and never comes", text)
		}
	})
}
