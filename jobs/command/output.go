package command

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	lineMax  = 4 << 10  // bytes of a line that are kept
	tailMax  = 64 << 10 // bytes at the end of an output that was cut, where the reason of a failure stands
	readSize = 32 << 10
)

// recorder takes what a command prints, and writes it on as harmless lines. It keeps the first most bytes, and of what
// comes after the last tailMax; its memory does not grow with the output (I10).
type recorder struct {
	to     io.Writer // gets one line with its end at a time
	most   int       // bytes that are kept before the output is cut
	hide   *strings.Replacer
	secret int // longest of the texts to hide

	line     []byte // that has not ended yet, up to lineMax and what a secret at its end needs
	lineOver int    // bytes of it that were left out
	skipLF   bool   // the last byte was a carriage return, which ended a line
	kept     int    // bytes written on
	tail     []byte // after most: the last bytes of the output, raw
	cutting  bool   // more than most has come
	inLine   bool   // and began in the middle of a line
	over     int    // bytes since then
	failed   error  // of to

	printed int // bytes in all
	lines   int // written on
}

// newRecorder hides the secrets, line by line; what is too short to be a secret would only make the rest unreadable.
func newRecorder(to io.Writer, most int, secrets []string) *recorder {
	r := &recorder{to: to, most: most}
	var pairs []string
	for _, s := range secrets {
		for line := range strings.Lines(s) {
			if line = strings.TrimSpace(line); len(line) >= 4 {
				pairs = append(pairs, line)
				r.secret = max(r.secret, len(line))
			}
		}
	}
	// The replacer takes the first that fits, which must not be the beginning of another one.
	slices.SortFunc(pairs, func(a, b string) int { return len(b) - len(a) })
	var replace []string
	for _, p := range pairs {
		replace = append(replace, p, "(secret)")
	}
	r.hide = strings.NewReplacer(replace...)
	return r
}

// Write takes a piece of the output. It fails with what the writer behind it failed with.
func (r *recorder) Write(p []byte) (int, error) {
	n := len(p)
	r.printed += n
	for len(p) > 0 && !r.cutting {
		if r.skipLF && p[0] == '\n' {
			p = p[1:]
			r.skipLF = false
			continue
		}
		r.skipLF = false
		if r.kept >= r.most && len(r.line) == 0 {
			r.cutting = true
			break
		}
		end := bytes.IndexAny(p, "\r\n")
		if end < 0 {
			r.add(p)
			return n, r.failed
		}
		r.add(p[:end])
		r.skipLF = p[end] == '\r'
		p = p[end+1:]
		if r.cutting { // add has ended the line
			r.inLine = false
			break
		}
		r.endLine()
	}
	if len(p) > 0 {
		r.keepTail(p)
	}
	return n, r.failed
}

// add adds to the line. A line that never ends fills up what is kept, too.
func (r *recorder) add(p []byte) {
	room := max(0, lineMax+r.secret-len(r.line))
	r.line = append(r.line, p[:min(room, len(p))]...)
	r.lineOver += max(0, len(p)-room)
	if r.kept+len(r.line)+r.lineOver > r.most+lineMax+r.secret {
		r.endLine()
		r.cutting, r.inLine = true, true
	}
}

func (r *recorder) keepTail(p []byte) {
	r.over += len(p)
	if len(p) >= tailMax {
		r.tail = append(r.tail[:0], p[len(p)-tailMax:]...)
		return
	}
	if excess := len(r.tail) + len(p) - 2*tailMax; excess > 0 { // now and then, not at every piece
		r.tail = append(r.tail[:0], r.tail[max(0, len(r.tail)-tailMax):]...)
	}
	r.tail = append(r.tail, p...)
}

func (r *recorder) endLine() {
	line := r.hide.Replace(string(r.line))
	over, whole := r.lineOver, len(line)
	if over > 0 {
		line = line[:max(0, whole-r.secret)] // where it ends may be the middle of a secret
	}
	line = line[:min(lineMax, len(line))]
	if over += whole - len(line); over > 0 {
		line = line[:len(line)-halfRune(line)]
		over = r.lineOver + whole - len(line)
	}
	line = harmless(line)
	if over > 0 {
		line += fmt.Sprintf(" … (%d more bytes of this line)", over)
	}
	r.kept += len(r.line) + r.lineOver + 1
	r.line, r.lineOver = r.line[:0], 0
	r.emit(line)
}

// halfRune is how many bytes at the end are the beginning of a character.
func halfRune(line string) int {
	for n := 1; n < utf8.UTFMax && n <= len(line); n++ {
		if last := line[len(line)-n:]; utf8.RuneStart(last[0]) {
			if utf8.FullRuneInString(last) {
				return 0
			}
			return n
		}
	}
	return 0
}

func (r *recorder) emit(line string) {
	r.lines++
	if r.failed == nil {
		_, r.failed = io.WriteString(r.to, line+"\n")
	}
}

// close writes what is left: the last line if it had no end, or the tail.
func (r *recorder) close() error {
	if len(r.line) > 0 || r.lineOver > 0 {
		r.endLine()
	}
	if !r.cutting {
		return r.failed
	}
	tail := r.tail[max(0, len(r.tail)-tailMax):]
	if left := r.over - len(tail); left > 0 || r.inLine { // begin with a whole line, or at least not in the middle of a secret
		_, after, found := bytes.Cut(tail, []byte{'\n'})
		if !found {
			// What is left of a secret at its beginning is shorter than the secret.
			after = []byte(r.hide.Replace(string(tail)))
			after = after[min(len(after), r.secret):]
		}
		left += max(0, len(tail)-len(after))
		tail = after
		r.emit(fmt.Sprintf("… (%d bytes were left out here: output_max keeps %d bytes, and of the rest the last)", left, r.most))
	}
	rest := recorder{to: r.to, most: math.MaxInt - 1<<20, hide: r.hide, secret: r.secret, failed: r.failed}
	_, _ = rest.Write(tail) // close returns its error
	r.failed = rest.close()
	r.lines += rest.lines
	return r.failed
}

// harmless makes of any bytes a text that can be shown: what is not UTF-8 becomes U+FFFD, control characters become
// their pictures, and what turns the direction of writing around is left out.
func harmless(line string) string {
	plain := true
	for i := range len(line) {
		if c := line[i]; c < ' ' && c != '\t' || c >= 0x7f {
			plain = false
			break
		}
	}
	if plain {
		return line
	}
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\t':
			return r
		case r < ' ':
			return '\u2400' + r
		case r == 0x7f:
			return '\u2421'
		case r == '\u2028' || r == '\u2029' || r >= 0x80 && r < 0xa0:
			return utf8.RuneError
		case unicode.Is(unicode.Bidi_Control, r) || r == '\ufeff':
			return -1
		}
		return r
	}, line)
}
