package file

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode/utf8"

	"github.com/zeebo/xxh3"
)

// record is one row of a file as the file has it.
type record struct {
	values  []string // valid until the next record
	line    int64
	problem string // why it could not be taken apart; values may then be nil
	raw     string // with problem: the text as it stood
	last    bool   // no other record follows
}

// rawLimit bounds the text of a broken row that goes to quarantine; rowLimit is the largest row that goes on at all,
// since a change has to fit into one message of the bus.
const (
	rawLimit = 64 << 10
	rowLimit = 4 << 20
)

// csvTable reads the records of a delimited text.
type csvTable struct {
	file    *os.File
	hash    *xxh3.Hasher128
	counted func(int)
	lines   *lines
	decoded bool // bytes that are no text have become U+FFFD
	want    int  // number of columns; 0 until the header is known
	values  []string

	quoted  *csv.Reader
	pending []byte // what the CSV reader has not read of the record it is given
}

func openCSV(path string, e encodingName, delimiter byte, maxRecord int, counted func(int)) (*csvTable, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, unreadable(err)
	}
	t := &csvTable{file: f, hash: xxh3.New128(), counted: counted}
	var src io.Reader = hashing{t}
	if d := e.decoder(); d != nil {
		src, t.decoded = d.Reader(src), true
	}
	t.lines = newLines(src, delimiter, maxRecord)
	t.skipBOM()
	t.renewQuoted()
	return t, nil
}

func (t *csvTable) renewQuoted() {
	t.quoted = csv.NewReader(recordFeed{t})
	t.quoted.Comma = rune(t.lines.delimiter)
	t.quoted.FieldsPerRecord = -1
	t.quoted.ReuseRecord = true
}

var errNotOneRecord = errors.New("the text is not one record")

// readQuoted gives one record to the CSV reader. A reader that failed, or did not use the record up, is replaced,
// so that nothing of a broken record is left in it for the next one.
func (t *csvTable) readQuoted(text []byte) ([]string, error) {
	before := t.quoted.InputOffset()
	t.pending = text
	values, err := t.quoted.Read()
	if err == nil && t.quoted.InputOffset()-before != int64(len(text)) {
		err = errNotOneRecord
	}
	t.pending = nil
	if err != nil {
		t.renewQuoted()
	}
	return values, err
}

// hashing reads the file and hashes what was read, to prove at the end that it was what survey saw.
type hashing struct{ t *csvTable }

func (h hashing) Read(p []byte) (int, error) {
	n, err := h.t.file.Read(p)
	h.t.hash.Write(p[:n])
	h.t.counted(n)
	return n, err
}

// recordFeed gives the CSV reader one record and then the end, so that a broken record ends where it is.
type recordFeed struct{ t *csvTable }

func (r recordFeed) Read(p []byte) (int, error) {
	if len(r.t.pending) == 0 {
		return 0, io.EOF
	}
	n := copy(p, r.t.pending)
	r.t.pending = r.t.pending[n:]
	return n, nil
}

func (t *csvTable) skipBOM() {
	for t.lines.end < len(bomUTF8) && t.lines.err == nil {
		t.lines.fill()
	}
	if bytes.HasPrefix(t.lines.buf[:t.lines.end], bomUTF8) {
		t.lines.start = len(bomUTF8)
	}
}

func (t *csvTable) expect(columns int) { t.want = columns }
func (t *csvTable) contentHash() string {
	return sum(t.hash)
}
func (t *csvTable) close() { t.file.Close() }

// next fills r with the next record. The error is io.EOF at the end, or that the file cannot be read on.
func (t *csvTable) next(r *record) error {
	text, line, err := t.lines.next()
	*r = record{line: line}
	switch {
	case errors.Is(err, errLongLine):
		r.problem = fmt.Sprintf("the line is longer than max_record (%d bytes)", t.lines.max)
		r.raw = printable(text, t.decoded) + "…"
	case err == io.EOF:
		return err
	case err != nil:
		return unreadable(err)
	default:
		t.split(text, r)
	}
	// After the record has been turned into strings: looking on may move the buffer.
	r.last = !t.lines.more() && t.lines.err == io.EOF
	return nil
}

// split takes a record's text apart.
func (t *csvTable) split(text []byte, r *record) {
	r.problem = t.fields(text, r)
	if r.problem != "" && t.lines.several() {
		// A wrong quote made one record of several. The first line stands alone; the others are read anew.
		text = t.lines.firstAlone()
		r.problem = t.fields(text, r)
	}
	if r.problem != "" {
		r.raw = printable(text, t.decoded)
	}
}

// fields says what is wrong with the record, or "".
func (t *csvTable) fields(text []byte, r *record) string {
	r.values = nil
	switch {
	case len(text) > rowLimit:
		return fmt.Sprintf("the row has %d bytes, more than the %d that one change may have", len(text), rowLimit)
	case t.decoded && bytes.Contains(text, []byte("\uFFFD")):
		return "the row holds bytes that are no character of the file's encoding"
	case !t.decoded && !utf8.Valid(text):
		return "the row holds bytes that are not UTF-8"
	case bytes.IndexByte(text, '"') < 0:
		r.values = t.unquoted(text)
	default:
		values, err := t.readQuoted(text)
		if err != nil {
			return quoteProblem(err)
		}
		r.values = values
	}
	if t.want > 0 && len(r.values) != t.want {
		return fmt.Sprintf("the row has %d columns, the header has %d", len(r.values), t.want)
	}
	return ""
}

// unquoted splits a line without quotes: its fields are what stands between delimiters. All of them share one
// string, so that a row costs one allocation.
func (t *csvTable) unquoted(text []byte) []string {
	n := len(text)
	if n > 0 && text[n-1] == '\n' {
		n--
	}
	if n > 0 && text[n-1] == '\r' {
		n--
	}
	rest := string(text[:n])
	t.values = t.values[:0]
	for {
		i := strings.IndexByte(rest, t.lines.delimiter)
		if i < 0 {
			t.values = append(t.values, rest)
			return t.values
		}
		t.values = append(t.values, rest[:i])
		rest = rest[i+1:]
	}
}

func quoteProblem(err error) string {
	switch {
	case errors.Is(err, csv.ErrBareQuote):
		return "a quote stands inside a field that is not quoted; a field with quotes in it is quoted and doubles them"
	case errors.Is(err, csv.ErrQuote):
		return "a quoted field is not closed, or text follows its closing quote; quotes inside a quoted field are doubled"
	}
	return "the row is not CSV"
}

// printable is a broken row's text for quarantine: bytes that are no text are written as \xNN.
func printable(text []byte, decoded bool) string {
	cut := len(text) > rawLimit
	if cut {
		text = text[:rawLimit]
	}
	text = bytes.TrimRight(text, "\r\n")
	var out strings.Builder
	for len(text) > 0 {
		r, n := utf8.DecodeRune(text)
		if r == utf8.RuneError && n == 1 && !decoded {
			fmt.Fprintf(&out, `\x%02x`, text[0])
		} else {
			out.Write(text[:n])
		}
		text = text[n:]
	}
	if cut {
		out.WriteString("…")
	}
	return out.String()
}
