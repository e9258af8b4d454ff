package clickhouse

import (
	"context"
	"fmt"
	"strings"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/shirecounty/shire/schemas/material"
)

// LoadMaterials makes store.material_rules say what the rules say: by them mart.submissions tells which paper is a repeat. Without it every paper
// is valid until the day that it names itself, and changed by another document.
func LoadMaterials(ctx context.Context, conn driver.Conn, rules material.Rules) error {
	rows := map[string]materialRow{}
	for _, r := range rules.All() {
		row := materialRow{Code: r.Material, ValidDays: uint32(r.ValidDays), Compared: strings.Join(r.Compared(), " "), Source: r.Source, Zh: r.Jurisdiction.Zh, En: r.Jurisdiction.En}
		if r.Change == material.NewerIssue {
			row.NewerIssue = 1
		}
		rows[r.Material] = row
	}
	if err := replace(ctx, conn, "material_rules", rows,
		"SELECT material_code, valid_days, arrayStringConcat(compared, ' ') AS compared, newer_issue, source, jurisdiction_zh, jurisdiction_en FROM store.material_rules FINAL",
		func(r materialRow) string { return r.Code },
		"INSERT INTO store.material_rules (material_code, valid_days, compared, newer_issue, source, jurisdiction_zh, jurisdiction_en, version, deleted)",
		func(r materialRow) []any {
			return []any{r.Code, r.ValidDays, strings.Fields(r.Compared), r.NewerIssue, r.Source, r.Zh, r.En}
		}); err != nil {
		return fmt.Errorf("write the material rules to the warehouse: %w", err)
	}
	return nil
}

type materialRow struct {
	Code       string `ch:"material_code"`
	ValidDays  uint32 `ch:"valid_days"`
	Compared   string `ch:"compared"` // columns, with spaces between them
	NewerIssue uint8  `ch:"newer_issue"`
	Source     string `ch:"source"`
	Zh         string `ch:"jurisdiction_zh"`
	En         string `ch:"jurisdiction_en"`
}
