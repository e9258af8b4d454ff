package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/shirecounty/shire/deploy/embedded"
	"github.com/shirecounty/shire/pipeline"
	"github.com/shirecounty/shire/pipeline/bus"
	"github.com/shirecounty/shire/pipeline/identity"
	"github.com/shirecounty/shire/pipeline/identity/partition"
	"github.com/shirecounty/shire/pipeline/identity/review"
	"github.com/shirecounty/shire/schemas/document"
	"github.com/shirecounty/shire/schemas/pseudonym"
)

// identityDir is where a data directory keeps the state of identities.
func identityDir(dataDir string) string { return filepath.Join(dataDir, "identity") }

func (a *app) identityDir() string { return identityDir(a.data) }

// openIdentities opens the state of identities as it was last kept, to be looked at: beside the process that writes it,
// or when none runs.
func (a *app) openIdentities() (*identity.Matching, error) {
	// Nothing that is looked at gets an id, so that the key of the pseudonyms is not needed.
	hasher, err := pseudonym.New(make([]byte, pseudonym.MinKey))
	if err != nil {
		return nil, err
	}
	nothing := inputf("%s holds no identities yet; load something first: shire load", a.data)
	if _, err := os.Stat(filepath.Join(a.identityDir(), identity.Organisation)); errors.Is(err, fs.ErrNotExist) {
		return nil, nothing
	}
	m, err := identity.Open(identity.Options{Dir: a.identityDir(), Hasher: hasher, ReadOnly: true, Log: a.log})
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nothing
	}
	return m, err
}

func (a *app) withIdentities(fn func(*identity.Matching) error) error {
	m, err := a.openIdentities()
	if err != nil {
		return err
	}
	return errors.Join(fn(m), m.Close())
}

// aboutFlag adds --about; it may be empty where the ids tell.
func aboutFlag(cmd *cobra.Command, about *string, otherwise string) {
	cmd.Flags().StringVar(about, "about", otherwise, "person or organisation")
}

func provenAbout(about string) error {
	if about == identity.Person || about == identity.Organisation {
		return nil
	}
	return inputf("identities are of a person or an organisation, and not of %q; %s", about, document.DidYouMean(about, []string{identity.Person, identity.Organisation}))
}

// recordIDs reads ids from the command line. What is wrong is not repeated: it might be somebody's number (I7).
func recordIDs(args []string) ([]pseudonym.ID, error) {
	ids := make([]pseudonym.ID, len(args))
	for i, arg := range args {
		var err error
		if ids[i], err = pseudonym.Parse(strings.ToLower(arg)); err != nil {
			return nil, inputf("argument %d is no id: %v; copy it from shire identity review, or from mart.links", i+1, err)
		}
	}
	return ids, nil
}

// pairOf reads the ids of two records.
func pairOf(args []string) (x, y pseudonym.ID, err error) {
	ids, err := recordIDs(args[:2])
	if err != nil {
		return x, y, err
	}
	if ids[0] == ids[1] {
		return x, y, inputf("the two records are one; name two")
	}
	return ids[0], ids[1], nil
}

// writing is what commands need that publish something about identities.
type writing struct {
	desk   *pipeline.Desk
	bus    *bus.Bus
	loaded func(ctx context.Context, sequence uint64) error
	// identities gives the state as it was last kept.
	identities func() (*identity.Matching, func(), error)
}

// toWrite runs fn beside the running node, or with a flow that runs here meanwhile.
func (a *app) toWrite(ctx context.Context, fn func(context.Context, writing) error) error {
	s, err := a.readSetup()
	if err != nil {
		return err
	}
	e, err := a.start(ctx, s, nil)
	if errors.Is(err, embedded.ErrLocked) {
		return a.writeBeside(ctx, s, fn)
	}
	if err != nil {
		return err
	}
	defer e.stop()
	return a.withFlow(ctx, s, e, func(ctx context.Context, n *node) error {
		w := writing{bus: n.bus, loaded: n.flow.Drain, identities: pipeline.Always(n.identities)}
		w.desk = pipeline.NewDesk(pipeline.DeskOptions{Bus: w.bus, Identities: w.identities, Loaded: w.loaded})
		return fn(ctx, w)
	})
}

func (a *app) writeBeside(ctx context.Context, s *setup, fn func(context.Context, writing) error) error {
	e, _, err := a.attach(s)
	if err != nil {
		return err
	}
	defer e.stop()
	b, err := openBus(ctx, s, e)
	if err != nil {
		return err
	}
	w := writing{bus: b, loaded: func(ctx context.Context, sequence uint64) error { return waitLoaded(ctx, b, sequence) }}
	w.identities = func() (*identity.Matching, func(), error) {
		m, err := a.openIdentities()
		if err != nil {
			return nil, nil, err
		}
		return m, func() {
			if err := m.Close(); err != nil {
				a.log.Warn("the state of identities was not closed cleanly", "error", err)
			}
		}, nil
	}
	w.desk = pipeline.NewDesk(pipeline.DeskOptions{Bus: w.bus, Identities: w.identities, Loaded: w.loaded})
	return fn(ctx, w)
}

// identityError tells mistakes of whoever called from what failed by itself.
func identityError(err error) error {
	var mistake *review.Mistake
	var contradiction *review.Contradiction
	var early *pipeline.NotLoadedError
	switch {
	case errors.Is(err, review.ErrUnknown):
		return inputf("there is no such record, or no such verdict; see shire identity review")
	case errors.Is(err, partition.ErrNoModel):
		return inputf("there are no records yet; load something first: shire load")
	case errors.As(err, &mistake), errors.As(err, &contradiction), errors.As(err, &early):
		return inputf("%v", err)
	}
	return err
}
