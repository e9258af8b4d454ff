// Package pseudonym makes the ids under which people, organisations and records appear to analysts: keyed
// hashes, so that an id is the same wherever the same thing appears and tells nothing to who lacks the key (I7).
package pseudonym

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"hash"
)

// ID is a 128-bit keyed hash. The zero ID means "none".
type ID [16]byte

// IsZero tells whether there is no id.
func (id ID) IsZero() bool { return id == ID{} }

// String writes an id as ClickHouse does: a UUID.
func (id ID) String() string {
	x := hex.EncodeToString(id[:])
	return x[:8] + "-" + x[8:12] + "-" + x[12:16] + "-" + x[16:20] + "-" + x[20:]
}

// MarshalText writes an id as a UUID.
func (id ID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (id *ID) UnmarshalText(text []byte) (err error) {
	*id, err = Parse(string(text))
	return err
}

// Parse reads an id written as a UUID.
func Parse(s string) (id ID, err error) {
	if len(s) != 36 || s[8] != '-' || s[13] != '-' || s[18] != '-' || s[23] != '-' {
		return id, errors.New("an id is written like 01234567-89ab-8def-8123-456789abcdef")
	}
	if _, err := hex.Decode(id[:], []byte(s[:8]+s[9:13]+s[14:18]+s[19:23]+s[24:])); err != nil {
		return ID{}, errors.New("an id holds hexadecimal digits alone")
	}
	return id, nil
}

// MinKey is the least length of a key in bytes.
const MinKey = 32

// Hasher makes ids with one key. It is not safe for concurrent use; Clone gives another.
type Hasher struct {
	key []byte
	mac hash.Hash
	buf []byte
	out [sha256.Size]byte
}

// New makes a hasher. The key has at least MinKey bytes.
func New(key []byte) (*Hasher, error) {
	if len(key) < MinKey {
		return nil, errors.New("the pseudonym key is shorter than 32 characters; use a longer one, or leave it out so that one is generated")
	}
	return &Hasher{key: key, mac: hmac.New(sha256.New, key)}, nil
}

// Clone makes a hasher with the same key for another goroutine.
func (h *Hasher) Clone() *Hasher { return &Hasher{key: h.key, mac: hmac.New(sha256.New, h.key)} }

// ID hashes the parts in the given space. Spaces keep the same text from giving the same id in two meanings:
// a case number that equals a household number is no link between them.
func (h *Hasher) ID(space string, parts ...string) ID {
	h.buf = append(append(h.buf[:0], space...), 0)
	for _, p := range parts {
		// With its length, so that no text in one part can pass for two parts.
		h.buf = append(binary.AppendUvarint(h.buf, uint64(len(p))), p...)
	}
	h.mac.Reset()
	h.mac.Write(h.buf)
	sum := h.mac.Sum(h.out[:0])
	var id ID
	copy(id[:], sum)
	// RFC 9562, version 8: an id of our own making in the shape of a UUID.
	id[6] = id[6]&0x0f | 0x80
	id[8] = id[8]&0x3f | 0x80
	return id
}

// Text is ID as text, for columns that hold a pseudonym beside plain codes: 24 hexadecimal digits.
func (h *Hasher) Text(space string, parts ...string) string {
	id := h.ID(space, parts...)
	return hex.EncodeToString(id[:12])
}
