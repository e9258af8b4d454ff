package web

import (
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/shirecounty/shire/connectors"
	"github.com/shirecounty/shire/schemas/contract"
	"github.com/shirecounty/shire/schemas/document"
)

// endpoint is where one dataset is read.
type endpoint struct {
	Dataset     *contract.Dataset
	Path        string
	Query       url.Values
	Lines       bool     // a record on each line, instead of one document
	Records     []string // members that lead to the list; none: the document is the list
	Success     *flag
	Pages       pagination
	Since       *since
	Deleted     *flag
	Full        bool
	FullEvery   time.Duration // with Since: how often a pass reads everything
	Conditional bool
	Sparse      bool
	Omit        []string
	Item        string // path template of a single record
	ItemRecord  []string

	fingerprint string // of all that decides what is read; a position of other settings leads nowhere
}

// flag is a member that says something by having one of the values.
type flag struct {
	Field  string
	Values []string
}

// pagination is how a list comes in parts.
type pagination struct {
	Kind      string // none, page, cursor, since, link
	Param     string
	SizeParam string
	Size      int
	First     int      // page: the first page's number
	Step      int      // page: what the next one's number is more
	Start     string   // cursor: the first
	Next      []string // cursor, link: members that lead to the next
	More      []string // to a boolean
	Count     []string // page: to the number of pages
	Total     []string // page: to the number of records
	Feed      bool     // cursor: the last one is kept and leads to what is new
	Stable    bool     // reading page after page skips no record while others are written
}

// since is the time of a record's last change, by which the service can leave out what is older.
type since struct {
	Param     string
	Field     string
	Start     string
	Overlap   time.Duration
	Inclusive bool
	times     timeFormat
}

func decodeEndpoint(d *connectors.Decoder, path string, m map[string]any, contracts contract.Set) *endpoint {
	e := &endpoint{Query: url.Values{}, Sparse: true, Pages: pagination{Kind: "none"}}
	d.Known(path, m, endpointKeys)
	var name, format string
	d.Text(path, m, "dataset", &name)
	if e.Dataset = contracts[name]; e.Dataset == nil {
		d.Fail(path+".dataset", document.DidYouMean(name, contracts.Names()), "%q is not in the datasets: of this source", name)
	}
	d.Text(path, m, "path", &e.Path)
	if strings.ContainsAny(e.Path, "?#") || strings.Contains(e.Path, "://") {
		d.Fail(path+".path", "write a path below url:, and parameters under query:", "is not a path")
	}
	for param, value := range texts(d, path, m, "query") {
		e.Query.Set(param, value)
	}
	d.Choice(path, m, "format", &format, "json", "ndjson")
	e.Lines = format == "ndjson"
	e.Records = members(d, path, m, "records")
	e.Success = decodeFlag(d, path, m, "success", "code")
	e.Deleted = decodeFlag(d, path, m, "deleted", "is_deleted")
	d.Bool(path, m, "conditional", &e.Conditional)
	d.Bool(path, m, "sparse", &e.Sparse)
	d.Texts(path, m, "omit", &e.Omit)
	if p := section(d, path, m, "pagination"); p != nil {
		e.Pages = decodePagination(d, path+".pagination", p)
	}
	if e.Dataset != nil {
		if p := section(d, path, m, "since"); p != nil {
			e.Since = decodeSince(d, path+".since", p, e.Dataset.Zone)
		}
		decodeItem(d, path, m, e)
	}
	decodeFull(d, path, m, e)
	if e.Lines && (len(e.Records) > 0 || e.Success != nil || len(e.Pages.Next)+len(e.Pages.More)+len(e.Pages.Count)+len(e.Pages.Total) > 0) {
		d.Fail(path+".format", "use format: json, or leave out what names members of a document", "ndjson has records and nothing around them")
	}
	if e.Pages.Kind == "since" && e.Since == nil {
		d.Fail(path+".since", "write since: {param: updated_after, field: updated_at}", "is missing, and pagination: {kind: since} needs it")
	}
	return e
}

func decodePagination(d *connectors.Decoder, path string, m map[string]any) pagination {
	p := pagination{Kind: "none", First: 1, Step: 1}
	d.Choice(path, m, "kind", &p.Kind, slices.Sorted(maps.Keys(pageKeys))...)
	if d.Wrong(path + ".kind") {
		return p
	}
	p.Stable = p.Kind != "page" && p.Kind != "link"
	d.Known(path, m, pageKeys[p.Kind])
	d.Text(path, m, "param", &p.Param)
	d.Text(path, m, "size_param", &p.SizeParam)
	d.Int(path, m, "size", &p.Size, 1, 1_000_000)
	d.Int(path, m, "first", &p.First, 0, 1_000_000)
	d.Int(path, m, "step", &p.Step, 1, 1_000_000)
	d.Text(path, m, "start", &p.Start)
	d.Bool(path, m, "feed", &p.Feed)
	d.Bool(path, m, "stable", &p.Stable)
	p.Next, p.More, p.Count, p.Total = members(d, path, m, "next"), members(d, path, m, "more"), members(d, path, m, "pages"), members(d, path, m, "total")
	if p.SizeParam != "" && p.Size == 0 {
		d.Fail(path+".size", "write size: 500", "is missing")
	}
	switch p.Kind {
	case "page":
		if p.Param == "" {
			d.Fail(path+".param", "write param: page", "is missing")
		}
	case "cursor":
		if p.Param == "" {
			d.Fail(path+".param", "write param: cursor", "is missing")
		}
		if len(p.Next) == 0 {
			d.Fail(path+".next", "write next: meta.next_cursor, the members that lead to it", "is missing")
		}
	case "since":
		if p.Size == 0 {
			d.Fail(path+".size", "write size: 500, the most records in a response", "is missing: without it the end cannot be told from a page full of one time")
		}
	}
	return p
}

