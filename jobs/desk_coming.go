package jobs

import (
	"cmp"
	"container/heap"
	"strings"
	"time"
)

// firstComing are the first n due times of some jobs, in their order. It looks at one due time of each job, and then at the
// one after it of whichever comes first: with ten thousand jobs, n of each would be far more than n.
func firstComing(chosen Set, states map[string]*State, now time.Time, n int) []Coming {
	var first coming
	for _, j := range chosen {
		if j.root != nil {
			first.add(j, states[j.Name], now)
		}
	}
	heap.Init(&first)
	list := []Coming{}
	for len(list) < n && len(first) > 0 {
		c := heap.Pop(&first).(*Coming)
		list = append(list, *c)
		if first.add(chosen[c.Job], states[c.Job], c.Due) {
			heap.Fix(&first, len(first)-1)
		}
	}
	return list
}

// coming is a heap of due times, the earliest first.
type coming []*Coming

func (h coming) Len() int { return len(h) }
func (h coming) Less(i, k int) bool {
	return cmp.Or(h[i].Due.Compare(h[k].Due), strings.Compare(h[i].Job, h[k].Job)) < 0
}
func (h coming) Swap(i, k int) { h[i], h[k] = h[k], h[i] }
func (h *coming) Push(c any)   { *h = append(*h, c.(*Coming)) }
func (h *coming) Pop() any {
	last := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return last
}

// add adds the due time of a job after a time, at the end; false when there is none.
func (h *coming) add(j *Job, s *State, after time.Time) bool {
	due, ok := j.root.Next(after)
	if !ok {
		return false
	}
	c := &Coming{Job: j.Name, Due: due.At, Paused: s.Paused != nil}
	if due.Problem != nil {
		c.Problem = due.Problem.Error()
	}
	*h = append(*h, c)
	return true
}
