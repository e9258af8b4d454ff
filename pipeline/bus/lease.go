package bus

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// A lease says which process works on something, so that a second copy waits and can say for whom. It is for politeness
// and for people: correctness rests on the fence of the writers alone (I2), so two processes that both believe to hold a
// lease, which no clock can rule out, do no harm.

// DefaultLease is how long a lease holds without being renewed. It is renewed at a third of that.
const DefaultLease = 15 * time.Second

const leases = "LEASES" // the bucket

// Holder is the process that holds a lease.
type Holder struct {
	ID     string        `json:"id"` // of this lease, not of the process
	Host   string        `json:"host"`
	PID    int           `json:"pid"`
	Since  time.Time     `json:"since"`
	Until  time.Time     `json:"until"` // for people: it is judged by the length, because the clocks of two machines differ
	Length time.Duration `json:"length"`
}

// String names the holder for people.
func (h Holder) String() string {
	return fmt.Sprintf("process %d on %s, since %s", h.PID, h.Host, h.Since.Local().Format(time.DateTime))
}

// HeldError says that another process holds the lease.
type HeldError struct{ By Holder }

func (e *HeldError) Error() string { return "it is held by " + e.By.String() }

// ErrLeaseLost says that another process took a lease that was not renewed in time.
var ErrLeaseLost = errors.New("the lease was not renewed in time, and another process took it")

// Lease is held until it is released, or lost to a process that saw it not being renewed.
type Lease struct {
	bus      *Bus
	key      string
	holder   Holder
	revision uint64
	held     context.Context // ends when the lease is lost
	lose     context.CancelCauseFunc
	stop     context.CancelFunc
	stopped  chan struct{}
}

// WaitLease takes a lease as soon as nobody holds it. waits is told the holder, once for each.
func (b *Bus) WaitLease(ctx context.Context, name string, length time.Duration, waits func(Holder)) (*Lease, error) {
	var told string
	return b.takeLease(ctx, name, length, func(h Holder, _ bool) error {
		if h.ID != told {
			told = h.ID
			waits(h)
		}
		return nil
	})
}

// TakeLease takes a lease, or returns a *[HeldError] as soon as its holder has been seen to renew it. A holder that was
// killed renews nothing: then the lease is taken when its length has passed.
func (b *Bus) TakeLease(ctx context.Context, name string, length time.Duration) (*Lease, error) {
	return b.takeLease(ctx, name, length, func(h Holder, lives bool) error {
		if lives {
			return &HeldError{h}
		}
		return nil
	})
}

// LeaseHolder tells who holds a lease; nil when nobody does. The holder may have been killed since.
func (b *Bus) LeaseHolder(ctx context.Context, name string) (*Holder, error) {
	kv, err := b.leases(ctx)
	if err != nil {
		return nil, err
	}
	h, _, err := holderOf(ctx, kv, b.leaseKey(name))
	return h, err
}

func (b *Bus) leaseKey(name string) string { return b.opt.County + "." + name }

// leases opens the bucket. It lives in the server's memory: a lease need not outlive the bus, and should not, because
// with the bus its holder's connection ends. Where the account may not use memory, it is a file like everything else.
func (b *Bus) leases(ctx context.Context) (jetstream.KeyValue, error) {
	kv, err := b.js.KeyValue(ctx, leases)
	if errors.Is(err, jetstream.ErrBucketNotFound) {
		config := jetstream.KeyValueConfig{Bucket: leases, Description: "who works on what", Replicas: b.opt.Replicas, Storage: jetstream.MemoryStorage}
		if kv, err = b.js.CreateOrUpdateKeyValue(ctx, config); err != nil && ctx.Err() == nil {
			config.Storage = jetstream.FileStorage
			kv, err = b.js.CreateOrUpdateKeyValue(ctx, config)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("the bucket %s cannot be opened: %w", leases, err)
	}
	return kv, nil
}

// holderOf reads who holds a lease, nil when nobody does, and the revision that says so.
func holderOf(ctx context.Context, kv jetstream.KeyValue, key string) (*Holder, uint64, error) {
	entry, err := kv.Get(ctx, key)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, fmt.Errorf("the lease %s cannot be read: %w", key, err)
	}
	h := &Holder{}
	if err := json.Unmarshal(entry.Value(), h); err != nil || h.Length <= 0 {
		h = &Holder{ID: "unknown", Host: "an unknown host", Length: DefaultLease} // somebody else wrote it: it expires like any other
	}
	return h, entry.Revision(), nil
}

