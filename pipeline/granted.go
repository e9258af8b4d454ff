package pipeline

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/shirecounty/shire/schemas/clickhouse"
	"github.com/shirecounty/shire/schemas/sharing"
)

// Requests are what departments asked for and were granted, as it stands at the moment: see [Exchange].
type Requests interface {
	Requests(ctx context.Context) ([]*sharing.Request, error)
}

// grantedEvery is how often it is looked whether a grant has changed: so long after it was revoked it may still be read by.
const grantedEvery = time.Second

// Granted has the departments' own users of the warehouse read what their grants cover. What they read are views, which are
// written anew when a grant changes, whoever changed it.
//
// # How it fails
//
//   - It does not run: no grant is changed then; those that end, end in the views themselves.
//   - The grants cannot be read: nobody reads by them until they can be.
//   - The warehouse is away: it is tried again until it is back.
type Granted struct {
	shared   clickhouse.Shared
	conn     driver.Conn // the loading user's
	requests Requests
	log      *slog.Logger

	written  map[string]string // the views as they were written last; nil when that is not known
	withheld []string
}

// NewGranted makes one.
func NewGranted(shared clickhouse.Shared, conn driver.Conn, requests Requests, log *slog.Logger) *Granted {
	return &Granted{shared: shared, conn: conn, requests: requests, log: log}
}

// Run follows the grants until ctx ends.
func (g *Granted) Run(ctx context.Context) error {
	failing := false
	for {
		err := g.Follow(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil && !failing {
			g.log.Error("what departments may read in the warehouse does not follow the grants; it is tried again every second", "error", err)
		}
		failing = err != nil
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(grantedEvery):
		}
	}
}

// Follow writes the views as the grants stand now; it does nothing when they stand so already. It is called by one goroutine
// at a time.
func (g *Granted) Follow(ctx context.Context) error {
	requests, unread := g.requests.Requests(ctx)
	if unread != nil {
		requests = nil // I8: what is not known to be granted is not read
	}
	views, withheld := g.shared.SharedViews(requests)
	if g.written != nil && maps.Equal(views, g.written) {
		return unread
	}
	g.written = nil // half of it may be written
	if err := g.shared.ApplyShared(ctx, g.conn, views); err != nil {
		return errors.Join(unread, err)
	}
	g.written = views
	if !slices.Equal(withheld, g.withheld) {
		for _, sentence := range withheld {
			g.log.Info(sentence)
		}
	}
	g.withheld = withheld
	if len(g.shared.Departments) > 0 {
		g.log.Info("the departments' own users of the warehouse read what they are granted", "views", len(views), "departments", len(g.shared.Departments))
	}
	return unread
}
