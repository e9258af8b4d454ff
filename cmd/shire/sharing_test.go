package main

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/shirecounty/shire/deploy/embedded"
	"github.com/shirecounty/shire/pipeline/bus"
	"github.com/shirecounty/shire/pipeline/seal"
	"github.com/shirecounty/shire/pipeline/serving"
	"github.com/shirecounty/shire/schemas/pseudonym"
)

// The records to share are kept over a start, and made anew where they cannot be gone on with; the log says why.
func TestRecordsToShareAreMadeAnew(t *testing.T) {
	own, err := embedded.Start(t.Context(), embedded.Options{Dir: t.TempDir(), Version: layoutVersion, ClickHouse: embedded.ClickHouseOptions{Disabled: true}, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), patience)
		defer cancel()
		if err := own.Stop(ctx); err != nil {
			t.Error(err)
		}
	}()
	nc, err := nats.Connect(own.NATS().URL, own.NATS().InProcess()...)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	b, err := bus.Open(t.Context(), nc, bus.Options{County: "330000", Replicas: 1})
	if err != nil {
		t.Fatal(err)
	}
	w, err := b.ChangesWriter(t.Context(), b.ChangesSubject("hall", "d"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Publish(t.Context(), nats.Header{bus.HeaderRows: {"0"}}, nil); err != nil {
		t.Fatal(err)
	}
	last, err := b.LastSequence(t.Context())
	if err != nil || last == 0 {
		t.Fatal(last, err)
	}
	dir := t.TempDir()
	keys := fileKeys{dir: dir, cipher: seal.AES256GCM}
	pseudonyms, record := []byte("a key"), pseudonym.ID{1}
	// start opens the store, gives it a record up to a place on the bus, and says whether it had one.
	start := func(position uint64) (had bool, log string) {
		t.Helper()
		var said bytes.Buffer
		n := &node{data: dir, bus: b, engines: &engines{key: pseudonyms}, log: slog.New(slog.NewTextHandler(&said, &slog.HandlerOptions{Level: slog.LevelWarn}))}
		ring, err := seal.Ring(keys, keys.cipher)
		if err != nil {
			t.Fatal(err)
		}
		s, err := n.openServing(t.Context(), ring)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		r, err := s.Get(record)
		if err != nil {
			t.Fatal(err)
		}
		if r == nil {
			if at := s.Position(); at != 0 {
				t.Errorf("a new store is at %d", at)
			}
		}
		if err := s.Apply(position, []serving.Change{{Record: &serving.Record{ID: record, Version: 1, Received: time.Now()}}}); err != nil {
			t.Fatal(err)
		}
		return r != nil, said.String()
	}
	for _, step := range []struct {
		name   string
		before func() error
		kept   bool
		says   string
		up     uint64
	}{
		{name: "the first start", up: last},
		{name: "another start", kept: true, up: last},
		{name: "another key since", before: func() error { _, err := keys.Add(seal.AES256GCM); return err }, kept: true, up: last},
		{name: "its key was dropped by hand", before: func() error {
			all, err := keys.Keys()
			if err != nil {
				return err
			}
			return keys.Drop(all[1].ID)
		}, says: "a key that is not in the keyring", up: last + 1},
		{name: "the bus was restored to before", says: "ahead of the bus", up: last},
		{name: "the first layout", before: func() error {
			if _, err := embedded.LoadOrCreateSecrets(dir, firstSharingSecret); err != nil {
				return err
			}
			return os.WriteFile(servedOrigin(dir), []byte(b.ID()+"/"+fingerprint(pseudonyms)+"\n"), 0o600)
		}, says: "a key of their own", up: last},
		{name: "the next start", kept: true, up: last},
		{name: "another key of pseudonyms", before: func() error { pseudonyms = []byte("another"); return nil }, says: "another key of pseudonyms", up: last},
	} {
		if step.before != nil {
			if err := step.before(); err != nil {
				t.Fatal(step.name, err)
			}
		}
		if step.name == "the first layout" && servedAtRest(dir) {
			t.Error("records of the first layout are looked at for their keys")
		}
		had, log := start(step.up)
		if had != step.kept || step.says == "" && log != "" || !strings.Contains(log, step.says) {
			t.Errorf("%s: kept %t, and it says %q", step.name, had, log)
		}
		if !servedAtRest(dir) {
			t.Errorf("%s: there are no records", step.name)
		}
	}
	secrets, err := embedded.ReadSecrets(dir)
	if err != nil || secrets[firstSharingSecret] != "" {
		t.Errorf("the secret of the first layout is left, %v", err)
	}
	if all, err := keys.Keys(); err != nil || len(all) != 1 {
		t.Error(all, err)
	}
}
