package file

import (
	"encoding/csv"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/shirecounty/shire/connectors/conformance"
	"github.com/shirecounty/shire/schemas/change"
)

// FuzzFile: no content of a file ends in a panic or in an error that is not for the operator, every line of it is
// accounted for, and the last row says that it is the last. The ledger is left out; crash_test.go has it.
func FuzzFile(f *testing.F) {
	for _, seed := range []string{
		people, "", "\n", "number\n1\n", "number,name\n1,\"a\n2,b\n", "\xef\xbb\xbfnumber;name\r\n1;\"x\"\"y\"\r\n", "number,name\n1,\xff\xfe\n",
		"\xff\xfen\x00", "PK\x03\x04", "number|name\n\"1\"|\"\r\"\n", "number,name\n\"\"\"\n\"", "number\t\"na\nme\"\n1\t2",
		"number,name\n\xc5\xb7\xd1\xf4,\x81\x30\x81\x30\n",
	} {
		f.Add([]byte(seed))
	}
	dir := newFolder(f, "changes")
	dir.with["max_record"] = "1KiB"
	r := &run{Connector: dir.connector(), out: conformance.NewBus()}
	f.Fuzz(func(t *testing.T, text []byte) {
		r.dir, r.told = t.TempDir(), map[string]bool{}
		path := filepath.Join(r.dir, "a")
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		in, err := survey(path)
		if err != nil {
			t.Fatal(err)
		}
		d := &drop{name: "a", stamp: stamp{size: int64(len(text))}, dataset: r.Contracts["things"], hash: in.hash}
		rs, err := r.open(t.Context(), d, in)
		var no *refusal
		if errors.As(err, &no) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		defer rs.close()
		var c change.Change
		for {
			last, err := rs.next(&c)
			if err == io.EOF && rs.ordinal == 0 {
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if (c.Op == change.Malformed) != (c.Problem != "") || c.Op == 0 && (c.Key == "" || len(c.Values) != len(rs.columns)) {
				t.Fatalf("change %+v", c)
			}
			if last {
				break
			}
		}
		if err := rs.unchanged(); err != nil {
			t.Fatal(err)
		}
	})
}

// FuzzRecords compares the records with those of encoding/csv where the latter has no complaint.
func FuzzRecords(f *testing.F) {
	for _, seed := range []string{people, "a,b\n\"c\nd\",e\n", "a,\"b\"\"c\"\r\n", "\"\n\",\"\"\n", "a\r\nb", "\"a\"\r,\"b\nc\"\n"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		reader := csv.NewReader(strings.NewReader(text))
		reader.FieldsPerRecord = -1
		want, err := reader.ReadAll()
		strict := err == nil && !strings.Contains(text, "\r")
		want = slices.DeleteFunc(want, func(r []string) bool { return strings.TrimSpace(strings.Join(r, "")) == "" })
		path := filepath.Join(t.TempDir(), "a.csv")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := openCSV(path, gb18030, ',', 1<<20, func(int) {})
		if err != nil {
			t.Fatal(err)
		}
		c.close()
		if c, err = openCSV(path, utf8Encoding, ',', 1<<20, func(int) {}); err != nil {
			t.Fatal(err)
		}
		defer c.close()
		var got [][]string
		good, ended := true, false
		for {
			var r record
			err := c.next(&r)
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			if ended {
				t.Fatal("a record follows the last one")
			}
			ended = r.last
			good = good && r.problem == ""
			if strings.TrimSpace(strings.Join(r.values, "")) != "" {
				got = append(got, slices.Clone(r.values))
			}
		}
		if len(got) > 0 && !ended {
			t.Fatal("no record was the last one")
		}
		if strict && good && !slices.EqualFunc(got, want, slices.Equal) {
			t.Fatalf("got %q\nwant %q", got, want)
		}
		if strict && strings.ToValidUTF8(text, "") == text && !strings.HasPrefix(text, "\xef\xbb\xbf") && !good {
			t.Fatalf("a record that is well formed was called malformed")
		}
	})
}
