package pipeline_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/shirecounty/shire/pipeline"
	"github.com/shirecounty/shire/pipeline/audit"
	"github.com/shirecounty/shire/pipeline/bus"
	"github.com/shirecounty/shire/pipeline/disclosure"
	"github.com/shirecounty/shire/pipeline/identity"
	"github.com/shirecounty/shire/pipeline/warehouse"
	"github.com/shirecounty/shire/schemas/change"
	"github.com/shirecounty/shire/schemas/contract"
	"github.com/shirecounty/shire/schemas/pseudonym"
	"github.com/shirecounty/shire/schemas/sharing"
)

// The county of the story: the hall's cases and what is handed in, and the register of the police.
var storyContracts = []string{`dataset: story_cases
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
  - {name: department, type: identifier, required: true, sensitivity: open}
  - {name: item, type: item_code, required: true, sensitivity: open}
  - {name: applied, type: timestamp, required: true, sensitivity: internal}
emits:
  - {table: person_records, role: applicant, columns: {name: name, id_number: card}}
  - {table: cases, person: applicant, columns: {case_number: number, department: department, item_code: item, applied_at: applied}}
`, `dataset: story_papers
department: hall
owner: {zh: 甲, en: A}
title: {zh: 甲, en: A}
version: 1
key: [number]
sharing: {type: conditional}
fields:
  - {name: number, type: identifier, required: true, sensitivity: internal}
  - {name: case_number, type: case_number, required: true, sensitivity: internal}
  - {name: department, type: identifier, required: true, sensitivity: open}
  - {name: material, type: material_code, required: true, sensitivity: open}
  - {name: document, type: identifier, sensitivity: personal}
  - {name: handed_in, type: timestamp, required: true, sensitivity: internal}
emits:
  - table: submissions
    columns: {case_number: case_number, department: department, material_code: material, document: [document], submitted_at: handed_in, method: {value: paper}}
`, `dataset: story_residents
department: police
owner: {zh: 甲, en: A}
title: {zh: 甲, en: A}
version: 1
key: [card]
sharing: {type: conditional}
fields:
  - {name: card, type: citizen_number, required: true, sensitivity: sensitive}
  - {name: name, type: chinese_name, sensitivity: personal}
  - {name: register, type: identifier, sensitivity: personal}
  - {name: issued, type: date, sensitivity: internal}
emits:
  - {table: person_records, role: resident, columns: {name: name, id_number: card}}
  - table: holdings
    person: resident
    when: {field: register, present: true}
    columns: {material_code: {value: HOUSEHOLD-REGISTER}, issuer: {value: police}, document: [register], issued_at: issued, valid_from: issued, status: {value: valid}}
`}

// publishAs sends one row of a dataset.
func (r *rig) publishAs(department, dataset string, columns []string, values ...string) uint64 {
	r.t.Helper()
	w, err := r.bus.ChangesWriter(r.t.Context(), r.bus.ChangesSubject(department, dataset))
	if err != nil {
		r.t.Fatal(err)
	}
	b := change.NewBuilder("source", department, dataset, "u.csv", columns)
	defer b.Release()
	b.Append(change.Change{Op: change.Create, Key: values[0], Row: 1, Values: values, Position: change.Position(values[0])})
	data, err := b.Build().Encode()
	if err != nil {
		r.t.Fatal(err)
	}
	sequence, err := w.Publish(r.t.Context(), nats.Header{bus.HeaderRows: {"1"}}, data)
	if err != nil {
		r.t.Fatal(err)
	}
	return sequence
}

