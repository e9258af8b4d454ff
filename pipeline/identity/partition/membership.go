package partition

import "github.com/shirecounty/shire/schemas/pseudonym"

// Of is the party that a record belongs to today, or what a party is today, with its records; false when nothing is left of it.
// It says of a party what ExplainParty does, and nothing of why, which costs far more.
func (p *Partition) Of(id pseudonym.ID) (party pseudonym.ID, mentions []pseudonym.ID, ok bool) {
	p.read(func(r reader) {
		switch k := r.known(id); {
		case k.version == 0:
			for next := id; !next.IsZero(); next = r.successor(next) {
				party = next
			}
		case k.number > 0:
			place, _, _ := r.view.Get(places, r.row.number(k.number))
			party = idOf(place)
		}
		if party.IsZero() {
			return
		}
		r.view.Prefix(membership, party[:], func(key, _, _ []byte) bool {
			if id, _, found := r.view.Get(records, r.row.number(order.Uint32(key[16:]))); found {
				mentions = append(mentions, idOf(id))
			}
			return true
		})
		ok = len(mentions) > 0
	})
	return party, mentions, ok
}
