// Package match compares two records and says how much speaks for their being about the same party.
//
// A model (schemas/identity) is compiled once and then only read: comparing is a pure function of two prepared
// records. Weights are integers, so that sums do not depend on the order of adding (I6).
package match

import (
	"fmt"
	"math"
	"sync"

	"github.com/cespare/xxhash/v2"

	"github.com/shirecounty/shire/pipeline/identity/evidence"
	"github.com/shirecounty/shire/schemas/identity"
)

// Weight is evidence in thousandths of a bit: the binary logarithm of the odds that two records are about the same
// party. Above 0 more speaks for it than against it.
type Weight = int32

// Bit is the weight of one bit.
const Bit = 1000

// Record is one record's evidence, prepared; by field, nil where the field is missing. Behind the fields of a model that
// tells sources apart stands the record's source, nil where it is not known.
type Record []*evidence.Value

// Key is what records are found by: records with the same key are in one block.
type Key struct {
	Hash uint64 // of the rule and its values
	Rule uint16
}

// Model is a compiled model. It never changes and is safe for concurrent use.
type Model struct {
	spec         *identity.Model
	kinds        []*evidence.Kind // by field
	unique       []int
	comparisons  []comparison
	doubts       []doubt
	rules        []rule
	damping      []uint16 // the rules that damp
	sources      sources
	prior        Weight
	link, review Weight
	cluster      Weight
}

type comparison struct {
	name    string
	fields  []int // that it looks at
	levels  []level
	weights []Weight // by level, the last for disagreement
	trust   []trust  // by pair of sources; nil where all are average
}

type level struct {
	holds     condition
	frequency []frequency
}

// frequency corrects a level's weight by how common the values are.
type frequency struct {
	field    int
	expected float64 // probability that two values at random are equal, as in the level's u
	unlisted Weight
	values   map[uint64]Weight // by the value's hash
}

type doubt struct {
	name  string
	holds condition
	drop  bool
}

type rule struct {
	keys   []ruleKey
	atMost int
	damps  int // the field that an over-full block makes missing; -1 for none
}

type ruleKey struct {
	field int
	of    func(v *evidence.Value, n int, dst []uint64) []uint64
	n     int
}

// condition tells whether something holds for two records. It is symmetric.
type condition func(a, b Record) bool

// Compile makes a model ready to compare. A model without parameters gets the weights of an even guess: it can prepare,
// give keys and be trained, but its scores mean nothing. The error is document.Problems.
func Compile(s *identity.Model) (*Model, error) {
	c := &compiler{spec: s, m: &Model{spec: s}}
	c.fields()
	for i := range s.Comparisons {
		c.comparison(i)
	}
	for i, d := range s.Doubts {
		c.used = map[int]bool{}
		c.m.doubts = append(c.m.doubts, doubt{d.Name, c.condition(fmt.Sprintf("$.doubts[%d].when", i), &d.When), d.Drop})
	}
	for i := range s.Blocking {
		c.rule(i)
	}
	if len(c.problems) > 0 {
		return nil, c.problems
	}
	c.m.link, c.m.review, c.m.cluster = logit(s.Thresholds.Link), logit(s.Thresholds.Review), logit(s.Thresholds.Cluster)
	if s.Parameters != nil {
		c.m.weigh(s.Parameters)
	}
	return c.m, nil
}

// logit is the weight of a probability.
func logit(p float64) Weight { return bits(math.Log2(p / (1 - p))) }

func bits(x float64) Weight { return Weight(math.Round(x * Bit)) }

// Probability is the probability that belongs to a weight.
func Probability(w Weight) float64 { return 1 / (1 + math.Exp2(-float64(w)/Bit)) }

// weigh turns estimated probabilities into weights.
func (m *Model) weigh(p *identity.Parameters) {
	m.prior = logit(p.Prior)
	for i := range m.comparisons {
		c := &m.comparisons[i]
		for l, e := range p.Comparisons[c.name] {
			c.weights[l] = bits(math.Log2(e.M / e.U))
			if l == len(c.levels) {
				continue
			}
			for k := range c.levels[l].frequency {
				c.levels[l].frequency[k].learn(m.spec.Fields[c.levels[l].frequency[k].field].Name, p)
			}
		}
		// To agree in part speaks against two records no more than to disagree, however few such pairs were seen.
		for l := range c.levels {
			c.weights[l] = max(c.weights[l], c.weights[len(c.levels)])
		}
	}
	m.rely(p)
}

