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

// processNames are the parameters of a process.
var processNames = []string{"item", "department", "channel", "from", "to", "known", "limit"}

func (p *Portal) processRoute() route {
	return route{
		Path: "/api/v1/process", ID: "process", Summary: "How cases went: variants, what followed what, what was done again, work and waiting",
		Parameters: []parameter{
			{Name: "item", In: "query", Pattern: codePattern, Description: "Only cases of this service item"},
			{Name: "department", In: "query", Pattern: codePattern, Description: "Only cases of this department"},
			{Name: "channel", In: "query", Pattern: codePattern, Description: "Only cases of this channel"},
			{Name: "from", In: "query", Pattern: monthPattern, Description: "First month of application; two months before the last one when absent"},
			{Name: "to", In: "query", Pattern: monthPattern, Description: "Last month; the last complete month of the data when absent"},
			{Name: "known", In: "query", Pattern: knownPattern, Description: "What was known at the end of this day, or at this time, and what has changed since; what is known now when absent"},
			{Name: "limit", In: "query", Pattern: `^[1-9][0-9]{0,3}$`, Description: fmt.Sprintf("At most so many variants and transitions, up to %d; %d when absent", metrics.MostProcess, metrics.ProcessLimit)},
		},
		Result: metrics.Process{}, Problems: []int{400, 503}, handle: p.process,
	}
}

func (p *Portal) process(w http.ResponseWriter, r *http.Request) {
	q, err := p.processQuery(r.Context(), r.URL.Query())
	if bad := (*Problem)(nil); errors.As(err, &bad) {
		bad.write(w)
		return
	} else if err != nil {
		p.unavailable(w, r, "What the county's data covers", err)
		return
	}
	key := strings.Join([]string{"process", q.Item, q.Department, q.Channel, q.From.String(), q.To.String(), q.Known.String(), strconv.Itoa(q.Limit)}, "\x00")
	answer, err := cached(r.Context(), p.figures, key, func(ctx context.Context) (metrics.Process, error) {
		answer, err := p.o.Figures.Process(ctx, q)
		if err != nil || q.Known.IsZero() {
			return answer, err
		}
		answer.Restated, err = p.o.Figures.Changes(ctx, q.Known) // I9: what was known then says why it is another now
		return answer, err
	})
	if err != nil {
		p.unavailable(w, r, "How cases went", err)
		return
	}
	reply(w, r, answer)
}

// processQuery checks what the caller asked, as query does.
func (p *Portal) processQuery(ctx context.Context, values url.Values) (metrics.ProcessQuery, error) {
	var q metrics.ProcessQuery
	var period metrics.Query
	for name, list := range values {
		if len(list) != 1 || list[0] == "" {
			return q, badParameter("Every parameter is given once and with a value.")
		}
		value := list[0]
		var err error
		switch name {
		case "from":
			period.From, err = monthOf(name, value)
		case "to":
			period.To, err = monthOf(name, value)
		case "item", "department", "channel":
			*map[string]*string{"item": &q.Item, "department": &q.Department, "channel": &q.Channel}[name] = value
			err = p.checkFilter(ctx, name, value)
		case "known":
			if q.Known, err = metrics.ParseKnown(value, p.zone); err != nil {
				return q, badParameter(badKnown)
			}
		case "limit":
			if q.Limit, err = strconv.Atoi(value); err != nil || q.Limit < 1 || q.Limit > metrics.MostProcess {
				return q, badParameter(fmt.Sprintf("The parameter limit is a number from 1 to %d.", metrics.MostProcess))
			}
		default:
			answer := badParameter("A parameter is not known here; a process takes " + strings.Join(processNames, ", ") + ".")
			answer.Names = nearest(name, processNames)
			return q, answer
		}
		if err != nil {
			return q, err
		}
	}
	if err := p.completePeriod(ctx, &period); err != nil {
		return q, err
	}
	q.From, q.To = period.From, period.To
	return q, nil
}
