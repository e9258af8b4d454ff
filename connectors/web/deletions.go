package web

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/shirecounty/shire/schemas/change"
)

// deletions says as deleted what the bus holds and a pass over everything did not have. sound tells that the pass cannot
// have skipped a record; otherwise one that is missing is asked for by its key, or has to be missing from two passes in
// succession. doubt asks for the second one; held tells that deletions wait for an operator.
func (d *reading) deletions(ctx context.Context, sound bool) (doubt, held bool, err error) {
	var missing, suspects int64
	records, err := d.book.missing(func(_ string, twice bool) error {
		if missing++; !sound && !twice {
			suspects++
		}
		return nil
	})
	if err != nil {
		return false, false, err
	}
	if share := d.settings.MaxDeletions; float64(missing) > share*float64(records) {
		d.notice("too_many_deletions", fmt.Sprintf("%d of the %d records of the dataset are missing from the service's list, more than max_deletions (%.0f%%) allows, so none was deleted; if they are really gone, raise max_deletions", missing, records, 100*share))
		return false, true, d.book.clear('c')
	}
	if d.counts.keyless > 0 && missing > 0 {
		d.notice("deletions_held", fmt.Sprintf("%d records are missing from the service's list and were not deleted, because %d of its records cannot be read and may be theirs; have the department mend those", missing, d.counts.keyless))
		return false, true, d.book.clear('c')
	}
	if missing == 0 {
		return false, false, d.book.clear('c')
	}
	proven := func(twice bool) bool { return sound || twice }
	d.at.Row = 0
	_, err = d.book.missing(func(key string, twice bool) error {
		if !proven(twice) && d.Item != "" {
			return d.ask(ctx, key)
		}
		if !proven(twice) {
			return nil
		}
		return d.delete(ctx, key)
	})
	if err == nil {
		err = d.settle(ctx)
	}
	if err == nil {
		err = d.book.clear('c')
	}
	if err != nil || suspects == 0 || d.Item != "" {
		return false, false, err
	}
	// What was proven is gone by now, so what is missing still is what has to be missing once more.
	_, err = d.book.missing(func(key string, _ bool) error { return d.book.suspect(key) })
	return true, false, err
}

func (d *reading) delete(ctx context.Context, key string) error {
	if err := d.append(ctx, change.Change{Op: change.Delete, Key: key}); err != nil {
		return err
	}
	d.said[key] = gone
	return nil
}

// ask looks for a single record that a pass did not have.
func (d *reading) ask(ctx context.Context, key string) error {
	r, err := d.single(ctx, key)
	if err != nil {
		return err
	}
	if r == nil || r.deleted {
		return d.delete(ctx, key)
	}
	return nil // it has only moved; the next pass has it
}

// errNoItem says that single records cannot be asked for.
var errNoItem = errors.New("no item: in the settings")

// single asks for one record by its key; nil when the service has it no longer.
func (l *list) single(ctx context.Context, key string) (*record, error) {
	if l.Item == "" {
		return nil, errNoItem
	}
	u := l.client.Base.JoinPath(l.itemPath(key))
	q := u.Query()
	for name, values := range l.Query {
		q[name] = values
	}
	u.RawQuery = q.Encode()
	asking, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	resp, err := l.client.get(asking, u, nil, nil)
	var answer *status
	if errors.As(err, &answer) && (answer.code == http.StatusNotFound || answer.code == http.StatusGone) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer discard(resp)
	var found *record
	b := &body{records: l.ItemRecord, wanted: l.wanted(), single: true}
	b.record = func(raw json.RawMessage) error { found = l.parse(raw); return nil }
	if err := l.client.read(asking, cancel, resp, b, false); err != nil {
		return nil, err
	}
	if err := l.succeeded(b, "item_record"); err != nil || found == nil {
		return nil, err
	}
	if err := l.shape.shape([]*record{found}); err != nil {
		return nil, err
	}
	if found.problem != "" || found.key != key {
		return nil, refuse("item_other", "what the service answers under item: is not the record that was asked for; check item: and item_record:")
	}
	return found, nil
}
