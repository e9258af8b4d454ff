package match

// Vector is the level of every comparison of two records, four bits each: 0 where nothing can be said, else the level's
// number plus one. It is what training counts.
type Vector uint64

// MaxComparisons is how many comparisons a vector holds.
const MaxComparisons = 16

// Vector compares two records without weighing. Impossible tells that the two are not one party whatever the rest
// says: different valid numbers, or a doubt that drops the pair.
func (m *Model) Vector(a, b Record) (v Vector, impossible bool) {
	for i := range m.comparisons {
		v |= Vector(m.comparisons[i].level(a, b)+1) << (4 * i)
	}
	if m.Conflict(a, b) {
		return v, true
	}
	for i := range m.doubts {
		if m.doubts[i].drop && m.doubts[i].holds(a, b) {
			return v, true
		}
	}
	return v, false
}

// Level is the level of one comparison: -1 where nothing can be said.
func (v Vector) Level(comparison int) int { return int(v>>(4*comparison)&15) - 1 }

// Levels is how many levels each comparison has, disagreement included.
func (m *Model) Levels() []int {
	n := make([]int, len(m.comparisons))
	for i := range m.comparisons {
		n[i] = len(m.comparisons[i].levels) + 1
	}
	return n
}

// Compares tells whether a comparison looks at a field.
func (m *Model) Compares(comparison, field int) bool {
	for _, f := range m.comparisons[comparison].fields {
		if f == field {
			return true
		}
	}
	return false
}

// FrequencyFields lists the fields whose values' rarity counts.
func (m *Model) FrequencyFields() []int {
	var out []int
	seen := map[int]bool{}
	for _, c := range m.comparisons {
		for _, l := range c.levels {
			for _, f := range l.frequency {
				if !seen[f.field] {
					seen[f.field] = true
					out = append(out, f.field)
				}
			}
		}
	}
	return out
}
