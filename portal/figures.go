package portal

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"sort"
	"strconv"
	"strings"

	"github.com/agnivade/levenshtein"

	"github.com/shirecounty/shire/schemas/metrics"
)

func (p *Portal) metricParameters() []parameter {
	var dimensions []string
	for _, d := range p.o.Definitions.All() {
		for _, name := range d.DimensionNames() {
			if !slices.Contains(dimensions, name) && name != "month" {
				dimensions = append(dimensions, name)
			}
		}
	}
	sort.Strings(dimensions)
	list := []parameter{
		{Name: "name", In: "path", Enum: p.names, Description: "Name of the metric"},
		{Name: "by", In: "query", Enum: append([]string{"month"}, dimensions...), Description: "One row for each value of this; one row for the whole when absent"},
		{Name: "from", In: "query", Pattern: monthPattern, Description: "First month; two months before the last one when absent"},
		{Name: "to", In: "query", Pattern: monthPattern, Description: "Last month; the last complete month of the data when absent"},
		{Name: "compare", In: "query", Enum: metrics.Comparisons, Description: "The figures of an earlier period beside, with the difference, which says nothing of chance: as many months right before, or the same months of the year before. With known: the figures of now beside what was known then, and what has changed since"},
		{Name: "known", In: "query", Pattern: knownPattern, Description: "What was known at the end of this day, or at this time; what is known now when absent"},
		{Name: "quantile", In: "query", Pattern: quantilePattern, Description: "Of a metric of the kind survival: which quantile value is; the median when absent"},
		{Name: "format", In: "query", Enum: []string{"json", "csv"}, Description: "Goes before the Accept header"},
	}
	for _, name := range dimensions {
		list = append(list, parameter{Name: name, In: "query", Pattern: codePattern, Description: "Only this value of the dimension " + name})
	}
	return list
}

// named is the metric of the path; nil where there is none, which has been answered.
func (p *Portal) named(w http.ResponseWriter, r *http.Request) *metrics.Definition {
	name := r.PathValue("name")
	known, ok := p.o.Definitions[name]
	if !ok {
		answer := problem(http.StatusNotFound, codeUnknownMetric, "There is no such metric. /api/v1/metrics lists them.")
		if answer.Names = nearest(name, p.names); len(answer.Names) > 0 {
			answer.Detail = fmt.Sprintf("There is no such metric; did you mean %s? /api/v1/metrics lists them all.", strings.Join(answer.Names, ", "))
		}
		answer.write(w)
		return nil
	}
	return known
}

func (p *Portal) metric(w http.ResponseWriter, r *http.Request) {
	known := p.named(w, r)
	if known == nil {
		return
	}
	d := definitionOf(known)
	q, format, err := p.query(r.Context(), d, r.URL.Query())
	if bad := (*Problem)(nil); errors.As(err, &bad) {
		bad.write(w)
		return
	} else if err != nil {
		p.unavailable(w, r, "What the county's data covers", err)
		return
	}
	result, err := cached(r.Context(), p.figures, key(q), func(ctx context.Context) (metrics.Result, error) {
		return p.o.Figures.Metric(ctx, q)
	})
	if input := (*metrics.InputError)(nil); errors.As(err, &input) && known.Because() != "" {
		// The definition's words, not the error's: they are known to hold nothing that the caller wrote (I7).
		problem(http.StatusUnprocessableEntity, codeRefused, d.Name+" cannot be told: "+known.Because()+".").write(w)
		return
	}
	if err != nil {
		p.unavailable(w, r, "This figure", err)
		return
	}
	result.Rows = orEmpty(result.Rows)
	if format != "csv" && (format != "" || !prefersCSV(r.Header.Get("Accept"))) {
		reply(w, r, result)
		return
	}
	labels, err := p.labelsOf(r.Context())
	if err != nil {
		p.unavailable(w, r, "The names of departments and items", err)
		return
	}
	fileName := strings.Trim(result.Metric+"_"+result.By, "_") + "_" + result.From + "_" + result.To + ".csv"
	w.Header().Set("Content-Disposition", `attachment; filename="`+fileName+`"`)
	send(w, r, "text/csv; charset=utf-8", resultCSV(known, result, labels))
}

