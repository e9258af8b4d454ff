package partition_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/shirecounty/shire/pipeline/identity/cluster"
	"github.com/shirecounty/shire/pipeline/identity/match"
	"github.com/shirecounty/shire/pipeline/identity/partition"
	"github.com/shirecounty/shire/schemas/identity"
	"github.com/shirecounty/shire/schemas/pseudonym"
)

// modelText is a model in which everything that matters here happens with few records: two valid numbers conflict, blocks
// are soon over-full, a telephone is damped, averages hold clusters apart.
const modelText = `model: small
version: %d
about: person
source: dataset
fields:
- {name: name, kind: text}
- {name: id_number, kind: citizen_number, unique: true}
- {name: phone, kind: phone}
comparisons:
- name: name
  levels:
  - {name: exact, when: {is: exact, of: name}}
  - {name: begins, when: {is: begins, of: name}}
- name: number
  levels:
  - {name: exact, when: {is: exact, of: id_number}}
- name: phone
  levels:
  - {name: exact, when: {is: exact, of: phone}}
doubts:
- {name: no_name, when: {missing: name}}
blocking:
- {keys: [name], at_most: %d}
- {keys: [id_number]}
- {keys: [phone], at_most: 3, damp: true}
thresholds: {link: 0.9, review: 0.2, cluster: 0.8}
parameters:
  records: 100
  pairs: 100
  prior: 0.05
  comparisons:
    name: [{m: 0.8, u: 0.05, support: 50}, {m: 0.15, u: 0.1, support: 50}, {m: 0.05, u: 0.85, support: 50}]
    number: [{m: 0.95, u: 0.01, support: 50}, {m: 0.05, u: 0.99, support: 50}]
    phone: [{m: 0.7, u: 0.05, support: 50}, {m: 0.3, u: 0.95, support: 50}]
  reliability:
    name: {careful: 0.98, careless: 0.5}
`

var columns = []string{"name", "id_number", "phone"}

