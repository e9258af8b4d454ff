package cluster

// dense weighs all pairs. Each cluster remembers its best partner, so that a step costs one pass over the clusters.
func (a *agglomeration) dense(rank []int32) {
	n := int32(len(a.of))
	links := make([]link, n*n)
	at := func(x, y int32) *link { return &links[min(x, y)*n+max(x, y)] }
	known := make([]bool, n*n)
	for _, e := range a.c.Edges {
		x, y := rank[e.A], rank[e.B]
		known[min(x, y)*n+max(x, y)] = true
		if cx, cy := a.of[x], a.of[y]; cx != cy {
			at(cx, cy).hear(clip(e.Weight), a.c.Conflict(e.A, e.B))
		}
	}
	for x := range n {
		for y := x + 1; y < n; y++ {
			if cx, cy := a.of[x], a.of[y]; !known[x*n+y] && cx != cy {
				i, j := a.order[x], a.order[y]
				at(cx, cy).hear(clip(a.c.Score(i, j)), a.c.Conflict(i, j))
			}
		}
	}
	best := make([]int32, n) // the partner of a higher number that a cluster would join, or -1
	seek := func(x int32) {
		best[x] = -1
		for y := x + 1; y < n; y++ {
			if a.members[y] == nil {
				continue
			}
			if l := at(x, y); l.joins(a.c.Link) && (best[x] < 0 || l.stronger(at(x, best[x]))) {
				best[x] = y
			}
		}
	}
	for x := range n {
		if a.members[x] != nil {
			seek(x)
		}
	}
	for {
		x := int32(-1)
		for z := range n {
			if a.members[z] != nil && best[z] >= 0 && (x < 0 || at(z, best[z]).stronger(at(x, best[x]))) {
				x = z
			}
		}
		if x < 0 {
			return
		}
		y := best[x]
		a.unite(x, y)
		for z := range n {
			if z != x && a.members[z] != nil {
				at(x, z).add(*at(y, z))
			}
		}
		for z := range n {
			switch {
			case a.members[z] == nil:
			case z == x || best[z] == x || best[z] == y:
				seek(z)
			case z < x:
				// The link to x changed: it may have become the best.
				if l := at(z, x); l.joins(a.c.Link) && (best[z] < 0 || l.stronger(at(z, best[z])) ||
					x < best[z] && !at(z, best[z]).stronger(l)) {
					best[z] = x
				}
			}
		}
	}
}
