package retention

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"pgregory.net/rapid"

	"github.com/shirecounty/shire/pipeline/bus"
	"github.com/shirecounty/shire/schemas/change"
)

var errKilled = errors.New("killed")

// mortal is a bus whose eraser dies after so many messages.
type mortal struct {
	*bus.Bus
	left int
}

func (m *mortal) Erase(ctx context.Context, sequence uint64) error {
	if m.left--; m.left < 0 {
		return errKilled
	}
	return m.Bus.Erase(ctx, sequence)
}

// read is what a connector gets from a subject: the records that are there, each with its newest value, the sequences of all
// messages, and the records that have ever been deleted as far as can be seen.
func read(t *rapid.T, b *bus.Bus, subject string) (records map[string]string, sequences []uint64) {
	records = map[string]string{}
	err := b.Walk(t.Context(), subject, 1<<40, func(m *bus.Message) error {
		sequences = append(sequences, m.Sequence)
		batch, err := change.Decode(m.Data)
		if err != nil {
			return err
		}
		defer batch.Record.Release()
		for i := range batch.Len() {
			switch batch.Op(i) {
			case change.Malformed:
			case change.Delete:
				delete(records, batch.Key(i))
			default:
				records[batch.Key(i)] = strings.Clone(batch.Values(0).Value(i))
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return records, sequences
}

// Whoever reads a subject back finds the same records before a compaction and after it, however often it dies in between; and
// what nobody needs is gone in the end.
func TestCompactionLosesNoRecord(t *testing.T) {
	b, _ := newBus(t)
	dir := t.TempDir()
	n := 0
	if checks := flag.Lookup("rapid.checks"); checks.Value.String() == checks.DefValue {
		if err := checks.Value.Set("40"); err != nil { // each is some forty round trips
			t.Fatal(err)
		}
		t.Cleanup(func() { checks.Value.Set(checks.DefValue) })
	}
	rapid.Check(t, func(t *rapid.T) {
		n++
		subject := b.ChangesSubject("police", fmt.Sprintf("drawn_%d", n))
		w, err := b.ChangesWriter(t.Context(), subject)
		if err != nil {
			t.Fatal(err)
		}
		type word struct {
			key  string
			gone bool
		}
		said := map[uint64][]word{}
		var all []uint64
		for range rapid.IntRange(1, 12).Draw(t, "messages") {
			builder := change.NewBuilder("s", "police", "drawn", "unit", []string{"value"})
			var words []word
			for range rapid.IntRange(1, 4).Draw(t, "rows") {
				op := rapid.SampledFrom([]change.Op{change.Create, change.Update, change.Snapshot, change.Delete, change.Malformed}).Draw(t, "op")
				key := rapid.SampledFrom([]string{"a", "b", "c", "d", "e"}).Draw(t, "key")
				c := change.Change{Op: op, Key: key, Values: []string{fmt.Sprint(len(all), len(words))}, Position: "p"}
				if op == change.Malformed {
					c.Key, c.Raw, c.Problem = "", "raw", "it is broken"
				} else {
					words = append(words, word{key, op == change.Delete})
				}
				builder.Append(c)
			}
			batch := builder.Build()
			data, err := batch.Encode()
			batch.Record.Release()
			builder.Release()
			if err != nil {
				t.Fatal(err)
			}
			sequence, err := w.Publish(t.Context(), nats.Header{}, data)
			if err != nil {
				t.Fatal(err)
			}
			said[sequence] = words
			all = append(all, sequence)
		}
		settled := rapid.SampledFrom(all).Draw(t, "settled")
		old := min(rapid.SampledFrom(all).Draw(t, "old"), settled)
		before, _ := read(t, b, subject)

		c := compaction{subject: subject, old: old, settled: settled, dir: dir}
		var kept []string
		for {
			c.log = &mortal{b, rapid.IntRange(0, 3).Draw(t, "erased before it dies")}
			kept = nil
			c.again = func(key string) bool { kept = append(kept, key); return true }
			_, err := c.run(t.Context())
			if records, _ := read(t, b, subject); !maps.Equal(records, before) {
				t.Fatalf("the subject held %v, and now %v", before, records)
			}
			if err == nil {
				break
			}
			if !errors.Is(err, errKilled) {
				t.Fatal(err)
			}
		}

		_, left := read(t, b, subject)
		// What a compaction need not keep, by hand: oldest first, as long as something is found.
		newest := map[string]uint64{}
		end := uint64(0)
		for _, s := range all {
			if s <= settled {
				end = s
				for _, w := range said[s] {
					newest[w.key] = s
				}
			}
		}
		stays := map[string]bool{} // records in an older message that stays
		for _, s := range all {
			needed := s > old || s == end
			for i, w := range said[s] {
				last := !slices.ContainsFunc(said[s][i+1:], func(other word) bool { return other.key == w.key })
				if newest[w.key] == s && last && (!w.gone || stays[w.key]) {
					needed = true
				}
			}
			if slices.Contains(left, s) != needed {
				t.Fatalf("message %d of %v, old up to %d, settled up to %d: needed %v, and left are %v of %v", s, said, old, settled, needed, left, all)
			}
			if needed {
				for _, w := range said[s] {
					stays[w.key] = true
				}
			}
		}
		for _, key := range kept {
			if _, there := before[key]; !there && newest[key] <= settled && settled == all[len(all)-1] {
				t.Fatalf("%s is to be said again, and is no record", key)
			}
		}
	})
}

// A message that its source has to keep stays, whatever came after it.
func TestCompactionKeepsWhatItsSourceNeeds(t *testing.T) {
	r := newRig(t)
	r.say(person(change.Create, "1", "", "old", ""))
	first := r.last
	r.say(person(change.Update, "1", "", "new", ""))
	c := compaction{log: r.bus, subject: r.bus.ChangesSubject("police", r.dataset), old: r.last, settled: r.last, dir: t.TempDir(),
		keeps: func(b *change.Batch) bool { return b.Last == "1" }}
	if _, err := c.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := r.bus.Get(t.Context(), first); err != nil {
		t.Error(err)
	}
	c.keeps = nil
	if done, err := c.run(t.Context()); err != nil || done.erased != 1 {
		t.Errorf("%+v, %v", done, err)
	}
	if _, err := r.bus.Get(t.Context(), first); !errors.Is(err, bus.ErrExpired) {
		t.Error(err)
	}
}
