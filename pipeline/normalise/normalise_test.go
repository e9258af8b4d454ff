package normalise_test

import (
	"encoding/hex"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

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
  - {name: number, headers: [办件编号], type: case_number, required: true, sensitivity: internal}
  - {name: kind, type: code, with: {table: {即办: on_spot, 承诺: promised}}, sensitivity: open}
  - {name: name, type: chinese_name, lenient: true, sensitivity: personal}
  - {name: card, type: citizen_number, lenient: true, sensitivity: sensitive}
  - {name: applied, type: timestamp, sensitivity: internal}
  - {name: closed, type: date, sensitivity: internal}
  - {name: visits, type: integer, sensitivity: open}
  - {name: paper, type: text, sensitivity: open}
  - {name: agent, type: text, sensitivity: open}
checks:
  - {name: in_order, not_before: [closed, applied]}
  - {name: published, working_calendar: [closed]}
  - {name: past, not_in_future: [applied]}
  - {name: few, between: {field: visits, min: 0, max: 9}}
  - {name: known, any_of: [applied, closed]}
emits:
  - table: person_records
    role: applicant
    columns: {name: name, id_number: card}
  - table: cases
    person: applicant
    columns: {case_number: number, department: {value: hall}, item_code: {value: x}, kind: kind, applied_at: applied, closed_at: closed, visits: visits}
  - table: submissions
    when: {field: paper, present: true}
    columns: {case_number: number, department: {value: hall}, material_code: paper, submitted_at: applied, valid_from: applied, valid_until: closed, document: [card, paper]}
  - table: case_steps
    key: [number, agent]
    when: {field: kind, in: [promised]}
    columns: {case_number: number, activity: {value: promise}, handler: agent}
`

type years []int

func (y years) Published(year int) bool { return slices.Contains(y, year) }

var columns = []string{"办件编号", "kind", "name", "card", "applied", "closed", "visits", "paper", "agent"}

func parse(t testing.TB, text string) *contract.Dataset {
	t.Helper()
	d, err := contract.Parse("c.yaml", []byte(text), "Asia/Shanghai")
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func compile(t testing.TB, d *contract.Dataset) *normalise.Plan {
	t.Helper()
	h, err := pseudonym.New([]byte(strings.Repeat("k", 32)))
	if err != nil {
		t.Fatal(err)
	}
	p, err := normalise.Compile(d, h, years{2025, 2026})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func batch(columns []string, rows ...change.Change) *change.Batch {
	b := change.NewBuilder("source", "hall", "cases", "u", columns)
	defer b.Release()
	for _, r := range rows {
		b.Append(r)
	}
	return b.Build()
}

var arrived = time.Date(2026, 11, 23, 4, 0, 0, 0, time.UTC)

// good is a row that everything is right with; change replaces values by column.
func good(op change.Op, key string, replace map[string]string) change.Change {
	values := map[string]string{"办件编号": "A-" + key, "kind": "承诺", "name": "张伟", "card": "11010519491231002X", "applied": "2026-03-02 09:00:00",
		"closed": "2026-03-05", "visits": "1", "paper": "licence", "agent": "王"}
	for k, v := range replace {
		values[k] = v
	}
	c := change.Change{Op: op, Key: key}
	for _, name := range columns {
		c.Values = append(c.Values, values[name])
	}
	return c
}

func table(t testing.TB, r *normalise.Result, name string) *normalise.Rows {
	t.Helper()
	for _, rows := range r.Tables {
		if rows.Table.Name == name {
			return rows
		}
	}
	return nil
}

func col(t testing.TB, r *normalise.Rows, name string) *normalise.Column {
	t.Helper()
	i, c := r.Table.Column(name)
	if c == nil {
		t.Fatalf("%s has no column %s", r.Table.Name, name)
	}
	return r.Columns[i]
}

// show is what became of the rows: "table:row" and "-" for a tombstone, "code@field" for a refusal.
func show(r *normalise.Result) string {
	var parts []string
	for _, rows := range r.Tables {
		for _, i := range rows.Source {
			sign := ""
			if rows.Deleted[i] {
				sign = "-"
			}
			parts = append(parts, fmt.Sprintf("%s%s:%d", sign, rows.Table.Name, i))
		}
	}
	for _, x := range r.Rejected {
		parts = append(parts, fmt.Sprintf("%s@%s:%d", x.Code, x.Field, x.Row))
	}
	return strings.Join(parts, " ")
}

func TestRows(t *testing.T) {
	all := "person_records:0 cases:0 submissions:0 case_steps:0"
	for _, c := range []struct {
		name string
		row  change.Change
		want string
	}{
		{"create", good(change.Create, "1", nil), all},
		{"snapshot", good(change.Snapshot, "1", nil), all},
		{"update", good(change.Update, "1", nil), all},
		{"delete", good(change.Delete, "1", nil), "-person_records:0 -cases:0 -submissions:0"},
		{"delete by key alone", change.Change{Op: change.Delete, Key: "1"}, "-person_records:0 -cases:0 -submissions:0"},
		{"malformed", change.Change{Op: change.Malformed, Problem: "too few fields", Raw: "x"}, "malformed@:0"},
		{"an operation of a newer program", good(change.Op(9), "1", nil), "unknown_operation@:0"},
		{"required and empty", good(change.Create, "1", map[string]string{"办件编号": ""}), "missing@number:0"},
		{"required and a placeholder", good(change.Create, "1", map[string]string{"办件编号": "无"}), "missing@number:0"},
		{"optional and empty", good(change.Create, "1", map[string]string{"visits": ""}), all},
		{"optional and a placeholder", good(change.Create, "1", map[string]string{"closed": "0000-00-00"}), all},
		{"not valid", good(change.Create, "1", map[string]string{"visits": "many"}), "format@visits:0"},
		{"not in the table", good(change.Create, "1", map[string]string{"kind": "其他"}), "unknown_code@kind:0"},
		{"lenient", good(change.Create, "1", map[string]string{"card": "123"}), all},
		{"out of order", good(change.Create, "1", map[string]string{"closed": "2026-03-01"}), "out_of_order@closed:0"},
		{"on the same day", good(change.Create, "1", map[string]string{"applied": "2026-03-05 00:00:00"}), all},
		{"in the future", good(change.Create, "1", map[string]string{"applied": "2026-11-23 12:00:01", "closed": ""}), "in_future@applied:0"},
		{"just arrived", good(change.Create, "1", map[string]string{"applied": "2026-11-23 12:00:00", "closed": ""}), all},
		{"calendar not published", good(change.Create, "1", map[string]string{"closed": "2027-01-01"}), "calendar_unpublished@closed:0"},
		{"last published day", good(change.Create, "1", map[string]string{"closed": "2026-12-31"}), all},
		{"too many", good(change.Create, "1", map[string]string{"visits": "10"}), "out_of_range@visits:0"},
		{"neither date", good(change.Create, "1", map[string]string{"applied": "", "closed": ""}), "missing@applied:0"},
		{"a time the warehouse cannot hold", good(change.Create, "1", map[string]string{"applied": "2262-04-12 00:00:00", "closed": ""}), "out_of_range@applied:0"},
		{"a day whose first moment it cannot hold", good(change.Create, "1", map[string]string{"applied": "", "closed": "1900-01-01"}), "out_of_range@closed:0"},
		{"condition does not hold, create", good(change.Create, "1", map[string]string{"paper": "", "kind": "即办"}), "person_records:0 cases:0"},
		{"condition does not hold any more", good(change.Update, "1", map[string]string{"paper": "", "kind": "即办"}), "person_records:0 cases:0 -submissions:0"},
		{"nothing said of the person", good(change.Create, "1", map[string]string{"name": "", "card": "无"}), "cases:0 submissions:0 case_steps:0"},
		{"no longer anything said of the person", good(change.Update, "1", map[string]string{"name": "", "card": ""}), "-person_records:0 cases:0 submissions:0 case_steps:0"},
		{"two faults: the first is told", good(change.Create, "1", map[string]string{"办件编号": "", "visits": "many"}), "missing@number:0"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := show(compile(t, parse(t, text)).Apply(batch(columns, c.row), 7, arrived))
			if got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

func TestSourceTimeBoundsWhatItKnows(t *testing.T) {
	row := good(change.Create, "1", map[string]string{"applied": "2026-03-02 09:00:00"})
	row.Time = time.Date(2026, 3, 2, 0, 59, 59, 0, time.UTC) // 08:59:59 in the county
	if got := show(compile(t, parse(t, text)).Apply(batch(columns, row), 7, arrived)); got != "in_future@applied:0" {
		t.Error(got)
	}
}

func TestValues(t *testing.T) {
	r := compile(t, parse(t, text)).Apply(batch(columns, good(change.Create, "1", map[string]string{"card": "110105491231002"}), good(change.Create, "2", map[string]string{"closed": "", "visits": "", "paper": "deed"})), 7, arrived)
	cases, papers, persons, steps := table(t, r, "cases"), table(t, r, "submissions"), table(t, r, "person_records"), table(t, r, "case_steps")
	if v := col(t, persons, "id_number").TextAt(0); v != "11010519491231002X" {
		t.Errorf("a number of 15 digits became %q", v)
	}
	if v := col(t, cases, "department").TextAt(1); v != "hall" {
		t.Errorf("the constant is %q", v)
	}
	if v := col(t, cases, "kind").TextAt(0); v != "promised" {
		t.Errorf("the code is %q", v)
	}
	shanghai := time.FixedZone("", 8*3600)
	applied := time.Date(2026, 3, 2, 9, 0, 0, 0, shanghai)
	if c := col(t, cases, "applied_at"); !c.Valid[0] || c.Ints[0] != applied.UnixMicro() {
		t.Errorf("applied at %d", c.Ints[0])
	}
	// A date as a time is its first moment in the county; a time as a date is its day there.
	if c := col(t, cases, "closed_at"); c.Ints[0] != time.Date(2026, 3, 5, 0, 0, 0, 0, shanghai).UnixMicro() || c.Valid[1] {
		t.Errorf("closed at %d, absent: %v", c.Ints[0], !c.Valid[1])
	}
	day := time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC).Unix() / 86400
	if c := col(t, papers, "valid_from"); c.Ints[0] != day {
		t.Errorf("the day of the application is %d, want %d", c.Ints[0], day)
	}
	if c := col(t, cases, "visits"); c.Ints[0] != 1 || c.Valid[1] {
		t.Error("visits")
	}
	if c := col(t, cases, "division"); c.TextAt(0) != "" {
		t.Error("a column that nothing is mapped to is not empty")
	}
	if c := col(t, cases, "delivered_at"); c.Valid[0] {
		t.Error("a time that nothing is mapped to is not absent")
	}
	// I7: what is pseudonymous arrives as a keyed hash, the same for the same and another for another.
	handler, document := col(t, steps, "handler").TextAt(0), col(t, papers, "document")
	if _, err := hex.DecodeString(handler); err != nil || len(handler) != 24 || strings.Contains(handler, "王") {
		t.Errorf("the handler is %q", handler)
	}
	if handler != col(t, steps, "handler").TextAt(1) {
		t.Error("the same official has two pseudonyms")
	}
	if document.TextAt(0) == "" || document.TextAt(0) == document.TextAt(1) {
		t.Error("two documents have one pseudonym")
	}
}

func TestMidnightAndDaysBefore1970(t *testing.T) {
	r := compile(t, parse(t, text)).Apply(batch(columns,
		good(change.Create, "1", map[string]string{"applied": "1969-12-31 23:59:59", "closed": ""}),
		good(change.Create, "2", map[string]string{"applied": "1970-01-01 00:00:00", "closed": ""}),
		good(change.Create, "3", map[string]string{"applied": "1970-01-01 07:59:59", "closed": ""})), 7, arrived)
	c := col(t, table(t, r, "submissions"), "valid_from")
	if c.Ints[0] != -1 || c.Ints[1] != 0 || c.Ints[2] != 0 {
		t.Errorf("days %v", c.Ints)
	}
}

func TestLenientValuesAreNoted(t *testing.T) {
	r := compile(t, parse(t, text)).Apply(batch(columns, good(change.Create, "1", map[string]string{"card": "123"}), good(change.Create, "2", map[string]string{"card": "110105194912310021"}),
		good(change.Create, "3", map[string]string{"card": "12"})), 7, arrived)
	want := map[normalise.Note]int{{Field: "card", Code: "format"}: 2, {Field: "card", Code: "check_digit"}: 1}
	if !reflect.DeepEqual(r.Noted, want) || len(r.Rejected) != 0 {
		t.Errorf("noted %v, refused %v", r.Noted, r.Rejected)
	}
	if v := col(t, table(t, r, "person_records"), "id_number"); v.TextAt(0) != "" || v.TextAt(1) != "" {
		t.Error("a value that is not valid was kept")
	}
}

// I7: nothing that a row says may stand in the reason it is refused for.
func TestReasonsHoldNoValue(t *testing.T) {
	strict := strings.ReplaceAll(text, "lenient: true, ", "")
	secret := map[string]string{"card": "11010519491231999X", "name": "张伟13800138000", "visits": "机密", "applied": "秘密时间", "kind": "秘密种类", "closed": "秘密日期"}
	for field, value := range secret {
		r := compile(t, parse(t, strict)).Apply(batch(columns, good(change.Create, "1", map[string]string{field: value})), 7, arrived)
		if len(r.Rejected) == 0 {
			t.Errorf("%s was accepted", field)
		}
		for _, x := range r.Rejected {
			if strings.Contains(x.Message+x.Code+x.Field, value) || x.Message == "" {
				t.Errorf("%s: the reason is %q", field, x.Message)
			}
		}
	}
}

func TestMissingColumn(t *testing.T) {
	rows := []change.Change{{Op: change.Create, Key: "1", Values: []string{"promised"}}, {Op: change.Delete, Key: "2"}}
	got := show(compile(t, parse(t, text)).Apply(batch([]string{"kind"}, rows...), 7, arrived))
	if got != "-person_records:1 -cases:1 -submissions:1 missing_column@number:0" {
		t.Error(got)
	}
}

func TestRecordIDs(t *testing.T) {
	plan := compile(t, parse(t, text))
	r := plan.Apply(batch(columns, good(change.Create, "1", nil), good(change.Update, "1", map[string]string{"办件编号": "A-1"}), good(change.Create, "2", map[string]string{"办件编号": "A-1"}),
		change.Change{Op: change.Delete, Key: "1"}), 7, arrived)
	cases, steps := table(t, r, "cases"), table(t, r, "case_steps")
	if cases.RecordID[0] != cases.RecordID[1] || cases.RecordID[0] != cases.RecordID[3] || cases.RecordID[0] == cases.RecordID[2] {
		t.Error("a record is what its key says")
	}
	if steps.RecordID[0] != steps.RecordID[2] {
		t.Error("a record with a key of its own is shared by the rows that name it")
	}
	if person := table(t, r, "person_records"); person.RecordID[0] == cases.RecordID[0] {
		t.Error("two tables share a record id")
	}
}

// A row that becomes nothing would vanish (I4).
func TestRowThatNothingIsMadeOfIsSetAside(t *testing.T) {
	only := text[:strings.Index(text, "emits:")] + `emits:
  - table: case_steps
    key: [number]
    when: {field: kind, in: [promised]}
    columns: {case_number: number, activity: {value: promise}}
`
	got := show(compile(t, parse(t, only)).Apply(batch(columns, good(change.Create, "1", nil), good(change.Create, "2", map[string]string{"kind": "即办"}),
		good(change.Snapshot, "3", map[string]string{"kind": "即办"}), change.Change{Op: change.Delete, Key: "4"}), 7, arrived))
	if got != "case_steps:0 not_mapped@:1 not_mapped@:2" {
		t.Error(got)
	}
}

func changes(t *rapid.T) []change.Change {
	value := map[string]*rapid.Generator[string]{
		"办件编号": rapid.SampledFrom([]string{"A-1", "A-2", "", "无", "bad number?"}), "kind": rapid.SampledFrom([]string{"承诺", "即办", "", "其他"}),
		"name": rapid.SampledFrom([]string{"张伟", "", "无", "\xff\xfe"}), "card": rapid.SampledFrom([]string{"11010519491231002X", "110105491231002", "1", ""}),
		"applied": rapid.SampledFrom([]string{"2026-03-02 09:00:00", "2027-05-01", "", "x", "1900-01-01", "2299-12-31"}),
		"closed":  rapid.SampledFrom([]string{"2026-03-05", "2026-02-01", "", "2031-01-01", "1900-01-01", "2299-12-31"}),
		"visits":  rapid.SampledFrom([]string{"1", "77", "", "-"}), "paper": rapid.OneOf(rapid.Just(""), rapid.String()), "agent": rapid.OneOf(rapid.Just(""), rapid.String()),
	}
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) change.Change {
		c := change.Change{Op: change.Op(rapid.IntRange(1, 6).Draw(t, "op")), Key: rapid.SampledFrom([]string{"1", "2", "3"}).Draw(t, "key"), Problem: "p", Raw: "r"}
		for _, name := range columns {
			c.Values = append(c.Values, value[name].Draw(t, name))
			c.Null = append(c.Null, rapid.IntRange(0, 9).Draw(t, "null") == 0)
		}
		return c
	}), 1, 12).Draw(t, "rows")
}

// I4: every row is in exactly one of: emitted, refused, a deletion that no table knows by its key. I3: and the same
// batch is always the same.
func TestNothingVanishesAndNothingIsDecidedTwice(t *testing.T) {
	d := parse(t, text)
	one, other := compile(t, d), compile(t, d)
	rapid.Check(t, func(t *rapid.T) {
		rows := changes(t)
		b := batch(columns, rows...)
		r := one.Apply(b, 7, arrived)
		emitted, refused := map[int]bool{}, map[int]int{}
		for _, rows := range r.Tables {
			for _, i := range rows.Source {
				emitted[int(i)] = true
			}
		}
		for _, x := range r.Rejected {
			refused[x.Row]++
		}
		for i, row := range rows {
			if refused[i] > 1 {
				t.Fatalf("row %d is refused %d times", i, refused[i])
			}
			if ways := btoi(emitted[i]) + refused[i]; ways != 1 {
				t.Fatalf("row %d (%v) went %d ways: %s", i, row.Op, ways, show(r))
			}
		}
		again, elsewhere := one.Apply(b, 7, arrived), other.Apply(b, 7, arrived)
		if !reflect.DeepEqual(r, again) || !sameRows(r, elsewhere) {
			t.Fatal("the same batch became something else")
		}
	})
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

func sameRows(a, b *normalise.Result) bool {
	if show(a) != show(b) || !reflect.DeepEqual(a.Noted, b.Noted) || !reflect.DeepEqual(a.Rejected, b.Rejected) {
		return false
	}
	for i := range a.Tables {
		if !reflect.DeepEqual(a.Tables[i].RecordID, b.Tables[i].RecordID) || !reflect.DeepEqual(a.Tables[i].Columns, b.Tables[i].Columns) {
			return false
		}
	}
	return true
}

func TestCompileRefusesWhatItDoesNotKnow(t *testing.T) {
	d := parse(t, text)
	d.Zone = "Asia/Nowhere"
	if _, err := normalise.Compile(d, nil, years{}); err == nil {
		t.Error("an unknown zone")
	}
	d = parse(t, text)
	d.Emits[0].Table = "persons"
	if _, err := normalise.Compile(d, nil, years{}); err == nil {
		t.Error("an unknown table")
	}
}
