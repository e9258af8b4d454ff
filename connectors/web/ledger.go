package web

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/cockroachdb/pebble"
	"github.com/cockroachdb/pebble/bloom"
	"github.com/zeebo/xxh3"

	"github.com/shirecounty/shire/connectors"
	"github.com/shirecounty/shire/schemas/change"
)

// ledger remembers the content hash of every record that is on the bus. It is a fold over the datasets' own messages, up to
// a stream sequence that it holds too, so it is never ahead of the bus, catches up when it is behind, and is rebuilt when it
// is lost, or when it is the bus that lost something. Beside the fold it holds how the last pass over the service ended,
// which may be lost: the next pass then reads more and says nothing of it again.
//
// Keys are a letter, the dataset, a zero byte, and:
//
//	d  -              the fold and the last pass (memory)
//	k  record key     content hash
//	b  content hash   of a malformed record that was said, with the number of the last pass that had it
//	t  record key     seen in the pass that goes on, with the time of its last change
//	c  record key     missing from the pass before, which alone does not prove that it was deleted
type ledger struct{ db *pebble.DB }

// memory is what the ledger holds of a dataset beside its records.
type memory struct {
	Sequence uint64          `json:"sequence"`          // folded up to here
	Last     change.Position `json:"last,omitempty"`    // of the newest message that was folded
	Columns  []string        `json:"columns,omitempty"` // of that message

	Of       string          `json:"of,omitempty"`       // fingerprint of the settings that what follows belongs to
	Ended    bool            `json:"ended,omitempty"`    // a pass ended
	Behind   change.Position `json:"behind,omitempty"`   // the newest position when it did
	Since    time.Time       `json:"since,omitzero"`     // where the next one begins
	Cursor   string          `json:"cursor,omitempty"`   // and at which page, of a feed
	Whole    time.Time       `json:"whole,omitzero"`     // when one ended that read everything
	Pass     uint64          `json:"pass"`               // passes so far
	Asked    string          `json:"asked,omitempty"`    // the address that the two below belong to
	ETag     string          `json:"etag,omitempty"`     //
	Modified string          `json:"modified,omitempty"` //
}

func openLedger(dir string) (*ledger, error) {
	// Bounds of its memory (I10): 8 MiB of blocks and two tables of 8 MiB.
	cache := pebble.NewCache(8 << 20)
	defer cache.Unref()
	db, err := pebble.Open(filepath.Join(dir, "ledger"), &pebble.Options{
		Cache: cache, MemTableSize: 8 << 20, Logger: quiet{},
		// Most look-ups are for what is not there: a record that is new, one not yet seen in this pass.
		Levels: []pebble.LevelOptions{{FilterPolicy: bloom.FilterPolicy(10)}},
	})
	if err != nil {
		return nil, fmt.Errorf("open the ledger in %s (is another shire reading the same source? the folder may be deleted while none is, it is rebuilt from the bus): %w", dir, err)
	}
	return &ledger{db}, nil
}

func (l *ledger) close() error { return l.db.Close() }

// quiet keeps the database's own chatter out of the log. What fails is returned to the caller as well.
type quiet struct{}

func (quiet) Infof(string, ...any)      {}
func (quiet) Errorf(string, ...any)     {}
func (quiet) Fatalf(f string, a ...any) { panic(fmt.Sprintf("ledger: "+f, a...)) }

func readError(err error) error  { return fmt.Errorf("read the ledger: %w", err) }
func writeError(err error) error { return fmt.Errorf("write the ledger: %w", err) }

// book is a dataset's part of the ledger.
type book struct {
	db      *pebble.DB
	dataset string
	memory
}

func (b *book) space(letter byte) []byte {
	return append(append(make([]byte, 0, 64), letter), b.dataset+"\x00"...)
}

func (b *book) key(letter byte, rest string) []byte { return append(b.space(letter), rest...) }

// after is the first key behind the space: dataset names hold no byte 1.
func after(space []byte) []byte {
	end := bytes.Clone(space)
	end[len(end)-1] = 1
	return end
}

