package clickhouse_test

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	conn "github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"pgregory.net/rapid"

	"github.com/shirecounty/shire/schemas/clickhouse"
	"github.com/shirecounty/shire/schemas/contract"
	"github.com/shirecounty/shire/schemas/material"
)

// judge gives the warehouse rules of materials.
func judge(t *testing.T, c conn.Conn, rules ...material.Rule) material.Rules {
	t.Helper()
	set := material.Rules{}
	for _, r := range rules {
		r.Source, r.Jurisdiction = "a rule of this test", contract.Text{Zh: "某县", En: "X"}
		set[r.Material] = r
	}
	if err := clickhouse.LoadMaterials(t.Context(), c, set); err != nil {
		t.Fatal(err)
	}
	return set
}

// Every kind of rule, worked out by hand.
func TestRepeatsByTheRulesOfTheirMaterials(t *testing.T) {
	c := ready(t)
	judge(t, c,
		material.Rule{Material: "PHOTO", ValidDays: 10, Change: material.Fields, Fields: []string{"issuer"}},
		material.Rule{Material: "PROOF", ValidDays: 10, Change: material.Document},
		material.Rule{Material: "RECORD", Change: material.NewerIssue},
		material.Rule{Material: "CHECK", ValidDays: 30, Change: material.NewerIssue})
	n := 0
	hand := func(kind, department, day string, more row) {
		n++
		r := row{"record": fmt.Sprint("paper ", n), "case_number": fmt.Sprintf("%02d", n), "material_code": kind, "department": department, "person_id": id("anna"), "method": "paper", "submitted_at": local("2025-" + day + " 09:00")}
		maps.Copy(r, more)
		insert(t, c, "store.submissions", r)
	}
	// A photograph has no number: any of the same studio is the same, for ten days from the day on which it was handed in.
	hand("PHOTO", "hall", "03-01", row{"issuer": "studio"})   // 01
	hand("PHOTO", "hall", "03-10", row{"issuer": "studio"})   // 02: the tenth day
	hand("PHOTO", "hall", "03-20", row{"issuer": "studio"})   // 03: the eleventh after 02
	hand("PHOTO", "police", "03-21", row{"issuer": "studio"}) // 04: 03 lay elsewhere
	hand("PHOTO", "hall", "03-22", row{"issuer": "other"})    // 05
	hand("PHOTO", "hall", "03-23", row{"issuer": ""})         // 06: nobody knows whose it is
	hand("PHOTO", "hall", "03-24", row{"issuer": ""})         // 07
	// A proof counts from its first day, where it has one, and up to its own last day, where it has one.
	hand("PROOF", "hall", "04-01", row{"document": "1", "valid_from": date("2025-03-25")})                                    // 08: until April 3
	hand("PROOF", "hall", "04-03", row{"document": "1", "valid_from": date("2025-03-25")})                                    // 09
	hand("PROOF", "hall", "04-04", row{"document": "1", "valid_from": date("2025-03-25")})                                    // 10
	hand("PROOF", "hall", "05-01", row{"document": "2", "valid_until": date("2025-12-31")})                                   // 11
	hand("PROOF", "hall", "10-01", row{"document": "2", "valid_until": date("2025-12-31")})                                   // 12
	hand("PROOF", "hall", "10-01", row{"document": "", "valid_until": date("2025-12-31")})                                    // 13: no number
	hand("RECORD", "hall", "06-01", row{"document": "x", "valid_from": date("2025-05-01")})                                   // 14
	hand("RECORD", "hall", "06-02", row{"document": "y", "valid_from": date("2025-05-01")})                                   // 15: another number, no newer issue
	hand("RECORD", "police", "06-03", row{"valid_from": date("2025-05-09")})                                                  // 16: newer
	hand("RECORD", "police", "06-04", row{"valid_from": date("2025-05-02")})                                                  // 17: older than what the police have
	hand("RECORD", "hall", "06-05", row{"valid_from": date("2025-05-02")})                                                    // 18: newer than what the hall has, not than what the police have
	hand("RECORD", "hall", "06-06", nil)                                                                                      // 19: nobody knows of when it is
	hand("CHECK", "hall", "07-01", row{"valid_from": date("2025-06-01"), "valid_until": date("2026-01-01")})                  // 20
	hand("CHECK", "hall", "07-02", row{"valid_from": date("2025-06-20")})                                                     // 21: newer, until July 19
	hand("CHECK", "hall", "07-30", row{"valid_from": date("2025-06-10")})                                                     // 22: the newest has run out, whatever an older one says
	hand("OTHER", "hall", "08-01", row{"document": "1"})                                                                      // 23: without a rule
	hand("OTHER", "hall", "12-01", row{"document": "1"})                                                                      // 24: does not expire
	hand("OTHER", "hall", "12-02", row{"document": "2"})                                                                      // 25
	hand("PHOTO", "hall", "03-11", row{"issuer": "studio", "person_id": id("bert")})                                          // 26: somebody else
	hand("PHOTO", "hall", "03-12", row{"issuer": "studio", "method": "shared"})                                               // 27: met from shared data
	hand("PHOTO", "hall", "03-02", row{"issuer": "studio", "organisation_id": id("bert's shop"), "person_id": id("no one")})  // 28
	hand("PHOTO", "bank", "03-03", row{"issuer": "studio", "organisation_id": id("bert's shop"), "person_id": id("another")}) // 29: of the shop
	want := map[string]string{"02": "same_department", "04": "across_departments", "09": "same_department", "12": "same_department", "15": "same_department",
		"17": "same_department", "18": "across_departments", "24": "same_department", "29": "across_departments"}
	var lines []string
	for i := range n {
		number := fmt.Sprintf("%02d", i+1)
		lines = append(lines, number+" "+want[number])
	}
	same(t, read(t, c, "case_number; repeat", "FROM mart.submissions ORDER BY case_number"), lines...)
	same(t, read(t, as(t, clickhouse.Analyst), "material_code; valid_days; compared; newer_issue; jurisdiction_zh", "FROM mart.material_rules ORDER BY material_code"),
		"CHECK 30 [] 1 某县", "PHOTO 10 ['issuer'] 0 某县", "PROOF 10 ['document'] 0 某县", "RECORD ~ [] 1 某县")

	// Without the rules it is another figure; what a county takes back is gone.
	if err := clickhouse.LoadMaterials(t.Context(), c, nil); err != nil {
		t.Fatal(err)
	}
	same(t, read(t, c, "case_number", "FROM mart.submissions WHERE repeat != '' ORDER BY 1"), "09", "10", "12", "24")
	same(t, read(t, c, "count()", "FROM mart.material_rules"), "0")
}

