package audit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// The chain goes on from what stood in ClickHouse alone. Several processes write to it at once, with other hash functions and
// from many requests, and every access is there once, in the log and in the table.
func TestRecord(t *testing.T) {
	r := newRig(t)
	r.old(5)
	if report := r.verify(); !report.OK() || report.Entries != 5 {
		t.Errorf("before there is a stream: %+v", report)
	}
	running, stop := context.WithCancel(t.Context())
	var parts sync.WaitGroup
	parts.Go(func() {
		if err := r.p.Run(running); err != nil {
			t.Error(err)
		}
	})
	logs := []*Log{r.log, r.open(Options{Hash: SM3, CheckpointEntries: 50})}
	var group sync.WaitGroup
	const requests, each = 20, 5
	for p, l := range logs {
		for g := range requests {
			group.Go(func() {
				for i := range each {
					if err := l.Record(t.Context(), testAccess(fmt.Sprint("p", p, "g", g, "i", i))); err != nil {
						t.Error(err)
					}
				}
			})
		}
	}
	group.Wait()
	found := r.cases()
	if len(found) != len(logs)*requests*each {
		t.Errorf("%d accesses are in the log, want %d", len(found), len(logs)*requests*each)
	}
	for number, n := range found {
		if n != 2 {
			t.Errorf("access %s has %d entries, want one for each person", number, n)
		}
	}
	stop()
	parts.Wait()
	nobody := testAccess("nobody")
	nobody.Persons, nobody.Fields = nil, nil
	r.must(r.log.Record(t.Context(), nobody))
	r.must(r.log.Checkpoint(t.Context()))
	r.must(r.log.Checkpoint(t.Context())) // of the same end there is one
	r.must(r.p.CatchUp(t.Context()))
	all := uint64(5 + 2*len(logs)*requests*each + 1)
	r.proven(all)
	if report := r.verify(); report.Signed != all || report.First != 1 || report.Checkpoints < 2 {
		t.Errorf("%+v", report)
	}
	blocks := 0
	r.must(r.log.eachBlock(t.Context(), func(block []byte) error {
		blocks++
		if bytes.Contains(block, []byte(clerk)) {
			t.Error("a name is in the log (I7)")
		}
		return nil
	}))
	if blocks > int(all)/3 {
		t.Errorf("%d blocks for %d entries: accesses that came at once did not share one", blocks, all)
	}
	// Nothing can be deleted from within.
	msg, err := r.log.stream.GetLastMsgForSubject(t.Context(), entriesSubject(r.county))
	r.must(err)
	if err := r.log.stream.DeleteMsg(t.Context(), msg.Sequence); err == nil {
		t.Error("a block could be deleted")
	}
	// What is too large is refused, and its neighbours are not.
	large := testAccess("large")
	large.Reason = strings.Repeat("x", maxEntry)
	if err := r.log.Record(t.Context(), large); err == nil {
		t.Error("an entry that no reader takes was written")
	}
	many := testAccess("many")
	many.Persons = nil
	many.Reason = strings.Repeat("x", 100<<10)
	for i := range 30 { // more than one block holds
		many.Persons = append(many.Persons, [16]byte{15: byte(i)})
	}
	r.must(r.log.Record(t.Context(), many))
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if err := r.log.Record(gone, testAccess("gone")); err == nil {
		t.Error("who has gone was told that the access is written")
	}
	r.record(r.log, "after")
	if found := r.cases(); found["large"] != 0 || found["many"] != 30 || found["after"] != 2 {
		t.Errorf("%d large, %d many, %d after", found["large"], found["many"], found["after"])
	}
	r.must(r.p.CatchUp(t.Context()))
	if report := r.verify(); !report.OK() {
		t.Errorf("%+v", report)
	}
}

