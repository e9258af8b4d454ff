package main

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/shirecounty/shire/schemas/calendar"
	"github.com/shirecounty/shire/schemas/calendar/clock"
)

// truthOfLegalTime: every case has the legal time that the clock counts from its true times and stops, and no end of a step that
// was not recorded passes for known.
func (d *demoNode) truthOfLegalTime(t *testing.T) {
	cal, err := calendar.Load(calendar.National())
	if err != nil {
		t.Fatal(err)
	}
	shanghai, err := time.LoadLocation("Asia/Shanghai")
	if err != nil {
		t.Fatal(err)
	}
	at := func(s string) (m time.Time) {
		if s == "" {
			return m
		}
		if m, err = time.ParseInLocation(time.DateTime, s, shanghai); err != nil {
			t.Fatal(err)
		}
		return m
	}
	present := d.answer(t, "SELECT "+local("at")+" FROM mart.as_of")
	asOf := at(present.of(t, present.rows[0], "at")[0])

	steps, unrecorded := map[string][]clock.Step{}, map[string]bool{}
	truly := d.truthOf(t, "steps")
	for _, row := range truly.rows {
		f := truly.of(t, row, "case_number", "kind", "started_at", "ended_at", "step", "end_recorded")
		steps[f[0]] = append(steps[f[0]], clock.Step{Kind: f[1], Started: at(f[2]), Ended: at(f[3])})
		unrecorded[f[0]+"/"+f[1]+"/"+f[4]] = f[3] == "" || f[5] == "false"
	}
	by, stopped := clock.New(cal, shanghai, clock.Rules{}), 0
	want := counted{}
	var lives []life
	taken, limits := 0., 0
	hall, handed := d.handedOver(t, "cases", "办件编号")
	cases := d.truthOf(t, "cases")
	for _, row := range cases.rows {
		f := cases.of(t, row, "case_number", "accepted_at", "closed_at")
		legal := ""
		if f[1] != "" {
			l, err := by.Legal(clock.Case{Accepted: at(f[1]), Closed: at(f[2]), Steps: steps[f[0]]}, asOf)
			if err != nil {
				t.Fatalf("case %s: %v", f[0], err)
			}
			if l.Stopped > 0 {
				stopped++
			}
			legal = fmt.Sprint(l.Days)
			lives = append(lives, life{l.Days, f[2] != ""})
			limit, err := strconv.Atoi(hall.of(t, handed[f[0]], "法定时限")[0])
			if err != nil {
				t.Fatal(err)
			}
			if f[2] != "" {
				taken, limits = taken+l.Days, limits+limit
			}
		}
		want.add(f[0], legal, "")
	}
	sameRecords(t, "legal time", want, collect(t, d.answer(t, "SELECT case_number, ifNull(toString(legal_days), '') AS legal_days, clock_problem FROM mart.cases"),
		1, "case_number", "legal_days", "clock_problem"))
	d.time(t, "legal_time", lives)
	d.sums(t, "actual_of_statutory", taken, float64(limits))
	d.oneMinus(t, "actual_compression", taken/float64(limits))
	if stopped == 0 {
		t.Error("no stop takes a working day out of any case: the comparison shows little")
	}

	filled := 0
	known := d.answer(t, "SELECT case_number, kind, step, toString(end_known) AS end_known, toString(ended_at = started_at) AS zero FROM mart.case_steps")
	for _, row := range known.rows {
		f := known.of(t, row, "case_number", "kind", "step", "end_known", "zero")
		switch unknown := unrecorded[f[0]+"/"+f[1]+"/"+f[2]]; {
		case unknown && f[3] == "1":
			t.Errorf("%s %s of case %s: its end was never recorded and passes for known", f[1], f[2], f[0])
		case !unknown && f[3] == "0" && f[4] != "1":
			t.Errorf("%s %s of case %s: its end was recorded and passes for unknown", f[1], f[2], f[0])
		case unknown && f[4] == "1":
			filled++
		}
	}
	if filled == 0 {
		t.Error("no end is filled with its start: the comparison shows little")
	}
}
