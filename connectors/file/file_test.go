package file

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/encoding/unicode"

	"github.com/shirecounty/shire/connectors"
	"github.com/shirecounty/shire/connectors/conformance"
	"github.com/shirecounty/shire/schemas/change"
	"github.com/shirecounty/shire/schemas/contract"
)

const people = "编号,姓名,备注\n1,王小明,好\n2,欧阳修,\"多行\n备注\"\n3,李雷,\n"

// show writes changes briefly: op key row values.
func show(all []conformance.Said) []string {
	var out []string
	for _, s := range all {
		text := fmt.Sprintf("%s %s %d %s", s.Op, s.Key, s.Row, s.Values)
		if s.Op == change.Malformed {
			text = fmt.Sprintf("malformed %d %s: %s", s.Row, s.Problem, s.Raw)
		}
		out = append(out, text)
	}
	return out
}

func expect(t *testing.T, what string, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s:\n got %s\nwant %s", what, strings.Join(got, "\n     "), strings.Join(want, "\n     "))
	}
}

func TestEncodingsAndDelimiters(t *testing.T) {
	gb, err := simplifiedchinese.GB18030.NewEncoder().String(people)
	if err != nil {
		t.Fatal(err)
	}
	u16, err := unicode.UTF16(unicode.LittleEndian, unicode.UseBOM).NewEncoder().String(people)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"snapshot 1 2 1|王小明|好", "snapshot 2 3 2|欧阳修|多行\n备注", "snapshot 3 5 3|李雷|"}
	for name, text := range map[string]string{
		"utf-8": people, "bom": "\xef\xbb\xbf" + people, "gb18030": gb, "utf-16": u16,
		"semicolon": strings.ReplaceAll(people, ",", ";"), "tab": strings.ReplaceAll(people, ",", "\t"),
		"pipe": strings.ReplaceAll(people, ",", "|"),
		"crlf": strings.ReplaceAll(people, "\n", "\r\n"), "no line end": strings.TrimSuffix(people, "\n"),
		"blank below": people + "\n,,\n \n", "aliases": strings.Replace(people, "编号,姓名,备注", " number , name,remark", 1),
	} {
		t.Run(name, func(t *testing.T) {
			f, b := newFolder(t, "changes"), conformance.NewBus()
			f.write("a.csv", text)
			f.mustLoad(b)
			expect(t, "changes", show(b.Said("things")), want)
			expect(t, "events", f.problems(), nil)
			if at, _ := parsePosition(b.Safe("things")); !at.End || at.Row != 3 || at.Name != "a.csv" {
				t.Errorf("last position is %+v", at)
			}
		})
	}
}

