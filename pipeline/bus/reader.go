package bus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// Reader follows a stream in order from a sequence on. It acknowledges nothing: the ledger says what is done.
//
// # How it fails
//
//   - The connection breaks: the library makes its consumer anew behind the last message that it gave us. It counts what it
//     is given, so that nothing is left out in between.
//   - A server leaves messages out (none is known to): where the sequences have a gap, the first message of the gap is asked
//     for, and every message says which one of its subject came before it, because its writer expected that one (I2). What was
//     left out is read first, by a consumer that is made anew; what should have come before a message that was already given
//     cannot be read in order any more, and is an error.
type Reader struct {
	stream   jetstream.Stream // nil where the writers are not ours, and no message says which one it expects before it
	subjects []string
	consumer jetstream.Consumer
	messages jetstream.MessagesContext

	from  uint64            // where it began
	at    uint64            // the last message that was given
	heads map[string]uint64 // subject -> its last message that was given
	held  *Message          // was fetched, and is given when none is left out before it
	again int               // how often it has begun anew behind at
	gaps  bool              // sequences between ours are of subjects that are not ours: a gap says nothing
}

// Read opens a reader at the first message of CHANGES whose sequence is at least from.
func (b *Bus) Read(ctx context.Context, from uint64) (*Reader, error) {
	return b.read(ctx, b.changes, from, "changes."+b.opt.County+".>", "retry."+b.opt.County+".>")
}

// NextSequence is the sequence of the first message that Read from a sequence would bring; false when there is none. It tells a
// message that was taken off the bus from one that is slow to come.
func (b *Bus) NextSequence(ctx context.Context, from uint64) (next uint64, found bool, err error) {
	for _, subject := range []string{"changes." + b.opt.County + ".>", "retry." + b.opt.County + ".>"} {
		msg, err := b.changes.GetMsg(ctx, max(from, 1), jetstream.WithGetMsgSubject(subject))
		switch {
		case errors.Is(err, jetstream.ErrMsgNotFound):
		case err != nil:
			return 0, false, fmt.Errorf("the bus cannot be asked for its next message: %w", err)
		case !found || msg.Sequence < next:
			next, found = msg.Sequence, true
		}
	}
	return next, found, nil
}

// LastOn is the sequence of the newest message on a subject of CHANGES; 0 when there is none. The stream's leader says so: what was
// acknowledged before the question counts, which a direct read from another replica may not know yet.
func (b *Bus) LastOn(ctx context.Context, subject string) (uint64, error) {
	request, err := json.Marshal(map[string]string{"last_by_subj": subject})
	if err != nil {
		return 0, err
	}
	var answer struct {
		Message struct {
			Sequence uint64 `json:"seq"`
		} `json:"message"`
		Error *jetstream.APIError `json:"error"`
	}
	err = b.ask(ctx, "STREAM.MSG.GET."+Changes, request, lastTimeout, &answer)
	switch {
	case err != nil:
	case answer.Error == nil && answer.Message.Sequence > 0:
		return answer.Message.Sequence, nil
	case answer.Error == nil:
		err = errors.New("the server's answer names no message")
	case answer.Error.ErrorCode == jetstream.JSErrCodeMessageNotFound:
		return 0, nil
	default:
		err = answer.Error
	}
	return 0, fmt.Errorf("the newest message of %s cannot be read: %w", subject, err)
}

const lastTimeout = 5 * time.Second

// ReadSubject is Read for one subject of CHANGES.
func (b *Bus) ReadSubject(ctx context.Context, subject string, from uint64) (*Reader, error) {
	return b.read(ctx, b.changes, from, subject)
}

// ReadQuarantine is Read for one subject of QUARANTINE.
func (b *Bus) ReadQuarantine(ctx context.Context, subject string, from uint64) (*Reader, error) {
	return b.read(ctx, b.quarant, from, subject)
}

func (b *Bus) read(ctx context.Context, stream jetstream.Stream, from uint64, subjects ...string) (*Reader, error) {
	r := &Reader{stream: stream, subjects: subjects, from: max(from, 1), heads: map[string]uint64{}}
	if err := r.open(ctx, r.from); err != nil {
		return nil, err
	}
	return r, nil
}

func (r *Reader) open(ctx context.Context, from uint64) error {
	consumer, err := r.stream.OrderedConsumer(ctx, jetstream.OrderedConsumerConfig{
		FilterSubjects: r.subjects, DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: from,
	})
	if err != nil {
		return fmt.Errorf("a consumer of %s cannot be made: %w", r.subjects[0], err)
	}
	// I10: at most this many bytes wait on our side; a slow flow slows the consumer, not the memory.
	// A request that a broken connection has swallowed is made again when two heartbeats are missing while Next waits.
	messages, err := consumer.Messages(jetstream.PullMaxBytes(8<<20), jetstream.PullHeartbeat(5*time.Second))
	if err != nil {
		return fmt.Errorf("messages of %s cannot be fetched: %w", r.subjects[0], err)
	}
	r.consumer, r.messages = consumer, messages
	return nil
}

