package partition

import (
	"slices"

	"github.com/shirecounty/shire/pipeline/identity/match"
)

// block is the records that share a blocking key.
//
// Of one that is over-full only so many are in memory as it takes to know that it is, and some to spare: a telephone that
// is on every record must not cost each change of one of them a look at all the others (I10).
type block struct {
	members []uint32 // in the order of their numbers
	limit   int

	more    bool                // the state has members beside these; then the block is full
	removed map[uint32]struct{} // while there are more: members that are no longer, though the state as it was kept has them
}

// spare is how many members beyond its limit a block has in memory. Tests make do with fewer.
var spare = 64

// load takes in one more member from the state; false when there are enough.
func (b *block) load(number uint32) bool {
	if len(b.members) > b.limit+spare {
		b.more = true
		return false
	}
	b.members = append(b.members, number)
	return true
}

// add and take keep the order of the members. A member that is not in memory is only noted to be gone.
func (b *block) add(number uint32) {
	if len(b.members) == 0 || b.members[len(b.members)-1] < number { // a new record's number is the highest
		b.members = append(b.members, number)
	} else if at, ok := slices.BinarySearch(b.members, number); !ok {
		b.members = slices.Insert(b.members, at, number)
	}
	delete(b.removed, number)
}

func (b *block) take(number uint32) {
	if at, ok := slices.BinarySearch(b.members, number); ok {
		b.members = slices.Delete(b.members, at, at+1)
	}
	if b.more {
		if b.removed == nil {
			b.removed = map[uint32]struct{}{}
		}
		b.removed[number] = struct{}{}
	}
}

// complete brings the rest of a block into memory when what is there no longer tells whether it is full.
func (w *working) complete(b *block, hash uint64) {
	if !b.more || b.full() {
		return
	}
	b.more = false
	// As many as left it: a block that a range empties is fetched a few times and not once for every few.
	enough := b.limit + spare + len(b.removed)
	w.view.Prefix(postings, w.row.hash(hash), func(key, _, _ []byte) bool {
		number := order.Uint32(key[8:])
		if _, gone := b.removed[number]; gone {
			return true
		}
		if at, ok := slices.BinarySearch(b.members, number); !ok {
			b.members = slices.Insert(b.members, at, number)
		}
		return len(b.members) <= enough || !b.note()
	})
	if !b.more {
		b.removed = nil
	}
}

// note says that there may be more members again.
func (b *block) note() bool {
	b.more = true
	return true
}

// inBlock is how many members a block has.
func (w *working) inBlock(b *block, hash uint64) (n int) {
	if !b.more {
		return len(b.members)
	}
	w.view.Prefix(postings, w.row.hash(hash), func(key, _, _ []byte) bool {
		if _, gone := b.removed[order.Uint32(key[8:])]; !gone {
			n++
		}
		return true
	})
	return n
}

// full tells whether the block is over-full: it gives no pairs.
func (b *block) full() bool { return b != nil && len(b.members) > b.limit }

// A block that is nil has one member, whose node has it: a record that came in with a key that no other has. Most keys of
// a first load are such, and a block for each would cost more than all the rest.

// complement makes the blocks that an earlier Apply left out, so that the changes at hand find them.
func (w *working) complement() {
	if !w.lonely {
		return
	}
	w.lonely = false
	for _, n := range w.nodes {
		for i, b := range n.blocks {
			if b == nil && !n.gone {
				b = &block{members: []uint32{n.number}, limit: w.model.Limit(n.keys[i].Rule)}
				n.blocks[i], w.blocks[n.keys[i].Hash] = b, b
			}
		}
	}
}

// fetched is a block that was loaded together with others, which are sorted by their hash.
type fetched struct {
	hash  uint64
	block *block
}

// block loads a block.
func (w *working) block(k match.Key) *block {
	for _, list := range w.fetched {
		if i, ok := slices.BinarySearchFunc(list, k.Hash, func(f fetched, hash uint64) int { return compareHash(f.hash, hash) }); ok {
			return list[i].block
		}
	}
	if b := w.blocks[k.Hash]; b != nil {
		return b
	}
	b := &block{limit: w.model.Limit(k.Rule)}
	w.view.Prefix(postings, w.row.hash(k.Hash), func(key, _, _ []byte) bool {
		return b.load(order.Uint32(key[8:]))
	})
	w.blocks[k.Hash] = b
	return b
}

