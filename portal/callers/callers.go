// Package callers tells whose system calls the sharing interface. A client proves what county.yaml names for it: a TLS
// certificate, an access token of an authorisation server (a JWT), or a key that shire clients add made. Where several are named,
// all of them are needed; what is not named proves nothing.
//
// # How it fails
//
//   - Credentials come over a wire that others can read: they are refused before they are looked at, and should be changed.
//   - The issuer's keys cannot be fetched: tokens are refused with 503 once the keys that were fetched last are too old.
//   - The file of keys is not readable, or others may read it: clients with keys are refused with 503.
//   - This process starts anew: it has forgotten which tokens were used, so it takes none that were issued before.
package callers

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/shirecounty/shire/schemas/county"
)

// Caller is a client that has proven who it is.
type Caller struct {
	Client     string // name of the client
	Department string // whose it is
}

// Refusal says why nobody is let in. It holds nothing of what was sent.
type Refusal struct {
	Status int
	Code   string // stable
	En, Zh string
	Err    error // for the log alone
}

func (r *Refusal) Error() string {
	if r.Err != nil {
		return r.Code + ": " + r.Err.Error()
	}
	return r.Code
}

func (r *Refusal) Unwrap() error { return r.Err }

// Codes of a [Refusal].
const (
	NoCredentials   = "no_credentials"   // 401
	BadCredentials  = "bad_credentials"  // 401: which part is wrong is for the log of the node
	UsedToken       = "token_used"       // 401
	PlainConnection = "plain_connection" // 403
	CannotTell      = "unavailable"      // 503
)

// Keys are the hashes of the clients' keys.
type Keys interface {
	// Right tells whether a key is that of a client. It takes as long for a name that has none.
	Right(client, secret string) (bool, error)
}

// Options of [New].
type Options struct {
	Clients []county.Client
	Issuers []county.Issuer
	Keys    Keys             // nil when no client has one
	Now     func() time.Time // nil: time.Now
	HTTP    *http.Client     // fetches the issuers' keys; nil: one of its own
}

// Callers knows the clients. It is safe for concurrent use.
type Callers struct {
	clients map[string]*county.Client
	order   []string // names, in the order of county.yaml
	issuers map[string]*issuer
	keys    Keys
	now     func() time.Time
}

// New makes the list of clients of a proven county.yaml.
func New(o Options) (*Callers, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	c := &Callers{clients: map[string]*county.Client{}, issuers: map[string]*issuer{}, keys: o.Keys, now: o.Now}
	for i := range o.Clients {
		cl := &o.Clients[i]
		if cl.APIKey && o.Keys == nil {
			return nil, fmt.Errorf("the client %s has a key, and there is no file of keys", cl.Name)
		}
		c.clients[cl.Name], c.order = cl, append(c.order, cl.Name)
	}
	for _, i := range o.Issuers {
		made, err := newIssuer(i, o.HTTP, o.Now)
		if err != nil {
			return nil, err
		}
		c.issuers[i.Issuer] = made
	}
	return c, nil
}

// Names are the clients' names, in the order of county.yaml.
func (c *Callers) Names() []string { return slices.Clone(c.order) }

// keyScheme is the scheme of Authorization in which a client sends its key: Shire-Key NAME.SECRET.
const keyScheme = "Shire-Key"

// Challenge is WWW-Authenticate of a 401.
const Challenge = keyScheme + `, Bearer`

var (
	errNone = &Refusal{Status: http.StatusUnauthorized, Code: NoCredentials,
		En: "The request shows no credentials of a client. Send the client's certificate, its token (Authorization: Bearer) or its key (Authorization: Shire-Key), as sharing.clients in county.yaml says.",
		Zh: "请求未出示客户端凭证。请按 county.yaml 中 sharing.clients 的配置，出示证书、令牌（Authorization: Bearer）或密钥（Authorization: Shire-Key）。"}
	errPlain = &Refusal{Status: http.StatusForbidden, Code: PlainConnection,
		En: "Credentials came over a connection that others can read. Use https; and have the credentials changed, since they may be known now.",
		Zh: "凭证经由未加密的连接传来。请使用 https，并更换该凭证，因为它可能已经泄露。"}
)

func bad(format string, args ...any) *Refusal {
	return &Refusal{Status: http.StatusUnauthorized, Code: BadCredentials, Err: fmt.Errorf(format, args...),
		En: "The credentials are not those of a client, or not valid now. The log of the node says which part is wrong; ask the county's data bureau.",
		Zh: "凭证不属于任何客户端，或当前无效。具体原因见节点日志，请联系县数据局。"}
}

func cannotTell(err error) *Refusal {
	return &Refusal{Status: http.StatusServiceUnavailable, Code: CannotTell, Err: err,
		En: "Whose system calls cannot be told at the moment. Try again shortly; /readyz and the log of the node say more.",
		Zh: "暂时无法核实调用方身份，请稍后重试；详见 /readyz 与节点日志。"}
}

