package identity

import (
	"encoding/binary"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/shirecounty/shire/pipeline/identity/partition"
	"github.com/shirecounty/shire/pipeline/normalise"
	"github.com/shirecounty/shire/schemas/canonical"
	"github.com/shirecounty/shire/schemas/pseudonym"
)

func tableFor(t interface{ Fatalf(string, ...any) }, name string) *canonical.Table {
	table, ok := canonical.Lookup(name)
	if !ok {
		t.Fatalf("there is no table %s", name)
	}
	return table
}

// mentionsOf makes mentions without what is decided of them: of persons, of organisations, and of nobody.
func mentionsOf(t interface{ Fatalf(string, ...any) }, tables []string, rows int) (mentions []*normalise.Rows) {
	for _, name := range tables {
		r := &normalise.Rows{Table: tableFor(t, name), LinkRule: make([]string, rows)}
		switch name {
		case "person_records":
			r.PersonID = make([]pseudonym.ID, rows)
		case "organisation_records":
			r.OrganisationID = make([]pseudonym.ID, rows)
		}
		for i := range rows {
			if (i+len(mentions))%3 != 1 { // some rows were refused, or name nobody
				r.Source = append(r.Source, int32(i))
			}
		}
		mentions = append(mentions, r)
	}
	return mentions
}

func number(n int) (id pseudonym.ID) {
	binary.BigEndian.PutUint64(id[8:], uint64(n)*0x9e3779b97f4a7c15)
	return id
}

func drawLink(rt *rapid.T) Link {
	id := func(what string) pseudonym.ID { return number(rapid.IntRange(0, 40).Draw(rt, what)) }
	l := Link{About: rapid.SampledFrom([]string{Person, Organisation}).Draw(rt, "about")}
	l.Kind, l.Rule = rapid.SampledFrom(kinds).Draw(rt, "kind"), rapid.SampledFrom(rules).Draw(rt, "rule")
	l.Record, l.Previous, l.Party, l.A, l.B = id("record"), id("previous"), id("party"), id("a"), id("b")
	l.Weighed, l.Weight = rapid.Bool().Draw(rt, "weighed"), rapid.Int32().Draw(rt, "weight")
	l.Model = rapid.SampledFrom([]string{"person/1/7c17afaa185ca4ef", "person/2/0000000000000000", ""}).Draw(rt, "model")
	l.At = rapid.Uint64().Draw(rt, "at")
	l.Time = time.UnixMicro(rapid.Int64Range(0, 1<<55).Draw(rt, "time")).UTC()
	return l
}

func TestDecisionsComeBack(t *testing.T) {
	names := []string{"person_records", "organisation_records", "verdicts", "models"}
	rapid.Check(t, func(rt *rapid.T) {
		tables := rapid.SliceOfN(rapid.SampledFrom(names), 0, 6).Draw(rt, "tables")
		rows := rapid.IntRange(0, 20).Draw(rt, "rows")
		said := mentionsOf(rt, tables, rows)
		for _, r := range said {
			for _, i := range r.Source {
				if ids := idsOf(r); ids != nil {
					ids[i], r.LinkRule[i] = number(rapid.IntRange(0, 40).Draw(rt, "party")), rapid.SampledFrom(rules).Draw(rt, "rule")
				}
			}
		}
		var links []Link
		for range rapid.IntRange(0, 5).Draw(rt, "links") {
			links = append(links, drawLink(rt))
		}
		written := encode(said, links)
		read := mentionsOf(rt, tables, rows)
		got, err := decode(written, read)
		if err != nil {
			rt.Fatal(err)
		}
		if !slices.Equal(got, links) {
			rt.Fatalf("links %+v came back as %+v", links, got)
		}
		for k, r := range read {
			if !slices.Equal(idsOf(r), idsOf(said[k])) || !slices.Equal(r.LinkRule, said[k].LinkRule) {
				rt.Fatalf("mention %d came back otherwise", k)
			}
		}
		// Whatever is cut off or added is noticed: what is said of a range is never said by half.
		cut := rapid.IntRange(0, len(written)-1).Draw(rt, "cut")
		if _, err := decode(written[:cut], mentionsOf(rt, tables, rows)); err == nil {
			rt.Fatalf("%d of %d bytes are taken for all", cut, len(written))
		}
		if _, err := decode(append(slices.Clone(written), 0), mentionsOf(rt, tables, rows)); err == nil {
			rt.Fatal("a byte too many is not noticed")
		}
	})
}

