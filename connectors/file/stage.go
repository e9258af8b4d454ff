package file

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/cockroachdb/pebble"
	"github.com/zeebo/xxh3"

	"github.com/shirecounty/shire/schemas/change"
)

// staging holds a full file's keys beside the state while the two are compared. It lives in the ledger's database,
// on disk, and is begun anew with every file.
type staging struct {
	db      *pebble.DB
	b       *pebble.Batch
	dataset string
	keys    int64 // different keys staged; counted by merge
	before  int64 // records in the state; counted by merge
}

// stage begins anew.
func (l *ledger) stage(dataset string) (*staging, error) {
	s := l.staged(dataset)
	for _, letter := range []byte{'t', 'm', 'p'} {
		from := space(letter, dataset)
		if err := s.b.DeleteRange(from, after(from), nil); err != nil {
			return nil, fmt.Errorf("write the ledger of files: %w", err)
		}
	}
	return s, s.commit()
}

// staged goes on with what was staged.
func (l *ledger) staged(dataset string) *staging {
	return &staging{db: l.db, b: l.db.NewBatch(), dataset: dataset}
}

func (s *staging) close() { s.b.Close() }

func (s *staging) commit() error {
	if err := commit(s.b, pebble.NoSync); err != nil {
		return err
	}
	s.b.Reset()
	return nil
}

func (s *staging) set(letter byte, rest string, value []byte) error {
	if err := s.b.Set(spaceKey(letter, s.dataset, rest), value, nil); err != nil {
		return fmt.Errorf("write the ledger of files: %w", err)
	}
	if s.b.Len() < commitBytes {
		return nil
	}
	return s.commit()
}

// row stages a good row; a later one with the same key replaces it.
func (s *staging) row(key string, ordinal int64, hash uint64) error {
	var v [16]byte
	binary.BigEndian.PutUint64(v[:8], uint64(ordinal))
	binary.BigEndian.PutUint64(v[8:], hash)
	return s.set('t', key, v[:])
}

// keep stages the key of a malformed row: its record is not missing from the file.
func (s *staging) keep(key string) error { return s.set('m', key, []byte{1}) }

// plan notes what will be published for a row.
func (s *staging) plan(ordinal int64, op change.Op, hash uint64) error {
	return s.set('p', string(binary.BigEndian.AppendUint64(nil, uint64(ordinal))), binary.BigEndian.AppendUint64([]byte{byte(op)}, hash))
}

func iterate(db *pebble.DB, from []byte) (*pebble.Iterator, error) {
	it, err := db.NewIter(&pebble.IterOptions{LowerBound: from, UpperBound: after(from)})
	if err != nil {
		return nil, fmt.Errorf("read the ledger of files: %w", err)
	}
	it.First()
	return it, nil
}

// join calls fn with what the staged file does to each record that it changes; the ordinal of a deletion is 0.
func (s *staging) join(fn func(ordinal int64, op change.Op, hash uint64) error) error {
	return s.merge(func(_ []byte, row, record []byte) error {
		switch {
		case row == nil:
			return fn(0, change.Delete, 0)
		case record == nil:
			return fn(int64(binary.BigEndian.Uint64(row)), change.Create, binary.BigEndian.Uint64(row[8:]))
		case !bytes.Equal(row[8:], record):
			return fn(int64(binary.BigEndian.Uint64(row)), change.Update, binary.BigEndian.Uint64(row[8:]))
		}
		return nil
	})
}

// missing calls fn with the keys of the records that the staged file lacks.
func (s *staging) missing(fn func(key string) error) error {
	return s.merge(func(key, row, _ []byte) error {
		if row == nil {
			return fn(string(key))
		}
		return nil
	})
}

