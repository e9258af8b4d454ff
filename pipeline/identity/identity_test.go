package identity_test

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/shirecounty/shire/pipeline/identity"
	"github.com/shirecounty/shire/pipeline/identity/partition"
	"github.com/shirecounty/shire/pipeline/normalise"
	"github.com/shirecounty/shire/schemas/change"
	"github.com/shirecounty/shire/schemas/contract"
	shipped "github.com/shirecounty/shire/schemas/identity"
	"github.com/shirecounty/shire/schemas/pseudonym"
)

const contractText = `dataset: cases
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
  - {name: phone, type: phone, lenient: true, sensitivity: personal}
  - {name: agent, type: text, sensitivity: personal}
  - {name: agent_phone, type: phone, lenient: true, sensitivity: personal}
  - {name: at, type: date, sensitivity: internal}
  - {name: code, type: organisation_code, lenient: true, sensitivity: internal}
emits:
  - {table: person_records, role: applicant, columns: {name: name, id_number: card, phone: phone}}
  - {table: person_records, role: agent, columns: {name: agent, phone: agent_phone}}
  - {table: organisation_records, role: applicant, columns: {organisation_code: code}}
  - table: cases
    person: applicant
    organisation: applicant
    columns: {case_number: number, department: {value: hall}, item_code: {value: x}}
  - {table: submissions, columns: {case_number: number, department: {value: a}, material_code: {value: b}, submitted_at: at}}
`

func TestMain(m *testing.M) {
	flag.Parse()
	if checks := flag.Lookup("rapid.checks"); checks.Value.String() == checks.DefValue {
		flag.Set("rapid.checks", "40") // each opens its state on the disk a dozen times
	}
	os.Exit(m.Run())
}

// row is a row of the cases.
type row struct {
	key, name, card, phone, agent, agentPhone, code string
	op                                              change.Op
}

func (r row) change() change.Change {
	return change.Change{Op: r.op, Key: r.key, Values: []string{r.key, r.name, r.card, r.phone, r.agent, r.agentPhone, "", r.code}}
}

// verdict is a row of Shire's own verdicts.
type verdict struct {
	a, b pseudonym.ID
	what string // empty: it is withdrawn
}

func (v verdict) change() change.Change {
	a, b := v.a.String(), v.b.String()
	c := change.Change{Op: change.Update, Key: strings.Join([]string{"person", a, b}, change.KeySeparator)}
	if v.what == "" {
		c.Op = change.Delete
		return c
	}
	c.Values = []string{"person", a, b, v.what, "王审核", "2026-11-23T08:00:00Z", "同一户"}
	return c
}

// message is what stands on the bus.
type message struct {
	dataset string
	changes []change.Change
}

func rows(rows ...row) message {
	m := message{dataset: "cases"}
	for _, r := range rows {
		m.changes = append(m.changes, r.change())
	}
	return m
}

func verdicts(verdicts ...verdict) message {
	m := message{dataset: contract.Verdicts}
	for _, v := range verdicts {
		m.changes = append(m.changes, v.change())
	}
	return m
}

func model(name, text string) message {
	return message{contract.Models, []change.Change{{Op: change.Update, Key: "person" + change.KeySeparator + name, Values: []string{"person", name, text, "王审核", "2026-11-23T08:00:00Z"}}}}
}

var arrived = time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)

type published struct{}

func (published) Published(int) bool { return true }

func hasher(t fataler) *pseudonym.Hasher {
	h, err := pseudonym.New(make([]byte, pseudonym.MinKey))
	if err != nil {
		t.Fatal(err)
	}
	return h
}

type fataler interface {
	Fatal(...any)
	Fatalf(string, ...any)
}

var contracts = sync.OnceValues(func() (contract.Set, error) {
	d, err := contract.Parse("c.yaml", []byte(contractText), "Asia/Shanghai")
	if err != nil {
		return nil, err
	}
	set := contract.Own()
	set[d.Name] = d
	return set, nil
})