func small(t interface{ Fatal(...any) }, version, most int) *identity.Model {
	m, err := identity.Parse("small.yaml", fmt.Appendf(nil, modelText, version, most))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func recordID(i int) (id pseudonym.ID) {
	id[0] = 0xaa
	binary.BigEndian.PutUint64(id[8:], uint64(i)*0x9e3779b97f4a7c15)
	return id
}

// rig is a partition under test, and what it said.
type rig struct {
	p     *partition.Partition
	o     partition.Options
	links []partition.Link
	at    map[pseudonym.ID]pseudonym.ID // record -> party, as decisions and links tell it

	newest map[pseudonym.ID]uint64
}

func open(t interface{ Fatal(...any) }, dir string) *rig {
	h, err := pseudonym.New([]byte(strings.Repeat("k", 32)))
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{o: partition.Options{About: "person", Columns: columns, Dir: dir, Hasher: h, NoSync: true, Log: slog.New(slog.DiscardHandler)}, at: map[pseudonym.ID]pseudonym.ID{}, newest: map[pseudonym.ID]uint64{}}
	if r.p, err = partition.Open(r.o); err != nil {
		t.Fatal(err)
	}
	return r
}

func (r *rig) apply(t interface{ Fatal(...any) }, changes []partition.Change) {
	said, links, err := r.p.Apply(context.Background(), changes)
	if err != nil {
		t.Fatal(err)
	}
	r.hear(changes, said, links)
}

// hear follows what a reader of rows and links sees: links come after the rows of their own change.
func (r *rig) hear(changes []partition.Change, said []partition.Decision, links []partition.Link) {
	for i, c := range changes {
		for len(links) > 0 && links[0].At < c.At {
			r.follow(links[0])
			links = links[1:]
		}
		if c.Verdict != nil || c.Model != nil {
			continue
		}
		if c.Version < r.newest[c.Record] {
			continue // as in the warehouse, the newest version of a row counts
		}
		r.newest[c.Record] = c.Version
		if c.Gone {
			delete(r.at, c.Record)
		} else if !said[i].Party.IsZero() {
			r.at[c.Record] = said[i].Party
		}
	}
	for _, l := range links {
		r.follow(l)
	}
}

func (r *rig) follow(l partition.Link) {
	if _, ok := r.at[l.Record]; ok {
		r.at[l.Record] = l.Party
	}
	r.links = append(r.links, l)
}

// story is changes in the order of the stream.
func story(rt *rapid.T, n int) []partition.Change {
	names := []string{"", "zhang wei", "zhang wei min", "li na", "li", "wang fang"}
	numbers := []string{"", "", "11010519491231002X", "110105194912310038", "440524188001010014", "110105194912310039"}
	phones := []string{"", "14212345678", "14212345679", "14212345680"}
	var out []partition.Change
	for i := range n {
		at := uint64(i+1) << 16
		who := rapid.IntRange(0, 11).Draw(rt, "record")
		c := partition.Change{At: at, Time: time.Unix(int64(i), 0), Record: recordID(who), Version: at}
		switch what := rapid.IntRange(0, 11).Draw(rt, "what"); {
		case what == 0:
			c.Gone = true
		case what <= 2:
			a, b := rapid.IntRange(0, 11).Draw(rt, "a"), rapid.IntRange(0, 11).Draw(rt, "b")
			if a == b {
				continue
			}
			a, b = min(a, b), max(a, b)
			c.Record = recordID(1000 + a*100 + b)
			c.Verdict = &partition.Verdict{A: recordID(a), B: recordID(b), Decision: rapid.SampledFrom([]string{"same", "different", "unsure"}).Draw(rt, "verdict")}
			c.Gone = rapid.IntRange(0, 3).Draw(rt, "withdrawn") == 0
		default:
			c.Dataset, c.Role = rapid.SampledFrom([]string{"d", "careful", "careless"}).Draw(rt, "dataset"), "r"
			c.Values = []string{rapid.SampledFrom(names).Draw(rt, "name"), rapid.SampledFrom(numbers).Draw(rt, "number"), rapid.SampledFrom(phones).Draw(rt, "phone")}
			if i >= 3 && rapid.IntRange(0, 9).Draw(rt, "late") == 0 {
				c.Version = uint64(i-2)<<16 + 1 // comes back from quarantine, perhaps after a newer one
			}
		}
		out = append(out, c)
	}
	return out
}

// last is what a story comes to: the newest version of every record, and the verdicts in force.
func last(changes []partition.Change) (records map[pseudonym.ID][]string, rulings map[[2]pseudonym.ID]string) {
	newest := map[pseudonym.ID]partition.Change{}
	for _, c := range changes {
		if c.Model == nil && c.Version > newest[c.Record].Version {
			newest[c.Record] = c
		}
	}
	records, rulings = map[pseudonym.ID][]string{}, map[[2]pseudonym.ID]string{}
	for id, c := range newest {
		switch {
		case c.Gone:
		case c.Verdict != nil:
			rulings[[2]pseudonym.ID{c.Verdict.A, c.Verdict.B}] = c.Verdict.Decision
		default:
			records[id] = append(slices.Clone(c.Values), c.Dataset)
		}
	}
	return records, rulings
}

// plainly is the partition by its definition: every pair is looked at.
func plainly(m *match.Model, records map[pseudonym.ID][]string, rulings map[[2]pseudonym.ID]string) map[pseudonym.ID]int {
	who := slices.SortedFunc(maps.Keys(records), func(a, b pseudonym.ID) int { return strings.Compare(a.String(), b.String()) })
	n := len(who)
	full := make([]match.Record, n)
	blocks := map[match.Key][]int{}
	for i, id := range who {
		full[i] = m.Prepare(records[id])
		for _, k := range m.Keys(full[i], nil) {
			blocks[k] = append(blocks[k], i)
		}
	}
	seen := make([]match.Record, n)
	for i := range who {
		seen[i] = slices.Clone(full[i])
	}
	candidate := map[[2]int]bool{}
	for k, members := range blocks {
		if len(members) > m.Limit(k.Rule) {
			if f, ok := m.Damps(k.Rule); ok {
				for _, i := range members {
					seen[i][f] = nil
				}
			}
			continue
		}
		for _, i := range members {
			for _, j := range members {
				candidate[[2]int{i, j}] = i < j
			}
		}
	}
	ruling := func(i, j int) string {
		if d, ok := rulings[[2]pseudonym.ID{who[i], who[j]}]; ok {
			return d
		}
		return rulings[[2]pseudonym.ID{who[j], who[i]}]
	}
	root := make([]int, n)
	for i := range root {
		root[i] = i
	}
	find := func(i int) int {
		for root[i] != i {
			i = root[i]
		}
		return i
	}
	weight := map[[2]int]match.Weight{}
	for i := range n {
		for j := i + 1; j < n; j++ {
			if candidate[[2]int{i, j}] {
				if w := m.Score(seen[i], seen[j]); w >= m.Review() {
					weight[[2]int{i, j}] = w
				}
			}
			if w, ok := weight[[2]int{i, j}]; ok && w >= m.Link() || ruling(i, j) == "same" {
				root[find(i)] = find(j)
			}
		}
	}
	out := map[pseudonym.ID]int{}
	label := 0
	for r := range n {
		var of []int
		for i := range n {
			if find(i) == r {
				of = append(of, i)
			}
		}
		if len(of) == 0 {
			continue
		}
		c := &cluster.Component{Link: m.Cluster()}
		for x, i := range of {
			c.IDs = append(c.IDs, who[i])
			for y := x + 1; y < len(of); y++ {
				if w, ok := weight[[2]int{i, of[y]}]; ok {
					c.Edges = append(c.Edges, cluster.Edge{A: int32(x), B: int32(y), Weight: w})
				}
				if ruling(i, of[y]) == "same" {
					c.Same = append(c.Same, [2]int32{int32(x), int32(y)})
				}
			}
		}
		c.Conflict = func(x, y int32) bool {
			return m.Conflict(seen[of[x]], seen[of[y]]) || ruling(of[x], of[y]) == "different"
		}
		c.Score = func(x, y int32) int32 { return m.Score(seen[of[x]], seen[of[y]]) }
		for x, l := range cluster.Partition(c) {
			out[who[of[x]]] = label + int(l)
		}
		label += n
	}
	return out
}

func compare(rt *rapid.T, what string, got map[pseudonym.ID]pseudonym.ID, want map[pseudonym.ID]int) {
	if len(got) != len(want) {
		rt.Fatalf("%s: %d records have a party, %d should", what, len(got), len(want))
	}
	party, label := map[pseudonym.ID]int{}, map[int]pseudonym.ID{}
	for id, l := range want {
		g := got[id]
		if before, ok := party[g]; ok && before != l {
			rt.Fatalf("%s: records are together that should not be", what)
		}
		if before, ok := label[l]; ok && before != g {
			rt.Fatalf("%s: records are apart that should be together", what)
		}
		party[g], label[l] = l, g
	}
}

// choose begins with a model.
func (r *rig) choose(t interface{ Fatal(...any) }, m *identity.Model) {
	r.apply(t, []partition.Change{choose(m, 1)})
	if err := r.p.Keep(1); err != nil {
		t.Fatal(err)
	}
}

func choose(m *identity.Model, at uint64) partition.Change {
	return partition.Change{At: at, Version: at, Record: recordID(999999), Model: m}
}

// eachWay runs a test with changes that are looked up one by one, and with ranges that are looked up in one pass.
func eachWay(t *testing.T, run func(t *testing.T)) {
	t.Run("one by one", run)
	t.Run("in one pass", func(t *testing.T) {
		defer partition.SetFew(2)()
		run(t)
	})
}

// I6: whatever the order of the changes, the partition is the one that its definition gives.
func TestEqualsTheDefinition(t *testing.T) { eachWay(t, testEqualsTheDefinition) }

func testEqualsTheDefinition(t *testing.T) {
	spec := small(t, 1, 4)
	m, err := match.Compile(spec)
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(rt *rapid.T) {
		changes := story(rt, rapid.IntRange(1, 40).Draw(rt, "changes"))
		want := plainly(m, firstOf(last(changes)), secondOf(last(changes)))
		shuffled := slices.Clone(changes)
		for i, j := range rapid.Permutation(slices.Collect(indexes(len(changes)))).Draw(rt, "order") {
			shuffled[i] = changes[j]
			shuffled[i].At = uint64(i+1) << 16 // where it stands in the stream now; versions stay
		}
		for i, changes := range [][]partition.Change{changes, shuffled} {
			what := []string{"in order", "shuffled"}[i]
			r := open(rt, t.TempDir())
			r.choose(rt, spec)
			cut(rt, r, changes)
			compare(rt, what, r.at, want)
			whose(rt, r)
			r.p.Close()
		}
	})
}

