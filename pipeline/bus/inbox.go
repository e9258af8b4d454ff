package bus

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/shirecounty/shire/connectors"
)

// Inbox is the stream of what one department sends by itself, by webhook or as a NATS user of its own. Each event has a
// subject of its own, which takes one message: it is the stream that refuses an event that came before, for as long as
// the first one is kept, and no window of time.
//
// A stream for each department, because the ids of NATS's own deduplication are the stream's: what one department writes
// into its headers must not make a message of another one disappear.
type Inbox struct {
	bus        *Bus
	department string

	mu     sync.Mutex
	stream jetstream.Stream // nil until it was opened
}

var _ connectors.Inbox = (*Inbox)(nil)

const (
	// MaxEvent is the largest event that an inbox takes.
	MaxEvent = 4 << 20
	// eventHeaders is room for the attributes beside it.
	eventHeaders = 64 << 10
)

// Inbox is the inbox of a department. Its stream is made when it is first used; see [Inbox.Open].
func (b *Bus) Inbox(department string) *Inbox {
	own, _ := b.inboxes.LoadOrStore(department, &Inbox{bus: b, department: department})
	return own.(*Inbox)
}

func (i *Inbox) subjects(dataset string) string {
	return connectors.InboxSubjects(i.bus.opt.County, i.department, dataset)
}

func (i *Inbox) subject(dataset, token string) string {
	return strings.TrimSuffix(i.subjects(dataset), "*") + token
}

func (i *Inbox) name() string { return "INBOX_" + i.bus.opt.County + "_" + i.department }

// Open makes the stream when it is missing: before, the server has nobody who would take an event.
func (i *Inbox) Open(ctx context.Context) error {
	_, err := i.open(ctx)
	return err
}

func (i *Inbox) open(ctx context.Context) (jetstream.Stream, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.stream != nil {
		return i.stream, nil
	}
	stream, err := i.bus.js.Stream(ctx, i.name())
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		stream, err = i.bus.js.CreateStream(ctx, jetstream.StreamConfig{
			Name: i.name(), Subjects: []string{i.subjects("*")}, Storage: jetstream.FileStorage, Replicas: i.bus.opt.Replicas, AllowDirect: true,
			// No limit of age: what was acknowledged goes only after it was read (I1, I4). See Forget.
			Retention: jetstream.LimitsPolicy, MaxMsgsPerSubject: 1, Discard: jetstream.DiscardNew, DiscardNewPerSubject: true,
			MaxMsgSize: MaxEvent + eventHeaders,
			Duplicates: 100 * time.Millisecond, // the least there is
			Metadata:   map[string]string{"shire-inbox": uuid.NewString()},
		})
	}
	if err != nil {
		return nil, fmt.Errorf("the stream %s cannot be opened: %w", i.name(), err)
	}
	i.stream = stream
	return stream, nil
}

// Put stores an event. duplicate says that it is there already; in either case it is safe when Put returns (I1).
func (i *Inbox) Put(ctx context.Context, dataset, token string, header map[string][]string, data []byte) (duplicate bool, err error) {
	stream, err := i.open(ctx)
	if err != nil {
		return false, err
	}
	subject := i.subject(dataset, token)
	_, err = i.bus.js.PublishMsg(ctx, &nats.Msg{Subject: subject, Header: nats.Header(header), Data: data})
	if !isTaken(err) {
		if err != nil {
			return false, fmt.Errorf("the stream %s does not take an event: %w", i.name(), err)
		}
		return false, nil
	}
	// I1: a replicated stream refuses a second copy while the first is still on its way to the others. It is safe when
	// it can be read.
	if _, err := stream.GetLastMsgForSubject(ctx, subject); err != nil {
		return false, fmt.Errorf("the stream %s is said to have an event that cannot be read from it: %w", i.name(), err)
	}
	return true, nil
}

// isTaken tells that the event's subject has its message.
func isTaken(err error) bool {
	var api *jetstream.APIError
	return errors.As(err, &api) && strings.Contains(api.Description, "maximum messages per subject exceeded")
}

// State implements connectors.Inbox.
func (i *Inbox) State(ctx context.Context) (connectors.InboxState, error) {
	stream, err := i.open(ctx)
	if err != nil {
		return connectors.InboxState{}, err
	}
	info, err := stream.Info(ctx)
	if errors.Is(err, jetstream.ErrStreamNotFound) { // lost while we ran: the next one to ask makes it anew
		i.mu.Lock()
		i.stream = nil
		i.mu.Unlock()
	}
	if err != nil {
		return connectors.InboxState{}, fmt.Errorf("the stream %s does not answer: %w", i.name(), err)
	}
	return connectors.InboxState{ID: info.Config.Metadata["shire-inbox"], Last: info.State.LastSeq}, nil
}