func TestWhatIsWrongWithAFileIsToldAndTheRestGoesOn(t *testing.T) {
	cases := []struct {
		name, text, problem string
		with                map[string]any
	}{
		{name: "empty", text: "", problem: "empty_file"},
		{name: "blank", text: "\n\n", problem: "empty_file"},
		{name: "no key", text: "号,姓名\n1,王\n", problem: "header_without_key"},
		{name: "no header at all", text: "1,王小明\n2,李雷\n", problem: "header_without_key"},
		{name: "twice the key", text: "编号,编号\n1,2\n", problem: "duplicate_header"},
		{name: "latin-1", text: "number,name\n1,Ren\xe9 Lef\xe8vre\n2,Fran\xe7ois M\xfcller\n3,Ang\xe8le\n", problem: "unknown_encoding"},
		{name: "binary", text: "number\x00\x01\x02\x03", problem: "unknown_encoding"},
		{name: "fake.xlsx", text: "number,name\n", problem: "not_xlsx"},
		{name: "zip.csv", text: "PK\x03\x04nothing", problem: "not_xlsx"},
		{name: "old.xls", text: "\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1....", problem: "not_xlsx"},
		{name: "quote in header", text: "num\"ber,name\n1,2\n", problem: "header_malformed"},
		{name: "one long line", text: strings.Repeat("x", 10_000), problem: "header_malformed", with: map[string]any{"max_record": "4KiB"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			f, b := newFolder(t, "changes"), conformance.NewBus()
			for k, v := range c.with {
				f.with[k] = v
			}
			f.write("a good one.csv", "number,name\n7,x\n")
			f.write(c.name, c.text)
			f.write("z good one.csv", "number,name\n8,x\n")
			f.mustLoad(b)
			expect(t, "changes", show(b.Said("things")), []string{"snapshot 7 2 7|x", "snapshot 8 2 8|x"})
			if len(f.events) != 1 || f.events[0].Problem != c.problem || f.events[0].Unit != c.name || f.events[0].Source != "drops" {
				t.Fatalf("events %+v", f.events)
			}
			for _, personal := range []string{"王", "李", "Ren", "xxxx"} {
				if strings.Contains(f.events[0].Message, personal) {
					t.Errorf("I7: the message shows a value: %s", f.events[0].Message)
				}
			}
			f.problems()
			f.write(c.name, "number,name\n9,x\n")
			if c.name == "fake.xlsx" {
				return
			}
			f.mustLoad(b)
			expect(t, "events after mending", f.problems(), []string{"solved " + c.problem})
		})
	}
}

func TestMalformedRows(t *testing.T) {
	cases := []struct {
		name, text string
		want       []string
	}{
		{"too few and too many", "number,name\n1\n2,b\n3,c,d\n", []string{
			"malformed 2 the row has 1 columns, the header has 2: 1", "snapshot 2 3 2|b",
			"malformed 4 the row has 3 columns, the header has 2: 3,c,d"}},
		{"no key", "number,name\n ,a\n2,b\n", []string{"malformed 2 no key: the field number is empty:  \ta", "snapshot 2 3 2|b"}},
		{"bare quote", "number,name\n1,a\"b\n2,b\n", []string{
			"malformed 2 a quote stands inside a field that is not quoted; a field with quotes in it is quoted and doubles them: 1,a\"b", "snapshot 2 3 2|b"}},
		{"unclosed quote to the end", "number,name\n1,\"a\n2,b\n3,c\n", []string{
			"malformed 2 a quoted field is not closed, or text follows its closing quote; quotes inside a quoted field are doubled: 1,\"a", "snapshot 2 3 2|b", "snapshot 3 4 3|c"}},
		{"unclosed quote before a quoted row", "number,name\n1,\"a\n2,b\n3,\"c\"\n", []string{
			"malformed 2 a quoted field is not closed, or text follows its closing quote; quotes inside a quoted field are doubled: 1,\"a", "snapshot 2 3 2|b", "snapshot 3 4 3|c"}},
		{"unclosed quote closed far below", "number,name,remark\n1,\"a,x\n2,b,x\n3,c\",x,y\n4,d,x\n", []string{
			"malformed 2 a quoted field is not closed, or text follows its closing quote; quotes inside a quoted field are doubled: 1,\"a,x", "snapshot 2 3 2|b|x",
			"malformed 4 a quote stands inside a field that is not quoted; a field with quotes in it is quoted and doubles them: 3,c\",x,y", "snapshot 4 5 4|d|x"}},
		{"not utf-8", "number,name\n1,王小明李雷欧阳修王小明李雷欧阳修\n2,b\xff\n3,c\n", []string{
			"snapshot 1 2 1|王小明李雷欧阳修王小明李雷欧阳修", `malformed 3 the row holds bytes that are not UTF-8: 2,b\xff`, "snapshot 3 4 3|c"}},
		{"last row malformed", "number,name\n1,a\n2\n\n", []string{"snapshot 1 2 1|a", "malformed 3 the row has 1 columns, the header has 2: 2"}},
		{"long line", "number,name\n1,a\n2," + strings.Repeat("y", 9000) + "\n3,c\n", []string{
			"snapshot 1 2 1|a", "malformed 3 the line is longer than max_record (4096 bytes): 2," + strings.Repeat("y", 4095) + "…", "snapshot 3 4 3|c"}},
		{"long record over lines", "number,name\n1,\"a\n" + strings.Repeat("2,y\n", 2000) + "\"\n", nil},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			f, b := newFolder(t, "changes"), conformance.NewBus()
			f.with["max_record"] = "4KiB"
			f.write("a.csv", c.text)
			f.mustLoad(b)
			got := show(b.Said("things"))
			if c.want == nil {
				if len(got) != 2002 || got[1] != "snapshot 2 3 2|y" {
					t.Errorf("%d changes, the second %s", len(got), got[1])
				}
				return
			}
			expect(t, "changes", got, c.want)
			if at, _ := parsePosition(b.Safe("things")); !at.End {
				t.Errorf("the last row does not say that it is the last: %+v", at)
			}
			n := b.Len()
			f.mustLoad(b)
			if b.Len() != n {
				t.Error("the file was read a second time")
			}
		})
	}
}

