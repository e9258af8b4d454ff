package retention

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"

	"github.com/cockroachdb/pebble"
	"github.com/zeebo/xxh3"

	"github.com/shirecounty/shire/pipeline/bus"
	"github.com/shirecounty/shire/schemas/change"
)

// A stretch of the bus is not simply cut off: connectors read back what they have said. An emptied table is answered with a
// deletion of every record that the bus holds; a snapshot that is made again deletes what was not said since; a ledger that
// was lost is made again from the bus. What they look for is the newest word on each record. So a message goes when it is
// old and every record in it has a newer word in a message that stays, and a word of deletion goes when no older word on its
// record is left. Whoever reads the subject afterwards finds the same records as before, whenever the erasing is interrupted:
// it goes from the oldest message to the newest.

// compaction erases old messages of one subject of CHANGES.
type compaction struct {
	log     log
	subject string
	old     uint64 // messages up to here are old enough to go
	settled uint64 // words up to here count as newer ones: loaded, backed up and on the disk; never below old
	dir     string // for the index of records
	dry     bool
	// keeps tells of a message that has to stay for another reason; nil for none.
	keeps func(*change.Batch) bool
	// again takes records that live in old messages alone, to be said again; nil when nobody can. It tells whether it wants more.
	again func(key string) bool
}

// log is the part of the bus that is compacted.
type log interface {
	Walk(ctx context.Context, subject string, through uint64, fn func(*bus.Message) error) error
	Erase(ctx context.Context, sequence uint64) error
}

// compacted is what a compaction did, or would do.
type compacted struct {
	old    uint64 // messages that are old enough
	erased uint64
	kept   uint64 // old messages with records on which there is no newer word
}

func (c *compaction) run(ctx context.Context) (out compacted, err error) {
	index, err := openIndex(c.dir)
	if err != nil {
		return out, err
	}
	defer func() { err = errors.Join(err, index.close()) }()
	newest := uint64(0)
	err = c.log.Walk(ctx, c.subject, c.settled, func(m *bus.Message) error {
		newest = m.Sequence
		return eachWord(m, func(i int, b *change.Batch) error {
			return index.say(b.Key(i), m.Sequence, i)
		})
	})
	if err != nil {
		return out, err
	}
	err = c.log.Walk(ctx, c.subject, min(c.old, c.settled), func(m *bus.Message) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		out.old++
		// I2: the newest message of a subject is where its source resumes, and the one that its next message has to follow.
		if m.Sequence == newest {
			out.kept++
			return c.hold(index, m)
		}
		goes, err := c.goes(index, m)
		if err != nil {
			return err
		}
		if !goes {
			out.kept++
			return c.hold(index, m)
		}
		out.erased++
		if c.dry {
			return nil
		}
		return c.log.Erase(ctx, m.Sequence)
	})
	return out, err
}

// goes tells whether nobody misses a message.
func (c *compaction) goes(index *index, m *bus.Message) (bool, error) {
	goes := true
	b, err := change.Decode(m.Data)
	if err != nil {
		return true, nil // it is none of Shire's, and waits in quarantine with its bytes
	}
	defer b.Record.Release()
	if c.keeps != nil && c.keeps(b) {
		return false, nil
	}
	for i := range b.Len() {
		if b.Op(i) == change.Malformed {
			continue // it has no record, and its bytes are in quarantine
		}
		superseded, err := index.superseded(b.Key(i), m.Sequence, i)
		if err != nil {
			return false, err
		}
		if superseded {
			continue
		}
		if b.Op(i) == change.Delete {
			held, err := index.held(b.Key(i))
			if err != nil {
				return false, err
			}
			goes = goes && !held
			continue
		}
		if c.again == nil {
			return false, nil
		}
		goes = false
		if !c.again(b.Key(i)) {
			c.again = nil
		}
	}
	return goes, nil
}

// hold notes the records of a message that stays: a newer deletion of one of them has to stay too.
func (c *compaction) hold(index *index, m *bus.Message) error {
	return eachWord(m, func(i int, b *change.Batch) error { return index.hold(b.Key(i)) })
}

// eachWord calls fn with the rows of a message that say something of a record.
func eachWord(m *bus.Message, fn func(i int, b *change.Batch) error) error {
	b, err := change.Decode(m.Data)
	if err != nil {
		return nil // see goes
	}
	defer b.Record.Release()
	for i := range b.Len() {
		if b.Op(i) == change.Malformed {
			continue
		}
		if err := fn(i, b); err != nil {
			return err
		}
	}
	return nil
}

// index knows the newest word on each record of a subject, by the hash of the record's key, on the disk (I10, I7).
type index struct {
	db  *pebble.DB
	dir string
}

const (
	wordLetter = 'w' // hash -> sequence and row of the newest word
	heldLetter = 'h' // hash -> nothing: a message that stays speaks of the record
)

func openIndex(dir string) (*index, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("there is no room for an index of records: %w", err)
	}
	dir, err := os.MkdirTemp(dir, "records-")
	if err != nil {
		return nil, fmt.Errorf("there is no room for an index of records: %w", err)
	}
	cache := pebble.NewCache(16 << 20)
	defer cache.Unref()
	db, err := pebble.Open(dir, &pebble.Options{Cache: cache, MemTableSize: 16 << 20, DisableWAL: true, Logger: quiet{}})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("the index of records cannot be opened: %w", err), os.RemoveAll(dir))
	}
	return &index{db, dir}, nil
}

func (x *index) close() error { return errors.Join(x.db.Close(), os.RemoveAll(x.dir)) }

func hashed(letter byte, key string) []byte {
	h := xxh3.HashString128(key).Bytes()
	return append([]byte{letter}, h[:]...)
}

func place(sequence uint64, row int) []byte {
	return binary.BigEndian.AppendUint64(nil, change.Version(sequence, row))
}

// say notes a word; words come in their order.
func (x *index) say(key string, sequence uint64, row int) error {
	return wrap(x.db.Set(hashed(wordLetter, key), place(sequence, row), pebble.NoSync))
}

// superseded tells whether there is a newer word on the record than this one.
func (x *index) superseded(key string, sequence uint64, row int) (bool, error) {
	newest, done, err := x.db.Get(hashed(wordLetter, key))
	if errors.Is(err, pebble.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, wrap(err)
	}
	defer done.Close()
	return bytes.Compare(newest, place(sequence, row)) > 0, nil
}

func (x *index) hold(key string) error {
	return wrap(x.db.Set(hashed(heldLetter, key), nil, pebble.NoSync))
}

func (x *index) held(key string) (bool, error) {
	_, done, err := x.db.Get(hashed(heldLetter, key))
	if errors.Is(err, pebble.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, wrap(err)
	}
	return true, done.Close()
}

func wrap(err error) error {
	if err != nil {
		return fmt.Errorf("the index of records: %w", err)
	}
	return nil
}

// quiet keeps the database's own chatter out of the log. What fails is returned to the caller as well.
type quiet struct{}

func (quiet) Infof(string, ...any)      {}
func (quiet) Errorf(string, ...any)     {}
func (quiet) Fatalf(f string, a ...any) { panic(fmt.Sprintf("index of records: "+f, a...)) }
