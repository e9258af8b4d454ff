package audit

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/shirecounty/shire/schemas/pseudonym"
)

// Options of the log.
type Options struct {
	County   string // division code
	Replicas int
	Hasher   *pseudonym.Hasher // becomes the log's own
	Hash     Algorithm         // SHA256 when empty
	Key      *Key

	CheckpointEntries uint64        // a checkpoint after so many entries; 10,000 when 0
	CheckpointEvery   time.Duration // and after so long, when there were any; 15 minutes when 0
	HandOut           string        // file to which every checkpoint is appended as well; "" for none

	// Old is where the chain stands that the stream goes on from, when it is new, and where retention has cut it: rows of
	// audit.accesses from before there was a stream, or after it was lost. See OldChain.
	Old func(context.Context) (end, cut Place, err error)
	Log *slog.Logger
}

// Log writes the log. It is safe for concurrent use.
type Log struct {
	js      jetstream.JetStream
	stream  jetstream.Stream
	options Options

	mu      sync.Mutex
	waiting []*request // accesses that the next block takes
	writing bool       // somebody writes blocks until none waits

	writer sync.Mutex // held by who writes to the stream; guards what follows
	known  bool       // whether last and end are what the stream had when it was last asked
	last   uint64     // message of the newest block
	end    Place
	begin  Place // what the stream goes on from
	told   Place // the newest checkpoint
}

// request is an access that waits to be written.
type request struct {
	ctx    context.Context
	access Access
	done   chan error
}

// Times.
const (
	maxWait       = 8 * time.Second // of Record: somebody waits for the page
	writeTimeout  = 4 * time.Second // for one block
	answerTimeout = 2 * time.Second
	firstPause    = 20 * time.Millisecond
)

// maxRequests bounds how many accesses one block is made for.
const maxRequests = 4096

// Open opens the log's stream and makes it where there is none. Nothing is written yet.
func Open(ctx context.Context, nc *nats.Conn, o Options) (*Log, error) {
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, fmt.Errorf("JetStream is not usable: %w", err)
	}
	if o.Hash == "" {
		o.Hash = SHA256
	}
	if o.CheckpointEntries == 0 {
		o.CheckpointEntries = 10_000
	}
	if o.CheckpointEvery == 0 {
		o.CheckpointEvery = 15 * time.Minute
	}
	l := &Log{js: js, options: o}
	l.stream, err = stream(ctx, js, o.Replicas)
	return l, err
}

// Record returns when the access is in the log for good (I8), or with an error within maxWait.
func (l *Log) Record(ctx context.Context, a Access) error {
	ctx, cancel := context.WithTimeout(ctx, maxWait)
	defer cancel()
	r := &request{ctx, a, make(chan error, 1)}
	l.mu.Lock()
	l.waiting = append(l.waiting, r)
	if !l.writing {
		l.writing = true
		go l.writeWaiting()
	}
	l.mu.Unlock()
	var err error
	select {
	case err = <-r.done:
	case <-ctx.Done():
		err = ctx.Err()
	}
	if err != nil {
		return fmt.Errorf("the access cannot be written to the audit log: %w", err)
	}
	return nil
}

// writeWaiting writes blocks until no access waits. Those that come while one block is on its way share the next: that is
// what makes thousands a second of acknowledgements that are waited for one after the other.
func (l *Log) writeWaiting() {
	for {
		l.mu.Lock()
		n := min(len(l.waiting), maxRequests)
		batch := l.waiting[:n:n]
		l.waiting = l.waiting[n:]
		if n == 0 {
			l.writing = false
			l.waiting = nil
		}
		l.mu.Unlock()
		if n == 0 {
			return
		}
		l.writeBatch(batch)
	}
}

// writeBatch writes accesses and tells who waits for them.
func (l *Log) writeBatch(batch []*request) {
	l.writer.Lock()
	defer l.writer.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), writeTimeout)
	defer cancel()
	var entries []Entry
	ends := make([]int, len(batch)) // of each access in entries
	refused := make([]error, len(batch))
	for i, r := range batch {
		if refused[i] = r.ctx.Err(); refused[i] == nil { // nobody waits for it any more
			own := r.access.entries(l.options.Hasher)
			if len(own[0].canonical(nil)) > maxEntry-1024 {
				refused[i] = fmt.Errorf("it holds more than %d bytes of text", maxEntry)
			} else {
				entries = append(entries, own...)
			}
		}
		ends[i] = len(entries)
	}
	written, err := l.write(ctx, entries)
	for i, r := range batch {
		if refused[i] == nil && ends[i] > written {
			refused[i] = err
		}
		r.done <- refused[i]
	}
	if err == nil && l.end.Sequence >= l.told.Sequence+l.options.CheckpointEntries {
		l.tell(ctx)
	}
}

// write gives entries the next places of the chain, block by block, and returns how many are in the log.
func (l *Log) write(ctx context.Context, entries []Entry) (written int, err error) {
	for written < len(entries) {
		n, err := l.writeBlock(ctx, entries[written:], false)
		if err != nil {
			return written, err
		}
		written += n
	}
	return written, nil
}

