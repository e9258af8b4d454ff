//go:build unix

package embedded

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"
)

// LoadOrCreateSecrets returns the named secrets of the data directory: those in its secrets.json, and, for names that it
// lacks, new ones (32 random bytes each, base64url without padding), which it adds to the file first. The file and a
// directory that does not exist yet are created for their owner alone. Processes that call it at once agree.
//
// Keep the values out of logs, errors and command lines.
func LoadOrCreateSecrets(dir string, names ...string) (map[string]string, error) {
	if err := makeWritable(dir); err != nil {
		return nil, err
	}
	wanted := make(map[string]string, len(names))
	err := changeSecrets(dir, func(all map[string]string) (changed bool) {
		for _, name := range names {
			if all[name] == "" {
				var key [32]byte
				rand.Read(key[:]) // never fails: crypto/rand ends the program rather
				all[name] = base64.RawURLEncoding.EncodeToString(key[:])
				changed = true
			}
			wanted[name] = all[name]
		}
		return changed
	})
	if err != nil {
		return nil, err
	}
	return wanted, nil
}

// RemoveSecrets takes secrets out of the data directory for good. Those that are not there are no error.
func RemoveSecrets(dir string, names ...string) error {
	return changeSecrets(dir, func(all map[string]string) bool {
		before := len(all)
		for _, name := range names {
			delete(all, name)
		}
		return len(all) < before
	})
}

// changeSecrets changes the secrets of a data directory while no other process does; fn tells whether it has changed any.
func changeSecrets(dir string, fn func(all map[string]string) bool) error {
	// The directory itself is the lock between processes: LOCK is held by the one that runs on it, for as long as it runs.
	lock, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("open the data directory: %w", err)
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return fmt.Errorf("lock the data directory %s: %w", dir, err)
	}
	path := filepath.Join(dir, SecretsFile)
	all, err := readSecrets(path)
	if err != nil || !fn(all) {
		return err
	}
	content, err := json.MarshalIndent(all, "", "  ")
	if err != nil {
		return fmt.Errorf("encode the secrets: %w", err)
	}
	return writeFileAtomically(path, append(content, '\n'))
}

func readSecrets(path string) (map[string]string, error) {
	all := map[string]string{}
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return all, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the secrets: %w", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		if err := os.Chmod(path, 0o600); err != nil {
			return nil, &EnvError{
				What:  fmt.Sprintf("the generated passwords can be read by other users (mode %#o), which could not be mended: %v", info.Mode().Perm(), cause(err)),
				Where: path,
				Do:    "Run: chmod 600 " + path,
				Err:   err,
			}
		}
		slog.Warn("the generated passwords could be read by other users; the file's mode is 0600 again. "+
			"If someone may have read it, delete the file and restart: new ones are generated",
			"file", path, "mode", fmt.Sprintf("%#o", info.Mode().Perm()))
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the secrets: %w", err)
	}
	if json.Unmarshal(content, &all) != nil {
		// The decoder's own words could quote a secret.
		return nil, &EnvError{
			What:  "the file of generated passwords is not JSON of names and values",
			Where: path,
			Do:    "Restore it from a backup, or delete it and restart: new ones are generated",
			Err:   errors.New("malformed secrets file"),
		}
	}
	if all == nil { // the file said null
		all = map[string]string{}
	}
	return all, nil
}
