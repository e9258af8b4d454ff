package identity_test

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/shirecounty/shire/pipeline/identity"
	"github.com/shirecounty/shire/pipeline/normalise"
	"github.com/shirecounty/shire/schemas/change"
	"github.com/shirecounty/shire/schemas/contract"
	"github.com/shirecounty/shire/schemas/pseudonym"
)

const text = `dataset: cases
department: hall
owner: {zh: 甲, en: A}
title: {zh: 甲, en: A}
version: 1
key: [number]
sharing: {type: conditional}
fields:
  - {name: number, type: identifier, required: true, sensitivity: internal}
  - {name: name, type: text, sensitivity: personal}
  - {name: card, type: citizen_number, lenient: true, sensitivity: sensitive}
  - {name: agent, type: text, sensitivity: personal}
  - {name: at, type: date, sensitivity: internal}
  - {name: code, type: organisation_code, lenient: true, sensitivity: internal}
emits:
  - {table: person_records, role: applicant, columns: {name: name, id_number: card}}
  - {table: person_records, role: agent, columns: {name: agent}}
  - {table: organisation_records, role: applicant, columns: {organisation_code: code}}
  - table: cases
    person: applicant
    organisation: applicant
    columns: {case_number: number, department: {value: hall}, item_code: {value: x}}
  - {table: submissions, columns: {case_number: number, department: {value: a}, material_code: {value: b}, submitted_at: at}}
`

func hasher(t testing.TB) *pseudonym.Hasher {
	t.Helper()
	h, err := pseudonym.New(make([]byte, pseudonym.MinKey))
	if err != nil {
		t.Fatal(err)
	}
	return h
}

var arrived = time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)

type published struct{}

func (published) Published(int) bool { return true }

