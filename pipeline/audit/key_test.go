package audit

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emmansun/gmsm/smx509"
)

// The key is made once, however many start at the same time, for its owner alone; its public key is beside it, and comes back.
func TestKeys(t *testing.T) {
	for _, s := range []Scheme{Ed25519, SM2} {
		dir := t.TempDir()
		ids := make([]string, 8)
		var group sync.WaitGroup
		for i := range ids {
			group.Go(func() {
				k, err := LoadOrCreateKey(dir, s)
				if err != nil {
					t.Error(err)
					return
				}
				ids[i] = k.ID
			})
		}
		group.Wait()
		for _, id := range ids {
			if id != ids[0] || !strings.HasPrefix(id, string(s)+":") {
				t.Fatalf("the keys are %q", ids)
			}
		}
		for name, mode := range map[string]os.FileMode{keyFile(s): 0o600, publicFile(s): 0o644} {
			if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Mode().Perm() != mode {
				t.Errorf("%s: %v, %v", name, info, err)
			}
		}
		if left, err := os.ReadDir(dir); err != nil || len(left) != 2 {
			t.Errorf("there is %v, %v", left, err)
		}
		if err := os.Remove(filepath.Join(dir, publicFile(s))); err != nil { // as after a restore
			t.Fatal(err)
		}
		keys, err := OwnKeys(dir)
		if err != nil || len(keys) != 1 || keys[ids[0]] == nil {
			t.Errorf("%v, %v", keys, err)
		}
		k, err := LoadOrCreateKey(dir, s)
		if err != nil {
			t.Fatal(err)
		}
		_, others := testKey(t, s)
		signed, err := Statement{Kind: Checkpoint, County: "330782", Sequence: 1, Time: time.Now()}.signed(k)
		if err != nil || signed.prove(keys) != nil || signed.prove(others) == nil {
			t.Errorf("%s: %v", s, err)
		}
		for _, other := range []Scheme{Ed25519, SM2} {
			if other == s {
				continue
			}
			if err := os.Rename(filepath.Join(dir, keyFile(s)), filepath.Join(dir, keyFile(other))); err != nil {
				t.Fatal(err)
			}
			if _, err := LoadOrCreateKey(dir, other); err == nil {
				t.Errorf("a key of %s was taken for one of %s", s, other)
			}
		}
	}
	if none, err := OwnKeys(t.TempDir()); err != nil || len(none) != 0 {
		t.Errorf("%v, %v", none, err)
	}
	if err := (Keys{}).Add([]byte("no key")); err == nil {
		t.Error("no key was taken for one")
	}
}

// What is read from a file is never trusted to be well made.
func FuzzFile(f *testing.F) {
	// The same key in every process that fuzzes.
	der, err := smx509.MarshalPKCS8PrivateKey(ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)))
	if err != nil {
		f.Fatal(err)
	}
	k, err := parseKey(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), Ed25519)
	if err != nil {
		f.Fatal(err)
	}
	keys := Keys{}
	if err := keys.Add(k.Public); err != nil {
		f.Fatal(err)
	}
	var whole bytes.Buffer
	if err := writeFile(context.Background(), &whole, header{County: "330782", Keys: string(k.Public)}, chain(f, k, SM3, Place{}, 4, 2)); err != nil {
		f.Fatal(err)
	}
	f.Add(whole.Bytes())
	f.Add([]byte(fileShape + "{}\n"))
	f.Add([]byte(fileShape + `{"statements":-1}` + "\n\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"))
	_, head, _ := bytes.Cut(whole.Bytes(), []byte("\n"))
	_, body, _ := bytes.Cut(head, []byte("\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		report, _, err := VerifyFile(t.Context(), bytes.NewReader(data), keys, nil)
		if err != nil || !report.OK() {
			return
		}
		// Only what was signed is whole: behind the header, which nothing rests on, the file is the one that was made, or one of
		// its statements is written otherwise.
		if report.Entries != 4 || report.Last != 4 || !bytes.HasSuffix(data, body[bytes.LastIndexByte(body, '}'):]) {
			t.Errorf("%d entries of %q are proven", report.Entries, data)
		}
	})
}

func FuzzEntry(f *testing.F) {
	e := someEntry
	whole, _ := e.seal(nil, Place{3, "abc"}, SHA256)
	f.Add(whole)
	f.Add([]byte{1, 0, 0})
	f.Fuzz(func(t *testing.T, data []byte) {
		r, _, err := takeRecord(data)
		if err != nil {
			return
		}
		e, err := r.entry()
		if err != nil {
			return
		}
		if again := e.canonical(nil); !bytes.Equal(again, r.canonical) {
			t.Errorf("%q is read as %+v, which is written %q", r.canonical, e, again)
		}
	})
}

func FuzzStatement(f *testing.F) {
	text, err := json.Marshal(Statement{Kind: Cut, County: "330782", Sequence: 1, Time: time.Now().UTC(), Cut: &Place{1, "x"}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Fuzz(func(t *testing.T, text []byte) {
		s, err := parseStatement(text)
		if err != nil {
			return
		}
		if _, err := s.message(); err != nil {
			t.Errorf("%q cannot be written again: %v", text, err)
		}
	})
}
