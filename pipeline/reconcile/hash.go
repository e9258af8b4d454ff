package reconcile

import (
	"encoding/binary"
	"slices"
	"strconv"

	"github.com/cespare/xxhash/v2"

	"github.com/shirecounty/shire/pipeline/normalise"
	"github.com/shirecounty/shire/pipeline/warehouse"
	"github.com/shirecounty/shire/schemas/canonical"
	"github.com/shirecounty/shire/schemas/pseudonym"
)

// A record is compared by a hash of what it says, which is one text on both sides: see [warehouse.ContentSQL]. That of a
// restricted table is keyed, and stands beside the row, whose values ClickHouse cannot read. It was made when the row was written,
// and says nothing of what became of the columns that stand in the clear: so these are hashed again with it.

// Sealed knows what is sealed in the restricted tables.
type Sealed interface {
	// Hash is the keyed hash of what a row says.
	Hash(t *canonical.Table, content []byte) uint64
	// Open gives back the values of a sealed row by the names of their columns.
	Open(t *canonical.Table, id pseudonym.ID, version uint64, sealed []byte) (map[string]string, error)
}

// hashSQL is the hash of a row of a table that is not sealed, in ClickHouse's words.
func hashSQL(t *canonical.Table) string { return "xxHash64(" + warehouse.ContentSQL(t) + ")" }

// sealedHashSQL is the hash of a row of a restricted table that has a keyed hash beside it, in ClickHouse's words.
func sealedHashSQL(t *canonical.Table) string {
	text := "toString(content_hash), '|', " + warehouse.ClearSQL(t)
	if t.Mention == canonical.PersonMention {
		text += ", '|', toString(number_sex), '|', toString(number_year)"
	}
	return "xxHash64(concat(" + text + "))"
}

// numberSQL is the citizen number of a row that is not sealed, in ClickHouse's words.
func numberSQL(t *canonical.Table) string {
	if t.Mention == canonical.PersonMention {
		return numberColumn
	}
	return "''"
}

const numberColumn = "id_number"

// sealedHash is the same of its keyed hash, its text in the clear, and the citizen number that is sealed.
func sealedHash(t *canonical.Table, content uint64, shown []byte, number string) uint64 {
	b := append(strconv.AppendUint(nil, content, 10), '|')
	b = append(b, shown...)
	if t.Mention == canonical.PersonMention {
		sex, year := warehouse.NumberSays(number)
		b = append(append(append(b, '|'), sex...), '|')
		b = strconv.AppendUint(b, uint64(year), 10)
	}
	return xxhash.Sum64(b)
}

// bucketSQL is the key range of a row: the first two bytes of its id, which are spread evenly because it is a hash.
const bucketSQL = "reinterpretAsUInt16(substring(UUIDToNum(record_id), 1, 2))"

func bucketOf(id pseudonym.ID) uint16 { return binary.LittleEndian.Uint16(id[:2]) }

const buckets = 1 << 16

// hasher makes the same hash of a normalised row.
type hasher struct {
	sealed Sealed // nil when nothing is
	text   []byte
	shown  []byte // the part of it that is not sealed
}

func (h *hasher) row(r *normalise.Rows, i int32) uint64 {
	sealed := h.sealed != nil && r.Table.Personal
	b := append(h.text[:0], r.RecordID[i].String()...)
	shown := append(h.shown[:0], b...)
	number := ""
	for k := range r.Table.Columns {
		c := &r.Table.Columns[k]
		if !warehouse.Compared(c) {
			continue
		}
		from := len(b)
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
		switch {
		case !sealed:
		case c.Name == numberColumn:
			number = col.TextAt(int(i))
		case !slices.Contains(r.Table.Sealed(), c.Name):
			shown = append(shown, b[from:]...)
		}
	}
	h.text, h.shown = b, shown
	if sealed {
		return sealedHash(r.Table, h.sealed.Hash(r.Table, b), shown, number)
	}
	return xxhash.Sum64(b)
}
