package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/shirecounty/shire/deploy/embedded"
)

const pushedCounty = `
county: {division: "339921", name_zh: 澄溪县, name_en: Chengxi County}
contracts: contracts
departments:
  grid: {zh: 网格化服务中心, en: Grid Service Centre}
  police: {zh: 公安局, en: Police}
sources:
  - name: grid
    kind: push
    datasets: [calls]
    with: {secret: "file:secret", nats: true}
sharing:
  purposes: {patrol: {zh: 巡查, en: Patrol}}
  subscriptions:
    - {name: calls_of_police, department: police, dataset: calls, purpose: patrol, deliver: nats}
flow: {pack_linger: 50ms, load_age: 100ms}
portal: {listen: "127.0.0.1:0"}
`

const pushedSecret = "0123456789abcdef0123456789abcdef"

// pushed is the event of a call, as its department sends it.
func pushed(id, number, category string) string {
	return fmt.Sprintf(`{"specversion":"1.0","id":%q,"source":"grid","type":"shire.record.updated","data":{"number":%q,"category":%q,"reported_at":"2026-03-02 09:00:00"}}`, id, number, category)
}

// postEvent sends an event to the webhook of a running platform and returns what became of it.
func postEvent(t *testing.T, up *process, event string) string {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, served.FindStringSubmatch(up.Output())[1]+"/api/v1/push/grid", strings.NewReader(event))
	if err != nil {
		t.Fatal(err)
	}
	now := fmt.Sprint(time.Now().Unix())
	m := hmac.New(sha256.New, []byte(pushedSecret))
	io.WriteString(m, now+"."+event)
	r.Header.Set("Content-Type", "application/cloudevents+json")
	r.Header.Set("Shire-Signature", "t="+now+",sha256="+hex.EncodeToString(m.Sum(nil)))
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	var said struct{ Results []struct{ ID, State string } }
	if err := json.NewDecoder(answer.Body).Decode(&said); err != nil || len(said.Results) != 1 {
		t.Fatalf("%s %+v %v", answer.Status, said, err)
	}
	return said.Results[0].State
}

// A department sends by webhook and as a NATS user. What was answered for is in the mart, once, though the platform was
// killed right after the answer.
func TestDepartmentSendsByItself(t *testing.T) {
	t.Parallel() // it waits more than it works
	needEngine(t)
	county, data := t.TempDir(), filepath.Join(t.TempDir(), "data")
	if err := os.Mkdir(filepath.Join(county, "contracts"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"county.yaml": pushedCounty, "secret": pushedSecret + "\n",
		"contracts/calls.yaml": strings.NewReplacer("%s", "calls").Replace(strings.Replace(followedContract, "%s\nsharing", "sharing", 1)),
	} {
		if err := os.WriteFile(filepath.Join(county, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	config := filepath.Join(county, "county.yaml")
	up := start(t, "up", "-c", config, "--data", data)
	up.WaitFor("Shire serves")
	if got := postEvent(t, up, pushed("1", "A1", "noise")); got != "accepted" {
		t.Fatal(got)
	}
	up.Kill()
	up = start(t, "up", "-c", config, "--data", data)
	up.WaitFor("Shire serves")
	if got := postEvent(t, up, pushed("1", "A1", "noise")); got != "duplicate" {
		t.Error(got)
	}

	var c struct{ NATS natsAccount }
	envelopeOf(t, shire(t, "push", "credentials", "grid", "--json", "--data", data).ok(t), &c)
	secrets, err := embedded.LoadOrCreateSecrets(data, "nats."+c.NATS.User)
	if err != nil {
		t.Fatal(err)
	}
	password := secrets["nats."+c.NATS.User]
	nc, err := nats.Connect(c.NATS.Address, nats.UserInfo(c.NATS.User, password), nats.CustomInboxPrefix(c.NATS.InboxPrefix))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	subject := strings.TrimSuffix(c.NATS.Subjects[0], "*")
	for id, event := range map[string]string{"2": pushed("2", "A2", "waste"), "3": "no event"} {
		if ack, err := nc.Request(subject+id, []byte(event), 10*time.Second); err != nil || strings.Contains(string(ack.Data), "error") {
			t.Fatalf("%v %v", ack, err)
		}
	}
	up.waitUntil("both calls are in the mart, and what is no event in quarantine", func() bool {
		row := query(t, data, "SELECT arrayStringConcat(arraySort(groupArray(concat(incident_number, ' ', category))), ', '), (SELECT count() FROM ops.quarantine) FROM mart.incidents")
		return fmt.Sprint(row[0]) == "[A1 noise, A2 waste 1]"
	})
	if rows := query(t, data, "SELECT sum(rows) FROM ops.loads WHERE table_name = 'store.incidents'"); rows[0][0] != 2.0 {
		t.Errorf("two calls were loaded as %v rows", rows[0][0])
	}
	readsFromNATS(t, data)
	for _, args := range [][]string{{"push", "credentials", "grid"}, {"push", "credentials", "grid", "--reveal"}, {"push", "credentials", "--nats-config", "--json"}} {
		r := shire(t, append(args, "--data", data)...)
		if strings.Contains(r.String(), password) || strings.Contains(r.String(), pushedSecret) {
			t.Errorf("%v shows a secret where no terminal is", args)
		}
		if want := map[bool]int{true: exitInput, false: exitOK}[args[len(args)-1] == "--reveal"]; r.Code != want {
			t.Errorf("%v: %v", args, r)
		}
	}
	if r := up.Stop(); r.Code != exitOK {
		t.Errorf("the platform did not stop well: %v", r)
	}
}

// readsFromNATS proves that the department with a subscription reaches its consumer with what the commands print.
func readsFromNATS(t *testing.T, data string) {
	t.Helper()
	var account readerAccount
	envelopeOf(t, shire(t, "subscriptions", "credentials", "calls_of_police", "--json", "--data", data).ok(t), &account)
	secrets, err := embedded.LoadOrCreateSecrets(data, "nats."+account.User)
	if err != nil {
		t.Fatal(err)
	}
	nc, err := nats.Connect(account.Address, nats.UserInfo(account.User, secrets["nats."+account.User]), nats.CustomInboxPrefix(account.InboxPrefix))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.NewWithAPIPrefix(nc, account.APIPrefix)
	if err != nil {
		t.Fatal(err)
	}
	consumer, err := js.Consumer(t.Context(), account.Stream, account.Consumer)
	if err != nil {
		t.Fatal(err)
	}
	batch, err := consumer.FetchNoWait(10)
	if err != nil {
		t.Fatal(err)
	}
	for msg := range batch.Messages() {
		t.Errorf("nothing is granted, and it is given %s", msg.Subject())
	}
	if err := batch.Error(); err != nil {
		t.Error(err)
	}
	var list []standing
	envelopeOf(t, shire(t, "subscriptions", "list", "--json", "--data", data).ok(t), &list)
	if len(list) != 1 || list[0].Deliver != "nats" || list[0].Unread == nil || *list[0].Unread != 0 {
		t.Errorf("%+v", list)
	}
	for _, wrong := range [][]string{{"nobody"}, {"calls_of_police", "--reveal"}} {
		r := shire(t, append([]string{"subscriptions", "credentials", "--data", data}, wrong...)...)
		if r.Code != exitInput || strings.Contains(r.String(), secrets["nats."+account.User]) {
			t.Errorf("%v: %v", wrong, r)
		}
	}
}
