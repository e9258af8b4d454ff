package reconcile

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/google/uuid"

	"github.com/shirecounty/shire/pipeline/warehouse"
	"github.com/shirecounty/shire/schemas/canonical"
	"github.com/shirecounty/shire/schemas/pseudonym"
)

// house is the other side: what the warehouse holds of a dataset. Only ids and hashes leave it (I7).
type house struct {
	conn    driver.Conn
	dataset string
	sealed  Sealed // nil when nothing is
}

// tally is what a key range of a table holds. The sum of the hashes does not depend on the order, and sees a row that is
// there twice.
type tally struct{ count, sum uint64 }

// tallies is one table by key range.
type tallies [buckets]tally

func (h house) query(ctx context.Context, t *canonical.Table, what, condition string, args []any, fn func(driver.Rows) error) error {
	query := fmt.Sprintf("SELECT %s FROM %s.%s FINAL WHERE dataset = ?%s", what, t.Database, t.Name, condition)
	rows, err := h.conn.Query(ctx, query, append([]any{h.dataset}, args...)...)
	if err != nil {
		return fmt.Errorf("ask the warehouse for %s: %w", t.Name, err)
	}
	defer rows.Close()
	for rows.Next() {
		if err := fn(rows); err != nil {
			return fmt.Errorf("read what the warehouse says of %s: %w", t.Name, err)
		}
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("read what the warehouse says of %s: %w", t.Name, err)
	}
	return nil
}

// count fills the tallies of a table and returns how many rows there are.
func (h house) count(ctx context.Context, t *canonical.Table, into *tallies) (total uint64, err error) {
	hash, condition := hashSQL(t), ""
	if h.sealed != nil && t.Personal {
		hash, condition = sealedHashSQL(t), " AND content_hash != 0"
		total, err = h.countUnsealed(ctx, t, into)
		if err != nil {
			return 0, err
		}
	}
	err = h.query(ctx, t, bucketSQL+" AS b, count(), sum("+hash+")", condition+" GROUP BY b", nil, func(rows driver.Rows) error {
		var b uint16
		var y tally
		if err := rows.Scan(&b, &y.count, &y.sum); err != nil {
			return err
		}
		into[b] = tally{into[b].count + y.count, into[b].sum + y.sum}
		total += y.count
		return nil
	})
	return total, err
}

// countUnsealed adds the rows of a restricted table from before they were sealed: their hash is made here.
func (h house) countUnsealed(ctx context.Context, t *canonical.Table, into *tallies) (total uint64, err error) {
	what := strings.Join([]string{bucketSQL, warehouse.ContentSQL(t), warehouse.ClearSQL(t), numberSQL(t)}, ", ")
	err = h.query(ctx, t, what, " AND content_hash = 0", nil, func(rows driver.Rows) error {
		var b uint16
		var content, shown, number string
		if err := rows.Scan(&b, &content, &shown, &number); err != nil {
			return err
		}
		into[b] = tally{into[b].count + 1, into[b].sum + sealedHash(t, h.sealed.Hash(t, []byte(content)), []byte(shown), number)}
		total++
		return nil
	})
	return total, err
}

// held is a row of the warehouse.
type held struct{ hash, version uint64 }

func (h house) rows(ctx context.Context, t *canonical.Table, condition string, args []any, fn func(pseudonym.ID, held)) error {
	what := "record_id, " + hashSQL(t) + ", version, '', '', ''"
	if h.sealed != nil && t.Personal {
		what = fmt.Sprintf("record_id, %s, version, if(content_hash = 0, %s, ''), if(content_hash = 0, %s, ''), %s", sealedHashSQL(t), warehouse.ContentSQL(t), warehouse.ClearSQL(t), numberSQL(t))
	}
	return h.query(ctx, t, what, condition, args, func(rows driver.Rows) error {
		var id uuid.UUID
		var r held
		var content, shown, number string
		if err := rows.Scan(&id, &r.hash, &r.version, &content, &shown, &number); err != nil {
			return err
		}
		if content != "" { // from before rows were sealed
			r.hash = sealedHash(t, h.sealed.Hash(t, []byte(content)), []byte(shown), number)
		}
		fn(pseudonym.ID(id), r)
		return nil
	})
}

// mostListed bounds a list within a query, whose text the server takes up to a length.
const mostListed = 2000

// within gives the rows of a table that lie in ascending key ranges.
func (h house) within(ctx context.Context, t *canonical.Table, ranges []uint16, fn func(pseudonym.ID, held)) error {
	if len(ranges) <= mostListed {
		return h.rows(ctx, t, " AND "+bucketSQL+" IN (?)", []any{ranges}, fn)
	}
	return h.rows(ctx, t, " AND "+bucketSQL+" BETWEEN ? AND ?", []any{ranges[0], ranges[len(ranges)-1]}, func(id pseudonym.ID, r held) {
		if _, asked := slices.BinarySearch(ranges, bucketOf(id)); asked {
			fn(id, r)
		}
	})
}

// these gives the rows of a table with certain ids, as far as there are such.
func (h house) these(ctx context.Context, t *canonical.Table, ids []pseudonym.ID, fn func(pseudonym.ID, held)) error {
	for part := range slices.Chunk(ids, mostListed) {
		list := make([]string, len(part))
		for i, id := range part {
			list[i] = id.String()
		}
		if err := h.rows(ctx, t, " AND record_id IN (?)", []any{list}, fn); err != nil {
			return err
		}
	}
	return nil
}

// texts gives text columns of the rows with certain ids. They may be personal: the caller keeps them to itself.
func (h house) texts(ctx context.Context, t *canonical.Table, columns []string, ids []pseudonym.ID, fn func(pseudonym.ID, []string)) error {
	what := "record_id, [" // one array, whatever their number
	for i, c := range columns {
		if i > 0 {
			what += ", "
		}
		what += "toString(" + c + ")"
	}
	what += "], version, "
	if t.Personal {
		what += "sealed"
	} else {
		what += "''"
	}
	for part := range slices.Chunk(ids, mostListed) {
		list := make([]string, len(part))
		for i, id := range part {
			list[i] = id.String()
		}
		err := h.query(ctx, t, what, " AND record_id IN (?)", []any{list}, func(rows driver.Rows) error {
			var id uuid.UUID
			var texts []string
			var version uint64
			var sealed string
			if err := rows.Scan(&id, &texts, &version, &sealed); err != nil {
				return err
			}
			if sealed != "" && h.sealed != nil {
				// What a lost key has sealed is empty, and is not taken for a key: the bus is looked at for it.
				values, _ := h.sealed.Open(t, pseudonym.ID(id), version, []byte(sealed))
				for i, c := range columns {
					if slices.Contains(t.Sealed(), c) {
						texts[i] = values[c]
					}
				}
			}
			fn(pseudonym.ID(id), texts)
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// waiting counts the changes of the dataset that wait in quarantine or were given up.
func (h house) waiting(ctx context.Context) (n uint64, err error) {
	err = h.conn.QueryRow(ctx, "SELECT count() FROM ops.quarantine WHERE dataset = ? AND state IN ('waiting', 'dropped')", h.dataset).Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("the quarantine cannot be counted: %w", err)
	}
	return n, nil
}
