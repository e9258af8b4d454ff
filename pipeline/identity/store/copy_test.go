package store_test

import (
	"path/filepath"
	"testing"

	"github.com/shirecounty/shire/pipeline/identity/store"
)

// Copies that are made while somebody writes, flushes and merges hold what one of the commits left.
func TestCopyBesideTheWriter(t *testing.T) {
	dir := t.TempDir()
	if err := store.Copy(dir, filepath.Join(dir, "none")); err != nil {
		t.Fatalf("of no state: %v", err)
	}
	quit, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		ended <- func() error {
			s, err := store.Open(dir, tables, store.Options{Flush: 6000, Log: quiet, NoSync: true})
			if err != nil {
				return err
			}
			defer s.Close()
			m := newModel()
			for n := uint64(1); ; n++ {
				select {
				case <-quit:
					return nil
				default:
				}
				if err := s.Commit(numbered(n, &m), n, []byte(m.meta)); err != nil {
					return err
				}
			}
		}()
	}()
	m := newModel()
	seen := map[uint64]bool{}
	for len(seen) < 30 {
		to := filepath.Join(t.TempDir(), "copy")
		if err := store.Copy(dir, to); err != nil {
			t.Fatal(err)
		}
		s, err := store.Open(to, tables, store.Options{Log: quiet, NoSync: true})
		if err != nil {
			t.Fatal(err)
		}
		if s.Position() < m.position {
			t.Fatalf("a later copy is at %d, an earlier one at %d", s.Position(), m.position)
		}
		for m.position < s.Position() {
			numbered(m.position+1, &m)
		}
		v := s.View()
		if dump(v, len(tables)) != m.dump() || string(s.Meta()) != m.meta && m.position > 0 {
			t.Fatalf("the copy is not what commit %d left", m.position)
		}
		v.Release()
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		seen[m.position] = true
	}
	close(quit)
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
}