// whose asks by records and by parties, and has to hear what decisions and links said.
func whose(rt *rapid.T, r *rig) {
	records := slices.Collect(maps.Keys(r.at))
	parties := map[pseudonym.ID]map[pseudonym.ID]bool{}
	for i, party := range r.p.Whom(append(records, recordID(1<<20))) {
		if i == len(records) {
			if !party.IsZero() {
				rt.Fatal("a record that never was belongs to somebody")
			}
			break
		}
		if party != r.at[records[i]] {
			rt.Fatalf("record %s is of %s and not of %s", records[i], party, r.at[records[i]])
		}
		if parties[party] == nil {
			parties[party] = map[pseudonym.ID]bool{}
		}
		parties[party][records[i]] = true
	}
	for party, want := range parties {
		if party.IsZero() {
			continue
		}
		held := r.p.Held(party, 1000)
		for _, id := range held {
			if !want[id] {
				rt.Fatalf("party %s holds %s, which is another's", party, id)
			}
		}
		if len(held) != len(want) || len(r.p.Held(party, 1)) != 1 {
			rt.Fatalf("party %s holds %d records and not %d", party, len(held), len(want))
		}
	}
}

func firstOf[A, B any](a A, _ B) A  { return a }
func secondOf[A, B any](_ A, b B) B { return b }

