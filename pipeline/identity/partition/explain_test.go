package partition_test

import (
	"fmt"
	"log/slog"
	"maps"
	"math"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/shirecounty/shire/pipeline/identity/match"
	"github.com/shirecounty/shire/pipeline/identity/partition"
	"github.com/shirecounty/shire/pipeline/identity/review"
	"github.com/shirecounty/shire/schemas/pseudonym"
)

const (
	numberA, numberB = "11010519491231002X", "440524188001010014"
	phoneA, phoneB   = "14212345678", "14212345679"
)

// handMade is a state in which each kind of reason occurs.
func handMade(t *testing.T) *rig {
	t.Helper()
	r := open(t, t.TempDir())
	t.Cleanup(func() { r.p.Close() })
	r.choose(t, small(t, 1, 4))
	at := uint64(0)
	var changes []partition.Change
	say := func(i int, values ...string) {
		at += 1 << 16
		changes = append(changes, partition.Change{At: at, Version: at, Time: time.Unix(int64(i), 0), Record: recordID(i), Dataset: "d", Role: "r", Values: values})
	}
	say(1, "zhang wei", numberA, phoneA)
	say(2, "zhang wei", numberA, "")
	say(3, "zhang wei", "", phoneA)
	say(4, "zhang wei", numberB, "")
	say(5, "li na", "", phoneB)
	say(6, "", "", phoneB)
	say(7, "wang fang", "", "")
	for i := 8; i < 13; i++ { // one more than the block of a name may have
		say(i, "li", "", "")
	}
	r.apply(t, changes)
	rule := func(a, b int, what string) {
		at += 1 << 16
		r.apply(t, []partition.Change{{At: at, Version: at, Time: time.Unix(100, 0), Record: recordID(1000 + a*100 + b),
			Verdict: &partition.Verdict{A: recordID(a), B: recordID(b), Decision: what, Reviewer: "li mei", Reason: "asked", At: time.Unix(100, 0).UTC()}}})
	}
	rule(5, 7, "same")
	rule(8, 9, "same")
	rule(9, 10, "different")
	if err := r.p.Keep(at); err != nil {
		t.Fatal(err)
	}
	return r
}

// name tells records by their number again.
func name(id pseudonym.ID) string {
	for i := range 1000 {
		if recordID(i) == id {
			return fmt.Sprint(i)
		}
	}
	return "?"
}

func bits(w match.Weight) string { return fmt.Sprintf("%.1f", float64(w)/match.Bit) }

// said is an explanation in a line.
func said(w *partition.Why) string {
	if w == nil {
		return "unknown"
	}
	var words []string
	for _, e := range w.Path {
		how := bits(e.Weight)
		if e.Same {
			how = "same"
		}
		words = append(words, fmt.Sprintf("%s-%s %s %v", name(e.A), name(e.B), how, e.Links))
	}
	for _, r := range w.Reasons {
		word := r.Code
		if len(r.Fields)+len(r.Doubts) > 0 {
			word += fmt.Sprint(" ", append(r.Fields, r.Doubts...))
		}
		if r.Weight != 0 {
			word += " " + bits(r.Weight)
		}
		if r.Pairs > 0 {
			word += fmt.Sprint(" of ", r.Pairs)
		}
		if !r.A.IsZero() {
			word += " " + name(r.A) + "-" + name(r.B)
		}
		words = append(words, word)
	}
	return strings.Join(words, ", ")
}

func TestExplain(t *testing.T) {
	r := handMade(t)
	for _, c := range []struct {
		a, b int
		want string
	}{
		{1, 2, "1-2 6.3 true"},
		{1, 1, ""},
		// The telephone links them. With the number's other record there is only the name, and the average is too low.
		{1, 3, "low_average 1.7 of 2"},
		{2, 3, "weak -0.2, low_average 1.7 of 2"},
		{1, 4, "conflict [id_number], weak -4.6"},
		{5, 7, "5-7 same false"},
		{5, 6, "weak -0.4, doubt [no_name], no_chain"},
		{1, 7, "never_met, weak -8.3, no_chain"},
		{11, 12, "over_full, weak -0.2, no_chain"},
		{9, 10, "verdict, over_full, weak -0.2"},
		{8, 10, "over_full, weak -0.2, no_chain"},
		{1, 99, "unknown"},
	} {
		why := r.p.Explain(recordID(c.a), recordID(c.b), false)
		if got := said(why); got != c.want {
			t.Errorf("%d and %d: %s, want %s", c.a, c.b, got, c.want)
		}
		if why == nil {
			continue
		}
		if why.A.Values != nil || why.B.Values != nil {
			t.Errorf("%d and %d: values were shown that nobody asked for", c.a, c.b)
		}
		if why.Model != r.p.Model().Version() || len(why.Evidence.Steps) != 3 {
			t.Errorf("%d and %d: %+v", c.a, c.b, why)
		}
	}
	full := r.p.Explain(recordID(11), recordID(12), true)
	if len(full.Blocks) != 1 || fmt.Sprint(full.Blocks[0]) != "{[name] 5 4 true}" || full.A.Values[0] != "li" {
		t.Errorf("%+v, values %q", full.Blocks, full.A.Values)
	}
	if v := r.p.Explain(recordID(5), recordID(7), false).Verdicts; len(v) != 1 || v[0].Reviewer != "li mei" || v[0].Decision != "same" {
		t.Errorf("%+v", v)
	}
}

