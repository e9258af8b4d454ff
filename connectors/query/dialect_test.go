package query

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write the golden files anew")

// catalogs are rows as the catalogs of the databases give them.
var catalogs = map[string][][]string{
	"oracle": {
		{"REGION", "CHAR", "6", "", "", "N", "C", "6"}, {"ID", "NUMBER", "0", "18", "0", "N", "", "22"}, {"NAME", "VARCHAR2", "60", "", "", "Y", "C", "240"},
		{"TITLE", "NVARCHAR2", "60", "", "", "Y", "C", "120"}, {"PRICE", "NUMBER", "0", "12", "2", "Y", "", "22"}, {"ANY", "NUMBER", "0", "", "", "Y", "", "22"},
		{"RATIO", "BINARY_DOUBLE", "0", "", "", "Y", "", "8"}, {"BORN", "DATE", "0", "", "", "Y", "", "7"}, {"UPDATED_AT", "TIMESTAMP(6)", "0", "", "6", "Y", "", "11"},
		{"SEEN", "TIMESTAMP(3) WITH TIME ZONE", "0", "", "3", "Y", "", "13"}, {"HERE", "TIMESTAMP(0) WITH LOCAL TIME ZONE", "0", "", "0", "Y", "", "11"},
		{"TOKEN", "RAW", "0", "", "", "Y", "", "16"}, {"PHOTO", "BLOB", "0", "", "", "Y", "", "4000"}, {"BIO", "CLOB", "0", "", "", "Y", "", "4000"},
		{"DOC", "XMLTYPE", "0", "", "", "Y", "", "2000"}, {"SPAN", "INTERVAL DAY(2) TO SECOND(6)", "0", "2", "6", "Y", "", "11"},
	},
	"sqlserver": {
		{"region", "char", "6", "0", "0", "0", "Chinese_PRC_CI_AS"}, {"id", "uniqueidentifier", "16", "0", "0", "0", ""}, {"name", "nvarchar", "120", "0", "0", "1", "Chinese_PRC_CI_AS"},
		{"bio", "nvarchar", "-1", "0", "0", "1", "Chinese_PRC_CI_AS"}, {"code", "bigint", "8", "19", "0", "1", ""}, {"price", "decimal", "9", "12", "2", "1", ""},
		{"cash", "money", "8", "19", "4", "1", ""}, {"ratio", "float", "8", "53", "0", "1", ""}, {"open", "bit", "1", "1", "0", "1", ""}, {"born", "date", "3", "10", "0", "1", ""},
		{"old", "datetime", "8", "23", "3", "1", ""}, {"updated_at", "datetime2", "8", "27", "7", "1", ""}, {"seen", "datetimeoffset", "10", "34", "7", "1", ""},
		{"at", "time", "5", "16", "7", "1", ""}, {"version", "timestamp", "8", "0", "0", "0", ""}, {"token", "varbinary", "16", "0", "0", "1", ""},
		{"photo", "image", "16", "0", "0", "1", ""}, {"doc", "xml", "-1", "0", "0", "1", ""}, {"place", "geography", "-1", "0", "0", "1", ""},
	},
	"postgres": {
		{"region", "character(6)", "bpchar", "false", "10"}, {"id", "bigint", "int8", "false", "-1"}, {"name", "text", "text", "true", "-1"},
		{"updated_at", "timestamp(6) without time zone", "timestamp", "true", "6"}, {"seen", "timestamp with time zone", "timestamptz", "true", "-1"},
		{"born", "date", "date", "true", "-1"}, {"token", "bytea", "bytea", "true", "-1"}, {"cash", "money", "money", "true", "-1"},
	},
	"mysql": {
		{"region", "char(6)", "char", "NO", ""}, {"id", "bigint(20) unsigned", "bigint", "NO", "0"}, {"name", "varchar(60)", "varchar", "YES", ""},
		{"updated_at", "datetime(6)", "datetime", "YES", ""}, {"seen", "timestamp(6)", "timestamp", "YES", ""}, {"born", "date", "date", "YES", ""},
		{"price", "decimal(12,2)", "decimal", "YES", "2"}, {"ratio", "float", "float", "YES", ""}, {"open", "bit(1)", "bit", "YES", ""}, {"kind", "enum('a','b')", "enum", "YES", ""},
		{"token", "varbinary(16)", "varbinary", "YES", ""}, {"at", "time", "time", "YES", ""},
	},
}

// watermarks are the columns that can be one, with an overlap.
var watermarks = map[string][]string{
	"oracle": {"UPDATED_AT", "SEEN", "BORN", "ID"}, "sqlserver": {"updated_at", "seen", "old", "born", "version", "code"},
	"postgres": {"updated_at", "seen", "born", "id"}, "mysql": {"updated_at", "seen", "born", "id"},
}

