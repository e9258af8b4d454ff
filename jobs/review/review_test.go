package review

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/shirecounty/shire/deploy/embedded"
	"github.com/shirecounty/shire/jobs"
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

var shanghai = time.FixedZone("Asia/Shanghai", 8*60*60)

// newReview is a review of a warehouse in which the hall becomes slower, housing is slow, and civil stops.
func newReview(t *testing.T) (*Review, *warehouse.Warehouse) {
	t.Helper()
	var users []embedded.User
	for _, u := range clickhouse.Access() {
		users = append(users, embedded.User{Name: u.Name, Password: "of-" + u.Name, Settings: u.Settings, Readonly: u.Readonly, Grants: u.Grants})
	}
	e, err := embedded.Start(t.Context(), embedded.Options{Dir: t.TempDir(), Version: "1.0.0", NATS: embedded.NATSOptions{Disabled: true},
		ClickHouse: embedded.ClickHouseOptions{Users: users}, Log: slog.New(slog.DiscardHandler)})
	if errors.Is(err, embedded.ErrNoLibrary) && os.Getenv("CI") != "true" {
		t.Skip(err)
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := e.Stop(ctx); err != nil {
			t.Error(err)
		}
	})
	address := func(user string) warehouse.Address {
		return warehouse.Address{Native: e.ClickHouse().Native, User: user, Password: "of-" + user}
	}
	w, err := warehouse.Connect(t.Context(), address(clickhouse.Loader), "the bus of the test", slog.New(slog.DiscardHandler))
	must(err)
	t.Cleanup(func() { w.Close() })
	analyst, err := warehouse.Open(address(clickhouse.Analyst))
	must(err)
	t.Cleanup(func() { analyst.Close() })
	set, err := metrics.Load()
	must(err)
	days, err := calendar.Load(calendar.National())
	must(err)
	must(clickhouse.LoadReference(t.Context(), w.Conn(), days, map[string]contract.Text{"hall": {Zh: "政务服务中心", En: "Service hall"}, "housing": {Zh: "住建 | <局>", En: "Housing | <b>Office</b>"}}, maps.Values(contract.Set{})))
	must(clickhouse.ApplyViews(t.Context(), w.Conn(), "Asia/Shanghai", clickhouse.Loader, set))
	r := &Review{County: metrics.Text{Zh: "义县", En: "Yi"}, Zone: shanghai, Set: set, Figures: warehouse.NewFigures(analyst, set, shanghai), Conn: analyst,
		Department: func(dataset string) string { return map[string]string{"civil_records": "civil"}[dataset] }, Now: func() time.Time { return at(7, 5) }}
	if key, message, _ := r.Settings.Prove(); key != "" {
		t.Fatal(message)
	}
	r.Settings.Folder = filepath.Join(t.TempDir(), "reviews")
	return r, w
}

func at(month time.Month, day int) time.Time {
	return time.Date(2025, month, day, 9, 0, 0, 0, shanghai)
}

func fill(t *testing.T, w *warehouse.Warehouse) {
	t.Helper()
	n := 0
	add := func(department string, applied time.Time, days, many int) {
		t.Helper()
		b, err := w.Conn().PrepareBatch(t.Context(), "INSERT INTO store.cases (record_id, dataset, case_number, department, item_code, item_name, applied_at, accepted_at, closed_at, delivered_at)")
		if err != nil {
			t.Fatal(err)
		}
		for range many {
			n++
			var end *time.Time
			if days > 0 {
				at := applied.AddDate(0, 0, days)
				end = &at
			}
			number := fmt.Sprintf("SECRET%d", n)
			if err := b.Append(uuid.NewSHA1(uuid.NameSpaceOID, []byte(number)), "d", number, department, "birth", "出生登记", applied, applied, end, end); err != nil {
				t.Fatal(err)
			}
		}
		if err := b.Send(); err != nil {
			t.Fatal(err)
		}
	}
	// Before: January to March; the period: April to June.
	add("hall", at(2, 10), 2, 40)
	add("hall", at(5, 12), 4, 40)
	add("housing", at(2, 10), 5, 40)
	add("housing", at(5, 12), 12, 40)
	add("housing", at(2, 3), 0, 6) // open for long
	add("civil", at(2, 12), 3, 40)
	add("secretive", at(2, 3), 0, 3) // below the minimum cell
	add("hall", at(2, 3), 0, 3)      // long, and too few to be counted
	add("hall", at(6, 30), 0, 4)
	for _, q := range []string{
		"INSERT INTO store.load_log (table_name, first_sequence, last_sequence, dataset_sequences, finished_at) VALUES ('store.cases', 1, 2, map('civil_records', 2), '2025-03-01 00:00:00')",
		"INSERT INTO store.run_log (run_id, job, outcome, started_at) VALUES ('a', 'nightly', 'failed', '2025-05-01 00:00:00'), ('b', 'nightly', 'ok', '2025-05-02 00:00:00')",
		"INSERT INTO store.quarantine_log (dataset, version, owner_zh, owner_en, source_department, code, state, quarantined_at) SELECT 'd', number, '民政局', 'Civil Affairs', 'civil', 'drift_new_column', 'waiting', '2025-05-01 00:00:00' FROM numbers(150)",
	} {
		if err := w.Conn().Exec(t.Context(), q); err != nil {
			t.Fatal(err)
		}
	}
}

