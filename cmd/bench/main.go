// Command bench measures Shire beside a peer or a physical limit in the same run and writes docs/benchmarks.md.
//
//	make bench
//
// Every figure is a ratio of whole-run wall times, taken pair by pair, with the noise of the machine beside it: the
// ratio of the peer to itself, taken the same way.
package main

import (
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"syscall"

	"context"

	"github.com/shirecounty/shire/deploy/embedded"
)

func main() {
	embedded.RunChildIfAsked()
	if len(os.Args) > 2 && os.Args[1] == "local" { // the peer: the engine's own client, as a process of its own
		if err := embedded.RunLocal(os.Args[2:]...); err != nil {
			fmt.Fprintln(os.Stderr, "bench:", err)
			os.Exit(1)
		}
		return
	}
	o := options{}
	flag.IntVar(&o.rows, "rows", 1_000_000, "person records in the CSV file")
	flag.IntVar(&o.changes, "changes", 500_000, "small changes through the flow")
	flag.IntVar(&o.rounds, "rounds", 5, "pairs that are measured")
	flag.StringVar(&o.shire, "shire", "bin/shire", "the binary")
	flag.StringVar(&o.report, "report", filepath.Join("docs", "benchmarks.md"), "where the report goes")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

type options struct {
	rows, changes, rounds int
	shire, report         string
}

func run(ctx context.Context, o options) error {
	dir, err := os.MkdirTemp("", "shire-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	load, err := measureLoad(ctx, o, dir)
	if err != nil {
		return err
	}
	stream, err := measureStream(ctx, o, dir)
	if err != nil {
		return err
	}
	return writeReport(o, load, stream)
}

// spread is the least, the middle and the greatest of some measurements.
type spread struct{ min, median, max float64 }

func spreadOf(values []float64) spread {
	v := slices.Sorted(slices.Values(values))
	return spread{v[0], v[len(v)/2], v[len(v)-1]}
}

func (s spread) String() string { return fmt.Sprintf("%.2f (%.2f to %.2f)", s.median, s.min, s.max) }
