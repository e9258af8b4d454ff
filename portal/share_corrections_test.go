package portal

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/shirecounty/shire/deploy/embedded"
	"github.com/shirecounty/shire/pipeline"
	"github.com/shirecounty/shire/pipeline/audit"
	"github.com/shirecounty/shire/pipeline/bus"
	"github.com/shirecounty/shire/pipeline/seal"
	"github.com/shirecounty/shire/pipeline/serving"
	"github.com/shirecounty/shire/portal/callers"
	"github.com/shirecounty/shire/schemas/calendar"
	"github.com/shirecounty/shire/schemas/contract"
	"github.com/shirecounty/shire/schemas/county"
	"github.com/shirecounty/shire/schemas/pseudonym"
	"github.com/shirecounty/shire/schemas/sharing"
)

const wrongWelfare = `dataset: welfare
department: civil
owner: {zh: 甲, en: A}
title: {zh: 低保, en: Welfare}
version: 1
key: [number]
sharing: {type: conditional}
fields:
  - {name: number, type: identifier, required: true, sensitivity: internal}
  - {name: level, type: text, sensitivity: personal}
emits:
  - {table: person_records, role: holder, columns: {name: level}}
`

// byName lets everybody in by the name of a department: who calls is proven elsewhere.
type byName struct{}

func (byName) Who(r *http.Request) (callers.Caller, *callers.Refusal) {
	d := r.Header.Get("Test-Department")
	return callers.Caller{Client: d, Department: d}, nil
}
func (byName) Names() []string { return []string{"hall", "civil", "stranger"} }

