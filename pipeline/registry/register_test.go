package registry_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/shirecounty/shire/deploy/embedded"
	"github.com/shirecounty/shire/pipeline/gains"
	"github.com/shirecounty/shire/pipeline/registry"
	"github.com/shirecounty/shire/pipeline/warehouse"
	"github.com/shirecounty/shire/schemas/calendar"
	"github.com/shirecounty/shire/schemas/clickhouse"
	"github.com/shirecounty/shire/schemas/contract"
	"github.com/shirecounty/shire/schemas/metrics"
)

func TestMain(m *testing.M) {
	embedded.RunChildIfAsked()
	os.Exit(m.Run())
}

// rig is a warehouse of its own.
type rig struct {
	loader, analyst driver.Conn
	figures         *warehouse.Figures
	set             metrics.Set
}

func newRig(t *testing.T) rig {
	t.Helper()
	if _, err := embedded.FindLibrary(); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	o := embedded.Options{Dir: t.TempDir(), Version: "1.0.0", NATS: embedded.NATSOptions{Disabled: true}, Log: slog.New(slog.DiscardHandler)}
	for _, u := range clickhouse.Access() {
		o.ClickHouse.Users = append(o.ClickHouse.Users, embedded.User{Name: u.Name, Password: "of-" + u.Name, Settings: u.Settings, Readonly: u.Readonly, Grants: u.Grants})
	}
	engines, err := embedded.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := engines.Stop(ctx); err != nil {
			t.Error(err)
		}
	})
	address := func(user string) warehouse.Address {
		return warehouse.Address{Native: engines.ClickHouse().Native, User: user, Password: "of-" + user}
	}
	if err := warehouse.Migrate(t.Context(), address(clickhouse.Loader)); err != nil {
		t.Fatal(err)
	}
	open := func(user string) driver.Conn {
		conn, err := warehouse.Open(address(user))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		return conn
	}
	r := rig{loader: open(clickhouse.Loader), analyst: open(clickhouse.Analyst), set: county(t).Metrics}
	days, err := calendar.Load(calendar.National())
	if err != nil {
		t.Fatal(err)
	}
	err = errors.Join(clickhouse.LoadReference(t.Context(), r.loader, days, nil, maps.Values(contract.Set{})),
		clickhouse.ApplyViews(t.Context(), r.loader, "Asia/Shanghai", clickhouse.Loader, r.set))
	if err != nil {
		t.Fatal(err)
	}
	r.figures = warehouse.NewFigures(r.analyst, r.set, time.FixedZone("Asia/Shanghai", 8*60*60))
	return r
}

// register is one as a process has it; its clock stands at now.
func (r rig) register(now *time.Time) *registry.Register {
	return registry.Open(registry.Options{Conn: r.loader, Metrics: r.set, Caller: "the test", Clerk: "p", Now: func() time.Time { return *now }})
}

func definition(name string) registry.Definition {
	return registry.Definition{Intervention: gains.Intervention{Name: name, Title: metrics.Text{Zh: "数据直连", En: "Data link"}, What: metrics.Text{Zh: "直连", En: "linked"},
		Scope: gains.Where{Departments: []string{"d0"}}, Since: "2025-07-01", Claim: gains.TimeDown, Metric: "citizen_time", Windows: gains.Windows{Before: 18, After: 9}}}
}

func day(text string) time.Time {
	t, err := time.Parse(time.DateOnly, text)
	if err != nil {
		panic(err)
	}
	return t
}

func (r rig) exec(t *testing.T, sql string, args ...any) {
	t.Helper()
	if err := r.loader.Exec(t.Context(), sql, args...); err != nil {
		t.Fatal(err)
	}
}

func one[T any](t *testing.T, conn driver.Conn, sql string, args ...any) (v T) {
	t.Helper()
	if err := conn.QueryRow(t.Context(), sql, args...).Scan(&v); err != nil {
		t.Fatal(err)
	}
	return v
}

