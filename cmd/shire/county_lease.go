package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/shirecounty/shire/pipeline/bus"
)

// countyLease is the lease of a county's one active normaliser. With embedded engines the lock of the data directory is
// stricter; it is for nodes on a NATS of their own.
const countyLease = "county"

// waitForCounty takes the county's lease when the node that has it ends, and says for whom it waits.
func (a *app) waitForCounty(ctx context.Context, s *setup, e *engines) (*bus.Lease, error) {
	b, err := openBus(ctx, s, e)
	if err != nil {
		return nil, err
	}
	return b.WaitLease(ctx, countyLease, time.Duration(s.config.Flow.Lease), func(h bus.Holder) {
		a.say("another process serves %s: %v; this one waits and takes over when that one ends", s.config.County.NameZh, h)
		a.log.Warn("another process serves the county; this one waits until it ends", "holder", h.String())
	})
}

// takeCounty takes the county's lease, or fails with a sentence on who has it.
func (a *app) takeCounty(ctx context.Context, s *setup, e *engines) (*bus.Lease, error) {
	b, err := openBus(ctx, s, e)
	if err != nil {
		return nil, err
	}
	if h, err := b.LeaseHolder(ctx, countyLease); err == nil && h != nil { // it may have been killed: that takes a while to see
		a.log.Warn("the county was served by another process; whether it still runs is seen in a moment", "holder", h.String())
	}
	lease, err := b.TakeLease(ctx, countyLease, time.Duration(s.config.Flow.Lease))
	if held := (&bus.HeldError{}); errors.As(err, &held) {
		return nil, fmt.Errorf("another process serves %s on this NATS: %v; ask there, or stop it first: %w", s.config.County.NameZh, held.By, err)
	}
	return lease, err
}
