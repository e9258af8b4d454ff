package mysql

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	gomysql "github.com/go-mysql-org/go-mysql/mysql"
	"pgregory.net/rapid"

	"github.com/shirecounty/shire/connectors"
	"github.com/shirecounty/shire/schemas/change"
	"github.com/shirecounty/shire/schemas/contract"
	"github.com/shirecounty/shire/schemas/county"
)

const (
	serverA = "3e11fa47-71ca-11e1-9e33-c80aa9429562"
	serverB = "4e11fa47-71ca-11e1-9e33-c80aa9429562"
)

func gtidSet(t testing.TB, f flavor, text string) gtids {
	t.Helper()
	s, err := parseGTIDs(f, text)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestGTIDs(t *testing.T) {
	for _, c := range []struct {
		f                flavor
		a, b, meet, join string
		within           bool
		has, hasNot      string
	}{
		{mysqlFlavor, "", serverA + ":1-5", "", serverA + ":1-5", true, "", serverA + ":1"},
		{mysqlFlavor, serverA + ":1-5", serverA + ":1-9", serverA + ":1-5", serverA + ":1-9", true, serverA + ":5", serverA + ":6"},
		{mysqlFlavor, serverA + ":1-5:7-9,\n" + serverB + ":1", serverA + ":1-8", serverA + ":1-5:7-8", serverA + ":1-9," + serverB + ":1", false, serverA + ":7", serverA + ":6"},
		{mysqlFlavor, serverA + ":3-5", serverB + ":3-5", "", serverA + ":3-5," + serverB + ":3-5", false, serverA + ":3", serverA + ":2"},
		{mysqlFlavor, serverA + ":1-3", serverA + ":5-6", "", serverA + ":1-3:5-6", false, serverA + ":3", serverA + ":4"},
		{mariaDBFlavor, "", "0-1-5", "", "0-1-5", true, "", "0-1-1"},
		{mariaDBFlavor, "0-1-5", "0-2-9", "0-1-5", "0-2-9", true, "0-7-5", "0-1-6"},
		{mariaDBFlavor, "0-1-5,3-1-7", "0-1-4,4-1-1", "0-1-4", "0-1-5,3-1-7,4-1-1", false, "3-1-7", "4-1-1"},
	} {
		a, b := gtidSet(t, c.f, c.a), gtidSet(t, c.f, c.b)
		if got := a.meet(b).String(); got != c.meet {
			t.Errorf("%s and %s have %s in common, not %s", c.a, c.b, got, c.meet)
		}
		if got := a.join(b).String(); got != c.join {
			t.Errorf("%s and %s are together %s, not %s", c.a, c.b, got, c.join)
		}
		if a.within(b) != c.within {
			t.Errorf("%s within %s: %v", c.a, c.b, !c.within)
		}
		for text, want := range map[string]bool{c.has: true, c.hasNot: false} {
			if text == "" {
				continue
			}
			if g, err := parseGTID(c.f, text); err != nil || a.has(g) != want || g.String() != text {
				t.Errorf("%s in %s: %v, %v", text, c.a, !want, err)
			}
		}
		if again := gtidSet(t, c.f, a.String()); !again.within(a) || !a.within(again) || a.clone().String() != a.String() {
			t.Errorf("%s is not read back", a)
		}
	}
	for _, bad := range []string{"", "x", serverA, serverA + ":x", "0-1"} {
		for _, f := range []flavor{mysqlFlavor, mariaDBFlavor} {
			if g, err := parseGTID(f, bad); err == nil {
				t.Errorf("%q is %v", bad, g)
			}
		}
	}
	if _, err := parseGTIDs(mysqlFlavor, serverA+":tagged:1"); err == nil {
		t.Error("a tagged GTID was taken for an untagged one")
	}
}

// Adding one after the other, in any order, is the same as the set of them.
func TestGTIDsAdd(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		numbers := rapid.SliceOfDistinct(rapid.Uint64Range(1, 60), func(n uint64) uint64 { return n }).Draw(rt, "numbers")
		s, in := gtidSet(t, mysqlFlavor, ""), map[uint64]bool{}
		g, _ := parseGTID(mysqlFlavor, serverA+":1")
		for _, n := range numbers {
			g.number, in[n] = n, true
			s.add(g)
		}
		for n := range uint64(62) {
			if g.number = n; s.has(g) != in[n] && n > 0 {
				rt.Fatalf("%d in %s: %v", n, s, s.has(g))
			}
		}
	})
}

