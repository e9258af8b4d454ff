package portal

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/shirecounty/shire/portal/signon/signontest"
	"github.com/shirecounty/shire/schemas/contract"
	"github.com/shirecounty/shire/schemas/county"
)

// signOnWorld is a portal with a provider, whose clocks go together.
type signOnWorld struct {
	*reviewWorld
	t     *testing.T
	there *signontest.Provider
	time  atomic.Int64 // seconds
}

const reviewStart = "/api/v1/review/session/oidc"

func testOIDC(issuer string) *county.OIDC {
	return &county.OIDC{
		Issuer: issuer, Alias: "sso", Label: contract.Text{Zh: "县统一身份认证", En: "County sign-on"}, ClientID: signontest.ClientID, ClientSecret: signontest.ClientSecret,
		Redirect: "http://127.0.0.1:8080" + county.OIDCCallback, Scopes: []string{"profile"}, NameClaim: "preferred_username", GroupsClaim: "groups",
		Algorithms: []string{"ES256"}, Leeway: county.Duration(30 * time.Second), Session: county.Duration(2 * time.Hour),
		Groups: map[string]county.Rights{
			"reviewers": {Rights: []string{county.MayReview}}, "operators": {Rights: []string{county.MayOperate}},
			"hall": {Rights: []string{county.MayRequest}, Department: "civil_affairs"}, "insurance": {Rights: []string{county.MayRequest}, Department: "social_security"},
		},
	}
}

func testProvider(t *testing.T, now func() time.Time) *signontest.Provider {
	return signontest.Start(t, now, signontest.Behaviour{
		Subject: "s-1", Claims: map[string]any{"preferred_username": testReviewer, "groups": []string{"reviewers"}}, Redirects: []string{"http://127.0.0.1:8080" + county.OIDCCallback},
	})
}

func newSignOnWorld(t *testing.T, change ...func(*county.OIDC)) *signOnWorld {
	t.Helper()
	w := &signOnWorld{t: t}
	w.time.Store(time.Date(2026, 11, 2, 9, 0, 0, 0, time.UTC).Unix())
	now := func() time.Time { return time.Unix(w.time.Load(), 0).UTC() }
	w.there = testProvider(t, now)
	o := testOIDC(w.there.URL)
	for _, f := range change {
		f(o)
	}
	w.reviewWorld = newReview(t, withJobs, func(options *Options) { options.OIDC, options.now = o, now })
	return w
}

func (w *signOnWorld) pass(d time.Duration) { w.time.Add(int64(d.Seconds())) }

func (w *signOnWorld) groups(groups ...string) {
	w.there.Change(func(b *signontest.Behaviour) {
		b.Claims = map[string]any{"preferred_username": testReviewer, "groups": groups}
	})
}

// browser keeps cookies, and sends all of them everywhere.
type browser struct {
	handler http.Handler
	cookies map[string]string
}

func (w *signOnWorld) browser() *browser { return &browser{w.Handler(), map[string]string{}} }

func (b *browser) do(method, target string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, nil)
	r.Host, r.RemoteAddr = "127.0.0.1:8080", "127.0.0.1:50000"
	for name, value := range b.cookies {
		r.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	recorder := httptest.NewRecorder()
	b.handler.ServeHTTP(recorder, r)
	for _, c := range recorder.Result().Cookies() {
		if b.cookies[c.Name] = c.Value; c.MaxAge < 0 {
			delete(b.cookies, c.Name)
		}
	}
	return recorder
}

// leave goes to the provider from one of the portal's pages; it is the address that the provider sends back to.
func (b *browser) leave(t *testing.T, start string) string {
	t.Helper()
	r := b.do("GET", start)
	if r.Code != http.StatusSeeOther {
		t.Fatalf("%d %s", r.Code, r.Body)
	}
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	answer, err := client.Get(r.Header().Get("Location"))
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	back, err := answer.Location()
	if err != nil {
		t.Fatalf("the provider answers %s", answer.Status)
	}
	return back.RequestURI()
}

func (b *browser) signIn(t *testing.T, start string) *httptest.ResponseRecorder {
	t.Helper()
	return b.do("GET", b.leave(t, start))
}

func (b *browser) opens(target string) bool { return b.do("GET", target).Code == 200 }

