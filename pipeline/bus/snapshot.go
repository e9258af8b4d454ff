package bus

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Snapshots of streams, over JetStream's own interface: every message with its sequence, time and headers, as the server
// has it. What the server sends is opaque to us, and is what it takes back.
//
// # How it fails
//
//   - The server cannot read a message of its own: the snapshot ends with what it says.
//   - We are too slow, or the connection is lost: the server, or we, give up after a few seconds without a word.
//   - A message is removed while the stream is read, as a key-value bucket does with a value that is replaced: the snapshot
//     may have neither the old one nor the new. It is taken again.

// Snapshot describes a stream as it was when its snapshot began.
type Snapshot struct {
	Stream   string          `json:"stream"`
	Config   json.RawMessage `json:"config"` // as the server says it
	Messages uint64          `json:"messages"`
	First    uint64          `json:"first"` // sequences
	Last     uint64          `json:"last"`
}

// order is how streams have to be taken for what one says of another to hold; see [Bus.Streams].
var order = []string{Quarantine, Identity, Ledger, Changes}

const inboxPrefix = "INBOX_"

// Streams names the streams that a backup has to have, in the order in which they are to be taken:
//
//   - inboxes first: what left one before it was taken would else have to be in CHANGES, which is taken later;
//   - QUARANTINE and IDENTITY before LEDGER: what they miss of a recorded range is published again, and of a range that
//     is not recorded they hold nothing (I3);
//   - LEDGER before CHANGES: every message of a recorded range is there;
//   - the others last: CONTRACTS has the contract of every recorded range.
//
// LEASES is not among them: whoever held one is gone.
func (b *Bus) Streams(ctx context.Context) ([]string, error) {
	list := b.js.ListStreams(ctx)
	var names []string
	for info := range list.Info() {
		if info.Config.Storage == jetstream.FileStorage && info.Config.Name != "KV_"+leases {
			names = append(names, info.Config.Name)
		}
	}
	if err := list.Err(); err != nil {
		return nil, fmt.Errorf("the streams cannot be listed: %w", err)
	}
	rank := func(name string) int {
		if strings.HasPrefix(name, inboxPrefix) {
			return -1
		}
		if i := slices.Index(order, name); i >= 0 {
			return i
		}
		return len(order)
	}
	slices.SortFunc(names, func(a, b string) int { return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(a, b)) })
	return names, nil
}

// StreamBytes is how many bytes the server stores for a stream.
func (b *Bus) StreamBytes(ctx context.Context, name string) (uint64, error) {
	info, err := b.streamInfo(ctx, name)
	if err != nil {
		return 0, err
	}
	return info.State.Bytes, nil
}

func (b *Bus) streamInfo(ctx context.Context, name string) (*jetstream.StreamInfo, error) {
	stream, err := b.js.Stream(ctx, name) // asks the server
	if err != nil {
		return nil, fmt.Errorf("the stream %s cannot be read: %w", name, err)
	}
	return stream.CachedInfo(), nil
}

// Sizes and times of the protocol.
const (
	snapshotChunk  = 128 << 10
	snapshotWindow = 4 << 20 // I10: at most this waits on our side
	snapshotWait   = 30 * time.Second
	restoreWait    = 10 * time.Minute // the server may have to write through what it was given
	tries          = 20
)

// errMoved says that messages were removed while the stream was read.
var errMoved = errors.New("values were replaced all the time while it was read")

// TakeSnapshot writes a snapshot of a stream to what begin returns. begin is called again when the snapshot has to be taken
// anew; what was written before is void then.
func (b *Bus) TakeSnapshot(ctx context.Context, name string, begin func() (io.Writer, error)) (*Snapshot, error) {
	for try := 1; ; try++ {
		w, err := begin()
		if err != nil {
			return nil, err
		}
		s, err := b.takeSnapshot(ctx, name, w)
		if err == nil || !errors.Is(err, errMoved) || try == tries {
			if err != nil {
				err = fmt.Errorf("the stream %s cannot be copied: %w", name, err)
			}
			return s, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(time.Duration(try) * 20 * time.Millisecond):
		}
	}
}

type snapshotAnswer struct {
	Error  *jetstream.APIError `json:"error"`
	Config json.RawMessage     `json:"config"`
	State  struct {
		Messages uint64 `json:"messages"`
		First    uint64 `json:"first_seq"`
		Last     uint64 `json:"last_seq"`
	} `json:"state"`
}

func (b *Bus) takeSnapshot(ctx context.Context, name string, w io.Writer) (*Snapshot, error) {
	inbox := b.nc.NewInbox()
	sub, err := b.nc.SubscribeSync(inbox)
	if err != nil {
		return nil, err
	}
	defer sub.Unsubscribe() //nolint:errcheck // the connection may be gone, and the subscription with it
	request, err := json.Marshal(map[string]any{"deliver_subject": inbox, "no_consumers": true, "chunk_size": snapshotChunk, "window_size": snapshotWindow})
	if err != nil {
		return nil, err
	}
	var answer snapshotAnswer
	if err := b.ask(ctx, "STREAM.SNAPSHOT."+name, request, snapshotWait, &answer); err != nil {
		return nil, err
	}
	if answer.Error != nil {
		return nil, answer.Error
	}
	if err := receive(ctx, b.nc, sub, w); err != nil {
		return nil, err
	}
	s := &Snapshot{Stream: name, Config: answer.Config, Messages: answer.State.Messages, First: answer.State.First, Last: answer.State.Last}
	if slices.Contains(order, name) {
		return s, nil // nothing is ever replaced there; what an operator's limit removes meanwhile has expired
	}
	now, err := b.streamInfo(ctx, name)
	if err != nil {
		return nil, err
	}
	if now.State.Msgs-s.Messages != now.State.LastSeq-s.Last {
		return nil, errMoved
	}
	return s, nil
}

