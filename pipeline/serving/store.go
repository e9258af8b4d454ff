// Package serving keeps the departments' records for the sharing interface: by key, by whom they are about, by case. It lies
// beside ClickHouse because a window clerk asks for one person at a time and waits for the answer, thousands of times a minute.
//
// The store is a fold over the bus, up to a sequence that it holds too: it is never ahead of the bus, catches up when it is
// behind, and is made anew when it is lost. Who a record is about today is not kept here: a record names its mentions, and the
// identity stage knows whose they are, so that a merge or a split shows at once.
package serving

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble"
	"github.com/cockroachdb/pebble/bloom"

	"github.com/shirecounty/shire/pipeline/seal"
	"github.com/shirecounty/shire/schemas/pseudonym"
)

// The keys are a letter and ids, none of which tells anything to who lacks the county's key (I7):
//
//	r record              the record, sealed
//	v record              its newest version, with 1 when that one says that it is gone
//	m mention, record     the records that make a mention
//	n number, record      the records whose mention has a number
//	c case, record        the record of a case number
//	k key                 how many records a key has sealed
//	p                     the sequence up to which the bus is here
const (
	recordKey  = 'r'
	versionKey = 'v'
	mentionKey = 'm'
	numberKey  = 'n'
	caseKey    = 'c'
	usesKey    = 'k'
)

var positionKey = []byte{'p'}

// Options of a store.
type Options struct {
	Keys  *seal.Keyring
	Cache int64 // bytes of blocks kept in memory; default 256 MiB
}

// Store is an open store. All may go on at any time; who writes waits for who writes.
type Store struct {
	db      *pebble.DB
	writing sync.Mutex
	keys    atomic.Pointer[seal.Keyring] // read after what it is to open: it may be one that was sealed just now

	mu       sync.RWMutex
	position uint64
	uses     map[uint32]uint64 // records by the key that has sealed them
}

// Open opens the store in a folder, which is made when there is none.
func Open(dir string, o Options) (*Store, error) {
	if o.Cache == 0 {
		o.Cache = 256 << 20
	}
	cache := pebble.NewCache(o.Cache)
	defer cache.Unref()
	options := &pebble.Options{Cache: cache, MemTableSize: 32 << 20, Logger: quiet{}}
	for range 7 {
		// What is sealed cannot be compressed, and whom the next question is about is never near the last: small blocks, as they are.
		options.Levels = append(options.Levels, pebble.LevelOptions{FilterPolicy: bloom.FilterPolicy(10), BlockSize: 4 << 10, Compression: pebble.NoCompression})
	}
	db, err := pebble.Open(dir, options)
	if err != nil {
		return nil, fmt.Errorf("open the store of records to share in %s (is another shire using it? the folder may be deleted while none is, it is made anew from the bus): %w", dir, err)
	}
	s := &Store{db: db}
	s.keys.Store(o.Keys)
	if s.uses, err = readUses(db); err != nil {
		db.Close()
		return nil, err
	}
	value, closer, err := db.Get(positionKey)
	switch {
	case err == nil:
		if len(value) == 8 {
			s.position = binary.BigEndian.Uint64(value)
		}
		closer.Close()
	case !errors.Is(err, pebble.ErrNotFound):
		db.Close()
		return nil, fmt.Errorf("read the store of records to share: %w", err)
	}
	return s, nil
}

// Close closes the store.
func (s *Store) Close() error { return s.db.Close() }

// quiet keeps the database's own chatter out of the log. What fails is returned to the caller as well.
type quiet struct{}

func (quiet) Infof(string, ...any)      {}
func (quiet) Errorf(string, ...any)     {}
func (quiet) Fatalf(f string, a ...any) { panic(fmt.Sprintf("store of records to share: "+f, a...)) }

// Position is the sequence up to which the bus is in the store.
func (s *Store) Position() uint64 {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.position
}

// Change is what became of one record: a new version, or that it is gone.
type Change struct {
	Record *Record
	Gone   bool // Record holds its ID and Version
}

func key(letter byte, ids ...pseudonym.ID) []byte {
	out := make([]byte, 0, 1+16*len(ids))
	out = append(out, letter)
	for _, id := range ids {
		out = append(out, id[:]...)
	}
	return out
}

// Apply takes the changes of the messages up to a sequence, all or none. A change that is older than what is here does nothing,
// so that messages may come again, and in any order.
func (s *Store) Apply(position uint64, changes []Change) error {
	s.writing.Lock()
	defer s.writing.Unlock()
	b := s.db.NewIndexedBatch()
	defer b.Close()
	uses := s.recount()
	var plain, sealed []byte
	for i := range changes {
		c := &changes[i]
		id := c.Record.ID
		at, err := s.newest(b, id)
		if err != nil {
			return err
		}
		if at >= c.Record.Version {
			continue
		}
		if err := s.unlink(b, id, uses); err != nil {
			return err
		}
		// A record that is gone leaves its version, or an older one that comes again would bring it back.
		if err := b.Set(key(versionKey, id), binary.BigEndian.AppendUint64(nil, c.Record.Version), nil); err != nil {
			return err
		}
		if c.Gone {
			if err := b.Delete(key(recordKey, id), nil); err != nil {
				return err
			}
			continue
		}
		plain = c.Record.encode(plain[:0])
		place := key(recordKey, id)
		if sealed, err = s.keys.Load().Seal(sealed[:0], place, plain); err != nil {
			return err
		}
		if err := b.Set(place, sealed, nil); err != nil {
			return err
		}
		uses.sealed(sealed)
		for _, k := range indexes(c.Record) {
			if err := b.Set(k, nil, nil); err != nil {
				return err
			}
		}
	}
	if err := b.Set(positionKey, binary.BigEndian.AppendUint64(nil, position), nil); err != nil {
		return err
	}
	if err := uses.write(b); err != nil {
		return err
	}
	// The disk is not waited for: what a power cut takes, the bus still has.
	if err := b.Commit(pebble.NoSync); err != nil {
		return fmt.Errorf("write the store of records to share: %w", err)
	}
	s.mu.Lock()
	s.position, s.uses = position, uses.now
	s.mu.Unlock()
	return nil
}

