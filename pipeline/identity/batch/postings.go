package batch

import (
	"math/bits"

	"github.com/shirecounty/shire/pipeline/identity/match"
)

// Postings are gathered by chunks of records and grouped by parts, the keys whose hashes begin alike, so that grouping
// stays within the processor's caches and both are done on all cores.
const (
	chunkRecords = 1 << 14
	partBits     = 8
)

// chunk is the postings of a run of records, each record under each of its keys, by parts. Of millions of postings each
// byte counts: the record is kept relative to the chunk's first.
type chunk struct {
	hashes []uint64
	whose  []uint32 // rule << 16 | record
	from   [1<<partBits + 1]int32
}

// gatherer makes chunks; it keeps its buffers from one to the next.
type gatherer struct {
	keys   []match.Key
	hashes []uint64
	whose  []uint32
}

func (g *gatherer) gather(p *Prepared, from, to int) *chunk {
	c := &chunk{}
	g.hashes, g.whose = g.hashes[:0], g.whose[:0]
	for i := from; i < to; i++ {
		g.keys = p.m.Keys(p.Record(int32(i)), g.keys[:0])
		for _, k := range g.keys {
			g.hashes, g.whose = append(g.hashes, k.Hash), append(g.whose, uint32(k.Rule)<<16|uint32(i-from))
			c.from[k.Hash>>(64-partBits)+1]++
		}
	}
	for part := range 1 << partBits {
		c.from[part+1] += c.from[part]
	}
	c.hashes, c.whose = make([]uint64, len(g.hashes)), make([]uint32, len(g.hashes))
	next := c.from
	for k, hash := range g.hashes {
		at := &next[hash>>(64-partBits)]
		c.hashes[*at], c.whose[*at] = hash, g.whose[k]
		*at++
	}
	return c
}

// part is the blocks of one part of the keys.
type part struct {
	members []int32
	sizes   []uint32
	damped  []place
}

// place is a field of a record.
type place struct {
	record int32
	field  int
}

// group is the records of one key.
type group struct {
	hash uint64
	rule uint16
	size uint32
	next uint32 // where its next member goes, for a block
}

// collector groups postings by their keys, by an open hash table; it keeps its buffers from one part to the next.
type collector struct {
	table  []uint32 // a hash's last bits, or after them -> its group; 0 for none
	groups []group
	of     []uint32 // by posting: its group
}

// find gives the number of a key's group.
func (c *collector) find(hash uint64, rule uint16) uint32 {
	mask := uint64(len(c.table) - 1)
	at := hash & mask
	for c.table[at] != 0 && (c.groups[c.table[at]].hash != hash || c.groups[c.table[at]].rule != rule) {
		at = (at + 1) & mask
	}
	if c.table[at] == 0 {
		c.table[at] = uint32(len(c.groups))
		c.groups = append(c.groups, group{hash: hash, rule: rule})
	}
	return c.table[at]
}

// collect finds the blocks of a part.
func (c *collector) collect(p *Prepared, chunks []*chunk, number int) (out part) {
	size := uint(0)
	for _, k := range chunks {
		size += uint(k.from[number+1] - k.from[number])
	}
	if room := 1 << bits.Len(size*3/2); room > len(c.table) {
		c.table = make([]uint32, room)
	}
	clear(c.table)
	c.groups, c.of = append(c.groups[:0], group{}), c.of[:0]
	for _, k := range chunks {
		for i := k.from[number]; i < k.from[number+1]; i++ {
			g := c.find(k.hashes[i], uint16(k.whose[i]>>16))
			c.groups[g].size++
			c.of = append(c.of, g)
		}
	}
	members := uint32(0)
	for k := range c.groups {
		if g := &c.groups[k]; g.size > 1 && int(g.size) <= p.m.Limit(g.rule) {
			g.next = members
			members += g.size
			out.sizes = append(out.sizes, g.size)
		}
	}
	out.members = make([]int32, members)
	posting := 0
	for n, k := range chunks {
		for i := k.from[number]; i < k.from[number+1]; i++ {
			g := &c.groups[c.of[posting]]
			posting++
			record := int32(n*chunkRecords) + int32(k.whose[i]&(1<<16-1))
			if int(g.size) > p.m.Limit(g.rule) {
				if field, damps := p.m.Damps(g.rule); damps {
					out.damped = append(out.damped, place{record, field})
				}
			} else if g.size > 1 {
				out.members[g.next] = record
				g.next++
			}
		}
	}
	return out
}
