package warehouse_test

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"os"
	"reflect"
	"slices"
	"testing"
	"time"

	ch "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/google/uuid"

	"github.com/shirecounty/shire/deploy/embedded"
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

// county starts an engine with an empty warehouse, and gives the loader's connection and the analyst's figures.
func county(t *testing.T) (driver.Conn, *warehouse.Figures) {
	t.Helper()
	if _, err := embedded.FindLibrary(); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	var users []embedded.User
	for _, u := range clickhouse.Access() {
		users = append(users, embedded.User{Name: u.Name, Password: "of-" + u.Name, Settings: u.Settings, Readonly: u.Readonly, Grants: u.Grants})
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	engines, err := embedded.Start(ctx, embedded.Options{Dir: t.TempDir(), Version: "1.0.0", NATS: embedded.NATSOptions{Disabled: true},
		ClickHouse: embedded.ClickHouseOptions{Users: users}, Log: slog.New(slog.DiscardHandler)})
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
	options := func(user string) *ch.Options {
		return &ch.Options{Addr: []string{engines.ClickHouse().Native}, Auth: ch.Auth{Username: user, Password: "of-" + user}}
	}
	open := func(user string) driver.Conn {
		c, err := ch.Open(options(user))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
	db := ch.OpenDB(options(clickhouse.Loader))
	defer db.Close()
	if err := clickhouse.Migrate(ctx, db); err != nil {
		t.Fatal(err)
	}
	loader := open(clickhouse.Loader)
	cal, err := calendar.Load(calendar.National())
	if err != nil {
		t.Fatal(err)
	}
	if err := clickhouse.LoadReference(ctx, loader, cal, map[string]contract.Text{"hall": {Zh: "政务服务中心", En: "Service hall"}}, maps.Values(contract.Set{})); err != nil {
		t.Fatal(err)
	}
	set, err := metrics.Load()
	if err != nil {
		t.Fatal(err)
	}
	if err := clickhouse.ApplyViews(ctx, loader, "Asia/Shanghai", clickhouse.Loader, set); err != nil {
		t.Fatal(err)
	}
	return loader, warehouse.NewFigures(open(clickhouse.Analyst), set, shanghai)
}

var shanghai = time.FixedZone("Asia/Shanghai", 8*60*60)

func exec(t *testing.T, c driver.Conn, query string, args ...any) {
	t.Helper()
	if err := c.Exec(t.Context(), query, args...); err != nil {
		t.Fatalf("%s\n%v", query, err)
	}
}

func at(month time.Month, day, hour int) time.Time {
	return time.Date(2025, month, day, hour, 0, 0, 0, shanghai)
}

func addCase(t *testing.T, c driver.Conn, number, department string, applied time.Time, delivered *time.Time) {
	t.Helper()
	exec(t, c, `INSERT INTO store.cases (record_id, dataset, case_number, department, item_code, item_name, applied_at, accepted_at, closed_at, delivered_at)
		VALUES (?, 'd', ?, ?, 'birth', '出生登记', ?, ?, ?, ?)`, uuid.NewSHA1(uuid.NameSpaceOID, []byte(number)), number, department, applied, applied, delivered, delivered)
}

func month(m time.Month) metrics.Month { return metrics.Month{Year: 2025, Month: int(m)} }

func TestFigures(t *testing.T) {
	c, figures := county(t)
	ctx := t.Context()

	// Nothing is loaded.
	if extent, err := figures.Extent(ctx); err != nil || !extent.Empty {
		t.Fatalf("an empty warehouse: %+v, %v", extent, err)
	}
	got, err := figures.Metric(ctx, metrics.Query{Metric: "citizen_time", From: month(3), To: month(4)})
	if err != nil || len(got.Rows) != 1 || got.Rows[0].State != metrics.StateEmpty || got.AsOf != "" {
		t.Fatalf("an empty warehouse: %+v, %v", got, err)
	}

	// March: six cases of the hall, delivered after 1 to 6 hours. May: two. June: six that stay open, and the last day of it.
	for i := range 6 {
		end := at(3, 10, 9+i+1)
		addCase(t, c, "march"+string(rune('a'+i)), "hall", at(3, 10, 9), &end)
		addCase(t, c, "june"+string(rune('a'+i)), "housing", at(6, 29, 9), nil)
	}
	end := at(5, 10, 12)
	addCase(t, c, "may1", "hall", at(5, 10, 9), &end)
	addCase(t, c, "may2", "hall", at(5, 10, 9), &end)
	addCase(t, c, "last", "housing", at(6, 30, 23), nil)

	extent, err := figures.Extent(ctx)
	if err != nil || extent.First != month(3) || extent.Last != month(6) || !extent.AsOf.Equal(at(6, 30, 23)) {
		t.Errorf("extent %+v, %v", extent, err)
	}
	got, err = figures.Metric(ctx, metrics.Query{Metric: "citizen_time", By: "month", From: month(2), To: month(6)})
	if err != nil {
		t.Fatal(err)
	}
	number := func(f float64) *float64 { return &f }
	want := []metrics.Row{
		{Key: "2025-02", State: "empty"},
		{Key: "2025-03", State: "ok", Value: number(3 * 3600), Lower: number(3600), P90: number(6 * 3600), P90Lower: number(4 * 3600), Count: 6, ClosedOnly: number(3.5 * 3600)},
		{Key: "2025-04", State: "empty"},
		{Key: "2025-05", State: "suppressed", Count: 2},
		{Key: "2025-06", State: "not_estimable", Count: 7, Open: 7},
	}
	if !reflect.DeepEqual(got.Rows, want) {
		t.Errorf("by month: got %+v, want %+v", got.Rows, want)
	}
	if got.Version != 1 || got.AsOf != "2025-06-30T23:00:00+08:00" || got.From != "2025-02" || got.To != "2025-06" || got.By != "month" {
		t.Errorf("result %+v", got)
	}
	got, err = figures.Metric(ctx, metrics.Query{Metric: "supplement_rate", By: "department", From: month(3), To: month(6), Filters: map[string]string{"item": "birth"}})
	if err != nil {
		t.Fatal(err)
	}
	want = []metrics.Row{
		{Key: "hall", State: "ok", Value: number(0), Numerator: number(0), Denominator: number(8), Count: 8},
		{Key: "housing", State: "ok", Value: number(0), Numerator: number(0), Denominator: number(7), Count: 7},
	}
	if !reflect.DeepEqual(got.Rows, want) {
		t.Errorf("by department: got %+v, want %+v", got.Rows, want)
	}

	departments, items, err := figures.Labels(ctx)
	if err != nil || !slices.Equal(departments, []metrics.Label{{Key: "hall", Zh: "政务服务中心", En: "Service hall"}, {Key: "housing", Zh: "housing", En: "housing"}}) ||
		!slices.Equal(items, []metrics.Label{{Key: "birth", Zh: "出生登记", En: "出生登记"}}) {
		t.Errorf("labels %v, %v, %v", departments, items, err)
	}
	exec(t, c, `INSERT INTO store.interventions (record_id, dataset, intervention, kind, title_zh, title_en, starts_on, department, item_code, metric, claim)
		VALUES (generateUUIDv4(), 'd', 'link', 'data_link', '数据互通', 'Data link', '2025-04-01', 'hall', 'birth', 'citizen_time', 'half')`)
	interventions, err := figures.Interventions(ctx)
	if err != nil || !slices.Equal(interventions, []metrics.Intervention{{Name: "link", Kind: "data_link", Title: metrics.Text{Zh: "数据互通", En: "Data link"},
		StartsOn: "2025-04-01", Department: "hall", Item: "birth", Metric: "citizen_time", Claim: "half"}}) {
		t.Errorf("interventions %+v, %v", interventions, err)
	}

	// What the reader can mend is said so.
	old := time.Date(2019, 3, 6, 9, 0, 0, 0, shanghai)
	next := old.AddDate(0, 0, 1)
	addCase(t, c, "old", "hall", old, &next)
	for _, q := range []metrics.Query{
		{Metric: "citizen_tim", From: month(3), To: month(4)},
		{Metric: "citizen_time", By: "departement", From: month(3), To: month(4)},
		{Metric: "citizen_time", From: month(4), To: month(3)},
		{Metric: "citizen_time", From: month(3), To: month(4), Filters: map[string]string{"month": "2025-03"}},
		{Metric: "legal_time", From: metrics.Month{Year: 2019, Month: 3}, To: month(4)},
	} {
		var input *metrics.InputError
		if _, err := figures.Metric(ctx, q); !errors.As(err, &input) {
			t.Errorf("%+v: got %v, want an InputError", q, err)
		}
	}
}
