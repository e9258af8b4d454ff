package partition

import (
	"bytes"
	"cmp"
	"slices"
	"strconv"

	"github.com/shirecounty/shire/pipeline/identity/cluster"
	"github.com/shirecounty/shire/pipeline/identity/match"
	"github.com/shirecounty/shire/schemas/pseudonym"
)

// settle divides the components of the touched records, and gives every cluster its party.
func (w *working) settle(touched []*node, c *Change) {
	if w.homeless {
		return
	}
	clusters := w.divide(touched)
	w.assign(clusters, c)
	for _, members := range clusters {
		for _, n := range members {
			w.ask(n)
		}
	}
}

// divide gives the clusters of the components that the records are in.
func (w *working) divide(touched []*node) (clusters [][]*node) {
	w.room.mark++
	for _, n := range touched {
		if !n.gone && n.mark != w.room.mark {
			clusters = append(clusters, w.partition(w.component(n))...)
		}
	}
	return clusters
}

// component is the records that linking pairs and verdicts join to one, marked as met.
func (w *working) component(n *node) []*node {
	n.mark = w.room.mark
	found := []*node{n}
	meet := func(number uint32) {
		if m := w.node(number); m.mark != w.room.mark {
			m.mark = w.room.mark
			found = append(found, m)
		}
	}
	for i := 0; i < len(found); i++ {
		m := found[i]
		for _, e := range w.tie(m).edges {
			if e.weight >= w.model.Link() {
				meet(e.to)
			}
		}
		for _, s := range w.verdicts.of[m.id] {
			if s.decision != same {
				continue
			}
			if k := w.known(s.other); k.number != 0 {
				meet(k.number)
			}
		}
	}
	return found
}

// partition divides a component.
func (w *working) partition(all []*node) [][]*node {
	if len(all) == 1 || w.agree(all) {
		return [][]*node{all}
	}
	place := make(map[uint32]int32, len(all))
	c := &cluster.Component{Link: w.model.Cluster()}
	for i, n := range all {
		place[n.number] = int32(i)
		c.IDs = append(c.IDs, n.id)
	}
	for i, n := range all {
		for _, e := range n.edges {
			if j, ok := place[e.to]; ok && int32(i) < j {
				c.Edges = append(c.Edges, cluster.Edge{A: int32(i), B: j, Weight: e.weight})
			}
		}
		for _, s := range w.verdicts.of[n.id] {
			if s.decision != same {
				continue
			}
			if j, ok := place[w.known(s.other).number]; ok && int32(i) < j {
				c.Same = append(c.Same, [2]int32{int32(i), j})
			}
		}
	}
	c.Conflict = func(i, j int32) bool { return w.conflict(all[i], all[j]) }
	c.Score = func(i, j int32) int32 { return w.model.Score(all[i].record, all[j].record) }
	labels := cluster.Partition(c)
	clusters := make([][]*node, slices.Max(labels)+1)
	for i, l := range labels {
		clusters[l] = append(clusters[l], all[i])
	}
	return clusters
}

// conflict tells that two records cannot be one party, whatever the rest says.
func (w *working) conflict(a, b *node) bool {
	return w.model.Conflict(a.record, b.record) || w.verdicts.between(a.id, b.id) == different
}

// agree tells whether all pairs of a small component speak for its being one. Then every average does, and dividing it would
// come to that in more steps.
func (w *working) agree(all []*node) bool {
	const small = 6
	if len(all) > small {
		return false
	}
	for i, n := range all {
		for _, m := range all[i+1:] {
			if w.conflict(n, m) || w.between(n, m) < w.model.Cluster() {
				return false
			}
		}
	}
	return true
}

// between is what speaks for two records' being one.
func (w *working) between(n, m *node) match.Weight {
	for _, e := range n.edges {
		if e.to == m.number {
			return e.weight
		}
	}
	return w.model.Score(n.record, m.record)
}

// assign gives clusters their parties: each old party, the oldest first, goes on as the cluster that holds most of its
// records, unless an older one has that cluster already; what no party goes on as is a new one.
func (w *working) assign(clusters [][]*node, c *Change) {
	if len(clusters) == 1 && w.joins(clusters[0], c) {
		return
	}
	type share struct {
		party   pseudonym.ID
		born    uint64
		records []int // by cluster
	}
	for _, members := range clusters {
		slices.SortFunc(members, func(a, b *node) int { return cmp.Compare(a.number, b.number) })
	}
	slices.SortFunc(clusters, func(a, b []*node) int { return cmp.Compare(a[0].number, b[0].number) })
	var shares []share
	for k, members := range clusters {
		for _, n := range members {
			if n.party.IsZero() {
				continue
			}
			i := slices.IndexFunc(shares, func(s share) bool { return s.party == n.party })
			if i < 0 {
				i = len(shares)
				shares = append(shares, share{n.party, n.born, make([]int, len(clusters))})
			}
			shares[i].records[k]++
		}
	}
	slices.SortFunc(shares, func(a, b share) int {
		return cmp.Or(cmp.Compare(a.born, b.born), bytes.Compare(a.party[:], b.party[:]))
	})
	owners := make([]owner, len(clusters))
	for _, s := range shares {
		best := 0
		for k, n := range s.records {
			if n > s.records[best] { // of equals the first, which has the oldest record
				best = k
			}
		}
		if owners[best].id.IsZero() {
			owners[best] = owner{s.party, s.born}
		} else {
			w.retire(s.party, owners[best].id)
		}
	}
	for k, members := range clusters {
		if owners[k].id.IsZero() {
			owners[k] = w.bear(members[0], c)
		}
	}
	for k, members := range clusters {
		w.house(members, owners[k], c)
	}
}

