package serving

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/cockroachdb/pebble"

	"github.com/shirecounty/shire/pipeline/seal"
	"github.com/shirecounty/shire/schemas/pseudonym"
)

// How many records each key has sealed is counted with every write and stored with it, so that it is known at once and is as true
// after a kill as the records are.

// PlaceName is how the store is called among the places of sealed values.
const PlaceName = "sharing"

var _ seal.Place = (*Store)(nil)

// recount is how many records the keys have sealed once a batch is written.
type recount struct{ before, now map[uint32]uint64 }

func (s *Store) recount() *recount { return &recount{s.uses, maps.Clone(s.uses)} }

func (r *recount) sealed(value []byte)   { r.now[seal.KeyOf(value)]++ }
func (r *recount) replaced(value []byte) { r.now[seal.KeyOf(value)]-- }

// write adds what has changed to the batch.
func (r *recount) write(b *pebble.Batch) error {
	for id, n := range r.now {
		at := binary.BigEndian.AppendUint32([]byte{usesKey}, id)
		switch {
		case n == 0:
			delete(r.now, id)
			if err := b.Delete(at, nil); err != nil {
				return err
			}
		case n != r.before[id]:
			if err := b.Set(at, binary.BigEndian.AppendUint64(nil, n), nil); err != nil {
				return err
			}
		}
	}
	return nil
}

func readUses(db *pebble.DB) (map[uint32]uint64, error) {
	uses := map[uint32]uint64{}
	it, err := db.NewIter(&pebble.IterOptions{LowerBound: []byte{usesKey}, UpperBound: []byte{usesKey + 1}})
	if err != nil {
		return nil, fmt.Errorf("read the store of records to share: %w", err)
	}
	for it.First(); it.Valid(); it.Next() {
		if len(it.Key()) != 5 || len(it.Value()) != 8 {
			return nil, errors.Join(errCutOff, it.Close())
		}
		uses[binary.BigEndian.Uint32(it.Key()[1:])] = binary.BigEndian.Uint64(it.Value())
	}
	if err := it.Close(); err != nil {
		return nil, fmt.Errorf("read the store of records to share: %w", err)
	}
	return uses, nil
}

// Seal implements [seal.Place]: nothing is sealed with an earlier key once it has returned.
func (s *Store) Seal(keys *seal.Keyring) {
	s.writing.Lock()
	defer s.writing.Unlock()
	s.keys.Store(keys)
}

// Settle implements [seal.Place]: a power failure takes nothing back that was written before.
func (s *Store) Settle(context.Context) error {
	if err := s.db.LogData(nil, pebble.Sync); err != nil {
		return fmt.Errorf("write the store of records to share to the disk: %w", err)
	}
	return nil
}

// Uses implements [seal.Place].
func (s *Store) Uses(context.Context) (out []seal.Use, err error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, id := range slices.Sorted(maps.Keys(s.uses)) {
		out = append(out, seal.Use{Place: PlaceName, Key: id, Values: s.uses[id]})
	}
	return out, nil
}

// Lost tells whether records are sealed with a key that is not in the keyring.
func (s *Store) Lost() bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for id := range s.uses {
		if !s.keys.Load().Has(id) {
			return true
		}
	}
	return false
}

const (
	resealRows  = 1000    // sealed at once: who writes waits for them
	resealBytes = 4 << 20 // and in memory at once (I10)
)

// Reseal implements [seal.Place]. It goes through the records in the order of their ids, a few at a time; what it has sealed stays so.
func (s *Store) Reseal(ctx context.Context, keys *seal.Keyring) (total uint64, err error) {
	stale, lost := s.stale(keys)
	if !stale {
		return 0, lost
	}
	failed := error(nil)
	for from := []byte{recordKey}; from != nil; {
		if err := ctx.Err(); err != nil {
			return total, err
		}
		var ids []pseudonym.ID
		if ids, from, err = s.older(from, keys); err != nil {
			return total, err
		}
		n, err := s.resealThese(ids, keys, &failed)
		total += n
		if err != nil {
			return total, err
		}
	}
	return total, errors.Join(failed, lost)
}

// stale tells whether there are records that can be sealed anew, and which cannot.
func (s *Store) stale(keys *seal.Keyring) (stale bool, lost error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for id, n := range s.uses {
		switch {
		case id == keys.Current():
		case !keys.Has(id):
			lost = &seal.LostKeyError{Place: PlaceName, Key: id, Values: n, Remedy: "bring that key back, or start the platform anew: the records to share are made again from the bus then"}
		default:
			stale = true
		}
	}
	return stale, lost
}

// older lists the next records that are sealed with a key that is not the current one, and says from where to look on; nil at the end.
func (s *Store) older(from []byte, keys *seal.Keyring) (ids []pseudonym.ID, next []byte, err error) {
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: from, UpperBound: []byte{recordKey + 1}})
	if err != nil {
		return nil, nil, fmt.Errorf("read the store of records to share: %w", err)
	}
	bytes := 0
	for it.First(); it.Valid(); it.Next() {
		if len(ids) == resealRows || bytes >= resealBytes {
			next = slices.Clone(it.Key())
			break
		}
		if id := seal.KeyOf(it.Value()); id != keys.Current() && keys.Has(id) {
			var record pseudonym.ID
			copy(record[:], it.Key()[1:])
			ids = append(ids, record)
			bytes += len(it.Value())
		}
	}
	if err := it.Close(); err != nil {
		return nil, nil, fmt.Errorf("read the store of records to share: %w", err)
	}
	return ids, next, nil
}

// resealThese seals records anew as they stand by now. One that cannot be opened stays as it is, and the error says so.
func (s *Store) resealThese(ids []pseudonym.ID, keys *seal.Keyring, failed *error) (total uint64, err error) {
	if len(ids) == 0 {
		return 0, nil
	}
	s.writing.Lock()
	defer s.writing.Unlock()
	b := s.db.NewBatch()
	defer b.Close()
	uses := s.recount()
	for _, id := range ids {
		place := key(recordKey, id)
		value, closer, err := s.db.Get(place)
		if errors.Is(err, pebble.ErrNotFound) {
			continue // gone meanwhile
		}
		if err != nil {
			return 0, fmt.Errorf("read the store of records to share: %w", err)
		}
		if seal.KeyOf(value) == keys.Current() {
			closer.Close()
			continue // written anew meanwhile
		}
		plain, err := keys.Open(place, value)
		if err != nil {
			closer.Close()
			*failed = fmt.Errorf("%w; the folder of the records to share may be removed while no platform runs, it is made anew from the bus", err)
			continue
		}
		uses.replaced(value)
		closer.Close()
		sealed, err := keys.Seal(nil, place, plain)
		if err != nil {
			return 0, err
		}
		if err := b.Set(place, sealed, nil); err != nil {
			return 0, err
		}
		uses.sealed(sealed)
		total++
	}
	if err := uses.write(b); err != nil {
		return 0, err
	}
	if err := b.Commit(pebble.NoSync); err != nil {
		return 0, fmt.Errorf("write the store of records to share: %w", err)
	}
	s.mu.Lock()
	s.uses = uses.now
	s.mu.Unlock()
	return total, nil
}
