package subscription

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/shirecounty/shire/connectors/push"
	"github.com/shirecounty/shire/pipeline/bus"
	"github.com/shirecounty/shire/schemas/change"
	"github.com/shirecounty/shire/schemas/contract"
	"github.com/shirecounty/shire/schemas/county"
	"github.com/shirecounty/shire/schemas/pseudonym"
)

// worker serves one subscription.
type worker struct {
	s        *Service
	config   county.Subscription
	dataset  *contract.Dataset
	personal bool
	follows  Follows
	secret   []byte  // of the webhook
	outbox   *outbox // nil when it is sent by webhook, and until it was opened
	log      *slog.Logger

	through  uint64 // the store of records has to be so far
	parked   map[pseudonym.ID]bool
	troubled bool   // a trouble is written down
	audited  string // the event that was written to the audit log last, with its cases
	ordered  uint64 // revision of the newest order that was seen
}

func (s *Service) worker(c county.Subscription) (*worker, error) {
	var secret string
	if c.Deliver != county.DeliverNATS {
		var err error
		if secret, err = c.Webhook.Secret.Reveal(); err != nil {
			return nil, fmt.Errorf("subscription %s: webhook.secret cannot be read: %w", c.Name, err)
		}
		if len(secret) < push.MinSecret {
			return nil, fmt.Errorf("subscription %s: webhook.secret has %d characters; make one of at least %d, such as: openssl rand -hex 32", c.Name, len(secret), push.MinSecret)
		}
	}
	d := s.Contracts[c.Dataset]
	if d == nil {
		return nil, fmt.Errorf("subscription %s: the dataset %s has no contract", c.Name, c.Dataset)
	}
	return &worker{s: s, config: c, dataset: d, personal: d.AboutSomebody(), follows: Follows{c.Name, c.Dataset}, secret: []byte(secret),
		log: s.Log.With("subscription", c.Name)}, nil
}

func (w *worker) caller() string { return "subscription/" + w.config.Name }

func (w *worker) sentKey(id pseudonym.ID) string {
	return w.s.book.key(w.follows, "sent", id.String())
}

func (w *worker) parkedKey(id pseudonym.ID) string {
	return w.s.book.key(w.follows, "parked", id.String())
}

// errKilled ends a worker as a kill would: in tests.
var errKilled = errors.New("killed")

