package portal

import (
	"context"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"
)

const (
	cacheEntries  = 512              // I10: a dashboard asks for about 25 figures; a result has a few hundred rows at most
	atATime       = 4                // I10: figures computed at once; more would only queue inside the warehouse
	figureTimeout = 30 * time.Second // for one figure, waiting for its turn included
)

// figureCache keeps answers for as long as no load has completed, so that the second reader of a dashboard, and the
// first one's reload, cost the warehouse nothing. Equal questions at the same time are asked once.
type figureCache struct {
	generation func() uint64
	turn       chan struct{}
	flights    singleflight.Group

	mu      sync.Mutex // guards what follows
	of      uint64     // the generation of the entries
	entries map[string]any
	order   []string // oldest first
}

func newFigureCache(generation func() uint64) *figureCache {
	return &figureCache{generation: generation, turn: make(chan struct{}, atATime), entries: map[string]any{}}
}

// cached answers from the cache or computes. The computation outlives the caller: another may wait for the same answer.
func cached[T any](ctx context.Context, c *figureCache, key string, compute func(context.Context) (T, error)) (T, error) {
	// Read before computing: a load that completes meanwhile makes the answer younger than its label, never older.
	generation := c.generation()
	if v, ok := c.get(generation, key); ok {
		return v.(T), nil
	}
	// The generation is part of the flight: who asks after a load must not get what was asked before it.
	flight := c.flights.DoChan(strconv.FormatUint(generation, 10)+"\x00"+key, func() (any, error) {
		if v, ok := c.get(generation, key); ok {
			return v, nil // another flight landed between the look above and this one's start
		}
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), figureTimeout)
		defer cancel()
		select {
		case c.turn <- struct{}{}:
			defer func() { <-c.turn }()
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
		v, err := compute(ctx)
		if err != nil {
			return nil, err
		}
		c.put(generation, key, v)
		return v, nil
	})
	var none T
	select {
	case done := <-flight:
		if done.Err != nil {
			return none, done.Err
		}
		return done.Val.(T), nil
	case <-ctx.Done():
		return none, context.Cause(ctx)
	}
}

func (c *figureCache) get(generation uint64, key string) (any, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.of != generation {
		return nil, false
	}
	v, ok := c.entries[key]
	return v, ok
}

func (c *figureCache) put(generation uint64, key string, v any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if generation < c.of {
		return // a later load completed while this was computed
	}
	if generation > c.of {
		c.of, c.order = generation, c.order[:0]
		clear(c.entries)
	}
	if _, there := c.entries[key]; !there {
		if len(c.order) == cacheEntries {
			delete(c.entries, c.order[0])
			c.order = append(c.order[:0], c.order[1:]...)
		}
		c.order = append(c.order, key)
	}
	c.entries[key] = v
}
