package portal

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/shirecounty/shire/schemas/metrics"
)

type world struct {
	*Portal
	figures *fakeFigures
	flow    *fakeFlow
	logged  *bytes.Buffer
}

func newWorld(t *testing.T, change ...func(*Options)) *world {
	t.Helper()
	w := &world{figures: &fakeFigures{}, flow: &fakeFlow{status: healthy()}, logged: &bytes.Buffer{}}
	w.flow.generation.Store(1)
	o := Options{
		County: testCounty, Version: "0.1.0", Figures: w.figures, Flow: w.flow, Definitions: definitions(),
		Registry: prometheus.NewRegistry(), Log: slog.New(slog.NewTextHandler(w.logged, nil)),
	}
	for _, f := range change {
		f(&o)
	}
	p, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	w.Portal = p
	return w
}

// get asks with headers given as name, value, name, value.
func (w *world) get(target string, headers ...string) *httptest.ResponseRecorder {
	return w.ask(http.MethodGet, target, headers...)
}

func (w *world) ask(method, target string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, nil)
	r.Host = "127.0.0.1:8080"
	for i := 0; i+1 < len(headers); i += 2 {
		if headers[i] == "Host" {
			r.Host = headers[i+1]
		}
		r.Header.Set(headers[i], headers[i+1])
	}
	recorder := httptest.NewRecorder()
	w.Handler().ServeHTTP(recorder, r)
	return recorder
}

func decode[T any](t *testing.T, r *httptest.ResponseRecorder) T {
	t.Helper()
	var v T
	if err := json.Unmarshal(r.Body.Bytes(), &v); err != nil {
		t.Fatalf("%v in %s", err, r.Body)
	}
	return v
}

func TestCounty(t *testing.T) {
	w := newWorld(t)
	got := w.get("/api/v1/county")
	want := `{"division":"532999","name_zh":"示范县","name_en":"Shifan County","time_zone":"Asia/Shanghai","version":"0.1.0",` +
		`"as_of":"2026-10-07T17:30:00+08:00","first_month":"2024-10","last_month":"2026-09","empty":false,"generation":1}` + "\n"
	if got.Code != 200 || got.Body.String() != want {
		t.Errorf("got %d %s\nwant %s", got.Code, got.Body, want)
	}
	w = newWorld(t)
	w.figures.empty = true
	if c := decode[County](t, w.get("/api/v1/county")); !c.Empty || c.AsOf != nil || c.FirstMonth != "" {
		t.Errorf("an empty county is %+v", c)
	}
}

func TestMetricQueries(t *testing.T) {
	const base = "/api/v1/metrics/citizen_time"
	for _, c := range []struct {
		target string
		rows   int
		from   string
		to     string
	}{
		{base + "?from=2026-07&to=2026-09", 1, "2026-07", "2026-09"},
		{base + "?by=month&from=2025-10&to=2026-09", 12, "2025-10", "2026-09"},
		{base + "?by=department&from=2026-07&to=2026-09", 6, "2026-07", "2026-09"},
		{base + "?by=item&department=health", 9, "2026-07", "2026-09"},
		{base, 1, "2026-07", "2026-09"},
		{base + "?to=2026-01", 1, "2025-11", "2026-01"},
	} {
		r := newWorld(t).get(c.target)
		result := decode[metrics.Result](t, r)
		if r.Code != 200 || len(result.Rows) != c.rows || result.From != c.from || result.To != c.to || result.Version != 1 {
			t.Errorf("%s: %d, %d rows, %s to %s", c.target, r.Code, len(result.Rows), result.From, result.To)
		}
	}
}

