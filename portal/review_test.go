package portal

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/shirecounty/shire/pipeline/identity/review"
	"github.com/shirecounty/shire/schemas/pseudonym"
)

// reviewWorld is a portal with the review switched on, and a browser of sorts.
type reviewWorld struct {
	*world
	desk      *fakeDesk
	reviewers *fakeReviewers
	accesses  *fakeAccesses
	clock     time.Time
	cookie    string
	remote    string
}

func newReview(t *testing.T, change ...func(*Options)) *reviewWorld {
	t.Helper()
	v := &reviewWorld{desk: newDesk(), reviewers: newReviewers(), accesses: &fakeAccesses{}, clock: time.Date(2026, 11, 2, 9, 0, 0, 0, time.UTC), remote: "127.0.0.1:50000"}
	v.world = newWorld(t, append([]func(*Options){func(o *Options) {
		o.Review, o.Reviewers, o.Accesses, o.Models = v.desk, v.reviewers, v.accesses, shippedModel
		o.now = func() time.Time { return v.clock }
	}}, change...)...)
	return v
}

// do asks as the portal's own page does; headers replace those of the page, "" takes one away.
func (v *reviewWorld) do(method, target, body string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	r.Host, r.RemoteAddr = "127.0.0.1:8080", v.remote
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	r.Header.Set("Origin", "http://127.0.0.1:8080")
	r.Header.Set(reviewHeader, "1")
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	if v.cookie != "" {
		r.Header.Set("Cookie", reviewCookie+"="+v.cookie)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		if headers[i] == "Host" {
			r.Host = headers[i+1]
		}
		if r.Header.Set(headers[i], headers[i+1]); headers[i+1] == "" {
			r.Header.Del(headers[i])
		}
	}
	recorder := httptest.NewRecorder()
	v.Handler().ServeHTTP(recorder, r)
	return recorder
}

func (v *reviewWorld) signIn(name, password string) *httptest.ResponseRecorder {
	r := v.do("POST", "/api/v1/review/session", fmt.Sprintf(`{"name":%q,"password":%q}`, name, password))
	for _, c := range r.Result().Cookies() {
		if c.Name == reviewCookie {
			v.cookie = c.Value
		}
	}
	return r
}

func signedInReview(t *testing.T, change ...func(*Options)) *reviewWorld {
	t.Helper()
	v := newReview(t, change...)
	if r := v.signIn(testReviewer, "only-for-tests"); r.Code != 200 {
		t.Fatalf("signing in: %d %s", r.Code, r.Body)
	}
	return v
}

var (
	firstCase    = fmt.Sprintf("/api/v1/review/cases/%s/%s", recordID(1), recordID(2))
	firstVerdict = fmt.Sprintf("/api/v1/review/verdicts/person/%s/%s", recordID(1), recordID(2))
)

func judgement(a, b pseudonym.ID, decision, reason string) string {
	return fmt.Sprintf(`{"about":"person","a":%q,"b":%q,"decision":%q,"reason":%q}`, a, b, decision, reason)
}

// everything is each operation that only a reviewer may ask for.
func everything() [][3]string {
	return [][3]string{
		{"GET", "/api/v1/review/session", ""}, {"GET", "/api/v1/review/queue", ""}, {"GET", "/api/v1/review/model", ""}, {"GET", firstCase, ""},
		{"POST", "/api/v1/review/verdicts", judgement(recordID(1), recordID(2), "same", "same mother")}, {"DELETE", firstVerdict, ""},
	}
}

