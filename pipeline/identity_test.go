package pipeline_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/shirecounty/shire/pipeline"
	"github.com/shirecounty/shire/pipeline/bus"
	"github.com/shirecounty/shire/pipeline/columnar"
	"github.com/shirecounty/shire/pipeline/identity"
	"github.com/shirecounty/shire/schemas/change"
	"github.com/shirecounty/shire/schemas/contract"
	"github.com/shirecounty/shire/schemas/pseudonym"
)

const peopleText = `dataset: %s
department: hall
owner: {zh: 甲, en: A}
title: {zh: 甲, en: A}
version: 1
key: [number]
sharing: {type: conditional}
fields:
  - {name: number, type: identifier, required: true, sensitivity: internal}
  - {name: name, type: text, sensitivity: personal}
  - {name: card, type: citizen_number, lenient: true, sensitivity: sensitive}
  - {name: phone, type: text, sensitivity: personal}
  - {name: agent, type: text, sensitivity: personal}
emits:
  - {table: person_records, role: applicant, columns: {name: name, id_number: card, phone: phone}}
  - {table: person_records, role: agent, columns: {name: agent}}
  - table: cases
    person: applicant
    columns: {case_number: number, department: {value: hall}, item_code: {value: x}}
`

func (r *rig) peopleContract() contract.Set {
	r.t.Helper()
	d, err := contract.Parse("people.yaml", fmt.Appendf(nil, peopleText, r.dataset), "Asia/Shanghai")
	if err != nil {
		r.t.Fatal(err)
	}
	return contract.Set{d.Name: d}
}

// applicant is one row of the dataset of people.
type applicant struct {
	key, name, card, phone, agent string
	gone                          bool
}

const (
	cardA, cardB   = "11010519491231002X", "440524188001010014"
	phoneA, phoneB = "14212345678", "14298765432"
	rare           = "陈静雯"
)

// apply publishes rows as one message.
func (r *rig) apply(rows ...applicant) uint64 {
	r.t.Helper()
	b := change.NewBuilder("source", "hall", r.dataset, "u.csv", []string{"number", "name", "card", "phone", "agent"})
	defer b.Release()
	for _, p := range rows {
		c := change.Change{Op: change.Update, Key: p.key, Values: []string{p.key, p.name, p.card, p.phone, p.agent}, Position: change.Position(p.key)}
		if p.gone {
			c.Op = change.Delete
		}
		b.Append(c)
	}
	data, err := b.Build().Encode()
	if err != nil {
		r.t.Fatal(err)
	}
	sequence, err := r.writer.Publish(r.t.Context(), nats.Header{bus.HeaderRows: {fmt.Sprint(len(rows))}}, data)
	if err != nil {
		r.t.Fatal(err)
	}
	return sequence
}

// record is the applicant's record of a case.
func (r *rig) record(key string) pseudonym.ID {
	return r.hasher.Clone().ID("record/"+r.dataset+"/person_records/applicant", key)
}

// whom is the person of every case, as an analyst sees it.
func (r *rig) whom() map[string]string {
	r.t.Helper()
	out := map[string]string{}
	for _, line := range r.strings("SELECT concat(case_number, '=', toString(person_id)) FROM mart.cases WHERE case_number LIKE ?", r.dataset+"-%") {
		key, id, _ := strings.Cut(line, "=")
		out[key] = id
	}
	return out
}

// key is a case number that no other test's dataset has.
func (r *rig) key(i int) string { return fmt.Sprint(r.dataset, "-", i) }

