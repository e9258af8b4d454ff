package registry

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	"github.com/shirecounty/shire/pipeline/gains"
	"github.com/shirecounty/shire/schemas/metrics"
)

// Evidence reads what an intervention is judged by: see warehouse.Figures.
type Evidence interface {
	Evidence(ctx context.Context, q metrics.Query, cohort map[string][]string, read func(rows int)) (gains.Data, error)
}

// Evaluate judges the newest version of an intervention by what was known at a time, which is zero for now, and keeps the result. read,
// which may be nil, is told how many rows there are so far. Whatever the verdict, it is written into the register before anybody
// sees it. Where the question is at fault the error is a [metrics.InputError].
func (r *Register) Evaluate(ctx context.Context, name string, known time.Time, from Evidence, read func(rows int)) (Evaluation, error) {
	v, err := r.Newest(ctx, name)
	if err != nil {
		return Evaluation{}, err
	}
	first, start, last := v.Months()
	data, err := from.Evidence(ctx, metrics.Query{Metric: v.Metric, From: first, To: last, Known: known}, groupsOf(v.Cohort), read)
	if err != nil {
		return Evaluation{}, err
	}
	result := gains.Evaluate(v.Intervention, data)
	if data.Metric.Version != v.MetricVersion {
		result.Notes = append(result.Notes, metrics.Text{
			Zh: fmt.Sprintf("登记时指标为第 %d 版，现按第 %d 版计算。", v.MetricVersion, data.Metric.Version),
			En: fmt.Sprintf("It was registered for version %d of the metric, and is counted by version %d.", v.MetricVersion, data.Metric.Version)})
	}
	text, err := json.Marshal(result)
	if err != nil {
		return Evaluation{}, fmt.Errorf("the result of %s has no text: %w", name, err)
	}
	sum := sha256.Sum256(text)
	e := Evaluation{Known: known, Result: result, Hash: hex.EncodeToString(sum[:])}
	if err := r.Asked(ctx, v.Metric, start, last, data.AsOf.In(cmp.Or(data.Zone, time.UTC))); err != nil {
		return Evaluation{}, err
	}
	_, err = r.chain.write(ctx, func(read []entry) ([]entry, error) {
		e.At = r.at(read)
		return []entry{r.entry(entry{At: e.At, Event: evaluated, Intervention: name, Version: v.Version, DefinitionHash: v.Hash, Metric: v.Metric, ResultHash: e.Hash})}, nil
	})
	if err != nil {
		return Evaluation{}, err
	}
	return e, r.keep(ctx, v, e, string(text))
}
