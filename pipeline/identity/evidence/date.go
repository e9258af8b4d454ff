package evidence

import (
	"time"
)

// date: Parts are year*10000+month*100+day, year, month, day, and the days since 1970-01-01.
func init() {
	register(&Kind{
		Name: "date",
		Doc:  "a date as year, month, day: 1980-01-31 or 19800131",
		Prepare: func(raw string) (Value, bool) {
			var digits [8]byte
			n := 0
			for i := range len(raw) {
				switch c := raw[i]; {
				case c >= '0' && c <= '9' && n < 8:
					digits[n] = c
					n++
				case c >= '0' && c <= '9':
					return Value{}, false
				case c != '-' && c != '/' && c != '.' && c != ' ':
					return Value{}, false
				}
			}
			if n != 8 {
				return Value{}, false
			}
			num := func(from, to int) (x uint64) {
				for _, c := range digits[from:to] {
					x = x*10 + uint64(c-'0')
				}
				return x
			}
			text := string(digits[:])
			if num(0, 8) == 0 {
				return Value{}, false
			}
			year, month, day := num(0, 4), num(4, 6), num(6, 8)
			at := time.Date(int(year), time.Month(month), int(day), 0, 0, 0, 0, time.UTC)
			if at.Month() != time.Month(month) || at.Day() != int(day) {
				// A date that does not exist is still evidence: somebody miswrote a digit of one that does.
				at = time.Time{}
			}
			return Value{Text: text, Hash: hash(text), Parts: parts{num(0, 8), year, month, day, uint64(at.Unix() / 86400)}}, true
		},
		Comparators: map[string]Comparator{
			"slip": {Doc: "one digit wrong, two neighbours swapped, or day and month swapped", Agree: func(a, b *Value, _ float64) bool {
				return dateSlip(a, b)
			}},
			"year_only": {Doc: "the same year, and one of them is the first of January, as which a mere year is written", Agree: func(a, b *Value, _ float64) bool {
				return a.Parts[1] == b.Parts[1] && (a.Parts[0]%10000 == 101 || b.Parts[0]%10000 == 101)
			}},
			"year_month": {Doc: "the same year and month", Agree: func(a, b *Value, _ float64) bool { return a.Parts[0]/100 == b.Parts[0]/100 }},
			"month_day":  {Doc: "the same month and day", Agree: func(a, b *Value, _ float64) bool { return a.Parts[0]%10000 == b.Parts[0]%10000 }},
			"year":       {Doc: "the same year", Agree: samePart(1)},
			"years":      {Doc: "years apart", Bound: AtMost, Agree: func(a, b *Value, most float64) bool { return apart(a.Parts[1], b.Parts[1]) <= most }},
			"days":       {Doc: "days apart", Bound: AtMost, Agree: func(a, b *Value, most float64) bool { return apart(a.Parts[4], b.Parts[4]) <= most }},
		},
		Keys: map[string]Key{
			"year":       {Doc: "the year", Of: partKey(1)},
			"month_day":  {Doc: "month and day", Of: func(v *Value, _ int, dst []uint64) []uint64 { return append(dst, v.Parts[0]%10000) }},
			"year_month": {Doc: "year and month", Of: func(v *Value, _ int, dst []uint64) []uint64 { return append(dst, v.Parts[0]/100) }},
		},
	})
}

func apart(a, b uint64) float64 {
	d := int64(a - b)
	return float64(max(d, -d))
}

// dateSlip tells whether two dates differ by one slip of the pen.
func dateSlip(a, b *Value) bool {
	x, y := a.Text, b.Text
	wrong, at := 0, 0
	for i := range 8 {
		if x[i] != y[i] {
			if wrong == 0 {
				at = i
			}
			wrong++
		}
	}
	switch {
	case wrong <= 1:
		return true
	case wrong == 2 && at < 7 && x[at] == y[at+1] && x[at+1] == y[at]:
		return true
	}
	return x[:4] == y[:4] && x[4:6] == y[6:8] && x[6:8] == y[4:6]
}
