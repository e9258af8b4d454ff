package push_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/shirecounty/shire/connectors"
	"github.com/shirecounty/shire/connectors/conformance"
	"github.com/shirecounty/shire/connectors/push"
	"github.com/shirecounty/shire/deploy/embedded"
	"github.com/shirecounty/shire/pipeline/bus"
	"github.com/shirecounty/shire/schemas/change"
	"github.com/shirecounty/shire/schemas/contract"
	"github.com/shirecounty/shire/schemas/county"
)

// source is a connector and what it told.
type source struct {
	connectors.Connector
	events []connectors.Event
}

func newSource(t testing.TB, b *bus.Bus, datasets ...string) *source {
	t.Helper()
	s, set := &source{}, contract.Set{}
	for _, name := range datasets {
		set[name] = dataset(t, name)
	}
	c, err := connectors.New(connectors.Settings{
		Source:    county.Source{Name: "records", Kind: push.Kind, Datasets: datasets, With: map[string]any{"nats": true, "keep": "1ns"}},
		Contracts: set, Resolve: func(p string) string { return p }, Inbox: b.Inbox("bureau"), Log: slog.New(slog.DiscardHandler),
		Notify: func(e connectors.Event) { s.events = append(s.events, e) },
	})
	if err != nil {
		t.Fatal(err)
	}
	s.Connector = c
	return s
}

func load(t testing.TB, s *source, out *conformance.Bus) {
	t.Helper()
	out.Restart()
	if err := s.Run(t.Context(), out, false); err != nil {
		t.Fatal(err)
	}
}

func keys(out *conformance.Bus) string {
	var all []string
	for _, s := range out.Said("records") {
		all = append(all, s.Key)
	}
	return strings.Join(all, " ")
}

// node is a server on a directory of its own, with a webhook and a connector, that can be started anew.
type node struct {
	*embedded.Engines
	bus     *bus.Bus
	webhook *webhook
}

func startNode(t testing.TB, dir string) *node {
	t.Helper()
	e, err := start(dir)
	if err != nil {
		t.Fatal(err)
	}
	n := &node{Engines: e}
	t.Cleanup(func() { n.stop(t) })
	n.bus, _ = openBus(t, e.NATS())
	n.webhook = newWebhook(t, store{n.bus}, "records")
	return n
}

func (n *node) stop(t testing.TB) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 20*time.Second)
	defer cancel()
	if err := n.Stop(ctx); err != nil {
		t.Error(err)
	}
}

func (n *node) send(t testing.TB, ids ...string) string {
	t.Helper()
	var events []map[string]any
	for _, id := range ids {
		events = append(events, eventOf(id, "created", map[string]any{"id": id}))
	}
	a := send(t, n.webhook.request(t, onBatch, textOf(t, events)))
	if a.Status != 200 {
		t.Fatal(a.text)
	}
	return a.states()
}

// An event is known by the stream, and so over a restart of everything, long after any window of the server's.
func TestDuplicatesOverARestart(t *testing.T) {
	dir, out := t.TempDir(), conformance.NewBus()
	n := startNode(t, dir)
	if got := n.send(t, "1", "2"); got != "1 accepted, 2 accepted" {
		t.Fatal(got)
	}
	n.stop(t)
	n = startNode(t, dir)
	if got := n.send(t, "2", "3"); got != "2 duplicate, 3 accepted" {
		t.Fatal(got)
	}
	load(t, newSource(t, n.bus, "records"), out)
	n.stop(t)
	n = startNode(t, dir)
	s := newSource(t, n.bus, "records")
	load(t, s, out)
	if got := keys(out); got != "1 2 3" || s.events != nil {
		t.Errorf("%s, %+v", got, s.events)
	}
	n.send(t, "4")
	load(t, s, out)
	if got := keys(out); got != "1 2 3 4" {
		t.Error(got)
	}
}

// An event goes from the inbox only when it was read, is safe on the bus, and has been kept for long enough (I1). Behind what
// went, the connector goes on.
func TestForgetting(t *testing.T) {
	n := startNode(t, t.TempDir())
	out := conformance.NewBus()
	n.send(t, "1", "2")
	time.Sleep(time.Millisecond)
	out.Budget = 1 // it dies at the second append, and what it has appended was sent
	out.Lose = 1
	if err := newSource(t, n.bus, "records").Run(t.Context(), out, false); err == nil {
		t.Fatal("it was not killed")
	}
	if got := n.send(t, "1", "2"); got != "1 duplicate, 2 duplicate" {
		t.Error("after a run that died:", got)
	}
	load(t, newSource(t, n.bus, "records"), out)
	load(t, newSource(t, n.bus, "records"), out)
	if got := n.send(t, "1", "2"); got != "1 accepted, 2 accepted" {
		t.Error("after they were read and 1 ns was over:", got)
	}
	s := newSource(t, n.bus, "records")
	load(t, s, out)
	if got := keys(out); got != "1 2 1 2" || s.events != nil {
		t.Errorf("%s, %+v", got, s.events)
	}
	state, err := n.bus.Inbox("bureau").State(t.Context())
	if err != nil || state.Last != 4 {
		t.Errorf("%+v, %v", state, err)
	}
}

