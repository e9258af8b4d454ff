// Package change defines what a department's system says happened to one of its records, and how many such
// changes of one dataset travel together as one Arrow record batch.
package change

import "time"

// Op is what happened to a record.
type Op uint8

const (
	// Snapshot is a record as it stood when the source was read; it says nothing about when it came to be.
	Snapshot Op = iota + 1
	Create
	Update
	Delete
	// Malformed is a row that the connector could not take apart. It carries the row's own bytes and the
	// reason, and ends in quarantine like any other row that cannot be used (I4).
	Malformed
)

var opNames = [...]string{"", "snapshot", "create", "update", "delete", "malformed"}

func (o Op) String() string {
	if int(o) < len(opNames) {
		return opNames[o]
	}
	return "unknown"
}

// Position is a place in a source, in the connector's own words: a log sequence number, a file and a row.
// Only the connector that wrote it compares or reads it. The empty position is the beginning.
type Position string

// Change is one change of one record. Values stand in the order of the columns of the batch it is put in,
// as the source wrote them; an absent value (NULL) is not an empty one.
type Change struct {
	Op       Op
	Key      string    // the record's key in the source; several key columns are joined by KeySeparator
	Row      int64     // place inside the unit (line of a file, ordinal in a transaction), for people
	Time     time.Time // when the source says it happened; zero when it does not say
	Values   []string
	Null     []bool // nil when no value is NULL
	Position Position
	Problem  string // only with Malformed: why the row could not be taken apart
	Raw      string // only with Malformed: the row as it stood
}

// KeySeparator joins the parts of a composite key; it cannot occur in text that a department types.
const KeySeparator = "\x1f"

// Version orders the versions of one record: the stream sequence of the message that carried a change, then
// the change's place in that message. A message holds at most MaxRows changes.
func Version(sequence uint64, row int) uint64 { return sequence<<rowBits | uint64(row) }

// SequenceOf is the stream sequence in a version; RowOf the place in that message.
func SequenceOf(version uint64) uint64 { return version >> rowBits }
func RowOf(version uint64) int         { return int(version & (MaxRows - 1)) }

const rowBits = 16

// MaxRows bounds the changes in one batch so that a row's place fits in its version.
const MaxRows = 1 << rowBits
