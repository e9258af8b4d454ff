package mysql

import (
	"database/sql"
	"flag"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	driver "github.com/go-sql-driver/mysql"

	"github.com/shirecounty/shire/connectors/conformance"
	"github.com/shirecounty/shire/schemas/county"
)

// One server serves all tests of the package; each has a database of its own. Those that hurt the server have their own.
var shared struct {
	sync.Mutex
	server *conformance.MariaDB
	owner  *suiteT
}

// suiteT outlives the test that starts the server.
type suiteT struct {
	testing.TB
	cleanups []func()
}

func (s *suiteT) Cleanup(f func()) { s.cleanups = append(s.cleanups, f) }
func (s *suiteT) Helper()          {}

func TestMain(m *testing.M) {
	driver.SetLogger(quiet{}) // servers that are killed are no news
	flag.Parse()
	if flag.Lookup("rapid.checks").Value.String() == flag.Lookup("rapid.checks").DefValue {
		flag.Set("rapid.checks", "8") // each of them makes a dozen connections
	}
	code := m.Run()
	if shared.owner != nil {
		for i := len(shared.owner.cleanups) - 1; i >= 0; i-- {
			shared.owner.cleanups[i]()
		}
	}
	os.Exit(code)
}

func sharedServer(t testing.TB) *conformance.MariaDB {
	shared.Lock()
	defer shared.Unlock()
	if shared.server == nil {
		owner := &suiteT{TB: t}
		shared.owner = owner
		shared.server = conformance.StartMariaDB(owner, "--innodb-buffer-pool-size=32M", "--sql-mode=")
	}
	return shared.server
}

var databases atomic.Int64

// system is a database of its own with the suite's table.
type system struct {
	server *conformance.MariaDB
	name   string
	db     *sql.DB
	with   map[string]any
	typed  bool
	timed  bool
}

func newSystem(t testing.TB, server *conformance.MariaDB) *system {
	t.Helper()
	s := &system{server: server, name: fmt.Sprint("test", databases.Add(1))}
	root, err := sql.Open("mysql", server.DSN(""))
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	execOn(t, root, "create database "+s.name)
	if s.db, err = sql.Open("mysql", server.DSN(s.name)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.db.Close() })
	s.exec(t, "create table records (id varchar(64) character set utf8mb4 collate utf8mb4_bin primary key, name text, note longtext)")
	s.with = map[string]any{
		"address": server.Address, "user": "root", "tls": "disable", "chunk_rows": 7,
		"tables": []any{map[string]any{"table": s.name + ".records", "dataset": conformance.Dataset}},
	}
	return s
}

func execOn(t testing.TB, db interface {
	Exec(string, ...any) (sql.Result, error)
}, statement string, args ...any) {
	t.Helper()
	if _, err := db.Exec(statement, args...); err != nil {
		t.Fatalf("%s: %v", statement[:min(len(statement), 200)], err)
	}
}

func (s *system) exec(t testing.TB, statement string, args ...any) {
	t.Helper()
	execOn(t, s.db, statement, args...)
}

func (s *system) Source() county.Source { return county.Source{Kind: "mysql", With: s.with} }

func (s *system) within(t testing.TB, ops []conformance.Operation, end func(*sql.Tx) error) {
	t.Helper()
	tx, err := s.db.Begin()
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range ops {
		switch o.Kind {
		case conformance.Insert:
			execOn(t, tx, "insert into records (id, name, note) values (?, ?, ?)", o.ID, o.Name, o.Note)
		case conformance.Update:
			execOn(t, tx, "update records set name = ?, note = ? where id = ?", o.Name, o.Note, o.ID)
		case conformance.Delete:
			execOn(t, tx, "delete from records where id = ?", o.ID)
		case conformance.Rekey:
			execOn(t, tx, "update records set id = ? where id = ?", o.NewID, o.ID)
		}
	}
	if err := end(tx); err != nil {
		t.Fatal(err)
	}
}

func (s *system) Apply(t testing.TB, ops ...conformance.Operation) {
	t.Helper()
	s.within(t, ops, (*sql.Tx).Commit)
}

func (s *system) RollBack(t testing.TB, ops ...conformance.Operation) {
	t.Helper()
	s.within(t, ops, (*sql.Tx).Rollback)
}

func (s *system) AddColumn(t testing.TB, name, value string) {
	s.exec(t, "alter table records add column "+name+" varchar(100)")
	s.exec(t, "update records set "+name+" = ? where id = '1'", value)
}
func (s *system) DropColumn(t testing.TB, name string) {
	s.exec(t, "alter table records drop column "+name)
}
func (s *system) RenameColumn(t testing.TB, from, to string) {
	s.exec(t, "alter table records rename column "+from+" to "+to)
}
func (s *system) WidenColumn(t testing.TB, name string) {
	s.exec(t, "alter table records modify column "+name+" longtext")
}

