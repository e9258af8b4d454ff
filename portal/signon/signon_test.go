package signon

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"pgregory.net/rapid"

	"github.com/shirecounty/shire/portal/signon/signontest"
	"github.com/shirecounty/shire/schemas/county"
)

const redirect = "http://127.0.0.1:8080" + county.OIDCCallback

func conf(issuer string) county.OIDC {
	return county.OIDC{
		Issuer: issuer, Alias: "sso", ClientID: signontest.ClientID, ClientSecret: signontest.ClientSecret, Redirect: redirect,
		Scopes: []string{"profile"}, NameClaim: "preferred_username", GroupsClaim: "groups", Algorithms: []string{"ES256", "PS256", "RS256"},
		Leeway: county.Duration(30 * time.Second), Session: county.Duration(8 * time.Hour),
		Groups: map[string]county.Rights{
			"reviewers": {Rights: []string{county.MayReview}},
			"tax":       {Rights: []string{county.MayRequest}, Department: "tax"},
			"civil":     {Rights: []string{county.MayRequest, county.MayOperate}, Department: "civil_affairs"},
		},
	}
}

// rig is a provider, the portal's side of it, and a browser that goes between.
type rig struct {
	t        testing.TB
	clock    time.Time
	there    *signontest.Provider
	provider *Provider
}

func newRig(t testing.TB, change ...func(*county.OIDC)) *rig {
	t.Helper()
	r := &rig{t: t, clock: time.Date(2026, 11, 2, 9, 0, 0, 0, time.UTC)}
	now := func() time.Time { return r.clock }
	r.there = signontest.Start(t, now, signontest.Behaviour{
		Subject: "s-1", Claims: map[string]any{"preferred_username": "李梅", "groups": []string{"reviewers", "elsewhere"}}, Redirects: []string{redirect},
	})
	c := conf(r.there.URL)
	for _, f := range change {
		f(&c)
	}
	var err error
	if r.provider, err = New(c, now); err != nil {
		t.Fatal(err)
	}
	return r
}

// visit opens an address of the provider and says where it sends the browser.
func visit(t testing.TB, address string) *url.URL {
	t.Helper()
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	answer, err := client.Get(address)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	to, err := answer.Location()
	if err != nil {
		t.Fatalf("the provider answers %s and sends nobody back", answer.Status)
	}
	return to
}

func (r *rig) begin() (Flow, url.Values) {
	r.t.Helper()
	f, address, refusal := r.provider.Begin(r.t.Context())
	if refusal != nil {
		r.t.Fatal(refusal)
	}
	back := visit(r.t, address)
	if got := back.Scheme + "://" + back.Host + back.Path; got != redirect {
		r.t.Fatalf("sent back to %s", got)
	}
	return f, back.Query()
}

func (r *rig) signIn() (Person, *Refusal) {
	r.t.Helper()
	f, answer := r.begin()
	return r.provider.Finish(r.t.Context(), f, answer)
}

func TestSignIn(t *testing.T) {
	r := newRig(t)
	if asked := r.there.Asked(); len(asked) != 0 {
		t.Errorf("the provider was asked before anybody signed in: %v", asked)
	}
	f, address, refusal := r.provider.Begin(t.Context())
	if refusal != nil {
		t.Fatal(refusal)
	}
	u, _ := url.Parse(address)
	q := u.Query()
	if q.Get("scope") != "openid profile" || q.Get("redirect_uri") != redirect || q.Get("response_type") != "code" || len(q.Get("nonce")) < 20 || len(f.State) < 20 ||
		q.Get("state") != f.State || strings.Contains(address, f.verifier) || strings.Contains(address, signontest.ClientSecret) {
		t.Errorf("asked for %s", address)
	}
	who, refusal := r.signIn()
	if refusal != nil {
		t.Fatal(refusal)
	}
	if !strings.HasPrefix(who.Name, "李梅@sso:") || len(who.Name) != len("李梅@sso:")+tagLength || !slices.Equal(who.Groups, []string{"reviewers", "elsewhere"}) {
		t.Errorf("%+v", who)
	}
	again, _ := r.signIn()
	r.there.Change(func(b *signontest.Behaviour) { b.Subject = "s-2" })
	other, _ := r.signIn()
	if again.Name != who.Name || other.Name == who.Name {
		t.Errorf("%s, %s: the name is of the subject", again.Name, other.Name)
	}
	out, _ := url.Parse(r.provider.SignOut())
	if out.Path != "/end" || out.Query().Get("post_logout_redirect_uri") != "http://127.0.0.1:8080/" || out.Query().Get("client_id") != signontest.ClientID || out.Query().Has("id_token_hint") {
		t.Errorf("signs out at %s", out)
	}
}

