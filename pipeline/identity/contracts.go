package identity

import (
	"fmt"
	"slices"

	"github.com/shirecounty/shire/schemas/canonical"
	"github.com/shirecounty/shire/schemas/contract"
)

// Unmatched tells of contracts whose records about people or organisations say nothing to match by. That is allowed: each
// of these records is then a person or an organisation of its own.
func Unmatched(set contract.Set) (notes []string) {
	for _, name := range set.Names() {
		for _, e := range set[name].Emits {
			table, ok := canonical.Lookup(e.Table)
			if !ok {
				continue
			}
			about := ""
			switch table.Mention {
			case canonical.PersonMention:
				about = Person
			case canonical.OrganisationMention:
				about = Organisation
			default:
				continue
			}
			if !slices.ContainsFunc(columns[about], func(c string) bool { _, mapped := e.Columns[c]; return mapped }) {
				notes = append(notes, fmt.Sprintf("dataset %s: its %s records (role %q) map no field to match by, so each is a %s of its own; map a name, a number, a telephone or an address if the source has one",
					name, about, e.Role, about))
			}
		}
	}
	return notes
}
