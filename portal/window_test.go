package portal

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/shirecounty/shire/pipeline/audit"
	"github.com/shirecounty/shire/pipeline/disclosure"
	"github.com/shirecounty/shire/schemas/catalogue"
	"github.com/shirecounty/shire/schemas/contract"
	"github.com/shirecounty/shire/schemas/county"
	"github.com/shirecounty/shire/schemas/sharing"
)

// window is a portal over the shared node with clerks of three departments.
type window struct {
	*shareWorld
	clerks  fakeOfficers
	cookies map[string]string
}

func windowOptions(clerks Officers) *WindowOptions {
	return &WindowOptions{Desk: sharedNode.node.desk, Clerks: clerks, Purpose: sharePurpose, PurposeName: contract.Text{Zh: "资格核验", En: "Eligibility"},
		Items:     sharing.Items{shareItem: {Code: shareItem, Department: "civil_affairs", Materials: []string{"HOUSEHOLD-REGISTER", "ID-CARD"}}, otherItem: {Code: otherItem, Department: "education"}},
		Materials: sharing.Materials{"ID-CARD": {Zh: "居民身份证", En: "Identity card"}}, Departments: map[string]contract.Text{"civil_affairs": {Zh: "民政局", En: "Civil affairs"}}}
}

func newWindow(t *testing.T, limits county.SharingLimits, change ...func(*WindowOptions)) *window {
	t.Helper()
	w := &window{clerks: fakeOfficers{map[string]string{shareClerk: "civil_affairs", "另一人": "civil_affairs", "police": "public_security", "school": "education"}}, cookies: map[string]string{}}
	w.shareWorld = newShareWorld(t, limits, func(o *Options) {
		o.Window = windowOptions(w.clerks)
		o.Catalogue = fakeCatalogue{sharedNode.node.set}
		for _, f := range change {
			f(o.Window)
		}
	})
	for name := range w.clerks.departments {
		a := w.as(name, http.MethodPost, "/session", Credentials{name, "only-for-tests"})
		if a.status != 200 {
			t.Fatal(a.status, a.text)
		}
		w.cookies[name] = strings.TrimPrefix(strings.Split(a.header.Get("Set-Cookie"), ";")[0], windowCookie+"=")
	}
	return w
}

// as asks as the portal's own page does, for a clerk.
func (w *window) as(clerk, method, path string, body any, headers ...string) answer {
	w.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		w.Fatal(err)
	}
	c := call{method: method, path: windowPath + path, headers: map[string]string{"Content-Type": "application/json", "Sec-Fetch-Site": "same-origin", windowHeader: "1"}}
	if body != nil {
		c.body = string(text)
	}
	if token := w.cookies[clerk]; token != "" {
		c.headers["Cookie"] = windowCookie + "=" + token
	}
	for i := 0; i+1 < len(headers); i += 2 {
		if c.headers[headers[i]] = headers[i+1]; headers[i+1] == "" {
			delete(c.headers, headers[i])
		}
	}
	a := w.do(c)
	if who := a.header.Get("Cache-Control"); a.status < 500 && who != "no-store" && path != "/session" {
		w.Errorf("%s %s may be kept: %q", method, path, who)
	}
	return a
}

func ofZhang() WindowQuestion {
	return WindowQuestion{Item: shareItem, Case: "C-1", Number: zhang.number}
}

// looks asks for a prefill that is answered.
func (w *window) looks(clerk string, q WindowQuestion) (p WindowPrefill) {
	w.Helper()
	a := w.as(clerk, http.MethodPost, "/prefill", q)
	if err := json.Unmarshal([]byte(a.text), &p); a.status != 200 || err != nil {
		w.Fatal(a.status, a.text, err)
	}
	for _, secret := range zhang.secrets() {
		if strings.Contains(a.text, secret) {
			w.Errorf("the answer holds %q", secret)
		}
	}
	return p
}

