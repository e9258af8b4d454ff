package statement

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"github.com/shirecounty/shire/schemas/document"
)

func told(problems document.Problems) string {
	var lines []string
	for _, p := range problems {
		lines = append(lines, strings.TrimPrefix(p.Error(), ": "))
	}
	return strings.Join(lines, "\n")
}

func TestRead(t *testing.T) {
	resolve := func(p string) string { return "/etc/shire/" + p }
	read := func(text string, parameters ...string) (*Settings, string) {
		var with any
		if err := yaml.Unmarshal([]byte(text), &with); err != nil {
			t.Fatal(err)
		}
		s, problems := Read("do.sql", with, parameters, resolve)
		return s, told(problems)
	}
	s, wrong := read(`{file: jobs/a.sql, write: true, to: exports, memory_max: 1GiB}`, "district")
	if wrong != "" || s.File != "/etc/shire/jobs/a.sql" || !s.Write || s.To != "/etc/shire/exports" || s.MemoryMax != 1<<30 {
		t.Errorf("got %+v, %s", s, wrong)
	}
	if s, wrong = read(`jobs/a.sql`); wrong != "" || s.File != "/etc/shire/jobs/a.sql" || s.Write || s.To != "" {
		t.Errorf("got %+v, %s", s, wrong)
	}
	for text, want := range map[string]string{
		`5`:                             "do.sql is neither a file nor a mapping; write file: jobs/name.sql",
		`{write: true}`:                 "do.sql names no file; write file: jobs/name.sql",
		`{file: [a]}`:                   "do.sql.file is not a text",
		`{file: a.sql, query: SELECT}`:  "do.sql.query is not a setting; valid are: file, memory_max, to, write",
		`{file: a.sql, write: perhaps}`: "do.sql.write is neither true nor false",
		`{file: a.sql, memory_max: 5}`:  "do.sql.memory_max is not a size that can be used",
	} {
		if _, got := read(text); !strings.Contains(got, want) {
			t.Errorf("%s\ngot  %s\nwant %s", text, got, want)
		}
	}
	if _, got := read(`a.sql`, "from", "a-b", "1st", ""); strings.Count(got, "\n") != 3 || !strings.Contains(got, "is given {from:...} by Shire") || !strings.Contains(got, `cannot use the parameter "1st"`) {
		t.Errorf("got %s", got)
	}
}

func TestCheck(t *testing.T) {
	dir := t.TempDir()
	for text, want := range map[string]string{
		"SELECT {district:String}, {from:Date}":                                "",
		"SELECT 1;\n\nSELECT {distrct:String}":                                 `a.sql:3: the job has no parameter distrct; did you mean "district"?`,
		"SELECT {from:Date}":                                                   "a.sql:1: the parameter district of the job stands in no statement; write {district:String} where it belongs, or take it out of the job",
		"SELECT {district:String}\n, {from:UInt64}":                            "a.sql:2: from is a moment, not UInt64; write {from:DateTime}, {from:Date} or {from:String}",
		"SELECT {district:String}, {from:Date}\n, {from:DateTime}":             "",
		"SELECT {district:String}, {from:Date}; SELECT {from:DateTime('UTC')}": "",
		"":                    "a.sql:1: there is no statement in the file",
		"SELECT 1; SELECT 'a": "a.sql:1: a text in ' begins here and does not end",
		"SELECT 1，2":          "a.sql:1: ， is not a sign of SQL; write ,",
		"SELECT {district:String} INTO OUTFILE 'x'": "a.sql:1: INTO OUTFILE is done by the client program and does nothing here; leave it out, and write to: FOLDER in the job",
		strings.Repeat(" ", largestFile+1):          "do.sql.file " + dir + "/a.sql is larger than 4 MiB",
	} {
		file := filepath.Join(dir, "a.sql")
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		s, _ := Read("do.sql", file, []string{"district"}, func(p string) string { return p })
		if got := told(s.Check("do.sql")); !strings.Contains(got, want) || want == "" && got != "" {
			t.Errorf("%.100q\ngot  %s\nwant %s", text, got, want)
		}
	}
	s, _ := Read("do.sql", map[string]any{"file": dir + "/nosuch.sql"}, nil, func(p string) string { return p })
	if got := told(s.Check("do.sql")); got != "do.sql.file "+dir+"/nosuch.sql does not exist; check the path and its permissions" {
		t.Errorf("got %s", got)
	}
	if err := os.WriteFile(dir+"/a.sql", []byte("SELECT 1"), 0o644); err != nil {
		t.Fatal(err)
	}
	s, _ = Read("do.sql", map[string]any{"file": dir + "/a.sql", "to": dir + "/a.sql"}, nil, func(p string) string { return p })
	if got := told(s.Check("do.sql")); !strings.Contains(got, "do.sql.to "+dir+"/a.sql is a file; name a folder") {
		t.Errorf("got %s", got)
	}
}

// What only the server knows it is asked, for every statement, without running one.
func TestProve(t *testing.T) {
	w := worker(t, "CREATE TABLE own.never (a UInt8) ENGINE = MergeTree ORDER BY a;\nSELECT 1 +;\nSELECT {n:UInt8};\nINSERT INTO own.never VALUES ({n:UInt8}); SELECT count( FROM x", []string{"n"}, writing)
	problems, err := w.Prove(t.Context(), task(map[string]string{"n": "300x"}))
	got := strings.ReplaceAll(told(problems), w.settings.File, "F")
	if err != nil || len(problems) < 3 || !strings.Contains(got, "F:2: ClickHouse does not understand the statement: Syntax error") || !strings.Contains(got, "F:3: ") || !strings.Contains(got, "F:4: ") {
		t.Errorf("got\n%s\n%v", got, err)
	}
	if got := answer(t, "EXISTS TABLE own.never", nil); got != "0" {
		t.Errorf("something has run")
	}
	good := worker(t, "SELECT {n:UInt8}; SHOW TABLES FROM own; EXPLAIN SELECT 1; SET max_threads = 1", []string{"n"}, nil)
	if problems, err := good.Prove(t.Context(), task(map[string]string{"n": "3"})); err != nil || len(problems) > 0 {
		t.Errorf("got %v, %v", problems, err)
	}
	if problems, err := good.Prove(t.Context(), task(nil)); err != nil || !strings.Contains(told(problems), "the run has no value for {n:UInt8}") {
		t.Errorf("got %v, %v", problems, err)
	}
	good.at.Native = "127.0.0.1:1"
	if _, err := good.Prove(t.Context(), task(map[string]string{"n": "3"})); err == nil {
		t.Error("without a server there is no proof")
	}
}
