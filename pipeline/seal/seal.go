// Package seal encrypts personal values at rest: those of the restricted tables and of the store of records to share. Every value
// names the key that it is sealed with, so that keys can be changed while what older keys have sealed is still read.
package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/emmansun/gmsm/sm4"
)

// Cipher is how records are encrypted on the disk.
type Cipher string

// The ciphers.
const (
	AES256GCM Cipher = "aes-256-gcm"
	SM4GCM    Cipher = "sm4-gcm"
)

// KeySize is how many bytes of a key the cipher takes.
func (c Cipher) KeySize() int {
	if c == SM4GCM {
		return 16
	}
	return 32
}

// Key is one key of the keyring. Records name the key that they are sealed with, so that keys can be changed while the
// records of the old one are still read.
type Key struct {
	ID     uint32
	Cipher Cipher
	Secret []byte
}

// Keyring seals with its current key and opens with any.
type Keyring struct {
	current uint32
	aeads   map[uint32]cipher.AEAD
}

// NewKeyring makes a keyring; the first key is the current one.
func NewKeyring(keys ...Key) (*Keyring, error) {
	if len(keys) == 0 {
		return nil, errors.New("there is no key to seal records with")
	}
	ring := &Keyring{current: keys[0].ID, aeads: map[uint32]cipher.AEAD{}}
	for _, k := range keys {
		if len(k.Secret) != k.Cipher.KeySize() {
			return nil, fmt.Errorf("key %d has %d bytes; %s takes %d", k.ID, len(k.Secret), k.Cipher, k.Cipher.KeySize())
		}
		var block cipher.Block
		var err error
		switch k.Cipher {
		case AES256GCM:
			block, err = aes.NewCipher(k.Secret)
		case SM4GCM:
			block, err = sm4.NewCipher(k.Secret)
		default:
			return nil, fmt.Errorf("key %d is for the cipher %q, which there is not; write %s or %s", k.ID, k.Cipher, AES256GCM, SM4GCM)
		}
		if err != nil {
			return nil, fmt.Errorf("key %d: %w", k.ID, err)
		}
		if _, twice := ring.aeads[k.ID]; twice {
			return nil, fmt.Errorf("there are two keys with the number %d", k.ID)
		}
		if ring.aeads[k.ID], err = cipher.NewGCM(block); err != nil {
			return nil, fmt.Errorf("key %d: %w", k.ID, err)
		}
	}
	return ring, nil
}

// Current is the number of the key that seals.
func (k *Keyring) Current() uint32 { return k.current }

// Has tells whether there is a key of a number.
func (k *Keyring) Has(id uint32) bool { return k.aeads[id] != nil }

const sealHeader = 4 // the key's number

// KeyOf is the number of the key that a value is sealed with; 0 when it is cut off.
func KeyOf(sealed []byte) uint32 {
	if len(sealed) < sealHeader {
		return 0
	}
	return binary.BigEndian.Uint32(sealed)
}

// Seal encrypts a value and appends it to dst. It is bound to where it stands, so that nobody can move it to another record.
func (k *Keyring) Seal(dst, place, plain []byte) ([]byte, error) {
	aead := k.aeads[k.current]
	dst = binary.BigEndian.AppendUint32(dst, k.current)
	at := len(dst)
	dst = append(dst, make([]byte, aead.NonceSize())...)
	if _, err := rand.Read(dst[at:]); err != nil {
		return nil, fmt.Errorf("no random numbers: %w", err)
	}
	return aead.Seal(dst, dst[at:], plain, place), nil
}

// Open decrypts what Seal made of a value of the same place.
func (k *Keyring) Open(place, sealed []byte) ([]byte, error) {
	if len(sealed) < sealHeader {
		return nil, errors.New("a stored record is cut off")
	}
	id := KeyOf(sealed)
	aead := k.aeads[id]
	if aead == nil {
		return nil, fmt.Errorf("a stored record is sealed with key %08x, which is not in the keyring; bring that key back", id)
	}
	sealed = sealed[sealHeader:]
	if len(sealed) < aead.NonceSize() {
		return nil, errors.New("a stored record is cut off")
	}
	plain, err := aead.Open(nil, sealed[:aead.NonceSize()], sealed[aead.NonceSize():], place)
	if err != nil {
		return nil, fmt.Errorf("a stored record was changed, or its key %08x is another one: %w", id, err)
	}
	return plain, nil
}
