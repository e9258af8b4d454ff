package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/shirecounty/shire/deploy/embedded"
	"github.com/shirecounty/shire/pipeline/audit"
	"github.com/shirecounty/shire/pipeline/disclosure"
	"github.com/shirecounty/shire/pipeline/warehouse"
	"github.com/shirecounty/shire/portal/accounts"
)

const deskClients = `
sharing:
  purposes: {eligibility: {zh: 资格核验, en: Eligibility}}
  clients:
    - {name: window, department: desk, api_key: true}
    - {name: gateway, department: desk, certificate: {dns: gateway.desk.example}}
`

func TestClientsCommand(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.write("county.yaml", deskCounty+deskClients)
	d.change("county.yaml", "portal: {", "portal: {tls: {cert: cert.pem, key: key.pem, client_ca: ca.pem}, ")
	if err := os.Mkdir(d.data, 0o700); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	do := func(args ...string) (string, any, error) {
		out.Reset()
		a := &app{out: &out, data: d.data, config: filepath.Join(d.dir, "county.yaml")}
		cmd := a.clientsCommand()
		cmd.SetArgs(args)
		cmd.SilenceErrors, cmd.SilenceUsage = true, true
		err := cmd.Execute()
		return out.String(), a.result, err
	}
	lines := func() []clientLine {
		t.Helper()
		text, list, err := do("list")
		if err != nil || !strings.Contains(text, "window") || !strings.Contains(text, "[certificate]") {
			t.Fatalf("%s %v", text, err)
		}
		return list.([]clientLine)
	}
	if l := lines(); len(l) != 2 || l[0].Name != "window" || l[0].KeyAdded != nil || !slices.Equal(l[0].Proves, []string{"key"}) || l[0].ClientState != nil {
		t.Errorf("%+v", l)
	}

	text, added, err := do("add", "window")
	_, rest, _ := strings.Cut(text, "Authorization: Shire-Key window.")
	secret, _, _ := strings.Cut(rest, "\n")
	if err != nil || secret == "" || added.(map[string]string)["key"] != "window."+secret || strings.Count(text, secret) != 1 {
		t.Fatalf("%s %v %v", text, added, err)
	}
	keys := accounts.Clients(d.data)
	if right, err := keys.Right("window", secret); err != nil || !right {
		t.Errorf("the key that was printed is not the client's: %v", err)
	}
	// It is shown once: neither the file nor any later word has it.
	var later strings.Builder
	content, err := os.ReadFile(filepath.Join(d.data, accounts.ClientsFile))
	if err != nil {
		t.Fatal(err)
	}
	later.Write(content)
	if l := lines(); l[0].KeyAdded == nil || l[1].KeyAdded != nil {
		t.Errorf("%+v", l)
	}
	for _, c := range []struct {
		args []string
		says string
	}{
		{[]string{"add", "window"}, "the client window has a key; remove it first: shire clients remove window"},
		{[]string{"add", "gateway"}, "the client gateway proves itself otherwise; write api_key: true"},
		{[]string{"add", "windwo"}, `county.yaml names no client "windwo"; write it under sharing.clients`},
		{[]string{"add", ""}, `names no client ""`},
		{[]string{"add", "../window"}, "names no client"},
		{[]string{"add"}, "one name of sharing.clients"},
		{[]string{"add", "window", "gateway"}, "one name of sharing.clients"},
		{[]string{"remove", "windwo"}, `there is no key of a client "windwo"; see shire clients list`},
		{[]string{"remove", "gateway"}, `there is no key of a client "gateway"`},
		{[]string{"lift", "windwo"}, `county.yaml names no client "windwo"; see shire clients list`},
		{[]string{"lift"}, "one name"},
		{[]string{"list", "window"}, "no arguments"},
		{[]string{"lsit"}, `clients has no command "lsit"`},
	} {
		text, result, err := do(c.args...)
		var mistake *inputError
		if !errors.As(err, &mistake) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%q: %v", c.args, err)
			continue
		}
		later.WriteString(text + err.Error())
		if text != "" || result != nil {
			t.Errorf("%q: %s %v", c.args, text, result)
		}
	}
	if right, err := keys.Right("window", secret); err != nil || !right {
		t.Errorf("a mistake took the key away: %v", err)
	}
	// Without a running node there is nobody to lift.
	var environment *embedded.EnvError
	if _, _, err := do("lift", "window"); !errors.As(err, &environment) {
		t.Errorf("%v", err)
	}
	text, _, _ = do("list")
	later.WriteString(text)
	if strings.Contains(later.String(), secret) {
		t.Error("the key was shown again, or is kept")
	}

	// A client that left county.yaml may not call, and whoever lists them is told of its key.
	d.change("county.yaml", "name: window", "name: counter")
	if text, list, err := do("list"); err != nil || !strings.Contains(text, "county.yaml names no client window") || len(list.([]clientLine)) != 3 {
		t.Errorf("%s %v %v", text, list, err)
	}
	if text, _, err := do("remove", "window"); err != nil || !strings.Contains(text, "The client window has no key any more.") {
		t.Errorf("%s %v", text, err)
	}
	if right, err := keys.Right("window", secret); err != nil || right {
		t.Errorf("a key that was taken away is still good: %v", err)
	}
	// Names given again get another key.
	if _, added, err := do("add", "counter"); err != nil || strings.HasSuffix(added.(map[string]string)["key"], secret) {
		t.Errorf("%v", err)
	}
	d.write("county.yaml", deskCounty)
	if err := keys.Remove("counter"); err != nil {
		t.Fatal(err)
	}
	if text, _, err := do("list"); err != nil || !strings.Contains(text, "nobody may call the sharing interface") {
		t.Errorf("%s %v", text, err)
	}
}