// writeBlock writes the first of some entries as one block and returns how many those were. It returns without an error
// only when the block is stored, and stands in the stream once. Entries that are placed already are written as they are.
func (l *Log) writeBlock(ctx context.Context, entries []Entry, placed bool) (n int, err error) {
	for pause := firstPause; ; pause = min(2*pause, time.Second) {
		if err := l.find(ctx); err != nil {
			if final(err) || !sleep(ctx, pause) {
				return 0, err
			}
			continue
		}
		block, end := newBlock(), l.end
		for n = 0; n < len(entries) && len(block) < maxBlock; n++ {
			if placed {
				e := &entries[n]
				if e.Previous != end.Hash {
					return 0, errForked
				}
				block = record{e.canonical(nil), []byte(e.Hash)}.append(block)
				end = Place{e.Sequence, e.Hash}
			} else {
				block, end = entries[n].seal(block, end, l.options.Hash)
			}
		}
		stored, err := l.publish(ctx, block, end)
		if err != nil || stored {
			return n, err
		}
		// Somebody else took the place: the entries get the next ones.
	}
}

// errForked says that entries which have their place do not follow the chain's end.
var errForked = errors.New("the entries do not follow the end of the chain")

// blockHeader holds what a block is known by. It is not JetStream's own id, for thousands of which a second the server would
// keep a memory that nothing here rests on.
const blockHeader = "Shire-Audit-Block"

// publish sends a block that follows the newest one. stored is false when another process's block stands in its place.
func (l *Log) publish(ctx context.Context, block []byte, end Place) (stored bool, err error) {
	id := rand.Text() // by which the block is known again, so that another's is never taken for ours
	msg := &nats.Msg{Subject: entriesSubject(l.options.County), Data: block, Header: nats.Header{blockHeader: {id}}}
	for pause := firstPause; ; pause = min(2*pause, time.Second) {
		attempt, cancel := context.WithTimeout(ctx, answerTimeout)
		ack, err := l.js.PublishMsg(attempt, msg, jetstream.WithExpectLastSequencePerSubject(l.last), jetstream.WithRetryAttempts(0))
		cancel()
		if err == nil {
			l.last, l.end = ack.Sequence, end
			return true, nil
		}
		l.known = false
		// Whatever became of the answer: a block that follows l.last is either ours, or keeps ours out for ever. Where there
		// is none, ours may still be on its way, so the same one is sent again and not another.
		next, asked := l.stream.GetMsg(ctx, l.last+1, jetstream.WithGetMsgSubject(msg.Subject))
		switch {
		case asked == nil && next.Header.Get(blockHeader) == id:
			return true, nil
		case asked == nil:
			return false, nil
		case isWrongSequence(err) && errors.Is(asked, jetstream.ErrMsgNotFound):
			return false, nil // the stream has lost its end, or its state is from before: read it anew
		}
		if final(err) || !sleep(ctx, pause) {
			return false, err
		}
	}
}

// sleep waits and tells whether there is time left.
func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// find reads where the chain ends, unless that is known.
func (l *Log) find(ctx context.Context) error {
	if l.known {
		return nil
	}
	if err := l.findBegin(ctx); err != nil {
		return err
	}
	told, err := l.newestCheckpoint(ctx)
	if err != nil {
		return err
	}
	msg, err := l.stream.GetLastMsgForSubject(ctx, entriesSubject(l.options.County))
	switch {
	case errors.Is(err, jetstream.ErrMsgNotFound):
		l.last, l.end = 0, l.begin
	case err != nil:
		return fmt.Errorf("the end of the audit log cannot be read: %w", err)
	default:
		end, err := lastOf(msg.Data)
		if err != nil {
			return fmt.Errorf("the newest block of the audit log is damaged; run shire audit verify: %w", err)
		}
		l.last, l.end = msg.Sequence, end
	}
	l.told, l.known = told, true
	return nil
}

// findBegin reads what the stream goes on from. Whoever is the first on a new stream says so.
func (l *Log) findBegin(ctx context.Context) error {
	for {
		found, err := l.first(ctx)
		if err != nil {
			return err
		}
		if found != nil {
			l.begin = Place{found.Sequence, found.Hash}
			return nil
		}
		s := Statement{Kind: Begin}
		if l.options.Old != nil {
			old, cut, err := l.options.Old(ctx)
			if err != nil {
				return err
			}
			if s.Sequence, s.Hash = old.Sequence, old.Hash; cut.Sequence > 0 {
				s.Cut = &cut
			}
		}
		err = l.state(ctx, s, 0)
		if err != nil && !isWrongSequence(err) {
			return err
		}
	}
}

// first is the statement with which the stream began; nil when it is new.
func (l *Log) first(ctx context.Context) (*Statement, error) {
	msg, err := l.stream.GetMsg(ctx, 1, jetstream.WithGetMsgSubject(signedSubject(l.options.County)))
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("the beginning of the audit log cannot be read: %w", err)
	}
	s, err := parseStatement(msg.Data)
	if err == nil && s.Kind != Begin {
		err = errors.New("the first statement is not about the beginning")
	}
	if err != nil {
		return nil, fmt.Errorf("the beginning of the audit log is damaged; run shire audit verify: %w", err)
	}
	return &s, nil
}

// End is where the chain ends now.
func (l *Log) End(ctx context.Context) (Place, error) {
	l.writer.Lock()
	defer l.writer.Unlock()
	l.known = false
	err := l.find(ctx)
	return l.end, err
}
