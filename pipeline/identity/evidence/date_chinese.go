package evidence

import (
	"strings"
)

// Parts of a chinese_date are those of date, and behind them the day that it would be if somebody had written the lunar
// calendar's month and day as if they were the sun's.
const dateAsLunar = 5

func init() {
	dates, ok := Lookup("date")
	if !ok {
		panic("evidence: the kind date is registered first")
	}
	k := &Kind{
		Name: "chinese_date",
		Doc:  "a date of birth as departments write it (1980-01-31, 19800131, 1980年1月31日, 1980.1.31), by the sun or by the moon",
		Prepare: func(raw string) (Value, bool) {
			v, ok := dates.Prepare(plainDate(raw))
			if !ok || v.Parts[0] == 19000101 {
				return Value{}, false
			}
			v.Parts[dateAsLunar] = asLunar(int(v.Parts[1]), int64(v.Parts[4]))
			return v, true
		},
		Comparators: map[string]Comparator{
			"lunar": {Doc: "one is the other by the lunar calendar", Agree: lunarAgree},
		},
		Keys: map[string]Key{},
	}
	for name, c := range dates.Comparators {
		k.Comparators[name] = c
	}
	for name, c := range dates.Keys {
		k.Keys[name] = c
	}
	register(k)
}

// plainDate writes a date as eight digits where it can.
func plainDate(raw string) string {
	if len(raw) == 8 && allDigits(raw) || len(raw) == 10 && raw[4] == '-' {
		return raw
	}
	var part [3]int
	n, digits := 0, 0
	s := strings.TrimSpace(compatible(raw))
	if allDigits(s) {
		return s
	}
	for _, r := range s {
		switch {
		case r >= '0' && r <= '9' && n < 3:
			part[n] = part[n]*10 + int(r-'0')
			digits++
			if digits > 4 {
				return raw
			}
		case digits > 0:
			n++
			digits = 0
		}
		if r == 'T' || n == 3 {
			break
		}
	}
	if part[0] < 1000 || part[1] < 1 || part[1] > 12 || part[2] < 1 || part[2] > 31 {
		return raw
	}
	text := make([]byte, 0, 8)
	for i, width := range []int{4, 2, 2} {
		for d, scale := 0, []int{1000, 100, 10, 1}[4-width:]; d < width; d++ {
			text = append(text, byte('0'+part[i]/scale[d]%10))
		}
	}
	return string(text)
}

// lunarAgree tells whether one date is the lunar form of the other, a day more or less: offices count from different
// tables. The year may be the sun's, where the moon's new year comes later.
func lunarAgree(a, b *Value, _ float64) bool { return lunarOf(a, b) || lunarOf(b, a) }

func lunarOf(sun, moon *Value) bool {
	l, said := sun.Parts[dateAsLunar], moon.Parts[0]
	if l == 0 || l == sun.Parts[0] {
		return false
	}
	year, saidYear := l/10000, said/10000
	if saidYear != year && saidYear != sun.Parts[1] {
		return false
	}
	return apart(l%10000, said%10000) <= 1
}
