package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/shirecounty/shire/connectors/simulate"
	"github.com/shirecounty/shire/deploy/embedded"
	"github.com/shirecounty/shire/jobs/command"
)

// These tests run the real program: this test binary becomes shire when it is told to by runAsShire. So whatever
// kills, starves or misleads shire here does it to a process of its own.

// runAsShire is the environment variable by which a test tells its own binary to be shire.
const runAsShire = "SHIRE_TEST_RUN"

// patience bounds every wait of a test for another process. It is no measure: a test that waits so long hangs.
const patience = 3 * time.Minute

var counties struct {
	dir string // removed when all tests have run
	mu  sync.Mutex
}

func TestMain(m *testing.M) {
	embedded.RunChildIfAsked()
	command.RunSupervisorIfAsked()
	if os.Getenv(runAsShire) == "1" {
		main()
	}
	// A program with the race detector sleeps for a second before it ends well, to see whether a race shows yet. These tests
	// run it a thousand times, and each has stopped what it did by then.
	environment := map[string]string{"GORACE": strings.TrimSpace("atexit_sleep_ms=20 " + os.Getenv("GORACE"))}
	maps.Copy(environment, passwords)
	for name, value := range environment {
		if err := os.Setenv(name, value); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	// A test waits for its processes about as much as they work, so that more of them than there are processors keep these busy.
	flag.Parse()
	asked := false
	flag.Visit(func(f *flag.Flag) { asked = asked || f.Name == "test.parallel" })
	if n := runtime.GOMAXPROCS(0); !asked {
		if err := flag.Set("test.parallel", strconv.Itoa(n+(n+1)/2)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	var err error
	if counties.dir, err = os.MkdirTemp("", "shire-counties-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	os.RemoveAll(counties.dir)
	os.Exit(code)
}

// absent ends a test whose needs are not met: skipped on a person's machine, failed where everything has to be there.
func absent(t *testing.T, format string, args ...any) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf("CI has to provide this: "+format, args...)
	}
	t.Skipf(format, args...)
}

// needEngine ends the test when the embedded ClickHouse is not installed.
func needEngine(t *testing.T) {
	t.Helper()
	if _, err := embedded.FindLibrary(); err != nil {
		absent(t, "%v", err)
	}
}

// result is how a shire process ended.
type result struct {
	Code           int // negative when a signal ended it
	Stdout, Stderr string
}

func (r result) String() string {
	return fmt.Sprintf("exit code %d\nstdout:\n%s\nstderr:\n%s", r.Code, r.Stdout, r.Stderr)
}

// ok fails the test unless the process ended well.
func (r result) ok(t *testing.T) result {
	t.Helper()
	if r.Code != exitOK {
		t.Fatalf("shire failed: %v", r)
	}
	return r
}

// shire runs the program to its end.
func shire(t *testing.T, args ...string) result {
	t.Helper()
	return start(t, args...).Wait()
}

// process is a running shire.
type process struct {
	t    *testing.T
	args []string
	cmd  *exec.Cmd

	stdout, stderr transcript
	done           chan struct{} // closed when it has ended; result is set then
	result         result
}

// start starts the program; it is killed when the test ends, if it still runs.
func start(t *testing.T, args ...string) *process {
	t.Helper()
	return startWith(t, nil, args...)
}

// startWith is start with more variables in the environment.
func startWith(t *testing.T, environment []string, args ...string) *process {
	t.Helper()
	executable, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return startCommand(t, exec.Command(executable, args...), environment)
}

// shireIn runs the program to its end in a working directory.
func shireIn(t *testing.T, dir string, args ...string) result {
	t.Helper()
	executable, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(executable, args...)
	cmd.Dir = dir
	return startCommand(t, cmd, nil).Wait()
}

// startCommand starts a command that ends up as shire, such as a wrapper around this binary.
func startCommand(t *testing.T, cmd *exec.Cmd, environment []string) *process {
	t.Helper()
	p := &process{t: t, args: cmd.Args[1:], cmd: cmd, done: make(chan struct{})}
	cmd.Env = append(append(os.Environ(), runAsShire+"=1"), environment...)
	cmd.Stdout, cmd.Stderr = &p.stdout, &p.stderr
	cmd.SysProcAttr = processAttributes()
	cmd.WaitDelay = 10 * time.Second // a grandchild that keeps our pipes open must not hang the test
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.done)
		if err := cmd.Wait(); err != nil && cmd.ProcessState == nil {
			fmt.Fprintln(&p.stderr, "the test cannot wait for shire:", err)
		}
		p.result = result{Code: -1, Stdout: p.stdout.String(), Stderr: p.stderr.String()}
		if cmd.ProcessState != nil {
			p.result.Code = cmd.ProcessState.ExitCode()
		}
	}()
	t.Cleanup(func() {
		select {
		case <-p.done:
		default:
			_ = cmd.Process.Kill()
			<-p.done
		}
	})
	return p
}

// Wait waits for the end of the process.
func (p *process) Wait() result {
	p.t.Helper()
	select {
	case <-p.done:
	case <-time.After(patience):
		p.t.Fatalf("shire %s did not end; so far:\n%s", strings.Join(p.args, " "), p.Output())
	}
	return p.result
}

// Ended tells whether the process has ended.
func (p *process) Ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// Kill ends the process as kill -9 does, and waits until it is gone.
func (p *process) Kill() result {
	p.t.Helper()
	return p.signal(syscall.SIGKILL)
}

// Stop asks the process to end, as a service manager does, and waits until it has.
func (p *process) Stop() result {
	p.t.Helper()
	return p.signal(syscall.SIGTERM)
}

func (p *process) signal(s syscall.Signal) result {
	p.t.Helper()
	if !p.Ended() {
		_ = p.cmd.Process.Signal(s) // it may end by itself meanwhile
	}
	return p.Wait()
}

