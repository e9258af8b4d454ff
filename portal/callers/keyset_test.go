package callers

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/shirecounty/shire/schemas/county"
)

// The issuer's keys are fetched when they are needed, and not as often as somebody who makes up kids wants.
func TestFetchingKeys(t *testing.T) {
	w := newWorld(t)
	for range 20 {
		w.bearer(w.token(set("kid", fmt.Sprint("made up ", w.next))))
	}
	if n := w.fetched.Load(); n != 1 {
		t.Errorf("20 tokens with made up kids had the issuer asked %d times", n)
	}
	w.pass(keysPause)
	w.bearer(w.token(set("kid", "made up")))
	if n := w.fetched.Load(); n != 2 {
		t.Errorf("after the pause: %d", n)
	}
	w.away.Store(true)
	w.pass(keysFresh + time.Second)
	if got := w.bearer(w.token()); got != "civil" {
		t.Errorf("the issuer is away, and its keys are known: %s", got)
	}
	w.pass(keysUsable)
	if got := w.bearer(w.token()); got != CannotTell {
		t.Errorf("the issuer has been away for a day: %s", got)
	}
	w.away.Store(false)
	w.pass(keysPause)
	if got := w.bearer(w.token()); got != "civil" {
		t.Errorf("the issuer is back: %s", got)
	}
}

// What is no set of keys is not taken for one; and a key that the issuer has withdrawn is one no more after ten minutes.
func TestKeysOfAnIssuerThatChanges(t *testing.T) {
	w := newWorld(t)
	only := func(keys ...string) string { return `{"keys":[` + strings.Join(keys, ",") + `]}` }
	ec := jwk(jose.JSONWebKey{Key: &w.ec.PublicKey, KeyID: "ec"})
	for name, answer := range map[string]http.HandlerFunc{
		"another address": func(rw http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/elsewhere" {
				io.WriteString(rw, only(ec))
				return
			}
			http.Redirect(rw, r, "/elsewhere", http.StatusFound)
		},
		"an error that holds keys": func(rw http.ResponseWriter, _ *http.Request) {
			rw.WriteHeader(http.StatusNotFound)
			io.WriteString(rw, only(ec))
		},
		"without end": func(rw http.ResponseWriter, _ *http.Request) {
			io.WriteString(rw, only(ec)+strings.Repeat(" ", mostKeySet))
		},
	} {
		w := newWorld(t)
		w.ec = must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)) // so that no keys of before would do
		ec = jwk(jose.JSONWebKey{Key: &w.ec.PublicKey, KeyID: "ec"})
		w.answer.Store(&answer)
		if got := w.bearer(w.token()); got != CannotTell {
			t.Errorf("%s: %s", name, got)
		}
	}
	if got := w.bearer(w.token()); got != "civil" {
		t.Fatal(got)
	}
	var withdrawn http.HandlerFunc = func(rw http.ResponseWriter, _ *http.Request) {
		io.WriteString(rw, only(jwk(jose.JSONWebKey{Key: &w.rsa.PublicKey, KeyID: "rsa"})))
	}
	w.answer.Store(&withdrawn)
	w.pass(keysFresh + time.Second)
	if got := w.bearer(w.token()); got != BadCredentials {
		t.Errorf("a key that was withdrawn: %s", got)
	}
	if got := w.bearer(w.token(set("alg", "RS256"), set("kid", "rsa"))); got != "civil" {
		t.Errorf("the key that is left: %s", got)
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// A key is for its own kind of signature, and for the one that it names.
func TestWhatKeysAreFor(t *testing.T) {
	r, e := madeKeys()
	p384 := must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader))
	ed := ed25519.NewKeyFromSeed(make([]byte, 32)).Public()
	for _, test := range []struct {
		key  jose.JSONWebKey
		fits string
	}{
		{jose.JSONWebKey{Key: &r.PublicKey}, "RS256 PS256 RS512"}, {jose.JSONWebKey{Key: &r.PublicKey, Algorithm: "PS256"}, "PS256"}, {jose.JSONWebKey{Key: &r.PublicKey, Algorithm: "HS256"}, ""},
		{jose.JSONWebKey{Key: &e.PublicKey}, "ES256"}, {jose.JSONWebKey{Key: &p384.PublicKey}, "ES384"}, {jose.JSONWebKey{Key: ed}, "EdDSA"}, {jose.JSONWebKey{Key: []byte("secret")}, ""},
	} {
		for _, algorithm := range []string{"RS256", "PS256", "RS512", "ES256", "ES384", "ES512", "EdDSA", "HS256", "none", ""} {
			if got, want := fits(test.key, algorithm), algorithm != "" && strings.Contains(test.fits, algorithm); got != want {
				t.Errorf("%T %s fits %q: %t", test.key.Key, test.key.Algorithm, algorithm, got)
			}
		}
	}
}

func TestKeySets(t *testing.T) {
	for name, text := range map[string]string{
		"empty": "", "a list": "[]", "no keys": `{"keys":[]}`, "symmetric": `{"keys":[{"kty":"oct","k":"AAAA","kid":"a"}]}`,
		"a short RSA key": `{"keys":[` + jwk(jose.JSONWebKey{Key: &rsa.PublicKey{N: new(big.Int).SetBit(big.NewInt(1), 1023, 1), E: 65537}, KeyID: "a"}) + `]}`,
		"a private key":   `{"keys":[` + jwk(jose.JSONWebKey{Key: ed25519.NewKeyFromSeed(make([]byte, 32)), KeyID: "a"}) + `]}`,
		"too many":        `{"keys":[` + strings.Repeat(`{"kty":"oct","k":"AAAA"},`, mostKeys) + jwk(jose.JSONWebKey{Key: ed25519.NewKeyFromSeed(make([]byte, 32)).Public(), KeyID: "a"}) + `]}`,
	} {
		if keys, err := parseKeySet([]byte(text)); err == nil {
			t.Errorf("%s: %d keys", name, len(keys))
		}
	}
	if _, err := New(Options{Issuers: []county.Issuer{{Issuer: "i", Keys: "file:" + t.TempDir() + "/missing"}}}); err == nil {
		t.Error("a file of keys that is not there was taken")
	}
}

func jwk(k jose.JSONWebKey) string {
	text, err := k.MarshalJSON()
	if err != nil {
		panic(err)
	}
	return string(text)
}

func FuzzParseKeySet(f *testing.F) {
	f.Add([]byte(`{"keys":[{"kty":"EC","crv":"P-256","x":"AA","y":"AA","kid":"a"}]}`))
	f.Add([]byte(`{"keys":[` + jwk(jose.JSONWebKey{Key: ed25519.NewKeyFromSeed(make([]byte, 32)).Public(), KeyID: "a"}) + `]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		keys, err := parseKeySet(text)
		if err == nil && len(keys) == 0 || len(keys) > mostKeys {
			t.Fatal(len(keys), err)
		}
		for _, k := range keys {
			if !k.IsPublic() {
				t.Fatal("a key that is not public was taken")
			}
			fits(k, "ES256")
		}
	})
}