// A resident applies for three services at three departments, and hands in the household register at the first. The data link comes;
// the second and the third ask for nothing that is held. The figures show two repeats avoided, the resident sees three accesses.
// Revoking stops the next call, and without the log nothing is shown.
func TestHandedInOnce(t *testing.T) {
	r := newRig(t)
	set := contract.Set{}
	for _, text := range storyContracts {
		d, err := contract.Parse("c.yaml", []byte(text), "Asia/Shanghai")
		if err != nil {
			t.Fatal(err)
		}
		set[d.Name] = d
	}
	const name, card, document = "赵一鸣", "11010519491231002X", "HKB-20260001"
	f, stop := r.start(set, small)
	defer stop()
	store := r.servingStore(t.TempDir())
	defer store.Close()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 4)
	defer func() {
		cancel()
		for range cap(ended) {
			<-ended
		}
	}()
	go func() { ended <- f.Serve(ctx, store) }()

	key, err := audit.LoadOrCreateKey(t.TempDir(), audit.Scheme("ed25519"))
	if err != nil {
		t.Fatal(err)
	}
	log, err := audit.Open(ctx, r.nc, audit.Options{County: "story", Replicas: 1, Hasher: r.hasher.Clone(), Key: key, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	projection := audit.NewProjection(log, r.loads.Conn(), slog.New(slog.DiscardHandler))
	go func() { ended <- projection.Run(ctx) }()
	fresh := disclosure.NewFreshness(store.Position, r.bus.LastSequence, time.Minute)
	go func() { ended <- fresh.Run(ctx) }()
	pulse, err := warehouse.NewPulse(engines.loader, warehouse.Patience, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer pulse.Close()
	go func() { ended <- pulse.Run(ctx) }()

	world := func() sharing.World {
		return sharing.World{Contracts: set, Purposes: []string{"eligibility"}, Lead: "data"}
	}
	exchange, elsewhere := pipeline.NewExchange(r.bus, world), pipeline.NewExchange(r.bus, world)
	desk := disclosure.New(disclosure.Options{Store: store, Persons: func() disclosure.Persons { return r.identities.Partition(identity.Person) },
		Exchange: exchange, Log: log, Looks: projection, Fresh: fresh.Err, Warehouse: pulse.Err, Contracts: set, Purposes: []string{"eligibility"}, Hasher: r.hasher.Clone(), Zone: time.UTC,
		Items: sharing.Items{"339921MZ0001": {Materials: []string{"HOUSEHOLD-REGISTER"}}, "339921MZ0002": {Materials: []string{"HOUSEHOLD-REGISTER"}}, "339921MZ0003": {Materials: []string{"HOUSEHOLD-REGISTER"}}},
		Taken: pipeline.NewMaterials(r.bus)})
	settle := func() {
		t.Helper()
		last, err := r.bus.LastSequence(ctx)
		if err == nil {
			err = f.Drain(ctx, last)
		}
		if err != nil {
			t.Fatal(err)
		}
		r.waitServed(store, last)
		for deadline := time.Now().Add(time.Minute); fresh.Err() != nil || pulse.Err() != nil; time.Sleep(10 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatal(fresh.Err(), pulse.Err())
			}
		}
	}
	cases := []string{"number", "name", "card", "department", "item", "applied"}
	apply := func(number, department, item string, day int) {
		at := time.Date(2026, 3, day, 2, 0, 0, 0, time.UTC).Format(time.RFC3339)
		r.publishAs("hall", "story_cases", cases, number, name, card, department, item, at)
	}
	read := func(number, department, item string) disclosure.Reader {
		return disclosure.Reader{Client: "gateway", Department: department, Clerk: "clerk", Purpose: "eligibility", Item: item, Case: number}
	}
	var errs []error
	r.publishAs("police", "story_residents", []string{"card", "name", "register", "issued"}, card, name, document, "2020-05-06")
	// The first service: nothing is linked yet, so the register is asked for on paper.
	apply("S-1", "civil", "339921MZ0001", 2)
	r.publishAs("hall", "story_papers", []string{"number", "case_number", "department", "material", "document", "handed_in"}, "P-1", "S-1", "civil", "HOUSEHOLD-REGISTER", document, "2026-03-02T03:00:00Z")
	settle()
	first, err := desk.Prefill(ctx, read("S-1", "civil", "339921MZ0001"), pseudonym.ID{}, nil)
	if err != nil || first.Materials[0].Met || first.Materials[0].Reason != disclosure.NotGranted {
		t.Fatalf("%+v, %v", first, err)
	}
	// The data link: both other departments are granted what shows that a register is held.
	act := func(x *pipeline.Exchange, e sharing.Event) {
		t.Helper()
		e.At = time.Now()
		if _, err := x.Do(ctx, e, "王五"); err != nil {
			t.Fatal(err)
		}
	}
	for department, item := range map[string]string{"health": "339921MZ0002", "school": "339921MZ0003"} {
		terms := &sharing.Terms{Dataset: "story_residents", Fields: map[string]sharing.Mask{"register": sharing.Exists, "issued": sharing.Full, "name": sharing.Partial}, Purpose: "eligibility",
			Items: []string{item}, From: time.Now().Add(-time.Hour), Until: time.Now().AddDate(1, 0, 0)}
		act(elsewhere, sharing.Event{Request: department, Act: sharing.Submit, Department: department, Terms: terms})
		act(elsewhere, sharing.Event{Request: department, Act: sharing.Approve, Department: "police"})
		act(elsewhere, sharing.Event{Request: department, Act: sharing.Deliver, Department: "police"})
	}
	apply("S-2", "health", "339921MZ0002", 9)
	apply("S-3", "school", "339921MZ0003", 16)
	settle()
	for number, of := range map[string][2]string{"S-2": {"health", "339921MZ0002"}, "S-3": {"school", "339921MZ0003"}} {
		who := read(number, of[0], of[1])
		p, err := desk.Prefill(ctx, who, pseudonym.ID{}, nil)
		if err != nil || !p.Materials[0].Met || p.Materials[0].Proof.ValidFrom != "2020-05-06" {
			t.Fatalf("%s: %+v, %v", number, p, err)
		}
		for range 2 { // said twice, it is one
			if err := desk.Use(ctx, who, p.ID, "HOUSEHOLD-REGISTER"); err != nil {
				t.Fatal(err)
			}
		}
	}
	settle()
	if got := r.strings(`SELECT concat(case_number, ' ', department, ' ', method, ' ', repeat, ' ', spared) FROM mart.submissions WHERE case_number LIKE 'S-%' ORDER BY case_number`); !slices.Equal(got,
		[]string{"S-1 civil paper  ", "S-2 health shared  across_departments", "S-3 school shared  across_departments"}) {
		t.Fatalf("%q", got)
	}
	if got := r.strings("SELECT toString(toUInt64(sum(numerator))) FROM metrics.avoided_repeats"); !slices.Equal(got, []string{"2"}) {
		t.Fatalf("%q repeats avoided", got)
	}
	// The resident asks at the counter, where they have a case too.
	apply("S-9", "counter", "339921MZ0009", 17)
	settle()
	person := first.Person
	list, err := desk.Accesses(ctx, read("S-9", "counter", "339921MZ0009"), person)
	if err != nil {
		t.Fatal(err)
	}
	var looks []string
	for _, a := range list {
		if a.Decision == disclosure.Granted || a.Decision == disclosure.Refused {
			looks = append(looks, a.Case+" "+a.Caller+" "+a.Decision)
		}
	}
	slices.Sort(looks)
	if !slices.Equal(looks, []string{"S-1 civil/gateway refused", "S-2 health/gateway granted", "S-3 school/gateway granted"}) {
		t.Fatalf("%q", looks)
	}
	// The unified view, and the lookup by what the resident shows.
	for what, call := range map[string]func() (*disclosure.Person, error){
		"person": func() (*disclosure.Person, error) {
			return desk.Person(ctx, read("S-2", "health", "339921MZ0002"), person)
		},
		"lookup": func() (*disclosure.Person, error) {
			return desk.Lookup(ctx, read("S-2", "health", "339921MZ0002"), disclosure.Attributes{Number: card})
		},
	} {
		p, err := call()
		if err != nil || p.ID != person || len(p.Records) != 1 || len(p.Facts) != 1 || p.Facts[0].Said[0].Text != "赵**" {
			t.Fatalf("%s: %+v, %v", what, p, err)
		}
	}
	// Another node revokes; the next call here is refused.
	for i := range 20 {
		act(elsewhere, sharing.Event{Request: "health", Act: sharing.Suspend, Department: "police", Reason: "check"})
		_, err := desk.Person(ctx, read("S-2", "health", "339921MZ0002"), person)
		var no *disclosure.Denied
		if !errors.As(err, &no) || no.Code != sharing.GrantNotLive {
			t.Fatalf("round %d: %v", i, err)
		}
		errs = append(errs, err)
		act(elsewhere, sharing.Event{Request: "health", Act: sharing.Resume, Department: "police"})
		if _, err := desk.Person(ctx, read("S-2", "health", "339921MZ0002"), person); err != nil {
			t.Fatal(err)
		}
	}
	// JetStream's stream of the log is away: nothing is shown.
	away, end := context.WithTimeout(ctx, 500*time.Millisecond)
	r.nc.Close()
	p, err := desk.Person(away, read("S-2", "health", "339921MZ0002"), person)
	end()
	var u *disclosure.Unavailable
	if p != nil || !errors.As(err, &u) {
		t.Fatalf("%v, %v", p, err)
	}
	for _, err := range append(errs, err) {
		for _, value := range []string{name, card, document} {
			if strings.Contains(fmt.Sprint(err), value) {
				t.Fatal("an error says somebody's name or number")
			}
		}
	}
}
