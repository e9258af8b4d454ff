package partition

import "github.com/shirecounty/shire/schemas/pseudonym"

// Whom tells whose records some are today, by their ids and in their order; zero where the state does not know a record, or no
// longer. All are answered from one state.
func (p *Partition) Whom(records []pseudonym.ID) []pseudonym.ID {
	out := make([]pseudonym.ID, len(records))
	p.read(func(r reader) {
		for i, id := range records {
			if k := r.known(id); k.number != 0 {
				if place, _, ok := r.view.Get(places, r.row.number(k.number)); ok {
					out[i] = idOf(place)
				}
			}
		}
	})
	return out
}

// Held lists the records of a party as of today, at most so many, and the parties that became it are not asked for: see [Partition.Resolve].
func (p *Partition) Held(party pseudonym.ID, most int) (ids []pseudonym.ID) {
	p.read(func(r reader) {
		r.view.Prefix(membership, party[:], func(key, _, _ []byte) bool {
			if id, _, ok := r.view.Get(records, key[16:]); ok {
				ids = append(ids, idOf(id))
			}
			return len(ids) < most
		})
	})
	return ids
}

// Became lists the parties that are this one today.
func (p *Partition) Became(party pseudonym.ID) (ids []pseudonym.ID) {
	p.read(func(r reader) { ids = r.retiredInto(party) })
	return ids
}
