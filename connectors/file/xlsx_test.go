package file

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/xuri/excelize/v2"

	"github.com/shirecounty/shire/connectors/conformance"
)

func TestXLSX(t *testing.T) {
	f, b := newFolder(t, "changes"), conformance.NewBus()
	f.with["files"] = []any{map[string]any{"match": "*.xlsx", "dataset": "things", "sheet": "明细", "header_row": 3}}
	book := excelize.NewFile()
	const sheet = "明细"
	book.NewSheet(sheet)
	set := func(cell string, v any) {
		t.Helper()
		if err := book.SetCellValue(sheet, cell, v); err != nil {
			t.Fatal(err)
		}
	}
	style := func(cell string, s *excelize.Style) {
		t.Helper()
		id, err := book.NewStyle(s)
		if err != nil {
			t.Fatal(err)
		}
		if err := book.SetCellStyle(sheet, cell, cell, id); err != nil {
			t.Fatal(err)
		}
	}
	custom := func(code string) *excelize.Style { return &excelize.Style{CustomNumFmt: &code} }
	set("A1", "某县办件明细表")
	for i, h := range []string{"编号", "姓名", "备注"} {
		set(fmt.Sprintf("%c3", 'A'+i), h)
	}
	day := time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)
	rows := []struct {
		value any
		style *excelize.Style
		want  string
	}{
		{"text", nil, "text"},
		{day, &excelize.Style{NumFmt: 14}, "2026-11-23"},
		{day, custom(`yyyy"年"m"月"d"日"`), "2026-11-23"},
		{day, custom(`[$-804]aaaa;@`), "46349"},
		{day, &excelize.Style{NumFmt: 31}, "2026-11-23"},
		{day.Add(13*time.Hour + 5*time.Minute + 7*time.Second), custom(`m/d/yy h:mm`), "2026-11-23 13:05:07"},
		{0.5, custom("h:mm"), "12:00"},
		{1234.5, custom("#,##0.00"), "1234.5"},
		{1234.5, &excelize.Style{NumFmt: 4}, "1234.5"},
		{0.1234, &excelize.Style{NumFmt: 10}, "0.1234"},
		{"2026/11/23", &excelize.Style{NumFmt: 14}, "2026/11/23"},
		{true, nil, "TRUE"},
		{13912345678, custom("0.00E+00"), "13912345678"},
		{uint64(330123199001011234), nil, "330123199001011234"},
		{uint64(330123199001011234), &excelize.Style{NumFmt: 1}, "330123199001011234"},
		{12, nil, "12"},
		{"007", nil, "007"},
	}
	line := 4
	for i, r := range rows {
		set(fmt.Sprintf("A%d", line), i+1)
		set(fmt.Sprintf("B%d", line), r.value)
		if r.style != nil {
			style(fmt.Sprintf("B%d", line), r.style)
		}
		line += 2 // an empty row between
	}
	set(fmt.Sprintf("D%d", line), "too far right")
	if err := book.SaveAs(filepath.Join(f.dir, "a.xlsx")); err != nil {
		t.Fatal(err)
	}
	f.mustLoad(b)
	var want []string
	for i, r := range rows {
		want = append(want, fmt.Sprintf("snapshot %d %d %d|%s|", i+1, 4+2*i, i+1, r.want))
	}
	want = append(want, fmt.Sprintf("malformed %d the row has 4 columns, the header has 3: \t\t\ttoo far right", line))
	expect(t, "changes", show(b.Said("things")), want)
	expect(t, "events", f.problems(), nil)
	n := b.Len()
	f.mustLoad(b)
	if b.Len() != n {
		t.Error("the workbook was read a second time")
	}

	f.with["files"].([]any)[0].(map[string]any)["sheet"] = "明"
	f.write("copy.xlsx", "PK\x03\x04 cut off")
	book.SetCellValue(sheet, "B4", "other")
	book.SaveAs(filepath.Join(f.dir, "b.xlsx"))
	f.mustLoad(b)
	expect(t, "events", f.problems(), []string{"unknown_sheet", "not_xlsx"})
}
