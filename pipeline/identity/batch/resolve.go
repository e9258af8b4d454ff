package batch

import (
	"context"
	"errors"
	"reflect"
	"slices"

	"github.com/shirecounty/shire/pipeline/identity/match"
)

// Pair is two records and what speaks for their being one party.
type Pair struct {
	A, B   int32
	Weight match.Weight
}

// Result is a partition of a file.
type Result struct {
	Cluster  []int32 // record -> number of its party; parties are numbered in the order of their first records
	Clusters int
	Pairs    []Pair // the edges: every pair from the review threshold up, A < B, each once, in an order of their own
	Compared int64  // pairs that were scored
}

// Resolve gives the partition of a file's records. Record i goes by the id RecordID(i) where ties are broken.
func Resolve(ctx context.Context, m *match.Model, in *Input, progress Progress) (*Result, error) {
	p, err := Prepare(ctx, m, in, progress)
	if err != nil {
		return nil, err
	}
	return p.Resolve(ctx, m, progress)
}

// Resolve gives the partition of the records by a model with the fields and blocking rules that they were prepared for.
func (p *Prepared) Resolve(ctx context.Context, m *match.Model, progress Progress) (*Result, error) {
	if a, b := p.m.Spec(), m.Spec(); !reflect.DeepEqual(a.Fields, b.Fields) || !reflect.DeepEqual(a.Blocking, b.Blocking) || p.m.Width() != m.Width() {
		return nil, errors.New("the records were prepared for a model of other fields or blocking rules")
	}
	type part struct {
		found    []Pair
		compared int64
	}
	runs := make([]part, p.runs())
	err := p.candidates(ctx, func(number int) (func(a, b int32), func()) {
		var mine part
		give := func(a, b int32) {
			mine.compared++
			if w := m.Score(p.Record(a), p.Record(b)); w >= m.Review() {
				mine.found = append(mine.found, Pair{a, b, w})
			}
		}
		return give, func() { runs[number] = part{slices.Clip(mine.found), mine.compared} }
	}, progress)
	if err != nil {
		return nil, err
	}
	res := &Result{}
	size := 0
	for _, r := range runs {
		size += len(r.found)
		res.Compared += r.compared
	}
	res.Pairs = make([]Pair, 0, size)
	for _, r := range runs {
		res.Pairs = append(res.Pairs, r.found...)
	}
	res.Cluster, res.Clusters, err = p.cluster(ctx, m, res.Pairs, progress)
	return res, err
}
