package subscription

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/shirecounty/shire/pipeline/bus"
	"github.com/shirecounty/shire/schemas/county"
	"github.com/shirecounty/shire/schemas/pseudonym"
	"github.com/shirecounty/shire/schemas/sharing"
)

// outbox is a subscription's part of a department's outbox: what lies there and is not known to be read. The department reads by the
// durable consumer that has the subscription's name.
type outbox struct {
	box     *bus.Outbox
	waiting map[pseudonym.ID]*waits // I10: as many as county.yaml says
	tended  time.Time               // when it was looked at last
	rest    time.Duration           // how long it is not looked at record by record
	closer  time.Time               // when it was looked at record by record
	busy    bool
}

// waits is a message that lies in the outbox.
type waits struct {
	sequence uint64
	stored   time.Time
	sent     sent // as the book has it
}

// outboxState is what the book has of a subscription's outbox.
type outboxState struct {
	Stream  string `json:"stream"`  // which one it was
	Emptied bool   `json:"emptied"` // it is being emptied: what the book has of its messages may be wrong
}

// limits of a department's outbox are those of its subscriptions together.
func limits(list []county.Subscription, department string) (l bus.OutboxLimits) {
	for _, c := range list {
		if c.Deliver == county.DeliverNATS && c.Department == department {
			l.Messages += int64(c.Outbox.Records)
			l.Bytes += int64(c.Outbox.Bytes)
		}
	}
	return l
}

// Sweep removes from the outboxes what belongs to no subscription of the list: nothing may be read that nobody follows any more.
func Sweep(ctx context.Context, b *bus.Bus, list []county.Subscription) (removed uint64, err error) {
	return b.SweepOutboxes(ctx, func(department, name string) bool {
		return slices.ContainsFunc(list, func(c county.Subscription) bool {
			return c.Deliver == county.DeliverNATS && c.Department == department && c.Name == name
		})
	})
}

// Unread is how many records lie in a department's outbox that it has not acknowledged; nil when it has none yet.
func Unread(ctx context.Context, nc *nats.Conn, county, department, name string) (*uint64, error) {
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, fmt.Errorf("JetStream is not usable: %w", err)
	}
	consumer, err := js.Consumer(ctx, bus.OutboxStream(county, department), name)
	if errors.Is(err, jetstream.ErrStreamNotFound) || errors.Is(err, jetstream.ErrConsumerNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("the outbox of %s does not answer: %w", department, err)
	}
	info := consumer.CachedInfo()
	n := info.NumPending + uint64(info.NumAckPending)
	return &n, nil
}

func (w *worker) stateKey() string { return w.s.book.key(w.follows, "outbox") }

// open finds what lies in the outbox. Of a subscription that is sent by webhook it makes up for what nobody read while it had one.
func (w *worker) open(ctx context.Context) error {
	w.outbox = nil
	var state outboxState
	known, err := w.s.book.get(ctx, w.stateKey(), &state)
	if err != nil {
		return err
	}
	if w.config.Deliver != county.DeliverNATS {
		if known == 0 {
			return nil
		}
		if err := w.missing(ctx); err != nil {
			return err
		}
		return w.s.book.remove(ctx, w.stateKey())
	}
	o := &outbox{waiting: map[pseudonym.ID]*waits{}}
	w.s.opening.Lock() // several subscriptions may want to make the department's outbox
	o.box, err = w.s.Bus.OpenOutbox(ctx, w.config.Department, w.s.limits[w.config.Department])
	w.s.opening.Unlock()
	if err != nil {
		return err
	}
	if err := o.box.Serve(ctx, w.config.Name); err != nil {
		return err
	}
	unsure, err := w.load(ctx, o)
	if err != nil {
		return err
	}
	w.outbox = o
	if known > 0 && (state.Stream != o.box.ID() || state.Emptied) {
		w.log.Warn("what lay unread in the outbox is not there any more; it is put there again as far as it may be shown")
		if err := w.missing(ctx); err != nil {
			return err
		}
	}
	if err := w.s.book.put(ctx, w.stateKey(), outboxState{Stream: o.box.ID()}); err != nil {
		return err
	}
	for _, id := range unsure {
		if err := w.tell(ctx, id, true); err != nil {
			return err
		}
	}
	return w.tend(ctx)
}

