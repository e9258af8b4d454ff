package sharing

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// Mask says how much of a field's value is shown.
type Mask string

// The masks, from the least that is shown to the most.
const (
	Exists  Mask = "exists"  // whether there is a value: "is insured", "has a record"
	Equals  Mask = "equals"  // whether the value is the one that the caller brought
	Hashed  Mask = "hashed"  // a keyed hash: the same value gives the same text
	Partial Mask = "partial" // 张** and 110***********1234
	Full    Mask = "full"
)

// Masks lists them, from the least that is shown to the most.
var Masks = []Mask{Exists, Equals, Hashed, Partial, Full}

// shows is the rank of a mask; -1 when there is no such one.
func (m Mask) shows() int { return slices.Index(Masks, m) }

// Within tells whether the mask shows no more than another. A mask that shows a part of the value shows more than one that
// tells whether it is equal, although neither follows from the other: the order is that of what is given away.
func (m Mask) Within(other Mask) bool { return m.shows() >= 0 && m.shows() <= other.shows() }

// Masked is what is shown of a value.
type Masked struct {
	Mask  Mask
	Value string // of full, partial and hashed
	Holds bool   // of exists and equals
}

// Apply masks a value. compare is what the caller brought, for Equals; hash makes the keyed hash.
func (m Mask) Apply(value, compare string, hash func(string) string) (Masked, error) {
	out := Masked{Mask: m}
	switch m {
	case Exists:
		out.Holds = value != ""
	case Equals:
		out.Holds = value != "" && value == compare
	case Hashed:
		if value != "" {
			out.Value = hash(value)
		}
	case Partial:
		out.Value = partial(value)
	case Full:
		out.Value = value
	default:
		return Masked{}, fmt.Errorf("there is no mask %q", string(m)) // deny by default: nothing is shown
	}
	return out, nil
}

// partial shows the ends of a long value and the beginning of a short one; never more than half of it.
func partial(value string) string {
	runes := []rune(value)
	n := utf8.RuneCountInString(value)
	head, tail := 1, 0
	switch {
	case n <= 1:
		head = 0
	case n >= 15: // citizen and bank numbers
		head, tail = 3, 4
	case n >= 10:
		head, tail = 3, 2
	case n >= 8:
		head, tail = 2, 2
	}
	return string(runes[:head]) + strings.Repeat("*", n-head-tail) + string(runes[n-tail:])
}
