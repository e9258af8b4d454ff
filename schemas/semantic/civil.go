package semantic

import "strconv"

// validDate reports whether the Gregorian calendar has the date.
func validDate(year, month, day int) bool {
	return month >= 1 && month <= 12 && day >= 1 && day <= daysIn(year, month)
}

func daysIn(year, month int) int {
	if month == 2 {
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	}
	return 30 + (month+month>>3)&1
}

// daysFromCivil counts the days from 1970-01-01 to a valid date of the year 0 or later. The year is taken to start in March,
// so that the leap day is its last, and the lengths of the months before it follow (153m+2)/5.
func daysFromCivil(year, month, day int) int32 {
	if month <= 2 {
		year--
		month += 12
	}
	year += 400 // keeps the divisions below away from negative numbers for the year 0
	return int32(365*year + year/4 - year/100 + year/400 + (153*(month-3)+2)/5 + day - 1 - 719468 - 146097)
}

// civilFromDays is the inverse of daysFromCivil.
func civilFromDays(days int32) (year, month, day int) {
	z := int(days) + 719468 + 146097
	era := z / 146097
	doe := z % 146097
	yoe := (doe - doe/1460 + doe/36524 - doe/146096) / 365
	doy := doe - (365*yoe + yoe/4 - yoe/100)
	mp := (5*doy + 2) / 153
	year, month, day = era*400+yoe-400, mp+3, doy-(153*mp+2)/5+1
	if month > 12 {
		year, month = year+1, month-12
	}
	return year, month, day
}

// FormatDate writes days since 1970-01-01 as 2024-01-05.
func FormatDate(days int32) string {
	return string(appendDate(nil, days))
}

// FormatTimestamp writes microseconds since 1970-01-01T00:00:00Z as 2024-01-05T00:30:05.000000Z.
func FormatTimestamp(micros int64) string {
	const perDay = 86400 * 1e6
	days, rest := micros/perDay, micros%perDay
	if rest < 0 {
		days, rest = days-1, rest+perDay
	}
	b := append(appendDate(make([]byte, 0, 27), int32(days)), 'T')
	seconds := int(rest / 1e6)
	b = append(appendPadded(b, seconds/3600, 2), ':')
	b = append(appendPadded(b, seconds/60%60, 2), ':')
	b = append(appendPadded(b, seconds%60, 2), '.')
	return string(append(appendPadded(b, int(rest%1e6), 6), 'Z'))
}

func appendDate(b []byte, days int32) []byte {
	year, month, day := civilFromDays(days)
	b = append(appendPadded(b, year, 4), '-')
	b = append(appendPadded(b, month, 2), '-')
	return appendPadded(b, day, 2)
}

func appendPadded(b []byte, n, width int) []byte {
	for limit := 10; width > 1; width-- {
		if n < limit {
			for range width - 1 {
				b = append(b, '0')
			}
			break
		}
		limit *= 10
	}
	return strconv.AppendInt(b, int64(n), 10)
}
