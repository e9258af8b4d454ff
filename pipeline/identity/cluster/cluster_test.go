package cluster_test

import (
	"encoding/binary"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/shirecounty/shire/pipeline/identity/cluster"
	"github.com/shirecounty/shire/schemas/pseudonym"
)

// world is records with weights between all pairs; records go by number, which is also their id.
type world struct {
	n         int
	weights   map[[2]int]int32 // by numbers, the smaller first
	conflicts map[[2]int]bool
	same      [][2]int
}

func pair(a, b int) [2]int { return [2]int{min(a, b), max(a, b)} }

func id(i int) (id pseudonym.ID) {
	binary.BigEndian.PutUint64(id[8:], uint64(i))
	return id
}

// partition gives the clusters of a world whose records are handed over in some order: as the smallest number of each
// record's cluster.
func (w *world) partition(order []int) []int {
	c := &cluster.Component{Link: 1000}
	place := make([]int32, w.n)
	for i, x := range order {
		place[x] = int32(i)
		c.IDs = append(c.IDs, id(x))
	}
	for _, x := range order { // edges in an order of their own, too
		for _, y := range order {
			if v, ok := w.weights[[2]int{x, y}]; ok && v >= 0 {
				c.Edges = append(c.Edges, cluster.Edge{A: place[x], B: place[y], Weight: v})
			}
		}
	}
	for _, s := range w.same {
		c.Same = append(c.Same, [2]int32{place[s[0]], place[s[1]]})
	}
	c.Conflict = func(i, j int32) bool { return w.conflicts[pair(order[i], order[j])] }
	c.Score = func(i, j int32) int32 {
		if v, ok := w.weights[pair(order[i], order[j])]; ok {
			return v
		}
		return cluster.Absent
	}
	labels := cluster.Partition(c)
	first := map[int32]int{}
	for i, l := range labels {
		if f, ok := first[l]; !ok || order[i] < f {
			first[l] = order[i]
		}
	}
	out := make([]int, w.n)
	for i, l := range labels {
		out[order[i]] = first[l]
	}
	return out
}

func draw(rt *rapid.T, most int) *world {
	w := &world{n: rapid.IntRange(1, most).Draw(rt, "records"), weights: map[[2]int]int32{}, conflicts: map[[2]int]bool{}}
	for range rapid.IntRange(0, w.n*3).Draw(rt, "pairs") {
		a, b := rapid.IntRange(0, w.n-1).Draw(rt, "a"), rapid.IntRange(0, w.n-1).Draw(rt, "b")
		if a == b {
			continue
		}
		switch rapid.IntRange(0, 9).Draw(rt, "what") {
		case 0:
			w.conflicts[pair(a, b)] = true
		case 1:
			if !w.conflicts[pair(a, b)] {
				w.same = append(w.same, [2]int{a, b})
			}
		default:
			// Few distinct weights, so that ties are common.
			w.weights[pair(a, b)] = int32(rapid.IntRange(-6, 12).Draw(rt, "weight")) * 1000
		}
	}
	return w
}

// I6: the order in which records and edges are handed over does not matter, with ties, conflicts and verdicts.
func TestOrderDoesNotMatter(t *testing.T) {
	for name, most := range map[string]int{"dense": 14, "sparse": cluster.Dense + 40} {
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(rt *rapid.T) {
				w := draw(rt, most)
				if name == "sparse" {
					w.n = most
				}
				order := make([]int, w.n)
				for i := range order {
					order[i] = i
				}
				want := w.partition(order)
				got := w.partition(rapid.Permutation(order).Draw(rt, "order"))
				for i := range want {
					if want[i] != got[i] {
						rt.Fatalf("record %d is with %d, in another order with %d", i, want[i], got[i])
					}
				}
			})
		})
	}
}