func TestReview(t *testing.T) {
	r, w := newReview(t)
	task := jobs.Task{Due: at(7, 5)}
	var out strings.Builder
	if result, err := r.Do(t.Context(), task, &out); err != nil || !strings.Contains(result.Message, "nothing is loaded yet") {
		t.Fatalf("an empty county: %+v, %v", result, err)
	}
	fill(t, w)
	result, err := r.Do(t.Context(), task, &out)
	if err != nil {
		t.Fatal(err)
	}
	if result.Counts["worse"] == 0 || result.Counts["topics"] == 0 || !strings.Contains(result.Message, "2025-04 to 2025-06") {
		t.Errorf("%+v", result)
	}
	pages := map[string]string{}
	for _, language := range []string{"zh", "en"} {
		for _, form := range []string{"md", "html"} {
			name := "review-2025-04-2025-06." + language + "." + form
			text, err := os.ReadFile(filepath.Join(r.Settings.Folder, name))
			if err != nil {
				t.Fatal(err)
			}
			pages[language+"."+form] = string(text)
		}
	}
	for page, want := range map[string][]string{
		"en.md": {"# Review of Yi: 2025-04 to 2025-06", "Why does civil report no cases any more?", "has become", "Housing \\| &lt;b&gt;Office&lt;/b&gt;",
			"At which step do the long open cases of Housing", "Civil Affairs", "| 150 |", "new column", "| nightly | 2 | 1 |", "| Service hall | 7 | &lt; 5 | &lt; 5 | 0 |", "civil\\_records", "2025-03-01", "| worse |"},
		"zh.md":   {"# 义县 定期复盘：2025-04 至 2025-06", "civil 为何不再上报办件？", "变差", "规则：", "民政局"},
		"en.html": {"<html lang=\"en\">", "Housing | &lt;b&gt;Office&lt;/b&gt;", "<td>150</td>"},
		"zh.html": {"<html lang=\"zh-CN\">", "住建 | &lt;局&gt;"},
	} {
		for _, text := range want {
			if text == "has become" {
				text = "become worse?"
			}
			if !strings.Contains(pages[page], text) {
				t.Errorf("%s does not say %q:\n%s", page, text, pages[page])
			}
		}
		for _, secret := range []string{"SECRET", "secretive", "<b>Office"} {
			if strings.Contains(pages[page], secret) {
				t.Errorf("%s says %q", page, secret)
			}
		}
	}
	// The figure is the portal's.
	now, err := r.Figures.Metric(t.Context(), metrics.Query{Metric: "citizen_time", From: metrics.Month{Year: 2025, Month: 4}, To: metrics.Month{Year: 2025, Month: 6}})
	if err != nil || len(now.Rows) != 1 || now.Rows[0].Value == nil {
		t.Fatalf("%+v, %v", now, err)
	}
	if want := value(r.Set["citizen_time"], *now.Rows[0].Value).En; !strings.Contains(pages["en.md"], "| "+want+" |") {
		t.Errorf("it does not say %s:\n%s", want, pages["en.md"])
	}
	// Once more writes the same; another period is listed before it.
	if _, err := r.Do(t.Context(), task, &out); err != nil {
		t.Fatal(err)
	}
	if again, err := os.ReadFile(filepath.Join(r.Settings.Folder, "review-2025-04-2025-06.en.md")); err != nil || string(again) != pages["en.md"] {
		t.Errorf("the same run wrote something else: %v", err)
	}
	if _, err := r.Do(t.Context(), jobs.Task{Due: at(6, 5)}, &out); err != nil {
		t.Fatal(err)
	}
	saved, err := List(r.Settings.Folder)
	if err != nil || len(saved) != 2 || saved[0].Name != "review-2025-04-2025-06" || len(saved[1].Files) != 4 {
		t.Errorf("%+v, %v", saved, err)
	}
	if text, err := os.ReadFile(filepath.Join(r.Settings.Folder, "index.html")); err != nil || strings.Count(string(text), "<a href") != 8 {
		t.Errorf("the list: %v\n%s", err, text)
	}
}

func TestSettings(t *testing.T) {
	for key, s := range map[string]Settings{"months": {Months: 25}, "topics": {Topics: -1}, "minimum_cell": {MinimumCell: 1}, "silent_days": {SilentDays: 400}} {
		if got, message, do := s.Prove(); got != key || message == "" || do == "" {
			t.Errorf("%s: %q, %q, %q", key, got, message, do)
		}
	}
}

func TestWorse(t *testing.T) {
	up, down := &metrics.Definition{Better: "up"}, &metrics.Definition{Better: "down"}
	for _, c := range []struct {
		d           *metrics.Definition
		value, than float64
		want        float64
	}{{down, 12, 10, 0.2}, {down, 8, 10, -0.2}, {up, 8, 10, 0.2}, {up, 12, 10, -0.2}, {down, 0, 0, 0}} {
		if got := worse(c.d, c.value, c.than); got < c.want-1e-9 || got > c.want+1e-9 {
			t.Errorf("%v against %v, better %s: %v, want %v", c.value, c.than, c.d.Better, got, c.want)
		}
	}
	if got := worse(down, 1, 0); got <= notable {
		t.Errorf("from nothing: %v", got)
	}
}
