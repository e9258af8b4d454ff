package subscription

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/shirecounty/shire/connectors/push"
	"github.com/shirecounty/shire/deploy/embedded"
	"github.com/shirecounty/shire/pipeline"
	"github.com/shirecounty/shire/pipeline/audit"
	"github.com/shirecounty/shire/pipeline/bus"
	"github.com/shirecounty/shire/pipeline/identity"
	"github.com/shirecounty/shire/pipeline/normalise"
	"github.com/shirecounty/shire/pipeline/seal"
	"github.com/shirecounty/shire/pipeline/serving"
	"github.com/shirecounty/shire/schemas/calendar"
	"github.com/shirecounty/shire/schemas/canonical"
	"github.com/shirecounty/shire/schemas/change"
	"github.com/shirecounty/shire/schemas/contract"
	"github.com/shirecounty/shire/schemas/county"
	schema "github.com/shirecounty/shire/schemas/identity"
	"github.com/shirecounty/shire/schemas/pseudonym"
	"github.com/shirecounty/shire/schemas/sharing"
)

// The bus is started once; each test has a county that no other has.
var engines *embedded.Engines

func TestMain(m *testing.M) {
	embedded.RunChildIfAsked()
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "shire-subscription-")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	engines, err = embedded.Start(context.Background(), embedded.Options{Dir: dir, Version: "1.0.0", ClickHouse: embedded.ClickHouseOptions{Disabled: true}, Log: slog.New(slog.DiscardHandler),
		NATS: embedded.NATSOptions{Users: []embedded.NATSUser{hallUser()}}})
	if err != nil {
		panic(err)
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		engines.Stop(ctx)
	}()
	return m.Run()
}

const welfare = `dataset: welfare
department: civil
owner: {zh: 甲, en: A}
title: {zh: 低保, en: Welfare}
version: 1
key: [number]
sharing: {type: conditional}
fields:
  - {name: number, type: identifier, required: true, sensitivity: internal}
  - {name: card, type: citizen_number, sensitivity: sensitive}
  - {name: level, type: text, sensitivity: internal}
  - {name: income, type: text, sensitivity: personal}
  - {name: note, type: text, sensitivity: personal}
emits:
  - {table: person_records, role: holder, columns: {id_number: card, name: card}}
`

const halls = `dataset: hall_cases
department: hall
owner: {zh: 甲, en: A}
title: {zh: 办件, en: Cases}
version: 1
key: [number]
sharing: {type: conditional}
fields:
  - {name: number, type: case_number, required: true, sensitivity: internal}
  - {name: card, type: citizen_number, sensitivity: sensitive}
  - {name: agent, type: citizen_number, sensitivity: sensitive}
  - {name: item, type: text, required: true, sensitivity: open}
  - {name: closed, type: timestamp, sensitivity: internal}
emits:
  - {table: person_records, role: applicant, columns: {id_number: card, name: card}}
  - {table: person_records, role: agent, when: {field: agent, present: true}, columns: {id_number: agent, name: agent}}
  - table: cases
    person: applicant
    columns: {case_number: number, department: {value: hall}, item_code: item, closed_at: closed}
`

const roads = `dataset: roads
department: civil
owner: {zh: 甲, en: A}
title: {zh: 道路, en: Roads}
version: 1
key: [number]
sharing: {type: unconditional}
fields:
  - {name: number, type: identifier, required: true, sensitivity: open}
  - {name: state, type: text, sensitivity: open}
  - {name: budget, type: text, sensitivity: internal}
  - {name: reported, type: date, sensitivity: open}
emits:
  - table: incidents
    columns: {incident_number: number, department: {value: civil}, reported_at: reported}
`

// People who do not exist.
const (
	anna  = "11010519491231002X"
	bao   = "339921198601201134"
	chen  = "339921198705293045"
	money = "income-8713"
)

var counties atomic.Int64

type rig struct {
	*testing.T
	county     string
	nc         *nats.Conn
	bus        *bus.Bus
	contracts  contract.Set
	hasher     *pseudonym.Hasher
	store      *serving.Store
	identities *identity.Matching
	exchange   *pipeline.Exchange
	log        *audit.Log
	lines      *lines
	receiver   *receiver
	writers    map[string]*bus.Writer
	loaded     uint64
	calendar   *calendar.Calendar
	rejected   int
}

