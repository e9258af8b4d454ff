package warehouse

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"sync"
	"time"

	ch "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/google/uuid"

	"github.com/shirecounty/shire/schemas/pseudonym"
)

// The log of accesses to personal data is a chain: each row holds the hash of the row before it, so that none can be
// changed or taken out without its showing (I8).
//
// # How it fails
//
//   - The server is away or slow: Record returns an error within a few seconds, and whoever asked shows nothing.
//   - An answer is lost: the same rows are sent again under the same token, which the server takes once.
//   - Two processes write: both want the same place in the chain, the token of which the server takes once. The one whose
//     rows are not there afterwards reads the chain's new end and goes on from it.
//   - The server dies after it has written a token down and before the rows have their place: it would swallow whatever is
//     sent for that place from then on, and nothing could be shown any more. When it took rows, they are not there and the
//     chain still ends where it did, that token is spent, and the next one for the place is used, by every process the same.

// Access is one look at personal records, or a look that was refused.
type Access struct {
	At         time.Time
	Caller     string
	Clerk      string // name of the official; only a pseudonym of it is written
	Purpose    string
	ItemCode   string
	CaseNumber string
	Persons    []pseudonym.ID // whose records are shown; a row for each
	Fields     []string
	Decision   string
	Reason     string // never quotes a value (I7)
}

// Accesses writes the log. It is safe for concurrent use.
type Accesses struct {
	conn driver.Conn

	mu     sync.Mutex // one access at a time: each row holds the hash of the one before
	hasher *pseudonym.Hasher
	end    link
}

// link is a row's place in the chain.
type link struct {
	sequence uint64
	hash     string
}

// accessTimeout bounds how long an access may take to be written: somebody waits for the page.
const accessTimeout = 8 * time.Second

// NewAccesses makes the log's writer. conn may insert into and read audit.accesses. The hasher becomes its own.
func NewAccesses(conn driver.Conn, hasher *pseudonym.Hasher) *Accesses {
	return &Accesses{conn: conn, hasher: hasher}
}

// accessRow is one row of audit.accesses.
type accessRow struct {
	Sequence   uint64    `ch:"sequence"`
	At         time.Time `ch:"at"`
	Caller     string    `ch:"caller"`
	Clerk      string    `ch:"clerk"`
	Purpose    string    `ch:"purpose"`
	ItemCode   string    `ch:"item_code"`
	CaseNumber string    `ch:"case_number"`
	Person     uuid.UUID `ch:"person_id"`
	Fields     []string  `ch:"fields"`
	Decision   string    `ch:"decision"`
	Reason     string    `ch:"reason"`
	Hash       string    `ch:"hash"`
	Previous   string    `ch:"previous_hash"`
}

// sum is the hash of a row and of the one before it. Every field goes in with its length, so that no two rows are written
// alike.
func (r *accessRow) sum() string {
	h := sha256.New()
	number := func(n uint64) { h.Write(binary.BigEndian.AppendUint64(nil, n)) }
	text := func(s string) {
		number(uint64(len(s)))
		h.Write([]byte(s))
	}
	number(r.Sequence)
	number(uint64(r.At.UnixMicro()))
	for _, s := range []string{r.Caller, r.Clerk, r.Purpose, r.ItemCode, r.CaseNumber} {
		text(s)
	}
	h.Write(r.Person[:])
	number(uint64(len(r.Fields)))
	for _, s := range r.Fields {
		text(s)
	}
	text(r.Decision)
	text(r.Reason)
	text(r.Previous)
	return hex.EncodeToString(h.Sum(nil))
}

// Record returns when the access is written.
func (l *Accesses) Record(ctx context.Context, a Access) error {
	ctx, cancel := context.WithTimeout(ctx, accessTimeout)
	defer cancel()
	l.mu.Lock()
	defer l.mu.Unlock()
	const tries = 5
	var spent int // tokens of the place at from that are of no use
	var from link
	swallowed := false
	for try := 1; ; try++ {
		// The end is read anew each time: another process may have gone on with the chain.
		if err := l.find(ctx); err != nil {
			return err
		}
		switch {
		case l.end != from:
			spent, from = 0, l.end
		case swallowed:
			spent++
		}
		rows := l.rows(a)
		err := l.insert(ctx, rows, spent)
		done, checked := l.stands(ctx, rows[len(rows)-1])
		swallowed = err == nil && checked == nil && !done
		if done {
			return nil // whatever became of the answer
		} else if err == nil {
			err = checked
		}
		if err == nil {
			err = errors.New("another process wrote to the log of accesses at the same time")
		}
		if try == tries || ctx.Err() != nil {
			return fmt.Errorf("the access cannot be written to the log: %w", err)
		}
	}
}

