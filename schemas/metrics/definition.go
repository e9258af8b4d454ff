// Package metrics holds the definitions of the county's figures: YAML files that people read and edit, each compiled to a
// documented view metrics.<name> and to the query that a dashboard asks. A figure names the version of its definition (I9).
package metrics

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/shirecounty/shire/schemas/document"
)

//go:embed *.yaml
var embedded embed.FS

// The kinds of metrics.
const (
	Ratio    = "ratio"    // numerator / denominator, both counts that add up over groups
	Survival = "survival" // a duration by Kaplan-Meier; what has not ended is censored
)

// Definition is one metric. Its expressions are SQL over the columns of From.
type Definition struct {
	Name        string `yaml:"metric" json:"name"`
	Version     int    `yaml:"version" json:"version"` // raised with every change that changes a figure
	Label       Text   `yaml:"label" json:"label"`
	Description Text   `yaml:"description" json:"description"`
	Kind        string `yaml:"kind" json:"kind"`
	From        string `yaml:"from" json:"from"`             // the view in mart that it is counted over
	Where       string `yaml:"where" json:"where,omitempty"` // the rows that count; all when empty
	Time        string `yaml:"time" json:"time"`             // the time whose month is the cohort

	Numerator   string `yaml:"numerator" json:"numerator,omitempty"` // of a ratio: aggregate expressions
	Denominator string `yaml:"denominator" json:"denominator,omitempty"`

	Duration      string `yaml:"duration" json:"duration,omitempty"`             // of a survival metric: a number of Unit
	Event         string `yaml:"event" json:"event,omitempty"`                   // whether it has ended; else it is censored
	MinimumEvents int    `yaml:"minimum_events" json:"minimum_events,omitempty"` // with fewer ends the curve is not estimable

	Refuse      *Refuse           `yaml:"refuse" json:"refuse,omitempty"`
	Dimensions  map[string]string `yaml:"dimensions" json:"dimensions"` // name -> column of From
	Beside      string            `yaml:"beside" json:"beside,omitempty"`
	Better      string            `yaml:"better" json:"better"`             // up or down
	Unit        string            `yaml:"unit" json:"unit"`                 // share (of 1), seconds or working_days
	Grade       string            `yaml:"grade" json:"grade"`               // of the figure itself: general, important or core (GB/T 43697)
	MinimumCell int               `yaml:"minimum_cell" json:"minimum_cell"` // groups of fewer units are suppressed
}

// Refuse makes a metric fail, with a reason, rather than leave out rows for which it cannot be told.
type Refuse struct {
	When    string `yaml:"when" json:"when"`
	Because string `yaml:"because" json:"because"`
}

// DimensionNames lists the metric's dimensions in order.
func (d *Definition) DimensionNames() []string { return slices.Sorted(maps.Keys(d.Dimensions)) }

// Set is the definitions that belong together, by name.
type Set map[string]*Definition

// Load reads the definitions that come with the program.
func Load() (Set, error) { return LoadFS(embedded) }

// LoadFS reads every *.yaml at the top of files. The error is document.Problems.
func LoadFS(files fs.FS) (Set, error) {
	names, err := fs.Glob(files, "*.yaml")
	if err != nil {
		return nil, fmt.Errorf("list the metric definitions: %w", err)
	}
	set := Set{}
	var problems document.Problems
	documents := map[string]*document.Document{}
	for _, name := range names {
		data, err := fs.ReadFile(files, name)
		if err != nil {
			return nil, fmt.Errorf("read the metric definition %s: %w", name, err)
		}
		d := &Definition{}
		doc, err := document.Parse(name, data, d)
		var found document.Problems
		if errors.As(err, &found) {
			problems = append(problems, found...)
			continue
		}
		if err != nil {
			return nil, err
		}
		problems = append(problems, d.check(doc)...)
		documents[d.Name] = doc
		set[d.Name] = d
	}
	for _, d := range set.All() {
		if d.Beside != "" && documents[d.Beside] == nil {
			problems = append(problems, documents[d.Name].At("$.beside", fmt.Sprintf("there is no metric %q", d.Beside),
				document.DidYouMean(d.Beside, set.Names())))
		}
	}
	if err := problems.OrNil(); err != nil {
		return nil, err
	}
	return set, nil
}

