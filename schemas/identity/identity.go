// Package identity holds the models by which records are matched: which fields are evidence, how values of a
// field are compared, how much each agreement weighs, by what records are found, and from when on they are one
// party. A model is one YAML file with a version; `shire identity train` writes its parameters.
//
// The method is that of Fellegi and Sunter: each comparison of two records falls into one of several levels, and
// the level's weight is log2(m/u), where m is the probability of the level when both records are about the same
// party and u when they are not.
package identity

import (
	"github.com/shirecounty/shire/schemas/document"
)

// Model is one model document.
type Model struct {
	Name    string `yaml:"model" json:"model" jsonschema:"required"`
	Version int    `yaml:"version" json:"version" jsonschema:"required"`
	About   string `yaml:"about" json:"about" jsonschema:"required,enum=person,enum=organisation"`
	Title   Label  `yaml:"title,omitempty" json:"title,omitzero"`
	// SourceColumn says where each record comes from, so that training finds out whose values to rely on. In the stream it is
	// the record's dataset, whatever stands here; a model without it does not tell sources apart.
	SourceColumn string       `yaml:"source,omitempty" json:"source,omitempty"`
	Fields       []Field      `yaml:"fields" json:"fields" jsonschema:"required"`
	Comparisons  []Comparison `yaml:"comparisons" json:"comparisons" jsonschema:"required"`
	Doubts       []Doubt      `yaml:"doubts,omitempty" json:"doubts,omitempty"`
	Blocking     []Blocking   `yaml:"blocking" json:"blocking" jsonschema:"required"`
	Thresholds   Thresholds   `yaml:"thresholds" json:"thresholds" jsonschema:"required"`
	Parameters   *Parameters  `yaml:"parameters,omitempty" json:"parameters,omitempty"`

	File string `yaml:"-" json:"-"`
	Hash string `yaml:"-" json:"-"` // of the text without blanks at its ends, 16 hexadecimal digits

	doc  *document.Document
	text []byte
}

// Label is a text in both languages.
type Label struct {
	ZH string `yaml:"zh" json:"zh"`
	EN string `yaml:"en" json:"en"`
}

// Field is one piece of evidence.
type Field struct {
	Name   string `yaml:"name" json:"name" jsonschema:"required"`
	Kind   string `yaml:"kind" json:"kind" jsonschema:"required"`   // of evidence: chinese_name, date, text ...
	Column string `yaml:"column,omitempty" json:"column,omitempty"` // where it is read from; the name when left out
	Unique bool   `yaml:"unique,omitempty" json:"unique,omitempty"` // a party has one: two different valid values are two parties
	Title  Label  `yaml:"title,omitempty" json:"title,omitzero"`    // for people
}

// Comparison weighs one aspect of two records. The first level whose condition holds is the one that counts; when
// none does, the comparison disagrees. Where its fields are missing in either record it says nothing.
type Comparison struct {
	Name   string  `yaml:"name" json:"name" jsonschema:"required"`
	Title  Label   `yaml:"title,omitempty" json:"title,omitzero"`
	Levels []Level `yaml:"levels" json:"levels" jsonschema:"required"`
}

// Level is one degree of agreement.
type Level struct {
	Name      string    `yaml:"name" json:"name" jsonschema:"required"`
	When      Condition `yaml:"when" json:"when" jsonschema:"required"`
	Frequency []string  `yaml:"term_frequency,omitempty" json:"term_frequency,omitempty"` // fields whose rare values weigh more
}

// Condition holds for two records, or does not. Exactly one of its forms is used. A condition on a value that is
// missing does not hold.
type Condition struct {
	Is      string   `yaml:"is,omitempty" json:"is,omitempty"`             // a comparator of the field's kind
	Of      string   `yaml:"of,omitempty" json:"of,omitempty"`             // the field
	With    string   `yaml:"with,omitempty" json:"with,omitempty"`         // another field of the same kind: one record's Of against the other's With
	AtLeast *float64 `yaml:"at_least,omitempty" json:"at_least,omitempty"` // similarity
	AtMost  *float64 `yaml:"at_most,omitempty" json:"at_most,omitempty"`   // distance

	Swapped []string    `yaml:"swapped,omitempty" json:"swapped,omitempty"` // two fields that changed places
	Missing string      `yaml:"missing,omitempty" json:"missing,omitempty"` // the field is missing in either record
	All     []Condition `yaml:"all,omitempty" json:"all,omitempty"`
	Any     []Condition `yaml:"any,omitempty" json:"any,omitempty"`
	Not     *Condition  `yaml:"not,omitempty" json:"not,omitempty"`
}

