//go:build unix

package embedded

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
)

// ClickHouseOptions describe the embedded ClickHouse server.
type ClickHouseOptions struct {
	Disabled             bool   // the county uses an external ClickHouse
	NativePort, HTTPPort int    // on 127.0.0.1; 0: a free one, see Engines.ClickHouse
	MaxMemoryBytes       uint64 // max_server_memory_usage; 0: 2 GiB
	Users                []User

	// DictionaryGrants are the rights, written as in User.Grants, with which a dictionary reads its source when its
	// SOURCE(CLICKHOUSE(...)) names no user. Nobody can log in with them.
	DictionaryGrants []string
}

const defaultMaxMemory = 2 << 30

// probeUser may log in and do nothing else. Its password lives as long as this process.
const probeUser = "shire_probe"

// How the child is restarted, and how often it may fail before it was ready for the first time.
const (
	firstDelay    = 100 * time.Millisecond
	longestDelay  = 10 * time.Second
	healthyAfter  = time.Minute // from then on the next delay is firstDelay again
	startAttempts = 5
)

// ClickHouse tells where the embedded server listens. The addresses stay the same when its process is restarted.
type ClickHouse struct {
	Native string // host:port of the native protocol
	HTTP   string // host:port of the HTTP interface
}

// clickHouse supervises the child process.
type clickHouse struct {
	options       ClickHouseOptions
	dir           string
	library       string
	executable    string
	probePassword string
	native, http  int // ports; fixed once the child was ready for the first time
	log           *slog.Logger
	health        *health

	ended chan struct{} // closed when supervise has returned: no child runs any more

	mu       sync.Mutex // guards what follows
	stopping bool
	stop     chan struct{} // closed when stopping becomes true
	process  *os.Process   // nil while no child runs
	stdin    io.Closer     // of that child
}

func startClickHouse(ctx context.Context, o ClickHouseOptions, dir string, log *slog.Logger, health *health) (*clickHouse, error) {
	library, err := FindLibrary()
	if err != nil {
		return nil, err
	}
	executable, err := ownExecutable()
	if err != nil {
		return nil, fmt.Errorf("find this program's own file, which the ClickHouse child runs: %w", err)
	}
	if o.MaxMemoryBytes == 0 {
		o.MaxMemoryBytes = defaultMaxMemory
	}
	c := &clickHouse{
		options: o, dir: dir, library: library, executable: executable, probePassword: rand.Text(),
		log: log.With("component", ComponentClickHouse), health: health,
		ended: make(chan struct{}), stop: make(chan struct{}),
	}
	if err := c.writeConfig(); err != nil {
		return nil, err
	}
	if err := c.choosePorts(ctx); err != nil {
		return nil, err
	}
	health.set(ComponentClickHouse, Starting, nil)
	first := make(chan error, 1)
	go c.supervise(ctx, first)
	select {
	case err = <-first:
	case <-ctx.Done():
		err = fmt.Errorf("start the embedded ClickHouse: %w", context.Cause(ctx))
	}
	if err != nil {
		now, cancel := context.WithCancel(context.Background())
		cancel()
		return nil, errors.Join(err, c.shutDown(now))
	}
	return c, nil
}

func (c *clickHouse) writeConfig() error {
	for _, name := range []string{clickhouseDir, clickhouseConf, logDir} {
		if err := os.MkdirAll(filepath.Join(c.dir, name), 0o700); err != nil {
			return fmt.Errorf("create a directory for the embedded ClickHouse: %w", err)
		}
	}
	users, err := usersConfig(c.options.Users, User{Name: probeUser, Password: c.probePassword}, c.options.DictionaryGrants)
	if err != nil {
		return err
	}
	for name, root := range map[string]element{
		"config.xml": serverConfig(c.dir, c.options.MaxMemoryBytes),
		"users.xml":  users,
	} {
		content, err := root.document()
		if err != nil {
			return err
		}
		if err := writeFileAtomically(filepath.Join(c.dir, clickhouseConf, name), content); err != nil {
			return err
		}
	}
	return nil
}

