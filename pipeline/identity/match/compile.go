package match

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"

	"github.com/shirecounty/shire/pipeline/identity/evidence"
	"github.com/shirecounty/shire/schemas/document"
	"github.com/shirecounty/shire/schemas/identity"
)

// compiler turns a document into a model and gathers every mistake on the way.
type compiler struct {
	spec     *identity.Model
	m        *Model
	problems document.Problems
	used     map[int]bool // fields that the comparison at hand looks at
}

func (c *compiler) say(path, message, do string) {
	c.problems = append(c.problems, c.spec.At(path, message, do))
}

func (c *compiler) fields() {
	for i, f := range c.spec.Fields {
		kind, ok := evidence.Lookup(f.Kind)
		if !ok {
			c.say(fmt.Sprintf("$.fields[%d].kind", i), fmt.Sprintf("there is no kind of evidence %q", f.Kind), document.DidYouMean(f.Kind, evidence.Names()))
			kind = &evidence.Kind{}
		}
		c.m.kinds = append(c.m.kinds, kind)
		if f.Unique {
			c.m.unique = append(c.m.unique, i)
		}
	}
	if c.spec.SourceColumn != "" {
		c.m.sources.place = len(c.m.kinds)
		c.m.kinds = append(c.m.kinds, &sourceKind)
	}
}

func (c *compiler) comparison(i int) {
	s := &c.spec.Comparisons[i]
	c.used = map[int]bool{}
	out := comparison{name: s.Name, weights: make([]Weight, len(s.Levels)+1)}
	for l := range s.Levels {
		path := fmt.Sprintf("$.comparisons[%d].levels[%d]", i, l)
		lv := level{holds: c.condition(path+".when", &s.Levels[l].When)}
		for k, name := range s.Levels[l].Frequency {
			if f, ok := c.field(fmt.Sprintf("%s.term_frequency[%d]", path, k), name); ok {
				lv.frequency = append(lv.frequency, frequency{field: f})
			}
		}
		out.levels = append(out.levels, lv)
	}
	out.fields = slices.Sorted(maps.Keys(c.used))
	c.m.comparisons = append(c.m.comparisons, out)
}

func (c *compiler) field(path, name string) (int, bool) {
	f := c.spec.Field(name)
	if f < 0 {
		c.say(path, fmt.Sprintf("there is no field %q", name), document.DidYouMean(name, c.spec.FieldNames()))
		return 0, false
	}
	if c.used != nil {
		c.used[f] = true
	}
	return f, true
}

func never(_, _ Record) bool { return false }

// condition compiles one condition; a mistake is noted and gives one that never holds.
func (c *compiler) condition(path string, s *identity.Condition) condition {
	forms := 0
	for _, has := range []bool{s.Is != "", len(s.Swapped) > 0, s.Missing != "", s.All != nil, s.Any != nil, s.Not != nil} {
		if has {
			forms++
		}
	}
	if forms != 1 {
		c.say(path, "a condition has exactly one of is, swapped, missing, all, any and not", "write for instance {is: exact, of: name}")
		return never
	}
	switch {
	case s.Is != "":
		return c.comparator(path, s)
	case len(s.Swapped) > 0:
		return c.swapped(path, s)
	case s.Missing != "":
		f, ok := c.field(path+".missing", s.Missing)
		if !ok {
			return never
		}
		return func(a, b Record) bool { return a[f] == nil || b[f] == nil }
	case s.Not != nil:
		holds := c.condition(path+".not", s.Not)
		return func(a, b Record) bool { return !holds(a, b) }
	case s.All != nil:
		return c.several(path+".all", s.All, true)
	default:
		return c.several(path+".any", s.Any, false)
	}
}

// several compiles conditions of which all must hold, or any.
func (c *compiler) several(path string, list []identity.Condition, all bool) condition {
	parts := make([]condition, len(list))
	for i := range list {
		parts[i] = c.condition(fmt.Sprintf("%s[%d]", path, i), &list[i])
	}
	return func(a, b Record) bool {
		for _, holds := range parts {
			if holds(a, b) != all {
				return !all
			}
		}
		return all
	}
}