// county is a state of identities, the contracts before it, and a reader of what comes out: the newest row of every
// record, and the newest link, as the views of the warehouse read them.
type county struct {
	t        fataler
	dir      string
	m        *identity.Matching
	plans    map[string]*normalise.Plan
	columns  map[string][]string
	log      bytes.Buffer
	sequence uint64
	newest   map[pseudonym.ID]said
	linked   map[pseudonym.ID]identity.Link
	links    []identity.Link
}

type said struct {
	version uint64
	party   pseudonym.ID
	rule    string
	gone    bool
}

func open(t fataler, dir string) *county {
	c := &county{t: t, dir: dir, plans: map[string]*normalise.Plan{}, columns: map[string][]string{}, newest: map[pseudonym.ID]said{}, linked: map[pseudonym.ID]identity.Link{}}
	set, err := contracts()
	if err != nil {
		t.Fatal(err)
	}
	for name, d := range set {
		if c.plans[name], err = normalise.Compile(d, hasher(t), published{}); err != nil {
			t.Fatal(err)
		}
		for _, f := range d.Fields {
			c.columns[name] = append(c.columns[name], f.Name)
		}
	}
	c.start()
	return c
}

func (c *county) start() {
	var err error
	if c.m, err = identity.Open(identity.Options{Dir: c.dir, Hasher: hasher(c.t), Log: slog.New(slog.NewTextHandler(&c.log, nil))}); err != nil {
		c.t.Fatal(err)
	}
}

// restart is a process that ends, however far it had kept what it decided, and another that begins.
func (c *county) restart() {
	if err := c.m.Close(); err != nil {
		c.t.Fatal(err)
	}
	c.start()
}

// of is the record of a case's role.
func (c *county) of(role, key string) pseudonym.ID {
	return hasher(c.t).ID("record/cases/person_records/"+role, key)
}

// normalise takes messages through their contracts; they stand at the next places of the stream.
func (c *county) normalise(messages []message) (results []*normalise.Result, mentions []*normalise.Rows) {
	for _, m := range messages {
		c.sequence++
		b := change.NewBuilder("s", "hall", m.dataset, "u", c.columns[m.dataset])
		for _, ch := range m.changes {
			b.Append(ch)
		}
		r := c.plans[m.dataset].Apply(b.Build(), c.sequence, arrived.Add(time.Duration(c.sequence)*time.Second))
		if len(r.Rejected) > 0 {
			c.t.Fatalf("refused: %v", r.Rejected)
		}
		results = append(results, r)
		for _, table := range r.Tables {
			if table.Table.Mention != 0 {
				mentions = append(mentions, table)
			}
		}
	}
	return results, mentions
}

// say resolves a range of messages without keeping it.
func (c *county) say(recorded []byte, messages ...message) ([]*normalise.Result, identity.Outcome) {
	results, mentions := c.normalise(messages)
	outcome, err := c.m.Resolve(context.Background(), mentions, recorded)
	if err != nil {
		c.t.Fatal(err)
	}
	for _, r := range results {
		identity.Refer(r)
	}
	return results, outcome
}

// take is a range as the flow takes it: resolved, kept and loaded.
func (c *county) take(messages ...message) []*normalise.Result {
	results, outcome := c.say(nil, messages...)
	c.keep()
	c.read(results, outcome)
	return results
}

func (c *county) keep() {
	if err := c.m.Keep(c.sequence); err != nil {
		c.t.Fatal(err)
	}
}

func (c *county) read(results []*normalise.Result, outcome identity.Outcome) {
	for _, r := range results {
		for _, rows := range r.Tables {
			ids := rows.PersonID
			if rows.Table.Name == "organisation_records" {
				ids = rows.OrganisationID
			} else if rows.Table.Name != "person_records" {
				continue
			}
			for _, i := range rows.Source {
				v := said{rows.Batch.Version(rows.Sequence, int(i)), ids[i], rows.LinkRule[i], rows.Deleted[i]}
				if v.version >= c.newest[rows.RecordID[i]].version {
					c.newest[rows.RecordID[i]] = v
				}
			}
		}
	}
	for _, l := range outcome.Links {
		if before, ok := c.linked[l.Record]; ok && before.At >= l.At {
			c.t.Fatalf("two links of one record at one place of the stream, or in the wrong order: %+v and %+v", before, l)
		}
		c.linked[l.Record] = l
	}
	c.links = append(c.links, outcome.Links...)
}

