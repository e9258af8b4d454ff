// Package portal is what people and systems see of a county node: the web dashboards (portal/web) and the HTTP API.
// It computes nothing and holds no SQL; it asks [Figures] and [Flow], and says what they answer.
//
// # What it promises
//
//   - I7: no identity number, name, phone or address in a URL, log line, metric label or error message. Filter values
//     are codes of dimensions, are checked against what the county has, and are never repeated in a message.
//   - I9: every figure names its metric's version and the moment at which open cases were censored.
//   - Whatever makes a job do something, and what jobs print, is for operators who have signed in.
//   - I8: personal records are shown in the review of identities alone, to reviewers who have signed in, and not before the
//     access log has taken who looked at whom.
//   - I10: the cache of figures and the number of figures computed at a time are bounded.
//
// # How it fails
//
//   - The address is taken: [Portal.Listen] returns an [AddressError].
//   - The engines are away: /readyz and the figures answer 503 with a sentence, the last figures on a screen stay and are
//     marked as stale; /healthz goes on answering 200.
//   - The access log does not take an access: the review answers 503 and shows nothing.
//   - The county's sign-on provider is away: a page says so; local accounts, and whoever has signed in, go on.
//   - The web application was not built: / is a page that says how to build it; the API works.
package portal

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/shirecounty/shire/pipeline/identity/review"
	"github.com/shirecounty/shire/portal/web"
	"github.com/shirecounty/shire/schemas/county"
	"github.com/shirecounty/shire/schemas/identity"
	"github.com/shirecounty/shire/schemas/metrics"
)

// Figures answers what the county's data says. A *metrics.InputError is a metric's refusal (metrics.Refuse); other errors
// are faults of the warehouse: the portal has checked the query.
type Figures interface {
	Extent(ctx context.Context) (metrics.Extent, error)
	Metric(ctx context.Context, q metrics.Query) (metrics.Result, error)
	Events(ctx context.Context, q metrics.EventsQuery) (metrics.Events, error)
	Labels(ctx context.Context) (departments, items []metrics.Label, err error)
	Interventions(ctx context.Context) ([]metrics.Intervention, error)
	Process(ctx context.Context, q metrics.ProcessQuery) (metrics.Process, error)
	// Changes tells what has changed in the county's records since a moment.
	Changes(ctx context.Context, since time.Time) ([]metrics.Restated, error)
}

// Flow tells how the data gets in.
type Flow interface {
	Status(ctx context.Context) (Status, error)
	// Generation changes with every completed load: figures of one generation stay as they are. It must be cheap.
	Generation() uint64
	// Ready is nil when the engines and the flow work. Several reasons are joined with errors.Join.
	Ready(ctx context.Context) error
}

// Options for [New]. County, Figures, Flow and Definitions are required.
type Options struct {
	County      county.County
	Version     string // of this program
	Figures     Figures
	Flow        Flow
	Definitions metrics.Set
	Registry    *prometheus.Registry // what /metrics shows; the portal adds its own metrics. nil: a new one
	Log         *slog.Logger         // nil: slog.Default()
	Listen      string               // host:port; "" is [DefaultListen]

	// The review of identities. Without Review there is none; with it, Reviewers and Accesses are required.
	Review    review.Desk
	Reviewers Accounts
	Accesses  Accesses
	Models    func(about string) *identity.Model // whose words the review shows; nil, or nil for an about: names as they are

	// Jobs shows how jobs stand, and lets operators do something about them; nil: no jobs are shown.
	Jobs *JobsOptions

	// Register tells what is claimed of what the county did; nil: nothing is.
	Register Register

	// Catalogue tells what the county can share; nil: nothing is told.
	Catalogue Catalogue
	// Requests lets departments ask each other for data; nil: they cannot.
	Requests *RequestsOptions
	// Supervision lets supervisors search the log of accesses; nil: nobody can. Accesses is required with it.
	Supervision *SupervisionOptions

	// Push takes what departments send by themselves; nil: nothing is taken.
	Push http.Handler

	// Sharing lets departments' systems read what they may; nil: nobody may.
	Sharing *SharingOptions

	// OIDC lets people sign in by the county's OpenID Connect provider too; nil: by local accounts alone.
	OIDC *county.OIDC

	// Window lets clerks ask what an applicant need not hand in; nil: they cannot. Sharing is required with it.
	Window *WindowOptions

	// TLS is the portal's certificate; nil: it speaks plain HTTP, and takes credentials from this machine alone.
	TLS *county.PortalTLS

	now   func() time.Time // nil: time.Now
	times *serverTimes     // nil: usualTimes
}

// DefaultListen is reached from this machine alone.
const DefaultListen = "127.0.0.1:8080"

// Portal is the HTTP server of a county node.
type Portal struct {
	o         Options
	log       *slog.Logger
	zone      *time.Location
	names     []string // of the metrics, in order
	figures   *figureCache
	measures  *measures
	reviewers *door // nil without the review
	operators *door // nil without jobs
	jobs      *jobsDesk
	share     *share        // nil without sharing
	tls       *tls.Config   // nil: plain HTTP
	requests  *requestsDesk // nil without requests
	signOn    *signOn       // nil without a provider
	window    *windowDesk   // nil without the window
	routes    []route
	handler   http.Handler

	serving     context.Context // ends when the portal is to stop: for answers that would go on
	stopServing context.CancelFunc

	mu       sync.Mutex // guards listener
	listener net.Listener
}

