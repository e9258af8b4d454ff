package mysql

import (
	"bytes"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/shirecounty/shire/connectors/conformance"
)

// TestCharsetsReadAsTheServer compares every character of one and two bytes with what the server itself makes of it.
func TestCharsetsReadAsTheServer(t *testing.T) {
	s := newSystem(t, sharedServer(t))
	settings := &settings{Address: s.server.Address, User: "root", TLS: "disable"}
	v, err := settings.connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer v.close()
	s.exec(t, "create table codes (b varbinary(2))")
	s.exec(t, "insert into codes select unhex(lpad(hex(seq), 2, '0')) from seq_0_to_255")
	s.exec(t, "insert into codes select unhex(lpad(hex(seq), 4, '0')) from seq_0_to_65535")
	for _, name := range []string{"gbk", "gb2312", "big5", "latin1", "latin2", "latin5", "latin7", "cp1250", "cp1251", "cp1256", "cp1257", "cp850", "cp852", "cp866", "koi8r", "koi8u", "greek", "hebrew", "tis620", "macroman", "sjis", "cp932", "euckr", "geostd8", "dec8", "ucs2", "utf16", "utf16le", "ascii", "utf8mb3"} {
		c, err := v.charset(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		rows, err := s.db.Query(fmt.Sprintf("select b, convert(convert(b using %s) using utf8mb4), hex(convert(convert(convert(b using %s) using utf8mb4) using %s)) = hex(b) from codes", name, name, name))
		if err != nil {
			t.Fatal(name, err)
		}
		differ, same := 0, 0
		for rows.Next() {
			var raw []byte
			var want sql.NullString
			var valid sql.NullBool
			if err := rows.Scan(&raw, &want, &valid); err != nil {
				t.Fatal(err)
			}
			if !valid.Bool || !want.Valid || !utf8.ValidString(want.String) {
				continue // not a character of the set
			}
			if got := c.decode(raw); got == want.String {
				same++
				if back, ok := c.encode(got); !ok || !bytes.Equal(back, raw) && c.decode(back) != got {
					t.Errorf("%s %x is %q, which becomes %x (%v)", name, raw, got, back, ok)
				}
			} else if differ++; differ <= 5 {
				t.Errorf("%s %x is %q (%x), the server says %q (%x)", name, raw, got, []rune(got), want.String, []rune(want.String))
			}
		}
		rows.Close()
		if same < 100 {
			t.Errorf("%s: only %d characters were compared", name, same)
		}
		if differ > 0 {
			t.Errorf("%s: %d characters differ", name, differ)
		}
	}
}

func openDB(t testing.TB, server *conformance.MariaDB, name string) *sql.DB {
	t.Helper()
	db, err := sql.Open("mysql", server.DSN(name))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func TestAddressesReadAsTheServer(t *testing.T) {
	s := newSystem(t, sharedServer(t))
	s.exec(t, "create table addresses (a inet6, raw binary(16))")
	random := rand.New(rand.NewPCG(1, 2))
	for range 40 {
		var values []string
		for range 50 {
			raw := make([]byte, 16)
			for i := range raw {
				if random.IntN(3) == 0 {
					raw[i] = byte(random.Uint32())
				}
			}
			values = append(values, fmt.Sprintf("(x'%x', x'%x')", raw, raw))
		}
		s.exec(t, "insert into addresses values "+strings.Join(values, ", "))
	}
	rows, err := s.db.Query("select cast(a as char), raw from addresses")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var text string
		var raw []byte
		if err := rows.Scan(&text, &raw); err != nil {
			t.Fatal(err)
		}
		if got := formatIPv6(raw); got != text {
			t.Errorf("%x is %s, the server says %s", raw, got, text)
		}
	}
}
