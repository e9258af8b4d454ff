package clickhouse_test

import (
	"strings"
	"testing"

	"github.com/shirecounty/shire/schemas/clickhouse"
)

// I7: what the users may and may not do, on the real engine.
func TestAccess(t *testing.T) {
	c := ready(t)
	exec(t, c, "INSERT INTO audit.accesses (sequence, reason) VALUES (1, 'for the analyst to read')")
	defer exec(t, c, "TRUNCATE TABLE audit.accesses")
	tests := []struct {
		user, query string
		denied      bool
	}{
		{clickhouse.Analyst, "SELECT count() FROM mart.cases", false},
		{clickhouse.Analyst, "SELECT * FROM mart.persons", false},
		{clickhouse.Analyst, "SELECT * FROM mart.submissions", false},
		{clickhouse.Analyst, "SELECT * FROM metrics.citizen_time", false},
		{clickhouse.Analyst, "SELECT * FROM ops.quarantine", false},
		{clickhouse.Analyst, "SELECT * FROM audit.accesses", false},
		{clickhouse.Analyst, "SELECT comment FROM system.columns WHERE database = 'mart'", false},
		{clickhouse.Analyst, "SELECT count() FROM mart.cases SETTINGS max_execution_time = 5", false},
		{clickhouse.Analyst, "SELECT count() FROM mart.cases SETTINGS max_execution_time = 500", true},
		{clickhouse.Analyst, "SELECT count() FROM restricted.person_records", true},
		{clickhouse.Analyst, "SELECT count() FROM store.cases", true},
		{clickhouse.Analyst, "SELECT count() FROM system.query_log", true},
		{clickhouse.Analyst, "SELECT count() FROM system.processes", true},
		{clickhouse.Analyst, "SELECT count() FROM system.text_log", true},
		{clickhouse.Analyst, "INSERT INTO audit.accesses (sequence) VALUES (2)", true},
		{clickhouse.Analyst, "DROP VIEW mart.cases", true},
		{clickhouse.Analyst, "CREATE VIEW mart.mine AS SELECT 1", true},
		{clickhouse.Analyst, "SELECT * FROM file('/etc/passwd', LineAsString)", true},
		{clickhouse.Analyst, "SELECT * FROM url('http://127.0.0.1:1/', LineAsString)", true},
		{clickhouse.Jobs, "SELECT count() FROM mart.cases", false},
		{clickhouse.Jobs, "SELECT * FROM metrics.citizen_time", false},
		{clickhouse.Jobs, "SELECT count() FROM restricted.person_records", true},
		{clickhouse.Jobs, "SELECT count() FROM store.cases", true},
		{clickhouse.Jobs, "INSERT INTO audit.accesses (sequence) VALUES (2)", true},
		{clickhouse.Jobs, "CREATE DATABASE IF NOT EXISTS own", false},
		{clickhouse.Jobs, "CREATE OR REPLACE TABLE own.cases ENGINE = MergeTree ORDER BY tuple() AS SELECT count() AS n FROM mart.cases", false},
		{clickhouse.Analyst, "SELECT n FROM own.cases", false},
		{clickhouse.Analyst, "TRUNCATE TABLE own.cases", true},
		{clickhouse.Jobs, "CREATE OR REPLACE VIEW own.held AS SELECT * FROM restricted.person_records", true},
		{clickhouse.Sharing, "SELECT count() FROM restricted.person_records", false},
		{clickhouse.Sharing, "SELECT count() FROM mart.cases", false},
		{clickhouse.Sharing, "SELECT count() FROM audit.accesses", false},
		{clickhouse.Sharing, "INSERT INTO restricted.person_records (record_id) VALUES (generateUUIDv4())", true},
		{clickhouse.Sharing, "TRUNCATE TABLE audit.accesses", true},
		{clickhouse.Sharing, "ALTER TABLE audit.accesses DELETE WHERE 1", true},
		{clickhouse.Sharing, "SELECT count() FROM store.cases", true},
		{clickhouse.Loader, "SELECT count() FROM restricted.person_records", false},
	}
	for _, test := range tests {
		err := as(t, test.user).Exec(t.Context(), test.query)
		if denied := err != nil; denied != test.denied {
			t.Errorf("%s: %s\ngot %v, want denied %v", test.user, test.query, err, test.denied)
		}
	}
	same(t, read(t, as(t, clickhouse.Analyst), "name", "FROM system.databases WHERE name IN ('store', 'restricted') ORDER BY name"))
}

// A view runs with the loader's rights, but within the reader's bounds.
func TestViewsKeepTheReadersBounds(t *testing.T) {
	ready(t)
	err := as(t, clickhouse.Analyst).Exec(t.Context(), "SELECT * FROM mart.calendar SETTINGS max_result_rows = 10")
	if err == nil {
		t.Error("the reader's bound on the result did not hold")
	}
	err = as(t, clickhouse.Analyst).Exec(t.Context(), `SELECT sum(sipHash64(a.date, b.date, c.date, d.date))
		FROM mart.calendar AS a CROSS JOIN mart.calendar AS b CROSS JOIN mart.calendar AS c CROSS JOIN mart.calendar AS d SETTINGS max_execution_time = 1`)
	if err == nil {
		t.Error("the reader's bound on time did not hold")
	}
}

func TestAccessSQL(t *testing.T) {
	if _, err := clickhouse.AccessSQL(nil); err == nil || !strings.Contains(err.Error(), clickhouse.Loader) {
		t.Errorf("without passwords: got %v", err)
	}
	passwords := map[string]string{}
	for _, u := range clickhouse.Access() {
		passwords[u.Name] = `it's \ secret`
	}
	statements, err := clickhouse.AccessSQL(passwords)
	if err != nil {
		t.Fatal(err)
	}
	all := strings.Join(statements, "\n")
	for _, want := range []string{
		`IDENTIFIED WITH sha256_password BY 'it\'s \\ secret'`,
		"GRANT SELECT ON mart.* TO shire_analyst",
		"max_execution_time = '60' MAX '60' CHANGEABLE_IN_READONLY",
		"readonly = 1",
	} {
		if !strings.Contains(all, want) {
			t.Errorf("%q is missing in\n%s", want, all)
		}
	}
}
