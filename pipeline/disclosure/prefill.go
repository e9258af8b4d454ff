package disclosure

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/shirecounty/shire/pipeline/serving"
	"github.com/shirecounty/shire/schemas/calendar"
	"github.com/shirecounty/shire/schemas/change"
	"github.com/shirecounty/shire/schemas/contract"
	"github.com/shirecounty/shire/schemas/pseudonym"
	"github.com/shirecounty/shire/schemas/semantic"
	"github.com/shirecounty/shire/schemas/sharing"
)

// Prefill is what a case's applicant need not hand in, and what has to be asked for.
type Prefill struct {
	ID        string // of this case and applicant; Use and Decline name it
	Person    pseudonym.ID
	Materials []Material // in the order of the item's list, or of the question
}

// Material is one required material (材料).
type Material struct {
	Code   string
	Met    bool
	Proof  *Proof // of a material that is met
	Reason string // why it has to be asked for: one of the Reasons below
}

// Proof is what a material is met with. Nothing of it is shown that no live grant covers.
type Proof struct {
	Department string
	Dataset    string
	Record     pseudonym.ID
	Issued     *time.Time // nil when it is not known or not covered in full
	ValidFrom  string     // 2006-01-02; "" when there is none or it is not covered in full
	ValidUntil string     // the last day, included; "" when there is none or it is not covered in full
	Hash       string     // keyed hash of the record in this version: the owner's record gives the same while it is unchanged
}

// Why a material has to be asked for. NotGranted and OwnRegister do not depend on what is held.
const (
	NotGranted  = "not_granted"  // no live grant covers what would show it
	OwnRegister = "own_register" // nor does one need to: the department's own dataset says it
	NotHeld     = "not_held"     // a grant covers it, and nothing is held on this person
	NotValid    = "not_valid"    // what is held is not valid today
)

// NotMet is the code of a Use of what is not met any more.
const NotMet sharing.Code = "material_not_met"

// Why a clerk asks for a material in spite of the prefill. The log and the figures have the word alone: what a person writes may name people.
var DeclineReasons = []string{"outdated", "wrong", "other_person", "original_needed", "out_of_order", "other"}

// The acts on a material of a prefill, as the event has them.
const (
	ActUse     = "use"
	ActDecline = "decline"
)

// Taken takes down what became of a material of a prefill: an event on the bus, from which the figures have it (pipeline.Materials).
type Taken interface {
	Take(ctx context.Context, m TakenMaterial) error
}

// TakenMaterial is what became of a material of a prefill.
type TakenMaterial struct {
	Prefill, Material      string // together the event's record: what is said later counts
	Use                    bool   // else it was declined
	At                     time.Time
	Case, Department, Item string
	Reason                 string   // of a decline
	Dataset, Issuer        string   // of a use
	Document               []string // number and edition of the document, as the contract of its dataset names it; its pseudonym alone goes further
	ValidFrom, ValidUntil  string   // 2006-01-02, or ""
}

// knowMaterials finds out which datasets can stand for which materials.
func (d *Desk) knowMaterials() {
	d.known, d.holders = map[string]bool{}, map[string][]string{}
	for _, item := range d.o.Items {
		for _, code := range slices.Concat(item.Materials, item.Sometimes) {
			d.known[code] = true
		}
	}
	for _, name := range d.o.Contracts.Names() {
		for i := range d.catalog[name].Emits {
			e := &d.catalog[name].Emits[i]
			if e.Table != "holdings" || e.Person == "" {
				continue
			}
			if v := e.Columns["material_code"]; v.Const != nil {
				d.known[*v.Const] = true
				d.holders[*v.Const] = append(d.holders[*v.Const], name)
			} else {
				d.byFields = append(d.byFields, name)
			}
		}
	}
}

