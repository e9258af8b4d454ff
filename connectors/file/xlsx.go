package file

import (
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"

	"github.com/xuri/excelize/v2"

	"github.com/shirecounty/shire/schemas/document"
)

// xlsxTable reads the rows of one sheet as a stream. What a cell gives:
//
//   - text as it stands; a number with all its digits, without the rounding, grouping or currency of its format
//     (an 18-digit number stays one, not 3.3E+17, as far as the workbook itself holds its digits);
//   - a number formatted as a date as 2006-01-02, or 2006-01-02 15:04:05, in whatever order and language the
//     workbook shows it;
//   - a number formatted as a time of day alone as it is shown; a boolean as TRUE or FALSE;
//   - a formula as the value that was last calculated.
type xlsxTable struct {
	path     string
	book     *excelize.File
	rows     *excelize.Rows
	raw      *excelize.Rows // the same rows without formats; opened when a cell needs it
	sheet    string
	row      int
	rawAt    int
	rawCells []string
	want     int
	ahead    record // the row after the one handed out
	done     bool
}

// Bounds of a workbook (I10): parts larger than the first are kept on disk while they are read, and a workbook
// that unpacks to more than the second is refused. Excel's own largest sheet of plain text stays below it.
const (
	unpackInMemory = 16 << 20
	unpackAtMost   = 2 << 30
)

func openXLSX(path, sheet, tmp string) (_ table, err error) {
	defer recoverWorkbook(&err)
	book, err := excelize.OpenFile(path, excelize.Options{UnzipSizeLimit: unpackAtMost, UnzipXMLSizeLimit: unpackInMemory, TmpDir: tmp})
	if err != nil {
		if os.IsNotExist(err) || os.IsPermission(err) {
			return nil, unreadable(err)
		}
		if strings.Contains(err.Error(), "unzip size exceeds") {
			return nil, refuse("too_large", "the workbook unpacks to more than %d GiB; split it, or save the sheet as CSV", unpackAtMost>>30)
		}
		return nil, refuse("not_xlsx", "the file is not a whole XLSX workbook (%v); save it again as .xlsx, or as CSV", err)
	}
	opened := &xlsxTable{path: path, book: book, sheet: sheet}
	if err := opened.begin(); err != nil {
		opened.close()
		return nil, err
	}
	return opened, nil
}

// begin finds the sheet and reads up to its first row.
func (t *xlsxTable) begin() (err error) {
	defer recoverWorkbook(&err)
	book := t.book
	sheets := book.GetSheetList()
	if t.sheet == "" && len(sheets) > 0 {
		t.sheet = sheets[0]
	}
	if i, _ := book.GetSheetIndex(t.sheet); i < 0 || t.sheet == "" {
		return refuse("unknown_sheet", "the workbook has no sheet %q; %s", t.sheet, document.DidYouMean(t.sheet, sheets))
	}
	t.showDatesAsISO()
	if t.rows, err = book.Rows(t.sheet); err != nil {
		return refuse("not_xlsx", "the sheet %q cannot be read (%v); save the workbook again", t.sheet, err)
	}
	return t.advance()
}

// recoverWorkbook keeps a malicious or broken workbook from ending the process, should the library trip over it.
func recoverWorkbook(err *error) {
	if p := recover(); p != nil {
		*err = refuse("not_xlsx", "the workbook is damaged and cannot be read; save it again as .xlsx, or as CSV")
	}
}

// isoMarker begins every date that was written by the format below, so that no text is taken for one.
const (
	isoMarker   = "\u2063date "
	isoFormat   = `"` + isoMarker + `"yyyy-mm-dd hh:mm:ss`
	isoFormatID = 10_000
	noFormatID  = 10_001 // stands for nothing: the value is given as it is
)

// showDatesAsISO replaces, in memory, the number format of every style: dates become ISO 8601, times of day stay,
// and everything else loses its format.
func (t *xlsxTable) showDatesAsISO() {
	s := t.book.Styles
	if s == nil || s.CellXfs == nil {
		return
	}
	for i := range s.CellXfs.Xf {
		style, err := t.book.GetStyle(i)
		if err != nil {
			continue
		}
		id, code := style.NumFmt, ""
		if style.CustomNumFmt != nil {
			code = *style.CustomNumFmt
		}
		if n := s.CellXfs.Xf[i].NumFmtID; n != nil {
			id = *n
		}
		switch kindOfFormat(id, code) {
		case dateFormat:
			id = isoFormatID
		case otherFormat:
			id = noFormatID
		default:
			continue
		}
		s.CellXfs.Xf[i].NumFmtID = &id
	}
	// The style sheet's own types are not exported, so the format is brought in by a style of ours.
	iso := isoFormat
	id, err := t.book.NewStyle(&excelize.Style{CustomNumFmt: &iso})
	if err != nil || s.NumFmts == nil {
		return
	}
	ours := *s.CellXfs.Xf[id].NumFmtID
	for i := range s.CellXfs.Xf {
		if n := s.CellXfs.Xf[i].NumFmtID; n != nil && *n == isoFormatID {
			s.CellXfs.Xf[i].NumFmtID = &ours
		}
	}
}

