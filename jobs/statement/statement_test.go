package statement

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	ch "github.com/ClickHouse/clickhouse-go/v2"
	"pgregory.net/rapid"

	"github.com/shirecounty/shire/jobs"
	"github.com/shirecounty/shire/schemas/clickhouse"
)

// The splitter reads as the server does: what it takes for one statement is one for the server.
func TestSplitsAsTheServerDoes(t *testing.T) {
	conn := as(t, clickhouse.Analyst)
	whole := map[string]string{ // each a text in SQL, and what the server takes it for
		"'a;b'": "a;b", "'a'';b'": "a';b", `'a\';b'`: "a';b", `'\\'`: `\`, "$$a;'b$$": "a;'b", "$t$a;$$b$t$": "a;$$b", "‘a;b’": "a;b", `‘a\’`: `a\`,
	}
	blanks := []string{" ", "\n", "\u3000", "/* ; */", "/* /* ; */ ; */", "-- ;'\n", "--;\n", "// ;\n", "# ;\n", "#! ;\n"}
	rapid.Check(t, func(rt *rapid.T) {
		blank := func() string { return rapid.SampledFrom(blanks).Draw(rt, "blank") + " " }
		text, want := "", ""
		for range 3 {
			lexeme := rapid.SampledFrom(names(whole)).Draw(rt, "text")
			text += "," + blank() + lexeme + blank()
			want += whole[lexeme] + "|"
		}
		file := blank() + "SELECT" + blank() + "concatWithSeparator('|'" + text + ", '')" + blank() + ";" + blank() + "SELECT 2;" + blank()
		statements, err := Split(file)
		if err != nil || len(statements) != 2 || statements[1].Text != "SELECT 2" {
			rt.Fatalf("%q: %+v, %v", file, statements, err)
		}
		var got string
		if err := conn.QueryRow(t.Context(), statements[0].Text).Scan(&got); err != nil || got != want {
			rt.Fatalf("%q: got %q, %v; want %q", statements[0].Text, got, err, want)
		}
	})
}

// Whatever a parameter holds arrives as it is, and is never a part of the statement.
func TestParametersArriveWhole(t *testing.T) {
	conn := as(t, clickhouse.Analyst)
	check := func(rt interface{ Fatalf(string, ...any) }, value string) {
		st := Statement{Text: "SELECT {p:String}", Parameters: []Parameter{{"p", "String", 1, 8}}}
		text, values, err := bind(st, jobs.Task{Parameters: map[string]string{"p": value}})
		if err != nil {
			rt.Fatalf("%v", err)
		}
		var got string
		if err := conn.QueryRow(ch.Context(t.Context(), ch.WithParameters(values)), text).Scan(&got); err != nil || got != value {
			rt.Fatalf("%q arrived as %q: %v", value, got, err)
		}
	}
	for _, value := range []string{"", "'", `\`, `\N`, "NULL", "'; DROP TABLE own.t; --", "a\nb\tc\rd\x00e\bf\f", "\xff\xfe", "南", `\'`, `\\n`} {
		check(t, value)
	}
	rapid.Check(t, func(rt *rapid.T) {
		check(rt, rapid.OneOf(rapid.String(), rapid.Map(rapid.SliceOf(rapid.Byte()), func(b []byte) string { return string(b) })).Draw(rt, "value"))
	})
}