// Prefill tells for a case's applicant which materials shared data meets. person may be the zero id when the case has one applicant.
// materials are codes; all that the item requires when there are none.
func (d *Desk) Prefill(ctx context.Context, r Reader, person pseudonym.ID, materials []string) (*Prefill, error) {
	if len(materials) == 0 {
		item, ok := d.o.Items[r.Item]
		if !ok || len(item.Materials) == 0 {
			return nil, &Mistake{Field: "materials", Text: "the county's list of service items does not say what this item requires; name the materials"}
		}
		materials = item.Materials
	}
	if len(materials) > 50 || slices.ContainsFunc(materials, func(code string) bool { return !d.known[code] }) {
		return nil, &Mistake{Field: "materials", Text: "name at most 50 materials by the county's codes (材料编码); one of them is not known"}
	}
	h, err := d.hear(ctx, r)
	if err != nil {
		return nil, err
	}
	person, code := h.applicant(person)
	if code != sharing.Allowed {
		return nil, h.refuse(ctx, person, nil, code, code)
	}
	records, err := h.recordsOf(person)
	if err != nil {
		return nil, err
	}
	whose := h.whose(records)
	out := &Prefill{ID: h.prefillID(person), Person: person}
	var looked []string
	for _, code := range materials {
		m := h.material(code, person, records, whose)
		out.Materials = append(out.Materials, m.Material)
		looked = append(looked, m.looked...)
	}
	slices.Sort(looked)
	looked = slices.Compact(looked)
	decision, reason := Granted, sharing.Allowed
	if len(looked) == 0 { // nothing of the person was looked at, nor is shown
		decision, reason = Refused, sharing.NoGrant
	}
	if err := h.record(ctx, person, looked, decision, reason); err != nil {
		return nil, err
	}
	return out, nil
}

// applicant is the person that is asked for, as of today, when the call may be about them.
func (h *hearing) applicant(person pseudonym.ID) (pseudonym.ID, sharing.Code) {
	if today, ok := h.persons.Resolve(person); ok {
		person = today
	}
	if person.IsZero() && h.standing != nil && len(h.standing.Persons) == 1 {
		person = h.standing.Persons[0]
	}
	return person, h.call("", nil, person).Standing(h.standing)
}

// prefillID names the prefills of a case and an applicant.
func (h *hearing) prefillID(person pseudonym.ID) string {
	return hashed(h.Desk, func(p *pseudonym.Hasher) string {
		return p.Text("prefill", h.Department, h.Reader.Case, person.String())
	})
}

// held is a material, and by what it is met.
type held struct {
	Material
	looked  []string // fields of which the answer tells: dataset.field
	record  *serving.Record
	holding serving.Holding
	emit    *contract.Emit
}

// material finds the best holding that stands for a material: the one that is valid longest, and of those the newest.
func (h *hearing) material(code string, person pseudonym.ID, records []*serving.Record, whose map[pseudonym.ID]pseudonym.ID) held {
	out := held{Material: Material{Code: code, Reason: NotGranted}}
	open := false
	for _, name := range slices.Concat(h.holders[code], h.byFields) {
		set := h.catalog[name]
		for i := range set.Emits {
			e := &set.Emits[i]
			if v := e.Columns["material_code"]; e.Table != "holdings" || e.Person == "" || v.Const != nil && *v.Const != code {
				continue
			}
			needs := judgedBy(e)
			if !covers(sharing.Open(h.call(name, needs, person), h.standing, h.requests, h.o.Contracts)) {
				if set.Department == h.Department && !open {
					out.Reason = OwnRegister
				}
				continue
			}
			if !open {
				open, out.Reason = true, NotHeld
			}
			for _, f := range needs {
				out.looked = append(out.looked, name+"."+f)
			}
			h.best(&out, name, e, person, records, whose)
		}
	}
	if out.record != nil {
		out.Met, out.Reason = true, ""
		out.Proof = h.proof(&out, person)
	}
	return out
}

