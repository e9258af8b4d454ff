package sharing_test

import (
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/shirecounty/shire/schemas/sharing"
)

// Each way in which terms can be no terms, or more than what was asked for. Approving is judged by both.
func TestTermsThatAreTooMuchOrNone(t *testing.T) {
	w := world(t)
	for name, test := range map[string]struct {
		code  string
		spoil func(*sharing.Terms)
	}{
		"no dataset":        {"bad_terms", func(t *sharing.Terms) { t.Dataset = "" }},
		"no field":          {"bad_terms", func(t *sharing.Terms) { t.Fields = nil }},
		"no purpose":        {"bad_terms", func(t *sharing.Terms) { t.Purpose = "" }},
		"no item":           {"bad_terms", func(t *sharing.Terms) { t.Items = nil }},
		"an empty item":     {"bad_terms", func(t *sharing.Terms) { t.Items = append(t.Items, "") }},
		"an empty division": {"bad_terms", func(t *sharing.Terms) { t.Rows.Divisions = append(t.Rows.Divisions, "") }},
		"no time":           {"bad_terms", func(t *sharing.Terms) { t.Until = t.From }},
		"for ever":          {"bad_terms", func(t *sharing.Terms) { t.Until = t.From.AddDate(4, 0, 0) }},
		"an unknown mask":   {"bad_terms", func(t *sharing.Terms) { t.Fields["status"] = "all" }},
		"another dataset":   {"too_much", func(t *sharing.Terms) { t.Dataset = "others" }},
		"another field":     {"too_much", func(t *sharing.Terms) { t.Fields["number"] = sharing.Exists }},
		"more of a field":   {"too_much", func(t *sharing.Terms) { t.Fields["name"] = sharing.Full }},
		"another purpose":   {"too_much", func(t *sharing.Terms) { t.Purpose = "review" }},
		"another item":      {"too_much", func(t *sharing.Terms) { t.Items = []string{"ITEM-2", "ITEM-3"} }},
		"everywhere":        {"too_much", func(t *sharing.Terms) { t.Rows.Divisions = nil }},
		"another region":    {"too_much", func(t *sharing.Terms) { t.Rows.Divisions = []string{"331099001", "44"} }},
		"the region around": {"too_much", func(t *sharing.Terms) { t.Rows.Divisions = []string{"33"} }},
		"others' cases":     {"too_much", func(t *sharing.Terms) { t.Rows.Own = false }},
		"earlier":           {"too_much", func(t *sharing.Terms) { t.From = t.From.Add(-time.Second) }},
		"later":             {"too_much", func(t *sharing.Terms) { t.Until = t.Until.Add(time.Second) }},
		"all as asked":      {"", func(*sharing.Terms) {}},
		"less of each": {"", func(t *sharing.Terms) {
			*t = sharing.Terms{Dataset: t.Dataset, Fields: map[string]sharing.Mask{"name": sharing.Exists}, Purpose: t.Purpose, Items: []string{"ITEM-2"},
				Rows: sharing.Rows{Divisions: []string{"331099001", "331099002"}, Own: true}, From: t.From.Add(time.Second), Until: t.Until.Add(-time.Second)}
		}},
	} {
		asked := terms()
		asked.Rows.Own = true
		e := submit()
		e.Terms = asked
		r := do(t, w, nil, e)
		granted := terms()
		granted.Rows.Own = true
		test.spoil(granted)
		approved, err := w.Accept(r, sharing.Event{Request: r.ID, Act: sharing.Approve, At: begin, Department: "social_security", Terms: granted})
		if got := code(err); got != test.code {
			t.Errorf("%s is approved: %q, want %q", name, got, test.code)
		}
		if err == nil && !reflect.DeepEqual(sharing.Fold(r, approved).Terms, *granted) {
			t.Errorf("%s: what is in force is not what was granted", name)
		}
		if test.code != "bad_terms" {
			continue
		}
		e.Terms = granted
		if _, err := w.Accept(nil, e); code(err) != test.code {
			t.Errorf("%s is asked for: %v", name, err)
		}
	}
}

// code is that of a refusal; "" for none.
func code(err error) string {
	var no *sharing.Refusal
	if errors.As(err, &no) {
		return no.Code
	}
	return ""
}

func TestRows(t *testing.T) {
	for name, test := range map[string]struct {
		rows                  sharing.Rows
		division, of, reading string
		want                  bool
	}{
		"all":                         {sharing.Rows{}, "", "", "a", true},
		"within the region":           {sharing.Rows{Divisions: []string{"44", "331099"}}, "331099001", "a", "a", true},
		"the region itself":           {sharing.Rows{Divisions: []string{"331099"}}, "331099", "a", "a", true},
		"around the region":           {sharing.Rows{Divisions: []string{"331099001"}}, "331099", "a", "a", false},
		"another region":              {sharing.Rows{Divisions: []string{"331099"}}, "331098001", "a", "a", false},
		"nobody knows where":          {sharing.Rows{Divisions: []string{"331099"}}, "", "a", "a", false},
		"own case":                    {sharing.Rows{Own: true}, "", "a", "a", true},
		"another department's case":   {sharing.Rows{Own: true}, "", "b", "a", false},
		"no case":                     {sharing.Rows{Own: true}, "", "", "a", false},
		"own case, in another region": {sharing.Rows{Own: true, Divisions: []string{"331099"}}, "44", "a", "a", false},
	} {
		if got := test.rows.Match(test.division, test.of, test.reading); got != test.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}
