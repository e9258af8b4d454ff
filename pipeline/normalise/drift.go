package normalise

import (
	"fmt"
	"slices"

	"github.com/shirecounty/shire/schemas/change"
	"github.com/shirecounty/shire/schemas/contract"
)

// drifted sets aside the rows whose columns the contract does not know, until it does. Deletions need no columns.
func (s *state) drifted() {
	columns := s.batch.Columns()
	for _, d := range s.batch.Drift {
		if r := s.plan.contract.OnDrift(d, columns); r == "" || r == contract.Evolve {
			continue
		}
		field := ""
		if i := slices.IndexFunc(s.plan.contract.Fields, func(f contract.Field) bool { return slices.Contains(f.SourceNames(), d.Column) }); i >= 0 {
			field = s.plan.contract.Fields[i].Name
		}
		message := driftMessage(d)
		for i := range s.n {
			if s.usable(i) {
				s.reject(i, field, d.Code, message)
			}
		}
	}
}

// driftMessage says what to write in the contract. A column's name is the source's own, and no value (I7).
func driftMessage(d change.Drift) string {
	switch d.Code {
	case change.NewColumn:
		return fmt.Sprintf("the column %.60q is new; claim it in headers: of a field or list it under drift: accepted:, then retry", d.Column)
	case change.LostColumn:
		return fmt.Sprintf("the column %.60q is gone; write what it is called now into headers: or list it under drift: accepted:, then retry", d.Column)
	}
	return fmt.Sprintf("the column %.60q was %.40s and is %.40s; check the field's type and list the column under drift: accepted:, then retry", d.Column, d.Was, d.Is)
}
