//go:build unix

package backup

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/klauspost/compress/zstd"
	"github.com/nats-io/nats.go"

	"github.com/shirecounty/shire/pipeline/bus"
	"github.com/shirecounty/shire/pipeline/warehouse"
	"github.com/shirecounty/shire/schemas/clickhouse"
	"github.com/shirecounty/shire/schemas/county"
)

// Backup is a backup that can be restored.
type Backup struct {
	Manifest *Manifest
	folder   string
	read     func(int64) // told of bytes that were used; nil: nobody is
}

// Open reads a backup's manifest. The error is a RefusedError where the folder holds none that this program can use.
func Open(folder string) (*Backup, error) {
	m, err := readManifest(folder)
	if err != nil {
		return nil, err
	}
	return &Backup{Manifest: m, folder: folder}, nil
}

// Fits tells whether this program can restore the backup for a county. The error is a RefusedError.
func (b *Backup) Fits(division string) error {
	switch m := b.Manifest; {
	case m.Division != division:
		return refuse("the backup is of county %s (%s) and county.yaml is of %s; give the county.yaml of the backup's county, whose copy is in the backup under configuration", m.Division, m.NameZh, division)
	case m.Schema > clickhouse.Version():
		return refuse("the backup's warehouse has schema version %d and this program knows up to %d: a newer shire wrote it (%s); restore with that one", m.Schema, clickhouse.Version(), m.Program)
	}
	return nil
}

func (b *Backup) path(p Part) string { return filepath.Join(b.folder, filepath.FromSlash(p.File)) }

// Verify reads every part and compares it with its hash. It names all that are missing or damaged.
func (b *Backup) Verify(ctx context.Context, tell Tell) error {
	var wrong []string
	done, total := int64(0), b.Manifest.Bytes()
	for _, p := range b.Manifest.Parts {
		if err := ctx.Err(); err != nil {
			return err
		}
		bytes, sum, err := measure(b.path(p))
		switch {
		case err != nil:
			wrong = append(wrong, p.File+" cannot be read")
		case bytes != p.Bytes:
			wrong = append(wrong, fmt.Sprintf("%s has %d bytes instead of %d", p.File, bytes, p.Bytes))
		case sum != p.SHA256:
			wrong = append(wrong, p.File+" was changed")
		}
		if done += p.Bytes; tell != nil {
			tell(done, total)
		}
	}
	if len(wrong) > 0 {
		return refuse("the backup %s is damaged: %s; take another backup", b.folder, strings.Join(wrong, "; "))
	}
	return nil
}

// Sealed tells whether the backup holds the generated secrets.
func (b *Backup) Sealed() bool { return len(b.Manifest.Of(KindSecrets)) > 0 }

// Secrets opens the secrets: the data directory's files by name.
func (b *Backup) Secrets(key county.Secret) (map[string][]byte, error) {
	passphrase, err := key.Reveal()
	if err != nil {
		return nil, refuse("the key of the backup's secrets cannot be read: %v", err)
	}
	data, err := os.ReadFile(b.path(b.Manifest.Of(KindSecrets)[0]))
	if err != nil {
		return nil, fmt.Errorf("the secrets of the backup cannot be read: %w", err)
	}
	return unseal(passphrase, data)
}

// Telling has the steps below tell how many bytes of the backup they have used.
func (b *Backup) Telling(tell Tell) {
	var done int64
	total := b.Manifest.Bytes()
	b.read = func(n int64) {
		if done += n; tell != nil {
			tell(done, total)
		}
	}
}

// open reads a part and tells of it.
func (b *Backup) open(p Part) (io.ReadCloser, error) {
	f, err := os.Open(b.path(p))
	if err != nil {
		return nil, fmt.Errorf("the backup cannot be read: %w", err)
	}
	return &reading{Reader: bufio.NewReaderSize(f, 256<<10), Closer: f, read: b.read}, nil
}

type reading struct {
	io.Reader
	io.Closer
	read func(int64)
}

func (r *reading) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	if r.read != nil {
		r.read(int64(n))
	}
	return n, err
}

