package reconcile

import (
	"slices"

	"github.com/shirecounty/shire/schemas/canonical"
	"github.com/shirecounty/shire/schemas/pseudonym"
)

// state is as which a side has a record.
type state struct {
	there   bool
	hash    uint64
	refused bool // by the contract: whatever the warehouse has of it is an earlier version
}

// suspect is a record as which the two sides did not agree when they were looked at.
type suspect struct {
	table   *canonical.Table // nil: a record that is refused and does not wait
	id      pseudonym.ID
	key     string // in the source, once it is known
	known   bool
	source  []state // as which the source had it, the newest last; one at least
	house   state
	version uint64 // that the warehouse has
}

// saw notes as which the source has the record now.
func (s *suspect) saw(now state) {
	if !slices.Contains(s.source, now) {
		s.source = append(s.source, now)
		return
	}
	i := slices.Index(s.source, now)
	s.source = append(slices.Delete(s.source, i, i+1), now)
}

// settled tells whether the warehouse has the record as the source had it at some time since we began to look: then it has
// only been on its way.
func (s *suspect) settled() bool {
	refused := s.source[len(s.source)-1].refused
	if s.table == nil {
		return s.house.there || !refused
	}
	return refused || slices.Contains(s.source, s.house)
}

func (s *suspect) kind() Kind {
	switch {
	case s.table == nil:
		return Lost
	case !s.house.there:
		return Missing
	case !s.source[len(s.source)-1].there:
		return Extra
	}
	return Stale
}

// record names a record of a table.
type record struct {
	table *canonical.Table
	id    pseudonym.ID
}