// TestStatements compares all that is asked of a database with the golden files; those of PostgreSQL and MySQL are run
// against servers as well.
func TestStatements(t *testing.T) {
	for _, driver := range driverNames {
		t.Run(driver, func(t *testing.T) {
			d := dialects[driver]
			s := settings{driver: driver, dialect: d, database: "hr", user: "shire"}
			spec := tableSettings{name: "HR.RESI`D]\"ENTS", parts: []string{"HR", "RESI`D]\"ENTS"}}
			name := s.named(spec)
			var out strings.Builder
			show := func(what string, q statement) {
				fmt.Fprintf(&out, "-- %s\n%s;\n", what, q.text)
				if len(q.args) > 0 {
					fmt.Fprintf(&out, "-- with %q\n", q.args)
				}
				out.WriteByte('\n')
			}
			show("the wall clock", statement{text: d.offset()})
			for _, text := range d.session(time.Minute) {
				show("session", statement{text: text})
			}
			text, args := d.catalog(name)
			show("catalog", statement{text, args})
			text, args = d.indexed(name, watermarks[driver][0])
			show("index of the watermark", statement{text, args})
			show("grant", statement{text: d.grant(name, s.user)})
			x := &statements{dialect: d, table: name.quoted(d), seconds: 28800}
			for _, row := range catalogs[driver] {
				x.columns = append(x.columns, d.column(row))
			}
			for _, mark := range watermarks[driver] {
				for i := range x.columns {
					if x.columns[i].name == mark {
						x.mark = &x.columns[i]
					}
				}
				by := overlap{duration: 5*time.Minute + 500*time.Millisecond, number: 1000}
				show("newest "+mark, x.newest(by))
				if q := x.ahead(); q.text != "" {
					show("ahead "+mark, q)
				}
				short := *x
				short.columns, short.key = x.columns[:2], []*column{&x.columns[0], &x.columns[1]}
				show("from the beginning by "+mark, short.changed("", "", cursor{}, 10))
				show("from a watermark on by "+mark, short.changed("F", "B", cursor{}, 10))
				for c := behind([]string{"M", "K1", "K2"}); !c.done; c.advance(nil, false) {
					show("on by "+mark, short.changed("F", "", c, 10))
				}
			}
			x.key = []*column{&x.columns[0], &x.columns[1]}
			show("every column, one key at a time", x.lookup([][]string{{"K1", "K2"}, {"L1", "L2"}}))
			for i := range x.columns {
				c := &x.columns[i]
				fmt.Fprintf(&out, "-- %s %s: %s\n", c.name, c.declared, d.typed(c, 1))
			}
			out.WriteByte('\n')
			three := *x
			three.columns = x.columns[:3]
			nullable := x.columns[2]
			three.key = []*column{&x.columns[0], &x.columns[1], &nullable}
			show("rows after a key of three columns, of which one may be NULL", three.all(behind([]string{"K1", "K2", "K3"}), 10))
			show("rows without a key", three.withoutKey())
			show("keys", three.keys([]*column{x.mark}, false, cursor{}, 10))
			show("keys without a watermark", three.keys([]*column{x.mark}, true, cursor{[]string{"K1", "K2", "K3"}, 2, false}, 10))
			file := filepath.Join("testdata", driver+".sql")
			if *update {
				if err := os.WriteFile(file, []byte(out.String()), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if out.String() != string(want) {
				got, golden := strings.Split(out.String(), "\n"), strings.Split(string(want), "\n")
				for i := range min(len(got), len(golden)) {
					if got[i] != golden[i] {
						t.Fatalf("%s:%d differs:\ngot  %s\nwant %s\nrun the test with -update when this is meant", file, i+1, got[i], golden[i])
					}
				}
				t.Fatalf("%s has another length", file)
			}
		})
	}
}

// TestFixes: what is left to do with the text of a database.
func TestFixes(t *testing.T) {
	for _, c := range []struct{ driver, column, text, want string }{
		{"oracle", "PRICE", ".5", "0.5"}, {"oracle", "PRICE", "-.5", "-0.5"}, {"oracle", "PRICE", "12.5", "12.5"}, {"oracle", "ANY", "1E+100", "1E+100"},
		{"oracle", "RATIO", "1.0000000000000001E-001", "0.1"}, {"oracle", "PHOTO", "\x00\xff", "00ff"},
		{"sqlserver", "ratio", "1.0000000000000001e-001", "0.1"}, {"mysql", "ratio", "0.10000000149011612", "0.1"}, {"mysql", "ratio", "no number", "no number"},
	} {
		for _, row := range catalogs[c.driver] {
			if row[0] != c.column {
				continue
			}
			col := dialects[c.driver].column(row)
			if got := col.fix(c.text); got != c.want {
				t.Errorf("%s %s: %q becomes %q, not %q", c.driver, c.column, c.text, got, c.want)
			}
		}
	}
}

// FuzzColumns: whatever a catalog says, no dialect panics, and what it makes of it is quoted.
func FuzzColumns(f *testing.F) {
	for driver, rows := range catalogs {
		for _, row := range rows {
			f.Add(driver, strings.Join(row, "\x00"))
		}
	}
	f.Fuzz(func(t *testing.T, driver, row string) {
		d, ok := dialects[driver]
		if !ok {
			return
		}
		fields := make([]string, 8)
		copy(fields, strings.Split(row, "\x00"))
		c := d.column(fields)
		e := d.quote(c.name)
		if d.text(&c, e) == "" || d.typed(&c, 1) == "" {
			t.Error("nothing comes of a column")
		}
		d.now(&c, 1)
		d.back(&c, e, overlap{number: 1})
		if c.fix != nil {
			c.fix(row)
		}
	})
}
