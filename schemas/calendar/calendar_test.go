package calendar_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/shirecounty/shire/schemas/calendar"
	"pgregory.net/rapid"
)

func load(t testing.TB, layers ...fs.FS) *calendar.Calendar {
	t.Helper()
	c, err := calendar.Load(layers...)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func date(t testing.TB, s string) calendar.Date {
	t.Helper()
	d, err := calendar.ParseDate(s)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// official is one file of the public data set holiday-cn, which was transcribed from the same notices by other people.
type official struct {
	Year   int
	Papers []string
	Days   []struct {
		Name     string
		Date     string
		IsOffDay bool
	}
}

func readOfficial(t *testing.T, year int) official {
	t.Helper()
	dir := os.Getenv("SHIRE_DATA")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "shared", "data")
	}
	path := filepath.Join(dir, fmt.Sprintf("holiday-cn-%d.json", year))
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) && os.Getenv("CI") != "true" {
		t.Skipf("%s is not here: set SHIRE_DATA to the folder of the test data", path)
	}
	if err != nil {
		t.Fatal(err)
	}
	var o official
	if err := json.Unmarshal(data, &o); err != nil {
		t.Fatal(err)
	}
	return o
}

func TestNationalCalendarMatchesHolidayCN(t *testing.T) {
	c := load(t, calendar.National())
	type exception struct {
		off  bool
		name string
	}
	exceptions := map[calendar.Date]exception{}
	for _, year := range append(c.Years(), c.Years()[len(c.Years())-1]+1) { // December dates can stand in the next year's file
		if year > 2027 {
			t.Fatalf("the test data end with 2027, the calendar holds more: %v", c.Years())
		}
		o := readOfficial(t, year)
		if published := len(o.Papers) > 0; published != c.Published(year) {
			t.Errorf("%d: the data say published %t, the calendar %t", year, published, c.Published(year))
		}
		for _, d := range o.Days {
			exceptions[date(t, d.Date)] = exception{d.IsOffDay, d.Name}
		}
	}
	compared := 0
	for day := range c.Days() {
		e, found := exceptions[day.Date]
		working := day.Date.Weekday() != time.Saturday && day.Date.Weekday() != time.Sunday
		if found {
			working = !e.off
			compared++
		}
		if day.Working != working || day.Holiday.Zh != e.name || (day.Holiday.En == "") != (e.name == "") {
			t.Errorf("%s: have working %t, holiday %v, the data say %t, %q", day.Date, day.Working, day.Holiday, working, e.name)
		}
		if got, err := c.IsWorkday(day.Date); err != nil || got != working {
			t.Errorf("IsWorkday(%s): have %t %v, want %t", day.Date, got, err, working)
		}
	}
	if compared != len(exceptions) {
		t.Errorf("compared %d special days of %d", compared, len(exceptions))
	}
}

func TestKnownYears(t *testing.T) {
	c := load(t, calendar.National())
	for year, want := range map[int]int{2025: 248} {
		n, err := c.Workdays(calendar.NewDate(year-1, 12, 31), calendar.NewDate(year, 12, 31))
		if err != nil || n != want {
			t.Errorf("%d: have %d working days %v, want %d", year, n, err, want)
		}
	}
	for _, makeUp := range []string{"2026-01-04", "2026-02-14", "2026-02-28", "2026-05-09", "2026-09-20", "2026-10-10"} {
		if working, err := c.IsWorkday(date(t, makeUp)); err != nil || !working {
			t.Errorf("%s is a make-up workday: have %t %v", makeUp, working, err)
		}
	}
	if got := fmt.Sprint(c.Years()); got != "[2024 2025 2026]" {
		t.Errorf("years: have %s", got)
	}
	for _, n := range c.Notices() {
		if n.Published.Year() != n.Year-1 || !strings.Contains(n.Source, fmt.Sprint(n.Year)) || n.Layer != 0 {
			t.Errorf("notice: %+v", n)
		}
	}
}