// An export is proven offline, by keys that are trusted, and by checkpoints that were kept elsewhere.
func TestExport(t *testing.T) {
	r := newRig(t)
	r.old(3)
	kept := filepath.Join(r.dir, "kept.jsonl")
	r.log.options.HandOut = kept
	r.record(r.log, "1", "2", "3")
	r.must(r.p.CatchUp(t.Context()))
	early := &bytes.Buffer{}
	r.must(r.p.Export(t.Context(), early))
	r.record(r.log, "4", "5")
	handed := filepath.Join(r.dir, "handed.jsonl")
	if s, err := r.log.HandOut(t.Context(), handed); err != nil || s.Sequence != 13 || s.Kind != Checkpoint {
		t.Fatalf("%+v, %v", s, err)
	}
	r.must(r.p.CatchUp(t.Context()))
	late := &bytes.Buffer{}
	r.must(r.p.Export(t.Context(), late))
	read := func(file string) []Statement {
		t.Helper()
		text, err := os.ReadFile(file)
		r.must(err)
		list, err := ReadStatements(bytes.NewReader(text))
		r.must(err)
		return list
	}
	if list := read(kept); len(list) != 3 || list[0].Kind != Begin || list[2].Sequence != 13 {
		t.Errorf("handed out by themselves: %+v", list)
	}
	verify := func(file []byte, keys Keys, elsewhere []Statement) (*Report, bool) {
		t.Helper()
		report, own, err := VerifyFile(t.Context(), bytes.NewReader(file), keys, elsewhere)
		r.must(err)
		return report, own
	}
	if report, own := verify(late.Bytes(), r.keys, read(handed)); !report.OK() || own || report.Entries != 13 || report.Signed != 13 {
		t.Errorf("%+v", report)
	}
	if report, own := verify(late.Bytes(), nil, nil); !report.OK() || !own {
		t.Errorf("by its own key: %+v", report)
	}
	_, others := testKey(t, SM2)
	if report, _ := verify(late.Bytes(), others, nil); report.OK() || report.Findings[0].Kind != WrongSignature {
		t.Errorf("by the key of somebody else: %+v", report)
	}
	// An export from before is whole by itself; a checkpoint of later shows what it lacks.
	if report, _ := verify(early.Bytes(), r.keys, nil); !report.OK() || report.Entries != 9 {
		t.Errorf("%+v", report)
	}
	report, _ := verify(early.Bytes(), r.keys, read(handed))
	report.named(t, "an end that was cut off", 10, TruncatedEnd)
	// Cut anywhere, the file is no export any more, or says where its end is missing.
	for at := 0; at < late.Len(); at += 13 {
		report, _, err := VerifyFile(t.Context(), bytes.NewReader(late.Bytes()[:at]), r.keys, nil)
		if err == nil && report.OK() {
			t.Fatalf("cut at byte %d of %d: %+v", at, late.Len(), report)
		}
	}
}

