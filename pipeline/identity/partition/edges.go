package partition

import (
	"slices"

	"github.com/shirecounty/shire/pipeline/identity/match"
)

// tie loads a record's edges.
func (w *working) tie(n *node) *node {
	if !n.tied {
		n.tied = true
		w.view.Prefix(edges, w.row.number(n.number), func(key, value, _ []byte) bool {
			n.edges = append(n.edges, edgeOf(order.Uint32(key[4:]), value))
			return true
		})
	}
	return n
}

// join makes an edge, or gives it another weight. Whether it is open is told when its records have their parties.
func (w *working) join(n, m *node, weight match.Weight) {
	for _, p := range [2][2]*node{{n, m}, {m, n}} {
		from, to := w.tie(p[0]), p[1]
		i := slices.IndexFunc(from.edges, func(e edge) bool { return e.to == to.number })
		if i < 0 {
			i = len(from.edges)
			from.edges = append(from.edges, edge{to: to.number})
		}
		from.edges[i].weight = weight
		w.batch.Put(edges, w.row.edge(from.number, to.number), w.row.weight(from.edges[i]), nil)
	}
}

// cut takes an edge away.
func (w *working) cut(n, m *node) {
	for _, p := range [2][2]*node{{n, m}, {m, n}} {
		from, to := w.tie(p[0]), p[1]
		from.edges = slices.DeleteFunc(from.edges, func(e edge) bool { return e.to == to.number })
		w.batch.Delete(edges, w.row.edge(from.number, to.number))
	}
	w.batch.Delete(opens, w.row.edge(min(n.number, m.number), max(n.number, m.number)))
}

// ask brings up to date which of a record's edges are open, now that it has its party.
func (w *working) ask(n *node) {
	for i := range n.edges {
		m := w.node(n.edges[i].to)
		open := m.party != n.party
		if open == n.edges[i].open {
			continue
		}
		key := w.row.edge(min(n.number, m.number), max(n.number, m.number))
		if open {
			w.batch.Put(opens, key, nil, nil)
		} else {
			w.batch.Delete(opens, key)
		}
		w.tie(m)
		for _, p := range [2][2]*node{{n, m}, {m, n}} {
			k := slices.IndexFunc(p[0].edges, func(e edge) bool { return e.to == p[1].number })
			p[0].edges[k].open = open
			w.batch.Put(edges, w.row.edge(p[0].number, p[1].number), w.row.weight(p[0].edges[k]), nil)
		}
	}
}
