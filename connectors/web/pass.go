package web

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/shirecounty/shire/connectors"
	"github.com/shirecounty/shire/schemas/change"
)

// reading is one dataset during a run.
type reading struct {
	*run
	*list
	book   *book
	said   map[string]uint64 // content hashes of what was said and is not folded yet; gone for a deletion
	resume string            // the page at which an interrupted pass is taken up
	since  time.Time         // from which time on the next pass reads; zero: everything
	proven time.Time         // latest change that a pass over unstable pages saw, when the next is to prove it complete
	at     position          // of what is said next
	counts counts            // of the pass that goes on
	again  map[string]bool   // problems that the pass that goes on told

	declared []string // columns that the outlet was told of
}

// counts of a pass.
type counts struct {
	said    int
	missed  int // changes that the pass before should have found
	keyless int // malformed records, which may be any
	twice   int // records that stand in the list several times
}

// gone is the hash of nothing.
const gone = 0

// begin brings the ledger up to the bus and finds where the dataset was interrupted.
func (r *run) begin(ctx context.Context, l *ledger, e *endpoint) (*reading, error) {
	b, err := l.open(e.Dataset.Name)
	if err != nil {
		return nil, err
	}
	if err := b.synchronise(ctx, r.out); err != nil {
		return nil, fmt.Errorf("read back what is on the bus: %w", err)
	}
	newest, err := r.out.Resume(ctx, e.Dataset.Name)
	if err != nil {
		return nil, fmt.Errorf("find where to resume: %w", err)
	}
	d := &reading{run: r, book: b, said: map[string]uint64{}, again: map[string]bool{}}
	d.list = &list{endpoint: e, client: r.client, shape: newShaper(e, b.Columns), take: d.sayAll, tell: d.notice}
	at, ok := parsePosition(newest)
	switch {
	case b.Of == e.fingerprint && b.Ended && b.Behind == newest: // nothing was said since a pass ended
		d.since, d.resume = b.Since, b.Cursor
	case ok && at.Of == e.fingerprint: // I2: the newest message says which page was being read, and from which time on
		d.since, d.resume = at.Since, at.At
	}
	if b.Of != e.fingerprint {
		b.Of, b.Ended, b.Whole, b.Asked = e.fingerprint, false, time.Time{}, ""
	}
	d.at = position{Of: e.fingerprint, Since: d.since, At: d.resume}
	return d, nil
}

// mostPasses bounds how often the pages are read in one poll. What is not proven by then is proven by the next.
const mostPasses = 4

// passes reads the dataset until a pass leaves no doubt.
func (d *reading) passes(ctx context.Context) error {
	// With since, most passes read changes alone, and at times one reads everything for what was deleted.
	everything := d.Full && d.now().Sub(d.book.Whole) >= d.FullEvery
	for range mostPasses {
		p := &pass{since: d.since, known: validators{d.book.Asked, d.book.ETag, d.book.Modified}}
		if everything && !d.since.IsZero() {
			p.since, d.resume = time.Time{}, "" // the page belongs to what was asked for
		}
		if err := d.pass(ctx, p); err != nil {
			return err
		}
		again, err := d.end(ctx, p)
		if err != nil {
			return err
		}
		if !again {
			d.solve(p.whole)
			return nil
		}
	}
	return nil
}

// pass reads the list once and says what differs.
func (d *reading) pass(ctx context.Context, p *pass) error {
	if !d.Pages.Feed {
		if err := d.book.clear('t'); err != nil {
			return err
		}
	}
	clear(d.shape.seen)
	clear(d.again)
	d.counts = counts{}
	from := d.resume
	d.resume = ""
	err := d.walk(ctx, p, from, func() error { return d.answer(ctx, d) })
	if err != nil && d.Pages.Feed {
		d.resume = p.at
	}
	return err
}

// mostSaid bounds what is kept of what was said and is not folded (I10).
const mostSaid = 20_000