// parties is whom every record that there is belongs to now, as the views say.
func (c *county) parties() map[pseudonym.ID]pseudonym.ID {
	out := map[pseudonym.ID]pseudonym.ID{}
	for record, v := range c.newest {
		if v.gone {
			continue
		}
		out[record] = v.party
		if l, ok := c.linked[record]; ok && l.At > v.version {
			out[record] = l.Party
		}
	}
	return out
}

// together tells whether the applicants of all these cases are one person.
func (c *county) together(keys ...string) bool {
	p := c.parties()
	for _, k := range keys {
		if p[c.of("applicant", k)].IsZero() || p[c.of("applicant", k)] != p[c.of("applicant", keys[0])] {
			return false
		}
	}
	return true
}

// table is the rows of a table and role in each result.
func table(results []*normalise.Result, name, role string) (found []*normalise.Rows) {
	for _, r := range results {
		for _, rows := range r.Tables {
			if rows.Table.Name == name && rows.Role == role {
				found = append(found, rows)
			}
		}
	}
	return found
}

const (
	numberA, shortA = "11010519491231002X", "110105491231002"
	numberB         = "440524188001010014"
	codeA           = "91350100M000100Y43"
	phoneA, phoneB  = "14212345678", "14298765432"
	nameA           = "陈静雯"
)

func TestSameNumberIsOnePerson(t *testing.T) {
	c := open(t, t.TempDir())
	r := c.take(rows(
		row{key: "1", name: "张伟", card: numberA, op: change.Create}, row{key: "2", name: "张 伟", card: shortA, op: change.Create},
		row{key: "3", name: "张伟", card: numberB, op: change.Create}, row{key: "4", name: "张伟", op: change.Create},
		row{key: "5", name: "张伟", op: change.Create}, row{key: "6", name: "张伟", card: "11010519491231002x", op: change.Create},
	))
	if !c.together("1", "2", "6") {
		t.Error("one number in three spellings is not one person")
	}
	if c.together("1", "3") || c.together("4", "5") || c.together("4", "1") {
		t.Error("two numbers, or a common name alone, are one person")
	}
	p := table(r, "person_records", "applicant")[0]
	for i, want := range []string{partition.ExactNumber, partition.ExactNumber, partition.ExactNumber, partition.Alone, partition.Alone, partition.ExactNumber} {
		if p.LinkRule[i] != want {
			t.Errorf("row %d: %s, want %s", i, p.LinkRule[i], want)
		}
	}
}

func TestNameAndTelephone(t *testing.T) {
	c := open(t, t.TempDir())
	r := c.take(rows(
		row{key: "1", name: nameA, phone: phoneA, op: change.Create}, row{key: "2", name: "陈 静雯", phone: "142-1234-5678", op: change.Create},
		row{key: "3", name: nameA, phone: phoneB, op: change.Create}, row{key: "4", name: "李国庆", phone: phoneA, op: change.Create},
	))
	if !c.together("1", "2") {
		t.Error("a rare name with one telephone is not one person")
	}
	if c.together("1", "3") || c.together("1", "4") {
		t.Error("a name alone, or a telephone alone, makes one person")
	}
	if rule := table(r, "person_records", "applicant")[0].LinkRule[1]; rule != partition.Matched {
		t.Errorf("they are together by %s", rule)
	}
	// Two valid numbers stand against everything else.
	c.take(rows(row{key: "1", name: nameA, phone: phoneA, card: numberA, op: change.Update}, row{key: "2", name: nameA, phone: phoneA, card: numberB, op: change.Update}))
	if c.together("1", "2") {
		t.Error("two valid numbers are one person")
	}
	if len(c.links) == 0 || c.links[len(c.links)-1].Kind != partition.Split {
		t.Errorf("the split is not told: %+v", c.links)
	}
}

