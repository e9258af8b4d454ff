//go:build unix

// Package backup copies a running county into a folder, and a folder into an empty county.
//
// A backup is the bus, the warehouse, the state of identities, and, when it is given a key, the generated secrets. The bus
// is the truth; the warehouse saves the time of making it again. What makes the parts one moment though they are read one
// after the other is their order, and the ledger of loads (docs/decisions/0028):
//
//  1. how far the ledger says that loads are finished, the mark;
//  2. the state of identities and the warehouse: whatever they hold beyond the mark is of ranges that are recorded by now.
//     Of the warehouse's tables only what messages up to the mark brought is read;
//  3. the streams in the order of [bus.Bus.Streams]: the ledger has every range that the warehouse or the identities know
//     of, and CHANGES every message of a range that the ledger has.
//
// A restore puts the ledger back to the mark. The next start then finds ranges that are recorded and not finished, as after
// a kill, and loads them as they were recorded (I3).
//
// # How it fails
//
//   - It is killed, or cannot write: the folder's name ends in .partial, which the next backup removes. It gets its name
//     when every part is on the disk and was read back.
//   - An engine goes away: the backup fails, and whoever scheduled it tries again.
//   - A part is changed afterwards: its hash does not match, and the restore says which it is before it changes anything.
//   - The restore is killed: the data directory says that it is unfinished, nothing starts on it, and the next restore begins
//     anew.
package backup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/shirecounty/shire/pipeline/bus"
	"github.com/shirecounty/shire/pipeline/identity"
	"github.com/shirecounty/shire/pipeline/warehouse"
)

// County is what is copied.
type County struct {
	Division, NameZh, NameEn string
	Bus                      *bus.Bus
	Warehouse                warehouse.Address // of the loading user
	Identities               string            // folder with the state of identities
	Secrets                  map[string][]byte // the data directory's files that hold secrets, by name
	Files                    map[string]string // of the configuration: where they stand, by their slash-separated names in the backup
	Contracts                map[string]string // dataset -> version and hash
	Program                  string            // version of this program
}

// Tell is told how many of how many bytes are done; nil where nobody wants to know. The total is an estimate.
type Tell func(done, total int64)

// RefusedError says that something cannot be used as it is: a folder, a key, a version.
type RefusedError struct{ message string }

func (e *RefusedError) Error() string { return e.message }

func refuse(format string, args ...any) error {
	return &RefusedError{fmt.Sprintf(format, args...)}
}

// Endings of folders that are no backups: one that is being written, one that is being removed.
const (
	partial = ".partial"
	leaving = ".leaving"
)

// Take makes a backup and tells its folder. Older ones than the newest s.Keep are removed when it is whole.
func Take(ctx context.Context, c County, s Settings, tell Tell) (m *Manifest, folder string, err error) {
	if err := s.Check(); err != nil {
		return nil, "", err
	}
	release, err := claim(s.To)
	if err != nil {
		return nil, "", err
	}
	defer release()
	if err := sweep(s.To, c.Division); err != nil {
		return nil, "", err
	}
	began := time.Now().UTC()
	folder = filepath.Join(s.To, c.Division+"-"+began.Format("20060102T150405.000Z"))
	t := &taking{county: c, settings: s, folder: folder + partial, tell: tell}
	t.manifest = Manifest{
		Format: Format, Program: c.Program, Division: c.Division, NameZh: c.NameZh, NameEn: c.NameEn,
		Begun: began, Bus: c.Bus.ID(), Contracts: c.Contracts,
	}
	if err := t.take(ctx); err != nil {
		return nil, "", withoutRoom(s.To, errors.Join(err, os.RemoveAll(t.folder)))
	}
	if err := errors.Join(os.Rename(t.folder, folder), syncFolder(s.To)); err != nil {
		return nil, "", fmt.Errorf("the backup cannot be given its name: %w", err)
	}
	return &t.manifest, folder, keep(s.To, c.Division, s.Keep)
}