// query checks what the caller asked. The error is a *Problem where the caller is to blame. No message repeats a value
// that the caller wrote: it may be a number or a name that does not belong there (I7).
func (p *Portal) query(ctx context.Context, d Definition, values url.Values) (q metrics.Query, format string, err error) {
	q = metrics.Query{Metric: d.Name, Filters: map[string]string{}}
	for name, list := range values {
		if len(list) != 1 || list[0] == "" {
			return q, "", badParameter("Every parameter is given once and with a value.")
		}
		value := list[0]
		switch {
		case name == "from" || name == "to":
			m, err := monthOf(name, value)
			if err != nil {
				return q, "", err
			}
			if name == "from" {
				q.From = m
			} else {
				q.To = m
			}
		case name == "by":
			if value != "month" && !slices.Contains(d.Dimensions, value) {
				answer := badParameter(fmt.Sprintf("The metric %s cannot be grouped so; by may be month, %s.", d.Name, strings.Join(d.Dimensions, ", ")))
				answer.Names = nearest(value, append([]string{"month"}, d.Dimensions...))
				return q, "", answer
			}
			q.By = value
		case name == "compare":
			if !slices.Contains(metrics.Comparisons, value) {
				return q, "", badParameter("The parameter compare may be previous, year or known.")
			}
			q.Compare = value
		case name == "known":
			if q.Known, err = metrics.ParseKnown(value, p.zone); err != nil {
				return q, "", badParameter(badKnown)
			}
		case name == "quantile":
			share, err := strconv.ParseFloat(value, 64)
			if err != nil || !quantile.MatchString(value) || share <= 0 || d.Kind != metrics.Survival {
				return q, "", badParameter("The parameter quantile is a share such as 0.75, above 0 and below 1, of a metric of the kind survival.")
			}
			q.Quantile = share
		case name == "format":
			if value != "json" && value != "csv" {
				return q, "", badParameter("The parameter format may be json or csv.")
			}
			format = value
		case slices.Contains(d.Dimensions, name) && name != "month":
			if err := p.checkFilter(ctx, name, value); err != nil {
				return q, "", err
			}
			q.Filters[name] = value
		default:
			answer := badParameter(fmt.Sprintf("A parameter is not known here; the metric %s takes by, from, to, compare, known, quantile, format, %s.", d.Name, strings.Join(d.Dimensions, ", ")))
			answer.Names = nearest(name, append([]string{"by", "from", "to", "compare", "known", "quantile", "format"}, d.Dimensions...))
			return q, "", answer
		}
	}
	if q.Compare == metrics.CompareKnown && q.Known.IsZero() {
		return q, "", badParameter("With compare=known the parameter known has to say of when, such as 2026-11-01.")
	}
	if err := p.completePeriod(ctx, &q); err != nil {
		return q, "", err
	}
	return q, format, nil
}

// completePeriod fills in the months that were not given. The error is a *Problem where the caller is to blame.
func (p *Portal) completePeriod(ctx context.Context, q *metrics.Query) error {
	complete, err := q.Complete(func() (metrics.Extent, error) { return p.extent(ctx) })
	if input := (*metrics.InputError)(nil); errors.As(err, &input) {
		return badParameter(input.Error() + ".") // its words hold nothing of the caller's (I7)
	}
	*q = complete
	return err
}

func monthOf(name, value string) (metrics.Month, error) {
	m, err := metrics.ParseMonth(value)
	if err != nil || m.Year < 1900 || m.Year > 2200 {
		return m, badParameter(fmt.Sprintf("The parameter %s is no month; write it as 2026-07.", name))
	}
	return m, nil
}

var (
	code     = regexp.MustCompile(codePattern)
	quantile = regexp.MustCompile(quantilePattern)
)

// checkFilter keeps what is no code of the county's out of queries, caches and logs (I7).
func (p *Portal) checkFilter(ctx context.Context, dimension, value string) error {
	known := func([]metrics.Label) bool { return code.MatchString(value) }
	var list []metrics.Label
	if dimension == "department" || dimension == "item" {
		labels, err := p.labelsOf(ctx)
		if err != nil {
			return err
		}
		if list = labels.Items; dimension == "department" {
			list = labels.Departments
		}
		known = func(list []metrics.Label) bool {
			return slices.ContainsFunc(list, func(l metrics.Label) bool { return l.Key == value })
		}
	}
	if !known(list) {
		return badParameter(fmt.Sprintf("The county's data has no such %s; /api/v1/labels lists the codes.", dimension))
	}
	return nil
}

// key of a query in the cache: the same for the same question.
func key(q metrics.Query) string {
	parts := []string{"metric", q.Metric, q.By, q.From.String(), q.To.String(), q.Compare, q.Known.String(), strconv.FormatFloat(q.Quantile, 'g', -1, 64)}
	fixed := len(parts)
	for name := range q.Filters {
		parts = append(parts, name+"="+q.Filters[name])
	}
	sort.Strings(parts[fixed:])
	return strings.Join(parts, "\x00")
}

// nearest are up to three of the names, closest first, that a misspelt one may stand for.
func nearest(name string, names []string) []string {
	if len(name) > 64 {
		return nil
	}
	distance := func(n string) int { return levenshtein.ComputeDistance(strings.ToLower(name), n) }
	var near []string
	for _, n := range names {
		if name != "" && (distance(n) <= len(n)/2 || strings.HasPrefix(n, name)) {
			near = append(near, n)
		}
	}
	sort.SliceStable(near, func(i, j int) bool { return distance(near[i]) < distance(near[j]) })
	return near[:min(len(near), 3)]
}

const badKnown = "The parameter known is a day such as 2026-11-01, which means its end, or a time such as 2026-11-01T08:00:00+08:00."
