package query

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/shirecounty/shire/connectors"
	"github.com/shirecounty/shire/connectors/conformance"
	"github.com/shirecounty/shire/schemas/change"
	"github.com/shirecounty/shire/schemas/contract"
	"github.com/shirecounty/shire/schemas/county"
)

const goodSettings = `
driver: oracle
address: 10.1.2.3
service: ORCLPDB1
user: shire
password: file:secrets/hr
tls: off
time_zone: Asia/Shanghai
poll: 1s
chunk_rows: 100
query_timeout: 2m
max_deletions: 20%
tables:
  - table: HR.RESIDENTS
    dataset: records
    watermark: UPDATED_AT
    overlap: 10m
    deletions: {every: 12h, column: GONE, is: [1, "Y"]}
    columns: [NAME]
`

func decode(t *testing.T, text string) (settings, error) {
	t.Helper()
	var with map[string]any
	if err := yaml.Unmarshal([]byte(text), &with); err != nil {
		t.Fatal(err)
	}
	d, err := contract.Parse("records.yaml", []byte(strings.Replace(testContract, "KEY", "id", 1)), "Asia/Shanghai")
	if err != nil {
		t.Fatal(err)
	}
	return decodeSettings(connectors.Settings{
		Source: county.Source{Name: "hr", Kind: "query", With: with}, Contracts: contract.Set{conformance.Dataset: d},
		Resolve: func(p string) string { return "/etc/shire/" + p }, Log: slog.New(slog.DiscardHandler),
	})
}

func TestGoodSettings(t *testing.T) {
	s, err := decode(t, goodSettings)
	if err != nil {
		t.Fatal(err)
	}
	table := s.tables[0]
	if s.port != 1521 || s.database != "ORCLPDB1" || string(s.password) != "file:/etc/shire/secrets/hr" || s.tls != "off" || s.maxDeletions != 0.2 ||
		table.every != 12*time.Hour || !table.deleted.holds("1", false) || !table.deleted.holds("Y", false) || table.deleted.holds("1", true) || table.overlap.duration != 10*time.Minute {
		t.Errorf("%+v", s)
	}
	if n := s.named(tableSettings{parts: []string{"T"}}); n != (tableName{"SHIRE", "T"}) {
		t.Errorf("a table without a schema is %v", n)
	}
	for _, c := range []struct {
		deletions string
		every     time.Duration
	}{{"off", 0}, {"every 24h", 24 * time.Hour}, {`{column: A, is: 1}`, 0}} {
		text := strings.Replace(goodSettings, `{every: 12h, column: GONE, is: [1, "Y"]}`, c.deletions, 1)
		if s, err := decode(t, text); err != nil || s.tables[0].every != c.every {
			t.Errorf("deletions %s: %v, %v", c.deletions, s.tables, err)
		}
	}
}

