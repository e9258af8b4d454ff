package portal

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/shirecounty/shire/schemas/metrics"
)

// route is one operation of the API. The table of routes is what the mux and the OpenAPI document are both made from.
type route struct {
	Method     string // GET when empty
	Path       string
	ID         string // operationId
	Summary    string
	Parameters []parameter
	Body       any      // a value of the type that a request holds, as JSON; nil for none
	BodyTypes  []string // of a request; application/json when empty
	Result     any      // a value of the type that a 200 holds; nil for text, or for a 204 where NoContent says so
	NoContent  bool     // it succeeds with 204
	MediaTypes []string // of a 200; application/json when empty
	Problems   []int    // statuses that come as a Problem
	Door       string   // the cookie of those who have signed in, whom it is for; empty when it is for everybody
	handle     http.HandlerFunc
}

func (r route) method() string { return cmp.Or(r.Method, http.MethodGet) }

// parameter of a path, a query or a header; all are strings.
type parameter struct {
	Name, In, Pattern, Description string
	Enum                           []string
}

const (
	monthPattern    = `^[0-9]{4}-(0[1-9]|1[0-2])$`
	knownPattern    = `^[0-9]{4}-[0-9]{2}-[0-9]{2}([T ][0-9:.]+(Z|[+-][0-9:]+))?$`
	quantilePattern = `^0\.[0-9]{1,6}$`
	codePattern     = `^[\p{L}\p{N}_.:-]{1,64}$`
)

func (p *Portal) table() []route {
	table := []route{
		{
			Path: "/api/v1/county", ID: "county", Summary: "Which county this node serves and what its data covers",
			Result: County{}, Problems: []int{503}, handle: p.county,
		},
		{
			Path: "/api/v1/metrics", ID: "metrics", Summary: "The definitions of the metrics",
			Result: []Definition{}, handle: p.definitions,
		},
		{
			Path: "/api/v1/metrics/{name}", ID: "metric", Summary: "One metric over cohorts: months of application, both ends included",
			Parameters: p.metricParameters(), Result: metrics.Result{}, MediaTypes: []string{"application/json", "text/csv"},
			Problems: []int{400, 404, 422, 503}, handle: p.metric,
		},
		p.eventsRoute(),
		p.processRoute(),
		{
			Path: "/api/v1/labels", ID: "labels", Summary: "Names of departments and service items",
			Result: Labels{}, Problems: []int{503}, handle: p.labels,
		},
		{
			Path: "/api/v1/flow", ID: "flow", Summary: "Health of the flow: lag, last load, quarantine, sources, engines",
			Result: Status{}, Problems: []int{503}, handle: p.flow,
		},
		{
			Path: "/openapi.json", ID: "openapi", Summary: "This document",
			Result: map[string]any{}, handle: p.openAPI,
		},
		{
			Path: "/healthz", ID: "healthz", Summary: "The process is alive",
			Result: Alive{}, handle: p.healthz,
		},
		{
			Path: "/readyz", ID: "readyz", Summary: "The engines and the flow work; otherwise the reasons",
			Result: Alive{}, Problems: []int{503}, handle: p.readyz,
		},
		{
			Path: "/metrics", ID: "prometheus", Summary: "Measurements of the node for Prometheus",
			MediaTypes: []string{"text/plain"},
			handle:     promhttp.HandlerFor(p.o.Registry, promhttp.HandlerOpts{Registry: p.o.Registry}).ServeHTTP,
		},
	}
	var doors []*door
	table = append(table, p.interventionRoutes()...)
	if p.o.Push != nil {
		table = append(table, p.pushRoute())
	}
	if p.o.Jobs != nil {
		table, doors = append(table, p.jobsTable()...), append(doors, p.operators)
	}
	if p.o.Review != nil {
		table, doors = append(table, p.reviewTable()...), append(doors, p.reviewers)
	}
	if p.share != nil {
		table = append(table, p.share.routes()...)
	}
	if p.o.Catalogue != nil {
		table = append(table, p.catalogueRoutes()...)
	}
	if p.requests != nil {
		table, doors = append(table, p.requests.routes()...), append(doors, p.requests.door)
	}
	if p.window != nil {
		table, doors = append(table, p.window.routes()...), append(doors, p.window.door)
	}
	if p.o.Supervision != nil {
		d := p.supervisionDoor()
		table, doors = append(table, p.supervisionRoutes(d)...), append(doors, d)
	}
	return append(table, p.signInRoutes(doors)...)
}

