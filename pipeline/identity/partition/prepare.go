package partition

import (
	"bytes"
	"context"
	"encoding/binary"
	"runtime"
	"slices"
	"sync"

	"github.com/shirecounty/shire/pipeline/identity/evidence"
	"github.com/shirecounty/shire/pipeline/identity/match"
	"github.com/shirecounty/shire/schemas/pseudonym"
)

// prepared is what can be worked out about a change from the change and a model alone.
type prepared struct {
	model *match.Model
	words []byte // as they are stored
	full  match.Record
	keys  []match.Key
}

// readied is what can be worked out about a change before its turn: it depends on nothing that changes before it.
type readied struct {
	prepared
	known  known    // of the record, as the state was last kept
	blocks []*block // of the keys; nil when they were not fetched
}

// finish prepares what was left out because the record seemed to say it already.
func (r *readied) finish(w *working, c *Change, a *arena) {
	if r.model == nil {
		r.model = w.model
		r.full = prepareValues(w.model, w.columns, c.Values, c.Dataset, a)
		r.keys = w.model.Keys(r.full, nil)
	}
}

// Prepare works out ahead what of changes does not depend on others, by the model in use. Any goroutine may do so before
// their Apply.
func (p *Partition) Prepare(changes []Change) {
	m := p.Model()
	if m == nil {
		return
	}
	columns := p.columnsOf(m)
	var a arena
	ready := make([]prepared, len(changes))
	for i := range changes {
		c := &changes[i]
		if c.Verdict != nil || c.Gone || c.Model != nil {
			continue
		}
		full := prepareValues(m, columns, c.Values, c.Dataset, &a)
		ready[i] = prepared{m, a.write(c), full, m.Keys(full, nil)}
		c.ahead = &ready[i]
	}
}

// prepareValues prepares what a record of a dataset says.
func prepareValues(m *match.Model, columns []int, values []string, dataset string, a *arena) match.Record {
	r, room := a.records.carve(m.Width()), a.values.carve(len(columns))
	for f, c := range columns {
		if m.PrepareInto(f, values[c], &room[f]) {
			r[f] = &room[f]
		}
	}
	if place, told := m.Source(); told {
		r[place] = a.source(m, place, dataset)
	}
	return r
}

// source prepares a dataset's name; nearly always it is that of the record before.
func (a *arena) source(m *match.Model, place int, dataset string) *evidence.Value {
	if a.dataset == nil || a.dataset.Text != dataset {
		a.dataset = m.PrepareField(place, dataset)
	}
	return a.dataset
}

// arena makes room for many small things in pieces: a range prepares hundreds of thousands of values, and thousands of
// ranges follow each other. What it gave is forgotten as a whole, and its pieces are used again.
type arena struct {
	values  slab[evidence.Value]
	records slab[*evidence.Value]
	nodes   slab[node]
	words   []byte
	dataset *evidence.Value // of the last record
}

func (a *arena) rewind() {
	a.values.rewind()
	a.records.rewind()
	a.nodes.rewind()
	a.words, a.dataset = nil, nil // words may be in the hands of a batch
}

// slab is pieces of room. They are small to begin with, since most ranges are.
type slab[T any] struct {
	pieces   [][]T
	at, used int // the piece in use, and how much of it
}

// carve gives n of what there is room for, empty.
func (s *slab[T]) carve(n int) []T {
	const most = 512
	for ; s.at < len(s.pieces); s.at, s.used = s.at+1, 0 {
		if p := s.pieces[s.at]; s.used+n <= len(p) {
			out := p[s.used : s.used+n : s.used+n]
			s.used += n
			clear(out)
			return out
		}
	}
	size := 16
	if s.at > 0 {
		size = min(2*len(s.pieces[s.at-1]), most)
	}
	s.pieces = append(s.pieces, make([]T, max(size, n)))
	s.used = n
	return s.pieces[s.at][:n:n]
}

