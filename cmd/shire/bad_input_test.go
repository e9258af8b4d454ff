package main

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// What is wrong in the departments' files is told in a sentence, and all the rest is loaded.
func TestBadFilesAndRows(t *testing.T) {
	t.Parallel()
	needEngine(t)
	d := newDesk(t)
	d.write("drop/visits-1.csv", deskHeader+
		"A1,"+someNumber+",即办,2026-03-02,2026-03-02\n"+
		"A2,"+wrongDigit+",即办,2026-03-02,2026-03-02\n"+
		"A3,,承诺,2026-02-30,\n"+
		"A4,"+otherNumber+",承诺,2026-03-03\n"+
		"A5,"+otherNumber+",承诺,2031-03-03,2031-03-04\n"+
		"A6,"+otherNumber+",加急,2026-03-03,2026-03-04\n"+
		"A7,"+otherNumber+",承诺,2026-03-03,2026-03-05\n")
	d.write("drop/visits-2.csv", deskHeader+"B1,,\xff\xfe\x81,2026-03-02,\nB2,\x80\x80,\xfd\xfd\xfd,2026-03-02,\n")
	d.write("drop/visits-3.csv", "案号,证件号码,类型,申请日期,办结日期\nC1,,即办,2026-03-02,\n")
	d.write("drop/visits-4.csv", "\x00\x01\x02\x03"+deskHeader)
	d.write("drop/visits-5.csv", deskHeader+"D1,,即办,2026-03-02,\n")
	r := d.shire("load")
	r.fails(t, exitFailed, "not everything could be read, the rest was loaded",
		"desk: visits-2.csv: the file's text makes sense neither as UTF-8 nor as GB18030; export it in UTF-8, or set encoding: for its pattern",
		"desk: visits-3.csv: no column is called 办件编号 (the key field case)", "rename the column, add its name to headers: in the contract",
		"desk: visits-4.csv: the file holds zero bytes, so it is not text in UTF-8 or GB18030")
	if want := "8 changes read, "; !strings.Contains(r.Stdout, want) || !strings.Contains(r.Stdout, "5 changes in quarantine") {
		t.Errorf("the load does not say %q and that 5 wait: %v", want, r)
	}
	if got := d.cases(); got != "A1 A7 D1" {
		t.Errorf("loaded are %s", got)
	}
	list := d.shire("quarantine", "list").ok(t).Stdout
	for _, want := range [][]string{
		{"visits-1.csv", "3", "check_digit", "field citizen: the check character of the citizen number does not match its digits"},
		{"visits-1.csv", "4", "no_such_date", "field applied: the calendar has no such date"},
		{"visits-1.csv", "5", "malformed", "the row has 4 columns, the header has 5"},
		{"visits-1.csv", "6", "calendar_unpublished", "check published_calendar: applied stands in 2031, whose working calendar is not published; retry once it is"},
		{"visits-1.csv", "7", "unknown_code", "field kind: the value is not in the code table of the contract; add a line to the table"},
	} {
		found := false
		for line := range strings.Lines(list) {
			at := 0
			for _, part := range want { // in this order
				if i := strings.Index(line[at:], part); i >= 0 {
					at += i + len(part)
				} else {
					at = -1
					break
				}
			}
			found = found || at > 0
		}
		if !found {
			t.Errorf("the quarantine does not list %q:\n%s", want, list)
		}
	}
	for _, private := range []string{someNumber, wrongDigit, otherNumber} {
		if strings.Contains(list+r.String(), private) {
			t.Errorf("I7: a citizen number is printed")
		}
	}
	var envelope struct {
		Problems []struct{ Unit, Problem string }
	}
	again := d.shire("load", "--json")
	envelopeOf(t, again, &envelope)
	if again.Code != exitFailed || len(envelope.Problems) != 3 {
		t.Errorf("the same load again: %d problems: %v", len(envelope.Problems), again)
	}
}