// BusInUse names a stream of the backup that a bus has already, "" when it has none.
func (b *Backup) BusInUse(ctx context.Context, nc *nats.Conn) (string, error) {
	for _, p := range b.Manifest.Of(KindStream) {
		if there, err := bus.HasStream(ctx, nc, p.Stream.Stream); err != nil || there {
			return p.Stream.Stream, err
		}
	}
	return "", nil
}

// ClearBus removes from a bus what an unfinished restore has made.
func (b *Backup) ClearBus(ctx context.Context, nc *nats.Conn) error {
	for _, p := range b.Manifest.Of(KindStream) {
		if err := bus.DropStream(ctx, nc, p.Stream.Stream); err != nil {
			return err
		}
	}
	return nil
}

// FillBus makes the streams, and puts the ledger back to where the warehouse's part is (I3).
func (b *Backup) FillBus(ctx context.Context, nc *nats.Conn, replicas int) error {
	for _, p := range b.Manifest.Of(KindStream) {
		f, err := b.open(p)
		if err != nil {
			return err
		}
		err = errors.Join(bus.PutSnapshot(ctx, nc, p.Stream, replicas, f), f.Close())
		if err != nil {
			return err
		}
	}
	restored, err := bus.Open(ctx, nc, bus.Options{County: b.Manifest.Division, Replicas: replicas})
	if err != nil {
		return err
	}
	if restored.ID() != b.Manifest.Bus {
		return fmt.Errorf("the restored bus is %s, and the backup's was %s", restored.ID(), b.Manifest.Bus)
	}
	return restored.Rewind(ctx, b.Manifest.Loaded)
}

// FillWarehouse makes the tables as they were, and fills them. A newer program migrates them at its next start.
func (b *Backup) FillWarehouse(ctx context.Context, a warehouse.Address) error {
	if err := warehouse.Prepare(ctx, a, b.Manifest.Schema); err != nil {
		return err
	}
	w, err := warehouse.Open(a)
	if err != nil {
		return err
	}
	defer w.Close()
	parts := b.Manifest.Of(KindTable)
	// What a table is filled with is kept as its versions as well (a materialised view): those of the backup come after it.
	versions := func(p Part) bool { return warehouse.VersionsOf(p.Table) != "" }
	for _, p := range append(slices.DeleteFunc(slices.Clone(parts), versions), slices.DeleteFunc(slices.Clone(parts), func(p Part) bool { return !versions(p) })...) {
		if err := b.fill(ctx, a, p); err != nil {
			return err
		}
		rows, err := warehouse.CountRows(ctx, w, p.Table)
		if err != nil {
			return err
		}
		collapses, err := warehouse.Collapses(ctx, w, p.Table)
		if err != nil {
			return err
		}
		if rows > p.Rows || rows < p.Rows && !collapses {
			return fmt.Errorf("%s has %d rows now and had %d in the backup", p.Table, rows, p.Rows)
		}
	}
	return nil
}

func (b *Backup) fill(ctx context.Context, a warehouse.Address, p Part) error {
	f, err := b.open(p)
	if err != nil {
		return err
	}
	defer f.Close()
	unpacked, err := zstd.NewReader(f, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(256<<20))
	if err != nil {
		return fmt.Errorf("%s cannot be unpacked: %w", p.File, err)
	}
	defer unpacked.Close()
	rows, err := warehouse.FillTable(ctx, a, p.Table, unpacked)
	if err == nil && rows != p.Rows {
		err = fmt.Errorf("%s brought %d rows and should have %d", p.File, rows, p.Rows)
	}
	return err
}

// FillIdentities puts the state of identities into a folder.
func (b *Backup) FillIdentities(dir string) error {
	for _, p := range b.Manifest.Of(KindIdentity) {
		to := filepath.Join(dir, filepath.FromSlash(strings.TrimPrefix(p.File, "identity/")))
		if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
			return err
		}
		f, err := b.open(p)
		if err != nil {
			return err
		}
		out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if err == nil {
			_, err = io.Copy(out, f)
			err = errors.Join(err, out.Close())
		}
		if err = errors.Join(err, f.Close()); err != nil {
			return fmt.Errorf("the state of identities cannot be restored: %w", err)
		}
	}
	return nil
}
