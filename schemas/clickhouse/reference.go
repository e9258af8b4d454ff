package clickhouse

import (
	"context"
	"crypto/rand"
	"fmt"
	"iter"
	"maps"

	ch "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/shirecounty/shire/schemas/calendar"
	"github.com/shirecounty/shire/schemas/contract"
)

// LoadReference makes store.calendar, store.departments and store.catalogue say what the program's files say. It writes only
// what differs, so that a start changes nothing when nothing changed.
func LoadReference(ctx context.Context, conn driver.Conn, cal *calendar.Calendar, departments map[string]contract.Text, datasets iter.Seq[*contract.Dataset]) error {
	days := map[calendar.Date]calendarRow{}
	for d := range cal.Days() {
		row := calendarRow{Day: int32(d.Date), Index: d.Index, Zh: d.Holiday.Zh, En: d.Holiday.En}
		if d.Working {
			row.Working = 1
		}
		days[d.Date] = row
	}
	if err := replace(ctx, conn, "calendar", days,
		"SELECT toInt32(date) AS day, working, workday_index, holiday_zh, holiday_en FROM store.calendar FINAL",
		func(r calendarRow) calendar.Date { return calendar.Date(r.Day) },
		"INSERT INTO store.calendar (date, working, workday_index, holiday_zh, holiday_en, version, deleted)",
		func(r calendarRow) []any { return []any{calendar.Date(r.Day).Time(), r.Working, r.Index, r.Zh, r.En} }); err != nil {
		return fmt.Errorf("write the working calendar to the warehouse: %w", err)
	}
	names := map[string]departmentRow{}
	for code, name := range departments {
		names[code] = departmentRow{Code: code, Zh: name.Zh, En: name.En}
	}
	if err := replace(ctx, conn, "departments", names,
		"SELECT code, name_zh, name_en FROM store.departments FINAL",
		func(r departmentRow) string { return r.Code },
		"INSERT INTO store.departments (code, name_zh, name_en, version, deleted)",
		func(r departmentRow) []any { return []any{r.Code, r.Zh, r.En} }); err != nil {
		return fmt.Errorf("write the names of the departments to the warehouse: %w", err)
	}
	items := map[string]catalogueRow{}
	for d := range datasets {
		items[d.Name] = catalogueRow{d.Name, d.Department, d.Title.Zh, d.Title.En, d.Sharing.Type, d.Sharing.Ground, d.UpdateCycle, uint64(d.Version)}
	}
	if err := replace(ctx, conn, "catalogue", items,
		"SELECT dataset, department, title_zh, title_en, sharing, ground, update_cycle, contract_version FROM store.catalogue FINAL",
		func(r catalogueRow) string { return r.Dataset },
		"INSERT INTO store.catalogue (dataset, department, title_zh, title_en, sharing, ground, update_cycle, contract_version, version, deleted)",
		func(r catalogueRow) []any {
			return []any{r.Dataset, r.Department, r.Zh, r.En, r.Sharing, r.Ground, r.UpdateCycle, r.Contract}
		}); err != nil {
		return fmt.Errorf("write the catalogue to the warehouse: %w", err)
	}
	return nil
}

type calendarRow struct {
	Day     int32  `ch:"day"` // from 1970-01-01
	Working uint8  `ch:"working"`
	Index   int32  `ch:"workday_index"`
	Zh      string `ch:"holiday_zh"`
	En      string `ch:"holiday_en"`
}

type departmentRow struct {
	Code string `ch:"code"`
	Zh   string `ch:"name_zh"`
	En   string `ch:"name_en"`
}

type catalogueRow struct {
	Dataset     string `ch:"dataset"`
	Department  string `ch:"department"`
	Zh          string `ch:"title_zh"`
	En          string `ch:"title_en"`
	Sharing     string `ch:"sharing"`
	Ground      string `ch:"ground"`
	UpdateCycle string `ch:"update_cycle"`
	Contract    uint64 `ch:"contract_version"`
}

// replace makes the current rows of a reference table those of want, in one insert: readers see all of it or nothing.
func replace[K, R comparable](ctx context.Context, conn driver.Conn, table string, want map[K]R,
	read string, key func(R) K, insert string, values func(R) []any) error {
	var rows []R
	if err := conn.Select(ctx, &rows, read); err != nil {
		return err
	}
	have := make(map[K]R, len(rows))
	for _, r := range rows {
		have[key(r)] = r
	}
	if maps.Equal(have, want) {
		return nil
	}
	var version uint64
	if err := conn.QueryRow(ctx, "SELECT max(version) + 1 FROM store."+table).Scan(&version); err != nil {
		return err
	}
	// The server would know the same rows by their hash, even when it died before they had their place. Nothing here rests on
	// that, since what is there has just been read; so a token that is new keeps them from being taken for known.
	batch, err := conn.PrepareBatch(ch.Context(ctx, ch.WithSettings(ch.Settings{"insert_deduplication_token": rand.Text()})), insert)
	if err != nil {
		return err
	}
	defer batch.Close()
	for _, r := range want {
		if err := batch.Append(append(values(r), version, uint8(0))...); err != nil {
			return err
		}
	}
	for k, r := range have {
		if _, still := want[k]; still {
			continue
		}
		if err := batch.Append(append(values(r), version, uint8(1))...); err != nil {
			return err
		}
	}
	return batch.Send()
}
