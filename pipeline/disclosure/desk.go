package disclosure

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/shirecounty/shire/pipeline/audit"
	"github.com/shirecounty/shire/pipeline/serving"
	"github.com/shirecounty/shire/schemas/contract"
	"github.com/shirecounty/shire/schemas/pseudonym"
	"github.com/shirecounty/shire/schemas/sharing"
)

// Store is where the departments' records lie: pipeline/serving.
type Store interface {
	Get(id pseudonym.ID) (*serving.Record, error)
	ByMentions(mentions []pseudonym.ID) ([]*serving.Record, error)
	ByCase(number string) ([]*serving.Record, error)
}

// Persons knows whom mentions are about today: the partition of persons.
type Persons interface {
	Whom(mentions []pseudonym.ID) []pseudonym.ID
	Held(person pseudonym.ID, most int) []pseudonym.ID
	Resolve(id pseudonym.ID) (today pseudonym.ID, ok bool)
	Became(person pseudonym.ID) []pseudonym.ID
}

// Exchange has the requests as they stand at this moment: pipeline.Exchange.
type Exchange interface {
	Requests(ctx context.Context) ([]*sharing.Request, error)
}

// Log takes an access down for good, or says that it cannot: audit.Log.
type Log interface {
	Record(ctx context.Context, a audit.Access) error
}

// Options of a desk. All are required, but for Items and Taken without prefills, and Looks without Accesses.
type Options struct {
	Store     Store
	Persons   func() Persons // as they are at this moment: the state may be replaced
	Exchange  Exchange
	Log       Log
	Fresh     func() error // why what the store holds is too old to be shown; nil when it is not
	Warehouse func() error // why the warehouse cannot be counted on; nil when it can. Asked with each read: warehouse.Pulse
	Contracts contract.Set // of today's catalogue
	Purposes  []string     // the county's
	Hasher    *pseudonym.Hasher
	Zone      *time.Location // of the county, whose days documents are valid on

	Looks Looks         // reads the audit log
	Items sharing.Items // what service items require
	Taken Taken         // takes down what became of a prefill

	Now func() time.Time // nil: time.Now
}

// Desk answers reads. It is safe for concurrent use.
type Desk struct {
	o        Options
	catalog  map[string]*dataset
	hashers  sync.Pool
	known    map[string]bool     // codes of materials
	holders  map[string][]string // material -> datasets whose contract says that they hold it
	byFields []string            // datasets that name the material in a field
}

// New makes a desk.
func New(o Options) *Desk {
	if o.Now == nil {
		o.Now = time.Now
	}
	d := &Desk{o: o, catalog: map[string]*dataset{}, hashers: sync.Pool{New: func() any { return o.Hasher.Clone() }}}
	for name, c := range o.Contracts {
		d.catalog[name] = newDataset(c)
	}
	d.knowMaterials()
	return d
}

// hashed runs fn with a hasher of its own.
func hashed[T any](d *Desk, fn func(*pseudonym.Hasher) T) T {
	h := d.hashers.Get().(*pseudonym.Hasher)
	defer d.hashers.Put(h)
	return fn(h)
}

// hearing is one read: who reads, of which case, by which requests.
type hearing struct {
	*Desk
	Reader
	at       time.Time
	persons  Persons
	requests []*sharing.Request
	standing *sharing.Case
	papers   *serving.Record // the case's own record
}

// Bounds of what a caller says of themselves: it is written down as it is.
const mostSaid = 100

