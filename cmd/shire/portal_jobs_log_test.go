package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/shirecounty/shire/jobs/ledger"
	"github.com/shirecounty/shire/portal"
)

// event is a server-sent event.
type event struct{ name, id, data string }

// stream reads a run's log as it is printed.
type stream struct {
	t     *testing.T
	body  io.ReadCloser
	lines *bufio.Scanner
}

func (h *hall) follow(path string, headers ...string) *stream {
	h.t.Helper()
	r, err := http.NewRequestWithContext(h.t.Context(), "GET", h.url+path, nil)
	if err != nil {
		h.t.Fatal(err)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	response, err := h.client.Do(r)
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { response.Body.Close() })
	if response.StatusCode != 200 || response.Header.Get("Content-Type") != "text/event-stream" {
		h.t.Fatalf("%d %v", response.StatusCode, response.Header)
	}
	s := &stream{t: h.t, body: response.Body, lines: bufio.NewScanner(response.Body)}
	s.lines.Buffer(nil, 4<<20)
	return s
}

// next is the next event; false when the stream has ended.
func (s *stream) next() (e event, ok bool) {
	s.t.Helper()
	for s.lines.Scan() {
		field, value, _ := strings.Cut(s.lines.Text(), ": ")
		switch {
		case field == "event":
			e.name = value
		case field == "id":
			e.id = value
		case field == "data":
			e.data = value
		case s.lines.Text() == "" && e.name != "":
			return e, true
		}
	}
	return e, false
}

// until gathers lines until there are n, or the stream has ended; last is what came after them.
func (s *stream) until(n int) (texts []string, id int, last event) {
	s.t.Helper()
	for len(texts) < n {
		e, ok := s.next()
		if !ok || e.name != "lines" {
			return texts, id, e
		}
		var lines []portal.LogLine
		if err := json.Unmarshal([]byte(e.data), &lines); err != nil {
			s.t.Fatal(err)
		}
		for _, l := range lines {
			texts = append(texts, l.Text)
		}
		var err error
		if id, err = strconv.Atoi(e.id); err != nil {
			s.t.Fatal(err)
		}
	}
	return texts, id, last
}

func TestLogsOnThePortal(t *testing.T) {
	t.Parallel()
	onLedgers(t, func(t *testing.T, h *hall) {
		h.signIn()
		path := "/api/v1/runs/" + url.PathEscape(h.trigger("slow", `{}`).ID) + "/log"
		s := h.follow(path + "/stream")
		texts, id, _ := s.until(1200)
		if len(texts) != 1200 || id != 1200 || texts[0] != "line 0" || texts[1199] != "line 1199" {
			t.Fatalf("%d lines, up to %d", len(texts), id)
		}
		for _, c := range []struct {
			query, first, last string
			at, n              int
		}{
			{"", "line 0", "line 499", 0, 500}, {"?after=1190", "line 1190", "line 1199", 1190, 10}, {"?after=7&limit=3", "line 7", "line 9", 7, 3},
			{"?tail=2", "line 1198", "line 1199", 1198, 2}, {"?tail=2000", "line 0", "line 1199", 0, 1200}, {"?after=5000", "", "", 5000, 0},
		} {
			var page portal.LogPage
			h.do("GET", path+c.query, "").into(t, 200, &page)
			if page.Total != 1200 || page.First != c.at || len(page.Lines) != c.n || c.n > 0 && (page.Lines[0].Text != c.first || page.Lines[c.n-1].Text != c.last) {
				t.Errorf("%s: %d lines from %d of %d", c.query, len(page.Lines), page.First, page.Total)
			}
		}
		for _, query := range []string{"?after=x", "?after=-1", "?tail=0", "?tail=2001", "?limit=0"} {
			if a := h.do("GET", path+query, ""); a.Code != 400 {
				t.Errorf("%s: %d", query, a.Code)
			}
		}
		// Who was interrupted goes on where they were.
		again := h.follow(path+"/stream?after=3", "Last-Event-ID", "1198")
		if texts, id, _ := again.until(2); len(texts) != 2 || id != 1200 || texts[0] != "line 1198" {
			t.Errorf("%q, up to %d", texts, id)
		}
		h.release()
		for _, s := range []*stream{s, again} {
			texts, id, last := s.until(100)
			var run portal.JobRun
			if len(texts) != 1 || texts[0] != "the last line" || id != 1201 || last.name != "over" || json.Unmarshal([]byte(last.data), &run) != nil || run.Outcome != portal.RunOK {
				t.Errorf("%q up to %d, then %+v", texts, id, last)
			}
			if _, more := s.next(); more {
				t.Error("it goes on after the end")
			}
		}
		// Of one that is over, all is told and then the end.
		if texts, _, last := h.follow(path + "/stream").until(5000); len(texts) != 1201 || last.name != "over" {
			t.Errorf("%d lines, then %+v", len(texts), last)
		}
	})
}

// Whoever is removed reads no further, even on a stream that is open.
func TestRemovedOperatorReadsNoFurther(t *testing.T) {
	t.Parallel()
	h := newHall(t, &ledger.Memory{})
	h.signIn()
	path := "/api/v1/runs/" + url.PathEscape(h.trigger("slow", `{}`).ID) + "/log/stream"
	s := h.follow(path)
	s.until(1200)
	if err := h.accounts.Remove(h.operator.name); err != nil {
		t.Fatal(err)
	}
	h.release()
	if texts, _, last := s.until(1); len(texts) != 0 || last.name != "signed_out" {
		t.Errorf("%q, then %+v", texts, last)
	}
}

// I10: no more logs are followed at a time than the portal has room for, and whoever leaves makes room.
func TestLogFollowersAreBounded(t *testing.T) {
	t.Parallel()
	h := newHall(t, &ledger.Memory{})
	h.signIn()
	path := "/api/v1/runs/" + url.PathEscape(h.trigger("slow", `{}`).ID) + "/log/stream?after=1199"
	var open []*stream
	for range 64 {
		s := h.follow(path)
		s.until(1)
		open = append(open, s)
	}
	var p portal.Problem
	if h.do("GET", path, "").into(t, 429, &p); p.Code != "too_many_requests" || p.DetailZh == "" {
		t.Errorf("%+v", p)
	}
	open[0].body.Close()
	h.eventually("there is room again", func() bool {
		r, err := http.NewRequestWithContext(t.Context(), "GET", h.url+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		response, err := h.client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		return response.StatusCode == 200
	})
}

// A portal that stops ends the streams by itself; it does not wait for those who read them.
func TestStoppingPortalEndsStreams(t *testing.T) {
	t.Parallel()
	h := newHall(t, &ledger.Memory{})
	address, err := h.portal.Listen()
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- h.portal.Serve(ctx) }()
	h.url = fmt.Sprintf("http://%s", address)
	h.signIn()
	s := h.follow("/api/v1/runs/" + url.PathEscape(h.trigger("slow", `{}`).ID) + "/log/stream")
	s.until(1200)
	stop()
	// Where it is cut off instead, the body ends in the middle of a chunk.
	if _, err := io.ReadAll(s.body); err != nil {
		t.Errorf("the stream was cut off: %v", err)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
