package batch

import (
	"github.com/shirecounty/shire/pipeline/identity/cluster"
	"github.com/shirecounty/shire/pipeline/identity/match"
)

// Alone decides about single records of a file that is resolved, each as if it came after all the others. It is there to
// measure what one record costs, and is not safe for concurrent use.
type Alone struct {
	p       *Prepared
	m       *match.Model
	parties sets
	party   []int32
	values  []string
	keys    []match.Key
	of      []int32 // the records at hand; the first is the one that came
	touched map[int32]bool
}

// NewAlone makes an Alone of a file and its partition.
func NewAlone(p *Prepared, m *match.Model, res *Result) *Alone {
	return &Alone{p: p, m: m, parties: sorted(res.Cluster, res.Clusters), party: res.Cluster, touched: map[int32]bool{}}
}

// Decide prepares record i from its values, computes its keys, weighs it against all that share a block with it, and
// clusters it with the parties that it links to; verdicts are not asked for. It gives the records of its party, itself
// included, and how many it was weighed against. That its blocks are known, and need not be looked up by its keys, is the
// one difference from a record that is new.
func (a *Alone) Decide(i int32) (party []int32, compared int) {
	a.values = a.p.in.Values(int(a.p.records[i]), a.values[:0])
	r := a.m.Prepare(a.values)
	a.keys = a.m.Keys(r, a.keys[:0])
	for f, v := range a.p.Record(i) {
		if v == nil {
			r[f] = nil // damped
		}
	}
	record := func(k int32) match.Record {
		if k == i {
			return r
		}
		return a.p.Record(k)
	}
	c := cluster.Component{Link: a.m.Cluster()}
	a.of = append(a.of[:0], i)
	clear(a.touched)
	weights := map[int32]match.Weight{}
	for _, g := range a.p.blocks.with(i) {
		for _, other := range a.p.blocks.block(int(g)) {
			if other == i || !a.p.blocks.found(i, other, g) {
				continue
			}
			compared++
			w := a.m.Score(r, a.p.Record(other))
			if w < a.m.Review() {
				continue
			}
			weights[other] = w
			if k := a.party[other]; w >= a.m.Link() && !a.touched[k] {
				a.touched[k] = true
				for _, member := range a.parties.set(k) {
					if member != i {
						a.of = append(a.of, member)
					}
				}
			}
		}
	}
	for place, k := range a.of {
		c.IDs = append(c.IDs, RecordID(int(a.p.records[k])))
		if w, ok := weights[k]; ok {
			c.Edges = append(c.Edges, cluster.Edge{A: 0, B: int32(place), Weight: w})
		}
	}
	c.Score = func(x, y int32) int32 { return a.m.Score(record(a.of[x]), record(a.of[y])) }
	c.Conflict = func(x, y int32) bool { return a.m.Conflict(record(a.of[x]), record(a.of[y])) }
	labels := cluster.Partition(&c)
	for place, l := range labels {
		if l == labels[0] {
			party = append(party, a.of[place])
		}
	}
	return party, compared
}
