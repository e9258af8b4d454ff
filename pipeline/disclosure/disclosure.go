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
	Means string       // its meaning across datasets: the name of its canonical column, or the contract's own name
	Mask  sharing.Mask // how much of it
	Text  string       // after masking
}

// Record is one department's record, as far as it is shown.
type Record struct {
	Department string
	Dataset    string
	ID         pseudonym.ID
	Contract   string     // hash of the contract that it was read with
	SourceTime *time.Time // when the source says it was written
	ReceivedAt time.Time  // when it reached the county
	Values     []Value    // in the contract's order
	Refused    []string   // fields that were asked for and are not covered
}

// Person is what departments hold on a person, as far as it is shown.
type Person struct {
	ID      pseudonym.ID
	Facts   []Fact   // by meaning
	Records []Record // by department and dataset, the newest first
	Refused []string // datasets that hold something and are not covered: dataset and reason, such as household: no_grant
}

// Fact is what the sources say about one thing. Where they disagree, all that they say is there.
type Fact struct {
	Means       string
	Conflicting bool
	Said        []Said // the newest first
}

// Said is a value with its source.
type Said struct {
	Value
	Department, Dataset string
	SourceTime          *time.Time
	ReceivedAt          time.Time
}

// Denied says that policy refuses a read. It quotes no value (I7).
type Denied struct{ Code sharing.Code }

func (e *Denied) Error() string { return fmt.Sprintf("the read is refused: %s", e.Code) }

// Unavailable says that nothing can be shown now: the log, the bus or the store is away, or behind.
type Unavailable struct {
	What string // what is away, for people
	Err  error
}

func (e *Unavailable) Error() string { return e.What + " cannot be used now" }
func (e *Unavailable) Unwrap() error { return e.Err }
