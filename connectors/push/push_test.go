package push_test

import (
	"bytes"
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/emmansun/gmsm/sm3"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/shirecounty/shire/connectors"
	"github.com/shirecounty/shire/connectors/conformance"
	"github.com/shirecounty/shire/connectors/push"
	"github.com/shirecounty/shire/deploy/embedded"
	"github.com/shirecounty/shire/pipeline/bus"
	"github.com/shirecounty/shire/schemas/contract"
	"github.com/shirecounty/shire/schemas/county"
)

const (
	division = "330000"
	secret   = "0123456789abcdef0123456789abcdef"
	previous = "fedcba9876543210fedcba9876543210"
)

var engine *embedded.NATS

func TestMain(m *testing.M) {
	embedded.RunChildIfAsked()
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "shire-push-")
	if err != nil {
		slog.Error("no directory for the engine", "error", err)
		return 1
	}
	defer os.RemoveAll(dir)
	e, err := start(dir)
	if err != nil {
		slog.Error("the engine did not start", "error", err)
		return 1
	}
	defer e.Stop(context.Background())
	engine = e.NATS()
	return m.Run()
}

// start starts a server with the users of bureau and of police.
func start(dir string) (*embedded.Engines, error) {
	o := embedded.Options{Dir: dir, Version: "1.0.0", Log: slog.New(slog.DiscardHandler), ClickHouse: embedded.ClickHouseOptions{Disabled: true}}
	for _, a := range push.Accesses(division, []county.Source{
		{Name: "records", Kind: push.Kind, Datasets: []string{"records"}, With: map[string]any{"nats": true}},
		{Name: "patrols", Kind: push.Kind, Datasets: []string{"patrols"}, With: map[string]any{"nats": true}},
	}, contract.Set{"records": {Department: "bureau"}, "patrols": {Department: "police"}}) {
		o.NATS.Users = append(o.NATS.Users, embedded.NATSUser{Name: a.User, Password: "of " + a.User, Publish: a.Publish, Subscribe: a.Subscribe()})
	}
	return embedded.Start(context.Background(), o)
}

