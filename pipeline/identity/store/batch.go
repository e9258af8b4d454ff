package store

import (
	"bytes"
	"cmp"
	"fmt"
	"iter"
	"math"
	"slices"
)

// Batch gathers what one commit changes. It may be used for one commit after another is made of it, but by one
// goroutine at a time.
type Batch struct {
	tables []batchTable
}

// batchTable keeps rows one behind the other in the order in which they came: millions of small entries cost no
// allocation each.
type batchTable struct {
	Spec
	rows  []byte
	blobs []byte
}

// NewBatch makes an empty batch for a store with these tables.
func NewBatch(tables []Spec) *Batch {
	b := &Batch{tables: make([]batchTable, len(tables))}
	for i, t := range tables {
		b.tables[i].Spec = t
	}
	return b
}

// Reset empties the batch and keeps its memory.
func (b *Batch) Reset() {
	for i := range b.tables {
		b.tables[i].rows, b.tables[i].blobs = b.tables[i].rows[:0], b.tables[i].blobs[:0]
	}
}

// Put sets a key. All three are copied; a later Put or Delete of the same key wins. Widths that do not fit the table
// are a mistake of the program, and panic.
func (b *Batch) Put(table int, key, value, blob []byte) {
	t := &b.tables[table]
	if len(key) != t.Key || len(value) != t.Value || len(blob) > 0 && !t.Blob || len(blob) > math.MaxUint32 {
		panic(fmt.Sprintf("store: a key of %d bytes, a value of %d and a blob of %d do not fit the table %s",
			len(key), len(value), len(blob), t.Name))
	}
	t.rows = append(append(append(t.rows, key...), value...), alive)
	if t.Blob {
		t.rows = appendRef(t.rows, uint64(len(t.blobs)), len(blob))
		t.blobs = append(t.blobs, blob...)
	}
}

// Delete removes a key, whether or not it is there.
func (b *Batch) Delete(table int, key []byte) {
	t := &b.tables[table]
	if len(key) != t.Key {
		panic(fmt.Sprintf("store: a key of %d bytes does not fit the table %s", len(key), t.Name))
	}
	t.rows = append(t.rows, key...)
	t.rows = append(t.rows, make([]byte, t.Value)...)
	t.rows = append(t.rows, dead)
	if t.Blob {
		t.rows = appendRef(t.rows, 0, 0)
	}
}

// Len is how many times Put and Delete were called.
func (b *Batch) Len() int {
	n := 0
	for i := range b.tables {
		n += b.tables[i].len()
	}
	return n
}

// size is about what the entries take in the journal.
func (b *Batch) size() int {
	n := 0
	for i := range b.tables {
		n += len(b.tables[i].rows) + len(b.tables[i].blobs)
	}
	return n
}

func (t *batchTable) len() int { return len(t.rows) / t.stride() }

// entries gives the rows in the order of their keys, of equal keys only the last.
func (b *Batch) entries(table int) iter.Seq2[[]byte, []byte] {
	t := &b.tables[table]
	var order []place // sorted once, though a table with blobs is walked twice
	return func(yield func(row, blob []byte) bool) {
		if order == nil {
			order = t.order()
		}
		w := t.stride()
		for _, p := range order {
			row := t.rows[int(p.row)*w:][:w]
			if !yield(row, t.blobAt(row, t.blobs)) {
				return
			}
		}
	}
}

// place is a row by number. The head of its key is kept beside it, so that sorting seldom has to look at the row.
type place struct {
	head uint64
	row  uint32
}

func (t *batchTable) order() []place {
	w, k := t.stride(), t.Key
	key := func(p place) []byte { return t.rows[int(p.row)*w:][:k] }
	order := make([]place, t.len())
	for i := range order {
		order[i].row = uint32(i)
		order[i].head = head(key(order[i]))
	}
	if !slices.IsSortedFunc(order, func(x, y place) int { return cmp.Compare(x.head, y.head) }) { // numbers come in their order
		order = sortByHead(order)
	}
	last := order[:0]
	for from := 0; from < len(order); {
		to := from + 1
		for to < len(order) && order[to].head == order[from].head {
			to++
		}
		same := order[from:to] // still in the order in which they came
		if k > 8 {
			slices.SortStableFunc(same, func(x, y place) int { return bytes.Compare(key(x)[8:], key(y)[8:]) })
		}
		for i, p := range same {
			if i+1 == len(same) || !bytes.Equal(key(p), key(same[i+1])) {
				last = append(last, p)
			}
		}
		from = to
	}
	return last
}

// sortByHead sorts by the heads and keeps places with the same head in their order. It goes through the heads byte by
// byte from the last, and puts the places into as many piles as a byte has values: a few times faster than comparing.
func sortByHead(order []place) []place {
	few := 256 // piles would cost more than they save
	if len(order) < few {
		slices.SortStableFunc(order, func(x, y place) int { return cmp.Compare(x.head, y.head) })
		return order
	}
	var counts [8][256]int
	for _, p := range order {
		for b := range counts {
			counts[b][byte(p.head>>(8*b))]++
		}
	}
	other := make([]place, len(order))
	for b := range counts {
		count := &counts[b]
		if count[byte(order[0].head>>(8*b))] == len(order) {
			continue // all have the same byte here
		}
		at := 0
		for i, n := range count {
			count[i] = at
			at += n
		}
		for _, p := range order {
			pile := &count[byte(p.head>>(8*b))]
			other[*pile] = p
			*pile++
		}
		order, other = other, order
	}
	return order
}
