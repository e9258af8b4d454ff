package portal

import (
	"bytes"
	"encoding/csv"
	"mime"
	"slices"
	"strings"

	"github.com/shirecounty/shire/schemas/metrics"
)

// prefersCSV says whether an Accept header names text/csv and not JSON.
func prefersCSV(accept string) bool {
	for part := range strings.SplitSeq(accept, ",") {
		switch mediaType, _, _ := mime.ParseMediaType(part); mediaType {
		case "text/csv":
			return true
		case "application/json", "application/*", "*/*":
			return false
		}
	}
	return false
}

// resultCSV is a result as a table, with the names of departments and items. It starts with a byte order mark, without which Excel
// takes UTF-8 for the system's code page.
func resultCSV(d *metrics.Definition, r metrics.Result, labels Labels) []byte {
	names := map[string]metrics.Label{}
	for _, l := range map[string][]metrics.Label{"department": labels.Departments, "item": labels.Items}[r.By] {
		names[l.Key] = l
	}
	var out bytes.Buffer
	out.WriteString("\ufeff")
	w := csv.NewWriter(&out)
	w.UseCRLF = true // RFC 4180
	header, rows := r.Table(d)
	w.Write(slices.Insert(header, 1, "name_zh", "name_en"))
	for _, row := range rows {
		name := names[row[0]]
		row[0] = text(row[0])
		w.Write(slices.Insert(row, 1, text(name.Zh), text(name.En)))
	}
	w.Flush() // a bytes.Buffer takes everything
	return out.Bytes()
}

// text keeps a spreadsheet from running a cell that came from the data as a formula: an apostrophe in front makes it
// text. The full-width forms count too, since Chinese editions of spreadsheets take them.
func text(s string) string {
	if strings.ContainsAny(firstRune(strings.TrimLeft(s, " ")), "=+-@\t\r\n＝＋－＠") {
		return "'" + s
	}
	return s
}

func firstRune(s string) string {
	for i := range s {
		if i > 0 {
			return s[:i]
		}
	}
	return s
}
