package metrics

import (
	"fmt"
	"strings"
)

// Times are those of one way, or of one pair of activities, in a cohort, of which the median is asked for.
type Times struct {
	Keys   []string // the way, or the two activities
	Counts []uint64 // how many times are in each bucket

	bounds []int64
	ranks  [2]uint64 // of the two in the middle, from 1, within their buckets
	places [2]int    // their buckets
	found  [2]int64  // microseconds
}

// Medians finds the medians of ways, or of follows, of a cohort.
type Medians struct {
	kind  timedKind
	p     Prepared
	q     ProcessQuery
	times []Times
}

// MedianOfWays and MedianOfFollows are asked in three steps: BoundsQuery, each of whose rows goes to Bound; TimesQuery, each of whose rows goes
// to Found; and then Seconds.
func (p Prepared) MedianOfWays(q ProcessQuery, times []Times) *Medians {
	return newMedians(p.timedKinds()[0], p, q, times)
}

// MedianOfFollows: see MedianOfWays.
func (p Prepared) MedianOfFollows(q ProcessQuery, times []Times) *Medians {
	return newMedians(p.timedKinds()[1], p, q, times)
}

func newMedians(kind timedKind, p Prepared, q ProcessQuery, times []Times) *Medians {
	for i := range times {
		t := &times[i]
		n := uint64(0)
		for _, count := range t.Counts {
			n += count
		}
		for half, rank := range []uint64{(n + 1) / 2, n/2 + 1} {
			for place, count := range t.Counts {
				if rank <= count {
					t.places[half], t.ranks[half] = place, rank
					break
				}
				rank -= count
			}
		}
	}
	return &Medians{kind: kind, p: p, q: q, times: times}
}

// literal is a key in SQL.
func (m *Medians) literal(key string) string {
	if m.kind.typ == "UInt128" {
		return "toUInt128(" + quote(key) + ")"
	}
	return quote(key)
}

func (m *Medians) tuple(t *Times, further ...string) string {
	var parts []string
	for _, key := range t.Keys {
		parts = append(parts, m.literal(key))
	}
	parts = append(parts, further...)
	if len(parts) == 1 {
		return parts[0]
	}
	return "(" + strings.Join(parts, ", ") + ")"
}

// BoundsQuery gives the keys, as text in an array, and the bounds of those that have any; "" when nothing is asked for.
func (m *Medians) BoundsQuery() string {
	var keys []string
	for i := range m.times {
		if len(m.times[i].Counts) > 1 {
			keys = append(keys, m.tuple(&m.times[i]))
		}
	}
	if len(keys) == 0 {
		return ""
	}
	return fmt.Sprintf("SELECT [%s], bounds FROM %s WHERE (%s) IN (%s)", m.texts(), m.p.Table("process", m.kind.name+"_bounds"), strings.Join(m.kind.keys, ", "), strings.Join(keys, ", "))
}

func (m *Medians) texts() string {
	var texts []string
	for _, key := range m.kind.keys {
		texts = append(texts, "toString("+key+")")
	}
	return strings.Join(texts, ", ")
}

// Bound takes a row of BoundsQuery.
func (m *Medians) Bound(keys []string, bounds []int64) {
	for i := range m.times {
		if strings.Join(m.times[i].Keys, "\x00") == strings.Join(keys, "\x00") {
			m.times[i].bounds = bounds
		}
	}
}

// TimesQuery gives place in times (UInt32), which of the two in the middle (UInt8), and microseconds, of those that are no bounds; "" when all are. It has the
// parameters of PreparedArgs.
func (m *Medians) TimesQuery() string {
	var wanted, from []string
	for i := range m.times {
		t := &m.times[i]
		for half := range 2 {
			if t.places[half]%2 == 1 {
				t.found[half] = t.bounds[t.places[half]/2]
				continue
			}
			wanted = append(wanted, fmt.Sprintf("(%d, %d, %s, %d)", i, half, m.tuple(t, fmt.Sprintf("toUInt8(%d)", t.places[half])), t.ranks[half]))
			from = append(from, m.tuple(t, fmt.Sprintf("toUInt8(%d)", t.places[half])))
		}
	}
	if len(wanted) == 0 {
		return ""
	}
	keys := strings.Join(m.kind.keys, ", ") + ", bucket"
	return fmt.Sprintf(`SELECT toUInt32(w.1), toUInt8(w.2), f.sorted[w.4]
FROM (SELECT arrayJoin([%[1]s]) AS w) AS asked
INNER JOIN
(
    SELECT %[2]s, arraySort(groupArray(micros)) AS sorted
    FROM %[3]s
    WHERE %[4]s AND (%[2]s) IN (%[5]s)
    GROUP BY %[2]s
) AS f ON %[6]s`, strings.Join(wanted, ", "), keys, m.p.Table("process", m.kind.name+"_times"), m.q.cohort(), strings.Join(from, ", "), m.same())
}

// same joins what is asked for to what is found.
func (m *Medians) same() string {
	var parts []string
	for i, key := range append(append([]string(nil), m.kind.keys...), "bucket") {
		parts = append(parts, fmt.Sprintf("f.%s = w.3.%d", key, i+1))
	}
	return strings.Join(parts, " AND ")
}

// Found takes a row of TimesQuery.
func (m *Medians) Found(place uint32, half uint8, micros int64) { m.times[place].found[half] = micros }

// Seconds is the median of the times at a place.
func (m *Medians) Seconds(place int) float64 {
	found := m.times[place].found
	return (float64(found[0]) + float64(found[1])) / 2 / 1e6
}
