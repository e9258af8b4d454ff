package evaluate

import (
	"math"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"
)

func partition(t *rapid.T, name string, n int) []int32 {
	most := rapid.Int32Range(0, 8).Draw(t, "most "+name)
	return rapid.SliceOfN(rapid.Int32Range(-2, most), n, n).Draw(t, name)
}

func near(a, b float64) bool { return math.Abs(a-b) <= 1e-12*max(1, math.Abs(a), math.Abs(b)) }

// plainly is what Scores says, worked out pair by pair and record by record, each figure by its definition.
func plainly(predicted, truth []int32) (q Quality) {
	n := len(predicted)
	q.Records = n
	first := func(labels []int32, i int) bool {
		for j := range i {
			if labels[j] == labels[i] {
				return false
			}
		}
		return true
	}
	for i := range n {
		inCluster, inEntity, inBoth := 0, 0, 0
		for j := range n {
			p, e := predicted[i] == predicted[j], truth[i] == truth[j]
			if p {
				inCluster++
			}
			if e {
				inEntity++
			}
			if p && e {
				inBoth++
			}
			if i < j {
				switch {
				case p && e:
					q.TruePairs++
				case p:
					q.FalsePairs++
				case e:
					q.MissedPairs++
				}
			}
		}
		q.BCubedPrecision += float64(inBoth) / float64(inCluster) / float64(n)
		q.BCubedRecall += float64(inBoth) / float64(inEntity) / float64(n)
		if first(predicted, i) {
			q.Clusters++
			if inBoth == inCluster && inBoth == inEntity {
				q.ExactClusters++
			}
		}
		if first(truth, i) {
			q.Entities++
		}
	}
	if n == 0 {
		q.BCubedPrecision, q.BCubedRecall = 1, 1
	}
	return q
}

func TestScoresAgainstTheDefinitions(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(0, 40).Draw(t, "records")
		predicted, truth := partition(t, "predicted", n), partition(t, "truth", n)
		got, want := Scores(predicted, truth), plainly(predicted, truth)
		if got.Records != want.Records || got.Clusters != want.Clusters || got.Entities != want.Entities || got.ExactClusters != want.ExactClusters ||
			got.TruePairs != want.TruePairs || got.FalsePairs != want.FalsePairs || got.MissedPairs != want.MissedPairs {
			t.Fatalf("counts: got %+v, want %+v", got, want)
		}
		if !near(got.BCubedPrecision, want.BCubedPrecision) || !near(got.BCubedRecall, want.BCubedRecall) {
			t.Fatalf("B-cubed: got %+v, want %+v", got, want)
		}
	})
}

// The formulas that other tools for record linkage use, from counters of labels: figures are held beside theirs.
func TestScoresAgainstThePeersFormulas(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 60).Draw(t, "records")
		predicted, truth := partition(t, "predicted", n), partition(t, "truth", n)
		both, P, T := map[[2]int32]float64{}, map[int32]float64{}, map[int32]float64{}
		for i := range n {
			both[[2]int32{predicted[i], truth[i]}]++
			P[predicted[i]]++
			T[truth[i]]++
		}
		var tp, pp, tt, bp, br float64
		for k, c := range both {
			tp += c * (c - 1) / 2
			bp += c * c / P[k[0]] / float64(n)
			br += c * c / T[k[1]] / float64(n)
		}
		for _, c := range P {
			pp += c * (c - 1) / 2
		}
		for _, c := range T {
			tt += c * (c - 1) / 2
		}
		p, r, f1 := 1.0, 1.0, 0.0
		if pp > 0 {
			p = tp / pp
		}
		if tt > 0 {
			r = tp / tt
		}
		if p+r > 0 {
			f1 = 2 * p * r / (p + r)
		}
		q := Scores(predicted, truth)
		if !near(q.Precision, p) || !near(q.Recall, r) || !near(q.F1, f1) || float64(q.FalsePairs) != pp-tp || float64(q.MissedPairs) != tt-tp || !near(q.BCubed, 2*bp*br/(bp+br)) {
			t.Fatalf("got %+v, want precision %v recall %v F1 %v false %v missed %v B-cubed %v", q, p, r, f1, pp-tp, tt-tp, 2*bp*br/(bp+br))
		}
	})
}

// What the numbers of clusters are, and the order of the records, does not matter.
func TestScoresForgetLabelsAndOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(0, 40).Draw(t, "records")
		predicted, truth := partition(t, "predicted", n), partition(t, "truth", n)
		p, e := make([]int32, n), make([]int32, n)
		for i, j := range rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0)).Perm(n) {
			p[i], e[i] = predicted[j]*-7+3, truth[j]<<20
		}
		a, b := Scores(predicted, truth), Scores(p, e)
		if !near(a.BCubedPrecision, b.BCubedPrecision) || !near(a.BCubedRecall, b.BCubedRecall) || a.FalsePairs != b.FalsePairs || a.MissedPairs != b.MissedPairs || a.ExactClusters != b.ExactClusters {
			t.Fatalf("%+v and %+v", a, b)
		}
	})
}

