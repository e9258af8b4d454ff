// Package batch resolves a whole file at once, in memory: to train a model, to evaluate one, to try one in shadow. It
// gives the partition that the stream gives for the same records (I6).
package batch

import (
	"context"
	"fmt"
	"math"
	"runtime"
	"sync"

	"github.com/shirecounty/shire/pipeline/identity/evidence"
	"github.com/shirecounty/shire/pipeline/identity/match"
)

// Progress is told how far a stage is: prepare, block, train, compare or cluster. It is called by one goroutine at a
// time, and when a stage is over, with done == total.
type Progress func(stage string, done, total int)

// Prepared is a file made ready: its values prepared, and the blocks by which its records find each other. Neither
// depends on a model's parameters, so that one Prepared serves to train a model and to resolve by it. It is only read
// after it is made.
type Prepared struct {
	m       *match.Model
	in      *Input
	records []int32             // by record: its place in in
	values  [][]*evidence.Value // by field, the source being the last, and number of text
	flat    []*evidence.Value   // the records' values, one record after the other; without those that are damped
	blocks  blocks
}

// Prepare makes the records of a file ready for a model. It completes the input.
func Prepare(ctx context.Context, m *match.Model, in *Input, progress Progress) (*Prepared, error) {
	in.Complete()
	const most = math.MaxInt32
	n, fields := in.Len(), m.Width()
	if n > most {
		return nil, fmt.Errorf("the file has %d records, and one run takes at most %d", n, most)
	}
	for _, p := range append(in.Same[:len(in.Same):len(in.Same)], in.Different...) {
		if p[0] == p[1] || min(p[0], p[1]) < 0 || int(max(p[0], p[1])) >= n {
			return nil, fmt.Errorf("a verdict about records %d and %d is not about two of the file's %d", p[0], p[1], n)
		}
	}
	p := &Prepared{m: m, in: in, records: make([]int32, n), values: make([][]*evidence.Value, fields)}
	for i := range p.records {
		p.records[i] = int32(i)
	}
	texts := make([]int, 1, fields+1) // of all fields before
	for f := range fields {
		if f < len(in.columns) {
			p.values[f] = make([]*evidence.Value, len(in.columns[f].ends))
		}
		texts = append(texts, texts[f]+len(p.values[f]))
	}
	err := parallel(ctx, texts[fields], 1<<12, always(func(from, to int) {
		for f, values := range p.values {
			for k := max(from-texts[f], 0); k < min(to-texts[f], len(values)); k++ {
				values[k] = m.PrepareField(f, in.columns[f].at(uint32(k)))
			}
		}
	}), func(done int) { progress("prepare", done, texts[fields]) })
	if err != nil {
		return nil, err
	}
	return p, p.index(ctx, progress)
}

// Subset is some records of the file alone, by their numbers, as if the others had never come. Verdicts are left out.
func (p *Prepared) Subset(ctx context.Context, records []int32, progress Progress) (*Prepared, error) {
	q := &Prepared{m: p.m, in: p.in, values: p.values}
	for _, i := range records {
		q.records = append(q.records, p.records[i])
	}
	return q, q.index(ctx, progress)
}

// Len is the number of records.
func (p *Prepared) Len() int { return len(p.records) }

// Record is a record's evidence, without values that too many share.
func (p *Prepared) Record(i int32) match.Record {
	fields := len(p.values)
	return p.flat[int(i)*fields : (int(i)+1)*fields : (int(i)+1)*fields]
}

// parallel works on [0, n) in chunks on all cores, and tells how many were given out; at the end, n are. Each goroutine
// asks once for a worker, which may have buffers of its own.
func parallel(ctx context.Context, n, chunk int, worker func() func(from, to int), given func(done int)) error {
	var wg sync.WaitGroup
	next := make(chan int)
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			work := worker()
			for from := range next {
				work(from, min(from+chunk, n))
			}
		})
	}
	for from := 0; from < n && ctx.Err() == nil; from += chunk {
		next <- from
		if from > 0 {
			given(from)
		}
	}
	close(next)
	wg.Wait()
	if ctx.Err() == nil {
		given(n)
	}
	return ctx.Err()
}

// always is the worker of goroutines that need nothing of their own.
func always(work func(from, to int)) func() func(from, to int) {
	return func() func(from, to int) { return work }
}

func untold(int) {}