func TestExplainParty(t *testing.T) {
	r := handMade(t)
	of := r.p.ExplainParty(recordID(2), false)
	if of == nil || of.Of != "record" || of.Size != 2 || len(of.Ties) != 1 || !of.Ties[0].Links || of.Sequence != 1 || of.Members[0].Rule != partition.ExactNumber || len(of.Open) == 0 {
		t.Errorf("%+v", of)
	}
	if same := r.p.ExplainParty(of.Party, true); same == nil || same.Of != "party" || same.Size != 2 || same.Members[0].Values == nil {
		t.Errorf("%+v", same)
	}
	if unknown := r.p.ExplainParty(recordID(99), false); unknown != nil {
		t.Errorf("%+v", unknown)
	}
	// Two parties become one: the younger one's id leads to it, and it knows.
	younger := r.p.ExplainParty(recordID(3), false).Party
	at := uint64(1000) << 16
	r.apply(t, []partition.Change{{At: at, Version: at, Record: recordID(3), Dataset: "d", Role: "r", Values: []string{"zhang wei", numberA, phoneA}}})
	if err := r.p.Keep(at); err != nil {
		t.Fatal(err)
	}
	went := r.p.ExplainParty(younger, false)
	if went == nil || went.Party != of.Party || len(went.Successors) != 1 || len(went.Retired) != 1 || went.Retired[0] != younger || went.Size != 3 {
		t.Errorf("%+v", went)
	}
	at += 1 << 16
	r.apply(t, []partition.Change{{At: at, Version: at, Record: recordID(3), Gone: true}})
	if err := r.p.Keep(at); err != nil {
		t.Fatal(err)
	}
	if gone := r.p.ExplainParty(recordID(3), false); gone == nil || !gone.Gone || gone.Of != "record" {
		t.Errorf("%+v", gone)
	}
}

func TestAgainst(t *testing.T) {
	r := handMade(t)
	for _, c := range []struct {
		a, b       int
		what, want string
	}{
		{5, 7, "different", ""},                     // it takes the place of the former one
		{8, 10, "same", "8-9 same, 9-10 different"}, // through a third
		{10, 8, "same", "9-10 different, 8-9 same"}, // from the other end
		{8, 10, "different", ""},                    // says the same
		{9, 8, "different", ""},                     // replaces
		{11, 12, "same", ""},                        // nobody said anything
		{8, 10, "unsure", ""},                       // rules nothing out
		{1, 2, "different", ""},                     // the evidence is no verdict
		{7, 5, "same", ""},                          // again
		{10, 9, "same", ""},                         // replaces
	} {
		var words []string
		for _, v := range r.p.Against(recordID(c.a), recordID(c.b), c.what) {
			words = append(words, fmt.Sprintf("%s-%s %s", name(v.A), name(v.B), v.Decision))
		}
		if got := strings.Join(words, ", "); got != c.want {
			t.Errorf("%d and %d %s: %s, want %s", c.a, c.b, c.what, got, c.want)
		}
		if (len(words) > 0) != r.p.Contradicts(recordID(c.a), recordID(c.b), c.what) {
			t.Errorf("%d and %d %s: Contradicts says otherwise", c.a, c.b, c.what)
		}
	}
}

// Whatever the story, each pair is explained: together by the strongest chain, apart for a reason that holds.
func TestExplainAlways(t *testing.T) {
	spec := small(t, 1, 4)
	m, err := match.Compile(spec)
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(rt *rapid.T) {
		changes := story(rt, rapid.IntRange(1, 60).Draw(rt, "changes"))
		r := open(rt, t.TempDir())
		defer r.p.Close()
		r.choose(rt, spec)
		if len(changes) > 0 {
			r.apply(rt, changes)
			if err := r.p.Keep(changes[len(changes)-1].At); err != nil {
				rt.Fatal(err)
			}
		}
		ids := slices.Collect(maps.Keys(r.at))
		for _, a := range ids {
			for _, b := range ids {
				why := r.p.Explain(a, b, false)
				switch {
				case why == nil || why.Together != (r.at[a] == r.at[b]):
					rt.Fatalf("%+v", why)
				case a == b:
				case why.Together:
					chained(rt, why, a, b)
				case len(why.Reasons) == 0:
					rt.Fatalf("no reason: %+v", why)
				}
				for _, x := range why.Reasons {
					if x.Code == partition.LowAverage && x.Weight >= m.Cluster() {
						rt.Fatalf("the average %d would have made one of the two", x.Weight)
					}
				}
				if a != b && ((len(r.p.Against(a, b, "same")) > 0) != r.p.Contradicts(a, b, "same") || (len(r.p.Against(a, b, "different")) > 0) != r.p.Contradicts(a, b, "different")) {
					rt.Fatal("Against and Contradicts do not agree")
				}
			}
		}
	})
}