// A line of 200 MB costs that line, and no more memory than any other (I10).
func TestVeryLongLine(t *testing.T) {
	t.Parallel()
	needEngine(t)
	d := newDesk(t)
	const size = 200 << 20
	d.write("drop/visits-1.csv", deskHeader+"A1,,即办,2026-03-02,\n")
	fill := func(name, before, after string) {
		d.write(name, before)
		f, err := os.OpenFile(filepath.Join(d.dir, name), os.O_WRONLY|os.O_APPEND, 0)
		if err != nil {
			t.Fatal(err)
		}
		block := []byte(strings.Repeat("0123456789abcdef", 1<<16))
		for n := 0; n < size && err == nil; n += len(block) {
			_, err = f.Write(block)
		}
		if err == nil {
			_, err = f.WriteString(after)
		}
		if closing := f.Close(); err != nil || closing != nil {
			t.Fatal(err, closing)
		}
	}
	fill("drop/visits-2.csv", "", "") // nothing but one line
	fill("drop/visits-3.csv", deskHeader+"B1,,即办,2026-03-02,\nB2,,", "\nB3,,即办,2026-03-02,\n")
	d.write("drop/visits-4.csv", deskHeader+"C1,,即办,2026-03-02,\n")
	p := start(t, "load", "-c", filepath.Join(d.dir, "county.yaml"), "--data", d.data)
	peak := int64(0)
	p.waitUntil("it has loaded", func() bool {
		peak = max(peak, peakMemory(p.cmd.Process.Pid))
		return p.Ended()
	})
	p.Wait().fails(t, exitFailed, "desk: visits-2.csv: ")
	t.Logf("%d MiB at most; %s", peak>>20, p.Wait())
	const bound = 400 << 20
	if peak == 0 {
		t.Log("how much memory the process used cannot be told on this system")
	} else if peak > bound && !raceDetector {
		t.Errorf("the process used %d MiB of memory", peak>>20)
	}
	if got := d.cases(); got != "A1 B1 B3 C1" {
		t.Errorf("loaded are %s", got)
	}
	rows := query(t, d.data, "SELECT unit, row, code, message FROM ops.quarantine")
	if len(rows) != 1 || fmt.Sprint(rows[0][:3]) != "[visits-3.csv 3 malformed]" || !strings.Contains(rows[0][3].(string), "longer than max_record") {
		t.Errorf("in quarantine are %v", rows)
	}
}

// peakMemory is the most memory in bytes that a process has had so far; 0 when it cannot be told.
func peakMemory(pid int) int64 {
	f, err := os.Open(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if fields := strings.Fields(lines.Text()); len(fields) == 3 && fields[0] == "VmHWM:" {
			kilobytes, _ := strconv.ParseInt(fields[1], 10, 64)
			return kilobytes << 10
		}
	}
	return 0
}

// Mistakes in what people write are answered with the file, the line and what to write instead, before anything starts.
func TestBadConfiguration(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, file, old, new string
		says                 string
	}{
		{"type of a field", "contracts/visits.yaml", "type: citizen_number", "type: citizen_numbr", `contracts/visits.yaml:10: type "citizen_numbr" of field citizen is not known; did you mean "citizen_number"?`},
		{"key of a field", "contracts/visits.yaml", "sensitivity: sensitive", "sensitvity: sensitive", `contracts/visits.yaml:10: "sensitvity" is not a key here; did you mean "sensitivity"?`},
		{"check", "contracts/visits.yaml", "working_calendar:", "working_calender:", `contracts/visits.yaml:15: "working_calender" is not a key here; did you mean "working_calendar"?`},
		{"table", "contracts/visits.yaml", "table: cases", "table: csaes", `contracts/visits.yaml:20: table "csaes" is not in the county's model; did you mean "cases"?`},
		{"column", "contracts/visits.yaml", "closed_at: closed", "close_at: closed", `contracts/visits.yaml:22: cases has no column "close_at" that a contract may fill; did you mean "closed_at"?`},
		{"field", "contracts/visits.yaml", "closed_at: closed", "closed_at: closd", `did you mean "closed"?`},
		{"personal column", "contracts/visits.yaml", "department: {value: desk}", "department: citizen", "contracts/visits.yaml:22: "},
		{"kind of connector", "county.yaml", "kind: file", "kind: fiel", `county.yaml:7: source desk is of kind "fiel", which is not known; did you mean "file"?`},
		{"dataset", "county.yaml", "datasets: [visits]", "datasets: [visit]", `did you mean "visits"?`},
		{"environment", "county.yaml", "directory: drop", "directory: ${SHIRE_TEST_UNSET}", "county.yaml:10: the environment variable SHIRE_TEST_UNSET is not set; export SHIRE_TEST_UNSET=... before you start shire"},
		{"time zone", "county.yaml", "name_en: Chengxi County", "name_en: Chengxi County, time_zone: Asia/Shangai", `county.yaml:1: time zone "Asia/Shangai" is not known`},
		{"encoding", "county.yaml", "dataset: visits}", "dataset: visits, encoding: klingon}", `"klingon" is not an encoding that is read; valid are: gb18030`},
		{"no YAML", "county.yaml", "county: {", "county: {{", "county.yaml:1: "},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := newDesk(t)
			d.change(c.file, c.old, c.new)
			for _, command := range []string{"check", "load"} {
				r := d.shire(command)
				r.fails(t, exitInput, c.says)
				if r.Stdout != "" {
					t.Errorf("%s printed to standard output: %v", command, r)
				}
			}
			r := d.shire("check", "--json")
			envelopeOf(t, r, nil)
			if r.Code != exitInput || r.Stderr != "" {
				t.Errorf("check --json: %v", r)
			}
			if entries, err := os.ReadDir(d.data); err == nil && len(entries) > 0 {
				t.Errorf("the data directory was used: %v", entries)
			}
		})
	}
}

