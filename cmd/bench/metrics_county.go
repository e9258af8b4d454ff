package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	click "github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

// A county that is made inside the engine, by INSERT ... SELECT FROM numbers() into the tables that the flow loads, so that everything
// behind them sees it. Each value is a hash of a number, so that the county is the same in every run.
const (
	usualCases        = 10_000_000
	countyDepartments = 30
	countyItems       = 150 // a fifth of them have half of the cases
	countyBegins      = "2024-01-01 00:00:00"
	countyDays        = 3 * 365
	stepsOfCase       = 10
	casesOfPerson     = 8
	papersOfCase      = 2
	casesInBlock      = 250_000
)

// countyKind is a table and the rows that a range of cases brings to it.
type countyKind struct {
	table string
	per   int // rows come from so many numbers for each hundred cases
	rows  string
}

// drawn is a number from 0 up to and without 1, by a salt and the number i.
func drawn(salt, of string) string {
	return fmt.Sprintf("(cityHash64('%s', %s) %% 1000003 / 1000003)", salt, of)
}

func recordOf(salt, of string) string {
	return fmt.Sprintf("reinterpretAsUUID(sipHash128('%s', %s))", salt, of)
}

// caseColumns are what is known of case number c, of n; the times are seconds since the county begins.
func caseColumns(n int) string {
	replace := strings.NewReplacer("{n}", fmt.Sprint(n), "{days}", fmt.Sprint(countyDays), "{items}", fmt.Sprint(countyItems), "{departments}", fmt.Sprint(countyDepartments),
		"{persons}", fmt.Sprint(max(n/casesOfPerson, 1)), "{begins}", countyBegins)
	return replace.Replace(`
    toDateTime64('{begins}', 6, 'UTC') AS begins,
    {days} * 86400 AS ends,
    toUInt32(intDiv(c * {days}, {n})) * 86400 + toUInt32(1800 + 32400 * ` + drawn("hour", "c") + `) AS applied,
    toUInt32({items} * pow(` + drawn("item", "c") + `, 2)) AS item,
    item % {departments} AS office,
    applied + toUInt32(172800 * pow(` + drawn("accept", "c") + `, 3)) AS accepted,
    toUInt32(86400 * (0.2 + (1 + item % 12) * exp(1.6 * (` + drawn("a", "c") + ` + ` + drawn("b", "c") + ` + ` + drawn("d", "c") + ` - 1.5)))) AS lasts,
    accepted + lasts AS closed,
    closed + toUInt32(259200 * pow(` + drawn("deliver", "c") + `, 2)) AS delivered,
    cityHash64('person', c) % {persons} AS person,
    at -> begins + toIntervalSecond(at) AS moment,
    concat('P', leftPad(toString(c), 9, '0')) AS number,
    concat('office ', toString(office)) AS department`)
}