// New makes a portal. It opens no socket: see [Portal.Listen] and [Portal.Serve].
func New(o Options) (*Portal, error) {
	if o.Figures == nil || o.Flow == nil {
		return nil, errors.New("portal.Options: Figures and Flow are required")
	}
	if len(o.Definitions) == 0 {
		return nil, errors.New("portal.Options.Definitions: there is no metric")
	}
	zone, err := time.LoadLocation(o.County.TimeZone)
	if err != nil {
		return nil, fmt.Errorf("portal.Options.County: time zone: %w", err)
	}
	if o.Listen == "" {
		o.Listen = DefaultListen
	}
	host, _, err := net.SplitHostPort(o.Listen)
	if err != nil {
		return nil, &AddressError{Address: o.Listen, Err: err}
	}
	if o.Registry == nil {
		o.Registry = prometheus.NewRegistry()
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.Review != nil && (o.Reviewers == nil || o.Accesses == nil) {
		return nil, errors.New("portal.Options.Review: the review shows personal data; Reviewers and Accesses are required with it")
	}
	if j := o.Jobs; j != nil && (j.Jobs == nil || j.Runs == nil || j.Orders == nil || j.Backfills == nil || j.Operators == nil) {
		return nil, errors.New("portal.Options.Jobs: all of its parts are required")
	}
	if q := o.Requests; q != nil && (q.Exchange == nil || q.Officers == nil || q.World == nil || q.Rules == nil || q.Calendar == nil) {
		return nil, errors.New("portal.Options.Requests: Exchange, Officers, World, Rules and Calendar are required")
	}
	if v := o.Supervision; v != nil && (v.Log == nil || v.Supervisors == nil || o.Accesses == nil) {
		return nil, errors.New("portal.Options.Supervision: Log and Supervisors are required, and Accesses with them")
	}
	if o.now == nil {
		o.now = time.Now
	}
	p := &Portal{o: o, log: o.Log, zone: zone, figures: newFigureCache(o.Flow.Generation)}
	if o.OIDC != nil {
		if p.signOn, err = newSignOn(o.OIDC, o.now, o.Log); err != nil {
			return nil, err
		}
	}
	if o.Review != nil {
		p.reviewers = p.reviewDoor()
	}
	p.serving, p.stopServing = context.WithCancel(context.Background())
	if o.Jobs != nil {
		p.operators = p.operatorsDoor()
		p.jobs = newJobsDesk(p, p.operators)
	}
	if o.TLS != nil {
		if p.tls, err = tlsConfig(o.TLS); err != nil {
			return nil, err
		}
	}
	if o.Sharing != nil {
		if p.share, err = newShare(p); err != nil {
			return nil, err
		}
	}
	if o.Requests != nil {
		p.requests = p.newRequestsDesk()
	}
	if o.Window != nil {
		if p.window, err = p.newWindowDesk(); err != nil {
			return nil, err
		}
	}
	p.names = o.Definitions.Names()
	if p.measures, err = newMeasures(o.Registry); err != nil {
		return nil, err
	}
	p.routes = p.table()
	mux := http.NewServeMux()
	handle := func(path string, handler http.HandlerFunc) { mux.Handle(path, p.measures.observe(path, handler)) }
	operations := map[string]map[string]http.HandlerFunc{} // by path and method
	for _, r := range p.routes {
		if operations[r.Path] == nil {
			operations[r.Path] = map[string]http.HandlerFunc{}
		}
		operations[r.Path][r.method()] = r.handle
	}
	for path, methods := range operations {
		handle(path, byMethod(methods))
	}
	pages := newStatic(web.Dist())
	handle("/figures", onlyReading(pages.index)) // /metrics is Prometheus's
	handle("/process", onlyReading(pages.index))
	if o.Review != nil {
		handle("/review", onlyReading(pages.index))
	} else {
		handle("/api/v1/review/", noReview)
	}
	if o.Register != nil {
		handle("/evaluation", onlyReading(pages.index))
	}
	if o.Jobs != nil {
		handle("/jobs", onlyReading(pages.index))
	} else {
		handle("/api/v1/jobs", noJobs)
		handle("/api/v1/jobs/", noJobs)
	}
	if o.Catalogue != nil {
		handle("/catalogue", onlyReading(pages.index))
	}
	if o.Requests != nil {
		handle("/sharing", onlyReading(pages.index))
	} else {
		handle("/api/v1/requests", noRequests)
		handle("/api/v1/requests/", noRequests)
	}
	if o.Supervision != nil {
		handle("/supervision", onlyReading(pages.index))
	}
	if o.Window != nil {
		handle("/window", onlyReading(pages.index))
	}
	handle("/", onlyReading(pages.ServeHTTP))
	p.handler = p.guard(mux, isLoopback(host))
	return p, nil
}

// Handler is the whole portal, for a server of the caller's own.
func (p *Portal) Handler() http.Handler { return p.handler }

// isLoopback says whether only this machine reaches the host that the portal listens on.
func isLoopback(host string) bool {
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}
