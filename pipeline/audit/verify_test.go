package audit

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/shirecounty/shire/schemas/pseudonym"
)

// memory is a log in memory, to be changed by hand.
type memory struct {
	lines [][]byte
	list  []record
}

func (m *memory) statements(_ context.Context, fn func([]byte) error) error {
	for _, l := range m.lines {
		if err := fn(bytes.Clone(l)); err != nil {
			return err
		}
	}
	return nil
}

func (m *memory) records(_ context.Context, fn func(record) error) error {
	for _, r := range m.list {
		if err := fn(r); err != nil {
			return err
		}
	}
	return nil
}

func (m *memory) clone() *memory {
	out := &memory{}
	for _, l := range m.lines {
		out.lines = append(out.lines, bytes.Clone(l))
	}
	for _, r := range m.list {
		out.list = append(out.list, record{bytes.Clone(r.canonical), bytes.Clone(r.hash)})
	}
	return out
}

func testKey(t testing.TB, s Scheme) (*Key, Keys) {
	t.Helper()
	k, err := LoadOrCreateKey(t.TempDir(), s)
	if err != nil {
		t.Fatal(err)
	}
	keys := Keys{}
	if err := keys.Add(k.Public); err != nil {
		t.Fatal(err)
	}
	return k, keys
}

func (m *memory) sign(t testing.TB, k *Key, s Statement) {
	t.Helper()
	s.County, s.Time = "330782", time.Date(2026, 11, 26, 3, 0, int(s.Sequence%60), 0, time.UTC)
	s, err := s.signed(k)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	m.lines = append(m.lines, text)
}

var someEntry = Entry{At: time.Date(2026, 11, 26, 3, 0, 0, 123_456_000, time.UTC), Caller: "portal/review", Clerk: "00112233445566778899aabb",
	Purpose: "identity review", CaseNumber: "330782-2026-000001", Person: pseudonym.ID{1, 15: 1}, Fields: []string{"name", "id_number", "address"}, Decision: "granted"}

// chain makes a log of n entries behind a place, signed at its beginning, every so many entries, and at its end.
func chain(t testing.TB, k *Key, a Algorithm, after Place, n, every int) *memory {
	m := &memory{}
	begin := after
	m.sign(t, k, Statement{Kind: Begin, Sequence: after.Sequence, Hash: after.Hash})
	for i := range n {
		e := someEntry
		e.At = e.At.Add(time.Duration(i) * time.Millisecond)
		e.CaseNumber = fmt.Sprint("330782-2026-", i)
		e.Previous, e.Sequence = after.Hash, after.Sequence+1
		canonical := e.canonical(nil)
		after = Place{e.Sequence, a.sum(canonical)}
		m.list = append(m.list, record{canonical, []byte(after.Hash)})
		if (i+1)%every == 0 || i == n-1 {
			m.sign(t, k, Statement{Kind: Checkpoint, Sequence: after.Sequence, Hash: after.Hash, Count: after.Sequence - begin.Sequence})
		}
	}
	return m
}

