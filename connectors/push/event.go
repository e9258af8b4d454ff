package push

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"mime"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/shirecounty/shire/connectors"
	"github.com/shirecounty/shire/schemas/change"
	"github.com/shirecounty/shire/schemas/contract"
)

// event is one CloudEvent 1.0 with the attributes that say something to Shire. Its type ends in what happened to the
// record, its data are the record's columns:
//
//	{"specversion": "1.0", "id": "88213", "source": "civil-affairs/marriages", "type": "shire.record.updated",
//	 "time": "2026-11-25T09:30:00+08:00", "data": {"number": "M-7", "registered_on": "2026-11-25", "fee": 9.00, "note": null}}
type event struct {
	id, source, typ string
	subject         string // the record's key, when it is given
	dataset         string // an extension attribute
	op              change.Op
	time            time.Time
	data            []byte // a JSON object; nil when there is none
}

// ops are the last parts of a type.
var ops = map[string]change.Op{"created": change.Create, "updated": change.Update, "deleted": change.Delete, "snapshot": change.Snapshot}

// token tells the event from the others of its dataset. CloudEvents promises that source and id together do; ids may hold
// what a subject of NATS may not.
func (e *event) token() string {
	sum := sha256.Sum256([]byte(e.source + "\x00" + e.id))
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}

// prefix of the headers of an event in binary mode.
const prefix = "ce-"

// binary tells whether the headers hold the attributes and the data stand alone.
func binary(header map[string][]string) bool {
	return attributeOf(header, "specversion") != "" || attributeOf(header, "id") != "" || attributeOf(header, "type") != ""
}

// binaryHeader tells whether a header belongs to an event in binary mode.
func binaryHeader(name string) bool {
	name = strings.ToLower(name)
	return strings.HasPrefix(name, prefix) || name == "content-type"
}

// attributeOf finds an attribute among headers, whose names come in any case.
func attributeOf(header map[string][]string, name string) string {
	for h, values := range header {
		if strings.EqualFold(h, prefix+name) && len(values) > 0 {
			return values[0]
		}
	}
	return ""
}

// decode reads an event in either mode. The error is a *fault, and the event then holds what could be read of it.
func decode(header map[string][]string, data []byte) (event, error) {
	if binary(header) {
		return decodeBinary(header, data)
	}
	return decodeStructured(data)
}

func decodeBinary(header map[string][]string, data []byte) (event, error) {
	var e event
	attributes := map[string]string{}
	for name, values := range header {
		name, ok := strings.CutPrefix(strings.ToLower(name), prefix)
		if !ok || len(values) == 0 {
			continue
		}
		value, err := url.PathUnescape(values[0])
		if err != nil || !utf8.ValidString(value) {
			return e, malformed("the header %s%s is not percent-encoded UTF-8", "请求头 %s%s 不是百分号编码的 UTF-8 文本", prefix, name)
		}
		attributes[name] = value
	}
	for name, values := range header {
		if strings.EqualFold(name, "content-type") && len(values) > 0 {
			attributes["datacontenttype"] = values[0]
		}
	}
	if len(data) > 0 {
		if !utf8.Valid(data) {
			return e, errUTF8
		}
		e.data = data
	}
	return e, e.fill(attributes)
}

// attributes are those that are read; others are let be.
var attributes = []string{"specversion", "id", "source", "type", "subject", "time", "dataset", "datacontenttype"}

func decodeStructured(text []byte) (event, error) {
	var e event
	if !utf8.Valid(text) {
		return e, errUTF8
	}
	found, seen := map[string]string{}, map[string]bool{}
	err := members(text, func(name string, value json.RawMessage) error {
		if seen[name] && (name == "data" || slices.Contains(attributes, name)) {
			return malformed("the member %s stands twice", "成员 %s 重复", name)
		}
		seen[name] = true
		switch {
		case name == "data":
			if string(value) != "null" {
				e.data = value
			}
		case name == "data_base64":
			return malformed("the data are bytes (data_base64); send a JSON object in data", "数据为字节（data_base64）；请在 data 中发送 JSON 对象")
		case slices.Contains(attributes, name) && string(value) != "null":
			v, ok := textOf(value)
			if !ok {
				return malformed("the attribute %s is not a text", "属性 %s 不是文本", name)
			}
			found[name] = v
		}
		return nil
	})
	if err != nil {
		return e, err
	}
	return e, e.fill(found)
}

// maxAttribute bounds a text that is no data.
const maxAttribute = 4 << 10

