package web_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/shirecounty/shire/connectors/conformance"
	"github.com/shirecounty/shire/connectors/web"
)

// proxied counts what reached the proxy that the environment of all tests names.
var proxied atomic.Int32

func TestMain(m *testing.M) {
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		proxied.Add(1)
		w.Write([]byte("[]"))
	}))
	os.Setenv("HTTP_PROXY", proxy.URL)
	code := m.Run()
	proxy.Close()
	os.Exit(code)
}

func TestBusyServiceIsLeftAlone(t *testing.T) {
	a := newAPI(t, "whole")
	insert(a, "1")
	r := rigOf(t, a)
	var answers atomic.Int32
	a.answering(func(w http.ResponseWriter, _ *http.Request) bool {
		now := time.Now().UTC()
		switch answers.Add(1) {
		case 1:
			w.Header().Set("Retry-After", "7")
			w.WriteHeader(http.StatusTooManyRequests)
		case 2:
			w.Header().Set("Date", now.Add(-time.Hour).Format(http.TimeFormat)) // the service's clock is behind
			w.Header().Set("Retry-After", now.Add(-time.Hour+90*time.Second).Format(http.TimeFormat))
			w.WriteHeader(http.StatusServiceUnavailable)
		case 3:
			w.Header().Set("Retry-After", "86400")
			w.WriteHeader(http.StatusServiceUnavailable)
		case 4:
			w.WriteHeader(http.StatusServiceUnavailable)
		default:
			return false
		}
		return true
	})
	r.load()
	r.holds(map[string]string{"1": "name 1"})
	if len(r.waited) != 4 || r.waited[0] != 7*time.Second || r.waited[1] != 90*time.Second || r.waited[2] != 10*time.Minute {
		t.Errorf("waited %v, not 7 s, 90 s, and the most that is granted", r.waited)
	}
	if last := r.waited[3]; last < 4*time.Second || last > 12*time.Second {
		t.Errorf("without Retry-After the fourth wait is %s", last)
	}
	if p := r.problems(); len(p) != 0 {
		t.Errorf("%v is not solved", p)
	}
	// It is not asked for ever.
	a.answering(func(w http.ResponseWriter, _ *http.Request) bool {
		w.WriteHeader(http.StatusTooManyRequests)
		return true
	})
	if err := r.run(); err == nil || !strings.Contains(err.Error(), "429") {
		t.Errorf("%v", err)
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 11, 25, 8, 0, 0, 0, time.UTC)
	for text, want := range map[string]time.Duration{
		"0": 0, "120": 2 * time.Minute, " 5 ": 5 * time.Second, "Wed, 25 Nov 2026 08:00:30 GMT": 30 * time.Second, "Wed, 25 Nov 2026 07:00:00 GMT": 0,
		"": -1, "-5": -1, "soon": -1, "99999999999999999999": -1,
	} {
		got, ok := web.RetryAfter(http.Header{"Retry-After": {text}}, now)
		if !ok {
			got = -1
		}
		if got != want {
			t.Errorf("%q is %s, not %s", text, got, want)
		}
	}
}

func TestNothingNewIsNotSentAgain(t *testing.T) {
	a := newAPI(t, "whole")
	insert(a, "1", "2")
	r := rigOf(t, a)
	var unchanged atomic.Int32
	a.answering(func(w http.ResponseWriter, req *http.Request) bool {
		if req.Header.Get("If-None-Match") != "" {
			unchanged.Add(1)
		}
		return false
	})
	r.load()
	r.load()
	r.load()
	if unchanged.Load() != 2 || r.said() != 2 {
		t.Errorf("%d conditional requests, %d changes", unchanged.Load(), r.said())
	}
	insert(a, "3")
	remove(a, "1")
	r.load()
	r.holds(map[string]string{"2": "name 2", "3": "name 3"})
	// The validators of a pass whose changes got lost are not used.
	insert(a, "4")
	r.bus.Budget = 1
	if err := r.run(); !errors.Is(err, conformance.ErrKilled) {
		t.Fatal(err)
	}
	r.bus.Restart()
	r.load()
	r.holds(map[string]string{"2": "name 2", "3": "name 3", "4": "name 4"})
}

