package contract_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/shirecounty/shire/schemas/contract"
	"github.com/shirecounty/shire/schemas/document"
)

const good = `dataset: hall_cases
department: service_hall
owner: {zh: 数据科, en: Data Section}
title: {zh: 办件, en: Cases}
version: 1
key: [number]
sharing: {type: conditional}
fields:
  - {name: number, headers: [办件编号], type: case_number, required: true, sensitivity: internal}
  - {name: item, type: item_code, required: true, sensitivity: open}
  - {name: name, type: chinese_name, sensitivity: personal}
  - {name: card, type: citizen_number, sensitivity: sensitive}
  - {name: applied, type: timestamp, sensitivity: internal}
  - {name: closed, type: date, sensitivity: internal}
  - {name: visits, type: integer, sensitivity: open}
  - {name: edition, type: text, sensitivity: open}
checks:
  - {name: in_order, not_before: [closed, applied]}
  - {name: few, between: {field: visits, min: 0, max: 9}}
emits:
  - table: person_records
    role: applicant
    columns: {name: name, id_number: card}
  - table: cases
    person: applicant
    columns: {case_number: number, department: {value: 02}, item_code: item, applied_at: applied, closed_at: closed, visits: visits}
  - table: submissions
    when: {field: edition, present: true}
    columns: {case_number: number, department: item, material_code: item, submitted_at: applied, document: [card, edition]}
`

func parse(t testing.TB, text string) (*contract.Dataset, error) {
	t.Helper()
	return contract.Parse("c.yaml", []byte(text), "Asia/Shanghai")
}

func TestGoodContract(t *testing.T) {
	d, err := parse(t, good)
	if err != nil {
		t.Fatal(err)
	}
	if d.Delivery != contract.Changes || d.Zone != "Asia/Shanghai" || len(d.Hash) != 16 {
		t.Errorf("delivery %q, zone %q, hash %q", d.Delivery, d.Zone, d.Hash)
	}
	if c := d.Emits[1].Columns["department"].Const; c == nil || *c != "02" {
		t.Error("a constant is not as it was written")
	}
	if f := d.Emits[2].Columns["document"].Fields; !slices.Equal(f, []string{"card", "edition"}) {
		t.Errorf("joined fields: %q", f)
	}
	data, err := json.Marshal(d.Emits[2].Columns)
	if err != nil || !strings.Contains(string(data), `"document":["card","edition"]`) || !strings.Contains(string(data), `"case_number":"number"`) {
		t.Errorf("as JSON: %s, %v", data, err)
	}
}

