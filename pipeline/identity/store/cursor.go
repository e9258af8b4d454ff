package store

import (
	"bytes"

	"github.com/tidwall/btree"
)

// cursor walks one table of one source: a run, or the entries in memory.
type cursor struct {
	row  []byte // where it stands; nil behind the last
	head uint64 // of the row's key
	k    int    // width of the key

	in   *section // nil for the entries in memory
	at   int
	tree *btree.IterG[[]byte]
	flag int
}

// cursors stand before the first row of each source, the newest source first.
func (v *version) cursors(table int) []cursor {
	cs := make([]cursor, 0, len(v.runs)+1)
	spec := &v.tables[table]
	if v.memory != nil && v.memory[table].Len() > 0 {
		cs = append(cs, cursor{k: spec.Key, flag: spec.flag(), tree: new(btree.IterG[[]byte])})
		cs[0].tree.Init(v.memory[table], false)
	}
	for i := len(v.runs) - 1; i >= 0; i-- {
		if s := &v.runs[i].sections[table]; s.count > 0 {
			cs = append(cs, cursor{k: spec.Key, flag: spec.flag(), in: s})
		}
	}
	return cs
}

// first goes to the first row that is not below the prefix.
func (c *cursor) first(p *span) {
	if c.in != nil {
		c.stand(c.in.leap(p, 0))
	} else {
		c.take(c.tree.Seek(p.prefix))
	}
}

// forward goes on to the first row that is not below the prefix, which is not below any before it.
func (c *cursor) forward(p *span) {
	if c.row == nil || !p.above(c.key(), c.head) {
		return
	}
	if c.in != nil {
		c.stand(c.in.seek(p, c.at+1))
		return
	}
	const near = 4 // the next rows are at hand, while a seek goes down the tree
	for range near {
		if c.next(); c.row == nil || !p.above(c.key(), c.head) {
			return
		}
	}
	c.take(c.tree.Seek(p.prefix))
}

func (c *cursor) next() {
	if c.in != nil {
		c.stand(c.at + 1)
	} else {
		c.take(c.tree.Next())
	}
}

func (c *cursor) stand(at int) {
	if c.at = at; at >= c.in.count {
		c.row = nil
		return
	}
	from, to := at*c.in.stride, (at+1)*c.in.stride
	c.row = c.in.rows[from:to:to]
	c.head = head(c.key())
}

func (c *cursor) take(ok bool) {
	if !ok {
		c.row = nil
		return
	}
	c.row = c.tree.Item()
	c.head = head(c.key())
}

func (c *cursor) key() []byte   { return c.row[:c.k:c.k] }
func (c *cursor) value() []byte { return c.row[c.k:c.flag:c.flag] }
func (c *cursor) dead() bool    { return c.row[c.flag] == dead }

func (c *cursor) blob() []byte {
	if c.in != nil {
		return c.in.blobAt(c.row, c.in.blobs)
	}
	return inlineBlob(c.row, c.flag)
}

func (c *cursor) under(p *span) bool { return c.row != nil && p.holds(c.row[:c.k], c.head) }

// merge gives what the sources have under the prefix, in the order of the keys and of each key only the newest
// version, tombstones among them. The cursors stand at the first row that is not below the prefix, the newest source
// first; afterwards they stand behind the prefix, unless fn ended it with false.
func merge(cs []*cursor, p *span, fn func(c *cursor) bool) bool {
	if len(cs) == 1 {
		for c := cs[0]; c.under(p); c.next() {
			if !fn(c) {
				return false
			}
		}
		return true
	}
	for {
		var least *cursor
		for _, c := range cs {
			if c.under(p) && (least == nil || c.head < least.head ||
				c.head == least.head && bytes.Compare(c.row[:c.k], least.row[:c.k]) < 0) {
				least = c
			}
		}
		if least == nil {
			return true
		}
		if !fn(least) {
			return false
		}
		for _, c := range cs {
			if c != least && c.row != nil && c.head == least.head && bytes.Equal(c.row[:c.k], least.row[:c.k]) {
				c.next()
			}
		}
		least.next()
	}
}
