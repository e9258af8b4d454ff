package disclosure

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/shirecounty/shire/pipeline/serving"
	"github.com/shirecounty/shire/schemas/change"
	"github.com/shirecounty/shire/schemas/contract"
	"github.com/shirecounty/shire/schemas/pseudonym"
	"github.com/shirecounty/shire/schemas/sharing"
)

// Prefill is what a case's applicant need not hand in, and what has to be asked for.
type Prefill struct {
	ID        string // of this case and applicant; Use and Decline name it
	At        time.Time
	Person    pseudonym.ID
	Materials []Material // in the order of the item's list, or of the question
	Looked    []string   // what the log of accesses says that was looked at: dataset.field, sorted
}

// Material is one required material (材料).
type Material struct {
	Code   string
	Met    bool
	Proof  *Proof        // of a material that is met
	Reason string        // why it has to be asked for: one of the Reasons below
	Grant  sharing.Code  // with NotGranted: what is missing, of all datasets that could show it the one that came furthest
	Could  []string      // with NotGranted: those datasets, in the catalogue's order; none when the county has none
	Taken  *MaterialTurn // what was done about it before; nil when nothing was
}

// MaterialTurn is what a clerk has done about a material of a prefill.
type MaterialTurn struct {
	Use    bool // else it was declined
	At     time.Time
	Reason string // of a decline
}

// Proof is what a material is met with. Nothing of it is shown that no live grant covers.
type Proof struct {
	Department string
	Dataset    string
	Record     pseudonym.ID
	SourceTime *time.Time // when the source says the record was written
	ReceivedAt time.Time  // when it reached the county
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
	Conflicting = "conflicting"  // two datasets name the same document, and only one of them calls it valid
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

// Prefill tells for a case's applicant which materials shared data meets. person may be the zero id when the case has one applicant.
// materials are codes; all that the item requires when there are none.
func (d *Desk) Prefill(ctx context.Context, r Reader, person pseudonym.ID, materials []string) (*Prefill, error) {
	materials, err := d.required(r.Item, materials)
	if err != nil {
		return nil, err
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
	return h.prefill(ctx, person, records, materials)
}

// PrefillFor is Prefill for the applicant of the case whom the attributes fit, by the rules of Lookup.
func (d *Desk) PrefillFor(ctx context.Context, r Reader, a Attributes, materials []string) (*Prefill, error) {
	want, err := d.wanted(a)
	if err != nil {
		return nil, err
	}
	if materials, err = d.required(r.Item, materials); err != nil {
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
	return h.prefill(ctx, person, records, materials)
}

// required are the materials that a prefill is about.
func (d *Desk) required(item string, materials []string) ([]string, error) {
	if len(materials) == 0 {
		item, ok := d.o.Items[item]
		if !ok || len(item.Materials) == 0 {
			return nil, &Mistake{Field: "materials", Text: "the county's list of service items does not say what this item requires; name the materials"}
		}
		materials = item.Materials
	}
	if len(materials) > 50 || slices.ContainsFunc(materials, func(code string) bool { return !d.known[code] }) {
		return nil, &Mistake{Field: "materials", Text: "name at most 50 materials by the county's codes (材料编码); one of them is not known"}
	}
	return materials, nil
}

// prefill finds out what is met, writes that down, and returns it.
func (h *hearing) prefill(ctx context.Context, person pseudonym.ID, records []*serving.Record, materials []string) (*Prefill, error) {
	whose := h.whose(records)
	out := &Prefill{ID: h.prefillID(person), At: h.at, Person: person}
	for _, code := range materials {
		m := h.material(code, person, records, whose)
		var err error
		if m.Taken, err = h.turn(out.ID, code); err != nil {
			return nil, err
		}
		out.Materials = append(out.Materials, m.Material)
		out.Looked = append(out.Looked, m.looked...)
	}
	slices.Sort(out.Looked)
	out.Looked = slices.Compact(out.Looked)
	decision, reason := Granted, sharing.Allowed
	if len(out.Looked) == 0 { // nothing of the person was looked at, nor is shown
		decision, reason = Refused, sharing.NoGrant
	}
	if err := h.record(ctx, person, out.Looked, decision, reason); err != nil {
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
	before, err := h.turn(prefill, material)
	if err != nil {
		return err
	}
	if before != nil && before.Use {
		t.At = before.At // it stays the first time
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

// turn is what was done about a material of a prefill, as far as the store has it; nil when nothing was.
func (h *hearing) turn(prefill, material string) (*MaterialTurn, error) {
	id := hashed(h.Desk, func(p *pseudonym.Hasher) pseudonym.ID {
		return serving.RecordID(p, contract.Materials, prefill+change.KeySeparator+material)
	})
	before, err := h.o.Store.Get(id)
	if err != nil {
		return nil, &Unavailable{What: "the records", Err: err}
	}
	if before == nil {
		return nil, nil
	}
	at, err := time.Parse(time.RFC3339, before.Value("acted_at"))
	if err != nil {
		return nil, &Unavailable{What: "the records", Err: fmt.Errorf("a prefill's material says no time: %w", err)}
	}
	return &MaterialTurn{Use: before.Value("act") == ActUse, At: at, Reason: before.Value("reason")}, nil
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
