// Package cluster decides which records of a connected component are one party.
//
// It is a pure function of the component: of its records, what speaks for and against each pair, what must not and
// what must be together. No order of arrival and no history enters it, and ties are broken by record id, so that the
// same evidence gives the same parties whether it came at once or bit by bit (I6).
package cluster

import (
	"bytes"
	"slices"

	"github.com/shirecounty/shire/schemas/pseudonym"
)

// Edge is a pair of records and what speaks for their being one party, in thousandths of a bit. A and B are places
// in the component's IDs.
type Edge struct {
	A, B   int32
	Weight int32
}

// Component is what a clustering is a function of.
type Component struct {
	IDs      []pseudonym.ID         // the records
	Edges    []Edge                 // pairs that are linked, or nearly, each once
	Same     [][2]int32             // pairs that a person said are one party
	Conflict func(i, j int32) bool  // a person, or two valid numbers, say that two records are not one party
	Score    func(i, j int32) int32 // what speaks for any pair
	Link     int32                  // the least average weight that makes two clusters one
}

// Dense is up to how many records all pairs are weighed. In a larger component a pair without an edge counts as Absent:
// the work stays bounded (I10), and the rule is still a function of the component.
const Dense = 192

// Most and Least bound what one pair can say in the average: one pair that agrees in everything, or in nothing, does
// not outvote all the others. Absent is what a pair says that was not worth an edge.
const (
	Most   = 12_000
	Least  = -12_000
	Absent = -6_000
)

// Partition gives each record the number of its cluster. Clusters are numbered in the order of their smallest
// record id.
//
// It is agglomerative: of all pairs of clusters without a conflict, the two with the highest average weight between
// their records become one, as long as that average is at least Link. Averaging keeps one false edge from joining two
// parties with many records each.
//
// Records that a person said are one party are one from the beginning, and between two such groups the pair that says
// most speaks for all: what was learnt is that the rest does not speak against it. So a verdict never parts a record from
// those that it was with, though what the verdict joined is as different as two records can be.
func Partition(c *Component) []int32 {
	n := len(c.IDs)
	order := make([]int32, n) // place by rank of the id: from here on a smaller number is a smaller id
	for i := range order {
		order[i] = int32(i)
	}
	slices.SortFunc(order, func(x, y int32) int { return bytes.Compare(c.IDs[x][:], c.IDs[y][:]) })
	a := &agglomeration{c: c, order: order, of: make([]int32, n), members: make([][]int32, n)}
	rank := make([]int32, n)
	for r, i := range order {
		rank[i] = int32(r)
		a.of[r] = int32(r)
		a.members[r] = order[r : r+1 : r+1]
	}
	for r := range a.members {
		a.members[r] = []int32{int32(r)}
	}
	for _, p := range c.Same {
		if x, y := a.of[rank[p[0]]], a.of[rank[p[1]]]; x != y {
			a.unite(min(x, y), max(x, y))
		}
	}
	if n <= Dense {
		a.dense(rank)
	} else {
		a.sparse(rank)
	}
	labels := make([]int32, n)
	next := int32(0)
	for r := range a.members { // in the order of the smallest member
		if len(a.members[r]) == 0 {
			continue
		}
		for _, m := range a.members[r] {
			labels[order[m]] = next
		}
		next++
	}
	return labels
}

// agglomeration is the state of one run. Records go by rank, and a cluster by its record of the lowest rank.
type agglomeration struct {
	c       *Component
	order   []int32   // rank -> place in the component
	of      []int32   // record -> cluster
	members [][]int32 // cluster -> records
}

// unite adds cluster y to x; x < y.
func (a *agglomeration) unite(x, y int32) {
	for _, m := range a.members[y] {
		a.of[m] = x
	}
	a.members[x] = append(a.members[x], a.members[y]...)
	a.members[y] = nil
}

// link is what the pairs between two clusters say: the sum of their weights, and how many pairs that is.
type link struct {
	sum   int64
	pairs int64
	bars  bool // some pair is in conflict
}

func (l *link) add(m link) {
	l.sum += m.sum
	l.pairs += m.pairs
	l.bars = l.bars || m.bars
}

// hear takes in one pair of two groups that are not divided: of their pairs the one that says most speaks for all.
func (l *link) hear(weight int64, bars bool) {
	if l.pairs > 0 {
		weight = max(weight, l.sum/l.pairs)
	}
	l.pairs++
	l.sum = weight * l.pairs
	l.bars = l.bars || bars
}

// joins tells whether the link is strong enough to make its two clusters one.
func (l *link) joins(least int32) bool {
	return !l.bars && l.pairs > 0 && l.sum >= int64(least)*l.pairs
}

// stronger compares averages without dividing.
func (l *link) stronger(m *link) bool { return l.sum*m.pairs > m.sum*l.pairs }

func clip(w int32) int64 { return int64(min(max(w, Least), Most)) }
