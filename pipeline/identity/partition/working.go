package partition

import (
	"bytes"
	"cmp"
	"context"
	"slices"

	"github.com/shirecounty/shire/pipeline/identity/match"
	"github.com/shirecounty/shire/pipeline/identity/store"
	"github.com/shirecounty/shire/schemas/pseudonym"
)

// working is the state with what was decided since it was last kept on top.
type working struct {
	p        *Partition
	state    *state
	model    *match.Model
	columns  []int // of the model's fields
	view     *store.View
	batch    *store.Batch
	next     uint32
	verdicts *ledger
	links    []Link

	nodes      map[uint32]*node
	changed    []*node // nodes whose place is to be written
	byID       map[pseudonym.ID]known
	blocks     map[uint64]*block
	fetched    [][]fetched                   // blocks that were loaded in one pass
	successors map[pseudonym.ID]pseudonym.ID // of parties that were retired
	rulings    map[pseudonym.ID]ruling

	lonely      bool // nodes have keys without a block
	ownVerdicts bool // verdicts is a copy that may be changed
	homeless    bool // parties are not assigned: the state is being made anew, and they are at the end
	arena       arena
	row         row
	room        workroom
}

// known is what is known of a record id: number 0 when there is no such record, or no longer.
type known struct {
	number  uint32
	version uint64
}

// node is one record as the changes so far left it.
type node struct {
	number uint32
	id     pseudonym.ID
	words  []byte       // as they are stored
	full   match.Record // its evidence
	record match.Record // the same, without damped fields: what is compared
	keys   []match.Key  // by which it is found
	blocks []*block     // of its keys
	damped uint8        // the model's damping rules whose block is over-full
	rule   rule
	party  pseudonym.ID
	born   uint64 // the party
	edges  []edge
	tied   bool // edges are loaded
	gone   bool
	moved  bool // its place is to be written; it is among changed
	dirty  bool // it is not as the state has it
	mark   uint32
}

// edge is a pair that is linked, or that a person may be asked about.
type edge struct {
	to     uint32
	weight match.Weight
	open   bool // its records are of two parties
}

func (p *Partition) begin(s *state, b *store.Batch) *working {
	m, err := s.meta()
	if err != nil {
		panic(err) // it was read when the state was opened
	}
	w := &working{
		p: p, state: s, view: s.View(), batch: b, next: m.Next, verdicts: p.verdicts,
		nodes: map[uint32]*node{}, byID: map[pseudonym.ID]known{}, blocks: map[uint64]*block{},
		successors: map[pseudonym.ID]pseudonym.ID{}, rulings: map[pseudonym.ID]ruling{},
	}
	if b != nil { // it is the writer's
		w.arena, p.arena = p.arena, arena{}
	}
	if p.model != nil {
		w.use(p.model)
	}
	return w
}

// empty is a batch whose memory was used before, when there is one.
func (p *Partition) empty() *store.Batch {
	b := p.spare
	if p.spare = nil; b == nil {
		b = store.NewBatch(tables)
	}
	return b
}

// end gives back what the next working state can use.
func (w *working) end() {
	w.view.Release()
	w.batch.Reset()
	w.arena.rewind()
	w.p.spare, w.p.arena = w.batch, w.arena
}

// use compares by a model from here on.
func (w *working) use(m *match.Model) { w.model, w.columns = m, w.p.columnsOf(m) }

// columnsOf are the columns that a model's fields are read from.
func (p *Partition) columnsOf(m *match.Model) []int {
	fields := m.Spec().Fields
	columns := make([]int, len(fields))
	for i := range fields {
		columns[i] = slices.Index(p.opt.Columns, fields[i].Source())
	}
	return columns
}

// apply takes changes of records and verdicts one by one.
func (w *working) apply(ctx context.Context, changes []Change) ([]Decision, error) {
	ready, err := w.prepare(ctx, changes)
	if err != nil {
		return nil, err
	}
	out := make([]Decision, len(changes))
	var named []*node // by the row at hand so far
	for i := range changes {
		if i&0xfff == 0 && ctx.Err() != nil {
			return nil, ctx.Err()
		}
		c := &changes[i]
		if c.Verdict != nil {
			w.verdict(c)
			continue
		}
		if i > 0 && (c.At != changes[i-1].At || c.number != 0) {
			named = named[:0]
		}
		named = append(named, w.change(c, &ready[i]))
		// A row may name two parties, and the second may move the first: what is said of a row is how it stands after all
		// of it, as a link at the same place would say.
		for k, n := range named {
			if n != nil {
				out[i+1-len(named)+k] = Decision{n.party, n.rule.String()}
			}
		}
	}
	return out, nil
}

