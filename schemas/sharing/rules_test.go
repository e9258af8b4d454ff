package sharing_test

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/shirecounty/shire/schemas/calendar"
	"github.com/shirecounty/shire/schemas/sharing"
)

func layer(text string) fstest.MapFS {
	return fstest.MapFS{"rules.yaml": {Data: []byte(text)}}
}

const province = `jurisdiction: {zh: 省, en: Province}
versions:
  - {in_force: 2026-01-01, source: 省办法, reply_conditional: 5}
  - {in_force: 2026-06-01, source: 省办法修订, reply_conditional: 3, correction: 4}
`

func TestDeadlines(t *testing.T) {
	days, err := calendar.Load(calendar.National())
	if err != nil {
		t.Fatal(err)
	}
	rules, err := sharing.LoadRules(sharing.National(), layer(province))
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		limit    sharing.Limit
		from     string
		due, who string
	}{
		{sharing.ReplyConditional, "2025-12-26", "2026-01-12", "People's Republic of China"}, // 1 and 2 January are off, the 4th is made up for
		{sharing.ReplyConditional, "2026-01-05", "2026-01-12", "Province"},
		{sharing.ReplyConditional, "2026-06-01", "2026-06-04", "Province"},
		{sharing.Correction, "2026-05-29", "2026-06-12", "People's Republic of China"},
		{sharing.Correction, "2026-06-01", "2026-06-05", "Province"},
		{sharing.ReplyUnconditional, "2026-09-30", "2026-10-08", "People's Republic of China"},
	} {
		from, _ := calendar.ParseDate(test.from)
		d, err := rules.Due(test.limit, from, days)
		if err != nil || d.Due.String() != test.due || d.Jurisdiction.En != test.who {
			t.Errorf("%s from %s: due %s by %s, %v; want %s by %s", test.limit, test.from, d.Due, d.Jurisdiction.En, err, test.due, test.who)
		}
	}
	before, _ := calendar.ParseDate("2025-01-06")
	if _, err := rules.Due(sharing.Delivery, before, days); err == nil {
		t.Error("a deadline from before there were rules")
	}
	late, _ := calendar.ParseDate("2026-12-30")
	if _, err := rules.Due(sharing.Delivery, late, days); err == nil || !strings.Contains(err.Error(), "2027") {
		t.Errorf("a deadline in a year that is not published: %v", err)
	}
}

func TestWrongRulesAreRefused(t *testing.T) {
	for _, test := range []struct{ from, to, want string }{
		{"reply_conditional: 5", "reply_conditional: 11", "may be tightened, not loosened"},
		{"reply_conditional: 5", "reply_conditional: 0", "at least one working day"},
		{"2026-06-01", "2025-12-01", "put the older one first"},
		{"2026-06-01", "June", "write the day as"},
		{", source: 省办法,", ",", "needs its source"},
		{"reply_conditional: 5", "reply: 5", "reply"},
		{"zh: 省, ", "", "both languages"},
	} {
		text := strings.Replace(province, test.from, test.to, 1)
		if text == province {
			t.Fatalf("%q is not in the text", test.from)
		}
		_, err := sharing.LoadRules(sharing.National(), layer(text))
		if err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), "rules.yaml:") {
			t.Errorf("%s: %v; want %q with file and line", test.to, err, test.want)
		}
	}
}
