package audit

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	ch "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/google/uuid"

	"github.com/shirecounty/shire/schemas/pseudonym"
)

// row is one row of audit.accesses.
type row struct {
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

const columns = "sequence, at, caller, clerk, purpose, item_code, case_number, person_id, fields, decision, reason, hash, previous_hash"

func rowOf(e Entry) row {
	return row{e.Sequence, e.At, e.Caller, e.Clerk, e.Purpose, e.ItemCode, e.CaseNumber, uuid.UUID(e.Person), e.Fields, e.Decision, e.Reason, e.Hash, e.Previous}
}

func (r *row) entry() Entry {
	return Entry{r.Sequence, r.At, r.Caller, r.Clerk, r.Purpose, r.ItemCode, r.CaseNumber, pseudonym.ID(r.Person), r.Fields, r.Decision, r.Reason, r.Previous, r.Hash}
}

func (r *row) record() record {
	e := r.entry()
	return record{e.canonical(nil), []byte(e.Hash)}
}

// table is audit.accesses.
type table struct{ conn driver.Conn }

func (t table) unreadable(err error) error {
	return fmt.Errorf("audit.accesses cannot be read: %w", err)
}

// end is the place of the last row, and cut where retention has taken rows away.
func (t table) end(ctx context.Context) (end, cut Place, err error) {
	for _, q := range []struct {
		into  *Place
		query string
	}{
		{&cut, "SELECT through AS sequence, hash FROM audit.cuts ORDER BY through DESC LIMIT 1"},
		{&end, "SELECT sequence, hash FROM audit.accesses ORDER BY sequence DESC LIMIT 1"},
	} {
		var found []struct {
			Sequence uint64 `ch:"sequence"`
			Hash     string `ch:"hash"`
		}
		if err := t.conn.Select(ctx, &found, q.query); err != nil {
			return end, cut, t.unreadable(err)
		}
		if len(found) == 1 {
			*q.into = Place{found[0].Sequence, found[0].Hash}
		}
	}
	if end.Sequence < cut.Sequence {
		end = cut
	}
	return end, cut, nil
}

// OldChain is where the chain in ClickHouse ends, for Options.Old, and where it was cut.
func OldChain(conn driver.Conn) func(context.Context) (end, cut Place, err error) {
	return table{conn}.end
}

// each calls fn with the rows from one number to another, in their order.
func (t table) each(ctx context.Context, from, through uint64, fn func(*row) error) error {
	rows, err := t.conn.Query(ctx, "SELECT "+columns+" FROM audit.accesses WHERE sequence BETWEEN ? AND ? ORDER BY sequence", from, through)
	if err != nil {
		return t.unreadable(err)
	}
	defer rows.Close()
	for rows.Next() {
		var r row
		if err := rows.ScanStruct(&r); err != nil {
			return t.unreadable(err)
		}
		if err := fn(&r); err != nil {
			return err
		}
	}
	if err := rows.Err(); err != nil {
		return t.unreadable(err)
	}
	return nil
}

// errMoved says that the table is not where the projection thought: another process went on with it.
var errMoved = errors.New("another process wrote to audit.accesses")

// maxAgain bounds how often rows are sent again that the server says it has, and has not.
const maxAgain = 5

// insert adds rows behind the table's end, once. One token stands for all that begins with the same entry, so that of two
// processes one writes it. Which rows are there is asked afterwards: the server may know a token of rows that it has lost
// (it was killed between the two) or that somebody deleted.
func (t table) insert(ctx context.Context, rows []row) error {
	first, last := rows[0].Sequence, rows[len(rows)-1].Sequence
	token := fmt.Sprintf("access/%d", first)
	for again := 1; ; again++ {
		err := t.send(ctx, rows, token)
		end, _, asked := t.end(ctx)
		switch {
		case asked != nil:
			return errors.Join(err, asked)
		case end.Sequence == last && end.Hash == rows[len(rows)-1].Hash:
			return nil // whatever became of the answer
		case err != nil:
			return fmt.Errorf("audit.accesses cannot be written: %w", err)
		case end.Sequence >= first || again == maxAgain:
			return errMoved
		}
		token = fmt.Sprintf("access/%d/again/%d", first, again)
	}
}

func (t table) send(ctx context.Context, rows []row, token string) error {
	ctx = ch.Context(ctx, ch.WithSettings(ch.Settings{"insert_deduplicate": 1, "insert_deduplication_token": token, "async_insert": 0}))
	b, err := t.conn.PrepareBatch(ctx, "INSERT INTO audit.accesses ("+columns+")")
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

// cut writes down what retention takes away.
func (t table) cut(ctx context.Context, through Place, before, now time.Time) error {
	// A token that is new each time: one that the server knows is no proof that it has the row, and the same row twice says nothing else.
	ctx = ch.Context(ctx, ch.WithSettings(ch.Settings{"insert_deduplication_token": rand.Text(), "async_insert": 0}))
	err := t.conn.Exec(ctx, "INSERT INTO audit.cuts (through, hash, before, at) VALUES (?, ?, ?, ?)", through.Sequence, through.Hash, before.UTC(), now.UTC())
	if err != nil {
		return fmt.Errorf("the cut of audit.accesses cannot be written down: %w", err)
	}
	return nil
}

// delete takes the rows before one away.
func (t table) delete(ctx context.Context, first uint64) error {
	if err := t.conn.Exec(ctx, "ALTER TABLE audit.accesses DELETE WHERE sequence < ? SETTINGS mutations_sync = 2", first); err != nil {
		return fmt.Errorf("delete from audit.accesses: %w", err)
	}
	return nil
}
