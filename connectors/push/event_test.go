package push

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/shirecounty/shire/connectors"
	"github.com/shirecounty/shire/schemas/contract"
)

func own(t testing.TB, names ...string) contract.Set {
	t.Helper()
	set := contract.Set{}
	for _, name := range names {
		key := map[bool]string{true: "[id, part]", false: "[id]"}[name == "pairs"]
		d, err := contract.Parse(name+".yaml", []byte(strings.NewReplacer("NAME", name, "KEY", key).Replace(`
dataset: NAME
department: bureau
owner: {zh: 局, en: Bureau}
title: {zh: 表, en: Records}
version: 1
key: KEY
sharing: {type: unconditional}
fields:
  - {name: id, headers: [编号, id], type: text, sensitivity: internal}
  - {name: part, type: text, sensitivity: internal}
  - {name: name, type: text, sensitivity: internal}
emits:
  - table: cases
    columns: {case_number: id, department: {value: bureau}, item_code: {value: item}, item_name: name}
`)), "Asia/Shanghai")
		if err != nil {
			t.Fatal(err)
		}
		set[name] = d
	}
	return set
}

// said is a usable event briefly: op, dataset, key, time, and its columns; else the status and the reason.
func said(set contract.Set, header map[string][]string, text string) string {
	e, err := decode(header, []byte(text))
	if err == nil {
		var d *contract.Dataset
		if d, err = e.use(set); err == nil {
			r, _ := e.row(d)
			k, _ := connectors.NewKeyer(d, r.columns)
			key, _ := e.key(k, r)
			out := fmt.Sprintf("%s %s %q", e.op, d.Name, key)
			if !e.time.IsZero() {
				out += e.time.UTC().Format(" 2006-01-02T15:04:05Z")
			}
			for i, c := range r.columns {
				if r.null != nil && r.null[i] {
					out += " " + c + "=NULL"
				} else {
					out += fmt.Sprintf(" %s=%s", c, r.values[i])
				}
			}
			return out
		}
	}
	f, ok := errors.AsType[*fault](err)
	if !ok {
		return "no fault: " + err.Error()
	}
	return fmt.Sprint(f.status, " ", f.en)
}