// Who rules the server, and who rules the warehouse, can change the log; verify names where and what.
func TestChangesOfTheStream(t *testing.T) {
	r := newRig(t)
	r.old(2)
	r.record(r.log, "1", "2", "3", "4")
	r.must(r.log.Checkpoint(t.Context()))
	r.must(r.p.CatchUp(t.Context()))
	r.proven(10)
	named := func(what string, sequence uint64, kind Kind) {
		t.Helper()
		r.verify().named(t, what, sequence, kind)
	}
	notCut := func(what string) {
		t.Helper()
		if _, err := r.p.Cut(t.Context(), r.keys, time.Now(), time.Now(), false); err == nil {
			t.Errorf("%s: a log that is not whole was cut", what)
		}
	}
	mutate := func(what string) {
		t.Helper()
		r.sql("ALTER TABLE audit.accesses " + what + " SETTINGS mutations_sync = 2")
	}

	mutate("UPDATE purpose = 'another' WHERE sequence = 7")
	named("a row that was changed", 7, WrongProjection)
	notCut("a row that was changed")
	mutate("UPDATE purpose = 'identity review' WHERE sequence = 7")
	mutate("UPDATE purpose = 'another' WHERE sequence = 2")
	named("a row from before the stream", 2, Edited)
	mutate("UPDATE purpose = 'identity review' WHERE sequence = 2")
	r.proven(10)
	rows := []row{}
	r.must(r.p.table.each(t.Context(), 5, 5, func(x *row) error { rows = append(rows, *x); return nil }))
	mutate("DELETE WHERE sequence = 5")
	named("a row that was taken out", 5, WrongProjection)
	r.must(r.p.table.send(t.Context(), rows, "by hand"))
	r.proven(10)
	r.must(r.p.table.send(t.Context(), rows, "by hand, again"))
	named("a row that was put in", 5, WrongProjection)
	mutate("DELETE WHERE sequence = 5")
	r.must(r.p.table.send(t.Context(), rows, "by hand, once"))
	// Rows at the end come again, from the middle of a block on, and though the server knows their token.
	mutate("DELETE WHERE sequence > 6")
	r.must(r.p.CatchUp(t.Context()))
	mutate("DELETE WHERE sequence > 7")
	if report := r.verify(); !report.OK() || report.Behind != 3 {
		t.Errorf("%+v", report)
	}
	r.must(r.p.CatchUp(t.Context()))
	r.proven(10)
	mutate("DELETE WHERE sequence > 6")
	soon, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	r.must(r.p.CatchUp(soon))
	r.proven(10)

	var whole []record
	r.forgeEntries(func(list []record) []record { whole = list; return list })
	r.proven(10)
	change := func(change func([]record) []record) {
		t.Helper()
		r.forgeEntries(func([]record) []record { return change(append([]record{}, whole...)) })
	}
	change(func(l []record) []record {
		l[3] = record{bytes.Clone(l[3].canonical), l[3].hash}
		l[3].canonical[20]++
		return l
	})
	named("an edit", 6, Edited)
	notCut("an edit")
	change(func(l []record) []record { return append(l[:2:2], l[3:]...) })
	named("a deletion", 5, Deleted)
	change(func(l []record) []record { l[4], l[5] = l[5], l[4]; return l })
	named("a reorder", 7, Reordered)
	change(func(l []record) []record { return append(l, l[0]) })
	named("an insertion", 3, Inserted)
	change(func(l []record) []record { return l[1:] })
	named("no beginning", 3, Deleted)
	change(func(l []record) []record { return l[:6] })
	named("no end", 9, TruncatedEnd)
	change(func(l []record) []record { return l })
	r.proven(10)
	r.forge(func(subject string, data []byte) [][]byte {
		if subject == entriesSubject(r.county) && len(data) < 10_000 {
			return [][]byte{data[:len(data)-1]}
		}
		return [][]byte{data}
	})
	if report := r.verify(); report.OK() || report.Findings[0].Sequence != 3 || report.Findings[0].Kind != Edited {
		t.Errorf("blocks without their ends: %+v", report)
	}
	if err := r.log.Record(t.Context(), testAccess("damaged")); err == nil {
		t.Error("the log goes on from what cannot be read")
	}
}

// Retention takes the oldest entries away, from the stream and from the table, and what is left is proven as before. A cut
// that nobody signed is none.
func TestCut(t *testing.T) {
	r := newRig(t)
	r.old(4) // on 26 November
	day := func(n int) time.Time { return time.Date(2026, 12, n, 3, 0, 0, 0, time.UTC) }
	for n := 1; n <= 6; n++ {
		a := testAccess(fmt.Sprint("day ", n))
		a.At = day(n)
		r.must(r.log.Record(t.Context(), a))
	}
	r.must(r.log.Checkpoint(t.Context()))
	cut := func(n int, dry bool, want uint64) {
		t.Helper()
		if got, err := r.p.Cut(t.Context(), r.keys, day(n), time.Now(), dry); err != nil || got != want {
			t.Errorf("day %d: %d, %v, want %d", n, got, err, want)
		}
	}
	cut(1, true, 4)
	r.proven(16)
	cut(1, false, 4) // what stood in ClickHouse alone
	r.proven(12)
	cut(3, false, 4)
	cut(3, false, 0)
	r.proven(8)
	if found := r.cases(); found["day 2"] != 0 || found["day 3"] != 2 {
		t.Errorf("the stream has %v", found)
	}
	r.record(r.log, "after")
	r.must(r.p.CatchUp(t.Context()))
	r.proven(10)
	var file bytes.Buffer
	r.must(r.p.Export(t.Context(), &file))
	if report, _, err := VerifyFile(t.Context(), &file, r.keys, nil); err != nil || !report.OK() || report.CutThrough != 8 {
		t.Errorf("%+v, %v", report, err)
	}
	// A cut that stopped after it was written down is finished by the next.
	through := Place{}
	r.must(r.p.table.each(t.Context(), 10, 10, func(x *row) error { through = Place{x.Sequence, x.Hash}; return nil }))
	at := day(4)
	r.must(r.log.state(t.Context(), Statement{Kind: Cut, Sequence: 10, Hash: through.Hash, Before: &at}, anySequence))
	if report := r.verify(); !report.OK() || report.First != 11 {
		t.Errorf("%+v", report)
	}
	cut(4, false, 2)
	r.proven(8)
	// What is cut off while the log is read is not held against it.
	meanwhile := Keys{}
	var once sync.Once
	for id, verify := range r.keys {
		meanwhile[id] = func(message, signature []byte) bool {
			once.Do(func() { cut(5, false, 2) })
			return verify(message, signature)
		}
	}
	if report, err := r.p.Verify(t.Context(), meanwhile, nil); err != nil || !report.OK() || report.First != 13 {
		t.Errorf("%+v, %v", report, err)
	}
	// Somebody else takes the beginning away.
	r.must(r.log.purge(t.Context(), 15))
	r.verify().named(t, "no beginning", 13, TruncatedBeginning)
	forger, _ := testKey(t, Ed25519)
	real := r.log.options.Key
	r.log.options.Key = forger
	r.must(r.log.state(t.Context(), Statement{Kind: Cut, Sequence: 14, Hash: "x", Before: &at}, anySequence))
	r.log.options.Key = real
	if report := r.verify(); report.OK() || report.Findings[0].Kind != TruncatedBeginning || len(report.Findings) < 2 {
		t.Errorf("a forged cut: %+v", report)
	}
}

