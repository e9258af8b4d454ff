package mysql

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/shirecounty/shire/schemas/change"
)

func TestTableInGBK(t *testing.T) {
	b := newBench(t, sharedServer(t))
	b.system.exec(t, "create table 居民 (编号 varchar(20) primary key, 姓名 varchar(20), 性别 enum('男','女'), 备注 text) character set gbk")
	b.dataset(t, "居民", "residents", 1, "number:编号", "name:姓名")
	for i := range 40 {
		b.system.exec(t, "insert into 居民 values (?, ?, ?, '　全角')", fmt.Sprintf("%c%d", []rune("甲乙丙丁戊")[i%5], i), "王〇镕", 1+i%2)
	}
	b.load(t)
	b.system.exec(t, "update 居民 set 姓名 = '李' where 编号 like '甲%'")
	b.system.exec(t, "delete from 居民 where 编号 like '乙%'")
	b.system.exec(t, "insert into 居民 values ('己', '·', '女', null)")
	b.load(t)
	b.settled(t)
	if n := b.count("residents", change.Snapshot); n != 40 {
		t.Errorf("%d rows were snapshotted", n)
	}
	if got := b.Records("residents")["甲0"]; got["姓名"] != "李" || got["性别"] != "男" || got["备注"] != "　全角" {
		t.Errorf("%v", got)
	}
}

func TestLabelsOfTheirTime(t *testing.T) {
	b := newBench(t, sharedServer(t))
	b.system.exec(t, "create table cards (id int primary key, state enum('open','shut'), flags set('a','b'))")
	b.dataset(t, "cards", "cards", 1, "id")
	b.system.exec(t, "insert into cards values (0, 'open', 'b')")
	b.load(t)
	b.system.exec(t, "insert into cards values (1, 'open', 'b'), (2, 'shut', 'a,b')")
	b.system.exec(t, "alter table cards modify state enum('new','shut','open'), modify flags set('c','b','a')")
	b.system.exec(t, "insert into cards values (3, 'new', 'c,a')")
	b.system.exec(t, "alter table cards rename column state to phase")
	b.system.exec(t, "insert into cards values (4, 'open', '')")
	b.system.exec(t, "alter table cards rename column phase to state")
	b.load(t)
	got := b.Records("cards")
	for id, want := range map[string]string{"1": "open b", "2": "shut a,b", "3": "new c,a"} {
		if have := got[id]["state"] + " " + strings.Join(sorted(got[id]["flags"]), ","); have != strings.Join([]string{strings.Fields(want)[0], strings.Join(sorted(strings.Fields(want)[1]), ",")}, " ") {
			t.Errorf("record %s is %q, not %q", id, have, want)
		}
	}
	if _, renamed := got["4"]["phase"]; !renamed {
		t.Errorf("a row has not the columns of its time: %v", got["4"])
	}
}

func sorted(list string) []string {
	parts := strings.Split(list, ",")
	slices.Sort(parts)
	return parts
}

// A server that does not name the columns in its binlog: what cannot be known is not guessed.
func TestColumnsThatTheBinlogDoesNotName(t *testing.T) {
	b := newBench(t, sharedServer(t))
	b.system.exec(t, "set global binlog_row_metadata = NO_LOG")
	defer b.system.exec(t, "set global binlog_row_metadata = FULL")
	b.system.exec(t, "create table plain (id int unsigned primary key, name varchar(20) character set gbk, kind enum('甲','乙') character set gbk, big bigint unsigned, bin binary(3))")
	b.dataset(t, "plain", "plain", 1, "id", "name")
	b.load(t)
	if !slices.Contains(b.problems(), "row_metadata_minimal") {
		t.Errorf("told %v", b.problems())
	}
	b.system.exec(t, "insert into plain values (4294967295, '王', '乙', 18446744073709551615, x'01')")
	b.load(t)
	b.settled(t)
	b.system.exec(t, "insert into plain values (1, '李', '甲', 1, '')")
	b.system.exec(t, "alter table plain add column more int")
	if err := b.run(t); err == nil || !strings.Contains(err.Error(), "5 columns") || !slices.Contains(b.problems(), "schema_unknown") {
		t.Errorf("rows of another shape: %v, %v", err, b.problems())
	}
	b.label(0, "after the change")
	b.load(t)
	b.settled(t)
}

// What changes rows without saying so in the binlog has the table snapshotted again.
func TestRowsThatChangeInSilence(t *testing.T) {
	for name, c := range map[string]struct {
		statements []string
		deletes    int
	}{
		"truncate":            {[]string{"truncate table things", "insert into things values (3, 'again'), (99, 'new')"}, 28},
		"truncate and no row": {[]string{"truncate things"}, 29},
		"drop and create":     {[]string{"drop table things", "create table things (id int primary key, name varchar(50))", "insert into things values (1, 'x')"}, 28},
		"swap": {[]string{"create table things_new like things", "insert into things_new values (1, 'swapped'), (500, 'swapped in')", "rename table things to things_old, things_new to things",
			"update things set name = 'after' where id = 1"}, 28},
		"statement": {[]string{"set session binlog_format=statement; update things set name = 'said in words' where id < 10; set session binlog_format=row"}, 0},
		"default":   {[]string{"alter table things add column grade int not null default 7"}, 0},
		"type":      {[]string{"alter table things modify column name varbinary(60)"}, 0},
		"partition": {[]string{"alter table things partition by range (id) (partition a values less than (10), partition b values less than maxvalue)", "alter table things drop partition a"}, 9},
	} {
		t.Run(name, func(t *testing.T) {
			for _, follow := range []bool{false, true} {
				b := newBench(t, sharedServer(t))
				b.system.db.SetMaxOpenConns(1)
				b.system.exec(t, "create table things (id int primary key, name varchar(50))")
				b.dataset(t, "things", "things", 1, "id", "name")
				b.system.exec(t, "insert into things select seq, concat('thing ', seq) from seq_1_to_29")
				b.load(t)
				if follow {
					_, stop := b.follow(t)
					defer stop()
				}
				for _, s := range c.statements {
					b.system.exec(t, s)
				}
				if !follow {
					b.load(t)
				}
				b.settled(t)
				if n := b.count("things", change.Delete); n != c.deletes {
					t.Errorf("%d deletes, not %d", n, c.deletes)
				}
				b.until(t, func() string {
					if n := len(b.problems()); n > 0 {
						return fmt.Sprint("still told: ", b.problems())
					}
					return ""
				})
				if b.told("snapshot_again") == 0 {
					t.Error("nothing was told")
				}
			}
		})
	}
}

