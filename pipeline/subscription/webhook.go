package subscription

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/shirecounty/shire/connectors/push"
	"github.com/shirecounty/shire/schemas/pseudonym"
)

// verdict is what follows from a receiver's answer.
type verdict int

const (
	later       verdict = iota // the receiver is not well, or is not the right one: try again
	never                      // this event is not taken, others may be
	goneForGood                // the receiver is gone for good
)

// refused says that an event was not taken. It quotes nothing that the receiver said, which may be what it was sent (I7).
type refused struct {
	verdict verdict
	reason  string
	wait    time.Duration // that the receiver asks for
}

func (e *refused) Error() string { return e.reason }

// mostAnswer bounds what is read of an answer, which is nothing but the room for the next request on the connection.
const mostAnswer = 64 << 10

// mostAsked bounds what a receiver may ask to be waited for.
const mostAsked = 15 * time.Minute

// post sends an event. The error is a *refused when the receiver is to blame.
func (w *worker) post(ctx context.Context, _ pseudonym.ID, e *event) error {
	now := w.s.Clock()
	signature, err := push.Sign(w.config.Webhook.Digest, w.secret, now, e.body)
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, w.config.Webhook.URL, bytes.NewReader(e.body))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/cloudevents+json")
	r.Header.Set("User-Agent", "shire")
	r.Header.Set(push.SignatureHeader, signature)
	answer, err := w.s.web.Do(r)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		return &refused{verdict: later, reason: "the receiver cannot be reached: " + unreached(err)}
	}
	defer answer.Body.Close()
	io.Copy(io.Discard, io.LimitReader(answer.Body, mostAnswer)) // else the connection is not used again; nothing else depends on it
	return judge(answer.StatusCode, answer.Header, now)
}

// unreached is why a receiver could not be reached, without the address: that stands in county.yaml, and may hold a token.
func unreached(err error) string {
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	var network net.Error
	switch {
	case errors.As(err, &network) && network.Timeout():
		return "it did not answer in time"
	case strings.Contains(err.Error(), "certificate"):
		return "its certificate is not one that this machine trusts"
	case strings.Contains(err.Error(), "refused"):
		return "nothing listens there"
	}
	return "the connection failed"
}

func judge(status int, header http.Header, now time.Time) error {
	says := fmt.Sprintf("the receiver answers %d %s", status, http.StatusText(status))
	switch {
	case status >= 200 && status < 300:
		return nil
	case status >= 300 && status < 400:
		return &refused{verdict: later, reason: says + ", which is not followed; write the address that it names into county.yaml, if it is the right one"}
	case status == http.StatusGone:
		return &refused{verdict: goneForGood, reason: says + ": nothing more is sent until shire subscriptions retry"}
	case status == http.StatusBadRequest, status == http.StatusNotAcceptable, status == http.StatusConflict, status == http.StatusRequestEntityTooLarge,
		status == http.StatusUnsupportedMediaType, status == http.StatusUnprocessableEntity:
		return &refused{verdict: never, reason: says + ": it does not take this event"}
	}
	return &refused{verdict: later, reason: says, wait: retryAfter(header.Get("Retry-After"), now)}
}

// retryAfter reads the seconds or the date of a Retry-After; 0 when there is none.
func retryAfter(text string, now time.Time) time.Duration {
	var wait time.Duration
	if seconds, err := strconv.Atoi(strings.TrimSpace(text)); err == nil {
		wait = time.Duration(min(max(seconds, 0), int(mostAsked/time.Second))) * time.Second
	} else if at, err := http.ParseTime(text); err == nil {
		wait = at.Sub(now)
	}
	return min(max(wait, 0), mostAsked)
}
