package evidence

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/shirecounty/shire/schemas/semantic"
)

// Parts of a citizen_number of 18 characters; all 0 for other documents.
const (
	numberRegion = iota
	numberBirth
	numberSequence
	numberPerson // birth and sequence
)

func init() {
	register(&Kind{
		Name:    "citizen_number",
		Doc:     "a citizen number (公民身份号码, GB 11643), 15 or 18 characters, or another identity document",
		Prepare: prepareCitizenNumber,
		Comparators: map[string]Comparator{
			"one_slip": {Doc: "one character wrong, or two neighbours swapped, and not both numbers valid", Agree: numberSlip},
			"birth_and_sequence": {Doc: "birth date and sequence are the same, and not both numbers valid", Agree: func(a, b *Value, _ float64) bool {
				return !bothValid(a, b) && sameNumberPart(a, b, numberPerson)
			}},
			"birth": {Doc: "the birth date in the number is the same", Agree: func(a, b *Value, _ float64) bool { return sameNumberPart(a, b, numberBirth) }},
		},
		Keys: map[string]Key{
			"birth": {Doc: "the birth date in the number", Of: numberKey(numberBirth)},
			// Of the parts that one slip leaves whole, only this one is of few people: a county's numbers begin alike.
			"birth_and_sequence": {Doc: "birth date and sequence, which a slip in the region or the check character leaves whole", Of: numberKey(numberPerson)},
		},
	})
	register(&Kind{
		Name:    "organisation_code",
		Doc:     "a unified social credit code (统一社会信用代码, GB 32100), or the older 9-character organisation code inside it",
		Prepare: prepareOrganisationCode,
		// Parts: the 9 characters of the organisation code. The Hash of a valid code is of these: they stay when an
		// organisation moves to another registry, and are another for every organisation.
		Comparators: map[string]Comparator{
			"inside":   {Doc: "the same 9-character organisation code", Agree: samePart(0)},
			"one_slip": {Doc: "one character wrong, or two neighbours swapped, and not both codes valid", Agree: numberSlip},
		},
		Keys: map[string]Key{"inside": {Doc: "the 9-character organisation code", Of: partKey(0)}},
	})
}

// plainNumber writes a number in capitals and normal width, letters and digits only.
func plainNumber(raw string) string {
	plain := true
	for i := range len(raw) {
		if c := raw[i]; !(c >= '0' && c <= '9' || c >= 'A' && c <= 'Z') {
			plain = false
			break
		}
	}
	if plain {
		return raw
	}
	return strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) || r < 0x80 && !unicode.IsLetter(r) && !unicode.IsDigit(r) {
			return -1
		}
		return unicode.ToUpper(r)
	}, compatible(raw))
}

// placeholder tells whether a number is one that people write when they have none.
func placeholder(s string) bool {
	if len(s) < 6 || strings.Count(s, s[:1]) >= len(s)-1 {
		return true
	}
	return strings.HasPrefix("123456789012345678901234567890", s) || strings.HasPrefix("012345678901234567890123456789", s)
}

// words tells whether a text says something where a number is asked for.
func words(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r >= utf8.RuneSelf }) >= 0
}

func allDigits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}

func prepareCitizenNumber(raw string) (Value, bool) {
	s := plainNumber(raw)
	if absent(s) || placeholder(s) {
		return Value{}, false
	}
	if words(s) {
		return Value{}, false
	}
	if up, ok := semantic.Upgrade15(s); ok {
		if _, real := semantic.BirthDate(up); real {
			s = up
		}
	}
	v := Value{Text: s, Hash: hash(s)}
	if len(s) == 18 && allDigits(s[:17]) {
		v.Parts = parts{hash(s[:6]), hash(s[6:14]), hash(s[14:17]), hash(s[6:17])}
	}
	v.Valid = validCitizenNumber(s)
	return v, true
}

// citizenNumberType checks numbers as contracts do: region, date and check character.
var citizenNumberType = func() semantic.TextType {
	t, err := semantic.New("citizen_number", nil)
	if err != nil {
		panic(err)
	}
	return t.(semantic.TextType)
}()

func validCitizenNumber(s string) bool {
	if len(s) != 18 {
		return false // 3 letters and 12 digits prove nothing
	}
	_, problem := citizenNumberType.ParseText(s)
	return problem == nil
}

func bothValid(a, b *Value) bool { return a.Valid && b.Valid && a.Hash != b.Hash }

func sameNumberPart(a, b *Value, part int) bool {
	return a.Parts[part] != 0 && a.Parts[part] == b.Parts[part]
}

func numberKey(part int) func(v *Value, _ int, dst []uint64) []uint64 {
	return func(v *Value, _ int, dst []uint64) []uint64 { return nonZero(dst, v.Parts[part]) }
}

// numberSlip tells whether one slip of the pen made one number of the other. Two valid numbers are two parties: twins
// have neighbouring sequences, and whole counties share regions and birthdays.
func numberSlip(a, b *Value, _ float64) bool {
	x, y := a.Text, b.Text
	if a.Hash == b.Hash || a.Valid && b.Valid || len(x) != len(y) || len(x) < 9 {
		return false
	}
	first, last, wrong := -1, -1, 0
	for i := range len(x) {
		if x[i] != y[i] {
			if first < 0 {
				first = i
			}
			last = i
			wrong++
		}
	}
	return wrong == 1 || wrong == 2 && last == first+1 && x[first] == y[last] && x[last] == y[first]
}

func prepareOrganisationCode(raw string) (Value, bool) {
	s := plainNumber(raw)
	if absent(s) || placeholder(s) || words(s) {
		return Value{}, false
	}
	v := Value{Text: s, Hash: hash(s)}
	inside := s
	switch len(s) {
	case 9:
		v.Valid = validInside(s)
	case 18:
		inside = s[8:17]
		check, ok := semantic.OrganisationCheck(s)
		v.Valid = ok && check == s[17]
	}
	v.Parts = parts{hash(inside)}
	if v.Valid {
		v.Hash = v.Parts[0]
	}
	return v, true
}

// validInside tells whether the check character of a 9-character organisation code is right (GB 11714).
func validInside(s string) bool {
	sum := 0
	for i, weight := range []int{3, 7, 9, 10, 5, 8, 4, 2} {
		switch c := s[i]; {
		case c >= '0' && c <= '9':
			sum += int(c-'0') * weight
		case c >= 'A' && c <= 'Z':
			sum += (int(c-'A') + 10) * weight
		default:
			return false
		}
	}
	return s[8] == "0X987654321"[sum%11]
}