// Who tells whose system a request comes from. Nobody is let in who has not proven all that stands in county.yaml.
func (c *Callers) Who(r *http.Request) (Caller, *Refusal) {
	header := r.Header.Values("Authorization")
	cert := certificateOf(r)
	if len(header) == 0 && cert == nil {
		return Caller{}, errNone
	}
	if !private(r) {
		return Caller{}, errPlain
	}
	if len(header) > 1 {
		return Caller{}, bad("there are %d Authorization headers", len(header))
	}
	shown := proof{cert: cert}
	if len(header) == 1 {
		scheme, rest, _ := strings.Cut(header[0], " ")
		switch {
		case strings.EqualFold(scheme, keyScheme):
			name, secret, _ := strings.Cut(rest, ".")
			shown.client, shown.secret = c.clients[name], secret
			if shown.client == nil || !shown.client.APIKey {
				// As long as for a client that has a key, so that names cannot be guessed by the clock.
				if c.keys != nil {
					c.keys.Right("", secret)
				}
				return Caller{}, bad("no client of this name has a key")
			}
		case strings.EqualFold(scheme, "Bearer"):
			claims, refusal := c.token(rest, cert)
			if refusal != nil {
				return Caller{}, refusal
			}
			shown.token = claims
			for _, name := range c.order {
				if t := c.clients[name].Token; t != nil && t.Issuer == claims.Issuer && t.Subject == claims.Subject {
					shown.client = c.clients[name]
				}
			}
			if shown.client == nil {
				return Caller{}, bad("the token's subject is no client's")
			}
		default:
			return Caller{}, bad("the scheme of Authorization is neither Bearer nor %s", keyScheme)
		}
	} else {
		for _, name := range c.order {
			if cl := c.clients[name]; cl.Certificate != nil && isCertificate(cl.Certificate, cert) {
				if shown.client != nil {
					return Caller{}, bad("the certificate is that of two clients, %s and %s: make county.yaml more exact", shown.client.Name, name)
				}
				shown.client = cl
			}
		}
		if shown.client == nil {
			return Caller{}, bad("the certificate is no client's")
		}
	}
	if refusal := c.complete(shown); refusal != nil {
		return Caller{}, refusal
	}
	if shown.token != nil {
		if refusal := c.issuers[shown.token.Issuer].useUp(shown.token); refusal != nil {
			return Caller{}, refusal
		}
	}
	return Caller{Client: shown.client.Name, Department: shown.client.Department}, nil
}

// proof is what a request shows.
type proof struct {
	client *county.Client // whom it names
	cert   *x509.Certificate
	secret string
	token  *claims
}

// complete tells whether a client has proven all that stands in county.yaml.
func (c *Callers) complete(p proof) *Refusal {
	cl := p.client
	if cl.Certificate != nil && (p.cert == nil || !isCertificate(cl.Certificate, p.cert)) {
		return bad("the client %s has to show its certificate too", cl.Name)
	}
	if cl.Token != nil && p.token == nil {
		return bad("the client %s has to send a token", cl.Name)
	}
	if cl.APIKey {
		right, err := c.keys.Right(cl.Name, p.secret)
		if err != nil {
			return cannotTell(err)
		}
		if !right {
			return bad("the key is not that of the client %s", cl.Name)
		}
	}
	return nil
}

// certificateOf is the client's certificate, when an authority vouches for it that the portal trusts.
func certificateOf(r *http.Request) *x509.Certificate {
	if r.TLS == nil || len(r.TLS.VerifiedChains) == 0 || len(r.TLS.VerifiedChains[0]) == 0 {
		return nil
	}
	return r.TLS.VerifiedChains[0][0]
}

// isCertificate tells whether a certificate is the one that county.yaml means.
func isCertificate(want *county.Certificate, got *x509.Certificate) bool {
	if sum := sha256.Sum256(got.Raw); want.Fingerprint != "" && want.Fingerprint != hex.EncodeToString(sum[:]) {
		return false
	}
	if want.Subject != "" && want.Subject != got.Subject.String() {
		return false
	}
	if want.DNS != "" && !slices.Contains(got.DNSNames, want.DNS) {
		return false
	}
	if want.URI != "" {
		for _, u := range got.URIs {
			if u.String() == want.URI {
				return true
			}
		}
		return false
	}
	return *want != (county.Certificate{})
}

// private tells whether nobody else can read the connection: it is encrypted, or does not leave this machine (a proxy beside the
// portal that ends TLS).
func private(r *http.Request) bool {
	if r.TLS != nil {
		return true
	}
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return false
	}
	address, err := netip.ParseAddr(host)
	return err == nil && address.Unmap().IsLoopback()
}
