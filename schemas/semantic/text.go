package semantic

import (
	"fmt"
	"unicode/utf8"
)

func init() {
	limit := func(fallback string) []Param {
		return []Param{{Name: "max", Type: "integer", Doc: Doc{
			Zh: "最多字数，默认 " + fallback + "。", En: "The most characters allowed; " + fallback + " by default."}}}
	}
	register(Definition{
		Name: "text", Kind: Text, Params: limit("10000"),
		Doc: Doc{
			Zh: "文本：去首尾空白，其余原样保留。",
			En: "Text (文本): blanks at both ends trimmed, the rest kept as it is.",
		},
		build: func(a *arguments) Type {
			return text{named{"text", Text}, newLength(a, 10000)}
		},
	})
	register(Definition{
		Name: "address", Kind: Text, Personal: true, Params: limit("300"),
		Doc: Doc{
			Zh: "地址：全角变半角，汉字旁的空格去掉，其余空白合为一个。",
			En: "An address (地址): full width narrowed, blanks beside Chinese characters dropped, others made a single space.",
		},
		build: func(a *arguments) Type {
			return address{named{"address", Text}, newLength(a, 300)}
		},
	})
}

// length bounds a text in characters.
type length struct {
	max     int
	tooLong *Problem
}

func newLength(a *arguments, fallback int64) length {
	n := a.integer("max", fallback, 1, 1_000_000)
	return length{int(n), &Problem{CodeTooLong, fmt.Sprintf("the text is longer than %d characters", n)}}
}

func (l length) check(s string) *Problem {
	if len(s) > l.max && utf8.RuneCountInString(s) > l.max {
		return l.tooLong
	}
	return nil
}

type text struct {
	named
	length
}

// ParseText returns the trimmed text.
func (t text) ParseText(s string) (string, *Problem) {
	s = trim(s)
	switch {
	case s == "":
		return "", problemEmpty
	case !utf8.ValidString(s):
		return "", problemEncoding
	}
	return checked(s, t.check(s))
}

type address struct {
	named
	length
}

// ParseText returns the canonical address.
func (t address) ParseText(s string) (string, *Problem) {
	if !utf8.ValidString(s) {
		return "", problemEncoding
	}
	if needsFolding(s) {
		s = foldAddress(s)
	}
	switch {
	case s == "":
		return "", problemEmpty
	case isPlaceholder(s):
		return "", problemPlaceholder
	}
	return checked(s, t.check(s))
}

// needsFolding reports whether s holds a blank or a character that narrow would change.
func needsFolding(s string) bool {
	for _, r := range s {
		if isBlank(r) || narrow(r) != r {
			return true
		}
	}
	return false
}

func foldAddress(s string) string {
	out := make([]byte, 0, len(s))
	blank, last := false, rune(0)
	for _, r := range s {
		if isBlank(r) {
			blank = last != 0
			continue
		}
		r = narrow(r)
		// Flat 3 Block 2 needs its blanks; 文明路 12 号 does not.
		if blank && last < utf8.RuneSelf && r < utf8.RuneSelf {
			out = append(out, ' ')
		}
		blank, last = false, r
		out = utf8.AppendRune(out, r)
	}
	return string(out)
}