func TestRefer(t *testing.T) {
	c := open(t, t.TempDir())
	r := c.take(rows(
		row{key: "1", name: "张伟", card: numberA, agent: "李", op: change.Create},
		row{key: "2", name: "张伟", card: numberA, op: change.Update},
		row{key: "3", agent: "李", op: change.Update}, // names no applicant any more
		row{key: "4", op: change.Create},
		row{key: "5", op: change.Delete},
	))
	cases, applicant, agent := table(r, "cases", "")[0], table(r, "person_records", "applicant")[0], table(r, "person_records", "agent")[0]
	for i := range 2 {
		if cases.PersonID[i] != applicant.PersonID[i] || cases.PersonRecord[i] != applicant.RecordID[i] || cases.PersonID[i].IsZero() {
			t.Errorf("row %d does not refer to its applicant", i)
		}
	}
	if cases.PersonID[0] == agent.PersonID[0] {
		t.Error("the agent is taken for the applicant")
	}
	for i := 2; i < 5; i++ {
		if !cases.PersonID[i].IsZero() || !cases.PersonRecord[i].IsZero() {
			t.Errorf("row %d refers to somebody", i)
		}
	}
	if !cases.OrganisationID[0].IsZero() {
		t.Error("a row without an organisation refers to one")
	}
	papers := table(r, "submissions", "")[0]
	if len(papers.PersonID) != 5 || !papers.PersonID[0].IsZero() {
		t.Error("rows that name no role refer to somebody")
	}
	// A row that names its applicant no more ends the applicant's record, and the tombstone says whose it was.
	before := c.parties()[c.of("applicant", "1")]
	r = c.take(rows(row{key: "1", agent: "李", op: change.Update}))
	if p := table(r, "person_records", "applicant")[0]; !p.Deleted[0] || p.PersonID[0] != before {
		t.Error("the applicant's record is not ended, or ended without its person")
	}
	if got := table(r, "cases", "")[0]; !got.PersonID[0].IsZero() || !got.PersonRecord[0].IsZero() {
		t.Error("the case refers to an applicant that it no longer names")
	}
}

func TestOrganisations(t *testing.T) {
	c := open(t, t.TempDir())
	r := c.take(rows(row{key: "1", code: codeA, op: change.Create}, row{key: "2", code: codeA, op: change.Create}, row{key: "3", op: change.Create}))
	cases := table(r, "cases", "")[0]
	if cases.OrganisationID[0].IsZero() || cases.OrganisationID[0] != cases.OrganisationID[1] || !cases.OrganisationID[2].IsZero() {
		t.Error("the same code is not one organisation")
	}
	if !cases.PersonID[0].IsZero() {
		t.Error("an organisation is a person")
	}
}

// Somebody may be two parties of one row, which is two changes at one place of the stream.
func TestTwoRolesOfOneRow(t *testing.T) {
	c := open(t, t.TempDir())
	both := func(op change.Op, key, phone string) row {
		return row{key: key, name: nameA, card: numberA, phone: phone, agent: nameA, agentPhone: phone, op: op}
	}
	c.take(rows(both(change.Create, "1", phoneA)))
	one := func() bool {
		p := c.parties()
		return !p[c.of("applicant", "1")].IsZero() && p[c.of("applicant", "1")] == p[c.of("agent", "1")]
	}
	if !one() {
		t.Error("applicant and agent of one row are not the person that they are")
	}
	c.take(rows(row{key: "1", name: nameA, card: numberA, phone: phoneB, agent: nameA, agentPhone: phoneA, op: change.Update}))
	if one() {
		t.Error("with two telephones, nothing but a name makes the two one")
	}
	c.take(rows(both(change.Update, "1", phoneB)))
	if !one() {
		t.Error("they are not one again")
	}
	c.take(rows(row{key: "1", op: change.Delete}))
	if len(c.parties()) != 0 {
		t.Error("the row is gone and its parties are not")
	}
}

