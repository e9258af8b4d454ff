package semantic

import "strings"

func init() {
	register(Definition{
		Name: "division_code", Kind: Text,
		Doc: Doc{
			Zh: "行政区划代码（GB/T 2260）：县级 6 位、乡级 9 位、村级 12 位。末尾全为 0 的乡级、村级部分去掉，同一区划只有一种写法。",
			En: "Division code (行政区划代码, GB/T 2260): 6 digits for a county, 9 for a township, 12 for a village. Trailing groups of zeros are removed, so that a " +
				"division is written in one way only.",
		},
		Params: []Param{{Name: "digits", Type: "integer", Values: []string{"6", "9", "12"}, Doc: Doc{
			Zh: "固定位数：6、9 或 12；短的补 0，长出的部分不为 0 的拒绝。",
			En: "A fixed length, 6, 9 or 12: shorter codes gain zeros, longer ones are refused unless the rest is zero.",
		}}},
		build: func(a *arguments) Type {
			n := a.integer("digits", 0, 6, 12)
			if n%3 != 0 {
				a.fail("digits", "want 6, 9 or 12, have %d", n)
			}
			return divisionCode{named{"division_code", Text}, int(n)}
		},
	})
}

var (
	divisionFormat = &Problem{CodeFormat, "the division code does not have 6, 9 or 12 digits"}
	divisionRegion = &Problem{CodeBadRegion, "the division code starts with a province that does not exist"}
	divisionLong   = &Problem{CodeTooLong, "the division code is finer than this field allows"}
)

type divisionCode struct {
	named
	digits int // 0: the shortest form
}

// ParseText returns 6, 9 or 12 digits.
func (t divisionCode) ParseText(s string) (string, *Problem) {
	if len(s) < 6 || len(s) > 12 || !allDigits(s) {
		var buf [16]byte
		b, p := compact(buf[:], s, divisionFormat)
		if p != nil {
			return "", p
		}
		if s = string(b); !allDigits(s) {
			return "", refusal(s, divisionFormat)
		}
	}
	switch {
	case isRun(s):
		return "", problemPlaceholder
	case len(s) != 6 && len(s) != 9 && len(s) != 12:
		return "", divisionFormat
	case !isProvince(two(s)) && s[:6] != "100000": // 100000: the whole country
		return "", divisionRegion
	}
	for len(s) > 6 && s[len(s)-3:] == "000" {
		s = s[:len(s)-3]
	}
	switch {
	case t.digits == 0 || len(s) == t.digits:
		return s, nil
	case len(s) > t.digits:
		return "", divisionLong
	}
	return s + strings.Repeat("0", t.digits-len(s)), nil
}
