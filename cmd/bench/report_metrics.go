package main

import (
	"fmt"
	"os"
	"strings"
	"time"
)

func (f *metricsFigures) section(o options) section {
	ms := func(d time.Duration) string { return fmt.Sprintf("%.1f", float64(d.Microseconds())/1000) }
	table := func(list []*asked) string {
		var b strings.Builder
		for _, a := range list {
			if a.note != "" {
				fmt.Fprintf(&b, "| %s | %s | | | | |\n", a.name, a.note)
				continue
			}
			p95 := percentile(a.times, .95)
			fmt.Fprintf(&b, "| %s | %s | %s | %s | %d | %s |\n", a.name, ms(percentile(a.times, .5)), ms(p95), ms(a.cpu), a.rows, verdict(p95 <= mostFigure))
		}
		return b.String()
	}
	slow := 0
	for _, a := range f.pages {
		if percentile(a.times, .95) > mostFigure {
			slow++
		}
	}
	const head = "| question | p50, ms | p95, ms | engine's processor time, ms | rows read | at most 100 ms |\n|---|---|---|---|---|---|\n"
	command := ""
	if o.cases != usualCases {
		command = fmt.Sprintf(" -cases %d", o.cases)
	}
	return section{titleMetrics, fmt.Sprintf(`
A county of %s case steps of %s cases, with papers, ratings, incidents, holdings, corrections, deletions and merged people, over three years, 30
departments and 150 items, made inside the engine through the tables and views that the flow loads (%.0f s). Its figures are prepared as docs/metrics.md
tells (%.0f s, one thread). Then each question that the portal's pages of figures and of how cases went send, and each that a panel of Grafana sends over two years, is asked %d times after
once that warms up, over the native protocol: those of the panels as the analyst, the others through the
code that answers the portal: with the coverage beside the figure. Load of the machine by others when it was measured: %s.

%s
Of %d questions of the pages and the panels, %d are answered within %s at the 95th percentile.

%s%s
What can be asked of the interface and no page asks: periods of other lengths than 1, 3, 6 and 12 months, and curves by what the page has no filter for, are computed
from the lives.

%s%s
The same from the views themselves, once:

%s%s
Loading %d blocks of %s steps under their tokens with the view that keeps every version, against a warehouse without it:

| | median (least to greatest) | bound |
|---|---|---|
| **with / without** | **%s** | at least %.1f: %s |
| noise: without / without | %s | |
| the same by the engine's processor time: without / with | %s | |
| noise: without / without | %s | |
`, thousands(int(f.steps)), thousands(int(f.cases)), f.made, f.prepared, figureAsks, machineLoad(), conditions(o, "metrics"+command, pairsAfterOne(o.rounds), engineVersions()[:1]...),
		len(f.pages), len(f.pages)-slow, mostFigure, head, table(f.pages), head, table(f.api), head, table(f.views), loadBlocks, thousands(loadedBlock), spreadOf(f.kept.Ratio), leastLoad, verdict(spreadOf(f.kept.Ratio).median >= leastLoad), spreadOf(f.kept.Noise), spreadOf(f.kept.CPURatio), spreadOf(f.kept.CPUNoise))}
}

// machineLoad is the load average of the last 1 and 15 minutes, where the system tells it.
func machineLoad() string {
	text, err := os.ReadFile("/proc/loadavg")
	fields := strings.Fields(string(text))
	if err != nil || len(fields) < 3 {
		return "not known"
	}
	return "load average " + fields[0] + " (1 min), " + fields[2] + " (15 min)"
}