func TestDroppedAgainAndCorrected(t *testing.T) {
	f, b := newFolder(t, "changes"), conformance.NewBus()
	f.write("part-10.csv", "number,name\n3,c\n")
	f.write("part-2.csv", "number,name\n1,a\n2,b\n")
	f.mustLoad(b)
	expect(t, "natural order", show(b.Said("things")), []string{"snapshot 1 2 1|a", "snapshot 2 3 2|b", "snapshot 3 2 3|c"})

	f.write("copy of part 2.csv", "number,name\n1,a\n2,b\n")
	f.mustLoad(b)
	expect(t, "same content", f.problems(), []string{"dropped_again"})
	f.stamp("part-2.csv")
	f.mustLoad(b)
	expect(t, "touched", f.problems(), nil)
	if n := len(b.Said("things")); n != 3 {
		t.Fatalf("%d changes after files were dropped again", n)
	}

	f.write("part-2.csv", "number,name\n1,a\n2,B\n")
	f.mustLoad(b)
	if got := b.Folded("things")["2"]; got != "2|B" {
		t.Errorf("the corrected row is %s", got)
	}

	// A lost ledger is rebuilt from the bus.
	n := b.Len()
	if err := os.RemoveAll(f.state); err != nil {
		t.Fatal(err)
	}
	f.mustLoad(b)
	if b.Len() != n {
		t.Errorf("after the ledger was lost, %d messages came again", b.Len()-n)
	}
}

func TestSnapshotFindsTheDifference(t *testing.T) {
	f, b := newFolder(t, "snapshot"), conformance.NewBus()
	f.write("full-1.csv", "number,name\n1,a\n2,b\n3,c\n4,d\n")
	f.mustLoad(b)
	f.write("full-2.csv", "name,number\na,1\nB,2\nd,4\ne,5\nE,5\n")
	f.mustLoad(b)
	expect(t, "changes", show(b.Said("things"))[4:], []string{"update 2 3 B|2", "create 5 6 E|5", `delete 3 0 \N|\N`})
	expect(t, "events", f.problems(), []string{"duplicate_keys"})

	f.write("full-3.csv", "number,name\n1,a\n")
	f.mustLoad(b)
	expect(t, "too many deletions", f.problems(), []string{"too_many_deletions"})
	if n := len(b.Said("things")); n != 7 {
		t.Errorf("%d changes: something of the held file was published", n)
	}

	f.write("full-4.csv", "number,name\n1,a\n2,B\n4\n,E\n") // 4 is known by its key, the last row might be 5
	f.mustLoad(b)
	expect(t, "deletions held", f.problems(), []string{"too_many_deletions", "deletions_held"})
	f.write("full-5.csv", "number,name\n1,a\n2,B\n4\n")
	f.mustLoad(b)
	if got := slices.Sorted(maps.Keys(b.Folded("things"))); !slices.Equal(got, []string{"1", "2", "4"}) {
		t.Errorf("records %v", got)
	}
	expect(t, "held file overtaken", f.problems(), []string{"superseded"})

	f.write("full-6.csv", "name,number\na,1\nB,2\nd,4\ne,5\nE,5\n") // the content of full-2 again, as a return to it
	f.mustLoad(b)
	if got := slices.Sorted(maps.Keys(b.Folded("things"))); !slices.Equal(got, []string{"1", "2", "4", "5"}) {
		t.Errorf("records %v", got)
	}
}