func indexes(n int) func(func(int) bool) {
	return func(yield func(int) bool) {
		for i := range n {
			if !yield(i) {
				return
			}
		}
	}
}

// cut hands changes over in ranges of any size, and sometimes keeps them, forgets them, or starts again in between.
func cut(rt *rapid.T, r *rig, changes []partition.Change) {
	for len(changes) > 0 {
		n := rapid.IntRange(1, len(changes)).Draw(rt, "range")
		if rapid.IntRange(0, 3).Draw(rt, "forgotten") == 0 {
			// A process that is killed before it keeps a range decides it again.
			if _, _, err := r.p.Apply(context.Background(), changes[:n]); err != nil {
				rt.Fatal(err)
			}
			r.reopen(rt)
		}
		k := rapid.IntRange(0, n-1).Draw(rt, "in two")
		if k > 0 {
			r.apply(rt, changes[:k]) // the second Apply builds on the first
		}
		r.apply(rt, changes[k:n])
		if err := r.p.Keep(changes[n-1].At); err != nil {
			rt.Fatal(err)
		}
		if rapid.IntRange(0, 5).Draw(rt, "restart") == 0 {
			r.reopen(rt)
		}
		changes = changes[n:]
	}
}

func (r *rig) reopen(rt *rapid.T) {
	if err := r.p.Close(); err != nil {
		rt.Fatal(err)
	}
	var err error
	if r.p, err = partition.Open(r.o); err != nil {
		rt.Fatal(err)
	}
}

// Ids do not depend on how the stream is cut into ranges, nor on restarts; no id names two people; every event leads on.
func TestIDsAreDurable(t *testing.T) { eachWay(t, testIDsAreDurable) }

