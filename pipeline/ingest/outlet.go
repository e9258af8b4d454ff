package ingest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/shirecounty/shire/connectors"
	"github.com/shirecounty/shire/pipeline/bus"
	"github.com/shirecounty/shire/schemas/change"
	"github.com/shirecounty/shire/schemas/contract"
)

// Limits bound a message (I10).
type Limits struct {
	Rows   int
	Bytes  int
	Linger time.Duration // longest wait before a message that is not full is sent
}

// maxChange is the largest single change that fits in a message with room to spare.
const maxChange = 4 << 20

// outlet packs the changes of one source and publishes them, each dataset on a lane of its own.
type outlet struct {
	bus    *bus.Bus
	source string
	limits Limits
	lanes  map[string]*lane
	onSent func(dataset string, rows int)
	notify func(connectors.Event)
}

var _ connectors.Outlet = (*outlet)(nil)

// lane carries one dataset: rows are packed by whoever appends, messages are published behind their back, so
// that the next message fills while the last one waits for its acknowledgement.
type lane struct {
	subject string
	writer  *bus.Writer

	mu      sync.Mutex // guards what follows
	guard   *guard
	builder *change.Builder
	unit    string
	since   time.Time // first row of the builder
	safe    change.Position
	sent    uint64 // sequence of the message that made safe what it is
	pending int
	err     error
	idle    *sync.Cond // pending fell to 0, or err was set

	queue chan *change.Batch
}

func newOutlet(ctx context.Context, b *bus.Bus, source string, datasets []*contract.Dataset, limits Limits, onSent func(string, int), notify func(connectors.Event)) (*outlet, error) {
	o := &outlet{bus: b, source: source, limits: limits, lanes: map[string]*lane{}, onSent: onSent, notify: notify}
	for _, d := range datasets {
		subject := b.ChangesSubject(d.Department, d.Name)
		w, err := b.ChangesWriter(ctx, subject)
		if err != nil {
			return nil, err
		}
		l := &lane{subject: subject, writer: w, queue: make(chan *change.Batch, 1)}
		l.idle = sync.NewCond(&l.mu)
		if l.guard, err = o.newGuard(ctx, d); err != nil {
			return nil, err
		}
		// I2: the position travels with the data; the newest message says where to go on.
		sequence, header := w.Last()
		l.safe, l.sent = change.Position(header.Get(bus.HeaderLast)), sequence
		l.builder = change.NewBuilder(source, d.Department, d.Name, "", nil)
		o.lanes[d.Name] = l
	}
	return o, nil
}

// run publishes until stop is closed, which is only after the connector has returned: nobody appends any more.
// When ctx ends the publishers fail, which the connector learns from its next Append.
func (o *outlet) run(ctx context.Context, stop <-chan struct{}) {
	var publishers sync.WaitGroup
	for name, l := range o.lanes {
		publishers.Add(1)
		go func() {
			defer publishers.Done()
			l.publish(ctx, o.bus, name, o.onSent)
		}()
	}
	tick := time.NewTicker(o.limits.Linger)
	defer tick.Stop()
	for running := true; running; {
		select {
		case <-tick.C:
			for _, l := range o.lanes {
				l.sendIfLingering(o.limits.Linger)
			}
		case <-stop:
			running = false
		}
	}
	for _, l := range o.lanes {
		close(l.queue)
	}
	publishers.Wait()
}

func (o *outlet) lane(dataset string) (*lane, error) {
	l, ok := o.lanes[dataset]
	if !ok {
		return nil, fmt.Errorf("source %s appended to dataset %s, which county.yaml does not list for it", o.source, dataset)
	}
	return l, nil
}

func (o *outlet) Resume(_ context.Context, dataset string) (change.Position, error) {
	l, err := o.lane(dataset)
	if err != nil {
		return "", err
	}
	l.mu.Lock() // the writer itself belongs to the publisher
	defer l.mu.Unlock()
	return l.safe, nil
}

func (o *outlet) Safe(dataset string) change.Position {
	l, ok := o.lanes[dataset]
	if !ok {
		return ""
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.safe
}

func (o *outlet) Append(ctx context.Context, dataset, unit string, columns []string, c change.Change) error {
	l, err := o.lane(dataset)
	if err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if len(c.Values) > len(columns) {
		return fmt.Errorf("source %s appended %d values for the %d columns of dataset %s: a defect of the connector", o.source, len(c.Values), len(columns), dataset)
	}
	c = fitting(c)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		return l.err
	}
	if c.Op != change.Delete && c.Op != change.Malformed { // which have no columns, or none of their own
		if err := l.guarded(l.guard.carry(ctx, columns)); err != nil {
			return err
		}
	}
	if l.builder.Rows() > 0 && !slices.Equal(l.builder.Drift, l.guard.carried) {
		l.send()
	}
	l.builder.Drift = l.guard.carried
	if l.builder.Rows() > 0 && (unit != l.unit || !sameColumns(columns, l.builder.Columns()) || l.builder.Bytes()+l.builder.SizeOf(c) > o.limits.Bytes) {
		l.send() // a message is as large as the limit allows, or holds one change
	}
	if unit != l.unit || !sameColumns(columns, l.builder.Columns()) {
		old := l.builder
		l.builder = change.NewBuilder(old.Source, old.Department, old.Dataset, unit, append([]string(nil), columns...))
		l.builder.Drift = old.Drift
		l.unit = unit
		old.Release()
	}
	if l.builder.Rows() == 0 {
		l.since = time.Now()
	}
	l.builder.Append(c)
	if l.builder.Rows() >= o.limits.Rows || l.builder.Bytes() >= o.limits.Bytes {
		l.send()
	}
	return l.err
}