func TestLegalLimits(t *testing.T) {
	c := load(t, calendar.National())
	for _, x := range []struct {
		from string
		n    int
		want string
	}{
		{"2026-02-13", 1, "2026-02-14"}, // a Friday, then a make-up Saturday
		{"2026-02-14", 1, "2026-02-24"}, // across Spring Festival
		{"2026-02-18", 1, "2026-02-24"},
		{"2026-02-18", 0, "2026-02-18"},
		{"2026-02-18", -1, "2026-02-14"},
		{"2026-02-24", -1, "2026-02-14"},
		{"2025-09-30", 20, "2025-11-04"}, // a licence of 20 working days over National Day, with the make-up Saturday of 10-11
		{"2023-12-31", 1, "2024-01-02"},
		{"2025-12-31", 1, "2026-01-04"},
	} {
		got, err := c.AddWorkdays(date(t, x.from), x.n)
		if err != nil || got.String() != x.want {
			t.Errorf("%s + %d: have %s %v, want %s", x.from, x.n, got, err, x.want)
		}
	}
}

func TestUnpublishedYearsFailLoudly(t *testing.T) {
	c := load(t, calendar.National())
	d := func(s string) calendar.Date { return date(t, s) }
	for name, x := range map[string]struct {
		call func() error
		year int
	}{
		"IsWorkday 2027":      {func() error { _, err := c.IsWorkday(d("2027-01-01")); return err }, 2027},
		"IsWorkday 2023":      {func() error { _, err := c.IsWorkday(d("2023-12-31")); return err }, 2023},
		"Workdays into":       {func() error { _, err := c.Workdays(d("2026-12-01"), d("2027-01-01")); return err }, 2027},
		"Workdays far":        {func() error { _, err := c.Workdays(d("2026-12-01"), d("2031-01-01")); return err }, 2027},
		"Workdays beyond":     {func() error { _, err := c.Workdays(d("2029-12-01"), d("2031-01-01")); return err }, 2029},
		"Workdays from last":  {func() error { _, err := c.Workdays(d("2026-12-31"), d("2027-01-01")); return err }, 2027},
		"Workdays before":     {func() error { _, err := c.Workdays(d("2023-12-30"), d("2024-01-01")); return err }, 2023},
		"Workdays backwards":  {func() error { _, err := c.Workdays(d("2027-01-01"), d("2026-12-01")); return err }, 2027},
		"AddWorkdays past":    {func() error { _, err := c.AddWorkdays(d("2026-12-31"), 1); return err }, 2027},
		"AddWorkdays across":  {func() error { _, err := c.AddWorkdays(d("2026-12-01"), 40); return err }, 2027},
		"AddWorkdays before":  {func() error { _, err := c.AddWorkdays(d("2023-12-30"), 1); return err }, 2023},
		"AddWorkdays back":    {func() error { _, err := c.AddWorkdays(d("2024-01-02"), -1); return err }, 2023},
		"AddWorkdays back 27": {func() error { _, err := c.AddWorkdays(d("2027-03-02"), -1); return err }, 2027},
	} {
		var unpublished *calendar.UnpublishedError
		err := x.call()
		if !errors.As(err, &unpublished) || unpublished.Year != x.year || !strings.Contains(err.Error(), fmt.Sprintf("put the file %d.yaml into the folder national of the county's calendars", x.year)) {
			t.Errorf("%s: have %v, want the year %d unpublished", name, err, x.year)
		}
	}
	if n, err := c.Workdays(d("2023-12-31"), d("2024-01-02")); err != nil || n != 1 {
		t.Errorf("the start itself need not be published: have %d %v", n, err)
	}
	if c.Published(2027) || c.Published(2023) || !c.Published(2026) {
		t.Error("published years are wrong")
	}
}

const countyFile = `name: 示例县
year: 2026
published: 2026-03-01
source: 关于三月三放假的通知
holidays:
  - zh: 三月三
    en: Sanyuesan
    from: 2026-04-20
    to: 2026-04-21
  - zh: 抗洪
    en: Flood relief
    workdays: [2026-06-19]
`

func TestLaterLayersOverrideSingleDays(t *testing.T) {
	national := load(t, calendar.National())
	c := load(t, calendar.National(), fstest.MapFS{
		"2026.yaml": {Data: []byte(countyFile)},
		"2027.yaml": {Data: []byte(strings.NewReplacer("2026", "2027").Replace(countyFile))}, // before its national notice
	})
	if c.Published(2027) {
		t.Error("a county cannot publish a year")
	}
	differ := ""
	days := map[calendar.Date]calendar.Day{}
	for d := range national.Days() {
		days[d.Date] = d
	}
	for d := range c.Days() {
		if days[d.Date].Working != d.Working {
			differ += fmt.Sprint(d.Date, " ", d.Working, " ", d.Holiday.En, "; ")
		}
	}
	if want := "2026-04-20 false Sanyuesan; 2026-04-21 false Sanyuesan; 2026-06-19 true Flood relief; "; differ != want {
		t.Errorf("have %s, want %s", differ, want)
	}
}