// A county's own working calendar is proved as well.
func TestBadCalendar(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.change("county.yaml", "contracts: contracts", "contracts: contracts\ncalendars: calendars")
	d.write("calendars/2026.yaml", "name: 澄溪县\nyear: 2026\npublished: 2026-01-04\nsource: 县政府办公室\nholidays:\n  - {zh: 县庆, en: County Day, from: 2026-06-31, to: 2026-07-01}\n")
	d.shire("check").fails(t, exitInput, "county.yaml", "2026.yaml:6: ")
}

// So are its rules of materials: by how many days a paper counts is not left to a typing mistake.
func TestBadMaterialRules(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.change("county.yaml", "contracts: contracts", "contracts: contracts\nmaterials: materials")
	d.write("materials/ours.yaml", "jurisdiction: {zh: 澄溪县, en: Chengxi County}\nmaterials:\n  - material: LEASE\n    source: 县住建局\n    valid_days: 0.5\n")
	d.shire("check", "--quick").fails(t, exitInput, "materials/ours.yaml:5: ")
	d.write("materials/ours.yaml", "jurisdiction: {zh: 澄溪县, en: Chengxi County}\nmaterials:\n  - material: LEASE\n    source: 县住建局\n    change: newer_isue\n")
	d.shire("check", "--quick").fails(t, exitInput, `materials/ours.yaml:5: "newer_isue" is no kind of change; did you mean "newer_issue"?`)
	d.change("materials/ours.yaml", "newer_isue", "newer_issue")
	d.shire("check", "--quick").ok(t)
	d.change("county.yaml", "materials: materials", "materials: material")
	d.shire("check", "--quick").fails(t, exitInput, "the folder of the material rules cannot be read", "check materials: in county.yaml")
}

// A port that somebody else has, the default one included, is named before anything starts.
func TestPortTaken(t *testing.T) {
	t.Parallel()
	for _, listen := range []string{"", "127.0.0.1:0"} {
		t.Run("listen "+listen, func(t *testing.T) {
			d := newDesk(t)
			address := "127.0.0.1:8080" // as county.yaml means it when it says nothing
			if listen != "" {
				l, err := net.Listen("tcp", listen)
				if err != nil {
					t.Fatal(err)
				}
				defer l.Close()
				address = l.Addr().String()
				d.change("county.yaml", `"127.0.0.1:0"`, `"`+address+`"`)
			} else {
				d.change("county.yaml", `portal: {listen: "127.0.0.1:0"}`, "")
				if l, err := net.Listen("tcp", address); err == nil { // else it is taken already
					defer l.Close()
				}
			}
			d.shire("up").fails(t, exitEnvironment, address, "portal.listen")
			r := d.shire("up", "--json")
			envelopeOf(t, r, nil)
			if r.Code != exitEnvironment || !strings.Contains(r.Stdout, address) {
				t.Errorf("up --json: %v", r)
			}
		})
	}
}

// A data directory that cannot be written to is named.
func TestReadOnlyData(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.write("drop/visits-1.csv", deskHeader+"A1,,即办,2026-03-02,\n")
	if err := os.Mkdir(d.data, 0o755); err != nil {
		t.Fatal(err)
	}
	d.data = readOnly(t, d.data)
	for _, args := range [][]string{{"load"}, {"up"}, {"sql", "SELECT 1"}, {"status"}, {"demo", "--people", "100", "--days", "30"}} {
		d.shire(args...).fails(t, exitEnvironment, d.data)
	}
}

// The library is looked for where the variable says, and nowhere else.
func TestNoEngine(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	p := startWith(t, []string{"SHIRE_CLICKHOUSE_LIB=" + filepath.Join(d.dir, "libchdb.so")}, "load", "-c", filepath.Join(d.dir, "county.yaml"), "--data", d.data)
	p.Wait().fails(t, exitEnvironment, "SHIRE_CLICKHOUSE_LIB", "libchdb.so", "make engine")
}
