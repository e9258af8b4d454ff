package portal

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/shirecounty/shire/schemas/metrics"
)

func TestEvents(t *testing.T) {
	const base = "/api/v1/metrics/citizen_time/events"
	for _, c := range []struct {
		target string
		rows   int
		more   bool
	}{
		{base, 50, true},
		{base + "?limit=200", 130, false},
		{base + "?skip=100&limit=50&department=health&part=counted", 30, false},
		{base + "?skip=9990&limit=10", 0, false},
		{"/api/v1/metrics/promised_compression/events?from=2026-07&to=2026-09&known=2026-10-01", 50, true},
	} {
		r := newWorld(t).get(c.target)
		e := decode[metrics.Events](t, r)
		if r.Code != http.StatusOK || len(e.Rows) != c.rows || e.More != c.more || e.From == "" || len(e.Columns) == 0 {
			t.Errorf("%s: %d, %d rows, %+v", c.target, r.Code, len(e.Rows), e.Columns)
		}
	}
}

func TestEventsProblems(t *testing.T) {
	const base = "/api/v1/metrics/citizen_time/events"
	const secret = "11010519491231002X" // I7: what was written by mistake is not repeated
	for target, want := range map[string]struct {
		status int
		code   string
	}{
		"/api/v1/metrics/citizen_tim/events": {404, codeUnknownMetric},
		base + "?part=half":                  {400, codeBadParameter},
		base + "?part=":                      {400, codeBadParameter},
		base + "?skip=-1":                    {400, codeBadParameter},
		base + "?limit=201":                  {400, codeBadParameter},
		base + "?limit=50&skip=9960":         {400, codeBadParameter},
		base + "?by=month":                   {400, codeBadParameter},
		base + "?compare=year":               {400, codeBadParameter},
		base + "?department=" + secret:       {400, codeBadParameter},
		base + "?" + secret + "=1":           {400, codeBadParameter},
		base + "?limit=" + secret:            {400, codeBadParameter},
		base + "?from=2026-09&to=2026-07":    {400, codeBadParameter},
		base + "?limit=1&limit=2":            {400, codeBadParameter},
	} {
		r := newWorld(t).get(target)
		if p := decode[Problem](t, r); r.Code != want.status || p.Code != want.code || strings.Contains(r.Body.String(), secret) {
			t.Errorf("%s: %d %s", target, r.Code, r.Body)
		}
	}
	w := newWorld(t)
	w.figures.err = errors.New("the row of " + secret)
	if r := w.get(base); r.Code != http.StatusServiceUnavailable || strings.Contains(r.Body.String(), secret) {
		t.Errorf("a fault: %d %s", r.Code, r.Body)
	}
	w = newWorld(t)
	w.figures.refuse = &metrics.InputError{Message: secret}
	if r := w.get("/api/v1/metrics/legal_time/events"); r.Code != http.StatusUnprocessableEntity || strings.Contains(r.Body.String(), secret) {
		t.Errorf("a refusal: %d %s", r.Code, r.Body)
	}
}