// The algorithms that are taken, each with a key of its own: the provider turns from one to the next.
func TestKeysRotate(t *testing.T) {
	r := newRig(t)
	old := r.there.Key()
	for _, a := range []jose.SignatureAlgorithm{jose.ES256, jose.PS256, jose.RS256} {
		r.there.Rotate(a)
		if _, refusal := r.signIn(); refusal != nil {
			t.Errorf("%s: %v", a, refusal)
		}
	}
	r.there.Change(func(b *signontest.Behaviour) {
		b.Sign = func(claims []byte) string { return signontest.Sign(old, claims) }
	})
	if _, refusal := r.signIn(); refusal == nil {
		t.Error("a key that was withdrawn still signs")
	}
	// A key that the provider withdrew before it was ever missed is forgotten in time.
	r = newRig(t)
	r.signIn()
	old = r.there.Key()
	r.there.Rotate(jose.ES256)
	r.there.Change(func(b *signontest.Behaviour) {
		b.Sign = func(claims []byte) string { return signontest.Sign(old, claims) }
	})
	r.clock = r.clock.Add(fresh)
	if _, refusal := r.signIn(); refusal == nil || refusal.Code != Unbelievable {
		t.Errorf("a key that was withdrawn ten minutes ago: %v", refusal)
	}
}

// none makes a token without a signature.
func none(claims []byte) string {
	return base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","typ":"JWT"}`)) + "." + base64.RawURLEncoding.EncodeToString(claims) + "."
}

