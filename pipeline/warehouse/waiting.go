package warehouse

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

// Waiting is a row in quarantine as the list shows it; it holds no value of the row (I7).
type Waiting struct {
	Dataset    string    `json:"dataset" ch:"dataset"`
	Department string    `json:"department" ch:"source_department"`
	OwnerZh    string    `json:"owner_zh" ch:"owner_zh"`
	OwnerEn    string    `json:"owner_en" ch:"owner_en"`
	Unit       string    `json:"unit" ch:"unit"`
	Row        int64     `json:"row" ch:"row"`
	Field      string    `json:"field" ch:"field"`
	Code       string    `json:"code" ch:"code"`
	Message    string    `json:"message" ch:"message"`
	Version    uint64    `json:"version,string" ch:"version"` // with the dataset, names the row
	State      string    `json:"state" ch:"state"`
	Reason     string    `json:"state_reason,omitempty" ch:"state_reason"`
	At         time.Time `json:"quarantined_at" ch:"quarantined_at"`
}

// Filter chooses rows in quarantine. Empty fields choose all.
type Filter struct {
	Dataset    string
	Department string // or the owner's name in either language
	Code       string
	Version    uint64
	State      string // waiting when empty
	Limit      int    // 0: no limit

	// Rows behind this place only, in the order of the list: the next page.
	AfterDataset string
	AfterVersion uint64

	BeforeVersion uint64 // rows that came before this version only; 0: all
}

// ListQuarantine reads what waits. conn may be the analyst's.
func ListQuarantine(ctx context.Context, conn driver.Conn, f Filter) ([]Waiting, error) {
	if f.State == "" {
		f.State = "waiting"
	}
	conditions, args := []string{"state = ?"}, []any{f.State}
	add := func(given bool, condition string, values ...any) {
		if given {
			conditions, args = append(conditions, condition), append(args, values...)
		}
	}
	add(f.Dataset != "", "dataset = ?", f.Dataset)
	add(f.Department != "", "(source_department = ? OR owner_zh = ? OR owner_en = ?)", f.Department, f.Department, f.Department)
	add(f.Code != "", "code = ?", f.Code)
	add(f.AfterDataset != "", "(dataset, version) > (?, ?)", f.AfterDataset, f.AfterVersion)
	add(f.BeforeVersion != 0, "version < ?", f.BeforeVersion)
	add(f.Version != 0, "version = ?", f.Version)
	query := "SELECT dataset, source_department, owner_zh, owner_en, unit, row, field, code, message, version, toString(state) AS state, state_reason, quarantined_at" +
		" FROM ops.quarantine WHERE " + strings.Join(conditions, " AND ") + " ORDER BY dataset, version"
	if f.Limit > 0 {
		query += fmt.Sprintf(" LIMIT %d", f.Limit)
	}
	var out []Waiting
	if err := conn.Select(ctx, &out, query, args...); err != nil {
		return nil, fmt.Errorf("the quarantine cannot be listed: %w", err)
	}
	return out, nil
}

// Owner is how many rows wait in quarantine for one owner.
type Owner struct {
	Department string `json:"department" ch:"source_department"`
	OwnerZh    string `json:"owner_zh" ch:"owner_zh"`
	OwnerEn    string `json:"owner_en" ch:"owner_en"`
	Rows       uint64 `json:"rows" ch:"rows"`
}

// CountQuarantine counts what waits by owner. conn may be the analyst's.
func CountQuarantine(ctx context.Context, conn driver.Conn) ([]Owner, error) {
	var out []Owner
	err := conn.Select(ctx, &out, "SELECT source_department, owner_zh, owner_en, count() AS rows FROM ops.quarantine WHERE state = 'waiting' GROUP BY ALL ORDER BY rows DESC, source_department")
	if err != nil {
		return nil, fmt.Errorf("the quarantine cannot be counted: %w", err)
	}
	return out, nil
}