// lines is what was logged.
type lines struct {
	mu sync.Mutex
	bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.Buffer.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.Buffer.String()
}

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{T: t, county: fmt.Sprint(330000 + counties.Add(1)), contracts: contract.Set{}, writers: map[string]*bus.Writer{}, lines: &lines{}}
	var err error
	r.nc, err = nats.Connect(engines.NATS().URL, engines.NATS().InProcess()...)
	r.must(err)
	t.Cleanup(r.nc.Close)
	r.bus, err = bus.Open(t.Context(), r.nc, bus.Options{County: r.county, Replicas: 1})
	r.must(err)
	for _, text := range []string{welfare, halls, roads} {
		d, err := contract.Parse("c.yaml", []byte(text), "Asia/Shanghai")
		r.must(err)
		r.contracts[d.Name] = d
	}
	r.hasher, err = pseudonym.New([]byte(strings.Repeat("k", 32)))
	r.must(err)
	keys, err := seal.NewKeyring(seal.Key{ID: 1, Cipher: seal.AES256GCM, Secret: bytes.Repeat([]byte{1}, 32)})
	r.must(err)
	r.store, err = serving.Open(t.TempDir(), serving.Options{Keys: keys, Cache: 1 << 20})
	r.must(err)
	t.Cleanup(func() { r.store.Close() })
	r.identities, err = identity.Open(identity.Options{Dir: t.TempDir(), Hasher: r.hasher.Clone(), NoSync: true, Log: slog.New(slog.DiscardHandler)})
	r.must(err)
	t.Cleanup(func() { r.identities.Close() })
	r.exchange = pipeline.NewExchange(r.bus, func() sharing.World {
		return sharing.World{Contracts: r.contracts, Purposes: []string{"eligibility"}, Lead: "bureau"}
	})
	r.log = r.auditLog(r.nc)
	_, err = pipeline.PublishFirstModels(t.Context(), r.bus, func(string) *schema.Model { return nil }, time.Now())
	r.must(err)
	r.calendar, err = calendar.Load(calendar.National())
	r.must(err)
	r.load()
	r.receiver = newReceiver(t)
	return r
}

func (r *rig) auditLog(nc *nats.Conn) *audit.Log {
	r.Helper()
	key, err := audit.LoadOrCreateKey(r.TempDir(), audit.Ed25519)
	r.must(err)
	l, err := audit.Open(r.Context(), nc, audit.Options{County: r.county, Hasher: r.hasher.Clone(), Key: key, Log: slog.New(slog.DiscardHandler)})
	r.must(err)
	return l
}

func (r *rig) must(err error) {
	r.Helper()
	if err != nil {
		r.Fatal(err)
	}
}

// publish sends rows of a dataset as one message and loads it.
func (r *rig) publish(dataset string, rows ...change.Change) {
	r.Helper()
	r.send(dataset, rows...)
	r.load()
}

func (r *rig) send(dataset string, rows ...change.Change) {
	r.Helper()
	d := r.contracts[dataset]
	w := r.writers[dataset]
	if w == nil {
		var err error
		w, err = r.bus.ChangesWriter(r.Context(), r.bus.ChangesSubject(d.Department, dataset))
		r.must(err)
		r.writers[dataset] = w
	}
	var columns []string
	for _, f := range d.Fields {
		columns = append(columns, f.Name)
	}
	b := change.NewBuilder("source", d.Department, dataset, "u.csv", columns)
	defer b.Release()
	for _, c := range rows {
		b.Append(c)
	}
	data, err := b.Build().Encode()
	r.must(err)
	_, err = w.Publish(r.Context(), nats.Header{bus.HeaderRows: {fmt.Sprint(len(rows))}}, data)
	r.must(err)
}

func row(op change.Op, values ...string) change.Change {
	c := change.Change{Op: op, Key: values[0], Row: 1, Values: values, Null: make([]bool, len(values))}
	for i, v := range values {
		c.Null[i] = v == ""
	}
	return c
}

