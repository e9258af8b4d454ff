package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// memory is what a process had resident, in MiB. Peak is the most, as the kernel keeps it. Own is the most that was of
// the process itself (anonymous), and Mapped the most that was pages of files, which the system takes back when
// somebody needs them; both as seen by looking every few milliseconds. Children are not counted.
type memory struct{ Peak, Own, Mapped float64 }

const lookEvery = 20 * time.Millisecond

// watch looks at the memory of a process until it is told to stop.
func watch(pid int) (stop func() memory) {
	var m memory
	quit, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(lookEvery)
		defer tick.Stop()
		for {
			if status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid)); err == nil {
				m.add(string(status))
			}
			select {
			case <-tick.C:
			case <-quit:
				return
			}
		}
	}()
	return func() memory {
		close(quit)
		<-done
		return m
	}
}

func (m *memory) add(status string) {
	for line := range strings.Lines(status) {
		name, rest, _ := strings.Cut(line, ":")
		words := strings.Fields(rest)
		if len(words) != 2 || words[1] != "kB" {
			continue
		}
		kib, err := strconv.ParseFloat(words[0], 64)
		if err != nil {
			continue
		}
		switch name {
		case "VmHWM":
			m.Peak = max(m.Peak, kib/1024)
		case "RssAnon":
			m.Own = max(m.Own, kib/1024)
		case "RssFile":
			m.Mapped = max(m.Mapped, kib/1024)
		}
	}
}
