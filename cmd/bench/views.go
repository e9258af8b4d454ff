package main

import (
	"bufio"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

//go:embed flask_county.py
var flaskCounty string

const (
	viewConnections = 16
	viewCases       = 20_000 // open ones: whom views are asked about
	mostViewWait    = 20 * time.Millisecond
	leastViewRatio  = 3.0
)

// viewsFigures is audited views of persons, beside a program that checks and records nothing.
type viewsFigures struct {
	people, cases int
	made          float64
	flask         string // its version
	views, peer   []viewRound
	ratio         []float64 // requests a second: views / peer, pair by pair
	noise         []float64 // peer / peer
	noiseViews    []float64 // views / views
}

// viewRound is one measurement: requests a second, and how long each waited, sorted.
type viewRound struct {
	rate float64
	wait []time.Duration
}

func measureViews(ctx context.Context, o options, dir string) (_ *viewsFigures, err error) {
	f := &viewsFigures{people: o.rows, cases: min(viewCases, o.rows)}
	python, version, err := flaskPython(ctx, o.python)
	if err != nil {
		return nil, err
	}
	f.flask = version
	node := filepath.Join(dir, "views")
	if err := os.MkdirAll(node, 0o700); err != nil {
		return nil, err
	}
	contracts, err := filepath.Abs(filepath.Join("connectors", "simulate", "county", "contracts"))
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	task, err := json.Marshal(viewsTask{Dir: node, Contracts: contracts, People: f.people, Cases: f.cases})
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, self, "views", string(task))
	cmd.Stderr = os.Stderr
	hold, err := cmd.StdinPipe() // it ends when this is closed
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, hold.Close(), cmd.Wait()) }()
	var ready viewsReady
	if err := json.NewDecoder(bufio.NewReader(out)).Decode(&ready); err != nil {
		return nil, fmt.Errorf("the node of the views did not begin: %w", err)
	}
	f.made = ready.Made
	fmt.Printf("views: a county of %d people was made in %.0f s\n", f.people, f.made)
	peer, stop, err := startFlask(ctx, python, dir)
	if err != nil {
		return nil, err
	}
	defer stop()
	view := func(i int) (*http.Request, error) {
		n := i * 7919 % len(ready.Persons)
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, ready.URL+"/api/v1/persons/"+ready.Persons[n], nil)
		if err == nil {
			for name, value := range map[string]string{"Authorization": "Shire-Key " + ready.Key, "Shire-Clerk": "bench", "Shire-Purpose": viewsPurpose, "Shire-Item": viewsItem, "Shire-Case": fmt.Sprintf("C-%d", n)} {
				r.Header.Set(name, value)
			}
		}
		return r, err
	}
	sketch := func(i int) (*http.Request, error) {
		return http.NewRequestWithContext(ctx, http.MethodGet, peer+"/api/user_data/"+strconv.Itoa(i), nil)
	}
	seconds := time.Duration(min(o.seconds, 10)) * time.Second
	for round := range o.rounds + 1 {
		var got [4]viewRound
		for i, make := range []func(int) (*http.Request, error){view, sketch, view, sketch} {
			if got[i], err = loadViews(seconds, make); err != nil {
				return nil, err
			}
		}
		fmt.Printf("views, round %d: %.0f and %.0f views/s (p99 %v), sketch %.0f and %.0f/s\n", round, got[0].rate, got[2].rate, percentile(got[0].wait, .99), got[1].rate, got[3].rate)
		if round == 0 {
			continue // warms up
		}
		f.views, f.peer = append(f.views, got[0], got[2]), append(f.peer, got[1], got[3])
		f.ratio = append(f.ratio, got[0].rate/got[1].rate, got[2].rate/got[3].rate)
		f.noise, f.noiseViews = append(f.noise, got[3].rate/got[1].rate), append(f.noiseViews, got[2].rate/got[0].rate)
	}
	return f, nil
}