// verified goes through the file: what is written is what is proven.
func verified(t rapid.TB, m *memory, keys Keys) *Report {
	t.Helper()
	var b bytes.Buffer
	if err := writeFile(context.Background(), &b, header{County: "330782"}, m); err != nil {
		t.Fatal(err)
	}
	report, _, err := VerifyFile(context.Background(), &b, keys, nil)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

func (r *Report) named(t rapid.TB, what string, sequence uint64, kinds ...Kind) {
	t.Helper()
	if len(r.Findings) == 0 || r.Findings[0].Sequence != sequence || !slices.Contains(kinds, r.Findings[0].Kind) {
		t.Errorf("%s: found %+v, want %v at %d", what, r.Findings, kinds, sequence)
	}
}

// Whatever is flipped, taken out, put in or moved in a log, the first bad entry is named, and what was done to it.
func TestEveryChangeIsNamed(t *testing.T) {
	type world struct {
		key  *Key
		keys Keys
		log  *memory
	}
	const size = 40
	var worlds []world
	for _, s := range []Scheme{Ed25519, SM2} {
		for _, a := range []Algorithm{SHA256, SM3} {
			k, keys := testKey(t, s)
			worlds = append(worlds, world{k, keys, chain(t, k, a, Place{}, size, 7)})
		}
	}
	rapid.Check(t, func(rt *rapid.T) {
		w := worlds[rapid.IntRange(0, len(worlds)-1).Draw(rt, "world")]
		m := w.log.clone()
		i := rapid.IntRange(0, size-1).Draw(rt, "entry")
		n := uint64(i + 1)
		switch what := rapid.SampledFrom([]string{"none", "flip", "flip hash", "delete", "delete many", "copy", "forge", "swap", "move", "rewrite", "rewrite all", "cut end", "flip statement"}).Draw(rt, "what"); what {
		case "none":
			if r := verified(rt, m, w.keys); !r.OK() || r.Entries != size || r.Checkpoints != 6 || r.Signed != size {
				rt.Errorf("%+v", r)
			}
		case "flip":
			at := rapid.IntRange(0, len(m.list[i].canonical)-1).Draw(rt, "byte")
			m.list[i].canonical[at] ^= 1 << rapid.IntRange(0, 7).Draw(rt, "bit")
			verified(rt, m, w.keys).named(rt, what, n, Edited)
		case "flip hash":
			at := rapid.IntRange(0, len(m.list[i].hash)-1).Draw(rt, "byte")
			m.list[i].hash[at] ^= 1 << rapid.IntRange(0, 7).Draw(rt, "bit")
			verified(rt, m, w.keys).named(rt, what, n, Edited)
		case "delete", "delete many":
			many := 1
			if what == "delete many" {
				many = rapid.IntRange(1, size-i).Draw(rt, "many")
			}
			m.list = slices.Delete(m.list, i, i+many)
			kind := Deleted
			switch {
			case i+many == size:
				kind = TruncatedEnd
			case i == 0:
				kind = TruncatedBeginning
			}
			verified(rt, m, w.keys).named(rt, what, n, kind)
		case "copy":
			from := rapid.IntRange(0, size-1).Draw(rt, "from")
			m.list = slices.Insert(m.list, i, m.list[from])
			// Before its own place, that is where it stands; behind it, it is there twice.
			verified(rt, m, w.keys).named(rt, what, min(n, uint64(from+1)), Inserted)
		case "forge": // an entry of one's own, with a place and a hash that are right
			e, err := m.list[i].entry()
			if err != nil {
				rt.Fatal(err)
			}
			e.Clerk = "somebody else"
			forged := e.canonical(nil)
			m.list = slices.Insert(m.list, i, record{forged, []byte(SHA256.sum(forged))})
			r := verified(rt, m, w.keys)
			if len(r.Findings) == 0 || r.Findings[0].Sequence != n && r.Findings[0].Sequence != r.Signed+1 {
				rt.Errorf("forged before %d: %+v", n, r.Findings)
			}
		case "swap":
			j := rapid.IntRange(0, size-1).Filter(func(j int) bool { return j != i }).Draw(rt, "with")
			m.list[i], m.list[j] = m.list[j], m.list[i]
			verified(rt, m, w.keys).named(rt, what, uint64(min(i, j)+1), Reordered)
		case "move":
			j := rapid.IntRange(0, size-1).Filter(func(j int) bool { return j != i }).Draw(rt, "to")
			r := m.list[i]
			m.list = slices.Insert(slices.Delete(m.list, i, i+1), j, r)
			verified(rt, m, w.keys).named(rt, what, uint64(min(i, j)+1), Reordered)
		case "rewrite": // with a hash that is right
			e, err := m.list[i].entry()
			if err != nil {
				rt.Fatal(err)
			}
			e.Decision = "refused"
			m.list[i].canonical = e.canonical(nil)
			m.list[i].hash = []byte(algorithmOf(e.Hash).sum(m.list[i].canonical))
			r := verified(rt, m, w.keys)
			if len(r.Findings) == 0 || r.Findings[0].Kind != Edited || r.Findings[0].Sequence != n && (r.Findings[0].Sequence != r.Signed+1 || r.Signed >= n) {
				rt.Errorf("rewritten %d: %+v", n, r.Findings)
			}
		case "rewrite all": // with everything behind it made anew: only the signatures tell
			after := Place{}
			for k := range m.list {
				e, err := m.list[k].entry()
				if err != nil {
					rt.Fatal(err)
				}
				if k == i {
					e.Reason = "another"
				}
				a := algorithmOf(e.Hash)
				e.Sequence, e.Previous = after.Sequence+1, after.Hash
				m.list[k].canonical = e.canonical(nil)
				after = Place{e.Sequence, a.sum(m.list[k].canonical)}
				m.list[k].hash = []byte(after.Hash)
			}
			r := verified(rt, m, w.keys)
			if len(r.Findings) == 0 || r.Findings[0].Kind != Edited || r.Findings[0].Sequence > n || r.Findings[0].Sequence+7 <= n {
				rt.Errorf("all from %d on: %+v", n, r.Findings)
			}
		case "cut end":
			m.list = m.list[:i]
			verified(rt, m, w.keys).named(rt, what, n, TruncatedEnd)
		case "flip statement":
			l := rapid.IntRange(0, len(m.lines)-1).Draw(rt, "line")
			at := rapid.IntRange(0, len(m.lines[l])-1).Draw(rt, "byte")
			flipped := m.lines[l][at] ^ 1<<rapid.IntRange(0, 4).Draw(rt, "bit")
			var before, after Statement
			if json.Unmarshal(m.lines[l], &before) != nil {
				rt.Fatal("no statement")
			}
			m.lines[l][at] = flipped
			if flipped == '\n' || json.Unmarshal(m.lines[l], &after) == nil && fmt.Sprint(after) == fmt.Sprint(before) {
				return // it says the same (base64 has bits that mean nothing), or is two lines
			}
			r := verified(rt, m, w.keys)
			if len(r.Findings) == 0 || r.Findings[0].Kind != WrongSignature {
				rt.Errorf("line %d: %+v", l, r.Findings)
			}
		}
	})
}

// Numbers that skip one are found, though every entry follows the one before: an entry that never was cannot hide in between.
func TestNumbersSkipNone(t *testing.T) {
	k, keys := testKey(t, Ed25519)
	m := chain(t, k, SHA256, Place{}, 6, 10)
	m.lines = m.lines[:1] // before the first checkpoint
	after := Place{3, string(m.list[2].hash)}
	for i := 3; i < 6; i++ {
		e, err := m.list[i].entry()
		if err != nil {
			t.Fatal(err)
		}
		e.Sequence, e.Previous = e.Sequence+1, after.Hash
		m.list[i].canonical = e.canonical(nil)
		m.list[i].hash = []byte(SHA256.sum(m.list[i].canonical))
		after = Place{e.Sequence, string(m.list[i].hash)}
	}
	verified(t, m, keys).named(t, "a number that is skipped", 4, Deleted)
}

// A log without what is signed, or with what another county signed, or with more beside what is signed, is not proven.
func TestWhatIsSigned(t *testing.T) {
	k, keys := testKey(t, SM2)
	whole := chain(t, k, SM3, Place{}, 6, 3)
	m := whole.clone()
	m.lines = nil
	verified(t, m, keys).named(t, "nothing signed", 6, WrongSignature)
	m = whole.clone()
	m.lines[1] = bytes.Replace(m.lines[1], []byte(`{`), []byte(`{"note":"seen and approved",`), 1)
	verified(t, m, keys).named(t, "more than was signed", 0, WrongSignature)
	m = whole.clone()
	m.lines[1] = bytes.Replace(m.lines[1], []byte(`2026-11-26T`), []byte(`2026-11-27T`), 1)
	verified(t, m, keys).named(t, "another time", 3, WrongSignature)
	m = whole.clone()
	other := Statement{Kind: Checkpoint, County: "330001", Sequence: 6, Hash: string(m.list[5].hash), Count: 6}
	other, err := other.signed(k)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(other)
	if err != nil {
		t.Fatal(err)
	}
	m.lines = append(m.lines, text)
	verified(t, m, keys).named(t, "another county", 6, WrongSignature)
	m = whole.clone()
	m.sign(t, k, Statement{Kind: Checkpoint, Sequence: 6, Hash: string(m.list[5].hash), Count: 5})
	verified(t, m, keys).named(t, "a wrong count", 6, WrongSignature)
}
