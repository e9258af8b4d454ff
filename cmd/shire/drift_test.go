package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/shirecounty/shire/portal"
)

// A department renames a column, adds one, and drops one: what the county sees of it, and how it goes on.
func TestDrift(t *testing.T) {
	t.Parallel() // it waits more than it works
	needEngine(t)
	d := newDesk(t)
	drift := func() string {
		t.Helper()
		var st portal.Status
		envelopeOf(t, d.shire("status", "--json").ok(t), &st)
		var all []string
		for _, x := range st.Drift {
			all = append(all, fmt.Sprint(x.Source, "/", x.Dataset, " ", x.Column, " ", x.Code, " ", x.Reaction))
		}
		return strings.Join(all, ", ")
	}
	check := func(what, got, want string) {
		t.Helper()
		if got != want {
			t.Errorf("%s: %q, want %q", what, got, want)
		}
	}
	d.write("drop/visits-1.csv", deskHeader+"A1,"+someNumber+",即办,2026-03-02,2026-03-02\n")
	d.shire("load").ok(t)
	check("at first", drift(), "")

	// A column more goes on, and is shown.
	d.write("drop/visits-2.csv", "办件编号,证件号码,类型,申请日期,办结日期,备注\nA2,"+someNumber+",即办,2026-03-02,2026-03-02,x\n")
	d.shire("load").ok(t)
	check("a new column", drift(), "desk/visits 备注 drift_new_column evolve")
	if out := d.shire("status").ok(t).Stdout; !strings.Contains(out, "drift of visits") || !strings.Contains(out, "备注") {
		t.Errorf("shire status says %s", out)
	}

	// A column that a field needs is gone: the rows wait, and what is there stays as it is.
	d.write("drop/visits-3.csv", "办件编号,证件号码,类型,申请日期,完成日期\nA1,"+someNumber+",即办,2026-03-02,2026-03-03\n")
	d.shire("load").ok(t)
	check("loaded", fmt.Sprint(query(t, d.data, "SELECT case_number, toString(toDate(closed_at, 'Asia/Shanghai')) FROM mart.cases ORDER BY 1")), "[[A1 2026-03-02] [A2 2026-03-02]]")
	if got := drift(); !strings.Contains(got, "办结日期 drift_lost_column quarantine") || !strings.Contains(got, "完成日期 drift_new_column evolve") {
		t.Errorf("a renamed column: %s", got)
	}
	check("retried", strings.TrimSpace(d.shire("quarantine", "retry", "--reason", "drift_lost_column").ok(t).Stdout), "1 rows were sent through the flow again, 1 wait still")
	d.change("contracts/visits.yaml", "headers: [办结日期]", "headers: [办结日期, 完成日期]")
	d.change("contracts/visits.yaml", "version: 1", "version: 2\ndrift: {new_columns: freeze}")
	check("retried", strings.TrimSpace(d.shire("quarantine", "retry", "--reason", "drift_lost_column").ok(t).Stdout), "1 rows were sent through the flow again, 0 wait still")
	check("loaded", fmt.Sprint(query(t, d.data, "SELECT case_number, toString(toDate(closed_at, 'Asia/Shanghai')) FROM mart.cases ORDER BY 1")), "[[A1 2026-03-03] [A2 2026-03-02]]")

	// From now on a new column stops the source before its first row; what comes before it is read.
	d.write("drop/visits-4.csv", "办件编号,证件号码,类型,申请日期,完成日期\nA4,"+someNumber+",即办,2026-03-02,\n")
	d.write("drop/visits-5.csv", "办件编号,证件号码,类型,申请日期,完成日期,电话\nA5,"+someNumber+",即办,2026-03-02,,1\n")
	d.shire("load").fails(t, exitFailed, `the column "电话" is new`)
	check("frozen", drift(), "desk/visits 电话 drift_new_column freeze")
	d.change("contracts/visits.yaml", "{new_columns: freeze}", "{new_columns: freeze, accepted: [电话]}")
	d.change("contracts/visits.yaml", "version: 2", "version: 3")
	d.shire("load").ok(t)
	check("mended", drift(), "")
	check("loaded", d.cases(), "A1 A2 A4 A5")
}