// load reads which messages lie there. unsure are those of which it is not noted whether they are what was to be put there.
func (w *worker) load(ctx context.Context, o *outbox) (unsure []pseudonym.ID, err error) {
	list, err := o.box.Messages(ctx, w.config.Name)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(list, func(a, b bus.OutboxMessage) int { return cmp.Compare(a.Sequence, b.Sequence) })
	for _, m := range list {
		id, err := pseudonym.Parse(m.Record)
		known := uint64(0)
		var had sent
		if err == nil {
			if known, err = w.s.book.get(ctx, w.sentKey(id), &had); err != nil {
				return nil, err
			}
		}
		if known == 0 { // who may see it cannot be said (I8); a deletion that was read is such a message
			if err := o.box.Remove(ctx, w.config.Name, m.Record, 0); err != nil {
				return nil, err
			}
			continue
		}
		o.waiting[id] = &waits{m.Sequence, m.Stored, had}
		if had.Unsure {
			unsure = append(unsure, id)
		}
	}
	return unsure, nil
}

// missing looks again at the records whose messages should lie in the outbox and do not.
func (w *worker) missing(ctx context.Context) error {
	keys, err := w.s.book.keys(ctx, w.s.book.key(w.follows, "sent", "*"))
	if err != nil {
		return err
	}
	for _, k := range keys {
		id, err := pseudonym.Parse(k[strings.LastIndexByte(k, '.')+1:])
		if err != nil {
			continue // nobody but us writes there
		}
		var had sent
		known, err := w.s.book.get(ctx, k, &had)
		if err != nil {
			return err
		}
		if known == 0 || had.Waiting == 0 || w.lies(id) != nil {
			continue
		}
		again := had.untold()
		again.Waiting = had.Waiting // until it was told, also over a kill
		if err := w.s.book.put(ctx, k, again); err != nil {
			return err
		}
		if err := w.tell(ctx, id, w.outbox != nil); err != nil {
			return err
		}
		var now sent
		if known, err = w.s.book.get(ctx, k, &now); err != nil {
			return err
		}
		if known > 0 && now.Waiting == had.Waiting { // there was nothing to tell
			if err := w.noteUntold(ctx, id, had); err != nil {
				return err
			}
		}
	}
	return nil
}

// lies is what lies in the outbox of a record, nil when nothing does.
func (w *worker) lies(id pseudonym.ID) *waits {
	if w.outbox == nil {
		return nil
	}
	return w.outbox.waiting[id]
}

// untold is what a receiver knows when the message that waited for it is taken away.
func (s sent) untold() sent {
	return sent{Unsure: true, Known: s.Known, Parties: s.Parties, Division: s.Division}
}

// put stores an event in the outbox. The error is a *refused when nobody read what lies there.
func (w *worker) put(ctx context.Context, id pseudonym.ID, e *event) error {
	o := w.outbox
	if o.waiting[id] == nil && len(o.waiting) >= w.config.Outbox.Records {
		return &refused{verdict: later, reason: fmt.Sprintf("the outbox is full: the department has not read %d records", len(o.waiting))}
	}
	m, err := o.box.Put(ctx, w.config.Name, id.String(), e.id, e.body)
	switch {
	case errors.Is(err, bus.ErrOutboxFull):
		return &refused{verdict: later, reason: "the outbox is full: the department has not read what its subscriptions may have lie there together"}
	case errors.Is(err, nats.ErrMaxPayload):
		return &refused{verdict: never, reason: "the event is larger than what the NATS server takes"}
	case err != nil:
		return err
	}
	e.sent.Waiting, e.sent.Gone, e.sent.Version = m.Sequence, e.gone, e.version
	if e.gone {
		e.sent.Digest = ""
	}
	o.waiting[id] = &waits{m.Sequence, m.Stored, e.sent} // unsure until it is noted
	return nil
}

// tend looks at what lies in the outbox: what was read is removed; so is what may not be shown any more (I8), and what lay there too
// long, which is parked. It is called all the time, and looks as often as it may.
func (w *worker) tend(ctx context.Context) error {
	o := w.outbox
	if o == nil || o.busy || time.Since(o.tended) < w.s.tendEvery {
		return nil
	}
	o.busy = true
	defer func() { o.busy, o.tended = false, time.Now() }()
	if err := w.acknowledged(ctx); err != nil || len(o.waiting) == 0 {
		return err
	}
	requests, err := w.s.Requests.Requests(ctx)
	if err != nil {
		return err
	}
	if !w.granted(requests) {
		return w.empty(ctx)
	}
	if time.Since(o.closer) < o.rest || w.s.Records.Position() < w.through {
		return nil
	}
	began := time.Now()
	for id, m := range o.waiting {
		if err := w.review(ctx, id, m, requests); err != nil {
			return err
		}
	}
	o.closer = time.Now()
	o.rest = 9 * o.closer.Sub(began) // a tenth of the time at most
	return nil
}