func TestMoments(t *testing.T) {
	for text, want := range map[string]string{
		"SELECT toUnixTimestamp({from:DateTime})":                                                                                        fmt.Sprint(task(nil).From.Unix()),
		"SELECT toString({from:DateTime('Asia/Shanghai')})":                                                                              "2026-11-01 00:00:00",
		"SELECT toString({to:DateTime64(3, 'America/New_York')})":                                                                        "2026-11-30 11:00:00.000",
		"SELECT toString({from:Date}), toString({to:Date32})":                                                                            "2026-11-01,2026-12-01",
		"SELECT {due:String}, {run:String}, {job:String}, {attempt:UInt8}":                                                               "2026-12-01T02:30:00+08:00,monthly@2026-12-01T02:30:00+08:00,monthly,2",
		"SELECT {from:DateTime('Asia/Shanghai')}, {from:DateTime('Asia/Shanghai')} + toIntervalDay(30) = {to:DateTime('Asia/Shanghai')}": "2026-11-01T00:00:00+08:00,1",
	} {
		if got := answer(t, text, nil); got != want {
			t.Errorf("%s\ngot  %s\nwant %s", text, got, want)
		}
	}
	conn := as(t, clickhouse.Analyst)
	rapid.Check(t, func(rt *rapid.T) {
		at := time.Unix(rapid.Int64Range(0, 4_000_000_000).Draw(rt, "at"), 0).In(time.FixedZone("", rapid.IntRange(-12, 14).Draw(rt, "zone")*3600))
		statements, err := Split("SELECT toInt64(toUnixTimestamp({from:DateTime})), toInt64(toUnixTimestamp({from:DateTime64(0)})), toString({from : Date32}), {from:DateTime} = {from:DateTime64(0)}")
		if err != nil {
			rt.Fatal(err)
		}
		text, values, err := bind(statements[0], jobs.Task{From: at})
		if err != nil {
			rt.Fatal(err)
		}
		var first, second int64
		var day string
		var same uint8
		err = conn.QueryRow(ch.Context(t.Context(), ch.WithParameters(values)), text).Scan(&first, &second, &day, &same)
		if err != nil || first != at.Unix() || second != at.Unix() || day != at.Format(time.DateOnly) || same != 1 {
			rt.Fatalf("%s (%d) arrived as %d, %d and %s: %v", at, at.Unix(), first, second, day, err)
		}
	})
}

func TestWrites(t *testing.T) {
	w := worker(t, `
-- A month's figures, made anew by every run.
CREATE TABLE IF NOT EXISTS own.months (month Date, n UInt64) ENGINE = MergeTree PARTITION BY month ORDER BY n;
ALTER TABLE own.months DROP PARTITION {from:Date};
INSERT INTO own.months SELECT {from:Date}, number FROM numbers({n:UInt64});
INSERT INTO own.months VALUES ({from:Date}, 1000), ({from:Date}, 1001);
SET max_threads = 1;
SELECT getSetting('max_threads'), count() FROM own.months;
`, []string{"n"}, writing)
	for range 2 { // another attempt gives the same
		var out strings.Builder
		result, err := w.Do(t.Context(), task(map[string]string{"n": "5"}), &out)
		if err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprint(result.Counts); got != "map[rows:1 rows_written:7 statements:6]" || result.Message != "6 statements, 1 rows in their results" {
			t.Errorf("got %s, %s", got, result.Message)
		}
		if lines := strings.Split(out.String(), "\n"); len(lines) != 7 || !strings.HasPrefix(lines[2], "monthly.sql:5 INSERT: 5 rows written in ") || !strings.HasPrefix(lines[5], "monthly.sql:8 SELECT: 1 rows in ") {
			t.Errorf("got\n%s", out.String())
		}
	}
	if got := answer(t, "SELECT count(), sum(n) FROM own.months", nil); got != "7,2011" {
		t.Errorf("the analyst reads %s", got)
	}
}

