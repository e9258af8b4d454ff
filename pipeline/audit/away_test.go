package audit

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/shirecounty/shire/deploy/embedded"
)

// Without the server there is no access, and soon; when it is back, the log goes on.
func TestNothingIsReadWithoutALog(t *testing.T) {
	dir := t.TempDir()
	start := func() *embedded.Engines {
		e, err := embedded.Start(t.Context(), embedded.Options{Dir: dir, Version: "1.0.0", ClickHouse: embedded.ClickHouseOptions{Disabled: true},
			NATS: embedded.NATSOptions{Port: 0}, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	stop := func(e *embedded.Engines) {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := e.Stop(ctx); err != nil {
			t.Error(err)
		}
	}
	key, _ := testKey(t, SM2)
	open := func(e *embedded.Engines) (*Log, *nats.Conn) {
		nc, err := nats.Connect(e.NATS().URL, e.NATS().InProcess()...)
		if err != nil {
			t.Fatal(err)
		}
		l, err := Open(t.Context(), nc, Options{County: "330782", Hasher: testHasher(), Key: key, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		return l, nc
	}
	e := start()
	l, nc := open(e)
	if err := l.Record(t.Context(), testAccess("before")); err != nil {
		t.Fatal(err)
	}
	stop(e)
	var group sync.WaitGroup
	for range 10 {
		group.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
			defer cancel()
			err := l.Record(ctx, testAccess("away"))
			if err == nil || ctx.Err() != nil || strings.Contains(err.Error(), clerk) {
				t.Errorf("without a server: %v", err)
			}
		})
	}
	group.Wait()
	nc.Close()
	e = start()
	defer stop(e)
	l, nc = open(e)
	defer nc.Close()
	if err := l.Record(t.Context(), testAccess("after")); err != nil {
		t.Fatal(err)
	}
	if end, err := l.End(t.Context()); err != nil || end.Sequence != 4 {
		t.Errorf("%+v, %v", end, err)
	}
}

// An acknowledgement that was lost is made up for: the block is found where it stands, and what never came is sent again.
func TestLostAcknowledgement(t *testing.T) {
	r := newRig(t)
	r.record(r.log, "1")
	other := r.open(Options{})
	for i := range 12 {
		lossy := &losing{JetStream: r.log.js, deliver: i%4 == 0, late: i%4 == 1, between: func() {
			if i%3 == 0 { // another process is faster, or goes on right behind
				r.record(other, fmt.Sprint("other ", i))
			}
		}}
		r.log.js = lossy
		r.record(r.log, fmt.Sprint("own ", i))
		r.log.js = lossy.JetStream
	}
	for number, n := range r.cases() {
		if n != 2 {
			t.Errorf("%s is there %d times", number, n)
		}
	}
	if found := r.cases(); len(found) != 17 {
		t.Errorf("%d accesses, want 17: %v", len(found), found)
	}
	r.must(r.p.CatchUp(t.Context()))
	r.proven(34)
}

// losing loses one acknowledgement, of a message that it delivers, or delivers when the next one is sent, or never.
type losing struct {
	jetstream.JetStream
	deliver, late bool
	between       func()
	done          bool
	kept          func()
}

func (l *losing) PublishMsg(ctx context.Context, m *nats.Msg, o ...jetstream.PublishOpt) (*jetstream.PubAck, error) {
	if l.done {
		if l.kept != nil {
			l.kept()
			l.kept = nil
		}
		return l.JetStream.PublishMsg(ctx, m, o...)
	}
	l.done = true
	if l.late {
		l.kept = func() { _, _ = l.JetStream.PublishMsg(context.WithoutCancel(ctx), m, o...) } // refused where another block stands
	}
	if l.deliver {
		if _, err := l.JetStream.PublishMsg(ctx, m, o...); err != nil {
			return nil, err
		}
	}
	l.between()
	return nil, errors.New("no answer")
}
