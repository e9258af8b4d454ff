package identity

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"

	"github.com/goccy/go-yaml"

	"github.com/shirecounty/shire/schemas/document"
)

//go:embed *.yaml
var shipped embed.FS

// Shipped is the model that comes with Shire for persons or organisations.
func Shipped(about string) (*Model, error) {
	text, err := shipped.ReadFile(about + ".yaml")
	if err != nil {
		return nil, fmt.Errorf("there is no shipped model for %q; shipped are person and organisation", about)
	}
	return Parse("schemas/identity/"+about+".yaml", text)
}

// Load reads a model file. The error is document.Problems.
func Load(file string) (*Model, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, document.Problems{{File: file, Message: "cannot be read: " + errors.Unwrap(err).Error(), Do: "check the path and its permissions"}}
	}
	return Parse(file, text)
}

// Parse reads a model from its text. It proves what can be told from the document alone; whether kinds, comparators and
// keys exist is proven by who knows them, when the model is compiled.
func Parse(file string, text []byte) (*Model, error) {
	m := &Model{}
	doc, err := document.Parse(file, text, m)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(bytes.TrimSpace(text)) // on the bus, it loses the blanks at its ends
	m.File, m.doc, m.text, m.Hash = file, doc, text, hex.EncodeToString(sum[:8])
	var ps document.Problems
	say := func(path, message, do string) { ps = append(ps, m.At(path, message, do)) }
	if m.Name == "" {
		say("$.model", "the model has no name", "write model: person, for instance")
	}
	if m.Version < 1 {
		say("$.version", "the version is not a positive number", "begin with version: 1")
	}
	if m.About != "person" && m.About != "organisation" {
		say("$.about", fmt.Sprintf("a model cannot be about %q", m.About), "write person or organisation")
	}
	if len(m.Fields) == 0 {
		say("$.fields", "there are no fields", "name at least one, with its kind")
	}
	if len(m.Comparisons) == 0 {
		say("$.comparisons", "there are no comparisons", "write at least one, with its levels")
	}
	if len(m.Blocking) == 0 {
		say("$.blocking", "there are no blocking rules", "write at least one, or no record finds another")
	}
	seen := map[string]bool{}
	for i, f := range m.Fields {
		if f.Name == "" || seen[f.Name] {
			say(fmt.Sprintf("$.fields[%d].name", i), fmt.Sprintf("the field's name %q is empty or used twice", f.Name), "give each field a name of its own")
		}
		seen[f.Name] = true
	}
	compared := map[string]bool{}
	for i, c := range m.Comparisons {
		if c.Name == "" || compared[c.Name] {
			say(fmt.Sprintf("$.comparisons[%d].name", i), fmt.Sprintf("the comparison's name %q is empty or used twice", c.Name), "give each comparison a name of its own")
		}
		compared[c.Name] = true
		if len(c.Levels) == 0 || len(c.Levels) > MaxLevels {
			say(fmt.Sprintf("$.comparisons[%d].levels", i), fmt.Sprintf("the comparison has %d levels", len(c.Levels)), fmt.Sprintf("write 1 to %d, the strongest first", MaxLevels))
		}
	}
	for i, b := range m.Blocking {
		if len(b.Keys) == 0 {
			say(fmt.Sprintf("$.blocking[%d].keys", i), "the rule has no keys", "name at least one field")
		}
		if b.AtMost < 0 || b.AtMost == 1 {
			say(fmt.Sprintf("$.blocking[%d].at_most", i), fmt.Sprintf("a block of at most %d gives no pairs", b.AtMost), "write 2 or more, or leave it out")
		}
		if b.AtMost == 0 {
			m.Blocking[i].AtMost = DefaultBlock
		}
	}
	if m.Thresholds.Cluster == 0 {
		m.Thresholds.Cluster = m.Thresholds.Link
	}
	if t := m.Thresholds; !(0 < t.Cluster && t.Cluster < 1 && 0 < t.Review && t.Review <= t.Link && t.Link < 1) {
		say("$.thresholds", fmt.Sprintf("the thresholds are review %v and link %v", t.Review, t.Link), "write probabilities: 0 < review <= link < 1, and cluster between 0 and 1")
	}
	if p := m.Parameters; p != nil {
		m.proveParameters(say)
	}
	if len(ps) > 0 {
		return nil, ps
	}
	return m, nil
}