// I7: a job that writes sees what the analyst sees, and reaches nothing else by way of what it may make.
func TestWhatAJobMayDo(t *testing.T) {
	conn := as(t, clickhouse.Jobs)
	for _, st := range []string{"CREATE DATABASE IF NOT EXISTS own", "CREATE OR REPLACE TABLE own.mine ENGINE = MergeTree ORDER BY a AS SELECT 1 AS a", "CREATE OR REPLACE VIEW own.seen AS SELECT * FROM own.mine",
		"CREATE TABLE IF NOT EXISTS own.other AS own.mine", "EXCHANGE TABLES own.mine AND own.other", "ALTER TABLE own.mine ADD COLUMN IF NOT EXISTS b String", "ALTER TABLE own.mine DELETE WHERE a = 2", "OPTIMIZE TABLE own.mine", "TRUNCATE TABLE own.mine", "DROP VIEW own.seen", "DROP TABLE own.other"} {
		if err := conn.Exec(t.Context(), st); err != nil {
			t.Errorf("%s: %v", st, err)
		}
	}
	for _, st := range []string{"CREATE DATABASE another", "SELECT * FROM restricted.person_records", "SELECT * FROM store.cases", "INSERT INTO audit.accesses (sequence) VALUES (1)", "CREATE TABLE mart.x (a UInt8) ENGINE = MergeTree ORDER BY a",
		"SELECT * FROM file('/etc/passwd', LineAsString)", "INSERT INTO FUNCTION file('x.csv', CSV, 'a UInt8') SELECT 1", "SELECT * FROM url('http://127.0.0.1:1/', LineAsString)", "SELECT * FROM remote('127.0.0.1', store.cases)",
		"CREATE TABLE own.f (a UInt8) ENGINE = File(CSV)", "CREATE TABLE own.u (a UInt8) ENGINE = URL('http://127.0.0.1/', CSV)", "CREATE TABLE own.d (a UInt8) ENGINE = Distributed('default', 'store', 'cases')", "CREATE TABLE own.m (a UInt8) ENGINE = Merge('store', '.*')",
		"CREATE VIEW own.v DEFINER = shire_loader SQL SECURITY DEFINER AS SELECT 1", "CREATE VIEW own.v SQL SECURITY NONE AS SELECT 1", "CREATE DICTIONARY own.c (a UInt64) PRIMARY KEY a SOURCE(CLICKHOUSE(DB 'own' TABLE 'mine')) LAYOUT(FLAT()) LIFETIME(0)",
		"CREATE USER eve", "GRANT SELECT ON store.* TO shire_jobs", "SYSTEM SHUTDOWN", "SELECT * FROM system.query_log", "SELECT * FROM system.processes", "DROP DATABASE own", "BACKUP TABLE own.mine TO File('/tmp/x')"} {
		err := conn.Exec(t.Context(), st)
		if exception := (*ch.Exception)(nil); !errors.As(err, &exception) || exception.Code != 497 && exception.Code != 60 && exception.Code != 81 {
			t.Errorf("%s: got %v", st, err)
		}
	}
}

func TestResults(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "exports", "monthly")
	w := worker(t, `SELECT 1 AS n, '南, "区"' AS "=name", NULL AS nothing, toDate('2026-11-24') AS day, toDateTime('2026-11-24 01:02:03', 'Asia/Shanghai') AS at,
	[1, 2, 255] AS list, [[toDate('2026-11-24')], [NULL]] AS days, ['=x'] AS texts, map('a', 1) AS m, toDecimal64(1.50, 2) AS amount, toUInt256('123456789012345678901234567890') AS big, '=1+1' AS evil, '-5' AS text, -5 AS number, 0.1 AS f, true AS yes,
	toUUID('00000000-0000-0000-0000-000000000001') AS id, toNullable(toDate32('1900-01-01')) AS d32, CAST('b', 'Enum8(\'a\' = 1, \'b\' = 2)') AS e, tuple(1, 'x') AS tp, toIPv4('1.2.3.4') AS ip, toLowCardinality('lc') AS lc;
	SET max_threads = 1; SELECT number FROM numbers(3)`, nil, map[string]any{"to": folder})
	result, err := w.Do(t.Context(), task(nil), new(strings.Builder))
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(result.Counts); got != "map[files:2 rows:4 rows_written:0 statements:3]" {
		t.Errorf("got %s", got)
	}
	want := map[string]string{
		"monthly-20261201T023000+0800-1.csv": "\ufeffn,'=name,nothing,day,at,list,days,texts,m,amount,big,evil,text,number,f,yes,id,d32,e,tp,ip,lc\r\n" +
			`1,"南, ""区""",,2026-11-24,2026-11-24T01:02:03+08:00,"[1,2,255]","[[""2026-11-24""],[null]]","[""=x""]","{""a"":1}",1.5,123456789012345678901234567890,'=1+1,'-5,-5,0.1,true,00000000-0000-0000-0000-000000000001,1900-01-01,b,"[1,""x""]",1.2.3.4,lc` + "\r\n",
		"monthly-20261201T023000+0800-2.csv": "\ufeffnumber\r\n0\r\n1\r\n2\r\n",
	}
	entries, _ := os.ReadDir(folder)
	for _, e := range entries {
		got, _ := os.ReadFile(filepath.Join(folder, e.Name()))
		if string(got) != want[e.Name()] {
			t.Errorf("%s: got\n%s\nwant\n%s", e.Name(), got, want[e.Name()])
		}
		delete(want, e.Name())
	}
	if len(want) > 0 {
		t.Errorf("missing: %v", want)
	}

	// What fails leaves no file, whole or not, and does not touch what another run has written.
	bad := worker(t, "SELECT 2; SELECT throwIf(number = 100000) FROM numbers(200000)", nil, map[string]any{"to": folder})
	if _, err := bad.Do(t.Context(), task(nil), new(strings.Builder)); err == nil || !strings.Contains(err.Error(), "monthly.sql, line 1: statement 2 of 2: ClickHouse did not run it to its end") {
		t.Errorf("got %v", err)
	}
	if after, _ := os.ReadDir(folder); len(after) != len(entries) {
		t.Errorf("left: %v", after)
	}
	// A folder that cannot be: a sentence.
	none := worker(t, "SELECT 1", nil, map[string]any{"to": bad.settings.File + "/below"})
	if _, err := none.Do(t.Context(), task(nil), new(strings.Builder)); err == nil || !strings.Contains(err.Error(), "cannot be made: not a directory") {
		t.Errorf("got %v", err)
	}
}