// Doubt keeps a pair from being linked by its weight alone: where its condition holds, a person decides.
type Doubt struct {
	Name  string    `yaml:"name" json:"name" jsonschema:"required"`
	Title Label     `yaml:"title,omitempty" json:"title,omitzero"`
	When  Condition `yaml:"when" json:"when" jsonschema:"required"`
	Drop  bool      `yaml:"drop,omitempty" json:"drop,omitempty"` // no person is asked either
}

// Blocking is one way by which records find each other: those that share all of the keys are compared.
type Blocking struct {
	Keys   []string `yaml:"keys" json:"keys" jsonschema:"required"`     // field, field.key, or field.key(n)
	AtMost int      `yaml:"at_most,omitempty" json:"at_most,omitempty"` // a block with more members is over-full and gives no pairs; 100 when left out
	Damp   bool     `yaml:"damp,omitempty" json:"damp,omitempty"`       // of a single field: a value whose block is over-full is no evidence
}

// Thresholds are probabilities that two records are about the same party.
type Thresholds struct {
	Link    float64 `yaml:"link" json:"link" jsonschema:"required"`     // from here on they are linked
	Cluster float64 `yaml:"cluster,omitempty" json:"cluster,omitempty"` // that two groups of records must reach on the average; link when left out
	Review  float64 `yaml:"review" json:"review" jsonschema:"required"` // from here on a person is asked
}

// Parameters are what training estimated.
type Parameters struct {
	Records     int                    `yaml:"records" json:"records"`         // it was trained on
	Pairs       int                    `yaml:"pairs" json:"pairs"`             // it compared
	Prior       float64                `yaml:"prior" json:"prior"`             // that two records at random are about the same party
	Comparisons map[string][]Estimate  `yaml:"comparisons" json:"comparisons"` // by level, the last for disagreement
	Frequencies map[string]Frequencies `yaml:"frequencies,omitempty" json:"frequencies,omitempty"`

	// Reliability tells, by comparison and source, how often a record of the source says what the first level needs: two
	// records of one party reach that level with the product of their sources' reliabilities for its probability. A source
	// that is not listed is average: of two such sources the product is the level's M.
	Reliability map[string]map[string]float64 `yaml:"reliability,omitempty" json:"reliability,omitempty"`
}

// MaxSources is how many sources a model's reliabilities may name.
const MaxSources = 64

// Estimate is what is known of one level.
type Estimate struct {
	M       float64 `yaml:"m" json:"m"`             // its probability for two records of the same party
	U       float64 `yaml:"u" json:"u"`             // and of two parties
	Support float64 `yaml:"support" json:"support"` // expected number of matching pairs behind m
}

// Frequencies tells how common the values of a field are.
type Frequencies struct {
	Unlisted float64            `yaml:"unlisted" json:"unlisted"` // mean share of a value that is not listed
	Values   map[string]float64 `yaml:"values" json:"values"`     // share of the records that have the field, by normalised value
}

// At makes a problem at a place of the model's file, such as "$.fields[2].kind".
func (m *Model) At(path, message, do string) *document.Problem {
	if m.doc == nil {
		return &document.Problem{File: m.File, Message: message, Do: do}
	}
	return m.doc.At(path, message, do)
}

// Field finds a field by name; -1 when there is none.
func (m *Model) Field(name string) int {
	for i := range m.Fields {
		if m.Fields[i].Name == name {
			return i
		}
	}
	return -1
}

// Source is the column that a field is read from.
func (f *Field) Source() string {
	if f.Column != "" {
		return f.Column
	}
	return f.Name
}

// FieldNames lists the fields in their order.
func (m *Model) FieldNames() []string {
	names := make([]string, len(m.Fields))
	for i := range m.Fields {
		names[i] = m.Fields[i].Name
	}
	return names
}
