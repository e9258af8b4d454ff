package disclosure

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/shirecounty/shire/pipeline/serving"
	"github.com/shirecounty/shire/schemas/calendar"
	"github.com/shirecounty/shire/schemas/contract"
	"github.com/shirecounty/shire/schemas/pseudonym"
	"github.com/shirecounty/shire/schemas/semantic"
	"github.com/shirecounty/shire/schemas/sharing"
)

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

// held is a material, and by what it is met.
type held struct {
	Material
	looked  []string // fields of which the answer tells: dataset.field
	record  *serving.Record
	holding serving.Holding
	emit    *contract.Emit
	invalid []document // of holdings that are not valid today
}

// document is what a dataset says a document is: its number, and its edition where there is one.
type document struct {
	dataset string
	parts   []string
}

// material finds the best holding that stands for a material: the one that is valid longest, and of those the newest.
func (h *hearing) material(code string, person pseudonym.ID, records []*serving.Record, whose map[pseudonym.ID]pseudonym.ID) held {
	out := held{Material: Material{Code: code, Reason: NotGranted}}
	var missing []sharing.Code
	open := false
	for _, name := range slices.Concat(h.holders[code], h.byFields) {
		set := h.catalog[name]
		for i := range set.Emits {
			e := &set.Emits[i]
			if v := e.Columns["material_code"]; e.Table != "holdings" || e.Person == "" || v.Const != nil && *v.Const != code {
				continue
			}
			needs := judgedBy(e)
			if d := sharing.Open(h.call(name, needs, person), h.standing, h.requests, h.o.Contracts); !covers(d) {
				missing = append(missing, lacking(d))
				if !slices.Contains(out.Could, name) {
					out.Could = append(out.Could, name)
				}
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
	switch {
	case out.record != nil && out.disputed():
		out.Reason = Conflicting
	case out.record != nil:
		out.Met, out.Reason = true, ""
		out.Proof = h.proof(&out, person)
	case out.Reason == NotGranted:
		out.Grant = sharing.Furthest(missing...)
	}
	if out.Reason != NotGranted {
		out.Could = nil
	}
	return out
}

// lacking is what a grant lacks that does not cover what was asked for.
func lacking(d sharing.Decision) sharing.Code {
	if d.Allowed { // some of the fields
		return sharing.FieldsNotGranted
	}
	return d.Code
}

// disputed tells whether another dataset calls the very document not valid with which the material would be met. An older document that
// has run out beside a newer one is no dispute.
func (m *held) disputed() bool {
	met := documentOf(m.record, m.emit)
	return slices.ContainsFunc(m.invalid, func(d document) bool {
		return d.dataset != met.dataset && len(met.parts) > 0 && slices.Equal(d.parts, met.parts)
	})
}

// documentOf is the document of a holding; without parts when the record names none.
func documentOf(r *serving.Record, e *contract.Emit) document {
	d := document{dataset: r.Dataset}
	for _, f := range fieldsOf(e.Columns["document"]) {
		v := r.Value(f)
		if v == "" {
			return document{dataset: r.Dataset}
		}
		d.parts = append(d.parts, v)
	}
	return d
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
				out.invalid = append(out.invalid, documentOf(r, e))
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
	p := &Proof{Department: h.catalog[r.Dataset].Department, Dataset: r.Dataset, Record: r.ID, SourceTime: known(r.SourceTime), ReceivedAt: r.Received}
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