func plan(t testing.TB) *normalise.Plan {
	t.Helper()
	d, err := contract.Parse("c.yaml", []byte(text), "Asia/Shanghai")
	if err != nil {
		t.Fatal(err)
	}
	p, err := normalise.Compile(d, hasher(t), published{})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

type row struct {
	key, name, card, agent, code string
	op                           change.Op
}

// resolve takes rows through normalise and identity, in messages of the given size.
func resolve(t testing.TB, rows []row, size int) []*normalise.Result {
	t.Helper()
	p, x := plan(t), identity.NewExact(hasher(t))
	var results []*normalise.Result
	var mentions []*normalise.Rows
	for i := 0; i < len(rows); i += size {
		b := change.NewBuilder("s", "hall", "cases", "u", []string{"number", "name", "card", "agent", "code"})
		for _, r := range rows[i:min(i+size, len(rows))] {
			b.Append(change.Change{Op: r.op, Key: r.key, Values: []string{r.key, r.name, r.card, r.agent, r.code}})
		}
		r := p.Apply(b.Build(), uint64(i+1), arrived)
		if len(r.Rejected) > 0 {
			t.Fatalf("refused: %v", r.Rejected)
		}
		results = append(results, r)
		for _, table := range r.Tables {
			if table.Table.Mention != 0 {
				mentions = append(mentions, table)
			}
		}
	}
	outcome, err := x.Resolve(t.Context(), mentions, nil)
	if err != nil || outcome.Decisions != nil || outcome.Events != nil {
		t.Fatalf("%+v, %v", outcome, err)
	}
	for _, r := range results {
		identity.Refer(r)
	}
	return results
}

// of is the rows of a table and role in each result.
func of(results []*normalise.Result, table, role string) (found []*normalise.Rows) {
	for _, r := range results {
		for _, rows := range r.Tables {
			if rows.Table.Name == table && rows.Role == role {
				found = append(found, rows)
			}
		}
	}
	return found
}

const (
	numberA, shortA = "11010519491231002X", "110105491231002"
	numberB         = "440524188001010014"
	codeA           = "91350100M000100Y43"
)

func TestSameNumberIsOnePerson(t *testing.T) {
	r := resolve(t, []row{
		{key: "1", name: "张伟", card: numberA, op: change.Create}, {key: "2", name: "张 伟", card: shortA, op: change.Create},
		{key: "3", name: "张伟", card: numberB, op: change.Create}, {key: "4", name: "张伟", op: change.Create},
		{key: "5", name: "张伟", op: change.Create}, {key: "6", name: "张伟", card: "11010519491231002x", op: change.Create},
	}, 10)
	p := of(r, "person_records", "applicant")[0]
	if p.PersonID[0] != p.PersonID[1] || p.PersonID[0] != p.PersonID[5] {
		t.Error("one number in three spellings is not one person")
	}
	if p.PersonID[0] == p.PersonID[2] || p.PersonID[3] == p.PersonID[4] || p.PersonID[3] == p.PersonID[0] {
		t.Error("two numbers, or none, are one person")
	}
	for i, want := range []string{identity.ExactNumber, identity.ExactNumber, identity.ExactNumber, identity.Alone, identity.Alone, identity.ExactNumber} {
		if p.LinkRule[i] != want {
			t.Errorf("row %d: %s, want %s", i, p.LinkRule[i], want)
		}
	}
}

func TestRefer(t *testing.T) {
	r := resolve(t, []row{
		{key: "1", name: "张伟", card: numberA, agent: "李", op: change.Create},
		{key: "2", name: "张伟", card: numberA, op: change.Update},
		{key: "3", agent: "李", op: change.Update}, // names no applicant any more
		{key: "4", op: change.Create},
		{key: "5", op: change.Delete},
	}, 10)
	cases, applicant, agent := of(r, "cases", "")[0], of(r, "person_records", "applicant")[0], of(r, "person_records", "agent")[0]
	for i := range 2 {
		if cases.PersonID[i] != applicant.PersonID[i] || cases.PersonRecord[i] != applicant.RecordID[i] || cases.PersonID[i].IsZero() {
			t.Errorf("row %d does not refer to its applicant", i)
		}
	}
	if cases.PersonID[0] == agent.PersonID[0] {
		t.Error("the agent is taken for the applicant")
	}
	for i := 2; i < 5; i++ {
		if !cases.PersonID[i].IsZero() || !cases.PersonRecord[i].IsZero() {
			t.Errorf("row %d refers to somebody", i)
		}
	}
	if !cases.OrganisationID[0].IsZero() {
		t.Error("a row without an organisation refers to one")
	}
	if !applicant.Deleted[2] || applicant.PersonID[2].IsZero() {
		t.Error("the applicant's record is not ended, or ended without an id")
	}
	papers := of(r, "submissions", "")[0]
	if len(papers.PersonID) != 5 || !papers.PersonID[0].IsZero() {
		t.Error("rows that name no role refer to somebody")
	}
}

func TestOrganisations(t *testing.T) {
	r := resolve(t, []row{{key: "1", code: codeA, op: change.Create}, {key: "2", code: codeA, op: change.Create}, {key: "3", op: change.Create}}, 10)
	cases := of(r, "cases", "")[0]
	if cases.OrganisationID[0].IsZero() || cases.OrganisationID[0] != cases.OrganisationID[1] || !cases.OrganisationID[2].IsZero() {
		t.Error("the same code is not one organisation")
	}
	if !cases.PersonID[0].IsZero() {
		t.Error("an organisation is a person")
	}
}

// I6: the same records give the same partition, in whatever order and messages they come.
func TestOrderDoesNotMatter(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.IntRange(1, 12).Draw(rt, "records")
		var rows []row
		for i := range n {
			rows = append(rows, row{key: fmt.Sprint(i), op: change.Create,
				name: rapid.SampledFrom([]string{"张伟", "李娜"}).Draw(rt, "name"), card: rapid.SampledFrom([]string{numberA, shortA, numberB, "", "1"}).Draw(rt, "card"),
				code: rapid.SampledFrom([]string{codeA, ""}).Draw(rt, "code")})
		}
		ids := func(rows []row, size int) map[pseudonym.ID]pseudonym.ID {
			found := map[pseudonym.ID]pseudonym.ID{}
			for _, p := range of(resolve(t, rows, size), "person_records", "applicant") {
				for _, i := range p.Source {
					found[p.RecordID[i]] = p.PersonID[i]
				}
			}
			return found
		}
		want := ids(rows, n)
		got := ids(rapid.Permutation(rows).Draw(rt, "order"), rapid.IntRange(1, n).Draw(rt, "size"))
		if len(want) != len(got) {
			rt.Fatalf("%d records, then %d", len(want), len(got))
		}
		for record, person := range want {
			if got[record] != person {
				rt.Fatal("a record changed its person with the order")
			}
		}
	})
}
