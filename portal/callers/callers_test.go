package callers

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/shirecounty/shire/portal/accounts"
	"github.com/shirecounty/shire/schemas/county"
)

const (
	testIssuer   = "https://id.example.gov"
	otherIssuer  = "https://id.other.example.gov"
	testAudience = "shire-339921"
	leeway       = 30 * time.Second
)

// world is an authorisation server, its keys, and clients.
type world struct {
	*Callers
	clock   atomic.Pointer[time.Time]
	rsa     *rsa.PrivateKey
	ec      *ecdsa.PrivateKey
	ed      ed25519.PrivateKey
	fetched atomic.Int64
	away    atomic.Bool
	answer  atomic.Pointer[http.HandlerFunc] // instead of the keys; nil: the keys
	key     string                           // of the client archive
	keys    *accounts.Keys
	next    int
}

var madeKeys = sync.OnceValues(func() (*rsa.PrivateKey, *ecdsa.PrivateKey) {
	r, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	e, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	return r, e
})

func newWorld(t testing.TB, clients ...county.Client) *world {
	t.Helper()
	w := &world{}
	w.set(time.Date(2026, 11, 26, 9, 0, 0, 0, time.UTC))
	w.rsa, w.ec = madeKeys()
	_, w.ed, _ = ed25519.GenerateKey(rand.Reader)
	set, err := json.Marshal(map[string]any{"keys": []any{
		jose.JSONWebKey{Key: &w.rsa.PublicKey, KeyID: "rsa", Use: "sig"}, jose.JSONWebKey{Key: &w.ec.PublicKey, KeyID: "ec", Algorithm: "ES256"},
		jose.JSONWebKey{Key: w.ed.Public(), KeyID: "ed"}, jose.JSONWebKey{Key: []byte("a secret of theirs, in the wrong place"), KeyID: "oct"},
		map[string]any{"kty": "new", "kid": "later"}, jose.JSONWebKey{Key: &w.ec.PublicKey, KeyID: "enc", Use: "enc"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w.fetched.Add(1)
		if w.away.Load() {
			rw.WriteHeader(http.StatusServiceUnavailable) // whatever stands in its body
		}
		if other := w.answer.Load(); other != nil {
			(*other)(rw, r)
			return
		}
		rw.Write(set)
	}))
	t.Cleanup(server.Close)
	w.keys = accounts.Clients(t.TempDir())
	if w.key, err = w.keys.Add("archive"); err != nil {
		t.Fatal(err)
	}
	clients = append([]county.Client{
		{Name: "civil", Department: "civil_affairs", Token: &county.ClientToken{Issuer: testIssuer, Subject: "civil-1"}},
		{Name: "archive", Department: "archives", APIKey: true},
	}, clients...)
	w.Callers, err = New(Options{Clients: clients, Keys: w.keys, Now: func() time.Time { return *w.clock.Load() }, Issuers: []county.Issuer{{
		Issuer: testIssuer, Audience: testAudience, Keys: server.URL, Algorithms: []string{"ES256", "RS256", "EdDSA"},
		Leeway: county.Duration(leeway), Longest: county.Duration(10 * time.Minute),
	}, {
		Issuer: otherIssuer, Audience: testAudience, Keys: server.URL, Algorithms: []string{"ES256"}, Leeway: county.Duration(leeway), Longest: county.Duration(10 * time.Minute),
	}}})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *world) set(now time.Time) { w.clock.Store(&now) }
func (w *world) now() time.Time    { return *w.clock.Load() }
func (w *world) pass(d time.Duration) {
	w.set(w.now().Add(d))
}

func (w *world) claims() map[string]any {
	w.next++
	return map[string]any{"iss": testIssuer, "aud": testAudience, "sub": "civil-1", "jti": fmt.Sprint("t", w.next),
		"iat": w.now().Unix(), "nbf": w.now().Unix(), "exp": w.now().Add(5 * time.Minute).Unix()}
}

func part(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return base64.RawURLEncoding.EncodeToString(text)
}

// sign makes a token with a header of the caller's own: libraries would not make those that an attacker makes.
func (w *world) sign(header, claims map[string]any) string {
	text := part(header) + "." + part(claims)
	sum := sha256.Sum256([]byte(text))
	var signature []byte
	var err error
	switch header["alg"] {
	case "RS256":
		signature, err = rsa.SignPKCS1v15(rand.Reader, w.rsa, crypto.SHA256, sum[:])
	case "PS256":
		signature, err = rsa.SignPSS(rand.Reader, w.rsa, crypto.SHA256, sum[:], nil)
	case "EdDSA":
		signature = ed25519.Sign(w.ed, []byte(text))
	case "ES256":
		r, s, failed := ecdsa.Sign(rand.Reader, w.ec, sum[:])
		signature, err = append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...), failed
	case "HS256":
		der, failed := x509.MarshalPKIXPublicKey(&w.rsa.PublicKey)
		m := hmac.New(sha256.New, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
		io.WriteString(m, text)
		signature, err = m.Sum(nil), failed
	}
	if err != nil {
		panic(err)
	}
	return text + "." + base64.RawURLEncoding.EncodeToString(signature)
}

func (w *world) token(change ...func(header, claims map[string]any)) string {
	header, claims := map[string]any{"alg": "ES256", "kid": "ec", "typ": "at+jwt"}, w.claims()
	for _, f := range change {
		f(header, claims)
	}
	return w.sign(header, claims)
}

func request(authorization ...string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "/api/v1/persons/x", nil)
	r.RemoteAddr = "127.0.0.1:40000"
	for _, a := range authorization {
		r.Header.Add("Authorization", a)
	}
	return r
}

