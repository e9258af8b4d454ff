package main

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
)

// writeReport writes the figures with what they were measured beside and the command that measures them again.
func writeReport(o options, l *loadFigures, s *streamFigures) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, `# Benchmarks

Ratios, not seconds: each pair was measured in the same run on the same machine, %d pairs after one that warms up, and
each figure is the median (least to greatest). Noise is the peer against itself, taken the same way: a ratio within
it means nothing. Measured on %d cores (%s/%s, %s). Reproduce with:

    make bench

## One file into the warehouse

%s person records (%d MB of CSV, valid citizen numbers) from %s to queryable in the mart, the whole process from
start to exit, into an empty data directory, embedded engines included. Every value is validated against its
contract, every record is resolved to a person, every change passes JetStream, and every row can be replayed.

Peer: the same engine's own %s of the same file, a whole process likewise, into a typed
ReplacingMergeTree table. It validates, resolves and keeps nothing.

| | median (least to greatest) | bound |
|---|---|---|
| shire load | %s s | |
| INSERT ... FROM INFILE | %s s | |
| **shire / INFILE** | **%s** | at most 3 |
| noise: INFILE / INFILE | %s | |
| peak memory of the shire process, without ClickHouse | %s MiB | under 600 |

## Small changes through the whole flow

%s changes of about 100 bytes, handed over one by one by a connector, packed, published with fencing, acknowledged,
normalised, and loaded into ClickHouse. Beside it the bare bus: the same changes, one in a message, published
asynchronously to a JetStream file stream and fetched at the same time; no check, no warehouse.

| | median (least to greatest) | bound |
|---|---|---|
| flow | %s thousand changes/s | |
| bare JetStream publish and fetch | %s thousand changes/s | |
| **flow / bare** | **%s** | at least 0.5 |
| noise: bare / bare | %s | |
| flow / bare JetStream with the flow's own packed messages | %s | |

The last line is the honest limit: packing is why the flow outruns a bus that carries one change in a message, and
against packed messages the rest of the flow shows its cost.
`,
		o.rounds, runtime.NumCPU(), runtime.GOOS, runtime.GOARCH, strings.Join(versions(), ", "),
		thousands(l.rows), l.bytes>>20, "`shire load`", "`INSERT ... FROM INFILE`",
		spreadOf(l.seconds), spreadOf(l.peer), spreadOf(l.ratio), spreadOf(l.noise), whole(spreadOf(l.peakMiB)),
		thousands(s.changes), whole(scaled(s.flow)), whole(scaled(s.bare)), spreadOf(s.ratio), spreadOf(s.noise), spreadOf(s.packedRatio))
	if err := os.WriteFile(o.report, b.Bytes(), 0o644); err != nil {
		return err
	}
	fmt.Println("written:", o.report)
	return nil
}

func scaled(values []float64) spread {
	s := spreadOf(values)
	return spread{s.min / 1000, s.median / 1000, s.max / 1000}
}

func whole(s spread) string { return fmt.Sprintf("%.0f (%.0f to %.0f)", s.median, s.min, s.max) }

func thousands(n int) string {
	text := fmt.Sprint(n)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

// versions names what was measured.
func versions() []string {
	out := []string{runtime.Version(), "chDB 26.7.3"}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, d := range info.Deps {
			if d.Path == "github.com/nats-io/nats-server/v2" {
				out = append(out, "nats-server "+d.Version)
			}
		}
	}
	return out
}
