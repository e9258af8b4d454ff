package push_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/emmansun/gmsm/sm3"

	"github.com/shirecounty/shire/connectors/conformance"
	"github.com/shirecounty/shire/connectors/push"
	"github.com/shirecounty/shire/schemas/contract"
	"github.com/shirecounty/shire/schemas/county"
)

func right(t testing.TB, id string) string {
	return textOf(t, eventOf(id, "created", map[string]any{"id": id}))
}

func TestAnswers(t *testing.T) {
	w := newWebhook(t, store{emptied(t)}, "records")
	nothing := func(*http.Request) {}
	huge := textOf(t, eventOf("1", "created", map[string]any{"id": "1", "name": strings.Repeat("x", 4<<20)}))
	many := "[" + strings.Repeat(right(t, "1")+",", 10_000) + right(t, "1") + "]"
	for name, c := range map[string]struct {
		media, body string
		spoil       func(*http.Request)
		status      int
		code, says  string
	}{
		"one event":           {onEvent, right(t, "a"), nothing, 200, "", "a accepted"},
		"a charset":           {onEvent + "; charset=UTF-8", right(t, "b"), nothing, 200, "", "b accepted"},
		"a batch":             {onBatch, "[" + right(t, "c") + "," + right(t, "d") + "," + right(t, "c") + "]", nothing, 200, "", "c accepted, d accepted, c duplicate"},
		"an empty batch":      {onBatch, "[]", nothing, 200, "", ""},
		"binary mode":         {"application/json", `{"id":"1"}`, inBinaryMode, 200, "", "bin accepted"},
		"the previous secret": {onEvent, right(t, "e"), sign(previous, right(t, "e"), 0), 200, "", "e accepted"},
		"SM3": {onEvent, right(t, "f"), func(r *http.Request) {
			r.Header.Set("Shire-Signature", signed(sm3.New, secret, right(t, "f"), time.Now()))
		}, 200, "", "f accepted"},
		"a clock 4 minutes late":     {onEvent, right(t, "g"), sign(secret, right(t, "g"), -4*time.Minute), 200, "", "g accepted"},
		"no JSON":                    {onEvent, "{", nothing, 400, "malformed_event", "The event or its data are not a JSON object."},
		"no batch":                   {onBatch, right(t, "h"), nothing, 400, "malformed_event", "The batch is not a JSON array of events."},
		"a batch that breaks off":    {onBatch, "[" + right(t, "h") + ",", nothing, 400, "malformed_event", "not a JSON array"},
		"an attribute too few":       {onEvent, `{"specversion":"1.0"}`, nothing, 400, "malformed_event", "The attribute id is missing."},
		"no signature":               {onEvent, right(t, "h"), func(r *http.Request) { r.Header.Del("Shire-Signature") }, 401, "wrong_signature", "missing"},
		"an old signature":           {onEvent, right(t, "h"), sign(secret, right(t, "h"), -6*time.Minute), 401, "wrong_signature", "5 minutes"},
		"a signature from tomorrow":  {onEvent, right(t, "h"), sign(secret, right(t, "h"), 24*time.Hour), 401, "wrong_signature", "5 minutes"},
		"another secret":             {onEvent, right(t, "h"), sign(strings.ToUpper(secret), right(t, "h"), 0), 401, "wrong_signature", "not one of this source's"},
		"another body":               {onEvent, right(t, "h"), sign(secret, right(t, "i"), 0), 401, "wrong_signature", "not one of this source's"},
		"attributes beside the seal": {"application/json", `{"id":"1"}`, func(r *http.Request) { inBinaryMode(r); r.Header.Set("ce-id", "other") }, 401, "wrong_signature", "not one of this source's"},
		"an unknown source":          {onEvent, right(t, "h"), func(r *http.Request) { r.URL.Path = "/api/v1/push/nobody" }, 404, "unknown_source", "No source"},
		"a source without webhook":   {onEvent, right(t, "h"), func(r *http.Request) { r.URL.Path = "/api/v1/push/silent" }, 404, "unknown_source", "No source"},
		"a source of another kind":   {onEvent, right(t, "h"), func(r *http.Request) { r.URL.Path = "/api/v1/push/other" }, 404, "unknown_source", "No source"},
		"a large request":            {onBatch, "[" + strings.Repeat(" ", 8<<20) + "]", nothing, 413, "too_large", "8 MiB"},
		"a large event":              {onEvent, huge, nothing, 413, "too_large", "4 MiB"},
		"a large event in a batch":   {onBatch, "[" + huge + "]", nothing, 413, "too_large", "4 MiB"},
		"many events":                {onBatch, many, nothing, 413, "too_large", "10000 events"},
		"plain JSON":                 {"application/json", right(t, "h"), nothing, 415, "unknown_media_type", "cloudevents"},
		"another charset":            {onEvent + "; charset=gbk", right(t, "h"), nothing, 415, "unknown_media_type", "UTF-8"},
		"compressed":                 {onEvent, right(t, "h"), func(r *http.Request) { r.Header.Set("Content-Encoding", "gzip") }, 415, "unknown_media_type", "not compressed"},
		"no media type":              {"", right(t, "h"), nothing, 415, "unknown_media_type", "cloudevents"},
		"another dataset":            {onEvent, strings.Replace(right(t, "h"), "{", `{"dataset":"else",`, 1), nothing, 422, "unusable_event", "names none of this source; it has: records"},
		"another type":               {onEvent, textOf(t, eventOf("h", "moved", map[string]any{"id": "h"})), nothing, 422, "unusable_event", "does not end in"},
		"no key":                     {onEvent, textOf(t, eventOf("h", "created", map[string]any{"name": "h"})), nothing, 422, "unusable_event", "lack a column of the key: id"},
	} {
		t.Run(name, func(t *testing.T) {
			r := w.request(t, c.media, c.body)
			c.spoil(r)
			a := send(t, r)
			if a.Status != c.status || a.Code != c.code || !strings.Contains(a.Detail+a.states(), c.says) {
				t.Errorf("%d %s", a.Status, a.text)
			}
			if a.Status != 200 && (a.header.Get("Content-Type") != "application/problem+json" || !strings.HasSuffix(a.Detail, ".") || a.header.Get("Content-Language") != "en") {
				t.Errorf("%v %s", a.header, a.text)
			}
		})
	}
}