func TestSignOn(t *testing.T) {
	w := newSignOnWorld(t)
	b := w.browser()
	ways := decode[SignInWays](t, b.do("GET", "/api/v1/sign-in"))
	if ways.OIDC == nil || ways.OIDC.Zh != "县统一身份认证" || ways.OIDC.Origin != "http://127.0.0.1:8080" {
		t.Errorf("%+v", ways.OIDC)
	}
	back := b.leave(t, reviewStart+"?back="+url.QueryEscape("/review?lang=en&pair=x"))
	r := b.do("HEAD", back) // a look that is none must not use the sign-in up
	if r.Code != http.StatusMethodNotAllowed {
		t.Error(r.Code)
	}
	r = b.do("GET", back)
	if r.Code != http.StatusSeeOther || r.Header().Get("Location") != "/review?lang=en&pair=x" || r.Header().Get("Cache-Control") != "no-store" {
		t.Fatalf("%d %v %s", r.Code, r.Header(), r.Body)
	}
	cookies := r.Result().Cookies()
	i := slices.IndexFunc(cookies, func(c *http.Cookie) bool { return c.Name == reviewCookie })
	if i < 0 || !cookies[i].HttpOnly || cookies[i].SameSite != http.SameSiteStrictMode || cookies[i].Path != reviewPath || cookies[i].MaxAge != 2*3600 || b.cookies[flowCookie] != "" {
		t.Errorf("%v", cookies)
	}
	s := decode[Session](t, b.do("GET", "/api/v1/review/session"))
	if !strings.HasPrefix(s.Name, testReviewer+"@sso:") || !s.ExpiresAt.Equal(time.Unix(w.time.Load(), 0).Add(2*time.Hour)) || !strings.HasPrefix(s.SignOut, w.there.URL+"/end?") {
		t.Errorf("%+v", s)
	}
	// I8: who looked is told apart from a local account of the same name.
	if !b.opens(firstCase) || len(w.accesses.list) != 1 || w.accesses.list[0].Clerk != s.Name {
		t.Errorf("%+v", w.accesses.list)
	}
	for _, closed := range []string{"/api/v1/operators/session", "/api/v1/runs/x/log"} {
		if b.opens(closed) {
			t.Errorf("a reviewer opens %s", closed)
		}
	}
	for range 5 {
		w.pass(25 * time.Minute)
		if b.opens(firstCase) != (w.time.Load() < s.ExpiresAt.Unix()) {
			t.Error("a session is not as long as county.yaml says")
		}
	}
	b.signIn(t, reviewStart)
	if r := b.do("DELETE", "/api/v1/review/session", reviewHeader, "1", "Sec-Fetch-Site", "same-origin"); r.Code != 204 || b.opens("/api/v1/review/session") {
		t.Errorf("signed out, and in: %d", r.Code)
	}
	if strings.Contains(w.logged.String(), testReviewer) {
		t.Errorf("the log has a name (I7): %s", w.logged)
	}
}

func TestSignOnCookies(t *testing.T) {
	start := func(o func(*county.OIDC)) *http.Cookie {
		r := newSignOnWorld(t, o).browser().do("GET", reviewStart)
		if r.Code != http.StatusSeeOther || len(r.Result().Cookies()) != 1 {
			t.Fatalf("%d %s", r.Code, r.Body)
		}
		return r.Result().Cookies()[0]
	}
	c := start(func(*county.OIDC) {})
	if c.Name != flowCookie || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Secure || c.MaxAge != 600 || c.Domain != "" {
		t.Errorf("%+v", c)
	}
	c = start(func(o *county.OIDC) { o.Redirect = "https://data.county.example" + county.OIDCCallback })
	if c.Name != "__Host-"+flowCookie || !c.Secure || c.Path != "/" || c.Domain != "" {
		t.Errorf("%+v", c)
	}
}

func notSignedIn(t *testing.T, r *httptest.ResponseRecorder, status int, code string) {
	t.Helper()
	body := r.Body.String()
	if r.Code != status || !strings.Contains(body, `data-code="`+code+`"`) || !strings.HasPrefix(r.Header().Get("Content-Type"), "text/html") || r.Header().Get("Cache-Control") != "no-store" {
		t.Errorf("%d, not %d %s: %v %s", r.Code, status, code, r.Header(), body)
	}
	for _, c := range r.Result().Cookies() {
		if (c.Name == reviewCookie || c.Name == jobsCookie || c.Name == requestsCookie) && c.MaxAge >= 0 {
			t.Errorf("refused, with a session: %v", c)
		}
	}
}

