package portal

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/shirecounty/shire/deploy/embedded"
	"github.com/shirecounty/shire/pipeline"
	"github.com/shirecounty/shire/pipeline/bus"
	"github.com/shirecounty/shire/schemas/calendar"
	"github.com/shirecounty/shire/schemas/catalogue"
	"github.com/shirecounty/shire/schemas/contract"
	"github.com/shirecounty/shire/schemas/pseudonym"
	"github.com/shirecounty/shire/schemas/sharing"
)

const insuredContract = "dataset: insured\ndepartment: social_security\nowner: {zh: 社保, en: Insurance}\ntitle: {zh: 参保, en: Insured}\nversion: 1\nkey: [number]\nsharing: {type: conditional}\n" +
	"fields:\n  - {name: number, type: identifier, required: true, sensitivity: internal}\n  - {name: name, type: chinese_name, sensitivity: personal}\n  - {name: wage, type: text, sensitivity: sensitive, sharing: none}\n" +
	"emits:\n  - {table: person_records, role: insured, columns: {name: name}}\n"

type fakeOfficers struct {
	departments map[string]string
}

func (f fakeOfficers) Department(name string) (string, error) { return f.departments[name], nil }
func (f fakeOfficers) Check(name, password string) (bool, error) {
	return f.departments[name] != "" && password == "only-for-tests", nil
}
func (f fakeOfficers) Since(name string) (time.Time, error) {
	if f.departments[name] == "" {
		return time.Time{}, nil
	}
	return time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), nil
}

// sharingWorld is a portal over a real exchange on a real bus, with an officer of each of four departments.
type sharingWorld struct {
	*world
	t        *testing.T
	exchange *pipeline.Exchange
	now      time.Time
	cookies  map[string]string
	officers fakeOfficers
}

type fakeCatalogue struct{ set contract.Set }

func (f fakeCatalogue) Catalogue(context.Context) (catalogue.Catalogue, error) {
	c := catalogue.Of(f.set)
	c.Number = 2
	c.Measure(map[string]catalogue.Measured{"insured": {Rows: 9, Quarantined: 1}})
	return c, nil
}
func (f fakeCatalogue) CatalogueAt(_ context.Context, n uint32) (catalogue.Catalogue, error) {
	if n > 2 {
		return catalogue.Catalogue{}, ErrUnknown
	}
	c := catalogue.Of(f.set)
	c.Number = n
	return c, nil
}
func (f fakeCatalogue) CatalogueVersions(context.Context, int) ([]catalogue.Version, error) {
	return []catalogue.Version{{Number: 2}, {Number: 1}}, nil
}

