package query

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/cockroachdb/pebble"
	"github.com/zeebo/xxh3"

	"github.com/shirecounty/shire/connectors"
	"github.com/shirecounty/shire/schemas/change"
	"github.com/shirecounty/shire/schemas/contract"
)

// ledger remembers, of every record of a dataset, what was said of it last. It is a fold over the dataset's own messages on
// the bus, up to a stream sequence that it holds too, so it is never ahead of the bus, catches up when it is behind, and is
// rebuilt when it is lost.
//
// Keys are a letter, the dataset, a zero byte, and:
//
//	d  -             how far the bus was folded (folded)
//	s  -             what only this process knows (local)
//	k  record key    the record (entry)
//	m  hash          a row that could not be used was said
//	t  record key    staged: a key that the table has (entry without content)
type ledger struct{ db *pebble.DB }

// folded is what the ledger knows of a dataset's messages.
type folded struct {
	Sequence uint64   `json:"sequence"`
	Columns  []string `json:"columns,omitempty"` // of the last message
	Proof    uint64   `json:"proof"`             // of the last message, by which it is known again
	Key      []string `json:"key,omitempty"`     // of the last row: the key columns as the database gave them; nil when it has none
}

// local saves work after a restart. It counts only while the bus still ends where it did (Base).
type local struct {
	Read    bool            `json:"read"` // the table was read to its end
	Base    change.Position `json:"base"`
	At      position        `json:"at"`
	Columns []string        `json:"columns,omitempty"`
	Swept   int64           `json:"swept,omitempty"` // when the keys were compared last, Unix seconds; counts always
	Gaps    []gap           `json:"gaps,omitempty"`  // of an outbox; count always
}

// entry is what is known of a record.
type entry struct {
	content xxh3.Uint128
	mark    uint64   // hash of the watermark; 0: unknown, or NULL
	raw     []string // the key columns as the database gave them
}

func (e entry) encode(key string) []byte {
	b := binary.BigEndian.AppendUint64(make([]byte, 0, 24), e.content.Hi)
	b = binary.BigEndian.AppendUint64(b, e.content.Lo)
	b = binary.BigEndian.AppendUint64(b, e.mark)
	if slices.Equal(e.raw, strings.Split(key, change.KeySeparator)) {
		return b
	}
	for _, part := range e.raw {
		b = binary.AppendUvarint(b, uint64(len(part)))
		b = append(b, part...)
	}
	return b
}

func decodeEntry(key string, b []byte) (entry, error) {
	if len(b) < 24 {
		return entry{}, errors.New("the ledger holds an entry that is too short")
	}
	e := entry{content: xxh3.Uint128{Hi: binary.BigEndian.Uint64(b), Lo: binary.BigEndian.Uint64(b[8:])}, mark: binary.BigEndian.Uint64(b[16:])}
	for b = b[24:]; len(b) > 0; {
		n, used := binary.Uvarint(b)
		if used <= 0 || n > uint64(len(b)-used) {
			return entry{}, errors.New("the ledger holds an entry that is cut off")
		}
		e.raw = append(e.raw, string(b[used:used+int(n)]))
		b = b[used+int(n):]
	}
	if e.raw == nil {
		e.raw = strings.Split(key, change.KeySeparator)
	}
	return e, nil
}

func openLedger(dir string) (*ledger, error) {
	// Bounds of its memory (I10): 16 MiB of blocks and two tables of 16 MiB.
	cache := pebble.NewCache(16 << 20)
	defer cache.Unref()
	db, err := pebble.Open(filepath.Join(dir, "ledger"), &pebble.Options{Cache: cache, MemTableSize: 16 << 20, Logger: quiet{}})
	if err != nil {
		return nil, fmt.Errorf("open the ledger of records in %s (is another shire reading the same source? the folder may be deleted while none is, it is rebuilt from the bus): %w", dir, err)
	}
	return &ledger{db}, nil
}

