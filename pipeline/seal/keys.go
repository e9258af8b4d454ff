package seal

import (
	"crypto/sha256"
	"encoding/binary"
)

// NewKey makes a key of 32 random bytes. Its number is derived from them, so that another key is never taken for it: wherever it
// was made, a value says by which key it is sealed.
func NewKey(c Cipher, random [32]byte) Key {
	sum := sha256.Sum256(append([]byte("shire seal key\n"+string(c)+"\n"), random[:]...))
	return Key{ID: max(1, binary.BigEndian.Uint32(sum[:4])), Cipher: c, Secret: random[:c.KeySize()]}
}