// openBus is the bus as Shire itself reaches it.
func openBus(t testing.TB, at *embedded.NATS) (*bus.Bus, jetstream.JetStream) {
	t.Helper()
	nc, err := nats.Connect(at.URL, at.InProcess()...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	b, err := bus.Open(t.Context(), nc, bus.Options{County: division, Replicas: 1})
	if err != nil {
		t.Fatal(err)
	}
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	return b, js
}

// emptied is the bus with an empty inbox of bureau.
func emptied(t testing.TB) *bus.Bus {
	t.Helper()
	b, js := openBus(t, engine)
	if err := js.DeleteStream(t.Context(), "INBOX_"+division+"_bureau"); err != nil && !errors.Is(err, jetstream.ErrStreamNotFound) {
		t.Fatal(err)
	}
	if err := b.Inbox("bureau").Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	return b
}

// store is the bus as the webhook sees it.
type store struct{ bus *bus.Bus }

func (s store) Put(ctx context.Context, department, dataset, token string, header map[string][]string, data []byte) (bool, error) {
	return s.bus.Inbox(department).Put(ctx, dataset, token, header, data)
}

func dataset(t testing.TB, name string) *contract.Dataset {
	t.Helper()
	d, err := contract.Parse(name+".yaml", []byte(strings.ReplaceAll(`
dataset: NAME
department: bureau
owner: {zh: 局, en: Bureau}
title: {zh: 表, en: Records}
version: 1
key: [id]
sharing: {type: unconditional}
fields:
  - {name: id, headers: [id, 编号], type: text, sensitivity: internal}
  - {name: name, type: text, sensitivity: internal}
emits:
  - table: cases
    columns: {case_number: id, department: {value: bureau}, item_code: {value: item}, item_name: name}
`, "NAME", name)), "Asia/Shanghai")
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// webhook is the door on a server of HTTP.
type webhook struct {
	url    string
	closed error
	digest func() hash.Hash // SHA-256 when nil
}

func newWebhook(t testing.TB, s push.Store, datasets ...string) *webhook {
	t.Helper()
	w := &webhook{}
	set := contract.Set{}
	for _, name := range datasets {
		set[name] = dataset(t, name)
	}
	door, err := push.NewDoor(push.DoorOptions{
		Sources: []county.Source{
			{Name: "records", Kind: push.Kind, Datasets: datasets, With: map[string]any{"secret": secret, "previous_secret": previous}},
			{Name: "silent", Kind: push.Kind, Datasets: datasets, With: map[string]any{"nats": true}},
			{Name: "other", Kind: "file"},
		},
		Contracts: set, Resolve: func(p string) string { return p }, Store: s, Closed: func() error { return w.closed }, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("POST "+push.Path, door)
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	w.url = server.URL + "/api/v1/push/"
	return w
}

// signed is the header over a text.
func signed(digest func() hash.Hash, key, text string, at time.Time) string {
	name := "sm3"
	if digest == nil {
		digest, name = sha256.New, "sha256"
	}
	m := hmac.New(digest, []byte(key))
	fmt.Fprintf(m, "%d.%s", at.Unix(), text)
	return fmt.Sprintf("t=%d,%s=%s", at.Unix(), name, hex.EncodeToString(m.Sum(nil)))
}

// request is a request that is right; tests spoil it.
func (w *webhook) request(t testing.TB, media, body string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.url+"records", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", media)
	r.Header.Set("Shire-Signature", signed(w.digest, secret, body, time.Now()))
	return r
}

// answer is what came back.
type answer struct {
	Status  int
	Results []push.Taken
	Detail  string
	Code    string
	Errors  []string
	header  http.Header
	text    string
}

func (a answer) states() string {
	var states []string
	for _, r := range a.Results {
		states = append(states, r.ID+" "+r.State)
	}
	return strings.Join(states, ", ")
}

func send(t testing.TB, r *http.Request) answer {
	t.Helper()
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	a := answer{header: response.Header, text: string(text)}
	if err := json.Unmarshal(text, &a); err != nil {
		t.Fatalf("%d %s", response.StatusCode, text)
	}
	a.Status = response.StatusCode
	return a
}

const (
	onEvent = "application/cloudevents+json"
	onBatch = "application/cloudevents-batch+json"
)

func eventOf(id, op string, data any) map[string]any {
	return map[string]any{"specversion": "1.0", "id": id, "source": "bureau/records", "type": "shire.record." + op, "data": data}
}

func textOf(t testing.TB, v any) string {
	t.Helper()
	var text bytes.Buffer
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(text.String())
}

// department is a system that sends its changes by itself: a table of records, and a way to send.
type department struct {
	bus   *bus.Bus
	with  map[string]any
	send  func(t testing.TB, events []map[string]any)
	rows  map[string]map[string]any
	extra []string // columns beside id, name and note
	next  int
}

func (d *department) Source() county.Source { return county.Source{Kind: push.Kind, With: d.with} }

func (d *department) Furnish(s *connectors.Settings) { s.Inbox = d.bus.Inbox("bureau") }

// event is a change of a record as it now stands.
func (d *department) event(op, id string) map[string]any {
	d.next++
	if op == "deleted" {
		return eventOf(fmt.Sprint("e", d.next), op, map[string]any{"id": id})
	}
	return eventOf(fmt.Sprint("e", d.next), op, maps.Clone(d.rows[id]))
}

func (d *department) write(o conformance.Operation) []map[string]any {
	set := func(r conformance.Row) {
		row := map[string]any{"id": r.ID, "name": r.Name, "note": r.Note}
		for _, column := range d.extra {
			row[column] = d.rows[r.ID][column]
		}
		d.rows[r.ID] = row
	}
	switch o.Kind {
	case conformance.Insert:
		set(o.Row)
		return []map[string]any{d.event("created", o.ID)}
	case conformance.Update:
		set(o.Row)
		return []map[string]any{d.event("updated", o.ID)}
	case conformance.Delete:
		delete(d.rows, o.ID)
		return []map[string]any{d.event("deleted", o.ID)}
	}
	row := maps.Clone(d.rows[o.ID])
	row["id"] = o.NewID
	delete(d.rows, o.ID)
	d.rows[o.NewID] = row
	return []map[string]any{d.event("deleted", o.ID), d.event("created", o.NewID)}
}

func (d *department) Apply(t testing.TB, ops ...conformance.Operation) {
	t.Helper()
	var events []map[string]any
	for _, o := range ops {
		events = append(events, d.write(o)...)
	}
	d.send(t, events)
}

func (d *department) Types(t testing.TB, key string) map[string]string {
	d.next++
	d.send(t, []map[string]any{eventOf(fmt.Sprint("e", d.next), "updated", json.RawMessage(`{"id": "`+key+`", "text": "\ud842\udfb7 \u0041\n", "whole": -12345678901234567890,
		"decimal": 9.00, "exponent": 1.5E+300, "yes": true, "no": false, "nothing": null, "object": {"a": [1, 2.50]}, "array": [ ], "zero": -0}`))})
	return map[string]string{
		"id": key, "text": "𠮷 A\n", "whole": "-12345678901234567890", "decimal": "9.00", "exponent": "1.5E+300", "yes": "true", "no": "false",
		"nothing": conformance.Null, "object": `{"a":[1,2.50]}`, "array": "[]", "zero": "-0",
	}
}

func (d *department) AddColumn(t testing.TB, name, value string) {
	d.extra = append(d.extra, name)
	d.rows["1"][name] = value
	d.send(t, []map[string]any{d.event("updated", "1")})
}

func (d *department) DropColumn(_ testing.TB, name string) {
	d.extra = nil
	for _, row := range d.rows {
		delete(row, name)
	}
}

func (d *department) RenameColumn(_ testing.TB, from, to string) {
	d.extra = []string{to}
	for _, row := range d.rows {
		row[to] = row[from]
		delete(row, from)
	}
}

func (d *department) WidenColumn(testing.TB, string) {} // an event says no types

var (
	_ conformance.Furnishing = (*department)(nil)
	_ conformance.Typed      = (*department)(nil)
	_ conformance.Changing   = (*department)(nil)
)

// skips of both ways to send.
var skips = map[string]string{
	conformance.Rollback:   "what a department takes back it does not send",
	conformance.Zones:      "an event is text: there is no server whose zone could change a time",
	conformance.SummerTime: "an event is text: there is no server whose zone could change a time",
}

func TestConformanceOfTheWebhook(t *testing.T) {
	conformance.Run(t, conformance.Suite{Skips: skips, New: func(t *testing.T) conformance.System {
		b := emptied(t)
		w := newWebhook(t, store{b}, "records")
		d := &department{bus: b, with: map[string]any{"secret": secret}, rows: map[string]map[string]any{}}
		d.send = func(t testing.TB, events []map[string]any) {
			t.Helper()
			a := send(t, w.request(t, onBatch, textOf(t, events)))
			if a.Status != http.StatusOK || len(a.Results) != len(events) || strings.Contains(a.states(), "duplicate") {
				t.Fatalf("%d %s", a.Status, a.text)
			}
		}
		return d
	}})
}

func TestConformanceOfNATS(t *testing.T) {
	conformance.Run(t, conformance.Suite{Skips: skips, New: func(t *testing.T) conformance.System {
		nc := as(t, engine, "bureau")
		d := &department{bus: emptied(t), with: map[string]any{"nats": true}, rows: map[string]map[string]any{}}
		d.send = func(t testing.TB, events []map[string]any) {
			t.Helper()
			for i, e := range events {
				msg := &nats.Msg{Subject: "inbox." + division + ".bureau.records." + e["id"].(string), Data: []byte(textOf(t, e))}
				if i%2 == 1 { // in binary mode
					msg.Data = []byte(textOf(t, e["data"]))
					msg.Header = nats.Header{"ce-specversion": {"1.0"}, "ce-id": {e["id"].(string)}, "ce-source": {"bureau/records"}, "ce-type": {e["type"].(string)}, "Content-Type": {"application/json"}}
				}
				if ack := publish(t, nc, msg); ack.Error != nil || ack.Duplicate {
					t.Fatalf("%+v", ack.Error)
				}
			}
		}
		return d
	}})
}

// as is a connection of a department's user.
func as(t testing.TB, at *embedded.NATS, department string, options ...nats.Option) *nats.Conn {
	t.Helper()
	user := "department_" + department
	nc, err := nats.Connect(at.URL, append([]nats.Option{nats.UserInfo(user, "of "+user), nats.CustomInboxPrefix("_INBOX_" + department)}, options...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

// ack is JetStream's answer to a message.
type ack struct {
	Error     *jetstream.APIError
	Sequence  uint64 `json:"seq"`
	Duplicate bool
}

// publish is all that a department needs: a request whose answer is the acknowledgement.
func publish(t testing.TB, nc *nats.Conn, msg *nats.Msg) ack {
	t.Helper()
	answer, err := nc.RequestMsg(msg, 10*time.Second)
	if err != nil {
		t.Fatalf("%s: %v", msg.Subject, err)
	}
	var a ack
	if err := json.Unmarshal(answer.Data, &a); err != nil {
		t.Fatal(err)
	}
	return a
}

func TestKindOfDigest(t *testing.T) {
	w := newWebhook(t, store{emptied(t)}, "records")
	w.digest = sm3.New
	a := send(t, w.request(t, onEvent, textOf(t, eventOf("1", "created", map[string]any{"id": "1"}))))
	if got := cmp.Or(a.states(), a.text); got != "1 accepted" {
		t.Error(got)
	}
}
