package upkeep_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/shirecounty/shire/jobs"
	"github.com/shirecounty/shire/jobs/upkeep"
	"github.com/shirecounty/shire/pipeline/gains"
	"github.com/shirecounty/shire/pipeline/registry"
	"github.com/shirecounty/shire/schemas/metrics"
)

// One that cannot be judged does not keep the others from it, and the run fails; for good only when trying again cannot help.
func TestEvaluate(t *testing.T) {
	names := []string{"first", "second"}
	wrong := map[string]error{}
	e := &upkeep.Evaluate{
		Register: func(context.Context) (all []registry.Registration, err error) {
			for _, name := range names {
				all = append(all, registry.Registration{Intervention: gains.Intervention{Name: name}, Version: 1})
			}
			return all, wrong[""]
		},
		Evaluate: func(_ context.Context, name string) (registry.Evaluation, error) {
			return registry.Evaluation{Result: gains.Evaluate(gains.Intervention{Name: name}, gains.Data{})}, wrong[name]
		},
	}
	do := func() (jobs.Result, string, error) {
		var output bytes.Buffer
		r, err := e.Do(t.Context(), jobs.Task{}, &output)
		return r, output.String(), err
	}
	if r, said, err := do(); err != nil || r.Counts["evaluated"] != 2 || r.Counts["not_estimable"] != 2 || !strings.Contains(said, "second: not estimable.") {
		t.Errorf("%+v %q: %v", r, said, err)
	}
	wrong["first"] = errors.New("away")
	if r, _, err := do(); !errors.Is(err, wrong["first"]) || errors.Is(err, jobs.ErrPermanent) || r.Counts["evaluated"] != 1 {
		t.Errorf("with one that fails: %+v: %v", r, err)
	}
	wrong["first"] = &metrics.InputError{Message: "too many"}
	if _, _, err := do(); !errors.Is(err, jobs.ErrPermanent) {
		t.Errorf("with one that is wrong: %v", err)
	}
	wrong[""] = errors.New("broken")
	if r, _, err := do(); !errors.Is(err, wrong[""]) || r.Counts["evaluated"] != 0 {
		t.Errorf("without a register: %+v: %v", r, err)
	}
	wrong, names = map[string]error{}, nil
	if r, _, err := do(); err != nil || !strings.Contains(r.Message, "nothing to evaluate") {
		t.Errorf("without interventions: %+v: %v", r, err)
	}
}