// The register is one chain, and what it says of when a result was seen stays.
func TestRegister(t *testing.T) {
	rig := newRig(t)
	now := day("2025-06-20")
	r := rig.register(&now)
	link := definition("data_link")

	all, fresh, err := r.Register(t.Context(), []registry.Definition{link, definition("other")})
	if err != nil || len(fresh) != 2 || all[0].Version != 1 || all[0].Late() || !all[0].RegisteredAt.Equal(now) || all[0].MetricVersion != rig.set["citizen_time"].Version {
		t.Fatalf("registered %+v, new %v: %v", all, fresh, err)
	}
	if again, fresh, err := r.Register(t.Context(), []registry.Definition{link}); err != nil || len(fresh) != 0 || again[0].Hash != all[0].Hash {
		t.Errorf("the same again is %+v, new %v: %v", again, fresh, err)
	}
	// What the server lost, dying after it had noted the token of the rows' place, is registered all the same, however often.
	for range 2 {
		rig.exec(t, "ALTER TABLE audit.interventions DELETE WHERE 1 SETTINGS mutations_sync = 2")
		again, fresh, err := r.Register(t.Context(), []registry.Definition{link, definition("other")})
		if err != nil || len(fresh) != 2 || again[0].Hash != all[0].Hash {
			t.Fatalf("registered once more: %+v, new %v: %v", again, fresh, err)
		}
	}
	// The hash is of the text that analysts see.
	if n := one[uint64](t, rig.analyst, "SELECT count() FROM audit.interventions WHERE lower(hex(SHA256(definition))) = definition_hash AND definition != ''"); n != 2 {
		t.Errorf("%d texts have their hash, want 2", n)
	}

	// A month from before the start tells nothing of what came after it, and a changed definition is another version.
	now = day("2025-06-25")
	asked := func(metric, from, to string, asOf time.Time) {
		t.Helper()
		a, _ := metrics.ParseMonth(from)
		b, _ := metrics.ParseMonth(to)
		if err := r.Asked(t.Context(), metric, a, b, asOf); err != nil {
			t.Fatal(err)
		}
	}
	asked("citizen_time", "2025-05", "2026-12", now) // only what there is was shown: up to June
	link.Claim = gains.SpeedUp
	second, fresh, err := r.Register(t.Context(), []registry.Definition{link})
	if err != nil || len(fresh) != 1 || second[0].Version != 2 || second[0].Late() {
		t.Fatalf("the second version is %+v, new %v: %v", second, fresh, err)
	}
	// Another metric tells nothing either; a month of this one does, whoever is told. A clock that is set back does not help.
	now = day("2025-08-10")
	asked("repeat_rate", "2025-07", "2025-07", now)
	link.Claim = gains.TimeDown
	if third, _, err := r.Register(t.Context(), []registry.Definition{link}); err != nil || third[0].Late() {
		t.Fatalf("the third version is %+v: %v", third, err)
	}
	asked("citizen_time", "2025-07", "2025-08", now)
	asked("citizen_time", "2025-07", "2025-08", now)
	if n := one[uint64](t, rig.analyst, "SELECT count() FROM audit.interventions WHERE event = 'asked' AND metric = 'citizen_time'"); n != 4 {
		t.Errorf("%d months are noted, want May to August once each", n)
	}
	now = day("2025-01-01")
	link.Windows.After = 6
	fourth, _, err := r.Register(t.Context(), []registry.Definition{link})
	if err != nil || !fourth[0].Late() || fourth[0].Version != 4 || !fourth[0].RegisteredAt.After(day("2025-08-10")) {
		t.Fatalf("the fourth version is not late: %+v: %v", fourth, err)
	}
	versions, err := registry.Versions(t.Context(), rig.analyst)
	if err != nil || len(versions) != 5 {
		t.Fatalf("%d versions: %v", len(versions), err)
	}
	for _, v := range versions {
		if v.Late() != (v.Name == "data_link" && v.Version == 4) {
			t.Errorf("version %d of %s: late is %v", v.Version, v.Name, v.Late())
		}
	}

	t.Run("evaluate", func(t *testing.T) { rig.evaluates(t) })
	t.Run("together", func(t *testing.T) { rig.together(t) })
	t.Run("changed", func(t *testing.T) { rig.changed(t) })
}

// fill makes cases of d0, who halves its time in July 2025, and of d1 who goes on as before: 40 a month each over 27 months.
func (r rig) fill(t *testing.T) {
	r.exec(t, `INSERT INTO store.cases (record_id, dataset, case_number, department, item_code, kind, applied_at, accepted_at, closed_at, delivered_at, received_at)
		WITH toDateTime64('2024-01-01 01:00:00', 6, 'UTC') AS first, number % 40 AS k, intDiv(number, 40) % 27 AS month, concat('d', toString(intDiv(number, 40 * 27))) AS department,
			addMonths(first, month) + toIntervalHour(k * 16) AS applied,
			6 * exp(((k * 7919 + month * 31) % 97 - 48) / 60 + sin(month * 2.3) / 12) * if(department = 'd0' AND month >= 18, 0.35, 1) AS days, applied + toIntervalSecond(toInt64(days * 86400)) AS ended
		SELECT generateUUIDv4(), 'd', toString(number), department, 'i', 'promised', applied, applied, ended, ended, '2026-04-08 00:00:00' FROM numbers(40 * 27 * 2)`)
}

