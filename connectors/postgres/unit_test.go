package postgres

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"pgregory.net/rapid"

	"github.com/shirecounty/shire/connectors"
	"github.com/shirecounty/shire/schemas/change"
	"github.com/shirecounty/shire/schemas/contract"
	"github.com/shirecounty/shire/schemas/county"
)

func TestPositionsAreReadAsTheyWereWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := position{
			LSN: lsn(rapid.Uint64().Draw(t, "lsn")), N: rapid.Int64Min(0).Draw(t, "n"), Epoch: rapid.IntRange(0, 3).Draw(t, "epoch"),
			Round: rapid.IntRange(0, 3).Draw(t, "round"), Snapshot: rapid.String().Draw(t, "label"), Done: rapid.Bool().Draw(t, "done"),
			Key: rapid.SliceOfN(rapid.String(), 0, 3).Draw(t, "key"),
		}
		if len(want.Key) == 0 {
			want.Key = nil
		}
		snap := snapshotState{epoch: want.Epoch, round: want.Round, label: want.Snapshot, key: want.Key, done: want.Done}
		var texts block
		texts.write(place{1, 1}, snap.tail(nil))
		written := texts.write(want.place(), snap.tail(nil))
		got, ok := parsePosition(written)
		if !ok {
			t.Fatalf("%s is not read", written)
		}
		a, _ := json.Marshal(want)
		b, _ := json.Marshal(got)
		if string(a) != string(b) {
			t.Fatalf("%s, not %s", b, a)
		}
	})
	for _, wrong := range []change.Position{"", "x", `{"lsn":"y"}`, `{"lsn":7}`} {
		if _, ok := parsePosition(wrong); ok {
			t.Errorf("%q is a position", wrong)
		}
	}
}

func TestSnapshotSees(t *testing.T) {
	for _, c := range []struct {
		snapshot string
		xid      uint32
		sees     bool
	}{
		{"100:100:", 99, true}, {"100:100:", 100, false}, {"100:110:100,105", 100, false}, {"100:110:100,105", 104, true}, {"100:110:100,105", 105, false},
		{"100:110:100,105", 110, false}, {"100:110:100,105", 2000, false},
		// The stream's numbers have 32 bits, and wrap.
		{"4294967290:4294967400:4294967291,4294967300", 4294967291, false}, {"4294967290:4294967400:4294967291,4294967300", 4294967292, true},
		{"4294967290:4294967400:4294967291,4294967300", 4, false}, {"4294967290:4294967400:4294967291,4294967300", 5, true},
		{"4294967290:4294967400:4294967291,4294967300", 104, false}, {"8589934700:8589934700:", 100, true},
	} {
		s, err := parseSnapshot(c.snapshot)
		if err != nil || s.sees(c.xid) != c.sees {
			t.Errorf("%s sees %d: %v, %v", c.snapshot, c.xid, !c.sees, err)
		}
	}
	for _, wrong := range []string{"", "1:2", "a:b:c", "1:2:3,", "1:2:x"} {
		if _, err := parseSnapshot(wrong); err == nil {
			t.Errorf("%q is a snapshot", wrong)
		}
	}
}

func TestGaps(t *testing.T) {
	same := server{system: "7", timeline: 1, flushed: 1000}
	remembered := state{System: "7", Timeline: 1, Slot: "s", Confirmed: 500}
	for _, c := range []struct {
		name string
		w    witness
		word string // "" when nothing is missing
	}{
		{"all well", witness{spoken: true, known: true, newest: 600, server: same, slot: &slot{confirmed: 500}}, ""},
		{"the server forgot the last confirmation", witness{spoken: true, known: true, newest: 600, server: same, slot: &slot{confirmed: 400}}, ""},
		{"nothing was ever said", witness{known: true, server: server{system: "8"}}, ""},
		{"a quiet table", witness{spoken: true, known: true, newest: 10, server: same, slot: &slot{confirmed: 500}}, ""},
		{"moved", witness{spoken: true, known: true, newest: 600, server: same, slot: &slot{confirmed: 501}}, "moved"},
		{"gone", witness{spoken: true, known: true, newest: 600, server: same}, "is gone"},
		{"lost", witness{spoken: true, known: true, newest: 600, server: same, slot: &slot{lost: true}}, "thrown away"},
		{"another server", witness{spoken: true, known: true, newest: 600, server: server{system: "8", timeline: 1, flushed: 1000}, slot: &slot{confirmed: 500}}, "another server"},
		{"set back", witness{spoken: true, known: true, newest: 600, server: server{system: "7", timeline: 1, flushed: 599}, slot: &slot{confirmed: 500}}, "set back"},
		{"failover with all", witness{spoken: true, known: true, newest: 600, server: server{system: "7", timeline: 2, flushed: 1000}, switched: 700, slot: &slot{confirmed: 500}}, ""},
		{"failover without the slot", witness{spoken: true, known: true, newest: 600, server: server{system: "7", timeline: 2, flushed: 1000}, switched: 700}, "is gone"},
		{"failover with a new slot", witness{spoken: true, known: true, newest: 600, server: server{system: "7", timeline: 2, flushed: 1000}, switched: 700, slot: &slot{confirmed: 800}}, "moved"},
		{"failover with a loss", witness{spoken: true, known: true, newest: 600, server: server{system: "7", timeline: 2, flushed: 1000}, switched: 550, slot: &slot{confirmed: 560}}, "before what was read"},
		{"failover, timeline unknown", witness{spoken: true, known: true, newest: 600, server: server{system: "7", timeline: 5, flushed: 1000}, switched: 0, slot: &slot{confirmed: 100}}, "before what was read"},
		{"state lost", witness{spoken: true, newest: 600, server: same, slot: &slot{confirmed: 600}}, ""},
		{"state lost, slot moved", witness{spoken: true, newest: 600, server: same, slot: &slot{confirmed: 601}}, "is lost"},
		{"other name", witness{spoken: true, known: true, newest: 600, server: same, slotName: "other"}, "used to be"},
	} {
		c.w.state = &state{}
		if c.w.known {
			kept := remembered
			c.w.state = &kept
		}
		if c.w.slotName == "" {
			c.w.slotName = "s"
		}
		if c.w.known && c.w.server.timeline == c.w.state.Timeline {
			c.w.switched = c.w.server.flushed
		}
		gap := c.w.gap()
		if (c.word == "") != (gap == "") || !strings.Contains(gap, c.word) {
			t.Errorf("%s: %q", c.name, gap)
		}
	}
}

