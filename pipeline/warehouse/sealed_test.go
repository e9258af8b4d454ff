package warehouse_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/memory"

	"github.com/shirecounty/shire/pipeline/seal"
	"github.com/shirecounty/shire/pipeline/warehouse"
	"github.com/shirecounty/shire/schemas/canonical"
	"github.com/shirecounty/shire/schemas/pseudonym"
)

// residents are records of people with everything by which somebody is found; first numbers them.
func residents(first, n int, h *pseudonym.Hasher) arrow.Record {
	table, _ := canonical.Lookup("person_records")
	rb := array.NewRecordBuilder(memory.DefaultAllocator, table.Schema())
	defer rb.Release()
	for i := first; i < first+n; i++ {
		text := map[string]string{"dataset": "residents", "name": fmt.Sprintf("欧阳%06d", i), "id_number": fmt.Sprintf("11010519491231%03dX", i%1000), "phone": fmt.Sprintf("139%08d", i),
			"address": fmt.Sprintf("幸福路%06d号", i), "household": fmt.Sprintf("H-%06d", i), "division": "110105001"}
		for c, col := range table.Columns {
			switch b := rb.Field(c).(type) {
			case *array.StringBuilder:
				b.Append(text[col.Name])
			case *array.FixedSizeBinaryBuilder:
				id := h.ID("resident", fmt.Sprint(i))
				b.Append(id[:])
			case *array.Uint64Builder:
				b.Append(uint64(i) + 1)
			case *array.Uint8Builder:
				b.Append(0)
			default:
				b.AppendNull()
			}
		}
	}
	return rb.NewRecord()
}

