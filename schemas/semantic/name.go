package semantic

import (
	"unicode"
	"unicode/utf8"
)

func init() {
	register(Definition{
		Name: "chinese_name", Kind: Text, Personal: true,
		Doc: Doc{
			Zh: "姓名：去空格，全角变半角，少数民族姓名的各种间隔点统一为 ·（U+00B7），最多 50 个字；□ 和 ? 表示生僻字缺字，予以保留；含数字的拒绝。",
			En: "A person's name (姓名), Chinese, minority or foreign: blanks between Chinese characters dropped, full width narrowed, every separator dot " +
				"made U+00B7, at most 50 characters. □ and ? stand for a rare character and stay; digits are refused.",
		},
		build: func(*arguments) Type { return chineseName{named{"chinese_name", Text}} },
	})
}

const (
	nameDot    = '·' // U+00B7
	nameLength = 50  // characters; minority names need them
)

var (
	nameFormat  = &Problem{CodeFormat, "the name holds a character that names do not have"}
	nameDigit   = &Problem{CodeFormat, "the name holds a digit"}
	nameTooLong = &Problem{CodeTooLong, "the name has more than 50 characters"}
)

type chineseName struct{ named }

// ParseText returns the canonical name.
func (chineseName) ParseText(s string) (string, *Problem) {
	if isPlainHan(s) {
		if isPlaceholder(s) {
			return "", problemPlaceholder
		}
		return s, nil
	}
	return canonicalName(s)
}

// isPlainHan recognises the common case, one to four characters of the basic block, without decoding further.
func isPlainHan(s string) bool {
	if len(s) == 0 || len(s) > 12 || len(s)%3 != 0 {
		return false
	}
	for i := 0; i < len(s); i += 3 {
		// U+4E00..U+9FFF is E4 B8 80 .. E9 BF BF.
		a, b, c := s[i], s[i+1], s[i+2]
		if a < 0xE4 || a > 0xE9 || a == 0xE4 && b < 0xB8 || b&0xC0 != 0x80 || c&0xC0 != 0x80 {
			return false
		}
	}
	return true
}

func canonicalName(s string) (string, *Problem) {
	var buf [4 * (nameLength + 1)]byte
	out := buf[:0]
	count, letters, missing := 0, 0, 0
	blank, last := false, rune(0) // a blank is pending; the last character written
	for _, r := range s {
		if r == utf8.RuneError {
			// U+FFFD is what a wrong decoder leaves behind; it is as lost as invalid bytes.
			return "", problemEncoding
		}
		if isBlank(r) {
			blank = last != 0
			continue
		}
		if r = narrow(r); isDot(r, last) {
			if last == 0 || last == nameDot {
				continue // a leading or doubled dot
			}
			r = nameDot
		}
		switch {
		case unicode.IsDigit(r):
			return "", refusal(s, nameDigit)
		case r == '*' || r == '×':
			return "", refusal(s, problemMasked)
		case isMissing(r):
			missing++
		case !isNameRune(r):
			return "", refusal(s, nameFormat)
		case r != nameDot && r != '.' && r != '-' && r != '\'' && r != '’':
			letters++
		}
		// A blank means something between Latin words only; beside a Chinese character or a dot it is padding.
		if blank && keepsBlank(last) && keepsBlank(r) {
			out, count = append(out, ' '), count+1
		}
		blank, last = false, r
		if out, count = utf8.AppendRune(out, r), count+1; count > nameLength {
			return "", nameTooLong
		}
	}
	if last == nameDot {
		out = out[:len(out)-len(string(nameDot))] // a trailing dot; doubled ones were dropped above
	}
	switch {
	case letters == 0 && missing > 0:
		return "", problemPlaceholder
	case letters == 0:
		return "", refusal(s, nameFormat)
	}
	if string(out) == s {
		if isPlaceholder(s) {
			return "", problemPlaceholder
		}
		return s, nil
	}
	name := string(out)
	if isPlaceholder(name) {
		return "", problemPlaceholder
	}
	return name, nil
}

// isDot reports whether r separates the parts of a minority or foreign name. People type many; the ASCII and the
// Chinese full stop count only after a Chinese character, because "J. Smith" keeps its own.
func isDot(r, last rune) bool {
	switch r {
	case nameDot, '•', '‧', '・', '･', '∙', '⋅', '●', '˙', 'ㆍ', '᛫', '⸱', '﹒':
		return true
	case '.', '。', '｡':
		return last == 0 || last == nameDot || !keepsBlank(last)
	}
	return false
}

// isMissing reports whether r stands for a rare character that a system could not store.
func isMissing(r rune) bool { return r == '□' || r == '?' || r == '〓' || r == '■' }

// isNameRune admits Chinese characters (also in the private use area, where older systems keep rare ones), the letters and
// marks of every script, and the punctuation of Latin names. U+2FF0..U+2FFB describe a character by its parts.
func isNameRune(r rune) bool {
	return r >= 0x4E00 && r <= 0x9FFF || unicode.IsLetter(r) || unicode.IsMark(r) || r == '〇' || r == nameDot ||
		r == '\'' || r == '’' || r == '-' || r == '.' || unicode.Is(unicode.Co, r) || r >= 0x2FF0 && r <= 0x2FFB
}

// keepsBlank reports whether r belongs to a script that separates words with blanks.
func keepsBlank(r rune) bool {
	return r != nameDot && !isMissing(r) && !unicode.Is(unicode.Han, r) && !unicode.Is(unicode.Co, r) && !(r >= 0x2FF0 && r <= 0x2FFB)
}
