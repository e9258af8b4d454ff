package main

import (
	"fmt"
	"testing"
)

// A county that counts half days by a calendar of three layers: what is asked of it in a year that is not published is refused with
// what to add and where, and once that is done it is told.
func TestClocks(t *testing.T) {
	t.Parallel()
	needEngine(t)
	d := newDesk(t)
	d.change("county.yaml", "contracts: contracts", "contracts: contracts\ncalendars: calendars\nclocks: {unit: half_day, noon: \"12:30\"}")
	d.change("contracts/visits.yaml", "type: date", "type: timestamp")
	d.change("contracts/visits.yaml", "checks:\n  - {name: published_calendar, working_calendar: [applied, closed]}\n", "")
	off := "name: %s\nyear: %d\npublished: %[2]d-01-02\nsource: 通知\nholidays:\n  - {zh: 假, en: Off, from: %s, to: %[3]s}\n"
	d.write("calendars/province/2026.yaml", fmt.Sprintf(off, "省", 2026, "2026-04-20"))
	d.write("calendars/2026.yaml", fmt.Sprintf(off, "县", 2026, "2026-04-21"))
	d.write("drop/visits-1.csv", deskHeader+
		"A1,"+someNumber+",即办,2026-04-17 12:29,2026-04-17 12:30\n"+ // a Friday, from its morning to its afternoon
		"A2,"+someNumber+",承诺,2026-04-17 12:30,2026-04-22 09:00\n"+ // the next working day, its morning
		"A3,"+someNumber+",承诺,2026-12-31 15:00,2027-01-04 15:00\n")
	d.shire("load").ok(t)
	legal := func(want string) {
		t.Helper()
		if got := fmt.Sprint(query(t, d.data, "SELECT case_number, ifNull(toString(legal_days), clock_problem) FROM mart.cases ORDER BY 1")); got != want {
			t.Errorf("legal days %s, want %s", got, want)
		}
	}
	legal("[[A1 0.5] [A2 0.5] [A3 calendar_missing]]")
	d.shire("sql", "SELECT * FROM metrics.legal_time").fails(t, exitInput, "put its file, such as 2027.yaml, into the folder national of the county's calendars")
	d.write("calendars/national/2027.yaml", fmt.Sprintf(off, "国", 2027, "2027-01-01"))
	d.shire("load").ok(t)
	legal("[[A1 0.5] [A2 0.5] [A3 1]]")
	d.shire("sql", "SELECT * FROM metrics.legal_time").ok(t)
}
