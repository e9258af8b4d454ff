// Package store keeps the state of identity resolution: what it has decided, on the disk and bounded in memory.
//
// A store is a few tables of fixed-width entries. They lie in sorted, immutable files (runs) that are mapped into
// memory and merged when they are read; the newest commits lie in a journal and, sorted, in memory. A general
// key-value store would do for single look-ups. But a bulk load joins hundreds of thousands of sorted prefixes with
// millions of entries at a time, and one pass over sorted rows of equal width does that in tens of milliseconds.
package store

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// ErrLocked says that another process, or this one, already writes the state.
var ErrLocked = errors.New("another process is using the state")

// ErrForeign says that the state was made by a program with other tables.
var ErrForeign = errors.New("the state was made with other tables, by an older or a newer program; " +
	"use that program, or remove the directory and build identity anew")

var (
	errClosed   = errors.New("the state is closed")
	errReadOnly = errors.New("the state was opened for reading only")
)

// Options are how to use a store. The zero value is right for a running node.
type Options struct {
	Flush    int          // bytes of committed entries kept in memory before they become a run; default 32 MiB
	Direct   int          // bytes from which a batch becomes a run at once, without the journal; default a quarter of Flush
	NoSync   bool         // do not wait for the disk: a power cut may then lose anything (tests, evaluation)
	ReadOnly bool         // look at the state as it is now, next to a running node: writes, deletes and locks nothing
	Log      *slog.Logger // what goes on in the background; default slog.Default
}

// Store is an open store. All of its methods may be called by many goroutines at once.
type Store struct {
	bulk   atomic.Bool // the last commit was so large that it became a run by itself
	dir    string
	tables []Spec
	opt    Options
	lock   *os.File
	next   atomic.Uint64 // number of the next file

	commit  sync.Mutex // one at a time: commits, and putting merged runs in their place; guards what follows
	room    sync.Cond  // told when runs were merged, or could not be
	listed  manifest   // as it is on the disk
	journal *journal
	memory  *memtable
	broken  error // why nothing can be written any more
	failed  error // why the last merge did not succeed

	mu      sync.Mutex // never held for long; guards what follows, and who uses versions and runs
	current *version
	closed  bool

	merging sync.Mutex // one merge at a time; taken before commit
	kick    chan struct{}
	quit    chan struct{}
	done    chan struct{}
	stop    atomic.Bool // a merge that is under way is given up
}

// Open opens the store in dir, and makes it when there is none.
func Open(dir string, tables []Spec, o Options) (*Store, error) {
	if o.Flush <= 0 {
		o.Flush = 32 << 20
	}
	if o.Direct <= 0 {
		o.Direct = o.Flush / 4
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if err := checkSpecs(tables); err != nil {
		return nil, err
	}
	s := &Store{dir: dir, tables: slices.Clone(tables), opt: o,
		kick: make(chan struct{}, 1), quit: make(chan struct{}), done: make(chan struct{})}
	s.room.L = &s.commit
	if o.ReadOnly {
		close(s.done) // nothing to merge
		if err := s.look(); err != nil {
			return nil, err
		}
		return s, nil
	}
	if err := s.own(); err != nil {
		if s.lock != nil {
			s.lock.Close() // gives the lock back
		}
		return nil, err
	}
	go s.mergeAlways()
	s.mergeSoon()
	return s, nil
}

// own opens the store as its writer.
func (s *Store) own() error {
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return fmt.Errorf("the directory of the state cannot be made: %w", err)
	}
	path := filepath.Join(s.dir, "LOCK")
	var err error
	if s.lock, err = os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600); err != nil {
		return fmt.Errorf("the lock of the state cannot be opened: %w", err)
	}
	if err := lockFile(s.lock); err != nil {
		return fmt.Errorf("%s: %w; stop it first", path, err)
	}
	m, err := readManifest(s.dir, s.tables)
	if errors.Is(err, fs.ErrNotExist) {
		m, err = s.create()
	}
	if err != nil {
		return err
	}
	if err := m.sweep(s.dir); err != nil {
		return err
	}
	f, size, err := s.load(m, os.O_RDWR)
	if err != nil {
		return err
	}
	// What was read may so far only be in the system's memory, and from now on counts as committed.
	err = f.Truncate(size)
	if err == nil && !s.opt.NoSync {
		err = errors.Join(f.Sync(), syncDir(s.dir, true))
	}
	if err != nil {
		return fmt.Errorf("the journal %s cannot be made ready: %w", f.Name(), errors.Join(err, f.Close()))
	}
	s.journal = &journal{number: m.Journal, path: f.Name(), file: f, size: size}
	return nil
}

