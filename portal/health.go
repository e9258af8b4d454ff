package portal

import (
	"context"
	"net/http"
	"time"
)

// healthTimeout bounds what a probe waits for: it must answer while an engine hangs.
const healthTimeout = 3 * time.Second

func (p *Portal) flow(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), healthTimeout)
	defer cancel()
	generation := p.o.Flow.Generation()
	s, err := p.o.Flow.Status(ctx)
	if err != nil {
		p.unavailable(w, r, "The health of the flow", err)
		return
	}
	s.Generation = generation
	s.ByOwner, s.Identities, s.Sources, s.Drift, s.Engines = orEmpty(s.ByOwner), orEmpty(s.Identities), orEmpty(s.Sources), orEmpty(s.Drift), orEmpty(s.Engines)
	reply(w, r, s)
}

func (p *Portal) healthz(w http.ResponseWriter, r *http.Request) { reply(w, r, Alive{Status: "ok"}) }

func (p *Portal) readyz(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), healthTimeout)
	defer cancel()
	err := p.o.Flow.Ready(ctx)
	if err == nil {
		reply(w, r, Alive{Status: "ok"})
		return
	}
	answer := problem(http.StatusServiceUnavailable, codeNotReady, "The node is not ready; errors gives the reasons.")
	answer.Errors = reasons(err)
	answer.write(w)
}

// reasons takes apart what errors.Join put together.
func reasons(err error) []string {
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return []string{err.Error()}
	}
	var list []string
	for _, e := range joined.Unwrap() {
		list = append(list, reasons(e)...)
	}
	return list
}