// An evaluation is what gains says of the cases in the marts; it is kept, and noted before it is seen.
func (r rig) evaluates(t *testing.T) {
	r.fill(t)
	now := day("2026-04-10")
	register := r.register(&now)
	name := "judged"
	early := definition(name)
	early.Windows.Settling = 1
	if v, _, err := register.Register(t.Context(), []registry.Definition{early}); err != nil || !v[0].Late() {
		t.Fatalf("figures of the months after its start were shown, and it is not late: %+v, %v", v, err)
	}
	e, err := register.Evaluate(t.Context(), name, time.Time{}, r.figures, nil)
	if err != nil {
		t.Fatal(err)
	}
	if g := e.Result.Gain; e.Result.Verdict != gains.Shown || g == nil || math.Abs(g.Value-.65) > .001 {
		t.Errorf("the gain is %+v, %s: %s", g, e.Result.Verdict, e.Result.Because.En)
	}
	if a := e.Result.Account; a.Given != 40*27*2 || a.Scope+a.Comparing+a.Settling != a.Given || !e.Result.Late {
		t.Errorf("the account is %+v, late %v", a, e.Result.Late)
	}
	kept, err := registry.Newest(t.Context(), r.analyst, name)
	if err != nil || kept == nil || kept.Hash != e.Hash || kept.Result.Verdict != e.Result.Verdict || !kept.At.Equal(e.At) {
		t.Fatalf("kept is %+v: %v", kept, err)
	}
	if n := one[uint64](t, r.analyst, "SELECT count() FROM audit.interventions AS a JOIN ops.evaluations AS e ON a.result_hash = e.result_hash WHERE event = 'evaluated' AND lower(hex(SHA256(e.result))) = e.result_hash AND e.late"); n != 1 {
		t.Errorf("%d evaluations are in the chain with the hash of what is kept", n)
	}
	verdicts, err := registry.Verdicts(t.Context(), r.analyst)
	if err != nil || verdicts[name].Verdict != gains.Shown || verdicts[name].Gain == nil {
		t.Errorf("the verdicts are %+v: %v", verdicts, err)
	}
	// What was known before anything was loaded gives another result, which does not take the place of the newest.
	then, err := register.Evaluate(t.Context(), name, day("2020-01-01"), r.figures, nil)
	if err != nil || then.Result.Verdict != gains.NotEstimable || then.Result.AsOf != "" {
		t.Errorf("as known before: %+v: %v", then.Result, err)
	}
	if kept, err = registry.Newest(t.Context(), r.analyst, name); err != nil || kept.Hash != e.Hash {
		t.Errorf("the newest is another: %+v: %v", kept, err)
	}
	// A ratio, by the same way: papers, of which there are none.
	ratio := definition("ratio")
	ratio.Metric, ratio.Claim = "supplement_rate", gains.RatioDown
	if _, _, err := register.Register(t.Context(), []registry.Definition{ratio}); err != nil {
		t.Fatal(err)
	}
	if e, err := register.Evaluate(t.Context(), "ratio", time.Time{}, r.figures, nil); err != nil || e.Result.Verdict != gains.NotEstimable || !strings.Contains(e.Result.Because.En, "numerator is zero") {
		t.Errorf("a ratio of nothing: %+v: %v", e.Result, err)
	}
	// A change after the evaluation is late, and the first version is what it was.
	early.Scope.Departments = []string{"d1"}
	if v, _, err := register.Register(t.Context(), []registry.Definition{early}); err != nil || !v[0].Late() || v[0].Version != 2 {
		t.Errorf("the changed one is %+v: %v", v, err)
	}
	// One that begins after all that there is: nobody was shown a month of it, and yet its evaluation was seen. It stays so.
	ahead := definition("ahead")
	ahead.Since = "2027-01-01"
	for version := range 2 {
		ahead.Windows.After = 6 + version
		if v, _, err := register.Register(t.Context(), []registry.Definition{ahead}); err != nil || v[0].Late() != (version > 0) {
			t.Errorf("version %d of one that is ahead: %+v: %v", version+1, v, err)
		}
		if e, err := register.Evaluate(t.Context(), "ahead", time.Time{}, r.figures, nil); err != nil || e.Result.Verdict != gains.NotEstimable || e.Result.Late != (version > 0) {
			t.Errorf("version %d of one that is ahead: %+v: %v", version+1, e.Result, err)
		}
	}
	if v, err := register.Newest(t.Context(), "ahead"); err != nil || !v.Late() || v.Version != 2 {
		t.Errorf("after another evaluation it is late no more: %+v: %v", v, err)
	}
	// What a metric refuses to tell is refused here too, and nothing is kept.
	legal := definition("legal")
	legal.Metric = "legal_time"
	if _, _, err := register.Register(t.Context(), []registry.Definition{legal}); err != nil {
		t.Fatal(err)
	}
	r.exec(t, `INSERT INTO store.cases (record_id, dataset, case_number, department, kind, applied_at, accepted_at, closed_at, received_at)
		VALUES (generateUUIDv4(), 'd', 'long', 'd0', 'promised', '2025-12-01 00:00:00', '2025-12-01 00:00:00', '2035-01-01 00:00:00', '2026-04-08 00:00:00')`)
	var input *metrics.InputError
	if _, err := register.Evaluate(t.Context(), "legal", time.Time{}, r.figures, nil); !errors.As(err, &input) || !strings.Contains(err.Error(), "working calendar is not published") {
		t.Errorf("a year without a calendar: %v", err)
	}
	if kept, err := registry.Newest(t.Context(), r.analyst, "legal"); err != nil || kept != nil {
		t.Errorf("kept is %+v: %v", kept, err)
	}
	if _, err := register.Evaluate(t.Context(), "judgd", time.Time{}, r.figures, nil); !errors.As(err, &input) || !strings.Contains(err.Error(), `did you mean "judged"`) {
		t.Errorf("a name that is not there: %v", err)
	}
}

