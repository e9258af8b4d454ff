package callers

import (
	"crypto/sha256"
	"crypto/subtle"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/shirecounty/shire/schemas/county"
)

// Bounds of what is taken.
const (
	mostToken = 8 << 10 // bytes
	mostID    = 256     // bytes of a jti
	// mostUsed is how many tokens of an issuer are remembered as used (I10); when so many are valid at a time, no more are taken:
	// a token that is forgotten could be used again.
	mostUsed = 200_000
)

// claims are what a token says (RFC 9068).
type claims struct {
	jwt.Claims
	Confirmation *struct {
		Certificate string `json:"x5t#S256"` // RFC 8705: the token is good with this certificate alone
	} `json:"cnf"`

	bound bool // to the certificate of this connection
}

// issuer is an authorisation server whose tokens are taken.
type issuer struct {
	county.Issuer
	algorithms []jose.SignatureAlgorithm
	keys       *keySet
	now        func() time.Time
	began      time.Time // of this process's memory

	mu   sync.Mutex
	used map[[sha256.Size]byte]time.Time // by jti: until when it has to be remembered
	next time.Time                       // when it is worth looking for what may be forgotten
}

func newIssuer(i county.Issuer, client *http.Client, now func() time.Time) (*issuer, error) {
	out := &issuer{Issuer: i, now: now, began: now(), used: map[[sha256.Size]byte]time.Time{}}
	for _, a := range i.Algorithms {
		out.algorithms = append(out.algorithms, jose.SignatureAlgorithm(a))
	}
	var err error
	out.keys, err = newKeySet(i.Keys, client, now)
	return out, err
}

// token proves a token but for whether it was used before.
func (c *Callers) token(raw string, cert *x509.Certificate) (*claims, *Refusal) {
	if len(raw) > mostToken {
		return nil, bad("the token has more than %d bytes", mostToken)
	}
	// Whose token it is has to be known before it is proven, because each issuer has keys of its own. What is not proven decides
	// nothing but where to look.
	unproven, err := jwt.ParseSigned(raw, everyAlgorithm)
	if err != nil {
		return nil, bad("the token is not a JWT with a signature that could be taken")
	}
	if len(unproven.Headers) != 1 {
		return nil, bad("the token has %d signatures", len(unproven.Headers))
	}
	var said jwt.Claims
	if unproven.UnsafeClaimsWithoutVerification(&said) != nil {
		return nil, bad("the token's claims cannot be read")
	}
	i := c.issuers[said.Issuer]
	if i == nil {
		return nil, bad("the token's issuer is not among sharing.issuers")
	}
	return i.prove(raw, cert)
}

var everyAlgorithm = func() (all []jose.SignatureAlgorithm) {
	for _, a := range county.TokenAlgorithms {
		all = append(all, jose.SignatureAlgorithm(a))
	}
	return all
}()

func (i *issuer) prove(raw string, cert *x509.Certificate) (*claims, *Refusal) {
	token, err := jwt.ParseSigned(raw, i.algorithms)
	if err != nil {
		return nil, bad("the token is signed with an algorithm that is not taken of its issuer")
	}
	header := token.Headers[0]
	// RFC 9068: an access token says that it is one, so that an identity token does not pass for it. Servers that say JWT are taken.
	if kind, _ := header.ExtraHeaders[jose.HeaderType].(string); kind != "" && !strings.EqualFold(strings.TrimPrefix(kind, "application/"), "at+jwt") && !strings.EqualFold(kind, "JWT") {
		return nil, bad("the token is no access token: its typ is another")
	}
	candidates, err := i.keys.find(header.KeyID, header.Algorithm)
	if err != nil {
		return nil, cannotTell(err)
	}
	var c claims
	err = errors.New("the issuer has no key of the token's kid and algorithm")
	for _, key := range candidates {
		if err = token.Claims(key.Key, &c); err == nil {
			break
		}
	}
	if err != nil {
		return nil, bad("the token's signature cannot be proven: %w", err)
	}
	now, leeway := i.now(), time.Duration(i.Leeway)
	if err := c.ValidateWithLeeway(jwt.Expected{Issuer: i.Issuer.Issuer, AnyAudience: jwt.Audience{i.Audience}, Time: now}, leeway); err != nil {
		return nil, bad("the token is not valid: %w", err)
	}
	switch {
	case c.Expiry == nil || c.IssuedAt == nil:
		return nil, bad("the token has no exp or no iat")
	case c.Expiry.Time().Sub(c.IssuedAt.Time()) > time.Duration(i.Longest):
		return nil, bad("the token lives longer than sharing.issuers allows (%v)", time.Duration(i.Longest))
	case c.Subject == "":
		return nil, bad("the token has no sub")
	case c.ID == "" || len(c.ID) > mostID:
		return nil, bad("the token has no jti, or one of more than %d bytes", mostID)
	}
	if c.Confirmation != nil {
		if cert == nil || !sameThumbprint(c.Confirmation.Certificate, cert) {
			return nil, bad("the token is bound to another certificate than the connection's")
		}
		c.bound = true
	}
	return &c, nil
}

func sameThumbprint(want string, cert *x509.Certificate) bool {
	sum := sha256.Sum256(cert.Raw)
	return subtle.ConstantTimeCompare([]byte(want), []byte(base64.RawURLEncoding.EncodeToString(sum[:]))) == 1
}

// useUp takes a token for one call: who copies it on its way cannot use it again. One that is bound to the client's certificate is no
// use to a thief, and may be used for as long as it lives.
func (i *issuer) useUp(c *claims) *Refusal {
	if c.bound {
		return nil
	}
	now := i.now()
	if c.IssuedAt.Time().Before(i.began.Truncate(time.Second)) {
		return used(errors.New("the token was issued before this process began, which does not know whether it was used"))
	}
	id := sha256.Sum256([]byte(c.ID))
	i.mu.Lock()
	defer i.mu.Unlock()
	if _, before := i.used[id]; before {
		return used(fmt.Errorf("a token of the issuer %s was sent again", i.Issuer.Issuer))
	}
	if len(i.used) >= mostUsed/2 && now.After(i.next) || len(i.used) >= mostUsed {
		for id, until := range i.used {
			if now.After(until) {
				delete(i.used, id)
			}
		}
		i.next = now.Add(time.Second)
	}
	if len(i.used) >= mostUsed {
		return cannotTell(fmt.Errorf("%d tokens of the issuer %s are remembered as used: let tokens live shorter, or bind them to certificates", mostUsed, i.Issuer.Issuer))
	}
	i.used[id] = c.Expiry.Time().Add(time.Duration(i.Leeway) + time.Second)
	return nil
}

func used(err error) *Refusal {
	return &Refusal{Status: http.StatusUnauthorized, Code: UsedToken, Err: err,
		En: "The token was used before, or may have been: a token is good for one call, unless it is bound to the client's certificate (RFC 8705). Get a new one.",
		Zh: "令牌已被使用过，或可能已被使用过：除绑定客户端证书（RFC 8705）的令牌外，每个令牌只能使用一次。请获取新令牌。"}
}
