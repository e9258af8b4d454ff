package county

import (
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/shirecounty/shire/schemas/document"
)

// Client is a department's system that may call the sharing interface. It proves all that stands here: one proof, or several
// that have to agree.
type Client struct {
	Name        string       `yaml:"name" json:"name" jsonschema:"required,pattern=^[a-z][a-z0-9_]{0\\,62}$"`
	Department  string       `yaml:"department" json:"department" jsonschema:"required,description=Whose system it is: a department code of contracts or departments:"`
	Certificate *Certificate `yaml:"certificate,omitempty" json:"certificate,omitempty"`
	Token       *ClientToken `yaml:"token,omitempty" json:"token,omitempty"`
	APIKey      bool         `yaml:"api_key,omitempty" json:"api_key,omitempty" jsonschema:"description=It sends a key that shire clients add makes and prints once"`
}

// Certificate is by what a client's TLS certificate is known. All that stands here has to hold.
type Certificate struct {
	Fingerprint string `yaml:"fingerprint,omitempty" json:"fingerprint,omitempty" jsonschema:"description=SHA-256 of the certificate: 64 hexadecimal digits; colons may stand between them"`
	Subject     string `yaml:"subject,omitempty" json:"subject,omitempty" jsonschema:"description=Distinguished name as RFC 2253 writes it\\, such as CN=gateway\\,O=Civil Affairs\\,C=CN"`
	DNS         string `yaml:"dns,omitempty" json:"dns,omitempty" jsonschema:"description=One of its DNS names"`
	URI         string `yaml:"uri,omitempty" json:"uri,omitempty" jsonschema:"description=One of its URIs\\, such as spiffe://county/civil-affairs"`
}

// ClientToken is by what a client's access token (a JWT of the OAuth2 client credentials flow) is known.
type ClientToken struct {
	Issuer  string `yaml:"issuer" json:"issuer" jsonschema:"required,description=One of sharing.issuers"`
	Subject string `yaml:"subject" json:"subject" jsonschema:"required,description=The token's sub: the client's id at the issuer"`
}

// Issuer is an authorisation server whose tokens are taken.
type Issuer struct {
	Issuer     string   `yaml:"issuer" json:"issuer" jsonschema:"required,description=The token's iss: an https address"`
	Audience   string   `yaml:"audience" json:"audience" jsonschema:"required,description=The token's aud: this node as the issuer knows it"`
	Keys       string   `yaml:"keys" json:"keys" jsonschema:"required,description=The issuer's keys (JWKS): an https address or file:PATH"`
	Algorithms []string `yaml:"algorithms,omitempty" json:"algorithms,omitempty" jsonschema:"description=Signature algorithms that are taken; ES256 PS256 RS256 and EdDSA when absent"`
	Leeway     Duration `yaml:"leeway,omitempty" json:"leeway,omitempty" jsonschema:"description=How far the issuer's clock may be off; 30s when absent and at most 2m"`
	Longest    Duration `yaml:"longest,omitempty" json:"longest,omitempty" jsonschema:"description=The longest life of a token that is taken; 10m when absent and at most 1h"`
}

// SharingLimits bound what one client may ask.
type SharingLimits struct {
	Rate    float64  `yaml:"rate,omitempty" json:"rate,omitempty" jsonschema:"description=Requests a second over time; 50 when absent"`
	Burst   int      `yaml:"burst,omitempty" json:"burst,omitempty" jsonschema:"description=Requests at once; 100 when absent"`
	Window  Duration `yaml:"window,omitempty" json:"window,omitempty" jsonschema:"description=Over how long distinct persons and misses are counted\\, and how long a client is stopped; 10m when absent"`
	Persons int      `yaml:"persons,omitempty" json:"persons,omitempty" jsonschema:"description=Distinct persons\\, records and lookups within the window; more stop the client; 2000 when absent"`
	Misses  int      `yaml:"misses,omitempty" json:"misses,omitempty" jsonschema:"description=Reads within the window that miss: of a case or a person that are not the client's; more stop the client; 50 when absent"`
}

// PortalTLS is the portal's own certificate.
type PortalTLS struct {
	Cert     string `yaml:"cert" json:"cert" jsonschema:"required,description=PEM file of the certificate and those that vouch for it; read again when it changes"`
	Key      string `yaml:"key" json:"key" jsonschema:"required,description=PEM file of its key"`
	ClientCA string `yaml:"client_ca,omitempty" json:"client_ca,omitempty" jsonschema:"description=PEM file of the authorities whose client certificates are taken"`
}

// TokenAlgorithms are the signature algorithms that may be taken. None of them is symmetric: who checks a token must not be able to
// make one, and a public key must never do as a secret.
var TokenAlgorithms = []string{"ES256", "ES384", "ES512", "PS256", "PS384", "PS512", "RS256", "RS384", "RS512", "EdDSA"}

const (
	maxLeeway    = 2 * time.Minute
	maxTokenLife = time.Hour
)

var fingerprintShape = regexp.MustCompile(`^[0-9a-f]{64}$`)