// value returns a copy; nil when there is none.
func (b *book) value(key []byte) ([]byte, error) {
	v, done, err := b.db.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, readError(err)
	}
	defer done.Close()
	return append([]byte{}, v...), nil
}

func number(v []byte) uint64 {
	if len(v) < 8 {
		return 0
	}
	return binary.BigEndian.Uint64(v)
}

// open reads what the ledger holds of a dataset.
func (l *ledger) open(dataset string) (*book, error) {
	b := &book{db: l.db, dataset: dataset}
	v, err := b.value(b.space('d'))
	if err != nil || v == nil {
		return b, err
	}
	if err := json.Unmarshal(v, &b.memory); err != nil {
		return nil, readError(err)
	}
	return b, nil
}

type writer interface {
	Set(key, value []byte, o *pebble.WriteOptions) error
}

func (b *book) put(w writer, m memory) error {
	data, err := json.Marshal(m)
	if err == nil {
		err = w.Set(b.space('d'), data, pebble.NoSync)
	}
	if err != nil {
		return writeError(err)
	}
	return nil
}

// save keeps how a pass ended. I1: called when everything that it said is safe.
func (b *book) save() error { return b.put(b.db, b.memory) }

// commitBytes is how much is gathered before it is written.
const commitBytes = 2 << 20

// synchronise folds what the bus has beyond what was folded before, and begins anew when the bus does not end where the
// ledger does: it lost messages, and what the ledger remembers of them would never be said again (I4).
func (b *book) synchronise(ctx context.Context, out connectors.Outlet) error {
	if err := b.catchUp(ctx, out); err != nil {
		return err
	}
	newest, err := out.Resume(ctx, b.dataset)
	if err != nil || newest == b.Last {
		return err
	}
	for _, letter := range []byte("dkbtc") {
		from := b.space(letter)
		if err := b.db.DeleteRange(from, after(from), pebble.NoSync); err != nil {
			return writeError(err)
		}
	}
	b.memory = memory{}
	return b.catchUp(ctx, out)
}

// catchUp folds what the bus has of the dataset beyond what was folded before.
func (b *book) catchUp(ctx context.Context, out connectors.Outlet) error {
	batch := b.db.NewBatch()
	defer func() { batch.Close() }()
	next := b.memory
	commit := func() error {
		// The sequence goes with what was folded up to it, in one commit.
		if err := b.put(batch, next); err != nil {
			return err
		}
		if err := batch.Commit(pebble.NoSync); err != nil {
			return writeError(err)
		}
		batch.Reset()
		b.memory = next
		return nil
	}
	err := out.History(ctx, b.dataset, next.Sequence, func(sequence uint64, said *change.Batch) error {
		if err := b.fold(batch, sequence, said); err != nil {
			return err
		}
		next.Sequence, next.Last, next.Columns = sequence, said.Last, said.Columns()
		if batch.Len() < commitBytes {
			return nil
		}
		return commit()
	})
	if err != nil || next.Sequence == b.Sequence {
		return err
	}
	return commit()
}

func (b *book) fold(batch *pebble.Batch, sequence uint64, said *change.Batch) error {
	hash := newHasher(said.Columns())
	records := b.space('k')
	for i := range said.Len() {
		// A row that comes back from quarantine was folded when it came first; later ones may have followed it.
		if said.Version(sequence, i) != change.Version(sequence, i) {
			continue
		}
		key := append(records[:len(records):len(records)], said.Key(i)...)
		var err error
		switch said.Op(i) {
		case change.Malformed:
			err = batch.Set(b.malformed(said.Raw(i)), binary.BigEndian.AppendUint64(nil, b.Pass+1), nil)
		case change.Delete:
			err = batch.Delete(key, nil)
		default:
			err = batch.Set(key, binary.BigEndian.AppendUint64(nil, hash.sumBatch(said, i)), nil)
		}
		if err != nil {
			return writeError(err)
		}
	}
	return nil
}