// shows counts what the parts that hold rows of a condition show of a resident.
func shows(t *testing.T, w *warehouse.Warehouse, dir, condition string, i int) (shown, files int) {
	t.Helper()
	var parts []string
	if err := w.Conn().QueryRow(t.Context(), "SELECT groupUniqArray(_part) FROM restricted.person_records WHERE "+condition).Scan(&parts); err != nil {
		t.Fatal(err)
	}
	id, secrets := "", []string{fmt.Sprintf("欧阳%06d", i), "11010519491231", fmt.Sprintf("139%08d", i), fmt.Sprintf("幸福路%06d号", i), fmt.Sprintf("H-%06d", i)}
	if err := w.Conn().QueryRow(t.Context(), "SELECT toString(uuid) FROM system.tables WHERE database = 'restricted' AND name = 'person_records'").Scan(&id); err != nil {
		t.Fatal(err)
	}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // taken away meanwhile
		}
		folder := filepath.Dir(path)
		if err != nil || d.IsDir() || !strings.Contains(path, id) || !slices.Contains(parts, filepath.Base(folder)) {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		files++
		for _, secret := range secrets {
			if bytes.Contains(data, []byte(secret)) {
				shown++
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return shown, files
}

func ring(t testing.TB, keys ...seal.Key) *seal.Keyring {
	t.Helper()
	k, err := seal.NewKeyring(keys...)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// Rows from before are sealed, keys change while rows are sealed anew and the work is killed in between, and at every moment each
// row says what it said; nothing of it is readable on the disk, and a lost key is told.
func TestPersonalValuesAreSealed(t *testing.T) {
	dir := t.TempDir()
	_, a := engineIn(t, dir)
	w := connect(t, a, "bus", slog.New(slog.DiscardHandler))
	h, err := pseudonym.New([]byte(strings.Repeat("k", 32)))
	if err != nil {
		t.Fatal(err)
	}
	table, _ := canonical.Lookup("person_records")
	const old, all = 2_000, 13_000
	first, second := seal.NewKey(seal.SM4GCM, [32]byte{1}), seal.NewKey(seal.AES256GCM, [32]byte{2})
	load := func(from, to int, token string) {
		t.Helper()
		rec := residents(from, to-from, h)
		defer rec.Release()
		for range 2 { // I3: sealed twice over is still one load
			if err := w.Load(t.Context(), table, rec, token); err != nil {
				t.Fatal(err)
			}
		}
	}
	// says compares every row with what was loaded, as the keyring opens it.
	says := func(s *warehouse.Sealer, rows int) {
		t.Helper()
		r, err := w.Conn().Query(t.Context(), "SELECT UUIDNumToString(UUIDToNum(record_id)), version, sealed, name, id_number, phone, address, household, content_hash, number_sex, number_year FROM restricted.person_records FINAL ORDER BY version")
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		n := 0
		for ; r.Next(); n++ {
			var record, sealed, name, number, phone, address, household, sex string
			var version, content uint64
			var year uint16
			if err := r.Scan(&record, &version, &sealed, &name, &number, &phone, &address, &household, &content, &sex, &year); err != nil {
				t.Fatal(err)
			}
			i := int(version) - 1
			id := h.ID("resident", fmt.Sprint(i))
			if sealed != "" {
				if name+number+phone+address+household != "" {
					t.Fatalf("row %d is sealed and stands in the clear", i)
				}
				values, err := s.Open(table, id, version, []byte(sealed))
				if err != nil {
					t.Fatal(err)
				}
				name, number, phone, address, household = values["name"], values["id_number"], values["phone"], values["address"], values["household"]
				sexOf := "female"
				if i%1000%2 == 1 {
					sexOf = "male"
				}
				text := fmt.Sprintf("%s|%d:%s|%d:%s|0:|-|%d:%s|%d:%s|9:110105001|%d:%s|0:", id, len(name), name, len(number), number, len(phone), phone, len(address), address, len(household), household)
				if sex != sexOf || year != 1949 || content != warehouse.ContentHash(h, table, []byte(text)) {
					t.Fatalf("row %d: %s, %d, and the hash of %s is another", i, sex, year, text)
				}
				if _, err := s.Open(table, id, version+1, []byte(sealed)); err == nil {
					t.Fatal("what is sealed can be moved to another version")
				}
			}
			if record != id.String() || name != fmt.Sprintf("欧阳%06d", i) || number != fmt.Sprintf("11010519491231%03dX", i%1000) || phone != fmt.Sprintf("139%08d", i) || address != fmt.Sprintf("幸福路%06d号", i) || household != fmt.Sprintf("H-%06d", i) {
				t.Fatalf("row %d says something else", i)
			}
		}
		if r.Err() != nil || n != rows {
			t.Fatalf("%d rows of %d, %v", n, rows, r.Err())
		}
	}
	used := func(want ...seal.Use) {
		t.Helper()
		got, err := warehouse.KeysInUse(t.Context(), w.Conn())
		if err != nil {
			t.Fatal(err)
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Fatalf("the keys in use are %v and should be %v", got, want)
		}
	}
	const name = "restricted.person_records"

	load(0, old, "before")
	if shown, _ := shows(t, w, dir, "1", 0); shown == 0 {
		t.Fatal("nothing is found in parts that are in the clear, so the search is of no use")
	}
	s := warehouse.NewSealer(ring(t, first), h)
	w.Seal(s)
	load(old, all, "since")
	if shown, files := shows(t, w, dir, "sealed_key != 0", old); shown > 0 || files == 0 {
		t.Fatalf("what is loaded sealed shows %d values in %d files", shown, files)
	}
	used(seal.Use{Place: name, Key: 0, Values: old}, seal.Use{Place: name, Key: first.ID, Values: all - old})
	says(s, all)
	if n, err := warehouse.Reseal(t.Context(), w.Conn(), s, nil); err != nil || n != old {
		t.Fatal(n, err)
	}
	used(seal.Use{Place: name, Key: first.ID, Values: all})
	says(s, all)
	for _, i := range []int{0, old - 1, all - 1} {
		if shown, files := shows(t, w, dir, "1", i); shown > 0 || files == 0 {
			t.Fatalf("sealed afterwards, it shows %d values in %d files", shown, files)
		}
	}

	// Another key; killed after the first rows.
	s = warehouse.NewSealer(ring(t, second, first), h)
	ctx, kill := context.WithCancel(t.Context())
	if n, err := warehouse.Reseal(ctx, w.Conn(), s, func(uint64) { kill() }); err == nil || n == 0 || n >= all {
		t.Fatalf("killed, it sealed %d rows, %v", n, err)
	}
	says(s, all)
	uses, err := warehouse.KeysInUse(t.Context(), w.Conn())
	if err != nil || len(uses) != 2 {
		t.Fatal(uses, err)
	}
	// Only one of the two keys is there any more: the rows of the other one stay, and are told of.
	var lost *seal.LostKeyError
	third := seal.NewKey(seal.AES256GCM, [32]byte{3})
	if n, err := warehouse.Reseal(t.Context(), w.Conn(), warehouse.NewSealer(ring(t, third, first), h), nil); !errors.As(err, &lost) || lost.Key != second.ID || n == 0 || !strings.Contains(err.Error(), "bring that key back") {
		t.Fatal(n, err)
	}
	s = warehouse.NewSealer(ring(t, second, third, first), h)
	says(s, all)
	if _, err := warehouse.Reseal(t.Context(), w.Conn(), s, nil); err != nil {
		t.Fatal(err)
	}
	used(seal.Use{Place: name, Key: second.ID, Values: all})
	says(s, all)
	if n, err := warehouse.Reseal(t.Context(), w.Conn(), s, nil); err != nil || n != 0 {
		t.Fatalf("with nothing to do it sealed %d rows, %v", n, err)
	}
	// A key of the same number with other bytes, and none at all.
	other := second
	other.Secret = bytes.Repeat([]byte{9}, 32)
	var sealed string
	var version uint64
	if err := w.Conn().QueryRow(t.Context(), "SELECT sealed, version FROM restricted.person_records ORDER BY version LIMIT 1").Scan(&sealed, &version); err != nil {
		t.Fatal(err)
	}
	for want, keys := range map[string]*seal.Keyring{"its key": ring(t, other), "which is not in the keyring": ring(t, first)} {
		_, err := warehouse.NewSealer(keys, h).Open(table, h.ID("resident", "0"), version, []byte(sealed))
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "欧阳") {
			t.Errorf("%v; want %q", err, want)
		}
	}
}
