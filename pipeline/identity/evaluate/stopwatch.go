package evaluate

import (
	"bytes"
	"os"
	"strconv"
	"time"

	"github.com/shirecounty/shire/pipeline/identity/batch"
)

// stopwatch measures stages by what they tell of their progress: a stage ends when it says that all is done, and the
// next begins there.
type stopwatch struct {
	next  batch.Progress
	since time.Time
	took  map[string]time.Duration
}

func newStopwatch(next batch.Progress) *stopwatch {
	return &stopwatch{next: next, since: time.Now(), took: map[string]time.Duration{}}
}

func (s *stopwatch) told(stage string, done, total int) {
	s.next(stage, done, total)
	if done == total {
		s.lap(stage)
	}
}

func (s *stopwatch) lap(stage string) {
	now := time.Now()
	s.took[stage] += now.Sub(s.since)
	s.since = now
}

func (s *stopwatch) sum(stages ...string) (seconds float64) {
	for _, stage := range stages {
		seconds += s.took[stage].Seconds()
	}
	return seconds
}

func (s *stopwatch) seconds() Seconds {
	return Seconds{Read: s.sum("read"), Prepare: s.sum("prepare"), Block: s.sum("block"), Train: s.sum("train"), Compare: s.sum("compare"), Cluster: s.sum("cluster")}
}

// PeakMemory is the most memory that this process had at one time, in bytes. It is known on Linux alone.
func PeakMemory() (size int64, ok bool) {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, false
	}
	for line := range bytes.Lines(text) {
		if rest, found := bytes.CutPrefix(line, []byte("VmHWM:")); found {
			kib, err := strconv.ParseInt(string(bytes.TrimSpace(bytes.TrimSuffix(bytes.TrimSpace(rest), []byte("kB")))), 10, 64)
			return kib << 10, err == nil
		}
	}
	return 0, false
}
