package normalise

import (
	"time"

	"github.com/shirecounty/shire/schemas/canonical"
	"github.com/shirecounty/shire/schemas/change"
	"github.com/shirecounty/shire/schemas/pseudonym"
)

// Rows is what the rows of one change batch became in one canonical table: one entry of Source for each
// canonical row, naming the source row it came from. Columns are as long as the batch, not as Rows, so that
// nothing is copied before the columnar stage gathers it.
type Rows struct {
	Table    *canonical.Table
	Batch    *change.Batch
	Sequence uint64    // of the batch's message: with the row it is the version
	Arrived  time.Time // when the bus stored the message
	Role     string
	Source   []int32
	Deleted  []bool         // by source row: a tombstone of the canonical record
	RecordID []pseudonym.ID // by source row
	Columns  []*Column      // one for each column of the table; nil for those that others assign

	// The roles of the parties that these rows refer to, for the identity stage.
	PersonRole, OrganisationRole string
	// What the identity stage fills in, by source row; nil when the table has no such column.
	PersonRecord, PersonID             []pseudonym.ID
	OrganisationRecord, OrganisationID []pseudonym.ID
	LinkRule                           []string
}

// Column is one typed column over the rows of a change batch. Text is used for text, Ints for dates (days),
// timestamps (microseconds), integers and money (fen).
type Column struct {
	Const string // every row has this text; Text is nil
	Text  []string
	Ints  []int64
	Valid []bool // for Ints; false is NULL. Text has "" instead.
}

// TextAt is the text of a row.
func (c *Column) TextAt(i int) string {
	if c.Text == nil {
		return c.Const
	}
	return c.Text[i]
}

// Rejection is a row that cannot be used, and why. Nothing in it may hold a value of the row (I7).
type Rejection struct {
	Row     int    // in the batch
	Field   string // empty when the row as a whole is the problem
	Code    string // stable
	Message string // a sentence
}

// Result is what became of one change batch: every row is in Tables, or in Rejected, or a deletion of records
// that the batch knows by key alone (I4).
type Result struct {
	Tables   []*Rows
	Fields   []*Column // the contract's fields as they were read, in its order; nothing of rows that are rejected or deletions counts
	Rejected []Rejection
	Noted    map[Note]int // values of lenient fields that were not valid and taken as absent
}

// Note counts one kind of invalid value of one lenient field.
type Note struct{ Field, Code string }