func (s *system) InZone(t testing.TB, zone string) {
	at, err := time.LoadLocation(zone)
	if err != nil {
		t.Fatal(err)
	}
	// The server has no tables of zones, so it gets the offset that the zone has now.
	_, seconds := time.Date(2026, 11, 25, 12, 0, 0, 0, at).Zone()
	offset := fmt.Sprintf("%+03d:%02d", seconds/3600, seconds%3600/60)
	s.exec(t, "set global time_zone = '"+offset+"'")
	t.Cleanup(func() {
		if db, err := sql.Open("mysql", s.server.DSN("")); err == nil {
			db.Exec("set global time_zone = 'SYSTEM'")
			db.Close()
		}
	})
	s.db.Close()
	if s.db, err = sql.Open("mysql", s.server.DSN(s.name)); err != nil { // its sessions begin in the zone
		t.Fatal(err)
	}
}

func (s *system) Times(t testing.TB, key, local string, instant time.Time) (string, string) {
	if !s.timed {
		s.exec(t, "alter table records add column local_at datetime, add column instant_at timestamp null default null")
		s.timed = true
	}
	s.exec(t, "insert into records (id, local_at, instant_at) values (?, ?, from_unixtime(?))", key, local, instant.Unix())
	return "local_at", "instant_at"
}

