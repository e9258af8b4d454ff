// Package evaluate tells how good a partition of records is, held against a labelled truth, and reads the labelled
// files that this takes.
//
// A partition is given as one number per record: records with the same number are in one cluster. Which numbers they
// are does not matter.
package evaluate

import "math"

// Quality is how a predicted partition compares with the true one. Shares are between 0 and 1. A share of nothing is
// 1: a partition that predicts no pair predicts no false one.
type Quality struct {
	Records  int `json:"records"`
	Entities int `json:"entities"` // true ones
	Clusters int `json:"clusters"` // predicted ones

	// Of pairs of records.
	TruePairs   int64   `json:"true_pairs"`   // together in both
	FalsePairs  int64   `json:"false_pairs"`  // together in the prediction alone
	MissedPairs int64   `json:"missed_pairs"` // together in the truth alone
	Precision   float64 `json:"precision"`
	Recall      float64 `json:"recall"`
	F1          float64 `json:"f1"`

	// False pairs per million records.
	FalsePerMillion float64 `json:"false_pairs_per_million_records"`

	// B-cubed: for each record, the share of its cluster that is of its entity, and the share of its entity that is in
	// its cluster; averaged over records. BCubed is the harmonic mean of the two averages.
	BCubedPrecision float64 `json:"b_cubed_precision"`
	BCubedRecall    float64 `json:"b_cubed_recall"`
	BCubed          float64 `json:"b_cubed"`

	// Clusters that have exactly the records of one entity, as a share of all clusters and of all entities. Records that
	// stand alone in both count like any other.
	ExactClusters    int     `json:"exact_clusters"`
	ClusterPrecision float64 `json:"cluster_precision"`
	ClusterRecall    float64 `json:"cluster_recall"`
	ClusterF1        float64 `json:"cluster_f1"`
}

// Scores compares two partitions of the same records, in time linear in their number. Both slices have one number per
// record; of slices of different length the shorter one counts.
func Scores(predicted, truth []int32) Quality {
	t := cross(predicted, truth)
	q := Quality{Records: t.records, Entities: len(t.entities), Clusters: len(t.clusters)}
	var together, inClusters, inEntities int64
	var precise, recalled float64
	for _, c := range t.cells {
		together += pairs(c.records)
		precise += square(c.records) / float64(t.clusters[c.cluster])
		recalled += square(c.records) / float64(t.entities[c.entity])
		if t.exact(c) {
			q.ExactClusters++
		}
	}
	for _, n := range t.clusters {
		inClusters += pairs(n)
	}
	for _, n := range t.entities {
		inEntities += pairs(n)
	}
	q.TruePairs, q.FalsePairs, q.MissedPairs = together, inClusters-together, inEntities-together
	q.Precision, q.Recall = share(float64(together), float64(inClusters)), share(float64(together), float64(inEntities))
	q.F1 = harmonic(q.Precision, q.Recall)
	q.BCubedPrecision, q.BCubedRecall = share(precise, float64(t.records)), share(recalled, float64(t.records))
	q.BCubed = harmonic(q.BCubedPrecision, q.BCubedRecall)
	q.ClusterPrecision, q.ClusterRecall = share(float64(q.ExactClusters), float64(q.Clusters)), share(float64(q.ExactClusters), float64(q.Entities))
	q.ClusterF1 = harmonic(q.ClusterPrecision, q.ClusterRecall)
	if t.records > 0 {
		q.FalsePerMillion = float64(q.FalsePairs) / float64(t.records) * 1e6
	}
	return q
}

// pairs is how many pairs n records make.
func pairs(n int32) int64 { return int64(n) * int64(n-1) / 2 }

func square(n int32) float64 { return float64(n) * float64(n) }

func share(part, whole float64) float64 {
	if whole == 0 {
		return 1
	}
	return part / whole
}

// harmonic is the F1 of two shares.
func harmonic(a, b float64) float64 {
	if a+b == 0 {
		return 0
	}
	return 2 * a * b / (a + b)
}

// contingency is what two partitions have in common. Clusters and entities are numbered from 0 in the order in which
// records first name them.
type contingency struct {
	records  int
	clusters []int32 // records by cluster
	entities []int32 // records by entity
	cells    []cell  // in the order of clusters
}

// cell is the records that a cluster and an entity share; there is none without records.
type cell struct{ cluster, entity, records int32 }

// exact tells whether the cell is a whole cluster and a whole entity.
func (t *contingency) exact(c cell) bool {
	return c.records == t.clusters[c.cluster] && c.records == t.entities[c.entity]
}

func cross(predicted, truth []int32) *contingency {
	n := min(len(predicted), len(truth))
	t := &contingency{records: n}
	cluster, entity := make([]int32, n), make([]int32, n)
	t.clusters, t.entities = number(predicted[:n], cluster), number(truth[:n], entity)

	// The records by cluster: a counting sort.
	place := make([]int32, len(t.clusters)+1)
	for c, size := range t.clusters {
		place[c+1] = place[c] + size
	}
	ordered := make([]int32, n)
	for i, c := range cluster {
		ordered[place[c]] = entity[i]
		place[c]++
	}
	count := make([]int32, len(t.entities))
	from := int32(0)
	for c, size := range t.clusters {
		members := ordered[from : from+size]
		from += size
		for _, e := range members {
			count[e]++
		}
		for _, e := range members {
			if count[e] > 0 {
				t.cells = append(t.cells, cell{int32(c), e, count[e]})
				count[e] = 0
			}
		}
	}
	return t
}

// number writes each label's number into out, and gives the size of each.
func number(labels, out []int32) (sizes []int32) {
	known := map[int32]int32{}
	for i, l := range labels {
		k, ok := known[l]
		if !ok {
			k = int32(len(sizes))
			known[l] = k
			sizes = append(sizes, 0)
		}
		out[i] = k
		sizes[k]++
	}
	return sizes
}

// Renamed counts the records whose party has another id after new records came. Before and after are partitions of the
// same records; before is negative where a record was not there yet.
//
// Ids go on as Shire's do: each old party, the oldest first, gives its id to the new cluster that holds most of its
// records, unless an older one has done so already.
func Renamed(before, after []int32) int {
	n := min(len(before), len(after))
	var old, now []int32
	for i := range n {
		if before[i] >= 0 {
			old, now = append(old, before[i]), append(now, after[i])
		}
	}
	t := cross(old, now) // clusters are the old parties in the order of their first record, entities the new ones
	owner := make([]int32, len(t.entities))
	for e := range owner {
		owner[e] = -1
	}
	kept := 0
	for from := 0; from < len(t.cells); {
		best, end := t.cells[from], from+1
		for ; end < len(t.cells) && t.cells[end].cluster == best.cluster; end++ {
			if t.cells[end].records > best.records { // of equals the first, which has the smallest record
				best = t.cells[end]
			}
		}
		if owner[best.entity] < 0 {
			owner[best.entity] = best.cluster
			kept += int(best.records)
		}
		from = end
	}
	return len(old) - kept
}

// quantile is the value below which a share q of the sorted values lies.
func quantile(sorted []float64, q float64) float64 {
	if len(sorted) == 0 {
		return math.NaN()
	}
	i := int(math.Ceil(q*float64(len(sorted)))) - 1
	return sorted[min(max(i, 0), len(sorted)-1)]
}
