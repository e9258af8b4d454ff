package semantic

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

func init() {
	limit := func(fallback string) []Param {
		return []Param{{Name: "max", Type: "integer", Doc: Doc{
			Zh: "最多字符数，默认 " + fallback + "。", En: "The most characters allowed; " + fallback + " by default."}}}
	}
	register(Definition{
		Name: "item_code", Kind: Text, Params: limit("24"),
		Doc: Doc{
			Zh: "实施编码（GB/T 39046，an..24）：字母和数字，统一为大写。",
			En: "Item code (实施编码, GB/T 39046, an..24): letters and digits, made upper case.",
		},
		build: func(a *arguments) Type { return newKey(a, "item_code", 24, "", true) },
	})
	register(Definition{
		Name: "material_code", Kind: Text, Params: limit("50"),
		Doc: Doc{
			Zh: "材料编码：字母、数字和 - _ .，统一为大写。",
			En: "Material code (材料编码): letters, digits and - _ . made upper case.",
		},
		build: func(a *arguments) Type { return newKey(a, "material_code", 50, "-_.", true) },
	})
	register(Definition{
		Name: "case_number", Kind: Text, Params: limit("50"),
		Doc: Doc{
			Zh: "办件编号（GB/T 39046，an..50）：字母、数字和 - _ . /，大小写保留。",
			En: "Case number (办件编号, GB/T 39046, an..50): letters, digits and - _ . / in the case the source uses.",
		},
		build: func(a *arguments) Type { return newKey(a, "case_number", 50, "-_./", false) },
	})
	register(Definition{
		Name: "identifier", Kind: Text,
		Doc: Doc{
			Zh: "标识：源系统的键，不解释其含义；去首尾空白，不空，最多 200 字节。",
			En: "Identifier (标识): a key of the source, not interpreted; trimmed, not empty, at most 200 bytes.",
		},
		build: func(*arguments) Type { return identifier{named{"identifier", Text}} },
	})
}

var (
	keyFormat         = &Problem{CodeFormat, "the code holds a character other than letters, digits and the punctuation of its type"}
	identifierTooLong = &Problem{CodeTooLong, "the identifier is longer than 200 bytes"}
	identifierFormat  = &Problem{CodeFormat, "the identifier holds a line break or another control character"}
)

// key is a code of ASCII letters and digits.
type key struct {
	named
	max     int
	allowed [128]bool
	upper   bool
	tooLong *Problem
}

func newKey(a *arguments, name string, max int64, punctuation string, upper bool) *key {
	t := &key{named: named{name, Text}, max: int(a.integer("max", max, 1, 200)), upper: upper}
	for c := range t.allowed {
		t.allowed[c] = c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' && !upper ||
			strings.ContainsRune(punctuation, rune(c))
	}
	t.tooLong = &Problem{CodeTooLong, fmt.Sprintf("the code is longer than %d characters", t.max)}
	return t
}

// ParseText returns the code.
func (t *key) ParseText(s string) (string, *Problem) {
	if !t.clean(s) {
		if s = trim(fold(s)); t.upper {
			s = strings.ToUpper(s)
		}
		if !t.clean(s) {
			return "", refusal(s, keyFormat)
		}
	}
	switch {
	case len(s) > t.max:
		return "", t.tooLong
	case isPlaceholder(s) && !allDigits(s): // a code may well be 0
		return "", problemPlaceholder
	}
	return s, nil
}

// clean reports whether s is made of allowed characters only.
func (t *key) clean(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] >= utf8.RuneSelf || !t.allowed[s[i]] {
			return false
		}
	}
	return s != ""
}

type identifier struct{ named }

// ParseText returns the trimmed key.
func (identifier) ParseText(s string) (string, *Problem) {
	const longest = 200
	s = trim(s)
	switch {
	case s == "":
		return "", problemEmpty
	case len(s) > longest:
		return "", identifierTooLong
	case !utf8.ValidString(s):
		return "", problemEncoding
	case isPlaceholder(s) && !allDigits(s): // a key may well start at 0
		return "", problemPlaceholder
	}
	for i := 0; i < len(s); i++ {
		if s[i] < ' ' || s[i] == 0x7F {
			return "", identifierFormat
		}
	}
	return s, nil
}
