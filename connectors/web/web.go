// Package web pulls records from a department's web service: a list of JSON records, all at once or page after page, of
// everything, of what changed since a time, or of a feed that goes on.
//
// A pass reads the list from where it has to be read. Every record is compared with what the bus holds (ledger.go) and only
// what differs is said, so that a service may repeat, reorder and overlap its pages at will, and a pass that broke off is
// simply read again. A pass that ended well says more: up to when everything has been read, and, where the list is the whole
// dataset, what was deleted.
//
// What is remembered is rebuilt from the bus when it is lost.
package web

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/shirecounty/shire/connectors"
)

func init() { connectors.Register("http", New) }

// Connector reads one service.
type Connector struct {
	connectors.Settings
	settings settings

	now  func() time.Time
	wait func(context.Context, time.Duration)

	told map[string]bool // problems that stand, by dataset and code, also from one run to the next

	mu    sync.Mutex // guards what follows
	asked []*resend  // records that are to be said again
	wake  chan struct{}
}

var (
	_ connectors.Connector = (*Connector)(nil)
	_ connectors.Surveyor  = (*Connector)(nil)
	_ connectors.Resender  = (*Connector)(nil)
)

// New makes the connector of a source of kind "http". The error is document.Problems.
func New(s connectors.Settings) (connectors.Connector, error) {
	parsed, err := decodeSettings(s)
	if err != nil {
		return nil, err
	}
	return &Connector{Settings: s, settings: parsed, now: time.Now, wait: wait, told: map[string]bool{}, wake: make(chan struct{}, 1)}, nil
}

func wait(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

func (c *Connector) client() (*client, error) {
	web, err := newClient(c.settings)
	if err != nil {
		return nil, fmt.Errorf("source %s: %w", c.Source.Name, err)
	}
	web.now, web.wait = c.now, c.wait
	return web, nil
}

// Run implements connectors.Connector. With follow, a service that refuses is asked again with the next poll; without, the
// other datasets are read and the refusals returned.
func (c *Connector) Run(ctx context.Context, out connectors.Outlet, follow bool) error {
	err := c.run(ctx, out, follow)
	if follow && ctx.Err() != nil {
		// The end of a followed source: what was appended is made safe, then the run has ended well.
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		return out.Flush(last)
	}
	if err != nil {
		c.answerAll(err)
	}
	return err
}

func (c *Connector) run(ctx context.Context, out connectors.Outlet, follow bool) error {
	web, err := c.client()
	if err != nil {
		return err
	}
	defer web.closed()
	l, err := openLedger(c.StateDir)
	if err != nil {
		return fmt.Errorf("source %s: %w", c.Source.Name, err)
	}
	defer l.close()
	r := &run{Connector: c, client: web, out: out, datasets: map[string]*reading{}}
	for _, e := range c.settings.Endpoints {
		d, err := r.begin(ctx, l, e)
		if err != nil {
			return fmt.Errorf("source %s, dataset %s: %w", c.Source.Name, e.Dataset.Name, err)
		}
		r.datasets[e.Dataset.Name] = d
	}
	r.warnOfPlainText()
	for {
		var refusals []error
		for _, e := range c.settings.Endpoints {
			if err := r.poll(ctx, r.datasets[e.Dataset.Name]); err != nil {
				var no *refusal
				if !errors.As(err, &no) {
					return fmt.Errorf("source %s, dataset %s: %w", c.Source.Name, e.Dataset.Name, err)
				}
				refusals = append(refusals, fmt.Errorf("source %s, dataset %s: %w", c.Source.Name, e.Dataset.Name, err))
			}
		}
		if err := r.answer(ctx, nil); err != nil {
			return err
		}
		if !follow {
			return errors.Join(refusals...)
		}
		for next := r.now().Add(c.settings.Poll); ctx.Err() == nil && r.now().Before(next); {
			r.idle(ctx, next.Sub(r.now()))
			if err := r.answer(ctx, nil); err != nil {
				return err
			}
		}
		if ctx.Err() != nil {
			return nil
		}
	}
}

// idle waits for the next poll, or until somebody wants records again.
func (r *run) idle(ctx context.Context, d time.Duration) {
	waiting, stop := context.WithCancel(ctx)
	defer stop()
	woken := make(chan struct{})
	go func() {
		defer close(woken)
		select {
		case <-r.wake:
			stop()
		case <-waiting.Done():
		}
	}()
	r.wait(waiting, d)
	stop()
	<-woken
}

// run is one call of Run.
type run struct {
	*Connector
	client   *client
	out      connectors.Outlet
	datasets map[string]*reading
}

// poll reads a dataset until nothing is left to be read. A refusal has been told.
func (r *run) poll(ctx context.Context, d *reading) error {
	err := d.passes(ctx)
	var no *refusal
	if err == nil || !errors.As(err, &no) {
		return err
	}
	// What was said before stands, and is folded: the page is read again, and nothing of it said twice.
	if err := d.settle(ctx); err != nil {
		return err
	}
	d.notice(no.problem, no.message)
	return err
}

// notices are worth a look, but leave nothing unread that was meant to be read.
var notices = map[string]bool{"plain_text": true, "busy": true, "duplicate_keys": true, "cursor_expired": true, "time_missing": true}

// lasting problems are those of a pass over everything: one that reads changes alone cannot see that they are gone.
var lasting = map[string]bool{"too_many_deletions": true, "deletions_held": true, "duplicate_keys": true, "page_repeated": true}

// solve takes back what does not stand any more after a pass that ended well.
func (d *reading) solve(whole bool) {
	for _, id := range slices.Sorted(maps.Keys(d.told)) {
		problem, mine := strings.CutPrefix(id, d.Dataset.Name+"/")
		if !mine || d.again[problem] && problem != "busy" || lasting[problem] && !whole {
			continue
		}
		delete(d.told, id)
		d.Notify(connectors.Event{Source: d.Source.Name, Dataset: d.Dataset.Name, Unit: d.Path, Problem: problem, Message: "solved", Solved: true})
	}
	clear(d.again)
}

// warnOfPlainText says that credentials and records travel unencrypted, unless they stay on this machine.
func (r *run) warnOfPlainText() {
	plain := func(u *url.URL) bool {
		ip := net.ParseIP(u.Hostname())
		return u.Scheme == "http" && u.Hostname() != "localhost" && (ip == nil || !ip.IsLoopback())
	}
	token, err := url.Parse(r.settings.Auth.TokenURL)
	if plain(r.settings.Base) || err == nil && plain(token) {
		r.Notify(connectors.Event{Source: r.Source.Name, Problem: "plain_text", Notice: true,
			Message: "the service is asked over http, so that records and credentials can be read on their way; ask the department for https"})
	}
}
