package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
)

// section is what the report says of one thing that was measured, under a heading of its own.
type section struct {
	title string
	text  string
}

// titles are all sections of the report, in its order.
var titles = []string{titleLoad, titleStream, titleBatch, titleChanges, titleCapture, titleFreshness, titleDurability, titleJobs, titleAudit, titleMetrics, titleViews}

const (
	titleLoad       = "One file into the warehouse"
	titleStream     = "Small changes through the whole flow"
	titleBatch      = "Who is who in a file"
	titleChanges    = "Who is who, change by change"
	titleCapture    = "Changes out of a PostgreSQL"
	titleFreshness  = "From commit to query"
	titleDurability = "On the disk before it is acknowledged"
	titleJobs       = "Ten thousand jobs"
	titleAudit      = "The log of accesses"
	titleMetrics    = "Figures of a large county"
	titleViews      = "Audited views of persons"
)

const preamble = `# Benchmarks

Each comparison was measured in the same run on the same machine, in turn, and each figure is the median (least to
greatest). Noise is a program against itself, taken the same way: a ratio within it means nothing. Reproduce all with:

    make bench
`

// writeReport writes what was measured. What was not stays as an earlier run left it.
func writeReport(o options, measured []section) error {
	old, err := os.ReadFile(o.report)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.WriteFile(o.report, []byte(merge(string(old), measured)), 0o644); err != nil {
		return err
	}
	fmt.Println("written:", o.report)
	return nil
}

// merge puts new sections in the place of old ones.
func merge(old string, measured []section) string {
	texts := map[string]string{}
	for _, part := range strings.Split("\n"+old, "\n## ")[1:] {
		title, text, _ := strings.Cut(part, "\n")
		texts[title] = strings.TrimSpace(text)
	}
	for _, s := range measured {
		texts[s.title] = strings.TrimSpace(s.text)
	}
	var b strings.Builder
	b.WriteString(preamble)
	for _, title := range titles {
		if text := texts[title]; text != "" {
			fmt.Fprintf(&b, "\n## %s\n\n%s\n", title, text)
		}
	}
	return b.String()
}

// conditions tell where and how a section was measured.
func conditions(o options, part, how string, versions ...string) string {
	command := "go run ./cmd/bench -only " + part
	for _, f := range []struct {
		name         string
		value, usual int
	}{{"rows", o.rows, 1_000_000}, {"changes", o.changes, 500_000}, {"rounds", o.rounds, 5}, {"seconds", o.seconds, 60}} {
		if f.value != f.usual {
			command += fmt.Sprintf(" -%s %d", f.name, f.value)
		}
	}
	return fmt.Sprintf("%s Measured on %d cores (%s/%s, %s). Reproduce with (after `make build`):\n\n    %s\n",
		how, runtime.NumCPU(), runtime.GOOS, runtime.GOARCH, strings.Join(append([]string{runtime.Version()}, versions...), ", "), command)
}

func pairsAfterOne(rounds int) string {
	return fmt.Sprintf("%d pairs after one that warms up.", rounds)
}

// engineVersions name the engines of the flow.
func engineVersions() []string {
	out := []string{"chDB 26.7.3"}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, d := range info.Deps {
			if d.Path == "github.com/nats-io/nats-server/v2" {
				out = append(out, "nats-server "+d.Version)
			}
		}
	}
	return out
}

func (l *loadFigures) section(o options) section {
	peak, ratio := spreadOf(each(l.memory, func(m memory) float64 { return m.Peak })), spreadOf(l.ratio)
	return section{titleLoad, fmt.Sprintf(`
%s person records (%d MB of CSV, valid citizen numbers) from %s to queryable in the mart, the whole process from
start to exit, into an empty data directory, embedded engines included. Every value is validated against its
contract, every record is matched against all others by the weight of the evidence and gets the durable id of its
person, every change passes JetStream, and every row can be replayed.

Peer: the same engine's own %s of the same file, a whole process likewise, into a typed
ReplacingMergeTree table. It validates, resolves and keeps nothing.

%s
| | median (least to greatest) | bound |
|---|---|---|
| shire load | %s s | |
| INSERT ... FROM INFILE | %s s | |
| **shire / INFILE** | **%s** | at most 8, with identity on: %s |
| noise: INFILE / INFILE | %s | |
| peak memory of the shire process, without ClickHouse | %s MiB | under 600: %s |
| of it the process's own (anonymous) | %s MiB | |
| of it pages of files, most of them the state of identities | %s MiB | |

The state of identities is read through memory-mapped files. Their pages count as resident as long as nobody else needs
the memory, and the system takes them back when somebody does; the two parts are each at their own most, which need not
be at the same time.
`,
		thousands(l.rows), l.bytes>>20, "`shire load`", "`INSERT ... FROM INFILE`", conditions(o, "load", pairsAfterOne(o.rounds), engineVersions()...),
		spreadOf(l.seconds), spreadOf(l.peer), ratio, verdict(ratio.median <= 8), spreadOf(l.noise), peak.whole(), verdict(peak.median < 600),
		spreadOf(each(l.memory, func(m memory) float64 { return m.Own })).whole(),
		spreadOf(each(l.memory, func(m memory) float64 { return m.Mapped })).whole())}
}

func (s *streamFigures) section(o options) section {
	ratio := spreadOf(s.ratio)
	return section{titleStream, fmt.Sprintf(`
%s changes of about 100 bytes, handed over one by one by a connector, packed, published with fencing, acknowledged,
normalised, and loaded into ClickHouse. Beside it the bare bus: the same changes, one in a message, published
asynchronously to a JetStream file stream and fetched at the same time; no check, no warehouse.

%s
| | median (least to greatest) | bound |
|---|---|---|
| flow | %s thousand changes/s | |
| bare JetStream publish and fetch | %s thousand changes/s | |
| **flow / bare** | **%s** | at least 0.5: %s |
| noise: bare / bare | %s | |
| flow / bare JetStream with the flow's own packed messages | %s | |

The last line is the honest limit: packing is why the flow outruns a bus that carries one change in a message, and
against packed messages the rest of the flow shows its cost.
`,
		thousands(s.changes), conditions(o, "stream", pairsAfterOne(o.rounds), engineVersions()...),
		spreadOf(s.flow).over(1000).whole(), spreadOf(s.bare).over(1000).whole(), ratio, verdict(ratio.median >= .5),
		spreadOf(s.noise), spreadOf(s.packedRatio))}
}