// acknowledged removes what the department has acknowledged.
func (w *worker) acknowledged(ctx context.Context) error {
	o := w.outbox
	if len(o.waiting) == 0 {
		return nil
	}
	through, err := o.box.Read(ctx, w.config.Name)
	if err != nil {
		return err
	}
	for id, m := range o.waiting {
		if m.sequence > through || m.sent.Unsure { // what is not noted is put again, and must be found
			continue
		}
		if err := w.noteRead(ctx, id, m.sent); err != nil {
			return err
		}
		if err := w.s.behead("read"); err != nil {
			return err
		}
		if err := o.box.Remove(ctx, w.config.Name, id.String(), m.sequence); err != nil {
			return err
		}
		delete(o.waiting, id)
	}
	return nil
}

func (w *worker) noteRead(ctx context.Context, id pseudonym.ID, had sent) error {
	if had.Gone {
		return w.s.book.remove(ctx, w.sentKey(id))
	}
	had.Known, had.Waiting = true, 0
	return w.s.book.put(ctx, w.sentKey(id), had)
}

// granted tells whether any grant is live by which the subscription could be sent anything.
func (w *worker) granted(requests []*sharing.Request) bool {
	now := w.s.Clock()
	return slices.ContainsFunc(requests, func(r *sharing.Request) bool {
		return r.From == w.config.Department && r.Owner == w.dataset.Department && r.Terms.Dataset == w.dataset.Name && r.Terms.Purpose == w.config.Purpose && r.Covers(now)
	})
}

// empty takes everything out of the outbox at once (I8), and notes then what the department knows.
func (w *worker) empty(ctx context.Context) error {
	o := w.outbox
	if err := w.s.book.put(ctx, w.stateKey(), outboxState{Stream: o.box.ID(), Emptied: true}); err != nil {
		return err
	}
	if err := o.box.Remove(ctx, w.config.Name, "*", 0); err != nil {
		return err
	}
	w.log.Info("no grant is live any more: what lay unread in the outbox was removed", "records", len(o.waiting))
	if err := w.s.behead("emptied"); err != nil {
		return err
	}
	for id, m := range o.waiting {
		if err := w.noteUntold(ctx, id, m.sent); err != nil {
			return err
		}
		delete(o.waiting, id)
	}
	return w.s.book.put(ctx, w.stateKey(), outboxState{Stream: o.box.ID()})
}

func (w *worker) noteUntold(ctx context.Context, id pseudonym.ID, had sent) error {
	if !had.Known {
		return w.s.book.remove(ctx, w.sentKey(id))
	}
	return w.s.book.put(ctx, w.sentKey(id), had.untold())
}

// review looks whether a message that lies in the outbox is still what may be shown.
func (w *worker) review(ctx context.Context, id pseudonym.ID, m *waits, requests []*sharing.Request) error {
	if unread := time.Duration(w.config.Outbox.Unread); w.s.Clock().Sub(m.stored) >= unread {
		w.log.Warn("a change is parked: shire subscriptions parked", "record", id, "reason", "not read", "unread", unread)
		p := Parked{Record: id, Reason: fmt.Sprintf("the department did not read it within %s", unread), Tries: 1, Since: w.s.Clock().UTC()}
		if err := w.park(ctx, p); err != nil {
			return err
		}
		return w.withdraw(ctx, id, m)
	}
	v, err := w.view(id, requests)
	if err != nil {
		return err
	}
	again := false
	if v == nil { // deleted, or not in the store yet
		c, err := w.left(m.sent, requests)
		if err != nil {
			return err
		}
		if len(c.fields) == 0 {
			return w.withdraw(ctx, id, m)
		}
		version, err := w.s.Records.Version(id)
		if err != nil {
			return err
		}
		again = !m.sent.Gone && version > m.sent.Version
	} else {
		if len(v.fields) == 0 {
			return w.withdraw(ctx, id, m)
		}
		again = (m.sent.Gone || v.digest != m.sent.Digest) && v.record.Version >= m.sent.Version
	}
	if !again {
		return nil
	}
	// It is replaced by what may be shown now; where that has no room it may not stay all the same.
	if err := w.tell(ctx, id, true); err != nil {
		return err
	}
	if w.parked[id] && w.lies(id) != nil {
		return w.withdraw(ctx, id, m)
	}
	return nil
}

// withdraw takes a record's message out of the outbox. What the department knows is noted first: from then on the message is not what
// it should be, so that it is looked at again after a kill.
func (w *worker) withdraw(ctx context.Context, id pseudonym.ID, m *waits) error {
	had := m.sent.untold()
	had.Waiting = m.sequence
	if err := w.s.book.put(ctx, w.sentKey(id), had); err != nil {
		return err
	}
	if err := w.s.behead("withdrawn"); err != nil {
		return err
	}
	if err := w.outbox.box.Remove(ctx, w.config.Name, id.String(), m.sequence); err != nil {
		return err
	}
	delete(w.outbox.waiting, id)
	return w.noteUntold(ctx, id, m.sent)
}
