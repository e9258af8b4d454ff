package main

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
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
	text, err := os.ReadFile(filepath.Join(county, "county.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var settings map[string]any
	if err := yaml.Unmarshal(text, &settings); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
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

// martViews are the views of mart and their columns: the same for every data directory, so they are asked for once.
var martViews struct {
	mu      sync.Mutex
	names   []string
	columns map[string][]string
}

// dump is the content of every view of mart: how many rows, and a hash of all their values that does not depend on the
// order of the rows. Under ops.loads it has how many rows were loaded, and under ops.quarantine what waits there.
func dump(t *testing.T, data string) map[string]string {
	t.Helper()
	martViews.mu.Lock()
	defer martViews.mu.Unlock()
	if len(martViews.names) == 0 {
		martViews.columns = map[string][]string{}
		for _, c := range query(t, data, "SELECT table, name FROM system.columns WHERE database = 'mart' ORDER BY table, position") {
			view := c[0].(string)
			martViews.columns[view] = append(martViews.columns[view], c[1].(string))
		}
		martViews.names = slices.Sorted(maps.Keys(martViews.columns))
		if len(martViews.names) == 0 {
			t.Fatal("there is no view in mart")
		}
	}
	parts := []string{
		"SELECT 'ops.loads', sum(rows), '', '' FROM ops.loads",
		"SELECT 'ops.quarantine', count(), toString(sum(cityHash64(dataset, unit, row, field, code, message, state))), '' FROM ops.quarantine",
	}
	for _, v := range martViews.names {
		all := "*"
		switch v { // moments of the node's own, not of the departments
		case "models":
			all = "* EXCEPT chosen_at"
		case "links", "organisation_links":
			all = "* REPLACE (if(kind = 'link', effective_at, NULL) AS effective_at)"
		}
		// The sum of a hash sees a row that is there twice, which an exclusive or would not. Of two hashes, because
		// one alone has been known to meet its like.
		parts = append(parts, fmt.Sprintf("SELECT 'mart.%[1]s', count(), toString(sum(cityHash64(toString(tuple(%[2]s))))), toString(sum(sipHash64(toString(tuple(%[2]s))))) FROM mart.%[1]s", v, all))
	}
	out := map[string]string{}
	for _, row := range query(t, data, strings.Join(parts, " UNION ALL ")) {
		out[row[0].(string)] = fmt.Sprintf("%v rows, hash %v %v", row[1], row[2], row[3])
	}
	return out
}

// sameMarts fails the test unless both data directories hold the same marts, and shows rows that only one has.
func sameMarts(t *testing.T, want map[string]string, wantData, gotData string) {
	t.Helper()
	got := dump(t, gotData)
	for _, view := range slices.Sorted(maps.Keys(want)) {
		if got[view] == want[view] {
			continue
		}
		t.Errorf("%s: undisturbed: %s; here: %s%s", view, want[view], got[view], difference(t, view, wantData, gotData))
	}
	if len(got) != len(want) {
		t.Errorf("%d views here, %d in the undisturbed one", len(got), len(want))
	}
}

// samePeople is sameMarts for nodes whose sources were read side by side, so that the departments' changes stand in another
// order on the bus: who is with whom is the same (I6), but ids, which are kept, are those of their own history, and so are
// the merges and splits on the way. A person or organisation is known by its records here.
func samePeople(t *testing.T, wantData, gotData string) {
	t.Helper()
	want, got := peopleOf(t, wantData), peopleOf(t, gotData)
	if len(want) != len(got) {
		t.Errorf("%d views here, %d in the undisturbed one", len(got), len(want))
	}
	for _, view := range slices.Sorted(maps.Keys(want)) {
		if got[view] != want[view] {
			t.Errorf("%s: undisturbed: %s; here: %s", view, want[view], got[view])
		}
	}
	if want["mart.links"] == "" || want["mart.persons"] == "" {
		t.Errorf("there are no people in %v", want)
	}
}

// peopleOf is dump with parties named by the smallest of their records, and without how they came to be.
func peopleOf(t *testing.T, data string) map[string]string {
	t.Helper()
	dump(t, data) // knows the views
	const named = `WITH (SELECT CAST((groupArray(toString(id)), groupArray(toString(first))), 'Map(String, String)') FROM
		(
			SELECT person_id AS id, min(record) AS first FROM mart.links WHERE current GROUP BY id
			UNION ALL
			SELECT organisation_id AS id, min(record) AS first FROM mart.organisation_links WHERE current GROUP BY id
		)) AS named `
	parts := []string{"SELECT 'ops.loads' AS name, sum(rows) AS n, '' AS hash FROM ops.loads WHERE table_name != 'store.links'",
		"SELECT 'ops.quarantine', count(), toString(sum(cityHash64(dataset, unit, row, field, code, message, state))) FROM ops.quarantine"}
	for _, v := range martViews.names {
		from := "mart." + v
		var columns []string
		for _, name := range martViews.columns[v] {
			switch {
			case v == "models" && name == "chosen_at":
				continue
			case name == "person_id" || name == "organisation_id":
				name = "named[toString(" + name + ")]"
			}
			columns = append(columns, name)
		}
		switch v {
		case "links":
			from, columns = from+" WHERE current", []string{"record", "named[toString(person_id)]"}
		case "organisation_links":
			from, columns = from+" WHERE current", []string{"record", "named[toString(organisation_id)]"}
		}
		parts = append(parts, fmt.Sprintf("SELECT 'mart.%s', count(), toString(sum(sipHash64(toString(tuple(%s))))) FROM %s", v, strings.Join(columns, ", "), from))
	}
	out := map[string]string{}
	for _, row := range query(t, data, named+strings.Join(parts, " UNION ALL ")) {
		out[row[0].(string)] = fmt.Sprintf("%v rows, hash %v", row[1], row[2])
	}
	return out
}

func difference(t *testing.T, view, wantData, gotData string) string {
	t.Helper()
	if !strings.HasPrefix(view, "mart.") {
		return "" // its lines name ranges and instants, which differ anyway
	}
	count := func(data string) map[string]int {
		lines, err := csv.NewReader(strings.NewReader(shire(t, "sql", "--csv", "--data", data, "SELECT * FROM "+view).ok(t).Stdout)).ReadAll()
		if err != nil {
			t.Fatal(err)
		}
		n := map[string]int{}
		for _, l := range lines {
			n[strings.Join(l, " | ")]++
		}
		return n
	}
	want, got := count(wantData), count(gotData)
	var out strings.Builder
	shown := 0
	for _, line := range slices.Sorted(maps.Keys(merged(want, got))) {
		if want[line] != got[line] {
			if shown++; shown <= 6 {
				fmt.Fprintf(&out, "\n  %d times undisturbed, %d times here: %s", want[line], got[line], line)
			}
		}
	}
	fmt.Fprintf(&out, "\n  %d rows differ", shown)
	return out.String()
}

func merged(a, b map[string]int) map[string]int {
	m := maps.Clone(a)
	maps.Copy(m, b)
	return m
}