func TestEvents(t *testing.T) {
	const head = `{"specversion":"1.0","id":"1","source":"s",`
	one, two := own(t, "records"), own(t, "records", "pairs")
	for _, c := range []struct {
		set        contract.Set
		text, want string
	}{
		{one, head + `"type":"a.created","data":{"name":"王","id":"7"}}`, `create records "7" id=7 name=王`},
		{one, head + `"type":"updated","data":{"id":7,"编号":" 8 "}}`, `update records "8" id=7 编号= 8 `},
		{one, head + `"type":"cn.gov.records.snapshot","time":"2026-11-25T09:30:00+08:00","data":{"id":"7"}}`, `snapshot records "7" 2026-11-25T01:30:00Z id=7`},
		{one, head + `"type":"a.deleted","data":{"id":"7"}}`, `delete records "7" id=7`},
		{one, head + `"type":"a.deleted","subject":"7"}`, `delete records "7" 编号=7`},
		{one, head + `"type":"a.deleted","subject":"7","data":null}`, `delete records "7" 编号=7`},
		{one, head + `"type":"a.deleted"}`, "422 there are no data"},
		{one, head + `"type":"a.created","subject":"7"}`, "422 there are no data"},
		{two, head + `"type":"a.pairs.deleted","subject":"7"}`, "422 there are no data"},
		{one, head + `"type":"a.created","subject":"7","data":{"id":"7"}}`, `create records "7" id=7`},
		{one, head + `"type":"a.created","subject":"8","data":{"id":"7"}}`, "422 the subject is not the key"},
		{two, head + `"type":"a.pairs.created","subject":"any","data":{"id":"7","part":"b"}}`, `create pairs "7\x1fb" id=7 part=b`},
		{two, head + `"type":"a.pairs.created","dataset":"records","data":{"id":"7"}}`, `create records "7" id=7`},
		{two, head + `"type":"a.created","data":{"id":"7"}}`, "422 it is not said which dataset the event is about; name it in the attribute dataset: pairs, records"},
		{two, head + `"type":"a.created","dataset":"others","data":{"id":"7"}}`, "422 the attribute dataset names none"},
		{one, head + `"type":"a.changed","data":{"id":"7"}}`, "422 the type does not end"},
		{one, head + `"type":"a.created","data":{"name":"7"}}`, "422 the data lack a column of the key: id"},
		{one, head + `"type":"a.created","data":{}}`, "422 the data lack"},
		{one, head + `"type":"a.created","data":{"id":null}}`, "422 no key"},
		{one, head + `"type":"a.created","data":{"id":" "}}`, "422 no key"},
		{one, head + `"type":"a.created","data":{"id":"7","":"x"}}`, "422 a column has no name"},
		{two, head + `"type":"pairs.created","data":{"id":"7\u001f","part":"b"}}`, "422 the key field id holds a control character"},
		{one, head + `"type":"a.created","data":{"id":"7","a":1.50,"b":-0,"c":1E+30,"d":true,"e":false,"f":null,"g":{"x": [1, "y"]},"h":[],"i":""}}`,
			`create records "7" a=1.50 b=-0 c=1E+30 d=true e=false f=NULL g={"x": [1, "y"]} h=[] i= id=7`},
		{one, head + `"type":"a.created","data":{"id":"\ud842\udfb7\\ud842\ufffd"}}`, "create records \"𠮷\\\\ud842\ufffd\" id=𠮷\\ud842\ufffd"},
		{one, head + `"type":"a.created","data":{"id":"\ud842"}}`, "400 a text in the data holds half"},
		{one, head + `"type":"a.created","data":{"id":"\udfb7\ud842"}}`, "400 a text in the data holds half"},
		{one, head + `"type":"a.created","data":{"id":"7","id":"8"}}`, "400 a column stands twice"},
		{one, head + `"id":"2","type":"a.created","data":{"id":"7"}}`, "400 the member id stands twice"},
		{one, head + `"type":"a.created","data":{"id":"7"},"data":{"id":"8"}}`, "400 the member data stands twice"},
		{one, head + `"type":"a.created","data":["id"]}`, "400 the event or its data are not a JSON object"},
		{one, head + `"type":"a.created","data":"id"}`, "400 the event or its data are not a JSON object"},
		{one, head + `"type":"a.created","data_base64":"AA=="}`, "400 the data are bytes"},
		{one, head + `"type":"a.created","datacontenttype":"text/xml","data":{"id":"7"}}`, "400 the data are not application/json"},
		{one, head + `"type":"a.created","datacontenttype":"application/vnd.a+json; charset=utf-8","data":{"id":"7"}}`, `create records "7" id=7`},
		{one, head + `"type":"a.created","time":"yesterday","data":{"id":"7"}}`, "400 the attribute time"},
		{one, head + `"type":7,"data":{"id":"7"}}`, "400 the attribute type is not a text"},
		{one, head + `"data":{"id":"7"}}`, "400 the attribute type is missing"},
		{one, head + `"type":"` + strings.Repeat("a", 4097) + `"}`, "400 the attribute type is longer"},
		{one, `{"specversion":"1.0","source":"s","type":"a.created","data":{"id":"7"}}`, "400 the attribute id is missing"},
		{one, `{"specversion":"0.3","id":"1","source":"s","type":"a.created","data":{"id":"7"}}`, "400 the attribute specversion is not 1.0"},
		{one, head + `"type":"a.created","data":{"id":"7"}} {}`, "400 the event or its data are not"},
		{one, head + `"type":"a.created","data":{"id":"7"}`, "400 the event or its data are not"},
		{one, "", "400 the event or its data are not"}, {one, "[]", "400 the event or its data are not"}, {one, "null", "400 the event or its data are not"},
		{one, "{\"id\":\"\xff\"}", "400 the event is not UTF-8"},
		{one, head + `"type":"a.created","data":{"id":"7"` + strings.Repeat(`,"c":1`, maxColumns) + `}}`, "422 there are more than 2000 columns"},
		{one, head + `"type":"a.created","data":{"id":"7","deep":` + strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000) + `}}`, "400 the event or its data are not"},
	} {
		if got := said(c.set, nil, c.text); !strings.HasPrefix(got, c.want) || strings.Contains(c.want, " records ") && got != c.want {
			t.Errorf("%.120s\n got %.200s\nwant %s", c.text, got, c.want)
		}
	}
}

