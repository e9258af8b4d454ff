package warehouse

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/shirecounty/shire/schemas/canonical"
)

// Deleting is done by mutations that the server finishes before it answers, and goes on with after a restart. ClickHouse
// evaluates their conditions part by part, so none of them may depend on rows that the same mutation deletes.

// Lines are the lines of a log that have had their time.
type Lines string

// The logs of which old lines can be deleted.
const (
	SettledLines Lines = "settled_days" // of rows that were released from quarantine or dropped
	RunLines     Lines = "runs_days"
	LoadLines    Lines = "loads_days"
)

// View is where people see the lines.
func (l Lines) View() string {
	switch l {
	case SettledLines:
		return "ops.quarantine"
	case RunLines:
		return "ops.runs"
	default:
		return "ops.loads"
	}
}

// DeleteLines deletes lines that are older than a time and returns how many; with dry it only counts them.
func (w *Warehouse) DeleteLines(ctx context.Context, of Lines, before time.Time, dry bool) (uint64, error) {
	at := before.UTC()
	switch of {
	case SettledLines:
		if !dry {
			// Once a row's lines are one, the line that is deleted is its last, and none from before comes up again.
			if err := w.conn.Exec(ctx, "OPTIMIZE TABLE store.quarantine_log FINAL"); err != nil {
				return 0, fmt.Errorf("merge the lines of the quarantine: %w", err)
			}
		}
		return w.deleteWhere(ctx, "store.quarantine_log FINAL", "state != 'waiting' AND state_at < ?", dry, at)
	case RunLines:
		return w.deleteWhere(ctx, "store.run_log", "ifNull(finished_at, started_at) < ?", dry, at)
	case LoadLines:
		last, err := w.lastLoads(ctx)
		if err != nil {
			return 0, err
		}
		return w.deleteWhere(ctx, "store.load_log", "finished_at < ? AND NOT has(?, last_sequence)", dry, at, last)
	}
	return 0, fmt.Errorf("there is no log %q", of)
}

// lastLoads are the loads by which ops.lag knows how far each dataset is, and a start how far the warehouse is.
func (w *Warehouse) lastLoads(ctx context.Context) ([]uint64, error) {
	rows, err := w.conn.Query(ctx, `SELECT argMax(last_sequence, (last, last_sequence)) FROM
		(SELECT last_sequence, arrayJoin(dataset_sequences) AS pair, pair.1 AS dataset, pair.2 AS last FROM store.load_log FINAL) GROUP BY dataset
		UNION ALL SELECT max(last_sequence) FROM store.load_log`)
	if err != nil {
		return nil, fmt.Errorf("ask for the last load of each dataset: %w", err)
	}
	defer rows.Close()
	var last []uint64
	for rows.Next() {
		var sequence uint64
		if err := rows.Scan(&sequence); err != nil {
			return nil, fmt.Errorf("ask for the last load of each dataset: %w", err)
		}
		last = append(last, sequence)
	}
	slices.Sort(last)
	return slices.Compact(last), rows.Err()
}

// deleteWhere counts rows and deletes them. from may say FINAL, which counts what a reader sees.
func (w *Warehouse) deleteWhere(ctx context.Context, from, condition string, dry bool, args ...any) (n uint64, err error) {
	table, _, _ := strings.Cut(from, " ")
	if err := w.conn.QueryRow(ctx, "SELECT count() FROM "+from+" WHERE "+condition, args...).Scan(&n); err != nil {
		return 0, fmt.Errorf("count what is to be deleted from %s: %w", table, err)
	}
	if n == 0 || dry {
		return n, nil
	}
	if err := w.conn.Exec(ctx, "ALTER TABLE "+table+" DELETE WHERE "+condition+" SETTINGS mutations_sync = 2", args...); err != nil {
		return 0, fmt.Errorf("delete from %s: %w", table, err)
	}
	return n, nil
}

// PersonalTables are the tables that hold what departments say about people and organisations.
func PersonalTables() (names []string) {
	for _, t := range canonical.Tables {
		if t.Database == "restricted" && !t.Own {
			names = append(names, t.Database+"."+t.Name)
		}
	}
	return names
}

// PurgeDeleted removes the values of records that were deleted at their source by a change before a version, and returns how
// many rows that were. The tombstones stay: they hold a pseudonym and no value, and keep an older version of the record that
// is replayed from coming up again.
func (w *Warehouse) PurgeDeleted(ctx context.Context, table string, version uint64, dry bool) (uint64, error) {
	if !slices.Contains(PersonalTables(), table) {
		return 0, fmt.Errorf("the table %q does not hold personal records", table)
	}
	condition := `deleted = 0 AND (dataset, record_id) IN
		(SELECT dataset, record_id FROM ` + table + ` WHERE (dataset, record_id) IN (SELECT dataset, record_id FROM ` + table + ` WHERE deleted = 1 AND version < ?)
		GROUP BY dataset, record_id HAVING argMax(deleted, version) = 1 AND max(version) < ?)`
	return w.deleteWhere(ctx, table, condition, dry, version, version)
}

// Erasure is what a rule of retention deleted.
type Erasure struct {
	Run, Rule, Place string // the place is a view, a table or a subject of the bus
	Amount           uint64 // rows or messages
	Before           time.Time
	At               time.Time
}

// RecordErasure writes down what was deleted.
func (w *Warehouse) RecordErasure(ctx context.Context, e Erasure) error {
	token := fmt.Sprintf("erasure/%s/%s/%s/%d/%d", e.Run, e.Rule, e.Place, e.Amount, time.Now().UnixNano())
	return w.insert(ctx, &block{table: "store.erasures", token: token, place: place{row: []string{"at", "run_id", "rule", "place"}}, columns: []cells{
		oneCell("at", e.At.UTC()),
		oneCell("run_id", e.Run),
		oneCell("rule", e.Rule),
		oneCell("place", e.Place),
		oneCell("amount", e.Amount),
		oneCell("before", e.Before.UTC()),
	}})
}