func TestSignOnIsOfOneBrowserAndGoodOnce(t *testing.T) {
	w := newSignOnWorld(t)
	mine, thief := w.browser(), w.browser()
	back := mine.leave(t, reviewStart)
	notSignedIn(t, thief.do("GET", back), 400, "started_nowhere") // no cookie: the answer was stolen, or is forced upon somebody
	thief.leave(t, reviewStart)
	notSignedIn(t, thief.do("GET", back), 400, "started_nowhere") // the cookie of another sign-in
	u, _ := url.Parse(back)
	for _, state := range []string{"", "x", u.Query().Get("state") + "x"} {
		q := u.Query()
		q.Set("state", state)
		notSignedIn(t, mine.do("GET", u.Path+"?"+q.Encode()), 400, "started_nowhere")
	}
	kept := mine.cookies[flowCookie]
	if r := mine.do("GET", back); r.Code != http.StatusSeeOther { // what others sent meanwhile has not ended it
		t.Fatalf("%d %s", r.Code, r.Body)
	}
	mine.cookies[flowCookie] = kept
	notSignedIn(t, mine.do("GET", back), 400, "started_nowhere") // the state again
	// With two answers of which one was taken from another's sign-in, the nonce and the verifier are not those of this one.
	back, theirs := mine.leave(t, reviewStart), thief.leave(t, reviewStart)
	own, _ := url.Parse(back)
	other, _ := url.Parse(theirs)
	q := own.Query()
	q.Set("code", other.Query().Get("code"))
	notSignedIn(t, mine.do("GET", own.Path+"?"+q.Encode()), 403, "unbelievable")
	notSignedIn(t, mine.do("GET", back), 400, "started_nowhere") // used up by it
	back = mine.leave(t, reviewStart)
	w.pass(flowTime)
	notSignedIn(t, mine.do("GET", back), 400, "too_long")
}

// Whatever token lies in the browser beforehand is not the session's, and the session that it had before is over.
func TestSignOnGivesANewToken(t *testing.T) {
	w := newSignOnWorld(t)
	b := w.browser()
	b.cookies[reviewCookie] = "laid-there"
	b.signIn(t, reviewStart)
	if b.cookies[reviewCookie] == "laid-there" || len(b.cookies[reviewCookie]) < 43 {
		t.Error("a token that somebody laid there is a session's")
	}
	old := b.cookies[reviewCookie]
	back := b.leave(t, reviewStart)
	delete(b.cookies, reviewCookie) // as browsers do on the way from another site
	b.do("GET", back)
	if b.cookies[reviewCookie] == old {
		t.Error("signing in again gives the same token")
	}
	b.cookies[reviewCookie] = old
	if b.opens("/api/v1/review/session") {
		t.Error("signing in again has to end the session before")
	}
}

func TestBackTo(t *testing.T) {
	d := &door{page: "/review"}
	for wanted, want := range map[string]string{
		"/review": "/review", "/review?pair=x&lang=en": "/review?lang=en&pair=x", "": "/review", "/review#x": "/review", "/jobs": "/review",
		"https://evil.example/review": "/review", "//evil.example/review": "/review", `\\evil.example/review`: "/review", "/\\evil.example": "/review",
		"/review/../../evil": "/review", "javascript:alert(1)": "/review", "/review?x=\r\nSet-Cookie: a=b": "/review", "review": "/review",
		"/review?" + strings.Repeat("x", mostBack): "/review", "/review?x=%zz": "/review", "/%72eview?x=1": "/review?x=1",
	} {
		if got := d.backTo(wanted); got != want {
			t.Errorf("%q leads to %q", wanted, got)
		}
	}
	w := newSignOnWorld(t)
	for _, elsewhere := range []string{"https://evil.example/", "//evil.example", "/supervision"} {
		if r := w.browser().signIn(t, reviewStart+"?back="+url.QueryEscape(elsewhere)); r.Header().Get("Location") != "/review" {
			t.Errorf("%s: %s", elsewhere, r.Header().Get("Location"))
		}
	}
}

// Whatever stands in back leads to the door's own page on the portal's own host.
func TestBackToLeadsNowhereElse(t *testing.T) {
	d := &door{page: "/review"}
	origin, _ := url.Parse("https://data.county.example")
	rapid.Check(t, func(t *rapid.T) {
		wanted := rapid.OneOf(rapid.String(), rapid.StringMatching(`(https?:)?[/\\]{0,3}[a-z.@]{0,8}/?review[?#/\\]?[a-z=&%0-9/\\]{0,9}`)).Draw(t, "back")
		to, err := origin.Parse(d.backTo(wanted))
		if err != nil || to.Scheme != "https" || to.Host != origin.Host || to.Path != d.page {
			t.Fatalf("%q leads to %v", wanted, to)
		}
	})
}