func TestMistakesNameFileAndLine(t *testing.T) {
	head := "name: 国\nyear: 2026\npublished: 2025-11-04\nsource: 通知\nholidays:\n"
	day := "  - zh: 元旦\n    en: New Year\n    from: 2026-01-01\n    to: 2026-01-03\n"
	for name, x := range map[string]struct{ text, want string }{
		"syntax":       {"name: [", "2026.yaml:1:"},
		"unknown key":  {head + day + "    workday: [2026-01-04]\n", "2026.yaml:10: unknown field"},
		"unknown top":  {"title: x\n" + head, "2026.yaml:1: unknown field"},
		"no such day":  {head + strings.Replace(day, "2026-01-03", "2026-02-30", 1), `2026.yaml:9: "2026-02-30" is not a date that exists`},
		"bad workday":  {head + day + "    workdays:\n      - 2026-01-04\n      - soon\n", `2026.yaml:12: "soon" is not a date`},
		"reversed":     {head + strings.Replace(day, "2026-01-03", "2025-12-31", 1), "2026.yaml:9: the holiday 元旦 ends on 2025-12-31, before it starts"},
		"twice":        {head + day + "    workdays: [2026-01-03]\n", "2026.yaml:10: 2026-01-03 is already named at line 8"},
		"other year":   {head + strings.ReplaceAll(day, "2026-", "2024-"), "2026.yaml:8: 2024-01-01 does not belong to the year 2026"},
		"worked":       {head + day + "    workdays: [2026-01-05]\n", "2026.yaml:10: the make-up workday 2026-01-05 is a Monday"},
		"no name":      {head + strings.Replace(day, "zh: 元旦", "zh: \"\"", 1), "2026.yaml:6: a holiday needs a name"},
		"no days":      {head + "  - zh: 元旦\n    en: New Year\n", "2026.yaml:6: the holiday 元旦 has no days"},
		"no end":       {head + strings.Replace(day, "    to: 2026-01-03\n", "", 1), "2026.yaml:6: the holiday 元旦 needs both from and to"},
		"long":         {head + strings.Replace(day, "2026-01-03", "2026-12-03", 1), "2026.yaml:9: the holiday 元旦 lasts longer than a month"},
		"no year":      {strings.Replace(head, "year: 2026\n", "", 1) + day, "2026.yaml:1: the key year is missing"},
		"bad year":     {strings.Replace(head, "2026", "26", 1) + day, `2026.yaml:2: "26" is not a year`},
		"no source":    {strings.Replace(head, "source: 通知\n", "", 1) + day, "2026.yaml:1: the key source is missing"},
		"no published": {strings.Replace(head, "published: 2025-11-04\n", "", 1) + day, "2026.yaml:1: the key published is missing"},
		"no owner":     {strings.Replace(head, "name: 国\n", "", 1) + day, "2026.yaml:1: the key name is missing"},
	} {
		_, err := calendar.Load(fstest.MapFS{"2026.yaml": {Data: []byte(x.text)}})
		if err == nil || !strings.Contains(err.Error(), x.want) {
			t.Errorf("%s: have %v, want %q", name, err, x.want)
		}
	}
	file := func(year string) *fstest.MapFile {
		return &fstest.MapFile{Data: []byte(strings.ReplaceAll(head+day, "2026", year))}
	}
	_, err := calendar.Load(fstest.MapFS{"2026.yaml": file("2026"), "2028.yaml": file("2028")})
	if err == nil || !strings.Contains(err.Error(), "2028.yaml:2: the years must follow each other: 2027.yaml is missing, or names no holiday,") {
		t.Errorf("gap: have %v", err)
	}
	_, err = calendar.Load(fstest.MapFS{"a.yaml": file("2026"), "b.yaml": file("2026")})
	if err == nil || !strings.Contains(err.Error(), "b.yaml:2: a.yaml already holds the year 2026") {
		t.Errorf("year twice: have %v", err)
	}
	if _, err = calendar.Load(); err == nil {
		t.Error("no layer: have no error")
	}
	if _, err = calendar.Load(fstest.MapFS{}); err == nil {
		t.Error("empty layer: have no error")
	}
}

