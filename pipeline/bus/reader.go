package bus

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// Reader follows CHANGES in order from a sequence on. It acknowledges nothing: the ledger says what is done.
type Reader struct {
	consumer jetstream.Consumer
	messages jetstream.MessagesContext
}

// Read opens a reader at the first message whose sequence is at least from.
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

// LastOn is the sequence of the newest message on a subject of CHANGES; 0 when there is none.
func (b *Bus) LastOn(ctx context.Context, subject string) (uint64, error) {
	msg, err := b.changes.GetLastMsgForSubject(ctx, subject)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("the newest message of %s cannot be read: %w", subject, err)
	}
	return msg.Sequence, nil
}

// ReadSubject is Read for one subject of CHANGES.
func (b *Bus) ReadSubject(ctx context.Context, subject string, from uint64) (*Reader, error) {
	return b.read(ctx, b.changes, from, subject)
}

// ReadQuarantine is Read for one subject of QUARANTINE.
func (b *Bus) ReadQuarantine(ctx context.Context, subject string, from uint64) (*Reader, error) {
	return b.read(ctx, b.quarant, from, subject)
}

func (b *Bus) read(ctx context.Context, stream jetstream.Stream, from uint64, subjects ...string) (*Reader, error) {
	consumer, err := stream.OrderedConsumer(ctx, jetstream.OrderedConsumerConfig{
		FilterSubjects: subjects, DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: max(from, 1),
	})
	if err != nil {
		return nil, fmt.Errorf("a consumer of %s cannot be made: %w", subjects[0], err)
	}
	// I10: at most this many bytes wait on our side; a slow flow slows the consumer, not the memory.
	messages, err := consumer.Messages(jetstream.PullMaxBytes(8 << 20))
	if err != nil {
		return nil, fmt.Errorf("messages of %s cannot be fetched: %w", subjects[0], err)
	}
	return &Reader{consumer: consumer, messages: messages}, nil
}

// ErrIdle is returned by Next when no message came within the wait.
var ErrIdle = errors.New("no message within the wait")

// Next waits for the next message.
func (r *Reader) Next(ctx context.Context, wait time.Duration) (*Message, error) {
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

// Close ends the reader.
func (r *Reader) Close() { r.messages.Stop() }
