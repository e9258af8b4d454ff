package semantic

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// isBlank reports whether r is white to the eye: spaces of every width, control characters (fixed-width columns are
// padded with NUL), zero-width characters and the byte order mark that exports leave in front.
func isBlank(r rune) bool {
	if r < utf8.RuneSelf {
		return r <= ' ' || r == 0x7F
	}
	switch {
	case unicode.IsSpace(r), r < 0xA0, r == 0xAD, r >= 0x200B && r <= 0x200F, r == 0x2060, r == 0xFEFF:
		return true
	}
	return false
}

// trim cuts blanks from both ends.
func trim(s string) string {
	if s == "" {
		return s
	}
	if first, last := s[0], s[len(s)-1]; first > ' ' && first < 0x7F && last > ' ' && last < 0x7F {
		return s
	}
	return strings.TrimFunc(s, isBlank)
}

// narrow folds a full-width character (U+FF01..U+FF5E) to its ASCII form and leaves any other alone.
func narrow(r rune) rune {
	if r >= 0xFF01 && r <= 0xFF5E {
		return r - 0xFEE0
	}
	switch r {
	case 0xFFE5: // ￥, the full-width yen sign
		return '¥'
	case 0x2212, 0x2010, 0x2011, 0x2013: // minus sign, hyphens and the dash that word processors substitute
		return '-'
	}
	return r
}

// fold narrows the whole text and makes every blank a plain space; text that needs neither comes back as it is.
func fold(s string) string {
	return strings.Map(func(r rune) rune {
		if isBlank(r) {
			return ' '
		}
		return narrow(r)
	}, s)
}

// compact writes s into buf as the ASCII of an identifier: blanks dropped, full width narrowed, letters upper-cased, and
// the quotes and apostrophes dropped that keep spreadsheets from mangling numbers. What is no ASCII even then, or does not
// fit buf, is refused with other.
func compact(buf []byte, s string, other *Problem) ([]byte, *Problem) {
	n := 0
	for i, r := range s {
		if r == utf8.RuneError && !strings.HasPrefix(s[i:], "\uFFFD") {
			return nil, problemEncoding
		}
		if isBlank(r) {
			continue
		}
		switch r = narrow(r); r {
		case '\'', '"', '`', '‘', '’', '“', '”':
			continue
		case '×', '✕', 'Х', 'х': // multiplication signs and the Cyrillic letter, typed for X
			r = 'X'
		}
		if r >= utf8.RuneSelf || n == len(buf) {
			return nil, refusal(s, other)
		}
		if r >= 'a' && r <= 'z' {
			r -= 'a' - 'A'
		}
		buf[n] = byte(r)
		n++
	}
	if n == 0 {
		return nil, problemEmpty
	}
	return buf[:n], nil
}

// refusal finds the most telling reason to refuse s before falling back to other.
func refusal(s string, other *Problem) *Problem {
	if !utf8.ValidString(s) || strings.ContainsRune(s, utf8.RuneError) { // U+FFFD: what invalid bytes become on the way
		return problemEncoding
	}
	s = trim(fold(s))
	switch {
	case s == "":
		return problemEmpty
	case isPlaceholder(s):
		return problemPlaceholder
	case strings.Contains(s, "*"):
		return problemMasked
	case isScientific(s):
		return problemScientific
	}
	return other
}

// isScientific recognises 3.50102E+17.
func isScientific(s string) bool {
	mantissa, exponent, found := strings.Cut(strings.ToUpper(s), "E+")
	return found && mantissa != "" && allDigits(exponent) && allDigits(strings.Replace(mantissa, ".", "", 1))
}

func isDigit(c byte) bool { return c-'0' <= 9 }

// allDigits reports whether s is one or more ASCII digits.
func allDigits(s string) bool {
	for i := 0; i < len(s); i++ {
		if !isDigit(s[i]) {
			return false
		}
	}
	return s != ""
}

// isRun reports whether s is one character repeated, or the counting sequence 1234567890123...: what people type into a
// field that insists on a number.
func isRun(s string) bool {
	same, counting := true, true
	for i := 1; i < len(s); i++ {
		same = same && s[i] == s[0]
		counting = counting && isDigit(s[i]) && (s[i-1]-'0'+1)%10 == s[i]-'0'
		if !same && !counting {
			return false
		}
	}
	return same || s[0] == '1' || s[0] == '0'
}

// placeholders are the words people write for "not known". Upper-case; a county's own go into its contract.
var placeholders = words(`无 没有 暂无 未知 不详 不明 未填 未填写 未提供 未登记 空 空值 待补 待补充 待定 略 同上 保密 无名 测试 无证件 无号码
	- -- --- ---- — —— / // /// \ \\ . .. ... ? ?? ??? ???? N/A NA NULL (NULL) <NULL> \N NONE NIL NAN UNDEFINED UNKNOWN TEST XX XXX XXXX
	0 00 000 0000 □ □□ □□□ * ** ***`)

func words(s string) map[string]bool {
	m := map[string]bool{}
	for w := range strings.FieldsSeq(s) {
		m[w] = true
	}
	return m
}

// isPlaceholder reports whether the trimmed, narrowed text is a word for "not known".
func isPlaceholder(s string) bool {
	const longest = 12 // bytes; spares the lookup for almost every value
	if len(s) > longest || s == "" {
		return false
	}
	return placeholders[s] || s[0] < utf8.RuneSelf && placeholders[strings.ToUpper(s)]
}
