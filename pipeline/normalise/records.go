package normalise

import (
	"github.com/shirecounty/shire/schemas/canonical"
	"github.com/shirecounty/shire/schemas/contract"
	"github.com/shirecounty/shire/schemas/pseudonym"
)

// Contract is the contract that the plan was made of.
func (p *Plan) Contract() *contract.Dataset { return p.contract }

// Records calls fn with every record that a source row with this key may have become: one for each emit without a key of
// its own.
func (p *Plan) Records(key string, fn func(*canonical.Table, pseudonym.ID)) {
	for i := range p.emits {
		if e := &p.emits[i]; len(e.key) == 0 {
			fn(e.table, p.hasher.ID(e.space, key))
		}
	}
}

// Shared tells whether the contract makes records of the table that belong to several source rows: which of them has the
// last word depends on the order in which they came.
func (p *Plan) Shared(t *canonical.Table) bool {
	for i := range p.emits {
		if p.emits[i].table == t && len(p.emits[i].key) > 0 {
			return true
		}
	}
	return false
}