func (c *Config) proveClients(fail func(path, do, format string, args ...any)) {
	s := &c.Sharing
	orDefault(&s.Limits.Rate, 50)
	orDefault(&s.Limits.Burst, 100)
	orDefault(&s.Limits.Window, Duration(10*time.Minute))
	orDefault(&s.Limits.Persons, 2000)
	orDefault(&s.Limits.Misses, 50)
	if l := s.Limits; l.Rate <= 0 || l.Rate > 1e6 || l.Burst < 1 || l.Persons < 1 || l.Persons > 1_000_000 || l.Misses < 1 || l.Misses > 1_000_000 {
		fail("$.sharing.limits", "write rate above 0, burst, persons and misses of at least 1, and at most a million", "the limits of clients are out of bounds")
	}
	issuers := c.proveIssuers(fail)
	names := map[string]bool{}
	for i := range s.Clients {
		at, cl := fmt.Sprintf("$.sharing.clients[%d]", i), &s.Clients[i]
		if !sourceShape.MatchString(cl.Name) {
			fail(at+".name", "use lower-case letters, digits and _", "client %q is not a name", cl.Name)
		}
		if names[cl.Name] {
			fail(at+".name", "rename one of them", "client %s stands twice", cl.Name)
		}
		names[cl.Name] = true
		if cl.Department == "" {
			fail(at, "write department:", "client %s belongs to no department", cl.Name)
		}
		if cl.Certificate == nil && cl.Token == nil && !cl.APIKey {
			fail(at, "write certificate:, token: or api_key: true", "client %s has nothing to prove itself with, so that nobody could be it", cl.Name)
		}
		if t := cl.Token; t != nil {
			if !issuers[t.Issuer] {
				fail(at+".token.issuer", document.DidYouMean(t.Issuer, slices.Sorted(maps.Keys(issuers))), "client %s has tokens of %q, which is not among sharing.issuers", cl.Name, t.Issuer)
			}
			if t.Subject == "" {
				fail(at+".token", "write subject: with the client's id at the issuer", "any token of the issuer would be client %s", cl.Name)
			}
		}
		if t := cl.Certificate; t != nil {
			t.Fingerprint = strings.ToLower(strings.ReplaceAll(t.Fingerprint, ":", ""))
			if t.Fingerprint != "" && !fingerprintShape.MatchString(t.Fingerprint) {
				fail(at+".certificate.fingerprint", "write what this prints: openssl x509 -noout -fingerprint -sha256 -in FILE", "a SHA-256 fingerprint has 64 hexadecimal digits")
			}
			if *t == (Certificate{}) {
				fail(at+".certificate", "write fingerprint:, subject:, dns: or uri:", "any certificate would be client %s", cl.Name)
			}
			if c.Portal.TLS == nil || c.Portal.TLS.ClientCA == "" {
				fail(at+".certificate", "write portal.tls with client_ca:", "client %s shows a certificate, and the portal asks for none", cl.Name)
			}
		}
	}
	if t := c.Portal.TLS; t != nil {
		if t.Cert == "" || t.Key == "" {
			fail("$.portal.tls", "write cert: and key:", "the portal's certificate and its key go together")
		}
		for _, file := range []*string{&t.Cert, &t.Key, &t.ClientCA} {
			if *file != "" {
				*file = c.Resolve(*file)
			}
		}
	}
}

func (c *Config) proveIssuers(fail func(path, do, format string, args ...any)) map[string]bool {
	known := map[string]bool{}
	for i := range c.Sharing.Issuers {
		at, is := fmt.Sprintf("$.sharing.issuers[%d]", i), &c.Sharing.Issuers[i]
		orDefault(&is.Leeway, Duration(30*time.Second))
		orDefault(&is.Longest, Duration(10*time.Minute))
		if len(is.Algorithms) == 0 {
			is.Algorithms = []string{"ES256", "PS256", "RS256", "EdDSA"}
		}
		if is.Issuer == "" || known[is.Issuer] {
			fail(at+".issuer", "write the iss of its tokens, once for each issuer", "the issuer has no name of its own")
		}
		known[is.Issuer] = true
		if is.Audience == "" {
			fail(at, "write audience:", "tokens that the issuer made for somebody else would be taken")
		}
		path, isFile := strings.CutPrefix(is.Keys, "file:")
		if isFile {
			is.Keys = "file:" + c.Resolve(path)
		} else if u, err := url.Parse(is.Keys); err != nil || u.Host == "" || u.Scheme != "https" && !onThisMachine(u) {
			fail(at+".keys", "write an https address, or file:PATH", "the issuer's keys would come over a wire that others can write to")
		}
		for _, a := range is.Algorithms {
			if !slices.Contains(TokenAlgorithms, a) {
				fail(at+".algorithms", "write some of "+strings.Join(TokenAlgorithms, ", "), "tokens that are signed with %q are not taken", a)
			}
		}
		if d := time.Duration(is.Leeway); d > maxLeeway {
			fail(at+".leeway", "write at most 2m, and set the clocks", "%v is too much", d)
		}
		if d := time.Duration(is.Longest); d > maxTokenLife {
			fail(at+".longest", "write at most 1h", "%v is too long: a token that was stolen is good for so long", d)
		}
	}
	return known
}

// onThisMachine tells an http address that no wire leads to.
func onThisMachine(u *url.URL) bool {
	return u.Scheme == "http" && slices.Contains([]string{"127.0.0.1", "::1", "localhost"}, u.Hostname())
}