// chained proves that the path leads from a to b, and that no chain of the party's ties has a stronger weakest pair.
func chained(rt *rapid.T, why *partition.Why, a, b pseudonym.ID) {
	at, weakest := a, int64(math.MaxInt64)
	for _, e := range why.Path {
		if e.A != at || e.Explanation == nil {
			rt.Fatalf("the path has a gap: %+v", why.Path)
		}
		at = e.B
		if !e.Same {
			weakest = min(weakest, int64(e.Weight))
		}
	}
	if at != b {
		rt.Fatalf("the path does not arrive: %+v", why.Path)
	}
	if slices.ContainsFunc(why.Verdicts, func(v review.Verdict) bool {
		return v.Decision == "same" && (v.A == a && v.B == b || v.A == b && v.B == a)
	}) && len(why.Path) != 1 && weakest != math.MaxInt64 {
		rt.Fatalf("a verdict joins the two, and the path goes another way: %+v", why.Path)
	}
	if int64(why.Evidence.Weight) > weakest && len(why.Path) > 1 && len(why.Blocks) > 0 && slices.ContainsFunc(why.Blocks, func(s partition.Shared) bool { return !s.Full }) {
		rt.Fatalf("the pair itself is stronger than its path: %+v", why)
	}
}

// A trial tells what choosing the model then comes to, and leaves everything as it was.
func TestTrial(t *testing.T) {
	first, second := small(t, 1, 4), small(t, 2, 2)
	rapid.Check(t, func(rt *rapid.T) {
		changes := story(rt, rapid.IntRange(1, 60).Draw(rt, "changes"))
		r := open(rt, t.TempDir())
		defer r.p.Close()
		r.choose(rt, first)
		end := uint64(1) << 40
		r.apply(rt, changes)
		if err := r.p.Keep(end); err != nil {
			rt.Fatal(err)
		}
		dir := t.TempDir()
		o := r.o
		o.ReadOnly = true
		shadow, err := partition.Open(o) // beside the writer
		if err != nil {
			rt.Fatal(err)
		}
		e, err := shadow.Trial(t.Context(), second, dir)
		if err != nil {
			rt.Fatal(err)
		}
		shadow.Close()
		if left, _ := os.ReadDir(dir); len(left) > 0 {
			rt.Fatalf("the trial left %v", left)
		}
		records, parties := r.p.Records()
		if e.Records != records || e.PartiesBefore != parties || e.OpenBefore != secondOf(r.p.Queue(0)) {
			rt.Fatalf("before: %+v", e)
		}
		before := maps.Clone(r.at)
		r.apply(rt, []partition.Change{choose(second, end+1)})
		if err := r.p.Keep(end + 1); err != nil {
			rt.Fatal(err)
		}
		_, parties = r.p.Records()
		renamed, merges, splits := compared(before, r.at)
		if e.PartiesAfter != parties || e.OpenAfter != secondOf(r.p.Queue(0)) || e.Renamed != renamed || e.Merges != merges || e.Splits != splits {
			rt.Fatalf("the trial said %+v; it came to %d parties, %d waiting, %d renamed, %d merges, %d splits", e, parties, secondOf(r.p.Queue(0)), renamed, merges, splits)
		}
	})
}

func compared(before, after map[pseudonym.ID]pseudonym.ID) (renamed, merges, splits int) {
	type pair struct{ from, to pseudonym.ID }
	seen := map[pair]bool{}
	from, to := map[pseudonym.ID]int{}, map[pseudonym.ID]int{}
	for id, p := range before {
		q := after[id]
		if p != q {
			renamed++
		}
		if !seen[pair{p, q}] {
			seen[pair{p, q}] = true
			from[q]++
			to[p]++
		}
	}
	for _, n := range from {
		if n > 1 {
			merges++
		}
	}
	for _, n := range to {
		if n > 1 {
			splits++
		}
	}
	return renamed, merges, splits
}

func TestTrialRefuses(t *testing.T) {
	r := handMade(t)
	bare := small(t, 1, 4)
	bare.Parameters = nil
	if _, err := r.p.Trial(t.Context(), bare, t.TempDir()); err == nil || !strings.Contains(err.Error(), "train it first") {
		t.Error(err)
	}
	o := r.o
	o.Dir, o.Log = t.TempDir(), slog.New(slog.DiscardHandler)
	empty, err := partition.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	defer empty.Close()
	if _, err := empty.Trial(t.Context(), small(t, 1, 4), t.TempDir()); err == nil {
		t.Error("a trial of nothing")
	}
}
