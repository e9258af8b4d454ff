package portal

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/shirecounty/shire/pipeline/disclosure"
	"github.com/shirecounty/shire/schemas/county"
	"github.com/shirecounty/shire/schemas/sharing"
)

// tellingDesk keeps what a desk was told.
type tellingDesk struct {
	Desk
	reader   disclosure.Reader
	deadline time.Duration
}

func (d *tellingDesk) Lookup(ctx context.Context, r disclosure.Reader, a disclosure.Attributes) (*disclosure.Person, error) {
	until, _ := ctx.Deadline()
	d.reader, d.deadline = r, time.Until(until)
	return d.Desk.Lookup(ctx, r, a)
}

// The desk is told who asks as the credential says it, why as the caller says it, what they brought, and that it has no time without end.
func TestWhatTheDeskIsTold(t *testing.T) {
	d := &tellingDesk{}
	w := newShareWorld(t, wide, func(o *Options) {
		d.Desk = o.Sharing.Desk
		o.Sharing.Desk = d
	})
	a := w.do(asks("civil", http.MethodPost, "/api/v1/persons/lookup", `{"number":"`+zhang.number+`","brought":{"residents.name":"`+zhang.name+`"}}`, "Shire-Client", "police"))
	want := disclosure.Reader{Client: "civil", Department: "civil_affairs", Clerk: shareClerk, Purpose: sharePurpose, Item: shareItem, Case: "C-1", Brought: map[string]string{"residents.name": zhang.name}}
	if a.status != 200 || fmt.Sprint(d.reader) != fmt.Sprint(want) {
		t.Errorf("%d: %+v", a.status, d.reader)
	}
	if d.deadline <= 0 || d.deadline > answerTimeout {
		t.Errorf("it has %v", d.deadline)
	}
}

// What cannot be read in one way is refused before anything is looked for.
func TestUnsoundQuestions(t *testing.T) {
	w := newShareWorld(t, wide)
	id, number := w.node.person(zhang).String(), `"number":"`+zhang.number+`"`
	long := strings.Repeat(`"a",`, mostList) + `"a"`
	record := "/api/v1/departments/social_security/datasets/insured_persons/records/"
	before := w.entries()
	for name, c := range map[string]call{
		"an id in capitals":            asks("civil", http.MethodGet, "/api/v1/persons/"+strings.ToUpper(id), ""),
		"nobody's id":                  asks("civil", http.MethodGet, "/api/v1/persons/00000000-0000-0000-0000-000000000000", ""),
		"a department that is no text": asks("civil", http.MethodGet, "/api/v1/departments/%ff/datasets/insured_persons/records/S-1", ""),
		"a parameter too many":         asks("civil", http.MethodGet, record+"S-1?fields=status&x=1", ""),
		"a parameter of a person":      asks("civil", http.MethodGet, "/api/v1/persons/"+id+"?fields=name", ""),
		"a parameter of a lookup":      asks("civil", http.MethodPost, "/api/v1/persons/lookup?number="+zhang.number, "{"+number+"}"),
		"a parameter of a prefill":     asks("civil", http.MethodPost, "/api/v1/cases/C-1/prefill?x=1", "{}", caseHeader, ""),
		"a line in a field's name":     asks("civil", http.MethodGet, record+"S-1?fields=status%0a", ""),
		"no key":                       asks("civil", http.MethodPost, record+"lookup", `{"fields":["status"]}`),
		"a NUL in a key":               asks("civil", http.MethodPost, record+"lookup", `{"key":["\u0000"]}`),
		"a long key":                   asks("civil", http.MethodPost, record+"lookup", `{"key":[`+long+`]}`),
		"a NUL in what is brought":     asks("civil", http.MethodPost, "/api/v1/persons/lookup", `{`+number+`,"brought":{"residents.name":"\u0000"}}`),
		"a NUL in a material":          asks("civil", http.MethodPost, "/api/v1/cases/C-1/prefill", `{"materials":["\u0000"]}`, caseHeader, ""),
		"many materials":               asks("civil", http.MethodPost, "/api/v1/cases/C-1/prefill", `{"materials":[`+long+`]}`, caseHeader, ""),
		"a NUL in what is used":        asks("civil", http.MethodPost, "/api/v1/cases/C-1/prefill/x/use", `{"material":"\u0000"}`, caseHeader, ""),
		"a NUL in what is declined":    asks("civil", http.MethodPost, "/api/v1/cases/C-1/prefill/x/decline", `{"material":"ID-CARD","reason":"\u0000"}`, caseHeader, ""),
		"a space before the clerk":     asks("civil", http.MethodGet, "/api/v1/persons/"+id, "", clerkHeader, "UTF-8''%20a"),
		"a line separator":             asks("civil", http.MethodGet, "/api/v1/persons/"+id, "", clerkHeader, "UTF-8''a%E2%80%A8b"),
		"half a character":             asks("civil", http.MethodGet, "/api/v1/persons/"+id, "", clerkHeader, "UTF-8''%E7"),
	} {
		if a := w.do(c); a.status != http.StatusBadRequest || a.code != codeMalformed {
			t.Errorf("%s: %d %s %s", name, a.status, a.code, a.text)
		}
	}
	body := "{" + number + "}"
	text := "POST /api/v1/persons/lookup HTTP/1.1\r\n" + w.rawHeaders("civil") + "Content-Type: application/json\r\nContent-Type: text/plain\r\nContent-Length: " + fmt.Sprint(len(body)) + "\r\n\r\n" + body
	c := w.dial()
	io.WriteString(c, text)
	if answer, err := http.ReadResponse(bufio.NewReader(c), nil); err != nil || answer.StatusCode != http.StatusUnsupportedMediaType {
		t.Errorf("two types: %v %v", answer, err)
	}
	if n := w.entries() - before; n != 0 {
		t.Errorf("%d of them were read", n)
	}
}

