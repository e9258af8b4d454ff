//go:build unix

package embedded

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

func TestMain(m *testing.M) {
	RunChildIfAsked()
	runHolderIfAsked()
	os.Exit(m.Run())
}

var admin = User{Name: "admin", Password: "admin-password", Grants: []string{"ALL ON *.*"},
	Settings: map[string]string{"log_queries": "1"}}

// needLibrary skips the test without the real engine, and fails it in continuous integration.
func needLibrary(t *testing.T) {
	t.Helper()
	if _, err := FindLibrary(); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
}

// testOptions are for an engine in a directory of its own that logs to the test.
func testOptions(t *testing.T, dir string) Options {
	return Options{
		Dir:     dir,
		Version: "1.0.0",
		ClickHouse: ClickHouseOptions{
			MaxMemoryBytes: 1 << 30,
			Users:          []User{admin},
		},
		Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
	}
}

func start(t *testing.T, o Options) *Engines {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	e, err := Start(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(t, e) })
	return e
}

func stop(t *testing.T, e *Engines) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := e.Stop(ctx); err != nil {
		t.Errorf("Stop: %v", err)
	}
}

func connect(t *testing.T, at, user, password string) driver.Conn {
	t.Helper()
	conn, err := clickhouse.Open(&clickhouse.Options{
		Addr: []string{at},
		Auth: clickhouse.Auth{Username: user, Password: password},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

func mustExec(t *testing.T, conn driver.Conn, statements ...string) {
	t.Helper()
	for _, statement := range statements {
		if err := conn.Exec(t.Context(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
}

func queryOne[T any](t *testing.T, conn driver.Conn, query string) (value T) {
	t.Helper()
	if err := conn.QueryRow(t.Context(), query).Scan(&value); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return value
}

func wantEnvError(t *testing.T, err, kind error, words ...string) {
	t.Helper()
	var env *EnvError
	if !errors.As(err, &env) || !errors.Is(err, kind) {
		t.Fatalf("got %v (%T), want an *EnvError that is %q", err, err, kind)
	}
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("the error does not name %q: %v", word, err)
		}
	}
}

func TestSecondStartIsRefused(t *testing.T) {
	dir := t.TempDir()
	o := testOptions(t, dir)
	o.ClickHouse.Disabled = true
	e := start(t, o)
	_, err := Start(t.Context(), o)
	wantEnvError(t, err, ErrLocked, fmt.Sprintf("process %d", os.Getpid()), dir)

	stop(t, e)
	again := start(t, o)
	if again.NATS() == nil || again.ClickHouse() != nil {
		t.Error("a restarted node should run NATS alone")
	}
}

func TestNewerLayoutIsRefused(t *testing.T) {
	tests := []struct{ found, own, kept string }{
		{"1.0.0", "1.0.0", "1.0.0"},
		{"1.0.0", "1.2.0", "1.2.0"},
		{"1.9.0", "1.10.0", "1.10.0"},
		{"2.0.0", "1.9.9", ""},
		{"1.0.1", "1.0.0", ""},
	}
	for _, test := range tests {
		t.Run(test.found+" for "+test.own, func(t *testing.T) {
			dir := t.TempDir()
			o := testOptions(t, dir)
			o.ClickHouse.Disabled, o.NATS.Disabled = true, true
			o.Version = test.found
			stop(t, start(t, o))
			o.Version = test.own
			e, err := Start(t.Context(), o)
			if test.kept == "" {
				wantEnvError(t, err, ErrNewerData, test.found, test.own, dir)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			stop(t, e)
			if text, err := os.ReadFile(filepath.Join(dir, layoutFile)); err != nil || string(text) != test.kept+"\n" {
				t.Errorf("layout file: %q, %v; want %s", text, err, test.kept)
			}
		})
	}
}

func TestDamagedLayoutIsRefused(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, layoutFile), []byte("one\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	o := testOptions(t, dir)
	o.ClickHouse.Disabled, o.NATS.Disabled = true, true
	_, err := Start(t.Context(), o)
	var env *EnvError
	if !errors.As(err, &env) {
		t.Fatalf("got %v, want an *EnvError", err)
	}
}

func TestPinnedPortInUse(t *testing.T) {
	needLibrary(t)
	listener, err := net.Listen("tcp", loopback+":0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	port := listener.Addr().(*net.TCPAddr).Port

	tests := map[string]func(*Options){
		"nats.port":              func(o *Options) { o.NATS.Port, o.ClickHouse.Disabled = port, true },
		"clickhouse.native_port": func(o *Options) { o.ClickHouse.NativePort, o.NATS.Disabled = port, true },
		"clickhouse.http_port":   func(o *Options) { o.ClickHouse.HTTPPort, o.NATS.Disabled = port, true },
	}
	for setting, pin := range tests {
		t.Run(setting, func(t *testing.T) {
			o := testOptions(t, t.TempDir())
			pin(&o)
			_, err := Start(t.Context(), o)
			wantEnvError(t, err, ErrPortInUse, setting, listener.Addr().String())
		})
	}
}

func TestLowDiskAtStart(t *testing.T) {
	dir := t.TempDir()
	o := testOptions(t, dir)
	o.MinFreeBytes = 1 << 62
	_, err := Start(t.Context(), o)
	wantEnvError(t, err, ErrLowDisk, "4.0 EiB needed", "free", dir)
	if _, err := ReadRuntime(dir); !errors.Is(err, ErrNotRunning) {
		t.Errorf("after a refused start: %v", err)
	}
}

func TestDiskWatch(t *testing.T) {
	var free uint64
	var freeErr error
	h := &health{}
	watch := &diskWatch{
		dir: "/data", need: 1000,
		free: func(string) (uint64, error) { return free, freeErr },
		set:  func(state State, err error) { h.set(ComponentDisk, state, err) },
	}
	steps := []struct {
		free uint64
		err  error
		want State
	}{
		{1000, nil, Running}, {999, nil, Low}, {1050, nil, Low}, {1100, nil, Running}, {1050, nil, Running},
		{0, fs.ErrNotExist, Failed}, {1100, nil, Running},
	}
	for i, step := range steps {
		free, freeErr = step.free, step.err
		watch.check()
		got := h.components()[0]
		if got.State != step.want || (got.Err == nil) != (step.want == Running) {
			t.Errorf("step %d, %d free: %s, %v; want %s", i, step.free, got.State, got.Err, step.want)
		}
	}
}

func TestFileInPlaceOfDirectory(t *testing.T) {
	path := filepath.Join(t.TempDir(), "data")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Start(t.Context(), testOptions(t, path))
	wantEnvError(t, err, ErrNotWritable, path, "not a directory")
}

func TestRuntimeFile(t *testing.T) {
	dir := t.TempDir()
	if _, err := ReadRuntime(dir); !errors.Is(err, ErrNotRunning) {
		t.Fatalf("before the first start: %v", err)
	}
	o := testOptions(t, dir)
	o.ClickHouse.Disabled = true
	o.Extra = map[string]string{"http": "127.0.0.1:8080"}
	e := start(t, o)
	found, err := ReadRuntime(dir)
	if err != nil {
		t.Fatal(err)
	}
	if found.PID != os.Getpid() || found.NATSURL != e.NATS().URL || found.Extra["http"] != "127.0.0.1:8080" || found.ClickHouseNative != "" {
		t.Errorf("runtime file: %+v", found)
	}
	if err := e.SetExtra(map[string]string{"http": "127.0.0.1:9090"}); err != nil {
		t.Fatal(err)
	}
	if found, err = ReadRuntime(dir); err != nil || found.Extra["http"] != "127.0.0.1:9090" {
		t.Errorf("after SetExtra: %+v, %v", found, err)
	}
	info, err := os.Stat(filepath.Join(dir, runtimeFile))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode of the runtime file: %v, %v", info.Mode(), err)
	}
	stop(t, e)
	if _, err := ReadRuntime(dir); !errors.Is(err, ErrNotRunning) {
		t.Errorf("after Stop: %v", err)
	}
}

func TestSecrets(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new")
	first, err := LoadOrCreateSecrets(dir, "a", "b")
	if err != nil {
		t.Fatal(err)
	}
	if len(first) != 2 || len(first["a"]) != 43 || first["a"] == first["b"] {
		t.Error("want two different secrets of 32 bytes")
	}
	path := filepath.Join(dir, SecretsFile)
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	second, err := LoadOrCreateSecrets(dir, "b", "c")
	if err != nil {
		t.Fatal(err)
	}
	if second["b"] != first["b"] || second["c"] == "" || len(second) != 2 {
		t.Error("an old secret changed, or a new one is missing")
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode of the secrets: %v, %v; want 0600", info.Mode(), err)
	}
	if err := os.WriteFile(path, []byte(`{"a": "hush`), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = LoadOrCreateSecrets(dir, "a")
	var env *EnvError
	if !errors.As(err, &env) || strings.Contains(err.Error(), "hush") {
		t.Errorf("a damaged file: %v", err)
	}
}

func TestLibraryMissing(t *testing.T) {
	t.Setenv(libraryVariable, filepath.Join(t.TempDir(), "libchdb.so"))
	o := testOptions(t, t.TempDir())
	o.NATS.Disabled = true
	_, err := Start(t.Context(), o)
	wantEnvError(t, err, ErrNoLibrary, libraryVariable, "make engine")
}

func TestLibraryThatIsNone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "libchdb.so")
	if err := os.WriteFile(path, []byte("not a library"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv(libraryVariable, path)
	o := testOptions(t, t.TempDir())
	o.NATS.Disabled = true
	_, err := Start(t.Context(), o)
	var env *EnvError
	if !errors.As(err, &env) || !strings.Contains(err.Error(), path) {
		t.Fatalf("got %v, want an *EnvError that names the file", err)
	}
}
