package identity_test

import (
	"strings"
	"testing"

	"github.com/shirecounty/shire/pipeline/identity"
	"github.com/shirecounty/shire/schemas/contract"
)

// A dataset whose people have nothing to match by is allowed, and said.
func TestUnmatched(t *testing.T) {
	const head = `dataset: visits
department: hall
owner: {zh: 甲, en: A}
title: {zh: 甲, en: A}
version: 1
key: [number]
sharing: {type: conditional}
fields:
  - {name: number, type: identifier, required: true, sensitivity: internal}
  - {name: name, type: text, sensitivity: personal}
  - {name: state, type: text, sensitivity: personal}
emits:
`
	for emit, want := range map[string]int{
		"  - {table: person_records, role: visitor, columns: {status: state}}\n":             1,
		"  - {table: person_records, role: visitor, columns: {status: state, name: name}}\n": 0,
	} {
		d, err := contract.Parse("c.yaml", []byte(head+emit), "Asia/Shanghai")
		if err != nil {
			t.Fatal(err)
		}
		notes := identity.Unmatched(contract.Set{d.Name: d})
		if len(notes) != want || want == 1 && !strings.Contains(notes[0], "dataset visits") {
			t.Errorf("%s: %q", emit, notes)
		}
	}
}
