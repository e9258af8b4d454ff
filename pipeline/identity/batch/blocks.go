package batch

import (
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/shirecounty/shire/pipeline/identity/evidence"
)

// blocks are the sets of records that share a key, but for records alone with theirs, and for over-full blocks.
type blocks struct {
	starts  []uint32 // block -> its first member; one more than there are blocks
	members []int32  // ascending within a block
	first   []uint32 // record -> the first of its blocks in of; one more than there are records
	of      []uint32 // by record: its blocks, ascending
}

func (b *blocks) len() int { return len(b.starts) - 1 }

func (b *blocks) block(g int) []int32 { return b.members[b.starts[g]:b.starts[g+1]] }

func (b *blocks) with(record int32) []uint32 { return b.of[b.first[record]:b.first[record+1]] }

// found tells whether g is the first block that two of its members share: by it they are compared, once.
func (b *blocks) found(x, y int32, g uint32) bool {
	p, q := b.with(x), b.with(y)
	for i, j := 0, 0; ; {
		switch {
		case p[i] == q[j]:
			return p[i] == g
		case p[i] < q[j]:
			i++
		default:
			j++
		}
	}
}

// pairs is how many pairs the blocks have, those that share several counted as often.
func (b *blocks) pairs() (n float64) {
	for g := range b.len() {
		size := float64(len(b.block(g)))
		n += size * (size - 1) / 2
	}
	return n
}

// index lays the records' values out, finds their blocks, and damps what is in an over-full block of a rule that damps.
func (p *Prepared) index(ctx context.Context, progress Progress) error {
	n, fields := p.Len(), len(p.values)
	chunks := make([]*chunk, (n+chunkRecords-1)/chunkRecords)
	parts := make([]part, 1<<partBits)
	p.flat = make([]*evidence.Value, n*fields)
	err := parallel(ctx, n, chunkRecords, func() func(from, to int) {
		var g gatherer
		return func(from, to int) {
			for f, values := range p.values {
				if values == nil {
					continue
				}
				of := p.in.columns[f].of
				for i := from; i < to; i++ {
					p.flat[i*fields+f] = values[of[p.records[i]]]
				}
			}
			chunks[from/chunkRecords] = g.gather(p, from, to)
		}
	}, func(done int) { progress("block", done/2, n) })
	if err != nil {
		return err
	}
	err = parallel(ctx, len(parts), 1, func() func(from, to int) {
		var c collector
		return func(from, _ int) { parts[from] = c.collect(p, chunks, from) }
	}, untold)
	if err != nil {
		return err
	}
	for _, part := range parts {
		for _, x := range part.damped {
			p.flat[int(x.record)*fields+x.field] = nil
		}
	}
	if p.blocks, err = arrange(parts, n); err != nil {
		return err
	}
	progress("block", n, n)
	return ctx.Err()
}

// arrange puts blocks in the order of their first records, so that what is compared one after the other is near in
// memory, and notes which blocks each record is in.
func arrange(parts []part, records int) (blocks, error) {
	members, count := 0, 0
	for _, part := range parts {
		members += len(part.members)
		count += len(part.sizes)
	}
	if members > math.MaxUint32 {
		return blocks{}, fmt.Errorf("the file's records stand in %d blocks, and one run takes at most %d; blocking rules that give fewer keys need fewer", members, math.MaxUint32)
	}
	each := func(do func(block []int32)) {
		for _, part := range parts {
			rest := part.members
			for _, size := range part.sizes {
				do(rest[:size])
				rest = rest[size:]
			}
		}
	}
	b := blocks{starts: make([]uint32, count+1), members: make([]int32, members), first: make([]uint32, records+1), of: make([]uint32, members)}
	number, start := make([]uint32, records+1), make([]uint32, records+1) // of the next block that begins with a record, and of its first member
	each(func(block []int32) {
		number[block[0]+1]++
		start[block[0]+1] += uint32(len(block))
		for _, i := range block {
			b.first[i+1]++
		}
	})
	for i := range records {
		number[i+1] += number[i]
		start[i+1] += start[i]
		b.first[i+1] += b.first[i]
	}
	each(func(block []int32) {
		i := block[0]
		b.starts[number[i]] = start[i]
		copy(b.members[start[i]:], block)
		number[i]++
		start[i] += uint32(len(block))
	})
	b.starts[count] = uint32(members)
	next := slices.Clone(b.first)
	for g := range count {
		for _, i := range b.block(g) {
			b.of[next[i]] = uint32(g)
			next[i]++
		}
	}
	return b, nil
}

// run is how many blocks one goroutine takes at a time.
const run = 1 << 12

func (p *Prepared) runs() int { return (p.blocks.len() + run - 1) / run }

// candidates gives every pair that shares a block, once, a < b, on several goroutines. Worker is asked for what takes
// the pairs of one run of blocks; the runs are numbered from 0 to runs(), and end is called after the last pair of one.
func (p *Prepared) candidates(ctx context.Context, worker func(run int) (give func(a, b int32), end func()), progress Progress) error {
	return parallel(ctx, p.blocks.len(), run, always(func(from, to int) {
		give, end := worker(from / run)
		for g := from; g < to; g++ {
			block := p.blocks.block(g)
			for i, x := range block {
				for _, y := range block[i+1:] {
					if p.blocks.found(x, y, uint32(g)) {
						give(x, y)
					}
				}
			}
		}
		end()
	}), func(done int) { progress("compare", done, p.blocks.len()) })
}

// Compared tells whether two records share a block, so that they are weighed against each other.
func (p *Prepared) Compared(a, b int32) bool {
	x := p.blocks.with(a)
	return slices.ContainsFunc(p.blocks.with(b), func(g uint32) bool { return slices.Contains(x, g) })
}
