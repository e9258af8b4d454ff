package semantic

import (
	"fmt"
	"slices"
	"strings"

	"github.com/agnivade/levenshtein"
)

// Doc documents a type or a parameter in both languages of the catalogue.
type Doc struct{ Zh, En string }

// Param documents one parameter of a type.
type Param struct {
	Name   string
	Type   string   // JSON Schema's word: string, integer, boolean, array, object
	Values []string // the values allowed, where they are few
	Doc    Doc
}

// Definition describes a semantic type for the catalogue and the contracts' JSON Schema.
type Definition struct {
	Name     string
	Kind     Kind
	Personal bool // I7: by its nature the value identifies a person and belongs in restricted tables only
	Doc      Doc
	Params   []Param

	build func(*arguments) Type
}

var definitions = map[string]Definition{}

// register adds a type to the registry; each file calls it in init for the types it holds.
func register(d Definition) {
	if _, twice := definitions[d.Name]; twice {
		panic("semantic: type " + d.Name + " is registered twice")
	}
	definitions[d.Name] = d
}

// New builds the named type from a contract's parameters; params may be nil. The error is for the person who writes the
// contract: it names the type, the parameter and what to write instead.
func New(name string, params Params) (Type, error) {
	d, ok := definitions[name]
	if !ok {
		return nil, fmt.Errorf("unknown semantic type %q: %s", name, suggest(name, Names()))
	}
	known := make([]string, len(d.Params))
	for i, p := range d.Params {
		known[i] = p.Name
	}
	for _, given := range sortedKeys(params) {
		if slices.Contains(known, given) {
			continue
		}
		if len(known) == 0 {
			return nil, fmt.Errorf("semantic type %s takes no parameters, but %q is given", name, given)
		}
		return nil, fmt.Errorf("semantic type %s has no parameter %q: %s", name, given, suggest(given, known))
	}
	a := &arguments{params: params}
	t := d.build(a)
	if a.err != nil {
		return nil, fmt.Errorf("semantic type %s: %w", name, a.err)
	}
	return t, nil
}

// Names returns the names of all types, sorted.
func Names() []string { return sortedKeys(definitions) }

// Definitions returns the documentation of all types, sorted by name.
func Definitions() []Definition {
	all := make([]Definition, 0, len(definitions))
	for _, name := range Names() {
		all = append(all, definitions[name])
	}
	return all
}

// suggest names the nearest valid words first, then all of them.
func suggest(word string, valid []string) string {
	const near = 3 // edits; more is no longer a typing error
	var best []string
	for distance := 0; distance <= near && len(best) == 0; distance++ {
		for _, v := range valid {
			if levenshtein.ComputeDistance(strings.ToLower(word), v) == distance {
				best = append(best, v)
			}
		}
	}
	all := "valid are " + strings.Join(valid, ", ")
	if len(best) == 0 {
		return all
	}
	return "did you mean " + strings.Join(best, " or ") + "? " + all
}
