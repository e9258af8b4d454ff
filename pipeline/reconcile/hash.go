package reconcile

import (
	"encoding/binary"
	"strconv"
	"strings"

	"github.com/cespare/xxhash/v2"

	"github.com/shirecounty/shire/pipeline/normalise"
	"github.com/shirecounty/shire/schemas/canonical"
	"github.com/shirecounty/shire/schemas/pseudonym"
)

// A record is compared by a hash of its id and of every column that a contract may fill. Both sides hash the same text:
// a text column with its length before it, so that no value can look like the end of another; a number, a date (in days)
// and a time (in microseconds) in decimal digits; "-" for NULL. Columns that the flow assigns are left out: they tell where
// a record came from and to whom it belongs, not what the department says.

// hashed tells whether a column counts.
func hashed(c *canonical.Column) bool { return c.Origin != canonical.Assigned }

// hashSQL is the hash of a row of a table in ClickHouse's words.
func hashSQL(t *canonical.Table) string {
	parts := []string{"toString(record_id)"}
	for i := range t.Columns {
		c := &t.Columns[i]
		if !hashed(c) {
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
			panic("reconcile: no text for the column " + c.Name) // a column type was added to the model and not here
		}
	}
	return "xxHash64(concat(" + strings.Join(parts, ", ") + "))"
}

// bucketSQL is the key range of a row: the first two bytes of its id, which are spread evenly because it is a hash.
const bucketSQL = "reinterpretAsUInt16(substring(UUIDToNum(record_id), 1, 2))"

func bucketOf(id pseudonym.ID) uint16 { return binary.LittleEndian.Uint16(id[:2]) }

const buckets = 1 << 16

// hasher makes the same hash of a normalised row.
type hasher struct{ text []byte }

func (h *hasher) row(r *normalise.Rows, i int32) uint64 {
	b := append(h.text[:0], r.RecordID[i].String()...)
	for k := range r.Table.Columns {
		c := &r.Table.Columns[k]
		if !hashed(c) {
			continue
		}
		b = append(b, '|')
		col := r.Columns[k]
		switch c.Type {
		case canonical.Text, canonical.Code:
			text := col.TextAt(int(i))
			b = strconv.AppendInt(b, int64(len(text)), 10)
			b = append(b, ':')
			b = append(b, text...)
		default:
			if col.Valid[i] {
				b = strconv.AppendInt(b, col.Ints[i], 10)
			} else {
				b = append(b, '-')
			}
		}
	}
	h.text = b
	return xxhash.Sum64(b)
}
