package sharing

import (
	"slices"
	"strings"
	"time"

	"github.com/shirecounty/shire/schemas/contract"
	"github.com/shirecounty/shire/schemas/pseudonym"
)

// Call is one read that somebody wants to do.
type Call struct {
	At         time.Time
	Department string // of the caller, as its credentials say
	Clerk      string // the acting clerk
	Purpose    string
	Item       string // code of the service item
	Case       string // case number
	Dataset    string
	Fields     []string // all that a grant covers when empty
	Person     pseudonym.ID
}

// Case is what the county knows of the case that a call names; nil when there is none of this number.
type Case struct {
	Department string
	Item       string
	Opened     time.Time
	Closed     time.Time // zero while it is open
	Persons    []pseudonym.ID
}

// Decision is the answer to a call. Deny by default: fields that are not in Fields are not shown.
type Decision struct {
	Allowed bool
	Code    Code
	Fields  map[string]Mask // what is shown, and how much of it
	Refused []string        // fields that were asked for and are not covered, sorted
	Grants  []string        // the requests by which it is allowed, sorted
}

// Code is the stable reason of a decision. It quotes no value (I7).
type Code string

// The reasons, in the order in which they are looked for.
const (
	Allowed              Code = "allowed"
	NoClerk              Code = "no_clerk"
	NoPurpose            Code = "no_purpose"
	NoCase               Code = "no_case"
	OtherDepartmentsCase Code = "other_departments_case"
	OtherItem            Code = "other_item"
	CaseNotOpen          Code = "case_not_open"
	NotOfCase            Code = "person_not_of_case"
	NoGrant              Code = "no_grant"
	GrantNotLive         Code = "grant_not_live"
	OtherPurpose         Code = "purpose_not_granted"
	ItemNotGranted       Code = "item_not_granted"
	RowsNotGranted       Code = "rows_not_granted"
	FieldsNotGranted     Code = "fields_not_granted"
)

// Decide answers a call. requests are those of the county; division is that of the record, "" when it has none. Whether a case
// exists is not told apart from whether it is another department's: who may not read it learns nothing of it.
func Decide(call Call, c *Case, requests []*Request, contracts contract.Set, division string) Decision {
	deny := func(code Code) Decision {
		refused := slices.Clone(call.Fields)
		slices.Sort(refused)
		return Decision{Code: code, Refused: slices.Compact(refused)}
	}
	if code := call.Standing(c); code != Allowed {
		return deny(code)
	}
	own := contracts[call.Dataset]
	nearest := NoGrant
	reached := func(code Code) { // of several grants that fail, the one that came furthest tells what is missing
		if rank(code) > rank(nearest) {
			nearest = code
		}
	}
	d := Decision{Fields: map[string]Mask{}}
	for _, r := range requests {
		if r.From != call.Department || r.Terms.Dataset != call.Dataset || own == nil || r.Owner != own.Department {
			continue
		}
		switch t := r.Terms; {
		case !r.Covers(call.At):
			reached(GrantNotLive)
		case t.Purpose != call.Purpose:
			reached(OtherPurpose)
		case !slices.Contains(t.Items, call.Item):
			reached(ItemNotGranted)
		case !t.Rows.Match(division, c.Department, call.Department):
			reached(RowsNotGranted)
		default:
			reached(FieldsNotGranted)
			d.take(r, call.Fields, own)
		}
	}
	for _, name := range call.Fields {
		if _, shown := d.Fields[name]; !shown {
			d.Refused = append(d.Refused, name)
		}
	}
	slices.Sort(d.Refused)
	d.Refused = slices.Compact(d.Refused)
	if len(d.Fields) == 0 {
		return deny(nearest)
	}
	slices.Sort(d.Grants)
	d.Allowed, d.Code = true, Allowed
	return d
}

// Standing says whether the call is for an open case of the caller about one of its persons: what has to hold before it is asked
// what is granted. A call without a person is [NotOfCase] when all else holds.
func (call Call) Standing(c *Case) Code {
	switch {
	case strings.TrimSpace(call.Clerk) == "":
		return NoClerk
	case call.Purpose == "":
		return NoPurpose
	case c == nil:
		return NoCase
	case c.Department != call.Department:
		return OtherDepartmentsCase
	case c.Item != call.Item:
		return OtherItem
	case call.At.Before(c.Opened) || !c.Closed.IsZero() && !call.At.Before(c.Closed):
		return CaseNotOpen
	case call.Person.IsZero() || !slices.Contains(c.Persons, call.Person):
		return NotOfCase
	}
	return Allowed
}

// Open answers a call as [Decide] does, but for whatever record there may be: it is allowed when a record of some division could
// be read. It depends on nothing that a dataset holds, so that a refusal tells nothing of it.
func Open(call Call, c *Case, requests []*Request, contracts contract.Set) Decision {
	best := Decide(call, c, requests, contracts, "")
	for _, r := range requests {
		if best.Allowed {
			break
		}
		if r.From != call.Department || r.Terms.Dataset != call.Dataset {
			continue
		}
		for _, division := range r.Terms.Rows.Divisions {
			d := Decide(call, c, requests, contracts, division)
			if d.Allowed || rank(d.Code) > rank(best.Code) {
				best = d
			}
		}
	}
	return best
}

// Furthest is of several refusals the one that tells best what is missing.
func Furthest(codes ...Code) Code {
	nearest := NoGrant
	for _, code := range codes {
		if rank(code) > rank(nearest) {
			nearest = code
		}
	}
	return nearest
}

// take adds what a grant covers. A field that the contract has stopped to share since is not shown.
func (d *Decision) take(r *Request, wanted []string, c *contract.Dataset) {
	used := false
	for name, m := range r.Terms.Fields {
		i, there := c.Field(name)
		if len(wanted) > 0 && !slices.Contains(wanted, name) || !there || fieldType(c, i) == "none" {
			continue
		}
		if had, ok := d.Fields[name]; !ok || had.Within(m) {
			d.Fields[name] = m
		}
		used = true
	}
	if used {
		d.Grants = append(d.Grants, r.ID)
	}
}

var order = []Code{NoGrant, GrantNotLive, OtherPurpose, ItemNotGranted, RowsNotGranted, FieldsNotGranted}

func rank(c Code) int { return slices.Index(order, c) }