func (l *ledger) close() error { return l.db.Close() }

// quiet keeps the database's own chatter out of the log. What fails is returned to the caller as well.
type quiet struct{}

func (quiet) Infof(string, ...any)      {}
func (quiet) Errorf(string, ...any)     {}
func (quiet) Fatalf(f string, a ...any) { panic(fmt.Sprintf("ledger of records: "+f, a...)) }

func space(letter byte, dataset string) []byte {
	return append(append(make([]byte, 0, 64), letter), dataset+"\x00"...)
}

func spaceKey(letter byte, dataset, rest string) []byte {
	return append(space(letter, dataset), rest...)
}

// after is the first key behind the space: dataset names hold no byte 1.
func after(space []byte) []byte {
	end := slices.Clone(space)
	end[len(end)-1] = 1
	return end
}

// value calls fn with a value, if there is one.
func (l *ledger) value(key []byte, fn func([]byte) error) (bool, error) {
	v, done, err := l.db.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return false, nil
	}
	if err == nil {
		err = errors.Join(fn(v), done.Close())
	}
	if err != nil {
		return false, fmt.Errorf("read the ledger of records: %w", err)
	}
	return true, nil
}

func (l *ledger) record(dataset, key string) (e entry, known bool, err error) {
	known, err = l.value(spaceKey('k', dataset, key), func(v []byte) (err error) {
		e, err = decodeEntry(key, v)
		return err
	})
	return e, known, err
}

func (l *ledger) malformed(dataset, hash string) (bool, error) {
	return l.value(spaceKey('m', dataset, hash), func([]byte) error { return nil })
}

func (l *ledger) folded(dataset string) (f folded, err error) {
	_, err = l.value(space('d', dataset), func(v []byte) error { return json.Unmarshal(v, &f) })
	return f, err
}

func (l *ledger) local(dataset string) (s local, err error) {
	_, err = l.value(space('s', dataset), func(v []byte) error { return json.Unmarshal(v, &s) })
	return s, err
}

func (l *ledger) setLocal(dataset string, s local) error {
	data, err := json.Marshal(s)
	if err == nil {
		err = l.db.Set(space('s', dataset), data, pebble.NoSync)
	}
	return written(err)
}

func written(err error) error {
	if err != nil {
		return fmt.Errorf("write the ledger of records: %w", err)
	}
	return nil
}

// commitBytes is how much is gathered before it is written.
const commitBytes = 2 << 20

// catchUp folds what the bus has of the dataset beyond what was folded before.
func (l *ledger) catchUp(ctx context.Context, out connectors.Outlet, d *contract.Dataset, mark string) (folded, error) {
	f, err := l.folded(d.Name)
	if err != nil {
		return f, err
	}
	b := l.db.NewBatch()
	defer func() { b.Close() }()
	from := f.Sequence
	commit := func() error {
		// The sequence goes with what was folded up to it, in one commit.
		data, err := json.Marshal(f)
		if err == nil {
			err = errors.Join(b.Set(space('d', d.Name), data, nil), b.Commit(pebble.NoSync))
		}
		b.Reset()
		return written(err)
	}
	err = out.History(ctx, d.Name, f.Sequence, func(sequence uint64, batch *change.Batch) error {
		f.Sequence, f.Columns, f.Proof = sequence, cloneAll(batch.Columns()), proofOf(batch)
		f.Key, err = foldBatch(b, d, mark, sequence, batch)
		if err != nil || b.Len() < commitBytes {
			return err
		}
		return commit()
	})
	if err != nil || f.Sequence == from {
		return f, err
	}
	return f, commit()
}

