package web

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// first is the page at which a pass begins.
func (l *list) first(p *pass) string {
	switch l.Pages.Kind {
	case "page":
		return strconv.Itoa(l.Pages.First)
	case "cursor":
		return l.Pages.Start
	case "since":
		return l.from(p)
	}
	return ""
}

// from is the time that the service is asked for, as it reads it.
func (l *list) from(p *pass) string {
	if p.since.IsZero() {
		return l.Since.Start
	}
	return l.Since.times.before(p.since.Add(-l.Since.Overlap), l.Since.Inclusive)
}

// address is where a page is asked for.
func (l *list) address(p *pass) (*url.URL, error) {
	at := p.at
	u := l.client.Base.JoinPath(l.Path)
	q := u.Query()
	for name, values := range l.Query {
		q[name] = values
	}
	if l.Pages.SizeParam != "" {
		q.Set(l.Pages.SizeParam, strconv.Itoa(p.size))
	}
	if l.Since != nil && l.Pages.Kind != "since" {
		if from := l.from(p); from != "" {
			q.Set(l.Since.Param, from)
		}
	}
	switch l.Pages.Kind {
	case "page":
		q.Set(l.Pages.Param, at)
	case "cursor":
		if at != "" {
			q.Set(l.Pages.Param, at)
		}
	case "since":
		if at != "" {
			q.Set(l.Since.Param, at)
		}
	case "link":
		if at != "" { // the service's own words
			next, err := url.Parse(at)
			if err != nil || l.client.elsewhere(next) {
				return nil, refuse("link_refused", "the next page is on another host, and nothing is sent there; ask the department for links to the host in url:")
			}
			return next, nil
		}
	}
	u.RawQuery = q.Encode()
	return u, nil
}

// wanted are the members that say where to go on.
func (l *list) wanted() [][]string {
	var wanted [][]string
	for _, path := range [][]string{l.Pages.Next, l.Pages.More, l.Pages.Count, l.Pages.Total} {
		if len(path) > 0 {
			wanted = append(wanted, path)
		}
	}
	if l.Success != nil {
		wanted = append(wanted, strings.Split(l.Success.Field, "."))
	}
	return wanted
}

// unsaid tells whether the service says nothing of where its pages end.
func (p *pagination) unsaid() bool { return len(p.More)+len(p.Count)+len(p.Total) == 0 }

func (g *got) member(path []string) (string, bool) {
	if len(path) == 0 {
		return "", false
	}
	v, there := g.found[strings.Join(path, ".")]
	return v, there
}

// next is the page after the one that was read; "" when it was the last.
func (l *list) next(p *pass, g *got) (string, error) {
	switch l.Pages.Kind {
	case "page":
		return l.nextNumber(p, g)
	case "cursor":
		next, there := g.member(l.Pages.Next)
		if l.Pages.Feed {
			if p.cursor = next; next == "" {
				p.cursor = p.at // where the feed stands
			}
		}
		more, said := g.member(l.Pages.More)
		switch {
		case !there || next == "":
			return "", nil
		case said && more != "true", !said && len(l.Pages.More) > 0, next == p.at, l.Pages.Feed && g.records == 0:
			return "", nil
		}
		return next, nil
	case "since":
		return l.nextTime(p, g), nil
	case "link":
		if g.link == nil {
			return "", nil
		}
		return g.link.String(), nil
	}
	return "", nil
}

