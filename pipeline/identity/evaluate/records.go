package evaluate

import (
	"bufio"
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding/simplifiedchinese"

	"github.com/shirecounty/shire/pipeline/identity/batch"
	"github.com/shirecounty/shire/schemas/document"
)

// Records are the rows of a labelled file.
type Records struct {
	Input    *batch.Input // the values of the model's fields as the file has them, "" for a field without a column, and the source if the file has it
	Truth    []int32      // by record: the number of its true entity, -1 where the file does not say; nil when not asked for
	Entities int          // true ones
	IDs      []string     // by record; nil when not asked for
}

// mostBytes is how long one row may be, and mostRecords how many there may be (I10). A quote that is never closed makes
// one row of all that follow.
const (
	mostBytes   = 1 << 20
	mostRecords = 1 << 30
)

// Read reads a file of comma-separated values (semicolons and tabs are taken too), whose first row names the columns,
// in UTF-8 or GB18030. Every row becomes a record. progress is told how many bytes of how many are read; it may be nil.
// The error is document.Problems when the file is not as it must be.
func Read(ctx context.Context, file string, l Layout, progress func(done, total int64)) (*Records, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, document.Problems{{File: file, Message: "cannot be read: " + cause(err).Error(), Do: "check the path and its permissions"}}
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return nil, document.Problems{{File: file, Message: "is not a file that can be read twice", Do: "write it to disk first, and give its path"}}
	}
	r := &reader{file: file, layout: l, progress: progress, total: info.Size(), entities: map[string]int32{}, input: &batch.Input{}}
	if err := r.open(f); err != nil {
		return nil, err
	}
	if err := r.header(); err != nil {
		return nil, err
	}
	for {
		if r.records&0xfff == 0 {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
		}
		if err := r.row(); err == io.EOF {
			break
		} else if err != nil {
			return nil, err
		}
	}
	if r.records == 0 {
		return nil, document.Problems{{File: file, Message: "the file has a header and no record"}}
	}
	r.input.Complete()
	return &Records{Input: r.input, Truth: r.truth, Entities: len(r.entities), IDs: r.ids}, nil
}

// reader is the state of one Read.
type reader struct {
	file     string
	layout   Layout
	progress func(done, total int64)
	total    int64

	src     *bounded
	csv     *csv.Reader
	decoded bool // from GB18030, where what is no character has become U+FFFD
	at      places

	records  int
	line     int      // of the row at hand
	values   []string // of the model's fields in it, and its source
	input    *batch.Input
	ids      []string
	truth    []int32
	entities map[string]int32
}

func (r *reader) open(f *os.File) error {
	gb, err := survey(f)
	if err != nil {
		return r.problem(0, err.Error(), "export it as CSV in UTF-8")
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("%s cannot be read from its beginning: %w", r.file, err)
	}
	var text io.Reader = counted{f, r}
	if gb {
		text, r.decoded = simplifiedchinese.GB18030.NewDecoder().Reader(text), true
	}
	const room = 256 << 10
	r.src = &bounded{text: text, most: mostBytes + room}
	b := bufio.NewReaderSize(r.src, room)
	if mark, _ := b.Peek(3); bytes.Equal(mark, []byte("\xef\xbb\xbf")) {
		_, _ = b.Discard(3)
	}
	line, _ := b.Peek(room)
	line, _, _ = bytes.Cut(line, []byte("\n"))
	r.csv = csv.NewReader(b) // which keeps b, so that nothing else reads ahead
	r.csv.Comma = delimiter(line)
	r.csv.LazyQuotes, r.csv.ReuseRecord, r.csv.FieldsPerRecord = true, true, -1
	return nil
}

// delimiter is what most often stands between the columns' names.
func delimiter(header []byte) rune {
	best := ','
	for _, d := range ";\t" {
		if bytes.Count(header, []byte(string(d))) > bytes.Count(header, []byte(string(best))) {
			best = d
		}
	}
	return best
}

func (r *reader) header() error {
	names, err := r.next()
	if err == io.EOF {
		return r.problem(0, "the file is empty", "its first row names the columns")
	}
	if err != nil {
		return err
	}
	r.line, _ = r.csv.FieldPos(len(names) - 1)
	r.at, err = r.layout.find(r.file, names)
	return err
}

// next is the next row, valid until the call after.
func (r *reader) next() ([]string, error) {
	r.src.begins(r.csv.InputOffset())
	values, err := r.csv.Read()
	var syntax *csv.ParseError
	switch {
	case err == io.EOF:
		return nil, err
	case errors.Is(err, errLong):
		return nil, r.problem(r.line+1, fmt.Sprintf("a row has more than %d bytes", mostBytes), "look about here for a quote that is not closed")
	case errors.As(err, &syntax):
		return nil, r.problem(syntax.StartLine, "the row is not CSV: "+syntax.Err.Error(), "mend it, or export the file again")
	case err != nil:
		return nil, fmt.Errorf("%s cannot be read to its end: %w", r.file, cause(err))
	}
	return values, nil
}

