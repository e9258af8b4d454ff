//go:build unix

package backup

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Whole is a backup that has all its parts, as far as their names and sizes tell.
type Whole struct {
	Folder   string
	Manifest *Manifest
}

// List lists the whole backups of a county, or of all when division is "", the oldest first. What is not whole is left out.
func List(to, division string) ([]Whole, error) {
	entries, err := os.ReadDir(to)
	if err != nil {
		return nil, fmt.Errorf("the folder of backups cannot be read: %w", err)
	}
	var out []Whole
	for _, e := range entries {
		if !e.IsDir() {
			continue
		}
		dir := filepath.Join(to, e.Name())
		if m, err := readManifest(dir); err == nil && (division == "" || m.Division == division) && complete(dir, m) {
			out = append(out, Whole{dir, m})
		}
	}
	slices.SortFunc(out, func(a, b Whole) int {
		return cmp.Or(a.Manifest.Begun.Compare(b.Manifest.Begun), strings.Compare(a.Folder, b.Folder))
	})
	return out, nil
}

func complete(dir string, m *Manifest) bool {
	for _, p := range m.Parts {
		if info, err := os.Stat(filepath.Join(dir, filepath.FromSlash(p.File))); err != nil || info.Size() != p.Bytes {
			return false
		}
	}
	return true
}

// keep removes all but the newest n whole backups of a county; all are kept when n is 0. One that is damaged is neither
// counted nor removed: a person should look at it.
func keep(to, division string, n int) error {
	if n == 0 {
		return nil
	}
	list, err := List(to, division)
	if err != nil {
		return err
	}
	for _, old := range list[:max(len(list)-n, 0)] {
		gone := old.Folder + leaving // so that one that is removed in part does not look whole
		if err := os.Rename(old.Folder, gone); err != nil {
			return fmt.Errorf("the backup was made, but an old one cannot be removed: %w", err)
		}
		if err := os.RemoveAll(gone); err != nil {
			return fmt.Errorf("the backup was made, but an old one cannot be removed: %w", err)
		}
	}
	return nil
}
