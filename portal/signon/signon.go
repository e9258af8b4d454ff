// Package signon signs people in by an OpenID Connect provider: the authorization code flow with PKCE (RFC 6749, RFC 7636, OpenID
// Connect Core 1.0), and says what they may do by the groups that the provider puts them into.
//
// # What it promises
//
//   - Whoever is let in was signed in by the provider for this portal, in this browser, a moment ago: state, nonce and code verifier
//     are of one sign-in and are good once; of the identity token issuer, audience, authorised party, times, nonce, signature and
//     the access token's hash are proven.
//   - Deny by default: a person may what the groups in county.yaml may, and no more.
//   - The name that a person acts under is no other's: behind the provider's name stand the provider's alias and a hash of the subject,
//     after a character that the name of no local account holds.
//   - I7: errors hold nothing of what the provider says about people.
//   - I10: answers of the provider are bounded in size and time.
//
// # How it fails
//
//   - The provider is away, or its answers cannot be read: a [Refusal] with 503. Nothing is asked of it before somebody signs in, so
//     that a node starts without it.
//   - The provider took a key or changed its addresses: it is asked anew after ten minutes.
//   - The file with the client's secret is gone: 503; the log says which.
package signon

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/oauth2"

	"github.com/shirecounty/shire/schemas/county"
)

// Bounds of what is taken of a provider.
const (
	mostAnswer   = 1 << 20  // bytes of one answer
	mostToken    = 64 << 10 // bytes of an identity token
	mostSubject  = 255      // characters (OpenID Connect Core 1.0, 2)
	mostCode     = 4 << 10  // bytes
	mostGroups   = 2000     // of a person
	answerTime   = 5 * time.Second
	exchangeTime = 3 * answerTime
	fresh        = 10 * time.Minute // then the provider's addresses and keys are read anew
	pause        = 5 * time.Second  // at least between two tries to reach one that is away
)

// Provider is the county's OpenID Connect provider (统一身份认证). It is safe for concurrent use.
type Provider struct {
	c      county.OIDC
	now    func() time.Time
	client *http.Client

	known atomic.Pointer[known] // nil until the provider was asked where everything is

	asking sync.Mutex // held while it is asked; guards the rest
	tried  time.Time
	failed error // why it could not be asked then
}

// New makes a provider of a proven county.yaml. It asks nothing of it. now is the clock; nil is time.Now.
func New(c county.OIDC, now func() time.Time) (*Provider, error) {
	if now == nil {
		now = time.Now
	}
	secret, err := c.ClientSecret.Reveal()
	if err != nil {
		return nil, fmt.Errorf("the client's secret cannot be read (portal.oidc.client_secret): %w", err)
	}
	if secret == "" {
		return nil, errors.New("the client's secret is empty (portal.oidc.client_secret)")
	}
	return &Provider{c: c, now: now, client: boundedClient()}, nil
}

// Label is what the button says.
func (p *Provider) Label() (zh, en string) { return p.c.Label.Zh, p.c.Label.En }

// Session is the longest that somebody stays signed in.
func (p *Provider) Session() time.Duration { return time.Duration(p.c.Session) }

// Redirect is the address that the provider sends people back to.
func (p *Provider) Redirect() string { return p.c.Redirect }

// Origin is the portal's own origin, as browsers write it.
func (p *Provider) Origin() string { return strings.TrimSuffix(p.c.Redirect, county.OIDCCallback) }

// Flow is a sign-in that has begun. It is for the browser that began it, and good once.
type Flow struct {
	State string // comes back with the answer

	nonce, verifier string
	began           time.Time
}

// Begin begins a sign-in. The address is where the provider asks who it is.
func (p *Provider) Begin(ctx context.Context) (f Flow, address string, refusal *Refusal) {
	known, err := p.reach(ctx)
	if err != nil {
		return f, "", away(err)
	}
	f = Flow{State: rand.Text(), nonce: rand.Text(), verifier: oauth2.GenerateVerifier(), began: p.now()}
	return f, known.oauth.AuthCodeURL(f.State, oauth2.S256ChallengeOption(f.verifier), oauth2.SetAuthURLParam("nonce", f.nonce)), nil
}

// Person is who was signed in.
type Person struct {
	Name   string // under which they act: see [Provider.actor]
	Groups []string

	told bool // the provider told groups at all
}

// Finish finishes a sign-in with the provider's answer, of which the caller has compared the state: the parameters that the browser
// brings to the redirect address.
func (p *Provider) Finish(ctx context.Context, f Flow, answer url.Values) (Person, *Refusal) {
	ctx, cancel := context.WithTimeout(ctx, exchangeTime)
	defer cancel()
	known, err := p.reach(ctx)
	if err != nil {
		return Person{}, away(err)
	}
	for _, name := range []string{"state", "iss", "error", "code"} {
		if len(answer[name]) > 1 {
			return Person{}, unbelievable("the answer has the parameter %s %d times", name, len(answer[name]))
		}
	}
	// RFC 9207: an answer of another provider must not be taken to this one's token endpoint.
	if iss := answer.Get("iss"); iss != "" && iss != p.c.Issuer || iss == "" && known.issInAnswer {
		return Person{}, unbelievable("the answer is not marked as that of the issuer")
	}
	if answer.Has("error") {
		return Person{}, refusedThere(answer.Get("error"))
	}
	code := answer.Get("code")
	if code == "" || len(code) > mostCode {
		return Person{}, unbelievable("the answer has no code, or one of more than %d bytes", mostCode)
	}
	return p.redeem(ctx, known, f, code)
}

// names are the names that people may have: those of local accounts, and the marks that names of people have beside.
var names = regexp.MustCompile(`^[\p{L}\p{N}]([\p{L}\p{M}\p{N} ._@'·-]{0,62}[\p{L}\p{M}\p{N}._@·-])?$`)

// actor is the name that a person acts under: NAME@ALIAS:TAG. The name may be anybody's, at the provider and here; the tag is of the
// subject, which is one person's for ever, and a colon stands in the name of no local account.
func (p *Provider) actor(name, subject string) string {
	sum := sha256.Sum256([]byte(p.c.Issuer + "\x00" + subject))
	tag := strings.ToLower(base32.StdEncoding.EncodeToString(sum[:]))[:tagLength]
	return name + "@" + p.c.Alias + ":" + tag
}

// tagLength makes 60 bits: nobody can try so many subjects.
const tagLength = 12

// SignOut is where the provider ends its own session (RP-Initiated Logout); empty when it has no such place. The identity token
// does not go there as a hint: it would put a name into an address (I7), and so the provider may ask whether one means it.
func (p *Provider) SignOut() string {
	known := p.known.Load()
	if known == nil || known.endSession == nil {
		return ""
	}
	address := *known.endSession
	q := address.Query()
	q.Set("client_id", p.c.ClientID)
	q.Set("post_logout_redirect_uri", p.Origin()+"/")
	address.RawQuery = q.Encode()
	return address.String()
}
