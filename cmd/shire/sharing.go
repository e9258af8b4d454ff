package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/shirecounty/shire/deploy/embedded"
	"github.com/shirecounty/shire/pipeline"
	"github.com/shirecounty/shire/pipeline/audit"
	"github.com/shirecounty/shire/pipeline/disclosure"
	"github.com/shirecounty/shire/pipeline/identity"
	"github.com/shirecounty/shire/pipeline/seal"
	"github.com/shirecounty/shire/pipeline/serving"
	"github.com/shirecounty/shire/pipeline/warehouse"
	"github.com/shirecounty/shire/portal"
	"github.com/shirecounty/shire/portal/accounts"
	"github.com/shirecounty/shire/portal/callers"
	"github.com/shirecounty/shire/schemas/pseudonym"
	"github.com/shirecounty/shire/schemas/sharing"
)

// sharingRoom is what a running node shares records with.
type sharingRoom struct {
	*disclosure.Desk
	corrections *pipeline.Corrections
	store       *serving.Store
	fresh       *disclosure.Freshness
	pulse       *warehouse.Pulse
	log         *slog.Logger
}

// seenLog is the log of accesses for those who show people's data without asking the desk: what cannot be read in the warehouse for
// now is not written either, and they show nothing that is not written (I8).
type seenLog struct {
	*audit.Log
	pulse *warehouse.Pulse
}

// Record implements the logs of pipeline.Corrections and subscription.Service.
func (l seenLog) Record(ctx context.Context, a audit.Access) error {
	if err := l.pulse.Err(); err != nil {
		return &disclosure.Unavailable{What: disclosure.TheWarehouse, Err: err}
	}
	return l.Log.Record(ctx, a)
}

// shares tells whether the county shares records at all: without purposes nothing can be asked for, and nothing is kept for it.
func (s *setup) shares() bool { return len(s.config.Sharing.Purposes) > 0 }

// openSharing opens the county's store of records to share and the desk that shows them; nil when the county shares none.
func (n *node) openSharing(ctx context.Context, keys *seal.Keyring) (*sharingRoom, error) {
	if !n.shares() {
		return nil, nil
	}
	hasher, err := pseudonym.New(n.engines.key)
	if err != nil {
		return nil, inputf("%v", err)
	}
	store, err := n.openServing(ctx, keys)
	if err != nil {
		return nil, err
	}
	pulse, err := warehouse.NewPulse(n.engines.loader, warehouse.Patience, n.log)
	if err != nil {
		store.Close()
		return nil, err
	}
	r := &sharingRoom{store: store, pulse: pulse, log: n.log}
	r.fresh = disclosure.NewFreshness(store.Position, n.bus.LastSequence, time.Duration(n.config.Sharing.Lag))
	r.Desk = disclosure.New(disclosure.Options{
		Store: store, Exchange: n.exchange, Log: n.accesses.Log, Looks: n.accesses.projection, Fresh: r.fresh.Err, Warehouse: pulse.Err,
		Persons:   func() disclosure.Persons { return n.identities.Partition(identity.Person) },
		Contracts: n.contracts, Purposes: n.sharingWorld().Purposes, Hasher: hasher, Zone: n.zone,
		Items: n.items, Taken: pipeline.NewMaterials(n.bus),
	})
	if r.corrections, err = n.openCorrections(r); err != nil {
		r.close()
		return nil, err
	}
	return r, nil
}

// readItems reads the list of service items, where there is one.
func (s *setup) readItems() (err error) {
	if file := s.config.Sharing.Items; file != "" {
		s.items, s.labels, err = sharing.LoadItems(file)
	}
	return err
}

// The records to share lie in a folder of the data directory, beside a note of where they come from: the bus and the key of the
// pseudonyms, and the layout, since the first one sealed them with a key of their own.
func servedFolder(data string) string  { return filepath.Join(data, "sharing") }
func servedRecords(data string) string { return filepath.Join(servedFolder(data), "records") }
func servedOrigin(data string) string  { return filepath.Join(servedFolder(data), "origin") }

const (
	servedLayout = "/2\n"
	// firstSharingSecret names, among the generated secrets, what the first layout's keys were made of.
	firstSharingSecret = "sharing_key"
)

// servedAtRest tells whether there are records to share that are not made anew at the next start whatever they are.
func servedAtRest(data string) bool {
	origin, err := os.ReadFile(servedOrigin(data))
	if err != nil || !strings.HasSuffix(string(origin), servedLayout) {
		return false
	}
	_, err = os.Stat(servedRecords(data))
	return err == nil
}