// code is what becomes of a request: the client's name, or the refusal's code.
func (w *world) code(r *http.Request) string {
	c, refusal := w.Who(r)
	if refusal != nil {
		if c != (Caller{}) || refusal.En == "" || refusal.Zh == "" || refusal.Status < 400 {
			panic(fmt.Sprintf("a refusal with a caller or without words: %+v %+v", c, refusal))
		}
		return refusal.Code
	}
	return c.Client
}

func (w *world) bearer(token string) string { return w.code(request("Bearer " + token)) }

func set(name string, v any) func(header, claims map[string]any) {
	return func(header, claims map[string]any) {
		to := claims
		if name == "alg" || name == "kid" || name == "typ" || name == "jwk" || name == "crit" || name == "jku" || name == "b64" {
			to = header
		}
		if to[name] = v; v == nil {
			delete(to, name)
		}
	}
}

func TestTokensAreTaken(t *testing.T) {
	w := newWorld(t)
	for name, change := range map[string][]func(h, c map[string]any){
		"ES256": nil, "RS256": {set("alg", "RS256"), set("kid", "rsa")}, "EdDSA": {set("alg", "EdDSA"), set("kid", "ed")}, "no typ": {set("typ", nil)}, "JWT": {set("typ", "JWT")},
		"one of several audiences": {set("aud", []string{"others", testAudience})}, "no nbf": {set("nbf", nil)},
	} {
		if got := w.bearer(w.token(change...)); got != "civil" {
			t.Errorf("%s: %s", name, got)
		}
	}
	c, refusal := w.Who(request("Bearer " + w.token()))
	if refusal != nil || c != (Caller{"civil", "civil_affairs"}) {
		t.Error(c, refusal)
	}
}

// Everything that somebody might make of a token, or without one.
func TestForgedTokens(t *testing.T) {
	w := newWorld(t, county.Client{Name: "other", Department: "police", Token: &county.ClientToken{Issuer: testIssuer, Subject: "police-1"}})
	now := w.now()
	forged := map[string]string{
		"alg none":                               w.token(set("alg", "none"), set("kid", nil)),
		"alg None with the right kid":            w.token(set("alg", "None")),
		"HS256 with the public key":              w.token(set("alg", "HS256"), set("kid", "rsa")),
		"an algorithm not in the list":           w.token(set("alg", "PS256"), set("kid", "rsa")),
		"another key's kid":                      w.token(set("kid", "rsa")),
		"no kid":                                 w.token(set("kid", nil)),
		"a key for encryption":                   w.token(set("kid", "enc")),
		"a key of its own in jwk":                w.token(set("kid", "mine"), set("jwk", map[string]any{"kty": "oct", "k": "AAAA"})),
		"a place for keys in jku":                w.token(set("kid", "mine"), set("jku", "https://attacker.example/jwks")),
		"a critical header":                      w.token(set("crit", []string{"exp"}), set("exp", now.Add(time.Minute).Unix())),
		"an unencoded payload":                   w.token(set("crit", []string{"b64"}), set("b64", false)),
		"an identity token":                      w.token(set("typ", "id+jwt")),
		"another issuer":                         w.token(set("iss", "https://attacker.example")),
		"no issuer":                              w.token(set("iss", nil)),
		"the subject of another issuer's client": w.token(set("iss", otherIssuer)),
		"an algorithm of another issuer's":       w.token(set("iss", otherIssuer), set("alg", "RS256"), set("kid", "rsa")),
		"another audience":                       w.token(set("aud", "shire-330127")),
		"no audience":                            w.token(set("aud", nil)),
		"nobody's subject":                       w.token(set("sub", "nobody")),
		"no subject":                             w.token(set("sub", nil)),
		"no jti":                                 w.token(set("jti", nil)),
		"a long jti":                             w.token(set("jti", strings.Repeat("j", 300))),
		"no exp":                                 w.token(set("exp", nil)),
		"no iat":                                 w.token(set("iat", nil)),
		"too long a life":                        w.token(set("exp", now.Add(11*time.Minute).Unix())),
		"expired":                                w.token(set("iat", now.Add(-6*time.Minute).Unix()), set("exp", now.Add(-leeway-time.Second).Unix())),
		"nbf in future":                          w.token(set("nbf", now.Add(leeway+time.Second).Unix())),
		"issued in future":                       w.token(set("iat", now.Add(leeway+time.Second).Unix())),
		"bound to a certificate":                 w.token(set("cnf", map[string]any{"x5t#S256": "AAAA"})),
		"bound to nothing":                       w.token(set("cnf", map[string]any{})),
		"two dots only":                          "..",
		"nothing":                                "",
		"too large":                              w.token(set("x", strings.Repeat("x", mostToken))),
		"exp as text":                            w.token(set("exp", "tomorrow")),
		"an enormous exp":                        w.token(set("exp", 1e300)),
	}
	good := w.token()
	parts := strings.Split(good, ".")
	changed := w.claims()
	changed["sub"] = "police-1"
	forged["another payload under the signature"] = parts[0] + "." + part(changed) + "." + parts[2]
	forged["no signature"] = parts[0] + "." + parts[1] + "."
	forged["a signature of zeros"] = parts[0] + "." + parts[1] + "." + base64.RawURLEncoding.EncodeToString(make([]byte, 64))
	forged["padded"] = good + "="
	forged["two signatures"] = `{"payload":"` + parts[1] + `","signatures":[{"protected":"` + parts[0] + `","signature":"` + parts[2] + `"}]}`
	for name, token := range forged {
		if got := w.bearer(token); got != BadCredentials {
			t.Errorf("%s: %s", name, got)
		}
	}
	if got := w.bearer(good); got != "civil" {
		t.Errorf("the token that was tampered with was used up: %s", got)
	}
}

