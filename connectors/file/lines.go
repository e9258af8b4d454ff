package file

import (
	"bytes"
	"errors"
	"io"
)

// lines takes a text apart into records, of one line or, where a quoted field goes on, of several. It holds no more
// than one record of at most max bytes (I10).
//
// A quote that is never closed would swallow the rest of the file. So a record of several lines is taken only when
// its quotes come out; else its first line stands alone, broken, and the next line begins a new record. One wrong
// quote costs one row.
type lines struct {
	src       io.Reader
	delimiter byte
	max       int

	buf   []byte
	start int   // of what has not been handed out
	end   int   // of what has been read
	err   error // what the source said last; io.EOF at its end
	line  int64 // number of the line at start, from 1

	record     int // length of the record handed out last, which ends at start
	firstLine  int // length of its first line
	recordLine int64
}

var errLongLine = errors.New("line is longer than max_record")

func newLines(src io.Reader, delimiter byte, max int) *lines {
	return &lines{src: src, delimiter: delimiter, max: max, buf: make([]byte, min(256<<10, max+1)), line: 1}
}

// next is the next record with its line end, valid until the call after, and the number of its first line.
// errLongLine comes with the beginning of a line that is too long; the rest of it is passed over.
func (l *lines) next() (record []byte, line int64, err error) {
	if !l.more() {
		if l.err != io.EOF {
			return nil, l.line, l.err
		}
		return nil, l.line, io.EOF
	}
	line = l.line
	n, err := l.lineEnd(0)
	if err == errLongLine {
		head := bytes.Clone(l.buf[l.start:min(l.end, l.start+rawLimit)])
		return head, line, l.passOver()
	}
	if err != nil {
		return nil, line, err
	}
	l.firstLine, l.recordLine = n, line
	first := l.buf[l.start : l.start+n]
	count := int64(1)
	if bytes.IndexByte(first, '"') >= 0 {
		if n, count, err = l.quoted(n); err != nil {
			return nil, line, err
		}
	}
	record = l.buf[l.start : l.start+n]
	l.start, l.record, l.line = l.start+n, n, line+count
	return record, line, nil
}

// firstAlone takes back all but the first line of the record handed out last. It is for a record of several lines
// that turned out not to be one, and must come before any other call.
func (l *lines) firstAlone() []byte {
	begin := l.start - l.record
	l.start, l.record, l.line = begin+l.firstLine, l.firstLine, l.recordLine+1
	return l.buf[begin:l.start]
}

// several tells whether the record handed out last has several lines.
func (l *lines) several() bool { return l.record > l.firstLine }

// more tells whether there is another record; it passes over blank lines.
func (l *lines) more() bool {
	for {
		n, err := l.lineEnd(0)
		if err == errLongLine {
			return true
		}
		if err != nil || n == 0 {
			return false
		}
		if !l.blank(l.buf[l.start : l.start+n]) {
			return true
		}
		l.start += n
		l.line++
	}
}

// blank lines hold nothing but delimiters and white space: spreadsheets export them below their last row.
func (l *lines) blank(line []byte) bool {
	for _, b := range line {
		if b != l.delimiter && b != ' ' && b != '\t' && b != '\r' && b != '\n' {
			return false
		}
	}
	return true
}

// lineEnd is the length from start to behind the first line end at or after from; at the end of the text, to its
// end.
func (l *lines) lineEnd(from int) (int, error) {
	for {
		if i := bytes.IndexByte(l.buf[l.start+from:l.end], '\n'); i >= 0 {
			n := from + i + 1
			if n > l.max {
				return 0, errLongLine
			}
			return n, nil
		}
		from = l.end - l.start
		if from > l.max {
			return 0, errLongLine
		}
		if l.err != nil {
			if l.err == io.EOF {
				return from, nil
			}
			return 0, l.err
		}
		l.fill()
	}
}

// fill reads on. What has not been handed out moves to the front of the buffer.
func (l *lines) fill() {
	if l.start > 0 {
		l.end = copy(l.buf, l.buf[l.start:l.end])
		l.start = 0
	}
	if l.end == len(l.buf) {
		grown := make([]byte, min(2*len(l.buf), l.max+1))
		copy(grown, l.buf[:l.end])
		l.buf = grown
	}
	n, err := l.src.Read(l.buf[l.end:])
	l.end += n
	l.err = err
}

// passOver drops the rest of a line without keeping it.
func (l *lines) passOver() error {
	for {
		if i := bytes.IndexByte(l.buf[l.start:l.end], '\n'); i >= 0 {
			l.start += i + 1
			l.line++
			return errLongLine
		}
		l.start = l.end
		if l.err == io.EOF {
			return errLongLine
		}
		if l.err != nil {
			return l.err
		}
		l.fill()
	}
}

// States of the text at a byte, after RFC 4180.
const (
	fieldStart = iota
	plain      // in a field without quotes
	inQuotes
	quoteSeen // behind a quote inside quotes: the field's end, or the first of two
	broken    // a quote where none may be
)

// quoted finds the end of a record whose first line, of length n, holds a quote, and how many lines it has. Each
// line is looked at at most twice: as a part of the record before, and for itself.
func (l *lines) quoted(n int) (length int, count int64, err error) {
	first, done, state := n, 0, fieldStart
	count = 1
	for {
		state = scan(l.buf[l.start+done:l.start+n], l.delimiter, state)
		if state != inQuotes {
			break
		}
		done = n
		n, err = l.lineEnd(done)
		if err == errLongLine || err == nil && n == done { // never closed
			return first, 1, nil
		}
		if err != nil {
			return 0, 0, err
		}
		count++
	}
	if state == broken {
		return first, 1, nil
	}
	return n, count, nil
}

func scan(text []byte, delimiter byte, state int) int {
	for i := 0; i < len(text); i++ {
		b := text[i]
		switch state {
		case fieldStart:
			switch b {
			case '"':
				state = inQuotes
			case delimiter:
			default:
				state = plain
			}
		case plain:
			switch b {
			case '"':
				return broken
			case delimiter:
				state = fieldStart
			}
		case inQuotes:
			j := bytes.IndexByte(text[i:], '"')
			if j < 0 {
				return inQuotes
			}
			i += j
			state = quoteSeen
		case quoteSeen:
			switch b {
			case '"':
				state = inQuotes
			case delimiter:
				state = fieldStart
			case '\n':
			case '\r':
				if i+1 < len(text) && text[i+1] != '\n' {
					return broken
				}
			default:
				return broken
			}
		}
	}
	return state
}
