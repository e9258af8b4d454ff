package main

import (
	"fmt"
	"strings"
	"testing"
)

// What waits in quarantine is listed, shown, mended by a change of the contract, sent again, or given up for a reason
// that is kept (I5).
func TestQuarantineRoundTrip(t *testing.T) {
	t.Parallel() // it waits more than it works
	needEngine(t)
	d := newDesk(t)
	d.write("drop/visits-1.csv", deskHeader+
		"A1,"+someNumber+",即办,2026-03-02,2026-03-02\n"+
		"A2,"+someNumber+",加急,2026-03-02,2026-03-03\n"+
		"A3,"+otherNumber+",承诺,2031-03-03,2031-03-04\n"+
		"A4,,承诺,2026-02-30,\n"+
		"A5,,加急,2026-02-31,\n")
	d.shire("load").ok(t)
	type waiting struct {
		Dataset, Unit, Code, Version, State, Owner_en string
		State_reason                                  string
		Row                                           int
		Values                                        map[string]string
	}
	list := func(args ...string) (rows []waiting) {
		t.Helper()
		envelopeOf(t, d.shire(append([]string{"quarantine", "list", "--json"}, args...)...).ok(t), &rows)
		return rows
	}
	said := func(rows []waiting) string {
		var all []string
		for _, r := range rows {
			all = append(all, fmt.Sprint(r.Unit, ":", r.Row, " ", r.Code))
		}
		return strings.Join(all, ", ")
	}
	check := func(what, got, want string) {
		t.Helper()
		if got != want {
			t.Errorf("%s: %s, want %s", what, got, want)
		}
	}
	check("waiting", said(list()), "visits-1.csv:3 unknown_code, visits-1.csv:4 calendar_unpublished, visits-1.csv:5 no_such_date, visits-1.csv:6 unknown_code")
	check("of a reason", said(list("--reason", "unknown_code")), "visits-1.csv:3 unknown_code, visits-1.csv:6 unknown_code")
	check("of an owner", said(list("--owner", "窗口数据员", "--limit", "1")), "visits-1.csv:3 unknown_code")
	check("of nobody", said(list("--owner", "somebody else")), "")

	var shown waiting
	first := list()[0]
	envelopeOf(t, d.shire("quarantine", "show", first.Dataset, first.Version, "--json").ok(t), &shown)
	check("shown", fmt.Sprint(shown.Values), fmt.Sprint(map[string]string{"办件编号": "A2", "证件号码": someNumber, "类型": "加急", "申请日期": "2026-03-02", "办结日期": "2026-03-03"}))
	d.shire("quarantine", "show", "visits", "1").fails(t, exitInput, "no row of dataset visits with version 1 waits")

	// As long as nothing is mended, they come back.
	check("retried", strings.TrimSpace(d.shire("quarantine", "retry").ok(t).Stdout), "4 rows were sent through the flow again, 4 wait still")
	check("loaded", d.cases(), "A1")

	// The contract learns the word. One of its rows has a second fault and waits on, for that reason.
	d.change("contracts/visits.yaml", "承诺: promised}", "承诺: promised, 加急: promised}")
	d.change("contracts/visits.yaml", "version: 1", "version: 2")
	check("retried", strings.TrimSpace(d.shire("quarantine", "retry", "--reason", "unknown_code").ok(t).Stdout), "2 rows were sent through the flow again, 0 wait still")
	check("loaded", d.cases(), "A1 A2")
	check("waiting", said(list()), "visits-1.csv:4 calendar_unpublished, visits-1.csv:5 no_such_date, visits-1.csv:6 no_such_date")
	check("released", said(list("--state", "released")), "visits-1.csv:3 ")

	// What cannot be mended is given up. What was is not undone by a load of the same file.
	d.shire("quarantine", "drop", "--reason", "no_such_date").fails(t, exitInput, "--because")
	const because = "the desk says that these cases were typed by mistake"
	check("dropped", strings.TrimSpace(d.shire("quarantine", "drop", "--reason", "no_such_date", "--because", because).ok(t).Stdout), "2 rows were dropped")
	check("waiting", said(list()), "visits-1.csv:4 calendar_unpublished")
	for _, r := range list("--state", "dropped") {
		check("reason", r.State_reason, because)
	}
	rows := query(t, d.data, "SELECT state, any(state_reason), count() FROM ops.quarantine GROUP BY state ORDER BY state")
	check("all", fmt.Sprint(rows), fmt.Sprintf("[[dropped %s 2] [released the contract accepts it now 1] [waiting  1]]", because))
	check("retried", strings.TrimSpace(d.shire("quarantine", "retry", "--reason", "no_such_date").ok(t).Stdout), "nothing that waits fits")
	d.shire("load").ok(t)
	check("waiting", said(list()), "visits-1.csv:4 calendar_unpublished")
	check("loaded", d.cases(), "A1 A2")
}
