package warehouse

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"

	ch "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/ext"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/google/uuid"

	"github.com/shirecounty/shire/pipeline/seal"
	"github.com/shirecounty/shire/schemas/canonical"
	"github.com/shirecounty/shire/schemas/pseudonym"
)

// Rows are sealed anew by writing them again with the version that they have: of two that are alike the server keeps the one that
// came last, and a version that arrives meanwhile is newer than both.
//
// # How it fails
//
//   - It is killed, or the server is: what was written is sealed anew, the rest is found again by the number of its key.
//   - The key of a row is lost: the rows of that key are counted and left as they are, and it says so; the others go on.

// resealRows is how many rows are in memory at once (I10).
const resealRows = 10_000

// KeysInUse counts the rows of the restricted tables by the keys that have sealed them, older versions that are not merged away
// included.
func KeysInUse(ctx context.Context, conn driver.Conn) (out []seal.Use, err error) {
	for _, t := range personal() {
		rows, err := conn.Query(ctx, fmt.Sprintf("SELECT sealed_key, count() FROM %s.%s WHERE sealed_key != 0 OR %s GROUP BY sealed_key ORDER BY sealed_key", t.Database, t.Name, inTheClear(t)))
		if err != nil {
			return nil, fmt.Errorf("count the rows of %s by their keys: %w", t.Name, err)
		}
		for rows.Next() {
			use := seal.Use{Place: t.Database + "." + t.Name}
			if err := rows.Scan(&use.Key, &use.Values); err != nil {
				rows.Close()
				return nil, fmt.Errorf("count the rows of %s by their keys: %w", t.Name, err)
			}
			out = append(out, use)
		}
		rows.Close()
		if err := rows.Err(); err != nil {
			return nil, fmt.Errorf("count the rows of %s by their keys: %w", t.Name, err)
		}
	}
	return out, nil
}

// personal are the tables with sealed columns.
func personal() (tables []*canonical.Table) {
	for _, t := range canonical.Tables {
		if t.Personal {
			tables = append(tables, t)
		}
	}
	return tables
}

// inTheClear is the condition for a row that is not sealed and has something to seal.
func inTheClear(t *canonical.Table) string {
	conditions := make([]string, len(t.Sealed()))
	for i, c := range t.Sealed() {
		conditions[i] = c + " != ''"
	}
	return "(sealed_key = 0 AND (" + strings.Join(conditions, " OR ") + "))"
}

// bringBack is what to do about a lost key.
const bringBack = "bring that key back (it is in secrets.json of the data directory that wrote them, and in its backups), or replay their sources so that they are sealed with the key of today"

// Reseal seals what is not sealed with the current key, and takes the older rows off the disk. It returns how many rows it sealed;
// a [*seal.LostKeyError] says which ones it could not, once all others are done. told, which may be nil, is told how many it is so far.
func Reseal(ctx context.Context, conn driver.Conn, s *Sealer, told func(rows uint64)) (total uint64, err error) {
	var lost error
	for _, t := range personal() {
		known, err := resealable(ctx, conn, s, t)
		if lostKey := (*seal.LostKeyError)(nil); errors.As(err, &lostKey) {
			lost = lostKey
		} else if err != nil {
			return total, err
		}
		if len(known) == 0 {
			continue
		}
		r := &resealing{conn: conn, sealer: s, table: t, keys: known}
		for {
			n, err := r.next(ctx)
			if err != nil {
				return total, fmt.Errorf("seal the rows of %s.%s anew: %w", t.Database, t.Name, err)
			}
			if n == 0 {
				break
			}
			total += uint64(n)
			if told != nil {
				told(total)
			}
		}
		// What was replaced is on the disk until it is merged away.
		if err := conn.Exec(ctx, fmt.Sprintf("OPTIMIZE TABLE %s.%s FINAL", t.Database, t.Name)); err != nil {
			return total, fmt.Errorf("merge the rows of %s.%s that are sealed with older keys away: %w", t.Database, t.Name, err)
		}
	}
	return total, lost
}

// resealable are the keys, 0 among them, whose rows can be sealed anew.
func resealable(ctx context.Context, conn driver.Conn, s *Sealer, t *canonical.Table) (known []uint32, err error) {
	uses, err := KeysInUse(ctx, conn)
	if err != nil {
		return nil, err
	}
	var lost error
	for _, use := range uses {
		switch {
		case use.Place != t.Database+"."+t.Name || use.Key == s.keys.Current():
		case use.Key != 0 && !s.keys.Has(use.Key):
			lost = &seal.LostKeyError{Place: use.Place, Key: use.Key, Values: use.Values, Remedy: bringBack}
		default:
			known = append(known, use.Key)
		}
	}
	return known, lost
}