// reply writes a value as JSON. The ETag is of the content, so that a reload that finds the same figures moves no bytes.
func reply(w http.ResponseWriter, r *http.Request, v any) {
	var body bytes.Buffer
	encoder := json.NewEncoder(&body)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		panic(err) // the types of replies are ours and can be encoded
	}
	send(w, r, "application/json", body.Bytes())
}

func send(w http.ResponseWriter, r *http.Request, contentType string, body []byte) {
	sum := sha256.Sum256(body)
	etag := `W/"` + hex.EncodeToString(sum[:12]) + `"`
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Cache-Control", "no-cache")
	h.Set("Vary", "Accept")
	h.Set("ETag", etag)
	if r.Header.Get("If-None-Match") == etag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	if r.Method != http.MethodHead {
		w.Write(body)
	}
}

// unavailable is the answer to a fault behind the portal. Its cause goes to the log alone: what an engine says may quote
// data (I7).
func (p *Portal) unavailable(w http.ResponseWriter, r *http.Request, what string, err error) {
	if r.Context().Err() != nil {
		return // the client went away
	}
	p.log.Error("the portal cannot answer", "route", routeOf(r), "error", err)
	problem(http.StatusServiceUnavailable, codeUnavailable,
		what+" cannot be read at the moment. Try again shortly; /readyz says what is missing.").write(w)
}

func (p *Portal) county(w http.ResponseWriter, r *http.Request) {
	generation := p.o.Flow.Generation()
	extent, err := p.extent(r.Context())
	if err != nil {
		p.unavailable(w, r, "What the county's data covers", err)
		return
	}
	c := County{
		Division: p.o.County.Division, NameZh: p.o.County.NameZh, NameEn: p.o.County.NameEn, TimeZone: p.zone.String(),
		Version: p.o.Version, Empty: extent.Empty, Generation: generation, Review: p.o.Review != nil, Jobs: p.o.Jobs != nil,
		Evaluation: p.o.Register != nil, Catalogue: p.o.Catalogue != nil, Requests: p.o.Requests != nil, Supervision: p.o.Supervision != nil, Window: p.window != nil,
	}
	if !extent.Empty {
		asOf := extent.AsOf.In(p.zone)
		c.AsOf, c.FirstMonth, c.LastMonth = &asOf, extent.First.String(), extent.Last.String()
	}
	reply(w, r, c)
}

func (p *Portal) extent(ctx context.Context) (metrics.Extent, error) {
	return cached(ctx, p.figures, "extent", p.o.Figures.Extent)
}

func (p *Portal) labelsOf(ctx context.Context) (Labels, error) {
	return cached(ctx, p.figures, "labels", func(ctx context.Context) (l Labels, err error) {
		l.Departments, l.Items, err = p.o.Figures.Labels(ctx)
		return l, err
	})
}

func (p *Portal) labels(w http.ResponseWriter, r *http.Request) {
	l, err := p.labelsOf(r.Context())
	if err != nil {
		p.unavailable(w, r, "The names of departments and items", err)
		return
	}
	reply(w, r, Labels{orEmpty(l.Departments), orEmpty(l.Items)})
}

func (p *Portal) definitions(w http.ResponseWriter, r *http.Request) {
	list := []Definition{}
	for _, d := range p.o.Definitions.All() {
		list = append(list, definitionOf(d))
	}
	reply(w, r, list)
}

// orEmpty makes a list without entries [] in JSON, not null.
func orEmpty[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}