// The reference walks day by day and asks nothing but IsWorkday.
func TestCountsAgreeWithWalking(t *testing.T) {
	c := load(t, calendar.National())
	first, last := date(t, "2024-01-01"), date(t, "2026-12-31")
	works := func(d calendar.Date) bool {
		w, err := c.IsWorkday(d)
		if err != nil {
			t.Fatal(err)
		}
		return w
	}
	rapid.Check(t, func(t *rapid.T) {
		from := calendar.Date(rapid.Int32Range(int32(first)-1, int32(last)).Draw(t, "from"))
		to := calendar.Date(rapid.Int32Range(int32(from), int32(last)).Draw(t, "to"))
		want := 0
		for d := from + 1; d <= to; d++ {
			if works(d) {
				want++
			}
		}
		got, err := c.Workdays(from, to)
		if err != nil || got != want {
			t.Fatalf("Workdays(%s, %s): have %d %v, want %d", from, to, got, err, want)
		}
		if back, err := c.Workdays(to, from); err != nil || back != -want {
			t.Fatalf("Workdays(%s, %s): have %d %v, want %d", to, from, back, err, -want)
		}

		n := rapid.IntRange(-800, 800).Draw(t, "n")
		result, step, left := from, calendar.Date(1), n
		if n < 0 {
			step, left = -1, -n
		}
		for left > 0 && result+step >= first && result+step <= last {
			if result += step; works(result) {
				left--
			}
		}
		end, err := c.AddWorkdays(from, n)
		if left > 0 {
			var unpublished *calendar.UnpublishedError
			if !errors.As(err, &unpublished) {
				t.Fatalf("AddWorkdays(%s, %d): have %s %v, want an unpublished year", from, n, end, err)
			}
			return
		}
		if err != nil || end != result {
			t.Fatalf("AddWorkdays(%s, %d): have %s %v, want %s", from, n, end, err, result)
		}
	})
}

func TestIndexIsTheDifferenceOfCounts(t *testing.T) {
	c := load(t, calendar.National())
	index, previous := int32(0), date(t, "2023-12-31")
	for d := range c.Days() {
		if d.Date != previous+1 {
			t.Fatalf("%s follows %s", d.Date, previous)
		}
		if previous = d.Date; d.Working {
			index++
		}
		if d.Index != index {
			t.Fatalf("%s: have index %d, want %d", d.Date, d.Index, index)
		}
	}
	if previous != date(t, "2026-12-31") {
		t.Fatalf("the last day is %s", previous)
	}
}

func TestDates(t *testing.T) {
	shanghai, err := time.LoadLocation("Asia/Shanghai")
	if err != nil {
		t.Fatal(err)
	}
	if got := calendar.DateOf(time.Date(2026, 1, 1, 0, 30, 0, 0, shanghai)).String(); got != "2026-01-01" {
		t.Errorf("a day begins at local midnight: have %s", got)
	}
	rapid.Check(t, func(t *rapid.T) {
		d := calendar.Date(rapid.Int32Range(-700000, 700000).Draw(t, "date"))
		at := time.Date(1970, 1, 1, 0, 0, 0, 0, time.UTC).AddDate(0, 0, int(d))
		if d.Time() != at || d.Weekday() != at.Weekday() || d.Year() != at.Year() || calendar.DateOf(at) != d || calendar.NewDate(at.Date()) != d {
			t.Fatalf("%d is %s", d, at)
		}
	})
}

// A calendar file is edited by hand: whatever it holds, Load returns a calendar or an error.
func FuzzLoad(f *testing.F) {
	f.Add(countyFile)
	f.Add("name: [")
	f.Add("holidays:\n  ! 00000000") // makes the YAML library panic
	f.Add("year: ~\nholidays:\n  - from: {a: b}\n")
	f.Add("year: &a 2026\npublished: *a\nholidays: [[]]\n")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := calendar.Load(fstest.MapFS{"2026.yaml": {Data: []byte(text)}})
		if (c == nil) == (err == nil) {
			t.Fatalf("have calendar %v and error %v", c, err)
		}
	})
}

