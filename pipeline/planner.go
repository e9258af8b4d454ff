package pipeline

import (
	"context"
	"fmt"
	"iter"

	"github.com/shirecounty/shire/pipeline/normalise"
	"github.com/shirecounty/shire/schemas/contract"
)

// planner keeps the plans of the contracts that ranges are read with. It is not safe for concurrent use.
type planner struct {
	flow   *Flow
	pinned map[string]string // dataset -> hash of the contract that a recorded range was made with; nil for new ranges
	ready  map[string]ready
}

type ready struct {
	plan     *normalise.Plan
	contract *contract.Dataset
}

func (f *Flow) planner(pinned map[string]string) *planner {
	return &planner{flow: f, pinned: pinned, ready: map[string]ready{}}
}

// plan is the plan for a dataset; nil when it has no contract.
func (p *planner) plan(ctx context.Context, dataset string) (*normalise.Plan, *contract.Dataset, error) {
	if r, ok := p.ready[dataset]; ok {
		return r.plan, r.contract, nil
	}
	c, ok := p.flow.opt.Contracts[dataset]
	if p.pinned != nil {
		hash, was := p.pinned[dataset]
		if !was {
			// There was no contract when the range was recorded, so there is none now (I3).
			p.ready[dataset] = ready{}
			return nil, nil, nil
		}
		if !ok || c.Hash != hash {
			zone, text, err := p.flow.opt.Bus.Contract(ctx, hash)
			if err != nil {
				return nil, nil, err
			}
			if c, err = contract.Parse(dataset+" ("+hash+")", text, zone); err != nil {
				return nil, nil, fmt.Errorf("the contract that a recorded load was made with is no longer understood: %w", err)
			}
		}
	} else if !ok {
		p.ready[dataset] = ready{}
		return nil, nil, nil
	}
	plan, err := normalise.Compile(c, p.flow.opt.Hasher.Clone(), p.flow.opt.Calendar)
	if err != nil {
		return nil, nil, err
	}
	p.ready[dataset] = ready{plan, c}
	return plan, c, nil
}

func byHash(set contract.Set) iter.Seq2[string, *contract.Dataset] {
	return func(yield func(string, *contract.Dataset) bool) {
		for _, name := range set.Names() {
			if !yield(set[name].Hash, set[name]) {
				return
			}
		}
	}
}
