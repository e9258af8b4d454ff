package batch

import (
	"context"
	"encoding/binary"
	"fmt"

	"github.com/shirecounty/shire/pipeline/identity/cluster"
	"github.com/shirecounty/shire/pipeline/identity/match"
	"github.com/shirecounty/shire/schemas/pseudonym"
)

// RecordID is the id by which record i of a file breaks ties.
func RecordID(i int) (id pseudonym.ID) {
	binary.BigEndian.PutUint64(id[8:], uint64(i))
	return id
}

// connect finds what is connected by pairs that link and by verdicts. It gives the component of each record, and how
// many there are, in the order of their first records.
func connect(records int, pairs []Pair, link match.Weight, same [][2]int32) (of []int32, count int) {
	root := make([]int32, records)
	for i := range root {
		root[i] = int32(i)
	}
	find := func(i int32) int32 {
		for root[i] != i {
			root[i] = root[root[i]]
			i = root[i]
		}
		return i
	}
	unite := func(a, b int32) {
		if a, b = find(a), find(b); a != b {
			root[max(a, b)] = min(a, b)
		}
	}
	for _, e := range pairs {
		if e.Weight >= link {
			unite(e.A, e.B)
		}
	}
	for _, s := range same {
		unite(s[0], s[1])
	}
	of = make([]int32, records)
	for i := range int32(records) { // a root is the first of its component
		if r := find(i); r == i {
			of[i] = int32(count)
			count++
		} else {
			of[i] = of[r]
		}
	}
	return of, count
}

// cluster finds the components and partitions each.
func (p *Prepared) cluster(ctx context.Context, m *match.Model, pairs []Pair, progress Progress) ([]int32, int, error) {
	const most = 1<<31 - 1
	if len(pairs) > most {
		return nil, 0, fmt.Errorf("%d pairs of the file are linked, or nearly, and one run takes at most %d; the model's thresholds are too low", len(pairs), most)
	}
	same, different := p.verdicts()
	component, count := connect(p.Len(), pairs, m.Link(), same)
	records := sorted(component, count)
	places := make([]int32, p.Len()) // record -> its place in its component
	for k := range int32(count) {
		for place, i := range records.set(k) {
			places[i] = int32(place)
		}
	}
	of := make([]int32, len(pairs))
	for i, e := range pairs {
		if of[i] = component[e.A]; of[i] != component[e.B] {
			of[i] = -1 // nearly linked, and between components
		}
	}
	edges := sorted(of, count)
	of = make([]int32, len(same))
	for i, s := range same {
		of[i] = component[s[0]]
	}
	verdicts := sorted(of, count)

	labels := make([]int32, p.Len())
	err := parallel(ctx, count, 1<<12, func() func(from, to int) {
		var of []int32
		part := cluster.Component{Link: m.Cluster()}
		part.Score = func(i, j int32) int32 { return m.Score(p.Record(of[i]), p.Record(of[j])) }
		part.Conflict = func(i, j int32) bool {
			a, b := of[i], of[j]
			return m.Conflict(p.Record(a), p.Record(b)) || different[[2]int32{min(a, b), max(a, b)}]
		}
		return func(from, to int) {
			for k := int32(from); k < int32(to); k++ {
				of = records.set(k)
				if len(of) == 1 {
					labels[of[0]] = records.starts[k]
					continue
				}
				part.IDs, part.Edges, part.Same = part.IDs[:0], part.Edges[:0], part.Same[:0]
				for _, i := range of {
					part.IDs = append(part.IDs, RecordID(int(p.records[i])))
				}
				for _, e := range edges.set(k) {
					part.Edges = append(part.Edges, cluster.Edge{A: places[pairs[e].A], B: places[pairs[e].B], Weight: pairs[e].Weight})
				}
				for _, s := range verdicts.set(k) {
					part.Same = append(part.Same, [2]int32{places[same[s][0]], places[same[s][1]]})
				}
				for place, label := range cluster.Partition(&part) {
					labels[of[place]] = records.starts[k] + label // below the next component's first
				}
			}
		}
	}, func(done int) { progress("cluster", done, count) })
	if err != nil {
		return nil, 0, err
	}
	return labels, renumber(labels), nil
}

// renumber numbers the labels, which are below their number, in the order in which they come first, and counts them.
func renumber(labels []int32) int {
	numbers := make([]int32, len(labels)) // 0 for none yet
	next := int32(0)
	for i, l := range labels {
		if numbers[l] == 0 {
			next++
			numbers[l] = next
		}
		labels[i] = numbers[l] - 1
	}
	return int(next)
}

// verdicts are what people said about the records: pairs that are one party, and those that are not, smaller number
// first. In a subset of a file there are none.
func (p *Prepared) verdicts() (same [][2]int32, different map[[2]int32]bool) {
	if p.Len() != p.in.Len() {
		return nil, nil
	}
	different = make(map[[2]int32]bool, len(p.in.Different))
	for _, d := range p.in.Different {
		different[[2]int32{min(d[0], d[1]), max(d[0], d[1])}] = true
	}
	return p.in.Same, different
}
