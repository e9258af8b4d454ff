package web

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
)

// signer says who asks.
type signer interface {
	sign(ctx context.Context, req *http.Request) error
	// renew forgets a token, so that the next request gets a new one. It returns false when there is none to renew.
	renew() bool
	// param is the parameter that holds the key, which an address that the service wrote may repeat; "" when there is none.
	param() string
}

// signed is a signer that never changes.
type signed func(req *http.Request)

func (s signed) sign(_ context.Context, req *http.Request) error { s(req); return nil }
func (s signed) renew() bool                                     { return false }
func (s signed) param() string                                   { return "" }

// keyParam puts the key into the query.
type keyParam struct{ name, key string }

func (k keyParam) sign(_ context.Context, req *http.Request) error {
	q := req.URL.Query()
	q.Set(k.name, k.key)
	req.URL.RawQuery = q.Encode()
	return nil
}
func (k keyParam) renew() bool   { return false }
func (k keyParam) param() string { return k.name }

func newSigner(a auth, transport http.RoundTripper) (signer, error) {
	secret, err := a.Secret.Reveal()
	if err != nil {
		return nil, fmt.Errorf("the secret under with.auth cannot be read: %w", err)
	}
	if secret == "" && a.Kind != "none" {
		return nil, errors.New("the secret under with.auth is empty; set the environment variable, or fill the file, that it names")
	}
	switch a.Kind {
	case "api_key":
		if a.Param != "" {
			return keyParam{a.Param, secret}, nil
		}
		return signed(func(req *http.Request) { req.Header.Set(a.Header, a.Prefix+secret) }), nil
	case "basic":
		return signed(func(req *http.Request) { req.SetBasicAuth(a.User, secret) }), nil
	case "oauth2":
		t := &tokens{web: &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error {
			return http.ErrUseLastResponse // a secret is not sent anywhere but where it was meant for
		}}}
		t.config = clientcredentials.Config{ClientID: a.User, ClientSecret: secret, TokenURL: a.TokenURL, Scopes: a.Scopes}
		switch a.TokenPlacement {
		case "header":
			t.config.AuthStyle = oauth2.AuthStyleInHeader
		case "form":
			t.config.AuthStyle = oauth2.AuthStyleInParams
		}
		return t, nil
	}
	return signed(func(*http.Request) {}), nil
}

// tokens fetches tokens with the client's own credentials (RFC 6749, 4.4) and keeps the last one until it ends.
type tokens struct {
	config clientcredentials.Config
	web    *http.Client

	mu    sync.Mutex
	token *oauth2.Token
}

func (t *tokens) sign(ctx context.Context, req *http.Request) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.token.Valid() {
		token, err := t.config.Token(context.WithValue(ctx, oauth2.HTTPClient, t.web)) // the way this library takes a client
		if err != nil {
			return tokenError(ctx, err)
		}
		t.token = token
	}
	t.token.SetAuthHeader(req)
	return nil
}

// tokenError says what went wrong without the answer's body, which the library puts into its errors.
func tokenError(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	var answer *oauth2.RetrieveError
	if !errors.As(err, &answer) || answer.Response == nil {
		return errors.New("the token endpoint gives no token: it cannot be reached, or what it answers is no token; check token_url: under auth")
	}
	if code := answer.Response.StatusCode; code >= 500 || code == http.StatusTooManyRequests {
		return fmt.Errorf("the token endpoint answers %d; it is asked again later", code)
	}
	return refuse("token_refused", "the token endpoint answers %d and gives no token: check token_url:, client_id:, client_secret: and scopes: under auth:", answer.Response.StatusCode)
}

func (t *tokens) renew() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.token = nil
	return true
}

func (t *tokens) param() string { return "" }
