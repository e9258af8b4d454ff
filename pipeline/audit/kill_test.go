package audit

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/shirecounty/shire/deploy/embedded"
)

// A process that appends for a test is this binary with the variables below: where the server is, or the directory on which it
// runs one itself; where the key is; and what its accesses are called.
const (
	appendTo   = "SHIRE_TEST_AUDIT_APPEND"
	appendDir  = "SHIRE_TEST_AUDIT_SERVE"
	appendKey  = "SHIRE_TEST_AUDIT_KEY"
	appendName = "SHIRE_TEST_AUDIT_NAME"
)

const appenders = 8 // goroutines of such a process

func natsOnly(ctx context.Context, dir string) (*embedded.Engines, *nats.Conn, error) {
	e, err := embedded.Start(ctx, embedded.Options{Dir: dir, Version: "1.0.0", ClickHouse: embedded.ClickHouseOptions{Disabled: true}, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return nil, nil, err
	}
	nc, err := nats.Connect(e.NATS().URL, e.NATS().InProcess()...)
	return e, nc, err
}

// appendIfAsked appends until it is killed, and prints what was acknowledged.
func appendIfAsked() {
	name := os.Getenv(appendName)
	if name == "" {
		return
	}
	fail := func(err error) {
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	var nc *nats.Conn
	var err error
	if dir := os.Getenv(appendDir); dir != "" {
		_, nc, err = natsOnly(context.Background(), dir)
	} else {
		nc, err = nats.Connect(os.Getenv(appendTo))
	}
	fail(err)
	key, err := LoadOrCreateKey(os.Getenv(appendKey), Ed25519)
	fail(err)
	l, err := Open(context.Background(), nc, Options{County: "330782", Hasher: testHasher(), Key: key, CheckpointEntries: 100, Log: slog.New(slog.DiscardHandler)})
	fail(err)
	for g := range appenders {
		go func() {
			for i := 0; ; i++ {
				number := fmt.Sprint(name, "-", g, "-", i)
				if l.Record(context.Background(), testAccess(number)) == nil {
					fmt.Println(number) // one write for a line
				}
			}
		}()
	}
	select {}
}

// killed starts processes that append and kills them all when each has had some accesses acknowledged. It returns those.
func killed(t *testing.T, acks int, key string, env ...[]string) []string {
	t.Helper()
	var mu sync.Mutex
	var acknowledged []string
	var group sync.WaitGroup
	var enough sync.WaitGroup
	var processes []*exec.Cmd
	for _, e := range env {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(append(os.Environ(), appendKey+"="+key), e...)
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		if err == nil {
			err = cmd.Start()
		}
		if err != nil {
			t.Fatal(err)
		}
		processes = append(processes, cmd)
		enough.Add(1)
		group.Go(func() {
			n := 0
			tell := sync.OnceFunc(enough.Done)
			defer tell()
			in := bufio.NewReader(out)
			for {
				line, err := in.ReadString('\n')
				if err != nil { // a line that was cut off was not told
					_, _ = io.Copy(io.Discard, in)
					return
				}
				mu.Lock()
				acknowledged = append(acknowledged, strings.TrimSpace(line))
				mu.Unlock()
				if n++; n == acks {
					tell()
				}
			}
		})
	}
	enough.Wait()
	for _, cmd := range processes {
		if err := cmd.Process.Kill(); err != nil {
			t.Error(err)
		}
	}
	group.Wait()
	for _, cmd := range processes {
		_ = cmd.Wait() // it says that it was killed
	}
	if len(acknowledged) < acks*len(env) {
		t.Fatalf("%d accesses were acknowledged, want %d at least", len(acknowledged), acks*len(env))
	}
	return acknowledged
}

// whole proves a log that was never in ClickHouse and counts its accesses.
func whole(t *testing.T, nc *nats.Conn, key string) map[string]int {
	t.Helper()
	keys, err := OwnKeys(key)
	if err != nil {
		t.Fatal(err)
	}
	k, err := LoadOrCreateKey(key, Ed25519)
	if err != nil {
		t.Fatal(err)
	}
	l, err := Open(t.Context(), nc, Options{County: "330782", Hasher: testHasher(), Key: k, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	begin, err := l.first(t.Context())
	if err != nil || begin == nil {
		t.Fatalf("%+v, %v", begin, err)
	}
	found := map[string]int{}
	from := &live{p: &Projection{log: l}, begin: begin, keep: func(r record) error {
		e, err := r.entry()
		found[e.CaseNumber]++
		return err
	}}
	report, err := verifySource(t.Context(), newVerifier(keys, true), from, nil)
	if err != nil || !report.OK() {
		t.Errorf("%+v, %v", report, err)
	}
	return found
}

// Processes that write to the log at once are killed in the middle, and so is one that runs the server itself. What was
// acknowledged is in the log, each access once, and the chain is whole.
func TestKill(t *testing.T) {
	stop := func(e *embedded.Engines, nc *nats.Conn) {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		nc.Close()
		if err := e.Stop(ctx); err != nil {
			t.Error(err)
		}
	}
	check := func(nc *nats.Conn, key string, acknowledged []string) {
		t.Helper()
		found := whole(t, nc, key)
		for _, number := range acknowledged {
			if found[number] == 0 {
				t.Errorf("%s was acknowledged and is not in the log", number)
			}
		}
		for number, n := range found {
			if n != 2 && n != 0 {
				t.Errorf("%s has %d entries, want one for each of two persons", number, n)
			}
		}
		t.Logf("%d accesses acknowledged, %d in the log", len(acknowledged), len(found))
	}
	const rounds, acks = 3, 500
	t.Run("two writers", func(t *testing.T) {
		key := t.TempDir()
		e, nc, err := natsOnly(t.Context(), t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		defer stop(e, nc)
		url := strings.Replace(e.NATS().URL, "nats://", "nats://"+e.NATS().User+":"+e.NATS().Password+"@", 1)
		var all []string
		for round := range rounds {
			of := func(who string) []string {
				return []string{appendTo + "=" + url, appendName + "=" + fmt.Sprint(who, round)}
			}
			all = append(all, killed(t, acks, key, of("a"), of("b"))...)
		}
		check(nc, key, all)
	})
	t.Run("the server", func(t *testing.T) {
		key, dir := t.TempDir(), t.TempDir()
		var all []string
		for round := range rounds {
			all = append(all, killed(t, acks, key, []string{appendDir + "=" + dir, appendName + "=" + fmt.Sprint("s", round)})...)
		}
		e, nc, err := natsOnly(t.Context(), dir)
		if err != nil {
			t.Fatal(err)
		}
		defer stop(e, nc)
		check(nc, key, all)
	})
}
