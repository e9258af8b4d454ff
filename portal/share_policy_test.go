package portal

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"github.com/shirecounty/shire/schemas/sharing"
)

// policyRow is one row of the table: see its file.
type policyRow struct {
	Name    string
	Client  *string
	Key     string
	Clerk   string
	Purpose string
	Item    string
	Case    string
	Ask     string
	Body    string
	Status  int
	Code    string
	Shows   any
	Hides   []string
}

func TestPolicyThroughTheInterface(t *testing.T) {
	w := newShareWorld(t, wide)
	text, err := os.ReadFile("testdata/sharing/policy.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for placeholder, value := range map[string]string{"$number": zhang.number, "$name": zhang.name, "$birth": zhang.birth, "$other": li.number, "$phone2": zhang.otherPhone, "$address": zhang.address,
		"$nobody": withDigit("33012719900101123"), "$wrong": zhang.number[:17] + "?"} {
		text = []byte(strings.ReplaceAll(string(text), placeholder, value))
	}
	var rows []policyRow
	if err := yaml.UnmarshalWithOptions(text, &rows, yaml.Strict()); err != nil {
		t.Fatal(err)
	}
	usual := fieldsOfRow(rows[0].Shows)
	codes := map[string]bool{}
	for _, row := range rows {
		t.Run(row.Name, func(t *testing.T) {
			w.T = t
			before := w.entries()
			a := w.do(row.call(w))
			codes[a.code] = true
			if want := max(row.Status, http.StatusOK); a.status != want || a.code != row.Code {
				t.Fatalf("%d %s; want %d %s: %s", a.status, a.code, want, row.Code, a.text)
			}
			if want := fieldsOfRow(row.Shows); row.Shows != nil {
				if row.Shows == "usual" {
					want = usual
				}
				if got := shownIn(t, a.text); !slices.Equal(got, want) {
					t.Errorf("shown is %v\nand not %v", got, want)
				}
			}
			for _, hidden := range append(slices.Clone(row.Hides), li.name, li.number, li.phone) {
				if strings.Contains(a.text, hidden) {
					t.Errorf("%q is shown: %s", hidden, a.text)
				}
			}
			// I8: what was decided by policy is in the log once, granted or refused; what could not even be read is not.
			entries, want := w.entries()-before, uint64(1)
			if a.status == http.StatusUnauthorized || a.status == http.StatusBadRequest || a.status == http.StatusUnprocessableEntity {
				want = 0
			}
			if entries != want {
				t.Errorf("%d entries are new in the access log", entries)
			}
			if a.header.Get("Cache-Control") != "no-store" || a.header.Get("ETag") != "" {
				t.Error("the answer may be kept")
			}
		})
	}
	// Every reason of policy but those that need a second region is in the table.
	for code := range denials {
		if !codes[string(code)] && code != sharing.RowsNotGranted && code != "material_not_met" {
			t.Errorf("no row of the table is refused with %s", code)
		}
	}
}

func (row policyRow) call(w *shareWorld) call {
	client := "civil"
	if row.Client != nil {
		client = *row.Client
	}
	c := asks(client, http.MethodGet, "/api/v1/persons/"+w.node.person(zhang).String(), row.Body)
	number := "C-1"
	if row.Case != "" {
		number = row.Case
	}
	switch row.Ask {
	case "":
	case "li":
		c.path = "/api/v1/persons/" + w.node.person(li).String()
	case "nobody":
		c.path = "/api/v1/persons/01234567-89ab-8def-8123-456789abcdef"
	case "lookup":
		c.method, c.path = http.MethodPost, "/api/v1/persons/lookup"
	case "record":
		c.method, c.path = http.MethodPost, "/api/v1/departments/public_security/datasets/residents/records/lookup"
	case "prefill":
		c.method, c.path = http.MethodPost, "/api/v1/cases/"+number+"/prefill"
	default:
		c.path = row.Ask
	}
	for header, value := range map[string]string{clerkHeader: row.Clerk, purposeHeader: row.Purpose, itemHeader: row.Item, caseHeader: row.Case} {
		switch value {
		case "":
		case "-":
			delete(c.headers, header)
		default:
			c.headers[header] = value
		}
	}
	if row.Key != "" {
		c.client, c.headers["Authorization"] = "", "Shire-Key civil."+row.Key
	}
	return c
}

