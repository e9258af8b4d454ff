package store

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

const (
	manifestName    = "MANIFEST"
	manifestVersion = 1
)

// manifest says what the state consists of: the runs, and what the journal adds to them. Replacing it is what makes
// runs count.
type manifest struct {
	Version  int      `json:"version"`
	Tables   []Spec   `json:"tables"`
	Runs     []uint64 `json:"runs"`     // oldest first
	Journal  uint64   `json:"journal"`  // the one that follows the runs
	Next     uint64   `json:"next"`     // number of the next file; numbers are never given twice
	Position uint64   `json:"position"` // what the last commit in the runs said
	Meta     []byte   `json:"meta,omitempty"`
}

// readManifest gives fs.ErrNotExist when there is none.
func readManifest(dir string, tables []Spec) (*manifest, error) {
	path := filepath.Join(dir, manifestName)
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("the list of runs cannot be read: %w", err)
	}
	text, sum, ok := bytes.Cut(data, []byte("\n"))
	if !ok || string(sum) != checksum(text) {
		return nil, damaged(path, errors.New("its checksum does not match"))
	}
	var m manifest
	if err := json.Unmarshal(text, &m); err != nil {
		return nil, damaged(path, errors.New("it is not JSON"))
	}
	if m.Version != manifestVersion || !slices.Equal(m.Tables, tables) {
		return nil, fmt.Errorf("%s: %w", dir, ErrForeign)
	}
	return &m, nil
}

func checksum(text []byte) string {
	return fmt.Sprintf("%08x\n", crc32.Checksum(text, castagnoli))
}

// save replaces the manifest. After an error nobody knows which of the two is there.
func (m *manifest) save(dir string, sync bool) error {
	text, err := json.Marshal(m)
	if err != nil {
		return err
	}
	path := filepath.Join(dir, manifestName)
	if err := m.write(dir, path, fmt.Appendf(nil, "%s\n%s", text, checksum(text)), sync); err != nil {
		return fmt.Errorf("the list of runs cannot be replaced: %w", err)
	}
	return nil
}

func (m *manifest) write(dir, path string, data []byte, sync bool) error {
	f, err := os.OpenFile(path+".tmp", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if sync && err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	// The directory has to know the files that the manifest names before it knows the manifest.
	if err := syncDir(dir, sync); err != nil {
		return err
	}
	if err := os.Rename(path+".tmp", path); err != nil {
		return err
	}
	return syncDir(dir, sync)
}

func syncDir(dir string, sync bool) error {
	if !sync {
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// sweep removes what a crash left behind: files of ours that the manifest does not list.
func (m *manifest) sweep(dir string) error {
	listed := map[string]bool{journalName(m.Journal): true}
	for _, n := range m.Runs {
		listed[runName(n)] = true
	}
	files, err := ours(dir)
	if err != nil {
		return err
	}
	for _, name := range files {
		if listed[name] {
			continue
		}
		if err := os.Remove(filepath.Join(dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("a file that a crash left behind cannot be removed: %w", err)
		}
	}
	return nil
}

// ours lists the runs, journals and unfinished manifests in a directory.
func ours(dir string) ([]string, error) {
	files, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, f := range files {
		if ext := filepath.Ext(f.Name()); ext == ".run" || ext == ".wal" || f.Name() == manifestName+".tmp" {
			names = append(names, f.Name())
		}
	}
	return names, nil
}
