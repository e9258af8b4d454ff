package bus_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/shirecounty/shire/connectors"
	"github.com/shirecounty/shire/pipeline/bus"
)

func put(t testing.TB, i *bus.Inbox, dataset, token string) (duplicate bool) {
	t.Helper()
	duplicate, err := i.Put(t.Context(), dataset, token, map[string][]string{"ce-id": {token}}, []byte("data of "+token))
	if err != nil {
		t.Fatal(err)
	}
	return duplicate
}

// read is what an inbox holds of a dataset: sequences and data.
func read(t testing.TB, i *bus.Inbox, dataset string, from connectors.InboxStart) (said string, messages []connectors.InboxMessage) {
	t.Helper()
	err := i.Read(t.Context(), dataset, from, false, func(m connectors.InboxMessage) error {
		said += fmt.Sprintf("%d %s; ", m.Sequence, m.Data)
		messages = append(messages, m)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return said, messages
}

func TestInboxTakesAnEventOnce(t *testing.T) {
	b := open(t)
	hall, police := b.Inbox("hall"), b.Inbox("police")
	for _, p := range []struct {
		to             *bus.Inbox
		dataset, token string
		duplicate      bool
	}{
		{hall, "a", "1", false}, {hall, "a", "2", false}, {hall, "a", "1", true}, {hall, "b", "1", false}, {police, "a", "1", false}, {hall, "a", "2", true}, {hall, "a", "3", false},
	} {
		if got := put(t, p.to, p.dataset, p.token); got != p.duplicate {
			t.Errorf("%s %s: duplicate %v", p.dataset, p.token, got)
		}
	}
	if got, all := read(t, hall, "a", connectors.InboxStart{}); got != "1 data of 1; 2 data of 2; 4 data of 3; " || all[0].Header["ce-id"][0] != "1" {
		t.Error(got)
	}
	if state, err := hall.State(t.Context()); err != nil || state.Last != 4 || state.ID == "" {
		t.Errorf("%+v %v", state, err)
	}
}

func TestInboxIsReadFromAPlace(t *testing.T) {
	i := open(t).Inbox("hall")
	for _, token := range []string{"1", "2", "3"} {
		put(t, i, "a", token)
		put(t, i, "b", token)
	}
	_, all := read(t, i, "a", connectors.InboxStart{})
	for want, from := range map[string]connectors.InboxStart{
		"3 data of 2; 5 data of 3; ": {Behind: 1}, "5 data of 3; ": {Behind: 3}, "": {Behind: 5},
	} {
		if got, _ := read(t, i, "a", from); got != want {
			t.Errorf("behind %d: %s", from.Behind, got)
		}
	}
	for n, want := range []string{"3 data of 2; 5 data of 3; ", "5 data of 3; ", ""} {
		if got, _ := read(t, i, "a", connectors.InboxStart{BehindTime: all[n].Stored}); got != want {
			t.Errorf("behind the time of %d: %s", all[n].Sequence, got)
		}
		if at, err := i.StoredAt(t.Context(), all[n].Sequence); err != nil || !at.Equal(all[n].Stored) {
			t.Errorf("%d came in at %v, and at %v: %v", all[n].Sequence, all[n].Stored, at, err)
		}
	}
	if at, err := i.StoredAt(t.Context(), 99); err != nil || !at.IsZero() {
		t.Errorf("%v %v", at, err)
	}
	stop := errors.New("enough")
	if err := i.Read(t.Context(), "a", connectors.InboxStart{}, true, func(connectors.InboxMessage) error { return stop }); !errors.Is(err, stop) {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	if err := i.Read(ctx, "a", connectors.InboxStart{Behind: 3}, true, func(connectors.InboxMessage) error { cancel(); return nil }); err != nil {
		t.Error(err)
	}
}

func TestInboxForgets(t *testing.T) {
	i := open(t).Inbox("hall")
	for _, token := range []string{"1", "2", "3"} {
		put(t, i, "a", token)
		put(t, i, "b", token)
	}
	_, all := read(t, i, "a", connectors.InboxStart{})
	for _, step := range []struct {
		through uint64
		before  time.Time
		a       string
	}{
		{0, time.Now().Add(time.Hour), "1 data of 1; 3 data of 2; 5 data of 3; "},
		{5, all[0].Stored, "1 data of 1; 3 data of 2; 5 data of 3; "},
		{1, time.Now().Add(time.Hour), "3 data of 2; 5 data of 3; "},
		{5, all[2].Stored, "5 data of 3; "},
		{9, time.Now().Add(time.Hour), ""},
	} {
		if err := i.Forget(t.Context(), "a", step.through, step.before); err != nil {
			t.Fatal(err)
		}
		if got, _ := read(t, i, "a", connectors.InboxStart{}); got != step.a {
			t.Errorf("through %d: %s", step.through, got)
		}
	}
	if got, _ := read(t, i, "b", connectors.InboxStart{}); got != "2 data of 1; 4 data of 2; 6 data of 3; " {
		t.Error("of another dataset:", got)
	}
	if put(t, i, "a", "1") {
		t.Error("what was forgotten is known")
	}
}

// Of many who send the same at once, one is first.
func TestInboxTakesOneOfMany(t *testing.T) {
	i := open(t).Inbox("hall")
	var first atomic.Int64
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			for n := range 20 {
				if !put(t, i, "a", fmt.Sprint(n)) {
					first.Add(1)
				}
			}
		})
	}
	all.Wait()
	if _, messages := read(t, i, "a", connectors.InboxStart{}); first.Load() != 20 || len(messages) != 20 {
		t.Errorf("%d were first, %d are there", first.Load(), len(messages))
	}
}

