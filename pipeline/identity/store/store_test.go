package store_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/shirecounty/shire/pipeline/identity/store"
)

func open(t *testing.T, dir string, o store.Options) *store.Store {
	t.Helper()
	o.Log = quiet
	s, err := store.Open(dir, tables, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// commit commits the numbered batches from..to and gives what they make of the model.
func commit(t *testing.T, s *store.Store, m model, to uint64) model {
	t.Helper()
	m = m.clone()
	for n := m.position + 1; n <= to; n++ {
		if err := s.Commit(numbered(n, &m), n, []byte(m.meta)); err != nil {
			t.Fatal(err)
		}
	}
	return m
}

func holds(t *testing.T, s *store.Store, m model) {
	t.Helper()
	v := s.View()
	defer v.Release()
	if s.Position() != m.position || string(s.Meta()) != m.meta || dump(v, len(tables)) != m.dump() {
		t.Fatalf("the store is at %d and does not hold what commit %d left", s.Position(), m.position)
	}
}

func only(t *testing.T, dir, pattern string) string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil || len(paths) != 1 {
		t.Fatalf("there are %v instead of one %s (%v)", paths, pattern, err)
	}
	return paths[0]
}

func refused(t *testing.T, err error, words ...string) {
	t.Helper()
	if err == nil {
		t.Fatal("there is no error")
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Fatalf("%q does not say %q", err, w)
		}
	}
}

func TestNewStoreIsEmpty(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	s := open(t, dir, store.Options{})
	holds(t, s, newModel())
	if err := s.Compact(); err != nil {
		t.Fatal(err)
	}
	holds(t, s, newModel())
	info, err := os.Stat(dir)
	if err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o700 {
		t.Fatalf("the directory has the mode %v (%v)", info.Mode(), err)
	}
}

func TestPositionMovesWithoutEntries(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, store.Options{Flush: 1000, NoSync: true})
	for n := range uint64(200) { // more than one journal
		if err := s.Commit(store.NewBatch(tables), n+1, []byte("meta")); err != nil {
			t.Fatal(err)
		}
	}
	if s.Size() > 2000 {
		t.Fatalf("commits without entries take %d bytes", s.Size())
	}
	s.Close()
	if s = open(t, dir, store.Options{}); s.Position() != 200 || string(s.Meta()) != "meta" {
		t.Fatalf("the store says %d, %q", s.Position(), s.Meta())
	}
}

func TestOnlyOneWriter(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("there is no lock on this system")
	}
	dir := t.TempDir()
	s := open(t, dir, store.Options{})
	_, err := store.Open(dir, tables, store.Options{Log: quiet})
	if refused(t, err, dir); !errors.Is(err, store.ErrLocked) {
		t.Fatal(err)
	}
	s.Close()
	open(t, dir, store.Options{})
}

func TestOtherTablesAreForeign(t *testing.T) {
	dir := t.TempDir()
	open(t, dir, store.Options{}).Close()
	for _, o := range []store.Options{{Log: quiet}, {Log: quiet, ReadOnly: true}} {
		_, err := store.Open(dir, tables[1:], o)
		if refused(t, err, dir); !errors.Is(err, store.ErrForeign) {
			t.Fatal(err)
		}
	}
	s := open(t, dir, store.Options{})
	refused(t, s.Commit(store.NewBatch(tables[1:]), 1, nil), dir)
}

func TestReadOnlyWritesNothing(t *testing.T) {
	dir := t.TempDir()
	_, err := store.Open(filepath.Join(dir, "none"), tables, store.Options{ReadOnly: true})
	refused(t, err, "none")
	s := open(t, dir, store.Options{})
	m := commit(t, s, newModel(), 5)
	r := open(t, dir, store.Options{ReadOnly: true})
	commit(t, s, m, 20)
	holds(t, r, m) // it stays at what it saw
	refused(t, r.Commit(store.NewBatch(tables), 1, nil), dir)
	refused(t, r.Compact(), dir)
}

func TestClosedStoreTakesNothing(t *testing.T) {
	s := open(t, t.TempDir(), store.Options{Flush: 2000, NoSync: true})
	m := commit(t, s, newModel(), 30)
	v := s.View()
	if err := errors.Join(s.Close(), s.Close()); err != nil {
		t.Fatal(err)
	}
	if dump(v, len(tables)) != m.dump() {
		t.Fatal("a view does not outlive its store")
	}
	v.Release()
	v.Release()
	refused(t, s.Commit(store.NewBatch(tables), 31, nil), "closed")
	refused(t, s.Compact(), "closed")
}

func TestTornCommitIsCutOff(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, store.Options{NoSync: true})
	before := commit(t, s, newModel(), 5)
	path := only(t, dir, "*.wal")
	whole := s.Size()
	after := commit(t, s, before, 6)
	s.Close()
	record, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for size := whole; size < int64(len(record)); size++ {
		for _, tail := range [][]byte{nil, make([]byte, 40)} { // some file systems leave zeros behind
			if err := os.WriteFile(path, append(record[:size:size], tail...), 0o600); err != nil {
				t.Fatal(err)
			}
			r := open(t, dir, store.Options{ReadOnly: true})
			holds(t, r, before)
			r.Close()
			s := open(t, dir, store.Options{NoSync: true})
			holds(t, s, before)
			again := commit(t, s, before, 6)
			holds(t, s, again)
			s.Close()
		}
	}
	holds(t, open(t, dir, store.Options{}), after)
}

