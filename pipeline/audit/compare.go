package audit

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"time"
)

// live is the log as it stands: the rows from before the stream, then the stream.
type live struct {
	p     *Projection
	begin *Statement
	keep  func(record) error // what is to be done with each record of the stream
}

func (l *live) statements(ctx context.Context, fn func(text []byte) error) error {
	return l.p.log.eachStatement(ctx, fn)
}

func (l *live) records(ctx context.Context, fn func(record) error) error {
	old := forever // without a stream, all are from before
	if l.begin != nil {
		old = l.begin.Sequence
	}
	if old > 0 {
		if err := l.p.table.each(ctx, 1, old, func(r *row) error { return fn(r.record()) }); err != nil {
			return err
		}
	}
	return l.p.log.eachBlock(ctx, func(block []byte) error {
		return records(block, func(r record) error {
			if err := fn(r); err != nil {
				return err
			}
			if l.keep != nil {
				return l.keep(r)
			}
			return nil
		})
	})
}

// Verify proves the log as it stands, and that audit.accesses says the same. Others may write meanwhile; what retention cuts
// off meanwhile is not held against the log.
func (p *Projection) Verify(ctx context.Context, trusted Keys, elsewhere []Statement) (*Report, error) {
	const tries = 3
	for try := 1; ; try++ {
		report, err := p.verify(ctx, trusted, elsewhere)
		if err != nil || report.OK() || try == tries {
			return report, err
		}
		if cut, err := p.log.newestCut(ctx); err != nil || cut <= report.CutThrough {
			return report, err
		}
	}
}

func (p *Projection) verify(ctx context.Context, trusted Keys, elsewhere []Statement) (*Report, error) {
	// The table first: what it has then, the log has too.
	known, _, err := p.table.end(ctx)
	if err != nil {
		return nil, err
	}
	begin, err := p.log.first(ctx)
	if err != nil {
		return nil, err
	}
	v := newVerifier(trusted, true)
	v.old = begin == nil
	from := &live{p: p, begin: begin}
	compared := &comparison{v: v}
	if begin != nil {
		rows, stop := p.rows(ctx, begin.Sequence+1, known.Sequence)
		defer stop()
		compared.next = rows
		from.keep = compared.record
	}
	report, err := verifySource(ctx, v, from, elsewhere)
	if err != nil {
		return nil, err
	}
	if begin != nil {
		if err := compared.end(); err != nil {
			return nil, err
		}
		if known.Sequence < report.Last {
			report.Behind = report.Last - max(known.Sequence, begin.Sequence)
		}
		report.Findings = append(report.Findings, compared.findings...)
	}
	return report, nil
}