// merge walks the staged rows and the records in key order; row or record is nil where there is none. A record
// that only a malformed row has stays as it is.
func (s *staging) merge(fn func(key, row, record []byte) error) error {
	if err := s.commit(); err != nil {
		return err
	}
	rowSpace, recordSpace := space('t', s.dataset), space('k', s.dataset)
	rows, err := iterate(s.db, rowSpace)
	if err != nil {
		return err
	}
	defer rows.Close()
	records, err := iterate(s.db, recordSpace)
	if err != nil {
		return err
	}
	defer records.Close()
	for rows.Valid() || records.Valid() {
		order := 0
		switch {
		case !records.Valid():
			order = -1
		case !rows.Valid():
			order = 1
		default:
			order = bytes.Compare(rows.Key()[len(rowSpace):], records.Key()[len(recordSpace):])
		}
		var key, row, record []byte
		if order <= 0 {
			s.keys++
			key, row = rows.Key()[len(rowSpace):], rows.Value()
		}
		if order >= 0 {
			s.before++
			key, record = records.Key()[len(recordSpace):], records.Value()
		}
		kept := false
		if row == nil {
			if kept, err = s.kept(key); err != nil {
				return err
			}
		}
		if !kept {
			if err := fn(key, row, record); err != nil {
				return err
			}
		}
		if order <= 0 {
			rows.Next()
		}
		if order >= 0 {
			records.Next()
		}
	}
	return errors.Join(rows.Error(), records.Error())
}

func (s *staging) kept(key []byte) (bool, error) {
	_, done, err := s.db.Get(spaceKey('m', s.dataset, string(key)))
	if errors.Is(err, pebble.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("read the ledger of files: %w", err)
	}
	return true, done.Close()
}

// planned walks the plan in the order of the file.
type planned struct {
	it      *pebble.Iterator
	prefix  int
	ordinal int64
	op      change.Op
	hash    uint64
}

func (l *ledger) planned(dataset string) (*planned, error) {
	from := space('p', dataset)
	it, err := iterate(l.db, from)
	if err != nil {
		return nil, err
	}
	p := &planned{it: it, prefix: len(from)}
	p.load()
	return p, nil
}

func (p *planned) load() {
	if p.it.Valid() {
		p.ordinal = int64(binary.BigEndian.Uint64(p.it.Key()[p.prefix:]))
		p.op = change.Op(p.it.Value()[0])
		p.hash = binary.BigEndian.Uint64(p.it.Value()[1:])
	}
}

func (p *planned) valid() bool { return p.it.Valid() }
func (p *planned) advance()    { p.it.Next(); p.load() }
func (p *planned) err() error  { return p.it.Error() }
func (p *planned) close()      { p.it.Close() }

// rowHasher hashes rows so that the order of the columns does not matter. An absent value counts as an empty one.
type rowHasher struct {
	order   []int
	names   []uint64
	scratch []byte
}

func newRowHasher(columns []string) *rowHasher {
	h := &rowHasher{order: make([]int, len(columns)), names: make([]uint64, len(columns))}
	for i, c := range columns {
		h.order[i], h.names[i] = i, xxh3.HashString(c)
	}
	slices.SortFunc(h.order, func(a, b int) int { return strings.Compare(columns[a], columns[b]) })
	return h
}

func (h *rowHasher) add(column int, value string) {
	if value == "" {
		return // a column that is added and still empty changes no record
	}
	h.scratch = binary.BigEndian.AppendUint64(h.scratch, h.names[column])
	h.scratch = binary.AppendUvarint(h.scratch, uint64(len(value)))
	h.scratch = append(h.scratch, value...)
}

// sum is the hash of a good row's values, of a malformed one's text.
func (h *rowHasher) sum(c *change.Change) uint64 {
	if c.Op == change.Malformed {
		return xxh3.HashString(c.Raw)
	}
	h.scratch = h.scratch[:0]
	for _, i := range h.order {
		h.add(i, c.Values[i])
	}
	return xxh3.Hash(h.scratch)
}

// sumBatch is the same for a row that was published.
func (h *rowHasher) sumBatch(b *change.Batch, row int) uint64 {
	h.scratch = h.scratch[:0]
	for _, i := range h.order {
		if v := b.Values(i); v.IsValid(row) {
			h.add(i, v.Value(row))
		}
	}
	return xxh3.Hash(h.scratch)
}