// StoredAt implements connectors.Inbox.
func (i *Inbox) StoredAt(ctx context.Context, sequence uint64) (time.Time, error) {
	stream, err := i.open(ctx)
	if err != nil {
		return time.Time{}, err
	}
	msg, err := stream.GetMsg(ctx, sequence)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return time.Time{}, nil
	}
	if err != nil {
		return time.Time{}, fmt.Errorf("message %d of %s cannot be read: %w", sequence, i.name(), err)
	}
	return msg.Time, nil
}

// inboxLook is how often an inbox that is read is asked whether it is still there.
var inboxLook = 10 * time.Second

// watch ends the reading of a stream that is no longer the one that it was.
func (i *Inbox) watch(ctx context.Context, end context.CancelCauseFunc, id string, look *time.Ticker) {
	defer look.Stop()
	for {
		select {
		case <-look.C:
		case <-ctx.Done():
			return
		}
		state, err := i.State(ctx)
		switch {
		case errors.Is(err, jetstream.ErrStreamNotFound):
			end(err)
			return
		case err == nil && state.ID != id: // with another error it does not answer at present
			end(fmt.Errorf("the stream %s was made anew while it was read", i.name()))
			return
		}
	}
}

// Read implements connectors.Inbox.
func (i *Inbox) Read(ctx context.Context, dataset string, from connectors.InboxStart, follow bool, fn func(connectors.InboxMessage) error) error {
	config := jetstream.OrderedConsumerConfig{FilterSubjects: []string{i.subjects(dataset)}}
	if from.BehindTime.IsZero() {
		config.DeliverPolicy, config.OptStartSeq = jetstream.DeliverByStartSequencePolicy, from.Behind+1
	} else {
		start := from.BehindTime.Add(1)
		config.DeliverPolicy, config.OptStartTime = jetstream.DeliverByStartTimePolicy, &start
	}
	state, err := i.State(ctx)
	if err != nil {
		return err
	}
	r, waiting, err := i.reader(ctx, config)
	if err != nil {
		return err
	}
	defer r.Close()
	present, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go i.watch(present, cancel, state.ID, time.NewTicker(inboxLook))
	// A consumer whose stream is gone makes itself anew, for ever, and hears no context meanwhile.
	defer context.AfterFunc(present, r.Close)()
	for ; follow || waiting > 0; waiting-- {
		msg, err := r.Next(present, time.Minute)
		for errors.Is(err, ErrIdle) {
			msg, err = r.Next(present, time.Minute)
		}
		switch {
		case ctx.Err() != nil && follow:
			return nil
		case present.Err() != nil:
			return fmt.Errorf("dataset %s: %w", dataset, context.Cause(present))
		case err != nil:
			return fmt.Errorf("dataset %s: %w", dataset, err)
		}
		if err := fn(connectors.InboxMessage{Sequence: msg.Sequence, Stored: msg.Time, Header: msg.Header, Data: msg.Data}); err != nil {
			return err
		}
	}
	return nil
}

// reader opens a reader of the stream and tells how many messages wait for it.
func (i *Inbox) reader(ctx context.Context, config jetstream.OrderedConsumerConfig) (*Reader, uint64, error) {
	stream, err := i.open(ctx)
	if err != nil {
		return nil, 0, err
	}
	consumer, err := stream.OrderedConsumer(ctx, config)
	if err != nil {
		return nil, 0, fmt.Errorf("a consumer of %s cannot be made: %w", i.name(), err)
	}
	info := consumer.CachedInfo() // of the moment when it was made
	// I10: two messages of the largest kind wait on our side at most.
	messages, err := consumer.Messages(jetstream.PullMaxBytes(2 * (MaxEvent + eventHeaders)))
	if err != nil {
		return nil, 0, fmt.Errorf("messages of %s cannot be fetched: %w", i.name(), err)
	}
	return &Reader{consumer: consumer, messages: messages}, info.NumPending, nil
}

// Forget implements connectors.Inbox.
func (i *Inbox) Forget(ctx context.Context, dataset string, through uint64, before time.Time) error {
	if through == 0 {
		return nil
	}
	r, waiting, err := i.reader(ctx, jetstream.OrderedConsumerConfig{
		FilterSubjects: []string{i.subjects(dataset)}, DeliverPolicy: jetstream.DeliverByStartTimePolicy, OptStartTime: &before, HeadersOnly: true,
	})
	if err != nil {
		return err
	}
	defer r.Close()
	end := through + 1
	if waiting > 0 {
		msg, err := r.Next(ctx, time.Minute)
		if err != nil {
			return fmt.Errorf("dataset %s: %w", dataset, err)
		}
		end = min(end, msg.Sequence)
	}
	stream, err := i.open(ctx)
	if err != nil {
		return err
	}
	if err := stream.Purge(ctx, jetstream.WithPurgeSubject(i.subjects(dataset)), jetstream.WithPurgeSequence(end)); err != nil {
		return fmt.Errorf("old messages of %s, dataset %s, cannot be removed: %w", i.name(), dataset, err)
	}
	return nil
}