func TestInboxRefuses(t *testing.T) {
	b := open(t)
	i := b.Inbox("hall")
	if duplicate, err := i.Put(t.Context(), "a", "1", nil, make([]byte, bus.MaxEvent+1<<20)); err == nil || duplicate {
		t.Errorf("an event beyond the limit: %v %v", duplicate, err)
	}
	if _, err := i.Put(t.Context(), "a", "1", nil, make([]byte, bus.MaxEvent)); err != nil {
		t.Error(err)
	}
	// An answer that is lost on the way is an error, and the event is known when it comes again.
	var lose atomic.Bool
	bus.Wrap(b, func(js jetstream.JetStream) jetstream.JetStream { return deaf{js, &lose} })
	lose.Store(true)
	if _, err := i.Put(t.Context(), "a", "2", nil, nil); !errors.Is(err, nats.ErrTimeout) {
		t.Error(err)
	}
	if !put(t, i, "a", "2") {
		t.Error("it is not known")
	}
}

// A stream that is lost while it is followed ends the reading: the next one makes it anew.
func TestInboxLostWhileFollowed(t *testing.T) {
	bus.LookAfter(100 * time.Millisecond)
	t.Cleanup(func() { bus.LookAfter(10 * time.Second) })
	for name, anew := range map[string]bool{"gone": false, "made anew": true} {
		t.Run(name, func(t *testing.T) {
			i := open(t).Inbox("hall")
			put(t, i, "a", "1")
			before, err := i.State(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			read, ended := make(chan struct{}, 1), make(chan error, 1)
			go func() {
				ended <- i.Read(t.Context(), "a", connectors.InboxStart{}, true, func(connectors.InboxMessage) error { read <- struct{}{}; return nil })
			}()
			<-read
			js, err := jetstream.New(connect(t))
			if err != nil {
				t.Fatal(err)
			}
			stream := fmt.Sprintf("INBOX_%06d_hall", counties.Load())
			info, err := js.Stream(t.Context(), stream)
			if err != nil {
				t.Fatal(err)
			}
			if err := js.DeleteStream(t.Context(), stream); err != nil {
				t.Fatal(err)
			}
			if anew {
				config := info.CachedInfo().Config
				config.Metadata = map[string]string{"shire-inbox": "another"}
				if _, err := js.CreateStream(t.Context(), config); err != nil {
					t.Fatal(err)
				}
			}
			select {
			case err := <-ended:
				if err == nil {
					t.Error("the reading ended without a word")
				}
			case <-time.After(time.Minute):
				t.Fatal("the reading goes on")
			}
			if _, err := i.State(t.Context()); err != nil {
				t.Error(err)
			}
			put(t, i, "a", "1")
			if after, err := i.State(t.Context()); err != nil || after.ID == before.ID {
				t.Errorf("%+v %v", after, err)
			}
		})
	}
}
