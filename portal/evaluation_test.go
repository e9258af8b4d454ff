package portal

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/shirecounty/shire/pipeline/gains"
	"github.com/shirecounty/shire/pipeline/registry"
	"github.com/shirecounty/shire/schemas/metrics"
)

// claims is a register with one intervention that was changed, and one that was not evaluated.
type claims struct {
	versions   []registry.Registration
	evaluation *registry.Evaluation
	err        error
}

func newClaims() *claims {
	v := gains.Intervention{Name: "civil_social_link", Title: metrics.Text{Zh: "互通", En: "Link"}, Since: "2026-03-16", Claim: gains.TimeDown, Metric: "citizen_time",
		Scope: gains.Where{Departments: []string{"civil_affairs"}}, Windows: gains.Windows{Before: 12, After: 6}, RegisteredAt: time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)}
	late, seen := v, time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)
	late.RegisteredAt, late.SeenAt = time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC), &seen
	own := v
	own.Name, own.Since, own.Title = "own_only", "2026-05-01", metrics.Text{Zh: "另一项", En: "Another"}
	// Evaluate says honestly that there are no data.
	return &claims{versions: []registry.Registration{{Intervention: v, Version: 1, Hash: v.Hash()}, {Intervention: late, Version: 2, Hash: late.Hash()}, {Intervention: own, Version: 1, Hash: own.Hash()}},
		evaluation: &registry.Evaluation{At: time.Date(2026, 6, 2, 0, 0, 0, 0, time.UTC), Hash: "abc", Result: gains.Evaluate(late, gains.Data{Metric: gains.Metric{Name: "citizen_time", Unit: gains.Days}})}}
}

func (c *claims) Versions(context.Context) ([]registry.Registration, error) { return c.versions, c.err }
func (c *claims) Verdicts(context.Context) (map[string]registry.Verdict, error) {
	return map[string]registry.Verdict{"civil_social_link": {Version: 2, At: c.evaluation.At, Verdict: c.evaluation.Result.Verdict}}, c.err
}
func (c *claims) Evaluation(_ context.Context, name string) (*registry.Evaluation, error) {
	if name != "civil_social_link" {
		return nil, c.err
	}
	return c.evaluation, c.err
}

func TestInterventions(t *testing.T) {
	c := newClaims()
	w := newWorld(t, func(o *Options) { o.Register = c })
	list := decode[[]Intervention](t, w.get("/api/v1/interventions"))
	if len(list) != 3 || list[0].Name != "civil_social_link" || list[1].Name != "own_only" || list[2].Name != "council_home" {
		t.Fatalf("the list is %+v", list)
	}
	if r := list[0].Registered; r == nil || r.Version != 2 || !r.Late || r.Verdict == nil || r.Verdict.Word != gains.NotEstimable || list[0].Kind != "data_link" {
		t.Errorf("the changed one is %+v", list[0])
	}
	if r := list[1].Registered; r == nil || r.Late || r.Verdict != nil || list[1].Title.En != "Another" || list[1].Department != "civil_affairs" || list[2].Registered != nil {
		t.Errorf("the others are %+v, %+v", list[1], list[2])
	}
	detail := decode[InterventionDetail](t, w.get("/api/v1/interventions/civil_social_link"))
	if len(detail.Versions) != 2 || detail.Versions[0].Late || !detail.Versions[1].Late || detail.Definition == nil || detail.Definition.Hash() != detail.Versions[1].Hash {
		t.Errorf("the detail is %+v", detail)
	}
	if detail := decode[InterventionDetail](t, w.get("/api/v1/interventions/council_home")); detail.Definition != nil || detail.Versions == nil {
		t.Errorf("what is not registered is %+v", detail)
	}
	e := decode[EvaluationReply](t, w.get("/api/v1/interventions/civil_social_link/evaluation"))
	if !e.Result.Late || e.Verdict.Zh != "无法估计" || e.Result.Because.En != "There are no data." || e.ResultHash != "abc" {
		t.Errorf("the evaluation is %+v", e)
	}
	for target, want := range map[string]string{
		"/api/v1/interventions/civil_socal_link":           "did you mean civil_social_link?",
		"/api/v1/interventions/110101199003070000":         "There is no such intervention. /api/v1",
		"/api/v1/interventions/nothing_like_it/evaluation": "There is no such intervention",
		"/api/v1/interventions/own_only/evaluation":        "was not evaluated yet",
		"/api/v1/interventions/council_home/evaluation":    "is not registered with a claim",
	} {
		r := w.get(target)
		if r.Code != 404 || !strings.Contains(r.Body.String(), want) || strings.Contains(r.Body.String(), "110101199003070000") {
			t.Errorf("%s: %d %s", target, r.Code, r.Body)
		}
	}
	if r := w.get("/evaluation"); r.Code != 200 {
		t.Errorf("the page: %d", r.Code)
	}
	c.err = errors.New("away")
	for _, target := range []string{"", "/civil_social_link", "/civil_social_link/evaluation"} {
		if r := w.get("/api/v1/interventions" + target); r.Code != 503 {
			t.Errorf("%q without a warehouse: %d", target, r.Code)
		}
	}
	// Without a register the county's list is all there is.
	w = newWorld(t)
	if list := decode[[]Intervention](t, w.get("/api/v1/interventions")); len(list) != 2 || list[0].Registered != nil {
		t.Errorf("the list is %+v", list)
	}
	if r := w.get("/api/v1/interventions/civil_social_link/evaluation"); r.Code != 404 {
		t.Errorf("without a register: %d", r.Code)
	}
}