func TestVersions(t *testing.T) {
	for text, want := range map[string]string{
		"10.11.19-MariaDB-0+deb12u1-log": "mariadb [10 11 19] SHOW MASTER STATUS BINLOG MONITOR", "5.5.5-10.3.38-MariaDB": "mariadb [10 3 38] SHOW MASTER STATUS REPLICATION CLIENT",
		"8.0.36-0ubuntu0.22.04.1": "mysql [8 0 36] SHOW MASTER STATUS REPLICATION CLIENT", "8.4.0": "mysql [8 4 0] SHOW BINARY LOG STATUS REPLICATION CLIENT",
		"5.7.44-log": "mysql [5 7 44] SHOW MASTER STATUS REPLICATION CLIENT", "9.1.0-commercial": "mysql [9 1 0] SHOW BINARY LOG STATUS REPLICATION CLIENT",
	} {
		v := &server{}
		v.flavor, v.version = parseVersion(text)
		if got := fmt.Sprint(v.flavor, " ", v.version, " ", v.statusStatement(), " ", v.monitorPrivilege()); got != want {
			t.Errorf("%s: %s, not %s", text, got, want)
		}
		asks := fmt.Sprint(v.requirements())
		if strings.Contains(asks, "gtid_mode") != (v.flavor == mysqlFlavor) {
			t.Errorf("%s is asked for %s", text, asks)
		}
	}
}

func TestWhatAServerNoLongerHas(t *testing.T) {
	for message, want := range map[string]bool{
		"Could not find GTID state requested by slave in any binlog files. Probably the slave state is too old and required binlog files have been purged.":                        true,
		"Error: connecting slave requested to start from GTID 0-1-55, which is not in the master's binlog":                                                                         true,
		"Cannot replicate because the source purged required binary logs. Replicate the missing transactions from elsewhere":                                                       true,
		"The slave is connecting using CHANGE MASTER TO MASTER_AUTO_POSITION = 1, but the master has purged binary logs containing GTIDs that the slave requires.":                 true,
		"Could not find first log file name in binary log index file":                                                                                                              true,
		"A replica with the same server_uuid/server_id as this replica has connected to the source; the first event '' at 4, the last event read from 'binlog.000001' (gtid) at 4": false,
		"log event entry exceeded max_allowed_packet; Increase max_allowed_packet on master":                                                                                       false,
	} {
		if saysGone(message) != want {
			t.Errorf("%q: %v", message, !want)
		}
	}
}

func TestEffects(t *testing.T) {
	of := connectors.Table{Schema: "health", Name: "residents"}
	for statement, want := range map[string]effect{
		"truncate residents": rewrites, "TRUNCATE TABLE `health`.`residents`": rewrites, "truncate other.residents": nothing, "truncate residents2": nothing,
		"drop table a, residents": rewrites, "DROP TABLE IF EXISTS `residents` /* generated by server */": rewrites, "drop temporary table residents": nothing, "drop database health": rewrites, "drop database other": nothing,
		"drop view residents": nothing, "drop trigger residents": nothing,
		"rename table residents to old, new to residents": rewrites, "rename user residents to x": rewrites,
		"create table residents (id int)": rewrites, "create or replace table if not exists health.residents as select 1": rewrites, "create table copy like residents": nothing,
		"create table c (x int, foreign key (x) references residents (id))": nothing, "create index i on residents (id)": nothing, "create trigger t after insert on residents for each row set @a = 1": nothing,
		"alter table residents add column x int": reshapes, "alter table residents rename column a to b": reshapes, "alter table residents rename to gone": rewrites, "alter table x rename residents": rewrites,
		"ALTER TABLE residents RENAME INDEX a TO b": reshapes, "alter table residents drop partition p1": rewrites, "alter table residents truncate partition p1": rewrites, "alter table x exchange partition p with table residents": rewrites,
		"/*!40000 ALTER TABLE `residents` DISABLE KEYS */": reshapes, "alter table residents discard tablespace": rewrites, "alter table other.residents add x int": nothing, "alter online table residents add x int": reshapes,
		"update residents set name = 'x'": rewrites, "insert into other values ('truncate residents')": nothing, "delete from `health` . residents": rewrites, "insert into a select * from residents": rewrites,
		"# truncate residents\nflush tables": nothing, "analyze table residents": nothing, "grant update on residents to x": nothing, "": nothing, "`": nothing, "'": nothing, "/*": nothing, "truncate \"residents\"": rewrites,
		"load data infile 'x' into table residents": rewrites, "with x as (select 1) delete from residents": rewrites, "optimize table residents": nothing,
	} {
		if got := effectOf(statement, "health", of); got != want {
			t.Errorf("%q: %v, not %v", statement, got, want)
		}
	}
	if got := effectOf("truncate \xbe\xd3\xc3\xf1", "health", connectors.Table{Schema: "health", Name: "居民"}); got != rewrites {
		t.Errorf("a statement in GBK: %v", got)
	}
	for statement, want := range map[string]bool{
		"alter table r add x int": false, "alter table r add x int default null": false, "alter table r add x int default 7": true, "alter table r add x varchar(9) default 'a'": true, "alter table r add x int not null": true,
		"alter table r modify x text": true, "alter table r change x y int": true, "alter table r drop x": false, "alter table r rename column a to b": false, "alter table r add x int as (a + 1)": true, "alter table r convert to character set utf8mb4": true,
	} {
		if fills(statement) != want {
			t.Errorf("%q: %v", statement, !want)
		}
	}
}