// rewind forgets what was given. So much is kept as a large range of single changes needs.
func (s *slab[T]) rewind() {
	const kept = 32
	s.at, s.used = 0, 0
	if len(s.pieces) > kept {
		clear(s.pieces[kept:])
		s.pieces = s.pieces[:kept]
	}
}

// write gives the words of a change as they are stored.
func (a *arena) write(c *Change) []byte {
	n := len(c.Dataset) + len(c.Role) + 2*binary.MaxVarintLen32
	for _, v := range c.Values {
		n += len(v) + binary.MaxVarintLen32
	}
	if len(a.words) < n {
		a.words = make([]byte, max(n, 4096))
	}
	spoken := words{c.Dataset, c.Role, c.Values}
	said := slices.Clip(spoken.append(a.words[:0]))
	a.words = a.words[len(said):]
	return said
}

// few is how many changes are not worth a pass over the state: what they need is looked up one by one.
var few = 256 // tests make do with fewer

// prepare readies changes on all cores.
func (w *working) prepare(ctx context.Context, changes []Change) ([]readied, error) {
	ready := make([]readied, len(changes))
	if w.model == nil {
		for i := range changes {
			if changes[i].Verdict == nil {
				return nil, ErrNoModel
			}
		}
		return ready, nil
	}
	w.complement()
	w.recognise(changes, ready)
	if len(changes) <= few {
		w.ready(changes, ready)
		return ready, nil
	}
	next := make(chan int)
	var workers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			for from := range next {
				to := min(from+few, len(changes))
				w.ready(changes[from:to], ready[from:to])
			}
		})
	}
	for from := 0; from < len(changes) && ctx.Err() == nil; from += few {
		next <- from
	}
	close(next)
	workers.Wait()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	w.fetch(ready)
	return ready, nil
}

// recognise finds out which records are known.
func (w *working) recognise(changes []Change, ready []readied) {
	if len(changes) <= few {
		for i := range changes {
			ready[i].known = w.known(changes[i].Record)
		}
		return
	}
	type asked struct {
		id pseudonym.ID
		at int32
	}
	all := make([]asked, 0, len(changes))
	for i := range changes {
		all = append(all, asked{changes[i].Record, int32(i)})
	}
	slices.SortFunc(all, func(a, b asked) int { return bytes.Compare(a.id[:], b.id[:]) })
	prefixes := make([]byte, 0, 16*len(all))
	first := make([]int, 0, len(all)) // of the equal ones
	for i := range all {
		if i == 0 || all[i].id != all[i-1].id {
			prefixes = append(prefixes, all[i].id[:]...)
			first = append(first, i)
		}
	}
	w.view.Join(ids, prefixes, 16, func(i int, _, value, _ []byte) {
		k := knownOf(value)
		for at := first[i]; at < len(all) && all[at].id == all[first[i]].id; at++ {
			ready[all[at].at].known = k
		}
	})
}

// ready reads the state as it was last kept, and changes nothing of w.
func (w *working) ready(changes []Change, ready []readied) {
	var r row
	var a arena
	for i := range changes {
		c, to := &changes[i], &ready[i]
		if c.Verdict != nil || c.Gone {
			continue
		}
		if c.ahead != nil && c.ahead.model == w.model {
			to.prepared = *c.ahead
			continue
		}
		to.words = a.write(c)
		if n := to.known.number; n != 0 {
			if _, stored, ok := w.view.Get(records, r.number(n)); ok && bytes.Equal(stored, to.words) {
				continue // finish comes back to it, should the record say something else by then
			}
		}
		to.finish(w, c, &a)
	}
}

// wanted is a block that a change needs.
type wanted struct {
	hash uint64
	to   uint32 // where the block is wanted
	rule uint16
}

