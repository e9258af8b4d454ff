package portal

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"log/slog"
	"math"
	"os"
	"os/signal"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/shirecounty/shire/schemas/county"
	"github.com/shirecounty/shire/schemas/metrics"
)

// A county of made-up figures: what the tests of the handlers ask, and what TestServe shows on screens.

type fakeFigures struct {
	empty  bool
	err    error
	refuse error         // of Metric alone
	asked  atomic.Int64  // calls of Metric
	slow   chan struct{} // if not nil, Metric waits for it
	began  sync.Once
	begun  chan struct{}
}

var (
	departments = []metrics.Label{
		{Key: "civil_affairs", Zh: "民政局", En: "Civil Affairs Bureau"},
		{Key: "social_security", Zh: "人力资源和社会保障局", En: "Human Resources and Social Security Bureau"},
		{Key: "public_security", Zh: "公安局", En: "Public Security Bureau"},
		{Key: "health", Zh: "卫生健康局", En: "Health Commission"},
		{Key: "education", Zh: "教育局", En: "Education Bureau"},
		{Key: "natural_resources", Zh: "自然资源局", En: "Natural Resources Bureau"},
	}
	items = []metrics.Label{
		{Key: "11MZ00101", Zh: "最低生活保障申请", En: "Minimum living allowance"},
		{Key: "11MZ00203", Zh: "残疾人两项补贴申请", En: "Allowances for disabled residents"},
		{Key: "11RS00102", Zh: "城乡居民养老保险待遇申领", En: "Residents' pension claim"},
		{Key: "11RS00307", Zh: "失业保险金申领", En: "Unemployment benefit claim"},
		{Key: "11GA00411", Zh: "户口迁移", En: "Transfer of household registration"},
		{Key: "11WJ00105", Zh: "生育登记", En: "Birth registration"},
		{Key: "11JY00209", Zh: "义务教育入学审核", En: "School enrolment"},
		{Key: "11ZR00512", Zh: "不动产转移登记（存量房，含夫妻更名、继承与受遗赠）", En: "Transfer of real estate (existing homes, inheritance and bequest included)"},
		{Key: "11XX00999", Zh: "", En: ""}, // an item whose name nobody delivered
	}
)

// definitions are the real ones, so that the screens are tried with the texts that people will read.
func definitions() metrics.Set {
	set, err := metrics.Load()
	if err != nil {
		panic(err)
	}
	return set
}

func (f *fakeFigures) Extent(context.Context) (metrics.Extent, error) {
	if f.err != nil || f.empty {
		return metrics.Extent{Empty: true}, f.err
	}
	return metrics.Extent{First: metrics.Month{Year: 2024, Month: 10}, Last: metrics.Month{Year: 2026, Month: 9}, AsOf: time.Date(2026, 10, 7, 9, 30, 0, 0, time.UTC)}, nil
}

func (f *fakeFigures) Labels(context.Context) (d, i []metrics.Label, err error) {
	return departments, items, f.err
}

func (f *fakeFigures) Interventions(context.Context) ([]metrics.Intervention, error) {
	if f.empty {
		return nil, f.err
	}
	return []metrics.Intervention{
		{Name: "civil_social_link", Kind: "data_link", Title: metrics.Text{Zh: "民政局与人社局数据互通", En: "Data link between Civil Affairs and Social Security"}, StartsOn: "2026-03-16", Metric: "citizen_time", Claim: "median time down by at least a third"},
		{Name: "council_home", Kind: "council_decision", Title: metrics.Text{Zh: "议事会决议：入学审核免交户口簿", En: "Council decision: no household register for enrolment"}, StartsOn: "2026-06-01", Department: "education", Item: "11JY00209", Metric: "repeat_rate"},
	}, f.err
}