// prove empties what is known of a dataset when the message that was folded last is no longer on the bus: a bus that lost
// its newest messages would otherwise be taken to hold what it has not.
func (l *ledger) prove(ctx context.Context, out connectors.Outlet, dataset string) error {
	f, err := l.folded(dataset)
	if err != nil || f.Sequence == 0 {
		return err
	}
	proven, enough := false, errors.New("enough")
	err = out.History(ctx, dataset, f.Sequence-1, func(sequence uint64, batch *change.Batch) error {
		proven = sequence == f.Sequence && proofOf(batch) == f.Proof
		return enough
	})
	if err != nil && !errors.Is(err, enough) {
		return err
	}
	if proven {
		return nil
	}
	b := l.db.NewBatch()
	defer b.Close()
	for _, letter := range []byte("dskmt") {
		from := space(letter, dataset)
		if err := b.DeleteRange(from, after(from), nil); err != nil {
			return written(err)
		}
	}
	return written(b.Commit(pebble.Sync))
}

func proofOf(b *change.Batch) uint64 {
	h := xxh3.New()
	h.WriteString(string(b.Last))
	for i := range b.Len() {
		h.WriteString(b.Key(i))
		h.Write([]byte{0, byte(b.Op(i))})
	}
	return h.Sum64()
}

func cloneAll(list []string) []string {
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = strings.Clone(s)
	}
	return out
}

// foldBatch takes over what a message says of the records, and returns the key columns of its last row.
func foldBatch(b *pebble.Batch, d *contract.Dataset, mark string, sequence uint64, batch *change.Batch) (last []string, err error) {
	columns := batch.Columns()
	hash := newRowHasher(columns)
	keyer, _ := connectors.NewKeyer(d, columns) // nil: the contract's key was another then
	markAt := slices.Index(columns, mark)
	values, null := make([]string, len(columns)), make([]bool, len(columns))
	for i := range batch.Len() {
		last = nil
		// A row that comes back from quarantine was folded when it came first; later ones may have followed it.
		if batch.Version(sequence, i) != change.Version(sequence, i) {
			continue
		}
		key := batch.Key(i)
		switch batch.Op(i) {
		case change.Malformed:
			err = b.Set(spaceKey('m', d.Name, hashOf(batch.Raw(i))), []byte{1}, nil)
		case change.Delete:
			err = b.Delete(spaceKey('k', d.Name, key), nil)
		default:
			for c := range columns {
				v := batch.Values(c)
				if null[c] = v.IsNull(i); null[c] {
					values[c] = ""
				} else {
					values[c] = v.Value(i)
				}
			}
			e := entry{content: hash.sum(values, null), raw: strings.Split(key, change.KeySeparator)}
			if keyer != nil {
				e.raw = rawKey(keyer, values)
			}
			if markAt >= 0 && !null[markAt] {
				e.mark = markHash(values[markAt])
			}
			last = cloneAll(e.raw)
			err = b.Set(spaceKey('k', d.Name, key), e.encode(key), nil)
		}
		if err != nil {
			return nil, written(err)
		}
	}
	return last, nil
}

// rawKey are the key's columns as the database gave them.
func rawKey(k *connectors.Keyer, values []string) []string {
	raw := make([]string, len(k.Columns()))
	for i, at := range k.Columns() {
		raw[i] = values[at]
	}
	return raw
}

func markHash(mark string) uint64 { return max(1, xxh3.HashString(mark)) }

func hashOf(raw string) string {
	b := xxh3.HashString128(raw).Bytes()
	return string(b[:])
}

// rowHasher hashes rows so that the order of the columns does not matter. A column that is added and NULL changes no
// record; an empty value is another than NULL.
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

func (h *rowHasher) sum(values []string, null []bool) xxh3.Uint128 {
	h.scratch = h.scratch[:0]
	for _, i := range h.order {
		if null != nil && null[i] {
			continue
		}
		h.scratch = binary.BigEndian.AppendUint64(h.scratch, h.names[i])
		h.scratch = binary.AppendUvarint(h.scratch, uint64(len(values[i])))
		h.scratch = append(h.scratch, values[i]...)
	}
	return xxh3.Hash128(h.scratch)
}