func TestForgedTokens(t *testing.T) {
	r := newRig(t)
	now := r.clock.Unix()
	key := r.there.Key()
	public, err := x509.MarshalPKIXPublicKey(key.Public().Key)
	if err != nil {
		t.Fatal(err)
	}
	secret := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public})
	stranger := signontest.Start(t, nil, signontest.Behaviour{}).Key()
	stolen := stranger
	stolen.KeyID = key.KeyID
	set := func(name string, value any) func(*signontest.Behaviour) {
		return func(b *signontest.Behaviour) {
			b.Token = func(c map[string]any) {
				if c[name] = value; value == nil {
					delete(c, name)
				}
			}
		}
	}
	signed := func(sign func([]byte) string) func(*signontest.Behaviour) {
		return func(b *signontest.Behaviour) { b.Sign = sign }
	}
	for _, c := range []struct {
		name, why string
		break_    func(*signontest.Behaviour)
	}{
		{"no signature", "signature algorithm", signed(none)},
		{"signed with the public key as a secret", "signature algorithm", signed(func(claims []byte) string {
			return signontest.Sign(jose.JSONWebKey{Key: secret, KeyID: key.KeyID, Algorithm: "HS256"}, claims)
		})},
		{"signed with the client's secret", "signature algorithm", signed(func(claims []byte) string {
			return signontest.Sign(jose.JSONWebKey{Key: []byte(strings.Repeat(signontest.ClientSecret, 2)), Algorithm: "HS256"}, claims)
		})},
		{"a stranger's key", "verify signature", signed(func(claims []byte) string { return signontest.Sign(stranger, claims) })},
		{"a stranger's key under the provider's kid", "verify signature", signed(func(claims []byte) string { return signontest.Sign(stolen, claims) })},
		{"an algorithm that county.yaml leaves out", "signature algorithm", signed(func(claims []byte) string {
			_, rest, _ := strings.Cut(signontest.Sign(stranger, claims), ".")
			return base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"ES512"}`)) + "." + rest
		})},
		{"no token", "no identity token", signed(func([]byte) string { return "" })},
		{"too long a token", "no identity token", signed(func([]byte) string { return strings.Repeat("x", mostToken+1) })},
		{"another issuer", "different provider", set("iss", "https://other.example")},
		{"another audience", "expected audience", set("aud", "another")},
		{"no audience", "expected audience", set("aud", nil)},
		{"several audiences and no azp", "azp", set("aud", []string{signontest.ClientID, "another"})},
		{"issued to another", "azp", set("azp", "another")},
		{"an azp that is no text", "azp", set("azp", []string{signontest.ClientID})},
		{"expired", "expired", set("exp", now-31)},
		{"no end", "expired", set("exp", nil)},
		{"from the future", "future", set("iat", now+31)},
		{"from before the sign-in", "before this sign-in", set("iat", now-31)},
		{"no iat", "iat", set("iat", nil)},
		{"not valid yet", "nbf", set("nbf", now+31)},
		{"a foreign nonce", "nonce", set("nonce", "of another sign-in")},
		{"no nonce", "nonce", set("nonce", nil)},
		{"of another access token", "at_hash", set("at_hash", base64.RawURLEncoding.EncodeToString(make([]byte, 16)))},
		{"no subject", "sub", set("sub", nil)},
		{"a subject without end", "sub", set("sub", strings.Repeat("s", mostSubject+1))},
		{"groups that are no list", "no list of groups", set("groups", map[string]bool{"reviewers": true})},
		{"groups among which are numbers", "no list of groups", set("groups", []any{"reviewers", 7})},
		{"groups without end", "no list of groups", set("groups", make([]string, mostGroups+1))},
	} {
		t.Run(c.name, func(t *testing.T) {
			r.there.Change(c.break_)
			defer r.there.Change(func(b *signontest.Behaviour) { b.Token, b.Sign = nil, nil })
			who, refusal := r.signIn()
			if refusal == nil || refusal.Code != Unbelievable || refusal.Status != 403 || !strings.Contains(refusal.Error(), c.why) || who.Name != "" {
				t.Errorf("%+v, %v", who, refusal)
			}
		})
	}
	for name, change := range map[string]func(*signontest.Behaviour){
		"several audiences, and this one's azp": func(b *signontest.Behaviour) {
			b.Token = func(c map[string]any) {
				c["aud"], c["azp"] = []string{"another", signontest.ClientID}, signontest.ClientID
			}
		},
		"within the leeway": func(b *signontest.Behaviour) {
			b.Token = func(c map[string]any) { c["iat"], c["nbf"], c["exp"] = now+30, now+30, now-29 }
		},
		"no at_hash": set("at_hash", nil), "one group": set("groups", "reviewers"),
	} {
		r.there.Change(change)
		if who, refusal := r.signIn(); refusal != nil || !slices.Contains(who.Groups, "reviewers") {
			t.Errorf("%s: %+v %v", name, who, refusal)
		}
		r.there.Change(func(b *signontest.Behaviour) { b.Token = nil })
	}
}

func TestAnswers(t *testing.T) {
	r := newRig(t)
	for _, c := range []struct {
		name, code string
		change     func(url.Values)
	}{
		{"of another issuer (mix-up)", Unbelievable, func(v url.Values) { v.Set("iss", "https://other.example") }},
		{"without the issuer that the provider promises", Unbelievable, func(v url.Values) { v.Del("iss") }},
		{"two codes", Unbelievable, func(v url.Values) { v.Add("code", "x") }},
		{"no code", Unbelievable, func(v url.Values) { v.Del("code") }},
		{"a code that is none", Unbelievable, func(v url.Values) { v.Set("code", "x") }},
		{"a code without end", Unbelievable, func(v url.Values) { v.Set("code", strings.Repeat("x", mostCode+1)) }},
		{"refused there", RefusedThere, func(v url.Values) { v.Set("error", "access_denied") }},
		{"refused there, in words of somebody else", RefusedThere, func(v url.Values) { v.Set("error", "call 12345 at once") }},
	} {
		f, answer := r.begin()
		c.change(answer)
		_, refusal := r.provider.Finish(t.Context(), f, answer)
		if refusal == nil || refusal.Code != c.code || strings.Contains(fmt.Sprint(refusal.En, refusal.Zh, refusal.Err), "12345") {
			t.Errorf("%s: %v", c.name, refusal)
		}
	}
	// A code is good once, and for whoever began.
	f, answer := r.begin()
	if _, refusal := r.provider.Finish(t.Context(), f, answer); refusal != nil {
		t.Fatal(refusal)
	}
	if _, refusal := r.provider.Finish(t.Context(), f, answer); refusal == nil || refusal.Code != Unbelievable {
		t.Errorf("a code twice: %v", refusal)
	}
	mine, _ := r.begin()
	_, theirs := r.begin()
	if _, refusal := r.provider.Finish(t.Context(), mine, theirs); refusal == nil || !strings.Contains(refusal.Error(), "invalid_grant") {
		t.Errorf("another's code, without its verifier: %v", refusal)
	}
	// What the provider writes where its error code belongs may be anything (I7).
	r.there.Change(func(b *signontest.Behaviour) { b.Refuse = "欧阳慧敏 is not known" })
	if _, refusal := r.signIn(); refusal == nil || refusal.Code != Unbelievable || strings.Contains(refusal.Error(), "欧阳") {
		t.Errorf("an error code that is none: %v", refusal)
	}
	// The provider itself sends nobody to an address that is not registered.
	elsewhere := newRig(t, func(c *county.OIDC) { c.Redirect = "http://127.0.0.1:8081" + county.OIDCCallback })
	_, address, _ := elsewhere.provider.Begin(t.Context())
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	if got, err := client.Get(address); err != nil || got.StatusCode != 400 {
		t.Errorf("another redirect address: %v %v", got, err)
	}
}

func TestProviderAway(t *testing.T) {
	r := newRig(t)
	r.there.Change(func(b *signontest.Behaviour) { b.Status = 503 })
	_, _, refusal := r.provider.Begin(t.Context())
	if refusal == nil || refusal.Code != ProviderAway || refusal.Status != 503 || strings.Contains(refusal.Error(), "欧阳") {
		t.Fatal(refusal)
	}
	r.there.Change(func(b *signontest.Behaviour) { b.Status = 0 })
	r.there.Asked()
	if _, _, refusal := r.provider.Begin(t.Context()); refusal == nil || len(r.there.Asked()) != 0 {
		t.Error("one that is away is asked again at once")
	}
	r.clock = r.clock.Add(pause)
	f, answer := r.begin()
	// It goes while somebody signs in.
	r.there.Change(func(b *signontest.Behaviour) { b.Status = 502 })
	if _, refusal := r.provider.Finish(t.Context(), f, answer); refusal == nil || refusal.Code != ProviderAway || strings.Contains(refusal.Error(), "欧阳") {
		t.Error(refusal)
	}
	if r.provider.SignOut() == "" {
		t.Error("where to sign out is forgotten")
	}
}

func TestDiscovery(t *testing.T) {
	for name, change := range map[string]func(map[string]any){
		"another issuer":            func(d map[string]any) { d["issuer"] = "https://other.example" },
		"tokens over an open wire":  func(d map[string]any) { d["token_endpoint"] = "http://sso.example/token" },
		"keys over an open wire":    func(d map[string]any) { d["jwks_uri"] = "http://sso.example/keys" },
		"people over an open wire":  func(d map[string]any) { d["userinfo_endpoint"] = "http://sso.example/userinfo" },
		"an address that is none":   func(d map[string]any) { d["authorization_endpoint"] = "javascript:alert(1)" },
		"signs out by a script":     func(d map[string]any) { d["end_session_endpoint"] = "javascript:alert(1)" },
		"no PKCE with S256":         func(d map[string]any) { d["code_challenge_methods_supported"] = []string{"plain"} },
		"no way for the secret":     func(d map[string]any) { d["token_endpoint_auth_methods_supported"] = []string{"private_key_jwt"} },
		"without an end":            func(d map[string]any) { d["x"] = strings.Repeat("x", mostAnswer) },
		"a way that is not a list":  func(d map[string]any) { d["token_endpoint_auth_methods_supported"] = 7 },
		"no place to sign in":       func(d map[string]any) { delete(d, "authorization_endpoint") },
		"a name before the address": func(d map[string]any) { d["token_endpoint"] = "https://a:b@sso.example/token" },
	} {
		r := newRig(t)
		r.there.Change(func(b *signontest.Behaviour) { b.Discovery = change })
		if _, _, refusal := r.provider.Begin(t.Context()); refusal == nil || refusal.Code != ProviderAway {
			t.Errorf("%s: %v", name, refusal)
		}
	}
	r := newRig(t)
	r.there.Change(func(b *signontest.Behaviour) {
		b.Discovery = func(d map[string]any) {
			d["token_endpoint_auth_methods_supported"] = []string{"client_secret_post"}
			delete(d, "end_session_endpoint")
			delete(d, "code_challenge_methods_supported")
			delete(d, "authorization_response_iss_parameter_supported")
		}
		b.Answer = func(v url.Values) { v.Del("iss") }
	})
	if _, refusal := r.signIn(); refusal != nil || r.provider.SignOut() != "" {
		t.Errorf("a provider that says little: %v", refusal)
	}
}

func TestUserInfo(t *testing.T) {
	r := newRig(t)
	r.there.Change(func(b *signontest.Behaviour) {
		b.Claims = map[string]any{"preferred_username": "李梅"}
		b.UserInfo = map[string]any{"preferred_username": "somebody else", "groups": []string{"civil"}}
	})
	who, refusal := r.signIn()
	if refusal != nil || !strings.HasPrefix(who.Name, "李梅@") || !slices.Equal(who.Groups, []string{"civil"}) {
		t.Errorf("%+v %v", who, refusal)
	}
	r.there.Change(func(b *signontest.Behaviour) { b.About = "s-2" })
	if _, refusal := r.signIn(); refusal == nil || !strings.Contains(refusal.Error(), "another subject") {
		t.Errorf("what is said of another was taken: %v", refusal)
	}
}

func TestNames(t *testing.T) {
	r := newRig(t)
	for _, name := range []any{nil, "", 7, " x", "a:b", "a\nb", "a\u202eb", "<b>", strings.Repeat("x", 65), []string{"x"}, "李梅@sso:aaaaaaaaaaaa"} {
		r.there.Change(func(b *signontest.Behaviour) {
			b.Claims = map[string]any{"preferred_username": name, "groups": []string{"reviewers"}}
		})
		if who, refusal := r.signIn(); refusal == nil || refusal.Code != NoName {
			t.Errorf("%v: %+v %v", name, who, refusal)
		}
	}
	for _, name := range []string{"阿里木·买买提", "o'neil@county.example", "Zoë X"} {
		r.there.Change(func(b *signontest.Behaviour) {
			b.Claims = map[string]any{"preferred_username": name, "groups": []string{"reviewers"}}
		})
		if who, refusal := r.signIn(); refusal != nil || !strings.HasPrefix(who.Name, name+"@sso:") {
			t.Errorf("%s: %+v %v", name, who, refusal)
		}
	}
}

// A person may what one of their groups may, for the department of that group, and nothing else.
func TestRights(t *testing.T) {
	c := conf("https://sso.example")
	p, err := New(c, nil)
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		groups := rapid.SliceOfDistinct(rapid.SampledFrom([]string{"reviewers", "tax", "civil", "Reviewers", "reviewers ", "", "elsewhere"}), func(s string) string { return s }).Draw(t, "groups")
		right := rapid.SampledFrom(county.PortalRights).Draw(t, "right")
		var givers []string
		for _, g := range groups {
			if slices.Contains(c.Groups[g].Rights, right) {
				givers = append(givers, c.Groups[g].Department)
			}
		}
		department, refusal := p.May(Person{Groups: groups, told: true}, right)
		switch {
		case len(givers) == 0:
			if refusal == nil || refusal.Code != NoRight {
				t.Fatalf("%v may %s: %v", groups, right, refusal)
			}
		case right == county.MayRequest && len(givers) > 1:
			if refusal == nil || refusal.Code != TwoDepartments || !strings.Contains(refusal.Zh, "civil_affairs、tax") {
				t.Fatalf("%v acts for %q: %v", groups, department, refusal)
			}
		case refusal != nil || right == county.MayRequest && department != givers[0] || right != county.MayRequest && department != "":
			t.Fatalf("%v may %s for %q: %v", groups, right, department, refusal)
		}
	})
	for _, c := range []struct {
		who   Person
		right string
		says  []string
	}{
		{Person{Groups: []string{"tax"}, told: true}, county.MayReview, []string{"reviewers", "核对身份", "review identities"}},
		{Person{}, county.MayRequest, []string{"civil, tax", "claim groups", "声明 groups"}},
		{Person{Groups: []string{"tax"}, told: true}, county.MaySupervise, []string{"No group in county.yaml", "没有任何组"}},
	} {
		_, refusal := p.May(c.who, c.right)
		for _, say := range c.says {
			if refusal == nil || !strings.Contains(refusal.En+refusal.Zh, say) {
				t.Errorf("%v %s: %q is not in %+v", c.who.Groups, c.right, say, refusal)
			}
		}
	}
}

func TestSecret(t *testing.T) {
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte(signontest.ClientSecret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := newRig(t, func(c *county.OIDC) { c.ClientSecret = county.Secret("file:" + file) })
	if _, refusal := r.signIn(); refusal != nil {
		t.Fatal(refusal)
	}
	if err := os.WriteFile(file, []byte("not-the-secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, refusal := r.signIn()
	if refusal == nil || refusal.Code != ProviderAway || !strings.Contains(refusal.Error(), "invalid_client") || strings.Contains(fmt.Sprintf("%v %+v", refusal, errors.Unwrap(refusal)), "not-the-secret") {
		t.Errorf("a wrong secret: %v", refusal)
	}
	os.Remove(file)
	if _, refusal := r.signIn(); refusal == nil || !strings.Contains(refusal.Error(), "portal.oidc.client_secret") {
		t.Errorf("no secret any more: %v", refusal)
	}
	if _, err := New(conf("https://sso.example"), nil); err != nil {
		t.Error(err)
	}
	c := conf("https://sso.example")
	for _, secret := range []county.Secret{"", county.Secret("file:" + file)} {
		c.ClientSecret = secret
		if _, err := New(c, nil); err == nil {
			t.Errorf("%q is taken for a secret", string(secret))
		}
	}
}

// Whatever a claim holds, reading it neither panics nor makes groups of what is no text.
func FuzzClaims(f *testing.F) {
	for _, s := range []string{`"a"`, `["a","b"]`, `null`, `{}`, `[1]`, `["a",null]`, `[["a"]]`, ``} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, claim string) {
		list, told, err := texts(json.RawMessage(claim))
		if err != nil && (list != nil || !told) || !told && len(list) > 0 || len(list) > mostGroups {
			t.Errorf("%q: %q %t %v", claim, list, told, err)
		}
	})
}
