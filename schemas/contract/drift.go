package contract

import (
	"slices"

	"github.com/shirecounty/shire/schemas/change"
)

// Drift says what is to be done when the columns of the source change.
type Drift struct {
	NewColumns   Reaction `yaml:"new_columns,omitempty" json:"new_columns,omitempty" jsonschema:"enum=evolve,enum=freeze,enum=quarantine,description=A column that was not there before and that no field claims; evolve when absent"`
	LostColumns  Reaction `yaml:"lost_columns,omitempty" json:"lost_columns,omitempty" jsonschema:"enum=evolve,enum=freeze,enum=quarantine,description=A column of a field is gone and no other of the field's headers is there; quarantine when absent"`
	ChangedTypes Reaction `yaml:"changed_types,omitempty" json:"changed_types,omitempty" jsonschema:"enum=evolve,enum=freeze,enum=quarantine,description=A column of a field has another type in the source; evolve when absent"`
	Accepted     []string `yaml:"accepted,omitempty" json:"accepted,omitempty" jsonschema:"description=Columns of the source that were looked at: whatever they do is no drift"`
}

// Reaction to a change of columns.
type Reaction string

const (
	// Evolve goes on, and shows it.
	Evolve Reaction = "evolve"
	// Freeze stops the source before the first change that has it.
	Freeze Reaction = "freeze"
	// Wait lets the rows that have it wait in quarantine.
	Wait Reaction = "quarantine"
)

// OnDrift is the contract's reaction to a drift of a source that now has the given columns; "" when the contract knows of it,
// so that it is none.
func (d *Dataset) OnDrift(drift change.Drift, columns []string) Reaction {
	if slices.Contains(d.Drift.Accepted, drift.Column) {
		return ""
	}
	claimed := slices.IndexFunc(d.Fields, func(f Field) bool { return slices.Contains(f.SourceNames(), drift.Column) })
	switch drift.Code {
	case change.NewColumn:
		if claimed >= 0 {
			return ""
		}
		return orElse(d.Drift.NewColumns, Evolve)
	case change.LostColumn:
		if claimed < 0 {
			return Evolve // nobody in the county has used it
		}
		if slices.ContainsFunc(d.Fields[claimed].SourceNames(), func(name string) bool { return slices.Contains(columns, name) }) {
			return "" // it has another name, which the contract knows
		}
		return orElse(d.Drift.LostColumns, Wait)
	case change.ChangedType:
		if claimed < 0 {
			return Evolve
		}
		return orElse(d.Drift.ChangedTypes, Evolve)
	}
	return Evolve
}

func orElse(r, otherwise Reaction) Reaction {
	if r == "" {
		return otherwise
	}
	return r
}

func (p *prover) drift() {
	for path, r := range map[string]Reaction{"new_columns": p.d.Drift.NewColumns, "lost_columns": p.d.Drift.LostColumns, "changed_types": p.d.Drift.ChangedTypes} {
		if r != "" {
			p.oneOf("$.drift."+path, "reaction", string(r), string(Evolve), string(Freeze), string(Wait))
		}
	}
}
