package registry

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/shirecounty/shire/pipeline/gains"
	"github.com/shirecounty/shire/schemas/document"
	"github.com/shirecounty/shire/schemas/metrics"
)

// Definition is an intervention as its file says it. It has no time of registration: that is the register's to give.
type Definition struct {
	gains.Intervention
	File string
}

// file is the form of the file. Whatever the register gives is not in it.
type file struct {
	Name       string            `yaml:"intervention"`
	Title      metrics.Text      `yaml:"title"`
	What       metrics.Text      `yaml:"what"`
	Scope      gains.Where       `yaml:"scope"`
	Since      string            `yaml:"since"`
	Starts     map[string]string `yaml:"starts"`
	Cluster    string            `yaml:"cluster"`
	Claim      gains.Claim       `yaml:"claim"`
	Metric     string            `yaml:"metric"`
	Version    int               `yaml:"metric_version"`
	Cohort     gains.Where       `yaml:"cohort"`
	Exclusions []gains.Exclusion `yaml:"exclusions"`
	Windows    gains.Windows     `yaml:"windows"`
}

// County is what definitions are held against.
type County struct {
	Metrics     metrics.Set
	Departments []string // codes; a scope may name any department when there are none
}

// Load reads every *.yaml of a folder, in the order of their names. The error is document.Problems.
func Load(folder string, county County) ([]Definition, error) {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil, document.Problems{{File: folder, Message: "the folder of interventions cannot be read", Do: "make it, or leave interventions: out of county.yaml"}}
	}
	var all []Definition
	var problems document.Problems
	places := map[string]string{}
	for _, e := range entries {
		if e.IsDir() || filepath.Ext(e.Name()) != ".yaml" {
			continue
		}
		d, doc, err := read(filepath.Join(folder, e.Name()), county)
		var found document.Problems
		if errors.As(err, &found) {
			problems = append(problems, found...)
		} else if err != nil {
			return nil, err
		}
		if doc == nil {
			continue
		}
		if other, twice := places[d.Name]; twice {
			problems = append(problems, doc.At("$.intervention", fmt.Sprintf("the intervention %s stands in %s too", d.Name, filepath.Base(other)), "rename one of them"))
		}
		places[d.Name] = d.File
		all = append(all, d)
	}
	return all, problems.OrNil()
}

// Read reads one file. The error is document.Problems.
func Read(path string, county County) (Definition, error) {
	d, _, err := read(path, county)
	return d, err
}

func read(path string, county County) (Definition, *document.Document, error) {
	var f file
	doc, err := document.Read(path, &f)
	if err != nil {
		return Definition{}, nil, err
	}
	d := Definition{File: path, Intervention: gains.Intervention{Name: f.Name, Title: f.Title, What: f.What, Scope: f.Scope, Since: f.Since, Starts: f.Starts,
		Cluster: f.Cluster, Claim: f.Claim, Metric: f.Metric, MetricVersion: f.Version, Cohort: f.Cohort, Exclusions: f.Exclusions, Windows: f.Windows}}
	return d, doc, d.check(doc, county).OrNil()
}

var nameShape = regexp.MustCompile(`^[a-z][a-z0-9_]{0,62}$`)

