package semantic

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

func init() {
	params := []Param{
		{Name: "layout", Type: "string", Doc: Doc{
			Zh: "源系统的固定格式，按 Go 的写法（如 02.01.2006 15:04）；给出后不再识别其他格式。年份须为四位。",
			En: "The source's one format in Go's notation, such as 02.01.2006 15:04; no other is recognised then. The year needs four digits."}},
		{Name: "excel", Type: "boolean", Doc: Doc{
			Zh: "数字按 Excel 日期序列号理解（45296 即 2024-01-05，小数部分为时间）。",
			En: "Numbers are Excel serial numbers: 45296 is 2024-01-05, the fraction is the time of day."}},
		{Name: "epoch", Type: "string", Values: []string{"seconds", "milliseconds", "microseconds"}, Doc: Doc{
			Zh: "数字按 1970 年以来的秒、毫秒或微秒理解。",
			En: "Numbers count seconds, milliseconds or microseconds since 1970-01-01T00:00:00Z."}},
		{Name: "time_zone", Type: "string", Doc: Doc{
			Zh: "没有时差标记的时间所在时区，默认 Asia/Shanghai。",
			En: "The time zone of times that carry no offset; Asia/Shanghai by default."}},
		{Name: "placeholders", Type: "array", Doc: Doc{
			Zh: "表示“未知”的日期，默认 [\"0001-01-01\", \"9999-12-31\"]；0000-00-00 总是。",
			En: "Dates that stand for \"not known\", by default [\"0001-01-01\", \"9999-12-31\"]; 0000-00-00 always does."}},
		{Name: "long_term", Type: "string", Doc: Doc{
			Zh: "“长期”“永久”换成的日期，如 2299-12-31；不给则报问题。",
			En: "The date that 长期 and 永久 (without end) become, such as 2299-12-31; without it they are refused."}},
	}
	register(Definition{
		Name: "date", Kind: Date, Params: params,
		Doc: Doc{
			Zh: "日期：2024-01-05、2024/1/5、2024.1.5、20240105、2024年1月5日，后面可以跟时间（取当地日期）。两位年份拒绝，不存在的日期拒绝。",
			En: "A date (日期): 2024-01-05, 2024/1/5, 2024.1.5, 20240105, 2024年1月5日; a time may follow, whose local date counts. Two-digit years and dates that do " +
				"not exist are refused.",
		},
		build: func(a *arguments) Type { return &dateType{named{"date", Date}, newTimeReader(a)} },
	})
	register(Definition{
		Name: "timestamp", Kind: Timestamp, Params: params,
		Doc: Doc{
			Zh: "时间：日期的各种写法加 08:30、08:30:05、08:30:05.123456 或 8时30分5秒，可带 Z 或 +08:00；没有时差标记的按所在时区（含 1986 至 1991 年夏令时）换算为 UTC；只有日期的为当地零点。",
			En: "A point in time (时间): any form of a date with 08:30, 08:30:05, 08:30:05.123456 or 8时30分5秒, and Z or +08:00 where the source has it. Without an offset the " +
				"time zone applies, with China's summer time of 1986 to 1991; a date alone is midnight there.",
		},
		build: func(a *arguments) Type { return &timestampType{named{"timestamp", Timestamp}, newTimeReader(a)} },
	})
}

type dateType struct {
	named
	*timeReader
}

type timestampType struct {
	named
	*timeReader
}

// ParseDate returns days since 1970-01-01 of the local date.
func (t *dateType) ParseDate(s string) (int32, *Problem) {
	m, micros, absolute, p := t.read(s)
	if p != nil {
		return 0, p
	}
	if !absolute && !m.hasOffset {
		if p := t.checkDay(m.year, m.month, m.day); p != nil {
			return 0, p
		}
		days := daysFromCivil(m.year, m.month, m.day)
		if m.hour < 24 {
			return days, nil
		}
		days++
		return days, t.checkDay(civilFromDays(days))
	}
	if !absolute {
		micros = m.micros()
	}
	days := int32(floorDiv(t.zone.toLocal(floorDiv(micros, 1e6)), 86400))
	return days, t.checkDay(civilFromDays(days))
}

