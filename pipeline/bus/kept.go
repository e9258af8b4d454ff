package bus

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// Kept is what the bus still has of CHANGES.
type Kept struct {
	First, Last uint64    // sequences; Last < First when it has none
	Since       time.Time // when the first one was stored; zero when there is none
}

// Expired tells whether anything has been removed: the first message that ever was has sequence 1.
func (k Kept) Expired() bool { return k.First > 1 }

// Kept tells which messages of CHANGES the bus has.
func (b *Bus) Kept(ctx context.Context) (Kept, error) {
	info, err := b.changes.Info(ctx)
	if err != nil {
		return Kept{}, fmt.Errorf("the stream %s does not answer: %w", Changes, err)
	}
	k := Kept{First: info.State.FirstSeq, Last: info.State.LastSeq}
	if info.State.Msgs > 0 {
		k.Since = info.State.FirstTime
	}
	return k, nil
}

// SequenceAt is the sequence of the first message of CHANGES that was stored at a time or after it; one more than the last
// when there is none.
func (b *Bus) SequenceAt(ctx context.Context, at time.Time) (uint64, error) {
	k, err := b.Kept(ctx)
	if err != nil {
		return 0, err
	}
	low, high := k.First, k.Last+1 // the answer is within
	for low < high {
		middle := low + (high-low)/2
		msg, err := b.changes.GetMsg(ctx, middle, jetstream.WithGetMsgSubject(">")) // the first that is there from here on
		switch {
		case errors.Is(err, jetstream.ErrMsgNotFound):
			high = middle
		case err != nil:
			return 0, fmt.Errorf("message %d of %s cannot be read: %w", middle, Changes, err)
		case msg.Time.Before(at):
			low = msg.Sequence + 1
		default:
			high = middle
		}
	}
	return low, nil
}