// Names lists the metrics in order.
func (s Set) Names() []string { return slices.Sorted(maps.Keys(s)) }

// All lists the definitions in the order of Names.
func (s Set) All() []*Definition {
	var all []*Definition
	for _, name := range s.Names() {
		all = append(all, s[name])
	}
	return all
}

// Get finds a metric. The error is an [InputError] that names the nearest.
func (s Set) Get(name string) (*Definition, error) {
	if d, ok := s[name]; ok {
		return d, nil
	}
	return nil, &InputError{
		Unknown: true,
		Message: fmt.Sprintf("there is no metric %q", name),
		Do:      document.DidYouMean(name, s.Names()),
	}
}

// InputError says what is wrong with a query, and what to write instead.
type InputError struct {
	Unknown bool // it is the metric that does not exist
	Message string
	Do      string
}

func (e *InputError) Error() string {
	if e.Do == "" {
		return e.Message
	}
	return e.Message + "; " + e.Do
}

var (
	validName = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)
	validView = regexp.MustCompile(`^mart\.[a-z][a-z0-9_]*$`)
	// The columns of every view: a dimension cannot have their names.
	reserved = []string{"month", "by", "key", "numerator", "denominator", "value", "cases", "closed", "median", "p90", "closed_only_median"}
)

func (d *Definition) check(doc *document.Document) (problems document.Problems) {
	complain := func(path, message, do string) { problems = append(problems, doc.At(path, message, do)) }
	need := func(key, value string) {
		if strings.TrimSpace(value) == "" {
			complain("$."+key, key+" is missing", "write "+key+": ...")
		}
	}
	oneOf := func(key, value string, valid ...string) {
		if !slices.Contains(valid, value) {
			complain("$."+key, fmt.Sprintf("%s is %q", key, value), document.DidYouMean(value, valid))
		}
	}
	if !validName.MatchString(d.Name) || doc.File != d.Name+".yaml" {
		complain("$.metric", fmt.Sprintf("the metric is called %q", d.Name),
			"use lower-case letters, digits and _, and name the file after it")
	}
	if d.Version < 1 {
		complain("$.version", "the version is missing", "write version: 1, and raise it with every change")
	}
	need("label.zh", d.Label.Zh)
	need("label.en", d.Label.En)
	need("description.zh", d.Description.Zh)
	need("description.en", d.Description.En)
	need("time", d.Time)
	if !validView.MatchString(d.From) {
		complain("$.from", fmt.Sprintf("from is %q", d.From), "name a view in mart, such as mart.cases")
	}
	oneOf("kind", d.Kind, Ratio, Survival)
	switch d.Kind {
	case Ratio:
		need("numerator", d.Numerator)
		need("denominator", d.Denominator)
		oneOf("unit", d.Unit, "share")
	case Survival:
		need("duration", d.Duration)
		need("event", d.Event)
		oneOf("unit", d.Unit, "seconds", "working_days")
		if d.MinimumEvents < 1 {
			complain("$.minimum_events", "minimum_events is missing", "write minimum_events: 5")
		}
	}
	if d.Refuse != nil {
		need("refuse.when", d.Refuse.When)
		need("refuse.because", d.Refuse.Because)
	}
	if len(d.Dimensions) == 0 {
		complain("$.dimensions", "there are no dimensions", "write for example dimensions: {department: department}")
	}
	for _, name := range d.DimensionNames() {
		if !validName.MatchString(name) || !validName.MatchString(d.Dimensions[name]) || slices.Contains(reserved, name) {
			complain("$.dimensions."+name, fmt.Sprintf("the dimension %q cannot be the column %q", name, d.Dimensions[name]),
				"use lower-case letters, digits and _, and none of "+strings.Join(reserved, ", "))
		}
	}
	oneOf("better", d.Better, "up", "down")
	oneOf("grade", d.Grade, "general", "important", "core")
	if d.MinimumCell < 1 {
		complain("$.minimum_cell", "minimum_cell is missing", "write minimum_cell: 5; 1 suppresses nothing")
	}
	return problems
}
