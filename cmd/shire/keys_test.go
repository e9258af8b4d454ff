package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/shirecounty/shire/deploy/embedded"
	"github.com/shirecounty/shire/pipeline/seal"
	"github.com/shirecounty/shire/pipeline/serving"
	"github.com/shirecounty/shire/portal"
)

// Keys are made once, in order, beside the other secrets; what one key sealed opens after others were made, and a key that is
// damaged is told without a word of it.
func TestKeysOnFile(t *testing.T) {
	f := fileKeys{dir: t.TempDir(), cipher: seal.SM4GCM}
	if _, err := embedded.LoadOrCreateSecrets(f.dir, pseudonymSecret); err != nil {
		t.Fatal(err)
	}
	keys := func(want ...seal.Cipher) *seal.Keyring {
		t.Helper()
		keys, err := f.Keys()
		if err != nil || len(keys) != len(want) {
			t.Fatal(keys, err)
		}
		for i, k := range keys {
			if k.Cipher != want[i] {
				t.Fatalf("key %d is for %s and not for %s", i, k.Cipher, want[i])
			}
		}
		ring, err := seal.NewKeyring(keys...)
		if err != nil {
			t.Fatal(err)
		}
		return ring
	}
	sealed, err := keys(seal.SM4GCM).Seal(nil, []byte("place"), []byte("value"))
	if err != nil {
		t.Fatal(err)
	}
	before := keys(seal.SM4GCM).Current() // looking makes none
	for range 10 {                        // more than nine: their order is that of numbers
		if _, err := f.Add(seal.AES256GCM); err != nil {
			t.Fatal(err)
		}
	}
	last, err := f.Add(seal.SM4GCM)
	if err != nil {
		t.Fatal(err)
	}
	a := seal.AES256GCM
	ring := keys(seal.SM4GCM, a, a, a, a, a, a, a, a, a, a, seal.SM4GCM)
	if ring.Current() != last.ID || ring.Current() == before {
		t.Error("the newest key is not the last that was made")
	}
	if plain, err := ring.Open([]byte("place"), sealed); err != nil || string(plain) != "value" {
		t.Error(string(plain), err)
	}
	for _, bad := range []map[string]string{{"sealing.1.rot13": "x"}, {"sealing.1.sm4-gcm": "hunter2"}, {"sealing.one.sm4-gcm": "hunter2"}} {
		text, err := json.Marshal(bad)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(f.dir, embedded.SecretsFile), text, 0o600); err != nil {
			t.Fatal(err)
		}
		if keys, err := f.Keys(); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%v gives %d keys, %v", bad, len(keys), err)
		}
	}
}

// A key is taken away alone, and the others keep their order and their bytes.
func TestDropOfKeysOnFile(t *testing.T) {
	f := fileKeys{dir: t.TempDir(), cipher: seal.SM4GCM}
	if _, err := embedded.LoadOrCreateSecrets(f.dir, pseudonymSecret); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if _, err := f.Add(seal.AES256GCM); err != nil {
			t.Fatal(err)
		}
	}
	before, err := f.Keys()
	if err != nil || len(before) != 3 {
		t.Fatal(before, err)
	}
	if err := f.Drop(before[1].ID); err != nil {
		t.Fatal(err)
	}
	if err := f.Drop(before[1].ID); err == nil {
		t.Error("a key that is gone was dropped")
	}
	after, err := f.Keys()
	if err != nil || !reflect.DeepEqual(after, []seal.Key{before[0], before[2]}) {
		t.Error("other keys are left than those that were not dropped", err)
	}
	secrets, err := embedded.ReadSecrets(f.dir)
	if err != nil || len(secrets) != 3 || secrets[pseudonymSecret] == "" {
		t.Errorf("%d secrets are left, %v", len(secrets), err)
	}
}

// Keys change under a running platform: windows read records meanwhile, a kill does not stop it, and the old key is not needed in
// the end.
func TestRotateUnderARunningPlatform(t *testing.T) {
	t.Parallel() // it waits more than it works
	needEngine(t)
	county := copyCounty(t, demoCounty(t, 300, 60))
	file, data := countyYAMLIn(t, county, county, nil), filepath.Join(t.TempDir(), "data")
	run := func() *process {
		t.Helper()
		p := start(t, "up", "-c", file, "--data", data)
		p.WaitFor("Shire serves")
		return p
	}
	// values are how many a key has sealed in the warehouse, and among the records to share.
	values := func(key string) (warehouse, shared uint64) {
		t.Helper()
		var states []seal.State
		envelopeOf(t, shire(t, "keys", "status", "--json", "--data", data).ok(t), &states)
		i := slices.IndexFunc(states, func(s seal.State) bool { return s.Key == key })
		if i < 0 {
			t.Fatalf("there is no key %s: %+v", key, states)
		}
		shared = states[i].Values[serving.PlaceName]
		return states[i].Total() - shared, shared
	}
	tour := func() *process { return start(t, "demo", "tour", "--lang", "en", "--data", data) }
	up := run()
	shire(t, "load", "--data", data).ok(t)
	keys, err := fileKeys{dir: data}.Keys()
	if err != nil || len(keys) != 1 {
		t.Fatal(err)
	}
	first := seal.Name(keys[0].ID)
	up.waitUntil("records are shared", func() bool { warehouse, shared := values(first); return warehouse > 0 && shared > 0 })

	story := tour()
	var second struct{ Key string }
	envelopeOf(t, shire(t, "keys", "rotate", "--json", "--data", data).ok(t), &second)
	story.Wait().ok(t)
	up.Kill() // wherever it is with it
	up = run()
	up.waitUntil("nothing is sealed with the first key", func() bool { warehouse, shared := values(first); return warehouse+shared == 0 })
	warehouse, shared := values(second.Key)
	if warehouse == 0 || shared == 0 {
		t.Errorf("the second key has sealed %d values in the warehouse and %d to share", warehouse, shared)
	}
	shire(t, "keys", "drop", second.Key, "--data", data).fails(t, exitInput, "is the newest")
	shire(t, "keys", "drop", "00000000", "--data", data).fails(t, exitInput, "there is no key")
	shire(t, "keys", "drop", first, "--data", data).ok(t)
	if keys, err := (fileKeys{dir: data}).Keys(); err != nil || len(keys) != 1 || seal.Name(keys[0].ID) != second.Key {
		t.Errorf("%d keys are left, %v", len(keys), err)
	}
	up.Stop().ok(t)

	up = run() // with the second key alone
	up.waitUntil("records are shared again", func() bool {
		var st portal.Status
		envelopeOf(t, shire(t, "status", "--json", "--data", data).ok(t), &st)
		return st.LagMessages == 0 && st.Share != nil && st.Share.LagMessages == 0 && st.Share.Problem == ""
	})
	tour().Wait().ok(t)
	up.Stop().ok(t)
}
