package audit

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

// Projection brings the log to audit.accesses, where people read it. How far it is, the table itself says: each entry has its
// number, and rows are added behind the last one alone. So a start at any moment goes on where the table ends, and no entry
// is there twice.
type Projection struct {
	log   *Log
	table table
	slog  *slog.Logger
}

// NewProjection makes a projection. conn may insert into and read audit.accesses.
func NewProjection(l *Log, conn driver.Conn, log *slog.Logger) *Projection {
	return &Projection{l, table{conn}, log}
}

// Bounds of one insert.
const (
	insertRows   = 10_000
	insertAge    = time.Second
	insertLinger = 100 * time.Millisecond // without another block
	longestPause = 30 * time.Second
)

// forever is no end.
const forever = ^uint64(0)

// Run follows the log until ctx ends.
func (p *Projection) Run(ctx context.Context) error {
	for pause := 200 * time.Millisecond; ; pause = min(2*pause, longestPause) {
		began := time.Now()
		err := p.follow(ctx, forever)
		if ctx.Err() != nil {
			return nil
		}
		if time.Since(began) > longestPause {
			pause = 200 * time.Millisecond
		}
		p.slog.Warn("audit.accesses does not follow the audit log at the moment; accesses are written all the same, and it is tried again", "error", err, "pause", pause)
		if !sleep(ctx, pause) {
			return nil
		}
	}
}

// CatchUp returns when everything that is in the log now is in the table.
func (p *Projection) CatchUp(ctx context.Context) error {
	end, err := p.log.End(ctx)
	if err != nil {
		return err
	}
	for {
		if err := p.follow(ctx, end.Sequence); !errors.Is(err, errMoved) {
			return err
		}
	}
}

// follow brings entries to the table until the given one is there.
func (p *Projection) follow(ctx context.Context, through uint64) error {
	at, _, err := p.table.end(ctx)
	if err != nil {
		return err
	}
	begin, err := p.log.first(ctx)
	if err != nil {
		return err
	}
	if begin != nil && begin.Sequence > at.Sequence { // old rows are gone: verify tells
		at = Place{begin.Sequence, begin.Hash}
	}
	if at.Sequence >= through {
		return nil
	}
	from, err := p.log.blockOf(ctx, at.Sequence+1)
	if err != nil {
		return err
	}
	messages, err := p.log.open(ctx, entriesSubject(p.log.options.County), from)
	if err != nil {
		return err
	}
	defer messages.Stop()
	var rows []row
	var oldest time.Time // of the rows that wait
	for {
		wait := readPatience
		if len(rows) > 0 {
			wait = insertLinger
		}
		msg, err := next(ctx, messages, wait)
		if err != nil && !errors.Is(err, errIdle) {
			return err
		}
		if err == nil {
			if len(rows) == 0 {
				oldest = time.Now()
			}
			if rows, at, err = p.add(rows, at, msg.Data()); err != nil {
				return err
			}
		}
		if n := len(rows); n >= insertRows || n > 0 && (msg == nil || at.Sequence >= through || time.Since(oldest) > insertAge) {
			if err := p.table.insert(ctx, rows); err != nil {
				return err
			}
			rows = rows[:0]
		}
		if at.Sequence >= through {
			return nil
		}
	}
}

// add adds the entries of a block that follow a place.
func (p *Projection) add(rows []row, at Place, block []byte) ([]row, Place, error) {
	err := records(block, func(r record) error {
		e, err := r.entry()
		if err != nil || e.Sequence <= at.Sequence {
			return err
		}
		if e.Sequence != at.Sequence+1 || e.Previous != at.Hash {
			return fmt.Errorf("entry %d of the audit log does not follow row %d of audit.accesses; run shire audit verify", e.Sequence, at.Sequence)
		}
		rows, at = append(rows, rowOf(e)), Place{e.Sequence, e.Hash}
		return nil
	})
	return rows, at, err
}

// Mend puts back into the log what the table alone has of it: a machine that loses its power may lose the stream's end, and
// the entries that came next would take the numbers of lost ones. It returns how many those were. Nobody may write to
// the log meanwhile.
func (p *Projection) Mend(ctx context.Context) (n uint64, err error) {
	end, err := p.log.End(ctx)
	if err != nil {
		return 0, err
	}
	known, _, err := p.table.end(ctx)
	if err != nil || known.Sequence <= end.Sequence {
		return 0, err
	}
	p.log.writer.Lock()
	defer p.log.writer.Unlock()
	var lost []Entry
	flush := func() error {
		for len(lost) > 0 {
			written, err := p.log.writeBlock(ctx, lost, true)
			if err != nil {
				return err
			}
			n += uint64(written)
			lost = lost[written:]
		}
		return nil
	}
	err = p.table.each(ctx, end.Sequence+1, known.Sequence, func(r *row) error {
		e := r.entry()
		if algorithmOf(e.Hash).sum(e.canonical(nil)) != e.Hash {
			return errForked
		}
		if lost = append(lost, e); len(lost) < 1000 {
			return nil
		}
		return flush()
	})
	if err == nil {
		err = flush()
	}
	if err != nil {
		err = fmt.Errorf("audit.accesses has entries %d to %d and the audit log does not, and they cannot be put back; run shire audit verify: %w", end.Sequence+1, known.Sequence, err)
	}
	return n, err
}
