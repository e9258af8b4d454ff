package clickhouse

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	ch "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/shirecounty/shire/schemas/calendar"
	"github.com/shirecounty/shire/schemas/catalogue"
	"github.com/shirecounty/shire/schemas/sharing"
)

// LoadSharing makes store.sharing_limits say what the rules say, and writes the catalogue down as a new version when it is not the
// newest one. It returns the version that the catalogue is. One process does this at a time: whoever holds the county's lease.
func LoadSharing(ctx context.Context, conn driver.Conn, c catalogue.Catalogue, rules *sharing.Rules, now time.Time) (catalogue.Version, error) {
	limits := map[limitKey]limitRow{}
	for _, s := range rules.Table() {
		row := limitRow{string(s.Limit), int32(s.From), uint32(s.Days), s.Jurisdiction.Zh, s.Jurisdiction.En, s.Source}
		limits[row.key()] = row
	}
	if err := replace(ctx, conn, "sharing_limits", limits,
		"SELECT deadline, toInt32(in_force) AS day, days, jurisdiction_zh, jurisdiction_en, rule FROM store.sharing_limits FINAL",
		limitRow.key,
		"INSERT INTO store.sharing_limits (deadline, in_force, days, jurisdiction_zh, jurisdiction_en, rule, version, deleted)",
		func(r limitRow) []any {
			return []any{r.Deadline, calendar.Date(r.Day).Time(), r.Days, r.Zh, r.En, r.Rule}
		}); err != nil {
		return catalogue.Version{}, fmt.Errorf("write the deadlines of sharing to the warehouse: %w", err)
	}
	v, err := keepVersion(ctx, conn, c, now)
	if err != nil {
		return v, fmt.Errorf("write the version of the catalogue to the warehouse: %w", err)
	}
	return v, nil
}

type limitKey struct {
	deadline string
	day      int32
}

type limitRow struct {
	Deadline string `ch:"deadline"`
	Day      int32  `ch:"day"` // from 1970-01-01
	Days     uint32 `ch:"days"`
	Zh       string `ch:"jurisdiction_zh"`
	En       string `ch:"jurisdiction_en"`
	Rule     string `ch:"rule"`
}

func (r limitRow) key() limitKey { return limitKey{r.Deadline, r.Day} }

func keepVersion(ctx context.Context, conn driver.Conn, c catalogue.Catalogue, now time.Time) (catalogue.Version, error) {
	newest, err := NewestCatalogue(ctx, conn)
	if err != nil && !errors.Is(err, ErrNoVersion) {
		return newest, err
	}
	if err == nil && newest.Hash == c.Hash {
		return newest, nil
	}
	document, err := c.Encode()
	if err != nil {
		return newest, err
	}
	at := now.UTC().Truncate(time.Microsecond)
	v := catalogue.Version{Number: newest.Number + 1, Hash: c.Hash, Since: &at, Count: len(c.Items)}
	batch, err := conn.PrepareBatch(ch.Context(ctx, ch.WithSettings(ch.Settings{"insert_deduplication_token": rand.Text()})),
		"INSERT INTO store.catalogue_versions (number, hash, since, items, document)")
	if err != nil {
		return v, err
	}
	defer batch.Close()
	if err := batch.Append(v.Number, v.Hash, at, uint32(v.Count), string(document)); err != nil {
		return v, err
	}
	return v, batch.Send()
}

// ErrNoVersion says that the catalogue has no such version.
var ErrNoVersion = errors.New("the catalogue has no such version")

// NewestCatalogue is the newest version that was written down. The error is ErrNoVersion before the first.
func NewestCatalogue(ctx context.Context, conn driver.Conn) (catalogue.Version, error) {
	list, err := catalogueVersions(ctx, conn, "FROM store.catalogue_versions FINAL ORDER BY number DESC LIMIT 1")
	if err == nil && len(list) == 0 {
		err = ErrNoVersion
	}
	if err != nil {
		return catalogue.Version{}, err
	}
	return list[0], nil
}

// CatalogueVersions are the versions of the catalogue, the newest first, at most most. conn may be the analyst's.
func CatalogueVersions(ctx context.Context, conn driver.Conn, most int) ([]catalogue.Version, error) {
	return catalogueVersions(ctx, conn, "FROM mart.catalogue_versions ORDER BY number DESC LIMIT ?", most)
}

func catalogueVersions(ctx context.Context, conn driver.Conn, from string, args ...any) ([]catalogue.Version, error) {
	var rows []struct {
		Number uint32    `ch:"number"`
		Hash   string    `ch:"hash"`
		Since  time.Time `ch:"since"`
		Items  uint32    `ch:"items"`
	}
	if err := conn.Select(ctx, &rows, "SELECT number, hash, since, items "+from, args...); err != nil {
		return nil, fmt.Errorf("the versions of the catalogue cannot be read: %w", err)
	}
	list := make([]catalogue.Version, len(rows))
	for i, r := range rows {
		since := r.Since.UTC()
		list[i] = catalogue.Version{Number: r.Number, Hash: r.Hash, Since: &since, Count: int(r.Items)}
	}
	return list, nil
}

// CatalogueAt reads a version of the catalogue. conn may be the analyst's. The error is ErrNoVersion when there is none of this
// number.
func CatalogueAt(ctx context.Context, conn driver.Conn, number uint32) (catalogue.Catalogue, error) {
	var rows []struct {
		Hash     string    `ch:"hash"`
		Since    time.Time `ch:"since"`
		Document string    `ch:"document"`
	}
	if err := conn.Select(ctx, &rows, "SELECT hash, since, document FROM mart.catalogue_versions WHERE number = ?", number); err != nil {
		return catalogue.Catalogue{}, fmt.Errorf("version %d of the catalogue cannot be read: %w", number, err)
	}
	if len(rows) == 0 {
		return catalogue.Catalogue{}, ErrNoVersion
	}
	since := rows[0].Since.UTC()
	c, err := catalogue.Decode(catalogue.Version{Number: number, Hash: rows[0].Hash, Since: &since}, []byte(rows[0].Document))
	if err != nil {
		return c, fmt.Errorf("version %d of the catalogue: %w", number, err)
	}
	return c, nil
}
