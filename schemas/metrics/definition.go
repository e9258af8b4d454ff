// Package metrics holds the definitions of the county's figures: YAML files that people read and edit, each compiled to a
// documented view metrics.<name> and to the query that a dashboard asks. A figure names the version of its definition (I9).
package metrics

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"github.com/shirecounty/shire/schemas/document"
)

//go:embed *.yaml
var embedded embed.FS

// The kinds of metrics.
const (
	Simple   = "simple"   // a number of something: it adds up over groups
	Ratio    = "ratio"    // numerator / denominator, both of which add up over groups; an average is the ratio of a sum to a count
	Derived  = "derived"  // a formula over the sums of simple metrics and ratios
	Survival = "survival" // a duration by Kaplan-Meier; what has not ended is censored
)

// Definition is one metric. Its expressions are SQL over the columns of From.
type Definition struct {
	Name        string `yaml:"metric" json:"name"`
	Version     int    `yaml:"version" json:"version"` // raised with every change that changes a figure
	Label       Text   `yaml:"label" json:"label"`
	Description Text   `yaml:"description" json:"description"`
	LeavesOut   Text   `yaml:"leaves_out" json:"leaves_out"` // what is not counted, in words
	Theme       string `yaml:"theme" json:"theme,omitempty"` // under which readers find it: one of the Themes; none: the last
	Kind        string `yaml:"kind" json:"kind"`
	From        string `yaml:"from" json:"from,omitempty"`   // the view in mart that it is counted over; none of a derived metric
	Where       string `yaml:"where" json:"where,omitempty"` // the rows that count; all when empty
	Time        string `yaml:"time" json:"time,omitempty"`   // the time whose month is the cohort

	// Aggregate expressions: of a ratio Numerator and Denominator, of a simple metric Numerator and Units.
	Numerator   string  `yaml:"numerator" json:"numerator,omitempty"`
	Denominator string  `yaml:"denominator" json:"denominator,omitempty"`
	Units       string  `yaml:"units" json:"units,omitempty"`               // how many cases, papers, people ... stand behind it; a ratio's denominator when empty
	Open        string  `yaml:"open" json:"open,omitempty"`                 // how many more will count once they have ended
	MaximumOpen float64 `yaml:"maximum_open" json:"maximum_open,omitempty"` // with a larger share of open ones the figure is not estimable: what ends first is not typical

	Formula string `yaml:"formula" json:"formula,omitempty"` // of a derived metric: see [parseFormula]

	Duration      string `yaml:"duration" json:"duration,omitempty"`             // of a survival metric: a number of Unit
	Event         string `yaml:"event" json:"event,omitempty"`                   // whether it has ended; else it is censored
	MinimumEvents int    `yaml:"minimum_events" json:"minimum_events,omitempty"` // with fewer ends the curve is not estimable

	// Settles is how many days after a month's end nearly all that a ratio counts of it has happened. Younger months tell of the quick
	// ones alone, and no gain is told from them. 0 for what is told at once.
	Settles int `yaml:"settles" json:"settles,omitempty"`

	Refuse      *Refuse           `yaml:"refuse" json:"refuse,omitempty"`
	Dimensions  map[string]string `yaml:"dimensions" json:"dimensions"` // name -> column of From
	Beside      string            `yaml:"beside" json:"beside,omitempty"`
	Coverage    string            `yaml:"coverage" json:"coverage,omitempty"` // the subject of mart.coverage by which it is judged how much of the truth it is counted over
	Better      string            `yaml:"better" json:"better"`               // up or down
	Unit        string            `yaml:"unit" json:"unit"`                   // of the value: see [Units]
	Grade       string            `yaml:"grade" json:"grade"`                 // of the figure itself: general, important or core (GB/T 43697)
	MinimumCell int               `yaml:"minimum_cell" json:"minimum_cell"`   // groups of fewer units are suppressed

	formula *formula      // of a derived metric
	inputs  []*Definition // whose sums the formula is over, in the order of their names
}

// Themes are what metrics are about, in the order in which readers find them.
var Themes = []string{"time", "promise", "visits", "papers", "satisfaction", "incidents", "councils", "training", "data"}

// Units are the units of metrics. Times are in seconds or working days; cases, papers, visits and points are plain numbers of them.
var Units = []string{"share", "seconds", "working_days", "cases", "papers", "visits", "points"}

// Refuse makes a metric fail, with a reason, rather than leave out rows for which it cannot be told.
type Refuse struct {
	When    string `yaml:"when" json:"when"`
	Because string `yaml:"because" json:"because"`
}

// Because says when the metric is refused, for a derived metric when one of those that it is derived from is; "" when it never is.
func (d *Definition) Because() string {
	var reasons []string
	for _, of := range append([]*Definition{d}, d.inputs...) {
		if of.Refuse != nil && !slices.Contains(reasons, of.Refuse.Because) {
			reasons = append(reasons, of.Refuse.Because)
		}
	}
	return strings.Join(reasons, "; or: ")
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
		problems = append(problems, d.resolve(set, documents[d.Name])...)
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