// loadViews asks over so many connections at once, each the next when it has its answer, for a time. An answer other than 200, or an empty
// one, ends it.
func loadViews(d time.Duration, request func(i int) (*http.Request, error)) (viewRound, error) {
	transport := &http.Transport{MaxIdleConnsPerHost: viewConnections, MaxConnsPerHost: viewConnections, DisableCompression: true}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, Timeout: 30 * time.Second}
	waits := make([][]time.Duration, viewConnections)
	failed := make([]error, viewConnections)
	began := time.Now()
	var group sync.WaitGroup
	for g := range viewConnections {
		group.Go(func() {
			for i := g; time.Since(began) < d; i += viewConnections {
				r, err := request(i)
				if err != nil {
					failed[g] = err
					return
				}
				from := time.Now()
				answer, err := client.Do(r)
				if err != nil {
					failed[g] = err
					return
				}
				n, err := io.Copy(io.Discard, answer.Body)
				answer.Body.Close()
				if err != nil || answer.StatusCode != http.StatusOK || n < 50 {
					failed[g] = errors.Join(err, fmt.Errorf("a request was answered with %s and %d bytes", answer.Status, n))
					return
				}
				waits[g] = append(waits[g], time.Since(from))
			}
		})
	}
	group.Wait()
	took := time.Since(began)
	all := slices.Concat(waits...)
	slices.Sort(all)
	return viewRound{float64(len(all)) / took.Seconds(), all}, errors.Join(failed...)
}

// flaskPython finds a Python that has Flask: Debian's, or the one that was named.
func flaskPython(ctx context.Context, named string) (python, version string, err error) {
	for _, python := range []string{"/usr/bin/python3", named} {
		out, err := exec.CommandContext(ctx, python, "-c", "import importlib.metadata as m; print(m.version('flask'), m.version('werkzeug'))").Output()
		if err == nil {
			flask, werkzeug, _ := strings.Cut(strings.TrimSpace(string(out)), " ")
			return python, "Flask " + flask + ", Werkzeug " + werkzeug, nil
		}
	}
	return "", "", errors.New("no Python has Flask, the peer of the views; run: apt-get install -y python3-flask")
}

// startFlask runs the sketch and waits until it answers.
func startFlask(ctx context.Context, python, dir string) (url string, stop func(), err error) {
	script := filepath.Join(dir, "flask_county.py")
	if err := os.WriteFile(script, []byte(flaskCounty), 0o644); err != nil {
		return "", nil, err
	}
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	address := free.Addr().String()
	free.Close()
	_, port, _ := net.SplitHostPort(address)
	cmd := exec.CommandContext(ctx, python, script, port) // what it says of each request goes nowhere
	if err := cmd.Start(); err != nil {
		return "", nil, err
	}
	stop = func() {
		cmd.Process.Kill()
		cmd.Wait()
	}
	for range 100 {
		if answer, err := http.Get("http://" + address + "/api/user_data/1"); err == nil {
			answer.Body.Close()
			return "http://" + address, stop, nil
		}
		time.Sleep(100 * time.Millisecond)
	}
	stop()
	return "", nil, errors.New("the sketch did not answer within 10 s")
}

func (f *viewsFigures) section(o options) section {
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	at := func(rounds []viewRound, share float64) spread {
		return spreadOf(each(rounds, func(r viewRound) float64 { return ms(percentile(r.wait, share)) }))
	}
	rate := func(rounds []viewRound) spread {
		return spreadOf(each(rounds, func(r viewRound) float64 { return r.rate }))
	}
	p99, ratio := at(f.views, .99), spreadOf(f.ratio)
	return section{titleViews, fmt.Sprintf(`
%s people, each in two departments' registers, %s of them with an open case: made in %.0f s through the store's and the identities' own
Apply. A client of one department reads them over HTTP on loopback with its key, %d connections that each wait for their answer; every
view is checked against case, person and grants, decrypted, masked, merged by meaning, and acknowledged by the access log before it is
shown. The load comes from the same machine.

Peer: a sketch in %s that returns five fields out of three constant dictionaries as JSON with its own server. It checks nothing,
records nothing and holds nobody.

%s
| | median (least to greatest) | bound |
|---|---|---|
| audited views a second | %s | |
| the sketch, requests a second | %s | |
| **views / sketch** | **%s** | at least %.0f: %s |
| noise: sketch / sketch | %s | |
| noise: views / views | %s | |
| wait for a view, median | %s ms | |
| **wait for a view, 99th percentile** | **%s ms** | at most %.0f ms: %s |
| wait for the sketch, 99th percentile | %s ms | |
`, thousands(f.people), thousands(f.cases), f.made, viewConnections, f.flask, conditions(o, "views", fmt.Sprintf("%d rounds after one that warms up, views and sketch in turn, twice each.", o.rounds), engineVersions()[1:]...),
		rate(f.views).whole(), rate(f.peer).whole(), ratio, leastViewRatio, verdict(ratio.median >= leastViewRatio), spreadOf(f.noise), spreadOf(f.noiseViews),
		at(f.views, .5), p99, ms(mostViewWait), verdict(p99.median <= ms(mostViewWait)), at(f.peer, .99))}
}
