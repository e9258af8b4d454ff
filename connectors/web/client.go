package web

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"
)

// client asks one service. It is made anew for every run.
type client struct {
	settings
	web    *http.Client
	sign   signer
	now    func() time.Time
	wait   func(context.Context, time.Duration)
	closed func()
}

// refusal is an answer that cannot be used, or a service that will not answer. The message is for the operator and holds
// nothing of a record (I7).
type refusal struct{ problem, message string }

func (r *refusal) Error() string { return r.problem + ": " + r.message }

func refuse(problem, format string, args ...any) error {
	return &refusal{problem, fmt.Sprintf(format, args...)}
}

// status is a refusal with the status of the answer.
type status struct {
	refusal
	code int
}

func (s *status) Error() string { return s.refusal.Error() }
func (s *status) Unwrap() error { return &s.refusal }

func newClient(s settings) (*client, error) {
	transport := &http.Transport{
		// No proxy but the one that is named: variables of the environment must not send a department's data elsewhere.
		Proxy:                  nil,
		DialContext:            (&net.Dialer{Timeout: s.Timeout}).DialContext,
		TLSHandshakeTimeout:    s.Timeout,
		ResponseHeaderTimeout:  s.Timeout,
		IdleConnTimeout:        90 * time.Second,
		MaxIdleConnsPerHost:    2,
		MaxResponseHeaderBytes: 256 << 10,
		ForceAttemptHTTP2:      true,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12},
	}
	if s.Proxy != nil {
		transport.Proxy = http.ProxyURL(s.Proxy)
	}
	if s.CA != "" {
		pem, err := os.ReadFile(s.CA)
		if err != nil {
			return nil, fmt.Errorf("with.tls.ca cannot be read: %w", err)
		}
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(pem) {
			return nil, errors.New("with.tls.ca holds no certificate in PEM; give the file of the authority that signed the service's certificate")
		}
		transport.TLSClientConfig.RootCAs = pool
	}
	if s.Cert != "" {
		pair, err := tls.LoadX509KeyPair(s.Cert, s.Key)
		if err != nil {
			return nil, fmt.Errorf("with.tls.cert and key cannot be used: %w", err)
		}
		transport.TLSClientConfig.Certificates = []tls.Certificate{pair}
	}
	sign, err := newSigner(s.Auth, transport)
	if err != nil {
		return nil, err
	}
	return &client{
		settings: s, sign: sign, closed: transport.CloseIdleConnections,
		web: &http.Client{Transport: transport, CheckRedirect: sameHost},
	}, nil
}

// errElsewhere ends a redirect that would take the credentials, and the question, to somebody else.
type errElsewhere struct{ host string }

func (e *errElsewhere) Error() string { return "redirected to " + e.host }

func sameHost(req *http.Request, via []*http.Request) error {
	if first := via[0].URL; req.URL.Scheme != first.Scheme || req.URL.Host != first.Host {
		return &errElsewhere{req.URL.Scheme + "://" + req.URL.Host}
	}
	if len(via) >= 5 {
		return errors.New("redirected five times")
	}
	return nil
}

// attempts is how often a service that says that it is busy is asked before the run ends.
const attempts = 8

// get asks until there is an answer: 2xx or 304. Its body must be closed. A refusal is an answer too, and final; any other
// error may pass. busy is told when the service wants to be left alone.
func (c *client) get(ctx context.Context, u *url.URL, header http.Header, busy func(code int, pause time.Duration)) (*http.Response, error) {
	renewed := false
	for attempt := 0; ; attempt++ {
		resp, err := c.once(ctx, u, header)
		if err != nil {
			return nil, err
		}
		switch code := resp.StatusCode; {
		case code >= 200 && code < 300, code == http.StatusNotModified:
			return resp, nil
		case code == http.StatusUnauthorized && !renewed && c.sign.renew():
			renewed = true // the token ended before its time; a new one is tried once
			discard(resp)
		case (code == http.StatusTooManyRequests || code == http.StatusServiceUnavailable) && attempt+1 < attempts:
			pause := c.pause(resp, attempt)
			discard(resp)
			if busy != nil {
				busy(code, pause)
			}
			if c.wait(ctx, pause); ctx.Err() != nil {
				return nil, ctx.Err()
			}
		default:
			discard(resp)
			return nil, unusable(code)
		}
	}
}

func unusable(code int) error {
	text := strconv.Itoa(code)
	if name := http.StatusText(code); name != "" {
		text += " " + name
	}
	var say string
	switch {
	case code >= 500 || code == http.StatusTooManyRequests:
		return fmt.Errorf("the service answers %s; it is asked again later", text)
	case code == http.StatusUnauthorized || code == http.StatusForbidden:
		say = "the service answers %s: check the credentials under auth: and what the department has granted them"
	case code == http.StatusNotFound || code == http.StatusGone:
		say = "the service answers %s: check url: and path:, or ask the department where the list is now"
	case code >= 300 && code < 400:
		say = "the service answers %s and says nothing of where to: check url: and path:"
	default:
		say = "the service answers %s: check query: and pagination: against the service's documentation"
	}
	return &status{refusal{"status_" + strconv.Itoa(code), fmt.Sprintf(say, text)}, code}
}

