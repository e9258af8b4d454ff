package jobs_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shirecounty/shire/jobs"
	"github.com/shirecounty/shire/jobs/ledger"
)

// A run that goes on at the stop is taken up at the next start, and does not count as failed.
func TestStopAndGoOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, l := set(t, "  - {name: a, schedule: \"0 9 * * *\", do: {read: log}}\n", slow), &ledger.Memory{}
		desk := newDesk(l, s)
		runFor(t, l, s, 90*time.Minute, nil) // to 9:30
		r, err := desk.Run(t.Context(), s["a"].RunID(at(t, "09:00")))
		if err != nil || r.Outcome != jobs.Waiting || r.Failures != 0 || !strings.Contains(r.Message, "stops") {
			t.Fatalf("%+v, %v", r, err)
		}
		if nodes, err := desk.Nodes(t.Context()); err != nil || len(nodes) != 0 {
			t.Errorf("a process that stopped is known: %v, %v", nodes, err)
		}
		runFor(t, l, s, 70*time.Minute, nil)
		same(t, "a", outcomes(t, desk, "a"), "01 09:00 schedule ok 2")
	})
}

// A process that dies is missed after its lease, and what ran in it is tried again; what kills one process after the other is
// given up in the end.
func TestProcessesDie(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		clock := newWall()
		w := &world{t: t, clock: clock, ledger: &ledger.Memory{}, county: define(t, "  - {name: a, schedule: \"0 9 * * *\", do: {read: log}}\n"), takes: map[string]time.Duration{"a": time.Hour}}
		s, err := jobs.NewSet(w.county, national(t), nil)
		must(t, err)
		desk := newDesk(w.ledger, s)
		id := s["a"].RunID(at(t, "09:00"))
		w.start(-1)
		time.Sleep(61 * time.Minute)
		for i := range 4 {
			r, err := desk.Run(t.Context(), id)
			if err != nil || r.Outcome != jobs.Running || r.Attempt != i+1 || r.Lost != i {
				t.Fatalf("process %d: %+v, %v", i, r, err)
			}
			w.procs[len(w.procs)-1].kill()
			w.start(-1)
			time.Sleep(14 * time.Second)
			if r, err := desk.Run(t.Context(), id); err != nil || r.Outcome != jobs.Running {
				t.Errorf("taken before its lease was over: %+v, %v", r, err)
			}
			time.Sleep(16 * time.Second)
		}
		r, err := desk.Run(t.Context(), id)
		if err != nil || r.Outcome != jobs.Failed || r.Attempt != 4 || !strings.Contains(r.Message, "died, 4 times") {
			t.Errorf("%+v, %v", r, err)
		}
		for _, p := range w.procs {
			p.cancel()
			<-p.ended
		}
	})
}

// A process that cannot reach the ledger gives its runs up before another takes them, and what it ends later does not count.
func TestOutOfTouch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, clock: newWall(), ledger: &ledger.Memory{}, county: define(t, "  - {name: a, schedule: \"0 9 * * *\", do: {read: log}}\n"), takes: map[string]time.Duration{"a": time.Hour}}
		s, err := jobs.NewSet(w.county, national(t), nil)
		must(t, err)
		desk := newDesk(w.ledger, s)
		w.start(-1)
		w.start(-1)
		time.Sleep(61 * time.Minute)
		id := s["a"].RunID(at(t, "09:00"))
		w.mu.Lock()
		first := w.attempts[0]
		w.mu.Unlock()
		// The one that runs it is cut off, and lives.
		for _, p := range w.procs {
			w.mu.Lock()
			worked := p.worked
			w.mu.Unlock()
			if worked {
				p.cable.cut()
			}
		}
		time.Sleep(2 * time.Minute)
		r, err := desk.Run(t.Context(), id)
		if err != nil || r.Outcome != jobs.Running || r.Attempt != 2 {
			t.Fatalf("it was not taken: %+v, %v", r, err)
		}
		w.mu.Lock()
		if first.end.IsZero() || !first.end.Before(r.Started) {
			t.Errorf("the attempt that was cut off ended at %s, and the next began at %s", first.end, r.Started)
		}
		w.mu.Unlock()
		for _, p := range w.procs {
			p.cable.mend()
		}
		time.Sleep(time.Hour)
		r, err = desk.Run(t.Context(), id)
		if err != nil || r.Outcome != jobs.OK || r.Attempt != 2 {
			t.Errorf("%+v, %v", r, err)
		}
		w.mu.Lock()
		if len(w.attempts) != 2 {
			t.Errorf("%d attempts", len(w.attempts))
		}
		w.mu.Unlock()
		for _, p := range w.procs {
			p.cancel()
			<-p.ended
		}
	})
}