func TestProblems(t *testing.T) {
	const base = "/api/v1/metrics/citizen_time"
	for _, c := range []struct {
		target string
		status int
		code   string
		names  string
	}{
		{"/api/v1/metrics/citizn_time", 404, "unknown_metric", "citizen_time"},
		{"/api/v1/metrics/repeat", 404, "unknown_metric", "repeat_rate"},
		{"/api/v1/metrics/zzzzzzzzzzzzzzzzzzzzzzzzzzzzzz", 404, "unknown_metric", ""},
		{base + "?from=2026-13", 400, "bad_parameter", ""},
		{base + "?from=2026-7", 400, "bad_parameter", ""},
		{base + "?to=0000-00", 400, "bad_parameter", ""},
		{base + "?from=2026-09&to=2026-07", 400, "bad_parameter", ""},
		{base + "?from=1990-01&to=2026-07", 400, "bad_parameter", ""},
		{base + "?by=departmnt", 400, "bad_parameter", "department"},
		{base + "?deparment=health", 400, "bad_parameter", "department"},
		{base + "?department=nowhere", 400, "bad_parameter", ""},
		{base + "?channel=" + strings.Repeat("x", 65), 400, "bad_parameter", ""},
		{base + "?department=", 400, "bad_parameter", ""},
		{base + "?by=month&by=item", 400, "bad_parameter", ""},
		{base + "?format=xml", 400, "bad_parameter", ""},
		{"/api/v1/nothing", 404, "not_found", ""},
		{"/nothing", 404, "not_found", ""},
		{"/.gitkeep", 404, "not_found", ""},
		{"/../portal.go", 404, "not_found", ""},
	} {
		r := newWorld(t).get(c.target)
		if c.target == "/../portal.go" && r.Code == http.StatusTemporaryRedirect {
			continue // the mux cleans the path; what it leads to is /portal.go, which is not there
		}
		p := decode[Problem](t, r)
		if r.Code != c.status || p.Status != c.status || p.Code != c.code || r.Header().Get("Content-Type") != "application/problem+json" ||
			!strings.HasSuffix(p.Detail, ".") {
			t.Errorf("%s: %d %+v", c.target, r.Code, p)
		}
		if c.names != "" && (len(p.Names) == 0 || p.Names[0] != c.names) {
			t.Errorf("%s: names %v, want %s first", c.target, p.Names, c.names)
		}
	}
}

// I7: an identity number that somebody puts into a URL comes back nowhere.
func TestNothingPersonalIsRepeated(t *testing.T) {
	const number = "532999199003072316"
	for _, target := range []string{
		"/api/v1/metrics/" + number, "/api/v1/metrics/citizen_time?department=" + number, "/api/v1/metrics/citizen_time?by=" + number,
		"/api/v1/metrics/citizen_time?" + number + "=1", "/api/v1/metrics/citizen_time?from=" + number, "/" + number,
	} {
		w := newWorld(t)
		w.figures.err = errors.New("an engine that says " + number)
		if r := w.get(target); r.Code < 400 || strings.Contains(r.Body.String(), number) || strings.Contains(fmt.Sprint(r.Header()), number) {
			t.Errorf("%s: %d %s", target, r.Code, r.Body)
		}
		if m := w.get("/metrics"); strings.Contains(m.Body.String(), number) {
			t.Errorf("%s: the number is in a metric's label", target)
		}
	}
}

// A metric that refuses says why; it does not look like an outage.
func TestRefusal(t *testing.T) {
	w := newWorld(t)
	w.figures.refuse = &metrics.InputError{Message: "legal_time cannot be told: the calendar of 2027 is not published"}
	r := w.get("/api/v1/metrics/legal_time?from=2026-07&to=2026-09")
	if p := decode[Problem](t, r); r.Code != 422 || p.Code != "refused" || !strings.Contains(p.Detail, "calendar") {
		t.Errorf("%d %+v", r.Code, p)
	}
}

