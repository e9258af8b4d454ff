package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/shirecounty/shire/schemas/change"
)

// Survey implements connectors.Surveyor, on a connection of its own, chunk by chunk.
func (c *Connector) Survey(ctx context.Context, dataset string, keys []string, fn func(columns []string, ch change.Change) error) error {
	f, err := c.feedOf(dataset)
	if err != nil {
		return err
	}
	conn, _, err := c.connect(ctx)
	if err != nil {
		return fmt.Errorf("source %s: %w", c.Source.Name, err)
	}
	defer hangUp(conn)
	if len(keys) > 0 {
		err = c.surveyKeys(ctx, f, conn, keys, fn)
	} else {
		err = c.surveyAll(ctx, f, conn, fn)
	}
	if err != nil {
		return fmt.Errorf("source %s, dataset %s: %w", c.Source.Name, dataset, err)
	}
	if len(keys) == 0 {
		c.mu.Lock()
		c.surveyed[dataset] = true
		c.mu.Unlock()
	}
	return nil
}

// feedOf makes a feed for reading the table of a dataset only.
func (c *Connector) feedOf(dataset string) (*feed, error) {
	for _, t := range c.settings.Tables {
		if t.Dataset == dataset {
			return &feed{Table: t, dataset: c.Contracts[dataset], unit: t.Schema + "." + t.Name}, nil
		}
	}
	return nil, fmt.Errorf("source %s has no dataset %s", c.Source.Name, dataset)
}

func (c *Connector) surveyAll(ctx context.Context, f *feed, conn *pgx.Conn, fn func([]string, change.Change) error) error {
	var after []string
	for n, complete := int64(0), false; !complete; {
		err := c.reading(ctx, f, conn, func(t *table) error {
			say := func(row *tuple) error {
				n++
				return fn(t.names, keyed(t.keyer, change.Snapshot, row, n, time.Time{}))
			}
			count, from := 0, after
			err := query(ctx, conn.PgConn(), t.chunkSQL(from, c.settings.ChunkRows), from, func(row *tuple) error {
				count++
				after = t.cursor(row)
				return say(row)
			})
			if complete = count < c.settings.ChunkRows; err == nil && complete && t.nullableKey() {
				err = query(ctx, conn.PgConn(), t.keylessSQL(), nil, say)
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (c *Connector) surveyKeys(ctx context.Context, f *feed, conn *pgx.Conn, keys []string, fn func([]string, change.Change) error) error {
	return c.reading(ctx, f, conn, func(t *table) error {
		_, err := t.lookup(ctx, conn.PgConn(), keys, inUTF8(conn), func(_ string, row *tuple) error {
			return fn(t.names, keyed(t.keyer, change.Snapshot, row, 0, time.Time{}))
		})
		return err
	})
}

func inUTF8(conn *pgx.Conn) bool { return conn.PgConn().ParameterStatus("server_encoding") == "UTF8" }

// resend is a request to say single records again.
type resend struct {
	feed string // dataset
	keys []string
	done chan error
}

// Resend implements connectors.Resender.
func (c *Connector) Resend(ctx context.Context, dataset string, keys []string) error {
	if _, err := c.feedOf(dataset); err != nil {
		return err
	}
	request := &resend{dataset, keys, make(chan error, 1)}
	select {
	case c.resends <- request:
	case <-ctx.Done():
		return fmt.Errorf("source %s does not run, so records of %s cannot be sent again: %w", c.Source.Name, dataset, ctx.Err())
	}
	select {
	case err := <-request.done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// resend says records as they now stand, while the stream stands still: what was handed on is seen, and what is not seen is
// handed on after it.
func (r *run) resend(ctx context.Context, request *resend) (err error) {
	defer func() {
		select {
		case request.done <- err:
		default: // answered already
		}
	}()
	if err := r.see(ctx); err != nil {
		return err
	}
	var f *feed
	for _, candidate := range r.feeds {
		if candidate.dataset.Name == request.feed {
			f = candidate
		}
	}
	if f == nil {
		return errors.New("the dataset is not one of this source's")
	}
	at := place{r.lsn, 0}
	err = r.reading(ctx, f, r.side, func(t *table) error {
		if err := r.reshape(ctx, f, t.shape()); err != nil {
			return err
		}
		missing, err := t.lookup(ctx, r.side.PgConn(), request.keys, inUTF8(r.side), func(_ string, row *tuple) error {
			return r.append(ctx, f, t.names, keyed(t.keyer, change.Snapshot, row, 0, time.Time{}), at)
		})
		if err != nil {
			return err
		}
		for _, key := range missing {
			if err := r.append(ctx, f, t.names, deleted(t.keyer, len(t.names), key), at); err != nil {
				return err
			}
		}
		return nil
	})
	if codeOf(err) == lockNotAvailable {
		request.done <- err
		return nil // the run goes on
	}
	return err
}