func TestFails(t *testing.T) {
	tests := []struct {
		name, text, want string
		parameters       map[string]string
		with             map[string]any
		permanent        bool
	}{
		{"absent", "", "does not exist", nil, map[string]any{"file": "/nosuch.sql"}, true},
		{"a folder", "", "is not a file", nil, map[string]any{"file": "/"}, true},
		{"empty", "-- nothing", "monthly.sql:1: there is no statement in the file", nil, nil, true},
		{"syntax", "SELECT 1;\nSELECT FROM WHERE", "monthly.sql:2: ClickHouse does not understand the statement: Syntax error", nil, nil, true},
		{"open text", "SELECT 1;\nSELECT 'a", "monthly.sql:2: a text in ' begins here", nil, nil, true},
		{"no such table", "SELECT 1; SELECT * FROM mart.nosuch", "monthly.sql, line 1: statement 2 of 2: ClickHouse does not run it: ", nil, nil, true},
		{"no rights", "CREATE TABLE own.x (a UInt8) ENGINE = MergeTree ORDER BY a", "Not enough privileges", nil, nil, true},
		{"value of another type", "SELECT {n:UInt8}", "cannot be parsed as UInt8", map[string]string{"n": "many"}, nil, true},
		{"outfile", "SELECT 1 INTO OUTFILE '/tmp/x'", "INTO OUTFILE is done by the client program", nil, nil, true},
		{"slow", "SELECT sum(sipHash64(number)) FROM numbers(1000000000000) SETTINGS max_execution_time = 1", "a bound of the user shire_analyst was passed", nil, nil, false},
		{"memory", "SELECT groupArray(number) FROM numbers(100000000)", "a bound of the user shire_analyst was passed", nil, map[string]any{"memory_max": "16MiB"}, false},
		{"memory beyond the user's", "SELECT 1", "max_memory_usage shouldn't be greater", nil, map[string]any{"memory_max": "1TiB"}, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := worker(t, test.text, names(test.parameters), test.with).Do(t.Context(), task(test.parameters), new(strings.Builder))
			if err == nil || !strings.Contains(err.Error(), test.want) || errors.Is(err, jobs.ErrPermanent) != test.permanent || len(err.Error()) > 1000 {
				t.Errorf("got %v\nwant %s, permanent %v", err, test.want, test.permanent)
			}
		})
	}
	t.Run("nothing runs before everything is understood", func(t *testing.T) {
		w := worker(t, "CREATE TABLE own.toosoon (a UInt8) ENGINE = MergeTree ORDER BY a; SELECT 1 +", nil, writing)
		if _, err := w.Do(t.Context(), task(nil), new(strings.Builder)); err == nil || !strings.Contains(err.Error(), "nothing has run") {
			t.Errorf("got %v", err)
		}
		if got := answer(t, "EXISTS TABLE own.toosoon", nil); got != "0" {
			t.Errorf("the table exists: %s", got)
		}
	})
	t.Run("no server", func(t *testing.T) {
		w := worker(t, "SELECT 1", nil, nil)
		w.at.Native = "127.0.0.1:1"
		if _, err := w.Do(t.Context(), task(nil), new(strings.Builder)); err == nil || errors.Is(err, jobs.ErrPermanent) || !strings.Contains(err.Error(), "connection refused") {
			t.Errorf("got %v", err)
		}
	})
}