// Whoever shows people's data without asking the desk writes to a log that takes nothing while ClickHouse does not answer.
func TestLogThatNobodyCouldRead(t *testing.T) {
	t.Parallel()
	pulse, err := warehouse.NewPulse(warehouse.Address{Native: "127.0.0.1:1"}, time.Second, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer pulse.Close()
	room := &sharingRoom{pulse: pulse}
	var away *disclosure.Unavailable
	if err := room.seen(&auditLog{}).Record(t.Context(), audit.Access{}); !errors.As(err, &away) || away.What != disclosure.TheWarehouse {
		t.Errorf("%v", err)
	}
}

// clients is a window of the running demo: it is stopped because it misses too often, an operator lets it go on, and nothing is told
// to it while ClickHouse does not answer.
func (d *demoNode) clients(t *testing.T) {
	const client = tourPrefix + "health"
	var added struct{ Key string }
	envelopeOf(t, shire(t, "clients", "add", client, "--json", "--data", d.data).ok(t), &added)
	ask := func(clerk string) (status int, code string) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, d.portal+"/api/v1/persons/01234567-89ab-8def-8123-456789abcdef", nil)
		if err != nil {
			t.Fatal(err)
		}
		for name, value := range map[string]string{"Authorization": "Shire-Key " + added.Key, "Shire-Clerk": clerk, "Shire-Purpose": tourPurpose, "Shire-Item": "none", "Shire-Case": "none"} {
			r.Header.Set(name, value)
		}
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		text, err := io.ReadAll(res.Body)
		var problem struct{ Code string }
		if err := errors.Join(err, json.Unmarshal(text, &problem)); err != nil {
			t.Fatalf("%v: %s", err, text)
		}
		return res.StatusCode, problem.Code
	}
	until := func(clerk, want string) {
		t.Helper()
		for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
			status, code := ask(clerk)
			if code == want {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("%d %s, and never %s", status, code, want)
			}
		}
	}
	state := func() clientLine {
		t.Helper()
		var list []clientLine
		envelopeOf(t, shire(t, "clients", "list", "--json", "--data", d.data).ok(t), &list)
		i := slices.IndexFunc(list, func(l clientLine) bool { return l.Name == client })
		if i < 0 || list[i].ClientState == nil || list[i].KeyAdded == nil {
			t.Fatalf("%+v", list)
		}
		return list[i]
	}
	until("clerk", "no_case")
	if s := state(); s.StoppedUntil != nil || s.Misses != 1 {
		t.Errorf("%+v", s.ClientState)
	}
	shire(t, "clients", "lift", client, "--data", d.data).fails(t, exitFailed, "the client "+client+" is not stopped")
	until("clerk", "enumeration_stopped")
	if s := state(); s.StoppedUntil == nil || s.Reason != "misses" {
		t.Errorf("%+v", s.ClientState)
	}
	if r := shire(t, "clients", "list", "--data", d.data).ok(t); !strings.Contains(r.Stdout, "(misses)") {
		t.Errorf("%v", r)
	}
	shire(t, "clients", "lift", "tour_helth", "--data", d.data).fails(t, exitInput, `names no client "tour_helth"`)
	if r := shire(t, "clients", "lift", client, "--data", d.data).ok(t); !strings.Contains(r.Stdout, "may go on") {
		t.Errorf("%v", r)
	}
	if status, code := ask("clerk"); status != http.StatusForbidden || code != "no_case" {
		t.Errorf("a client that was let go on: %d %s", status, code)
	}

	// It is there and answers nobody: the node notices by itself. Who names no clerk is refused and does not miss.
	until("", "no_clerk")
	child := clickHouseChild(d.cmd.Process.Pid)
	defer syscall.Kill(child, syscall.SIGCONT)
	if err := syscall.Kill(child, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	stopped := time.Now()
	until("", "warehouse_away")
	t.Logf("refused %v after ClickHouse was stopped", time.Since(stopped).Round(time.Millisecond))
	if err := syscall.Kill(child, syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	until("", "no_clerk")
	d.WaitFor("ClickHouse answers again")

	shire(t, "clients", "remove", client, "--data", d.data).ok(t)
	if status, code := ask("clerk"); status != http.StatusUnauthorized {
		t.Errorf("a key that was taken away: %d %s", status, code)
	}
}