// countyKinds are the tables that cases bring rows to.
var countyKinds = []countyKind{
	{"store.cases", 100, `SELECT ` + recordOf("case", "c") + ` AS record_id, 'bench' AS source, concat('cases_', toString(office)) AS dataset, department AS source_department, now64(6) AS received_at, c + 1 AS version,
    ` + recordOf("applicant", "c") + ` AS person_record, ` + recordOf("person", "person") + ` AS person_id, number AS case_number, department, concat('item ', toString(item)) AS item_code, concat('Item ', toString(item)) AS item_name,
    ['on_spot', 'promised', 'promised', 'other'][1 + item % 4] AS kind, ['window', 'online', 'mobile', 'terminal'][toUInt32(1 + 4 * ` + drawn("channel", "c") + `)] AS channel, '330127' AS division,
    moment(applied) AS applied_at, if(accepted < ends, moment(accepted), NULL) AS accepted_at, if(c % 3 = 0, moment(accepted + 20 * 86400), NULL) AS promised_at,
    if(closed < ends, moment(closed), NULL) AS closed_at, if(delivered < ends, moment(delivered), NULL) AS delivered_at, if(closed < ends, 'granted', '') AS result,
    if(c % 10 = 0, NULL, toInt64(3 * ` + drawn("visits", "c") + `)) AS visits, 20 AS statutory_days, 5 + item % 10 AS promised_days`},
	{"store.case_steps", 100 * stepsOfCase, `SELECT ` + recordOf("step", "number") + ` AS record_id, 'bench' AS source, concat('steps_', toString(office)) AS dataset, department AS source_department, now64(6) AS received_at, number + 1 AS version,
    concat('P', leftPad(toString(c), 9, '0')) AS case_number, toString(j) AS step, multiIf(j = 3 AND c % 10 = 0, 'supplement', j = 4 AND c % 25 = 0, 'special', '') AS kind,
    concat('activity ', toString((item + j - (j > 5 AND c % 7 = 0)) % 12)) AS activity, moment(began) AS started_at,
    if(began + worked < ends AND c % 50 != 1, moment(began + worked), NULL) AS ended_at, 'pass' AS result, concat('team ', toString(cityHash64(c, j) % 200)) AS handler, department`},
	{"store.submissions", 100 * papersOfCase, `SELECT ` + recordOf("paper", "number") + ` AS record_id, 'bench' AS source, concat('papers_', toString(office)) AS dataset, department AS source_department, now64(6) AS received_at, number + 1 AS version,
    concat('P', leftPad(toString(c), 9, '0')) AS case_number, department, concat('material ', toString(material)) AS material_code, concat('Material ', toString(material)) AS material_name, concat('office ', toString(material % 10)) AS issuer,
    hex(sipHash64(if(material < 4, person, number), material)) AS document, moment(applied) AS submitted_at, toDate32(moment(applied)) - 400 AS valid_from, toDate32(moment(applied)) + cityHash64(number) % 700 AS valid_until,
    if(cityHash64('method', number) % 10 = 0, 'shared', 'paper') AS method`},
	{"store.ratings", 33, `SELECT ` + recordOf("rating", "c") + ` AS record_id, 'bench' AS source, 'ratings' AS dataset, 'office 0' AS source_department, now64(6) AS received_at, c + 1 AS version,
    number AS case_number, moment(delivered) AS rated_at, toInt64(1 + 4 * pow(` + drawn("score", "c") + `, 3)) AS score, 'window' AS channel`},
	{"store.incidents", 20, `SELECT ` + recordOf("incident", "c") + ` AS record_id, 'bench' AS source, 'incidents' AS dataset, 'office 0' AS source_department, now64(6) AS received_at, c + 1 AS version,
    ` + recordOf("caller", "c") + ` AS person_record, ` + recordOf("person", "person") + ` AS person_id, concat('I', toString(c)) AS incident_number, if(c % 3 = 0, 'grid', 'hotline') AS origin, concat('category ', toString(item % 20)) AS category,
    department, concat('3301270', leftPad(toString(c % 20), 2, '0')) AS division, moment(applied) AS reported_at, if(closed < ends, moment(closed), NULL) AS closed_at, toInt64(` + drawn("reopened", "c") + ` > 0.95) AS reopened, toInt64(1 + c % 5) AS score`},
	{"store.holdings", 10, `SELECT ` + recordOf("holding", "c") + ` AS record_id, 'bench' AS source, ['free', 'granted', 'closed'][1 + c % 3] AS dataset, 'office 1' AS source_department, now64(6) AS received_at, c + 1 AS version,
    ` + recordOf("holder", "c") + ` AS person_record, ` + recordOf("person", "person") + ` AS person_id, concat('material ', toString(c % 4)) AS material_code, 'office 1' AS issuer, hex(sipHash64(person, c % 4)) AS document,
    moment(applied) - toIntervalDay(500) AS issued_at, toDate32(moment(applied)) - 500 AS valid_from, NULL AS valid_until, 'valid' AS status`},
}

// countyIn makes the county, or takes the one that an earlier run left in the directory. It gives the seconds that it took then.
func countyIn(ctx context.Context, c click.Conn, dir string, cases int) (seconds float64, err error) {
	file := filepath.Join(dir, "county-made")
	var made int
	switch text, err := os.ReadFile(file); {
	case err == nil:
		if _, err := fmt.Sscan(string(text), &made, &seconds); err != nil {
			return 0, fmt.Errorf("%s: %w", file, err)
		}
		if made != cases {
			return 0, fmt.Errorf("the county in %s has %d cases, not %d: give another -county", dir, made, cases)
		}
		return seconds, nil
	case !errors.Is(err, fs.ErrNotExist):
		return 0, err
	}
	var there uint64
	if err := c.QueryRow(ctx, "SELECT count() FROM store.cases").Scan(&there); err != nil {
		return 0, err
	}
	if there > 0 {
		return 0, fmt.Errorf("the county in %s was not finished: delete it", dir)
	}
	if seconds, err = makeCounty(ctx, c, cases); err != nil {
		return 0, err
	}
	return seconds, os.WriteFile(file, fmt.Appendln(nil, cases, seconds), 0o600)
}

// makeCounty fills the tables with n cases and what belongs to them, in the order of time. It gives the seconds that it took.
func makeCounty(ctx context.Context, c click.Conn, n int) (float64, error) {
	began := time.Now()
	for first := 0; first < n; first += casesInBlock {
		last := min(first+casesInBlock, n)
		for _, k := range countyKinds {
			if err := c.Exec(ctx, countyInsert(k, n, first, last)); err != nil {
				return 0, fmt.Errorf("make %s: %w", k.table, err)
			}
		}
	}
	for _, sql := range countyRest(n) {
		if err := c.Exec(ctx, sql); err != nil {
			return 0, fmt.Errorf("%.60s: %w", sql, err)
		}
	}
	return time.Since(began).Seconds(), nil
}