// find reads the end of the chain.
func (l *Accesses) find(ctx context.Context) error {
	var last []struct {
		Sequence uint64 `ch:"sequence"`
		Hash     string `ch:"hash"`
	}
	if err := l.conn.Select(ctx, &last, "SELECT sequence, hash FROM audit.accesses ORDER BY sequence DESC LIMIT 1"); err != nil {
		return fmt.Errorf("the log of accesses cannot be read: %w", err)
	}
	l.end = link{}
	if len(last) == 1 {
		l.end = link{last[0].Sequence, last[0].Hash}
	}
	return nil
}

// rows are an access as the next links of the chain.
func (l *Accesses) rows(a Access) []accessRow {
	persons := a.Persons
	if len(persons) == 0 {
		persons = []pseudonym.ID{{}}
	}
	clerk := l.hasher.Text("clerk", a.Clerk)
	rows := make([]accessRow, len(persons))
	end := l.end
	for i, p := range persons {
		r := &rows[i]
		*r = accessRow{
			Sequence: end.sequence + 1, At: a.At.UTC().Truncate(time.Microsecond), Caller: a.Caller, Clerk: clerk, Purpose: a.Purpose,
			ItemCode: a.ItemCode, CaseNumber: a.CaseNumber, Person: uuid.UUID(p), Fields: a.Fields, Decision: a.Decision, Reason: a.Reason, Previous: end.hash,
		}
		r.Hash = r.sum()
		end = link{r.Sequence, r.Hash}
	}
	return rows
}

// insert sends rows under a token of their place, of which some are spent.
func (l *Accesses) insert(ctx context.Context, rows []accessRow, spent int) error {
	token := fmt.Sprintf("access/%d", rows[0].Sequence)
	if spent > 0 {
		token = fmt.Sprintf("%s/%d", token, spent+1)
	}
	ctx = ch.Context(ctx, ch.WithSettings(ch.Settings{
		"insert_deduplicate":         1,
		"insert_deduplication_token": token,
		"async_insert":               0,
	}))
	b, err := l.conn.PrepareBatch(ctx, "INSERT INTO audit.accesses (sequence, at, caller, clerk, purpose, item_code, case_number, person_id, fields, decision, reason, hash, previous_hash)")
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

// stands tells whether a row is in the chain.
func (l *Accesses) stands(ctx context.Context, r accessRow) (bool, error) {
	var n uint64
	err := l.conn.QueryRow(ctx, "SELECT count() FROM audit.accesses WHERE sequence = ? AND hash = ?", r.Sequence, r.Hash).Scan(&n)
	return err == nil && n > 0, err
}

// BrokenChainError says that the log of accesses is not as it was written.
type BrokenChainError struct {
	Sequence uint64 // the first row that does not fit
}

func (e *BrokenChainError) Error() string {
	return fmt.Sprintf("the log of accesses was changed: row %d does not fit the rows before it", e.Sequence)
}

// VerifyAccesses goes through the chain, from what retention has taken off it, and counts its rows. The error is a *BrokenChainError when a row was changed, put
// in or taken out.
func VerifyAccesses(ctx context.Context, conn driver.Conn) (rows uint64, err error) {
	end, err := lastCut(ctx, conn)
	if err != nil {
		return 0, err
	}
	found, err := conn.Query(ctx, "SELECT sequence, at, caller, clerk, purpose, item_code, case_number, person_id, fields, decision, reason, hash, previous_hash FROM audit.accesses WHERE sequence > ? ORDER BY sequence", end.sequence)
	if err != nil {
		return 0, fmt.Errorf("the log of accesses cannot be read: %w", err)
	}
	defer found.Close()
	for found.Next() {
		var r accessRow
		if err := found.ScanStruct(&r); err != nil {
			return rows, fmt.Errorf("the log of accesses cannot be read: %w", err)
		}
		if r.Sequence != end.sequence+1 || r.Previous != end.hash || r.Hash != r.sum() {
			return rows, &BrokenChainError{r.Sequence}
		}
		end = link{r.Sequence, r.Hash}
		rows++
	}
	if err := found.Err(); err != nil {
		return rows, fmt.Errorf("the log of accesses cannot be read: %w", err)
	}
	return rows, nil
}
