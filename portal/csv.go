package portal

import (
	"bytes"
	"encoding/csv"
	"mime"
	"strconv"
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

// resultCSV is a result as a table: one row for each row, every row with the metric's version and the moment as of which
// it holds (I9). It starts with a byte order mark, without which Excel takes UTF-8 for the system's code page.
func resultCSV(d Definition, r metrics.Result, labels Labels) []byte {
	names := map[string]metrics.Label{}
	for _, l := range map[string][]metrics.Label{"department": labels.Departments, "item": labels.Items}[r.By] {
		names[l.Key] = l
	}
	by := r.By
	if by == "" {
		by = "whole"
	}
	var out bytes.Buffer
	out.WriteString("\ufeff")
	w := csv.NewWriter(&out)
	w.UseCRLF = true // RFC 4180
	w.Write([]string{
		by, "name_zh", "name_en", "value", "unit", "numerator", "denominator", "p90", "count", "open", "closed_only", "state",
		"from", "to", "metric", "version", "as_of",
	})
	for _, row := range r.Rows {
		w.Write([]string{
			text(row.Key), text(names[row.Key].Zh), text(names[row.Key].En), number(row.Value), d.Unit, number(row.Numerator),
			number(row.Denominator), number(row.P90), strconv.FormatInt(row.Count, 10), strconv.FormatInt(row.Open, 10),
			number(row.ClosedOnly), row.State, r.From, r.To, r.Metric, strconv.Itoa(r.Version), r.AsOf,
		})
	}
	w.Flush() // a bytes.Buffer takes everything
	return out.Bytes()
}

func number(v *float64) string {
	if v == nil {
		return ""
	}
	return strconv.FormatFloat(*v, 'g', -1, 64)
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
