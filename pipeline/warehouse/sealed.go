package warehouse

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"

	"github.com/shirecounty/shire/pipeline/seal"
	"github.com/shirecounty/shire/schemas/canonical"
	"github.com/shirecounty/shire/schemas/pseudonym"
)

// Sealer seals and opens what names people in the restricted tables. It may be used by several goroutines.
type Sealer struct {
	keys   *seal.Keyring
	hasher *pseudonym.Hasher
}

// NewSealer makes one. The hasher is that of the county's pseudonyms; it is cloned for each use.
func NewSealer(keys *seal.Keyring, hasher *pseudonym.Hasher) *Sealer { return &Sealer{keys, hasher} }

// Current is the number of the key that seals.
func (s *Sealer) Current() uint32 { return s.keys.Current() }

// Sealer seals the loads; nil when none does.
func (w *Warehouse) Sealer() *Sealer { return w.sealer.Load() }

// Seal has every load from now on sealed; a load that is under way keeps the key that it began with.
func (w *Warehouse) Seal(s *Sealer) { w.sealer.Store(s) }

// sealedPlace binds sealed values to the version of the record that they are of: nobody can move them to another one.
func sealedPlace(t *canonical.Table, id pseudonym.ID, version uint64) []byte {
	return binary.BigEndian.AppendUint64(append(append([]byte(t.Name), 0), id[:]...), version)
}

// seal is the values of a row, those of the table's Sealed columns, as one text; nil when there is none.
func (s *Sealer) seal(t *canonical.Table, id pseudonym.ID, version uint64, values []string) ([]byte, error) {
	var plain []byte
	some := false
	for _, v := range values {
		some = some || v != ""
		plain = append(binary.AppendUvarint(plain, uint64(len(v))), v...)
	}
	if !some {
		return nil, nil
	}
	return s.keys.Seal(nil, sealedPlace(t, id, version), plain)
}

// Open gives back the values of a sealed row by the names of their columns.
func (s *Sealer) Open(t *canonical.Table, id pseudonym.ID, version uint64, sealed []byte) (map[string]string, error) {
	plain, err := s.keys.Open(sealedPlace(t, id, version), sealed)
	if err != nil {
		return nil, fmt.Errorf("%s.%s: %w", t.Database, t.Name, err)
	}
	values := map[string]string{}
	for _, name := range t.Sealed() {
		if len(plain) == 0 {
			break // sealed before the column was
		}
		n, size := binary.Uvarint(plain)
		if size <= 0 || n > uint64(len(plain)-size) {
			return nil, errors.New("a stored record is not as it was written")
		}
		values[name] = string(plain[size : size+int(n)])
		plain = plain[size+int(n):]
	}
	return values, nil
}

// Hash is that of what a row says: see [ContentHash].
func (s *Sealer) Hash(t *canonical.Table, content []byte) uint64 {
	return ContentHash(s.hasher.Clone(), t, content)
}

// sealing is what stands beside a row's own columns once it is sealed.
type sealing struct {
	sealed  []string
	key     []uint32
	content []uint64
	sex     []string
	year    []uint16
}

// add seals the row of a record's version. content is what it says as text.
func (s *Sealer) add(to *sealing, h *pseudonym.Hasher, t *canonical.Table, id pseudonym.ID, version uint64, content []byte, values []string) error {
	sealed, err := s.seal(t, id, version, values)
	if err != nil {
		return err
	}
	key, sex, year := uint32(0), "", uint16(0)
	if sealed != nil {
		key = s.keys.Current()
		if t.Mention == canonical.PersonMention {
			sex, year = NumberSays(values[1])
		}
	}
	to.sealed, to.key, to.content = append(to.sealed, string(sealed)), append(to.key, key), append(to.content, ContentHash(h, t, content))
	to.sex, to.year = append(to.sex, sex), append(to.year, year)
	return nil
}

// NumberSays is the sex (male or female) and the year of birth of a citizen number, "" and 0 where it is none: what stands in the
// clear beside a sealed number, and what the views show of it (I7).
func NumberSays(number string) (sex string, year uint16) {
	if len(number) != 18 {
		return "", 0
	}
	for _, c := range []byte(number[6:10]) {
		if c < '0' || c > '9' {
			return "", 0
		}
		year = 10*year + uint16(c-'0')
	}
	if (number[16]-'0')%2 == 1 {
		return "male", year
	}
	return "female", year
}

// columns are those of the sealing in the words of a table.
func (s *sealing) columns(t *canonical.Table) []cells {
	out := []cells{
		{"sealed", func() any { return s.sealed }}, {"sealed_key", func() any { return s.key }}, {"content_hash", func() any { return s.content }},
	}
	if t.Mention == canonical.PersonMention {
		out = append(out, cells{"number_sex", func() any { return s.sex }}, cells{"number_year", func() any { return s.year }})
	}
	return out
}

// sealRecord seals the rows of a table's record.
func (s *Sealer) sealRecord(t *canonical.Table, record arrow.Record) (*sealing, error) {
	h := s.hasher.Clone()
	var columns []*array.String
	for _, name := range t.Sealed() {
		k, _ := t.Column(name)
		columns = append(columns, record.Column(k).(*array.String))
	}
	k, _ := t.Column("record_id")
	ids := record.Column(k).(*array.FixedSizeBinary)
	k, _ = t.Column("version")
	versions := record.Column(k).(*array.Uint64)
	out := &sealing{}
	values := make([]string, len(columns))
	var text []byte
	for i := range int(record.NumRows()) {
		for k, c := range columns {
			values[k] = c.Value(i)
		}
		id := pseudonym.ID(ids.Value(i))
		text = appendContent(text[:0], t, record, id, i)
		if err := s.add(out, h, t, id, versions.Value(i), text, values); err != nil {
			return nil, err
		}
	}
	return out, nil
}
