package portal

import (
	"time"

	"github.com/shirecounty/shire/pipeline/disclosure"
	"github.com/shirecounty/shire/schemas/pseudonym"
)

// PersonLookup are what a person at a counter shows of themselves: number, or name and birth_date.
type PersonLookup struct {
	Number    string            `json:"number,omitempty" jsonschema:"description=Citizen number (公民身份号码) of 15 or 18 digits"`
	Name      string            `json:"name,omitempty"`
	BirthDate string            `json:"birth_date,omitempty" jsonschema:"pattern=^[0-9]{4}-[0-9]{2}-[0-9]{2}$"`
	Brought   map[string]string `json:"brought,omitempty" jsonschema:"description=Values that the applicant brought\\, by dataset.field\\, for fields that are only compared"`
}

// RecordLookup names a record by a key that must not stand in an address.
type RecordLookup struct {
	Key     []string          `json:"key" jsonschema:"description=The parts of the record's key\\, in the order of the contract"`
	Fields  []string          `json:"fields,omitempty" jsonschema:"description=Fields that are wanted; all that is covered when absent"`
	Brought map[string]string `json:"brought,omitempty" jsonschema:"description=Values that the applicant brought\\, by dataset.field\\, for fields that are only compared"`
}

// SharedValue is one field's value as far as it is shown.
type SharedValue struct {
	Field string `json:"field"`
	Means string `json:"means,omitempty" jsonschema:"description=What it says of the person\\, in the words of the county's model"`
	Mask  string `json:"mask" jsonschema:"enum=exists,enum=equals,enum=hashed,enum=partial,enum=full"`
	Value string `json:"value" jsonschema:"description=After masking; yes or no with exists and equals"`
}

// SharedRecord is a department's record as far as it is shown.
type SharedRecord struct {
	Department string        `json:"department"`
	Dataset    string        `json:"dataset"`
	ID         pseudonym.ID  `json:"id"`
	Contract   string        `json:"contract" jsonschema:"description=Hash of the contract that it was read with"`
	SourceTime *time.Time    `json:"source_time" jsonschema:"description=When the source says that it was written"`
	ReceivedAt time.Time     `json:"received_at"`
	Values     []SharedValue `json:"values"`
	Refused    []string      `json:"refused" jsonschema:"description=Fields that were asked for and are not covered"`
}

// SaidValue is a value with its source.
type SaidValue struct {
	Department string     `json:"department"`
	Dataset    string     `json:"dataset"`
	SourceTime *time.Time `json:"source_time"`
	ReceivedAt time.Time  `json:"received_at"`
	SharedValue
}

// SharedFact is what the sources say about one thing.
type SharedFact struct {
	Means       string      `json:"means"`
	Conflicting bool        `json:"conflicting" jsonschema:"description=The sources disagree"`
	Said        []SaidValue `json:"said" jsonschema:"description=The newest first"`
}

// SharedPerson is what departments hold on a person, as far as it is shown.
type SharedPerson struct {
	ID      pseudonym.ID   `json:"id" jsonschema:"description=Today's; another than that asked for when people were merged"`
	Facts   []SharedFact   `json:"facts"`
	Records []SharedRecord `json:"records"`
	Refused []string       `json:"refused" jsonschema:"description=Datasets that are not covered and why\\, such as household: grant_not_live"`
}

// PersonAccess is one look at a person's records, for the resident's counter.
type PersonAccess struct {
	At       time.Time `json:"at"`
	Caller   string    `json:"caller"`
	Clerk    string    `json:"clerk" jsonschema:"description=Pseudonym of the clerk"`
	Purpose  string    `json:"purpose"`
	Item     string    `json:"item"`
	Case     string    `json:"case"`
	Fields   []string  `json:"fields"`
	Decision string    `json:"decision"`
	Reason   string    `json:"reason,omitempty"`
}

// PersonAccesses are the looks at a person's records.
type PersonAccesses struct {
	Accesses []PersonAccess `json:"accesses" jsonschema:"description=The newest first"`
}

// PrefillQuestion asks which materials a case's applicant need not hand in.
type PrefillQuestion struct {
	Person    *pseudonym.ID `json:"person,omitempty" jsonschema:"description=The applicant; may be absent when the case has one"`
	Materials []string      `json:"materials,omitempty" jsonschema:"description=Codes of materials; all that the item requires when absent"`
}

// PrefillAnswer is which materials shared data meets.
type PrefillAnswer struct {
	ID        string            `json:"id"`
	Person    pseudonym.ID      `json:"person"`
	Materials []PrefillMaterial `json:"materials"`
}

