// Package material is the table of rules by which a paper that is handed in again is judged: how long a paper of a kind is valid when it
// does not say so itself, and what makes it another paper than the one that was handed in before (材料有效期与变更规则). The nation's rules
// come with the program; a province and a county override them kind by kind in YAML.
package material

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"

	"github.com/shirecounty/shire/schemas/contract"
	"github.com/shirecounty/shire/schemas/document"
)

// Change is what makes a paper another one than that of before.
type Change string

// The kinds of change.
const (
	Document   Change = "document"    // it bears another number or edition
	Fields     Change = "fields"      // one of the named columns of mart.submissions says something else
	NewerIssue Change = "newer_issue" // its first day of validity is later than that of every one before, whatever its number
)

// changes and columns are what a file may say; columns are those of mart.submissions that tell one paper from another.
var (
	changes = []string{string(Document), string(Fields), string(NewerIssue)}
	columns = []string{"document", "issuer", "valid_from", "valid_until"}
)

// Rule is that of one kind of material.
type Rule struct {
	Material  string   `yaml:"material" json:"material" jsonschema:"required,description=Code of the kind of material (材料编码)\\, as mart.submissions.material_code has it"`
	ValidDays Days     `yaml:"valid_days,omitempty" json:"valid_days,omitempty" jsonschema:"minimum=1,maximum=36500,description=Days for which a paper without an end is valid\\, from its first day or else from the day on which it was handed in\\, both included; without end when absent"`
	Change    Change   `yaml:"change,omitempty" json:"change,omitempty" jsonschema:"enum=document,enum=fields,enum=newer_issue,default=document,description=What makes it another paper: another document number\\, another value in one of fields\\, or a later first day of validity"`
	Fields    []string `yaml:"fields,omitempty" json:"fields,omitempty" jsonschema:"enum=document,enum=issuer,enum=valid_from,enum=valid_until,description=Of change fields: the columns that are compared"`
	Source    string   `yaml:"source" json:"source" jsonschema:"required,description=The rule or practice that this restates"`

	Jurisdiction contract.Text `yaml:"-" json:"-"` // whose rule it is
}

// Days is a number of days of validity; 0 only where nothing is written.
type Days int

// UnmarshalYAML keeps a 0 that somebody wrote from being taken for nothing.
func (d *Days) UnmarshalYAML(node ast.Node) error {
	var n int
	if err := yaml.NodeToValue(node, &n); err != nil || n < 1 || n > mostDays {
		return document.Errorf(node, "write whole days, 1 to %d, or leave valid_days out where a paper does not expire", mostDays)
	}
	*d = Days(n)
	return nil
}

// mostDays is about a hundred years: what is valid for longer does not expire.
const mostDays = 36_500

// Compared lists the columns of mart.submissions in which two papers of this kind have to be alike to be the same one.
func (r Rule) Compared() []string {
	switch r.Change {
	case Fields:
		return r.Fields
	case NewerIssue:
		return nil
	}
	return []string{"document"}
}

// Rules are those of a county, by kind of material. A kind without a rule is valid without end, and changed by another document.
type Rules map[string]Rule

// All lists the rules by their materials.
func (r Rules) All() []Rule {
	return slices.Collect(func(yield func(Rule) bool) {
		for _, name := range slices.Sorted(maps.Keys(r)) {
			if !yield(r[name]) {
				return
			}
		}
	})
}

// Hash tells whether two tables judge alike: figures that were prepared by another are not to be read.
func (r Rules) Hash() string {
	h := sha256.New()
	for _, rule := range r.All() {
		fmt.Fprintf(h, "%q %d %q %q\n", rule.Material, rule.ValidDays, rule.Change, rule.Compared())
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}

// file is the table of one jurisdiction.
type file struct {
	Jurisdiction contract.Text `yaml:"jurisdiction" json:"jurisdiction" jsonschema:"required,description=Whose rules these are"`
	Materials    []Rule        `yaml:"materials" json:"materials" jsonschema:"required"`
}

// JSONSchema is the JSON Schema of a table, for editors.
func JSONSchema() ([]byte, error) { return document.JSONSchema("Shire material rules", &file{}) }