func (l *list) nextNumber(p *pass, g *got) (string, error) {
	number, err := strconv.Atoi(p.at)
	if err != nil {
		return "", refuse("endless", "the page %.20q is no number", p.at)
	}
	next := strconv.Itoa(number + l.Pages.Step)
	if g.records == 0 {
		return "", nil
	}
	if more, there := g.member(l.Pages.More); len(l.Pages.More) > 0 {
		if !there || more != "true" {
			return "", nil
		}
		return next, nil
	}
	for _, limit := range []struct {
		path []string
		read int
	}{{l.Pages.Count, (number-l.Pages.First)/l.Pages.Step + 1}, {l.Pages.Total, p.records}} {
		if len(limit.path) == 0 {
			continue
		}
		text, _ := g.member(limit.path)
		n, err := strconv.Atoi(text)
		if err != nil {
			return "", refuse("pages_unknown", "the response does not say at %s how much there is, so that the end cannot be found; check pagination: against the service's documentation", strings.Join(limit.path, "."))
		}
		if limit.read >= n {
			return "", nil
		}
		return next, nil
	}
	if g.hash == p.pageHash {
		// Some services answer with their last page when they are asked for one behind it; others do not know the parameter.
		p.repeated = true
		return "", nil
	}
	p.pageHash = g.hash
	return next, nil
}

// nextTime goes on from the last record's time. When a page has one time from beginning to end, a larger one is asked for.
func (l *list) nextTime(p *pass, g *got) string {
	if g.last.IsZero() {
		return ""
	}
	next := l.Since.times.before(g.last, l.Since.Inclusive)
	switch {
	case next != p.at:
		p.size, p.stuck = l.Pages.Size, 0
		return next
	case g.records < p.size && g.records > p.stuck: // fewer than were asked for, and not the same as before: all of them
		return ""
	case l.Pages.SizeParam == "" || g.records <= p.stuck || p.size >= 64*l.Pages.Size:
		p.oneTime = g.records
		return ""
	}
	p.stuck, p.size = g.records, 2*p.size
	return next
}

// linked is the address of the next page, as the service gives it (RFC 8288, or a member).
func (l *list) linked(u *url.URL, resp *http.Response, g *got) (*url.URL, error) {
	if l.Pages.Kind != "link" {
		return nil, nil
	}
	text, _ := g.member(l.Pages.Next)
	if len(l.Pages.Next) == 0 {
		text = nextLink(resp.Header.Values("Link"))
	}
	if text == "" {
		return nil, nil
	}
	next, err := u.Parse(text)
	if err != nil {
		return nil, refuse("link_refused", "the service's link to the next page is no address")
	}
	if key := l.client.sign.param(); key != "" {
		q := next.Query()
		q.Del(key) // it is added when the page is asked for, and stands in no position
		next.RawQuery = q.Encode()
	}
	next.Fragment = ""
	return next, nil
}

// nextLink finds rel="next" in Link headers.
func nextLink(headers []string) string {
	for _, rest := range headers {
		for {
			_, after, found := strings.Cut(rest, "<")
			if !found {
				break
			}
			target, params, found := strings.Cut(after, ">")
			if !found {
				break
			}
			params, rest = cutUnquoted(params, ',') // of this link, and the links behind it
			for params != "" {
				var param string
				param, params = cutUnquoted(params, ';')
				name, value, _ := strings.Cut(param, "=")
				relations := strings.Fields(strings.Trim(strings.TrimSpace(value), `"`))
				if strings.EqualFold(strings.TrimSpace(name), "rel") && slices.ContainsFunc(relations, func(r string) bool { return strings.EqualFold(r, "next") }) {
					return target
				}
			}
		}
	}
	return ""
}

// cutUnquoted cuts at the first separator that does not stand in quotes.
func cutUnquoted(text string, separator byte) (before, after string) {
	quoted := false
	for i := range len(text) {
		switch {
		case text[i] == '"':
			quoted = !quoted
		case text[i] == separator && !quoted:
			return text[:i], text[i+1:]
		}
	}
	return text, ""
}

// circle finds a circle of pages in bounded memory: it remembers one page, and another one each time that twice as many went
// by (Brent).
type circle struct {
	page        string
	steps, till int
}

func (c *circle) closes(page string) bool {
	if c.steps > 0 && page == c.page {
		return true
	}
	if c.steps++; c.steps >= c.till {
		c.page, c.till = page, 2*max(c.till, 1)
	}
	return false
}