// end draws the conclusions from a pass that ended well. It returns true when another is needed to be sure.
func (d *reading) end(ctx context.Context, p *pass) (again bool, err error) {
	if err := d.settle(ctx); err != nil {
		return false, err
	}
	if p.same {
		return false, d.keep(ctx, p, true)
	}
	d.remark(p)
	sound := p.requests == 1 && !p.taken || d.Pages.Stable // no record was skipped while others moved
	again = p.taken && d.Pages.Kind != "since"             // what moved to earlier pages meanwhile was not read
	held := p.repeated
	if p.whole && d.Full && !p.repeated {
		doubt, stopped, err := d.deletions(ctx, sound)
		if err != nil {
			return false, err
		}
		again, held = again || doubt, stopped
	}
	if d.Since != nil && !again {
		again = d.advance(p, sound)
	}
	if p.whole && !again {
		if err := d.book.forgetMalformed(); err != nil {
			return false, err
		}
		d.shape.lose()
		d.book.Whole = d.now()
	}
	return again, d.keep(ctx, p, !again && !held)
}

// advance moves on the time from which the next pass reads. It returns true when the pass has to be proven by another.
func (d *reading) advance(p *pass, sound bool) (again bool) {
	to := p.latest
	if !sound {
		// A record that changes while pages are read leaves its place, and all behind it move up: one of them moves to a page
		// that was read already. So the time moves on only as far as a second pass found nothing that the first one missed.
		before := d.proven
		d.proven = p.latest
		if before.IsZero() || d.counts.missed > 0 {
			return d.counts.said > 0
		}
		to, d.proven = before, time.Time{}
	}
	// Never beyond the moment at which the pass began: what was written behind its back is later than that. And a record from
	// the future, of which every system has one, must not keep all others from being read.
	if to.After(p.clock) {
		to = p.clock
	}
	if to.After(d.since) {
		d.since = to
	}
	return false
}

// keep remembers how the pass ended. I1: everything that it said is safe.
func (d *reading) keep(ctx context.Context, p *pass, valid bool) error {
	newest, err := d.out.Resume(ctx, d.Dataset.Name)
	if err != nil {
		return err
	}
	b := d.book
	b.Ended, b.Behind, b.Since = true, newest, d.since
	b.Pass++
	b.Cursor = p.cursor // "" but of a feed
	d.resume = p.cursor
	d.at = position{Of: d.fingerprint, Since: d.since, At: p.cursor}
	switch {
	case !valid:
		b.Asked = ""
	case !p.same:
		b.Asked, b.ETag, b.Modified = p.fresh.asked, p.fresh.etag, p.fresh.modified
	}
	return b.save()
}

// remark tells what the operator should know of the list.
func (d *reading) remark(p *pass) {
	if p.repeated {
		d.notice("page_repeated", "the service answers with the same page again when it is asked for the next, so that the end is not certain and nothing is deleted; name the member that says how much there is: pages:, total: or more: under pagination:")
	}
	if p.timeless > 0 {
		d.notice("time_missing", fmt.Sprintf("%d records do not have a time in %s; they were read, but when they change again that may not be seen", p.timeless, d.Since.Field))
	}
	if p.oneTime > 0 {
		d.notice("one_time", fmt.Sprintf("%d records have the same time, as many as a page holds; if there are more of them, they and all later ones are not read: raise size:, or use another kind of pagination together with since:", p.oneTime))
	}
	if n := d.counts.twice; n > 0 && !p.repeated {
		d.notice("duplicate_keys", fmt.Sprintf("%d records have the key of another one in the list; one of each was taken. If the list moved while it was read, this passes; if not, the key in the contract is not one", n))
	}
}

// settle makes safe what was said, and folds it.
func (d *reading) settle(ctx context.Context) error {
	if len(d.said) == 0 {
		return nil
	}
	if err := d.out.Flush(ctx); err != nil {
		return err
	}
	if err := d.book.catchUp(ctx, d.out); err != nil {
		return fmt.Errorf("read back what is on the bus: %w", err)
	}
	clear(d.said)
	return nil
}