// people draws rows of a few people whose records meet in many ways.
func people(rt *rapid.T, n int) (out []row) {
	draw := func(what string, from ...string) string { return rapid.SampledFrom(from).Draw(rt, what) }
	for range n {
		r := row{key: draw("key", "1", "2", "3", "4", "5", "6", "7"), op: change.Update}
		switch rapid.IntRange(0, 8).Draw(rt, "what") {
		case 0:
			r.op = change.Delete
		case 1:
			r.agent = nameA
			r.agentPhone = draw("agent's phone", phoneA, phoneB, "")
			fallthrough
		default:
			r.name = draw("name", nameA, "李国庆", "张伟", "")
			r.card = draw("card", numberA, shortA, numberB, "", "", "1")
			r.phone = draw("phone", phoneA, phoneB, "")
			r.code = draw("code", codeA, "", "")
		}
		out = append(out, r)
	}
	return out
}

// cut hands rows over in messages and ranges of any size, with restarts in between.
func cut(rt *rapid.T, c *county, all []row) {
	for len(all) > 0 {
		var messages []message
		for k := rapid.IntRange(1, 3).Draw(rt, "messages"); k > 0 && len(all) > 0; k-- {
			n := rapid.IntRange(1, min(4, len(all))).Draw(rt, "rows")
			messages = append(messages, rows(all[:n]...))
			all = all[n:]
		}
		if rapid.IntRange(0, 3).Draw(rt, "killed") == 0 {
			// Killed before the range was recorded: the next process decides it again.
			before := c.sequence
			c.say(nil, messages...)
			c.sequence = before
			c.restart()
		}
		c.take(messages...)
		if rapid.IntRange(0, 5).Draw(rt, "restart") == 0 {
			c.restart()
		}
	}
}

// sameGroups fails unless two readers see the same records together.
func sameGroups(rt *rapid.T, a, b map[pseudonym.ID]pseudonym.ID) {
	if len(a) != len(b) {
		rt.Fatalf("%d records, then %d", len(a), len(b))
	}
	there, back := map[pseudonym.ID]pseudonym.ID{}, map[pseudonym.ID]pseudonym.ID{}
	for record, p := range a {
		q := b[record]
		if was, ok := there[p]; ok && was != q {
			rt.Fatal("records are together in one order and apart in another")
		}
		if was, ok := back[q]; ok && was != p {
			rt.Fatal("records are apart in one order and together in another")
		}
		there[p], back[q] = q, p
	}
}

// I6: the same records give the same partition, in whatever order, messages and ranges they come; in the same order, and
// the same messages, also the same ids.
func TestOrderDoesNotMatter(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		history := people(rt, rapid.IntRange(1, 25).Draw(rt, "rows"))
		one := open(rt, t.TempDir())
		defer func() { one.m.Close() }()
		cut(rt, one, history)
		// The last row of every case is all that counts.
		last := map[string]row{}
		for _, r := range history {
			last[r.key] = r
		}
		keys := slices.Sorted(maps.Keys(last))
		other := open(rt, t.TempDir())
		defer func() { other.m.Close() }()
		var shuffled []row
		for _, k := range rapid.Permutation(keys).Draw(rt, "order") {
			shuffled = append(shuffled, last[k])
		}
		cut(rt, other, shuffled)
		sameGroups(rt, one.parties(), other.parties())
	})
}

