//go:build unix

package embedded

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

func connectNATS(t *testing.T, url string, options ...nats.Option) *nats.Conn {
	t.Helper()
	conn, err := nats.Connect(url, options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	return conn
}

func TestPublishedSurvivesRestart(t *testing.T) {
	for name, always := range map[string]bool{"sync interval": false, "sync always": true} {
		t.Run(name, func(t *testing.T) {
			o := testOptions(t, t.TempDir())
			o.ClickHouse.Disabled = true
			o.NATS.SyncAlways = always
			e := start(t, o)
			js, err := jetstream.New(connectNATS(t, e.NATS().URL, e.NATS().InProcess()...))
			if err != nil {
				t.Fatal(err)
			}
			_, err = js.CreateStream(t.Context(), jetstream.StreamConfig{
				Name: "CHANGES", Subjects: []string{"changes.>"}, Storage: jetstream.FileStorage,
			})
			if err != nil {
				t.Fatal(err)
			}
			large := make([]byte, maxPayload-1024)
			if _, err := js.Publish(t.Context(), "changes.a", large); err != nil {
				t.Fatal(err)
			}
			stop(t, e)

			e = start(t, o)
			// This time over the socket, as another process would.
			js, err = jetstream.New(connectNATS(t, e.NATS().URL, nats.UserInfo(e.NATS().User, e.NATS().Password)))
			if err != nil {
				t.Fatal(err)
			}
			stream, err := js.Stream(t.Context(), "CHANGES")
			if err != nil {
				t.Fatal(err)
			}
			message, err := stream.GetMsg(t.Context(), 1)
			if err != nil || len(message.Data) != len(large) {
				t.Fatalf("the published message after a restart: %v", err)
			}
		})
	}
}

func TestNATSUsersAreLimited(t *testing.T) {
	o := testOptions(t, t.TempDir())
	o.ClickHouse.Disabled = true
	o.NATS.Users = []NATSUser{{Name: "police", Password: "pw", Publish: []string{"changes.330000.police.>"}}}
	e := start(t, o)
	if _, err := nats.Connect(e.NATS().URL); err == nil {
		t.Error("a connection without a password was accepted")
	}
	if _, err := nats.Connect(e.NATS().URL, nats.UserInfo(SystemUser, "guess")); err == nil {
		t.Error("a wrong password was accepted")
	}

	refused := make(chan error, 4)
	police := connectNATS(t, e.NATS().URL, nats.UserInfo("police", "pw"),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { refused <- err }))
	everything := connectNATS(t, e.NATS().URL, e.NATS().InProcess()...)
	heard, err := everything.SubscribeSync("changes.>")
	if err != nil {
		t.Fatal(err)
	}
	if err := everything.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := police.Publish("changes.330000.tax.cases", []byte("forged")); err != nil {
		t.Fatal(err)
	}
	if err := police.Publish("changes.330000.police.persons", []byte("own")); err != nil {
		t.Fatal(err)
	}
	if _, err := police.SubscribeSync("changes.>"); err != nil {
		t.Fatal(err)
	}
	if err := police.Flush(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	message, err := heard.NextMsgWithContext(ctx)
	if err != nil || message.Subject != "changes.330000.police.persons" {
		t.Errorf("first message heard: %v, %v; want the one that police may publish", message, err)
	}
	for range 2 { // the publish and the subscription
		select {
		case <-refused:
		case <-ctx.Done():
			t.Fatal("police may publish or read what is not its own")
		}
	}
}

// nats-server must not refuse messages while the disk has room for them: what would see to a full disk would not see that.
func TestStoreMayUseTheDisk(t *testing.T) {
	o := testOptions(t, t.TempDir())
	o.ClickHouse.Disabled = true
	e := start(t, o)
	free, err := freeBytes(o.Dir)
	if err != nil {
		t.Fatal(err)
	}
	if bound := e.nats.server.JetStreamConfig().MaxStore; bound < 0 || uint64(bound) < free {
		t.Errorf("JetStream may store %d bytes, and %d are free", bound, free)
	}
}

// A store that cannot be written is a failed component, with the reason and what to do.
func TestFailedStoreIsTold(t *testing.T) {
	o := testOptions(t, t.TempDir())
	o.ClickHouse.Disabled = true
	failed := make(chan Component, 1)
	o.OnChange = func(c Component) {
		if c.Name == ComponentNATS && c.State == Failed {
			failed <- c
		}
	}
	e := start(t, o)
	js, err := jetstream.New(connectNATS(t, e.NATS().URL, e.NATS().InProcess()...))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "CHANGES", Subjects: []string{"changes.>"}, Storage: jetstream.FileStorage}); err != nil {
		t.Fatal(err)
	}
	if _, err := js.Publish(t.Context(), "changes.a", []byte("stored")); err != nil {
		t.Fatal(err)
	}
	// What nats-server does itself when it may not write any more.
	if err := e.nats.server.ShutdownJetStream(); err != nil {
		t.Fatal(err)
	}
	select {
	case c := <-failed:
		var fault *EnvError
		if !errors.As(c.Err, &fault) || fault.Where == "" || fault.Do == "" {
			t.Errorf("the failure does not say where and what to do: %v", c.Err)
		}
	case <-time.After(time.Minute):
		t.Fatal("nobody was told that JetStream stores nothing any more")
	}
}

