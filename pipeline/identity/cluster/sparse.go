package cluster

import (
	"container/heap"
)

// sparse weighs the edges and takes every other pair for Absent.
func (a *agglomeration) sparse(rank []int32) {
	n := int32(len(a.of))
	s := &sparse{agglomeration: a, near: make([]map[int32]*link, n), changed: make([]int32, n)}
	for _, e := range a.c.Edges {
		x, y := a.of[rank[e.A]], a.of[rank[e.B]]
		if x == y {
			continue
		}
		l := s.near[x][y]
		if l == nil {
			l = &link{}
			s.tie(x, y, l)
		}
		l.hear(clip(e.Weight)-Absent, a.c.Conflict(e.A, e.B))
	}
	for x := range n {
		for y, l := range s.near[x] {
			if x < y {
				s.spread(x, y, l)
				s.offer(x, y)
			}
		}
	}
	heap.Init(&s.queue)
	for len(s.queue) > 0 {
		o := heap.Pop(&s.queue).(offer)
		if o.at != s.changed[o.x]+s.changed[o.y] || a.members[o.x] == nil || a.members[o.y] == nil {
			continue // one of the two has grown since; a newer offer stands in the queue
		}
		if s.barred(o.x, o.y) {
			s.near[o.x][o.y].bars = true
			continue
		}
		s.join(o.x, o.y)
	}
}

type sparse struct {
	*agglomeration
	near    []map[int32]*link // cluster -> the clusters that it has an edge to; sum is beyond Absent, pairs is not used
	changed []int32           // how often a cluster has grown
	queue   offers
}

func (s *sparse) tie(x, y int32, l *link) {
	for _, p := range [2][2]int32{{x, y}, {y, x}} {
		if s.near[p[0]] == nil {
			s.near[p[0]] = map[int32]*link{}
		}
		s.near[p[0]][p[1]] = l
	}
}

// spread lets what was heard of two groups speak for all their pairs, also those that have no edge.
func (s *sparse) spread(x, y int32, l *link) {
	all := int64(len(s.members[x])) * int64(len(s.members[y]))
	best := l.sum / l.pairs
	if l.pairs < all {
		best = max(best, 0)
	}
	l.sum, l.pairs = best*all, 0
}

// barred looks for a conflict among the pairs that have no edge; it is asked of clusters that are about to join.
func (s *sparse) barred(x, y int32) bool {
	for _, i := range s.members[x] {
		for _, j := range s.members[y] {
			if s.c.Conflict(s.order[i], s.order[j]) {
				return true
			}
		}
	}
	return false
}

// offer puts two clusters into the queue when their link is strong enough.
func (s *sparse) offer(x, y int32) {
	l := s.near[x][y]
	pairs := int64(len(s.members[x])) * int64(len(s.members[y]))
	full := link{l.sum + Absent*pairs, pairs, l.bars}
	if full.joins(s.c.Link) {
		heap.Push(&s.queue, offer{full, min(x, y), max(x, y), s.changed[x] + s.changed[y]})
	}
}

func (s *sparse) join(x, y int32) {
	s.unite(x, y)
	s.changed[x]++
	delete(s.near[x], y)
	delete(s.near[y], x)
	for z, l := range s.near[y] {
		delete(s.near[z], y)
		if m := s.near[x][z]; m != nil {
			m.add(*l)
		} else {
			s.tie(x, z, l)
		}
	}
	s.near[y] = nil
	for z := range s.near[x] {
		s.offer(x, z)
	}
}

// offer is two clusters that would join; at tells when it was made.
type offer struct {
	link
	x, y int32
	at   int32
}

// offers is a heap, the strongest link first; of equal ones, that of the smaller records.
type offers []offer

func (q offers) Len() int { return len(q) }
func (q offers) Less(i, j int) bool {
	switch {
	case q[i].stronger(&q[j].link):
		return true
	case q[j].stronger(&q[i].link):
		return false
	case q[i].x != q[j].x:
		return q[i].x < q[j].x
	}
	return q[i].y < q[j].y
}
func (q offers) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *offers) Push(x any)   { *q = append(*q, x.(offer)) }
func (q *offers) Pop() any {
	last := (*q)[len(*q)-1]
	*q = (*q)[:len(*q)-1]
	return last
}
