package store

import (
	"bytes"
	"iter"

	"github.com/tidwall/btree"
)

// memtable holds the entries of the journal: for each table a tree of rows, which are pieces of the journal's records.
// Its trees belong to the writer; readers get copies, which share what does not change afterwards.
type memtable struct {
	tables []Spec
	trees  []*btree.BTreeG[[]byte]
}

func newMemtable(tables []Spec) *memtable {
	m := &memtable{tables: tables}
	for _, t := range tables {
		k := t.Key
		less := func(x, y []byte) bool { // whole rows, or the beginning of a key that is looked for
			if k >= 8 && len(x) >= 8 && len(y) >= 8 {
				if x, y := head(x), head(y); x != y {
					return x < y
				}
			}
			return bytes.Compare(x[:min(k, len(x))], y[:min(k, len(y))]) < 0
		}
		// Narrow nodes: after each commit the next one copies those that it changes.
		m.trees = append(m.trees, btree.NewBTreeGOptions(less, btree.Options{NoLocks: true, Degree: 8}))
	}
	return m
}

func (m *memtable) snapshot() []*btree.BTreeG[[]byte] {
	trees := make([]*btree.BTreeG[[]byte], len(m.trees))
	for i, t := range m.trees {
		trees[i] = t.Copy()
	}
	return trees
}

func (m *memtable) empty() bool {
	for _, t := range m.trees {
		if t.Len() > 0 {
			return false
		}
	}
	return true
}

// entries gives the rows in the order of their keys.
func (m *memtable) entries(table int) iter.Seq2[[]byte, []byte] {
	return func(yield func(row, blob []byte) bool) {
		flag := m.tables[table].flag()
		m.trees[table].Scan(func(row []byte) bool { return yield(row, inlineBlob(row, flag)) })
	}
}

// inlineBlob is what follows the flag.
func inlineBlob(row []byte, flag int) []byte {
	if len(row) == flag+1 {
		return nil
	}
	return row[flag+1 : len(row) : len(row)]
}
