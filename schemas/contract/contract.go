// Package contract defines the dataset contract: what a department's dataset is called, who owns it, what its
// columns mean, what must hold for a row to be used, and where each value goes in the county's model.
// Departments are described by contracts alone; no department is named in code.
package contract

import (
	"crypto/sha256"
	"encoding/hex"

	"github.com/shirecounty/shire/schemas/semantic"
)

// Text is a text in the two languages of the platform.
type Text struct {
	Zh string `yaml:"zh" json:"zh" jsonschema:"description=Chinese"`
	En string `yaml:"en" json:"en" jsonschema:"description=English"`
}

// Dataset is one contract.
type Dataset struct {
	Name        string   `yaml:"dataset" json:"dataset" jsonschema:"required,description=Name of the dataset: lower-case letters and digits and _"`
	Department  string   `yaml:"department" json:"department" jsonschema:"required,description=Code of the department whose dataset it is (数源部门)"`
	Owner       Owner    `yaml:"owner" json:"owner" jsonschema:"required"`
	Title       Text     `yaml:"title" json:"title" jsonschema:"required"`
	Version     int      `yaml:"version" json:"version" jsonschema:"required,minimum=1,description=Raised with every change of the contract"`
	Key         []string `yaml:"key" json:"key" jsonschema:"required,description=Fields that identify a record in the source"`
	Delivery    Delivery `yaml:"delivery,omitempty" json:"delivery,omitempty" jsonschema:"enum=changes,enum=snapshot,description=changes: what arrives adds to what was there. snapshot: what arrives is the whole dataset and what is missing was deleted"`
	UpdateCycle string   `yaml:"update_cycle,omitempty" json:"update_cycle,omitempty" jsonschema:"enum=realtime,enum=daily,enum=weekly,enum=monthly,enum=yearly,enum=irregular"`
	Sharing     Sharing  `yaml:"sharing" json:"sharing" jsonschema:"required"`
	Zone        string   `yaml:"time_zone,omitempty" json:"time_zone,omitempty" jsonschema:"description=Time zone of times without an offset; the county's when absent"`
	EndsFilled  bool     `yaml:"ends_filled,omitempty" json:"ends_filled,omitempty" jsonschema:"description=Where the source knows no end of a step it writes the start: an end that is the start is taken as not known"`
	Drift       Drift    `yaml:"drift,omitempty" json:"drift,omitzero" jsonschema:"description=What is to be done when the source's columns change"`
	Fields      []Field  `yaml:"fields" json:"fields" jsonschema:"required"`
	Checks      []Check  `yaml:"checks,omitempty" json:"checks,omitempty"`
	Emits       []Emit   `yaml:"emits" json:"emits" jsonschema:"required,description=What each row becomes in the county's model"`

	File string `yaml:"-" json:"-"` // where it was read from
	Hash string `yaml:"-" json:"-"` // identifies this text of the contract; part of every load's token (I3)
	Text []byte `yaml:"-" json:"-"`

	index map[string]int
}

// Owner answers for the dataset and gets its quarantined rows.
type Owner struct {
	Zh      string `yaml:"zh" json:"zh"`
	En      string `yaml:"en" json:"en"`
	Contact string `yaml:"contact,omitempty" json:"contact,omitempty"`
}

// Delivery says whether what arrives is a part of the dataset or all of it.
type Delivery string

const (
	Changes  Delivery = "changes"
	Snapshot Delivery = "snapshot"
)

// Sharing is the catalogue's sharing type (共享类型) with its legal ground where sharing is refused.
type Sharing struct {
	Type   string `yaml:"type" json:"type" jsonschema:"required,enum=unconditional,enum=conditional,enum=none"`
	Ground string `yaml:"ground,omitempty" json:"ground,omitempty" jsonschema:"description=Legal ground; required with none"`
}

// Sensitivity of a field. What is personal may only go to a restricted table or be pseudonymised (I7).
const (
	Open      = "open"
	Internal  = "internal"
	Personal  = "personal"
	Sensitive = "sensitive"
)

// Field is one column of the source.
type Field struct {
	Name        string          `yaml:"name" json:"name" jsonschema:"required"`
	Headers     []string        `yaml:"headers,omitempty" json:"headers,omitempty" jsonschema:"description=What the source calls it; the field's name when absent"`
	Type        string          `yaml:"type" json:"type" jsonschema:"required"`
	With        semantic.Params `yaml:"with,omitempty" json:"with,omitempty" jsonschema:"description=Parameters of the type"`
	Required    bool            `yaml:"required,omitempty" json:"required,omitempty" jsonschema:"description=A row without it is quarantined"`
	Lenient     bool            `yaml:"lenient,omitempty" json:"lenient,omitempty" jsonschema:"description=A value that is not valid is noted and taken as absent; the row is still used"`
	Sensitivity string          `yaml:"sensitivity" json:"sensitivity" jsonschema:"required,enum=open,enum=internal,enum=personal,enum=sensitive"`
	Sharing     string          `yaml:"sharing,omitempty" json:"sharing,omitempty" jsonschema:"enum=unconditional,enum=conditional,enum=none,description=Differs from the dataset's sharing type"`
	Title       Text            `yaml:"title,omitempty" json:"title,omitempty"`

	Semantic semantic.Type `yaml:"-" json:"-"`
}