// A clerk sees what is met and what has to be asked for, and why; the look is in the log before; what the clerk decides is on the bus.
func TestWindow(t *testing.T) {
	w := newWindow(t, wide)
	var desk WindowClerk
	if a := w.as(shareClerk, http.MethodGet, "/desk", nil); json.Unmarshal([]byte(a.text), &desk) != nil || desk.Department != "civil_affairs" || desk.Purpose.Key != sharePurpose ||
		len(desk.Items) != 1 || desk.Items[0].Key != shareItem || !slices.Equal(desk.Reasons, disclosure.DeclineReasons) || desk.Materials[0].En != "Identity card" {
		t.Fatal(a.text)
	}
	before := w.entries()
	p := w.looks(shareClerk, ofZhang())
	if w.entries() != before+1 {
		t.Errorf("%d entries of one look", w.entries()-before)
	}
	register, card := p.Materials[0], p.Materials[1]
	if !register.Met || register.Proof.Department != "public_security" || register.Proof.ReceivedAt.IsZero() || card.Met || card.Reason != disclosure.NotGranted || card.Grant != string(sharing.FieldsNotGranted) ||
		!slices.Equal(card.Could, []string{"residents"}) {
		t.Errorf("%+v", p.Materials)
	}
	if len(p.Sources) != 1 || p.Sources[0].Dataset != "residents" || p.Sources[0].Title.Zh == "" || p.Sources[0].Department != "public_security" || p.Sources[0].UpdateCycle != "daily" {
		t.Errorf("%+v", p.Sources)
	}
	if r := p.Recorded; r.Caller != "civil_affairs/"+windowClient || r.At.IsZero() || !slices.Equal(r.Fields, []string{"residents.register_issued", "residents.register_number"}) {
		t.Errorf("%+v", r)
	}
	// The same question from a program of the department says the same.
	var api PrefillAnswer
	if a := w.do(asks("civil", http.MethodPost, "/api/v1/cases/C-1/prefill", `{}`)); json.Unmarshal([]byte(a.text), &api) != nil || api.ID != p.ID || !api.Materials[0].Met || api.Materials[0].Proof.Hash != register.Proof.Hash {
		t.Errorf("the interface says %s", a.text)
	}

	act := WindowAct{Item: shareItem, Case: "C-1", Prefill: p.ID, Material: "HOUSEHOLD-REGISTER", Act: disclosure.ActUse}
	for _, done := range []WindowAct{act, {act.Item, act.Case, act.Prefill, act.Material, disclosure.ActDecline, "original_needed"}} {
		before, told := w.entries(), w.lastMaterial()
		if a := w.as(shareClerk, http.MethodPost, "/acts", done); a.status != http.StatusNoContent || w.entries() != before+1 {
			t.Errorf("%s: %d %s, %d entries", done.Act, a.status, a.text, w.entries()-before)
		}
		if now := w.lastMaterial(); now == told {
			t.Errorf("%s is not on the bus", done.Act)
		}
	}
	told := w.lastMaterial()
	for name, bad := range map[string]struct {
		act    WindowAct
		status int
		code   string
	}{
		"what is not met":       {WindowAct{shareItem, "C-1", p.ID, "ID-CARD", "use", ""}, 403, string(sharing.NoGrant)},
		"no such prefill":       {WindowAct{shareItem, "C-1", "x", "HOUSEHOLD-REGISTER", "use", ""}, 403, string(sharing.NotOfCase)},
		"of another case":       {WindowAct{shareItem, "C-3", p.ID, "HOUSEHOLD-REGISTER", "use", ""}, 403, string(sharing.NotOfCase)},
		"no such act":           {WindowAct{shareItem, "C-1", p.ID, "HOUSEHOLD-REGISTER", "burn", ""}, 400, codeMalformed},
		"a use with a reason":   {WindowAct{shareItem, "C-1", p.ID, "HOUSEHOLD-REGISTER", "use", "wrong"}, 400, codeMalformed},
		"a decline without one": {WindowAct{shareItem, "C-1", p.ID, "HOUSEHOLD-REGISTER", "decline", ""}, 422, codeUnusable},
		"no such reason":        {WindowAct{shareItem, "C-1", p.ID, "HOUSEHOLD-REGISTER", "decline", zhang.name}, 422, codeUnusable},
		"no such material":      {WindowAct{shareItem, "C-1", p.ID, zhang.number, "use", ""}, 422, codeUnusable},
	} {
		if a := w.as(shareClerk, http.MethodPost, "/acts", bad.act); a.status != bad.status || a.code != bad.code {
			t.Errorf("%s: %d %s", name, a.status, a.text)
		}
	}
	if w.lastMaterial() != told {
		t.Error("what was refused is on the bus")
	}
}

