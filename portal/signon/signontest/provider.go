// Package signontest is a small OpenID Connect provider for tests, on a loopback listener: the authorization code flow with PKCE,
// discovery, rotating keys, UserInfo and sign-out. It keeps the rules of the specification until it is told to break one.
package signontest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// What the provider knows of its client.
const (
	ClientID     = "shire"
	ClientSecret = "only-for-tests-of-sign-on"
)

// Behaviour is whom the provider signs in, and which rules it breaks.
type Behaviour struct {
	Subject  string
	Claims   map[string]any // of the identity token, beside those that every one has
	UserInfo map[string]any // claims that UserInfo alone tells; nil: there is no UserInfo

	Discovery func(map[string]any)       // changes what the provider says of itself
	Answer    func(url.Values)           // changes what the browser brings back
	Token     func(map[string]any)       // changes the identity token's claims
	Sign      func(claims []byte) string // signs instead of the provider's key
	About     string                     // subject of UserInfo, when it is another
	Refuse    string                     // error code that every code is refused with
	Status    int                        // that every address answers with, when it is not 0
	Redirects []string                   // registered redirect addresses
}

// Provider is a running provider.
type Provider struct {
	URL string // the issuer

	now func() time.Time

	mu       sync.Mutex
	b        Behaviour
	keys     []jose.JSONWebKey // private; the last signs
	codes    map[string]grant
	access   map[string]string // subjects by access token
	Requests []string          // paths, in their order
}

type grant struct{ client, redirect, challenge, nonce, subject string }

// Start runs a provider until the test ends. now is its clock; nil is time.Now.
func Start(t testing.TB, now func() time.Time, b Behaviour) *Provider {
	t.Helper()
	if now == nil {
		now = time.Now
	}
	p := &Provider{now: now, b: b, codes: map[string]grant{}, access: map[string]string{}}
	p.Rotate(jose.ES256)
	server := httptest.NewServer(http.HandlerFunc(p.serve))
	t.Cleanup(server.Close)
	p.URL = server.URL
	return p
}

// Change changes the behaviour.
func (p *Provider) Change(change func(*Behaviour)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change(&p.b)
}

// Asked are the paths that were asked for since the last call.
func (p *Provider) Asked() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	asked := p.Requests
	p.Requests = nil
	return asked
}

// Rotate has the provider sign with a new key; the old one is withdrawn.
func (p *Provider) Rotate(algorithm jose.SignatureAlgorithm) {
	var key crypto.Signer
	var err error
	if strings.HasPrefix(string(algorithm), "ES") {
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	} else {
		key, err = rsa.GenerateKey(rand.Reader, 2048)
	}
	if err != nil {
		panic(err) // crypto/rand ends the program rather than to fail
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.keys = []jose.JSONWebKey{{Key: key, KeyID: rand.Text(), Algorithm: string(algorithm), Use: "sig"}}
}

// Key is the key that signs now.
func (p *Provider) Key() jose.JSONWebKey {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.keys[len(p.keys)-1]
}

// Sign signs claims with a key.
func Sign(key jose.JSONWebKey, claims []byte) string {
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.SignatureAlgorithm(key.Algorithm), Key: key}, nil)
	if err != nil {
		panic(err) // a mistake of the test's
	}
	signed, err := signer.Sign(claims)
	if err != nil {
		panic(err)
	}
	text, err := signed.CompactSerialize()
	if err != nil {
		panic(err)
	}
	return text
}

func (p *Provider) serve(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.Requests = append(p.Requests, r.URL.Path)
	if p.b.Status != 0 {
		http.Error(w, "a page with 欧阳慧敏 in it", p.b.Status)
		return
	}
	switch r.URL.Path {
	case "/.well-known/openid-configuration":
		p.discovery(w)
	case "/authorize":
		p.authorize(w, r)
	case "/token":
		p.token(w, r)
	case "/keys":
		public := jose.JSONWebKeySet{}
		for _, k := range p.keys {
			public.Keys = append(public.Keys, k.Public())
		}
		answer(w, http.StatusOK, public)
	case "/userinfo":
		p.userInfo(w, r)
	default:
		http.NotFound(w, r)
	}
}

