package semantic

import (
	"math"
	"strings"
)

func init() {
	bounds := []Param{
		{Name: "min", Type: "integer", Doc: Doc{Zh: "最小值（含）。", En: "The least value allowed."}},
		{Name: "max", Type: "integer", Doc: Doc{Zh: "最大值（含）。", En: "The greatest value allowed."}},
	}
	register(Definition{
		Name: "integer", Kind: Integer, Params: bounds,
		Doc: Doc{
			Zh: "整数：可带正负号和千分位；12.0 视为 12，12.5 拒绝。",
			En: "A whole number (整数), with an optional sign and thousands separators; 12.0 is 12, 12.5 is refused.",
		},
		build: func(a *arguments) Type { return newInteger(a) },
	})
	register(Definition{
		Name: "decimal", Kind: Decimal,
		Params: append([]Param{{Name: "scale", Type: "integer", Doc: Doc{
			Zh: "小数位数，0 至 9，默认 2。", En: "The number of decimals kept, 0 to 9; 2 by default."}}}, bounds...),
		Doc: Doc{
			Zh: "小数：按 10 的 -scale 次方计数的整数；多出的小数位只能是 0。",
			En: "A decimal number (小数), kept as a whole number of units of 10^-scale; decimals beyond the scale must be zero.",
		},
		build: func(a *arguments) Type {
			t := decimal{named: named{"decimal", Decimal}, scale: int(a.integer("scale", 2, 0, 9))}
			t.min, t.max = bound(a, t.scale)
			return t
		},
	})
	register(Definition{
		Name: "money", Kind: Decimal,
		Params: []Param{{Name: "unit", Type: "string", Values: []string{"yuan", "fen", "wan"}, Doc: Doc{
			Zh: "没有写明单位的数字是元（默认）、分还是万元。", En: "What a number without a unit counts: yuan (元, the default), fen (分) or wan (万元)."}}},
		Doc: Doc{
			Zh: "金额，存为分：可带 ¥、人民币、元、万元、千分位、全角；文本自带的单位优先；不足一分的拒绝。",
			En: "Money (金额), kept in fen (分, cents): ¥, RMB, 元, 万元, thousands separators and full width are understood; a unit in the text wins over the parameter; " +
				"fractions of a fen are refused.",
		},
		build: func(a *arguments) Type {
			return money{named{"money", Decimal}, moneyScales[a.choice("unit", "yuan", "fen", "wan")]}
		},
	})
}

var (
	numberFormat  = &Problem{CodeFormat, "the text is no number"}
	numberPrecise = &Problem{CodeTooPrecise, "the number has more decimals than the field keeps"}
	numberRange   = &Problem{CodeOutOfRange, "the number lies outside the range of the field"}
	moneyFormat   = &Problem{CodeFormat, "the text is no amount such as 1,234.50 or ¥1234.5元"}
	moneyPrecise  = &Problem{CodeTooPrecise, "the amount has fractions of a fen; is the parameter unit right?"}
)

type integer struct {
	named
	min, max int64
}

func newInteger(a *arguments) integer {
	t := integer{named: named{"integer", Integer}}
	t.min, t.max = bound(a, 0)
	return t
}

// bound reads min and max, given in whole units.
func bound(a *arguments, scale int) (low, high int64) {
	unit := pow10[scale]
	low, high = math.MinInt64, math.MaxInt64
	if _, given := a.params["min"]; given {
		low = a.integer("min", 0, math.MinInt64/unit, math.MaxInt64/unit) * unit
	}
	if _, given := a.params["max"]; given {
		high = a.integer("max", 0, math.MinInt64/unit, math.MaxInt64/unit) * unit
	}
	if low > high {
		a.fail("min", "min is greater than max")
	}
	return low, high
}

// ParseInteger returns the number.
func (t integer) ParseInteger(s string) (int64, *Problem) {
	return parseNumber(s, 0, t.min, t.max)
}

type decimal struct {
	named
	scale    int
	min, max int64
}

func (t decimal) Scale() int { return t.scale }

