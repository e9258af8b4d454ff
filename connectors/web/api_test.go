package web_test

import (
	"encoding/json"
	"fmt"
	"hash/fnv"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/shirecounty/shire/connectors/conformance"
	"github.com/shirecounty/shire/schemas/county"
)

// api is a department's web service over a table in memory. It lists the table as such services do:
//
//	/all       {code, data: {items, total}}, page by number, by key, what is deleted is not there
//	/feed      {items, next, more}, in the order of the changes, behind a cursor; needs an OAuth2 token
//	/since     [records], in the order of updated_at, later than a time
//	/linked    [records], the youngest first, not earlier than a time, pages by Link headers; needs a key
//	/whole     [records], all at once
//	/keyed     {items, next}, in the order of the keys, behind a key
//	/item/ID   {data: record}
type api struct {
	*httptest.Server
	t    testing.TB
	mode string

	before func(w http.ResponseWriter, r *http.Request) bool // true when it has answered
	asked  []string

	mu      sync.Mutex
	columns []string
	rows    map[string]*row
	changes int
	tokens  map[string]int // how many more requests each token is good for
	granted int
	uses    int // of each token
}

type row struct {
	id      string
	values  map[string]json.RawMessage
	change  int
	deleted bool
}

var epoch = time.Now().Add(-time.Hour).Truncate(time.Second).UTC()

// updated gives several changes the same time.
func (r *row) updated() time.Time { return epoch.Add(time.Duration(r.change/3) * time.Millisecond) }

func newAPI(t testing.TB, mode string) *api {
	a := &api{t: t, mode: mode, columns: []string{"id", "name", "note"}, rows: map[string]*row{}, tokens: map[string]int{}, uses: 5}
	a.Server = httptest.NewServer(http.HandlerFunc(a.serve))
	t.Cleanup(a.Close)
	return a
}

// modes are the settings of a dataset for each way to read the table.
var modes = map[string]map[string]any{
	"all": {
		"path": "/all", "records": "data.items", "full": true, "success": map[string]any{"field": "code", "values": []any{0}},
		"pagination": map[string]any{"kind": "page", "param": "page", "size_param": "size", "size": 7, "total": "data.total"},
	},
	"counted": {
		"path": "/all", "records": "data.items", "full": true, "item": "/item/{id}", "item_record": "data",
		"pagination": map[string]any{"kind": "page", "param": "page", "size_param": "size", "size": 7},
	},
	"feed": {
		"path": "/feed", "records": "items", "deleted": map[string]any{"field": "removed", "values": []any{true}}, "omit": []any{"removed"},
		"pagination": map[string]any{"kind": "cursor", "param": "after", "next": "next", "more": "more", "feed": true, "size_param": "limit", "size": 7},
	},
	"since": {
		"path": "/since", "deleted": map[string]any{"field": "removed", "values": []any{true}}, "item": "/item/{key}", "item_record": "data",
		"pagination": map[string]any{"kind": "since", "size_param": "limit", "size": 20},
		"since":      map[string]any{"param": "later_than", "field": "updated_at", "format": "rfc3339_ms", "overlap": "0s"},
	},
	"linked": {
		"path": "/linked", "deleted": map[string]any{"field": "removed", "values": []any{true}},
		"pagination": map[string]any{"kind": "link", "size_param": "limit", "size": 7},
		"since":      map[string]any{"param": "from", "field": "updated_at", "format": "unix_ms", "overlap": "2ms", "inclusive": true},
	},
	"whole": {"path": "/whole", "full": true},
	"keyed": {
		"path": "/keyed", "records": "items", "full": true,
		"pagination": map[string]any{"kind": "cursor", "param": "behind", "next": "next", "size_param": "limit", "size": 7},
	},
}

func (a *api) with() map[string]any {
	dataset := maps.Clone(modes[a.mode])
	dataset["dataset"], dataset["sparse"] = conformance.Dataset, false
	with := map[string]any{"url": a.URL, "poll": "20ms", "max_deletions": "100%", "datasets": []any{dataset}}
	switch a.mode {
	case "feed":
		with["auth"] = map[string]any{"kind": "oauth2", "token_url": a.URL + "/token", "client_id": "shire", "client_secret": "grün", "scopes": []any{"read"}}
	case "linked":
		with["auth"] = map[string]any{"kind": "api_key", "param": "key", "api_key": "4711"}
	}
	return with
}

func (a *api) Source() county.Source { return county.Source{Kind: "http", With: a.with()} }

// Apply implements conformance.System.
func (a *api) Apply(_ testing.TB, ops ...conformance.Operation) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, o := range ops {
		switch o.Kind {
		case conformance.Delete:
			a.remove(o.ID)
		case conformance.Rekey:
			moved := maps.Clone(a.rows[o.ID].values)
			a.remove(o.ID)
			moved["id"] = quoted(&o.NewID)
			a.put(o.NewID, moved)
		default:
			values := map[string]json.RawMessage{}
			if old := a.rows[o.ID]; old != nil && !old.deleted {
				values = maps.Clone(old.values)
			}
			values["id"], values["name"], values["note"] = quoted(&o.ID), quoted(o.Name), quoted(o.Note)
			a.put(o.ID, values)
		}
	}
}

