package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"golang.org/x/crypto/bcrypt"

	"github.com/shirecounty/shire/jobs"
	"github.com/shirecounty/shire/jobs/ledger"
	"github.com/shirecounty/shire/portal"
	"github.com/shirecounty/shire/portal/accounts"
	"github.com/shirecounty/shire/schemas/calendar"
	"github.com/shirecounty/shire/schemas/county"
	"github.com/shirecounty/shire/schemas/metrics"
)

// hall is a portal over a scheduler that runs, without the rest of a node.
type hall struct {
	t        *testing.T
	url      string
	portal   *portal.Portal
	ledger   jobs.Ledger
	desk     *jobs.Desk
	operator struct{ name, password string }
	accounts *accounts.File
	client   *http.Client
	release  func() // lets the run of slow end
	log      *transcript
}

const hallJobs = `
  - {name: night-report, schedule: "30 2 * * *", days: workday, do: {read: log}, owner: 数据科 Data bureau}
  - {name: broken, do: {read: log}, owner: 窗口}
  - {name: slow, do: {read: log}}
  - {name: daily, schedule: "0 6 * * *", overlap: allow, do: {read: log}, parameters: {district: all, day: "{{from.date}}"}}
  - {name: alone, schedule: "0 7 * * *", do: {read: log}}
  - {name: after-daily, after: [daily], do: {read: log}}
`

// secretWord stands for what a program may print, and nobody may read who has not signed in.
const secretWord = "339921198601201134"

func newHall(t *testing.T, l jobs.Ledger) *hall {
	t.Helper()
	h := &hall{t: t, ledger: l, log: &transcript{}}
	gate := make(chan struct{})
	h.release = sync.OnceFunc(func() { close(gate) })
	workers := map[string]jobs.WorkerFunc{
		"broken": func(_ context.Context, _ jobs.Task, out io.Writer) (jobs.Result, error) {
			fmt.Fprintln(out, "reading", secretWord)
			return jobs.Result{}, errors.New("the file has no header; ask the department for a new one")
		},
		"slow": func(ctx context.Context, _ jobs.Task, out io.Writer) (jobs.Result, error) {
			for i := range 1200 {
				fmt.Fprintf(out, "line %d\n", i)
			}
			select {
			case <-gate:
			case <-ctx.Done():
				return jobs.Result{}, ctx.Err()
			}
			fmt.Fprintln(out, "the last line")
			return jobs.Result{Message: "done", Counts: map[string]uint64{"rows": 3}}, nil
		},
	}
	set := hallSet(t, hallJobs, func(name string) jobs.WorkerFunc {
		if w := workers[name]; w != nil {
			return w
		}
		return func(_ context.Context, task jobs.Task, out io.Writer) (jobs.Result, error) {
			fmt.Fprintln(out, "district", task.Parameters["district"])
			return jobs.Result{Counts: map[string]uint64{"rows": 7}}, nil
		}
	})
	h.open(set)
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- jobs.New(jobs.Options{Ledger: l, Jobs: set, Clock: jobs.System{}, Log: h.logger()}).Run(ctx)
	}()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return h
}

func (h *hall) logger() *slog.Logger { return slog.New(slog.NewTextHandler(h.log, nil)) }

// open serves the jobs, with one operator.
func (h *hall) open(set jobs.Set) {
	t := h.t
	t.Helper()
	h.desk = &jobs.Desk{Ledger: h.ledger, Jobs: set, Clock: jobs.System{}}
	h.operator.name, h.operator.password = "李梅", "only-for-tests"
	h.accounts = oneOperator(t, h.operator.name, h.operator.password)
	var shown portalJobs
	shown.show(h.desk)
	definitions, err := metrics.Load()
	if err != nil {
		t.Fatal(err)
	}
	p, err := portal.New(portal.Options{
		Listen: "127.0.0.1:0", County: county.County{Division: "339921", NameZh: "澄溪县", NameEn: "Chengxi County", TimeZone: "Asia/Shanghai"}, Version: "test",
		Figures: emptyCounty{}, Flow: emptyCounty{}, Definitions: definitions, Log: h.logger(), Jobs: shown.options(h.accounts),
	})
	if err != nil {
		t.Fatal(err)
	}
	h.portal = p
	site := httptest.NewServer(p.Handler())
	t.Cleanup(site.Close)
	h.url = site.URL
	h.signOut()
}