func TestNoReviewUnlessSwitchedOn(t *testing.T) {
	w := newWorld(t)
	for _, e := range everything() {
		if r := w.ask(e[0], e[1]); r.Code != 404 || decode[Problem](t, r).Code != codeReviewOff {
			t.Errorf("%s %s: %d %s", e[0], e[1], r.Code, r.Body)
		}
	}
	if r := w.get("/review"); r.Code != 404 {
		t.Error(r.Code)
	}
	if body := w.get("/api/v1/county").Body.String() + w.get("/openapi.json").Body.String(); strings.Contains(body, "review/") || strings.Contains(body, `"review":true`) {
		t.Error("the county says that there is a review")
	}
	v := newReview(t)
	if r := v.get("/review"); r.Code != 200 || !strings.HasPrefix(r.Header().Get("Content-Type"), "text/html") {
		t.Errorf("%d %v", r.Code, r.Header())
	}
	if !decode[County](t, v.get("/api/v1/county")).Review {
		t.Error("the county does not say that there is a review")
	}
	for name, change := range map[string]func(*Options){
		"reviewers": func(o *Options) { o.Review, o.Accesses = newDesk(), &fakeAccesses{} },
		"accesses":  func(o *Options) { o.Review, o.Reviewers = newDesk(), newReviewers() },
	} {
		o := Options{County: testCounty, Figures: &fakeFigures{}, Flow: &fakeFlow{}, Definitions: definitions()}
		change(&o)
		if _, err := New(o); err == nil {
			t.Errorf("a review without %s was made", name)
		}
	}
}

func TestReviewIsClosed(t *testing.T) {
	for _, cookie := range []string{"", "x", strings.Repeat("A", 43)} {
		v := newReview(t)
		v.cookie = cookie
		for _, e := range everything() {
			if r := v.do(e[0], e[1], e[2]); r.Code != 401 || decode[Problem](t, r).Code != codeSignedOut {
				t.Errorf("%s %s with cookie %q: %d %s", e[0], e[1], cookie, r.Code, r.Body)
			}
		}
		if len(v.accesses.list)+len(v.desk.decided) > 0 {
			t.Error("something was read or decided")
		}
	}
}

func TestQueueAndModel(t *testing.T) {
	v := signedInReview(t)
	q := decode[Queue](t, v.do("GET", "/api/v1/review/queue?about=person&limit=2", ""))
	if q.Total != 4 || len(q.Items) != 2 || q.Items[0].Settles != 28 || q.Items[0].A != recordID(1) {
		t.Errorf("%+v", q)
	}
	if body := v.do("GET", "/api/v1/review/queue?about=organisation", "").Body.String(); body != `{"total":0,"items":[]}`+"\n" {
		t.Error(body)
	}
	m := decode[Wording](t, v.do("GET", "/api/v1/review/model", ""))
	if len(m.Comparisons) == 0 || m.Comparisons[0].ZH == "" || len(m.Doubts) == 0 || m.Link != 4248 || m.Review != -4248 {
		t.Errorf("%+v", m)
	}
	if m := decode[Wording](t, v.do("GET", "/api/v1/review/model?about=organisation", "")); m.Comparisons == nil {
		t.Errorf("%+v", m)
	}
	if len(v.accesses.list) != 0 {
		t.Error("neither of them shows a person, and an access was written")
	}
}

