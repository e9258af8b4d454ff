package store_test

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/shirecounty/shire/pipeline/identity/store"
)

// Keys that are shorter than a head, as long as one, and longer; values of no width; blobs.
var tables = []store.Spec{
	{Name: "short", Key: 3, Value: 2},
	{Name: "set", Key: 8, Value: 0},
	{Name: "long", Key: 11, Value: 4, Blob: true},
	{Name: "lone", Key: 1, Value: 0, Blob: true},
}

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

// entry is what the model keeps for a key: value and blob.
type entry struct{ value, blob string }

// model is the plainest thing that a store could be.
type model struct {
	position uint64
	meta     string
	tables   []map[string]entry
}

func newModel() model {
	m := model{}
	for range tables {
		m.tables = append(m.tables, map[string]entry{})
	}
	return m
}

func (m model) clone() model {
	c := model{position: m.position, meta: m.meta}
	for _, t := range m.tables {
		n := map[string]entry{}
		for k, e := range t {
			n[k] = e
		}
		c.tables = append(c.tables, n)
	}
	return c
}

func (m model) keys(table int, want func(key string) bool) []string {
	var keys []string
	for k := range m.tables[table] {
		if want(k) {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	return keys
}

func line(key, value, blob string) string { return fmt.Sprintf("%x=%x/%x", key, value, blob) }

func (m model) lines(table int, want func(key string) bool) []string {
	var lines []string
	for _, k := range m.keys(table, want) {
		e := m.tables[table][k]
		lines = append(lines, line(k, e.value, e.blob))
	}
	return lines
}

func everything(string) bool { return true }

// dump is all that a view holds.
func dump(v *store.View, tables int) string {
	var b strings.Builder
	for t := range tables {
		v.Scan(t, nil, func(key, value, blob []byte) bool {
			fmt.Fprintln(&b, t, line(string(key), string(value), string(blob)))
			return true
		})
	}
	return b.String()
}

func (m model) dump() string {
	var b strings.Builder
	for t := range m.tables {
		for _, l := range m.lines(t, everything) {
			fmt.Fprintln(&b, t, l)
		}
	}
	return b.String()
}

// drawKey gives keys of which many share a beginning, also beyond the head.
func drawKey(t *rapid.T, width int) []byte {
	key := bytes.Repeat([]byte{byte(rapid.IntRange(0, 1).Draw(t, "filling"))}, width)
	for range rapid.IntRange(0, 2).Draw(t, "changes") {
		key[rapid.IntRange(0, width-1).Draw(t, "at")] = rapid.SampledFrom([]byte{0, 1, 2, 255}).Draw(t, "to")
	}
	return key
}

func drawBatch(t *rapid.T, m *model) *store.Batch {
	b := store.NewBatch(tables)
	n := rapid.IntRange(0, 30).Draw(t, "changes")
	for range n {
		i := rapid.IntRange(0, len(tables)-1).Draw(t, "table")
		key := drawKey(t, tables[i].Key)
		if rapid.IntRange(0, 3).Draw(t, "delete") == 0 {
			b.Delete(i, key)
			delete(m.tables[i], string(key))
			continue
		}
		value := rapid.SliceOfN(rapid.Byte(), tables[i].Value, tables[i].Value).Draw(t, "value")
		var blob []byte
		if tables[i].Blob {
			blob = rapid.SliceOfN(rapid.Byte(), 0, 12).Draw(t, "blob")
		}
		b.Put(i, key, value, blob)
		m.tables[i][string(key)] = entry{string(value), string(blob)}
		if len(key) > 0 {
			key[0] ^= 0xff // the batch has its own copy
		}
	}
	if b.Len() != n {
		t.Fatalf("a batch of %d changes says that it has %d", n, b.Len())
	}
	return b
}

// check compares everything that a view can be asked with the model.
func check(t *rapid.T, v *store.View, m model) {
	if got, want := dump(v, len(tables)), m.dump(); got != want {
		t.Fatalf("the view holds\n%s\ninstead of\n%s", got, want)
	}
	i := rapid.IntRange(0, len(tables)-1).Draw(t, "asked table")
	probe := drawKey(t, tables[i].Key)

	value, blob, ok := v.Get(i, probe)
	e, there := m.tables[i][string(probe)]
	if ok != there || string(value) != e.value || string(blob) != e.blob {
		t.Fatalf("Get(%x) gives %x, %x, %v instead of %x, %x, %v", probe, value, blob, ok, e.value, e.blob, there)
	}

	from := string(probe[:rapid.IntRange(0, len(probe)).Draw(t, "width")])
	limit := rapid.IntRange(1, 20).Draw(t, "limit")
	collect := func(got *[]string) func(key, value, blob []byte) bool {
		return func(key, value, blob []byte) bool {
			*got = append(*got, line(string(key), string(value), string(blob)))
			return len(*got) < limit
		}
	}
	same := func(what string, got, want []string) {
		if len(want) > limit {
			want = want[:limit]
		}
		if !slices.Equal(got, want) {
			t.Fatalf("%s of table %d gives %v instead of %v", what, i, got, want)
		}
	}
	var scanned, prefixed, joined []string
	v.Scan(i, []byte(from), collect(&scanned))
	same("Scan", scanned, m.lines(i, func(k string) bool { return k >= from }))
	v.Prefix(i, []byte(from), collect(&prefixed))
	same("Prefix", prefixed, m.lines(i, func(k string) bool { return strings.HasPrefix(k, from) }))

	width := rapid.IntRange(1, tables[i].Key).Draw(t, "join width")
	prefixes := map[string]bool{}
	for range rapid.IntRange(0, 12).Draw(t, "prefixes") {
		prefixes[string(drawKey(t, tables[i].Key)[:width])] = true
	}
	sorted := []string{}
	for p := range prefixes {
		sorted = append(sorted, p)
	}
	slices.Sort(sorted)
	v.Join(i, []byte(strings.Join(sorted, "")), width, func(n int, key, value, blob []byte) {
		joined = append(joined, sorted[n]+line(string(key), string(value), string(blob)))
	})
	var want []string
	for _, p := range sorted {
		for _, l := range m.lines(i, func(k string) bool { return strings.HasPrefix(k, p) }) {
			want = append(want, p+l)
		}
	}
	limit = len(want)
	same("Join", joined, want)
}

func TestStoreBehavesLikeAMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		dir, err := os.MkdirTemp("", "store")
		if err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(dir)
		flush := rapid.SampledFrom([]int{200, 2000, 1 << 20}).Draw(t, "flush")
		options := store.Options{Flush: flush, NoSync: true, Log: quiet}
		open := func() *store.Store {
			s, err := store.Open(dir, tables, options)
			if err != nil {
				t.Fatal(err)
			}
			return s
		}
		s, m := open(), newModel()
		defer func() { s.Close() }()
		type held struct {
			view *store.View
			then model
		}
		var views []held
		defer func() {
			for _, h := range views {
				h.view.Release()
			}
		}()
		t.Repeat(map[string]func(*rapid.T){
			"commit": func(t *rapid.T) {
				b := drawBatch(t, &m)
				m.position += uint64(rapid.IntRange(0, 5).Draw(t, "step"))
				m.meta = rapid.StringN(0, 6, -1).Draw(t, "meta")
				if err := s.Commit(b, m.position, []byte(m.meta)); err != nil {
					t.Fatal(err)
				}
			},
			"reopen": func(t *rapid.T) {
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
				s = open()
			},
			"compact": func(t *rapid.T) {
				if err := s.Compact(); err != nil {
					t.Fatal(err)
				}
			},
			"hold": func(t *rapid.T) {
				views = append(views, held{s.View(), m.clone()})
			},
			"release": func(t *rapid.T) {
				if len(views) > 0 {
					views[0].view.Release()
					views = views[1:]
				}
			},
			"ask an old view": func(t *rapid.T) {
				if len(views) > 0 {
					h := rapid.SampledFrom(views).Draw(t, "view")
					check(t, h.view, h.then)
				}
			},
			"look from outside": func(t *rapid.T) {
				o := options
				o.ReadOnly = true
				r, err := store.Open(dir, tables, o)
				if err != nil {
					t.Fatal(err)
				}
				defer r.Close()
				v := r.View()
				defer v.Release()
				check(t, v, m)
			},
			"": func(t *rapid.T) {
				v := s.View()
				defer v.Release()
				check(t, v, m)
				if s.Position() != m.position || string(s.Meta()) != m.meta {
					t.Fatalf("the store says %d, %q instead of %d, %q", s.Position(), s.Meta(), m.position, m.meta)
				}
			},
		})
	})
}