// Records in conflict are never together unless a verdict put them there, and verdicts always hold.
func TestConflictsAndVerdictsHold(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := draw(rt, 20)
		order := make([]int, w.n)
		for i := range order {
			order[i] = i
		}
		got := w.partition(order)
		for _, s := range w.same {
			if got[s[0]] != got[s[1]] {
				rt.Fatalf("%d and %d are apart against a verdict", s[0], s[1])
			}
		}
		if len(w.same) > 0 {
			return
		}
		for c := range w.conflicts {
			if got[c[0]] == got[c[1]] {
				rt.Fatalf("%d and %d are together in spite of a conflict", c[0], c[1])
			}
		}
	})
}

// The dense rule is the plain one: in each step the best pair of clusters, found by looking at all of them.
func TestDenseIsThePlainRule(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := draw(rt, 10)
		order := make([]int, w.n)
		for i := range order {
			order[i] = i
		}
		want, got := w.plainly(), w.partition(order)
		for i := range want {
			if want[i] != got[i] {
				rt.Fatalf("record %d is with %d, and should be with %d", i, got[i], want[i])
			}
		}
	})
}

// plainly is the rule written without any cleverness.
func (w *world) plainly() []int {
	of := make([]int, w.n)
	for i := range of {
		of[i] = i
	}
	join := func(x, y int) {
		x, y = min(x, y), max(x, y)
		for i := range of {
			if of[i] == y {
				of[i] = x
			}
		}
	}
	for _, s := range w.same {
		if of[s[0]] != of[s[1]] {
			join(of[s[0]], of[s[1]])
		}
	}
	group := slices.Clone(of) // what verdicts made one from the beginning
	// says is what the pair of two groups says that says most.
	says := func(g, h int) int64 {
		best := int64(cluster.Least)
		for i := range w.n {
			for j := range w.n {
				if group[i] == g && group[j] == h {
					v, ok := w.weights[pair(i, j)]
					if !ok {
						v = cluster.Absent
					}
					best = max(best, int64(min(v, cluster.Most)))
				}
			}
		}
		return best
	}
	for {
		var bestX, bestY int
		var bestSum, bestPairs int64
		for x := range w.n {
			for y := x + 1; y < w.n; y++ {
				var sum, pairs int64
				bars := false
				for i := range w.n {
					for j := range w.n {
						if of[i] == x && of[j] == y {
							sum += says(group[i], group[j])
							pairs++
							bars = bars || w.conflicts[pair(i, j)]
						}
					}
				}
				if pairs > 0 && !bars && sum >= 1000*pairs && (bestPairs == 0 || sum*bestPairs > bestSum*pairs) {
					bestX, bestY, bestSum, bestPairs = x, y, sum, pairs
				}
			}
		}
		if bestPairs == 0 {
			return of
		}
		join(bestX, bestY)
	}
}

// A verdict joins two records that nothing else would, and whoever was with either of them stays.
func TestVerdictDoesNotPart(t *testing.T) {
	for name, n := range map[string]int{"dense": 6, "sparse": cluster.Dense + 10} {
		t.Run(name, func(t *testing.T) {
			w := &world{n: n, weights: map[[2]int]int32{}, same: [][2]int{{0, n - 1}}}
			order := make([]int, n)
			for i := range order {
				order[i] = i
				for j := i + 1; j < n-1; j++ {
					w.weights[pair(i, j)] = 8000
				}
			}
			for i, with := range w.partition(order) {
				if with != 0 {
					t.Fatalf("record %d is with %d", i, with)
				}
			}
		})
	}
}

// One false edge between two parties of many records does not join them.
func TestOneFalseEdgeDoesNotJoinFamilies(t *testing.T) {
	w := &world{n: 10, weights: map[[2]int]int32{}}
	for i := range 10 {
		for j := i + 1; j < 10; j++ {
			if (i < 5) == (j < 5) {
				w.weights[pair(i, j)] = 9000
			}
		}
	}
	w.weights[pair(4, 5)] = 15000
	order := []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}
	got := w.partition(order)
	// The false edge is the strongest of all, so the two that it joins are one; the others must not follow across.
	if got[0] == got[9] {
		t.Errorf("two families were joined by one edge: %v", got)
	}
}
