package query

import (
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/shirecounty/shire/connectors"
	"github.com/shirecounty/shire/schemas/contract"
	"github.com/shirecounty/shire/schemas/county"
	"github.com/shirecounty/shire/schemas/document"
)

// settings is what stands under with: of a source of kind query; docs/connectors/query.md describes it.
type settings struct {
	driver       string
	dialect      dialect
	host         string
	port         int
	database     string
	user         string
	password     county.Secret
	tls          string // on, off, unverified
	ca           string // file; "": the system's authorities
	zone         *time.Location
	poll         time.Duration
	chunkRows    int
	timeout      time.Duration
	maxDeletions float64 // share, 0 to 1
	tables       []tableSettings
}

// tableSettings is an item of tables:.
type tableSettings struct {
	name      string // as it was written
	parts     []string
	dataset   string
	watermark string
	overlap   overlap
	every     time.Duration // between two comparisons of keys; 0: off
	deleted   soft
	columns   []string // nil: all
	outbox    *outboxSettings
}

// overlap is how far behind the newest watermark a poll begins: a duration, or a number for a watermark that is one.
type overlap struct {
	given    bool
	duration time.Duration
	number   int64
	isNumber bool
}

// soft says which value of a column marks a row as deleted.
type soft struct {
	column string // "": none does
	is     []string
}

// outboxSettings is what stands under outbox:.
type outboxSettings struct {
	id, op, payload string
	key             []string
	only            soft // which rows are the dataset's
	gapWait         time.Duration
}

var (
	settingKeys = []string{"driver", "address", "database", "service", "user", "password", "tls", "ca", "time_zone", "poll", "chunk_rows", "query_timeout", "max_deletions", "tables"}
	tableKeys   = []string{"table", "dataset", "watermark", "overlap", "deletions", "columns", "outbox"}
	outboxKeys  = []string{"id", "op", "key", "payload", "only", "gap_wait"}
)

// decodeSettings reads with: strictly and finds every mistake in one pass.
func decodeSettings(from connectors.Settings) (settings, error) {
	with := maps.Clone(from.Source.With) // onOff writes to it
	d := connectors.NewDecoder(from)
	s := settings{tls: "on", poll: 10 * time.Second, chunkRows: 5000, timeout: time.Minute, maxDeletions: 0.5}
	d.Known("with", with, settingKeys)
	d.Choice("with", with, "driver", &s.driver, driverNames...)
	if s.driver == "" && !d.Wrong("with.driver") {
		d.Fail("with.driver", "write "+strings.Join(driverNames, " or "), "is missing")
	}
	s.dialect = dialects[s.driver]
	var address, service, zone, ca string
	d.Text("with", with, "address", &address)
	if s.dialect != nil && !d.Wrong("with.address") {
		s.host, s.port = splitAddress(d, address, s.dialect.port())
	}
	d.Text("with", with, "database", &s.database)
	d.Text("with", with, "service", &service)
	if service != "" {
		if s.driver != "oracle" || s.database != "" {
			d.Fail("with.service", "write database: NAME; with Oracle, service: and database: are the same", "does not go with the other settings")
		}
		s.database = service
	}
	if s.database == "" && !d.Wrong("with.database") && !d.Wrong("with.service") {
		d.Fail("with.database", "name the database; with Oracle, the service", "is missing")
	}
	d.Text("with", with, "user", &s.user)
	if s.user == "" && !d.Wrong("with.user") {
		d.Fail("with.user", "name a user that may only read, see docs/connectors/query.md", "is missing")
	}
	d.Secret("with", with, "password", &s.password)
	onOff(with, "tls")
	d.Choice("with", with, "tls", &s.tls, "on", "off", "unverified")
	d.Text("with", with, "ca", &ca)
	if ca != "" {
		s.ca = from.Resolve(ca)
	}
	d.Text("with", with, "time_zone", &zone)
	if zone != "" {
		var err error
		if s.zone, err = time.LoadLocation(zone); err != nil {
			d.Fail("with.time_zone", "write a name such as Asia/Shanghai", "%q is not a time zone", zone)
		}
	}
	d.Duration("with", with, "poll", &s.poll)
	d.Int("with", with, "chunk_rows", &s.chunkRows, 1, 100_000)
	d.Duration("with", with, "query_timeout", &s.timeout)
	d.Share("with", with, "max_deletions", &s.maxDeletions)
	s.tables = decodeTables(d, with, from.Contracts)
	return s, d.Err()
}