func inBinaryMode(r *http.Request) {
	for name, value := range map[string]string{"ce-id": "bin", "ce-source": "s", "ce-specversion": "1.0", "ce-type": "x.created"} {
		r.Header.Set(name, value)
	}
	r.Header.Set("Shire-Signature", signed(nil, secret, "ce-id:bin\nce-source:s\nce-specversion:1.0\nce-type:x.created\n"+`{"id":"1"}`, time.Now()))
}

func sign(key, body string, ahead time.Duration) func(*http.Request) {
	return func(r *http.Request) {
		r.Header.Set("Shire-Signature", signed(nil, key, body, time.Now().Add(ahead)))
	}
}

func TestAnswersInChinese(t *testing.T) {
	w := newWebhook(t, store{emptied(t)}, "records")
	for language, want := range map[string]string{
		"zh-CN": "缺少属性 id。", "zh-Hans-CN,en;q=0.5": "缺少属性 id。", "en;q=0.2,zh;q=0.9": "缺少属性 id。", "en-GB,zh;q=0.5": "The attribute id is missing.",
		"fr": "The attribute id is missing.", "": "The attribute id is missing.", ";;": "The attribute id is missing.",
	} {
		r := w.request(t, onEvent, `{"specversion":"1.0"}`)
		r.Header.Set("Accept-Language", language)
		if a := send(t, r); a.Detail != want {
			t.Errorf("%s: %s", language, a.text)
		}
	}
	r := w.request(t, onBatch, "[{},"+right(t, "1")+",[]]")
	r.Header.Set("Accept-Language", "zh-CN")
	if a := send(t, r); strings.Join(a.Errors, " ") != "事件 0（从 0 计）：属性 specversion 不是 1.0。 事件 2（从 0 计）：事件或其 data 不是 JSON 对象。" {
		t.Error(a.text)
	}
}