func TestTokenEndsDuringAPass(t *testing.T) {
	a := newAPI(t, "feed")
	a.uses = 2
	for i := range 60 {
		insert(a, fmt.Sprint(i))
	}
	r := rigOf(t, a)
	r.load()
	if n := len(r.bus.Records("records")); n != 60 || a.granted < 4 {
		t.Errorf("%d records with %d tokens", n, a.granted)
	}
	// A token that is never taken is fetched anew once, not for ever.
	a.requests()
	a.uses = 0
	if said := r.refused("status_401"); !strings.Contains(said, "credentials") {
		t.Error(said)
	}
	if asked := a.requests(); len(asked) != 4 {
		t.Errorf("%d requests: %v", len(asked), asked)
	}
	// And the token endpoint's own words are not repeated.
	r.with["auth"].(map[string]any)["client_secret"] = "wrong"
	if said := r.refused("token_refused"); strings.Contains(said, "wang") || strings.Contains(said, "wrong") {
		t.Error(said)
	}
}

func TestTruncatedResponse(t *testing.T) {
	for name, cut := range map[string]func(w http.ResponseWriter){
		"shorter than promised": func(w http.ResponseWriter) {
			w.Header().Set("Content-Length", "500")
			w.Write([]byte(`[{"id": 1, "name": "a"}, {"id": 2, "name": "b"}, {"id": 3, "na`))
		},
		"no end":  func(w http.ResponseWriter) { w.Write([]byte(`[{"id": 1, "name": "a"}, {"id": 2, "name": "b"}`)) },
		"between": func(w http.ResponseWriter) { w.Write([]byte(`[{"id": 1, "name": "a"}, {"id": 2, "name": "b"}, `)) },
		"connection": func(w http.ResponseWriter) {
			w.Write([]byte(`[{"id": 1, "name": "a"}, {"id": 2, "name": "b"},`))
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		},
		"not compress": func(w http.ResponseWriter) {
			w.Header().Set("Content-Encoding", "gzip")
			w.Write([]byte("\x1f\x8b\x08"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			whole := false
			r := serving(t, map[string]any{"full": true}, func(w http.ResponseWriter, _ *http.Request) {
				if !whole {
					cut(w)
					return
				}
				w.Write([]byte(`[{"id": 1, "name": "a"}, {"id": 3, "name": "c"}]`))
			})
			r.with["max_deletions"] = "100%"
			r.refused("response_truncated")
			if name != "not compress" {
				r.holds(map[string]string{"1": "a", "2": "b"}) // what was read is true; what is missing was not deleted
			}
			r.refused("response_truncated")
			whole = true
			r.load()
			r.holds(map[string]string{"1": "a", "3": "c"})
			if said := r.said(); said > 4 {
				t.Errorf("%d changes: %+v", said, r.bus.Said("records"))
			}
		})
	}
}

func TestAnswersThatCannotBeUsed(t *testing.T) {
	long := strings.Repeat("x", 20_000)
	for name, c := range map[string]struct {
		dataset map[string]any
		answer  string
		status  int
		problem string
	}{
		"page for people":      {nil, "<html><body>wangxiaoming</body></html>", 200, "response_broken"},
		"broken in the middle": {nil, `[{"id": 1}, {"id": wangxiaoming}]`, 200, "response_broken"},
		"two documents":        {nil, `[] {"wangxiaoming": 1}`, 200, "response_broken"},
		"nothing":              {nil, "", 200, "response_truncated"},
		"not a list":           {map[string]any{"records": "data"}, `{"data": {"wangxiaoming": 1}}`, 200, "records_not_a_list"},
		"no list":              {map[string]any{"records": "data.items"}, `{"data": {"wangxiaoming": []}}`, 200, "records_missing"},
		"error with 200":       {map[string]any{"records": "data", "success": map[string]any{"field": "code", "values": []any{0}}}, `{"data": [], "code": 500, "msg": "wangxiaoming"}`, 200, "service_error"},
		"long error":           {map[string]any{"records": "data", "success": map[string]any{"field": "code", "values": []any{0}}}, `{"code": "wangxiaoming has been here", "data": []}`, 200, "service_error"},
		"404":                  {nil, "wangxiaoming", 404, "status_404"},
		"403":                  {nil, "wangxiaoming", 403, "status_403"},
		"400":                  {nil, "wangxiaoming", 400, "status_400"},
		"moved without where":  {nil, "wangxiaoming", 301, "status_301"},
		"no key":               {nil, `[{"name": "wangxiaoming"}]`, 200, "key_missing"},
		"large response":       {nil, `[` + strings.Repeat(`{"id": 1, "name": "wangxiaoming"},`, 4000) + `{"id":1}]`, 200, "response_too_large"},
		"large record":         {nil, `[{"id": 1, "name": "` + long + long + long + long + `"}]`, 200, "record_too_large"},
		"large beside":         {map[string]any{"records": "data"}, `{"x": "` + long + long + long + long + `", "data": []}`, 200, "record_too_large"},
		"deep":                 {map[string]any{"records": "data"}, `{"x": ` + strings.Repeat("[", 5000) + strings.Repeat("]", 5000) + `, "data": []}`, 200, "response_broken"},
	} {
		t.Run(name, func(t *testing.T) {
			r := serving(t, c.dataset, func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(c.status)
				w.Write([]byte(c.answer))
			})
			r.with["max_response"], r.with["max_record"] = "100KiB", "4KiB"
			if said := r.refused(c.problem); strings.Contains(said, "wangxiaoming") {
				t.Error("the message repeats the answer:", said)
			}
			for _, e := range r.events {
				if strings.Contains(fmt.Sprint(e), "wangxiaoming") {
					t.Error("the event repeats the answer:", e)
				}
			}
		})
	}
}