// announced reads the stream of merges and splits.
func (r *rig) announced() (events []pipeline.LinkEvent) {
	r.t.Helper()
	js, err := jetstream.New(r.nc)
	if err != nil {
		r.t.Fatal(err)
	}
	stream, err := js.Stream(r.t.Context(), bus.Identity)
	if err != nil {
		r.t.Fatal(err)
	}
	w, err := r.bus.LinksWriter(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	for at, end := uint64(1), firstOf(w.Last()); at <= end; {
		msg, err := stream.GetMsg(r.t.Context(), at, jetstream.WithGetMsgSubject(r.bus.LinksSubject()))
		if err != nil {
			r.t.Fatal(err)
		}
		var batch []pipeline.LinkEvent
		if err := json.Unmarshal(msg.Data, &batch); err != nil {
			r.t.Fatal(err)
		}
		// I7: nothing in it is about anybody's person.
		for _, personal := range []string{rare, cardA, cardB, phoneA, phoneB} {
			if bytes.Contains(msg.Data, []byte(personal)) {
				r.t.Errorf("I7: an event shows %s: %s", personal, msg.Data)
			}
		}
		events = append(events, batch...)
		at = msg.Sequence + 1
	}
	return events
}

func firstOf[A, B any](a A, _ B) A { return a }

// linked is the rows of store.links of this dataset's records, as "record previous party kind version".
func (r *rig) linked() []string {
	r.t.Helper()
	return r.strings(`SELECT concat(toString(record_id), ' ', toString(previous_id), ' ', toString(party_id), ' ', kind, ' ', toString(version)) AS l FROM store.links
		WHERE record_id IN (SELECT record_id FROM restricted.person_records WHERE dataset = ?) ORDER BY l`, r.dataset)
}

// told are the events as linked writes rows.
func told(events []pipeline.LinkEvent) (out []string) {
	for _, e := range events {
		_, at, _ := strings.Cut(e.ID, "@")
		out = append(out, strings.Join([]string{e.Data.Record.String(), e.Data.Previous.String(), e.Data.Party.String(), strings.TrimPrefix(e.Type, "shire.identity."), at}, " "))
	}
	slices.Sort(out)
	return out
}

// agree fails unless every merge and split stands once in the warehouse and once in the stream.
func (r *rig) agree() {
	r.t.Helper()
	rows, events := r.linked(), told(r.announced())
	if !slices.Equal(rows, events) {
		r.t.Errorf("in the warehouse stand the links\n%s\nand in the stream\n%s", strings.Join(rows, "\n"), strings.Join(events, "\n"))
	}
	if n := len(slices.Compact(slices.Clone(rows))); n != len(rows) {
		r.t.Errorf("%d of %d links stand twice", len(rows)-n, len(rows))
	}
}

func TestMergeAndSplit(t *testing.T) {
	r := newRig(t)
	set := r.peopleContract()
	one, two := r.key(1), r.key(2)
	r.loadThrough(set, r.apply(applicant{key: two, name: rare, card: cardA, phone: phoneB}, applicant{key: one, name: rare, phone: phoneA}))
	apart := r.whom()
	if len(apart) != 2 || apart[one] == apart[two] {
		t.Fatalf("before anything joins them: %v", apart)
	}
	// The record of the first case is not touched: it follows by a link.
	r.loadThrough(set, r.apply(applicant{key: two, name: rare, card: cardA, phone: phoneA}))
	merged := r.whom()
	if merged[one] != apart[two] || merged[two] != apart[two] {
		t.Errorf("after the merge: %v, before: %v", merged, apart)
	}
	links := func(key string) string {
		return strings.Join(r.strings(`SELECT concat(kind, ':', toString(person_id), ':', toString(current)) FROM mart.links WHERE record = toUUID(?) ORDER BY current, kind`, r.record(key).String()), " ")
	}
	if got, want := links(one), fmt.Sprintf("link:%s:0 merge:%s:1", apart[one], apart[two]); got != want {
		t.Errorf("mart.links has %s, want %s", got, want)
	}
	persons := func(ids ...string) string {
		return strings.Join(r.strings(`SELECT concat(toString(person_id = toUUID(?)), ':', toString(records)) FROM mart.persons WHERE person_id IN (toUUID(?), toUUID(?)) ORDER BY records`, ids[0], ids[0], ids[1]), " ")
	}
	if got := persons(apart[two], apart[one]); got != "1:2" {
		t.Errorf("mart.persons has %s", got)
	}
	// What was retired leads on.
	old, err := pseudonym.Parse(apart[one])
	if err != nil {
		t.Fatal(err)
	}
	if today, ok := r.identities.Partition(identity.Person).Resolve(old); !ok || today.String() != apart[two] {
		t.Errorf("the retired id leads to %v, %v", today, ok)
	}
	// And apart again: the record that was not touched gets an id that nobody had.
	r.loadThrough(set, r.apply(applicant{key: two, name: rare, card: cardA, phone: phoneB}))
	split := r.whom()
	if split[two] != apart[two] || split[one] == apart[two] || split[one] == apart[one] {
		t.Errorf("after the split: %v, before: %v, at first %v", split, merged, apart)
	}
	if got, want := links(one), fmt.Sprintf("link:%s:0 merge:%s:0 split:%s:1", apart[one], apart[two], split[one]); got != want {
		t.Errorf("mart.links has %s, want %s", got, want)
	}
	events := r.announced()
	if len(events) != 2 || events[0].Type != "shire.identity.merge" || events[1].Type != "shire.identity.split" ||
		events[0].Data.Previous.String() != apart[one] || events[0].Data.Party.String() != apart[two] || events[1].Data.Party.String() != split[one] ||
		events[0].Data.Weight == nil || events[0].Data.A == nil || events[0].SpecVersion != "1.0" || events[0].Time.IsZero() || events[0].Data.About != identity.Person {
		t.Errorf("told was %+v", events)
	}
	r.agree()
}

// story is messages about a few people who are mixed up again and again.
func story(r *rig, rng *rand.Rand, messages int) (out [][]applicant, last map[string]applicant) {
	last = map[string]applicant{}
	for range messages {
		var rows []applicant
		for range 1 + rng.IntN(3) {
			p := applicant{key: r.key(rng.IntN(8)), name: rare, gone: rng.IntN(10) == 0}
			p.card = []string{cardA, cardB, "", ""}[rng.IntN(4)]
			p.phone = []string{phoneA, phoneB, ""}[rng.IntN(3)]
			p.agent = []string{"", "李国庆"}[rng.IntN(2)]
			if delete(last, p.key); !p.gone {
				last[p.key] = p
			}
			rows = append(rows, p)
		}
		out = append(out, rows)
	}
	return out, last
}

// same fails unless the warehouse has the people that the state of identities has: whoever is named again, with nothing
// changed, is still who they were.
func (r *rig) same(last map[string]applicant) {
	r.t.Helper()
	r.unchanged(last)
	r.agree()
	for _, table := range []string{"store.cases", "restricted.person_records"} {
		if n := r.twice(table); n != "0" {
			r.t.Errorf("%s rows of %s stand twice", n, table)
		}
	}
}

// unchanged proves that every record is there, and that everything said once more changes nobody.
func (r *rig) unchanged(last map[string]applicant) {
	r.t.Helper()
	before := r.whom()
	if len(before) != len(last) {
		r.t.Errorf("%d cases are there, and should be %d", len(before), len(last))
	}
	var rows []applicant
	for _, key := range slices.Sorted(maps.Keys(last)) {
		rows = append(rows, last[key])
	}
	r.loadThrough(r.peopleContract(), r.apply(rows...))
	if after := r.whom(); !maps.Equal(before, after) {
		r.t.Errorf("the warehouse has the people %v, and the state of identities %v", before, after)
	}
}

// currentOnce proves that mart.links has one current link for each record, to the person that the case shows.
func (r *rig) currentOnce() {
	r.t.Helper()
	for _, line := range r.strings(`SELECT concat(case_number, ' has ', toString(countIf(l.current = 1)), ' current links, ', toString(countIf(l.current = 1 AND l.person_id = c.person_id)), ' of them to its person')
		FROM (SELECT case_number, person_id, applicant FROM mart.cases AS m INNER JOIN (SELECT case_number AS number, person_record AS applicant FROM store.cases FINAL WHERE dataset = ? AND NOT deleted) AS s ON m.case_number = s.number) AS c
		INNER JOIN mart.links AS l ON l.record = c.applicant
		GROUP BY case_number HAVING countIf(l.current = 1) != 1 OR countIf(l.current = 1 AND l.person_id = c.person_id) != 1`, r.dataset) {
		r.t.Error(line)
	}
}

// Exactly one event for every link, though the flow is ended at any instant.
func TestEventsOnceThoughEnded(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	links := 0
	for round := range 6 {
		rng := rand.New(rand.NewPCG(seed, uint64(round)))
		r := newRig(t)
		messages, last := story(r, rng, 40)
		for i, rows := range messages {
			r.apply(rows...)
			if i%5 == 4 {
				_, stop := r.start(r.peopleContract(), small)
				time.Sleep(time.Duration(rng.IntN(60_000)) * time.Microsecond)
				if err := stop(); err != nil {
					t.Fatal(err)
				}
			}
		}
		r.loadThrough(r.peopleContract(), r.apply())
		r.same(last)
		links += len(r.linked())
	}
	if links == 0 {
		t.Error("nobody was ever linked anew: this proved nothing")
	}
}

// forgetLedger takes the newest entries of the ledger away, as a machine that loses its power may: how many of the ranges
// that were recorded, and how many of those that were finished.
func (r *rig) forgetLedger(ranges, done int) {
	r.t.Helper()
	js, err := jetstream.New(r.nc)
	if err != nil {
		r.t.Fatal(err)
	}
	ledger, err := js.Stream(r.t.Context(), bus.Ledger)
	if err != nil {
		r.t.Fatal(err)
	}
	county := strings.Split(r.bus.ChangesSubject("x", "y"), ".")[1]
	for subject, n := range map[string]int{"range": ranges, "done": done} {
		for range n {
			msg, err := ledger.GetLastMsgForSubject(r.t.Context(), "ledger."+county+"."+subject)
			if err != nil {
				r.t.Fatal(err)
			}
			if err := ledger.DeleteMsg(r.t.Context(), msg.Sequence); err != nil {
				r.t.Fatal(err)
			}
		}
	}
}

// Killed after everything of a range had arrived, but before that was written down: it is loaded again, and nobody hears of
// it twice.
func TestKilledBetweenTheEventsAndTheEnd(t *testing.T) {
	r := newRig(t)
	set := r.peopleContract()
	r.loadThrough(set, r.apply(applicant{key: r.key(2), name: rare, card: cardA, phone: phoneB}, applicant{key: r.key(1), name: rare, phone: phoneA}))
	r.loadThrough(set, r.apply(applicant{key: r.key(2), name: rare, card: cardA, phone: phoneA}))
	before := r.whom()
	for range 2 {
		r.forgetLedger(0, 1)
		r.loadThrough(set, r.apply())
		if len(r.announced()) != 1 || !maps.Equal(before, r.whom()) {
			t.Errorf("told was %+v; the people are %v, and were %v", r.announced(), r.whom(), before)
		}
		r.agree()
	}
}

// The state of identities is lost, or is that of a backup, or knows of more than the ledger: it is made again from the bus
// and says what it said. Nothing is loaded for that.
func TestStateOfIdentitiesIsMadeAgain(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	for name, disturb := range map[string]func(r *rig, backup string){
		"lost": func(r *rig, _ string) {
			if err := os.RemoveAll(r.identityDir); err != nil {
				r.t.Fatal(err)
			}
		},
		"half of it is lost": func(r *rig, _ string) {
			if err := os.RemoveAll(filepath.Join(r.identityDir, identity.Person)); err != nil {
				r.t.Fatal(err)
			}
		},
		"a backup": func(r *rig, backup string) {
			if err := os.RemoveAll(r.identityDir); err != nil {
				r.t.Fatal(err)
			}
			if err := os.CopyFS(r.identityDir, os.DirFS(backup)); err != nil {
				r.t.Fatal(err)
			}
		},
		"the ledger lost two ranges":       func(r *rig, _ string) { r.forgetLedger(2, 2) },
		"the ledger lost a range":          func(r *rig, _ string) { r.forgetLedger(1, 1) },
		"the ledger lost the end of three": func(r *rig, _ string) { r.forgetLedger(0, 3) },
	} {
		t.Run(name, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, uint64(len(name))))
			r := newRig(t)
			messages, last := story(r, rng, 30)
			backup := t.TempDir()
			var sequence uint64
			for i, rows := range messages {
				sequence = r.apply(rows...)
				if i%5 == 4 {
					r.loadThrough(r.peopleContract(), sequence)
				}
				if i == 14 {
					r.identities.Close()
					if err := os.CopyFS(backup, os.DirFS(r.identityDir)); err != nil {
						t.Fatal(err)
					}
				}
			}
			before, loaded := r.whom(), r.count()
			if err := r.identities.Close(); err != nil {
				t.Fatal(err)
			}
			disturb(r, backup)
			var log bytes.Buffer
			r.identities = r.identitiesIn(r.identityDir)
			f := pipeline.New(pipeline.Options{Bus: r.bus, Warehouse: r.loads, Contracts: r.peopleContract(), Calendar: r.calendar, Hasher: r.hasher,
				Resolver: r.identities, Limits: small, Log: slog.New(slog.NewTextHandler(&log, nil))})
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() { ended <- f.Run(ctx) }()
			if err := f.Drain(t.Context(), sequence); err != nil {
				t.Fatal(err)
			}
			cancel()
			if err := <-ended; err != nil {
				t.Fatal(err)
			}
			if after := r.whom(); !maps.Equal(before, after) {
				t.Errorf("the people are %v, and were %v", after, before)
			}
			if name != "the ledger lost the end of three" && !strings.Contains(log.String(), "made again from the bus") {
				t.Errorf("the log says %q", log.String())
			}
			if !strings.Contains(name, "ledger") && r.count() != loaded {
				t.Errorf("%s rows were loaded, and then there are %s", loaded, r.count())
			}
			if strings.Contains(name, "ledger") {
				// What the ledger lost is cut into other ranges and loaded under other tokens: rows stand twice until ClickHouse
				// merges them, and a link may have been said in both. Whom a record belongs to now is said once.
				r.unchanged(last)
				for _, table := range []string{"store.cases FINAL", "restricted.person_records FINAL"} {
					if n := r.twice(table); n != "0" {
						t.Errorf("%s rows of %s stand twice", n, table)
					}
				}
				r.currentOnce()
			} else {
				r.same(last)
			}
		})
	}
}

