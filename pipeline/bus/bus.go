// Package bus is the county's message bus on NATS JetStream: the streams, the fenced writers that publish to
// them, and the reader that follows them in order.
package bus

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Headers of a message. The ce- attributes are CloudEvents 1.0 in binary mode.
const (
	HeaderFirst    = "Shire-Position-First" // I2: the source position of the first change
	HeaderLast     = "Shire-Position-Last"  // I2: and of the last; a connector resumes here
	HeaderRows     = "Shire-Rows"
	HeaderRange    = "Shire-Range"       // quarantine: the range of CHANGES that it was decided for
	HeaderDrop     = "Shire-Drop-Reason" // retry: the rows are given up, with this reason
	HeaderReplay   = "Shire-Replay"      // retry: the rows do not come from quarantine but from this message of CHANGES
	HeaderUnit     = "Shire-Unit"
	HeaderCEID     = "ce-id"
	HeaderCESource = "ce-source"
	HeaderCEType   = "ce-type"
	HeaderCETime   = "ce-time"
	HeaderCESpec   = "ce-specversion"
	HeaderEncoding = "content-encoding"
	HeaderCEData   = "ce-datacontenttype"
)

// Stream names.
const (
	Changes    = "CHANGES"
	Quarantine = "QUARANTINE"
	Ledger     = "LEDGER"
	Identity   = "IDENTITY"
	contracts  = "CONTRACTS"
)

// Options of the streams.
type Options struct {
	County   string // division code: the token after the subject's prefix
	Replicas int    // 1 on one node, 3 in production
}

// Bus is a connection to the county's streams.
type Bus struct {
	nc      *nats.Conn
	js      jetstream.JetStream
	opt     Options
	changes jetstream.Stream
	quarant jetstream.Stream
	ledger  jetstream.Stream
	links   jetstream.Stream
	texts   jetstream.KeyValue
	shapes  jetstream.KeyValue
	inboxes sync.Map // *Inbox by department
	id      string
}

// MinPayload is the largest message that the flow may send: a single change of 4 MiB, packed, with its headers.
const MinPayload = 5 << 20

// PayloadError says that the server takes smaller messages than the flow may send.
type PayloadError struct{ Limit int64 }

func (e *PayloadError) Error() string {
	return fmt.Sprintf("the NATS server takes messages of up to %d bytes and the flow needs %d; set max_payload: 8MB in its configuration", e.Limit, MinPayload)
}

// Open creates the streams that are missing and connects to them.
func Open(ctx context.Context, nc *nats.Conn, opt Options) (*Bus, error) {
	if limit := nc.MaxPayload(); limit < MinPayload {
		return nil, &PayloadError{Limit: limit}
	}
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, fmt.Errorf("JetStream is not usable: %w", err)
	}
	b := &Bus{nc: nc, js: js, opt: opt}
	// Limits retention, and no limit of ours: work-queue and interest streams forget what was acknowledged over a
	// restart, and a replay needs the changes themselves.
	for _, s := range []struct {
		stream   *jetstream.Stream
		name     string
		subjects []string
	}{
		{&b.changes, Changes, []string{"changes.>", "retry.>"}},
		{&b.quarant, Quarantine, []string{"quarantine.>"}},
		{&b.ledger, Ledger, []string{"ledger.>"}},
		{&b.links, Identity, []string{"identity.>"}},
	} {
		if *s.stream, err = b.open(ctx, s.name, s.subjects); err != nil {
			return nil, err
		}
	}
	for _, k := range []struct {
		bucket      *jetstream.KeyValue
		name, about string
	}{
		{&b.texts, contracts, "contracts by the hash of their text: what a recorded range was made with"},
		{&b.shapes, shapes, "columns of the sources that were accepted, by dataset"},
	} {
		*k.bucket, err = js.CreateOrUpdateKeyValue(ctx, jetstream.KeyValueConfig{Bucket: k.name, Description: k.about, Replicas: opt.Replicas})
		if err != nil {
			return nil, fmt.Errorf("the bucket %s cannot be opened: %w", k.name, err)
		}
	}
	b.id = b.changes.CachedInfo().Config.Metadata["shire-bus"]
	return b, nil
}

func (b *Bus) open(ctx context.Context, name string, subjects []string) (jetstream.Stream, error) {
	stream, err := b.js.Stream(ctx, name)
	if err == nil {
		return stream, nil
	}
	if !errors.Is(err, jetstream.ErrStreamNotFound) {
		return nil, fmt.Errorf("the stream %s cannot be read: %w", name, err)
	}
	stream, err = b.js.CreateStream(ctx, jetstream.StreamConfig{
		Name: name, Subjects: subjects, Retention: jetstream.LimitsPolicy, Storage: jetstream.FileStorage,
		Replicas: b.opt.Replicas, Duplicates: 2 * time.Minute, AllowDirect: true, Discard: jetstream.DiscardOld,
		Metadata: map[string]string{"shire-bus": uuid.NewString()},
	})
	if errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) { // another process, which began at the same moment, was first
		stream, err = b.js.Stream(ctx, name)
	}
	if err != nil {
		return nil, fmt.Errorf("the stream %s cannot be created: %w", name, err)
	}
	return stream, nil
}

