package serving_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/shirecounty/shire/pipeline/seal"
	"github.com/shirecounty/shire/pipeline/serving"
	"github.com/shirecounty/shire/schemas/pseudonym"
)

func numbered(n int) pseudonym.ID { return pseudonym.ID{byte(n), byte(n >> 8), 1} }

// records are those numbered from first on, as a version says them.
func records(first, n int, version uint64) (out []serving.Change) {
	for i := first; i < first+n; i++ {
		out = append(out, serving.Change{Record: &serving.Record{ID: numbered(i), Version: version, Dataset: "residents",
			Fields:   []serving.Field{{Name: "name", Value: fmt.Sprint("欧阳", i)}},
			Mentions: []serving.Mention{{Person: true, Record: id('m', byte(i))}}}})
	}
	return out
}

// Keys change, and change again, while records are written and read: each is what it was last said to be, at every moment, and in
// the end the newest key alone is in use.
func TestKeysChangeWhileRecordsAreReadAndWritten(t *testing.T) {
	const n = 3000
	keys := []seal.Key{aesKey}
	dir := t.TempDir()
	s := open(t, dir, keyring(t, keys...))
	if err := s.Apply(1, records(0, n, 1)); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var others sync.WaitGroup
	others.Go(func() { // writes
		for v := uint64(2); ctx.Err() == nil; v++ {
			if err := s.Apply(v, records(int(v*37)%(n-50), 50, v)); err != nil {
				t.Error(err)
				return
			}
		}
	})
	for range 2 {
		others.Go(func() { // reads
			for i := 0; ctx.Err() == nil; i = (i + 7) % n {
				r, err := s.Get(numbered(i))
				if err != nil || r.Value("name") != fmt.Sprint("欧阳", i) {
					t.Errorf("record %d is %v, %v", i, r, err)
					return
				}
				if i%70 == 0 {
					if all, err := s.ByMentions([]pseudonym.ID{id('m', byte(i))}); err != nil || len(all) < n/256 {
						t.Errorf("%d records of a mention, %v", len(all), err)
						return
					}
				}
			}
		})
	}
	for i := range byte(4) {
		key := seal.NewKey([]seal.Cipher{seal.SM4GCM, seal.AES256GCM}[i%2], [32]byte{i + 1})
		keys = append([]seal.Key{key}, keys...)
		ring := keyring(t, keys...)
		s.Seal(ring)
		if sealed, err := s.Reseal(t.Context(), ring); err != nil || sealed == 0 {
			t.Errorf("%d records were sealed anew, %v", sealed, err)
		}
		// What was written meanwhile is sealed with the new key, so that nothing older is left at once.
		if got := uses(t, s); !maps.Equal(got, map[uint32]uint64{key.ID: n}) {
			t.Errorf("keys in use: %v", got)
		}
	}
	cancel()
	others.Wait()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	// The older keys are not needed any more.
	s = open(t, dir, keyring(t, keys[0]))
	defer s.Close()
	if s.Lost() {
		t.Error("a key is lost")
	}
	for i := range n {
		if r, err := s.Get(numbered(i)); err != nil || r.Value("name") != fmt.Sprint("欧阳", i) {
			t.Fatalf("record %d is %v, %v", i, r, err)
		}
	}
}

// copied copies the store's folder as it lies on the disk, while it is written: as a kill leaves it.
func copied(t *testing.T, dir string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "copy")
	if err := os.CopyFS(to, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	return to
}

// once is a context that ends when it has been asked n times.
type once struct {
	context.Context
	left int
}

func (o *once) Err() error {
	if o.left--; o.left < 0 {
		return context.Canceled
	}
	return nil
}

// Killed in between, the work goes on where it was, and the counts are those of the records.
func TestResealingIsKilled(t *testing.T) {
	const n = 3500
	dir := t.TempDir()
	s := open(t, dir, keyring(t, aesKey))
	if err := s.Apply(1, records(0, n, 1)); err != nil {
		t.Fatal(err)
	}
	both := keyring(t, sm4Key, aesKey)
	s.Seal(both)
	sealed, err := s.Reseal(&once{t.Context(), 2}, both)
	if !errors.Is(err, context.Canceled) || sealed != 2000 {
		t.Fatalf("%d records were sealed anew before the kill, %v", sealed, err)
	}
	if err := s.Settle(t.Context()); err != nil {
		t.Fatal(err)
	}
	left := copied(t, dir)
	s.Close()
	s = open(t, left, both)
	defer s.Close()
	if got := uses(t, s); !maps.Equal(got, map[uint32]uint64{sm4Key.ID: 2000, aesKey.ID: n - 2000}) {
		t.Fatalf("keys in use after the kill: %v", got)
	}
	// What has the new key already is not taken up again: two turns do.
	if sealed, err := s.Reseal(&once{t.Context(), 2}, both); err != nil || sealed != n-2000 {
		t.Fatalf("%d records were sealed anew after the kill, %v", sealed, err)
	}
	if sealed, err := s.Reseal(t.Context(), both); err != nil || sealed != 0 {
		t.Fatalf("with nothing to do, %d records were sealed anew, %v", sealed, err)
	}
	if got := uses(t, s); !maps.Equal(got, map[uint32]uint64{sm4Key.ID: n}) {
		t.Fatalf("keys in use at the end: %v", got)
	}
}

// Records of a lost key, and one that was changed on the disk, are told of; the others are sealed anew.
func TestResealingWhatCannotBeOpened(t *testing.T) {
	s := open(t, t.TempDir(), keyring(t, aesKey))
	defer s.Close()
	third := seal.NewKey(seal.AES256GCM, [32]byte{3})
	for i, key := range []seal.Key{aesKey, sm4Key} {
		s.Seal(keyring(t, key))
		if err := s.Apply(uint64(i+1), records(10*i, 10, 1)); err != nil {
			t.Fatal(err)
		}
	}
	ring := keyring(t, third, sm4Key)
	s.Seal(ring)
	if !s.Lost() {
		t.Error("no key is lost")
	}
	var lost *seal.LostKeyError
	n, err := s.Reseal(t.Context(), ring)
	if n != 10 || !errors.As(err, &lost) || lost.Key != aesKey.ID || lost.Values != 10 || strings.Contains(err.Error(), "欧阳") {
		t.Errorf("%d records, %v", n, err)
	}
	other := third
	other.ID = aesKey.ID // the number of the lost key, and other bytes
	ring = keyring(t, sm4Key, third, other)
	s.Seal(ring)
	n, err = s.Reseal(t.Context(), ring)
	if n != 10 || err == nil || !strings.Contains(err.Error(), "made anew from the bus") || errors.As(err, &lost) {
		t.Errorf("%d records, %v", n, err)
	}
	if got := uses(t, s); !maps.Equal(got, map[uint32]uint64{sm4Key.ID: 10, aesKey.ID: 10}) {
		t.Errorf("keys in use: %v", got)
	}
}
