package web

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/cockroachdb/pebble"

	"github.com/shirecounty/shire/schemas/change"
)

// itemPath fills the key into the template of a single record's path.
func (e *endpoint) itemPath(key string) string {
	parts := strings.Split(key, change.KeySeparator)
	return placeholder.ReplaceAllStringFunc(e.Item, func(name string) string {
		part := key // {key}, where the key has one field
		if i := slices.Index(e.Dataset.Key, strings.Trim(name, "{}")); i >= 0 && i < len(parts) {
			part = parts[i]
		}
		if part == "." || part == ".." { // as a part of a path they mean something else
			return strings.ReplaceAll(part, ".", "%2E")
		}
		return url.PathEscape(part)
	})
}

// resend is a wish to hear records again.
type resend struct {
	dataset string
	keys    []string
	done    chan error // gets one
}

// Resend implements connectors.Resender.
func (c *Connector) Resend(ctx context.Context, dataset string, keys []string) error {
	if !slices.ContainsFunc(c.settings.Endpoints, func(e *endpoint) bool { return e.Dataset.Name == dataset }) {
		return fmt.Errorf("source %s has no dataset %s", c.Source.Name, dataset)
	}
	wish := &resend{dataset: dataset, keys: keys, done: make(chan error, 1)}
	c.mu.Lock()
	c.asked = append(c.asked, wish)
	c.mu.Unlock()
	select {
	case c.wake <- struct{}{}:
	default: // somebody has rung already
	}
	select {
	case err := <-wish.done:
		return err
	case <-ctx.Done():
		c.mu.Lock()
		defer c.mu.Unlock()
		c.asked = slices.DeleteFunc(c.asked, func(w *resend) bool { return w == wish })
		return ctx.Err()
	}
}

// nextWish takes the first wish, or the first of a dataset.
func (c *Connector) nextWish(dataset string) *resend {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, w := range c.asked {
		if dataset == "" || w.dataset == dataset {
			c.asked = slices.Delete(c.asked, i, i+1)
			return w
		}
	}
	return nil
}

// answerAll ends all wishes with the error of the run that was to fulfil them.
func (c *Connector) answerAll(err error) {
	for w := c.nextWish(""); w != nil; w = c.nextWish("") {
		w.done <- err
	}
}

// answer fulfils the wishes. Between the pages of a dataset those for it are fulfilled, where that takes no other pass.
func (r *run) answer(ctx context.Context, between *reading) error {
	dataset := ""
	if between != nil {
		if between.Item == "" {
			return nil
		}
		dataset = between.Dataset.Name
	}
	for w := r.nextWish(dataset); w != nil; w = r.nextWish(dataset) {
		err := r.datasets[w.dataset].sayAgain(ctx, w.keys)
		w.done <- err
		var no *refusal
		if err != nil && !errors.As(err, &no) {
			return err
		}
	}
	return nil
}

// sayAgain says records as they now stand, whatever the ledger knows of them.
func (d *reading) sayAgain(ctx context.Context, keys []string) error {
	d.at.Row = 0
	if d.Item != "" {
		for _, key := range keys {
			r, err := d.single(ctx, key)
			if err != nil {
				return err
			}
			if err := d.restate(ctx, key, r); err != nil {
				return err
			}
		}
		return nil
	}
	left := map[string]bool{}
	for _, key := range keys {
		left[key] = true
	}
	found := func(ctx context.Context, _ *pass, records []*record) error {
		for _, r := range records {
			if _, wanted := left[r.key]; !wanted || r.problem != "" {
				continue
			}
			left[r.key] = false
			if err := d.restate(ctx, r.key, r); err != nil {
				return err
			}
		}
		return nil
	}
	// A record that moves while the pages are read may be missed once.
	for range 2 {
		l := *d.list
		l.take = found
		p := &pass{}
		if err := l.walk(ctx, p, "", func() error { return nil }); err != nil {
			return err
		}
		if p.requests == 1 || d.Pages.Stable {
			break
		}
	}
	for _, key := range keys {
		if left[key] {
			left[key] = false // a key may stand in keys twice
			if err := d.restate(ctx, key, nil); err != nil {
				return err
			}
		}
	}
	return nil
}

// restate says one record as it now stands.
func (d *reading) restate(ctx context.Context, key string, r *record) error {
	if r == nil || r.deleted {
		return d.delete(ctx, key)
	}
	if err := d.declare(ctx); err != nil {
		return err
	}
	c := change.Change{Op: change.Snapshot, Key: key, Row: r.row, Time: r.time, Values: r.values, Null: r.null}
	if err := d.append(ctx, c); err != nil {
		return err
	}
	d.said[key] = d.shape.hash.sum(r)
	return nil
}