func TestReadsTheSame(t *testing.T) {
	numeric := func(precision, scale int32) int32 { return precision<<16 | scale + 4 }
	for _, c := range []struct {
		a, b column
		same bool
	}{
		{column{Type: int4OID, Mod: -1}, column{Type: int8OID, Mod: -1}, true},
		{column{Type: varcharOID, Mod: 14}, column{Type: varcharOID, Mod: 24}, true},
		{column{Type: varcharOID, Mod: 24}, column{Type: varcharOID, Mod: 14}, false},
		{column{Type: varcharOID, Mod: 14}, column{Type: textOID, Mod: -1}, true},
		{column{Type: int4OID, Mod: -1}, column{Type: textOID, Mod: -1}, false},
		{column{Type: 1042, Mod: 8}, column{Type: 1042, Mod: 12}, false}, // blanks are added
		{column{Type: numericID, Mod: numeric(12, 2)}, column{Type: numericID, Mod: numeric(14, 2)}, true},
		{column{Type: numericID, Mod: numeric(12, 2)}, column{Type: numericID, Mod: numeric(12, 3)}, false},
		{column{Type: numericID, Mod: numeric(12, 2)}, column{Type: numericID, Mod: -1}, true},
		{column{Type: numericID, Mod: -1}, column{Type: numericID, Mod: numeric(12, 2)}, false},
		{column{Type: 1114, Mod: -1}, column{Type: 1184, Mod: -1}, false},
	} {
		if readsTheSame(c.a, c.b) != c.same {
			t.Errorf("%+v to %+v: %v", c.a, c.b, !c.same)
		}
	}
}

func TestSettings(t *testing.T) {
	set := contract.Set{"residents": {Name: "residents"}}
	parse := func(with map[string]any) (settings, error) {
		return decodeSettings(connectors.Settings{Source: county.Source{Name: "Civil-Affairs", With: with}, Contracts: set, Resolve: func(p string) string { return "/county/" + p }, Log: slog.New(slog.DiscardHandler)})
	}
	good := map[string]any{"address": "db", "database": "d", "user": "u", "tables": []any{map[string]any{"table": `"My.Schema".Names`, "dataset": "residents", "snapshot": 2026}}}
	s, err := parse(good)
	if err != nil {
		t.Fatal(err)
	}
	if s.Addresses[0] != "db:5432" || s.Tables[0] != (connectors.Table{Schema: "My.Schema", Name: "Names", Dataset: "residents", Label: "2026"}) || !strings.HasPrefix(s.Slot, "shire_civil_affairs_") || s.Publication != s.Slot {
		t.Errorf("%+v", s)
	}
	for _, c := range []struct {
		key   string
		value any
		word  string
	}{
		{"address", nil, "with.address is missing"}, {"address", "a b", "is not an address"}, {"address", []any{"a:1", "b:x"}, "is not an address"}, {"database", 7, "is not a text"},
		{"slot", "Upper", "cannot be used"}, {"tls", "yes", "is not one of the choices"}, {"ca", "none.pem", "cannot be read"}, {"on_gap", "ignore", "is not one of the choices"},
		{"tables", []any{}, "is not a list"}, {"tables", []any{map[string]any{"table": "a.b.c", "dataset": "residents"}}, "is not the name of a table"},
		{"tables", []any{map[string]any{"table": "t", "dataset": "other"}}, "is not in the datasets"},
		{"tables", []any{map[string]any{"table": "t", "dataset": "residents"}, map[string]any{"table": "u", "dataset": "residents"}}, "has a table already"},
		{"chunk_rows", 0, "is not a number that can be used"}, {"max_slot_lag", "many", "is not a size"}, {"sslmode", "x", "is not a setting"}, {"snapshot", "x", "is not a setting"},
	} {
		with := map[string]any{}
		for k, v := range good {
			with[k] = v
		}
		if with[c.key] = c.value; c.value == nil {
			delete(with, c.key)
		}
		if _, err := parse(with); err == nil || !strings.Contains(err.Error(), c.word) {
			t.Errorf("%s: %v: %v", c.key, c.value, err)
		}
	}
}