// MaxLevels is how many levels a comparison may have beside disagreement.
const MaxLevels = 14

// DefaultBlock is how many members a block may have where the rule does not say.
const DefaultBlock = 100

// train is what to do about parameters that are not as training writes them.
const train = "train the model again: shire identity train"

func (m *Model) proveParameters(say func(path, message, do string)) {
	p := m.Parameters
	if !(0 < p.Prior && p.Prior < 1) {
		say("$.parameters.prior", fmt.Sprintf("the prior %v is no probability", p.Prior), train)
	}
	for _, c := range m.Comparisons {
		path := "$.parameters.comparisons." + c.Name
		es, ok := p.Comparisons[c.Name]
		if !ok || len(es) != len(c.Levels)+1 {
			say(path, fmt.Sprintf("the comparison %s has %d levels and disagreement, and parameters for %d", c.Name, len(c.Levels), len(es)), train)
			continue
		}
		for i, e := range es {
			if !(0 < e.M && e.M <= 1 && 0 < e.U && e.U <= 1) {
				say(fmt.Sprintf("%s[%d]", path, i), fmt.Sprintf("m %v and u %v are no probabilities above 0", e.M, e.U), train)
			}
		}
	}
	for name := range p.Comparisons {
		if !m.compares(name) {
			say("$.parameters.comparisons."+name, fmt.Sprintf("there is no comparison %q", name), train)
		}
	}
	for name, f := range p.Frequencies {
		if m.Field(name) < 0 {
			say("$.parameters.frequencies."+name, fmt.Sprintf("there is no field %q", name), document.DidYouMean(name, m.FieldNames()))
		}
		if !(0 < f.Unlisted && f.Unlisted <= 1) {
			say("$.parameters.frequencies."+name, fmt.Sprintf("the share %v of unlisted values is no probability above 0", f.Unlisted), train)
		}
		for _, share := range f.Values {
			if !(0 < share && share <= 1) {
				say("$.parameters.frequencies."+name, "a value's share is no probability above 0", train)
				break
			}
		}
	}
	m.proveReliability(say)
}

func (m *Model) proveReliability(say func(path, message, do string)) {
	named := map[string]bool{}
	for _, name := range slices.Sorted(maps.Keys(m.Parameters.Reliability)) {
		path := "$.parameters.reliability." + name
		if !m.compares(name) {
			say(path, fmt.Sprintf("there is no comparison %q", name), train)
		}
		for _, source := range slices.Sorted(maps.Keys(m.Parameters.Reliability[name])) {
			named[source] = true
			if r := m.Parameters.Reliability[name][source]; !(0 < r && r < 1) {
				say(path, fmt.Sprintf("the reliability %v of the source %q is not between 0 and 1", r, source), train)
			}
		}
	}
	if len(named) > MaxSources {
		say("$.parameters.reliability", fmt.Sprintf("%d sources are named, and a model may name %d", len(named), MaxSources), "leave out those with the fewest records")
	}
	if len(named) > 0 && m.SourceColumn == "" {
		say("$.parameters.reliability", "sources are named, and the model does not say where a record comes from", "write source: with the name of the column")
	}
}

func (m *Model) compares(name string) bool {
	return slices.ContainsFunc(m.Comparisons, func(c Comparison) bool { return c.Name == name })
}

// Text writes the model as a document, with its parameters.
func (m *Model) Text() ([]byte, error) {
	return yaml.MarshalWithOptions(m, yaml.IndentSequence(false), yaml.Flow(false))
}

// Source is the document that the model was read from; the model must have been parsed.
func (m *Model) Source() []byte { return m.text }
