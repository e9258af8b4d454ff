package main

import (
	"os"
	"time"
)

// schedule is changes that are due one after the other at a fixed rate, the first at once.
type schedule struct {
	rate float64 // changes a second
	n    int
}

// due is when a change is due, from the beginning.
func (s schedule) due(i int) time.Duration {
	return time.Duration(float64(i) / s.rate * float64(time.Second))
}

// dueBy counts the changes that are due by a moment.
func (s schedule) dueBy(at time.Duration) int {
	i := int(at.Seconds() * s.rate)
	for i < s.n && s.due(i) <= at { // the first is due at 0; and one may be lost to rounding
		i++
	}
	return min(i, s.n)
}

// offer has changes applied as they come due, as many at a time as wait, and says how long after it was due each was done.
// The schedule goes on meanwhile: whoever is slow finds more of them waiting, and every one of them late.
func offer(s schedule, most int, apply func(n int) error) (late []time.Duration, groups int, err error) {
	began := time.Now()
	for len(late) < s.n {
		done := len(late)
		now := time.Since(began)
		waiting := s.dueBy(now) - done
		if waiting == 0 {
			time.Sleep(s.due(done) - now)
			continue
		}
		waiting = min(waiting, most)
		if err := apply(waiting); err != nil {
			return nil, 0, err
		}
		groups++
		finished := time.Since(began)
		for i := done; i < done+waiting; i++ {
			late = append(late, finished-s.due(i))
		}
	}
	return late, groups, nil
}

// measureDisk times what the disk takes to make an append of 4 KiB durable: below this no change can be.
func measureDisk(dir string) (latency, error) {
	file, err := os.CreateTemp(dir, "disk-*")
	if err != nil {
		return latency{}, err
	}
	defer os.Remove(file.Name())
	defer file.Close()
	block := make([]byte, 4096)
	times := make([]time.Duration, 1000)
	for i := range times {
		began := time.Now()
		if _, err := file.Write(block); err != nil {
			return latency{}, err
		}
		if err := file.Sync(); err != nil {
			return latency{}, err
		}
		times[i] = time.Since(began)
	}
	return latencyOf(times), nil
}