func (c *clickHouse) choosePorts(ctx context.Context) (err error) {
	if c.native, err = choosePort(ctx, c.options.NativePort, "ClickHouse (native protocol)", "clickhouse.native_port"); err != nil {
		return err
	}
	for c.http = c.native; c.http == c.native; {
		if c.http, err = choosePort(ctx, c.options.HTTPPort, "ClickHouse (HTTP)", "clickhouse.http_port"); err != nil {
			return err
		}
		if c.http == c.native && c.options.HTTPPort != 0 {
			return fmt.Errorf("clickhouse.native_port and clickhouse.http_port are both %d: give each its own", c.http)
		}
	}
	return nil
}

// supervise keeps a child running until shutDown. It sends to first once: nil when the first child is ready, an error
// when none came to be.
func (c *clickHouse) supervise(ctx context.Context, first chan<- error) {
	defer close(c.ended)
	// The kernel takes the end of the thread that started the child for the end of its parent. This one stays.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()

	everReady, delay := false, firstDelay
	for attempt := 1; ; attempt++ {
		ended := c.runOnce(func() {
			if !everReady { // runOnce returns only after this: no race with the lines below
				everReady = true
				first <- nil
			}
		})
		if c.isStopping() {
			if !everReady {
				first <- errors.New("the embedded ClickHouse was stopped while it started")
			}
			c.health.set(ComponentClickHouse, Stopped, nil)
			return
		}
		if !everReady {
			if err := c.mendStart(ctx, ended, attempt); err != nil {
				c.health.set(ComponentClickHouse, Failed, err)
				first <- err
				return
			}
		}
		if ended.readyFor >= healthyAfter {
			delay = firstDelay
		}
		c.health.set(ComponentClickHouse, Restarting, ended.err)
		c.log.Warn("the embedded ClickHouse ended; it is started again", "reason", ended.err, "in", delay)
		select {
		case <-time.After(delay):
		case <-c.stop:
		}
		delay = min(2*delay, longestDelay)
	}
}

// mendStart decides whether another attempt can help a child that was never ready, and with which ports.
func (c *clickHouse) mendStart(ctx context.Context, end childEnd, attempt int) error {
	if strings.Contains(end.stderr, "Address already in use") {
		// Somebody took a port between our look and the child's. A pinned one that stays taken is an error of choosePorts.
		if err := c.choosePorts(ctx); err != nil {
			return err
		}
	}
	if attempt < startAttempts && !end.cannotLoad {
		return nil
	}
	do := "Check the message and " + filepath.Join(c.dir, logDir, "clickhouse.log")
	if end.cannotLoad {
		do = "Mend that (`make engine` installs the library anew), or configure an external `clickhouse:` address"
	}
	what := fmt.Sprintf("the embedded ClickHouse did not start: %v", end.err)
	if end.stderr != "" {
		what += ": " + strings.TrimRight(end.stderr, ". \n")
	}
	return &EnvError{What: what, Where: filepath.Join(c.dir, clickhouseDir), Do: do, Err: end.err}
}

// childEnd tells how a child ended.
type childEnd struct {
	err        error
	stderr     string        // its last words
	readyFor   time.Duration // 0: it never was
	cannotLoad bool
}