// receive writes the chunks of a snapshot and asks for more by answering.
func receive(ctx context.Context, nc *nats.Conn, sub *nats.Subscription, w io.Writer) error {
	for {
		waiting, cancel := context.WithTimeout(ctx, snapshotWait)
		msg, err := sub.NextMsgWithContext(waiting)
		cancel()
		if err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return fmt.Errorf("the server went silent in the middle: %w", err)
		}
		if len(msg.Data) == 0 { // the end; a status tells whether it is a good one
			if status := msg.Header.Get("Status"); status != "" && status != "204" {
				return fmt.Errorf("the server gave up: %s %s", status, msg.Header.Get("Description"))
			}
			return nil
		}
		if _, err := w.Write(msg.Data); err != nil {
			return err
		}
		if msg.Reply == "" {
			continue
		}
		if err := nc.Publish(msg.Reply, nil); err != nil {
			return err
		}
	}
}

// ask sends a request to JetStream's interface.
func (b *Bus) ask(ctx context.Context, what string, request []byte, wait time.Duration, answer any) error {
	return ask(ctx, b.nc, "$JS.API."+what, request, wait, answer)
}

func ask(ctx context.Context, nc *nats.Conn, subject string, request []byte, wait time.Duration, answer any) error {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	msg, err := nc.RequestWithContext(ctx, subject, request)
	if err != nil {
		return fmt.Errorf("the server does not answer: %w", err)
	}
	if len(msg.Data) == 0 {
		return nil
	}
	if err := json.Unmarshal(msg.Data, answer); err != nil {
		return fmt.Errorf("the server's answer cannot be read: %w", err)
	}
	return nil
}

// PutSnapshot makes a stream from its snapshot, with so many replicas. The stream must not exist.
func PutSnapshot(ctx context.Context, nc *nats.Conn, s *Snapshot, replicas int, r io.Reader) error {
	if err := putSnapshot(ctx, nc, s, replicas, r); err != nil {
		return fmt.Errorf("the stream %s cannot be restored: %w", s.Stream, err)
	}
	return nil
}

func putSnapshot(ctx context.Context, nc *nats.Conn, s *Snapshot, replicas int, r io.Reader) error {
	var config map[string]any
	if err := json.Unmarshal(s.Config, &config); err != nil {
		return fmt.Errorf("its configuration cannot be read: %w", err)
	}
	config["num_replicas"] = max(replicas, 1)
	request, err := json.Marshal(map[string]any{"config": config, "state": map[string]any{"messages": s.Messages, "first_seq": s.First, "last_seq": s.Last}})
	if err != nil {
		return err
	}
	var begun struct {
		Error   *jetstream.APIError `json:"error"`
		Deliver string              `json:"deliver_subject"`
	}
	if err := ask(ctx, nc, "$JS.API.STREAM.RESTORE."+s.Stream, request, snapshotWait, &begun); err != nil {
		return err
	}
	if begun.Error != nil {
		return begun.Error
	}
	type ended struct {
		Error *jetstream.APIError `json:"error"`
		State struct {
			Messages uint64 `json:"messages"`
			Last     uint64 `json:"last_seq"`
		} `json:"state"`
	}
	for chunk := make([]byte, snapshotChunk); ; {
		n, err := io.ReadFull(r, chunk)
		if n > 0 {
			var answer ended
			if err := ask(ctx, nc, begun.Deliver, chunk[:n], restoreWait, &answer); err != nil {
				return err
			}
			if answer.Error != nil {
				return answer.Error
			}
		}
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			break
		}
		if err != nil {
			return err
		}
	}
	var answer ended
	if err := ask(ctx, nc, begun.Deliver, nil, restoreWait, &answer); err != nil {
		return err
	}
	if answer.Error != nil {
		return answer.Error
	}
	// I4: not one message fewer than the snapshot began with; what an operator's limit removes by age has expired anyway.
	if answer.State.Last < s.Last || answer.State.Messages < s.Messages && !expires(config) {
		return fmt.Errorf("%d messages up to number %d came of it, and it had %d up to number %d", answer.State.Messages, answer.State.Last, s.Messages, s.Last)
	}
	return nil
}

// expires tells whether the operator gave a stream limits.
func expires(config map[string]any) bool {
	for _, limit := range []string{"max_age", "max_msgs", "max_bytes"} {
		if n, ok := config[limit].(float64); ok && n > 0 {
			return true
		}
	}
	return false
}

// DropStream removes a stream that an unfinished restore made.
func DropStream(ctx context.Context, nc *nats.Conn, name string) error {
	js, err := jetstream.New(nc)
	if err == nil {
		err = js.DeleteStream(ctx, name)
	}
	if err != nil && !errors.Is(err, jetstream.ErrStreamNotFound) {
		return fmt.Errorf("the stream %s cannot be removed: %w", name, err)
	}
	return nil
}

// HasStream tells whether there is a stream of this name.
func HasStream(ctx context.Context, nc *nats.Conn, name string) (bool, error) {
	js, err := jetstream.New(nc)
	if err == nil {
		_, err = js.Stream(ctx, name)
	}
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("the server cannot be asked for the stream %s: %w", name, err)
	}
	return true, nil
}