// openServing opens the store. One that was made from another bus, is ahead of this one, or cannot be read any more is made anew: it
// is a copy of the bus and of nothing else.
func (n *node) openServing(ctx context.Context, keys *seal.Keyring) (*serving.Store, error) {
	if err := os.MkdirAll(servedFolder(n.data), 0o700); err != nil {
		return nil, fmt.Errorf("make the folder of the records to share: %w", err)
	}
	last, err := n.bus.LastSequence(ctx)
	if err != nil {
		return nil, err
	}
	origin, file, folder := n.bus.ID()+"/"+fingerprint(n.engines.key)+servedLayout, servedOrigin(n.data), servedRecords(n.data)
	before, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read where the records to share come from: %w", err)
	}
	switch {
	case string(before) == origin:
		store, err := serving.Open(folder, serving.Options{Keys: keys})
		if err != nil {
			return nil, err
		}
		switch {
		case store.Position() > last:
			n.log.Warn("the records to share are ahead of the bus, which was restored; they are made anew from it", "position", store.Position(), "last", last)
		case store.Lost():
			n.log.Warn("some records to share are sealed with a key that is not in the keyring any more; all are made anew from the bus, and sealed with the newest key")
		default:
			return store, nil
		}
		if err := store.Close(); err != nil {
			return nil, fmt.Errorf("close the store of records to share: %w", err)
		}
	case len(before) > 0 && !strings.HasSuffix(string(before), servedLayout):
		n.log.Warn("the records to share were sealed with a key of their own; they are made anew from the bus, and sealed with the newest key, as shire keys status lists it")
	case len(before) > 0:
		n.log.Warn("the records to share come from another bus, or belong to another key of pseudonyms; they are made anew from the bus")
	}
	if err := os.RemoveAll(folder); err != nil {
		return nil, fmt.Errorf("remove old records to share: %w", err)
	}
	if err := embedded.RemoveSecrets(n.data, firstSharingSecret); err != nil {
		return nil, err
	}
	if err := os.WriteFile(file, []byte(origin), 0o600); err != nil {
		return nil, fmt.Errorf("write where the records to share come from: %w", err)
	}
	return serving.Open(folder, serving.Options{Keys: keys})
}

// serve keeps the store up with the flow until ctx ends. What goes wrong is tried again: while it lasts, reads are refused, and
// everything else goes on.
func (r *sharingRoom) serve(ctx context.Context, f *pipeline.Flow) error {
	for pause := time.Second; ; pause = min(2*pause, time.Minute) {
		began := time.Now()
		err := f.Serve(ctx, r.store)
		if err == nil || ctx.Err() != nil {
			return nil
		}
		if time.Since(began) > time.Minute {
			pause = time.Second
		}
		r.log.Error("the records to share do not follow the bus at the moment; nothing is shared when they fall behind, and it is tried again", "error", err, "pause", pause)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
	}
}

// seen is the log of accesses for those who do not ask the desk.
func (r *sharingRoom) seen(l *auditLog) seenLog { return seenLog{l.Log, r.pulse} }

func (r *sharingRoom) close() {
	if err := r.pulse.Close(); err != nil {
		r.log.Warn("the connection that ClickHouse was asked over was not closed cleanly", "error", err)
	}
	if err := r.store.Close(); err != nil {
		r.log.Warn("the store of records to share was not closed cleanly", "error", err)
	}
}

// status is how far the records to share are.
func (r *sharingRoom) status() *portal.ShareStatus {
	messages, since := r.fresh.Behind()
	s := &portal.ShareStatus{LagMessages: messages}
	if !since.IsZero() {
		s.LagSeconds = time.Since(since).Seconds()
	}
	if err := r.fresh.Err(); err != nil {
		s.Problem = err.Error()
	}
	if err := r.pulse.Err(); err != nil {
		s.Problem = "nothing is shown while ClickHouse does not answer: " + err.Error()
	}
	return s
}

// lateSharing is lateFigures for the desk of shared records.
type lateSharing struct {
	*disclosure.Desk
	corrections lateCorrections
}

// options are the portal's, before the desk is there; nil when the county shares no records.
func (l *lateSharing) options(a *app, s *setup, accesses portal.Accesses) (*portal.SharingOptions, error) {
	if !s.shares() {
		return nil, nil
	}
	who, err := callers.New(callers.Options{Clients: s.config.Sharing.Clients, Issuers: s.config.Sharing.Issuers, Keys: accounts.Clients(a.data)})
	if err != nil {
		return nil, inputf("%s: %v", s.config.File, err)
	}
	return &portal.SharingOptions{Desk: l, Prefill: l, Corrections: &l.corrections, Callers: who, Accesses: accesses, Contracts: s.contracts, Limits: s.config.Sharing.Limits}, nil
}

// window is what the window clerks' page is made from; nil when county.yaml names no purpose for it.
func (l *lateSharing) window(a *app, s *setup) *portal.WindowOptions {
	c := &s.config.Sharing
	if c.Window == "" {
		return nil
	}
	return &portal.WindowOptions{Desk: l, Clerks: accounts.Clerks(a.data), Purpose: c.Window, PurposeName: c.Purposes[c.Window], Items: s.items, Materials: s.labels, Departments: s.config.Departments}
}