// PrefillMaterial is one required material.
type PrefillMaterial struct {
	Code   string         `json:"code"`
	Met    bool           `json:"met"`
	Proof  *MaterialProof `json:"proof,omitempty"`
	Reason string         `json:"reason,omitempty" jsonschema:"enum=not_granted,enum=own_register,enum=not_held,enum=not_valid,enum=conflicting,description=Why it has to be asked for"`
	Grant  string         `json:"grant,omitempty" jsonschema:"description=With not_granted: what is missing\\, as the codes of refusals have it\\, such as grant_not_live"`
	Could  []string       `json:"could,omitempty" jsonschema:"description=With not_granted: the datasets that could show it"`
	Taken  *MaterialTurn  `json:"taken,omitempty" jsonschema:"description=What was done about it before"`
}

// MaterialTurn is what a clerk has done about a material of a prefill.
type MaterialTurn struct {
	Act    string    `json:"act" jsonschema:"enum=use,enum=decline"`
	At     time.Time `json:"at"`
	Reason string    `json:"reason,omitempty" jsonschema:"description=Of a decline"`
}

// MaterialProof is what a material is met with.
type MaterialProof struct {
	Department string       `json:"department"`
	Dataset    string       `json:"dataset"`
	Record     pseudonym.ID `json:"record"`
	SourceTime *time.Time   `json:"source_time" jsonschema:"description=When the source says that the record was written"`
	ReceivedAt time.Time    `json:"received_at"`
	Issued     *time.Time   `json:"issued"`
	ValidFrom  string       `json:"valid_from,omitempty"`
	ValidUntil string       `json:"valid_until,omitempty" jsonschema:"description=The last day\\, included"`
	Hash       string       `json:"hash" jsonschema:"description=Keyed hash of the record in this version"`
}

// MaterialUse takes a material of a prefill from shared data.
type MaterialUse struct {
	Material string `json:"material"`
}

// MaterialDecline says why a material is asked for in spite of a prefill.
type MaterialDecline struct {
	Material string `json:"material"`
	Reason   string `json:"reason" jsonschema:"enum=outdated,enum=wrong,enum=other_person,enum=original_needed,enum=out_of_order,enum=other"`
}

func sharedValue(v disclosure.Value) SharedValue {
	return SharedValue{v.Field, v.Means, string(v.Mask), v.Text}
}

func sharedRecord(r *disclosure.Record) SharedRecord {
	out := SharedRecord{Department: r.Department, Dataset: r.Dataset, ID: r.ID, Contract: r.Contract, SourceTime: r.SourceTime, ReceivedAt: r.ReceivedAt,
		Values: make([]SharedValue, len(r.Values)), Refused: orEmpty(r.Refused)}
	for i, v := range r.Values {
		out.Values[i] = sharedValue(v)
	}
	return out
}

func sharedPerson(p *disclosure.Person) SharedPerson {
	out := SharedPerson{ID: p.ID, Facts: make([]SharedFact, len(p.Facts)), Records: make([]SharedRecord, len(p.Records)), Refused: orEmpty(p.Refused)}
	for i, f := range p.Facts {
		said := make([]SaidValue, len(f.Said))
		for k, s := range f.Said {
			said[k] = SaidValue{s.Department, s.Dataset, s.SourceTime, s.ReceivedAt, sharedValue(s.Value)}
		}
		out.Facts[i] = SharedFact{f.Means, f.Conflicting, said}
	}
	for i := range p.Records {
		out.Records[i] = sharedRecord(&p.Records[i])
	}
	return out
}

func personAccesses(list []disclosure.Access) PersonAccesses {
	out := PersonAccesses{make([]PersonAccess, len(list))}
	for i, a := range list {
		out.Accesses[i] = PersonAccess{a.At, a.Caller, a.Clerk, a.Purpose, a.Item, a.Case, orEmpty(a.Fields), a.Decision, a.Reason}
	}
	return out
}

func prefillAnswer(p *disclosure.Prefill) PrefillAnswer {
	out := PrefillAnswer{ID: p.ID, Person: p.Person, Materials: make([]PrefillMaterial, len(p.Materials))}
	for i, m := range p.Materials {
		out.Materials[i] = PrefillMaterial{Code: m.Code, Met: m.Met, Reason: m.Reason, Grant: string(m.Grant), Could: m.Could}
		if p := m.Proof; m.Met && p != nil {
			out.Materials[i].Proof = &MaterialProof{p.Department, p.Dataset, p.Record, p.SourceTime, p.ReceivedAt, p.Issued, p.ValidFrom, p.ValidUntil, p.Hash}
		}
		if t := m.Taken; t != nil {
			out.Materials[i].Taken = &MaterialTurn{Act: disclosure.ActDecline, At: t.At.UTC(), Reason: t.Reason}
			if t.Use {
				out.Materials[i].Taken.Act = disclosure.ActUse
			}
		}
	}
	return out
}
