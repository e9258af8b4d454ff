package main

import (
	"fmt"
	"math"
	"slices"
	"time"
)

// spread is the least, the middle and the greatest of some measurements.
type spread struct{ min, median, max float64 }

func spreadOf(values []float64) spread {
	v := slices.Sorted(slices.Values(values))
	return spread{v[0], v[len(v)/2], v[len(v)-1]}
}

func (s spread) String() string { return fmt.Sprintf("%.2f (%.2f to %.2f)", s.median, s.min, s.max) }

// over is a spread in another unit.
func (s spread) over(unit float64) spread { return spread{s.min / unit, s.median / unit, s.max / unit} }

func (s spread) whole() string { return fmt.Sprintf("%.0f (%.0f to %.0f)", s.median, s.min, s.max) }

// each is one figure of many.
func each[T any](of []T, figure func(T) float64) []float64 {
	out := make([]float64, len(of))
	for i, v := range of {
		out[i] = figure(v)
	}
	return out
}

// percentile is the least of some times that so large a share of them do not exceed (nearest rank).
func percentile(sorted []time.Duration, share float64) time.Duration {
	// Without the little that is taken off, 0.99 of 100 would be the 100th: 0.99*100 is a little more than 99.
	rank := int(math.Ceil(share*float64(len(sorted)) - 1e-9))
	return sorted[max(rank, 1)-1]
}

// latency is how times are spread, in milliseconds.
type latency struct{ P50, P99, Max float64 }

func latencyOf(times []time.Duration) latency {
	v := slices.Sorted(slices.Values(times))
	ms := func(d time.Duration) float64 { return d.Seconds() * 1000 }
	return latency{ms(percentile(v, .5)), ms(percentile(v, .99)), ms(v[len(v)-1])}
}

func thousands(n int) string {
	text := fmt.Sprint(n)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

// verdict says whether a bound is met.
func verdict(met bool) string {
	if met {
		return "met"
	}
	return "**not met**"
}