func TestCaseIsWrittenDownFirst(t *testing.T) {
	v := signedInReview(t)
	for _, target := range []string{firstCase, fmt.Sprintf("/api/v1/review/cases/%s/%s?about=person", recordID(2), recordID(1))} { // in either order
		r := v.do("GET", target, "")
		c := decode[review.Case](t, r)
		if r.Code != 200 || c.Left.Record.Values[0] != "欧阳慧敏" || len(c.Left.Neighbours) != 3 || c.Explanation == nil {
			t.Errorf("%d %s", r.Code, r.Body)
		}
		if h := r.Header(); h.Get("Cache-Control") != "no-store" || h.Get("ETag") != "" {
			t.Errorf("a cache may keep it: %v", h)
		}
	}
	want := Access{
		At: v.clock, Caller: "portal/review", Clerk: testReviewer, Purpose: "identity review", Persons: []pseudonym.ID{recordID(1001), recordID(1002)},
		Fields: []string{"name", "id_number", "sex", "birth_date", "phone", "address"}, Decision: "granted",
	}
	if got := v.accesses.list; len(got) != 2 || fmt.Sprint(got[0]) != fmt.Sprint(want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	v.accesses.err = errFault
	r := v.do("GET", firstCase, "")
	if p := decode[Problem](t, r); r.Code != 503 || p.Code != codeNotRecorded || r.Header().Get("Retry-After") == "" || strings.Contains(r.Body.String(), "欧阳") {
		t.Errorf("%d %s", r.Code, r.Body)
	}
}

func TestVerdicts(t *testing.T) {
	v := signedInReview(t)
	a, b := recordID(1), recordID(2)
	for _, c := range []struct {
		name, body string
		status     int
	}{
		{"same, the pair the wrong way round", judgement(b, a, "same", "  同一电话，同一天出生 "), 204},
		{"unsure without a reason", judgement(recordID(11), recordID(12), "unsure", ""), 204},
		{"different", judgement(recordID(21), recordID(22), "different", "two people"), 204},
		{"same without a reason", judgement(a, b, "same", ""), 400},
		{"a reason of two characters", judgement(a, b, "different", " 不同 "), 400},
		{"unsure with a reason of one character", judgement(a, b, "unsure", "x"), 400},
		{"a reason without an end", judgement(a, b, "same", strings.Repeat("长", 501)), 400},
		{"no such decision", judgement(a, b, "maybe", "because"), 400},
		{"one record", judgement(a, a, "same", "because"), 400},
		{"no record", judgement(pseudonym.ID{}, b, "same", "because"), 400},
		{"an unknown pair", judgement(a, recordID(99), "same", "because"), 404},
		{"no such about", strings.Replace(judgement(a, b, "same", "because"), "person", "dog", 1), 400},
		{"a field too many", strings.Replace(judgement(a, b, "same", "because"), "{", `{"reviewer":"王强",`, 1), 400},
		{"an id that is none", `{"about":"person","a":"339921198601201134","b":"x","decision":"same","reason":"because"}`, 400},
		{"no JSON", "339921198601201134", 400},
		{"nothing", "", 415},
		{"too much", judgement(a, b, "same", strings.Repeat("x", mostBody)), 400},
	} {
		r := v.do("POST", "/api/v1/review/verdicts", c.body)
		if r.Code != c.status || strings.Contains(r.Body.String(), "339921") {
			t.Errorf("%s: %d %s", c.name, r.Code, r.Body)
		}
		if r.Code >= 400 {
			if p := decode[Problem](t, r); p.Detail == "" || p.DetailZh == "" || !strings.HasSuffix(p.DetailZh, "。") {
				t.Errorf("%s: %+v", c.name, p)
			}
		}
	}
	if len(v.desk.decided) != 3 {
		t.Fatalf("%+v", v.desk.decided)
	}
	want := review.Verdict{About: "person", A: a, B: b, Decision: "same", Reviewer: testReviewer, Reason: "同一电话，同一天出生", At: v.clock}
	if got := v.desk.decided[0]; got != want {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if q := decode[Queue](t, v.do("GET", "/api/v1/review/queue", "")); q.Total != 1 {
		t.Errorf("%+v", q)
	}
	if r := v.do("DELETE", firstVerdict, ""); r.Code != 204 {
		t.Errorf("%d %s", r.Code, r.Body)
	}
	if r := v.do("DELETE", firstVerdict, ""); r.Code != 404 {
		t.Errorf("withdrawn twice: %d %s", r.Code, r.Body)
	}
	v.desk.contrary = "These records were told apart on 3 October."
	if r := v.do("POST", "/api/v1/review/verdicts", judgement(a, b, "same", "because")); r.Code != 409 || decode[Problem](t, r).Detail != v.desk.contrary {
		t.Errorf("%d %s", r.Code, r.Body)
	}
}

func TestReviewProblems(t *testing.T) {
	v := signedInReview(t)
	for _, c := range []struct {
		target string
		status int
	}{
		{"/api/v1/review/queue?about=dog", 400}, {"/api/v1/review/queue?limit=0", 400}, {"/api/v1/review/queue?limit=999", 400}, {"/api/v1/review/queue?limit=x", 400},
		{"/api/v1/review/model?about=339921198601201134", 400}, {"/api/v1/review/cases/339921198601201134/x", 400},
		{fmt.Sprintf("/api/v1/review/cases/%s/%s", recordID(1), recordID(1)), 400}, {fmt.Sprintf("/api/v1/review/cases/%s/%s", recordID(1), recordID(3)), 404},
		{firstCase + "?about=organisation", 404}, {firstCase + "?about=dog", 400}, {"/api/v1/review/nothing", 404},
	} {
		r := v.do("GET", c.target, "")
		if p := decode[Problem](t, r); r.Code != c.status || p.Detail == "" || strings.Contains(r.Body.String(), "339921") {
			t.Errorf("%s: %d %s", c.target, r.Code, r.Body)
		}
	}
	for target, allow := range map[string]string{"/api/v1/review/session": "DELETE, GET, HEAD, POST", "/api/v1/review/verdicts": "POST", "/review": "GET, HEAD"} {
		if r := v.do("PUT", target, ""); r.Code != 405 || r.Header().Get("Allow") != allow {
			t.Errorf("%s: %d, allowed %q", target, r.Code, r.Header().Get("Allow"))
		}
	}
}

// I7: what a desk or a log says when it fails may quote anybody. It gets no further.
func TestReviewFaultsAreQuiet(t *testing.T) {
	v := signedInReview(t)
	v.desk.err = fmt.Errorf("the review: %w", errFault)
	for _, e := range everything()[1:] {
		if e[1] == "/api/v1/review/model" {
			continue
		}
		r := v.do(e[0], e[1], e[2])
		if p := decode[Problem](t, r); r.Code != 503 || p.Code != codeUnavailable || p.DetailZh == "" {
			t.Errorf("%s %s: %d %s", e[0], e[1], r.Code, r.Body)
		}
		if all := r.Body.String() + fmt.Sprint(r.Header()); strings.Contains(all, "339921") || strings.Contains(all, "欧阳") {
			t.Errorf("%s %s says %s", e[0], e[1], all)
		}
	}
	v.desk.err, v.accesses.err = nil, errFault
	v.do("GET", firstCase, "")
	v.signIn("339921198601201134", "13905550123")
	v.do("GET", "/api/v1/review/cases/339921198601201134/13905550123", "")
	logged := v.logged.String() + v.get("/metrics").Body.String()
	for _, personal := range []string{"339921", "欧阳", "1390555", testReviewer, "only-for-tests", v.cookie} {
		if strings.Contains(logged, personal) {
			t.Errorf("%q is in the log or in a metric: %s", personal, logged)
		}
	}
	if !strings.Contains(logged, "the review cannot answer") || !strings.Contains(logged, `route="/api/v1/review/cases/{a}/{b}"`) {
		t.Errorf("the log does not say where: %s", logged)
	}
}

func TestOpenAPIOfTheReview(t *testing.T) {
	v := newReview(t)
	document := v.OpenAPI()
	body := v.get("/openapi.json").Body.String()
	for _, want := range []string{`"Case":`, `"Judgement":`, `"securitySchemes":`, `"requestBody":`, `"204":`, `"` + reviewHeader + `"`} {
		if !strings.Contains(body, want) {
			t.Errorf("%s is not described", want)
		}
	}
	paths := document["paths"].(map[string]any)
	for _, r := range v.routes {
		operation, ok := paths[r.Path].(map[string]any)[strings.ToLower(r.method())].(map[string]any)
		if !ok || operation["operationId"] != r.ID {
			t.Errorf("%s %s is not described", r.method(), r.Path)
		}
		if r.method() != http.MethodGet && !slices.ContainsFunc(r.Parameters, func(p parameter) bool { return p.Name == reviewHeader }) {
			t.Errorf("%s %s changes something and does not ask for %s", r.method(), r.Path, reviewHeader)
		}
	}
	if id := document["components"].(map[string]any)["schemas"].(map[string]any)["Judgement"].(map[string]any)["properties"].(map[string]any)["a"]; !strings.Contains(fmt.Sprint(id), "string") {
		t.Errorf("an id is %v, and is written as text", id)
	}
}

func TestUncertainVerdict(t *testing.T) {
	v := signedInReview(t)
	v.desk.err = fmt.Errorf("waiting: %w", context.DeadlineExceeded)
	if r := v.do("POST", "/api/v1/review/verdicts", judgement(recordID(1), recordID(2), "same", "because")); r.Code != 503 || decode[Problem](t, r).Code != codeUncertain {
		t.Errorf("%d %s", r.Code, r.Body)
	}
}