// I7: what stands in an event stands in no answer but its own id.
func TestAnswersHoldNoValues(t *testing.T) {
	const number = "532999199003072316"
	w := newWebhook(t, store{emptied(t)}, "records")
	for _, body := range []string{
		`{"specversion":"` + number + `"}`, strings.Replace(right(t, "1"), "{", `{"dataset":"`+number+`",`, 1), strings.Replace(right(t, "1"), "{", `{"subject":"`+number+`",`, 1),
		textOf(t, eventOf(number, "created", map[string]any{number: number})), textOf(t, eventOf("1", number, map[string]any{"id": number})),
		`{"specversion":"1.0","id":"1","source":"s","type":"a.created","time":"` + number + `"}`, `{"` + number + `":1,"` + number + `":`,
	} {
		a := send(t, w.request(t, onEvent, body))
		if a.Status < 400 || a.Status >= 500 || strings.Contains(a.text, number) {
			t.Errorf("%d %s", a.Status, a.text)
		}
	}
}

// fragile is a store that can be made to fail and to wait.
type fragile struct {
	push.Store
	fails  atomic.Int64 // Puts until it fails; 0: it does not
	wait   chan struct{}
	waits  atomic.Int64
	puts   atomic.Int64
	mu     sync.Mutex
	tokens map[string]int // accepted
}

func (f *fragile) Put(ctx context.Context, department, dataset, token string, header map[string][]string, data []byte) (bool, error) {
	f.puts.Add(1)
	if f.fails.Load() > 0 && f.fails.Add(-1) == 0 {
		return false, errors.New("the stream does not answer")
	}
	if f.wait != nil {
		f.waits.Add(1)
		<-f.wait
	}
	duplicate, err := f.Store.Put(ctx, department, dataset, token, header, data)
	if err == nil && !duplicate && f.tokens != nil {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.tokens[token]++
	}
	return duplicate, err
}

// A request is stored whole or, when one event of it can never be used, not at all; each such event is told.
func TestBatchIsOneWhole(t *testing.T) {
	f := &fragile{Store: store{emptied(t)}}
	w := newWebhook(t, f, "records")
	body := "[" + right(t, "1") + "," + textOf(t, eventOf("2", "created", map[string]any{"name": "no key"})) + "," + right(t, "3") + `,{"specversion":"2"}]`
	a := send(t, w.request(t, onBatch, body))
	if a.Status != 422 || len(a.Errors) != 2 || a.Errors[0] != "Event 1 (from 0): the data lack a column of the key: id." || a.Errors[1] != "Event 3 (from 0): the attribute specversion is not 1.0." {
		t.Errorf("%d %s", a.Status, a.text)
	}
	if n := f.puts.Load(); n != 0 {
		t.Errorf("%d events of it were stored", n)
	}
	a = send(t, w.request(t, onBatch, "["+strings.Repeat("0,", 99)+"0]"))
	if a.Status != 400 || len(a.Errors) != 20 {
		t.Errorf("%d, %d reasons", a.Status, len(a.Errors))
	}
}

// I1: there is no 200 before everything is stored; what was stored of a request that failed is recognised when it comes again.
func TestUnavailable(t *testing.T) {
	f := &fragile{Store: store{emptied(t)}}
	w := newWebhook(t, f, "records")
	batch := "[" + right(t, "1") + "," + right(t, "2") + "," + right(t, "3") + "]"
	f.fails.Store(3)
	a := send(t, w.request(t, onBatch, batch))
	if a.Status != 503 || a.Code != "unavailable" || a.header.Get("Retry-After") == "" {
		t.Errorf("%d %s", a.Status, a.text)
	}
	if a = send(t, w.request(t, onBatch, batch)); a.states() != "1 duplicate, 2 duplicate, 3 accepted" {
		t.Error(a.text)
	}
	before := f.puts.Load()
	w.closed = errors.New("12 bytes are free")
	a = send(t, w.request(t, onEvent, right(t, "4")))
	if a.Status != 503 || a.header.Get("Retry-After") == "" || !strings.Contains(a.Detail, "disk") || f.puts.Load() != before {
		t.Errorf("%d %s", a.Status, a.text)
	}
	w.closed = nil
	if a = send(t, w.request(t, onEvent, right(t, "4"))); a.states() != "4 accepted" {
		t.Error(a.text)
	}
}