// best looks among a dataset's records for a holding by one emit of its contract.
func (h *hearing) best(out *held, dataset string, e *contract.Emit, person pseudonym.ID, records []*serving.Record, whose map[pseudonym.ID]pseudonym.ID) {
	needs := judgedBy(e)
	today := h.today()
	for _, r := range records {
		if r.Dataset != dataset || !slices.ContainsFunc(mentionsOf(r, e.Person), func(m pseudonym.ID) bool { return whose[m] == person }) {
			continue
		}
		if !covers(sharing.Decide(h.call(dataset, needs, person), h.standing, h.requests, h.o.Contracts, r.Division)) {
			continue // a record outside the granted rows is as if it were not there
		}
		for _, holding := range r.Holdings {
			if holding.Material != out.Code || holding.Role != e.Person {
				continue
			}
			if !valid(holding, today, h.o.Zone) {
				if out.record == nil {
					out.Reason = NotValid
				}
				continue
			}
			if out.record == nil || longer(holding, out.holding) || holding.Until == out.holding.Until && r.Version > out.record.Version {
				out.record, out.holding, out.emit = r, holding, e
			}
		}
	}
}

func (h *hearing) today() int32 { return int32(calendar.DateOf(h.at.In(h.o.Zone))) }

// longer tells whether a holding is valid longer than another.
func longer(a, b serving.Holding) bool { return b.Until != 0 && (a.Until == 0 || a.Until > b.Until) }

// valid tells whether a holding stands for its material on a day. As in mart.avoidable_submissions, one without a first day is valid
// from the day on which it was issued, and without that from ever on.
func valid(h serving.Holding, day int32, zone *time.Location) bool {
	from := h.From
	if from == 0 && !h.IssuedAt.IsZero() {
		from = int32(calendar.DateOf(h.IssuedAt.In(zone)))
	}
	return (h.Status == "" || h.Status == "valid") && (from == 0 || from <= day) && (h.Until == 0 || day <= h.Until)
}

// judgedBy are the fields from which it follows that a document is held and valid. All have to be covered for that to be said.
func judgedBy(e *contract.Emit) (fields []string) {
	for column, v := range e.Columns {
		if column != "issuer" {
			fields = append(fields, fieldsOf(v)...)
		}
	}
	if e.When != nil {
		fields = append(fields, e.When.Field)
	}
	slices.Sort(fields)
	return slices.Compact(fields)
}

// covers tells whether a decision shows all fields that were asked for, however little of them; when none were, any.
func covers(d sharing.Decision) bool { return d.Allowed && len(d.Refused) == 0 }

// proof is what is told of what a material is met with.
func (h *hearing) proof(m *held, person pseudonym.ID) *Proof {
	r, holding := m.record, m.holding
	d := sharing.Decide(h.call(r.Dataset, nil, person), h.standing, h.requests, h.o.Contracts, r.Division)
	full := func(column string) bool { // a constant of the contract is no secret
		return !slices.ContainsFunc(fieldsOf(m.emit.Columns[column]), func(f string) bool { return d.Fields[f] != sharing.Full })
	}
	p := &Proof{Department: h.catalog[r.Dataset].Department, Dataset: r.Dataset, Record: r.ID}
	if full("issued_at") {
		p.Issued = known(holding.IssuedAt)
	}
	if full("valid_from") {
		p.ValidFrom = day(holding.From)
	}
	if full("valid_until") {
		p.ValidUntil = day(holding.Until)
	}
	p.Hash = hashed(h.Desk, func(hash *pseudonym.Hasher) string {
		return hash.Text("proof", r.ID.String(), strconv.FormatUint(r.Version, 10), holding.Material, fmt.Sprint(holding.From, holding.Until, holding.Status))
	})
	return p
}

func day(d int32) string {
	if d == 0 {
		return ""
	}
	return semantic.FormatDate(d)
}

