package web

import (
	"bytes"
	"encoding/json"
	"io"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/shirecounty/shire/schemas/contract"
)

func TestTimesThatServicesWrite(t *testing.T) {
	shanghai := time.FixedZone("", 8*3600)
	want := time.Date(2026, 11, 25, 8, 30, 15, 0, shanghai)
	for format, texts := range map[string][]string{
		"rfc3339":  {"2026-11-25T08:30:15+08:00", "2026-11-25T00:30:15Z", "2026-11-25 08:30:15", "2026-11-25T08:30:15", "2026/11/25 08:30:15", "20261125083015", "1795566615", "1795566615000", " 2026-11-25T08:30:15.000+0800 "},
		"unix":     {"1795566615", "1795566615.0", "2026-11-25 08:30:15"},
		"unix_ms":  {"1795566615000", "1.795566615e12"},
		"compact":  {"20261125083015"},
		"datetime": {"2026-11-25 08:30:15.000"},
	} {
		f := timeFormat{layouts[format], shanghai}
		for _, text := range texts {
			if got, ok := f.parse(text); !ok || !got.Equal(want) {
				t.Errorf("%s: %q is %s, %v", format, text, got, ok)
			}
		}
		for _, text := range []string{"", "0", "-5", "NaN", "Inf", "1e300", "0001-01-01T00:00:00Z", "soon", "99999999999999"} {
			if got, ok := f.parse(text); ok && format != "unix_ms" && format != "compact" {
				t.Errorf("%s: %q is %s", format, text, got)
			}
		}
	}
	for format, texts := range map[string][2]string{
		"rfc3339": {"2026-11-25T08:30:15+08:00", "2026-11-25T08:30:14+08:00"}, "rfc3339_ms": {"2026-11-25T08:30:15.999+08:00", "2026-11-25T08:30:15.998+08:00"},
		"datetime": {"2026-11-25 08:30:15", "2026-11-25 08:30:14"}, "compact": {"20261125083015", "20261125083014"}, "date": {"2026-11-25", "2026-11-24"},
		"unix": {"1795566615", "1795566614"}, "unix_ms": {"1795566615999", "1795566615998"},
	} {
		f, at := timeFormat{layouts[format], shanghai}, want.Add(999_900*time.Microsecond)
		if got := f.before(at, true); got != texts[0] {
			t.Errorf("%s: %s, not %s", format, got, texts[0])
		}
		if got := f.before(at, false); got != texts[1] {
			t.Errorf("%s: %s, not %s", format, got, texts[1])
		}
	}
}

// What is asked for is never later than what was seen, whatever the format.
func FuzzTimes(f *testing.F) {
	f.Add("2026-11-25T08:30:15.123456+08:00")
	f.Add("1795566615.5")
	f.Fuzz(func(t *testing.T, text string) {
		zone := time.FixedZone("", 8*3600)
		for name, l := range layouts {
			tf := timeFormat{l, zone}
			at, ok := tf.parse(text)
			if !ok {
				continue
			}
			_ = position{Since: at}.String()
			again, ok := tf.parse(tf.before(at, true))
			if ok && again.After(at) {
				t.Fatalf("%s: %s is asked for as %s", name, at, again)
			}
		}
	})
}

func FuzzBody(f *testing.F) {
	f.Add(`{"data": {"items": [{"id": 1}, {"id": "x", "a": {"b": [1, 2]}}], "next": "y"}, "more": true}`)
	f.Add(`[{"id": 1}, null, 3, [], "x"]`)
	f.Add(`[{}]`) // a record without anything is one without a key
	f.Add(`{"data": {"items": null}} `)
	f.Add(`{"data": {"items": [}}`)
	e := &endpoint{Dataset: fuzzed(f), Deleted: &flag{"gone", []string{"true"}}, Since: &since{Field: "at", times: timeFormat{layouts["unix"], time.UTC}}}
	f.Fuzz(func(t *testing.T, text string) {
		for _, records := range [][]string{nil, {"data", "items"}} {
			s := newShaper(e, nil)
			n := 0
			b := &body{records: records, wanted: [][]string{{"data", "next"}, {"more"}}}
			b.record = func(raw json.RawMessage) error {
				n++
				r := e.parse(raw)
				if err := s.shape([]*record{r}); err != nil {
					return err
				}
				if r.problem == "" && (r.key == "" || len(r.values) != len(s.columns) || len(r.null) != len(s.columns)) {
					t.Fatalf("%+v under %v", r, s.columns)
				}
				for _, v := range r.values {
					if !utf8.ValidString(v) {
						t.Fatalf("%q is not UTF-8", v)
					}
				}
				return nil
			}
			err := b.read(strings.NewReader(text), "", false, 1<<10)
			if err == nil && records == nil && json.Valid([]byte(strings.TrimPrefix(text, "\uFEFF"))) {
				var all []json.RawMessage
				if json.Unmarshal([]byte(strings.TrimPrefix(text, "\uFEFF")), &all) == nil && len(all) != n {
					t.Fatalf("%d records of %d", n, len(all))
				}
			}
			if err == nil && !json.Valid([]byte(strings.TrimPrefix(text, "\uFEFF"))) {
				t.Fatalf("%q was read to its end", text)
			}
		}
	})
}

func fuzzed(t testing.TB) *contract.Dataset {
	d, err := contract.Parse("x.yaml", []byte(`
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
`), "Asia/Shanghai")
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// A response is never in memory as a whole, however large it is.
func TestLargeResponseInBoundedMemory(t *testing.T) {
	record := []byte(`{"id": 1, "name": "` + strings.Repeat("x", 900) + `"},`)
	const records = 200_000 // 180 MB
	var most int64
	r := &repeated{head: []byte("["), body: record, n: records, tail: []byte(`{"id": 2}]`)}
	n := 0
	b := &body{}
	b.record = func(json.RawMessage) error {
		n++
		most = max(most, r.given-b.dec.InputOffset())
		return nil
	}
	if err := b.read(r, "", false, 8<<20); err != nil || n != records+1 {
		t.Fatal(n, err)
	}
	if most > 256<<10 {
		t.Errorf("%d bytes were read ahead", most)
	}
}

// repeated is a text of any length.
type repeated struct {
	head, body, tail []byte
	n                int
	given            int64
	left             bytes.Buffer
}

func (r *repeated) Read(p []byte) (int, error) {
	for r.left.Len() == 0 {
		switch {
		case r.head != nil:
			r.left.Write(r.head)
			r.head = nil
		case r.n > 0:
			r.n--
			r.left.Write(r.body)
		case r.tail != nil:
			r.left.Write(r.tail)
			r.tail = nil
		default:
			return 0, io.EOF
		}
	}
	n, err := r.left.Read(p)
	r.given += int64(n)
	return n, err
}
