package serving_test

import (
	"bytes"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/shirecounty/shire/pipeline/seal"
	"github.com/shirecounty/shire/pipeline/serving"
	"github.com/shirecounty/shire/schemas/pseudonym"
)

func keyring(t testing.TB, keys ...seal.Key) *seal.Keyring {
	t.Helper()
	ring, err := seal.NewKeyring(keys...)
	if err != nil {
		t.Fatal(err)
	}
	return ring
}

var (
	aesKey = seal.Key{ID: 1, Cipher: seal.AES256GCM, Secret: bytes.Repeat([]byte{7}, 32)}
	sm4Key = seal.Key{ID: 2, Cipher: seal.SM4GCM, Secret: bytes.Repeat([]byte{9}, 16)}
)

func open(t testing.TB, dir string, keys *seal.Keyring) *serving.Store {
	t.Helper()
	s, err := serving.Open(dir, serving.Options{Keys: keys, Cache: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// uses are how many records each key has sealed.
func uses(t testing.TB, s *serving.Store) map[uint32]uint64 {
	t.Helper()
	list, err := s.Uses(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	out := map[uint32]uint64{}
	for _, u := range list {
		out[u.Key] += u.Values
	}
	return out
}

func id(space, n byte) pseudonym.ID { return pseudonym.ID{space, n, 0xff, 0xff} }

func drawRecord(t *rapid.T) *serving.Record {
	moment := func(name string) time.Time {
		if n := rapid.Int64Range(-5, 5).Draw(t, name); n != 0 {
			return time.UnixMicro(n * 1_234_567_890_123).UTC()
		}
		return time.Time{}
	}
	text := rapid.SampledFrom([]string{"", "张三", "110105194912310021", "x'\x00\xff"})
	r := &serving.Record{ID: id('r', rapid.ByteRange(1, 5).Draw(t, "record")), Version: rapid.Uint64Range(1, 40).Draw(t, "version"), Dataset: text.Draw(t, "dataset"),
		Source: text.Draw(t, "source"), SourceTime: moment("said"), Received: moment("came"), Contract: text.Draw(t, "contract"), Division: text.Draw(t, "division")}
	for range rapid.IntRange(0, 3).Draw(t, "fields") {
		r.Fields = append(r.Fields, serving.Field{Name: text.Draw(t, "name"), Value: text.Draw(t, "value")})
	}
	for range rapid.IntRange(0, 2).Draw(t, "mentions") {
		m := serving.Mention{Person: rapid.Bool().Draw(t, "person"), Role: text.Draw(t, "role"), Record: id('m', rapid.ByteRange(1, 4).Draw(t, "mention"))}
		if rapid.Bool().Draw(t, "numbered") {
			m.Number = id('n', rapid.ByteRange(1, 3).Draw(t, "number"))
		}
		r.Mentions = append(r.Mentions, m)
	}
	if rapid.Bool().Draw(t, "is a case") {
		r.Case = &serving.Case{Number: rapid.SampledFrom([]string{"C1", "C2"}).Draw(t, "case"), Department: "hall", Item: text.Draw(t, "item"), Opened: moment("opened"), Closed: moment("closed")}
	}
	for range rapid.IntRange(0, 2).Draw(t, "holdings") {
		r.Holdings = append(r.Holdings, serving.Holding{Material: text.Draw(t, "material"), Issuer: text.Draw(t, "issuer"), Status: text.Draw(t, "status"), IssuedAt: moment("issued"),
			From: rapid.Int32().Draw(t, "from"), Until: rapid.Int32().Draw(t, "until"), Role: text.Draw(t, "holder")})
	}
	return r
}

// The store is the newest version of each record, whatever came in which order, twice or not, and across restarts; and every
// way leads to those records and to no other.
func TestStoreAgainstAMap(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		dir, err := os.MkdirTemp(t.TempDir(), "")
		if err != nil {
			rt.Fatal(err)
		}
		keys := []seal.Key{aesKey, sm4Key}
		s := open(t, dir, keyring(t, keys...))
		defer func() { s.Close() }()
		type version struct {
			record *serving.Record
			gone   bool
		}
		model := map[pseudonym.ID]version{}
		sealedBy := map[pseudonym.ID]uint32{}
		position := uint64(0)
		for range rapid.IntRange(1, 12).Draw(rt, "steps") {
			switch rapid.IntRange(0, 7).Draw(rt, "step") {
			case 0: // a restart, with the other key for what is written from now on
				if err := s.Close(); err != nil {
					rt.Fatal(err)
				}
				slices.Reverse(keys)
				s = open(t, dir, keyring(t, keys...))
			case 1: // the other key without a restart
				slices.Reverse(keys)
				s.Seal(keyring(t, keys...))
			case 2:
				stale := uint64(0)
				for id, key := range sealedBy {
					if key != keys[0].ID {
						stale++
					}
					sealedBy[id] = keys[0].ID
				}
				if n, err := s.Reseal(t.Context(), keyring(t, keys...)); err != nil || n != stale {
					rt.Fatalf("%d records were sealed anew and %d should have been: %v", n, stale, err)
				}
			default:
				var changes []serving.Change
				for range rapid.IntRange(0, 6).Draw(rt, "changes") {
					r := drawRecord(rt)
					gone := rapid.IntRange(0, 3).Draw(rt, "gone") == 0
					if had, ok := model[r.ID]; ok && had.record.Version == r.Version {
						continue // one version is one change
					}
					if had, ok := model[r.ID]; !ok || had.record.Version < r.Version {
						model[r.ID] = version{r, gone}
						if sealedBy[r.ID] = keys[0].ID; gone {
							delete(sealedBy, r.ID)
						}
					}
					changes = append(changes, serving.Change{Record: r, Gone: gone})
				}
				position++
				if err := s.Apply(position, changes); err != nil {
					rt.Fatal(err)
				}
			}
			if s.Position() != position {
				rt.Fatalf("the store is at %d and not at %d", s.Position(), position)
			}
			count := map[uint32]uint64{}
			for _, key := range sealedBy {
				count[key]++
			}
			if got := uses(t, s); !maps.Equal(got, count) {
				rt.Fatalf("the keys have sealed %v and not %v", got, count)
			}
			ways := map[string]map[pseudonym.ID]bool{}
			way := func(name string, r *serving.Record) {
				if ways[name] == nil {
					ways[name] = map[pseudonym.ID]bool{}
				}
				ways[name][r.ID] = true
			}
			for id, v := range model {
				got, err := s.Get(id)
				if err != nil {
					rt.Fatal(err)
				}
				if v.gone != (got == nil) || got != nil && !reflect.DeepEqual(got, v.record) {
					rt.Fatalf("record %s is\n%+v\nand not\n%+v (gone: %t)", id, got, v.record, v.gone)
				}
				if v.gone {
					continue
				}
				for _, m := range v.record.Mentions {
					way("m"+m.Record.String(), v.record)
					if !m.Number.IsZero() {
						way("n"+m.Number.String(), v.record)
					}
				}
				if v.record.Case != nil {
					way("c"+v.record.Case.Number, v.record)
				}
			}
			leads := func(name string, records []*serving.Record, err error) {
				rt.Helper()
				if err != nil {
					rt.Fatal(err)
				}
				got := map[pseudonym.ID]bool{}
				for _, r := range records {
					got[r.ID] = true
				}
				if len(got) != len(records) || !maps.Equal(got, ways[name]) && len(got)+len(ways[name]) > 0 {
					rt.Fatalf("%s leads to %v and not to %v", name, got, ways[name])
				}
			}
			for n := range byte(5) {
				m, k := id('m', n), id('n', n)
				records, err := s.ByMentions([]pseudonym.ID{m, m})
				leads("m"+m.String(), records, err)
				records, err = s.ByNumber(k)
				leads("n"+k.String(), records, err)
			}
			for _, number := range []string{"C1", "C2", ""} {
				records, err := s.ByCase(number)
				leads("c"+number, records, err)
			}
		}
	})
}

// Nothing on the disk shows a value, or the number by which a person is looked up.
func TestNothingIsReadableOnTheDisk(t *testing.T) {
	for _, key := range []seal.Key{aesKey, sm4Key} {
		dir := t.TempDir()
		s := open(t, dir, keyring(t, key))
		var changes []serving.Change
		for n := range 500 {
			changes = append(changes, serving.Change{Record: &serving.Record{ID: pseudonym.ID{byte(n), byte(n >> 8)}, Version: 1, Dataset: "residents", Fields: []serving.Field{{"name", "欧阳锋"}, {"number", fmt.Sprint("11010519491231", n)}}}})
		}
		if err := s.Apply(1, changes); err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		files := 0
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			data, err := os.ReadFile(path)
			for _, secret := range []string{"欧阳锋", "11010519491231", "residents"} {
				if bytes.Contains(data, []byte(secret)) {
					t.Errorf("%s holds %s", filepath.Base(path), secret)
				}
			}
			files++
			return err
		})
		if err != nil || files == 0 {
			t.Fatal(files, err)
		}
	}
}

func TestRecordsThatCannotBeOpened(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, keyring(t, aesKey))
	if err := s.Apply(1, []serving.Change{{Record: &serving.Record{ID: id('r', 1), Version: 1, Fields: []serving.Field{{"name", "欧阳锋"}}}}}); err != nil {
		t.Fatal(err)
	}
	s.Close()
	other := aesKey
	other.Secret = bytes.Repeat([]byte{8}, 32)
	for want, keys := range map[string][]seal.Key{"which is not in the keyring": {sm4Key}, "is another one": {other}} {
		s := open(t, dir, keyring(t, keys...))
		_, err := s.Get(id('r', 1))
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "欧阳锋") {
			t.Errorf("%v; want %q", err, want)
		}
		s.Close()
	}
	for want, keys := range map[string][]seal.Key{
		"there is no key": nil, "takes 32": {{ID: 1, Cipher: seal.AES256GCM, Secret: []byte("short")}},
		"which there is not": {{ID: 1, Cipher: "rot13", Secret: bytes.Repeat([]byte{1}, 32)}}, "two keys": {aesKey, aesKey},
	} {
		if _, err := seal.NewKeyring(keys...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v; want %q", err, want)
		}
	}
}
