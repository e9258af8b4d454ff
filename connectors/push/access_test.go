package push_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/shirecounty/shire/connectors"
	"github.com/shirecounty/shire/connectors/push"
	"github.com/shirecounty/shire/deploy/embedded"
	"github.com/shirecounty/shire/pipeline/bus"
	"github.com/shirecounty/shire/schemas/contract"
	"github.com/shirecounty/shire/schemas/county"
)

// A department's user publishes events of its own datasets, hears its acknowledgements, and does nothing else; on the
// embedded server, and on another one with the configuration that Shire prints.
func TestDepartmentsAreKeptApart(t *testing.T) {
	t.Run("embedded", func(t *testing.T) {
		e, err := start(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { (&node{Engines: e}).stop(t) })
		keptApart(t, e.NATS(), nats.UserInfo(e.NATS().User, e.NATS().Password))
	})
	t.Run("external", func(t *testing.T) {
		keptApart(t, external(t, push.Accesses(division, []county.Source{
			{Name: "records", Kind: push.Kind, Datasets: []string{"records"}, With: map[string]any{"nats": true}},
			{Name: "patrols", Kind: push.Kind, Datasets: []string{"patrols"}, With: map[string]any{"nats": true}},
		}, contract.Set{"records": {Department: "bureau"}, "patrols": {Department: "police"}})), ofShire)
	})
}

// ofShire is how Shire signs in to an external server.
var ofShire = nats.UserInfo("shire", "of shire")

// external is a NATS server with the configuration that is printed for it.
func external(t *testing.T, list []push.Access) *embedded.NATS {
	t.Helper()
	t.Setenv("SHIRE_NATS_PASSWORD", `"of shire"`)
	for _, a := range list {
		t.Setenv(a.PasswordVariable(), fmt.Sprintf("%q", "of "+a.User))
	}
	file := filepath.Join(t.TempDir(), "nats.conf")
	if err := os.WriteFile(file, []byte(push.ServerConfig(list)), 0o600); err != nil {
		t.Fatal(err)
	}
	o, err := server.ProcessConfigFile(file)
	if err != nil {
		t.Fatal(err)
	}
	o.Host, o.Port, o.JetStream, o.StoreDir, o.NoLog, o.NoSigs = "127.0.0.1", server.RANDOM_PORT, true, t.TempDir(), true, true
	s, err := server.NewServer(o)
	if err != nil {
		t.Fatal(err)
	}
	go s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	if !s.ReadyForConnections(20 * time.Second) {
		t.Fatal("the server does not take connections")
	}
	return &embedded.NATS{URL: s.ClientURL()}
}

// refusals are what the server refuses a connection.
type refusals chan error

func newRefusals() refusals { return make(refusals, 64) }

func (r refusals) heard() nats.Option {
	return nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { r <- err })
}

// of waits for the refusal of what was just tried.
func (r refusals) of(t *testing.T, what string) {
	t.Helper()
	select {
	case err := <-r:
		if !errors.Is(err, nats.ErrPermissionViolation) {
			t.Errorf("%s: %v", what, err)
		}
	case <-time.After(20 * time.Second):
		t.Errorf("%s is not refused", what)
	}
}

