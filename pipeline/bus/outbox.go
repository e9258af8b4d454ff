package bus

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Outbox is the stream of what one department has subscribed to and reads by itself, as a NATS user of its own. A record of a
// subscription has a subject, which holds one message: what it is now. What came before and was not read is replaced.
//
// What was read stays until it is removed by the caller: that it is there is how a put that was interrupted is known from one that
// never came (I2), without a window of time.
type Outbox struct {
	bus        *Bus
	department string
	stream     jetstream.Stream
}

// OutboxLimits bound an outbox. What does not fit is refused, and nothing removed for it.
type OutboxLimits struct {
	Messages int64
	Bytes    int64
}

// ErrOutboxFull says that what is not read leaves no room for a message.
var ErrOutboxFull = errors.New("the outbox is full")

// outboxAckWait is how long a reader may take for a message before it is given out again.
const outboxAckWait = time.Minute

const outboxPrefix = "OUTBOX_"

// OutboxStream is the name of a department's outbox.
func OutboxStream(county, department string) string { return outboxPrefix + county + "_" + department }

// OutboxRequests are what a department asks of JetStream's interface to read a subscription (the subject without $JS.API), and to which
// subjects it acknowledges. It makes no consumer itself: permissions look at subjects and not at what is to be made, which could deliver
// to any subject of the account that holds the streams.
func OutboxRequests(county, department, subscription string) (requests []string, acks string) {
	at := OutboxStream(county, department) + "." + subscription
	return []string{"CONSUMER.INFO." + at, "CONSUMER.MSG.NEXT." + at}, "$JS.ACK." + at + ".>"
}

// OpenOutbox makes a department's outbox when it is missing, and gives it its limits.
func (b *Bus) OpenOutbox(ctx context.Context, department string, limits OutboxLimits) (*Outbox, error) {
	o := &Outbox{bus: b, department: department}
	config := jetstream.StreamConfig{
		Name: OutboxStream(b.opt.County, department), Subjects: []string{o.subject(">")}, Storage: jetstream.FileStorage, Replicas: b.opt.Replicas,
		Retention: jetstream.LimitsPolicy, MaxMsgsPerSubject: 1, Discard: jetstream.DiscardNew, MaxMsgs: limits.Messages, MaxBytes: limits.Bytes,
		Duplicates: 100 * time.Millisecond, // the least there is: nothing rests on it
		Metadata:   map[string]string{"shire-outbox": uuid.NewString()},
	}
	had, err := b.js.Stream(ctx, config.Name)
	if err == nil {
		config.Metadata = had.CachedInfo().Config.Metadata
	} else if !errors.Is(err, jetstream.ErrStreamNotFound) {
		return nil, fmt.Errorf("the stream %s cannot be opened: %w", config.Name, err)
	}
	if o.stream, err = b.js.CreateOrUpdateStream(ctx, config); err != nil {
		return nil, fmt.Errorf("the stream %s cannot be opened: %w", config.Name, err)
	}
	return o, nil
}

// ID tells this stream from one that was made anew.
func (o *Outbox) ID() string { return o.stream.CachedInfo().Config.Metadata["shire-outbox"] }

func (o *Outbox) name() string { return OutboxStream(o.bus.opt.County, o.department) }

func (o *Outbox) subject(rest ...string) string {
	return strings.Join(append([]string{"outbox", o.bus.opt.County, o.department}, rest...), ".")
}

// Serve makes the durable consumer by which the department reads a subscription.
func (o *Outbox) Serve(ctx context.Context, subscription string) error {
	_, err := o.stream.CreateOrUpdateConsumer(ctx, jetstream.ConsumerConfig{
		Durable: subscription, FilterSubject: o.subject(subscription, "*"), DeliverPolicy: jetstream.DeliverAllPolicy,
		AckPolicy: jetstream.AckExplicitPolicy, AckWait: outboxAckWait, MaxDeliver: -1, MaxAckPending: 1000, Replicas: o.bus.opt.Replicas,
	})
	if err != nil {
		return fmt.Errorf("the consumer %s of %s cannot be made: %w", subscription, o.name(), err)
	}
	return nil
}

// OutboxMessage is a message that lies in an outbox, read or not.
type OutboxMessage struct {
	Record   string
	ID       string // of the event
	Sequence uint64
	Stored   time.Time
}

// Messages lists what lies there of a subscription, without what it says.
func (o *Outbox) Messages(ctx context.Context, subscription string) ([]OutboxMessage, error) {
	info, err := o.stream.Info(ctx, jetstream.WithSubjectFilter(o.subject(subscription, "*")))
	if err != nil {
		return nil, fmt.Errorf("the stream %s does not answer: %w", o.name(), err)
	}
	var out []OutboxMessage
	for subject := range info.State.Subjects {
		m, err := o.last(ctx, subject)
		if err != nil {
			return nil, err
		}
		if m != nil {
			out = append(out, *m)
		}
	}
	return out, nil
}

// last is the message that a subject has; nil when there is none.
func (o *Outbox) last(ctx context.Context, subject string) (*OutboxMessage, error) {
	msg, err := o.stream.GetLastMsgForSubject(ctx, subject)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("%s cannot be read from %s: %w", subject, o.name(), err)
	}
	return &OutboxMessage{Record: subject[strings.LastIndexByte(subject, '.')+1:], ID: msg.Header.Get(jetstream.MsgIDHeader), Sequence: msg.Sequence, Stored: msg.Time}, nil
}

