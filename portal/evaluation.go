package portal

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/shirecounty/shire/pipeline/gains"
	"github.com/shirecounty/shire/pipeline/registry"
	"github.com/shirecounty/shire/schemas/metrics"
)

// Register tells what the county claims to have achieved by what it did, when it claimed that, and what the data show.
type Register interface {
	Versions(ctx context.Context) ([]registry.Registration, error) // by name and version
	Verdicts(ctx context.Context) (map[string]registry.Verdict, error)
	Evaluation(ctx context.Context, name string) (*registry.Evaluation, error) // the newest; nil when there is none
}

// Intervention is what the county did. It comes from its list of what it did (mart.interventions), from the register, or both.
type Intervention struct {
	metrics.Intervention
	Registered *Registered `json:"registered,omitempty" jsonschema:"description=Absent when nothing is claimed of it in the register"`
}

// Registered is a version of an intervention in the register, and what became of the claim.
type Registered struct {
	Version      uint32      `json:"version" jsonschema:"description=From 1; a changed definition is another one"`
	RegisteredAt time.Time   `json:"registered_at"`
	Hash         string      `json:"hash" jsonschema:"description=SHA-256 of the registration as audit.interventions holds it"`
	SeenAt       *time.Time  `json:"seen_at,omitempty" jsonschema:"description=When figures that show its result were first given out; absent when they never were"`
	Late         bool        `json:"late" jsonschema:"description=It was registered after its result had been seen"`
	Claim        gains.Claim `json:"claim" jsonschema:"enum=time_down,enum=speed_up,enum=ratio_down,enum=ratio_up"`
	Metric       string      `json:"metric"`
	Verdict      *Verdict    `json:"verdict,omitempty" jsonschema:"description=Of the newest evaluation; absent before the first"`
}

// Verdict is the word of the newest evaluation.
type Verdict struct {
	Word        gains.Verdict   `json:"word" jsonschema:"enum=at_least_half_shown,enum=better,enum=no_change_shown,enum=worse,enum=not_estimable"`
	Version     uint32          `json:"version" jsonschema:"description=Of the registration that was judged"`
	EvaluatedAt time.Time       `json:"evaluated_at"`
	Gain        *gains.Interval `json:"gain,omitempty" jsonschema:"description=0.5 is better by half; absent when not estimable"`
}

// InterventionDetail is an intervention with what it is and every version of its registration.
type InterventionDetail struct {
	Intervention
	Definition *gains.Intervention `json:"definition,omitempty" jsonschema:"description=The newest registration"`
	Versions   []Registered        `json:"versions" jsonschema:"description=All registrations; the newest last"`
}

// EvaluationReply is the newest evaluation of an intervention by what was known when it was made.
type EvaluationReply struct {
	EvaluatedAt time.Time     `json:"evaluated_at"`
	ResultHash  string        `json:"result_hash" jsonschema:"description=SHA-256 of the result as ops.evaluations keeps it; the register holds it too"`
	Verdict     metrics.Text  `json:"verdict" jsonschema:"description=In words"`
	Estimator   metrics.Text  `json:"estimator" jsonschema:"description=In words"`
	Claim       metrics.Text  `json:"claim" jsonschema:"description=In words"`
	Result      *gains.Result `json:"result"`
}

func (p *Portal) interventionRoutes() []route {
	name := []parameter{{Name: "name", In: "path", Pattern: `^[a-z][a-z0-9_]{0,62}$`, Description: "Short name of the intervention"}}
	return []route{
		{
			Path: "/api/v1/interventions", ID: "interventions", Summary: "What the county did to serve better, since when, with what claim and which verdict; marked on charts",
			Result: []Intervention{}, Problems: []int{503}, handle: p.interventions,
		},
		{
			Path: "/api/v1/interventions/{name}", ID: "intervention", Summary: "One intervention with its registrations",
			Parameters: name, Result: InterventionDetail{}, Problems: []int{404, 503}, handle: p.intervention,
		},
		{
			Path: "/api/v1/interventions/{name}/evaluation", ID: "evaluation", Summary: "The newest evaluation of an intervention: the verdict, the interval and everything that they rest on",
			Parameters: name, Result: EvaluationReply{}, Problems: []int{404, 503}, handle: p.evaluation,
		},
	}
}