// onOff undoes what YAML makes of the words on and off.
func onOff(m map[string]any, key string) {
	if b, ok := m[key].(bool); ok {
		m[key] = map[bool]string{true: "on", false: "off"}[b]
	}
}

func splitAddress(d *connectors.Decoder, address string, port int) (string, int) {
	if address == "" {
		d.Fail("with.address", fmt.Sprintf("write host:port, such as 10.1.2.3:%d", port), "is missing")
		return "", 0
	}
	host, text, err := net.SplitHostPort(address)
	if err != nil {
		host, text = strings.Trim(address, "[]"), strconv.Itoa(port)
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > 65535 || host == "" {
		d.Fail("with.address", fmt.Sprintf("write host:port, such as 10.1.2.3:%d", port), "is not an address")
	}
	return host, n
}

func decodeTables(d *connectors.Decoder, with map[string]any, contracts contract.Set) (tables []tableSettings) {
	served := map[string]bool{}
	for i, m := range d.Maps("with", with, "tables", "{table: HR.RESIDENTS, dataset: NAME, watermark: UPDATED_AT}") {
		path := fmt.Sprintf("with.tables[%d]", i)
		t := decodeTable(d, path, m, contracts)
		if served[t.dataset] {
			d.Fail(path+".dataset", "give each dataset one table; a view can join several", "dataset %s has a table already", t.dataset)
		}
		served[t.dataset] = true
		tables = append(tables, t)
	}
	if d.Err() == nil {
		for _, name := range contracts.Names() {
			if !served[name] {
				d.Fail("with.tables", fmt.Sprintf("add {table: ..., dataset: %s, watermark: ...}, or take it out of datasets:", name), "has no table for dataset %s", name)
			}
		}
	}
	return tables
}

func decodeTable(d *connectors.Decoder, path string, m map[string]any, contracts contract.Set) tableSettings {
	t := tableSettings{every: 24 * time.Hour}
	m = maps.Clone(m)
	d.Known(path, m, tableKeys)
	d.Text(path, m, "table", &t.name)
	t.parts = strings.Split(t.name, ".")
	if !d.Wrong(path+".table") && (len(t.parts) > 2 || slices.ContainsFunc(t.parts, notName)) {
		d.Fail(path+".table", "write TABLE or SCHEMA.TABLE, in the letters that the database's catalog has", "is not the name of a table")
	}
	d.Text(path, m, "dataset", &t.dataset)
	if contracts[t.dataset] == nil && !d.Wrong(path+".dataset") {
		d.Fail(path+".dataset", document.DidYouMean(t.dataset, contracts.Names()), "%q is not in the datasets: of this source", t.dataset)
	}
	name := func(at string, m map[string]any, key string, into *string) {
		d.Text(at, m, key, into)
		if *into != "" && notName(*into) {
			d.Fail(at+"."+key, "write the column's name as the database's catalog has it", "is not the name of a column")
		}
	}
	name(path, m, "watermark", &t.watermark)
	d.Texts(path, m, "columns", &t.columns)
	if slices.ContainsFunc(t.columns, notName) {
		d.Fail(path+".columns", "write the names as the database's catalog has them", "holds what is not the name of a column")
	}
	decodeOverlap(d, path, m, &t.overlap)
	decodeDeletions(d, path, m, &t, name)
	if _, there := m["outbox"]; !there {
		if t.watermark == "" && !d.Wrong(path+".watermark") {
			d.Fail(path+".watermark", "name the column that rises with every change, or describe an outbox:", "is missing")
		}
		return t
	}
	for _, key := range []string{"watermark", "overlap", "deletions", "columns"} {
		if _, there := m[key]; there {
			d.Fail(path+"."+key, "take it out", "has no meaning with outbox:")
		}
	}
	o, ok := m["outbox"].(map[string]any)
	if !ok {
		d.Fail(path+".outbox", "write {id: ID, op: OP, payload: PAYLOAD}", "is not a mapping")
		return t
	}
	t.outbox = &outboxSettings{gapWait: time.Minute}
	at := path + ".outbox"
	d.Known(at, o, outboxKeys)
	name(at, o, "id", &t.outbox.id)
	name(at, o, "op", &t.outbox.op)
	name(at, o, "payload", &t.outbox.payload)
	for _, c := range []struct{ key, has string }{{"id", t.outbox.id}, {"payload", t.outbox.payload}} {
		if c.has == "" && !d.Wrong(at+"."+c.key) {
			d.Fail(at+"."+c.key, "name the column", "is missing")
		}
	}
	d.Texts(at, o, "key", &t.outbox.key)
	if slices.ContainsFunc(t.outbox.key, notName) {
		d.Fail(at+".key", "write the names as the database's catalog has them", "holds what is not the name of a column")
	}
	if c := contracts[t.dataset]; c != nil && t.outbox.key != nil && len(t.outbox.key) != len(c.Key) {
		d.Fail(at+".key", "name the columns that hold the contract's key "+strings.Join(c.Key, ", ")+", in this order", "has %d columns, the contract's key %d", len(t.outbox.key), len(c.Key))
	}
	d.Duration(at, o, "gap_wait", &t.outbox.gapWait)
	if _, there := o["only"]; there {
		decodeSoft(d, at+".only", o["only"], &t.outbox.only, name)
	}
	return t
}

// notName tells what can be no identifier. Identifiers are quoted by the dialect too.
func notName(s string) bool {
	return s == "" || len(s) > 128 || strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || strings.ContainsRune("\"`[]';\x7f", r) })
}