// named is the applicant whose prefill a caller names.
func (h *hearing) named(prefill string) (person pseudonym.ID, code sharing.Code) {
	if code := h.call("", nil, person).Standing(h.standing); code != sharing.NotOfCase {
		return person, code
	}
	for _, p := range h.standing.Persons {
		if h.prefillID(p) == prefill {
			return p, sharing.Allowed
		}
	}
	return person, sharing.NotOfCase
}

// Use takes a material of a prefill from shared data: it is looked at again, and from then on it stands among the case's materials
// with the method shared. A second Use of the same changes nothing of that. When it is not met any more, the error is a *Denied.
func (d *Desk) Use(ctx context.Context, r Reader, prefill, material string) error {
	if !d.known[material] {
		return &Mistake{Field: "material", Text: "name the material by the county's code (材料编码)"}
	}
	h, err := d.hear(ctx, r)
	if err != nil {
		return err
	}
	person, code := h.named(prefill)
	if code != sharing.Allowed {
		return h.refuse(ctx, person, nil, code, code)
	}
	records, err := h.recordsOf(person)
	if err != nil {
		return err
	}
	m := h.material(material, person, records, h.whose(records))
	if !m.Met {
		code := NotMet
		if len(m.looked) == 0 {
			code = sharing.NoGrant
		}
		return h.refuse(ctx, person, m.looked, code, code)
	}
	if err := h.record(ctx, person, m.looked, Used, sharing.Allowed); err != nil {
		return err
	}
	t := h.taken(prefill, material)
	if t.At, err = h.usedAt(prefill, material); err != nil {
		return err
	}
	t.Use, t.Dataset, t.Issuer, t.ValidFrom, t.ValidUntil = true, m.record.Dataset, m.holding.Issuer, day(m.holding.From), day(m.holding.Until)
	for _, f := range fieldsOf(m.emit.Columns["document"]) {
		t.Document = append(t.Document, m.record.Value(f))
	}
	return h.take(ctx, t)
}

// Decline says that a material is asked for in spite of the prefill, and why: one of DeclineReasons.
func (d *Desk) Decline(ctx context.Context, r Reader, prefill, material, reason string) error {
	if !d.known[material] {
		return &Mistake{Field: "material", Text: "name the material by the county's code (材料编码)"}
	}
	if !slices.Contains(DeclineReasons, reason) {
		return &Mistake{Field: "reason", Text: fmt.Sprintf("say why with one of these words: %v", DeclineReasons)}
	}
	h, err := d.hear(ctx, r)
	if err != nil {
		return err
	}
	person, code := h.named(prefill)
	if code != sharing.Allowed {
		return h.refuse(ctx, person, nil, code, code)
	}
	if err := h.record(ctx, person, nil, Declined, sharing.Allowed); err != nil {
		return err
	}
	t := h.taken(prefill, material)
	t.Reason = reason
	return h.take(ctx, t)
}

// usedAt is when a material was used: it stays the first time.
func (h *hearing) usedAt(prefill, material string) (time.Time, error) {
	id := hashed(h.Desk, func(p *pseudonym.Hasher) pseudonym.ID {
		return serving.RecordID(p, contract.Materials, prefill+change.KeySeparator+material)
	})
	before, err := h.o.Store.Get(id)
	if err != nil {
		return h.at, &Unavailable{What: "the records", Err: err}
	}
	if before != nil && before.Value("act") == ActUse {
		if at, err := time.Parse(time.RFC3339, before.Value("acted_at")); err == nil {
			return at, nil
		}
	}
	return h.at, nil
}

func (h *hearing) taken(prefill, material string) TakenMaterial {
	return TakenMaterial{Prefill: prefill, Material: material, At: h.at, Case: h.Reader.Case, Department: h.Department, Item: h.Item}
}

func (h *hearing) take(ctx context.Context, t TakenMaterial) error {
	if err := h.o.Taken.Take(ctx, t); err != nil {
		return &Unavailable{What: "the bus", Err: err}
	}
	return nil
}