func (f *fakeFigures) Process(ctx context.Context, q metrics.ProcessQuery) (metrics.Process, error) {
	step := func(from, to string, count int64) metrics.ProcessTransition {
		return metrics.ProcessTransition{From: from, To: to, Count: count, Cases: count, MeanSeconds: 3600 * float64(count), MedianSeconds: 1800 * float64(count)}
	}
	known := ""
	if !q.Known.IsZero() {
		known = q.Known.Format(time.RFC3339)
	}
	return metrics.Process{Known: known, Item: q.Item, Department: q.Department, Channel: q.Channel, From: q.From.String(), To: q.To.String(), Cases: 12, Steps: 41, Variants: 2, Repeating: 5, ExtraSteps: 5,
		MeanSeconds: 400_000, WorkingSeconds: 3e6, WaitingSeconds: 1.5e6, UntoldSeconds: 3e5,
		ListedVariants: []metrics.ProcessVariant{{Trace: []string{"受理", "审核", "办结"}, Cases: 7, Share: 7. / 12, MedianSeconds: 300_000}, {Trace: []string{"受理", "审核", "审核", "办结"}, Cases: 5, Share: 5. / 12, ExtraSteps: 1, MedianSeconds: 500_000}},
		Follows:        []metrics.ProcessTransition{step("", "受理", 12), step("受理", "审核", 12), step("审核", "办结", 12), step("办结", "", 12), step("审核", "审核", 5)},
		Rework:         []metrics.ProcessRework{{Activity: "审核", Cases: 5, ExtraSteps: 5, Directly: 5}},
		Activities:     []metrics.ProcessActivity{{Activity: "审核", Steps: 17, Cases: 12, WorkingSeconds: 2e6, WaitingSeconds: 1e6}, {Activity: "受理", Steps: 12, Cases: 12, WorkingSeconds: 1e6, UntoldSeconds: 3e5}}}, f.err
}

// Changes makes up what has changed since August 2026; before, nothing has.
func (f *fakeFigures) Changes(_ context.Context, since time.Time) ([]metrics.Restated, error) {
	if since.Before(time.Date(2026, 8, 1, 0, 0, 0, 0, time.UTC)) {
		return []metrics.Restated{}, f.err
	}
	return []metrics.Restated{{Dataset: "case_steps", Change: "corrected", Records: 41}, {Change: "merge", Records: 3}}, f.err
}

// Events makes up 130 cases behind every figure.
func (f *fakeFigures) Events(ctx context.Context, q metrics.EventsQuery) (metrics.Events, error) {
	if err := cmp.Or(f.refuse, f.err); err != nil {
		return metrics.Events{}, err
	}
	d, err := definitions()[q.Metric].Behind()
	if err != nil {
		return metrics.Events{}, err
	}
	events := metrics.Events{Metric: q.Metric, Version: 1, Of: d.Name, View: d.From, From: q.From.String(), To: q.To.String(), AsOf: "2026-10-07T17:30:00+08:00",
		Figure: fakeRow("", q.Query, q.From, q.To), Columns: d.EventColumns(), Skip: q.Skip}
	if events.Figure.State != metrics.StateOK {
		return events, nil
	}
	for i := q.Skip; i < 130 && len(events.Rows) < q.Limit; i++ {
		e := metrics.Event{At: time.Date(2026, 9, 30, 9, 0, 0, 0, time.UTC).Add(time.Duration(-i) * time.Hour).Format(time.RFC3339), Denominator: 1, Numerator: float64(i % 3 / 2)}
		if q.Part == metrics.PartCounted {
			e.Numerator = 1
		}
		for _, c := range events.Columns {
			value := map[string]string{"case_number": fmt.Sprintf("532999-2026-%05d", 90000-i), "department": departments[i%len(departments)].Key, "item_code": items[i%len(items)].Key,
				"channel": "window"}[c.Name]
			if c.Type == "time" {
				value = e.At
			}
			e.Fields = append(e.Fields, value)
		}
		if d.Kind == metrics.Survival {
			length, ended := float64(130-i)*3600, i%5 > 0
			e.Duration, e.Ended = &length, &ended
		}
		events.Rows = append(events.Rows, e)
	}
	events.More = q.Skip+len(events.Rows) < 130
	return events, nil
}

// monthIndex counts months.
func monthIndex(m metrics.Month) int { return m.Year*12 + m.Month - 1 }

// started is closed when Metric is first called.
func (f *fakeFigures) started() chan struct{} {
	f.began.Do(func() { f.begun = make(chan struct{}) })
	return f.begun
}

