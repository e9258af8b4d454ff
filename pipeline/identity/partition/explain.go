package partition

import (
	"bytes"
	"cmp"
	"slices"

	"github.com/shirecounty/shire/pipeline/identity/cluster"
	"github.com/shirecounty/shire/pipeline/identity/match"
	"github.com/shirecounty/shire/pipeline/identity/review"
	"github.com/shirecounty/shire/schemas/pseudonym"
)

// Why tells why two records are, or are not, about one party. No value of a record stands in it, unless they were asked
// for (I7).
type Why struct {
	About    string         `json:"about"`
	Model    string         `json:"model"`
	Link     match.Weight   `json:"link"`    // from this weight on two records are linked
	Cluster  match.Weight   `json:"cluster"` // that the average between two groups has to reach
	Fields   []review.Field `json:"fields"`
	A        Told           `json:"a"`
	B        Told           `json:"b"`
	Together bool           `json:"together"`

	Evidence match.Explanation `json:"evidence"` // of the two alone
	Blocks   []Shared          `json:"blocks"`   // by which the two find each other
	Path     []Tie             `json:"path"`     // when they are together: the strongest chain from A to B
	Reasons  []Reason          `json:"reasons"`  // when they are apart: all that hold
	Verdicts []review.Verdict  `json:"verdicts"` // in force on two records of their parties
}

// Told is a record as an explanation names it.
type Told struct {
	Record  pseudonym.ID `json:"record"`
	Party   pseudonym.ID `json:"party"`
	Dataset string       `json:"dataset"`
	Role    string       `json:"role"`
	Rule    string       `json:"rule"`
	Damped  []string     `json:"damped,omitempty"` // fields that are no evidence, because too many records say the same
	Values  []string     `json:"values,omitempty"` // by field; only where they were asked for
}

// Tie is a pair of records of one party.
type Tie struct {
	A           pseudonym.ID       `json:"a"`
	B           pseudonym.ID       `json:"b"`
	Weight      match.Weight       `json:"weight"`
	Links       bool               `json:"links"` // the weight alone links the two
	Same        bool               `json:"same"`  // a person said that the two are one
	Explanation *match.Explanation `json:"explanation,omitempty"`
}

// Shared is a blocking rule under which two records have a key in common.
type Shared struct {
	Keys    []string `json:"keys"`
	Members int      `json:"members"` // records that have it
	AtMost  int      `json:"at_most"`
	Full    bool     `json:"over_full"` // more than at_most: the block gives no pairs
}

// Reason is one thing that keeps two records apart.
type Reason struct {
	Code   string       `json:"code"`
	Fields []string     `json:"fields,omitempty"` // conflict
	Doubts []string     `json:"doubts,omitempty"` // doubt
	Weight match.Weight `json:"weight,omitempty"` // weak, average
	A      pseudonym.ID `json:"a,omitzero"`       // barred: two other records of the parties
	B      pseudonym.ID `json:"b,omitzero"`
	Pairs  int          `json:"pairs,omitempty"` // average: of so many
}

// Codes of reasons.
const (
	Conflict   = "conflict"    // two different valid numbers: the hard rule
	Ruled      = "verdict"     // a person said that they are two
	Barred     = "barred"      // two others of their parties cannot be one
	Weak       = "weak"        // the evidence does not reach the link
	Doubted    = "doubt"       // a doubt of the model holds
	NeverMet   = "never_met"   // no block has both
	OverFull   = "over_full"   // only over-full blocks have both
	NoChain    = "no_chain"    // no chain of linked records joins them
	LowAverage = "low_average" // a chain joins them, and the average between their parties is too low
)

// Explain tells why two records are or are not together; nil when one of them is not known. values asks for what the
// records say: personal data, and who shows it answers for it.
func (p *Partition) Explain(a, b pseudonym.ID, values bool) (why *Why) {
	p.read(func(r reader) {
		x, y := r.find(a), r.find(b)
		if x == nil || y == nil {
			return
		}
		why = &Why{
			About: r.p.opt.About, Model: r.model.Version(), Link: r.model.Link(), Cluster: r.model.Cluster(), Fields: r.fields(),
			A: r.told(x, values), B: r.told(y, values), Together: x.party == y.party,
			Evidence: r.model.Explain(x.record, y.record), Blocks: r.shared(x, y), Path: []Tie{}, Reasons: []Reason{},
		}
		left, right := r.members(x.party), r.members(y.party)
		if why.Together {
			why.Path = r.path(left, x, y)
		} else {
			why.Reasons = r.reasons(x, y, left, right, why)
		}
		parties := map[pseudonym.ID]bool{a: true, b: true}
		for _, n := range append(left, right...) {
			parties[n.id] = true
		}
		why.Verdicts = r.rulingsOn(parties)
	})
	return why
}

