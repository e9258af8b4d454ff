package partition

import (
	"cmp"
	"math"
	"slices"
	"strings"

	"github.com/shirecounty/shire/pipeline/identity/match"
	"github.com/shirecounty/shire/pipeline/identity/review"
	"github.com/shirecounty/shire/schemas/pseudonym"
)

// reader looks at the state as it was last kept, and changes nothing: a working state that is thrown away.
type reader struct{ *working }

// read gives a reader. A view stays good when the state goes on, or is replaced, so that nobody waits for who reads.
func (p *Partition) read(fn func(r reader)) {
	r := p.reader()
	defer r.view.Release()
	fn(r)
}

func (p *Partition) reader() reader {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return reader{p.begin(p.state, nil)}
}

// Resolve follows a party to what it is today: itself, or the successor of its successors. It reports false when there is
// no such party, or no longer: none of its records is left.
func (p *Partition) Resolve(id pseudonym.ID) (today pseudonym.ID, ok bool) {
	p.read(func(r reader) {
		for next := id; !next.IsZero(); next = r.successor(next) {
			today = next
		}
		ok = r.size(today) > 0
	})
	return today, ok
}

// Records counts the records that there are, and the parties that they are about.
func (p *Partition) Records() (records, parties int) {
	p.read(func(r reader) { records, parties = r.count() })
	return records, parties
}

func (r reader) count() (records, parties int) {
	var last pseudonym.ID
	r.view.Scan(membership, nil, func(key, _, _ []byte) bool {
		records++
		if id := idOf(key); id != last {
			last = id
			parties++
		}
		return true
	})
	return records, parties
}

// Queue lists the pairs that wait for a person: alike enough to ask, of two parties, and not decided yet. What a verdict
// would settle most of comes first: the pairs of records that it decides, times the doubt about it.
func (p *Partition) Queue(limit int) (items []review.Item, total int) {
	p.read(func(r reader) {
		if r.model == nil {
			return
		}
		type ranked struct {
			review.Item
			gain float64
		}
		var all []ranked
		r.waiting(func(a, b *node) {
			i := r.item(a, b)
			all = append(all, ranked{i, float64(i.Settles) * entropy(i.Probability)})
		})
		slices.SortFunc(all, func(a, b ranked) int {
			return cmp.Or(cmp.Compare(b.gain, a.gain), slices.Compare(a.A[:], b.A[:]), slices.Compare(a.B[:], b.B[:]))
		})
		total = len(all)
		for _, i := range all[:min(limit, total)] {
			items = append(items, i.Item)
		}
	})
	return items, total
}

// Waiting counts the pairs that wait for a person.
func (p *Partition) Waiting() (n int) {
	p.read(func(r reader) {
		if r.model != nil {
			r.waiting(func(_, _ *node) { n++ })
		}
	})
	return n
}

// waiting gives the pairs that wait for a person.
func (r reader) waiting(give func(a, b *node)) {
	r.view.Scan(opens, nil, func(key, _, _ []byte) bool {
		a, b := r.node(order.Uint32(key)), r.node(order.Uint32(key[4:]))
		if r.verdicts.between(a.id, b.id) == withdrawn && !r.model.Conflict(a.record, b.record) {
			give(a, b)
		}
		if len(r.nodes) > 10_000 {
			clear(r.nodes) // I10
		}
		return true
	})
}

// entropy is how much is not known of something that has a probability, in bits.
func entropy(p float64) float64 {
	if p <= 0 || p >= 1 {
		return 0
	}
	return -p*math.Log2(p) - (1-p)*math.Log2(1-p)
}

func (r reader) item(a, b *node) review.Item {
	if slices.Compare(a.id[:], b.id[:]) > 0 {
		a, b = b, a
	}
	i := review.Item{About: r.p.opt.About, A: a.id, B: b.id, Weight: r.model.Score(a.record, b.record), Settles: r.size(a.party) * r.size(b.party)}
	i.Doubts = r.model.Doubts(a.record, b.record)
	i.Probability = match.Probability(i.Weight)
	return i
}

