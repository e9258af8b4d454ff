//go:build unix

package backup

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"crypto/sha256"

	"github.com/shirecounty/shire/pipeline/bus"
)

// Format is the version of backups that this program writes.
const Format = 1

// Kinds of parts.
const (
	KindStream        = "stream"
	KindTable         = "table"
	KindIdentity      = "identity"
	KindConfiguration = "configuration"
	KindSecrets       = "secrets"
)

// Manifest says what a backup is and what it consists of.
type Manifest struct {
	Format    int               `json:"format"`
	Program   string            `json:"program"` // version of shire that wrote it
	Division  string            `json:"county"`
	NameZh    string            `json:"name_zh"`
	NameEn    string            `json:"name_en"`
	Begun     time.Time         `json:"begun"`
	Finished  time.Time         `json:"finished"`
	Schema    int64             `json:"schema"` // the warehouse's last migration
	Bus       string            `json:"bus"`    // its identity
	Key       string            `json:"key"`    // by which the key of the pseudonyms is known again
	Loaded    bus.Mark          `json:"loaded"` // what the warehouse's part holds
	Contracts map[string]string `json:"contracts"`
	Parts     []Part            `json:"parts"`
}

// Part is one file.
type Part struct {
	File   string        `json:"file"` // in the backup's folder, with slashes
	Kind   string        `json:"kind"`
	Bytes  int64         `json:"bytes"`
	SHA256 string        `json:"sha256"`
	Stream *bus.Snapshot `json:"stream,omitempty"`
	Table  string        `json:"table,omitempty"`
	Rows   uint64        `json:"rows,omitempty"`
}

const (
	manifestName = "manifest.json"
	sumName      = "manifest.json.sha256" // as sha256sum writes it
)

// Of are the parts of a kind.
func (m *Manifest) Of(kind string) []Part {
	var out []Part
	for _, p := range m.Parts {
		if p.Kind == kind {
			out = append(out, p)
		}
	}
	return out
}

// Bytes is the size of all parts.
func (m *Manifest) Bytes() (n int64) {
	for _, p := range m.Parts {
		n += p.Bytes
	}
	return n
}

// Rows is how many rows the tables have, every version.
func (m *Manifest) Rows() (n uint64) {
	for _, p := range m.Parts {
		n += p.Rows
	}
	return n
}

// Messages is how many messages the streams have.
func (m *Manifest) Messages() (n uint64) {
	for _, p := range m.Of(KindStream) {
		n += p.Stream.Messages
	}
	return n
}

func (m *Manifest) save(dir string) error {
	text, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	text = append(text, '\n')
	for name, content := range map[string][]byte{manifestName: text, sumName: sumLine(text)} {
		to := filepath.Join(dir, name)
		if err := os.WriteFile(to, content, 0o600); err != nil {
			return err
		}
		if err := syncFile(to); err != nil {
			return err
		}
	}
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return err
		}
		return syncFolder(path)
	})
}

func sumLine(text []byte) []byte {
	sum := sha256.Sum256(text)
	return []byte(hex.EncodeToString(sum[:]) + "  " + manifestName + "\n")
}

// readManifest reads and proves the manifest of a backup.
func readManifest(dir string) (*Manifest, error) {
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return nil, refuse("%s is not a folder; give the folder of one backup", dir)
	}
	if strings.HasSuffix(filepath.Clean(dir), partial) || strings.HasSuffix(filepath.Clean(dir), leaving) {
		return nil, refuse("%s was not finished, or was being removed: it is no backup", dir)
	}
	return loadManifest(dir)
}

func loadManifest(dir string) (*Manifest, error) {
	text, err := os.ReadFile(filepath.Join(dir, manifestName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, refuse("%s holds no %s: it is no backup of shire; give the folder of one backup, not the folder of all", dir, manifestName)
	}
	if err != nil {
		return nil, fmt.Errorf("the backup cannot be read: %w", err)
	}
	sum, err := os.ReadFile(filepath.Join(dir, sumName))
	if err != nil || !bytes.Equal(sum, sumLine(text)) {
		return nil, refuse("%s of %s is not as it was written; take another backup", manifestName, dir)
	}
	return parseManifest(text)
}

// parseManifest reads what stands in a manifest. Nothing in it is believed that could lead out of the backup's folder.
func parseManifest(text []byte) (*Manifest, error) {
	var m Manifest
	if err := json.Unmarshal(text, &m); err != nil {
		return nil, refuse("%s cannot be read: %v", manifestName, err)
	}
	if m.Format > Format {
		return nil, refuse("the backup is of format %d and this program knows up to %d: a newer shire wrote it (%s); restore with that one", m.Format, Format, m.Program)
	}
	if m.Format < 1 || len(m.Division) == 0 || len(m.Parts) == 0 {
		return nil, refuse("%s does not describe a backup", manifestName)
	}
	seen := map[string]bool{}
	for _, p := range m.Parts {
		sum, err := hex.DecodeString(p.SHA256)
		known := map[string]bool{KindStream: p.Stream != nil && validName(p.Stream.Stream), KindTable: validTable(p.Table), KindIdentity: true, KindConfiguration: true, KindSecrets: true}[p.Kind]
		if !known || err != nil || len(sum) != sha256.Size || p.Bytes < 0 || seen[p.File] || !filepath.IsLocal(filepath.FromSlash(p.File)) {
			return nil, refuse("%s describes a part that cannot be one: %q", manifestName, p.File)
		}
		seen[p.File] = true
	}
	return &m, nil
}

// validName tells whether a text can stand in SQL and in subjects as a name.
func validName(s string) bool {
	return s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") == ""
}

func validTable(s string) bool {
	database, table, ok := strings.Cut(s, ".")
	return ok && validName(database) && validName(table)
}