// piles puts what is wanted into as many piles, by the leading bits of the hash, of which every value is equally
// likely. It gives the piles one behind the other, and where each begins.
func piles(want []wanted) (out []wanted, begin []int) {
	const bits = 12
	begin = make([]int, 1<<bits+1)
	for _, x := range want {
		begin[x.hash>>(64-bits)+1]++
	}
	for i := 1; i < len(begin); i++ {
		begin[i] += begin[i-1]
	}
	out = make([]wanted, len(want))
	next := slices.Clone(begin)
	for _, x := range want {
		pile := x.hash >> (64 - bits)
		out[next[pile]] = x
		next[pile]++
	}
	return out, begin
}

// fetch loads the blocks of new records in one pass over the state, which is much cheaper than one by one.
func (w *working) fetch(ready []readied) {
	n := 0
	for i := range ready {
		n += len(ready[i].keys)
	}
	want := make([]wanted, 0, n)
	found := make([]*block, n) // of all keys, one behind the other
	for i := range ready {
		from := len(want)
		for _, key := range ready[i].keys {
			want = append(want, wanted{key.Hash, uint32(len(want)), key.Rule})
		}
		if to := len(want); from < to {
			ready[i].blocks = found[from:to:to]
		}
	}
	want, begin := piles(want)
	parts := runtime.GOMAXPROCS(0)
	lists := make([][]fetched, parts)
	var workers sync.WaitGroup
	for part := range parts {
		workers.Go(func() {
			first, last := part*(len(begin)-1)/parts, (part+1)*(len(begin)-1)/parts
			for pile := first; pile < last; pile++ {
				slices.SortFunc(want[begin[pile]:begin[pile+1]], func(a, b wanted) int { return compareHash(a.hash, b.hash) })
			}
			lists[part] = w.fetchSorted(want[begin[first]:begin[last]], found)
		})
	}
	workers.Wait()
	w.fetched = append(w.fetched, slices.Concat(lists...))
	w.lonely = true
}

// fetchSorted loads the blocks that are wanted and says where they are; a key that only one change wants, and the state does
// not have, gets none. It changes nothing of w.
func (w *working) fetchSorted(want []wanted, found []*block) []fetched {
	type group struct {
		from, to int32 // of want
		block    *block
	}
	groups := make([]group, 0, len(want))
	prefixes := make([]byte, 0, 8*len(want))
	var blocks []block // room
	fresh := func(g *group) *block {
		if len(blocks) == 0 {
			blocks = make([]block, 512)
		}
		b := &blocks[0]
		blocks = blocks[1:]
		b.members, b.limit = make([]uint32, 0, g.to-g.from+1), w.model.Limit(want[g.from].rule)
		return b
	}
	for from := 0; from < len(want); {
		to := from + 1
		for to < len(want) && want[to].hash == want[from].hash {
			to++
		}
		if b := w.fetchedBefore(want[from].hash); b != nil {
			for _, x := range want[from:to] {
				found[x.to] = b
			}
		} else {
			g := group{int32(from), int32(to), nil}
			if to-from > 1 {
				g.block = fresh(&g)
			}
			groups = append(groups, g)
			prefixes = order.AppendUint64(prefixes, want[from].hash)
		}
		from = to
	}
	w.view.Join(postings, prefixes, 8, func(i int, key, _, _ []byte) {
		g := &groups[i]
		if g.block == nil {
			g.block = fresh(g)
		}
		g.block.load(order.Uint32(key[8:]))
	})
	var list []fetched
	for i := range groups {
		if g := &groups[i]; g.block != nil {
			for _, x := range want[g.from:g.to] {
				found[x.to] = g.block
			}
			list = append(list, fetched{want[g.from].hash, g.block})
		}
	}
	return list
}

// fetchedBefore is a block that an earlier Apply loaded; nil when none did.
func (w *working) fetchedBefore(hash uint64) *block {
	for _, list := range w.fetched {
		if i, ok := slices.BinarySearchFunc(list, hash, func(f fetched, hash uint64) int { return compareHash(f.hash, hash) }); ok {
			return list[i].block
		}
	}
	return w.blocks[hash]
}
