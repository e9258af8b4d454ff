package audit

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/emmansun/gmsm/sm3"

	"github.com/shirecounty/shire/schemas/pseudonym"
)

// Algorithm is a hash function of the chain. It may change while the log goes on: every hash says what it is.
type Algorithm string

// The hash functions.
const (
	SHA256 Algorithm = "sha256"
	SM3    Algorithm = "sm3" // GB/T 32905-2016
)

// sm3Prefix stands before hashes by SM3; those by SHA-256 are hexadecimal digits alone, as they always were.
const sm3Prefix = "sm3:"

// sum is the hash of an entry's canonical bytes, as text.
func (a Algorithm) sum(canonical []byte) string { return string(a.appendSum(nil, canonical)) }

func (a Algorithm) appendSum(to, canonical []byte) []byte {
	if a == SM3 {
		sum := sm3.Sum(canonical)
		return hex.AppendEncode(append(to, sm3Prefix...), sum[:])
	}
	sum := sha256.Sum256(canonical)
	return hex.AppendEncode(to, sum[:])
}

// algorithmOf tells by which function a hash was made.
func algorithmOf[T string | []byte](hash T) Algorithm {
	if len(hash) >= len(sm3Prefix) && string(hash[:len(sm3Prefix)]) == sm3Prefix {
		return SM3
	}
	return SHA256
}

// Entry is one entry of the log, and one row of audit.accesses.
type Entry struct {
	Sequence   uint64 // place in the chain, from 1
	At         time.Time
	Caller     string
	Clerk      string // pseudonym
	Purpose    string
	ItemCode   string
	CaseNumber string
	Person     pseudonym.ID // zero when none was found
	Fields     []string
	Decision   string
	Reason     string
	Previous   string // hash of the entry before; "" for the first
	Hash       string
}

// canonical appends the bytes that are hashed: every field with its length, so that no two entries are written alike. They
// are the same as those of the log's first shape, which stood in ClickHouse alone.
func (e *Entry) canonical(to []byte) []byte {
	number := func(n uint64) { to = binary.BigEndian.AppendUint64(to, n) }
	text := func(s string) {
		number(uint64(len(s)))
		to = append(to, s...)
	}
	number(e.Sequence)
	number(uint64(e.At.UnixMicro()))
	for _, s := range []string{e.Caller, e.Clerk, e.Purpose, e.ItemCode, e.CaseNumber} {
		text(s)
	}
	to = append(to, e.Person[:]...)
	number(uint64(len(e.Fields)))
	for _, s := range e.Fields {
		text(s)
	}
	text(e.Decision)
	text(e.Reason)
	text(e.Previous)
	return to
}

// record is an entry as it is stored: its canonical bytes, and their hash.
type record struct{ canonical, hash []byte }

// append writes a record: both parts with their lengths before them.
func (r record) append(to []byte) []byte {
	to = append(binary.AppendUvarint(to, uint64(len(r.canonical))), r.canonical...)
	return append(binary.AppendUvarint(to, uint64(len(r.hash))), r.hash...)
}

// seal gives an entry its place behind another and appends it as a record.
func (e *Entry) seal(to []byte, after Place, a Algorithm) ([]byte, Place) {
	e.Sequence, e.Previous = after.Sequence+1, after.Hash
	canonical := e.canonical(nil)
	e.Hash = a.sum(canonical)
	return record{canonical, []byte(e.Hash)}.append(to), Place{e.Sequence, e.Hash}
}

// Bounds of what is stored.
const (
	maxEntry = 256 << 10 // bytes of one entry
	maxHash  = 128
	maxBlock = 1 << 20 // bytes of a message; one that is begun below may end maxEntry above
)

var errNoEntry = errors.New("the bytes are no entry")

// takePart reads bytes with their length before them.
func takePart(from []byte, limit uint64) (part, rest []byte, err error) {
	n, used := binary.Uvarint(from)
	if used <= 0 || n > limit || n > uint64(len(from)-used) {
		return nil, nil, errNoEntry
	}
	return from[used : used+int(n)], from[used+int(n):], nil
}

// takeRecord reads the first record of some bytes. It refers to them.
func takeRecord(from []byte) (r record, rest []byte, err error) {
	if r.canonical, rest, err = takePart(from, maxEntry); err == nil {
		r.hash, rest, err = takePart(rest, maxHash)
	}
	return r, rest, err
}

// fields walks an entry's canonical bytes.
type fields struct {
	rest []byte
	bad  bool
}

func (f *fields) take(n uint64) []byte {
	if n > uint64(len(f.rest)) {
		f.bad, f.rest = true, nil
		return nil
	}
	out := f.rest[:n]
	f.rest = f.rest[n:]
	return out
}

func (f *fields) number() uint64 {
	if b := f.take(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

func (f *fields) text() []byte { return f.take(f.number()) }

// place reads the number of an entry and the hash of the one before, without making anything of the rest.
func place(canonical []byte) (sequence uint64, previous []byte, err error) {
	f := fields{rest: canonical}
	sequence = f.number()
	f.take(8)
	for range 5 {
		f.text()
	}
	f.take(16)
	for n := f.number(); n > 0 && !f.bad; n-- {
		f.text()
	}
	f.text()
	f.text()
	previous = f.text()
	if f.bad || len(f.rest) > 0 {
		return 0, nil, errNoEntry
	}
	return sequence, previous, nil
}

// entry reads a record.
func (r record) entry() (e Entry, err error) {
	if _, _, err := place(r.canonical); err != nil {
		return e, err
	}
	f := fields{rest: r.canonical}
	e.Sequence = f.number()
	e.At = time.UnixMicro(int64(f.number())).UTC()
	for _, s := range []*string{&e.Caller, &e.Clerk, &e.Purpose, &e.ItemCode, &e.CaseNumber} {
		*s = string(f.text())
	}
	copy(e.Person[:], f.take(16))
	e.Fields = []string{}
	for range f.number() {
		e.Fields = append(e.Fields, string(f.text()))
	}
	e.Decision, e.Reason, e.Previous, e.Hash = string(f.text()), string(f.text()), string(f.text()), string(r.hash)
	return e, nil
}

// blockShape is the first byte of a block: a message that holds the entries of accesses that came at the same time.
const blockShape = 1

// newBlock begins a block.
func newBlock() []byte { return []byte{blockShape} }

// records calls fn with each record of a block.
func records(block []byte, fn func(record) error) error {
	if len(block) < 2 || block[0] != blockShape {
		return errNoEntry
	}
	for rest := block[1:]; len(rest) > 0; {
		r, after, err := takeRecord(rest)
		if err != nil {
			return err
		}
		if err := fn(r); err != nil {
			return err
		}
		rest = after
	}
	return nil
}

// lastOf is where the chain stands behind a block, whose last entry has to have the hash that stands there.
func lastOf(block []byte) (Place, error) {
	var last record
	if err := records(block, func(r record) error { last = r; return nil }); err != nil {
		return Place{}, err
	}
	sequence, _, err := place(last.canonical)
	if err != nil {
		return Place{}, err
	}
	if !bytes.Equal(algorithmOf(last.hash).appendSum(nil, last.canonical), last.hash) {
		return Place{}, fmt.Errorf("entry %d does not have its own hash", sequence)
	}
	return Place{sequence, string(last.hash)}, nil
}
