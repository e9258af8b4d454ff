package pipeline

import (
	"context"
	"fmt"
	"iter"
	"slices"

	"github.com/shirecounty/shire/pipeline/bus"
	"github.com/shirecounty/shire/pipeline/normalise"
	"github.com/shirecounty/shire/schemas/contract"
)

// planner keeps the plans of the contracts that ranges are read with. It is not safe for concurrent use.
type planner struct {
	flow     *Flow
	calendar normalise.Calendar
	pinned   *bus.Range // a recorded range that is read again; nil for new ranges
	ready    map[string]ready
}

type ready struct {
	plan     *normalise.Plan
	contract *contract.Dataset
}

func (f *Flow) planner(pinned *bus.Range) *planner {
	p := &planner{flow: f, calendar: f.opt.Calendar, pinned: pinned, ready: map[string]ready{}}
	if pinned != nil {
		// I3: a year that was published since would let rows pass that the range put into quarantine.
		p.calendar = years(pinned.Calendar)
	}
	return p
}

// years is the working calendar as a range was recorded with it.
type years []int

func (y years) Published(year int) bool { return slices.Contains(y, year) }

// plan is the plan for a dataset; nil when it has no contract.
func (p *planner) plan(ctx context.Context, dataset string) (*normalise.Plan, *contract.Dataset, error) {
	if r, ok := p.ready[dataset]; ok {
		return r.plan, r.contract, nil
	}
	c, ok := p.flow.opt.Contracts[dataset]
	if p.pinned != nil {
		hash, was := p.pinned.Contracts[dataset]
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
			if c, err = contract.ParseOwn(dataset+" ("+hash+")", text, zone); err != nil {
				return nil, nil, fmt.Errorf("the contract that a recorded load was made with is no longer understood: %w", err)
			}
		}
	} else if !ok {
		p.ready[dataset] = ready{}
		return nil, nil, nil
	}
	plan, err := normalise.Compile(c, p.flow.opt.Hasher.Clone(), p.calendar)
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