func keptApart(t *testing.T, at *embedded.NATS, login nats.Option) {
	own, err := nats.Connect(at.URL, login)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(own.Close)
	b, err := bus.Open(t.Context(), own, bus.Options{County: division, Replicas: 1})
	if err != nil {
		t.Fatal(err)
	}
	inboxes := map[string]*bus.Inbox{}
	for _, department := range []string{"bureau", "police"} {
		inboxes[department] = b.Inbox(department)
		if err := inboxes[department].Open(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	// Everything that Shire's own account hears: what got through is in here.
	heard, err := own.SubscribeSync(">")
	if err != nil {
		t.Fatal(err)
	}
	if err := own.Flush(); err != nil {
		t.Fatal(err)
	}
	refused := newRefusals()
	police := as(t, at, "police", refused.heard())
	bureau := as(t, at, "bureau")
	const mine = "inbox." + division + ".police.patrols."
	for _, subject := range []string{
		"inbox." + division + ".bureau.records.1", "inbox." + division + ".police.records.1", "inbox.330001.police.patrols.1", "inbox." + division + ".police.patrols", mine + "1.2",
		"changes." + division + ".police.patrols", "retry." + division + ".police.patrols", "quarantine.x", "ledger.x", "identity.x",
		"$JS.API.INFO", "$JS.API.STREAM.NAMES", "$JS.API.STREAM.DELETE.INBOX_" + division + "_police", "$JS.API.STREAM.PURGE.CHANGES", "$JS.API.DIRECT.GET.CHANGES",
		"$JS.ACK.CHANGES.x", "$KV.CONTRACTS.x", "$SYS.REQ.SERVER.PING", "_INBOX_bureau.x", "_R_.x",
	} {
		if err := police.Publish(subject, []byte("forged")); err != nil {
			t.Fatal(err)
		}
		refused.of(t, "publishing to "+subject)
	}
	for _, subject := range []string{">", "changes.>", "inbox.>", mine + "*", "_INBOX.>", "_INBOX_bureau.>", "_INBOX_*.>", "$JS.>", "$SYS.>", "*"} {
		if _, err := police.SubscribeSync(subject); err != nil {
			t.Fatal(err)
		}
		refused.of(t, "subscribing to "+subject)
	}
	soon, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if js, err := jetstream.New(police); err != nil {
		t.Fatal(err)
	} else if _, err := js.Stream(soon, bus.Changes); err == nil {
		t.Error("a department can look at a stream")
	}
	refused.of(t, "JetStream's API")

	// What nats-server takes from a message's headers does nothing.
	say := func(department, dataset, token string, header nats.Header) ack {
		nc := map[string]*nats.Conn{"police": police, "bureau": bureau}[department]
		return publish(t, nc, &nats.Msg{Subject: connectorsSubject(department, dataset, token), Header: header, Data: []byte(right(t, token))})
	}
	if a := say("police", "patrols", "1", nats.Header{"Nats-Msg-Id": {"same"}}); a.Error != nil || a.Sequence != 1 {
		t.Errorf("%+v", a)
	}
	if a := say("bureau", "records", "1", nats.Header{"Nats-Msg-Id": {"same"}}); a.Error != nil || a.Duplicate || a.Sequence != 1 {
		t.Errorf("the id of one department's message makes another's disappear: %+v", a)
	}
	for name, header := range map[string]nats.Header{
		"the same again": nil, "rolled up": {"Nats-Rollup": {"sub"}}, "all rolled up": {"Nats-Rollup": {"all"}}, "with a time to live": {"Nats-TTL": {"1s"}},
	} {
		if a := say("police", "patrols", "1", header); a.Error == nil {
			t.Errorf("%s: %+v", name, a)
		}
	}
	if a := say("police", "patrols", "2", nil); a.Error != nil || a.Sequence != 2 {
		t.Errorf("%+v", a)
	}
	// An acknowledgement that is to go into a stream, or to another department.
	for i, reply := range []string{"changes." + division + ".police.patrols", "inbox." + division + ".bureau.records.9", "_INBOX_bureau.x", "$JS.API.STREAM.DELETE.CHANGES"} {
		if err := police.PublishRequest(mine+fmt.Sprint("r", i), reply, []byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	if a := say("police", "patrols", "3", nil); a.Error != nil || a.Sequence != 7 {
		t.Errorf("%+v", a)
	}
	if last, err := b.LastSequence(t.Context()); err != nil || last != 0 {
		t.Errorf("CHANGES is at %d: %v", last, err)
	}
	if state, err := inboxes["bureau"].State(t.Context()); err != nil || state.Last != 1 {
		t.Errorf("the inbox of bureau is at %d: %v", state.Last, err)
	}
	for {
		msg, err := heard.NextMsg(100 * time.Millisecond)
		if errors.Is(err, nats.ErrTimeout) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if string(msg.Data) == "forged" {
			t.Errorf("%s came through", msg.Subject)
		}
	}
}

func connectorsSubject(department, dataset, token string) string {
	return strings.TrimSuffix(connectors.InboxSubjects(division, department, dataset), "*") + token
}

func TestAccessOfASource(t *testing.T) {
	set := contract.Set{"a": {Department: "one"}, "b": {Department: "one"}, "c": {Department: "two"}, "d": {Department: "one"}}
	sources := []county.Source{
		{Name: "x", Kind: push.Kind, Datasets: []string{"a"}, With: map[string]any{"nats": true}},
		{Name: "y", Kind: push.Kind, Datasets: []string{"b"}, With: map[string]any{"nats": "true"}},
		{Name: "z", Kind: push.Kind, Datasets: []string{"c"}, With: map[string]any{"nats": false}},
		{Name: "f", Kind: "file", Datasets: []string{"d"}, With: map[string]any{"nats": true}},
	}
	list := push.Accesses(division, sources, set)
	if got, want := fmt.Sprint(list), "[{one department_one [inbox.330000.one.a.* inbox.330000.one.b.*] _INBOX_one []}]"; got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
	for i, want := range []bool{true, true, false, false} {
		if a, ok := push.Of(list, sources[i], set); ok != want || ok && a.User != "department_one" {
			t.Errorf("%s: %v %+v", sources[i].Name, ok, a)
		}
	}
}