func newSharing(t *testing.T, change ...func(*Options)) *sharingWorld {
	t.Helper()
	engines, err := embedded.Start(t.Context(), embedded.Options{Dir: t.TempDir(), Version: "1.0.0", Log: slog.New(slog.DiscardHandler), ClickHouse: embedded.ClickHouseOptions{Disabled: true}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := engines.Stop(ctx); err != nil {
			t.Error(err)
		}
	})
	nc, err := nats.Connect(engines.NATS().URL, engines.NATS().InProcess()...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	b, err := bus.Open(t.Context(), nc, bus.Options{County: "339921", Replicas: 1})
	if err != nil {
		t.Fatal(err)
	}
	c, err := contract.Parse("insured.yaml", []byte(insuredContract), "Asia/Shanghai")
	if err != nil {
		t.Fatal(err)
	}
	purposes := map[string]contract.Text{"eligibility": {Zh: "资格", En: "Eligibility"}}
	world := func() sharing.World {
		return sharing.World{Contracts: contract.Set{"insured": c}, Purposes: []string{"eligibility"}, Lead: "data_bureau"}
	}
	rules, err := sharing.LoadRules(sharing.National())
	if err != nil {
		t.Fatal(err)
	}
	cal, err := calendar.Load(calendar.National())
	if err != nil {
		t.Fatal(err)
	}
	s := &sharingWorld{t: t, exchange: pipeline.NewExchange(b, world), now: time.Date(2026, 3, 2, 2, 0, 0, 0, time.UTC), cookies: map[string]string{}}
	s.officers = fakeOfficers{departments: map[string]string{"asker": "civil_affairs", "owner": "social_security", "lead": "data_bureau", "other": "tax"}}
	s.world = newWorld(t, append([]func(*Options){func(o *Options) {
		o.Catalogue = fakeCatalogue{contract.Set{"insured": c}}
		o.Requests = &RequestsOptions{Exchange: s.exchange, Officers: s.officers, World: world, Rules: rules, Calendar: cal, Purposes: purposes}
		o.now = func() time.Time { return s.now }
	}}, change...)...)
	for name := range s.officers.departments {
		r := s.as(name, "POST", "/api/v1/officers/session", fmt.Sprintf(`{"name":%q,"password":"only-for-tests"}`, name))
		if r.Code != 200 {
			t.Fatal(r.Code, r.Body)
		}
		s.cookies[name] = r.Result().Cookies()[0].Value
	}
	return s
}

// as asks as the portal's own page does, for somebody.
func (s *sharingWorld) as(name, method, target, body string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	r.Host = "127.0.0.1:8080"
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	r.Header.Set(requestsHeader, "1")
	r.Header.Set(supervisionHeader, "1")
	r.Header.Set("Content-Type", "application/json")
	if s.cookies[name] != "" {
		r.Header.Set("Cookie", requestsCookie+"="+s.cookies[name]+"; "+supervisionCookie+"="+s.cookies[name])
	}
	for i := 0; i+1 < len(headers); i += 2 {
		if r.Header.Set(headers[i], headers[i+1]); headers[i+1] == "" {
			r.Header.Del(headers[i])
		}
	}
	recorder := httptest.NewRecorder()
	s.Handler().ServeHTTP(recorder, r)
	return recorder
}

func asking(change func(*sharing.Terms)) string {
	from := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	terms := sharing.Terms{Dataset: "insured", Fields: map[string]sharing.Mask{"name": sharing.Partial}, Purpose: "eligibility", Items: []string{"I-1"}, From: from, Until: from.AddDate(1, 0, 0)}
	if change != nil {
		change(&terms)
	}
	text, err := json.Marshal(Asking{Terms: terms, Reason: "低保审核"})
	if err != nil {
		panic(err)
	}
	return string(text)
}

// A request goes its way: who may see it sees it, who may act acts, everybody else is refused with a code and in both languages.
func TestRequestsGoTheirWay(t *testing.T) {
	s := newSharing(t)
	refused := func(r *httptest.ResponseRecorder, status int, code string) {
		t.Helper()
		p := decode[Problem](t, r)
		if r.Code != status || p.Code != code || p.Detail == "" || p.DetailZh == "" {
			t.Errorf("%d %s; want %d %s", r.Code, r.Body, status, code)
		}
	}
	refused(s.as("", "GET", "/api/v1/requests", ""), 401, codeSignedOut)
	refused(s.as("", "POST", "/api/v1/requests", asking(nil)), 401, codeSignedOut)
	refused(s.as("asker", "POST", "/api/v1/requests", asking(nil), requestsHeader, ""), 403, codeForeign)
	refused(s.as("asker", "POST", "/api/v1/requests", asking(nil), "Sec-Fetch-Site", "cross-site"), 403, codeForeign)
	secret := "110101199003070000"
	for name, spoil := range map[string]func(*sharing.Terms){
		"dataset": func(x *sharing.Terms) { x.Dataset = secret }, "field": func(x *sharing.Terms) { x.Fields[secret] = sharing.Full }, "mask": func(x *sharing.Terms) { x.Fields["name"] = sharing.Mask(secret) },
		"purpose": func(x *sharing.Terms) { x.Purpose = secret }, "item": func(x *sharing.Terms) { x.Items = []string{"张三 " + secret} }, "division": func(x *sharing.Terms) { x.Rows.Divisions = []string{"x" + secret} },
	} {
		r := s.as("asker", "POST", "/api/v1/requests", asking(spoil))
		if refused(r, 400, codeBadTerms); strings.Contains(r.Body.String(), secret) {
			t.Errorf("%s: what was written comes back: %s", name, r.Body)
		}
	}
	r := s.as("asker", "POST", "/api/v1/requests", asking(func(x *sharing.Terms) { x.Fields["wage"] = sharing.Full }))
	if refused(r, 409, codeRefusedAct); !slices.Equal(decode[Problem](t, r).Errors, []string{"not_shared"}) {
		t.Error(r.Body)
	}
	refused(s.as("asker", "POST", "/api/v1/requests", asking(func(x *sharing.Terms) { x.Until = x.From })), 400, codeBadTerms)
	refused(s.as("owner", "POST", "/api/v1/requests", asking(nil)), 409, codeRefusedAct) // its own dataset
	made := s.as("asker", "POST", "/api/v1/requests", asking(nil))
	q := decode[DataRequest](t, made)
	if made.Code != 200 || q.State != sharing.Asked || q.Clock == nil || *q.Clock.Due != "2026-03-16" || *q.Clock.Left != 10 || q.Clock.Overdue || !slices.Equal(q.May, []sharing.Act{sharing.Withdraw}) {
		t.Fatal(made.Code, made.Body)
	}
	at := "/api/v1/requests/" + q.ID
	act := func(who string, a Acting) *httptest.ResponseRecorder {
		text, err := json.Marshal(a)
		if err != nil {
			t.Fatal(err)
		}
		return s.as(who, "POST", at+"/acts", string(text))
	}
	for who, code := range map[string]int{"asker": 200, "owner": 200, "lead": 200, "other": 404} {
		if r := s.as(who, "GET", at, ""); r.Code != code {
			t.Errorf("%s: %d", who, r.Code)
		}
		if page := decode[RequestPage](t, s.as(who, "GET", "/api/v1/requests", "")); page.Total != map[int]int{200: 1, 404: 0}[code] {
			t.Errorf("%s sees %d requests", who, page.Total)
		}
	}
	refused(act("other", Acting{Act: sharing.Withdraw}), 404, codeUnknownRequest)
	refused(act("owner", Acting{Act: sharing.Approve}), 400, codeBadTerms) // without terms
	wide := q.Terms
	wide.Fields = map[string]sharing.Mask{"name": sharing.Full}
	refused(act("owner", Acting{Act: sharing.Approve, Terms: &wide}), 409, codeRefusedAct)
	refused(act("asker", Acting{Act: sharing.Approve, Terms: &q.Terms}), 409, codeRefusedAct)
	refused(act("owner", Acting{Act: sharing.Refuse, Reason: "why"}), 409, codeRefusedAct)
	refused(act("owner", Acting{Act: "steal"}), 400, codeBadParameter)
	refused(act("owner", Acting{Act: sharing.GiveBack, Reason: strings.Repeat("字", 2001)}), 400, codeBadParameter)

	// Three weeks later it is overdue: everybody may see that, and nothing of the terms.
	s.now = s.now.AddDate(0, 0, 21)
	for name := range s.officers.departments {
		delete(s.cookies, name)
	}
	r = s.as("", "GET", "/api/v1/requests/overdue", "")
	if list := decode[[]OverdueRequest](t, r); r.Code != 200 || len(list) != 1 || list[0].ID != q.ID || *list[0].Clock.Left != -5 || strings.Contains(r.Body.String(), "I-1") || strings.Contains(r.Body.String(), "eligibility") {
		t.Error(r.Body)
	}
	for name := range s.officers.departments { // the sessions are over by now
		refused(s.as(name, "GET", "/api/v1/requests", ""), 401, codeSignedOut)
		s.cookies[name] = s.as(name, "POST", "/api/v1/officers/session", fmt.Sprintf(`{"name":%q,"password":"only-for-tests"}`, name)).Result().Cookies()[0].Value
	}
	for _, step := range []struct {
		who   string
		a     Acting
		state sharing.State
	}{
		{"owner", Acting{Act: sharing.Approve, Terms: &q.Terms}, sharing.Approved}, {"lead", Acting{Act: sharing.Deliver}, sharing.Live},
		{"lead", Acting{Act: sharing.Suspend, Reason: "核查"}, sharing.Suspended}, {"owner", Acting{Act: sharing.Resume}, sharing.Live},
		{"owner", Acting{Act: sharing.Review}, sharing.Live}, {"owner", Acting{Act: sharing.Revoke, Reason: "到期"}, sharing.Revoked},
	} {
		if r := act(step.who, step.a); r.Code != 200 || decode[DataRequest](t, r).State != step.state {
			t.Fatalf("%s by %s: %d %s", step.a.Act, step.who, r.Code, r.Body)
		}
	}
	if list := decode[[]OverdueRequest](t, s.as("", "GET", "/api/v1/requests/overdue", "")); len(list) != 0 {
		t.Errorf("%+v", list)
	}
	history := decode[DataRequestActs](t, s.as("asker", "GET", at, ""))
	if len(history.Acts) != 7 || history.Acts[0].By != "asker" || history.Acts[0].Reason != "低保审核" || history.Acts[3].Reason != "核查" || len(history.Request.May) != 0 {
		t.Errorf("%+v", history)
	}
	// Who was removed is out.
	delete(s.officers.departments, "asker")
	refused(s.as("asker", "GET", at, ""), 401, codeSignedOut)
	// A fault of the bus is told as such, and only the log says which.
	s.o.Requests.Exchange = broken{}
	refused(s.as("owner", "GET", "/api/v1/requests", ""), 503, codeUnavailable)
	if r := act("owner", Acting{Act: sharing.Review}); r.Code != 503 {
		t.Error(r.Code, r.Body)
	}
}

type broken struct{}

func (broken) Do(context.Context, sharing.Event, string) (*sharing.Request, error) {
	return nil, errors.New("away")
}
func (broken) Requests(context.Context) ([]*sharing.Request, error) { return nil, errors.New("away") }
func (broken) Acts(context.Context, string) ([]pipeline.Act, error) { return nil, errors.New("away") }

func TestCatalogueIsShown(t *testing.T) {
	c, err := contract.Parse("insured.yaml", []byte(insuredContract), "Asia/Shanghai")
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, func(o *Options) { o.Catalogue = fakeCatalogue{contract.Set{"insured": c}} })
	for format, mediaType := range catalogueFormats {
		r := w.get("/api/v1/catalogue?format=" + format)
		if r.Code != 200 || r.Header().Get("Content-Type") != mediaType || r.Body.Len() < 100 || (format != "json") != strings.HasPrefix(r.Header().Get("Content-Disposition"), "attachment; filename=\"catalogue_") {
			t.Errorf("%s: %d %v", format, r.Code, r.Header())
		}
	}
	got := decode[catalogue.Catalogue](t, w.get("/api/v1/catalogue"))
	if got.Number != 2 || len(got.Items) != 1 || *got.Items[0].Measured.Share != .1 || got.Items[0].Fields[2].Sharing != "none" {
		t.Errorf("%+v", got)
	}
	if old := decode[catalogue.Catalogue](t, w.get("/api/v1/catalogue?version=1")); old.Number != 1 || old.Items[0].Measured != nil {
		t.Errorf("%+v", old)
	}
	for target, code := range map[string]int{"?version=9": 404, "?version=0": 400, "?version=x": 400, "?format=exe": 400, "?q=1": 400, "?format=csv&format=json": 400} {
		if r := w.get("/api/v1/catalogue" + target); r.Code != code || decode[Problem](t, r).DetailZh == "" {
			t.Errorf("%s: %d %s", target, r.Code, r.Body)
		}
	}
	if r := w.get("/api/v1/requests"); r.Code != 404 || decode[Problem](t, r).Code != codeRequestsOff {
		t.Error(r.Code, r.Body)
	}
}