// Each way of asking counts whom it asks about: the same again is no other, another one is.
func TestWhoIsAskedAboutIsCounted(t *testing.T) {
	limits := wide
	limits.Persons = 1
	for name, ask := range map[string]func(w *shareWorld, c citizen, n string) call{
		"person": func(w *shareWorld, c citizen, n string) call {
			return asks("civil", http.MethodGet, "/api/v1/persons/"+w.node.person(c).String(), "", caseHeader, n)
		},
		"accesses": func(w *shareWorld, c citizen, n string) call {
			return asks("civil", http.MethodGet, "/api/v1/persons/"+w.node.person(c).String()+"/accesses", "", caseHeader, n)
		},
		"number": func(_ *shareWorld, c citizen, n string) call {
			return asks("civil", http.MethodPost, "/api/v1/persons/lookup", `{"number":"`+c.number+`"}`, caseHeader, n)
		},
		"name": func(_ *shareWorld, c citizen, n string) call {
			return asks("civil", http.MethodPost, "/api/v1/persons/lookup", `{"name":"`+c.name+`","birth_date":"`+c.birth+`"}`, caseHeader, n)
		},
		"record": func(_ *shareWorld, c citizen, n string) call {
			return asks("civil", http.MethodPost, "/api/v1/departments/public_security/datasets/residents/records/lookup", `{"key":["`+c.number+`"]}`, caseHeader, n)
		},
		"prefill": func(_ *shareWorld, _ citizen, n string) call {
			return asks("civil", http.MethodPost, "/api/v1/cases/"+n+"/prefill", "{}", caseHeader, "")
		},
	} {
		w := newShareWorld(t, limits)
		for range 2 {
			if a := w.do(ask(w, zhang, "C-1")); a.status == http.StatusTooManyRequests {
				t.Errorf("%s: one person alone is too many", name)
			}
		}
		if a := w.do(ask(w, li, "C-3")); a.code != codeEnumeration {
			t.Errorf("%s: the second person: %d %s", name, a.status, a.code)
		}
	}
}

// What policy refuses has its own status and words; nothing that went wrong inside is quoted.
func TestProblemsOfReads(t *testing.T) {
	w := newShareWorld(t, wide)
	r := httptest.NewRequest(http.MethodGet, "/api/v1/persons/x", nil)
	for name, test := range map[string]struct {
		err    error
		status int
		code   string
	}{
		"another department's case": {&disclosure.Denied{Code: sharing.OtherDepartmentsCase}, 403, string(sharing.NoCase)},
		"a material not met":        {&disclosure.Denied{Code: disclosure.NotMet}, 409, string(disclosure.NotMet)},
		"a reason without words":    {&disclosure.Denied{Code: "new_reason"}, 403, "new_reason"},
		"a mistake of a new kind":   {&disclosure.Mistake{Field: "new", Text: "send another"}, 422, codeUnusable},
		"the log is away":           {&disclosure.Unavailable{What: "the log of accesses", Err: errors.New("no answer about 13812345678")}, 503, codeUnavailable},
		"something else":            {errors.New("no answer about 13812345678"), 503, codeUnavailable},
		"too late":                  {context.DeadlineExceeded, 503, codeUnavailable},
	} {
		p := w.share.problem(r, test.err)
		if p.Status != test.status || p.Code != test.code || p.Detail == "" || p.DetailZh == "" || strings.Contains(p.Detail+p.DetailZh, "13812345678") {
			t.Errorf("%s: %+v", name, p)
		}
	}
	w.logged.mu.Lock()
	w.logged.b.Reset() // the test's own errors quote a number, which the product's do not
	w.logged.mu.Unlock()
}

// A client that was stopped by another of its calls is stopped; one that was lifted begins anew; and there is no other client.
func TestStoppedByAnotherCall(t *testing.T) {
	clock := newClockOf(time.Unix(1_800_000_000, 0))
	w := newWatch(county.SharingLimits{Rate: 1e9, Burst: 1e9, Window: county.Duration(time.Minute), Persons: 1, Misses: 2}, []string{"a"}, clock.now)
	if _, err := w.enter("nobody"); err == nil {
		t.Error("a client that there is not was let in")
	}
	for range 3 {
		if _, err := w.enter("a"); err != nil {
			t.Fatal(err)
		}
	}
	var stop *stopError
	if w.missed("a") != nil || w.about("a", "x") != nil || w.missed("a") != nil || !errors.As(w.missed("a"), &stop) || !stop.now {
		t.Fatal("the third miss does not stop it")
	}
	for name, err := range map[string]error{"a read": w.about("a", "x"), "a miss": w.missed("a")} {
		if !errors.As(err, &stop) || stop.now {
			t.Errorf("%s of a call that had begun: %v", name, err)
		}
	}
	if err := w.lift("a"); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(w.missed("a"), w.missed("a"), w.about("a", "y")); err != nil {
		t.Errorf("lifted, it pays for what was before: %v", err)
	}
	if s := w.states()[0]; s.Misses != 2 || s.Persons != 1 || s.StoppedUntil != nil {
		t.Errorf("%+v", s)
	}
}