// The end of the run ends the query on the server, whatever it does, and leaves no goroutine.
func TestCancel(t *testing.T) {
	see := as(t, watcher)
	for name, text := range map[string]string{
		"rows":      "SELECT number, %s FROM numbers(1000000000000)",
		"computing": "SELECT sum(sipHash64(number, %s)) FROM numbers(1000000000000)",
		"writing":   "CREATE TABLE IF NOT EXISTS own.slow (a UInt64) ENGINE = MergeTree ORDER BY a; INSERT INTO own.slow SELECT number FROM numbers(1000000000000) WHERE sipHash64(number, %s) %% 1000000 = 0",
	} {
		t.Run(name, func(t *testing.T) {
			mark := "'mark of " + name + "'"
			w := worker(t, fmt.Sprintf(text, mark), nil, map[string]any{"write": name != "computing"})
			goroutines := runtime.NumGoroutine()
			why := errors.New("somebody cancelled the run")
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			done := make(chan error, 1)
			go func() {
				_, err := w.Do(ctx, task(nil), new(bytes.Buffer))
				done <- err
			}()
			eventually(t, "it runs", func() bool { return running(t, see, mark) > 0 })
			cancel(why)
			if err := <-done; !errors.Is(err, why) || !strings.Contains(err.Error(), "the statements were cancelled") {
				t.Errorf("got %v", err)
			}
			eventually(t, "it runs no more", func() bool { return running(t, see, mark) == 0 })
			eventually(t, "its goroutines end", func() bool { return runtime.NumGoroutine() <= goroutines+2 }) // the watcher's connection has some
		})
	}
	t.Run("killed", func(t *testing.T) {
		const mark = "'mark of a killed process'"
		file := filepath.Join(t.TempDir(), "long.sql")
		if err := os.WriteFile(file, []byte("SELECT sum(sipHash64(number, "+mark+")) FROM numbers(1000000000000)"), 0o644); err != nil {
			t.Fatal(err)
		}
		cmd := exec.CommandContext(t.Context(), os.Args[0])
		cmd.Env = append(os.Environ(), helperMarker+"="+file, helperAddress+"="+engine.address)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		eventually(t, "it runs", func() bool { return running(t, see, mark) > 0 })
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait()
		eventually(t, "it runs no more", func() bool { return running(t, see, mark) == 0 })
	})
	t.Run("deadline", func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context()) // as the scheduler ends a run whose time is over
		time.AfterFunc(400*time.Millisecond, func() { cancel(context.DeadlineExceeded) })
		_, err := worker(t, "SELECT sum(sipHash64(number)) FROM numbers(1000000000000)", nil, writing).Do(ctx, task(nil), new(strings.Builder))
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "took longer than they may") {
			t.Errorf("got %v", err)
		}
	})
}

// A large result does not grow the memory of this process.
func TestLargeResult(t *testing.T) {
	w := worker(t, "SELECT number, randomPrintableASCII(100) FROM numbers(1000000)", nil, map[string]any{"to": t.TempDir()})
	highest := uint64(0)
	stop := make(chan struct{})
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		for {
			select {
			case <-stop:
				return
			case <-time.After(20 * time.Millisecond):
				var m runtime.MemStats
				runtime.ReadMemStats(&m)
				highest = max(highest, m.HeapInuse)
			}
		}
	}()
	result, err := w.Do(t.Context(), task(nil), new(strings.Builder))
	close(stop)
	<-watched
	if err != nil || result.Counts["rows"] != 1_000_000 {
		t.Fatalf("got %v, %v", result, err)
	}
	if highest > 160<<20 {
		t.Errorf("%d MiB of memory for a result of 110 MB", highest>>20)
	}
	t.Logf("%d MiB at most", highest>>20)
}