// A job that is gone leaves no run that waits, and begins anew when it comes back.
func TestJobsThatAreGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		both := "  - {name: a, every: 1h, missed: all, do: {read: log}}\n  - {name: b, every: 1h, missed: all, do: {read: log}}\n"
		s, l := set(t, both, slow), &ledger.Memory{}
		desk := newDesk(l, s)
		runFor(t, l, s, 90*time.Minute, nil) // 9:30: both wait to go on
		one := set(t, "  - {name: b, every: 1h, missed: all, do: {read: log}}\n", slow)
		runFor(t, l, one, 10*time.Minute, nil)
		same(t, "a", outcomes(t, desk, "a"), "01 09:00 schedule cancelled 1")
		time.Sleep(5 * time.Hour)
		runFor(t, l, set(t, both, quick), time.Minute, nil)
		same(t, "a", outcomes(t, desk, "a"), "01 09:00 schedule cancelled 1")
		if got := outcomes(t, desk, "b"); len(got) != 6 {
			t.Errorf("b: %v", got)
		}
	})
}

// A queue that only grows stops growing, and says so (I10).
func TestQueueIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, l := set(t, "  - {name: a, every: 5s, overlap: queue, do: {read: log}}\n", slow), &ledger.Memory{}
		desk := newDesk(l, s)
		runFor(t, l, s, 50*time.Minute-time.Second, nil)
		st, err := desk.Show(t.Context(), "a")
		if err != nil || len(st.Active) != 300 {
			t.Errorf("%d runs wait, %v", len(st.Active), err)
		}
		r, err := desk.Run(t.Context(), s["a"].RunID(at(t, "08:49")))
		if err != nil || r.Outcome != jobs.Skipped || !strings.Contains(r.Message, "300 runs of before still wait") {
			t.Errorf("%+v, %v", r, err)
		}
	})
}

// hook is somebody who is told.
type hook struct {
	mu      sync.Mutex
	notices []jobs.Notice
	refuse  int // so many, at first
	tries   int
}

func (h *hook) post(_ context.Context, _ string, body []byte) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.tries++; h.tries <= h.refuse {
		return errors.New("the webhook at hooks.example answered 503")
	}
	var n jobs.Notice
	if err := json.Unmarshal(body, &n); err != nil {
		return err
	}
	h.notices = append(h.notices, n)
	return nil
}

func TestAlerts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &hook{refuse: 3}
		s := set(t, `
  - {name: fails, schedule: "0 9 * * *", do: {read: log}, owner: data bureau, alert: {webhook: "https://hooks.example/secret"}}
  - {name: quiet, schedule: "0 9 * * *", do: {read: log}, alert: {webhook: "https://hooks.example/secret", on_failure: false}}
  - {name: mended, schedule: "0 9 * * *", retries: {most: 1}, do: {read: log}, alert: {webhook: "https://hooks.example/secret"}}
  - {name: late, schedule: "0 9 * * *", do: {read: log}, alert: {webhook: "https://hooks.example/secret", late_after: 30m}}
  - {name: silent, schedule: "0 10 * * *", do: {read: log}, alert: {webhook: "https://hooks.example/secret", silent_for: 50h}}
`, func(ctx context.Context, task jobs.Task, out io.Writer) (jobs.Result, error) {
			switch task.Job {
			case "fails", "quiet":
				return jobs.Result{}, errAway
			case "mended":
				if task.Attempt == 1 {
					return jobs.Result{}, errAway
				}
			case "late":
				return slow(ctx, task, out)
			}
			return jobs.Result{}, nil
		})
		l := &ledger.Memory{}
		desk := newDesk(l, s)
		// A process that is stopped while the webhook is away leaves it to the next.
		up := func(d time.Duration) {
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() {
				ended <- jobs.New(jobs.Options{Ledger: l, Jobs: s, Clock: jobs.System{}, Log: slog.New(slog.DiscardHandler), Post: h.post}).Run(ctx)
			}()
			time.Sleep(d)
			cancel()
			must(t, <-ended)
		}
		up(time.Hour + time.Second) // the first attempt to send is at 9:00
		if h.tries == 0 || len(h.notices) > 0 {
			t.Errorf("%d tries, %v", h.tries, h.notices)
		}
		up(2 * time.Hour)
		must(t, desk.Pause(t.Context(), "silent", "")) // after its run at 10:00
		up(72 * time.Hour)
		var got []string
		for _, n := range h.notices {
			if n.Job == "fails" && n.Kind == jobs.KindFailed {
				if n.Owner != "data bureau" || !strings.HasPrefix(n.Text, "Shire: job fails failed: the folder is away") || !strings.HasPrefix(n.Run, "fails@2000-01-0") {
					t.Errorf("%+v", n)
				}
			}
			got = append(got, n.At.In(at(t, "00:00").Location()).Format("02 15:04 ")+n.Job+" "+n.Kind)
			if n.Kind == jobs.KindSilent && !strings.Contains(n.Message, "paused") {
				t.Errorf("%+v", n)
			}
		}
		same(t, "alerts", got, "01 09:00 fails failed", "01 09:30 late late", "02 09:00 fails failed", "02 09:30 late late", "03 09:00 fails failed", "03 09:30 late late", "03 12:00 silent silent", "04 09:00 fails failed", "04 09:30 late late")
		list, err := desk.List(t.Context())
		must(t, err)
		for _, st := range list {
			if (st.Silent != nil) != (st.Name == "silent") {
				t.Errorf("%s is silent: %v", st.Name, st.Silent)
			}
		}
	})
}

