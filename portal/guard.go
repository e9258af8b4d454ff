package portal

import (
	"maps"
	"net"
	"net/http"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// The application asks nobody but this server. ECharts and its tooltip set style attributes; style sheets are ours alone.
const contentSecurityPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; style-src-attr 'unsafe-inline'; " +
	"img-src 'self' data:; font-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// guard is around every route: the headers that browsers obey, the check of the Host header, and the last resort.
func (p *Portal) guard(next http.Handler, loopback bool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", contentSecurityPolicy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=()")

		// A body in chunks may have had a length beside it, of which net/http says nothing: a proxy that went by the length would
		// take what lies behind for the body, and the portal for another request (smuggling). Nothing is read behind it.
		if len(r.TransferEncoding) > 0 {
			h.Set("Connection", "close")
		}

		defer func() {
			if v := recover(); v != nil {
				if v == http.ErrAbortHandler {
					panic(v)
				}
				p.log.Error("a request made the portal panic", "path", routeOf(r), "panic", v, "stack", string(debug.Stack()))
				problem(http.StatusInternalServerError, codeInternal,
					"The portal made a mistake with this request. The log of the node says more.").write(w)
			}
		}()

		// A page of another site can make a browser look up its own name as 127.0.0.1 (DNS rebinding) and would then read
		// what only this machine may read; its Host header gives it away.
		if loopback && !isLoopback(hostName(r.Host)) {
			problem(http.StatusMisdirectedRequest, codeWrongHost,
				"This portal listens on this machine alone and answers to localhost and 127.0.0.1 only. "+
					"To serve it under another name, set portal.listen in county.yaml.").write(w)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func hostName(hostPort string) string {
	if host, _, err := net.SplitHostPort(hostPort); err == nil {
		return host
	}
	if n := len(hostPort); n > 2 && hostPort[0] == '[' && hostPort[n-1] == ']' {
		return hostPort[1 : n-1]
	}
	return hostPort
}

// onlyReading lets GET and HEAD through.
func onlyReading(next http.HandlerFunc) http.HandlerFunc {
	return byMethod(map[string]http.HandlerFunc{http.MethodGet: next})
}

// byMethod lets the methods through that an address has. What can be got can be asked for its head.
func byMethod(handlers map[string]http.HandlerFunc) http.HandlerFunc {
	allowed := slices.Sorted(maps.Keys(handlers))
	detail := "This address takes " + strings.Join(allowed, ", ") + " alone."
	if get := handlers[http.MethodGet]; get != nil {
		if len(allowed) == 1 {
			detail = "This address can only be read: use GET."
		}
		handlers[http.MethodHead] = get
		allowed = slices.Sorted(maps.Keys(handlers))
	}
	return func(w http.ResponseWriter, r *http.Request) {
		handler := handlers[r.Method]
		if handler == nil {
			w.Header().Set("Allow", strings.Join(allowed, ", "))
			problem(http.StatusMethodNotAllowed, codeMethod, detail).write(w)
			return
		}
		handler(w, r)
	}
}

// measures are the portal's own Prometheus metrics. Their labels are patterns of routes, never what a caller wrote (I7).
type measures struct {
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
}

func newMeasures(registry prometheus.Registerer) (*measures, error) {
	m := &measures{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "shire_portal_requests_total", Help: "Requests that the portal answered, by route and status.",
		}, []string{"route", "status"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "shire_portal_request_seconds", Help: "Time that the portal took to answer, by route.",
			Buckets: []float64{.001, .005, .025, .1, .25, .5, 1, 2.5, 10},
		}, []string{"route"}),
	}
	for _, c := range []prometheus.Collector{m.requests, m.seconds} {
		if err := registry.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

func (m *measures) observe(route string, next http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		started := time.Now()
		recorder := &statusRecorder{ResponseWriter: w, status: http.StatusOK}
		next(recorder, r)
		m.seconds.WithLabelValues(route).Observe(time.Since(started).Seconds())
		m.requests.WithLabelValues(route, strconv.Itoa(recorder.status)).Inc()
	})
}

type statusRecorder struct {
	http.ResponseWriter
	status int
}

func (s *statusRecorder) WriteHeader(status int) {
	s.status = status
	s.ResponseWriter.WriteHeader(status)
}

func (s *statusRecorder) Unwrap() http.ResponseWriter { return s.ResponseWriter }

// routeOf is what may be logged of a request: the pattern that it matched, never its path or query (I7).
func routeOf(r *http.Request) string {
	if r.Pattern == "" {
		return "(no route)"
	}
	return r.Pattern
}
