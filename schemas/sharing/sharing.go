// Package sharing holds the rules by which departments share what they know about people: the deadlines of each
// jurisdiction, requests and the grants that come of them, how a field is masked, and the decision on each single read (I8).
//
// Nothing here reads or writes anything: requests are folded from the events of the bus, and a decision is a function of what
// it is given. What no grant covers is denied.
package sharing

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Terms are what is asked for, and what is granted.
type Terms struct {
	Dataset string          `json:"dataset"`
	Fields  map[string]Mask `json:"fields"`  // by the contract's names: how much of each
	Purpose string          `json:"purpose"` // one of the county's purposes
	Items   []string        `json:"items"`   // codes of the service items (实施编码) for whose cases it is needed
	Rows    Rows            `json:"rows"`
	From    time.Time       `json:"from"`
	Until   time.Time       `json:"until"` // exclusive: nothing is granted for ever
}

// Rows are which records.
type Rows struct {
	Divisions []string `json:"divisions,omitempty"` // of the record, and what lies in them (GB/T 2260: 331099 holds 331099001); all when empty
	Own       bool     `json:"own,omitempty"`       // only of cases of the asking department itself
}

// Match tells whether a record of a division, read for a case of a department, is among the rows of who asks.
func (r Rows) Match(division string, caseDepartment, asking string) bool {
	if r.Own && caseDepartment != asking {
		return false
	}
	if len(r.Divisions) == 0 {
		return true
	}
	return division != "" && slices.ContainsFunc(r.Divisions, func(d string) bool { return strings.HasPrefix(division, d) })
}

// within tells whether all that r lets through, other lets through.
func (r Rows) within(other Rows) bool {
	if other.Own && !r.Own {
		return false
	}
	if len(other.Divisions) == 0 {
		return true
	}
	return len(r.Divisions) > 0 && !slices.ContainsFunc(r.Divisions, func(d string) bool {
		return !slices.ContainsFunc(other.Divisions, func(o string) bool { return strings.HasPrefix(d, o) })
	})
}

// maxDuration bounds a grant: what is still needed then is asked for again.
const maxDuration = 3 * 366 * 24 * time.Hour

// check says what is wrong with the terms by themselves.
func (t Terms) check() error {
	switch {
	case t.Dataset == "":
		return fmt.Errorf("the terms name no dataset")
	case len(t.Fields) == 0:
		return fmt.Errorf("the terms name no field; say which fields are needed")
	case t.Purpose == "":
		return fmt.Errorf("the terms name no purpose")
	case len(t.Items) == 0 || slices.Contains(t.Items, ""):
		return fmt.Errorf("the terms name no service item for whose cases the data is needed")
	case slices.Contains(t.Rows.Divisions, ""):
		return fmt.Errorf("a division of the rows is empty; leave divisions out for all")
	case !t.From.Before(t.Until):
		return fmt.Errorf("the terms end on %s, which is not after their beginning", t.Until.Format(time.DateOnly))
	case t.Until.Sub(t.From) > maxDuration:
		return fmt.Errorf("the terms last longer than three years; ask for less, and again when it ends")
	}
	for name, m := range t.Fields {
		if m.shows() < 0 {
			return fmt.Errorf("field %s: there is no mask %q; the masks are %v", name, string(m), Masks)
		}
	}
	return nil
}

// Within says whether t gives no more than other does, and if it does, what.
func (t Terms) Within(other Terms) error {
	if t.Dataset != other.Dataset {
		return fmt.Errorf("the dataset is %s and not %s", t.Dataset, other.Dataset)
	}
	for name, m := range t.Fields {
		if most, asked := other.Fields[name]; !asked {
			return fmt.Errorf("the field %s was not asked for", name)
		} else if !m.Within(most) {
			return fmt.Errorf("the field %s was asked for as %s, and %s shows more", name, most, m)
		}
	}
	if t.Purpose != other.Purpose {
		return fmt.Errorf("the purpose is %s and not %s", t.Purpose, other.Purpose)
	}
	for _, item := range t.Items {
		if !slices.Contains(other.Items, item) {
			return fmt.Errorf("the service item %s was not asked for", item)
		}
	}
	if !t.Rows.within(other.Rows) {
		return fmt.Errorf("there are more rows than were asked for")
	}
	if t.From.Before(other.From) || t.Until.After(other.Until) {
		return fmt.Errorf("the time is longer than was asked for")
	}
	return nil
}

func (t Terms) clone() Terms {
	fields := make(map[string]Mask, len(t.Fields))
	for name, m := range t.Fields {
		fields[name] = m
	}
	t.Fields = fields
	t.Items, t.Rows.Divisions = slices.Clone(t.Items), slices.Clone(t.Rows.Divisions)
	return t
}