// types are columns with the value that is written to them and the text that has to come of it.
var types = []struct{ column, declared, value, want string }{
	{"t1", "tinyint", "-128", "-128"}, {"t1u", "tinyint unsigned", "255", "255"},
	{"t2", "smallint", "-32768", "-32768"}, {"t2u", "smallint unsigned", "65535", "65535"},
	{"t3", "mediumint", "-8388608", "-8388608"}, {"t3u", "mediumint unsigned", "16777215", "16777215"},
	{"t4", "int", "-2147483648", "-2147483648"}, {"t4u", "int unsigned", "4294967295", "4294967295"},
	{"t8", "bigint", "-9223372036854775808", "-9223372036854775808"}, {"t8u", "bigint unsigned", "18446744073709551615", "18446744073709551615"},
	{"t8v", "bigint unsigned", "9223372036854775808", "9223372036854775808"},
	{"zf", "int(8) unsigned zerofill", "42", "00000042"}, {"bl", "boolean", "true", "1"},
	{"d1", "decimal(12,2)", "-1234567890.05", "-1234567890.05"}, {"d2", "decimal(65,30)", "-0.000000000000000000000000000001", "-0.000000000000000000000000000001"},
	{"d3", "decimal(10,0)", "0", "0"}, {"d4", "decimal(20,10) unsigned", "1234567890.0987654321", "1234567890.0987654321"}, {"d5", "decimal(8,2) zerofill", "1.5", "1.50"},
	{"d6", "decimal(4,4)", "0.0001", "0.0001"}, {"d7", "decimal(38,9)", "99999999999999999999999999999.999999999", "99999999999999999999999999999.999999999"},
	{"f4", "float", "1.2345678", "1.2345678"}, {"f8", "double", "0.1", "0.1"}, {"f8e", "double", "-1.7976931348623157e308", "-1.7976931348623157e+308"}, {"f8d", "double(10,2)", "3.10", "3.1"},
	{"b1", "bit(1)", "b'1'", "1"}, {"b12", "bit(12)", "b'101000000001'", "2561"}, {"b64", "bit(64)", "b'1111111111111111111111111111111111111111111111111111111111111111'", "18446744073709551615"},
	{"y", "year", "1987", "1987"}, {"y0", "year", "0", "0000"},
	{"da", "date", "'1988-07-01'", "1988-07-01"}, {"da0", "date", "'0000-00-00'", "0000-00-00"}, {"dam", "date", "'1988-00-00'", "1988-00-00"}, {"daw", "date", "'9999-12-31'", "9999-12-31"},
	{"dt", "datetime", "'2026-11-25 08:00:01'", "2026-11-25 08:00:01"}, {"dt6", "datetime(6)", "'2026-11-25 08:00:01.000020'", "2026-11-25 08:00:01.000020"},
	{"dt3", "datetime(3)", "'2026-11-25 08:00:01.120'", "2026-11-25 08:00:01.120"}, {"dt0", "datetime", "'0000-00-00 00:00:00'", "0000-00-00 00:00:00"},
	{"dt06", "datetime(6)", "'0000-00-00 00:00:00'", "0000-00-00 00:00:00.000000"}, {"dt1", "datetime(1)", "'1000-01-01 00:00:00.5'", "1000-01-01 00:00:00.5"},
	{"ts", "timestamp null default null", "from_unixtime(1795645841)", "2026-11-25 22:30:41+00:00"}, {"ts6", "timestamp(6) null default null", "from_unixtime(1795645841.000042)", "2026-11-25 22:30:41.000042+00:00"},
	{"ts0", "timestamp null default null", "'0000-00-00 00:00:00'", "0000-00-00 00:00:00"}, {"ts03", "timestamp(3) null default null", "'0000-00-00 00:00:00'", "0000-00-00 00:00:00.000"},
	{"ti", "time", "'-838:59:59'", "-838:59:59"}, {"ti6", "time(6)", "'-00:00:00.000001'", "-00:00:00.000001"}, {"ti2", "time(2)", "'-01:00:01.10'", "-01:00:01.10"},
	{"ti4", "time(4)", "'123:45:06.7891'", "123:45:06.7891"}, {"ti1", "time(1)", "'-00:00:00.9'", "-00:00:00.9"}, {"ti0", "time(6)", "'00:00:00'", "00:00:00.000000"}, {"ti3", "time(3)", "'-10:00:00'", "-10:00:00.000"},
	{"en", "enum('甲','乙','it''s')", "'it''s'", "it's"}, {"en0", "enum('a','b')", "0", ""}, {"eng", "enum('男','女') character set gbk", "'女'", "女"},
	{"se", "set('甲','乙','丙')", "'丙,甲'", "甲,丙"}, {"se0", "set('a','b')", "''", ""}, {"seg", "set('农','城') character set gbk", "'农,城'", "农,城"},
	{"js", "json", `'{"b": 1, "a": [1.50, "中"]}'`, `{"b": 1, "a": [1.50, "中"]}`},
	{"ch", "char(10)", "'ab  '", "ab"}, {"chl", "char(200) character set utf8mb4", "'字𠮷'", "字𠮷"}, {"vc", "varchar(1000)", "'尾 '", "尾 "}, {"vg", "varchar(100) character set gbk", "'王小明〇镕'", "王小明〇镕"},
	{"cg", "char(20) character set gbk", "'李'", "李"}, {"xg", "text character set gbk", "'中文'", "中文"}, {"x2", "text character set gb2312", "'中文'", "中文"},
	{"l1", "varchar(20) character set latin1", "'Müller €'", "Müller €"}, {"u3", "varchar(20) character set utf8mb3", "'漢字'", "漢字"}, {"uc", "varchar(20) character set ucs2", "'漢字A'", "漢字A"},
	{"u6", "varchar(20) character set utf16", "'𠮷A'", "𠮷A"}, {"b5", "varchar(20) character set big5", "'臺灣'", "臺灣"}, {"asci", "varchar(20) character set ascii", "'plain'", "plain"},
	{"bi", "binary(4)", "x'0100'", "0x01000000"}, {"bi0", "binary(4)", "''", "0x00000000"}, {"vb", "varbinary(300)", "x'00ff00'", "0x00ff00"}, {"bo", "blob", "x'00'", "0x00"}, {"bo0", "longblob", "''", "0x"},
	{"bis", "binary(4)", "'a  '", "0x61202000"}, {"bil", "binary(255)", "x'01'", "0x01" + strings.Repeat("00", 254)}, {"tb", "tinyblob", "x'0a'", "0x0a"},
	{"ge", "point", "point(1,2)", "0x0101000000000000000000f03f0000000000000040"},
	{"uu", "uuid", "'123e4567-e89b-12d3-a456-426655440000'", "123e4567-e89b-12d3-a456-426655440000"}, {"uu7", "uuid", "'01890dd5-ea3f-7746-8f7e-8b8f8b8f8b00'", "01890dd5-ea3f-7746-8f7e-8b8f8b8f8b00"},
	{"i6", "inet6", "'2001:db8::ff00:42:8329'", "2001:db8::ff00:42:8329"}, {"i61", "inet6", "'::1'", "::1"}, {"i6m", "inet6", "'::ffff:1.2.3.4'", "::ffff:1.2.3.4"}, {"i6c", "inet6", "'::1.2.3.4'", "::1.2.3.4"},
	{"i6z", "inet6", "'2001:db8:0:1:0:0:0:1'", "2001:db8:0:1::1"}, {"i4", "inet4", "'192.168.0.0'", "192.168.0.0"},
	{"nu", "int", "null", conformance.Null},
}

func (s *system) Types(t testing.TB, key string) map[string]string {
	want := map[string]string{}
	var columns, values []string
	for _, c := range types {
		if !s.typed {
			s.exec(t, "alter table records add column "+c.column+" "+c.declared)
		}
		columns, values = append(columns, c.column), append(values, c.value)
		want[c.column] = c.want
	}
	s.typed = true
	s.exec(t, "insert into records (id, "+strings.Join(columns, ", ")+") values (?, "+strings.Join(values, ", ")+")", key)
	return want
}
