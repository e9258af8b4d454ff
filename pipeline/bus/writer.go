package bus

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// ErrFenced says that somebody else published to the same subject: a second copy of this process is running.
var ErrFenced = errors.New("another process writes to the same subject; stop one of the two")

// Writer publishes to one subject and is its only writer: each message says which one it expects to follow, so
// a second writer is refused by the server and not by hope (I2).
type Writer struct {
	bus     *Bus
	stream  jetstream.Stream
	subject string
	last    uint64 // sequence of the newest message on the subject
	header  nats.Header
	nonce   string // in the id of every message of this writer: what another wrote is never taken for ours
}

// ChangesWriter, and the two below, open the writer of a subject at its present end.
func (b *Bus) ChangesWriter(ctx context.Context, subject string) (*Writer, error) {
	return b.writer(ctx, b.changes, subject)
}

// QuarantineWriter is ChangesWriter for the QUARANTINE stream.
func (b *Bus) QuarantineWriter(ctx context.Context, subject string) (*Writer, error) {
	return b.writer(ctx, b.quarant, subject)
}

// LinksWriter is ChangesWriter for the stream of merges and splits.
func (b *Bus) LinksWriter(ctx context.Context) (*Writer, error) {
	return b.writer(ctx, b.links, b.LinksSubject())
}

func (b *Bus) writer(ctx context.Context, stream jetstream.Stream, subject string) (*Writer, error) {
	w := &Writer{bus: b, stream: stream, subject: subject, nonce: rand.Text()}
	if err := w.Reload(ctx); err != nil {
		return nil, err
	}
	return w, nil
}

// Reload reads the newest message of the subject: where a writer that starts, or that was fenced, stands.
func (w *Writer) Reload(ctx context.Context) error {
	msg, err := w.stream.GetLastMsgForSubject(ctx, w.subject)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		w.last, w.header = 0, nil
		return nil
	}
	if err != nil {
		return fmt.Errorf("the newest message of %s cannot be read: %w", w.subject, err)
	}
	w.last, w.header = msg.Sequence, msg.Header
	return nil
}

// Last is the newest message's sequence and headers; 0 and nil when the subject is empty.
func (w *Writer) Last() (uint64, nats.Header) { return w.last, w.header }

// Publish returns once JetStream has acknowledged the message (I1). It tries again while the server does not
// answer, until ctx ends; a message whose acknowledgement was lost is recognised and not published twice.
func (w *Writer) Publish(ctx context.Context, header nats.Header, data []byte) (uint64, error) {
	// The id holds the slot that the message wants to take and who wants it, so that neither the server's dedup
	// window nor settle can take a second writer's message, which may well end at the same position, for ours.
	// What keeps the order is the expected sequence, not the window.
	header.Set(jetstream.MsgIDHeader, fmt.Sprintf("%s@%d:%s", w.subject, w.last, w.nonce))
	msg := &nats.Msg{Subject: w.subject, Header: header, Data: data}
	for backoff := 50 * time.Millisecond; ; backoff = min(2*backoff, 5*time.Second) {
		attempt, cancel := context.WithTimeout(ctx, 10*time.Second)
		ack, err := w.bus.js.PublishMsg(attempt, msg, jetstream.WithExpectLastSequencePerSubject(w.last), jetstream.WithRetryAttempts(0))
		cancel()
		if err == nil {
			w.last, w.header = ack.Sequence, header
			return ack.Sequence, nil
		}
		if isWrongSequence(err) {
			sequence, err := w.settle(ctx, header)
			if errors.Is(err, errForgotten) {
				continue // at the subject's new beginning
			}
			return sequence, err
		}
		if final(err) || ctx.Err() != nil {
			return 0, fmt.Errorf("publish to %s: %w", w.subject, err)
		}
		if backoff >= time.Second { // a second without an answer is worth a word; the sources stand still meanwhile
			slog.Warn("the bus does not take a message; it is sent again until it does", "subject", w.subject, "error", err, "pause", backoff)
		}
		select {
		case <-ctx.Done():
			return 0, fmt.Errorf("publish to %s: %w", w.subject, err)
		case <-time.After(backoff):
		}
	}
}

// errForgotten says that retention has removed the newest message of the subject; nobody else wrote to it.
var errForgotten = errors.New("the subject's newest message has expired")

// settle decides what a wrong-sequence answer means: our own message whose acknowledgement was lost, another writer,
// or a subject so quiet that retention has emptied it. A writer that is fenced stays so until Reload.
func (w *Writer) settle(ctx context.Context, header nats.Header) (uint64, error) {
	newest := &Writer{stream: w.stream, subject: w.subject}
	if err := newest.Reload(ctx); err != nil {
		return 0, err
	}
	switch {
	case newest.header.Get(jetstream.MsgIDHeader) == header.Get(jetstream.MsgIDHeader):
		w.last, w.header = newest.last, newest.header
		return w.last, nil
	case newest.last == 0 && w.last > 0:
		w.last = 0
		return 0, errForgotten
	}
	return 0, fmt.Errorf("publish to %s: %w", w.subject, ErrFenced)
}

func isWrongSequence(err error) bool {
	var api *jetstream.APIError
	return errors.As(err, &api) && api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence
}

// final tells errors that waiting does not mend. A full or failing disk is not one of them: what could not be
// stored is not acknowledged, and the source keeps it until it can be (I1).
func final(err error) bool {
	return errors.Is(err, nats.ErrMaxPayload) || errors.Is(err, nats.ErrConnectionClosed) || errors.Is(err, nats.ErrAuthorization)
}
