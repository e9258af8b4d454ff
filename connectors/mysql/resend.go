package mysql

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/shirecounty/shire/connectors"
	"github.com/shirecounty/shire/schemas/change"
)

// order is what Resend asks of a Run.
type order struct {
	dataset string
	keys    []string
	done    chan error
}

// Resend implements connectors.Resender.
func (c *Connector) Resend(ctx context.Context, dataset string, keys []string) error {
	o := &order{dataset, keys, make(chan error, 1)}
	select {
	case c.orders <- o:
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-o.done: // a Run that took an order answers it, also when it ends
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// lookupKeys is how many records one statement asks for.
const lookupKeys = 500

// fulfil says records again, between two transactions and in a view that includes all that was handed on.
func (r *run) fulfil(ctx context.Context, o *order) error {
	i := slices.IndexFunc(r.datasets, func(d *dataset) bool { return d.Name == o.dataset })
	if i < 0 {
		return fmt.Errorf("source %s has no dataset %s", r.Source.Name, o.dataset)
	}
	d := r.datasets[i]
	closed, err := r.view(ctx)
	if err != nil {
		return err
	}
	columns := d.now.names()
	var found []change.Change
	size := 0
	say := func() error { // see page for why the rows are held
		for _, c := range found {
			if err := r.stand(ctx, d, columns, c); err != nil {
				return err
			}
		}
		found, size = nil, 0
		return nil
	}
	missing, err := r.server.lookup(ctx, &d.relation, o.keys, func(c change.Change) error {
		c.Values, c.Null = slices.Clone(c.Values), slices.Clone(c.Null)
		for _, v := range c.Values {
			size += len(v) + 32
		}
		if found = append(found, c); size > pageBytes {
			return say()
		}
		return nil
	})
	closed()
	if err != nil {
		return fmt.Errorf("the table %s: %w", d.table, err)
	}
	for _, key := range missing {
		found = append(found, change.Change{Op: change.Delete, Key: key})
	}
	return say()
}

// Survey implements connectors.Surveyor.
func (c *Connector) Survey(ctx context.Context, dataset string, keys []string, fn func(columns []string, c change.Change) error) (err error) {
	at := slices.IndexFunc(c.settings.Tables, func(t connectors.Table) bool { return t.Dataset == dataset })
	if at < 0 {
		return fmt.Errorf("source %s has no dataset %s", c.Source.Name, dataset)
	}
	of := c.settings.Tables[at]
	defer func() {
		if err != nil {
			err = fmt.Errorf("source %s, table %s: %w", c.Source.Name, of, err)
		}
	}()
	v, err := c.settings.connect(ctx)
	if err != nil {
		return err
	}
	defer v.close()
	t, err := v.table(ctx, of.Schema, of.Name)
	if err != nil {
		return err
	}
	keyer, err := connectors.NewKeyer(c.Contracts[dataset], t.names())
	if err != nil {
		return fmt.Errorf("%w; mend the contract or the table", err)
	}
	columns := t.names()
	rel, each := &relation{of, t, keyer}, func(c change.Change) error { return fn(columns, c) }
	if len(keys) > 0 {
		_, err := v.lookup(ctx, rel, keys, each)
		return err
	}
	k, err := rel.keyset()
	if err != nil { // no order to go by: all in one
		return v.records(ctx, rel, "", each)
	}
	return v.survey(ctx, rel, k, c.settings.Chunk, each)
}

// survey reads the table page by page.
func (v *server) survey(ctx context.Context, rel *relation, k keyset, limit int, fn func(change.Change) error) error {
	say := func(rows []held) error {
		for _, h := range rows {
			if h.Op == change.Malformed {
				continue
			}
			if err := fn(h.Change); err != nil {
				return err
			}
		}
		return nil
	}
	for key := []string(nil); ; {
		p, err := v.page(ctx, rel, k, key, false, limit, say)
		if err != nil {
			return err
		}
		if err := say(p.rows); err != nil || p.end {
			return err
		}
		key = p.key
	}
}

// records calls fn with the rows that have a key.
func (v *server) records(ctx context.Context, rel *relation, rest string, fn func(change.Change) error) (err error) {
	s, err := v.scan(ctx, rel.table, rel.now, rest)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	for s.next() {
		if c := record(rel.nowKeyer, change.Snapshot, &s.row); c.Op != change.Malformed {
			if err := fn(c); err != nil {
				return err
			}
		}
	}
	return nil
}

// lookup calls fn with the records of the keys, and returns the keys that have none.
func (v *server) lookup(ctx context.Context, rel *relation, keys []string, fn func(change.Change) error) (missing []string, err error) {
	wanted := map[string]bool{}
	for _, k := range keys {
		wanted[k] = true
	}
	found := func(c change.Change) error {
		if !wanted[c.Key] {
			return nil
		}
		delete(wanted, c.Key)
		return fn(c)
	}
	for part := range slices.Chunk(slices.Sorted(maps.Keys(wanted)), lookupKeys) {
		var any []string
		for _, key := range part {
			if condition, ok := rel.condition(key); ok {
				any = append(any, condition)
			}
		}
		if len(any) == 0 {
			continue
		}
		if err := v.records(ctx, rel, " WHERE "+strings.Join(any, " OR "), found); err != nil {
			return nil, err
		}
	}
	// A key is told apart without the blanks around it, which no index does: before a record is called missing, the whole
	// table is looked through.
	if len(wanted) > 0 && slices.ContainsFunc(rel.nowKeyer.Columns(), func(i int) bool { return rel.now.columns[i].kind == text }) {
		if err := v.records(ctx, rel, "", found); err != nil {
			return nil, err
		}
	}
	return slices.Sorted(maps.Keys(wanted)), nil
}

// condition is what finds a record by its key; false when no row can have that key, or none can be found by it.
func (rel *relation) condition(key string) (string, bool) {
	parts := strings.Split(key, change.KeySeparator)
	columns := rel.nowKeyer.Columns()
	if len(parts) != len(columns) {
		return "", false
	}
	var all []string
	for i, at := range columns {
		c := &rel.now.columns[at]
		value, ok := c.locate(parts[i])
		if !ok {
			return "", false
		}
		all = append(all, quote(c.name)+" = "+value)
	}
	return "(" + strings.Join(all, " AND ") + ")", true
}

var (
	numberText = regexp.MustCompile(`^-?[0-9]{1,65}(\.[0-9]{1,38})?$`)
	plainText  = regexp.MustCompile(`^[0-9A-Fa-f:. -]+$`)
)

// locate is the SQL for the value that reads as this text.
func (c *column) locate(s string) (string, bool) {
	switch c.kind {
	case integer, decimal, year, bits:
		return s, numberText.MatchString(s)
	case text, enum, set:
		raw, ok := c.charset.encode(s)
		return "_" + c.charset.name + " X'" + hex.EncodeToString(raw) + "'", ok
	case octets:
		digits, ok := strings.CutPrefix(s, "0x")
		_, err := hex.DecodeString(digits)
		return "X'" + digits + "'", ok && err == nil
	case timestamp:
		s = strings.TrimSuffix(s, "+00:00")
	case date, datetime, clock, uniqueID, inet4, inet6:
	default:
		return "", false
	}
	return "'" + s + "'", plainText.MatchString(s)
}