// run serves until ctx ends. What is away comes back.
func (w *worker) run(ctx context.Context) {
	for wait := w.s.FirstWait; ; wait = min(2*wait, 30*time.Second) {
		began := time.Now()
		err := w.follow(ctx)
		if ctx.Err() != nil || errors.Is(err, errKilled) {
			return
		}
		w.log.Warn("a subscription cannot go on and is tried again; nothing is sent meanwhile", "error", err)
		if time.Since(began) > time.Minute {
			wait = w.s.FirstWait
		}
		if sleep(ctx, wait) != nil {
			return
		}
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// follow reads the dataset's messages from where the subscription is, one after the other.
func (w *worker) follow(ctx context.Context) error {
	at, revision, err := w.begin(ctx)
	if err != nil {
		return err
	}
	w.through = at.Sequence
	if err := w.open(ctx); err != nil {
		return err
	}
	if err := w.expired(ctx, at); err != nil {
		return err
	}
	reader, err := w.s.Bus.ReadDataset(ctx, w.dataset.Department, w.dataset.Name, at.Sequence+1)
	if err != nil {
		return err
	}
	defer reader.Close()
	for {
		if err := w.tend(ctx); err != nil {
			return err
		}
		if err := w.orders(ctx); err != nil {
			return err
		}
		msg, err := reader.Next(ctx, w.s.idle)
		if errors.Is(err, bus.ErrIdle) {
			continue
		}
		if err != nil {
			return err
		}
		if err := w.message(ctx, msg); err != nil {
			return err
		}
		at.Sequence = msg.Sequence
		if revision, err = w.s.book.swap(ctx, w.s.book.key(w.follows, "position"), at, revision); err != nil {
			return err
		}
		if err := w.s.behead("moved"); err != nil {
			return err
		}
	}
}

// begin finds where the subscription is, and what is parked.
func (w *worker) begin(ctx context.Context) (at position, revision uint64, err error) {
	w.audited, w.parked, w.outbox = "", map[pseudonym.ID]bool{}, nil
	list, err := w.s.book.Parked(ctx, w.follows)
	if err != nil {
		return at, 0, err
	}
	for _, p := range list {
		w.parked[p.Record] = true
	}
	var t Trouble
	known, err := w.s.book.get(ctx, w.s.book.key(w.follows, "trouble"), &t)
	if err != nil {
		return at, 0, err
	}
	if w.troubled = known > 0; t.Held {
		if err := w.wait(ctx, -1); err != nil {
			return at, 0, err
		}
	}
	key := w.s.book.key(w.follows, "position")
	if revision, err = w.s.book.get(ctx, key, &at); err != nil {
		return at, 0, err
	}
	switch {
	case revision == 0:
		at = position{Bus: w.s.Bus.ID(), Since: w.s.Clock().UTC()}
		if at.Sequence, err = w.start(ctx); err != nil {
			return at, 0, err
		}
		revision, err = w.s.book.swap(ctx, key, at, 0)
		return at, revision, err
	case at.Bus != w.s.Bus.ID():
		w.log.Warn("the bus was made anew: the subscription is read from its beginning, and what the receiver knows is not sent again")
		at.Bus, at.Sequence = w.s.Bus.ID(), 0
		return at, revision, nil
	}
	return at, revision, nil
}

// start is the message behind which a new subscription begins.
func (w *worker) start(ctx context.Context) (uint64, error) {
	if w.config.From.IsZero() {
		return w.s.Bus.LastSequence(ctx)
	}
	first, err := w.s.Bus.SequenceAt(ctx, w.config.From)
	return max(first, 1) - 1, err
}

// expired makes up for messages that retention took before they were read: what the receiver knows is looked at again.
func (w *worker) expired(ctx context.Context, at position) error {
	kept, err := w.s.Bus.Kept(ctx)
	if err != nil || at.Sequence == 0 || kept.First <= at.Sequence+1 {
		return err
	}
	keys, err := w.s.book.keys(ctx, w.s.book.key(w.follows, "sent", "*"))
	if err != nil {
		return err
	}
	w.log.Warn("messages that a subscription had not read were removed from the bus; what it was sent is looked at again, what it was not sent yet comes when it changes", "records", len(keys))
	for _, k := range keys {
		id, err := pseudonym.Parse(k[strings.LastIndexByte(k, '.')+1:])
		if err != nil {
			continue // nobody but us writes there
		}
		if err := w.tell(ctx, id, false); err != nil {
			return err
		}
	}
	return nil
}

// ready waits until the store of records has what the subscription has read: a store that is made anew has nothing at first.
func (w *worker) ready(ctx context.Context) error {
	for w.s.Records.Position() < w.through {
		if err := w.tend(ctx); err != nil {
			return err
		}
		if err := sleep(ctx, 20*time.Millisecond); err != nil {
			return err
		}
	}
	return nil
}

// message tells of the records of one message.
func (w *worker) message(ctx context.Context, msg *bus.Message) error {
	w.through = msg.Sequence
	batch, err := change.Decode(msg.Data)
	if err != nil {
		return nil // it is no change; the flow has it in quarantine (I4)
	}
	defer batch.Record.Release()
	if batch.Department != w.dataset.Department || batch.Dataset != w.dataset.Name {
		return nil // likewise
	}
	told := map[pseudonym.ID]bool{}
	for i := range batch.Len() {
		if batch.Op(i) == change.Malformed {
			continue
		}
		id := w.s.recordID(w.dataset.Name, batch.Key(i))
		if told[id] {
			continue
		}
		told[id] = true
		if err := w.tell(ctx, id, false); err != nil {
			return err
		}
	}
	return nil
}

// tell sends what a record is now, until it is sent, parked, or there is nothing to be told any more. once: what fails is parked at
// once.
func (w *worker) tell(ctx context.Context, id pseudonym.ID, once bool) error {
	began := w.s.Clock()
	for tries := 1; ; tries++ {
		if err := w.ready(ctx); err != nil {
			return err
		}
		if err := w.tend(ctx); err != nil {
			return err
		}
		if w.lies(id) != nil { // whether it was read tells whether the next one is news of a record that is known
			if err := w.acknowledged(ctx); err != nil {
				return err
			}
		}
		e, err := w.compose(ctx, id)
		if err != nil {
			return err
		}
		if e == nil {
			return w.settled(ctx, id)
		}
		err = w.send(ctx, id, e)
		if err == nil {
			return w.settled(ctx, id)
		}
		var no *refused
		if !errors.As(err, &no) {
			return err
		}
		now := w.s.Clock()
		if no.verdict == never || no.verdict == later && (once || now.Sub(began) >= time.Duration(w.config.ParkAfter)) {
			w.log.Warn("a change is parked: shire subscriptions parked", "record", id, "reason", no.reason, "tries", tries)
			return w.park(ctx, Parked{Record: id, Reason: no.reason, Tries: tries, Since: now.UTC()})
		}
		pause := w.pause(tries, no.wait)
		t := Trouble{Reason: no.reason, Record: id, Tries: tries, Since: began.UTC(), Next: now.Add(pause).UTC()}
		if no.verdict == goneForGood {
			t.Held, t.Next, pause = true, time.Time{}, -1
			w.log.Error("a subscription is held", "reason", no.reason)
		}
		if err := w.s.book.put(ctx, w.s.book.key(w.follows, "trouble"), t); err != nil {
			return err
		}
		w.troubled = true
		if err := w.wait(ctx, pause); err != nil {
			return err
		}
	}
}

// pause doubles with each try, with jitter, so that subscriptions that failed together do not come back together.
func (w *worker) pause(tries int, asked time.Duration) time.Duration {
	longest := longestWait
	if w.outbox != nil {
		longest = longestFull
	}
	d := min(w.s.FirstWait<<min(tries-1, 20), longest)
	d = time.Duration(float64(d) * (0.8 + 0.4*rand.Float64()))
	return max(d, asked)
}

// send writes down who is shown what, sends it, and notes that the receiver knows it.
func (w *worker) send(ctx context.Context, id pseudonym.ID, e *event) error {
	if err := w.s.behead("composed"); err != nil {
		return err
	}
	about := e.id
	for _, a := range e.accesses {
		about += "\n" + a.CaseNumber + "\n" + a.Persons[0].String()
	}
	if about != w.audited {
		for _, a := range e.accesses {
			// I8: nothing personal leaves before it is in the log. What is sent again, because the receiver was away, is not written down again.
			if err := w.s.Accesses.Record(ctx, a); err != nil {
				return err
			}
		}
		w.audited = about
	}
	if err := w.s.behead("audited"); err != nil {
		return err
	}
	// Else a record that goes back to what it was, after a kill, would leave the receiver with what it was in between.
	e.sent.Unsure = true
	if err := w.s.book.put(ctx, w.sentKey(id), e.sent); err != nil {
		return err
	}
	if err := w.s.behead("announced"); err != nil {
		return err
	}
	deliver := w.post
	if w.outbox != nil {
		deliver = w.put
	}
	if err := deliver(ctx, id, e); err != nil {
		return err
	}
	if err := w.s.behead("sent"); err != nil {
		return err
	}
	if err := w.note(ctx, id, e); err != nil {
		return err
	}
	return w.s.behead("noted")
}

// note notes that an event was delivered: the receiver knows it, or it waits in the outbox.
func (w *worker) note(ctx context.Context, id pseudonym.ID, e *event) error {
	e.sent.Unsure = false
	m := w.lies(id)
	switch {
	case m == nil && e.gone:
		return w.s.book.remove(ctx, w.sentKey(id))
	case m == nil:
		e.sent.Known, e.sent.Waiting = true, 0
	}
	if err := w.s.book.put(ctx, w.sentKey(id), e.sent); err != nil {
		return err
	}
	if m != nil {
		m.sent = e.sent
	}
	return nil
}

// park lets a record wait for a person, or for its next change.
func (w *worker) park(ctx context.Context, p Parked) error {
	if err := w.s.book.put(ctx, w.parkedKey(p.Record), p); err != nil {
		return err
	}
	w.parked[p.Record] = true
	return errors.Join(w.untroubled(ctx), w.s.behead("parked"))
}

// settled says that nothing waits of a record.
func (w *worker) settled(ctx context.Context, id pseudonym.ID) error {
	if w.parked[id] {
		if err := w.s.book.remove(ctx, w.parkedKey(id)); err != nil {
			return err
		}
		delete(w.parked, id)
	}
	return w.untroubled(ctx)
}

func (w *worker) untroubled(ctx context.Context) error {
	if !w.troubled {
		return nil
	}
	w.troubled = false
	return w.s.book.remove(ctx, w.s.book.key(w.follows, "trouble"))
}

// wait waits so long, for ever when it is negative, or until somebody orders that it be tried again.
func (w *worker) wait(ctx context.Context, d time.Duration) error {
	const look = time.Second
	for until := time.Now().Add(d); ; {
		var order again
		revision, err := w.s.book.get(ctx, w.s.book.key(w.follows, "again"), &order)
		if err == nil && revision > w.ordered { // while the bus is away nobody can order anything
			w.ordered = revision
			return nil
		}
		if err := w.tend(ctx); err != nil {
			return err
		}
		left := time.Until(until)
		if d >= 0 && left <= 0 {
			return nil
		}
		if d < 0 {
			left = look
		}
		if err := sleep(ctx, min(left, look)); err != nil {
			return err
		}
	}
}

// orders does what somebody ordered: what is parked is sent.
func (w *worker) orders(ctx context.Context) error {
	var order again
	key := w.s.book.key(w.follows, "again")
	revision, err := w.s.book.get(ctx, key, &order)
	if err != nil || revision == 0 {
		return err
	}
	w.ordered = max(w.ordered, revision)
	list, err := w.s.book.Parked(ctx, w.follows)
	if err != nil {
		return err
	}
	slices.SortFunc(list, func(a, b Parked) int { return a.Since.Compare(b.Since) })
	for _, p := range list {
		if p.Dropped != nil || !order.Record.IsZero() && p.Record != order.Record {
			continue
		}
		if err := w.tell(ctx, p.Record, true); err != nil {
			return err
		}
	}
	err = w.s.book.remove(ctx, key, jetstream.LastRevision(revision))
	if isWrongRevision(err) {
		return nil // another order came meanwhile: its turn is next
	}
	return err
}

func isWrongRevision(err error) bool {
	var api *jetstream.APIError
	return errors.As(err, &api) && api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence
}
