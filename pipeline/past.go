package pipeline

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/shirecounty/shire/pipeline/bus"
	"github.com/shirecounty/shire/pipeline/identity"
	"github.com/shirecounty/shire/schemas/change"
)

// NotLoadedError says that a place of the stream is not loaded yet, or that there is none such.
type NotLoadedError struct{ Sequence, Through uint64 }

func (e *NotLoadedError) Error() string {
	return fmt.Sprintf("message %d of the stream is not loaded; it is loaded up to message %d", e.Sequence, e.Through)
}

// errThere ends a walk through the ledger.
var errThere = errors.New("there")

// Past gives an empty resolver the state of identities as it was after a place of the stream: every recorded range up to
// there is resolved once more, with the contracts, the models and the verdicts of then. Nothing is loaded, and the flow of
// the county goes on beside it. progress is told the sequence that was reached and the one to come to.
func (f *Flow) Past(ctx context.Context, version uint64, r identity.Resolver, progress func(done, total uint64)) error {
	loads, through, _, err := f.opt.Bus.OpenLoads(ctx)
	if err != nil {
		return err
	}
	end := change.SequenceOf(version)
	if end == 0 || end > through {
		return &NotLoadedError{end, through}
	}
	err = loads.Each(ctx, r.Position(), through, func(recorded *bus.Range) error {
		if recorded.First > end {
			return errThere
		}
		s, err := f.again(ctx, recorded)
		if errors.Is(err, bus.ErrExpired) {
			return fmt.Errorf("the state of then can only be worked out from everything that came before it: %w", err)
		}
		if err != nil {
			return err
		}
		decisions := recorded.Decisions
		if recorded.Last >= end {
			s.cut(version)
			decisions = nil // they are those of the whole range
		}
		if err := s.resolve(ctx, r, decisions); err != nil {
			return err
		}
		progress(min(recorded.Last, end), end)
		return r.Keep(min(recorded.Last, end))
	})
	if errors.Is(err, errThere) {
		return nil
	}
	return err
}

// cut leaves out what stands after a place of the stream.
func (s *span) cut(version uint64) {
	sequence, row := change.SequenceOf(version), int32(change.RowOf(version))
	s.parts = slices.DeleteFunc(s.parts, func(p *part) bool { return p.message.Sequence > sequence })
	for _, p := range s.parts {
		if p.message.Sequence < sequence {
			continue
		}
		for _, t := range p.result.Tables {
			t.Source = slices.DeleteFunc(slices.Clone(t.Source), func(of int32) bool { return of > row })
		}
	}
}