// change takes one change of a record and gives the record as it leaves it; nil when there is none.
func (w *working) change(c *Change, r *readied) *node {
	k, ok := w.byID[c.Record]
	if !ok {
		k = r.known
	}
	switch {
	case k.version >= c.Version: // superseded
		if k.number == 0 {
			return nil
		}
		return w.node(k.number)
	case c.Gone:
		w.remember(c.Record, known{version: c.Version})
		if k.number == 0 {
			return nil
		}
		n := w.node(k.number)
		w.remove(n, c)
		return n
	case k.number == 0:
		k.number, k.version = cmp.Or(c.number, w.next), c.Version
		w.next = max(w.next, k.number+1)
		w.remember(c.Record, k)
		n := &w.arena.nodes.carve(1)[0]
		n.number, n.id, n.tied = k.number, c.Record, true
		w.nodes[n.number] = n
		w.say(n, c, r)
		return n
	default:
		n := w.node(k.number)
		w.remember(c.Record, known{k.number, c.Version})
		if !bytes.Equal(r.words, n.words) { // most changes of a case say nothing new of its applicant
			w.say(n, c, r)
		}
		return n
	}
}

// say gives a record its words and settles what comes of them.
func (w *working) say(n *node, c *Change, r *readied) {
	r.finish(w, c, &w.arena)
	w.key(n)
	keys, blocks := n.keys, n.blocks
	n.words, n.full, n.keys, n.blocks = r.words, r.full, r.keys, r.blocks
	if n.blocks == nil {
		n.blocks = w.blocksOf(n.keys)
	}
	w.batch.Put(records, w.row.number(n.number), n.id[:], n.words)
	w.move(n)
	again := w.rekey(n, keys, blocks)
	w.see(n)
	touched := w.compare(n)
	for _, m := range again {
		if m != n {
			touched = append(append(touched, m), w.compare(m)...)
		}
	}
	w.settle(append(touched, n), c)
}

// remove takes a record out and settles what is left.
func (w *working) remove(n *node, c *Change) {
	w.key(n)
	keys, blocks := n.keys, n.blocks
	n.keys, n.blocks = nil, nil
	again := w.rekey(n, keys, blocks)
	var touched []*node
	for _, e := range w.tie(n).edges {
		touched = append(touched, w.node(e.to))
	}
	for _, m := range touched {
		w.cut(n, m)
	}
	for _, s := range w.verdicts.of[n.id] {
		if k := w.known(s.other); k.number != 0 {
			touched = append(touched, w.node(k.number))
		}
	}
	n.gone, n.dirty = true, true
	w.batch.Delete(records, w.row.number(n.number))
	w.batch.Delete(places, w.row.number(n.number))
	if !n.party.IsZero() {
		w.batch.Delete(membership, w.row.member(n.party, n.number))
	}
	for _, m := range again {
		if m != n {
			touched = append(append(touched, m), w.compare(m)...)
		}
	}
	w.settle(touched, c)
}

func (w *working) known(id pseudonym.ID) known {
	if k, ok := w.byID[id]; ok {
		return k
	}
	if v, _, ok := w.view.Get(ids, id[:]); ok {
		return knownOf(v)
	}
	return known{}
}

func knownOf(value []byte) known { return known{order.Uint32(value), order.Uint64(value[4:])} }

func (w *working) remember(id pseudonym.ID, k known) {
	w.byID[id] = k
	w.batch.Put(ids, id[:], w.row.known(k), nil)
}

// node is a record by its number. It exists: whoever has a number has it from the state.
func (w *working) node(number uint32) *node {
	if n := w.nodes[number]; n != nil {
		return n
	}
	key := w.row.number(number)
	id, words, ok := w.view.Get(records, key)
	if !ok {
		panic("partition: the state names a record that it does not have") // its tables change together
	}
	place, _, _ := w.view.Get(places, key)
	n := w.newNode(number, id, words, place)
	w.nodes[number] = n
	return n
}

func (w *working) newNode(number uint32, id, words, place []byte) *node {
	n := &w.arena.nodes.carve(1)[0]
	n.number, n.id, n.words = number, idOf(id), words
	if place != nil {
		n.party, n.born, n.damped, n.rule = idOf(place), order.Uint64(place[16:]), place[24], rule(place[25])
	}
	if w.model != nil {
		said := wordsOf(words)
		n.full = prepareValues(w.model, w.columns, said.values, said.dataset, &w.arena)
		n.record = w.undamped(n)
	}
	return n
}

// move notes that a record's place is to be written.
func (w *working) move(n *node) {
	if !n.moved {
		n.moved, n.dirty = true, true
		w.changed = append(w.changed, n)
	}
}

// flush writes what is only noted into the batch.
func (w *working) flush() {
	for _, n := range w.changed {
		if !n.gone {
			w.batch.Put(places, w.row.number(n.number), w.row.place(n), nil)
		}
		n.moved = false
	}
	w.changed = w.changed[:0]
}