// claim makes the folder of backups and keeps others from writing to it.
func claim(to string) (release func(), err error) {
	if err := os.MkdirAll(to, 0o700); err != nil {
		return nil, refuse("the folder %s cannot be made: %v; choose another, or give this user write access", to, errors.Unwrap(err))
	}
	lock, err := os.OpenFile(filepath.Join(to, ".lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, refuse("the folder %s cannot be written to: %v; choose another, or give this user write access", to, errors.Unwrap(err))
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		lock.Close()
		return nil, fmt.Errorf("another backup is being written to %s; wait until it is done", to)
	}
	return func() { lock.Close() }, nil
}

// sweep removes what killed backups and removals have left.
func sweep(to, division string) error {
	entries, err := os.ReadDir(to)
	if err != nil {
		return err
	}
	for _, e := range entries {
		name := e.Name()
		if !strings.HasPrefix(name, division+"-") || !strings.HasSuffix(name, partial) && !strings.HasSuffix(name, leaving) {
			continue
		}
		if err := os.RemoveAll(filepath.Join(to, name)); err != nil {
			return fmt.Errorf("what a stopped backup left in %s cannot be removed: %w", to, err)
		}
	}
	return nil
}

// taking is a backup that is being made.
type taking struct {
	county   County
	settings Settings
	folder   string
	manifest Manifest
	tell     Tell

	done, total int64
}

func (t *taking) take(ctx context.Context) error {
	w, err := warehouse.Open(t.county.Warehouse)
	if err != nil {
		return err
	}
	defer w.Close()
	tables, err := warehouse.CopiedTables(ctx, w)
	if err != nil {
		return err
	}
	if len(tables) == 0 {
		return refuse("this county has not run yet, so there is nothing to back up; start it with shire up")
	}
	if t.manifest.Schema, err = warehouse.SchemaVersion(ctx, w); err != nil {
		return err
	}
	loadedFrom, err := warehouse.LoadedFrom(ctx, w)
	if err != nil {
		return err
	}
	// What the warehouse was loaded with is written down in it: the bus, and the key of the pseudonyms as its hash.
	ofBus, key, _ := strings.Cut(loadedFrom, "/")
	if t.manifest.Key = key; ofBus != t.manifest.Bus {
		return warehouse.OtherBusError{}
	}
	streams, err := t.streams(ctx)
	if err != nil {
		return err
	}
	if err := t.makeRoom(ctx, tables, streams); err != nil {
		return err
	}
	// I3: the mark first, then what may be ahead of it, then the streams that have all that those know of.
	if t.manifest.Loaded, err = t.county.Bus.Done(ctx); err != nil {
		return err
	}
	if err := t.identities(); err != nil {
		return err
	}
	for _, table := range tables {
		if err := t.table(ctx, table); err != nil {
			return err
		}
	}
	for _, s := range streams {
		if err := t.stream(ctx, s); err != nil {
			return err
		}
	}
	if err := t.files(); err != nil {
		return err
	}
	if err := t.secrets(); err != nil {
		return err
	}
	t.manifest.Finished = time.Now().UTC()
	if err := t.manifest.save(t.folder); err != nil {
		return err
	}
	m, err := loadManifest(t.folder) // what is on the disk, not what was meant to be
	if err != nil {
		return err
	}
	return (&Backup{Manifest: m, folder: t.folder}).Verify(ctx, nil)
}

// streams are those to be taken. Their sequences belong to one county; a bus that several share cannot be put back for one.
func (t *taking) streams(ctx context.Context) ([]string, error) {
	counties, err := t.county.Bus.Counties(ctx)
	if err != nil {
		return nil, err
	}
	if others := slices.DeleteFunc(counties, func(c string) bool { return c == t.county.Division }); len(others) > 0 {
		return nil, refuse("this NATS account serves other counties too (%s), so its streams cannot be put back for one of them; give each county an account of its own", strings.Join(others, ", "))
	}
	return t.county.Bus.Streams(ctx)
}

// makeRoom estimates the size of the backup and refuses to begin where it does not fit.
func (t *taking) makeRoom(ctx context.Context, tables []warehouse.CopiedTable, streams []string) error {
	for _, table := range tables {
		t.total += int64(table.Bytes)
	}
	for _, s := range streams {
		n, err := t.county.Bus.StreamBytes(ctx, s)
		if err != nil {
			return err
		}
		t.total += int64(n)
	}
	var space syscall.Statfs_t
	if err := syscall.Statfs(t.settings.To, &space); err != nil {
		return fmt.Errorf("ask for the free space of %s: %w", t.settings.To, err)
	}
	if free := int64(space.Bavail) * int64(space.Bsize); free < t.total {
		return fmt.Errorf("the backup needs about %d MB and %s has %d MB free: %w", t.total>>20, t.settings.To, free>>20, syscall.ENOSPC)
	}
	return os.MkdirAll(t.folder, 0o700)
}

// withoutRoom says in words that the disk is full.
func withoutRoom(to string, err error) error {
	for _, full := range []error{syscall.ENOSPC, syscall.EDQUOT, syscall.EFBIG} {
		if errors.Is(err, full) {
			return fmt.Errorf("there is no room in %s for the backup, and what was written of it is removed again; free some, or choose another folder: %w", to, err)
		}
	}
	return err
}

// add tells of bytes that are done.
func (t *taking) add(n int64) {
	t.done += n
	if t.tell != nil {
		t.tell(t.done, max(t.total, t.done))
	}
}

func (t *taking) identities() error {
	const name = "identity"
	if err := identity.Copy(t.county.Identities, filepath.Join(t.folder, name)); err != nil {
		return err
	}
	root := filepath.Join(t.folder, name)
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		file, err := filepath.Rel(t.folder, path)
		if err != nil {
			return err
		}
		bytes, sum, err := measure(path)
		if err != nil {
			return err
		}
		t.manifest.Parts = append(t.manifest.Parts, Part{File: filepath.ToSlash(file), Kind: KindIdentity, Bytes: bytes, SHA256: sum})
		return syncFile(path)
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil // no state yet
	}
	return err
}
