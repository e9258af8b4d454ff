//go:build unix

package backup

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"

	"github.com/klauspost/compress/zstd"

	"github.com/shirecounty/shire/pipeline/warehouse"
)

// file is a part that is being written.
type file struct {
	name  string // in the backup
	disk  *os.File
	out   *bufio.Writer
	sum   hash.Hash
	bytes int64
	wrote func(int64)
}

func (t *taking) create(name string) (*file, error) {
	to := filepath.Join(t.folder, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		return nil, err
	}
	disk, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, err
	}
	return &file{name: name, disk: disk, out: bufio.NewWriterSize(disk, 256<<10), sum: sha256.New(), wrote: t.add}, nil
}

func (f *file) Write(p []byte) (int, error) {
	n, err := f.out.Write(p)
	f.sum.Write(p[:n])
	f.bytes += int64(n)
	f.wrote(int64(n))
	return n, err
}

// again begins the file anew.
func (f *file) again() error {
	f.wrote(-f.bytes)
	f.sum.Reset()
	f.bytes = 0
	f.out.Reset(f.disk)
	_, err := f.disk.Seek(0, io.SeekStart)
	return errors.Join(err, f.disk.Truncate(0))
}

// end writes through and describes the part.
func (f *file) end(err error) (Part, error) {
	if err == nil {
		err = f.out.Flush()
	}
	if err == nil {
		err = f.disk.Sync()
	}
	if err = errors.Join(err, f.disk.Close()); err != nil {
		return Part{}, err
	}
	return Part{File: f.name, Bytes: f.bytes, SHA256: hex.EncodeToString(f.sum.Sum(nil))}, nil
}

func (t *taking) stream(ctx context.Context, name string) error {
	f, err := t.create("bus/" + name + ".s2")
	if err != nil {
		return err
	}
	snapshot, err := t.county.Bus.TakeSnapshot(ctx, name, func() (io.Writer, error) { return f, f.again() })
	p, err := f.end(err)
	if err != nil {
		return err
	}
	p.Kind, p.Stream = KindStream, snapshot
	t.manifest.Parts = append(t.manifest.Parts, p)
	return nil
}

func (t *taking) table(ctx context.Context, table warehouse.CopiedTable) error {
	f, err := t.create("warehouse/" + table.Name + ".native.zst")
	if err != nil {
		return err
	}
	var rows uint64
	packed, err := zstd.NewWriter(f, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1))
	if err == nil {
		rows, err = warehouse.CopyTable(ctx, t.county.Warehouse, table.Name, t.manifest.Loaded.Through, packed)
		err = errors.Join(err, packed.Close())
	}
	p, err := f.end(err)
	if err != nil {
		return err
	}
	p.Kind, p.Table, p.Rows = KindTable, table.Name, rows
	t.manifest.Parts = append(t.manifest.Parts, p)
	return nil
}

// files copies the configuration, for people: a restore is given its own.
func (t *taking) files() error {
	for _, name := range slices.Sorted(maps.Keys(t.county.Files)) {
		from, err := os.Open(t.county.Files[name])
		if err != nil {
			return fmt.Errorf("a file of the configuration cannot be read: %w", err)
		}
		f, err := t.create(path.Join("configuration", name))
		if err == nil {
			_, err = io.Copy(f, from)
		}
		from.Close()
		if f == nil {
			return err
		}
		p, err := f.end(err)
		if err != nil {
			return err
		}
		p.Kind = KindConfiguration
		t.manifest.Parts = append(t.manifest.Parts, p)
	}
	return nil
}

func (t *taking) secrets() error {
	key, err := t.settings.Key.Reveal()
	if err != nil {
		return refuse("the key for the backup's secrets cannot be read: %v", err)
	}
	if key == "" || len(t.county.Secrets) == 0 {
		return nil
	}
	sealed, err := seal(key, t.county.Secrets)
	if err != nil {
		return err
	}
	f, err := t.create("secrets.sealed")
	if err != nil {
		return err
	}
	_, err = f.Write(sealed)
	p, err := f.end(err)
	if err != nil {
		return err
	}
	p.Kind = KindSecrets
	t.manifest.Parts = append(t.manifest.Parts, p)
	return nil
}

// measure reads a file to its end.
func measure(name string) (bytes int64, sum string, err error) {
	f, err := os.Open(name)
	if err != nil {
		return 0, "", err
	}
	defer f.Close()
	h := sha256.New()
	bytes, err = io.Copy(h, f)
	return bytes, hex.EncodeToString(h.Sum(nil)), err
}

func syncFile(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// syncFolder makes the disk know a folder's names.
func syncFolder(dir string) error { return syncFile(dir) }
