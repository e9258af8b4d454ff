package audit

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// readPatience bounds the wait for the next message, which is there.
const readPatience = 30 * time.Second

// each calls fn with the messages of a subject, from one sequence of the stream to another. What fn gets is its own.
func (l *Log) each(ctx context.Context, subject string, from, through uint64, fn func(sequence uint64, data []byte) error) error {
	if through < from {
		return nil
	}
	messages, err := l.open(ctx, subject, from)
	if err != nil {
		return err
	}
	defer messages.Stop()
	for at := uint64(0); at < through; {
		msg, err := next(ctx, messages, readPatience)
		if err != nil {
			return err
		}
		meta, err := msg.Metadata()
		if err != nil {
			return fmt.Errorf("a message without JetStream metadata came in: %w", err)
		}
		if at = meta.Sequence.Stream; at > through {
			return nil
		}
		if err := fn(at, msg.Data()); err != nil {
			return err
		}
	}
	return nil
}

// open follows a subject from a sequence of the stream on.
func (l *Log) open(ctx context.Context, subject string, from uint64) (jetstream.MessagesContext, error) {
	consumer, err := l.stream.OrderedConsumer(ctx, jetstream.OrderedConsumerConfig{
		FilterSubjects: []string{subject}, DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: max(from, 1),
	})
	if err != nil {
		return nil, fmt.Errorf("the audit log cannot be read: %w", err)
	}
	messages, err := consumer.Messages(jetstream.PullMaxBytes(8 << 20)) // I10
	if err != nil {
		return nil, fmt.Errorf("the audit log cannot be read: %w", err)
	}
	return messages, nil
}

// errIdle says that no message came within the wait.
var errIdle = errors.New("no message came within the wait")

func next(ctx context.Context, messages jetstream.MessagesContext, wait time.Duration) (jetstream.Msg, error) {
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		bounded, cancel := context.WithTimeout(ctx, wait)
		msg, err := messages.Next(jetstream.NextContext(bounded))
		cancel()
		switch {
		case err == nil:
			return msg, nil
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case errors.Is(err, context.DeadlineExceeded) || errors.Is(err, jetstream.ErrNoMessages):
			return nil, errIdle
		case errors.Is(err, jetstream.ErrNoHeartbeat):
			continue // the consumer makes itself anew
		}
		return nil, fmt.Errorf("the audit log cannot be read on: %w", err)
	}
}

// newest is the newest message's sequence of a subject; 0 when there is none.
func (l *Log) newest(ctx context.Context, subject string) (uint64, error) {
	msg, err := l.stream.GetLastMsgForSubject(ctx, subject)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("the audit log cannot be read: %w", err)
	}
	return msg.Sequence, nil
}

// eachStatement calls fn with what is signed.
func (l *Log) eachStatement(ctx context.Context, fn func(text []byte) error) error {
	last, err := l.newest(ctx, signedSubject(l.options.County))
	if err != nil {
		return err
	}
	return l.each(ctx, signedSubject(l.options.County), 1, last, func(_ uint64, data []byte) error { return fn(data) })
}

// newestCut is through which entry retention says that it has cut.
func (l *Log) newestCut(ctx context.Context) (through uint64, err error) {
	err = l.eachStatement(ctx, func(text []byte) error {
		if s, err := parseStatement(text); err == nil && s.Kind == Cut {
			through = max(through, s.Sequence)
		}
		return nil
	})
	return through, err
}

// eachBlock calls fn with the blocks of entries that are there now.
func (l *Log) eachBlock(ctx context.Context, fn func(block []byte) error) error {
	last, err := l.newest(ctx, entriesSubject(l.options.County))
	if err != nil {
		return err
	}
	return l.each(ctx, entriesSubject(l.options.County), 1, last, func(_ uint64, data []byte) error { return fn(data) })
}

// blockOf is the stream's sequence of the block that holds an entry, or of the first block behind it; one more than the
// stream's last when there is none. Blocks stand in the order of their entries, unless somebody changed them: then what is
// found is some block, and verify tells.
func (l *Log) blockOf(ctx context.Context, entry uint64) (uint64, error) {
	info, err := l.stream.Info(ctx)
	if err != nil {
		return 0, fmt.Errorf("the audit log cannot be read: %w", err)
	}
	low, high := max(info.State.FirstSeq, 1), info.State.LastSeq+1
	for low < high { // the answer is within
		middle := low + (high-low)/2
		msg, err := l.stream.GetMsg(ctx, middle, jetstream.WithGetMsgSubject(entriesSubject(l.options.County)))
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			high = middle
			continue
		}
		if err != nil {
			return 0, fmt.Errorf("block %d of the audit log cannot be read: %w", middle, err)
		}
		last, err := lastOf(msg.Data)
		switch {
		case err != nil:
			return 0, fmt.Errorf("block %d of the audit log is damaged; run shire audit verify: %w", msg.Sequence, err)
		case last.Sequence < entry:
			low = msg.Sequence + 1
		default:
			high = middle
		}
	}
	return low, nil
}

// purge takes the blocks away that hold nothing but entries before one. What is signed stays.
func (l *Log) purge(ctx context.Context, entry uint64) error {
	block, err := l.blockOf(ctx, entry)
	if err != nil {
		return err
	}
	if err := l.stream.Purge(ctx, jetstream.WithPurgeSubject(entriesSubject(l.options.County)), jetstream.WithPurgeSequence(block)); err != nil {
		return fmt.Errorf("the beginning of the audit log cannot be cut off: %w", err)
	}
	return nil
}