// hear finds out what a read is judged by. The error is a *Mistake or an *Unavailable.
func (d *Desk) hear(ctx context.Context, r Reader) (*hearing, error) {
	for name, said := range map[string]string{"client": r.Client, "department": r.Department, "clerk": r.Clerk, "purpose": r.Purpose, "item": r.Item, "case": r.Case} {
		if len(said) > mostSaid {
			return nil, &Mistake{Field: name, Text: fmt.Sprintf("%s has more than %d bytes", name, mostSaid)}
		}
	}
	// I8: an access that its resident and the supervisors cannot be shown is none that may happen.
	if err := d.o.Warehouse(); err != nil {
		return nil, &Unavailable{What: TheWarehouse, Err: err}
	}
	if err := d.o.Fresh(); err != nil {
		return nil, &Unavailable{What: "what the departments hold is not up to date and", Err: err}
	}
	h := &hearing{Desk: d, Reader: r, at: d.o.Now(), persons: d.o.Persons()}
	if !slices.Contains(d.o.Purposes, r.Purpose) {
		h.Purpose = ""
	}
	var err error
	if h.requests, err = d.o.Exchange.Requests(ctx); err != nil {
		return nil, &Unavailable{What: "the grants", Err: err}
	}
	records, err := d.o.Store.ByCase(r.Case)
	if err != nil {
		return nil, &Unavailable{What: "the records", Err: err}
	}
	h.findCase(records)
	return h, nil
}

// findCase takes of the records with the case's number the caller's own department's, and of those the newest.
func (h *hearing) findCase(records []*serving.Record) {
	for _, r := range records {
		if r.Case == nil || r.Case.Number != h.Reader.Case {
			continue
		}
		if h.papers == nil || r.Case.Department == h.Department || h.papers.Case.Department != h.Department {
			h.papers = r
		}
	}
	if h.papers == nil {
		return
	}
	c := h.papers.Case
	h.standing = &sharing.Case{Department: c.Department, Item: c.Item, Opened: c.Opened, Closed: c.Closed}
	if set := h.catalog[h.papers.Dataset]; set != nil && set.applicant != "" {
		// The applicant, and not whoever carried the papers.
		for _, person := range h.persons.Whom(mentionsOf(h.papers, set.applicant)) {
			if !person.IsZero() && !slices.Contains(h.standing.Persons, person) {
				h.standing.Persons = append(h.standing.Persons, person)
			}
		}
	}
}

// mentionsOf are the persons' mentions of a record in one of the roles; in any, without roles.
func mentionsOf(r *serving.Record, roles ...string) (ids []pseudonym.ID) {
	for _, m := range r.Mentions {
		if m.Person && (len(roles) == 0 || slices.Contains(roles, m.Role)) {
			ids = append(ids, m.Record)
		}
	}
	return ids
}

func (h *hearing) call(dataset string, fields []string, person pseudonym.ID) sharing.Call {
	return sharing.Call{At: h.at, Department: h.Department, Clerk: h.Clerk, Purpose: h.Purpose, Item: h.Item, Case: h.Reader.Case, Dataset: dataset, Fields: fields, Person: person}
}

// The decisions as the audit log has them.
const (
	Granted  = "granted"
	Refused  = "refused"
	Used     = "used"
	Declined = "declined"
)

// record writes the read down. I8: nothing is shown before it returns without an error.
func (h *hearing) record(ctx context.Context, person pseudonym.ID, fields []string, decision string, code sharing.Code) error {
	a := audit.Access{At: h.at, Caller: h.Department + "/" + h.Client, Clerk: h.Clerk, Purpose: h.Purpose, Fields: fields, Decision: decision, Reason: string(code)}
	if !person.IsZero() {
		a.Persons = []pseudonym.ID{person}
	}
	// I7: what names no case or item that there is may be anything, such as somebody's number.
	a.CaseNumber, a.ItemCode = h.veiled("case", h.Reader.Case, h.standing != nil), h.veiled("item", h.Item, h.knownItem())
	if err := h.o.Log.Record(ctx, a); err != nil {
		return &Unavailable{What: "the log of accesses", Err: err}
	}
	return nil
}

func (h *hearing) knownItem() bool {
	if h.standing != nil && h.standing.Item == h.Item {
		return true
	}
	return h.o.Items.Known(h.Item)
}

// veiled is a text that a caller wrote, or its pseudonym where the county does not know it.
func (d *Desk) veiled(what, text string, known bool) string {
	if known || text == "" {
		return text
	}
	return "unknown:" + hashed(d, func(h *pseudonym.Hasher) string { return h.Text("said/"+what, text) })
}

