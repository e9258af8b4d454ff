package main

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// counted is a multiset: what stands under a key, and a key that is there twice is a mistake of its own.
type counted map[string][]string

func (c counted) add(key string, fields ...string) {
	c[key] = append(c[key], strings.Join(fields, " | "))
}

// sameRecords fails the test unless both sides have the same keys, each once, with the same content.
func sameRecords(t *testing.T, what string, truth, mart counted) {
	t.Helper()
	shown := 0
	for _, key := range slices.Sorted(maps.Keys(truth)) {
		if len(truth[key]) == 1 && slices.Equal(truth[key], mart[key]) {
			continue
		}
		if shown++; shown <= 5 {
			t.Errorf("%s %s: truly %q, in the mart %q", what, key, truth[key], mart[key])
		}
	}
	for _, key := range slices.Sorted(maps.Keys(mart)) {
		if len(truth[key]) > 0 {
			continue
		}
		if shown++; shown <= 5 {
			t.Errorf("%s %s is in the mart as %q and does not exist", what, key, mart[key])
		}
	}
	if shown > 5 {
		t.Errorf("%s: %d differences in all", what, shown)
	}
	if len(truth) == 0 {
		t.Errorf("%s: the truth is empty", what)
	}
	t.Logf("%s: %d in the truth, %d in the mart", what, len(truth), len(mart))
}

// local is a time column as the simulated county writes it.
func local(column string) string {
	return fmt.Sprintf("ifNull(formatDateTime(toTimeZone(%s, 'Asia/Shanghai'), '%%F %%T'), '') AS %s", column, column)
}

// collect reads a sheet into a multiset: the first fields are the key.
func collect(t *testing.T, s sheet, keys int, names ...string) counted {
	t.Helper()
	c := counted{}
	for _, row := range s.rows {
		f := s.of(t, row, names...)
		c.add(strings.Join(f[:keys], "/"), f[keys:]...)
	}
	return c
}

// truth compares the marts with the simulated county's truth.
func (d *demoNode) truth(t *testing.T) {
	t.Run("cases", func(t *testing.T) {
		names := []string{"case_number", "item_code", "department", "applied_at", "accepted_at", "closed_at", "delivered_at"}
		mart := d.answer(t, "SELECT case_number, item_code, c.department AS department, "+
			local("applied_at")+", "+local("accepted_at")+", "+local("closed_at")+", "+local("delivered_at")+" FROM mart.cases AS c")
		sameRecords(t, "case", collect(t, d.truthOf(t, "cases"), 1, names...), collect(t, mart, 1, names...))
	})
	t.Run("steps", d.truthOfSteps)
	t.Run("legal time", d.truthOfLegalTime)
	t.Run("submissions", func(t *testing.T) {
		names := []string{"case_number", "material_code", "submitted_at", "shared"}
		mart := d.answer(t, "SELECT case_number, material_code, "+local("submitted_at")+", if(method = 'shared', 'true', 'false') AS shared FROM mart.submissions")
		sameRecords(t, "submission", collect(t, d.truthOf(t, "submissions"), 2, names...), collect(t, mart, 2, names...))
	})
	t.Run("ratings", func(t *testing.T) {
		names := []string{"case_number", "rated_at", "score"}
		mart := d.answer(t, "SELECT case_number, "+local("rated_at")+", toString(score) AS score FROM mart.ratings")
		sameRecords(t, "rating", collect(t, d.truthOf(t, "ratings"), 1, names...), collect(t, mart, 1, names...))
	})
	t.Run("incidents", func(t *testing.T) {
		names := []string{"incident", "reported_at", "closed_at", "reopened"}
		mart := d.answer(t, "SELECT incident_number AS incident, "+local("reported_at")+", "+local("closed_at")+", toString(reopened) AS reopened FROM mart.incidents")
		sameRecords(t, "incident", collect(t, d.truthOf(t, "incidents"), 1, names...), collect(t, mart, 1, names...))
	})
	t.Run("quarantine", func(t *testing.T) {
		// What the truth plants, by the code under which a contract refuses it.
		codes := map[string]string{"no_such_date": "no_such_date", "unknown_code": "unknown_code", "wrong_order": "out_of_order", "too_few_columns": "malformed"}
		want := counted{}
		planted := d.truthOf(t, "quarantined")
		for _, row := range planted.rows {
			f := planted.of(t, row, "file", "line", "dataset", "defect")
			want.add(filepath.Base(f[0])+":"+f[1], f[2], codes[f[3]], "waiting")
		}
		got := counted{}
		waiting := d.answer(t, "SELECT unit, toString(row) AS row, dataset, code, state FROM ops.quarantine")
		for _, row := range waiting.rows {
			f := waiting.of(t, row, "unit", "row", "dataset", "code", "state")
			got.add(filepath.Base(f[0])+":"+f[1], f[2:]...)
		}
		sameRecords(t, "quarantined row", want, got)
	})
	r := d.resolved(t)
	t.Run("persons", func(t *testing.T) { d.truthOfPersons(t, r) })
	t.Run("organisations", d.truthOfOrganisations)
	t.Run("repeats", func(t *testing.T) { d.truthOfRepeats(t, r) })
	t.Run("avoidable", func(t *testing.T) { d.truthOfAvoidable(t, r) })
}

