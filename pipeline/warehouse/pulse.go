package warehouse

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	ch "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

// Pulse knows whether ClickHouse answers, so that whoever has to know need not ask: Run asks beside them, over a connection that
// nothing else waits for. A server that is gone is found with the next question, one that hangs when its answer is overdue.
type Pulse struct {
	conn     driver.Conn
	patience time.Duration
	log      *slog.Logger
	doubt    chan struct{}
	last     atomic.Pointer[beat] // nil before the first answer
}

// beat is what is known.
type beat struct {
	asked time.Time // the last question that was answered
	err   error     // why there is none since; nil while there is one
}

// Patience is how old the last answer may be in a node.
const Patience = 5 * time.Second

// How often it is asked: a question costs it about a millisecond.
const (
	askEvery    = time.Second
	askEveryNow = 200 * time.Millisecond // while it does not answer
)

// NewPulse makes a pulse that counts on a server for patience after a question that it answered.
func NewPulse(a Address, patience time.Duration, log *slog.Logger) (*Pulse, error) {
	options := a.options()
	options.DialTimeout, options.ReadTimeout, options.MaxOpenConns, options.MaxIdleConns = patience, patience, 1, 1
	conn, err := ch.Open(options)
	if err != nil {
		return nil, fmt.Errorf("ClickHouse at %s: %w", a.Native, err)
	}
	return &Pulse{conn: conn, patience: patience, log: log, doubt: make(chan struct{}, 1)}, nil
}

// Run asks until ctx ends.
func (p *Pulse) Run(ctx context.Context) error {
	for away := false; ; {
		p.look(ctx)
		if ctx.Err() != nil {
			return nil
		}
		err, wait := p.Err(), askEvery
		if err != nil {
			wait = askEveryNow
		}
		switch {
		case err != nil && !away:
			p.log.Error("ClickHouse does not answer: nothing is shown to departments while it does not", "error", err)
		case err == nil && away:
			p.log.Info("ClickHouse answers again: what departments may see is shown")
		}
		away = err != nil
		select {
		case <-p.doubt:
		case <-time.After(wait):
		case <-ctx.Done():
			return nil
		}
	}
}

// Doubt has it asked at once, because somebody noticed that something became of it.
func (p *Pulse) Doubt() {
	select {
	case p.doubt <- struct{}{}:
	default: // it is going to be asked
	}
}

// look asks once, and waits no longer than until the answer is overdue.
func (p *Pulse) look(ctx context.Context) {
	known := p.last.Load()
	overdue := time.Now().Add(p.patience)
	if known != nil && known.err == nil {
		overdue = known.asked.Add(p.patience)
	}
	timed, cancel := context.WithDeadline(ctx, overdue)
	defer cancel()
	asked, err := p.ask(timed)
	var exception *ch.Exception
	if err != nil && ctx.Err() == nil && !errors.As(err, &exception) {
		asked, err = p.ask(timed) // a connection that broke was perhaps to a server that has been started anew since
	}
	switch {
	case err == nil:
		p.last.Store(&beat{asked: asked})
	case ctx.Err() != nil:
	case errors.As(err, &exception) && known != nil && known.err == nil:
		// It is there, and cannot answer just now: out of memory, or too many queries. When that lasts, the answer is overdue.
	default:
		p.last.Store(&beat{err: err})
	}
}

// ask asks for what has to be there when somebody wants to know who looked: not only the server, also the table.
func (p *Pulse) ask(ctx context.Context) (asked time.Time, err error) {
	asked = time.Now() // before the question: what becomes of the server after it is not counted as seen
	var n uint64
	err = p.conn.QueryRow(ctx, "SELECT count() FROM (SELECT 1 FROM audit.accesses LIMIT 1) SETTINGS max_threads = 1, log_queries = 0").Scan(&n)
	return asked, err
}

// Err says why ClickHouse cannot be counted on; nil when it can. It asks nobody.
func (p *Pulse) Err() error {
	b := p.last.Load()
	switch {
	case b == nil:
		return errors.New("ClickHouse has not been asked yet whether it answers")
	case b.err != nil:
		return fmt.Errorf("ClickHouse does not answer: %w", b.err)
	case time.Since(b.asked) > p.patience:
		return fmt.Errorf("ClickHouse has not answered for more than %s", p.patience)
	}
	return nil
}

// Close ends the connection.
func (p *Pulse) Close() error { return p.conn.Close() }
