package portal

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestSignIn(t *testing.T) {
	v := newReview(t)
	for _, c := range [][2]string{{testReviewer, "wrong"}, {testReviewer, ""}, {"", "only-for-tests"}, {"王强", "only-for-tests"}} {
		v.clock = v.clock.Add(time.Minute)
		if r := v.signIn(c[0], c[1]); r.Code != 401 || decode[Problem](t, r).Code != codeWrongPassword || len(r.Result().Cookies()) != 0 {
			t.Errorf("%q: %d %s", c, r.Code, r.Body)
		}
	}
	v.clock = v.clock.Add(time.Minute)
	r := v.signIn(testReviewer, "only-for-tests")
	if s := decode[Session](t, r); r.Code != 200 || s.Name != testReviewer || !s.ExpiresAt.Equal(v.clock.Add(8*time.Hour)) {
		t.Errorf("%d %s", r.Code, r.Body)
	}
	cookie := r.Result().Cookies()[0]
	if !cookie.HttpOnly || cookie.SameSite != http.SameSiteStrictMode || cookie.Secure || cookie.Path != "/api/v1/review" || cookie.Domain != "" || len(cookie.Value) < 43 {
		t.Errorf("%+v", cookie)
	}
	for key := range v.Portal.reviewers.sessions.open {
		if strings.Contains(fmt.Sprintf("%s", key), cookie.Value) {
			t.Error("the token itself is kept")
		}
	}
	if s := decode[Session](t, v.do("GET", "/api/v1/review/session", "")); s.Name != testReviewer {
		t.Errorf("%+v", s)
	}
	old := v.cookie
	if v.signIn(testReviewer, "only-for-tests"); v.cookie == old || len(v.Portal.reviewers.sessions.open) != 1 {
		t.Error("signing in again has to end the session before")
	}
	if r := v.do("DELETE", "/api/v1/review/session", ""); r.Code != 204 || r.Result().Cookies()[0].MaxAge >= 0 {
		t.Errorf("%d %v", r.Code, r.Result().Cookies())
	}
	if r := v.do("GET", firstCase, ""); r.Code != 401 {
		t.Error("signed out, and the cookie still opens the review")
	}
	v.reviewers.err = fmt.Errorf("the file cannot be read")
	if r := v.signIn(testReviewer, "only-for-tests"); r.Code != 503 {
		t.Error(r.Code)
	}
}

func TestCookieIsSecureElsewhere(t *testing.T) {
	for _, c := range []struct {
		host, target string
		secure       bool
	}{
		{"127.0.0.1:8080", "/api/v1/review/session", false}, {"localhost:8080", "/api/v1/review/session", false}, {"[::1]:8080", "/api/v1/review/session", false},
		{"data.county.example", "/api/v1/review/session", true}, {"10.0.0.1:8080", "/api/v1/review/session", true}, {"localhost:8080", "https://localhost:8080/api/v1/review/session", true},
	} {
		v := newReview(t, func(o *Options) { o.Listen = "0.0.0.0:8080" })
		r := v.do("POST", c.target, `{"name":"李梅","password":"only-for-tests"}`, "Host", c.host, "Origin", "http://"+c.host)
		if r.Code != 200 || r.Result().Cookies()[0].Secure != c.secure {
			t.Errorf("%s: %d %v", c.host, r.Code, r.Result().Cookies())
		}
	}
}

func TestSessionsEnd(t *testing.T) {
	opens := func(v *reviewWorld, target string) bool { return v.do("GET", target, "").Code == 200 }
	v := signedInReview(t)
	for range 15 {
		v.clock = v.clock.Add(29 * time.Minute)
		if !opens(v, firstCase) {
			t.Fatal("who works is signed out")
		}
	}
	if v.clock = v.clock.Add(50 * time.Minute); opens(v, "/api/v1/review/session") {
		t.Error("a session lasts longer than a day's work")
	}
	v = signedInReview(t)
	for range 6 {
		v.clock = v.clock.Add(5*time.Minute + time.Second)
		opens(v, "/api/v1/review/queue") // as a page does that is left open
	}
	if opens(v, "/api/v1/review/queue") || len(v.Portal.reviewers.sessions.open) != 0 {
		t.Error("an idle session stays open")
	}
	v = signedInReview(t)
	v.reviewers.set(time.Time{})
	if opens(v, firstCase) {
		t.Error("a reviewer who was removed still sees people")
	}
	v = signedInReview(t)
	v.reviewers.set(v.clock)
	if opens(v, firstCase) {
		t.Error("a session outlives its password")
	}
	v = signedInReview(t)
	v.reviewers.err = fmt.Errorf("the file cannot be read")
	if r := v.do("GET", firstCase, ""); r.Code != 503 || strings.Contains(r.Body.String(), "欧阳") {
		t.Error(r.Code)
	}
}

