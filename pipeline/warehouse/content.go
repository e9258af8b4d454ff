package warehouse

import (
	"encoding/binary"
	"slices"
	"strconv"
	"strings"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"

	"github.com/shirecounty/shire/schemas/canonical"
	"github.com/shirecounty/shire/schemas/pseudonym"
)

// What a row says is compared by a hash of its id and of every column that a contract may fill, as one text: a text column with
// its length before it, so that no value can look like the end of another; a number, a date (in days) and a time (in
// microseconds) in decimal digits; "-" for NULL. Columns that the flow assigns are left out: they tell where a record came from
// and to whom it belongs, not what the department says.

// Compared tells whether a column is part of the text.
func Compared(c *canonical.Column) bool { return c.Origin != canonical.Assigned }

// ContentSQL is the text of a row in ClickHouse's words. Of a sealed row it is not what the department says.
func ContentSQL(t *canonical.Table) string { return textSQL(t, Compared) }

// ClearSQL is that part of the text of a row which is not sealed.
func ClearSQL(t *canonical.Table) string {
	return textSQL(t, func(c *canonical.Column) bool { return Compared(c) && !slices.Contains(t.Sealed(), c.Name) })
}

func textSQL(t *canonical.Table, in func(*canonical.Column) bool) string {
	parts := []string{"toString(record_id)"}
	for i := range t.Columns {
		c := &t.Columns[i]
		if !in(c) {
			continue
		}
		parts = append(parts, "'|'")
		switch c.Type {
		case canonical.Text, canonical.Code:
			parts = append(parts, "toString(length("+c.Name+"))", "':'", c.Name)
		case canonical.Date:
			parts = append(parts, "ifNull(toString(toInt32("+c.Name+")), '-')")
		case canonical.Timestamp:
			parts = append(parts, "ifNull(toString(toUnixTimestamp64Micro("+c.Name+")), '-')")
		case canonical.Integer, canonical.Money:
			parts = append(parts, "ifNull(toString("+c.Name+"), '-')")
		default:
			panic("warehouse: no text for the column " + c.Name) // a column type was added to the model and not here
		}
	}
	return "concat(" + strings.Join(parts, ", ") + ")"
}

// appendContent appends the same text of row i of a record.
func appendContent(b []byte, t *canonical.Table, record arrow.Record, id pseudonym.ID, i int) []byte {
	b = append(b, id.String()...)
	for k := range t.Columns {
		if !Compared(&t.Columns[k]) {
			continue
		}
		b = append(b, '|')
		switch a := record.Column(k).(type) {
		case *array.String:
			b = append(append(strconv.AppendInt(b, int64(a.ValueLen(i)), 10), ':'), a.Value(i)...)
		case *array.Date32:
			b = appendNumber(b, a.IsValid(i), int64(a.Value(i)))
		case *array.Timestamp:
			b = appendNumber(b, a.IsValid(i), int64(a.Value(i)))
		case *array.Int64:
			b = appendNumber(b, a.IsValid(i), a.Value(i))
		default:
			panic("warehouse: no text for the column " + t.Columns[k].Name) // see ContentSQL
		}
	}
	return b
}

func appendNumber(b []byte, valid bool, n int64) []byte {
	if !valid {
		return append(b, '-')
	}
	return strconv.AppendInt(b, n, 10)
}

// ContentHash is the hash by which rows of a restricted table are compared: keyed, because who guesses what a row says could else
// see that it is right (I7). It is never 0.
func ContentHash(h *pseudonym.Hasher, t *canonical.Table, content []byte) uint64 {
	id := h.ID("content/"+t.Name, string(content))
	return max(1, binary.LittleEndian.Uint64(id[:8]))
}
