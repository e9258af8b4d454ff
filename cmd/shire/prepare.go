package main

import (
	"context"
	"time"

	"github.com/shirecounty/shire/pipeline/warehouse"
)

// How often it is looked whether figures have to be prepared anew, and how long it rests after a preparation, in times of what that took:
// most of the machine is for loads and readers.
const (
	prepareEvery = 10 * time.Second
	prepareRest  = 5
)

// prepare makes the figures of a large county those of this moment.
func (n *node) prepare(ctx context.Context) error {
	n.preparing.Lock()
	defer n.preparing.Unlock()
	done, err := n.preparer.Prepare(ctx)
	if done {
		n.prepared.Add(1)
	}
	return err
}

// keepPrepared prepares figures anew after loads, until ctx ends. A preparation that fails is tried again later: readers have the last one, whose
// age they are told.
func (n *node) keepPrepared(ctx context.Context) error {
	through, looked := uint64(0), time.Time{}
	for rest := prepareEvery; ; {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(rest):
		}
		rest = prepareEvery
		// What changes without a load, such as what retention deletes, is seen less often.
		if now := n.flow.Status().Through; now == through && time.Since(looked) < time.Minute {
			continue
		} else {
			through = now
		}
		looked = time.Now()
		if err := n.prepare(ctx); err != nil && ctx.Err() == nil {
			n.log.Warn("the figures could not be prepared; it is tried again", "error", err)
		}
		rest = max(rest, prepareRest*time.Since(looked))
	}
}

// newPreparer prepares from the views that this node writes, and by the rules of materials that they judge by.
func (n *node) newPreparer() (*warehouse.Preparer, error) {
	hash, err := n.views().Hash()
	if err != nil {
		return nil, err
	}
	return &warehouse.Preparer{Conn: n.warehouse.Conn(), Set: n.metrics, Zone: n.zone, Views: hash + n.materials.Hash(), Definer: n.engines.loader.User}, nil
}
