package metrics

import (
	"fmt"
	"slices"
	"strings"
)

// Times are those of one way, or of one pair of activities, in a cohort, of which the median is asked for.
type Times struct {
	Keys   []string // the way, or the two activities
	Counts []uint64 // how many times are in each bucket

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

// MedianOfWays and MedianOfFollows are asked for by Query, each of whose rows goes to Found; then Seconds tells.
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

// tuple are the keys of times, and a place.
func (m *Medians) tuple(t *Times, place int) string {
	var parts []string
	for _, key := range t.Keys {
		parts = append(parts, m.literal(key))
	}
	return fmt.Sprintf("(%s, toUInt16(%d))", strings.Join(parts, ", "), place)
}

// Query gives place in times (UInt32), which of the two in the middle (UInt8), and microseconds: the bound where the bucket is one, and otherwise the time
// of that rank in the bucket. It has the parameters of PreparedArgs; "" when there are no times.
func (m *Medians) Query() string {
	var bounds, ranks wanted
	for i := range m.times {
		t := &m.times[i]
		for half := range 2 {
			if place := t.places[half]; place%2 == 1 {
				bounds.add(i, half, m.tuple(t, place/2+1), 1)
			} else {
				ranks.add(i, half, m.tuple(t, place), t.ranks[half])
			}
		}
	}
	var parts []string
	keys := strings.Join(m.kind.keys, ", ")
	if len(bounds.asked) > 0 {
		parts = append(parts, m.join(bounds, "place", fmt.Sprintf("SELECT %s, place, [bound] AS sorted\n    FROM %s\n    WHERE (%s, place) IN (%s)",
			keys, m.p.Table("process", m.kind.name+"_bounds"), keys, strings.Join(bounds.from, ", "))))
	}
	if len(ranks.asked) > 0 {
		parts = append(parts, m.join(ranks, "bucket", fmt.Sprintf("SELECT %s, bucket, arraySort(groupArray(micros)) AS sorted\n    FROM %s\n    WHERE %s AND (%s, bucket) IN (%s)\n    GROUP BY %s, bucket",
			keys, m.p.Table("process", m.kind.name+"_times"), m.q.cohort(), keys, strings.Join(ranks.from, ", "), keys)))
	}
	return strings.Join(parts, "\nUNION ALL\n")
}

// wanted are the places that are looked up in one table.
type wanted struct{ asked, from []string }

func (w *wanted) add(place, half int, key string, rank uint64) {
	w.asked = append(w.asked, fmt.Sprintf("(%d, %d, %s, %d)", place, half, key, rank))
	w.from = append(w.from, key)
}

// join finds what is asked for among the rows of a statement that gives keys, column and sorted.
func (m *Medians) join(w wanted, column, rows string) string {
	var same []string
	for i, key := range append(slices.Clone(m.kind.keys), column) {
		same = append(same, fmt.Sprintf("f.%s = w.3.%d", key, i+1))
	}
	return fmt.Sprintf("SELECT toUInt32(w.1), toUInt8(w.2), f.sorted[w.4]\nFROM (SELECT arrayJoin([%s]) AS w) AS asked\nINNER JOIN\n(\n    %s\n) AS f ON %s",
		strings.Join(w.asked, ", "), rows, strings.Join(same, " AND "))
}

// Found takes a row of Query.
func (m *Medians) Found(place uint32, half uint8, micros int64) { m.times[place].found[half] = micros }

// Seconds is the median of the times at a place.
func (m *Medians) Seconds(place int) float64 {
	found := m.times[place].found
	return (float64(found[0]) + float64(found[1])) / 2 / 1e6
}
