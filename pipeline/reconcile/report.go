package reconcile

import (
	"fmt"
	"slices"

	"github.com/shirecounty/shire/schemas/canonical"
	"github.com/shirecounty/shire/schemas/pseudonym"
)

// Kind says how a record differs.
type Kind string

// How a record differs. Where the two sides agree, and where the newest change of a record waits in quarantine, there is
// no difference.
const (
	Missing Kind = "missing" // the source has it, the warehouse has not
	Extra   Kind = "extra"   // the warehouse has it, the source has not
	Stale   Kind = "stale"   // both have it, with other values
	Lost    Kind = "lost"    // the contract refuses it, and it does not wait in quarantine
)

// Report is what a comparison of one dataset found. It names records by their ids, which tell nothing to who has not the
// key of the pseudonyms (I7).
type Report struct {
	Source  string `json:"source"`
	Dataset string `json:"dataset"`
	Equal   bool   `json:"equal"`

	Records uint64        `json:"records"` // in the source
	Refused uint64        `json:"refused"` // of them, by the contract
	Waiting uint64        `json:"waiting"` // changes that wait in quarantine or were given up; a record may have several
	Tables  []TableReport `json:"tables"`

	Missing     int          `json:"missing"`
	Extra       int          `json:"extra"`
	Stale       int          `json:"stale"`
	Lost        int          `json:"lost"`
	Differences []Difference `json:"differences,omitempty"` // the first of them
	Unexamined  int          `json:"unexamined,omitempty"`  // key ranges that differ and were not looked into, because so much differs
	Repaired    int          `json:"repaired,omitempty"`    // records that differed and are equal since
	Unknown     int          `json:"unknown,omitempty"`     // records whose key in the source nobody knows any more
}

// TableReport is one table of the county's model.
type TableReport struct {
	Table     string `json:"table"`
	Source    uint64 `json:"source"`    // records that the source makes
	Warehouse uint64 `json:"warehouse"` // that the warehouse has
	Ranges    int    `json:"ranges"`    // key ranges, of 65,536, whose count or hash differed at first sight
}

// Difference is one record that differs.
type Difference struct {
	Kind   Kind         `json:"kind"`
	Table  string       `json:"table,omitempty"`
	Record pseudonym.ID `json:"record"`
}

// mostShown bounds the records that a report names.
const mostShown = 1000

// tell adds what differs in the end.
func (r *Report) tell(left []*suspect, unexamined int) {
	r.Missing, r.Extra, r.Stale, r.Lost, r.Unknown, r.Differences = 0, 0, 0, 0, 0, nil
	counts := map[Kind]*int{Missing: &r.Missing, Extra: &r.Extra, Stale: &r.Stale, Lost: &r.Lost}
	for _, s := range left {
		kind := s.kind()
		*counts[kind]++
		if !s.known {
			r.Unknown++
		}
		if len(r.Differences) < mostShown {
			d := Difference{Kind: kind, Record: s.id}
			if s.table != nil {
				d.Table = name(s.table)
			}
			r.Differences = append(r.Differences, d)
		}
	}
	slices.SortFunc(r.Differences, func(a, b Difference) int {
		return slices.Compare([]string{string(a.Kind), a.Table, a.Record.String()}, []string{string(b.Kind), b.Table, b.Record.String()})
	})
	r.Unexamined = unexamined
	r.Equal = len(left) == 0 && unexamined == 0
}

func name(t *canonical.Table) string { return t.Database + "." + t.Name }

// String is the report in a sentence.
func (r *Report) String() string {
	if r.Equal {
		return fmt.Sprintf("%s: equal, %d records", r.Dataset, r.Records)
	}
	return fmt.Sprintf("%s: %d records missing, %d extra, %d stale, %d lost; %d key ranges not looked into", r.Dataset, r.Missing, r.Extra, r.Stale, r.Lost, r.Unexamined)
}