// nats-server does not ask whether a user may publish to the reply subject of a message, and sends JetStream's
// acknowledgement to it: it must not get into a stream.
func TestReplySubjectReachesNoStream(t *testing.T) {
	o := testOptions(t, t.TempDir())
	o.ClickHouse.Disabled = true
	o.NATS.Users = []NATSUser{{Name: "police", Password: "pw", Publish: []string{"inbox.police.>"}, Subscribe: []string{"_INBOX_police.>"}}}
	e := start(t, o)
	js, err := jetstream.New(connectNATS(t, e.NATS().URL, e.NATS().InProcess()...))
	if err != nil {
		t.Fatal(err)
	}
	streams := map[string]jetstream.Stream{}
	for name, subjects := range map[string]string{"INBOX": "inbox.>", "CHANGES": "changes.>"} {
		streams[name], err = js.CreateStream(t.Context(), jetstream.StreamConfig{Name: name, Subjects: []string{subjects}, Storage: jetstream.FileStorage})
		if err != nil {
			t.Fatal(err)
		}
	}
	police := connectNATS(t, e.NATS().URL, nats.UserInfo("police", "pw"), nats.CustomInboxPrefix("_INBOX_police"))
	if err := police.PublishRequest("inbox.police.a", "changes.tax.cases", []byte("own")); err != nil {
		t.Fatal(err)
	}
	// An honest request behind it: when it is answered, the acknowledgement of the first has been sent.
	answer, err := police.Request("inbox.police.b", []byte("own"), 10*time.Second)
	if err != nil || !strings.Contains(string(answer.Data), `"seq":2`) {
		t.Fatalf("an acknowledgement to the user itself: %v, %v", answer, err)
	}
	if _, err := js.Publish(t.Context(), "changes.sentinel", nil); err != nil {
		t.Fatal(err)
	}
	info, err := streams["CHANGES"].Info(t.Context())
	if err != nil || info.State.LastSeq != 1 {
		t.Errorf("CHANGES holds %d messages and not the sentinel alone: %v", info.State.LastSeq, err)
	}
}

// What a server without users stored is there when it gets some, and the other way round.
func TestStreamsStayWhenUsersCome(t *testing.T) {
	o := testOptions(t, t.TempDir())
	o.ClickHouse.Disabled = true
	for i, users := range [][]NATSUser{nil, {{Name: "police", Password: "pw", Publish: []string{"inbox.police.>"}}}, nil} {
		o.NATS.Users = users
		e := start(t, o)
		js, err := jetstream.New(connectNATS(t, e.NATS().URL, e.NATS().InProcess()...))
		if err != nil {
			t.Fatal(err)
		}
		stream, err := js.CreateOrUpdateStream(t.Context(), jetstream.StreamConfig{Name: "CHANGES", Subjects: []string{"changes.>"}, Storage: jetstream.FileStorage})
		if err != nil {
			t.Fatal(err)
		}
		if info, err := stream.Info(t.Context()); err != nil || info.State.Msgs != uint64(i) {
			t.Fatalf("start %d: %v, %v", i, info, err)
		}
		if _, err := js.Publish(t.Context(), "changes.a", nil); err != nil {
			t.Fatal(err)
		}
		stop(t, e)
	}
}