func FuzzStatement(f *testing.F) {
	f.Add("alter table `a``b` /*!50000 rename */ to 'x\\'y' -- c")
	f.Fuzz(func(t *testing.T, s string) {
		effectOf(s, "health", connectors.Table{Schema: "health", Name: "residents"})
	})
}

// Documents as MySQL 8 keeps them, and the text that it makes of them.
func TestJSON(t *testing.T) {
	for raw, want := range map[string]string{
		"000000040000": `{}`, "020000040000": `[]`, "0400": "null", "0401": "true", "0402": "false", "05ffff": "-1", "06ffff": "65535", "0700000080": "-2147483648",
		"0affffffffffffffff": "18446744073709551615", "0b000000000000f03f": "1.0", "0b9a9999999999b93f": "0.1", "0c0568656c6c6f": `"hello"`, "0c00": `""`, "0c0322610a": `"\"a\n"`,
		"00" + "01001500" + "0b000100" + "0c0c00" + "61" + "0878797a787978797a": `{"a": "xyzxyxyz"}`,
		"0001000c000b000100" + "050100" + "61":                                  `{"a": 1}`,
		"02" + "02000e00" + "050100" + "0c0a00" + "03e8bf98":                    `[1, "还"]`,
		"0ff6" + "04" + "03028132":                                              "1.50", "0f0c" + "08" + "0000000000000000": `"0000-00-00 00:00:00.000000"`,
	} {
		b, err := hex.DecodeString(raw)
		if err != nil {
			t.Fatal(err)
		}
		got, err := jsonText(b)
		if err != nil || got != want {
			t.Errorf("%s is %s (%v), not %s", raw, got, err, want)
		}
		if !json.Valid([]byte(want)) {
			t.Errorf("%s is no JSON", want)
		}
	}
	deep := strings.Repeat("02010008000200", 1) // an array that says it holds itself
	if b, _ := hex.DecodeString(deep + "0000"); b != nil {
		if _, err := jsonText(b); !errors.Is(err, errJSON) {
			t.Errorf("got %v", err)
		}
	}
}

func FuzzJSON(f *testing.F) {
	f.Add([]byte("\x00\x01\x00\x0c\x00\x0b\x00\x01\x00\x05\x01\x00a"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if text, err := jsonText(raw); err == nil && len(text) > 200*len(raw)+100 {
			t.Errorf("%d bytes became %d", len(raw), len(text))
		}
	})
}

func FuzzImage(f *testing.F) {
	f.Add([]byte{0xff, 0, 1, 2, 3, 4, 5, 6, 7}, []byte{0xff})
	wires := []struct {
		wire byte
		meta uint16
	}{
		{gomysql.MYSQL_TYPE_LONG, 0}, {gomysql.MYSQL_TYPE_NEWDECIMAL, 65<<8 | 30}, {gomysql.MYSQL_TYPE_VARCHAR, 300}, {gomysql.MYSQL_TYPE_BLOB, 4}, {gomysql.MYSQL_TYPE_DATETIME2, 6}, {gomysql.MYSQL_TYPE_TIME2, 3},
		{gomysql.MYSQL_TYPE_TIMESTAMP2, 5}, {gomysql.MYSQL_TYPE_BIT, 7<<8 | 7}, {gomysql.MYSQL_TYPE_STRING, 0xf701}, {gomysql.MYSQL_TYPE_STRING, 0xf808}, {gomysql.MYSQL_TYPE_STRING, 0xfe40}, {gomysql.MYSQL_TYPE_JSON, 4}, {gomysql.MYSQL_TYPE_GEOMETRY, 4},
	}
	var fields []field
	for i, w := range wires {
		fields = append(fields, field{&column{name: fmt.Sprint(i), kind: kindOf(w.wire, w.meta), charset: charset{decode: validUTF8}}, w.wire, w.meta})
	}
	f.Fuzz(func(t *testing.T, data, present []byte) {
		var one, two row
		c := &cursor{rest: data}
		if image(c, fields, present, &one, nil) == nil {
			image(c, fields, present, &two, &one)
		}
	})
}