// Two processes that register and note at once make one chain, in which everything stands once.
func (r rig) together(t *testing.T) {
	now := day("2026-05-01")
	var group sync.WaitGroup
	for p := range 2 {
		mine := r.register(&now)
		group.Go(func() {
			for k := range 4 {
				d := definition(fmt.Sprint("together_", k))
				own := definition(fmt.Sprintf("own_%d_%d", p, k))
				for try := 0; ; try++ {
					_, _, err := mine.Register(t.Context(), []registry.Definition{d, own})
					if err == nil {
						break
					}
					if try == 20 {
						t.Error(err)
						return
					}
				}
			}
		})
	}
	group.Wait()
	versions, err := registry.Versions(t.Context(), r.analyst)
	if err != nil {
		t.Fatal(err)
	}
	counts := map[string]int{}
	for _, v := range versions {
		counts[v.Name]++
	}
	for k := range 4 {
		for _, name := range []string{fmt.Sprint("together_", k), fmt.Sprint("own_0_", k), fmt.Sprint("own_1_", k)} {
			if counts[name] != 1 {
				t.Errorf("%s is registered %d times", name, counts[name])
			}
		}
	}
}

// A row that was changed shows, and nothing goes on from it.
func (r rig) changed(t *testing.T) {
	broken := func(what string, want uint64) {
		t.Helper()
		_, err := registry.Versions(t.Context(), r.analyst)
		var b *registry.BrokenError
		if !errors.As(err, &b) || b.Sequence != want {
			t.Errorf("%s: %v, want row %d", what, err, want)
		}
	}
	last := one[uint64](t, r.analyst, "SELECT max(sequence) FROM audit.interventions")
	if err := registry.Forge(t.Context(), r.loader, last-3); err != nil {
		t.Fatal(err)
	}
	broken("a row was dated back, and given the hash that goes with it", last-2)
	r.exec(t, "ALTER TABLE audit.interventions DELETE WHERE sequence = ? SETTINGS mutations_sync = 2", last-1)
	broken("a row was taken out too", last-2)
	r.exec(t, "ALTER TABLE audit.interventions UPDATE at = at - toIntervalDay(400) WHERE sequence = 2 SETTINGS mutations_sync = 2")
	broken("a time was changed", 2)
	now := day("2026-06-01")
	if _, _, err := r.register(&now).Register(t.Context(), []registry.Definition{definition("late")}); !errors.As(err, new(*registry.BrokenError)) {
		t.Errorf("it was registered all the same: %v", err)
	}
	if _, err := r.register(&now).Evaluate(t.Context(), "judged", time.Time{}, r.figures, nil); !errors.As(err, new(*registry.BrokenError)) {
		t.Errorf("it was evaluated all the same: %v", err)
	}
}