// I10: what is under way is bounded; the rest is told to come again.
func TestRequestsAreBounded(t *testing.T) {
	f := &fragile{Store: store{emptied(t)}, wait: make(chan struct{})}
	w := newWebhook(t, f, "records")
	var under sync.WaitGroup
	for i := range 4 {
		r := w.request(t, onEvent, right(t, fmt.Sprint(i)))
		under.Go(func() {
			if a := send(t, r); a.Status != 200 {
				t.Errorf("%d %s", a.Status, a.text)
			}
		})
	}
	for deadline := time.Now().Add(30 * time.Second); f.waits.Load() < 4; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("four requests are not let in")
		}
	}
	if a := send(t, w.request(t, onEvent, right(t, "5"))); a.Status != 429 || a.Code != "too_many_requests" || a.header.Get("Retry-After") == "" {
		t.Errorf("%d %s", a.Status, a.text)
	}
	close(f.wait)
	under.Wait()
	if a := send(t, w.request(t, onEvent, right(t, "5"))); a.states() != "5 accepted" {
		t.Error(a.text)
	}
}

// Many senders of the same events at once: each event is accepted once, and comes out once.
func TestManySenders(t *testing.T) {
	b := emptied(t)
	f := &fragile{Store: store{b}, tokens: map[string]int{}}
	w := newWebhook(t, f, "records")
	const senders, events = 6, 40
	var all sync.WaitGroup
	var accepted atomic.Int64
	for s := range senders {
		all.Go(func() {
			for i := range events {
				id := fmt.Sprint((i*7 + s*13) % events)
				for {
					a := send(t, w.request(t, onEvent, right(t, id)))
					if a.Status == 429 {
						continue
					}
					if a.Status != 200 {
						t.Errorf("%d %s", a.Status, a.text)
					} else if a.states() == id+" accepted" {
						accepted.Add(1)
					}
					break
				}
			}
		})
	}
	all.Wait()
	if len(f.tokens) != events || accepted.Load() != events {
		t.Errorf("%d events were accepted %d times", len(f.tokens), accepted.Load())
	}
	out := conformance.NewBus()
	load(t, newSource(t, b, "records"), out)
	if said := len(out.Said("records")); said != events {
		t.Errorf("%d events became %d changes", events, said)
	}
}

func TestDoorRefusesSecrets(t *testing.T) {
	for want, with := range map[string][]map[string]any{
		"with.secret has 5 characters":        {{"secret": "short"}},
		"share a secret":                      {{"secret": secret}, {"secret": previous, "previous_secret": secret}},
		"with.secret cannot be read":          {{"secret": "file:/nowhere/secret"}},
		"with.previous_secret has 5 charac":   {{"secret": secret, "previous_secret": "short"}},
		"with.secret is missing, and so is n": {{}},
	} {
		o := push.DoorOptions{Contracts: contract.Set{"records": dataset(t, "records")}, Resolve: func(p string) string { return p }, Log: slog.New(slog.NewTextHandler(io.Discard, nil))}
		for i, w := range with {
			o.Sources = append(o.Sources, county.Source{Name: fmt.Sprint("s", i), Kind: push.Kind, Datasets: []string{"records"}, With: w})
		}
		if _, err := push.NewDoor(o); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), secret) || strings.Contains(err.Error(), "short") {
			t.Errorf("want %q: %v", want, err)
		}
	}
}

// A request that breaks off is not one that will never be taken.
func TestRequestThatBreaksOff(t *testing.T) {
	w := newWebhook(t, store{emptied(t)}, "records")
	address, _, _ := strings.Cut(strings.TrimPrefix(w.url, "http://"), "/")
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	body := right(t, "1")
	fmt.Fprintf(c, "POST /api/v1/push/records HTTP/1.1\r\nHost: x\r\nContent-Type: %s\r\nShire-Signature: %s\r\nContent-Length: %d\r\n\r\n%s",
		onEvent, signed(nil, secret, body, time.Now()), len(body), body[:10])
	if err := c.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	answer, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil || answer.StatusCode != http.StatusRequestTimeout {
		t.Errorf("%v %v", answer, err)
	}
}