// I1: a run that follows forgets what is safe on the bus, and not what it has only appended.
func TestForgettingWhileFollowing(t *testing.T) {
	n := startNode(t, t.TempDir())
	out := conformance.NewBus()
	out.PackRows = 2
	var hours atomic.Int64
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	s := newSource(t, n.bus, "records")
	push.SetClock(s.Connector, func() time.Time { return time.Now().Add(time.Duration(hours.Load()) * time.Hour) })
	appended := make(chan struct{}, 8)
	out.AtAppend = func() { appended <- struct{}{} }
	go func() { done <- s.Run(ctx, out, true) }()
	for hours.Store(0); hours.Load() < 3; hours.Add(2) {
		n.send(t, fmt.Sprint("a", hours.Load()))
		<-appended
	}
	n.send(t, "b") // two are safe, this one is appended, and what is old is forgotten once more
	<-appended
	for deadline := time.Now().Add(30 * time.Second); n.send(t, "a0") != "a0 accepted"; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("nothing is forgotten")
		}
	}
	if got := n.send(t, "a2", "b"); got != "a2 accepted, b duplicate" {
		t.Error(got)
	}
	stop()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// An inbox that was made anew is told, and what is in it is read.
func TestInboxMadeAnew(t *testing.T) {
	b, out := emptied(t), conformance.NewBus()
	put := func(b *bus.Bus, ids ...string) {
		for _, id := range ids {
			if _, err := b.Inbox("bureau").Put(t.Context(), "records", id, nil, []byte(right(t, id))); err != nil {
				t.Fatal(err)
			}
		}
	}
	put(b, "1", "2", "3")
	load(t, newSource(t, b, "records"), out)
	b = emptied(t)
	put(b, "4", "5", "6", "7")
	s := newSource(t, b, "records")
	load(t, s, out)
	if got := keys(out); got != "1 2 3 4 5 6 7" {
		t.Error(got)
	}
	if len(s.events) != 1 || s.events[0].Problem != "inbox_replaced" || s.events[0].Notice {
		t.Errorf("%+v", s.events)
	}
	s = newSource(t, b, "records")
	if load(t, s, out); s.events != nil {
		t.Errorf("it is told again: %+v", s.events)
	}
}

// A power failure takes the newest messages, and the server gives their sequences to others: what came in since is read, and
// it is told that something may be lost.
func TestInboxCutOff(t *testing.T) {
	for name, after := range map[string][]string{"nothing came in since": nil, "less than was lost": {"4"}, "more than was lost": {"4", "5", "6", "7", "8"}} {
		t.Run(name, func(t *testing.T) {
			dir, out := t.TempDir(), conformance.NewBus()
			n := startNode(t, dir)
			n.send(t, "1")
			n.stop(t)
			old := t.TempDir()
			if err := os.CopyFS(old, os.DirFS(filepath.Join(dir, "nats"))); err != nil {
				t.Fatal(err)
			}
			n = startNode(t, dir)
			n.send(t, "2", "3")
			load(t, newKeeping(t, n.bus), out)
			n.stop(t)
			// The store as it was before: what a disk has that was not written through.
			if err := os.RemoveAll(filepath.Join(dir, "nats")); err != nil {
				t.Fatal(err)
			}
			if err := os.CopyFS(filepath.Join(dir, "nats"), os.DirFS(old)); err != nil {
				t.Fatal(err)
			}
			n = startNode(t, dir)
			if after != nil {
				n.send(t, after...)
			}
			s := newKeeping(t, n.bus)
			load(t, s, out)
			if got, want := keys(out), strings.Join(append([]string{"1", "2", "3"}, after...), " "); got != want {
				t.Errorf("got %s, want %s", got, want)
			}
			if len(s.events) != 1 || s.events[0].Problem != "inbox_cut_off" {
				t.Errorf("%+v", s.events)
			}
		})
	}
}

// newKeeping is newSource that forgets nothing.
func newKeeping(t testing.TB, b *bus.Bus) *source {
	t.Helper()
	s := &source{}
	c, err := push.New(connectors.Settings{
		Source:    county.Source{Name: "records", Kind: push.Kind, Datasets: []string{"records"}, With: map[string]any{"nats": true}},
		Contracts: contract.Set{"records": dataset(t, "records")}, Inbox: b.Inbox("bureau"), Log: slog.New(slog.DiscardHandler),
		Notify: func(e connectors.Event) { s.events = append(s.events, e) },
	})
	if err != nil {
		t.Fatal(err)
	}
	s.Connector = c
	return s
}

