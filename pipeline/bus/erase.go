package bus

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// Subjects lists the subjects of the county's changes, of what came back from quarantine, and of what waits there.
func (b *Bus) Subjects(ctx context.Context) (changes, retries, refused []string, err error) {
	for _, of := range []struct {
		stream jetstream.Stream
		prefix string
		into   *[]string
	}{{b.changes, "changes.", &changes}, {b.changes, "retry.", &retries}, {b.quarant, "quarantine.", &refused}} {
		info, err := of.stream.Info(ctx, jetstream.WithSubjectFilter(of.prefix+b.opt.County+".>"))
		if err != nil {
			return nil, nil, nil, fmt.Errorf("the subjects of %s%s cannot be listed: %w", of.prefix, b.opt.County, err)
		}
		*of.into = slices.Sorted(maps.Keys(info.State.Subjects))
	}
	return changes, retries, refused, nil
}

// Erase takes a message out of CHANGES, by number of its sequence, and overwrites its bytes. One that is gone is no error. What
// may be erased is for the caller to know: see package retention.
func (b *Bus) Erase(ctx context.Context, sequence uint64) error {
	return erase(ctx, b.changes, Changes, sequence)
}

// EraseRefused is Erase for QUARANTINE.
func (b *Bus) EraseRefused(ctx context.Context, sequence uint64) error {
	return erase(ctx, b.quarant, Quarantine, sequence)
}

func erase(ctx context.Context, stream jetstream.Stream, name string, sequence uint64) error {
	err := stream.SecureDeleteMsg(ctx, sequence)
	var api *jetstream.APIError
	if errors.As(err, &api) && api.ErrorCode == errSequenceNotFound || errors.Is(err, jetstream.ErrMsgNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("message %d of %s cannot be erased: %w", sequence, name, err)
	}
	return nil
}

// walkPatience bounds the wait for the next message, which is there.
const walkPatience = 30 * time.Second

// errSequenceNotFound is JetStream's answer where a message to be deleted is not there; the library has no name for it.
const errSequenceNotFound jetstream.ErrorCode = 10043

// Walk calls fn with the messages of one subject of CHANGES from the first up to a sequence. What fn gets is its own.
func (b *Bus) Walk(ctx context.Context, subject string, through uint64, fn func(*Message) error) error {
	return b.walk(ctx, b.changes, subject, through, fn)
}

// WalkRefused is Walk for QUARANTINE.
func (b *Bus) WalkRefused(ctx context.Context, subject string, through uint64, fn func(*Message) error) error {
	return b.walk(ctx, b.quarant, subject, through, fn)
}

func (b *Bus) walk(ctx context.Context, stream jetstream.Stream, subject string, through uint64, fn func(*Message) error) error {
	newest, err := stream.GetLastMsgForSubject(ctx, subject)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("the newest message of %s cannot be read: %w", subject, err)
	}
	end := min(through, newest.Sequence)
	r, err := b.read(ctx, stream, 1, subject)
	if err != nil {
		return err
	}
	defer r.Close()
	for at := uint64(0); at < end; {
		msg, err := r.Next(ctx, walkPatience)
		if err != nil {
			return fmt.Errorf("the messages of %s cannot be read on: %w", subject, err)
		}
		if at = msg.Sequence; at > end {
			return nil
		}
		if err := fn(msg); err != nil {
			return err
		}
	}
	return nil
}
