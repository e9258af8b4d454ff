package clickhouse_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	conn "github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/shirecounty/shire/schemas/calendar"
	"github.com/shirecounty/shire/schemas/calendar/clock"
	"github.com/shirecounty/shire/schemas/calendar/clock/clocktest"
	"github.com/shirecounty/shire/schemas/clickhouse"
)

var halfDays = clock.Rules{HalfDays: true, Noon: 12 * time.Hour}

// count writes the views anew for a county that counts by the rules; the dataset "filled" fills missing ends.
func count(t *testing.T, c conn.Conn, where *time.Location, rules clock.Rules) {
	t.Helper()
	views := clickhouse.Views{Zone: where.String(), Definer: clickhouse.Loader, Clock: rules, EndsFilled: []string{"filled", "it's another"}}
	if err := views.Apply(t.Context(), c); err != nil {
		t.Fatal(err)
	}
}

// none is NULL for a time that is not known.
func none(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// write loads the cases, numbered from 0.
func write(t *testing.T, c conn.Conn, cases []clock.Case) {
	t.Helper()
	rows, err := c.PrepareBatch(t.Context(), "INSERT INTO store.cases (record_id, dataset, version, case_number, accepted_at, closed_at)")
	if err != nil {
		t.Fatal(err)
	}
	steps, err := c.PrepareBatch(t.Context(), "INSERT INTO store.case_steps (record_id, dataset, version, case_number, kind, activity, started_at, ended_at)")
	if err != nil {
		t.Fatal(err)
	}
	for i, k := range cases {
		number := fmt.Sprint(i)
		if err := rows.Append(id(number), "d", uint64(1), number, none(k.Accepted), none(k.Closed)); err != nil {
			t.Fatal(err)
		}
		for j, s := range k.Steps {
			dataset := "d"
			if s.EndsFilled {
				dataset = "filled"
			}
			if err := steps.Append(id(fmt.Sprint(i, " ", j)), dataset, uint64(1), number, s.Kind, "a", none(s.Started), none(s.Ended)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := errors.Join(rows.Send(), steps.Send()); err != nil {
		t.Fatal(err)
	}
}

// told is what mart.cases says of the legal time of a case.
type told struct {
	number                           uint32
	legal, stopped                   *float64
	problem                          string
	year                             *uint16
	missing                          uint8
	unended, zero, unusable          uint64
	supplements, specials, reopening uint64
}

// wanted is the same by the clock.
func wanted(i int, k clock.Case, c *clock.Clock, asOf time.Time) told {
	l, err := c.Legal(k, asOf)
	w := told{number: uint32(i), unended: uint64(l.Unended), zero: uint64(l.Zero), unusable: uint64(l.Unusable)}
	for _, s := range k.Steps {
		switch s.Kind {
		case clock.Supplement:
			w.supplements++
		case clock.Special:
			w.specials++
		case clock.Reopened:
			w.reopening++
		}
	}
	var unpublished *calendar.UnpublishedError
	switch {
	case errors.As(err, &unpublished):
		year := uint16(unpublished.Year)
		w.problem, w.year, w.missing = "calendar_missing", &year, 1
	case errors.Is(err, clock.ErrClosedBeforeAccepted):
		w.problem = "closed_before_accepted"
	case errors.Is(err, clock.ErrReopenedAfterClosed):
		w.problem = "reopened_after_closed"
	case err == nil:
		w.legal, w.stopped = &l.Days, &l.Stopped
	}
	return w
}

func (r told) String() string {
	return fmt.Sprintf("case %d: %s legal, %s stopped, problem %q, year %s, missing %d, stops %d unended, %d zero, %d unusable, steps %d, %d, %d",
		r.number, or(r.legal), or(r.stopped), r.problem, or(r.year), r.missing, r.unended, r.zero, r.unusable, r.supplements, r.specials, r.reopening)
}

func or[T any](v *T) string {
	if v == nil {
		return "~"
	}
	return fmt.Sprint(*v)
}

// What the view alone can get wrong, by hand; clock_test.go has the rest, and below the two are compared.
func TestLegalTimeByHand(t *testing.T) {
	c := ready(t)
	at := func(number, accepted string, closed any) row {
		r := row{"record": number, "case_number": number, "department": "hall", "applied_at": local("2026-02-12 09:00"), "accepted_at": local(accepted)}
		if closed != nil {
			r["closed_at"] = local(closed.(string))
		}
		return r
	}
	insert(t, c, "store.cases",
		at("a morning to afternoon", "2026-02-13 09:00", "2026-02-13 15:00"),
		at("b make-up Saturday", "2026-02-13 10:00", "2026-02-14 17:00"),
		at("c filled", "2026-02-13 10:00", "2026-02-25 10:00"),
		at("d reopened", "2026-02-13 10:00", "2026-02-25 10:00"),
		at("e stale closing", "2026-02-13 10:00", "2026-02-25 10:00"),
		at("f reversed", "2026-02-25 10:00", "2026-02-24 10:00"),
		at("g needs 2027", "2026-12-30 10:00", "2027-01-04 10:00"),
		at("h day of 2027", "2027-03-01 10:00", "2027-03-01 10:00"),
		at("i open", "2026-12-25 10:00", nil),
		at("j far off", "2029-12-31 15:00", "2030-01-04 10:00"), // needs nothing of 2029
	)
	step := func(number, dataset, kind, from, to string) row {
		return row{"record": number + from, "dataset": dataset, "case_number": number, "kind": kind, "activity": "a", "started_at": local(from), "ended_at": local(to)}
	}
	insert(t, c, "store.case_steps",
		step("a morning to afternoon", "d", "supplement", "2026-02-13 10:00", "2026-02-13 10:00"),
		step("c filled", "filled", "supplement", "2026-02-14 09:00", "2026-02-14 09:00"),
		step("c filled", "filled", "", "2026-02-24 09:00", "2026-02-24 09:00"),
		step("d reopened", "d", "reopened", "2026-02-14 09:00", "2026-02-24 09:00"),
		step("e stale closing", "d", "reopened", "2026-02-25 10:00", "2026-02-26 09:00"),
		step("i open", "d", "special", "2026-12-26 09:00", "2027-03-20 09:00"), // to come
	)
	shanghai, err := time.LoadLocation(zone)
	if err != nil {
		t.Fatal(err)
	}
	days := map[bool][]string{}
	for _, rules := range []clock.Rules{{}, halfDays} {
		count(t, c, shanghai, rules)
		days[rules.HalfDays] = read(t, c, "case_number; '='; legal_days; stopped_days", "FROM mart.cases ORDER BY case_number")
	}
	same(t, days[false], "a morning to afternoon = 0 0", "b make-up Saturday = 1 0", "c filled = 2 1", "d reopened = 2 1",
		"e stale closing = ~ ~", "f reversed = ~ ~", "g needs 2027 = ~ ~", "h day of 2027 = 0 0", "i open = ~ ~", "j far off = ~ ~")
	same(t, days[true], "a morning to afternoon = 0.5 0", "b make-up Saturday = 1.5 0", "c filled = 2 1", "d reopened = 2 1",
		"e stale closing = ~ ~", "f reversed = ~ ~", "g needs 2027 = ~ ~", "h day of 2027 = 0 0", "i open = ~ ~", "j far off = ~ ~")
	same(t, read(t, c, "substring(case_number, 1, 1); clock_problem; calendar_missing; calendar_year", "FROM mart.cases WHERE clock_problem != '' ORDER BY case_number"),
		"e reopened_after_closed 0 ~", "f closed_before_accepted 0 ~", "g calendar_missing 1 2027", "i calendar_missing 1 2027", "j calendar_missing 1 2030")
	same(t, read(t, c, "substring(case_number, 1, 1); supplements; special_procedures; reopened; stops_unended; stops_zero; stops_unusable",
		"FROM mart.cases WHERE supplements + special_procedures + reopened > 0 ORDER BY case_number"),
		"a 1 0 0 0 1 0", "c 1 0 0 1 0 0", "d 0 0 1 0 0 0", "e 0 0 1 0 0 0", "i 0 1 0 0 0 0")
	same(t, read(t, c, "substring(case_number, 1, 1); kind; stops; end_known", "FROM mart.case_steps ORDER BY case_number, started_at"),
		"a supplement 1 1", "c supplement 1 0", "c step 0 0", "d reopened 1 1", "e reopened 1 1", "i special 1 1")
	_, err = survival(t, as(t, clickhouse.Analyst), "legal_time", zone, months("2026-02", "2026-02"))
	if err == nil || !strings.Contains(err.Error(), "put its file, such as 2027.yaml, into the folder national of the county's calendars") {
		t.Errorf("cases that need 2027: got %v, want what is to be added and where", err)
	}
}

// The view and the clock, which agrees with a walk over the days, say the same of 100,000 random cases under each of the rules.
func TestLegalTimeAgreesWithTheClock(t *testing.T) {
	c := ready(t)
	cal, err := calendar.Load(calendar.National())
	if err != nil {
		t.Fatal(err)
	}
	day := func(year int, month time.Month, day int) time.Time {
		return time.Date(year, month, day, 0, 0, 0, 0, time.UTC)
	}
	for n, batch := range []struct {
		cases int
		clocktest.Cases
		zone string
	}{
		{60_000, clocktest.Cases{From: day(2024, 1, 5), To: day(2026, 11, 20), Days: 30}, "Asia/Shanghai"},
		{20_000, clocktest.Cases{From: day(2026, 2, 1), To: day(2026, 3, 8), Days: 8}, "Asia/Shanghai"},
		{20_000, clocktest.Cases{From: day(2023, 12, 1), To: day(2027, 1, 20), Days: 60}, "Europe/Amsterdam"}, // has summer time
	} {
		where, err := time.LoadLocation(batch.zone)
		if err != nil {
			t.Fatal(err)
		}
		batch.Zone, batch.Rand = where, rand.New(rand.NewPCG(20260731, uint64(n)))
		cases := make([]clock.Case, batch.cases)
		for i := range cases {
			cases[i] = batch.Next()
		}
		exec(t, c, "TRUNCATE TABLE store.cases")
		exec(t, c, "TRUNCATE TABLE store.case_steps")
		write(t, c, cases)
		for _, rules := range []clock.Rules{{}, halfDays} {
			count(t, c, where, rules)
			asOf := time.Time{}
			if err := c.QueryRow(t.Context(), "SELECT assumeNotNull(at) FROM mart.as_of").Scan(&asOf); err != nil {
				t.Fatal(err)
			}
			by, wrong, withStop := clock.New(cal, where, rules), 0, 0
			rows, err := c.Query(t.Context(), `SELECT toUInt32(case_number), legal_days, stopped_days, toString(clock_problem), calendar_year, calendar_missing,
				stops_unended, stops_zero, stops_unusable, supplements, special_procedures, reopened FROM mart.cases`)
			if err != nil {
				t.Fatal(err)
			}
			seen := 0
			for rows.Next() {
				var r told
				if err := rows.Scan(&r.number, &r.legal, &r.stopped, &r.problem, &r.year, &r.missing,
					&r.unended, &r.zero, &r.unusable, &r.supplements, &r.specials, &r.reopening); err != nil {
					t.Fatal(err)
				}
				seen++
				if r.stopped != nil && *r.stopped > 0 {
					withStop++
				}
				k := cases[r.number]
				if want := wanted(int(r.number), k, by, asOf); r.String() != want.String() {
					if wrong++; wrong <= 5 {
						t.Errorf("seed 20260731, %d, %d parts, as of %v, %+v:\ngot  %v\nwant %v", n, rules.Parts(), asOf, k, r, want)
					}
				}
			}
			if err := rows.Err(); err != nil {
				t.Fatal(err)
			}
			if seen != batch.cases || wrong > 0 || withStop < batch.cases/20 {
				t.Errorf("batch %d, %d parts: %d cases of %d, %d of them otherwise than by the clock, %d with a stop", n, rules.Parts(), seen, batch.cases, wrong, withStop)
			}
		}
	}
}
