package statement

import (
	"bufio"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

// results are the CSV files of one run. They get their names when every statement has ended well, and each at once: a
// reader of the folder sees a whole file or none.
type results struct {
	folder, stem string
	several      bool
	files        []string // their names to be, in order
	kept         int      // of them that have it
}

// newResults names the files after the SQL file and the time at which the run was due, so that another attempt of the
// run writes the same ones and another run does not.
func newResults(folder, name string, due time.Time, selects int) *results {
	return &results{folder: folder, stem: name + "-" + due.Format("20060102T150405-0700"), several: selects > 1}
}

// partial is where a file is written until it is whole.
func partial(file string) string {
	return filepath.Join(filepath.Dir(file), "."+filepath.Base(file)+".partial")
}

// write writes the rows of a result. The file begins with a byte order mark, without which Excel takes UTF-8 for the
// system's code page, and its lines end as RFC 4180 says.
func (r *results) write(rows driver.Rows) (n uint64, file string, err error) {
	file = filepath.Join(r.folder, r.stem+".csv")
	if r.several {
		file = filepath.Join(r.folder, fmt.Sprintf("%s-%d.csv", r.stem, len(r.files)+1))
	}
	if err := os.MkdirAll(r.folder, 0o750); err != nil {
		return 0, "", fmt.Errorf("the folder %s cannot be made: %w", r.folder, reason(err))
	}
	r.files = append(r.files, file)
	f, err := os.OpenFile(partial(file), os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o640)
	if err != nil {
		return 0, "", fmt.Errorf("no file can be written in %s: %w", r.folder, reason(err))
	}
	defer func() {
		if closed := f.Close(); err == nil && closed != nil {
			err = fmt.Errorf("%s cannot be written: %w", file, reason(closed))
		}
	}()
	buffer := bufio.NewWriterSize(f, 1<<16)
	_, _ = buffer.WriteString("\ufeff") // an error comes back from Flush
	w := csv.NewWriter(buffer)
	w.UseCRLF = true
	if n, err = writeRows(w, rows); err != nil {
		return n, "", err
	}
	w.Flush()
	if err := errors.Join(w.Error(), buffer.Flush()); err != nil {
		return n, "", fmt.Errorf("%s cannot be written: %w", file, reason(err))
	}
	if err := f.Sync(); err != nil {
		return n, "", fmt.Errorf("%s cannot be written: %w", file, reason(err))
	}
	return n, file, nil
}

func writeRows(w *csv.Writer, rows driver.Rows) (n uint64, err error) {
	types := rows.ColumnTypes()
	cells := make([]string, len(types))
	for i, name := range rows.Columns() {
		cells[i] = inert(name)
	}
	if err := w.Write(cells); err != nil {
		return 0, fmt.Errorf("the results cannot be written: %w", reason(err))
	}
	line := make([]any, len(types))
	for rows.Next() {
		for i, t := range types {
			line[i] = reflect.New(t.ScanType()).Interface()
		}
		if err := rows.Scan(line...); err != nil {
			return n, fmt.Errorf("a row of the result cannot be read: %w", err)
		}
		for i, t := range types {
			cells[i] = cell(line[i], t.DatabaseTypeName())
		}
		if err := w.Write(cells); err != nil {
			return n, fmt.Errorf("the results cannot be written: %w", reason(err))
		}
		n++
	}
	return n, rows.Err()
}

// keep gives the files their names.
func (r *results) keep() error {
	for _, file := range r.files[r.kept:] {
		if err := os.Rename(partial(file), file); err != nil {
			return fmt.Errorf("%s cannot be written: %w", file, reason(err))
		}
		r.kept++
	}
	if r.kept == 0 {
		return nil
	}
	// The names are on the disk when the folder is.
	folder, err := os.Open(r.folder)
	if err != nil {
		return fmt.Errorf("the folder %s cannot be written: %w", r.folder, reason(err))
	}
	defer folder.Close()
	if err := folder.Sync(); err != nil {
		return fmt.Errorf("the folder %s cannot be written: %w", r.folder, reason(err))
	}
	return nil
}

// discard removes what has no name yet.
func (r *results) discard() {
	for _, file := range r.files[r.kept:] {
		_ = os.Remove(partial(file)) // the next attempt overwrites one that stays
	}
}

// cell writes a scanned value: times as RFC 3339, dates as 2026-11-24, lists and maps as JSON, NULL as nothing.
func cell(v any, columnType string) string {
	days := strings.Contains(columnType, "Date") && !strings.Contains(columnType, "DateTime")
	switch x := plain(reflect.ValueOf(v), days).(type) {
	case nil:
		return ""
	case string:
		return x
	case text:
		return inert(string(x))
	case []any, map[string]any:
		if out, err := json.Marshal(x); err == nil {
			return string(out)
		}
		return fmt.Sprint(x)
	default:
		return fmt.Sprint(x)
	}
}

// text is a text that came from the data, unlike those that stand for a time or a number.
type text string

// plain makes of a scanned value what JSON knows: nil, texts, numbers, truth values, lists and mappings.
func plain(v reflect.Value, days bool) any {
	for v.Kind() == reflect.Pointer || v.Kind() == reflect.Interface {
		if v.IsNil() {
			return nil
		}
		if _, isTime := v.Interface().(*time.Time); !isTime && v.Kind() == reflect.Pointer {
			if s, ok := v.Interface().(fmt.Stringer); ok {
				return s.String()
			}
		}
		v = v.Elem()
	}
	if !v.IsValid() {
		return nil
	}
	switch x := v.Interface().(type) {
	case time.Time:
		if days {
			return x.Format(time.DateOnly)
		}
		return x.Format(time.RFC3339Nano)
	case fmt.Stringer:
		return x.String()
	case string:
		return text(x)
	}
	switch v.Kind() {
	case reflect.Slice, reflect.Array:
		list := make([]any, v.Len()) // a list of small numbers would else be taken for bytes
		for i := range list {
			list[i] = plain(v.Index(i), days)
		}
		return list
	case reflect.Map:
		m := map[string]any{}
		for _, key := range v.MapKeys() {
			m[fmt.Sprint(plain(key, days))] = plain(v.MapIndex(key), days)
		}
		return m
	}
	return v.Interface()
}

// inert keeps a spreadsheet from running a text that came from the data as a formula: an apostrophe in front makes it
// text. The full-width forms count too, since Chinese editions of spreadsheets take them.
func inert(s string) string {
	first, _ := utf8.DecodeRuneInString(strings.TrimLeft(s, " "))
	if strings.ContainsRune("=+-@\t\r\n＝＋－＠", first) {
		return "'" + s
	}
	return s
}