func (d *demoNode) truthOfSteps(t *testing.T) {
	want := counted{}
	truth := d.truthOf(t, "steps")
	for _, row := range truth.rows {
		f := truth.of(t, row, "case_number", "kind", "step", "started_at", "ended_at", "end_recorded")
		if f[5] == "false" {
			f[4] = f[3] // the hall's system fills an end that it does not know with the start
		}
		want.add(strings.Join(f[:3], "/"), f[3:5]...)
	}
	mart := d.answer(t, "SELECT case_number, kind, step, "+local("started_at")+", "+local("ended_at")+" FROM mart.case_steps")
	sameRecords(t, "step", want, collect(t, mart, 3, "case_number", "kind", "step", "started_at", "ended_at"))
}

// truthOfPersons: every record of the truth has one current link, and how well the people of the marts are the true ones is
// counted, with what was wrong with every record that was not resolved to the true person.
func (d *demoNode) truthOfPersons(t *testing.T, r *resolved) {
	fates := map[string]int{}
	causes := map[string]map[string]int{another: {}, apart: {}}
	mentioned := map[string]bool{}
	for _, m := range r.mentions {
		fates[m.fate]++
		mentioned[m.truly] = true
		if m.fate != itself {
			causes[m.fate][r.cause(t, m, "")]++
		}
	}
	counts := d.answer(t, "SELECT count() AS persons, uniqExact(person_id) AS ids, sum(records) AS records FROM mart.persons")
	got := counts.of(t, counts.rows[0], "persons", "ids", "records")
	want := []string{fmt.Sprint(len(r.persons)), fmt.Sprint(len(r.persons)), fmt.Sprint(len(r.mentions))}
	if !slices.Equal(got, want) {
		t.Errorf("mart.persons: persons, ids and records %v, want %v", got, want)
	}
	if n := causes[another]["number "+rightNumber+", name right, telephone right"]; n > 0 {
		t.Errorf("%d records in which nothing is wrong were resolved to another person", n)
	}
	truly, found, both := r.pairs()
	if precision, recall := share(both, found), share(both, truly); precision < .9999 || recall < .95 {
		t.Errorf("of the pairs of records that are together %.6f are of one person, and of those of one person %.6f are together", precision, recall)
	}
	var b strings.Builder
	line := func(what string, n int) { fmt.Fprintf(&b, "| %s | %s |\n", what, thousands(n)) }
	b.WriteString("| records about people | |\n|---|---:|\n")
	line("in the departments' files", len(r.mentions))
	line("resolved to the true person", fates[itself])
	list(line, "resolved to another person", causes[another])
	list(line, "apart from the person's other records", causes[apart])
	line("**pairs of records** of one person", truly)
	line("of them, together in the marts", both)
	line("together in the marts, and of two people", found-both)
	line("**people**: true people whom at least one record is about", len(mentioned))
	line("people in `mart.persons`", len(r.persons))
	d.document(t, "persons", b.String())
}

func share(part, whole int) float64 { return float64(part) / float64(max(whole, 1)) }

// truthOfOrganisations: the organisations of the marts are the true ones, one for one, and every case has its own.
func (d *demoNode) truthOfOrganisations(t *testing.T) {
	truly := map[string]string{} // case -> true organisation
	cases := d.truthOf(t, "cases")
	for _, row := range cases.rows {
		if f := cases.of(t, row, "case_number", "party"); strings.HasPrefix(f[1], "O") {
			truly[f[0]] = f[1]
		}
	}
	there, back := map[string]string{}, map[string]string{}
	want, got := counted{}, counted{}
	mart := d.answer(t, "SELECT case_number, organisation_id FROM mart.cases WHERE organisation_id != toUUID('00000000-0000-0000-0000-000000000000')")
	for _, row := range mart.rows {
		f := mart.of(t, row, "case_number", "organisation_id")
		got.add(f[0], f[1])
		if o := truly[f[0]]; there[o] == "" && back[f[1]] == "" {
			there[o], back[f[1]] = f[1], o
		}
	}
	for number, o := range truly {
		want.add(number, there[o])
	}
	sameRecords(t, "case of an organisation", want, got)
	all := len(d.truthOf(t, "organisations").rows)
	ids := d.answer(t, "SELECT organisation_id FROM mart.organisations").rows
	if len(ids) < len(there) || len(ids) > all {
		t.Errorf("mart.organisations has %d organisations; cases are of %d, and %d exist", len(ids), len(there), all)
	}
}

// thousands writes 12,345.
func thousands(n int) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
