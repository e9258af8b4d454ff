//go:build unix

package backup

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/json"
	"fmt"

	"golang.org/x/crypto/scrypt"
)

// sealed is the secrets under a pass phrase: scrypt makes a key of it, AES-256-GCM encrypts and proves.
type sealed struct {
	Scheme string `json:"scheme"`
	Salt   []byte `json:"salt"`
	Nonce  []byte `json:"nonce"`
	Box    []byte `json:"box"`
}

const (
	sealScheme = "scrypt-32768-8-1+aes-256-gcm"
	sealCost   = 32768 // 32 MiB and a tenth of a second for each guess
)

// seal encrypts files by name.
func seal(passphrase string, files map[string][]byte) ([]byte, error) {
	if len(passphrase) < leastKey {
		return nil, refuse("the key for the backup's secrets is shorter than %d characters; choose a longer one, such as what openssl rand -base64 32 prints", leastKey)
	}
	plain, err := json.Marshal(files)
	if err != nil {
		return nil, err
	}
	s := sealed{Scheme: sealScheme, Salt: make([]byte, 16)}
	rand.Read(s.Salt)
	box, err := boxOf(passphrase, s.Salt)
	if err != nil {
		return nil, err
	}
	s.Nonce = make([]byte, box.NonceSize())
	rand.Read(s.Nonce)
	s.Box = box.Seal(nil, s.Nonce, plain, []byte(sealScheme))
	return json.Marshal(s)
}

// unseal gives back what seal was given. Its error never quotes anything of it.
func unseal(passphrase string, data []byte) (map[string][]byte, error) {
	var s sealed
	if err := json.Unmarshal(data, &s); err != nil || s.Scheme != sealScheme {
		return nil, refuse("the secrets of the backup are sealed in a way that this program does not know")
	}
	box, err := boxOf(passphrase, s.Salt)
	if err != nil {
		return nil, err
	}
	wrong := refuse("the secrets of the backup do not open with this key; give the one that the backup was made with")
	if len(s.Nonce) != box.NonceSize() {
		return nil, wrong
	}
	plain, err := box.Open(nil, s.Nonce, s.Box, []byte(sealScheme))
	if err != nil {
		return nil, wrong
	}
	var files map[string][]byte
	if err := json.Unmarshal(plain, &files); err != nil {
		return nil, refuse("the secrets of the backup cannot be read")
	}
	return files, nil
}

func boxOf(passphrase string, salt []byte) (cipher.AEAD, error) {
	key, err := scrypt.Key([]byte(passphrase), salt, sealCost, 8, 1, 32)
	if err != nil {
		return nil, fmt.Errorf("make a key of the pass phrase: %w", err)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}