// The webhook itself: what it is sent, and that an error names its host alone.
func TestWebhook(t *testing.T) {
	var sent jobs.Notice
	refuse := true
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if refuse {
			refuse = false
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		if err := json.NewDecoder(r.Body).Decode(&sent); err != nil {
			t.Error(err)
		}
	}))
	defer server.Close()
	var log strings.Builder
	s := set(t, "  - {name: a, do: {read: log}, alert: {webhook: \""+server.URL+"/key-of-the-robot\"}}\n", func(context.Context, jobs.Task, io.Writer) (jobs.Result, error) { return jobs.Result{}, errAway })
	l := &ledger.Memory{}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	var mu sync.Mutex
	go func() {
		ended <- jobs.New(jobs.Options{Ledger: l, Jobs: s, Clock: jobs.System{}, Log: slog.New(slog.NewTextHandler(&locked{&mu, &log}, nil))}).Run(ctx)
	}()
	desk := newDesk(l, s)
	must(t, errorOf(desk.Trigger(ctx, "a", nil)))
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		st, _, err := stateOf(l, "a")
		must(t, err)
		if st.Last != nil && len(st.Alerts) == 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the alert is still to be sent")
		}
	}
	cancel()
	must(t, <-ended)
	if sent.Job != "a" || sent.Kind != jobs.KindFailed || sent.Message != errAway.Error() || sent.At.IsZero() {
		t.Errorf("%+v", sent)
	}
	mu.Lock()
	defer mu.Unlock()
	if text := log.String(); strings.Contains(text, "key-of-the-robot") || !strings.Contains(text, "503") {
		t.Errorf("the log says %s", text)
	}
}

type locked struct {
	mu *sync.Mutex
	w  io.Writer
}

func (l *locked) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}

func stateOf(l jobs.Ledger, job string) (s jobs.State, revision uint64, err error) {
	e, err := l.Get(context.Background(), "job."+job)
	if err == nil && len(e.Value) > 0 {
		err = json.Unmarshal(e.Value, &s)
	}
	return s, e.Revision, err
}

// What a run prints is kept up to a bound, harmless, and in order.
func TestOutputIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := set(t, "  - {name: a, do: {read: log}}\n", func(_ context.Context, _ jobs.Task, out io.Writer) (jobs.Result, error) {
			fmt.Fprint(out, "one\ntw")
			fmt.Fprint(out, "o\r\n\x1b[31mred\x00\xff\n\n")
			fmt.Fprint(out, strings.Repeat("x", 20_000)+"\n")
			for range 4096 {
				fmt.Fprintln(out, strings.Repeat("y", 1023))
			}
			fmt.Fprint(out, "without an end")
			return jobs.Result{}, nil
		})
		l := &ledger.Memory{}
		desk := newDesk(l, s)
		var id string
		runFor(t, l, s, time.Minute, func(ctx context.Context) {
			r, err := desk.Trigger(ctx, "a", nil)
			must(t, err)
			id = r.ID
		})
		var lines []string
		kept := 0
		must(t, desk.Logs(t.Context(), id, false, func(l jobs.Line) error {
			lines = append(lines, l.Text)
			kept += len(l.Text)
			return nil
		}))
		if lines[0] != "one" || lines[1] != "two" || lines[2] != "·[31mred·\uFFFD" || lines[3] != "" || len(lines[4]) != 8192 || len(lines[6]) != 20_000-2*8192 {
			t.Errorf("the lines are %q ...", lines[:4])
		}
		last := lines[len(lines)-1]
		if kept > 1<<20+1000 || kept < 1<<20-2000 || !strings.Contains(last, "more bytes of output are not kept") {
			t.Errorf("%d bytes are kept, and the last line is %q", kept, last)
		}
	})
}