// Shape implements connectors.Outlet. Whether the values fit the contract's types is checked value by value.
func (o *outlet) Shape(ctx context.Context, dataset string, columns []connectors.Column) error {
	l, err := o.lane(dataset)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.guarded(l.guard.declare(ctx, columns))
}

// guarded lets no later call succeed after the bus failed; what the contract forbids leaves what was appended before to be
// sent. l.mu is held.
func (l *lane) guarded(err error) error {
	var frozen *FrozenError
	if err != nil && l.err == nil && !errors.As(err, &frozen) {
		l.err = err
		l.idle.Broadcast()
	}
	return err
}

// Oversize tells whether no message can hold a change, so that it goes to quarantine.
func Oversize(c change.Change) bool { return sizeOf(c) > maxChange }

func sizeOf(c change.Change) int {
	size := len(c.Key) + len(c.Raw)
	for _, v := range c.Values {
		size += len(v)
	}
	return size
}

// fitting turns a change that no message can hold into one that says so; its first bytes go to quarantine.
func fitting(c change.Change) change.Change {
	size := sizeOf(c)
	if size <= maxChange {
		return c
	}
	raw := c.Raw
	for _, v := range c.Values {
		if len(raw) > 64<<10 {
			break
		}
		raw += v + "\t"
	}
	key := c.Key // by which reconcile knows that the record waits
	if len(key) > 64<<10 {
		key = ""
	}
	return change.Change{
		Op: change.Malformed, Key: key, Row: c.Row, Time: c.Time, Position: c.Position, Raw: strings.ToValidUTF8(raw[:min(len(raw), 64<<10)], ""),
		Problem: fmt.Sprintf("the row has %d bytes, more than the %d that fit in a message; only its beginning is kept", size, maxChange),
	}
}

func sameColumns(a, b []string) bool {
	if len(a) != len(b) {
		return false
	}
	if len(a) == 0 || &a[0] == &b[0] {
		return true
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

// send hands the builder's rows to the publisher; it blocks while the queue is full (I10). l.mu is held and is
// given up while it waits.
func (l *lane) send() {
	if l.builder.Rows() == 0 {
		return
	}
	batch := l.builder.Build()
	l.pending++
	for l.err == nil && len(l.queue) == cap(l.queue) {
		l.idle.Wait()
	}
	if l.err != nil {
		l.pending--
		batch.Record.Release()
		return
	}
	l.queue <- batch
}

func (l *lane) sendIfLingering(linger time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.builder.Rows() > 0 && time.Since(l.since) >= linger && len(l.queue) == 0 {
		l.send()
	}
}

// publish is the lane's other end.
func (l *lane) publish(ctx context.Context, b *bus.Bus, dataset string, onSent func(string, int)) {
	for batch := range l.queue {
		l.mu.Lock()
		failed := l.err
		l.idle.Broadcast() // a place in the queue is free
		l.mu.Unlock()
		var err error
		if failed == nil {
			err = publishBatch(ctx, l.writer, b, batch)
		}
		l.mu.Lock()
		l.pending--
		switch {
		case failed != nil:
		case err != nil:
			l.err = err
		default:
			l.safe = batch.Last // I1: safe only now, after the PubAck
			l.sent, _ = l.writer.Last()
			onSent(dataset, batch.Len())
		}
		l.idle.Broadcast()
		l.mu.Unlock()
		batch.Record.Release()
	}
}

func (o *outlet) Flush(ctx context.Context) error {
	// A wait on a condition does not hear ctx, so its end wakes the waiters.
	stop := context.AfterFunc(ctx, func() {
		for _, l := range o.lanes {
			l.mu.Lock()
			l.idle.Broadcast()
			l.mu.Unlock()
		}
	})
	defer stop()
	for _, l := range o.lanes {
		l.mu.Lock()
		l.send()
		l.mu.Unlock()
	}
	var problems []error
	for _, l := range o.lanes {
		l.mu.Lock()
		for l.pending > 0 && l.err == nil && ctx.Err() == nil {
			l.idle.Wait()
		}
		problems = append(problems, l.err)
		l.mu.Unlock()
	}
	return errors.Join(append(problems, ctx.Err())...)
}

func (o *outlet) History(ctx context.Context, dataset string, after uint64, fn func(uint64, *change.Batch) error) error {
	l, err := o.lane(dataset)
	if err != nil {
		return err
	}
	l.mu.Lock()
	through := l.sent
	l.mu.Unlock()
	if through <= after {
		return nil
	}
	r, err := o.bus.ReadSubject(ctx, l.subject, after+1)
	if err != nil {
		return err
	}
	defer r.Close()
	for {
		msg, err := r.Next(ctx, 30*time.Second)
		if err != nil {
			return fmt.Errorf("the history of %s cannot be read: %w", dataset, err)
		}
		b, err := change.Decode(msg.Data)
		if err != nil {
			return fmt.Errorf("message %d of %s: %w", msg.Sequence, l.subject, err)
		}
		err = fn(msg.Sequence, b)
		b.Record.Release()
		if err != nil {
			return err
		}
		if msg.Sequence >= through {
			return nil
		}
	}
}
