//go:build unix

package accounts

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"
)

// ClientsFile is the file of the clients' keys.
const ClientsFile = "clients.json"

// Keys are the keys of systems that call the sharing interface: a file of names and hashes in the data directory. The keys are
// random and too long to be guessed, so that a plain hash protects them, and a call costs no more than reading whether the file has
// changed. It is safe for concurrent use, by several processes too.
type Keys struct {
	file File

	mu     sync.Mutex
	read   stamp // of the file that hashes are from
	hashes map[string][sha256.Size]byte
}

// stamp tells one state of a file from another. The file is always replaced and never written over.
type stamp struct {
	inode uint64
	size  int64
	at    time.Time
}

// Clients are the keys of a data directory, whose file need not be there yet.
func Clients(dataDir string) *Keys {
	return &Keys{file: File{path: filepath.Join(dataDir, ClientsFile)}}
}

// Add makes a key and returns it, which nothing keeps.
func (k *Keys) Add(name string) (key string, err error) {
	if !names.MatchString(name) {
		return "", ErrName
	}
	key = rand.Text() + rand.Text() // 256 bits
	sum := sha256.Sum256([]byte(key))
	err = k.file.change(func(list []entry) ([]entry, error) {
		if slices.ContainsFunc(list, func(e entry) bool { return e.Name == name }) {
			return nil, ErrThere
		}
		return append(list, entry{Account: Account{name, time.Now().UTC()}, Key: hex.EncodeToString(sum[:])}), nil
	})
	if err != nil {
		return "", err
	}
	return key, nil
}

// Remove takes a key away. The next call with it is refused.
func (k *Keys) Remove(name string) error { return k.file.Remove(name) }

// List lists whose keys there are, by name.
func (k *Keys) List() ([]Account, error) { return k.file.List() }

// Right tells whether a key is that of a client.
func (k *Keys) Right(client, key string) (bool, error) {
	hashes, err := k.current()
	if err != nil {
		return false, err
	}
	want, there := hashes[client]
	sum := sha256.Sum256([]byte(key))
	return subtle.ConstantTimeCompare(want[:], sum[:]) == 1 && there, nil
}

// current is what the file holds now: who was removed must be out at once.
func (k *Keys) current() (map[string][sha256.Size]byte, error) {
	info, err := os.Stat(k.file.path)
	now := stamp{}
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, fmt.Errorf("read whose keys there are: %w", err)
	default:
		now = stamp{size: info.Size(), at: info.ModTime()}
		if s, ok := info.Sys().(*syscall.Stat_t); ok {
			now.inode = uint64(s.Ino)
		}
		if info.Mode().Perm()&0o077 != 0 {
			now = stamp{} // read anew, which says what is wrong
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.hashes != nil && now == k.read && now != (stamp{}) {
		return k.hashes, nil
	}
	list, err := k.file.read()
	if err != nil {
		return nil, err
	}
	hashes := map[string][sha256.Size]byte{}
	for _, e := range list {
		sum, err := hex.DecodeString(e.Key)
		if err != nil || len(sum) != sha256.Size {
			return nil, fmt.Errorf("%s is not a list of clients' keys; restore it from a backup, or remove it and add them again", k.file.path)
		}
		hashes[e.Name] = [sha256.Size]byte(sum)
	}
	k.read, k.hashes = now, hashes
	return hashes, nil
}