// Retention may have cut the chain before there was a stream, and nobody had signed that.
func TestCutBeforeTheStream(t *testing.T) {
	r := newRig(t)
	rows := r.old(6)
	r.must(r.p.table.cut(t.Context(), Place{2, rows[1].Hash}, time.Now(), time.Now()))
	r.must(r.p.table.delete(t.Context(), 3))
	r.record(r.log, "1")
	r.must(r.p.CatchUp(t.Context()))
	r.proven(6)
	r.must(r.p.table.delete(t.Context(), 5))
	r.verify().named(t, "no beginning", 3, TruncatedBeginning)
}

// A stream that lost its end, as by a failing power supply, gets it back from the table before it goes on; one that is gone
// altogether is followed by a new one that takes the chain over.
func TestMend(t *testing.T) {
	r := newRig(t)
	r.record(r.log, "1", "2", "3", "4")
	r.must(r.p.CatchUp(t.Context()))
	if n, err := r.p.Mend(t.Context()); err != nil || n != 0 {
		t.Errorf("%d, %v", n, err)
	}
	r.forgeEntries(func(list []record) []record { return list[:3] })
	if report := r.verify(); report.OK() || report.Findings[0].Kind != TruncatedEnd || report.Findings[0].Sequence != 4 {
		t.Errorf("%+v", report)
	}
	if n, err := r.p.Mend(t.Context()); err != nil || n != 5 {
		t.Errorf("%d, %v", n, err)
	}
	r.proven(8)
	// What does not fit is not put back.
	r.record(r.log, "5")
	r.must(r.p.CatchUp(t.Context()))
	r.proven(10)
	change := func(purpose string) {
		r.sql("ALTER TABLE audit.accesses UPDATE purpose = '" + purpose + "' WHERE sequence = 10 SETTINGS mutations_sync = 2")
	}
	change("another")
	r.forgeEntries(func(list []record) []record { return list[:9] })
	if n, err := r.p.Mend(t.Context()); err == nil || n != 0 {
		t.Errorf("a row that was changed was put back: %d", n)
	}
	change("identity review")
	r.forgeEntries(func(list []record) []record { return list[:7] })
	r.log = r.open(Options{}) // a start that did not mend
	r.p.log = r.log
	r.record(r.log, "another 5")
	if n, err := r.p.Mend(t.Context()); !errors.Is(err, errForked) || n != 0 {
		t.Errorf("an entry that follows another was put back: %d, %v", n, err)
	}
	if report := r.verify(); report.OK() || report.Findings[0].Kind != WrongProjection || report.Findings[0].Sequence != 8 {
		t.Errorf("two ends: %+v", report)
	}
	r.sql("ALTER TABLE audit.accesses DELETE WHERE sequence > 7 SETTINGS mutations_sync = 2")
	r.must(r.p.CatchUp(t.Context()))
	r.proven(9)
	// And a stream that is gone.
	r.forge(func(string, []byte) [][]byte { return nil })
	r.record(r.log, "6")
	r.must(r.p.CatchUp(t.Context()))
	r.proven(11)
}
