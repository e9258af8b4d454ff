package portal

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/shirecounty/shire/pipeline/audit"
	"github.com/shirecounty/shire/portal/callers"
)

const shareNodeEnv = "SHIRE_TEST_SHARE_NODE"

// runShareNodeIfAsked serves the node in a directory as a process of its own, until it is killed or its standard input ends.
func runShareNodeIfAsked() {
	dir := os.Getenv(shareNodeEnv)
	if dir == "" {
		return
	}
	if err := serveShareNode(dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

func serveShareNode(dir string) error {
	n, err := openShareNode(context.Background(), dir, false)
	if err != nil {
		return err
	}
	who, err := callers.New(callers.Options{Clients: testClients, Keys: n.keys})
	if err != nil {
		return err
	}
	flow := &fakeFlow{status: healthy()}
	p, err := New(Options{County: testCounty, Version: "0.1.0", Figures: &fakeFigures{}, Flow: flow, Definitions: definitions(), Listen: "127.0.0.1:0",
		Registry: prometheus.NewRegistry(), Log: slog.New(slog.DiscardHandler),
		Sharing: &SharingOptions{Desk: n.desk, Prefill: n.desk, Callers: who, Accesses: accessLog{n.log}, Contracts: n.set, Limits: wide}})
	if err != nil {
		return err
	}
	address, err := p.Listen()
	if err != nil {
		return err
	}
	fmt.Println("http://" + address.String())
	ctx, stop := context.WithCancel(context.Background())
	go func() {
		io.Copy(io.Discard, os.Stdin)
		stop()
	}()
	return p.Serve(ctx)
}

// A node is killed again and again while it is asked. Whatever was answered with data, as a recorder before the clients saw it, is in
// the access log: for this person, by this clerk, granted (I8). The log is one chain.
func TestNothingWasReadWithoutAnEntry(t *testing.T) {
	const kills, askers = 6, 8
	dir := t.TempDir()
	n, err := openShareNode(t.Context(), dir, true)
	if err != nil {
		t.Fatal(err)
	}
	key, err := n.keys.Add("civil")
	if err != nil {
		t.Fatal(err)
	}
	person := n.person(zhang)
	if err := n.close(); err != nil {
		t.Fatal(err)
	}
	var answered sync.Map // clerk of each answer with data
	var asked, answers atomic.Int64
	for round := range kills {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), shareNodeEnv+"="+dir)
		cmd.Stderr = os.Stderr
		hold, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		url, err := bufio.NewReader(out).ReadString('\n')
		if err != nil {
			cmd.Process.Kill()
			cmd.Wait()
			t.Fatalf("the node of round %d did not begin: %v", round, err)
		}
		enough := make(chan struct{}) // some were answered in this round
		var once sync.Once
		var inRound atomic.Int64
		var group sync.WaitGroup
		for range askers {
			group.Go(func() {
				client := &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{}}
				defer client.CloseIdleConnections()
				for {
					clerk := fmt.Sprint("clerk ", asked.Add(1))
					r, err := http.NewRequest(http.MethodGet, strings.TrimSpace(url)+"/api/v1/persons/"+person.String(), nil)
					if err != nil {
						t.Error(err)
						return
					}
					for name, value := range asks("", "", "", "", clerkHeader, clerk).headers {
						r.Header.Set(name, value)
					}
					r.Header.Set("Authorization", "Shire-Key civil."+key)
					answer, err := client.Do(r)
					if err != nil {
						return // it was killed
					}
					body, _ := io.ReadAll(answer.Body) // what came of it counts, also of one that was cut off
					answer.Body.Close()
					if strings.Contains(string(body), zhang.name) {
						answered.Store(clerk, true)
						answers.Add(1)
						if inRound.Add(1) == int64(50+40*round) {
							once.Do(func() { close(enough) })
						}
					}
				}
			})
		}
		select {
		case <-enough:
		case <-time.After(30 * time.Second):
			t.Errorf("round %d: %d answers", round, inRound.Load())
		}
		cmd.Process.Kill() // SIGKILL
		group.Wait()
		cmd.Wait()
		hold.Close()
	}
	if n, err = openShareNode(t.Context(), dir, false); err != nil {
		t.Fatal(err)
	}
	defer n.close()
	var export bytes.Buffer
	if err := audit.NewProjection(n.log, nil, slog.New(slog.DiscardHandler)).Export(t.Context(), &export); err != nil {
		t.Fatal(err)
	}
	keys, err := audit.OwnKeys(dir)
	if err != nil {
		t.Fatal(err)
	}
	report, _, err := audit.VerifyFile(t.Context(), bytes.NewReader(export.Bytes()), keys, nil)
	if err != nil || report.Err() != nil {
		t.Fatalf("the log is no chain: %v %v", err, report)
	}
	entries := grantedTo(export.Bytes(), person[:])
	missing := 0
	answered.Range(func(clerk, _ any) bool {
		if !entries[n.hasher.Text("clerk", clerk.(string))] {
			missing++
		}
		return true
	})
	if missing > 0 || answers.Load() == 0 || uint64(answers.Load()) > report.Entries {
		t.Errorf("%d of %d answers have no entry of their own among %d", missing, answers.Load(), report.Entries)
	}
	t.Logf("%d kills: %d asked, %d answered with data, %d entries", kills, asked.Load(), answers.Load(), report.Entries)
}

// grantedTo finds in an export the pseudonyms of the clerks to whom a look at a person was granted: 24 digits, and behind them in the
// same entry the person and the decision.
func grantedTo(export, person []byte) map[string]bool {
	found := map[string]bool{}
	caller := []byte("civil_affairs/civil")
	for {
		i := bytes.Index(export, caller)
		if i < 0 {
			return found
		}
		export = export[i+len(caller):]
		end := bytes.Index(export, caller)
		if end < 0 {
			end = len(export)
		}
		entry := export[:end]
		if at := bytes.Index(entry, person); len(entry) > 32 && at > 0 && bytes.Contains(entry[at:], []byte("granted")) {
			found[string(entry[8:32])] = true // behind its length
		}
	}
}