// Output is what the process has printed so far.
func (p *process) Output() string { return p.stdout.String() + p.stderr.String() }

// WaitFor waits until the process has printed a text.
func (p *process) WaitFor(text string) {
	p.t.Helper()
	p.waitUntil("it prints "+text, func() bool { return strings.Contains(p.Output(), text) })
}

// waitUntil waits until a condition holds, and fails the test when the process ends before.
func (p *process) waitUntil(what string, holds func() bool) {
	p.t.Helper()
	for deadline := time.Now().Add(patience); ; {
		ended := p.Ended()
		if holds() {
			return
		}
		if ended {
			p.t.Fatalf("shire %s ended before %s: %v", strings.Join(p.args, " "), what, p.result)
		}
		if time.Now().After(deadline) {
			p.t.Fatalf("shire %s: waited in vain until %s; so far:\n%s", strings.Join(p.args, " "), what, p.Output())
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// transcript is a buffer that one goroutine writes and others read.
type transcript struct {
	mu     sync.Mutex
	buffer bytes.Buffer
}

var _ io.Writer = (*transcript)(nil)

func (w *transcript) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.buffer.Write(p)
}

func (w *transcript) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.buffer.String()
}

// envelopeOf decodes what --json printed, and fails the test when anything else was printed.
func envelopeOf(t *testing.T, r result, into any) {
	t.Helper()
	e := struct {
		Command string
		OK      bool
		Result  any
		Error   *struct {
			Code    int
			Message string
		}
	}{Result: into}
	d := json.NewDecoder(strings.NewReader(r.Stdout))
	if err := d.Decode(&e); err != nil {
		t.Fatalf("--json did not print its envelope: %v: %v", err, r)
	}
	if rest, _ := io.ReadAll(d.Buffered()); strings.TrimSpace(string(rest)) != "" {
		t.Fatalf("--json printed more than its envelope: %v", r)
	}
}

// query asks the warehouse of a data directory by shire sql. Numbers come as float64, so larger ones than 2^53
// have to be asked for as toString(...).
func query(t *testing.T, data, sql string) [][]any {
	t.Helper()
	needEngine(t)
	var got struct{ Rows [][]any }
	envelopeOf(t, shire(t, "sql", "--json", "--data", data, sql).ok(t), &got)
	return got.Rows
}

// demoCounty is the folder of a simulated county of default defects, written once for all tests: copy it to change it.
func demoCounty(t *testing.T, people, days int) string {
	t.Helper()
	counties.mu.Lock()
	defer counties.mu.Unlock()
	dir := filepath.Join(counties.dir, fmt.Sprintf("%d-people-%d-days", people, days))
	if _, err := simulate.Write(t.Context(), simulate.Options{Dir: dir, People: people, Days: days, Seed: 1, Defects: simulate.DefaultDefects()}); err != nil {
		t.Fatal(err)
	}
	return dir
}

// copyNode copies a data directory that nothing runs on into one of the test's own. Who may read what stays as it is.
func copyNode(t *testing.T, from string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "node")
	err := filepath.WalkDir(from, func(path string, e os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		at := filepath.Join(to, relative)
		switch {
		case e.IsDir():
			return os.Mkdir(at, info.Mode().Perm())
		case e.Type()&os.ModeSymlink != 0:
			target, err := os.Readlink(path)
			if err != nil {
				return err
			}
			return os.Symlink(target, at)
		case !e.Type().IsRegular():
			return nil
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(at, content, info.Mode().Perm())
	})
	if err != nil {
		t.Fatal(err)
	}
	return to
}

// copyCounty copies a county's folder into one of the test's own.
func copyCounty(t *testing.T, from string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "county")
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	return to
}

// sharedKey is the key of the pseudonyms for nodes whose marts are compared.
const sharedKey = "for the tests alone: 0123456789abcdef0123456789abcdef"

// countyYAML writes a county.yaml beside the one of a county, changed by the given function, and returns its path.
// The county may be one that other tests use as well. Its pseudonym key is always sharedKey.
func countyYAML(t *testing.T, county string, change func(settings map[string]any)) string {
	t.Helper()
	return countyYAMLIn(t, t.TempDir(), county, change)
}

func countyYAMLIn(t *testing.T, dir, county string, change func(settings map[string]any)) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(county, "county.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var settings map[string]any
	if err := yaml.Unmarshal(text, &settings); err != nil {
		t.Fatal(err)
	}
	key := filepath.Join(dir, "pseudonym.key")
	if err := os.WriteFile(key, []byte(sharedKey), 0o600); err != nil {
		t.Fatal(err)
	}
	settings["pseudonyms"] = map[string]any{"key": "file:" + key}
	settings["portal"] = map[string]any{"listen": "127.0.0.1:0"}
	settings["contracts"] = filepath.Join(county, "contracts")
	if _, claims := settings["interventions"]; claims {
		settings["interventions"] = filepath.Join(county, "interventions")
	}
	if shares, ok := settings["sharing"].(map[string]any); ok && shares["items"] != nil {
		shares["items"] = filepath.Join(county, "items.yaml")
	}
	for _, s := range settings["sources"].([]any) {
		with := s.(map[string]any)["with"].(map[string]any)
		if folder, ok := with["directory"].(string); ok && !filepath.IsAbs(folder) && !strings.HasPrefix(folder, "$") {
			with["directory"] = filepath.Join(county, folder)
		}
	}
	if change != nil {
		change(settings)
	}
	if text, err = yaml.Marshal(settings); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "county.yaml")
	if err := os.WriteFile(file, text, 0o644); err != nil {
		t.Fatal(err)
	}
	return file
}