func (c *compiler) comparator(path string, s *identity.Condition) condition {
	f, ok := c.field(path+".of", s.Of)
	if !ok {
		return never
	}
	kind := c.m.kinds[f]
	cmp, ok := kind.Comparators[s.Is]
	if !ok {
		if kind.Name != "" { // an unknown kind is a mistake of its own
			c.say(path+".is", fmt.Sprintf("a %s cannot be compared by %q", kind.Name, s.Is), document.DidYouMean(s.Is, slices.Sorted(maps.Keys(kind.Comparators))))
		}
		return never
	}
	bound := 0.0
	switch {
	case cmp.Bound == evidence.NoBound && (s.AtLeast != nil || s.AtMost != nil):
		c.say(path, fmt.Sprintf("the comparator %s takes no at_least or at_most", s.Is), "leave it out")
	case cmp.Bound == evidence.AtLeast && (s.AtLeast == nil || s.AtMost != nil):
		c.say(path, fmt.Sprintf("the comparator %s is a similarity", s.Is), "write at_least: with a number from 0 to 1")
	case cmp.Bound == evidence.AtMost && (s.AtMost == nil || s.AtLeast != nil):
		c.say(path, fmt.Sprintf("the comparator %s is a distance", s.Is), "write at_most: with a number")
	case s.AtLeast != nil:
		bound = *s.AtLeast
	case s.AtMost != nil:
		bound = *s.AtMost
	}
	agree := cmp.Agree
	if s.With == "" {
		return func(a, b Record) bool {
			x, y := a[f], b[f]
			return x != nil && y != nil && agree(x, y, bound)
		}
	}
	g, ok := c.field(path+".with", s.With)
	if !ok || !c.sameKind(path+".with", f, g) {
		return never
	}
	one := func(x, y *evidence.Value) bool { return x != nil && y != nil && agree(x, y, bound) }
	return func(a, b Record) bool { return one(a[f], b[g]) || one(a[g], b[f]) }
}

func (c *compiler) swapped(path string, s *identity.Condition) condition {
	if len(s.Swapped) != 2 {
		c.say(path+".swapped", "swapped names two fields", "write for instance swapped: [first_name, surname]")
		return never
	}
	f, ok := c.field(path+".swapped[0]", s.Swapped[0])
	g, ok2 := c.field(path+".swapped[1]", s.Swapped[1])
	if !ok || !ok2 || !c.sameKind(path+".swapped", f, g) {
		return never
	}
	return func(a, b Record) bool {
		return a[f] != nil && a[g] != nil && b[f] != nil && b[g] != nil && a[f].Hash == b[g].Hash && a[g].Hash == b[f].Hash
	}
}

func (c *compiler) sameKind(path string, f, g int) bool {
	if c.m.kinds[f] != c.m.kinds[g] {
		c.say(path, fmt.Sprintf("%s is a %s and %s is a %s", c.spec.Fields[f].Name, c.m.kinds[f].Name, c.spec.Fields[g].Name, c.m.kinds[g].Name), "compare fields of one kind")
		return false
	}
	return true
}

// keyText is how a key is written: field, field.key or field.key(n).
var keyText = regexp.MustCompile(`^([^.()]+)(?:\.([a-z_]+)(?:\((\d{1,3})\))?)?$`)

func (c *compiler) rule(i int) {
	s := &c.spec.Blocking[i]
	out := rule{atMost: s.AtMost, damps: -1}
	c.used = nil
	for k, text := range s.Keys {
		path := fmt.Sprintf("$.blocking[%d].keys[%d]", i, k)
		part := keyText.FindStringSubmatch(text)
		if part == nil {
			c.say(path, fmt.Sprintf("%q is not a key", text), "write field, field.key or field.key(n)")
			continue
		}
		f, ok := c.field(path, part[1])
		if !ok {
			continue
		}
		name := part[2]
		if name == "" {
			name = "exact"
		}
		kind := c.m.kinds[f]
		key, ok := kind.Keys[name]
		if !ok {
			if kind.Name != "" {
				c.say(path, fmt.Sprintf("a %s has no key %q", kind.Name, name), document.DidYouMean(name, slices.Sorted(maps.Keys(kind.Keys))))
			}
			continue
		}
		n, _ := strconv.Atoi(part[3])
		if key.Argument != (n > 0) {
			do := "leave the brackets out"
			if key.Argument {
				do = fmt.Sprintf("write a number in brackets, for instance %s.%s(3)", part[1], name)
			}
			c.say(path, fmt.Sprintf("the key %q is not written so", text), do)
		}
		out.keys = append(out.keys, ruleKey{f, key.Of, n})
		if s.Damp {
			out.damps = f
		}
	}
	if s.Damp && len(s.Keys) != 1 {
		c.say(fmt.Sprintf("$.blocking[%d].damp", i), "only a rule of a single field can be damped", "leave damp out, or the other keys")
	}
	if out.damps >= 0 {
		if c.m.damping = append(c.m.damping, uint16(i)); len(c.m.damping) > mostDamping {
			c.say(fmt.Sprintf("$.blocking[%d].damp", i), fmt.Sprintf("more than %d rules damp", mostDamping), "leave damp out of those that matter least")
		}
	}
	c.m.rules = append(c.m.rules, out)
}

// mostDamping is how many rules may damp: a record keeps one bit for each.
const mostDamping = 8
