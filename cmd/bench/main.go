// Command bench measures Shire beside a peer or a physical limit in the same run and writes docs/benchmarks.md.
//
//	make bench
//	go run ./cmd/bench -only identity -python venv/bin/python
//
// Figures beside a peer are ratios taken pair by pair, with the noise of the machine beside them: a program against
// itself, taken the same way.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/shirecounty/shire/deploy/embedded"
)

func main() {
	embedded.RunChildIfAsked()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := choose(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// choose runs the whole, or what the bench starts as a process of its own.
func choose(ctx context.Context) error {
	if len(os.Args) > 2 {
		switch os.Args[1] {
		case "local": // the peer of the load: the engine's own client
			return embedded.RunLocal(os.Args[2:]...)
		case "changes":
			return runChanges(ctx, os.Args[2])
		case "views":
			return runViews(ctx, os.Args[2])
		case "capture":
			if len(os.Args) == 5 {
				return runLarge(ctx, os.Args[2], os.Args[3], os.Args[4])
			}
		}
	}
	o := options{}
	only := flag.String("only", "", "measure only these, with commas: "+strings.Join(parts, ", ")+"; identity is batch and changes. The rest of the report stays")
	flag.IntVar(&o.rows, "rows", 1_000_000, "person records in each file")
	flag.IntVar(&o.changes, "changes", 500_000, "small changes through the flow")
	flag.IntVar(&o.cases, "cases", usualCases, "cases of the large county, of ten steps each")
	flag.StringVar(&o.county, "county", "", "a directory that keeps the large county for the next run; without it, each run makes one of its own")
	flag.IntVar(&o.rounds, "rounds", 5, "pairs that are measured")
	flag.IntVar(&o.seconds, "seconds", 60, "how long single changes are offered to the state of identities")
	flag.StringVar(&o.shire, "shire", filepath.Join("bin", "shire"), "the binary")
	flag.StringVar(&o.python, "python", "python3", "Python that runs the peer of identity; where it lacks Splink, a virtual environment is made")
	flag.StringVar(&o.report, "report", filepath.Join("docs", "benchmarks.md"), "where the report goes")
	flag.Parse()
	o.only = parts
	if *only != "" {
		o.only = strings.Split(strings.ReplaceAll(*only, "identity", "batch,changes"), ",")
	}
	for _, name := range o.only {
		if !slices.Contains(parts, name) {
			return fmt.Errorf("-only %s: there is %s, and identity for batch and changes", name, strings.Join(parts, ", "))
		}
	}
	if o.rows < 1000 || o.changes < 1 || o.rounds < 1 || o.seconds < 1 {
		return fmt.Errorf("-rows is 1000 or more, and -changes, -rounds and -seconds 1 or more")
	}
	return run(ctx, o)
}

// parts are what can be measured alone.
var parts = []string{"load", "stream", "batch", "changes", "capture", "freshness", "durability", "jobs", "audit", "metrics", "views"}

// figures are what a part measured, and what the report says of it.
type figures interface{ section(options) section }

var measures = map[string]func(context.Context, options, string) (figures, error){
	"load": measure(measureLoad), "stream": measure(measureStream), "batch": measure(measureBatch), "changes": measure(measureChanges),
	"capture": measure(measureCapture), "freshness": measure(measureFreshness), "durability": measure(measureDurability), "jobs": measure(measureJobs),
	"audit":   measure(measureAudit),
	"metrics": measure(measureMetrics),
	"views":   measure(measureViews),
}

func measure[F figures](m func(context.Context, options, string) (F, error)) func(context.Context, options, string) (figures, error) {
	return func(ctx context.Context, o options, dir string) (figures, error) { return m(ctx, o, dir) }
}

type options struct {
	only                           []string
	rows, changes, rounds, seconds int
	cases                          int
	shire, python, report, county  string
}

func run(ctx context.Context, o options) error {
	dir, err := os.MkdirTemp("", "shire-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	var all []section
	for _, name := range parts {
		if !slices.Contains(o.only, name) {
			continue
		}
		f, err := measures[name](ctx, o, dir)
		if err != nil {
			return err
		}
		all = append(all, f.section(o))
	}
	return writeReport(o, all)
}