// resealing goes through a table in the order of its rows.
type resealing struct {
	conn   driver.Conn
	sealer *Sealer
	table  *canonical.Table
	keys   []uint32

	dataset string // of the last row that was looked at
	record  uuid.UUID
}

// next seals the next rows and returns how many; 0 at the end.
func (r *resealing) next(ctx context.Context) (int, error) {
	t := r.table
	query := fmt.Sprintf("SELECT dataset, record_id, version, sealed, [%s], %s FROM %s.%s FINAL WHERE (dataset, record_id) > (?, ?) AND (has(?, sealed_key) AND sealed_key != 0 OR has(?, 0) AND %s)"+
		" ORDER BY dataset, record_id LIMIT %d", strings.Join(t.Sealed(), ", "), ContentSQL(t), t.Database, t.Name, inTheClear(t), resealRows)
	rows, err := r.conn.Query(ctx, query, r.dataset, r.record, r.keys, r.keys)
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	var sealed sealing
	var datasets []string
	var records []uuid.UUID
	var versions []uint64
	hasher := r.sealer.hasher.Clone()
	for rows.Next() {
		var version uint64
		var old, content string
		var values []string
		if err := rows.Scan(&r.dataset, &r.record, &version, &old, &values, &content); err != nil {
			return 0, err
		}
		id := pseudonym.ID(r.record)
		if old != "" {
			open, err := r.sealer.Open(t, id, version, []byte(old))
			if err != nil {
				return 0, fmt.Errorf("record %s of %s: %w", id, r.dataset, err)
			}
			for i, c := range t.Sealed() {
				values[i] = open[c]
			}
		}
		if err := r.sealer.add(&sealed, hasher, t, id, version, []byte(content), values); err != nil {
			return 0, err
		}
		datasets, records, versions = append(datasets, r.dataset), append(records, r.record), append(versions, version)
	}
	if err := rows.Err(); err != nil || len(records) == 0 {
		return 0, err
	}
	return len(records), r.write(ctx, datasets, records, versions, &sealed)
}

// write has the server write rows again as they stand, but for what is sealed of them.
func (r *resealing) write(ctx context.Context, datasets []string, records []uuid.UUID, versions []uint64, sealed *sealing) error {
	anew, err := ext.NewTable("anew", ext.Column("dataset", "String"), ext.Column("record_id", "UUID"), ext.Column("version", "UInt64"),
		ext.Column("sealed", "String"), ext.Column("sealed_key", "UInt32"), ext.Column("content_hash", "UInt64"), ext.Column("number_sex", "String"), ext.Column("number_year", "UInt16"))
	if err != nil {
		return err
	}
	for i := range records {
		if err := anew.Append(datasets[i], records[i], versions[i], sealed.sealed[i], sealed.key[i], sealed.content[i], sealed.sex[i], sealed.year[i]); err != nil {
			return err
		}
	}
	replaced := []string{"n.sealed AS sealed", "n.sealed_key AS sealed_key",
		"if(r.content_hash = 0, n.content_hash, r.content_hash) AS content_hash"} // a sealed row's text is not what the department says
	if r.table.Mention == canonical.PersonMention {
		replaced = append(replaced, "n.number_sex AS number_sex", "n.number_year AS number_year")
	}
	for _, c := range r.table.Sealed() {
		replaced = append(replaced, "'' AS "+c)
	}
	name := r.table.Database + "." + r.table.Name
	ctx = ch.Context(ctx, ch.WithExternalTable(anew), ch.WithSettings(ch.Settings{
		"async_insert": 0, "log_queries": 0, "insert_deduplication_token": rand.Text(), // see fillSettings
	}))
	return r.conn.Exec(ctx, fmt.Sprintf("INSERT INTO %[1]s SELECT r.* REPLACE (%[2]s) FROM (SELECT * FROM %[1]s FINAL WHERE (dataset, record_id) IN (SELECT dataset, record_id FROM anew)) AS r"+
		" INNER JOIN anew AS n ON r.dataset = n.dataset AND r.record_id = n.record_id AND r.version = n.version", name, strings.Join(replaced, ", ")))
}
