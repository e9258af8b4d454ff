package identity

import (
	"context"
	"errors"

	"github.com/shirecounty/shire/pipeline/identity/batch"
	"github.com/shirecounty/shire/pipeline/identity/match"
	"github.com/shirecounty/shire/schemas/identity"
)

// ErrTooFew says that there are not enough records to learn from.
var ErrTooFew = errors.New("there are fewer than two records, and at least two are needed to train a model")

// Train estimates a model's parameters from the county's own records, as they stand in the state. The state is only read.
// The error is document.Problems when the model is not as it must be.
func (m *Matching) Train(ctx context.Context, spec *identity.Model, seed uint64, progress batch.Progress) (*identity.Model, batch.Report, error) {
	compiled, err := match.Compile(spec)
	if err != nil {
		return nil, batch.Report{}, err
	}
	p := m.Partition(spec.About)
	if err := p.Readable(spec); err != nil {
		return nil, batch.Report{}, err
	}
	in := &batch.Input{}
	p.Words(spec, func(values []string) bool {
		in.Add(values)
		return ctx.Err() == nil
	})
	in.Complete()
	if err := ctx.Err(); err != nil {
		return nil, batch.Report{}, err
	}
	if in.Len() < 2 {
		return nil, batch.Report{}, ErrTooFew
	}
	ready, err := batch.Prepare(ctx, compiled, in, progress)
	if err != nil {
		return nil, batch.Report{}, err
	}
	return ready.Train(ctx, seed, progress)
}

// InUse is the model by which records are matched: the shipped one until another was chosen.
func (m *Matching) InUse(about string) (*identity.Model, error) {
	if used := m.Partition(about).Model(); used != nil {
		return used.Spec(), nil
	}
	return identity.Shipped(about)
}