func (f *fakeFigures) Metric(ctx context.Context, q metrics.Query) (metrics.Result, error) {
	if f.asked.Add(1) == 1 {
		close(f.started())
	}
	return f.figure(ctx, q)
}

// figure makes up a figure, and what it is compared with.
func (f *fakeFigures) figure(ctx context.Context, q metrics.Query) (metrics.Result, error) {
	if f.slow != nil {
		select {
		case <-f.slow:
		case <-ctx.Done():
			return metrics.Result{}, ctx.Err()
		}
	}
	r := metrics.Result{Metric: q.Metric, Version: 1, By: q.By, From: q.From.String(), To: q.To.String(), AsOf: "2026-10-07T17:30:00+08:00"}
	if err := cmp.Or(f.refuse, f.err); err != nil {
		return r, err
	}
	switch q.By {
	case "":
		r.Rows = []metrics.Row{fakeRow("", q, q.From, q.To)}
	case "month":
		for m := q.From; !q.To.Before(m); m = m.Add(1) {
			r.Rows = append(r.Rows, fakeRow(m.String(), q, m, m))
		}
	default:
		list := items
		if q.By == "department" {
			list = departments
		}
		for _, l := range list {
			if only := q.Filters[q.By]; only == "" || only == l.Key {
				row := fakeRow(l.Key, q, q.From, q.To)
				row.Key = l.Key
				r.Rows = append(r.Rows, row)
			}
		}
	}
	if earlier, ok, err := q.Earlier(); err != nil {
		return r, err
	} else if ok && q.Compare != metrics.CompareKnown {
		before, err := f.figure(ctx, earlier)
		if err != nil {
			return r, err
		}
		r.Beside(q, before)
	}
	return r, nil
}

// fakeRow makes up a figure that depends on the question alone, and gets better from March 2026 on.
func fakeRow(key string, q metrics.Query, from, to metrics.Month) metrics.Row {
	hash := fnv.New64a()
	hash.Write([]byte(key + q.Metric + q.Filters["department"] + q.Filters["item"] + from.String()))
	wobble := float64(hash.Sum64()%1000)/1000 - 0.5
	months := monthIndex(to) - monthIndex(from) + 1
	row := metrics.Row{Key: key, State: "ok", Count: int64(math.Round((1900 + 500*wobble) * float64(months)))}
	after := 0.0
	for i := monthIndex(from); i <= monthIndex(to); i++ {
		after += min(1, max(0, float64(i-monthIndex(metrics.Month{Year: 2026, Month: 2}))/2)) / float64(months)
	}
	if q.By != "" && q.By != "month" || len(q.Filters) > 0 {
		row.Count /= 7
	}
	if monthIndex(from) < monthIndex(metrics.Month{Year: 2024, Month: 10}) {
		return metrics.Row{Key: key, State: "empty"}
	}
	if key == "11XX00999" {
		return metrics.Row{Key: key, State: "suppressed", Count: 4}
	}
	if key == "11ZR00512" && q.Metric == "legal_time" || key == "2026-09" && q.Metric == "legal_time" {
		return metrics.Row{Key: key, State: "not_estimable", Count: row.Count, Open: row.Count * 7 / 10}
	}
	value := func(before, with float64) *float64 {
		v := (before + (with-before)*after) * (1 + 0.16*wobble)
		return &v
	}
	ratio := func(before, with float64) {
		v := min(0.999, *value(before, with))
		n, d := math.Round(v*float64(row.Count)), float64(row.Count)
		v = n / d
		row.Value, row.Numerator, row.Denominator = &v, &n, &d
	}
	switch q.Metric {
	case "citizen_time":
		row.Value = value(8.4*86400, 5.1*86400)
	case "legal_time":
		row.Value = value(5.2, 4.6)
	case "on_time_rate":
		ratio(0.87, 0.93)
	case "repeat_rate":
		ratio(0.31, 0.14)
	case "satisfaction_rate":
		ratio(0.962, 0.957)
	default:
		ratio(0.28, 0.33)
	}
	if row.Numerator == nil {
		p90, closed := *row.Value*3.1, *row.Value*0.93
		row.P90, row.ClosedOnly, row.Open = &p90, &closed, row.Count/23
	}
	return row
}

