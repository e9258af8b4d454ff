package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/shirecounty/shire/deploy/embedded"
	"github.com/shirecounty/shire/pipeline"
	"github.com/shirecounty/shire/pipeline/disclosure"
	"github.com/shirecounty/shire/pipeline/identity"
	"github.com/shirecounty/shire/pipeline/serving"
	"github.com/shirecounty/shire/portal"
	"github.com/shirecounty/shire/portal/accounts"
	"github.com/shirecounty/shire/portal/callers"
	"github.com/shirecounty/shire/schemas/pseudonym"
	"github.com/shirecounty/shire/schemas/sharing"
)

// sharingSecret names, among the generated secrets, what the keys of the records to share are made of.
const sharingSecret = "sharing_key"

// sharingRoom is what a running node shares records with.
type sharingRoom struct {
	*disclosure.Desk
	corrections *pipeline.Corrections
	store       *serving.Store
	fresh       *disclosure.Freshness
	log         *slog.Logger
}

// shares tells whether the county shares records at all: without purposes nothing can be asked for, and nothing is kept for it.
func (s *setup) shares() bool { return len(s.config.Sharing.Purposes) > 0 }

// openSharing opens the county's store of records to share and the desk that shows them; nil when the county shares none.
func (n *node) openSharing(ctx context.Context) (*sharingRoom, error) {
	if !n.shares() {
		return nil, nil
	}
	hasher, err := pseudonym.New(n.engines.key)
	if err != nil {
		return nil, inputf("%v", err)
	}
	store, err := n.openServing(ctx)
	if err != nil {
		return nil, err
	}
	r := &sharingRoom{store: store, log: n.log}
	r.fresh = disclosure.NewFreshness(store.Position, n.bus.LastSequence, time.Duration(n.config.Sharing.Lag))
	r.Desk = disclosure.New(disclosure.Options{
		Store: store, Exchange: n.exchange, Log: n.accesses.Log, Looks: n.accesses.projection, Fresh: r.fresh.Err,
		Persons:   func() disclosure.Persons { return n.identities.Partition(identity.Person) },
		Contracts: n.contracts, Purposes: n.sharingWorld().Purposes, Hasher: hasher, Zone: n.zone,
		Items: n.items, Taken: pipeline.NewMaterials(n.bus),
	})
	if r.corrections, err = n.openCorrections(r); err != nil {
		store.Close()
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

// openServing opens the store. One that was made from another bus, or is ahead of this one, is made anew: it is a copy of the bus
// and of nothing else.
func (n *node) openServing(ctx context.Context) (*serving.Store, error) {
	dir := filepath.Join(n.data, "sharing")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the folder of the records to share: %w", err)
	}
	keys, err := n.servingKeys()
	if err != nil {
		return nil, err
	}
	last, err := n.bus.LastSequence(ctx)
	if err != nil {
		return nil, err
	}
	origin, file := n.bus.ID()+"/"+fingerprint(n.engines.key)+"\n", filepath.Join(dir, "origin")
	before, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read where the records to share come from: %w", err)
	}
	folder := filepath.Join(dir, "records")
	if string(before) == origin {
		store, err := serving.Open(folder, serving.Options{Keys: keys})
		if err != nil || store.Position() <= last {
			return store, err
		}
		n.log.Warn("the records to share are ahead of the bus, which was restored; they are made anew from it", "position", store.Position(), "last", last)
		if err := store.Close(); err != nil {
			return nil, fmt.Errorf("close the store of records to share: %w", err)
		}
	}
	if err := os.RemoveAll(folder); err != nil {
		return nil, fmt.Errorf("remove old records to share: %w", err)
	}
	if err := os.WriteFile(file, []byte(origin), 0o600); err != nil {
		return nil, fmt.Errorf("write where the records to share come from: %w", err)
	}
	return serving.Open(folder, serving.Options{Keys: keys})
}

// servingKeys are the keys of both ciphers, the configured one's first: a change of cipher holds for what is written from then on.
func (n *node) servingKeys() (*serving.Keyring, error) {
	secrets, err := embedded.LoadOrCreateSecrets(n.data, sharingSecret)
	if err != nil {
		return nil, err
	}
	key := func(id uint32, c serving.Cipher) serving.Key {
		sum := sha256.Sum256([]byte("shire records to share\n" + string(c) + "\n" + secrets[sharingSecret]))
		return serving.Key{ID: id, Cipher: c, Secret: sum[:c.KeySize()]}
	}
	aes, sm4 := key(1, serving.AES256GCM), key(2, serving.SM4GCM)
	if serving.Cipher(n.config.Sharing.Cipher) == serving.SM4GCM {
		return serving.NewKeyring(sm4, aes)
	}
	return serving.NewKeyring(aes, sm4)
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

func (r *sharingRoom) close() {
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
