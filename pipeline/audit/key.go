package audit

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/emmansun/gmsm/sm2"
	"github.com/emmansun/gmsm/smx509"
)

// Scheme is a way to sign checkpoints.
type Scheme string

// The ways to sign.
const (
	Ed25519 Scheme = "ed25519"
	SM2     Scheme = "sm2" // GB/T 32918.2-2016
)

// KeyFiles are the data directory's files that hold the private keys; a backup has to keep them as secrets.
var KeyFiles = []string{keyFile(Ed25519), keyFile(SM2)}

func keyFile(s Scheme) string    { return "audit-" + string(s) + ".key" }
func publicFile(s Scheme) string { return "audit-" + string(s) + ".pub" }

// Key signs.
type Key struct {
	ID     string // of the public key
	Public []byte // PEM
	sign   func(message []byte) ([]byte, error)
}

// LoadOrCreateKey gives the data directory's key of a scheme, and makes one where there is none, for its owner alone. The
// public key stands beside it, to be handed out. Processes that call it at once agree.
func LoadOrCreateKey(dir string, s Scheme) (*Key, error) {
	path := filepath.Join(dir, keyFile(s))
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		if err := createKey(dir, path, s); err != nil {
			return nil, fmt.Errorf("the key that signs the audit log cannot be made: %w", err)
		}
		text, err = os.ReadFile(path)
	}
	if err == nil {
		err = os.Chmod(path, 0o600)
	}
	if err != nil {
		return nil, fmt.Errorf("the key that signs the audit log cannot be read: %w", err)
	}
	k, err := parseKey(text, s)
	if err != nil {
		return nil, fmt.Errorf("%s holds no key for %s; restore it from a backup: with another one, what was signed before is proven by the old public key alone: %w", path, s, err)
	}
	public := filepath.Join(dir, publicFile(s))
	if now, err := os.ReadFile(public); err != nil || string(now) != string(k.Public) {
		if err := replace(dir, public, k.Public, 0o644); err != nil {
			return nil, fmt.Errorf("the public key of the audit log cannot be written: %w", err)
		}
	}
	return k, nil
}

func createKey(dir, path string, s Scheme) error {
	var private any
	var err error
	if s == SM2 {
		private, err = sm2.GenerateKey(rand.Reader)
	} else {
		_, private, err = ed25519.GenerateKey(rand.Reader)
	}
	if err != nil {
		return err
	}
	der, err := smx509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return err
	}
	temp, err := written(dir, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600)
	if err != nil {
		return err
	}
	defer os.Remove(temp)
	if err := os.Link(temp, path); err != nil && !errors.Is(err, fs.ErrExist) { // whoever is first
		return err
	}
	return nil
}

// written is a new file with a text.
func written(dir string, text []byte, mode fs.FileMode) (string, error) {
	f, err := os.CreateTemp(dir, ".audit-")
	if err != nil {
		return "", err
	}
	_, err = f.Write(text)
	err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close())
	if err != nil {
		os.Remove(f.Name())
	}
	return f.Name(), err
}

func replace(dir, path string, text []byte, mode fs.FileMode) error {
	temp, err := written(dir, text, mode)
	if err != nil {
		return err
	}
	return os.Rename(temp, path)
}

func parseKey(text []byte, s Scheme) (*Key, error) {
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, errors.New("it is not in PEM form")
	}
	private, err := smx509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, err
	}
	k := &Key{}
	var public any
	switch p := private.(type) {
	case ed25519.PrivateKey:
		public = p.Public()
		k.sign = func(message []byte) ([]byte, error) { return ed25519.Sign(p, message), nil }
	case *sm2.PrivateKey:
		public = &p.PublicKey
		k.sign = func(message []byte) ([]byte, error) { return p.SignWithSM2(rand.Reader, nil, message) }
	}
	if public == nil || schemeOf(public) != s {
		return nil, errors.New("it is a key of another kind")
	}
	der, err := smx509.MarshalPKIXPublicKey(public)
	if err != nil {
		return nil, err
	}
	k.ID = keyID(s, der)
	k.Public = pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	return k, nil
}

func schemeOf(public any) Scheme {
	switch p := public.(type) {
	case ed25519.PublicKey:
		return Ed25519
	case *ecdsa.PublicKey:
		if sm2.IsSM2PublicKey(p) {
			return SM2
		}
	}
	return ""
}

// keyID is by what a public key is known: its scheme, and the beginning of its hash.
func keyID(s Scheme, der []byte) string {
	sum := sha256.Sum256(der)
	return string(s) + ":" + hex.EncodeToString(sum[:8])
}

// Keys are public keys that are trusted, by their ids.
type Keys map[string]func(message, signature []byte) bool

// Add reads public keys in PEM form.
func (k Keys) Add(text []byte) error {
	found := false
	for {
		block, rest := pem.Decode(text)
		if block == nil {
			break
		}
		text = rest
		if block.Type != "PUBLIC KEY" {
			continue
		}
		public, err := smx509.ParsePKIXPublicKey(block.Bytes)
		if err != nil {
			return fmt.Errorf("a public key cannot be read: %w", err)
		}
		s := schemeOf(public)
		switch p := public.(type) {
		case ed25519.PublicKey:
			k[keyID(s, block.Bytes)] = func(message, signature []byte) bool { return ed25519.Verify(p, message, signature) }
		case *ecdsa.PublicKey:
			if s != SM2 {
				return errors.New("a public key is neither of Ed25519 nor of SM2")
			}
			k[keyID(s, block.Bytes)] = func(message, signature []byte) bool { return sm2.VerifyASN1WithSM2(p, nil, message, signature) }
		default:
			return errors.New("a public key is neither of Ed25519 nor of SM2")
		}
		found = true
	}
	if !found {
		return errors.New("there is no public key in PEM form")
	}
	return nil
}

// OwnKeys are the public keys of a data directory, or those of its private keys where a restore brought these alone; none is
// no error.
func OwnKeys(dir string) (Keys, error) {
	keys := Keys{}
	for _, s := range []Scheme{Ed25519, SM2} {
		text, err := ownKey(dir, s)
		if err == nil && text != nil {
			err = keys.Add(text)
		}
		if err != nil {
			return nil, fmt.Errorf("the public key of the audit log in %s cannot be read: %w", dir, err)
		}
	}
	return keys, nil
}

// ownKey is a data directory's public key of a scheme; nil when there is none.
func ownKey(dir string, s Scheme) ([]byte, error) {
	text, err := os.ReadFile(filepath.Join(dir, publicFile(s)))
	if !errors.Is(err, fs.ErrNotExist) {
		return text, err
	}
	private, err := os.ReadFile(filepath.Join(dir, keyFile(s)))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	k, err := parseKey(private, s)
	if err != nil {
		return nil, err
	}
	return k.Public, nil
}