// check finds what is wrong with a definition, each with its line.
func (d *Definition) check(doc *document.Document, county County) (problems document.Problems) {
	defer func() { slices.SortStableFunc(problems, func(a, b *document.Problem) int { return a.Line - b.Line }) }()
	complain := func(path, do, format string, values ...any) {
		problems = append(problems, doc.At(path, fmt.Sprintf(format, values...), do))
	}
	if !nameShape.MatchString(d.Name) || filepath.Base(d.File) != d.Name+".yaml" {
		complain("$.intervention", "use lower-case letters, digits and _, and name the file after it", "the intervention is called %q", d.Name)
	}
	for path, text := range map[string]metrics.Text{"$.title": d.Title, "$.what": d.What} {
		if strings.TrimSpace(text.Zh) == "" || strings.TrimSpace(text.En) == "" {
			complain(path, "write "+path[2:]+": {zh: ..., en: ...}", "%s is not said in both languages", path[2:])
		}
	}
	if d.Since == "" {
		complain("$.since", "write since: 2026-03-01, its first day", "since is missing")
	}
	if !slices.Contains(gains.Claims, d.Claim) {
		words := make([]string, len(gains.Claims))
		for i, c := range gains.Claims {
			words[i] = string(c)
		}
		complain("$.claim", document.DidYouMean(string(d.Claim), words), "the claim is %q", d.Claim)
	}
	metric := d.checkMetric(county.Metrics, complain)
	wheres := []where{{"$.scope", d.Scope}, {"$.cohort", d.Cohort}}
	for i, e := range d.Exclusions {
		wheres = append(wheres, where{fmt.Sprintf("$.exclusions[%d].where", i), e.Where})
		if strings.TrimSpace(e.Why) == "" {
			complain(fmt.Sprintf("$.exclusions[%d]", i), "write why: ...", "an exclusion gives no reason")
		}
		for key, month := range map[string]string{"from": e.From, "to": e.To} {
			if _, err := metrics.ParseMonth(month); month != "" && err != nil {
				complain(fmt.Sprintf("$.exclusions[%d].%s", i, key), "write it as 2026-02", "%q is no month", month)
			}
		}
	}
	for _, w := range wheres {
		w.check(metric, county.Departments, complain)
	}
	scope := groupsOf(d.Scope)
	for name, list := range groupsOf(d.Cohort) {
		if len(list) > 0 && len(scope[name]) > 0 && !slices.ContainsFunc(scope[name], func(v string) bool { return slices.Contains(list, v) }) {
			complain("$.cohort."+keys[name], "the cohort holds the cases of the scope and those that they are compared with", "no case of the scope is in the cohort: they have no %s in common", name)
		}
	}
	if d.Cluster == gains.ByDivision && metric != nil && metric.Group(metrics.GroupDivision) == "" {
		complain("$.cluster", "write cluster: department", "%s cannot be told by division", metric.Name)
	}
	if len(problems) > 0 {
		return problems
	}
	if err := d.Check(); err != nil { // what is left: the days, the windows, the clusters
		path := "$"
		switch text := err.Error(); {
		case strings.Contains(text, "since is"):
			path = "$.since"
		case strings.Contains(text, "it starts at"):
			path = "$.starts"
		case strings.Contains(text, "the clusters are"):
			path = "$.cluster"
		case strings.Contains(text, "the windows are"):
			path = "$.windows"
		}
		complain(path, "", "%v", err)
	}
	return problems
}

// checkMetric finds the metric, and whether the claim is about such a one.
func (d *Definition) checkMetric(set metrics.Set, complain func(path, do, format string, values ...any)) *metrics.Definition {
	metric := set[d.Metric]
	switch {
	case metric == nil:
		complain("$.metric", document.DidYouMean(d.Metric, set.Names()), "there is no metric %q", d.Metric)
		return nil
	case metric.Kind != metrics.Survival && metric.Kind != metrics.Ratio:
		complain("$.metric", "name a time or a ratio; shire metrics list tells which is which", "%s is of the kind %s, of which no gain can be told", metric.Name, metric.Kind)
	case !slices.Contains(gains.Claims, d.Claim):
	case d.Claim.OfTime() != (metric.Kind == metrics.Survival):
		complain("$.claim", "claim time_down or speed_up of a time, ratio_down or ratio_up of a ratio", "the claim is %s, and %s is of the kind %s", d.Claim, metric.Name, metric.Kind)
	case d.Claim == gains.RatioUp && metric.Better == "down" || d.Claim == gains.RatioDown && metric.Better == "up":
		complain("$.claim", "claim the other direction, or another metric", "the claim is %s, and %s is better when it goes %s", d.Claim, metric.Name, metric.Better)
	}
	if d.MetricVersion < 0 || d.MetricVersion > metric.Version {
		complain("$.metric_version", fmt.Sprintf("write %d, or leave it out", metric.Version), "%s has no version %d", metric.Name, d.MetricVersion)
	}
	return metric
}

// where is a choice of cases at its place in the file.
type where struct {
	path string
	gains.Where
}

// keys are what the file calls the groups.
var keys = map[string]string{metrics.GroupDepartment: "departments", metrics.GroupDivision: "divisions", metrics.GroupItem: "items",
	metrics.GroupKind: "kinds", metrics.GroupChannel: "channels"}

func groupsOf(w gains.Where) map[string][]string {
	return map[string][]string{metrics.GroupDepartment: w.Departments, metrics.GroupDivision: w.Divisions, metrics.GroupItem: w.Items,
		metrics.GroupKind: w.Kinds, metrics.GroupChannel: w.Channels}
}

func (w where) check(metric *metrics.Definition, departments []string, complain func(path, do, format string, values ...any)) {
	groups := groupsOf(w.Where)
	for _, name := range slices.Sorted(maps.Keys(groups)) {
		list := groups[name]
		if len(list) > 0 && metric != nil && metric.Group(name) == "" {
			complain(w.path+"."+keys[name], "leave it out", "%s cannot be told by %s", metric.Name, name)
		}
		for i, value := range list {
			switch {
			case strings.TrimSpace(value) == "":
				complain(fmt.Sprintf("%s.%s[%d]", w.path, keys[name], i), "write a code, or leave the list out for all", "an empty %s stands among them", name)
			case name == metrics.GroupDepartment && len(departments) > 0 && !slices.Contains(departments, value):
				complain(fmt.Sprintf("%s.departments[%d]", w.path, i), document.DidYouMean(value, departments), "there is no department %q", value)
			}
		}
	}
}
