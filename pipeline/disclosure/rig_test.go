package disclosure_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/shirecounty/shire/pipeline/audit"
	"github.com/shirecounty/shire/pipeline/disclosure"
	"github.com/shirecounty/shire/pipeline/seal"
	"github.com/shirecounty/shire/pipeline/serving"
	"github.com/shirecounty/shire/schemas/contract"
	"github.com/shirecounty/shire/schemas/pseudonym"
	"github.com/shirecounty/shire/schemas/sharing"
)

// The county of these tests: cases of two departments, a register of one person for a record, and one of two.
var contractTexts = []string{`dataset: cases
department: hall
owner: {zh: 甲, en: A}
title: {zh: 甲, en: A}
version: 1
key: [number]
sharing: {type: conditional}
fields:
  - {name: number, type: case_number, required: true, sensitivity: internal}
  - {name: name, type: chinese_name, sensitivity: personal}
  - {name: card, type: citizen_number, sensitivity: sensitive}
  - {name: agent, type: chinese_name, sensitivity: personal}
  - {name: item, type: item_code, required: true, sensitivity: open}
  - {name: department, type: identifier, required: true, sensitivity: open}
  - {name: opened, type: timestamp, sensitivity: internal}
  - {name: closed, type: timestamp, sensitivity: internal}
emits:
  - {table: person_records, role: applicant, columns: {name: name, id_number: card}}
  - {table: person_records, role: agent, when: {field: agent, present: true}, columns: {name: agent}}
  - {table: cases, person: applicant, columns: {case_number: number, department: department, item_code: item, applied_at: opened, closed_at: closed}}
`, `dataset: residents
department: police
owner: {zh: 甲, en: A}
title: {zh: 甲, en: A}
version: 1
key: [card]
sharing: {type: conditional}
fields:
  - {name: card, type: citizen_number, required: true, sensitivity: sensitive}
  - {name: name, type: chinese_name, sensitivity: personal}
  - {name: born, type: date, sensitivity: personal}
  - {name: status, type: text, sensitivity: internal}
  - {name: note, type: text, sensitivity: personal, sharing: none}
  - {name: division, type: division_code, sensitivity: internal}
  - {name: register, type: identifier, sensitivity: personal}
  - {name: register_until, type: date, sensitivity: internal}
emits:
  - {table: person_records, role: resident, columns: {name: name, id_number: card, birth_date: born, division: division}}
  - table: holdings
    person: resident
    when: {field: register, present: true}
    columns: {material_code: {value: REGISTER}, issuer: {value: police}, document: [register], valid_until: register_until, status: {value: valid}}
`, `dataset: marriages
department: civil
owner: {zh: 甲, en: A}
title: {zh: 甲, en: A}
version: 1
key: [number]
sharing: {type: conditional}
fields:
  - {name: number, type: identifier, required: true, sensitivity: internal}
  - {name: husband, type: chinese_name, sensitivity: personal}
  - {name: wife, type: chinese_name, sensitivity: personal}
emits:
  - {table: person_records, role: husband, columns: {name: husband}}
  - {table: person_records, role: wife, columns: {name: wife}}
`}

func contracts() contract.Set {
	set := contract.Set{}
	for _, text := range contractTexts {
		d, err := contract.Parse("c.yaml", []byte(text), "Asia/Shanghai")
		if err != nil {
			panic(err)
		}
		set[d.Name] = d
	}
	return set
}

// fataler is *testing.T and *rapid.T.
type fataler interface {
	Helper()
	Fatal(...any)
	Fatalf(string, ...any)
}

var noon = time.Date(2026, 3, 2, 4, 0, 0, 0, time.UTC)

// town is a desk on a real store, with people, requests and a log that the test rules.
type town struct {
	*disclosure.Desk
	t         fataler
	store     *serving.Store
	hasher    *pseudonym.Hasher
	contracts contract.Set
	version   uint64
	now       time.Time

	mu       sync.Mutex
	requests map[string]*sharing.Request
	whose    map[pseudonym.ID]pseudonym.ID // mention -> person
	became   map[pseudonym.ID]pseudonym.ID
	log      []audit.Access
	logDown  error
	stale    error
	away     error // why the warehouse is
	busDown  error
	taken    []disclosure.TakenMaterial
	said     []string // personal values that are in the store
}