// lastMaterial is the number of the last event on a material; 0 when there is none.
func (w *window) lastMaterial() uint64 {
	w.Helper()
	js, err := jetstream.New(w.node.nc)
	if err != nil {
		w.Fatal(err)
	}
	subject := "changes." + shareCounty + "." + contract.OwnDepartment + "." + contract.Materials
	name, err := js.StreamNameBySubject(w.Context(), subject)
	if err != nil {
		w.Fatal(err)
	}
	stream, err := js.Stream(w.Context(), name)
	if err != nil {
		w.Fatal(err)
	}
	m, err := stream.GetLastMsgForSubject(w.Context(), subject)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return 0
	}
	if err != nil {
		w.Fatal(err)
	}
	return m.Sequence
}

// What a clerk may not see is refused with the interface's codes, in words for a clerk, and written down.
func TestWindowRefuses(t *testing.T) {
	w := newWindow(t, wide)
	with := func(change func(*WindowQuestion)) WindowQuestion {
		q := ofZhang()
		change(&q)
		return q
	}
	for name, test := range map[string]struct {
		clerk   string
		q       WindowQuestion
		status  int
		code    string
		entries uint64
	}{
		"somebody else's number":    {shareClerk, with(func(q *WindowQuestion) { q.Number = li.number }), 403, string(sharing.NotOfCase), 1},
		"a number that nobody has":  {shareClerk, with(func(q *WindowQuestion) { q.Number = withDigit("11010119900307" + "123") }), 403, string(sharing.NotOfCase), 1},
		"no number":                 {shareClerk, with(func(q *WindowQuestion) { q.Number = "" }), 422, codeUnusable, 0},
		"a wrong check digit":       {shareClerk, with(func(q *WindowQuestion) { q.Number = "330127198503072440" }), 422, codeUnusable, 0},
		"a closed case":             {shareClerk, with(func(q *WindowQuestion) { q.Case = "C-2" }), 403, string(sharing.CaseNotOpen), 1},
		"no such case":              {shareClerk, with(func(q *WindowQuestion) { q.Case = "C-99" }), 403, string(sharing.NoCase), 1},
		"another department's case": {shareClerk, with(func(q *WindowQuestion) { q.Case = "P-1" }), 403, string(sharing.NoCase), 1},
		"to another department":     {"police", ofZhang(), 403, string(sharing.NoCase), 1},
		"another item":              {shareClerk, with(func(q *WindowQuestion) { q.Item, q.Materials = otherItem, []string{"ID-CARD"} }), 403, string(sharing.OtherItem), 1},
		"an item without a list":    {shareClerk, with(func(q *WindowQuestion) { q.Item = otherItem }), 422, codeUnusable, 0},
		"no such material":          {shareClerk, with(func(q *WindowQuestion) { q.Materials = []string{zhang.name} }), 422, codeUnusable, 0},
		"a control character":       {shareClerk, with(func(q *WindowQuestion) { q.Case = "C-1\n" }), 400, codeMalformed, 0},
		"a case number too long":    {shareClerk, with(func(q *WindowQuestion) { q.Case = strings.Repeat("长", 50) }), 422, codeUnusable, 0},
	} {
		before := w.entries()
		a := w.as(test.clerk, http.MethodPost, "/prefill", test.q)
		if a.status != test.status || a.code != test.code || w.entries() != before+test.entries {
			t.Errorf("%s: %d %s, %d entries", name, a.status, a.text, w.entries()-before)
		}
		if strings.Contains(a.text, "Shire-") {
			t.Errorf("%s: a clerk is told of headers: %s", name, a.text)
		}
	}
	// Whether another department has a case is not told.
	if theirs, none := w.as(shareClerk, http.MethodPost, "/prefill", with(func(q *WindowQuestion) { q.Case = "P-1" })), w.as(shareClerk, http.MethodPost, "/prefill", with(func(q *WindowQuestion) { q.Case = "P-2" })); theirs.text != none.text {
		t.Errorf("%s\n%s", theirs.text, none.text)
	}
	// A department without a live grant is told for every material that it has none, and nothing of what is held.
	if p := w.looks("school", with(func(q *WindowQuestion) { q.Case = "E-1" })); p.Materials[0].Met || p.Materials[0].Grant != string(sharing.GrantNotLive) || len(p.Recorded.Fields) != 0 {
		t.Errorf("%+v", p)
	}
}