func (f *frequency) learn(field string, p *identity.Parameters) {
	known, ok := p.Frequencies[field]
	if !ok {
		return
	}
	listed, rest := 0.0, 1.0
	for _, share := range known.Values {
		listed += share * share
		rest -= share
	}
	f.expected = listed + max(rest, 0)*known.Unlisted
	f.values = make(map[uint64]Weight, len(known.Values))
	for v, share := range known.Values {
		f.values[xxhash.Sum64String(v)] = bits(math.Log2(f.expected / share))
	}
	f.unlisted = bits(math.Log2(f.expected / known.Unlisted))
}

// correction is what the value's rarity adds.
func (f *frequency) correction(a, b Record) Weight {
	if f.values == nil || a[f.field] == nil || b[f.field] == nil {
		return 0
	}
	// Of two values that are only similar, the commoner one speaks: it is the likelier coincidence.
	wa, ok := f.values[a[f.field].Hash]
	if !ok {
		wa = f.unlisted
	}
	if a[f.field].Hash == b[f.field].Hash {
		return wa
	}
	wb, ok := f.values[b[f.field].Hash]
	if !ok {
		wb = f.unlisted
	}
	return min(wa, wb)
}

// Fields lists the evidence fields in the order of values.
func (m *Model) Fields() []string { return m.spec.FieldNames() }

// Spec is the document that the model was compiled from.
func (m *Model) Spec() *identity.Model { return m.spec }

// Version names the model: its name, version, and the hash of its text.
func (m *Model) Version() string {
	return fmt.Sprintf("%s/%d/%s", m.spec.Name, m.spec.Version, m.spec.Hash)
}

// Link is the least weight that links two records, Review the least at which a person is asked.
func (m *Model) Link() Weight { return m.link }

// Review is the least weight at which a person is asked.
func (m *Model) Review() Weight { return m.review }

// Prepare makes a record of its raw values, in the order of Fields; where the model tells sources apart, its source may
// stand behind them.
func (m *Model) Prepare(values []string) Record {
	r := make(Record, len(m.kinds))
	for i, k := range m.kinds {
		if i < len(values) && values[i] != "" {
			if v, ok := k.Prepare(values[i]); ok {
				r[i] = &v
			}
		}
	}
	return r
}

// PrepareField prepares one value; nil when there is nothing to compare.
func (m *Model) PrepareField(field int, raw string) *evidence.Value {
	v := new(evidence.Value)
	if !m.PrepareInto(field, raw, v) {
		return nil
	}
	return v
}

// PrepareInto is PrepareField into room of the caller's; false when there is nothing to compare.
func (m *Model) PrepareInto(field int, raw string, v *evidence.Value) (ok bool) {
	if raw != "" {
		*v, ok = m.kinds[field].Prepare(raw)
	}
	return ok
}

// Score is what speaks for two records being about the same party, the prior included.
//
// A doubt bounds it: a pair in doubt neither links nor makes two groups of records one, and where the doubt drops the
// pair nobody is asked either. It does not speak against the two: when the name of one person was changed, the records
// with the old name are in doubt with those that have the new one, and a record between them still joins all.
func (m *Model) Score(a, b Record) Weight {
	w := m.prior
	pair := m.sources.pair(a, b)
	for i := range m.comparisons {
		c := &m.comparisons[i]
		if l := c.level(a, b); l >= 0 {
			w += c.weight(l, a, b) + c.trusted(l, pair)
		}
	}
	if w < m.review {
		return w // doubts only lower what would be linked or asked about
	}
	for i := range m.doubts {
		if d := &m.doubts[i]; d.holds(a, b) {
			w = min(w, m.link-1, m.cluster-1)
			if d.drop {
				w = min(w, m.review-1)
			}
		}
	}
	return w
}

// level is the level that two records fall into: len(levels) when they disagree, -1 when nothing can be said.
func (c *comparison) level(a, b Record) int {
	said := false
	for _, f := range c.fields {
		if a[f] != nil && b[f] != nil {
			said = true
			break
		}
	}
	if !said {
		return -1
	}
	for i := range c.levels {
		if c.levels[i].holds(a, b) {
			return i
		}
	}
	return len(c.levels)
}

