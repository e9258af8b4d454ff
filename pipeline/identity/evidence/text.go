package evidence

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/cespare/xxhash/v2"
	"golang.org/x/text/unicode/norm"
)

// Text is kept in Texts word by word.
func init() {
	register(&Kind{
		Name: "text",
		Doc:  "any text: names in alphabets, streets, occupations. Case, width, punctuation and repeated spaces are evened out.",
		Prepare: func(raw string) (Value, bool) {
			s := evened(raw)
			if absent(s) || absent(strings.TrimSpace(raw)) {
				return Value{}, false
			}
			return Value{Text: s, Hash: hash(s), Texts: strings.Fields(s)}, true
		},
		Comparators: textComparators,
		Keys:        textKeys,
	})
	register(&Kind{
		Name: "digits",
		Doc:  "a number that is a name: of an insurance, a house, a card. Only letters and digits count.",
		Prepare: func(raw string) (Value, bool) {
			if absent(strings.TrimSpace(raw)) {
				return Value{}, false
			}
			s := strings.Map(func(r rune) rune {
				if unicode.IsLetter(r) || unicode.IsDigit(r) {
					return unicode.ToLower(r)
				}
				return -1
			}, compatible(raw))
			if strings.Trim(s, "0") == "" {
				return Value{}, false
			}
			return Value{Text: s, Hash: hash(s)}, true
		},
		Comparators: textComparators,
		Keys:        textKeys,
	})
	register(&Kind{
		Name: "postcode",
		Doc:  "a postal code with an outward and an inward part (s6 6ab), or a plain one whose first digits are the coarser.",
		// Parts: area, district, sector. Texts: none.
		Prepare: func(raw string) (Value, bool) {
			s := evened(raw)
			if absent(s) {
				return Value{}, false
			}
			district, inward, two := strings.Cut(s, " ")
			sector := s[:max(len(s)-1, 1)]
			if two && inward != "" {
				sector = district + " " + inward[:1]
			} else {
				district = s[:max(len(s)-2, 1)]
			}
			area := strings.TrimRightFunc(district, func(r rune) bool { return r < 'a' || r > 'z' })
			if area == "" {
				area = s[:min(2, len(s))]
			}
			return Value{Text: s, Hash: hash(s), Parts: parts{hash(area), hash(district), hash(sector)}}, true
		},
		Comparators: map[string]Comparator{
			"area":     {Doc: "the same area", Agree: samePart(0)},
			"district": {Doc: "the same district", Agree: samePart(1)},
			"sector":   {Doc: "the same sector", Agree: samePart(2)},
			"damerau":  textComparators["damerau"],
		},
		Keys: map[string]Key{
			"area": {Doc: "the area", Of: partKey(0)}, "district": {Doc: "the district", Of: partKey(1)}, "sector": {Doc: "the sector", Of: partKey(2)},
			"prefix": textKeys["prefix"],
		},
	})
	register(&Kind{
		Name: "email",
		Doc:  "an e-mail address",
		// Parts: the part before the @, the part behind it. Texts: the part before the @.
		Prepare: func(raw string) (Value, bool) {
			s := strings.ToLower(strings.TrimSpace(compatible(raw)))
			if absent(s) {
				return Value{}, false
			}
			user, domain, _ := strings.Cut(s, "@")
			return Value{Text: s, Hash: hash(s), Parts: parts{hash(user), hash(domain)}, Texts: []string{user}}, true
		},
		Comparators: map[string]Comparator{
			"user":         {Doc: "the same before the @", Agree: samePart(0)},
			"domain":       {Doc: "the same behind the @", Agree: samePart(1)},
			"damerau":      textComparators["damerau"],
			"jaro_winkler": textComparators["jaro_winkler"],
			"similar_user": {Doc: "similar before the @", Bound: AtLeast, Agree: func(a, b *Value, bound float64) bool {
				return jaroWinkler([]rune(a.Texts[0]), []rune(b.Texts[0])) >= bound
			}},
		},
		Keys: map[string]Key{"user": {Doc: "the part before the @", Of: partKey(0)}},
	})
}

var textComparators = map[string]Comparator{
	"jaro_winkler": {Doc: "Jaro-Winkler similarity", Bound: AtLeast, Agree: func(a, b *Value, bound float64) bool {
		if a.Hash == b.Hash {
			return true
		}
		x, y := runes(a.Text), runes(b.Text)
		return jaroWinkler(x.of(), y.of()) >= bound
	}},
	"damerau": {Doc: "edits of one character, swaps of neighbours included", Bound: AtMost, Agree: func(a, b *Value, bound float64) bool {
		if a.Hash == b.Hash {
			return true
		}
		x, y := runes(a.Text), runes(b.Text)
		return damerau(x.of(), y.of(), int(bound)) <= int(bound)
	}},
	"words": {Doc: "share of the words that both have (Jaccard)", Bound: AtLeast, Agree: func(a, b *Value, bound float64) bool {
		both := 0
		for _, w := range a.Texts {
			if slices.Contains(b.Texts, w) {
				both++
			}
		}
		all := len(a.Texts) + len(b.Texts) - both
		return all > 0 && float64(both) >= bound*float64(all)
	}},
	"contains": {Doc: "all words of one are words of the other", Agree: func(a, b *Value, _ float64) bool {
		x, y := a.Texts, b.Texts
		if len(x) > len(y) {
			x, y = y, x
		}
		for _, w := range x {
			if !slices.Contains(y, w) {
				return false
			}
		}
		return len(x) > 0
	}},
	"begins": {Doc: "one is the beginning of the other: an initial, a short form", Agree: func(a, b *Value, _ float64) bool {
		return strings.HasPrefix(a.Text, b.Text) || strings.HasPrefix(b.Text, a.Text)
	}},
	"prefix": {Doc: "the first so many characters are the same", Bound: AtLeast, Agree: func(a, b *Value, bound float64) bool {
		n := int(bound)
		return len(a.Text) >= n && len(b.Text) >= n && a.Text[:n] == b.Text[:n]
	}},
	"sound": {Doc: "sounds alike in the languages of Europe", Agree: func(a, b *Value, _ float64) bool { return sound(a.Text) == sound(b.Text) }},
}

