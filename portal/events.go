package portal

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/shirecounty/shire/schemas/metrics"
)

// eventsNames are the parameters of events, beside the metric's dimensions.
var eventsNames = []string{"from", "to", "known", "part", "skip", "limit"}

func (p *Portal) eventsRoute() route {
	list := []parameter{}
	for _, known := range p.metricParameters() {
		switch known.Name {
		case "by", "compare", "quantile", "format":
		default:
			list = append(list, known)
		}
	}
	list = append(list,
		parameter{Name: "part", In: "query", Enum: metrics.Parts, Description: "Only those that add to the numerator, or only the rest; of a metric of the kind survival only those that have ended, or only the others"},
		parameter{Name: "skip", In: "query", Pattern: `^(0|[1-9][0-9]{0,3})$`, Description: "Leaves out so many from the top"},
		parameter{Name: "limit", In: "query", Pattern: `^[1-9][0-9]{0,2}$`, Description: fmt.Sprintf("At most so many, up to %d; %d when absent. Nobody pages beyond the first %d", metrics.MostEvents, metrics.EventsLimit, metrics.DeepestEvents)})
	return route{
		Path: "/api/v1/metrics/{name}/events", ID: "events", Summary: "The events behind a figure: what is counted, and what each of them adds. None where the figure is suppressed",
		Parameters: list, Result: metrics.Events{}, Problems: []int{400, 404, 422, 503}, handle: p.events,
	}
}

func (p *Portal) events(w http.ResponseWriter, r *http.Request) {
	known := p.named(w, r)
	if known == nil {
		return
	}
	q, err := p.eventsQuery(r.Context(), known, r.URL.Query())
	if bad := (*Problem)(nil); errors.As(err, &bad) {
		bad.write(w)
		return
	} else if err != nil {
		p.unavailable(w, r, "What the county's data covers", err)
		return
	}
	key := strings.Join([]string{"events", q.Part, strconv.Itoa(q.Skip), strconv.Itoa(q.Limit), key(q.Query)}, "\x00")
	answer, err := cached(r.Context(), p.figures, key, func(ctx context.Context) (metrics.Events, error) { return p.o.Figures.Events(ctx, q) })
	if input := (*metrics.InputError)(nil); errors.As(err, &input) && known.Because() != "" {
		problem(http.StatusUnprocessableEntity, codeRefused, known.Name+" cannot be told: "+known.Because()+".").write(w)
		return
	}
	if err != nil {
		p.unavailable(w, r, "The events behind this figure", err)
		return
	}
	answer.Rows, answer.Columns = orEmpty(answer.Rows), orEmpty(answer.Columns)
	reply(w, r, answer)
}

// eventsQuery checks what the caller asked, as query does.
func (p *Portal) eventsQuery(ctx context.Context, d *metrics.Definition, values url.Values) (q metrics.EventsQuery, err error) {
	if _, err := d.Behind(); err != nil {
		return q, badParameter(fmt.Sprintf("%s is derived from several metrics, each with events of its own: %s.", d.Name, strings.Join(d.InputNames(), ", ")))
	}
	number := func(name, value string, least, most int) (int, error) {
		n, err := strconv.Atoi(value)
		if err != nil || n < least || n > most {
			return 0, badParameter(fmt.Sprintf("The parameter %s is a number from %d to %d.", name, least, most))
		}
		return n, nil
	}
	q.Limit = metrics.EventsLimit
	rest := url.Values{}
	for name, list := range values {
		switch {
		case name != "part" && name != "skip" && name != "limit":
			rest[name] = list
			continue
		case len(list) != 1 || list[0] == "":
			return q, badParameter("Every parameter is given once and with a value.")
		case name == "part":
			if q.Part = list[0]; q.Part != metrics.PartCounted && q.Part != metrics.PartRest {
				return q, badParameter("The parameter part may be counted or rest.")
			}
		case name == "skip":
			q.Skip, err = number(name, list[0], 0, metrics.DeepestEvents)
		default:
			q.Limit, err = number(name, list[0], 1, metrics.MostEvents)
		}
		if err != nil {
			return q, err
		}
	}
	for _, name := range []string{"by", "compare", "quantile", "format"} {
		if rest.Has(name) {
			return q, badParameter(fmt.Sprintf("A parameter is not known here; events take %s, %s.", strings.Join(eventsNames, ", "), strings.Join(d.DimensionNames(), ", ")))
		}
	}
	if q.Skip+q.Limit > metrics.DeepestEvents {
		return q, badParameter(fmt.Sprintf("Nobody pages beyond the first %d events; a filter or a shorter period brings others to the top.", metrics.DeepestEvents))
	}
	q.Query, _, err = p.query(ctx, definitionOf(d), rest)
	return q, err
}