// takeLease tries until it has the lease or held returns an error. Whether the holder lives is judged by whether it
// changes the entry while our own clock runs.
func (b *Bus) takeLease(ctx context.Context, name string, length time.Duration, held func(h Holder, lives bool) error) (*Lease, error) {
	host, err := os.Hostname()
	if err != nil {
		host = "an unknown host"
	}
	l := &Lease{bus: b, key: b.leaseKey(name), stopped: make(chan struct{}), holder: Holder{
		ID: rand.Text(), Host: host, PID: os.Getpid(), Since: time.Now().UTC(), Length: length,
	}}
	var (
		seen, first uint64
		since       time.Time // when seen was seen first
	)
	for {
		kv, err := b.leases(ctx)
		if err != nil {
			return nil, err
		}
		h, revision, err := holderOf(ctx, kv, l.key)
		if err != nil {
			return nil, err
		}
		now, pause := time.Now(), 10*time.Millisecond
		if revision != seen || since.IsZero() {
			seen, since = revision, now
		}
		if h == nil || now.Sub(since) >= h.Length {
			l.holder.Since = now.UTC()
			switch taken, err := l.write(ctx, kv, revision); {
			case err != nil:
				return nil, err
			case taken:
				l.keep()
				return l, nil
			}
			// Somebody was quicker.
		} else {
			if first == 0 {
				first = revision
			}
			if err := held(*h, revision != first); err != nil {
				return nil, err
			}
			pause = min(max(h.Length/15, pause), time.Second)
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(pause):
		}
	}
}

// write puts our name into the entry if it still has the revision (0: if there is none), and tells whether it had.
func (l *Lease) write(ctx context.Context, kv jetstream.KeyValue, revision uint64) (bool, error) {
	l.holder.Until = time.Now().UTC().Add(l.holder.Length)
	value, err := json.Marshal(l.holder)
	if err != nil {
		return false, err
	}
	if revision == 0 {
		revision, err = kv.Create(ctx, l.key, value)
	} else {
		revision, err = kv.Update(ctx, l.key, value, revision)
	}
	switch {
	case err == nil:
		l.revision = revision
		return true, nil
	case isWrongSequence(err), errors.Is(err, jetstream.ErrKeyExists):
		return false, nil
	}
	return false, fmt.Errorf("the lease %s cannot be written: %w", l.key, err)
}

// keep renews the lease until it is released or lost.
func (l *Lease) keep() {
	var renewing context.Context
	l.held, l.lose = context.WithCancelCause(context.Background())
	renewing, l.stop = context.WithCancel(context.Background())
	go func() {
		defer close(l.stopped)
		tick := time.NewTicker(l.holder.Length / 3)
		defer tick.Stop()
		for {
			select {
			case <-renewing.Done():
				return
			case <-tick.C:
			}
			attempt, cancel := context.WithTimeout(renewing, max(l.holder.Length/3, time.Second))
			err := l.renew(attempt)
			cancel()
			switch {
			case errors.Is(err, ErrLeaseLost):
				l.lose(err)
				return
			case err != nil && renewing.Err() == nil:
				// While the bus is away nobody can tell whose the lease is, and nothing can be published either.
				slog.Debug("a lease could not be renewed; it is tried again", "lease", l.key, "error", err)
			}
		}
	}()
}

// renew writes the entry anew. What another process wrote meanwhile means that the lease is lost.
func (l *Lease) renew(ctx context.Context) error {
	kv, err := l.bus.leases(ctx)
	if err != nil {
		return err
	}
	if renewed, err := l.write(ctx, kv, l.revision); renewed || err != nil {
		return err
	}
	h, revision, err := holderOf(ctx, kv, l.key)
	if err != nil {
		return err
	}
	if h != nil && h.ID != l.holder.ID {
		return fmt.Errorf("%w: %s", ErrLeaseLost, h)
	}
	// It is ours, only the acknowledgement got lost; or the bus was started anew and has forgotten it.
	renewed, err := l.write(ctx, kv, revision)
	if err == nil && !renewed {
		err = errors.New("the entry changed while it was renewed") // the next attempt sees by whom
	}
	return err
}

// Err is nil while the lease is held, and says to whom it was lost.
func (l *Lease) Err() error { return context.Cause(l.held) }

// During makes a context that ends also when the lease is lost; its cause says so.
func (l *Lease) During(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(l.held, func() { cancel(context.Cause(l.held)) })
	return ctx, func() { stop(); cancel(nil) }
}

// releaseTimeout bounds how long a process that ends waits for a bus that does not answer; the lease then expires.
const releaseTimeout = 2 * time.Second

// Release gives the lease up, so that whoever waits need not wait for its length.
func (l *Lease) Release() {
	l.stop()
	<-l.stopped
	if l.Err() != nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), releaseTimeout)
	defer cancel()
	kv, err := l.bus.leases(ctx)
	if err == nil {
		err = kv.Delete(ctx, l.key, jetstream.LastRevision(l.revision))
	}
	if err != nil {
		slog.Debug("a lease could not be released; it expires", "lease", l.key, "error", err)
	}
	l.lose(errReleased)
}

var errReleased = errors.New("the lease was released")
