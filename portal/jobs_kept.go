package portal

import (
	"context"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"
)

const (
	keepJobs   = 2 * time.Second // many people look at the same jobs; reading ten thousand of them for each would be a waste
	keepComing = 5 * time.Second
	mostComing = 64 // I10: different questions
	askWithin  = 20 * time.Second
)

// kept keeps answers for a short while, and asks the same thing once however many want to know.
type kept[T any] struct {
	now     func() time.Time
	length  time.Duration
	most    int
	flights singleflight.Group

	mu      sync.Mutex
	epoch   uint64 // an answer that was asked for before the last forget is not kept
	entries map[string]keptEntry[T]
}

type keptEntry[T any] struct {
	at    time.Time
	value T
}

func newKept[T any](now func() time.Time, length time.Duration, most int) *kept[T] {
	return &kept[T]{now: now, length: length, most: most, entries: map[string]keptEntry[T]{}}
}

// get answers from what is kept, or asks. The question outlives the caller: another may wait for the same answer.
func (k *kept[T]) get(ctx context.Context, key string, ask func(context.Context) (T, error)) (T, error) {
	k.mu.Lock()
	e, ok := k.entries[key]
	epoch := k.epoch
	k.mu.Unlock()
	if age := k.now().Sub(e.at); ok && age >= 0 && age < k.length {
		return e.value, nil
	}
	// The epoch is part of the flight: who asks after a change must not get what was asked before it.
	flight := k.flights.DoChan(strconv.FormatUint(epoch, 10)+"\x00"+key, func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), askWithin)
		defer cancel()
		value, err := ask(ctx)
		if err == nil {
			k.keep(key, epoch, value)
		}
		return value, err
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

func (k *kept[T]) keep(key string, epoch uint64, value T) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if epoch != k.epoch {
		return
	}
	if _, there := k.entries[key]; !there && len(k.entries) >= k.most {
		clear(k.entries)
	}
	k.entries[key] = keptEntry[T]{k.now(), value}
}

// forget lets the next question be asked anew: who has just changed something wants to see it.
func (k *kept[T]) forget() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.epoch++
	clear(k.entries)
}
