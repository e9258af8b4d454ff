package reconcile

import (
	"encoding/binary"
	"strconv"

	"github.com/cespare/xxhash/v2"

	"github.com/shirecounty/shire/pipeline/normalise"
	"github.com/shirecounty/shire/pipeline/warehouse"
	"github.com/shirecounty/shire/schemas/canonical"
	"github.com/shirecounty/shire/schemas/pseudonym"
)

// A record is compared by a hash of what it says, which is one text on both sides: see [warehouse.ContentSQL]. That of a
// restricted table is keyed, and stands beside the row, whose values ClickHouse cannot read.

// Sealed knows what is sealed in the restricted tables.
type Sealed interface {
	// Hash is the keyed hash of what a row says.
	Hash(t *canonical.Table, content []byte) uint64
	// Open gives back the values of a sealed row by the names of their columns.
	Open(t *canonical.Table, id pseudonym.ID, version uint64, sealed []byte) (map[string]string, error)
}

// hashSQL is the hash of a row of a table that is not sealed, in ClickHouse's words.
func hashSQL(t *canonical.Table) string { return "xxHash64(" + warehouse.ContentSQL(t) + ")" }

// bucketSQL is the key range of a row: the first two bytes of its id, which are spread evenly because it is a hash.
const bucketSQL = "reinterpretAsUInt16(substring(UUIDToNum(record_id), 1, 2))"

func bucketOf(id pseudonym.ID) uint16 { return binary.LittleEndian.Uint16(id[:2]) }

const buckets = 1 << 16

// hasher makes the same hash of a normalised row.
type hasher struct {
	sealed Sealed // nil when nothing is
	text   []byte
}

func (h *hasher) row(r *normalise.Rows, i int32) uint64 {
	b := append(h.text[:0], r.RecordID[i].String()...)
	for k := range r.Table.Columns {
		c := &r.Table.Columns[k]
		if !warehouse.Compared(c) {
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
	if h.sealed != nil && r.Table.Personal {
		return h.sealed.Hash(r.Table, b)
	}
	return xxhash.Sum64(b)
}
