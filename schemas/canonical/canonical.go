// Package canonical is the county's own model: the tables that every department's records are mapped to,
// their columns and their Arrow schemas. A contract says which source field goes to which column; the
// warehouse keeps one ClickHouse table for each table here.
package canonical

import (
	"github.com/apache/arrow/go/v17/arrow"
)

// Type is how a canonical column is held in Arrow and in ClickHouse.
type Type uint8

const (
	Text      Type = iota // utf8; "" when absent                              String
	Code                  // utf8 of few distinct values; "" when absent       LowCardinality(String)
	ID                    // fixed_size_binary[16]; zero when absent           UUID
	Date                  // date32, nullable                                  Nullable(Date32)
	Timestamp             // timestamp[us, UTC], nullable                      Nullable(DateTime64(6, 'UTC'))
	Integer               // int64, nullable                                   Nullable(Int64)
	Money                 // int64 fen, nullable                               Nullable(Int64)
	Flag                  // uint8, 0 or 1                                     UInt8
	Version               // uint64                                            UInt64
)

// Arrow is the Arrow type of a column of this type.
func (t Type) Arrow() arrow.DataType {
	switch t {
	case ID:
		return &arrow.FixedSizeBinaryType{ByteWidth: 16}
	case Date:
		return arrow.FixedWidthTypes.Date32
	case Timestamp:
		return arrow.FixedWidthTypes.Timestamp_us
	case Integer, Money:
		return arrow.PrimitiveTypes.Int64
	case Flag:
		return arrow.PrimitiveTypes.Uint8
	case Version:
		return arrow.PrimitiveTypes.Uint64
	default:
		return arrow.BinaryTypes.String
	}
}

// Nullable tells whether an absent value is NULL; text is "" and an id is zero instead.
func (t Type) Nullable() bool { return t == Date || t == Timestamp || t == Integer || t == Money }

// Origin says who fills a column.
type Origin uint8

const (
	Mapped    Origin = iota // from a source field or a constant, by the contract
	Pseudonym               // from a source field, by keyed hash: the value itself never arrives (I7)
	Assigned                // by the flow itself: ids, source, version
)

// Column is one column of a canonical table.
type Column struct {
	Name     string
	Type     Type
	Origin   Origin
	Required bool   // a contract that emits the table must map it
	Doc      string // what it means; the Chinese term in brackets
}

// Mention says what a table's records are to the identity stage: what they are themselves about, or what they say of
// others. It meets all of them in the order of the stream.
type Mention uint8

const (
	NoMention           Mention = iota
	PersonMention               // evidence about a person
	OrganisationMention         // evidence about an organisation
	VerdictMention              // what a person decided about two records
	ModelMention                // the model by which records are matched from here on
)

// Table is one table of the county's model.
type Table struct {
	Name     string
	Database string  // ClickHouse database of the base table: "store", or "restricted" for personal data
	Mention  Mention // what the rows are to the identity stage
	Personal bool    // may hold personal data in the clear; such a table is in "restricted" (I7)
	Parties  bool    // has person_record/person_id/organisation_record/organisation_id that refer to mentions
	Own      bool    // filled by Shire's own datasets: no department's contract may emit it
	Doc      string
	Columns  []Column // Assigned columns included, in storage order

	index map[string]int
}

// Column finds a column by name.
func (t *Table) Column(name string) (int, *Column) {
	if i, ok := t.index[name]; ok {
		return i, &t.Columns[i]
	}
	return -1, nil
}

// Names lists the columns that a contract may map.
func (t *Table) Mappable() []string {
	var names []string
	for _, c := range t.Columns {
		if c.Origin != Assigned {
			names = append(names, c.Name)
		}
	}
	return names
}

// Schema is the table's Arrow schema; its metadata carries the table's name.
func (t *Table) Schema() *arrow.Schema {
	fields := make([]arrow.Field, len(t.Columns))
	for i, c := range t.Columns {
		fields[i] = arrow.Field{Name: c.Name, Type: c.Type.Arrow(), Nullable: c.Type.Nullable()}
	}
	meta := arrow.NewMetadata([]string{"table"}, []string{t.Database + "." + t.Name})
	return arrow.NewSchema(fields, &meta)
}

// Lookup finds a table by name.
func Lookup(name string) (*Table, bool) {
	t, ok := byName[name]
	return t, ok
}

// Names lists the tables that a department's contract may emit, in their documented order.
func Names() []string {
	var names []string
	for _, t := range Tables {
		if !t.Own {
			names = append(names, t.Name)
		}
	}
	return names
}

var byName = map[string]*Table{}

func init() {
	for _, t := range Tables {
		t.Columns = append(append([]Column(nil), recordColumns(t)...), t.Columns...)
		t.number()
		byName[t.Name] = t
	}
	Links.number()
}

// number makes the columns known by their names.
func (t *Table) number() {
	t.index = map[string]int{}
	for i, c := range t.Columns {
		t.index[c.Name] = i
	}
}

const linkRule = "why: exact_number (a valid number), matched (by weight of evidence), verdict (a person decided) or alone (nothing to go by)"

// recordColumns stand first in every table: where a row came from, and which version of it this is.
func recordColumns(t *Table) []Column {
	cols := []Column{
		{"record_id", ID, Assigned, false, "the record: keyed hash of dataset, record key and role"},
		{"source", Code, Assigned, false, "the source that delivered it"},
		{"dataset", Code, Assigned, false, "the dataset it belongs to"},
		{"source_department", Code, Assigned, false, "the department whose dataset it is (数源部门)"},
		{"source_time", Timestamp, Assigned, false, "when the source says it was written"},
		{"received_at", Timestamp, Assigned, false, "when this version reached the county: its message was stored on the bus"},
		{"version", Version, Assigned, false, "orders the versions of one record: stream sequence and row"},
		{"deleted", Flag, Assigned, false, "1 when this version says that the record is gone"},
	}
	if t.Parties {
		cols = append(cols,
			Column{"person_record", ID, Assigned, false, "the person record of the same source row; zero when none"},
			Column{"person_id", ID, Assigned, false, "the person it was resolved to; zero when none"},
			Column{"organisation_record", ID, Assigned, false, "the organisation record of the same source row; zero when none"},
			Column{"organisation_id", ID, Assigned, false, "the organisation it was resolved to; zero when none"})
	}
	switch t.Mention {
	case PersonMention:
		cols = append(cols,
			Column{"person_id", ID, Assigned, false, "the person this record was resolved to"},
			Column{"link_rule", Code, Assigned, false, linkRule},
			Column{"role", Code, Assigned, false, "which party of the source row this is"})
	case OrganisationMention:
		cols = append(cols,
			Column{"organisation_id", ID, Assigned, false, "the organisation this record was resolved to"},
			Column{"link_rule", Code, Assigned, false, linkRule},
			Column{"role", Code, Assigned, false, "which party of the source row this is"})
	}
	return cols
}