func (r *rig) welfare(key, card, level, income string) {
	r.Helper()
	r.publish("welfare", row(change.Update, key, card, level, income, "secret-note"))
}

func (r *rig) open(number, card, item string) {
	r.Helper()
	r.publish("hall_cases", row(change.Update, number, card, "", item, ""))
}

func (r *rig) close(number, card, item string) {
	r.Helper()
	r.publish("hall_cases", row(change.Update, number, card, "", item, time.Now().Add(-time.Second).Format(time.RFC3339)))
}

// load brings identities and the store up with the bus, as the flow does.
func (r *rig) load() {
	r.Helper()
	last, err := r.bus.LastSequence(r.Context())
	r.must(err)
	own := contract.Own()
	for sequence := r.loaded + 1; sequence <= last; sequence++ {
		msg, err := r.bus.Get(r.Context(), sequence)
		r.must(err)
		var changes []serving.Change
		if batch, err := change.Decode(msg.Data); err == nil && strings.Contains(msg.Subject, "."+r.county+".") {
			d := r.contracts[batch.Dataset]
			if d == nil {
				d = own[batch.Dataset]
			}
			plan, err := normalise.Compile(d, r.hasher.Clone(), r.calendar)
			r.must(err)
			result := plan.Apply(batch, msg.Sequence, msg.Time)
			r.rejected += len(result.Rejected)
			var mentions []*normalise.Rows
			for _, t := range result.Tables {
				if t.Table.Mention != canonical.NoMention {
					mentions = append(mentions, t)
				}
			}
			_, err = r.identities.Resolve(r.Context(), mentions, nil)
			r.must(err)
			r.must(r.identities.Keep(sequence))
			changes = serving.Changes(r.hasher, d, batch, result, msg.Sequence, msg.Time)
		}
		r.must(r.store.Apply(sequence, changes))
	}
	r.loaded = last
}

type of struct{ *identity.Matching }

func (o of) Of(person bool, id pseudonym.ID) (pseudonym.ID, []pseudonym.ID, bool) {
	about := identity.Organisation
	if person {
		about = identity.Person
	}
	return o.Partition(about).Of(id)
}

// grant makes a request and has it approved.
func (r *rig) grant(id, dataset string, fields map[string]sharing.Mask, items ...string) {
	r.Helper()
	now := time.Now()
	terms := &sharing.Terms{Dataset: dataset, Fields: fields, Purpose: "eligibility", Items: items, From: now.Add(-time.Hour), Until: now.AddDate(1, 0, 0)}
	owner := r.contracts[dataset].Department
	r.act(sharing.Event{Request: id, Act: sharing.Submit, Department: "hall", Terms: terms})
	r.act(sharing.Event{Request: id, Act: sharing.Approve, Department: owner})
	r.act(sharing.Event{Request: id, Act: sharing.Deliver, Department: owner})
}

func (r *rig) act(e sharing.Event) {
	r.Helper()
	e.At = time.Now()
	_, err := r.exchange.Do(r.Context(), e, "王五")
	r.must(err)
	r.load()
}

func (r *rig) revoke(id string) {
	r.Helper()
	r.act(sharing.Event{Request: id, Act: sharing.Revoke, Department: "civil", Reason: "why"})
}

var masks = map[string]sharing.Mask{"number": sharing.Full, "level": sharing.Full, "income": sharing.Exists, "card": sharing.Partial, "note": sharing.Equals}

const secret = "0123456789abcdef0123456789abcdef"

func (r *rig) config(dataset string) county.Subscription {
	return county.Subscription{Name: "hall_" + dataset, Department: "hall", Dataset: dataset, Purpose: "eligibility",
		Webhook: county.Webhook{URL: r.receiver.URL, Secret: secret, Digest: "sm3"}, ParkAfter: county.Duration(time.Hour)}
}

// killedAt is a service's death at a step.
func killedAt(step string) func(string) error {
	return func(at string) error {
		if at == step {
			return errKilled
		}
		return nil
	}
}

