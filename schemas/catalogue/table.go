package catalogue

import (
	"encoding/csv"
	"errors"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/xuri/excelize/v2"
)

var errOther = errors.New("the items of this version of the catalogue are not those that its hash is of: somebody changed them")

// The columns of the tables: Chinese and English in one heading, so that one file serves both readers.
var itemColumns = []string{
	"dataset", "title_zh", "title_en", "department", "owner_zh", "owner_en", "update_cycle", "sensitivity", "sharing", "ground",
	"contract_version", "fields", "last_load", "rows", "quarantined", "quarantined_share",
}

var itemHeadings = []string{
	"目录项 dataset", "名称 title_zh", "title_en", "数源部门 department", "责任方 owner_zh", "owner_en", "更新周期 update_cycle", "敏感级别 sensitivity", "共享类型 sharing", "不予共享依据 ground",
	"契约版本 contract_version", "信息项 fields", "最近装载 last_load", "行数 rows", "隔离行数 quarantined", "隔离占比 quarantined_share",
}

var fieldHeadings = []string{"目录项 dataset", "信息项 field", "名称 title_zh", "title_en", "类型 type", "主键 key", "必填 required", "敏感级别 sensitivity", "共享类型 sharing"}

func (i *Item) row() []string {
	names := make([]string, len(i.Fields))
	for k, f := range i.Fields {
		names[k] = f.Name
	}
	row := []string{
		i.Dataset, i.Title.Zh, i.Title.En, i.Department, i.Owner.Zh, i.Owner.En, i.UpdateCycle, i.Sensitivity, i.Sharing, i.Ground,
		strconv.Itoa(i.Contract), strings.Join(names, " "), "", "", "", "",
	}
	if m := i.Measured; m != nil {
		if m.LastLoad != nil {
			row[12] = m.LastLoad.UTC().Format(time.RFC3339)
		}
		row[13], row[14] = strconv.FormatUint(m.Rows, 10), strconv.FormatUint(m.Quarantined, 10)
		if m.Share != nil {
			row[15] = strconv.FormatFloat(*m.Share, 'f', 6, 64)
		}
	}
	return row
}

// WriteCSV writes one line for each item, as RFC 4180 has it. It starts with a byte order mark, without which Excel takes UTF-8
// for the system's code page.
func (c Catalogue) WriteCSV(to io.Writer) error {
	if _, err := io.WriteString(to, "\ufeff"); err != nil {
		return err
	}
	w := csv.NewWriter(to)
	w.UseCRLF = true
	if err := w.Write(itemColumns); err != nil {
		return err
	}
	for i := range c.Items {
		row := c.Items[i].row()
		for k := range row {
			row[k] = inert(row[k])
		}
		if err := w.Write(row); err != nil {
			return err
		}
	}
	w.Flush()
	return w.Error()
}

// inert keeps a spreadsheet from running a cell as a formula: an apostrophe in front makes it text. The full-width forms count
// too, since Chinese editions of spreadsheets take them.
func inert(s string) string {
	if first := strings.TrimLeft(s, " "); first != "" && strings.ContainsRune("=+-@\t\r\n＝＋－＠", []rune(first)[0]) {
		return "'" + s
	}
	return s
}

// WriteXLSX writes a workbook: a sheet of the items and one of their fields. Cells hold text or numbers, never formulas.
func (c Catalogue) WriteXLSX(to io.Writer) error {
	book := excelize.NewFile()
	defer book.Close()
	const items, fields = "目录 Items", "信息项 Fields"
	if err := book.SetSheetName("Sheet1", items); err != nil {
		return err
	}
	if _, err := book.NewSheet(fields); err != nil {
		return err
	}
	rows := [][]string{}
	for i := range c.Items {
		rows = append(rows, c.Items[i].row())
	}
	if err := writeSheet(book, items, itemHeadings, rows, map[int]bool{10: true, 13: true, 14: true, 15: true}); err != nil {
		return err
	}
	rows = nil
	for _, i := range c.Items {
		for _, f := range i.Fields {
			rows = append(rows, []string{i.Dataset, f.Name, f.Title.Zh, f.Title.En, f.Type, yes(f.Key), yes(f.Required), f.Sensitivity, f.Sharing})
		}
	}
	if err := writeSheet(book, fields, fieldHeadings, rows, nil); err != nil {
		return err
	}
	return book.Write(to)
}

func yes(b bool) string {
	if b {
		return "1"
	}
	return ""
}

// writeSheet writes rows below their headings; the columns in numeric hold numbers.
func writeSheet(book *excelize.File, sheet string, headings []string, rows [][]string, numeric map[int]bool) error {
	w, err := book.NewStreamWriter(sheet)
	if err != nil {
		return err
	}
	bold, err := book.NewStyle(&excelize.Style{Font: &excelize.Font{Bold: true}})
	if err != nil {
		return err
	}
	if err := errors.Join(w.SetColWidth(1, len(headings), 20), w.SetPanes(&excelize.Panes{Freeze: true, YSplit: 1, TopLeftCell: "A2", ActivePane: "bottomLeft"})); err != nil {
		return err
	}
	head := make([]any, len(headings))
	for i, h := range headings {
		head[i] = excelize.Cell{StyleID: bold, Value: h}
	}
	if err := w.SetRow("A1", head); err != nil {
		return err
	}
	for r, row := range rows {
		cells := make([]any, len(row))
		for i, v := range row {
			cells[i] = v
			if n, err := strconv.ParseFloat(v, 64); numeric[i] && err == nil {
				cells[i] = n
			}
		}
		if err := w.SetRow("A"+strconv.Itoa(r+2), cells); err != nil {
			return err
		}
	}
	return w.Flush()
}