// create makes an empty store.
func (s *Store) create() (*manifest, error) {
	files, err := ours(s.dir)
	if err != nil {
		return nil, fmt.Errorf("the directory of the state cannot be read: %w", err)
	}
	if slices.ContainsFunc(files, func(name string) bool { return filepath.Ext(name) == ".run" }) {
		return nil, fmt.Errorf("in %s there is state, but not its %s; "+
			"put the directory back from a backup, or remove it and build identity anew", s.dir, manifestName)
	}
	m := &manifest{Version: manifestVersion, Tables: s.tables, Journal: 1, Next: 2}
	j, err := createJournal(s.dir, m.Journal)
	if err != nil {
		return nil, err
	}
	if err := j.file.Close(); err != nil {
		return nil, fmt.Errorf("the journal %s cannot be made: %w", j.path, err)
	}
	return m, m.save(s.dir, !s.opt.NoSync)
}

// look opens the store as it stands. Its writer may remove files between our reading the manifest and opening what it
// lists; then a newer manifest is there.
func (s *Store) look() error {
	const tries = 20
	for try := 1; ; try++ {
		m, err := readManifest(s.dir, s.tables)
		if errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("there is no state yet: %w", err)
		}
		if err != nil {
			return err
		}
		f, _, err := s.load(m, os.O_RDONLY)
		if err == nil {
			return f.Close()
		}
		if !errors.Is(err, fs.ErrNotExist) || try == tries {
			return err
		}
		time.Sleep(time.Duration(try) * time.Millisecond)
	}
}

// load opens what the manifest lists and makes it the current version. It gives the open journal, and how far its
// records are whole.
func (s *Store) load(m *manifest, mode int) (f *os.File, size int64, err error) {
	v := &version{tables: s.tables, position: m.Position, meta: m.Meta}
	defer func() {
		if err != nil {
			for _, r := range v.runs {
				err = errors.Join(err, r.unmap())
			}
		}
	}()
	for _, number := range m.Runs {
		r, err := openRun(s.dir, number, s.tables)
		if err != nil {
			return nil, 0, err
		}
		v.runs = append(v.runs, r)
	}
	path := filepath.Join(s.dir, journalName(m.Journal))
	f, err = os.OpenFile(path, mode, 0)
	if err != nil {
		return nil, 0, fmt.Errorf("a journal cannot be opened: %w", err)
	}
	memory := newMemtable(s.tables)
	size, position, meta, err := replay(f, path, memory)
	if err != nil {
		f.Close()
		return nil, 0, err
	}
	if size > 0 {
		v.position, v.meta = position, meta
	}
	s.listed, s.memory = *m, memory
	s.next.Store(m.Next)
	v.memory, v.journal = memory.snapshot(), size
	s.publish(v)
	return f, size, nil
}

// Position is what the last commit said; 0 when there was none.
func (s *Store) Position() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.current.position
}

// Meta is what the last commit said.
func (s *Store) Meta() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return bytes.Clone(s.current.meta)
}

// Size is how many bytes the state takes on the disk.
func (s *Store) Size() (bytes int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	bytes = s.current.journal
	for _, r := range s.current.runs {
		bytes += int64(len(r.data))
	}
	return bytes
}

// Close ends a merge that is under way and closes the store. What was committed is there at the next Open. Views stay
// good until they are released; new ones cannot be taken.
func (s *Store) Close() error {
	s.mu.Lock()
	was := s.closed
	s.closed = true
	s.mu.Unlock()
	if was {
		return nil
	}
	s.stop.Store(true)
	close(s.quit)
	<-s.done
	s.merging.Lock() // a Compact of another goroutine
	defer s.merging.Unlock()
	s.commit.Lock()
	defer s.commit.Unlock()
	s.room.Broadcast()
	var err error
	if s.journal != nil {
		err = s.journal.file.Close()
	}
	err = errors.Join(err, s.release(s.current))
	if s.lock != nil {
		err = errors.Join(err, s.lock.Close())
	}
	if err != nil {
		return fmt.Errorf("the state in %s was not closed well: %w", s.dir, err)
	}
	return nil
}

func (s *Store) isClosed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}