// countyInsert brings the rows of cases from first up to and without last.
func countyInsert(k countyKind, n, first, last int) string {
	source, columns := "number AS c", caseColumns(n)
	from, count := first, last-first
	switch k.per {
	case 100:
	case 100 * stepsOfCase, 100 * papersOfCase:
		m := k.per / 100
		source = fmt.Sprintf("number, number %% %[1]d AS j, intDiv(number, %[1]d) AS c", m)
		from, count = first*m, (last-first)*m
		columns = strings.Replace(columns, "concat('P', leftPad(toString(c), 9, '0')) AS number,", "", 1)
	default: // a share of the cases
		m := 100 / k.per
		source = fmt.Sprintf("number * %d AS c", m)
		from, count = (first+m-1)/m, (last+m-1)/m-(first+m-1)/m
	}
	where := ""
	switch k.table {
	case "store.case_steps":
		columns += ",\n    accepted + toUInt32(lasts * j / 10) AS began, toUInt32(lasts * (0.02 + 0.05 * " + drawn("work", "number") + ")) AS worked"
		where = "\nWHERE began < ends"
	case "store.submissions":
		columns += ",\n    if(" + drawn("standing", "number") + " < 0.3, cityHash64('material', number) % 4, 4 + item % 36) AS material"
	case "store.ratings":
		where = "\nWHERE delivered < ends"
	}
	return fmt.Sprintf("INSERT INTO %s (%s)\nWITH%s\n%s\nFROM (SELECT %s FROM numbers(%d, %d))%s", k.table, strings.Join(insertedColumns(k.rows), ", "), columns, k.rows, source, from, count, where)
}

// insertedColumns are the names of what the statement selects.
func insertedColumns(rows string) (names []string) {
	depth, start := 0, len("SELECT ")
	add := func(end int) {
		field := strings.TrimSpace(rows[start:end])
		if i := strings.LastIndex(field, " AS "); i >= 0 {
			field = field[i+len(" AS "):]
		}
		names = append(names, field)
		start = end + 1
	}
	for i, r := range rows {
		switch {
		case r == '(' || r == '[':
			depth++
		case r == ')' || r == ']':
			depth--
		case r == ',' && depth == 0:
			add(i)
		}
	}
	add(len(rows))
	return names
}

// countyRest is what does not come with cases: corrections of one in a hundred, deletions, people who turned out to be one, and what the county's
// programmes yield.
func countyRest(n int) []string {
	again := func(set, where string, offset int) string {
		return fmt.Sprintf("INSERT INTO store.cases SELECT * REPLACE(%s, version + %d AS version) FROM store.cases WHERE %s", set, offset, where)
	}
	return []string{
		again("addMinutes(closed_at, 7) AS closed_at", "version % 100 = 5", n),
		again("toUInt8(1) AS deleted", "version % 1000 = 7", n),
		fmt.Sprintf(`INSERT INTO store.links (record_id, party, kind, previous_id, party_id, effective_at, version)
SELECT person_record, 'person', 'merge', person_id, reinterpretAsUUID(sipHash128('person', 0)), now64(6), %d + version FROM store.cases WHERE cityHash64(person_id) %% 1000 = 1`, 2*n),
		fmt.Sprintf(`INSERT INTO store.department_reports (record_id, source, dataset, version, department, subject, month, reported)
SELECT reinterpretAsUUID(sipHash128('report', number)), 'bench', 'reports', number + 1, concat('office ', toString(number %% %[1]d)), 'cases', addMonths(toDate32('%.10[2]s'), intDiv(number, %[1]d)), %[3]d
FROM numbers(%[1]d * 36)`, countyDepartments, countyBegins, max(n/36/countyDepartments, 1)),
		fmt.Sprintf(`INSERT INTO store.council_decisions (record_id, source, dataset, version, decision, topic, division, department, decided_at, entitled, attended, in_favour, due_on, carried_out_on, published_on)
SELECT reinterpretAsUUID(sipHash128('decision', number)), 'bench', 'decisions', number + 1, toString(number), concat('topic ', toString(number %% 8)), '330127001', concat('office ', toString(number %% %d)),
    toDateTime64('%s', 6, 'UTC') + toIntervalHour(number * 13) AS decided_at, 40, 25 + number %% 15, 20, toDate32(decided_at) + 60, if(number %% 4 = 0, NULL, toDate32(decided_at) + number %% 90), if(number %% 3 = 0, NULL, toDate32(decided_at) + 10)
FROM numbers(2000)`, countyDepartments, countyBegins),
		fmt.Sprintf(`INSERT INTO store.training_participations (record_id, source, dataset, version, training, kind, participant, department, attended_at, satisfaction, points_before, points_after, practised_on)
SELECT reinterpretAsUUID(sipHash128('training', number)), 'bench', 'training', number + 1, concat('T', toString(intDiv(number, 40))), if(number %% 2 = 0, 'course', 'workshop'), toString(cityHash64(number)), concat('office ', toString(number %% %d)),
    toDateTime64('%s', 6, 'UTC') + toIntervalHour(intDiv(number, 40) * 130) AS attended_at, 1 + number %% 4, 40 + number %% 30, 60 + number %% 35, if(number %% 3 = 0, NULL, toDate32(attended_at) + 30)
FROM numbers(8000)`, countyDepartments, countyBegins),
	}
}