// count is all rows that were ever loaded for the dataset.
func (r *rig) count() string {
	r.t.Helper()
	return r.strings("SELECT toString((SELECT count() FROM store.cases WHERE dataset = ?) + (SELECT count() FROM restricted.person_records WHERE dataset = ?))", r.dataset, r.dataset)[0]
}

// A dataset may say nothing of its people by which they could be known: each record is alone.
func TestNoIdentityField(t *testing.T) {
	r := newRig(t)
	text := strings.Replace(fmt.Sprintf(peopleText, r.dataset), "columns: {name: name, id_number: card, phone: phone}", "columns: {status: name}", 1)
	d, err := contract.Parse("people.yaml", []byte(text), "Asia/Shanghai")
	if err != nil {
		t.Fatal(err)
	}
	same := func(i int) applicant { return applicant{key: r.key(i), name: "normal", card: cardA, phone: phoneA} }
	r.loadThrough(contract.Set{d.Name: d}, r.apply(same(1), same(2), same(3)))
	who := r.whom()
	if len(who) != 3 || who[r.key(1)] == who[r.key(2)] || who[r.key(2)] == who[r.key(3)] || who[r.key(1)] == who[r.key(3)] {
		t.Errorf("the people are %v", who)
	}
	if got := r.strings("SELECT DISTINCT toString(link_rule) FROM restricted.person_records WHERE dataset = ? AND role = 'applicant'", r.dataset); len(got) != 1 || got[0] != "alone" {
		t.Errorf("they are who they are by %v", got)
	}
}

