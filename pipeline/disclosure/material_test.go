package disclosure_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/shirecounty/shire/pipeline/disclosure"
	"github.com/shirecounty/shire/pipeline/serving"
	"github.com/shirecounty/shire/schemas/change"
	"github.com/shirecounty/shire/schemas/contract"
	"github.com/shirecounty/shire/schemas/pseudonym"
	"github.com/shirecounty/shire/schemas/sharing"
)

// A prefill by attributes is let through exactly where a lookup is, and says what the prefill by the person's id says.
func TestPrefillForIsALookup(t *testing.T) {
	w := simple(t)
	rapid.Check(t, func(t *rapid.T) {
		number := rapid.SampledFrom([]string{"C1", "C2", "C3", "C9", ""}).Draw(t, "case")
		a := disclosure.Attributes{}
		if rapid.Bool().Draw(t, "by number") {
			a.Number = numberOf(person(rapid.ByteRange(0, 9).Draw(t, "whose")))
		} else {
			a.Name, a.BirthDate = rapid.SampledFrom(names).Draw(t, "name"), rapid.SampledFrom([]string{"1949-12-31", "1949-12-30", ""}).Draw(t, "born")
		}
		_, err := w.Lookup(t.Context(), reader(number), a)
		before := len(w.log)
		p, err2 := w.PrefillFor(t.Context(), reader(number), a, nil)
		var mistake, mistake2 *disclosure.Mistake
		if denied(err) != denied(err2) || (err == nil) != (err2 == nil) || errors.As(err, &mistake) != errors.As(err2, &mistake2) {
			t.Fatalf("a lookup gives %v, a prefill %v", err, err2)
		}
		if wrote := len(w.log) - before; (mistake2 == nil) != (wrote == 1) {
			t.Fatalf("%d entries with %v", wrote, err2)
		}
		if err2 != nil {
			return
		}
		byID := must(w.Prefill(t.Context(), reader(number), person(1), nil))
		if fmt.Sprintf("%+v", p.Materials) == "" || p.ID != byID.ID || len(p.Materials) != len(byID.Materials) || p.Materials[0].Met != byID.Materials[0].Met || p.Person != person(1) {
			t.Fatalf("%+v\nby id %+v", p, byID)
		}
		last := w.log[len(w.log)-1]
		if !slices.Equal(p.Looked, last.Fields) || len(p.Looked) == 0 {
			t.Fatalf("it says that %v was looked at, the log %v", p.Looked, last.Fields)
		}
	})
}

