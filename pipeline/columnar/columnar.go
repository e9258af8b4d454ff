// Package columnar gathers normalised rows into one Arrow record batch for each warehouse table, and decides
// when a load is full.
package columnar

import (
	"time"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/memory"

	"github.com/shirecounty/shire/pipeline/normalise"
	"github.com/shirecounty/shire/schemas/canonical"
	"github.com/shirecounty/shire/schemas/change"
	"github.com/shirecounty/shire/schemas/pseudonym"
)

// Limits bound a load (I10).
type Limits struct {
	Rows  int
	Bytes int
	Age   time.Duration
}

// Reason says which limit closed a load.
type Reason string

const (
	ByRows  Reason = "rows"
	ByBytes Reason = "bytes"
	ByAge   Reason = "age"
	ByEnd   Reason = "end" // the flow stops, or has caught up with bounded sources
)

// Full tells whether a load of this size and age is to be closed, and why.
func (l Limits) Full(rows, bytes int, age time.Duration) (Reason, bool) {
	switch {
	case rows >= l.Rows:
		return ByRows, true
	case bytes >= l.Bytes:
		return ByBytes, true
	case age >= l.Age:
		return ByAge, true
	}
	return "", false
}

// Table is one table's rows of a load.
type Table struct {
	Table  *canonical.Table
	Record arrow.Record
}

// Gatherer builds the tables of one load.
type Gatherer struct {
	rows map[string][]*normalise.Rows
}

// NewGatherer starts a load.
func NewGatherer() *Gatherer { return &Gatherer{rows: map[string][]*normalise.Rows{}} }

// Add takes rows into the load. Their batch must not be released before Finish.
func (g *Gatherer) Add(r *normalise.Rows) { g.rows[r.Table.Name] = append(g.rows[r.Table.Name], r) }

// Finish copies the rows into one record for each table, in the model's order, so that a replay loads them in the same
// order. Afterwards the rows' batches may be released.
func (g *Gatherer) Finish() []Table {
	var out []Table
	for _, t := range canonical.Tables {
		if rows := g.rows[t.Name]; len(rows) > 0 {
			out = append(out, Table{Table: t, Record: gather(t, rows)})
		}
	}
	g.rows = nil
	return out
}

func gather(t *canonical.Table, all []*normalise.Rows) arrow.Record {
	rb := array.NewRecordBuilder(memory.DefaultAllocator, t.Schema())
	defer rb.Release()
	n := 0
	for _, r := range all {
		n += len(r.Source)
	}
	for i, col := range t.Columns {
		field := rb.Field(i)
		field.Reserve(n)
		if b, ok := field.(*array.StringBuilder); ok {
			b.ReserveData(textBytes(i, all)) // growing by doubling would copy every byte once more
		}
		for _, r := range all {
			if r.Columns[i] == nil {
				appendAssigned(field, col.Name, r)
			} else {
				appendMapped(field, r.Columns[i], r)
			}
		}
	}
	return rb.NewRecord()
}

// textBytes is the length of a mapped text column over all rows; of an assigned one, which repeats a few short words,
// it is left to the builder.
func textBytes(column int, all []*normalise.Rows) int {
	n := 0
	for _, r := range all {
		c := r.Columns[column]
		switch {
		case c == nil:
		case c.Text == nil:
			n += len(c.Const) * len(r.Source)
		default:
			for _, i := range r.Source {
				n += len(c.Text[i])
			}
		}
	}
	return n
}

func appendMapped(field array.Builder, c *normalise.Column, r *normalise.Rows) {
	switch b := field.(type) {
	case *array.StringBuilder:
		for _, i := range r.Source {
			b.Append(c.TextAt(int(i)))
		}
	case *array.Date32Builder:
		for _, i := range r.Source {
			if c.Valid[i] {
				b.UnsafeAppend(arrow.Date32(c.Ints[i]))
			} else {
				b.UnsafeAppendBoolToBitmap(false)
			}
		}
	case *array.TimestampBuilder:
		for _, i := range r.Source {
			if c.Valid[i] {
				b.UnsafeAppend(arrow.Timestamp(c.Ints[i]))
			} else {
				b.UnsafeAppendBoolToBitmap(false)
			}
		}
	case *array.Int64Builder:
		for _, i := range r.Source {
			if c.Valid[i] {
				b.UnsafeAppend(c.Ints[i])
			} else {
				b.UnsafeAppendBoolToBitmap(false)
			}
		}
	default:
		panic("columnar: no gatherer for " + field.Type().String()) // a column type was added to the model and not here
	}
}

// appendAssigned fills the columns that the flow itself assigns.
func appendAssigned(field array.Builder, name string, r *normalise.Rows) {
	switch name {
	case "record_id":
		appendIDs(field, r, r.RecordID)
	case "person_record":
		appendIDs(field, r, r.PersonRecord)
	case "person_id":
		appendIDs(field, r, r.PersonID)
	case "organisation_record":
		appendIDs(field, r, r.OrganisationRecord)
	case "organisation_id":
		appendIDs(field, r, r.OrganisationID)
	case "source":
		appendText(field, r, r.Batch.Source)
	case "dataset":
		appendText(field, r, r.Batch.Dataset)
	case "source_department":
		appendText(field, r, r.Batch.Department)
	case "role":
		appendText(field, r, r.Role)
	case "link_rule":
		b := field.(*array.StringBuilder)
		for _, i := range r.Source {
			b.Append(r.LinkRule[i])
		}
	case "source_time":
		b := field.(*array.TimestampBuilder)
		for _, i := range r.Source {
			if t := r.Batch.Time(int(i)); t.IsZero() {
				b.AppendNull()
			} else {
				b.Append(arrow.Timestamp(t.UnixMicro()))
			}
		}
	case "received_at":
		b, at := field.(*array.TimestampBuilder), arrow.Timestamp(r.Arrived.UnixMicro())
		for range r.Source {
			b.UnsafeAppend(at)
		}
	case "version":
		b := field.(*array.Uint64Builder)
		for _, i := range r.Source {
			b.UnsafeAppend(r.Batch.Version(r.Sequence, int(i)))
		}
	case "deleted":
		b := field.(*array.Uint8Builder)
		for _, i := range r.Source {
			var gone uint8
			if r.Deleted[i] {
				gone = 1
			}
			b.UnsafeAppend(gone)
		}
	default:
		panic("columnar: nobody assigns the column " + name) // an assigned column was added to the model and not here
	}
}

func appendText(field array.Builder, r *normalise.Rows, text string) {
	b := field.(*array.StringBuilder)
	for range r.Source {
		b.Append(text)
	}
}

func appendIDs(field array.Builder, r *normalise.Rows, ids []pseudonym.ID) {
	b := field.(*array.FixedSizeBinaryBuilder)
	for _, i := range r.Source {
		b.Append(ids[i][:])
	}
}

// Size estimates the bytes that a change batch will take in a load.
func Size(b *change.Batch) int {
	size := 0
	for _, col := range b.Record.Columns() {
		for _, buf := range col.Data().Buffers() {
			if buf != nil {
				size += buf.Len()
			}
		}
	}
	return size
}
