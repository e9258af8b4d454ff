package ingest

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/shirecounty/shire/connectors"
	"github.com/shirecounty/shire/pipeline/bus"
	"github.com/shirecounty/shire/schemas/contract"
	"github.com/shirecounty/shire/schemas/county"
)

// A process of its own follows a source; the test binary becomes one when this is set: bus, user, password, county and
// the file that it reads.
const runAsCopy = "SHIRE_TEST_COPY"

const copyLease = 1500 * time.Millisecond

// runCopyIfAsked turns the test binary into a copy of the source that ends with SIGTERM.
func runCopyIfAsked() {
	asked := os.Getenv(runAsCopy)
	if asked == "" {
		return
	}
	args := strings.Split(asked, "\n")
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer cancel()
	if err := runCopy(ctx, args[0], args[1], args[2], args[3], args[4]); err != nil {
		fmt.Println("failed:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

func runCopy(ctx context.Context, url, user, password, division, file string) error {
	nc, err := nats.Connect(url, nats.UserInfo(user, password), nats.MaxReconnects(-1), nats.ReconnectWait(50*time.Millisecond))
	if err != nil {
		return err
	}
	defer nc.Close()
	b, err := bus.Open(ctx, nc, bus.Options{County: division, Replicas: 1})
	if err != nil {
		return err
	}
	s, err := NewSource(Options{Bus: b, Contracts: contract.Set{"a": {Name: "a", Department: "hall"}}, Lease: copyLease, Log: slog.New(slog.NewTextHandler(os.Stdout, nil)),
		Limits: Limits{Rows: 20, Bytes: 1 << 20, Linger: 5 * time.Millisecond},
		Config: county.Source{Name: "test", Kind: "scripted", Datasets: []string{"a"}, With: map[string]any{"run": tail(file)}}})
	if err != nil {
		return err
	}
	return s.Follow(ctx)
}

// tail follows a file of numbers, one a line, as a connector does: it resumes after the last number that is safe.
func tail(file string) func(context.Context, connectors.Settings, connectors.Outlet, bool) error {
	return func(ctx context.Context, _ connectors.Settings, out connectors.Outlet, _ bool) error {
		at, err := out.Resume(ctx, "a")
		if err != nil {
			return err
		}
		safe, _ := strconv.Atoi(strings.TrimPrefix(string(at), "p"))
		fmt.Println("reads from", safe)
		f, err := os.Open(file)
		if err != nil {
			return err
		}
		defer f.Close()
		lines := bufio.NewReader(f)
		for part := ""; ; {
			text, err := lines.ReadString('\n')
			part += text
			if err != nil {
				select {
				case <-ctx.Done():
					return nil
				case <-time.After(2 * time.Millisecond):
				}
				continue
			}
			i, err := strconv.Atoi(strings.TrimSpace(part))
			part = ""
			if err != nil {
				return err
			}
			if i > safe {
				if err := out.Append(ctx, "a", "u", []string{"c"}, row(i, "v")); err != nil {
					return err
				}
			}
		}
	}
}

// copyProcess is a copy of the source that runs.
type copyProcess struct {
	cmd   *exec.Cmd
	lines chan string
}

func startCopy(t *testing.T, division, file string) *copyProcess {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := &copyProcess{cmd: exec.Command(self), lines: make(chan string, 1000)}
	p.cmd.Env = append(os.Environ(), runAsCopy+"="+strings.Join([]string{engine.URL, engine.User, engine.Password, division, file}, "\n"))
	p.cmd.Stderr = os.Stderr
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.lines)
		for s := bufio.NewScanner(out); s.Scan(); {
			p.lines <- s.Text()
		}
	}()
	t.Cleanup(func() { p.cmd.Process.Kill(); p.cmd.Wait() })
	return p
}

// says waits until the process says something with a text in it.
func (p *copyProcess) says(t *testing.T, text string) {
	t.Helper()
	deadline := time.After(time.Minute)
	for {
		select {
		case line, open := <-p.lines:
			if !open {
				t.Fatalf("the copy ended before it said %q", text)
			}
			t.Logf("process %d: %s", p.cmd.Process.Pid, line)
			if strings.Contains(line, text) {
				return
			}
		case <-deadline:
			t.Fatalf("process %d does not say %q", p.cmd.Process.Pid, text)
		}
	}
}

// A process that was stopped for longer than its lease comes back to life in the middle of its work, while another has
// taken over and the department goes on writing: nothing is doubled, and nothing is lost (I2).
func TestStoppedCopyComesBack(t *testing.T) {
	b := open(t)
	division := strings.Split(b.LinksSubject(), ".")[1]
	file := t.TempDir() + "/numbers"
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	written := make(chan int)
	quit := make(chan struct{})
	go func() { // the department
		i := 0
		defer func() { written <- i }()
		for {
			select {
			case <-quit:
				return
			case <-time.After(time.Millisecond):
				for range 10 {
					i++
					fmt.Fprintln(f, i)
				}
			}
		}
	}()
	working := startCopy(t, division, file)
	working.says(t, "reads from 0")
	waiting := startCopy(t, division, file)
	waiting.says(t, fmt.Sprintf("process %d on", working.cmd.Process.Pid))
	for round := range 4 {
		progress(t, b)
		if err := working.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		waiting.says(t, "reads from")
		if round%2 == 0 { // else the other comes back before the new one has written anything
			progress(t, b)
		}
		if err := working.cmd.Process.Signal(syscall.SIGCONT); err != nil {
			t.Fatal(err)
		}
		working.says(t, "this one waits until it ends")
		working, waiting = waiting, working
	}
	// A copy that is killed releases nothing; the other takes over all the same.
	if err := working.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	waiting.says(t, "reads from")
	progress(t, b)
	close(quit)
	n := <-written
	waitFor(t, "the last row", func() bool { return newest(t, b) == fmt.Sprint("p", n) })
	if err := waiting.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := waiting.cmd.Wait(); err != nil {
		t.Error(err)
	}
	if h, err := b.LeaseHolder(t.Context(), "source.test"); err != nil || h != nil {
		t.Errorf("after a clean end the lease is held by %+v, %v", h, err)
	}
	said(t, b, n)
}

func newest(t *testing.T, b *bus.Bus) string {
	t.Helper()
	w, err := b.ChangesWriter(t.Context(), b.ChangesSubject("hall", "a"))
	if err != nil {
		t.Fatal(err)
	}
	_, header := w.Last()
	return header.Get(bus.HeaderLast)
}

// progress waits until something more is on the bus.
func progress(t *testing.T, b *bus.Bus) {
	t.Helper()
	before := newest(t, b)
	waitFor(t, "a further message", func() bool { return newest(t, b) != before })
}

func leases(t *testing.T) jetstream.KeyValue {
	t.Helper()
	nc, err := nats.Connect(engine.URL, engine.InProcess()...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	kv, err := js.KeyValue(t.Context(), "LEASES")
	if err != nil {
		t.Fatal(err)
	}
	return kv
}