func TestGroupsDecide(t *testing.T) {
	w := newSignOnWorld(t)
	b := w.browser()
	const jobsStart = "/api/v1/operators/session/oidc"
	r := b.signIn(t, jobsStart)
	notSignedIn(t, r, 403, "no_right")
	if !strings.Contains(r.Body.String(), "operators") || !strings.Contains(r.Body.String(), "操作作业") || !strings.Contains(r.Body.String(), `href="/jobs"`) {
		t.Errorf("what is missing is not named: %s", r.Body)
	}
	if !strings.Contains(r.Body.String(), w.there.URL+"/end?") {
		t.Errorf("whoever has another account cannot get at it: %s", r.Body)
	}
	w.groups("operators", "reviewers")
	for _, start := range []string{reviewStart, jobsStart} {
		if r := b.signIn(t, start); r.Code != http.StatusSeeOther {
			t.Errorf("%d %s", r.Code, r.Body)
		}
	}
	if !b.opens("/api/v1/review/session") || !b.opens("/api/v1/operators/session") {
		t.Error("both doors were gone through")
	}
	// Taken out of the group, one is out at the next sign-in, which the session's length bounds.
	w.groups("operators")
	w.pass(2 * time.Hour)
	if b.opens("/api/v1/review/session") {
		t.Error("a session outlives its length")
	}
	notSignedIn(t, b.signIn(t, reviewStart), 403, "no_right")
	w.there.Change(func(c *signontest.Behaviour) { c.Claims = map[string]any{"preferred_username": testReviewer} })
	notSignedIn(t, b.signIn(t, reviewStart), 403, "no_right")
}

// A local account and a person of the provider of one name are two.
func TestLocalAndProvidedAreTwo(t *testing.T) {
	w := newSignOnWorld(t)
	b := w.browser()
	b.signIn(t, reviewStart)
	name := decode[Session](t, b.do("GET", "/api/v1/review/session")).Name
	if r := w.signIn(name, "only-for-tests"); r.Code != 401 {
		t.Errorf("a local account has the name %s: %d", name, r.Code)
	}
	w.pass(time.Hour / 4)
	if r := w.signIn(testReviewer, "only-for-tests"); r.Code != 200 || strings.Contains(r.Body.String(), "sign_out") {
		t.Fatalf("%d %s", r.Code, r.Body)
	}
	b.opens(firstCase)
	w.do("GET", firstCase, "")
	if list := w.accesses.list; len(list) != 2 || list[0].Clerk != name || list[1].Clerk != testReviewer {
		t.Errorf("%+v", list)
	}
	w.reviewers.set(time.Time{}) // the local account is removed
	if w.do("GET", firstCase, "").Code != 401 || !b.opens(firstCase) {
		t.Error("removing a local account ends the sessions of the provider's people, or not its own")
	}
	w.reviewers.err = errFault
	if !b.opens(firstCase) {
		t.Error("the file of local accounts decides about the provider's people")
	}
}

func TestProviderIsAway(t *testing.T) {
	w := newSignOnWorld(t)
	w.there.Change(func(b *signontest.Behaviour) { b.Status = 503 })
	r := w.browser().do("GET", reviewStart+"?back=/review?lang=en")
	notSignedIn(t, r, 503, "provider_away")
	if !strings.Contains(r.Body.String(), `href="/review?lang=en"`) || !strings.Contains(r.Body.String(), "Local accounts still work") || r.Header().Get("Retry-After") == "" {
		t.Errorf("%v %s", r.Header(), r.Body)
	}
	if r := w.signIn(testReviewer, "only-for-tests"); r.Code != 200 {
		t.Errorf("local accounts need the provider: %d", r.Code)
	}
	w = newSignOnWorld(t, func(o *county.OIDC) { o.Issuer = "http://127.0.0.1:1" }) // nobody listens there, and the portal starts
	notSignedIn(t, w.browser().do("GET", reviewStart), 503, "provider_away")
	if _, err := New(Options{County: testCounty, Figures: w.figures, Flow: w.flow, Definitions: definitions(), OIDC: &county.OIDC{ClientSecret: "file:/nowhere/secret"}}); err == nil || !strings.Contains(err.Error(), "portal.oidc.client_secret") {
		t.Errorf("a secret that is not there: %v", err)
	}
}