func (c *comparison) weight(l int, a, b Record) Weight {
	w := c.weights[l]
	if l < len(c.levels) {
		for i := range c.levels[l].frequency {
			w += c.levels[l].frequency[i].correction(a, b)
		}
	}
	return w
}

// Conflict tells that two records cannot be about one party: both have a valid value of a field that a party has
// only one of, and the values differ.
func (m *Model) Conflict(a, b Record) bool {
	for _, f := range m.unique {
		if x, y := a[f], b[f]; x != nil && y != nil && x.Valid && y.Valid && x.Hash != y.Hash {
			return true
		}
	}
	return false
}

// Limit is how many members a block of the rule may have before it is over-full and gives no pairs.
func (m *Model) Limit(rule uint16) int { return m.rules[rule].atMost }

// Cluster is the least average weight at which two groups of records become one party.
func (m *Model) Cluster() Weight { return m.cluster }

// Rules is the number of blocking rules.
func (m *Model) Rules() int { return len(m.rules) }

// Damps tells which field an over-full block of the rule makes missing.
func (m *Model) Damps(rule uint16) (field int, ok bool) {
	f := m.rules[rule].damps
	return f, f >= 0
}

// Keys appends the distinct blocking keys of a record to dst.
func (m *Model) Keys(r Record, dst []Key) []Key {
	if dst == nil {
		dst = make([]Key, 0, len(m.rules)+4)
	}
	room := keyRooms.Get().(*keyRoom)
	defer keyRooms.Put(room)
	for i := range m.rules {
		dst = m.rules[i].appendKeys(uint16(i), r, room, dst)
	}
	return dst
}

// keyRoom is where the parts of a record's keys stand while they are put together.
type keyRoom [3][8]uint64

var keyRooms = sync.Pool{New: func() any { return new(keyRoom) }}

// most is how many keys one record may have by one rule; it bounds what a value with many parts costs (I10).
const most = 64

func (u *rule) appendKeys(number uint16, r Record, room *keyRoom, dst []Key) []Key {
	begin := len(dst)
	seed := (uint64(number) + 1) * 0x9e3779b97f4a7c15
	dst = append(dst, Key{seed, number})
	for k := range u.keys {
		key := &u.keys[k]
		v := r[key.field]
		if v == nil {
			return dst[:begin]
		}
		parts := key.of(v, key.n, room[min(k, 2)][:0])
		if len(parts) == 0 {
			return dst[:begin]
		}
		so := len(dst) - begin
		for _, p := range parts[1:] {
			for j := 0; j < so && len(dst)-begin < most; j++ {
				dst = append(dst, Key{mix(dst[begin+j].Hash, p), number})
			}
		}
		for j := 0; j < so; j++ {
			dst[begin+j].Hash = mix(dst[begin+j].Hash, parts[0])
		}
	}
	// Distinct: there are rarely more than one or two.
	end := begin
	for i := begin; i < len(dst); i++ {
		twice := false
		for j := begin; j < end; j++ {
			twice = twice || dst[j].Hash == dst[i].Hash
		}
		if !twice {
			dst[end] = dst[i]
			end++
		}
	}
	return dst[:end]
}

// mix folds a part into a key's hash; the order of parts matters.
func mix(h, part uint64) uint64 {
	h ^= part
	h *= 0xff51afd7ed558ccd
	h ^= h >> 32
	h *= 0xc4ceb9fe1a85ec53
	return h ^ h>>29
}

// Damping tells whether any rule damps a field.
func (m *Model) Damping() bool { return len(m.damping) > 0 }

// DampBit is the bit by which a rule that damps is told from the others that do.
func (m *Model) DampBit(rule uint16) (bit uint8, ok bool) {
	for i, r := range m.damping {
		if r == rule {
			return 1 << i, true
		}
	}
	return 0, false
}

// DampedFields are the fields that the rules of a set of bits damp.
func (m *Model) DampedFields(bits uint8) (fields []int) {
	for i, r := range m.damping {
		if bits&(1<<i) != 0 {
			fields = append(fields, m.rules[r].damps)
		}
	}
	return fields
}

// Unique are the fields of which a party has one value.
func (m *Model) Unique() []int { return m.unique }