func TestCSV(t *testing.T) {
	w := newWorld(t)
	for _, headers := range [][]string{{"Accept", "text/csv"}, {"Accept", "text/csv;q=0.9, application/json;q=0.5"}} {
		if r := w.get("/api/v1/metrics/citizen_time", headers...); r.Header().Get("Content-Type") != "text/csv; charset=utf-8" {
			t.Errorf("%v: %s", headers, r.Header().Get("Content-Type"))
		}
	}
	if r := w.get("/api/v1/metrics/citizen_time?format=json", "Accept", "text/csv"); r.Header().Get("Content-Type") != "application/json" {
		t.Error("format=json does not go before the Accept header")
	}
	r := w.get("/api/v1/metrics/repeat_rate?by=department&format=csv")
	body, marked := strings.CutPrefix(r.Body.String(), "\ufeff")
	if !marked {
		t.Error("no byte order mark: Excel would show Chinese names as noise")
	}
	if got := r.Header().Get("Content-Disposition"); got != `attachment; filename="repeat_rate_department_2026-07_2026-09.csv"` {
		t.Error(got)
	}
	table, err := csv.NewReader(strings.NewReader(body)).ReadAll()
	if err != nil || len(table) != 7 || table[0][0] != "department" || table[1][1] != "民政局" || table[1][14] != "repeat_rate" {
		t.Errorf("%v %v", err, table)
	}
}