func TestClockSkew(t *testing.T) {
	for name, c := range map[string]struct {
		off  time.Duration
		want string
	}{
		"the issuer is ahead within the leeway": {leeway - time.Second, "civil"}, "ahead beyond it": {leeway + 2*time.Second, BadCredentials},
		"behind within": {-5*time.Minute - leeway + 2*time.Second, "civil"}, "behind beyond": {-5*time.Minute - leeway - 2*time.Second, BadCredentials},
	} {
		w := newWorld(t)
		w.pass(time.Hour) // since the start: see TestTokensFromBeforeTheStart
		at := w.now().Add(c.off)
		got := w.bearer(w.token(set("iat", at.Unix()), set("nbf", at.Unix()), set("exp", at.Add(5*time.Minute).Unix())))
		if got != c.want {
			t.Errorf("%s: %s", name, got)
		}
	}
}

// A token that was copied on its way is used up by whoever comes first; who comes second is told.
func TestReplayedTokens(t *testing.T) {
	w := newWorld(t)
	token := w.token()
	for i, want := range []string{"civil", UsedToken, UsedToken} {
		if got := w.bearer(token); got != want {
			t.Errorf("%d: %s", i, got)
		}
	}
	// Another token with the same jti: the issuer would not, a thief of its key might.
	id := fmt.Sprint("t", w.next)
	if got := w.bearer(w.token(set("jti", id))); got != UsedToken {
		t.Errorf("the same jti: %s", got)
	}
	w.pass(5*time.Minute + leeway)
	if got := w.bearer(token); got != UsedToken && got != BadCredentials {
		t.Errorf("at the end of its life: %s", got)
	}
	// Many at once: one of them wins.
	token = w.token()
	var group sync.WaitGroup
	var won atomic.Int64
	for range 50 {
		group.Go(func() {
			if _, refusal := w.Who(request("Bearer " + token)); refusal == nil {
				won.Add(1)
			}
		})
	}
	group.Wait()
	if won.Load() != 1 {
		t.Errorf("%d of the same token were let in", won.Load())
	}
}

func TestTokensFromBeforeTheStart(t *testing.T) {
	w := newWorld(t)
	if got := w.bearer(w.token(set("iat", w.now().Add(-time.Second).Unix()))); got != UsedToken {
		t.Errorf("%s", got)
	}
}

// I10: memory is bounded, and a full one refuses rather than forgets.
func TestUsedTokensAreBounded(t *testing.T) {
	w := newWorld(t)
	i := w.issuers[testIssuer]
	for n := range mostUsed {
		i.used[sha256.Sum256(fmt.Append(nil, n))] = w.now().Add(time.Minute)
	}
	if got := w.bearer(w.token()); got != CannotTell {
		t.Errorf("full: %s", got)
	}
	w.pass(2 * time.Minute)
	if got := w.bearer(w.token()); got != "civil" || len(i.used) != 1 {
		t.Errorf("%s, %d are remembered", got, len(i.used))
	}
}

