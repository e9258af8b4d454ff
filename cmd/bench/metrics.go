package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	ch "github.com/ClickHouse/clickhouse-go/v2"

	"github.com/shirecounty/shire/pipeline/warehouse"
	"github.com/shirecounty/shire/schemas/clickhouse"
	"github.com/shirecounty/shire/schemas/metrics"
)

const (
	mostFigure  = 100 * time.Millisecond // p95 of what a page asks
	leastLoad   = 0.7                    // of the loading without incremental views
	figureAsks  = 20                     // after one that warms up
	viewAsks    = 1                      // of the views themselves, which are much slower
	loadedBlock = 40_000                 // rows, as the flow loads them
	loadBlocks  = 10
)

// asked is a question of a page and what its answers cost.
type asked struct {
	name  string
	ask   func(context.Context) error
	times []time.Duration // sorted
	cpu   time.Duration   // of the engine, the median
	rows  uint64          // read, of one
	note  string
}

// metricsFigures is what dashboards cost over a large county.
type metricsFigures struct {
	cases, steps      uint64
	made, prepared    float64 // seconds
	pages, api, views []*asked
	kept              keptFigures
}

func measureMetrics(ctx context.Context, o options, dir string) (*metricsFigures, error) {
	county := o.county
	if county == "" {
		county = filepath.Join(dir, "metrics")
	}
	h, stop, err := startHouse(ctx, county)
	if err != nil {
		return nil, err
	}
	defer stop()
	f := &metricsFigures{}
	if f.made, err = countyIn(ctx, h.loader, county, o.cases); err != nil {
		return nil, err
	}
	if err := f.measure(ctx, h, county); err != nil {
		return nil, err
	}
	f.kept, err = measureKept(ctx, o, dir)
	return f, err
}

func (f *metricsFigures) measure(ctx context.Context, h *house, county string) error {
	if err := h.loader.QueryRow(ctx, "SELECT (SELECT count() FROM store.cases), (SELECT count() FROM store.case_steps)").Scan(&f.cases, &f.steps); err != nil {
		return err
	}
	figures := warehouse.NewFigures(h.analyst, h.set, h.zone)
	for _, name := range []string{"citizen_time", "legal_time", "on_time_rate", "repeat_rate", "avoidable_rate"} {
		a := h.question(figures, name, "", 3, nil)
		f.views = append(f.views, a)
		if err := a.measure(ctx, viewAsks); err != nil {
			a.note = "failed: " + reasonOf(err)
		}
	}
	p := &warehouse.Preparer{Conn: h.loader, Set: h.set, Zone: h.zone, Views: "bench", Large: 1, Definer: clickhouse.Loader}
	if err := f.prepare(ctx, p, filepath.Join(county, "county-prepared")); err != nil {
		return err
	}
	f.pages, f.api = append(h.pageQuestions(figures), h.panelQuestions()...), h.otherQuestions(figures)
	for _, a := range slices.Concat(f.pages, f.api) {
		if err := a.measure(ctx, figureAsks); err != nil {
			return fmt.Errorf("%s: %w", a.name, err)
		}
		fmt.Printf("metrics: %s: p95 %v, %d rows\n", a.name, percentile(a.times, .95), a.rows)
	}
	return nil
}

