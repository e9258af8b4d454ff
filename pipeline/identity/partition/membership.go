package partition

import "github.com/shirecounty/shire/schemas/pseudonym"

// Of is the party that a record belongs to today, or what a party is today, with its records; false when nothing is left of it.
// It says of a party what ExplainParty does, and nothing of why, which costs far more.
func (p *Partition) Of(id pseudonym.ID) (party pseudonym.ID, records []pseudonym.ID, ok bool) {
	p.read(func(r reader) {
		if r.model == nil {
			return
		}
		switch k := r.known(id); {
		case k.version == 0:
			for next := id; !next.IsZero(); next = r.successor(next) {
				party = next
			}
		case k.number > 0:
			party = r.node(k.number).party
		}
		if party.IsZero() {
			return
		}
		for _, n := range r.members(party) {
			records = append(records, n.id)
		}
		ok = len(records) > 0
	})
	return party, records, ok
}
