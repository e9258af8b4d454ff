package batch

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/shirecounty/shire/pipeline/identity/cluster"
	"github.com/shirecounty/shire/pipeline/identity/match"
	"github.com/shirecounty/shire/schemas/identity"
)

// modelText is a model with small blocks: a few records fill them.
const modelText = `
model: test
version: 3
about: person
fields:
- {name: name, kind: chinese_name}
- {name: number, kind: citizen_number, unique: true}
- {name: phone, kind: phone}
- {name: town, kind: text}
comparisons:
- {name: name, levels: [{name: exact, when: {is: exact, of: name}, term_frequency: [name]}, {name: sound, when: {is: pinyin, of: name}}]}
- {name: number, levels: [{name: exact, when: {is: exact, of: number}}, {name: slip, when: {is: one_slip, of: number}}]}
- {name: phone, levels: [{name: exact, when: {is: exact, of: phone}}]}
- {name: town, levels: [{name: exact, when: {is: exact, of: town}}]}
doubts:
- {name: towns, when: {all: [{not: {missing: town}}, {not: {is: exact, of: town}}, {missing: phone}]}}
- {name: names, drop: true, when: {all: [{not: {missing: name}}, {not: {is: pinyin, of: name}}, {missing: number}]}}
blocking:
- {keys: [number], at_most: %[1]d}
- {keys: [number.birth_and_sequence], at_most: %[1]d}
- {keys: [name.fuzzy], at_most: %[2]d}
- {keys: [phone], at_most: %[1]d, damp: true}
- {keys: [name.wild, town], at_most: %[1]d}
- {keys: [town], at_most: %[1]d, damp: true}
thresholds: {link: 0.8, review: 0.1, cluster: 0.7}
`

const parametersText = `
parameters:
  records: 1000
  pairs: 1000
  prior: 0.02
  comparisons:
    name: [{m: 0.8, u: 0.02, support: 100}, {m: 0.15, u: 0.03, support: 100}, {m: 0.05, u: 0.95, support: 100}]
    number: [{m: 0.8, u: 0.005, support: 100}, {m: 0.15, u: 0.01, support: 100}, {m: 0.05, u: 0.985, support: 10}]
    phone: [{m: 0.7, u: 0.05, support: 100}, {m: 0.3, u: 0.95, support: 100}]
    town: [{m: 0.9, u: 0.3, support: 100}, {m: 0.1, u: 0.7, support: 100}]
  frequencies:
    name: {unlisted: 0.01, values: {张伟: 0.2, 王芳: 0.1}}
`

// tester is a test, or one try of a property.
type tester interface {
	Helper()
	Fatal(...any)
	Fatalf(string, ...any)
}