func decodeSince(d *connectors.Decoder, path string, m map[string]any, zone string) *since {
	s := &since{Overlap: 5 * time.Minute}
	d.Known(path, m, sinceKeys)
	d.Text(path, m, "param", &s.Param)
	d.Text(path, m, "field", &s.Field)
	d.Text(path, m, "start", &s.Start)
	d.Bool(path, m, "inclusive", &s.Inclusive)
	if fmt.Sprint(m["overlap"]) == "0" || fmt.Sprint(m["overlap"]) == "0s" {
		s.Overlap = 0
	} else {
		d.Duration(path, m, "overlap", &s.Overlap)
	}
	format := "rfc3339"
	d.Choice(path, m, "format", &format, slices.Sorted(maps.Keys(layouts))...)
	d.Text(path, m, "time_zone", &zone)
	location, err := time.LoadLocation(zone)
	if err != nil || zone == "Local" {
		d.Fail(path+".time_zone", "write a name such as Asia/Shanghai", "%q is not known", zone)
		location = time.UTC
	}
	s.times = timeFormat{layouts[format], location}
	for key, value := range map[string]string{"param": s.Param, "field": s.Field} {
		if value == "" && !d.Wrong(path+"."+key) {
			d.Fail(path+"."+key, "write since: {param: updated_after, field: updated_at}", "is missing")
		}
	}
	return s
}

// decodeFull reads whether what is missing was deleted: full: true, or full: 24h where the usual pass reads changes alone.
func decodeFull(d *connectors.Decoder, path string, m map[string]any, e *endpoint) {
	e.Full = e.Dataset != nil && e.Dataset.Delivery == contract.Snapshot
	v, there := m["full"]
	switch text := fmt.Sprint(v); {
	case !there:
		if e.Full && e.Since != nil {
			e.FullEvery = 24 * time.Hour
		}
	case text == "true" || text == "false":
		if e.Full = text == "true"; e.Full && e.Since != nil {
			d.Fail(path+".full", "write full: 24h, how often a pass without since reads everything; or leave since out", "cannot be true: a response to since is not the whole dataset")
		}
		if !e.Full && e.Dataset != nil && e.Dataset.Delivery == contract.Snapshot {
			d.Fail(path+".full", "leave it out, or change delivery: in the contract", "is false and the contract says delivery: snapshot")
		}
	default:
		if d.Duration(path, m, "full", &e.FullEvery); e.Since == nil && e.FullEvery > 0 {
			d.Fail(path+".full", "write full: true", "is a time, and every pass reads everything anyway")
		}
		e.Full = true
	}
	if e.Full && e.Pages.Feed {
		d.Fail(path+".full", "leave it out, and mark deletions with deleted:", "does not fit a feed, which says changes alone")
	}
}

var placeholder = regexp.MustCompile(`\{([^{}]*)\}`)

// decodeItem reads the template of a single record's path.
func decodeItem(d *connectors.Decoder, path string, m map[string]any, e *endpoint) {
	d.Text(path, m, "item", &e.Item)
	e.ItemRecord = members(d, path, m, "item_record")
	if e.Item == "" {
		return
	}
	used := map[string]bool{}
	for _, found := range placeholder.FindAllStringSubmatch(e.Item, -1) {
		used[found[1]] = true
		if !slices.Contains(e.Dataset.Key, found[1]) && (found[1] != "key" || len(e.Dataset.Key) != 1) {
			d.Fail(path+".item", "name the fields of the key: {"+strings.Join(e.Dataset.Key, "} {")+"}", "{%s} is not a field of the dataset's key", found[1])
		}
	}
	if len(used) != len(e.Dataset.Key) && !d.Wrong(path+".item") {
		d.Fail(path+".item", "name the fields of the key: {"+strings.Join(e.Dataset.Key, "} {")+"}", "does not name every field of the key")
	}
}

func decodeFlag(d *connectors.Decoder, path string, m map[string]any, key, example string) *flag {
	section := section(d, path, m, key)
	if section == nil {
		return nil
	}
	path += "." + key
	f := &flag{}
	d.Known(path, section, flagKeys)
	d.Text(path, section, "field", &f.Field)
	values, ok := section["values"].([]any)
	if !ok && section["values"] != nil {
		values = []any{section["values"]}
	}
	for _, v := range values {
		f.Values = append(f.Values, fmt.Sprint(v))
	}
	if f.Field == "" || len(f.Values) == 0 {
		d.Fail(path, fmt.Sprintf("write %s: {field: %s, values: [1]}", key, example), "needs field: and values:")
		return nil
	}
	return f
}

func (f *flag) holds(value string, null bool) bool {
	return slices.Contains(f.Values, value) && !null || null && slices.Contains(f.Values, "null")
}