// What is remembered as used is forgotten when its life has ended, and not before.
func TestUsedTokensAreForgottenInTime(t *testing.T) {
	w := newWorld(t)
	i := w.issuers[testIssuer]
	token := w.token()
	if got := w.bearer(token); got != "civil" {
		t.Fatal(got)
	}
	for n := range mostUsed / 2 {
		i.used[sha256.Sum256(fmt.Append(nil, n))] = w.now().Add(time.Second)
	}
	w.pass(3 * time.Second)
	if got := w.bearer(w.token()); got != "civil" || len(i.used) != 2 {
		t.Errorf("%s, %d are remembered", got, len(i.used))
	}
	w.pass(5*time.Minute + leeway - 4*time.Second) // the last second in which it would be taken
	if got := w.bearer(token); got != UsedToken {
		t.Errorf("a token that was used: %s", got)
	}
}

func TestKeysOfClients(t *testing.T) {
	w := newWorld(t)
	for name, c := range map[string]struct{ authorization, want string }{
		"right":               {"Shire-Key archive." + w.key, "archive"},
		"the scheme in small": {"shire-key archive." + w.key, "archive"},
		"wrong":               {"Shire-Key archive." + w.key[1:], BadCredentials},
		"empty":               {"Shire-Key archive.", BadCredentials},
		"no secret":           {"Shire-Key archive", BadCredentials},
		"nobody":              {"Shire-Key nobody." + w.key, BadCredentials},
		"of a token's client": {"Shire-Key civil." + w.key, BadCredentials},
		"as a token":          {"Bearer archive." + w.key, BadCredentials},
		"another scheme":      {"Basic YTpi", BadCredentials},
		"nothing":             {"", BadCredentials},
	} {
		if got := w.code(request(c.authorization)); got != c.want {
			t.Errorf("%s: %s", name, got)
		}
	}
	if got := w.code(request()); got != NoCredentials {
		t.Errorf("no header: %s", got)
	}
	if got := w.code(request("Shire-Key archive."+w.key, "Bearer x")); got != BadCredentials {
		t.Errorf("two headers: %s", got)
	}
	if _, err := New(Options{Clients: []county.Client{{Name: "archive", APIKey: true}}}); err == nil {
		t.Error("a client has a key, and there is no file of keys")
	}
	away, err := New(Options{Clients: []county.Client{{Name: "archive", APIKey: true}}, Keys: awayKeys{}})
	if err != nil {
		t.Fatal(err)
	}
	if c, refusal := away.Who(request("Shire-Key archive." + w.key)); refusal == nil || refusal.Code != CannotTell || c != (Caller{}) {
		t.Errorf("the keys cannot be read: %v %v", c, refusal)
	}
	if err := w.keys.Remove("archive"); err != nil {
		t.Fatal(err)
	}
	if got := w.code(request("Shire-Key archive." + w.key)); got != BadCredentials {
		t.Errorf("removed: %s", got)
	}
}

// awayKeys is a file that cannot be read.
type awayKeys struct{}

func (awayKeys) Right(string, string) (bool, error) { return true, errors.New("away") }

// Credentials that others could read are not looked at: also right ones.
func TestCredentialsOverAnOpenWire(t *testing.T) {
	w := newWorld(t)
	for remote, want := range map[string]string{"192.0.2.7:1000": PlainConnection, "[2001:db8::1]:1000": PlainConnection, "pipe": PlainConnection, "[::1]:1000": "archive", "[::ffff:127.0.0.1]:9": "archive"} {
		r := request("Shire-Key archive." + w.key)
		r.RemoteAddr = remote
		r.Header.Set("X-Forwarded-For", "127.0.0.1")
		r.Header.Set("Forwarded", "for=127.0.0.1;proto=https")
		r.Header.Set("X-Forwarded-Proto", "https")
		if got := w.code(r); got != want {
			t.Errorf("from %s: %s", remote, got)
		}
	}
	r := request("Shire-Key archive." + w.key)
	r.RemoteAddr, r.TLS = "192.0.2.7:1000", &tls.ConnectionState{}
	if got := w.code(r); got != "archive" {
		t.Errorf("over TLS: %s", got)
	}
}

// Whatever Authorization holds, nobody gets in by it who has no secret, and nothing of it comes back.
func FuzzWho(f *testing.F) {
	w := newWorld(f)
	f.Add("Bearer " + w.token(set("alg", "none")))
	f.Add("Shire-Key archive.\x00")
	f.Add("Bearer ..")
	f.Add("Bearer {\"payload\":\"\"}")
	f.Fuzz(func(t *testing.T, authorization string) {
		r := request()
		r.Header["Authorization"] = []string{authorization}
		if c, refusal := w.Who(r); refusal == nil {
			t.Fatalf("%+v was let in", c)
		}
	})
}