// rows pulls rows of the table one by one. stop ends it.
func (p *Projection) rows(ctx context.Context, from, through uint64) (next func() (*row, error), stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	out, failed := make(chan *row, 1000), make(chan error, 1)
	go func() {
		defer close(out)
		failed <- p.table.each(ctx, from, through, func(r *row) error {
			select {
			case out <- r:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
	}()
	return func() (*row, error) {
			if r, ok := <-out; ok {
				return r, nil
			}
			err := <-failed
			failed <- err
			return nil, err
		}, func() {
			cancel()
			for range out { // until the query has ended
			}
		}
}

// comparison holds the table against the stream. Both are in the order of their numbers, unless somebody changed one.
type comparison struct {
	v        *verifier
	next     func() (*row, error)
	row      *row // the one that waits for its entry
	ended    bool
	last     uint64 // of the stream
	findings []Finding
}

func (c *comparison) find(k Kind, sequence uint64, format string, args ...any) {
	if len(c.findings) == 0 { // the first is what is named; the others follow from it
		c.findings = append(c.findings, Finding{k, sequence, fmt.Sprintf(format, args...)})
	}
}

func (c *comparison) peek() (*row, error) {
	if c.row != nil || c.ended {
		return c.row, nil
	}
	r, err := c.next()
	c.row, c.ended = r, r == nil
	return r, err
}

// record takes a record of the stream.
func (c *comparison) record(r record) error {
	sequence, _, err := place(r.canonical)
	if err != nil || c.v.bad != nil {
		return nil // the log itself is wrong, which is told
	}
	c.last = sequence
	for len(c.findings) == 0 {
		have, err := c.peek()
		if err != nil {
			return err
		}
		switch {
		case have == nil: // it is not there yet
			return nil
		case have.Sequence < sequence && have.Sequence <= c.v.report.CutThrough: // on its way out
			c.row = nil
			continue
		case have.Sequence < sequence:
			c.find(WrongProjection, have.Sequence, "audit.accesses has a row %d more than the log", have.Sequence)
		case have.Sequence > sequence && sequence <= c.v.report.CutThrough:
			return nil
		case have.Sequence > sequence:
			c.find(WrongProjection, sequence, "row %d of audit.accesses was taken out; the log has the entry", sequence)
		default:
			if mine := have.record(); !bytes.Equal(mine.canonical, r.canonical) || !bytes.Equal(mine.hash, r.hash) {
				c.find(WrongProjection, sequence, "row %d of audit.accesses was changed; the log has it as it was written", sequence)
			}
			c.row = nil
		}
		return nil
	}
	return nil
}

// end looks at the rows that no entry came for.
func (c *comparison) end() error {
	if c.v.bad != nil || len(c.findings) > 0 {
		return nil
	}
	r, err := c.peek()
	if err != nil || r == nil {
		return err
	}
	if r.Sequence <= c.last {
		c.find(WrongProjection, r.Sequence, "audit.accesses has a row %d more than the log", r.Sequence)
	} else {
		c.find(TruncatedEnd, c.last+1, "the end is missing: the log ends with entry %d, and audit.accesses has entry %d", c.last, r.Sequence)
	}
	return nil
}

// Export writes all of the log to a file that VerifyFile reads, with a checkpoint of its end.
func (p *Projection) Export(ctx context.Context, w io.Writer) error {
	if err := p.log.Checkpoint(ctx); err != nil {
		return err
	}
	begin, err := p.log.first(ctx)
	if err != nil {
		return err
	}
	h := header{County: p.log.options.County, Exported: time.Now().UTC(), Keys: string(p.log.options.Key.Public)}
	return writeFile(ctx, w, h, &live{p: p, begin: begin})
}

// Cut takes the entries before a time off the beginning of the log and of audit.accesses, and returns how many; with dry it
// only counts them. Before, it proves the log: what does not fit is evidence, and stays. The cut is signed and written down
// first, with the hash of the last entry that goes, so that the rest can still be proven; it goes on where one that was
// interrupted has stopped. The newest entry always stays.
func (p *Projection) Cut(ctx context.Context, trusted Keys, before, now time.Time, dry bool) (uint64, error) {
	if err := p.CatchUp(ctx); err != nil {
		return 0, err
	}
	report, err := p.Verify(ctx, trusted, nil)
	if err == nil {
		err = report.Err()
	}
	if err != nil {
		return 0, fmt.Errorf("nothing is cut off the log of accesses: %w", err)
	}
	var first, newest, rows uint64
	if err := p.table.conn.QueryRow(ctx, "SELECT minIf(sequence, at >= ?), max(sequence) FROM audit.accesses", before.UTC()).Scan(&first, &newest); err != nil {
		return 0, p.table.unreadable(err)
	}
	if first == 0 { // all are older
		first = newest
	}
	if err := p.table.conn.QueryRow(ctx, "SELECT count() FROM audit.accesses WHERE sequence < ?", first).Scan(&rows); err != nil {
		return 0, p.table.unreadable(err)
	}
	if rows == 0 || dry {
		return rows, nil
	}
	var hash string
	if err := p.table.conn.QueryRow(ctx, "SELECT previous_hash FROM audit.accesses WHERE sequence = ?", first).Scan(&hash); err != nil {
		return 0, p.table.unreadable(err)
	}
	through := Place{first - 1, hash}
	if through.Sequence > report.CutThrough {
		s := Statement{Kind: Cut, Sequence: through.Sequence, Hash: through.Hash, Before: &before}
		if err := p.log.state(ctx, s, anySequence); err != nil {
			return 0, err
		}
	}
	if err := p.table.cut(ctx, through, before, now); err != nil {
		return 0, err
	}
	if err := p.log.purge(ctx, first); err != nil {
		return 0, err
	}
	return rows, p.table.delete(ctx, first)
}
