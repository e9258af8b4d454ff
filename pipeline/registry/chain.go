package registry

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	ch "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

// The events of the chain.
const (
	registered = "registered"
	evaluated  = "evaluated"
	asked      = "asked"
)

// entry is one row of audit.interventions.
type entry struct {
	Sequence       uint64    `ch:"sequence"`
	At             time.Time `ch:"at"`
	Event          string    `ch:"event"`
	Intervention   string    `ch:"intervention"`
	Version        uint32    `ch:"version"`
	Definition     string    `ch:"definition"`
	DefinitionHash string    `ch:"definition_hash"`
	Metric         string    `ch:"metric"`
	Month          string    `ch:"month"`
	ResultHash     string    `ch:"result_hash"`
	Caller         string    `ch:"caller"`
	Clerk          string    `ch:"clerk"`
	Hash           string    `ch:"hash"`
	Previous       string    `ch:"previous_hash"`
}

const entryColumns = "sequence, at, event, intervention, version, definition, definition_hash, metric, month, result_hash, caller, clerk, hash, previous_hash"

// sum is the hash of a row and of the one before it. Every field goes in with its length, so that no two rows are written alike.
func (e *entry) sum() string {
	h := sha256.New()
	number := func(n uint64) { h.Write(binary.BigEndian.AppendUint64(nil, n)) }
	number(e.Sequence)
	number(uint64(e.At.UnixMicro()))
	number(uint64(e.Version))
	for _, s := range []string{e.Event, e.Intervention, e.Definition, e.DefinitionHash, e.Metric, e.Month, e.ResultHash, e.Caller, e.Clerk, e.Previous} {
		number(uint64(len(s)))
		h.Write([]byte(s))
	}
	return hex.EncodeToString(h.Sum(nil))
}

// BrokenError says that the register is not as it was written.
type BrokenError struct {
	Sequence uint64 // the first row that does not fit
}

func (e *BrokenError) Error() string {
	return fmt.Sprintf("the register of interventions was changed: row %d of audit.interventions does not fit the rows before it; restore it from a backup, and find out who changed it", e.Sequence)
}

// chain is audit.interventions as a reader or a writer sees it.
type chain struct{ conn driver.Conn }

// read reads and proves the whole chain. It is short: a row for each registration and evaluation, and for each metric and month at
// most one.
func (c chain) read(ctx context.Context) ([]entry, error) {
	rows, err := c.conn.Query(ctx, "SELECT "+entryColumns+" FROM audit.interventions ORDER BY sequence")
	if err != nil {
		return nil, fmt.Errorf("the register of interventions cannot be read: %w", err)
	}
	defer rows.Close()
	var all []entry
	var before entry
	for rows.Next() {
		var e entry
		if err := rows.ScanStruct(&e); err != nil {
			return nil, fmt.Errorf("the register of interventions cannot be read: %w", err)
		}
		textHash := sha256.Sum256([]byte(e.Definition))
		whole := e.Event != registered || e.DefinitionHash == hex.EncodeToString(textHash[:])
		if e.Sequence != before.Sequence+1 || e.Previous != before.Hash || e.Hash != e.sum() || !whole {
			return nil, &BrokenError{e.Sequence}
		}
		all, before = append(all, e), e
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("the register of interventions cannot be read: %w", err)
	}
	return all, nil
}

// errTaken says that another process wrote to the chain first.
var errTaken = errors.New("another process wrote to the register of interventions at the same time")

// errSwallowed says that the server took the rows for known and that they are not there: it may have died after it wrote their token
// down and before it gave them their place.
var errSwallowed = errors.New("the warehouse takes what is written to the register of interventions for known, and does not have it")

// add links new rows to the end of what was read; so many tokens of that place are spent. The error is errTaken when the chain has gone
// on meanwhile, and errSwallowed when it has not.
func (c chain) add(ctx context.Context, read, rows []entry, spent int) error {
	if len(rows) == 0 {
		return nil
	}
	var end entry
	if len(read) > 0 {
		end = read[len(read)-1]
	}
	for i := range rows {
		e := &rows[i]
		e.Sequence, e.Previous, e.At = end.Sequence+1, end.Hash, e.At.UTC().Truncate(time.Microsecond)
		e.Hash = e.sum()
		end = *e
	}
	err := c.insert(ctx, rows, spent)
	// Whatever became of the answer: does the last of them stand?
	var n uint64
	if looked := c.conn.QueryRow(ctx, "SELECT count() FROM audit.interventions WHERE sequence = ? AND hash = ?", end.Sequence, end.Hash).Scan(&n); looked != nil {
		return fmt.Errorf("the register of interventions cannot be read: %w", errors.Join(err, looked))
	}
	switch {
	case n > 0:
		return nil
	case err != nil:
		return fmt.Errorf("the register of interventions cannot be written: %w", err)
	}
	var last uint64
	if err := c.conn.QueryRow(ctx, "SELECT max(sequence) FROM audit.interventions").Scan(&last); err != nil {
		return fmt.Errorf("the register of interventions cannot be read: %w", err)
	}
	if last < rows[0].Sequence {
		return errSwallowed
	}
	return errTaken
}

func (c chain) insert(ctx context.Context, rows []entry, spent int) error {
	// One place in the chain is one token, which the server takes once. When that is spent, every process goes on to the same next one.
	token := fmt.Sprintf("intervention/%d", rows[0].Sequence)
	if spent > 0 {
		token = fmt.Sprintf("%s/%d", token, spent+1)
	}
	ctx = ch.Context(ctx, ch.WithSettings(ch.Settings{
		"insert_deduplicate":         1,
		"insert_deduplication_token": token,
		"async_insert":               0,
	}))
	b, err := c.conn.PrepareBatch(ctx, "INSERT INTO audit.interventions ("+entryColumns+")")
	if err != nil {
		return err
	}
	defer b.Close()
	for i := range rows {
		if err := b.AppendStruct(&rows[i]); err != nil {
			return err
		}
	}
	return b.Send()
}

// write proves the chain, has the new rows made from it, and links them; when somebody else was first, all of it again.
func (c chain) write(ctx context.Context, rows func([]entry) ([]entry, error)) ([]entry, error) {
	const tries = 8
	spent := 0 // tokens of the place behind the chain's end
	for try := 1; ; try++ {
		read, err := c.read(ctx)
		if err != nil {
			return nil, err
		}
		added, err := rows(read)
		if err != nil {
			return read, err
		}
		err = c.add(ctx, read, added, spent)
		switch {
		case err == nil:
			return append(read, added...), nil
		case errors.Is(err, errSwallowed):
			spent++
		case errors.Is(err, errTaken):
			spent = 0
		default:
			return nil, err
		}
		if try == tries || ctx.Err() != nil {
			return nil, err
		}
	}
}