// replaced is the good contract with one thing wrong.
func TestMistakes(t *testing.T) {
	for _, c := range []struct{ name, right, wrong, want string }{
		{"typo in a key", "department: service", "depratment: service", `c.yaml:2: "depratment" is not a key here; did you mean "department"?`},
		{"typo in a field's key", "type: integer,", "tpye: integer,", `c.yaml:15: "tpye" is not a key here; did you mean "type"?`},
		{"no name", "dataset: hall_cases", "dataset: Hall-Cases", `c.yaml:1: dataset "Hall-Cases" is not a name; use lower-case letters, digits and _, beginning with a letter`},
		{"no version", "version: 1", "version: 0", "c.yaml:5: the contract has no version; write version: 1 and raise it with every change"},
		{"no owner", "owner: {zh: 数据科, en: Data Section}", "owner: {contact: x}", "c.yaml:3: the dataset has no owner; name the office that answers for the dataset"},
		{"unknown key field", "key: [number]", "key: [nummer]", `c.yaml:6: "nummer" is not a field of this dataset; did you mean "number"?`},
		{"no key", "key: [number]", "key: []", "c.yaml:6: the dataset has no key; name the fields that identify a record"},
		{"unknown sharing", "type: conditional", "type: conditionel", `c.yaml:7: sharing type "conditionel" is not known; did you mean "conditional"?`},
		{"not shared without ground", "type: conditional", "type: none", "c.yaml:7: a dataset that is not shared needs its legal ground; name the law or rule in ground:"},
		{"unknown delivery", "version: 1", "version: 1\ndelivery: snapshots", `c.yaml:6: delivery "snapshots" is not known; did you mean "snapshot"?`},
		{"filled ends of nothing", "version: 1", "version: 1\nends_filled: true", "c.yaml:6: the dataset gives no ends of steps that could be filled; leave it out, or map ended_at of case_steps"},
		{"unknown zone", "version: 1", "version: 1\ntime_zone: Asia/Xianyang", `c.yaml:6: time zone "Asia/Xianyang" is not known; write a name such as Asia/Shanghai`},
		{"unknown type", "type: chinese_name", "type: chinese_nam", `c.yaml:11: type "chinese_nam" of field name is not known; did you mean "chinese_name"?`},
		{"field twice", "name: item, type", "name: number, type", "c.yaml:10: field number stands twice; rename one of them"},
		{"header twice", "name: item, type", "name: item, headers: [办件编号], type", `c.yaml:10: source column "办件编号" is claimed by field number too; give each source column to one field`},
		{"unknown sensitivity", "type: integer, sensitivity: open", "type: integer, sensitivity: opne", `c.yaml:15: sensitivity "opne" is not known; did you mean "open"?`},
		{"personal by nature", "type: citizen_number, sensitivity: sensitive", "type: citizen_number, sensitivity: internal", "c.yaml:12: field card is a citizen_number, which is personal by its nature; write sensitivity: personal or sensitive"},
		{"required and lenient", "required: true, sensitivity: open", "required: true, lenient: true, sensitivity: open", "c.yaml:10: field item is both required and lenient; keep one of the two"},
		{"unknown parameter", "type: integer,", "type: integer, with: {mni: 1},", `c.yaml:15: field visits: semantic type integer has no parameter "mni": did you mean min or max?`},
		{"field's sharing", "type: integer, sensitivity: open", "type: integer, sharing: all, sensitivity: open", `c.yaml:15: sharing type "all" is not known`},

		{"two conditions", "not_before: [closed, applied]", "not_before: [closed, applied], any_of: [item]", "c.yaml:18: check in_order has 2 conditions, not one; split it into checks of one condition each"},
		{"no condition", ", not_before: [closed, applied]", "", "c.yaml:18: check in_order has 0 conditions, not one"},
		{"check of one field", "not_before: [closed, applied]", "not_before: [closed]", "c.yaml:18: not_before takes two fields; write not_before: [later, earlier]"},
		{"check of a text", "not_before: [closed, applied]", "not_before: [closed, item]", "c.yaml:18: field item is of kind text; name a field of type date or timestamp"},
		{"check of a stranger", "not_before: [closed, applied]", "not_before: [closed, aplied]", `c.yaml:18: "aplied" is not a field of this dataset; did you mean "applied"?`},
		{"number of a text", "between: {field: visits", "between: {field: item", "c.yaml:19: field item is of kind text; name a field of type integer or decimal"},
		{"nothing between", "min: 0, max: 9", "min: 9, max: 0", "c.yaml:19: nothing is between 9 and 0; write the smaller number in min:"},

		{"unknown table", "table: person_records", "table: persons_records", `c.yaml:21: table "persons_records" is not in the county's model; did you mean "person_records"?`},
		{"unknown column", "case_number: number, department: {value", "case_numbre: number, department: {value", `c.yaml:26: cases has no column "case_numbre" that a contract may fill; did you mean "case_number"?`},
		{"assigned column", "case_number: number, department: {value", "version: number, case_number: number, department: {value", `c.yaml:26: cases has no column "version" that a contract may fill`},
		{"required column", "item_code: item, applied_at", "applied_at", "c.yaml:26: table cases needs the column item_code"},
		{"unknown field", "item_code: item, applied_at", "item_code: itme, applied_at", `c.yaml:26: "itme" is not a field of this dataset; did you mean "item"?`},
		{"personal to an open column", "item_code: item, applied_at", "item_code: item, item_name: name, applied_at", "c.yaml:26: field name is personal, and cases is read by analysts; map it to a pseudonymous column or to person_records, or lower its sensitivity if it is not personal"},
		{"kinds do not fit", "visits: visits}", "visits: applied}", "c.yaml:26: field applied is of kind timestamp, which does not fit the column visits"},
		{"constant for a date", "applied_at: applied, closed_at", "applied_at: {value: x}, closed_at", "c.yaml:26: column applied_at is not text, so it cannot be a constant; map it from a field"},
		{"joined for a plain column", "item_code: item, applied_at", "item_code: [item, edition], applied_at", "c.yaml:26: column item_code takes one field; only pseudonymous columns join several; name one field"},
		{"misspelt constant", "department: {value: 02}", "department: {valeu: 02}", "c.yaml:26: a column is filled by a field's name, a list of fields, or {value: constant}"},
		{"number for a column", "item_code: item, applied_at", "item_code: 7, applied_at", "c.yaml:26: a column is filled by a field's name"},
		{"unknown role", "person: applicant", "person: aplicant", `c.yaml:25: no party of this row has the role "aplicant"`},
		{"a person as an organisation", "person: applicant", "organisation: applicant", `c.yaml:25: no party of this row has the role "applicant"`},
		{"a role that is no name", "role: applicant", "role: the applicant", `c.yaml:22: role "the applicant" is not a name`},
		{"condition without a test", "when: {field: edition, present: true}", "when: {field: edition}", "c.yaml:28: the condition has to say either which values or that the field is present"},
		{"condition on a number", "when: {field: edition, present: true}", `when: {field: visits, in: ["1"]}`, "c.yaml:28: field visits is of kind integer, which in: cannot compare"},
		{"condition on a stranger", "when: {field: edition, present: true}", "when: {field: editoin, present: true}", `c.yaml:28: "editoin" is not a field of this dataset; did you mean "edition"?`},
		{"emitted twice", "table: submissions\n    when: {field: edition, present: true}\n    columns: {case_number: number, department: item, material_code: item, submitted_at: applied, document: [card, edition]}",
			"table: cases\n    columns: {case_number: number, department: item, item_code: item}", "c.yaml:27: the row emits cases twice with the same role; give each of them a role of its own"},
		{"key that may be empty", "when: {field: edition, present: true}", "key: [edition, closed]", "c.yaml:28: the key edition, closed of the emitted submissions may be empty"},
		{"party where there is none", "table: person_records\n", "table: person_records\n    person: applicant\n", "c.yaml:22: table person_records does not refer to a party; leave it out"},
	} {
		t.Run(c.name, func(t *testing.T) {
			text := strings.Replace(good, c.right, c.wrong, 1)
			if text == good {
				t.Fatalf("%q does not stand in the contract", c.right)
			}
			_, err := parse(t, text)
			var problems document.Problems
			if !errors.As(err, &problems) {
				t.Fatalf("got %v, want Problems", err)
			}
			if !slices.ContainsFunc(problems, func(p *document.Problem) bool { return strings.HasPrefix(p.Error(), c.want) }) {
				t.Errorf("got  %v\nwant %s", err, c.want)
			}
		})
	}
}