// I4: who publishes to NATS cannot be told what is wrong; it waits in quarantine, and the others go on.
func TestUnusableEventsAreMalformed(t *testing.T) {
	b, out := emptied(t), conformance.NewBus()
	nc := as(t, engine, "bureau")
	subject := "inbox." + division + ".bureau.records."
	for i, m := range []*nats.Msg{
		{Data: []byte(right(t, "1"))}, {Data: []byte("no event \xff")}, {Data: []byte(right(t, "2"))},
		{Data: []byte(textOf(t, eventOf("3", "created", map[string]any{"name": "no key"})))},
		{Data: []byte(strings.Replace(right(t, "4"), "{", `{"dataset":"patrols",`, 1))},
		{Data: []byte(`[1]`), Header: nats.Header{"ce-id": {"5"}, "ce-specversion": {"1.0"}, "ce-source": {"s"}, "ce-type": {"x.created"}, "Authorization": {"not this"}}},
		{Data: []byte(textOf(t, eventOf("6", "deleted", map[string]any{"id": "1"})))},
	} {
		m.Subject = subject + fmt.Sprint(i)
		if a := publish(t, nc, m); a.Error != nil {
			t.Fatal(a.Error)
		}
	}
	load(t, newSource(t, b, "records"), out)
	var got []string
	for _, s := range out.Said("records") {
		if s.Op == change.Malformed {
			got = append(got, fmt.Sprintf("%s: %.60s", s.Problem, s.Raw))
		} else {
			got = append(got, fmt.Sprint(s.Op, " ", s.Key))
		}
	}
	want := []string{
		"create 1", "the event is not UTF-8: no event \uFFFD", "create 2",
		`the data lack a column of the key: id: {"data":{"name":"no key"},"id":"3","source":"bureau/records"`,
		"the attribute dataset names another dataset than the subject does: " + `{"dataset":"patrols","data":{"id":"4"},"id":"4","source":"bu`,
		"the event or its data are not a JSON object: ce-id: 5\nce-source: s\nce-specversion: 1.0\nce-type: x.created\n[1]", "delete 1",
	}
	for i, w := range want {
		if i >= len(got) || !strings.HasPrefix(got[i], w[:min(len(w), 100)]) {
			t.Fatalf("got %q\nwant %q", got, want)
		}
	}
	if strings.Contains(strings.Join(got, ""), "not this") {
		t.Error("a header that is no attribute stands in quarantine")
	}
}

// Datasets of one source are read side by side, each in its order.
func TestDatasetsSideBySide(t *testing.T) {
	b, out := emptied(t), conformance.NewBus()
	w := newWebhook(t, store{b}, "records", "licences")
	var events []map[string]any
	for i := range 20 {
		e := eventOf(fmt.Sprint(i), "created", map[string]any{"id": fmt.Sprint(i)})
		e["dataset"] = []string{"records", "licences"}[i%2]
		events = append(events, e)
	}
	if a := send(t, w.request(t, onBatch, textOf(t, events))); a.Status != 200 {
		t.Fatal(a.text)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- newSource(t, b, "records", "licences").Run(ctx, out, true) }()
	for deadline := time.Now().Add(30 * time.Second); len(out.Said("records"))+len(out.Said("licences")) < 20; time.Sleep(time.Millisecond) {
		if out.Linger(); time.Now().After(deadline) {
			t.Fatal("not everything came")
		}
	}
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
	for i, name := range []string{"records", "licences"} {
		var got, want []string
		for n, s := range out.Said(name) {
			got, want = append(got, s.Key), append(want, fmt.Sprint(2*n+i))
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// An inbox that is lost while it is read ends the run; the next one makes it anew, and departments can send again.
func TestInboxLostWhileRead(t *testing.T) {
	b, out := emptied(t), conformance.NewBus()
	s := newSource(t, b, "records")
	if _, err := b.Inbox("bureau").Put(t.Context(), "records", "1", nil, []byte(right(t, "1"))); err != nil {
		t.Fatal(err)
	}
	load(t, s, out)
	_, js := openBus(t, engine)
	if err := js.DeleteStream(t.Context(), "INBOX_"+division+"_bureau"); err != nil {
		t.Fatal(err)
	}
	if err := s.Run(t.Context(), out, false); err == nil {
		t.Fatal("the run did not notice")
	}
	load(t, s, out)
	if len(s.events) != 1 || s.events[0].Problem != "inbox_replaced" {
		t.Errorf("%+v", s.events)
	}
	if _, err := b.Inbox("bureau").Put(t.Context(), "records", "2", nil, []byte(right(t, "2"))); err != nil {
		t.Fatal(err)
	}
	load(t, s, out)
	if got := keys(out); got != "1 2" {
		t.Error(got)
	}
}

// A run to the present end that was stopped has not come to it.
func TestStoppedLoadIsNoSuccess(t *testing.T) {
	b, out := emptied(t), conformance.NewBus()
	for i := range 3 {
		if _, err := b.Inbox("bureau").Put(t.Context(), "records", fmt.Sprint(i), nil, []byte(right(t, fmt.Sprint(i)))); err != nil {
			t.Fatal(err)
		}
	}
	ctx, stop := context.WithCancel(t.Context())
	out.AtAppend = stop
	if err := newSource(t, b, "records").Run(ctx, out, false); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	out.AtAppend = nil
	if load(t, newSource(t, b, "records"), out); keys(out) != "0 1 2" {
		t.Error(keys(out))
	}
}
