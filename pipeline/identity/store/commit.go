package store

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
)

// Commit makes a batch, a position and meta the state, all or nothing. When it returns they are on the disk. A small
// batch goes to the journal, a large one becomes a run of its own. An error leaves the state as it was, but after some
// errors of the disk it is only known again at the next Open.
func (s *Store) Commit(b *Batch, position uint64, meta []byte) error {
	s.commit.Lock()
	defer s.commit.Unlock()
	if err := s.writable(); err != nil {
		return err
	}
	if !slices.EqualFunc(s.tables, b.tables, func(t Spec, u batchTable) bool { return t == u.Spec }) {
		return fmt.Errorf("a batch for other tables cannot be committed to %s", s.dir)
	}
	s.bulk.Store(b.size() > s.opt.Direct)
	if s.bulk.Load() {
		if err := s.waitForRoom(); err != nil {
			return err
		}
		return s.advance(position, bytes.Clone(meta), b.entries)
	}
	record := encode(b, position, meta)
	if s.journal.size > 0 && s.journal.size+int64(len(record)) > int64(s.opt.Flush) {
		if err := s.flush(); err != nil {
			return err
		}
	}
	clean, err := s.journal.append(record, !s.opt.NoSync)
	if err != nil {
		if !clean {
			s.broken = err
		}
		return err
	}
	if position, meta, err = s.memory.apply(record[recordHead:]); err != nil {
		return err // cannot be: encode made it
	}
	s.publish(&version{tables: s.tables, runs: s.current.runs, memory: s.memory.snapshot(),
		position: position, meta: meta, journal: s.journal.size})
	return nil
}

// writable tells why nothing can be written, if so. The caller holds commit.
func (s *Store) writable() error {
	switch {
	case s.opt.ReadOnly:
		return fmt.Errorf("%s: %w", s.dir, errReadOnly)
	case s.isClosed():
		return fmt.Errorf("%s: %w", s.dir, errClosed)
	case s.broken != nil:
		return fmt.Errorf("the state in %s has to be opened again before it can be written: %w", s.dir, s.broken)
	}
	return nil
}

// flush makes a run of what is in memory. The caller holds commit.
func (s *Store) flush() error {
	if err := s.waitForRoom(); err != nil {
		return err
	}
	return s.advance(s.current.position, s.current.meta)
}

// advance makes runs of what is in memory and then of what is given, and begins a new journal. The caller holds commit.
func (s *Store) advance(position uint64, meta []byte, sources ...entries) error {
	if !s.memory.empty() {
		sources = append([]entries{s.memory.entries}, sources...)
	}
	old := s.current.runs
	runs := slices.Clip(old)
	discard := func(err error) error {
		for _, r := range runs[len(old):] {
			err = errors.Join(err, r.unmap(), os.Remove(r.path))
		}
		return err
	}
	for _, e := range sources {
		if len(runs) == 0 {
			e = e.withoutDead(s.tables)
		}
		r, err := s.makeRun(e, false)
		if err != nil {
			return discard(err)
		}
		if r != nil {
			runs = append(runs, r)
		}
	}
	j := s.journal
	if j.size > 0 {
		var err error
		if j, err = createJournal(s.dir, s.next.Add(1)-1); err != nil {
			return discard(err)
		}
	}
	if err := s.list(runs, j.number, position, meta); err != nil {
		return err
	}
	if last := s.journal; last != j {
		s.journal, s.memory = j, newMemtable(s.tables)
		if err := errors.Join(last.file.Close(), os.Remove(last.path)); err != nil {
			s.opt.Log.Warn("a journal that is no longer needed stays until the state is opened again", "error", err)
		}
	}
	s.publish(&version{tables: s.tables, runs: runs, memory: s.memory.snapshot(),
		position: position, meta: meta, journal: s.journal.size})
	s.mergeSoon()
	return nil
}

// makeRun writes a run and opens it; nil when there is nothing to write. The manifest does not list it yet. Gently is for
// what nobody waits for.
func (s *Store) makeRun(e entries, gently bool) (*run, error) {
	number := s.next.Add(1) - 1
	count, err := writeRun(s.dir, number, s.tables, e, !s.opt.NoSync, gently)
	if err != nil {
		return nil, fmt.Errorf("a run cannot be written: %w", err)
	}
	if count == 0 {
		return nil, os.Remove(filepath.Join(s.dir, runName(number)))
	}
	return openRun(s.dir, number, s.tables)
}

// list replaces the manifest. The caller holds commit, and keeps the files whatever happens: after an error either
// manifest may be there.
func (s *Store) list(runs []*run, journal, position uint64, meta []byte) error {
	m := s.listed
	m.Runs = make([]uint64, len(runs))
	for i, r := range runs {
		m.Runs[i] = r.number
	}
	m.Journal, m.Position, m.Meta, m.Next = journal, position, meta, s.next.Load()
	if err := m.save(s.dir, !s.opt.NoSync); err != nil {
		s.broken = err
		return err
	}
	s.listed = m
	return nil
}