// Check must hold for a row to be used. Exactly one of the conditions is given.
type Check struct {
	Name            string   `yaml:"name" json:"name" jsonschema:"required"`
	NotBefore       []string `yaml:"not_before,omitempty" json:"not_before,omitempty" jsonschema:"minItems=2,maxItems=2,description=The first date or time is not before the second"`
	WorkingCalendar []string `yaml:"working_calendar,omitempty" json:"working_calendar,omitempty" jsonschema:"description=These dates stand in years whose working calendar is published: legal time needs it"`
	NotAfterSource  []string `yaml:"not_in_future,omitempty" json:"not_in_future,omitempty" jsonschema:"description=These dates are not later than the time the source wrote the row"`
	AnyOf           []string `yaml:"any_of,omitempty" json:"any_of,omitempty" jsonschema:"description=At least one of these fields is present"`
	Between         *Between `yaml:"between,omitempty" json:"between,omitempty"`
}

// Between bounds a number, both ends included.
type Between struct {
	Field string `yaml:"field" json:"field" jsonschema:"required"`
	Min   int64  `yaml:"min" json:"min"`
	Max   int64  `yaml:"max" json:"max"`
}

// Emit is one canonical row that a source row becomes.
type Emit struct {
	Table        string           `yaml:"table" json:"table" jsonschema:"required"`
	Role         string           `yaml:"role,omitempty" json:"role,omitempty" jsonschema:"description=Names this party of the row\\, so that other emits can refer to it; needed where a row emits several rows of one table"`
	Key          []string         `yaml:"key,omitempty" json:"key,omitempty" jsonschema:"description=Fields that identify the canonical record when it is not one per source record"`
	When         *When            `yaml:"when,omitempty" json:"when,omitempty"`
	Person       string           `yaml:"person,omitempty" json:"person,omitempty" jsonschema:"description=Role of the person record of this row that it belongs to"`
	Organisation string           `yaml:"organisation,omitempty" json:"organisation,omitempty" jsonschema:"description=Role of the organisation record of this row that it belongs to"`
	Columns      map[string]Value `yaml:"columns" json:"columns" jsonschema:"required"`
}

// When limits an emit to rows whose field has one of the values, or is present.
type When struct {
	Field   string   `yaml:"field" json:"field" jsonschema:"required"`
	In      []string `yaml:"in,omitempty" json:"in,omitempty"`
	Present bool     `yaml:"present,omitempty" json:"present,omitempty"`
}

// Value fills a canonical column: a field's name, several fields joined, or a constant.
type Value struct {
	Field  string   // columns: {name: applicant_name}
	Fields []string // columns: {document: [number, edition]}   pseudonymous columns only
	Const  *string  // columns: {kind: {value: supplement}}
}

// Field finds a field by its name.
func (d *Dataset) Field(name string) (int, bool) {
	i, ok := d.index[name]
	return i, ok
}

// Resolve finds the source column of each field: by the field's headers, else by its name; -1 when the source
// has none. Columns that no field claims are returned by name.
func (d *Dataset) Resolve(columns []string) (byField []int, unclaimed []string) {
	at := make(map[string]int, len(columns))
	for i, c := range columns {
		if _, twice := at[c]; !twice {
			at[c] = i
		}
	}
	claimed := make([]bool, len(columns))
	byField = make([]int, len(d.Fields))
	for i, f := range d.Fields {
		byField[i] = -1
		for _, h := range f.SourceNames() {
			if j, ok := at[h]; ok {
				byField[i] = j
				claimed[j] = true
				break
			}
		}
	}
	for i, c := range columns {
		if !claimed[i] {
			unclaimed = append(unclaimed, c)
		}
	}
	return byField, unclaimed
}

// SourceNames are the names a source may give the field, in order of preference.
func (f *Field) SourceNames() []string {
	if len(f.Headers) == 0 {
		return []string{f.Name}
	}
	return f.Headers
}

// IsPersonal tells whether the field's value may not be shown to an analyst or an operator (I7).
func (f *Field) IsPersonal() bool { return f.Sensitivity == Personal || f.Sensitivity == Sensitive }

func hashOf(text []byte) string {
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:8])
}
