package columnar

import (
	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/memory"

	"github.com/shirecounty/shire/pipeline/identity"
	"github.com/shirecounty/shire/schemas/canonical"
	"github.com/shirecounty/shire/schemas/pseudonym"
)

// Links are the relinks of a load as a table, in the columns of canonical.Links.
func Links(links []identity.Link) Table {
	t := canonical.Links
	rb := array.NewRecordBuilder(memory.DefaultAllocator, t.Schema())
	defer rb.Release()
	rb.Reserve(len(links))
	for i, col := range t.Columns {
		field := rb.Field(i)
		for k := range links {
			appendLink(field, col.Name, &links[k])
		}
	}
	return Table{Table: t, Record: rb.NewRecord()}
}

func appendLink(field array.Builder, column string, l *identity.Link) {
	text := func(s string) { field.(*array.StringBuilder).Append(s) }
	id := func(id pseudonym.ID) { field.(*array.FixedSizeBinaryBuilder).Append(id[:]) }
	switch column {
	case "record_id":
		id(l.Record)
	case "party":
		text(l.About)
	case "kind":
		text(l.Kind)
	case "previous_id":
		id(l.Previous)
	case "party_id":
		id(l.Party)
	case "rule":
		text(l.Rule)
	case "weight":
		if b := field.(*array.Int64Builder); l.Weighed {
			b.Append(int64(l.Weight))
		} else {
			b.AppendNull()
		}
	case "record_a":
		id(l.A)
	case "record_b":
		id(l.B)
	case "model":
		text(l.Model)
	case "effective_at":
		field.(*array.TimestampBuilder).Append(arrow.Timestamp(l.Time.UnixMicro()))
	case "version":
		field.(*array.Uint64Builder).Append(l.At)
	default:
		panic("columnar: nobody fills the column " + column + " of links") // a column was added to the model and not here
	}
}