// An error is reported, answered and corrected over HTTP; who has nothing to do with it sees nothing of it, and no answer but that to the two
// departments holds what was said.
func TestCorrectionsOverHTTP(t *testing.T) {
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	quiet := slog.New(slog.DiscardHandler)
	e, err := embedded.Start(t.Context(), embedded.Options{Dir: t.TempDir(), Version: "1.0.0", ClickHouse: embedded.ClickHouseOptions{Disabled: true}, Log: quiet})
	must(err)
	defer e.Stop(context.Background())
	nc, err := nats.Connect(e.NATS().URL, e.NATS().InProcess()...)
	must(err)
	defer nc.Close()
	b, err := bus.Open(t.Context(), nc, bus.Options{County: "330001", Replicas: 1})
	must(err)
	d, err := contract.Parse("c.yaml", []byte(wrongWelfare), "Asia/Shanghai")
	must(err)
	secret := []byte(strings.Repeat("k", 32))
	hasher, err := pseudonym.New(secret)
	must(err)
	keys, err := seal.NewKeyring(seal.Key{ID: 1, Cipher: seal.AES256GCM, Secret: secret})
	must(err)
	store, err := serving.Open(t.TempDir(), serving.Options{Keys: keys, Cache: 1 << 20})
	must(err)
	defer store.Close()
	key, err := audit.LoadOrCreateKey(t.TempDir(), audit.Ed25519)
	must(err)
	looks, err := audit.Open(t.Context(), nc, audit.Options{County: "330001", Hasher: hasher.Clone(), Key: key, Log: quiet})
	must(err)
	world := func() sharing.World {
		return sharing.World{Contracts: contract.Set{"welfare": d}, Purposes: []string{"eligibility"}}
	}
	x := pipeline.NewExchange(b, world)
	now := time.Now()
	for _, e := range []sharing.Event{
		{Act: sharing.Submit, Department: "hall", Terms: &sharing.Terms{Dataset: "welfare", Fields: map[string]sharing.Mask{"level": sharing.Full}, Purpose: "eligibility", Items: []string{"I"}, From: now.Add(-time.Hour), Until: now.AddDate(1, 0, 0)}},
		{Act: sharing.Approve, Department: "civil"}, {Act: sharing.Deliver, Department: "civil"},
	} {
		e.Request, e.At = "R1", time.Now()
		_, err := x.Do(t.Context(), e, "王五")
		must(err)
	}
	rules, err := sharing.LoadRules(sharing.National())
	must(err)
	days, err := calendar.Load(calendar.National())
	must(err)
	c, err := pipeline.NewCorrections(pipeline.CorrectionsOptions{Bus: b, World: world, Requests: x.Requests, Records: store, Accesses: looks, Key: secret, Hasher: hasher.Clone(), Log: quiet,
		Due: func(time.Time) (sharing.Deadline, error) {
			day, _ := calendar.ParseDate("2026-03-02")
			return rules.Due(sharing.Correction, day, days)
		}})
	must(err)
	record := serving.RecordID(hasher, "welfare", "W1")
	put := func(version uint64, level string) {
		must(store.Apply(version, []serving.Change{{Record: &serving.Record{ID: record, Version: version, Dataset: "welfare", Fields: []serving.Field{{Name: "level", Value: level}}}}}))
	}
	put(1, "wrong-value")

	s := &share{o: SharingOptions{Corrections: c, Callers: byName{}}, log: quiet, now: time.Now, watch: newWatch(county.SharingLimits{Rate: 1000, Burst: 1000}, byName{}.Names(), time.Now)}
	s.calls = prometheus.NewCounterVec(prometheus.CounterOpts{Name: "a"}, []string{"client", "operation", "outcome"})
	mux := http.NewServeMux()
	for _, r := range s.correctionRoutes() {
		mux.Handle(r.method()+" "+r.Path, r.handle)
	}
	call := func(department, method, path, body string, want int) string {
		t.Helper()
		r := httptest.NewRequest(method, path, bytes.NewReader([]byte(body)))
		r.Header.Set("Test-Department", department)
		r.Header.Set(clerkHeader, "UTF-8''%E6%9D%8E%E6%A2%85")
		if body != "" {
			r.Header.Set("Content-Type", "application/json")
		}
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, r)
		text, _ := io.ReadAll(w.Body)
		if w.Code != want || w.Header().Get("Cache-Control") != "no-store" {
			t.Fatalf("%s %s by %s: %d %s", method, path, department, w.Code, text)
		}
		for _, private := range []string{"wrong-value", "right-value"} {
			if strings.Contains(string(text), private) && method+department != "GETcivil" {
				t.Fatalf("%s %s tells %s: %s", method, path, private, text)
			}
		}
		return string(text)
	}
	report := fmt.Sprintf(`{"dataset": "welfare", "field": "level", "record": %q, "proposed": "right-value"}`, record)
	if text := call("stranger", "POST", "/api/v1/corrections", report, 422); !strings.Contains(text, `"not_granted"`) {
		t.Fatal(text)
	}
	call("hall", "POST", "/api/v1/corrections", `{"dataset": "welfare", "dataset": "x"}`, 400)
	call("hall", "POST", "/api/v1/corrections", `{"dataset": "welfare", "record": "x"}`, 400)
	call("hall", "POST", "/api/v1/corrections?name=right", report, 400)
	var one CorrectionState
	must(json.Unmarshal([]byte(call("hall", "POST", "/api/v1/corrections", report, 200)), &one))
	at := "/api/v1/corrections/" + one.ID
	if list := call("stranger", "GET", "/api/v1/corrections", "", 200); strings.TrimSpace(list) != "[]" {
		t.Fatal(list)
	}
	if list := call("civil", "GET", "/api/v1/corrections", "", 200); !strings.Contains(list, `"days":10`) || !strings.Contains(list, `"overdue":true`) {
		t.Fatal(list)
	}
	if said := call("civil", "GET", at, "", 200); !strings.Contains(said, "right-value") {
		t.Fatal(said)
	}
	call("stranger", "GET", at, "", 422)
	call("hall", "POST", at+"/answer", `{"accept": true}`, 422)
	call("civil", "POST", at+"/answer", `{"accept": false}`, 422)
	call("civil", "POST", at+"/answer", `{"accept": true}`, 200)
	put(2, "right")
	must(c.Close(t.Context()))
	if list := call("hall", "GET", "/api/v1/corrections", "", 200); !strings.Contains(list, `"state":"corrected"`) {
		t.Fatal(list)
	}
}