func TestRangesDoNotMatter(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		history := people(rt, rapid.IntRange(1, 20).Draw(rt, "rows"))
		at := map[bool]map[pseudonym.ID]pseudonym.ID{}
		links := map[bool][]identity.Link{}
		for _, single := range []bool{true, false} {
			c := open(rt, t.TempDir())
			// A row is a message, so that it stands at the same place of the stream.
			for rest := history; len(rest) > 0; {
				n := 1
				if !single {
					n = rapid.IntRange(1, len(rest)).Draw(rt, "range")
				}
				var messages []message
				for _, r := range rest[:n] {
					messages = append(messages, rows(r))
				}
				c.take(messages...)
				rest = rest[n:]
			}
			at[single], links[single] = c.parties(), c.links
			c.m.Close()
		}
		if !maps.Equal(at[true], at[false]) {
			rt.Fatal("the ids depend on how the stream was cut into ranges")
		}
		// A range tells of persons first and then of organisations.
		byAbout := func(links []identity.Link) []identity.Link {
			slices.SortStableFunc(links, func(a, b identity.Link) int { return strings.Compare(a.About, b.About) })
			return links
		}
		if !slices.Equal(byAbout(links[true]), byAbout(links[false])) {
			rt.Fatal("the links depend on how the stream was cut into ranges")
		}
	})
}

// told is all that came out of one range.
type told struct {
	rows  string
	links []identity.Link
}

func tell(results []*normalise.Result, outcome identity.Outcome) told {
	var b strings.Builder
	for _, r := range results {
		for _, rows := range r.Tables {
			fmt.Fprintln(&b, rows.Table.Name, rows.Role, rows.PersonID, rows.OrganisationID, rows.PersonRecord, rows.OrganisationRecord, rows.LinkRule)
		}
	}
	return told{b.String(), outcome.Links}
}

// I3: what was recorded for a range is what is said of it from then on: on a state that was lost, on one that was not kept
// when the process was killed, and on one that was.
func TestReplaySaysTheSame(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		history := people(rt, rapid.IntRange(1, 20).Draw(rt, "rows"))
		c, again := open(rt, t.TempDir()), open(rt, t.TempDir())
		defer func() { c.m.Close(); again.m.Close() }()
		same := func(what string, a, b told) {
			if a.rows != b.rows || !slices.Equal(a.links, b.links) {
				rt.Fatalf("%s, something else is said:\n%s%v\nand then\n%s%v", what, a.rows, a.links, b.rows, b.links)
			}
		}
		for len(history) > 0 {
			n := rapid.IntRange(1, len(history)).Draw(rt, "range")
			m := rows(history[:n]...)
			history = history[n:]
			results, outcome := c.say(nil, m)
			first := tell(results, outcome)
			if rapid.Bool().Draw(rt, "kept") {
				c.keep()
			}
			c.restart()
			c.sequence--
			second, repeated := c.say(outcome.Decisions, m)
			same("after a restart", first, tell(second, repeated))
			c.keep()
			c.read(second, repeated)
			lost, remembered := again.say(outcome.Decisions, m)
			same("on a state that was made again", first, tell(lost, remembered))
			again.keep()
			again.read(lost, remembered)
			if c.m.Position() != again.m.Position() || c.m.Position() != c.sequence {
				rt.Fatal("the positions are not what was kept")
			}
		}
		// And what is said of something new is the same, because the states are.
		m := rows(row{key: "1", name: nameA, card: numberA, phone: phoneA, code: codeA, op: change.Update})
		a, x := c.say(nil, m)
		b, y := again.say(nil, m)
		same("of something new", tell(a, x), tell(b, y))
	})
}

func TestReset(t *testing.T) {
	c := open(t, t.TempDir())
	c.take(rows(row{key: "1", name: nameA, card: numberA, op: change.Create}))
	if c.m.Position() != 1 {
		t.Fatalf("the position is %d", c.m.Position())
	}
	if err := c.m.Reset(); err != nil {
		t.Fatal(err)
	}
	if records, _ := c.m.Partition(identity.Person).Records(); records != 0 || c.m.Position() != 0 {
		t.Errorf("%d records are known after all was forgotten, up to %d", records, c.m.Position())
	}
	before := c.parties()
	c.sequence = 0
	c.take(rows(row{key: "1", name: nameA, card: numberA, op: change.Create}))
	if !maps.Equal(before, c.parties()) {
		t.Error("the same stream gives other ids")
	}
}

