package portal

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/shirecounty/shire/pipeline/disclosure"
	"github.com/shirecounty/shire/portal/callers"
	"github.com/shirecounty/shire/schemas/contract"
	"github.com/shirecounty/shire/schemas/county"
	"github.com/shirecounty/shire/schemas/pseudonym"
)

// The sharing interface is where departments' systems read what the county holds on a person (share_*.go). It decides nothing on who
// may see what: that is the desk's (pipeline/disclosure). What is decided here is whose system calls, whether what it sends can be
// read in one way only, and whether it asks for more people than anybody has cases.

// Desk shows records to those who may see them, and has written down who looked before it shows anything (I8). Its errors are
// *disclosure.Denied, *disclosure.Mistake and *disclosure.Unavailable.
type Desk interface {
	Person(ctx context.Context, r disclosure.Reader, id pseudonym.ID) (*disclosure.Person, error)
	Lookup(ctx context.Context, r disclosure.Reader, a disclosure.Attributes) (*disclosure.Person, error)
	Record(ctx context.Context, r disclosure.Reader, department, dataset, key string, fields []string) (*disclosure.Record, error)
	Accesses(ctx context.Context, r disclosure.Reader, id pseudonym.ID) ([]disclosure.Access, error)
}

// PrefillDesk tells which materials of a case need not be handed in.
type PrefillDesk interface {
	Prefill(ctx context.Context, r disclosure.Reader, person pseudonym.ID, materials []string) (*disclosure.Prefill, error)
	Use(ctx context.Context, r disclosure.Reader, prefill, material string) error
	Decline(ctx context.Context, r disclosure.Reader, prefill, material, reason string) error
}

// Callers tells whose system calls.
type Callers interface {
	Who(*http.Request) (callers.Caller, *callers.Refusal)
	Names() []string
}

// SharingOptions are what the sharing interface needs. All are required but those of which another thing is said.
type SharingOptions struct {
	Desk        Desk
	Prefill     PrefillDesk
	Callers     Callers
	Corrections Corrections // nil where errors cannot be reported
	Accesses    Accesses    // takes down that a client was stopped, or let go on
	Contracts   contract.Set
	Limits      county.SharingLimits
}

// answerTimeout bounds one read. The access log alone may take 8 s when the bus is slow.
const answerTimeout = 15 * time.Second

// share is the sharing interface.
type share struct {
	o     SharingOptions
	log   *slog.Logger
	now   func() time.Time
	watch *watch
	tries *tries // calls that proved no client

	calls *prometheus.CounterVec
	stops *prometheus.CounterVec
}

func newShare(p *Portal) (*share, error) {
	o := *p.o.Sharing
	if o.Desk == nil || o.Prefill == nil || o.Callers == nil || o.Accesses == nil {
		return nil, errors.New("portal.Options.Sharing: all of its parts are required")
	}
	s := &share{o: o, log: p.log, now: p.o.now, watch: newWatch(o.Limits, o.Callers.Names(), p.o.now), tries: newTries(p.o.now)}
	s.calls = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "shire_sharing_calls_total", Help: "Calls of the sharing interface, by client, operation and what became of them; the client is empty where none was proven.",
	}, []string{"client", "operation", "outcome"})
	s.stops = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "shire_sharing_stops_total", Help: "How often a client of the sharing interface was stopped, by what it asked too much of.",
	}, []string{"client", "reason"})
	stopped := prometheus.NewDesc("shire_sharing_client_stopped", "1 while a client of the sharing interface is stopped because it asked for too many people.", []string{"client"}, nil)
	for _, c := range []prometheus.Collector{s.calls, s.stops, &stoppedCollector{stopped, s.watch}} {
		if err := p.o.Registry.Register(c); err != nil {
			return nil, err
		}
	}
	return s, nil
}

type stoppedCollector struct {
	desc  *prometheus.Desc
	watch *watch
}

func (c *stoppedCollector) Describe(out chan<- *prometheus.Desc) { out <- c.desc }

func (c *stoppedCollector) Collect(out chan<- prometheus.Metric) {
	for _, s := range c.watch.states() {
		v := 0.0
		if s.StoppedUntil != nil {
			v = 1
		}
		out <- prometheus.MustNewConstMetric(c.desc, prometheus.GaugeValue, v, s.Client)
	}
}

// client lets a client's system through, at the pace that it may have, and answers with what next returns: a value, or nil for an
// answer without one, or an error.
func (s *share) client(operation string, next func(r *http.Request, c callers.Caller) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		caller, refusal := s.o.Callers.Who(r)
		if refusal != nil {
			s.turnAway(w, r, operation, refusal)
			return
		}
		s.answer(w, r, operation, counted{s.watch, caller.Client, caller.Client}, s.problem, func(r *http.Request) (any, error) { return next(r, caller) })
	}
}

