package bus

import (
	"context"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// Wrap puts something between a bus and its engine, to lose on the way what a network loses.
func Wrap(b *Bus, with func(jetstream.JetStream) jetstream.JetStream) { b.js = with(b.js) }

// LookAfter has inboxes that are read asked sooner whether they are still there.
func LookAfter(d time.Duration) { inboxLook = d }

// LeaveOut has a reader go on at a later message, as a server would that leaves out what lies before.
func (r *Reader) LeaveOut(ctx context.Context, from uint64) error {
	r.messages.Stop()
	return r.open(ctx, from)
}
