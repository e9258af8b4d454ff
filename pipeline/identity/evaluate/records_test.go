package evaluate

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/text/encoding/simplifiedchinese"

	"github.com/shirecounty/shire/schemas/identity"
)

func model(fields ...string) *identity.Model {
	m := &identity.Model{Name: "test", Version: 1, File: "model.yaml"}
	for _, f := range fields {
		m.Fields = append(m.Fields, identity.Field{Name: f, Kind: "text"})
	}
	return m
}

func write(t testing.TB, text []byte) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "people.csv")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func layout(t testing.TB, mapped map[string]string, fields ...string) Layout {
	t.Helper()
	l, err := NewLayout(model(fields...), mapped)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestRead(t *testing.T) {
	text := "rid,name,出生,ent,more\n1,张伟,1990-01-01,a,x\n\n2,\"刘\n军, 大\",,b,\n3, 王 芳,1991,a,\"y\"\"z\"\n4,赵\"云,,,\n5,李,\\N,\\N,\n"
	gb, err := simplifiedchinese.GB18030.NewEncoder().Bytes([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{
		"utf-8": []byte(text), "with a byte order mark": []byte("\ufeff" + text), "gb18030": gb, "carriage returns": []byte(strings.ReplaceAll(text, "\n", "\r\n")),
		"tabs": []byte(strings.ReplaceAll(strings.ReplaceAll(text, ",", "\t"), "军\t", "军,")),
	} {
		l := layout(t, map[string]string{"birth": "出生", "phone": ""}, "name", "phone", "birth")
		l.Truth, l.ID = "ent", "rid"
		r, err := Read(t.Context(), write(t, data), l, nil)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if got, want := fmt.Sprintf("%q", rows(r)), `[["张伟" "" "1990-01-01"] ["刘\n军, 大" "" ""] [" 王 芳" "" "1991"] ["赵\"云" "" ""] ["李" "" "\\N"]]`; got != want {
			t.Errorf("%s: values %s, want %s", name, got, want)
		}
		if got, want := fmt.Sprint(r.Truth, r.Entities, r.IDs), "[0 1 0 -1 -1] 2 [1 2 3 4 5]"; got != want {
			t.Errorf("%s: truth %s, want %s", name, got, want)
		}
		if fmt.Sprint(l.Absent()) != "[phone]" {
			t.Errorf("absent: %v", l.Absent())
		}
	}
}

// A record's source stands behind its fields, where the file has one.
func TestReadSources(t *testing.T) {
	m := model("name")
	m.SourceColumn = "source"
	for _, c := range []struct {
		text   string
		mapped map[string]string
		want   string
	}{
		{"source,name\npolice,张伟\n", nil, `[["张伟" "police"]]`},
		{"office,name\npolice,张伟\n", nil, `[["张伟"]]`},
		{"office,name\npolice,张伟\n", map[string]string{"source": "office"}, `[["张伟" "police"]]`},
		{"source,name\npolice,张伟\n", map[string]string{"source": ""}, `[["张伟"]]`},
		{"source,name\npolice,张伟\n", map[string]string{"source": "ofice"}, `there is no column "ofice" for the records' sources; the columns are name, source; name it by --map source=COLUMN`},
	} {
		l, err := NewLayout(m, c.mapped)
		if err != nil {
			t.Fatal(err)
		}
		r, err := Read(t.Context(), write(t, []byte(c.text)), l, nil)
		got := ""
		if err != nil {
			got = err.Error()
		} else {
			got = fmt.Sprintf("%q", rows(r))
		}
		if !strings.HasSuffix(got, c.want) {
			t.Errorf("%q by %v: %s, want %s", c.text, c.mapped, got, c.want)
		}
	}
	if _, err := NewLayout(model("name"), map[string]string{"source": "office"}); err == nil {
		t.Error("a model without sources takes a column for them")
	}
}

func rows(r *Records) (all [][]string) {
	for i := range r.Input.Len() {
		all = append(all, r.Input.Values(i, nil))
	}
	return all
}

// Texts of many rows share memory; none of them runs into another.
func TestReadManyRows(t *testing.T) {
	var text bytes.Buffer
	text.WriteString("name,city\n")
	const many = 5000
	for i := range many {
		fmt.Fprintf(&text, "n%d,%s\n", i, strings.Repeat("c", i%700))
	}
	var told, total int64
	r, err := Read(t.Context(), write(t, text.Bytes()), layout(t, nil, "city", "name"), func(done, of int64) { told, total = done, of })
	if err != nil || r.Input.Len() != many || r.Truth != nil || r.IDs != nil {
		t.Fatal(err)
	}
	for i, v := range rows(r) {
		if len(v) != 2 || v[1] != fmt.Sprint("n", i) || len(v[0]) != i%700 {
			t.Fatalf("row %d is %q", i, v)
		}
	}
	if told != total || total != int64(text.Len()) {
		t.Errorf("told %d of %d bytes of %d", told, total, text.Len())
	}
}

func TestReadRefuses(t *testing.T) {
	long := "name,city\n1,\"" + strings.Repeat("never closed,\n", mostBytes/10)
	for _, c := range []struct {
		name, text string
		want       string
	}{
		{"nothing", "", "people.csv: the file is empty"},
		{"a header alone", "name,city\n", "a header and no record"},
		{"a column that is misspelt", "nmae,city\nx,y\n", `people.csv:1: there is no column "name" for the field name; the columns are city, nmae; did you mean "nmae"? say where it is by --map name=COLUMN, or --map name=`},
		{"a column twice", "name,city,name\nx,y,z\n", `people.csv:1: two columns are called "name"`},
		{"a short row", "name,city\nx,y\n\"a\nb\"\n", "people.csv:3: the row has 1 columns and the header 2"},
		{"a long row", "name,city\nx,y,z\n", "people.csv:2: the row has 3 columns and the header 2"},
		{"a quote that is never closed", "name,city\n1,\"never,closed\n2,3\n", ""},
		{"a quote that swallows the file", long, fmt.Sprintf("people.csv:2: a row has more than %d bytes", mostBytes)},
		{"a line that does not end", "name,city\nx," + strings.Repeat("y", 2*mostBytes), "people.csv:2: a row has more than"},
		{"a header that does not end", strings.Repeat("y", 2*mostBytes), "people.csv:1: a row has more than"},
		{"zero bytes", "name,city\nx,\x00\n", "zero bytes"},
		{"UTF-16", "\xff\xfen\x00a\x00", "zero bytes"},
		{"a workbook", "PK\x03\x04....", "workbook"},
		{"one broken character", "name,city\n张伟张伟张伟张伟,y\n张\xe4,y\n", "people.csv:3: the row holds bytes that are no text"},
		{"neither encoding", "name,city\n\xff\xff\xff,y\n", "people.csv:2: the row holds bytes that are no text"},
	} {
		_, err := Read(t.Context(), write(t, []byte(c.text)), layout(t, nil, "name", "city"), nil)
		if c.want == "" {
			if err != nil {
				t.Errorf("%s: %v", c.name, err)
			}
		} else if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
	if _, err := Read(t.Context(), filepath.Join(t.TempDir(), "none.csv"), layout(t, nil, "name"), nil); err == nil || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("no file: %v", err)
	}
	if _, err := Read(t.Context(), t.TempDir(), layout(t, nil, "name"), nil); err == nil {
		t.Error("a folder is read")
	}
	if _, err := Read(t.Context(), write(t, []byte("a\n1\n")), layout(t, map[string]string{"name": ""}, "name"), nil); err == nil || !strings.Contains(err.Error(), "none of the model's fields") {
		t.Errorf("no field: %v", err)
	}
	l := layout(t, nil, "name")
	l.Truth, l.ID = "cluster", "id"
	if _, err := Read(t.Context(), write(t, []byte("name\n1\n")), l, nil); err == nil || !strings.Contains(err.Error(), "--truth") || !strings.Contains(err.Error(), "--id") {
		t.Errorf("no truth and no id: %v", err)
	}
	if _, err := NewLayout(model("name", "city"), map[string]string{"nam": "x"}); err == nil || !strings.Contains(err.Error(), `no field "nam" to map a column to; did you mean "name"?`) {
		t.Errorf("a field that is none: %v", err)
	}
}

// Whatever stands in a file, it is refused with a sentence, or each record has a value for each field and an entity.
func FuzzRead(f *testing.F) {
	f.Add([]byte("name,city,ent\nx,y,1\n"))
	f.Add([]byte("\ufeffname;city;ent\n\"x\ny\";\"z\";\n"))
	f.Add([]byte("name\tcity\tent\n\xd5\xc5\xce\xb0\t\xb1\xb1\xbe\xa9\t1\n"))
	f.Add([]byte("name,city,ent\n\"\"\"x,y,\xff\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		l := layout(t, nil, "name", "city")
		l.Truth = "ent"
		r, err := Read(t.Context(), write(t, data), l, nil)
		if err != nil {
			if r != nil || err.Error() == "" {
				t.Fatal(err)
			}
			return
		}
		if r.Input.Len() == 0 || len(r.Truth) != r.Input.Len() {
			t.Fatalf("%d records, %d truths", r.Input.Len(), len(r.Truth))
		}
		for i, v := range rows(r) {
			if len(v) != 2 || r.Truth[i] < -1 || int(r.Truth[i]) >= r.Entities {
				t.Fatalf("record %d: %q, entity %d of %d", i, v, r.Truth[i], r.Entities)
			}
		}
	})
}
