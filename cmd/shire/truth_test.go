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
	t.Run("persons", d.truthOfPersons)
	t.Run("organisations", d.truthOfOrganisations)
	t.Run("repeats", d.truthOfRepeats)
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

// truthOfPersons: every record of the truth is in mart.links once, and whom it was resolved to is explained by its number:
// to the true person, to another whose number it gives, or to nobody but itself.
func (d *demoNode) truthOfPersons(t *testing.T) {
	h := d.hasher(t)
	people := map[string]string{}   // id by number -> true person
	byNumber := map[string]string{} // true person -> id by number
	persons := d.truthOf(t, "persons")
	for _, row := range persons.rows {
		f := persons.of(t, row, "person", "number")
		id := uuid(h.ID("person/number", f[1]))
		people[id], byNumber[f[0]] = f[0], id
	}
	links := map[string][]string{} // record -> person_id, rule
	answer := d.answer(t, "SELECT record, person_id, rule FROM mart.links")
	for _, row := range answer.rows {
		f := answer.of(t, row, "record", "person_id", "rule")
		if links[f[0]] != nil {
			t.Fatalf("record %s is linked twice", f[0])
		}
		links[f[0]] = f[1:]
	}
	// Roles whose records carry no number in their source.
	numberless := map[string]bool{"guardian": true, "agent": true, "caller": true}
	var right, others, noNumber, badNumber int
	mentioned, recognised, ids := map[string]bool{}, map[string]bool{}, map[string]bool{}
	records := d.truthOf(t, "records")
	for _, row := range records.rows {
		f := records.of(t, row, "dataset", "key", "role", "person")
		id := h.ID("record/"+f[0]+"/person_records/"+f[2], f[1])
		link := links[uuid(id)]
		if link == nil {
			t.Fatalf("record %s of %s (%s) is not in mart.links", f[1], f[0], f[2])
		}
		delete(links, uuid(id))
		mentioned[f[3]], ids[link[0]] = true, true
		switch {
		case link[0] == byNumber[f[3]] && link[1] == "exact_number":
			right++
			recognised[f[3]] = true
		case people[link[0]] != "" && link[1] == "exact_number":
			others++
		case link[0] == uuid(h.ID("person/record", string(id[:]))) && link[1] == "alone":
			if numberless[f[2]] {
				noNumber++
			} else {
				badNumber++
			}
		default:
			t.Fatalf("record %s of %s (%s) was resolved by %s to somebody whom no number explains", f[1], f[0], f[2], link[1])
		}
	}
	if len(links) > 0 {
		t.Errorf("mart.links has %d records of which the truth knows nothing", len(links))
	}
	counts := d.answer(t, "SELECT count() AS persons, uniqExact(person_id) AS ids, sum(records) AS records FROM mart.persons")
	got := counts.of(t, counts.rows[0], "persons", "ids", "records")
	want := []string{fmt.Sprint(len(ids)), fmt.Sprint(len(ids)), fmt.Sprint(len(records.rows))}
	if !slices.Equal(got, want) {
		t.Errorf("mart.persons: persons, ids and records %v, want %v", got, want)
	}
	byNumbers := len(ids) - noNumber - badNumber
	d.document(t, "persons", fmt.Sprintf(`| records about people | |
|---|---:|
| in the departments' files | %s |
| resolved to the true person, by number | %s |
| resolved to another person, whose number they give | %s |
| a person of their own: the role carries no number (guardian, agent, caller) | %s |
| a person of their own: the number is missing or not valid | %s |
| **people** | |
| true people whom at least one record is about | %s |
| of them, with at least one record resolved to them | %s |
| people in `+"`mart.persons`"+` | %s |
| of them, with a number | %s |
| of them, a single record without a number | %s |
`, thousands(len(records.rows)), thousands(right), thousands(others), thousands(noNumber), thousands(badNumber),
		thousands(len(mentioned)), thousands(len(recognised)), thousands(len(ids)), thousands(byNumbers), thousands(noNumber+badNumber)))
}

// truthOfOrganisations: the organisation of every case is the true one, and no organisation is there that does not exist.
func (d *demoNode) truthOfOrganisations(t *testing.T) {
	h := d.hasher(t)
	ids := map[string]string{}
	organisations := d.truthOf(t, "organisations")
	for _, row := range organisations.rows {
		f := organisations.of(t, row, "organisation", "organisation_code")
		ids[f[0]] = uuid(h.ID("organisation/number", f[1]))
	}
	known := map[string]bool{}
	for _, id := range ids {
		known[id] = true
	}
	for _, row := range d.answer(t, "SELECT organisation_id FROM mart.organisations").rows {
		if !known[row[0]] {
			t.Errorf("organisation %s does not exist", row[0])
		}
	}
	want := counted{}
	cases := d.truthOf(t, "cases")
	for _, row := range cases.rows {
		if f := cases.of(t, row, "case_number", "party"); strings.HasPrefix(f[1], "O") {
			want.add(f[0], ids[f[1]])
		}
	}
	mart := d.answer(t, "SELECT case_number, organisation_id FROM mart.cases WHERE organisation_id != toUUID('00000000-0000-0000-0000-000000000000')")
	sameRecords(t, "case of an organisation", want, collect(t, mart, 1, "case_number", "organisation_id"))
}

// thousands writes 12,345.
func thousands(n int) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