type fakeFlow struct {
	status     Status
	err, ready error
	generation atomic.Uint64
}

func (f *fakeFlow) Status(context.Context) (Status, error) {
	s := f.status
	if s.LastLoadAt == nil && s.LoadedRows > 0 {
		t := time.Now().Add(-14 * time.Second)
		s.LastLoadAt = &t
	}
	return s, f.err
}
func (f *fakeFlow) Generation() uint64          { return f.generation.Load() }
func (f *fakeFlow) Ready(context.Context) error { return f.ready }

var testCounty = county.County{Division: "532999", NameZh: "示范县", NameEn: "Shifan County", TimeZone: "Asia/Shanghai"}

func healthy() Status {
	change := time.Now().Add(-20 * time.Second)
	return Status{
		State: Running, LagMessages: 3, LagRows: 1280, OldestUnloadedSeconds: 2.4, LoadedRows: 1_284_331, Quarantined: 1326,
		ByOwner: []OwnerStatus{
			{"civil_affairs", "民政局信息中心", "Civil Affairs, IT office", 812},
			{"social_security", "人社局数据科", "Social Security, data section", 440},
			{"service_hall", "政务服务中心", "Service hall", 74},
		},
		Sources: []SourceStatus{
			{Name: "civil_affairs", Kind: "file", State: Running, LastChangeAt: &change},
			{Name: "social_security", Kind: "file", State: Degraded, LastChangeAt: &change, Problem: "2026-11-21.xlsx has no column 身份证号: add it to the headers of the contract or ask the owner."},
			{Name: "service_hall", Kind: "file", State: Running, LastChangeAt: &change},
		},
		Drift: []DriftStatus{{Source: "service_hall", Dataset: "hall_cases", Column: "预约编号", Code: "drift_new_column", Reaction: "evolve", Since: change,
			Message: "the column \"预约编号\" is new since 2026-11-21 and goes to no field; claim it in headers: of one, or list it under drift: accepted:"}},
		Engines: []EngineStatus{{Name: "nats", State: Running}, {Name: "clickhouse", State: Running}, {Name: "disk", State: Running}},
	}
}

// TestServe shows the made-up county on PORTAL_LISTEN until it is interrupted, to look at the screens:
//
//	PORTAL_LISTEN=127.0.0.1:8081 PORTAL_STATE=stale go test -run TestServe -timeout 0 ./portal
func TestServe(t *testing.T) {
	listen := os.Getenv("PORTAL_LISTEN")
	if listen == "" {
		t.Skip("set PORTAL_LISTEN to look at the screens")
	}
	figures, flow := &fakeFigures{}, &fakeFlow{status: healthy()}
	flow.generation.Store(1)
	switch state := os.Getenv("PORTAL_STATE"); state {
	case "empty":
		figures.empty = true
		flow.status = Status{State: Running, Sources: flow.status.Sources, Engines: flow.status.Engines}
	case "failed":
		figures.err = errors.New("the warehouse does not answer")
		flow.status.State = Failed
	case "stale":
		past := time.Now().Add(-47 * time.Minute)
		flow.status.State, flow.status.Problem = Degraded, "ClickHouse was started again and does not answer yet."
		flow.status.LastLoadAt, flow.status.OldestUnloadedSeconds, flow.status.LagRows = &past, 2790, 48_210
		flow.status.Engines[1].State = "restarting"
	case "loading":
		figures.slow = make(chan struct{})
	}
	desk := newDesk()
	switch os.Getenv("PORTAL_STATE") {
	case "empty":
		desk.cases = nil
	case "failed":
		desk.err = errFault
	case "loading":
		desk.slow = make(chan struct{})
	}
	p, err := New(Options{
		County: testCounty, Version: "0.1.0", Figures: figures, Flow: flow, Definitions: definitions(), Listen: listen, Log: slog.New(slog.NewTextHandler(os.Stderr, nil)),
		Review: desk, Reviewers: newReviewers(), Accesses: &fakeAccesses{}, Models: shippedModel, // sign in as testReviewer, only-for-tests
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := p.Serve(ctx); err != nil {
		t.Fatal(err)
	}
}