func TestFileThatChangesWhileItIsRead(t *testing.T) {
	var text strings.Builder
	text.WriteString("number,name\n")
	for i := range 200_000 {
		fmt.Fprintf(&text, "%d,a name\n", i)
	}
	for what, becomes := range map[string]string{"shrinks": "number,name\n1,short\n", "alters": strings.ReplaceAll(text.String(), "a name", "A NAME")} {
		for _, delivery := range []string{"changes", "snapshot"} {
			t.Run(what+" "+delivery, func(t *testing.T) { testChanging(t, delivery, text.String(), becomes) })
		}
	}
}

func testChanging(t *testing.T, delivery, text, becomes string) {
	f, b := newFolder(t, delivery), conformance.NewBus()
	b.PackRows = 1000
	f.write("a.csv", text)
	b.AtAppend = func() {
		b.AtAppend = nil
		f.write("a.csv", becomes) // in place
	}
	f.write("b.csv", "number,name\n1,short\n2,other\n")
	f.with["max_deletions"] = 1
	f.mustLoad(b)
	if got := f.problems(); !slices.Contains(got, "changed_while_read") {
		t.Fatalf("events %v", got)
	}
	if err := b.History(t.Context(), "things", 0, func(_ uint64, batch *change.Batch) error {
		if at, _ := parsePosition(batch.Last); at.End && at.Name == "a.csv" {
			t.Error("a file that was not read to its end is said to be")
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	f.mustLoad(b)
	if got := f.problems(); !slices.Contains(got, "solved changed_while_read") {
		t.Errorf("events %v", got)
	}
}

func TestMissingDirectory(t *testing.T) {
	f, b := newFolder(t, "changes"), conformance.NewBus()
	f.with["directory"] = filepath.Join(f.dir, "nowhere")
	if err := f.load(b); !errors.Is(err, ErrDirectory) {
		t.Errorf("error %v", err)
	}
	expect(t, "events", f.problems(), []string{"directory_missing"})
}

// TestFollow drives the clock: each wait of the connector is one step of the story.
func TestFollow(t *testing.T) {
	f, b := newFolder(t, "changes"), conformance.NewBus()
	dir := f.dir
	f.dir = filepath.Join(dir, "later")
	f.with["directory"] = f.dir
	c := f.connector()
	ctx, cancel := context.WithCancel(context.Background())
	clock := time.Unix(1_800_000_000, 0)
	c.now = func() time.Time { return clock }
	count := func() int { return len(b.Said("things")) }
	steps := []func(){
		func() { // the folder is not there yet
			expect(t, "events", f.problems(), []string{"directory_missing"})
			os.Mkdir(f.dir, 0o700)
			f.write("a.csv", "number,name\n1,a\n")
			f.write("b.csv.tmp", "number,name\n9,a\n")
		},
		func() { // first seen
			expect(t, "events", f.problems(), []string{"solved directory_missing"})
			f.write("a.csv", "number,name\n1,a\n2,b\n")
		},
		func() { // it grew: the settle time begins anew
			if count() != 0 {
				t.Error("a growing file was read")
			}
		},
		func() { // settled
			if count() != 2 {
				t.Errorf("%d changes", count())
			}
			if done, total := c.Progress(); done != total || done == 0 {
				t.Errorf("progress %d of %d", done, total)
			}
			os.Rename(filepath.Join(f.dir, "b.csv.tmp"), filepath.Join(f.dir, "b.csv"))
		},
		func() {},
		func() {
			if count() != 3 {
				t.Errorf("%d changes", count())
			}
			cancel()
		},
	}
	c.wait = func(context.Context, time.Duration) {
		clock = clock.Add(2 * time.Second)
		step := steps[0]
		steps = steps[1:]
		step()
	}
	if err := c.Run(ctx, b, true); err != nil {
		t.Fatal(err)
	}
	if len(steps) > 0 {
		t.Errorf("%d steps were not reached", len(steps))
	}
}

func TestSettings(t *testing.T) {
	contracts := contract.Set{"things": testDataset(t, "things", "changes")}
	for _, c := range []struct {
		name string
		with map[string]any
		want string
	}{
		{"misspelt", map[string]any{"directory": "x", "setle": "2s", "files": []any{map[string]any{"match": "*", "dataset": "things"}}}, `source drops: with.setle is not a setting; did you mean "settle"?`},
		{"misspelt below", map[string]any{"directory": "x", "files": []any{map[string]any{"mach": "*", "dataset": "things"}}}, `with.files[0].mach is not a setting; did you mean "match"?`},
		{"dataset", map[string]any{"directory": "x", "files": []any{map[string]any{"match": "*", "dataset": "thing"}}}, `with.files[0].dataset "thing" is not in the datasets: of this source; did you mean "things"?`},
		{"nothing", nil, "with.directory is missing"},
		{"encoding", map[string]any{"directory": "x", "files": []any{map[string]any{"match": "*", "dataset": "things", "encoding": "gb18O30"}}}, `did you mean "gb18030"?`},
		{"values", map[string]any{"directory": 3, "poll": "fast", "max_record": "big", "max_deletions": "200%", "files": []any{map[string]any{"match": "[", "dataset": "things", "delimiter": "#", "header_row": 0}}}, "with.max_deletions"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := folder{t: t, with: c.with, contracts: contracts}
			_, err := New(connectors.Settings{Source: f.source(), Contracts: contracts, Resolve: func(p string) string { return p }})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v\nwant %s", err, c.want)
			}
		})
	}
}

func TestNaturalOrder(t *testing.T) {
	want := []string{"a", "a1", "a01", "a2", "a10", "a10b", "b", "中1", "中2"}
	got := slices.Clone(want)
	slices.Reverse(got)
	slices.SortFunc(got, natural)
	slices.Sort(want[1:3]) // a01 < a1 by text, between equals
	expect(t, "order", got, want)
}

func TestMemoryStaysBounded(t *testing.T) {
	if testing.Short() {
		t.Skip("writes 200 MB")
	}
	f, b := newFolder(t, "changes"), conformance.NewBus()
	out, err := os.Create(filepath.Join(f.dir, "a.csv"))
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(out, "number,name\n1,")
	block := bytes.Repeat([]byte("x"), 1<<20)
	for range 200 {
		out.Write(block)
	}
	fmt.Fprint(out, "\n2,b\n")
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
	grown := testing.Benchmark(func(tb *testing.B) {
		tb.ReportAllocs()
		for range tb.N {
			os.RemoveAll(f.state)
			b = conformance.NewBus()
			f.mustLoad(b)
		}
	}).AllocedBytesPerOp()
	if grown > 120<<20 { // the buffer grows by doubling to 16 MiB; the ledger takes its tables
		t.Errorf("%d MiB were allocated for a line of 200 MiB", grown>>20)
	}
	got := b.Said("things")
	if len(got) != 2 || got[0].Op != change.Malformed || got[1].Key != "2" || len(got[0].Raw) > rawLimit+10 {
		t.Errorf("%d changes", len(got))
	}
}
