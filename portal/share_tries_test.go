package portal

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/shirecounty/shire/portal/callers"
)

// from is a call that comes from an address, as a handler gets it.
func (w *shareWorld) from(address, authorization string) answer {
	w.Helper()
	c := asks("", http.MethodGet, "/api/v1/persons/"+w.node.person(zhang).String(), "")
	r := httptest.NewRequestWithContext(w.Context(), c.method, "https://127.0.0.1"+c.path, nil) // with TLS
	for name, value := range c.headers {
		r.Header.Set(name, value)
	}
	if authorization != "" {
		r.Header.Set("Authorization", authorization)
	}
	r.RemoteAddr = address
	recorder := httptest.NewRecorder()
	w.Handler().ServeHTTP(recorder, r)
	a := answer{status: recorder.Code, text: recorder.Body.String(), header: recorder.Header()}
	if a.status >= 400 {
		a.code = w.proveProblem(a)
	}
	return a
}

// Whoever fails again and again from one address is told to wait, longer and longer, whatever is wrong with what it shows. Clients that
// share the address, and everybody elsewhere, notice nothing of it.
func TestFailingCredentialsHaveToWait(t *testing.T) {
	clock := newClockOf(time.Now())
	w := newShareWorld(t, wide, func(o *Options) { o.now = clock.now })
	const gateway = "192.0.2.7:40001"
	good := "Shire-Key civil." + w.key["civil"]
	bad := []string{"Shire-Key civil.x", "Shire-Key nobody.x", "Bearer a.b.c", "Basic eDp5", "", good + "x", "Shire-Key civil." + w.key["police"]}
	for i := range freeByAddress {
		if a := w.from(gateway, bad[i%len(bad)]); a.status != 401 {
			t.Fatalf("try %d: %d %s", i, a.status, a.text)
		}
	}
	logged := strings.Count(w.logged.String(), "was not let in")
	before := w.entries()
	for i := range 3 * len(bad) {
		a := w.from(fmt.Sprintf("192.0.2.7:%d", 50000+i), bad[i%len(bad)]) // another port is no other address
		if a.status != 429 || a.code != codeTooManyTries || a.header.Get("Retry-After") != "1" || !strings.Contains(a.text, "其间持有效凭证的调用照常答复") {
			t.Fatalf("%d %s %v", a.status, a.text, a.header)
		}
		if a := w.from(gateway, good); a.status != 200 {
			t.Fatalf("a client behind the same address is shut out: %d %s", a.status, a.text)
		}
	}
	if n := strings.Count(w.logged.String(), "was not let in"); n != logged {
		t.Errorf("%d lines in the log for calls that had to wait", n-logged)
	}
	if n := w.entries() - before; n != uint64(3*len(bad)) {
		t.Errorf("%d entries in the access log", n)
	}
	if a := w.from("192.0.2.8:40001", bad[0]); a.status != 401 {
		t.Errorf("another address waits too: %d", a.status)
	}
	// A client that is let in gives nobody else new tries, and each failure doubles the wait.
	for _, seconds := range []string{"2", "4", "8"} {
		clock.pass(time.Minute)
		if a, b := w.from(gateway, bad[1]), w.from(gateway, bad[1]); a.status != 401 || b.status != 429 || b.header.Get("Retry-After") != seconds {
			t.Errorf("%d, %d after %s", a.status, b.status, b.header.Get("Retry-After"))
		}
	}
	if text := w.get("/metrics").Body.String(); !strings.Contains(text, `shire_sharing_calls_total{client="",operation="person",outcome="too_many_tries"} 24`) {
		t.Error("the metric does not tell")
	}
	clock.pass(forgetAfter)
	if a := w.from(gateway, bad[2]); a.status != 401 {
		t.Errorf("it is never forgotten: %d", a.status)
	}
}

// However calls of many addresses are mixed, a call that proves a client is answered, one that does not is not, and what is
// remembered is bounded (I10).
func TestValidCredentialsAreNeverShutOut(t *testing.T) {
	clock := newClockOf(time.Now())
	w := newShareWorld(t, wide, func(o *Options) { o.now = clock.now })
	s := w.Portal.share
	rapid.Check(t, func(t *rapid.T) {
		for range rapid.IntRange(1, 30).Draw(t, "calls") {
			address := fmt.Sprintf("[2001:db8:0:%x::1]:443", rapid.IntRange(0, 2).Draw(t, "network"))
			clock.pass(time.Duration(rapid.IntRange(0, 3000).Draw(t, "pause")) * time.Millisecond)
			if rapid.IntRange(0, 5).Draw(t, "valid") == 0 {
				if a := w.from(address, "Shire-Key civil."+w.key["civil"]); a.status != 200 {
					t.Fatalf("%d %s", a.status, a.text)
				}
			} else if a := w.from(address, "Shire-Key civil.x"); a.status != 401 && (a.status != 429 || a.code != codeTooManyTries) {
				t.Fatalf("%d %s", a.status, a.text)
			}
		}
	})
	for i := range mostFailures + 100 {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
		r.RemoteAddr = fmt.Sprintf("[2001:db8:1:%x::1]:443", i)
		s.turnAway(httptest.NewRecorder(), r, "person", &callers.Refusal{Status: http.StatusUnauthorized, Code: callers.BadCredentials})
	}
	if n := len(s.tries.failed); n > mostFailures {
		t.Errorf("%d addresses are remembered (I10)", n)
	}
}