type fakeLog struct {
	asked AccessQuery
	list  []LoggedAccess
}

func (f *fakeLog) Search(_ context.Context, q AccessQuery) ([]LoggedAccess, bool, error) {
	f.asked = q
	return f.list, true, nil
}

// A supervisor sees nothing of the log of accesses before the search stands in it (I8).
func TestSupervisionIsAudited(t *testing.T) {
	log, accesses := &fakeLog{list: []LoggedAccess{{Sequence: 3, Person: recordID(1), Decision: "granted", Case: "C1"}, {Sequence: 2, Person: recordID(1)}}}, &fakeAccesses{}
	s := &sharingWorld{t: t, cookies: map[string]string{}}
	supervisors := fakeOfficers{departments: map[string]string{"sup": "x"}}
	s.world = newWorld(t, func(o *Options) {
		o.Accesses, o.Supervision = accesses, &SupervisionOptions{Log: log, Supervisors: supervisors}
	})
	if r := s.as("", "POST", "/api/v1/supervision/accesses", "{}"); r.Code != 401 {
		t.Fatal(r.Code)
	}
	s.cookies["sup"] = s.as("", "POST", "/api/v1/supervision/session", `{"name":"sup","password":"only-for-tests"}`).Result().Cookies()[0].Value
	r := s.as("sup", "POST", "/api/v1/supervision/accesses", fmt.Sprintf(`{"person":%q,"case":"C1","limit":2,"from":"2026-03-01T00:00:00Z"}`, recordID(1)))
	if page := decode[AccessPage](t, r); r.Code != 200 || len(page.Items) != 2 || !page.More || log.asked.Person != recordID(1) || log.asked.Case != "C1" {
		t.Fatal(r.Code, r.Body)
	}
	if len(accesses.list) != 1 || accesses.list[0].Clerk != "sup" || accesses.list[0].Caller != supervisionCaller || !slices.Equal(accesses.list[0].Persons, []pseudonym.ID{recordID(1)}) {
		t.Fatalf("%+v", accesses.list)
	}
	for _, body := range []string{`{"person":"110101199003070000"}`, `{"decision":"x"}`, `{"limit":201}`, `{"offset":-1}`, `{"from":"2026-03-01T00:00:00Z","until":"2026-03-01T00:00:00Z"}`, `{"x":1}`} {
		if r := s.as("sup", "POST", "/api/v1/supervision/accesses", body); r.Code != 400 || strings.Contains(r.Body.String(), "110101") {
			t.Errorf("%s: %d %s", body, r.Code, r.Body)
		}
	}
	if r := s.as("sup", "POST", "/api/v1/supervision/accesses", "{}", supervisionHeader, ""); r.Code != 403 {
		t.Error(r.Code)
	}
	accesses.err = errors.New("away")
	if r := s.as("sup", "POST", "/api/v1/supervision/accesses", "{}"); r.Code != 503 || strings.Contains(r.Body.String(), "C1") || decode[Problem](t, r).Code != codeNotRecorded {
		t.Error(r.Code, r.Body)
	}
}
