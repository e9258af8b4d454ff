package disclosure_test

import (
	"testing"
	"time"

	"github.com/shirecounty/shire/pipeline/disclosure"
	"github.com/shirecounty/shire/pipeline/serving"
	"github.com/shirecounty/shire/schemas/change"
	"github.com/shirecounty/shire/schemas/contract"
	"github.com/shirecounty/shire/schemas/pseudonym"
	"github.com/shirecounty/shire/schemas/sharing"
)

// dayOf is a day as holdings have it.
func dayOf(text string) int32 {
	t, err := time.Parse(time.DateOnly, text)
	if err != nil {
		panic(err)
	}
	return int32(t.Unix() / 86400)
}

// Which holdings stand for a material on 2 March 2026: of this material, of this person in the role that the contract names, in a record
// of that dataset, valid today.
func TestWhichHoldingsStand(t *testing.T) {
	register := serving.Holding{Material: "REGISTER", Role: "resident", Status: "valid"}
	for name, test := range map[string]struct {
		change func(*serving.Holding)
		reason string
	}{
		"for ever":                  {func(*serving.Holding) {}, ""},
		"no word on it":             {func(h *serving.Holding) { h.Status = "" }, ""},
		"withdrawn":                 {func(h *serving.Holding) { h.Status = "revoked" }, disclosure.NotValid},
		"from today":                {func(h *serving.Holding) { h.From = dayOf("2026-03-02") }, ""},
		"from tomorrow":             {func(h *serving.Holding) { h.From = dayOf("2026-03-03") }, disclosure.NotValid},
		"until today":               {func(h *serving.Holding) { h.Until = dayOf("2026-03-02") }, ""},
		"until yesterday":           {func(h *serving.Holding) { h.Until = dayOf("2026-03-01") }, disclosure.NotValid},
		"issued tomorrow":           {func(h *serving.Holding) { h.IssuedAt = noon.Add(24 * time.Hour) }, disclosure.NotValid},
		"issued today":              {func(h *serving.Holding) { h.IssuedAt = noon }, ""},
		"issued later than it runs": {func(h *serving.Holding) { h.From, h.IssuedAt = dayOf("2026-01-01"), noon.Add(24*time.Hour) }, ""},
		"another material":          {func(h *serving.Holding) { h.Material = "PHOTO" }, disclosure.NotHeld},
		"of another role":           {func(h *serving.Holding) { h.Role = "keeper" }, disclosure.NotHeld},
	} {
		w, h, number := simple(t), register, numberOf(person(1))
		test.change(&h)
		w.put("residents", number, serving.Record{Division: "331099001", Mentions: []serving.Mention{w.mention("residents", number, "resident", person(1), number)}, Holdings: []serving.Holding{h}}, "card", number)
		m := must(w.Prefill(t.Context(), reader("C1"), person(1), []string{"REGISTER"})).Materials[0]
		if m.Met != (test.reason == "") || m.Reason != test.reason {
			t.Errorf("%s: %+v", name, m)
		}
	}
	// A day begins where the county is: in Shanghai it is the 3rd already.
	w, number := simple(t), numberOf(person(1))
	w.resident(person(1), "331099001", "2026-03-02")
	if w.now = noon.Add(14 * time.Hour); must(w.Prefill(t.Context(), reader("C1"), person(1), []string{"REGISTER"})).Materials[0].Met {
		t.Error("what ended yesterday is met")
	}
	// Another's register in which the person is named, and a record of another dataset.
	w = simple(t)
	w.put("residents", number, serving.Record{Division: "331099001", Holdings: []serving.Holding{register},
		Mentions: []serving.Mention{w.mention("residents", number, "keeper", person(1), number), w.mention("residents", number, "resident", person(3), number)}}, "card", number)
	w.put("marriages", "M1", serving.Record{Division: "331099001", Holdings: []serving.Holding{register}, Mentions: []serving.Mention{w.mention("marriages", "M1", "resident", person(1), number)}}, "number", "M1")
	if m := must(w.Prefill(t.Context(), reader("C1"), person(1), []string{"REGISTER"})).Materials[0]; m.Met || m.Reason != disclosure.NotHeld {
		t.Errorf("%+v", m)
	}
}

// Of several that stand, the one that is valid longest is named, and of those the newest; its proof tells no more than is granted, and
// changes with the record.
func TestTheBestHoldingIsTheProof(t *testing.T) {
	prove := func(w *town) *disclosure.Proof {
		t.Helper()
		return must(w.Prefill(t.Context(), reader("C1"), person(1), []string{"REGISTER"})).Materials[0].Proof
	}
	as := func(w *town, p pseudonym.ID, until string) pseudonym.ID { // a record of the person under another number
		r := w.resident(p, "331099001", until)
		w.whose[r.Mentions[0].Record] = person(1)
		return r.ID
	}
	for _, order := range [][]string{{"2027-01-01", "2028-01-01"}, {"2028-01-01", "2027-01-01"}, {"", "2028-01-01"}, {"2028-01-01", ""}, {"2028-01-01", "2028-01-01"}} {
		w := simple(t)
		best := map[string]pseudonym.ID{}
		for i, until := range order {
			best[until] = as(w, person(byte(1+2*i)), until)
		}
		want := best["2028-01-01"]
		if id, there := best[""]; there {
			want = id
		}
		if p := prove(w); p.Record != want {
			t.Errorf("of %v it is %+v", order, p)
		}
	}
	w := simple(t)
	first, again := prove(w), prove(w)
	if first.Hash != again.Hash || first.ValidUntil != "2027-01-01" {
		t.Errorf("%+v, %+v", first, again)
	}
	if w.resident(person(1), "331099001", "2027-01-01"); prove(w).Hash == first.Hash {
		t.Error("another version has the same proof")
	}
	for mask, until := range map[sharing.Mask]string{sharing.Full: "2027-01-01", sharing.Partial: "", sharing.Hashed: "", sharing.Equals: "", sharing.Exists: ""} {
		w := simple(t)
		w.act(sharing.Event{Request: "g", Act: sharing.Revoke, Department: "data", Reason: "x"})
		w.grant("m", "residents", map[string]sharing.Mask{"register": sharing.Exists, "register_until": mask})
		if p := prove(w); p == nil || p.ValidUntil != until {
			t.Errorf("the last day as %s: %+v", mask, p)
		}
	}
}

// A material that is used again was used when it first was.
func TestUsedOnce(t *testing.T) {
	w := simple(t)
	p := must(w.Prefill(t.Context(), reader("C1"), person(1), []string{"REGISTER"}))
	first := noon.Add(-30 * time.Minute)
	for act, want := range map[string]time.Time{disclosure.ActUse: first, disclosure.ActDecline: noon} {
		w.version++
		r := &serving.Record{ID: serving.RecordID(w.hasher, contract.Materials, p.ID+change.KeySeparator+"REGISTER"), Version: w.version, Dataset: contract.Materials,
			Fields: []serving.Field{{Name: "act", Value: act}, {Name: "acted_at", Value: first.Format(time.RFC3339)}}}
		if err := w.store.Apply(w.version, []serving.Change{{Record: r}}); err != nil {
			t.Fatal(err)
		}
		if err := w.Use(t.Context(), reader("C1"), p.ID, "REGISTER"); err != nil || !w.taken[len(w.taken)-1].At.Equal(want) {
			t.Errorf("after %s: %+v, %v", act, w.taken[len(w.taken)-1], err)
		}
	}
}