func fieldsOfRow(v any) (fields []string) {
	list, _ := v.([]any)
	for _, f := range list {
		fields = append(fields, fmt.Sprint(f))
	}
	slices.Sort(fields)
	return fields
}

// shownIn lists what an answer shows of a person or a record.
func shownIn(t *testing.T, text string) (fields []string) {
	t.Helper()
	var person SharedPerson
	var record SharedRecord
	if err := json.Unmarshal([]byte(text), &person); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(text), &record); err != nil {
		t.Fatal(err)
	}
	for _, r := range append(person.Records, record) {
		for _, v := range r.Values {
			fields = append(fields, r.Dataset+"."+v.Field+"="+v.Mask)
		}
	}
	slices.Sort(fields)
	return fields
}

// Conflicting values are shown as conflicting, each with its source.
func TestConflictsAreShown(t *testing.T) {
	w := newShareWorld(t, wide)
	a := w.do(asks("civil", http.MethodGet, "/api/v1/persons/"+w.node.person(zhang).String(), ""))
	var p SharedPerson
	if err := json.Unmarshal([]byte(a.text), &p); err != nil || a.status != 200 {
		t.Fatal(a.status, err)
	}
	i := slices.IndexFunc(p.Facts, func(f SharedFact) bool { return f.Means == "phone" })
	if i < 0 || !p.Facts[i].Conflicting || len(p.Facts[i].Said) != 2 || p.Facts[i].Said[0].Value == p.Facts[i].Said[1].Value || p.Facts[i].Said[0].Department == p.Facts[i].Said[1].Department {
		t.Errorf("the two telephone numbers are not shown as a conflict: %s", a.text)
	}
}

// A prefill is used or declined by its id, and a material that was declined for no reason of the list is not.
func TestPrefillIsUsedAndDeclined(t *testing.T) {
	w := newShareWorld(t, wide)
	a := w.do(asks("civil", http.MethodPost, "/api/v1/cases/C-1/prefill", "{}", caseHeader, ""))
	var p PrefillAnswer
	if err := json.Unmarshal([]byte(a.text), &p); err != nil || a.status != 200 {
		t.Fatal(a.status, a.text, err)
	}
	met := map[string]bool{}
	for _, m := range p.Materials {
		if met[m.Code] = m.Met; m.Met != (m.Proof != nil) || m.Met == (m.Reason != "") {
			t.Errorf("%+v", m)
		}
	}
	if !met["HOUSEHOLD-REGISTER"] || met["ID-CARD"] {
		t.Fatalf("%s", a.text)
	}
	path := "/api/v1/cases/C-1/prefill/" + p.ID
	for _, c := range []struct {
		path, body string
		status     int
		code       string
	}{
		{path + "/use", `{"material":"HOUSEHOLD-REGISTER"}`, 204, ""},
		{path + "/use", `{"material":"ID-CARD"}`, 403, "no_grant"},
		{path + "/use", `{"material":"NOBLE-BIRTH"}`, 422, "unusable_input"},
		{path + "/decline", `{"material":"HOUSEHOLD-REGISTER","reason":"outdated"}`, 204, ""},
		{path + "/decline", `{"material":"HOUSEHOLD-REGISTER","reason":"` + zhang.name + ` said so"}`, 422, "unusable_input"},
		{"/api/v1/cases/C-3/prefill/" + p.ID + "/use", `{"material":"HOUSEHOLD-REGISTER"}`, 403, "person_not_of_case"},
		{"/api/v1/cases/P-1/prefill/" + p.ID + "/use", `{"material":"HOUSEHOLD-REGISTER"}`, 403, "no_case"},
		{path + "/take", `{"material":"HOUSEHOLD-REGISTER"}`, 405, "method_not_allowed"},
	} {
		if a := w.do(asks("civil", http.MethodPost, c.path, c.body, caseHeader, "")); a.status != c.status || a.code != c.code || a.header.Get("Cache-Control") != "no-store" && c.status != 405 {
			t.Errorf("%s %s: %d %s %s", c.path, c.body, a.status, a.code, a.text)
		}
	}
	if a := w.do(asks("civil", http.MethodPost, path+"/use", `{"material":"HOUSEHOLD-REGISTER"}`, caseHeader, "C-3")); a.code != codeMalformed {
		t.Errorf("the header names another case: %d %s", a.status, a.code)
	}
}