func quoted(s *string) json.RawMessage {
	if s == nil {
		return json.RawMessage("null")
	}
	data, err := json.Marshal(*s)
	if err != nil {
		panic(err)
	}
	return data
}

func (a *api) put(id string, values map[string]json.RawMessage) {
	a.changes++
	a.rows[id] = &row{id: id, values: values, change: a.changes}
}

func (a *api) remove(id string) {
	if r := a.rows[id]; r != nil {
		a.changes++
		r.deleted, r.change = true, a.changes
	}
}

// Types implements conformance.Typed: what JSON can say.
func (a *api) Types(_ testing.TB, key string) map[string]string {
	a.mu.Lock()
	defer a.mu.Unlock()
	types := map[string][2]string{
		"whole": {"12345678901234567890123", "12345678901234567890123"}, "decimal": {"1.50", "1.50"}, "small": {"-1e-7", "-1e-7"},
		"yes": {"true", "true"}, "no": {"false", "false"}, "none": {"null", conformance.Null}, "escaped": {`"\ud842\udfb7 \u738b\/\n"`, "𠮷 王/\n"},
		"list": {`[1, "二", null, {"a": 1.0}]`, `[1,"二",null,{"a":1.0}]`}, "empty": {"{ }", "{}"},
	}
	want := map[string]string{"office.name": "民政局", "office.floor": "3", "office.rooms": `[301,302]`, "office.head": `{"name":"王","since":null}`}
	values := map[string]json.RawMessage{"id": quoted(&key), "office": json.RawMessage(`{"name":"民政局","floor":3,"rooms":[301, 302],"head":{"name": "王","since": null}}`)}
	for name, v := range types {
		values[name], want[name] = json.RawMessage(v[0]), v[1]
	}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if !slices.Contains(a.columns, name) {
			a.columns = append(a.columns, name)
		}
	}
	a.put(key, values)
	return want
}

// AddColumn and the three below implement conformance.Changing.
func (a *api) AddColumn(_ testing.TB, name, value string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.columns = append(a.columns, name)
	values := maps.Clone(a.rows["1"].values)
	values[name] = quoted(&value)
	a.put("1", values)
}

func (a *api) DropColumn(_ testing.TB, name string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.columns = slices.DeleteFunc(a.columns, func(c string) bool { return c == name })
	for _, r := range a.rows {
		delete(r.values, name)
	}
}

func (a *api) RenameColumn(_ testing.TB, from, to string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.columns[slices.Index(a.columns, from)] = to
	for _, r := range a.rows {
		if v, there := r.values[from]; there {
			r.values[to] = v
			delete(r.values, from)
		}
	}
}

// WidenColumn: JSON has one type of text.
func (a *api) WidenColumn(testing.TB, string) {}

// record writes a row as JSON, its members in the order of the columns.
func (a *api) record(r *row, more string) string {
	text := "{"
	for _, c := range a.columns {
		v, there := r.values[c]
		if !there {
			v = json.RawMessage("null")
		}
		text += strconv.Quote(c) + ": " + string(v) + ", "
	}
	return text + more + "}"
}

func (a *api) sorted(keep func(*row) bool, order func(x, y *row) int) []*row {
	var rows []*row
	for _, r := range a.rows {
		if keep(r) {
			rows = append(rows, r)
		}
	}
	slices.SortFunc(rows, order)
	return rows
}

func byKey(x, y *row) int {
	if len(x.id) != len(y.id) {
		return len(x.id) - len(y.id)
	}
	return strings.Compare(x.id, y.id)
}

func byChange(x, y *row) int { return x.change - y.change }

func live(r *row) bool { return !r.deleted }

func number(r *http.Request, name string, otherwise int) int {
	if n, err := strconv.Atoi(r.URL.Query().Get(name)); err == nil {
		return n
	}
	return otherwise
}