// ParseTimestamp returns microseconds since 1970-01-01T00:00:00Z.
func (t *timestampType) ParseTimestamp(s string) (int64, *Problem) {
	m, micros, absolute, p := t.read(s)
	if p != nil {
		return 0, p
	}
	if !absolute {
		if p := t.checkDay(m.year, m.month, m.day); p != nil {
			return 0, p
		}
		if micros = m.micros(); !m.hasOffset {
			micros = t.zone.toUTC(floorDiv(micros, 1e6))*1e6 + int64(m.micro)
		}
	}
	if micros < firstMicros || micros > lastMicros {
		return 0, momentRange
	}
	return micros, nil
}

var (
	firstMicros = int64(daysFromCivil(firstYear, 1, 1)) * 86400 * 1e6
	lastMicros  = int64(daysFromCivil(lastYear+1, 1, 1))*86400*1e6 - 1
)

// micros counts microseconds since 1970-01-01T00:00:00 at the moment's own offset; without one, in local time.
func (m *moment) micros() int64 {
	seconds := int64(daysFromCivil(m.year, m.month, m.day))*86400 + int64(m.hour*3600+m.minute*60+m.second-m.offset)
	return seconds*1e6 + int64(m.micro)
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

// timeReader holds the parameters that date and timestamp share.
type timeReader struct {
	zone         *zone
	location     *time.Location
	layout       string
	excel        bool
	perSecond    int64 // of epoch numbers; 0: none
	placeholders [][3]int
	longTerm     *moment
}

func newTimeReader(a *arguments) *timeReader {
	t := &timeReader{location: time.UTC, layout: a.text("layout", ""), excel: a.flag("excel")}
	name := a.text("time_zone", "Asia/Shanghai")
	if location, err := time.LoadLocation(name); err != nil || name == "" || name == "Local" {
		a.fail("time_zone", "want an IANA name such as Asia/Shanghai, have %q", name)
	} else {
		t.location = location
	}
	t.zone = zoneOf(t.location)
	switch a.choice("epoch", "", "seconds", "milliseconds", "microseconds") {
	case "seconds":
		t.perSecond = 1
	case "milliseconds":
		t.perSecond = 1e3
	case "microseconds":
		t.perSecond = 1e6
	}
	if t.excel && t.perSecond > 0 {
		a.fail("epoch", "numbers cannot be Excel serial numbers and epochs at once; remove one")
	}
	if t.layout != "" {
		if t.excel || t.perSecond > 0 {
			a.fail("layout", "a layout excludes the parameters excel and epoch; remove one")
		}
		// A year of two digits does not survive the round trip; neither does a layout without month or day.
		want := time.Date(1934, 11, 27, 0, 0, 0, 0, time.UTC)
		if got, err := time.Parse(t.layout, want.Format(t.layout)); err != nil || !got.Equal(want) {
			a.fail("layout", "want a Go layout with a four-digit year, month and day, such as 02.01.2006 15:04:05, have %q", t.layout)
		}
	}
	for _, text := range a.words("placeholders", "0001-01-01", "9999-12-31") {
		m, p := scanMoment(text)
		if p != nil {
			a.fail("placeholders", "want dates in quotes such as \"1900-01-01\", have %q", text)
			break
		}
		t.placeholders = append(t.placeholders, [3]int{m.year, m.month, m.day})
	}
	if text := a.text("long_term", ""); text != "" {
		m, p := scanMoment(text)
		if p != nil || m.year < firstYear || m.year > lastYear {
			a.fail("long_term", "want a date in quotes such as \"2299-12-31\", have %q", text)
		}
		t.longTerm = &m
	}
	return t
}

// read returns a moment, or with absolute the microseconds since 1970 UTC of a number.
func (t *timeReader) read(s string) (m moment, micros int64, absolute bool, p *Problem) {
	s = trim(s)
	if t.layout == "" && t.perSecond == 0 && !t.excel { // the common case
		if m, p = scanMoment(s); p != momentFormat {
			return m, 0, false, p
		}
	}
	if s == "" {
		return m, 0, false, problemEmpty
	}
	s = trim(fold(s))
	switch {
	case s == "长期", s == "永久", s == "长期有效", s == "永久有效", s == "无固定期限":
		if t.longTerm == nil {
			return m, 0, false, momentNever
		}
		return *t.longTerm, 0, false, nil
	case t.layout != "":
		return t.readLayout(s)
	case (t.excel || t.perSecond > 0) && isNumber(s):
		micros, absolute, p = t.readNumber(s, &m)
		return m, micros, absolute, p
	}
	if m, p = scanMoment(s); p == momentFormat {
		p = refusal(s, momentFormat)
	}
	return m, 0, false, p
}

func (t *timeReader) readLayout(s string) (m moment, micros int64, absolute bool, p *Problem) {
	v, err := time.ParseInLocation(t.layout, s, time.UTC)
	if err != nil {
		switch parse, _ := err.(*time.ParseError); {
		case parse != nil && (strings.HasPrefix(parse.Message, ": day ") || strings.HasPrefix(parse.Message, ": month ")):
			return m, 0, false, momentDate
		case parse != nil && strings.HasSuffix(parse.Message, "out of range"):
			return m, 0, false, momentTime
		}
		return m, 0, false, refusal(s, momentForm)
	}
	_, offset := v.Zone()
	m = moment{year: v.Year(), month: int(v.Month()), day: v.Day(), hour: v.Hour(), minute: v.Minute(), second: v.Second(),
		micro: v.Nanosecond() / 1000, offset: offset, hasOffset: layoutHasOffset(t.layout)}
	return m, 0, false, nil
}

// layoutHasOffset reports whether the layout reads an offset from the text.
func layoutHasOffset(layout string) bool {
	return strings.Contains(layout, "-07") || strings.Contains(layout, "Z07")
}

// readNumber reads an Excel serial number (a local date and time) into m, or an epoch into microseconds.
func (t *timeReader) readNumber(s string, m *moment) (micros int64, absolute bool, p *Problem) {
	whole, _, fractional := strings.Cut(s, ".")
	if t.perSecond > 0 {
		n, err := strconv.ParseInt(whole, 10, 64)
		if err != nil || fractional && t.perSecond != 1 {
			return 0, true, momentNumber
		}
		if n > math.MaxInt64/1_000_000 || n < math.MinInt64/1_000_000 {
			return 0, true, momentRange
		}
		micros = n * (1e6 / t.perSecond)
		if fractional {
			f, err := strconv.ParseFloat(s, 64)
			if err != nil {
				return 0, true, momentNumber
			}
			micros = int64(math.Round(f * 1e6))
		}
		if micros < firstMicros || micros > lastMicros {
			return 0, true, momentRange
		}
		return micros, true, nil
	}
	if len(whole) == 8 && !fractional { // 20240105: as a serial number it would lie in the year 57315
		*m, p = scanMoment(s)
		return 0, false, p
	}
	f, err := strconv.ParseFloat(s, 64)
	switch {
	case err != nil:
		return 0, false, momentNumber
	case f < 1 || f >= 146464: // 2300-12-31
		return 0, false, momentRange
	case math.Floor(f) == 60:
		return 0, false, momentDate // Excel's 1900-02-29
	}
	// Excel's binary fraction is good to the millisecond.
	millis := int64(math.Round(f * 86400e3))
	days := millis/86400e3 - 25569 // 1970-01-01
	if f < 60 {
		days++
	}
	rest := int(millis % 86400e3)
	m.year, m.month, m.day = civilFromDays(int32(days))
	m.hour, m.minute, m.second, m.micro = rest/3600e3, rest/60e3%60, rest/1e3%60, rest%1e3*1000
	return 0, false, nil
}

func isNumber(s string) bool {
	whole, fraction, found := strings.Cut(strings.TrimPrefix(s, "-"), ".")
	return allDigits(whole) && (!found || allDigits(fraction))
}

// checkDay refuses the contract's placeholder dates and years the warehouse cannot hold.
func (t *timeReader) checkDay(year, month, day int) *Problem {
	if slices.Contains(t.placeholders, [3]int{year, month, day}) {
		return problemPlaceholder
	}
	if year < firstYear || year > lastYear {
		return momentRange
	}
	return nil
}