var textKeys = map[string]Key{
	"prefix": {Doc: "the first n characters", Argument: true, Of: func(v *Value, n int, dst []uint64) []uint64 {
		end := 0
		for i := range v.Text {
			if n == 0 {
				break
			}
			n--
			end = i
		}
		for end++; end < len(v.Text) && v.Text[end]&0xc0 == 0x80; end++ { // to the end of the last character
		}
		return append(dst, hash(v.Text[:min(end, len(v.Text))]))
	}},
	"words": {Doc: "each word", Of: func(v *Value, _ int, dst []uint64) []uint64 {
		for _, w := range v.Texts {
			dst = append(dst, hash(w))
		}
		return dst
	}},
	"sound": {Doc: "what it sounds like in the languages of Europe", Of: func(v *Value, _ int, dst []uint64) []uint64 {
		return append(dst, hash(sound(v.Text)))
	}},
}

// buffer holds a text as characters without asking for memory where it is short.
type buffer struct {
	room [48]rune
	long []rune
	n    int
}

func runes(s string) *buffer {
	b := &buffer{}
	if len(s) > len(b.room) {
		b.long = []rune(s)
		return b
	}
	for _, r := range s {
		b.room[b.n] = r
		b.n++
	}
	return b
}

func (b *buffer) of() []rune {
	if b.long != nil {
		return b.long
	}
	return b.room[:b.n]
}

func samePart(i int) func(a, b *Value, _ float64) bool {
	return func(a, b *Value, _ float64) bool { return a.Parts[i] == b.Parts[i] }
}

func partKey(i int) func(v *Value, n int, dst []uint64) []uint64 {
	return func(v *Value, _ int, dst []uint64) []uint64 { return append(dst, v.Parts[i]) }
}

// settled tells whether a text is made of nothing but ASCII and common Chinese characters, so that it is in every
// normal form of Unicode already.
func settled(s string) bool {
	for _, r := range s {
		if r >= utf8.RuneSelf && (r < firstCommon || r > lastCommon) {
			return false
		}
	}
	return true
}

// compatible is a text in the form in which characters of other widths and shapes are the plain ones (NFKC).
func compatible(s string) string {
	if settled(s) {
		return s
	}
	return norm.NFKC.String(s)
}

// hashRunes is the hash of a text that is at hand as characters.
func hashRunes(p []rune) uint64 {
	var room [64]byte
	b := room[:0]
	for _, r := range p {
		b = utf8.AppendRune(b, r)
	}
	return xxhash.Sum64(b)
}

// evened is a text in lower case and normal width, words apart by one space, without punctuation.
func evened(s string) string {
	plain := true
	for i := range len(s) {
		if c := s[i]; !(c >= 'a' && c <= 'z' || c >= '0' && c <= '9') {
			plain = false
			break
		}
	}
	if plain {
		return s
	}
	var b strings.Builder
	space := false
	for _, r := range compatible(s) {
		switch {
		case unicode.IsSpace(r) || r == '-' || r == '/' || r == ',' || r == '.' || r == '_':
			space = b.Len() > 0
		case unicode.IsPunct(r) && r != '\\':
		default:
			if space {
				b.WriteByte(' ')
				space = false
			}
			b.WriteRune(unicode.ToLower(r))
		}
	}
	return compatible(b.String()) // what was left out may have kept two characters apart
}

// sound is a coarse phonetic form: the first letter, then classes of consonants, repeats dropped. It is the idea of
// Soundex without its limit of four characters.
func sound(s string) string {
	var b strings.Builder
	var last byte
	for i := range len(s) {
		var class byte
		switch s[i] {
		case 'b', 'p', 'f', 'v':
			class = '1'
		case 'c', 'g', 'j', 'k', 'q', 's', 'x', 'z':
			class = '2'
		case 'd', 't':
			class = '3'
		case 'l':
			class = '4'
		case 'm', 'n':
			class = '5'
		case 'r':
			class = '6'
		case 'h', 'w':
			continue
		default:
			if s[i] >= 0x80 || s[i] >= '0' && s[i] <= '9' {
				class = s[i]
			}
		}
		switch {
		case b.Len() == 0:
			b.WriteByte(s[i])
		case class != 0 && class != last:
			b.WriteByte(class)
		}
		last = class
	}
	return b.String()
}