func decodeOverlap(d *connectors.Decoder, path string, m map[string]any, into *overlap) {
	v, there := m["overlap"]
	if !there {
		return
	}
	into.given = true
	if n, err := strconv.ParseInt(fmt.Sprint(v), 10, 64); err == nil && n >= 0 {
		into.number, into.isNumber = n, true
		return
	}
	var err error
	if into.duration, err = time.ParseDuration(fmt.Sprint(v)); err != nil || into.duration < 0 {
		d.Fail(path+".overlap", "write a duration such as 5m, or a number for a watermark that is one", "is neither a duration nor a number")
	}
}

// decodeDeletions reads off, every 24h, and {every: 24h, column: IS_DELETED, is: "1"}.
func decodeDeletions(d *connectors.Decoder, path string, m map[string]any, t *tableSettings, name func(string, map[string]any, string, *string)) {
	onOff(m, "deletions")
	const do = `write off, every 24h, or {column: IS_DELETED, is: "1"}`
	switch v := m["deletions"].(type) {
	case nil:
		if _, there := m["deletions"]; there {
			d.Fail(path+".deletions", do, "is empty")
		}
	case string:
		if v == "off" {
			t.every = 0
			return
		}
		text, ok := strings.CutPrefix(v, "every ")
		every, err := time.ParseDuration(strings.TrimSpace(text))
		if !ok || err != nil || every <= 0 {
			d.Fail(path+".deletions", do, "is not how deletions are found")
			return
		}
		t.every = every
	case map[string]any:
		d.Known(path+".deletions", v, []string{"every", "column", "is"})
		t.every = 0
		d.Duration(path+".deletions", v, "every", &t.every)
		if _, there := v["column"]; there {
			decodeSoft(d, path+".deletions", map[string]any{"column": v["column"], "is": v["is"]}, &t.deleted, name)
		} else if t.every == 0 {
			d.Fail(path+".deletions", do, "says neither every: nor column:")
		}
	default:
		d.Fail(path+".deletions", do, "is not how deletions are found")
	}
}

func decodeSoft(d *connectors.Decoder, path string, v any, into *soft, name func(string, map[string]any, string, *string)) {
	m, ok := v.(map[string]any)
	if !ok {
		d.Fail(path, `write {column: NAME, is: "VALUE"}`, "is not a mapping")
		return
	}
	d.Known(path, m, []string{"column", "is"})
	name(path, m, "column", &into.column)
	list, ok := m["is"].([]any)
	if !ok && m["is"] != nil {
		list = []any{m["is"]}
	}
	for _, item := range list {
		into.is = append(into.is, fmt.Sprint(item)) // 1 is as good as "1"
	}
	if into.column == "" && !d.Wrong(path+".column") {
		d.Fail(path+".column", "name the column", "is missing")
	}
	if len(into.is) == 0 {
		d.Fail(path+".is", `write the value, or a list of values: ["1", "Y"]`, "is missing")
	}
}

// holds tells whether the column's value is one of those meant.
func (s soft) holds(value string, null bool) bool { return !null && slices.Contains(s.is, value) }
