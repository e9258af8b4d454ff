package gains

import (
	"cmp"
	"slices"
)

// row is a case or a count that takes part, with everything about it as a number.
type row struct {
	month   month
	cluster int
	stratum int  // cluster x item x kind x channel
	scope   bool // of the intervention's scope; else it compares
	after   bool // in scope, and its cluster has started
	since   int  // whole months since the start, where after
	apart   bool // in scope, of a stratum without both periods: in raw figures only

	duration float64 // of a time
	ended    bool
	num, den float64 // of a ratio
	expected float64 // numerator by the fit of the ratio
}

// selection is the rows that take part, and an account of those that do not.
type selection struct {
	rows     []row
	clusters []string
	strata   []place
	first    month // of the windows, both included
	last     month
	start    month // first whole month of the first start
	staged   bool  // clusters start in different months

	given, unusable, outside, settling int
	leftOut                            []Stratum // strata of the scope without both periods
	leftOutShare                       float64
}

// Stratum is a kind of cases: item x kind x channel.
type Stratum struct {
	Department string   `json:"department"`
	Item       string   `json:"item"`
	Kind       string   `json:"kind"`
	Channel    string   `json:"channel"`
	Share      *float64 `json:"share"` // of the scope's cases; nil where it would tell of fewer than the minimum cell
}

func (s Stratum) share() float64 {
	if s.Share == nil {
		return 0
	}
	return *s.Share
}

// candidate is a row before it is known whether it counts.
type candidate struct {
	place
	row
	usable bool
}

// sorting keeps the rows of an intervention's windows and numbers what they belong to. minimum is how many cases (or how large a
// denominator) a stratum of the scope needs on either side of the start to be compared with itself.
func (v *Intervention) sorting(candidates []candidate, minimum float64) *selection {
	s := &selection{given: len(candidates)}
	counts := make([]candidate, 0, len(candidates))
	for _, c := range candidates {
		c.scope = v.Scope.holds(c.place)
		switch {
		case !c.usable:
			s.unusable++
		case v.excluded(c.place, c.month):
			s.outside++
		default:
			counts = append(counts, c)
		}
	}
	// The windows reach from the first start to the last of the clusters that are there.
	type start struct{ begun, full month }
	var last month
	starts := map[string]start{}
	for i := range counts {
		c := &counts[i]
		name := v.cluster(c.place)
		if !c.scope || has(starts, name) {
			continue
		}
		begun, full := v.start(name)
		if len(starts) == 0 {
			s.start, s.first, last = full, begun, full
		}
		s.staged = s.staged || full != last
		s.start, s.first, last = min(s.start, full), min(s.first, begun), max(last, full)
		starts[name] = start{begun, full}
	}
	s.first -= month(v.Windows.Before)
	s.last = last + month(v.Windows.After) - 1

	clusters, strata := map[string]int{}, map[place]int{}
	type sides struct{ before, after float64 }
	var sizes []sides
	whole := 0.
	s.rows = make([]row, 0, len(counts))
	for i := range counts {
		c := &counts[i]
		if c.month < s.first || c.month > s.last {
			s.outside++
			continue
		}
		name := v.cluster(c.place)
		if c.scope {
			at := starts[name]
			c.since = int(c.month - at.full)
			c.after = c.since >= v.Windows.Settling
			if c.month >= at.begun && !c.after {
				s.settling++ // neither before nor after
				continue
			}
		}
		var known bool
		if c.cluster, known = clusters[name]; !known {
			c.cluster = len(s.clusters)
			clusters[name] = c.cluster
			s.clusters = append(s.clusters, name)
		}
		key := v.stratum(c.place)
		if c.stratum, known = strata[key]; !known {
			c.stratum = len(s.strata)
			strata[key] = c.stratum
			s.strata = append(s.strata, key)
			sizes = append(sizes, sides{})
		}
		if c.after {
			sizes[c.stratum].after += c.size()
		} else if c.scope {
			sizes[c.stratum].before += c.size()
		}
		if c.scope {
			whole += c.size()
		}
		s.rows = append(s.rows, c.row)
	}
	apart := make([]bool, len(s.strata))
	for k, key := range s.strata {
		at := sizes[k]
		if all := at.before + at.after; all > 0 && min(at.before, at.after) < minimum {
			apart[k] = true
			named := Stratum{Department: key.department + key.division, Item: key.item, Kind: key.kind, Channel: key.channel}
			if share := all / whole; all >= minimum {
				named.Share = &share
			}
			s.leftOut = append(s.leftOut, named)
			s.leftOutShare += all / whole
		}
	}
	for i := range s.rows {
		r := &s.rows[i]
		r.apart = r.scope && apart[r.stratum]
	}
	slices.SortFunc(s.leftOut, func(a, b Stratum) int {
		return cmp.Or(cmp.Compare(b.share(), a.share()), cmp.Compare(a.Department, b.Department), cmp.Compare(a.Item, b.Item),
			cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Channel, b.Channel))
	})
	return s
}

// stratum is the stratum of a row: the cluster is part of it, since two departments may do the same item differently.
func (v *Intervention) stratum(p place) place {
	if v.Cluster == ByDivision {
		p.department = ""
	} else {
		p.division = ""
	}
	return p
}

// size is what a row weighs: one case, or its denominator.
func (r *row) size() float64 {
	if r.den > 0 {
		return r.den
	}
	return 1
}

// months is the number of months of the windows.
func (s *selection) months() int { return int(s.last - s.first + 1) }

func has[K comparable, V any](m map[K]V, key K) bool { _, ok := m[key]; return ok }