func TestEventsInBinaryMode(t *testing.T) {
	set := own(t, "records")
	header := func(more ...string) map[string][]string {
		h := map[string][]string{"Ce-Specversion": {"1.0"}, "ce-id": {"1"}, "CE-Source": {"s"}, "ce-type": {"a.deleted"}, "Content-Type": {"application/json"}}
		for i := 0; i < len(more); i += 2 {
			h[more[i]] = []string{more[i+1]}
		}
		return h
	}
	for _, c := range []struct {
		header     map[string][]string
		data, want string
	}{
		{header(), `{"id":"7"}`, `delete records "7" id=7`},
		{header("ce-subject", "%E7%8E%8B"), "", `delete records "王" 编号=王`},
		{header("ce-subject", "%E7"), "", "400 the header ce-subject is not"},
		{header("ce-subject", "%"), "", "400 the header ce-subject is not"},
		{header("Content-Type", "text/plain"), `{"id":"7"}`, "400 the data are not application/json"},
		{header(), `{"id":`, "400 the event or its data are not"},
		{header(), "\xff", "400 the event is not UTF-8"},
	} {
		if got := said(set, c.header, c.data); !strings.HasPrefix(got, c.want) {
			t.Errorf("%v %s\n got %s\nwant %s", c.header, c.data, got, c.want)
		}
	}
}

func TestTokensAreOfSourceAndID(t *testing.T) {
	seen := map[string]bool{}
	for _, e := range []event{{source: "a", id: "1"}, {source: "a", id: "2"}, {source: "b", id: "1"}, {source: "a1", id: ""}, {source: "a", id: "1.*.>"}} {
		token := e.token()
		if seen[token] || strings.ContainsAny(token, ".*> \t") || len(token) != 22 {
			t.Errorf("%+v has the token %q", e, token)
		}
		seen[token] = true
	}
}

// Whatever comes in, it is an event or a fault; what is taken is text, and stands at its column.
func FuzzEvent(f *testing.F) {
	set := own(f, "records", "pairs")
	for _, text := range []string{
		`{"specversion":"1.0","id":"1","source":"s","type":"records.created","data":{"id":"7","a":1.50,"b":null,"c":[{}],"d":"\ud842\udfb7"}}`,
		`{"specversion":"1.0","id":"1","source":"s","type":"pairs.deleted","time":"2026-11-25T09:30:00+08:00","subject":"7","data":{"id":"7","part":"\u001f"}}`,
		`{"data_base64":""}`, `[`, "\xff", `{"data":{"":0}}`, `{"specversion":"1.0","id":"\ud842","source":"s","type":"records.deleted","subject":"\\u"}`,
	} {
		f.Add(text, false)
		f.Add(text, true)
	}
	f.Fuzz(func(t *testing.T, text string, binary bool) {
		var header map[string][]string
		if binary {
			header = map[string][]string{"ce-specversion": {"1.0"}, "ce-id": {text}, "ce-source": {"s"}, "ce-type": {"records.deleted"}, "ce-subject": {text}}
		}
		e, err := decode(header, []byte(text))
		if err == nil {
			_, err = e.use(set)
		}
		if err != nil {
			if fault, ok := errors.AsType[*fault](err); !ok || fault.status < 400 || fault.status > 422 || fault.en == "" || fault.zh == "" {
				t.Fatalf("%q is refused with %v", text, err)
			}
			return
		}
		d, _ := e.use(set)
		r, err := e.row(d)
		if err != nil || len(r.columns) != len(r.values) || r.null != nil && len(r.null) != len(r.values) {
			t.Fatalf("%q: %+v, %v", text, r, err)
		}
		for i := range r.columns {
			if !utf8.ValidString(r.columns[i]) || !utf8.ValidString(r.values[i]) || i > 0 && r.columns[i-1] >= r.columns[i] {
				t.Fatalf("%q: %+v", text, r)
			}
		}
	})
}