func TestMistakesInSettings(t *testing.T) {
	outbox := func(text string) string {
		before, _, _ := strings.Cut(goodSettings, "    watermark")
		return before + "    outbox: " + text + "\n"
	}
	for _, c := range []struct{ name, text, want string }{
		{"driver", strings.Replace(goodSettings, "oracle", "db2", 1), `with.driver "db2" is not one of the choices`},
		{"no driver", strings.Replace(goodSettings, "driver: oracle", "", 1), "with.driver is missing; write mysql or oracle or postgres or sqlserver"},
		{"address", strings.Replace(goodSettings, "10.1.2.3", "10.1.2.3:port", 1), "with.address is not an address; write host:port, such as 10.1.2.3:1521"},
		{"no address", strings.Replace(goodSettings, "address: 10.1.2.3", "", 1), "with.address is missing"},
		{"service of another", strings.Replace(goodSettings, "oracle", "mysql", 1), "with.service does not go"},
		{"no database", strings.Replace(goodSettings, "service: ORCLPDB1", "", 1), "with.database is missing"},
		{"no user", strings.Replace(goodSettings, "user: shire", "", 1), "with.user is missing"},
		{"zone", strings.Replace(goodSettings, "Asia/Shanghai", "Asia/Shangai", 1), `with.time_zone "Asia/Shangai" is not a time zone`},
		{"typo", strings.Replace(goodSettings, "watermark", "watermrak", 1), "with.tables[0].watermrak is not a setting"},
		{"no watermark", strings.Replace(goodSettings, "watermark: UPDATED_AT", "", 1), "with.tables[0].watermark is missing"},
		{"injection", strings.Replace(goodSettings, "HR.RESIDENTS", `'HR.R"; DROP TABLE X'`, 1), "with.tables[0].table is not the name of a table"},
		{"injection in a column", strings.Replace(goodSettings, "[NAME]", `["NAME] FROM X"]`, 1), "with.tables[0].columns holds what is not the name"},
		{"three parts", strings.Replace(goodSettings, "HR.RESIDENTS", "A.B.C", 1), "with.tables[0].table is not the name of a table"},
		{"dataset", strings.Replace(goodSettings, "dataset: records", "dataset: recrods", 1), `with.tables[0].dataset "recrods" is not in the datasets`},
		{"overlap", strings.Replace(goodSettings, "10m", "long", 1), "with.tables[0].overlap is neither a duration nor a number"},
		{"negative overlap", strings.Replace(goodSettings, "10m", "-5m", 1), "with.tables[0].overlap is neither a duration nor a number"},
		{"deletions", strings.Replace(goodSettings, `{every: 12h, column: GONE, is: [1, "Y"]}`, "daily", 1), "with.tables[0].deletions is not how deletions are found"},
		{"soft deletions without a value", strings.Replace(goodSettings, `, is: [1, "Y"]`, "", 1), "with.tables[0].deletions.is is missing"},
		{"dataset twice", goodSettings + "  - {table: B, dataset: records, watermark: C}\n", "has a table already"},
		{"outbox and watermark", goodSettings + "    outbox: {id: A, payload: B}\n", "with.tables[0].watermark has no meaning with outbox:"},
		{"outbox without id", outbox("{payload: B}"), "with.tables[0].outbox.id is missing"},
		{"outbox with a key too much", outbox("{id: A, payload: B, key: [C, D]}"), "with.tables[0].outbox.key has 2 columns"},
		{"outbox is a text", outbox("yes please"), "with.tables[0].outbox is not a mapping"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.text == goodSettings {
				t.Fatal("the mistake is not there")
			}
			_, err := decode(t, c.text)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got  %v\nwant %s", err, c.want)
			}
		})
	}
}

// FuzzPayload: whatever stands in an outbox, it is columns or a sentence.
func FuzzPayload(f *testing.F) {
	for _, s := range []string{`{"a": 1}`, `{"a": "\ud800"}`, `[]`, `{"a": {"b": [null]}} x`, ``, `null`, "{\"a\":\"\xff\"}"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		fields, err := decodePayload(s)
		if (fields == nil) == (err == nil) {
			t.Errorf("%v, %v", fields, err)
		}
	})
}

// FuzzPosition and entries: what stands on the bus or in the ledger never ends the process.
func FuzzPosition(f *testing.F) {
	f.Add(`{"next":"a","mark":"b","phase":"first"}`, []byte{})
	f.Add("17", make([]byte, 30))
	f.Fuzz(func(t *testing.T, s string, b []byte) {
		if at, ok := parsePosition(position{}.text()); ok {
			t.Error(at)
		}
		parsePosition(change.Position(s))
		if e, err := decodeEntry("key", b); err == nil {
			again, err := decodeEntry("key", e.encode("key"))
			if err != nil || again.content != e.content || again.mark != e.mark || len(again.raw) != len(e.raw) {
				t.Errorf("%+v became %+v, %v", e, again, err)
			}
		}
	})
}
