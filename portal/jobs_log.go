package portal

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

const (
	fewLines      = 500
	mostLines     = 2000
	mostLine      = 999_999_999 // number of one
	mostFollowers = 64          // I10: logs that are followed at a time
	linesAhead    = 500         // I10: lines that wait for a slow reader; then the ledger is read no further
	gather        = 200 * time.Millisecond
	heartbeat     = 15 * time.Second
)

// log answers a page of what a run printed.
func (d *jobsDesk) log(w http.ResponseWriter, r *http.Request, _ string) {
	q := r.URL.Query()
	after, ok := numberOf(w, q.Get("after"), "after", 0, 0, mostLine)
	if !ok {
		return
	}
	tail, ok := numberOf(w, q.Get("tail"), "tail", 0, 1, mostLines)
	if !ok {
		return
	}
	limit, ok := numberOf(w, q.Get("limit"), "limit", fewLines, 1, mostLines)
	if !ok {
		return
	}
	run, ok := d.findRun(w, r)
	if !ok {
		return
	}
	page := LogPage{First: after, Lines: []LogLine{}}
	err := d.o.Runs.Log(r.Context(), run.ID, false, func(l LogLine) error {
		switch {
		case tail > 0:
			if page.Lines = append(page.Lines, l); len(page.Lines) > 2*tail {
				page.Lines = append(page.Lines[:0], page.Lines[len(page.Lines)-tail:]...) // I10
			}
		case page.Total >= after && len(page.Lines) < limit:
			page.Lines = append(page.Lines, l)
		}
		page.Total++
		return nil
	})
	if err != nil {
		d.fault(w, r, err)
		return
	}
	if tail > 0 {
		page.Lines = page.Lines[max(0, len(page.Lines)-tail):]
		page.First = page.Total - len(page.Lines)
	}
	replyPrivately(w, page)
}

// follow tells what a run prints until it is over, the reader goes away, or may not read any more.
func (d *jobsDesk) follow(w http.ResponseWriter, r *http.Request, _ string) {
	asked := r.URL.Query().Get("after")
	if last := r.Header.Get("Last-Event-ID"); last != "" {
		asked = last
	}
	after, ok := numberOf(w, asked, "after", 0, 0, mostLine)
	if !ok {
		return
	}
	run, ok := d.findRun(w, r)
	if !ok {
		return
	}
	select {
	case d.followers <- struct{}{}:
		defer func() { <-d.followers }()
	default:
		problem(http.StatusTooManyRequests, codeTooManyRequests, "Too many logs are followed at the moment. Close one, or read this one page by page.").
			zh("同时跟踪的日志过多。请关闭其他日志页面，或改为分页查看。").write(w)
		return
	}
	ctx, cancel := context.WithCancelCause(r.Context())
	defer cancel(nil)
	stop := context.AfterFunc(d.p.serving, func() { cancel(errStopping) })
	defer stop()

	lines := make(chan LogLine, linesAhead)
	ended := make(chan error, 1)
	go func() {
		n := 0
		ended <- d.o.Runs.Log(ctx, run.ID, true, func(l LogLine) error {
			if n++; n <= after {
				return nil
			}
			select {
			case lines <- l:
				return nil
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		})
	}()
	s := newStream(w)
	d.tell(ctx, r, s, run.ID, after, lines, ended)
	cancel(nil)
}

var errStopping = errors.New("the portal stops")

// tell sends lines as they come, a heartbeat while none do, and at the end how the run ended.
func (d *jobsDesk) tell(ctx context.Context, r *http.Request, s *stream, id string, told int, lines <-chan LogLine, ended <-chan error) {
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	over := false
	for s.err == nil {
		var batch []LogLine
		select {
		case l := <-lines:
			batch = append(batch, l)
		case err := <-ended:
			if err != nil {
				if ctx.Err() == nil {
					d.p.log.Error("a log cannot be followed", "route", routeOf(r), "error", err)
				}
				return // the reader asks again by itself
			}
			over = true
		case <-beat.C:
		case <-ctx.Done():
			return
		}
		// Whoever is removed, or whose session ends, reads no further.
		if !d.signedIn(r) {
			s.event("signed_out", "", struct{}{})
			return
		}
		if len(batch) == 0 && !over {
			s.beat()
			continue
		}
		// What comes close together goes out together.
		for pause := time.After(gather); len(batch) < linesAhead; {
			select {
			case l := <-lines:
				batch = append(batch, l)
				continue
			case <-pause:
			case <-ctx.Done():
				return
			}
			break
		}
		if len(batch) > 0 {
			told += len(batch)
			s.event("lines", strconv.Itoa(told), batch)
		}
		if over && len(lines) == 0 {
			run, err := d.o.Runs.Run(ctx, id)
			if err == nil {
				s.event("over", "", run)
			}
			return
		}
	}
}

// stream writes server-sent events. Each has as long as any answer to get through (see usualTimes.write).
type stream struct {
	w       http.ResponseWriter
	control *http.ResponseController
	err     error // of the first write that failed
}

func newStream(w http.ResponseWriter) *stream {
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no") // a proxy in between passes it on as it comes
	s := &stream{w: w, control: http.NewResponseController(w)}
	s.write("retry: 3000\n\n")
	return s
}

func (s *stream) beat() { s.write(": still here\n\n") }

func (s *stream) event(name, id string, v any) {
	data, err := json.Marshal(v)
	if err != nil {
		panic(err) // the types of events are ours and can be encoded
	}
	if id != "" {
		id = "id: " + id + "\n"
	}
	s.write(fmt.Sprintf("event: %s\n%sdata: %s\n\n", name, id, data))
}

func (s *stream) write(text string) {
	if s.err != nil {
		return
	}
	_ = s.control.SetWriteDeadline(time.Now().Add(usualTimes.write)) // where that is not possible, the server's own holds
	if _, s.err = s.w.Write([]byte(text)); s.err == nil {
		s.err = s.control.Flush()
	}
}
