package main

import (
	"bufio"
	"errors"
	"math"
	"os"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/shirecounty/shire/connectors/simulate"
	"github.com/shirecounty/shire/pipeline/identity/evaluate"
	"github.com/shirecounty/shire/schemas/identity"
)

func (a *app) identityCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "identity", Short: "Who is who: decide, explain, and the models that tell", Args: cobra.ArbitraryArgs, RunE: group}
	cmd.AddCommand(a.identityReview(), a.identityDecide(), a.identityWithdraw(), a.reviewersCommand(), a.identityExplain(),
		a.identityEvaluate(), a.identityTrain(), a.identityShadow(), a.identityUse(), a.identitySimulate())
	return cmd
}

// fileFlags are the flags of commands that read a file of records by a model.
type fileFlags struct {
	model  string
	mapped map[string]string
	seed   uint64
}

func (f *fileFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.model, "model", "", "the model's file (required)")
	cmd.Flags().StringToStringVar(&f.mapped, "map", nil, "field=COLUMN,... where the file's columns are called otherwise than the model says; field= where it has none")
	cmd.Flags().Uint64Var(&f.seed, "seed", 1, "of what is drawn at random")
}

// open reads the model and says where its fields stand in the file.
func (f *fileFlags) open() (*identity.Model, evaluate.Layout, error) {
	if f.model == "" {
		return nil, evaluate.Layout{}, inputf("name the model's file, with --model")
	}
	m, err := identity.Load(f.model)
	if err != nil {
		return nil, evaluate.Layout{}, err
	}
	l, err := evaluate.NewLayout(m, f.mapped)
	return m, l, err
}

// roomForFiles lets the collector be lazy only as far as the records of a file need: a county's fit into memory, and
// there is nothing else in this process that has to be bounded (see memoryLimit).
func roomForFiles() {
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(math.MaxInt64)
		debug.SetGCPercent(filesGCPercent)
	}
}

// filesGCPercent trades a twentieth of the time for a third of the memory.
const filesGCPercent = 35

// stages draws one bar for each stage of a long task.
type stages struct {
	a    *app
	name string
	bar  *progress
}

var stageWords = map[string]string{"read": "reading", "prepare": "preparing values", "block": "finding blocks", "train": "training", "compare": "comparing", "cluster": "clustering"}

func (s *stages) told(stage string, done, total int) {
	if stage != s.name {
		s.bar.done()
		s.name, s.bar = stage, s.a.progress(stageWords[stage])
	}
	s.bar.set(int64(done), int64(total))
}

func (s *stages) done() { s.bar.done() }

func (a *app) identitySimulate() *cobra.Command {
	var (
		o       simulate.PersonsOptions
		missing float64
		dirty   bool
		out     string
	)
	cmd := &cobra.Command{
		Use:   "simulate --records N -o FILE",
		Short: "Write a simulated file of person records with the true person beside each",
		Args:  exactly(0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.Defects = simulate.DefaultPersonDefects()
			if dirty {
				o.Defects = simulate.DirtyPersonDefects()
			}
			if cmd.Flags().Changed("missing") {
				o.Defects.NumberAbsent = missing
			}
			switch {
			case o.Records < 100:
				return inputf("%d records are too few; give at least --records 100", o.Records)
			case !(0 <= missing && missing <= 1):
				return inputf("--missing is a share of the records, from 0 to 1, and not %v", missing)
			case out == "":
				return inputf("name the file to write, with -o")
			}
			return a.writePersons(out, o)
		},
	}
	cmd.Flags().IntVar(&o.Records, "records", 10_000, "so many; at least 100")
	cmd.Flags().Float64Var(&missing, "missing", 0, "share of the records without a citizen number (default 0.07, with --dirty 0.095)")
	cmd.Flags().BoolVar(&dirty, "dirty", false, "a county that is worse than most: shared telephones, wrong digits")
	cmd.Flags().Uint64Var(&o.Seed, "seed", 1, "the same seed writes the same file")
	cmd.Flags().StringVarP(&out, "output", "o", "", "file to write (required)")
	return cmd
}

type simulated struct {
	File    string   `json:"file"`
	Records int      `json:"records"`
	Columns []string `json:"columns"`
}

func (a *app) writePersons(file string, o simulate.PersonsOptions) error {
	f, err := os.Create(file)
	if err != nil {
		return unwritable(err)
	}
	w := bufio.NewWriter(f)
	if err := errors.Join(simulate.WritePersons(w, o), w.Flush(), f.Close()); err != nil {
		return unwritable(err)
	}
	a.result = simulated{File: file, Records: o.Records, Columns: simulate.PersonsHeader}
	a.say("%s has %d records; the column ent is the true person", file, o.Records)
	return nil
}

// unwritable tells of a file that cannot be written where it was asked for.
func unwritable(err error) error {
	var path *os.PathError
	if errors.As(err, &path) {
		return inputf("%s cannot be written: %v; check the path and its permissions", path.Path, path.Err)
	}
	return err
}
