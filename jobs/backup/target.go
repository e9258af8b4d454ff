//go:build unix

package backup

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// Target is a data directory that is being restored. A note in it says so from before the first change to after the last,
// whatever happens in between.
type Target struct {
	// Filling tells that an earlier restore, which did not come to its end, may have written to engines that run elsewhere.
	Filling bool

	dir  string
	note *os.File
}

// noteName is the note's name in the data directory.
const noteName = "restoring.json"

type note struct {
	Backup  string `json:"backup"`
	Filling bool   `json:"filling"`
}

// Unfinished tells whether a restore into the data directory has not come to its end.
func Unfinished(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, noteName))
	return err == nil
}

// Begin claims an empty data directory, or one that an unfinished restore has left, which it empties.
func Begin(dir, backup string) (*Target, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, refuse("the data directory %s cannot be made: %v", dir, errors.Unwrap(err))
	}
	t := &Target{dir: dir}
	mode := os.O_RDWR
	if !Unfinished(dir) {
		entries, err := os.ReadDir(dir)
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			if e.Name() != "lost+found" {
				return nil, refuse("the data directory %s is not empty: a backup is restored into an empty one, so that nothing is lost; name another with --data", dir)
			}
		}
		mode |= os.O_CREATE | os.O_EXCL
	}
	var err error
	if t.note, err = os.OpenFile(filepath.Join(dir, noteName), mode, 0o600); err != nil {
		return nil, fmt.Errorf("the restore cannot be noted down: %w", err)
	}
	if err := syscall.Flock(int(t.note.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		t.note.Close()
		return nil, refuse("another process is restoring into %s", dir)
	}
	if mode&os.O_CREATE == 0 {
		var left note
		if err := json.NewDecoder(t.note).Decode(&left); err != nil {
			left.Filling = false // it was killed before it had written anything
		}
		t.Filling = left.Filling
		if err := t.empty(); err != nil {
			return nil, err
		}
	}
	return t, t.write(note{Backup: backup, Filling: t.Filling})
}

// empty removes everything but the note.
func (t *Target) empty() error {
	entries, err := os.ReadDir(t.dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.Name() == noteName || e.Name() == "lost+found" {
			continue
		}
		if err := os.RemoveAll(filepath.Join(t.dir, e.Name())); err != nil {
			return fmt.Errorf("what an unfinished restore left in %s cannot be removed: %w", t.dir, err)
		}
	}
	return nil
}

func (t *Target) write(n note) error {
	data, err := json.Marshal(n)
	if err != nil {
		return err
	}
	if err := t.note.Truncate(0); err != nil {
		return err
	}
	if _, err := t.note.WriteAt(data, 0); err != nil {
		return err
	}
	return errors.Join(t.note.Sync(), syncFolder(t.dir))
}

// Fill notes that from now on engines are written to.
func (t *Target) Fill(backup string) error {
	t.Filling = true
	return t.write(note{Backup: backup, Filling: true})
}

// Put writes a file of the data directory, for its owner alone.
func (t *Target) Put(name string, data []byte) error {
	if !filepath.IsLocal(name) || name != filepath.Base(name) || name == noteName {
		return refuse("the backup has a secret file called %q, which cannot be one", name)
	}
	return os.WriteFile(filepath.Join(t.dir, name), data, 0o600)
}

// Finish brings everything to the disk and takes the note away.
func (t *Target) Finish() error {
	syscall.Sync()
	err := os.Remove(filepath.Join(t.dir, noteName))
	return errors.Join(err, t.note.Close(), syncFolder(t.dir))
}

// Abandon gives up before anything was filled: the data directory is empty again.
func (t *Target) Abandon() error {
	err := t.empty()
	if rm := os.Remove(filepath.Join(t.dir, noteName)); !errors.Is(rm, fs.ErrNotExist) {
		err = errors.Join(err, rm)
	}
	return errors.Join(err, t.note.Close())
}