func TestEveryMistakeIsTold(t *testing.T) {
	text := strings.NewReplacer("type: conditional", "type: none", "name: item, type: item_code", "name: item, type: itemcode", "table: cases", "table: case").Replace(good)
	_, err := parse(t, text)
	var problems document.Problems
	if !errors.As(err, &problems) || len(problems) != 3 {
		t.Fatalf("three mistakes, told: %v", err)
	}
}

// The hash is part of every load's token (I3): another text or another zone is another contract.
func TestHashTellsTextAndZone(t *testing.T) {
	hash := func(text, zone string) string {
		d, err := contract.Parse("c.yaml", []byte(text), zone)
		if err != nil {
			t.Fatal(err)
		}
		return d.Hash
	}
	first := hash(good, "Asia/Shanghai")
	if first != hash(good, "Asia/Shanghai") {
		t.Error("the same contract has two hashes")
	}
	if first == hash(good+"\n# a note\n", "Asia/Shanghai") || first == hash(good, "Asia/Urumqi") {
		t.Error("two contracts have one hash")
	}
	if own := good + "time_zone: Asia/Urumqi\n"; hash(own, "Asia/Shanghai") != hash(own, "Asia/Tokyo") {
		t.Error("the county's zone counts where the contract has its own")
	}
}

func TestLoadDir(t *testing.T) {
	dir := t.TempDir()
	if _, err := contract.LoadDir(dir, "Asia/Shanghai"); err == nil || !strings.Contains(err.Error(), "no contract") {
		t.Errorf("an empty folder: %v", err)
	}
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("a.yaml", good)
	write("b.yaml", strings.Replace(good, "hall_cases", "old_cases", 1))
	set, err := contract.LoadDir(dir, "Asia/Shanghai")
	if err != nil || !slices.Equal(set.Names(), []string{"hall_cases", "old_cases"}) {
		t.Fatalf("%v, %v", set.Names(), err)
	}
	write("c.yaml", good)
	write("d.yaml", "datast: x\n")
	_, err = contract.LoadDir(dir, "Asia/Shanghai")
	if err == nil || !strings.Contains(err.Error(), "c.yaml:1: dataset hall_cases has a contract in "+filepath.Join(dir, "a.yaml")+" already") ||
		!strings.Contains(err.Error(), `d.yaml:1: "datast" is not a key here`) {
		t.Errorf("not both mistakes are told: %v", err)
	}
}