// oneOperator are accounts of one operator. The hash of the password is quick to check, for every hall signs in; that those of
// a county are slow is proven where they are made.
func oneOperator(t *testing.T, name, password string) *accounts.File {
	t.Helper()
	dir := t.TempDir()
	hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf(`[{"name":%q,"created":%q,"password_bcrypt":%q}]`, name, time.Now().UTC().Format(time.RFC3339Nano), hash)
	if err := os.WriteFile(filepath.Join(dir, accounts.OperatorsFile), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return accounts.Operators(dir)
}

// hallSet readies jobs whose work is a function.
func hallSet(t testing.TB, definitions string, work func(name string) jobs.WorkerFunc) jobs.Set {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "county.yaml")
	contract, err := os.ReadFile(filepath.Join("..", "..", "docs", "examples", "receipt", "contracts", "receipt_events.yaml"))
	if err == nil {
		err = errors.Join(os.Mkdir(filepath.Join(dir, "contracts"), 0o755), os.WriteFile(filepath.Join(dir, "contracts", "receipt_events.yaml"), contract, 0o644),
			os.WriteFile(file, []byte("county: {division: \"000000\", name_zh: 示例, time_zone: Asia/Shanghai}\nsources:\n  - {name: log, kind: file, datasets: [receipt_events]}\njobs:\n"+definitions), 0o644))
	}
	if err != nil {
		t.Fatal(err)
	}
	c, _, err := county.Load(file, []string{"file"})
	if err != nil {
		t.Fatal(err)
	}
	days, err := calendar.Load(calendar.National())
	if err != nil {
		t.Fatal(err)
	}
	set, err := jobs.NewSet(c.Jobs, days, func(j *county.Job) (jobs.Worker, string, error) { return work(j.Name), "log", nil })
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// emptyCounty is a county where nothing is loaded yet: the pages of jobs work without figures.
type emptyCounty struct{}

func (emptyCounty) Extent(context.Context) (metrics.Extent, error) {
	return metrics.Extent{Empty: true}, nil
}
func (emptyCounty) Metric(context.Context, metrics.Query) (metrics.Result, error) {
	return metrics.Result{}, nil
}
func (emptyCounty) Events(context.Context, metrics.EventsQuery) (metrics.Events, error) {
	return metrics.Events{}, nil
}
func (emptyCounty) Process(context.Context, metrics.ProcessQuery) (metrics.Process, error) {
	return metrics.Process{}, nil
}
func (emptyCounty) Changes(context.Context, time.Time) ([]metrics.Restated, error) { return nil, nil }
func (emptyCounty) Labels(context.Context) (d, i []metrics.Label, err error)       { return nil, nil, nil }
func (emptyCounty) Interventions(context.Context) ([]metrics.Intervention, error) {
	return nil, nil
}
func (emptyCounty) Status(context.Context) (portal.Status, error) {
	return portal.Status{State: portal.Running}, nil
}
func (emptyCounty) Generation() uint64          { return 1 }
func (emptyCounty) Ready(context.Context) error { return nil }

// streams is a ledger on a JetStream server of its own.
func streams(t *testing.T) jobs.Ledger {
	t.Helper()
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, JetStream: true, StoreDir: t.TempDir(), NoSigs: true, NoLog: true})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	if !s.ReadyForConnections(patience) {
		t.Fatal("the NATS server does not start")
	}
	nc, err := nats.Connect(s.ClientURL())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	l, err := ledger.Open(t.Context(), nc, ledger.Options{County: "000000"})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// do asks as the portal's own page does; headers replace those of the page, "" takes one away.
func (h *hall) do(method, path, body string, headers ...string) *answer {
	h.t.Helper()
	r, err := http.NewRequestWithContext(h.t.Context(), method, h.url+path, strings.NewReader(body))
	if err != nil {
		h.t.Fatal(err)
	}
	if method != http.MethodGet {
		r.Header.Set("X-Shire-Jobs", "1")
		r.Header.Set("Sec-Fetch-Site", "same-origin")
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(headers); i += 2 {
		if r.Header.Set(headers[i], headers[i+1]); headers[i+1] == "" {
			r.Header.Del(headers[i])
		}
	}
	response, err := h.client.Do(r)
	if err != nil {
		h.t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		h.t.Fatal(err)
	}
	return &answer{response.StatusCode, text, response.Header}
}

type answer struct {
	Code   int
	Body   []byte
	Header http.Header
}

// into reads an answer; another status than wanted ends the test.
func (a *answer) into(t *testing.T, code int, v any) *answer {
	t.Helper()
	if a.Code != code {
		t.Fatalf("status %d, want %d: %s", a.Code, code, a.Body)
	}
	if v != nil {
		reflect.ValueOf(v).Elem().SetZero() // what an answer leaves out is not that of the answer before
		if err := json.Unmarshal(a.Body, v); err != nil {
			t.Fatalf("%v in %s", err, a.Body)
		}
	}
	return a
}

func (h *hall) signIn() {
	h.t.Helper()
	h.do("POST", "/api/v1/operators/session", fmt.Sprintf(`{"name":%q,"password":%q}`, h.operator.name, h.operator.password)).into(h.t, 200, nil)
}

func (h *hall) signOut() {
	jar, _ := cookiejar.New(nil) // its error is always nil
	h.client = &http.Client{Jar: jar}
}

// eventually waits until something is so.
func (h *hall) eventually(what string, so func() bool) {
	h.t.Helper()
	for end := time.Now().Add(patience); !so(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			h.t.Fatal("waited in vain: " + what)
		}
	}
}

// until asks for a run until it stands as wanted.
func (h *hall) until(id string, as func(*portal.JobRun) bool) (r portal.JobRun) {
	h.t.Helper()
	h.eventually("run "+id+" stands as wanted", func() bool {
		h.do("GET", "/api/v1/runs/"+url.PathEscape(id), "").into(h.t, 200, &r)
		return as(&r)
	})
	return r
}

func is(outcome string) func(*portal.JobRun) bool {
	return func(r *portal.JobRun) bool { return r.Outcome == outcome }
}

func (h *hall) trigger(job, body string) (r portal.JobRun) {
	h.t.Helper()
	h.do("POST", "/api/v1/jobs/"+job+"/run", body).into(h.t, 200, &r)
	return r
}

// absentLedger is a ledger that can be taken away.
type absentLedger struct {
	jobs.Ledger
	away atomic.Bool
}

func (l *absentLedger) Watch(ctx context.Context, fn func(jobs.Entry)) error {
	if l.away.Load() {
		return errors.New("the bus does not answer, says " + secretWord)
	}
	return l.Ledger.Watch(ctx, fn)
}