func (b *book) malformed(raw string) []byte {
	sum := xxh3.HashString128(raw).Bytes()
	return b.key('b', string(sum[:]))
}

// hash is the content hash of a record on the bus.
func (b *book) hash(key string) (hash uint64, known bool, err error) {
	v, err := b.value(b.key('k', key))
	return number(v), v != nil, err
}

// empty tells whether no record of the dataset is on the bus.
func (b *book) empty() (bool, error) {
	it, err := b.iterate('k')
	if err != nil {
		return false, err
	}
	defer it.Close()
	return !it.Valid(), it.Error()
}

// saidMalformed tells whether a malformed record was said, and notes that this pass has it.
func (b *book) saidMalformed(raw string) (bool, error) {
	key := b.malformed(raw)
	v, err := b.value(key)
	if err != nil || v == nil || number(v) == b.Pass+1 {
		return v != nil, err
	}
	if err := b.db.Set(key, binary.BigEndian.AppendUint64(nil, b.Pass+1), pebble.NoSync); err != nil {
		return false, writeError(err)
	}
	return true, nil
}

// forgetMalformed forgets the malformed records that a pass over everything did not have.
func (b *book) forgetMalformed() error {
	it, err := b.iterate('b')
	if err != nil {
		return err
	}
	defer it.Close()
	for ; it.Valid(); it.Next() {
		if number(it.Value()) <= b.Pass {
			if err := b.db.Delete(it.Key(), pebble.NoSync); err != nil {
				return writeError(err)
			}
		}
	}
	return it.Error()
}

func (b *book) iterate(letter byte) (*pebble.Iterator, error) {
	from := b.space(letter)
	it, err := b.db.NewIter(&pebble.IterOptions{LowerBound: from, UpperBound: after(from)})
	if err != nil {
		return nil, readError(err)
	}
	it.First()
	return it, nil
}

// clear empties a space.
func (b *book) clear(letter byte) error {
	from := b.space(letter)
	if err := b.db.DeleteRange(from, after(from), pebble.NoSync); err != nil {
		return writeError(err)
	}
	return nil
}

// see notes that the pass has a record, and returns whether it had it already with the same time or a later one.
func (b *book) see(key string, at time.Time) (already bool, err error) {
	k := b.key('t', key)
	v, err := b.value(k)
	if err != nil {
		return false, err
	}
	moment := uint64(0)
	if !at.IsZero() {
		moment = uint64(max(at.UnixMicro(), 0))
	}
	if v != nil && moment <= number(v) {
		return true, nil
	}
	if err := b.db.Set(k, binary.BigEndian.AppendUint64(nil, moment), pebble.NoSync); err != nil {
		return false, writeError(err)
	}
	return false, nil
}

// missing calls fn with the records on the bus that the pass did not see, and whether the pass before did not see them
// either. It returns how many records there are.
func (b *book) missing(fn func(key string, twice bool) error) (records int64, err error) {
	known, err := b.iterate('k')
	if err != nil {
		return 0, err
	}
	defer known.Close()
	seen, err := b.iterate('t')
	if err != nil {
		return 0, err
	}
	defer seen.Close()
	prefix := len(b.space('k'))
	for ; known.Valid(); known.Next() {
		records++
		key := known.Key()[prefix:]
		for seen.Valid() && bytes.Compare(seen.Key()[prefix:], key) < 0 {
			seen.Next()
		}
		if seen.Valid() && bytes.Equal(seen.Key()[prefix:], key) {
			continue
		}
		candidate, err := b.value(b.key('c', string(key)))
		if err != nil {
			return 0, err
		}
		if err := fn(string(key), candidate != nil); err != nil {
			return 0, err
		}
	}
	return records, errors.Join(known.Error(), seen.Error())
}

// suspect notes a record that one pass did not have.
func (b *book) suspect(key string) error {
	if err := b.db.Set(b.key('c', key), []byte{1}, pebble.NoSync); err != nil {
		return writeError(err)
	}
	return nil
}