func TestPositionsAreReadBack(t *testing.T) {
	safe := mark{Before: "0-1-1", In: "0-1-2", Time: 7}
	base := position{At: mark{Before: "0-1-55", In: "0-1-56", Time: 1795400000, Pending: []prepared{{"X'61',X'',1", "0-1-3", "0-1-4"}}}, Safe: &safe, Label: `2026-11 "中"`, Round: 3, Sweep: true}
	var p positions
	for _, key := range [][]string{nil, {"4711"}, {"e4b880", "-1.5"}} {
		for _, n := range []int64{allOf, 1, 1 << 40} {
			want := base
			want.N, want.Key = n, key
			got, ok := parsePosition(p.at(func() position { return base }, n, key))
			if a, b := fmt.Sprintf("%+v", got.At)+fmt.Sprint(got.Label, got.Round, got.N, got.Key), fmt.Sprintf("%+v", want.At)+fmt.Sprint(want.Label, want.Round, want.N, want.Key); !ok || a != b || fmt.Sprint(*got.Safe) != fmt.Sprint(safe) {
				t.Errorf("%+v, not %+v", got, want)
			}
		}
	}
	for _, bad := range []string{"", "{", `{"hash":"9f"}`, "[]"} {
		if p, ok := parsePosition(change.Position(bad)); ok && p.At.Before+p.At.In != "" {
			t.Errorf("%q is %+v", bad, p)
		}
	}
}

func TestSettings(t *testing.T) {
	d, err := contract.Parse("things.yaml", []byte(strings.NewReplacer("records", "things").Replace(`
dataset: records
department: bureau
owner: {zh: 局, en: Bureau}
title: {zh: 表, en: Records}
version: 1
key: [id]
sharing: {type: unconditional}
fields:
  - {name: id, type: text, sensitivity: internal}
emits:
  - table: cases
    columns: {case_number: id, department: {value: bureau}, item_code: {value: item}, item_name: id}
`)), "Asia/Shanghai")
	if err != nil {
		t.Fatal(err)
	}
	make := func(with map[string]any) error {
		_, err := New(connectors.Settings{Source: county.Source{Name: "s", Kind: "mysql", With: with}, Contracts: contract.Set{"things": d}, Resolve: func(p string) string { return p }})
		return err
	}
	tables := []any{map[string]any{"table": "a.b", "dataset": "things"}}
	if err := make(map[string]any{"address": "10.8.1.30", "user": "shire", "tables": tables, "server_id": 4294967294}); err != nil {
		t.Error(err)
	}
	for want, with := range map[string]map[string]any{
		"with.address is missing":        {"user": "u", "tables": tables},
		"is not an address":              {"user": "u", "address": "a:b:c", "tables": tables},
		"is not a setting":               {"user": "u", "address": "a", "tables": tables, "adress": "x"},
		"is not the name of a table":     {"user": "u", "address": "a", "tables": []any{map[string]any{"table": "b", "dataset": "things"}}},
		"is not in the datasets":         {"user": "u", "address": "a", "tables": []any{map[string]any{"table": "a.b", "dataset": "thing"}}},
		"has a dataset already":          {"user": "u", "address": "a", "tables": append(tables, map[string]any{"table": "a.b", "dataset": "things"})},
		"is not a number that":           {"user": "u", "address": "a", "tables": tables, "server_id": 0},
		"is not one of the choices":      {"user": "u", "address": "a", "tables": tables, "on_gap": "ignore"},
		"cannot be read":                 {"user": "u", "address": "a", "tables": tables, "tls": "verify-full", "ca": "/no/such.pem"},
		"does not look at the authority": {"user": "u", "address": "a", "tables": tables, "ca": "/no/such.pem"},
		"is not a list":                  {"user": "u", "address": "a"},
	} {
		if err := make(with); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v, want %q", with, err, want)
		}
	}
}
