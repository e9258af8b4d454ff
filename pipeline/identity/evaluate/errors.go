package evaluate

import (
	"cmp"
	"slices"
	"strconv"

	"github.com/shirecounty/shire/pipeline/identity/batch"
	"github.com/shirecounty/shire/pipeline/identity/match"
)

// Error is a pair of records that the partition has wrong. Of the records it has their names alone (I7).
type Error struct {
	A       string            `json:"a"` // by --id, or the number of the record in the file, from 1
	B       string            `json:"b"`
	Kind    string            `json:"kind"` // "false": together, and two entities; "missed": apart, and one
	Reason  Reason            `json:"reason"`
	Weighed match.Explanation `json:"weighed"` // the two against each other
}

// Reason sums up why two records are together or apart.
type Reason string

const (
	Linked      Reason = "linked"       // together: the two link
	Chained     Reason = "chained"      // together, by way of other records
	Conflict    Reason = "conflict"     // apart: two different valid numbers
	NotCompared Reason = "not_compared" // apart: nothing that they share is rare enough to find them by
	Weak        Reason = "weak"         // apart: too little speaks for it
	Undecided   Reason = "undecided"    // apart: enough speaks for it to ask a person
	Outvoted    Reason = "outvoted"     // apart: the two would link, and the records around them speak against it
)

func reason(m *match.Model, e *match.Explanation, together, compared bool) Reason {
	links := compared && e.Weight >= m.Link()
	switch {
	case together && links:
		return Linked
	case together:
		return Chained
	case e.Conflict:
		return Conflict
	case !compared:
		return NotCompared
	case links:
		return Outvoted
	case e.Weight >= m.Review():
		return Undecided
	}
	return Weak
}

// wrong lists up to so many false pairs, and as many missed ones, in the order of the records.
func wrong(p *batch.Prepared, m *match.Model, predicted []int32, r *Records, most int) []Error {
	out := []Error{}
	name := func(i int32) string {
		if r.IDs != nil {
			return r.IDs[i]
		}
		return strconv.Itoa(int(i) + 1)
	}
	find := func(kind string, groups, other []int32) {
		found := 0
		for _, set := range together(groups) {
			for k, a := range set {
				for _, b := range set[k+1:] {
					if found == most {
						return
					}
					if other[a] == other[b] || r.Truth[a] < 0 || r.Truth[b] < 0 {
						continue
					}
					found++
					e := Error{A: name(a), B: name(b), Kind: kind, Weighed: m.Explain(p.Record(a), p.Record(b))}
					e.Reason = reason(m, &e.Weighed, kind == "false", p.Compared(a, b))
					out = append(out, e)
				}
			}
		}
	}
	find("false", predicted, r.Truth)
	find("missed", r.Truth, predicted)
	return out
}

// together lists the sets of two or more records with one label, in the order of labels.
func together(labels []int32) (sets [][]int32) {
	order := make([]int32, len(labels))
	for i := range order {
		order[i] = int32(i)
	}
	slices.SortStableFunc(order, func(a, b int32) int { return cmp.Compare(labels[a], labels[b]) })
	for len(order) > 0 {
		n := 1
		for n < len(order) && labels[order[n]] == labels[order[0]] {
			n++
		}
		if n > 1 {
			sets = append(sets, order[:n])
		}
		order = order[n:]
	}
	return sets
}
