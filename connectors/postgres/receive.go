package postgres

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
)

// receiver takes the stream from the server into a bounded buffer, and keeps the server assured that somebody is there,
// also while nothing is taken out of the buffer: the stream can stand still without being cut off.
type receiver struct {
	conn  net.Conn
	front *pgproto3.Frontend

	confirmed atomic.Uint64 // what every status says is safe (I1)
	ask       chan struct{} // wants the server's word on how far it has sent
	answer    chan struct{} // the server wants ours
	ready     chan struct{} // something is in the buffer, or err is set

	mu      sync.Mutex // guards what follows
	room    *sync.Cond
	buffer  []message
	bytes   int
	err     error
	closing bool
	blocked bool // the buffer is full

	received atomic.Uint64 // messages
	silence  time.Duration // after which a server that answers nothing is gone

	done sync.WaitGroup
}

// message is one of the stream: a body as pgoutput wrote it, or, when it is empty, the word that everything before end
// was sent.
type message struct {
	body string
	end  lsn
}

const (
	bufferBytes = 4 << 20 // I10: then the server waits
	statusEvery = time.Second
)

// gathering reads from the server what has gathered for a moment. The server sends every row by itself, and a read for each
// costs it and us more than all the rest.
type gathering struct{ from io.Reader }

// gather is long enough for some hundred rows, and too short for the connection's buffer to fill.
const gather = 300 * time.Microsecond

func (g gathering) Read(p []byte) (int, error) {
	n, err := g.from.Read(p)
	if n < len(p)/4 {
		nap(gather)
	}
	return n, err
}

func gatheringFrontend(r io.Reader, w io.Writer) *pgproto3.Frontend {
	return pgproto3.NewFrontend(bufio.NewReaderSize(gathering{r}, 64<<10), w)
}

// start opens the stream of the slot from where it was confirmed last.
func (c *Connector) start(ctx context.Context, conn *pgconn.PgConn, confirmed lsn) (*receiver, error) {
	options := pglogrepl.StartReplicationOptions{
		Mode:       pglogrepl.LogicalReplication,
		PluginArgs: []string{"proto_version '1'", "publication_names " + quoteText(quote(c.settings.Publication))},
	}
	if err := pglogrepl.StartReplication(ctx, conn, quote(c.settings.Slot), 0, options); err != nil {
		return nil, fmt.Errorf("the stream of slot %s cannot be opened: %w", c.settings.Slot, plain(err))
	}
	own, err := conn.Hijack() // one goroutine reads and another writes
	if err != nil {
		return nil, fmt.Errorf("the stream of slot %s cannot be taken over: %w", c.settings.Slot, err)
	}
	r := &receiver{conn: own.Conn, front: own.Frontend, ask: make(chan struct{}, 1), answer: make(chan struct{}, 1), ready: make(chan struct{}, 1), silence: c.silence}
	r.room = sync.NewCond(&r.mu)
	r.confirmed.Store(uint64(confirmed))
	stop := make(chan struct{})
	r.done.Go(func() {
		defer close(stop)
		r.fail(r.receive())
	})
	r.done.Go(func() { r.report(stop) })
	return r, nil
}

func (r *receiver) fail(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err == nil {
		r.err = err
	}
	r.signal(r.ready)
}

func (r *receiver) signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// receive ends with an error, always.
func (r *receiver) receive() error {
	var texts block
	for {
		m, err := r.front.Receive()
		if err != nil {
			if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
				err = errors.New("the server closed the connection")
			}
			return fmt.Errorf("the stream broke off: %w", err)
		}
		r.received.Add(1)
		switch m := m.(type) {
		case *pgproto3.CopyData:
			if len(m.Data) == 0 {
				continue
			}
			switch m.Data[0] {
			case copyData:
				body, err := dataOf(m.Data)
				if err != nil {
					return err
				}
				r.put(message{body: texts.add(body)})
			case copyKeepalive:
				end, answer, err := keepalive(m.Data)
				if err != nil {
					return err
				}
				if answer {
					r.signal(r.answer)
				}
				r.put(message{end: end})
			}
		case *pgproto3.ErrorResponse:
			return fmt.Errorf("the stream broke off: %w", plain(pgconn.ErrorResponseToPgError(m)))
		case *pgproto3.ReadyForQuery: // after the end of the stream: the slot is free
			return errors.New("the stream broke off: the server ended it")
		}
	}
}

func (r *receiver) put(m message) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for r.bytes >= bufferBytes && !r.closing {
		r.blocked = true
		r.room.Wait()
	}
	r.blocked = false
	if r.closing {
		return
	}
	r.buffer = append(r.buffer, m)
	r.bytes += len(m.body) + 64
	if len(r.buffer) == 1 {
		r.signal(r.ready)
	}
}

// take returns what the buffer holds, and leaves the given slice, which was handed on, as the buffer. Without any, it returns the error that
// the stream ended with.
func (r *receiver) take(spare []message) ([]message, error) {
	clear(spare) // what was handed on is not kept alive
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.buffer) == 0 {
		return spare[:0], r.err
	}
	full := r.buffer
	r.buffer, r.bytes = spare[:0], 0
	r.room.Broadcast()
	if r.err != nil {
		r.signal(r.ready)
	}
	return full, nil
}

// report tells the server regularly what is safe.
func (r *receiver) report(stop <-chan struct{}) {
	tick := time.NewTicker(statusEvery)
	defer tick.Stop()
	var heard uint64
	last := time.Now()
	for {
		if now := r.received.Load(); now != heard || r.isBlocked() {
			heard, last = now, time.Now()
		} else if time.Since(last) > r.silence { // every status asks for an answer
			r.fail(fmt.Errorf("the stream broke off: the server has not answered for %v", r.silence))
			r.conn.Close()
			return
		}
		ask := true
		select {
		case <-stop:
			return
		case <-r.answer:
			ask = false
		case <-r.ask:
		case <-tick.C:
		}
		if r.status(ask) != nil {
			r.conn.Close() // the reader says why
			return
		}
	}
}

func (r *receiver) isBlocked() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.blocked
}

func (r *receiver) status(ask bool) error {
	r.conn.SetWriteDeadline(time.Now().Add(30 * time.Second))
	defer r.conn.SetWriteDeadline(time.Time{})
	_, err := r.conn.Write(statusUpdate(lsn(r.confirmed.Load()), time.Now(), ask))
	return err
}

// close ends the stream, politely if the server listens: a slot is then free at once.
func (r *receiver) close() {
	r.mu.Lock()
	r.closing = true
	r.room.Broadcast()
	r.mu.Unlock()
	r.conn.SetDeadline(time.Now().Add(time.Second))
	r.conn.Write(append(statusUpdate(lsn(r.confirmed.Load()), time.Now(), false), 'c', 0, 0, 0, 4))
	r.done.Wait()
	r.conn.Write([]byte{'X', 0, 0, 0, 4})
	r.conn.Close()
}