// Nobody gets in who has not signed in at this door, and nothing is done from another site's page.
func TestWindowDoor(t *testing.T) {
	w := newWindow(t, wide)
	token := w.cookies[shareClerk]
	for name, test := range map[string]struct {
		headers []string
		status  int
		code    string
	}{
		"signed out":              {[]string{"Cookie", ""}, 401, codeSignedOut},
		"a made-up session":       {[]string{"Cookie", windowCookie + "=" + strings.Repeat("A", len(token))}, 401, codeSignedOut},
		"at another door":         {[]string{"Cookie", requestsCookie + "=" + token}, 401, codeSignedOut},
		"a client's key":          {[]string{"Cookie", "", "Authorization", "Shire-Key civil." + w.key["civil"]}, 401, codeSignedOut},
		"without the page's mark": {[]string{windowHeader, ""}, 403, codeForeign},
		"from another site":       {[]string{"Sec-Fetch-Site", "cross-site"}, 403, codeForeign},
		"by a form":               {[]string{"Content-Type", "text/plain"}, 415, codeMediaType},
	} {
		before := w.entries()
		for _, at := range []struct {
			path string
			body any
		}{{"/prefill", ofZhang()}, {"/acts", WindowAct{shareItem, "C-1", "x", "ID-CARD", "use", ""}}} {
			if a := w.as(shareClerk, http.MethodPost, at.path, at.body, test.headers...); a.status != test.status || a.code != test.code || w.entries() != before {
				t.Errorf("%s, %s: %d %s", name, at.path, a.status, a.text)
			}
		}
	}
	if a := w.as(shareClerk, http.MethodPost, "/prefill?number="+zhang.number, ofZhang()); a.status != 400 || a.code != codeMalformed {
		t.Errorf("a number in the address: %d %s", a.status, a.text)
	}
	// The session opens no client's address, and a body is read in one way.
	if a := w.do(call{method: http.MethodGet, path: "/api/v1/persons/" + w.node.person(zhang).String(), headers: map[string]string{"Cookie": windowCookie + "=" + token, windowHeader: "1", caseHeader: "C-1"}}); a.status != 401 {
		t.Errorf("a clerk's session opens the interface: %d", a.status)
	}
	for _, body := range []string{`{"item":"x","item":"y"}`, `{"number":{"a":[1]}}`, `[]`, `{"Number":"1"}`, `{"department":"public_security"}`, strings.Repeat(" ", mostShareBody+1)} {
		c := call{method: http.MethodPost, path: windowPath + "/prefill", body: body, headers: map[string]string{"Content-Type": "application/json", "Sec-Fetch-Site": "same-origin", windowHeader: "1", "Cookie": windowCookie + "=" + token}}
		if a := w.do(c); a.status != 400 && a.status != 413 {
			t.Errorf("%.40s: %d %s", body, a.status, a.text)
		}
	}
	delete(w.clerks.departments, shareClerk)
	if a := w.as(shareClerk, http.MethodPost, "/prefill", ofZhang()); a.status != 401 || a.code != codeSignedOut {
		t.Errorf("who was removed is in still: %d %s", a.status, a.text)
	}
}

