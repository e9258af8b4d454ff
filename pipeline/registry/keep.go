package registry

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	ch "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/shirecounty/shire/pipeline/gains"
)

// kept is one row of store.evaluations.
type kept struct {
	At            time.Time  `ch:"evaluated_at"`
	Intervention  string     `ch:"intervention"`
	Version       uint32     `ch:"version"`
	RegisteredAt  time.Time  `ch:"registered_at"`
	Hash          string     `ch:"definition_hash"`
	Late          uint8      `ch:"late"`
	TitleZh       string     `ch:"title_zh"`
	TitleEn       string     `ch:"title_en"`
	Since         time.Time  `ch:"since"`
	Claim         string     `ch:"claim"`
	Metric        string     `ch:"metric"`
	MetricVersion uint32     `ch:"metric_version"`
	Known         *time.Time `ch:"known_at"`
	AsOf          string     `ch:"as_of"`
	Verdict       string     `ch:"verdict"`
	BecauseZh     string     `ch:"because_zh"`
	BecauseEn     string     `ch:"because_en"`
	Estimator     string     `ch:"estimator"`
	Gain          *float64   `ch:"gain"`
	Low           *float64   `ch:"gain_low"`
	High          *float64   `ch:"gain_high"`
	Raw           *float64   `ch:"raw_gain"`
	ClosedOnly    *float64   `ch:"closed_only_gain"`
	Scope         uint64     `ch:"scope_cases"`
	Result        string     `ch:"result"`
	ResultHash    string     `ch:"result_hash"`
}

const keptColumns = "evaluated_at, intervention, version, registered_at, definition_hash, late, title_zh, title_en, since, claim, metric, metric_version, known_at, as_of, verdict, because_zh, because_en, estimator, gain, gain_low, gain_high, raw_gain, closed_only_gain, scope_cases, result, result_hash"

// keep keeps an evaluation where dashboards and analysts find it.
func (r *Register) keep(ctx context.Context, v Registration, e Evaluation, text string) error {
	result := e.Result
	since, err := time.Parse(time.DateOnly, v.Since)
	if err != nil {
		return fmt.Errorf("keep the evaluation of %s: %w", v.Name, err)
	}
	row := kept{At: e.At, Intervention: v.Name, Version: v.Version, RegisteredAt: v.RegisteredAt, Hash: v.Hash, TitleZh: v.Title.Zh, TitleEn: v.Title.En,
		Since: since, Claim: string(v.Claim), Metric: v.Metric, MetricVersion: uint32(result.Metric.Version), AsOf: result.AsOf, Verdict: string(result.Verdict),
		BecauseZh: result.Because.Zh, BecauseEn: result.Because.En, Estimator: string(result.Estimator), Raw: gainOf(v.Claim, result.Raw),
		ClosedOnly: gainOf(v.Claim, result.Closed), Scope: uint64(result.Account.Scope), Result: text, ResultHash: e.Hash}
	if result.Late {
		row.Late = 1
	}
	if !e.Known.IsZero() {
		known := e.Known.UTC()
		row.Known = &known
	}
	if g := result.Gain; g != nil {
		row.Gain, row.Low, row.High = &g.Value, &g.Low, &g.High
	}
	ctx = ch.Context(ctx, ch.WithSettings(ch.Settings{"insert_deduplicate": 1, "insert_deduplication_token": fmt.Sprintf("evaluation/%s/%d", v.Name, e.At.UnixMicro()), "async_insert": 0}))
	b, err := r.chain.conn.PrepareBatch(ctx, "INSERT INTO store.evaluations ("+keptColumns+")")
	if err != nil {
		return fmt.Errorf("keep the evaluation of %s: %w", v.Name, err)
	}
	defer b.Close()
	if err := errors.Join(b.AppendStruct(&row), b.Send()); err != nil {
		return fmt.Errorf("keep the evaluation of %s: %w", v.Name, err)
	}
	return nil
}

func gainOf(c gains.Claim, ratio *float64) *float64 {
	if ratio == nil {
		return nil
	}
	gain := c.Gain(*ratio)
	return &gain
}

// Newest is the newest evaluation of an intervention by what was known when it was made; nil when there is none. conn may be the
// analyst's.
func Newest(ctx context.Context, conn driver.Conn, name string) (*Evaluation, error) {
	var e Evaluation
	var text string
	err := conn.QueryRow(ctx, "SELECT evaluated_at, result, result_hash FROM ops.evaluations WHERE intervention = ? AND newest", name).Scan(&e.At, &text, &e.Hash)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("ask the warehouse for the evaluation of an intervention: %w", err)
	}
	if err := json.Unmarshal([]byte(text), &e.Result); err != nil {
		return nil, fmt.Errorf("read the kept evaluation of an intervention: %w", err)
	}
	return &e, nil
}

// Verdicts are the newest verdicts, by intervention. conn may be the analyst's.
func Verdicts(ctx context.Context, conn driver.Conn) (map[string]Verdict, error) {
	rows, err := conn.Query(ctx, "SELECT intervention, version, evaluated_at, verdict, gain, gain_low, gain_high FROM ops.evaluations WHERE newest")
	if err != nil {
		return nil, fmt.Errorf("ask the warehouse for the evaluations: %w", err)
	}
	defer rows.Close()
	all := map[string]Verdict{}
	for rows.Next() {
		var name, word string
		var v Verdict
		var gain, low, high *float64
		if err := rows.Scan(&name, &v.Version, &v.At, &word, &gain, &low, &high); err != nil {
			return nil, fmt.Errorf("read the evaluations: %w", err)
		}
		v.Verdict = gains.Verdict(word)
		if gain != nil && low != nil && high != nil {
			v.Gain = &gains.Interval{Value: *gain, Low: *low, High: *high}
		}
		all[name] = v
	}
	return all, rows.Err()
}

// Verdict is the word of an evaluation.
type Verdict struct {
	Version uint32 // of the registration that was judged
	At      time.Time
	Verdict gains.Verdict
	Gain    *gains.Interval
}