// fill takes the attributes and proves them.
func (e *event) fill(a map[string]string) error {
	for _, name := range attributes {
		if len(a[name]) > maxAttribute {
			return malformed("the attribute %s is longer than 4 KiB", "属性 %s 超过 4 KiB", name)
		}
	}
	e.id, e.source, e.typ, e.subject, e.dataset = a["id"], a["source"], a["type"], a["subject"], a["dataset"]
	if text := a["time"]; text != "" {
		at, err := time.Parse(time.RFC3339Nano, text)
		if err != nil {
			return malformed("the attribute time is not a time such as 2026-11-25T09:30:00+08:00", "属性 time 不是形如 2026-11-25T09:30:00+08:00 的时间")
		}
		e.time = at
	}
	if a["specversion"] != "1.0" {
		return malformed("the attribute specversion is not 1.0", "属性 specversion 不是 1.0")
	}
	for _, name := range []string{"id", "source", "type"} {
		if a[name] == "" {
			return malformed("the attribute %s is missing", "缺少属性 %s", name)
		}
	}
	if t := a["datacontenttype"]; t != "" {
		media, _, err := mime.ParseMediaType(t)
		if err != nil || media != "application/json" && !strings.HasSuffix(media, "+json") {
			return malformed("the data are not application/json", "数据不是 application/json")
		}
	}
	op, ok := ops[e.typ[strings.LastIndexByte(e.typ, '.')+1:]]
	if !ok {
		return unusable("the type does not end in .created, .updated, .deleted or .snapshot", "type 不以 .created、.updated、.deleted 或 .snapshot 结尾")
	}
	e.op = op
	return nil
}

// of is the dataset that the event is about: the attribute dataset says so, or the type's part before the last
// (shire.marriages.updated), or there is only one.
func (e *event) of(own contract.Set) (*contract.Dataset, error) {
	if e.dataset != "" {
		if d := own[e.dataset]; d != nil {
			return d, nil
		}
		return nil, unusable("the attribute dataset names none of this source; it has: %s", "属性 dataset 不是本数据源的数据集；本数据源有：%s", strings.Join(own.Names(), ", "))
	}
	if parts := strings.Split(e.typ, "."); len(parts) > 1 {
		if d := own[parts[len(parts)-2]]; d != nil {
			return d, nil
		}
	}
	if names := own.Names(); len(names) == 1 {
		return own[names[0]], nil
	}
	return nil, unusable("it is not said which dataset the event is about; name it in the attribute dataset: %s", "未说明事件属于哪个数据集；请在属性 dataset 中注明：%s", strings.Join(own.Names(), ", "))
}

// row is the data's columns in the order of their names, so that events whose members stand in another order still go
// into one message.
type row struct {
	columns []string
	values  []string
	null    []bool // nil when none is
}

// maxColumns bounds what a message of the bus has to hold.
const maxColumns = 2000

// row reads the data.
func (e *event) row(d *contract.Dataset) (row, error) {
	var r row
	if e.data == nil {
		if e.op == change.Delete && e.subject != "" && len(d.Key) == 1 {
			i, _ := d.Field(d.Key[0])
			return row{columns: d.Fields[i].SourceNames()[:1], values: []string{e.subject}}, nil
		}
		return r, unusable("there are no data; a deletion needs those of the key", "没有 data；删除也需要主键字段")
	}
	type cell struct {
		name, value string
		null        bool
	}
	var cells []cell
	nulls := false
	err := members(e.data, func(name string, value json.RawMessage) error {
		c := cell{name: name, value: string(value)}
		switch {
		case name == "":
			return unusable("a column has no name", "有一列没有名称")
		case len(cells) == maxColumns:
			return unusable("there are more than %d columns", "列数超过 %d", maxColumns)
		case value[0] == '"':
			var ok bool
			if c.value, ok = textOf(value); !ok {
				return malformed("a text in the data holds half of a surrogate pair", "data 中的文本含有不成对的代理字符")
			}
		case value[0] == 'n':
			c.value, c.null = "", true
		}
		nulls = nulls || c.null
		cells = append(cells, c)
		return nil
	})
	if err != nil {
		return r, err
	}
	slices.SortFunc(cells, func(a, b cell) int { return strings.Compare(a.name, b.name) })
	for i, c := range cells {
		if i > 0 && cells[i-1].name == c.name {
			return r, malformed("a column stands twice in the data", "data 中有重复的列")
		}
		r.columns, r.values = append(r.columns, c.name), append(r.values, c.value)
		if nulls {
			r.null = append(r.null, c.null)
		}
	}
	return r, nil
}

// key is the record's key, which the subject does not contradict.
func (e *event) key(k *connectors.Keyer, r row) (string, error) {
	key, problem := k.Key(r.values)
	if problem != "" {
		return "", unusable("%s", "主键字段为空或无法使用：%s", problem)
	}
	if e.subject != "" && len(k.Columns()) == 1 && strings.TrimSpace(e.subject) != key {
		return "", unusable("the subject is not the key that stands in the data; leave it out, or write the key", "subject 与 data 中的主键不一致；请省略，或填写主键")
	}
	return key, nil
}

// use proves that the event can be used for one of the datasets.
func (e *event) use(own contract.Set) (*contract.Dataset, error) {
	d, err := e.of(own)
	if err != nil {
		return nil, err
	}
	r, err := e.row(d)
	if err != nil {
		return nil, err
	}
	k, err := connectors.NewKeyer(d, r.columns)
	if err != nil {
		return nil, keyFault(d)
	}
	_, err = e.key(k, r)
	return d, err
}

func keyFault(d *contract.Dataset) *fault {
	return unusable("the data lack a column of the key: %s", "data 缺少主键列：%s", strings.Join(d.Key, ", "))
}
