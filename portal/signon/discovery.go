package signon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

// known is what a provider says of itself.
type known struct {
	at          time.Time
	provider    *oidc.Provider
	verifier    *oidc.IDTokenVerifier
	oauth       oauth2.Config
	endSession  *url.URL // nil when it has none
	issInAnswer bool     // RFC 9207
}

// reach asks the provider where everything is, or remembers it. Keys that it has withdrawn are forgotten with the rest.
func (p *Provider) reach(ctx context.Context) (*known, error) {
	if known := p.current(); known != nil {
		return known, nil
	}
	p.asking.Lock()
	defer p.asking.Unlock()
	if known := p.current(); known != nil { // somebody asked meanwhile
		return known, nil
	}
	// While it is away, those who wait must not wait for each other's tries.
	if p.failed != nil && p.now().Sub(p.tried).Abs() < pause {
		return nil, p.failed
	}
	// Of all who wait, not of one browser that may go away.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), answerTime)
	defer cancel()
	found, err := p.discover(oidc.ClientContext(ctx, p.client))
	p.tried, p.failed = p.now(), err
	if err != nil {
		p.failed = fmt.Errorf("what the provider says of itself cannot be read: %w", err)
		return nil, p.failed
	}
	p.known.Store(found)
	return found, nil
}

// Reach tells whether the provider answers as it should.
func (p *Provider) Reach(ctx context.Context) error {
	_, err := p.reach(ctx)
	return err
}

// current is what is known of the provider, if it is fresh.
func (p *Provider) current() *known {
	if known := p.known.Load(); known != nil && p.now().Sub(known.at).Abs() < fresh {
		return known
	}
	return nil
}

func (p *Provider) discover(ctx context.Context) (*known, error) {
	provider, err := oidc.NewProvider(ctx, p.c.Issuer)
	if err != nil {
		return nil, err
	}
	var says struct {
		Authorization string   `json:"authorization_endpoint"`
		Token         string   `json:"token_endpoint"`
		Keys          string   `json:"jwks_uri"`
		UserInfo      string   `json:"userinfo_endpoint"`
		EndSession    string   `json:"end_session_endpoint"`
		Methods       []string `json:"token_endpoint_auth_methods_supported"`
		Challenges    []string `json:"code_challenge_methods_supported"`
		IssInAnswer   bool     `json:"authorization_response_iss_parameter_supported"`
	}
	if err := provider.Claims(&says); err != nil {
		return nil, err
	}
	local := isOpen(p.c.Issuer)
	for name, address := range map[string]string{"authorization_endpoint": says.Authorization, "token_endpoint": says.Token, "jwks_uri": says.Keys} {
		if !private(address, local) {
			return nil, fmt.Errorf("its %s is no https address", name)
		}
	}
	for name, address := range map[string]string{"userinfo_endpoint": says.UserInfo, "end_session_endpoint": says.EndSession} {
		if address != "" && !private(address, local) {
			return nil, fmt.Errorf("its %s is no https address", name)
		}
	}
	if len(says.Challenges) > 0 && !slices.Contains(says.Challenges, "S256") {
		return nil, errors.New("it does not take PKCE with S256")
	}
	endpoint := provider.Endpoint()
	// The way that the secret goes is not found out by trying: a try that fails uses the code up.
	switch {
	case len(says.Methods) == 0 || slices.Contains(says.Methods, "client_secret_basic"):
		endpoint.AuthStyle = oauth2.AuthStyleInHeader
	case slices.Contains(says.Methods, "client_secret_post"):
		endpoint.AuthStyle = oauth2.AuthStyleInParams
	default:
		return nil, errors.New("it takes a client's secret neither by client_secret_basic nor by client_secret_post")
	}
	k := &known{at: p.now(), provider: provider, issInAnswer: says.IssInAnswer}
	if says.EndSession != "" {
		if k.endSession, err = url.Parse(says.EndSession); err != nil {
			return nil, errors.New("its end_session_endpoint is no address")
		}
	}
	k.oauth = oauth2.Config{
		ClientID: p.c.ClientID, Endpoint: endpoint, RedirectURL: p.c.Redirect, Scopes: append([]string{oidc.ScopeOpenID}, p.c.Scopes...),
	}
	k.verifier = provider.Verifier(&oidc.Config{
		ClientID: p.c.ClientID,
		// Never what the provider lists, and never a symmetric one: county.yaml takes none.
		SupportedSigningAlgs: p.c.Algorithms,
		Now:                  func() time.Time { return p.now().Add(-time.Duration(p.c.Leeway)) },
	})
	return k, nil
}

// isOpen tells an issuer without TLS. county.yaml takes one on this machine alone.
func isOpen(issuer string) bool {
	u, err := url.Parse(issuer)
	return err == nil && u.Scheme == "http"
}

// private tells an address that nobody on the way can read. A provider on this machine may have its places there too.
func private(address string, local bool) bool {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.User != nil {
		return false
	}
	ip := net.ParseIP(u.Hostname())
	return u.Scheme == "https" || local && u.Scheme == "http" && (u.Hostname() == "localhost" || ip != nil && ip.IsLoopback())
}

// boundedClient asks one address, for a bounded time, and reads a bounded answer (I10).
func boundedClient() *http.Client {
	return &http.Client{
		Timeout:   answerTime,
		Transport: bounded{http.DefaultTransport},
		CheckRedirect: func(*http.Request, []*http.Request) error {
			return errors.New("the address leads elsewhere")
		},
	}
}

type bounded struct{ next http.RoundTripper }

func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := b.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	if r.Method == http.MethodGet && answer.StatusCode != http.StatusOK && answer.StatusCode/100 != 3 {
		answer.Body.Close() // its text would go into an error, and from there into the log (I7)
		return nil, fmt.Errorf("the answer is %s", http.StatusText(answer.StatusCode))
	}
	answer.Body = &boundedBody{answer.Body, mostAnswer}
	return answer, nil
}

type boundedBody struct {
	io.ReadCloser
	left int64
}

func (b *boundedBody) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, fmt.Errorf("the answer has more than %d bytes", mostAnswer)
	}
	n, err := b.ReadCloser.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	return n, err
}