func TestScoresOfExtremes(t *testing.T) {
	truth := []int32{1, 1, 1, 2, 2, 3}
	alone, one := []int32{0, 1, 2, 3, 4, 5}, make([]int32, 6)
	for _, c := range []struct {
		name      string
		predicted []int32
		truth     []int32
		want      Quality
	}{
		{"itself", truth, truth, Quality{Records: 6, Entities: 3, Clusters: 3, TruePairs: 4, Precision: 1, Recall: 1, F1: 1,
			BCubedPrecision: 1, BCubedRecall: 1, BCubed: 1, ExactClusters: 3, ClusterPrecision: 1, ClusterRecall: 1, ClusterF1: 1}},
		{"all alone", alone, truth, Quality{Records: 6, Entities: 3, Clusters: 6, MissedPairs: 4, Precision: 1, Recall: 0, F1: 0,
			BCubedPrecision: 1, BCubedRecall: .5, BCubed: 2. / 3, ExactClusters: 1, ClusterPrecision: 1. / 6, ClusterRecall: 1. / 3, ClusterF1: 2. / 9}},
		{"all one", one, truth, Quality{Records: 6, Entities: 3, Clusters: 1, TruePairs: 4, FalsePairs: 11, Precision: 4. / 15, Recall: 1, F1: 8. / 19, FalsePerMillion: 11. / 6 * 1e6,
			BCubedPrecision: 14. / 36, BCubedRecall: 1, BCubed: 28. / 50}},
		{"nothing", nil, nil, Quality{Precision: 1, Recall: 1, F1: 1, BCubedPrecision: 1, BCubedRecall: 1, BCubed: 1, ClusterPrecision: 1, ClusterRecall: 1, ClusterF1: 1}},
	} {
		got := Scores(c.predicted, c.truth)
		for _, f := range [][2]*float64{{&got.Precision, &c.want.Precision}, {&got.F1, &c.want.F1}, {&got.FalsePerMillion, &c.want.FalsePerMillion},
			{&got.BCubedPrecision, &c.want.BCubedPrecision}, {&got.BCubedRecall, &c.want.BCubedRecall}, {&got.BCubed, &c.want.BCubed},
			{&got.ClusterPrecision, &c.want.ClusterPrecision}, {&got.ClusterRecall, &c.want.ClusterRecall}, {&got.ClusterF1, &c.want.ClusterF1}} {
			if near(*f[0], *f[1]) {
				*f[0] = *f[1] // what is left differs by more than the last digit
			}
		}
		if got != c.want {
			t.Errorf("%s:\n got %+v\nwant %+v", c.name, got, c.want)
		}
	}
}

// A cluster of 100,000 records has five thousand million pairs; counting them takes no time that is theirs.
func TestScoresCountLargeClusters(t *testing.T) {
	q := Scores(make([]int32, 100_000), make([]int32, 100_000))
	if q.TruePairs != 4_999_950_000 {
		t.Errorf("%d true pairs", q.TruePairs)
	}
}

func TestRenamed(t *testing.T) {
	for _, c := range []struct {
		name          string
		before, after []int32
		want          int
	}{
		{"nothing", nil, nil, 0},
		{"the same under other numbers", []int32{4, 4, 9}, []int32{1, 1, 0}, 0},
		{"a new record joins", []int32{1, 1, -1}, []int32{0, 0, 0}, 0},
		{"a new record joins two parties: the older keeps its id", []int32{1, 2, 2, -1}, []int32{0, 0, 0, 0}, 2},
		{"a party splits: the larger part keeps its id", []int32{1, 1, 1}, []int32{0, 1, 1}, 1},
		{"a party splits in half: the part of the smallest record keeps it", []int32{1, 1, 1, 1}, []int32{0, 1, 1, 0}, 2},
		{"two parties change places in part", []int32{1, 1, 1, 2, 2, 2}, []int32{0, 0, 1, 1, 1, 0}, 2},
		{"an older party that lost its cluster to nobody", []int32{1, 2, 2}, []int32{5, 6, 6}, 0},
	} {
		if got := Renamed(c.before, c.after); got != c.want {
			t.Errorf("%s: %d renamed, want %d", c.name, got, c.want)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(0, 40).Draw(t, "records")
		before, after := partition(t, "before", n), partition(t, "after", n)
		got, old := Renamed(before, after), 0
		for _, b := range before {
			if b >= 0 {
				old++
			}
		}
		if got < 0 || got > old || Renamed(before, before) != 0 {
			t.Fatalf("%d of %d renamed", got, old)
		}
	})
}