func TestCSVRunsNoFormula(t *testing.T) {
	value := -0.5
	labels := Labels{Items: []metrics.Label{{Key: "=1+1", Zh: "@SUM(A1)", En: `=HYPERLINK("http://x","y")`}, {Key: "＝cmd", Zh: " +1", En: "plain, with \"quotes\""}}}
	result := metrics.Result{Metric: "m", By: "item", Rows: []metrics.Row{{Key: "=1+1", Value: &value}, {Key: "＝cmd"}, {Key: "-x"}, {Key: "\t=1"}, {Key: "a=b"}}}
	table, err := csv.NewReader(bytes.NewReader(bytes.TrimPrefix(resultCSV(&metrics.Definition{}, result, labels), []byte("\ufeff")))).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, row := range table[1:] {
		got = append(got, row[:4]...)
	}
	want := []string{
		"'=1+1", "'@SUM(A1)", `'=HYPERLINK("http://x","y")`, "-0.5", "'＝cmd", "' +1", `plain, with "quotes"`, "",
		"'-x", "", "", "", "'\t=1", "", "", "", "a=b", "", "", "",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestCacheLastsUntilTheNextLoad(t *testing.T) {
	w := newWorld(t)
	ask := func(target string, want int64) {
		t.Helper()
		if r := w.get(target); r.Code != 200 || w.figures.asked.Load() != want {
			t.Errorf("%s: %d, figures computed %d times, want %d", target, r.Code, w.figures.asked.Load(), want)
		}
	}
	ask("/api/v1/metrics/citizen_time?department=health&item=11MZ00101", 1)
	ask("/api/v1/metrics/citizen_time?item=11MZ00101&department=health", 1)
	ask("/api/v1/metrics/citizen_time?department=health", 2)
	ask("/api/v1/metrics/citizen_time?department=health&format=csv", 2)
	w.flow.generation.Add(1)
	ask("/api/v1/metrics/citizen_time?department=health", 3)
	ask("/api/v1/metrics/citizen_time?department=health", 3)
}

func TestCacheIsBoundedAndKeepsNoFault(t *testing.T) {
	c := newFigureCache(func() uint64 { return 1 })
	for i := range 3 * cacheEntries {
		cached(t.Context(), c, fmt.Sprint(i), func(context.Context) (int, error) { return i, nil })
	}
	if len(c.entries) != cacheEntries || len(c.order) != cacheEntries {
		t.Errorf("%d entries, %d in order", len(c.entries), len(c.order))
	}
	fault := errors.New("fault")
	if _, err := cached(t.Context(), c, "x", func(context.Context) (int, error) { return 0, fault }); err != fault {
		t.Error(err)
	}
	if v, err := cached(t.Context(), c, "x", func(context.Context) (int, error) { return 7, nil }); v != 7 || err != nil {
		t.Error(v, err)
	}
}

func TestEqualQuestionsAreAskedOnce(t *testing.T) {
	w := newWorld(t)
	w.figures.slow = make(chan struct{})
	var readers sync.WaitGroup
	for range 8 {
		readers.Go(func() { w.get("/api/v1/metrics/citizen_time") })
	}
	close(w.figures.slow)
	readers.Wait()
	if n := w.figures.asked.Load(); n != 1 {
		t.Errorf("computed %d times", n)
	}
}

func TestConditionalRequests(t *testing.T) {
	w := newWorld(t)
	etag := w.get("/api/v1/labels").Header().Get("ETag")
	if r := w.get("/api/v1/labels", "If-None-Match", etag); r.Code != http.StatusNotModified || r.Body.Len() != 0 {
		t.Errorf("%d with %d bytes", r.Code, r.Body.Len())
	}
}

func TestHealth(t *testing.T) {
	w := newWorld(t)
	if r := w.get("/readyz"); r.Code != 200 {
		t.Error(r.Code)
	}
	w.flow.ready = errors.Join(errors.New("the bus does not answer"), errors.New("the warehouse does not answer"))
	r := w.get("/readyz")
	if p := decode[Problem](t, r); r.Code != 503 || p.Code != "not_ready" || len(p.Errors) != 2 || r.Header().Get("Retry-After") == "" {
		t.Errorf("%d %+v", r.Code, p)
	}
	w.figures.err, w.flow.err = errors.New("away"), errors.New("away")
	for target, status := range map[string]int{"/healthz": 200, "/api/v1/flow": 503, "/api/v1/county": 503, "/api/v1/metrics/legal_time": 503, "/api/v1/labels": 503, "/api/v1/interventions": 503} {
		if r := w.get(target); r.Code != status {
			t.Errorf("%s: %d, want %d", target, r.Code, status)
		}
	}
	if !strings.Contains(w.logged.String(), "away") {
		t.Error("the cause is not in the log")
	}
}

func TestFlowStatus(t *testing.T) {
	s := decode[Status](t, newWorld(t).get("/api/v1/flow"))
	if s.State != Running || s.Quarantined != 1326 || len(s.ByOwner) != 3 || s.Generation != 1 {
		t.Errorf("%+v", s)
	}
	w := newWorld(t)
	w.flow.status = Status{State: Starting}
	if body := w.get("/api/v1/flow").Body.String(); strings.Contains(body, `"sources":null`) {
		t.Error(body)
	}
}

func TestOnlyReading(t *testing.T) {
	for _, method := range []string{"POST", "PUT", "DELETE", "PATCH", "OPTIONS"} {
		for _, target := range []string{"/", "/api/v1/county", "/metrics"} {
			if r := newWorld(t).ask(method, target); r.Code != 405 || r.Header().Get("Allow") != "GET, HEAD" {
				t.Errorf("%s %s: %d", method, target, r.Code)
			}
		}
	}
	if r := newWorld(t).ask("HEAD", "/api/v1/county"); r.Code != 200 || r.Body.Len() != 0 {
		t.Errorf("HEAD: %d with %d bytes", r.Code, r.Body.Len())
	}
}

func TestHostHeader(t *testing.T) {
	for _, c := range []struct {
		listen, host string
		status       int
	}{
		{"127.0.0.1:8080", "127.0.0.1:8080", 200}, {"127.0.0.1:8080", "localhost:9", 200}, {"[::1]:8080", "[::1]:8080", 200},
		{"[::1]:8080", "[::1]", 200}, {"localhost:8080", "shire.localhost", 200}, {"127.0.0.1:8080", "evil.example", 421},
		{"127.0.0.1:8080", "127.0.0.1.evil.example:8080", 421}, {"localhost:8080", "10.0.0.1", 421}, {"127.0.0.1:8080", "", 421},
		{"0.0.0.0:8080", "data.county.example", 200}, {":8080", "10.0.0.1:8080", 200},
	} {
		w := newWorld(t, func(o *Options) { o.Listen = c.listen })
		for _, target := range []string{"/healthz", "/", "/api/v1/county", "/metrics"} {
			if r := w.get(target, "Host", c.host); r.Code != c.status {
				t.Errorf("listening on %s, %s asked of host %q: %d, want %d", c.listen, target, c.host, r.Code, c.status)
			}
		}
	}
}

func TestHeaders(t *testing.T) {
	w := newWorld(t)
	for _, target := range []string{"/", "/api/v1/county", "/nothing"} {
		h := w.get(target).Header()
		for name, want := range map[string]string{
			"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Content-Security-Policy": contentSecurityPolicy,
		} {
			if h.Get(name) != want {
				t.Errorf("%s: %s is %q", target, name, h.Get(name))
			}
		}
	}
	if strings.Contains(contentSecurityPolicy, "http") {
		t.Error("the application may ask others")
	}
}

func TestStaticCaching(t *testing.T) {
	script := strings.Repeat("let shire = 1;\n", 100)
	s := newStatic(fstest.MapFS{
		"index.html": {Data: []byte("<!doctype html>")}, "assets/index-a1b2.js": {Data: []byte(script)}, ".gitkeep": {},
	})
	get := func(target string, headers ...string) *httptest.ResponseRecorder {
		r := httptest.NewRequest("GET", target, nil)
		for i := 0; i+1 < len(headers); i += 2 {
			r.Header.Set(headers[i], headers[i+1])
		}
		recorder := httptest.NewRecorder()
		s.ServeHTTP(recorder, r)
		return recorder
	}
	if r := get("/"); r.Code != 200 || r.Header().Get("Cache-Control") != "no-cache" || !strings.HasPrefix(r.Header().Get("Content-Type"), "text/html") {
		t.Errorf("%d %v", r.Code, r.Header())
	}
	asset := get("/assets/index-a1b2.js", "Accept-Encoding", "gzip, br")
	if h := asset.Header(); !strings.Contains(h.Get("Cache-Control"), "immutable") || h.Get("Content-Encoding") != "gzip" || asset.Body.Len() >= len(script) {
		t.Errorf("%v, %d bytes", h, asset.Body.Len())
	}
	if r := get("/assets/index-a1b2.js"); r.Body.String() != script {
		t.Error("not the plain file without Accept-Encoding")
	}
	if r := get("/assets/index-a1b2.js", "If-None-Match", asset.Header().Get("ETag")); r.Code != 304 {
		t.Error(r.Code)
	}
	if r := get("/.gitkeep"); r.Code != 404 {
		t.Error(r.Code)
	}
	s = newStatic(fstest.MapFS{".gitkeep": {}})
	if r := get("/"); r.Code != 200 || !strings.Contains(r.Body.String(), "make web") {
		t.Errorf("without a build: %d %s", r.Code, r.Body)
	}
}

func TestOpenAPI(t *testing.T) {
	w := newWorld(t)
	r := w.get("/openapi.json")
	document := decode[struct {
		OpenAPI string
		Paths   map[string]map[string]struct {
			OperationID string
			Responses   map[string]any
		}
		Components struct {
			Schemas map[string]struct {
				Properties map[string]struct{ Type any }
			}
		}
	}](t, r)
	if document.OpenAPI != "3.1.0" || len(document.Paths) != len(w.routes) {
		t.Errorf("%s, %d paths for %d routes", document.OpenAPI, len(document.Paths), len(w.routes))
	}
	ids := map[string]bool{}
	for _, route := range w.routes {
		get, ok := document.Paths[route.Path][strings.ToLower(route.method())]
		if !ok || get.OperationID == "" || ids[get.OperationID] {
			t.Errorf("%s is not described, or its operationId is there twice", route.Path)
		}
		ids[get.OperationID] = true
	}
	if row := document.Components.Schemas["Row"]; fmt.Sprint(row.Properties["value"].Type) != "[number null]" {
		t.Errorf("a suppressed value is null, but the schema says %v", row.Properties["value"].Type)
	}
	// Whatever is referred to must be there.
	for reference := range strings.SplitSeq(r.Body.String(), `"$ref":"`) {
		name, found := strings.CutPrefix(reference, "#/components/schemas/")
		name, _, _ = strings.Cut(name, `"`)
		if _, ok := document.Components.Schemas[name]; found && !ok {
			t.Errorf("the schema %s is missing", name)
		}
	}
}

func TestPrometheus(t *testing.T) {
	w := newWorld(t)
	w.get("/api/v1/metrics/citizen_time")
	body, _ := io.ReadAll(w.get("/metrics").Body)
	if want := `shire_portal_requests_total{route="/api/v1/metrics/{name}",status="200"} 1`; !strings.Contains(string(body), want) {
		t.Errorf("%s is not in\n%s", want, body)
	}
}

func TestNewRefuses(t *testing.T) {
	for name, change := range map[string]func(*Options){
		"no figures":        func(o *Options) { o.Figures = nil },
		"no flow":           func(o *Options) { o.Flow = nil },
		"no metric":         func(o *Options) { o.Definitions = nil },
		"no such time zone": func(o *Options) { o.County.TimeZone = "Asia/Nowhere" },
		"no port":           func(o *Options) { o.Listen = "127.0.0.1" },
	} {
		o := Options{County: testCounty, Figures: &fakeFigures{}, Flow: &fakeFlow{}, Definitions: definitions()}
		change(&o)
		if _, err := New(o); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestComparisonAndQuantile(t *testing.T) {
	const base = "/api/v1/metrics/citizen_time"
	w := newWorld(t)
	for _, target := range []string{base + "?compare=previous", base + "?compare=year&by=month", base + "?quantile=0.75"} {
		if r := w.get(target); r.Code != 200 {
			t.Errorf("%s: %d %s", target, r.Code, r.Body)
		}
	}
	if asked := w.figures.asked.Load(); asked != 3 {
		t.Errorf("three different questions were asked %d times", asked)
	}
	for target, name := range map[string]string{
		base + "?compare=last": "", base + "?quantile=1.5": "", base + "?quantile=1e-1": "", base + "?quantile=0.0": "",
		"/api/v1/metrics/repeat_rate?quantile=0.5": "", base + "?quantil=0.5": "quantile",
	} {
		p := decode[Problem](t, w.get(target))
		if p.Status != 400 || name != "" && !slices.Contains(p.Names, name) {
			t.Errorf("%s: %+v", target, p)
		}
	}
}

func TestProcess(t *testing.T) {
	w := newWorld(t)
	r := w.get("/api/v1/process?item=11MZ00101&from=2026-07&to=2026-09&limit=20")
	if p := decode[metrics.Process](t, r); r.Code != 200 || p.Item != "11MZ00101" || p.Cases != 12 || p.From != "2026-07" || len(p.ListedVariants) != 2 || p.Follows == nil {
		t.Errorf("%d %+v", r.Code, p)
	}
	if strings.Contains(r.Body.String(), `"restated"`) {
		t.Errorf("what is known now has changed since: %s", r.Body)
	}
	// As it was known on a day, with what has changed since; that nothing has is said, too (I9).
	for known, want := range map[string]string{
		"2026-08-15": `"restated":[{"dataset":"case_steps","change":"corrected","records":41},{"dataset":"","change":"merge","records":3}]`, "2026-07-15": `"restated":[]`,
	} {
		r := w.get("/api/v1/process?from=2026-07&to=2026-09&known=" + known)
		if p := decode[metrics.Process](t, r); r.Code != 200 || !strings.HasPrefix(p.Known, known+"T23:59:59") || !strings.Contains(r.Body.String(), want) {
			t.Errorf("%d %s, want %s", r.Code, r.Body, want)
		}
	}
	for target, name := range map[string]string{
		"?item=nowhere": "", "?known=yesterday": "", "?known=2026-02-30": "", "?know=2026-08-15": "known", "?from=2026-09&to=2026-07": "", "?limit=0": "", "?limit=1001": "", "?limit=x": "", "?itm=11MZ00101": "item", "?item=": "",
		"?from=532999199003072316": "", "?532999199003072316=1": "",
	} {
		r := w.get("/api/v1/process" + target)
		p := decode[Problem](t, r)
		if p.Status != 400 || name != "" && !slices.Contains(p.Names, name) || strings.Contains(r.Body.String(), "532999199003072316") {
			t.Errorf("%s: %+v", target, p)
		}
	}
	w.figures.err = errors.New("away")
	if r := newWorld(t, func(o *Options) { o.Figures = w.figures }).get("/api/v1/process?from=2026-07&to=2026-09"); r.Code != 503 {
		t.Errorf("%d %s", r.Code, r.Body)
	}
}