// handed is a paper as the reference sees it.
type handed struct {
	record, party, department, kind, document, issuer string
	at                                                time.Time
	from, until                                       time.Time // zero: not said
	shared                                            bool
}

// scopesOf tells which papers are repeats, by the definition taken word for word: each paper is held against all of before.
func scopesOf(papers []handed, rules material.Rules) map[string]string {
	papers = slices.SortedFunc(slices.Values(papers), func(a, b handed) int {
		x, y := id(a.record), id(b.record)
		return cmp.Or(a.at.Compare(b.at), slices.Compare(x[8:], y[8:]), slices.Compare(x[:8], y[:8])) // the order of the engine's UUIDs
	})
	day := func(at time.Time) time.Time { y, m, d := at.Date(); return time.Date(y, m, d, 0, 0, 0, 0, time.UTC) }
	valid := func(p handed, on time.Time) bool {
		end := p.until
		if days := rules[p.kind].ValidDays; end.IsZero() && days > 0 {
			if end = p.from; end.IsZero() {
				end = day(p.at)
			}
			end = end.AddDate(0, 0, int(days)-1)
		}
		return end.IsZero() || !end.Before(on)
	}
	known := func(p handed) bool {
		r := rules[p.kind]
		return !(slices.Contains(r.Compared(), "document") && p.document == "" || slices.Contains(r.Compared(), "issuer") && p.issuer == "" ||
			(slices.Contains(r.Compared(), "valid_from") || r.Change == material.NewerIssue) && p.from.IsZero())
	}
	alike := func(a, b handed) bool {
		for _, column := range rules[a.kind].Compared() {
			if column == "document" && a.document != b.document || column == "issuer" && a.issuer != b.issuer ||
				column == "valid_from" && !a.from.Equal(b.from) || column == "valid_until" && !a.until.Equal(b.until) {
				return false
			}
		}
		return true
	}
	repeats := func(p handed, before []handed, department string) bool {
		var newest *handed
		for _, e := range before {
			if e.party != p.party || e.kind != p.kind || department != "" && e.department != department || e.shared || !known(e) || !alike(e, p) {
				continue
			}
			if rules[p.kind].Change != material.NewerIssue {
				if valid(e, day(p.at)) {
					return true
				}
			} else if newest == nil || e.from.After(newest.from) || e.from.Equal(newest.from) && valid(e, day(p.at)) {
				newest = &e
			}
		}
		return newest != nil && !p.from.After(newest.from) && valid(*newest, day(p.at))
	}
	scopes := map[string]string{}
	for i, p := range papers {
		switch {
		case p.shared || !known(p):
		case repeats(p, papers[:i], p.department):
			scopes[p.record] = "same_department"
		case repeats(p, papers[:i], ""):
			scopes[p.record] = "across_departments"
		}
	}
	return scopes
}

