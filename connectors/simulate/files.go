package simulate

import (
	"bufio"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/transform"

	"github.com/shirecounty/shire/schemas/calendar"
)

// style is how a department writes its files.
type style struct {
	delimiter rune
	gb18030   bool
	bom       bool
}

// sheet is a CSV file that is being written. It keeps the line number, by which the truth names bad rows. The file
// appears under its name only when it is complete.
type sheet struct {
	path   string
	file   *os.File
	buffer *bufio.Writer
	coder  io.WriteCloser // nil for UTF-8
	csv    *csv.Writer
	line   int
}

func createSheet(path string, s style, header []string) (*sheet, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, err
	}
	f, err := os.Create(path + ".tmp")
	if err != nil {
		return nil, err
	}
	t := &sheet{path: path, file: f, buffer: bufio.NewWriterSize(f, 1<<16)}
	var w io.Writer = t.buffer
	if s.gb18030 {
		t.coder = transform.NewWriter(t.buffer, simplifiedchinese.GB18030.NewEncoder())
		w = t.coder
	}
	if s.bom {
		if _, err := t.buffer.WriteString("\uFEFF"); err != nil {
			return nil, err
		}
	}
	t.csv = csv.NewWriter(w)
	if s.delimiter != 0 {
		t.csv.Comma = s.delimiter
	}
	if header == nil {
		return t, nil
	}
	return t, t.row(header...)
}

// row writes one line.
func (t *sheet) row(fields ...string) error {
	t.line++
	return t.csv.Write(fields)
}

func (t *sheet) close() error {
	t.csv.Flush()
	err := t.csv.Error()
	if t.coder != nil {
		err = errors.Join(err, t.coder.Close())
	}
	err = errors.Join(err, t.buffer.Flush(), t.file.Close())
	if err != nil {
		return err
	}
	return os.Rename(t.path+".tmp", t.path)
}

// Formats of dates and times. All of them are hand-written because a million calls of time.Format are a second.

func formatDate(day int32, layout string) string {
	if day == 0 {
		return ""
	}
	return calendar.Date(day).Time().Format(layout)
}

// formatTime writes 2024-10-05 08:31:07.
func formatTime(t int64) string {
	if t >= never {
		return ""
	}
	day, s := int32(t/dayLong), int(t%dayLong)
	y, m, d := civil(day)
	var b [19]byte
	digits := func(at, n, v int) {
		for i := at + n - 1; i >= at; i-- {
			b[i] = byte('0' + v%10)
			v /= 10
		}
	}
	digits(0, 4, y)
	b[4] = '-'
	digits(5, 2, m)
	b[7] = '-'
	digits(8, 2, d)
	b[10] = ' '
	digits(11, 2, s/3600)
	b[13] = ':'
	digits(14, 2, s/60%60)
	b[16] = ':'
	digits(17, 2, s%60)
	return string(b[:])
}

// civil is the date of a day. Consecutive rows mostly share it, but the division is cheap enough.
func civil(day int32) (year, month, d int) {
	t := calendar.Date(day).Time()
	y, m, dd := t.Date()
	return y, int(m), dd
}

func sexWord(male bool) string {
	if male {
		return "男"
	}
	return "女"
}

func number(n int) string { return strconv.Itoa(n) }

// concatenate joins the parts of the truth that the departments wrote side by side, in a fixed order.
func concatenate(path string, parts []string, header string) error {
	out, err := os.Create(path)
	if err != nil {
		return err
	}
	w := bufio.NewWriterSize(out, 1<<16)
	if header != "" {
		fmt.Fprintln(w, header)
	}
	for _, p := range parts {
		in, err := os.Open(p)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return errors.Join(err, out.Close())
		}
		_, err = io.Copy(w, in)
		if err = errors.Join(err, in.Close(), os.Remove(p)); err != nil {
			return errors.Join(err, out.Close())
		}
	}
	return errors.Join(w.Flush(), out.Close())
}
