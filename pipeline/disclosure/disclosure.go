// Package disclosure is the counter at which the county's records are shown: to a department's system, for an open case of it, about
// the people of that case, and no more than live grants cover (I8). Every look is in the access log before anything of it is shown,
// refused ones too; when the log cannot be written, nothing is shown.
package disclosure

import (
	"fmt"
	"time"

	"github.com/shirecounty/shire/schemas/pseudonym"
	"github.com/shirecounty/shire/schemas/sharing"
)

// Reader is who reads, and why. Client and Department come from the credential, the rest is what the caller says.
type Reader struct {
	Client     string // name of the credential
	Department string // whose credential it is
	Clerk      string // the acting clerk, by the name that the department gives them
	Purpose    string // one of the county's purposes
	Item       string // code of the service item (实施编码)
	Case       string // number of the case (办件编号)

	// Brought are values that the caller has, by dataset.field, such as residents.name: what sharing.Equals compares with, as exactly
	// the text that the contract reads. A field that may only be compared and has nothing brought is refused.
	Brought map[string]string
}

// Attributes are what a person at a counter shows of themselves: the number of their identity card, or name and date of birth.
type Attributes struct {
	Number    string // citizen number (公民身份号码), 15 or 18 digits
	Name      string
	BirthDate string // 2006-01-02
}

// Value is one field as it is shown.
type Value struct {
	Field string       // the contract's name
	Means string       // what it says of the person: a column of canonical person_records, such as name; "" for anything else
	Mask  sharing.Mask // how much of it
	Text  string       // after masking; yes or no of exists and equals
}

// Record is one department's record, as far as it is shown.
type Record struct {
	Department string
	Dataset    string
	ID         pseudonym.ID
	Contract   string     // hash of the contract that it was read with
	SourceTime *time.Time // when the source says it was written
	ReceivedAt time.Time  // when it reached the county
	Values     []Value    // in the contract's order; what is absent is left out, but for exists and equals
	Refused    []string   // fields that were asked for and are not covered, or that speak of somebody else; sorted
}

// Person is what departments hold on a person, as far as it is shown.
type Person struct {
	ID      pseudonym.ID // today's, which may be another than that asked for: people are merged
	Facts   []Fact       // by meaning
	Records []Record     // by department and dataset, the newest first
	// Refused are the datasets that the department has requests for of which none covers this read: dataset and reason, such as
	// household: grant_not_live. It does not depend on what is held: that a dataset says something on a person is itself a fact.
	Refused []string
}

// Fact is what the sources say about one thing. Where they disagree, all that they say is there.
type Fact struct {
	Means       string // see Value
	Conflicting bool   // judged by what is shown alone: values under different masks are not held against each other
	Said        []Said // the newest first
}

// Said is a value with its source.
type Said struct {
	Value
	Department, Dataset string
	SourceTime          *time.Time
	ReceivedAt          time.Time
}

// Access is one entry of the audit log on a person, for the resident's counter.
type Access struct {
	At       time.Time
	Caller   string   // department/client
	Clerk    string   // pseudonym of the clerk
	Purpose  string   // as the caller said
	Item     string   // code of the service item
	Case     string   // number of the case
	Fields   []string // dataset.field
	Decision string   // granted, refused, used or declined
	Reason   string   // code
}

// Denied says that policy refuses a read. It quotes no value (I7).
type Denied struct{ Code sharing.Code }

func (e *Denied) Error() string { return fmt.Sprintf("the read is refused: %s", e.Code) }

// Mistake says what is wrong with what the caller sent, whatever the county holds. It quotes no value (I7).
type Mistake struct {
	Field string // attributes, key, fields, materials, prefill, material, reason
	Text  string // for people: what is wrong and what to send instead
}

func (e *Mistake) Error() string { return e.Text }

// Unavailable says that nothing can be shown now: the log, the bus, the warehouse or the store is away, or behind.
type Unavailable struct {
	What string // what is away, for people
	Err  error
}

// TheWarehouse is What of an Unavailable when ClickHouse is away, where residents and supervisors see who looked.
const TheWarehouse = "the warehouse"

func (e *Unavailable) Error() string { return e.What + " cannot be used now" }
func (e *Unavailable) Unwrap() error { return e.Err }