// A clerk who tries numbers is stopped; the colleague goes on, and so does the department's own system.
func TestWindowStopsWhoTriesNumbers(t *testing.T) {
	limits := wide
	limits.Misses = 3
	w := newWindow(t, limits)
	try := func(clerk, number string) answer {
		q := ofZhang()
		q.Number = number
		return w.as(clerk, http.MethodPost, "/prefill", q)
	}
	for i := range 4 {
		a := try(shareClerk, withDigit(fmt.Sprintf("11010119900307%03d", i)))
		if want := map[bool]int{true: 403, false: 429}[i < 3]; a.status != want {
			t.Fatalf("try %d: %d %s", i, a.status, a.text)
		}
	}
	before := w.entries()
	if a := try(shareClerk, zhang.number); a.status != 429 || a.code != codeEnumeration || a.header.Get("Retry-After") == "" || strings.Contains(a.text, "shire clients lift") || w.entries() != before {
		t.Errorf("%d %s", a.status, a.text)
	}
	if a := try("另一人", zhang.number); a.status != 200 {
		t.Errorf("the colleague: %d %s", a.status, a.text)
	}
	if a := w.do(asks("civil", http.MethodPost, "/api/v1/cases/C-1/prefill", `{}`)); a.status != 200 {
		t.Errorf("the system: %d %s", a.status, a.text)
	}
	if strings.Contains(w.logged.String(), shareClerk) {
		t.Error("the log names the clerk")
	}
}

type noPart struct{}

var errBroken = errors.New("broken on purpose")

func (noPart) Record(context.Context, audit.Access) error           { return errBroken }
func (noPart) Requests(context.Context) ([]*sharing.Request, error) { return nil, errBroken }
func (noPart) Take(context.Context, disclosure.TakenMaterial) error { return errBroken }
func (noPart) Catalogue(context.Context) (catalogue.Catalogue, error) {
	return catalogue.Catalogue{}, errBroken
}
func (noPart) CatalogueAt(context.Context, uint32) (catalogue.Catalogue, error) {
	return catalogue.Catalogue{}, errBroken
}
func (noPart) CatalogueVersions(context.Context, int) ([]catalogue.Version, error) {
	return nil, errBroken
}

// While a part is away nothing is shown, and a clerk is told which it is and what to do until then.
func TestWindowWithoutAPart(t *testing.T) {
	w := newWindow(t, wide)
	n := w.node
	whole := disclosure.Options{Store: n.store, Persons: func() disclosure.Persons { return n.people }, Exchange: n.exchange, Log: n.log, Fresh: func() error { return nil }, Warehouse: func() error { return nil }, Contracts: n.set,
		Purposes: []string{sharePurpose}, Hasher: n.hasher.Clone(), Zone: time.UTC, Items: w.o.Window.Items, Taken: noPart{}}
	for name, test := range map[string]struct {
		change func(*disclosure.Options)
		word   string
	}{
		"log":       {func(o *disclosure.Options) { o.Log = noPart{} }, "访问日志"},
		"bus":       {func(o *disclosure.Options) { o.Exchange = noPart{} }, "授权"},
		"warehouse": {func(o *disclosure.Options) { o.Warehouse = func() error { return errBroken } }, "ClickHouse"},
		"store":     {func(o *disclosure.Options) { o.Fresh = func() error { return errBroken } }, "同步"},
	} {
		o := whole
		test.change(&o)
		w.window.o.Desk = disclosure.New(o)
		a := w.as(shareClerk, http.MethodPost, "/prefill", ofZhang())
		if a.status != 503 || a.code != map[bool]string{true: codeWarehouse, false: codeUnavailable}[name == "warehouse"] || !strings.Contains(a.text, test.word) || !strings.Contains(a.text, "纸质") || strings.Contains(a.text, errBroken.Error()) {
			t.Errorf("%s: %d %s", name, a.status, a.text)
		}
	}
	w.window.o.Desk = disclosure.New(whole)
	p := w.looks(shareClerk, ofZhang())
	if a := w.as(shareClerk, http.MethodPost, "/acts", WindowAct{shareItem, "C-1", p.ID, "HOUSEHOLD-REGISTER", "use", ""}); a.status != 503 || !strings.Contains(a.text, "未能保存") {
		t.Errorf("%d %s", a.status, a.text)
	}
	// The warehouse alone may be away: how good the datasets are is not known then.
	w.Portal.o.Catalogue = noPart{}
	w.flow.generation.Add(1)
	if p := w.looks(shareClerk, ofZhang()); len(p.Sources) != 1 || p.Sources[0].Measured != nil || !p.Materials[0].Met {
		t.Errorf("%+v", p)
	}
}