// append says a change at the position where the reading stands.
func (d *reading) append(ctx context.Context, c change.Change) error {
	columns := d.shape.columns
	if len(columns) == 0 {
		columns = d.book.Columns
	}
	c.Position = change.Position(d.at.String())
	return d.out.Append(ctx, d.Dataset.Name, d.Path, columns, c)
}

// sayAll says those of the records that differ from what the bus holds.
func (d *reading) sayAll(ctx context.Context, p *pass, records []*record) error {
	if err := d.keyed(records); err != nil {
		return err
	}
	if err := d.declare(ctx); err != nil {
		return err
	}
	d.at.Since, d.at.At = p.since, p.at
	for _, r := range records {
		d.at.Row = r.row
		if err := d.say(ctx, r); err != nil {
			return err
		}
	}
	if len(d.said) < mostSaid {
		return nil
	}
	return d.settle(ctx)
}

// declare tells what columns the list has: the members that its records have, or had until a pass proved the opposite.
func (d *reading) declare(ctx context.Context) error {
	if len(d.shape.columns) == 0 || slices.Equal(d.shape.columns, d.declared) {
		return nil
	}
	d.declared = d.shape.columns
	columns := make([]connectors.Column, len(d.declared))
	for i, name := range d.declared {
		columns[i].Name = name
	}
	return d.out.Shape(ctx, d.Dataset.Name, columns)
}

// keyed refuses a list whose records all lack a key before it fills the quarantine: the contract means another member.
func (d *reading) keyed(records []*record) error {
	if d.shape.missing == nil {
		return nil
	}
	empty, err := d.book.empty()
	if err != nil {
		return err
	}
	if empty && len(d.said) == 0 || len(records) >= 10 {
		return refuse("key_missing", "%v; add its name to headers: in the contract", d.shape.missing)
	}
	return nil
}

func (d *reading) say(ctx context.Context, r *record) error {
	if r.problem != "" {
		return d.sayMalformed(ctx, r)
	}
	if !d.Pages.Feed {
		// A list says each record once. The first counts, unless a later one is younger: which of two with one key is right
		// cannot be known, and saying both would never come to an end.
		already, err := d.book.see(r.key, r.time)
		if err != nil {
			return err
		}
		if already {
			d.counts.twice++
			return nil
		}
	}
	before, known, err := d.standing(r.key)
	if err != nil {
		return err
	}
	hash := d.shape.hash.sum(r)
	c := change.Change{Op: change.Create, Key: r.key, Row: r.row, Time: r.time, Values: r.values, Null: r.null}
	switch {
	case r.deleted && !known, !r.deleted && known && hash == before:
		return nil
	case r.deleted:
		c.Op, c.Values, c.Null, hash = change.Delete, nil, nil, gone
	case known:
		c.Op = change.Update
	}
	d.counts.said++
	if !d.proven.IsZero() && !r.time.After(d.proven) {
		d.counts.missed++
	}
	if err := d.append(ctx, c); err != nil {
		return err
	}
	d.said[r.key] = hash
	return nil
}

// standing is the hash of a record on the bus, or on its way there.
func (d *reading) standing(key string) (hash uint64, known bool, err error) {
	if hash, there := d.said[key]; there {
		return hash, hash != gone, nil
	}
	return d.book.hash(key)
}

func (d *reading) sayMalformed(ctx context.Context, r *record) error {
	d.counts.keyless++
	mark := string(d.book.malformed(r.raw)) // as in the ledger; no record has such a key
	if _, there := d.said[mark]; there {
		return nil
	}
	said, err := d.book.saidMalformed(r.raw)
	if err != nil || said {
		return err
	}
	d.counts.said++
	if err := d.append(ctx, change.Change{Op: change.Malformed, Row: r.row, Problem: r.problem, Raw: r.raw}); err != nil {
		return err
	}
	d.said[mark] = gone
	return nil
}

// notice tells the operator of something about the dataset.
func (d *reading) notice(problem, message string) {
	d.again[problem], d.told[d.Dataset.Name+"/"+problem] = true, true
	d.Notify(connectors.Event{Source: d.Source.Name, Dataset: d.Dataset.Name, Unit: d.Path, Problem: problem, Message: message, Notice: notices[problem]})
}