// refuse writes a refusal down and is its error. told is what the caller learns of it: not whether another department has a case.
func (h *hearing) refuse(ctx context.Context, person pseudonym.ID, fields []string, code, told sharing.Code) error {
	if err := h.record(ctx, person, fields, Refused, code); err != nil {
		return err
	}
	if told == sharing.OtherDepartmentsCase {
		told = sharing.NoCase
	}
	return &Denied{Code: told}
}

// Person is all that departments hold on a person and live grants cover. The error is a *Denied, a *Mistake or an *Unavailable.
func (d *Desk) Person(ctx context.Context, r Reader, id pseudonym.ID) (*Person, error) {
	h, err := d.hear(ctx, r)
	if err != nil {
		return nil, err
	}
	if today, ok := h.persons.Resolve(id); ok {
		id = today
	}
	if code := h.call("", nil, id).Standing(h.standing); code != sharing.Allowed {
		return nil, h.refuse(ctx, id, nil, code, code)
	}
	records, err := h.recordsOf(id)
	if err != nil {
		return nil, err
	}
	return h.show(ctx, id, records)
}

// recordsOf are the records that mention a person.
func (h *hearing) recordsOf(person pseudonym.ID) ([]*serving.Record, error) {
	records, err := h.o.Store.ByMentions(h.persons.Held(person, serving.MostRecords+1))
	if err != nil {
		return nil, &Unavailable{What: "the records", Err: err}
	}
	return records, nil
}

// Lookup is Person for the applicant of the case whom the attributes fit: number, or name and date of birth. A person who does not
// exist, one who is not of the case, and attributes that do not fit are refused alike, with sharing.NotOfCase. Attributes are held
// against what the case itself says, and what grants let the caller see: a lookup is no way to try out what they do not.
func (d *Desk) Lookup(ctx context.Context, r Reader, a Attributes) (*Person, error) {
	want, err := d.wanted(a)
	if err != nil {
		return nil, err
	}
	h, err := d.hear(ctx, r)
	if err != nil {
		return nil, err
	}
	person, records, err := h.fitting(ctx, want)
	if err != nil {
		return nil, err
	}
	return h.show(ctx, person, records)
}

// fitting is the one applicant of the case whom attributes fit, with the records on them. That there is none is written down.
func (h *hearing) fitting(ctx context.Context, want wanted) (person pseudonym.ID, theirs []*serving.Record, err error) {
	if code := h.call("", nil, person).Standing(h.standing); code != sharing.NotOfCase {
		return person, nil, h.refuse(ctx, person, nil, code, code)
	}
	// Every applicant is looked at in full, so that a miss takes as long as a hit until its decision.
	var found []pseudonym.ID
	for _, applicant := range h.standing.Persons {
		records, err := h.recordsOf(applicant)
		if err != nil {
			return person, nil, err
		}
		if h.fits(want, applicant, records) {
			found, theirs = append(found, applicant), records
		}
	}
	if len(found) != 1 { // two who are alike are told apart by the number alone
		return person, nil, h.refuse(ctx, person, nil, sharing.NotOfCase, sharing.NotOfCase)
	}
	return found[0], theirs, nil
}

// show decides on a person's records, writes that down, and returns what is covered.
func (h *hearing) show(ctx context.Context, person pseudonym.ID, records []*serving.Record) (*Person, error) {
	out := &Person{ID: person}
	var closed []sharing.Code
	open := false
	for _, name := range h.asked() {
		d := sharing.Open(h.call(name, nil, person), h.standing, h.requests, h.o.Contracts)
		if d.Allowed {
			open = true
			continue
		}
		closed = append(closed, d.Code)
		out.Refused = append(out.Refused, name+": "+string(d.Code))
	}
	if !open {
		code := sharing.Furthest(closed...)
		return nil, h.refuse(ctx, person, nil, code, code)
	}
	whose := h.whose(records)
	var fields []string
	for _, r := range records {
		set := h.catalog[r.Dataset]
		if set == nil {
			continue
		}
		d := sharing.Decide(h.call(r.Dataset, nil, person), h.standing, h.requests, h.o.Contracts, r.Division)
		if !d.Allowed {
			continue
		}
		shown := h.shown(set, r, d, person, whose)
		if len(shown.Values) == 0 {
			continue
		}
		for _, v := range shown.Values {
			fields = append(fields, r.Dataset+"."+v.Field)
		}
		out.Records = append(out.Records, shown)
	}
	slices.Sort(fields)
	if err := h.record(ctx, person, slices.Compact(fields), Granted, sharing.Allowed); err != nil {
		return nil, err
	}
	slices.Reverse(out.Records) // the store gives the oldest first
	slices.SortStableFunc(out.Records, func(a, b Record) int {
		if c := strings.Compare(a.Department, b.Department); c != 0 {
			return c
		}
		return strings.Compare(a.Dataset, b.Dataset)
	})
	out.Facts = facts(out.Records)
	return out, nil
}