func testIDsAreDurable(t *testing.T) {
	spec := small(t, 1, 4)
	rapid.Check(t, func(rt *rapid.T) {
		changes := story(rt, rapid.IntRange(1, 40).Draw(rt, "changes"))
		one := open(rt, t.TempDir())
		defer one.p.Close()
		one.choose(rt, spec)
		born := map[pseudonym.ID]uint64{}
		for i := range changes {
			before := maps.Clone(one.at)
			links := len(one.links)
			one.apply(rt, changes[i:i+1])
			if err := one.p.Keep(changes[i].At); err != nil {
				rt.Fatal(err)
			}
			for _, id := range one.at {
				if _, known := born[id]; !known {
					born[id] = changes[i].At
				}
			}
			for from, to := range durable(rt, before, one.at, changes[i]) {
				if born[to] > born[from] {
					rt.Fatalf("change %d: the younger party kept its id", changes[i].At>>16)
				}
				if today, ok := one.p.Resolve(from); !ok || today != to {
					rt.Fatalf("change %d: the id of a party that went on as another does not lead there", changes[i].At>>16)
				}
			}
			for _, l := range one.links[links:] {
				if l.Kind == partition.Merge {
					if to, ok := one.p.Resolve(l.Previous); !ok || to != l.Party {
						rt.Fatalf("a retired id leads to %v, not to %v", to, l.Party)
					}
				}
			}
		}
		many := open(rt, t.TempDir())
		defer many.p.Close()
		many.choose(rt, spec)
		cut(rt, many, changes)
		if !maps.Equal(one.at, many.at) {
			rt.Fatal("the ids depend on how the stream was cut")
		}
		if !slices.EqualFunc(one.links, many.links, func(a, b partition.Link) bool { return a == b }) {
			rt.Fatal("the links depend on how the stream was cut")
		}
	})
}

// durable checks one step, and gives the parties that went on whole as others.
func durable(rt *rapid.T, before, after map[pseudonym.ID]pseudonym.ID, c partition.Change) map[pseudonym.ID]pseudonym.ID {
	stayed := map[pseudonym.ID]bool{}
	clusters := map[pseudonym.ID]map[pseudonym.ID]bool{}
	for id, p := range before {
		if q, ok := after[id]; ok {
			if clusters[p] == nil {
				clusters[p] = map[pseudonym.ID]bool{}
			}
			clusters[p][q] = true
			stayed[q] = stayed[q] || q == p
		}
	}
	merged := map[pseudonym.ID]pseudonym.ID{}
	for p, to := range clusters {
		if len(to) > 1 || to[p] {
			continue
		}
		for q := range to {
			if !stayed[q] {
				rt.Fatalf("change %d: a party got another id for nothing", c.At>>16)
			}
			merged[p] = q
		}
	}
	return merged
}

// A model that is chosen later gives what it would have given from the beginning, and parties go on.
func TestAnotherModel(t *testing.T) { eachWay(t, testAnotherModel) }

func testAnotherModel(t *testing.T) {
	first, second := small(t, 1, 4), small(t, 2, 2)
	m, err := match.Compile(second)
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(rt *rapid.T) {
		changes := story(rt, rapid.IntRange(1, 40).Draw(rt, "changes"))
		at := rapid.IntRange(0, len(changes)).Draw(rt, "when")
		moment := uint64(0xffff)
		if at > 0 {
			moment += changes[at-1].At
		}
		changes = slices.Insert(slices.Clone(changes), at, choose(second, moment))
		r := open(rt, t.TempDir())
		defer r.p.Close()
		r.choose(rt, first)
		cut(rt, r, changes)
		compare(rt, "after another model", r.at, plainly(m, firstOf(last(changes)), secondOf(last(changes))))
		again := open(rt, t.TempDir())
		defer again.p.Close()
		again.choose(rt, first)
		cut(rt, again, changes)
		if !maps.Equal(r.at, again.at) {
			rt.Fatal("the ids depend on how the stream was cut")
		}
	})
}