func (c *client) once(ctx context.Context, u *url.URL, header http.Header) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, errors.New("the address cannot be asked: check url and path")
	}
	req.Header = c.Headers.Clone()
	if req.Header.Get("Accept") == "" {
		req.Header.Set("Accept", "application/json, application/x-ndjson;q=0.9")
	}
	req.Header.Set("User-Agent", "shire")
	for k, v := range header {
		req.Header[k] = v
	}
	if err := c.sign.sign(ctx, req); err != nil {
		return nil, err
	}
	resp, err := c.web.Do(req)
	if err != nil {
		return nil, c.plain(err)
	}
	return resp, nil
}

// plain is a transport's error without the address: its query may hold a key, its path the key of a record (I7).
func (c *client) plain(err error) error {
	var elsewhere *errElsewhere
	if errors.As(err, &elsewhere) {
		return refuse("redirect_refused", "the service redirects to %s, and nothing is sent to another host; if it has moved, write its new address under url:", elsewhere.host)
	}
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	var unknown x509.UnknownAuthorityError
	if errors.As(err, &unknown) {
		return refuse("certificate_unknown", "the certificate of %s is signed by an authority that is not known here; name its file under tls: {ca: ...}", c.Base.Host)
	}
	return fmt.Errorf("the service at %s cannot be asked: %w", c.Base.Host, err)
}

// pause is what Retry-After asks for, within max_wait; without one it doubles, with jitter, so that several clients that
// were sent away together do not come back together.
func (c *client) pause(resp *http.Response, attempt int) time.Duration {
	asked, ok := retryAfter(resp.Header, c.now())
	if !ok {
		base := time.Second << min(attempt, 6)
		asked = base/2 + rand.N(base)
	}
	return min(max(asked, time.Second), c.MaxWait)
}

// retryAfter reads the seconds or the date of Retry-After. A date is compared with the service's own clock, if it tells.
func retryAfter(h http.Header, now time.Time) (time.Duration, bool) {
	text := strings.TrimSpace(h.Get("Retry-After"))
	if seconds, err := strconv.ParseInt(text, 10, 32); err == nil && seconds >= 0 {
		return time.Duration(seconds) * time.Second, true
	}
	at, err := http.ParseTime(text)
	if err != nil {
		return 0, false
	}
	if date, err := http.ParseTime(h.Get("Date")); err == nil {
		now = date
	}
	return max(at.Sub(now), 0), true
}

// discard reads a little of what is left, so that the connection can be used again, and closes it.
func discard(resp *http.Response) {
	_, _ = io.CopyN(io.Discard, resp.Body, 64<<10) // what fails here fails again with the next request
	resp.Body.Close()
}

var (
	errTooLarge  = errors.New("the response is larger than max_response")
	errRecord    = errors.New("a record is larger than max_record")
	errSilent    = errors.New("the service said nothing for longer than timeout")
	errTruncated = errors.New("the response ends before it is complete")
)

// bounded reads a body within its limits (I10).
type bounded struct {
	body      io.Reader
	timeout   time.Duration
	cancel    context.CancelCauseFunc // of the request
	cause     func() error
	read, max int64
}

func (b *bounded) Read(p []byte) (int, error) {
	if b.read > b.max {
		return 0, errTooLarge
	}
	// The time that it takes until somebody reads on does not count: a full buffer slows its producer, and it must not be
	// cut off for that.
	timer := time.AfterFunc(b.timeout, func() { b.cancel(errSilent) })
	n, err := b.body.Read(p)
	timer.Stop()
	b.read += int64(n)
	if err != nil && err != io.EOF {
		if cause := b.cause(); errors.Is(cause, errSilent) {
			err = errSilent
		} else if errors.Is(err, io.ErrUnexpectedEOF) {
			err = errTruncated
		}
	}
	return n, err
}

// read takes a response apart, within the limits. ctx is that of the request, cancel ends it.
func (c *client) read(ctx context.Context, cancel context.CancelCauseFunc, resp *http.Response, b *body, lines bool) error {
	if resp.StatusCode == http.StatusNoContent {
		b.there, b.found = true, map[string]string{}
		return nil
	}
	limits := &bounded{body: resp.Body, timeout: c.Timeout, cancel: cancel, cause: func() error { return context.Cause(ctx) }, max: int64(c.MaxResponse)}
	return b.read(limits, resp.Header.Get("Content-Type"), lines, c.MaxRecord)
}

// elsewhere tells whether an address leads to another host than the service's.
func (c *client) elsewhere(u *url.URL) bool {
	return u.Scheme != c.Base.Scheme || !strings.EqualFold(u.Host, c.Base.Host)
}
