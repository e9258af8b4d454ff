package sharing

import (
	"time"

	"github.com/shirecounty/shire/schemas/contract"
)

// Unasked is what a department is sent without asking each time: changes of a dataset that is about nobody.
type Unasked struct {
	At         time.Time
	Department string
	Purpose    string
	Dataset    string
	Fields     []string // all that a grant covers when empty
	Division   string   // of the record, "" when it has none
}

// DecideUnasked answers without a case, which is lawful for datasets that are about nobody alone: of one that is about people or
// organisations it shows nothing, whatever is granted (I8).
func DecideUnasked(s Unasked, requests []*Request, contracts contract.Set) Decision {
	d := Decision{Code: NoGrant, Fields: map[string]Mask{}}
	own := contracts[s.Dataset]
	if own == nil || own.AboutSomebody() {
		return Decision{Code: NoCase}
	}
	for _, r := range requests {
		if r.From != s.Department || r.Terms.Dataset != s.Dataset || r.Owner != own.Department {
			continue
		}
		switch t := r.Terms; {
		case !r.Covers(s.At):
			d.reach(GrantNotLive)
		case t.Purpose != s.Purpose:
			d.reach(OtherPurpose)
		case t.Rows.Own || !t.Rows.Match(s.Division, "", s.Department): // there is no case whose own rows they could be
			d.reach(RowsNotGranted)
		default:
			d.reach(FieldsNotGranted)
			d.take(r, s.Fields, own)
		}
	}
	if d.Allowed = len(d.Fields) > 0; d.Allowed {
		d.Code = Allowed
	}
	return d
}

// reach keeps the reason that came furthest.
func (d *Decision) reach(code Code) {
	if rank(code) > rank(d.Code) {
		d.Code = code
	}
}
