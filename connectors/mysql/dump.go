package mysql

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/go-mysql-org/go-mysql/client"
	gomysql "github.com/go-mysql-org/go-mysql/mysql"
	"github.com/go-mysql-org/go-mysql/replication"
)

const (
	heartbeat = 5 * time.Second  // how often a server with nothing to tell says so
	silence   = 90 * time.Second // after which it is taken for dead
	queued    = 8                // events that wait (I10); one holds 8 KiB of rows, or a single row that is larger
)

// dump is the server's binlog as it comes in.
type dump struct {
	syncer *replication.BinlogSyncer
	events chan received
	stop   context.CancelFunc
	ended  chan struct{}
	line   *line
}

// line is the library's connection. Once it is hung up there is no other: the library would dial once more to kill its own
// connection, even a dead server's.
type line struct {
	mu     sync.Mutex
	conn   net.Conn
	closed bool
}

func (l *line) dial(ctx context.Context, network, address string) (net.Conn, error) {
	l.mu.Lock()
	closed := l.closed
	l.mu.Unlock()
	if closed {
		return nil, net.ErrClosed
	}
	d := net.Dialer{Timeout: dialTimeout}
	conn, err := d.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		conn.Close()
		return nil, net.ErrClosed
	}
	l.conn = conn
	return conn, nil
}

func (l *line) hangUp() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	if l.conn != nil {
		l.conn.Close()
	}
}

type received struct {
	event *replication.BinlogEvent
	err   error
}

// open has the server send its binlog behind a set of transactions.
func (r *run) open(ctx context.Context, behind gtids, id int) (*dump, error) {
	return r.dumpFrom(ctx, id, func(s *replication.BinlogSyncer) (*replication.BinlogStreamer, error) {
		return s.StartSyncGTID(behind.sync())
	})
}

func (r *run) dumpFrom(ctx context.Context, id int, start func(*replication.BinlogSyncer) (*replication.BinlogStreamer, error)) (*dump, error) {
	password, err := r.settings.Password.Reveal()
	if err != nil {
		return nil, fmt.Errorf("the password in with.password cannot be read: %w", err)
	}
	host, port, _ := net.SplitHostPort(r.settings.Address)
	number, _ := strconv.Atoi(port)
	l := &line{}
	v := r.server
	syncer := replication.NewBinlogSyncer(replication.BinlogSyncerConfig{
		ServerID: uint32(id), Flavor: string(v.flavor), Host: host, Port: uint16(number), User: r.settings.User, Password: password,
		TLSConfig: v.tls, Logger: silent, Localhost: "shire",
		HeartbeatPeriod: heartbeat,
		// A connection that breaks ends the run: how to go on is told by the bus, not by what the library remembers.
		DisableRetrySync: true, MaxReconnectAttempts: 1,
		EventCacheCount: queued, DiscardGTIDSet: true,
		FillZeroLogPos:      v.flavor == mariaDBFlavor && v.version.since(version{11, 4, 0}),
		RowsEventDecodeFunc: r.undecoded,
		Dialer:              l.dial,
		Option:              func(c *client.Conn) error { return r.sameServer(c) },
	})
	stream, err := start(syncer)
	if err != nil {
		l.hangUp()
		syncer.Close()
		return nil, r.readable(ctx, err)
	}
	ctx, cancel := context.WithCancel(ctx)
	d := &dump{syncer: syncer, events: make(chan received), stop: cancel, ended: make(chan struct{}), line: l}
	go func() {
		defer close(d.ended)
		for {
			event, err := stream.GetEvent(ctx)
			if err != nil {
				err = r.readable(context.WithoutCancel(ctx), err)
			}
			select {
			case d.events <- received{event, err}:
			case <-ctx.Done():
				return
			}
			if err != nil {
				return
			}
		}
	}()
	return d, nil
}

func (d *dump) close() {
	d.stop()
	<-d.ended
	d.line.hangUp()
	d.syncer.Close()
}

// next waits for the next event.
func (d *dump) next(ctx context.Context) (*replication.BinlogEvent, error) {
	quiet := time.NewTimer(silence)
	defer quiet.Stop()
	select {
	case got := <-d.events:
		return got.event, got.err
	case <-quiet.C:
		return nil, errSilent
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

var errSilent = fmt.Errorf("the server said nothing for %s, not even that there is nothing; the connection is given up", silence)

// sameServer proves that binlog and tables are read from one server, whatever stands between.
func (r *run) sameServer(c *client.Conn) error {
	if _, err := c.Execute("SET net_write_timeout=" + longWrite); err != nil {
		return err
	}
	got, err := c.Execute(identity)
	if err != nil {
		return err
	}
	if id, err := got.GetString(0, 0); err != nil || id != r.server.id {
		return errors.New("the address leads to several servers, first to one and then to another; write the address of one of them")
	}
	return nil
}

// undecoded leaves the rows of an event as bytes, and forgets those of other tables at once.
func (r *run) undecoded(e *replication.RowsEvent, data []byte) error {
	at, err := e.DecodeHeader(data)
	if err != nil {
		return err
	}
	if r.tables[tableOf(e.Table)] != nil {
		e.Rows = [][]any{{data[at:]}}
	}
	return nil
}

func tableOf(m *replication.TableMapEvent) string { return string(m.Schema) + "." + string(m.Table) }

// readable is an error of the library in words that hold nothing of the data (I7): its own may quote whole events.
func (r *run) readable(ctx context.Context, err error) error {
	var said *gomysql.MyError
	var network net.Error
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	case errors.As(err, &said):
		if said.Code == accessDenied || said.Code == userAccessDenied {
			return fmt.Errorf("%w: the user may not read the binlog; run %s: %w", errServer, r.server.grant(ctx, "REPLICATION SLAVE", "*.*"), said)
		}
		return fmt.Errorf("the binlog cannot be read: %w", said)
	case errors.As(err, &network):
		return fmt.Errorf("the connection to the binlog broke: %w", network)
	case errors.Is(err, gomysql.ErrBadConn), strings.Contains(err.Error(), "connection was bad"), strings.Contains(err.Error(), "EOF"):
		return errors.New("the connection to the binlog broke")
	case strings.HasPrefix(err.Error(), "the address leads"):
		return err
	}
	return errors.New("an event of the binlog cannot be taken apart")
}

// saysGone tells whether the server's error 1236 means that it no longer has what is asked for. It has the same number for
// other things, such as a second replica of the same number.
func saysGone(message string) bool {
	message = strings.ToLower(message)
	if strings.Contains(message, "same server") {
		return false
	}
	return slices.ContainsFunc([]string{"purged", "gtid", "could not find"}, func(s string) bool { return strings.Contains(message, s) })
}

// created is when a log file was begun, in Unix seconds; 0 when the server has it no longer. A server that was reset or
// replaced gives its files the same names again.
func (r *run) created(ctx context.Context, file string) (int64, error) {
	d, err := r.dumpFrom(ctx, r.settings.ServerID+1, func(s *replication.BinlogSyncer) (*replication.BinlogStreamer, error) {
		return s.StartSync(gomysql.Position{Name: file, Pos: 4})
	})
	if err != nil {
		return 0, err
	}
	defer d.close()
	for {
		e, err := d.next(ctx)
		if code(err) == binlogFatal && saysGone(err.Error()) {
			return 0, nil
		}
		if err != nil {
			return 0, err
		}
		if _, ok := e.Event.(*replication.FormatDescriptionEvent); ok {
			return int64(e.Header.Timestamp), nil
		}
	}
}