func TestResolve(t *testing.T) {
	d, err := parse(t, good)
	if err != nil {
		t.Fatal(err)
	}
	byField, unclaimed := d.Resolve([]string{"extra", "item", "办件编号", "item", "number"})
	if byField[0] != 2 || byField[1] != 1 || byField[2] != -1 || !slices.Equal(unclaimed, []string{"extra", "item", "number"}) {
		t.Errorf("%v, unclaimed %q", byField, unclaimed)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(good)
	f.Add(strings.Replace(good, "emits:", "emits: &x\n  - *x", 1))
	f.Add("fields: [!]\nemits: [{columns: {a: !}}]")
	f.Add("fields:\n  - ~\nchecks:\n  - ~\nemits:\n  - ~\n")
	f.Fuzz(func(t *testing.T, text string) {
		d, err := contract.Parse("c.yaml", []byte(text), "Asia/Shanghai")
		var problems document.Problems
		if err != nil && !errors.As(err, &problems) {
			t.Fatalf("%T is no list of problems", err)
		}
		if err == nil {
			for i := range d.Fields {
				if d.Fields[i].Semantic == nil {
					t.Fatal("a field of a good contract has no type")
				}
			}
		}
	})
}

// No department can pass for Shire, nor fill what is not a department's.
func TestOwnContractsAreReserved(t *testing.T) {
	own := contract.Own()
	if got := strings.Join(own.Names(), " "); got != contract.Corrections+" "+contract.Models+" "+contract.Verdicts+" "+contract.Materials+" "+contract.Acts {
		t.Errorf("Shire's own datasets are %s", got)
	}
	for _, d := range own {
		if d.Department != contract.OwnDepartment {
			t.Errorf("%s is of %s", d.Name, d.Department)
		}
		again, err := contract.ParseOwn("recorded", d.Text, "Asia/Shanghai")
		if err != nil || again.Hash != d.Hash {
			t.Errorf("%s, read again, has another hash: %v", d.Name, err)
		}
	}
	for what, text := range map[string]string{
		"its datasets are Shire's own":         strings.Replace(good, "department: service_hall", "department: shire", 1),
		"dataset identity_verdicts is Shire":   strings.Replace(good, "dataset: hall_cases", "dataset: identity_verdicts", 1),
		`"verdicts" is not in the county's`:    strings.Replace(good, "table: person_records", "table: verdicts", 1),
		`table "links" is not in the county's`: strings.Replace(good, "table: cases", "table: links", 1),
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "a.yaml"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := contract.LoadDir(dir, "Asia/Shanghai"); err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("want %q, got %v", what, err)
		}
	}
}
