package audit

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
)

// An export is one file with all of a log: a line that says what it is, a header, the signed statements, one a line, and the
// entries as they are stored. What is cut off its end, its own checkpoint shows.

// fileShape is an export's first line.
const fileShape = "shire audit log 1\n"

// header describes an export. Nothing in it is signed, so nothing that is proven rests on it.
type header struct {
	County     string    `json:"county"`
	Exported   time.Time `json:"exported"`
	Statements int       `json:"statements"`
	Keys       string    `json:"keys"` // public keys, PEM
}

// ErrNoExport says that a file is no export.
var ErrNoExport = errors.New("the file is no export of an audit log")

func fileError(err error) error { return fmt.Errorf("%w: %w", ErrNoExport, err) }

// source is where a log is read from, twice: what is signed, then the entries.
type source interface {
	statements(ctx context.Context, fn func(text []byte) error) error
	records(ctx context.Context, fn func(record) error) error
}

// writeFile writes an export.
func writeFile(ctx context.Context, w io.Writer, h header, from source) error {
	var lines [][]byte
	if err := from.statements(ctx, func(text []byte) error { lines = append(lines, text); return nil }); err != nil {
		return err
	}
	h.Statements = len(lines)
	out := bufio.NewWriterSize(w, 1<<20)
	text, err := json.Marshal(h)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "%s%s\n", fileShape, text)
	for _, line := range lines {
		if err == nil {
			_, err = out.Write(append(line, '\n'))
		}
	}
	if err != nil {
		return err
	}
	var buffer []byte
	err = from.records(ctx, func(r record) error {
		buffer = r.append(buffer[:0])
		_, err := out.Write(buffer)
		return err
	})
	return errors.Join(err, out.Flush())
}

// file reads an export.
type file struct {
	header header
	lines  [][]byte
	in     *bufio.Reader
}

// openFile reads an export's head.
func openFile(r io.Reader) (*file, error) {
	f := &file{in: bufio.NewReaderSize(r, 1<<20)}
	first, err := f.line()
	if err != nil || string(first)+"\n" != fileShape {
		return nil, fileError(fmt.Errorf("it does not begin with %q", strings.TrimSpace(fileShape)))
	}
	text, err := f.line()
	if err == nil {
		err = json.Unmarshal(text, &f.header)
	}
	if err != nil {
		return nil, fileError(err)
	}
	for range f.header.Statements {
		line, err := f.line()
		if err != nil {
			return nil, fileError(fmt.Errorf("it ends among the signed statements: %w", err))
		}
		f.lines = append(f.lines, line)
	}
	return f, nil
}

func (f *file) line() ([]byte, error) {
	var out []byte
	for {
		part, err := f.in.ReadSlice('\n')
		out = append(out, part...)
		if err == nil {
			return out[:len(out)-1], nil
		}
		if !errors.Is(err, bufio.ErrBufferFull) || len(out) > 4<<20 {
			return nil, fmt.Errorf("a line does not end: %w", err)
		}
	}
}

func (f *file) statements(_ context.Context, fn func(text []byte) error) error {
	for _, line := range f.lines {
		if err := fn(line); err != nil {
			return err
		}
	}
	return nil
}

// records calls fn with every record; it refers to memory that the next one overwrites. The error is errNoEntry where the
// bytes are none.
func (f *file) records(ctx context.Context, fn func(record) error) error {
	var canonical, hash []byte
	for n := 0; ; n++ {
		if n%4096 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		if _, err := f.in.Peek(1); errors.Is(err, io.EOF) {
			return nil
		}
		var err error
		if canonical, err = f.part(canonical, maxEntry); err == nil {
			hash, err = f.part(hash, maxHash)
		}
		if err != nil {
			return err
		}
		if err := fn(record{canonical, hash}); err != nil {
			return err
		}
	}
}

func (f *file) part(into []byte, limit uint64) ([]byte, error) {
	n, err := binary.ReadUvarint(f.in)
	if err != nil || n > limit { // a disk that fails shows at the next read
		return into, errNoEntry
	}
	if uint64(cap(into)) < n {
		into = make([]byte, n)
	}
	into = into[:n]
	if _, err := io.ReadFull(f.in, into); errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return into, errNoEntry
	} else if err != nil {
		return into, fmt.Errorf("the file cannot be read: %w", err)
	}
	return into, nil
}