// size counts the records of a party.
func (r reader) size(id pseudonym.ID) (n int) {
	r.view.Prefix(membership, id[:], func(_, _, _ []byte) bool {
		n++
		return n < 1000
	})
	return n
}

// Case shows two records side by side; nil when one of them is not known.
func (p *Partition) Case(a, b pseudonym.ID) (c *review.Case) {
	p.read(func(r reader) {
		if slices.Compare(a[:], b[:]) > 0 {
			a, b = b, a
		}
		x, y := r.find(a), r.find(b)
		if x == nil || y == nil {
			return
		}
		e := r.model.Explain(x.record, y.record)
		c = &review.Case{
			Item: r.item(x, y), Fields: r.fields(), Left: r.side(x), Right: r.side(y), Explanation: &e,
			Together: x.party == y.party, Verdict: r.standing(a, b),
		}
	})
	return c
}

// find is a record by its id; nil when there is none.
func (r reader) find(id pseudonym.ID) *node {
	if k := r.known(id); k.number != 0 && r.model != nil {
		return r.node(k.number)
	}
	return nil
}

func (r reader) fields() []review.Field {
	spec := r.model.Spec()
	out := make([]review.Field, len(spec.Fields))
	for i, f := range spec.Fields {
		out[i] = review.Field{Name: f.Name, ZH: cmp.Or(f.Title.ZH, f.Name), EN: cmp.Or(f.Title.EN, f.Name)}
	}
	return out
}

func (r reader) side(n *node) review.Side {
	s := review.Side{Record: r.record(n), Party: n.party, Members: r.size(n.party)}
	r.view.Prefix(membership, n.party[:], func(key, _, _ []byte) bool {
		if m := order.Uint32(key[16:]); m != n.number {
			s.Neighbours = append(s.Neighbours, r.record(r.node(m)))
		}
		return len(s.Neighbours) < review.MostNeighbours
	})
	return s
}

// record is what a record says, by the model's fields.
func (r reader) record(n *node) review.Record {
	said := wordsOf(n.words)
	out := review.Record{ID: n.id, Dataset: strings.Clone(said.dataset), Role: strings.Clone(said.role), Values: make([]string, len(r.columns))}
	for f, c := range r.columns {
		out.Values[f] = strings.Clone(said.values[c]) // the view is released
	}
	return out
}

// standing is the verdict in force on two records.
func (r reader) standing(a, b pseudonym.ID) (v *review.Verdict) {
	if r.verdicts.between(a, b) == withdrawn {
		return nil
	}
	r.view.Scan(verdicts, nil, func(_, value, said []byte) bool {
		ruling := rulingOf(value)
		if ruling.decision == withdrawn || ruling.a != a || ruling.b != b {
			return true
		}
		found := r.verdict(ruling, said)
		v = &found
		return false
	})
	return v
}

// Contradicts tells whether a verdict cannot hold together with those in force: two records that are the same as a third
// one cannot be different.
func (p *Partition) Contradicts(a, b pseudonym.ID, what string) bool {
	p.mu.RLock()
	defer p.mu.RUnlock()
	l := p.verdicts.clone()
	l.set(a, b, withdrawn) // it would take the place of an earlier one on the same pair
	left := l.group(a)
	switch decisionOf(what) {
	case different:
		return left[b]
	case same:
		for other := range l.group(b) {
			for _, s := range l.of[other] {
				if s.decision == different && left[s.other] {
					return true
				}
			}
		}
	}
	return false
}

// group is the records that verdicts make one with a record.
func (l *ledger) group(id pseudonym.ID) map[pseudonym.ID]bool {
	group := map[pseudonym.ID]bool{id: true}
	for queue := []pseudonym.ID{id}; len(queue) > 0; queue = queue[1:] {
		for _, s := range l.of[queue[0]] {
			if s.decision == same && !group[s.other] {
				group[s.other] = true
				queue = append(queue, s.other)
			}
		}
	}
	return group
}
