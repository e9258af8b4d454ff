package seal_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/shirecounty/shire/pipeline/seal"
	"github.com/shirecounty/shire/pipeline/serving"
	"github.com/shirecounty/shire/schemas/pseudonym"
)

// safe is a source of keys in memory.
type safe struct {
	mu   sync.Mutex
	made byte
	keys []seal.Key
	fail error
}

func (s *safe) Keys() ([]seal.Key, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.keys), s.fail
}

func (s *safe) Add(c seal.Cipher) (seal.Key, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.made++
	key := seal.NewKey(c, [32]byte{s.made})
	s.keys = append([]seal.Key{key}, s.keys...)
	return key, nil
}

func (s *safe) Drop(id uint32) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keys = slices.DeleteFunc(s.keys, func(k seal.Key) bool { return k.ID == id })
	return nil
}

func (s *safe) names() (names []string) {
	for _, k := range s.keys {
		names = append(names, seal.Name(k.ID))
	}
	return names
}

// rig is a source with one key, and a place that holds n records under it.
func rig(t *testing.T, n int) (*safe, *serving.Store, *seal.Keeper) {
	t.Helper()
	source := &safe{}
	if _, err := source.Add(seal.AES256GCM); err != nil {
		t.Fatal(err)
	}
	ring, err := seal.Ring(source, seal.AES256GCM)
	if err != nil {
		t.Fatal(err)
	}
	store, err := serving.Open(t.TempDir(), serving.Options{Keys: ring, Cache: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	write(t, store, 1, n)
	return source, store, seal.NewKeeper(source, seal.AES256GCM, store)
}

func write(t *testing.T, store *serving.Store, version uint64, n int) {
	t.Helper()
	var changes []serving.Change
	for i := range n {
		changes = append(changes, serving.Change{Record: &serving.Record{ID: pseudonym.ID{byte(i), byte(i >> 8), 1}, Version: version, Fields: []serving.Field{{Name: "name", Value: "欧阳"}}}})
	}
	if err := store.Apply(version, changes); err != nil {
		t.Error(err)
	}
}

func short(t *testing.T, k *seal.Keeper) string {
	t.Helper()
	states, err := k.States(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for i, s := range states {
		line := fmt.Sprintf("%d:%s:%d", i, s.Cipher, s.Values[serving.PlaceName])
		if s.Newest {
			line += ":newest"
		}
		if !s.Known {
			line += ":lost"
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, " ")
}

// A key goes when it is not the newest and nothing is sealed with it any more, and not before.
func TestDrop(t *testing.T) {
	source, store, k := rig(t, 20)
	first := source.names()[0]
	refused := func(name, want string) {
		t.Helper()
		if err := k.Drop(t.Context(), name); err == nil || !strings.Contains(err.Error(), want) {
			t.Fatalf("%s: %v; want %q", name, err, want)
		}
	}
	refused(first, "seals what is written")
	refused("00000000", "there is no key")
	refused("all", "there is no key")
	if _, err := source.Add(seal.SM4GCM); err != nil { // the configured cipher is another one, which makes one more key
		t.Fatal(err)
	}
	refused(first, "20 values are sealed with it still")
	if got := short(t, k); got != "0:aes-256-gcm:0:newest 1:sm4-gcm:0 2:aes-256-gcm:20" {
		t.Fatal(got)
	}
	// What is written since is sealed with the newest, though nothing was sealed anew yet.
	write(t, store, 2, 5)
	if got := short(t, k); got != "0:aes-256-gcm:5:newest 1:sm4-gcm:0 2:aes-256-gcm:15" {
		t.Fatal(got)
	}
	refused(first, "15 values are sealed with it still")
	if key, n, err := k.Reseal(t.Context()); err != nil || n != 15 || seal.Name(key) != source.names()[0] {
		t.Fatal(key, n, err)
	}
	for _, name := range source.names()[1:] {
		if err := k.Drop(t.Context(), name); err != nil {
			t.Fatal(err)
		}
	}
	refused(first, "there is no key")
	if got := short(t, k); got != "0:aes-256-gcm:20:newest" {
		t.Fatal(got)
	}
	source.keys = nil
	if _, err := source.Add(seal.AES256GCM); err != nil {
		t.Fatal(err)
	}
	if got := short(t, k); got != "0:aes-256-gcm:0:newest 1::20:lost" {
		t.Fatal(got)
	}
	source.fail = errors.New("the KMS is away")
	refused(first, "the KMS is away")
}

// restless is a place in which something is always on its way.
type restless struct{ seal.Place }

func (restless) Settle(context.Context) error { return errAway }

// As long as something may be on its way that is sealed with a key, the key stays.
func TestDropWaitsForWhatIsOnItsWay(t *testing.T) {
	source, store, _ := rig(t, 0)
	k := seal.NewKeeper(source, seal.AES256GCM, restless{store})
	if _, err := source.Add(seal.AES256GCM); err != nil {
		t.Fatal(err)
	}
	if err := k.Drop(t.Context(), source.names()[1]); !errors.Is(err, errAway) || len(source.keys) != 2 {
		t.Errorf("%v, and %d keys are left", err, len(source.keys))
	}
}

// While records are written and keys made, no key is dropped with which a record is sealed: each can be opened with the keys that
// are left.
func TestDropWhileRecordsAreWritten(t *testing.T) {
	const n = 200
	source, store, k := rig(t, n)
	ctx, cancel := context.WithCancel(t.Context())
	var others sync.WaitGroup
	others.Go(func() {
		for v := uint64(2); ctx.Err() == nil; v++ {
			write(t, store, v, n/2)
		}
	})
	others.Go(func() {
		if err := k.Keep(ctx, time.Millisecond, slog.New(slog.DiscardHandler)); err != nil {
			t.Error(err)
		}
	})
	dropped := 0
	for range 10 {
		old, err := source.Keys()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := source.Add(seal.AES256GCM); err != nil {
			t.Fatal(err)
		}
		for range 100_000 { // until it may go
			if k.Drop(t.Context(), seal.Name(old[0].ID)) == nil {
				dropped++
				break
			}
		}
		ring, err := seal.Ring(source, seal.AES256GCM)
		if err != nil {
			t.Fatal(err)
		}
		uses, err := store.Uses(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, u := range uses {
			if !ring.Has(u.Key) {
				t.Fatalf("%d records are sealed with a key that was dropped", u.Values)
			}
		}
	}
	cancel()
	others.Wait()
	if dropped != 10 || len(source.keys) != 1 {
		t.Errorf("%d keys of 10 were dropped, %d are left", dropped, len(source.keys))
	}
}

// A place that cannot be sealed anew is said once, and does not keep the other one from it.
func TestKeepGoesOnWithTheOthers(t *testing.T) {
	source, store, _ := rig(t, 20)
	var log bytes.Buffer
	k := seal.NewKeeper(source, seal.AES256GCM, &broken{}, store)
	if _, err := source.Add(seal.AES256GCM); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- k.Keep(ctx, time.Microsecond, slog.New(slog.NewTextHandler(&log, nil))) }()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		uses, err := store.Uses(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if len(uses) == 1 && seal.Name(uses[0].Key) == source.names()[0] {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the other place was not sealed anew")
		}
	}
	time.Sleep(20 * time.Millisecond) // for what it would say again
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if n := strings.Count(log.String(), "it is away"); n != 1 || !strings.Contains(log.String(), "values=20") {
		t.Errorf("it was said %d times:\n%s", n, log.String())
	}
	if err := k.Drop(t.Context(), source.names()[1]); err == nil || !strings.Contains(err.Error(), "it is away") || len(source.keys) != 2 {
		t.Errorf("dropped, though one place does not answer: %v", err)
	}
}

// broken is a place that does not answer.
type broken struct{}

var errAway = errors.New("it is away")

func (broken) Seal(*seal.Keyring)                                    {}
func (broken) Settle(context.Context) error                          { return errAway }
func (broken) Uses(context.Context) ([]seal.Use, error)              { return nil, errAway }
func (broken) Reseal(context.Context, *seal.Keyring) (uint64, error) { return 0, errAway }