// A range of a county's ordinary day names its people several times: each mention beyond the first costs little.
func TestDecisionsAreSmall(t *testing.T) {
	const rows, people = 100_000, 20_000
	r := &normalise.Rows{Table: tableFor(t, "person_records"), PersonID: make([]pseudonym.ID, rows), LinkRule: make([]string, rows)}
	for i := range rows {
		r.Source = append(r.Source, int32(i))
		r.PersonID[i], r.LinkRule[i] = number(i*7919%people), partition.Matched
	}
	got := len(encode([]*normalise.Rows{r}, nil)) - people*16
	t.Logf("%d bytes for %d mentions of %d people, beside the ids", got, rows, people)
	if got > 3*rows {
		t.Errorf("a mention takes %.1f bytes beside the ids", float64(got)/rows)
	}
	// Another model may move many at once; each link names its model by a number.
	var links []Link
	for i := range 10_000 {
		links = append(links, Link{Person, partition.Link{Record: number(i), Kind: partition.Merge, Previous: number(20_000 + i), Party: number(i / 2), Rule: partition.Matched,
			Weighed: true, Weight: 14_000, A: number(i), B: number(i + 1), Model: "person/1/7c17afaa185ca4ef", At: 1 << 40, Time: time.Unix(1_800_000_000, 0).UTC()}})
	}
	if each := len(encode(nil, links)) / len(links); each > 80 {
		t.Errorf("a link takes %d bytes", each)
	}
}

func TestDecisionsOfAnotherLayout(t *testing.T) {
	for what, recorded := range map[string][]byte{
		"nothing": {}, "another layout": {9, 0, 0, 0}, "no end": {layout},
		"more ids than there are bytes":    append([]byte{layout}, binary.AppendUvarint(nil, 1<<60)...),
		"more links than there are bytes":  append([]byte{layout, 0, 0}, binary.AppendUvarint(nil, 1<<60)...),
		"more models than there are bytes": append([]byte{layout, 0}, binary.AppendUvarint(nil, 1<<62)...),
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := decode(recorded, nil)
		runtime.ReadMemStats(&after)
		if err == nil || !strings.Contains(err.Error(), "finish the load with the version that began it") {
			t.Errorf("%s: %v", what, err)
		}
		if got := after.TotalAlloc - before.TotalAlloc; got > 1<<20 {
			t.Errorf("%s: %d bytes were allocated for %d", what, got, len(recorded))
		}
	}
}

func FuzzDecisions(f *testing.F) {
	tables := []string{"person_records", "organisation_records", "models"}
	said := mentionsOf(f, tables, 9)
	for _, r := range said {
		for _, i := range r.Source {
			if ids := idsOf(r); ids != nil {
				ids[i], r.LinkRule[i] = number(int(i)/2), partition.Alone
			}
		}
	}
	link := Link{Organisation, partition.Link{Record: number(1), Kind: partition.Split, Previous: number(2), Party: number(3), Rule: partition.ByVerdict, Model: "m", Time: arrivedAt}}
	f.Add(encode(said, nil))
	f.Add(encode(said, []Link{link, link}))
	f.Add([]byte{layout})
	f.Fuzz(func(t *testing.T, recorded []byte) {
		mentions := mentionsOf(t, tables, 9)
		links, err := decode(recorded, mentions)
		if err != nil {
			return
		}
		// What is understood is what it would be written as: two readers never see two things in it.
		again := mentionsOf(t, tables, 9)
		repeated, err := decode(encode(mentions, links), again)
		if err != nil || !slices.Equal(links, repeated) {
			t.Fatalf("read as %+v, and written and read again as %+v: %v", links, repeated, err)
		}
		for k := range mentions {
			if !slices.Equal(idsOf(mentions[k]), idsOf(again[k])) || !slices.Equal(mentions[k].LinkRule, again[k].LinkRule) {
				t.Fatal("mentions differ when they are written and read again")
			}
		}
		if len(links) > len(recorded) {
			t.Fatalf("%d links from %d bytes", len(links), len(recorded))
		}
	})
}

var arrivedAt = time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)
