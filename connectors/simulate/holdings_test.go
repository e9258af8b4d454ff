package simulate

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/shirecounty/shire/schemas/calendar"
	"github.com/shirecounty/shire/schemas/semantic"
)

// Without defects it can be told from the files which papers a register that is shared held already, by the definition taken word for word.
func TestAvoidableByDefinition(t *testing.T) {
	dir := flawless(t)
	rows := readAll(t, dir)
	types, err := sharingTypes(dir)
	if err != nil {
		t.Fatal(err)
	}
	kind, err := semantic.New("date", nil)
	if err != nil {
		t.Fatal(err)
	}
	day := func(written string) string {
		if written == "" {
			return ""
		}
		d, problem := kind.(semantic.DateType).ParseDate(written)
		if problem != nil {
			t.Fatal(written, problem)
		}
		return calendar.Date(d).String()
	}
	type entered struct{ dataset, since, until string }
	register := map[string][]entered{} // by number and material
	holdings := 0
	for _, h := range []struct{ dataset, number, material, since, until string }{
		{"residents", "citizen_number", "HOUSEHOLD-REGISTER", "register_issued", ""},
		{"residents", "citizen_number", "ID-CARD", "card_from", "card_until"},
		{"marriages", "husband_number", "MARRIAGE-CERTIFICATE", "registered_on", ""},
		{"marriages", "wife_number", "MARRIAGE-CERTIFICATE", "registered_on", ""},
		{"assistance_households", "head_number", "ALLOWANCE-CERTIFICATE", "approved_on", ""},
		{"disability_certificates", "citizen_number", "DISABILITY-CERTIFICATE", "issued_on", "valid_until"},
		{"insured_persons", "citizen_number", "INSURANCE-RECORD", "proof_from", "proof_until"},
		{"pupils", "citizen_number", "SCHOOL-RECORD", "enrolled_on", ""},
	} {
		for _, e := range latest(rows, h.dataset) {
			of := e.values[h.number] + "/" + h.material
			register[of] = append(register[of], entered{h.dataset, day(e.values[h.since]), day(e.values[h.until])})
			holdings++
		}
	}
	if truth := readCSV(t, filepath.Join(dir, "truth", "holdings.csv")); len(truth) != holdings {
		t.Errorf("the truth has %d holdings, the files %d", len(truth), holdings)
	}
	cases, found := latest(rows, "hall_cases"), map[string]int{}
	for _, s := range readCSV(t, filepath.Join(dir, "truth", "submissions.csv")) {
		how, item, on := "", "", s["submitted_at"][:len("2006-01-02")]
		for _, e := range register[cases[s["case_number"]].values["applicant_number"]+"/"+s["material_code"]] {
			if s["shared"] == "false" && strings.HasPrefix(s["party"], "P") && e.since <= on && (e.until == "" || on <= e.until) {
				how, item = types[e.dataset], e.dataset // no material of this county has two registers
			}
		}
		if s["avoidable"] != how || s["held_in"] != item {
			t.Fatalf("submission %s: by the definition %q in %q, the truth says %q in %q", s["submission"], how, item, s["avoidable"], s["held_in"])
		}
		found[how]++
	}
	if found["unconditional"] < 50 || found["conditional"] < 50 || found[""] < 50 {
		t.Errorf("too few to tell: %v", found)
	}
}

// What is shared most freely is named, of equals the first by name, and only what was valid on that day and is shared at all.
func TestAvoidableNamesOneItem(t *testing.T) {
	types := map[string]string{"b": "conditional", "c": "conditional", "f": "unconditional", "n": "none"}
	of := held{1, "M"}
	for _, x := range []struct {
		holdings []holding
		how, in  string
	}{
		{nil, "", ""},
		{[]holding{{"c", 1, 0}, {"b", 1, 0}}, "conditional", "b"},
		{[]holding{{"f", 1, 0}, {"b", 1, 0}}, "unconditional", "f"},
		{[]holding{{"b", 1, 0}, {"f", 1, 9}}, "conditional", "b"},
		{[]holding{{"b", 10, 10}, {"f", 11, 0}}, "conditional", "b"},
		{[]holding{{"n", 1, 0}}, "", ""},
	} {
		s := shelf{holdings: map[held][]holding{of: x.holdings}}
		if how, in := s.avoidable(types, 1, "M", 10); how != x.how || in != x.in {
			t.Errorf("%v: %q in %q", x.holdings, how, in)
		}
		if how, _ := s.avoidable(types, 2, "M", 10); how != "" {
			t.Errorf("somebody else's: %q", how)
		}
	}
}