func (a *api) serve(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	a.asked = append(a.asked, r.URL.RequestURI())
	before := a.before
	a.mu.Unlock()
	if before != nil && before(w, r) {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	q := r.URL.Query()
	if r.URL.Path == "/token" {
		a.grant(w, r)
		return
	}
	if !a.allowed(w, r) {
		return
	}
	answer := ""
	switch r.URL.Path {
	case "/all":
		rows, page, size := a.sorted(live, byKey), number(r, "page", 1), number(r, "size", 7)
		total := len(rows)
		rows = rows[min((page-1)*size, len(rows)):min(page*size, len(rows))]
		answer = fmt.Sprintf(`{"code": 0, "data": {"total": %d, "items": %s}}`, total, a.list(rows, nil))
	case "/feed":
		after, limit := number(r, "after", 0), number(r, "limit", 7)
		rows := a.sorted(func(r *row) bool { return r.change > after }, byChange)
		more := len(rows) > limit
		rows = rows[:min(limit, len(rows))]
		if len(rows) > 0 {
			after = rows[len(rows)-1].change
		}
		answer = fmt.Sprintf(`{"items": %s, "more": %v, "next": %d}`, a.list(rows, func(r *row) string { return fmt.Sprintf(`"removed": %v`, r.deleted) }), more, after)
	case "/since":
		after, err := time.Parse(time.RFC3339Nano, q.Get("later_than"))
		if err != nil && q.Has("later_than") {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		rows := a.sorted(func(r *row) bool { return r.updated().After(after) }, byChange)
		answer = a.list(rows[:min(number(r, "limit", 20), len(rows))], dated)
	case "/linked":
		from, page, limit := int64(number(r, "from", 0)), number(r, "p", 1), number(r, "limit", 7)
		rows := a.sorted(func(r *row) bool { return r.updated().UnixMilli() >= from }, func(x, y *row) int { return y.change - x.change })
		if page*limit < len(rows) {
			q.Set("p", strconv.Itoa(page+1))
			w.Header().Add("Link", fmt.Sprintf(`</linked?%s>; rel="self first"; title="a, b", <%s/linked?%s>; rel="next"`, q.Encode(), a.URL, q.Encode()))
		}
		answer = a.list(rows[min((page-1)*limit, len(rows)):min(page*limit, len(rows))], dated)
	case "/keyed":
		behind, limit := &row{id: q.Get("behind")}, number(r, "limit", 7)
		rows := a.sorted(func(r *row) bool { return !r.deleted && byKey(r, behind) > 0 }, byKey)
		next := "null"
		if len(rows) > limit {
			rows = rows[:limit]
			next = strconv.Quote(rows[limit-1].id)
		}
		answer = fmt.Sprintf(`{"items": %s, "next": %s}`, a.list(rows, nil), next)
	case "/whole":
		answer = a.list(a.sorted(live, byKey), nil)
	default:
		var id string
		if _, err := fmt.Sscanf(r.URL.Path, "/item/%s", &id); err != nil || a.rows[id] == nil || a.rows[id].deleted {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		more := `"removed": false`
		if a.mode == "counted" {
			more = `"left": 1`
		}
		if a.mode == "since" {
			more = dated(a.rows[id])
		}
		answer = `{"data": ` + a.record(a.rows[id], more) + "}"
	}
	sum := fnv.New64a()
	sum.Write([]byte(answer))
	tag := fmt.Sprintf(`"%x"`, sum.Sum64())
	w.Header().Set("ETag", tag)
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	if r.Header.Get("If-None-Match") == tag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	w.Write([]byte(answer))
}

func dated(r *row) string {
	return fmt.Sprintf(`"removed": %v, "updated_at": %q`, r.deleted, r.updated().Format("2006-01-02T15:04:05.000Z"))
}

func (a *api) list(rows []*row, more func(*row) string) string {
	text := "["
	for i, r := range rows {
		if i > 0 {
			text += ", "
		}
		end := `"left": 1`
		if more != nil {
			end = more(r)
		}
		text += a.record(r, end)
	}
	return text + "]"
}

// grant gives a token that is good for a few requests only, whatever it says of itself.
func (a *api) grant(w http.ResponseWriter, r *http.Request) {
	user, password, basic := r.BasicAuth()
	if !basic {
		user, password = r.PostFormValue("client_id"), r.PostFormValue("client_secret")
	}
	if (user != "shire" || password != "grün" && password != "gr%C3%BCn") || r.PostFormValue("grant_type") != "client_credentials" || r.PostFormValue("scope") != "read" {
		w.WriteHeader(http.StatusUnauthorized)
		w.Write([]byte(`{"error": "invalid_client", "error_description": "wang xiaoming"}`))
		return
	}
	a.granted++
	token := fmt.Sprint("token-", a.granted)
	a.tokens[token] = a.uses
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprintf(w, `{"access_token": %q, "token_type": "Bearer", "expires_in": 3600}`, token)
}

func (a *api) allowed(w http.ResponseWriter, r *http.Request) bool {
	ok := true
	switch a.mode {
	case "feed":
		var token string
		fmt.Sscanf(r.Header.Get("Authorization"), "Bearer %s", &token)
		ok = a.tokens[token] > 0
		a.tokens[token]--
	case "linked":
		ok = r.URL.Query().Get("key") == "4711"
	}
	if !ok {
		w.WriteHeader(http.StatusUnauthorized)
	}
	return ok
}

func (a *api) requests() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	asked := a.asked
	a.asked = nil
	return asked
}

func (a *api) answering(before func(w http.ResponseWriter, r *http.Request) bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.before = before
}