// runOnce runs one child to its end and calls onReady, if it gets so far, when it takes queries.
func (c *clickHouse) runOnce(onReady func()) childEnd {
	var stderr tail
	cmd := exec.Command(c.executable,
		"--path", filepath.Join(c.dir, clickhouseDir),
		"--config-file", filepath.Join(c.dir, clickhouseConf, "config.xml"),
		"--tcp_port", strconv.Itoa(c.native),
		"--http_port", strconv.Itoa(c.http),
		"--listen_host", loopback)
	cmd.Args[0] = childName
	// Nothing of this process's environment, which may hold passwords, goes to the child.
	cmd.Env = []string{childMarker + "=" + c.library, "TZ=UTC", "TERM=dumb", "CLICKHOUSE_HISTORY_FILE=/dev/null"}
	cmd.SysProcAttr = childAttributes()
	cmd.Stderr = &stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return childEnd{err: fmt.Errorf("make the child's standard input: %w", err)}
	}
	c.mu.Lock()
	if c.stopping {
		c.mu.Unlock()
		return childEnd{}
	}
	if err := cmd.Start(); err != nil {
		c.mu.Unlock()
		return childEnd{err: fmt.Errorf("start the child process: %w", err)}
	}
	c.process, c.stdin = cmd.Process, stdin
	c.mu.Unlock()

	alive, died := context.WithCancel(context.Background())
	ready := make(chan time.Time, 1)
	go func() {
		defer close(ready)
		if c.awaitReady(alive) {
			ready <- time.Now()
			c.health.set(ComponentClickHouse, Running, nil)
			onReady()
		}
	}()
	err = cmd.Wait()
	died()
	c.mu.Lock()
	c.process, c.stdin = nil, nil
	c.mu.Unlock()

	end := childEnd{err: err, stderr: stderr.String(), cannotLoad: cmd.ProcessState.ExitCode() == childCannotLoad}
	if err == nil {
		end.err = errors.New("it ended by itself")
	}
	since, wasReady := <-ready
	if wasReady {
		end.readyFor = time.Since(since)
		<-ready // closed after onReady
	}
	return end
}

// awaitReady asks until the server accepts a login over the native protocol, or ctx ends.
func (c *clickHouse) awaitReady(ctx context.Context) bool {
	conn, err := clickhouse.Open(&clickhouse.Options{
		Addr:        []string{address(c.native)},
		Auth:        clickhouse.Auth{Username: probeUser, Password: c.probePassword},
		DialTimeout: time.Second,
	})
	if err != nil {
		c.log.Error("cannot ask the embedded ClickHouse whether it is ready", "error", err)
		return false
	}
	defer conn.Close()
	const pause = 20 * time.Millisecond
	for {
		// The HTTP listener is opened last; a login proves that it is our child that answers.
		if probe, err := net.DialTimeout("tcp", address(c.http), time.Second); err == nil {
			probe.Close()
			if conn.Ping(ctx) == nil {
				return true
			}
		}
		select {
		case <-ctx.Done():
			return false
		case <-time.After(pause):
		}
	}
}

func (c *clickHouse) isStopping() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.stopping
}

// shutDown closes the child's standard input, upon which it finishes what it does and ends; and kills it if it still runs
// when ctx ends. No child is left when it returns.
func (c *clickHouse) shutDown(ctx context.Context) error {
	c.mu.Lock()
	if !c.stopping {
		c.stopping = true
		close(c.stop)
		if c.stdin != nil {
			c.stdin.Close()
		}
	}
	c.mu.Unlock()
	select {
	case <-c.ended:
		return nil
	case <-ctx.Done():
		err := c.kill()
		<-c.ended
		return err
	}
}

// kill sends SIGKILL to the child, if one runs.
func (c *clickHouse) kill() error { return c.signal(os.Kill) }

func (c *clickHouse) signal(s os.Signal) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.process == nil {
		return nil
	}
	if err := c.process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("send %v to the ClickHouse child: %w", s, err)
	}
	return nil
}

// tail keeps the last bytes written to it. os/exec writes from one goroutine, which ends before Wait returns.
type tail struct{ buffer bytes.Buffer }

const tailBytes = 2048

func (t *tail) Write(p []byte) (int, error) {
	t.buffer.Write(p)
	if excess := t.buffer.Len() - tailBytes; excess > 0 {
		t.buffer.Next(excess)
	}
	return len(p), nil
}

func (t *tail) String() string { return strings.TrimSpace(t.buffer.String()) }
