package store

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// Copy copies the state in dir, as it stands at one moment and with no regard to its writer, into the folder to, which it
// makes. Of a commit that is being written part may be there, as after a crash. Where there is no state it copies nothing.
func Copy(dir, to string) error {
	const tries = 20
	for try := 1; ; try++ {
		err := copyState(dir, to)
		// The writer may merge runs away between our reading the manifest and copying what it lists; then a newer one is there.
		if err == nil || !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if _, there := os.Stat(filepath.Join(dir, manifestName)); errors.Is(there, fs.ErrNotExist) {
			return nil
		}
		if try == tries {
			return fmt.Errorf("the state in %s cannot be copied: %w", dir, err)
		}
		if err := os.RemoveAll(to); err != nil {
			return err
		}
	}
}

func copyState(dir, to string) error {
	data, err := os.ReadFile(filepath.Join(dir, manifestName))
	if err != nil {
		return err
	}
	var m manifest
	text, _, _ := bytes.Cut(data, []byte("\n"))
	if err := json.Unmarshal(text, &m); err != nil {
		return damaged(filepath.Join(dir, manifestName), errors.New("it is not JSON"))
	}
	if err := os.MkdirAll(to, 0o700); err != nil {
		return err
	}
	// The journal first: it is what goes away next.
	names := []string{journalName(m.Journal)}
	for _, n := range m.Runs {
		names = append(names, runName(n))
	}
	for _, name := range names {
		if err := copyFile(filepath.Join(dir, name), filepath.Join(to, name)); err != nil {
			return err
		}
	}
	return os.WriteFile(filepath.Join(to, manifestName), data, 0o600)
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}