func TestServerErrorEndsTheRun(t *testing.T) {
	r := serving(t, nil, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) })
	if err := r.connector().Run(t.Context(), r.bus, true); err == nil || !strings.Contains(err.Error(), "502 Bad Gateway") {
		t.Errorf("%v", err)
	}
}

func TestNothingGoesToAnotherHost(t *testing.T) {
	var elsewhere atomic.Int32
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		elsewhere.Add(1)
		w.Write([]byte(`[{"id": 1}]`))
	}))
	defer other.Close()
	t.Run("redirect", func(t *testing.T) {
		r := serving(t, nil, func(w http.ResponseWriter, req *http.Request) {
			http.Redirect(w, req, other.URL+"/x", http.StatusFound)
		})
		r.with["auth"] = map[string]any{"kind": "api_key", "header": "X-Key", "api_key": "4711"}
		if said := r.refused("redirect_refused"); strings.Contains(said, "4711") {
			t.Error(said)
		}
	})
	t.Run("link", func(t *testing.T) {
		r := serving(t, map[string]any{"pagination": map[string]any{"kind": "link"}}, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Link", "<"+other.URL+`/2>; rel=next`)
			w.Write([]byte(`[{"id": 1, "name": "a"}]`))
		})
		r.refused("link_refused")
		r.holds(map[string]string{"1": "a"})
	})
	t.Run("token", func(t *testing.T) {
		r := serving(t, nil, func(w http.ResponseWriter, req *http.Request) {
			http.Redirect(w, req, other.URL, http.StatusTemporaryRedirect)
		})
		r.with["auth"] = map[string]any{"kind": "oauth2", "token_url": r.with["url"].(string) + "/token", "client_id": "a", "client_secret": "b"}
		r.refused("token_refused")
	})
	t.Run("proxy of the environment", func(t *testing.T) {
		r := newRig(t, map[string]any{"url": "http://shire.invalid", "datasets": []any{map[string]any{"dataset": "records"}}})
		if err := r.run(); err == nil || proxied.Load() != 0 {
			t.Errorf("a proxy was asked %d times that no setting names: %v", proxied.Load(), err)
		}
		r.with["proxy"] = os.Getenv("HTTP_PROXY")
		if r.load(); proxied.Load() != 1 {
			t.Error("the proxy of the settings was not asked")
		}
	})
	t.Run("same host", func(t *testing.T) {
		r := serving(t, nil, func(w http.ResponseWriter, req *http.Request) {
			if req.URL.Path != "/new" {
				http.Redirect(w, req, "/new", http.StatusFound)
				return
			}
			fmt.Fprintf(w, `[{"id": 1, "name": %q}]`, req.Header.Get("X-Key"))
		})
		r.with["auth"] = map[string]any{"kind": "api_key", "header": "X-Key", "prefix": "Key ", "api_key": "4711"}
		r.load()
		r.holds(map[string]string{"1": "Key 4711"})
	})
	if n := elsewhere.Load(); n != 0 {
		t.Errorf("another host was asked %d times", n)
	}
}