// One partition was kept and the other was not when the process was killed.
func TestKilledBetweenTwoPartitions(t *testing.T) {
	c := open(t, t.TempDir())
	m := rows(row{key: "1", name: nameA, card: numberA, code: codeA, op: change.Create}, row{key: "2", name: nameA, card: numberA, code: codeA, op: change.Create})
	results, outcome := c.say(nil, m)
	want := tell(results, outcome)
	if err := c.m.Partition(identity.Person).Keep(c.sequence); err != nil {
		t.Fatal(err)
	}
	c.restart()
	c.sequence--
	if c.m.Position() != 0 || !c.m.Beyond(0) || c.m.Beyond(1) {
		t.Error("a state of which a part is ahead does not say so")
	}
	results, outcome = c.say(outcome.Decisions, m)
	if got := tell(results, outcome); got.rows != want.rows {
		t.Errorf("said was\n%s\nand then\n%s", want.rows, got.rows)
	}
	c.keep()
	for _, about := range []string{identity.Person, identity.Organisation} {
		if records, parties := c.m.Partition(about).Records(); records != 2 || parties != 1 {
			t.Errorf("%d records about %d of the kind %s", records, parties, about)
		}
	}
}

func TestVerdicts(t *testing.T) {
	c := open(t, t.TempDir())
	c.take(rows(row{key: "1", name: nameA, phone: phoneA, op: change.Create}, row{key: "2", name: nameA, phone: phoneA, op: change.Create}, row{key: "3", name: "李国庆", op: change.Create}))
	a, b, other := c.of("applicant", "1"), c.of("applicant", "2"), c.of("applicant", "3")
	if bytes.Compare(a[:], b[:]) > 0 {
		a, b = b, a
	}
	before := c.parties()
	for _, step := range []struct {
		what string
		say  verdict
		one  bool
	}{
		{"different", verdict{a, b, "different"}, false},
		{"not sure", verdict{a, b, "unsure"}, true},
		{"the same", verdict{a, b, "same"}, true},
		{"different again", verdict{a, b, "different"}, false},
		{"withdrawn", verdict{a, b, ""}, true},
	} {
		c.take(verdicts(step.say))
		if got := c.together("1", "2"); got != step.one {
			t.Errorf("%s: together %v", step.what, got)
		}
	}
	if after := c.parties(); !maps.Equal(before, after) {
		t.Error("with the verdict withdrawn, the ids are others")
	}
	// It joins what nothing else would, and is why.
	c.take(verdicts(verdict{a, other, "same"}))
	if !c.together("1", "2", "3") {
		t.Error("a verdict does not join")
	}
	last := c.links[len(c.links)-1]
	if last.Rule != partition.ByVerdict || last.Weighed || last.A.IsZero() || last.B.IsZero() || last.Kind != partition.Merge {
		t.Errorf("the merge is told as %+v", last)
	}
	// It outlives corrections of what it is about, and its records' being gone for a while.
	c.take(rows(row{key: "3", name: "王建国", card: numberB, op: change.Update}))
	c.take(rows(row{key: "3", op: change.Delete}))
	c.take(rows(row{key: "3", name: "王建国", op: change.Create}))
	if !c.together("1", "3") {
		t.Error("the verdict was forgotten")
	}
	c.take(verdicts(verdict{a, other, ""}))
	if c.together("1", "3") || !c.together("1", "2") {
		t.Error("the verdict is withdrawn and still holds")
	}
	// One about nobody's records settles nothing, and harms nothing: they may come later.
	c.take(verdicts(verdict{pseudonym.ID{1}, pseudonym.ID{2}, "same"}, verdict{pseudonym.ID{1}, a, ""}))
}