// ParseDecimal returns the number times 10^Scale.
func (t decimal) ParseDecimal(s string) (int64, *Problem) {
	return parseNumber(s, t.scale, t.min, t.max)
}

func parseNumber(s string, scale int, low, high int64) (int64, *Problem) {
	n, p := scanNumber(s, scale)
	if p == numberFormat {
		folded := trim(fold(s))
		if n, p = scanNumber(folded, scale); p == numberFormat {
			return 0, refusal(s, numberFormat)
		}
	}
	if p == nil && (n < low || n > high) {
		return 0, numberRange
	}
	return n, p
}

// moneyScales says how many decimals a unit has over the fen.
var moneyScales = map[string]int{"yuan": 2, "fen": 0, "wan": 6}

type money struct {
	named
	scale int // of a number without a unit
}

func (money) Scale() int { return 2 }

// ParseDecimal returns the amount in fen.
func (t money) ParseDecimal(s string) (int64, *Problem) {
	n, p := scanNumber(s, t.scale)
	if p == numberFormat {
		amount, scale := t.unit(trim(fold(s)))
		if n, p = scanNumber(amount, scale); p == numberFormat {
			return 0, refusal(s, moneyFormat)
		}
	}
	if p == numberPrecise {
		p = moneyPrecise
	}
	return n, p
}

// unit strips the currency and the unit, which wins over the parameter.
func (t money) unit(s string) (amount string, scale int) {
	sign := ""
	if rest, found := strings.CutPrefix(s, "-"); found { // -¥12.00
		s, sign = rest, "-"
	}
	s, scale = strings.ToUpper(s), t.scale
	for _, currency := range []string{"人民币", "¥", "CNY", "RMB"} {
		s = strings.TrimPrefix(trim(s), currency)
	}
	s = strings.TrimSuffix(strings.TrimSuffix(trim(s), "整"), "正")
	for _, unit := range []struct {
		suffix string
		scale  int
	}{{"万元", 6}, {"万", 6}, {"元", 2}, {"分", 0}} {
		if rest, found := strings.CutSuffix(s, unit.suffix); found {
			s, scale = rest, unit.scale
			break
		}
	}
	return sign + trim(s), scale
}

var pow10 = [...]int64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9}

// scanNumber reads an optional sign, digits with or without thousands separators, and decimals, as a whole number of units of
// 10^-scale. Decimals beyond scale must be zero.
func scanNumber(s string, scale int) (int64, *Problem) {
	i, negative := 0, false
	if i < len(s) && (s[i] == '-' || s[i] == '+') {
		negative = s[i] == '-'
		i++
	}
	const limit = math.MaxUint64 / 10 // one more digit cannot overflow below it
	var value uint64
	digits, group, overflow := 0, -1, false // group: digits since the last separator, -1 before the first
	for ; i < len(s); i++ {
		c := s[i]
		if isDigit(c) {
			overflow = overflow || value >= limit
			value = value*10 + uint64(c-'0')
			digits++
			if group >= 0 {
				group++
			}
			continue
		}
		if c != ',' {
			break
		}
		if group != 3 && (group != -1 || digits == 0 || digits > 3) {
			return 0, numberFormat
		}
		group = 0
	}
	if group >= 0 && group != 3 || digits == 0 {
		return 0, numberFormat
	}
	precise := false
	decimals := 0
	if i < len(s) && s[i] == '.' {
		for i++; i < len(s) && isDigit(s[i]); i++ {
			switch {
			case decimals < scale:
				overflow = overflow || value >= limit
				value = value*10 + uint64(s[i]-'0')
				decimals++
			case s[i] != '0':
				precise = true
			}
		}
		if s[i-1] == '.' {
			return 0, numberFormat
		}
	}
	if i < len(s) {
		return 0, numberFormat
	}
	for ; decimals < scale; decimals++ {
		overflow = overflow || value >= limit
		value *= 10
	}
	switch {
	case precise:
		return 0, numberPrecise
	case overflow || value > math.MaxInt64:
		return 0, numberRange
	case negative:
		return -int64(value), nil
	}
	return int64(value), nil
}