func load(t tester, text string) *match.Model {
	t.Helper()
	s, err := identity.Parse("model.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	m, err := match.Compile(s)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func quiet(string, int, int) {}

// number is a citizen number with a right check character.
func number(sequence int) string {
	s := fmt.Sprintf("33992119800101%03d", sequence)
	sum := 0
	for i, w := range []int{7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2} {
		sum += w * int(s[i]-'0')
	}
	return s + string("10X98765432"[sum%11])
}

var (
	someNames   = []string{"", "张伟", "张玮", "王芳", "王方", "王芳芳", "李小龙"}
	someNumbers = []string{"", "", number(1), number(2), number(3), number(1)[:17] + "?", number(2)[:15] + "90X"}
	somePhones  = []string{"", "13911112222", "13911113333", "13911114444", "13911115555"}
	someTowns   = []string{"", "上河", "下河", "东山", "西山"}
)

// plainly is what Resolve says, worked out from all pairs.
func plainly(m *match.Model, in *Input) *Result {
	n := in.Len()
	records, keys := make([]match.Record, n), make([][]match.Key, n)
	size := map[match.Key]int{}
	for i := range n {
		records[i] = m.Prepare(in.Values(i, nil))
		keys[i] = m.Keys(records[i], nil)
		for _, k := range keys[i] {
			size[k]++
		}
	}
	full := func(k match.Key) bool { return size[k] > m.Limit(k.Rule) }
	for i := range n {
		for _, k := range keys[i] {
			if f, damps := m.Damps(k.Rule); damps && full(k) {
				records[i][f] = nil
			}
		}
	}
	listed := func(list [][2]int32, a, b int32) bool {
		return slices.Contains(list, [2]int32{a, b}) || slices.Contains(list, [2]int32{b, a})
	}
	res := &Result{Cluster: make([]int32, n)}
	near := make([][]int32, n)
	for a := range int32(n) {
		for b := a + 1; b < int32(n); b++ {
			links := listed(in.Same, a, b)
			if slices.ContainsFunc(keys[a], func(k match.Key) bool { return !full(k) && slices.Contains(keys[b], k) }) {
				res.Compared++
				if w := m.Score(records[a], records[b]); w >= m.Review() {
					res.Pairs = append(res.Pairs, Pair{a, b, w})
					links = links || w >= m.Link()
				}
			}
			if links {
				near[a], near[b] = append(near[a], b), append(near[b], a)
			}
		}
	}
	for i := range res.Cluster {
		res.Cluster[i] = -1
	}
	component := make([]bool, n)
	for i := range int32(n) {
		if component[i] {
			continue
		}
		members := []int32{i}
		for k := 0; k < len(members); k++ {
			component[members[k]] = true
			for _, j := range near[members[k]] {
				if !slices.Contains(members, j) {
					members = append(members, j)
				}
			}
		}
		c := &cluster.Component{Link: m.Cluster()}
		for place, j := range members {
			c.IDs = append(c.IDs, RecordID(int(j)))
			for other, k := range members {
				if e := slices.IndexFunc(res.Pairs, func(p Pair) bool { return p.A == j && p.B == k }); e >= 0 {
					c.Edges = append(c.Edges, cluster.Edge{A: int32(place), B: int32(other), Weight: res.Pairs[e].Weight})
				}
				if place < other && listed(in.Same, j, k) {
					c.Same = append(c.Same, [2]int32{int32(place), int32(other)})
				}
			}
		}
		c.Score = func(x, y int32) int32 { return m.Score(records[members[x]], records[members[y]]) }
		c.Conflict = func(x, y int32) bool {
			return m.Conflict(records[members[x]], records[members[y]]) || listed(in.Different, members[x], members[y])
		}
		for place, l := range cluster.Partition(c) {
			res.Cluster[members[place]] = i + l*int32(n) // a label of its own
		}
	}
	known := map[int32]int32{}
	for i, l := range res.Cluster {
		if _, ok := known[l]; !ok {
			known[l] = int32(len(known))
		}
		res.Cluster[i] = known[l]
	}
	res.Clusters = len(known)
	return res
}

// same fails unless two results are equal but for the order of pairs.
func same(t tester, got, want *Result) {
	t.Helper()
	order := func(a, b Pair) int {
		if a.A != b.A {
			return int(a.A - b.A)
		}
		return int(a.B - b.B)
	}
	g, w := slices.Clone(got.Pairs), slices.Clone(want.Pairs)
	slices.SortFunc(g, order)
	slices.SortFunc(w, order)
	if !slices.Equal(g, w) || got.Compared != want.Compared {
		t.Fatalf("%d compared, edges %v\nwant %d, %v", got.Compared, g, want.Compared, w)
	}
	if !slices.Equal(got.Cluster, want.Cluster) || got.Clusters != want.Clusters {
		t.Fatalf("%d parties %v\nwant %d, %v", got.Clusters, got.Cluster, want.Clusters, want.Cluster)
	}
}

// Resolve gives what comparing all pairs gives, whatever blocks are over-full, damped or shared, and whatever people said.
func TestResolveAgainstAllPairs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limit := rapid.IntRange(2, 9).Draw(t, "limit")
		m := load(t, fmt.Sprintf(modelText, limit, rapid.IntRange(2, 40).Draw(t, "limit of names"))+parametersText)
		in := &Input{}
		n := rapid.IntRange(0, 40).Draw(t, "records")
		for range n {
			in.Add([]string{
				rapid.SampledFrom(someNames).Draw(t, "name"), rapid.SampledFrom(someNumbers).Draw(t, "number"),
				rapid.SampledFrom(somePhones).Draw(t, "phone"), rapid.SampledFrom(someTowns).Draw(t, "town"),
			})
		}
		if n > 1 {
			pair := rapid.Custom(func(t *rapid.T) [2]int32 {
				a, b := rapid.Int32Range(0, int32(n)-1).Draw(t, "a"), rapid.Int32Range(1, int32(n)-1).Draw(t, "b")
				return [2]int32{a, (a + b) % int32(n)}
			})
			in.Same = rapid.SliceOfN(pair, 0, 4).Draw(t, "same")
			in.Different = rapid.SliceOfN(pair, 0, 4).Draw(t, "different")
		}
		got, err := Resolve(context.Background(), m, in, quiet)
		if err != nil {
			t.Fatal(err)
		}
		same(t, got, plainly(m, in))
	})
}

// The same for components of hundreds of records, and for more records than one chunk of postings or one run of blocks
// holds; a subset is what the file would be without the others.
func TestResolveManyRecords(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 1))
	draw := func(from []string) string { return from[random.IntN(len(from))] }
	for _, c := range []struct{ records, limit, towns, phones int }{{600, 500, 2, 3}, {chunkRecords + 500, 60, 500, 6000}} {
		m := load(t, fmt.Sprintf(modelText, c.limit, c.limit)+parametersText)
		in, part := &Input{}, &Input{}
		var kept []int32
		for i := range c.records {
			values := []string{draw(someNames), draw(someNumbers), fmt.Sprintf("1391111%04d", random.IntN(c.phones)), fmt.Sprint("town ", random.IntN(c.towns))}
			in.Add(values)
			if random.IntN(10) > 0 {
				part.Add(values)
				kept = append(kept, int32(i))
			}
		}
		p, err := Prepare(t.Context(), m, in, quiet)
		if err != nil {
			t.Fatal(err)
		}
		whole, err := p.Resolve(t.Context(), m, quiet)
		if err != nil {
			t.Fatal(err)
		}
		if c.records < 1000 {
			same(t, whole, plainly(m, in))
		}
		alone := NewAlone(p, m, whole)
		for range 200 {
			i := random.IntN(c.records)
			party, compared := alone.Decide(int32(i))
			if !slices.Contains(party, int32(i)) || compared > int(whole.Compared) {
				t.Fatalf("record %d alone is of the party %v, after %d compared", i, party, compared)
			}
		}
		q, err := p.Subset(t.Context(), kept, quiet)
		if err != nil {
			t.Fatal(err)
		}
		got, err := q.Resolve(t.Context(), m, quiet)
		if err != nil {
			t.Fatal(err)
		}
		want, err := Resolve(t.Context(), m, part, quiet)
		if err != nil {
			t.Fatal(err)
		}
		same(t, got, want)
		t.Logf("%d records: %d parties, %d pairs compared", c.records, whole.Clusters, whole.Compared)
	}
}
