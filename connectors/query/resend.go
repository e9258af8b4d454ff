package query

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/shirecounty/shire/schemas/change"
)

// request asks the Run for records. done gets its end, once.
type request struct {
	dataset string
	keys    []string
	done    chan error
}

// Resend implements connectors.Resender.
func (c *Connector) Resend(ctx context.Context, dataset string, keys []string) error {
	if err := c.repeatable(dataset); err != nil {
		return err
	}
	asked := &request{dataset, keys, make(chan error, 1)}
	select {
	case c.requests <- asked:
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-asked.done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// repeatable tells whether the dataset comes from a table that has its records.
func (c *Connector) repeatable(dataset string) error {
	spec, ok := c.spec(dataset)
	if !ok {
		return fmt.Errorf("source %s has no table for dataset %s", c.Source.Name, dataset)
	}
	if spec.outbox != nil {
		return fmt.Errorf("source %s, table %s: an outbox tells of changes and does not hold the records as they now are; replay the dataset from the bus instead", c.Source.Name, spec.name)
	}
	return nil
}

func (c *Connector) spec(dataset string) (tableSettings, bool) {
	i := slices.IndexFunc(c.settings.tables, func(t tableSettings) bool { return t.dataset == dataset })
	if i < 0 {
		return tableSettings{}, false
	}
	return c.settings.tables[i], true
}

// serve does what was asked for, between two rounds. Only what ends the run is returned.
func (r *run) serve(ctx context.Context) error {
	for len(r.waiting) > 0 {
		asked := r.waiting[0]
		for _, p := range r.readers {
			if p.table().dataset != asked.dataset {
				continue
			}
			err := r.attempt(ctx, p, func() error { return p.resend(ctx, asked.keys) })
			var no *refusal
			if err != nil && !errors.As(err, &no) {
				return err // the run's end answers
			}
			asked.done <- err
		}
		r.waiting = r.waiting[1:]
	}
	return nil
}

// serveBetween does what was asked for of this table between two chunks, so that a first read of hours keeps nobody
// waiting. What is asked of other tables waits for the end of the round.
func (t *tableReader) serveBetween(ctx context.Context) error {
	for asked := pending(t.requests); asked != nil; asked = pending(t.requests) {
		if asked.dataset != t.spec.dataset {
			t.waiting = append(t.waiting, asked)
			continue
		}
		err := t.repeat(ctx, asked.keys)
		asked.done <- err
		if err != nil {
			return err
		}
	}
	return nil
}

func (t *tableReader) resend(ctx context.Context, keys []string) error {
	if !t.begun {
		if err := t.begin(ctx); err != nil {
			return err
		}
	}
	if err := t.look(ctx); err != nil {
		return err
	}
	return t.repeat(ctx, keys)
}

// repeat says records whether or not they changed.
func (t *tableReader) repeat(ctx context.Context, keys []string) error {
	for part := range slices.Chunk(keys, lookupKeys) {
		raw := make([][]string, 0, len(part))
		for _, key := range part {
			e, known, err := t.known(key)
			if err != nil {
				return err
			}
			if !known {
				e.raw = strings.Split(key, change.KeySeparator)
			}
			if len(e.raw) == len(t.shape.statements.key) {
				raw = append(raw, e.raw)
			}
		}
		found, err := t.find(ctx, raw)
		if err != nil {
			return err
		}
		for _, key := range part {
			r, there := found[key]
			switch {
			case !there || t.softDeleted(r):
				err = t.delete(ctx, key, t.aside())
			case unusable(r) != "":
				err = t.say(ctx, r, t.aside())
			default:
				err = t.append(ctx, change.Snapshot, key, r, t.entry(r), t.aside())
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

func (t *tableReader) softDeleted(r row) bool {
	return t.shape.soft >= 0 && t.spec.deleted.holds(r.values[t.shape.soft], r.null[t.shape.soft])
}

// Survey implements connectors.Surveyor, over a connection of its own.
func (c *Connector) Survey(ctx context.Context, dataset string, keys []string, fn func(columns []string, ch change.Change) error) error {
	if err := c.repeatable(dataset); err != nil {
		return err
	}
	spec, _ := c.spec(dataset)
	if err := c.survey(ctx, &spec, keys, fn); err != nil {
		return fmt.Errorf("source %s, table %s: %w", c.Source.Name, spec.name, err)
	}
	return nil
}

func (c *Connector) survey(ctx context.Context, spec *tableSettings, keys []string, fn func([]string, change.Change) error) error {
	db, err := c.settings.connect(ctx)
	if err != nil {
		return err
	}
	defer db.close()
	t := &tableReader{run: &run{Connector: c, db: db}, spec: *spec, dataset: c.Contracts[spec.dataset]}
	if t.shape, err = db.look(ctx, spec, t.dataset); err != nil {
		return err
	}
	show := func(r row) error {
		key, problem := t.shape.keyer.Key(r.values)
		if problem != "" || unusable(r) != "" || t.softDeleted(r) {
			return nil // no record comes of it
		}
		ch := change.Change{Op: change.Snapshot, Key: key, Time: t.time(r), Values: r.values}
		if slices.Contains(r.null, true) {
			ch.Null = r.null
		}
		return fn(t.shape.names, ch)
	}
	if len(keys) > 0 {
		for part := range slices.Chunk(keys, lookupKeys) {
			var raw [][]string
			for _, key := range part {
				if split := strings.Split(key, change.KeySeparator); len(split) == len(t.shape.statements.key) {
					raw = append(raw, split)
				}
			}
			found, err := t.find(ctx, raw)
			if err != nil {
				return err
			}
			for _, key := range part {
				if r, there := found[key]; there {
					if err := show(r); err != nil {
						return err
					}
				}
			}
		}
		return nil
	}
	k := chunk{most: c.settings.chunkRows}
	for at := (cursor{}); !at.done; {
		rows, more, err := k.read(ctx, db, spec, t.shape, func(n int) statement { return t.shape.all(at, n) })
		if err != nil {
			return err
		}
		var last []string
		for _, r := range rows {
			if err := show(r); err != nil {
				return err
			}
			last = rawKey(t.shape.keyer, r.values)
		}
		at.advance(last, more)
	}
	return nil
}