// turnAway answers a call that proved no client. Where such calls come from one address again and again, they have to wait longer
// and longer, and are not logged while they do. Calls that prove a client never wait for it: departments come through one gateway,
// where anybody could shut the others out, and credentials are too long to be guessed at any pace.
func (s *share) turnAway(w http.ResponseWriter, r *http.Request, operation string, refusal *callers.Refusal) {
	from := networkOf(r.RemoteAddr)
	if refusal.Status != http.StatusServiceUnavailable { // whose fault it is, is not known
		if wait := s.tries.begin(tryOf("address", from, freeByAddress)); wait > 0 {
			s.count("", operation, codeTooManyTries)
			late := &waitError{wait: wait}
			w.Header().Set("Retry-After", late.seconds())
			problem(http.StatusTooManyRequests, codeTooManyTries, "Calls from this address have shown no valid credentials too often. Try again in "+late.seconds()+" s; calls with a client's credentials are answered all the while.").
				zh("该地址多次未能出示有效凭证，请在 " + late.seconds() + " 秒后再试；其间持有效凭证的调用照常答复。").write(w)
			return
		}
	}
	s.count("", operation, refusal.Code)
	s.log.Warn("a caller of the sharing interface was not let in", "operation", operation, "from", from, "error", refusal)
	if refusal.Status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", callers.Challenge)
	}
	problem(refusal.Status, refusal.Code, refusal.En).zh(refusal.Zh).write(w)
}

// counted is who asks, as a watch knows them and as measurements name them.
type counted struct {
	watch  *watch
	name   string // in the watch
	client string // in measurements: never the name of a person (I7)
}

// answer answers a call at the pace that its caller may have; in says an error in words.
func (s *share) answer(w http.ResponseWriter, r *http.Request, operation string, who counted, in func(*http.Request, error) *Problem, next func(*http.Request) (any, error)) {
	leave, err := who.watch.enter(who.name)
	var v any
	if err == nil {
		defer leave()
		ctx, cancel := context.WithTimeout(r.Context(), answerTimeout)
		defer cancel()
		r = r.WithContext(ctx)
		r.Body = http.MaxBytesReader(w, r.Body, mostShareBody)
		v, err = next(r)
	}
	if err != nil {
		p := in(r, err)
		s.count(who.client, operation, p.Code)
		var wait *waitError
		if errors.As(err, &wait) {
			w.Header().Set("Retry-After", wait.seconds())
		}
		p.write(w)
		return
	}
	s.count(who.client, operation, "ok")
	if v == nil {
		w.Header().Set("Cache-Control", "no-store")
		w.WriteHeader(http.StatusNoContent)
		return
	}
	replyPrivately(w, v)
}

func (s *share) count(client, operation, outcome string) {
	s.calls.WithLabelValues(client, operation, outcome).Inc()
}

// read does one read, and has the watch see whom it is about and whether it missed. about is never kept: see [watch].
func read[T any](s *share, r *http.Request, reader disclosure.Reader, about string, do func(ctx context.Context) (T, error)) (v T, err error) {
	return readAs(s, r, counted{s.watch, reader.Client, reader.Client}, reader, about, do)
}

func readAs[T any](s *share, r *http.Request, who counted, reader disclosure.Reader, about string, do func(ctx context.Context) (T, error)) (v T, err error) {
	if err := s.noted(r, reader, who.watch.about(who.name, about)); err != nil {
		return v, err
	}
	v, err = do(r.Context())
	var denied *disclosure.Denied
	if errors.As(err, &denied) && missed[denied.Code] {
		if stop := s.noted(r, reader, who.watch.missed(who.name)); stop != nil {
			return v, stop
		}
	}
	return v, err
}

// noted writes down that a client was stopped just now.
func (s *share) noted(r *http.Request, reader disclosure.Reader, err error) error {
	var stop *stopError
	if !errors.As(err, &stop) || !stop.now {
		return err
	}
	s.stops.WithLabelValues(reader.Client, stop.reason).Inc()
	s.log.Error("a client asks for too many people and was stopped; shire clients lift NAME lets a client of the sharing interface go on", "client", reader.Client, "department", reader.Department, "reason", stop.reason, "until", stop.until)
	s.writeDown(context.WithoutCancel(r.Context()), Access{Caller: reader.Department + "/" + reader.Client, Clerk: reader.Clerk, Purpose: "protection", Decision: "stopped", Reason: stop.reason})
	return err
}

// writeDown tells the access log what became of a client. The client is stopped in any case.
func (s *share) writeDown(ctx context.Context, a Access) {
	a.At = s.now().UTC()
	if err := s.o.Accesses.Record(ctx, a); err != nil {
		s.log.Error("the access log does not take what became of a client", "decision", a.Decision, "error", err)
	}
}

// ClientState is how a client of the sharing interface stands.
type ClientState struct {
	Client       string     `json:"client"`
	Persons      int        `json:"persons"` // distinct persons, records and lookups within the window
	Misses       int        `json:"misses"`  // within the window
	StoppedUntil *time.Time `json:"stopped_until,omitempty"`
	Reason       string     `json:"reason,omitempty"` // persons or misses
}

// Clients tells how the clients of the sharing interface stand, in the order of county.yaml.
func (p *Portal) Clients() []ClientState {
	if p.share == nil {
		return nil
	}
	return p.share.watch.states()
}

// Lift lets a client go on that was stopped, in an operator's name.
func (p *Portal) Lift(ctx context.Context, client, operator string) error {
	if p.share == nil {
		return errors.New("county.yaml names no sharing.clients")
	}
	if err := p.share.watch.lift(client); err != nil {
		return err
	}
	p.log.Info("a client of the sharing interface may go on", "client", client)
	a := Access{At: p.o.now().UTC(), Caller: client, Clerk: operator, Purpose: "protection", Decision: "lifted"}
	if err := p.o.Sharing.Accesses.Record(ctx, a); err != nil {
		return fmt.Errorf("the client %s may go on, but the access log did not take it: %w", client, err)
	}
	return nil
}
