package upkeep

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/shirecounty/shire/jobs"
	"github.com/shirecounty/shire/pipeline/registry"
	"github.com/shirecounty/shire/schemas/metrics"
)

// Evaluate judges interventions and keeps the results.
type Evaluate struct {
	Register func(ctx context.Context) ([]registry.Registration, error) // those to be judged, registered first where they are new
	Evaluate func(ctx context.Context, name string) (registry.Evaluation, error)
}

var _ jobs.Worker = (*Evaluate)(nil)

// Do judges one after another; what cannot be judged does not keep the others from it. The same run again judges again.
func (e *Evaluate) Do(ctx context.Context, _ jobs.Task, output io.Writer) (jobs.Result, error) {
	all, err := e.Register(ctx)
	if err != nil {
		return jobs.Result{}, err
	}
	r := jobs.Result{Counts: map[string]uint64{"evaluated": 0}}
	if len(all) == 0 {
		r.Message = "no intervention is defined, so there is nothing to evaluate"
		return r, nil
	}
	var failed []error
	var words []string
	for _, v := range all {
		found, err := e.Evaluate(ctx, v.Name)
		if ctx.Err() != nil {
			return r, ctx.Err()
		}
		if err != nil {
			fmt.Fprintf(output, "%s: %v\n", v.Name, err)
			failed = append(failed, fmt.Errorf("%s: %w", v.Name, err))
			continue
		}
		r.Counts["evaluated"]++
		result := found.Result
		late := ""
		if result.Late {
			late = " It was registered after its result had been seen."
		}
		fmt.Fprintf(output, "%s: %s. %s%s\n", v.Name, result.Verdict.Text().En, result.Because.En, late)
		words = append(words, v.Name+" "+result.Verdict.Text().En)
		r.Counts[string(result.Verdict)]++
	}
	r.Message = strings.Join(words, "; ")
	err = errors.Join(failed...)
	if input := (*metrics.InputError)(nil); errors.As(err, &input) && len(failed) == 1 {
		err = fmt.Errorf("%w: %w", jobs.ErrPermanent, err) // the definition has to be changed
	}
	return r, err
}
