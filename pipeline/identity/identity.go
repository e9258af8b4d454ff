// Package identity decides whom each record is about.
package identity

import (
	"context"

	"github.com/shirecounty/shire/pipeline/normalise"
	"github.com/shirecounty/shire/schemas/canonical"
	"github.com/shirecounty/shire/schemas/pseudonym"
)

// Resolver assigns every mention of a range to a person or an organisation.
//
// The mentions are all person and organisation records of one range of changes, in stream order. Resolve fills
// their PersonID or OrganisationID and LinkRule. What it decided comes back as Outcome.Decisions and is recorded
// with the range, in one commit; when the range is played again, recorded holds those bytes and Resolve says the
// same again (I3). Resolve must be a function of the records it has seen: their order must not matter (I6).
type Resolver interface {
	Resolve(ctx context.Context, mentions []*normalise.Rows, recorded []byte) (Outcome, error)
}

// Outcome is what a resolver has to say beside the ids.
type Outcome struct {
	Decisions []byte            // recorded with the range; nil for a resolver that needs no memory
	Events    []*normalise.Rows // links, merges and splits, loaded with the range like any other rows
}

// Link rules.
const (
	ExactNumber = "exact_number" // a valid citizen number or organisation code
	Alone       = "alone"        // nothing to go by: the record is a party of its own
)

// Exact resolves by valid number alone: records with the same citizen number or organisation code are one
// party, and any other record is a party of its own. The id is a keyed hash of the number, so there is nothing
// to remember and nothing to replay.
type Exact struct {
	hasher *pseudonym.Hasher
}

var _ Resolver = (*Exact)(nil)

// NewExact makes an Exact resolver. It is not safe for concurrent use.
func NewExact(h *pseudonym.Hasher) *Exact { return &Exact{hasher: h} }

// Resolve fills in the ids of the mentions.
func (x *Exact) Resolve(_ context.Context, mentions []*normalise.Rows, _ []byte) (Outcome, error) {
	for _, m := range mentions {
		switch m.Table.Mention {
		case canonical.PersonMention:
			m.PersonID, m.LinkRule = x.resolve(m, "person", "id_number")
		case canonical.OrganisationMention:
			m.OrganisationID, m.LinkRule = x.resolve(m, "organisation", "organisation_code")
		}
	}
	return Outcome{}, nil
}

func (x *Exact) resolve(m *normalise.Rows, space, number string) ([]pseudonym.ID, []string) {
	i, _ := m.Table.Column(number)
	numbers := m.Columns[i]
	ids, rules := make([]pseudonym.ID, m.Batch.Len()), make([]string, m.Batch.Len())
	for _, row := range m.Source {
		if n := numbers.TextAt(int(row)); n != "" {
			ids[row], rules[row] = x.hasher.ID(space+"/number", n), ExactNumber
		} else {
			record := m.RecordID[row]
			ids[row], rules[row] = x.hasher.ID(space+"/record", string(record[:])), Alone
		}
	}
	return ids, rules
}

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
