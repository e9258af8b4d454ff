package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// desk is a county of one small dataset, for tests that spoil it.
type desk struct {
	t    *testing.T
	dir  string
	data string
}

const deskCounty = `county: {division: "339921", name_zh: 澄溪县, name_en: Chengxi County}
contracts: contracts
departments:
  desk: {zh: 综合窗口, en: Front desk}
sources:
  - name: desk
    kind: file
    datasets: [visits]
    with:
      directory: drop
      files:
        - {match: "visits-*.csv", dataset: visits}
portal: {listen: "127.0.0.1:0"}
`

const deskContract = `dataset: visits
department: desk
owner: {zh: 窗口数据员, en: Data clerk of the front desk}
title: {zh: 窗口办件, en: Cases at the front desk}
version: 1
key: [case]
sharing: {type: conditional}
fields:
  - {name: case, headers: [办件编号], type: case_number, required: true, sensitivity: internal}
  - {name: citizen, headers: [证件号码], type: citizen_number, sensitivity: sensitive}
  - {name: kind, headers: [类型], type: code, with: {table: {即办: on_spot, 承诺: promised}}, required: true, sensitivity: internal}
  - {name: applied, headers: [申请日期], type: date, required: true, sensitivity: internal}
  - {name: closed, headers: [办结日期], type: date, sensitivity: internal}
checks:
  - {name: published_calendar, working_calendar: [applied, closed]}
emits:
  - table: person_records
    role: visitor
    columns: {id_number: citizen}
  - table: cases
    person: visitor
    columns: {case_number: case, department: {value: desk}, item_code: {value: visit}, kind: kind, applied_at: applied, accepted_at: applied, closed_at: closed}
`

const deskHeader = "办件编号,证件号码,类型,申请日期,办结日期\n"

// Nobody has these numbers: the county of their first six digits does not exist.
const (
	someNumber  = "339921198601201134"
	wrongDigit  = "339921198601201135"
	otherNumber = "339921198705293045"
)

func newDesk(t *testing.T) *desk {
	t.Helper()
	d := &desk{t: t, dir: t.TempDir()}
	d.data = filepath.Join(d.dir, "data")
	d.write("county.yaml", deskCounty)
	d.write("contracts/visits.yaml", deskContract)
	return d
}

// write puts a file into the county's folder.
func (d *desk) write(name, text string) {
	d.t.Helper()
	path := filepath.Join(d.dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		d.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		d.t.Fatal(err)
	}
}

// change replaces a text in a file of the county, which has to be there.
func (d *desk) change(name, old, new string) {
	d.t.Helper()
	text, err := os.ReadFile(filepath.Join(d.dir, name))
	if err != nil || !strings.Contains(string(text), old) {
		d.t.Fatalf("%s does not hold %q: %v", name, old, err)
	}
	d.write(name, strings.ReplaceAll(string(text), old, new))
}

// shire runs a command on the county.
func (d *desk) shire(args ...string) result {
	d.t.Helper()
	return shire(d.t, append(args, "-c", filepath.Join(d.dir, "county.yaml"), "--data", d.data)...)
}

// cases are the case numbers in the mart, in order.
func (d *desk) cases() string {
	d.t.Helper()
	var all []string
	for _, row := range query(d.t, d.data, "SELECT case_number FROM mart.cases ORDER BY 1") {
		all = append(all, row[0].(string))
	}
	return strings.Join(all, " ")
}

// fails fails the test unless a command ended with the code and said all of the texts on standard error.
func (r result) fails(t *testing.T, code int, says ...string) {
	t.Helper()
	if r.Code != code {
		t.Errorf("exit code %d, want %d: %v", r.Code, code, r)
	}
	for _, s := range says {
		if !strings.Contains(r.Stderr, s) {
			t.Errorf("standard error does not say %q: %v", s, r)
		}
	}
	for _, line := range []string{"goroutine ", "panic:"} {
		if strings.Contains(r.Stderr, line) {
			t.Errorf("a person is shown %q: %v", line, r)
		}
	}
}