// What is decided for a range of many mentions is more than a message of the bus may hold.
func TestRangeOfManyMentions(t *testing.T) {
	if testing.Short() {
		t.Skip("half a million mentions")
	}
	r := newRig(t)
	const rows, messages = 250_000, 5
	var last uint64
	for m := range messages {
		batch := make([]applicant, rows/messages)
		for i := range batch {
			k := m*len(batch) + i
			// Names that nobody shares, so that matching has nothing to do: it is the ids that count here.
			name := string([]rune{'王', rune(0x4e00 + k%20000), rune(0x4e00 + k/20000)})
			batch[i] = applicant{key: r.key(k), name: name, phone: fmt.Sprint(14200000000 + k), agent: name + "甲"}
		}
		last = r.apply(batch...)
	}
	f, stop := r.start(r.peopleContract(), columnar.Limits{Rows: rows, Bytes: 1 << 30, Age: time.Hour})
	if err := f.Drain(t.Context(), last); err != nil {
		t.Fatal(err)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	loads, through, _, err := r.bus.OpenLoads(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var ranges []bus.Range
	if err := loads.Each(t.Context(), 0, through, func(g *bus.Range) error {
		ranges = append(ranges, *g)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if len(ranges) != 1 || ranges[0].Rows != rows || len(ranges[0].Decisions) < 2*rows*16 {
		t.Fatalf("%d ranges, the first of %d rows and %d bytes of decisions", len(ranges), ranges[0].Rows, len(ranges[0].Decisions))
	}
	t.Logf("%d mentions, %d bytes of decisions in %d parts", 2*rows, len(ranges[0].Decisions), len(ranges[0].Parts))
	// The same is said when it is loaded again.
	people := func() string {
		return r.strings("SELECT concat(toString(uniqExact(person_id)), ' ', toString(sum(cityHash64(record_id, person_id)))) FROM restricted.person_records FINAL WHERE dataset = ?", r.dataset)[0]
	}
	before := people()
	if !strings.HasPrefix(before, fmt.Sprint(2*rows, " ")) {
		t.Fatalf("the people are %s", before)
	}
	r.forgetLedger(0, 1)
	r.loadThrough(r.peopleContract(), r.apply())
	if after := people(); after != before {
		t.Errorf("the people are %s, and were %s", after, before)
	}
}
