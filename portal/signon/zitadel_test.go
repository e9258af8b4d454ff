package signon

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/zitadel/oidc/v3/example/server/exampleop"
	"github.com/zitadel/oidc/v3/example/server/storage"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"

	"github.com/shirecounty/shire/portal/signon/signontest"
	"github.com/shirecounty/shire/schemas/county"
)

// grouped is the example's store of people, who are in groups.
type grouped struct{ *storage.Storage }

func (g grouped) SetUserinfoFromRequest(ctx context.Context, info *oidc.UserInfo, request op.IDTokenRequest, scopes []string) error {
	info.AppendClaims("groups", []string{"civil"})
	return g.Storage.SetUserinfoFromRequest(ctx, info, request, scopes)
}

func (g grouped) SetUserinfoFromToken(ctx context.Context, info *oidc.UserInfo, token, subject, origin string) error {
	info.AppendClaims("groups", []string{"civil"})
	return g.Storage.SetUserinfoFromToken(ctx, info, token, subject, origin)
}

// TestZitadel signs in by a provider that others wrote and that is certified: zitadel/oidc, with its own sign-in page. It tells the
// name by UserInfo alone, as OpenID Connect Core 1.0, 5.4 has it.
func TestZitadel(t *testing.T) {
	loud := slog.Default()
	slog.SetDefault(slog.New(slog.DiscardHandler)) // it logs there
	t.Cleanup(func() { slog.SetDefault(loud) })
	server := httptest.NewUnstartedServer(nil)
	issuer := "http://" + server.Listener.Addr().String()
	people := grouped{storage.NewStorageWithClients(storage.NewUserStore(issuer), map[string]*storage.Client{
		signontest.ClientID: storage.WebClient(signontest.ClientID, signontest.ClientSecret, redirect),
	})}
	server.Config.Handler = exampleop.SetupServer(issuer, people, nil, true)
	server.Start()
	t.Cleanup(server.Close)
	provider, err := New(conf(issuer), nil)
	if err != nil {
		t.Fatal(err)
	}
	jar, _ := cookiejar.New(nil) // cannot fail
	browser := &http.Client{Jar: jar, CheckRedirect: func(r *http.Request, _ []*http.Request) error {
		if strings.HasPrefix(r.URL.String(), redirect) {
			return http.ErrUseLastResponse
		}
		return nil
	}}
	signIn := func() (Flow, url.Values) {
		f, address, refusal := provider.Begin(t.Context())
		if refusal != nil {
			t.Fatal(refusal)
		}
		page, err := browser.Get(address)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(page.Body)
		page.Body.Close()
		id := page.Request.URL.Query().Get("authRequestID")
		if id == "" {
			t.Fatalf("no sign-in page at %s: %s", page.Request.URL, body)
		}
		answer, err := browser.PostForm(issuer+"/login/username", url.Values{"id": {id}, "username": {"test-user2"}, "password": {"verysecure"}})
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		back, err := answer.Location()
		if err != nil {
			t.Fatalf("%s: %v", answer.Status, err)
		}
		return f, back.Query()
	}
	f, answer := signIn()
	who, refusal := provider.Finish(t.Context(), f, answer)
	if refusal != nil {
		t.Fatal(refusal)
	}
	if !strings.HasPrefix(who.Name, "test-user2@sso:") || !slices.Equal(who.Groups, []string{"civil"}) {
		t.Errorf("%+v", who)
	}
	if department, refusal := provider.May(who, county.MayRequest); department != "civil_affairs" || refusal != nil {
		t.Errorf("acts for %q: %v", department, refusal)
	}
	if !strings.HasPrefix(provider.SignOut(), issuer+"/end_session?") {
		t.Errorf("signs out at %q", provider.SignOut())
	}
	if _, refusal := provider.Finish(t.Context(), f, answer); refusal == nil || refusal.Code != Unbelievable {
		t.Errorf("it takes a code twice: %v", refusal)
	}
	f, _ = signIn()
	_, answer = signIn()
	if _, refusal := provider.Finish(t.Context(), f, answer); refusal == nil || refusal.Code != Unbelievable {
		t.Errorf("another sign-in's code, without its verifier: %v", refusal)
	}
}