func newTown(t fataler, dir string) *town {
	t.Helper()
	h, err := pseudonym.New(bytes.Repeat([]byte("k"), 32))
	if err != nil {
		t.Fatal(err)
	}
	keys, err := seal.NewKeyring(seal.Key{ID: 1, Cipher: seal.AES256GCM, Secret: bytes.Repeat([]byte{1}, 32)})
	if err != nil {
		t.Fatal(err)
	}
	store, err := serving.Open(dir, serving.Options{Keys: keys, Cache: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	zone, err := time.LoadLocation("Asia/Shanghai")
	if err != nil {
		t.Fatal(err)
	}
	w := &town{t: t, store: store, hasher: h, contracts: contracts(), now: noon, requests: map[string]*sharing.Request{},
		whose: map[pseudonym.ID]pseudonym.ID{}, became: map[pseudonym.ID]pseudonym.ID{}}
	w.Desk = disclosure.New(disclosure.Options{Store: store, Persons: func() disclosure.Persons { return w }, Exchange: w, Log: w, Looks: w, Taken: w,
		Fresh: func() error { return w.stale }, Warehouse: func() error { return w.away }, Contracts: w.contracts, Purposes: []string{"eligibility", "review"}, Hasher: h.Clone(), Zone: zone,
		Items: sharing.Items{"ITEM-1": {Code: "ITEM-1", Department: "welfare", Materials: []string{"REGISTER", "PHOTO"}}},
		Now:   func() time.Time { return w.now }})
	return w
}

func (w *town) Whom(mentions []pseudonym.ID) []pseudonym.ID {
	out := make([]pseudonym.ID, len(mentions))
	for i, m := range mentions {
		out[i] = w.whose[m]
	}
	return out
}

func (w *town) Held(person pseudonym.ID, most int) (ids []pseudonym.ID) {
	for m, p := range w.whose {
		if p == person {
			ids = append(ids, m)
		}
	}
	return ids[:min(len(ids), most)]
}

func (w *town) Resolve(id pseudonym.ID) (pseudonym.ID, bool) {
	for !w.became[id].IsZero() {
		id = w.became[id]
	}
	return id, slices.Contains(slices.Collect(maps.Values(w.whose)), id)
}

func (w *town) Became(person pseudonym.ID) (ids []pseudonym.ID) {
	for from := range w.became {
		if to, _ := w.Resolve(from); to == person {
			ids = append(ids, from)
		}
	}
	return ids
}

// merge makes one person of two.
func (w *town) merge(from, to pseudonym.ID) {
	if from == to {
		return
	}
	w.became[from] = to
	for m, p := range w.whose {
		if p == from {
			w.whose[m] = to
		}
	}
}

func (w *town) Requests(context.Context) ([]*sharing.Request, error) {
	return slices.Collect(maps.Values(w.requests)), w.busDown
}

func (w *town) Record(ctx context.Context, a audit.Access) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.logDown == nil {
		w.log = append(w.log, a)
	}
	return w.logDown
}

func (w *town) Written(context.Context) (uint64, error) { return uint64(len(w.log)), nil }

func (w *town) On(_ context.Context, persons []pseudonym.ID, through uint64, most int) (out []audit.Entry, err error) {
	for i, a := range slices.Backward(w.log[:through]) {
		if len(a.Persons) == 1 && slices.Contains(persons, a.Persons[0]) && len(out) < most {
			out = append(out, audit.Entry{Sequence: uint64(i + 1), Caller: a.Caller, Fields: a.Fields, Decision: a.Decision, Reason: a.Reason, CaseNumber: a.CaseNumber})
		}
	}
	return out, nil
}

func (w *town) Take(_ context.Context, m disclosure.TakenMaterial) error {
	w.taken = append(w.taken, m)
	return nil
}

func person(n byte) pseudonym.ID { return pseudonym.ID{15: n} }

func (w *town) put(dataset, key string, r serving.Record, fields ...string) *serving.Record {
	w.t.Helper()
	w.version++
	r.Fields = nil
	r.ID, r.Version, r.Dataset, r.Received = serving.RecordID(w.hasher, dataset, key), w.version, dataset, noon.Add(time.Duration(w.version)*time.Second)
	for i := range w.contracts[dataset].Fields {
		f := &w.contracts[dataset].Fields[i]
		if k := slices.Index(fields, f.Name); k >= 0 && fields[k+1] != "" {
			r.Fields = append(r.Fields, serving.Field{Name: f.Name, Value: fields[k+1]})
			if f.IsPersonal() {
				w.said = append(w.said, fields[k+1])
			}
		}
	}
	if err := w.store.Apply(w.version, []serving.Change{{Record: &r}}); err != nil {
		w.t.Fatal(err)
	}
	return &r
}

// mention is a mention of a record in a role, which is of a person from now on.
func (w *town) mention(dataset, key, role string, of pseudonym.ID, number string) serving.Mention {
	id := w.hasher.ID("mention/"+dataset+"/"+role, key)
	w.whose[id] = of
	return serving.Mention{Person: true, Role: role, Record: id, Number: serving.NumberID(w.hasher, true, number)}
}

func (w *town) openCase(number, department, item string, applicant, agent pseudonym.ID, closed time.Time) {
	r := serving.Record{Case: &serving.Case{Number: number, Department: department, Item: item, Opened: noon.Add(-time.Hour), Closed: closed},
		Mentions: []serving.Mention{w.mention("cases", number, "applicant", applicant, "")}}
	fields := []string{"number", number, "item", item, "department", department, "name", nameOf(applicant)}
	if !agent.IsZero() {
		r.Mentions = append(r.Mentions, w.mention("cases", number, "agent", agent, ""))
		fields = append(fields, "agent", nameOf(agent))
	}
	w.put("cases", number, r, fields...)
}

var names = []string{"赵一鸣", "钱双喜", "孙三省", "李四维", "周五常"}

func nameOf(p pseudonym.ID) string { return names[int(p[15])%len(names)] }

// numberOf is a valid citizen number of a person.
func numberOf(p pseudonym.ID) string {
	const weights, checks = "\x07\x09\x0a\x05\x08\x04\x02\x01\x06\x03\x07\x09\x0a\x05\x08\x04\x02", "10X98765432"
	body := fmt.Sprintf("11010519491231%03d", p[15])
	sum := 0
	for i := range body {
		sum += int(body[i]-'0') * int(weights[i])
	}
	return body + string(checks[sum%11])
}

func (w *town) resident(p pseudonym.ID, division, until string) *serving.Record {
	number := numberOf(p)
	days := int32(0)
	if until != "" {
		t, _ := time.Parse(time.DateOnly, until)
		days = int32(t.Unix() / 86400)
	}
	return w.put("residents", number, serving.Record{Division: division, Mentions: []serving.Mention{w.mention("residents", number, "resident", p, number)},
		Holdings: []serving.Holding{{Material: "REGISTER", Issuer: "police", Status: "valid", Until: days, Role: "resident"}}},
		"card", number, "name", nameOf(p), "born", "1949-12-31", "status", "normal", "division", division, "register", "HKB-"+number[14:17], "register_until", until)
}

func (w *town) marry(key string, husband, wife pseudonym.ID) {
	w.put("marriages", key, serving.Record{Mentions: []serving.Mention{w.mention("marriages", key, "husband", husband, ""), w.mention("marriages", key, "wife", wife, "")}},
		"number", key, "husband", nameOf(husband), "wife", nameOf(wife))
}

func (w *town) world() sharing.World {
	return sharing.World{Contracts: w.contracts, Purposes: []string{"eligibility", "review"}, Lead: "data"}
}

// act does an act when it may be done.
func (w *town) act(e sharing.Event) bool {
	e.At = w.now
	accepted, err := w.world().Accept(w.requests[e.Request], e)
	if err == nil {
		w.requests[e.Request] = sharing.Fold(w.requests[e.Request], accepted)
	}
	return err == nil
}

// grant makes a live grant to the welfare department.
func (w *town) grant(id, dataset string, fields map[string]sharing.Mask, divisions ...string) {
	w.t.Helper()
	terms := &sharing.Terms{Dataset: dataset, Fields: fields, Purpose: "eligibility", Items: []string{"ITEM-1"}, Rows: sharing.Rows{Divisions: divisions}, From: noon.Add(-time.Hour), Until: noon.AddDate(1, 0, 0)}
	owner := w.contracts[dataset].Department
	for _, e := range []sharing.Event{{Act: sharing.Submit, Department: "welfare", Terms: terms}, {Act: sharing.Approve, Department: owner}, {Act: sharing.Deliver, Department: owner}} {
		if e.Request = id; !w.act(e) {
			w.t.Fatalf("%s of %s is refused", e.Act, id)
		}
	}
}

func reader(number string) disclosure.Reader {
	return disclosure.Reader{Client: "gateway", Department: "welfare", Clerk: "clerk-7", Purpose: "eligibility", Item: "ITEM-1", Case: number}
}

// private fails when a text holds a value of the store.
func (w *town) private(text string) {
	w.t.Helper()
	for _, v := range w.said {
		if strings.Contains(text, v) {
			w.t.Fatalf("a personal value stands in %q", text)
		}
	}
}

// denied is the code of a refusal; "" for none.
func denied(err error) sharing.Code {
	var d *disclosure.Denied
	if errors.As(err, &d) {
		return d.Code
	}
	return ""
}
