package evidence

import (
	"strings"
)

// Parts of a phone: its last eight digits.
func init() {
	register(&Kind{
		Name:    "phone",
		Doc:     "a telephone number, mobile or fixed, with or without country and area code",
		Prepare: preparePhone,
		Comparators: map[string]Comparator{
			"one_slip": {Doc: "a mobile number with one digit wrong, or two neighbours swapped", Agree: func(a, b *Value, _ float64) bool {
				return len(a.Text) == 11 && len(b.Text) == 11 && numberSlip(a, b, 0)
			}},
			"local": {Doc: "the same fixed number, one without its area code", Agree: func(a, b *Value, _ float64) bool {
				x, y := a.Text, b.Text
				if len(x) > len(y) {
					x, y = y, x
				}
				return (len(x) == 7 || len(x) == 8) && strings.HasSuffix(y, x)
			}},
		},
		Keys: map[string]Key{"tail": {Doc: "the last seven digits", Of: partKey(0)}},
	})
}

func preparePhone(raw string) (Value, bool) {
	s := plainNumber(raw)
	digits := make([]byte, 0, 16)
	for i := range len(s) {
		if s[i] >= '0' && s[i] <= '9' {
			digits = append(digits, s[i])
		} else if len(digits) >= 7 {
			break // an extension
		}
	}
	t := strings.TrimPrefix(string(digits), "00")
	if len(t) > 11 {
		t = strings.TrimPrefix(t, "86")
	}
	if len(t) == 12 && t[0] == '0' && t[1] == '1' {
		t = t[1:] // a zero before a mobile number
	}
	if len(t) < 7 || placeholder(t) || strings.Count(t[len(t)-7:], t[len(t)-1:]) == 7 {
		return Value{}, false
	}
	return Value{Text: t, Hash: hash(t), Parts: parts{hash(t[len(t)-7:])}}, true
}