// I6: a verdict may come before its records do.
func TestVerdictBeforeItsRecords(t *testing.T) {
	c := open(t, t.TempDir())
	c.take(verdicts(verdict{c.of("applicant", "1"), c.of("applicant", "2"), "same"}))
	c.take(rows(row{key: "1", name: nameA, op: change.Create}), rows(row{key: "2", name: "李国庆", op: change.Create}))
	if !c.together("1", "2") {
		t.Error("the verdict does not hold for records that came after it")
	}
}

func TestModels(t *testing.T) {
	c := open(t, t.TempDir())
	c.take(rows(row{key: "1", name: nameA, phone: phoneA, op: change.Create}, row{key: "2", name: nameA, phone: phoneA, op: change.Create},
		row{key: "3", name: nameA, card: numberA, op: change.Create}, row{key: "4", name: nameA, card: numberA, op: change.Create}))
	if !c.together("1", "2") || !c.together("3", "4") {
		t.Fatal("nothing to part")
	}
	spec, err := shipped.Shipped(identity.Person)
	if err != nil {
		t.Fatal(err)
	}
	strict := strings.Replace(string(spec.Source()), "thresholds: {link: 0.95, review: 0.05, cluster: 0.9}", "thresholds: {link: 0.999999, review: 0.05, cluster: 0.9}", 1)
	strict = strings.Replace(strict, "\nversion: ", "\nversion: 9", 1)
	if strict == string(spec.Source()) {
		t.Fatal("the shipped model has other thresholds; adapt this test")
	}
	before := c.parties()
	c.take(model("broken/1", "model: [this is no model"), model("other/1", strings.Replace(strict, "kind: phone", "kind: telephone", 1)))
	if !maps.Equal(before, c.parties()) {
		t.Error("a model that is not understood changed something")
	}
	if log := c.log.String(); strings.Count(log, "a model that was chosen is not understood") != 2 || !strings.Contains(log, "broken/1") {
		t.Errorf("the log says %q", log)
	}
	c.take(model("person/91", strict))
	if c.together("1", "2") || !c.together("3", "4") {
		t.Error("the model that was chosen is not in use")
	}
	if last := c.links[len(c.links)-1]; last.Kind != partition.Split || !strings.HasPrefix(last.Model, "person/9") {
		t.Errorf("the split is told as %+v", last)
	}
	c.restart()
	if v := c.m.Partition(identity.Person).Model().Version(); !strings.HasPrefix(v, "person/9") {
		t.Errorf("after a restart the model is %s", v)
	}
	c.take(model("person/1", string(spec.Source())))
	if !maps.Equal(before, c.parties()) {
		t.Error("with the former model again, the ids are others")
	}
}

// A county may begin with a model of its own, before any record.
func TestModelBeforeTheFirstRecord(t *testing.T) {
	spec, err := shipped.Shipped(identity.Person)
	if err != nil {
		t.Fatal(err)
	}
	c := open(t, t.TempDir())
	c.take(model("person/77", strings.Replace(string(spec.Source()), "\nversion: ", "\nversion: 77", 1)), rows(row{key: "1", name: nameA, op: change.Create}))
	if v := c.m.Partition(identity.Person).Model().Version(); !strings.HasPrefix(v, "person/77") {
		t.Errorf("the model is %s", v)
	}
}

// I7: the state holds names and numbers, so it is nobody's but the node's.
func TestStateIsPrivate(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "identity")
	c := open(t, dir)
	c.take(rows(row{key: "1", name: nameA, card: numberA, code: codeA, op: change.Create}))
	c.restart()
	n := 0
	err := filepath.Walk(dir, func(path string, info os.FileInfo, err error) error {
		if err != nil {
			return err
		}
		n++
		want := os.FileMode(0o600)
		if info.IsDir() {
			want = 0o700
		}
		if got := info.Mode().Perm(); got != want {
			t.Errorf("%s may be read by others: %v", path, got)
		}
		return nil
	})
	if err != nil || n < 6 {
		t.Errorf("%d files and folders, %v", n, err)
	}
}
