package batch

// sets are disjoint sets of numbers from 0 up, each in ascending order.
type sets struct {
	starts  []int32 // set -> its first member; one more than there are sets
	members []int32
}

// sorted puts each number into the set that of names; -1 is none.
func sorted(of []int32, count int) sets {
	s := sets{starts: make([]int32, count+1)}
	for _, k := range of {
		if k >= 0 {
			s.starts[k+1]++
		}
	}
	for k := range count {
		s.starts[k+1] += s.starts[k]
	}
	s.members = make([]int32, s.starts[count])
	next := append([]int32(nil), s.starts...)
	for i, k := range of {
		if k >= 0 {
			s.members[next[k]] = int32(i)
			next[k]++
		}
	}
	return s
}

func (s *sets) set(k int32) []int32 { return s.members[s.starts[k]:s.starts[k+1]] }
