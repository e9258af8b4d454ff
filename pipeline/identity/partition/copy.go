package partition

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/shirecounty/shire/pipeline/identity/store"
)

// Copy copies the partition in dir, as it stands at one moment and with no regard to who uses it, into the folder to. Where
// there is none it copies nothing.
func Copy(dir, to string) error {
	const tries = 20
	for range tries {
		name, err := current(dir)
		if err != nil {
			return err
		}
		if err := os.RemoveAll(to); err != nil {
			return err
		}
		if err := store.Copy(filepath.Join(dir, name), filepath.Join(to, name)); err != nil {
			return err
		}
		// A new model may have put another state in its place meanwhile, and removed this one.
		if now, err := current(dir); err != nil || now != name {
			if err != nil {
				return err
			}
			continue
		}
		if _, err := os.Stat(filepath.Join(to, name)); errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return copyBeside(dir, to, name)
	}
	return fmt.Errorf("the state of identities in %s cannot be copied: it is made anew all the time", dir)
}

// copyBeside copies what stands beside a state. A model is written before the state that names it.
func copyBeside(dir, to, name string) error {
	models, err := filepath.Glob(filepath.Join(dir, "model-*.yaml"))
	if err != nil {
		return err
	}
	for _, m := range models {
		text, err := os.ReadFile(m)
		if err == nil {
			err = os.WriteFile(filepath.Join(to, filepath.Base(m)), text, 0o600)
		}
		if err != nil {
			return fmt.Errorf("a model cannot be copied: %w", err)
		}
	}
	return os.WriteFile(filepath.Join(to, "current"), []byte(name+"\n"), 0o600)
}