// The key of a service must not be in what a failing request says.
func TestErrorsHoldNoAddress(t *testing.T) {
	s := httptest.NewServer(http.NotFoundHandler())
	s.Close()
	r := newRig(t, map[string]any{
		"url": s.URL, "auth": map[string]any{"kind": "api_key", "param": "key", "api_key": "geheim"},
		"datasets": []any{map[string]any{"dataset": "records", "path": "/x"}},
	})
	if err := r.run(); err == nil || strings.Contains(err.Error(), "geheim") {
		t.Errorf("%v", err)
	}
}

func TestSilentService(t *testing.T) {
	release := make(chan struct{})
	r := serving(t, nil, func(w http.ResponseWriter, _ *http.Request) {
		w.Write([]byte(`[{"id": 1, "name": "a"},`))
		w.(http.Flusher).Flush()
		<-release
	})
	t.Cleanup(func() { close(release) })
	r.with["timeout"] = "100ms"
	if err := r.run(); err == nil || !strings.Contains(err.Error(), "longer than timeout") {
		t.Errorf("%v", err)
	}
	r.holds(map[string]string{"1": "a"})
}

func TestNextLink(t *testing.T) {
	for header, want := range map[string]string{
		`</a>; rel="next"`: "/a", `</a>; rel=next`: "/a", `</a>; title="x, y; rel=next"; rel="prev", </b>; REL="last Next"`: "/b",
		`</a>; rel="prev"`: "", `</a`: "", ``: "", `</a>`: "", `</a,b>; rel="next"`: "/a,b",
	} {
		if got := web.NextLink([]string{header}); got != want {
			t.Errorf("%s leads to %q, not %q", header, got, want)
		}
	}
}

func TestFormats(t *testing.T) {
	for name, c := range map[string]struct {
		dataset           map[string]any
		contentType, text string
	}{
		"lines":  {map[string]any{"format": "ndjson"}, "application/x-ndjson", "{\"id\": 1, \"name\": \"王\"}\n{\"id\": 2, \"name\": \"李\"}\n"},
		"gbk":    {nil, "application/json; charset=GBK", "[{\"id\": 1, \"name\": \"\xcd\xf5\"}, {\"id\": 2, \"name\": \"\xc0\xee\"}]"},
		"marked": {map[string]any{"records": "a.b"}, "application/json", "\uFEFF{\"x\": [1, {\"b\": 2}], \"a\": {\"b\": [{\"id\": 1, \"name\": \"王\"}, {\"id\": 2, \"name\": \"李\"}], \"c\": {}}}"},
	} {
		t.Run(name, func(t *testing.T) {
			r := serving(t, c.dataset, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", c.contentType)
				w.Write([]byte(c.text))
			})
			r.load()
			r.holds(map[string]string{"1": "王", "2": "李"})
		})
	}
	r := serving(t, map[string]any{"records": "x"}, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	r.load()
}

// While it follows, a refusal is told, and taken back when it has passed.
func TestRefusalsPass(t *testing.T) {
	var fine atomic.Bool
	r := serving(t, nil, func(w http.ResponseWriter, _ *http.Request) {
		if !fine.Load() {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		w.Write([]byte(`[{"id": 1, "name": "a"}]`))
	})
	stop := r.follow(r.connector())
	r.until("the refusal", func() bool { return slices.Contains(r.problems(), "status_403") })
	fine.Store(true)
	r.until("its end", func() bool { return len(r.problems()) == 0 && r.said() == 1 })
	stop()
}