// Whatever the rules and whatever is handed in, the view says what the definition says word for word.
func TestRepeatsAreThoseOfTheDefinition(t *testing.T) {
	c := ready(t)
	kinds := []string{"A", "B", "C"}
	start := local("2025-01-01 00:00")
	found := 0
	rapid.Check(t, func(rt *rapid.T) {
		exec(t, c, "TRUNCATE TABLE store.submissions")
		var rules []material.Rule
		for _, kind := range kinds[:2] { // one has no rule
			r := material.Rule{Material: kind, ValidDays: material.Days(rapid.IntRange(0, 20).Draw(rt, "days")), Change: rapid.SampledFrom([]material.Change{material.Document, material.Fields, material.NewerIssue}).Draw(rt, "change")}
			if r.Change == material.Fields {
				r.Fields = rapid.SampledFrom([][]string{{"document"}, {"issuer"}, {"valid_from"}, {"valid_until"}, {"issuer", "document"}, {"valid_from", "valid_until", "issuer"}}).Draw(rt, "fields")
			}
			rules = append(rules, r)
		}
		set := judge(t, c, rules...)
		day := func(label string, after time.Time) (d time.Time) {
			if n := rapid.IntRange(0, 12).Draw(rt, label); n > 0 {
				d = date(after.AddDate(0, 0, n-6).Format(time.DateOnly))
			}
			return d
		}
		var papers []handed
		loaded := history{}
		for i := range rapid.IntRange(30, 60).Draw(rt, "papers") {
			pick := func(label string, from ...string) string { return rapid.SampledFrom(from).Draw(rt, label) }
			p := handed{record: fmt.Sprint("paper ", i), party: pick("party", "anna", "bert"), department: pick("department", "hall", "housing"), kind: pick("kind", kinds...),
				document: pick("document", "", "1", "2"), issuer: pick("issuer", "", "police", "bank"), shared: rapid.IntRange(0, 5).Draw(rt, "shared") == 0,
				at: start.Add(time.Duration(rapid.IntRange(0, 40*24).Draw(rt, "at")) * time.Hour)}
			p.from = day("from", p.at)
			p.until = day("until", p.at.AddDate(0, 0, 3))
			papers = append(papers, p)
			r := row{"record": p.record, "version": uint64(1), "person_id": id(p.party), "department": p.department, "material_code": p.kind, "document": p.document, "issuer": p.issuer, "submitted_at": p.at,
				"method": map[bool]string{true: "shared", false: "paper"}[p.shared], "valid_from": orNull(p.from), "valid_until": orNull(p.until)}
			loaded["store.submissions"] = append(loaded["store.submissions"], r)
		}
		loaded.load(t, c)
		want := scopesOf(papers, set)
		found += len(want)
		var lines []string
		for _, p := range papers {
			lines = append(lines, id(p.record).String()+" "+want[p.record])
		}
		slices.Sort(lines)
		if got := read(t, c, "record; repeat", "FROM mart.submissions ORDER BY toString(record)"); !slices.Equal(got, lines) {
			for i := range got {
				if got[i] != lines[i] {
					rt.Errorf("got %s, want %s", got[i], lines[i])
				}
			}
			rt.Fatalf("by the rules %+v", rules)
		}
	})
	if found == 0 {
		t.Error("no paper was a repeat: this shows nothing")
	}
}

func orNull(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t
}