func TestDamageIsNotTakenForACrash(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, store.Options{NoSync: true})
	commit(t, s, newModel(), 6)
	s.Close()
	path := only(t, dir, "*.wal")
	flip(t, path, 20)
	_, err := store.Open(dir, tables, store.Options{Log: quiet})
	refused(t, err, path, "damaged")
}

// flip changes one byte of a file, counted from the end when at is negative.
func flip(t *testing.T, path string, at int) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if at < 0 {
		at += len(data)
	}
	data[at] ^= 0x40
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestDamagedFilesAreNamed(t *testing.T) {
	made := func(t *testing.T) string {
		dir := t.TempDir()
		s := open(t, dir, store.Options{NoSync: true})
		commit(t, s, newModel(), 20)
		if err := s.Compact(); err != nil {
			t.Fatal(err)
		}
		s.Close()
		return dir
	}
	for _, at := range []int{0, -1, -5, -9, -13, -17, -40, -16 - 4*32} {
		t.Run(fmt.Sprint("run ", at), func(t *testing.T) {
			dir := made(t)
			path := only(t, dir, "*.run")
			flip(t, path, at)
			_, err := store.Open(dir, tables, store.Options{Log: quiet})
			refused(t, err, path, "damaged")
		})
	}
	t.Run("manifest", func(t *testing.T) {
		dir := made(t)
		path := only(t, dir, "MANIFEST")
		flip(t, path, 30)
		_, err := store.Open(dir, tables, store.Options{Log: quiet})
		refused(t, err, path, "damaged")
	})
	t.Run("no manifest", func(t *testing.T) {
		dir := made(t)
		if err := os.Remove(only(t, dir, "MANIFEST")); err != nil {
			t.Fatal(err)
		}
		_, err := store.Open(dir, tables, store.Options{Log: quiet})
		refused(t, err, dir, "MANIFEST")
		only(t, dir, "*.run") // it was not taken for rubbish
	})
	t.Run("entries", func(t *testing.T) { // noticed before they are copied
		dir := made(t)
		path := only(t, dir, "*.run")
		flip(t, path, 200)
		s := open(t, dir, store.Options{NoSync: true})
		m := newModel()
		if err := s.Commit(numbered(7, &m), 21, nil); err != nil {
			t.Fatal(err)
		}
		refused(t, s.Compact(), path, "damaged")
	})
}

func TestLeftoversAreSwept(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, store.Options{NoSync: true})
	m := commit(t, s, newModel(), 10)
	s.Close()
	for _, name := range []string{"00000077.run", "00000078.wal", "MANIFEST.tmp"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("half"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s = open(t, dir, store.Options{})
	holds(t, s, m)
	files, _ := os.ReadDir(dir)
	if len(files) != 3 { // the lock, the manifest and the journal
		t.Fatalf("there are %v", files)
	}
}

// While a writer commits and runs are merged, others look at the state: from inside and from outside, what they see is
// what some commit left.
func TestReadersNextToAWriter(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, store.Options{Flush: 4000, NoSync: true})
	const last = 400
	dumps := make([]string, last+1)
	m := newModel()
	for n := range uint64(last) {
		numbered(n+1, &m)
		dumps[n+1] = m.dump()
	}
	var readers sync.WaitGroup
	stop := make(chan struct{})
	look := func(view func() (*store.View, uint64, func())) {
		readers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				v, least, end := view()
				if got := dump(v, len(tables)); !among(got, dumps[least:]) {
					t.Errorf("a reader saw what no commit from %d on left", least)
				}
				end()
			}
		})
	}
	look(func() (*store.View, uint64, func()) {
		least := s.Position()
		v := s.View()
		return v, least, v.Release
	})
	look(func() (*store.View, uint64, func()) {
		least := s.Position()
		r, err := store.Open(dir, tables, store.Options{ReadOnly: true, Log: quiet})
		if err != nil {
			t.Error(err)
			r = s
		}
		v := r.View()
		return v, least, func() {
			v.Release()
			if r != s {
				r.Close()
			}
		}
	})
	commit(t, s, newModel(), last)
	close(stop)
	readers.Wait()
	holds(t, s, m)
}

func among(got string, dumps []string) bool {
	for _, d := range dumps {
		if d == got {
			return true
		}
	}
	return false
}

func TestRunsStayFew(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, store.Options{Flush: 100, NoSync: true}) // each commit is a run
	b := store.NewBatch(tables)
	for n := range uint64(300) {
		b.Put(1, binary.BigEndian.AppendUint64(nil, n*n), nil, nil)
		if n%3 == 0 {
			if err := s.Commit(b, n+1, nil); err != nil {
				t.Fatal(err)
			}
			b = store.NewBatch(tables)
			for range 8 {
				b.Put(1, binary.BigEndian.AppendUint64(nil, n), nil, nil)
			}
		}
		if runs, _ := filepath.Glob(filepath.Join(dir, "*.run")); len(runs) > 60 {
			t.Fatalf("there are %d runs", len(runs))
		}
	}
	deadline := time.Now().Add(10 * time.Second)
	for {
		runs, _ := filepath.Glob(filepath.Join(dir, "*.run"))
		if len(runs) <= 12 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("there are still %d runs", len(runs))
		}
		time.Sleep(10 * time.Millisecond)
	}
	if err := s.Compact(); err != nil {
		t.Fatal(err)
	}
	only(t, dir, "*.run")
}