func (r reader) told(n *node, values bool) Told {
	said := r.record(n)
	t := Told{Record: n.id, Party: n.party, Dataset: said.Dataset, Role: said.Role, Rule: n.rule.String()}
	if n.damped != 0 {
		for _, f := range r.model.DampedFields(n.damped) {
			t.Damped = append(t.Damped, r.model.Spec().Fields[f].Name)
		}
	}
	if values {
		t.Values = said.Values
	}
	return t
}

// members are the records of a party, by id.
func (r reader) members(party pseudonym.ID) (all []*node) {
	r.view.Prefix(membership, party[:], func(key, _, _ []byte) bool {
		all = append(all, r.node(order.Uint32(key[16:])))
		return true
	})
	slices.SortFunc(all, func(a, b *node) int { return bytes.Compare(a.id[:], b.id[:]) })
	return all
}

// shared lists the keys that two records have in common.
func (r reader) shared(x, y *node) []Shared {
	out := []Shared{}
	theirs := r.model.Keys(y.full, nil)
	for _, k := range r.model.Keys(x.full, nil) {
		if !slices.Contains(theirs, k) {
			continue
		}
		b := r.block(k)
		out = append(out, Shared{Keys: r.model.Spec().Blocking[k.Rule].Keys, Members: r.inBlock(b, k.Hash), AtMost: b.limit, Full: b.full()})
	}
	return out
}

// reasons lists what keeps two records apart.
func (r reader) reasons(x, y *node, left, right []*node, why *Why) (out []Reason) {
	if fields := r.conflicting(x, y); len(fields) > 0 {
		out = append(out, Reason{Code: Conflict, Fields: fields})
	}
	if r.verdicts.between(x.id, y.id) == different {
		out = append(out, Reason{Code: Ruled})
	}
	switch {
	case len(why.Blocks) == 0:
		out = append(out, Reason{Code: NeverMet})
	case !slices.ContainsFunc(why.Blocks, func(s Shared) bool { return !s.Full }):
		out = append(out, Reason{Code: OverFull})
	}
	sum := why.Evidence.Prior
	for _, s := range why.Evidence.Steps {
		sum += s.Weight
	}
	if sum < r.model.Link() {
		out = append(out, Reason{Code: Weak, Weight: sum})
	}
	if len(why.Evidence.Doubts) > 0 {
		out = append(out, Reason{Code: Doubted, Doubts: why.Evidence.Doubts})
	}
	if r.conflict(x, y) {
		return out // whatever else there is, the two cannot be one
	}
	r.room.mark++
	if r.component(x); y.mark != r.room.mark {
		return append(out, Reason{Code: NoChain})
	}
	return append(out, r.divided(left, right))
}

// conflicting are the fields of which two records have different valid values.
func (r reader) conflicting(x, y *node) (names []string) {
	for _, f := range r.model.Unique() {
		if v, u := x.record[f], y.record[f]; v != nil && u != nil && v.Valid && u.Valid && v.Hash != u.Hash {
			names = append(names, r.model.Spec().Fields[f].Name)
		}
	}
	return names
}

// divided tells why two parties of one component are two. Clustering ends when every two clusters have a conflict between
// them, or a low average: so one of the two holds.
func (r reader) divided(left, right []*node) Reason {
	size := 0
	for _, n := range r.nodes {
		if n.mark == r.room.mark {
			size++
		}
	}
	sum := int64(0)
	for _, n := range left {
		for _, m := range right {
			if r.conflict(n, m) {
				return Reason{Code: Barred, A: n.id, B: m.id}
			}
			sum += int64(min(max(r.says(n, m, size), cluster.Least), cluster.Most))
		}
	}
	pairs := len(left) * len(right)
	return Reason{Code: LowAverage, Weight: match.Weight(sum / int64(pairs)), Pairs: pairs}
}

// says is what a pair counts for in the average of a component of some size.
func (r reader) says(n, m *node, size int) match.Weight {
	if e := slices.IndexFunc(r.tie(n).edges, func(e edge) bool { return e.to == m.number }); e >= 0 {
		return n.edges[e].weight
	}
	if size > cluster.Dense {
		return cluster.Absent
	}
	return r.model.Score(n.record, m.record)
}

