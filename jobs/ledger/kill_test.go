package ledger_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/shirecounty/shire/jobs"
	"github.com/shirecounty/shire/jobs/ledger"
	"github.com/shirecounty/shire/schemas/county"
)

// These tests run schedulers as processes of their own: this test binary becomes one when the environment says so. So
// kill -9 is the real one.
const (
	processOf = "SHIRE_TEST_JOBS_OF"     // URL of the NATS server
	countyOf  = "SHIRE_TEST_JOBS_COUNTY" // division code
)

// shortLease lets a dead process be missed soon.
const shortLease = 1500 * time.Millisecond

// dueJobs come to 206 runs a minute, at many different moments.
func dueJobs() []county.Job {
	var list []county.Job
	for seconds, n := range map[int]int{3: 4, 4: 4, 5: 4, 10: 3} {
		for i := range n {
			list = append(list, county.Job{Name: fmt.Sprintf("every%d-%d", seconds, i), Every: county.Duration(time.Duration(seconds) * time.Second), Zone: time.UTC,
				Days: county.DaysAny, Missed: county.MissedAll, MissedMost: 200, Overlap: []string{county.OverlapAllow, county.OverlapQueue}[i%2], Timeout: county.Duration(time.Minute)})
		}
	}
	return list
}

// runProcess is a scheduler that tells each start to a stream before it does anything.
func runProcess(url string) int {
	fail := func(err error) int {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	nc, err := nats.Connect(url, nats.MaxReconnects(-1))
	if err != nil {
		return fail(err)
	}
	js, err := jetstream.New(nc)
	if err != nil {
		return fail(err)
	}
	ctx := context.Background()
	l, err := ledger.Open(ctx, nc, ledger.Options{County: os.Getenv(countyOf), Replicas: 1})
	if err != nil {
		return fail(err)
	}
	set, err := jobs.NewSet(dueJobs(), nil, func(*county.Job) (jobs.Worker, string, error) {
		return jobs.WorkerFunc(func(ctx context.Context, t jobs.Task, out io.Writer) (jobs.Result, error) {
			data, err := json.Marshal(t)
			if err == nil {
				_, err = js.Publish(ctx, "starts."+os.Getenv(countyOf), data)
			}
			fmt.Fprintf(out, "attempt %d\n", t.Attempt)
			time.Sleep(time.Duration(rand.IntN(250)) * time.Millisecond)
			return jobs.Result{}, err
		}), "", nil
	})
	if err != nil {
		return fail(err)
	}
	fmt.Println("up")
	s := jobs.New(jobs.Options{Ledger: l, Jobs: set, Clock: jobs.System{}, Log: slog.New(slog.NewTextHandler(os.Stderr, nil)), Lease: shortLease})
	if err := s.Run(ctx); err != nil {
		return fail(err)
	}
	return 0
}

type child struct {
	cmd  *exec.Cmd
	done chan struct{}
}

func startChild(t *testing.T, county string) *child {
	t.Helper()
	executable, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := &child{cmd: exec.Command(executable), done: make(chan struct{})}
	c.cmd.Env = append(os.Environ(), processOf+"="+natsURL, countyOf+"="+county)
	if dir := os.Getenv("SHIRE_TEST_LOGS"); dir != "" {
		f, err := os.CreateTemp(dir, "child")
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		c.cmd.Stderr = f
	}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "up\n" {
		t.Fatalf("a scheduler did not start: %q, %v", line, err)
	}
	go func() {
		defer close(c.done)
		_ = c.cmd.Wait() // it is killed
	}()
	t.Cleanup(c.kill)
	return c
}

func (c *child) kill() {
	_ = c.cmd.Process.Kill()
	<-c.done
}

// Three processes on one NATS, 206 runs a minute; one process is killed every second. Every run is started, no attempt twice,
// and in the end each has ended well.
func TestKilledSchedulers(t *testing.T) {
	length := 20 * time.Second
	if os.Getenv("SHIRE_LONG") != "" {
		length = 2 * time.Minute
	}
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 0))
	t.Logf("seed %d", seed)
	division := newCounty()
	l := open(t, division)
	js, err := jetstream.New(connect(t))
	if err != nil {
		t.Fatal(err)
	}
	starts, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "STARTS" + division, Subjects: []string{"starts." + division}})
	if err != nil {
		t.Fatal(err)
	}
	children := []*child{startChild(t, division), startChild(t, division), startChild(t, division)}
	kills := 0
	for end := time.Now().Add(length); time.Now().Before(end); kills++ {
		time.Sleep(time.Duration(600+random.IntN(800)) * time.Millisecond)
		i := random.IntN(len(children))
		children[i].kill()
		children[i] = startChild(t, division)
	}
	until := time.Now()

	set, err := jobs.NewSet(dueJobs(), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	desk := &jobs.Desk{Ledger: l, Jobs: set, Clock: jobs.System{}}
	wait(t, "every run is over", func() string {
		list, err := desk.List(t.Context())
		if err != nil {
			return err.Error()
		}
		for _, s := range list {
			for _, r := range s.Active {
				if r.Due.Before(until) {
					return fmt.Sprintf("%+v", r)
				}
			}
		}
		return ""
	})
	runs, retried := 0, 0
	byID := map[string]jobs.Run{}
	wait(t, "every run is in the history", func() string {
		runs, retried = 0, 0
		for name, j := range set {
			e, err := l.Get(t.Context(), "job."+name)
			if err != nil {
				return err.Error()
			}
			var state jobs.State
			if err := json.Unmarshal(e.Value, &state); err != nil {
				return err.Error()
			}
			for due, _ := j.DueTimes().Next(state.Since); due.At.Before(until); due, _ = j.DueTimes().Next(due.At) {
				r, err := l.Last(t.Context(), name, j.RunID(due.At))
				if err != nil || r == nil {
					return fmt.Sprintf("%s is missing: %v", j.RunID(due.At), err)
				}
				if r.Outcome != jobs.OK {
					return fmt.Sprintf("%s is %s: %s", r.ID, r.Outcome, r.Message)
				}
				byID[r.ID] = *r
				if runs++; r.Attempt > 1 {
					retried++
				}
			}
		}
		return ""
	})
	info, err := starts.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for seq := uint64(1); seq <= info.State.LastSeq; seq++ {
		msg, err := starts.GetMsg(t.Context(), seq)
		if err != nil {
			t.Fatal(err)
		}
		var task jobs.Task
		if err := json.Unmarshal(msg.Data, &task); err != nil {
			t.Fatal(err)
		}
		key := fmt.Sprintf("%s/%d", task.Run, task.Attempt)
		if seen[key] {
			t.Errorf("attempt %s started twice", key)
		}
		seen[key] = true
	}
	for id, r := range byID {
		if !seen[fmt.Sprintf("%s/%d", id, r.Attempt)] {
			t.Errorf("run %s ended well in attempt %d, which never started", id, r.Attempt)
		}
	}
	t.Logf("%d runs, %d of them in more than one attempt, %d processes killed", runs, retried, kills)
	if least := int(length.Minutes() * 150); runs < least || kills < int(length/(2*time.Second)) {
		t.Errorf("%d runs and %d kills prove little; want %d runs", runs, kills, least)
	}
}

// wait polls until nothing is amiss.
func wait(t *testing.T, what string, amiss func() string) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(100 * time.Millisecond) {
		found := amiss()
		if found == "" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain until %s: %s", what, found)
		}
	}
}

// Nothing of a process that is gone stays in the bucket.
func TestDeadProcessesAreCleared(t *testing.T) {
	division := newCounty()
	l := open(t, division)
	dead := startChild(t, division)
	desk := &jobs.Desk{Ledger: l}
	nodes := func() int {
		list, err := desk.Nodes(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return len(list)
	}
	wait(t, "it is known", func() string { return strings.Repeat("x", 1-nodes()) })
	startChild(t, division)
	wait(t, "both are known", func() string { return strings.Repeat("x", max(2-nodes(), 0)) })
	dead.kill()
	wait(t, "it is missed", func() string { return strings.Repeat("x", nodes()-1) })
}
