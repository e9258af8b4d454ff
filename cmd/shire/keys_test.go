package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/shirecounty/shire/deploy/embedded"
	"github.com/shirecounty/shire/pipeline/seal"
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
