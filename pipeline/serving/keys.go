package serving

import "github.com/shirecounty/shire/pipeline/seal"

// The store's records are sealed as everything else that is personal.
type (
	// Cipher is how records are encrypted on the disk.
	Cipher = seal.Cipher
	// Key is one key of the keyring.
	Key = seal.Key
	// Keyring seals with its current key and opens with any.
	Keyring = seal.Keyring
)

// The ciphers.
const (
	AES256GCM = seal.AES256GCM
	SM4GCM    = seal.SM4GCM
)

// NewKeyring makes a keyring; the first key is the current one.
func NewKeyring(keys ...Key) (*Keyring, error) { return seal.NewKeyring(keys...) }