func (r *reader) row() error {
	values, err := r.next()
	if err != nil {
		return err
	}
	line, _ := r.csv.FieldPos(0)
	r.line, _ = r.csv.FieldPos(len(values) - 1)
	if len(values) != r.at.all {
		return r.problem(line, fmt.Sprintf("the row has %d columns and the header %d", len(values), r.at.all), "mend the row; a value with a delimiter in it is quoted")
	}
	if r.records >= mostRecords {
		return r.problem(line, fmt.Sprintf("the file has more than %d records", mostRecords), "evaluate a part of it")
	}
	take := func(i int) (string, error) {
		if i < 0 {
			return "", nil
		}
		if !utf8.ValidString(values[i]) || r.decoded && strings.ContainsRune(values[i], utf8.RuneError) {
			return "", r.problem(line, "the row holds bytes that are no text in the file's encoding", "export the file again, in UTF-8")
		}
		return values[i], nil
	}
	r.values = r.values[:0]
	for _, i := range r.at.fields {
		v, err := take(i)
		if err != nil {
			return err
		}
		r.values = append(r.values, v)
	}
	r.input.Add(r.values)
	if r.at.id >= 0 {
		id, err := take(r.at.id)
		if err != nil {
			return err
		}
		r.ids = append(r.ids, strings.Clone(id))
	}
	if r.at.truth >= 0 {
		r.truth = append(r.truth, r.entity(values[r.at.truth]))
	}
	r.records++
	return nil
}

// entity numbers what the truth column says.
func (r *reader) entity(name string) int32 {
	if name = strings.TrimSpace(name); name == "" || name == `\N` {
		return -1
	}
	n, ok := r.entities[name]
	if !ok {
		n = int32(len(r.entities))
		r.entities[strings.Clone(name)] = n
	}
	return n
}

func (r *reader) problem(line int, message, do string) error {
	return document.Problems{{File: r.file, Line: line, Message: message, Do: do}}
}

// counted tells the progress.
type counted struct {
	f *os.File
	r *reader
}

func (c counted) Read(p []byte) (int, error) {
	n, err := c.f.Read(p)
	if c.r.progress != nil && n > 0 {
		done, _ := c.f.Seek(0, io.SeekCurrent)
		c.r.progress(done, c.r.total)
	}
	return n, err
}

var errLong = errors.New("the row is too long")

// bounded keeps a row from filling the memory: it gives no more than so many bytes for one.
type bounded struct {
	text io.Reader
	read int64
	most int64 // beyond the beginning of the row at hand
	from int64
}

func (b *bounded) begins(at int64) { b.from = at }

func (b *bounded) Read(p []byte) (int, error) {
	if b.read-b.from > b.most {
		return 0, errLong
	}
	n, err := b.text.Read(p)
	b.read += int64(n)
	return n, err
}

var (
	errWorkbook = errors.New("the file is a workbook or an archive, not text")
	errNoText   = errors.New("the file holds zero bytes, so it is not text in UTF-8 or GB18030")
)

// survey reads the file once to find out its encoding: UTF-8 if most of what is not ASCII is,
// else GB18030.
func survey(f io.Reader) (gb bool, err error) {
	buf := make([]byte, 256<<10)
	kept, good, bad := 0, 0, 0
	for first := true; ; first = false {
		n, err := io.ReadFull(f, buf[kept:])
		s := buf[:kept+n]
		switch {
		case first && bytes.HasPrefix(s, []byte("PK\x03\x04")):
			return false, errWorkbook
		case bytes.IndexByte(s, 0) >= 0:
			return false, errNoText
		}
		g, b, rest := characters(s)
		good, bad, kept = good+g, bad+b, copy(buf, rest)
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			return bad+kept > good, nil
		}
		if err != nil {
			return false, fmt.Errorf("the file cannot be read to its end: %w", cause(err))
		}
	}
}

// characters counts the characters of several bytes, and the bytes that are no character of UTF-8. The rest is what
// the end cuts off.
func characters(s []byte) (good, bad int, rest []byte) {
	for len(s) > 0 {
		size := 1
		if s[0] >= utf8.RuneSelf {
			_, size = utf8.DecodeRune(s)
			switch {
			case size > 1:
				good++
			case !utf8.FullRune(s):
				return good, bad, s
			default:
				bad++
			}
		}
		s = s[size:]
	}
	return good, bad, nil
}

// cause is an error without the operation and the path that the message names already.
func cause(err error) error {
	var path *os.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}
