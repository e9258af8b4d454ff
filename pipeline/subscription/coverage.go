package subscription

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/shirecounty/shire/pipeline/audit"
	"github.com/shirecounty/shire/pipeline/serving"
	"github.com/shirecounty/shire/schemas/pseudonym"
	"github.com/shirecounty/shire/schemas/sharing"
)

// RecordMember is the member of an event's data that tells the record from others: the county's id of it, since the department's
// own key may not be granted.
const RecordMember = "shire_record"

// event is what a subscriber is to be told of a record now.
type event struct {
	id       string
	body     []byte
	accesses []audit.Access // what is written down before it is sent (I8); none for datasets about nobody
	sent     sent           // what the receiver may know from the attempt on
	gone     bool           // the record is deleted: afterwards the receiver knows nothing
	version  uint64         // of the record
}

// cover is what may be shown of a record, and for which cases.
type cover struct {
	fields   map[string]sharing.Mask
	accesses []audit.Access
	parties  []sentWith
}

// compose makes the event of a record as it may be shown at this moment; nil when there is nothing to tell.
func (w *worker) compose(ctx context.Context, id pseudonym.ID) (*event, error) {
	requests, err := w.s.Requests.Requests(ctx) // what was revoked a moment ago is revoked (I8)
	if err != nil {
		return nil, err
	}
	v, err := w.view(id, requests)
	if err != nil {
		return nil, err
	}
	if v == nil {
		return w.deletion(ctx, id, requests)
	}
	if m := w.lies(id); len(v.fields) == 0 || m != nil && v.record.Version < m.sent.Version {
		return nil, nil // what lies there is newer than the store, which is being made anew
	}
	var had sent
	known, err := w.s.book.get(ctx, w.sentKey(id), &had)
	if err != nil || known > 0 && had.Digest == v.digest && !had.Unsure {
		return nil, err
	}
	what := "created"
	if had.Known {
		what = "updated"
	}
	at := v.record.SourceTime
	if at.IsZero() {
		at = v.record.Received
	}
	e := &event{accesses: v.accesses, version: v.record.Version,
		sent: sent{Version: v.record.Version, Digest: v.digest, Known: had.Known, Waiting: had.Waiting, Parties: v.parties, Division: v.record.Division}}
	return e, w.write(e, what, v.digest, at, v.data)
}

// view is what may be shown of a record at this moment.
type view struct {
	record *serving.Record
	cover
	data   map[string]any
	digest string
}

// view looks at a record; nil when it is not there. Where nothing may be shown it has no fields.
func (w *worker) view(id pseudonym.ID, requests []*sharing.Request) (*view, error) {
	record, err := w.s.Records.Get(id)
	if record == nil || err != nil {
		return nil, err
	}
	v := &view{record: record}
	if record.Dataset != w.dataset.Name {
		return v, nil
	}
	if v.cover, err = w.covered(record.Mentions, record.Division, requests); err != nil {
		return nil, err
	}
	v.data = w.show(record, v.fields)
	v.data[RecordMember] = id.String()
	v.digest = w.digest(v.data)
	return v, nil
}

// deletion tells that a record is gone, to who was told that it was there and might still see it.
func (w *worker) deletion(ctx context.Context, id pseudonym.ID, requests []*sharing.Request) (*event, error) {
	var had sent
	known, err := w.s.book.get(ctx, w.sentKey(id), &had)
	if err != nil || known == 0 {
		return nil, err
	}
	version, err := w.s.Records.Version(id)
	if err != nil || version <= had.Version {
		return nil, err // that it is not here does not say that it was deleted
	}
	c, err := w.left(had, requests)
	if err != nil {
		return nil, err
	}
	if len(c.fields) == 0 {
		return nil, w.s.book.remove(ctx, w.sentKey(id)) // it is of no use any more
	}
	for i := range c.accesses {
		c.accesses[i].Fields = []string{RecordMember}
	}
	data := map[string]any{RecordMember: id.String()}
	e := &event{accesses: c.accesses, sent: had, gone: true, version: version}
	return e, w.write(e, "deleted", w.digest(data), time.Time{}, data)
}

// left is what may still be shown to who was told of a record that is not there any more.
func (w *worker) left(had sent, requests []*sharing.Request) (c cover, err error) {
	if !w.personal {
		return w.standing(had.Division, requests), nil
	}
	for _, p := range had.Parties {
		if err := w.ask(&c, p, had.Division, requests); err != nil {
			return cover{}, err
		}
	}
	return c, nil
}

// covered is what may be shown of a record that makes some mentions.
func (w *worker) covered(mentions []serving.Mention, division string, requests []*sharing.Request) (cover, error) {
	if !w.personal {
		return w.standing(division, requests), nil
	}
	var c cover
	for _, m := range mentions {
		if err := w.ask(&c, sentWith{m.Person, m.Record}, division, requests); err != nil {
			return cover{}, err
		}
	}
	return c, nil
}

func (w *worker) standing(division string, requests []*sharing.Request) cover {
	d := sharing.DecideUnasked(sharing.Unasked{At: w.s.Clock(), Department: w.config.Department, Purpose: w.config.Purpose,
		Dataset: w.dataset.Name, Fields: w.config.Fields, Division: division}, requests, w.s.Contracts)
	var c cover
	c.take(d.Fields)
	return c
}