// Put stores an event, once: one of this id that lies there already is left as it is. It replaces what lies there of the record. The error is
// ErrOutboxFull when there is no room, and ErrFenced when somebody else put something meanwhile.
func (o *Outbox) Put(ctx context.Context, subscription, record, id string, data []byte) (OutboxMessage, error) {
	subject := o.subject(subscription, record)
	for {
		had, err := o.last(ctx, subject)
		if err != nil {
			return OutboxMessage{}, err
		}
		if had != nil && had.ID == id {
			return *had, nil
		}
		var behind uint64
		if had != nil {
			behind = had.Sequence
		}
		header := nats.Header{}
		header.Set(jetstream.MsgIDHeader, id)
		header.Set("Content-Type", "application/cloudevents+json")
		attempt, cancel := context.WithTimeout(ctx, 10*time.Second)
		ack, err := o.bus.js.PublishMsg(attempt, &nats.Msg{Subject: subject, Header: header, Data: data},
			jetstream.WithExpectLastSequencePerSubject(behind), jetstream.WithRetryAttempts(0)) // I2: fenced, whoever else puts
		cancel()
		switch {
		case isFull(err):
			return OutboxMessage{}, ErrOutboxFull
		case isWrongSequence(err):
			return OutboxMessage{}, fmt.Errorf("publish to %s: %w", subject, ErrFenced)
		case err != nil:
			return OutboxMessage{}, fmt.Errorf("publish to %s: %w", subject, err)
		case !ack.Duplicate:
			return OutboxMessage{Record: record, ID: id, Sequence: ack.Sequence, Stored: time.Now()}, nil
		}
		// It was there a moment ago and was removed: the server takes the new one for the old one until its window is over.
		select {
		case <-ctx.Done():
			return OutboxMessage{}, ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func isFull(err error) bool {
	var api *jetstream.APIError
	return errors.As(err, &api) && (strings.Contains(api.Description, "maximum messages exceeded") || strings.Contains(api.Description, "maximum bytes exceeded"))
}

// Read is the sequence up to which everything of a subscription is acknowledged that lies there.
func (o *Outbox) Read(ctx context.Context, subscription string) (uint64, error) {
	consumer, err := o.stream.Consumer(ctx, subscription) // asks the server
	if err != nil {
		return 0, fmt.Errorf("the consumer %s of %s does not answer: %w", subscription, o.name(), err)
	}
	return consumer.CachedInfo().AckFloor.Stream, nil
}

// Remove takes what lies there of a record of a subscription, or of all its records ("*"), up to a sequence; 0: everything.
func (o *Outbox) Remove(ctx context.Context, subscription, record string, through uint64) error {
	options := []jetstream.StreamPurgeOpt{jetstream.WithPurgeSubject(o.subject(subscription, record))}
	if through > 0 {
		options = append(options, jetstream.WithPurgeSequence(through+1))
	}
	if err := o.stream.Purge(ctx, options...); err != nil {
		return fmt.Errorf("what lies in %s of %s cannot be removed: %w", o.name(), subscription, err)
	}
	return nil
}

// SweepOutboxes removes what is kept for subscriptions that there are no more, and tells how many messages lay there. served says
// which there are.
func (b *Bus) SweepOutboxes(ctx context.Context, served func(department, subscription string) bool) (removed uint64, err error) {
	prefix := OutboxStream(b.opt.County, "")
	names := b.js.StreamNames(ctx)
	var list []string
	for name := range names.Name() {
		if strings.HasPrefix(name, prefix) {
			list = append(list, name)
		}
	}
	if err := names.Err(); err != nil {
		return 0, fmt.Errorf("the streams cannot be listed: %w", err)
	}
	for _, name := range list {
		n, err := b.sweep(ctx, name, strings.TrimPrefix(name, prefix), served)
		if err != nil {
			return removed, fmt.Errorf("the stream %s cannot be tidied up: %w", name, err)
		}
		removed += n
	}
	return removed, nil
}

func (b *Bus) sweep(ctx context.Context, name, department string, served func(department, subscription string) bool) (removed uint64, err error) {
	stream, err := b.js.Stream(ctx, name)
	if err != nil {
		return 0, err
	}
	o := &Outbox{bus: b, department: department, stream: stream}
	info, err := stream.Info(ctx, jetstream.WithSubjectFilter(o.subject(">")))
	if err != nil {
		return 0, err
	}
	subscriptions := map[string]uint64{}
	for subject := range info.State.Subjects {
		if parts := strings.Split(subject, "."); len(parts) > 3 {
			subscriptions[parts[3]]++
		}
	}
	consumers := stream.ConsumerNames(ctx)
	for consumer := range consumers.Name() {
		subscriptions[consumer] += 0
	}
	if err := consumers.Err(); err != nil {
		return 0, err
	}
	kept := false
	for subscription, n := range subscriptions {
		if served(department, subscription) {
			kept = true
			continue
		}
		removed += n
		if err := o.Remove(ctx, subscription, "*", 0); err != nil {
			return removed, err
		}
		if err := stream.DeleteConsumer(ctx, subscription); err != nil && !errors.Is(err, jetstream.ErrConsumerNotFound) {
			return removed, err
		}
	}
	if kept {
		return removed, nil
	}
	return removed, b.js.DeleteStream(ctx, name)
}
