package reconcile

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/cespare/xxhash/v2"

	"github.com/shirecounty/shire/pipeline/bus"
	"github.com/shirecounty/shire/pipeline/warehouse"
	"github.com/shirecounty/shire/schemas/canonical"
	"github.com/shirecounty/shire/schemas/change"
	"github.com/shirecounty/shire/schemas/contract"
	"github.com/shirecounty/shire/schemas/pseudonym"
)

// The id of a record does not tell its key in the source. Where the source has no such record any more, the key stands in
// the change that brought it: a version is a place on the bus. Where that has expired, the warehouse's own columns may hold
// the key; the id, being its hash, proves it.

// findKeys finds the keys of suspects that only the warehouse has.
func (c *comparison) findKeys(ctx context.Context, suspects []*suspect) error {
	var unknown []*suspect
	versions := map[uint64]string{}
	for _, s := range suspects {
		if !s.known && s.version != 0 {
			unknown = append(unknown, s)
			versions[s.version] = ""
		}
	}
	if err := c.keysOf(ctx, versions); err != nil {
		return err
	}
	for _, s := range unknown {
		if key := versions[s.version]; key != "" && c.proves(s, key) {
			s.key, s.known = key, true
		}
	}
	return c.keysFromColumns(ctx, unknown)
}

// proves tells whether a key is that of a record. A record that several source rows share has the key of one of them.
func (c *comparison) proves(s *suspect, key string) bool {
	proven := c.plan.Shared(s.table)
	c.plan.Records(key, func(t *canonical.Table, id pseudonym.ID) { proven = proven || t == s.table && id == s.id })
	return proven
}

// keysOf fills in the keys of changes by their versions, as far as the bus still has them. Each message is read once.
func (c *comparison) keysOf(ctx context.Context, versions map[uint64]string) error {
	sorted := make([]uint64, 0, len(versions))
	for v := range versions {
		sorted = append(sorted, v)
	}
	slices.Sort(sorted)
	var batch *change.Batch
	defer func() {
		if batch != nil {
			batch.Record.Release()
		}
	}()
	read := uint64(0)
	for _, v := range sorted {
		sequence := change.SequenceOf(v)
		if sequence != read {
			if batch != nil {
				batch.Record.Release()
				batch = nil
			}
			read = sequence
			msg, err := c.opt.Bus.Get(ctx, sequence)
			if errors.Is(err, bus.ErrExpired) {
				continue
			}
			if err != nil {
				return err
			}
			if _, dataset := bus.Place(msg.Subject); dataset != c.opt.Dataset.Name {
				continue
			}
			if batch, err = change.Decode(msg.Data); err != nil {
				batch = nil // it is none of Shire's, and waits in quarantine without a key
			}
		}
		if row := change.RowOf(v); batch != nil && row < batch.Len() && batch.Version(sequence, row) == v {
			versions[v] = strings.Clone(batch.Key(row))
		}
	}
	return nil
}

// keysFromColumns reads keys from the columns that the contract fills with them.
func (c *comparison) keysFromColumns(ctx context.Context, suspects []*suspect) error {
	byTable := map[*canonical.Table][]*suspect{}
	for _, s := range suspects {
		if !s.known {
			byTable[s.table] = append(byTable[s.table], s)
		}
	}
	for t, unknown := range byTable {
		columns := keyColumns(c.opt.Dataset, t)
		if columns == nil {
			continue
		}
		byID := map[pseudonym.ID]*suspect{}
		ids := make([]pseudonym.ID, len(unknown))
		for i, s := range unknown {
			ids[i], byID[s.id] = s.id, s
		}
		err := c.house.texts(ctx, t, columns, ids, func(id pseudonym.ID, parts []string) {
			if key := strings.Join(parts, change.KeySeparator); c.proves(byID[id], key) {
				byID[id].key, byID[id].known = key, true
			}
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// keyColumns are the text columns of a table that the contract fills with the dataset's key; nil when it does not.
func keyColumns(d *contract.Dataset, t *canonical.Table) []string {
	for _, e := range d.Emits {
		if e.Table != t.Name || len(e.Key) > 0 {
			continue
		}
		var columns []string
		for _, field := range d.Key {
			for column, v := range e.Columns {
				if _, col := t.Column(column); v.Field == field && col.Origin == canonical.Mapped && (col.Type == canonical.Text || col.Type == canonical.Code) {
					columns = append(columns, column)
					break
				}
			}
		}
		if len(columns) == len(d.Key) {
			return columns
		}
	}
	return nil
}

// heldKeys are the hashes of the keys of all rows that wait in quarantine or that a person gave up, for certain reasons or
// for any, each with its newest version.
func (c *comparison) heldKeys(ctx context.Context, codes ...string) (map[uint64]uint64, error) {
	versions := map[uint64]string{}
	for _, state := range []string{"waiting", "dropped"} {
		rows, err := warehouse.ListQuarantine(ctx, c.opt.Warehouse, warehouse.Filter{Dataset: c.opt.Dataset.Name, State: state})
		if err != nil {
			return nil, err
		}
		for _, r := range rows {
			if len(codes) == 0 || slices.Contains(codes, r.Code) {
				versions[r.Version] = ""
			}
		}
	}
	if err := c.keysOf(ctx, versions); err != nil {
		return nil, err
	}
	if err := c.keysInQuarantine(ctx, versions); err != nil {
		return nil, err
	}
	keys := make(map[uint64]uint64, len(versions))
	for version, key := range versions {
		if key != "" {
			h := xxhash.Sum64String(key)
			keys[h] = max(keys[h], version)
		}
	}
	return keys, nil
}

// withoutDrifted leaves out records whose newest change waits because the source's columns have changed: that is known from
// the stream alone, and not from the row as it stands.
func (c *comparison) withoutDrifted(ctx context.Context, suspects []*suspect) ([]*suspect, error) {
	if len(suspects) == 0 {
		return nil, nil
	}
	waiting, err := c.heldKeys(ctx, change.NewColumn, change.LostColumn, change.ChangedType)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(suspects, func(s *suspect) bool {
		version := waiting[xxhash.Sum64String(s.key)]
		return s.known && s.table != nil && version > 0 && (!s.house.there || version > s.version)
	}), nil
}

// keysInQuarantine fills in what is missing from the quarantine's own stream, which is kept longer than the changes.
func (c *comparison) keysInQuarantine(ctx context.Context, versions map[uint64]string) error {
	missing := 0
	for _, key := range versions {
		if key == "" {
			missing++
		}
	}
	if missing == 0 {
		return nil
	}
	subject := c.opt.Bus.QuarantineSubject(c.opt.Dataset.Department, c.opt.Dataset.Name)
	w, err := c.opt.Bus.QuarantineWriter(ctx, subject)
	if err != nil {
		return err
	}
	end, _ := w.Last()
	if end == 0 {
		return nil
	}
	reader, err := c.opt.Bus.ReadQuarantine(ctx, subject, 1)
	if err != nil {
		return err
	}
	defer reader.Close()
	for at := uint64(0); at < end; {
		msg, err := reader.Next(ctx, 10*time.Second)
		if err != nil {
			return fmt.Errorf("the quarantine of %s cannot be read: %w", c.opt.Dataset.Name, err)
		}
		at = msg.Sequence
		batch, err := change.Decode(msg.Data)
		if err != nil {
			continue
		}
		for i := range batch.Len() {
			v := batch.Version(0, i)
			if key, asked := versions[v]; asked && key == "" {
				versions[v] = strings.Clone(batch.Key(i))
			}
		}
		batch.Record.Release()
	}
	return nil
}