// ask adds what may be shown about a party, or about whom a mention is: what is shown for each of its open cases at the department.
func (w *worker) ask(c *cover, about sentWith, division string, requests []*sharing.Request) error {
	party, mentions, ok := w.s.Identities.Of(about.Person, about.Party)
	if !ok || slices.ContainsFunc(c.parties, func(p sentWith) bool { return p.Party == party }) {
		return nil
	}
	records, err := w.s.Records.ByMentions(mentions)
	if errors.Is(err, serving.ErrTooMany) {
		return nil // nobody has so many records: nothing is shown of what is no person
	}
	if err != nil {
		return err
	}
	before := len(c.accesses)
	for _, r := range records {
		if r.Case == nil || r.Case.Department != w.config.Department || !w.applicant(r, about.Person, party) {
			continue
		}
		call := sharing.Call{At: w.s.Clock(), Department: w.config.Department, Clerk: w.caller(), Purpose: w.config.Purpose, Item: r.Case.Item,
			Case: r.Case.Number, Dataset: w.dataset.Name, Fields: w.config.Fields, Person: party}
		d := sharing.Decide(call, &sharing.Case{Department: r.Case.Department, Item: r.Case.Item, Opened: r.Case.Opened, Closed: r.Case.Closed,
			Persons: []pseudonym.ID{party}}, requests, w.s.Contracts, division)
		if !c.take(d.Fields) {
			continue
		}
		c.accesses = append(c.accesses, audit.Access{At: call.At, Caller: w.caller(), Clerk: w.caller(), Purpose: call.Purpose, ItemCode: call.Item, CaseNumber: call.Case,
			Persons: []pseudonym.ID{party}, Fields: slices.Sorted(maps.Keys(d.Fields)), Decision: "granted", Reason: "subscription"})
	}
	if len(c.accesses) > before {
		c.parties = append(c.parties, sentWith{about.Person, party})
	}
	return nil
}

// applicant tells whether a party is one whose case a record is.
func (w *worker) applicant(r *serving.Record, person bool, party pseudonym.ID) bool {
	d := w.s.Contracts[r.Dataset]
	if d == nil {
		return false
	}
	role, organisation := d.Applicants()
	if !person {
		role = organisation
	}
	for _, m := range r.Mentions {
		if m.Person != person || role == "" || m.Role != role {
			continue
		}
		if p, _, ok := w.s.Identities.Of(person, m.Record); ok && p == party {
			return true
		}
	}
	return false
}

// take adds fields, each by the mask that shows the most of it: what is shown for one case is seen by the whole department. It reports whether
// there were any. A subscription brings no value that one could be equal to, so that what may only be compared is left out.
func (c *cover) take(fields map[string]sharing.Mask) bool {
	maps.DeleteFunc(fields, func(_ string, m sharing.Mask) bool { return m == sharing.Equals })
	if c.fields == nil {
		c.fields = map[string]sharing.Mask{}
	}
	for name, m := range fields {
		if had, ok := c.fields[name]; !ok || had.Within(m) {
			c.fields[name] = m
		}
	}
	return len(fields) > 0
}

// show masks a record's fields: null when there is no value, true or false under "exists".
func (w *worker) show(r *serving.Record, fields map[string]sharing.Mask) map[string]any {
	data := map[string]any{}
	for name, mask := range fields {
		value := r.Value(name)
		shown, err := mask.Apply(value, "", func(v string) string {
			return w.s.hash(func(h *pseudonym.Hasher) string { return HashedFor(h, w.config.Department, v) })
		})
		switch {
		case err != nil: // deny by default
		case mask == sharing.Exists:
			data[name] = shown.Holds
		case value == "":
			data[name] = nil
		default:
			data[name] = shown.Value
		}
	}
	return data
}

// digest tells whether what is shown is what was shown before. It is keyed: who reads it cannot try out values (I7).
func (w *worker) digest(data map[string]any) string {
	text, _ := json.Marshal(data) // of texts and null, by name
	return w.s.hash(func(h *pseudonym.Hasher) string { return h.Text("followed/"+w.config.Name, string(text)) })
}

// write makes the CloudEvent. Its id is the same however often this version is sent as it is shown now.
func (w *worker) write(e *event, what, digest string, at time.Time, data map[string]any) (err error) {
	bus := w.s.Bus.ID()
	e.id = fmt.Sprintf("%s-%d-%s", bus[:min(8, len(bus))], e.version, digest)
	for i := range e.accesses {
		e.accesses[i].Reason = "subscription: event " + e.id
	}
	out := map[string]any{"specversion": "1.0", "id": e.id, "source": "shire/" + w.s.County + "/" + w.config.Name,
		"type": "shire." + w.dataset.Name + "." + what, "datacontenttype": "application/json", "data": data}
	if !at.IsZero() {
		out["time"] = at.UTC().Format(time.RFC3339Nano)
	}
	e.body, err = json.Marshal(out)
	return err
}