func TestErrorsHoldNoValues(t *testing.T) {
	for _, c := range []struct {
		err  *pgconn.PgError
		word string
	}{
		{&pgconn.PgError{Code: "22P02", Message: `invalid input syntax for type integer: "110101199003070000"`}, "a value cannot be used (22P02)"},
		{&pgconn.PgError{Code: "42P01", Message: "relation does not exist", Detail: "Key (id)=(110101199003070000)"}, "relation does not exist (42P01)"},
	} {
		err := plain(errors.Join(c.err))
		if !strings.Contains(err.Error(), c.word) || strings.Contains(err.Error(), "1101") || codeOf(err) != c.err.Code {
			t.Error(err)
		}
	}
}

func TestDamagedStateCountsAsLost(t *testing.T) {
	dir := t.TempDir()
	s, known, err := openState(dir)
	if err != nil || known {
		t.Fatal(known, err)
	}
	s.System, s.Confirmed = "7", 0x16B374D848
	s.table("residents").Columns = []column{{Name: "id", Type: 23, Mod: -1}}
	if err := s.save(); err != nil {
		t.Fatal(err)
	}
	again, known, err := openState(dir)
	if err != nil || !known || again.Confirmed != s.Confirmed || !slices.Equal(again.table("residents").Columns, s.table("residents").Columns) {
		t.Fatalf("%+v %v %v", again, known, err)
	}
	if err := os.WriteFile(s.path, []byte(`{"system":"7","conf`), 0o600); err != nil {
		t.Fatal(err)
	}
	if damaged, known, err := openState(dir); err != nil || known || damaged.Confirmed != 0 {
		t.Fatalf("%+v %v %v", damaged, known, err)
	}
}

// FuzzMessages: no message of a server makes this process panic, or take more memory than the message has bytes.
func FuzzMessages(f *testing.F) {
	text := func(s string) string { return "t" + string(binary.BigEndian.AppendUint32(nil, uint32(len(s)))) + s }
	f.Add("B\x00\x00\x00\x00\x01\x6b\x37\x48\x00\x02\xd7\xa6\x00\x00\x00\x00\x00\x00\x02\xf1")
	f.Add("R\x00\x00\x40\x00public\x00t\x00d\x00\x02\x01id\x00\x00\x00\x00\x17\xff\xff\xff\xffx\x00\x00\x00\x00\x19\xff\xff\xff\xff\x00")
	f.Add("I\x00\x00\x40\x00N\x00\x02" + text("1") + "n")
	f.Add("U\x00\x00\x40\x00K\x00\x02" + text("1") + "nN\x00\x02" + text("2") + "u")
	f.Add("D\x00\x00\x40\x00O\x00\x02" + text("1") + text("王"))
	f.Add("T\x00\x00\x00\x01\x00\x00\x00\x40\x00")
	f.Add("C\x00\x00\x00\x00\x00\x01\x6b\x37\x48\x00\x00\x00\x00\x01\x6b\x37\x78\x00\x00\x00\x00\x00\x00\x00\x00")
	f.Add("I\x00\x00\x40\x00N\xff\xfft\xff\xff\xff\xff")
	f.Fuzz(func(t *testing.T, m string) {
		if m == "" {
			return
		}
		keepalive([]byte(m))
		dataOf([]byte(m))
		body := m[1:]
		switch m[0] {
		case 'B':
			parseBegin(body)
		case 'C':
			parseCommit(body)
		case 'R':
			if r, err := parseRelation(body); err == nil && len(r.columns) > len(body) {
				t.Error("more columns than bytes")
			}
		case 'T':
			if oids, err := parseTruncate(body); err == nil && len(oids) > len(body) {
				t.Error("more tables than bytes")
			}
		case 'I', 'U', 'D':
			var row rowMessage
			row.new.add("left over", false, true)
			if err := row.parse(m[0], body); err != nil {
				return
			}
			for _, v := range append(row.old.values, row.new.values...) {
				if !strings.Contains(body, v) {
					t.Errorf("%q is not in the message", v)
				}
			}
			row.new.fill(&row.old)
			row.new.padded(3)
		}
	})
}

func TestStatusUpdate(t *testing.T) {
	at := time.Date(2026, 11, 25, 0, 0, 0, 0, time.UTC)
	m := statusUpdate(0x16B374D848, at, true)
	if m[0] != 'd' || int(binary.BigEndian.Uint32(m[1:])) != len(m)-1 || m[5] != 'r' || m[len(m)-1] != 1 {
		t.Errorf("% x", m)
	}
	if got := postgresTime(binary.BigEndian.Uint64(m[30:])); !got.Equal(at) || binary.BigEndian.Uint64(m[14:]) != 0x16B374D848 {
		t.Errorf("% x", m)
	}
}