func (r *rig) service(change func(*Options)) *Service {
	r.Helper()
	o := Options{County: r.county, Bus: r.bus, NATS: r.nc, Records: r.store, Identities: of{r.identities}, Requests: r.exchange, Accesses: r.log,
		Contracts: r.contracts, Hasher: r.hasher.Clone(), FirstWait: 10 * time.Millisecond, Log: slog.New(slog.NewJSONHandler(r.lines, nil))}
	if change != nil {
		change(&o)
	}
	s, err := New(r.Context(), o)
	r.must(err)
	return s
}

// serve runs a service until stop is called, or the test ends. A subscription begins when serve has returned.
func (r *rig) serve(s *Service, list ...county.Subscription) (stop func()) {
	r.Helper()
	ctx, cancel := context.WithCancel(r.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx, list) }()
	for _, c := range list {
		r.until("the subscription begins", func() bool {
			p, err := s.book.Progress(r.Context(), Follows{c.Name, c.Dataset})
			return err == nil && !p.Started.IsZero()
		})
	}
	stop = sync.OnceFunc(func() {
		cancel()
		r.must(<-done)
	})
	r.Cleanup(stop)
	return stop
}

func (r *rig) until(what string, fn func() bool) {
	r.Helper()
	for deadline := time.Now().Add(time.Minute); !fn(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			r.Fatalf("%s: not within a minute; log:\n%s", what, r.lines)
		}
	}
}

// done waits until the subscription has read everything.
func (r *rig) done(s *Service, c county.Subscription) {
	r.Helper()
	last, err := r.bus.LastOn(r.Context(), r.bus.ChangesSubject(r.contracts[c.Dataset].Department, c.Dataset))
	r.must(err)
	r.until("the subscription has read everything", func() bool { return r.progress(s, c).Position >= last })
}

func (r *rig) progress(s *Service, c county.Subscription) Progress {
	r.Helper()
	p, err := s.book.Progress(r.Context(), Follows{c.Name, c.Dataset})
	r.must(err)
	return p
}

// arrived is an event as a receiver took it.
type arrived struct {
	ID, Type, Source string
	Data             map[string]any
}

func (a arrived) record() string { return fmt.Sprint(a.Data[RecordMember]) }

// receiver is a department's system.
type receiver struct {
	*httptest.Server
	t *testing.T

	mu     sync.Mutex
	answer func(w http.ResponseWriter, r *http.Request) bool // false: it has not answered
	got    []arrived
	tried  int
	before func(arrived) // called before an event is taken
}

func newReceiver(t *testing.T) *receiver {
	v := &receiver{t: t}
	v.Server = httptest.NewServer(v)
	t.Cleanup(v.Close)
	return v
}

func (v *receiver) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	v.mu.Lock()
	v.tried++
	answer, before := v.answer, v.before
	v.mu.Unlock()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	if answer != nil && answer(w, r) {
		return
	}
	at := r.Header.Get(push.SignatureHeader)
	var seconds int64
	fmt.Sscanf(at, "t=%d,", &seconds)
	if want, err := push.Sign("sm3", []byte(secret), time.Unix(seconds, 0), body); err != nil || want != at {
		v.t.Errorf("the signature is %s and not %s: %v", at, want, err)
	}
	var a arrived
	if err := json.Unmarshal(body, &a); err != nil {
		v.t.Error(err)
	}
	if before != nil {
		before(a)
	}
	v.mu.Lock()
	v.got = append(v.got, a)
	v.mu.Unlock()
}

func (v *receiver) answers(fn func(w http.ResponseWriter, r *http.Request) bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.answer = fn
}

func (v *receiver) events() []arrived {
	v.mu.Lock()
	defer v.mu.Unlock()
	return slices.Clone(v.got)
}

func (v *receiver) tries() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.tried
}

// short writes events as type:level.
func short(list []arrived) string {
	var out []string
	for _, a := range list {
		out = append(out, fmt.Sprint(a.Type[strings.LastIndexByte(a.Type, '.')+1:], ":", a.Data["level"]))
	}
	return strings.Join(out, " ")
}

func status(code int) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, _ *http.Request) bool { w.WriteHeader(code); return true }
}