// A year that was published after the program was built comes from a folder of the county's.
func TestNationalTakesFurtherYears(t *testing.T) {
	next := fstest.MapFS{"2027.yaml": {Data: []byte(strings.NewReplacer("2026", "2027", "2025-11", "2026-11").Replace(countyFile))}}
	c := load(t, calendar.National(next))
	if !c.Published(2027) || !c.Published(2026) {
		t.Errorf("published: %v", c.Years())
	}
	if c := load(t, calendar.National(os.DirFS(filepath.Join(t.TempDir(), "absent")))); c.Published(2027) || !c.Published(2026) {
		t.Errorf("without the folder: %v", c.Years())
	}
}

// The county overrides the province, and the province the nation; a year that the nation publishes late stands in the folder national.
func TestLayersOfACounty(t *testing.T) {
	file := func(year, name, days string) *fstest.MapFile {
		return &fstest.MapFile{Data: []byte("name: " + name + "\nyear: " + year + "\npublished: " + year + "-01-02\nsource: 通知\nholidays:\n" + days)}
	}
	off := func(day string) string { return "  - {zh: 假, en: Off, from: " + day + ", to: " + day + "}\n" }
	on := func(day string) string { return "  - {zh: 班, en: On, workdays: [" + day + "]}\n" }
	folder := fstest.MapFS{
		"national/2027.yaml": file("2027", "国", off("2027-01-01")),
		"province/2026.yaml": file("2026", "省", off("2026-04-20")+off("2026-04-21")+off("2026-10-10")),
		"2026.yaml":          file("2026", "县", on("2026-04-21")+off("2026-06-30")),
		"readme.txt":         {Data: []byte("no calendar")},
	}
	c, err := calendar.LoadCounty(folder)
	if err != nil {
		t.Fatal(err)
	}
	for day, want := range map[string]bool{
		"2026-04-20": false, // the province's own
		"2026-04-21": true,  // which the county does not have
		"2026-10-10": false, // a make-up workday of the nation, which the province does not work
		"2026-06-30": false, // the county's own
		"2026-06-29": true,
		"2027-01-01": false,
		"2027-01-04": true,
	} {
		if got, err := c.IsWorkday(date(t, day)); err != nil || got != want {
			t.Errorf("%s: have %t %v, want %t", day, got, err, want)
		}
	}
	paths := ""
	for _, n := range c.Notices() {
		if n.Year >= 2026 {
			paths += fmt.Sprint(n.Layer, " ", n.Path, "; ")
		}
	}
	if want := "0 national/2026.yaml; 0 national/2027.yaml; 1 province/2026.yaml; 2 2026.yaml; "; paths != want {
		t.Errorf("have %s, want %s", paths, want)
	}
	folder["province/2026.yaml"] = file("2026", "省", off("2026-04-31"))
	if _, err := calendar.LoadCounty(folder); err == nil || !strings.Contains(err.Error(), "calendar province/2026.yaml:6: ") {
		t.Errorf("a mistake of the province: have %v", err)
	}
	if c, err := calendar.LoadCounty(nil); err != nil || c.Published(2027) {
		t.Errorf("no folder: %v", err)
	}
	if _, err := calendar.LoadCounty(os.DirFS(filepath.Join(t.TempDir(), "calendras"))); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a folder that is not there: have %v", err)
	}
	if os.Getuid() != 0 {
		dir := t.TempDir()
		if err := os.Mkdir(filepath.Join(dir, "province"), 0o000); err != nil {
			t.Fatal(err)
		}
		if _, err := calendar.LoadCounty(os.DirFS(dir)); err == nil {
			t.Error("a province's calendar that cannot be read was left out")
		}
	}
}

// A file that stands in for a notice to come publishes nothing: its year would have no holiday.
func TestAYearWithoutHolidaysIsNotPublished(t *testing.T) {
	c, err := calendar.LoadCounty(fstest.MapFS{"national/2027.yaml": {Data: []byte("name: 国\nyear: 2027\npublished: 2026-11-04\nsource: 通知\nholidays: []\n")}})
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.Workdays(date(t, "2026-12-31"), date(t, "2027-01-04"))
	var unpublished *calendar.UnpublishedError
	if !errors.As(err, &unpublished) || unpublished.Year != 2027 || !unpublished.Blank || !strings.Contains(err.Error(), "2027.yaml of the nation's calendar names no holiday") {
		t.Errorf("have %v", err)
	}
	// So is holiday-cn's own file of a year to come.
	if o := readOfficial(t, 2027); len(o.Days) > 0 || c.Published(2027) {
		t.Errorf("2027: the data name %d days, the calendar says published %t", len(o.Days), c.Published(2027))
	}
}