func compareHash(a, b uint64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

func (w *working) blocksOf(keys []match.Key) []*block {
	blocks := make([]*block, len(keys))
	for i, k := range keys {
		blocks[i] = w.block(k)
	}
	return blocks
}

// key works out a record's keys, and loads their blocks.
func (w *working) key(n *node) {
	if n.blocks == nil && n.full != nil {
		n.keys = w.model.Keys(n.full, nil)
		n.blocks = w.blocksOf(n.keys)
	}
}

// rekey moves a record from the blocks of its former keys into those of its present ones. It gives the records whose
// pairs have to be looked at again, because a block of theirs became over-full or is so no longer.
func (w *working) rekey(n *node, keys []match.Key, blocks []*block) (again []*node) {
	for i, k := range keys {
		if slices.Contains(n.keys, k) {
			continue
		}
		b := blocks[i]
		was := b.full()
		if b != nil {
			b.take(n.number)
			w.complete(b, k.Hash)
		}
		w.batch.Delete(postings, w.row.posting(k.Hash, n.number))
		if was && !b.full() {
			again = w.reopen(b, k, again)
		}
	}
	for i, k := range n.keys {
		if slices.Contains(keys, k) {
			continue
		}
		b := n.blocks[i]
		was := b.full()
		if b != nil {
			b.add(n.number)
		}
		w.batch.Put(postings, w.row.posting(k.Hash, n.number), nil, nil)
		if !was && b.full() {
			again = w.reopen(b, k, again)
		}
	}
	return again
}

// reopen gathers the members of a block that crossed its limit, and lets each see whether its fields are damped now.
func (w *working) reopen(b *block, k match.Key, again []*node) []*node {
	_, damps := w.model.Damps(k.Rule)
	for _, number := range b.members {
		m := w.node(number)
		if damps {
			w.see(m)
		}
		if !slices.Contains(again, m) {
			again = append(again, m)
		}
	}
	return again
}

// see works out which fields of a record are damped: a telephone that a whole village gives is no evidence.
func (w *working) see(n *node) {
	damped := uint8(0)
	if w.model.Damping() {
		w.key(n)
		for i, k := range n.keys {
			if bit, ok := w.model.DampBit(k.Rule); ok && n.blocks[i].full() {
				damped |= bit
			}
		}
	}
	if damped != n.damped {
		n.damped = damped
		w.move(n)
	}
	n.record = w.undamped(n)
}

// undamped is a record's evidence without its damped fields.
func (w *working) undamped(n *node) match.Record {
	if n.damped == 0 {
		return n.full
	}
	r := slices.Clone(n.full)
	for _, f := range w.model.DampedFields(n.damped) {
		r[f] = nil
	}
	return r
}

// compare looks for a record's pairs, and gives the records whose edges to it changed.
func (w *working) compare(n *node) (touched []*node) {
	w.key(n)
	found := w.room.found[:0]
	for _, b := range n.blocks {
		if b != nil && len(b.members) > 1 && !b.full() {
			found = append(found, b.members...)
		}
	}
	w.tie(n)
	if len(found) == 0 && len(n.edges) == 0 {
		return nil
	}
	slices.Sort(found)
	w.room.found = found
	found = slices.Compact(found)
	// Edges that no block gives any more go first.
	for i := len(n.edges) - 1; i >= 0; i-- {
		if _, ok := slices.BinarySearch(found, n.edges[i].to); !ok {
			m := w.node(n.edges[i].to)
			w.cut(n, m)
			touched = append(touched, m)
		}
	}
	for _, number := range found {
		if number == n.number {
			continue
		}
		m := w.node(number)
		weight := w.model.Score(n.record, m.record)
		at := slices.IndexFunc(n.edges, func(e edge) bool { return e.to == number })
		switch {
		case weight < w.model.Review():
			if at >= 0 {
				w.cut(n, m)
				touched = append(touched, m)
			}
		case at < 0 || n.edges[at].weight != weight:
			w.join(n, m, weight)
			touched = append(touched, m)
		}
	}
	return touched
}

// workroom is memory that is used again.
type workroom struct {
	found []uint32
	mark  uint32 // of the records that the last search met
}
