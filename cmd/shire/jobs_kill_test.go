package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/shirecounty/shire/jobs"
	"github.com/shirecounty/shire/jobs/ledger"
)

// Three nodes of one county on one NATS and one ClickHouse, 216 runs a minute; every few seconds the node that serves is
// killed, and one after the other those that wait for its place. Each run starts once, none is missing, and what was cut
// off with its node is tried again, as the next attempt of the same run.
func TestKilledNodesRunEveryJobOnce(t *testing.T) {
	t.Parallel() // it waits more than it works
	needEngine(t)
	length := 20 * time.Second
	if os.Getenv("SHIRE_LONG") == "1" {
		length = 2 * time.Minute
	} else if testing.Short() {
		t.Skip("half a minute of kills")
	}
	random := newRandom(t)
	busAddress := externalNATS(t, nil)
	d := newDesk(t)
	starts := filepath.Join(d.dir, "starts")
	// What counts as a start is what the command itself writes: a line, in one write.
	lease := "1s"
	if raceDetector { // a node that catches up has little time for anything else
		lease = "4s"
	}
	text := deskCounty + "flow: {lease: " + lease + "}\njobs:\n"
	for i := range 15 {
		seconds := []int{3, 4, 5, 4, 6}[i%5]
		text += fmt.Sprintf("  - {name: job%d, every: %ds, missed: all, missed_most: 200, overlap: %s, do: {command: {run: [sh, -c, 'echo \"$SHIRE_RUN $SHIRE_ATTEMPT\" >> \"$0\"; sleep 0.5', %q]}}}\n",
			i, seconds, []string{"allow", "queue"}[i%2], starts)
	}
	d.write("county.yaml", text)
	engines := external(busAddress, externalClickHouse(t), "")
	file := countyYAML(t, d.dir, func(settings map[string]any) {
		engines(settings)
		passwordFiles(t, settings["engines"])
	})
	folders := t.TempDir()
	begin := func(i int) *process {
		return start(t, "up", "-c", file, "--data", filepath.Join(folders, fmt.Sprint("node", i)))
	}
	nodes := []*process{begin(0), begin(1), begin(2)}
	serves := func(p *process) bool { return strings.Contains(p.Output(), "Shire serves") }
	// serving waits for the node that serves. One that has lost its lease on a machine that had no time for it has ended with
	// a sentence; a service manager starts it again.
	gaveUp := 0
	serving := func() (at int) {
		for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
			for i, p := range nodes {
				if p.Ended() {
					t.Logf("node %d ended: %s", i, lastLine(p.result.Stderr))
					gaveUp++
					nodes[i] = begin(i)
				}
			}
			if at = slices.IndexFunc(nodes, serves); at >= 0 {
				return at
			}
			if time.Now().After(deadline) {
				t.Fatalf("nobody serves: %s", nodes[0].Output())
			}
		}
	}
	nc, err := nats.Connect(busAddress, nats.UserInfo("county", "nats-password"))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	s, err := (&app{config: file}).readSetup()
	if err != nil {
		t.Fatal(err)
	}
	l, err := ledger.Open(t.Context(), nc, ledger.Options{County: s.config.County.Division, Replicas: 1})
	if err != nil {
		t.Fatal(err)
	}
	set, err := s.jobSet(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	states := func() (list map[string]*jobs.State, err error) {
		list = map[string]*jobs.State{}
		for name := range set {
			e, err := l.Get(t.Context(), "job."+name)
			if err != nil {
				return nil, err
			}
			list[name] = &jobs.State{}
			if err := json.Unmarshal(e.Value, list[name]); err != nil {
				return nil, fmt.Errorf("the entry of %s: %w", name, err)
			}
		}
		return list, nil
	}
	// A run under which four processes have died is given up. Kills leave one in peace that has seen three.
	spared := func() bool {
		list, err := states()
		for _, s := range list {
			for _, r := range s.Active {
				if r.Lost >= 3 {
					return true
				}
			}
		}
		return err != nil
	}
	serving()
	served, waiting := 0, 0
	for end := time.Now().Add(length); time.Now().Before(end) || served < 3 || waiting == 0; {
		time.Sleep(time.Duration(500+random.IntN(2500)) * time.Millisecond)
		at := serving()
		if spared() {
			continue
		}
		if (served+waiting)%4 == 2 {
			at = (at + 1 + random.IntN(2)) % 3
			waiting++
		} else {
			served++
		}
		nodes[at].Kill()
		nodes[at] = begin(at)
		serving()
	}
	until := time.Now()

	history := map[string]*jobs.Run{}
	amiss := func() string {
		list, err := states()
		if err != nil {
			return err.Error()
		}
		for name, j := range set {
			state := list[name]
			for due, _ := j.DueTimes().Next(state.Since); due.At.Before(until); due, _ = j.DueTimes().Next(due.At) {
				id := j.RunID(due.At)
				r, err := l.Last(t.Context(), name, id)
				// A node that had no time to renew its lease counts for its runs as one that was killed.
				givenUp := gaveUp > 0 && r != nil && r.Outcome == jobs.Failed && r.Lost == 4
				if err != nil || r == nil || r.Outcome != jobs.OK && !givenUp {
					return fmt.Sprintf("%s: %+v, %v", id, r, err)
				}
				history[id] = r
			}
		}
		return ""
	}
	for deadline := time.Now().Add(patience); ; time.Sleep(100 * time.Millisecond) {
		serving()
		found := amiss()
		if found == "" {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("it did not end well: %s", found)
		}
	}
	well := 0
	for _, r := range history {
		if r.Outcome == jobs.OK {
			well++
		}
	}
	again := startsOnce(t, starts, history, until, gaveUp > 0)
	// The analyst sees the same: each run once, however often it was reported.
	var rows [][]any
	for deadline := time.Now().Add(patience); ; time.Sleep(500 * time.Millisecond) {
		at := serving()
		rows = query(t, filepath.Join(folders, fmt.Sprint("node", at)), fmt.Sprintf("SELECT count(), uniqExact(run_id), countIf(outcome = 'ok') FROM ops.runs WHERE due_at < fromUnixTimestamp64Milli(%d)", until.UnixMilli()))
		if n := len(history); fmt.Sprint(rows) == fmt.Sprint([][]any{{n, n, well}}) {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("ops.runs has %v, the history %d runs", rows, len(history))
		}
	}
	t.Logf("%d runs, %d of them given up, %d in more than one attempt; %d nodes killed that served, %d that waited", len(history), len(history)-well, again, served, waiting)
	if least := int(length.Minutes() * 180); len(history) < least {
		t.Errorf("%d runs prove little; want %d", len(history), least)
	}
}