func TestNoProvider(t *testing.T) {
	v := newReview(t)
	if ways := decode[SignInWays](t, v.do("GET", "/api/v1/sign-in", "")); ways.OIDC != nil {
		t.Errorf("%+v", ways)
	}
	for _, target := range []string{reviewStart, county.OIDCCallback} {
		if r := v.do("GET", target, ""); r.Code != 404 {
			t.Errorf("%s: %d", target, r.Code)
		}
	}
}

func TestFlowsAreBounded(t *testing.T) {
	w := newSignOnWorld(t)
	s := w.signOn
	for i := range mostFlows + 50 {
		s.keep(fmt.Sprint(i), flow{began: time.Unix(int64(i/100), 0)})
	}
	if len(s.flows) > mostFlows {
		t.Errorf("%d", len(s.flows))
	}
	if s.keep("late", flow{began: time.Unix(5000, 0)}); len(s.flows) != 1 {
		t.Errorf("%d kept after their time", len(s.flows))
	}
}

// Officers act for the department of their group, under a name that is not a local officer's.
func TestOfficersByTheProvider(t *testing.T) {
	var there *signontest.Provider
	s := newSharing(t, func(o *Options) {
		there = testProvider(t, o.now)
		o.OIDC = testOIDC(there.URL)
	})
	in := func(name string, groups ...string) (*browser, *httptest.ResponseRecorder) {
		there.Change(func(b *signontest.Behaviour) {
			b.Claims = map[string]any{"preferred_username": name, "groups": groups}
		})
		b := &browser{s.Handler(), map[string]string{}}
		return b, b.signIn(t, "/api/v1/officers/session/oidc")
	}
	_, r := in("asker", "hall", "insurance")
	notSignedIn(t, r, 403, "two_departments")
	_, r = in("asker", "reviewers")
	notSignedIn(t, r, 403, "no_right")
	b, _ := in("asker", "insurance") // a local officer of this name acts for civil affairs
	name := decode[Session](t, b.do("GET", "/api/v1/officers/session")).Name
	if desk := decode[Officer](t, b.do("GET", "/api/v1/officers/desk")); desk.Department != "social_security" {
		t.Errorf("%s acts for %s", name, desk.Department)
	}
	b, r = in("asker", "hall")
	if r.Code != http.StatusSeeOther || r.Header().Get("Location") != "/sharing" {
		t.Fatalf("%d %v", r.Code, r.Header())
	}
	q := decode[DataRequest](t, s.as("asker", "POST", "/api/v1/requests", asking(nil), "Cookie", requestsCookie+"="+b.cookies[requestsCookie]))
	acts := decode[DataRequestActs](t, b.do("GET", "/api/v1/requests/"+q.ID))
	if q.From != "civil_affairs" || len(acts.Acts) != 1 || acts.Acts[0].By != name || !strings.HasPrefix(name, "asker@sso:") {
		t.Errorf("%+v %+v", q, acts)
	}
}

// At the window, too, it is the group that gives a clerk their department, and an officer's group opens it to nobody.
func TestClerksByTheProvider(t *testing.T) {
	var there *signontest.Provider
	w := newShareWorld(t, wide, func(o *Options) {
		o.Window = windowOptions(fakeOfficers{map[string]string{}})
		there = testProvider(t, time.Now)
		o.OIDC = testOIDC(there.URL)
		o.OIDC.Groups["window"] = county.Rights{Rights: []string{county.MayServe}, Department: "civil_affairs"}
	})
	in := func(group string) (*browser, *httptest.ResponseRecorder) {
		there.Change(func(b *signontest.Behaviour) {
			b.Claims = map[string]any{"preferred_username": testReviewer, "groups": []string{group}}
		})
		b := &browser{w.Handler(), map[string]string{}}
		return b, b.signIn(t, windowPath+"/session/oidc")
	}
	_, r := in("hall")
	notSignedIn(t, r, 403, "no_right")
	b, r := in("window")
	if r.Code != http.StatusSeeOther || r.Header().Get("Location") != "/window" {
		t.Fatalf("%d %v", r.Code, r.Header())
	}
	if desk := decode[WindowClerk](t, b.do("GET", windowPath+"/desk")); desk.Department != "civil_affairs" || len(desk.Items) != 1 {
		t.Errorf("%+v", desk)
	}
}
