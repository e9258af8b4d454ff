package subscription

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/shirecounty/shire/schemas/pseudonym"
)

// What follows from each answer, and how long is waited.
func TestAnswers(t *testing.T) {
	now := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	for code, want := range map[int]verdict{301: later, 307: later, 401: later, 403: later, 404: later, 408: later, 429: later, 500: later, 503: later, 100: later,
		400: never, 406: never, 409: never, 413: never, 415: never, 422: never, 410: goneForGood} {
		var no *refused
		if err := judge(code, http.Header{"Location": {"https://elsewhere.example/?token=t"}}, now); !errors.As(err, &no) || no.verdict != want || strings.Contains(no.reason, "elsewhere") {
			t.Errorf("%d: %v", code, err)
		}
	}
	for _, code := range []int{200, 201, 202, 204, 299} {
		if err := judge(code, nil, now); err != nil {
			t.Errorf("%d: %v", code, err)
		}
	}
	for text, want := range map[string]time.Duration{"": 0, "soon": 0, "0": 0, "-5": 0, "7": 7 * time.Second, " 7 ": 7 * time.Second, "99999999999": 0, "100000000": mostAsked,
		now.Add(time.Minute).Format(http.TimeFormat): time.Minute, now.Add(-time.Minute).Format(http.TimeFormat): 0, now.AddDate(1, 0, 0).Format(http.TimeFormat): mostAsked} {
		var no *refused
		if err := judge(503, http.Header{"Retry-After": {text}}, now); !errors.As(err, &no) || no.wait != want && text != "99999999999" || no.wait > mostAsked || no.wait < 0 {
			t.Errorf("Retry-After %q: %v, want %v", text, no.wait, want)
		}
	}
	w := &worker{s: &Service{Options: Options{FirstWait: time.Second}}}
	for tries := 1; tries < 100; tries++ {
		least := min(time.Second<<min(tries-1, 20), longestWait) * 8 / 10
		if d := w.pause(tries, 0); d < least || d > longestWait*12/10 || tries == 1 && d > 2*time.Second {
			t.Errorf("after %d tries it waits %v", tries, d)
		}
	}
	if d := w.pause(1, 10*time.Minute); d != 10*time.Minute {
		t.Errorf("asked for ten minutes it waits %v", d)
	}
}

// Why a receiver cannot be reached is told without its address, which may hold a token, and without what it sent (I7).
func TestWhyAReceiverCannotBeReached(t *testing.T) {
	for want, err := range map[string]error{
		"in time":     context.DeadlineExceeded,
		"certificate": errors.New("tls: failed to verify certificate for secret.example"),
		"listens":     errors.New("dial tcp 192.0.2.7:443: connect: connection refused by secret.example"),
		"failed":      errors.New("malformed HTTP response from secret.example"),
	} {
		got := unreached(&url.Error{Op: "Post", URL: "https://secret.example/?token=secret&certificate=refused", Err: err})
		if !strings.Contains(got, want) || strings.Contains(got, "secret") || strings.Contains(got, "192.0.2.7") {
			t.Errorf("%v: %s", err, got)
		}
	}
}

// Two processes do not overwrite each other's position.
func TestTheStateIsFenced(t *testing.T) {
	r := newRig(t)
	book, f := r.service(nil).book, Follows{"n", "welfare"}
	key := book.key(f, "position")
	first, err := book.swap(t.Context(), key, position{Sequence: 1}, 0)
	r.must(err)
	if _, err := book.swap(t.Context(), key, position{Sequence: 9}, 0); err == nil {
		t.Error("what is there was made anew")
	}
	if _, err = book.swap(t.Context(), key, position{Sequence: 2}, first); err != nil {
		t.Fatal(err)
	}
	if _, err := book.swap(t.Context(), key, position{Sequence: 9}, first); err == nil {
		t.Error("what another process wrote was overwritten")
	}
	if p, err := book.Progress(t.Context(), f); err != nil || p.Position != 2 {
		t.Errorf("%+v, %v", p, err)
	}
	if p, err := book.Progress(t.Context(), Follows{"n", "roads"}); err != nil || p.Position != 0 {
		t.Errorf("of another dataset: %+v, %v", p, err)
	}
}

// Where a subscription begins: at a time of the past, or anew with another bus; what is sent by command is tried once.
func TestWhereASubscriptionBegins(t *testing.T) {
	r := newRig(t)
	r.grant("G1", "welfare", masks, "birth")
	r.open("C1", anna, "birth")
	r.welfare("W1", anna, "a", money)
	s, c := r.service(nil), r.config("welfare")
	c.From = time.Now().Add(-time.Hour)
	stop := r.serve(s, c)
	r.done(s, c)
	if got := short(r.receiver.events()); got != "created:a" {
		t.Fatal(got)
	}
	stop()
	// Of another bus: the sequences mean nothing here.
	r.must(s.book.put(t.Context(), s.book.key(Follows{c.Name, c.Dataset}, "position"), position{Bus: "another", Sequence: 1 << 40, Since: time.Now()}))
	r.welfare("W2", anna, "b", money)
	stop = r.serve(s, c)
	r.until("it goes on", func() bool { return short(r.receiver.events()) == "created:a created:b" })
	r.until("it is where this bus is", func() bool { p := r.progress(s, c).Position; return p > 0 && p < 1<<40 })
	r.receiver.answers(status(422))
	r.welfare("W2", anna, "c", money)
	r.done(s, c)
	r.receiver.answers(status(500))
	tries := r.receiver.tries()
	r.must(s.book.Retry(t.Context(), Follows{c.Name, c.Dataset}, pseudonym.ID{}, time.Now()))
	r.until("the order is done", func() bool {
		var order again
		revision, err := s.book.get(t.Context(), s.book.key(Follows{c.Name, c.Dataset}, "again"), &order)
		return err == nil && revision == 0
	})
	if n := r.receiver.tries() - tries; n != 1 || r.progress(s, c).Parked != 1 {
		t.Errorf("by command it was tried %d times; %+v", n, r.progress(s, c))
	}
	stop()
}
