package jobs

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"
)

// bounds of what is kept of an attempt's output (I10).
const (
	mostOutput  = 1 << 20 // bytes
	longestLine = 8 << 10
	mostPending = 64 // lines that wait to be sent
	flushAfter  = 250 * time.Millisecond
	flushWithin = 5 * time.Second
)

// output keeps what an attempt prints, line by line. What is over the bounds is left out, and how much it was is said.
type output struct {
	ctx   context.Context
	logs  Logs
	run   *Run
	clock Clock

	mu      sync.Mutex
	partial []byte
	pending []Line
	kept    int
	cut     uint64 // bytes
	lost    int    // lines that could not be kept
	closed  bool
	sending sync.Mutex // keeps the lines in their order
	timer   *time.Timer
}

func newOutput(ctx context.Context, logs Logs, r *Run, clock Clock) *output {
	return &output{ctx: ctx, logs: logs, run: r, clock: clock}
}

// Write takes any bytes: a line is kept when it is whole. It never fails.
func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	rest := p
	for {
		i := bytes.IndexByte(rest, '\n')
		if i < 0 {
			break
		}
		o.line(append(o.partial, rest[:i]...))
		o.partial, rest = o.partial[:0], rest[i+1:]
	}
	o.partial = append(o.partial, rest...)
	for len(o.partial) > longestLine {
		o.line(o.partial[:longestLine])
		o.partial = append(o.partial[:0], o.partial[longestLine:]...)
	}
	full := len(o.pending) >= mostPending
	if len(o.pending) > 0 && o.timer == nil && !full {
		o.timer = time.AfterFunc(flushAfter, func() { o.flush(o.ctx) })
	}
	o.mu.Unlock()
	if full {
		o.flush(o.ctx)
	}
	return len(p), nil
}

// line notes a line. o.mu is held.
func (o *output) line(text []byte) {
	if o.closed || o.kept+len(text) > mostOutput {
		o.cut += uint64(len(text)) + 1
		return
	}
	o.kept += len(text) + 1
	for {
		part := text[:min(len(text), longestLine)]
		o.pending = append(o.pending, Line{At: o.clock.Now(), Attempt: o.run.Attempt, Text: harmless(part)})
		if text = text[len(part):]; len(text) == 0 {
			return
		}
	}
}

// harmless is text without what a terminal would obey.
func harmless(text []byte) string {
	s := strings.TrimRight(string(text), "\r")
	if utf8.ValidString(s) && strings.IndexFunc(s, unicode.IsControl) < 0 {
		return s
	}
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\t' {
			return '·'
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))
}

// flush sends the lines that wait.
func (o *output) flush(ctx context.Context) {
	o.sending.Lock()
	defer o.sending.Unlock()
	o.mu.Lock()
	lines := o.pending
	o.pending = nil
	if o.timer != nil {
		o.timer.Stop()
		o.timer = nil
	}
	o.mu.Unlock()
	if len(lines) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), flushWithin)
	defer cancel()
	if err := o.logs.Append(ctx, o.run.Job, o.run.ID, lines); err != nil {
		o.mu.Lock()
		o.lost += len(lines)
		o.mu.Unlock()
	}
}

// Close sends what is left, with a word on what was left out.
func (o *output) Close(ctx context.Context) {
	o.mu.Lock()
	if len(o.partial) > 0 {
		o.line(o.partial)
		o.partial = nil
	}
	o.closed = true
	note := func(format string, args ...any) {
		o.pending = append(o.pending, Line{At: o.clock.Now(), Attempt: o.run.Attempt, Text: fmt.Sprintf(format, args...)})
	}
	if o.cut > 0 {
		note("(%d more bytes of output are not kept: of an attempt the first %d are)", o.cut, mostOutput)
	}
	if o.lost > 0 {
		note("(%d lines are not here: the ledger could not be reached)", o.lost)
	}
	o.mu.Unlock()
	o.flush(ctx)
}