// Survey implements connectors.Surveyor. A list may say a record twice when it moves while it is read, and a feed says all
// of its versions, so what was read is gathered on disk first, and told from there (I10).
func (c *Connector) Survey(ctx context.Context, dataset string, keys []string, fn func(columns []string, c change.Change) error) error {
	i := slices.IndexFunc(c.settings.Endpoints, func(e *endpoint) bool { return e.Dataset.Name == dataset })
	if i < 0 {
		return fmt.Errorf("source %s has no dataset %s", c.Source.Name, dataset)
	}
	web, err := c.client()
	if err != nil {
		return err
	}
	defer web.closed()
	e := c.settings.Endpoints[i]
	l := &list{endpoint: e, client: web, shape: newShaper(e, nil), tell: func(string, string) {}}
	if len(keys) > 0 && e.Item != "" {
		err = l.surveySingle(ctx, keys, fn)
	} else {
		err = c.surveyAll(ctx, l, keys, fn)
	}
	if err != nil {
		return fmt.Errorf("source %s, dataset %s: %w", c.Source.Name, dataset, err)
	}
	return nil
}

func (l *list) surveySingle(ctx context.Context, keys []string, fn func([]string, change.Change) error) error {
	for _, key := range keys {
		r, err := l.single(ctx, key)
		if err != nil {
			return err
		}
		if r == nil || r.deleted {
			continue
		}
		if err := fn(l.shape.columns, change.Change{Op: change.Snapshot, Key: key, Time: r.time, Values: r.values, Null: r.null}); err != nil {
			return err
		}
	}
	return nil
}

func (c *Connector) surveyAll(ctx context.Context, l *list, keys []string, fn func([]string, change.Change) error) (err error) {
	if err := os.MkdirAll(c.StateDir, 0o700); err != nil {
		return err
	}
	dir, err := os.MkdirTemp(c.StateDir, "survey-") // it holds personal data, so it is not the system's folder (I7)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	db, err := pebble.Open(dir, &pebble.Options{DisableWAL: true, MemTableSize: 8 << 20, Logger: quiet{}})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	wanted := map[string]bool{}
	for _, key := range keys {
		wanted[key] = true
	}
	l.take = func(_ context.Context, _ *pass, records []*record) error {
		for _, r := range records {
			switch {
			case r.problem != "" || len(keys) > 0 && !wanted[r.key]:
			case r.deleted:
				err = db.Delete([]byte(r.key), pebble.NoSync)
			default:
				err = gather(db, r)
			}
			if err != nil {
				return err
			}
		}
		return nil
	}
	if err := l.walk(ctx, &pass{}, "", func() error { return nil }); err != nil {
		return err
	}
	return tell(ctx, db, l.endpoint, fn)
}

// gathered is a record on its way through the disk.
type gathered struct {
	Names, Values []string
	Null          []bool
	Time          time.Time
}

func gather(db *pebble.DB, r *record) error {
	g := gathered{Time: r.time}
	for _, m := range r.members {
		g.Names, g.Values, g.Null = append(g.Names, m.name), append(g.Values, m.value), append(g.Null, m.null)
	}
	data, err := json.Marshal(g)
	if err != nil {
		return err
	}
	return db.Set([]byte(r.key), data, pebble.NoSync)
}

// tell calls fn with what was gathered, in the order of the keys.
func tell(ctx context.Context, db *pebble.DB, e *endpoint, fn func([]string, change.Change) error) error {
	it, err := db.NewIter(nil)
	if err != nil {
		return err
	}
	defer it.Close()
	shape := newShaper(e, nil)
	for it.First(); it.Valid(); {
		var records []*record
		for bytes := 0; it.Valid() && len(records) < windowRecords && bytes < windowBytes; it.Next() {
			var g gathered
			if err := json.Unmarshal(it.Value(), &g); err != nil {
				return err
			}
			r := &record{time: g.Time}
			for i, name := range g.Names {
				r.members = append(r.members, member{name, g.Values[i], g.Null[i]})
			}
			records, bytes = append(records, r), bytes+len(it.Value())
		}
		if err := shape.shape(records); err != nil {
			return err
		}
		for _, r := range records {
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := fn(shape.columns, change.Change{Op: change.Snapshot, Key: r.key, Time: r.time, Values: r.values, Null: r.null}); err != nil {
				return err
			}
		}
	}
	return it.Error()
}