func (p *Provider) discovery(w http.ResponseWriter) {
	says := map[string]any{
		"issuer": p.URL, "authorization_endpoint": p.URL + "/authorize", "token_endpoint": p.URL + "/token", "jwks_uri": p.URL + "/keys",
		"end_session_endpoint": p.URL + "/end", "response_types_supported": []string{"code"}, "subject_types_supported": []string{"public"},
		"id_token_signing_alg_values_supported": []string{"ES256", "RS256", "HS256", "none"}, "code_challenge_methods_supported": []string{"S256"},
		"token_endpoint_auth_methods_supported": []string{"client_secret_basic"}, "authorization_response_iss_parameter_supported": true,
	}
	if p.b.UserInfo != nil {
		says["userinfo_endpoint"] = p.URL + "/userinfo"
	}
	if p.b.Discovery != nil {
		p.b.Discovery(says)
	}
	answer(w, http.StatusOK, says)
}

// authorize signs in whom the behaviour names: who sits there is known.
func (p *Provider) authorize(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	if q.Get("client_id") != ClientID || !slices.Contains(p.b.Redirects, q.Get("redirect_uri")) {
		http.Error(w, "the client or its redirect address is not registered", http.StatusBadRequest)
		return
	}
	if q.Get("response_type") != "code" || !slices.Contains(strings.Fields(q.Get("scope")), "openid") || q.Get("code_challenge_method") != "S256" || q.Get("code_challenge") == "" {
		http.Error(w, "no code flow with PKCE", http.StatusBadRequest)
		return
	}
	code := rand.Text()
	p.codes[code] = grant{q.Get("client_id"), q.Get("redirect_uri"), q.Get("code_challenge"), q.Get("nonce"), p.b.Subject}
	back := url.Values{"code": {code}, "state": {q.Get("state")}, "iss": {p.URL}}
	if p.b.Answer != nil {
		p.b.Answer(back)
	}
	http.Redirect(w, r, q.Get("redirect_uri")+"?"+back.Encode(), http.StatusSeeOther)
}

func (p *Provider) token(w http.ResponseWriter, r *http.Request) {
	id, secret, basic := r.BasicAuth()
	if !basic {
		id, secret = r.FormValue("client_id"), r.FormValue("client_secret")
	}
	if id != ClientID || secret != ClientSecret {
		answer(w, http.StatusUnauthorized, map[string]string{"error": "invalid_client", "error_description": "not " + secret})
		return
	}
	if p.b.Refuse != "" {
		answer(w, http.StatusBadRequest, map[string]string{"error": p.b.Refuse})
		return
	}
	g, there := p.codes[r.FormValue("code")]
	delete(p.codes, r.FormValue("code")) // a code is good once
	sum := sha256.Sum256([]byte(r.FormValue("code_verifier")))
	if !there || g.client != id || g.redirect != r.FormValue("redirect_uri") || g.challenge != base64.RawURLEncoding.EncodeToString(sum[:]) {
		answer(w, http.StatusBadRequest, map[string]string{"error": "invalid_grant", "error_description": "欧阳慧敏"})
		return
	}
	access := rand.Text()
	p.access[access] = g.subject
	hash := sha256.Sum256([]byte(access))
	now := p.now()
	claims := map[string]any{
		"iss": p.URL, "sub": g.subject, "aud": ClientID, "iat": now.Unix(), "exp": now.Add(5 * time.Minute).Unix(), "nonce": g.nonce,
		"at_hash": base64.RawURLEncoding.EncodeToString(hash[:16]),
	}
	maps.Copy(claims, p.b.Claims)
	if p.b.Token != nil {
		p.b.Token(claims)
	}
	text, err := json.Marshal(claims)
	if err != nil {
		panic(err)
	}
	sign := p.b.Sign
	if sign == nil {
		sign = func(claims []byte) string { return Sign(p.keys[len(p.keys)-1], claims) }
	}
	answer(w, http.StatusOK, map[string]any{"access_token": access, "token_type": "Bearer", "expires_in": 300, "id_token": sign(text)})
}

func (p *Provider) userInfo(w http.ResponseWriter, r *http.Request) {
	subject, there := p.access[strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")]
	if !there {
		answer(w, http.StatusUnauthorized, map[string]string{"error": "invalid_token"})
		return
	}
	if p.b.About != "" {
		subject = p.b.About
	}
	claims := map[string]any{"sub": subject}
	maps.Copy(claims, p.b.UserInfo)
	answer(w, http.StatusOK, claims)
}

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	fmt.Fprint(w, encode(v))
}

func encode(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(text)
}