// path is the chain of pairs from one record of a party to another whose weakest pair is as strong as can be. It lies in
// the strongest tree: pairs are taken from the strongest on, by id where they are equal, as long as they join what is not
// joined yet.
func (r reader) path(members []*node, x, y *node) []Tie {
	if x == y {
		return []Tie{}
	}
	t := newTree(members)
	t.grow(r.ties(members))
	if !t.joined(x, y) && len(members) <= cluster.Dense {
		// Groups became one by an average between pairs of which none was worth an edge.
		var rest []Tie
		for i, n := range members {
			for _, m := range members[i+1:] {
				rest = append(rest, Tie{A: n.id, B: m.id, Weight: r.model.Score(n.record, m.record)})
			}
		}
		t.grow(rest)
	}
	chain := t.chain(x.id, y.id)
	for i := range chain {
		c := &chain[i]
		e := r.model.Explain(t.node[c.A].record, t.node[c.B].record)
		c.Explanation = &e
	}
	return chain
}

// ties lists the edges, and the verdicts "same", between records of one party, strongest first.
func (r reader) ties(members []*node) []Tie {
	byNumber := make(map[uint32]*node, len(members))
	byID := make(map[pseudonym.ID]*node, len(members))
	for _, n := range members {
		byNumber[n.number], byID[n.id] = n, n
	}
	out := []Tie{}
	add := func(n, m *node, weight match.Weight) {
		out = append(out, Tie{A: n.id, B: m.id, Weight: weight, Links: weight >= r.model.Link(), Same: r.verdicts.between(n.id, m.id) == same})
	}
	for _, n := range members {
		for _, e := range r.tie(n).edges {
			if m := byNumber[e.to]; m != nil && bytes.Compare(n.id[:], m.id[:]) < 0 {
				add(n, m, e.weight)
			}
		}
		for _, s := range r.verdicts.of[n.id] {
			m := byID[s.other]
			if s.decision != same || m == nil || bytes.Compare(n.id[:], m.id[:]) > 0 {
				continue
			}
			if !slices.ContainsFunc(n.edges, func(e edge) bool { return e.to == m.number }) {
				add(n, m, r.model.Score(n.record, m.record))
			}
		}
	}
	slices.SortFunc(out, stronger)
	return out
}

// stronger orders ties: what a person said first, then by weight, then by id.
func stronger(s, t Tie) int {
	rank := func(t Tie) int {
		if t.Same {
			return 0
		}
		return 1
	}
	return cmp.Or(cmp.Compare(rank(s), rank(t)), cmp.Compare(t.Weight, s.Weight), bytes.Compare(s.A[:], t.A[:]), bytes.Compare(s.B[:], t.B[:]))
}

// tree grows from ties, each joining two parts.
type tree struct {
	node map[pseudonym.ID]*node
	part map[pseudonym.ID]pseudonym.ID
	next map[pseudonym.ID][]Tie
}

func newTree(members []*node) *tree {
	t := &tree{node: map[pseudonym.ID]*node{}, part: map[pseudonym.ID]pseudonym.ID{}, next: map[pseudonym.ID][]Tie{}}
	for _, n := range members {
		t.node[n.id], t.part[n.id] = n, n.id
	}
	return t
}

func (t *tree) root(id pseudonym.ID) pseudonym.ID {
	for t.part[id] != id {
		t.part[id] = t.part[t.part[id]]
		id = t.part[id]
	}
	return id
}

func (t *tree) joined(x, y *node) bool { return t.root(x.id) == t.root(y.id) }

func (t *tree) grow(ties []Tie) {
	slices.SortFunc(ties, stronger)
	for _, e := range ties {
		a, b := t.root(e.A), t.root(e.B)
		if a == b {
			continue
		}
		t.part[b] = a
		t.next[e.A], t.next[e.B] = append(t.next[e.A], e), append(t.next[e.B], e)
	}
}

// chain is the only way through the tree from one record to another; empty when there is none.
func (t *tree) chain(from, to pseudonym.ID) []Tie {
	came := map[pseudonym.ID]Tie{from: {}}
	for queue := []pseudonym.ID{from}; len(queue) > 0; queue = queue[1:] {
		for _, e := range t.next[queue[0]] {
			other := e.B
			if other == queue[0] {
				other = e.A
			}
			if _, met := came[other]; !met {
				e.A, e.B = queue[0], other // as it is walked
				came[other] = e
				queue = append(queue, other)
			}
		}
	}
	chain := []Tie{}
	for at := to; at != from; {
		e, met := came[at]
		if !met {
			return []Tie{}
		}
		chain = append(chain, e)
		at = e.A
	}
	slices.Reverse(chain)
	return chain
}