// joins is assign where records without a party join the only one there is, or a record stays alone, which is nearly
// always so: it tells whether it was.
func (w *working) joins(members []*node, c *Change) bool {
	var only owner
	for _, n := range members {
		switch {
		case n.party.IsZero():
		case only.id.IsZero():
			only = owner{n.party, n.born}
		case n.party != only.id:
			return false
		}
	}
	if only.id.IsZero() {
		if len(members) > 1 {
			return false
		}
		only = w.bear(members[0], c)
	}
	w.house(members, only, c)
	return true
}

// house puts records into a party, and tells of those that had another.
func (w *working) house(members []*node, to owner, c *Change) {
	// Why each moves is told by how things stood before any did.
	for _, n := range members {
		if !n.party.IsZero() && n.party != to.id {
			w.links = append(w.links, w.link(n, members, to.id, c))
		}
	}
	for _, n := range members {
		r := w.ruleOf(n, members)
		if n.party == to.id && n.rule == r {
			continue
		}
		if n.party != to.id {
			if !n.party.IsZero() {
				w.batch.Delete(membership, w.row.member(n.party, n.number))
			}
			w.batch.Put(membership, w.row.member(to.id, n.number), nil, nil)
		}
		n.party, n.born, n.rule = to.id, to.born, r
		w.move(n)
	}
}

// link tells why a record moves: by the strongest pair between those that come and those that it comes to.
func (w *working) link(n *node, members []*node, to pseudonym.ID, c *Change) Link {
	l := Link{Record: n.id, Kind: Split, Previous: n.party, Party: to, Rule: w.ruleOf(n, members).String(), Model: w.model.Version(), At: c.At, Time: c.Time}
	if w.successor(n.party) == to {
		l.Kind = Merge
	}
	for _, a := range members {
		if a.party != n.party {
			continue
		}
		for _, b := range members {
			if b.party == n.party {
				continue
			}
			if w.verdicts.between(a.id, b.id) == same {
				l.Rule, l.Weighed, l.A, l.B = ByVerdict, false, a.id, b.id
				return l
			}
			for _, e := range a.edges {
				if e.to == b.number && (!l.Weighed || e.weight > l.Weight) {
					l.Weighed, l.Weight, l.A, l.B = true, e.weight, a.id, b.id
				}
			}
		}
	}
	if bytes.Compare(l.A[:], l.B[:]) > 0 {
		l.A, l.B = l.B, l.A
	}
	return l
}

// ruleOf tells why a record is in its cluster.
func (w *working) ruleOf(n *node, members []*node) rule {
	numbered := false
	for _, f := range w.model.Unique() {
		v := n.full[f]
		if v == nil || !v.Valid {
			continue
		}
		numbered = true
		for _, m := range members {
			if m != n && m.full[f] != nil && m.full[f].Hash == v.Hash {
				return exactNumber
			}
		}
	}
	for _, s := range w.verdicts.of[n.id] {
		if s.decision == same {
			for _, m := range members {
				if m.id == s.other {
					return byVerdict
				}
			}
		}
	}
	switch {
	case len(members) > 1:
		return matched
	case numbered:
		return exactNumber
	default:
		return alone
	}
}

// owner is the party that a cluster is, and since when there is one.
type owner struct {
	id   pseudonym.ID
	born uint64
}

// bear makes a new party. Its id says nothing, and no other party has it: it is made from the record and the moment.
func (w *working) bear(n *node, c *Change) owner {
	return owner{w.p.hasher.ID("party/"+w.p.opt.About, string(n.id[:]), strconv.FormatUint(c.At, 16)), c.At}
}

// retire ends a party, whose records go on as another.
func (w *working) retire(id, successor pseudonym.ID) {
	w.successors[id] = successor
	w.batch.Put(retired, id[:], successor[:], nil)
}

// successor is the party that a retired one went on as; zero when it is not retired.
func (w *working) successor(id pseudonym.ID) pseudonym.ID {
	if s, ok := w.successors[id]; ok {
		return s
	}
	if v, _, ok := w.view.Get(retired, id[:]); ok {
		return idOf(v)
	}
	return pseudonym.ID{}
}
