package clock_test

import (
	"errors"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/shirecounty/shire/schemas/calendar"
	"github.com/shirecounty/shire/schemas/calendar/clock"
	"github.com/shirecounty/shire/schemas/calendar/clock/clocktest"
)

func national(t testing.TB) *calendar.Calendar {
	t.Helper()
	c, err := calendar.Load(calendar.National())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func zone(t testing.TB, name string) *time.Location {
	t.Helper()
	z, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return z
}

// at reads a time in Shanghai; "" is none.
func at(t testing.TB, s string) time.Time {
	t.Helper()
	if s == "" {
		return time.Time{}
	}
	m, err := time.ParseInLocation("2006-01-02 15:04", s, zone(t, "Asia/Shanghai"))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

var halves = clock.Rules{HalfDays: true, Noon: 12 * time.Hour}

// 2026-02-13 is a Friday; the 14th and the 28th are make-up Saturdays, the 15th to the 23rd the Spring Festival.
func TestGoldenCases(t *testing.T) {
	type step struct{ kind, from, to string }
	filled := "filled " // before the kind: of a source that fills missing ends
	for name, x := range map[string]struct {
		accepted, closed string
		steps            []step
		days, halfDays   float64
		unended, zero    int
		unusable         int
	}{
		"across the festival":       {"2026-02-13 10:00", "2026-02-25 10:00", nil, 3, 3, 0, 0, 0},
		"morning to afternoon":      {"2026-02-13 09:00", "2026-02-13 15:00", nil, 0, .5, 0, 0, 0},
		"afternoon to morning":      {"2026-02-12 15:00", "2026-02-13 09:00", nil, 1, .5, 0, 0, 0},
		"noon is afternoon":         {"2026-02-13 11:59", "2026-02-13 12:00", nil, 0, .5, 0, 0, 0},
		"midnight is morning":       {"2026-02-12 23:59", "2026-02-13 00:00", nil, 1, .5, 0, 0, 0},
		"over a weekend":            {"2025-03-07 15:00", "2025-03-10 09:00", nil, 1, .5, 0, 0, 0}, // Friday to Monday
		"a make-up Saturday":        {"2026-02-13 10:00", "2026-02-14 17:00", nil, 1, 1.5, 0, 0, 0},
		"accepted on a day off":     {"2026-02-16 10:00", "2026-02-24 17:00", nil, 1, 1, 0, 0, 0},
		"all of 2025":               {"2024-12-31 17:00", "2025-12-31 17:00", nil, 248, 248, 0, 0, 0},
		"a day of a year to come":   {"2027-03-01 09:00", "2027-03-01 10:00", nil, 0, 0, 0, 0, 0}, // nothing to count
		"on the calendar's eve":     {"2023-12-31 17:00", "2024-01-02 09:00", nil, 1, .5, 0, 0, 0},
		"up to the calendar's last": {"2026-12-30 09:00", "2026-12-31 17:00", nil, 1, 1.5, 0, 0, 0},

		"stopped": {"2026-02-13 10:00", "2026-02-25 10:00", []step{{"supplement", "2026-02-14 09:00", "2026-02-24 09:00"}},
			2, 2, 0, 0, 0}, // whole: the 24th; halves: the afternoon of the 14th and the morning of the 24th
		"stopped across noon": {"2026-02-13 09:00", "2026-02-13 18:00", []step{{"special", "2026-02-13 11:00", "2026-02-13 13:00"}}, 0, 0, 0, 0, 0},
		"overlap counts once": {"2026-02-13 10:00", "2026-02-25 10:00",
			[]step{{"supplement", "2026-02-14 09:00", "2026-02-24 09:00"}, {"special", "2026-02-13 11:00", "2026-02-24 17:00"}}, 1, .5, 0, 0, 0},
		"the same twice": {"2026-02-13 10:00", "2026-02-25 10:00",
			[]step{{"special", "2026-02-14 09:00", "2026-02-24 09:00"}, {"special", "2026-02-14 09:00", "2026-02-24 09:00"}}, 2, 2, 0, 0, 0},
		"before acceptance":           {"2026-02-13 10:00", "2026-02-25 10:00", []step{{"supplement", "2026-02-09 09:00", "2026-02-12 12:00"}}, 3, 3, 0, 0, 0},
		"across acceptance":           {"2026-02-13 10:00", "2026-02-25 10:00", []step{{"supplement", "2026-02-09 09:00", "2026-02-14 17:00"}}, 2, 1.5, 0, 0, 0},
		"after closing":               {"2026-02-13 10:00", "2026-02-25 10:00", []step{{"special", "2026-02-26 09:00", "2026-03-20 09:00"}}, 3, 3, 0, 0, 0},
		"ends after closing":          {"2026-02-13 10:00", "2026-02-25 10:00", []step{{"special", "2026-02-24 09:00", "2026-03-20 09:00"}}, 2, 2, 0, 0, 0},
		"open":                        {"2026-02-13 10:00", "2026-02-25 10:00", []step{{"special", "2026-02-24 09:00", ""}}, 2, 2, 1, 0, 0},
		"open before acceptance":      {"2026-02-13 10:00", "2026-02-25 10:00", []step{{"supplement", "2026-02-13 09:00", ""}}, 3, 3, 1, 0, 0},
		"an ordinary step":            {"2026-02-13 10:00", "2026-02-25 10:00", []step{{"", "2026-02-14 09:00", "2026-02-24 09:00"}}, 3, 3, 0, 0, 0},
		"zero":                        {"2026-02-13 10:00", "2026-02-25 10:00", []step{{"supplement", "2026-02-14 09:00", "2026-02-14 09:00"}}, 3, 3, 0, 1, 0},
		"filled, no later step":       {"2026-02-13 10:00", "2026-02-25 10:00", []step{{filled + "supplement", "2026-02-14 09:00", "2026-02-14 09:00"}}, 1, 1, 1, 0, 0},
		"filled, up to the next step": {"2026-02-13 10:00", "2026-02-25 10:00", []step{{filled + "supplement", "2026-02-14 09:00", "2026-02-14 09:00"}, {"step", "2026-02-13 11:00", ""}, {"step", "2026-02-25 09:00", ""}, {"step", "2026-02-24 09:00", ""}}, 2, 2, 1, 0, 0},
		"filled, but known":           {"2026-02-13 10:00", "2026-02-25 10:00", []step{{filled + "supplement", "2026-02-14 09:00", "2026-02-24 09:00"}}, 2, 2, 0, 0, 0},
		"filled before acceptance":    {"2026-02-13 10:00", "2026-02-25 10:00", []step{{filled + "supplement", "2026-02-12 09:00", "2026-02-12 09:00"}}, 3, 3, 1, 0, 0},
		"reopened":                    {"2026-02-13 10:00", "2026-02-25 10:00", []step{{"reopened", "2026-02-14 09:00", "2026-02-24 09:00"}}, 2, 2, 0, 0, 0},
		"reopened, since unknown":     {"2026-02-13 10:00", "2026-02-25 10:00", []step{{"reopened", "2026-02-14 09:00", ""}}, 3, 3, 0, 0, 1},
		"reopened, filled":            {"2026-02-13 10:00", "2026-02-25 10:00", []step{{filled + "reopened", "2026-02-14 09:00", "2026-02-14 09:00"}}, 3, 3, 0, 1, 0},
		"no start":                    {"2026-02-13 10:00", "2026-02-25 10:00", []step{{"special", "", "2026-02-24 09:00"}}, 3, 3, 0, 0, 1},
		"reversed":                    {"2026-02-13 10:00", "2026-02-25 10:00", []step{{"special", "2026-02-24 09:00", "2026-02-14 09:00"}}, 3, 3, 0, 0, 1},
		"still open":                  {"2026-02-13 10:00", "", nil, 7, 7.5, 0, 0, 0}, // 14, 24 to 28 and 2026-03-02
		"still open and stopped":      {"2026-02-13 10:00", "", []step{{"special", "2026-02-24 09:00", ""}}, 2, 2, 1, 0, 0},
	} {
		k := clock.Case{Accepted: at(t, x.accepted), Closed: at(t, x.closed)}
		for _, s := range x.steps {
			one := clock.Step{Kind: s.kind, Started: at(t, s.from), Ended: at(t, s.to)}
			if rest := len(s.kind) - len(filled); rest > 0 && s.kind[:len(filled)] == filled {
				one.Kind, one.EndsFilled = s.kind[len(filled):], true
			}
			k.Steps = append(k.Steps, one)
		}
		for _, rules := range []clock.Rules{{}, halves} {
			want := x.days
			if rules.HalfDays {
				want = x.halfDays
			}
			c := clock.New(national(t), zone(t, "Asia/Shanghai"), rules)
			got, err := c.Legal(k, at(t, "2026-03-02 18:00"))
			if err != nil || got.Days != want {
				t.Errorf("%s, %d parts: have %v %v, want %v", name, rules.Parts(), got.Days, err, want)
			}
			if got.Unended != x.unended || got.Zero != x.zero || got.Unusable != x.unusable {
				t.Errorf("%s: have %+v, want %d without an end, %d of no length, %d unusable", name, got, x.unended, x.zero, x.unusable)
			}
		}
	}
}

func TestNoLegalTime(t *testing.T) {
	reopened := []clock.Step{{Kind: clock.Reopened, Started: at(t, "2026-02-24 09:00"), Ended: at(t, "2026-02-26 09:00")}}
	asOf := at(t, "2026-03-02 18:00")
	for name, x := range map[string]struct {
		k    clock.Case
		want error
	}{
		"not accepted":               {clock.Case{Closed: at(t, "2026-02-25 10:00")}, clock.ErrNotAccepted},
		"closed the day before":      {clock.Case{Accepted: at(t, "2026-02-25 10:00"), Closed: at(t, "2026-02-24 18:00")}, clock.ErrClosedBeforeAccepted},
		"closed before in 2031":      {clock.Case{Accepted: at(t, "2031-02-25 10:00"), Closed: at(t, "2031-02-24 18:00")}, clock.ErrClosedBeforeAccepted},
		"reopened after its closing": {clock.Case{Accepted: at(t, "2026-02-13 10:00"), Closed: at(t, "2026-02-25 10:00"), Steps: reopened}, clock.ErrReopenedAfterClosed},
		"reopened, and open":         {clock.Case{Accepted: at(t, "2026-02-13 10:00"), Steps: reopened}, nil},
		"same day":                   {clock.Case{Accepted: at(t, "2026-02-25 10:00"), Closed: at(t, "2026-02-25 09:00")}, nil},
		"accepted after asOf":        {clock.Case{Accepted: at(t, "2026-03-05 10:00")}, nil},
	} {
		if got, err := clock.New(national(t), zone(t, "Asia/Shanghai"), clock.Rules{}).Legal(x.k, asOf); !errors.Is(err, x.want) || err != nil && got.Days != 0 {
			t.Errorf("%s: have %+v %v, want %v", name, got, err, x.want)
		}
	}
	for name, x := range map[string]struct {
		accepted, closed string
		year             int
	}{
		"needs 2027":       {"2026-12-30 10:00", "2027-01-04 10:00", 2027},
		"stands in 2029":   {"2029-06-01 10:00", "2029-06-04 10:00", 2029},
		"begins in 2023":   {"2023-12-29 10:00", "2024-01-04 10:00", 2023},
		"from the last on": {"2026-12-31 18:00", "2027-01-01 10:00", 2027},
	} {
		for _, rules := range []clock.Rules{{}, halves} {
			_, err := clock.New(national(t), zone(t, "Asia/Shanghai"), rules).Legal(clock.Case{Accepted: at(t, x.accepted), Closed: at(t, x.closed)}, asOf)
			var unpublished *calendar.UnpublishedError
			if !errors.As(err, &unpublished) || unpublished.Year != x.year {
				t.Errorf("%s: have %v, want the year %d unpublished", name, err, x.year)
			}
		}
	}
}

// reference counts as the law is read: it walks over the days, or the halves of days, and asks of each whether it is worked and
// whether the clock stood still.
type reference struct {
	calendar *calendar.Calendar
	zone     *time.Location
	halves   bool
}

// moment is a day, or the half of a day, as people name it.
type moment struct {
	day       calendar.Date
	afternoon bool
}

func (m moment) before(o moment) bool {
	return m.day < o.day || m.day == o.day && !m.afternoon && o.afternoon
}

func (r reference) of(t time.Time) moment {
	local := t.In(r.zone)
	return moment{calendar.DateOf(local), r.halves && local.Hour() >= 12}
}

func (r reference) next(m moment) moment {
	if r.halves && !m.afternoon {
		return moment{m.day, true}
	}
	return moment{m.day + 1, false}
}

// stillstand is a stop whose days, or halves, are those after from up to and with to.
type stillstand struct{ from, to moment }

func (r reference) legal(k clock.Case, asOf time.Time) (l clock.Legal, err error) {
	end := k.Closed
	if end.IsZero() {
		end = asOf
	}
	var stops []stillstand
	reopenedAfterClosed := false
	for _, s := range k.Steps {
		stop := s.Kind == "supplement" || s.Kind == "special" || s.Kind == "reopened"
		hasStart, hasEnd := !s.Started.IsZero(), !s.Ended.IsZero()
		noLength := hasStart && hasEnd && s.Started.Equal(s.Ended)
		filledIn := noLength && s.EndsFilled && s.Kind != "reopened"
		if s.Kind == "reopened" && hasEnd && !k.Closed.IsZero() && s.Ended.After(k.Closed) {
			reopenedAfterClosed = true
		}
		if !stop {
			continue
		}
		if !hasStart || hasEnd && s.Ended.Before(s.Started) || s.Kind == "reopened" && !hasEnd {
			l.Unusable++
			continue
		}
		if hasEnd && !filledIn {
			if noLength {
				l.Zero++
			}
			stops = append(stops, stillstand{r.of(s.Started), r.of(s.Ended)})
			continue
		}
		l.Unended++
		if s.Started.Before(k.Accepted) {
			continue
		}
		last := end
		if filledIn {
			var later []time.Time
			for _, o := range k.Steps {
				if (o.Kind == "" || o.Kind == "step") && o.Started.After(s.Started) {
					later = append(later, o.Started)
				}
			}
			if len(later) > 0 {
				last = slices.MinFunc(later, time.Time.Compare)
			}
		}
		stops = append(stops, stillstand{r.of(s.Started), r.of(last)})
	}
	switch {
	case k.Accepted.IsZero():
		return l, clock.ErrNotAccepted
	case reopenedAfterClosed:
		return l, clock.ErrReopenedAfterClosed
	case !k.Closed.IsZero() && r.of(k.Closed).before(r.of(k.Accepted)):
		return l, clock.ErrClosedBeforeAccepted
	}
	each := 1.0
	if r.halves {
		each = .5
	}
	days, stopped := 0.0, 0.0
	for m := r.of(k.Accepted); m.before(r.of(end)); {
		m = r.next(m)
		working, err := r.calendar.IsWorkday(m.day)
		if err != nil {
			return l, err
		}
		switch {
		case !working:
		case slices.ContainsFunc(stops, func(s stillstand) bool { return s.from.before(m) && !s.to.before(m) }):
			stopped += each
		default:
			days += each
		}
	}
	l.Days, l.Stopped = days, stopped
	return l, nil
}

// compare fails unless the clock and the reference say the same of a case, errors included.
func compare(t testing.TB, c *clock.Clock, r reference, k clock.Case, asOf time.Time) bool {
	got, err := c.Legal(k, asOf)
	want, wantErr := r.legal(k, asOf)
	var unpublished, wantUnpublished *calendar.UnpublishedError
	if errors.As(err, &unpublished) && errors.As(wantErr, &wantUnpublished) && unpublished.Year == wantUnpublished.Year {
		err, wantErr = nil, nil
	}
	if got != want || !errors.Is(err, wantErr) || !errors.Is(wantErr, err) {
		t.Errorf("case %+v as of %v, half days %t: have %+v %v, want %+v %v", k, asOf, r.halves, got, err, want, wantErr)
		return false
	}
	return true
}

func TestMillionCasesAgreeWithWalking(t *testing.T) {
	const cases = 1_000_000
	cal := national(t)
	spans := []clocktest.Cases{
		{Days: 30, From: time.Date(2024, 1, 5, 0, 0, 0, 0, time.UTC), To: time.Date(2026, 12, 28, 0, 0, 0, 0, time.UTC)},
		{Days: 4, From: time.Date(2026, 2, 8, 0, 0, 0, 0, time.UTC), To: time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)},
		{Days: 8, From: time.Date(2023, 12, 20, 0, 0, 0, 0, time.UTC), To: time.Date(2024, 1, 15, 0, 0, 0, 0, time.UTC)},
		{Days: 8, From: time.Date(2026, 12, 15, 0, 0, 0, 0, time.UTC), To: time.Date(2027, 1, 15, 0, 0, 0, 0, time.UTC)},
	}
	told, stopped := 0, 0
	for i, name := range []string{"Asia/Shanghai", "Europe/Amsterdam"} {
		for j, rules := range []clock.Rules{{}, halves} {
			c, r := clock.New(cal, zone(t, name), rules), reference{cal, zone(t, name), rules.HalfDays}
			for n, s := range spans {
				seed := uint64(100*i + 10*j + n)
				s.Rand, s.Zone = rand.New(rand.NewPCG(20260731, seed)), zone(t, name)
				for range cases / 4 / len(spans) {
					k := s.Next()
					asOf := s.From.Add(time.Duration(s.Rand.Int64N(int64(s.To.Sub(s.From)))))
					if !compare(t, c, r, k, asOf) {
						t.Fatalf("seed 20260731, %d", seed)
					}
					if l, err := c.Legal(k, asOf); err == nil {
						told++
						if l.Stopped > 0 {
							stopped++
						}
					}
				}
			}
		}
	}
	// The cases are worth comparing only while most of them have a legal time, and many a stop.
	if told < cases/2 || stopped < cases/10 {
		t.Errorf("of %d cases %d have a legal time and %d a stop within it", cases, told, stopped)
	}
}

func TestShrinkingCasesAgreeWithWalking(t *testing.T) {
	cal, shanghai := national(t), zone(t, "Asia/Shanghai")
	start := time.Date(2026, 2, 10, 0, 0, 0, 0, shanghai)
	rapid.Check(t, func(t *rapid.T) {
		// A third of a day: in the morning, at noon or after it.
		someTime := rapid.Custom(func(t *rapid.T) time.Time {
			if rapid.IntRange(0, 9).Draw(t, "known") == 0 {
				return time.Time{}
			}
			return start.Add(time.Duration(rapid.IntRange(0, 80).Draw(t, "six hours")) * 6 * time.Hour)
		})
		k := clock.Case{Accepted: someTime.Draw(t, "accepted"), Closed: someTime.Draw(t, "closed")}
		k.Steps = rapid.SliceOfN(rapid.Custom(func(t *rapid.T) clock.Step {
			return clock.Step{
				Kind:    rapid.SampledFrom([]string{"", "step", "supplement", "special", "reopened"}).Draw(t, "kind"),
				Started: someTime.Draw(t, "started"), Ended: someTime.Draw(t, "ended"), EndsFilled: rapid.Bool().Draw(t, "filled"),
			}
		}), 0, 5).Draw(t, "steps")
		rules := rapid.SampledFrom([]clock.Rules{{}, halves}).Draw(t, "rules")
		asOf := start.AddDate(0, 0, rapid.IntRange(0, 20).Draw(t, "as of"))
		c, r := clock.New(cal, shanghai, rules), reference{cal, shanghai, rules.HalfDays}
		got, err := c.Legal(k, asOf)
		want, wantErr := r.legal(k, asOf)
		if got != want || !errors.Is(err, wantErr) {
			t.Fatalf("have %+v %v, want %+v %v", got, err, want, wantErr)
		}
		// A further stop never adds legal time, and never the other way round.
		more := k
		more.Steps = append(slices.Clone(k.Steps), clock.Step{Kind: clock.Special, Started: someTime.Draw(t, "from"), Ended: someTime.Draw(t, "to")})
		if l, err2 := c.Legal(more, asOf); err == nil && (err2 != nil || l.Days > got.Days || l.Days+l.Stopped != got.Days+got.Stopped) {
			t.Fatalf("with a further stop: %+v %v, without %+v", l, err2, got)
		}
	})
}