// prepare prepares the figures, or takes those that an earlier run prepared of the same county with the same definitions, and what they took then.
func (f *metricsFigures) prepare(ctx context.Context, p *warehouse.Preparer, file string) error {
	began := time.Now()
	done, err := p.Prepare(ctx)
	if err != nil {
		return err
	}
	if done {
		f.prepared = time.Since(began).Seconds()
		return os.WriteFile(file, fmt.Appendln(nil, f.prepared), 0o600)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	_, err = fmt.Sscan(string(text), &f.prepared)
	return err
}

func reasonOf(err error) string {
	text := err.Error()
	if i := strings.Index(text, "message: "); i >= 0 {
		text = text[i+len("message: "):]
	}
	return fmt.Sprintf("%.80s", text)
}

// measure asks n times after once to warm up.
func (a *asked) measure(ctx context.Context, n int) error {
	var cpus []time.Duration
	for i := range n + 1 {
		var rows atomic.Uint64 // a question may be several statements at a time
		var cpu atomic.Int64
		began := time.Now()
		err := a.ask(ch.Context(ctx, ch.WithProgress(func(p *ch.Progress) { rows.Add(p.Rows) }), counting(&cpu)))
		if err != nil {
			return err
		}
		if i > 0 || n == viewAsks {
			a.times, cpus, a.rows = append(a.times, time.Since(began)), append(cpus, time.Duration(cpu.Load())*time.Microsecond), rows.Load()
		}
		if n == viewAsks {
			break
		}
	}
	slices.Sort(a.times)
	slices.Sort(cpus)
	a.cpu = percentile(cpus, .5)
	return nil
}

// counting adds to cpu the processor time that the engine took, in microseconds.
func counting(cpu *atomic.Int64) ch.QueryOption {
	return ch.WithProfileEvents(func(events []ch.ProfileEvent) {
		for _, e := range events {
			if e.Name == "UserTimeMicroseconds" || e.Name == "SystemTimeMicroseconds" {
				cpu.Add(e.Value)
			}
		}
	})
}

// lastMonth is the last complete month of the county.
var lastMonth = metrics.Month{Year: 2026, Month: 11}

func (h *house) question(figures *warehouse.Figures, metric, by string, months int, filters map[string]string) *asked {
	q := metrics.Query{Metric: metric, By: by, From: lastMonth.Add(1 - months), To: lastMonth, Filters: filters}
	name := fmt.Sprintf("%s over %d months", metric, months)
	if by != "" {
		name += " by " + by
	}
	for _, dimension := range []string{"department", "item", "channel"} {
		if filters[dimension] != "" {
			name += ", of one " + dimension
		}
	}
	return &asked{name: name, ask: func(ctx context.Context) error {
		_, err := figures.Metric(ctx, q)
		return err
	}}
}

// pageQuestions are what the portal's page sends: the cards and their lines, the trend, the breakdowns, with the filters that a reader may choose, of
// every metric that can be chosen.
func (h *house) pageQuestions(figures *warehouse.Figures) (list []*asked) {
	department, item := map[string]string{"department": "office 3"}, map[string]string{"item": "item 33"}
	both := map[string]string{"department": "office 3", "item": "item 33"}
	for _, d := range h.set.All() {
		list = append(list, h.question(figures, d.Name, "", 3, nil), h.question(figures, d.Name, "month", 24, nil))
		if d.Dimensions["department"] != "" {
			list = append(list, h.question(figures, d.Name, "department", 3, nil), h.question(figures, d.Name, "month", 24, department))
		}
		if d.Dimensions["item"] != "" {
			list = append(list, h.question(figures, d.Name, "item", 3, nil), h.question(figures, d.Name, "item", 12, department), h.question(figures, d.Name, "department", 6, item),
				h.question(figures, d.Name, "month", 24, both), h.question(figures, d.Name, "", 12, both))
		}
		if d.Kind == metrics.Survival {
			list = append(list, h.question(figures, d.Name, "", 1, nil), h.question(figures, d.Name, "", 6, nil), h.question(figures, d.Name, "", 12, nil))
		}
	}
	for _, months := range []int{1, 3, 6, 12} {
		for _, q := range []metrics.ProcessQuery{{}, {Item: "item 0"}, {Item: "item 33"}, {Department: "office 0"}, {Channel: "online"}, {Department: "office 3", Channel: "window"}, {Item: "item 33", Channel: "online"}} {
			list = append(list, processQuestion(figures, q, months))
		}
	}
	return append(list,
		&asked{name: "names of departments and items", ask: func(ctx context.Context) error { _, _, err := figures.Labels(ctx); return err }},
		&asked{name: "what the data cover", ask: func(ctx context.Context) error { _, err := figures.Extent(ctx); return err }},
		&asked{name: "interventions", ask: func(ctx context.Context) error { _, err := figures.Interventions(ctx); return err }})
}

// processQuestion is what the page on how cases went asks: five statements.
func processQuestion(figures *warehouse.Figures, q metrics.ProcessQuery, months int) *asked {
	q.From, q.To = lastMonth.Add(1-months), lastMonth
	name := fmt.Sprintf("how cases went over %d months", months)
	for _, of := range []string{q.Item, q.Department, q.Channel} {
		if of != "" {
			name += ", " + of
		}
	}
	return &asked{name: name, ask: func(ctx context.Context) error {
		_, err := figures.Process(ctx, q)
		return err
	}}
}

// otherQuestions are what can be asked of the interface, and no page asks.
func (h *house) otherQuestions(figures *warehouse.Figures) (list []*asked) {
	for _, metric := range []string{"citizen_time", "legal_time", "incident_time"} {
		list = append(list, h.question(figures, metric, "", 2, nil), h.question(figures, metric, "", 24, nil))
	}
	return append(list, h.question(figures, "citizen_time", "channel", 3, nil), h.question(figures, "repeat_rate", "material", 24, nil))
}

// keptFigures compares loading with the incremental views to loading without: as ratios of speed, by the clock and by the engine's processor time.
type keptFigures struct{ Ratio, Noise, CPURatio, CPUNoise []float64 }

// measureKept loads the same blocks of steps with the incremental views that keep every version, and into a second warehouse without them.
func measureKept(ctx context.Context, o options, dir string) (f keptFigures, err error) {
	var houses [2]*house
	for i := range houses {
		h, stop, err := startHouse(ctx, filepath.Join(dir, fmt.Sprint("kept", i)))
		if err != nil {
			return f, err
		}
		defer stop()
		houses[i] = h
		const rows = loadedBlock * loadBlocks
		sql := countyInsert(countyKinds[1], rows, 0, rows/stepsOfCase)
		for _, statement := range []string{
			"CREATE TABLE store.blocks AS store.case_steps ENGINE = MergeTree ORDER BY version",
			strings.Replace(sql, "INSERT INTO store.case_steps", "INSERT INTO store.blocks", 1),
		} {
			if err := h.loader.Exec(ctx, statement); err != nil {
				return f, err
			}
		}
	}
	if err := houses[1].loader.Exec(ctx, "DROP TABLE store.case_steps_kept"); err != nil {
		return f, err
	}
	load := func(h *house, round int) (seconds, processor float64, err error) {
		var cpu atomic.Int64
		began := time.Now()
		for i := range loadBlocks {
			token := fmt.Sprint("block ", round, " ", i)
			ctx := ch.Context(ctx, counting(&cpu), ch.WithSettings(ch.Settings{"insert_deduplicate": 1, "insert_deduplication_token": token, "async_insert": 0, "optimize_on_insert": 0,
				"deduplicate_blocks_in_dependent_materialized_views": 1, "max_insert_block_size": 1 << 24}))
			err := h.loader.Exec(ctx, fmt.Sprintf("INSERT INTO store.case_steps SELECT * REPLACE (version + %d AS version) FROM store.blocks WHERE version > %d AND version <= %d",
				round*loadedBlock*loadBlocks, i*loadedBlock, (i+1)*loadedBlock))
			if err != nil {
				return 0, 0, err
			}
		}
		return time.Since(began).Seconds(), float64(cpu.Load()), nil
	}
	for round := range o.rounds + 1 {
		var seconds, cpu [3]float64
		for i, h := range []*house{houses[1], houses[0], houses[1]} {
			if seconds[i], cpu[i], err = load(h, 3*round+i); err != nil {
				return f, err
			}
		}
		if round > 0 {
			f.Ratio, f.Noise = append(f.Ratio, seconds[0]/seconds[1]), append(f.Noise, seconds[0]/seconds[2])
			f.CPURatio, f.CPUNoise = append(f.CPURatio, cpu[0]/cpu[1]), append(f.CPUNoise, cpu[0]/cpu[2])
		}
	}
	return f, nil
}
