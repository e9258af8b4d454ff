package main

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"github.com/shirecounty/shire/pipeline"
	"github.com/shirecounty/shire/pipeline/warehouse"
	"github.com/shirecounty/shire/portal"
	"github.com/shirecounty/shire/portal/accounts"
	"github.com/shirecounty/shire/schemas/catalogue"
	"github.com/shirecounty/shire/schemas/clickhouse"
	"github.com/shirecounty/shire/schemas/pseudonym"
	"github.com/shirecounty/shire/schemas/sharing"
)

// readRules reads the deadlines of sharing: the nation's, the province's, the county's.
func (s *setup) readRules() (err error) {
	layers := []fs.FS{sharing.National()}
	if dir := s.config.Sharing.Rules; dir != "" {
		if province := filepath.Join(dir, "province"); isDirectory(province) {
			layers = append(layers, os.DirFS(province))
		}
		layers = append(layers, os.DirFS(dir))
	}
	s.rules, err = sharing.LoadRules(layers...)
	return err
}

func isDirectory(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// sharingWorld is what requests for data are judged by.
func (s *setup) sharingWorld() sharing.World {
	return sharing.World{Contracts: s.contracts, Purposes: slices.Sorted(maps.Keys(s.config.Sharing.Purposes)), Lead: s.config.Sharing.Lead}
}

// sharingCommand holds what is about requests for data.
func (a *app) sharingCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "sharing", Short: "Requests for data between departments, and who may act for them", Args: cobra.ArbitraryArgs, RunE: group}
	cmd.AddCommand(a.accountsCommand("officers", officerAccounts), a.accountsCommand("clerks", clerkAccounts))
	return cmd
}

// lateExchange lets the portal be made before the node is: until then nothing can be asked of it.
type lateExchange struct{ node atomic.Pointer[node] }

var errNoNode = errors.New("the node is starting")

func (l *lateExchange) open() (*node, error) {
	if n := l.node.Load(); n != nil {
		return n, nil
	}
	return nil, errNoNode
}

// Do does an act.
func (l *lateExchange) Do(ctx context.Context, e sharing.Event, by string) (*sharing.Request, error) {
	n, err := l.open()
	if err != nil {
		return nil, err
	}
	return n.exchange.Do(ctx, e, by)
}

// Requests are all requests.
func (l *lateExchange) Requests(ctx context.Context) ([]*sharing.Request, error) {
	n, err := l.open()
	if err != nil {
		return nil, err
	}
	return n.exchange.Requests(ctx)
}

// Acts are the acts of a request.
func (l *lateExchange) Acts(ctx context.Context, request string) ([]pipeline.Act, error) {
	n, err := l.open()
	if err != nil {
		return nil, err
	}
	return n.exchange.Acts(ctx, request)
}

// Catalogue is the catalogue in use, measured.
func (l *lateExchange) Catalogue(ctx context.Context) (catalogue.Catalogue, error) {
	n, err := l.open()
	if err != nil {
		return catalogue.Catalogue{}, err
	}
	c := catalogue.Of(n.contracts)
	c.Version = n.catalogue
	measured, err := warehouse.Measure(ctx, n.analyst)
	c.Measure(measured)
	return c, err
}

// CatalogueAt is an earlier version.
func (l *lateExchange) CatalogueAt(ctx context.Context, number uint32) (catalogue.Catalogue, error) {
	n, err := l.open()
	if err != nil {
		return catalogue.Catalogue{}, err
	}
	c, err := clickhouse.CatalogueAt(ctx, n.analyst, number)
	if errors.Is(err, clickhouse.ErrNoVersion) {
		err = portal.ErrUnknown
	}
	return c, err
}

// CatalogueVersions are the versions.
func (l *lateExchange) CatalogueVersions(ctx context.Context, most int) ([]catalogue.Version, error) {
	n, err := l.open()
	if err != nil {
		return nil, err
	}
	return clickhouse.CatalogueVersions(ctx, n.analyst, most)
}

// Search looks into the log of accesses.
func (l *lateExchange) Search(ctx context.Context, q portal.AccessQuery) ([]portal.LoggedAccess, bool, error) {
	n, err := l.open()
	if err != nil {
		return nil, false, err
	}
	list, err := warehouse.SearchAccesses(ctx, n.analyst, warehouse.Accesses(q))
	more := len(list) > q.Limit
	if more {
		list = list[:q.Limit]
	}
	shown := make([]portal.LoggedAccess, len(list))
	for i, e := range list {
		shown[i] = portal.LoggedAccess{
			Sequence: e.Sequence, At: e.At.UTC(), Caller: e.Caller, Clerk: e.Clerk, Purpose: e.Purpose, Item: e.Item, Case: e.Case, Department: e.Department,
			Person: pseudonym.ID(e.Person), Fields: e.Fields, Decision: e.Decision, Reason: e.Reason,
		}
	}
	return shown, more, err
}

// pages are the parts of the portal that are about requests.
func (l *lateExchange) pages(s *setup, data string) *portal.RequestsOptions {
	return &portal.RequestsOptions{
		Exchange: l, Officers: accounts.Officers(data), World: s.sharingWorld, Rules: s.rules, Calendar: s.calendar,
		Purposes: s.config.Sharing.Purposes, Departments: s.config.Departments,
	}
}

// writeSharing writes the deadlines and the catalogue's version to the warehouse.
func (n *node) writeSharing(ctx context.Context) (err error) {
	n.catalogue, err = clickhouse.LoadSharing(ctx, n.warehouse.Conn(), catalogue.Of(n.contracts), n.rules, time.Now())
	return err
}
