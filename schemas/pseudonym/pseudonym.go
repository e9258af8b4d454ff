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
