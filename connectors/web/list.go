package web

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/zeebo/xxh3"
)

// list reads a service's list, page after page.
type list struct {
	*endpoint
	client *client
	shape  *shaper
	take   func(ctx context.Context, p *pass, records []*record) error // called with a few records that have the same columns
	tell   func(problem, message string)
}

// pass is one reading of a list, and what was learned from it.
type pass struct {
	since time.Time  // asked for; zero for everything
	whole bool       // it began at the first page and left nothing out
	taken bool       // it took up an interrupted one at a later page
	known validators // of the first page, as it was read before

	at       string // the page that is being read
	requests int
	records  int
	latest   time.Time // the latest change that was seen
	clock    time.Time // of the service, when it answered first
	timeless int       // records without the time of their last change
	same     bool      // 304: nothing is new
	repeated bool      // a page came twice
	oneTime  int       // records of one time, behind which could not be read
	size     int       // records that are asked for at once
	stuck    int       // records that came when a page could not be passed
	pageHash uint64
	cursor   string     // of a feed: where the next pass goes on
	fresh    validators // of the first page, as it is now
}

// validators of a response (RFC 9110, 8.8).
type validators struct{ asked, etag, modified string }

// walk reads page after page from the given one, or from the first. between is called after each page but the last.
func (l *list) walk(ctx context.Context, p *pass, from string, between func() error) error {
	if p.at = from; from == "" {
		p.at = l.first(p)
	}
	p.taken = p.at != l.first(p) && !l.Pages.Feed
	p.whole = p.since.IsZero() && !p.taken && !l.Pages.Feed
	p.size = l.Pages.Size
	circle := &circle{}
	for {
		got, err := l.page(ctx, p)
		var answer *status
		switch {
		case errors.As(err, &answer) && p.requests == 0 && p.at != l.first(p) && answer.code != http.StatusUnauthorized && answer.code != http.StatusForbidden:
			if l.Pages.Feed {
				l.tell("cursor_expired", fmt.Sprintf("the service no longer knows how far the feed was read (status %d), so it is read from its beginning; what was deleted meanwhile may still be there: compare with shire reconcile", answer.code))
			}
			p.at, p.taken, p.whole = l.first(p), false, p.since.IsZero() && !l.Pages.Feed
			continue
		case errors.As(err, &answer) && answer.code == http.StatusNotFound && p.requests > 0 && l.Pages.Kind == "page" && l.Pages.unsaid():
			return nil // how some say that there is no such page
		case err != nil:
			return err
		}
		p.requests++
		if p.same {
			return nil
		}
		next, err := l.next(p, got)
		if err != nil || next == "" {
			return err
		}
		if l.Pages.Kind != "since" && circle.closes(next) { // nextTime sees for itself that it does not get on
			return refuse("endless", "the service leads from page to page in a circle; check pagination: against its documentation")
		}
		if err := between(); err != nil {
			return err
		}
		p.at = next
	}
}

// got is what a page says beside its records.
type got struct {
	*body
	records int
	hash    uint64    // of the records' text
	last    time.Time // of the last record
	link    *url.URL
}

// page reads one page.
func (l *list) page(ctx context.Context, p *pass) (*got, error) {
	u, err := l.address(p)
	if err != nil {
		return nil, err
	}
	conditional := p.requests == 0 && !p.taken && (l.Conditional || l.Pages.Kind == "none")
	header := http.Header{}
	if conditional && p.known.asked == u.String() {
		if p.known.etag != "" {
			header.Set("If-None-Match", p.known.etag)
		} else if p.known.modified != "" {
			header.Set("If-Modified-Since", p.known.modified)
		}
	}
	asking, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	resp, err := l.client.get(asking, u, header, func(code int, pause time.Duration) {
		l.tell("busy", fmt.Sprintf("the service answers %d and is left alone for %s", code, pause.Round(time.Second)))
	})
	if err != nil {
		return nil, err
	}
	defer discard(resp)
	if p.clock.IsZero() {
		if p.clock, err = http.ParseTime(resp.Header.Get("Date")); err != nil {
			p.clock = l.client.now()
		}
	}
	if resp.StatusCode == http.StatusNotModified {
		p.same = true
		return nil, nil
	}
	if conditional {
		p.fresh = validators{u.String(), resp.Header.Get("ETag"), resp.Header.Get("Last-Modified")}
	}
	g := &got{}
	w := &window{list: l, pass: p, got: g}
	g.body = &body{records: l.Records, wanted: l.wanted(), record: func(raw json.RawMessage) error { return w.add(ctx, raw) }}
	err = l.client.read(asking, cancel, resp, g.body, l.Lines)
	// What was read is true, even if the rest of the response is broken.
	if flushed := w.flush(ctx); flushed != nil {
		return nil, flushed
	}
	if err == nil {
		err = l.succeeded(g.body, "records")
	}
	if err != nil {
		return nil, err
	}
	g.link, err = l.linked(u, resp, g)
	return g, err
}

// succeeded tells an answer from an error that comes with status 200, as many services send it.
func (l *list) succeeded(b *body, setting string) error {
	if f := l.Success; f != nil {
		value, there := b.found[f.Field]
		if !f.holds(value, !there) {
			return refuse("service_error", "the service answers that it failed: %s is %s, not %v; ask the department what that means", f.Field, code(value, there), f.Values)
		}
		return nil
	}
	if !b.there {
		return refuse("records_missing", "the response has nothing where %s: points to; check it against the service's documentation, and name the member that tells errors under success:", setting)
	}
	return nil
}

// code is a status that a service gives, if it looks like one: what is longer may be a sentence about somebody (I7).
func code(value string, there bool) string {
	if !there {
		return "absent"
	}
	if len(value) > 16 {
		return "something longer"
	}
	return strconv.Quote(value)
}

// window gathers records that get the same columns.
type window struct {
	*list
	pass    *pass
	got     *got
	records []*record
	bytes   int
}

// Bounds of a window (I10).
const (
	windowRecords = 256
	windowBytes   = 1 << 20
)

func (w *window) add(ctx context.Context, raw []byte) error {
	r := w.parse(raw)
	w.got.records++
	w.pass.records++
	w.got.hash = xxh3.HashSeed(raw, w.got.hash)
	r.row = int64(w.got.records)
	if w.Since != nil && r.problem == "" {
		if err := w.order(r); err != nil {
			return err
		}
	}
	w.records, w.bytes = append(w.records, r), w.bytes+len(raw)
	if len(w.records) >= windowRecords || w.bytes >= windowBytes {
		return w.flush(ctx)
	}
	return nil
}

// order follows the times of the records.
func (w *window) order(r *record) error {
	switch {
	case r.time.IsZero():
		w.pass.timeless++
		return nil
	case w.Pages.Kind == "since" && r.time.Before(w.got.last):
		return refuse("not_sorted", "the records do not come in the order of %s, so that reading on from the last one would leave some out; have the service sort by it, or use another kind of pagination", w.Since.Field)
	case r.time.After(w.pass.latest):
		w.pass.latest = r.time
	}
	w.got.last = r.time
	return nil
}

func (w *window) flush(ctx context.Context) error {
	records := w.records
	w.records, w.bytes = nil, 0
	if len(records) == 0 {
		return nil
	}
	if err := w.shape.shape(records); err != nil {
		return err
	}
	return w.take(ctx, w.pass, records)
}