// ErrIdle is returned by Next when no message came within the wait.
var ErrIdle = errors.New("no message within the wait")

// Next waits for the next message.
func (r *Reader) Next(ctx context.Context, wait time.Duration) (*Message, error) {
	if r.stream == nil {
		return r.fetch(ctx, wait)
	}
	for until := time.Now().Add(wait); ; {
		m := r.held
		if m == nil {
			var err error
			if m, err = r.fetch(ctx, wait); err != nil {
				return nil, err
			}
		}
		r.held = m // until it is known that none comes before it
		before, err := r.leftOut(ctx, m)
		switch {
		case err == nil && before == 0:
			r.held, r.at, r.heads[m.Subject], r.again = nil, m.Sequence, m.Sequence, 0
			return m, nil
		case err == nil:
			r.held = nil
			if err := r.anew(ctx, m, before); err != nil {
				return nil, err
			}
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case time.Now().After(until): // not terminal either: the connection comes back
			return nil, ErrIdle
		default:
			select {
			case <-ctx.Done():
			case <-time.After(20 * time.Millisecond):
			}
		}
	}
}

func (r *Reader) fetch(ctx context.Context, wait time.Duration) (*Message, error) {
	for {
		// The library chooses at random between a message that waits and a context that has ended.
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		bounded, cancel := context.WithTimeout(ctx, wait)
		msg, err := r.messages.Next(jetstream.NextContext(bounded))
		cancel()
		if err == nil {
			meta, err := msg.Metadata()
			if err != nil {
				return nil, fmt.Errorf("a message without JetStream metadata came in: %w", err)
			}
			return &Message{Sequence: meta.Sequence.Stream, Subject: msg.Subject(), Header: msg.Headers(), Data: msg.Data(), Time: meta.Timestamp}, nil
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, jetstream.ErrNoMessages) {
			return nil, ErrIdle
		}
		if errors.Is(err, jetstream.ErrNoHeartbeat) {
			continue // not terminal: the consumer makes itself anew
		}
		return nil, fmt.Errorf("the next message cannot be fetched: %w", err)
	}
}

// leftOut is a message that should have been given before this one; 0 when there is none.
func (r *Reader) leftOut(ctx context.Context, m *Message) (uint64, error) {
	if next := max(r.at+1, r.from); !r.gaps && next < m.Sequence {
		subject, err := r.subjectOf(ctx, next)
		if err != nil {
			return 0, err
		}
		if r.mine(subject) {
			return next, nil
		}
		r.gaps = subject != ""
	}
	before, err := strconv.ParseUint(m.Header.Get(jetstream.ExpectedLastSubjSeqHeader), 10, 64)
	if err != nil || before < r.from || before <= r.heads[m.Subject] || before >= m.Sequence {
		return 0, nil // no writer of ours, or all is as it should be
	}
	subject, err := r.subjectOf(ctx, before)
	if err != nil || subject != m.Subject {
		return 0, err
	}
	return before, nil
}

// subjectOf is a message's subject; empty when it was erased.
func (r *Reader) subjectOf(ctx context.Context, sequence uint64) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	msg, err := r.stream.GetMsg(ctx, sequence)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	return msg.Subject, nil
}

// mine tells whether the reader follows a subject.
func (r *Reader) mine(subject string) bool {
	return slices.ContainsFunc(r.subjects, func(s string) bool {
		all, every := strings.CutSuffix(s, ">")
		return every && strings.HasPrefix(subject, all) || s == subject
	})
}

// anew goes back to the last message that was given. I4: a message that was left out is not passed over.
func (r *Reader) anew(ctx context.Context, m *Message, before uint64) error {
	if before <= r.at {
		return fmt.Errorf("the server of the bus has left out message %d of %s, and later ones are read; its changes are not loaded until they are replayed (shire replay)", before, m.Subject)
	}
	const times = 3
	if r.again++; r.again > times {
		return fmt.Errorf("the server of the bus leaves out message %d, which it has, before message %d of %s, however often it is asked; see its log", before, m.Sequence, m.Subject)
	}
	slog.Warn("the server of the bus has left out a message; its stream is read again from the last one before", "message", before, "next", m.Sequence, "from", r.at+1)
	r.messages.Stop()
	return r.open(ctx, max(r.at+1, r.from))
}

// Close ends the reader.
func (r *Reader) Close() { r.messages.Stop() }
