// Package semantic holds the semantic types of a contract's fields: what a department's text means, and the one
// canonical value it becomes.
//
// A type is built once from the parameters of a contract (New) and then called for every value of a column, a
// million times over. Hence the shape: one small interface per representation, no allocation for text that is already
// canonical, and refusals (Problem) that exist before the first row is read.
//
// Two things hold for every type. A value that is blank is refused with the code "empty": whether a field may be absent
// is the contract's decision, so the contract turns that code into a null or into quarantine. And, I7, a Problem
// never contains the value it speaks of.
package semantic

import "fmt"

// Kind is the canonical representation of a type's values, and says which of the parser interfaces the type has.
type Kind uint8

const (
	Text      Kind = iota + 1 // UTF-8 string; TextType
	Date                      // days since 1970-01-01, int32, as Arrow date32; DateType
	Timestamp                 // microseconds since 1970-01-01T00:00:00Z, int64; TimestampType
	Integer                   // int64; IntegerType
	Decimal                   // int64 counting units of 10^-Scale; money counts fen (分), Scale 2; DecimalType
	Boolean                   // BooleanType
)

var kindNames = [...]string{Text: "text", Date: "date", Timestamp: "timestamp", Integer: "integer", Decimal: "decimal", Boolean: "boolean"}

// String returns the name used in the catalogue: text, date, timestamp, integer, decimal, boolean.
func (k Kind) String() string {
	if k == 0 || int(k) >= len(kindNames) {
		return fmt.Sprintf("kind(%d)", uint8(k))
	}
	return kindNames[k]
}

// Type turns a department's text into a canonical value, or says why it cannot. Every Type also has the parser
// interface that its Kind names. Types are immutable and safe for concurrent use.
type Type interface {
	Name() string
	Kind() Kind
}

// TextType parses values of kind Text. The result may share memory with s, so a caller that reuses s's bytes copies it.
// Parsing a result again yields the result, except for the type code, whose canonical values are not source values.
type TextType interface {
	Type
	ParseText(s string) (string, *Problem)
}

// DateType parses values of kind Date: days since 1970-01-01 in the proleptic Gregorian calendar.
type DateType interface {
	Type
	ParseDate(s string) (int32, *Problem)
}

// TimestampType parses values of kind Timestamp: microseconds since 1970-01-01T00:00:00Z.
type TimestampType interface {
	Type
	ParseTimestamp(s string) (int64, *Problem)
}

// IntegerType parses values of kind Integer.
type IntegerType interface {
	Type
	ParseInteger(s string) (int64, *Problem)
}

// DecimalType parses values of kind Decimal: the result divided by 10^Scale is the number.
type DecimalType interface {
	Type
	Scale() int
	ParseDecimal(s string) (int64, *Problem)
}

// BooleanType parses values of kind Boolean.
type BooleanType interface {
	Type
	ParseBoolean(s string) (bool, *Problem)
}

// named carries the name and kind that every type answers with.
type named struct {
	name string
	kind Kind
}

func (n named) Name() string { return n.name }
func (n named) Kind() Kind   { return n.kind }
