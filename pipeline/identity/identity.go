// Package identity decides whom each record is about.
//
// Its rooms, in the order in which evidence meets them: evidence prepares values and compares them, match weighs two
// records by a model, cluster divides a component, partition keeps the living answer on disk (store) and follows every
// change; batch does the same for a file at once, evaluate measures it, review is what people see and say of it.
package identity

import (
	"context"

	"github.com/shirecounty/shire/pipeline/identity/partition"
	"github.com/shirecounty/shire/pipeline/normalise"
	"github.com/shirecounty/shire/schemas/canonical"
	"github.com/shirecounty/shire/schemas/pseudonym"
)

// Resolver assigns every mention of a range to a person or an organisation.
//
// The mentions are all rows of one range of changes that speak of identity, in stream order: person and organisation
// records, verdicts, models. Resolve fills the records' PersonID or OrganisationID and LinkRule. What it decided comes
// back as Outcome.Decisions and is recorded with the range, in one commit; when the range is played again, recorded
// holds those bytes and Resolve says the same again (I3). Which records are together must be a function of the records
// it has seen: their order must not matter (I6).
type Resolver interface {
	// Ahead is told the mentions of each message as soon as they are known, by another goroutine than Resolve's: what does
	// not depend on the ranges before may be worked out.
	Ahead(mentions []*normalise.Rows)
	Resolve(ctx context.Context, mentions []*normalise.Rows, recorded []byte) (Outcome, error)
	// Keep makes what the last Resolve decided durable. It is called when the range is recorded, with its last sequence.
	Keep(last uint64) error
	// Position is the last sequence that was kept; what is recorded after it has to be resolved again.
	Position() uint64
	// Beyond tells whether anything was kept that came after a sequence.
	Beyond(sequence uint64) bool
	// Reset forgets everything.
	Reset() error
}

// Outcome is what a resolver has to say beside the ids.
type Outcome struct {
	Decisions []byte // recorded with the range
	Links     []Link // records that belong to another party now: loaded with the range, and told to who subscribed
}

// Link is a record that belongs to another person or organisation since a change.
type Link struct {
	About string // Person or Organisation
	partition.Link
}

// What a party can be.
const (
	Person       = "person"
	Organisation = "organisation"
)

// Refer gives the other rows of the same source rows the ids of the parties they name.
func Refer(result *normalise.Result) {
	for _, r := range result.Tables {
		if !r.Table.Parties {
			continue
		}
		n := r.Batch.Len()
		none := make([]pseudonym.ID, n)
		r.PersonRecord, r.PersonID, r.OrganisationRecord, r.OrganisationID = none, none, none, none
		for _, m := range result.Tables {
			switch {
			case m.Table.Mention == canonical.PersonMention && m.Role == r.PersonRole && r.PersonRole != "":
				r.PersonRecord, r.PersonID = present(m, m.RecordID), present(m, m.PersonID)
			case m.Table.Mention == canonical.OrganisationMention && m.Role == r.OrganisationRole && r.OrganisationRole != "":
				r.OrganisationRecord, r.OrganisationID = present(m, m.RecordID), present(m, m.OrganisationID)
			}
		}
	}
}

// present leaves out the ids of tombstones: a party that a row no longer names.
func present(m *normalise.Rows, ids []pseudonym.ID) []pseudonym.ID {
	out := ids
	for _, i := range m.Source {
		if m.Deleted[i] {
			if &out[0] == &ids[0] {
				out = append([]pseudonym.ID(nil), ids...)
			}
			out[i] = pseudonym.ID{}
		}
	}
	return out
}
