package semantic

import (
	"strings"
	"unicode/utf8"
)

func init() {
	register(Definition{
		Name: "phone", Kind: Text, Personal: true,
		Doc: Doc{
			Zh: "电话号码：大陆手机 11 位；固定电话为区号加号码（05918765432 之类，分机写作 -8001）；400/800 电话；境外号码以 + 和国家代码开头。+86、0086、分隔符自动去除。",
			En: "Telephone number (电话号码): a mainland mobile as 11 digits; a landline as area code and number, an extension as -8001; 400 and 800 numbers; a " +
				"number abroad as + and its country code. +86, 0086 and separators are removed.",
		},
		Params: []Param{{Name: "area_code", Type: "string", Doc: Doc{
			Zh: "本地区号，如 0591；给出后，没有区号的固定电话补上它。",
			En: "The local area code, such as 0591: a landline number without one gains it.",
		}}},
		build: func(a *arguments) Type {
			t := phone{named: named{"phone", Text}, area: a.text("area_code", "")}
			if t.area != "" && (!allDigits(t.area) || areaLength(t.area) != len(t.area)) {
				a.fail("area_code", "want the digits of an area code such as \"0591\" in quotes, have %q", t.area)
			}
			return t
		},
	})
}

var (
	phoneFormat   = &Problem{CodeFormat, "the number is neither a mobile number nor a landline with its area code"}
	phoneNoArea   = &Problem{CodeNoAreaCode, "the landline number has no area code; give the local one as the parameter area_code"}
	phoneSeveral  = &Problem{CodeSeveral, "the field holds more than one telephone number"}
	phoneAbroad   = &Problem{CodeFormat, "a number abroad needs its country code and 7 to 14 digits"}
	extensionWord = strings.NewReplacer("转", "#", "轉", "#", "分机", "#", "EXT.", "#", "EXT", "#", "X", "#")
)

type phone struct {
	named
	area string
}

// ParseText returns the canonical digits: 13812345678, 059187654321, 059187654321-8001, 4008123123, +85221234567.
func (t phone) ParseText(s string) (string, *Problem) {
	if len(s) == 11 && s[0] == '1' && allDigits(s) {
		return checked(s, checkMobile(s))
	}
	if !utf8.ValidString(s) {
		return "", problemEncoding
	}
	folded := extensionWord.Replace(strings.ToUpper(trim(fold(s))))
	if p := severalOrBad(folded); p != nil {
		return "", p
	}
	number, extension, marked := strings.Cut(folded, "#")
	if head, tail, found := cutLast(folded, "-"); found && !marked && (isLandline(head) || isService(head)) {
		number, extension, marked = head, tail, true // the canonical form of an extension
	}
	if marked {
		return t.withExtension(number, extension)
	}
	canonical, p := t.whole(number)
	if p == phoneFormat {
		// 0591-87654321-8001: only when the last group does not belong to the number itself.
		if head, tail, found := cutLast(number, "-"); found {
			if extended, p := t.withExtension(head, tail); p == nil {
				return extended, nil
			}
		}
	}
	return canonical, p
}

func (t phone) withExtension(number, extension string) (string, *Problem) {
	extension = strings.TrimSpace(extension)
	canonical, p := t.whole(number)
	switch {
	case p != nil:
		return "", p
	case !isLandline(canonical) && !isService(canonical), len(extension) > 6, !allDigits(extension):
		return "", phoneFormat // mobiles have no extension, and those of numbers abroad cannot be told from the number
	}
	return canonical + "-" + extension, nil
}

// whole reads a number without extension, folded and in upper case.
func (t phone) whole(number string) (string, *Problem) {
	var buf [32]byte
	digits := buf[:0]
	plus := false
	for i := 0; i < len(number); i++ {
		switch c := number[i]; {
		case isDigit(c):
			if len(digits) == cap(digits) {
				return "", phoneFormat
			}
			digits = append(digits, c)
		case c == '+' && len(digits) == 0:
			plus = true
		case c == ' ' || c == '-' || c == '(' || c == ')' || c == '.' || c == '_' || c == '\'':
		default:
			return "", refusal(number, phoneFormat)
		}
	}
	if len(digits) == 0 {
		return "", refusal(number, phoneFormat)
	}
	return t.canonical(string(digits), plus)
}

// canonical takes all digits of a number, country code included.
func (t phone) canonical(d string, plus bool) (string, *Problem) {
	if !plus && strings.HasPrefix(d, "00") && !isRun(d) {
		d, plus = d[2:], true
	}
	switch {
	case strings.HasPrefix(d, "86") && (plus || len(d) == 13 && isMobile(d[2:])):
		d = d[2:]
		if !isMobile(d) && !isService(d) && isLandline("0"+d) {
			d = "0" + d // abroad the area code is dialled without its 0
		}
	case plus:
		if len(d) < 7 || len(d) > 15 || d[0] == '0' || isRun(d) {
			return "", phoneAbroad
		}
		return "+" + d, nil
	}
	if len(d) == 12 && d[0] == '0' && isMobile(d[1:]) {
		d = d[1:] // the 0 once dialled before a mobile of another place
	}
	switch {
	case len(d) > 4 && isRun(d):
		return "", problemPlaceholder
	case len(d) == 11 && d[0] == '1':
		return checked(d, checkMobile(d))
	case isService(d), isLandline(d):
		return d, nil
	case isLocal(d):
		if t.area == "" {
			return "", phoneNoArea
		}
		return t.area + d, nil
	}
	return "", phoneFormat
}

// severalOrBad refuses a field with two numbers before their digits run together.
func severalOrBad(s string) *Problem {
	if s == "" {
		return problemEmpty
	}
	if i := strings.IndexAny(s, "/,;、|；"); i >= 0 {
		if strings.ContainsAny(s[:i], "0123456789") && strings.ContainsAny(s[i:], "0123456789") {
			return phoneSeveral
		}
		return refusal(s, phoneFormat)
	}
	return nil
}

func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}

func isMobile(d string) bool { return len(d) == 11 && d[0] == '1' && d[1] >= '3' && allDigits(d) }

// checkMobile looks at eleven digits that start with 1.
func checkMobile(d string) *Problem {
	switch {
	case isRun(d), d[3:] == "00000000", d == "13800138000": // the last is the carrier's own, typed to get past a form
		return problemPlaceholder
	case d[1] < '3':
		return phoneFormat
	}
	return nil
}

// areaLength returns the length of the area code that d begins with, its 0 included: 010 and 02x have three digits, all
// others four; 0 if there is none.
func areaLength(d string) int {
	switch {
	case len(d) < 3 || d[0] != '0' || d[1] == '0':
		return 0
	case d[1] == '2' || d[1] == '1' && d[2] == '0':
		return 3
	case d[1] == '1' || len(d) < 4:
		return 0
	}
	return 4
}

// isLocal recognises a number without area code: seven or eight digits, the first 2 to 9.
func isLocal(d string) bool { return (len(d) == 7 || len(d) == 8) && d[0] >= '2' }

// isService recognises a 400 or 800 number.
func isService(d string) bool {
	return len(d) == 10 && (d[:3] == "400" || d[:3] == "800") && allDigits(d)
}

func isLandline(d string) bool {
	n := areaLength(d)
	return allDigits(d) && n > 0 && isLocal(d[n:]) && (n == 4 || len(d) == 11)
}