func TestSessionsAreBounded(t *testing.T) {
	clock := time.Date(2026, 11, 2, 9, 0, 0, 0, time.UTC)
	s := newSessions(func() time.Time { return clock })
	first, _ := s.begin("first", clock)
	for i := range 3 * mostSessions {
		clock = clock.Add(time.Second)
		if s.begin(fmt.Sprint(i), clock); i < mostSessions {
			s.find(first, active)
		}
	}
	if len(s.open) > mostSessions {
		t.Errorf("%d sessions", len(s.open))
	}
}

func TestGuessingGetsSlower(t *testing.T) {
	v := newReview(t)
	var waits []string
	for range 8 {
		r := v.signIn(testReviewer, "guess")
		if r.Code == 401 {
			continue
		}
		if p := decode[Problem](t, r); r.Code != 429 || p.Code != codeTooManyTries || !strings.Contains(p.DetailZh, r.Header().Get("Retry-After")) {
			t.Fatalf("%d %s", r.Code, r.Body)
		}
		waits = append(waits, r.Header().Get("Retry-After"))
		if r := v.signIn(testReviewer, "only-for-tests"); r.Code != 429 {
			t.Error("the right password may be tried while others wait") // or guessing goes on at full speed
		}
		var seconds int
		fmt.Sscan(waits[len(waits)-1], &seconds)
		v.clock = v.clock.Add(time.Duration(seconds) * time.Second)
	}
	if fmt.Sprint(waits) != "[1 2 4]" {
		t.Error(waits)
	}
	if r := v.signIn(testReviewer, "only-for-tests"); r.Code != 200 {
		t.Error("after the wait:", r.Code)
	}
	if r := v.signIn(testReviewer, "typo"); r.Code != 401 {
		t.Error("success is not forgiven:", r.Code)
	}
}

func TestGuessingNamesFromOneAddress(t *testing.T) {
	v := newReview(t)
	v.remote = "[2001:db8::1]:4000"
	for i := range freeByAddress {
		v.remote = fmt.Sprintf("[2001:db8::%x]:4000", i+1) // one subscriber has many addresses
		if r := v.signIn(fmt.Sprint("name", i), "guess"); r.Code != 401 {
			t.Fatal(i, r.Code)
		}
	}
	if r := v.signIn("another", "guess"); r.Code != 429 {
		t.Error(r.Code)
	}
	v.remote = "203.0.113.7:4000"
	if r := v.signIn(testReviewer, "only-for-tests"); r.Code != 200 {
		t.Error("somebody elsewhere has to wait:", r.Code)
	}
}

func TestTriesAreBounded(t *testing.T) {
	clock := time.Date(2026, 11, 2, 9, 0, 0, 0, time.UTC)
	s := newTries(func() time.Time { return clock })
	for i := range mostFailures + 50 {
		clock = clock.Add(time.Millisecond)
		s.begin(tryOf("name", fmt.Sprint(i), freeByName), tryOf("address", fmt.Sprint(i), freeByAddress))
	}
	if len(s.failed) > mostFailures {
		t.Errorf("%d kept", len(s.failed))
	}
	clock = clock.Add(forgetAfter)
	if s.begin(tryOf("name", "x", freeByName)); len(s.failed) != 1 {
		t.Errorf("%d kept after an hour", len(s.failed))
	}
	if d := delay(1000); d != longestWait {
		t.Error(d)
	}
}

func TestOtherSitesChangeNothing(t *testing.T) {
	v := signedInReview(t)
	for _, c := range []struct {
		name    string
		headers []string
		allowed bool
	}{
		{"the page itself", nil, true},
		{"an older browser: no Sec-Fetch-Site", []string{"Sec-Fetch-Site", ""}, true},
		{"a proxy that changed the host", []string{"Origin", "https://data.county.example"}, true},
		{"without the header", []string{reviewHeader, ""}, false},
		{"the header with another value", []string{reviewHeader, "0"}, false},
		{"another site", []string{"Sec-Fetch-Site", "cross-site"}, false},
		{"a neighbour of the site", []string{"Sec-Fetch-Site", "same-site"}, false},
		{"typed into the address bar", []string{"Sec-Fetch-Site", "none"}, false},
		{"an older browser on another site", []string{"Sec-Fetch-Site", "", "Origin", "http://evil.example"}, false},
		{"another port of this machine", []string{"Sec-Fetch-Site", "", "Origin", "http://127.0.0.1:9090"}, false},
		{"no origin at all", []string{"Sec-Fetch-Site", "", "Origin", ""}, false},
		{"an opaque origin", []string{"Sec-Fetch-Site", "", "Origin", "null"}, false},
	} {
		for _, e := range append(everything()[4:], [3]string{"POST", "/api/v1/review/session", `{"name":"x","password":"y"}`}, [3]string{"DELETE", "/api/v1/review/session", ""}) {
			r := v.do(e[0], e[1], e[2], c.headers...)
			if (r.Code != 403) != c.allowed {
				t.Errorf("%s: %s %s gives %d", c.name, e[0], e[1], r.Code)
			}
			if c.allowed {
				v.cookie = ""
				v.clock = v.clock.Add(time.Hour)
				v.signIn(testReviewer, "only-for-tests")
			}
		}
	}
}