func TestNoPrimaryKey(t *testing.T) {
	b := newBench(t, sharedServer(t))
	b.with["chunk_rows"] = 3
	b.system.exec(t, "create table loose (part varchar(20), id varchar(20), name varchar(50)) character set utf8mb4 collate utf8mb4_general_ci")
	b.dataset(t, "loose", "loose", 2, "part", "id", "name")
	// The server takes a and A for equal, and the order does not tell them apart: no chunk may lose one.
	for _, id := range []string{"a", "A", "á", "Á", "b", "B", "c", "C", "ç", "à", "À", "â", "x'y"} {
		b.system.exec(t, "insert into loose values ('p', ?, 'first'), ('P', ?, 'second')", id, id)
	}
	b.system.exec(t, "insert into loose values (null, 'n', 'no part'), ('q', null, 'no id'), ('', 'e', 'empty part')")
	b.load(t)
	b.settled(t)
	if n := b.count("loose", change.Snapshot); n != 26 {
		t.Errorf("%d rows were snapshotted, not 26", n)
	}
	if n := b.count("loose", change.Malformed); n != 3 {
		t.Errorf("%d rows without a key were set aside, not 3", n)
	}
	if b.told("key_without_index") == 0 {
		t.Error("the missing index was not told")
	}
	// And no end of the process among them.
	for budget := 7; ; budget++ {
		b.label(0, "again")
		b.Restart()
		b.PackRows, b.Budget = 1, budget
		if err := b.run(t); err == nil {
			break
		}
	}
	b.Restart()
	b.load(t)
	for key, r := range b.Records("loose") {
		if r["name"] == "" {
			t.Errorf("%q is %v", key, r)
		}
	}
	b.settled(t)
	b.system.exec(t, "update loose set name = 'changed' where id = 'b'")
	b.system.exec(t, "delete from loose where id collate utf8mb4_bin = 'A'")
	b.system.exec(t, "update loose set id = 'z' where id collate utf8mb4_bin = 'c'")
	b.system.exec(t, "update loose set part = 'now' where part is null")
	b.system.exec(t, "update loose set part = null where id = 'x''y' and part collate utf8mb4_bin = 'P'")
	b.load(t)
	b.settled(t)
}

func TestKeysOfEveryType(t *testing.T) {
	for declared, values := range map[string]string{
		"bigint unsigned": "18446744073709551615 - seq", "int(6) zerofill": "seq", "decimal(20,3)": "seq / 8 - 2", "date": "'1988-01-01' + interval seq day", "datetime(3)": "'2026-01-01' + interval seq * 100000 microsecond",
		"timestamp(2)": "from_unixtime(1700000000 + seq / 4)", "time(1)": "sec_to_time(seq / 2 - 7)", "year": "1950 + seq", "char(10)": "concat('k', seq)", "varchar(20) character set latin1": "concat('ü', seq)",
		"varchar(20) character set ucs2": "concat('字', seq)", "binary(6)": "unhex(hex(seq * 77777))", "varbinary(9)": "unhex(hex(seq * 77777))", "uuid": "concat('123e4567-e89b-12d3-a456-4266554400', lpad(seq, 2, '0'))", "inet6": "concat('2001:db8::', seq)", "inet4": "concat('10.0.0.', seq)",
		"text character set utf8mb4": "concat('长', seq)",
	} {
		t.Run(declared, func(t *testing.T) {
			b := newBench(t, sharedServer(t))
			b.with["chunk_rows"] = 2
			length := ""
			if strings.HasPrefix(declared, "text") {
				length = "(20)"
			}
			b.system.exec(t, fmt.Sprintf("create table keyed (k %s not null, n int, primary key (k%s))", declared, length))
			b.dataset(t, "keyed", "keyed", 1, "k", "n")
			b.system.exec(t, "insert into keyed select "+values+", seq from seq_1_to_5")
			// The process dies in the middle of every chunk.
			for budget := 0; ; budget++ {
				b.Restart()
				b.PackRows, b.Budget, b.Lose = 1, 3, budget%2
				if err := b.run(t); err == nil {
					break
				}
			}
			b.Restart()
			b.settled(t)
			if n := b.count("keyed", change.Snapshot); n != 5 {
				t.Errorf("%d rows were snapshotted, not 5", n)
			}
			keys := []string{"no such"}
			for key := range b.Records("keyed") {
				keys = append(keys, key)
			}
			found := 0
			if err := b.connector(t).Survey(t.Context(), "keyed", keys, func([]string, change.Change) error { found++; return nil }); err != nil || found != 5 {
				t.Errorf("%d records were found by their keys: %v", found, err)
			}
			b.system.exec(t, "delete from keyed where n > 4")
			b.system.exec(t, "update keyed set n = 0 where n = 1")
			b.load(t)
			b.settled(t)
		})
	}
}