// ID identifies this bus. A warehouse that was loaded from one bus cannot go on with another, because the
// versions of its rows are that bus's sequences.
func (b *Bus) ID() string { return b.id }

// ChangesSubject is where a dataset's changes are published.
func (b *Bus) ChangesSubject(department, dataset string) string {
	return strings.Join([]string{"changes", b.opt.County, department, dataset}, ".")
}

// RetrySubject is where quarantined changes come back.
func (b *Bus) RetrySubject(department, dataset string) string {
	return strings.Join([]string{"retry", b.opt.County, department, dataset}, ".")
}

// QuarantineSubject is where the bytes of bad rows wait.
func (b *Bus) QuarantineSubject(department, dataset string) string {
	return strings.Join([]string{"quarantine", b.opt.County, department, dataset}, ".")
}

// LinksSubject is where merges and splits of persons and organisations are told to who subscribed.
func (b *Bus) LinksSubject() string { return "identity." + b.opt.County + ".links" }

// Place is the department and dataset that a subject speaks of.
func Place(subject string) (department, dataset string) {
	parts := strings.Split(subject, ".")
	if len(parts) != 4 {
		return "", ""
	}
	return parts[2], parts[3]
}

// LastSequence is the sequence of the newest message of CHANGES, 0 when it is empty.
func (b *Bus) LastSequence(ctx context.Context) (uint64, error) {
	info, err := b.changes.Info(ctx)
	if err != nil {
		return 0, fmt.Errorf("the stream %s does not answer: %w", Changes, err)
	}
	return info.State.LastSeq, nil
}

// Get reads one message of CHANGES. The error is ErrExpired when retention has removed it.
func (b *Bus) Get(ctx context.Context, sequence uint64) (*Message, error) {
	raw, err := b.changes.GetMsg(ctx, sequence)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return nil, ErrExpired
	}
	if err != nil {
		return nil, fmt.Errorf("message %d of %s cannot be read: %w", sequence, Changes, err)
	}
	return &Message{Sequence: raw.Sequence, Subject: raw.Subject, Header: raw.Header, Data: raw.Data, Time: raw.Time}, nil
}

// ErrExpired says that a message is older than what the stream keeps.
var ErrExpired = errors.New("the message is older than what the bus keeps")

// Message is one message as it stands in a stream.
type Message struct {
	Sequence uint64
	Subject  string
	Header   nats.Header
	Data     []byte
	Time     time.Time // when JetStream stored it: the same at every reading
}

// IsRetry tells whether the message brings changes back from quarantine.
func (m *Message) IsRetry() bool { return strings.HasPrefix(m.Subject, "retry.") }

// PutContract keeps the text of a contract under its hash.
func (b *Bus) PutContract(ctx context.Context, hash, zone string, text []byte) error {
	_, err := b.texts.Create(ctx, hash, append([]byte(zone+"\n"), text...))
	if err != nil && !errors.Is(err, jetstream.ErrKeyExists) {
		return fmt.Errorf("contract %s cannot be kept: %w", hash, err)
	}
	return nil
}

// Contract reads back what PutContract kept.
func (b *Bus) Contract(ctx context.Context, hash string) (zone string, text []byte, err error) {
	entry, err := b.texts.Get(ctx, hash)
	if err != nil {
		return "", nil, fmt.Errorf("contract %s is not on the bus: %w", hash, err)
	}
	z, t, _ := strings.Cut(string(entry.Value()), "\n")
	return z, []byte(t), nil
}

// Lag is what stands on the bus behind a sequence.
type Lag struct {
	Messages uint64
	Rows     uint64    // changes in them
	Oldest   time.Time // when the first of them was stored; zero when there is none
}

// maxLagSample bounds how many messages Lag opens to count their rows.
const maxLagSample = 64

// Lag measures how far the loads are behind. The rows of a long lag are estimated from its first messages.
func (b *Bus) Lag(ctx context.Context, through uint64) (Lag, error) {
	info, err := b.changes.Info(ctx)
	if err != nil {
		return Lag{}, fmt.Errorf("the stream %s does not answer: %w", Changes, err)
	}
	last, first := info.State.LastSeq, max(through+1, info.State.FirstSeq) // what has expired is not asked for, one by one
	if last < first {
		return Lag{}, nil
	}
	lag := Lag{Messages: last - first + 1}
	var sampled, rows uint64
	for seq := first; seq <= last && sampled < maxLagSample; seq++ {
		msg, err := b.changes.GetMsg(ctx, seq)
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			continue
		}
		if err != nil {
			return Lag{}, fmt.Errorf("message %d of %s cannot be read: %w", seq, Changes, err)
		}
		if lag.Oldest.IsZero() {
			lag.Oldest = msg.Time
		}
		n, _ := strconv.ParseUint(msg.Header.Get(HeaderRows), 10, 64)
		rows += n
		sampled++
	}
	if sampled > 0 {
		lag.Rows = rows * lag.Messages / sampled
	}
	return lag, nil
}