// listed are all interventions by the day they began, and all registrations by name.
func (p *Portal) listed(ctx context.Context) (list []Intervention, versions map[string][]registry.Registration, err error) {
	county, err := cached(ctx, p.figures, "interventions", p.o.Figures.Interventions)
	if err != nil {
		return nil, nil, err
	}
	for _, i := range county {
		list = append(list, Intervention{Intervention: i})
	}
	if p.o.Register == nil {
		return list, nil, nil
	}
	all, err := p.o.Register.Versions(ctx)
	if err != nil {
		return nil, nil, err
	}
	verdicts, err := p.o.Register.Verdicts(ctx)
	if err != nil {
		return nil, nil, err
	}
	versions = map[string][]registry.Registration{}
	for _, r := range all {
		versions[r.Name] = append(versions[r.Name], r)
	}
	for name, of := range versions {
		newest := of[len(of)-1]
		shown := registeredOf(newest)
		if v, judged := verdicts[name]; judged {
			shown.Verdict = &Verdict{Word: v.Verdict, Version: v.Version, EvaluatedAt: v.At, Gain: v.Gain}
		}
		known := false
		for i := range list {
			if list[i].Name == name {
				list[i].Registered, known = &shown, true
			}
		}
		if !known {
			list = append(list, Intervention{Registered: &shown, Intervention: metrics.Intervention{Name: name, Title: newest.Title, StartsOn: newest.Since,
				Department: only(newest.Scope.Departments), Item: only(newest.Scope.Items), Metric: newest.Metric, Claim: newest.Claim.Text().Zh}})
		}
	}
	slices.SortStableFunc(list, func(a, b Intervention) int {
		return cmp.Or(strings.Compare(a.StartsOn, b.StartsOn), strings.Compare(a.Name, b.Name))
	})
	return list, versions, nil
}

// only is the one value of a list; "" when there are several.
func only(list []string) string {
	if len(list) == 1 {
		return list[0]
	}
	return ""
}

func registeredOf(r registry.Registration) Registered {
	return Registered{Version: r.Version, RegisteredAt: r.RegisteredAt, Hash: r.Hash, SeenAt: r.SeenAt, Late: r.Late(), Claim: r.Claim, Metric: r.Metric}
}

func (p *Portal) interventions(w http.ResponseWriter, r *http.Request) {
	list, _, err := p.listed(r.Context())
	if err != nil {
		p.unavailable(w, r, "The register of interventions", err)
		return
	}
	reply(w, r, orEmpty(list))
}

func (p *Portal) intervention(w http.ResponseWriter, r *http.Request) {
	list, versions, err := p.listed(r.Context())
	if err != nil {
		p.unavailable(w, r, "The register of interventions", err)
		return
	}
	at := slices.IndexFunc(list, func(i Intervention) bool { return i.Name == r.PathValue("name") })
	if at < 0 {
		unknownIntervention(r.PathValue("name"), list).write(w)
		return
	}
	detail := InterventionDetail{Intervention: list[at], Versions: []Registered{}}
	for i, v := range versions[list[at].Name] {
		detail.Versions = append(detail.Versions, registeredOf(v))
		if i == len(versions[v.Name])-1 {
			detail.Definition = &v.Intervention
		}
	}
	reply(w, r, detail)
}

// unknownIntervention does not repeat the name that was asked for (I7).
func unknownIntervention(name string, list []Intervention) *Problem {
	var names []string
	for _, i := range list {
		names = append(names, i.Name)
	}
	answer := problem(http.StatusNotFound, codeUnknownIntervention, "There is no such intervention. /api/v1/interventions lists them.")
	if answer.Names = nearest(name, names); len(answer.Names) > 0 {
		answer.Detail = fmt.Sprintf("There is no such intervention; did you mean %s? /api/v1/interventions lists them all.", strings.Join(answer.Names, ", "))
	}
	return answer
}

func (p *Portal) evaluation(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("name")
	var e *registry.Evaluation
	list, versions, err := p.listed(r.Context())
	if err == nil && len(versions[name]) > 0 {
		e, err = p.o.Register.Evaluation(r.Context(), name)
	}
	switch {
	case err != nil:
		p.unavailable(w, r, "The evaluation", err)
	case !slices.ContainsFunc(list, func(i Intervention) bool { return i.Name == name }):
		unknownIntervention(name, list).write(w)
	case len(versions[name]) == 0:
		problem(http.StatusNotFound, codeNotEvaluated, "This intervention is not registered with a claim, so there is nothing to evaluate.").write(w)
	case e == nil:
		problem(http.StatusNotFound, codeNotEvaluated, "This intervention was not evaluated yet: run shire metrics evaluate, or a job that does evaluate.").write(w)
	default:
		reply(w, r, EvaluationReply{EvaluatedAt: e.At, ResultHash: e.Hash, Verdict: e.Result.Verdict.Text(), Estimator: e.Result.Estimator.Text(),
			Claim: e.Result.Intervention.Claim.Text(), Result: e.Result})
	}
}
