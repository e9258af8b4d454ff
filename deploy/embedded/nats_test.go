//go:build unix

package embedded

import (
	"context"
	"errors"
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