const (
	otherFormat = iota
	dateFormat
	timeFormat
)

var notShown = regexp.MustCompile(`"[^"]*"|\\.|\[[^\]]*\]|_.|\*.`)

// kindOfFormat tells the formats of dates, by number for those built in (ECMA-376 part 1, 18.8.30, with the
// Chinese ones), else by their code.
func kindOfFormat(id int, code string) int {
	if code == "" {
		switch {
		case id >= 14 && id <= 17, id == 22, id >= 27 && id <= 31, id == 36, id >= 50 && id <= 54, id == 57, id == 58:
			return dateFormat
		case id >= 18 && id <= 21, id >= 32 && id <= 35, id >= 45 && id <= 47, id == 55, id == 56:
			return timeFormat
		}
		return otherFormat
	}
	elapsed := strings.ContainsAny(code, "[") && regexp.MustCompile(`(?i)\[(h+|m+|s+)\]`).MatchString(code)
	code = strings.ToLower(notShown.ReplaceAllString(code, ""))
	switch {
	case strings.Contains(code, "general"):
		return otherFormat
	case strings.ContainsAny(code, "yd"):
		return dateFormat
	case elapsed, strings.ContainsAny(code, "hs"):
		return timeFormat
	case strings.Contains(code, "m"):
		return dateFormat
	}
	return otherFormat
}

func (t *xlsxTable) expect(columns int) {
	t.want = columns
	t.fit(&t.ahead)
}

// contentHash reads the file again: the library has read it by itself, wholly when it was opened.
func (t *xlsxTable) contentHash() string {
	in, err := survey(t.path)
	if err != nil {
		return ""
	}
	return in.hash
}

func (t *xlsxTable) close() {
	if t.rows != nil {
		t.rows.Close()
	}
	if t.raw != nil {
		t.raw.Close()
	}
	t.book.Close()
}

func (t *xlsxTable) next(r *record) error {
	if t.done {
		return io.EOF
	}
	*r = t.ahead
	if err := t.advance(); err != nil {
		return err
	}
	r.last = t.done
	return nil
}

// advance reads the row after the present one; rows without a value are passed over.
func (t *xlsxTable) advance() (err error) {
	defer recoverWorkbook(&err)
	for t.rows.Next() {
		t.row++
		cells, err := t.rows.Columns()
		if err != nil {
			return refuse("not_xlsx", "row %d of the sheet cannot be read (%v); save the workbook again", t.row, err)
		}
		blank := true
		for i, v := range cells {
			if cells[i], err = t.value(i, v); err != nil {
				return err
			}
			blank = blank && strings.TrimSpace(cells[i]) == ""
		}
		if blank {
			continue
		}
		t.ahead = record{values: cells, line: int64(t.row)}
		t.fit(&t.ahead)
		return nil
	}
	if err := t.rows.Error(); err != nil {
		return refuse("not_xlsx", "the sheet cannot be read behind row %d (%v); save the workbook again", t.row, err)
	}
	t.done, t.ahead = true, record{}
	return nil
}

var scientific = regexp.MustCompile(`^-?[0-9](\.[0-9]+)?E[+-]?[0-9]+$`)

func (t *xlsxTable) value(column int, v string) (string, error) {
	if date, ok := strings.CutPrefix(v, isoMarker); ok {
		return strings.TrimSuffix(date, " 00:00:00"), nil
	}
	if len(v) < 4 || !scientific.MatchString(v) {
		return v, nil
	}
	return t.rawValue(column, v)
}

// rawValue is the cell as the workbook holds it: the library rounds numbers of more than 15 digits.
func (t *xlsxTable) rawValue(column int, shown string) (string, error) {
	if t.raw == nil {
		var err error
		if t.raw, err = t.book.Rows(t.sheet); err != nil {
			return "", refuse("not_xlsx", "the sheet %q cannot be read (%v); save the workbook again", t.sheet, err)
		}
	}
	if t.rawAt < t.row {
		for t.rawAt < t.row && t.raw.Next() {
			t.rawAt++
		}
		cells, err := t.raw.Columns(excelize.Options{RawCellValue: true})
		if err != nil {
			return "", refuse("not_xlsx", "row %d of the sheet cannot be read (%v); save the workbook again", t.row, err)
		}
		t.rawCells = cells
	}
	if column < len(t.rawCells) {
		return t.rawCells[column], nil
	}
	return shown, nil
}

// fit makes a row as wide as the header: a sheet does not store the empty cells at a row's end.
func (t *xlsxTable) fit(r *record) {
	if t.want == 0 || r.values == nil {
		return
	}
	for len(r.values) > t.want && strings.TrimSpace(r.values[len(r.values)-1]) == "" {
		r.values = r.values[:len(r.values)-1]
	}
	for len(r.values) < t.want {
		r.values = append(r.values, "")
	}
	if len(r.values) > t.want {
		r.problem = fmt.Sprintf("the row has %d columns, the header has %d", len(r.values), t.want)
		r.raw = strings.Join(r.values, "\t")
	}
}