// newest is the version of a record that the store knows of; 0 when it knows none.
func (s *Store) newest(b *pebble.Batch, id pseudonym.ID) (uint64, error) {
	value, closer, err := b.Get(key(versionKey, id))
	if errors.Is(err, pebble.ErrNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("read the store of records to share: %w", err)
	}
	defer closer.Close()
	if len(value) != 8 {
		return 0, errCutOff
	}
	return binary.BigEndian.Uint64(value), nil
}

// unlink takes away the ways to a record that is about to be replaced.
func (s *Store) unlink(b *pebble.Batch, id pseudonym.ID, uses *recount) error {
	value, closer, err := b.Get(key(recordKey, id))
	if errors.Is(err, pebble.ErrNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the store of records to share: %w", err)
	}
	uses.replaced(value)
	old, err := s.unseal(id, value)
	closer.Close()
	if err != nil {
		return err
	}
	for _, k := range indexes(old) {
		if err := b.Delete(k, nil); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) unseal(id pseudonym.ID, sealed []byte) (*Record, error) {
	plain, err := s.keys.Load().Open(key(recordKey, id), sealed)
	if err != nil {
		return nil, fmt.Errorf("%w; the store of records to share may also be removed, it is made anew from the bus", err)
	}
	return decode(id, plain)
}

// indexes are the ways to a record.
func indexes(r *Record) (keys [][]byte) {
	for _, m := range r.Mentions {
		keys = append(keys, key(mentionKey, m.Record, r.ID))
		if !m.Number.IsZero() {
			keys = append(keys, key(numberKey, m.Number, r.ID))
		}
	}
	if r.Case != nil {
		keys = append(keys, key(caseKey, caseID(r.Case.Number), r.ID))
	}
	return keys
}

// caseID is where a case number stands. Case numbers are no secret; only their length has to be one.
func caseID(number string) (id pseudonym.ID) {
	sum := sha256.Sum256([]byte(number))
	copy(id[:], sum[:])
	return id
}

// Get is a record by its ID; nil when there is none.
func (s *Store) Get(id pseudonym.ID) (*Record, error) {
	value, closer, err := s.db.Get(key(recordKey, id))
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the store of records to share: %w", err)
	}
	defer closer.Close()
	return s.unseal(id, value)
}

// MostRecords bounds what one question may bring up: a person with more records than this is no person (I10).
const MostRecords = 1000

// ErrTooMany says that a question brings up more than MostRecords.
var ErrTooMany = errors.New("there are more records than one answer may hold")

// ByMentions are the records that make any of the mentions, by version; each once.
func (s *Store) ByMentions(mentions []pseudonym.ID) ([]*Record, error) {
	return s.along(mentionKey, mentions)
}

// ByNumber are the records whose mention has the number: see [Mention].
func (s *Store) ByNumber(number pseudonym.ID) ([]*Record, error) {
	return s.along(numberKey, []pseudonym.ID{number})
}

// ByCase are the records of a case number.
func (s *Store) ByCase(number string) ([]*Record, error) {
	return s.along(caseKey, []pseudonym.ID{caseID(number)})
}

func (s *Store) along(letter byte, from []pseudonym.ID) ([]*Record, error) {
	// One view for the ways and what they lead to.
	view := s.db.NewSnapshot()
	defer view.Close()
	seen := map[pseudonym.ID]bool{}
	var out []*Record
	for _, id := range from {
		ids, err := follow(view, key(letter, id))
		if err != nil {
			return nil, err
		}
		for _, id := range ids {
			if seen[id] {
				continue
			}
			seen[id] = true
			if len(seen) > MostRecords {
				return nil, ErrTooMany
			}
			value, closer, err := view.Get(key(recordKey, id))
			if err != nil {
				return nil, fmt.Errorf("read the store of records to share: %w", err)
			}
			r, err := s.unseal(id, value)
			closer.Close()
			if err != nil {
				return nil, err
			}
			out = append(out, r)
		}
	}
	slices.SortFunc(out, func(a, b *Record) int { return cmp.Compare(a.Version, b.Version) })
	return out, nil
}

// follow lists the records behind a way.
func follow(view *pebble.Snapshot, way []byte) (ids []pseudonym.ID, err error) {
	end := append(slices.Clone(way), bytes.Repeat([]byte{0xff}, 17)...) // behind every id
	it, err := view.NewIter(&pebble.IterOptions{LowerBound: way, UpperBound: end})
	if err != nil {
		return nil, fmt.Errorf("read the store of records to share: %w", err)
	}
	for it.First(); it.Valid() && len(ids) <= MostRecords; it.Next() {
		var id pseudonym.ID
		copy(id[:], it.Key()[len(way):])
		ids = append(ids, id)
	}
	if err := it.Close(); err != nil {
		return nil, fmt.Errorf("read the store of records to share: %w", err)
	}
	return ids, nil
}