// Where no grant shows a material, it is told what is missing, and which datasets could show it: whatever they hold.
func TestWhatIsMissing(t *testing.T) {
	for name, test := range map[string]struct {
		change func(w *town, r *disclosure.Reader)
		want   sharing.Code
	}{
		"nothing was asked for": {func(w *town, r *disclosure.Reader) {
			w.openCase("H1", "health", "ITEM-1", person(1), pseudonym.ID{}, time.Time{})
			r.Case, r.Department = "H1", "health"
		}, sharing.NoGrant},
		"suspended": {func(w *town, _ *disclosure.Reader) {
			w.act(sharing.Event{Request: "g", Act: sharing.Suspend, Department: "data", Reason: "x"})
		}, sharing.GrantNotLive},
		"ended": {func(w *town, _ *disclosure.Reader) { w.now = noon.AddDate(2, 0, 0) }, sharing.GrantNotLive},
		"less than what shows it": {func(w *town, _ *disclosure.Reader) {
			w.act(sharing.Event{Request: "g", Act: sharing.Revoke, Department: "data", Reason: "x"})
			w.grant("less", "residents", map[string]sharing.Mask{"register": sharing.Full})
		}, sharing.FieldsNotGranted},
	} {
		t.Run(name, func(t *testing.T) {
			w, r := simple(t), reader("C1")
			test.change(w, &r)
			var said string
			for range 2 { // whether something is held, or nothing
				p := must(w.Prefill(t.Context(), r, pseudonym.ID{}, nil))
				m, photo := p.Materials[0], p.Materials[1]
				if m.Met || m.Reason != disclosure.NotGranted || m.Grant != test.want || !slices.Equal(m.Could, []string{"residents"}) {
					t.Fatalf("%+v", m)
				}
				if photo.Reason != disclosure.NotGranted || photo.Grant != sharing.NoGrant || len(photo.Could) != 0 {
					t.Fatalf("what no dataset holds: %+v", photo)
				}
				if now := fmt.Sprintf("%+v %v", p.Materials, p.Looked); said != "" && now != said {
					t.Fatalf("it tells what is held: %s, then %s", said, now)
				} else {
					said = now
				}
				id := serving.RecordID(w.hasher, "residents", numberOf(person(1)))
				w.version++
				if err := w.store.Apply(w.version, []serving.Change{{Record: &serving.Record{ID: id, Version: w.version, Dataset: "residents"}, Gone: true}}); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

const archiveContract = `dataset: archive
department: archives
owner: {zh: 甲, en: A}
title: {zh: 甲, en: A}
version: 1
key: [number]
sharing: {type: conditional}
fields:
  - {name: number, type: identifier, required: true, sensitivity: internal}
  - {name: card, type: citizen_number, sensitivity: sensitive}
  - {name: register, type: identifier, sensitivity: personal}
  - {name: state, type: text, sensitivity: internal}
emits:
  - {table: person_records, role: holder, columns: {id_number: card}}
  - table: holdings
    person: holder
    when: {field: register, present: true}
    columns: {material_code: {value: REGISTER}, issuer: {value: archives}, document: [register], status: state}
`

// Two departments that disagree on whether one document is valid meet nothing with it; another document of the person that has run out
// is no disagreement, and nor is what no grant lets the caller see.
func TestConflictingSourcesMeetNothing(t *testing.T) {
	for name, test := range map[string]struct {
		register, state string
		granted         bool
		met             bool
	}{
		"the same document, revoked": {"HKB-" + numberOf(person(1))[14:17], "revoked", true, false},
		"the same document, valid":   {"HKB-" + numberOf(person(1))[14:17], "valid", true, true},
		"an older one":               {"HKB-0", "revoked", true, true},
		"not granted":                {"HKB-" + numberOf(person(1))[14:17], "revoked", false, true},
	} {
		t.Run(name, func(t *testing.T) {
			w := simple(t)
			c, err := contract.Parse("archive.yaml", []byte(archiveContract), "Asia/Shanghai")
			if err != nil {
				t.Fatal(err)
			}
			w.contracts["archive"] = c
			desk := disclosure.New(disclosure.Options{Store: w.store, Persons: func() disclosure.Persons { return w }, Exchange: w, Log: w, Taken: w, Fresh: func() error { return nil }, Warehouse: func() error { return nil },
				Contracts: w.contracts, Purposes: []string{"eligibility"}, Hasher: w.hasher.Clone(), Zone: time.UTC, Now: func() time.Time { return w.now }})
			w.put("archive", "A1", serving.Record{Mentions: []serving.Mention{w.mention("archive", "A1", "holder", person(1), numberOf(person(1)))},
				Holdings: []serving.Holding{{Material: "REGISTER", Issuer: "archives", Status: test.state, Role: "holder"}}},
				"number", "A1", "card", numberOf(person(1)), "register", test.register, "state", test.state)
			if test.granted {
				w.grant("a", "archive", map[string]sharing.Mask{"register": sharing.Exists, "state": sharing.Exists})
			}
			p := must(desk.Prefill(t.Context(), reader("C1"), person(1), []string{"REGISTER"}))
			m := p.Materials[0]
			if m.Met != test.met || !test.met && m.Reason != disclosure.Conflicting || (m.Proof != nil) != test.met {
				t.Fatalf("%+v", m)
			}
			if err := desk.Use(t.Context(), reader("C1"), p.ID, "REGISTER"); !test.met && denied(err) != disclosure.NotMet || test.met && err != nil {
				t.Fatal(err)
			}
		})
	}
}

// A prefill tells what a clerk has done about a material before, and when its proof came.
func TestPrefillTellsWhatWasDone(t *testing.T) {
	w := simple(t)
	first := must(w.Prefill(t.Context(), reader("C1"), person(1), nil))
	if m := first.Materials[0]; m.Taken != nil || m.Proof.ReceivedAt.IsZero() || !first.At.Equal(noon) {
		t.Fatalf("%+v", m)
	}
	for i, act := range []string{disclosure.ActDecline, disclosure.ActUse} {
		w.version++
		r := &serving.Record{ID: serving.RecordID(w.hasher, contract.Materials, first.ID+change.KeySeparator+"REGISTER"), Version: w.version, Dataset: contract.Materials,
			Fields: []serving.Field{{Name: "act", Value: act}, {Name: "acted_at", Value: fmt.Sprintf("2026-03-01T0%d:00:00.000000Z", i)}, {Name: "reason", Value: []string{"outdated", ""}[i]}}}
		if err := w.store.Apply(w.version, []serving.Change{{Record: r}}); err != nil {
			t.Fatal(err)
		}
		p := must(w.Prefill(t.Context(), reader("C1"), person(1), nil))
		turn := p.Materials[0].Taken
		if turn == nil || turn.Use != (i == 1) || turn.At.Hour() != i || turn.Reason != []string{"outdated", ""}[i] || p.Materials[1].Taken != nil {
			t.Fatalf("%+v", turn)
		}
	}
	if err := w.Use(t.Context(), reader("C1"), first.ID, "REGISTER"); err != nil {
		t.Fatal(err)
	}
	if at := w.taken[len(w.taken)-1].At; at.Hour() != 1 || at.Equal(noon) {
		t.Fatalf("a second use moved the first to %v", at)
	}
}