// asked are the datasets that the caller's department has requests for, in order.
func (h *hearing) asked() (names []string) {
	for _, r := range h.requests {
		if r.From == h.Department {
			names = append(names, r.Terms.Dataset)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// Record is one record by its key in the source, as far as live grants cover it; parts of a composite key are joined by
// change.KeySeparator. fields are those that are wanted, all that is covered when there are none. A record that does not exist, one
// that is not about the case's applicants, and one outside the granted rows are refused alike, with sharing.NotOfCase.
func (d *Desk) Record(ctx context.Context, r Reader, department, dataset, key string, fields []string) (*Record, error) {
	set := d.catalog[dataset]
	if set == nil || set.Department != department {
		return nil, &Mistake{Field: "dataset", Text: "the catalogue has no such dataset of this department; look it up in the catalogue"}
	}
	if key == "" || len(key) > 1000 {
		return nil, &Mistake{Field: "key", Text: "the record's key is missing, or has more than 1000 bytes"}
	}
	logged := make([]string, 0, len(fields))
	for _, name := range fields {
		if _, ok := set.Field(name); !ok {
			return nil, &Mistake{Field: "fields", Text: "the dataset has no field of one of the names that were asked for; look them up in the catalogue"}
		}
		logged = append(logged, dataset+"."+name)
	}
	slices.Sort(logged)
	logged = slices.Compact(logged)
	h, err := d.hear(ctx, r)
	if err != nil {
		return nil, err
	}
	// Whether anything could be read at all comes first: it does not depend on whether there is such a record.
	var anyone pseudonym.ID
	if h.standing != nil && len(h.standing.Persons) > 0 {
		anyone = h.standing.Persons[0]
	}
	if open := sharing.Open(h.call(dataset, fields, anyone), h.standing, h.requests, d.o.Contracts); !open.Allowed {
		return nil, h.refuse(ctx, pseudonym.ID{}, logged, open.Code, open.Code)
	}
	id := hashed(d, func(h *pseudonym.Hasher) pseudonym.ID { return serving.RecordID(h, dataset, key) })
	record, err := d.o.Store.Get(id)
	if err != nil {
		return nil, &Unavailable{What: "the records", Err: err}
	}
	if record == nil {
		return nil, h.refuse(ctx, pseudonym.ID{}, logged, sharing.NotOfCase, sharing.NotOfCase)
	}
	whose := h.whose([]*serving.Record{record})
	var person pseudonym.ID
	for _, m := range mentionsOf(record) {
		if slices.Contains(h.standing.Persons, whose[m]) {
			person = whose[m]
			break
		}
	}
	decision := sharing.Decide(h.call(dataset, fields, person), h.standing, h.requests, d.o.Contracts, record.Division)
	if !decision.Allowed {
		// The log says what it was; to the caller, a record outside what is granted is none.
		return nil, h.refuse(ctx, person, logged, decision.Code, sharing.NotOfCase)
	}
	shown := h.shown(set, record, decision, person, whose)
	logged = logged[:0]
	for _, v := range shown.Values {
		logged = append(logged, dataset+"."+v.Field)
	}
	slices.Sort(logged)
	if err := h.record(ctx, person, logged, Granted, sharing.Allowed); err != nil {
		return nil, err
	}
	return &shown, nil
}
