package docs_test

import (
	"context"
	"log/slog"
	"maps"
	"os"
	"regexp"
	"testing"
	"time"

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

var sqlBlock = regexp.MustCompile("(?s)```sql\n(.*?)```")

// What the analyst is told to ask is understood, with an analyst's rights, by a warehouse of this schema.
func TestAnalystsStatements(t *testing.T) {
	if _, err := embedded.FindLibrary(); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	options := embedded.Options{Dir: t.TempDir(), Version: "1.0.0", NATS: embedded.NATSOptions{Disabled: true}, Log: slog.New(slog.DiscardHandler)}
	for _, u := range clickhouse.Access() {
		options.ClickHouse.Users = append(options.ClickHouse.Users,
			embedded.User{Name: u.Name, Password: "of-" + u.Name, Settings: u.Settings, Readonly: u.Readonly, Grants: u.Grants})
	}
	ctx := t.Context() // without a deadline: the driver would hand it on as a setting, beyond the analyst's bounds
	engines, err := embedded.Start(ctx, options)
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
	w, err := warehouse.Connect(ctx, address(clickhouse.Loader), "the bus of the test", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	days, err := calendar.Load(calendar.National())
	if err != nil {
		t.Fatal(err)
	}
	if err := clickhouse.LoadReference(ctx, w.Conn(), days, map[string]contract.Text{"forestry": {Zh: "林业局", En: "Forestry Bureau"}}, maps.Values(contract.Set{})); err != nil {
		t.Fatal(err)
	}
	set, err := metrics.Load()
	if err != nil {
		t.Fatal(err)
	}
	if err := clickhouse.ApplyViews(ctx, w.Conn(), "Asia/Shanghai", clickhouse.Loader, set); err != nil {
		t.Fatal(err)
	}
	analyst, err := warehouse.Open(address(clickhouse.Analyst))
	if err != nil {
		t.Fatal(err)
	}
	defer analyst.Close()
	for _, file := range []string{"../README.md", "../README.zh-CN.md", "metrics.md", "metrics.zh-CN.md"} {
		found := sqlBlock.FindAllStringSubmatch(read(t, file), -1)
		if len(found) < 4 {
			t.Errorf("%s holds %d statements", file, len(found))
		}
		for _, m := range found {
			rows, err := analyst.Query(ctx, m[1])
			if err != nil {
				t.Errorf("%s: %s%v", file, m[1], err)
				continue
			}
			for rows.Next() {
			}
			if err := rows.Err(); err != nil {
				t.Errorf("%s: %s%v", file, m[1], err)
			}
			rows.Close()
		}
	}
	runJobStatements(t, address)
}