// passwordFiles puts the passwords that settings take from the environment, which tests share, into files.
func passwordFiles(t *testing.T, settings any) {
	t.Helper()
	for _, engine := range settings.(map[string]any) {
		engine := engine.(map[string]any)
		for key, value := range engine {
			for _, p := range passwords {
				name, password, _ := strings.Cut(p, "=")
				if value != "${"+name+"}" {
					continue
				}
				file := filepath.Join(t.TempDir(), name)
				if err := os.WriteFile(file, []byte(password), 0o600); err != nil {
					t.Fatal(err)
				}
				engine[key] = "file:" + file
			}
		}
	}
}

// startsOnce proves that no attempt of a run was started twice, that each run which ended well was started as it says, and that
// nothing else was. Where no node has given its runs up by itself, only those under which one was killed are started again. It
// returns how many were.
func startsOnce(t *testing.T, file string, history map[string]*jobs.Run, until time.Time, gaveUp bool) (again int) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	seen, attempts := map[string]bool{}, map[string]int{}
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if seen[line] {
			t.Errorf("attempt %s started twice", line)
		}
		seen[line] = true
		id, _, _ := strings.Cut(line, " ")
		attempts[id]++
		_, at, _ := strings.Cut(id, "@")
		if due, err := time.Parse(time.RFC3339, at); err != nil || history[id] == nil && due.Before(until) {
			t.Errorf("%s was started, and no run of the history", line)
		}
	}
	for id, r := range history {
		if r.Outcome == jobs.OK && !seen[fmt.Sprintf("%s %d", id, r.Attempt)] {
			t.Errorf("run %s ended well in attempt %d, which never started", id, r.Attempt)
		}
		if attempts[id] > 1 {
			again++
		}
		if !gaveUp && r.Lost == 0 && attempts[id] != 1 {
			t.Errorf("run %s was started %d times, and no process died under it", id, attempts[id])
		}
	}
	return again
}
