// Package evidence prepares what records say for comparison, and compares it.
//
// A kind is a sort of value: a Chinese name, a citizen number, a date. It knows how to prepare a value once, so
// that comparing is cheap, which comparisons make sense for it, and which keys it can be found by. Models
// (schemas/identity) name kinds, comparators and keys; nothing here knows of models, weights or records.
package evidence

import (
	"fmt"
	"slices"
	"strings"

	"github.com/cespare/xxhash/v2"
)

// Value is one value, prepared. It is never changed once made, so that many records may share it.
type Value struct {
	Text  string   // as normalised by the kind; never empty
	Hash  uint64   // of Text, or of the part of it that the kind says; what has the same hash is the same value
	Parts parts    // what the kind's comparators and keys need; each kind documents its own
	Texts []string // the same
	Valid bool     // the value proves itself: a number whose check character is right
}

// parts stand in the value itself: a county has millions of values, and each is compared many times.
type parts [6]uint64

// Kind is a sort of value.
type Kind struct {
	Name string
	Doc  string
	// Prepare normalises a value as a source wrote it. It reports false when there is nothing to compare: the
	// value is empty, or a placeholder. It never fails.
	Prepare func(raw string) (Value, bool)
	// Comparators by name. Every kind has "exact".
	Comparators map[string]Comparator
	// Keys by name. Every kind has "exact", which is also meant where a model names the field alone.
	Keys map[string]Key
}

// Bound says how a comparator's parameter is written in a model.
type Bound uint8

const (
	NoBound Bound = iota
	AtLeast       // a similarity, 0 to 1
	AtMost        // a distance
)

// Comparator tells whether two values of a kind agree in some way. It is symmetric and deterministic.
type Comparator struct {
	Doc   string
	Bound Bound
	Agree func(a, b *Value, bound float64) bool
}

// Key gives what a value can be found by: two values that agree in the key's way have a key in common. It appends to
// dst; a value may have no such key, or several.
type Key struct {
	Doc      string
	Argument bool // takes a number in brackets, such as prefix(3)
	Of       func(v *Value, n int, dst []uint64) []uint64
}

// Lookup finds a kind by name.
func Lookup(name string) (*Kind, bool) {
	i := slices.IndexFunc(kinds, func(k *Kind) bool { return k.Name == name })
	if i < 0 {
		return nil, false
	}
	return kinds[i], true
}

// Names lists the kinds.
func Names() []string {
	names := make([]string, len(kinds))
	for i, k := range kinds {
		names[i] = k.Name
	}
	slices.Sort(names)
	return names
}

var kinds []*Kind

// register adds a kind; it is called from init and panics when the kind is not complete.
func register(k *Kind) {
	if _, twice := Lookup(k.Name); twice || k.Name == "" || k.Prepare == nil {
		panic(fmt.Sprintf("evidence: kind %q is not complete, or registered twice", k.Name))
	}
	if k.Comparators == nil {
		k.Comparators = map[string]Comparator{}
	}
	if k.Keys == nil {
		k.Keys = map[string]Key{}
	}
	if _, ok := k.Comparators["exact"]; !ok {
		k.Comparators["exact"] = Comparator{Doc: "the same value", Agree: func(a, b *Value, _ float64) bool { return a.Hash == b.Hash }}
	}
	if _, ok := k.Keys["exact"]; !ok {
		k.Keys["exact"] = Key{Doc: "the whole value", Of: func(v *Value, _ int, dst []uint64) []uint64 { return append(dst, v.Hash) }}
	}
	kinds = append(kinds, k)
}

// hash is the hash that values and keys are told apart by.
func hash(s string) uint64 { return xxhash.Sum64String(s) }

// absent tells whether a text says that there is nothing: empty, or one of the words for it.
func absent(s string) bool {
	const longest = len("unknown")
	if len(s) > longest {
		return false
	}
	switch strings.ToLower(s) {
	case "", `\n`, "null", "none", "nan", "na", "n/a", "unknown", "-", "--", "/", "无", "不详", "未知", "待补", "暂无", "空":
		return true
	}
	return false
}
